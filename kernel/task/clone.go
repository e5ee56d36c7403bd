package task

import (
	"golang.org/x/sys/unix"
	"gosv/abi/linux"
	"gosv/kernel/cpu"
	"gosv/kernel/fs/pidfd"
	"gosv/kernel/mm"
	"gosv/kernel/sched"
)

// CloneArgs are the arguments of clone3(2); clone, fork and vfork fill them in too.
type CloneArgs struct {
	Flags      uint64 // CLONE_*, without the exit signal
	ChildTID   uint64
	ParentTID  uint64
	PidFD      uint64 // where CLONE_PIDFD stores the descriptor
	ExitSignal int
	Stack      uint64 // the new stack pointer; 0: the parent's
	TLS        uint64
	SetTID     int // the ID that it is to have; 0 is any
}

const (
	cloneClearSighand = 0x100000000
	cloneNamespaces   = unix.CLONE_NEWNS | unix.CLONE_NEWCGROUP | unix.CLONE_NEWUTS | unix.CLONE_NEWIPC |
		unix.CLONE_NEWUSER | unix.CLONE_NEWPID | unix.CLONE_NEWNET | unix.CLONE_NEWTIME
	// Nothing to do for these: there is no SysV semaphore undo list and no I/O context.
	cloneNoEffect = unix.CLONE_DETACHED | unix.CLONE_SYSVSEM | unix.CLONE_IO
	cloneKnown    = unix.CLONE_VM | unix.CLONE_FS | unix.CLONE_FILES | unix.CLONE_SIGHAND | unix.CLONE_VFORK |
		unix.CLONE_PARENT | unix.CLONE_THREAD | unix.CLONE_SETTLS | unix.CLONE_PARENT_SETTID |
		unix.CLONE_CHILD_CLEARTID | unix.CLONE_CHILD_SETTID | unix.CLONE_PIDFD | unix.CLONE_PTRACE | unix.CLONE_UNTRACED |
		cloneClearSighand | cloneNoEffect
)

// Clone makes a thread or a process (clone(2)) and returns its ID. EINVAL, EAGAIN,
// ENOMEM, EPERM.
func (t *Thread) Clone(a *CloneArgs) (int, error) {
	f := a.Flags
	switch {
	case f&cloneNamespaces != 0:
		return 0, unix.EINVAL // as a Linux without namespaces
	case f&^cloneKnown != 0,
		f&unix.CLONE_THREAD != 0 && f&unix.CLONE_SIGHAND == 0,
		f&unix.CLONE_SIGHAND != 0 && f&unix.CLONE_VM == 0,
		f&unix.CLONE_SIGHAND != 0 && f&cloneClearSighand != 0,
		f&unix.CLONE_PIDFD != 0 && f&(unix.CLONE_THREAD|unix.CLONE_DETACHED) != 0,
		a.ExitSignal < 0:
		return 0, unix.EINVAL
	case f&unix.CLONE_SETTLS != 0 && a.TLS >= cpu.UserTop:
		return 0, unix.EPERM // as arch_prctl(2)
	}
	if sched.On() && t.schedule.Sterile() {
		return 0, unix.EAGAIN
	}
	if a.SetTID != 0 {
		switch {
		case a.SetTID >= int(pidMax.Load()):
			return 0, unix.EINVAL
		case !t.Creds().Has(unix.CAP_CHECKPOINT_RESTORE) && !t.Creds().Has(unix.CAP_SYS_ADMIN):
			return 0, unix.EPERM
		}
	}
	if t.Proc.table.full(t) {
		return 0, unix.EAGAIN
	}
	c, err := t.newChild(a)
	if err != nil {
		return 0, err
	}
	r := &c.Ctx.Regs
	r.AX = 0
	if a.Stack != 0 {
		r.SP = a.Stack
	}
	if f&unix.CLONE_SETTLS != 0 {
		c.Ctx.FSBase = a.TLS
	}
	if f&unix.CLONE_CHILD_CLEARTID != 0 {
		c.clearTID = a.ChildTID
	}
	var vfork *vforkWait
	if f&unix.CLONE_VFORK != 0 {
		vfork = &vforkWait{parent: t}
		c.vfork.Store(vfork)
	}
	pidFD := -1
	if f&unix.CLONE_PIDFD != 0 {
		if pidFD, err = t.Files.Install(pidfd.New(c.Proc, 0), true); err == nil {
			err = t.MM.Store32(a.PidFD, uint32(pidFD))
		}
		if err != nil {
			t.closePidFD(pidFD)
			c.drop()
			return 0, err
		}
	}
	event := t.cloneEvent(a)
	tid, err := c.publish(t, a, event != 0 || f&unix.CLONE_PTRACE != 0)
	if err != nil {
		t.closePidFD(pidFD)
		c.drop()
		return 0, err
	}
	if f&unix.CLONE_PARENT_SETTID != 0 {
		t.MM.Store32(a.ParentTID, uint32(tid))
	}
	if c.Proc != t.Proc {
		c.Proc.armCPULimit()
	}
	setTID := uint64(0)
	if f&unix.CLONE_CHILD_SETTID != 0 {
		setTID = a.ChildTID
	}
	c.join()
	go func() {
		if setTID != 0 {
			c.MM.Store32(setTID, uint32(tid))
		}
		c.begin()
		c.run()
	}()
	if event != 0 {
		t.traceEvent(event, uint64(tid))
	}
	if vfork != nil && vfork.wait() {
		t.traceEvent(unix.PTRACE_EVENT_VFORK_DONE, uint64(tid))
	}
	return tid, nil
}

