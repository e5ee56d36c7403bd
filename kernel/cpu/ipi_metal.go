//go:build metal

package cpu

import "sync/atomic"

// The state of CPU.lazy: an idle CPU touches neither user memory nor the Go heap, so it need not be woken to drop TLB
// entries; it does that when it leaves idleness.
const (
	lazyOff = iota
	lazyOn
	lazyStale
)

// The one TLB shootdown under way; flushLock guards it.
var (
	flushLock uint32
	flushReq  struct {
		root, va, n uint64 // n: bytes, 0 for everything; root 0: the kernel's half
		drop        bool   // leave the root, too
	}
	stopping uint32 // a CPU is dying: the others stop
)

// IRQPending says that device interrupts wait for goport.PollInterrupts; Enter then returns at once.
var IRQPending uint32

// flushMax is how many pages are worth an INVLPG each.
const flushMax = 32 * PageSize

// PollIPI does what other CPUs have asked of this one. Interrupts are off.
//
//go:nosplit
func PollIPI() {
	c := This()
	if atomic.LoadUint32(&c.flush) != 0 {
		flushLocal(c)
		atomic.StoreUint32(&c.flush, 0)
	}
	if atomic.LoadUint32(&c.fpFlush) != 0 {
		atomic.StoreUint32(&c.fpFlush, 0)
		fpSave(c)
	}
	if atomic.LoadUint32(&stopping) != 0 {
		spin()
	}
}

// Await is what a CPU does between the looks at what another one is to do; n counts them. Interrupts are off. It pauses in some of them only: under QEMU's emulation
// a PAUSE leaves the loop of the virtual CPU, for a lock which the other one needs to take its interrupt.
//
//go:nosplit
func Await(n int) {
	PollIPI()
	if n%32 == 31 {
		Pause()
	}
}

//go:nosplit
func flushLocal(c *CPU) {
	r := &flushReq
	if r.drop {
		if c.root == r.root {
			c.root = kernelRoot
			writeCR3(kernelRoot)
		}
		return
	}
	if r.root != 0 && c.root != r.root {
		return
	}
	flushRange(r.root, r.va, r.n)
}

//go:nosplit
func flushRange(root, va, n uint64) {
	switch {
	case n != 0 && n <= flushMax:
		for o := uint64(0); o < n; o += PageSize {
			invlpg(uintptr(va + o))
		}
	case root != 0:
		writeCR3(readCR3())
	default:
		flushGlobal()
	}
}

// flushGlobal drops every TLB entry, global ones included.
//
//go:nosplit
func flushGlobal() {
	v := readCR4()
	writeCR4(v &^ cr4PGE)
	writeCR4(v)
}

// shootdown makes every CPU concerned do flushLocal. It may be called with interrupts on or off.
//
//go:nosplit
func shootdown(root, va, n uint64, drop bool) {
	f := InterruptSave()
	self := This()
	if nCPU > 1 {
		for i := 0; !atomic.CompareAndSwapUint32(&flushLock, 0, 1); i++ {
			Await(i)
		}
	}
	flushReq.root, flushReq.va, flushReq.n, flushReq.drop = root, va, n, drop
	flushLocal(self)
	if nCPU > 1 {
		for i := uint32(0); i < nCPU; i++ {
			c := &cpus[i]
			if c == self || root != 0 && atomic.LoadUint64(&c.root) != root {
				continue
			}
			if !drop && (atomic.CompareAndSwapUint32(&c.lazy, lazyOn, lazyStale) || atomic.LoadUint32(&c.lazy) == lazyStale) {
				continue
			}
			atomic.StoreUint32(&c.flush, 1)
			SendIPI(c)
		}
		for i := uint32(0); i < nCPU; i++ {
			c := &cpus[i]
			for n := 0; c != self && atomic.LoadUint32(&c.flush) != 0; n++ {
				Await(n)
			}
		}
		atomic.StoreUint32(&flushLock, 0)
	}
	InterruptRestore(f)
}

// FlushTLB makes all CPUs that have root loaded forget the translations of [va, va+n), or all of root's if n is 0, and
// waits for them.
//
//go:nosplit
func FlushTLB(root uint64, va, n uint64) { shootdown(root, va, n, false) }

// FlushKernel is FlushTLB for the kernel's half, which all tables share.
//
//go:nosplit
func FlushKernel(va, n uint64) { shootdown(0, va, n, false) }

// DropRoot makes sure that no CPU keeps root loaded, before its frames are freed.
//
//go:nosplit
func DropRoot(root uint64) {
	shootdown(root, 0, 0, true)
	fpForget(root)
}

// EnterIdle says that this CPU will only run code that needs no heap and no user memory, until LeaveIdle. A CPU that woke
// up and found nothing to do calls it again: a flush that it missed meanwhile must stay noted.
//
//go:nosplit
func EnterIdle(c *CPU) { atomic.CompareAndSwapUint32(&c.lazy, lazyOff, lazyOn) }

// LeaveIdle ends EnterIdle and makes up for the flushes that were missed.
//
//go:nosplit
func LeaveIdle(c *CPU) {
	if atomic.SwapUint32(&c.lazy, lazyOff) == lazyStale {
		flushGlobal()
	}
}
