package inet

import (
	"encoding/binary"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/udp"

	"gosv/kernel/net"
)

// The files of /proc/net (proc_pid_net(5)). Those of addresses show them as
// Linux prints the words in memory.

func pad(b []byte, s string, width int) []byte {
	for n := len(s); n < width; n++ {
		b = append(b, ' ')
	}
	return append(b, s...)
}

func left(b []byte, s string, width int) []byte {
	b = append(b, s...)
	for n := len(s); n < width; n++ {
		b = append(b, ' ')
	}
	return b
}

func decimal(b []byte, v uint64, width int) []byte { return pad(b, strconv.FormatUint(v, 10), width) }

func hexa(b []byte, v uint64, digits int) []byte {
	s := strings.ToUpper(strconv.FormatUint(v, 16))
	for n := len(s); n < digits; n++ {
		b = append(b, '0')
	}
	return append(b, s...)
}

// line ends a line at a width, as seq_setwidth does.
func line(b []byte, from, width int) []byte {
	for len(b)-from < width {
		b = append(b, ' ')
	}
	return append(b, '\n')
}

func appendWords(b []byte, ip []byte) []byte {
	for ; len(ip) >= 4; ip = ip[4:] {
		b = hexa(b, uint64(binary.LittleEndian.Uint32(ip)), 8)
	}
	return b
}

func (s *Socket) appendEnd(b []byte, a tcpip.FullAddress) []byte {
	if s.Family == unix.AF_INET6 {
		ip := [16]byte{}
		if a.Addr.Len() != 0 {
			ip = as16(a.Addr)
		}
		b = appendWords(b, ip[:])
	} else {
		var ip [4]byte
		if a.Addr.Len() == 4 {
			ip = a.Addr.As4()
		}
		b = appendWords(b, ip[:])
	}
	return hexa(append(b, ':'), uint64(a.Port), 4)
}

// appendSocket writes what the lines of tcp, udp and raw have in common.
func (s *Socket) appendSocket(b []byte, n, width int, state uint8) []byte {
	b = append(decimal(b, uint64(n), width), ": "...)
	local, _ := s.endpoint().GetLocalAddress()
	remote, err := s.endpoint().GetRemoteAddress()
	if err != nil {
		remote = tcpip.FullAddress{}
	}
	if s.Type == unix.SOCK_RAW {
		local.Port, remote.Port = uint16(s.Protocol), 0
	}
	b = append(s.appendEnd(b, local), ' ')
	b = append(s.appendEnd(b, remote), ' ')
	b = append(hexa(b, uint64(state), 2), ' ')
	var tx, rx int
	if v, err := s.endpoint().GetSockOptInt(tcpip.SendQueueSizeOption); err == nil {
		tx = v
	}
	if v, err := s.endpoint().GetSockOptInt(tcpip.ReceiveQueueSizeOption); err == nil {
		rx = v
	}
	b = hexa(append(hexa(b, uint64(tx), 8), ':'), uint64(rx), 8)
	b = append(b, " 00:00000000 00000000 "...)
	b = append(decimal(b, uint64(s.UID()), 5), "        0 "...)
	return strconv.AppendUint(b, s.Ino(), 10)
}

func tcpTable(b []byte, af int) []byte {
	const width = 149
	start := len(b)
	if af == unix.AF_INET {
		b = line(append(b, "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode"...), start, width)
	} else {
		b = append(b, "  sl  local_address                         remote_address                        st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"...)
	}
	n := 0
	for _, s := range all.list(func(s *Socket) bool { return s.isTCP() && s.Family == af }) {
		st := s.tcpState()
		if st == tcp.StateInitial || st == tcp.StateBound || st == tcp.StateError || st == tcp.StateClose {
			continue // Linux has only those that a packet can find
		}
		start := len(b)
		b = s.appendSocket(b, n, 4, linuxState(st))
		b = append(b, " 1 0000000000000000 100 0 0 10 0"...)
		if af == unix.AF_INET {
			b = line(b, start, width)
		} else {
			b = append(b, '\n')
		}
		n++
	}
	return b
}

// AppendTCP writes tcp.
func AppendTCP(b []byte) []byte { return tcpTable(b, unix.AF_INET) }

// AppendTCP6 writes tcp6.
func AppendTCP6(b []byte) []byte { return tcpTable(b, unix.AF_INET6) }

