package task

import (
	"sync"

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
}

// A timer fires at a time on a clock, and again every period.
type timer struct {
	clock  Clock
	at     int64 // on clock; 0 when disarmed
	period int64
	hw     wait.Timer
	fire   func(missed int64) // called with timers.mu held
}

// set arms the timer for the time at on its clock, 0 disarms. ts.mu is held.
func (m *timer) set(ts *timers, at, period int64) {
	m.hw.Stop()
	m.at, m.period = at, period
	if at != 0 && !ts.stopped {
		m.arm(ts)
	}
}

// arm sets the hardware timer. A clock of CPU time runs at most as fast as all
// CPUs together, so that a look when that much real time has passed comes never
// too late; it may come too early, and is repeated then.
func (m *timer) arm(ts *timers) {
	left := max(m.at-m.clock.Now(), 0)
	if m.clock.cpuTime() {
		left = max(left/int64(cpu.NumCPU()), 1e6)
	}
	m.hw.Start(cpu.Nanotime()+left, func() {
		ts.mu.Lock()
		m.expire(ts)
		ts.mu.Unlock()
	})
}

func (m *timer) expire(ts *timers) {
	if m.at == 0 || ts.stopped {
		return
	}
	now := m.clock.Now()
	if now < m.at {
		m.arm(ts)
		return
	}
	missed := int64(0)
	if m.period > 0 {
		missed = (now - m.at) / m.period
		m.at += (missed + 1) * m.period
		m.arm(ts)
	} else {
		m.at = 0
	}
	m.fire(missed)
}

// left is the time until the timer fires, 0 when it is disarmed. ts.mu is held.
func (m *timer) left() int64 {
	if m.at == 0 {
		return 0
	}
	return max(m.at-m.clock.Now(), 1)
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

var intervalSignal = [3]unix.Signal{unix.SIGALRM, unix.SIGVTALRM, unix.SIGPROF}

// SetInterval is setitimer(2): value and period in ns; it returns the old ones.
func (p *Process) SetInterval(which int, value, period int64) (oldValue, oldPeriod int64) {
	ts := &p.timers
	ts.mu.Lock()
	defer ts.mu.Unlock()
	m := &ts.interval[which]
	if m.fire == nil {
		m.clock = [3]Clock{{id: unix.CLOCK_MONOTONIC}, {id: clockProcessUser, proc: p}, {id: unix.CLOCK_PROCESS_CPUTIME_ID, proc: p}}[which]
		sig := int(intervalSignal[which])
		m.fire = func(int64) { p.Signal(linux.NewSigInfo(sig, linux.SI_KERNEL)) }
	}
	oldValue, oldPeriod = m.left(), m.period
	if value != 0 {
		value += m.clock.Now()
	}
	m.set(ts, value, period)
	return oldValue, oldPeriod
}

// Interval is getitimer(2).
func (p *Process) Interval(which int) (value, period int64) {
	p.timers.mu.Lock()
	defer p.timers.mu.Unlock()
	m := &p.timers.interval[which]
	return m.left(), m.period
}

// armCPULimit makes RLIMIT_CPU send SIGXCPU every second beyond the soft limit
// and SIGKILL at the hard one.
func (ts *timers) armCPULimit(p *Process) {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	m := &ts.cpuLimit
	m.clock = Clock{id: unix.CLOCK_PROCESS_CPUTIME_ID, proc: p}
	m.fire = func(int64) {
		l := p.Rlimit(unix.RLIMIT_CPU)
		if l.Hard != Infinity && m.clock.Now()/1e9 >= int64(l.Hard) {
			p.SendSignal(int(unix.SIGKILL))
			return
		}
		p.SendSignal(int(unix.SIGXCPU))
	}
	m.set(ts, max(int64(p.Limit(unix.RLIMIT_CPU))*1e9, 1), 1e9)
}

// A PosixTimer is what timer_create(2) makes.
type PosixTimer struct {
	timer
	ID      int32
	proc    *Process
	target  *Thread // SIGEV_THREAD_ID
	notify  int
	signo   int
	value   uint64
	missed  int64 // expirations beyond the one that the pending signal is for
	overrun int64 // the same, of the last signal taken
}

// SigEvent is struct sigevent.
type SigEvent struct {
	Value  uint64
	Signo  int32
	Notify int32
	TID    int32
}

const maxTimers = 4096 // per process, as RLIMIT_SIGPENDING bounds them on Linux

// NewTimer is timer_create(2); ev nil is SIGALRM with the ID as value.
func (t *Thread) NewTimer(clock Clock, ev *SigEvent) (int32, error) {
	p := t.Proc
	m := &PosixTimer{proc: p, notify: linux.SIGEV_SIGNAL, signo: int(unix.SIGALRM)}
	m.clock = clock
	if ev != nil {
		m.notify, m.signo, m.value = int(ev.Notify), int(ev.Signo), ev.Value
		switch m.notify {
		case linux.SIGEV_NONE:
		case linux.SIGEV_SIGNAL, linux.SIGEV_THREAD, linux.SIGEV_SIGNAL | linux.SIGEV_THREAD_ID:
			if m.signo < 1 || m.signo > linux.NSIG {
				return 0, unix.EINVAL
			}
		default:
			return 0, unix.EINVAL
		}
		if m.notify&linux.SIGEV_THREAD_ID != 0 {
			m.target = p.table.Thread(int(ev.TID))
			if m.target == nil || m.target.Proc != p {
				return 0, unix.EINVAL
			}
		}
	}
	m.fire = m.expired
	ts := &p.timers
	ts.mu.Lock()
	defer ts.mu.Unlock()
	if len(ts.posix) >= maxTimers {
		return 0, unix.EAGAIN
	}
	if ts.posix == nil {
		ts.posix = map[int32]*PosixTimer{}
	}
	for ts.posix[ts.next] != nil {
		ts.next = (ts.next + 1) & 0x7fffffff
	}
	m.ID = ts.next
	ts.next = (ts.next + 1) & 0x7fffffff
	if ev == nil {
		m.value = uint64(m.ID)
	}
	ts.posix[m.ID] = m
	return m.ID, nil
}

// expired queues the timer's signal; while one is pending, it counts overruns.
func (m *PosixTimer) expired(missed int64) {
	if m.notify == linux.SIGEV_NONE {
		return
	}
	if m.proc.timerPending(m) {
		m.missed += missed + 1
		return
	}
	m.missed = missed
	info := linux.NewSigInfo(m.signo, linux.SI_TIMER)
	info.SetTimer(m.ID, 0, m.value)
	if m.target != nil {
		m.target.Signal(info)
		return
	}
	m.proc.Signal(info)
}

// timerPending reports whether a signal of the timer is queued.
func (p *Process) timerPending(m *PosixTimer) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	q := &p.signals.pending
	if m.target != nil {
		q = &m.target.sig.pending
	}
	if !q.set.Has(m.signo) {
		return false
	}
	for i := range q.queue {
		if info := &q.queue[i]; info.Code() == linux.SI_TIMER && info.TimerID() == m.ID {
			return true
		}
	}
	return false
}

