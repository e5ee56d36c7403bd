// Package ipc is what the three kinds of System V IPC objects have in common: keys, identifiers and permissions
// (svipc(7)).
//
// Lock order: an object's own lock, then Table.mu.
package ipc

import (
	"slices"
	"sync"

	"golang.org/x/sys/unix"
	"gosv/kernel/sysctl"
	"gosv/kernel/vfs"
)

// Flags and commands of the calls (include/uapi/linux/ipc.h).
const (
	Creat  = 0o1000
	Excl   = 0o2000
	NoWait = 0o4000

	Rmid = 0
	Set  = 1
	Stat = 2
	Info = 3

	Private = 0 // the key that is nobody's
)

// Perm is struct ipc_perm; the object's lock guards it, but for the ID, which
// never changes.
type Perm struct {
	Key                  int32
	UID, GID, CUID, CGID uint32
	Mode                 uint32
	Seq                  uint16
	ID                   int
}

// Check is the permission of read (4), write (2) and execute (1) access in any of
// the three digits of mode: EACCES.
func (p *Perm) Check(c *vfs.Creds, mode uint32) error {
	want := (mode>>6 | mode>>3 | mode) & 7
	granted := p.Mode
	in := func(gid uint32) bool { return c.EGID == gid || slices.Contains(c.Groups, gid) }
	switch {
	case c.EUID == p.CUID || c.EUID == p.UID:
		granted >>= 6
	case in(p.CGID) || in(p.GID):
		granted >>= 3
	}
	if want&^granted&7 != 0 && !c.Has(unix.CAP_IPC_OWNER) {
		return unix.EACCES
	}
	return nil
}

// MayChange is the permission of IPC_SET and IPC_RMID: EPERM.
func (p *Perm) MayChange(c *vfs.Creds) error {
	if c.EUID != p.UID && c.EUID != p.CUID && !c.Has(unix.CAP_SYS_ADMIN) {
		return unix.EPERM
	}
	return nil
}

// Update is what IPC_SET changes.
func (p *Perm) Update(uid, gid, mode uint32) {
	p.UID, p.GID, p.Mode = uid, gid, p.Mode&^0o777|mode&0o777
}

// Now is the time for the time fields, in seconds.
func Now() int64 { return vfs.Now().Sec }

// An Object is a segment, a semaphore set or a message queue.
type Object interface {
	comparable
	IPCPerm() *Perm
}

// seqUnit is the distance between IDs of one slot: the slot is reused with
// another ID.
const (
	seqUnit = 1 << 15
	maxSeq  = 1<<31/seqUnit - 1
)

// Table is all objects of a kind.
type Table[T Object] struct {
	Max *sysctl.Int32 // how many there can be (shmmni and its kin)

	mu    sync.Mutex
	slots []T
	free  int // no free slot below
	used  int
	keys  map[int32]T
	seq   uint16
}

// Get is shmget(2), semget(2), msgget(2): the object of a key, made by create if
// there is none and flags say so. check refuses an existing one, EACCES included.
// ENOENT, EEXIST, ENOSPC.
func (t *Table[T]) Get(c *vfs.Creds, key int32, flags uint32, create func(Perm) (T, error), check func(T) error) (int, error) {
	var none T
	t.mu.Lock()
	if o := t.keys[key]; o != none {
		t.mu.Unlock()
		if flags&(Creat|Excl) == Creat|Excl {
			return 0, unix.EEXIST
		}
		return o.IPCPerm().ID, check(o)
	}
	defer t.mu.Unlock()
	if key != Private && flags&Creat == 0 {
		return 0, unix.ENOENT
	}
	if t.used >= int(t.Max.Load()) {
		return 0, unix.ENOSPC
	}
	slot := t.free
	for slot < len(t.slots) && t.slots[slot] != none {
		slot++
	}
	t.free = slot
	if slot == len(t.slots) {
	}
	p := Perm{Key: key, UID: c.EUID, GID: c.EGID, CUID: c.EUID, CGID: c.EGID, Mode: flags & 0o777,
		Seq: t.seq, ID: int(t.seq)*seqUnit + slot}
	o, err := create(p)
	if err != nil {
		return 0, err
	}
	t.seq = (t.seq + 1) % maxSeq
	if slot == len(t.slots) {
		t.slots = append(t.slots, o)
	}
	t.slots[slot] = o
	t.used++
	if key != Private {
		if t.keys == nil {
			t.keys = make(map[int32]T)
		}
		t.keys[key] = o
	}
	return p.ID, nil
}

// Find returns the object with an ID: EINVAL, EIDRM.
func (t *Table[T]) Find(id int) (T, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	var none T
	slot := id % seqUnit
	if id < 0 || slot >= len(t.slots) || t.slots[slot] == none {
		return none, unix.EINVAL
	}
	o := t.slots[slot]
	if o.IPCPerm().ID != id {
		return none, unix.EIDRM
	}
	return o, nil
}

// MaxSlots is how many objects of a kind there can be at most (IPCMNI).
const MaxSlots = seqUnit

// At returns the object in the slot of an ID or of a plain number, for SHM_STAT
// and its kin: EINVAL.
func (t *Table[T]) At(slot int) (T, error) {
	slot %= seqUnit
	t.mu.Lock()
	defer t.mu.Unlock()
	var none T
	if slot < 0 || slot >= len(t.slots) || t.slots[slot] == none {
		return none, unix.EINVAL
	}
	return t.slots[slot], nil
}

// Hide takes the key away from an object: it is free for another one.
func (t *Table[T]) Hide(key int32, o T) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.keys[key] == o {
		delete(t.keys, key)
	}
}

// Remove takes an object with this key out of the table; false if it was not there.
func (t *Table[T]) Remove(key int32, o T) bool {
	t.Hide(key, o)
	t.mu.Lock()
	defer t.mu.Unlock()
	var none T
	slot := o.IPCPerm().ID % seqUnit
	if t.slots[slot] != o {
		return false
	}
	t.slots[slot] = none
	t.free = min(t.free, slot)
	t.used--
	return true
}

// All returns the objects, and the highest slot in use.
func (t *Table[T]) All() (list []T, highest int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	var none T
	for i, o := range t.slots {
		if o != none {
			list = append(list, o)
			highest = i
		}
	}
	return list, highest
}
