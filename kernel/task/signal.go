package task

import (
	"slices"
	"sync"

	"golang.org/x/sys/unix"
	"gosv/abi/linux"
)

// SigHand is the table of signal actions that CLONE_SIGHAND shares.
type SigHand struct {
	mu      sync.Mutex
	actions [linux.NSIG + 1]linux.SigAction
}

// Action returns the action for sig.
func (h *SigHand) Action(sig int) linux.SigAction {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.actions[sig]
}

// Clone returns a copy, for fork.
func (h *SigHand) Clone() *SigHand {
	h.mu.Lock()
	defer h.mu.Unlock()
	return &SigHand{actions: h.actions}
}

// forExec returns what execve leaves: handlers become the default, ignored
// signals stay ignored.
func (h *SigHand) forExec() *SigHand {
	h.mu.Lock()
	defer h.mu.Unlock()
	n := new(SigHand)
	for sig := range h.actions {
		if h.actions[sig].Handler == linux.SIG_IGN {
			n.actions[sig].Handler = linux.SIG_IGN
		}
	}
	return n
}

// pending is a queue of signals: one of each standard signal, any number of
// each real-time signal (signal(7)).
type pending struct {
	set   linux.SigSet
	queue []queued
}

// queued is a signal in a queue, with the timer that sent it if one did.
type queued struct {
	linux.SigInfo
	timer *PosixTimer
}

func (q *pending) add(info *linux.SigInfo, m *PosixTimer) {
	q.set |= linux.SigBit(info.Signo())
	q.queue = append(q.queue, queued{*info, m})
}

// take removes the first signal with number sig.
func (q *pending) take(sig int) (info queued) {
	found, more := -1, false
	for i := range q.queue {
		if q.queue[i].Signo() == sig {
			if found >= 0 {
				more = true
				break
			}
			found = i
		}
	}
	if !more {
		q.set &^= linux.SigBit(sig)
	}
	if found < 0 {
		return queued{SigInfo: linux.NewSigInfo(sig, linux.SI_USER)}
	}
	info = q.queue[found]
	q.queue = slices.Delete(q.queue, found, found+1)
	return info
}

// forget removes the signal of a timer.
func (q *pending) forget(m *PosixTimer) {
	q.set &^= linux.SigBit(m.signo)
	kept := q.queue[:0]
	for _, info := range q.queue {
		if info.timer == m {
			continue
		}
		if info.Signo() == m.signo {
			q.set |= linux.SigBit(m.signo)
		}
		kept = append(kept, info)
	}
	clear(q.queue[len(kept):])
	q.queue = kept
}

// drop removes the signals of set.
func (q *pending) drop(set linux.SigSet) {
	if q.set&set == 0 {
		return
	}
	q.set &^= set
	kept := q.queue[:0]
	for _, info := range q.queue {
		switch {
		case !set.Has(info.Signo()):
			kept = append(kept, info)
		case info.timer != nil:
			info.timer.dropped()
		}
	}
	clear(q.queue[len(kept):])
	q.queue = kept
}

// threadSignals is a thread's part of the signal state, guarded by Process.mu;
// mask is written by the thread alone, which may read it without.
type threadSignals struct {
	mask    linux.SigSet
	saved   linux.SigSet // what is restored when workMask is set
	waiting linux.SigSet // what rt_sigtimedwait waits for

	stopping bool // the thread counts in stopLeft
	pending  pending

	alt  altStack
	trap trapState
}

// altStack is what sigaltstack(2) set.
type altStack struct {
	SP, Size uint64
	Flags    uint32
}

// trapState is what the last fault left for sigcontext.
type trapState struct{ No, Err, CR2 uint64 }

// processSignals is a process's part, guarded by Process.mu.
type processSignals struct {
	pending    pending
	stopped    bool // a stop is asked for, or there
	stopSignal int
	stopLeft   int  // threads that have not stopped yet; the parent hears of the stop when there are none
	stopReport bool // a wait4(WUNTRACED) has not seen the stop yet
	contReport bool
}

