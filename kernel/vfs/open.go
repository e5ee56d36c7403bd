package vfs

import (
	"strings"

	"golang.org/x/sys/unix"
)

func cloneName(s string) string { return strings.Clone(s) }

// OpenHow is openat2(2)'s struct open_how.
type OpenHow struct {
	Flags   uint32
	Mode    uint32
	Resolve uint64
}

// Open is openat(2). The mode counts only where a file may be made; umask is
// applied here. The file has one reference.
func (x *FSContext) Open(c Caller, dir *File, path string, flags, mode uint32) (*File, error) {
	return x.OpenHow(c, dir, path, OpenHow{Flags: flags, Mode: mode})
}

// OpenHow is openat2(2), after the checks that openat2 has and openat has not.
func (x *FSContext) OpenHow(c Caller, dir *File, path string, how OpenHow) (*File, error) {
	flags := how.Flags
	if flags&unix.O_PATH != 0 {
		flags &= unix.O_PATH | unix.O_DIRECTORY | unix.O_NOFOLLOW | unix.O_CLOEXEC
	}
	tmpfile := flags&unix.O_TMPFILE == unix.O_TMPFILE
	switch {
	case tmpfile && (flags&unix.O_ACCMODE == unix.O_RDONLY || flags&unix.O_CREAT != 0):
		return nil, unix.EINVAL
	case !tmpfile && flags&(unix.O_CREAT|unix.O_DIRECTORY) == unix.O_CREAT|unix.O_DIRECTORY:
		return nil, unix.EINVAL
	}
	var f *File
	for {
		treeMu.RLock()
		var w walker
		w.resolve = how.Resolve
		var err error
		f, err = x.open(&w, c, dir, path, flags, how.Mode&0o7777, tmpfile)
		treeMu.RUnlock()
		if err == nil {
			break
		}
		if d := w.cur.Dentry; d != nil {
			d.sb.prune()
		}
		if b, met := err.(*leaseBreak); met {
			if err = b.wait(c.Sleeper); err == nil {
				continue
			}
		}
		return nil, err
	}
	f.path.Dentry.sb.prune()
	if f.path.Dentry.kind == unix.S_IFIFO && !f.pathOnly {
		if err := f.openFIFO(c); err != nil {
			f.Release()
			return nil, err
		}
	}
	return f, nil
}

func (x *FSContext) open(w *walker, c Caller, dir *File, path string, flags, mode uint32, tmpfile bool) (*File, error) {
	if err := x.begin(w, c, dir, path); err != nil {
		return nil, err
	}
	if w.resolve&unix.RESOLVE_IN_ROOT != 0 {
		if dir != nil {
			if w.cur = dir.FollowPath(); !w.cur.Dentry.isDir() {
				return nil, unix.ENOTDIR
			}
		}
		w.root = w.cur
	}
	if tmpfile {
		return x.openTmpfile(w, path, flags, mode)
	}
	created := false
	if flags&unix.O_CREAT == 0 {
		if err := w.walk(path, flags&unix.O_NOFOLLOW == 0); err != nil {
			return nil, err
		}
	} else {
		var err error
		if created, err = x.openCreate(w, path, flags, mode); err != nil {
			return nil, err
		}
	}
	switch {
	case w.cur.Dentry.kind == unix.S_IFLNK && (flags&unix.O_PATH == 0 || flags&unix.O_DIRECTORY != 0):
		if flags&unix.O_DIRECTORY != 0 {
			return nil, unix.ENOTDIR
		}
		return nil, unix.ELOOP
	case flags&unix.O_DIRECTORY != 0 && !w.cur.Dentry.isDir():
		return nil, unix.ENOTDIR
	case flags&unix.O_CREAT != 0 && w.cur.Dentry.isDir():
		return nil, unix.EISDIR
	case flags&unix.O_CREAT != 0 && !created:
		if err := mayOpenInSticky(w.c, w.cur.Dentry); err != nil {
			return nil, err
		}
	}
	return w.cur.open(c, flags, created)
}

