// Package task is the program's processes and threads: their life, signals, futexes, clocks and timers.
//
// A thread is a goroutine that runs ring 3 in a loop (run.go). A process is a thread group; everything that clone(2)
// can share is an object of its own to which threads refer.
//
// Lock order:
//
//	timers.mu           a process's POSIX and interval timers, while they fire too
//	Table.mu            the tree of processes, and who is in it
//	  Process.mu        a process's threads, pending signals and masks (Linux's siglock)
//	    SigHand.mu      signal actions
//	    wait queues
//	futex bucket        (two of them in address order), then mm's locks
//	  piMu              who waits for whose PI futex
//	    package sched's lock, which every wake-up takes while that is on
package task

import (
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
	"gosv/abi/linux"
	"gosv/kernel/cpu"
	"gosv/kernel/loader"
	"gosv/kernel/mm"
	"gosv/kernel/seccomp"
	"gosv/kernel/vfs"
	"gosv/kernel/wait"
)

// A Thread is one thread of the program: a task of Linux.
type Thread struct {
	wait.Sleeper

	TID   int
	Proc  *Process
	Ctx   *cpu.Context
	MM    *mm.AddressSpace
	Files *vfs.FDTable
	FS    *vfs.FSContext

	// SyscallNr and SyscallArgs are the call being served; SyscallNr is -1
	// otherwise, and after rt_sigreturn.
	SyscallNr   int
	SyscallArgs [6]uint64

	// work says what is to be done before the thread returns to ring 3, callWork
	// what before a system call of it is served.
	work, callWork atomic.Uint32

	creds   atomic.Pointer[vfs.Creds]
	seccomp atomic.Pointer[seccomp.State]
	comm    atomic.Pointer[string]

	sig      threadSignals
	ptrace   tracing
	frameBuf *frameBuffer
	clock    cpuClock
	futex    futexWaiter
	pi       inheritance
	restart  restartBlock

	clearTID   uint64 // CLONE_CHILD_CLEARTID, set_tid_address(2)
	robustList uint64 // set_robust_list(2)
	affinity   atomic.Uint64
	pinned     uint64 // what the goroutine was pinned to; 0 is everything
	schedule   schedule
	slack      atomic.Uint64 // timer slack in ns (prctl(2))
	makerSlack atomic.Uint64 // that of the thread's maker when that made it
	ioPriority atomic.Uint32
	switches   atomic.Uint64 // how often the thread blocked
	IO         IOCounts
	Operand    any           // package syscalls' memory operand, while it is not in use
	Acting     *Acting       // of a Proxy
	Rings      any           // package uring's registered rings of the thread
	faults     atomic.Uint64 // page faults resolved
	state      atomic.Uint32

	vfork      atomic.Pointer[vforkWait] // the parent that waits for exec or exit
	inDump     bool                      // the thread waits for the core file; guarded by Process.mu
	exitStatus int                       // status of exit(2), in wait(2)'s encoding

	pidSerial atomic.Uint64 // of Serial
}

// Values of Thread.state, for /proc.
const (
	stateRunning = iota
	stateStopped
	stateTraced // stopped for its tracer
	stateDead
)

func (t *Thread) setState(s uint32) { t.state.Store(s) }

// Bits of Thread.work.
const (
	workSignal = 1 << iota // a signal may be deliverable
	workExit               // the thread must end: exit_group, exec in another thread
	workStop               // the group is stopped
	workMask               // a saved signal mask is to be restored
	workPin                // the CPU affinity has changed
	workTrap               // the tracer wants a stop, or to hear of the end of one
	workTraced             // the tracer wants to see the end of a system call
	workGate               // the thread has no slot of package sched: see awaitTurn
)

