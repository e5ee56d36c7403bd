package inet

import (
	"sync"

	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"

	"gosv/kernel/net/socket"
)

// listeners are the TCP sockets that listen, by port. The stack lets two sockets
// with SO_REUSEADDR have a port even if one listens; Linux does not
// (inet_csk_bind_conflict in net/ipv4/inet_connection_sock.c).
var listeners struct {
	mu sync.Mutex
	m  map[uint16][]*Socket
}

// listens notes that a socket listens at an address; or no longer, with ok false.
func (s *Socket) listens(ok bool) {
	listeners.mu.Lock()
	defer listeners.mu.Unlock()
	if port := s.listenAt.Port; port != 0 {
		list := listeners.m[port]
		for i, l := range list {
			if l == s {
				list[i] = list[len(list)-1]
				list[len(list)-1] = nil
				list = list[:len(list)-1]
				break
			}
		}
		if listeners.m[port] = list; len(list) == 0 {
			delete(listeners.m, port)
		}
	}
	s.listenAt = tcpip.FullAddress{}
	if !ok {
		return
	}
	if a, err := s.endpoint().GetLocalAddress(); err == nil && a.Port != 0 {
		if listeners.m == nil {
			listeners.m = make(map[uint16][]*Socket)
		}
		s.listenAt = a
		listeners.m[a.Port] = append(listeners.m[a.Port], s)
	}
}

// conflicts reports whether another socket listens at a port where this one is to
// be bound.
func (s *Socket) conflicts(a tcpip.FullAddress) bool {
	if a.Port == 0 {
		return false
	}
	listeners.mu.Lock()
	defer listeners.mu.Unlock()
	for _, l := range listeners.m[a.Port] {
		if l != s && s.overlaps(a.Addr, l, l.listenAt.Addr) && !s.shares(l) {
			return true
		}
	}
	return false
}

// shares reports whether two sockets of a user have SO_REUSEPORT.
func (s *Socket) shares(l *Socket) bool {
	return s.Flag(socket.FlagReusePort) && l.Flag(socket.FlagReusePort) && s.UID() == l.UID()
}

// overlaps reports whether two addresses have one in common.
func (s *Socket) overlaps(a tcpip.Address, l *Socket, b tcpip.Address) bool {
	d, e := s.endpoint().SocketOptions().GetBindToDevice(), l.endpoint().SocketOptions().GetBindToDevice()
	if d != 0 && e != 0 && d != e {
		return false
	}
	a4, aAll := s.shape(a)
	b4, bAll := l.shape(b)
	switch {
	case aAll && bAll:
		return a4 == b4 || !s.only6() && !l.only6()
	case aAll:
		return a4 == b4 || b4 && !s.only6()
	case bAll:
		return a4 == b4 || a4 && !l.only6()
	}
	return a4 == b4 && as16(a) == as16(b)
}

func (s *Socket) only6() bool {
	return s.Family == unix.AF_INET6 && s.endpoint().SocketOptions().GetV6Only()
}

// shape tells whether an address of the socket is one of IPv4, and whether it is
// all addresses.
func (s *Socket) shape(a tcpip.Address) (v4, all bool) {
	switch {
	case a.Len() == 0:
		return s.Family == unix.AF_INET, true
	case a.Len() == header.IPv4AddressSize:
		return true, a.Unspecified()
	case header.IsV4MappedAddress(a):
		return true, tcpip.AddrFrom4Slice(a.AsSlice()[12:]).Unspecified()
	}
	return false, a.Unspecified()
}
