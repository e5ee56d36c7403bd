package netlink

import (
	"encoding/binary"

	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"

	"gosv/kernel/net"
	"gosv/kernel/net/socket"
)

// A request is one message of a program, and the answer as it grows.
type request struct {
	c     *socket.Caller
	s     *Socket
	kind  uint16
	flags uint16
	seq   uint32
	port  uint32
	body  []byte

	out    []byte
	start  int // of the message being written
	dumped bool
}

// datagram is how long one datagram of an answer may become.
const datagram = 8 << 10

// begin starts a message.
func (r *request) begin(kind, flags uint16) {
	if len(r.out) > datagram-1024 {
		r.flush()
	}
	r.start = len(r.out)
	r.out = binary.LittleEndian.AppendUint32(r.out, 0)
	r.out = binary.LittleEndian.AppendUint16(r.out, kind)
	r.out = binary.LittleEndian.AppendUint16(r.out, flags)
	r.out = binary.LittleEndian.AppendUint32(r.out, r.seq)
	r.out = binary.LittleEndian.AppendUint32(r.out, r.port)
}

// end completes it.
func (r *request) end() {
	binary.LittleEndian.PutUint32(r.out[r.start:], uint32(len(r.out)-r.start))
	for len(r.out)%4 != 0 {
		r.out = append(r.out, 0)
	}
}

// flush makes a datagram of the messages so far.
func (r *request) flush() {
	if len(r.out) > 0 {
		r.s.deliver(r.out)
		r.out = nil
	}
}

// attr adds an attribute.
func (r *request) attr(kind uint16, v []byte) {
	r.out = binary.LittleEndian.AppendUint16(r.out, uint16(4+len(v)))
	r.out = binary.LittleEndian.AppendUint16(r.out, kind)
	r.out = append(r.out, v...)
	for len(r.out)%4 != 0 {
		r.out = append(r.out, 0)
	}
}

func (r *request) attr8(kind uint16, v uint8) { r.attr(kind, []byte{v}) }

func (r *request) attr32(kind uint16, v uint32) {
	r.attr(kind, binary.LittleEndian.AppendUint32(nil, v))
}

func (r *request) attrString(kind uint16, v string) { r.attr(kind, append([]byte(v), 0)) }

func (r *request) attrAddr(kind uint16, a tcpip.Address) { r.attr(kind, a.AsSlice()) }

// attrs reads the attributes behind a header of n bytes.
func (r *request) attrs(n int) map[uint16][]byte {
	m := make(map[uint16][]byte)
	if len(r.body) < n {
		return m
	}
	for b := r.body[n:]; len(b) >= 4; {
		size := int(binary.LittleEndian.Uint16(b))
		if size < 4 || size > len(b) {
			break
		}
		m[binary.LittleEndian.Uint16(b[2:])&^0xc000] = b[4:size]
		b = b[min((size+3)&^3, len(b)):]
	}
	return m
}

// dump answers a request for everything: each message is one of several, and
// NLMSG_DONE comes last.
func (r *request) dump(all func(flags uint16)) error {
	r.dumped = true
	all(unix.NLM_F_MULTI)
	r.begin(unix.NLMSG_DONE, unix.NLM_F_MULTI)
	r.out = binary.LittleEndian.AppendUint32(r.out, 0)
	r.end()
	r.flush()
	return nil
}

// af is the first byte of the body: the address family asked for.
func (r *request) af() int {
	if len(r.body) == 0 {
		return unix.AF_UNSPEC
	}
	return int(r.body[0])
}

