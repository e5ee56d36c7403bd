package qemu

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"gosv/host/vmm"
)

// QEMU's user network listens on a published port with room for one connection that has not been accepted; of a burst,
// the others are tried again by their clients a second later and more. listen(2) on a listening socket changes that
// room, and the socket can be had from QEMU's process (pidfd_getfd(2)), which is a child of this one.

const (
	backlog      = 4096 // as much as Linux gives by default
	backlogTries = 300
	backlogPause = 10 * time.Millisecond
)

// raiseBacklogs makes room for bursts of connections at the published ports,
// once QEMU has opened them. Where it is not allowed, nothing is done.
func raiseBacklogs(pid int, networks []vmm.Network, done <-chan struct{}) {
	ports := map[uint16]bool{}
	for _, n := range networks {
		for _, p := range n.Publish {
			if !p.UDP {
				ports[p.HostPort] = true
			}
		}
	}
	if len(ports) == 0 {
		return
	}
	process, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return
	}
	defer unix.Close(process)
	for range backlogTries {
		if left, err := raiseBacklog(pid, process, ports); err != nil || left == 0 {
			return
		}
		select {
		case <-done:
			return
		case <-time.After(backlogPause):
		}
	}
}

// raiseBacklog looks for listening sockets once. It takes the ports that it
// found out of the set.
func raiseBacklog(pid, process int, ports map[uint16]bool) (left int, err error) {
	dir := fmt.Sprintf("/proc/%d/fd/", pid)
	entries, err := os.ReadDir(dir)
	if err != nil {
		return 0, err
	}
	for _, e := range entries {
		if to, err := os.Readlink(dir + e.Name()); err != nil || !strings.HasPrefix(to, "socket:") {
			continue
		}
		n, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		fd, err := unix.PidfdGetfd(process, n, 0)
		if errors.Is(err, unix.EPERM) || errors.Is(err, unix.ENOSYS) {
			return 0, err
		} else if err != nil {
			continue // it was closed
		}
		listening, _ := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ACCEPTCONN)
		name, _ := unix.Getsockname(fd)
		if a, ok := name.(*unix.SockaddrInet4); ok && listening == 1 && ports[uint16(a.Port)] && unix.Listen(fd, backlog) == nil {
			delete(ports, uint16(a.Port))
		}
		unix.Close(fd)
	}
	return len(ports), nil
}
