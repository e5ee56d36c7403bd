package main

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// The standard library's tests of package slices hold for the sorting that replaces its own.
func TestSorts(t *testing.T) {
	root, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	replace := map[string]string{}
	for name, text := range sorts {
		file := filepath.Join(dir, filepath.Base(name))
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		replace[filepath.Join(strings.TrimSpace(string(root)), "src", name)] = file
	}
	b, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		t.Fatal(err)
	}
	overlay := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(overlay, b, 0o644); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("go", "test", "-overlay", overlay, "slices").CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// The network stack's own token bucket.
func TestRate(t *testing.T) {
	const test = `package rate

import (
	"testing"
	"time"
)

func TestLimiter(t *testing.T) {
	now := time.Unix(1000, 0)
	l := NewLimiter(10, 3)
	take := func(after time.Duration, n, want int) {
		t.Helper()
		now = now.Add(after)
		got := 0
		for range n {
			if l.AllowN(now, 1) {
				got++
			}
		}
		if got != want {
			t.Errorf("%d of %d, want %d", got, n, want)
		}
	}
	take(0, 5, 3)                       // the bucket is full at first
	take(90*time.Millisecond, 1, 0)     // not a whole token yet
	take(20*time.Millisecond, 2, 1)
	take(-time.Hour, 1, 0)              // a clock that was set back
	take(100*time.Millisecond, 2, 1)
	take(time.Hour, 5, 3)               // no more than the bucket holds
	l.SetBurstAt(now, 1)
	take(time.Hour, 3, 1)
	l.SetLimitAt(now, Every(time.Second))
	take(500*time.Millisecond, 1, 0)
	take(500*time.Millisecond, 2, 1)
	l.SetLimitAt(now, Inf)
	take(0, 100, 100)
	if l.Burst() != 1 || l.Limit() != Inf || Every(0) != Inf {
		t.Error(l.Burst(), l.Limit())
	}
}
`
	dir := t.TempDir()
	for name, text := range map[string]string{"go.mod": "module rate\n\ngo 1.24\n", "rate.go": stackRate, "rate_test.go": test} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	c := exec.Command("go", "test", ".")
	c.Dir = dir
	if out, err := c.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// The kernel's tests of its network hold with the stack as it is changed for the kernel.
func TestStack(t *testing.T) {
	t.Chdir("../..")
	modfile, err := replaceStack(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	args := []string{"test", "-count=1", "-modfile", modfile}
	if _, err := exec.LookPath("gcc"); err == nil { // which the race detector needs
		args = append(args, "-race")
	}
	if out, err := exec.Command("go", append(args, "./kernel/net/...")...).CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// A build gives the same kernel wherever its temporary folder is.
func TestReproducible(t *testing.T) {
	t.Chdir("../..")
	var first []byte
	for _, dir := range []string{t.TempDir(), filepath.Join(t.TempDir(), "a-longer-name")} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		t.Setenv("TMPDIR", dir)
		out := filepath.Join(dir, "kernel.elf")
		if err := run(options{out: out, pkg: "./cmd/gosv-kernel", profile: "full"}); err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(out)
		if err != nil {
			t.Fatal(err)
		}
		if first == nil {
			first = b
		} else if !bytes.Equal(first, b) {
			t.Error("two builds differ")
		}
	}
}
