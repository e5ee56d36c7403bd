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
	writers atomic.Int32 // files open for writing; below 0: DenyWrite

	// mu guards what follows.
	mu      sync.Mutex
	pipe    FIFO
	socket  any
	flocks  []flockHolder
	records []RecordLock
	watches []*Watch

	waiters wait.Queue // for locks
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
	exclusive bool
}

// Flock is flock(2): op is LOCK_SH, LOCK_EX or LOCK_UN, with LOCK_NB.
func (f *File) Flock(s *wait.Sleeper, op int) error {
	if f.pathOnly {
		return unix.EBADF
	}
	x := f.inode.Extra()
	kind := op &^ unix.LOCK_NB
	switch kind {
	case unix.LOCK_UN:
		x.mu.Lock()
		n := len(x.flocks)
		x.flocks = slices.DeleteFunc(x.flocks, func(h flockHolder) bool { return h.file == f })
		gone := len(x.flocks) != n
		x.mu.Unlock()
		if gone {
			x.waiters.Notify(wait.In)
		}
		return nil
	case unix.LOCK_SH, unix.LOCK_EX:
	default:
		return unix.EINVAL
	}
	if x.tryFlock(f, kind == unix.LOCK_EX) {
		return nil
	}
	if op&unix.LOCK_NB != 0 {
		return unix.EWOULDBLOCK
	}
	return WaitUntil(s, &x.waiters, wait.In, func() bool { return x.tryFlock(f, kind == unix.LOCK_EX) })
}

// tryFlock takes or converts f's lock. A conversion that has to wait has lost
// the old lock, as flock(2) says.
func (x *InodeExtra) tryFlock(f *File, exclusive bool) bool {
	x.mu.Lock()
	lost, taken := false, true
	x.flocks = slices.DeleteFunc(x.flocks, func(h flockHolder) bool {
		if h.file == f {
			lost = true
		}
		return h.file == f
	})
	for _, h := range x.flocks {
		taken = taken && !exclusive && !h.exclusive
	}
	if taken {
		x.flocks = append(x.flocks, flockHolder{f, exclusive})
		f.locks.Store(true)
	}
	x.mu.Unlock()
	if lost {
		x.waiters.Notify(wait.In)
	}
	return taken
}

// A RecordLock is a lock of fcntl(2) on the bytes Start to End, both included.
type RecordLock struct {
	Owner      any // *FDTable for the locks of a process, *File for open file description locks
	PID        int // shown by F_GETLK; -1 for open file description locks
	Exclusive  bool
	Start, End int64
}

func (l *RecordLock) overlaps(m *RecordLock) bool { return l.Start <= m.End && m.Start <= l.End }

func (l *RecordLock) conflicts(m *RecordLock) bool {
	return l.Owner != m.Owner && (l.Exclusive || m.Exclusive) && l.overlaps(m)
}

// GetLock returns a lock that keeps l from being set; ok is false if there is
// none (F_GETLK).
func (f *File) GetLock(l RecordLock) (other RecordLock, ok bool) {
	x := f.inode.Extra()
	x.mu.Lock()
	defer x.mu.Unlock()
	for i := range x.records {
		if x.records[i].conflicts(&l) {
			return x.records[i], true
		}
	}
	return RecordLock{}, false
}

// SetLock sets a lock (F_SETLK: EAGAIN if it cannot; with block F_SETLKW, which
// ends with linux.ERESTARTSYS or EDEADLK).
func (f *File) SetLock(s *wait.Sleeper, l RecordLock, block bool) error {
	if l.Exclusive && !f.writable || !l.Exclusive && !f.readable {
		return unix.EBADF
	}
	x := f.inode.Extra()
	if set, _ := x.trySet(f, l, false); set {
		return nil
	}
	if !block {
		return unix.EAGAIN
	}
	set, deadlock := false, false
	err := WaitUntil(s, &x.waiters, wait.In, func() bool {
		set, deadlock = x.trySet(f, l, true)
		return set || deadlock
	})
	if deadlock {
		return unix.EDEADLK
	}
	if !set {
		lockWaits.end(l.Owner)
	}
	return err
}

