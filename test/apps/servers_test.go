package apps

import (
	"os"
	"path/filepath"
	"testing"

	"gosv/test/target"
)

// postgres are the programs of PostgreSQL, which are in no $PATH.
func postgres() (flags []string) {
	for _, name := range []string{"postgres", "initdb", "pg_ctl", "psql", "pgbench"} {
		paths, _ := filepath.Glob("/usr/lib/postgresql/*/bin/" + name)
		for _, p := range paths {
			flags = append(flags, "-v", p+":"+p)
		}
	}
	return flags
}

// TestServers runs servers of several processes with clients beside them, in one
// guest, under a script that also kills them.
func TestServers(t *testing.T) {
	target.Gosv(t)
	t.Setenv("PATH", os.Getenv("PATH")+":/usr/sbin")
	scripts := append(tools, "cmp", "curl", "pgrep", "od", "uniq", "mv", "id", "chown", "ls", "awk")
	for _, s := range []struct {
		name, arg string
		needs     []string
		flags     []string
		memory    int64
		what      string
	}{
		{"postgres", load("5", "60"), []string{"/usr/lib/postgresql", "/usr/bin/setpriv"}, append(postgres(), with("setpriv")...), 768,
			"a cluster, clients, pgbench, recovery after the server is killed"},
		{"nginx", load("5", "1000"), []string{"/usr/sbin/nginx", "/usr/bin/curl", "/usr/bin/pgrep"}, with("nginx"), 512,
			"two workers, files, ranges, a proxy, a new configuration, logs opened anew, a worker that is killed"},
		{"redis", load("2000", "100000"), []string{"/usr/bin/redis-server", "/usr/bin/redis-benchmark"}, with("redis-server", "redis-cli", "redis-benchmark"), 512,
			"snapshots and a rewrite of the log under load by forked children, the data after the server was killed"},
	} {
		t.Run(s.name, func(t *testing.T) {
			a := app{argv: []string{"/bin/sh", guest("sh/" + s.name + ".sh"), s.arg}, flags: append(with(scripts...), s.flags...),
				machine: target.Machine{CPUs: 2, Memory: s.memory}}
			a.needs(t, s.needs...)
			program := s.needs[0]
			if servers, _ := filepath.Glob(program + "/*/bin/postgres"); len(servers) > 0 {
				program = servers[0]
			}
			keep(t, program, s.what)
			a.run(t)
		})
	}
}

const procps = `
PATH=$PATH:/usr/sbin
sleep 100 & p=$!
ps -o comm= -p $p; ps -o ppid= -p $p | grep -qw $$ && echo child
ps aux | awk 'NR == 1 { $1 = $1; print } $2 == '$p' { print $1, $NF }'
ps -eo pid,stat,tty,args | awk '$1 == '$p' { print substr($2, 1, 1), $4, $5 }'
ps -eLo pid,lwp,comm | awk '$1 == '$p' { print $1 == $2, $3 }'
pgrep -P $$ -x sleep | wc -l
top -b -n 2 -d 0.2 -p $p | awk '/^ *'$p' / { print $NF }'
top -b -n 1 | head -5 | sed '/^%Cpu/s/\([:,]\) *\([0-9]\)/\1 \2/g; s/[0-9.,:+]*[0-9]/N/g; s/ [a-z ]*up .*//; s/  */ /g'
free -m | awk '{ print $1, NF }'
free -b | awk '/Mem:/ { print ($2 > 1e8), ($2 >= $3), ($7 > 0) }'
vmstat 1 2 | wc -l; vmstat -s | grep -c 'K total memory\|boot time'
uptime -p >/dev/null && echo uptime; [ $(nproc) -ge 1 ] && echo nproc
pkill -P $$ -x sleep; wait $p; echo $?
sysctl -n kernel.ostype; pmap $$ | tail -1 | sed 's/[0-9]/N/g; s/N*NK/NK/; s/  */ /g'
(ulimit -n 77; exec prlimit --nofile --noheadings -o SOFT)
`

// TestProcps looks at processes and memory with the programs for that.
func TestProcps(t *testing.T) {
	target.Gosv(t)
	t.Setenv("PATH", os.Getenv("PATH")+":/usr/sbin:/sbin")
	a := app{argv: []string{"/bin/bash", "-c", procps}, machine: target.Machine{CPUs: 2, Memory: 512},
		flags: with(append(tools, "ps", "top", "free", "vmstat", "uptime", "nproc", "pgrep", "pkill", "awk", "sysctl", "pmap", "prlimit")...)}
	a.needs(t, "/usr/bin/ps", "/usr/bin/pgrep")
	keep(t, "/usr/bin/ps", "`ps`, `top`, `free`, `vmstat`, `pgrep`, `pkill`, `pmap`, `sysctl` look at processes and memory")
	a.run(t)
}
