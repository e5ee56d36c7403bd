package goport

import "unsafe"

// A G is a goroutine of the runtime; goroutines are never freed, so that it may
// be kept as a number.
type G uintptr

// Park blocks the calling goroutine. commit runs on the scheduler's stack, when
// Ready may already be called; if it returns false the goroutine goes on at
// once. commit must not block, allocate or grow the stack.
func Park(commit func(g G, arg unsafe.Pointer) bool, arg unsafe.Pointer) {
	gopark(commit, arg, waitReasonSleep, traceBlockGeneric, 1)
}

// CompareAndSwap is atomic.CompareAndSwapUint32 for a commit function: that runs
// without a goroutine, where the race detector's own version crashes.
func CompareAndSwap(p *uint32, old, new uint32) bool

// Ready makes a parked goroutine run again.
func Ready(g G) { goready(g, 1) }

const (
	waitReasonSleep   = 14 // runtime.waitReason, shown in tracebacks
	traceBlockGeneric = 0  // runtime.traceBlockReason
)

//go:linkname gopark runtime.gopark
func gopark(unlockf func(G, unsafe.Pointer) bool, lock unsafe.Pointer, reason uint8, traceReason uint8, skip int)

//go:linkname goready runtime.goready
func goready(gp G, skip int)
