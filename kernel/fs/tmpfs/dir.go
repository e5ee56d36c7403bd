package tmpfs

import (
	"slices"
	"strings"

	"golang.org/x/sys/unix"
	"gosv/kernel/vfs"
)

// names are the entries of a directory. Every entry has a key that grows, which
// is its readdir position. An entry without an inode is a whiteout: the lower
// directory has the name, this one has not.
type names struct {
	byName map[string]*entry
	order  []*entry // by key; entries that went are nil
	gone   int
	next   int64
	white  int
}

type entry struct {
	name string
	n    *Inode
	key  int64
}

// firstKey leaves room for "." and "..".
const firstKey = 3

// lowerKey is where the positions of the lower directory's entries start.
const lowerKey = 1 << 40

func (d *names) count() int { return len(d.byName) - d.white }

func (d *names) get(name string) *entry { return d.byName[name] }

func (d *names) put(name string, n *Inode) {
	if d.byName == nil {
		d.byName = make(map[string]*entry)
	}
	name = strings.Clone(name)
	if old := d.byName[name]; old != nil {
		d.drop(old)
	}
	d.next++
	e := &entry{name, n, firstKey - 1 + d.next}
	d.byName[name] = e
	d.order = append(d.order, e)
	if n == nil {
		d.white++
	}
}

func (d *names) drop(e *entry) {
	delete(d.byName, e.name)
	if e.n == nil {
		d.white--
	}
	i, found := d.find(e.key)
	if !found {
		return
	}
	d.order[i] = nil
	d.gone++
	if d.gone > 16 && d.gone > len(d.order)/2 {
		d.order = slices.DeleteFunc(d.order, func(e *entry) bool { return e == nil })
		d.gone = 0
	}
}

// find returns where key is in order, or would be.
func (d *names) find(key int64) (int, bool) {
	lo, hi := 0, len(d.order)
	for lo < hi {
		mid := (lo + hi) / 2
		// Holes have no key: look at the next entry that has one.
		i := mid
		for i < hi && d.order[i] == nil {
			i++
		}
		switch {
		case i == hi:
			hi = mid
		case d.order[i].key < key:
			lo = i + 1
		default:
			if d.order[i].key == key {
				return i, true
			}
			hi = mid
		}
	}
	return lo, false
}

func asInode(n vfs.Inode) *Inode { i, _ := n.(*Inode); return i }

func (n *Inode) Lookup(c vfs.Caller, name string) (vfs.Inode, error) {
	if n.names == nil {
		return nil, unix.ENOTDIR
	}
	n.mu.Lock()
	e := n.names.get(name)
	n.mu.Unlock()
	if e != nil {
		if e.n == nil {
			return nil, unix.ENOENT
		}
		return e.n, nil
	}
	if n.lower == nil {
		return nil, unix.ENOENT
	}
	l, err := n.lower.Lookup(c, name)
	if err != nil {
		return nil, err
	}
	return n.fs.shadow(l)
}

// add enters ch under name.
func (n *Inode) add(name string, ch *Inode) {
	n.mu.Lock()
	n.names.put(name, ch)
	if ch.kind() == unix.S_IFDIR {
		n.nlink++
	}
	n.touch(modified, statusChanged)
	n.mu.Unlock()
	n.keep()
}

// remove takes name away; if the lower directory has it, a whiteout stays.
func (n *Inode) remove(name string, ch *Inode) {
	white := false
	if n.lower != nil {
		_, err := n.lower.Lookup(vfs.Kernel(), name)
		white = err != unix.ENOENT
	}
	n.mu.Lock()
	if e := n.names.get(name); e != nil {
		n.names.drop(e)
	}
	if white {
		n.names.put(name, nil)
	}
	if ch.kind() == unix.S_IFDIR {
		n.nlink--
	}
	n.touch(modified, statusChanged)
	n.mu.Unlock()
	n.keep()
}

