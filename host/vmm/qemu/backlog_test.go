package qemu

import (
	"errors"
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"gosv/host/vmm"
)

// TestRaiseBacklogs does to this process what is done to QEMU.
func TestRaiseBacklogs(t *testing.T) {
	var fds [2]int
	var ports [2]uint16
	for i := range fds {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(fd)
		if err := errors.Join(unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}), unix.Listen(fd, 1)); err != nil {
			t.Fatal(err)
		}
		name, err := unix.Getsockname(fd)
		if err != nil {
			t.Fatal(err)
		}
		fds[i], ports[i] = fd, uint16(name.(*unix.SockaddrInet4).Port)
	}
	room := func(i int) uint32 {
		t.Helper()
		info, err := unix.GetsockoptTCPInfo(fds[i], unix.IPPROTO_TCP, unix.TCP_INFO)
		if err != nil {
			t.Fatal(err)
		}
		return info.Sacked // of a listening socket: its backlog
	}
	if self, err := unix.PidfdOpen(os.Getpid(), 0); err != nil {
		t.Skipf("no pidfd_open: %v; use Linux 5.6 or later", err)
	} else if fd, err := unix.PidfdGetfd(self, fds[0], 0); err != nil {
		t.Skipf("no pidfd_getfd: %v; allow ptrace in this container", err)
	} else {
		unix.Close(fd)
		unix.Close(self)
	}
	raiseBacklogs(os.Getpid(), []vmm.Network{{Publish: []vmm.Publish{{HostPort: ports[0]}}}}, nil)
	if room(0) < 100 || room(1) != 1 {
		t.Errorf("the backlogs are %d and %d, want many and 1", room(0), room(1))
	}
}
