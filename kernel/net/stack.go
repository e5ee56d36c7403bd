package net

import (
	"math/rand"
	_ "unsafe" // for linkname

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/link/loopback"
	"gvisor.dev/gvisor/pkg/tcpip/network/arp"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv6"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/icmp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/raw"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/udp"

	"gosv/kernel/cpu"
	"gosv/kernel/frame"
	"gosv/kernel/random"
)

// The ephemeral ports: Linux's default of ip_local_port_range.
const (
	firstPort = 32768
	lastPort  = 60999
)

// newStack makes the stack, with lo.
func newStack() *stack.Stack {
	s := stack.New(stack.Options{
		NetworkProtocols: []stack.NetworkProtocolFactory{
			ipv4.NewProtocolWithOptions(ipv4.Options{}),
			ipv6.NewProtocolWithOptions(ipv6.Options{
				NDPConfigs: ndpConfigs(),
				NDPDisp:    ndpEvents{},
				DADConfigs: dadConfigs(),
				// Link-local addresses of NICs, from the MAC as QEMU's and
				// everybody's neighbour tables expect (RFC 4291, appendix A).
				AutoGenLinkLocal: true,
			}),
			arp.NewProtocol,
		},
		TransportProtocols: []stack.TransportProtocolFactory{
			tcp.NewProtocolCUBIC, udp.NewProtocol, icmp.NewProtocol4, icmp.NewProtocol6,
		},
		Clock:                    &clock{},
		HandleLocal:              true,
		RawFactory:               raw.EndpointFactory{},
		AllowPacketEndpointWrite: true,
		SecureRNG:                secureReader{},
		RandSource:               randomSource{},
	})
	setLimits(s)
	limitMemory(s)
	addLoopback(s)
	return s
}

// Of the stack in the kernel: host/mkkernel/deps/timewait.go.txt.
//
//go:linkname tcpMaxTimeWaits gvisor.dev/gvisor/pkg/tcpip/transport/tcp.MaxTimeWaits
var tcpMaxTimeWaits int

//go:linkname tcpTimeWaits gvisor.dev/gvisor/pkg/tcpip/transport/tcp.TimeWaits
var tcpTimeWaits func() int

// TimeWaits is how many connections are in TIME-WAIT.
func TimeWaits() int {
	if tcpTimeWaits == nil {
		return 0
	}
	return tcpTimeWaits()
}

// setLimits sizes buffers by memory, as Linux's tcp_init does: at most a 128th
// of it for a connection.
func setLimits(s *stack.Stack) {
	total, _, _, _ := frame.Stats()
	limit := int(total * cpu.PageSize / 128)
	within := func(n, low, high int) int { return max(low, min(n, high)) }
	set := func(o tcpip.SettableTransportProtocolOption) {
		must(s.SetTransportProtocolOption(tcp.ProtocolNumber, o))
	}
	set(&tcpip.TCPReceiveBufferSizeRangeOption{
		Min: tcp.MinBufferSize, Default: within(limit/2, 64<<10, 128<<10), Max: within(limit, 128<<10, 6<<20)})
	set(&tcpip.TCPSendBufferSizeRangeOption{
		Min: tcp.MinBufferSize, Default: within(limit/4, 32<<10, 256<<10), Max: within(limit, 64<<10, 4<<20)})
	moderate := tcpip.TCPModerateReceiveBufferOption(true)
	set(&moderate)
	sack := tcpip.TCPSACKEnabled(true)
	set(&sack)
	reuse := tcpip.TCPTimeWaitReuseGlobal
	set(&reuse)

	// Linux's tcp_max_tw_buckets, for connections that take 10 KB each: a sixth of memory.
	tcpMaxTimeWaits = within(int(total/16), 256, 65536)

	datagrams := within(limit/2, 64<<10, 208<<10)
	must(s.SetOption(tcpip.SendBufferSizeOption{Min: stack.MinBufferSize, Default: datagrams, Max: within(limit, datagrams, 4<<20)}))
	must(s.SetOption(tcpip.ReceiveBufferSizeOption{Min: stack.MinBufferSize, Default: datagrams, Max: within(limit, datagrams, 4<<20)}))
	must(s.SetPortRange(firstPort, lastPort))
}

func addLoopback(s *stack.Stack) {
	must(s.CreateNICWithOptions(Loopback, loopback.New(), stack.NICOptions{Name: "lo", DeliverLinkPackets: true}))
	if ep, err := s.GetNetworkEndpoint(Loopback, ipv6.ProtocolNumber); err == nil {
		ep.(stack.DuplicateAddressDetector).SetDADConfigurations(stack.DADConfigurations{}) // nobody else is there
	}
	v4 := tcpip.AddressWithPrefix{Address: header.IPv4Loopback, PrefixLen: 8}
	v6 := tcpip.AddressWithPrefix{Address: header.IPv6Loopback, PrefixLen: 128}
	must(s.AddProtocolAddress(Loopback, tcpip.ProtocolAddress{Protocol: ipv4.ProtocolNumber, AddressWithPrefix: v4}, stack.AddressProperties{}))
	must(s.AddProtocolAddress(Loopback, tcpip.ProtocolAddress{Protocol: ipv6.ProtocolNumber, AddressWithPrefix: v6}, stack.AddressProperties{}))
	s.AddRoute(tcpip.Route{Destination: v4.Subnet(), NIC: Loopback})
	s.AddRoute(tcpip.Route{Destination: v6.Subnet(), NIC: Loopback})
}

// must is for calls that fail only when this package is wrong.
func must(err tcpip.Error) {
	if err != nil {
		panic("net: " + err.String())
	}
}

// secureReader gives the stack the kernel's generator.
type secureReader struct{}

func (secureReader) Read(b []byte) (int, error) {
	random.Read(b)
	return len(b), nil
}

// randomSource is the same for what wants a rand.Source; it is safe for
// concurrent use.
type randomSource struct{}

func (randomSource) Int63() int64   { return int64(random.Uint64() >> 1) }
func (randomSource) Uint64() uint64 { return random.Uint64() }
func (randomSource) Seed(int64)     {}

var _ rand.Source64 = randomSource{}
