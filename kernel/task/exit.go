package task

import (
	"slices"

	"golang.org/x/sys/unix"
	"gosv/abi/linux"
	"gosv/kernel/goport"
	"gosv/kernel/mm"
	"gosv/kernel/tty"
	"gosv/kernel/wait"
)

// ExitInfo is how the first process ended.
type ExitInfo struct {
	Status int    // exit status; 128+signal if one killed it
	Signal string // "SIGSEGV"; empty unless a signal killed it
	Addr   uint64 // of a fault
	Fault  bool   // Addr, IP and Insn mean something
	IP     uint64
	Insn   string // mnemonic of the instruction, or its bytes
	OOM    bool   // killed because there was no memory
}

// Exit ends the thread (exit(2)); code is 0 to 255. The handler returns then.
func (t *Thread) Exit(code int) {
	t.exitStatus = code & 0xff << 8
	t.work.Or(workExit)
}

// ExitGroup ends the process (exit_group(2)).
func (t *Thread) ExitGroup(code int) { t.Proc.end(code&0xff<<8, nil) }

// end makes all threads leave; status is that of wait(2). The first call counts.
func (p *Process) end(status int, info *ExitInfo) {
	p.mu.Lock()
	p.endLocked(status, info)
	p.mu.Unlock()
}

// endLocked is end with p.mu held.
func (p *Process) endLocked(status int, info *ExitInfo) {
	if !p.exiting.Swap(true) {
		p.status = status
		p.exitInfo = info
	}
	p.leaveStop()
	for _, t := range p.threads {
		t.kill()
	}
}

// kill makes the thread end: whatever it waits for, a stop included. As on Linux,
// it has SIGKILL pending from then on, until it sees that it is to end. p.mu is
// held.
func (t *Thread) kill() {
	t.sig.pending.set |= linux.SigBit(int(unix.SIGKILL))
	t.work.Or(workExit)
	t.untrap()
	t.Kill()
	if t.state.Load() == stateTraced {
		t.Wake() // a stop in PTRACE_EVENT_EXIT is not a killable sleep: the thread is ending already
	}
	t.Ctx.Kick()
}

// mustEnd reports whether the thread has been killed: it ends SleepKillable.
func (t *Thread) mustEnd() bool { return t.work.Load()&workExit != 0 }

// leaving is what a thread does first that has seen that it is to end. The signal
// that ends the process is shown to strace once.
func (t *Thread) leaving() {
	p := t.Proc
	p.mu.Lock()
	t.sig.pending.set &^= linux.SigBit(int(unix.SIGKILL))
	info := p.fatal
	p.fatal = nil
	p.mu.Unlock()
	if tr := tracer.Load(); tr != nil && info != nil {
		tr.signal(t, info)
	}
}

// exit is the last that a thread does.
func (t *Thread) exit() {
	p := t.Proc
	p.lastStatus.Store(int32(t.exitStatus)) // before anyone can learn that the thread ends
	if p.exiting.Load() {
		t.joinDump()
	}
	if tr := tracer.Load(); tr != nil {
		tr.exit(t, t.endStatus())
	}
	if t.traced() {
		t.traceEvent(unix.PTRACE_EVENT_EXIT, uint64(t.endStatus()))
	}
	t.exitRobustList()
	t.leavePI(true)
	t.clearOwnTID()
	t.endVfork()
	if t.pinned != 0 {
		goport.Pin(0)
		t.pinned = 0
	}
	t.clock.pause()
	t.Ctx.Release()
	used := t.usage()
	_, used.MaxRSS = t.MM.Peak()

	tab := p.table
	tab.mu.Lock()
	p.mu.Lock()
	p.clock.ended.add(&used)
	tab.ended.user += used.User
	tab.ended.system += used.System
	tab.ended.switches += used.Switches
	p.io.add(&t.IO)
	if t == p.leader && !p.exiting.Load() {
		p.status = t.exitStatus
	}
	p.threads = slices.DeleteFunc(p.threads, func(o *Thread) bool { return o == t })
	last := len(p.threads) == 0
	stopped := t.stopDone() && !last
	delete(tab.tasks, t.TID)
	t.setState(stateDead)
	if p.dump != nil {
		p.dump.by.Wake() // which waits for this thread
	}
	ended := t.leaveTracees()
	tracer := t.endTraced()
	var bereaved []*Process
	if !last {
		bereaved = t.leaveChildren()
	}
	if last {
		if !p.exiting.Swap(true) {
			p.status = int(p.lastStatus.Load())
		}
	} else {
		p.wakeSingle()
	}
	// A signal of the process that woke this thread may be another's to take.
	for sig := 1; !last && sig <= linux.NSIG; sig++ {
		if p.signals.pending.set.Has(sig) {
			if o := p.receiver(sig); o != nil {
				o.post(workSignal)
			}
		}
	}
	p.mu.Unlock()
	tab.mu.Unlock()
	p.exited.Notify(wait.Readable) // descriptors of this thread
	if stopped {
		p.tellStop()
	}
	for _, o := range ended {
		o.announce()
	}
	p.tellBereaved(bereaved)
	if tracer != nil {
		tracer.Proc.tellTracerEnd(t)
	}

	if last {
		p.timers.stopAll()
	}
	t.leave(last, false)
	t.Files.Release()
	t.FS.Release()
	t.MM.Release()
	t.frameBuf = nil
	if last {
		p.finish()
	}
	t.schedule.Exit()
}

