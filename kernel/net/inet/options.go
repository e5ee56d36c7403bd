package inet

import (
	"encoding/binary"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"

	"gosv/kernel/net"
	"gosv/kernel/net/socket"
	"gosv/kernel/wait"
)

// smallOptions are options that the stack does not keep, or keeps differently.
type smallOptions struct {
	noDelay, inq, linger2, synCount     atomic.Int32
	notSentLowat, fastOpen, thinLinear  atomic.Int32
	deferAccept, bindNoPort, minTTL     atomic.Int32
	multicastAll, pathMTU, mtuDiscover6 atomic.Int32
	v6MTU, backlog                      atomic.Int32
	recvOpts, retOpts, minHops6         atomic.Int32
	hints                               atomic.Uint32 // hintDontFrag and so on
}

// inherit copies what an accepted socket has from the listening one.
func (o *smallOptions) inherit(l *smallOptions) {
	o.noDelay.Store(l.noDelay.Load())
	o.inq.Store(l.inq.Load())
	o.linger2.Store(l.linger2.Load())
	o.notSentLowat.Store(l.notSentLowat.Load())
}

// Options that are kept, and without an effect here. Those with "no" are on in a
// new socket.
const (
	hintDontFrag = 1 << iota
	hintNoFlowLabel
	hintNoMulticastAll
	hintFlowInfo
	hintNoCheckTx
	hintNoCheckRx
)

func (o *smallOptions) hint(bit uint32, on bool) {
	if on {
		o.hints.Or(bit)
	} else {
		o.hints.And(^bit)
	}
}

func (o *smallOptions) hinted(bit uint32) bool { return o.hints.Load()&bit != 0 }

func truth(on bool) int {
	if on {
		return 1
	}
	return 0
}

// SetOption implements socket.Socket.
func (s *Socket) SetOption(c *socket.Caller, level, name int, v []byte) error {
	switch level {
	case unix.SOL_SOCKET:
		return s.setSocket(c, name, v)
	case unix.SOL_TCP:
		if s.isTCP() {
			return s.setTCP(c, name, v)
		}
	case unix.SOL_IP:
		return s.setIP(c, name, v)
	case unix.SOL_IPV6:
		if s.Family == unix.AF_INET6 {
			return s.setIPv6(c, name, v)
		}
	case unix.SOL_UDP:
		if s.transport == unix.IPPROTO_UDP && !s.isTCP() {
			return s.setUDP(name, v)
		}
	case unix.SOL_RAW:
		if s.Type == unix.SOCK_RAW {
			return s.setRaw(name, v)
		}
	case unix.SOL_ICMPV6:
		if s.transport == unix.IPPROTO_ICMPV6 && s.Type == unix.SOCK_RAW {
			return s.setICMPv6(name, v)
		}
	}
	return unix.ENOPROTOOPT
}

// GetOption implements socket.Socket.
func (s *Socket) GetOption(c *socket.Caller, level, name, room int) ([]byte, error) {
	switch level {
	case unix.SOL_SOCKET:
		return s.getSocket(c, name, room)
	case unix.SOL_TCP:
		if s.isTCP() {
			return s.getTCP(name, room)
		}
	case unix.SOL_IP:
		return s.getIP(name, room)
	case unix.SOL_IPV6:
		if s.Family == unix.AF_INET6 {
			return s.getIPv6(name, room)
		}
	case unix.SOL_UDP:
		if s.transport == unix.IPPROTO_UDP && !s.isTCP() {
			switch name {
			case unix.UDP_CORK:
				s.cork.mu.Lock()
				defer s.cork.mu.Unlock()
				return socket.PutInt(truth(s.cork.on), room)
			case unix.UDP_ENCAP:
				return socket.PutInt(0, room)
			case unix.UDP_NO_CHECK6_TX:
				return socket.PutInt(truth(s.small.hinted(hintNoCheckTx)), room)
			case unix.UDP_NO_CHECK6_RX:
				return socket.PutInt(truth(s.small.hinted(hintNoCheckRx)), room)
			}
		}
	case unix.SOL_RAW:
		if s.Type == unix.SOCK_RAW && name == icmpFilter && s.transport == unix.IPPROTO_ICMP {
			s.mu.Lock()
			defer s.mu.Unlock()
			return socket.Cut(append([]byte(nil), s.filter[:4]...), room)
		}
	case unix.SOL_ICMPV6:
		if s.transport == unix.IPPROTO_ICMPV6 && s.Type == unix.SOCK_RAW && name == unix.ICMPV6_FILTER {
			s.mu.Lock()
			defer s.mu.Unlock()
			return socket.Cut(append([]byte(nil), s.filter[:]...), room)
		}
	}
	if s.Family == unix.AF_INET && level != unix.SOL_IP && !s.hasLevel(level) {
		return nil, unix.EOPNOTSUPP // setsockopt(2) says ENOPROTOOPT to that
	}
	return nil, unix.ENOPROTOOPT
}

