// Package vfs is the file tree: the dentry cache and the path walk, mounts and permissions, open file descriptions and
// descriptor tables; file systems plug in as Inodes and FileImpls.
//
// Lock order:
//
//	FDTable.mu
//	File.posMu
//	renameMu (one rename that moves between directories at a time)
//	Dentry.mu (parent before child; two directories of a rename: ancestor first, else by address)
//	a file system's own locks
//	wait.Queue
//	Superblock.lruMu, inodeExtra locks, mount table
package vfs

import (
	"sync/atomic"

	"golang.org/x/sys/unix"
	"gosv/kernel/wait"
)

// An Inode is a file system's object: a regular file, a directory, a symbolic
// link, a device node. Implementations are pointers (inodes are compared), embed
// InodeDefaults, and override what they support. The caller has checked
// permissions, read-only mounts and names; while a directory's Lookup, Create,
// Link, Remove or Rename runs, that directory is locked by the VFS, so that the
// names in one directory do not change under it (directories of different
// dentries run in parallel).
type Inode interface {
	// Mode returns the type (S_IFMT) and permission bits. The type never changes.
	Mode() uint32
	// Owner returns the user and the group.
	Owner() (uid, gid uint32)
	// Stat fills what the file system knows; the VFS adds the device and the
	// mount, comes with Nlink 1, and takes defaults for fields that are left zero:
	// Blksize 4096, Mode and the owner from the methods above.
	Stat(st *Stat) error
	// SetAttr changes the attributes that a.Mask names, including the size.
	SetAttr(a *SetAttr) error

	// Lookup finds name in this directory; ENOENT may be cached.
	Lookup(c Caller, name string) (Inode, error)
	// Create makes an object of the type in a.Mode; name does not exist.
	Create(name string, a *CreateArgs) (Inode, error)
	// Tmpfile makes a regular file without a name (O_TMPFILE).
	Tmpfile(a *CreateArgs) (Inode, error)
	// Link adds a name for target, an inode of the same file system.
	Link(name string, target Inode) error
	// Remove takes away name, which is child. Directories must be empty (ENOTEMPTY).
	Remove(name string, child Inode) error
	// Rename moves (name, child) of this directory to newName in newDir. Where
	// replaced is not nil it is what newName is now: it goes, or with exchange
	// takes the old place.
	Rename(name string, child Inode, newDir Inode, newName string, replaced Inode, exchange bool) error

	// Readlink returns the text of a symbolic link.
	Readlink(c Caller) (string, error)
	// Follow is for links that lead to an object rather than to a text
	// (/proc/self/fd/3, /proc/self/exe): ok says that p is the goal.
	Follow(c Caller) (p Path, ok bool, err error)

	// Open returns the behaviour of an open file. FIFOs and sockets are opened
	// by the VFS itself. flags are those of open(2). f has its path already.
	Open(c Caller, f *File, flags uint32) (FileImpl, error)
	// Allocate is fallocate(2) with its modes.
	Allocate(mode uint32, off, n int64) error

	// Extended attributes, names with their prefix. ENODATA, ENOTSUP, ERANGE is
	// the caller's business.
	GetXattr(name string) ([]byte, error)
	SetXattr(name string, value []byte, flags int) error
	RemoveXattr(name string) error
	ListXattr() ([]string, error)

	// Retain and Release count the open files (O_PATH ones too): the file system
	// frees an inode without names when the last Release comes.
	Retain()
	Release()

	// Extra is the VFS's state of this inode: locks, the pipe of a FIFO, the
	// socket bound to it. InodeDefaults has it.
	Extra() *InodeExtra
	readers() *atomic.Int32
}

// InodeDefaults is embedded by every Inode: it refuses all operations with the
// error that Linux gives for a file system that lacks them.
type InodeDefaults struct {
	extra   atomic.Pointer[InodeExtra]
	reading atomic.Int32
}

// readers counts the files that are open for reading alone, for leases.
func (i *InodeDefaults) readers() *atomic.Int32 { return &i.reading }

