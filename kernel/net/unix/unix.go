// Package unix is AF_UNIX sockets (unix(7)): streams, datagrams and sequenced packets between the processes of this machine,
// with descriptors and credentials in their messages.
//
// Data travels in pages: the sender copies it out of its memory into them, the receiver copies it into its own.
//
// Lock order:
//
//	Socket.mu of one socket or, by address, of two
//	  queue.mu  (under it: mm's locks, while data is copied)
//	names.mu
//	inflight.mu, reaper.mu
//	wait.Queue
package unix

import (
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"gosv/kernel/mm"
	"gosv/kernel/net/socket"
	"gosv/kernel/vfs"
	"gosv/kernel/wait"
)

func init() { socket.Register(unix.AF_UNIX, family{}) }

type family struct{}

func (family) New(c *socket.Caller, typ, protocol int) (socket.Socket, error) {
	if protocol != 0 && protocol != unix.AF_UNIX {
		return nil, unix.EPROTONOSUPPORT
	}
	switch typ {
	case unix.SOCK_RAW: // BSD's idea of a datagram socket
		typ = unix.SOCK_DGRAM
	case unix.SOCK_STREAM, unix.SOCK_DGRAM, unix.SOCK_SEQPACKET:
	default:
		return nil, unix.ESOCKTNOSUPPORT
	}
	return newSocket(typ), nil
}

func (fam family) Pair(c *socket.Caller, typ, protocol int) (socket.Socket, socket.Socket, error) {
	x, err := fam.New(c, typ, protocol)
	if err != nil {
		return nil, nil, err
	}
	a, b := x.(*Socket), newSocket(x.(*Socket).Type)
	a.peer, b.peer = b, a
	a.peerCred, b.peerCred = c.Cred(), c.Cred()
	if a.Type != unix.SOCK_DGRAM {
		a.state, b.state = connected, connected
	}
	return a, b, nil
}

// States of a socket.
type state uint8

const (
	idle state = iota
	listening
	connected // also when the peer is gone
)

// A Socket is one end.
type Socket struct {
	socket.Base

	q queue

	// sent is how many bytes lie unread in the queues of others.
	sent atomic.Int64

	shut atomic.Uint32 // shutRead | shutWrite
	gone atomic.Bool   // closed

	// mu guards what follows.
	mu       sync.Mutex
	state    state
	peer     *Socket // nil: none, or gone
	addr     atomic.Pointer[address]
	peerCred socket.Cred
	peerName *address // of a stream whose peer is gone
	accept   []*Socket
	backlog  int
	waiting  map[*Socket]struct{} // those who wait for room in our queue

	// inflight.mu guards these two.
	node     *node   // nil: the socket was neither in a message nor sent another one
	listener *Socket // of a connection that is not accepted yet

	reaper atomic.Pointer[reaper] // closes the socket's file at this time
}

const (
	shutRead  = 1
	shutWrite = 2
	shutBoth  = 3
)

func newSocket(typ int) *Socket {
	s := new(Socket)
	s.Init(unix.AF_UNIX, typ, 0)
	s.peerCred = socket.Cred{PID: 0, UID: ^uint32(0), GID: ^uint32(0)}
	s.backlog = int(max(dgramQueue.Load(), 0))
	all.add(s)
	return s
}

// Held implements vfs.Holder: what waits in the socket and in connections that were not accepted.
func (s *Socket) Held() int64 {
	n := socketCost + s.q.held()
	if s.mu.TryLock() {
		for _, e := range s.accept {
			n += socketCost + e.q.held()
		}
		s.mu.Unlock()
	}
	return n
}

// socketCost is about what a socket takes without messages.
const socketCost = 640

// lockTwo locks two sockets in the order of their inode numbers.
func lockTwo(a, b *Socket) {
	switch {
	case a == b:
		a.mu.Lock()
	case a.Ino() < b.Ino():
		a.mu.Lock()
		b.mu.Lock()
	default:
		b.mu.Lock()
		a.mu.Lock()
	}
}

func unlockTwo(a, b *Socket) {
	a.mu.Unlock()
	if a != b {
		b.mu.Unlock()
	}
}

