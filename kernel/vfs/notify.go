package vfs

import (
	"slices"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// A Watch is told of what happens to an inode (inotify(7)). Notify runs under
// locks of the tree: it may take its own lock and wake somebody, no more.
type Watch struct {
	// Notify gets the IN_* bit of the event, with IN_ISDIR for a directory; the
	// cookie that connects the two halves of a rename; and, when it happened to
	// an entry of the watched directory, the entry's name.
	Notify func(event, cookie uint32, name string)

	// ExclUnlink keeps events of files away whose name is gone (IN_EXCL_UNLINK). It may change at any time.
	ExclUnlink atomic.Bool

	inode Inode
	path  Path
	on    atomic.Bool
}

// watching is how many watches there are: nothing is looked up while it is 0.
var watching atomic.Int32

// lastCookie is that of the last rename.
var lastCookie atomic.Uint32

// Watch finds path and has w told of what happens to it; flags are
// AT_SYMLINK_NOFOLLOW. found decides, about the inode: with an error or false
// nothing is watched. EACCES, ENOTDIR, and those of path_resolution(7).
func (x *FSContext) Watch(c Caller, path string, flags int, directory bool, found func(Inode) (*Watch, error)) error {
	treeMu.RLock()
	defer treeMu.RUnlock()
	p, err := x.resolve(c, nil, path, flags)
	if err != nil {
		return err
	}
	n := p.Dentry.inode
	if directory && !p.Dentry.isDir() {
		return unix.ENOTDIR
	}
	if err := c.Creds.access(n, MayRead); err != nil {
		return err
	}
	w, err := found(n)
	if err != nil || w == nil {
		return err
	}
	w.begin(p)
	return nil
}

// watch has w told of what happens to an open file.
func (f *File) watch(w *Watch) {
	treeMu.RLock()
	defer treeMu.RUnlock()
	w.begin(f.path)
}

// begin watches p; treeMu is held.
func (w *Watch) begin(p Path) {
	p.Dentry.watched.Add(1) // before the pin: see unused
	p.pin()
	w.inode, w.path = p.Dentry.inode, p
	w.on.Store(true)
	e := w.inode.Extra()
	e.mu.Lock()
	e.watches = append(e.watches, w)
	e.mu.Unlock()
	watching.Add(1)
}

// Stat tells about what is watched.
func (w *Watch) Stat(st *Stat) error { return w.path.Stat(st) }

// Remove ends the watch.
func (w *Watch) Remove() {
	if !w.on.Swap(false) {
		return
	}
	e := w.inode.Extra()
	e.mu.Lock()
	// Whoever looks through the list has the old one.
	e.watches = slices.DeleteFunc(slices.Clone(e.watches), func(o *Watch) bool { return o == w })
	e.mu.Unlock()
	watching.Add(-1)
	w.path.Dentry.watched.Add(-1)
	w.path.unpin()
}

// tell tells the watches of an inode.
func tell(n Inode, event, cookie uint32, name string) { tellOf(n, event, cookie, name, false) }

// tellOf is tell of an event on an open file; unlinked says that the name it was opened by is gone.
func tellOf(n Inode, event, cookie uint32, name string, unlinked bool) {
	e := n.Extra()
	e.mu.Lock()
	list := e.watches[:len(e.watches):len(e.watches)]
	e.mu.Unlock()
	for _, w := range list {
		if w.on.Load() && !(unlinked && w.ExclUnlink.Load()) {
			w.Notify(event, cookie, name)
		}
	}
}

func dirBit(d *Dentry) uint32 {
	if d.isDir() {
		return unix.IN_ISDIR
	}
	return 0
}

// happened tells the watches of the directory that d is in, and of what it is.
func (d *Dentry) happened(event uint32) {
	if d != nil && watching.Load() != 0 {
		d.happenedIn(event, false)
	}
}

func (d *Dentry) happenedIn(event uint32, unlinked bool) {
	event |= dirBit(d)
	if l := d.link.Load(); l.parent != nil {
		tellOf(l.parent.inode, event, 0, l.name, unlinked)
	}
	tellOf(d.inode, event, 0, "", unlinked)
}

// happened tells of an event on an open file.
func (f *File) happened(event uint32) {
	if d := f.path.Dentry; d != nil && watching.Load() != 0 {
		d.happenedIn(event, d.dead.Load())
	}
}

// NotifyAccess and NotifyModify tell of a transfer that did not go through Read and Write, of n bytes.
func (f *File) NotifyAccess(n int64) {
	if n > 0 {
		f.happened(unix.IN_ACCESS)
	}
}

// NotifyModify is NotifyAccess for the file that was written to.
func (f *File) NotifyModify(n int64) {
	if n > 0 {
		f.happened(unix.IN_MODIFY)
	}
}

// entry tells the watches of a directory about one of its entries.
func (d *Dentry) entry(event, cookie uint32, name string, isDir uint32) {
	if watching.Load() != 0 {
		tell(d.inode, event|isDir, cookie, name)
	}
}

// unlinked tells that the name of ch in d is gone: the object first, and if nothing uses it any more, that it is gone.
func (d *Dentry) unlinked(name string, ch *Dentry) {
	if watching.Load() == 0 {
		return
	}
	if !ch.isDir() {
		tell(ch.inode, unix.IN_ATTRIB, 0, "") // the count of links
	}
	ch.lost()
	d.entry(unix.IN_DELETE, 0, name, dirBit(ch))
}

// lost tells, once, the watches of an object without a name that nothing uses any more. Who takes the name away calls it, and
// who lets go of a dentry that is dead.
func (ch *Dentry) lost() {
	if watching.Load() == 0 || !ch.unused() {
		return
	}
	if !ch.isDir() {
		st := Stat{Nlink: 1}
		if ch.inode.Stat(&st) == nil && st.Nlink > 0 {
			return
		}
	}
	if !ch.told.Swap(true) {
		tell(ch.inode, unix.IN_DELETE_SELF, 0, "")
	}
}

// unused reports that nothing but watches pins the dentry. A watch is counted before it pins, and stops to be before it
// unpins, so that the answer is never true too early.
func (d *Dentry) unused() bool { return d.pins.Load() <= d.watched.Load() }

// unmounted tells the watches of everything in a file system that it is gone. Nobody else is in the tree.
func (sb *Superblock) unmounted() {
	if watching.Load() == 0 {
		return
	}
	for list := []*Dentry{sb.root}; len(list) > 0; {
		d := list[len(list)-1]
		list = list[:len(list)-1]
		if d.watched.Load() != 0 {
			tell(d.inode, unix.IN_UNMOUNT|dirBit(d), 0, "")
		}
		for _, ch := range d.children {
			if ch != negative {
				list = append(list, ch)
			}
		}
	}
}

// renamed tells of a rename.
func renamed(a, b *Dentry, oldName, newName string, child, target *Dentry, exchange bool) {
	if watching.Load() == 0 {
		return
	}
	move := func(from, to *Dentry, name, newName string, ch, over *Dentry) {
		cookie := lastCookie.Add(1)
		from.entry(unix.IN_MOVED_FROM, cookie, name, dirBit(ch))
		to.entry(unix.IN_MOVED_TO, cookie, newName, dirBit(ch))
		if over != nil {
			tell(over.inode, unix.IN_ATTRIB|dirBit(over), 0, "")
		}
		tell(ch.inode, unix.IN_MOVE_SELF, 0, "")
	}
	if exchange {
		move(a, b, oldName, newName, child, nil)
		move(b, a, newName, oldName, target, nil)
		return
	}
	move(a, b, oldName, newName, child, target)
	if target != nil {
		target.lost()
	}
}
