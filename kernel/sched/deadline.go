package sched

import "golang.org/x/sys/unix"

// SCHED_DEADLINE (Documentation/scheduler/sched-deadline.rst): a constant bandwidth server for each thread. What is not
// there is the reclaiming of bandwidth that others leave (SCHED_FLAG_RECLAIM) and the signal at an overrun
// (SCHED_FLAG_DL_OVERRUN): both are kept.

// ratio is runtime/period in 1/2^20.
func ratio(period, runtime int64) int64 {
	if period == 0 {
		return 0
	}
	return int64(uint64(runtime) << 20 / uint64(period))
}

func (p *Params) period() int64 {
	if p.Period != 0 {
		return p.Period
	}
	return p.Deadline
}

func (p *Params) bandwidth() int64 {
	if p.Policy != unix.SCHED_DEADLINE {
		return 0
	}
	return ratio(p.period(), p.Runtime)
}

// CheckDeadline reports whether the parameters of SCHED_DEADLINE go together (sched(7)).
func (p *Params) CheckDeadline() bool {
	const periodMin, periodMax = 100e3, 1 << 22 * 1000 // ns: sched_deadline_period_min_us and _max_us
	return p.Deadline > 0 && p.Period >= 0 && p.Runtime >= 1024 && p.Runtime <= p.Deadline && p.Deadline <= p.period() &&
		p.period() >= periodMin && p.period() <= periodMax
}

// admits reports whether all SCHED_DEADLINE threads keep their deadlines when one with the parameters p comes in place of
// one with the bandwidth old. As on Linux, what ordinary threads are sure of is not to be had.
func (s *scheduler) admits(p *Params, old int64) bool {
	if p.Policy != unix.SCHED_DEADLINE || s.runtime < 0 {
		return true
	}
	const fairServer = 1 << 20 / 20
	limit := (ratio(s.period, s.runtime) - fairServer) * int64(s.n)
	return s.bandwidth-old+p.bandwidth() <= limit
}

// refill prepares a SCHED_DEADLINE thread that becomes runnable: it goes on with what it has left if that is no more than
// its share until its deadline. It returns false if the thread has to wait for its next period.
func (s *scheduler) refill(e *Entity, now int64) bool {
	p := &e.params
	if e.throttle > now {
		s.throttled = append(s.throttled, e)
		s.arm(now)
		return false
	}
	if e.throttle != 0 || now >= e.due || ratio(e.due-now, e.left) > ratio(p.Deadline, p.Runtime) {
		e.due, e.left, e.throttle = now+p.Deadline, p.Runtime, 0
	}
	return true
}

// exhaust takes the slot of e away until its next period, and gives it to the next one.
func (s *scheduler) exhaust(e *Entity, now int64) {
	s.vacate(e, true, now)
	e.throttle = max(e.due-e.params.Deadline+e.params.period(), now+1)
	s.throttled = append(s.throttled, e)
	s.fill(e.slot, now)
	s.arm(now)
}

// unthrottle takes e out of the list of those that wait for their next period; false if it is not there.
func (s *scheduler) unthrottle(e *Entity) bool {
	for i, o := range s.throttled {
		if o == e {
			last := len(s.throttled) - 1
			s.throttled[i] = s.throttled[last]
			s.throttled[last] = nil
			s.throttled = s.throttled[:last]
			return true
		}
	}
	return false
}
