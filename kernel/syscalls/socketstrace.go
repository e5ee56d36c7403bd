package syscalls

import (
	"encoding/binary"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// The kinds of arguments of socket calls: sockaddr (the next argument is its
// length, or points to it), socklen, socktype, sockproto, fds, msghdr, sol, sockopt, optval.

// socketFlagSets are the flag sets of socket calls.
var socketFlagSets = []namedFlagSet{
	{"af", flagSet{enum: true, names: []flagName{{unix.AF_UNSPEC, "AF_UNSPEC"}, {unix.AF_UNIX, "AF_UNIX"}, {unix.AF_INET, "AF_INET"},
		{unix.AF_INET6, "AF_INET6"}, {unix.AF_NETLINK, "AF_NETLINK"}, {unix.AF_PACKET, "AF_PACKET"}, {unix.AF_VSOCK, "AF_VSOCK"}, {unix.AF_ALG, "AF_ALG"}}}},
	{"sock", flagSet{names: []flagName{{unix.SOCK_NONBLOCK, "SOCK_NONBLOCK"}, {unix.SOCK_CLOEXEC, "SOCK_CLOEXEC"}}}},
	{"shut", flagSet{enum: true, names: []flagName{{unix.SHUT_RD, "SHUT_RD"}, {unix.SHUT_WR, "SHUT_WR"}, {unix.SHUT_RDWR, "SHUT_RDWR"}}}},
	{"msg", flagSet{names: []flagName{{unix.MSG_OOB, "MSG_OOB"}, {unix.MSG_PEEK, "MSG_PEEK"}, {unix.MSG_DONTROUTE, "MSG_DONTROUTE"},
		{unix.MSG_CTRUNC, "MSG_CTRUNC"}, {unix.MSG_TRUNC, "MSG_TRUNC"}, {unix.MSG_DONTWAIT, "MSG_DONTWAIT"}, {unix.MSG_EOR, "MSG_EOR"},
		{unix.MSG_WAITALL, "MSG_WAITALL"}, {unix.MSG_CONFIRM, "MSG_CONFIRM"}, {unix.MSG_ERRQUEUE, "MSG_ERRQUEUE"}, {unix.MSG_NOSIGNAL, "MSG_NOSIGNAL"},
		{unix.MSG_MORE, "MSG_MORE"}, {unix.MSG_WAITFORONE, "MSG_WAITFORONE"}, {unix.MSG_FASTOPEN, "MSG_FASTOPEN"}, {unix.MSG_CMSG_CLOEXEC, "MSG_CMSG_CLOEXEC"}}}},
	{"socktype", flagSet{enum: true, names: []flagName{{unix.SOCK_STREAM, "SOCK_STREAM"}, {unix.SOCK_DGRAM, "SOCK_DGRAM"}, {unix.SOCK_RAW, "SOCK_RAW"},
		{unix.SOCK_SEQPACKET, "SOCK_SEQPACKET"}}}},
	{"ipproto", flagSet{enum: true, names: []flagName{{unix.IPPROTO_IP, "IPPROTO_IP"}, {unix.IPPROTO_ICMP, "IPPROTO_ICMP"}, {unix.IPPROTO_TCP, "IPPROTO_TCP"},
		{unix.IPPROTO_UDP, "IPPROTO_UDP"}, {unix.IPPROTO_IPV6, "IPPROTO_IPV6"}, {unix.IPPROTO_ICMPV6, "IPPROTO_ICMPV6"}, {unix.IPPROTO_RAW, "IPPROTO_RAW"}}}},
	{"sol", flagSet{enum: true, names: []flagName{{unix.SOL_IP, "SOL_IP"}, {unix.SOL_SOCKET, "SOL_SOCKET"}, {unix.SOL_TCP, "SOL_TCP"},
		{unix.SOL_UDP, "SOL_UDP"}, {unix.SOL_IPV6, "SOL_IPV6"}, {unix.SOL_RAW, "SOL_RAW"}, {unix.SOL_PACKET, "SOL_PACKET"}, {unix.SOL_NETLINK, "SOL_NETLINK"}}}},
	{"so", flagSet{enum: true, names: []flagName{{unix.SO_DEBUG, "SO_DEBUG"}, {unix.SO_REUSEADDR, "SO_REUSEADDR"}, {unix.SO_TYPE, "SO_TYPE"},
		{unix.SO_ERROR, "SO_ERROR"}, {unix.SO_DONTROUTE, "SO_DONTROUTE"}, {unix.SO_BROADCAST, "SO_BROADCAST"}, {unix.SO_SNDBUF, "SO_SNDBUF"},
		{unix.SO_RCVBUF, "SO_RCVBUF"}, {unix.SO_SNDBUFFORCE, "SO_SNDBUFFORCE"}, {unix.SO_RCVBUFFORCE, "SO_RCVBUFFORCE"}, {unix.SO_KEEPALIVE, "SO_KEEPALIVE"},
		{unix.SO_OOBINLINE, "SO_OOBINLINE"}, {unix.SO_NO_CHECK, "SO_NO_CHECK"}, {unix.SO_PRIORITY, "SO_PRIORITY"}, {unix.SO_LINGER, "SO_LINGER"},
		{unix.SO_REUSEPORT, "SO_REUSEPORT"}, {unix.SO_PASSCRED, "SO_PASSCRED"}, {unix.SO_PEERCRED, "SO_PEERCRED"}, {unix.SO_RCVLOWAT, "SO_RCVLOWAT"},
		{unix.SO_SNDLOWAT, "SO_SNDLOWAT"}, {unix.SO_RCVTIMEO, "SO_RCVTIMEO"}, {unix.SO_SNDTIMEO, "SO_SNDTIMEO"}, {unix.SO_BINDTODEVICE, "SO_BINDTODEVICE"},
		{unix.SO_ATTACH_FILTER, "SO_ATTACH_FILTER"}, {unix.SO_DETACH_FILTER, "SO_DETACH_FILTER"}, {unix.SO_TIMESTAMP, "SO_TIMESTAMP"},
		{unix.SO_ACCEPTCONN, "SO_ACCEPTCONN"}, {unix.SO_TIMESTAMPNS, "SO_TIMESTAMPNS"}, {unix.SO_MARK, "SO_MARK"}, {unix.SO_TIMESTAMPING, "SO_TIMESTAMPING"},
		{unix.SO_PROTOCOL, "SO_PROTOCOL"}, {unix.SO_DOMAIN, "SO_DOMAIN"}, {unix.SO_PEEK_OFF, "SO_PEEK_OFF"}, {unix.SO_BUSY_POLL, "SO_BUSY_POLL"},
		{unix.SO_INCOMING_CPU, "SO_INCOMING_CPU"}, {unix.SO_ZEROCOPY, "SO_ZEROCOPY"}, {unix.SO_COOKIE, "SO_COOKIE"}, {unix.SO_PEERGROUPS, "SO_PEERGROUPS"}}}},
	{"tcpopt", flagSet{enum: true, names: []flagName{{unix.TCP_NODELAY, "TCP_NODELAY"}, {unix.TCP_MAXSEG, "TCP_MAXSEG"}, {unix.TCP_CORK, "TCP_CORK"},
		{unix.TCP_KEEPIDLE, "TCP_KEEPIDLE"}, {unix.TCP_KEEPINTVL, "TCP_KEEPINTVL"}, {unix.TCP_KEEPCNT, "TCP_KEEPCNT"}, {unix.TCP_SYNCNT, "TCP_SYNCNT"},
		{unix.TCP_LINGER2, "TCP_LINGER2"}, {unix.TCP_DEFER_ACCEPT, "TCP_DEFER_ACCEPT"}, {unix.TCP_WINDOW_CLAMP, "TCP_WINDOW_CLAMP"}, {unix.TCP_INFO, "TCP_INFO"},
		{unix.TCP_QUICKACK, "TCP_QUICKACK"}, {unix.TCP_CONGESTION, "TCP_CONGESTION"}, {unix.TCP_USER_TIMEOUT, "TCP_USER_TIMEOUT"}, {unix.TCP_FASTOPEN, "TCP_FASTOPEN"},
		{unix.TCP_NOTSENT_LOWAT, "TCP_NOTSENT_LOWAT"}, {unix.TCP_FASTOPEN_CONNECT, "TCP_FASTOPEN_CONNECT"}, {unix.TCP_ULP, "TCP_ULP"}, {unix.TCP_INQ, "TCP_INQ"}}}},
	{"ipopt", flagSet{enum: true, names: []flagName{{unix.IP_TOS, "IP_TOS"}, {unix.IP_TTL, "IP_TTL"}, {unix.IP_HDRINCL, "IP_HDRINCL"}, {unix.IP_OPTIONS, "IP_OPTIONS"},
		{unix.IP_RECVOPTS, "IP_RECVOPTS"}, {unix.IP_RETOPTS, "IP_RETOPTS"}, {unix.IP_PKTINFO, "IP_PKTINFO"}, {unix.IP_MTU_DISCOVER, "IP_MTU_DISCOVER"},
		{unix.IP_RECVERR, "IP_RECVERR"}, {unix.IP_RECVTTL, "IP_RECVTTL"}, {unix.IP_RECVTOS, "IP_RECVTOS"}, {unix.IP_MTU, "IP_MTU"}, {unix.IP_FREEBIND, "IP_FREEBIND"},
		{unix.IP_TRANSPARENT, "IP_TRANSPARENT"}, {unix.IP_BIND_ADDRESS_NO_PORT, "IP_BIND_ADDRESS_NO_PORT"}, {unix.IP_MULTICAST_IF, "IP_MULTICAST_IF"},
		{unix.IP_MULTICAST_TTL, "IP_MULTICAST_TTL"}, {unix.IP_MULTICAST_LOOP, "IP_MULTICAST_LOOP"}, {unix.IP_ADD_MEMBERSHIP, "IP_ADD_MEMBERSHIP"},
		{unix.IP_DROP_MEMBERSHIP, "IP_DROP_MEMBERSHIP"}, {unix.IP_MULTICAST_ALL, "IP_MULTICAST_ALL"}}}},
	{"ipv6opt", flagSet{enum: true, names: []flagName{{unix.IPV6_V6ONLY, "IPV6_V6ONLY"}, {unix.IPV6_UNICAST_HOPS, "IPV6_UNICAST_HOPS"},
		{unix.IPV6_MULTICAST_IF, "IPV6_MULTICAST_IF"}, {unix.IPV6_MULTICAST_HOPS, "IPV6_MULTICAST_HOPS"}, {unix.IPV6_MULTICAST_LOOP, "IPV6_MULTICAST_LOOP"},
		{unix.IPV6_JOIN_GROUP, "IPV6_ADD_MEMBERSHIP"}, {unix.IPV6_LEAVE_GROUP, "IPV6_DROP_MEMBERSHIP"}, {unix.IPV6_MTU_DISCOVER, "IPV6_MTU_DISCOVER"},
		{25, "IPV6_RECVERR"}, {unix.IPV6_RECVPKTINFO, "IPV6_RECVPKTINFO"}, {unix.IPV6_RECVHOPLIMIT, "IPV6_RECVHOPLIMIT"}, {unix.IPV6_RECVTCLASS, "IPV6_RECVTCLASS"},
		{unix.IPV6_TCLASS, "IPV6_TCLASS"}, {unix.IPV6_CHECKSUM, "IPV6_CHECKSUM"}, {72, "IPV6_ADDR_PREFERENCES"}}}},
}

// socketValue prints the kinds of socket calls; ok is false for others.
func (p *printer) socketValue(i int, kind string) (text string, ok bool) {
	v := p.a[i]
	switch kind {
	case "socktype":
		s := flagText("socktype", v&sockTypeMask)
		if f := v &^ sockTypeMask & 0xffffffff; f != 0 {
			s += "|" + flagText("sock", f)
		}
		return s, true
	case "sockproto":
		switch int(p.a[0]) {
		case unix.AF_INET, unix.AF_INET6:
			return flagText("ipproto", v), true
		case unix.AF_NETLINK:
			if v == unix.NETLINK_ROUTE {
				return "NETLINK_ROUTE", true
			}
		}
		return strconv.Itoa(int(int32(v))), true
	case "fds":
		x, err := p.t.MM.Load64(v)
		if err != nil {
			return ptrText(v), true
		}
		return "[" + strconv.Itoa(int(int32(x))) + ", " + strconv.Itoa(int(int32(x>>32))) + "]", true
	case "socklen":
		n, err := p.t.MM.Load32(v)
		if v == 0 || err != nil {
			return ptrText(v), true
		}
		return "[" + strconv.Itoa(int(int32(n))) + "]", true
	case "sockaddr":
		n := p.length(i)
		if kind, _ := outKind(p.kinds.kinds[min(i+1, 5)]); kind == "socklen" {
			size, err := p.t.MM.Load32(n)
			if err != nil {
				return ptrText(v), true
			}
			n = uint64(size)
		}
		return p.sockaddr(v, n), true
	case "sol":
		return flagText("sol", v), true
	case "sockopt":
		set := map[uint64]string{unix.SOL_SOCKET: "so", unix.SOL_TCP: "tcpopt", unix.SOL_IP: "ipopt", unix.SOL_IPV6: "ipv6opt"}[p.a[1]]
		return flagText(set, v), true
	case "optval":
		n := p.length(i)
		if p.row.Name == "getsockopt" {
			size, err := p.t.MM.Load32(n)
			if err != nil {
				return ptrText(v), true
			}
			n = uint64(size)
		}
		if n == 4 {
			x, err := p.t.MM.Load32(v)
			if err != nil {
				return ptrText(v), true
			}
			return "[" + strconv.Itoa(int(int32(x))) + "]", true
		}
		return p.bytes(v, n), true
	case "msghdr":
		return p.msghdr(v), true
	}
	return "", false
}

// sockaddr prints an address.
func (p *printer) sockaddr(addr, n uint64) string {
	if addr == 0 {
		return "NULL"
	}
	if n < 2 || n > 1<<31 {
		return ptrText(addr)
	}
	b := make([]byte, min(n, 128))
	if p.t.MM.CopyIn(b, addr) != nil {
		return ptrText(addr)
	}
	s := "{sa_family=" + flagText("af", uint64(binary.LittleEndian.Uint16(b)))
	port := func() string { return strconv.Itoa(int(binary.BigEndian.Uint16(b[2:]))) }
	switch binary.LittleEndian.Uint16(b) {
	case unix.AF_INET:
		if len(b) >= 8 {
			s += ", sin_port=htons(" + port() + "), sin_addr=inet_addr(\"" + dotted(b[4:8]) + "\")"
		}
	case unix.AF_INET6:
		if len(b) >= 24 {
			s += ", sin6_port=htons(" + port() + "), inet_pton(AF_INET6, \"" + colons(b[8:24]) + "\")"
		}
	case unix.AF_UNIX:
		if len(b) > 2 {
			if b[2] == 0 {
				s += ", sun_path=@" + quote(string(b[3:]))
			} else {
				path, _, _ := strings.Cut(string(b[2:]), "\x00")
				s += ", sun_path=" + quote(path)
			}
		}
	case unix.AF_NETLINK:
		if len(b) >= 12 {
			s += ", nl_pid=" + strconv.Itoa(int(int32(binary.LittleEndian.Uint32(b[4:])))) +
				", nl_groups=0x" + strconv.FormatUint(uint64(binary.LittleEndian.Uint32(b[8:])), 16)
		}
	default:
		s += ", sa_data=" + quote(string(b[2:min(len(b), 16)]))
	}
	return s + "}"
}

func dotted(b []byte) string {
	parts := make([]string, len(b))
	for i, c := range b {
		parts[i] = strconv.Itoa(int(c))
	}
	return strings.Join(parts, ".")
}

// colons prints an IPv6 address with its longest run of zeros left out (RFC 5952).
func colons(b []byte) string {
	best, length := -1, 1
	for i := 0; i < 8; i++ {
		n := 0
		for i+n < 8 && b[2*(i+n)] == 0 && b[2*(i+n)+1] == 0 {
			n++
		}
		if n > length {
			best, length = i, n
		}
	}
	if best == 0 && length == 5 && b[10] == 0xff && b[11] == 0xff {
		return "::ffff:" + dotted(b[12:16])
	}
	var s strings.Builder
	for i := 0; i < 8; i++ {
		if i == best {
			s.WriteString("::")
			i += length - 1
			continue
		}
		if i > 0 && i != best+length {
			s.WriteByte(':')
		}
		s.WriteString(strconv.FormatUint(uint64(binary.BigEndian.Uint16(b[2*i:])), 16))
	}
	return s.String()
}

// msghdr prints a struct msghdr.
func (p *printer) msghdr(addr uint64) string {
	var h [msghdrSize]byte
	if addr == 0 || p.t.MM.CopyIn(h[:], addr) != nil {
		return ptrText(addr)
	}
	n := le.Uint32(h[msgNamelen:])
	s := "{msg_name=" + p.sockaddr(le.Uint64(h[msgName:]), uint64(n)) + ", msg_namelen=" + strconv.Itoa(int(n)) +
		", msg_iov=" + p.iovec(le.Uint64(h[msgIov:]), le.Uint64(h[msgIovlen:])) + ", msg_iovlen=" + strconv.FormatUint(le.Uint64(h[msgIovlen:]), 10)
	if c := le.Uint64(h[msgControllen:]); c > 0 {
		s += ", msg_control=" + ptrText(le.Uint64(h[msgControl:]))
		s += ", msg_controllen=" + strconv.FormatUint(c, 10)
	} else {
		s += ", msg_controllen=0"
	}
	return s + ", msg_flags=" + flagText("msg", uint64(le.Uint32(h[msgFlagsField:]))) + "}"
}
