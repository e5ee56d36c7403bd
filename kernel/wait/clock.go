package wait

import (
	"sync/atomic"

	"gosv/kernel/cpu"
)

// Realtime makes a deadline of a time on CLOCK_REALTIME. Deadlines of the monotonic
// clock are positive, 0 is none, and those of CLOCK_REALTIME are negative: a Sleep
// until such a deadline follows the steps of the clock.
func Realtime(at int64) int64 { return -max(at, 1) }

// Passed reports whether a deadline, which is not 0, has been reached.
func Passed(deadline int64) bool {
	if deadline < 0 {
		return cpu.Walltime() >= -deadline
	}
	return cpu.Nanotime() >= deadline
}

// ClockSet is told of each step of CLOCK_REALTIME and of each change of the offset
// of CLOCK_TAI.
var ClockSet Queue

var clockSteps atomic.Uint64

// ClockSteps is how often CLOCK_REALTIME was set.
func ClockSteps() uint64 { return clockSteps.Load() }

// ClockWasSet makes timers and sleepers follow a step of CLOCK_REALTIME, after
// cpu.SetWalltime: those that are due now fire, and the others wait for their new
// time.
func ClockWasSet() {
	timers.mu.Lock()
	arm()
	timers.mu.Unlock()
	clockSteps.Add(1)
	ClockSet.Notify(In)
}
