package task

import (
	"golang.org/x/sys/unix"
	"gosv/abi/linux"
	"gosv/kernel/wait"
)

// A WaitResult is what wait4(2) and waitid(2) tell about a child.
type WaitResult struct {
	PID    int
	UID    uint32
	Status int   // wait(2)'s encoding
	Code   int32 // CLD_*
	Usage  Usage
}

// Wait4 waits for a child: pid above 0 is one, -1 any, 0 one of the caller's group,
// below -1 one of the group -pid. options are W*; WNOWAIT leaves the child as it
// is. A PID of 0 means that none is ready and WNOHANG was given. ECHILD,
// ERESTARTSYS.
func (t *Thread) Wait4(pid int, options int) (WaitResult, error) {
	p := t.Proc
	w := wait.Waiter{Mask: wait.In, Notify: func(wait.Events) { t.Wake() }}
	p.childExit.Add(&w)
	defer p.childExit.Remove(&w)
	for {
		t.Clear()
		r, found, again := t.findChild(pid, options)
		if again != nil {
			again.announce() // its parent's turn: that may be p too
		}
		switch {
		case r.PID != 0:
			return r, nil
		case !found:
			return r, unix.ECHILD
		case options&unix.WNOHANG != 0:
			return r, nil
		}
		if t.Sleep(0) == wait.Interrupted {
			return r, linux.ERESTARTSYS
		}
	}
}

// findChild looks for a child or tracee with news; found says that there is one at
// all. A process that its tracer has now waited for is told to its parent next.
func (t *Thread) findChild(pid, options int) (r WaitResult, found bool, next *Process) {
	p := t.Proc
	tab := p.table
	tab.mu.Lock()
	defer tab.mu.Unlock()
	r, found, next = t.findTracee(pid, options)
	if r.PID != 0 {
		return r, true, next
	}
	for _, c := range p.children {
		switch {
		case pid > 0 && c.PID != pid, pid == 0 && c.pgid != p.pgid, pid < -1 && c.pgid != -pid:
			continue
		}
		if options&unix.WNOTHREAD != 0 && c.makerTID != t.TID {
			continue
		}
		if o := c.leader.ptrace.tracer.Load(); o != nil {
			if o.Proc == p {
				continue // findTracee's
			}
			if c.zombie {
				found = true // the tracer's to wait for first
				continue
			}
		}
		clone := c.exitSignal != int(unix.SIGCHLD)
		if options&unix.WALL == 0 && clone != (options&unix.WCLONE != 0) {
			continue
		}
		found = true
		r = WaitResult{PID: c.PID, UID: c.leader.Creds().UID}
		if c.zombie {
			if options&unix.WEXITED == 0 || c.deadTracees > 0 {
				continue
			}
			r.Status = c.status
			r.Code, _ = endCode(c.status)
			r.Usage = c.familyUsage()
			if options&unix.WNOWAIT == 0 {
				p.absorb(&r.Usage)
				c.reap()
			}
			return r, true, nil
		}
		c.mu.Lock()
		s := &c.signals
		switch {
		case options&unix.WUNTRACED != 0 && s.stopReport:
			r.Status, r.Code = s.stopSignal<<8|0x7f, linux.CLD_STOPPED
			s.stopReport = options&unix.WNOWAIT != 0
		case options&unix.WCONTINUED != 0 && s.contReport:
			r.Status, r.Code = 0xffff, linux.CLD_CONTINUED
			s.contReport = options&unix.WNOWAIT != 0
		default:
			r.PID = 0
		}
		c.mu.Unlock()
		if r.PID != 0 {
			r.Usage = c.familyUsage()
			return r, true, nil
		}
	}
	return WaitResult{}, found, nil
}
