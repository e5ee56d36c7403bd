package tmpfs

import (
	"golang.org/x/sys/unix"
	"gosv/kernel/mm"
	"gosv/kernel/vfs"
	"gosv/kernel/wait"
)

func (n *Inode) Open(c vfs.Caller, f *vfs.File, flags uint32) (vfs.FileImpl, error) {
	switch n.kind() {
	case unix.S_IFDIR:
		return &dirFile{n: n}, nil
	case unix.S_IFREG:
	default:
		return nil, unix.ENXIO
	}
	n.mu.Lock()
	freed := n.freed
	n.mu.Unlock()
	if freed {
		return nil, unix.ENOENT
	}
	if n.lower != nil {
		if flags&unix.O_ACCMODE != unix.O_RDONLY {
			size := int64(1<<63 - 1)
			if flags&unix.O_TRUNC != 0 {
				size = 0
			}
			n.writeMu.Lock()
			err := n.copyUp(size)
			n.writeMu.Unlock()
			if err != nil {
				return nil, err
			}
		} else if err := n.borrow(); err != nil {
			return nil, err
		}
	}
	return (*regFile)(n), nil
}

// regFile is an open regular file: the inode itself, so that open allocates nothing.
type regFile Inode

func (r *regFile) inode() *Inode { return (*Inode)(r) }

func (r *regFile) Readiness() wait.Events { return wait.Readable | wait.Writable }
func (r *regFile) Queue() *wait.Queue     { return nil }
func (r *regFile) Seekable() bool         { return true }
func (r *regFile) Release()               {}
func (r *regFile) Sync(*vfs.File) error   { return nil }

// Held implements vfs.Holder: a file without a name ends with its last descriptor.
func (r *regFile) Held() int64 {
	n := r.inode()
	if !n.mu.TryLock() {
		return 0
	}
	defer n.mu.Unlock()
	if n.nlink > 0 {
		return 0
	}
	return inodeCost + n.cache.Load().Pages()*4096
}

func (r *regFile) ReadDir(*vfs.File, int64, func(vfs.Dirent) bool) error { return unix.ENOTDIR }

func (r *regFile) Ioctl(*mm.AddressSpace, uint32, uint64) (uint64, error) { return 0, unix.ENOTTY }

func (r *regFile) Mmap(*vfs.File) (*mm.Cache, error) { return r.inode().cache.Load(), nil }

func (r *regFile) Read(f *vfs.File, dst *mm.Buf, off int64) (int64, error) {
	n := r.inode()
	k, err := n.cache.Load().Read(dst, off)
	f.Accessed()
	if k > 0 {
		err = nil
	}
	return k, err
}

// NoteAccess implements vfs.AccessNoter.
func (n *Inode) NoteAccess(relative bool) {
	n.mu.Lock()
	if t := &n.times; relative && t[modified].Before(t[accessed]) && t[statusChanged].Before(t[accessed]) {
		if now := vfs.Now(); now.Sec-t[accessed].Sec >= 24*3600 {
			t[accessed] = now
		}
	} else {
		t[accessed] = vfs.Now()
	}
	n.mu.Unlock()
}

// NoteModify implements vfs.ModifyNoter.
func (n *Inode) NoteModify() {
	n.mu.Lock()
	n.touch(modified, statusChanged)
	n.mu.Unlock()
}

func (r *regFile) Write(f *vfs.File, src *mm.Buf, off int64) (int64, error) {
	n := r.inode()
	n.writeMu.Lock()
	k, err := n.write(f, src, off)
	n.writeMu.Unlock()
	return k, err
}

// Append implements vfs.Appender.
func (r *regFile) Append(f *vfs.File, src *mm.Buf) (k, end int64, err error) {
	n := r.inode()
	n.writeMu.Lock()
	off := n.cache.Load().Size()
	k, err = n.write(f, src, off)
	n.writeMu.Unlock()
	return k, off + k, err
}

// maxSize is MAX_LFS_FILESIZE.
const maxSize = 1<<63 - 1 - 4095

// write is Write with writeMu held.
func (n *Inode) write(f *vfs.File, src *mm.Buf, off int64) (int64, error) {
	if src.Len() == 0 {
		return 0, nil
	}
	if off >= maxSize {
		return 0, unix.EFBIG
	}
	if int64(src.Len()) > maxSize-off {
		src.Limit(int(maxSize - off))
	}
	c := n.cache.Load()
	if s := n.seals.Load(); s != 0 {
		if s&(unix.F_SEAL_WRITE|unix.F_SEAL_FUTURE_WRITE) != 0 {
			return 0, unix.EPERM
		}
		if s&unix.F_SEAL_GROW != 0 && off+int64(src.Len()) > c.Size() {
			if off >= c.Size() {
				return 0, unix.EPERM
			}
			src.Limit(int(c.Size() - off))
		}
	}
	if n.mode.Load()&(unix.S_ISUID|unix.S_ISGID) != 0 {
		f.DropPrivileges()
	}
	k, err := c.Write(src, off)
	n.mu.Lock()
	n.touch(modified, statusChanged)
	n.mu.Unlock()
	if k > 0 {
		err = nil
	}
	return k, err
}

