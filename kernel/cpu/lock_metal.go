//go:build metal

package cpu

import (
	"sync/atomic"
)

// SpinLock is a lock for the machine layer and for short sections that interrupt handlers share. Interrupts are off
// while it is held. A waiter answers the requests of other CPUs, so that one which waits for an answer cannot deadlock
// with it.
type SpinLock uint32

// Lock returns what Unlock needs to restore the interrupt state.
//
//go:nosplit
func (l *SpinLock) Lock() (flags uintptr) {
	flags = InterruptSave()
	for i := 0; !atomic.CompareAndSwapUint32((*uint32)(l), 0, 1); i++ {
		Await(i)
	}
	return flags
}

// Unlock releases l.
//
//go:nosplit
func (l *SpinLock) Unlock(flags uintptr) {
	atomic.StoreUint32((*uint32)(l), 0)
	InterruptRestore(flags)
}