// openCreate walks to the file, and makes it if it does not exist.
func (x *FSContext) openCreate(w *walker, path string, flags, mode uint32) (created bool, err error) {
	for {
		last, slash, err := w.parent(path)
		if err != nil {
			return false, err
		}
		if special := last == "" || last == "." || last == ".."; special && flags&unix.O_EXCL != 0 {
			return false, unix.EEXIST
		} else if special || slash {
			return false, unix.EISDIR
		}
		err = w.step(last, false)
		if err == unix.ENOENT {
			made, err := x.createFile(w, last, flags, mode)
			if err != nil || made {
				return made, err
			}
		} else if err != nil {
			return false, err
		}
		if flags&unix.O_EXCL != 0 {
			return false, unix.EEXIST
		}
		if w.cur.Dentry.kind != unix.S_IFLNK || flags&unix.O_NOFOLLOW != 0 {
			return false, nil
		}
		link := w.cur
		up := Path{link.Mount, link.Dentry.parent()}
		if up.Dentry == nil {
			return false, unix.ELOOP // a mount whose root is a link
		}
		w.cur = up
		if err := mayFollow(w.c, up.Dentry.inode, link.Dentry.inode); err != nil {
			return false, err
		}
		target, done, err := w.readlink(link)
		if err != nil || done {
			return false, err
		}
		path = target
	}
}

// createFile makes the regular file name in the current directory and goes to it.
// It returns false if somebody else was faster.
func (x *FSContext) createFile(w *walker, name string, flags, mode uint32) (bool, error) {
	d := w.cur.Dentry
	d.mu.Lock()
	defer d.mu.Unlock()
	if ch, err := d.childLocked(w.c, name); err == nil {
		w.cur = Path{w.cur.Mount, ch}.cross()
		return false, nil
	} else if err != unix.ENOENT {
		return false, err
	}
	if err := mayCreate(w.c, w.cur); err != nil {
		return false, err
	}
	a := CreateArgs{Mode: unix.S_IFREG | mode}
	x.newArgs(w.c, d.inode, &a)
	n, err := d.inode.Create(name, &a)
	if err != nil {
		return false, err
	}
	w.cur.Dentry = d.instantiate(name, n)
	d.entry(unix.IN_CREATE, 0, name, 0)
	return true, nil
}

// openTmpfile is open(2) with O_TMPFILE.
func (x *FSContext) openTmpfile(w *walker, path string, flags, mode uint32) (*File, error) {
	if err := w.walk(path, flags&unix.O_NOFOLLOW == 0); err != nil {
		return nil, err
	}
	d := w.cur.Dentry
	if !d.isDir() {
		return nil, unix.ENOTDIR
	}
	if err := w.cur.writable(); err != nil {
		return nil, err
	}
	if err := w.c.Creds.access(d.inode, MayWrite|MayExec); err != nil {
		return nil, err
	}
	a := CreateArgs{Mode: unix.S_IFREG | mode, Excl: flags&unix.O_EXCL != 0}
	x.newArgs(w.c, d.inode, &a)
	n, err := d.inode.Tmpfile(&a)
	if err != nil {
		return nil, err
	}
	// Linux shows such files as "/dir/#1234 (deleted)".
	var st Stat
	n.Stat(&st)
	ch := newDentry(d.sb, d, "#"+itoa(st.Ino), n)
	ch.dead.Store(true)
	return Path{w.cur.Mount, ch}.open(w.c, flags&^unix.O_DIRECTORY, true)
}

func itoa(n uint64) string {
	var b [20]byte
	i := len(b)
	for {
		i--
		b[i] = byte('0' + n%10)
		if n /= 10; n == 0 {
			return string(b[i:])
		}
	}
}

// open opens what is at p. A file that was created just now may be opened
// whatever its mode says.
func (p Path) open(c Caller, flags uint32, created bool) (*File, error) {
	d := p.Dentry
	n := d.inode
	if flags&unix.O_PATH != 0 {
		f := &File{inode: n, path: p, creds: c.Creds}
		f.init(flags)
		n.Retain()
		p.pin()
		return f, nil
	}
	write := flags&unix.O_ACCMODE != unix.O_RDONLY
	if !created {
		if err := p.mayOpen(c, flags, write); err != nil {
			return nil, err
		}
	}
	f := &File{inode: n, path: p, creds: c.Creds, created: created && flags&unix.O_CREAT != 0}
	counted := write && (d.kind == unix.S_IFREG)
	if counted && !n.Extra().openWrite() {
		return nil, unix.ETXTBSY
	}
	f.reads = !write
	if f.reads {
		n.readers().Add(1)
	}
	n.Retain()
	p.pin()
	var impl FileImpl
	err := breakLease(n, flags)
	if err == nil {
		impl, err = p.openImpl(c, f, flags)
	}
	if err == nil && flags&unix.O_TRUNC != 0 && !created && d.kind == unix.S_IFREG {
		if err = truncate(c.Creds, n, 0, maxOffset); err != nil {
			impl.Release()
		}
	}
	if err != nil {
		if counted {
			n.Extra().writers.Add(-1)
		}
		if f.reads {
			n.readers().Add(-1)
		}
		n.Release()
		p.unpin()
		return nil, err
	}
	if counted {
		f.counted = true
		if p.Mount != nil {
			p.Mount.writers.Add(1)
		}
	}
	f.impl = impl
	f.init(flags)
	f.happened(unix.IN_OPEN)
	if flags&unix.O_TRUNC != 0 && !created && d.kind == unix.S_IFREG {
		f.happened(unix.IN_MODIFY)
	}
	return f, nil
}

