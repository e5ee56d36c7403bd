package sched

import (
	"golang.org/x/sys/unix"
	"gosv/kernel/cpu"
)

// On reports whether threads need slots. A thread that sleeps, wakes up or goes to ring 3 need not call this package
// while it is off.
func On() bool { return threads.on.Load() }

// Inherit gives a new thread the parameters of its parent, as sched(7) has them inherited.
func (e *Entity) Inherit(parent *Entity) {
	threads.mu.Lock()
	e.params, e.v = parent.params.inherited(), parent.v
	threads.mu.Unlock()
}

// Sterile reports whether the thread can have no child: it has SCHED_DEADLINE, and the child would have, too (sched(7)).
func (e *Entity) Sterile() bool {
	p := e.Params()
	return p.Policy == unix.SCHED_DEADLINE && p.Flags&unix.SCHED_FLAG_RESET_ON_FORK == 0
}

// Join makes a thread known to the scheduler; it is runnable from now on. The result is as Set's.
func (e *Entity) Join(t Task, mask uint64) (enabled bool) {
	threads.mu.Lock()
	if threads.n == 0 {
		threads.n = cpu.NumCPU()
	}
	e.task, e.mask, e.managed, e.left = t, mask, true, rrSlice
	if threads.special != 0 || e.params.special() {
		enabled = threads.join(e, cpu.Nanotime())
	}
	threads.mu.Unlock()
	return enabled
}

// join is Join's part when the scheduler is on, or is switched on by e. mu is held.
func (s *scheduler) join(e *Entity, now int64) (enabled bool) {
	if e.params.special() {
		enabled = s.retain()
	}
	e.task.Lose(false)
	e.v = max(e.v, s.vnow) + slice
	s.place(e, false, now)
	return enabled
}

// retain counts one special thread more, and switches the scheduler on with the first one.
func (s *scheduler) retain() (enabled bool) {
	if s.special++; s.special > 1 {
		return false
	}
	s.turn(true)
	return true
}

// inherited are the parameters of a child (sched(7), "reset-on-fork").
func (p Params) inherited() Params {
	if p.Flags&unix.SCHED_FLAG_RESET_ON_FORK == 0 {
		return p
	}
	switch {
	case p.Realtime() || p.Policy == unix.SCHED_DEADLINE:
		return Params{}
	case p.Nice < 0:
		p.Nice = 0
	}
	p.Flags, p.Runtime = 0, 0
	return p
}

// Exit ends what the scheduler does for a thread.
func (e *Entity) Exit() {
	threads.mu.Lock()
	if e.managed && threads.special != 0 {
		threads.exit(e, cpu.Nanotime())
	}
	e.managed = false
	threads.mu.Unlock()
}

// exit is Exit's part while the scheduler is on. mu is held.
func (s *scheduler) exit(e *Entity, now int64) {
	s.bandwidth -= e.params.bandwidth()
	s.remove(e, now)
	if e.params.special() {
		s.release(now)
	}
}

// remove makes e one that is not runnable.
func (s *scheduler) remove(e *Entity, now int64) {
	switch e.state {
	case running:
		s.vacate(e, false, now)
		s.fill(e.slot, now)
	case queued:
		s.dequeue(e)
	default:
		s.unthrottle(e)
	}
}

// release counts one special thread less, and switches the scheduler off with the last one.
func (s *scheduler) release(now int64) {
	if s.special--; s.special > 0 {
		return
	}
	s.turn(false)
	for c := range s.n {
		if r := s.slots[c].run; r != nil {
			r.state, s.slots[c].run = out, nil
		}
		s.slots[c].fairUntil = 0
	}
	for _, q := range s.queues {
		for _, h := range []*heap{&q.rt, &q.fair} {
			for len(*h) > 0 {
				e := (*h)[len(*h)-1]
				s.dequeue(e)
				e.task.Gain(e.atGate.Load())
			}
		}
	}
}

// Wake makes a thread runnable that slept.
func (e *Entity) Wake() {
	if !e.atGate.Load() {
		threads.wake(e, cpu.Nanotime())
	}
}

func (s *scheduler) wake(e *Entity, now int64) {
	s.mu.Lock()
	if s.on.Load() && e.managed {
		s.runnable(e, now)
	}
	s.mu.Unlock()
}

// runnable gives e a slot or queues it, if it has none and is not queued.
func (s *scheduler) runnable(e *Entity, now int64) {
	if e.state != out {
		return
	}
	if e.params.Policy == unix.SCHED_DEADLINE {
		if s.unthrottle(e); !s.refill(e, now) {
			return
		}
	}
	e.v = max(e.v, s.vnow)
	s.place(e, false, now)
}

// Block gives up the slot of a thread that is about to sleep.
func (e *Entity) Block() {
	if !e.atGate.Load() {
		threads.block(e, cpu.Nanotime())
	}
}

func (s *scheduler) block(e *Entity, now int64) {
	s.mu.Lock()
	if s.on.Load() && e.managed {
		s.remove(e, now)
		if e.params.Policy == unix.SCHED_RR {
			e.left = rrSlice
		}
	}
	s.mu.Unlock()
}

