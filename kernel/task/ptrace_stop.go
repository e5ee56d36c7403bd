package task

import (
	"golang.org/x/sys/unix"
	"gosv/abi/linux"
	"gosv/kernel/cpu"
	"gosv/kernel/wait"
)

// Bits of Thread.callWork: who wants to see the thread's system calls first.
const (
	callSeccomp = 1 << iota
	callTrace   // the tracer, before and after (PTRACE_SYSCALL)
	callEmulate // the tracer, instead of the kernel (PTRACE_SYSEMU)
)

// CallWork is not zero if somebody wants to see the thread's system calls before
// they are served.
func (t *Thread) CallWork() uint32 { return t.callWork.Load() }

// traceStop stops the thread for its tracer: code is what wait(2) tells above the
// lowest byte, why the code of SIGCHLD, info what PTRACE_GETSIGINFO shows. It
// returns the signal with which the tracer lets the thread go on; stopped is
// false if it has no tracer, or has been killed.
func (t *Thread) traceStop(code int, why int32, info *linux.SigInfo, message uint64) (sig int, stopped bool) {
	t.Ctx.Release() // the tracer reads the registers from memory
	t.Proc.mu.Lock()
	return t.traceStopLocked(code, why, info, message)
}

// traceStopLocked is traceStop once the context is released and p.mu is held, which it gives back.
func (t *Thread) traceStopLocked(code int, why int32, info *linux.SigInfo, message uint64) (sig int, stopped bool) {
	p, x := t.Proc, &t.ptrace
	ending := t.work.Load()&workExit != 0 // PTRACE_EVENT_EXIT stops although the thread must end
	tracer := x.tracer.Load()
	if tracer == nil || t.killPending() || ending && code>>8 != unix.PTRACE_EVENT_EXIT {
		p.mu.Unlock()
		return 0, false
	}
	t.endStep()
	t.work.And(^uint32(workTrap))
	x.stopped, x.listening = true, false
	x.report, x.signal, x.info, x.message = code, 0, info, message
	t.setState(stateTraced)
	t.untrap()
	all := why == linux.CLD_STOPPED && p.signals.stopped && t.stopDone()
	p.mu.Unlock()

	if all {
		p.tellStop()
	}
	tracer.Proc.tellTracer(t, code, why)
	for {
		t.Clear()
		p.mu.Lock()
		w := t.work.Load()
		done := !x.stopped || t.killPending() || !ending && w&workExit != 0 || x.listening && w&workTrap != 0
		p.mu.Unlock()
		if done {
			break
		}
		t.SleepUninterruptible(0)
	}

	x.use.Lock()
	p.mu.Lock()
	sig = x.signal
	x.stopped, x.listening = false, false
	x.report, x.signal, x.info, x.message = 0, 0, nil, 0
	t.setState(stateRunning)
	t.recalc() // the tracer may have changed the mask
	p.mu.Unlock()
	x.use.Unlock()
	return sig, true
}

// killPending reports a pending SIGKILL. p.mu is held.
func (t *Thread) killPending() bool {
	return (t.sig.pending.set | t.Proc.signals.pending.set).Has(int(unix.SIGKILL))
}

// tellTracer tells p, whose thread traces t, of a stop.
func (p *Process) tellTracer(t *Thread, code int, why int32) {
	if a := p.sigHand().Action(int(unix.SIGCHLD)); a.Handler != linux.SIG_IGN && a.Flags&linux.SA_NOCLDSTOP == 0 {
		user, sys := t.CPUTime()
		info := linux.NewSigInfo(int(unix.SIGCHLD), why)
		info.SetChild(t.TID, t.Creds().UID, int32(code&0x7f), user/tick, sys/tick)
		p.Signal(info)
	}
	p.childExit.Notify(wait.In)
}

// stopInfo is the siginfo of stops that no signal causes.
func (t *Thread) stopInfo(code int) *linux.SigInfo {
	info := linux.NewSigInfo(code&0x7f, int32(code))
	info.SetSender(t.TID, t.Creds().UID)
	return &info
}

