package vfs

import (
	"sync"

	"golang.org/x/sys/unix"
	"gosv/kernel/wait"
)

// DeviceOpener opens a device; f has its path already.
type DeviceOpener func(c Caller, f *File, rdev uint64, flags uint32) (FileImpl, error)

// AnyMinor as a minor number stands for all that are not registered.
const AnyMinor = ^uint32(0)

type deviceKey struct{ kind, major, minor uint32 }

// devices is what device nodes of any file system lead to.
var devices struct {
	mu sync.RWMutex
	m  map[deviceKey]DeviceOpener
}

// RegisterDevice says who opens the device nodes of type kind (unix.S_IFCHR,
// unix.S_IFBLK) with these numbers.
func RegisterDevice(kind, major, minor uint32, open DeviceOpener) {
	devices.mu.Lock()
	if devices.m == nil {
		devices.m = make(map[deviceKey]DeviceOpener)
	}
	devices.m[deviceKey{kind, major, minor}] = open
	devices.mu.Unlock()
}

func openDevice(c Caller, f *File, kind uint32, rdev uint64, flags uint32) (FileImpl, error) {
	k := deviceKey{kind, unix.Major(rdev), unix.Minor(rdev)}
	devices.mu.RLock()
	open := devices.m[k]
	if open == nil {
		k.minor = AnyMinor
		open = devices.m[k]
	}
	devices.mu.RUnlock()
	if open == nil {
		return nil, unix.ENXIO
	}
	return open(c, f, rdev, flags)
}

// A FIFO is the pipe behind a named one; package pipe provides it.
type FIFO interface {
	// OpenEnd returns the end that flags ask for; ENXIO for a writer that does not
	// want to wait for a reader (fifo(7)).
	OpenEnd(flags uint32) (FileImpl, error)
	// WaitPeer blocks an open until the other end is there too.
	WaitPeer(s *wait.Sleeper, end FileImpl, flags uint32) error
}

// NewFIFO makes the pipe of a FIFO; set by package pipe.
var NewFIFO func() FIFO

// fifo opens the FIFO of the inode.
func (x *InodeExtra) fifo(flags uint32) (FileImpl, error) {
	if NewFIFO == nil {
		return nil, unix.ENXIO
	}
	x.mu.Lock()
	if x.pipe == nil {
		x.pipe = NewFIFO()
	}
	p := x.pipe
	x.mu.Unlock()
	return p.OpenEnd(flags)
}

// openFIFO waits for the other end, after the tree was let go.
func (f *File) openFIFO(c Caller) error {
	x := f.inode.Extra()
	x.mu.Lock()
	p := x.pipe
	x.mu.Unlock()
	return p.WaitPeer(c.Sleeper, f.impl, f.Flags())
}

// SetFIFO gives an inode its pipe: anonymous pipes can be opened again through
// /proc/self/fd.
func (x *InodeExtra) SetFIFO(p FIFO) {
	x.mu.Lock()
	x.pipe = p
	x.mu.Unlock()
}

// Socket returns what SetSocket left: the socket bound to an S_IFSOCK inode.
func (x *InodeExtra) Socket() any {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.socket
}

// SetSocket binds a socket to the inode; nil ends it.
func (x *InodeExtra) SetSocket(s any) {
	x.mu.Lock()
	x.socket = s
	x.mu.Unlock()
}