// Bind implements socket.Socket.
func (s *Socket) Bind(c *socket.Caller, b []byte) error {
	a, auto, err := parseAddress(b, true)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if auto {
		return s.autobind()
	}
	if a.path() {
		if s.addr.Load() != nil {
			// A name that exists is told first, as on Linux.
			return unix.EINVAL
		}
		p, err := c.FS.BindSocket(c.Caller, a.name[:len(a.name)-1], 0o777, s)
		if err != nil {
			return err
		}
		a.at = p
		s.addr.Store(a)
		return nil
	}
	if s.addr.Load() != nil {
		return unix.EINVAL
	}
	if !names.add(a.name, s) {
		return unix.EADDRINUSE
	}
	s.addr.Store(a)
	return nil
}

// autobind gives the socket an abstract name; mu is held.
func (s *Socket) autobind() error {
	if s.addr.Load() != nil {
		return nil
	}
	name, ok := names.auto(s)
	if !ok {
		return unix.ENOSPC
	}
	s.addr.Store(&address{name: name})
	return nil
}

// find returns the socket that an address leads to.
func (s *Socket) find(c *socket.Caller, b []byte) (*Socket, error) {
	a, auto, err := parseAddress(b, false)
	if err != nil {
		return nil, err
	}
	if auto {
		return nil, unix.EINVAL
	}
	var to *Socket
	if a.path() {
		fs := c.FS
		if fs == nil {
			return nil, unix.ECONNREFUSED
		}
		x, err := fs.FindSocket(c.Caller, a.name[:len(a.name)-1])
		if err != nil {
			return nil, err
		}
		to = x.(*Socket)
	} else if to = names.find(a.name, s.Type); to == nil {
		return nil, unix.ECONNREFUSED
	}
	if to.Type != s.Type {
		return nil, unix.EPROTOTYPE
	}
	return to, nil
}

// Listen implements socket.Socket.
func (s *Socket) Listen(c *socket.Caller, backlog int) error {
	if s.Type == unix.SOCK_DGRAM {
		return unix.EOPNOTSUPP
	}
	s.mu.Lock()
	if s.addr.Load() == nil || s.state == connected {
		s.mu.Unlock()
		return unix.EINVAL
	}
	grew := backlog > s.backlog
	s.backlog = max(backlog, 0)
	s.state = listening
	s.peerCred = c.Cred()
	if grew {
		s.wakeWaiting()
	}
	s.mu.Unlock()
	return nil
}

// Connect implements socket.Socket.
func (s *Socket) Connect(c *socket.Caller, addr []byte) error {
	if s.Type == unix.SOCK_DGRAM {
		return s.connectDgram(c, addr)
	}
	if s.Flag(socket.FlagPassCred | socket.FlagPassPIDFD) {
		s.mu.Lock()
		err := s.autobind()
		s.mu.Unlock()
		if err != nil {
			return err
		}
	}
	to, err := s.find(c, addr)
	if err != nil {
		return err
	}
	lockTwo(s, to)
	defer unlockTwo(s, to)
	switch {
	case to.state != listening || to.gone.Load() || to.shut.Load()&shutRead != 0:
		return unix.ECONNREFUSED
	case len(to.accept) > to.backlog:
		to.wait(s)
		return unix.EAGAIN
	case s.state == connected:
		return unix.EISCONN
	case s.state != idle:
		return unix.EINVAL
	}
	n := newSocket(s.Type)
	n.InheritFrom(&to.Base)
	n.state, s.state = connected, connected
	n.peer, s.peer = s, n
	n.peerCred, s.peerCred = c.Cred(), to.peerCred
	n.addr.Store(to.addr.Load().withoutPath())
	n.listener = to
	to.accept = append(to.accept, n)
	to.Notify(wait.Readable)
	s.Notify(wait.Writable)
	return nil
}

