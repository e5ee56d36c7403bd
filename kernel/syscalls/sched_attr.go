package syscalls

import (
	"golang.org/x/sys/unix"
	"gosv/kernel/cpu"
	"gosv/kernel/sched"
	"gosv/kernel/task"
)

// Flags of sched_setattr(2), as include/uapi/linux/sched.h has them.
const (
	schedFlagKeepPolicy = 0x08
	schedFlagKeepParams = 0x10
	schedFlagUtilClamp  = 0x60
	schedFlagKept       = unix.SCHED_FLAG_RESET_ON_FORK | unix.SCHED_FLAG_RECLAIM | unix.SCHED_FLAG_DL_OVERRUN
	schedFlagAll        = schedFlagKept | schedFlagKeepPolicy | schedFlagKeepParams | schedFlagUtilClamp

	// schedResetOnFork is the flag as sched_setscheduler(2) has it.
	schedResetOnFork = 0x40000000
)

// Sizes of struct sched_attr: the first version, and the second one, with the utilization clamps.
const (
	schedAttrSize  = 48
	schedAttrSize1 = 56
)

const (
	rlimitNice   = 13
	rlimitRTPrio = 14
)

// mayNice reports whether RLIMIT_NICE of o's process allows the nice value.
func mayNice(o *task.Thread, nice int) bool { return uint64(20-nice) <= o.Proc.Limit(rlimitNice) }

// mayChange is the permission to change another thread's scheduling.
func mayChange(t, o *task.Thread) bool {
	c, oc := t.Creds(), o.Creds()
	return c.EUID == oc.EUID || c.EUID == oc.UID || c.Has(unix.CAP_SYS_NICE)
}

// mayBecome reports whether a thread without CAP_SYS_NICE may give o, which has the parameters p, the parameters n.
func mayBecome(t, o *task.Thread, p, n *sched.Params) bool {
	if n.Fair() && n.Nice < p.Nice && !mayNice(o, n.Nice) {
		return false
	}
	if n.Realtime() {
		limit := o.Proc.Limit(rlimitRTPrio)
		if n.Policy != p.Policy && limit == 0 || n.Priority > p.Priority && uint64(n.Priority) > limit {
			return false
		}
	}
	if n.Policy == unix.SCHED_DEADLINE || p.Policy == unix.SCHED_IDLE && n.Policy != unix.SCHED_IDLE && !mayNice(o, p.Nice) {
		return false
	}
	if !mayChange(t, o) {
		return false
	}
	return p.Flags&unix.SCHED_FLAG_RESET_ON_FORK == 0 || n.Flags&unix.SCHED_FLAG_RESET_ON_FORK != 0
}

// setScheduler gives o the parameters n, whose Flags are those of sched_setattr(2); keepPolicy: the policy and
// SCHED_FLAG_RESET_ON_FORK stay what they are.
func setScheduler(t, o *task.Thread, n sched.Params, keepPolicy bool) error {
	p := o.SchedParams()
	flags := n.Flags
	if keepPolicy {
		n.Policy = p.Policy
		n.Flags = n.Flags&^unix.SCHED_FLAG_RESET_ON_FORK | p.Flags&unix.SCHED_FLAG_RESET_ON_FORK
	}
	switch n.Policy {
	case unix.SCHED_NORMAL, unix.SCHED_BATCH, unix.SCHED_IDLE, unix.SCHED_FIFO, unix.SCHED_RR, unix.SCHED_DEADLINE:
	default:
		return unix.EINVAL
	}
	deadline := n.Policy == unix.SCHED_DEADLINE
	switch {
	case flags&^schedFlagAll != 0, n.Priority < 0, n.Priority > 99, n.Realtime() != (n.Priority != 0),
		deadline && !n.CheckDeadline():
		return unix.EINVAL
	case !t.Creds().Has(unix.CAP_SYS_NICE) && !mayBecome(t, o, &p, &n):
		return unix.EPERM
	case flags&schedFlagUtilClamp != 0:
		return unix.EOPNOTSUPP
	case deadline && !o.EveryCPU():
		return unix.EPERM // Linux keeps the promise for all CPUs together only
	}
	if flags&schedFlagKeepParams != 0 {
		p.Flags = p.Flags&^unix.SCHED_FLAG_RESET_ON_FORK | n.Flags&unix.SCHED_FLAG_RESET_ON_FORK
		return o.SetSchedParams(p)
	}
	n.Flags &= schedFlagKept
	if !deadline {
		n.Flags &= unix.SCHED_FLAG_RESET_ON_FORK
		n.Deadline, n.Period = 0, 0
		if !n.Fair() {
			n.Nice, n.Runtime = p.Nice, 0
		}
	} else {
		n.Nice = p.Nice
		if n.Period == 0 {
			n.Period = n.Deadline
		}
	}
	return o.SetSchedParams(n)
}