const (
	unmaskable = linux.SigSet(1<<(unix.SIGKILL-1) | 1<<(unix.SIGSTOP-1))
	stopSet    = linux.SigSet(1<<(unix.SIGSTOP-1) | 1<<(unix.SIGTSTP-1) | 1<<(unix.SIGTTIN-1) | 1<<(unix.SIGTTOU-1))
	contSet    = linux.SigSet(1 << (unix.SIGCONT - 1))

	// synchronous signals are delivered before others, so that their frame has
	// the instruction that caused them.
	synchronous = linux.SigSet(1<<(unix.SIGSEGV-1) | 1<<(unix.SIGBUS-1) | 1<<(unix.SIGILL-1) |
		1<<(unix.SIGTRAP-1) | 1<<(unix.SIGFPE-1) | 1<<(unix.SIGSYS-1))
	coreSet = synchronous | linux.SigSet(1<<(unix.SIGQUIT-1)|1<<(unix.SIGABRT-1)|1<<(unix.SIGXCPU-1)|1<<(unix.SIGXFSZ-1))
	// ignoredSet is what the default action ignores.
	ignoredSet = contSet | linux.SigSet(1<<(unix.SIGCHLD-1)|1<<(unix.SIGWINCH-1)|1<<(unix.SIGURG-1))
)

// ignores reports whether sig would have no effect on p.
func (p *Process) ignores(sig int) bool {
	h := p.sigHand().Action(sig).Handler
	return h == linux.SIG_IGN || h == linux.SIG_DFL && ignoredSet.Has(sig) && sig != int(unix.SIGCONT)
}

// Protected reports whether p is the first process and a signal of another process
// would end or stop it: such a signal has no effect (pid_namespaces(7)). What it
// sends itself, and what comes from outside the machine, has the usual one.
func Protected(p *Process, sig int) bool {
	if p != Init() || p.kernel && !unmaskable.Has(sig) {
		return false
	}
	return unmaskable.Has(sig) || p.sigHand().Action(sig).Handler == linux.SIG_DFL
}

// SigHand is the thread's table of signal actions.
func (t *Thread) SigHand() *SigHand { return t.Proc.sigHand() }

func (p *Process) sigHand() *SigHand { return p.hand.Load() }

// Signal sends a signal to the process; EAGAIN when the queue of a real-time
// signal is full.
func (p *Process) Signal(info linux.SigInfo) error { return p.send(nil, &info) }

// Signal sends a signal to the thread.
func (t *Thread) Signal(info linux.SigInfo) error {
	if a := t.Acting; a != nil {
		if a.Quiet {
			return nil
		}
		return t.Proc.send(nil, &info) // there is no such thread
	}
	return t.Proc.send(t, &info)
}

// SendSignal raises a signal that the kernel itself sends to the calling thread,
// as write(2) does SIGPIPE.
func (t *Thread) SendSignal(sig int) {
	t.Signal(linux.NewSigInfo(sig, linux.SI_USER))
}

// SendSignal sends a signal of the kernel to the process, as a terminal does.
func (p *Process) SendSignal(sig int) { p.Signal(linux.NewSigInfo(sig, linux.SI_KERNEL)) }

func (p *Process) send(t *Thread, info *linux.SigInfo) error {
	sig := info.Signo()
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.threads) == 0 {
		return nil
	}
	target, ignored := p.prepare(t, sig)
	if ignored {
		return nil
	}
	q := &p.signals.pending
	if t != nil && sig != int(unix.SIGKILL) { // which is for all threads
		q = &t.sig.pending
	}
	if sig < linux.SIGRTMIN {
		if q.set.Has(sig) {
			return nil
		}
	} else if uint64(len(q.queue)) >= p.Limit(rlimitSigpending) {
		if info.Code() != linux.SI_USER {
			return unix.EAGAIN
		}
		return nil
	}
	if p.endsAtOnce(t, sig) {
		first := *info
		p.fatal = &first
		p.endLocked(sig, nil)
		return nil
	}
	q.add(info, nil)
	p.announceSignal(target, sig)
	return nil
}

// prepare does what sending sig to the thread t, nil for any, does at once, and
// returns the thread that takes the signal, nil if all block it. ignored means that
// the signal is not to be queued. p.mu is held.
func (p *Process) prepare(t *Thread, sig int) (target *Thread, ignored bool) {
	if p.exiting.Load() && sig != int(unix.SIGKILL) {
		return nil, true
	}
	switch {
	case sig == int(unix.SIGCONT):
		p.dropPending(stopSet)
		p.resume()
	case stopSet.Has(sig):
		p.dropPending(contSet)
	}
	target = t
	if target == nil {
		target = p.receiver(sig)
	}
	blocked := target != nil && (target.sig.mask|target.sig.waiting).Has(sig) ||
		target == nil // all threads block it
	return target, p.ignores(sig) && !blocked && (target == nil || !target.traced() || sig == int(unix.SIGKILL))
}

