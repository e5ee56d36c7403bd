package inet

import (
	"slices"
	"strconv"

	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"

	"gosv/kernel/net"
)

// A group is a multicast group that an interface is a member of. The stack tells whether it is in a group and does not list
// them: those that sockets joined are kept here.
type group struct {
	nic  tcpip.NICID
	addr tcpip.Address
}

// joined keeps what a socket joined or left.
func (s *Socket) joined(join bool, m tcpip.MembershipOption) {
	g := group{m.NIC, m.MulticastAddr}
	switch {
	case g.nic != 0:
	case m.InterfaceAddr.Len() != 0:
		g.nic = net.Default().CheckLocalAddress(0, s.net, m.InterfaceAddr)
	default:
		if r, err := net.Default().FindRoute(0, tcpip.Address{}, m.MulticastAddr, protocolOf(m.MulticastAddr), false); err == nil {
			g.nic = r.NICID()
			r.Release()
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if join {
		s.groups = append(s.groups, g)
	} else if i := slices.Index(s.groups, g); i >= 0 {
		s.groups = slices.Delete(s.groups, i, i+1)
	}
}

func protocolOf(a tcpip.Address) tcpip.NetworkProtocolNumber {
	if a.Len() == 4 {
		return header.IPv4ProtocolNumber
	}
	return header.IPv6ProtocolNumber
}

// member is a group of an interface, and how many are in it: sockets, or the interface itself.
type member struct {
	addr  tcpip.Address
	users int
}

// groupsOf lists the groups of an interface and a family, those that sockets joined last first.
func groupsOf(i *net.Interface, family int) (list []member) {
	nic := tcpip.NICID(i.Index)
	add := func(a tcpip.Address) {
		if k := slices.IndexFunc(list, func(m member) bool { return m.addr == a }); k >= 0 {
			list[k].users++
		} else if in, err := net.Default().IsInGroup(nic, a); err == nil && in {
			list = append(list, member{a, 1})
		}
	}
	for _, s := range slices.Backward(all.list(func(*Socket) bool { return true })) {
		s.mu.Lock()
		groups := slices.Clone(s.groups)
		s.mu.Unlock()
		for _, g := range slices.Backward(groups) {
			if g.nic == nic && (g.addr.Len() == 4) == (family == unix.AF_INET) {
				add(g.addr)
			}
		}
	}
	if family == unix.AF_INET {
		add(header.IPv4AllSystems)
		return list
	}
	for _, a := range i.Addrs {
		if a.Family() == unix.AF_INET6 && i.Flags&unix.IFF_LOOPBACK == 0 {
			add(header.SolicitedNodeAddr(a.IP))
		}
	}
	add(header.IPv6AllNodesMulticastAddress)
	return list
}

// AppendIGMP writes igmp.
func AppendIGMP(b []byte) []byte {
	b = append(b, "Idx\tDevice    : Count Querier\tGroup    Users Timer\tReporter\n"...)
	for _, i := range net.Interfaces() {
		list := groupsOf(&i, unix.AF_INET)
		if len(list) == 0 {
			continue
		}
		b = append(strconv.AppendInt(b, int64(i.Index), 10), '\t')
		b = append(left(b, i.Name, 10), ": "...)
		b = append(decimal(b, uint64(len(list)), 5), "      V3\n"...)
		for _, m := range list {
			b = appendWords(append(b, "\t\t\t\t"...), m.addr.AsSlice())
			b = append(decimal(append(b, ' '), uint64(m.users), 5), " 0:00000000\t\t0\n"...)
		}
	}
	return b
}

// Flags of igmp6 (include/net/if_inet6.h).
const (
	groupReported = 0x04 // MAF_LAST_REPORTER
	groupLoaded   = 0x08 // MAF_LOADED
)

// AppendIGMP6 writes igmp6.
func AppendIGMP6(b []byte) []byte {
	for _, i := range net.Interfaces() {
		for _, m := range groupsOf(&i, unix.AF_INET6) {
			if m.addr != header.IPv6AllNodesMulticastAddress {
				b = appendGroup6(b, &i, m, groupReported)
				continue
			}
			b = appendGroup6(b, &i, m, groupReported|groupLoaded)
			b = appendGroup6(b, &i, member{interfaceNodes, 1}, groupLoaded)
		}
	}
	return b
}

// interfaceNodes are all nodes within the interface: the stack does not join that group.
var interfaceNodes = tcpip.AddrFrom16([16]byte{0: 0xff, 1: 1, 15: 1})

func appendGroup6(b []byte, i *net.Interface, m member, flags uint64) []byte {
	b = append(left(b, strconv.Itoa(i.Index), 4), ' ')
	b = append(left(b, i.Name, 15), ' ')
	b = append(hex16(b, m.addr), ' ')
	b = append(decimal(b, uint64(m.users), 5), ' ')
	return append(hexa(b, flags, 8), " 0\n"...)
}
