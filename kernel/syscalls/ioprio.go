package syscalls

import (
	"golang.org/x/sys/unix"

	"gosv/kernel/task"
)

// ioprioRows are the calls of ioprio_set(2).
var ioprioRows = []Row{
	{AMD64: 251, ARM64: 30, Name: "ioprio_set", Fn: sysIoprioSet, Format: "which:int, who:int, ioprio:hex",
		Level: Partial, Note: "priorities are kept; all requests are served in order"},
	{AMD64: 252, ARM64: 31, Name: "ioprio_get", Fn: sysIoprioGet, Format: "which:int, who:int"},
}

// Classes of I/O priorities (linux/ioprio.h).
const (
	ioprioShift  = 13
	ioprioLevels = 7 // the other bits are hints

	ioprioNone     = 0
	ioprioRealTime = 1
	ioprioIdle     = 3
)

// eachIOPriority is eachPriority with ioprio_set's numbers for which.
func eachIOPriority(t *task.Thread, a *Args, f func(*task.Thread) error) error {
	which := int32(a[0])
	if which < 1 || which > 3 {
		return unix.EINVAL
	}
	return eachPriority(t, uint64(which-1), a[1], f)
}

func sysIoprioSet(t *task.Thread, a *Args) (uint64, error) {
	prio := uint32(a[2])
	class, level := prio>>ioprioShift, prio&ioprioLevels
	switch {
	case class == ioprioRealTime && !t.Creds().Has(unix.CAP_SYS_NICE) && !t.Creds().Has(unix.CAP_SYS_ADMIN):
		return 0, unix.EPERM
	case class > ioprioIdle, class == ioprioNone && level != 0:
		return 0, unix.EINVAL
	}
	return 0, eachIOPriority(t, a, func(o *task.Thread) error {
		if !mayChange(t, o) {
			return unix.EPERM
		}
		o.SetIOPriority(prio)
		return nil
	})
}

// sysIoprioGet gives the highest of the priorities that were set.
func sysIoprioGet(t *task.Thread, a *Args) (uint64, error) {
	best := uint32(0)
	err := eachIOPriority(t, a, func(o *task.Thread) error {
		if p := o.IOPriority(); p != 0 && (best == 0 || p < best) {
			best = p
		}
		return nil
	})
	return uint64(best), err
}
