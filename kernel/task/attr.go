package task

import (
	"golang.org/x/sys/unix"
	"gosv/abi/linux"
	"gosv/kernel/goport"

	"gosv/kernel/mm"
)

// SetClearTID is set_tid_address(2).
func (t *Thread) SetClearTID(addr uint64) { t.clearTID = addr }

// ClearTID is what set_tid_address(2) or clone(2) set.
func (t *Thread) ClearTID() uint64 { return t.clearTID }

// SetRobustList is set_robust_list(2).
func (t *Thread) SetRobustList(head uint64) { t.robustList = head }

// RobustList is the head of the robust list.
func (t *Thread) RobustList() uint64 { return t.robustList }

// Affinity is the mask of CPUs that the thread may run on.
func (t *Thread) Affinity() uint64 { return t.affinity.Load() }

// SetAffinity sets the mask; false if it has none of the machine's CPUs.
func (t *Thread) SetAffinity(mask uint64) bool {
	mask &= allCPUs()
	if mask == 0 {
		return false
	}
	t.affinity.Store(mask)
	t.schedule.SetAffinity(mask)
	t.work.Or(workPin)
	t.Ctx.Kick()
	return true
}

// pin makes the thread's goroutine follow the affinity mask.
func (t *Thread) pin() {
	mask := t.affinity.Load()
	if mask == allCPUs() {
		mask = 0
	}
	if mask == t.pinned {
		return
	}
	if t.pinned != 0 {
		goport.Pin(0)
	}
	if mask != 0 {
		t.Ctx.Release()
		goport.Pin(mask)
	}
	t.pinned = mask
}

// realtimePolicy reports whether a policy is one of real time, sched(7).
func realtimePolicy(policy uint32) bool {
	return policy == unix.SCHED_FIFO || policy == unix.SCHED_RR || policy == unix.SCHED_DEADLINE
}

// followPolicy sets the timer slack that goes with a new policy: a real-time thread has none.
func (t *Thread) followPolicy(policy uint32) {
	switch {
	case realtimePolicy(policy):
		t.slack.Store(0)
	case t.slack.Load() == 0:
		t.slack.Store(t.makerSlack.Load())
	}
}

// usualSlack is the timer slack of the first process, in ns.
const usualSlack = 50_000

// TimerSlack is prctl(2)'s PR_GET_TIMERSLACK, in ns. Timers are exact here: the
// value is only kept.
func (t *Thread) TimerSlack() uint64 { return t.slack.Load() }

// SetTimerSlack sets it; 0 is the slack of the thread that made this one. That of a
// real-time thread stays as it is.
func (t *Thread) SetTimerSlack(ns uint64) {
	if realtimePolicy(t.SchedParams().Policy) {
		return
	}
	if ns == 0 {
		ns = t.makerSlack.Load()
	}
	t.slack.Store(ns)
}

// Space is the process's address space, retained; nil if it has ended.
func (p *Process) Space() *mm.AddressSpace {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.threads) == 0 || p.threads[0].MM == nil {
		return nil
	}
	as := p.threads[0].MM
	as.Retain()
	return as
}

// MembarrierRegister notes a registration of membarrier(2).
func (p *Process) MembarrierRegister(cmd uint32) { p.membarrier.Or(cmd) }

// MembarrierRegistered is the commands for which the process registered.
func (p *Process) MembarrierRegistered() uint32 { return p.membarrier.Load() }

// ParentDeathSignal is prctl(2)'s PR_GET_PDEATHSIG.
func (p *Process) ParentDeathSignal() int { return int(p.parentDeath.Load()) }

// SetParentDeathSignal sets it; EINVAL.
func (p *Process) SetParentDeathSignal(sig uint64) error {
	if sig > linux.NSIG {
		return unix.EINVAL
	}
	p.parentDeath.Store(int32(sig))
	return nil
}

// Dumpable is prctl(2)'s PR_GET_DUMPABLE.
func (p *Process) Dumpable() int { return int(p.dumpable.Load()) }

// SetDumpable sets it to 0 or 1.
func (p *Process) SetDumpable(v int) { p.dumpable.Store(int32(v)) }

// ForgetTrust is what a change of the effective IDs does to the process: no core
// files, and no signal at its parent's end (prctl(2), PR_SET_DUMPABLE,
// PR_SET_PDEATHSIG).
func (p *Process) ForgetTrust() {
	p.dumpable.Store(0)
	p.parentDeath.Store(0)
}

// CoreFilter is /proc/PID/coredump_filter: which areas are in a core file.
func (p *Process) CoreFilter() uint32 { return p.coreFilter.Load() }

// Subreaper is prctl(2)'s PR_GET_CHILD_SUBREAPER.
func (p *Process) Subreaper() bool { return p.subreaper.Load() }

// SetSubreaper sets it.
func (p *Process) SetSubreaper(on bool) { p.subreaper.Store(on) }
