package task

import (
	"slices"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
	"gosv/abi/linux"
)

// This file is who traces whom (ptrace(2)); the stops of a traced thread are in
// ptrace_stop.go.

// tracing is a thread's part of ptrace(2).
type tracing struct {
	// tracer changes with Table.mu and Process.mu held; the thread itself and
	// who has one of the two may rely on it.
	tracer  atomic.Pointer[Thread]
	tracees []*Thread // whom the thread traces, the dead that nobody has waited for included; guarded by Table.mu

	// use is held by the tracer while it looks at the stopped thread, which does
	// not go on before. It is taken before all other locks of this package.
	use sync.Mutex

	// Process.mu guards the rest.
	seized    bool
	options   uint32 // PTRACE_O_*
	stopped   bool   // in a stop: the tracer may use the thread
	listening bool   // PTRACE_LISTEN: stopped, but not for the tracer to use
	report    int    // what wait(2) has not told yet, as status>>8; 0 is nothing
	signal    int    // with which the tracer lets it go on
	info      *linux.SigInfo
	message   uint64 // PTRACE_GETEVENTMSG
	stepping  bool   // the trap flag is the tracer's
	trapping  bool   // on the way from the stop of its process to one for the tracer, which waits for it
	dead      bool   // a thread that is not the last has ended, and the tracer has not waited for it
}

// tracees is how many threads are traced; mostly none.
var tracees atomic.Int32

// traced reports whether the thread has a tracer.
func (t *Thread) traced() bool { return t.ptrace.tracer.Load() != nil }

// TracerPID is the process that traces the thread, 0 if none does.
func (t *Thread) TracerPID() int {
	if o := t.ptrace.tracer.Load(); o != nil {
		return o.Proc.PID
	}
	return 0
}

// link makes tracer the tracer of t. Table.mu is held, and Process.mu if others
// can see t.
func (t *Thread) link(tracer *Thread, seized bool, options uint32) {
	t.ptrace.tracer.Store(tracer)
	t.ptrace.seized, t.ptrace.options = seized, options
	tracees.Add(1)
	tracer.ptrace.tracees = append(tracer.ptrace.tracees, t)
}

// unlink ends the tracing of t, which goes on if it is stopped for its tracer.
// Table.mu and Process.mu are held.
func (t *Thread) unlink() {
	x := &t.ptrace
	tracer := x.tracer.Load()
	tracees.Add(-1)
	tracer.ptrace.tracees = slices.DeleteFunc(tracer.ptrace.tracees, func(o *Thread) bool { return o == t })
	t.untrap()
	x.tracer.Store(nil)
	x.seized, x.options, x.report = false, 0, 0
	x.stopped, x.listening = false, false
	t.callWork.And(^uint32(callTrace | callEmulate))
	t.work.And(^uint32(workTraced | workTrap))
	if t.Proc.signals.stopped {
		t.work.Or(workStop)
	}
	t.Wake()
}

// MayTrace is the permission to look into a process and to change it
// (ptrace(2), "Ptrace access mode checking", PTRACE_MODE_ATTACH_REALCREDS).
func (t *Thread) MayTrace(p *Process) bool {
	if p == t.Proc {
		return true
	}
	c, o := t.Creds(), p.Leader().Creds()
	if c.Has(unix.CAP_SYS_PTRACE) {
		return true
	}
	return c.UID == o.EUID && c.UID == o.SUID && c.UID == o.UID && c.GID == o.EGID && c.GID == o.SGID && c.GID == o.GID &&
		p.Dumpable() == 1 && o.Permitted&^c.Permitted == 0
}

// TraceMe is PTRACE_TRACEME: the thread that made this process traces the caller.
func (t *Thread) TraceMe() error {
	p := t.Proc
	tab := p.table
	tab.mu.Lock()
	defer tab.mu.Unlock()
	p.mu.Lock()
	defer p.mu.Unlock()
	if t.traced() || p.parent == nil || p.parent.kernel {
		return unix.EPERM
	}
	maker := tab.tasks[p.makerTID]
	if maker == nil || maker.Proc != p.parent {
		if maker = tab.tasks[p.parent.PID]; maker == nil {
			return nil // the parent is ending: as on Linux, nobody traces
		}
	}
	t.link(maker, false, 0)
	return nil
}

// Attach is PTRACE_ATTACH, and with seize PTRACE_SEIZE. EPERM.
func (t *Thread) Attach(o *Thread, seize bool, options uint32) error {
	p := o.Proc
	if p == t.Proc || p.kernel || !t.MayTrace(p) {
		return unix.EPERM
	}
	tab := p.table
	tab.mu.Lock()
	p.mu.Lock()
	if o.traced() || o.state.Load() == stateDead || o.work.Load()&workExit != 0 || t.work.Load()&workExit != 0 {
		p.mu.Unlock()
		tab.mu.Unlock()
		return unix.EPERM
	}
	o.link(t, seize, options)
	trap := o.state.Load() == stateStopped && o.work.Load()&workStop != 0
	if p.signals.stopped { // from the stop of its process to one of ours
		o.ptrace.trapping = trap
		o.post(workTrap)
		o.Wake()
	}
	p.mu.Unlock()
	tab.mu.Unlock()
	if !seize {
		if err := o.Signal(linux.NewSigInfo(int(unix.SIGSTOP), linux.SI_KERNEL)); err != nil {
			return err
		}
	}
	if trap {
		o.awaitTrap(t)
	}
	return nil
}

