# redis: snapshots and a rewrite of the log under load, each by a forked child; the data after the server was killed.
# $1 is how many requests the load makes.
d=/tmp/gosv-redis s=/tmp/gosv-redis/socket
rm -rf $d; mkdir -p $d; cd $d
cli() { redis-cli -s $s "$@"; }
start() {
	redis-server --port 0 --unixsocket $s --dir $d --daemonize yes --logfile $d/log --pidfile $d/pid --save "" --enable-debug-command local --appendonly $1 >/dev/null
	n=0; until [ "$(cli ping 2>/dev/null)" = PONG ] || [ $n -gt 300 ]; do n=$((n + 1)); sleep 0.1; done
}
info() { cli info persistence | tr -d '\r' | grep "^$1:" | cut -d: -f2; }
finished() { n=0; while [ "$(info $1)" = 1 ] && [ $n -lt 600 ]; do n=$((n + 1)); sleep 0.1; done; }
start no
cli debug populate 50000 key 100; cli dbsize; cli set marker one
redis-benchmark -s $s -q -c 20 -n $1 -r 10000 -t set,get,incr,lpush >bench 2>&1 & bench=$!
for i in 1 2 3; do
	cli bgsave; finished rdb_bgsave_in_progress; info rdb_last_bgsave_status
done
wait $bench && echo load done; grep -c 'requests per second' bench; tr '\r' '\n' <bench | grep 'per second' >&2
cli save; cli set marker two; before=$(cli dbsize)
kill -9 $(cat pid); start no
cli get marker; [ "$(cli dbsize)" = "$before" ] && echo all keys; cli shutdown nosave
start yes # from an empty log: the data are the log's from now on
cli set a 1; cli bgrewriteaof; finished aof_rewrite_in_progress; info aof_last_bgrewrite_status
seq 1000 | sed 's/.*/INCR n/' | cli --pipe | tail -1
cli shutdown; rm -f dump.rdb; start yes; cli get n; cli get a; cli shutdown nosave 2>/dev/null
n=0; while kill -0 $(cat pid 2>/dev/null) 2>/dev/null; do n=$((n + 1)); [ $n -lt 100 ] || break; sleep 0.1; done
grep -c 'DB saved on disk' log; grep -i 'error\|assert\|crash' log
cd /; rm -rf $d
