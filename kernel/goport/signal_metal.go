//go:build metal

package goport

import (
	"sync/atomic"
	"unsafe"

	"gosv/kernel/cpu"
)

// Signals for kernel threads, with the frame layout of Linux on amd64 (arch/x86/include/uapi/asm/sigcontext.h): the Go
// runtime's own handlers (nil dereference to panic, SIGURG to asynchronous preemption) work unchanged.

const (
	sigILL  = 4
	sigTRAP = 5
	sigBUS  = 7
	sigFPE  = 8
	sigSEGV = 11
	sigURG  = 23

	ucMcontext = 40
	ucSigmask  = 296
	frameInfo  = 8 + 304 // return address + ucontext
	frameSize  = frameInfo + 128
	xmmSize    = unsafe.Sizeof(cpu.Thread{}.XMM)
)

var (
	sigHandler  [65]uintptr
	sigRestorer uintptr
	initXMM     = [xmmSize]byte{256: 0x80, 257: 0x1f} // MXCSR default
)

//go:nosplit
func sigaction(r *cpu.Regs) {
	n := r.DI & 63
	if old := uintptr(r.DX); old != 0 {
		cpu.Store64(old, uint64(sigHandler[n]))
		cpu.Store64(old+8, 0)
		cpu.Store64(old+16, 0)
		cpu.Store64(old+24, 0)
	}
	if act := uintptr(r.SI); act != 0 {
		sigHandler[n] = uintptr(cpu.Load64(act))
		sigRestorer = uintptr(cpu.Load64(act + 16))
	}
}

//go:nosplit
func sigprocmask(t *thread, r *cpu.Regs) {
	if r.DX != 0 {
		cpu.Store64(uintptr(r.DX), t.SigMask)
	}
	if r.SI == 0 {
		return
	}
	set := cpu.Load64(uintptr(r.SI))
	switch r.DI {
	case 0:
		t.SigMask |= set
	case 1:
		t.SigMask &^= set
	case 2:
		t.SigMask = set
	}
}

//go:nosplit
func sigaltstack(t *thread, r *cpu.Regs) {
	const disable = 2
	old := uintptr(r.SI)
	if old != 0 {
		cpu.Store64(old, t.altSP)
		cpu.Store64(old+8, 0)
		cpu.Store64(old+16, t.altSize)
	}
	if set := uintptr(r.DI); set != 0 {
		t.altSP, t.altSize = cpu.Load64(set), cpu.Load64(set+16)
		if cpu.Load32(set+8)&disable != 0 {
			t.altSize = 0
		}
	}
}

// gregs maps the general registers of a Linux sigcontext to words of Regs: r8-r15 di si bp bx dx ax cx sp ip flags.
var gregs = [18]uint8{7, 6, 5, 4, 3, 2, 1, 0, 9, 10, 8, 13, 11, 14, 12, 20, 17, 19}

