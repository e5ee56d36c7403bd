package inet

import (
	"encoding/binary"

	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"

	"gosv/kernel/net"
	"gosv/kernel/net/socket"
)

// sendControl reads the control messages of ip(7) and ipv6(7).
func (s *Socket) sendControl(c *socket.Caller, m *socket.Message, o *tcpip.WriteOptions, t *transfer) error {
	return m.EachControl(func(level, typ int, data []byte) error {
		switch {
		case level == unix.SOL_SOCKET:
			return controlSocket(c, typ, data)
		case s.isTCP():
			return nil
		case level == unix.SOL_IP && s.toIPv4(o.To):
			return s.control4(typ, data, o, t)
		case level == unix.SOL_IPV6 && s.Family == unix.AF_INET6 && (typ == unix.IPV6_PKTINFO || !s.toIPv4(o.To)):
			return s.control6(typ, data, o, t)
		}
		return nil
	})
}

// timestampRequests are the flags of SO_TIMESTAMPING that a message may have
// (SOF_TIMESTAMPING_TX_RECORD_MASK in include/uapi/linux/net_tstamp.h).
const timestampRequests = unix.SOF_TIMESTAMPING_TX_HARDWARE | unix.SOF_TIMESTAMPING_TX_SOFTWARE |
	unix.SOF_TIMESTAMPING_TX_SCHED | unix.SOF_TIMESTAMPING_TX_ACK

// controlSocket checks a control message of SOL_SOCKET, which has no meaning here
// (__sock_cmsg_send in net/core/sock.c).
func controlSocket(c *socket.Caller, typ int, data []byte) error {
	switch typ {
	case unix.SCM_RIGHTS, unix.SCM_CREDENTIALS:
		return nil
	case unix.SO_MARK:
		if !c.Creds.Has(unix.CAP_NET_ADMIN) && !c.Creds.Has(unix.CAP_NET_RAW) {
			return unix.EPERM
		}
		if len(data) == 4 {
			return nil
		}
	case unix.SO_TIMESTAMPING, unix.SO_TIMESTAMPING_NEW:
		if len(data) == 4 && binary.LittleEndian.Uint32(data)&^timestampRequests == 0 {
			return nil
		}
	}
	return unix.EINVAL
}

func (s *Socket) control4(typ int, data []byte, o *tcpip.WriteOptions, t *transfer) error {
	switch typ {
	case unix.IP_TTL:
		v, err := socket.Int(data)
		if err != nil || v < 1 || v > 255 {
			return unix.EINVAL
		}
		o.ControlMessages.HasTTL, o.ControlMessages.TTL = true, uint8(v)
	case unix.IP_TOS:
		v, err := byteOrInt(data)
		if err != nil || len(data) != 1 && len(data) != 4 || v < 0 || v > 255 {
			return unix.EINVAL
		}
		t.tos = v
	case unix.IP_PKTINFO: // struct in_pktinfo
		if len(data) != 12 {
			return unix.EINVAL
		}
		index := binary.LittleEndian.Uint32(data)
		if a := tcpip.AddrFrom4Slice(data[4:8]); !a.Unspecified() && s.toIPv4(o.To) {
			return from(o, a, index)
		}
		by(o, t, index)
	case unix.IP_RETOPTS:
	default:
		return unix.EINVAL
	}
	return nil
}

func (s *Socket) control6(typ int, data []byte, o *tcpip.WriteOptions, t *transfer) error {
	switch typ {
	case unix.IPV6_HOPLIMIT:
		v, err := socket.Int(data)
		if err != nil || v < -1 || v > 255 {
			return unix.EINVAL
		}
		if v >= 0 {
			o.ControlMessages.HasHopLimit, o.ControlMessages.HopLimit = true, uint8(v)
		}
	case unix.IPV6_PKTINFO: // struct in6_pktinfo
		if len(data) < 20 {
			return unix.EINVAL
		}
		index := binary.LittleEndian.Uint32(data[16:])
		switch a := tcpip.AddrFrom16Slice(data[:16]); {
		case a.Unspecified():
			by(o, t, index)
		case header.IsV4MappedAddress(a) != s.toIPv4(o.To):
			return unix.EINVAL
		case header.IsV4MappedAddress(a):
			return from(o, tcpip.AddrFrom4Slice(a.AsSlice()[12:]), index)
		default:
			return from(o, a, index)
		}
	case unix.IPV6_TCLASS:
		v, err := socket.Int(data)
		if err != nil || v < -1 || v > 255 {
			return unix.EINVAL
		}
		t.tos = v
	case unix.IPV6_DONTFRAG:
	default:
		return unix.EINVAL
	}
	return nil
}

// by sends a message over an interface.
func by(o *tcpip.WriteOptions, t *transfer, index uint32) {
	if index != 0 && o.To != nil {
		t.to.NIC = tcpip.NICID(index)
	}
}

// from sends a message from an address of this machine. The stack of the kernel
// takes an IPv4 address here, too: see host/mkkernel/deps.go.
func from(o *tcpip.WriteOptions, a tcpip.Address, index uint32) error {
	if header.IsV4MulticastAddress(a) || a == header.IPv4Broadcast {
		return unix.EINVAL
	}
	if a.Len() == header.IPv4AddressSize && net.Default().CheckLocalAddress(0, ipv4.ProtocolNumber, a) == 0 {
		return unix.ENETUNREACH
	}
	if a.Len() == header.IPv6AddressSize && net.Default().CheckLocalAddress(tcpip.NICID(index), header.IPv6ProtocolNumber, a) == 0 {
		return unix.EINVAL
	}
	o.ControlMessages.HasIPv6PacketInfo = true
	o.ControlMessages.IPv6PacketInfo = tcpip.IPv6PacketInfo{Addr: a, NIC: tcpip.NICID(index)}
	return nil
}

// toIPv4 reports whether a message goes to an IPv4 address.
func (s *Socket) toIPv4(to *tcpip.FullAddress) bool {
	if s.net == ipv4.ProtocolNumber {
		return true
	}
	if to == nil {
		a, err := s.endpoint().GetRemoteAddress()
		if err != nil {
			return false
		}
		to = &a
	}
	return to.Addr.Len() == header.IPv4AddressSize || header.IsV4MappedAddress(to.Addr)
}

// write gives a transfer to the stack. Of types of service the stack knows the
// socket's alone: a message with another has the socket for itself.
func (s *Socket) write(t *transfer, o tcpip.WriteOptions) (int64, tcpip.Error) {
	ep := s.endpoint()
	if s.isTCP() {
		return ep.Write(t, o)
	}
	if t.tos < 0 {
		s.tosMu.RLock()
		n, err := ep.Write(t, o)
		s.tosMu.RUnlock()
		return n, err
	}
	return s.writeWithTOS(ep, t, o)
}

// writeWithTOS sets the type of service meanwhile. A function with deferred calls in a loop is slow to return, always.
func (s *Socket) writeWithTOS(ep tcpip.Endpoint, t *transfer, o tcpip.WriteOptions) (int64, tcpip.Error) {
	s.tosMu.Lock()
	defer s.tosMu.Unlock()
	for _, opt := range [...]tcpip.SockOptInt{tcpip.IPv4TOSOption, tcpip.IPv6TrafficClassOption} {
		if old, err := ep.GetSockOptInt(opt); err == nil {
			ep.SetSockOptInt(opt, t.tos)     //nolint:errcheck // what can be read can be set
			defer ep.SetSockOptInt(opt, old) //nolint:errcheck // the same
		}
	}
	return ep.Write(t, o)
}
