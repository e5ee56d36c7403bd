package task

import (
	"slices"

	"gosv/abi/linux"
	"gosv/kernel/cpu"
	"gosv/kernel/fs/cgroup"
	"gosv/kernel/fs/procfs"
	"gosv/kernel/mm"
	"gosv/kernel/tty"
	"gosv/kernel/vfs"
)

// This file shows threads and processes to procfs. The views are plain values
// that compare equal when they show the same thing.

// Release is uname's; programs compare it with the Linux version they need.
const Release = "6.12.0-gosv"

// Version is uname's version of the build.
const Version = "#1 SMP gosv"

// ProcConfig is what procfs shows of this kernel.
func ProcConfig(commandLine string, terminal bool) procfs.Config {
	return procfs.Config{
		Processes: procTable{Tasks}, Release: Release, Version: Version, CommandLine: commandLine, ConsoleTTY: terminal,
	}
}

// CgroupConfig is what the root of the cgroup hierarchy shows.
func CgroupConfig() cgroup.Config {
	return cgroup.Config{
		Processes: procTable{Tasks}.PIDs,
		Threads: func() (ids []int) {
			for _, p := range Tasks.Processes() {
				for _, t := range p.Threads() {
					ids = append(ids, t.TID)
				}
			}
			slices.Sort(ids)
			return ids
		},
		CPUTime: func() (user, system int64) {
			c := procTable{Tasks}.Counts()
			return c.User, c.System
		},
	}
}

type procTable struct{ tab *Table }

func (v procTable) PIDs() (ids []int) {
	for _, p := range v.tab.Processes() {
		ids = append(ids, p.PID)
	}
	return ids
}

func (v procTable) Process(pid int) procfs.Process {
	if p := v.tab.Process(pid); p != nil {
		return procProcess{p}
	}
	return nil
}

func (v procTable) Counts() (c procfs.Counts) {
	v.tab.mu.Lock()
	c.User, c.System, c.Switches = v.tab.ended.user, v.tab.ended.system, v.tab.ended.switches
	for _, t := range v.tab.tasks {
		c.Threads++
		c.Switches += t.switches.Load()
		user, system := t.CPUTime()
		c.User += user
		c.System += system
		if t.runnable() {
			c.Running++
		}
	}
	c.Forks, c.LastPID = v.tab.forks, v.tab.last
	v.tab.mu.Unlock()
	c.Load = LoadAverage()
	return c
}

type procProcess struct{ p *Process }

func (v procProcess) PID() int { return v.p.PID }

// Threads are those that live, and the first one even if it has ended: it is a zombie
// then.
func (v procProcess) Threads() (ids []int) {
	leader := v.p.Leader()
	for _, t := range v.p.Threads() {
		if t != leader {
			ids = append(ids, t.TID)
		}
	}
	if leader != nil {
		ids = append(ids, leader.TID)
	}
	slices.Sort(ids)
	return ids
}

func (v procProcess) Thread(tid int) procfs.Thread {
	for _, t := range v.p.Threads() {
		if t.TID == tid {
			return procThread{t}
		}
	}
	if t := v.p.Leader(); t != nil && t.TID == tid {
		return procThread{t}
	}
	return nil
}

func (v procProcess) Leader() procfs.Thread { return procThread{v.p.Leader()} }

func (v procProcess) Exe() (p vfs.Path, ok bool) {
	v.p.mu.Lock()
	defer v.p.mu.Unlock()
	f := v.p.exe.Load()
	if f == nil {
		return p, false
	}
	p = f.FollowPath()
	p.Pin()
	return p, true
}

func (v procProcess) Space() *mm.AddressSpace { return v.p.Space() }

func (v procProcess) Layout() (l procfs.Layout) {
	y := v.p.args.Load()
	if y == nil {
		return l
	}
	l = procfs.Layout{StartCode: y.StartCode, EndCode: y.EndCode, StartData: y.StartData, EndData: y.EndData,
		StartBrk: y.StartBrk, Brk: y.StartBrk, StartStack: y.StartStack,
		ArgStart: y.ArgStart, ArgEnd: y.ArgEnd, EnvStart: y.EnvStart, EnvEnd: y.EnvEnd}
	if as := v.p.Space(); as != nil {
		l.Brk = as.Brk(0)
		as.Release()
	}
	return l
}

func (v procProcess) Auxv() []byte { return v.p.Auxv() }

// Auxv is the auxiliary vector as the program got it.
func (p *Process) Auxv() []byte {
	if y := p.args.Load(); y != nil {
		return y.Auxv
	}
	return nil
}

func (v procProcess) Limits() (l [16]procfs.Limit) {
	for i := range l {
		r := v.p.Rlimit(i)
		l[i] = procfs.Limit(r)
	}
	return l
}

func (v procProcess) CoreFilter() uint32     { return v.p.CoreFilter() }
func (v procProcess) SetCoreFilter(n uint32) { v.p.coreFilter.Store(n) }
func (v procProcess) OOMScoreAdj() int       { return int(v.p.oomScoreAdj.Load()) }
func (v procProcess) SetOOMScoreAdj(n int)   { v.p.oomScoreAdj.Store(int32(n)) }

func (v procProcess) IO() procfs.IO { return procfs.IO(v.p.IO()) }

func (v procProcess) Children() (ids []int) {
	v.p.table.mu.Lock()
	defer v.p.table.mu.Unlock()
	for _, c := range v.p.children {
		ids = append(ids, c.PID)
	}
	slices.Sort(ids)
	return ids
}

