package task

import (
	"encoding/binary"

	"golang.org/x/sys/unix"
	"gosv/abi/linux"
	"gosv/kernel/cpu"
)

// The signal frame of x86-64 (arch/x86/include/asm/sigframe.h, asm/sigcontext.h): struct
// rt_sigframe is the restorer's address, a ucontext, a siginfo; the FPU state
// lies above it, aligned to 64.
const (
	frameUContext = 8
	ucFlags       = frameUContext
	ucStack       = frameUContext + 16
	ucRegs        = frameUContext + 40
	ucSigMask     = ucRegs + 256
	frameSigInfo  = ucSigMask + 8
	frameSize     = frameSigInfo + 128

	redZone = 128

	ucFPXState       = 1 // uc_flags: the FPU state is an XSAVE image
	ucSigContextSS   = 2
	ucStrictRestored = 4

	fpLegacySize = 512
	fpMagic1     = 0x46505853
	fpMagic2     = 0x46505845
	fpReserved   = 464 // struct _fpx_sw_bytes in the legacy area
	fpHeaderSize = 64
	fpSSE        = 3 // XFEATURE_MASK_FPSSE
)

// frame is scratch for building and reading frames; a thread has one once it has
// taken a signal.
type frameBuffer struct {
	frame [frameSize]byte
	fp    []byte // FPStateSize, and the closing magic
}

func (t *Thread) frameBuffer() *frameBuffer {
	if t.frameBuf == nil {
		t.frameBuf = &frameBuffer{fp: make([]byte, cpu.FPStateSize()+4)}
	}
	return t.frameBuf
}

// MinSigStackSize is AT_MINSIGSTKSZ: what a frame takes at most.
func MinSigStackSize() uint64 {
	return (frameSize + 8 + 16 + redZone + 64 + uint64(cpu.FPStateSize()) + 4 + 15) &^ 15
}

// onAltStack reports whether sp is on the alternate stack.
func (t *Thread) onAltStack(sp uint64) bool {
	a := &t.sig.alt
	return a.Flags&linux.SS_AUTODISARM == 0 && a.holds(sp)
}

// holds reports whether sp is a stack pointer on the stack.
func (a *altStack) holds(sp uint64) bool { return sp > a.SP && sp-a.SP <= a.Size }

// pushFrame makes the thread run the handler: it builds the frame on the user's
// stack. false means that the stack cannot take it.
func (t *Thread) pushFrame(sig int, act *linux.SigAction, info *linux.SigInfo) bool {
	r := &t.Ctx.Regs
	if act.Flags&linux.SA_RESTORER == 0 {
		return false // as on Linux: x86-64 has no other way back
	}
	sp := r.SP - redZone
	alt := t.onAltStack(r.SP)
	if act.Flags&linux.SA_ONSTACK != 0 && t.sig.alt.Size != 0 && !t.onAltStack(sp) {
		sp = t.sig.alt.SP + t.sig.alt.Size
		alt = true
	}
	b := t.frameBuffer()
	fpSize := uint64(len(b.fp))
	fp := (sp - fpSize) &^ 63
	frame := (fp-frameSize)&^15 - 8
	if sp > cpu.UserTop || frame > sp || alt && !t.sig.alt.holds(frame) {
		return false
	}

	t.Ctx.SaveFP(b.fp)
	sealFP(b.fp)
	if t.MM.CopyOut(fp, b.fp) != nil {
		return false
	}
	f := &b.frame
	clear(f[:])
	le := binary.LittleEndian
	le.PutUint64(f[0:], act.Restorer)
	flags := uint64(ucSigContextSS | ucStrictRestored)
	if len(b.fp)-4 > fpLegacySize {
		flags |= ucFPXState
	}
	le.PutUint64(f[ucFlags:], flags)
	le.PutUint64(f[ucStack:], t.sig.alt.SP)
	le.PutUint32(f[ucStack+8:], t.altFlags(r.SP))
	le.PutUint64(f[ucStack+16:], t.sig.alt.Size)
	for i, v := range [...]uint64{r.R8, r.R9, r.R10, r.R11, r.R12, r.R13, r.R14, r.R15,
		r.DI, r.SI, r.BP, r.BX, r.DX, r.AX, r.CX, r.SP, r.IP, r.Flags,
		cpu.UserCS | cpu.UserSS<<48, t.sig.trap.Err, t.sig.trap.No, 0, t.sig.trap.CR2, fp} {
		le.PutUint64(f[ucRegs+8*i:], v)
	}
	mask := t.sig.mask
	if t.work.Load()&workMask != 0 {
		mask = t.sig.saved
	}
	le.PutUint64(f[ucRegs+8*21:], uint64(mask)) // oldmask
	le.PutUint64(f[ucSigMask:], uint64(mask))
	copy(f[frameSigInfo:], info[:])
	if t.MM.CopyOut(frame, f[:]) != nil {
		return false
	}
	if t.sig.alt.Flags&linux.SS_AUTODISARM != 0 {
		t.sig.alt = altStack{}
	}

	r.DI = uint64(sig)
	r.SI = frame + frameSigInfo
	r.DX = frame + frameUContext
	r.AX = 0
	r.IP = act.Handler
	r.SP = frame
	r.Flags &^= cpu.FlagDF | cpu.FlagTF | 1<<16 // RF
	t.Ctx.ResetFP()
	return true
}

