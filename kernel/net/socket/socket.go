// Package socket is what all sockets have in common, whatever their family (socket(7)): the interface that the system
// calls use, messages with their control data, the options of SOL_SOCKET, and the inode of sockfs.
//
// A family is a package beside this one; it registers itself with Register.
package socket

import (
	"encoding/binary"
	"strconv"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"gosv/kernel/mm"
	"gosv/kernel/vfs"
	"gosv/kernel/wait"
)

// A Socket is the behaviour of a socket. Like all of FileImpl its methods never
// block: EAGAIN says that the caller is to wait on Queue.
type Socket interface {
	vfs.FileImpl

	// Common returns the state that all families share.
	Common() *Base

	// Bind is bind(2); addr is a struct sockaddr of any length.
	Bind(c *Caller, addr []byte) error
	// Connect is connect(2). EINPROGRESS: the connection is being made, ask
	// Connected once the socket is writable. EAGAIN: try again then.
	Connect(c *Caller, addr []byte) error
	// Connected tells how a connection in progress is: EALREADY while it is
	// being made, nil, or why it failed.
	Connected() error
	// Listen is listen(2).
	Listen(c *Caller, backlog int) error
	// Accept takes a connection off the queue of a listening socket.
	Accept(c *Caller) (Socket, error)
	// Name appends the address of the socket (getsockname(2)) to b.
	Name(b []byte) ([]byte, error)
	// Peer appends the address of the peer (getpeername(2)) to b.
	Peer(b []byte) ([]byte, error)
	// Shutdown is shutdown(2); EINVAL if how is not SHUT_RD, SHUT_WR or SHUT_RDWR.
	Shutdown(how int) error

	// Send takes what it can of m.Buf, which it consumes; a stream may take a
	// part, and then returns its length with a nil error.
	Send(c *Caller, m *Message) (int, error)
	// Recv fills m.Buf, m.Name and the control data. The result is the length of
	// what came; beyond that of the buffer with MSG_TRUNC.
	Recv(c *Caller, m *Message) (int, error)

	// SetOption is setsockopt(2).
	SetOption(c *Caller, level, name int, v []byte) error
	// GetOption is getsockopt(2) with room for n bytes; it returns at most those.
	GetOption(c *Caller, level, name, n int) ([]byte, error)
}

// A Caller is the thread on whose behalf a socket call runs.
type Caller struct {
	vfs.Caller
	PID   int
	FS    *vfs.FSContext
	Files *vfs.FDTable
	// Inflight is how many files the caller may have in messages.
	Inflight uint64
	// Wait says that the call blocks if there is nothing: one on a socket that was
	// shut ends then, where one that does not block is told EAGAIN.
	Wait bool
}

// Cred is struct ucred.
type Cred struct {
	PID      int32
	UID, GID uint32
}

// Cred returns the caller's credentials as SO_PEERCRED shows them.
func (c *Caller) Cred() Cred {
	return Cred{int32(c.PID), c.Creds.EUID, c.Creds.EGID}
}

// ParseCred reads the struct ucred of SCM_CREDENTIALS.
func ParseCred(data []byte) (Cred, error) {
	if len(data) != unix.SizeofUcred {
		return Cred{}, unix.EINVAL
	}
	return Cred{
		PID: int32(binary.LittleEndian.Uint32(data)),
		UID: binary.LittleEndian.Uint32(data[4:]),
		GID: binary.LittleEndian.Uint32(data[8:]),
	}, nil
}

// MayClaim refuses credentials that are not the caller's own, unless it may have
// any (unix(7)).
func (c *Caller) MayClaim(x Cred) error {
	me := c.Creds
	if x.PID != int32(c.PID) && !me.Has(unix.CAP_SYS_ADMIN) ||
		x.UID != me.UID && x.UID != me.EUID && x.UID != me.SUID && !me.Has(unix.CAP_SETUID) ||
		x.GID != me.GID && x.GID != me.EGID && x.GID != me.SGID && !me.Has(unix.CAP_SETGID) {
		return unix.EPERM
	}
	if x.UID == ^uint32(0) || x.GID == ^uint32(0) {
		return unix.EINVAL
	}
	if x.PID <= 0 {
		return unix.ESRCH
	}
	return nil
}

