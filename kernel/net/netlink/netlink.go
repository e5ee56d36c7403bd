// Package netlink is AF_NETLINK sockets (netlink(7)) with the families NETLINK_ROUTE (rtnetlink(7)) — what ip(8), getifaddrs(3)
// and getaddrinfo(3) ask about interfaces, addresses, routes and neighbours, the changes of them that root may make, and the
// groups that are told of changes — and NETLINK_SOCK_DIAG (sock_diag(7)), which ss(8) asks about sockets.
//
// A request is answered while it is sent: the answers wait in the socket's queue.
//
// Lock order:
//
//	seen.mu
//	Socket.mu
//	ports.mu, members.mu
package netlink

import (
	"encoding/binary"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"gosv/kernel/mm"
	"gosv/kernel/net/socket"
	"gosv/kernel/vfs"
	"gosv/kernel/wait"
)

func init() { socket.Register(unix.AF_NETLINK, family{}) }

type family struct{}

func (family) New(c *socket.Caller, typ, protocol int) (socket.Socket, error) {
	if typ != unix.SOCK_RAW && typ != unix.SOCK_DGRAM {
		return nil, unix.ESOCKTNOSUPPORT
	}
	if protocol != unix.NETLINK_ROUTE && protocol != unix.NETLINK_SOCK_DIAG {
		return nil, unix.EPROTONOSUPPORT
	}
	s := new(Socket)
	s.Init(unix.AF_NETLINK, typ, protocol)
	return s, nil
}

func (f family) Pair(c *socket.Caller, typ, protocol int) (socket.Socket, socket.Socket, error) {
	if _, err := f.New(c, typ, protocol); err != nil {
		return nil, nil, err
	}
	return nil, nil, unix.EOPNOTSUPP
}

// ports are the port IDs in use; by default a process's first socket of a
// protocol has its PID.
var ports struct {
	mu   sync.Mutex
	m    map[portKey]*Socket
	next uint32
}

type portKey struct {
	protocol int
	port     uint32
}

// A Socket is one netlink socket.
type Socket struct {
	socket.Base

	// mu guards what follows.
	mu     sync.Mutex
	port   uint32
	groups uint64   // that the socket is a member of, the first in bit 0
	queue  []packet // not yet received
	size   int
	lost   bool // something did not fit: ENOBUFS once
	wanted bool // somebody has waited for room in Reserve
	to     uint32
	flags  uint64 // options that are on, by number
}

// A packet is a datagram, and the group it was for.
type packet struct {
	b     []byte
	group int // 0 if it was for this socket
}

const sizeNL = 12 // struct sockaddr_nl

// Bind implements socket.Socket.
func (s *Socket) Bind(c *socket.Caller, b []byte) error {
	if len(b) < sizeNL || binary.LittleEndian.Uint16(b) != unix.AF_NETLINK {
		return unix.EINVAL
	}
	if s.Protocol == unix.NETLINK_ROUTE && binary.LittleEndian.Uint32(b[8:]) != 0 {
		watch()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	port := binary.LittleEndian.Uint32(b[4:])
	switch {
	case s.port != 0:
		if port != 0 && port != s.port {
			return unix.EINVAL
		}
	case !s.claim(c, port):
		return unix.EADDRINUSE
	}
	s.join(s.groups>>32<<32 | uint64(binary.LittleEndian.Uint32(b[8:])))
	return nil
}

// claim gives the socket a port ID, port 0 any; mu is held.
func (s *Socket) claim(c *socket.Caller, port uint32) bool {
	ports.mu.Lock()
	defer ports.mu.Unlock()
	if ports.m == nil {
		ports.m = make(map[portKey]*Socket)
	}
	taken := func(p uint32) bool { return ports.m[portKey{s.Protocol, p}] != nil }
	if port == 0 {
		if port = uint32(c.PID); port == 0 || taken(port) {
			for {
				ports.next--
				if port = ports.next - 4096; port > 1<<31 && !taken(port) {
					break
				}
			}
		}
	} else if taken(port) {
		return false
	}
	ports.m[portKey{s.Protocol, port}] = s
	s.port = port
	return true
}

// Connect sets where messages without an address go: the kernel, here.
func (s *Socket) Connect(c *socket.Caller, b []byte) error {
	if len(b) < 2 {
		return unix.EINVAL
	}
	af := binary.LittleEndian.Uint16(b)
	s.mu.Lock()
	defer s.mu.Unlock()
	if af == unix.AF_UNSPEC {
		s.to = 0
		return nil
	}
	if af != unix.AF_NETLINK || len(b) < sizeNL {
		return unix.EINVAL
	}
	if s.port == 0 {
		s.claim(c, 0)
	}
	s.to = binary.LittleEndian.Uint32(b[4:])
	return nil
}

func appendNL(b []byte, port, groups uint32) []byte {
	b = append(b, unix.AF_NETLINK, 0, 0, 0)
	b = binary.LittleEndian.AppendUint32(b, port)
	return binary.LittleEndian.AppendUint32(b, groups)
}

// Name implements socket.Socket.
func (s *Socket) Name(b []byte) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return appendNL(b, s.port, uint32(s.groups)), nil
}

