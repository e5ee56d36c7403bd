// Package boot starts guests on every machine type, with one to eight CPUs and with little and much memory, and checks
// what `gosv run` does with a program's streams and status.
package boot

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"gosv/test/target"
)

const limit = time.Minute

// small is memory, in MiB, that must do for a static program.
const small = 16

var types = []string{"microvm", "q35", "pc"}

func TestMachines(t *testing.T) {
	target.Gosv(t)
	program := target.Build(t, target.Program{Source: "boot/machine.c", Linking: target.Static})
	var machines []target.Machine
	for _, typ := range types {
		for _, cpus := range []int{1, 2, 4, 8} {
			machines = append(machines, target.Machine{Type: typ, CPUs: cpus, Memory: 128})
		}
		for _, memory := range []int64{small, 4 << 10, 16 << 10} {
			machines = append(machines, target.Machine{Type: typ, CPUs: 2, Memory: memory})
		}
	}
	for _, m := range machines {
		t.Run(m.String(), func(t *testing.T) {
			if free := available(t); m.Memory > 1<<10 && free < m.Memory+1024 {
				t.Skipf("the host has %d MiB to spare: it takes %d", free, m.Memory+1024)
			}
			r := target.Run(t, m, limit, "", nil, program, strconv.Itoa(m.CPUs), strconv.FormatInt(m.Memory, 10))
			want := fmt.Sprintf("%d CPUs, %d MiB: ok\n", m.CPUs, m.Memory)
			if r.Status != 0 || string(r.Stdout) != want || r.Trouble != "" {
				t.Errorf("status %d, %s\nstdout %q\nstderr %s", r.Status, r.Trouble, r.Stdout, r.Stderr)
			}
		})
	}
}

// available is the host's free memory in MiB.
func available(t *testing.T) int64 {
	b, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile(`MemAvailable:\s+(\d+) kB`).FindSubmatch(b)
	if m == nil {
		return 0
	}
	n, _ := strconv.ParseInt(string(m[1]), 10, 64)
	return n >> 10
}

// TestStreams has a program read a megabyte and write one, on each machine type.
func TestStreams(t *testing.T) {
	target.Gosv(t)
	program := target.Build(t, target.Program{Source: "c/stdio.c", Linking: target.Static})
	var in strings.Builder
	for i := 0; in.Len() < 1<<20; i++ {
		fmt.Fprintf(&in, "line %d\r of input %x\n", i, sha256.Sum256([]byte{byte(i), byte(i >> 8)}))
	}
	for _, stdin := range []string{"", "no newline", in.String()} {
		host := target.Host(t, limit, stdin, program, "a b", "", "--help")
		for _, typ := range types {
			t.Run(fmt.Sprintf("%s-%d", typ, len(stdin)), func(t *testing.T) {
				guest := target.Run(t, target.Machine{Type: typ}, limit, stdin, nil, program, "a b", "", "--help")
				target.Same(t, host, guest)
				target.SameText(t, "standard error", host.Stderr, guest.Stderr)
			})
		}
	}
}

// TestBinary passes every byte through, both ways.
func TestBinary(t *testing.T) {
	target.Gosv(t)
	all := make([]byte, 1<<16)
	for i := range all {
		all[i] = byte(i ^ i>>8)
	}
	r := target.Run(t, target.Machine{}, limit, string(all), nil, "/bin/cat")
	if r.Status != 0 || !bytes.Equal(r.Stdout, all) || len(r.Stderr) != 0 || r.Trouble != "" {
		t.Errorf("status %d, %s, %d bytes of %d back, stderr %q", r.Status, r.Trouble, len(r.Stdout), len(all), r.Stderr)
	}
}

// TestCrashes wants Linux's status, and a line that names signal, address and
// instruction.
func TestCrashes(t *testing.T) {
	target.Gosv(t)
	for _, c := range []struct {
		name, signal, address string
		status                int
	}{
		{"null", "SIGSEGV", "0x0", 139},
		{"stack", "SIGSEGV", "0x[0-9a-f]+", 139},
		{"abort", "SIGABRT", "", 134},
		{"divide", "SIGFPE", "0x[0-9a-f]+", 136},
		{"illegal", "SIGILL", "0x[0-9a-f]+", 132},
		{"sigbus", "SIGBUS", "0x[0-9a-f]+", 135},
	} {
		t.Run(c.name, func(t *testing.T) {
			program := target.Build(t, target.Program{Source: "crash/" + c.name + ".c", Linking: target.Static})
			host := target.Host(t, limit, "", program)
			if host.Status != c.status {
				t.Fatalf("host: status %d, want %d", host.Status, c.status)
			}
			guest := target.Run(t, target.Machine{}, limit, "", nil, program)
			target.Same(t, host, guest)
			line := regexp.MustCompile(`(?m)^.*` + c.signal + `.*$`).Find(guest.Stderr)
			if line == nil {
				t.Fatalf("no line names %s:\n%s", c.signal, guest.Stderr)
			}
			t.Logf("%s", line)
			if c.address == "" {
				return
			}
			if !regexp.MustCompile(c.address + `\b`).Match(line) {
				t.Errorf("no address %s in: %s", c.address, line)
			}
			if !regexp.MustCompile(`ip[ =:]*(0x)?[0-9a-f]{6,}|at (0x)?[0-9a-f]{6,}`).Match(line) {
				t.Errorf("no instruction in: %s", line)
			}
		})
	}
}

// TestHello prints how long `gosv run` of a hello world takes, the image being
// in the cache. A time is reported, not asserted: machines differ.
func TestHello(t *testing.T) {
	target.Gosv(t)
	for _, l := range []target.Linking{target.Static, target.Dynamic} {
		program := target.Build(t, target.Program{Source: "c/hello.c", Linking: l})
		host := target.Host(t, limit, "", program)
		for range 3 {
			start := time.Now()
			target.Same(t, host, target.Run(t, target.Machine{}, limit, "", nil, program))
			t.Logf("%s: gosv run took %v", l, time.Since(start).Round(time.Millisecond))
		}
	}
}
