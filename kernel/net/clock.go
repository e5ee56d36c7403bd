package net

import (
	"math"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"

	"gosv/kernel/cpu"
	"gosv/kernel/wait"
)

// clock is the stack's time: the kernel's clocks, and its timers rather than
// Go's, which need the runtime's monitor thread to be awake.
type clock struct{}

// Now is the wall clock.
func (clock) Now() time.Time { return time.Unix(0, cpu.Walltime()) }

// NowMonotonic is CLOCK_MONOTONIC.
func (clock) NowMonotonic() tcpip.MonotonicTime {
	return tcpip.MonotonicTime{}.Add(time.Duration(cpu.Nanotime()))
}

// AfterFunc calls f in a goroutine of its own after d.
func (clock) AfterFunc(d time.Duration, f func()) tcpip.Timer {
	t := &timer{fire: func() { go f() }}
	t.Reset(d)
	return t
}

// timer is a tcpip.Timer.
type timer struct {
	wait.Timer
	fire wait.Func
}

// Reset sets the timer to d from now. A time that no clock reaches, which is how
// the stack makes a timer that it does not need yet, is none.
func (t *timer) Reset(d time.Duration) {
	now := cpu.Nanotime()
	if int64(d) > math.MaxInt64-now {
		t.Stop()
		return
	}
	t.Start(now+max(int64(d), 0), t.fire)
}
