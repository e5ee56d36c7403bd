#!/bin/sh
# Installs what the tests need beside Go: an emulator, compilers for the guest
# programs, and the Debian programs that the application tests run. Quick and
# without effect when everything is there. When not root it says the command.
# "sh test/setup.sh full" installs what only the tests with full loads need, too.
set -eu

# package, and a file that shows that it is installed
wanted='
qemu-system-x86     /usr/bin/qemu-system-x86_64
gcc                 /usr/bin/gcc
g++                 /usr/bin/g++
libc6-dev           /usr/include/stdio.h
musl-tools          /usr/bin/musl-gcc
busybox-static      /usr/bin/busybox
openssl             /usr/bin/openssl
sqlite3             /usr/bin/sqlite3
lua5.4              /usr/bin/lua5.4
perl                /usr/bin/perl
python3             /usr/bin/python3
libpython3.11-testsuite /usr/lib/python3.11/test/test_os.py
strace              /usr/bin/strace
gawk                /usr/bin/gawk
jq                  /usr/bin/jq
xz-utils            /usr/bin/xz
zip                 /usr/bin/zip
unzip               /usr/bin/unzip
bc                  /usr/bin/bc
iproute2            /usr/sbin/tc
strace              /usr/bin/strace
gdb                 /usr/bin/gdb
curl                /usr/bin/curl
wget                /usr/bin/wget
bind9-dnsutils      /usr/bin/dig
dnsmasq-base        /usr/sbin/dnsmasq
iperf3              /usr/bin/iperf3
wrk                 /usr/bin/wrk
redis-tools         /usr/bin/redis-benchmark
redis-server        /usr/bin/redis-server
memcached           /usr/bin/memcached
nginx-light         /usr/sbin/nginx
lighttpd            /usr/sbin/lighttpd
haproxy             /usr/sbin/haproxy
python3-flask       /usr/lib/python3/dist-packages/flask
nodejs              /usr/bin/node
node-ws             /usr/share/nodejs/ws
npm                 /usr/bin/npm
git                 /usr/bin/git
make                /usr/bin/make
procps              /usr/bin/pgrep
stress-ng           /usr/bin/stress-ng
openjdk-17-jdk-headless /usr/bin/javac
ruby                /usr/bin/ruby
rustc               /usr/bin/rustc
puma                /usr/bin/puma
ruby-rack           /usr/share/doc/ruby-rack
ruby-webrick        /usr/share/doc/ruby-webrick
php-cli             /usr/bin/php
erlang-base         /usr/bin/erlc
elixir              /usr/bin/elixir
mono-mcs            /usr/bin/mcs
libunwind8          /usr/lib/x86_64-linux-gnu/libunwind.so.8
postgresql-15       /usr/lib/postgresql/15/bin/postgres
'
[ "${1:-}" != full ] || wanted="$wanted
apache2             /usr/sbin/apachectl
bind9               /usr/sbin/named
etcd-server         /usr/bin/etcd
gunicorn            /usr/bin/gunicorn
mariadb-server      /usr/sbin/mariadbd
mosquitto           /usr/sbin/mosquitto
mosquitto-clients   /usr/bin/mosquitto_pub
nats-server         /usr/sbin/nats-server
openssh-client      /usr/bin/ssh
openssh-server      /usr/sbin/sshd
php-fpm             /usr/sbin/php-fpm8.2
prometheus          /usr/bin/prometheus
squid               /usr/sbin/squid
varnish             /usr/sbin/varnishd
"

[ "$(uname -m)" = x86_64 ] || { echo "test/setup.sh: the guest tests need an x86-64 machine" >&2; exit 1; }

missing=
while read -r package path; do
	[ -n "$package" ] || continue
	[ -e "$path" ] || missing="$missing $package"
done <<LIST
$wanted
LIST
# The tests of networks make tap interfaces, which a container may not have the device for.
if [ ! -e /dev/net/tun ] && [ "$(id -u)" = 0 ]; then
	mkdir -p /dev/net && mknod /dev/net/tun c 10 200 || echo "test/setup.sh: no /dev/net/tun: tests that need it are skipped" >&2
fi
# Debian's busybox and busybox-static put a program at the same path; only the
# static one is of use to a test of a static busybox.
case "$missing" in
*busybox*) ;;
*) if command -v dpkg >/dev/null && ! dpkg -s busybox-static >/dev/null 2>&1 && dpkg -s busybox >/dev/null 2>&1; then
	missing="$missing busybox-static"
fi ;;
esac
[ -n "$missing" ] || exit 0

command="apt-get install -y --no-install-recommends$missing"
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
	echo "test/setup.sh: missing:$missing" >&2
	echo "test/setup.sh: install them, on Debian with: sudo $command" >&2
	exit 1
fi
export DEBIAN_FRONTEND=noninteractive
log=$(mktemp)
policy=/usr/sbin/policy-rc.d
# Servers are wanted as files: none is to start now and take a port.
if [ ! -e $policy ]; then
	printf '#!/bin/sh\nexit 101\n' >$policy
	chmod +x $policy
	trap 'rm -f "$log" $policy' EXIT
else
	trap 'rm -f "$log"' EXIT
fi
echo "installing:$missing"
# An old package list is tried first: it saves a download when it still serves.
$command >"$log" 2>&1 || { apt-get update >"$log" 2>&1 && $command >>"$log" 2>&1; } || {
	tail -20 "$log" >&2
	echo "test/setup.sh: failed: $command" >&2
	exit 1
}
