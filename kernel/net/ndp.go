package net

import (
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv6"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
)

// ndpConfigs are the times of neighbour discovery. They are shorter than RFC
// 4861 has them (section 10), since the other end of a virtual machine's link is
// near, and its boot is not to wait.
func ndpConfigs() ipv6.NDPConfigurations {
	c := ipv6.DefaultNDPConfigurations()
	c.MaxRtrSolicitationDelay = 0
	c.RtrSolicitationInterval = time.Second
	c.AutoGenTempGlobalAddresses = false // a server's address is to be known
	return c
}

// dadConfigs are those of duplicate address detection (RFC 4862): one
// solicitation, and a tenth of a second for an answer.
func dadConfigs() stack.DADConfigurations {
	return stack.DADConfigurations{DupAddrDetectTransmits: 1, RetransmitTimer: 100 * time.Millisecond}
}

// ndpEvents is what the stack tells of router advertisements. It calls with
// locks held, so the work is done by the worker.
type ndpEvents struct{}

var _ ipv6.NDPDispatcher = ndpEvents{}

// OnDuplicateAddressDetectionResult notes that another machine has an address.
func (ndpEvents) OnDuplicateAddressDetectionResult(id tcpip.NICID, a tcpip.Address, r stack.DADResult) {
	switch r.(type) {
	case *stack.DADSucceeded:
		changed()
		if !header.IsV6LinkLocalUnicastAddress(a) {
			later(func() {
				if n := nicOf(id); n != nil {
					n.settle6()
				}
			})
		}
	case *stack.DADDupAddrDetected:
		later(func() { warn("IPv6 address " + a.String() + " is another machine's too: not used") })
	}
}

// OnOffLinkRouteUpdated adds a route by a router.
func (ndpEvents) OnOffLinkRouteUpdated(id tcpip.NICID, dst tcpip.Subnet, router tcpip.Address, _ header.NDPRoutePreference) {
	later(func() {
		for _, r := range base().GetRouteTable() {
			if r.NIC == id && r.Destination == dst && r.Gateway == router {
				return
			}
		}
		base().AddRoute(tcpip.Route{Destination: dst, Gateway: router, NIC: id})
		changed()
	})
}

// OnOffLinkRouteInvalidated takes it away.
func (ndpEvents) OnOffLinkRouteInvalidated(id tcpip.NICID, dst tcpip.Subnet, router tcpip.Address) {
	later(func() {
		base().RemoveRoutes(func(r tcpip.Route) bool { return r.NIC == id && r.Destination == dst && r.Gateway == router })
		changed()
	})
}

// OnOnLinkPrefixDiscovered adds the route to a network on the link.
func (ndpEvents) OnOnLinkPrefixDiscovered(id tcpip.NICID, dst tcpip.Subnet) {
	later(func() {
		base().ReplaceRoute(tcpip.Route{Destination: dst, NIC: id})
		changed()
	})
}

// OnOnLinkPrefixInvalidated takes it away.
func (ndpEvents) OnOnLinkPrefixInvalidated(id tcpip.NICID, dst tcpip.Subnet) {
	later(func() {
		base().RemoveRoutes(func(r tcpip.Route) bool {
			return r.NIC == id && r.Destination == dst && r.Gateway.Len() == 0
		})
		changed()
	})
}

// OnAutoGenAddress says which address was made of a prefix.
func (ndpEvents) OnAutoGenAddress(id tcpip.NICID, a tcpip.AddressWithPrefix) stack.AddressDispatcher {
	later(func() {
		if n := nicOf(id); n != nil {
			logf(n.name + ": " + a.Address.String() + " by address autoconfiguration")
		}
	})
	return nil
}

func (ndpEvents) OnAutoGenAddressDeprecated(tcpip.NICID, tcpip.AddressWithPrefix)  {}
func (ndpEvents) OnAutoGenAddressInvalidated(tcpip.NICID, tcpip.AddressWithPrefix) { changed() }

// OnRecursiveDNSServerOption takes name servers (RFC 8106), until the next
// advertisement says otherwise.
func (ndpEvents) OnRecursiveDNSServerOption(id tcpip.NICID, servers []tcpip.Address, life time.Duration) {
	servers = append([]tcpip.Address(nil), servers...)
	later(func() {
		r := known(id, sourceRA)
		r.Servers = servers
		if life == 0 {
			r.Servers = nil
		}
		learned(id, sourceRA, r, "")
	})
}

// OnDNSSearchListOption takes search domains likewise.
func (ndpEvents) OnDNSSearchListOption(id tcpip.NICID, domains []string, life time.Duration) {
	var list []string
	for _, d := range domains {
		if life > 0 && validName(d) {
			list = append(list, d)
		}
	}
	later(func() {
		r := known(id, sourceRA)
		r.Search = list
		learned(id, sourceRA, r, "")
	})
}

// OnDHCPv6Configuration starts the DHCPv6 client when a router says that there
// is a server.
func (ndpEvents) OnDHCPv6Configuration(id tcpip.NICID, what ipv6.DHCPv6ConfigurationFromNDPRA) {
	if what == ipv6.DHCPv6NoConfiguration {
		return
	}
	later(func() {
		if n := nicOf(id); n != nil && n.client6.Load() == nil {
			client := &dhcp6{n: n, managed: what == ipv6.DHCPv6ManagedAddress}
			n.client6.Store(client)
			go client.run()
		}
	})
}
