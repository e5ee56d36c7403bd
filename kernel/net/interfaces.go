package net

import (
	"slices"

	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
)

// An Interface is a network interface as programs see it (netdevice(7),
// rtnetlink(7)).
type Interface struct {
	Name  string
	Index int // ifindex, which is also the stack's NIC ID
	MTU   int
	MAC   [6]byte // zero for lo
	Flags uint32  // IFF_UP and so on
	Type  uint16  // ARPHRD_ETHER, ARPHRD_LOOPBACK
	Speed int     // Mbit/s, -1 if unknown
	Addrs []Addr
	Stats Stats
}

// An Addr is an address of an interface.
type Addr struct {
	IP         tcpip.Address
	Prefix     int
	Broadcast  tcpip.Address // IPv4 with a broadcast address; otherwise of length 0
	Scope      uint8         // RT_SCOPE_UNIVERSE, RT_SCOPE_LINK, RT_SCOPE_HOST
	Flags      uint32        // IFA_F_PERMANENT and so on
	Deprecated bool
}

// Family is AF_INET or AF_INET6.
func (a Addr) Family() int { return family(a.IP) }

// Stats counts what an interface carried (struct rtnl_link_stats64).
type Stats struct {
	RxPackets, TxPackets uint64
	RxBytes, TxBytes     uint64
	RxErrors, TxErrors   uint64
	RxDropped, TxDropped uint64
	Multicast            uint64
}

// Interfaces lists the interfaces by index: lo, eth0 and so on.
func Interfaces() []Interface {
	Default()
	return interfaces()
}

func interfaces() []Interface {
	var list []Interface
	for id, info := range base().NICInfo() {
		list = append(list, newInterface(id, &info))
	}
	slices.SortFunc(list, func(a, b Interface) int { return a.Index - b.Index })
	return list
}

// InterfaceByName finds an interface. ENODEV: there is none of that name.
func InterfaceByName(name string) (Interface, error) {
	for id, info := range Default().NICInfo() {
		if info.Name == name {
			return newInterface(id, &info), nil
		}
	}
	return Interface{}, unix.ENODEV
}

// InterfaceByIndex finds an interface. ENODEV: there is none of that index.
func InterfaceByIndex(index int) (Interface, error) {
	info, ok := Default().SingleNICInfo(tcpip.NICID(index))
	if !ok {
		return Interface{}, unix.ENODEV
	}
	return newInterface(tcpip.NICID(index), info), nil
}

// A Route is an entry of the routing table.
type Route struct {
	Dst     tcpip.Address // of the family; zero for a default route
	Prefix  int
	Gateway tcpip.Address // of length 0 for a network on the link
	Source  tcpip.Address // preferred source, of length 0 if none
	Index   int           // of the interface
	MTU     int           // 0: the interface's
	Metric  int
}

// Family is AF_INET or AF_INET6.
func (r Route) Family() int { return family(r.Dst) }

// Routes lists the routing table, without the local addresses, most specific
// entries first.
func Routes() []Route {
	var list []Route
	for _, r := range Default().GetRouteTable() {
		list = append(list, Route{
			Dst: r.Destination.ID(), Prefix: r.Destination.Prefix(), Gateway: r.Gateway,
			Source: r.SourceHint, Index: int(r.NIC), MTU: int(r.MTU),
		})
	}
	return list
}

func family(a tcpip.Address) int {
	if a.Len() == header.IPv4AddressSize {
		return unix.AF_INET
	}
	return unix.AF_INET6
}

// newInterface is the stack's NIC in Linux's terms.
func newInterface(id tcpip.NICID, info *stack.NICInfo) Interface {
	i := Interface{Name: info.Name, Index: int(id), MTU: int(info.MTU), Speed: -1, Type: uint16(info.ARPHardwareType), Flags: unix.IFF_UP}
	copy(i.MAC[:], info.LinkAddress)
	carrier := true
	if info.Flags.Loopback {
		i.Type = unix.ARPHRD_LOOPBACK
		i.Flags |= unix.IFF_LOOPBACK
	} else {
		i.Flags |= unix.IFF_BROADCAST | unix.IFF_MULTICAST
	}
	if n := nicOf(id); n != nil {
		i.Stats = n.link.count()
		carrier = n.link.up.Load()
	} else {
		i.Stats = Stats{
			RxPackets: info.Stats.Rx.Packets.Value(), RxBytes: info.Stats.Rx.Bytes.Value(),
			TxPackets: info.Stats.Tx.Packets.Value(), TxBytes: info.Stats.Tx.Bytes.Value(),
		}
	}
	if carrier {
		i.Flags |= unix.IFF_RUNNING | unix.IFF_LOWER_UP
	}
	if info.Flags.Promiscuous {
		i.Flags |= unix.IFF_PROMISC
	}
	for _, p := range info.ProtocolAddresses {
		i.Addrs = append(i.Addrs, newAddr(p.AddressWithPrefix, info.Flags.Loopback))
	}
	slices.SortStableFunc(i.Addrs, func(a, b Addr) int { return a.Family() - b.Family() })
	return i
}

func newAddr(a tcpip.AddressWithPrefix, loopback bool) Addr {
	addr := Addr{IP: a.Address, Prefix: a.PrefixLen, Scope: unix.RT_SCOPE_UNIVERSE, Flags: unix.IFA_F_PERMANENT}
	switch {
	case loopback:
		addr.Scope = unix.RT_SCOPE_HOST
	case header.IsV6LinkLocalUnicastAddress(a.Address):
		addr.Scope = unix.RT_SCOPE_LINK
	}
	if a.Address.Len() == header.IPv4AddressSize && !loopback && a.PrefixLen < 31 {
		subnet := a.Subnet()
		addr.Broadcast = subnet.Broadcast()
	}
	return addr
}