// clearOwnTID tells others in the same memory that the thread has left it
// (set_tid_address(2)). Alone in its memory it has nobody to tell, and memory that
// it shares with another process keeps the number.
func (t *Thread) clearOwnTID() {
	addr := t.clearTID
	t.clearTID = 0
	if addr == 0 || !t.MM.Shared() || t.MM.Store32(addr, 0) != nil {
		return
	}
	t.FutexWake(addr, false, 1, linux.FUTEX_BITSET_MATCH_ANY)
	t.FutexWake(addr, true, 1, linux.FUTEX_BITSET_MATCH_ANY)
}

// leaveChildren leaves the processes that the ending thread made to another
// thread, and returns those that want a signal then (prctl(2),
// PR_SET_PDEATHSIG). table.mu and Process.mu are held.
func (t *Thread) leaveChildren() (bereaved []*Process) {
	for _, c := range t.Proc.children {
		if c.makerTID != t.TID {
			continue
		}
		c.makerTID = t.Proc.threads[0].TID
		if c.parentDeath.Load() != 0 {
			bereaved = append(bereaved, c)
		}
	}
	return bereaved
}

// tellBereaved sends children the signal that they want when their parent ends.
func (p *Process) tellBereaved(children []*Process) {
	for _, c := range children {
		if sig := c.parentDeath.Load(); sig != 0 {
			info := linux.NewSigInfo(int(sig), linux.SI_USER)
			info.SetSender(p.PID, p.leader.Creds().UID)
			c.Signal(info) //nolint:errcheck // a full queue
		}
	}
}

// exitHooks are told of the end of each process.
var exitHooks []func(*Process)

// OnExit makes hook be called when a process has ended, before its parent is
// told. It is for init functions of packages that keep something for processes.
func OnExit(hook func(*Process)) { exitHooks = append(exitHooks, hook) }

// finish is the end of a process, after its last thread.
func (p *Process) finish() {
	p.setExe(nil)
	for _, hook := range exitHooks {
		hook(p)
	}
	tab := p.table
	tab.mu.Lock()
	heir := tab.init
	for a := p.parent; a != nil; a = a.parent {
		if a.subreaper.Load() && !a.zombie {
			heir = a
			break
		}
	}
	hangup := tab.newOrphans(p)
	leads := p.sid == p.PID
	orphans := p.children
	p.children = nil
	var zombies bool
	var bereaved []*Process
	for _, c := range orphans {
		c.exitSignal = int(unix.SIGCHLD)
		if c.parentDeath.Load() != 0 {
			bereaved = append(bereaved, c)
		}
		c.setParent(heir)
		if heir == p {
			c.setParent(nil)
		} else if heir != nil {
			c.makerTID = heir.PID
			heir.children = append(heir.children, c)
			zombies = zombies || c.zombie
		}
	}
	p.zombie = true
	tab.zombies++
	var others []*Process
	if p == tab.init {
		// The first process's end is everyone's.
		for _, o := range tab.procs {
			if o != p {
				others = append(others, o)
			}
		}
	}
	parent, tracer := p.release()
	tab.mu.Unlock()
	p.tellBereaved(bereaved)
	if leads {
		tty.EndSession(p.PID)
	}
	for _, g := range hangup {
		tab.SignalGroup(g, int(unix.SIGHUP))
		tab.SignalGroup(g, int(unix.SIGCONT))
	}
	for _, o := range others {
		o.end(int(unix.SIGKILL), nil)
	}
	for _, o := range others {
		<-o.done
	}
	mm.Ended()
	close(p.done)
	p.exited.Notify(wait.Readable)
	if zombies {
		heir.childExit.Notify(wait.In)
	}
	p.tellEnd(parent, tracer)
}

