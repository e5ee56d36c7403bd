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
)

// oomPatience is how long memory is waited for after a process was killed. It is long because a machine can be slow; it
// ends because the process's threads may be stuck where whoever asks for memory holds a lock.
const oomPatience = 30 * time.Second

func init() { mm.SetKiller(Tasks.killForMemory) }

// oomMu lets one process after the other be killed: the memory of the first
// mostly serves all who wait.
var oomMu sync.Mutex

// killForMemory ends the process with the most memory, so that there is some for
// asking, and waits for its end. It reports whether asking should try
// again; false if the process that asks is the one to go, and when no other went.
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
		if victim = tab.worst(); victim == nil || victim == asker {
			return false
		}
		trace.Line(victim.oomLine() + "; " + asker.name() + " asked for memory")
		victim.oomKilled.Store(true)
		if victim.Signal(linux.NewSigInfo(int(unix.SIGKILL), linux.SI_KERNEL)) != nil {
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

// goes reports whether the process ends already or was told to, for want of memory or otherwise. Nobody does not.
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

// worst is the living process that killing pays most: the one with the most memory, as
// /proc/PID/oom_score_adj shifts it.
func (tab *Table) worst() (victim *Process) {
	worst := int64(0)
	for _, p := range tab.Processes() {
		if score := p.badness(); score > worst {
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
	return max(int64((c.Anon+c.Tables)/frame.Size)+adj*int64(frame.Total())/1000, 1)
}

// oomLine says which process is killed, and what it had.
func (p *Process) oomLine() string {
	line := "out of memory: killed process " + p.name()
	if as := p.Space(); as != nil {
		c := as.Counters()
		as.Release()
		line += ", anonymous " + strconv.FormatUint(c.Anon>>10, 10) + " kB, page tables " + strconv.FormatUint(c.Tables>>10, 10) +
			" kB, oom_score_adj " + strconv.Itoa(int(p.oomScoreAdj.Load()))
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
