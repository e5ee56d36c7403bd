package tty

import (
	"sync"

	"golang.org/x/sys/unix"
	"gosv/abi/linux"
	"gosv/kernel/vfs"
	"gosv/kernel/wait"
)

// This file is what a terminal has to do with sessions and process groups:
// controlling terminals and job control (credentials(7), termios(3)).

// A Caller is the thread that uses a terminal.
type Caller interface {
	// Session returns the caller's process group and session, and whether it
	// leads the session.
	Session() (group, session int, leader bool)
	// GroupSession returns the session of a process group, 0 if there is no such
	// group.
	GroupSession(group int) int
	// Refuses reports whether the caller blocks or ignores a signal.
	Refuses(sig int) bool
	// Orphaned reports whether nobody could continue the caller's process group
	// if it stopped.
	Orphaned() bool
}

// controlling are the sessions that have a terminal.
var controlling struct {
	mu sync.Mutex
	m  map[int]*Terminal
}

// Controlling returns the controlling terminal of a session, nil if it has none.
func Controlling(session int) *Terminal {
	controlling.mu.Lock()
	defer controlling.mu.Unlock()
	return controlling.m[session]
}

// own makes the terminal that of a session; 0 takes it away. t.mu is held.
func (t *Terminal) own(session, group int) {
	controlling.mu.Lock()
	if controlling.m == nil {
		controlling.m = make(map[int]*Terminal)
	}
	if t.session != 0 {
		delete(controlling.m, t.session)
	}
	if session != 0 {
		controlling.m[session] = t
	}
	controlling.mu.Unlock()
	t.session, t.group = session, group
}

// adopt makes the terminal the controlling one of a session leader that has none
// and opens it without O_NOCTTY.
func (t *Terminal) adopt(c vfs.Caller, flags uint32) {
	caller, ok := c.Task.(Caller)
	if !ok || flags&unix.O_NOCTTY != 0 {
		return
	}
	group, session, leader := caller.Session()
	if !leader || Controlling(session) != nil {
		return
	}
	t.mu.Lock()
	if t.session == 0 {
		t.own(session, group)
	}
	t.mu.Unlock()
}

// SetSession makes the terminal the controlling one of a session: for the first
// process, which does not open it.
func (t *Terminal) SetSession(session, group int) {
	t.mu.Lock()
	t.own(session, group)
	t.held = false
	t.mu.Unlock()
	t.kick.Wake()
}

// Session returns whose controlling terminal it is and the foreground group;
// zeros if nobody's.
func (t *Terminal) Session() (session, group int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.session, t.group
}

// Dev is the device number.
func (t *Terminal) Dev() uint64 { return t.dev }

// EndSession is the end of a session leader: the foreground group is told, and
// the terminal is free.
func EndSession(session int) {
	t := Controlling(session)
	if t == nil {
		return
	}
	t.mu.Lock()
	group := t.group
	if t.session == session {
		t.own(0, 0)
	}
	t.mu.Unlock()
	if group > 0 {
		t.signal(group, int(unix.SIGHUP))
		t.signal(group, int(unix.SIGCONT))
	}
}

// Hangup is the end of the line (the master of a pseudo-terminal was closed):
// reads see the end, writes fail with EIO, and the session leader is told.
func (t *Terminal) Hangup() {
	t.mu.Lock()
	t.dead, t.hungup = true, true
	leader := t.session
	t.own(0, 0)
	t.mu.Unlock()
	t.queue.Notify(^wait.Events(0))
	t.kick.Wake()
	if leader > 0 && t.signalLeader != nil {
		t.signalLeader(leader, int(unix.SIGHUP))
		t.signalLeader(leader, int(unix.SIGCONT))
	}
}

// CheckRead stops a background process that reads its terminal: SIGTTIN and
// ERESTARTSYS, or EIO where it cannot be stopped.
func (t *Terminal) CheckRead(c Caller) error {
	group, background := t.background(c)
	if !background {
		return nil
	}
	if c.Refuses(int(unix.SIGTTIN)) || c.Orphaned() {
		return unix.EIO
	}
	t.signal(group, int(unix.SIGTTIN))
	return linux.ERESTARTSYS
}

// CheckWrite is CheckRead for writes, which stop with TOSTOP set.
func (t *Terminal) CheckWrite(c Caller) error {
	t.mu.Lock()
	stops := t.d.lflag(unix.TOSTOP)
	t.mu.Unlock()
	if !stops {
		return nil
	}
	return t.CheckChange(c)
}

// CheckChange is CheckRead for what changes the terminal; whoever refuses SIGTTOU
// may do it.
func (t *Terminal) CheckChange(c Caller) error {
	group, background := t.background(c)
	if !background || c.Refuses(int(unix.SIGTTOU)) {
		return nil
	}
	if c.Orphaned() {
		return unix.EIO
	}
	t.signal(group, int(unix.SIGTTOU))
	return linux.ERESTARTSYS
}

// background reports whether the terminal controls the caller's session and
// another process group is in the foreground.
func (t *Terminal) background(c Caller) (group int, is bool) {
	t.mu.Lock()
	session, foreground := t.session, t.group
	t.mu.Unlock()
	if session == 0 || foreground <= 0 {
		return 0, false
	}
	group, mine, _ := c.Session()
	return group, mine == session && group != foreground
}

// changes reports whether an ioctl needs CheckChange.
func changes(cmd uint32) bool {
	switch cmd {
	case unix.TCSETS, unix.TCSETSW, unix.TCSETSF, unix.TCSETS2, unix.TCSETSW2, unix.TCSETSF2,
		unix.TCSETA, unix.TCSETAW, unix.TCSETAF, unix.TCSBRK, unix.TCSBRKP, unix.TCXONC, unix.TCFLSH, unix.TIOCSPGRP, unix.TIOCSETD:
		return true
	}
	return false
}
