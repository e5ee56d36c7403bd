package syscalls

import (
	"golang.org/x/sys/unix"
	"gosv/abi/linux"
	"gosv/kernel/task"
	"gosv/kernel/vfs"
)

// keepCaps is SECBIT_KEEP_CAPS.
const keepCaps = 1 << 4

// sysPrctl is prctl(2).
func sysPrctl(t *task.Thread, a *Args) (uint64, error) {
	rest := a[2] | a[3] | a[4] // must be zero for the newer options
	flag := func(on bool) (uint64, error) {
		if on {
			return 1, nil
		}
		return 0, nil
	}
	switch int32(a[0]) {
	case unix.PR_SET_NAME:
		var b [16]byte
		s, err := t.MM.CopyInString(a[1], len(b))
		if err == unix.ENAMETOOLONG {
			if err = t.MM.CopyIn(b[:15], a[1]); err == nil {
				s = string(b[:15])
			}
		}
		if err != nil {
			return 0, err
		}
		t.SetComm(s)
		return 0, nil
	case unix.PR_GET_NAME:
		var b [16]byte
		copy(b[:15], t.Comm())
		return 0, t.MM.CopyOut(a[1], b[:])
	case unix.PR_SET_PDEATHSIG:
		return 0, t.Proc.SetParentDeathSignal(a[1])
	case unix.PR_GET_PDEATHSIG:
		return 0, t.MM.Store32(a[1], uint32(t.Proc.ParentDeathSignal()))
	case unix.PR_GET_DUMPABLE:
		return uint64(t.Proc.Dumpable()), nil
	case unix.PR_SET_DUMPABLE:
		if a[1] > 1 {
			return 0, unix.EINVAL
		}
		t.Proc.SetDumpable(int(a[1]))
		return 0, nil
	case unix.PR_GET_KEEPCAPS:
		return flag(t.Creds().Securebits&keepCaps != 0)
	case unix.PR_SET_KEEPCAPS:
		if a[1] > 1 {
			return 0, unix.EINVAL
		}
		c := *t.Creds()
		c.Securebits = c.Securebits&^keepCaps | uint32(a[1])*keepCaps
		t.SetCreds(&c)
		return 0, nil
	case unix.PR_GET_SECUREBITS:
		return uint64(t.Creds().Securebits), nil
	case unix.PR_SET_SECUREBITS:
		c := *t.Creds()
		if !c.Has(unix.CAP_SETPCAP) || a[1]&^0xff != 0 {
			return 0, unix.EPERM
		}
		c.Securebits = uint32(a[1])
		t.SetCreds(&c)
		return 0, nil
	case unix.PR_CAPBSET_READ:
		if a[1] > unix.CAP_LAST_CAP {
			return 0, unix.EINVAL
		}
		return flag(t.Creds().Bounding>>a[1]&1 != 0)
	case unix.PR_CAPBSET_DROP:
		c := *t.Creds()
		switch {
		case !c.Has(unix.CAP_SETPCAP):
			return 0, unix.EPERM
		case a[1] > unix.CAP_LAST_CAP:
			return 0, unix.EINVAL
		}
		c.Bounding &^= 1 << a[1]
		t.SetCreds(&c)
		return 0, nil
	case unix.PR_CAP_AMBIENT:
		return capAmbient(t, a)
	case unix.PR_GET_TIMERSLACK:
		return t.TimerSlack(), nil
	case unix.PR_SET_TIMERSLACK:
		t.SetTimerSlack(a[1])
		return 0, nil
	case unix.PR_SET_CHILD_SUBREAPER:
		t.Proc.SetSubreaper(a[1] != 0)
		return 0, nil
	case unix.PR_GET_CHILD_SUBREAPER:
		v, _ := flag(t.Proc.Subreaper())
		return 0, t.MM.Store32(a[1], uint32(v))
	case unix.PR_SET_NO_NEW_PRIVS:
		if a[1] != 1 || rest != 0 {
			return 0, unix.EINVAL
		}
		c := *t.Creds()
		c.NoNewPrivs = true
		t.SetCreds(&c)
		return 0, nil
	case unix.PR_GET_NO_NEW_PRIVS:
		if a[1]|rest != 0 {
			return 0, unix.EINVAL
		}
		return flag(t.Creds().NoNewPrivs)
	case unix.PR_GET_TID_ADDRESS:
		return 0, t.MM.Store64(a[1], t.ClearTID())
	case unix.PR_SET_THP_DISABLE:
		if rest != 0 {
			return 0, unix.EINVAL
		}
		t.MM.DisableTHP(a[1] != 0)
		return 0, nil
	case unix.PR_GET_THP_DISABLE:
		if a[1]|rest != 0 {
			return 0, unix.EINVAL
		}
		return flag(t.MM.THPDisabled())
	case unix.PR_GET_TSC:
		return 0, t.MM.Store32(a[1], unix.PR_TSC_ENABLE)
	case unix.PR_GET_TIMING:
		return unix.PR_TIMING_STATISTICAL, nil
	case unix.PR_SET_TIMING:
		if a[1] != unix.PR_TIMING_STATISTICAL {
			return 0, unix.EINVAL
		}
		return 0, nil
	case unix.PR_GET_SECCOMP:
		if s := t.Seccomp(); s != nil {
			return uint64(s.Mode), nil
		}
		return 0, nil
	case unix.PR_SET_SECCOMP:
		return setSeccompMode(t, a[1], a[2])
	case linux.PR_GET_AUXV:
		if a[3]|a[4] != 0 {
			return 0, unix.EINVAL
		}
		auxv := t.Proc.Auxv()
		return uint64(len(auxv)), t.MM.CopyOut(a[1], auxv[:min(uint64(len(auxv)), a[2])])
	case unix.PR_MCE_KILL_GET:
		return unix.PR_MCE_KILL_DEFAULT, nil
	}
	return 0, unix.EINVAL
}

func capAmbient(t *task.Thread, a *Args) (uint64, error) {
	c := *t.Creds()
	if a[1] == unix.PR_CAP_AMBIENT_CLEAR_ALL {
		if a[2]|a[3]|a[4] != 0 {
			return 0, unix.EINVAL
		}
		c.Ambient = 0
		t.SetCreds(&c)
		return 0, nil
	}
	if a[2] > unix.CAP_LAST_CAP || a[3]|a[4] != 0 {
		return 0, unix.EINVAL
	}
	bit := uint64(1) << a[2]
	switch a[1] {
	case unix.PR_CAP_AMBIENT_IS_SET:
		return c.Ambient >> a[2] & 1, nil
	case unix.PR_CAP_AMBIENT_RAISE:
		const noAmbientRaise = 1 << 6
		if c.Permitted&c.Inheritable&bit&vfs.AllCaps == 0 || c.Securebits&noAmbientRaise != 0 {
			return 0, unix.EPERM
		}
		c.Ambient |= bit
	case unix.PR_CAP_AMBIENT_LOWER:
		c.Ambient &^= bit
	default:
		return 0, unix.EINVAL
	}
	t.SetCreds(&c)
	return 0, nil
}
