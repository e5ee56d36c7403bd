// Package sched decides which threads of the program may run in ring 3, by the policies and priorities of sched(7).
//
// The scheduler of Go gives goroutines processors as they come; it knows no priorities. That is enough while all threads
// are alike, and this package then costs a thread nothing: it is off. It is on while a thread has another policy than
// SCHED_OTHER or SCHED_BATCH, or another nice value than 0. Each CPU is a slot then, and a thread needs one to enter ring 3:
//
//   - a thread that becomes runnable takes a free slot that its CPU affinity allows, or that of a thread which has to give
//     way to it; if there is none it is queued;
//   - a thread that loses its slot is brought out of ring 3 by an interrupt, and waits at the gate, the last step
//     before ring 3 (package task);
//   - a thread that sleeps, or ends, gives its slot to the first of the queue.
//
// A slot is a right, not a place: on which CPU the goroutine runs is the business of Go's scheduler and of the machine layer, which
// obeys the affinity. There are as many slots as processors of Go, so each thread that has one can run.
//
// What the kernel does for a thread needs no slot: a thread at the gate holds no lock of the kernel, and one that has lost its slot
// finishes its system call, so no lock waits for a thread that must not run. A thread that keeps its slot in the kernel
// while its goroutine is blocked (by a mutex of the kernel) loses the slot after 20 ticks.
//
// The order is Linux's: SCHED_DEADLINE by deadline, then SCHED_FIFO and SCHED_RR by priority, first come first served, then
// the others by virtual time: start-time fair queueing (Goyal, Vin, Cheng, SIGCOMM 1996) with the weights that Linux gives to nice
// values. The package has one queue for all CPUs, and keeps threads with different affinities apart in it.
//
// Lock order: any lock of package task, scheduler.mu, then the locks of package wait.
package sched

import (
	"math/bits"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
	"gosv/kernel/cpu"
	"gosv/kernel/wait"
)

// Task is the thread of an Entity. Its methods are called with the scheduler locked: they may wake a goroutine or
// interrupt a CPU, and nothing else.
type Task interface {
	// Lose makes the thread come to the gate before its next instruction in ring 3; kick: it may be there now.
	Lose(kick bool)
	// Gain lets the thread pass the gate; atGate: it sleeps there.
	Gain(atGate bool)
	// Stuck reports whether the goroutine of the thread is blocked.
	Stuck() bool
}

// Params are what sched_setattr(2) sets.
type Params struct {
	Policy   uint32 // SCHED_*
	Priority int    // 1 to 99 with SCHED_FIFO and SCHED_RR, else 0
	Nice     int
	Flags    uint64 // SCHED_FLAG_RESET_ON_FORK, of SCHED_DEADLINE also RECLAIM and DL_OVERRUN

	Runtime, Deadline, Period int64 // of SCHED_DEADLINE, in ns; Runtime of the others is their wish for a slice
}

// Realtime reports whether the policy is SCHED_FIFO or SCHED_RR.
func (p *Params) Realtime() bool { return p.Policy == unix.SCHED_FIFO || p.Policy == unix.SCHED_RR }

// Fair reports whether the policy is SCHED_OTHER or SCHED_BATCH.
func (p *Params) Fair() bool { return p.Policy == unix.SCHED_NORMAL || p.Policy == unix.SCHED_BATCH }

// Level orders what does not share: 100 is SCHED_DEADLINE, 1 to 99 are the real-time priorities, 0 is all else.
func (p *Params) Level() int {
	if p.Policy == unix.SCHED_DEADLINE {
		return levelDeadline
	}
	return p.Priority
}

// special reports whether a thread with p needs this package.
func (p *Params) special() bool { return !p.Fair() || p.Nice != 0 }

const (
	levelDeadline = 100

	tick       = 5e6 // ns, while threads are queued
	slice      = 3e6 // ns of virtual time that a new thread lets others run first
	stuckTicks = 20  // that a thread keeps its slot although its goroutine is blocked; a host that takes a CPU away makes short waits long

	granule = 1e6   // ns of virtual time that a thread which wakes up must be behind to pre-empt
	rrSlice = 100e6 // ns of SCHED_RR
)

// Slice is what sched_rr_get_interval(2) tells, in ns.
func (p *Params) Slice() int64 {
	switch p.Policy {
	case unix.SCHED_RR:
		return rrSlice
	case unix.SCHED_FIFO, unix.SCHED_DEADLINE:
		return 0
	}
	return tick
}

