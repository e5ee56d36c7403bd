package vfs

import (
	"slices"
	"sync"

	"golang.org/x/sys/unix"
	"gosv/kernel/wait"
)

// A RecordLock is a lock of fcntl(2) on the bytes Start to End, both included.
type RecordLock struct {
	Owner      any // *FDTable for the locks of a process, *File for open file description locks
	PID        int // shown by F_GETLK; -1 for open file description locks
	Exclusive  bool
	Start, End int64
}

// A lockOwner has the record locks that one owner holds on a file.
type lockOwner struct {
	owner any
	pid   int
	lockRanges
}

// shows makes the lock that F_GETLK tells.
func (o *lockOwner) shows(l *lockedRange) RecordLock {
	return RecordLock{o.owner, o.pid, l.exclusive, l.start, l.end}
}

// conflict returns what keeps l from being set: like Linux the lowest lock of the owner that has had locks for longest. A
// lock for reading meets locks for writing only. mu is held.
func (x *InodeExtra) conflict(l *RecordLock) (*lockOwner, *lockedRange) {
	for _, o := range x.records {
		if o.owner != l.Owner {
			if r := o.first(l.Start, l.End, !l.Exclusive); r != nil {
				return o, r
			}
		}
	}
	return nil, nil
}

// ownerOf returns the locks of an owner, nil if there are none; mu is held.
func (x *InodeExtra) ownerOf(owner any) *lockOwner {
	for _, o := range x.records {
		if o.owner == owner {
			return o
		}
	}
	return nil
}

// GetLock returns a lock that keeps l from being set; ok is false if there is
// none (F_GETLK).
func (f *File) GetLock(l RecordLock) (other RecordLock, ok bool) {
	x := f.inode.Extra()
	x.mu.Lock()
	defer x.mu.Unlock()
	if o, r := x.conflict(&l); r != nil {
		return o.shows(r), true
	}
	return RecordLock{}, false
}

// OwnLock returns the lowest lock that the owner has in a range (F_OFD_GETLK with F_UNLCK).
func (f *File) OwnLock(owner any, start, end int64) (l RecordLock, ok bool) {
	x := f.inode.Extra()
	x.mu.Lock()
	defer x.mu.Unlock()
	if o := x.ownerOf(owner); o != nil {
		if r := o.first(start, end, false); r != nil {
			return o.shows(r), true
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
	b := &blockedLock{record: l, file: f}
	x.block(b)
	err := WaitUntil(s, &x.waiters, wait.In, func() bool {
		set, deadlock = x.trySet(f, l, true)
		return set || deadlock
	})
	x.unblock(b)
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
	if o, _ := x.conflict(&l); o != nil {
		if waits {
			deadlock = lockWaits.begin(x, l.Owner, o.owner)
		}
		x.mu.Unlock()
		return false, deadlock
	}
	o := x.ownerOf(l.Owner)
	if o == nil {
		o = &lockOwner{owner: l.Owner}
		x.records = append(x.records, o)
	}
	o.pid = l.PID
	changed := o.set(lockedRange{l.Start, l.End, f, l.Exclusive})
	if changed {
		lockWaits.free(x)
	}
	f.locks.Store(true)
	x.list(f)
	x.mu.Unlock()
	if changed {
		x.waiters.Notify(wait.In)
	}
	return true, false
}

// cut removes the owner's locks from a range; mu is held.
func (x *InodeExtra) cut(owner any, start, end int64) (changed bool) {
	o := x.ownerOf(owner)
	if o == nil || !o.cut(start, end) {
		return false
	}
	if o.empty() {
		x.records = slices.DeleteFunc(x.records, func(p *lockOwner) bool { return p == o })
		x.unlist()
	}
	lockWaits.free(x)
	return true
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
// reports. Circles of more than 16 are not found; Linux looks at 10.
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
