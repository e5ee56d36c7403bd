package syscalls

import (
	"golang.org/x/sys/unix"
	"gosv/kernel/cpu"
	"gosv/kernel/goport"
	"gosv/kernel/sched"
	"gosv/kernel/task"
)

// schedRows are the calls of sched(7).
var schedRows = []Row{
	{AMD64: 24, ARM64: 124, Name: "sched_yield", Fn: sysSchedYield},
	{AMD64: 203, ARM64: 122, Name: "sched_setaffinity", Fn: sysSchedSetaffinity, Format: "pid:int, cpusetsize:size, mask:ptr"},
	{AMD64: 204, ARM64: 123, Name: "sched_getaffinity", Fn: sysSchedGetaffinity, Format: "pid:int, cpusetsize:size, mask:ptr"},
	{AMD64: 309, ARM64: 168, Name: "getcpu", Fn: sysGetcpu, Format: "cpu:ptr, node:ptr, unused:ptr"},
	{AMD64: 144, ARM64: 119, Name: "sched_setscheduler", Fn: sysSchedSetscheduler, Format: "pid:int, policy:flags.sched, param:ptr"},
	{AMD64: 145, ARM64: 120, Name: "sched_getscheduler", Fn: sysSchedGetscheduler, Format: "pid:int, =flags.sched"},
	{AMD64: 142, ARM64: 118, Name: "sched_setparam", Fn: sysSchedSetparam, Format: "pid:int, param:ptr"},
	{AMD64: 143, ARM64: 121, Name: "sched_getparam", Fn: sysSchedGetparam, Format: "pid:int, param:ptr"},
	{AMD64: 314, ARM64: 274, Name: "sched_setattr", Fn: sysSchedSetattr, Format: "pid:int, attr:ptr, flags:hex",
		Level: Partial, Note: "SCHED_FLAG_RECLAIM, SCHED_FLAG_DL_OVERRUN and the slice of an ordinary thread are kept only; no utilization clamps (EOPNOTSUPP)"},
	{AMD64: 315, ARM64: 275, Name: "sched_getattr", Fn: sysSchedGetattr, Format: "pid:int, attr:ptr, size:uint, flags:hex"},
	{AMD64: 146, ARM64: 125, Name: "sched_get_priority_max", Fn: sysSchedPriorityMax, Format: "policy:flags.sched"},
	{AMD64: 147, ARM64: 126, Name: "sched_get_priority_min", Fn: sysSchedPriorityMin, Format: "policy:flags.sched"},
	{AMD64: 148, ARM64: 127, Name: "sched_rr_get_interval", Fn: sysSchedRRInterval, Format: "pid:int, tp:timespec.out"},
	{AMD64: 140, ARM64: 141, Name: "getpriority", Fn: sysGetpriority, Format: "which:int, who:int"},
	{AMD64: 141, ARM64: 140, Name: "setpriority", Fn: sysSetpriority, Format: "which:int, who:int, prio:int"},
	{AMD64: 324, ARM64: 283, Name: "membarrier", Fn: sysMembarrier, Format: "cmd:hex, flags:hex, cpu_id:int",
		Level: Partial, Note: "no MEMBARRIER_CMD_*_RSEQ"},
}

func sysSchedYield(t *task.Thread, a *Args) (uint64, error) {
	if !goport.Alone() || sched.On() {
		t.SchedYield()
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
		if c, oc := t.Creds(), o.Creds(); c.EUID != oc.UID && c.EUID != oc.EUID && !c.Has(unix.CAP_SYS_NICE) {
			return unix.EPERM
		}
		return setNice(t, o, nice)
	})
}

// setNice is what setpriority(2) does to one thread.
func setNice(t, o *task.Thread, nice int) error {
	nice = min(max(nice, -20), 19)
	p := o.SchedParams()
	if nice < p.Nice && !mayNice(o, nice) && !t.Creds().Has(unix.CAP_SYS_NICE) {
		return unix.EACCES
	}
	p.Nice = nice
	return o.SetSchedParams(p)
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