// Peer implements socket.Socket.
func (s *Socket) Peer(b []byte) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return appendNL(b, s.to, 0), nil
}

// Send implements socket.Socket: it serves the requests in the message.
func (s *Socket) Send(c *socket.Caller, m *socket.Message) (int, error) {
	if m.Flags&unix.MSG_OOB != 0 {
		return 0, unix.EOPNOTSUPP
	}
	n := m.Buf.Len()
	if n == 0 {
		return 0, unix.ENODATA
	}
	if err := checkControl(c, m); err != nil {
		return 0, err
	}
	s.mu.Lock()
	to := s.to
	if s.port == 0 {
		s.claim(c, 0)
	}
	s.mu.Unlock()
	if len(m.Name) > 0 {
		if len(m.Name) < sizeNL || binary.LittleEndian.Uint16(m.Name) != unix.AF_NETLINK {
			return 0, unix.EINVAL
		}
		to = binary.LittleEndian.Uint32(m.Name[4:])
	}
	if n > maxRequest {
		return 0, unix.EMSGSIZE
	}
	if to != 0 {
		return 0, unix.ECONNREFUSED // no program listens to another
	}
	b := make([]byte, n)
	if _, err := m.Buf.CopyFrom(b); err != nil {
		return 0, err
	}
	for len(b) >= unix.SizeofNlMsghdr {
		size := binary.LittleEndian.Uint32(b)
		if size < unix.SizeofNlMsghdr || int64(size) > int64(len(b)) {
			break
		}
		s.serve(c, b[:size])
		b = b[min(int(size+3)&^3, len(b)):]
	}
	s.Notify(wait.Readable)
	return n, nil
}

const maxRequest = 64 << 10

// checkControl looks at the control messages of a sender: credentials are
// allowed, and have no meaning to the kernel (__scm_send in net/core/scm.c).
func checkControl(c *socket.Caller, m *socket.Message) error {
	if m.Control == nil {
		return nil
	}
	return m.EachControl(func(level, typ int, data []byte) error {
		switch {
		case level != unix.SOL_SOCKET:
			return nil
		case typ == unix.SCM_CREDENTIALS:
			cred, err := socket.ParseCred(data)
			if err != nil {
				return err
			}
			return c.MayClaim(cred)
		}
		return unix.EINVAL
	})
}

// serve answers one request.
func (s *Socket) serve(c *socket.Caller, b []byte) {
	r := request{
		c: c, kind: binary.LittleEndian.Uint16(b[4:]), flags: binary.LittleEndian.Uint16(b[6:]),
		seq: binary.LittleEndian.Uint32(b[8:]), body: b[unix.SizeofNlMsghdr:], s: s, port: s.portID(),
	}
	if r.flags&unix.NLM_F_REQUEST == 0 {
		return
	}
	var err error
	if r.kind >= unix.NLMSG_MIN_TYPE {
		if s.Protocol == unix.NETLINK_SOCK_DIAG {
			err = r.diag()
		} else {
			err = r.route()
		}
	}
	if err == nil && r.dumped {
		return
	}
	if err != nil || r.flags&unix.NLM_F_ACK != 0 {
		r.flush()
		r.begin(unix.NLMSG_ERROR, 0)
		code := int32(0)
		if e, ok := err.(syscall.Errno); ok {
			code = -int32(e)
		}
		r.out = binary.LittleEndian.AppendUint32(r.out, uint32(code))
		if err != nil && !s.option(unix.NETLINK_CAP_ACK) {
			r.out = append(r.out, b...)
		} else {
			r.out = append(r.out, b[:unix.SizeofNlMsghdr]...)
		}
		r.end()
	}
	r.flush()
}

func (s *Socket) portID() uint32 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.port
}

// deliver puts a datagram into the queue.
func (s *Socket) deliver(b []byte) {
	s.put(packet{b: b})
}

func (s *Socket) put(p packet) {
	s.mu.Lock()
	if s.size+len(p.b) > int(s.RcvBuf.Load()) && s.size > 0 {
		s.lost = true
	} else {
		s.queue = append(s.queue, p)
		s.size += len(p.b)
	}
	s.mu.Unlock()
}

