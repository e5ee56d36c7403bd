package task

import (
	"slices"

	"golang.org/x/sys/unix"
	"gosv/abi/linux"
	"gosv/kernel/loader"
	"gosv/kernel/vfs"
	"gosv/kernel/wait"
)

// Exec is execve(2) and execveat(2): the process runs another program. It returns
// nil on the new program's first instruction.
func (t *Thread) Exec(dir *vfs.File, path string, flags int, argv, env []string, name string) error {
	p, oldTID := t.Proc, t.TID
	img, err := loader.Load(&loader.Args{
		Caller: t.Caller(), FS: t.FS, Dir: dir, Path: path, Flags: flags, Name: name, Argv: argv, Env: env,
		StackLimit: p.Limit(unix.RLIMIT_STACK), NoSetID: t.Creds().NoNewPrivs || t.tracedByStranger(),
		NoRandom: p.Personality()&linux.ADDR_NO_RANDOMIZE != 0,
	})
	if err != nil {
		return err
	}
	if !t.becomeAlone() {
		img.MM.Release()
		img.Exe.AllowWrite()
		img.Exe.Release()
		return linux.ERESTARTNOINTR // this thread is ending
	}

	// No way back from here. The parent may learn that by the end of a pipe, or of vfork, and finds these changed then.
	p.table.mu.Lock()
	p.execed = true
	p.exitSignal = int(unix.SIGCHLD) // the parent may know nothing of another one
	p.table.mu.Unlock()
	t.exitRobustList()
	t.leavePI(false)
	t.clearOwnTID()
	p.deleteTimers()
	t.leave(true, true)
	if t.Files.Shared() {
		old := t.Files
		t.Files = old.Clone()
		old.Release()
	}
	t.Files.CloseExec()
	old := t.MM
	if _, rss := old.Peak(); rss != 0 {
		p.mu.Lock()
		p.clock.ended.MaxRSS = max(p.clock.ended.MaxRSS, rss)
		p.mu.Unlock()
	}
	t.MM = img.MM
	t.MM.DisableTHP(old.THPDisabled())
	old.Release()
	t.endVfork()

	p.mu.Lock()
	p.hand.Store(p.hand.Load().forExec())
	t.sig.alt = altStack{}
	t.sig.pending.queue = slices.Clone(t.sig.pending.queue)
	p.mu.Unlock()
	p.dumpable.Store(1)
	if img.Secure {
		p.dumpable.Store(0)
		p.parentDeath.Store(0)
		p.personality.And(^uint32(linux.PER_CLEAR_ON_SETID))
	}
	p.membarrier.Store(0)
	t.restart.fn = nil
	t.become(img)
	p.applyLimits()
	t.traceExec(oldTID)
	return nil
}

// becomeAlone ends the process's other threads and takes over the leader's ID;
// false if the thread itself is to end. Threads that are traced have ended when
// their tracer has waited for them, as on Linux: it hears of them before the exec.
func (t *Thread) becomeAlone() bool {
	p := t.Proc
	p.mu.Lock()
	if p.exiting.Load() || p.aloneWaiter != nil || t.work.Load()&workExit != 0 {
		p.mu.Unlock()
		return false
	}
	killed := false
	if !p.single() {
		p.aloneWaiter = t
		for _, o := range p.threads {
			if o != t {
				o.kill()
			}
		}
		for !p.single() && !killed {
			p.mu.Unlock()
			killed = t.SleepKillable(0) == wait.Interrupted
			p.mu.Lock()
		}
		p.aloneWaiter = nil
	}
	p.mu.Unlock()
	if killed {
		return false
	}

	tab := p.table
	tab.mu.Lock()
	p.mu.Lock()
	ok := !p.exiting.Load()
	if ok && t != p.leader {
		if p.leader.traced() { // it has ended, and nobody hears of it
			p.leader.unlink()
		}
		delete(tab.tasks, t.TID)
		for _, c := range p.children {
			if c.makerTID == t.TID {
				c.makerTID = p.PID
			}
		}
		t.TID = p.PID
		tab.tasks[t.TID] = t
		p.leader = t
	}
	p.mu.Unlock()
	tab.mu.Unlock()
	return ok
}

// single reports whether the process has one thread, and no other that has ended
// but whose tracer has not waited for it. Process.mu is held.
func (p *Process) single() bool { return len(p.threads) == 1 && p.deadTracees == 0 }

// wakeSingle wakes the execve that waits until its thread is the only one.
// Process.mu is held.
func (p *Process) wakeSingle() {
	if o := p.aloneWaiter; o != nil && p.single() {
		o.Wake()
	}
}
