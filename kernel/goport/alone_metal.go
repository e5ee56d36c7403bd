//go:build metal

package goport

import "gosv/kernel/cpu"

// Alone reports whether the calling goroutine would be the next one to run if it yielded: no other is runnable here, and
// no timer is due that could make one so. It takes no lock; the answer may be old by the time it is looked at, as that
// of a scheduler may. Goroutines that were made runnable by another processor are in that one's queue, which a yield does
// not look into either.
func Alone() bool {
	l := layout()
	p := currentP(l)
	return cpu.Load64(p+uintptr(l.runNext)) == 0 &&
		cpu.Load32(p+uintptr(l.runqHead)) == cpu.Load32(p+uintptr(l.runqTail)) &&
		cpu.Load64(runtimeSched()+uintptr(l.globalQueue)) == 0 &&
		!due(cpu.Load64(p+uintptr(l.timerHeap))) && !due(cpu.Load64(p+uintptr(l.timerModified)))
}

// due reports whether the time has come at which a timer of the runtime is set, 0 for none.
func due(at uint64) bool { return at != 0 && int64(at) <= cpu.Nanotime() }

// currentP is the address of the runtime's processor that runs the caller.
func currentP(l *runtimeLayout) uintptr