// closePidFD takes back the descriptor of a child that does not come to be.
func (t *Thread) closePidFD(fd int) {
	if fd >= 0 {
		t.Files.Close(fd) //nolint:errcheck // another thread has closed it
	}
}

// newChild makes the thread with what it shares and what it copies; nobody can see
// it yet.
func (t *Thread) newChild(a *CloneArgs) (*Thread, error) {
	f := a.Flags
	if f&unix.CLONE_FILES == 0 {
		if err := mm.Admit(t.MM, t.Files.Size()); err != nil {
			return nil, err
		}
	}
	c := &Thread{MM: t.MM, Files: t.Files, FS: t.FS}
	if f&unix.CLONE_VM != 0 {
		c.MM.Retain()
	} else {
		as, err := t.MM.Fork()
		if err != nil {
			return nil, err
		}
		c.MM = as
	}
	if f&unix.CLONE_FILES != 0 {
		c.Files.Retain()
	} else {
		c.Files = t.Files.Clone()
	}
	if f&unix.CLONE_FS != 0 {
		c.FS.Retain()
	} else {
		c.FS = t.FS.Clone()
	}
	c.Ctx = cpu.NewContext()
	c.Ctx.Copy(t.Ctx)
	if t.ptrace.stepping {
		c.Ctx.Regs.Flags &^= cpu.FlagTF
	}
	c.init()
	c.SyscallNr = t.SyscallNr
	c.creds.Store(t.creds.Load())
	c.comm.Store(t.comm.Load())
	if mask := t.affinity.Load(); mask != allCPUs() {
		c.affinity.Store(mask)
		c.work.Or(workPin)
	}
	c.schedule.Inherit(&t.schedule.Entity)
	c.slack.Store(t.slack.Load())
	c.makerSlack.Store(t.slack.Load())
	c.ioPriority.Store(t.ioPriority.Load())
	c.sig.mask = t.sig.mask
	if t.work.Load()&workMask != 0 {
		c.sig.mask = t.sig.saved
	}
	if f&(unix.CLONE_VM|unix.CLONE_VFORK) != unix.CLONE_VM {
		c.sig.alt = t.sig.alt
	}
	if f&unix.CLONE_THREAD != 0 {
		c.Proc = t.Proc
		return c, nil
	}
	c.Proc = t.Proc.fork(c, f)
	return c, nil
}

// fork makes the process of c.
func (p *Process) fork(c *Thread, flags uint64) *Process {
	n := newProcess(p.table)
	n.leader = c
	hand := p.sigHand()
	switch {
	case flags&cloneClearSighand != 0:
		n.hand.Store(hand.forExec())
	case flags&unix.CLONE_SIGHAND != 0:
		n.hand.Store(hand)
	default:
		n.hand.Store(hand.Clone())
	}
	if e := p.exe.Load(); e != nil {
		e.Retain()
		e.DenyWrite() // cannot fail: p denies it already
		n.exe.Store(e)
	}
	n.args.Store(p.args.Load())
	n.limits.copy(&p.limits)
	n.dumpable.Store(p.dumpable.Load())
	n.personality.Store(p.personality.Load())
	n.oomScoreAdj.Store(p.oomScoreAdj.Load())
	n.coreFilter.Store(p.coreFilter.Load())
	n.subreaper.Store(false)
	return n
}

// drop undoes newChild.
func (t *Thread) drop() {
	t.Ctx.Release()
	t.MM.Release()
	t.Files.Release()
	t.FS.Release()
	if t.Proc.PID == 0 {
		t.Proc.setExe(nil)
	}
}

