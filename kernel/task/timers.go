package task

import (
	"math"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
	"gosv/abi/linux"
	"gosv/kernel/cpu"
	"gosv/kernel/wait"
)

// timers are a process's interval timers (setitimer(2), alarm(2)), POSIX timers
// (timer_create(2)) and its RLIMIT_CPU.
type timers struct {
	mu       sync.Mutex
	interval [3]timer // ITIMER_REAL, ITIMER_VIRTUAL, ITIMER_PROF
	posix    map[int32]*PosixTimer
	next     int32
	cpuLimit timer
	stopped  bool
	ignored  atomic.Int32 // POSIX timers whose signal waits until it is no longer ignored
}

// A timer fires at a time on a clock. Whoever gave it a period starts it again: a
// timer whose signal waits does not run, so that a short period costs nothing.
type timer struct {
	clock  Clock
	at     int64 // on clock; 0 when disarmed. In the past while a signal waits
	period int64
	armed  bool // it runs
	hw     wait.Timer
	due    wait.Func
	fire   func() // called with timers.mu held
}

// set starts the timer for the time at on its clock, 0 disarms. ts.mu is held.
func (m *timer) set(ts *timers, at, period int64) {
	m.hw.Stop()
	m.at, m.period, m.armed = at, period, false
	if at != 0 {
		m.arm(ts)
	}
}

// arm starts the hardware timer. A clock of CPU time runs at most as fast as all
// CPUs together, so that a look when that much real time has passed comes never
// too late; it may come too early, and is repeated then. ts.mu is held.
func (m *timer) arm(ts *timers) {
	if ts.stopped {
		return
	}
	if m.due == nil {
		m.due = func() {
			ts.mu.Lock()
			m.expire(ts)
			ts.mu.Unlock()
		}
	}
	m.armed = true
	switch {
	case m.clock.cpuTime():
		if m.clock.ended() {
			return // it stands still
		}
		left := max(m.at-m.clock.Now(), 0)
		m.hw.Start(cpu.Nanotime()+max(left/int64(cpu.NumCPU()), 1e6), m.due)
	case m.clock.steps():
		m.hw.StartRealtime(m.at-m.clock.ahead(), m.due)
	default:
		m.hw.Start(m.at, m.due)
	}
}

// expire is the hardware timer's callback. ts.mu is held.
func (m *timer) expire(ts *timers) {
	if !m.armed || ts.stopped {
		return
	}
	if m.clock.Now() < m.at {
		m.arm(ts)
		return
	}
	m.armed = false
	m.fire()
}

// forward moves the time of a timer with a period beyond now, and returns by how
// many periods.
func (m *timer) forward(now int64) int64 {
	if now < m.at {
		return 0
	}
	n := (now-m.at)/m.period + 1
	if m.at > math.MaxInt64-m.period*n {
		m.at = math.MaxInt64
	} else {
		m.at += m.period * n
	}
	return n
}

// left is the time until the timer fires, 0 when it does not run. ts.mu is held.
func (m *timer) left() int64 {
	if !m.armed {
		return 0
	}
	return max(m.at-m.clock.Now(), 1)
}

// later is a time after another one; it does not overflow.
func later(at, ns int64) int64 {
	if ns > 0 && at > math.MaxInt64-ns {
		return math.MaxInt64
	}
	return at + ns
}

func (ts *timers) stopAll() {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	ts.stopped = true
	for i := range ts.interval {
		ts.interval[i].hw.Stop()
	}
	for _, m := range ts.posix {
		m.hw.Stop()
	}
	ts.cpuLimit.hw.Stop()
}

// itimerReal is ITIMER_REAL.
const itimerReal = 0

var intervalSignal = [3]unix.Signal{unix.SIGALRM, unix.SIGVTALRM, unix.SIGPROF}

// SetInterval is setitimer(2): value and period in ns; it returns the old ones.
func (p *Process) SetInterval(which int, value, period int64) (oldValue, oldPeriod int64) {
	ts := &p.timers
	ts.mu.Lock()
	defer ts.mu.Unlock()
	m := &ts.interval[which]
	if m.fire == nil {
		m.clock = [3]Clock{{id: unix.CLOCK_MONOTONIC}, {id: clockProcessUser, proc: p}, {id: unix.CLOCK_PROCESS_CPUTIME_ID, proc: p}}[which]
		m.fire = func() { p.intervalExpired(which) }
	}
	oldValue, oldPeriod = m.left(), m.period
	if value != 0 {
		value = later(m.clock.Now(), value)
	}
	m.set(ts, value, period)
	return oldValue, oldPeriod
}

// intervalExpired sends the signal of an interval timer. That of real time starts
// again when SIGALRM is taken, as on Linux: while the signal waits or is ignored,
// the timer stands. The others look at their clock once a millisecond at most.
// timers.mu is held.
func (p *Process) intervalExpired(which int) {
	m := &p.timers.interval[which]
	switch {
	case m.period == 0:
		m.at = 0
	case which != itimerReal:
		m.forward(m.clock.Now())
		m.arm(&p.timers)
	}
	p.Signal(linux.NewSigInfo(int(intervalSignal[which]), linux.SI_KERNEL)) //nolint:errcheck // a standard signal
}

// alarmTaken starts ITIMER_REAL again, now that SIGALRM was taken.
func (p *Process) alarmTaken() {
	ts := &p.timers
	ts.mu.Lock()
	defer ts.mu.Unlock()
	if m := &ts.interval[itimerReal]; m.period != 0 && m.at != 0 && !m.armed {
		m.forward(m.clock.Now())
		m.arm(ts)
	}
}

// Interval is getitimer(2).
func (p *Process) Interval(which int) (value, period int64) {
	p.timers.mu.Lock()
	defer p.timers.mu.Unlock()
	m := &p.timers.interval[which]
	return m.left(), m.period
}

// armCPULimit makes RLIMIT_CPU send SIGXCPU at the soft limit, which moves on by a
// second then, and SIGKILL at the hard one.
func (p *Process) armCPULimit() {
	l := p.Rlimit(unix.RLIMIT_CPU)
	if l.Soft == Infinity {
		return
	}
	ts := &p.timers
	ts.mu.Lock()
	defer ts.mu.Unlock()
	m := &ts.cpuLimit
	m.clock = Clock{id: unix.CLOCK_PROCESS_CPUTIME_ID, proc: p}
	m.fire = p.cpuLimitReached
	m.set(ts, l.nextCPUTime(), 0)
}

// maxSeconds is more than a clock can show.
const maxSeconds = math.MaxInt64 / 1_000_000_000

// nextCPUTime is the CPU time in ns at which RLIMIT_CPU has an effect.
func (l Rlimit) nextCPUTime() int64 {
	return int64(max(1, min(l.Soft, l.Hard, maxSeconds)*1e9))
}

func (p *Process) cpuLimitReached() {
	ts := &p.timers
	m := &ts.cpuLimit
	used := uint64(m.clock.Now())
	l := p.Rlimit(unix.RLIMIT_CPU)
	if l.Soft == Infinity {
		return
	}
	if l.Hard < maxSeconds && used >= l.Hard*1e9 {
		p.SendSignal(int(unix.SIGKILL))
		return
	}
	if l.Soft < maxSeconds && used >= l.Soft*1e9 {
		p.SendSignal(int(unix.SIGXCPU))
		l.Soft++
		p.limits.setSoft(unix.RLIMIT_CPU, l.Soft)
	}
	m.set(ts, l.nextCPUTime(), 0)
}