func (n *Inode) Create(name string, a *vfs.CreateArgs) (vfs.Inode, error) {
	if n.isDead() {
		return nil, unix.ENOENT
	}
	ch, err := n.fs.makeInode(a)
	if err != nil {
		return nil, err
	}
	if ch.kind() == unix.S_IFDIR {
		ch.nlink = 2
	}
	n.add(name, ch)
	return ch, nil
}

func (n *Inode) isDead() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.nlink == 0
}

func (n *Inode) Tmpfile(a *vfs.CreateArgs) (vfs.Inode, error) {
	ch, err := n.fs.makeInode(a)
	if err != nil {
		return nil, err
	}
	ch.nlink, ch.linkable = 0, !a.Excl
	return ch, nil
}

// Whiteout implements vfs.Whiteouter. An overlay has none to give, as on Linux.
func (n *Inode) Whiteout(uid, gid uint32) (vfs.Inode, error) {
	if n.fs.lower != nil {
		return nil, unix.EINVAL
	}
	return n.Tmpfile(&vfs.CreateArgs{Mode: unix.S_IFCHR, UID: uid, GID: gid})
}

func (n *Inode) Link(name string, target vfs.Inode) error {
	ch := asInode(target)
	if ch == nil {
		return unix.EXDEV
	}
	ch.mu.Lock()
	if ch.nlink == 0 && (!ch.linkable || ch.freed) {
		ch.mu.Unlock()
		return unix.ENOENT
	}
	if ch.nlink >= 1<<31 {
		ch.mu.Unlock()
		return unix.EMLINK
	}
	ch.nlink++
	ch.linkable = false
	ch.touch(statusChanged)
	ch.mu.Unlock()
	ch.keep()
	n.add(name, ch)
	return nil
}

func (n *Inode) Remove(name string, child vfs.Inode) error {
	ch := asInode(child)
	if ch.kind() == unix.S_IFDIR {
		if empty, err := ch.empty(); err != nil {
			return err
		} else if !empty {
			return unix.ENOTEMPTY
		}
	}
	n.remove(name, ch)
	ch.unlink()
	return nil
}

func (n *Inode) Rename(name string, child vfs.Inode, newDir vfs.Inode, newName string, replaced vfs.Inode, exchange bool) error {
	ch, to, old := asInode(child), asInode(newDir), asInode(replaced)
	if to == nil {
		return unix.EXDEV
	}
	if to.isDead() {
		return unix.ENOENT
	}
	if old != nil && !exchange && old.kind() == unix.S_IFDIR {
		if empty, err := old.empty(); err != nil {
			return err
		} else if !empty {
			return unix.ENOTEMPTY
		}
	}
	n.remove(name, ch)
	if old != nil {
		to.remove(newName, old)
	}
	to.add(newName, ch)
	if exchange {
		n.add(name, old)
	} else if old != nil {
		old.unlink()
	}
	ch.mu.Lock()
	ch.touch(statusChanged)
	ch.mu.Unlock()
	return nil
}

// dirFile is an open directory: the inode itself.
type dirFile struct {
	vfs.DirFileDefaults
	n *Inode
}

func (d *dirFile) ReadDir(f *vfs.File, pos int64, emit func(vfs.Dirent) bool) error {
	pos, ok := vfs.EmitDots(f, d.n.ino, pos, emit)
	if !ok {
		return nil
	}
	if pos < lowerKey {
		for _, e := range d.n.entriesAfter(pos) {
			if !emit(vfs.Dirent{Ino: e.n.ino, Off: e.key, Type: vfs.DirentType(e.n.mode.Load()), Name: e.name}) {
				return nil
			}
		}
		pos = lowerKey
	}
	f.Accessed()
	if d.n.lower == nil {
		return nil
	}
	return d.n.readLower(f, pos-lowerKey, emit)
}

// entriesAfter returns the entries behind a position.
func (n *Inode) entriesAfter(pos int64) []*entry {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.names.count() == 0 {
		return nil
	}
	i, found := n.names.find(pos)
	if found {
		i++
	}
	list := make([]*entry, 0, len(n.names.order)-i)
	for _, e := range n.names.order[i:] {
		if e != nil && e.n != nil {
			list = append(list, e)
		}
	}
	return list
}
