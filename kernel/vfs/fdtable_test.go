package vfs

import (
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"
)

type countedImpl struct {
	FileDefaults
	closed atomic.Int32
}

func (c *countedImpl) Release() { c.closed.Add(1) }

func TestFDTable(t *testing.T) {
	tab := NewFDTable(100)
	open := func() *File { return NewFile(new(countedImpl), "test", unix.O_RDWR) }
	for want := range 70 {
		if fd, err := tab.Install(open(), want%2 == 1); fd != want || err != nil {
			t.Fatalf("%d: %d %v", want, fd, err)
		}
	}
	f, _ := tab.Get(5)
	tab.Close(40)
	tab.Close(5)
	if n := f.Impl().(*countedImpl).closed.Load(); n != 0 {
		t.Error("closed while referenced")
	}
	f.Release()
	if n := f.Impl().(*countedImpl).closed.Load(); n != 1 {
		t.Errorf("closed %d times", n)
	}
	if _, err := tab.Get(5); err != unix.EBADF {
		t.Errorf("closed descriptor: %v", err)
	}
	if fd, _ := tab.Dup(0, 6, true); fd != 40 {
		t.Errorf("dup from 6: %d", fd)
	}
	if fd, _ := tab.Install(open(), false); fd != 5 {
		t.Errorf("lowest: %d", fd)
	}
	if fd, _ := tab.Install(open(), false); fd != 70 {
		t.Errorf("next: %d", fd)
	}
	if err := tab.DupTo(0, 100, false); err != unix.EBADF {
		t.Errorf("beyond the limit: %v", err)
	}
	if _, err := tab.Dup(0, 100, false); err != unix.EINVAL {
		t.Errorf("beyond the limit: %v", err)
	}
	if err := tab.DupTo(0, 99, false); err != nil {
		t.Error(err)
	}
	for {
		if _, err := tab.Install(open(), false); err != nil {
			if err != unix.EMFILE {
				t.Error(err)
			}
			break
		}
	}
	child := tab.Clone()
	child.CloseExec()
	if _, err := child.Get(1); err != unix.EBADF {
		t.Errorf("close on exec: %v", err)
	}
	if _, err := child.Get(2); err != nil {
		t.Error(err)
	}
	child.CloseRange(10, 90)
	for fd, open := range map[int]bool{8: true, 10: false, 90: false, 92: true} {
		if child.isOpen(fd) != open {
			t.Errorf("%d after close_range", fd)
		}
	}
	child.Release()
	if _, err := tab.Get(1); err != nil {
		t.Error("closing the copy closed the original")
	}
	tab.Release()
}

// Get never returns a file that was closed for good, while others open and close.
func TestFDTableConcurrent(t *testing.T) {
	tab := NewFDTable(1000)
	var wg sync.WaitGroup
	for seed := range 4 {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(uint64(seed), 7))
			for range 5000 {
				switch r.IntN(4) {
				case 0:
					f := NewFile(new(countedImpl), "", 0)
					if _, err := tab.Install(f, false); err != nil {
						f.Release()
					}
				case 1:
					tab.Close(r.IntN(200))
				case 2:
					tab.DupTo(r.IntN(200), r.IntN(200), false)
				default:
					if f, err := tab.Get(r.IntN(200)); err == nil {
						if f.Impl().(*countedImpl).closed.Load() != 0 {
							t.Error("closed file")
						}
						f.Release()
					}
				}
			}
		})
	}
	wg.Wait()
	tab.Release()
}

func TestRecordLocks(t *testing.T) {
	n := newAnonInode()
	open := func() *File { return NewInodeFile(new(countedImpl), n, "", unix.O_RDWR) }
	f, g := open(), open()
	a, b := NewFDTable(10), NewFDTable(10)
	set := func(o *FDTable, excl bool, from, to int64) error {
		return f.SetLock(nil, RecordLock{Owner: o, Exclusive: excl, Start: from, End: to}, false)
	}
	check := func(what string, got, want error) {
		t.Helper()
		if got != want {
			t.Errorf("%s: %v", what, got)
		}
	}
	check("first", set(a, true, 0, 99), nil)
	check("conflict", set(b, false, 50, 60), unix.EAGAIN)
	check("beside", set(b, true, 100, 200), nil)
	f.Unlock(a, 40, 59)
	check("in the gap", set(b, true, 40, 59), nil)
	check("still held", set(b, true, 39, 39), unix.EAGAIN)
	check("own overlap", set(a, false, 0, 10), nil)
	check("shared", set(b, false, 5, 6), nil)
	if l, ok := f.GetLock(RecordLock{Owner: b, Exclusive: true, Start: 0, End: maxOffset}); !ok || l.Start > 99 {
		t.Errorf("%+v %v", l, ok)
	}
	// Closing any descriptor of the file drops the locks of that process only.
	fd, _ := a.Install(g, false)
	a.Close(fd)
	check("after close", set(b, true, 0, 39), nil)
	if _, ok := f.GetLock(RecordLock{Owner: a, Exclusive: true, Start: 100, End: 100}); !ok {
		t.Error("the other process lost its lock")
	}
	f.Unlock(b, 0, maxOffset)
	if len(n.Extra().records) != 0 {
		t.Errorf("%+v", n.Extra().records)
	}
	f.Release()
}

