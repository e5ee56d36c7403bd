package vfs

import (
	"strings"

	"golang.org/x/sys/unix"
)

// Stat is stat(2), lstat(2), fstatat(2): flags are AT_SYMLINK_NOFOLLOW and
// AT_EMPTY_PATH.
func (x *FSContext) Stat(c Caller, dir *File, path string, flags int, st *Stat) error {
	if path == "" && dir != nil && flags&unix.AT_EMPTY_PATH != 0 {
		return dir.Stat(st)
	}
	treeMu.RLock()
	p, err := x.resolve(c, dir, path, flags)
	if err == nil {
		err = p.Stat(st)
	}
	treeMu.RUnlock()
	if p.Dentry != nil {
		p.Dentry.sb.prune()
	}
	return err
}

// Access is faccessat2(2) with want made of MayRead, MayWrite, MayExec; AT_EACCESS
// checks with the effective credentials.
func (x *FSContext) Access(c Caller, dir *File, path string, want uint32, flags int) error {
	if flags&unix.AT_EACCESS == 0 {
		real := *c.Creds
		real.FSUID, real.FSGID = real.UID, real.GID
		real.Effective = 0
		if real.UID == 0 {
			real.Effective = real.Permitted
		}
		if real.FSUID != c.Creds.FSUID || real.FSGID != c.Creds.FSGID || real.Effective != c.Creds.Effective {
			c.Creds = &real
		}
	}
	treeMu.RLock()
	defer treeMu.RUnlock()
	p, err := x.resolve(c, dir, path, flags)
	if err != nil {
		return err
	}
	n := p.Dentry.inode
	if want&MayExec != 0 && p.Dentry.kind == unix.S_IFREG && p.Mount != nil && p.Mount.Flags()&unix.MS_NOEXEC != 0 {
		return unix.EACCES
	}
	if err := c.Creds.access(n, want); err != nil || want&MayWrite == 0 {
		return err
	}
	switch p.Dentry.kind {
	case unix.S_IFREG, unix.S_IFDIR, unix.S_IFLNK:
		return p.writable()
	}
	return nil
}

// Readlink is readlinkat(2); the empty path reads dir itself, opened with
// O_PATH|O_NOFOLLOW.
func (x *FSContext) Readlink(c Caller, dir *File, path string) (string, error) {
	treeMu.RLock()
	defer treeMu.RUnlock()
	flags := unix.AT_SYMLINK_NOFOLLOW
	if dir != nil {
		flags |= unix.AT_EMPTY_PATH
	}
	p, err := x.resolve(c, dir, path, flags)
	if err != nil {
		return "", err
	}
	if p.Dentry.kind != unix.S_IFLNK {
		if path == "" {
			return "", unix.ENOENT
		}
		return "", unix.EINVAL
	}
	target, err := p.Dentry.inode.Readlink(c)
	if err == nil {
		noteAccess(p.Dentry.inode, p.Mount)
	}
	return target, err
}

// change resolves a path and applies f to what it finds, if its mount may be
// written.
func (x *FSContext) change(c Caller, dir *File, path string, flags int, f func(Inode) error) error {
	return x.changeAs(unix.IN_ATTRIB, c, dir, path, flags, f)
}

// changeAs is change that counts as an event of its own.
func (x *FSContext) changeAs(event uint32, c Caller, dir *File, path string, flags int, f func(Inode) error) error {
	treeMu.RLock()
	defer treeMu.RUnlock()
	p, err := x.resolve(c, dir, path, flags)
	if err != nil {
		return err
	}
	if err := p.writable(); err != nil {
		return err
	}
	if err = f(p.Dentry.inode); err == nil {
		p.Dentry.happened(event)
	}
	return err
}

// change is FSContext.change for a file.
func (f *File) change(fn func(Inode) error) error { return f.changeAs(unix.IN_ATTRIB, fn) }

