package inet

import (
	"strconv"

	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv6"
	"gvisor.dev/gvisor/pkg/tcpip/stack"

	"gosv/kernel/net"
)

// The counters in /proc/net/{snmp,snmp6,netstat}, of RFC 1213, RFC 4293 and Linux's own (net/ipv4/proc.c): those that the
// stack keeps. In netstat the others are left out; programs find a column by its name.

type counter struct {
	name string
	v    int64
}

// counters writes a line of names and a line of values.
func counters(b []byte, name string, list []counter) []byte {
	b = append(append(b, name...), ':')
	for _, c := range list {
		b = append(append(b, ' '), c.name...)
	}
	b = append(append(append(b, '\n'), name...), ':')
	for _, c := range list {
		b = strconv.AppendInt(append(b, ' '), c.v, 10)
	}
	return append(b, '\n')
}

func count(c *tcpip.StatCounter) int64 { return int64(c.Value()) }

// ipCount adds up a counter of an IP version over the interfaces.
func ipCount(p tcpip.NetworkProtocolNumber, of func(*tcpip.IPStats) *tcpip.StatCounter) int64 {
	sum := int64(0)
	for _, info := range net.Default().NICInfo() {
		if st, ok := info.NetworkStats[p].(stack.IPNetworkEndpointStats); ok {
			sum += count(of(st.IPStats()))
		}
	}
	return sum
}

// AppendSNMP writes snmp.
func AppendSNMP(b []byte) []byte {
	st := net.Default().Stats()
	ip := func(of func(*tcpip.IPStats) *tcpip.StatCounter) int64 { return ipCount(ipv4.ProtocolNumber, of) }
	b = counters(b, "Ip", []counter{{"Forwarding", 2}, {"DefaultTTL", 64}, {"InReceives", ip(received)}, {"InHdrErrors", ip(malformed)},
		{"InAddrErrors", ip(misaddressed)}, {"ForwDatagrams", 0}, {"InUnknownProtos", 0}, {"InDiscards", 0},
		{"InDelivers", ip(delivered)}, {"OutRequests", ip(sent)}, {"OutDiscards", ip(unsent)},
		{"OutNoRoutes", 0}, {"ReasmTimeout", 0}, {"ReasmReqds", 0}, {"ReasmOKs", 0}, {"ReasmFails", 0}, {"FragOKs", 0}, {"FragFails", 0}, {"FragCreates", 0}})
	in, out := st.ICMP.V4.PacketsReceived, st.ICMP.V4.PacketsSent
	b = counters(b, "Icmp", []counter{
		{"InMsgs", count(in.EchoRequest) + count(in.EchoReply) + count(in.DstUnreachable) + count(in.TimeExceeded) + count(in.ParamProblem)},
		{"InErrors", count(in.Invalid)}, {"InCsumErrors", 0},
		{"InDestUnreachs", count(in.DstUnreachable)}, {"InTimeExcds", count(in.TimeExceeded)}, {"InParmProbs", count(in.ParamProblem)},
		{"InEchos", count(in.EchoRequest)}, {"InEchoReps", count(in.EchoReply)},
		{"OutMsgs", count(out.EchoRequest) + count(out.EchoReply) + count(out.DstUnreachable) + count(out.TimeExceeded)}, {"OutErrors", count(out.Dropped)},
		{"OutDestUnreachs", count(out.DstUnreachable)}, {"OutTimeExcds", count(out.TimeExceeded)},
		{"OutEchos", count(out.EchoRequest)}, {"OutEchoReps", count(out.EchoReply)}})
	tcp := &st.TCP
	b = counters(b, "Tcp", []counter{{"RtoAlgorithm", 1}, {"RtoMin", 200}, {"RtoMax", 120000}, {"MaxConn", -1}, {"ActiveOpens", count(tcp.ActiveConnectionOpenings)},
		{"PassiveOpens", count(tcp.PassiveConnectionOpenings)}, {"AttemptFails", count(tcp.FailedConnectionAttempts)}, {"EstabResets", count(tcp.EstablishedResets)},
		{"CurrEstab", count(tcp.CurrentEstablished)}, {"InSegs", count(tcp.ValidSegmentsReceived)}, {"OutSegs", count(tcp.SegmentsSent)},
		{"RetransSegs", count(tcp.Retransmits)}, {"InErrs", count(tcp.InvalidSegmentsReceived)}, {"OutRsts", count(tcp.ResetsSent)}, {"InCsumErrors", count(tcp.ChecksumErrors)}})
	udp := &st.UDP
	return counters(b, "Udp", []counter{{"InDatagrams", count(udp.PacketsReceived)}, {"NoPorts", count(udp.UnknownPortErrors)},
		{"InErrors", count(udp.MalformedPacketsReceived) + count(udp.ReceiveBufferErrors)},
		{"OutDatagrams", count(udp.PacketsSent)}, {"RcvbufErrors", count(udp.ReceiveBufferErrors)}, {"SndbufErrors", 0}, {"InCsumErrors", count(udp.ChecksumErrors)},
		{"IgnoredMulti", 0}, {"MemErrors", 0}})
}