func (*InodeDefaults) Owner() (uid, gid uint32)                               { return 0, 0 }
func (*InodeDefaults) Stat(*Stat) error                                       { return nil }
func (*InodeDefaults) SetAttr(*SetAttr) error                                 { return unix.EPERM }
func (*InodeDefaults) Lookup(Caller, string) (Inode, error)                   { return nil, unix.ENOTDIR }
func (*InodeDefaults) Create(string, *CreateArgs) (Inode, error)              { return nil, unix.EACCES }
func (*InodeDefaults) Tmpfile(*CreateArgs) (Inode, error)                     { return nil, unix.EOPNOTSUPP }
func (*InodeDefaults) Link(string, Inode) error                               { return unix.EPERM }
func (*InodeDefaults) Remove(string, Inode) error                             { return unix.EPERM }
func (*InodeDefaults) Rename(string, Inode, Inode, string, Inode, bool) error { return unix.EPERM }
func (*InodeDefaults) Readlink(Caller) (string, error)                        { return "", unix.EINVAL }
func (*InodeDefaults) Follow(Caller) (Path, bool, error)                      { return Path{}, false, nil }
func (*InodeDefaults) Open(Caller, *File, uint32) (FileImpl, error)           { return nil, unix.ENXIO }
func (*InodeDefaults) Allocate(uint32, int64, int64) error                    { return unix.EOPNOTSUPP }
func (*InodeDefaults) GetXattr(string) ([]byte, error)                        { return nil, unix.EOPNOTSUPP }
func (*InodeDefaults) SetXattr(string, []byte, int) error                     { return unix.EOPNOTSUPP }
func (*InodeDefaults) RemoveXattr(string) error                               { return unix.EOPNOTSUPP }
func (*InodeDefaults) ListXattr() ([]string, error)                           { return nil, unix.EOPNOTSUPP }
func (*InodeDefaults) Retain()                                                {}
func (*InodeDefaults) Release()                                               {}

// Extra returns the VFS's state of the inode, made on first use.
func (i *InodeDefaults) Extra() *InodeExtra {
	if x := i.extra.Load(); x != nil {
		return x
	}
	i.extra.CompareAndSwap(nil, new(InodeExtra))
	return i.extra.Load()
}

// A Caller is on whose behalf an operation runs. Sleeper is nil where nothing may
// block (FIFOs then behave as with O_NONBLOCK); Task is for procfs
// (/proc/self), which knows its type.
type Caller struct {
	Creds   *Creds
	Sleeper *wait.Sleeper
	Task    any
}

// Kernel returns the caller that the kernel itself is: root, never blocking.
func Kernel() Caller { return Caller{Creds: &RootCreds} }

// A Time is a point in time as files carry it.
type Time struct {
	Sec  int64
	Nsec uint32
}

// Nano makes a Time from nanoseconds since the epoch.
func Nano(ns int64) Time {
	s, n := ns/1e9, ns%1e9
	if n < 0 {
		s, n = s-1, n+1e9
	}
	return Time{s, uint32(n)}
}

// Before reports whether t is earlier than u.
func (t Time) Before(u Time) bool { return t.Sec < u.Sec || t.Sec == u.Sec && t.Nsec < u.Nsec }

// Stat is what statx(2) can tell.
type Stat struct {
	Ino        uint64
	Mode       uint32
	Nlink      uint32
	UID, GID   uint32
	Rdev       uint64 // in Linux's dev_t encoding, unix.Mkdev
	Size       int64
	Blocks     uint64 // of 512 bytes
	Blksize    uint32
	Atime      Time
	Mtime      Time
	Ctime      Time
	Btime      Time // zero: not known
	Attributes uint64
	AttrMask   uint64

	// Filled by the VFS.
	Dev       uint64
	MountID   uint64
	MountRoot bool
}

// The bits of SetAttr.Mask.
const (
	SetMode = 1 << iota
	SetUID
	SetGID
	SetSize
	SetAtime
	SetMtime
	SetCtime // the VFS always gives it with the others
)

// SetAttr is a change of attributes.
type SetAttr struct {
	Mask                uint32
	Mode                uint32 // permission bits, 07777
	UID, GID            uint32
	Size                int64
	Atime, Mtime, Ctime Time
}

// CreateArgs says what Create makes.
type CreateArgs struct {
	Mode     uint32 // type and permission bits, umask applied
	UID, GID uint32
	Rdev     uint64 // of device nodes
	Target   string // of symbolic links
	Excl     bool   // O_TMPFILE|O_EXCL: may not be linked
}

// Statfs is what statfs(2) tells about a file system.
type Statfs struct {
	Type          uint64 // magic number (include/uapi/linux/magic.h)
	Bsize         uint64
	Blocks, Bfree uint64
	Files, Ffree  uint64
	Namelen       uint64
	Fsid          uint64
}
