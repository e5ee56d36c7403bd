package inet

import (
	"encoding/binary"

	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"

	"gosv/kernel/net"
	"gosv/kernel/net/socket"
)

// byteOrInt is the value of those options of ip(7) that may be one byte long; of
// nothing it is 0.
func byteOrInt(v []byte) (int, error) {
	switch {
	case len(v) >= 4:
		return socket.Int(v)
	case len(v) >= 1:
		return int(v[0]), nil
	}
	return 0, nil
}

// putByteOrInt writes one byte if there is no room for an int.
func putByteOrInt(v, room int) ([]byte, error) {
	if room > 0 && room < 4 && v >= 0 && v <= 255 {
		return []byte{byte(v)}, nil
	}
	return socket.PutInt(v, room)
}

// setIP is setsockopt(2) for ip(7).
func (s *Socket) setIP(c *socket.Caller, name int, v []byte) error {
	ep := s.endpoint()
	so := ep.SocketOptions()
	switch name {
	case unix.IP_ADD_MEMBERSHIP, unix.IP_DROP_MEMBERSHIP:
		return s.membership4(name == unix.IP_ADD_MEMBERSHIP, v)
	case unix.IP_MULTICAST_IF:
		return s.multicastInterface(v)
	case unix.MCAST_JOIN_GROUP, unix.MCAST_LEAVE_GROUP:
		return s.membershipAny(name == unix.MCAST_JOIN_GROUP, v)
	case unix.IP_OPTIONS:
		if len(v) == 0 {
			return nil
		}
		return unix.ENOPROTOOPT
	}
	n, err := byteOrInt(v)
	if err != nil {
		return err
	}
	on := n != 0
	if len(v) == 0 {
		switch name {
		case unix.IP_TTL, unix.IP_MULTICAST_TTL, unix.IP_MULTICAST_LOOP, unix.IP_MULTICAST_ALL, unix.IP_MINTTL:
			return unix.EINVAL
		}
	}
	switch name {
	case unix.IP_TOS:
		n &= 0xff
		if s.isTCP() {
			n &^= 3
		}
		return errno(ep.SetSockOptInt(tcpip.IPv4TOSOption, n))
	case unix.IP_TTL:
		if n == -1 {
			n = tcpip.UseDefaultIPv4TTL
		} else if n < 1 || n > 255 {
			return unix.EINVAL
		}
		return errno(ep.SetSockOptInt(tcpip.IPv4TTLOption, n))
	case unix.IP_MULTICAST_TTL:
		if s.isTCP() {
			return unix.EINVAL
		}
		if n == -1 {
			n = 1
		}
		if n < 0 || n > 255 {
			return unix.EINVAL
		}
		return errno(ep.SetSockOptInt(tcpip.MulticastTTLOption, n))
	case unix.IP_MULTICAST_LOOP:
		so.SetMulticastLoop(on)
	case unix.IP_MULTICAST_ALL:
		if n != 0 && n != 1 {
			return unix.EINVAL
		}
		s.small.multicastAll.Store(int32(1 - n))
	case unix.IP_RECVTOS:
		so.SetReceiveTOS(on)
	case unix.IP_RECVTTL:
		so.SetReceiveTTL(on)
	case unix.IP_PKTINFO:
		so.SetReceivePacketInfo(on)
	case unix.IP_RECVORIGDSTADDR:
		so.SetReceiveOriginalDstAddress(on)
	case unix.IP_RECVERR:
		so.SetIPv4RecvError(on)
	case unix.IP_HDRINCL:
		if s.Type != unix.SOCK_RAW {
			return unix.ENOPROTOOPT
		}
		so.SetHeaderIncluded(on)
	case unix.IP_MTU_DISCOVER:
		if n < unix.IP_PMTUDISC_DONT || n > unix.IP_PMTUDISC_OMIT {
			return unix.EINVAL
		}
		s.small.pathMTU.Store(int32(n) + 1)
		return errno(ep.SetSockOptInt(tcpip.MTUDiscoverOption, discovery(n)))
	case unix.IP_FREEBIND, unix.IP_TRANSPARENT:
		if name == unix.IP_TRANSPARENT && on && !c.Creds.Has(unix.CAP_NET_ADMIN) && !c.Creds.Has(unix.CAP_NET_RAW) {
			return unix.EPERM
		}
		if on {
			return unix.ENOPROTOOPT // nothing binds to addresses that are not here
		}
	case unix.IP_BIND_ADDRESS_NO_PORT:
		s.small.bindNoPort.Store(int32(truth(on)))
	case unix.IP_MINTTL:
		if n < 0 || n > 255 {
			return unix.EINVAL
		}
		s.small.minTTL.Store(int32(n))
	case unix.IP_RECVOPTS: // packets with options are dropped before
		s.small.recvOpts.Store(int32(truth(on)))
	case unix.IP_RETOPTS:
		s.small.retOpts.Store(int32(truth(on)))
	case unix.IP_PASSSEC, unix.IP_CHECKSUM, unix.IP_RECVFRAGSIZE, unix.IP_NODEFRAG:
		if on {
			return unix.ENOPROTOOPT
		}
	default:
		return unix.ENOPROTOOPT
	}
	return nil
}