func datagramTable(b []byte, af, typ int) []byte {
	const width = 127
	start := len(b)
	if af == unix.AF_INET {
		b = line(append(b, "   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops"...), start, width)
	} else {
		b = append(b, "  sl  local_address                         remote_address                        st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops\n"...)
	}
	n := 0
	for _, s := range all.list(func(s *Socket) bool {
		return s.Type == typ && s.Family == af && (typ == unix.SOCK_RAW || s.transport == unix.IPPROTO_UDP)
	}) {
		if a, err := s.endpoint().GetLocalAddress(); typ == unix.SOCK_DGRAM && (err != nil || a.Port == 0) {
			continue
		}
		state := uint8(7)
		if _, err := s.endpoint().GetRemoteAddress(); err == nil {
			state = 1
		}
		start := len(b)
		b = append(s.appendSocket(b, n, 5, state), " 2 0000000000000000 0"...)
		if af == unix.AF_INET {
			b = line(b, start, width)
		} else {
			b = append(b, '\n')
		}
		n++
	}
	return b
}

// AppendUDP writes udp.
func AppendUDP(b []byte) []byte { return datagramTable(b, unix.AF_INET, unix.SOCK_DGRAM) }

// AppendUDP6 writes udp6.
func AppendUDP6(b []byte) []byte { return datagramTable(b, unix.AF_INET6, unix.SOCK_DGRAM) }

// AppendRaw writes raw.
func AppendRaw(b []byte) []byte { return datagramTable(b, unix.AF_INET, unix.SOCK_RAW) }

// AppendRaw6 writes raw6.
func AppendRaw6(b []byte) []byte { return datagramTable(b, unix.AF_INET6, unix.SOCK_RAW) }

// AppendDev writes dev.
func AppendDev(b []byte) []byte {
	b = append(b, "Inter-|   Receive                                                |  Transmit\n"+
		" face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed\n"...)
	for _, i := range net.Interfaces() {
		s := &i.Stats
		b = append(pad(b, i.Name, 6), ':')
		for n, v := range [...]uint64{s.RxBytes, s.RxPackets, s.RxErrors, s.RxDropped, 0, 0, 0, s.Multicast,
			s.TxBytes, s.TxPackets, s.TxErrors, s.TxDropped, 0, 0, 0, 0} {
			b = decimal(append(b, ' '), v, [...]int{7, 7, 4, 4, 4, 5, 10, 9, 8, 7, 4, 4, 4, 5, 7, 10}[n])
		}
		b = append(b, '\n')
	}
	return b
}

// AppendRoute writes route.
func AppendRoute(b []byte) []byte {
	const width = 127
	start := len(b)
	b = line(append(b, "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT"...), start, width)
	names := make(map[int]string)
	for _, i := range net.Interfaces() {
		names[i.Index] = i.Name
	}
	for _, r := range net.Routes() {
		if r.Family() != unix.AF_INET || r.Index == int(net.Loopback) {
			continue
		}
		start := len(b)
		flags := uint64(unix.RTF_UP)
		if r.Gateway.Len() != 0 {
			flags |= unix.RTF_GATEWAY
		}
		if r.Prefix == 32 {
			flags |= unix.RTF_HOST
		}
		var mask [4]byte
		binary.BigEndian.PutUint32(mask[:], uint32(^uint64(0)<<(32-r.Prefix)))
		dst, gw := [4]byte{}, [4]byte{}
		copy(dst[:], r.Dst.AsSlice())
		copy(gw[:], r.Gateway.AsSlice())
		b = append(append(b, names[r.Index]...), '\t')
		b = append(appendWords(b, dst[:]), '\t')
		b = append(appendWords(b, gw[:]), '\t')
		b = append(hexa(b, flags, 4), "\t0\t0\t"...)
		b = append(strconv.AppendInt(b, int64(r.Metric), 10), '\t')
		b = append(appendWords(b, mask[:]), "\t0\t0\t0"...)
		b = line(b, start, width)
	}
	return b
}

func hex16(b []byte, a tcpip.Address) []byte {
	const digits = "0123456789abcdef"
	ip := [16]byte{}
	copy(ip[:], a.AsSlice())
	for _, c := range ip {
		b = append(b, digits[c>>4], digits[c&15])
	}
	return b
}

