//go:build !metal

package cpu

import (
	"runtime"
	"sync/atomic"
)

// A SpinLock guards state that interrupt handlers and code below the Go
// scheduler share. The zero value is unlocked.
type SpinLock uint32

// Lock waits for the lock and returns what Unlock needs to restore interrupts.
func (l *SpinLock) Lock() (flags uintptr) {
	for !atomic.CompareAndSwapUint32((*uint32)(l), 0, 1) {
		runtime.Gosched()
	}
	return 0
}

// Unlock releases the lock.
func (l *SpinLock) Unlock(flags uintptr) { atomic.StoreUint32((*uint32)(l), 0) }

// InterruptSave disables interrupts; there are none on the host.
func InterruptSave() uintptr { return 0 }

// InterruptRestore undoes InterruptSave.
func InterruptRestore(uintptr) {}