func (p Path) openImpl(c Caller, f *File, flags uint32) (FileImpl, error) {
	n := p.Dentry.inode
	switch p.Dentry.kind {
	case unix.S_IFIFO:
		return n.Extra().fifo(flags)
	case unix.S_IFSOCK:
		return nil, unix.ENXIO
	case unix.S_IFCHR, unix.S_IFBLK:
		impl, err := n.Open(c, f, flags)
		if err != unix.ENXIO {
			return impl, err
		}
		var st Stat
		if err := n.Stat(&st); err != nil {
			return nil, err
		}
		return openDevice(c, f, p.Dentry.kind, st.Rdev, flags)
	}
	return n.Open(c, f, flags)
}

// mayOpen makes the checks of open(2) on an existing object.
func (p Path) mayOpen(c Caller, flags uint32, write bool) error {
	d := p.Dentry
	n := d.inode
	switch d.kind {
	case unix.S_IFDIR:
		if write || flags&unix.O_TRUNC != 0 {
			return unix.EISDIR
		}
	case unix.S_IFCHR, unix.S_IFBLK:
		if p.Mount != nil && p.Mount.Flags()&unix.MS_NODEV != 0 {
			return unix.EACCES
		}
	}
	want := uint32(0)
	switch flags & unix.O_ACCMODE {
	case unix.O_RDONLY:
		want = MayRead
	case unix.O_WRONLY:
		want = MayWrite
	default:
		want = MayRead | MayWrite
	}
	if flags&unix.O_TRUNC != 0 {
		want |= MayWrite
	}
	if want&MayWrite != 0 && (d.kind == unix.S_IFREG || d.kind == unix.S_IFDIR) {
		if err := p.writable(); err != nil {
			return err
		}
	}
	if err := c.Creds.access(n, want); err != nil {
		return err
	}
	if flags&unix.O_NOATIME != 0 && !c.Creds.ownerOr(n, unix.CAP_FOWNER) {
		return unix.EPERM
	}
	return nil
}

// OpenExec opens a program: a regular file that may be executed, on a mount
// without noexec (execve(2)); EACCES otherwise. flags are AT_EMPTY_PATH and
// AT_SYMLINK_NOFOLLOW (execveat(2)).
func (x *FSContext) OpenExec(c Caller, dir *File, path string, flags int) (f *File, err error) {
	err = afterLeases(c.Sleeper, func() (err error) {
		f, err = x.openExec(c, dir, path, flags)
		return err
	})
	return f, err
}

func (x *FSContext) openExec(c Caller, dir *File, path string, flags int) (*File, error) {
	treeMu.RLock()
	defer treeMu.RUnlock()
	p, err := x.resolve(c, dir, path, flags)
	if err != nil {
		return nil, err
	}
	if p.Dentry.kind == unix.S_IFLNK {
		return nil, unix.ELOOP
	}
	if p.Dentry.kind != unix.S_IFREG || p.Mount != nil && p.Mount.Flags()&unix.MS_NOEXEC != 0 {
		return nil, unix.EACCES
	}
	if err := c.Creds.access(p.Dentry.inode, MayExec); err != nil {
		return nil, err
	}
	return p.open(c, unix.O_RDONLY, true)
}

// DenyWrite keeps the file from being opened for writing while a program runs
// from it; ETXTBSY if it is open so. AllowWrite takes it back.
func (f *File) DenyWrite() error {
	w := &f.inode.Extra().writers
	for {
		n := w.Load()
		if n > 0 {
			return unix.ETXTBSY
		}
		if w.CompareAndSwap(n, n-1) {
			return nil
		}
	}
}

// AllowWrite ends one DenyWrite.
func (f *File) AllowWrite() { f.inode.Extra().writers.Add(1) }

// Sync is syncfs(2) for the file system of the file.
func (f *File) SyncFS() error {
	if sb := f.FollowPath().Dentry.sb; sb.FS != nil {
		return sb.FS.Sync()
	}
	return nil
}

// SyncAll is sync(2).
func SyncAll() {
	for _, m := range Mounts() {
		m.sb.FS.Sync()
	}
}