// publish gives the thread its ID and puts it into the tables. ERESTARTNOINTR if
// the process it should join is ending, EEXIST if the ID that it should have is
// another's.
func (c *Thread) publish(parent *Thread, a *CloneArgs, traced bool) (tid int, err error) {
	p, flags := c.Proc, a.Flags
	tab := p.table
	tab.mu.Lock()
	defer tab.mu.Unlock()
	parent.Proc.mu.Lock()
	defer parent.Proc.mu.Unlock()
	tab.chosen = tab.chosen || a.SetTID != 0
	switch {
	case parent.work.Load()&workExit != 0:
		return 0, linux.ERESTARTNOINTR
	case a.SetTID == 0:
		if c.TID = tab.newID(); c.TID == 0 {
			return 0, unix.EAGAIN
		}
	case tab.used(a.SetTID):
		return 0, unix.EEXIST
	default:
		c.TID = a.SetTID
	}
	c.seccomp.Store(parent.seccomp.Load()) // with Process.mu, which another thread's synchronization takes
	c.callWork.Store(parent.callWork.Load() & callSeccomp)
	tab.forks++
	if p == parent.Proc {
		p.threads = append(p.threads, c)
		if p.signals.stopped {
			c.joinStop()
			c.work.Or(workStop)
		}
	} else {
		p.PID = c.TID
		p.makerTID = parent.TID
		p.threads = append(p.threads, c)
		p.exitSignal = a.ExitSignal
		p.setParent(parent.Proc)
		if flags&unix.CLONE_PARENT != 0 && parent.Proc.parent != nil {
			p.setParent(parent.Proc.parent)
			p.makerTID = parent.Proc.makerTID
			p.exitSignal = parent.Proc.exitSignal
		}
		p.pgid, p.sid = parent.Proc.pgid, parent.Proc.sid
		p.parent.children = append(p.parent.children, p)
		tab.procs[p.PID] = p
	}
	if traced {
		c.inherit(parent)
	}
	tab.tasks[c.TID] = c
	return c.TID, nil
}

// full reports whether there are as many threads as memory allows, by the rule of
// Linux, or as RLIMIT_NPROC allows the caller's user.
func (tab *Table) full(t *Thread) bool {
	most := int(threadsMost(0))
	c := t.Creds()
	limit := t.Proc.Limit(rlimitNPROC)
	tab.mu.Lock()
	defer tab.mu.Unlock()
	switch n := len(tab.tasks) + tab.zombies; {
	case n >= most:
		return true
	case uint64(n) < limit || c.UID == 0 || c.Has(unix.CAP_SYS_RESOURCE) || c.Has(unix.CAP_SYS_ADMIN):
		return false
	}
	own := uint64(0)
	for _, o := range tab.tasks {
		if o.Creds().UID == c.UID {
			own++
		}
	}
	for _, p := range tab.procs {
		if p.zombie && p.leader.Creds().UID == c.UID {
			own++
		}
	}
	return own >= limit
}

// init sets what every thread has.
func (t *Thread) init() {
	t.SyscallNr = -1
	t.Sleeper.BeforeSleep = t.beforeSleep
	t.Sleeper.Scheduled = t
	t.Sleeper.Pending = t.interrupted
	t.slack.Store(usualSlack)
	t.makerSlack.Store(usualSlack)
	t.Sleeper.Killed = t.mustEnd
	t.affinity.Store(allCPUs())
}

// Unshare is unshare(2) for what threads can share: CLONE_FS and CLONE_FILES. A
// process with one thread in memory of its own shares nothing else.
func (t *Thread) Unshare(flags uint64) error {
	const sharable = unix.CLONE_FS | unix.CLONE_FILES | unix.CLONE_SYSVSEM
	const alone = unix.CLONE_THREAD | unix.CLONE_SIGHAND | unix.CLONE_VM
	if flags&^(sharable|alone) != 0 {
		return unix.EINVAL
	}
	if flags&alone != 0 && (len(t.Proc.Threads()) > 1 || flags&(unix.CLONE_SIGHAND|unix.CLONE_VM) != 0 && t.MM.Shared()) {
		return unix.EINVAL
	}
	if flags&unix.CLONE_FS != 0 {
		old := t.FS
		t.FS = old.Clone()
		old.Release()
	}
	if flags&unix.CLONE_FILES != 0 {
		old := t.Files
		t.Files = old.Clone()
		old.Release()
	}
	return nil
}
