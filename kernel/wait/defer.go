package wait

import (
	"sync/atomic"

	"gosv/kernel/cpu"
)

// Deferred is work that is put off to do more of it at once, such as telling a
// device of packets. It is done when a thread blocks, and at the latest when one
// is about to leave the kernel after DeferLimit; whoever defers has a timer for
// when there is no such thread.
var deferred struct {
	since atomic.Int64 // when there first was some, 0: there is none
	run   func()
}

// DeferLimit is how old deferred work may be when a thread goes back to ring 3,
// in nanoseconds.
const DeferLimit = 400e3

// OnDeferred sets what does the deferred work. It calls Undefer first.
func OnDeferred(run func()) { deferred.run = run }

// Defer notes that there is work. It reports whether there was none.
func Defer(now int64) bool { return deferred.since.CompareAndSwap(0, now) }

// Undefer notes that the work is being done. What is deferred from now on is
// new work. It returns since when there has been some, 0 if there is none.
func Undefer() int64 { return deferred.since.Swap(0) }

// DeferredSince is since when there is work, 0 if there is none.
func DeferredSince() int64 { return deferred.since.Load() }

// FinishDeferred does what has been deferred for long enough: a thread calls it
// before it goes back to ring 3.
func FinishDeferred() {
	if since := deferred.since.Load(); since != 0 && cpu.Nanotime()-since >= DeferLimit {
		deferred.run()
	}
}

// finishAll does all that has been deferred.
func finishAll() {
	if deferred.since.Load() != 0 {
		deferred.run()
	}
}
