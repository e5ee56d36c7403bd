package task

import (
	"testing"

	"golang.org/x/sys/unix"
	"gosv/kernel/vfs"
)

func TestCoreName(t *testing.T) {
	th := NewThread(nil, nil, nil)
	th.TID, th.Proc.PID = 12, 11
	th.SetComm("a/b")
	th.creds.Store(&vfs.Creds{UID: 5, GID: 6})
	SetHostname("box")
	for pattern, want := range map[string]string{
		"core":                 "core",
		"/tmp/core.%p":         "/tmp/core.11",
		"%P-%i-%I-%u-%g-%d-%s": "11-12-12-5-6-1-11",
		"%h.%e.%t.%%":          "box.a!b.7.%",
		"%c":                   "0",
		"%z%":                  "",
	} {
		if got := th.coreName(pattern, int(unix.SIGSEGV), 7e9); got != want {
			t.Errorf("%s: %q, want %q", pattern, got, want)
		}
	}
	coreUsesPID.Store(1)
	defer coreUsesPID.Store(0)
	if got := th.coreName("core", 11, 0) + " " + th.coreName("c%p", 11, 0); got != "core.11 c11" {
		t.Errorf("with core_uses_pid: %q", got)
	}
	th.SetComm("..")
	if got := th.coreName("x/%e", 11, 0); got != "x/!!.11" {
		t.Errorf("a name of two dots: %q", got)
	}
	if SetCorePattern("|/bin/program") != unix.EINVAL {
		t.Error("a pattern that starts a program is accepted")
	}
}
