package apps

import (
	"bytes"
	"os/exec"
	"regexp"
	"testing"

	"gosv/test/target"
)

// with are the flags that put programs into the image. Those that this machine
// lacks are left out.
func with(programs ...string) (flags []string) {
	for _, p := range programs {
		if path, err := exec.LookPath(p); err == nil {
			flags = append(flags, "-v", path+":"+path)
		}
	}
	return flags
}

// tools are what the scripts use.
var tools = []string{"seq", "sort", "head", "tail", "tr", "cat", "wc", "sleep", "sed", "diff", "find", "xargs", "basename", "timeout",
	"kill", "grep", "cp", "rm", "mkdir", "echo", "env", "true", "false", "cut", "tar", "xz", "sh", "touch", "tty"}

const shellScript = `
seq 100 | sort -rn | head -3 | tr '\n' ' '; echo
(cd /; pwd; exit 3) || echo sub=$?
cat <<X | wc -l
a
b
X
trap 'echo got usr1' USR1
kill -USR1 $$
trap 'echo bye' EXIT
sleep 0.2 & p=$!
echo background
wait $p && echo waited
x=$(echo foo | sed s/o/0/g); echo $x
for i in 3 1 2; do (echo $i) & done | sort
( trap '' TERM; kill -TERM $(sh -c 'echo $PPID'); echo survived )
false | true; echo $?
timeout 0.3 sleep 5 || echo timeout=$?
sh -c 'kill -9 $$'; echo killed=$?
mkdir -p /tmp/gosv-shell; cd /tmp/gosv-shell; touch c a b
find . -type f | sort | xargs -n1 basename
seq 20000 > n; tar cf - a b c n | xz -T2 | xz -d | tar tf -
cd /; rm -r /tmp/gosv-shell
exec 3<<Y
here
Y
cat <&3
`

const bashScript = shellScript + `
read a b <<< "x y"; echo $b
diff <(echo a) <(echo b)
false | true; echo ${PIPESTATUS[@]}
coproc cat; echo hi >&${COPROC[1]}; read z <&${COPROC[0]}; echo $z
set -m; sleep 0.1 & fg >/dev/null; echo $?
`

const developScript = `
set -e
d=/tmp/gosv-develop; rm -rf $d; mkdir -p $d; cd $d
export HOME=$d GIT_CONFIG_NOSYSTEM=1 GIT_AUTHOR_DATE='2020-01-01T00:00:00Z' GIT_COMMITTER_DATE='2020-01-01T00:00:00Z'
for f in a b c; do echo "#include <stdio.h>
int $f(void) { return printf(\"$f\\n\"); }" > $f.c; done
echo 'int b(void), c(void); int main(void) { a(); b(); c(); return 0; }' >> a.c
printf 'prog: a.o b.o c.o\n\tgcc -o $@ $^\n%%.o: %%.c\n\tgcc -O1 -c -o $@ $<\n' > Makefile
make -s -j2; ./prog
rm *.o prog
git config --global user.email a@b; git config --global user.name n; git config --global init.defaultBranch main
git init -q .; git add *.c Makefile; git commit -qm first
echo '/* more */' >> a.c; git diff --stat; git commit -qam second
git log --format='%h %s'; git checkout -q -b side HEAD~1; git merge -q main; git gc -q; git fsck
cd /; rm -rf $d
`

const pythonProcesses = `
import asyncio, concurrent.futures as cf, multiprocessing as mp, os, pty, signal, subprocess, sys, time
def square(x): return x * x
print(subprocess.run(["echo", "hi"], capture_output=True, text=True).stdout)
print(subprocess.check_output("seq 10 | wc -l", shell=True))
try: subprocess.run(["sleep", "5"], timeout=0.3)
except subprocess.TimeoutExpired: print("expired")
with mp.Pool(3) as p: print(p.map(square, range(10)))
with cf.ProcessPoolExecutor(2) as e: print(list(e.map(square, range(5))))
q = mp.Queue(); p = mp.Process(target=q.put, args=(42,)); p.start(); print(q.get()); p.join(); print(p.exitcode)
from multiprocessing import shared_memory
s = shared_memory.SharedMemory(create=True, size=100); s.buf[0] = 7
t = shared_memory.SharedMemory(s.name); print(t.buf[0]); t.close(); s.close(); s.unlink()
async def main():
    p = await asyncio.create_subprocess_exec("cat", stdin=-1, stdout=-1)
    print(await p.communicate(b"data"), p.returncode)
asyncio.run(main())
pid, fd = pty.fork()
if pid == 0: os.execvp("sh", ["sh", "-c", "test -t 0 && echo terminal; exit 5"])
print(os.read(fd, 100)); print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
p = os.fork()
if p == 0: signal.pause()
d = os.pidfd_open(p); signal.pidfd_send_signal(d, signal.SIGKILL)
print(os.waitid(os.P_PIDFD, d, os.WEXITED).si_status)
`

