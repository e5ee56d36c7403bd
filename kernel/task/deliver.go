package task

import (
	"sync/atomic"

	"golang.org/x/sys/unix"
	"gosv/abi/linux"
)

// restartBlock continues an interrupted sleep in restart_syscall(2).
type restartBlock struct {
	fn func(*Thread) (uint64, error)
}

// RestartWith makes restart_syscall(2) call fn, when a call returns
// ERESTART_RESTARTBLOCK.
func (t *Thread) RestartWith(fn func(*Thread) (uint64, error)) error {
	t.restart.fn = fn
	return linux.ERESTART_RESTARTBLOCK
}

// Restart is restart_syscall(2).
func (t *Thread) Restart() (uint64, error) {
	fn := t.restart.fn
	t.restart.fn = nil
	if fn == nil {
		return 0, unix.EINTR
	}
	return fn(t)
}

// handleWork does what is due before ring 3: exit, stop, signals. It returns
// false when the thread is to end.
func (t *Thread) handleWork() bool {
	if t.work.Load()&workTraced != 0 {
		t.traceReturn()
	}
	for {
		w := t.work.Load()
		switch {
		case w&workExit != 0:
			t.leaving()
			return false
		case w&(workStop|workTrap) != 0:
			if !t.trapStop() {
				t.stayStopped()
			}
		case w&workPin != 0:
			t.work.And(^uint32(workPin))
			t.pin()
		case w&workMask != 0 && !t.wasInterrupted():
			t.restoreMask() // the call ended by itself: back to its mask before signals are looked at
		case w&workSignal != 0:
			t.deliverOne()
		case w&workMask != 0:
			t.undoInterruption()
			t.restoreMask()
		case w&workGate != 0:
			t.awaitTurn()
		default:
			t.undoInterruption()
			return true
		}
	}
}

// wasInterrupted reports whether the system call that just ended was broken off
// by a signal.
func (t *Thread) wasInterrupted() bool {
	if t.SyscallNr < 0 {
		return false
	}
	switch t.Ctx.Regs.AX {
	case errnoResult(unix.EINTR), errnoResult(linux.ERESTARTSYS), errnoResult(linux.ERESTARTNOINTR),
		errnoResult(linux.ERESTARTNOHAND), errnoResult(linux.ERESTART_RESTARTBLOCK):
		return true
	}
	return false
}

func errnoResult(e unix.Errno) uint64 { return -uint64(e) }

// undoInterruption makes the interrupted call start again when no handler ran.
func (t *Thread) undoInterruption() {
	if t.SyscallNr < 0 {
		return
	}
	r := &t.Ctx.Regs
	switch r.AX {
	case errnoResult(linux.ERESTARTSYS), errnoResult(linux.ERESTARTNOINTR), errnoResult(linux.ERESTARTNOHAND):
		r.AX = uint64(t.SyscallNr)
		r.IP -= 2
	case errnoResult(linux.ERESTART_RESTARTBLOCK):
		r.AX = unix.SYS_RESTART_SYSCALL
		r.IP -= 2
	}
	t.SyscallNr = -1
}

// interruptFor decides what the interrupted call does now that a handler runs.
func (t *Thread) interruptFor(act *linux.SigAction) {
	if t.SyscallNr < 0 {
		return
	}
	r := &t.Ctx.Regs
	again := false
	switch r.AX {
	case errnoResult(linux.ERESTARTNOINTR):
		again = true
	case errnoResult(linux.ERESTARTSYS):
		again = act.Flags&linux.SA_RESTART != 0
		fallthrough
	case errnoResult(linux.ERESTARTNOHAND), errnoResult(linux.ERESTART_RESTARTBLOCK):
		if !again {
			r.AX = errnoResult(unix.EINTR)
		}
	}
	if again {
		r.AX = uint64(t.SyscallNr)
		r.IP -= 2
	}
	t.SyscallNr = -1
}

