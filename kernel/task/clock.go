package task

import (
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
	"gosv/kernel/cpu"
	"gosv/kernel/loader"
	"gosv/kernel/wait"
)

// A Clock is what a clockid_t names (clock_gettime(2)).
type Clock struct {
	id      int32
	proc    *Process // of a CPU-time clock
	thread  *Thread
	dynamic bool // the clockid_t has the process or thread in it
}

// Clocks that have no clockid_t of their own.
const (
	clockProcessUser = -1 // ITIMER_VIRTUAL's: a process's time in ring 3
	clockThreadUser  = -2
)

// Parts of a dynamic clockid_t (include/linux/posix-timers.h).
const (
	cpuClockThread = 4
	cpuClockVirt   = 1
	cpuClockMax    = 3
)

// Clock returns the clock of a clockid_t; EINVAL.
func (t *Thread) Clock(id int32) (Clock, error) {
	switch id {
	case unix.CLOCK_REALTIME, unix.CLOCK_MONOTONIC, unix.CLOCK_MONOTONIC_RAW, unix.CLOCK_REALTIME_COARSE,
		unix.CLOCK_MONOTONIC_COARSE, unix.CLOCK_BOOTTIME, unix.CLOCK_TAI, unix.CLOCK_REALTIME_ALARM, unix.CLOCK_BOOTTIME_ALARM:
		return Clock{id: id}, nil
	case unix.CLOCK_PROCESS_CPUTIME_ID:
		return Clock{id: id, proc: t.Proc}, nil
	case unix.CLOCK_THREAD_CPUTIME_ID:
		return Clock{id: id, thread: t}, nil
	}
	which := id & 3
	if id >= 0 || which == cpuClockMax {
		return Clock{}, unix.EINVAL
	}
	pid := int(^(id >> 3)) // clock_getcpuclockid(3), pthread_getcpuclockid(3)
	if id&cpuClockThread != 0 {
		o := t
		if pid != 0 {
			o = t.Proc.table.Thread(pid)
		}
		if o == nil || o.Proc != t.Proc {
			return Clock{}, unix.EINVAL
		}
		c := Clock{id: unix.CLOCK_THREAD_CPUTIME_ID, thread: o, dynamic: true}
		if which == cpuClockVirt {
			c.id = clockThreadUser
		}
		return c, nil
	}
	p := t.Proc
	if pid != 0 && pid != t.TID {
		p = t.Proc.table.Process(pid)
	}
	if p == nil {
		return Clock{}, unix.EINVAL
	}
	c := Clock{id: unix.CLOCK_PROCESS_CPUTIME_ID, proc: p, dynamic: true}
	if which == cpuClockVirt {
		c.id = clockProcessUser
	}
	return c, nil
}

// Now reads the clock, in ns.
func (c Clock) Now() int64 {
	switch c.id {
	case unix.CLOCK_REALTIME, unix.CLOCK_REALTIME_COARSE, unix.CLOCK_REALTIME_ALARM:
		return Walltime()
	case unix.CLOCK_TAI:
		return Walltime() + c.ahead()
	case unix.CLOCK_PROCESS_CPUTIME_ID:
		u, s := c.proc.CPUTime()
		return u + s
	case clockProcessUser:
		u, _ := c.proc.CPUTime()
		return u
	case unix.CLOCK_THREAD_CPUTIME_ID:
		return c.thread.clock.now()
	case clockThreadUser:
		u, _ := c.thread.CPUTime()
		return u
	}
	return cpu.Nanotime()
}

// Resolution is clock_getres(2), in ns. That of the coarse clocks is Linux's, whose
// clocks of this kind move on with a tick; here they are as fine as the others.
func (c Clock) Resolution() int64 {
	if c.id == unix.CLOCK_REALTIME_COARSE || c.id == unix.CLOCK_MONOTONIC_COARSE {
		return 4e6
	}
	return 1
}

func (c Clock) cpuTime() bool { return c.proc != nil || c.thread != nil }

// CPUTime reports whether it is a clock of CPU time.
func (c Clock) CPUTime() bool { return c.cpuTime() }

// Dynamic reports whether the clockid_t has a process or thread in it.
func (c Clock) Dynamic() bool { return c.dynamic }

// ended reports whether it is the clock of a process or thread that has ended.
func (c Clock) ended() bool {
	switch {
	case c.proc != nil:
		return c.proc.hasEnded()
	case c.thread != nil:
		return c.thread.state.Load() == stateDead
	}
	return false
}

