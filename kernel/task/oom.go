package task

import (
	"strconv"
	"sync"
	"time"

	"golang.org/x/sys/unix"
	"gosv/abi/linux"
	"gosv/kernel/cpu"
	"gosv/kernel/frame"
	"gosv/kernel/mm"
	"gosv/kernel/trace"
	"gosv/kernel/vfs"
)

// oomPatience is how long memory is waited for after a process was killed. It is long because a machine can be slow; it
// ends because the process's threads may be stuck where whoever asks for memory holds a lock.
const oomPatience = 30 * time.Second

func init() { mm.SetKiller(Tasks.killForMemory) }

// aftermath is for how long after a kill the first process is not chosen: the machine ends with it.
const aftermath = 2 * time.Second

// lastKill is when a process was killed last, guarded by oomMu.
var lastKill = -int64(aftermath)

// oomMu lets one process after the other be killed: the memory of the first
// mostly serves all who wait.
var oomMu sync.Mutex

// killForMemory ends the process that holds the most memory, so that there is some for
// asking, and waits for its end. It reports whether asking should try
// again; false if the process that asks is the one to go, which has its SIGKILL then, and when there is none to go.
func (tab *Table) killForMemory(asking *mm.AddressSpace) bool {
	asker := tab.user(asking)
	if !oomMu.TryLock() {
		// Whoever is to go must not wait here: it is waited for.
		for !oomMu.TryLock() {
			if asker.goes() {
				return false
			}
			time.Sleep(time.Millisecond)
		}
		oomMu.Unlock()
		return true // somebody went meanwhile
	}
	defer oomMu.Unlock()
	if asker.goes() {
		return false
	}
	victim := tab.leaving()
	if victim == nil {
		if victim = tab.worst(); victim == nil {
			return false
		}
		if victim == tab.init && cpu.Nanotime()-lastKill < int64(aftermath) {
			time.Sleep(aftermath / 40)
			return true // what the last one had is garbage that may not be collected yet
		}
		line := victim.oomLine()
		if victim != asker {
			line += "; " + asker.name() + " asked for memory"
		}
		trace.Line(line)
		victim.oomKilled.Store(true)
		lastKill = cpu.Nanotime()
		if victim.Signal(linux.NewSigInfo(int(unix.SIGKILL), linux.SI_KERNEL)) != nil || victim == asker {
			return false
		}
	}
	// No ticker: it would bring in package time's formats and zones, 50 KiB of the kernel.
	for end := cpu.Nanotime() + int64(oomPatience); cpu.Nanotime() < end && !asker.goes(); {
		time.Sleep(time.Millisecond)
		select {
		case <-victim.done:
			return true
		default:
			if frame.Plenty() {
				return true
			}
		}
	}
	return false
}

// goes reports whether the process ends already or was told to, for want of memory or otherwise. It is false of no process.
func (p *Process) goes() bool { return p != nil && (p.exiting.Load() || p.oomKilled.Load()) }

// leaving is a process that goes and whose memory is not free yet: nobody else need go before it is (oom_evaluate_task in Linux
// waits for its victims, too).
func (tab *Table) leaving() *Process {
	for _, p := range tab.Processes() {
		if p.goes() && p.holdsMemory() {
			return p
		}
	}
	return nil
}

// holdsMemory reports whether a process has anonymous memory, or is giving it back: its last thread has left the list by then.
func (p *Process) holdsMemory() bool {
	select {
	case <-p.done:
		return false
	default:
	}
	as := p.Space()
	if as == nil {
		return true
	}
	defer as.Release()
	return as.Counters().Anon > 0
}

// user is the process that uses an address space, or nil.
func (tab *Table) user(as *mm.AddressSpace) *Process {
	for _, p := range tab.Processes() {
		if own := p.Space(); own != nil {
			own.Release()
			if own == as {
				return p
			}
		}
	}
	return nil
}

// worst is the living process that killing pays most: the one that holds the most memory, as
// /proc/PID/oom_score_adj shifts it. The first process is chosen only when no other can be: the machine ends with it.
func (tab *Table) worst() (victim *Process) {
	worst := int64(0)
	for _, p := range tab.Processes() {
		score := p.badness()
		if score == 0 {
			continue
		}
		if victim == nil || victim == tab.init || score > worst && p != tab.init {
			victim, worst = p, score
		}
	}
	return victim
}

// badness is the memory in pages that the end of the process gives back, with oom_score_adj as
// thousandths of all memory; 0 for one that must not be killed or is ending already
// (proc_pid_oom_score_adj(5)).
func (p *Process) badness() int64 {
	adj := int64(p.oomScoreAdj.Load())
	if adj == -1000 || p.exiting.Load() {
		return 0
	}
	as := p.Space()
	if as == nil {
		return 0
	}
	defer as.Release()
	c := as.Counters()
	pages := (int64(c.Anon+c.File+c.Tables) + p.held(c.Areas)) / frame.Size
	return max(pages+adj*int64(frame.Total())/1000, 1)
}

// What the objects of a process take on the Go heap, in bytes, about.
const (
	threadCost = 16 << 10 // the thread, its goroutine's stack, its registers
	areaCost   = 160
	// A process that has ended and was not waited for.
	processCost = 4 << 10
)

// deadChildren is how many children of p wait to be waited for.
func (tab *Table) deadChildren(p *Process) (n int) {
	tab.mu.Lock()
	defer tab.mu.Unlock()
	if tab.zombies == 0 {
		return 0
	}
	for _, c := range p.children {
		if c.zombie {
			n++
		}
	}
	return n
}

// Hold counts n bytes that a call of the process has on the Go heap while it lasts, if they are many.
func (p *Process) Hold(n int64) { p.holds.Add(n) }

// held is how many bytes the kernel keeps for the process: threads, areas, and what its open files hold, as pages of pipes and
// memory without a name, messages in sockets, watched files. What several processes share counts for each of them: it is free
// when the last one has gone.
func (p *Process) held(areas int) int64 {
	n := p.holds.Load() + int64(areas)*areaCost + int64(p.table.deadChildren(p))*processCost
	var files *vfs.FDTable
	for _, t := range p.Threads() {
		n += threadCost
		if t.Files != files { // threads with tables of their own are rare
			files = t.Files
			n += files.Held()
		}
	}
	return n
}

// oomLine says which process is killed, and what it had.
func (p *Process) oomLine() string {
	line := "out of memory: killed process " + p.name()
	if as := p.Space(); as != nil {
		c := as.Counters()
		as.Release()
		line += ", anonymous " + strconv.FormatUint(c.Anon>>10, 10) + " kB, files " + strconv.FormatUint(c.File>>10, 10) +
			" kB, page tables " + strconv.FormatUint(c.Tables>>10, 10) + " kB, kernel objects " +
			strconv.FormatInt(p.held(c.Areas)>>10, 10) + " kB, oom_score_adj " + strconv.Itoa(int(p.oomScoreAdj.Load()))
	}
	return line
}

// name is the PID with the command's name.
func (p *Process) name() string {
	if p == nil {
		return "?"
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return strconv.Itoa(p.PID) + " (" + p.leader.Comm() + ")"
}
