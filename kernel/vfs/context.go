package vfs

import (
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
	"gosv/kernel/cpu"
)

// FSContext is what a process sees of the tree: root directory, working
// directory and umask (clone(2), CLONE_FS). Its methods are the file system
// calls; dir is the file of a dirfd argument, nil for AT_FDCWD and where the path
// is absolute.
type FSContext struct {
	dirs  atomic.Pointer[fsDirs]
	umask atomic.Uint32
	refs  atomic.Int32

	// dirsMu guards changes of dirs.
	dirsMu sync.Mutex
}

// fsDirs is immutable; both paths are pinned.
type fsDirs struct{ root, cwd Path }

// NewFSContext returns the context of the first process: at the root of the tree,
// which is mounted, with umask 022.
func NewFSContext() *FSContext {
	m := rootMount.Load()
	root := m.Root().cross()
	return newContext(&fsDirs{root, root}, 0o022)
}

func newContext(d *fsDirs, umask uint32) *FSContext {
	x := new(FSContext)
	d.root.pin()
	d.cwd.pin()
	x.dirs.Store(d)
	x.umask.Store(umask)
	x.refs.Store(1)
	return x
}

// Clone returns a copy for a new process.
func (x *FSContext) Clone() *FSContext {
	x.dirsMu.Lock()
	defer x.dirsMu.Unlock()
	return newContext(x.dirs.Load(), x.umask.Load())
}

// Retain and Release count the threads that share the context.
func (x *FSContext) Retain() { x.refs.Add(1) }

// Release drops a reference; the last one lets go of the directories.
func (x *FSContext) Release() {
	if x.refs.Add(-1) == 0 {
		d := x.dirs.Load()
		d.root.unpin()
		d.cwd.unpin()
	}
}

// Root returns the root directory.
func (x *FSContext) Root() Path { return x.dirs.Load().root }

// Cwd returns the working directory.
func (x *FSContext) Cwd() Path { return x.dirs.Load().cwd }

// Umask returns the file mode creation mask.
func (x *FSContext) Umask() uint32 { return x.umask.Load() }

// SetUmask is umask(2).
func (x *FSContext) SetUmask(mask uint32) (old uint32) { return x.umask.Swap(mask & 0o777) }

// Getcwd returns the working directory as getcwd(2) does: ENOENT if it was
// removed, "(unreachable)" in front if it is not below the root.
func (x *FSContext) Getcwd() (string, error) {
	d := x.dirs.Load()
	if d.cwd.Dentry.dead.Load() {
		return "", unix.ENOENT
	}
	s, ok := d.cwd.Absolute(d.root)
	if !ok {
		s = "(unreachable)" + s
	}
	return s, nil
}

func (x *FSContext) setDirs(change func(*fsDirs)) {
	x.dirsMu.Lock()
	old := x.dirs.Load()
	d := *old
	change(&d)
	d.root.pin()
	d.cwd.pin()
	x.dirs.Store(&d)
	old.root.unpin()
	old.cwd.unpin()
	x.dirsMu.Unlock()
}

// Chdir is chdir(2).
func (x *FSContext) Chdir(c Caller, path string) error {
	return x.changeDir(c, nil, path, func(d *fsDirs, p Path) { d.cwd = p })
}

// Fchdir is fchdir(2).
func (x *FSContext) Fchdir(c Caller, f *File) error {
	p := f.FollowPath()
	if !p.Dentry.isDir() {
		return unix.ENOTDIR
	}
	if err := c.Creds.access(p.Dentry.inode, MayExec); err != nil {
		return err
	}
	x.setDirs(func(d *fsDirs) { d.cwd = p })
	return nil
}

// Chroot is chroot(2).
func (x *FSContext) Chroot(c Caller, path string) error {
	return x.changeDir(c, func() error {
		if !c.Creds.Has(unix.CAP_SYS_CHROOT) {
			return unix.EPERM
		}
		return nil
	}, path, func(d *fsDirs, p Path) { d.root = p })
}

func (x *FSContext) changeDir(c Caller, check func() error, path string, change func(*fsDirs, Path)) error {
	treeMu.RLock()
	defer treeMu.RUnlock()
	p, err := x.resolve(c, nil, path, 0)
	if err != nil {
		return err
	}
	if !p.Dentry.isDir() {
		return unix.ENOTDIR
	}
	if err := c.Creds.access(p.Dentry.inode, MayExec); err != nil {
		return err
	}
	if check != nil {
		if err := check(); err != nil {
			return err
		}
	}
	x.setDirs(func(d *fsDirs) { change(d, p) })
	return nil
}

// begin starts a walk at dir.
func (x *FSContext) begin(w *walker, c Caller, dir *File, path string) error {
	d := x.dirs.Load()
	w.c, w.root, w.cur = c, d.root, d.cwd
	if dir != nil && (path == "" || path[0] != '/') {
		w.cur = dir.FollowPath()
		if path != "" && !w.cur.Dentry.isDir() {
			return unix.ENOTDIR
		}
	}
	w.start = w.cur
	return nil
}

// resolve finds what path leads to. flags are AT_EMPTY_PATH and
// AT_SYMLINK_NOFOLLOW. treeMu is held.
func (x *FSContext) resolve(c Caller, dir *File, path string, flags int) (Path, error) {
	var w walker
	if err := x.begin(&w, c, dir, path); err != nil {
		return Path{}, err
	}
	if path == "" {
		if flags&unix.AT_EMPTY_PATH == 0 {
			return Path{}, unix.ENOENT
		}
		return w.cur, nil
	}
	err := w.walk(path, flags&unix.AT_SYMLINK_NOFOLLOW == 0)
	return w.cur, err
}

// Lookup is for the kernel's own use: it resolves path and pins the result; the
// caller calls Unpin.
func (x *FSContext) Lookup(c Caller, path string) (Path, error) {
	treeMu.RLock()
	defer treeMu.RUnlock()
	p, err := x.resolve(c, nil, path, 0)
	if err == nil {
		p.pin()
	}
	return p, err
}

// Unpin lets go of what Lookup returned.
func (p Path) Unpin() { p.unpin() }

// FollowPath is what a magic link to the file leads to: its path, or for
// anonymous files a dentry outside of the tree.
func (f *File) FollowPath() Path {
	if f.path.Dentry != nil {
		return f.path
	}
	return Path{anonMount, newDentry(anonSB, nil, f.name, f.inode)}
}

// Now is the time that a change of a file carries.
func Now() Time { return Nano(cpu.Walltime()) }

func nowNano() int64 { return cpu.Walltime() }