func (f *File) changeAs(event uint32, fn func(Inode) error) error {
	if err := f.path.writable(); err != nil {
		return err
	}
	err := fn(f.inode)
	if err == nil {
		f.path.Dentry.happened(event) // not of the open file, but of the object: IN_EXCL_UNLINK does not count
	}
	return err
}

// Chmod is fchmodat2(2).
func (x *FSContext) Chmod(c Caller, dir *File, path string, mode uint32, flags int) error {
	return x.change(c, dir, path, flags, func(n Inode) error { return chmod(c, n, mode) })
}

// Chmod is fchmod(2).
func (f *File) Chmod(c Caller, mode uint32) error {
	return f.change(func(n Inode) error { return chmod(c, n, mode) })
}

func chmod(c Caller, n Inode, mode uint32) error {
	if n.Mode()&unix.S_IFMT == unix.S_IFLNK {
		return unix.EOPNOTSUPP
	}
	if !c.Creds.ownerOr(n, unix.CAP_FOWNER) {
		return unix.EPERM
	}
	mode &= 0o7777
	if _, gid := n.Owner(); !c.Creds.InGroup(gid) && !c.Creds.Has(unix.CAP_FSETID) {
		mode &^= unix.S_ISGID
	}
	return n.SetAttr(&SetAttr{Mask: SetMode | SetCtime, Mode: mode, Ctime: Now()})
}

// NoID as a user or a group leaves it alone (chown(2)).
const NoID = ^uint32(0)

// Chown is fchownat(2).
func (x *FSContext) Chown(c Caller, dir *File, path string, uid, gid uint32, flags int) error {
	return x.change(c, dir, path, flags, func(n Inode) error { return chown(c, n, uid, gid) })
}

// Chown is fchown(2).
func (f *File) Chown(c Caller, uid, gid uint32) error {
	return f.change(func(n Inode) error { return chown(c, n, uid, gid) })
}

func chown(c Caller, n Inode, uid, gid uint32) error {
	oldUID, oldGID := n.Owner()
	a := SetAttr{Mask: SetCtime, Ctime: Now()}
	if uid != NoID {
		if !c.Creds.Has(unix.CAP_CHOWN) && (c.Creds.FSUID != oldUID || uid != oldUID) {
			return unix.EPERM
		}
		a.Mask |= SetUID
		a.UID = uid
	}
	if gid != NoID {
		if !c.Creds.Has(unix.CAP_CHOWN) && (c.Creds.FSUID != oldUID || gid != oldGID && !c.Creds.InGroup(gid)) {
			return unix.EPERM
		}
		a.Mask |= SetGID
		a.GID = gid
	}
	if uid == NoID && gid == NoID && !c.Creds.ownerOr(n, unix.CAP_CHOWN) {
		return nil // nothing to change: Linux asks for nothing
	}
	if mode := n.Mode(); mode&unix.S_IFMT != unix.S_IFDIR && mode&(unix.S_ISUID|unix.S_ISGID) != 0 {
		a.Mask |= SetMode
		a.Mode = mode & 0o7777 &^ unix.S_ISUID
		if mode&0o010 != 0 {
			a.Mode &^= unix.S_ISGID
		}
	}
	return n.SetAttr(&a)
}

// A TimeChange is one of the two times of utimensat(2).
type TimeChange struct {
	Time Time
	Now  bool // UTIME_NOW
	Omit bool // UTIME_OMIT
}

// Utimens is utimensat(2).
func (x *FSContext) Utimens(c Caller, dir *File, path string, atime, mtime TimeChange, flags int) error {
	return x.changeAs(timesEvent(atime, mtime), c, dir, path, flags, func(n Inode) error { return utimens(c, n, atime, mtime) })
}

// Utimens is futimens(3).
func (f *File) Utimens(c Caller, atime, mtime TimeChange) error {
	return f.changeAs(timesEvent(atime, mtime), func(n Inode) error { return utimens(c, n, atime, mtime) })
}

