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

// split returns user and system time.
func (c *cpuClock) split() (user, sys int64) {
	n := c.now()
	sys = min(c.sys.Load(), n)
	return n - sys, sys
}

// CPUTime returns the thread's user and system time in ns.
func (t *Thread) CPUTime() (user, sys int64) { return t.clock.split() }

// processClock holds the times of threads that have ended, and of children that
// were waited for. Guarded by Process.mu.
type processClock struct {
	user, sys           int64
	childUser, childSys int64
	maxRSS, childMaxRSS uint64
	switches, faults    uint64
}

// CPUTime returns the user and system time of all threads, past ones included.
func (p *Process) CPUTime() (user, sys int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	user, sys = p.clock.user, p.clock.sys
	for _, t := range p.threads {
		u, s := t.clock.split()
		user, sys = user+u, sys+s
	}
	return user, sys
}

// ChildCPUTime returns the times of the children that were waited for.
func (p *Process) ChildCPUTime() (user, sys int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.clock.childUser, p.clock.childSys
}

// Usage is what getrusage(2) tells beside the times.
type Usage struct {
	User, System int64 // ns
	MaxRSS       uint64
	Switches     uint64
	Faults       uint64
}

// Usage returns the process's resource usage.
func (p *Process) Usage() Usage {
	u, s := p.CPUTime()
	p.mu.Lock()
	defer p.mu.Unlock()
	r := Usage{User: u, System: s, MaxRSS: p.clock.maxRSS, Switches: p.clock.switches, Faults: p.clock.faults}
	for _, t := range p.threads {
		r.Switches += t.switches.Load()
		r.Faults += t.faults.Load()
		if _, rss := t.MM.Peak(); rss > r.MaxRSS {
			r.MaxRSS = rss
			p.clock.maxRSS = rss
		}
	}
	return r
}

// ChildUsage returns the resource usage of the children that were waited for.
func (p *Process) ChildUsage() Usage {
	p.mu.Lock()
	defer p.mu.Unlock()
	return Usage{User: p.clock.childUser, System: p.clock.childSys, MaxRSS: p.clock.childMaxRSS}
}

// Switches is how often the thread blocked.
func (t *Thread) Switches() uint64 { return t.switches.Load() }
