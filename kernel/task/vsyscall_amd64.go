package task

import (
	"golang.org/x/sys/unix"

	"gosv/kernel/cpu"
)

// VsyscallPage is where x86-64 had gettimeofday, time and getcpu before the vDSO.
// Old static programs still call them there. The page can only be called: no memory
// is mapped, and the fault of the call is the call (Linux's vsyscall=xonly, its
// default; arch/x86/entry/vsyscall/vsyscall_64.c).
const VsyscallPage = 0xffffffffff600000

const pageMask = cpu.PageSize - 1

// Vsyscall serves a call of the page, with seccomp. Package syscalls sets it. It
// returns false if seccomp has answered instead, with the result in AX.
var Vsyscall func(t *Thread, nr int) (v uint64, err error, served bool)

// vsyscallNumbers are the calls at 1 KiB each, with how many bytes they write to
// where DI and SI point; 0 is no pointer.
var vsyscallNumbers = [...]struct{ nr, first, second int }{
	{unix.SYS_GETTIMEOFDAY, 16, 8},
	{unix.SYS_TIME, 8, 0},
	{unix.SYS_GETCPU, 4, 4},
}

// vsyscall serves an instruction fetch at addr in the page, and returns to the
// caller of the page. A bad pointer is SIGSEGV, as when the page had code.
func (t *Thread) vsyscall(addr uint64) {
	r := &t.Ctx.Regs
	i := addr & pageMask >> 10
	if addr&0x3ff != 0 || i >= uint64(len(vsyscallNumbers)) {
		t.forceKernel(int(unix.SIGSEGV))
		return
	}
	caller, err := t.MM.Load64(r.SP)
	if err != nil {
		t.forceKernel(int(unix.SIGSEGV))
		return
	}
	call := vsyscallNumbers[i]
	for _, p := range [...]struct {
		addr uint64
		n    int
	}{{r.DI, call.first}, {r.SI, call.second}} {
		if p.n > 0 && p.addr > cpu.UserTop-uint64(p.n) {
			t.badWrite(p.addr)
			return
		}
	}
	ip := r.IP
	t.SyscallNr = call.nr
	v, err, served := Vsyscall(t, call.nr)
	changed := t.SyscallNr != call.nr && (served || t.SyscallNr != -1) || r.IP != ip
	t.SyscallNr = -1
	switch {
	case changed: // a tracer by seccomp; Linux does not go along
		t.forceFatal(int(unix.SIGSYS))
		return
	case served && err == unix.EFAULT:
		t.forceKernel(int(unix.SIGSEGV))
		return
	case served:
		r.AX = v
	}
	r.IP = caller
	r.SP += 8
}

// badWrite is SIGSEGV for a write at addr that the kernel did for an instruction.
func (t *Thread) badWrite(addr uint64) {
	t.faultSignal(int(unix.SIGSEGV), segvMapErr, addr, cpu.FaultUser|cpu.FaultWrite)
}
