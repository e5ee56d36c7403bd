package task

import (
	"sync/atomic"

	"gosv/kernel/cpu"
)

// cpuClock measures a thread's CPU time. The total is exact: it runs from the
// thread's wake-up to its next sleep or yield. How much of it was the system's
// is exact for the first system calls and page faults, and sampled after that,
// because two clock readings per call would cost a fifth of a short one: every
// 32nd is measured then and stands for all.
type cpuClock struct {
	start atomic.Int64 // since when it runs, 0 while it does not
	total atomic.Int64 // ns until start
	sys   atomic.Int64 // ns, estimated
	user  atomic.Int64 // ns, the most that was told
	calls uint32

	average int64 // of what was measured, in ns
}

const (
	exactCalls  = 1024
	sampleEvery = 32
)

func (c *cpuClock) running() bool { return c.start.Load() != 0 }

func (c *cpuClock) resume() {
	if c.start.Load() == 0 {
		c.start.Store(cpu.Nanotime())
	}
}

func (c *cpuClock) pause() {
	if s := c.start.Load(); s != 0 {
		c.total.Add(cpu.Nanotime() - s)
		c.start.Store(0)
	}
}

// now returns the CPU time used so far, in ns.
func (c *cpuClock) now() int64 {
	n := c.total.Load()
	if s := c.start.Load(); s != 0 {
		n += max(cpu.Nanotime()-s, 0)
	}
	return n
}

func (c *cpuClock) sample() bool {
	c.calls++
	return c.calls%sampleEvery == 0 || c.calls <= exactCalls
}

// measure runs f and counts its time for the system.
func (c *cpuClock) measure(f func()) {
	before := c.now()
	f()
	took := c.now() - before
	c.average += (took - c.average) / 16
	if c.calls > exactCalls {
		// One call that a hypervisor or a garbage collection drew out does not
		// stand for others.
		took = min(took, 8*c.average) * sampleEvery
	}
	c.sys.Add(took)
}

// split returns user and system time. Neither falls, although the estimate of the
// system's time may grow by more than the time that passed.
func (c *cpuClock) split() (user, sys int64) {
	n := c.now()
	user = n - min(c.sys.Load(), n)
	for {
		told := c.user.Load()
		if user <= told {
			user = min(told, n)
			break
		}
		if c.user.CompareAndSwap(told, user) {
			break
		}
	}
	return user, n - user
}

// CPUTime returns the thread's user and system time in ns.
func (t *Thread) CPUTime() (user, sys int64) { return t.clock.split() }

// Usage is what getrusage(2) tells.
type Usage struct {
	User, System int64 // ns
	MaxRSS       uint64
	Switches     uint64 // voluntary ones
	Faults       uint64 // minor ones
}

// add adds what another process or thread used.
func (u *Usage) add(o *Usage) {
	u.User += o.User
	u.System += o.System
	u.MaxRSS = max(u.MaxRSS, o.MaxRSS)
	u.Switches += o.Switches
	u.Faults += o.Faults
}

// processClock holds what a process used beside its threads that live. Guarded by
// Process.mu.
type processClock struct {
	ended    Usage // by threads that have ended, and in programs before execve
	children Usage // by children that were waited for, and theirs
}

// usage is what the thread has used, without the memory.
func (t *Thread) usage() (u Usage) {
	u.User, u.System = t.clock.split()
	u.Switches, u.Faults = t.switches.Load(), t.faults.Load()
	return u
}

// CPUTime returns the user and system time of all threads, past ones included.
func (p *Process) CPUTime() (user, sys int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	user, sys = p.clock.ended.User, p.clock.ended.System
	for _, t := range p.threads {
		u, s := t.clock.split()
		user, sys = user+u, sys+s
	}
	return user, sys
}

// ChildCPUTime returns the times of the children that were waited for.
func (p *Process) ChildCPUTime() (user, sys int64) {
	u := p.ChildUsage()
	return u.User, u.System
}

// Usage returns the process's resource usage.
func (p *Process) Usage() Usage {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.usage()
}

// usage is Usage; p.mu is held.
func (p *Process) usage() Usage {
	u := p.clock.ended
	for _, t := range p.threads {
		own := t.usage()
		_, own.MaxRSS = t.MM.Peak()
		u.add(&own)
	}
	return u
}

// ChildUsage returns the resource usage of the children that were waited for, and
// of those for which they had waited.
func (p *Process) ChildUsage() Usage {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.clock.children
}

// familyUsage is what wait4(2) tells of the process: its own usage and that of its
// children (RUSAGE_BOTH of Linux).
func (p *Process) familyUsage() Usage {
	p.mu.Lock()
	defer p.mu.Unlock()
	u := p.usage()
	u.add(&p.clock.children)
	return u
}

// ThreadUsage is RUSAGE_THREAD. The memory is the process's.
func (t *Thread) ThreadUsage() Usage {
	u := t.usage()
	u.MaxRSS = t.Proc.Usage().MaxRSS
	return u
}

// absorb adds what a child used, and its children, to the usage of the children.
func (p *Process) absorb(u *Usage) {
	p.mu.Lock()
	p.clock.children.add(u)
	p.mu.Unlock()
}
