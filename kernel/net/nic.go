package net

import (
	"strconv"
	"sync/atomic"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv6"
	"gvisor.dev/gvisor/pkg/tcpip/stack"

	virtio "gosv/kernel/dev/virtio/net"
	"gosv/kernel/wait"
)

// nic is an interface other than lo.
type nic struct {
	id   tcpip.NICID
	name string
	link *link

	lease   *lease4 // of client4's goroutine
	client4 atomic.Pointer[dhcp4]
	client6 atomic.Pointer[dhcp6]
	waits6  atomic.Bool // WaitFamily counts this NIC
	timer6  wait.Timer
}

// addNIC makes eth0, eth1 and so on over a device, which does not run yet.
func addNIC(s *stack.Stack, dev *virtio.Device) *nic {
	state.mu.Lock()
	n := &nic{id: Loopback + 1 + tcpip.NICID(len(state.nics)), name: "eth" + strconv.Itoa(len(state.nics))}
	n.link = newLink(dev)
	n.link.nic = n
	state.nics = append(state.nics, n)
	state.mu.Unlock()
	must(s.CreateNICWithOptions(n.id, n.link, stack.NICOptions{Name: n.name, QDisc: n.link, Disabled: true, DeliverLinkPackets: true}))
	return n
}

// nicOf finds the NIC of an index, nil if it is lo's or nobody's.
func nicOf(id tcpip.NICID) *nic {
	state.mu.Lock()
	defer state.mu.Unlock()
	if i := int(id) - int(Loopback) - 1; i >= 0 && i < len(state.nics) {
		return state.nics[i]
	}
	return nil
}

// addAddress gives the NIC an address, and the route to its network.
func (n *nic) addAddress(a tcpip.AddressWithPrefix) error {
	proto := ipv4.ProtocolNumber
	if a.Address.Len() == header.IPv6AddressSize {
		proto = ipv6.ProtocolNumber
	}
	err := base().AddProtocolAddress(n.id, tcpip.ProtocolAddress{Protocol: proto, AddressWithPrefix: a}, stack.AddressProperties{})
	if err != nil {
		return stackError{err}
	}
	defer changed()
	if subnet := a.Subnet(); subnet.Prefix() < a.Address.BitLen() {
		base().ReplaceRoute(tcpip.Route{Destination: subnet, NIC: n.id, SourceHint: a.Address})
	}
	return nil
}

// removeAddress takes an address and what depends on it away.
func (n *nic) removeAddress(a tcpip.AddressWithPrefix) {
	base().RemoveAddress(n.id, a.Address) //nolint:errcheck // it is gone, either way
	base().RemoveRoutes(func(r tcpip.Route) bool {
		return r.NIC == n.id && r.SourceHint == a.Address
	})
	changed()
}

// addGateway adds a route by a gateway.
func (n *nic) addGateway(dst tcpip.Subnet, gateway, source tcpip.Address) {
	base().AddRoute(tcpip.Route{Destination: dst, Gateway: gateway, NIC: n.id, SourceHint: source})
	changed()
}

// defaultFor is 0.0.0.0/0 or ::/0.
func defaultFor(gateway tcpip.Address) tcpip.Subnet {
	if gateway.Len() == header.IPv6AddressSize {
		return header.IPv6EmptySubnet
	}
	return header.IPv4EmptySubnet
}

// stackError is an error of the stack as Go has errors.
type stackError struct{ err tcpip.Error }

func (e stackError) Error() string { return e.err.String() }
