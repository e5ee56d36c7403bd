package vfs

import (
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
	"gosv/abi/linux"
)

// A dirNotify is what a process wants to be told of a directory by signals:
// F_NOTIFY of fcntl(2). It is the process's and the open file's, whichever
// descriptor that has.
type dirNotify struct {
	Watch
	key dirNotifyKey

	// Guarded by dirNotifies.mu.
	fd     int
	mask   uint32 // DN_*
	cookie uint32 // of the last rename out of the directory
}

type dirNotifyKey struct {
	file  *File
	table *FDTable
}

// dirNotifies are all that there are. mu is taken under the locks of the tree.
var dirNotifies struct {
	n   atomic.Int32
	mu  sync.Mutex
	all map[dirNotifyKey]*dirNotify
}

// NotifyDir has the owner of f signalled when one of the DN_* events of mask
// happens in the directory, once or with DN_MULTISHOT always; no event ends
// that. A file without an owner gets one. ENOTDIR.
func (f *File) NotifyDir(t *FDTable, fd int, mask uint32, owner FileOwner) error {
	if mask&^linux.DN_MULTISHOT == 0 {
		f.endNotify(t)
		return nil
	}
	if f.inode.Mode()&unix.S_IFMT != unix.S_IFDIR {
		return unix.ENOTDIR
	}
	if o := f.Owner(); o == nil || o.PID == 0 {
		if o != nil {
			owner.Signal = o.Signal
		}
		f.SetOwner(&owner)
	}
	fresh := &dirNotify{key: dirNotifyKey{f, t}}
	fresh.Notify = fresh.notify
	f.watch(&fresh.Watch)
	all := &dirNotifies
	all.mu.Lock()
	d := all.all[fresh.key]
	if d == nil {
		if all.all == nil {
			all.all = make(map[dirNotifyKey]*dirNotify)
		}
		d = fresh
		all.all[d.key] = d
		all.n.Add(1)
	}
	d.fd = fd
	d.mask |= mask
	all.mu.Unlock()
	if d != fresh {
		fresh.Remove()
	}
	// Another thread may have closed it meanwhile.
	g, err := t.Get(fd)
	if err == nil {
		g.Release()
	}
	if g != f {
		f.endNotify(t)
	}
	return nil
}

// endNotify is what closing any descriptor of a file does to the process's
// F_NOTIFY on it.
func (f *File) endNotify(t *FDTable) {
	all := &dirNotifies
	if all.n.Load() == 0 {
		return
	}
	all.mu.Lock()
	d := all.all[dirNotifyKey{f, t}]
	d.forget()
	all.mu.Unlock()
	if d != nil {
		d.Remove()
	}
}

// forget takes d out of the map; mu is held.
func (d *dirNotify) forget() {
	if d != nil && dirNotifies.all[d.key] == d {
		delete(dirNotifies.all, d.key)
		dirNotifies.n.Add(-1)
		d.mask = 0
	}
}

// notify is told by the tree.
func (d *dirNotify) notify(event, cookie uint32, _ string) {
	all := &dirNotifies
	all.mu.Lock()
	defer all.mu.Unlock()
	if d.mask&d.events(event, cookie) == 0 {
		return
	}
	d.key.file.signalIO(d.fd, linux.POLL_MSG)
	if d.mask&linux.DN_MULTISHOT == 0 {
		d.forget()
		go d.Remove() // not here, under the locks of the tree
	}
}

// events are the DN_* bits of an event of inotify. A rename is one if it stays
// in the directory.
func (d *dirNotify) events(event, cookie uint32) (dn uint32) {
	for _, e := range [...]struct{ in, dn uint32 }{
		{unix.IN_ACCESS, linux.DN_ACCESS}, {unix.IN_MODIFY, linux.DN_MODIFY}, {unix.IN_ATTRIB, linux.DN_ATTRIB},
		{unix.IN_CREATE | unix.IN_MOVED_TO, linux.DN_CREATE}, {unix.IN_DELETE | unix.IN_MOVED_FROM, linux.DN_DELETE},
	} {
		if event&e.in != 0 {
			dn |= e.dn
		}
	}
	if event&unix.IN_MOVED_FROM != 0 {
		d.cookie = cookie
	} else if event&unix.IN_MOVED_TO != 0 && d.cookie == cookie {
		dn |= linux.DN_RENAME
	}
	return dn
}