// weights are those that Linux gives to the nice values from -20 on: 1024 to 0, and about 1.25 times less from one to the
// next (Documentation/scheduler/sched-nice-design.rst).
var weights = func() (w [40]int64) {
	x := 1024.0
	for i := 20; i < 40; i++ {
		w[i] = int64(x + 0.5)
		x /= 1.25
	}
	x = 1024.0
	for i := 20; i >= 0; i-- {
		w[i] = int64(x + 0.5)
		x *= 1.25
	}
	return w
}()

const weightIdle = 3 // of SCHED_IDLE

func (p *Params) weight() int64 {
	if p.Policy == unix.SCHED_IDLE {
		return weightIdle
	}
	return weights[(p.Nice+20)%40]
}

// States of an Entity.
const (
	out     = iota // it sleeps, or the scheduler is off
	queued         // it could run, and has no slot
	running        // it has a slot
)

// An Entity is a thread to the scheduler. Its zero value is a thread that is not managed. The scheduler's mu guards it.
type Entity struct {
	task    Task
	params  Params
	boost   int // the level inherited through PI futexes
	mask    uint64
	managed bool
	state   uint8
	stuck   int // how many ticks in a row found its goroutine blocked
	atGate  atomic.Bool

	slot  int
	start int64 // since when it has not been charged for the time in its slot
	v     int64 // virtual time, ns
	left  int64 // of its slice with SCHED_RR, of its runtime with SCHED_DEADLINE
	due   int64 // absolute deadline

	seq      int64 // order among equals
	queue    *queue
	index    int   // in its heap
	throttle int64 // SCHED_DEADLINE: has no runtime left until then; 0: it has
}

func (e *Entity) level() int { return max(e.params.Level(), e.boost) }

// scheduler is the state of all slots. There is one, and more in tests.
type scheduler struct {
	mu    sync.Mutex
	on    atomic.Bool
	n     int // CPUs
	slots [cpu.MaxCPUs]slot

	queues    []*queue
	queued    int
	throttled []*Entity

	special    int   // managed entities that need the scheduler
	bandwidth  int64 // of SCHED_DEADLINE, in 1/2^20 of a CPU
	vnow       int64 // the virtual time of the last that got a slot
	head, tail int64 // numbers for Entity.seq

	period, runtime int64 // of real-time threads while others wait, ns

	timer wait.Timer
	armed int64 // when it will fire, 0 if it will not
}

// slot is one CPU.
type slot struct {
	run         *Entity
	waiting     int   // queued entities that may have it
	waitingFair int   // those of level 0
	window, rt  int64 // since when others have been waiting for real-time threads, and how long these have run
	fairUntil   int64 // others go first until then
}

var threads = scheduler{period: 1e9, runtime: 950e6}

// turn switches the scheduler on or off.
func (s *scheduler) turn(on bool) {
	s.on.Store(on)
	if s == &threads {
		wait.Scheduling.Store(on)
	}
}

func (s *scheduler) mask(e *Entity) uint64 {
	all := ^uint64(0) >> (64 - uint(s.n))
	if m := e.mask & all; m != 0 {
		return m
	}
	return all
}

// bestSlot finds a slot for e: a free one, or the one whose thread gives way most easily; -1: none.
func (s *scheduler) bestSlot(e *Entity, front bool, now int64) int {
	m := s.mask(e)
	if m>>uint(e.slot)&1 != 0 && s.slots[e.slot].run == nil {
		return e.slot
	}
	best := -1
	for w := m; w != 0; w &= w - 1 {
		c := bits.TrailingZeros64(w)
		r := s.slots[c].run
		if r == nil {
			return c
		}
		s.charge(r, now)
		if s.preempts(e, r, front, now) && (best < 0 || weaker(r, s.slots[best].run)) {
			best = c
		}
	}
	return best
}

// weaker reports whether a rather gives way than b.
func weaker(a, b *Entity) bool {
	if la, lb := a.level(), b.level(); la != lb {
		return la < lb
	}
	return a.v > b.v
}

