package syscalls

import (
	"golang.org/x/sys/unix"
	"gosv/kernel/cpu"
	"gosv/kernel/goport"
	"gosv/kernel/task"
)

// schedRows are the calls of sched(7).
var schedRows = []Row{
	{AMD64: 24, ARM64: 124, Name: "sched_yield", Fn: sysSchedYield},
	{AMD64: 203, ARM64: 122, Name: "sched_setaffinity", Fn: sysSchedSetaffinity, Format: "pid:int, cpusetsize:size, mask:ptr",
		Level: Partial, Note: "the mask is kept and counts as the number of CPUs; threads are not bound to them"},
	{AMD64: 204, ARM64: 123, Name: "sched_getaffinity", Fn: sysSchedGetaffinity, Format: "pid:int, cpusetsize:size, mask:ptr"},
	{AMD64: 309, ARM64: 168, Name: "getcpu", Fn: sysGetcpu, Format: "cpu:ptr, node:ptr, unused:ptr"},
	{AMD64: 144, ARM64: 119, Name: "sched_setscheduler", Fn: sysSchedSetscheduler, Format: "pid:int, policy:flags.sched, param:ptr",
		Level: Partial, Note: "policies are kept; all threads are scheduled alike"},
	{AMD64: 145, ARM64: 120, Name: "sched_getscheduler", Fn: sysSchedGetscheduler, Format: "pid:int, =flags.sched"},
	{AMD64: 142, ARM64: 118, Name: "sched_setparam", Fn: sysSchedSetparam, Format: "pid:int, param:ptr",
		Level: Partial, Note: "priorities are kept; all threads are scheduled alike"},
	{AMD64: 143, ARM64: 121, Name: "sched_getparam", Fn: sysSchedGetparam, Format: "pid:int, param:ptr"},
	{AMD64: 314, ARM64: 274, Name: "sched_setattr", Fn: sysSchedSetattr, Format: "pid:int, attr:ptr, flags:hex",
		Level: Partial, Note: "as sched_setscheduler; no SCHED_DEADLINE"},
	{AMD64: 315, ARM64: 275, Name: "sched_getattr", Fn: sysSchedGetattr, Format: "pid:int, attr:ptr, size:uint, flags:hex"},
	{AMD64: 146, ARM64: 125, Name: "sched_get_priority_max", Fn: sysSchedPriorityMax, Format: "policy:flags.sched"},
	{AMD64: 147, ARM64: 126, Name: "sched_get_priority_min", Fn: sysSchedPriorityMin, Format: "policy:flags.sched"},
	{AMD64: 148, ARM64: 127, Name: "sched_rr_get_interval", Fn: sysSchedRRInterval, Format: "pid:int, tp:timespec.out"},
	{AMD64: 140, ARM64: 141, Name: "getpriority", Fn: sysGetpriority, Format: "which:int, who:int"},
	{AMD64: 141, ARM64: 140, Name: "setpriority", Fn: sysSetpriority, Format: "which:int, who:int, prio:int",
		Level: Partial, Note: "the nice value is kept; all threads are scheduled alike"},
	{AMD64: 324, ARM64: 283, Name: "membarrier", Fn: sysMembarrier, Format: "cmd:hex, flags:hex, cpu_id:int",
		Level: Partial, Note: "no MEMBARRIER_CMD_*_RSEQ"},
}

func sysSchedYield(t *task.Thread, a *Args) (uint64, error) {
	if !goport.Alone() {
		t.Yield()
	}
	return 0, nil
}

func sysSchedSetaffinity(t *task.Thread, a *Args) (uint64, error) {
	o, err := findThread(t, a[0])
	if err != nil {
		return 0, err
	}
	var b [8]byte
	if err := t.MM.CopyIn(b[:min(a[1], 8)], a[2]); err != nil {
		return 0, err
	}
	if !mayChange(t, o) {
		return 0, unix.EPERM
	}
	if !o.SetAffinity(le.Uint64(b[:])) {
		return 0, unix.EINVAL
	}
	return 0, nil
}

// mayChange is the permission to change another thread's scheduling.
func mayChange(t, o *task.Thread) bool {
	c, oc := t.Creds(), o.Creds()
	return c.EUID == oc.EUID || c.EUID == oc.UID || c.Has(unix.CAP_SYS_NICE)
}

