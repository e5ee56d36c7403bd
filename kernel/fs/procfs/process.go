// Package procfs is /proc: what a program can read about processes, memory, CPUs and the kernel, in Linux's formats.
//
// Process data comes through the interfaces in this file, which package task
// implements. A Caller's Task is a Thread or, as package task has methods of
// other kinds, a Holder of one: that is how /proc/self finds its way.
package procfs

import (
	"gosv/kernel/mm"
	"gosv/kernel/vfs"
)

// A Holder is a thread of the kernel, which knows how /proc sees it. The Process
// of two Threads of one process must compare as equal.
type Holder interface{ ProcThread() Thread }

// current returns the thread on whose behalf c runs, nil if it is the kernel.
func current(c vfs.Caller) Thread {
	switch t := c.Task.(type) {
	case Thread:
		return t
	case Holder:
		return t.ProcThread()
	}
	return nil
}

// Processes is the table of processes.
type Processes interface {
	// PIDs returns the process IDs in ascending order.
	PIDs() []int
	// Process returns nil if there is none with this ID (zombies are there).
	Process(pid int) Process
	// Counts returns how many threads there are, how many of them can run or
	// run, how many processes were ever made, and the last ID given out.
	Counts() Counts
}

// Counts is what /proc/stat and /proc/loadavg tell about all processes.
type Counts struct {
	Threads, Running, Blocked int
	Forks                     uint64 // processes and threads made since the boot
	Switches                  uint64 // context switches since the boot, 0 if not counted
	LastPID                   int
	User, System              int64     // ns that all threads used that are and were
	Load                      [3]uint64 // load averages, in 1/2048
}

// A Process is a thread group.
type Process interface {
	PID() int
	// Threads returns the thread IDs in ascending order.
	Threads() []int
	// Thread returns nil if there is none with this ID in the process.
	Thread(tid int) Thread
	// Leader returns the thread whose ID is PID, or a stand-in with its last
	// state once it has ended.
	Leader() Thread

	// Exe returns the executable; ok is false if there is none any more. The
	// path is referenced for the caller, who drops it.
	Exe() (p vfs.Path, ok bool)
	// Space returns the address space, retained, or nil for a process without one.
	Space() *mm.AddressSpace
	// Layout returns where things are in the address space.
	Layout() Layout
	// Auxv returns the auxiliary vector as it was given to the program.
	Auxv() []byte
	// Limits returns the resource limits in the order of RLIMIT_*.
	Limits() [16]Limit
	// CoreFilter is coredump_filter.
	CoreFilter() uint32
	SetCoreFilter(uint32)
	// OOMScoreAdj is oom_score_adj, -1000 to 1000.
	OOMScoreAdj() int
	SetOOMScoreAdj(int)

	// IO returns what all threads have read and written.
	IO() IO
	// Children returns the IDs of the children in ascending order.
	Children() []int
	// Timers returns the timers of timer_create(2) in the order of their IDs.
	Timers() []Timer
}

// IO is what read(2), write(2) and their kin moved.
type IO struct {
	ReadBytes, WrittenBytes uint64
	Reads, Writes           uint64 // calls
}

// A Timer is what timer_create(2) made.
type Timer struct {
	ID, Signal int
	Value      uint64
	Notify     int // SIGEV_*
	Target     int // thread of SIGEV_THREAD_ID, else the process
	Clock      int
}

// A Limit is a resource limit; ^uint64(0) is no limit.
type Limit struct{ Soft, Hard uint64 }

// Layout is where the parts of a program are in its address space (see
// prctl(2), PR_SET_MM).
type Layout struct {
	StartCode, EndCode, StartData, EndData uint64
	StartBrk, Brk, StartStack              uint64
	ArgStart, ArgEnd, EnvStart, EnvEnd     uint64
}

// A Thread is one thread.
type Thread interface {
	TID() int
	Process() Process
	Comm() string
	SetComm(string)
	Creds() *vfs.Creds
	// Files returns the descriptor table; nil once the thread has ended.
	Files() *vfs.FDTable
	// FSContext returns root and working directory; nil once the thread has ended.
	FSContext() *vfs.FSContext
	// State fills in the thread's state.
	State(st *State)
	// IO returns what the thread has read and written.
	IO() IO
	// TimerSlack is PR_GET_TIMERSLACK, in ns.
	TimerSlack() uint64
	// SetTimerSlack sets it; 0 is the default.
	SetTimerSlack(ns uint64)
}

// State is what stat, status and schedstat tell about a thread, or, for times
// and signals marked so, about its process.
type State struct {
	State                  byte // R S D T t Z X
	PID, PPID, PGRP, SID   int
	TTY, TTYGroup          int // controlling terminal as in stat, 0 and -1 if there is none
	ExitSignal, ExitStatus int // exit status in wait(2)'s encoding

	Start                int64 // ns since the boot
	UserTime, SystemTime int64 // ns, this thread
	ProcessUser          int64 // ns, all threads that are and were
	ProcessSystem        int64
	ChildUser            int64 // ns, children that were waited for
	ChildSystem          int64

	MinorFaults, MajorFaults           uint64
	ProcessMinorFaults                 uint64 // of all threads that are and were
	ChildMinorFaults, ChildMajorFaults uint64
	Voluntary, Involuntary             uint64 // context switches

	TracerPID               int // process that traces the thread, 0 if none does
	Seccomp, SeccompFilters int // mode of seccomp(2), and the number of filters

	Nice, Priority int // priority as in stat: 20+nice
	Policy         int
	RTPriority     int
	CPU            int      // on which it ran last
	Affinity       []uint64 // bit mask; nil: all CPUs
	Threads        int
	Pending        uint64 // signals, bit n-1 for signal n
	SharedPending  uint64
	Blocked        uint64
	Ignored        uint64
	Caught         uint64
	QueuedSignals  int
	NoNewPrivs     bool
	Dumpable       bool
	Personality    uint32 // personality(2)
	WaitChannel    string // what it waits in, "" if it runs
	Syscall        int64  // number of the call it is in, -1 if none
	SyscallArgs    [6]uint64
	UserSP, UserIP uint64
}