// Recv implements socket.Socket.
func (s *Socket) Recv(c *socket.Caller, m *socket.Message) (int, error) {
	if m.Flags&unix.MSG_OOB != 0 {
		return 0, unix.EOPNOTSUPP
	}
	s.mu.Lock()
	if len(s.queue) == 0 {
		lost := s.lost
		s.lost = false
		s.mu.Unlock()
		if lost {
			return 0, unix.ENOBUFS
		}
		return 0, unix.EAGAIN
	}
	b, group := s.queue[0].b, s.queue[0].group
	if !m.Peeking() {
		s.queue[0] = packet{}
		if s.queue = s.queue[1:]; len(s.queue) == 0 {
			s.queue = nil
		}
		s.size -= len(b)
	}
	wanted := s.wanted
	s.mu.Unlock()
	if wanted {
		s.Notify(wait.Writable)
	}
	n := min(len(b), m.Buf.Len())
	if _, err := m.Buf.CopyTo(b[:n]); err != nil {
		return 0, err
	}
	if n < len(b) {
		m.Out |= unix.MSG_TRUNC
		if m.Flags&unix.MSG_TRUNC != 0 {
			n = len(b)
		}
	}
	if m.WantName {
		mask := uint32(0)
		if group > 0 && group <= 32 {
			mask = 1 << (group - 1)
		}
		m.Name = appendNL(m.NameBuf(), 0, mask)
	}
	if s.Flag(socket.FlagPassCred) {
		m.AddControl(unix.SOL_SOCKET, unix.SCM_CREDENTIALS, make([]byte, unix.SizeofUcred))
	}
	return n, nil
}

// Readiness implements vfs.FileImpl.
func (s *Socket) Readiness() wait.Events {
	s.mu.Lock()
	defer s.mu.Unlock()
	ev := wait.Writable | wait.WrBand
	if len(s.queue) > 0 || s.lost {
		ev |= wait.Readable
	}
	if s.lost {
		ev |= wait.Err
	}
	return ev
}

// SetOption implements socket.Socket.
func (s *Socket) SetOption(c *socket.Caller, level, name int, v []byte) error {
	if level == unix.SOL_SOCKET {
		return s.SetSocketOption(c, name, v)
	}
	if level != unix.SOL_NETLINK {
		return unix.ENOPROTOOPT
	}
	n, err := socket.Int(v)
	if err != nil {
		n = 0 // too short, as Linux has it
	}
	switch name {
	case unix.NETLINK_ADD_MEMBERSHIP, unix.NETLINK_DROP_MEMBERSHIP:
		if n < 1 || n > maxGroup {
			return unix.EINVAL
		}
		if s.Protocol == unix.NETLINK_ROUTE {
			watch()
		}
		s.mu.Lock()
		if bit := uint64(1) << (n - 1); name == unix.NETLINK_ADD_MEMBERSHIP {
			s.join(s.groups | bit)
		} else {
			s.join(s.groups &^ bit)
		}
		s.mu.Unlock()
	case unix.NETLINK_CAP_ACK, unix.NETLINK_PKTINFO, unix.NETLINK_EXT_ACK, unix.NETLINK_GET_STRICT_CHK, unix.NETLINK_BROADCAST_ERROR,
		unix.NETLINK_NO_ENOBUFS:
		s.mu.Lock()
		if s.flags &^= 1 << name; n != 0 {
			s.flags |= 1 << name
		}
		s.mu.Unlock()
	default:
		return unix.ENOPROTOOPT
	}
	return nil
}

// option reports whether an option is on.
func (s *Socket) option(name int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.flags&(1<<name) != 0
}

// GetOption implements socket.Socket.
func (s *Socket) GetOption(c *socket.Caller, level, name, room int) ([]byte, error) {
	switch level {
	case unix.SOL_SOCKET:
		if name == unix.SO_PEERNAME {
			b, err := s.Peer(nil)
			if err == nil && len(b) < room {
				return nil, unix.EINVAL
			}
			return b[:min(room, len(b))], err
		}
		return s.GetSocketOption(c, name, room)
	case unix.SOL_NETLINK:
		switch name {
		case unix.NETLINK_PKTINFO, unix.NETLINK_EXT_ACK, unix.NETLINK_GET_STRICT_CHK, unix.NETLINK_BROADCAST_ERROR,
			unix.NETLINK_NO_ENOBUFS, unix.NETLINK_CAP_ACK:
			if room < 4 {
				return nil, unix.EINVAL
			}
			n := 0
			if s.option(name) {
				n = 1
			}
			return socket.PutInt(n, room)
		}
	}
	return nil, unix.ENOPROTOOPT
}

// Read implements vfs.FileImpl.
func (s *Socket) Read(_ *vfs.File, dst *mm.Buf, _ int64) (int64, error) { return socket.Read(s, dst) }

// Write implements vfs.FileImpl.
func (s *Socket) Write(_ *vfs.File, src *mm.Buf, _ int64) (int64, error) { return socket.Write(s, src) }

// Release gives the port ID back.
func (s *Socket) Release() {
	ports.mu.Lock()
	if k := (portKey{s.Protocol, s.port}); ports.m[k] == s {
		delete(ports.m, k)
	}
	ports.mu.Unlock()
	s.mu.Lock()
	s.join(0)
	s.mu.Unlock()
}