// deliverOne takes one signal and acts on it.
func (t *Thread) deliverOne() {
	p := t.Proc
	p.mu.Lock()
	info, ok := t.dequeue(^t.sig.mask)
	t.recalc()
	p.mu.Unlock()
	if !ok {
		return
	}
	if t.traced() && !t.traceSignal(&info) {
		return
	}
	sig := info.Signo()
	h := p.sigHand()
	h.mu.Lock()
	act := h.actions[sig]
	if act.Handler > linux.SIG_IGN && act.Flags&linux.SA_RESETHAND != 0 {
		h.actions[sig].Handler = linux.SIG_DFL
	}
	h.mu.Unlock()
	if tr := tracer.Load(); tr != nil {
		tr.signal(t, &info)
	}
	switch {
	case act.Handler > linux.SIG_IGN:
		stepped := t.endStep()
		t.interruptFor(&act)
		if !t.pushFrame(sig, &act, &info) {
			if sig == int(unix.SIGSEGV) {
				t.forceFatal(sig)
			} else {
				t.forceKernel(int(unix.SIGSEGV)) // its handler may have a stack that is better
			}
			return
		}
		p.mu.Lock()
		mask := t.sig.mask | act.Mask
		if act.Flags&linux.SA_NODEFER == 0 {
			mask |= linux.SigBit(sig)
		}
		t.work.And(^uint32(workMask))
		t.setMask(mask)
		p.mu.Unlock()
		if stepped {
			t.traceHandler()
		}
	case act.Handler == linux.SIG_IGN || ignoredSet.Has(sig):
	case stopSet.Has(sig):
		if sig == int(unix.SIGSTOP) || !p.orphaned() {
			p.stop(sig)
		}
	default:
		t.die(&info)
	}
}

// tracer is told of every signal taken and every thread that ends.
var tracer atomic.Pointer[tracerFuncs]

type tracerFuncs struct {
	signal func(*Thread, *linux.SigInfo)
	exit   func(t *Thread, status int)
}

// SetTracer makes signal be called for each signal that a thread takes, and exit
// for each thread that ends, with its status in wait(2)'s encoding; nil ends it.
func SetTracer(signal func(*Thread, *linux.SigInfo), exit func(*Thread, int)) {
	if signal == nil {
		tracer.Store(nil)
		return
	}
	tracer.Store(&tracerFuncs{signal, exit})
}

// force sends the calling thread a signal that it cannot refuse: if it blocks or
// ignores sig, the action becomes the default (Linux's force_sig_info).
func (t *Thread) force(info *linux.SigInfo) {
	sig := info.Signo()
	p := t.Proc
	p.mu.Lock()
	defer p.mu.Unlock()
	h := p.sigHand()
	h.mu.Lock()
	if h.actions[sig].Handler == linux.SIG_IGN || t.sig.mask.Has(sig) {
		h.actions[sig].Handler = linux.SIG_DFL
		t.sig.mask &^= linux.SigBit(sig)
	}
	h.mu.Unlock()
	t.sig.pending.drop(linux.SigBit(sig))
	t.sig.pending.add(info, nil)
	t.work.Or(workSignal)
}

// forceKernel is force for a signal that comes from the kernel (Linux's force_sig).
func (t *Thread) forceKernel(sig int) {
	info := linux.NewSigInfo(sig, linux.SI_KERNEL)
	t.force(&info)
}

// forceFatal is forceKernel with the handler taken away (Linux's force_fatal_sig).
func (t *Thread) forceFatal(sig int) {
	h := t.Proc.sigHand()
	h.mu.Lock()
	h.actions[sig].Handler = linux.SIG_DFL
	h.mu.Unlock()
	t.forceKernel(sig)
}

// ForceSignal sends the calling thread a signal that it cannot refuse.
func (t *Thread) ForceSignal(info linux.SigInfo) { t.force(&info) }

// orphaned reports whether nobody could continue the process if it stopped at
// the terminal (the process group is orphaned).
func (p *Process) orphaned() bool {
	p.table.mu.Lock()
	defer p.table.mu.Unlock()
	return p.table.groupOrphaned(p.pgid, nil)
}

// killed reports a pending SIGKILL.
func (t *Thread) killed() bool {
	t.Proc.mu.Lock()
	defer t.Proc.mu.Unlock()
	return t.killPending()
}
