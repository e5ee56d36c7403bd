package task

import (
	"sync/atomic"

	"gosv/kernel/goport"
	"gosv/kernel/sched"
)

// schedule is a thread to package sched.
type schedule struct {
	sched.Entity
	g atomic.Uintptr // the thread's goroutine
}

// workGate of Thread.work: the thread has no right to a CPU. It is set on every
// thread that has no slot of package sched while that is on.

// Lose makes the thread come to the gate (sched.Task).
func (t *Thread) Lose(kick bool) {
	t.work.Or(workGate)
	if kick {
		t.Ctx.Kick()
	}
}

// Gain lets the thread pass the gate (sched.Task).
func (t *Thread) Gain(atGate bool) {
	t.work.And(^uint32(workGate))
	if atGate {
		t.Wake()
	}
}

// Stuck reports whether the thread's goroutine is blocked (sched.Task).
func (t *Thread) Stuck() bool {
	g := goport.G(t.schedule.g.Load())
	return g != 0 && goport.Blocked(g) // it has not begun otherwise
}

// awaitTurn is the gate: the last thing before ring 3, with no lock of the kernel
// held. It returns when the thread has a CPU, and when there is other work.
func (t *Thread) awaitTurn() {
	t.Clear()
	if t.schedule.Arrive() {
		return
	}
	t.Sleep(0)
	t.schedule.Depart()
}

// Runnable tells the scheduler that the thread wakes up (wait.Scheduled).
func (t *Thread) Runnable() { t.schedule.Wake() }

// Turn is the gate at a place in a system call, where no lock is held
// (wait.Scheduled).
func (t *Thread) Turn() {
	if t.work.Load()&workGate != 0 {
		t.awaitTurn()
	}
}

// begin notes that the calling goroutine is the thread's.
func (t *Thread) begin() { t.schedule.g.Store(uintptr(goport.Self())) }

// join makes the thread known to package sched, before its goroutine starts.
func (t *Thread) join() {
	if t.schedule.Join(t, t.affinity.Load()) {
		t.Proc.table.gateAll()
	}
}

// gateAll makes all threads come to the gate, because package sched is on now.
func (tab *Table) gateAll() {
	tab.mu.Lock()
	defer tab.mu.Unlock()
	for _, t := range tab.tasks {
		if !t.Proc.kernel {
			t.Lose(true)
		}
	}
}

// SchedParams are what sched_setattr(2) sets.
func (t *Thread) SchedParams() sched.Params { return t.schedule.Params() }

// SetSchedParams sets them. EBUSY.
func (t *Thread) SetSchedParams(p sched.Params) error {
	enabled, err := t.schedule.Set(p)
	if err != nil {
		return err
	}
	t.followPolicy(p.Policy)
	if enabled {
		t.Proc.table.gateAll()
	}
	t.passBoost()
	return nil
}

// Nice is the nice value, -20 to 19.
func (t *Thread) Nice() int { return t.schedule.Params().Nice }

// SchedYield is sched_yield(2): the thread goes behind its equals.
func (t *Thread) SchedYield() {
	if sched.On() {
		t.schedule.Yield()
	}
	t.Yield()
}

// priority is that of proc_pid_stat(5): 20 more than the nice value, or, with a
// real-time policy, or one that is inherited, -1 less the real-time priority.
func (t *Thread) priority() int {
	if level := t.schedule.Level(); level > 0 {
		return -1 - level
	}
	return 20 + t.Nice()
}

// EveryCPU reports whether the thread may run on all CPUs.
func (t *Thread) EveryCPU() bool { return t.affinity.Load() == allCPUs() }