// discovery is an IP_PMTUDISC_* value for the stack.
func discovery(n int) int {
	switch n {
	case unix.IP_PMTUDISC_DONT, unix.IP_PMTUDISC_OMIT:
		return int(tcpip.PMTUDiscoveryDont)
	case unix.IP_PMTUDISC_DO:
		return int(tcpip.PMTUDiscoveryDo)
	case unix.IP_PMTUDISC_PROBE, unix.IP_PMTUDISC_INTERFACE:
		return int(tcpip.PMTUDiscoveryProbe)
	}
	return int(tcpip.PMTUDiscoveryWant)
}

// getIP is getsockopt(2) for ip(7).
func (s *Socket) getIP(name, room int) ([]byte, error) {
	ep := s.endpoint()
	so := ep.SocketOptions()
	number := func(o tcpip.SockOptInt) ([]byte, error) {
		n, err := ep.GetSockOptInt(o)
		if err != nil {
			return nil, errno(err)
		}
		return putByteOrInt(n, room)
	}
	flag := func(on bool) ([]byte, error) { return putByteOrInt(truth(on), room) }
	switch name {
	case unix.IP_TOS:
		return number(tcpip.IPv4TOSOption)
	case unix.IP_TTL:
		n, err := ep.GetSockOptInt(tcpip.IPv4TTLOption)
		if err != nil {
			return nil, errno(err)
		}
		if n == tcpip.UseDefaultIPv4TTL {
			n = net.DefaultTTL()
		}
		return putByteOrInt(n, room)
	case unix.IP_MULTICAST_TTL:
		if s.isTCP() {
			return putByteOrInt(1, room)
		}
		return number(tcpip.MulticastTTLOption)
	case unix.IP_MULTICAST_LOOP:
		return flag(so.GetMulticastLoop())
	case unix.IP_MULTICAST_ALL:
		return flag(s.small.multicastAll.Load() == 0)
	case unix.IP_MULTICAST_IF:
		var o tcpip.MulticastInterfaceOption
		ep.GetSockOpt(&o)
		b := make([]byte, 4)
		copy(b, o.InterfaceAddr.AsSlice())
		return socket.Cut(b, room)
	case unix.IP_RECVTOS:
		return flag(so.GetReceiveTOS())
	case unix.IP_RECVTTL:
		return flag(so.GetReceiveTTL())
	case unix.IP_PKTINFO:
		return flag(so.GetReceivePacketInfo())
	case unix.IP_RECVORIGDSTADDR:
		return flag(so.GetReceiveOriginalDstAddress())
	case unix.IP_RECVERR:
		return flag(so.GetIPv4RecvError())
	case unix.IP_HDRINCL:
		return flag(s.Type == unix.SOCK_RAW && so.GetHeaderIncluded())
	case unix.IP_MTU_DISCOVER:
		n := int(s.small.pathMTU.Load()) - 1
		if n < 0 {
			n = unix.IP_PMTUDISC_WANT
		}
		return putByteOrInt(n, room)
	case unix.IP_MTU:
		a, err := ep.GetRemoteAddress()
		if err != nil {
			return nil, unix.ENOTCONN
		}
		return putByteOrInt(routeMTU(a), room)
	case unix.IP_MINTTL:
		return putByteOrInt(int(s.small.minTTL.Load()), room)
	case unix.IP_BIND_ADDRESS_NO_PORT:
		return putByteOrInt(int(s.small.bindNoPort.Load()), room)
	case unix.IP_OPTIONS:
		return nil, nil
	case unix.IP_RECVOPTS:
		return putByteOrInt(int(s.small.recvOpts.Load()), room)
	case unix.IP_RETOPTS:
		return putByteOrInt(int(s.small.retOpts.Load()), room)
	case unix.IP_FREEBIND, unix.IP_TRANSPARENT, unix.IP_PASSSEC, unix.IP_CHECKSUM,
		unix.IP_RECVFRAGSIZE, unix.IP_NODEFRAG:
		return putByteOrInt(0, room)
	}
	return nil, unix.ENOPROTOOPT
}