// KernelCaller is for transfers that no thread asked for in person: splice(2),
// sendfile(2).
var KernelCaller = Caller{Caller: vfs.Kernel()}

// A Family makes sockets of an address family (AF_*).
type Family interface {
	// New is socket(2), typ without its flags.
	New(c *Caller, typ, protocol int) (Socket, error)
	// Pair is socketpair(2); EOPNOTSUPP for most.
	Pair(c *Caller, typ, protocol int) (a, b Socket, err error)
}

// maxFamily is AF_MAX.
const maxFamily = 46

var families [maxFamily]Family

// Register gives family af its sockets. It is called while packages initialize.
func Register(af int, f Family) { families[af] = f }

func family(af, typ int) (Family, error) {
	if af < 0 || af >= maxFamily {
		return nil, unix.EAFNOSUPPORT
	}
	if typ < 0 || typ > unix.SOCK_PACKET {
		return nil, unix.EINVAL
	}
	if af == unix.AF_INET && typ == unix.SOCK_PACKET { // as in Linux 2.0
		af = unix.AF_PACKET
	}
	if families[af] == nil {
		return nil, unix.EAFNOSUPPORT
	}
	return families[af], nil
}

// New makes a socket: socket(2) without the flags in typ.
func New(c *Caller, af, typ, protocol int) (Socket, error) {
	f, err := family(af, typ)
	if err != nil {
		return nil, err
	}
	return f.New(c, typ, protocol)
}

// Pair makes two sockets that are connected to each other.
func Pair(c *Caller, af, typ, protocol int) (a, b Socket, err error) {
	f, err := family(af, typ)
	if err != nil {
		return nil, nil, err
	}
	return f.Pair(c, typ, protocol)
}

// NewFile makes the open file of a socket; flags are O_NONBLOCK or none.
func NewFile(c *Caller, s Socket, flags uint32) *vfs.File {
	b := s.Common()
	n := &Inode{Socket: s, made: vfs.Now()}
	n.uid.Store(c.Creds.FSUID)
	n.gid.Store(c.Creds.FSGID)
	b.inode.Store(n)
	return vfs.NewInodeFile(s, n, "socket:["+strconv.FormatUint(b.Ino(), 10)+"]", unix.O_RDWR|flags&unix.O_NONBLOCK)
}

// Of returns the socket behind a file; ENOTSOCK if it is none.
func Of(f *vfs.File) (Socket, error) {
	if n, ok := f.Inode().(*Inode); ok && !f.PathOnly() {
		return n.Socket, nil
	}
	return nil, unix.ENOTSOCK
}

// Inode is a socket in sockfs, which has no names.
type Inode struct {
	vfs.InodeDefaults
	Socket   Socket
	uid, gid atomic.Uint32
	made     vfs.Time
}

// Mode returns the type and permissions of all sockets.
func (*Inode) Mode() uint32 { return unix.S_IFSOCK | 0o777 }

// Owner returns who made the socket.
func (n *Inode) Owner() (uid, gid uint32) { return n.uid.Load(), n.gid.Load() }

// Stat fills in what fstat(2) shows.
func (n *Inode) Stat(st *vfs.Stat) error {
	st.Ino, st.Mode = n.Socket.Common().Ino(), n.Mode()
	st.UID, st.GID = n.Owner()
	st.Atime, st.Mtime, st.Ctime = n.made, n.made, n.made
	return nil
}

// SetAttr is fchown(2); the rest is not kept, as on Linux.
func (n *Inode) SetAttr(a *vfs.SetAttr) error {
	if a.Mask&vfs.SetUID != 0 {
		n.uid.Store(a.UID)
	}
	if a.Mask&vfs.SetGID != 0 {
		n.gid.Store(a.GID)
	}
	return nil
}

// Lingering says that some socket was told to linger, so that close(2) must look.
var Lingering atomic.Bool

// A Lingerer is a socket whose close may wait.
type Lingerer interface {
	Socket
	// Lingers is for how long; 0 for not at all.
	Lingers() time.Duration
	// Drained tells, after the socket's release, whether there still is something
	// to wait for: EAGAIN.
	Drained() error
}

var lastIno atomic.Uint64