const nodeProcesses = `
const cp = require('child_process'), { Worker, isMainThread, parentPort } = require('worker_threads');
console.log(cp.execSync('seq 5 | wc -l').toString());
const w = new Worker("require('worker_threads').parentPort.postMessage([...Array(1000).keys()].reduce((a, b) => a + b))", { eval: true });
w.on('message', m => console.log('worker', m));
w.on('exit', c => {
  const p = cp.spawn('cat'); p.stdout.on('data', d => console.log('' + d));
  p.on('close', c => console.log('close', c)); p.stdin.end('spawned');
});
`

const perlProcesses = `
use strict; my $pid = fork; if (!$pid) { exit 5 } waitpid $pid, 0; print $? >> 8, "\n"; print ` + "`seq 4 | wc -l`" + `;
open(my $h, "-|", "echo", "open") or die; print <$h>; close $h; local $SIG{ALRM} = sub { die "alarm\n" };
eval { alarm 1; select undef, undef, undef, 5; }; print $@; pipe(my $r, my $w);
if (!fork) { print $w "child\n"; exit } close $w; print <$r>; wait;
`

// jobControl drives an interactive bash on a pseudo-terminal.
const jobControl = `
import os, pty, select, sys, time
pid, fd = pty.fork()
if pid == 0:
    os.environ["PS1"] = "% "; os.execvp("bash", ["bash", "--norc", "--noediting", "-i"])
def until(text, limit=20):
    out, end = b"", time.time() + limit
    while text not in out and time.time() < end:
        if select.select([fd], [], [], 0.1)[0]: out += os.read(fd, 4096)
    return text in out
print("prompt", until(b"% "))
for keys, want in [(b"sleep 100\n", b"sleep 100\r\n"), (b"\x1a", b"Stopped"), (b"jobs\n", b"Stopped"), (b"bg\n", b"sleep 100 &"),
        (b"fg\n", b"sleep 100\r\n"), (b"\x03", b"% "), (b"echo status $?\n", b"status 130"), (b"cat | tr a-z A-Z\n", b"tr a-z A-Z\r\n"),
        (b"hello\n\x04", b"HELLO"), (b"test -t 1 && echo ter''minal\n", b"terminal"), (b"exit 5\n", b"exit")]:
    time.sleep(0.3); os.write(fd, keys); print(keys, until(want))
print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
`

// jobs are the numbers that bash gives jobs: IDs differ.
var jobs = regexp.MustCompile(`\[\d+\] \d+`)

func withoutIDs(b []byte) []byte { return jobs.ReplaceAll(bytes.TrimSpace(b), []byte("[job]")) }

// TestProcesses runs programs that make processes.
func TestProcesses(t *testing.T) {
	target.Gosv(t)
	big := target.Machine{CPUs: 2, Memory: 1024}
	two := target.Machine{CPUs: 2, Memory: 512}
	for _, a := range []struct {
		app
		program, what string
	}{
		{app{name: "bash", argv: []string{"/bin/bash", "-c", bashScript}, flags: with(tools...), machine: two, normal: withoutIDs},
			"/bin/bash", "pipelines, subshells, traps, here-documents, process substitution, coprocesses, background jobs"},
		{app{name: "dash", argv: []string{"/bin/dash", "-c", shellScript}, flags: with(tools...), machine: two},
			"/bin/dash", "pipelines, subshells, traps, here-documents, background jobs"},
		{app{name: "busybox", argv: []string{"/usr/bin/busybox", "sh", "-c", shellScript}, flags: with(tools...), machine: two},
			"/usr/bin/busybox", "pipelines, subshells, traps, here-documents, background jobs"},
		{app{name: "develop", argv: []string{"/bin/bash", "-c", developScript}, flags: with(append(tools, "git", "make", "gcc")...), machine: big},
			"/usr/bin/git", "git: init, add, commit, log, diff, checkout, merge, gc, fsck; make -j2 with gcc"},
		{app{name: "python", argv: []string{"/usr/bin/python3", "-c", pythonProcesses}, flags: with(tools...), machine: two},
			"/usr/bin/python3", "subprocess, multiprocessing, concurrent.futures, shared memory, asyncio, pty, pidfd"},
		{app{name: "node", argv: []string{"/usr/bin/node", "-e", nodeProcesses}, flags: with(tools...), machine: big},
			"/usr/bin/node", "worker_threads, child_process"},
		{app{name: "perl", argv: []string{"/usr/bin/perl", "-e", perlProcesses}, flags: with(tools...), machine: two},
			"/usr/bin/perl", "fork, pipes, alarm"},
		{app{name: "jobs", argv: []string{"/usr/bin/python3", "-c", jobControl}, flags: with(append(tools, "bash")...), machine: two},
			"/bin/bash", "an interactive bash on a pseudo-terminal: ^Z, jobs, bg, fg, ^C"},
	} {
		t.Run(a.name, func(t *testing.T) {
			keep(t, a.program, a.what)
			a.run(t)
		})
	}
}
