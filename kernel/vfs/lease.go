package vfs

import (
	"slices"
	"sync/atomic"

	"golang.org/x/sys/unix"
	"gosv/abi/linux"
	"gosv/kernel/cpu"
	"gosv/kernel/sysctl"
	"gosv/kernel/wait"
)

// Leases (F_SETLEASE of fcntl(2)): the holder is signalled before somebody opens the file in a way that conflicts, who waits
// until the lease is given up or its time is over.

// A lease is on an open file description.
type lease struct {
	file *File
	fd   int // the signal names it
	pid  int
	kind uint32 // F_RDLCK or F_WRLCK

	// A lease that is being broken goes, or goes down to F_RDLCK, at these times of the monotonic clock if they are not 0.
	unlock, downgrade     bool
	unlockAt, downgradeAt int64
}

// Settings of /proc/sys/fs.
var (
	leaseBreakTime sysctl.Int32 = 45 // seconds; 0: a breaker waits for ever
	leasesEnable   sysctl.Int32 = 1
)

var leaseSysctls = [...]sysctl.Row{
	{Name: "fs.lease-break-time", Value: &sysctl.Int{Var: &leaseBreakTime}},
	{Name: "fs.leases-enable", Value: &sysctl.Int{Var: &leasesEnable}},
}

func init() { sysctl.Register(leaseSysctls[:]) }

// leases is how many there are: opening a file looks for none while it is 0.
var leases atomic.Int32

// target is what F_GETLEASE tells: what will be left of the lease.
func (l *lease) target() uint32 {
	switch {
	case l.unlock:
		return unix.F_UNLCK
	case l.downgrade:
		return unix.F_RDLCK
	}
	return l.kind
}

// expire ends or lowers the leases whose time is over, and reports whether there were any; mu is held.
func (x *InodeExtra) expire() (changed bool) {
	now := cpu.Nanotime()
	x.leases = slices.DeleteFunc(x.leases, func(l *lease) bool {
		if l.downgrade && l.downgradeAt != 0 && now >= l.downgradeAt {
			l.kind, l.downgrade, changed = unix.F_RDLCK, false, true
		}
		if l.unlock && l.unlockAt != 0 && now >= l.unlockAt {
			leases.Add(-1)
			changed = true
			return true
		}
		return false
	})
	x.unlist()
	return changed
}

// dropLease ends the lease of f; mu is held.
func (x *InodeExtra) dropLease(f *File) bool {
	n := len(x.leases)
	x.leases = slices.DeleteFunc(x.leases, func(l *lease) bool { return l.file == f })
	x.unlist()
	leases.Add(int32(len(x.leases) - n))
	return len(x.leases) != n
}

// Lease is F_GETLEASE.
func (f *File) Lease() uint32 {
	if leases.Load() == 0 {
		return unix.F_UNLCK
	}
	x := f.inode.Extra()
	x.mu.Lock()
	changed := x.expire()
	kind := uint32(unix.F_UNLCK)
	for _, l := range x.leases {
		if l.file == f {
			kind = l.target()
		}
	}
	x.mu.Unlock()
	if changed {
		x.waiters.Notify(wait.In)
	}
	return kind
}

// SetLease is F_SETLEASE through the descriptor fd of a process. A file without an owner gets one. EACCES, EINVAL, EAGAIN.
func (f *File) SetLease(c *Creds, kind uint32, fd int, owner FileOwner) error {
	if kind != unix.F_RDLCK && kind != unix.F_WRLCK && kind != unix.F_UNLCK {
		return unix.EINVAL
	}
	if uid, _ := f.inode.Owner(); uid != c.FSUID && !c.Has(unix.CAP_LEASE) {
		return unix.EACCES
	}
	if f.inode.Mode()&unix.S_IFMT != unix.S_IFREG {
		return unix.EINVAL
	}
	x := f.inode.Extra()
	x.mu.Lock()
	x.expire()
	err := x.setLease(f, kind, fd, int(owner.PID))
	x.mu.Unlock()
	x.waiters.Notify(wait.In)
	if err != nil || kind == unix.F_UNLCK {
		return err
	}
	if o := f.Owner(); o == nil || o.PID == 0 {
		if o != nil {
			owner.Signal = o.Signal
		}
		f.SetOwner(&owner)
	}
	return nil
}

