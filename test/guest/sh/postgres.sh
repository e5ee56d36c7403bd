# PostgreSQL: a cluster, a server, clients, pgbench, and recovery after the server is killed. $1 is how many seconds
# pgbench runs.
set -e
seconds=$1 d=/tmp/gosv-postgres
export PATH=$(echo /usr/lib/postgresql/*/bin):$PATH PGHOST=$d PGDATABASE=postgres PGUSER=nobody
# The server will not run as root.
if [ $(id -u) = 0 ]; then
	rm -rf $d; mkdir $d; chown nobody $d
	cd $d
	exec setpriv --reuid=nobody --regid=nogroup --clear-groups sh $0 $1
fi
trap 'kill -9 $(head -1 $d/data/postmaster.pid 2>/dev/null) 2>/dev/null' EXIT
die() { tail -20 $d/log >&2; exit 1; }
start() { pg_ctl -D $d/data -l $d/log -w -t 120 -o "-k $d -h '' -c log_min_messages=log" start >/dev/null || die; }
ask() { psql -qAtX -c "$1"; }

initdb -D $d/data -A trust --no-locale >/dev/null
start
ask 'select count(*) > 300 from pg_class'
ask "create table t(id serial primary key, word text unique, n numeric); insert into t(word, n) select 'w' || i, i * 1.5 from generate_series(1, 5000) i"
ask 'begin; delete from t; rollback'
ask "select count(*), sum(n), max(word) from t where id % 3 = 0"
ask "explain (costs off) select * from t where word = 'w77'"
ask "insert into t(word) values('w77')" 2>&1 | head -1
ask 'set max_parallel_workers_per_gather = 2; set parallel_setup_cost = 0; set parallel_tuple_cost = 0; set min_parallel_table_scan_size = 0;
	select sum(a.n) from t a join t b on a.id = b.id + 1'
ask "copy (select id, word from t where id < 4) to program 'tr w W >$d/copied'"; cat $d/copied

# pgbench's tables: the sums of all three are the sum of the history.
pgbench -iq >/dev/null 2>&1
sums="select (select sum(abalance) from pgbench_accounts) = (select coalesce(sum(delta), 0) from pgbench_history) and
	(select sum(bbalance) from pgbench_branches) = (select sum(tbalance) from pgbench_tellers) and
	(select sum(abalance) from pgbench_accounts) = (select sum(bbalance) from pgbench_branches)"
pgbench -n -c 8 -j 2 -T $seconds >$d/bench 2>&1 || { cat $d/bench; die; }
grep failed $d/bench; grep 'tps\|actually' $d/bench >&2
ask "$sums"

# The postmaster and all of its processes are killed while clients write. What was acknowledged must be there afterwards.
ask 'create table acknowledged(n int)'
ask checkpoint
: >$d/acknowledged
pgbench -n -c 4 -T 60 >/dev/null 2>&1 & bench=$!
i=0; while [ $i -lt 100000 ]; do i=$((i + 1)); echo "insert into acknowledged values($i) returning n;"; done | psql -qAtX >$d/acknowledged 2>/dev/null & writer=$!
while [ $(wc -l <$d/acknowledged) -lt 50 ]; do sleep 0.2; done
kill -9 $(head -1 $d/data/postmaster.pid)
wait $bench || echo pgbench failed; wait $writer || echo psql failed
# The processes of a dead postmaster end by themselves; a new one refuses to start before.
n=0; until pg_ctl -D $d/data -l $d/log -w -t 120 -o "-k $d -h ''" start >/dev/null 2>&1; do n=$((n + 1)); [ $n -lt 30 ] || die; sleep 0.5; done
grep -c 'was not properly shut down; automatic recovery in progress' $d/log
grep -q 'redo done' $d/log && echo redo done
last=$(tail -1 $d/acknowledged)
ask "select count(*) = max(n) and max(n) between $last and $last + 1 from acknowledged"
ask "$sums"
ask 'select count(*), sum(n) from t'
ask "select count(*) from pgbench_accounts"
# One backend that dies takes the others' connections down, and the server goes on.
ask 'select pg_sleep(30)' >/dev/null 2>&1 & sleeper=$!
until pid=$(ask "select pid from pg_stat_activity where query like 'select pg_sleep%' and state = 'active' and pid <> pg_backend_pid() limit 1") && [ -n "$pid" ]; do sleep 0.1; done
kill -9 $pid; wait $sleeper || echo client lost
n=0; until ask 'select 1' 2>/dev/null; do n=$((n + 1)); [ $n -lt 300 ] || die; sleep 0.1; done
pg_ctl -D $d/data -w -m fast stop >/dev/null
ls $d/data/postmaster.pid 2>/dev/null || echo stopped
rm -rf $d/data