// truncate sets the size.
func (n *Inode) truncate(size int64) error {
	if n.kind() != unix.S_IFREG {
		return unix.EINVAL
	}
	if size > maxSize {
		return unix.EFBIG
	}
	n.writeMu.Lock()
	defer n.writeMu.Unlock()
	if err := n.copyUp(size); err != nil {
		return err
	}
	c := n.cache.Load()
	if s := n.seals.Load(); s&unix.F_SEAL_SHRINK != 0 && size < c.Size() || s&unix.F_SEAL_GROW != 0 && size > c.Size() {
		return unix.EPERM
	}
	return c.SetSize(size)
}

func (n *Inode) Allocate(mode uint32, off, length int64) error {
	if n.kind() != unix.S_IFREG {
		return unix.ENODEV
	}
	n.writeMu.Lock()
	defer n.writeMu.Unlock()
	if err := n.copyUp(maxSize); err != nil {
		return err
	}
	c := n.cache.Load()
	seals := n.seals.Load()
	end := off + length
	switch mode {
	case unix.FALLOC_FL_PUNCH_HOLE | unix.FALLOC_FL_KEEP_SIZE:
		if seals&(unix.F_SEAL_WRITE|unix.F_SEAL_FUTURE_WRITE) != 0 {
			return unix.EPERM
		}
		if off >= c.Size() {
			return nil
		}
		if err := c.PunchHole(off, min(end, c.Size())-off); err != nil {
			return err
		}
	case 0, unix.FALLOC_FL_KEEP_SIZE:
		if end > maxSize {
			return unix.EFBIG
		}
		if seals&unix.F_SEAL_GROW != 0 && end > c.Size() {
			return unix.EPERM
		}
		if err := n.reserve(c, off, end); err != nil {
			return err
		}
		if mode == 0 && end > c.Size() {
			if err := c.SetSize(end); err != nil {
				return err
			}
		}
	default:
		return unix.EOPNOTSUPP
	}
	n.mu.Lock()
	n.touch(modified, statusChanged)
	n.mu.Unlock()
	return nil
}

// reserve adds the missing pages from off to end, or none.
func (n *Inode) reserve(c *mm.Cache, off, end int64) error {
	first, last := uint64(off)/4096, uint64(end+4095)/4096
	missing := int64(last-first) - c.Pages()
	if missing > 0 && !n.fs.pages.Fits(missing) {
		return unix.ENOSPC
	}
	for i := first; i < last; i++ {
		f, err := c.Page(i, true)
		if err != nil {
			return err
		}
		f.Unref()
	}
	return nil
}

func (r *regFile) Seek(f *vfs.File, off int64, whence int) (int64, error) {
	n := r.inode()
	c := n.cache.Load()
	size := c.Size()
	if whence != unix.SEEK_DATA && whence != unix.SEEK_HOLE || n.borrowed.Load() {
		return vfs.SeekIn(f.Offset(), size, off, whence)
	}
	if whence == unix.SEEK_DATA {
		return c.NextData(off)
	}
	return c.NextHole(off)
}

// anonymous is the tmpfs of files that were never in a directory: memfd_create(2),
// and shared anonymous memory.
var anonymous = func() *FS {
	return &FS{name: "tmpfs", magic: unix.TMPFS_MAGIC, most: unlimited, pages: mm.NewQuota(1<<62, nil)}
}()

// allSeals are the seals of fcntl(2).
const allSeals = unix.F_SEAL_SEAL | unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_WRITE | unix.F_SEAL_FUTURE_WRITE | unix.F_SEAL_EXEC

// NewAnonymousFile makes a file that is open for reading and writing and has no
// path; /proc/self/fd shows name. seals are the first ones: F_SEAL_SEAL unless
// sealing is allowed (memfd_create(2)).
func NewAnonymousFile(c *vfs.Creds, name string, mode uint32, seals uint32) *vfs.File {
	n := anonymous.newInode(unix.S_IFREG|mode&0o777, c.FSUID, c.FSGID)
	n.nlink = 0
	n.seals.Store(seals)
	return vfs.NewInodeFile((*regFile)(n), n, name, unix.O_RDWR|unix.O_LARGEFILE)
}

// Seals returns the seals (F_GET_SEALS).
func (n *Inode) Seals() (uint32, error) {
	if n.kind() != unix.S_IFREG || n.fs.lower != nil {
		return 0, unix.EINVAL
	}
	return n.seals.Load(), nil
}

// AddSeals adds seals (F_ADD_SEALS).
func (n *Inode) AddSeals(s uint32) error {
	if s&^allSeals != 0 || n.kind() != unix.S_IFREG || n.fs.lower != nil {
		return unix.EINVAL
	}
	n.writeMu.Lock()
	defer n.writeMu.Unlock()
	old := n.seals.Load()
	if old&unix.F_SEAL_SEAL != 0 {
		return unix.EPERM
	}
	if s&unix.F_SEAL_WRITE&^old != 0 {
		if err := n.cache.Load().DenyWriters(); err != nil {
			return err
		}
	}
	if s&unix.F_SEAL_EXEC != 0 && n.mode.Load()&0o111 != 0 { // what can be run cannot be written
		s |= unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_WRITE | unix.F_SEAL_FUTURE_WRITE
	}
	n.seals.Store(old | s)
	return nil
}
