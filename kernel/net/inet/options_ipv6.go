package inet

import (
	"encoding/binary"

	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"

	"gosv/kernel/net/socket"
)

// Options of ipv6(7) that x/sys/unix does not name (include/uapi/linux/in6.h).
const (
	ipv6AddrForm       = 1
	ipv6MTUOption      = 24
	ipv6RecvErr        = 25
	ipv6MulticastAll   = 29
	ipv6FlowInfo       = 11
	ipv6FlowInfoSend   = 33
	ipv6AddrPrefs      = 72
	ipv6MinHopCount    = 73
	ipv6OrigDstAddr    = 74
	ipv6Transparent    = 75
	ipv6FreeBind       = 78
	ipv6AutoFlowLabel  = 70
	ipv6RouterAlert    = 22
	ipv6RecvFragSize   = 77
	ipv62292PacketInfo = 2
	ipv62292HopLimit   = 8
)

// setIPv6 is setsockopt(2) for ipv6(7).
func (s *Socket) setIPv6(c *socket.Caller, name int, v []byte) error {
	ep := s.endpoint()
	so := ep.SocketOptions()
	switch name {
	case unix.IPV6_JOIN_GROUP, unix.IPV6_LEAVE_GROUP:
		return s.membership6(name == unix.IPV6_JOIN_GROUP, v)
	case unix.MCAST_JOIN_GROUP, unix.MCAST_LEAVE_GROUP:
		return s.membershipAny(name == unix.MCAST_JOIN_GROUP, v)
	}
	if s.isTCP() && (name == unix.IPV6_MULTICAST_IF || name == unix.IPV6_MULTICAST_HOPS) {
		return unix.ENOPROTOOPT
	}
	n, err := socket.Int(v)
	if err != nil && name != unix.IPV6_DONTFRAG && name != ipv6AutoFlowLabel {
		return err
	}
	on := n != 0
	switch name {
	case unix.IPV6_V6ONLY:
		if a, err := ep.GetLocalAddress(); err == nil && a.Port != 0 {
			return unix.EINVAL // bound already
		}
		so.SetV6Only(on)
	case unix.IPV6_UNICAST_HOPS:
		if n < -1 || n > 255 {
			return unix.EINVAL
		}
		return errno(ep.SetSockOptInt(tcpip.IPv6HopLimitOption, n))
	case unix.IPV6_MULTICAST_HOPS:
		if s.isTCP() {
			return unix.ENOPROTOOPT
		}
		if n < -1 || n > 255 {
			return unix.EINVAL
		}
		if n == -1 {
			n = 1
		}
		return errno(ep.SetSockOptInt(tcpip.MulticastTTLOption, n))
	case unix.IPV6_MULTICAST_LOOP:
		if n != 0 && n != 1 {
			return unix.EINVAL
		}
		so.SetMulticastLoop(on)
	case unix.IPV6_MULTICAST_IF:
		if s.isTCP() {
			return unix.ENOPROTOOPT
		}
		return errno(ep.SetSockOptInt(tcpip.IPv6MulticastInterfaceOption, n))
	case unix.IPV6_TCLASS:
		if n < -1 || n > 255 {
			return unix.EINVAL
		}
		return errno(ep.SetSockOptInt(tcpip.IPv6TrafficClassOption, max(n, 0)))
	case unix.IPV6_RECVTCLASS:
		so.SetReceiveTClass(on)
	case unix.IPV6_RECVHOPLIMIT, ipv62292HopLimit:
		so.SetReceiveHopLimit(on)
	case unix.IPV6_RECVPKTINFO, ipv62292PacketInfo:
		so.SetIPv6ReceivePacketInfo(on)
	case ipv6OrigDstAddr:
		so.SetReceiveOriginalDstAddress(on)
	case ipv6RecvErr:
		so.SetIPv6RecvError(on)
	case unix.IPV6_MTU_DISCOVER:
		if n < unix.IPV6_PMTUDISC_DONT || n > unix.IPV6_PMTUDISC_OMIT {
			return unix.EINVAL
		}
		s.small.mtuDiscover6.Store(int32(n) + 1)
	case unix.IPV6_CHECKSUM:
		if s.Type != unix.SOCK_RAW {
			return unix.ENOPROTOOPT
		}
		return errno(ep.SetSockOptInt(tcpip.IPv6Checksum, n))
	case ipv6MTUOption:
		if n != 0 && n < header.IPv6MinimumMTU {
			return unix.EINVAL
		}
		s.small.v6MTU.Store(int32(n))
	case unix.IPV6_DONTFRAG:
		s.small.hint(hintDontFrag, on)
	case ipv6MulticastAll:
		s.small.hint(hintNoMulticastAll, !on)
	case ipv6FlowInfoSend:
		s.small.hint(hintFlowInfo, on)
	case ipv6AutoFlowLabel:
		s.small.hint(hintNoFlowLabel, !on)
	case ipv6AddrPrefs: // a hint
	case ipv6MinHopCount:
		if n < 0 || n > 255 {
			return unix.EINVAL
		}
		s.small.minHops6.Store(int32(n))
	case ipv6FreeBind, ipv6Transparent, unix.IPV6_RECVRTHDR, unix.IPV6_RECVHOPOPTS,
		unix.IPV6_RECVDSTOPTS, unix.IPV6_RECVPATHMTU, ipv6FlowInfo, ipv6RecvFragSize, ipv6RouterAlert:
		if on {
			return unix.ENOPROTOOPT
		}
	default:
		return unix.ENOPROTOOPT
	}
	return nil
}