// preempts reports whether e takes the slot of r; front: e had a slot itself, and has lost it.
func (s *scheduler) preempts(e, r *Entity, front bool, now int64) bool {
	le, lr := e.level(), r.level()
	switch {
	case now < s.slots[r.slot].fairUntil && le != lr && (le == 0 || lr == 0):
		return le == 0
	case le != lr:
		return le > lr
	case le == levelDeadline:
		return e.due < r.due
	case le > 0 || front:
		return false
	case r.params.Policy == unix.SCHED_IDLE && e.params.Policy != unix.SCHED_IDLE:
		return true
	case e.params.Policy != unix.SCHED_NORMAL:
		return false
	}
	return e.v+granule < r.v
}

// place gives e, which has no slot and is not queued, a slot or queues it; front: before its equals. A thread that gives
// way to it is placed in its turn.
func (s *scheduler) place(e *Entity, front bool, now int64) {
	for e != nil {
		c := s.bestSlot(e, front, now)
		if c < 0 {
			s.enqueue(e, s.number(front), now)
			return
		}
		r := s.slots[c].run
		if r != nil {
			r.state = out
			s.slots[c].run = nil
		}
		s.run(e, c, now)
		if r == nil {
			return
		}
		r.task.Lose(true)
		e, front = r, true
	}
}

// run gives e the free slot c.
func (s *scheduler) run(e *Entity, c int, now int64) {
	s.slots[c].run = e
	e.state, e.slot, e.start, e.stuck = running, c, now, 0
	if e.level() == 0 {
		s.vnow = max(s.vnow, e.v)
	}
	e.task.Gain(e.atGate.Load())
	if e.params.Policy == unix.SCHED_DEADLINE {
		s.arm(now)
	}
}

// vacate takes the slot of e away, which is out then.
func (s *scheduler) vacate(e *Entity, kick bool, now int64) {
	s.charge(e, now)
	s.slots[e.slot].run = nil
	e.state = out
	e.task.Lose(kick)
}

// fill gives slot c, if it is free, to the first that may have it. If there is none, a thread of another slot moves here if
// somebody waits for that one.
func (s *scheduler) fill(c int, now int64) {
	for s.queued > 0 && s.slots[c].run == nil {
		if e := s.first(c, now); e != nil {
			s.dequeue(e)
			s.run(e, c, now)
			return
		}
		from := -1
		for d := range s.n {
			if o := &s.slots[d]; d != c && o.run != nil && o.waiting > 0 && s.mask(o.run)>>uint(c)&1 != 0 {
				from = d
				break
			}
		}
		if from < 0 {
			return
		}
		e := s.slots[from].run
		s.charge(e, now)
		s.slots[from].run = nil
		s.slots[c].run = e
		e.slot = c
		c = from
	}
}

// charge accounts for the time that e has had its slot. Time that nobody else wanted costs little virtual time.
func (s *scheduler) charge(e *Entity, now int64) {
	d := now - e.start
	if d <= 0 {
		return
	}
	e.start = now
	at := &s.slots[e.slot]
	if e.level() == 0 {
		v := e.v + d*1024/e.params.weight()
		if at.waiting == 0 {
			v = min(v, max(e.v, s.vnow+slice))
		}
		e.v = v
		return
	}
	switch e.params.Policy {
	case unix.SCHED_DEADLINE:
		e.left -= d
	case unix.SCHED_RR:
		if e.left -= d; e.left <= 0 && at.waiting == 0 {
			e.left = rrSlice + e.left%rrSlice
		}
	}
	if at.waitingFair == 0 || s.runtime < 0 || s.runtime >= s.period {
		return
	}
	if now-at.window >= s.period {
		at.window, at.rt = now-d, 0
	}
	if at.rt += d; at.rt >= s.runtime {
		at.fairUntil = now + s.period - s.runtime
		at.window, at.rt = at.fairUntil, 0
	}
}

// swap gives the slot of e to the queued thread by. e is queued, front: before its equals, or gets another slot.
func (s *scheduler) swap(e, by *Entity, front bool, now int64) {
	c := e.slot
	s.vacate(e, true, now)
	s.dequeue(by)
	s.run(by, c, now)
	s.place(e, front, now)
}

// yielding gives the slot of e away if a queued thread has to have it: e has changed, or time has passed.
func (s *scheduler) yielding(e *Entity, now int64) {
	if by := s.first(e.slot, now); by != nil && s.preempts(by, e, false, now) {
		s.swap(e, by, true, now)
	}
}
