package task

import (
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
	"gosv/kernel/vfs"
)

// Infinity is RLIM_INFINITY.
const Infinity = ^uint64(0)

// NumLimits is RLIM_NLIMITS.
const NumLimits = 16

// A Rlimit is struct rlimit64.
type Rlimit struct{ Soft, Hard uint64 }

// limits are a process's resource limits.
type limits struct {
	mu  sync.Mutex
	tab [NumLimits]Rlimit
}

// Resources that package unix lacks.
const (
	rlimitRSS        = 5
	rlimitNPROC      = 6
	rlimitLocks      = 10
	rlimitSigpending = 11
	rlimitMsgqueue   = 12
	rlimitNice       = 13
	rlimitRtprio     = 14
	rlimitRttime     = 15
)

// init sets the limits of the first process: what Linux gives to init, with the
// number of files that container runtimes give.
func (l *limits) init() {
	tasks := uint64(threadsMost(0)) / 2
	for i := range l.tab {
		l.tab[i] = Rlimit{Infinity, Infinity}
	}
	l.tab[unix.RLIMIT_STACK] = Rlimit{8 << 20, Infinity}
	l.tab[unix.RLIMIT_CORE] = Rlimit{0, Infinity}
	l.tab[rlimitNPROC] = Rlimit{tasks, tasks}
	l.tab[unix.RLIMIT_NOFILE] = Rlimit{1024, 1 << 20}
	l.tab[unix.RLIMIT_MEMLOCK] = Rlimit{8 << 20, 8 << 20}
	l.tab[rlimitSigpending] = Rlimit{tasks, tasks}
	l.tab[rlimitMsgqueue] = Rlimit{819200, 819200}
	l.tab[rlimitNice] = Rlimit{0, 0}
	l.tab[rlimitRtprio] = Rlimit{0, 0}
}

func (l *limits) copy(from *limits) {
	from.mu.Lock()
	l.tab = from.tab
	from.mu.Unlock()
}

// setSoft sets a soft limit.
func (l *limits) setSoft(resource int, soft uint64) {
	l.mu.Lock()
	atomic.StoreUint64(&l.tab[resource].Soft, soft)
	l.mu.Unlock()
}

// Limit returns the soft limit of a resource.
func (p *Process) Limit(resource int) uint64 {
	return atomic.LoadUint64(&p.limits.tab[resource].Soft)
}

// Rlimit returns both limits of a resource.
func (p *Process) Rlimit(resource int) Rlimit {
	p.limits.mu.Lock()
	defer p.limits.mu.Unlock()
	return p.limits.tab[resource]
}

// SetRlimit is prlimit(2)'s write half. EINVAL, EPERM.
func (t *Thread) SetRlimit(p *Process, resource int, n Rlimit) (old Rlimit, err error) {
	if n.Soft > n.Hard {
		return old, unix.EINVAL
	}
	if resource == unix.RLIMIT_NOFILE && n.Hard > uint64(vfs.MaxOpen.Load()) {
		return old, unix.EPERM
	}
	p.limits.mu.Lock()
	old = p.limits.tab[resource]
	if n.Hard > old.Hard && !t.Creds().Has(unix.CAP_SYS_RESOURCE) {
		p.limits.mu.Unlock()
		return old, unix.EPERM
	}
	p.limits.tab[resource].Hard = n.Hard
	atomic.StoreUint64(&p.limits.tab[resource].Soft, n.Soft) // write(2) looks without the lock
	p.limits.mu.Unlock()
	p.applyLimits()
	if resource == unix.RLIMIT_CPU && n.Soft != Infinity {
		p.armCPULimit()
	}
	return old, nil
}

// applyLimits tells the objects that enforce limits themselves.
func (p *Process) applyLimits() {
	p.limits.mu.Lock()
	tab := p.limits.tab
	p.limits.mu.Unlock()
	threads := p.Threads()
	if len(threads) == 0 {
		return
	}
	t := threads[0] // threads of a process share both objects, or set them by themselves
	memlock := tab[unix.RLIMIT_MEMLOCK].Soft
	if t.Creds().Has(unix.CAP_IPC_LOCK) {
		memlock = Infinity
	}
	t.MM.SetLimits(tab[unix.RLIMIT_AS].Soft, tab[unix.RLIMIT_STACK].Soft, tab[unix.RLIMIT_DATA].Soft, memlock)
	t.Files.SetLimit(tab[unix.RLIMIT_NOFILE].Soft)
}