// trySet sets the lock if none is in the way. If its owner is going to wait for
// that one, it says whether that would be for ever.
func (x *InodeExtra) trySet(f *File, l RecordLock, waits bool) (set, deadlock bool) {
	x.mu.Lock()
	if waits {
		lockWaits.end(l.Owner)
	}
	for i := range x.records {
		if x.records[i].conflicts(&l) {
			if waits {
				deadlock = lockWaits.begin(x, l.Owner, x.records[i].Owner)
			}
			x.mu.Unlock()
			return false, deadlock
		}
	}
	changed := x.cut(l.Owner, l.Start, l.End)
	// Neighbours of the same kind grow together.
	for i := 0; i < len(x.records); {
		o := x.records[i]
		if o.Owner == l.Owner && o.Exclusive == l.Exclusive && (o.End == l.Start-1 || l.End != maxOffset && o.Start == l.End+1) {
			l.Start, l.End = min(l.Start, o.Start), max(l.End, o.End)
			x.records = slices.Delete(x.records, i, i+1)
			continue
		}
		i++
	}
	x.records = append(x.records, l)
	f.locks.Store(true)
	x.mu.Unlock()
	if changed {
		x.waiters.Notify(wait.In)
	}
	return true, false
}

// cut removes the owner's locks from a range; mu is held.
func (x *InodeExtra) cut(owner any, start, end int64) (changed bool) {
	kept := x.records[:0:0]
	for _, o := range x.records {
		if o.Owner != owner || o.Start > end || o.End < start {
			kept = append(kept, o)
			continue
		}
		changed = true
		if o.Start < start {
			left := o
			left.End = start - 1
			kept = append(kept, left)
		}
		if o.End > end {
			right := o
			right.Start = end + 1
			kept = append(kept, right)
		}
	}
	x.records = kept
	if changed {
		lockWaits.free(x)
	}
	return changed
}

// Unlock removes the owner's locks from the bytes start to end (F_UNLCK).
func (f *File) Unlock(owner any, start, end int64) {
	x := f.inode.Extra()
	x.mu.Lock()
	changed := x.cut(owner, start, end)
	x.mu.Unlock()
	if changed {
		x.waiters.Notify(wait.In)
	}
}

// releaseRecordLocks is what closing any descriptor of a file does to the locks
// of the process.
func (f *File) releaseRecordLocks(t *FDTable) {
	if f.inode == nil || f.pathOnly {
		return
	}
	if h, ok := f.inode.(interface{ existingExtra() *InodeExtra }); ok {
		x := h.existingExtra()
		if x == nil {
			return
		}
		x.mu.Lock()
		none := len(x.records) == 0
		x.mu.Unlock()
		if none {
			return
		}
	}
	f.Unlock(t, 0, maxOffset)
}

// releaseFile drops what the last reference to f held.
func (x *InodeExtra) releaseFile(f *File) {
	x.mu.Lock()
	x.flocks = slices.DeleteFunc(x.flocks, func(h flockHolder) bool { return h.file == f })
	x.cut(f, 0, maxOffset)
	x.mu.Unlock()
	x.waiters.Notify(wait.In)
}

// existingExtra returns the state if there is any.
func (i *InodeDefaults) existingExtra() *InodeExtra { return i.extra.Load() }

// lockGraph knows which process waits for a lock of which other one, to find
// deadlocks (EDEADLK). It changes with the locks of a file, under the mutex of
// that file: who holds nothing that another one waits for is not waited for.
type lockGraph struct {
	mu    sync.Mutex
	waits map[any]lockWait // by the owner that waits
}

type lockWait struct {
	on     *InodeExtra
	holder any
}

var lockWaits lockGraph

// begin notes that owner waits for holder, unless that closes a circle, which it
// reports.
func (g *lockGraph) begin(on *InodeExtra, owner, holder any) (circle bool) {
	if _, process := owner.(*FDTable); !process {
		return false
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	for h, n := holder, 0; h != nil && n < 16; h, n = g.waits[h].holder, n+1 {
		if h == owner {
			return true
		}
	}
	if g.waits == nil {
		g.waits = make(map[any]lockWait)
	}
	g.waits[owner] = lockWait{on, holder}
	return false
}

func (g *lockGraph) end(owner any) {
	g.mu.Lock()
	delete(g.waits, owner)
	g.mu.Unlock()
}

// free forgets who waits for locks of a file: they are woken, and look again.
func (g *lockGraph) free(on *InodeExtra) {
	g.mu.Lock()
	for owner, w := range g.waits {
		if w.on == on {
			delete(g.waits, owner)
		}
	}
	g.mu.Unlock()
}
