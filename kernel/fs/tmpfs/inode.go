package tmpfs

import (
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
	"gosv/kernel/frame"
	"gosv/kernel/mm"
	"gosv/kernel/vfs"
)

// An Inode is an object of any type.
type Inode struct {
	vfs.InodeDefaults
	fs    *FS
	ino   uint64
	mode  atomic.Uint32
	owner atomic.Uint64 // uid, gid<<32

	// writeMu makes writes and changes of the size happen one after the other.
	writeMu sync.Mutex

	// mu guards the attributes and the entries.
	mu         sync.Mutex
	nlink      uint32
	refs       int32 // open files
	linkable   bool  // may get a first name: O_TMPFILE without O_EXCL
	freed      bool
	rdev       uint64
	times      [4]vfs.Time // access, modification, change, birth
	xattrs     map[string][]byte
	xattrBytes int    // names and values
	names      *names // of a directory
	target     string // of a symbolic link
	charged    int64  // pages of the quota for extended attributes and target

	cache    atomic.Pointer[mm.Cache]
	borrowed atomic.Bool   // cache is the lower inode's
	seals    atomic.Uint32 // F_SEAL_*

	lower    vfs.Inode // nil: the inode is all ours
	lowerIno uint64
}

// inodeCost is about what an inode takes with its dentry.
const inodeCost = 1024

// Indices of Inode.times.
const (
	accessed = iota
	modified
	statusChanged
	born
)

func (fs *FS) newInode(mode, uid, gid uint32) *Inode {
	n := &Inode{fs: fs, ino: fs.next.Add(1), nlink: 1}
	n.mode.Store(mode)
	n.owner.Store(uint64(uid) | uint64(gid)<<32)
	now := vfs.Now()
	n.times = [4]vfs.Time{now, now, now, now}
	switch mode & unix.S_IFMT {
	case unix.S_IFDIR:
		n.names = new(names)
	case unix.S_IFREG:
		n.cache.Store(mm.NewMemory(fs.pages))
	}
	fs.inodes.Add(1)
	if fs.most != unlimited {
		allInodes.Add(1)
	}
	return n
}

// unlimited is FS.most of the file system of memfd_create(2): RLIMIT_NOFILE bounds those inodes.
const unlimited = 1 << 62

// allInodes counts the inodes of all file systems in memory, which together may not be more than one alone.
var allInodes atomic.Int64

func mostInodes() int64 { return max(int64(frame.Total()/2), 512) }

func (fs *FS) dropInode() {
	fs.inodes.Add(-1)
	if fs.most != unlimited {
		allInodes.Add(-1)
	}
}

// charge takes pages of the quota for what the inode has on the Go heap beside itself, or gives them back; mu is held, or the
// inode is new. False if there is no room.
func (n *Inode) charge() bool {
	want := int64(0)
	if bytes := n.xattrBytes + len(n.target); bytes > freeBytes {
		want = int64(bytes+4095) / 4096
	}
	if more := want - n.charged; more > 0 && !n.fs.pages.Take(more) {
		return false
	} else if more < 0 {
		n.fs.pages.Give(-more)
	}
	n.charged = want
	return true
}

// freeBytes is how long attributes and target may be that come with the inode.
const freeBytes = 128

// makeInode is newInode with the limit; ENOSPC.
func (fs *FS) makeInode(a *vfs.CreateArgs) (*Inode, error) {
	if fs.inodes.Load() >= fs.most || allInodes.Load() >= mostInodes() {
		return nil, unix.ENOSPC
	}
	n := fs.newInode(a.Mode, a.UID, a.GID)
	if k := n.kind(); k == unix.S_IFCHR || k == unix.S_IFBLK {
		n.rdev = a.Rdev
	}
	n.target = strings.Clone(a.Target)
	if !n.charge() {
		n.fs.dropInode()
		return nil, unix.ENOSPC
	}
	return n, nil
}

func (n *Inode) kind() uint32 { return n.mode.Load() & unix.S_IFMT }

func (n *Inode) Mode() uint32 { return n.mode.Load() }

func (n *Inode) Owner() (uid, gid uint32) {
	o := n.owner.Load()
	return uint32(o), uint32(o >> 32)
}

func (n *Inode) Stat(st *vfs.Stat) error {
	n.mu.Lock()
	st.Ino, st.Mode, st.Nlink, st.Rdev = n.ino, n.mode.Load(), n.nlink, n.rdev
	st.UID, st.GID = n.Owner()
	st.Atime, st.Mtime, st.Ctime, st.Btime = n.times[accessed], n.times[modified], n.times[statusChanged], n.times[born]
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFDIR:
		st.Size = int64(n.names.count()) * 20
		if n.lower != nil {
			st.Size += 4096
		}
	case unix.S_IFLNK:
		st.Size = int64(len(n.target))
	}
	c := n.cache.Load()
	n.mu.Unlock()
	switch {
	case c != nil && !n.borrowed.Load():
		st.Size = c.Size()
		st.Blocks = uint64(c.Pages()) * 8
	case st.Mode&unix.S_IFMT == unix.S_IFREG && n.lower != nil:
		own := *st // whoever is called through an interface would get a new one from the heap
		if err := n.lower.Stat(st); err != nil {
			return err
		}
		own.Size, own.Blocks = st.Size, st.Blocks
		*st = own
	}
	st.Blksize = 4096
	return nil
}

