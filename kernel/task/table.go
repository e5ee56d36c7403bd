package task

import (
	"slices"
	"sync"

	"golang.org/x/sys/unix"
	"gosv/kernel/cpu"
	"gosv/kernel/sysctl"
)

// Table is the processes and threads by their IDs: a PID namespace.
type Table struct {
	// mu guards the map, and the tree in the processes.
	mu    sync.Mutex
	tasks map[int]*Thread
	procs map[int]*Process // zombies too
	// zombies is how many of them have ended and were not waited for.
	zombies int
	last    int
	// chosen says that clone3(2) has given an ID on request.
	chosen bool
	forks  uint64
	init   *Process
	// ended is what threads that have ended used.
	ended struct {
		user, system int64 // ns
		switches     uint64
	}
}

// Tasks is the table of all programs.
var Tasks = &Table{tasks: map[int]*Thread{}, procs: map[int]*Process{}}

// Bounds of IDs (PID_MAX_LIMIT, RESERVED_PIDS). After the first round the IDs
// start behind those of a machine's first processes.
const (
	maxPID      = 1 << 22
	reservedPID = 300
)

// pidMax is kernel.pid_max: one more than the highest ID that is given out.
var pidMax sysctl.Int32 = maxPID

// setPIDMax changes it. IDs may be given a second time earlier from then on.
func setPIDMax(_ int, v int32) error {
	Tasks.mu.Lock()
	Tasks.chosen = true
	pidMax.Store(v)
	Tasks.mu.Unlock()
	return nil
}

// newID returns an ID that no thread, process, group or session has, 0 if all are
// in use. mu is held.
func (tab *Table) newID() int {
	most := int(pidMax.Load())
	for rounds := 0; ; {
		tab.last++
		if tab.last >= most {
			if rounds++; rounds > 1 {
				return 0
			}
			tab.last = reservedPID
		}
		if id := tab.last; !tab.used(id) {
			return id
		}
	}
}

// used reports whether an ID is a thread's, a process's, a group's or a session's.
// mu is held.
func (tab *Table) used(id int) bool {
	if tab.tasks[id] != nil || tab.procs[id] != nil {
		return true
	}
	if tab.forks <= maxPID-reservedPID && !tab.chosen {
		return false // no ID has been given a second time yet
	}
	for _, p := range tab.procs {
		if p.pgid == id || p.sid == id {
			return true
		}
	}
	return false
}

// Thread returns the thread with this ID, or nil.
func (tab *Table) Thread(tid int) *Thread {
	tab.mu.Lock()
	defer tab.mu.Unlock()
	return tab.tasks[tid]
}

// Process returns the process with this ID, zombies included, or nil.
func (tab *Table) Process(pid int) *Process {
	tab.mu.Lock()
	defer tab.mu.Unlock()
	return tab.procs[pid]
}

// Processes returns all processes in the order of their IDs.
func (tab *Table) Processes() []*Process {
	tab.mu.Lock()
	defer tab.mu.Unlock()
	ps := make([]*Process, 0, len(tab.procs))
	for _, p := range tab.procs {
		ps = append(ps, p)
	}
	slices.SortFunc(ps, func(a, b *Process) int { return a.PID - b.PID })
	return ps
}

// Group returns the processes of a process group.
func (tab *Table) Group(pgid int) (ps []*Process) {
	for _, p := range tab.Processes() {
		if p.PGID() == pgid {
			ps = append(ps, p)
		}
	}
	return ps
}

// PPID is the parent's PID, 0 for the first process.
func (p *Process) PPID() int { return int(p.ppid.Load()) }

// setParent makes o the parent of p; nil is none. table.mu is held.
func (p *Process) setParent(o *Process) {
	p.parent = o
	if o == nil {
		p.ppid.Store(0)
	} else {
		p.ppid.Store(int32(o.PID))
	}
}

// PGID is the process group.
func (p *Process) PGID() int {
	p.table.mu.Lock()
	defer p.table.mu.Unlock()
	return p.pgid
}

// SID is the session.
func (p *Process) SID() int {
	p.table.mu.Lock()
	defer p.table.mu.Unlock()
	return p.sid
}

// SetPGID is setpgid(2): pid 0 is the caller, pgid 0 the process's own ID.
func (p *Process) SetPGID(pid, pgid int) error {
	tab := p.table
	tab.mu.Lock()
	defer tab.mu.Unlock()
	q := p
	if pid != 0 && pid != p.PID {
		q = tab.procs[pid]
		if q == nil || q.parent != p {
			return unix.ESRCH
		}
		if q.sid != p.sid {
			return unix.EPERM
		}
		if q.execed {
			return unix.EACCES
		}
	}
	if pgid < 0 {
		return unix.EINVAL
	}
	if pgid == 0 {
		pgid = q.PID
	}
	if q.sid == q.PID {
		return unix.EPERM
	}
	if pgid != q.PID {
		found := false
		for _, o := range tab.procs {
			found = found || o.pgid == pgid && o.sid == q.sid
		}
		if !found {
			return unix.EPERM
		}
	}
	q.pgid = pgid
	return nil
}

// SetSID is setsid(2).
func (p *Process) SetSID() (int, error) {
	tab := p.table
	tab.mu.Lock()
	defer tab.mu.Unlock()
	for _, o := range tab.procs {
		if o.pgid == p.PID {
			return 0, unix.EPERM
		}
	}
	p.sid, p.pgid = p.PID, p.PID
	return p.sid, nil
}

// Threads returns the threads that have not ended.
func (p *Process) Threads() []*Thread {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.threads)
}

// Leader is the process's first thread; it may have ended.
func (p *Process) Leader() *Thread {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.leader
}

// StartTime is when the process began, on cpu.Nanotime's clock.
func (p *Process) StartTime() int64 { return p.startTime }

// allCPUs is the affinity mask of a machine with n CPUs.
func allCPUs() uint64 { return 1<<cpu.NumCPU() - 1 }
