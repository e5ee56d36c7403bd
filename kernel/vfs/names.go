package vfs

import (
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"
)

// renameMu serializes renames between directories, so that "is above" does not
// change while one looks.
var renameMu sync.Mutex

// mayCreate checks that the caller may add names to the locked directory p.
func mayCreate(c Caller, p Path) error {
	if p.Dentry.dead.Load() {
		return unix.ENOENT
	}
	if err := p.writable(); err != nil {
		return err
	}
	return c.Creds.access(p.Dentry.inode, MayWrite|MayExec)
}

// mayRemove checks that the caller may take the name of child out of the locked
// directory p.
func mayRemove(c Caller, p Path, child *Dentry) error {
	if err := p.writable(); err != nil {
		return err
	}
	n := p.Dentry.inode
	if err := c.Creds.access(n, MayWrite|MayExec); err != nil {
		return err
	}
	if n.Mode()&unix.S_ISVTX != 0 {
		dirUID, _ := n.Owner()
		uid, _ := child.inode.Owner()
		if c.Creds.FSUID != uid && c.Creds.FSUID != dirUID && !c.Creds.Has(unix.CAP_FOWNER) {
			return unix.EPERM
		}
	}
	return nil
}

// newArgs fills in the owner of an object made in directory n, and its mode
// (open(2): set-group-ID directories pass on their group).
func (x *FSContext) newArgs(c Caller, n Inode, a *CreateArgs) {
	a.UID, a.GID = c.Creds.FSUID, c.Creds.FSGID
	if a.Mode&unix.S_IFMT != unix.S_IFLNK {
		a.Mode &^= x.Umask()
	}
	if mode := n.Mode(); mode&unix.S_ISGID != 0 {
		_, a.GID = n.Owner()
		if a.Mode&unix.S_IFMT == unix.S_IFDIR {
			a.Mode |= unix.S_ISGID
		} else if a.Mode&(unix.S_ISGID|0o010) == unix.S_ISGID|0o010 && !c.Creds.InGroup(a.GID) && !c.Creds.Has(unix.CAP_FSETID) {
			a.Mode &^= unix.S_ISGID
		}
	}
}

// create adds an object at path.
func (x *FSContext) create(c Caller, dir *File, path string, a CreateArgs) error {
	treeMu.RLock()
	defer treeMu.RUnlock()
	var w walker
	if err := x.begin(&w, c, dir, path); err != nil {
		return err
	}
	last, slash, err := w.parent(path)
	if err != nil {
		return err
	}
	if last == "" || last == "." || last == ".." {
		return unix.EEXIST
	}
	d := w.cur.Dentry
	d.mu.Lock()
	defer d.mu.Unlock()
	if _, err := d.childLocked(c, last); err == nil {
		return unix.EEXIST
	} else if err != unix.ENOENT {
		return err
	}
	if slash && a.Mode&unix.S_IFMT != unix.S_IFDIR {
		return unix.ENOENT
	}
	if err := mayCreate(c, w.cur); err != nil {
		return err
	}
	x.newArgs(c, d.inode, &a)
	n, err := d.inode.Create(last, &a)
	if err != nil {
		return err
	}
	d.entry(unix.IN_CREATE, 0, last, dirBit(d.instantiate(last, n)))
	return nil
}

// Mkdir is mkdirat(2).
func (x *FSContext) Mkdir(c Caller, dir *File, path string, mode uint32) error {
	return x.create(c, dir, path, CreateArgs{Mode: unix.S_IFDIR | mode&0o1777})
}

// Mknod is mknodat(2).
func (x *FSContext) Mknod(c Caller, dir *File, path string, mode uint32, rdev uint64) error {
	switch mode & unix.S_IFMT {
	case 0:
		mode |= unix.S_IFREG
	case unix.S_IFREG, unix.S_IFIFO, unix.S_IFSOCK:
	case unix.S_IFCHR, unix.S_IFBLK:
		if !c.Creds.Has(unix.CAP_MKNOD) {
			return unix.EPERM
		}
	case unix.S_IFDIR:
		return unix.EPERM
	default:
		return unix.EINVAL
	}
	return x.create(c, dir, path, CreateArgs{Mode: mode & (unix.S_IFMT | 0o7777), Rdev: rdev})
}

// Symlink is symlinkat(2).
func (x *FSContext) Symlink(c Caller, target string, dir *File, path string) error {
	if target == "" {
		return unix.ENOENT
	}
	return x.create(c, dir, path, CreateArgs{Mode: unix.S_IFLNK | 0o777, Target: target})
}