// hasLevel reports whether a level of options is that of the socket's protocol.
func (s *Socket) hasLevel(level int) bool {
	switch {
	case s.Type == unix.SOCK_RAW:
		return level == unix.SOL_RAW
	case s.isTCP():
		return level == unix.SOL_TCP
	}
	return level == unix.SOL_UDP && s.transport == unix.IPPROTO_UDP
}

const icmpFilter = 1 // ICMP_FILTER (include/uapi/linux/icmp.h)

func (s *Socket) setSocket(c *socket.Caller, name int, v []byte) error {
	so := s.endpoint().SocketOptions()
	if len(v) < 4 && name != unix.SO_BINDTODEVICE {
		return unix.EINVAL
	}
	switch name {
	case unix.SO_LINGER:
		if len(v) < 8 {
			return unix.EINVAL
		}
		l := tcpip.LingerOption{Enabled: binary.LittleEndian.Uint32(v) != 0}
		l.Timeout = time.Duration(binary.LittleEndian.Uint32(v[4:])) * time.Second
		so.SetLinger(l)
		if l.Enabled && l.Timeout > 0 {
			socket.Lingering.Store(true)
		}
		return nil
	case unix.SO_BINDTODEVICE:
		return s.bindToDevice(v)
	case unix.SO_ATTACH_FILTER, unix.SO_ATTACH_BPF:
		return unix.ENOPROTOOPT
	case unix.SO_DETACH_FILTER:
		return unix.ENOENT
	}
	n, err := socket.Int(v)
	if err == nil {
		on := n != 0
		switch name {
		case unix.SO_REUSEADDR:
			so.SetReuseAddress(on)
		case unix.SO_REUSEPORT:
			so.SetReusePort(on)
		case unix.SO_BROADCAST:
			so.SetBroadcast(on)
		case unix.SO_KEEPALIVE:
			so.SetKeepAlive(on)
		case unix.SO_NO_CHECK:
			so.SetNoChecksum(on)
		case unix.SO_MARK:
			if err := s.SetSocketOption(c, name, v); err != nil {
				return err
			}
			so.SetMark(uint32(n))
			return nil
		case unix.SO_SNDBUF, unix.SO_SNDBUFFORCE:
			if name == unix.SO_SNDBUFFORCE && !c.Creds.Has(unix.CAP_NET_ADMIN) {
				return unix.EPERM
			}
			lo, hi := so.SendBufferLimits()
			if name == unix.SO_SNDBUF {
				hi = min(hi, int64(socket.MaxSndBuf.Load()))
			}
			so.SetSendBufferSize(bufferSize(n, max(lo, minSndBuf), hi), true)
			s.Notify(wait.Writable)
			return nil
		case unix.SO_RCVBUF, unix.SO_RCVBUFFORCE:
			if name == unix.SO_RCVBUFFORCE && !c.Creds.Has(unix.CAP_NET_ADMIN) {
				return unix.EPERM
			}
			lo, hi := so.ReceiveBufferLimits()
			if name == unix.SO_RCVBUF {
				hi = min(hi, int64(socket.MaxRcvBuf.Load()))
			}
			so.SetReceiveBufferSize(bufferSize(n, lo, hi), true)
			return nil
		}
	}
	return s.SetSocketOption(c, name, v)
}

// lastError takes the endpoint's error. What ends a connection is kept twice by
// the stack, but told once.
func (s *Socket) lastError() error {
	ep := s.endpoint()
	err := errno(ep.LastError())
	if !s.isTCP() {
		return err
	}
	switch s.tcpState() {
	case tcp.StateError, tcp.StateClose:
		ep.LastError()
		if s.errTaken.Swap(true) {
			return nil
		}
	}
	return err
}

