package task

import (
	"golang.org/x/sys/unix"
	"gosv/abi/linux"
	"gosv/kernel/wait"
)

// findTracee is findChild for the threads that threads of the process trace.
// Table.mu is held.
func (t *Thread) findTracee(pid, options int) (r WaitResult, found bool, next *Process) {
	p := t.Proc
	if tracees.Load() == 0 {
		return r, false, nil
	}
	for _, tracer := range p.Threads() {
		if options&unix.WNOTHREAD != 0 && tracer != t {
			continue
		}
		for _, c := range tracer.ptrace.tracees {
			o := c.Proc
			if pid > 0 && c.TID != pid || pid == 0 && o.pgid != p.pgid || pid < -1 && o.pgid != -pid {
				continue
			}
			found = true
			if r, next = p.traceeNews(c, options); r.PID != 0 {
				return r, true, next
			}
		}
	}
	return r, found, nil
}

// traceeNews is what there is to tell of the tracee c; its end is told once.
func (p *Process) traceeNews(c *Thread, options int) (r WaitResult, next *Process) {
	o, keep := c.Proc, options&unix.WNOWAIT != 0
	r = WaitResult{PID: c.TID, UID: c.Creds().UID}
	switch {
	case c.ptrace.dead:
		if options&unix.WEXITED == 0 {
			break
		}
		r.Status, r.Usage = c.exitStatus, o.familyUsage()
		if o.exiting.Load() { // the status of the process is that of all its threads
			r.Status = o.status
		}
		r.Code, _ = endCode(r.Status)
		if !keep && c.forget() {
			next = o
		}
		return r, next
	case o.zombie && c == o.leader:
		if options&unix.WEXITED == 0 || o.deadTracees > 0 {
			break
		}
		r.Status, r.Usage = o.status, o.familyUsage()
		r.Code, _ = endCode(r.Status)
		switch {
		case keep:
		case o.parent == p:
			p.absorb(&r.Usage)
			o.reap()
		default:
			o.untrace()
			next = o
		}
		return r, next
	default:
		o.mu.Lock()
		code := c.ptrace.report
		if c.ptrace.listening {
			code = 0
		}
		if code != 0 && !keep {
			c.ptrace.report = 0
		}
		s := &o.signals
		if code == 0 && options&unix.WCONTINUED != 0 && s.contReport {
			code = -1
			s.contReport = keep
		}
		o.mu.Unlock()
		switch {
		case code > 0:
			r.Status, r.Code = code<<8|0x7f, linux.CLD_TRAPPED
		case code < 0:
			r.Status, r.Code = 0xffff, linux.CLD_CONTINUED
		default:
			return WaitResult{}, nil
		}
		r.Usage = o.familyUsage()
		return r, nil
	}
	return WaitResult{}, nil
}

// endTraced notes the end of a traced thread, which is not the end of its process
// or not alone, and returns the tracer that is to be told of it. Table.mu and
// Process.mu are held.
func (t *Thread) endTraced() *Thread {
	tracer := t.ptrace.tracer.Load()
	if tracer == nil || t == t.Proc.leader {
		return nil // finish tells of the leader
	}
	if tracer.Proc.autoReaps() {
		t.unlink()
		return nil
	}
	if t.Proc.exiting.Load() {
		t.exitStatus = t.Proc.status
	}
	t.ptrace.dead = true
	t.Proc.deadTracees++
	return tracer
}

// forget drops a dead thread for which its tracer has waited. It reports whether
// the end of its process can be told now. Table.mu is held.
func (t *Thread) forget() bool {
	p := t.Proc
	p.mu.Lock()
	defer p.mu.Unlock()
	t.ptrace.dead = false
	t.unlink()
	p.deadTracees--
	p.wakeSingle()
	return p.zombie && p.deadTracees == 0
}

// untrace ends the tracing of a zombie. Table.mu is held.
func (p *Process) untrace() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if t := p.leader; t.traced() {
		t.unlink()
	}
}

// tellTracerEnd tells p, whose thread traced t, of t's end.
func (p *Process) tellTracerEnd(t *Thread) {
	status := t.exitStatus
	if t == t.Proc.leader {
		status = t.Proc.status
	}
	user, sys := t.Proc.CPUTime()
	info := endInfo(int(unix.SIGCHLD), t.TID, t.Creds().UID, status)
	info.SetTimes(user/tick, sys/tick)
	p.Signal(info)
	p.childExit.Notify(wait.In)
}