// Base is the part that all families share; every socket embeds it.
type Base struct {
	vfs.FileDefaults
	queue wait.Queue

	Family, Type, Protocol int

	ino   uint64
	inode atomic.Pointer[Inode]

	// RcvTimeout and SndTimeout are SO_RCVTIMEO and SO_SNDTIMEO in ns; 0 is none.
	RcvTimeout, SndTimeout atomic.Int64
	// RcvBuf and SndBuf are SO_RCVBUF and SO_SNDBUF where the family has no
	// better place for them.
	RcvBuf, SndBuf atomic.Int32
	rcvLowat       atomic.Int32
	flags          atomic.Uint64
	priority, mark atomic.Uint32
	peekOff        atomic.Int32
	timestamping   atomic.Uint32
	busyPoll       atomic.Int32
	linger         atomic.Uint64 // struct linger; AF_INET has a better place for it

	err atomic.Pointer[error]
}

// Init makes the fields that must not be zero.
func (b *Base) Init(family, typ, protocol int) {
	b.Family, b.Type, b.Protocol = family, typ, protocol
	b.ino = 1<<16 + lastIno.Add(1)
	b.RcvBuf.Store(rcvBuf.Load())
	b.SndBuf.Store(sndBuf.Load())
	b.rcvLowat.Store(1)
	b.peekOff.Store(-1)
}

// Async implements vfs.Asyncer.
func (b *Base) Async() {}

// Common returns b.
func (b *Base) Common() *Base { return b }

// Ino is the inode number, which /proc/net shows.
func (b *Base) Ino() uint64 { return b.ino }

// UID is who owns the socket.
func (b *Base) UID() uint32 {
	if n := b.inode.Load(); n != nil {
		return n.uid.Load()
	}
	return 0
}

// Queue implements vfs.FileImpl.
func (b *Base) Queue() *wait.Queue { return &b.queue }

// Notify tells the waiters of events.
func (b *Base) Notify(ev wait.Events) { b.queue.Notify(ev) }

// RcvLowat is SO_RCVLOWAT.
func (b *Base) RcvLowat() int { return int(b.rcvLowat.Load()) }

// Stream reports whether the socket has no message boundaries.
func (b *Base) Stream() bool { return b.Type == unix.SOCK_STREAM }

// SetError leaves an error for SO_ERROR and the next call.
func (b *Base) SetError(err error) {
	if err == nil {
		b.err.Store(nil)
		return
	}
	b.err.Store(&err)
}

// TakeError returns the pending error and clears it.
func (b *Base) TakeError() error {
	if !b.HasError() {
		return nil
	}
	if err := b.err.Swap(nil); err != nil {
		return *err
	}
	return nil
}

// HasError reports whether an error is pending.
func (b *Base) HasError() bool { return b.err.Load() != nil }

// What most families do not have.

func (*Base) Connected() error                  { return nil }
func (*Base) Listen(*Caller, int) error         { return unix.EOPNOTSUPP }
func (*Base) Accept(*Caller) (Socket, error)    { return nil, unix.EOPNOTSUPP }
func (*Base) Shutdown(int) error                { return unix.EOPNOTSUPP }
func (*Base) Connect(*Caller, []byte) error     { return unix.EOPNOTSUPP }
func (*Base) Peer([]byte) ([]byte, error)       { return nil, unix.EOPNOTSUPP }
func (*Base) Sync(*vfs.File) error              { return unix.EINVAL }
func (*Base) Mmap(*vfs.File) (*mm.Cache, error) { return nil, unix.ENODEV }

// DeviceIoctl does the requests of netdevice(7), which every socket takes; ENOTTY
// for others. Package inet sets it.
var DeviceIoctl = func(c *Caller, as *mm.AddressSpace, cmd uint32, arg uint64) error { return unix.ENOTTY }

// Read is how the kernel itself reads from a socket (splice(2)).
func Read(s Socket, dst *mm.Buf) (int64, error) {
	if dst.Len() == 0 {
		return 0, nil
	}
	m := NewMessage(dst, 0)
	n, err := s.Recv(&KernelCaller, m)
	m.Free()
	return int64(n), err
}

// Write is how the kernel itself writes to a socket (splice(2), sendfile(2)).
func Write(s Socket, src *mm.Buf) (int64, error) {
	m := NewMessage(src, unix.MSG_NOSIGNAL)
	n, err := s.Send(&KernelCaller, m)
	m.Free()
	return int64(n), err
}