// timesEvent is what inotify(7) makes of a change of one time or both.
func timesEvent(atime, mtime TimeChange) uint32 {
	switch {
	case atime.Omit && mtime.Omit:
		return 0
	case atime.Omit:
		return unix.IN_MODIFY
	case mtime.Omit:
		return unix.IN_ACCESS
	}
	return unix.IN_ATTRIB
}

func utimens(c Caller, n Inode, atime, mtime TimeChange) error {
	if atime.Omit && mtime.Omit {
		return nil
	}
	if !c.Creds.ownerOr(n, unix.CAP_FOWNER) {
		if !atime.Now || !mtime.Now {
			return unix.EPERM
		}
		if err := c.Creds.access(n, MayWrite); err != nil {
			return err
		}
	}
	now := Now()
	a := SetAttr{Mask: SetCtime, Ctime: now, Atime: atime.Time, Mtime: mtime.Time}
	if !atime.Omit {
		a.Mask |= SetAtime
		if atime.Now {
			a.Atime = now
		}
	}
	if !mtime.Omit {
		a.Mask |= SetMtime
		if mtime.Now {
			a.Mtime = now
		}
	}
	return n.SetAttr(&a)
}

// Truncate is truncate(2). limit is RLIMIT_FSIZE: EFBIG beyond it, and the system
// call layer sends SIGXFSZ.
func (x *FSContext) Truncate(c Caller, path string, size, limit int64) error {
	return afterLeases(c.Sleeper, func() error { return x.truncate(c, path, size, limit) })
}

func (x *FSContext) truncate(c Caller, path string, size, limit int64) error {
	return x.changeAs(unix.IN_MODIFY, c, nil, path, 0, func(n Inode) error {
		switch n.Mode() & unix.S_IFMT {
		case unix.S_IFREG:
		case unix.S_IFDIR:
			return unix.EISDIR
		default:
			return unix.EINVAL
		}
		if err := c.Creds.access(n, MayWrite); err != nil {
			return err
		}
		if n.Extra().writers.Load() < 0 {
			return unix.ETXTBSY
		}
		if err := breakLease(n, unix.O_WRONLY); err != nil {
			return err
		}
		return truncate(c.Creds, n, size, limit)
	})
}

// Truncate is ftruncate(2).
func (f *File) Truncate(c Caller, size, limit int64) error {
	if f.pathOnly {
		return unix.EBADF
	}
	if !f.writable || f.inode.Mode()&unix.S_IFMT != unix.S_IFREG {
		return unix.EINVAL
	}
	err := truncate(c.Creds, f.inode, size, limit)
	if err == nil {
		f.happened(unix.IN_MODIFY)
	}
	return err
}

func truncate(c *Creds, n Inode, size, limit int64) error {
	if size > limit {
		return unix.EFBIG
	}
	now := Now()
	a := SetAttr{Mask: SetSize | SetMtime | SetCtime, Size: size, Mtime: now, Ctime: now}
	clearPrivileges(c, n, &a)
	return n.SetAttr(&a)
}

// clearPrivileges adds to a the loss of the set-user-ID and set-group-ID bits
// that a write by an ordinary user brings (write(2)).
func clearPrivileges(c *Creds, n Inode, a *SetAttr) {
	mode := n.Mode()
	if mode&(unix.S_ISUID|unix.S_ISGID) == 0 || c.Has(unix.CAP_FSETID) {
		return
	}
	a.Mask |= SetMode
	a.Mode = mode & 0o7777 &^ unix.S_ISUID
	if mode&0o010 != 0 {
		a.Mode &^= unix.S_ISGID
	}
}

// Statfs is statfs(2); it returns the flags of the mount too.
func (x *FSContext) Statfs(c Caller, path string, st *Statfs) (flags uint32, err error) {
	treeMu.RLock()
	defer treeMu.RUnlock()
	p, err := x.resolve(c, nil, path, 0)
	if err != nil {
		return 0, err
	}
	return p.Mount.Flags(), p.Dentry.sb.statfs(st)
}

