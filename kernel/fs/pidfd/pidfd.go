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
}

// file is the open descriptor.
type file struct {
	vfs.FileDefaults
	p Process
}

// New makes a file that refers to p; flags may have O_NONBLOCK.
func New(p Process, flags uint32) *vfs.File {
	return vfs.NewFile(&file{p: p}, Name, unix.O_RDWR|flags&unix.O_NONBLOCK)
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