// setLease is SetLease with mu held.
func (x *InodeExtra) setLease(f *File, kind uint32, fd, pid int) error {
	if kind == unix.F_UNLCK {
		if !x.dropLease(f) {
			return unix.EAGAIN
		}
		return nil
	}
	// The new lease counts before it looks who has the file open: openers count first and look for leases then.
	leases.Add(1)
	mine, err := x.mayLease(f, kind)
	if err != nil || mine != nil {
		leases.Add(-1)
		if err == nil {
			mine.kind = kind
			if kind == unix.F_RDLCK {
				mine.downgrade = false
			}
		}
		return err
	}
	x.leases = append(x.leases, &lease{file: f, fd: fd, pid: pid, kind: kind})
	f.locks.Store(true)
	x.list(f)
	return nil
}

// mayLease checks that nobody has the file open in a way that the lease excludes. mine is the lease that f has.
func (x *InodeExtra) mayLease(f *File, kind uint32) (mine *lease, err error) {
	writers, readers := max(x.writers.Load(), 0), f.inode.readers().Load()
	if kind == unix.F_RDLCK && writers > 0 {
		return nil, unix.EAGAIN
	}
	if kind == unix.F_WRLCK {
		switch {
		case f.writable && (writers != 1 || readers != 0), !f.writable && (writers != 0 || readers != 1):
			return nil, unix.EAGAIN
		}
	}
	for _, l := range x.leases {
		switch {
		case l.file == f:
			mine = l
		case kind == unix.F_WRLCK, l.unlock:
			return nil, unix.EAGAIN
		}
	}
	if mine == nil && leasesEnable.Load() == 0 {
		return nil, unix.EINVAL
	}
	return mine, nil
}

// A leaseBreak is the error of an open that has to wait for leases: after wait it is tried again. It is no errno, and no
// program sees it.
type leaseBreak struct{ x *InodeExtra }

func (*leaseBreak) Error() string { return "a lease is in the way" }

// breakLease tells the holders of leases that open(2) with flags conflicts with them. It returns a *leaseBreak if there are
// any, EWOULDBLOCK with O_NONBLOCK. It does not sleep.
func breakLease(n Inode, flags uint32) error {
	if leases.Load() == 0 {
		return nil
	}
	x := n.Extra()
	write := flags&unix.O_ACCMODE != unix.O_RDONLY
	var deadline int64
	if s := leaseBreakTime.Load(); s > 0 {
		deadline = cpu.Nanotime() + int64(s)*1e9
	}
	x.mu.Lock()
	changed, conflict := x.expire(), false
	for _, l := range x.leases {
		if !write && l.kind != unix.F_WRLCK {
			continue
		}
		conflict = true
		switch {
		case write && !l.unlock:
			l.unlock, l.unlockAt = true, deadline
		case !write && !l.unlock && !l.downgrade:
			l.downgrade, l.downgradeAt = true, deadline
		default:
			continue
		}
		l.file.signalIO(l.fd, linux.POLL_MSG)
	}
	x.mu.Unlock()
	if changed {
		x.waiters.Notify(wait.In)
	}
	switch {
	case !conflict:
		return nil
	case flags&unix.O_NONBLOCK != 0:
		return unix.EWOULDBLOCK
	}
	return &leaseBreak{x}
}

// wait sleeps until something changed about the leases, or the next one's time is over; linux.ERESTARTSYS if a signal comes.
func (b *leaseBreak) wait(s *wait.Sleeper) error {
	if s == nil {
		return unix.EWOULDBLOCK
	}
	x := b.x
	w := s.Waiter(wait.In)
	s.Clear()
	x.waiters.Add(w)
	x.mu.Lock()
	var at int64
	ready := true
	for _, l := range x.leases {
		for _, t := range [...]struct {
			on bool
			at int64
		}{{l.unlock, l.unlockAt}, {l.downgrade, l.downgradeAt}} {
			if t.on {
				ready = false
				if t.at != 0 && (at == 0 || t.at < at) {
					at = t.at
				}
			}
		}
	}
	x.mu.Unlock()
	var err error
	if !ready && s.Sleep(at) == wait.Interrupted {
		err = linux.ERESTARTSYS
	}
	x.waiters.Remove(w)
	s.Done(w)
	return err
}

// afterLeases runs try, and again after each wait for leases that it met.
func afterLeases(s *wait.Sleeper, try func() error) error {
	for {
		err := try()
		b, met := err.(*leaseBreak)
		if !met {
			return err
		}
		if err := b.wait(s); err != nil {
			return err
		}
	}
}
