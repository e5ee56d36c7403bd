package task

import (
	"math"

	"golang.org/x/sys/unix"
	"gosv/abi/linux"
)

// A PosixTimer is what timer_create(2) makes. It has at most one signal in a queue.
// A timer with a period stands while its signal waits there, and starts again when
// the signal is taken: how often it would have expired meanwhile is the overrun.
type PosixTimer struct {
	timer   // clock is that of the setting: relative times of CLOCK_REALTIME are on the monotonic one
	created Clock
	ID      int32
	proc    *Process
	target  *Thread // SIGEV_THREAD_ID
	notify  int
	signo   int
	value   uint64
	waits   bool   // it has a period and has expired, and its signal was not taken yet
	seq     uint64 // grows with each setting, and when a signal is taken
	overrun int64  // expirations beyond the one that the next signal is for, less one
	last    int64  // the overrun of the last signal taken

	// Guarded by Process.mu:

	queued   bool   // its signal is in a queue
	sent     uint64 // seq when that was sent; another seq makes the signal void
	periodic bool   // it had a period then
	ignored  bool   // it has a period, and its signal was ignored
}

// SigEvent is struct sigevent.
type SigEvent struct {
	Value  uint64
	Signo  int32
	Notify int32
	TID    int32
}

// maxTimers bounds the timers of a process, beside RLIMIT_SIGPENDING.
const maxTimers = 65536

// NewTimer is timer_create(2); ev nil is SIGALRM with the ID as value. EAGAIN,
// EINVAL.
func (t *Thread) NewTimer(clock Clock, ev *SigEvent) (int32, error) {
	p := t.Proc
	m := &PosixTimer{created: clock, proc: p, notify: linux.SIGEV_SIGNAL, signo: int(unix.SIGALRM), overrun: -1}
	m.clock = clock
	ts := &p.timers
	ts.mu.Lock()
	full := len(ts.posix) >= maxTimers || uint64(len(ts.posix)) >= p.Limit(rlimitSigpending)
	ts.mu.Unlock()
	if full {
		return 0, unix.EAGAIN
	}
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
	ts.mu.Lock()
	defer ts.mu.Unlock()
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

// expired sends the timer's signal. timers.mu is held.
func (m *PosixTimer) expired() {
	if m.period == 0 {
		m.at = 0
	} else {
		m.waits = true
	}
	m.proc.sendTimer(m)
}

// sendTimer queues the signal of a timer that has expired, unless it is in the
// queue already. The signal of a timer with a period that is ignored waits until it
// is not ignored any more. timers.mu is held.
func (p *Process) sendTimer(m *PosixTimer) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if m.target != nil && m.target.state.Load() == stateDead || len(p.threads) == 0 {
		return
	}
	m.sent, m.periodic = m.seq, m.waits
	target, ignored := p.prepare(m.target, m.signo)
	if ignored {
		m.setIgnored(m.periodic)
		return
	}
	m.setIgnored(false)
	if m.queued {
		return
	}
	m.queued = true
	q := &p.signals.pending
	if m.target != nil {
		q = &m.target.sig.pending
	}
	info := linux.NewSigInfo(m.signo, linux.SI_TIMER)
	info.SetTimer(m.ID, 0, m.value)
	if p.endsAtOnce(m.target, m.signo) {
		p.fatal = &info
		p.endLocked(m.signo, nil)
		return
	}
	q.add(&info, m)
	p.announceSignal(target, m.signo)
}

// setIgnored notes whether the timer's signal waits until it is not ignored.
// Process.mu is held.
func (m *PosixTimer) setIgnored(yes bool) {
	if m.ignored != yes {
		m.ignored = yes
		if yes {
			m.proc.timers.ignored.Add(1)
		} else {
			m.proc.timers.ignored.Add(-1)
		}
	}
}

// dropped notes that the timer's signal was taken out of a queue unseen, as when it
// becomes ignored. Process.mu is held.
func (m *PosixTimer) dropped() {
	m.queued = false
	m.setIgnored(m.periodic)
}

// taken starts the timer again, now that its signal has left the queue, and puts
// the overrun into info. sent is what sendTimer noted; false means that the timer
// was set since, or deleted, and that the signal is void.
func (m *PosixTimer) taken(sent uint64, info *linux.SigInfo) bool {
	ts := &m.proc.timers
	ts.mu.Lock()
	defer ts.mu.Unlock()
	if m.seq != sent || ts.posix[m.ID] != m {
		return false
	}
	if !m.waits {
		return true
	}
	m.waits = false
	m.overrun += m.forward(m.clock.Now())
	m.last, m.overrun = min(m.overrun, math.MaxInt32), -1
	m.seq++
	m.arm(ts)
	info.SetTimer(m.ID, int32(m.last), m.value)
	return true
}

