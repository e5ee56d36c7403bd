package apps

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"gosv/test/target"
)

const gdbOneProcess = `
break square
run
bt
info registers eflags cs ss
print $mxcsr
print half * 3
print n
set var n = 10
print n
watch counter
continue
step
next
print counter
delete
print square(5)
break work
continue
bt 1
info threads
thread 1
delete
catch syscall exit_group
continue
print $rdi
stepi
`

const gdbChild = `
set detach-on-fork off
set follow-fork-mode child
break square if n == 9
run
print n
info inferiors
finish
kill
inferior 1
continue
`

const gdbCrash = `
run x
print $_siginfo._sifields._sigfault.si_addr
bt
info registers rax
kill
`

// whatDiffers is what differs from run to run in the output of debuggers:
// addresses, IDs, and times, what a debugger says of threads in passing.
var whatDiffers = regexp.MustCompile(`(?m)0x[0-9a-f]+| +|(LWP|process|[Pp]id) \d+|^\[.*\]\n|^\d+ +|si_(pid|utime|stime)=\d+( /\*.*?\*/)?|^.*Id +Target Id.*\n`)

func steady(b []byte) []byte { return bytes.TrimSpace(whatDiffers.ReplaceAll(b, nil)) }

// interesting is what does not depend on the order in which processes run.
var interesting = regexp.MustCompile(`execve\("[^"]*",\[[^\]]*\]|---SIGTERM.*|\+\+\+.*\+\+\+`)

func sorted(b []byte) []byte {
	lines := interesting.FindAll(steady(b), -1)
	slices.SortFunc(lines, bytes.Compare)
	return bytes.Join(lines, []byte("\n"))
}

// TestDebuggers runs Debian's strace and gdb, unmodified, in the guest.
func TestDebuggers(t *testing.T) {
	target.Gosv(t)
	dir := filepath.Join(target.Root(), "build/test/debug")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	program, source := filepath.Join(dir, "debug"), filepath.Join(target.Root(), "test/guest/debug/debug.c")
	if out, err := exec.Command("gcc", "-g", "-O0", "-fno-pie", "-no-pie", "-o", program, source, "-lpthread").CombinedOutput(); err != nil {
		t.Skipf("gcc: %v %s", err, out)
	}
	two := target.Machine{CPUs: 2, Memory: 512}
	flags := append(with("true", "busybox"), "-v", dir+":"+dir, "-v", source+":"+source)
	strace := func(args ...string) []string {
		return append([]string{"/usr/bin/strace", "-q", "-o", "/dev/stdout"}, args...)
	}
	gdb := func(name, script string) []string {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte("set pagination off\nset debuginfod enabled off\nset debug-file-directory /none\nset confirm off\n"+script), 0o644); err != nil {
			t.Fatal(err)
		}
		return []string{"/usr/bin/gdb", "-q", "-batch", "-nx", "-x", file, program}
	}
	pipeline := `busybox echo a b | busybox tr a-z A-Z; busybox false || kill -TERM $$`
	for _, a := range []app{
		{name: "strace", argv: strace("-e", "trace=execve,write,exit_group", "-e", "quiet=none", program), machine: two, flags: flags, normal: steady},
		{name: "strace-f", argv: strace("-f", "-e", "trace=execve,write,dup2,exit_group", "-e", "quiet=none", "/usr/bin/busybox", "sh", "-c", pipeline),
			machine: two, flags: flags, normal: sorted},
		{name: "strace-c", argv: strace("-c", "-S", "name", "-U", "calls,name", "-e", "trace=write,clone,wait4", "/usr/bin/busybox", "echo", "x"),
			machine: two, flags: flags, normal: steady},
		{name: "strace-p", argv: []string{"/usr/bin/busybox", "sh", "-c",
			`busybox sleep 100 & p=$!; until busybox grep -q State:.S /proc/$p/status; do busybox sleep 0.1; done
strace -q -e trace=clock_nanosleep,nanosleep -o /dev/stdout -p $p & q=$!
until busybox grep -q TracerPid:.[1-9] /proc/$p/status; do busybox sleep 0.1; done
kill $q; while busybox grep -q TracerPid:.[1-9] /proc/$p/status; do busybox sleep 0.1; done; kill $p; wait; echo end`},
			machine: two, flags: append(with("strace"), flags...), normal: steady},
		{name: "gdb", argv: gdb("one", gdbOneProcess), machine: two, flags: flags, normal: steady},
		{name: "gdb-child", argv: gdb("child", gdbChild), machine: two, flags: flags, normal: steady},
		{name: "gdb-core", argv: []string{"/usr/bin/busybox", "sh", "-c", `cd $(busybox mktemp -d); ulimit -c unlimited; ` + program + ` x; echo status $?
gdb -q -batch -nx -ex 'set debug-file-directory /none' -ex 'set debuginfod enabled off' -ex 'core-file core' -ex bt -ex 'print $_siginfo.si_signo' -ex 'print counter' -ex 'x/i $pc' -ex 'info registers mxcsr' ` + program},
			machine: two, flags: append(with("gdb"), flags...), normal: steady},
		{name: "gdb-crash", argv: gdb("crash", gdbCrash), machine: two, flags: flags, normal: steady},
	} {
		t.Run(a.name, func(t *testing.T) {
			program, _, _ := strings.Cut(a.name, "-")
			keep(t, "/usr/bin/"+program, map[string]string{"strace": "system calls of a program", "strace-f": "of a pipeline of a shell", "strace-c": "counts them",
				"strace-p": "attaches, detaches", "gdb": "breakpoints, watchpoints, registers, threads, calls in the program", "gdb-child": "follows a child",
				"gdb-core": "reads a core dump that the kernel wrote", "gdb-crash": "a program that crashes"}[a.name])
			a.run(t)
		})
	}
}
