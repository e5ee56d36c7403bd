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
	x := t.Ctx
	switch a[0] {
	case archSetFS, archSetGS:
		if a[1] >= cpu.UserTop {
			return 0, unix.EPERM
		}
		if a[0] == archSetFS {
			x.FSBase = a[1]
		} else {
			x.GSBase = a[1]
		}
		return 0, nil
	case archGetFS:
		return 0, t.MM.Store64(a[1], x.FSBase)
	case archGetGS:
		return 0, t.MM.Store64(a[1], x.GSBase)
	case archGetCPUID:
		return 1, nil
	case archSetCPUID:
		if a[1] != 0 {
			return 0, nil
		}
		return 0, unix.ENODEV
	}
	return 0, unix.EINVAL
}
