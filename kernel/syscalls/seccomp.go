package syscalls

import (
	"strconv"
	"sync/atomic"

	"golang.org/x/sys/unix"
	"gosv/kernel/seccomp"
	"gosv/kernel/task"
	"gosv/kernel/trace"
)

// seccompRows is seccomp(2).
var seccompRows = []Row{
	{AMD64: 317, ARM64: 277, Name: "seccomp", Fn: sysSeccomp, Format: "operation:uint, flags:hex, args:ptr",
		Level: Partial, Note: "strict mode and filters, with thread synchronization; no SECCOMP_RET_USER_NOTIF (EOPNOTSUPP)"},
}

// Operations and flags of seccomp(2).
const (
	seccompSetStrict  = 0
	seccompSetFilter  = 1
	seccompAvailable  = 2
	seccompTSync      = 1
	seccompLog        = 2
	seccompSpecAllow  = 4
	seccompTSyncESRCH = 16
)

func sysSeccomp(t *task.Thread, a *Args) (uint64, error) {
	switch a[0] {
	case seccompSetStrict:
		if a[1] != 0 || a[2] != 0 {
			return 0, unix.EINVAL
		}
		return 0, setStrict(t)
	case seccompSetFilter:
		return setFilter(t, a[1], a[2])
	case seccompAvailable:
		if a[1] != 0 {
			return 0, unix.EINVAL
		}
		action, err := t.MM.Load32(a[2])
		if err == nil && !seccomp.Known(action) {
			err = unix.EOPNOTSUPP
		}
		return 0, err
	}
	return 0, unix.EINVAL
}

func setStrict(t *task.Thread) error {
	if s := t.Seccomp(); s != nil && s.Mode != seccomp.Strict {
		return unix.EINVAL
	}
	t.SetSeccomp(seccomp.NewStrict(), false)
	return nil
}

// setFilter adds the filter of the struct sock_fprog at addr. EACCES without
// no_new_privs.
func setFilter(t *task.Thread, flags, addr uint64) (uint64, error) {
	if flags&^(seccompTSync|seccompLog|seccompSpecAllow|seccompTSyncESRCH) != 0 {
		return 0, unix.EINVAL
	}
	var b [16]byte
	if err := t.MM.CopyIn(b[:], addr); err != nil {
		return 0, err
	}
	n := int(le.Uint16(b[:]))
	if n == 0 || n > seccomp.MaxInsns {
		return 0, unix.EINVAL
	}
	if c := t.Creds(); !c.NoNewPrivs && !c.Has(unix.CAP_SYS_ADMIN) {
		return 0, unix.EACCES
	}
	program := make([]byte, n*seccomp.InsnSize)
	if err := t.MM.CopyIn(program, le.Uint64(b[8:])); err != nil {
		return 0, err
	}
	old := t.Seccomp()
	if old != nil && old.Mode != seccomp.Filter {
		return 0, unix.EINVAL
	}
	s, err := old.Add(program)
	if err != nil {
		return 0, err
	}
	if tid := t.SetSeccomp(s, flags&seccompTSync != 0); tid != 0 {
		if flags&seccompTSyncESRCH != 0 {
			return 0, unix.ESRCH
		}
		return uint64(tid), nil
	}
	return 0, nil
}

// setSeccompMode is prctl(PR_SET_SECCOMP).
func setSeccompMode(t *task.Thread, mode, filter uint64) (uint64, error) {
	switch mode {
	case seccomp.Strict:
		return 0, setStrict(t)
	case seccomp.Filter:
		return setFilter(t, 0, filter)
	}
	return 0, unix.EINVAL
}

// loggedCalls are the calls of which SECCOMP_RET_LOG has told.
var loggedCalls [maxNumber]atomic.Bool

// forbidden asks the thread's filters about a call. If it is not to be made, the
// result is in AX. With changed, the tracer has seen the call already, and may
// have made another one of it.
func forbidden(t *task.Thread, s *seccomp.State, nr uint64, a *Args, changed bool) bool {
	r := &t.Ctx.Regs
	if s.Mode == seccomp.Strict {
		if nr == unix.SYS_READ || nr == unix.SYS_WRITE || nr == unix.SYS_EXIT || nr == unix.SYS_RT_SIGRETURN {
			return false
		}
		t.SeccompKill(int(unix.SIGKILL), false)
		return true
	}
	d := seccomp.Data{Nr: int32(nr), Arch: seccomp.Arch, IP: r.IP, Args: *a}
	action, data := s.Check(&d)
	switch action {
	case seccomp.Allow:
		return false
	case seccomp.Log:
		if nr < maxNumber && !loggedCalls[nr].Swap(true) {
			trace.Line(t.Comm() + "[" + strconv.Itoa(t.TID) + "]: seccomp logs call " + strconv.FormatUint(nr, 10))
		}
		return false
	case seccomp.Errno:
		r.AX = -uint64(min(data, 4095))
	case seccomp.Trap:
		t.SeccompTrap(int(nr), data, seccomp.Arch)
	case seccomp.Trace:
		if changed {
			return false
		}
		r.AX = noSys
		if !t.TraceSeccomp(data) || !changedCall(t, a) {
			return true
		}
		return forbidden(t, s, uint64(t.SyscallNr), a, true)
	case seccomp.UserNotif:
		r.AX = noSys
	default:
		t.SeccompKill(int(unix.SIGSYS), action != seccomp.KillThread)
	}
	return true
}
