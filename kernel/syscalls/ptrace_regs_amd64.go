package syscalls

import (
	"golang.org/x/sys/unix"
	"gosv/abi/linux"
	"gosv/kernel/task"
)

// The requests of ptrace(2) about registers. struct user (sys/user.h) begins with
// the general ones; the debug registers are at userDebug.
const (
	userDebug    = 848
	userDebugEnd = 912
	userSize     = 928 // of the kernel's own
)

func tracedRegisters(t, o *task.Thread, request, addr, data uint64) (uint64, error) {
	switch request {
	case unix.PTRACE_PEEKUSR:
		v, err := peekUser(o, addr)
		if err != nil {
			return 0, err
		}
		return 0, t.MM.Store64(data, v)
	case unix.PTRACE_POKEUSR:
		return 0, pokeUser(o, addr, data)
	case unix.PTRACE_GETREGS:
		return 0, t.MM.CopyOut(data, generalRegisters(o))
	case unix.PTRACE_SETREGS:
		var b [8 * task.NumUserRegs]byte
		if err := t.MM.CopyIn(b[:], data); err != nil {
			return 0, err
		}
		return 0, setGeneralRegisters(o, b[:])
	case unix.PTRACE_GETFPREGS:
		return 0, t.MM.CopyOut(data, o.FPState()[:task.FXSize])
	case unix.PTRACE_SETFPREGS:
		var b [task.FXSize]byte
		if err := t.MM.CopyIn(b[:], data); err != nil {
			return 0, err
		}
		return 0, o.SetFX(b[:])
	case unix.PTRACE_GETREGSET, unix.PTRACE_SETREGSET:
		return 0, registerSet(t, o, request == unix.PTRACE_SETREGSET, addr, data)
	case unix.PTRACE_ARCH_PRCTL:
		return archPrctl(t, o, data, addr)
	}
	return 0, unix.EIO
}

func peekUser(o *task.Thread, addr uint64) (uint64, error) {
	switch {
	case addr%8 != 0 || addr >= userSize:
		return 0, unix.EIO
	case addr < 8*task.NumUserRegs:
		return o.UserReg(int(addr / 8)), nil
	case addr >= userDebug && addr < userDebugEnd:
		return o.DebugReg(int(addr-userDebug) / 8), nil
	}
	return 0, nil
}

func pokeUser(o *task.Thread, addr, v uint64) error {
	switch {
	case addr%8 != 0 || addr >= userSize:
		return unix.EIO
	case addr < 8*task.NumUserRegs:
		return o.SetUserReg(int(addr/8), v)
	case addr >= userDebug && addr < userDebugEnd:
		return o.SetDebugReg(int(addr-userDebug)/8, v)
	}
	return unix.EIO
}

func generalRegisters(o *task.Thread) []byte {
	b := make([]byte, 8*task.NumUserRegs)
	for i := range task.NumUserRegs {
		le.PutUint64(b[8*i:], o.UserReg(i))
	}
	return b
}

// setGeneralRegisters sets the first registers, as many as b has, up to one that
// cannot have the value.
func setGeneralRegisters(o *task.Thread, b []byte) error {
	for i := range len(b) / 8 {
		if err := o.SetUserReg(i, le.Uint64(b[8*i:])); err != nil {
			return err
		}
	}
	return nil
}

// registerSet is PTRACE_GETREGSET and PTRACE_SETREGSET: a struct iovec says where
// the registers are, and hears how many bytes there were.
func registerSet(t, o *task.Thread, set bool, kind, addr uint64) error {
	var v [16]byte
	if err := t.MM.CopyIn(v[:], addr); err != nil {
		return err
	}
	base, n := le.Uint64(v[0:]), le.Uint64(v[8:])
	var image []byte
	switch kind {
	case linux.NT_PRSTATUS:
		image = generalRegisters(o)
	case linux.NT_PRFPREG:
		image = o.FPState()[:task.FXSize]
	case linux.NT_X86_XSTATE:
		if image = o.FPState(); len(image) == task.FXSize {
			return unix.EINVAL // a CPU without XSAVE
		}
	default:
		return unix.EINVAL
	}
	if n%8 != 0 {
		return unix.EINVAL
	}
	size := len(image)
	n = min(n, uint64(size))
	var err error
	if set {
		b := make([]byte, n)
		if err := t.MM.CopyIn(b, base); err != nil {
			return err
		}
		switch {
		case kind == linux.NT_PRSTATUS:
			err = setGeneralRegisters(o, b)
		case kind == linux.NT_PRFPREG && len(b) < size:
			err = unix.EINVAL
		case kind == linux.NT_PRFPREG:
			err = o.SetFX(b)
		case len(b) < size:
			err = unix.EFAULT
		default:
			err = o.SetFPState(b)
		}
	} else {
		err = t.MM.CopyOut(base, image[:n])
	}
	if err != nil {
		return err
	}
	return t.MM.Store64(addr+8, n)
}
