//go:build metal

package goport

import (
	"unsafe"

	"gosv/kernel/cpu"
	"gosv/kernel/frame"
)

// thread is a machine thread: what Go's runtime calls an M. References between threads are numbers (index plus one; 0 is
// none), so that no write barrier can be emitted. sched.lock guards everything from state on.
type thread struct {
	cpu.Thread
	altSP   uint64
	altSize uint64

	state    uint32
	id       uint32 // index
	cpu      uint32 // index of the CPU that runs it or ran it last
	runNext  uint32 // in a run queue, or in the list of free threads
	futNext  uint32 // in a futex bucket
	timeNext uint32 // in its CPU's list of deadlines
	futex    uintptr
	deadline int64
	pressed  uint32 // the runtime's count of time slices when it was last asked to yield
	allowed  uint64 // CPUs on which it may run, 0: all
}

const (
	threadFree = iota
	threadRunning
	threadReady
	threadBlocked
)

const (
	maxThreads = 1024
	perFrame   = cpu.PageSize / unsafe.Sizeof(thread{})
)

var (
	firstThread thread
	threadTab   [maxThreads]uintptr // *thread
	nThreads    uint32
	freeThreads uint32 // list
)

// ref is the thread with number n; n must not be 0.
//
//go:nosplit
func ref(n uint32) *thread { return (*thread)(unsafe.Pointer(threadTab[(n-1)&(maxThreads-1)])) }

//go:nosplit
func (t *thread) num() uint32 { return t.id + 1 }

//go:nosplit
func (t *thread) addr() uintptr { return uintptr(unsafe.Pointer(t)) }

//go:nosplit
func current(c *cpu.CPU) *thread { return (*thread)(unsafe.Pointer(c.Cur)) }

// addThreads makes room for more threads. sched.lock is held.
//
//go:nosplit
func addThreads() bool {
	if nThreads+uint32(perFrame) > maxThreads {
		return false
	}
	f := frame.Alloc()
	if f == 0 {
		return false
	}
	for i := uintptr(0); i < perFrame; i++ {
		t := (*thread)(unsafe.Pointer(f.Virt() + i*unsafe.Sizeof(thread{})))
		t.id = nThreads
		threadTab[nThreads] = t.addr()
		nThreads++
		t.runNext = freeThreads
		freeThreads = t.num()
	}
	return true
}

// newThread starts a thread that continues after the kcall of its creator, with result 0 and its own stack, as clone(2)
// does.
//
//go:nosplit
func newThread(parent *thread, stack, tls uint64) uint64 {
	lockSched()
	if freeThreads == 0 && !addThreads() {
		unlockSched()
		return eagain
	}
	t := ref(freeThreads)
	freeThreads = t.runNext
	cpu.CopyBytes(t.addr(), parent.addr(), unsafe.Sizeof(t.Regs))
	t.Kind = cpu.FrameCall
	t.Regs.AX = 0
	t.Regs.SP = stack
	t.FS = tls
	t.Root = 0
	t.Pending = 0
	t.SigMask = parent.SigMask
	t.altSP, t.altSize = 0, 0
	t.futex, t.deadline, t.allowed = 0, 0, 0
	t.cpu = parent.cpu
	ready(t)
	unlockSched()
	return uint64(t.num())
}
