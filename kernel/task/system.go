package task

import (
	"sync"
	"sync/atomic"

	"gosv/kernel/cpu"
)

// names are the host and the domain name.
var names struct{ host, domain atomic.Pointer[string] }

func name(p *atomic.Pointer[string], unset string) string {
	if s := p.Load(); s != nil {
		return *s
	}
	return unset
}

// Hostname is gethostname(2)'s.
func Hostname() string { return name(&names.host, "gosv") }

// SetHostname sets the host name, which has at most 64 bytes.
func SetHostname(s string) { names.host.Store(&s) }

// Domainname is the NIS domain name.
func Domainname() string { return name(&names.domain, "(none)") }

// SetDomainname sets the domain name, which has at most 64 bytes.
func SetDomainname(s string) { names.domain.Store(&s) }

// SignalPending reports whether a long call should return early.
func (t *Thread) SignalPending() bool { return t.interrupted() }

// End makes the process exit with a code, from outside.
func (p *Process) End(code int) { p.end(code&0xff<<8, nil) }

// Count is the number of threads.
func (tab *Table) Count() int {
	tab.mu.Lock()
	defer tab.mu.Unlock()
	return len(tab.tasks)
}

// load is the load averages. There is no tick to sample them: each look decays
// them by the time since the one before.
var load struct {
	mu   sync.Mutex
	last int64
	avg  [3]float64
}

// decay is 5 seconds of 1, 5 and 15 minutes: exp(-5/60), exp(-5/300), exp(-5/900).
var decay = [3]float64{0.92004441, 0.98347145, 0.99445985}

// LoadAverage returns the load averages of 1, 5 and 15 minutes in 1/2048
// (proc_loadavg(5)).
func LoadAverage() (avg [3]uint64) {
	running := 0
	for _, p := range Tasks.Processes() {
		for _, t := range p.Threads() {
			if t.runnable() {
				running++
			}
		}
	}
	load.mu.Lock()
	defer load.mu.Unlock()
	now := cpu.Nanotime()
	steps := min((now-load.last)/5e9, 1000)
	for range steps {
		for i, d := range decay {
			load.avg[i] = load.avg[i]*d + float64(running)*(1-d)
		}
	}
	if steps > 0 {
		load.last = now
	}
	for i := range avg {
		avg[i] = uint64(load.avg[i] * 2048)
	}
	return avg
}

// Personality is personality(2)'s.
func (p *Process) Personality() uint32 { return p.personality.Load() }

// SetPersonality sets it.
func (p *Process) SetPersonality(v uint32) { p.personality.Store(v) }