// Counters of IP.
func received(s *tcpip.IPStats) *tcpip.StatCounter     { return s.PacketsReceived }
func malformed(s *tcpip.IPStats) *tcpip.StatCounter    { return s.MalformedPacketsReceived }
func misaddressed(s *tcpip.IPStats) *tcpip.StatCounter { return s.InvalidDestinationAddressesReceived }
func delivered(s *tcpip.IPStats) *tcpip.StatCounter    { return s.PacketsDelivered }
func sent(s *tcpip.IPStats) *tcpip.StatCounter         { return s.PacketsSent }
func unsent(s *tcpip.IPStats) *tcpip.StatCounter       { return s.OutgoingPacketErrors }

// AppendSNMP6 writes snmp6: a line for each counter. TCP's and UDP's are those of both IP versions, in snmp.
func AppendSNMP6(b []byte) []byte {
	ip := func(of func(*tcpip.IPStats) *tcpip.StatCounter) int64 { return ipCount(ipv6.ProtocolNumber, of) }
	in, out := net.Default().Stats().ICMP.V6.PacketsReceived, net.Default().Stats().ICMP.V6.PacketsSent
	list := []counter{
		{"Ip6InReceives", ip(received)}, {"Ip6InHdrErrors", ip(malformed)}, {"Ip6InAddrErrors", ip(misaddressed)},
		{"Ip6InDelivers", ip(delivered)}, {"Ip6OutRequests", ip(sent)}, {"Ip6OutDiscards", ip(unsent)},
	}
	for _, x := range []struct {
		prefix string
		s      *tcpip.ICMPv6PacketStats
	}{{"Icmp6In", &in.ICMPv6PacketStats}, {"Icmp6Out", &out.ICMPv6PacketStats}} {
		for _, c := range []struct {
			name string
			c    *tcpip.StatCounter
		}{
			{"DestUnreachs", x.s.DstUnreachable}, {"PktTooBigs", x.s.PacketTooBig}, {"TimeExcds", x.s.TimeExceeded}, {"ParmProblems", x.s.ParamProblem},
			{"Echos", x.s.EchoRequest}, {"EchoReplies", x.s.EchoReply}, {"GroupMembQueries", x.s.MulticastListenerQuery},
			{"GroupMembResponses", x.s.MulticastListenerReport}, {"GroupMembReductions", x.s.MulticastListenerDone},
			{"RouterSolicits", x.s.RouterSolicit}, {"RouterAdvertisements", x.s.RouterAdvert}, {"NeighborSolicits", x.s.NeighborSolicit},
			{"NeighborAdvertisements", x.s.NeighborAdvert}, {"Redirects", x.s.RedirectMsg}, {"MLDv2Reports", x.s.MulticastListenerReportV2},
		} {
			list = append(list, counter{x.prefix + c.name, count(c.c)})
		}
	}
	list = append(list, counter{"Icmp6InErrors", count(in.Invalid)}, counter{"Icmp6OutErrors", count(out.Dropped)})
	for _, c := range list {
		b = append(strconv.AppendInt(append(left(b, c.name, 32), '\t'), c.v, 10), '\n')
	}
	return b
}

// AppendNetstat writes netstat.
func AppendNetstat(b []byte) []byte {
	tcp := net.Default().Stats().TCP
	b = counters(b, "TcpExt", []counter{
		{"SyncookiesSent", count(tcp.ListenOverflowSynCookieSent)}, {"SyncookiesRecv", count(tcp.ListenOverflowSynCookieRcvd)},
		{"SyncookiesFailed", count(tcp.ListenOverflowInvalidSynCookieRcvd)},
		{"ListenOverflows", count(tcp.ListenOverflowAckDrop)}, {"ListenDrops", count(tcp.ListenOverflowSynDrop) + count(tcp.ListenOverflowAckDrop)},
		{"TCPRenoRecovery", count(tcp.FastRecovery)}, {"TCPSackRecovery", count(tcp.SACKRecovery)}, {"TCPFastRetrans", count(tcp.FastRetransmit)},
		{"TCPSlowStartRetrans", count(tcp.SlowStartRetransmits)}, {"TCPTimeouts", count(tcp.Timeouts)}, {"TCPLossProbeRecovery", count(tcp.TLPRecovery)},
		{"TCPDSACKRecv", count(tcp.SegmentsAckedWithDSACK)}, {"TCPSpuriousRTOs", count(tcp.SpuriousRTORecovery)}, {"TCPAbortOnTimeout", count(tcp.EstablishedTimedout)},
	})
	var rx, tx, multicast uint64
	for _, i := range net.Interfaces() {
		link := uint64(header.EthernetMinimumSize)
		if i.Flags&unix.IFF_LOOPBACK != 0 {
			link = 0
		}
		rx += i.Stats.RxBytes - link*i.Stats.RxPackets
		tx += i.Stats.TxBytes - link*i.Stats.TxPackets
		multicast += i.Stats.Multicast
	}
	return counters(b, "IpExt", []counter{{"InMcastPkts", int64(multicast)}, {"InOctets", int64(rx)}, {"OutOctets", int64(tx)}})
}
