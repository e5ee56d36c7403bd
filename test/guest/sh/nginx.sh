# nginx: a master and two workers, a new configuration, a worker that dies, an orderly end. $1 is how many requests each
# of four clients makes.
PATH=$PATH:/usr/sbin d=/tmp/gosv-nginx port=28093
rm -rf $d; mkdir -p $d/www/sub $d/tmp; cd $d
conf() { cat >$d/nginx.conf <<C
user root; worker_processes 2; pid $d/pid; error_log $d/error.log notice;
events { worker_connections 256; }
http {
	access_log $d/access.log; sendfile on; gzip on; gzip_min_length 100; gzip_types text/plain; default_type text/plain;
	client_body_temp_path $d/tmp; proxy_temp_path $d/tmp; fastcgi_temp_path $d/tmp; uwsgi_temp_path $d/tmp; scgi_temp_path $d/tmp;
	upstream self { server unix:$d/socket; keepalive 4; }
	server { listen unix:$d/socket; location / { return 200 "behind \$uri\\n"; } }
	server {
		listen 127.0.0.1:$port reuseport; root $d/www;
		location /version { return 200 "$1\\n"; }
		location /proxy/ { proxy_pass http://self/; proxy_http_version 1.1; proxy_set_header Connection ""; }
	}
}
C
}
ask() { curl -sS --max-time 30 "$@" 2>&1; }
u=http://127.0.0.1:$port
seq 20000 >www/big; echo index >www/sub/index.html
conf one
nginx -c $d/nginx.conf -e $d/error.log || exit 1
master=$(cat pid)
workers() { pgrep -P $master | sort -n | tr '\n' ' '; }
n=0; until [ $(workers | wc -w) = 2 ]; do n=$((n + 1)); [ $n -lt 200 ] || break; sleep 0.1; done
echo $(workers | wc -w) workers
ask $u/version $u/sub/ $u/proxy/abc; ask -o /dev/null -w '%{http_code}\n' $u/none
ask $u/big | cmp - www/big && echo same; ask --compressed $u/big | cmp - www/big && echo same when compressed
ask -r 5-9 $u/big | od -c
for c in 1 2 3 4; do (ask "$u/big?[1-$1]" -o /dev/null -w '%{http_code} %{size_download}\n' | sort | uniq -c | tr -s ' ') & done; wait

# A new configuration: new workers, and the old ones end.
old=$(workers); conf two; nginx -c $d/nginx.conf -e $d/error.log -s reload
n=0; for p in $old; do while kill -0 $p 2>/dev/null && [ $n -lt 200 ]; do n=$((n + 1)); sleep 0.1; done; kill -0 $p 2>/dev/null && echo old worker is there; done
n=0; until [ $(workers | wc -w) = 2 ]; do n=$((n + 1)); [ $n -lt 200 ] || break; sleep 0.1; done
ask $u/version $u/version $u/version # until the old workers have ended they may answer
echo $(workers | wc -w) workers, master the same: $([ $(cat pid) = $master ] && echo yes)
# A configuration with an error changes nothing.
echo nonsense >>nginx.conf; nginx -c $d/nginx.conf -e $d/error.log -t 2>/dev/null || echo refused; kill -HUP $master; sleep 0.5; ask $u/version; conf two
# Logs are opened anew.
mv access.log old.log; kill -USR1 $master; n=0; until [ -e access.log ]; do n=$((n + 1)); [ $n -lt 200 ] || break; sleep 0.1; done
# Each worker opens it for itself, a moment after the master.
n=0; until ask $u/version >/dev/null; grep -q version access.log; do n=$((n + 1)); [ $n -lt 200 ] || break; sleep 0.1; done; grep -q version access.log && echo logged
# A worker that is killed is replaced.
victim=$(workers | cut -d' ' -f1); kill -9 $victim
n=0; until w=$(workers); [ $(echo $w | wc -w) = 2 ] && ! echo $w | grep -qw $victim; do n=$((n + 1)); [ $n -lt 200 ] || break; sleep 0.1; done
echo $(workers | wc -w) workers; grep -c 'exited on signal 9' error.log; ask $u/version
kill -QUIT $master; n=0; while kill -0 $master 2>/dev/null; do n=$((n + 1)); [ $n -lt 200 ] || break; sleep 0.1; done
[ -e pid ] || echo ended
grep -E '\[(alert|emerg|crit)\]' error.log | grep -v 'exited on signal 9\|nonsense\|unexpected end' | sed 's/.*\] //'
cd /; rm -rf $d
