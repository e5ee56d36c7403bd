package syscalls

import (
	"golang.org/x/sys/unix"
	"gosv/kernel/cpu"
	"gosv/kernel/task"
)

const machineName = "x86_64"

// Codes of arch_prctl(2) (arch/x86/include/uapi/asm/prctl.h).
const (
	archSetGS    = 0x1001
	archSetFS    = 0x1002
	archGetFS    = 0x1003
	archGetGS    = 0x1004
	archGetCPUID = 0x1011
	archSetCPUID = 0x1012
)

// sysArchPrctl is arch_prctl(2).
func sysArchPrctl(t *task.Thread, a *Args) (uint64, error) {
	return archPrctl(t, t, a[0], a[1])
}

// archPrctl is arch_prctl(2) for thread o, with the memory of thread t.
func archPrctl(t, o *task.Thread, code, addr uint64) (uint64, error) {
	x := o.Ctx
	switch code {
	case archSetFS, archSetGS:
		if addr >= cpu.UserTop {
			return 0, unix.EPERM
		}
		if code == archSetFS {
			x.FSBase = addr
		} else {
			x.GSBase = addr
		}
		return 0, nil
	case archGetFS:
		return 0, t.MM.Store64(addr, x.FSBase)
	case archGetGS:
		return 0, t.MM.Store64(addr, x.GSBase)
	case archGetCPUID:
		return 1, nil
	case archSetCPUID:
		if addr != 0 {
			return 0, nil
		}
		return 0, unix.ENODEV
	}
	return 0, unix.EINVAL
}

func init() { task.Vsyscall = vsyscall }

// vsyscall serves a call that came by the vsyscall page. The third argument of
// getcpu is none there.
func vsyscall(t *task.Thread, nr int) (v uint64, err error, served bool) {
	r := &t.Ctx.Regs
	a := (*Args)(&t.SyscallArgs)
	a[0], a[1], a[2], a[3], a[4], a[5] = r.DI, r.SI, r.DX, r.R10, r.R8, r.R9
	if s := t.Seccomp(); s != nil {
		r.AX = noSys
		if forbidden(t, s, uint64(nr), a, false) {
			return 0, nil, false
		}
	}
	v, err = table[nr].Fn(t, a)
	return v, err, true
}