// route serves a request of rtnetlink(7).
func (r *request) route() error {
	isDump := r.flags&unix.NLM_F_DUMP == unix.NLM_F_DUMP || r.flags&unix.NLM_F_ROOT != 0
	switch r.kind {
	case unix.RTM_GETLINK:
		if isDump {
			return r.dump(func(flags uint16) {
				for _, i := range net.Interfaces() {
					r.link(&i, flags)
				}
			})
		}
		return r.getLink()
	case unix.RTM_GETADDR:
		return r.dump(r.addrs)
	case unix.RTM_GETROUTE:
		if isDump {
			return r.dump(r.routes)
		}
		return r.getRoute()
	case unix.RTM_GETNEIGH:
		return r.dump(r.neighbours)
	case unix.RTM_GETRULE, unix.RTM_GETQDISC, unix.RTM_GETTCLASS, unix.RTM_GETNEIGHTBL, unix.RTM_GETNETCONF, unix.RTM_GETMDB, unix.RTM_GETADDRLABEL:
		if !isDump {
			return unix.EOPNOTSUPP
		}
		return r.dump(func(uint16) {})
	case unix.RTM_NEWADDR, unix.RTM_DELADDR, unix.RTM_NEWROUTE, unix.RTM_DELROUTE, unix.RTM_NEWLINK, unix.RTM_SETLINK,
		unix.RTM_NEWNEIGH, unix.RTM_DELNEIGH:
		if !r.c.Creds.Has(unix.CAP_NET_ADMIN) {
			return unix.EPERM
		}
		err := r.change()
		if err == nil && anyMember() {
			tell(r)
		}
		return err
	}
	return unix.EOPNOTSUPP
}

// link writes a struct ifinfomsg and its attributes.
func (r *request) link(i *net.Interface, flags uint16) {
	r.begin(unix.RTM_NEWLINK, flags)
	r.out = append(r.out, unix.AF_UNSPEC, 0)
	r.out = binary.LittleEndian.AppendUint16(r.out, i.Type)
	r.out = binary.LittleEndian.AppendUint32(r.out, uint32(i.Index))
	r.out = binary.LittleEndian.AppendUint32(r.out, i.Flags)
	r.out = binary.LittleEndian.AppendUint32(r.out, 0)
	r.attrString(unix.IFLA_IFNAME, i.Name)
	r.attr32(unix.IFLA_TXQLEN, 1000)
	oper := uint8(6) // IF_OPER_UP
	qdisc := "fq_codel"
	var broadcast [6]byte
	if i.Flags&unix.IFF_LOOPBACK != 0 {
		oper, qdisc = 0, "noqueue" // IF_OPER_UNKNOWN
	} else {
		broadcast = [6]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}
	}
	r.attr8(unix.IFLA_OPERSTATE, oper)
	r.attr8(unix.IFLA_LINKMODE, 0)
	r.attr32(unix.IFLA_MTU, uint32(i.MTU))
	r.attr32(unix.IFLA_GROUP, 0)
	r.attr32(unix.IFLA_PROMISCUITY, 0)
	r.attr32(unix.IFLA_NUM_TX_QUEUES, 1)
	r.attr32(unix.IFLA_NUM_RX_QUEUES, 1)
	r.attr8(unix.IFLA_CARRIER, 1)
	r.attrString(unix.IFLA_QDISC, qdisc)
	r.attr(unix.IFLA_ADDRESS, i.MAC[:])
	r.attr(unix.IFLA_BROADCAST, broadcast[:])
	s := &i.Stats
	counters := []uint64{s.RxPackets, s.TxPackets, s.RxBytes, s.TxBytes, s.RxErrors, s.TxErrors, s.RxDropped, s.TxDropped, s.Multicast}
	long, short := make([]byte, 8*24), make([]byte, 4*23)
	for n, v := range counters {
		binary.LittleEndian.PutUint64(long[8*n:], v)
		binary.LittleEndian.PutUint32(short[4*n:], uint32(v))
	}
	r.attr(unix.IFLA_STATS64, long)
	r.attr(unix.IFLA_STATS, short)
	r.end()
}

// getLink answers for one interface, by index or name.
func (r *request) getLink() error {
	if len(r.body) < unix.SizeofIfInfomsg {
		return unix.EINVAL
	}
	i, err := r.findLink(r.attrs(unix.SizeofIfInfomsg))
	if err != nil {
		return err
	}
	r.link(&i, 0)
	return nil
}