// sealFP adds what the kernel writes into the FPU image of a frame: its size and
// components, and the magic numbers by which sigreturn knows it.
func sealFP(fp []byte) {
	size := len(fp) - 4
	if size <= fpLegacySize {
		return
	}
	le := binary.LittleEndian
	sw := fp[fpReserved:]
	clear(sw[:48])
	le.PutUint32(sw[0:], fpMagic1)
	le.PutUint32(sw[4:], uint32(len(fp)))
	le.PutUint64(sw[8:], userXFeatures())
	le.PutUint32(sw[16:], uint32(size))
	le.PutUint32(fp[size:], fpMagic2)
}

// userXFeatures is XCR0 as programs have it.
func userXFeatures() uint64 {
	a, _, _, d := cpu.CPUID(0xd, 0)
	return uint64(a)&0x2e7 | uint64(d)<<32 | 3
}

// altFlags is ss_flags as sigaltstack(2) reports it.
func (t *Thread) altFlags(sp uint64) uint32 {
	a := &t.sig.alt
	mode := uint32(0)
	switch {
	case a.Size == 0:
		mode = linux.SS_DISABLE
	case t.onAltStack(sp):
		mode = linux.SS_ONSTACK
	}
	return mode | a.Flags&linux.SS_AUTODISARM
}

// AltStack is sigaltstack(2)'s read half: base, ss_flags, size.
func (t *Thread) AltStack() (sp uint64, flags uint32, size uint64) {
	return t.sig.alt.SP, t.altFlags(t.Ctx.Regs.SP), t.sig.alt.Size
}

// SetAltStack is sigaltstack(2)'s write half: EPERM on the stack itself, EINVAL
// for bad flags, ENOMEM when it is too small.
func (t *Thread) SetAltStack(sp uint64, flags uint32, size uint64) error {
	if t.onAltStack(t.Ctx.Regs.SP) {
		return unix.EPERM
	}
	a := altStack{SP: sp, Size: size, Flags: flags}
	switch mode := flags &^ uint32(linux.SS_AUTODISARM); {
	case mode != linux.SS_DISABLE && mode != 0 && mode != linux.SS_ONSTACK:
		return unix.EINVAL
	case a == t.sig.alt: // Linux checks no size then
		return nil
	case mode == linux.SS_DISABLE:
		a.SP, a.Size = 0, 0
	case size < linux.MINSIGSTKSZ:
		return unix.ENOMEM
	}
	t.sig.alt = a
	return nil
}

// SigReturn is rt_sigreturn(2): everything comes back from the frame. A bad frame
// is SIGSEGV: its handler finds the registers that the frame has, as on Linux, and a
// fresh FPU if the frame's FPU state is what is bad.
func (t *Thread) SigReturn() uint64 {
	r := &t.Ctx.Regs
	t.SyscallNr = -1 // no restart
	b := t.frameBuffer()
	f := &b.frame
	frame := r.SP - 8 // the handler's return has popped the restorer
	if t.MM.CopyIn(f[:], frame) != nil {
		t.forceKernel(int(unix.SIGSEGV))
		return 0
	}
	le := binary.LittleEndian
	t.Proc.mu.Lock()
	t.setMask(linux.SigSet(le.Uint64(f[ucSigMask:])))
	t.Proc.mu.Unlock()
	for i, p := range [...]*uint64{&r.R8, &r.R9, &r.R10, &r.R11, &r.R12, &r.R13, &r.R14, &r.R15,
		&r.DI, &r.SI, &r.BP, &r.BX, &r.DX, &r.AX, &r.CX, &r.SP, &r.IP} {
		*p = le.Uint64(f[ucRegs+8*i:])
	}
	flags := le.Uint64(f[ucRegs+8*17:])
	r.Flags = r.Flags&^cpu.FlagsUser | flags&cpu.FlagsUser
	if !t.restoreFP(f, b.fp) {
		t.Ctx.ResetFP()
		t.forceKernel(int(unix.SIGSEGV))
		return 0
	}
	sp, ss, size := le.Uint64(f[ucStack:]), le.Uint32(f[ucStack+8:]), le.Uint64(f[ucStack+16:])
	t.SetAltStack(sp, ss, size) // its errors are ignored, as on Linux
	return r.AX
}

// restoreFP loads the FPU state that the frame points to; a null pointer is a
// fresh state. What lies beyond FXSAVE's part counts only if the frame says, by its
// magic numbers and sizes, that it is there (check_xstate_in_sigframe in Linux).
func (t *Thread) restoreFP(f *[frameSize]byte, buf []byte) bool {
	le := binary.LittleEndian
	addr := le.Uint64(f[ucRegs+8*23:])
	size := len(buf) - 4
	if addr == 0 {
		t.Ctx.ResetFP()
		return true
	}
	legacy := buf[:min(fpLegacySize, size)]
	if t.MM.CopyIn(legacy, addr) != nil {
		return false
	}
	features := uint64(fpSSE)
	if size > fpLegacySize {
		rest := buf[fpLegacySize:size]
		clear(rest)
		sw := buf[fpReserved : fpReserved+48]
		n := le.Uint32(sw[16:])
		extended := le.Uint32(sw) == fpMagic1 && n >= fpLegacySize+fpHeaderSize && n <= uint32(size) && n <= le.Uint32(sw[4:])
		if extended {
			magic, err := t.MM.Load32(addr + uint64(n))
			if err != nil {
				return false
			}
			extended = magic == fpMagic2
		}
		if extended {
			if t.MM.CopyIn(rest, addr+fpLegacySize) != nil {
				return false
			}
			features = le.Uint64(sw[8:])
		} else {
			rest[0] = fpSSE
		}
		clear(sw)
	}
	return t.Ctx.RestoreFrameFP(buf[:size], features) == nil
}
