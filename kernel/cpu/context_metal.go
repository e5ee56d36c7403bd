//go:build metal

package cpu

import (
	"sync/atomic"
	"unsafe"
)

// machine is what a Context has beside what programs can see.
type machine struct {
	ksp, kbp uint64 // kernel SP and BP of Enter while the CPU is in ring 3
	fpCPU    uint64 // index+1 of the CPU whose registers hold the FPU state, 0: memory
	kick     uint32
	fpu      uint64 // address of the 64-byte aligned XSAVE area, for all but XMM
	fpInit   uint32 // the state is the initial one, whatever the area contains; valid while fpCPU is 0
	xmm      [xmmSize]byte
	area     []byte
}

// NewContext returns a Context with a fresh FPU and zero registers.
func NewContext() *Context {
	x := new(Context)
	x.area = make([]byte, xsaveSize+64)
	x.fpu = (uint64(uintptr(unsafe.Pointer(&x.area[0]))) + 63) &^ 63
	x.fpInit = 1
	x.xmm = initXMM
	x.Regs.CS, x.Regs.SS, x.Regs.Flags = UserCS, UserSS, flagInit
	return x
}

// Copy makes x the state that from has: registers, FS, GS and FPU, but not the debug registers.
func (x *Context) Copy(from *Context) {
	from.Release()
	x.Release()
	x.Regs, x.FSBase, x.GSBase, x.Fault = from.Regs, from.FSBase, from.GSBase, from.Fault
	if x.fpInit = from.fpInit; x.fpInit == 0 {
		CopyBytes(uintptr(x.fpu), uintptr(from.fpu), uintptr(xsaveSize))
	}
	x.xmm = from.xmm
	x.Debug = DebugRegs{}
}

// Enter runs ring 3 on the page table root until a system call, a trap or an interrupt; x.Regs.Vec says which. It
// returns VecKick at once when the runtime wants this goroutine, or when interrupts wait for goport.PollInterrupts.
//
// Whatever the registers contain is safe: flags and segments are forced, and an instruction pointer that is not
// canonical comes back as the general protection fault that it is.
func (x *Context) Enter(root uint64) {
	r := &x.Regs
	r.Flags = r.Flags&FlagsUser | flagInit
	r.CS, r.SS = UserCS, UserSS
	if r.IP >= UserTop+PageSize {
		// SYSRET and IRETQ would fault in ring 0 on the user's stack.
		r.Vec, r.Err = VecGP, 0
		return
	}
	enter(x, root)
	if v := r.Vec; v >= VecTimer && v < VecSyscall || v == VecKick {
		atomic.StoreUint32(&x.kick, 0)
		kcall(callYield, 0, 0, 0) // let other threads run, take signals
	}
}

// callYield is sched_yield, the kcall after an interrupt.
const callYield = 24

// Release writes the FPU state of x back to memory. It must be called before the goroutine blocks, else the next CPU has
// to ask for the state, which is slow; and before x is dropped: no CPU may keep a reference to it.
func (x *Context) Release() {
	if atomic.LoadUint64(&x.fpCPU) == 0 {
		return
	}
	f := InterruptSave()
	fpFetch(This(), x)
	InterruptRestore(f)
}

func enter(x *Context, root uint64)

// Kick makes a running Enter return with an interrupt's vector, or the next one at once with VecKick. Any goroutine may
// call it.
func (x *Context) Kick() {
	atomic.StoreUint32(&x.kick, 1)
	// A CPU that is in ring 3 with x owns x's FPU state; enter looks at kick after it has become the owner.
	if n := atomic.LoadUint64(&x.fpCPU); n != 0 {
		SendIPI(&cpus[(n-1)&(MaxCPUs-1)])
	}
}
