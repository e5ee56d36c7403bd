package vfs

import (
	"cmp"
	"slices"
	"sync"

	"golang.org/x/sys/unix"
)

// What /proc/locks and /proc/PID/fdinfo show of locks and leases.

// A lockedInode is an inode with locks.
type lockedInode struct {
	x        *InodeExtra
	seq      uint64
	dev, ino uint64
}

// lockedInodes are all of them. mu is taken under InodeExtra.mu.
var lockedInodes struct {
	mu   sync.Mutex
	seq  uint64
	list map[*InodeExtra]*lockedInode
}

// list enters the inode of f, which has got a lock; mu is held.
func (x *InodeExtra) list(f *File) {
	if x.listed != nil {
		return
	}
	var st Stat
	f.Stat(&st) //nolint:errcheck // zeros are shown then
	t := &lockedInodes
	t.mu.Lock()
	if t.list == nil {
		t.list = make(map[*InodeExtra]*lockedInode)
	}
	t.seq++
	x.listed = &lockedInode{x, t.seq, st.Dev, st.Ino}
	t.list[x] = x.listed
	t.mu.Unlock()
}

// unlist takes the inode out if it has no locks any more; mu is held.
func (x *InodeExtra) unlist() {
	if x.listed == nil || len(x.flocks) != 0 || len(x.records) != 0 || len(x.leases) != 0 {
		return
	}
	x.listed = nil
	t := &lockedInodes
	t.mu.Lock()
	delete(t.list, x)
	t.mu.Unlock()
}

// A blockedLock is a lock that somebody waits for: a flock if flock.file is set.
type blockedLock struct {
	flock  flockHolder
	record RecordLock
	file   *File
}

func (x *InodeExtra) block(b *blockedLock) {
	x.mu.Lock()
	x.blocked = append(x.blocked, b)
	x.mu.Unlock()
}

func (x *InodeExtra) unblock(b *blockedLock) {
	x.mu.Lock()
	x.blocked = slices.DeleteFunc(x.blocked, func(o *blockedLock) bool { return o == b })
	x.mu.Unlock()
}

// A LockInfo is one line of /proc/locks (proc_locks(5)).
type LockInfo struct {
	Blocked bool   // waits for the lock of the line before that is not blocked
	Class   string // "POSIX", "OFDLCK", "FLOCK" or "LEASE"
	How     string // "ADVISORY", or of a lease "ACTIVE" or "BREAKING"
	Type    string // "READ", "WRITE" or "UNLCK"
	PID     int
	Dev     uint64
	Ino     uint64
	Start   int64
	End     int64 // the largest offset is EOF
}

func lockType(exclusive bool) string {
	if exclusive {
		return "WRITE"
	}
	return "READ"
}

func (i *lockedInode) flock(h *flockHolder) LockInfo {
	return LockInfo{Class: "FLOCK", How: "ADVISORY", Type: lockType(h.exclusive), PID: h.pid, Dev: i.dev, Ino: i.ino, End: maxOffset}
}

func (i *lockedInode) record(owner any, pid int, exclusive bool, start, end int64) LockInfo {
	l := LockInfo{Class: "POSIX", How: "ADVISORY", Type: lockType(exclusive), PID: pid, Dev: i.dev, Ino: i.ino, Start: start, End: end}
	if _, ofd := owner.(*File); ofd {
		l.Class = "OFDLCK"
	}
	return l
}

// each calls yield for the locks of the inode, those of one file only if only is not nil. mu is held.
func (i *lockedInode) each(only *File, yield func(LockInfo) bool) bool {
	x := i.x
	// Who waits, by what for: a *flockHolder or a *lockedRange.
	var waiting map[any][]*blockedLock
	if only == nil && len(x.blocked) != 0 {
		waiting = make(map[any][]*blockedLock)
		for _, b := range x.blocked {
			if b.flock.file != nil {
				if h := x.flockConflict(b.flock); h != nil {
					waiting[h] = append(waiting[h], b)
				}
			} else if _, r := x.conflict(&b.record); r != nil {
				waiting[r] = append(waiting[r], b)
			}
		}
	}
	blocked := func(key any) bool {
		for _, b := range waiting[key] {
			var l LockInfo
			if b.flock.file != nil {
				l = i.flock(&b.flock)
			} else {
				r := &b.record
				l = i.record(r.Owner, r.PID, r.Exclusive, r.Start, r.End)
			}
			l.Blocked = true
			if !yield(l) {
				return false
			}
		}
		return true
	}
	for k := range x.flocks {
		if h := &x.flocks[k]; only == nil || h.file == only {
			if !yield(i.flock(h)) || waiting != nil && !blocked(h) {
				return false
			}
		}
	}
	for _, o := range x.records {
		more := o.each(func(r *lockedRange) bool {
			return only != nil && r.file != only ||
				yield(i.record(o.owner, o.pid, r.exclusive, r.start, r.end)) && (waiting == nil || blocked(r))
		})
		if !more {
			return false
		}
	}
	for _, l := range x.leases {
		if only != nil && l.file != only {
			continue
		}
		how, kind := "ACTIVE", "READ"
		if l.unlock || l.downgrade {
			how = "BREAKING"
		}
		switch l.target() {
		case unix.F_WRLCK:
			kind = "WRITE"
		case unix.F_UNLCK:
			kind = "UNLCK"
		}
		if !yield(LockInfo{Class: "LEASE", How: how, Type: kind, PID: l.pid, Dev: i.dev, Ino: i.ino, End: maxOffset}) {
			return false
		}
	}
	return true
}

// Locks calls yield for all locks and leases, file by file.
func Locks(yield func(LockInfo) bool) {
	t := &lockedInodes
	t.mu.Lock()
	list := make([]*lockedInode, 0, len(t.list))
	for _, i := range t.list {
		list = append(list, i)
	}
	t.mu.Unlock()
	slices.SortFunc(list, func(a, b *lockedInode) int { return cmp.Compare(a.seq, b.seq) })
	for _, i := range list {
		i.x.mu.Lock()
		more := i.x.listed != i || i.each(nil, yield)
		i.x.mu.Unlock()
		if !more {
			return
		}
	}
}

// Locks calls yield for the locks that were set through f.
func (f *File) Locks(yield func(LockInfo) bool) {
	if !f.locks.Load() {
		return
	}
	x := f.inode.Extra()
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.listed != nil {
		x.listed.each(f, yield)
	}
}
