package task

import (
	"gosv/abi/linux"
	"gosv/kernel/tty"
)

// A Thread is a terminal's Caller, and a Table its Signaler.
var (
	_ tty.Caller   = (*Thread)(nil)
	_ tty.Signaler = (*Table)(nil)
)

// Session returns the process group, the session, and whether the process leads
// it.
func (t *Thread) Session() (group, session int, leader bool) {
	p := t.Proc
	p.table.mu.Lock()
	defer p.table.mu.Unlock()
	return p.pgid, p.sid, p.sid == p.PID
}

// GroupSession returns the session of a process group, 0 if there is none.
func (t *Thread) GroupSession(group int) int {
	tab := t.Proc.table
	tab.mu.Lock()
	defer tab.mu.Unlock()
	for _, p := range tab.procs {
		if p.pgid == group {
			return p.sid
		}
	}
	return 0
}

// Refuses reports whether the thread blocks a signal, or the process ignores it.
func (t *Thread) Refuses(sig int) bool {
	return t.sig.mask.Has(sig) || t.Proc.sigHand().Action(sig).Handler == linux.SIG_IGN
}

// Orphaned reports whether the process group is an orphaned one.
func (t *Thread) Orphaned() bool { return t.Proc.orphaned() }

// SignalGroup sends a signal of the kernel to a process group. Group 0 is that of
// a terminal whose foreground group nobody has set: the first process's.
func (tab *Table) SignalGroup(group, sig int) {
	if group == 0 {
		group = 1
	}
	for _, p := range tab.Group(group) {
		p.SendSignal(sig)
	}
}

// SignalProcess sends a signal of the kernel to a process.
func (tab *Table) SignalProcess(pid, sig int) {
	if p := tab.Process(pid); p != nil {
		p.SendSignal(sig)
	}
}

// groupOrphaned reports whether no process of a group has its parent in the same
// session but in another group (POSIX, "orphaned process group"), leaving the
// process without out of account. mu is held.
func (tab *Table) groupOrphaned(pgid int, without *Process) bool {
	for _, p := range tab.procs {
		if p.pgid != pgid || p == without || p.zombie && len(p.threads) == 0 || p.parent == nil || p == tab.init {
			continue
		}
		if p.parent.pgid != pgid && p.parent.sid == p.sid && p.parent != without {
			return false
		}
	}
	return true
}

// groupStopped reports whether a process of the group is stopped. mu is held.
func (tab *Table) groupStopped(pgid int, without *Process) bool {
	for _, p := range tab.procs {
		if p.pgid != pgid || p == without {
			continue
		}
		p.mu.Lock()
		stopped := p.signals.stopped
		p.mu.Unlock()
		if stopped {
			return true
		}
	}
	return false
}

// newOrphans returns the process groups that p's end makes orphaned and that have
// a stopped process: its own and its children's. mu is held, and p still has its
// children and its parent.
func (tab *Table) newOrphans(p *Process) (groups []int) {
	look := func(pgid int) {
		for _, g := range groups {
			if g == pgid {
				return
			}
		}
		if tab.groupOrphaned(pgid, p) && tab.groupStopped(pgid, p) {
			groups = append(groups, pgid)
		}
	}
	if p.parent != nil && p.parent.pgid != p.pgid && p.parent.sid == p.sid {
		look(p.pgid)
	}
	for _, c := range p.children {
		if c.pgid != p.pgid && c.sid == p.sid {
			look(c.pgid)
		}
	}
	return groups
}
