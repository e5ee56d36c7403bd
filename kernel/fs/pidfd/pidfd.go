// Package pidfd is a descriptor that refers to a process (pidfd_open(2)): it becomes readable when the process ends, and
// never means another process that got the same ID.
package pidfd

import (
	"strconv"

	"golang.org/x/sys/unix"
	"gosv/kernel/vfs"
	"gosv/kernel/wait"
)

// Name is what /proc/PID/fd shows.
const Name = "anon_inode:[pidfd]"

// A Process is what a descriptor refers to.
type Process interface {
	// Exited reports whether all threads have ended.
	Exited() bool
	// ExitQueue is told when that happens.
	ExitQueue() *wait.Queue
	// LiveID is the process's ID, -1 once it was waited for.
	LiveID() int
	// Serial is a number that no other process of the machine has, or had: the inode of its descriptors.
	Serial() uint64
}

// file is the open descriptor.
type file struct {
	vfs.FileDefaults
	p Process
}

// inode is that of Linux's pidfs: one for each process.
type inode struct {
	vfs.InodeDefaults
	serial uint64
}

func (*inode) Mode() uint32 { return unix.S_IFREG | 0o700 }

func (n *inode) Stat(st *vfs.Stat) error {
	st.Ino = n.serial
	return nil
}

// Thread is the flag for a thread that is not the first of its process (PIDFD_THREAD).
const Thread = unix.O_EXCL

// New makes a file that refers to p; flags may have O_NONBLOCK and Thread.
func New(p Process, flags uint32) *vfs.File {
	f := vfs.NewInodeFile(&file{p: p}, &inode{serial: p.Serial()}, Name, unix.O_RDWR|flags&unix.O_NONBLOCK)
	f.SetFlags(flags, Thread) // F_GETFL shows it
	return f
}

// Of returns the process that a file refers to, nil if it is no such file.
func Of(f *vfs.File) Process {
	if p, ok := f.Impl().(*file); ok {
		return p.p
	}
	return nil
}

func (f *file) Readiness() wait.Events {
	if f.p.Exited() {
		return wait.Readable
	}
	return 0
}

func (f *file) Queue() *wait.Queue { return f.p.ExitQueue() }

// FDInfo appends what /proc/PID/fdinfo shows.
func (f *file) FDInfo(b []byte) []byte {
	id := int64(f.p.LiveID())
	b = strconv.AppendInt(append(b, "Pid:\t"...), id, 10)
	b = strconv.AppendInt(append(b, "\nNSpid:\t"...), id, 10)
	return append(b, '\n')
}