// release decides who is told of the end of a process: its tracer first, and its
// parent when that has waited for it or is gone. A process that nobody will wait
// for is taken out of the tables. table.mu is held.
func (p *Process) release() (parent *Process, tracer *Thread) {
	if p.announced || p.deadTracees > 0 && p.parent != nil {
		return nil, nil
	}
	parent = p.parent
	tracer = p.leader.ptrace.tracer.Load()
	if tracer != nil && tracer.Proc != parent && parent != nil && !tracer.Proc.autoReaps() {
		return nil, tracer
	}
	p.announced = true
	if parent == nil || p.exitSignal == int(unix.SIGCHLD) && parent.autoReaps() {
		p.reap()
	} else if tracer != nil && tracer.Proc != parent {
		p.untrace()
	}
	return parent, nil
}

// announce tells of the end of a process who has not heard of it yet.
func (p *Process) announce() {
	p.table.mu.Lock()
	parent, tracer := p.release()
	p.table.mu.Unlock()
	p.tellEnd(parent, tracer)
}

func (p *Process) tellEnd(parent *Process, tracer *Thread) {
	if tracer != nil {
		tracer.Proc.tellTracerEnd(p.leader)
	}
	if parent != nil {
		p.notifyExit(parent)
	}
}

// autoReaps reports whether children become no zombies: SIGCHLD is ignored, or
// has SA_NOCLDWAIT.
func (p *Process) autoReaps() bool {
	a := p.sigHand().Action(int(unix.SIGCHLD))
	return a.Handler == linux.SIG_IGN || a.Flags&linux.SA_NOCLDWAIT != 0
}

// reap takes the zombie out of the tables. table.mu is held.
func (p *Process) reap() {
	p.untrace()
	if p.parent != nil {
		p.parent.children = slices.DeleteFunc(p.parent.children, func(o *Process) bool { return o == p })
	}
	delete(p.table.procs, p.PID)
	if p.zombie {
		p.table.zombies--
	}
	if p.table.init == p {
		p.table.init = nil
		p.table.last = 0
	}
}

// notifyExit tells the parent of a process's end.
func (p *Process) notifyExit(parent *Process) {
	if p.exitSignal != 0 && p.exitSignal <= linux.NSIG {
		user, sys := p.CPUTime()
		info := endInfo(p.exitSignal, p.PID, p.leader.Creds().UID, p.status)
		info.SetTimes(user/tick, sys/tick)
		parent.Signal(info)
	}
	parent.childExit.Notify(wait.In)
}

// endInfo is what SIGCHLD tells of an end with a status of wait(2).
func endInfo(sig, id int, uid uint32, status int) linux.SigInfo {
	code, value := endCode(status)
	info := linux.NewSigInfo(sig, code)
	info.SetChild(id, uid, value, 0, 0)
	return info
}

// endCode is how si_code and si_status tell a status of wait(2).
func endCode(status int) (code, value int32) {
	switch {
	case status&0x80 != 0:
		return linux.CLD_DUMPED, int32(status & 0x7f)
	case status&0x7f != 0:
		return linux.CLD_KILLED, int32(status & 0x7f)
	}
	return linux.CLD_EXITED, int32(status >> 8 & 0xff)
}

// endStatus is the status with which the ending thread ends, in wait(2)'s encoding.
func (t *Thread) endStatus() int {
	p := t.Proc
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.exiting.Load() {
		return p.status
	}
	return t.exitStatus
}

// tick is the unit of clock_t, in ns (sysconf(_SC_CLK_TCK) is 100).
const tick = 10_000_000

// notifyParent tells the parent of a stop or a continuation.
func (p *Process) notifyParent(code int32, sig int) {
	p.table.mu.Lock()
	parent := p.parent
	p.table.mu.Unlock()
	if parent == nil {
		return
	}
	if a := parent.sigHand().Action(int(unix.SIGCHLD)); a.Flags&linux.SA_NOCLDSTOP == 0 {
		info := linux.NewSigInfo(int(unix.SIGCHLD), code)
		user, sys := p.CPUTime()
		info.SetChild(p.PID, p.leader.Creds().UID, int32(sig), user/tick, sys/tick)
		parent.Signal(info)
	}
	parent.childExit.Notify(wait.In)
}

// Wait blocks until the process has ended. It is for the kernel's main goroutine,
// about a process that Start made.
func (p *Process) Wait() ExitInfo {
	<-p.done
	return p.exit()
}

// exit is how the process has ended.
func (p *Process) exit() ExitInfo {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.exitInfo != nil {
		return *p.exitInfo
	}
	if sig := p.status & 0x7f; sig != 0 {
		return ExitInfo{Status: 128 + sig, Signal: signalName(sig), OOM: p.oomKilled.Load()}
	}
	return ExitInfo{Status: p.status >> 8}
}
