//go:build metal

package goport

import (
	"gosv/kernel/cpu"
)

// noVector is the error code of the general protection fault as which QEMU delivers an interrupt of the legacy PIC that
// was masked on its way to the CPU: vector -1, times 16, plus 2.
const noVector = 0xfffffff2

// trapKernel handles a trap taken in ring 0. fp is the vector state of the interrupted code. A non-zero result makes the
// trap entry save the thread and call preempted.
//
//go:nosplit
func trapKernel(f *cpu.Regs, fp uintptr) uint64 {
	c := cpu.This()
	if f.Vec >= cpu.VecTimer {
		return interruptKernel(c, f, fp)
	}
	if f.Vec == cpu.VecPageFault {
		Stats.Faults++
		va := cpu.ReadCR2()
		if pageIn(va) {
			return 0
		}
		if ip := cpu.UserFixup(f.IP); ip != 0 && va < cpu.UserTop {
			f.IP = ip
			return 0
		}
	}
	if f.Vec == cpu.VecGP && uint32(f.Err) == noVector && f.Flags&cpu.FlagIF != 0 {
		return 0
	}
	// A fault of the Go program itself becomes a signal; in the machine layer it ends the machine.
	if c.Cur == 0 || f.Flags&cpu.FlagIF == 0 {
		cpu.Crash("trap in the machine layer", f)
	}
	switch t := current(c); f.Vec {
	case cpu.VecPageFault:
		deliver(t, f, fp, sigSEGV, 1, uint64(cpu.ReadCR2()))
	case cpu.VecGP, cpu.VecStackFault:
		deliver(t, f, fp, sigSEGV, 0x80, 0)
	case cpu.VecDivide, cpu.VecFPU, cpu.VecSIMD:
		deliver(t, f, fp, sigFPE, 1, f.IP)
	case cpu.VecInvalidOp:
		deliver(t, f, fp, sigILL, 2, f.IP)
	case cpu.VecBreakpoint:
		deliver(t, f, fp, sigTRAP, 1, f.IP)
	default:
		cpu.Crash("unexpected trap", f)
	}
	return 0
}

//go:nosplit
func interruptKernel(c *cpu.CPU, f *cpu.Regs, fp uintptr) uint64 {
	more := false
	switch f.Vec {
	case cpu.VecTimer:
		cpu.EOI()
		cpu.PollIPI()
		more = tick(c, f)
	case cpu.VecIPI:
		countIRQ(c, ipiCount)
		cpu.EOI()
		cpu.PollIPI()
		if c.Cur != 0 { // an idle CPU is about to look for itself
			rewatch(c)
		}
	default:
		deviceIRQ(c, f.Vec)
	}
	if cpu.IRQPending != 0 {
		lockSched()
		post(irqSlot)
		unlockSched()
	}
	if c.Cur == 0 || f.Flags&cpu.FlagIF == 0 {
		return 0
	}
	if t := current(c); t.Pending&^t.SigMask != 0 {
		deliverPending(t, f, fp)
	}
	if more {
		return 1
	}
	return 0
}

// trapUser handles a trap taken in ring 3; the state is already in x. The caller of Enter sees the vector. Enter then
// calls yield, and its caller PollInterrupts.
//
//go:nosplit
func trapUser(x *cpu.Context) {
	c := cpu.This()
	switch v := x.Regs.Vec; {
	case v == cpu.VecPageFault:
		x.Fault = uint64(cpu.ReadCR2())
	case v == cpu.VecDebug:
		x.SaveDebug()
	case v == cpu.VecTimer:
		cpu.EOI()
		cpu.PollIPI()
		tick(c, nil)
	case v == cpu.VecIPI:
		countIRQ(c, ipiCount)
		cpu.EOI()
		cpu.PollIPI()
		rewatch(c)
	case v > cpu.VecIPI:
		deviceIRQ(c, v)
	}
}

// trapParanoid handles what can come at any instruction. Nothing of it is survived: an NMI is how an operator asks a
// machine that hangs what it is doing.
//
//go:nosplit
func trapParanoid(f *cpu.Regs) {
	switch f.Vec {
	case cpu.VecNMI:
		cpu.Crash("non-maskable interrupt", f)
	case cpu.VecDoubleFault:
		cpu.Crash("double fault", f)
	}
	cpu.Crash("machine check", f)
}
