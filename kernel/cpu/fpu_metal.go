//go:build metal

package cpu

import (
	"sync/atomic"
	"unsafe"
)

// The XMM registers of ring 3 are saved on every entry, because kernel code uses them. The rest (x87, the upper halves
// of YMM, ZMM...) is never touched by kernel code, so it stays in the registers until another Context needs them, here
// or on another CPU.

const maxXSave = 4096

var (
	initXMM   = [xmmSize]byte{256: 0x80, 257: 0x1f} // MXCSR default
	initFPU   xsaveArea                             // of a freshly initialised FPU
	xsaveSize uint32                                // bytes of the XSAVE area for the enabled components
	xcr0      uint64                                // the enabled components; 3 without XSAVE
	useXSave  uint32                                // 0: FXSAVE only
)

// xsaveArea has room to be aligned to 64 bytes: see initXSave.
type xsaveArea [maxXSave + 64]byte

// fpSave writes the state of the owner back to memory.
//
//go:nosplit
func fpSave(c *CPU) {
	if c.fpOwner == 0 {
		return
	}
	x := (*Context)(unsafe.Pointer(c.fpOwner))
	saveFPU(uintptr(x.fpu))
	c.fpOwner = 0
	atomic.StoreUint64(&x.fpCPU, 0)
}

// fpFetch waits until the state of x is in memory. Interrupts are off.
//
//go:nosplit
func fpFetch(c *CPU, x *Context) {
	for first := true; ; first = false {
		n := atomic.LoadUint64(&x.fpCPU)
		switch {
		case n == 0:
			return
		case n == uint64(c.Index)+1:
			fpSave(c)
		case first:
			o := &cpus[n-1]
			atomic.StoreUint32(&o.fpFlush, 1)
			SendIPI(o)
		}
		PollIPI()
		Pause()
	}
}

// fpSwitch makes x the owner of this CPU's FPU; enter calls it on the machine stack.
//
//go:nosplit
func fpSwitch(x *Context) {
	c := This()
	fpSave(c)
	fpFetch(c, x)
	loadFPU(uintptr(x.fpu))
	c.fpOwner = uintptr(unsafe.Pointer(x))
	atomic.StoreUint64(&x.fpCPU, uint64(c.Index)+1)
}