// hasEnded reports whether all threads of the process have ended.
func (p *Process) hasEnded() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.threads) == 0
}

// Realtime reports whether it is the clock that can be set, CLOCK_REALTIME.
func (c Clock) Realtime() bool { return c.id == unix.CLOCK_REALTIME }

// Alarm reports whether the clock wakes a machine that is suspended. There is no
// device that could, so that such a clock cannot be used, as on Linux without an RTC.
func (c Clock) Alarm() bool {
	return c.id == unix.CLOCK_REALTIME_ALARM || c.id == unix.CLOCK_BOOTTIME_ALARM
}

// Timed reports whether timer_create(2) takes the clock.
func (c Clock) Timed() bool {
	switch c.id {
	case unix.CLOCK_REALTIME, unix.CLOCK_MONOTONIC, unix.CLOCK_BOOTTIME, unix.CLOCK_TAI:
		return true
	}
	return c.cpuTime()
}

// Sleepable reports whether clock_nanosleep(2) takes the clock.
func (c Clock) Sleepable() bool {
	return c.Timed() && (c.id != unix.CLOCK_THREAD_CPUTIME_ID || c.dynamic)
}

// TAI reports whether it is CLOCK_TAI.
func (c Clock) TAI() bool { return c.id == unix.CLOCK_TAI }

// OfThread reports whether it is a clock of the CPU time of the thread t.
func (c Clock) OfThread(t *Thread) bool { return c.thread == t }

// steps reports whether the clock can be set.
func (c Clock) steps() bool { return c.id == unix.CLOCK_REALTIME || c.id == unix.CLOCK_TAI }

// ahead is how much the clock is more than CLOCK_REALTIME, in ns, when it steps
// with that.
func (c Clock) ahead() int64 {
	if c.id == unix.CLOCK_TAI {
		return int64(taiOffset.Load()) * 1e9
	}
	return 0
}

// relative is the clock on which a relative time of c runs: a step of
// CLOCK_REALTIME does not change such a time.
func (c Clock) relative() Clock {
	if c.id == unix.CLOCK_REALTIME {
		c.id = unix.CLOCK_MONOTONIC
	}
	return c
}

// Deadline makes what wait.Sleeper.Sleep takes of a time on the clock.
func (c Clock) Deadline(at int64) int64 {
	if c.steps() {
		return wait.Realtime(at - c.ahead())
	}
	return max(at, 1)
}

// Walltime is CLOCK_REALTIME in ns since the epoch.
func Walltime() int64 { return cpu.Walltime() }

// settingClock is held while CLOCK_REALTIME is set.
var settingClock sync.Mutex

// maxWalltime is the latest time that CLOCK_REALTIME can be set to: the machine may
// run for 30 years then before the clock overflows (TIME_SETTOD_SEC_MAX of Linux).
const maxWalltime = (1<<63/1_000_000_000 - 30*365*24*3600) * 1_000_000_000

// SetWalltime is clock_settime(2) of CLOCK_REALTIME. EINVAL for a time before that
// of CLOCK_MONOTONIC.
func SetWalltime(ns int64) error {
	settingClock.Lock()
	defer settingClock.Unlock()
	return setWalltime(ns)
}

// ShiftWalltime moves CLOCK_REALTIME by delta, in ns. EINVAL.
func ShiftWalltime(delta int64) error {
	settingClock.Lock()
	defer settingClock.Unlock()
	now := Walltime()
	if delta > 0 && now > maxWalltime-delta {
		return unix.EINVAL
	}
	return setWalltime(now + delta)
}

func setWalltime(ns int64) error {
	if ns < cpu.Nanotime() || ns >= maxWalltime {
		return unix.EINVAL
	}
	cpu.SetWalltime(ns)
	loader.UpdateVDSOClock()
	clockStepped()
	wait.ClockWasSet()
	return nil
}

// taiOffset is how much CLOCK_TAI is ahead of CLOCK_REALTIME, in seconds.
var taiOffset atomic.Int32

// TAIOffset is how much CLOCK_TAI is ahead of CLOCK_REALTIME, in seconds.
func TAIOffset() int32 { return taiOffset.Load() }

// SetTAIOffset is adjtimex(2)'s ADJ_TAI.
func SetTAIOffset(seconds int32) {
	if taiOffset.Swap(seconds) == seconds {
		return
	}
	loader.SetTAIOffset(seconds)
	for _, p := range Tasks.Processes() {
		p.restartTAI()
	}
	wait.ClockSet.Notify(wait.In)
}
