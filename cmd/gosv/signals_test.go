package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestSignals ends the tool and looks for what is left of QEMU.
func TestSignals(t *testing.T) {
	const none = syscall.Signal(0)
	for _, c := range []struct {
		mode   string
		sig    [2]syscall.Signal
		pause  time.Duration // after each
		status int
		stderr string
	}{
		{"server", [2]syscall.Signal{syscall.SIGTERM, none}, 2 * together, 7, ""},
		{"server", [2]syscall.Signal{syscall.SIGHUP, syscall.SIGTERM}, 2 * together, 7, ""},
		{"server", [2]syscall.Signal{syscall.SIGINT, none}, 2 * together, 130, ""},
		{"server", [2]syscall.Signal{syscall.SIGTERM, syscall.SIGTERM}, together / 10, 7, ""}, // timeout(1)
		{"deaf", [2]syscall.Signal{syscall.SIGTERM, none}, 2 * together, 143, "gosv: ./hello did not end within 500ms of SIGTERM, killing it\n"},
		{"hangs", [2]syscall.Signal{syscall.SIGINT, none}, 2 * together, 130, "gosv: ./hello did not end within 500ms of SIGINT, killing it\n"},
		{"hangs", [2]syscall.Signal{syscall.SIGINT, syscall.SIGINT}, 2 * together, 130, ""},
		{"hangs", [2]syscall.Signal{syscall.SIGTERM, syscall.SIGTERM}, 2 * together, 143, ""},
		{"hangs", [2]syscall.Signal{syscall.SIGKILL, none}, 2 * together, -1, ""},
	} {
		cmd := newTool(t, c.mode).command("run", "./hello")
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		var pid int
		if _, err := fmt.Fscan(out, &pid); err != nil {
			t.Fatal(err)
		}
		for _, sig := range c.sig {
			if sig != none {
				cmd.Process.Signal(sig) //nolint:errcheck // Wait tells
				time.Sleep(c.pause)
			}
		}
		rest, _ := io.ReadAll(out)
		cmd.Wait() //nolint:errcheck // the status is looked at
		if got := cmd.ProcessState.ExitCode(); got != c.status || strings.TrimPrefix(stderr.String(), "ready\n") != c.stderr {
			t.Errorf("%s %v: status %d, %q %q; want %d, %q", c.mode, c.sig, got, rest, stderr.String(), c.status, c.stderr)
		}
		if c.mode == "deaf" && !strings.Contains(string(rest), "last words") {
			t.Errorf("%s: the machine's last output is lost: %q", c.mode, rest)
		}
		gone(t, pid)
	}
}

// gone checks that a hypervisor has ended.
func gone(t *testing.T, pid int) {
	t.Helper()
	for i := 0; syscall.Kill(pid, 0) == nil && !zombie(pid); i++ {
		if i == 100 {
			t.Errorf("QEMU goes on")
			syscall.Kill(pid, syscall.SIGKILL) //nolint:errcheck // it is ours
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// zombie tells a process that has ended and that nobody waits for: in a
// container the first process may never do so.
func zombie(pid int) bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err != nil || strings.Contains(string(b), ") Z ")
}
