//go:build metal

package goport

import (
	"math/bits"
	"runtime"
	"syscall"

	"gosv/kernel/cpu"
)

// callAffinity is above Linux's numbers: sched_setaffinity for the calling machine thread, with the mask as a value.
const callAffinity = 0x1000

// Pin keeps the calling goroutine on the CPUs of mask from now on; 0 lets it go again. A pinned goroutine has a machine
// thread of its own, so waking it costs a switch of machine threads.
func Pin(mask uint64) {
	if mask != 0 {
		runtime.LockOSThread()
	}
	syscall.RawSyscall(callAffinity, uintptr(mask), 0, 0)
	if mask == 0 {
		runtime.UnlockOSThread()
	}
}

// setAffinity serves callAffinity: t, which runs on c, moves if it may not stay.
//
//go:nosplit
func setAffinity(c *cpu.CPU, t *thread, mask uint64) {
	t.allowed = mask
	if t.mayRun(c.Index) {
		return
	}
	lockSched()
	ready(t)
	unlockSched()
	schedule(c)
}

// mayRun reports whether t may run on the CPU with this index.
//
//go:nosplit
func (t *thread) mayRun(index uint32) bool { return t.allowed == 0 || t.allowed>>(index&63)&1 != 0 }

// place picks a CPU for a pinned thread: where it ran last if it may, else an idle one, else the first of its mask.
// sched.lock is held.
//
//go:nosplit
func (t *thread) place() uint32 {
	if t.mayRun(t.cpu) {
		return t.cpu & (cpu.MaxCPUs - 1)
	}
	for m := t.allowed; m != 0; m &= m - 1 {
		if i := uint32(bits.TrailingZeros64(m)) & (cpu.MaxCPUs - 1); sched.cpus[i].idle != 0 {
			return i
		}
	}
	return uint32(bits.TrailingZeros64(t.allowed)) & (cpu.MaxCPUs - 1)
}

// readyPinned is ready for a thread that may not run everywhere. sched.lock is held.
//
//go:nosplit
func readyPinned(t *thread, self *cpu.CPU) {
	index := t.place()
	q := &sched.cpus[index]
	if q.idle != 0 {
		q.idle = 0
		sched.idle--
	}
	q.enqueue(t)
	if index != self.Index {
		sched.kicks |= 1 << index // a busy one starts a time slice then
		return
	}
	now := cpu.Nanotime()
	q.watch(now)
	q.arm(now)
}

// takeFor removes from q's run queue the first thread that may run on the CPU with this index, and returns it.
//
//go:nosplit
func (q *cpuSched) takeFor(index uint32) *thread {
	var before *thread
	for n := q.head; n != 0; {
		t := ref(n)
		if !t.mayRun(index) {
			before = t
			n = t.runNext
			continue
		}
		if before == nil {
			q.head = t.runNext
		} else {
			before.runNext = t.runNext
		}
		if q.tail == n {
			q.tail = 0
			if before != nil {
				q.tail = before.num()
			}
		}
		return t
	}
	return nil
}
