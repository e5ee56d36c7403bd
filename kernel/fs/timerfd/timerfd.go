// Package timerfd is timerfd_create(2): a timer whose expirations are read from a descriptor.
package timerfd

import (
	"encoding/binary"
	"math"
	"strconv"
	"sync"

	"golang.org/x/sys/unix"
	"gosv/kernel/cpu"
	"gosv/kernel/mm"
	"gosv/kernel/vfs"
	"gosv/kernel/wait"
)

// Name is what /proc/PID/fd shows.
const Name = "anon_inode:[timerfd]"

// Timer is the object behind the descriptor.
type Timer struct {
	vfs.FileDefaults
	clock int
	queue wait.Queue
	fire  wait.Func

	mu       sync.Mutex
	timer    wait.Timer
	next     int64 // the next expiration that was not counted, 0: disarmed
	wall     bool  // next is a time of CLOCK_REALTIME, not of the monotonic clock
	interval int64 // ns, 0: once
	ticks    uint64
	flags    uint32      // of the last Set
	cancel   bool        // TFD_TIMER_CANCEL_ON_SET has an effect
	steps    uint64      // wait.ClockSteps when that was last looked at
	stepped  wait.Waiter // in wait.ClockSet while cancel is set
}

// Setting is struct itimerspec in nanoseconds.
type Setting struct{ Value, Interval int64 }

// New returns a disarmed timer on a clock that Clock knows.
func New(clock int) *Timer {
	t := &Timer{clock: clock}
	t.fire = func() { t.queue.Notify(wait.In) }
	t.stepped = wait.Waiter{Mask: wait.In, Notify: t.queue.Notify}
	return t
}

// ValidClock reports whether timerfd_create(2) takes the clock.
func ValidClock(clock int) bool {
	switch clock {
	case unix.CLOCK_REALTIME, unix.CLOCK_MONOTONIC, unix.CLOCK_BOOTTIME,
		unix.CLOCK_REALTIME_ALARM, unix.CLOCK_BOOTTIME_ALARM:
		return true
	}
	return false
}

// Set arms the timer, or disarms it with a Value of 0, and returns what it was
// set to. flags are those of timerfd_settime(2). ECANCELED, with the timer set, if
// the clock was set while the setting before asked to be told of that.
func (t *Timer) Set(flags uint32, s Setting) (old Setting, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	old = t.get()
	t.flags, t.ticks, t.interval, t.next = flags, 0, s.Interval, 0
	t.timer.Stop()
	absolute := flags&unix.TFD_TIMER_ABSTIME != 0
	t.wall = absolute && (t.clock == unix.CLOCK_REALTIME || t.clock == unix.CLOCK_REALTIME_ALARM)
	cancel := t.wall && flags&unix.TFD_TIMER_CANCEL_ON_SET != 0
	switch {
	case cancel && !t.cancel:
		t.steps = wait.ClockSteps()
		wait.ClockSet.Add(&t.stepped)
	case !cancel && t.cancel:
		wait.ClockSet.Remove(&t.stepped)
	}
	t.cancel = cancel
	if s.Value != 0 {
		t.next = s.Value
		if !absolute {
			t.next = add(t.now(), s.Value)
		}
		t.start()
		if t.canceled() {
			err = unix.ECANCELED
		}
	}
	return old, err
}

// now is the time on the clock of t.next.
func (t *Timer) now() int64 {
	if t.wall {
		return cpu.Walltime()
	}
	return cpu.Nanotime()
}

// start starts the timer for t.next.
func (t *Timer) start() {
	if t.wall {
		t.timer.StartRealtime(t.next, t.fire)
	} else {
		t.timer.Start(t.next, t.fire)
	}
}

// canceled reports, once for each time, whether the clock was set since the timer
// asked to be told of that.
func (t *Timer) canceled() bool {
	if !t.cancel {
		return false
	}
	old := t.steps
	t.steps = wait.ClockSteps()
	return t.steps != old
}

// Get returns the time that is left, and the interval.
func (t *Timer) Get() Setting {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.get()
}

func (t *Timer) get() Setting {
	now := t.now()
	if t.count(now) {
		t.queue.Notify(wait.In) // the timer itself was just moved away
	}
	s := Setting{Interval: t.interval}
	if t.next != 0 {
		s.Value = max(t.next-now, 1)
	}
	return s
}

// count adds the expirations up to now and reports whether there were any.
// Between two counts a periodic timer fires once; the rest is arithmetic, as on
// Linux.
func (t *Timer) count(now int64) bool {
	if t.next == 0 || now < t.next {
		return false
	}
	if t.interval <= 0 {
		t.ticks, t.next = t.ticks+1, 0
		return true
	}
	n := (now-t.next)/t.interval + 1
	t.ticks += uint64(n)
	if t.next > math.MaxInt64-t.interval*n {
		t.next = math.MaxInt64
	} else {
		t.next += t.interval * n
	}
	t.start()
	return true
}

// Read gives the number of expirations since the last Read. ECANCELED if the clock
// was set and the timer asked to be told of that.
func (t *Timer) Read(_ *vfs.File, dst *mm.Buf, _ int64) (int64, error) {
	if dst.Len() < 8 {
		return 0, unix.EINVAL
	}
	t.mu.Lock()
	if t.canceled() {
		t.ticks = 0
		t.mu.Unlock()
		return 0, unix.ECANCELED
	}
	t.count(t.now())
	n := t.ticks
	t.ticks = 0
	t.mu.Unlock()
	if n == 0 {
		return 0, unix.EAGAIN
	}
	var b [8]byte
	binary.LittleEndian.PutUint64(b[:], n)
	if _, err := dst.CopyTo(b[:]); err != nil {
		return 0, err
	}
	return 8, nil
}

// Readiness says In once the timer has expired.
func (t *Timer) Readiness() wait.Events {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ticks > 0 || t.next != 0 && t.now() >= t.next || t.cancel && t.steps != wait.ClockSteps() {
		return wait.In
	}
	return 0
}

// Queue is told of expirations.
func (t *Timer) Queue() *wait.Queue { return &t.queue }

// Release stops the timer.
func (t *Timer) Release() {
	t.mu.Lock()
	t.timer.Stop()
	if t.cancel {
		wait.ClockSet.Remove(&t.stepped)
		t.cancel = false
	}
	t.next = 0
	t.mu.Unlock()
}

// FDInfo appends what /proc/PID/fdinfo shows.
func (t *Timer) FDInfo(b []byte) []byte {
	s := t.Get()
	t.mu.Lock()
	ticks, flags := t.ticks, t.flags
	t.mu.Unlock()
	b = append(b, "clockid: "...)
	b = strconv.AppendInt(b, int64(t.clock), 10)
	b = append(b, "\nticks: "...)
	b = strconv.AppendUint(b, ticks, 10)
	b = append(b, "\nsettime flags: 0"...)
	b = strconv.AppendUint(b, uint64(flags), 8)
	b = append(b, "\nit_value: "...)
	b = appendTime(b, s.Value)
	b = append(b, "\nit_interval: "...)
	b = appendTime(b, s.Interval)
	return append(b, '\n')
}

func appendTime(b []byte, ns int64) []byte {
	b = append(b, '(')
	b = strconv.AppendInt(b, ns/1e9, 10)
	b = append(b, ", "...)
	b = strconv.AppendInt(b, ns%1e9, 10)
	return append(b, ')')
}

func add(a, b int64) int64 {
	if b > 0 && a > math.MaxInt64-b {
		return math.MaxInt64
	}
	return a + b
}