// heedTimers sends the signals sig of timers that waited because the signal was
// ignored.
func (p *Process) heedTimers(sig int) {
	ts := &p.timers
	if ts.ignored.Load() == 0 {
		return
	}
	ts.mu.Lock()
	defer ts.mu.Unlock()
	for _, m := range ts.posix {
		if m.signo != sig {
			continue
		}
		p.mu.Lock()
		again := m.ignored
		p.mu.Unlock()
		if again {
			p.sendTimer(m)
		}
	}
}

// withTimer calls f with the timer and its lock; EINVAL if there is none.
func (p *Process) withTimer(id int32, f func(m *PosixTimer) error) error {
	p.timers.mu.Lock()
	defer p.timers.mu.Unlock()
	m := p.timers.posix[id]
	if m == nil {
		return unix.EINVAL
	}
	return f(m)
}

// SetTimer is timer_settime(2). EINVAL, and ESRCH for a clock of a process or
// thread that has ended.
func (p *Process) SetTimer(id int32, absolute bool, value, period int64) (oldValue, oldPeriod int64, err error) {
	err = p.withTimer(id, func(m *PosixTimer) error {
		if m.created.ended() {
			return unix.ESRCH
		}
		oldValue, oldPeriod = m.remaining()
		m.clock = m.created
		if value != 0 && !absolute {
			m.clock = m.created.relative()
			value = later(m.clock.Now(), value)
		}
		m.seq++
		m.waits, m.overrun, m.last = false, -1, 0
		if value == 0 {
			period = 0
		}
		if m.notify == linux.SIGEV_NONE {
			m.hw.Stop()
			m.at, m.period = value, period // it only tells the time
			return nil
		}
		p.mu.Lock()
		m.setIgnored(false)
		m.periodic = false
		p.mu.Unlock()
		m.set(&p.timers, value, period)
		return nil
	})
	return oldValue, oldPeriod, err
}

// remaining is what timer_gettime(2) tells. timers.mu is held.
func (m *PosixTimer) remaining() (value, period int64) {
	if m.at == 0 {
		return 0, m.period
	}
	now := m.clock.Now()
	none := m.notify == linux.SIGEV_NONE
	if m.period != 0 && (m.waits || none) {
		m.overrun += m.forward(now)
	}
	switch {
	case m.at > now:
		return m.at - now, m.period
	case none:
		return 0, m.period
	}
	return 1, m.period
}

// Timer is timer_gettime(2).
func (p *Process) Timer(id int32) (value, period int64, err error) {
	err = p.withTimer(id, func(m *PosixTimer) error {
		value, period = m.remaining()
		return nil
	})
	return value, period, err
}

// TimerOverrun is timer_getoverrun(2).
func (p *Process) TimerOverrun(id int32) (n int64, err error) {
	err = p.withTimer(id, func(m *PosixTimer) error {
		n = m.last
		return nil
	})
	return n, err
}

// DeleteTimer is timer_delete(2).
func (p *Process) DeleteTimer(id int32) error {
	return p.withTimer(id, func(m *PosixTimer) error {
		m.delete()
		return nil
	})
}

// delete ends the timer; its signal is not delivered any more. timers.mu is held.
func (m *PosixTimer) delete() {
	p := m.proc
	m.hw.Stop()
	m.at, m.armed, m.waits = 0, false, false
	m.seq++
	delete(p.timers.posix, m.ID)
	p.mu.Lock()
	m.setIgnored(false)
	if m.queued {
		m.queued = false
		q := &p.signals.pending
		if m.target != nil {
			q = &m.target.sig.pending
		}
		q.forget(m)
	}
	p.mu.Unlock()
}

// deleteTimers is execve's effect on POSIX timers.
func (p *Process) deleteTimers() {
	p.timers.mu.Lock()
	defer p.timers.mu.Unlock()
	for _, m := range p.timers.posix {
		m.delete()
	}
}

// restartTAI makes timers of CLOCK_TAI follow a change of its offset.
func (p *Process) restartTAI() {
	ts := &p.timers
	ts.mu.Lock()
	defer ts.mu.Unlock()
	for _, m := range ts.posix {
		if m.armed && m.clock.id == unix.CLOCK_TAI {
			m.arm(ts)
		}
	}
}