func lowHex(b []byte, v uint64, n int) []byte {
	s := strconv.FormatUint(v, 16)
	for k := len(s); k < n; k++ {
		b = append(b, '0')
	}
	return append(b, s...)
}

// AppendIfInet6 writes if_inet6.
func AppendIfInet6(b []byte) []byte {
	for _, i := range net.Interfaces() {
		for _, a := range i.Addrs {
			if a.Family() != unix.AF_INET6 {
				continue
			}
			scope := uint64(0)
			switch a.Scope {
			case unix.RT_SCOPE_HOST:
				scope = 0x10
			case unix.RT_SCOPE_LINK:
				scope = 0x20
			}
			b = append(hex16(b, a.IP), ' ')
			b = append(lowHex(b, uint64(i.Index), 2), ' ')
			b = append(lowHex(b, uint64(a.Prefix), 2), ' ')
			b = append(lowHex(b, scope, 2), ' ')
			b = append(lowHex(b, uint64(a.Flags), 2), ' ')
			b = append(pad(b, i.Name, 8), '\n')
		}
	}
	return b
}

// AppendIPv6Route writes ipv6_route.
func AppendIPv6Route(b []byte) []byte {
	for _, r := range net.Routes() {
		if r.Family() != unix.AF_INET6 {
			continue
		}
		i, err := net.InterfaceByIndex(r.Index)
		if err != nil {
			continue
		}
		flags := uint64(unix.RTF_UP)
		if r.Gateway.Len() != 0 {
			flags |= unix.RTF_GATEWAY
		}
		b = append(hex16(b, r.Dst), ' ')
		b = append(lowHex(b, uint64(r.Prefix), 2), " 00000000000000000000000000000000 00 "...)
		b = append(hex16(b, r.Gateway), ' ')
		b = append(lowHex(b, uint64(max(r.Metric, 256)), 8), " 00000001 00000000 "...)
		b = append(lowHex(b, flags, 8), ' ')
		b = append(pad(b, i.Name, 8), '\n')
	}
	return b
}

// AppendARP writes arp.
func AppendARP(b []byte) []byte {
	b = append(b, "IP address       HW type     Flags       HW address            Mask     Device\n"...)
	for _, i := range net.Interfaces() {
		if i.Flags&unix.IFF_LOOPBACK != 0 {
			continue
		}
		list, err := net.Default().Neighbors(tcpip.NICID(i.Index), header.IPv4ProtocolNumber)
		if err != nil {
			continue
		}
		for _, n := range list {
			flags, mac := "0x0", tcpip.LinkAddress("\x00\x00\x00\x00\x00\x00")
			if len(n.LinkAddr) == 6 {
				flags, mac = "0x2", n.LinkAddr
			}
			b = append(left(b, n.Addr.String(), 16), " 0x1         "...)
			b = append(left(b, flags, 12), mac.String()...)
			b = append(append(b, "     *        "...), i.Name...)
			b = append(b, '\n')
		}
	}
	return b
}

// AppendSockstat writes sockstat; others is how many sockets there are of
// families that are not this package's.
func AppendSockstat(b []byte, others int) []byte {
	var total, streams, alloc, datagrams, raws int
	for _, s := range all.list(func(*Socket) bool { return true }) {
		total++
		switch {
		case s.isTCP():
			alloc++
			if st := linuxState(s.tcpState()); st != 7 && s.Family == unix.AF_INET {
				streams++
			}
		case s.Family != unix.AF_INET:
		case s.Type == unix.SOCK_RAW:
			raws++
		default:
			datagrams++
		}
	}
	for _, l := range []struct {
		text string
		v    int
	}{{"sockets: used ", total + others}, {"\nTCP: inuse ", streams}, {" orphan 0 tw ", net.TimeWaits()}, {" alloc ", alloc}, {" mem ", net.MemoryPages(tcp.ProtocolNumber)},
		{"\nUDP: inuse ", datagrams}, {" mem ", net.MemoryPages(udp.ProtocolNumber)}, {"\nUDPLITE: inuse 0\nRAW: inuse ", raws}} {
		b = strconv.AppendInt(append(b, l.text...), int64(l.v), 10)
	}
	return append(b, "\nFRAG: inuse 0 memory 0\n"...)
}