func (r *request) findLink(attrs map[uint16][]byte) (net.Interface, error) {
	if index := binary.LittleEndian.Uint32(r.body[4:]); index != 0 {
		return net.InterfaceByIndex(int(index))
	}
	name, ok := attrs[unix.IFLA_IFNAME]
	if !ok {
		if name, ok = attrs[unix.IFLA_ALT_IFNAME]; !ok {
			return net.Interface{}, unix.EINVAL
		}
	}
	return net.InterfaceByName(cString(name))
}

func cString(b []byte) string {
	for i, c := range b {
		if c == 0 {
			return string(b[:i])
		}
	}
	return string(b)
}

// addrs writes struct ifaddrmsg for all addresses of the family asked for.
func (r *request) addrs(flags uint16) {
	index := uint32(0)
	if len(r.body) >= unix.SizeofIfAddrmsg {
		index = binary.LittleEndian.Uint32(r.body[4:])
	}
	for _, af := range [2]int{unix.AF_INET, unix.AF_INET6} {
		if want := r.af(); want != unix.AF_UNSPEC && want != af {
			continue
		}
		for _, i := range net.Interfaces() {
			if index != 0 && int(index) != i.Index {
				continue
			}
			for _, a := range i.Addrs {
				if a.Family() == af {
					r.addr(&i, &a, flags)
				}
			}
		}
	}
}

func (r *request) addr(i *net.Interface, a *net.Addr, flags uint16) {
	r.begin(unix.RTM_NEWADDR, flags)
	af := a.Family()
	r.out = append(r.out, byte(af), byte(a.Prefix), byte(a.Flags), a.Scope)
	r.out = binary.LittleEndian.AppendUint32(r.out, uint32(i.Index))
	r.attrAddr(unix.IFA_ADDRESS, a.IP)
	if af == unix.AF_INET {
		r.attrAddr(unix.IFA_LOCAL, a.IP)
		if a.Broadcast.Len() != 0 {
			r.attrAddr(unix.IFA_BROADCAST, a.Broadcast)
		}
		r.attrString(unix.IFA_LABEL, i.Name)
	}
	r.attr32(unix.IFA_FLAGS, a.Flags)
	cache := make([]byte, 16) // struct ifa_cacheinfo: valid forever
	binary.LittleEndian.PutUint64(cache, ^uint64(0))
	r.attr(unix.IFA_CACHEINFO, cache)
	r.end()
}

// routes writes struct rtmsg for the routing table.
func (r *request) routes(flags uint16) {
	for _, e := range net.Routes() {
		if want := r.af(); want != unix.AF_UNSPEC && want != e.Family() {
			continue
		}
		if e.Index == int(net.Loopback) && e.Family() == unix.AF_INET {
			continue // in Linux's table "local", which tools do not show
		}
		r.routeMessage(&e, flags)
	}
}

func (r *request) routeMessage(e *net.Route, flags uint16) {
	r.begin(unix.RTM_NEWROUTE, flags)
	scope, proto := byte(unix.RT_SCOPE_UNIVERSE), byte(unix.RTPROT_BOOT)
	if e.Gateway.Len() == 0 {
		if proto = unix.RTPROT_KERNEL; e.Family() == unix.AF_INET {
			scope = unix.RT_SCOPE_LINK
		}
	}
	r.out = append(r.out, byte(e.Family()), byte(e.Prefix), 0, 0, unix.RT_TABLE_MAIN, proto, scope, unix.RTN_UNICAST, 0, 0, 0, 0)
	r.attr32(unix.RTA_TABLE, unix.RT_TABLE_MAIN)
	if e.Prefix > 0 {
		r.attrAddr(unix.RTA_DST, e.Dst)
	}
	if e.Gateway.Len() != 0 {
		r.attrAddr(unix.RTA_GATEWAY, e.Gateway)
	}
	if e.Source.Len() != 0 {
		r.attrAddr(unix.RTA_PREFSRC, e.Source)
	}
	r.attr32(unix.RTA_OIF, uint32(e.Index))
	if metric := e.Metric; metric != 0 || e.Family() == unix.AF_INET6 {
		if metric == 0 {
			metric = 256
		}
		r.attr32(unix.RTA_PRIORITY, uint32(metric))
	}
	r.end()
}