// countOverrun completes the siginfo of a timer's signal that was just taken.
func (p *Process) countOverrun(info *linux.SigInfo) {
	if info.Code() != linux.SI_TIMER {
		return
	}
	p.withTimer(info.TimerID(), func(m *PosixTimer) { //nolint:errcheck // it may be deleted
		m.overrun, m.missed = min(m.missed, 1<<31-1), 0
		info.SetTimer(m.ID, int32(m.overrun), m.value)
	})
}

// withTimer calls f with the timer and its lock; EINVAL if there is none.
func (p *Process) withTimer(id int32, f func(m *PosixTimer)) error {
	p.timers.mu.Lock()
	defer p.timers.mu.Unlock()
	m := p.timers.posix[id]
	if m == nil {
		return unix.EINVAL
	}
	f(m)
	return nil
}

// SetTimer is timer_settime(2).
func (p *Process) SetTimer(id int32, absolute bool, value, period int64) (oldValue, oldPeriod int64, err error) {
	err = p.withTimer(id, func(m *PosixTimer) {
		oldValue, oldPeriod = m.left(), m.period
		if value != 0 && !absolute {
			value += m.clock.Now()
		}
		m.missed, m.overrun = 0, 0
		m.set(&p.timers, value, period)
	})
	return oldValue, oldPeriod, err
}

// Timer is timer_gettime(2).
func (p *Process) Timer(id int32) (value, period int64, err error) {
	err = p.withTimer(id, func(m *PosixTimer) { value, period = m.left(), m.period })
	return value, period, err
}

// TimerOverrun is timer_getoverrun(2).
func (p *Process) TimerOverrun(id int32) (n int64, err error) {
	err = p.withTimer(id, func(m *PosixTimer) { n = m.overrun })
	return n, err
}

// DeleteTimer is timer_delete(2).
func (p *Process) DeleteTimer(id int32) error {
	return p.withTimer(id, func(m *PosixTimer) {
		m.hw.Stop()
		m.at = 0
		delete(p.timers.posix, id)
	})
}

// deleteTimers is execve's effect on POSIX timers.
func (p *Process) deleteTimers() {
	p.timers.mu.Lock()
	defer p.timers.mu.Unlock()
	for id, m := range p.timers.posix {
		m.hw.Stop()
		m.at = 0
		delete(p.timers.posix, id)
	}
}