// minSndBuf is SOCK_MIN_SNDBUF of Linux on 64-bit machines.
const minSndBuf = 4608

// bufferSize doubles what a program asks for, as Linux does, within limits.
func bufferSize(n int, lo, hi int64) int64 {
	v := int64(uint32(n))
	v = min(v, hi)
	return max(2*v, lo)
}

// bindToDevice is SO_BINDTODEVICE: an interface's name, or nothing.
func (s *Socket) bindToDevice(v []byte) error {
	name := string(v[:min(len(v), unix.IFNAMSIZ-1)])
	for i := range name {
		if name[i] == 0 {
			name = name[:i]
			break
		}
	}
	so := s.endpoint().SocketOptions()
	if name == "" {
		return errno(so.SetBindToDevice(0))
	}
	i, err := net.InterfaceByName(name)
	if err != nil {
		return err
	}
	return errno(so.SetBindToDevice(int32(i.Index)))
}

func (s *Socket) getSocket(c *socket.Caller, name, room int) ([]byte, error) {
	so := s.endpoint().SocketOptions()
	switch name {
	case unix.SO_ERROR:
		v := 0
		err := s.TakeError()
		if err == nil {
			err = s.lastError()
		}
		if e, ok := err.(syscall.Errno); ok {
			v = int(e)
		}
		return socket.PutInt(v, room)
	case unix.SO_ACCEPTCONN:
		return socket.PutInt(truth(s.isTCP() && s.tcpState() == tcp.StateListen), room)
	case unix.SO_SNDBUF:
		return socket.PutInt(int(so.GetSendBufferSize()), room)
	case unix.SO_RCVBUF:
		return socket.PutInt(int(so.GetReceiveBufferSize()), room)
	case unix.SO_LINGER:
		l := so.GetLinger()
		b := make([]byte, 8)
		binary.LittleEndian.PutUint32(b, uint32(truth(l.Enabled)))
		binary.LittleEndian.PutUint32(b[4:], uint32(l.Timeout/time.Second))
		return socket.Cut(b, room)
	case unix.SO_PEERNAME:
		b, err := s.Peer(nil)
		if err == nil && len(b) < room {
			return nil, unix.EINVAL
		}
		return b[:min(room, len(b))], err
	case unix.SO_BINDTODEVICE:
		index := so.GetBindToDevice()
		if index == 0 {
			return nil, nil
		}
		if room < unix.IFNAMSIZ {
			return nil, unix.EINVAL
		}
		i, err := net.InterfaceByIndex(int(index))
		if err != nil {
			return nil, err
		}
		return append([]byte(i.Name), 0), nil
	}
	return s.GetSocketOption(c, name, room)
}

// setUDP is setsockopt(2) for udp(7).
func (s *Socket) setUDP(name int, v []byte) error {
	n, err := socket.Int(v)
	if err != nil {
		return err
	}
	switch name {
	case unix.UDP_NO_CHECK6_TX:
		s.small.hint(hintNoCheckTx, n != 0)
		return nil
	case unix.UDP_NO_CHECK6_RX:
		s.small.hint(hintNoCheckRx, n != 0)
		return nil
	case unix.UDP_CORK:
		return s.setCork(n != 0)
	case unix.UDP_GRO:
		if n == 0 {
			return nil
		}
	}
	return unix.ENOPROTOOPT
}

// setRaw is setsockopt(2) for raw(7).
func (s *Socket) setRaw(name int, v []byte) error {
	if name != icmpFilter || s.transport != unix.IPPROTO_ICMP {
		return unix.ENOPROTOOPT
	}
	s.mu.Lock()
	copy(s.filter[:4], v)
	s.mu.Unlock()
	return nil
}

func (s *Socket) setICMPv6(name int, v []byte) error {
	if name != unix.ICMPV6_FILTER {
		return unix.ENOPROTOOPT
	}
	var f tcpip.ICMPv6Filter
	s.mu.Lock()
	copy(s.filter[:], v)
	for i := range f.DenyType {
		f.DenyType[i] = binary.LittleEndian.Uint32(s.filter[4*i:])
	}
	s.mu.Unlock()
	return errno(s.endpoint().SetSockOpt(&f))
}