// announceSignal tells of a signal that was queued for the thread target, nil if
// all block it. p.mu is held.
func (p *Process) announceSignal(target *Thread, sig int) {
	p.signalfd.Notify(1)
	switch {
	case sig == int(unix.SIGKILL):
		for _, o := range p.threads {
			o.post(workSignal)
			o.Wake()
		}
	case target != nil && (!target.sig.mask.Has(sig) || target.sig.waiting.Has(sig)):
		target.post(workSignal)
	}
}

// endsAtOnce reports whether a signal, to t or with nil to the process, ends the
// process when it is sent, and not when a thread takes it: then it ends waits of
// all threads that signals cannot interrupt. These are SIGKILL, and each signal
// whose default action is to end the process without a core file, if a thread can
// take it that has no other to take first, and nobody traces it (complete_signal
// in Linux's kernel/signal.c). p.mu is held.
func (p *Process) endsAtOnce(t *Thread, sig int) bool {
	switch {
	case p.kernel || p.exiting.Load():
		return false
	case sig == int(unix.SIGKILL):
		return true
	case (stopSet | coreSet | ignoredSet).Has(sig) || p.sigHand().Action(sig).Handler != linux.SIG_DFL:
		return false
	case t != nil:
		return t.takesFirst(sig)
	}
	return slices.ContainsFunc(p.threads, func(o *Thread) bool { return o.takesFirst(sig) })
}

// takesFirst reports whether sig would be the next signal that the thread takes.
func (t *Thread) takesFirst(sig int) bool {
	state := t.state.Load()
	return !(t.sig.mask | t.sig.waiting).Has(sig) && t.work.Load()&(workSignal|workExit) == 0 &&
		state != stateStopped && state != stateTraced && !t.traced()
}

// receiver picks a thread that takes sig, the first thread if it can; nil if
// all block it. p.mu is held.
func (p *Process) receiver(sig int) *Thread {
	for _, t := range p.threads {
		if t.sig.waiting.Has(sig) {
			return t
		}
	}
	for _, t := range p.threads {
		if !t.sig.mask.Has(sig) && t.work.Load()&workExit == 0 {
			return t
		}
	}
	return nil
}

func (p *Process) dropPending(set linux.SigSet) {
	p.signals.pending.drop(set)
	for _, t := range p.threads {
		t.sig.pending.drop(set)
	}
}

// post makes the thread look at its work: it interrupts a sleep, and a stay in
// ring 3.
func (t *Thread) post(bit uint32) {
	t.work.Or(bit)
	t.Interrupt()
	t.Ctx.Kick()
}

// interrupted reports whether an interruptible sleep must end.
func (t *Thread) interrupted() bool {
	return t.work.Load()&^(workMask|workPin|workTraced|workGate) != 0
}

// recalc sets or clears workSignal after a change of mask or queue. p.mu is held.
func (t *Thread) recalc() {
	if (t.sig.pending.set|t.Proc.signals.pending.set)&^t.sig.mask != 0 {
		t.work.Or(workSignal)
	} else {
		t.work.And(^uint32(workSignal))
	}
}

// setMask changes the mask of the calling thread. Signals of the process that
// it does not take any more go to another thread. p.mu is held.
func (t *Thread) setMask(mask linux.SigSet) {
	mask &^= unmaskable
	blocked := mask &^ t.sig.mask & t.Proc.signals.pending.set
	t.sig.mask = mask
	if blocked != 0 {
		for sig := 1; sig <= linux.NSIG; sig++ {
			if blocked.Has(sig) {
				if o := t.Proc.receiver(sig); o != nil {
					o.post(workSignal)
				}
			}
		}
	}
	t.recalc()
}

// SetMask is rt_sigprocmask(2); it returns the old mask. EINVAL for a bad how.
func (t *Thread) SetMask(how int, set linux.SigSet) (old linux.SigSet, err error) {
	old = t.sig.mask
	switch how {
	case linux.SIG_BLOCK:
		set |= old
	case linux.SIG_UNBLOCK:
		set = old &^ set
	case linux.SIG_SETMASK:
	default:
		return 0, unix.EINVAL
	}
	if set&^unmaskable == old {
		return old, nil
	}
	t.Proc.mu.Lock()
	t.setMask(set)
	t.Proc.mu.Unlock()
	return old, nil
}

