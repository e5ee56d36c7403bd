//go:build metal

package frame

import (
	"sync/atomic"
	"unsafe"

	"gosv/kernel/cpu"
)

// cacheLock is nothing: a cache belongs to its CPU while interrupts are off.
type cacheLock struct{}

//go:nosplit
func lockCache() (*cache, uintptr) {
	flags := cpu.InterruptSave()
	return (*cache)(unsafe.Add(unsafe.Pointer(&caches), uintptr(cpu.ID())*unsafe.Sizeof(cache{}))), flags
}

//go:nosplit
func (c *cache) unlock(flags uintptr) { cpu.InterruptRestore(flags) }

// count may be out of date, but nothing worse.
func (c *cache) count() uint32 { return atomic.LoadUint32(&c.n) }