// traceSignal is the stop before the delivery of a signal: it returns false if
// the tracer does not want it delivered.
func (t *Thread) traceSignal(info *linux.SigInfo) bool {
	if !t.traced() || info.Signo() == int(unix.SIGKILL) {
		return true
	}
	tracer := t.ptrace.tracer.Load()
	seen := *info
	sig, stopped := t.traceStop(info.Signo(), linux.CLD_TRAPPED, &seen, 0)
	if !stopped {
		return true
	}
	if sig == 0 {
		return false
	}
	*info = seen // PTRACE_SETSIGINFO
	if sig != info.Signo() {
		*info = linux.NewSigInfo(sig, linux.SI_USER)
		if tracer != nil {
			info.SetSender(tracer.TID, tracer.Creds().UID)
		}
	}
	if t.sig.mask.Has(sig) { // blocked meanwhile: it waits
		t.Signal(*info)
		return false
	}
	return true
}

// trapStop stops the thread because its process is stopped, or because the tracer
// has asked for it; it returns false if nobody traces the thread.
func (t *Thread) trapStop() bool {
	p := t.Proc
	t.Ctx.Release()
	p.mu.Lock()
	t.work.And(^uint32(workTrap))
	if !t.traced() {
		p.mu.Unlock()
		return false
	}
	t.work.And(^uint32(workStop))
	// What is told holds until the stop is there: a SIGCONT in between would be told to nobody.
	stopped, sig := p.signals.stopped, p.signals.stopSignal
	switch {
	case t.ptrace.seized:
		if !stopped {
			sig = int(unix.SIGTRAP)
		}
		code := sig | unix.PTRACE_EVENT_STOP<<8
		t.traceStopLocked(code, linux.CLD_STOPPED, t.stopInfo(code), 0)
	case stopped:
		t.traceStopLocked(sig, linux.CLD_STOPPED, nil, 0)
	default:
		t.untrap()
		p.mu.Unlock()
	}
	return true
}

// untrap lets Attach return, which waits for the stop. Process.mu is held.
func (t *Thread) untrap() {
	x := &t.ptrace
	if !x.trapping {
		return
	}
	x.trapping = false
	if o := x.tracer.Load(); o != nil {
		o.Wake()
	}
}

// awaitTrap blocks the tracer until t, which was stopped with its process, is in
// a stop for the tracer: it can be used at once then, as ptrace(2) of Linux has
// it. SIGKILL of either ends the wait.
func (t *Thread) awaitTrap(tracer *Thread) {
	for {
		tracer.Clear()
		t.Proc.mu.Lock()
		trapping := t.ptrace.trapping
		t.Proc.mu.Unlock()
		if !trapping || tracer.SleepKillable(0) == wait.Interrupted {
			return
		}
	}
}

// wantsEvent reports whether the tracer wants to stop at an event, PTRACE_EVENT_*.
func (t *Thread) wantsEvent(event int) bool {
	if !t.traced() {
		return false
	}
	t.Proc.mu.Lock()
	defer t.Proc.mu.Unlock()
	return t.ptrace.options&(1<<event) != 0
}

// traceEvent stops the thread at an event, if the tracer wants that.
func (t *Thread) traceEvent(event int, message uint64) bool {
	if !t.wantsEvent(event) {
		return false
	}
	code := int(unix.SIGTRAP) | event<<8
	t.traceStop(code, linux.CLD_TRAPPED, t.stopInfo(code), message)
	return true
}

// traceExec is the stop of a thread that runs another program now.
func (t *Thread) traceExec(oldTID int) {
	if !t.traced() || t.traceEvent(unix.PTRACE_EVENT_EXEC, uint64(oldTID)) || t.ptrace.seized {
		return
	}
	info := linux.NewSigInfo(int(unix.SIGTRAP), linux.SI_USER)
	info.SetSender(t.Proc.PID, t.Creds().UID)
	t.Signal(info)
}

// cloneEvent is the event of a new thread or process, 0 if the tracer does not
// want to see it.
func (t *Thread) cloneEvent(a *CloneArgs) int {
	event := unix.PTRACE_EVENT_FORK
	switch {
	case a.Flags&unix.CLONE_UNTRACED != 0:
		return 0
	case a.Flags&unix.CLONE_VFORK != 0:
		event = unix.PTRACE_EVENT_VFORK
	case a.ExitSignal != int(unix.SIGCHLD):
		event = unix.PTRACE_EVENT_CLONE
	}
	if !t.wantsEvent(event) {
		return 0
	}
	return event
}

