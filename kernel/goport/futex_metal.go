//go:build metal

package goport

import (
	"sync/atomic"
	"unsafe"

	"gosv/kernel/cpu"
)

// Threads that wait on a futex are in a hash table, guarded by sched.lock.
const futexBuckets = 64

var futexTab [futexBuckets]uint32

//go:nosplit
func futexBucket(addr uintptr) *uint32 {
	return &futexTab[(addr>>3^addr>>9^addr>>15)&(futexBuckets-1)]
}

//go:nosplit
func futex(c *cpu.CPU, t *thread, r *cpu.Regs) {
	addr := uintptr(r.DI)
	switch r.SI & 0x7f {
	case 0: // FUTEX_WAIT
		_ = atomic.LoadUint32((*uint32)(unsafe.Pointer(addr))) // page it in before locking
		at := deadline(uintptr(r.R10))
		lockSched()
		if atomic.LoadUint32((*uint32)(unsafe.Pointer(addr))) != uint32(r.DX) {
			unlockSched()
			r.AX = eagain
			return
		}
		r.AX = etimedout // a waker overwrites it
		t.futex = addr
		b := futexBucket(addr)
		t.futNext = 0
		for *b != 0 {
			b = &ref(*b).futNext
		}
		*b = t.num()
		t.block(at)
		if at != 0 {
			noteSleep(t, addr, at, cpu.Nanotime())
		}
		unlockSched()
		schedule(c)
	case 1: // FUTEX_WAKE
		lockSched()
		r.AX = futexWake(addr, uint64(uint32(r.DX)))
		unlockSched()
	default:
		r.AX = enosys
	}
}

// futexWake readies at most n threads that wait at addr, the first ones first. sched.lock is held.
//
//go:nosplit
func futexWake(addr uintptr, n uint64) (woken uint64) {
	for b := futexBucket(addr); *b != 0 && woken < n; {
		t := ref(*b)
		if t.futex != addr {
			b = &t.futNext
			continue
		}
		*b = t.futNext
		t.Regs.AX = 0
		ready(t)
		woken++
	}
	return
}

// futexRemove takes t, whose deadline has passed, out of its bucket.
//
//go:nosplit
func futexRemove(t *thread) {
	for b := futexBucket(t.futex); *b != 0; b = &ref(*b).futNext {
		if *b == t.num() {
			*b = t.futNext
			return
		}
	}
}