func sysSchedSetscheduler(t *task.Thread, a *Args) (uint64, error) {
	if int32(a[1]) < 0 {
		return 0, unix.EINVAL
	}
	n := sched.Params{Policy: uint32(a[1]) &^ schedResetOnFork}
	if uint32(a[1])&schedResetOnFork != 0 {
		n.Flags = unix.SCHED_FLAG_RESET_ON_FORK
	}
	return setParam(t, a[0], n, a[2], false)
}

func sysSchedSetparam(t *task.Thread, a *Args) (uint64, error) {
	return setParam(t, a[0], sched.Params{}, a[1], true)
}

// setParam is sched_setscheduler(2) and sched_setparam(2), with the struct sched_param at param.
func setParam(t *task.Thread, pid uint64, n sched.Params, param uint64, keepPolicy bool) (uint64, error) {
	if int32(pid) < 0 || param == 0 {
		return 0, unix.EINVAL
	}
	priority, err := t.MM.Load32(param)
	if err != nil {
		return 0, err
	}
	o, err := findThread(t, pid)
	if err != nil {
		return 0, err
	}
	p := o.SchedParams()
	n.Priority, n.Nice = int(int32(priority)), p.Nice
	if p.Fair() {
		n.Runtime = p.Runtime
	}
	return 0, setScheduler(t, o, n, keepPolicy)
}

func sysSchedGetscheduler(t *task.Thread, a *Args) (uint64, error) {
	if int32(a[0]) < 0 {
		return 0, unix.EINVAL
	}
	o, err := findThread(t, a[0])
	if err != nil {
		return 0, err
	}
	p := o.SchedParams()
	if p.Flags&unix.SCHED_FLAG_RESET_ON_FORK != 0 {
		p.Policy |= schedResetOnFork
	}
	return uint64(p.Policy), nil
}

func sysSchedGetparam(t *task.Thread, a *Args) (uint64, error) {
	if int32(a[0]) < 0 || a[1] == 0 {
		return 0, unix.EINVAL
	}
	o, err := findThread(t, a[0])
	if err != nil {
		return 0, err
	}
	return 0, t.MM.Store32(a[1], uint32(o.SchedParams().Priority))
}

func sysSchedSetattr(t *task.Thread, a *Args) (uint64, error) {
	if a[1] == 0 || int32(a[0]) < 0 || uint32(a[2]) != 0 {
		return 0, unix.EINVAL
	}
	n, err := copySchedAttr(t, a[1])
	if err != nil {
		return 0, err
	}
	if int32(n.Policy) < 0 {
		return 0, unix.EINVAL
	}
	o, err := findThread(t, a[0])
	if err != nil {
		return 0, err
	}
	if n.Flags&schedFlagKeepParams != 0 {
		switch p := o.SchedParams(); {
		case p.Policy == unix.SCHED_DEADLINE:
			n.Priority, n.Runtime, n.Deadline, n.Period = p.Priority, p.Runtime, p.Deadline, p.Period
		case p.Realtime():
			n.Priority = p.Priority
		default:
			n.Nice, n.Runtime = p.Nice, p.Runtime
		}
	}
	return 0, setScheduler(t, o, n, n.Flags&schedFlagKeepPolicy != 0)
}

