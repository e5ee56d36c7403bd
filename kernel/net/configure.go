package net

import (
	"errors"
	"strings"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv6"

	"gosv/kernel/cpu"
	"gosv/kernel/wait"
)

// A Config says what addresses the NICs get.
type Config struct {
	Hostname string // sent to DHCP servers, if not empty

	static   map[string][]static // by interface
	gateways []tcpip.Address
	resolver Resolver
	none     bool
	dhcp     bool // even where there are static addresses
}

type static struct {
	addr    tcpip.AddressWithPrefix
	gateway tcpip.Address // of length 0 if none
}

// ParseConfig reads the words of the boot command line that are about the
// network; others are skipped:
//
//	ip=NAME,ADDR/PREFIX[,GATEWAY]   an address, IPv4 or IPv6; repeatable
//	ip=dhcp                         DHCP also on interfaces with addresses
//	ip=none                         no interface but lo
//	gateway=ADDR                    the default gateway
//	dns=ADDR                        a name server; repeatable
//
// Interfaces without static addresses are configured by DHCP and router
// advertisements.
func ParseConfig(words []string) (Config, error) {
	c := Config{static: map[string][]static{}}
	for _, w := range words {
		name, value, _ := strings.Cut(w, "=")
		switch name {
		case "ip":
			switch value {
			case "none":
				c.none = true
			case "dhcp":
				c.dhcp = true
			default:
				f := strings.Split(value, ",")
				if len(f) < 2 || len(f) > 3 || f[0] == "" {
					return c, errors.New(w + ": want ip=NAME,ADDR/PREFIX[,GATEWAY], ip=dhcp or ip=none")
				}
				var s static
				var ok bool
				if s.addr, ok = parsePrefix(f[1]); !ok {
					return c, errors.New(w + ": " + f[1] + " is not ADDR/PREFIX")
				}
				if len(f) == 3 {
					if s.gateway, ok = ParseAddress(f[2]); !ok || s.gateway.Len() != s.addr.Address.Len() {
						return c, errors.New(w + ": " + f[2] + " is not a gateway's address")
					}
				}
				c.static[f[0]] = append(c.static[f[0]], s)
			}
		case "gateway":
			a, ok := ParseAddress(value)
			if !ok {
				return c, errors.New(w + ": not an address")
			}
			c.gateways = append(c.gateways, a)
		case "dns":
			a, ok := ParseAddress(value)
			if !ok {
				return c, errors.New(w + ": not an address")
			}
			c.resolver.Servers = append(c.resolver.Servers, a)
		}
	}
	return c, nil
}

// Resolver is what the configuration itself says of name servers; with any, what
// the network says of them is ignored.
func (c *Config) Resolver() Resolver { return c.resolver }

// Off reports whether NICs are to be left alone.
func (c *Config) Off() bool { return c.none }

// Pending announces that start will call Start with devices, at the latest when
// somebody asks: Default and everything that looks at interfaces wait for it, and
// WaitConfigured for the addresses.
func Pending(start func()) {
	state.pending = make(chan struct{})
	state.start = start
	configuring.left4.Store(1)
	configuring.left6.Store(1)
}

// settle says that one thing less is waited for.
func settle(family4, family6 int32) {
	configuring.left4.Add(-family4)
	configuring.left6.Add(-family6)
	configuring.queue.Notify(wait.In)
	later(tell)
}

// waits6 is how long router advertisements are waited for, in nanoseconds.
const waits6 = 1500e6

// configure gives a NIC its addresses, or starts what gets them.
func (n *nic) configure(c *Config) {
	fixed := c.static[n.name]
	auto4, auto6 := len(fixed) == 0 || c.dhcp, true
	for _, s := range fixed {
		if s.addr.Address.Len() == header.IPv6AddressSize {
			auto6 = c.dhcp
		}
	}
	s := base()
	if ep, err := s.GetNetworkEndpoint(n.id, ipv6.ProtocolNumber); err == nil && !auto6 {
		configs := ndpConfigs()
		configs.HandleRAs = ipv6.HandlingRAsDisabled
		ep.(ipv6.NDPEndpoint).SetNDPConfigurations(configs)
	}
	must(s.EnableNIC(n.id))
	s.AddRoute(tcpip.Route{Destination: header.IPv6LinkLocalPrefix.Subnet(), NIC: n.id})
	for _, f := range fixed {
		if err := n.addAddress(f.addr); err != nil {
			logf(n.name + ": " + f.addr.Address.String() + ": " + err.Error())
		}
		if f.gateway.Len() > 0 {
			n.addGateway(defaultFor(f.gateway), f.gateway, f.addr.Address)
		}
	}
	if auto4 {
		configuring.left4.Add(1)
		client := &dhcp4{n: n, hostname: c.Hostname, done: func() { settle(1, 0) }}
		n.client4.Store(client)
		go client.run()
	}
	if auto6 {
		configuring.left6.Add(1)
		n.waits6.Store(true)
		n.timer6.Start(cpu.Nanotime()+waits6, n.settle6)
	}
}

// settle6 says that there is an IPv6 address, or will be none soon.
func (n *nic) settle6() {
	if n.waits6.Swap(false) {
		settle(0, 1)
	}
}

// addGateways adds those that gateway= names, on the NIC that reaches them.
func (c *Config) addGateways() {
	for _, g := range c.gateways {
		for _, n := range state.nics {
			for _, f := range c.static[n.name] {
				if subnet := f.addr.Subnet(); f.addr.Address.Len() == g.Len() && subnet.Contains(g) {
					n.addGateway(defaultFor(g), g, f.addr.Address)
				}
			}
		}
	}
}