func sysSchedGetaffinity(t *task.Thread, a *Args) (uint64, error) {
	if a[1]&7 != 0 || a[1]*8 < uint64(cpu.NumCPU()) {
		return 0, unix.EINVAL
	}
	o, err := findThread(t, a[0])
	if err != nil {
		return 0, err
	}
	return 8, t.MM.Store64(a[2], o.Affinity())
}

func sysGetcpu(t *task.Thread, a *Args) (uint64, error) {
	for i, v := range [...]uint32{uint32(cpu.ID()), 0} {
		if a[i] != 0 {
			if err := t.MM.Store32(a[i], v); err != nil {
				return 0, err
			}
		}
	}
	return 0, nil
}

const resetOnFork = 0x40000000

// checkPolicy reports whether policy and priority go together (sched(7)).
func checkPolicy(t *task.Thread, policy, priority uint32) error {
	switch policy {
	case unix.SCHED_NORMAL, unix.SCHED_BATCH, unix.SCHED_IDLE:
		if priority != 0 {
			return unix.EINVAL
		}
	case unix.SCHED_FIFO, unix.SCHED_RR:
		if priority < 1 || priority > 99 {
			return unix.EINVAL
		}
		if !t.Creds().Has(unix.CAP_SYS_NICE) && uint64(priority) > t.Proc.Limit(14) {
			return unix.EPERM
		}
	default:
		return unix.EINVAL
	}
	return nil
}

func sysSchedSetscheduler(t *task.Thread, a *Args) (uint64, error) {
	if int32(a[1]) < 0 || a[2] == 0 {
		return 0, unix.EINVAL
	}
	return setScheduler(t, a[0], uint32(a[1])&^resetOnFork, a[2])
}

func setScheduler(t *task.Thread, pid uint64, policy uint32, param uint64) (uint64, error) {
	o, err := findThread(t, pid)
	if err != nil {
		return 0, err
	}
	priority, err := t.MM.Load32(param)
	if err != nil {
		return 0, err
	}
	if err := checkPolicy(t, policy, priority); err != nil {
		return 0, err
	}
	if !mayChange(t, o) {
		return 0, unix.EPERM
	}
	o.SetPolicy(policy, priority)
	return 0, nil
}

func sysSchedGetscheduler(t *task.Thread, a *Args) (uint64, error) {
	if int32(a[0]) < 0 {
		return 0, unix.EINVAL
	}
	o, err := findThread(t, a[0])
	if err != nil {
		return 0, err
	}
	policy, _ := o.Policy()
	return uint64(policy), nil
}

func sysSchedSetparam(t *task.Thread, a *Args) (uint64, error) {
	if int32(a[0]) < 0 || a[1] == 0 {
		return 0, unix.EINVAL
	}
	o, err := findThread(t, a[0])
	if err != nil {
		return 0, err
	}
	policy, _ := o.Policy()
	return setScheduler(t, a[0], policy, a[1])
}

func sysSchedGetparam(t *task.Thread, a *Args) (uint64, error) {
	if int32(a[0]) < 0 || a[1] == 0 {
		return 0, unix.EINVAL
	}
	o, err := findThread(t, a[0])
	if err != nil {
		return 0, err
	}
	_, priority := o.Policy()
	return 0, t.MM.Store32(a[1], priority)
}

// schedAttrSize is the first version of struct sched_attr.
const schedAttrSize = 48

func sysSchedSetattr(t *task.Thread, a *Args) (uint64, error) {
	if a[1] == 0 || int32(a[0]) < 0 || uint32(a[2]) != 0 {
		return 0, unix.EINVAL
	}
	o, err := findThread(t, a[0])
	if err != nil {
		return 0, err
	}
	var b [schedAttrSize]byte
	if err := t.MM.CopyIn(b[:], a[1]); err != nil {
		return 0, err
	}
	if size := le.Uint32(b[0:]); size != 0 && size < schedAttrSize {
		return 0, unix.E2BIG
	}
	policy, priority := le.Uint32(b[4:]), le.Uint32(b[20:])
	if err := checkPolicy(t, policy, priority); err != nil {
		return 0, err
	}
	if !mayChange(t, o) {
		return 0, unix.EPERM
	}
	o.SetPolicy(policy, priority)
	if policy == unix.SCHED_NORMAL || policy == unix.SCHED_BATCH {
		return 0, setNice(t, o, int(int32(le.Uint32(b[16:]))))
	}
	return 0, nil
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
	var b [schedAttrSize]byte
	policy, priority := o.Policy()
	le.PutUint32(b[0:], schedAttrSize)
	le.PutUint32(b[4:], policy)
	le.PutUint32(b[16:], uint32(int32(o.Nice())))
	le.PutUint32(b[20:], priority)
	return 0, t.MM.CopyOut(a[1], b[:])
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
	slice := int64(10e6) // of Go's scheduler
	if policy, _ := o.Policy(); policy == unix.SCHED_FIFO {
		slice = 0
	}
	return 0, copyOutTimespec(t, a[1], slice)
}

