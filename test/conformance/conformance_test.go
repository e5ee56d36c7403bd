// Package conformance runs the guest programs of test/guest on this machine first and then in the guest, many of them in
// one boot, and wants the same output and status of both.
package conformance

import (
	"os"
	"path/filepath"
	"sort"
	"strings"
	"sync"
	"testing"
	"time"

	"gosv/test/target"
)

// limit is how long a program may take. On the host the slowest takes seconds;
// the guest may be an emulated one on a busy machine.
const (
	hostLimit  = time.Minute
	guestLimit = 150 * time.Second
)

// sources lists the files of a folder under test/guest.
func sources(t testing.TB, dir, ext string) (list []string) {
	files, err := filepath.Glob(filepath.Join(target.Root(), "test/guest", dir, "*"+ext))
	if err != nil || len(files) == 0 {
		t.Fatalf("no programs in test/guest/%s: %v", dir, err)
	}
	for _, f := range files {
		list = append(list, filepath.Join(dir, filepath.Base(f)))
	}
	sort.Strings(list)
	return list
}

// programs are all guest programs, each with the ways of linking that show
// something.
func programs(t testing.TB) (list []target.Program) {
	for _, s := range sources(t, "c", ".c") {
		switch filepath.Base(s) {
		case "hello.c":
			for _, l := range []target.Linking{target.Static, target.StaticPIE, target.Dynamic, target.NoPIE, target.MuslStatic, target.MuslDynamic} {
				list = append(list, target.Program{Source: s, Linking: l, Status: 7})
			}
		case "stdio.c":
			list = append(list, target.Program{Source: s, Linking: target.Static, Args: []string{"one", "two words", ""}, Status: 42})
		case "threads.c", "signals.c":
			list = append(list, target.Program{Source: s, Linking: target.Dynamic}, target.Program{Source: s, Linking: target.Static})
		default:
			list = append(list, target.Program{Source: s, Linking: target.Static})
		}
	}
	list = append(list,
		target.Program{Source: "c/threads.c", Linking: target.MuslStatic},
		target.Program{Source: "cxx/cxx.cc", Linking: target.Cxx},
		target.Program{Source: "cxx/cxx.cc", Linking: target.CxxStatic},
		target.Program{Source: "cxx/terminate.cc", Linking: target.Cxx, Status: 134},
		target.Program{Source: "go/runtime", Linking: target.Go},
		target.Program{Source: "go/runtime", Linking: target.GoPIE},
		target.Program{Source: "go/timers", Linking: target.Go},
		target.Program{Source: "go/signals", Linking: target.Go},
		target.Program{Source: "go/files", Linking: target.Go},
		target.Program{Source: "go/exits", Linking: target.Go, Status: 33},
		target.Program{Source: "go/crash", Linking: target.Go, Status: 2},
		target.Program{Source: "go/garbage", Linking: target.Go, Args: []string{"300"}},
	)
	for _, s := range sources(t, "crash", ".c") {
		list = append(list, target.Program{Source: s, Linking: target.Static, Status: crashes[filepath.Base(s)]})
	}
	return list
}

// crashes are the statuses of the programs in test/guest/crash.
var crashes = map[string]int{"null.c": 139, "stack.c": 139, "thread.c": 139, "exec.c": 139, "abort.c": 134, "divide.c": 136,
	"illegal.c": 132, "sigbus.c": 135, "killed.c": 143}

// run is a program that was built, and what it did on the host.
type run struct {
	target.Program
	argv []string
	host target.Result
}

var (
	once  sync.Once
	ready []run
)

// only is a part of a name: of GOSV_TEST_PROGRAM, to run the programs with it in their names alone.
var only = os.Getenv("GOSV_TEST_PROGRAM")

// prepare builds all programs and runs them on the host, once.
func prepare(t *testing.T) []run {
	once.Do(func() {
		for _, p := range programs(t) {
			if !strings.Contains(p.Name(), only) {
				continue
			}
			t.Run("host/"+p.Name(), func(t *testing.T) {
				r := run{Program: p}
				r.argv = append([]string{target.Build(t, p)}, p.Args...)
				r.host = target.Host(t, hostLimit, p.Stdin, r.argv...)
				switch {
				case r.host.Trouble != "":
					t.Fatal(r.host.Trouble)
				case r.host.Status != p.Status || strings.Contains(string(r.host.Stdout), "not ok"):
					t.Fatalf("status %d, want %d\n%s%s", r.host.Status, p.Status, r.host.Stdout, r.host.Stderr)
				}
				ready = append(ready, r)
			})
		}
	})
	return ready
}

// TestGuest runs everything in a guest with two CPUs.
func TestGuest(t *testing.T) {
	guests(t, target.Machine{CPUs: 2, Memory: 256}, prepare(t), func(run) bool { return true })
}

// concurrent are the programs whose outcome may depend on the number of CPUs.
var concurrent = map[string]bool{"threads": true, "futex": true, "signals": true, "timers": true, "fpu": true, "mmap": true,
	"pipes": true, "epoll": true, "runtime": true, "cxx": true, "process": true, "ptrace": true, "ptrace-exec": true, "sched-rt": true, "sched-attr": true}

func isConcurrent(r run) bool { return concurrent[filepath.Base(r.argv[0])] }

// TestOneCPU runs those where concurrency matters on one CPU.
func TestOneCPU(t *testing.T) {
	guests(t, target.Machine{CPUs: 1, Memory: 128}, prepare(t), isConcurrent)
}

// TestFourCPUs runs them on four, on another machine type.
func TestFourCPUs(t *testing.T) {
	guests(t, target.Machine{CPUs: 4, Memory: 512, Type: "q35"}, prepare(t), isConcurrent)
}

func guests(t *testing.T, m target.Machine, runs []run, wanted func(run) bool) {
	target.Kernel(t)
	var chosen []run
	var commands []target.Command
	for _, r := range runs {
		if wanted(r) {
			chosen = append(chosen, r)
			commands = append(commands, target.Command{Argv: r.argv})
		}
	}
	if len(chosen) == 0 {
		t.Skip("no program was built: sh test/setup.sh installs compilers")
	}
	start := time.Now()
	results := target.Batch(t, m, guestLimit, commands)
	t.Logf("%d programs in %v", len(chosen), time.Since(start).Round(time.Second/10))
	for i, r := range chosen {
		t.Run(m.String()+"/"+r.Name(), func(t *testing.T) {
			target.Same(t, r.host, results[i])
		})
	}
}