// Link is linkat(2): flags are AT_SYMLINK_FOLLOW and AT_EMPTY_PATH.
func (x *FSContext) Link(c Caller, oldDir *File, oldPath string, newDir *File, newPath string, flags int) error {
	treeMu.RLock()
	defer treeMu.RUnlock()
	at := flags & unix.AT_EMPTY_PATH
	if flags&unix.AT_SYMLINK_FOLLOW == 0 {
		at |= unix.AT_SYMLINK_NOFOLLOW
	}
	old, err := x.resolve(c, oldDir, oldPath, at)
	if err != nil {
		return err
	}
	var w walker
	if err := x.begin(&w, c, newDir, newPath); err != nil {
		return err
	}
	last, slash, err := w.parent(newPath)
	if err != nil {
		return err
	}
	if last == "" || last == "." || last == ".." {
		return unix.EEXIST
	}
	d := w.cur.Dentry
	d.mu.Lock()
	defer d.mu.Unlock()
	if _, err := d.childLocked(c, last); err == nil {
		return unix.EEXIST
	} else if err != unix.ENOENT {
		return err
	}
	if slash || d.dead.Load() {
		return unix.ENOENT
	}
	if old.Dentry.sb != d.sb || old.Mount != w.cur.Mount {
		return unix.EXDEV
	}
	if err := mayCreate(c, w.cur); err != nil {
		return err
	}
	n := old.Dentry.inode
	if err := mayLink(c, n); err != nil {
		return err
	}
	if old.Dentry.isDir() {
		return unix.EPERM
	}
	if err := d.inode.Link(last, n); err != nil {
		return err
	}
	d.instantiate(last, n)
	if watching.Load() != 0 {
		tell(n, unix.IN_ATTRIB, 0, "") // the count of links
		d.entry(unix.IN_CREATE, 0, last, 0)
	}
	return nil
}

// Unlink is unlinkat(2): unlink(2), or with AT_REMOVEDIR rmdir(2).
func (x *FSContext) Unlink(c Caller, dir *File, path string, flags int) error {
	treeMu.RLock()
	defer treeMu.RUnlock()
	rmdir := flags&unix.AT_REMOVEDIR != 0
	var w walker
	if err := x.begin(&w, c, dir, path); err != nil {
		return err
	}
	last, slash, err := w.parent(path)
	if err != nil {
		return err
	}
	switch {
	case !rmdir && (last == "" || last == "." || last == ".."):
		return unix.EISDIR
	case last == "":
		return unix.EBUSY
	case last == ".":
		return unix.EINVAL
	case last == "..":
		return unix.ENOTEMPTY
	}
	d := w.cur.Dentry
	d.mu.Lock()
	defer d.mu.Unlock()
	ch, err := d.childLocked(c, last)
	if err != nil {
		return err
	}
	if slash && !rmdir {
		if ch.isDir() {
			return unix.EISDIR
		}
		return unix.ENOTDIR
	}
	if err := mayRemove(c, w.cur, ch); err != nil {
		return err
	}
	if rmdir {
		if !ch.isDir() {
			return unix.ENOTDIR
		}
	} else if ch.isDir() {
		return unix.EISDIR
	}
	if ch.mounted.Load() != 0 {
		return unix.EBUSY
	}
	if ch.isDir() {
		ch.mu.Lock() // nobody adds a name between the check for emptiness and the mark
		defer ch.mu.Unlock()
	}
	if err := d.inode.Remove(last, ch.inode); err != nil {
		return err
	}
	d.removed(last, ch)
	d.unlinked(last, ch)
	return nil
}

// lockPair locks the two directories of a rename and returns what unlocks them.
func lockPair(a, b *Dentry) (unlock func()) {
	if a == b {
		a.mu.Lock()
		return a.mu.Unlock
	}
	renameMu.Lock()
	first, second := a, b
	switch {
	case a.isAncestorOf(b):
	case b.isAncestorOf(a), uintptr(unsafe.Pointer(b)) < uintptr(unsafe.Pointer(a)):
		first, second = b, a
	}
	first.mu.Lock()
	second.mu.Lock()
	return func() {
		second.mu.Unlock()
		first.mu.Unlock()
		renameMu.Unlock()
	}
}

// A Whiteouter is a directory that can make whiteouts: device nodes 0, 0 without permissions, which an overlay takes for a
// name that is gone (RENAME_WHITEOUT).
type Whiteouter interface {
	// Whiteout makes one without a name; EINVAL.
	Whiteout(uid, gid uint32) (Inode, error)
}

// whiteout makes the one that a rename out of directory n leaves.
func whiteout(c Caller, n Inode) (Inode, error) {
	w, ok := n.(Whiteouter)
	if !ok {
		return nil, unix.EINVAL
	}
	return w.Whiteout(c.Creds.FSUID, c.Creds.FSGID)
}

