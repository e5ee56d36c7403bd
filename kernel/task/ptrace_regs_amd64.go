package task

import (
	"encoding/binary"

	"golang.org/x/sys/unix"
	"gosv/abi/linux"
	"gosv/kernel/cpu"
)

// The registers of a stopped thread as struct user_regs_struct has them
// (sys/user.h), and the FPU state as FXSAVE and XSAVE write it.

// NumUserRegs is how many registers struct user_regs_struct has, of 8 bytes each.
const NumUserRegs = 27

// Their order.
const (
	regOrigAX = 15
	regIP     = 16
	regCS     = 17
	regFlags  = 18
	regSS     = 20
	regFSBase = 21
	regGSBase = 22
	regDS     = 23
)

// generalReg returns where a register is that is no more than a number.
func (t *Thread) generalReg(i int) *uint64 {
	r := &t.Ctx.Regs
	switch i {
	case regFSBase:
		return &t.Ctx.FSBase
	case regGSBase:
		return &t.Ctx.GSBase
	case 19:
		return &r.SP
	case regIP:
		return &r.IP
	}
	return [...]*uint64{&r.R15, &r.R14, &r.R13, &r.R12, &r.BP, &r.BX, &r.R11, &r.R10, &r.R9, &r.R8, &r.AX, &r.CX, &r.DX, &r.SI, &r.DI}[i]
}

// UserReg returns register i of struct user_regs_struct.
func (t *Thread) UserReg(i int) uint64 {
	switch i {
	case regOrigAX:
		return uint64(t.SyscallNr)
	case regCS:
		return cpu.UserCS
	case regSS:
		return cpu.UserSS
	case regFlags:
		return t.Ctx.Regs.Flags
	case regDS, regDS + 1, regDS + 2, regDS + 3:
		return 0
	}
	return *t.generalReg(i)
}

// traceFlags are the flags that a tracer may change: those of the program but ID.
const traceFlags = cpu.FlagsUser &^ (1 << 21)

// SetUserReg sets register i; EIO if it cannot have the value.
func (t *Thread) SetUserReg(i int, v uint64) error {
	switch i {
	case regOrigAX:
		t.SyscallNr = int(v)
		return nil
	case regCS, regSS, regDS, regDS + 1, regDS + 2, regDS + 3:
		// Selectors are what they are in 64-bit mode.
		if v != t.UserReg(i) && (i < regDS || v != cpu.UserSS) {
			return unix.EIO
		}
		return nil
	case regFlags:
		r := &t.Ctx.Regs
		r.Flags = r.Flags&^traceFlags | v&traceFlags
		return nil
	case regFSBase, regGSBase:
		if v >= cpu.UserTop {
			return unix.EIO
		}
	}
	*t.generalReg(i) = v
	return nil
}

// FXSize is the size of struct user_fpregs_struct, what FXSAVE writes.
const FXSize = fpLegacySize

// FPState returns the FPU state as an XSAVE image, with XCR0 where debuggers look
// for it. It is valid until the next use of the thread's frame buffer.
func (t *Thread) FPState() []byte {
	b := t.frameBuffer()
	fp := b.fp[:len(b.fp)-4]
	t.Ctx.SaveFP(fp)
	if len(fp) > fpLegacySize {
		sw := fp[fpReserved : fpReserved+48]
		clear(sw)
		binary.LittleEndian.PutUint64(sw, userXFeatures())
	}
	return fp
}

// SetFPState loads an image of the size that FPState has. EINVAL.
func (t *Thread) SetFPState(image []byte) error {
	b := t.frameBuffer()
	fp := b.fp[:len(b.fp)-4]
	copy(fp, image)
	if len(fp) > fpLegacySize {
		clear(fp[fpReserved : fpReserved+48])
	}
	return t.Ctx.RestoreFP(fp)
}

// SetFX loads what FXSAVE writes; the wider registers keep their upper parts.
// EINVAL.
func (t *Thread) SetFX(image []byte) error {
	fp := t.FPState()
	copy(fp[:fpLegacySize], image)
	if len(fp) > fpLegacySize {
		clear(fp[fpReserved : fpReserved+48])
		fp[fpLegacySize] |= 3
	}
	return t.Ctx.RestoreFP(fp)
}

// Bits of DR7 that a tracer may set: which of the four registers are in use, and
// for what. Bit 13 would catch the kernel's own use of them.
const debugControl = 0xffff03ff

// DebugReg returns debug register i, 0 to 7.
func (t *Thread) DebugReg(i int) uint64 {
	d := &t.Ctx.Debug
	switch {
	case i < 4:
		return d.Addr[i]
	case i == 6:
		return d.Status
	case i == 7:
		return d.Control
	}
	return 0
}

// SetDebugReg sets debug register i. EIO for one that there is not, EINVAL for
// what the CPU could not watch, or not in ring 3.
func (t *Thread) SetDebugReg(i int, v uint64) error {
	d := t.Ctx.Debug
	switch {
	case i < 4:
		if v >= cpu.UserTop {
			return unix.EINVAL
		}
		d.Addr[i] = v
	case i == 6:
		d.Status = v
	case i == 7:
		d.Control = v & debugControl
	default:
		return unix.EIO
	}
	for j, addr := range d.Addr {
		if d.Control>>(2*j)&3 == 0 {
			continue
		}
		kind, size := d.Control>>(16+4*j)&3, [4]uint64{1, 2, 8, 4}[d.Control>>(18+4*j)&3]
		if kind == 2 || kind == 0 && size != 1 || addr%size != 0 {
			return unix.EINVAL
		}
	}
	t.Ctx.Release()
	t.Ctx.Debug = d
	return nil
}

// debugCode is si_code of a debug exception, and whether the tracer's trap flag
// caused it although the tracer is gone.
func (t *Thread) debugCode() (code int32, nothing bool) {
	d := &t.Ctx.Debug
	stepped := t.endStep()
	if d.Status&cpu.DebugStep != 0 {
		return linux.TRAP_TRACE, stepped && !t.traced()
	}
	for j := range d.Addr {
		if d.Status>>j&1 != 0 && d.Control>>(16+4*j)&3 == 0 {
			t.Ctx.Regs.Flags |= 1 << 16 // RF: the instruction runs this time
		}
	}
	if d.Status&0xf != 0 {
		return linux.TRAP_HWBKPT, false
	}
	return linux.TRAP_BRKPT, false
}
