package task

import (
	"golang.org/x/sys/unix"
	"gosv/kernel/cpu"
	"gosv/kernel/loader"
)

// A Clock is what a clockid_t names (clock_gettime(2)).
type Clock struct {
	id     int32
	proc   *Process // of a CPU-time clock
	thread *Thread
}

// clockProcessUser is ITIMER_VIRTUAL's: a process's time in ring 3.
const clockProcessUser = -1

// Bits of a dynamic clockid_t (include/linux/posix-timers.h).
const (
	cpuClockThread = 4
	cpuClockVirt   = 1
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
	if id >= 0 || id&3 == 3 {
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
		return Clock{id: unix.CLOCK_THREAD_CPUTIME_ID, thread: o}, nil
	}
	p := t.Proc
	if pid != 0 {
		p = t.Proc.table.Process(pid)
	}
	if p == nil {
		return Clock{}, unix.EINVAL
	}
	c := Clock{id: unix.CLOCK_PROCESS_CPUTIME_ID, proc: p}
	if id&3 == cpuClockVirt {
		c.id = clockProcessUser
	}
	return c, nil
}

// Now reads the clock, in ns.
func (c Clock) Now() int64 {
	switch c.id {
	case unix.CLOCK_REALTIME, unix.CLOCK_REALTIME_COARSE, unix.CLOCK_TAI, unix.CLOCK_REALTIME_ALARM:
		return Walltime()
	case unix.CLOCK_PROCESS_CPUTIME_ID:
		u, s := c.proc.CPUTime()
		return u + s
	case clockProcessUser:
		u, _ := c.proc.CPUTime()
		return u
	case unix.CLOCK_THREAD_CPUTIME_ID:
		return c.thread.clock.now()
	}
	return cpu.Nanotime()
}

func (c Clock) cpuTime() bool { return c.proc != nil || c.thread != nil }

// Realtime reports whether the clock can be set.
func (c Clock) Realtime() bool {
	return c.id == unix.CLOCK_REALTIME || c.id == unix.CLOCK_REALTIME_ALARM || c.id == unix.CLOCK_TAI
}

// Sleepable reports whether clock_nanosleep(2) takes the clock.
func (c Clock) Sleepable() bool {
	switch c.id {
	case unix.CLOCK_REALTIME, unix.CLOCK_MONOTONIC, unix.CLOCK_BOOTTIME, unix.CLOCK_TAI, unix.CLOCK_REALTIME_ALARM, unix.CLOCK_BOOTTIME_ALARM:
		return true
	}
	return c.id == unix.CLOCK_PROCESS_CPUTIME_ID || c.id == clockProcessUser
}

// CPUTime reports whether it is a clock of CPU time.
func (c Clock) CPUTime() bool { return c.cpuTime() }

// Deadline converts a time on the clock to cpu.Nanotime's.
func (c Clock) Deadline(at int64) int64 {
	if c.id == unix.CLOCK_MONOTONIC || c.id == unix.CLOCK_BOOTTIME {
		return max(at, 1)
	}
	return max(cpu.Nanotime()+at-c.Now(), 1)
}

// Walltime is CLOCK_REALTIME in ns since the epoch.
func Walltime() int64 { return cpu.Walltime() }

// SetWalltime is clock_settime(2) of CLOCK_REALTIME.
func SetWalltime(ns int64) {
	cpu.SetWalltime(ns)
	loader.UpdateVDSOClock()
}
