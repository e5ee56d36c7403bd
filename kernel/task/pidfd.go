package task

import (
	"sync/atomic"

	"golang.org/x/sys/unix"
	"gosv/abi/linux"
	"gosv/kernel/fs/pidfd"
	"gosv/kernel/fs/procfs"
	"gosv/kernel/fs/signalfd"
	"gosv/kernel/vfs"
	"gosv/kernel/wait"
)

var (
	_ pidfd.Process   = (*Process)(nil)
	_ pidfd.Process   = (*Thread)(nil)
	_ signalfd.Thread = (*Thread)(nil)
)

// Exited reports whether all threads have ended.
func (p *Process) Exited() bool {
	p.table.mu.Lock()
	defer p.table.mu.Unlock()
	return p.zombie
}

// Dying reports whether the process has been killed, or is ending.
func (p *Process) Dying() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.exiting.Load() || p.signals.pending.set.Has(int(unix.SIGKILL))
}

// ExitQueue is told when the process ends.
func (p *Process) ExitQueue() *wait.Queue { return &p.exited }

// LiveID is the PID, -1 once the process was waited for.
func (p *Process) LiveID() int {
	p.table.mu.Lock()
	defer p.table.mu.Unlock()
	if p.table.procs[p.PID] != p {
		return -1
	}
	return p.PID
}

// lastSerial is the last number given out by Serial.
var lastSerial atomic.Uint64

func serial(of *atomic.Uint64) uint64 {
	if of.Load() == 0 {
		of.CompareAndSwap(0, lastSerial.Add(1))
	}
	return of.Load()
}

// Serial is a number that nothing else with an ID has.
func (p *Process) Serial() uint64 { return serial(&p.pidSerial) }

// Serial is a number that nothing else with an ID has: the first thread's is the process's.
func (t *Thread) Serial() uint64 {
	if t == t.Proc.Leader() {
		return t.Proc.Serial()
	}
	return serial(&t.pidSerial)
}

// Exited reports whether the thread has ended.
func (t *Thread) Exited() bool {
	tab := t.Proc.table
	tab.mu.Lock()
	defer tab.mu.Unlock()
	return tab.tasks[t.TID] != t
}

// ExitQueue is told when a thread of the process ends.
func (t *Thread) ExitQueue() *wait.Queue { return &t.Proc.exited }

// LiveID is the thread's ID, -1 once it is gone; a first thread stays until the process was waited for.
func (t *Thread) LiveID() int {
	if t == t.Proc.Leader() {
		return t.Proc.LiveID()
	}
	if t.Exited() {
		return -1
	}
	return t.TID
}

// ThreadOf returns the thread that a descriptor with PIDFD_THREAD refers to, nil for other files.
func ThreadOf(f *vfs.File) *Thread {
	t, _ := pidfd.Of(f).(*Thread)
	return t
}

// ProcessOf returns the process that a file refers to: a descriptor of pidfd_open(2),
// or with directories also /proc/PID. It is nil for other files.
func ProcessOf(f *vfs.File, directories bool) *Process {
	switch p := pidfd.Of(f).(type) {
	case *Process:
		return p
	case *Thread:
		return p.Proc
	}
	if directories {
		if d, ok := procfs.DirectoryOf(f).(procProcess); ok {
			return d.p
		}
	}
	return nil
}

// TakeSignal removes a pending signal of set, the thread's own or the process's.
func (t *Thread) TakeSignal(set linux.SigSet) (linux.SigInfo, bool) {
	p := t.Proc
	p.mu.Lock()
	info, ok := t.dequeue(set)
	if ok {
		t.recalc()
	}
	p.mu.Unlock()
	return info, ok
}

// HasSignal reports whether a signal of set is pending.
func (t *Thread) HasSignal(set linux.SigSet) bool {
	t.Proc.mu.Lock()
	defer t.Proc.mu.Unlock()
	return (t.sig.pending.set|t.Proc.signals.pending.set)&set != 0
}

// SignalQueue is told when a signal of the process becomes pending.
func (t *Thread) SignalQueue() *wait.Queue { return &t.Proc.signalfd }

// Files returns the descriptors of the process, retained; nil once it has ended.
func (p *Process) Files() *vfs.FDTable {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.threads) == 0 {
		return nil
	}
	f := p.threads[0].Files
	f.Retain()
	return f
}