// eachPriority calls f for the threads that which and who mean (getpriority(2)).
func eachPriority(t *task.Thread, which, who uint64, f func(*task.Thread) error) error {
	id := int(int32(who))
	found := false
	var err error
	visit := func(o *task.Thread) {
		found = true
		if e := f(o); e != nil {
			err = e
		}
	}
	processes := func(match func(*task.Process) bool) {
		for _, p := range task.Tasks.Processes() {
			if match(p) {
				for _, o := range p.Threads() {
					visit(o)
				}
			}
		}
	}
	switch which {
	case unix.PRIO_PROCESS:
		o, e := findThread(t, who)
		if e != nil {
			return e
		}
		visit(o)
	case unix.PRIO_PGRP:
		if id == 0 {
			id = t.Proc.PGID()
		}
		processes(func(p *task.Process) bool { return p.PGID() == id })
	case unix.PRIO_USER:
		uid := uint32(who)
		if uid == 0 {
			uid = t.Creds().UID
		}
		processes(func(p *task.Process) bool { return p.Leader().Creds().UID == uid })
	default:
		return unix.EINVAL
	}
	if !found {
		return unix.ESRCH
	}
	return err
}

func sysGetpriority(t *task.Thread, a *Args) (uint64, error) {
	best := 0
	err := eachPriority(t, a[0], a[1], func(o *task.Thread) error {
		best = max(best, 20-o.Nice())
		return nil
	})
	return uint64(best), err
}

func sysSetpriority(t *task.Thread, a *Args) (uint64, error) {
	nice := int(int32(a[2]))
	return 0, eachPriority(t, a[0], a[1], func(o *task.Thread) error {
		if !mayChange(t, o) {
			return unix.EPERM
		}
		return setNice(t, o, nice)
	})
}

func setNice(t, o *task.Thread, nice int) error {
	nice = min(max(nice, -20), 19)
	if nice < o.Nice() && !t.Creds().Has(unix.CAP_SYS_NICE) && uint64(20-nice) > t.Proc.Limit(13) {
		return unix.EACCES
	}
	o.SetNice(nice)
	return nil
}

// Commands of membarrier(2).
const (
	membarrierGlobal                      = 1
	membarrierGlobalExpedited             = 2
	membarrierRegisterGlobal              = 4
	membarrierPrivateExpedited            = 8
	membarrierRegisterPrivate             = 16
	membarrierPrivateExpeditedSync        = 32
	membarrierRegisterPrivateSync         = 64
	membarrierGetRegistrations            = 512
	membarrierSupported            uint64 = 0x7f | membarrierGetRegistrations
)

// sysMembarrier is membarrier(2). The interrupt of a TLB flush is a full barrier,
// and serializes, on every CPU that runs the address space; those that do not run
// it pass one when they switch to it.
func sysMembarrier(t *task.Thread, a *Args) (uint64, error) {
	cmd := uint32(a[0])
	if uint32(a[1]) != 0 {
		return 0, unix.EINVAL
	}
	switch cmd {
	case 0:
		return membarrierSupported, nil
	case membarrierRegisterGlobal, membarrierRegisterPrivate, membarrierRegisterPrivateSync:
		t.Proc.MembarrierRegister(cmd)
		return 0, nil
	case membarrierPrivateExpedited, membarrierPrivateExpeditedSync:
		if t.Proc.MembarrierRegistered()&(cmd<<1) == 0 {
			return 0, unix.EPERM
		}
		cpu.FlushTLB(t.MM.Root(), 0, cpu.PageSize)
		return 0, nil
	case membarrierGlobal, membarrierGlobalExpedited:
		for _, p := range task.Tasks.Processes() {
			if cmd == membarrierGlobalExpedited && p.MembarrierRegistered()&membarrierRegisterGlobal == 0 {
				continue
			}
			if as := p.Space(); as != nil {
				cpu.FlushTLB(as.Root(), 0, cpu.PageSize)
				as.Release()
			}
		}
		return 0, nil
	case membarrierGetRegistrations:
		return uint64(t.Proc.MembarrierRegistered()), nil
	}
	return 0, unix.EINVAL
}
