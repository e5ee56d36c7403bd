package tmpfs

import (
	"weak"

	"golang.org/x/sys/unix"
	"gosv/kernel/mm"
	"gosv/kernel/vfs"
)

// A CachedInode is a regular file of a lower file system: it lends its page cache.
type CachedInode interface {
	vfs.Inode
	PageCache() (*mm.Cache, error)
}

// A shadowMap finds the inode that stands for a lower one as long as anybody uses
// it, so that a file with two names, or one looked up again, is one inode.
type shadowMap struct {
	m     map[uint64]weak.Pointer[Inode]
	sweep int // size at which dead pointers are swept out
}

func (s *shadowMap) get(ino uint64) *Inode { return s.m[ino].Value() }

func (s *shadowMap) put(ino uint64, n *Inode) {
	if s.m == nil {
		s.m = make(map[uint64]weak.Pointer[Inode])
		s.sweep = 1024
	}
	if len(s.m) >= s.sweep {
		for k, w := range s.m {
			if w.Value() == nil {
				delete(s.m, k)
			}
		}
		s.sweep = max(1024, 2*len(s.m))
	}
	s.m[ino] = weak.Make(n)
}

// shadow returns the inode that stands for the lower one.
func (fs *FS) shadow(l vfs.Inode) (*Inode, error) {
	var st vfs.Stat
	if err := l.Stat(&st); err != nil {
		return nil, err
	}
	fs.shadowMu.Lock()
	defer fs.shadowMu.Unlock()
	if n := fs.changed[st.Ino]; n != nil {
		return n, nil
	}
	if n := fs.shadows.get(st.Ino); n != nil {
		return n, nil
	}
	n := &Inode{fs: fs, ino: st.Ino, lower: l, lowerIno: st.Ino, nlink: max(st.Nlink, 1), rdev: st.Rdev}
	n.mode.Store(st.Mode)
	n.owner.Store(uint64(st.UID) | uint64(st.GID)<<32)
	n.times = [4]vfs.Time{st.Atime, st.Mtime, st.Ctime, st.Btime}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFDIR:
		n.names = new(names)
	case unix.S_IFLNK:
		target, err := l.Readlink(vfs.Kernel())
		if err != nil {
			return nil, err
		}
		n.target = target
	}
	fs.shadows.put(st.Ino, n)
	return n, nil
}

// keep makes sure that a changed inode stays, although nothing above the lower
// file system may lead to it.
func (n *Inode) keep() {
	if n.lower == nil {
		return
	}
	n.fs.shadowMu.Lock()
	n.fs.changed[n.lowerIno] = n
	n.fs.shadowMu.Unlock()
}

// forget undoes keep for an inode that is gone.
func (n *Inode) forget() {
	n.fs.shadowMu.Lock()
	delete(n.fs.changed, n.lowerIno)
	n.fs.shadowMu.Unlock()
}

// borrow lets the inode read the lower one's page cache.
func (n *Inode) borrow() error {
	if n.cache.Load() != nil {
		return nil
	}
	l, ok := n.lower.(CachedInode)
	if !ok {
		return unix.EIO
	}
	c, err := l.PageCache()
	if err != nil {
		return err
	}
	n.mu.Lock()
	if n.cache.Load() == nil {
		n.borrowed.Store(true)
		n.cache.Store(c)
	}
	n.mu.Unlock()
	return nil
}

// copyUp gives the inode a page cache of its own with the first size bytes of the
// lower file. Whoever has mapped the file keeps seeing the lower pages, as with
// Linux's overlayfs. writeMu is held.
func (n *Inode) copyUp(size int64) error {
	if n.lower == nil || n.cache.Load() != nil && !n.borrowed.Load() {
		return nil
	}
	if err := n.borrow(); err != nil {
		return err
	}
	from := n.cache.Load()
	size = min(size, from.Size())
	if !n.fs.pages.Fits((size + 4095) / 4096) {
		return unix.ENOSPC
	}
	to := mm.NewMemory(n.fs.pages)
	if err := copyCache(to, from, size); err != nil {
		to.SetSize(0)
		to.Drop()
		return err
	}
	n.mu.Lock()
	n.cache.Store(to)
	n.borrowed.Store(false)
	n.mu.Unlock()
	n.keep()
	return nil
}

// copyCache copies the first size bytes page by page, without the Go heap.
func copyCache(to, from *mm.Cache, size int64) error {
	for off := int64(0); off < size; off += 4096 {
		page, err := to.Page(uint64(off)/4096, true)
		if err != nil {
			return err
		}
		b := page.Bytes()[:min(4096, size-off)]
		dst := mm.KernelBuf(b)
		_, err = from.Read(&dst, off)
		page.Unref()
		if err != nil {
			return err
		}
	}
	return to.SetSize(size)
}

// empty reports whether a directory has no entries.
func (n *Inode) empty() (bool, error) {
	n.mu.Lock()
	count := n.names.count()
	n.mu.Unlock()
	if count != 0 || n.lower == nil {
		return count == 0, nil
	}
	empty := true
	err := n.readLower(nil, 0, func(vfs.Dirent) bool {
		empty = false
		return false
	})
	return empty, err
}

// readLower emits the entries of the lower directory that this one does not hide.
func (n *Inode) readLower(f *vfs.File, pos int64, emit func(vfs.Dirent) bool) error {
	impl, err := n.lower.Open(vfs.Kernel(), f, unix.O_RDONLY)
	if err != nil {
		return err
	}
	defer impl.Release()
	return impl.ReadDir(f, max(pos, 2), func(e vfs.Dirent) bool {
		n.mu.Lock()
		hidden := n.names.get(e.Name) != nil
		n.mu.Unlock()
		if hidden {
			return true
		}
		e.Off += lowerKey
		return emit(e)
	})
}
