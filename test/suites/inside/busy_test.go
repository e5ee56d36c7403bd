package main

import (
	"os/exec"
	"syscall"
	"testing"
	"time"
)

func TestSessionTicks(t *testing.T) {
	cmd := exec.Command("sh", "-c", "while :; do :; done")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		t.Skip(err)
	}
	defer cmd.Wait()
	defer cmd.Process.Kill()
	for end := time.Now().Add(time.Minute); sessionTicks(cmd.Process.Pid) < 2; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("a loop uses no CPU time")
		}
	}
	if n := sessionTicks(1 << 30); n != 0 {
		t.Errorf("no session: %d ticks", n)
	}
}