// Statfs is fstatfs(2).
func (f *File) Statfs(st *Statfs) (flags uint32, err error) {
	p := f.FollowPath()
	return p.Mount.Flags(), p.Dentry.sb.statfs(st)
}

func (sb *Superblock) statfs(st *Statfs) error {
	*st = Statfs{Type: unix.ANON_INODE_FS_MAGIC, Bsize: 4096, Namelen: nameMax}
	if sb.FS == nil {
		return nil
	}
	err := sb.FS.Statfs(st)
	if st.Fsid == 0 {
		st.Fsid = sb.Dev
	}
	return err
}

// xattrAccess checks the right to an attribute by its name space (xattr(7)).
func xattrAccess(c Caller, n Inode, name string, want uint32) error {
	kind := n.Mode() & unix.S_IFMT
	switch {
	case strings.HasPrefix(name, "user."):
		if kind != unix.S_IFREG && kind != unix.S_IFDIR {
			if want == MayWrite {
				return unix.EPERM
			}
			return unix.ENODATA
		}
		if kind == unix.S_IFDIR && n.Mode()&unix.S_ISVTX != 0 && want == MayWrite && !c.Creds.ownerOr(n, unix.CAP_FOWNER) {
			return unix.EPERM
		}
		return c.Creds.access(n, want)
	case strings.HasPrefix(name, "trusted."):
		if !c.Creds.Has(unix.CAP_SYS_ADMIN) {
			if want == MayWrite {
				return unix.EPERM
			}
			return unix.ENODATA
		}
		return nil
	case strings.HasPrefix(name, "security."):
		if want == MayWrite && !c.Creds.Has(unix.CAP_SYS_ADMIN) {
			return unix.EPERM
		}
		return nil
	}
	return unix.EOPNOTSUPP
}

// Xattrs is the target of an extended attribute call: what path leads to, or f.
// op runs with the inode.
func (x *FSContext) Xattrs(c Caller, f *File, path string, nofollow bool, write bool, op func(Inode) error) error {
	if f != nil {
		if write {
			return f.change(op)
		}
		return op(f.inode)
	}
	flags := 0
	if nofollow {
		flags = unix.AT_SYMLINK_NOFOLLOW
	}
	if write {
		return x.change(c, nil, path, flags, op)
	}
	treeMu.RLock()
	defer treeMu.RUnlock()
	p, err := x.resolve(c, nil, path, flags)
	if err != nil {
		return err
	}
	return op(p.Dentry.inode)
}

// GetXattr checks access and reads an attribute.
func GetXattr(c Caller, n Inode, name string) ([]byte, error) {
	if err := xattrAccess(c, n, name, MayRead); err != nil {
		return nil, err
	}
	return n.GetXattr(name)
}

// SetXattr checks access and sets an attribute.
func SetXattr(c Caller, n Inode, name string, value []byte, flags int) error {
	if err := xattrAccess(c, n, name, MayWrite); err != nil {
		return err
	}
	return n.SetXattr(name, value, flags)
}

// RemoveXattr checks access and removes an attribute.
func RemoveXattr(c Caller, n Inode, name string) error {
	if err := xattrAccess(c, n, name, MayWrite); err != nil {
		return err
	}
	return n.RemoveXattr(name)
}

// ListXattr returns the names that the caller may see.
func ListXattr(c Caller, n Inode) ([]string, error) {
	names, err := n.ListXattr()
	if err != nil || c.Creds.Has(unix.CAP_SYS_ADMIN) {
		return names, err
	}
	seen := names[:0:0]
	for _, s := range names {
		if !strings.HasPrefix(s, "trusted.") {
			seen = append(seen, s)
		}
	}
	return seen, nil
}