// SetTemporaryMask is for ppoll(2), pselect(2), epoll_pwait(2), rt_sigsuspend(2): set holds until the
// call returns, or until the handler that interrupted it does.
func (t *Thread) SetTemporaryMask(set linux.SigSet) {
	t.Proc.mu.Lock()
	if t.work.Load()&workMask == 0 {
		t.sig.saved = t.sig.mask
		t.work.Or(workMask)
	}
	t.setMask(set)
	t.Proc.mu.Unlock()
}

// restoreMask ends SetTemporaryMask.
func (t *Thread) restoreMask() {
	t.Proc.mu.Lock()
	t.work.And(^uint32(workMask))
	t.setMask(t.sig.saved)
	t.Proc.mu.Unlock()
}

// PendingSignals is rt_sigpending(2).
func (t *Thread) PendingSignals() linux.SigSet {
	t.Proc.mu.Lock()
	defer t.Proc.mu.Unlock()
	return (t.sig.pending.set | t.Proc.signals.pending.set) & t.sig.mask
}

// dequeue takes the next signal of set: a synchronous one first, then the lowest
// number; the thread's own before the process's. It starts the timer again that
// sent the signal. p.mu is held, and given back for a while if a timer sent it.
func (t *Thread) dequeue(set linux.SigSet) (info linux.SigInfo, ok bool) {
	p := t.Proc
	for {
		e, ok := t.unqueue(set)
		if !ok {
			return info, false
		}
		switch m := e.timer; {
		case m != nil:
			m.queued = false
			sent := m.sent
			p.mu.Unlock()
			ok = m.taken(sent, &e.SigInfo)
			p.mu.Lock()
		case e.Signo() == int(unix.SIGALRM):
			p.mu.Unlock()
			p.alarmTaken()
			p.mu.Lock()
		}
		if ok {
			return e.SigInfo, true
		}
	}
}

// unqueue removes from the queues what dequeue returns. p.mu is held.
func (t *Thread) unqueue(set linux.SigSet) (info queued, ok bool) {
	for _, q := range [...]*pending{&t.sig.pending, &t.Proc.signals.pending} {
		ready := q.set & set
		if ready == 0 {
			continue
		}
		if s := ready & (synchronous | linux.SigBit(int(unix.SIGKILL))); s != 0 {
			ready = s
		}
		for sig := 1; ; sig++ {
			if ready.Has(sig) {
				return q.take(sig), true
			}
		}
	}
	return info, false
}

// SetAction is rt_sigaction(2): act may be nil. EINVAL for a bad or unchangeable
// signal.
func (t *Thread) SetAction(sig int, act *linux.SigAction) (old linux.SigAction, err error) {
	if sig < 1 || sig > linux.NSIG || act != nil && unmaskable.Has(sig) {
		return old, unix.EINVAL
	}
	h := t.Proc.sigHand()
	h.mu.Lock()
	old = h.actions[sig]
	if act != nil {
		h.actions[sig] = *act
		h.actions[sig].Mask &^= unmaskable
		h.actions[sig].Flags &= linux.SA_KNOWN
	}
	h.mu.Unlock()
	switch {
	case act == nil:
	case t.Proc.ignores(sig):
		t.Proc.mu.Lock() // POSIX: what is pending and now ignored is forgotten
		t.Proc.dropPending(linux.SigBit(sig))
		t.Proc.mu.Unlock()
	default:
		t.Proc.heedTimers(sig)
	}
	return old, nil
}

// WaitSignal is rt_sigtimedwait(2): it takes a signal of set, waiting until
// deadline (0: for ever, below 0: not at all). EAGAIN, EINTR.
func (t *Thread) WaitSignal(set linux.SigSet, deadline int64) (linux.SigInfo, error) {
	set &^= unmaskable
	p := t.Proc
	p.mu.Lock()
	info, ok := t.dequeue(set)
	if ok || deadline < 0 {
		t.recalc()
		p.mu.Unlock()
		if !ok {
			return info, unix.EAGAIN
		}
		return info, nil
	}
	// While it waits, the signals count as unblocked, so that their arrival
	// interrupts the sleep.
	mask := t.sig.mask
	t.sig.waiting = set
	t.setMask(mask &^ set)
	p.mu.Unlock()
	t.Clear()
	t.Sleep(deadline)
	p.mu.Lock()
	t.sig.waiting = 0
	info, ok = t.dequeue(set)
	t.setMask(mask)
	p.mu.Unlock()
	switch {
	case ok:
		return info, nil
	case t.interrupted():
		return info, unix.EINTR
	}
	return info, unix.EAGAIN
}