func TestFlock(t *testing.T) {
	n := newAnonInode()
	open := func() *File { return NewInodeFile(new(countedImpl), n, "", unix.O_RDWR) }
	f, g := open(), open()
	if err := f.Flock(nil, unix.LOCK_SH|unix.LOCK_NB, 1); err != nil {
		t.Fatal(err)
	}
	if err := g.Flock(nil, unix.LOCK_SH|unix.LOCK_NB, 1); err != nil {
		t.Fatal(err)
	}
	if err := g.Flock(nil, unix.LOCK_EX|unix.LOCK_NB, 1); err != unix.EWOULDBLOCK {
		t.Error(err)
	}
	f.Release() // the last reference drops the lock
	if err := g.Flock(nil, unix.LOCK_EX|unix.LOCK_NB, 1); err != nil {
		t.Error(err)
	}
	g.Release()
}

func TestPermits(t *testing.T) {
	user := &Creds{UID: 5, EUID: 5, FSUID: 5, GID: 6, FSGID: 6, Groups: []uint32{7}}
	for _, c := range []struct {
		c                    *Creds
		mode, uid, gid, want uint32
		ok                   bool
	}{
		{user, 0o700, 5, 0, MayRead | MayExec, true},
		{user, 0o077, 5, 6, MayRead, false}, // the owner's bits count, though the group's would do
		{user, 0o070, 1, 7, MayWrite, true},
		{user, 0o707, 1, 6, MayRead, false},
		{user, 0o704, 1, 1, MayRead, true},
		{&RootCreds, 0, 5, 5, MayRead | MayWrite, true},
		{&RootCreds, unix.S_IFREG | 0o666, 5, 5, MayExec, false},
		{&RootCreds, unix.S_IFREG | 0o001, 5, 5, MayExec, true},
		{&RootCreds, unix.S_IFDIR, 5, 5, MayExec, true},
	} {
		if c.c.permits(c.mode, c.uid, c.gid, c.want) != c.ok {
			t.Errorf("%+v", c)
		}
	}
}

// TestReserve keeps a descriptor for a file that is still to be made.
func TestReserve(t *testing.T) {
	tab := NewFDTable(3)
	open := func() *File { return NewFile(new(countedImpl), "test", unix.O_RDWR) }
	tab.Install(open(), false) //nolint:errcheck // there is room
	fd, err := tab.Reserve()
	if fd != 1 || err != nil {
		t.Fatalf("reserved %d, %v", fd, err)
	}
	if _, err := tab.Get(fd); err != unix.EBADF {
		t.Errorf("what is reserved is open: %v", err)
	}
	if err := tab.DupTo(0, fd, false); err != unix.EBUSY {
		t.Errorf("dup to what is reserved: %v", err)
	}
	if n, err := tab.Dup(0, 0, false); n != 2 || err != nil {
		t.Errorf("dup: %d, %v", n, err)
	}
	if _, err := tab.Reserve(); err != unix.EMFILE {
		t.Errorf("a fourth one: %v", err)
	}
	if n, err := tab.Clone().Install(open(), false); n != 1 || err != nil {
		t.Errorf("in a copy: %d, %v", n, err)
	}
	tab.Unreserve(fd)
	if n, err := tab.Reserve(); n != fd || err != nil {
		t.Errorf("reserved again: %d, %v", n, err)
	}
	tab.CloseRange(0, 10)
	f := open()
	tab.Fill(fd, f, true)
	if on, err := tab.Cloexec(fd); !on || err != nil {
		t.Errorf("filled: %v, %v", on, err)
	}
	if n, err := tab.Reserve(); n != 0 || err != nil {
		t.Errorf("the lowest: %d, %v", n, err)
	}
	tab.Release()
	tab.Fill(0, open(), false)
	if n := f.Impl().(*countedImpl).closed.Load(); n != 1 {
		t.Errorf("closed %d times", n)
	}
}
