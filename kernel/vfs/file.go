package vfs

import (
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
	"gosv/kernel/mm"
	"gosv/kernel/wait"
)

// File is an open file description (open(2)): what descriptors, mappings and
// messages in flight refer to.
type File struct {
	refs  atomic.Int32
	flags atomic.Uint32 // O_ACCMODE and status flags, as F_GETFL shows them
	impl  FileImpl
	inode Inode // nil only where NewFile got a name instead of a path
	path  Path  // pinned
	name  string

	readable, writable, seekable, pathOnly bool
	counted                                bool // among the writers of inode and mount
	reads                                  bool // among the readers of the inode
	created                                bool // made by this open

	flusher Flusher // impl, if it is one

	creds *Creds // of who opened it; nil for anonymous files

	posMu sync.Mutex
	pos   int64

	owner atomic.Pointer[FileOwner]
	async atomic.Pointer[asyncFile]
	locks atomic.Bool // locks or leases were taken through this file

	hookMu sync.Mutex
	hooks  *CloseHook
}

// FileOwner is who gets SIGIO (F_SETOWN, F_SETSIG).
type FileOwner struct {
	Type, PID, Signal int32
	UID, EUID         uint32 // of who set it
}

// A CloseHook is called when the last reference to a file goes; epoll forgets
// the file then.
type CloseHook struct {
	Func       func(*File)
	next, prev *CloseHook
	on         bool
}

// NewFile makes an open file that no path leads to (a pipe, an eventfd), with
// one reference. name is what /proc/self/fd shows, "anon_inode:[eventfd]";
// flags are those of open(2).
func NewFile(impl FileImpl, name string, flags uint32) *File {
	f := &File{impl: impl, name: name}
	f.init(flags)
	f.inode = newAnonInode()
	return f
}

// NewInodeFile is NewFile for an inode that has attributes (pipes, memfds).
func NewInodeFile(impl FileImpl, inode Inode, name string, flags uint32) *File {
	f := &File{impl: impl, name: name, inode: inode}
	inode.Retain()
	f.init(flags)
	return f
}

// openFiles counts the open file descriptions there are.
var openFiles atomic.Int64

// OpenFiles is how many open file descriptions there are in the machine.
func OpenFiles() int64 { return openFiles.Load() }

func (f *File) init(flags uint32) {
	f.refs.Store(1)
	openFiles.Add(1)
	f.flags.Store(flags &^ (unix.O_CREAT | unix.O_EXCL | unix.O_NOCTTY | unix.O_TRUNC | unix.O_CLOEXEC))
	if f.impl == nil {
		f.pathOnly = true
		return
	}
	f.readable = flags&unix.O_ACCMODE != unix.O_WRONLY && flags&unix.O_ACCMODE != 3
	f.writable = flags&unix.O_ACCMODE == unix.O_WRONLY || flags&unix.O_ACCMODE == unix.O_RDWR
	f.seekable = f.impl.Seekable()
	f.flusher, _ = f.impl.(Flusher)
}

// Retain adds a reference.
func (f *File) Retain() { f.refs.Add(1) }

