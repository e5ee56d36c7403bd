package task

import (
	"golang.org/x/sys/unix"
	"gosv/abi/linux"
	"gosv/kernel/cpu"
	"gosv/kernel/mm"
	"gosv/kernel/trace"
)

// pageFault resolves a page fault of ring 3, or turns it into a signal.
func (t *Thread) pageFault() {
	r := &t.Ctx.Regs
	addr := t.Ctx.Fault
	if r.Err&(cpu.FaultPresent|cpu.FaultUser) == cpu.FaultPresent && t.iret() {
		return
	}
	acc := mm.AccessRead
	switch {
	case r.Err&cpu.FaultFetch != 0:
		acc = mm.AccessExec
	case r.Err&cpu.FaultWrite != 0:
		acc = mm.AccessWrite
	}
	fault := t.MM.Fault(addr, acc)
	if fault == nil {
		t.faults.Add(1)
		return
	}
	if fault.OOM {
		t.CheckMemory()
		return
	}
	if addr >= cpu.UserTop {
		t.kernelFault(addr, r.Err)
		return
	}
	t.faultSignal(fault.Signal, fault.Code, addr, r.Err&^cpu.FaultReserved|cpu.FaultUser)
}

// kernelFault answers an access to an address of the kernel: a call of the vsyscall page,
// or SIGSEGV. What the kernel has mapped is no business of a program: all of it looks
// mapped.
func (t *Thread) kernelFault(addr, err uint64) {
	if addr&^pageMask == VsyscallPage && err&(cpu.FaultWrite|cpu.FaultFetch) == cpu.FaultFetch {
		t.vsyscall(addr)
		return
	}
	t.faultSignal(int(unix.SIGSEGV), segvMapErr, addr, err&^cpu.FaultReserved|cpu.FaultUser|cpu.FaultPresent)
}

const segvMapErr = 1 // SEGV_MAPERR

// faultSignal is the signal for a page fault with the error code err.
func (t *Thread) faultSignal(sig int, code int32, addr, err uint64) {
	t.sig.trap = trapState{No: cpu.VecPageFault, Err: err, CR2: addr}
	info := linux.NewSigInfo(sig, code)
	info.SetAddr(addr)
	t.force(&info)
}

// CheckMemory kills the process if a system call failed because there was no
// frame for user memory that it touched.
func (t *Thread) CheckMemory() {
	if t.MM.OutOfMemory() {
		t.outOfMemory()
	}
}

// outOfMemory kills the process, if the search for memory has not done so: there is no frame for its page.
func (t *Thread) outOfMemory() {
	if t.Proc.oomKilled.Swap(true) {
		return
	}
	trace.Line(t.Proc.oomLine())
	t.Signal(linux.NewSigInfo(int(unix.SIGKILL), linux.SI_KERNEL)) //nolint:errcheck // SIGKILL needs no room in a queue
}

// kernelHalf is the first canonical address above those of ring 3.
const kernelHalf = 0xffff800000000000

// exception turns an exception of ring 3 into a signal, with the codes of Linux
// (arch/x86/kernel/traps.c).
func (t *Thread) exception() {
	r := &t.Ctx.Regs
	sig, code, addr := unix.SIGSEGV, int32(linux.SI_KERNEL), uint64(0)
	switch r.Vec {
	case cpu.VecDivide:
		sig, code, addr = unix.SIGFPE, linux.FPE_INTDIV, r.IP
	case cpu.VecDebug:
		sig, addr = unix.SIGTRAP, r.IP
		var nothing bool
		if code, nothing = t.debugCode(); nothing {
			return
		}
	case cpu.VecBreakpoint:
		sig = unix.SIGTRAP
	case cpu.VecInvalidOp:
		sig, code, addr = unix.SIGILL, linux.ILL_ILLOPN, r.IP
	case cpu.VecGP:
		if r.IP >= kernelHalf { // Enter has not even tried: a tracer or sigreturn(2) has put it there
			t.kernelFault(r.IP, cpu.FaultFetch)
			return
		}
		if r.Err == 0 && t.umip() {
			return
		}
	case cpu.VecInvalidTSS, cpu.VecNoSegment, cpu.VecStackFault:
		sig = unix.SIGBUS
	case cpu.VecAlign:
		sig, code = unix.SIGBUS, linux.BUS_ADRALN
	case cpu.VecFPU:
		sig, code, addr = unix.SIGFPE, t.fpCode(false), r.IP
	case cpu.VecSIMD:
		sig, code, addr = unix.SIGFPE, t.fpCode(true), r.IP
	}
	t.sig.trap.No, t.sig.trap.Err = r.Vec, r.Err
	info := linux.NewSigInfo(int(sig), code)
	info.SetAddr(addr)
	t.force(&info)
}

// fpCode says which unmasked floating-point exception there was: from the x87
// status, or from MXCSR.
func (t *Thread) fpCode(simd bool) int32 {
	b := t.frameBuffer()
	t.Ctx.SaveFP(b.fp[:len(b.fp)-4])
	fp := b.fp
	var raised uint16
	if simd {
		csr := uint16(fp[24]) | uint16(fp[25])<<8
		raised = csr &^ (csr >> 7)
	} else {
		control := uint16(fp[0]) | uint16(fp[1])<<8
		status := uint16(fp[2]) | uint16(fp[3])<<8
		raised = status &^ control
	}
	switch {
	case raised&0x01 != 0:
		return linux.FPE_FLTINV
	case raised&0x04 != 0:
		return linux.FPE_FLTDIV
	case raised&0x08 != 0:
		return linux.FPE_FLTOVF
	case raised&0x12 != 0: // denormal counts as underflow
		return linux.FPE_FLTUND
	case raised&0x20 != 0:
		return linux.FPE_FLTRES
	}
	return 0
}
