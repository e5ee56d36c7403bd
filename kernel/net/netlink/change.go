package netlink

import (
	"encoding/binary"

	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"

	"gosv/kernel/net"
)

// change does what only root may.
func (r *request) change() error {
	switch r.kind {
	case unix.RTM_NEWADDR, unix.RTM_DELADDR:
		return r.changeAddr(r.kind == unix.RTM_NEWADDR)
	case unix.RTM_NEWROUTE, unix.RTM_DELROUTE:
		return r.changeRoute(r.kind == unix.RTM_NEWROUTE)
	case unix.RTM_NEWLINK, unix.RTM_SETLINK:
		return r.changeLink()
	}
	return r.changeNeighbour(r.kind == unix.RTM_NEWNEIGH)
}

func protocolOf(a tcpip.Address) tcpip.NetworkProtocolNumber {
	if a.Len() == 4 {
		return header.IPv4ProtocolNumber
	}
	return header.IPv6ProtocolNumber
}

// changeAddr adds or removes an address, with the route to its network.
func (r *request) changeAddr(add bool) error {
	if len(r.body) < unix.SizeofIfAddrmsg {
		return unix.EINVAL
	}
	attrs := r.attrs(unix.SizeofIfAddrmsg)
	b := attrs[unix.IFA_LOCAL]
	if b == nil {
		b = attrs[unix.IFA_ADDRESS]
	}
	a, ok := address(b)
	if !ok {
		return unix.EINVAL
	}
	prefix := int(r.body[1])
	if prefix > a.BitLen() {
		return unix.EINVAL
	}
	id := tcpip.NICID(binary.LittleEndian.Uint32(r.body[4:]))
	if !net.Default().CheckNIC(id) {
		return unix.ENODEV
	}
	with := a.WithPrefix()
	with.PrefixLen = prefix
	link := tcpip.Route{Destination: with.Subnet(), NIC: id}
	if !add {
		if err := net.Default().RemoveAddress(id, a); err != nil {
			return unix.EADDRNOTAVAIL
		}
		net.Default().RemoveRoutes(func(x tcpip.Route) bool {
			return x.NIC == id && x.Destination == link.Destination && x.Gateway.Len() == 0
		})
		return nil
	}
	err := net.Default().AddProtocolAddress(id, tcpip.ProtocolAddress{Protocol: protocolOf(a), AddressWithPrefix: with}, stack.AddressProperties{})
	switch err.(type) {
	case nil:
	case *tcpip.ErrDuplicateAddress:
		return unix.EEXIST
	default:
		return unix.EINVAL
	}
	if prefix < a.BitLen() {
		net.Default().AddRoute(link)
	}
	return nil
}

// changeRoute adds or removes an entry of the routing table.
func (r *request) changeRoute(add bool) error {
	if len(r.body) < unix.SizeofRtMsg {
		return unix.EINVAL
	}
	attrs := r.attrs(unix.SizeofRtMsg)
	size := 4
	if r.af() == unix.AF_INET6 {
		size = 16
	} else if r.af() != unix.AF_INET {
		return unix.EAFNOSUPPORT
	}
	dst := make([]byte, size)
	copy(dst, attrs[unix.RTA_DST])
	a := tcpip.AddrFromSlice(dst)
	prefix := int(r.body[1])
	if prefix > a.BitLen() {
		return unix.EINVAL
	}
	with := a.WithPrefix()
	with.PrefixLen = prefix
	e := tcpip.Route{Destination: with.Subnet()}
	if e.Destination.ID() != a {
		return unix.EINVAL // bits beyond the prefix
	}
	if b, ok := attrs[unix.RTA_GATEWAY]; ok {
		if len(b) != size {
			return unix.EINVAL
		}
		e.Gateway = tcpip.AddrFromSlice(b)
	}
	if b := attrs[unix.RTA_OIF]; len(b) >= 4 {
		e.NIC = tcpip.NICID(binary.LittleEndian.Uint32(b))
		if !net.Default().CheckNIC(e.NIC) {
			return unix.ENODEV
		}
	}
	if b := attrs[unix.RTA_PREFSRC]; len(b) == size {
		e.SourceHint = tcpip.AddrFromSlice(b)
	}
	same := func(x tcpip.Route) bool {
		return x.Destination == e.Destination && (e.NIC == 0 || x.NIC == e.NIC) && (e.Gateway.Len() == 0 || x.Gateway == e.Gateway)
	}
	if !add {
		if net.Default().RemoveRoutes(same) == 0 {
			return unix.ESRCH
		}
		return nil
	}
	if e.NIC == 0 {
		if e.Gateway.Len() == 0 {
			return unix.ENODEV
		}
		way, err := net.Default().FindRoute(0, tcpip.Address{}, e.Gateway, protocolOf(e.Gateway), false)
		if err != nil {
			return unix.ENETUNREACH
		}
		e.NIC = way.NICID()
		way.Release()
	}
	exists := false
	for _, x := range net.Default().GetRouteTable() {
		exists = exists || x.Destination == e.Destination && x.NIC == e.NIC && x.Gateway == e.Gateway
	}
	switch {
	case r.flags&unix.NLM_F_REPLACE != 0:
		net.Default().RemoveRoutes(func(x tcpip.Route) bool { return x.Destination == e.Destination })
	case exists:
		return unix.EEXIST
	}
	net.Default().AddRoute(e)
	return nil
}

// changeLink sets the MTU of an interface. Interfaces are always up.
func (r *request) changeLink() error {
	if len(r.body) < unix.SizeofIfInfomsg {
		return unix.EINVAL
	}
	attrs := r.attrs(unix.SizeofIfInfomsg)
	i, err := r.findLink(attrs)
	if err != nil {
		if r.flags&unix.NLM_F_CREATE != 0 {
			return unix.EOPNOTSUPP
		}
		return err
	}
	flags, mask := binary.LittleEndian.Uint32(r.body[8:]), binary.LittleEndian.Uint32(r.body[12:])
	if mask&unix.IFF_UP != 0 && flags&unix.IFF_UP == 0 {
		return unix.EOPNOTSUPP
	}
	if b := attrs[unix.IFLA_MTU]; len(b) >= 4 {
		if err := net.Default().SetNICMTU(tcpip.NICID(i.Index), binary.LittleEndian.Uint32(b)); err != nil {
			return unix.EINVAL
		}
	}
	return nil
}

// changeNeighbour adds or removes a permanent entry.
func (r *request) changeNeighbour(add bool) error {
	const header = 12 // struct ndmsg
	if len(r.body) < header {
		return unix.EINVAL
	}
	attrs := r.attrs(header)
	a, ok := address(attrs[unix.NDA_DST])
	if !ok {
		return unix.EINVAL
	}
	id := tcpip.NICID(binary.LittleEndian.Uint32(r.body[4:]))
	if !net.Default().CheckNIC(id) {
		return unix.ENODEV
	}
	var err tcpip.Error
	if add {
		mac := attrs[unix.NDA_LLADDR]
		if len(mac) != 6 {
			return unix.EINVAL
		}
		err = net.Default().AddStaticNeighbor(id, protocolOf(a), a, tcpip.LinkAddress(mac))
	} else {
		err = net.Default().RemoveNeighbor(id, protocolOf(a), a)
	}
	if err != nil {
		if add {
			return unix.EINVAL
		}
		return unix.ENOENT
	}
	return nil
}