// connectDgram sets or, with AF_UNSPEC, takes away the peer of a datagram socket.
func (s *Socket) connectDgram(c *socket.Caller, addr []byte) error {
	if len(addr) >= 2 && addr[0] == unix.AF_UNSPEC && addr[1] == 0 {
		s.mu.Lock()
		old := s.peer
		s.peer = nil
		s.mu.Unlock()
		s.disconnected(old)
		return nil
	}
	if s.Flag(socket.FlagPassCred | socket.FlagPassPIDFD) {
		s.mu.Lock()
		err := s.autobind()
		s.mu.Unlock()
		if err != nil {
			return err
		}
	}
	to, err := s.find(c, addr)
	if err != nil {
		return err
	}
	lockTwo(s, to)
	if to.gone.Load() {
		unlockTwo(s, to)
		return unix.ECONNREFUSED
	}
	if to.peer != nil && to.peer != s {
		unlockTwo(s, to)
		return unix.EPERM
	}
	old := s.peer
	s.peer = to
	unlockTwo(s, to)
	if old != to {
		s.disconnected(old)
	}
	s.Notify(wait.Writable)
	return nil
}

// disconnected drops what a former peer sent, and tells it, if it was connected
// to us in turn.
func (s *Socket) disconnected(old *Socket) {
	if old == nil {
		return
	}
	if s.q.len() > 0 {
		dropFiles(s.q.purge(nil))
		old.mu.Lock()
		if old.peer == s {
			old.SetError(unix.ECONNRESET)
			old.Notify(wait.Err)
		}
		old.mu.Unlock()
	}
}