// getRoute tells the way to one address: ip route get.
func (r *request) getRoute() error {
	if len(r.body) < unix.SizeofRtMsg {
		return unix.EINVAL
	}
	dst := r.attrs(unix.SizeofRtMsg)[unix.RTA_DST]
	a, ok := address(dst)
	if !ok {
		return unix.EINVAL
	}
	proto, af, bits := header.IPv4ProtocolNumber, byte(unix.AF_INET), byte(32)
	if a.Len() == 16 {
		proto, af, bits = header.IPv6ProtocolNumber, unix.AF_INET6, 128
	}
	way, err := net.Default().FindRoute(0, tcpip.Address{}, a, proto, false)
	if err != nil {
		return unix.ENETUNREACH
	}
	defer way.Release()
	kind, table := byte(unix.RTN_UNICAST), byte(unix.RT_TABLE_MAIN)
	index := way.NICID()
	if net.Default().CheckLocalAddress(0, proto, a) != 0 {
		kind, table, index = unix.RTN_LOCAL, unix.RT_TABLE_LOCAL, net.Loopback
	}
	r.begin(unix.RTM_NEWROUTE, 0)
	const cloned = 0x200 // RTM_F_CLONED
	r.out = append(r.out, af, bits, 0, 0, table, 0, 0, kind, 0, cloned>>8, 0, 0)
	r.attr32(unix.RTA_TABLE, uint32(table))
	r.attrAddr(unix.RTA_DST, a)
	if hop := way.NextHop(); hop != a && hop.Len() != 0 && kind == unix.RTN_UNICAST {
		r.attrAddr(unix.RTA_GATEWAY, hop)
	}
	r.attr32(unix.RTA_OIF, uint32(index))
	r.attrAddr(unix.RTA_PREFSRC, way.LocalAddress())
	r.end()
	return nil
}

func address(b []byte) (tcpip.Address, bool) {
	if len(b) != 4 && len(b) != 16 {
		return tcpip.Address{}, false
	}
	return tcpip.AddrFromSlice(b), true
}

// neighbours writes struct ndmsg for who is known on the links.
func (r *request) neighbours(flags uint16) {
	for _, i := range net.Interfaces() {
		if i.Flags&unix.IFF_LOOPBACK != 0 {
			continue
		}
		for _, p := range [2]tcpip.NetworkProtocolNumber{header.IPv4ProtocolNumber, header.IPv6ProtocolNumber} {
			af := byte(unix.AF_INET)
			if p == header.IPv6ProtocolNumber {
				af = unix.AF_INET6
			}
			if want := r.af(); want != unix.AF_UNSPEC && want != int(af) {
				continue
			}
			list, err := net.Default().Neighbors(tcpip.NICID(i.Index), p)
			if err != nil {
				continue
			}
			for _, n := range list {
				r.begin(unix.RTM_NEWNEIGH, flags)
				r.out = append(r.out, af, 0, 0, 0)
				r.out = binary.LittleEndian.AppendUint32(r.out, uint32(i.Index))
				r.out = binary.LittleEndian.AppendUint16(r.out, neighbourState(n.State))
				r.out = append(r.out, 0, unix.RTN_UNICAST)
				r.attrAddr(unix.NDA_DST, n.Addr)
				if n.LinkAddr != "" {
					r.attr(unix.NDA_LLADDR, []byte(n.LinkAddr))
				}
				r.end()
			}
		}
	}
}

// neighbourState is a state as Linux has it, NUD_*.
func neighbourState(st stack.NeighborState) uint16 {
	switch st {
	case stack.Incomplete:
		return unix.NUD_INCOMPLETE
	case stack.Reachable:
		return unix.NUD_REACHABLE
	case stack.Delay:
		return unix.NUD_DELAY
	case stack.Probe:
		return unix.NUD_PROBE
	case stack.Static:
		return unix.NUD_PERMANENT
	case stack.Unreachable:
		return unix.NUD_FAILED
	}
	return unix.NUD_STALE
}