// Arrive is called by a thread at the gate. It returns true if the thread may pass; otherwise Gain will be called when it may, and
// Depart is to be called when the thread does not sleep there any more.
func (e *Entity) Arrive() bool { return threads.arrive(e, cpu.Nanotime()) }

func (s *scheduler) arrive(e *Entity, now int64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.on.Load() || !e.managed {
		e.task.Gain(false)
		return true
	}
	s.runnable(e, now)
	if e.state == running {
		e.task.Gain(false)
		return true
	}
	e.atGate.Store(true)
	return false
}

// Depart follows Arrive.
func (e *Entity) Depart() {
	threads.mu.Lock()
	e.atGate.Store(false)
	threads.mu.Unlock()
}

// Waits reports whether the thread waits at the gate.
func (e *Entity) Waits() bool { return e.atGate.Load() }

// Yield is sched_yield(2): the thread goes behind its equals.
func (e *Entity) Yield() { threads.yield(e, cpu.Nanotime()) }

func (s *scheduler) yield(e *Entity, now int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.on.Load() || e.state != running {
		return
	}
	s.charge(e, now)
	if e.params.Policy == unix.SCHED_DEADLINE && e.boost == 0 {
		e.left = 0
		s.exhaust(e, now)
		return
	}
	by := s.first(e.slot, now)
	if by == nil || by.level() != e.level() {
		return
	}
	if e.level() == 0 {
		e.v = max(e.v, by.v)
	}
	s.swap(e, by, e.level() == 0, now)
}

// Params returns the parameters of a thread.
func (e *Entity) Params() Params {
	threads.mu.Lock()
	defer threads.mu.Unlock()
	return e.params
}

// Level is the real-time priority of a thread, 0 if it has none and 100 with SCHED_DEADLINE, or a higher one that it has inherited.
func (e *Entity) Level() int {
	if !threads.on.Load() {
		return 0
	}
	threads.mu.Lock()
	defer threads.mu.Unlock()
	return e.level()
}

// Set changes the parameters of a thread. It reports whether the scheduler is on from now on and was off before: the caller
// makes all threads come to the gate then. EBUSY.
func (e *Entity) Set(p Params) (enabled bool, err error) { return threads.set(e, p, cpu.Nanotime()) }

func (s *scheduler) set(e *Entity, p Params, now int64) (enabled bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !e.managed {
		e.params = p
		return false, nil
	}
	was := e.params.special()
	if !s.admits(&p, e.params.bandwidth()) {
		return false, unix.EBUSY
	}
	s.bandwidth += p.bandwidth() - e.params.bandwidth()
	if p.special() && !was {
		enabled = s.retain()
	}
	s.change(e, now, func() {
		if p.Policy == unix.SCHED_RR && e.params.Policy != unix.SCHED_RR {
			e.left = rrSlice
		}
		if p.Policy == unix.SCHED_DEADLINE {
			e.due, e.left, e.throttle = now+p.Deadline, p.Runtime, 0
		}
		if e.params.Level() > 0 && p.Level() == 0 {
			e.v = max(e.v, s.vnow)
		}
		e.params = p
	})
	if was && !p.special() {
		s.release(now)
	}
	return enabled, nil
}

// Boost sets the level that a thread has inherited, and reports whether that is a change.
func (e *Entity) Boost(level int) bool {
	now := cpu.Nanotime()
	threads.mu.Lock()
	defer threads.mu.Unlock()
	if e.boost == level {
		return false
	}
	before := e.level()
	threads.change(e, now, func() {
		if level == levelDeadline {
			e.due = now
		}
		e.boost = level
	})
	return e.level() != before
}

// change lets f change what e is ordered by. As on Linux, a thread whose priority falls is the first of its new equals, one whose
// priority rises the last.
func (s *scheduler) change(e *Entity, now int64, f func()) {
	before := e.level()
	switch e.state {
	case queued:
		s.dequeue(e)
		f()
		if e.level() == before && before != levelDeadline {
			s.enqueue(e, e.seq, now)
		} else {
			s.place(e, e.level() < before, now)
		}
	case running:
		s.charge(e, now)
		f()
		if e.params.Policy == unix.SCHED_DEADLINE {
			s.arm(now)
		}
		s.yielding(e, now)
	default:
		throttled := s.unthrottle(e)
		f()
		if throttled {
			s.runnable(e, now)
		}
	}
}

// SetAffinity sets the CPUs that the thread may run on.
func (e *Entity) SetAffinity(mask uint64) { threads.setAffinity(e, mask, cpu.Nanotime()) }

func (s *scheduler) setAffinity(e *Entity, mask uint64, now int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch e.state {
	case queued:
		s.dequeue(e)
		e.mask = mask
		s.place(e, true, now)
	case running:
		c := e.slot
		if e.mask = mask; s.mask(e)>>uint(c)&1 == 0 {
			s.vacate(e, true, now)
			s.fill(c, now) // before another thread that e sends away takes it
			s.place(e, true, now)
		}
	default:
		e.mask = mask
	}
}