// Rename is renameat2(2).
func (x *FSContext) Rename(c Caller, oldDir *File, oldPath string, newDir *File, newPath string, flags uint32) error {
	const kinds = unix.RENAME_NOREPLACE | unix.RENAME_WHITEOUT
	if flags&^(kinds|unix.RENAME_EXCHANGE) != 0 || flags&unix.RENAME_EXCHANGE != 0 && flags&kinds != 0 {
		return unix.EINVAL
	}
	treeMu.RLock()
	defer treeMu.RUnlock()
	var from, to walker
	if err := x.begin(&from, c, oldDir, oldPath); err != nil {
		return err
	}
	oldName, oldSlash, err := from.parent(oldPath)
	if err != nil {
		return err
	}
	if err := x.begin(&to, c, newDir, newPath); err != nil {
		return err
	}
	newName, newSlash, err := to.parent(newPath)
	if err != nil {
		return err
	}
	if from.cur.Mount != to.cur.Mount || from.cur.Dentry.sb != to.cur.Dentry.sb {
		return unix.EXDEV
	}
	switch {
	case oldName == "" || oldName == "." || oldName == "..":
		return unix.EBUSY
	case newName == "" || newName == "." || newName == "..":
		if flags&unix.RENAME_NOREPLACE != 0 {
			return unix.EEXIST
		}
		return unix.EBUSY
	}
	a, b := from.cur.Dentry, to.cur.Dentry
	unlock := lockPair(a, b)
	defer unlock()
	child, err := a.childLocked(c, oldName)
	if err != nil {
		return err
	}
	target, err := b.childLocked(c, newName)
	if err != nil && err != unix.ENOENT {
		return err
	}
	if target == nil && b.dead.Load() {
		return unix.ENOENT // before all complaints about the names
	}
	exchange := flags&unix.RENAME_EXCHANGE != 0
	switch {
	case target != nil && flags&unix.RENAME_NOREPLACE != 0:
		return unix.EEXIST
	case target == nil && exchange:
		return unix.ENOENT
	}
	if exchange && newSlash && !target.isDir() {
		return unix.ENOTDIR
	}
	if !child.isDir() && (oldSlash || !exchange && newSlash) {
		return unix.ENOTDIR
	}
	if child.isAncestorOf(b) {
		return unix.EINVAL // into its own subtree
	}
	if target != nil && target.isAncestorOf(a) {
		if exchange {
			return unix.EINVAL
		}
		return unix.ENOTEMPTY
	}
	if target != nil && target.inode == child.inode {
		return nil // two names of one file: nothing happens
	}
	if err := mayRename(c, from.cur, to.cur, child, target, exchange); err != nil {
		return err
	}
	if child.mounted.Load() != 0 || target != nil && target.mounted.Load() != 0 {
		return unix.EBUSY
	}
	var white Inode
	if flags&unix.RENAME_WHITEOUT != 0 {
		if !c.Creds.Has(unix.CAP_MKNOD) {
			return unix.EPERM
		}
		if white, err = whiteout(c, a.inode); err != nil {
			return err
		}
		white.Retain() // the end of the call frees it if it got no name
		defer white.Release()
	}
	var replaced Inode
	if target != nil {
		replaced = target.inode
		if !exchange && target.isDir() {
			target.mu.Lock()
			defer target.mu.Unlock()
		}
	}
	if err := a.inode.Rename(oldName, child.inode, b.inode, newName, replaced, exchange); err != nil {
		return err
	}
	moveDentry(a, b, oldName, newName, child, target, exchange)
	if white != nil && a.inode.Link(oldName, white) == nil {
		a.instantiate(oldName, white)
	}
	renamed(a, b, oldName, newName, child, target, exchange)
	return nil
}

// mayRename checks permissions and types; the directories are locked.
func mayRename(c Caller, from, to Path, child, target *Dentry, exchange bool) error {
	if err := mayRemove(c, from, child); err != nil {
		return err
	}
	if target == nil {
		if err := mayCreate(c, to); err != nil {
			return err
		}
	} else {
		if err := mayRemove(c, to, target); err != nil {
			return err
		}
		if !exchange {
			if child.isDir() && !target.isDir() {
				return unix.ENOTDIR
			}
			if !child.isDir() && target.isDir() {
				return unix.EISDIR
			}
		}
	}
	// A directory that gets another parent has its ".." written.
	if from.Dentry != to.Dentry {
		if child.isDir() {
			if err := c.Creds.access(child.inode, MayWrite); err != nil {
				return err
			}
		}
		if exchange && target.isDir() {
			return c.Creds.access(target.inode, MayWrite)
		}
	}
	return nil
}

// moveDentry makes the cache follow a rename.
func moveDentry(a, b *Dentry, oldName, newName string, child, target *Dentry, exchange bool) {
	l := &dentryLink{b, cloneName(newName)}
	child.link.Store(l)
	b.insert(l.name, child)
	if exchange {
		l := &dentryLink{a, cloneName(oldName)}
		target.link.Store(l)
		a.insert(l.name, target)
		return
	}
	if target != nil {
		target.dead.Store(true)
	}
	if a.sb.volatile {
		a.forget(oldName)
	} else {
		a.insert(cloneName(oldName), negative)
	}
}
