package sched

import (
	"golang.org/x/sys/unix"
	"gosv/kernel/cpu"
	"gosv/kernel/wait"
)

// arm sets the timer for the next look at the slots, if there is reason for one.
func (s *scheduler) arm(now int64) {
	var at int64
	if s.queued > 0 {
		at = now + tick
	}
	earlier := func(t int64) {
		if at == 0 || t < at {
			at = max(t, now+100e3)
		}
	}
	for c := range s.n {
		if r := s.slots[c].run; r != nil && r.params.Policy == unix.SCHED_DEADLINE {
			earlier(r.start + r.left)
		}
	}
	for _, e := range s.throttled {
		earlier(e.throttle)
	}
	if at != 0 && (s.armed == 0 || at < s.armed) {
		s.armed = at
		s.timer.Start(at, expire)
	}
}

var expire wait.Func

func init() { expire = func() { threads.tick(cpu.Nanotime()) } }

// tick is what a scheduler does as time passes, while threads wait.
func (s *scheduler) tick(now int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.armed = 0
	if !s.on.Load() {
		return
	}
	for i := 0; i < len(s.throttled); i++ {
		if e := s.throttled[i]; e.throttle <= now {
			s.unthrottle(e)
			i--
			s.runnable(e, now)
		}
	}
	for c := range s.n {
		s.look(c, now)
	}
	s.arm(now)
}

// look decides whether the thread in slot c is to go on.
func (s *scheduler) look(c int, now int64) {
	e := s.slots[c].run
	if e == nil {
		s.fill(c, now)
		return
	}
	s.charge(e, now)
	if e.params.Policy == unix.SCHED_DEADLINE && e.left <= 0 && e.boost == 0 {
		s.exhaust(e, now)
		return
	}
	by := s.first(c, now)
	if by == nil {
		return
	}
	if !e.task.Stuck() {
		e.stuck = 0
	} else if e.stuck++; e.stuck >= stuckTicks {
		s.vacate(e, true, now)
		s.fill(c, now)
		return
	}
	switch le, lb := e.level(), by.level(); {
	case le != lb || le == levelDeadline:
		if e.params.Policy == unix.SCHED_RR && e.left <= 0 {
			e.left = rrSlice
		}
		s.yielding(e, now)
	case le == 0:
		if by.v < e.v {
			s.swap(e, by, true, now)
		}
	case e.params.Policy == unix.SCHED_RR && e.left <= 0:
		e.left = rrSlice
		s.swap(e, by, false, now)
	}
}