// tryRetain adds a reference unless the last one is gone.
func (f *File) tryRetain() bool {
	for {
		n := f.refs.Load()
		if n <= 0 {
			return false
		}
		if f.refs.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

// Release drops a reference; the last one closes the file.
func (f *File) Release() {
	if f.refs.Add(-1) == 0 {
		openFiles.Add(-1)
		f.close()
	}
}

func (f *File) close() {
	for {
		f.hookMu.Lock()
		h := f.hooks
		if h != nil {
			f.unhook(h)
		}
		f.hookMu.Unlock()
		if h == nil {
			break
		}
		h.Func(f)
	}
	if !f.pathOnly {
		if f.writable {
			f.happened(unix.IN_CLOSE_WRITE)
		} else {
			f.happened(unix.IN_CLOSE_NOWRITE)
		}
	}
	if f.locks.Load() {
		f.inode.Extra().releaseFile(f)
	}
	if f.impl != nil {
		f.impl.Release()
	}
	if f.counted {
		f.inode.Extra().writers.Add(-1)
		if f.path.Mount != nil {
			f.path.Mount.writers.Add(-1)
		}
	}
	if f.reads {
		f.inode.readers().Add(-1)
	}
	if f.inode != nil {
		f.inode.Release()
	}
	f.path.unpin()
}

// OnClose adds a hook.
func (f *File) OnClose(h *CloseHook) {
	f.hookMu.Lock()
	h.next, h.prev, h.on = f.hooks, nil, true
	if h.next != nil {
		h.next.prev = h
	}
	f.hooks = h
	f.hookMu.Unlock()
}

// RemoveHook takes a hook away again. When the file is being closed the hook may
// run nevertheless.
func (f *File) RemoveHook(h *CloseHook) {
	f.hookMu.Lock()
	if h.on {
		f.unhook(h)
	}
	f.hookMu.Unlock()
}

func (f *File) unhook(h *CloseHook) {
	if h.prev != nil {
		h.prev.next = h.next
	} else {
		f.hooks = h.next
	}
	if h.next != nil {
		h.next.prev = h.prev
	}
	h.next, h.prev, h.on = nil, nil, false
}

// Impl returns the behaviour; nil for O_PATH files.
func (f *File) Impl() FileImpl { return f.impl }

// Inode returns the inode; files made by NewFile have an anonymous one.
func (f *File) Inode() Inode { return f.inode }

// Path returns where the file was opened; the zero Path for anonymous files.
func (f *File) Path() Path { return f.path }

// Flags returns the access mode and status flags, O_NONBLOCK and so on.
func (f *File) Flags() uint32 { return f.flags.Load() }

// SetFlags changes the status flags in mask to those of flags (F_SETFL, FIONBIO).
func (f *File) SetFlags(flags, mask uint32) {
	for {
		old := f.flags.Load()
		if f.flags.CompareAndSwap(old, old&^mask|flags&mask) {
			return
		}
	}
}

// Nonblocking reports O_NONBLOCK.
func (f *File) Nonblocking() bool { return f.flags.Load()&unix.O_NONBLOCK != 0 }

// Readable and Writable report how the file was opened.
func (f *File) Readable() bool { return f.readable }

// Writable reports whether the file was opened for writing.
func (f *File) Writable() bool { return f.writable }

// Seekable reports whether the file has an offset.
func (f *File) Seekable() bool { return f.seekable }

// Created reports whether the open made the file (F_CREATED_QUERY).
func (f *File) Created() bool { return f.created }

// PathOnly reports O_PATH.
func (f *File) PathOnly() bool { return f.pathOnly }

// Offset returns the current position. Only FileImpl.Seek and ReadDir may rely
// on it not changing.
func (f *File) Offset() int64 { return atomic.LoadInt64(&f.pos) }

// Readiness returns the poll events that hold now; files without a queue are
// always ready.
func (f *File) Readiness() wait.Events {
	if f.impl == nil {
		return wait.NVal
	}
	return f.impl.Readiness()
}

// Queue returns the wait queue, nil if the file is always ready.
func (f *File) Queue() *wait.Queue {
	if f.impl == nil {
		return nil
	}
	return f.impl.Queue()
}

// Owner returns who gets SIGIO; nil if nobody was set.
func (f *File) Owner() *FileOwner { return f.owner.Load() }

// SetOwner sets who gets SIGIO.
func (f *File) SetOwner(o *FileOwner) { f.owner.Store(o) }

// Name returns the path as seen from root, or the name of an anonymous file: the
// text of /proc/self/fd/N.
func (f *File) Name(root Path) string {
	if f.path.Dentry != nil {
		return f.path.String(root)
	}
	return f.name
}

// MapName is Name for lines of /proc/self/maps, from the global root.
func (f *File) MapName() string { return f.Name(Path{}) }

// Cache returns the page cache for mmap(2), nil if the file cannot be mapped.
func (f *File) Cache() *mm.Cache {
	if f.impl == nil {
		return nil
	}
	c, err := f.impl.Mmap(f)
	if err != nil {
		return nil
	}
	return c
}

// Stat fills st.
func (f *File) Stat(st *Stat) error {
	if f.path.Dentry != nil {
		return f.path.Stat(st)
	}
	return statInode(f.inode, st)
}

func statInode(n Inode, st *Stat) error {
	*st = Stat{Nlink: 1}
	if err := n.Stat(st); err != nil {
		return err
	}
	if st.Mode == 0 {
		st.Mode = n.Mode()
		st.UID, st.GID = n.Owner()
	}
	if st.Blksize == 0 {
		st.Blksize = 4096
	}
	if st.Dev == 0 {
		st.Dev = anonDev
	}
	return nil
}

// anonInode is the inode of files that have none of their own. Linux has a
// single one for all; one each keeps locks apart.
type anonInode struct {
	InodeDefaults
}

func newAnonInode() Inode { return new(anonInode) }

// Mode returns the odd mode that Linux gives anonymous inodes: no type.
func (*anonInode) Mode() uint32 { return 0o600 }

func (*anonInode) Stat(st *Stat) error {
	st.Ino, st.Mode, st.Nlink = 1, 0o600, 1
	return nil
}
