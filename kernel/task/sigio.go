package task

import (
	"golang.org/x/sys/unix"

	"gosv/abi/linux"
	"gosv/kernel/vfs"
	"gosv/kernel/wait"
)

func init() {
	vfs.SendIO = func(o *vfs.FileOwner, fd int, code int32) { Tasks.sendIO(o, fd, code) }
}

// Owns reports whether there is somebody to own a file; nobody, 0, is.
func (tab *Table) Owns(o *vfs.FileOwner) bool {
	pid := int(o.PID)
	return pid == 0 || pid > 0 && (tab.Thread(pid) != nil || tab.Process(pid) != nil || len(tab.Group(pid)) > 0)
}

// sendIO sends the signal of signal-driven I/O (fcntl(2), F_SETSIG): SIGIO without
// more, or the one that was set with what happened to which descriptor, and SIGIO
// if there is no room for that one.
func (tab *Table) sendIO(o *vfs.FileOwner, fd int, code int32) {
	plain := linux.NewSigInfo(int(unix.SIGIO), linux.SI_KERNEL)
	info := plain
	if sig := int(o.Signal); sig != 0 {
		info = linux.NewSigInfo(sig, ioCode(sig, code))
		info.SetIO(uint64(ioBand[code]), fd)
	}
	send := func(p *Process, signal func(linux.SigInfo) error) {
		if !ioAllowed(o, p) {
			return
		}
		if signal(info) != nil {
			signal(plain)
		}
	}
	switch o.Type {
	case linux.F_OWNER_TID:
		if t := tab.Thread(int(o.PID)); t != nil {
			send(t.Proc, t.Signal)
		}
	case linux.F_OWNER_PID:
		if p := tab.Process(int(o.PID)); p != nil {
			send(p, p.Signal)
		}
	case linux.F_OWNER_PGRP:
		for _, p := range tab.Group(int(o.PID)) {
			send(p, p.Signal)
		}
	}
}

// ioAllowed is the permission of the owner's setter to signal a process.
func ioAllowed(o *vfs.FileOwner, p *Process) bool {
	l := p.Leader()
	if l == nil {
		return false
	}
	c := l.Creds()
	return o.EUID == 0 || o.EUID == c.SUID || o.EUID == c.UID || o.UID == c.SUID || o.UID == c.UID
}

// ioCode is si_code: signals whose codes mean something else get SI_SIGIO.
func ioCode(sig int, code int32) int32 {
	switch unix.Signal(sig) {
	case unix.SIGILL, unix.SIGFPE, unix.SIGSEGV, unix.SIGBUS, unix.SIGTRAP, unix.SIGCHLD, unix.SIGSYS:
		return linux.SI_SIGIO
	}
	return code
}

// ioBand is si_band of POLL_IN to POLL_HUP.
var ioBand = [...]wait.Events{
	linux.POLL_IN:  wait.Readable,
	linux.POLL_OUT: wait.Writable | wait.WrBand,
	linux.POLL_MSG: wait.Readable | pollMsg,
	linux.POLL_ERR: wait.Err,
	linux.POLL_PRI: wait.Pri | wait.RdBand,
	linux.POLL_HUP: wait.Hup | wait.Err,
}

const pollMsg = 0x400