// deliver makes f continue in the handler of sig, on the signal stack. fp is the saved vector state of the interrupted
// code.
//
//go:nosplit
func deliver(t *thread, f *cpu.Regs, fp uintptr, sig uint64, code uint32, addr uint64) {
	h := sigHandler[sig]
	if h < 2 || t.altSize == 0 {
		cpu.Crash("trap before the runtime handles signals", f)
	}
	sp := t.altSP + t.altSize
	if f.SP > t.altSP && f.SP <= sp {
		sp = f.SP - 128
	}
	fpAt := (sp - uint64(xmmSize)) &^ 63
	sp = (fpAt-frameSize)&^15 - 8
	if sp < t.altSP {
		cpu.Crash("trap with the signal stack full", f)
	}
	for p := sp &^ (cpu.PageSize - 1); p < t.altSP+t.altSize; p += cpu.PageSize {
		pageIn(uintptr(p)) // this may be the page fault stack: no faults here
	}
	if fp == 0 {
		fp = uintptr(unsafe.Pointer(&initXMM))
	}
	cpu.CopyBytes(uintptr(fpAt), fp, xmmSize)
	uc := uintptr(sp + 8)
	cpu.Store64(uintptr(sp), uint64(sigRestorer))
	for o := uintptr(0); o < 304; o += 8 {
		cpu.Store64(uc+o, 0)
	}
	cpu.Store64(uc+16, t.altSP)
	cpu.Store64(uc+32, t.altSize)
	for i := uintptr(0); i < 18; i++ {
		cpu.Store64(uc+ucMcontext+i*8, cpu.Load64(uintptr(unsafe.Pointer(f))+uintptr(gregs[i])*8))
	}
	cpu.Store64(uc+ucMcontext+18*8, f.CS)
	cpu.Store64(uc+ucMcontext+19*8, f.Err)
	cpu.Store64(uc+ucMcontext+20*8, f.Vec)
	cpu.Store64(uc+ucMcontext+22*8, addr)
	cpu.Store64(uc+ucMcontext+23*8, fpAt)
	cpu.Store64(uc+ucSigmask, t.SigMask)
	info := uintptr(sp + frameInfo)
	for o := uintptr(0); o < 128; o += 8 {
		cpu.Store64(info+o, 0)
	}
	cpu.Store32(info, uint32(sig))
	cpu.Store32(info+8, code)
	cpu.Store64(info+16, addr)
	t.SigMask = ^uint64(0)
	Stats.Signals++
	f.DI, f.SI, f.DX = sig, uint64(info), uint64(uc)
	f.SP, f.IP, f.Flags = sp, uint64(h), cpu.FlagIF|2
}

// deliverPending makes f continue in the handler of a pending signal; fp is 0 if it is in a kcall.
//
//go:nosplit
func deliverPending(t *thread, f *cpu.Regs, fp uintptr) {
	if t.altSize == 0 {
		return
	}
	for sig := uint64(1); sig < 64; sig++ {
		bit := uint64(1) << (sig - 1)
		if atomic.LoadUint64(&t.Pending)&bit&^t.SigMask == 0 {
			continue
		}
		atomic.AndUint64(&t.Pending, ^bit)
		if sig == sigURG && acknowledge(t, fp == 0) {
			continue
		}
		if sigHandler[sig] > 1 {
			deliver(t, f, fp, sig, 0xfffffffa, 0) // SI_TKILL
		}
		return // the handler masks the others
	}
}

// resuming delivers the signals of the thread that resume will continue; its state is in the thread, whether it was
// preempted or made a call.
//
//go:nosplit
func resuming() {
	t := current(cpu.This())
	if atomic.LoadUint64(&t.Pending)&^t.SigMask == 0 {
		return
	}
	var fp uintptr
	if t.Kind == cpu.FrameTrap {
		fp = uintptr(unsafe.Pointer(&t.XMM))
	} else {
		t.Regs.Flags = cpu.FlagIF | 2 // kcall does not save them; sigreturn will load them
	}
	deliverPending(t, &t.Regs, fp)
}

//go:nosplit
func sigreturn(t *thread) {
	uc := uintptr(t.Regs.SP) + 8 // sigreturn__sigaction became non-leaf: it pushes BP
	for i := uintptr(0); i < 18; i++ {
		cpu.Store64(t.addr()+uintptr(gregs[i])*8, cpu.Load64(uc+ucMcontext+i*8))
	}
	t.Regs.CS, t.Regs.SS = cpu.KernelCS, cpu.KernelSS
	t.SigMask = cpu.Load64(uc + ucSigmask)
	cpu.CopyBytes(uintptr(unsafe.Pointer(&t.XMM)), uintptr(cpu.Load64(uc+ucMcontext+23*8)), xmmSize)
	t.Kind = cpu.FrameTrap
}

// tgkill marks the signal and kicks the CPU that runs the target.
//
//go:nosplit
func tgkill(r *cpu.Regs) {
	Stats.Kills++
	n := uint32(r.SI)
	if n == 0 || n > nThreads || r.DX == 0 || r.DX > 63 {
		r.AX = einval
		return
	}
	t := ref(n)
	atomic.OrUint64(&t.Pending, 1<<(r.DX-1))
	if c := cpu.ByIndex(t.cpu); atomic.LoadUint32(&t.state) == threadRunning && c != cpu.This() {
		cpu.SendIPI(c)
	}
}