// getIPv6 is getsockopt(2) for ipv6(7).
func (s *Socket) getIPv6(name, room int) ([]byte, error) {
	ep := s.endpoint()
	so := ep.SocketOptions()
	number := func(o tcpip.SockOptInt) ([]byte, error) {
		n, err := ep.GetSockOptInt(o)
		if err != nil {
			return nil, errno(err)
		}
		return socket.PutInt(n, room)
	}
	flag := func(on bool) ([]byte, error) { return socket.PutInt(truth(on), room) }
	switch name {
	case unix.IPV6_V6ONLY:
		return flag(so.GetV6Only())
	case unix.IPV6_UNICAST_HOPS:
		n, err := ep.GetSockOptInt(tcpip.IPv6HopLimitOption)
		if err != nil {
			return nil, errno(err)
		}
		if n == tcpip.UseDefaultIPv6HopLimit {
			n = 64
		}
		return socket.PutInt(n, room)
	case unix.IPV6_MULTICAST_HOPS:
		if s.isTCP() {
			return socket.PutInt(1, room)
		}
		return number(tcpip.MulticastTTLOption)
	case unix.IPV6_MULTICAST_LOOP:
		return flag(so.GetMulticastLoop())
	case unix.IPV6_MULTICAST_IF:
		if s.isTCP() {
			return socket.PutInt(0, room)
		}
		return number(tcpip.IPv6MulticastInterfaceOption)
	case unix.IPV6_TCLASS:
		return number(tcpip.IPv6TrafficClassOption)
	case unix.IPV6_RECVTCLASS:
		return flag(so.GetReceiveTClass())
	case unix.IPV6_RECVHOPLIMIT, ipv62292HopLimit:
		return flag(so.GetReceiveHopLimit())
	case unix.IPV6_RECVPKTINFO, ipv62292PacketInfo:
		return flag(so.GetIPv6ReceivePacketInfo())
	case ipv6OrigDstAddr:
		return flag(so.GetReceiveOriginalDstAddress())
	case ipv6RecvErr:
		return flag(so.GetIPv6RecvError())
	case unix.IPV6_MTU_DISCOVER:
		n := int(s.small.mtuDiscover6.Load()) - 1
		if n < 0 {
			n = unix.IPV6_PMTUDISC_WANT
		}
		return socket.PutInt(n, room)
	case ipv6MTUOption:
		a, err := ep.GetRemoteAddress()
		if err != nil {
			return nil, unix.ENOTCONN
		}
		return socket.PutInt(routeMTU(a), room)
	case unix.IPV6_CHECKSUM:
		if s.Type != unix.SOCK_RAW {
			return nil, unix.ENOPROTOOPT
		}
		return number(tcpip.IPv6Checksum)
	case unix.IPV6_DONTFRAG:
		return flag(s.small.hinted(hintDontFrag))
	case ipv6MulticastAll:
		return flag(!s.small.hinted(hintNoMulticastAll))
	case ipv6FlowInfoSend:
		return flag(s.small.hinted(hintFlowInfo))
	case ipv6AutoFlowLabel:
		return flag(!s.small.hinted(hintNoFlowLabel))
	case ipv6MinHopCount:
		return socket.PutInt(int(s.small.minHops6.Load()), room)
	case ipv6AddrPrefs, ipv6FreeBind,
		ipv6Transparent, unix.IPV6_RECVRTHDR, unix.IPV6_RECVHOPOPTS, unix.IPV6_RECVDSTOPTS,
		unix.IPV6_RECVPATHMTU, ipv6FlowInfo, ipv6RecvFragSize:
		return socket.PutInt(0, room)
	}
	return nil, unix.ENOPROTOOPT
}

// membership6 joins or leaves a group: struct ipv6_mreq.
func (s *Socket) membership6(join bool, v []byte) error {
	if len(v) < 20 {
		return unix.EINVAL
	}
	if s.isTCP() {
		return unix.EPROTO
	}
	m := tcpip.MembershipOption{MulticastAddr: tcpip.AddrFrom16Slice(v[:16]), NIC: tcpip.NICID(int32(binary.LittleEndian.Uint32(v[16:])))}
	if !header.IsV6MulticastAddress(m.MulticastAddr) {
		return unix.EINVAL
	}
	return s.setMembership(join, m)
}