// inherit makes the parent's tracer that of the new thread t, which begins with a
// stop. Table.mu and the parent's Process.mu are held.
func (t *Thread) inherit(parent *Thread) {
	tracer := parent.ptrace.tracer.Load()
	if tracer == nil {
		return
	}
	t.link(tracer, parent.ptrace.seized, parent.ptrace.options)
	if parent.ptrace.seized {
		t.work.Or(workTrap)
		return
	}
	t.sig.pending.set |= linux.SigBit(int(unix.SIGSTOP))
	t.work.Or(workSignal)
}

// traceCall is the stop before or after a system call.
func (t *Thread) traceCall(message uint64) {
	t.Proc.mu.Lock()
	code := int(unix.SIGTRAP)
	if t.ptrace.options&unix.PTRACE_O_TRACESYSGOOD != 0 {
		code |= linux.TraceSysGood
	}
	t.Proc.mu.Unlock()
	info := t.stopInfo(code)
	info.SetSigno(int(unix.SIGTRAP))
	if sig, _ := t.traceStop(code, linux.CLD_TRAPPED, info, message); sig != 0 {
		t.Signal(linux.NewSigInfo(sig, linux.SI_KERNEL))
	}
}

// TraceEntry stops a traced thread before its system call. The tracer may have
// changed the registers then, and the number in SyscallNr. It returns false if
// the call is not to be served.
func (t *Thread) TraceEntry() bool {
	w := t.callWork.Load()
	if w&(callTrace|callEmulate) == 0 {
		return true
	}
	t.Ctx.Regs.AX = errnoResult(unix.ENOSYS)
	t.traceCall(unix.PTRACE_EVENTMSG_SYSCALL_ENTRY)
	return w&callEmulate == 0 && t.work.Load()&workExit == 0 && !t.killed()
}

// TraceSeccomp stops the thread because a filter says SECCOMP_RET_TRACE; false
// means that no tracer wants to know, or that the thread was killed.
func (t *Thread) TraceSeccomp(data uint16) bool {
	if !t.wantsEvent(unix.PTRACE_EVENT_SECCOMP) {
		return false
	}
	t.Ctx.Regs.AX = errnoResult(unix.ENOSYS)
	t.traceEvent(unix.PTRACE_EVENT_SECCOMP, uint64(data))
	return t.work.Load()&workExit == 0 && !t.killed()
}

// traceReturn is the stop after a system call, and the trap of one that was
// stepped over.
func (t *Thread) traceReturn() {
	if t.Ctx.Regs.Vec != cpu.VecSyscall || t.work.Load()&workExit != 0 {
		return
	}
	if t.callWork.Load()&callTrace != 0 {
		t.traceCall(unix.PTRACE_EVENTMSG_SYSCALL_EXIT)
		return
	}
	if t.ptrace.stepping {
		t.endStep()
		info := linux.NewSigInfo(int(unix.SIGTRAP), linux.TRAP_BRKPT)
		info.SetAddr(t.Ctx.Regs.IP)
		t.force(&info)
	}
}

// step makes the thread trap after its next instruction.
func (t *Thread) step() {
	if r := &t.Ctx.Regs; r.Flags&cpu.FlagTF == 0 {
		r.Flags |= cpu.FlagTF
		t.ptrace.stepping = true
	}
}

// endStep takes back step's trap flag, and reports whether it was set. A flag that
// the program has set itself stays.
func (t *Thread) endStep() bool {
	if !t.ptrace.stepping {
		return false
	}
	t.ptrace.stepping = false
	t.Ctx.Regs.Flags &^= cpu.FlagTF
	return true
}

// traceHandler is the stop of a stepped thread at the first instruction of a
// signal handler.
func (t *Thread) traceHandler() {
	code := int(unix.SIGTRAP)
	t.traceStop(code, linux.CLD_TRAPPED, t.stopInfo(code), 0)
}