func (v procProcess) Timers() (list []procfs.Timer) {
	ts := &v.p.timers
	ts.mu.Lock()
	defer ts.mu.Unlock()
	for _, m := range ts.posix {
		t := procfs.Timer{ID: int(m.ID), Signal: m.signo, Value: m.value, Notify: m.notify, Target: v.p.PID, Clock: int(m.created.id)}
		if m.target != nil {
			t.Target = m.target.TID
		}
		list = append(list, t)
	}
	slices.SortFunc(list, func(a, b procfs.Timer) int { return a.ID - b.ID })
	return list
}

// ProcThread is the thread as procfs sees it.
func (t *Thread) ProcThread() procfs.Thread { return procThread{t} }

type procThread struct{ t *Thread }

func (v procThread) IO() procfs.IO           { return procfs.IO(v.t.IO) }
func (v procThread) TimerSlack() uint64      { return v.t.TimerSlack() }
func (v procThread) SetTimerSlack(ns uint64) { v.t.SetTimerSlack(ns) }

func (v procThread) TID() int                { return v.t.TID }
func (v procThread) Process() procfs.Process { return procProcess{v.t.Proc} }
func (v procThread) Comm() string            { return v.t.Comm() }
func (v procThread) SetComm(s string)        { v.t.SetComm(s) }
func (v procThread) Creds() *vfs.Creds       { return v.t.Creds() }

func (v procThread) Files() *vfs.FDTable {
	if v.t.state.Load() == stateDead {
		return nil
	}
	return v.t.Files
}

func (v procThread) FSContext() *vfs.FSContext {
	if v.t.state.Load() == stateDead {
		return nil
	}
	return v.t.FS
}

// stateLetter is the state of proc_pid_stat(5). What could run is R, as what does; a
// first thread that has ended is a zombie as long as the process is there.
func (t *Thread) stateLetter() byte {
	switch t.state.Load() {
	case stateDead:
		if t == t.Proc.Leader() {
			return 'Z'
		}
		return 'X'
	case stateStopped:
		return 'T'
	case stateTraced:
		return 't'
	}
	if t.schedule.Waits() { // for a CPU
		return 'R'
	}
	switch asleep, uninterruptible := t.Asleep(); {
	case uninterruptible:
		return 'D'
	case asleep:
		return 'S'
	}
	return 'R'
}

// runnable reports whether the thread runs or could.
func (t *Thread) runnable() bool { return t.stateLetter() == 'R' }

func (v procThread) State(st *procfs.State) {
	t, p := v.t, v.t.Proc
	*st = procfs.State{PID: p.PID, TTYGroup: -1, Start: p.startTime, CPU: cpu.ID(), Syscall: -1}
	p.table.mu.Lock()
	if p.parent != nil {
		st.PPID = p.parent.PID
	}
	st.PGRP, st.SID, st.ExitSignal = p.pgid, p.sid, p.exitSignal
	zombie := p.zombie
	p.table.mu.Unlock()
	if term := tty.Controlling(st.SID); term != nil {
		st.TTY = int(term.Dev())
		_, st.TTYGroup = term.Session()
	}
	st.State = t.stateLetter()
	if zombie {
		st.State = 'Z'
	}
	st.UserTime, st.SystemTime = t.CPUTime()
	st.ProcessUser, st.ProcessSystem = p.CPUTime()
	children := p.ChildUsage()
	st.ChildUser, st.ChildSystem, st.ChildMinorFaults = children.User, children.System, children.Faults
	st.ProcessMinorFaults = p.Usage().Faults
	st.MinorFaults, st.Voluntary = t.faults.Load(), t.switches.Load()
	st.Nice = t.Nice()
	st.Priority = t.priority()
	params := t.SchedParams()
	st.Policy, st.RTPriority = int(params.Policy), params.Priority
	st.Affinity = []uint64{t.Affinity()}
	st.NoNewPrivs = t.Creds().NoNewPrivs
	if s := t.Seccomp(); s != nil {
		st.Seccomp, st.SeccompFilters = s.Mode, s.Filters
	}
	st.TracerPID = t.TracerPID()
	st.Personality = p.Personality()
	st.Dumpable = p.dumpable.Load() == 1
	h := p.sigHand()
	p.mu.Lock()
	st.Threads = len(p.threads)
	if p.leader != nil && p.leader.state.Load() == stateDead {
		st.Threads++
	}
	st.ExitStatus = p.status
	st.Pending, st.SharedPending = uint64(t.sig.pending.set), uint64(p.signals.pending.set)
	st.QueuedSignals = len(t.sig.pending.queue) + len(p.signals.pending.queue)
	st.Blocked = uint64(t.sig.mask)
	p.mu.Unlock()
	h.mu.Lock()
	for sig := 1; sig <= linux.NSIG; sig++ {
		switch h.actions[sig].Handler {
		case linux.SIG_DFL:
		case linux.SIG_IGN:
			st.Ignored |= uint64(linux.SigBit(sig))
		default:
			st.Caught |= uint64(linux.SigBit(sig))
		}
	}
	h.mu.Unlock()
	if st.State == 'S' || st.State == 'D' {
		st.WaitChannel = "0"
		st.Syscall, st.SyscallArgs = int64(t.SyscallNr), t.SyscallArgs
	}
	st.UserSP, st.UserIP = t.Ctx.Regs.SP, t.Ctx.Regs.IP
}
