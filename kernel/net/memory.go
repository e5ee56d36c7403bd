package net

import (
	"math"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/udp"

	"gosv/kernel/frame"
	"gosv/kernel/sysctl"
)

// What waits in the sockets of TCP and UDP is bounded by memory (tcp(7), udp(7)). The stack in the kernel counts it:
// host/mkkernel/patches/55-memory.patch; another one has no bound.

// counted is what a protocol of the kernel's stack can do.
type counted interface {
	MemoryUsed() int64
	SetMemoryLimit(bytes int64)
}

// memoryLimits are three numbers of pages, as tcp_mem has them: where a protocol is at ease, where Linux begins to save, and where
// nothing more is queued. The second one is kept and has no effect.
type memoryLimits struct {
	proto tcpip.TransportProtocolNumber
	pages [3]sysctl.Uint64
}

var (
	tcpMemory = memoryLimits{proto: tcp.ProtocolNumber}
	udpMemory = memoryLimits{proto: udp.ProtocolNumber}
)

var memorySysctls = [...]sysctl.Row{
	{Name: "net.ipv4.tcp_mem", Value: &sysctl.Ulong{N: 3, Get: func(i int) uint64 { return tcpMemory.get(i) }, Set: func(i int, n uint64) error { return tcpMemory.set(i, n) }, Max: math.MaxInt64}},
	{Name: "net.ipv4.udp_mem", Value: &sysctl.Ulong{N: 3, Get: func(i int) uint64 { return udpMemory.get(i) }, Set: func(i int, n uint64) error { return udpMemory.set(i, n) }, Max: math.MaxInt64}},
}

func init() { sysctl.Register(memorySysctls[:]) }

// udp_mem bounds raw and packet sockets as well, whose packets Linux bounds for each socket only.

// limitMemory sets the limits that Linux has for a machine of this size (tcp_init_mem, __udp_mem_init): a sixteenth of memory for TCP
// and an eighth for UDP, and one and a half times that at most.
func limitMemory(s *stack.Stack) {
	for _, m := range []struct {
		*memoryLimits
		part uint64
	}{{&tcpMemory, 16}, {&udpMemory, 8}} {
		pages := max(frame.Total()/m.part, 128)
		m.pages[0].Store(pages / 4 * 3)
		m.pages[1].Store(pages)
		m.pages[2].Store(pages / 4 * 3 * 2)
		if p, ok := s.TransportProtocolInstance(m.proto).(counted); ok {
			p.SetMemoryLimit(int64(m.pages[2].Load() * frame.Size))
		}
	}
}

func (m *memoryLimits) get(i int) uint64 {
	Default()
	return m.pages[i].Load()
}

func (m *memoryLimits) set(i int, n uint64) error {
	m.pages[i].Store(n)
	if p, ok := Default().TransportProtocolInstance(m.proto).(counted); ok && i == 2 {
		p.SetMemoryLimit(int64(min(n, math.MaxInt64/frame.Size)) * frame.Size)
	}
	return nil
}

// MemoryPages is how many pages wait in the sockets of a protocol, for /proc/net/sockstat.
func MemoryPages(proto tcpip.TransportProtocolNumber) int {
	if p, ok := Default().TransportProtocolInstance(proto).(counted); ok {
		return int((p.MemoryUsed() + frame.Size - 1) / frame.Size)
	}
	return 0
}