// A Process is a thread group.
type Process struct {
	PID int

	pidSerial atomic.Uint64 // of Serial

	// mu guards the threads, the signals and the fields up to the next blank line.
	mu          sync.Mutex
	threads     []*Thread
	leader      *Thread
	signals     processSignals
	clock       processClock
	status      int // wait status, once exiting is set or the leader has ended
	exitInfo    *ExitInfo
	fatal       *linux.SigInfo // the signal that ended the process when it was sent, until strace has seen it
	lastStatus  atomic.Int32   // exitStatus of the thread that began to end last, the status unless exiting is set
	aloneWaiter *Thread        // execve waits until it is the only thread, see single
	dump        *coreDump

	kernel  bool     // it is the kernel's own: StartUnderInit
	program *Process // what runs below it

	table       *Table   // whose mu guards the fields up to the next blank line
	parent      *Process // through setParent
	ppid        atomic.Int32
	children    []*Process
	io          IOCounts // of threads that have ended; guarded by mu
	pgid, sid   int
	zombie      bool
	announced   bool // the parent was told that it is one
	deadTracees int  // threads whose end a tracer has not waited for
	makerTID    int  // the thread that made the process
	execed      bool
	exitSignal  int

	hand        atomic.Pointer[SigHand]
	exe         atomic.Pointer[vfs.File]
	args        atomic.Pointer[loader.Layout]
	limits      limits
	timers      timers
	exiting     atomic.Bool
	oomKilled   atomic.Bool
	holds       atomic.Int64 // bytes on the Go heap, see Hold
	dumpable    atomic.Int32
	oomScoreAdj atomic.Int32
	parentDeath atomic.Int32  // prctl(2), PR_SET_PDEATHSIG
	coreFilter  atomic.Uint32 // /proc/PID/coredump_filter
	subreaper   atomic.Bool   // prctl(2), PR_SET_CHILD_SUBREAPER
	membarrier  atomic.Uint32
	personality atomic.Uint32

	childExit wait.Queue    // told when a child ends, stops or goes on
	exited    wait.Queue    // told when the process ends
	signalfd  wait.Queue    // told when a signal is queued
	done      chan struct{} // closed at the end of the process
	startTime int64         // on cpu.Nanotime's clock
}

func newProcess(tab *Table) *Process {
	p := &Process{table: tab, done: make(chan struct{}), startTime: cpu.Nanotime()}
	p.dumpable.Store(1)
	p.coreFilter.Store(linux.DumpDefault)
	return p
}

// Creds are the thread's credentials; they never change in place.
func (t *Thread) Creds() *vfs.Creds { return t.creds.Load() }

// SetCreds replaces the thread's credentials.
func (t *Thread) SetCreds(c *vfs.Creds) {
	old := t.creds.Swap(c)
	if old != nil && old.Has(unix.CAP_IPC_LOCK) != c.Has(unix.CAP_IPC_LOCK) {
		t.Proc.applyLimits() // RLIMIT_MEMLOCK binds those without
	}
}

// Comm is the thread's name, at most 15 bytes.
func (t *Thread) Comm() string { return *t.comm.Load() }

// SetComm names the thread (prctl PR_SET_NAME, exec).
func (t *Thread) SetComm(name string) {
	if len(name) > 15 {
		name = name[:15]
	}
	t.comm.Store(&name)
}

// SignalMask is the set of signals that the thread blocks.
func (t *Thread) SignalMask() linux.SigSet { return t.sig.mask }

// Caller is on whose behalf the thread's file operations are.
func (t *Thread) Caller() vfs.Caller {
	return vfs.Caller{Creds: t.creds.Load(), Sleeper: &t.Sleeper, Task: t}
}

// NewThread is for tests of other packages: a thread that runs nothing.
func NewThread(as *mm.AddressSpace, files *vfs.FDTable, fs *vfs.FSContext) *Thread {
	p := newProcess(Tasks)
	p.limits.init()
	p.hand.Store(new(SigHand))
	t := &Thread{Proc: p, MM: as, Files: files, FS: fs, Ctx: cpu.NewContext()}
	t.init()
	t.creds.Store(&vfs.RootCreds)
	t.SetComm("test")
	p.leader, p.threads = t, []*Thread{t}
	return t
}
