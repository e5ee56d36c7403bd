package task

import (
	"golang.org/x/sys/unix"
	"gosv/abi/linux"
)

// This file is the stop of a process by SIGSTOP and its kin, and SIGCONT
// (signal(7)). The parent hears of a stop when all threads have stopped: a thread
// whose wait signals cannot interrupt holds it up.

// stop stops the process (default action of SIGSTOP and its kin).
func (p *Process) stop(sig int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := &p.signals
	if p.exiting.Load() || s.stopped && s.stopLeft > 0 {
		return
	}
	s.stopped, s.stopSignal = true, sig
	s.stopReport, s.contReport = false, false
	for _, t := range p.threads {
		t.joinStop()
		t.post(workStop)
	}
}

// joinStop counts the thread to those that are to stop. p.mu is held.
func (t *Thread) joinStop() {
	if s := &t.Proc.signals; !t.sig.stopping && t.state.Load() != stateStopped {
		t.sig.stopping = true
		s.stopLeft++
	}
}

// stopDone notes that the thread has stopped, or does not live any more. It
// reports whether all have stopped now: then the parent is to be told
// (tellStop). p.mu is held.
func (t *Thread) stopDone() bool {
	s := &t.Proc.signals
	if !t.sig.stopping {
		return false
	}
	t.sig.stopping = false
	if s.stopLeft--; s.stopLeft > 0 || !s.stopped {
		return false
	}
	s.stopReport = true
	return true
}

// tellStop tells the parent that the process has stopped.
func (p *Process) tellStop() {
	p.mu.Lock()
	sig := p.signals.stopSignal
	p.mu.Unlock()
	p.notifyParent(linux.CLD_STOPPED, sig)
}

// leaveStop ends a stop, or takes it back before all threads have stopped. p.mu
// is held.
func (p *Process) leaveStop() {
	s := &p.signals
	s.stopped, s.stopReport, s.stopLeft = false, false, 0
	for _, t := range p.threads {
		t.sig.stopping = false
	}
}

// resume is SIGCONT's effect, whatever its action. p.mu is held.
func (p *Process) resume() {
	s := &p.signals
	if !s.stopped {
		return
	}
	code, sig := int32(linux.CLD_CONTINUED), int(unix.SIGCONT)
	if s.stopLeft > 0 {
		code, sig = linux.CLD_STOPPED, 0 // as on Linux: the parent has not heard of the stop
	}
	p.leaveStop()
	s.contReport = true
	for _, t := range p.threads {
		t.work.And(^uint32(workStop))
		if t.ptrace.seized {
			t.post(workTrap)
		}
		t.state.CompareAndSwap(stateStopped, stateRunning) // it can run from now on
		t.Wake()
	}
	go p.notifyParent(code, sig) // not under p.mu
}

// stayStopped blocks until SIGCONT or the end.
func (t *Thread) stayStopped() {
	p := t.Proc
	for {
		t.Clear()
		p.mu.Lock()
		w := t.work.Load()
		if w&workStop == 0 || w&(workExit|workTrap) != 0 {
			t.setState(stateRunning)
			p.mu.Unlock()
			return
		}
		t.setState(stateStopped)
		all := t.stopDone()
		p.mu.Unlock()
		if all {
			p.tellStop()
		}
		t.SleepKillable(0)
	}
}
