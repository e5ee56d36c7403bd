package vfs

import (
	"strings"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// A Dentry is a name in the tree that leads to an inode. Dentries are kept while
// they are used (pinned, mounted on) and otherwise cached up to a limit.
type Dentry struct {
	sb    *Superblock
	inode Inode
	kind  uint32 // S_IFMT bits of the inode

	link  atomic.Pointer[dentryLink]
	first dentryLink

	pins    atomic.Int32 // open files, working directories, mounts
	mounted atomic.Int32 // mounts whose mount point this is
	used    atomic.Bool  // looked up since the last prune
	dead    atomic.Bool  // removed from the tree
	watched atomic.Int32 // pins that are watches
	told    atomic.Bool  // the watches know that the object is gone

	// mu guards the names in this directory: the cache below and the file
	// system's own.
	mu       sync.RWMutex
	children map[string]*Dentry
}

// dentryLink is a dentry's place; a rename replaces it.
type dentryLink struct {
	parent *Dentry // nil: root of its file system
	name   string
}

// negative stands in children for a name that does not exist.
var negative = new(Dentry)

// treeMu is held shared by every operation that walks the tree, until what it
// found is pinned, and exclusively by prune.
var treeMu sync.RWMutex

// maxDentries is how many dentries, negative ones included, a file system keeps
// before unused ones are dropped. A dentry with its map entry is about 250 bytes
// of Go heap.
var maxDentries int64 = 8192

// SetMaxDentries sets the limit of the dentry cache per file system; the boot
// code derives it from the size of memory.
func SetMaxDentries(n int) { atomic.StoreInt64(&maxDentries, int64(max(n, 256))) }

func newDentry(sb *Superblock, parent *Dentry, name string, inode Inode) *Dentry {
	d := &Dentry{sb: sb, inode: inode, kind: inode.Mode() & unix.S_IFMT}
	d.first = dentryLink{parent, name}
	d.link.Store(&d.first)
	return d
}

// Inode returns what the name leads to.
func (d *Dentry) Inode() Inode { return d.inode }

// Name returns the last component, "/" for a root.
func (d *Dentry) Name() string { return d.link.Load().name }

func (d *Dentry) parent() *Dentry { return d.link.Load().parent }

func (d *Dentry) isDir() bool { return d.kind == unix.S_IFDIR }

// child returns the dentry of name in directory d, ENOENT if there is none.
// cachedOnly asks for EAGAIN where the file system would have to be asked.
func (d *Dentry) child(c Caller, name string, cachedOnly bool) (*Dentry, error) {
	if !d.sb.volatile {
		d.mu.RLock()
		ch := d.children[name]
		d.mu.RUnlock()
		if ch == negative {
			return nil, unix.ENOENT
		}
		if ch != nil {
			if !ch.used.Load() {
				ch.used.Store(true)
			}
			return ch, nil
		}
	}
	if cachedOnly {
		return nil, unix.EAGAIN
	}
	d.mu.Lock()
	ch, err := d.childLocked(c, name)
	d.mu.Unlock()
	return ch, err
}

// nameMax is the longest name.
const nameMax = 255

// childLocked is child for who holds d.mu.
func (d *Dentry) childLocked(c Caller, name string) (*Dentry, error) {
	if len(name) > nameMax {
		return nil, unix.ENAMETOOLONG
	}
	ch := d.children[name]
	if !d.sb.volatile {
		if ch == negative {
			return nil, unix.ENOENT
		}
		if ch != nil {
			return ch, nil
		}
	}
	n, err := d.inode.Lookup(c, name)
	if f, ok := d.inode.(Forgetter); ok {
		for _, gone := range f.Gone() {
			d.forgetBelow(gone)
		}
	}
	switch {
	case err == unix.ENOENT:
		if d.sb.volatile {
			d.forgetBelow(name)
		} else if !d.dead.Load() {
			d.insert(strings.Clone(name), negative)
		}
		return nil, err
	case err != nil:
		return nil, err
	case ch != nil && ch.inode == n:
		return ch, nil
	}
	name = strings.Clone(name)
	ch = newDentry(d.sb, d, name, n)
	d.insert(name, ch)
	return ch, nil
}

// insert puts ch into the cache under name; d.mu is held.
func (d *Dentry) insert(name string, ch *Dentry) {
	if d.children == nil {
		d.children = make(map[string]*Dentry)
	}
	old := d.children[name]
	if old == nil && d.sb.cached.Add(1)&255 == 0 {
		d.sb.pruneSoon()
	}
	d.children[name] = ch
}

// A Forgetter is a directory in a volatile file system that knows which names are gone since it was last asked. What is
// cached of them would stay, and keep what they stood for, as long as there is room in the cache.
type Forgetter interface {
	Gone() []string
}

// forgetBelow drops name from the cache with all that is below it; d.mu is held.
// The tree below may be as deep as a program likes: a list, not recursion.
func (d *Dentry) forgetBelow(name string) {
	ch := d.children[name]
	if ch == nil {
		return
	}
	d.forget(name)
	if ch == negative {
		return
	}
	for list := []*Dentry{ch}; len(list) != 0; {
		dir := list[len(list)-1]
		list = list[:len(list)-1]
		dir.mu.Lock()
		for _, below := range dir.children {
			if below != negative {
				list = append(list, below)
			}
		}
		dir.sb.cached.Add(-int64(len(dir.children)))
		dir.children = nil
		dir.mu.Unlock()
	}
}

// forget drops name from the cache; d.mu is held.
func (d *Dentry) forget(name string) {
	if _, ok := d.children[name]; ok {
		delete(d.children, name)
		d.sb.cached.Add(-1)
	}
}

// removed notes that ch, the child called name, is gone from the tree; d.mu is held.
func (d *Dentry) removed(name string, ch *Dentry) {
	ch.dead.Store(true)
	if d.sb.volatile {
		d.forget(name)
	} else {
		d.insert(strings.Clone(name), negative)
	}
}

// instantiate puts a new inode under name; d.mu is held.
func (d *Dentry) instantiate(name string, n Inode) *Dentry {
	name = strings.Clone(name)
	ch := newDentry(d.sb, d, name, n)
	d.insert(name, ch)
	return ch
}

// isAncestorOf reports whether d is e or above it in the same file system.
func (d *Dentry) isAncestorOf(e *Dentry) bool {
	for ; e != nil; e = e.parent() {
		if e == d {
			return true
		}
	}
	return false
}

// pruneSoon is prune for who holds locks of the tree: calls that neither open a file nor look at one make dentries, too.
func (sb *Superblock) pruneSoon() {
	if sb.cached.Load() > atomic.LoadInt64(&maxDentries) && sb.pruning.CompareAndSwap(false, true) {
		go func() {
			sb.prune()
			sb.pruning.Store(false)
		}()
	}
}

// prune drops unused dentries when there are too many. The caller holds no lock.
func (sb *Superblock) prune() {
	limit := atomic.LoadInt64(&maxDentries)
	n := sb.cached.Load()
	if n <= limit || sb.overdue.Add(1) < sb.kept.Load() {
		return
	}
	if n > 4*limit {
		treeMu.Lock() // walks never let go: insist
	} else if !treeMu.TryLock() {
		return
	}
	for round := 0; round < 2 && sb.cached.Load() > limit/2; round++ {
		sb.pruneUnused()
	}
	// Where most dentries are in use, as those above a working directory are,
	// a walk of the tree for each new one would take quadratic time: the next
	// walk comes after as many operations as it has dentries to look at.
	sb.kept.Store(sb.cached.Load() - limit/2)
	sb.overdue.Store(0)
	treeMu.Unlock()
}

// pruneUnused drops what was not used since the last round; nobody else is in
// the tree.
func (sb *Superblock) pruneUnused() {
	dirs := sb.directories()
	for i := len(dirs) - 1; i >= 0; i-- { // those below come first: they may become empty
		dirs[i].pruneChildren()
	}
}

// directories lists the root and all dentries that have children, each behind
// its parent. treeMu is held exclusively. The tree may be as deep as a program
// likes: a list, not recursion.
func (sb *Superblock) directories() []*Dentry {
	dirs := []*Dentry{sb.root}
	for i := 0; i < len(dirs); i++ {
		for _, ch := range dirs[i].children {
			if len(ch.children) != 0 { // a negative dentry has none
				dirs = append(dirs, ch)
			}
		}
	}
	return dirs
}

// pruneChildren drops the children of d that have none themselves and were not
// used since the last round.
func (d *Dentry) pruneChildren() {
	for name, ch := range d.children {
		if ch != negative {
			if len(ch.children) != 0 || ch.pins.Load() != 0 || ch.mounted.Load() != 0 {
				continue
			}
			if ch.used.Load() {
				ch.used.Store(false)
				continue
			}
		}
		delete(d.children, name)
		d.sb.cached.Add(-1)
	}
	if len(d.children) == 0 {
		d.children = nil
	}
}

// Removed reports whether the name was taken away.
func (d *Dentry) Removed() bool { return d.dead.Load() }
