package syscalls

import (
	"golang.org/x/sys/unix"
	"gosv/kernel/task"
)

// limitRows are the calls of getrlimit(2).
var limitRows = []Row{
	{AMD64: 97, ARM64: 163, Name: "getrlimit", Fn: sysGetrlimit, Format: "resource:flags.rlimit, rlim:rlimit.out"},
	{AMD64: 160, ARM64: 164, Name: "setrlimit", Fn: sysSetrlimit, Format: "resource:flags.rlimit, rlim:rlimit",
		Level: Partial, Note: "enforced: AS, STACK, DATA, NOFILE, NPROC, CPU, FSIZE, SIGPENDING, MEMLOCK, MSGQUEUE, NICE, RTPRIO; the others are kept"},
	{AMD64: 302, ARM64: 261, Name: "prlimit64", Fn: sysPrlimit, Format: "pid:int, resource:flags.rlimit, new:rlimit, old:rlimit.out",
		Level: Partial, Note: "as setrlimit"},
}

func sysGetrlimit(t *task.Thread, a *Args) (uint64, error) { return prlimit(t, t.Proc, a[0], 0, a[1]) }

func sysSetrlimit(t *task.Thread, a *Args) (uint64, error) {
	if a[1] == 0 {
		return 0, unix.EFAULT
	}
	return prlimit(t, t.Proc, a[0], a[1], 0)
}

func sysPrlimit(t *task.Thread, a *Args) (uint64, error) {
	o, err := findThread(t, a[0])
	if err != nil {
		return 0, err
	}
	if o.Proc != t.Proc && !t.Creds().Has(unix.CAP_SYS_RESOURCE) {
		c, oc := t.Creds(), o.Creds()
		if c.UID != oc.UID || c.UID != oc.EUID || c.UID != oc.SUID || c.GID != oc.GID || c.GID != oc.EGID || c.GID != oc.SGID {
			return 0, unix.EPERM
		}
	}
	return prlimit(t, o.Proc, a[1], a[2], a[3])
}

func prlimit(t *task.Thread, p *task.Process, resource, set, get uint64) (uint64, error) {
	n := int(uint32(resource))
	if n >= task.NumLimits {
		return 0, unix.EINVAL
	}
	old := p.Rlimit(n)
	if set != 0 {
		var b [16]byte
		if err := t.MM.CopyIn(b[:], set); err != nil {
			return 0, err
		}
		var err error
		if old, err = t.SetRlimit(p, n, task.Rlimit{Soft: le.Uint64(b[0:]), Hard: le.Uint64(b[8:])}); err != nil {
			return 0, err
		}
	}
	if get != 0 {
		var b [16]byte
		le.PutUint64(b[0:], old.Soft)
		le.PutUint64(b[8:], old.Hard)
		return 0, t.MM.CopyOut(get, b[:])
	}
	return 0, nil
}
