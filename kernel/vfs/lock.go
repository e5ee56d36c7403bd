package vfs

import (
	"slices"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
	"gosv/kernel/wait"
)

// InodeExtra is the VFS's own state of an inode, made when it is first needed.
type InodeExtra struct {
	writers atomic.Int32  // files open for writing; below 0: DenyWrite
	Hint    atomic.Uint32 // RWH_WRITE_LIFE_* of F_SET_RW_HINT

	// mu guards what follows.
	mu      sync.Mutex
	pipe    FIFO
	socket  any
	flocks  []flockHolder
	records []*lockOwner // in the order of their first locks
	leases  []*lease
	blocked []*blockedLock
	listed  *lockedInode // while there are locks or leases
	watches []*Watch

	waiters wait.Queue // for locks and leases
}

// openWrite counts a writer, unless writing is denied.
func (x *InodeExtra) openWrite() bool {
	for {
		n := x.writers.Load()
		if n < 0 {
			return false
		}
		if x.writers.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

// flockHolder is a flock(2) lock.
type flockHolder struct {
	file      *File
	pid       int
	exclusive bool
}

// Flock is flock(2): op is LOCK_SH, LOCK_EX or LOCK_UN, with LOCK_NB. pid is who /proc/locks shows.
func (f *File) Flock(s *wait.Sleeper, op, pid int) error {
	if f.pathOnly {
		return unix.EBADF
	}
	x := f.inode.Extra()
	kind := op &^ unix.LOCK_NB
	switch kind {
	case unix.LOCK_UN:
		x.mu.Lock()
		gone := x.dropFlock(f)
		x.mu.Unlock()
		if gone {
			x.waiters.Notify(wait.In)
		}
		return nil
	case unix.LOCK_SH, unix.LOCK_EX:
	default:
		return unix.EINVAL
	}
	h := flockHolder{f, pid, kind == unix.LOCK_EX}
	if x.tryFlock(h) {
		return nil
	}
	if op&unix.LOCK_NB != 0 {
		return unix.EWOULDBLOCK
	}
	b := &blockedLock{flock: h}
	x.block(b)
	err := WaitUntil(s, &x.waiters, wait.In, func() bool { return x.tryFlock(h) })
	x.unblock(b)
	return err
}

// dropFlock takes the lock of f away; mu is held.
func (x *InodeExtra) dropFlock(f *File) bool {
	n := len(x.flocks)
	x.flocks = slices.DeleteFunc(x.flocks, func(h flockHolder) bool { return h.file == f })
	x.unlist()
	return len(x.flocks) != n
}

// flockConflict returns the first lock that h has to wait for, nil if there is none; mu is held.
func (x *InodeExtra) flockConflict(h flockHolder) *flockHolder {
	for i, o := range x.flocks {
		if o.file != h.file && (h.exclusive || o.exclusive) {
			return &x.flocks[i]
		}
	}
	return nil
}

// tryFlock takes or converts a lock. A conversion that has to wait has lost
// the old lock, as flock(2) says.
func (x *InodeExtra) tryFlock(h flockHolder) bool {
	x.mu.Lock()
	lost := x.dropFlock(h.file)
	taken := x.flockConflict(h) == nil
	if taken {
		x.flocks = append(x.flocks, h)
		x.list(h.file)
		h.file.locks.Store(true)
	}
	x.mu.Unlock()
	if lost {
		x.waiters.Notify(wait.In)
	}
	return taken
}

// releaseFile drops what the last reference to f held.
func (x *InodeExtra) releaseFile(f *File) {
	x.mu.Lock()
	x.dropFlock(f)
	x.cut(f, 0, maxOffset)
	x.dropLease(f)
	x.mu.Unlock()
	x.waiters.Notify(wait.In)
}

// existingExtra returns the state if there is any.
func (i *InodeDefaults) existingExtra() *InodeExtra { return i.extra.Load() }