// copySchedAttr reads a struct sched_attr, which says how long it is (Linux's sched_copy_attr). E2BIG, with the size that
// this kernel knows stored in it, EINVAL, EFAULT.
func copySchedAttr(t *task.Thread, addr uint64) (n sched.Params, err error) {
	size, err := t.MM.Load32(addr)
	if err != nil {
		return n, err
	}
	if size == 0 {
		size = schedAttrSize
	}
	var b [schedAttrSize1]byte
	tooBig := size < schedAttrSize || size > cpu.PageSize
	if !tooBig {
		if err := t.MM.CopyIn(b[:min(size, schedAttrSize1)], addr); err != nil {
			return n, err
		}
		for o := uint32(schedAttrSize1); o < size && !tooBig; {
			var rest [64]byte
			part := rest[:min(size-o, uint32(len(rest)))]
			if err := t.MM.CopyIn(part, addr+uint64(o)); err != nil {
				return n, err
			}
			tooBig = rest != [64]byte{}
			o += uint32(len(part))
		}
	}
	if tooBig {
		t.MM.Store32(addr, schedAttrSize1) //nolint:errcheck // as Linux, which tells of the size only
		return n, unix.E2BIG
	}
	n = sched.Params{
		Policy: le.Uint32(b[4:]), Flags: le.Uint64(b[8:]), Nice: min(max(int(int32(le.Uint32(b[16:]))), -20), 19),
		Priority: int(int32(le.Uint32(b[20:]))),
		Runtime:  int64(le.Uint64(b[24:])), Deadline: int64(le.Uint64(b[32:])), Period: int64(le.Uint64(b[40:])),
	}
	if n.Flags&schedFlagUtilClamp != 0 && size < schedAttrSize1 {
		return n, unix.EINVAL
	}
	return n, nil
}

func sysSchedGetattr(t *task.Thread, a *Args) (uint64, error) {
	size := uint32(a[2])
	if a[1] == 0 || int32(a[0]) < 0 || size < schedAttrSize || size > cpu.PageSize || uint32(a[3]) != 0 {
		return 0, unix.EINVAL
	}
	o, err := findThread(t, a[0])
	if err != nil {
		return 0, err
	}
	p := o.SchedParams()
	var b [schedAttrSize1]byte
	size = min(size, schedAttrSize1)
	le.PutUint32(b[0:], size)
	le.PutUint32(b[4:], p.Policy)
	le.PutUint64(b[8:], p.Flags)
	switch {
	case p.Policy == unix.SCHED_DEADLINE:
		le.PutUint64(b[24:], uint64(p.Runtime))
		le.PutUint64(b[32:], uint64(p.Deadline))
		le.PutUint64(b[40:], uint64(p.Period))
	case p.Realtime():
		le.PutUint32(b[20:], uint32(p.Priority))
	default:
		le.PutUint32(b[16:], uint32(int32(p.Nice)))
		runtime := p.Runtime
		if runtime == 0 {
			runtime = p.Slice()
		}
		le.PutUint64(b[24:], uint64(runtime))
	}
	return 0, t.MM.CopyOut(a[1], b[:size])
}

func sysSchedPriorityMax(t *task.Thread, a *Args) (uint64, error) { return priorityRange(a[0], 99) }
func sysSchedPriorityMin(t *task.Thread, a *Args) (uint64, error) { return priorityRange(a[0], 1) }

func priorityRange(policy, realtime uint64) (uint64, error) {
	switch int32(policy) {
	case unix.SCHED_FIFO, unix.SCHED_RR:
		return realtime, nil
	case unix.SCHED_NORMAL, unix.SCHED_BATCH, unix.SCHED_IDLE, unix.SCHED_DEADLINE:
		return 0, nil
	}
	return 0, unix.EINVAL
}

func sysSchedRRInterval(t *task.Thread, a *Args) (uint64, error) {
	if int32(a[0]) < 0 {
		return 0, unix.EINVAL
	}
	o, err := findThread(t, a[0])
	if err != nil {
		return 0, err
	}
	p := o.SchedParams()
	return 0, copyOutTimespec(t, a[1], p.Slice())
}