func (n *Inode) SetAttr(a *vfs.SetAttr) error {
	if a.Mask&vfs.SetMode != 0 && n.seals.Load()&unix.F_SEAL_EXEC != 0 && (n.mode.Load()^a.Mode)&0o111 != 0 {
		return unix.EPERM
	}
	if a.Mask&vfs.SetSize != 0 {
		if err := n.truncate(a.Size); err != nil {
			return err
		}
	}
	n.mu.Lock()
	if a.Mask&vfs.SetMode != 0 {
		n.mode.Store(n.mode.Load()&unix.S_IFMT | a.Mode&0o7777)
	}
	uid, gid := n.Owner()
	if a.Mask&vfs.SetUID != 0 {
		uid = a.UID
	}
	if a.Mask&vfs.SetGID != 0 {
		gid = a.GID
	}
	n.owner.Store(uint64(uid) | uint64(gid)<<32)
	if a.Mask&vfs.SetAtime != 0 {
		n.times[accessed] = a.Atime
	}
	if a.Mask&vfs.SetMtime != 0 {
		n.times[modified] = a.Mtime
	}
	if a.Mask&vfs.SetCtime != 0 {
		n.times[statusChanged] = a.Ctime
	}
	n.mu.Unlock()
	n.keep()
	return nil
}

// touch notes a change of the content; mu is held.
func (n *Inode) touch(which ...int) {
	now := vfs.Now()
	for _, i := range which {
		n.times[i] = now
	}
}

func (n *Inode) Readlink(vfs.Caller) (string, error) {
	if n.kind() != unix.S_IFLNK {
		return "", unix.EINVAL
	}
	return n.target, nil
}

func (n *Inode) Retain() {
	n.mu.Lock()
	n.refs++
	n.mu.Unlock()
}

func (n *Inode) Release() {
	n.mu.Lock()
	n.refs--
	free := n.unused()
	n.mu.Unlock()
	if free {
		n.free()
	}
}

// unused reports, once, that nothing leads to the inode any more; mu is held.
func (n *Inode) unused() bool {
	if n.nlink != 0 || n.refs != 0 || n.freed {
		return false
	}
	n.freed = true
	return true
}

// unlink takes one name away.
func (n *Inode) unlink() {
	n.mu.Lock()
	if n.kind() == unix.S_IFDIR {
		n.nlink = 0
	} else if n.nlink > 0 {
		n.nlink--
	}
	n.times[statusChanged] = vfs.Now()
	free := n.unused()
	n.mu.Unlock()
	if free {
		n.free()
	} else {
		n.keep()
	}
}

// free gives the memory of the content back.
func (n *Inode) free() {
	n.mu.Lock()
	n.fs.pages.Give(n.charged)
	n.charged = 0
	n.mu.Unlock()
	if n.lower == nil {
		n.fs.dropInode()
	} else {
		n.forget()
	}
	if c := n.cache.Load(); c != nil && !n.borrowed.Load() {
		c.SetSize(0)
		c.Drop()
	}
}

// maxXattrs is how many bytes of extended attributes an inode may have: they are
// kernel memory.
const maxXattrs = 128 << 10

func xattrSupported(name string) bool {
	return strings.HasPrefix(name, "user.") || strings.HasPrefix(name, "trusted.") || strings.HasPrefix(name, "security.")
}

func (n *Inode) GetXattr(name string) ([]byte, error) {
	if !xattrSupported(name) {
		return nil, unix.EOPNOTSUPP
	}
	n.mu.Lock()
	v, ok := n.xattrs[name]
	n.mu.Unlock()
	if !ok {
		return nil, unix.ENODATA
	}
	return v, nil
}

func (n *Inode) SetXattr(name string, value []byte, flags int) error {
	if !xattrSupported(name) {
		return unix.EOPNOTSUPP
	}
	n.mu.Lock()
	defer n.keep()
	defer n.mu.Unlock()
	old, exists := n.xattrs[name]
	if exists && flags&unix.XATTR_CREATE != 0 {
		return unix.EEXIST
	}
	if !exists && flags&unix.XATTR_REPLACE != 0 {
		return unix.ENODATA
	}
	more := len(value) - len(old)
	if !exists {
		more += len(name)
	}
	if n.xattrBytes+more > maxXattrs {
		return unix.ENOSPC
	}
	n.xattrBytes += more
	if !n.charge() {
		n.xattrBytes -= more
		return unix.ENOSPC
	}
	if n.xattrs == nil {
		n.xattrs = make(map[string][]byte)
	}
	n.xattrs[strings.Clone(name)] = slices.Clone(value)
	n.touch(statusChanged)
	return nil
}

func (n *Inode) RemoveXattr(name string) error {
	if !xattrSupported(name) {
		return unix.EOPNOTSUPP
	}
	n.mu.Lock()
	defer n.keep()
	defer n.mu.Unlock()
	v, ok := n.xattrs[name]
	if !ok {
		return unix.ENODATA
	}
	n.xattrBytes -= len(name) + len(v)
	delete(n.xattrs, name)
	n.charge()
	n.touch(statusChanged)
	return nil
}

func (n *Inode) ListXattr() ([]string, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Sorted(maps.Keys(n.xattrs)), nil
}