// Accept implements socket.Socket.
func (s *Socket) Accept(c *socket.Caller) (socket.Socket, error) {
	if s.Type == unix.SOCK_DGRAM {
		return nil, unix.EOPNOTSUPP
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state != listening {
		return nil, unix.EINVAL
	}
	if len(s.accept) == 0 {
		if s.shut.Load()&shutRead != 0 && c.Wait {
			return nil, unix.EINVAL
		}
		return nil, unix.EAGAIN
	}
	n := s.accept[0]
	s.accept[0] = nil
	if s.accept = s.accept[1:]; len(s.accept) == 0 {
		s.accept = nil
	}
	s.wakeWaiting()
	n.adopted()
	return n, nil
}

// wait notes that other waits for room in our queue; mu is held.
func (s *Socket) wait(other *Socket) {
	if s.waiting == nil {
		s.waiting = make(map[*Socket]struct{})
	}
	s.waiting[other] = struct{}{}
}

// wakeWaiting tells those who wait for room; mu is held.
func (s *Socket) wakeWaiting() {
	for o := range s.waiting {
		o.Notify(wait.Writable)
	}
	clear(s.waiting)
}

// Name implements socket.Socket.
func (s *Socket) Name(b []byte) ([]byte, error) { return s.addr.Load().append(b), nil }

// Peer implements socket.Socket.
func (s *Socket) Peer(b []byte) ([]byte, error) {
	s.mu.Lock()
	p, name, st := s.peer, s.peerName, s.state
	s.mu.Unlock()
	if p != nil {
		name = p.addr.Load()
	} else if st != connected {
		return nil, unix.ENOTCONN
	}
	return name.append(b), nil
}

// Shutdown implements socket.Socket.
func (s *Socket) Shutdown(how int) error {
	if how < unix.SHUT_RD || how > unix.SHUT_RDWR {
		return unix.EINVAL
	}
	bits := uint32(how + 1) // SHUT_RD 0, SHUT_WR 1, SHUT_RDWR 2
	s.mu.Lock()
	s.shut.Or(bits)
	p := s.peer
	if s.state == listening {
		s.wakeWaiting()
	}
	s.mu.Unlock()
	if p != nil && s.Type != unix.SOCK_DGRAM {
		p.shut.Or(bits>>1 | bits<<1&2)
		p.Notify(shutEvents)
	}
	s.Notify(shutEvents)
	return nil
}

const shutEvents = wait.Readable | wait.Writable | wait.RdHup | wait.Hup

// Release closes the socket.
func (s *Socket) Release() {
	r := s.reaper.Swap(nil)
	if files := s.close(nil); r == nil || !r.adopt(files) {
		dropFiles(files)
	}
	collect()
}

// close ends the socket and the connections that it has not accepted; it appends
// to files those in the messages that they had.
func (s *Socket) close(files []*vfs.File) []*vfs.File {
	s.gone.Store(true)
	all.remove(s)
	s.mu.Lock()
	if a := s.addr.Load(); a != nil {
		switch {
		case a.at.Dentry != nil:
			a.at.UnbindSocket()
		case !a.path() && !a.inherited:
			names.remove(a.name, s)
		}
	}
	p := s.peer
	s.peer = nil
	embryos := s.accept
	s.accept = nil
	s.shut.Store(shutBoth)
	s.wakeWaiting()
	s.mu.Unlock()
	unread := s.q.len() > 0
	files = s.q.purge(files)
	if p != nil {
		if s.Type != unix.SOCK_DGRAM {
			p.mu.Lock()
			if p.peer == s {
				p.peer, p.peerName = nil, s.addr.Load()
			}
			p.shut.Store(shutBoth)
			p.mu.Unlock()
			if unread {
				p.SetError(unix.ECONNRESET)
			}
		}
		p.Notify(shutEvents | wait.Err)
	}
	for _, n := range embryos {
		n.mu.Lock()
		p := n.peer
		n.mu.Unlock()
		if p != nil {
			p.SetError(unix.ECONNRESET)
		}
		files = n.close(files) // it has none itself
	}
	return files
}

// drain empties the queues of the socket and of the connections that it has not
// accepted.
func (s *Socket) drain(files []*vfs.File) []*vfs.File {
	s.mu.Lock()
	embryos := append([]*Socket(nil), s.accept...)
	s.mu.Unlock()
	files = s.q.purge(files)
	for _, n := range embryos {
		files = n.q.purge(files)
	}
	return files
}

// Readiness implements vfs.FileImpl (unix_poll, unix_dgram_poll in
// net/unix/af_unix.c).
func (s *Socket) Readiness() wait.Events {
	var ev wait.Events
	if s.HasError() {
		ev |= wait.Err
	}
	shut := s.shut.Load()
	if shut == shutBoth {
		ev |= wait.Hup
	}
	if shut&shutRead != 0 {
		ev |= wait.RdHup | wait.Readable
	}
	if s.q.len() > 0 {
		ev |= wait.Readable
	}
	s.mu.Lock()
	st, p := s.state, s.peer
	if len(s.accept) > 0 {
		ev |= wait.Readable
	}
	s.mu.Unlock()
	if s.Type != unix.SOCK_DGRAM && st == idle {
		ev |= wait.Hup
	}
	if st != listening && s.sent.Load()*4 <= int64(s.SndBuf.Load()) {
		ev |= wait.Writable | wait.WrBand
		if s.Type == unix.SOCK_DGRAM && p != nil {
			p.mu.Lock()
			if p.peer != s && p.q.len() > p.backlog {
				p.wait(s)
				ev &^= wait.Writable | wait.WrBand
			}
			p.mu.Unlock()
		}
	}
	return ev
}

// Read implements vfs.FileImpl.
func (s *Socket) Read(_ *vfs.File, dst *mm.Buf, _ int64) (int64, error) { return socket.Read(s, dst) }

// Write implements vfs.FileImpl.
func (s *Socket) Write(_ *vfs.File, src *mm.Buf, _ int64) (int64, error) { return socket.Write(s, src) }

const siocAtMark = 0x8905

// Ioctl does SIOCINQ, SIOCOUTQ, SIOCATMARK.
func (s *Socket) Ioctl(as *mm.AddressSpace, cmd uint32, arg uint64) (uint64, error) {
	switch cmd {
	case unix.SIOCINQ:
		s.mu.Lock()
		st := s.state
		s.mu.Unlock()
		if st == listening {
			return 0, unix.EINVAL
		}
		return 0, as.Store32(arg, uint32(s.q.available(s.Type != unix.SOCK_DGRAM)))
	case siocAtMark:
		if s.Type != unix.SOCK_STREAM {
			return 0, unix.EOPNOTSUPP
		}
		return 0, as.Store32(arg, 0) // there is no urgent data
	case unix.SIOCOUTQ:
		return 0, as.Store32(arg, uint32(s.sent.Load()))
	}
	return 0, unix.ENOTTY
}