// UseTracee begins the use of o by its tracer, the caller: o is stopped until
// TraceeDone. With running it may be in any state. ESRCH if o is not the caller's
// tracee, or not stopped.
func (t *Thread) UseTracee(o *Thread, running bool) error {
	o.ptrace.use.Lock()
	p := o.Proc
	p.mu.Lock()
	x := &o.ptrace
	ok := x.tracer.Load() == t && !x.dead && o.state.Load() != stateDead && (running || x.stopped && !x.listening)
	p.mu.Unlock()
	if !ok {
		o.ptrace.use.Unlock()
		return unix.ESRCH
	}
	return nil
}

// TraceeDone ends what UseTracee began.
func (t *Thread) TraceeDone() { t.ptrace.use.Unlock() }

// The methods below are for the tracer, between UseTracee and TraceeDone.

// How a tracee goes on.
const (
	GoOn        = 0
	StopAtCalls = 1 << iota // PTRACE_SYSCALL
	StepOnce                // PTRACE_SINGLESTEP
	EmulateCall             // PTRACE_SYSEMU
)

// Resume lets the thread go on, with a signal unless that is 0.
func (t *Thread) Resume(how, sig int) {
	p := t.Proc
	p.mu.Lock()
	defer p.mu.Unlock()
	x := &t.ptrace
	t.callWork.And(^uint32(callTrace | callEmulate))
	t.work.And(^uint32(workTraced))
	if how&StopAtCalls != 0 {
		t.callWork.Or(callTrace)
		t.work.Or(workTraced)
	}
	if how&EmulateCall != 0 {
		t.callWork.Or(callEmulate)
	}
	if how&StepOnce != 0 {
		t.work.Or(workTraced)
		t.step()
	}
	x.signal, x.report = sig, 0
	x.stopped = false
	t.Wake()
}

// Detach ends the tracing; the thread goes on with a signal unless that is 0.
func (t *Thread) Detach(sig int) {
	p := t.Proc
	p.table.mu.Lock()
	p.mu.Lock()
	t.ptrace.signal = sig
	t.unlink()
	p.mu.Unlock()
	p.table.mu.Unlock()
}

// SetTraceOptions is PTRACE_SETOPTIONS.
func (t *Thread) SetTraceOptions(options uint32) {
	t.Proc.mu.Lock()
	t.ptrace.options = options
	t.Proc.mu.Unlock()
}

// TraceMessage is PTRACE_GETEVENTMSG.
func (t *Thread) TraceMessage() uint64 { return t.ptrace.message }

// StopInfo is the signal of the stop, nil in the stop of a whole process.
func (t *Thread) StopInfo() *linux.SigInfo { return t.ptrace.info }

// InterruptTracee is PTRACE_INTERRUPT; EIO if the thread was not seized.
func (t *Thread) InterruptTracee() error {
	p := t.Proc
	p.mu.Lock()
	defer p.mu.Unlock()
	if !t.ptrace.seized {
		return unix.EIO
	}
	t.post(workTrap)
	t.Wake()
	return nil
}

// Listen is PTRACE_LISTEN; EIO unless the thread was seized and is in a stop of
// the whole process, or of PTRACE_INTERRUPT.
func (t *Thread) Listen() error {
	p := t.Proc
	p.mu.Lock()
	defer p.mu.Unlock()
	x := &t.ptrace
	if !x.seized || x.info == nil || x.info.Code()>>8 != unix.PTRACE_EVENT_STOP {
		return unix.EIO
	}
	x.listening = true
	t.Wake() // something may have happened since the stop
	return nil
}

// SetTraceeMask is PTRACE_SETSIGMASK.
func (t *Thread) SetTraceeMask(set linux.SigSet) {
	t.Proc.mu.Lock()
	t.work.And(^uint32(workMask))
	t.setMask(set)
	t.Proc.mu.Unlock()
}

// TraceeMask is PTRACE_GETSIGMASK.
func (t *Thread) TraceeMask() linux.SigSet {
	if t.work.Load()&workMask != 0 {
		return t.sig.saved
	}
	return t.sig.mask
}

// PeekSignals is PTRACE_PEEKSIGINFO: the signals that wait for the thread, or for
// its process, from the index off on.
func (t *Thread) PeekSignals(process bool, off uint64, n int) []linux.SigInfo {
	t.Proc.mu.Lock()
	defer t.Proc.mu.Unlock()
	q := t.sig.pending.queue
	if process {
		q = t.Proc.signals.pending.queue
	}
	if off >= uint64(len(q)) {
		return nil
	}
	q = q[off:]
	list := make([]linux.SigInfo, min(n, len(q)))
	for i := range list {
		list[i] = q[i].SigInfo
	}
	return list
}

// leaveTracees is what a tracer's end means for those it traces: they go on, or
// with PTRACE_O_EXITKILL die. It returns the processes that have ended and now
// are their parents' to wait for. Table.mu is held.
func (t *Thread) leaveTracees() (ended []*Process) {
	for _, o := range slices.Clone(t.ptrace.tracees) {
		p := o.Proc
		p.mu.Lock()
		kill := o.ptrace.options&unix.PTRACE_O_EXITKILL != 0
		o.unlink()
		if kill {
			go p.Signal(linux.NewSigInfo(int(unix.SIGKILL), linux.SI_KERNEL))
		}
		if o.ptrace.dead {
			o.ptrace.dead = false
			p.deadTracees--
			p.wakeSingle()
		}
		if p.zombie && p.deadTracees == 0 && !p.leader.traced() {
			ended = append(ended, p)
		}
		p.mu.Unlock()
	}
	return ended
}

// tracedByStranger reports whether the tracer may not have what a set-user-ID
// program gives.
func (t *Thread) tracedByStranger() bool {
	o := t.ptrace.tracer.Load()
	return o != nil && !o.Creds().Has(unix.CAP_SYS_PTRACE)
}
