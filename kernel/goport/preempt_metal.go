//go:build metal

package goport

import (
	"sync/atomic"
	"unsafe"

	"gosv/kernel/cpu"
)

// The runtime's monitor thread, sysmon, preempts goroutines that run for long. When no processor runs Go code it goes to
// sleep, for up to a minute, and is woken by the next system call: entersyscall looks whether it sleeps. Nothing in this
// kernel makes system calls, so while sysmon sleeps the machine layer watches for it: each busy CPU gets a time slice,
// and at its end sysmon is woken from goroutine context, for which the running goroutine is asked to yield.

var (
	sysmon   uint32    // the thread that sleeps on a note inside runtime.sched for long, 0: none
	watchIRQ Interrupt // its delivery wakes sysmon
)

const longSleep = 1e9 // ns: shorter waits are not sysmon's

// runtimeLayout is in the overlay (host/mkkernel): offsets in runtime.g, runtime.m, runtime.p and runtime.sched, the value of
// stackPreempt, and the size of runtime.sched.
type runtimeLayout struct {
	stackLo, stackHi, stackGuard0, preempt, m uint64 // of g
	g0                                        uint64 // of m
	stackPreempt                              uint64
	schedSize                                 uint64
	preemptGen, signalPending, p              uint64 // of m
	schedTick, runqHead, runqTail, runNext    uint64 // of p
	timerHeap, timerModified                  uint64 // of p: when the first of its timers is due
	globalQueue                               uint64 // of sched: the first goroutine of the queue of all processors
	status                                    uint64 // of g
	waiting                                   uint64 // its value while the goroutine is blocked
}

// noteSleep is called when t is about to wait on the futex at addr until the time at. sched.lock is held.
//
//go:nosplit
func noteSleep(t *thread, addr uintptr, at, now int64) {
	if base := runtimeSched(); addr < base || addr >= base+uintptr(layout().schedSize) || at < now+longSleep {
		return
	}
	sysmon = t.num()
	for i := uint32(0); i < uint32(cpu.NumCPU()); i++ {
		if c := cpu.ByIndex(i); c != cpu.This() && sched.cpus[i&(cpu.MaxCPUs-1)].idle == 0 {
			sched.kicks |= 1 << i // arms its slice
		}
	}
}

// monitorSleep makes the sleeps of sysmon longer. It looks every 20 µs at first, and each look is an interrupt and two
// switches, to find processors that wait in system calls of the host, of which there are none here; what it is for in this
// kernel, goroutines that run for 10 ms, it sees in time like this too. The runtime's other sleeps are of 10 µs at most.
//
//go:nosplit
func monitorSleep(at int64) int64 {
	now := cpu.Nanotime()
	if d := at - now; d > 12e3 && d < monitorPeriod {
		return now + monitorPeriod
	}
	return at
}

const monitorPeriod = 5e6 // ns

// watch starts a time slice if there is reason for one. sched.lock is held.
//
//go:nosplit
func (q *cpuSched) watch(now int64) {
	if q.sliceEnd == 0 && (q.head != 0 || sysmon != 0) {
		q.sliceEnd = now + slice
	}
}

// pressYield asks the goroutine that f interrupted to yield, as the runtime's preemptone does: at its next function call,
// or at once, by signal.
//
//go:nosplit
func pressYield(t *thread, f *cpu.Regs) {
	l := layout()
	g := cpu.Load64(uintptr(t.FS - 8))
	if g == 0 || f.SP < cpu.Load64(uintptr(g+l.stackLo)) || f.SP >= cpu.Load64(uintptr(g+l.stackHi)) {
		return
	}
	if m := cpu.Load64(uintptr(g + l.m)); m == 0 || cpu.Load64(uintptr(m+l.g0)) == g || t.SigMask == ^uint64(0) {
		return // on the scheduler's stack, or in a signal handler
	}
	cpu.Store8(uintptr(g+l.preempt), 1)
	cpu.Store64(uintptr(g+l.stackGuard0), l.stackPreempt)
	atomic.OrUint64(&t.Pending, 1<<(sigURG-1))
}

// acknowledge answers the runtime's request to preempt t, SIGURG, in the place of the runtime's handler, if that is not
// needed: in a kcall, where a goroutine cannot be preempted, and the first time in a time slice, because the goroutine will
// see the request at its next function call. Only code that makes no call for long gets the signal. So neither the boot
// nor a program that computes pays for a signal frame every 10 ms.
//
//go:nosplit
func acknowledge(t *thread, kcall bool) bool {
	l := layout()
	g := cpu.Load64(uintptr(t.FS - 8))
	if g == 0 {
		return false
	}
	m := uintptr(cpu.Load64(uintptr(g + l.m)))
	if p := cpu.Load64(m + uintptr(l.p)); p != 0 && !kcall {
		tick := cpu.Load32(uintptr(p + l.schedTick))
		if t.pressed == tick {
			return false
		}
		t.pressed = tick
	}
	atomic.AddUint32((*uint32)(unsafe.Pointer(m+uintptr(l.preemptGen))), 1)
	atomic.StoreUint32((*uint32)(unsafe.Pointer(m+uintptr(l.signalPending))), 0)
	return true
}

// startWatch makes the interrupt that wakes sysmon known to PollInterrupts.
func startWatch() {
	slotTab[watchSlot] = uintptr(unsafe.Pointer(&watchIRQ))
	slotOwner[watchSlot] = &watchIRQ
}

// wakeSysmon does what is left of a system call when nothing is called.
//
//go:nosplit
func wakeSysmon() {
	if atomic.LoadUint32(&sysmon) != 0 {
		entersyscall()
		exitsyscall()
	}
}

//go:linkname entersyscall runtime.entersyscall
func entersyscall()

//go:linkname exitsyscall runtime.exitsyscall
func exitsyscall()

// Implemented in assembly.
func runtimeSched() uintptr
func layout() *runtimeLayout
