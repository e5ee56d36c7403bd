package target

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"syscall"
	"testing"
	"time"
)

// Result is what a run did.
type Result struct {
	Stdout, Stderr []byte
	Status         int    // exit status, 128+signal if a signal ended it
	Trouble        string // why there is no proper end: a time-out, a crash of the kernel
	Log            []byte // the kernel's log, in a guest
}

// Env is the environment that programs get on both targets, with the folder
// for their files.
func Env(tmp string) []string {
	return []string{"PATH=/usr/local/bin:/usr/bin:/bin", "HOME=/root", "LANG=C", "TZ=UTC", "TMPDIR=" + tmp}
}

// Host runs a program on this machine.
func Host(t testing.TB, timeout time.Duration, stdin string, argv ...string) Result {
	t.Helper()
	tmp, err := os.MkdirTemp("", "gosv-host-*")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(tmp)
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Dir = "/"
	cmd.Env = Env(tmp)
	cmd.Stdin = bytes.NewReader([]byte(stdin))
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return finish(cmd, timeout)
}

// finish runs a command, for no longer than a time on a quiet machine.
func finish(cmd *exec.Cmd, timeout time.Duration) Result {
	var r Result
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	cmd.WaitDelay = 5 * time.Second
	if err := cmd.Start(); err != nil {
		r.Trouble = err.Error()
		r.Status = -1
		return r
	}
	start := time.Now()
	stop := overdue(func() time.Time { return start }, timeout, func() { cmd.Process.Kill() }) //nolint:errcheck // it has ended
	err := cmd.Wait()
	if stop() {
		r.Trouble = fmt.Sprintf("still running after %v", time.Since(start).Round(time.Second))
	}
	r.Stdout, r.Stderr = out.Bytes(), errs.Bytes()
	state := cmd.ProcessState
	switch ws, ok := state.Sys().(syscall.WaitStatus); {
	case ok && ws.Signaled():
		r.Status = 128 + int(ws.Signal())
	default:
		r.Status = state.ExitCode()
	}
	if err != nil && r.Status == 0 {
		r.Trouble = err.Error()
	}
	return r
}

var skipped = regexp.MustCompile(`(?m) # skip .*$`)

// Same compares standard output and status of two runs. What a program could
// not check on one of them ("# skip reason") counts as checked.
func Same(t testing.TB, host, guest Result) {
	t.Helper()
	if host.Trouble != "" {
		t.Fatalf("host: %s", host.Trouble)
	}
	if guest.Trouble != "" {
		t.Errorf("guest: %s", guest.Trouble)
	}
	if guest.Status != host.Status {
		t.Errorf("status: guest %d, host %d", guest.Status, host.Status)
	}
	SameText(t, "standard output", skipped.ReplaceAll(host.Stdout, nil), skipped.ReplaceAll(guest.Stdout, nil))
	if t.Failed() {
		if len(guest.Stderr) > 0 {
			t.Logf("guest's standard error:\n%s", tail(guest.Stderr, 2000))
		}
		if len(guest.Log) > 0 {
			t.Logf("the kernel's log:\n%s", tail(guest.Log, 4000))
		}
	}
}

// SameText compares two texts and shows where they part.
func SameText(t testing.TB, what string, host, guest []byte) {
	t.Helper()
	if bytes.Equal(host, guest) {
		return
	}
	h, g := bytes.SplitAfter(host, []byte("\n")), bytes.SplitAfter(guest, []byte("\n"))
	shown := 0
	for i := 0; (i < len(h) || i < len(g)) && shown < 8; i++ {
		var a, b []byte
		if i < len(h) {
			a = h[i]
		}
		if i < len(g) {
			b = g[i]
		}
		if !bytes.Equal(a, b) {
			t.Errorf("%s, line %d:\n host  %q\n guest %q", what, i+1, cut(a), cut(b))
			shown++
		}
	}
	t.Logf("%s: %d bytes on the host, %d in the guest", what, len(host), len(guest))
}

func cut(b []byte) []byte {
	if len(b) > 300 {
		return b[:300]
	}
	return b
}

func tail(b []byte, n int) []byte {
	if len(b) > n {
		return b[len(b)-n:]
	}
	return b
}