// routeMTU is the MTU on the way to an address.
func routeMTU(a tcpip.FullAddress) int {
	p := header.IPv4ProtocolNumber
	if a.Addr.Len() == 16 {
		p = header.IPv6ProtocolNumber
	}
	r, err := net.Default().FindRoute(0, tcpip.Address{}, a.Addr, p, false)
	if err != nil {
		return 1500
	}
	defer r.Release()
	return int(r.MTU())
}

// membership4 joins or leaves a group: struct ip_mreqn, or the shorter ip_mreq.
func (s *Socket) membership4(join bool, v []byte) error {
	if s.isTCP() {
		return unix.EPROTO
	}
	if len(v) < 8 {
		return unix.EINVAL
	}
	m := tcpip.MembershipOption{MulticastAddr: tcpip.AddrFrom4Slice(v[:4]), InterfaceAddr: tcpip.AddrFrom4Slice(v[4:8])}
	if len(v) >= 12 {
		m.NIC = tcpip.NICID(int32(binary.LittleEndian.Uint32(v[8:])))
		if m.NIC != 0 {
			m.InterfaceAddr = tcpip.Address{}
		}
	}
	if !header.IsV4MulticastAddress(m.MulticastAddr) {
		return unix.EINVAL
	}
	return s.setMembership(join, m)
}

func (s *Socket) setMembership(join bool, m tcpip.MembershipOption) error {
	if m.InterfaceAddr.Unspecified() {
		m.InterfaceAddr = tcpip.Address{}
	}
	var err tcpip.Error
	if join {
		o := tcpip.AddMembershipOption(m)
		err = s.endpoint().SetSockOpt(&o)
	} else {
		o := tcpip.RemoveMembershipOption(m)
		err = s.endpoint().SetSockOpt(&o)
	}
	if err == nil {
		s.joined(join, m)
	}
	return errno(err)
}

// membershipAny reads a struct group_req.
func (s *Socket) membershipAny(join bool, v []byte) error {
	if len(v) < 136 {
		return unix.EINVAL
	}
	m := tcpip.MembershipOption{NIC: tcpip.NICID(int32(binary.LittleEndian.Uint32(v)))}
	switch sa := v[8:]; binary.LittleEndian.Uint16(sa) {
	case unix.AF_INET:
		m.MulticastAddr = tcpip.AddrFrom4Slice(sa[4:8])
	case unix.AF_INET6:
		m.MulticastAddr = tcpip.AddrFrom16Slice(sa[8:24])
	default:
		return unix.EINVAL
	}
	return s.setMembership(join, m)
}

// multicastInterface is IP_MULTICAST_IF: struct ip_mreqn, ip_mreq or in_addr.
func (s *Socket) multicastInterface(v []byte) error {
	if s.isTCP() {
		return unix.EINVAL
	}
	var o tcpip.MulticastInterfaceOption
	switch {
	case len(v) >= 12:
		o.InterfaceAddr = tcpip.AddrFrom4Slice(v[4:8])
		o.NIC = tcpip.NICID(int32(binary.LittleEndian.Uint32(v[8:])))
	case len(v) >= 8:
		o.InterfaceAddr = tcpip.AddrFrom4Slice(v[4:8])
	case len(v) >= 4:
		o.InterfaceAddr = tcpip.AddrFrom4Slice(v[:4])
	default:
		return unix.EINVAL
	}
	if o.InterfaceAddr.Unspecified() {
		o.InterfaceAddr = tcpip.Address{}
	}
	if o.InterfaceAddr == header.IPv4Broadcast && o.NIC == 0 {
		return unix.EADDRNOTAVAIL
	}
	return errno(s.endpoint().SetSockOpt(&o))
}
