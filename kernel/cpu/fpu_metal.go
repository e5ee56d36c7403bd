//go:build metal

package cpu

import (
	"sync/atomic"
	"unsafe"
)

// The XMM registers of ring 3 are saved on every entry, because kernel code uses them. The rest (x87, the upper halves
// of YMM, ZMM...) is never touched by kernel code, so it stays in the registers until another Context needs them, here
// or on another CPU. Most threads are in the initial state whenever they block, because code that uses AVX ends with
// VZEROUPPER: then nothing is saved and nothing loaded.

const maxXSave = 4096

var (
	initXMM   = [xmmSize]byte{256: 0x80, 257: 0x1f} // MXCSR default
	initFPU   xsaveArea                             // of a freshly initialised FPU
	xsaveSize uint32                                // bytes of the XSAVE area for the enabled components
	xcr0      uint64                                // the enabled components; 3 without XSAVE
	useXSave  uint32                                // 0: FXSAVE only
	fpProbe   uint32                                // how fpUntouched finds out: probeNone...
)

const (
	probeNone      = iota // not at all
	probeRegisters        // by looking: x87 and AVX only
	probeXInUse           // XGETBV with ECX=1 (Intel SDM volume 1, section 13.6)
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
	if fpUntouched() {
		x.fpInit, c.fpInit = 1, 1
	} else {
		saveFPU(uintptr(x.fpu))
		x.fpInit, c.fpInit = 0, 0
	}
	c.fpOwner = 0
	atomic.StoreUint64(&x.fpCPU, 0)
}

// ReleaseFPU writes the state that c's registers have back to memory if another CPU could need it. Its thread may run there
// next, and would have to wait for c, which may sleep. Interrupts are off.
//
//go:nosplit
func ReleaseFPU(c *CPU) {
	if nCPU > 1 {
		fpSave(c)
	}
}

// fpFetch waits until the state of x is in memory. Interrupts are off.
//
//go:nosplit
func fpFetch(c *CPU, x *Context) {
	for i := 0; ; i++ {
		n := atomic.LoadUint64(&x.fpCPU)
		switch {
		case n == 0:
			return
		case n == uint64(c.Index)+1:
			fpSave(c)
			return // and no Pause: under QEMU that leaves the emulation loop
		case i == 0:
			o := &cpus[n-1]
			atomic.StoreUint32(&o.fpFlush, 1)
			SendIPI(o)
		}
		Await(i)
	}
}

// fpSwitch makes x the owner of this CPU's FPU; enter calls it on the machine stack, with the page table of x loaded.
//
//go:nosplit
func fpSwitch(x *Context) {
	c := This()
	fpSave(c)
	fpFetch(c, x)
	// Registers in the initial state may still have old contents where x87 says that they are empty: another thread of
	// the same address space may see them, nobody else.
	if x.fpInit == 0 {
		loadFPU(uintptr(x.fpu))
	} else if c.fpInit == 0 || atomic.LoadUint64(&c.fpRoot) != c.root {
		loadFPU(initXSave())
	}
	c.fpInit = 0
	atomic.StoreUint64(&c.fpRoot, c.root)
	c.fpOwner = uintptr(unsafe.Pointer(x))
	if uint64(c.debug)|x.Debug.Control != 0 {
		debugSwitch(c, x)
	}
	atomic.StoreUint64(&x.fpCPU, uint64(c.Index)+1)
}

// fpForget says that the page table root, which is about to be freed, may come back as that of a stranger.
//
//go:nosplit
func fpForget(root uint64) {
	for i := range cpus[:nCPU] {
		atomic.CompareAndSwapUint64(&cpus[i].fpRoot, root, 0)
	}
}

// image is where the FPU state of x is, which must be in memory.
//
//go:nosplit
func (x *Context) image() uintptr {
	if x.fpInit != 0 {
		return initXSave()
	}
	return uintptr(x.fpu)
}
