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
	p.pin()
	w.inode, w.path = p.Dentry.inode, p
	w.on.Store(true)
	e := w.inode.Extra()
	e.mu.Lock()
	e.watches = append(e.watches, w)
	e.mu.Unlock()
	watching.Add(1)
}

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
	w.path.unpin()
}

// tell tells the watches of an inode.
func tell(n Inode, event, cookie uint32, name string) {
	e := n.Extra()
	e.mu.Lock()
	list := e.watches[:len(e.watches):len(e.watches)]
	e.mu.Unlock()
	for _, w := range list {
		if w.on.Load() {
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
	if d == nil || watching.Load() == 0 {
		return
	}
	event |= dirBit(d)
	if l := d.link.Load(); l.parent != nil {
		tell(l.parent.inode, event, 0, l.name)
	}
	tell(d.inode, event, 0, "")
}

// happened tells of an event on an open file.
func (f *File) happened(event uint32) {
	if watching.Load() != 0 && f.path.Dentry != nil {
		f.path.Dentry.happened(event)
	}
}

// entry tells the watches of a directory about one of its entries.
func (d *Dentry) entry(event, cookie uint32, name string, isDir uint32) {
	if watching.Load() != 0 {
		tell(d.inode, event|isDir, cookie, name)
	}
}

// unlinked tells that the name of ch in d is gone, and if it was the last one,
// that the object is.
func (d *Dentry) unlinked(name string, ch *Dentry) {
	if watching.Load() == 0 {
		return
	}
	d.entry(unix.IN_DELETE, 0, name, dirBit(ch))
	ch.lost()
}

// lost tells the watches of an object that it has one name less.
func (ch *Dentry) lost() {
	var st Stat
	st.Nlink = 1
	if !ch.isDir() {
		tell(ch.inode, unix.IN_ATTRIB, 0, "")
		if ch.inode.Stat(&st) == nil && st.Nlink > 0 {
			return
		}
	}
	tell(ch.inode, unix.IN_DELETE_SELF, 0, "")
}

// renamed tells of a rename.
func renamed(a, b *Dentry, oldName, newName string, child, target *Dentry, exchange bool) {
	if watching.Load() == 0 {
		return
	}
	move := func(from, to *Dentry, name, newName string, ch *Dentry) {
		cookie := lastCookie.Add(1)
		from.entry(unix.IN_MOVED_FROM, cookie, name, dirBit(ch))
		to.entry(unix.IN_MOVED_TO, cookie, newName, dirBit(ch))
		tell(ch.inode, unix.IN_MOVE_SELF|dirBit(ch), 0, "")
	}
	move(a, b, oldName, newName, child)
	switch {
	case exchange:
		move(b, a, newName, oldName, target)
	case target != nil:
		target.lost()
	}
}
