package net

import (
	"math"
	"sync"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"

	"gosv/kernel/cpu"
	"gosv/kernel/wait"
)

// clock is the stack's time: the kernel's clocks, and its timers rather than
// Go's, which need the runtime's monitor thread to be awake. It is used as a
// pointer, for which an interface needs no wrappers.
type clock struct{}

// Now is the wall clock.
func (*clock) Now() time.Time { return time.Unix(0, cpu.Walltime()) }

// NowMonotonic is CLOCK_MONOTONIC.
func (*clock) NowMonotonic() tcpip.MonotonicTime {
	return tcpip.MonotonicTime{}.Add(time.Duration(cpu.Nanotime()))
}

// AfterFunc calls f after d, beside the functions of other timers.
func (*clock) AfterFunc(d time.Duration, f func()) tcpip.Timer {
	t := &timer{fire: func() { expire(f) }}
	t.Reset(d)
	return t
}

// timer is a tcpip.Timer.
type timer struct {
	wait.Timer
	fire wait.Func
}

// tick is the precision of timers from tickFrom on, in nanoseconds. Every
// connection has some, and they mostly expire for nothing: those of a tick share an
// interrupt and a goroutine. Linux's timers of TCP have the same one, the shortest
// two of them (TCP_TIMEOUT_MIN).
const (
	tick     = 4e6
	tickFrom = 1e6
)

// Reset sets the timer to d from now. A time that no clock reaches, which is how
// the stack makes a timer that it does not need yet, is none.
func (t *timer) Reset(d time.Duration) {
	now := cpu.Nanotime()
	if int64(d) > math.MaxInt64-now-tick {
		t.Stop()
		return
	}
	at := now + max(int64(d), 0)
	if d >= tickFrom {
		at = (at + tick - 1) / tick * tick
	}
	t.Start(at, t.fire)
}

// expired are functions of timers that are to be run. They take locks of the
// stack, and do not wait for each other.
var expired struct {
	mu   sync.Mutex
	list []func()
	busy bool // somebody runs them
}

// expire lets f be run soon; the goroutine of the timers is not to block.
func expire(f func()) {
	expired.mu.Lock()
	expired.list = append(expired.list, f)
	if !expired.busy {
		expired.busy = true
		go runExpired()
	}
	expired.mu.Unlock()
}

func runExpired() {
	Hold()
	var list []func()
	for {
		clear(list)
		expired.mu.Lock()
		list, expired.list = expired.list, list[:0]
		if len(list) == 0 {
			expired.busy = false
			expired.mu.Unlock()
			break
		}
		expired.mu.Unlock()
		for _, f := range list {
			f()
		}
	}
	Unhold()
	Flush()
}
