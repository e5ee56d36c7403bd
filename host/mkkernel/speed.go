package main

import _ "embed"

var (
	//go:embed deps/pool.go.txt
	stackPool string
	//go:embed deps/flow.go.txt
	stackFlow string
	//go:embed deps/shortcut.go.txt
	stackShortcut string
	//go:embed deps/head.go.txt
	stackHead string
	//go:embed deps/turn.go.txt
	stackTurn string
)

// stackMutex leaves out the functions around a mutex that note for a checker, which is not compiled in, who holds it.
var stackMutex = `package sync

import "sync"

type (
	Mutex               = sync.Mutex
	CrossGoroutineMutex = sync.Mutex
)
`

// sentCounter is a method of both IP endpoints.
const sentCounter = "// SentCounter counts packets that go out.\nfunc (e *endpoint) SentCounter() *tcpip.MultiCounterStat { return &e.stats.ip.PacketsSent }\n\n"

// speedups are edits of what each packet meets. docs/performance.md has the figures.
var speedups = []edit{
	// A time is a number; the original goes by way of time.Time.
	{"pkg/tcpip/tcpip.go", "\treturn MonotonicTime{\n\t\tnanoseconds: time.Unix(0, mt.nanoseconds).Add(d).Sub(time.Unix(0, 0)).Nanoseconds(),\n\t}\n",
		"\tn := mt.nanoseconds + int64(d)\n\tif (n < mt.nanoseconds) != (d < 0) {\n\t\tif n = math.MaxInt64; d < 0 {\n\t\t\tn = math.MinInt64\n\t\t}\n\t}\n\treturn MonotonicTime{nanoseconds: n}\n", 1},
	{"pkg/tcpip/tcpip.go", "\treturn time.Unix(0, mt.nanoseconds).Sub(time.Unix(0, u.nanoseconds))\n",
		"\td := mt.nanoseconds - u.nanoseconds\n\tif (d > 0) != (mt.nanoseconds > u.nanoseconds) && d != 0 || (mt.nanoseconds^u.nanoseconds)&(mt.nanoseconds^d) < 0 {\n\t\tif d = math.MaxInt64; mt.nanoseconds < u.nanoseconds {\n\t\t\td = math.MinInt64\n\t\t}\n\t}\n\treturn time.Duration(d)\n", 1},

	// Two copies of 2 KB of pointers for each packet.
	{"pkg/tcpip/network/ipv4/ipv4.go", "\tstats := e.stats\n", "\tstats := &e.stats\n", 2},

	// Values of several kinds are taken and given at once.
	{"pkg/sync/aliases.go", "\t// Pool is an alias of sync.Pool.\n\tPool = sync.Pool\n\n", "", 1},

	{"pkg/buffer/chunk.go", "\t\tchunkPools[i].New = func() any {\n", "\t\tchunkPools[i].Most = max(uint(64<<10/chunkSize), 1)\n\t\tchunkPools[i].New = func() any {\n", 1},

	// What is written over need not be cleared. What Grow gives is: solicitations of neighbours and routers leave fields as they are.
	{"pkg/buffer/chunk.go", "\t\tclear(c.data)\n", "", 1},

	// A chunk knows where it goes back to.
	{"pkg/buffer/chunk.go", "\tchunkRefs\n\tdata []byte\n", "\tchunkRefs\n\tdata []byte\n\tpool *sync.Pool // nil: it is collected\n", 1},
	{"pkg/buffer/chunk.go", "\t\t\t\tdata: make([]byte, chunkSize),\n", "\t\t\t\tdata: make([]byte, chunkSize),\n\t\t\t\tpool: &chunkPools[i],\n", 1},
	{"pkg/buffer/chunk.go", "\tif len(c.data) > MaxChunkSize {\n\t\tc.data = nil\n\t\treturn\n\t}\n\tpool := getChunkPool(len(c.data))\n\tpool.Put(c)\n", "\tif c.pool == nil {\n\t\tc.data = nil\n\t\treturn\n\t}\n\tc.pool.Put(c)\n", 1},
	{"pkg/buffer/view.go", "\t*v = View{chunk: c}\n\tv.Write(data)\n\treturn v\n", "\t*v = View{chunk: c, write: copy(c.data, data)}\n\treturn v\n", 1},
	{"pkg/buffer/view.go", "\tv.write += n\n}\n\n// growCap", "\tclear(v.chunk.data[v.write : v.write+n])\n\tv.write += n\n}\n\n// growCap", 1},
	{"pkg/buffer/view.go", "\tv := NewView(size)\n\tv.Grow(size)\n", "\tv := NewView(size)\n\tclear(v.chunk.data[:size])\n\tv.write = size\n", 1},

	// Nearly always a header lies in the first view, of which there is no other owner.
	{"pkg/buffer/buffer.go", "// PullUp makes the specified range", "// First is a range of the buffer if it lies in the first view and nobody shares that; else it is nil.\n" +
		"func (b *Buffer) First(offset, length int) []byte {\n\tv := b.data.Front()\n\tif v == nil || length <= 0 || v.read+offset+length > v.write || v.sharesChunk() {\n\t\treturn nil\n\t}\n" +
		"\treturn v.chunk.data[v.read+offset : v.read+offset+length]\n}\n\n// PullUp makes the specified range", 1},
	{"pkg/tcpip/stack/packet_buffer.go", "func (pk *PacketBuffer) headerView(typ", "func (pk *PacketBuffer) headerSlice(typ headerType) []byte {\n\th := &pk.headers[typ]\n" +
		"\tif b := pk.buf.First(pk.reserved+h.offset, h.length); b != nil {\n\t\treturn b\n\t}\n\tview := pk.headerView(typ)\n\treturn view.AsSlice()\n}\n\nfunc (pk *PacketBuffer) headerView(typ", 1},
	{"pkg/tcpip/stack/packet_buffer.go", "\tview := pk.headerView(typ)\n\treturn view.AsSlice()\n}\n\nfunc (pk *PacketBuffer) consume", "\treturn pk.headerSlice(typ)\n}\n\nfunc (pk *PacketBuffer) consume", 1},
	{"pkg/tcpip/stack/packet_buffer.go", "\tview := pk.headerView(typ)\n\treturn view.AsSlice(), true\n", "\treturn pk.headerSlice(typ), true\n", 1},
	{"pkg/tcpip/stack/packet_buffer.go", "\tview := h.pk.headerView(h.typ)\n\treturn view.AsSlice()\n", "\treturn h.pk.headerSlice(h.typ)\n", 1},
	{"pkg/tcpip/stack/packet_buffer.go", "\tview, ok := d.pk.buf.PullUp(d.pk.dataOffset(), size)\n", "\tif b := d.pk.buf.First(d.pk.dataOffset(), size); b != nil {\n\t\treturn b, true\n\t}\n\tview, ok := d.pk.buf.PullUp(d.pk.dataOffset(), size)\n", 1},

	// The header that was parsed is looked at and not kept: no second owner, for whom the next look copies the packet.
	{"pkg/tcpip/network/ipv4/ipv4.go", "func (p *protocol) parseAndValidate(pkt *stack.PacketBuffer) (*buffer.View, bool) {", "func (p *protocol) parseAndValidate(pkt *stack.PacketBuffer) ([]byte, bool) {", 1},
	{"pkg/tcpip/network/ipv4/ipv4.go", "\treturn pkt.NetworkHeader().View(), true\n", "\treturn pkt.NetworkHeader().Slice(), true\n", 1},
	{"pkg/tcpip/network/ipv4/ipv4.go", "\th := header.IPv4(hView.AsSlice())\n\tdefer hView.Release()\n", "\th := header.IPv4(hView)\n", 2},
	{"pkg/tcpip/network/ipv4/ipv4.go", "\t\"gvisor.dev/gvisor/pkg/buffer\"\n", "", 1},
	{"pkg/tcpip/network/ipv6/ipv6.go", "func (p *protocol) parseAndValidate(pkt *stack.PacketBuffer) (*buffer.View, bool) {", "func (p *protocol) parseAndValidate(pkt *stack.PacketBuffer) ([]byte, bool) {", 1},
	{"pkg/tcpip/network/ipv6/ipv6.go", "\treturn pkt.NetworkHeader().View(), true\n", "\treturn pkt.NetworkHeader().Slice(), true\n", 1},
	{"pkg/tcpip/network/ipv6/ipv6.go", "\tdefer hView.Release()\n\th := header.IPv6(hView.AsSlice())\n", "\th := header.IPv6(hView)\n", 2},

	// An interface knows its name; the original looks it up three times for each packet.
	{"pkg/tcpip/network/ipv4/ipv4.go", "\toutNicName := stk.FindNICNameFromID(e.nic.ID())\n", "\toutNicName := e.nic.Name()\n", 2},
	{"pkg/tcpip/network/ipv4/ipv4.go", "\t\tinNicName := stk.FindNICNameFromID(nicID)\n", "\t\tinNicName := e.nic.Name()\n", 1},
	{"pkg/tcpip/network/ipv6/ipv6.go", "\toutNicName := stk.FindNICNameFromID(e.nic.ID())\n", "\toutNicName := e.nic.Name()\n", 2},
	{"pkg/tcpip/network/ipv6/ipv6.go", "\t\tinNicName := stk.FindNICNameFromID(nicID)\n", "\t\tinNicName := e.nic.Name()\n", 1},

	// Nothing in this kernel sets iptables rules.
	{"pkg/tcpip/stack/iptables.go", "\ttables := [...]checkTable{ // escapes", "\tif true {\n\t\treturn true\n\t}\n\ttables := [...]checkTable{ // escapes", 5},

	// A packet socket is rare.
	{"pkg/tcpip/stack/nic.go", "\tpacketEPs map[tcpip.NetworkProtocolNumber]*packetEndpointList\n", "\tpacketEPs map[tcpip.NetworkProtocolNumber]*packetEndpointList\n\n\thadPacketEPs atomicbitops.Bool\n", 1},
	{"pkg/tcpip/stack/nic.go", "\t\tn.packetEPs[netProto] = eps\n", "\t\tn.packetEPs[netProto] = eps\n\t\tn.hadPacketEPs.Store(true)\n", 1},
	{"pkg/tcpip/stack/nic.go", "\t// Deliver to interested packet endpoints without holding NIC lock.\n", "\tif !n.hadPacketEPs.Load() {\n\t\treturn\n\t}\n", 1},

	// Addresses of subnets as numbers.
	{"pkg/tcpip/tcpip.go", "\treturn s.Prefix() <= 30 && s.Broadcast() == address\n", "\tif s.address.length != ipv4AddressSize {\n\t\treturn false\n\t}\n" +
		"\thost := ^binary.BigEndian.Uint32(s.mask.mask[:4])\n\treturn host >= 3 && binary.BigEndian.Uint32(s.address.addr[:4])|host == binary.BigEndian.Uint32(address.addr[:4])\n", 1},
	{"pkg/tcpip/tcpip.go", "\t\"bytes\"\n", "\t\"bytes\"\n\t\"encoding/binary\"\n", 1},
	{"pkg/tcpip/stack/addressable_endpoint_state.go", "func (a *addressState) GetKind() AddressKind {\n\ta.mu.RLock()\n\tdefer a.mu.RUnlock()\n\treturn a.kind\n",
		"func (a *addressState) GetKind() AddressKind {\n\ta.mu.RLock()\n\tkind := a.kind\n\ta.mu.RUnlock()\n\treturn kind\n", 1},

	{"pkg/tcpip/network/ipv4/ipv4.go", "\t\tsubnet := addressEndpoint.AddressWithPrefix().Subnet()\n\t\tpkt.NetworkPacketInfo.LocalAddressBroadcast", "\t\tsubnet := addressEndpoint.Subnet()\n\t\tpkt.NetworkPacketInfo.LocalAddressBroadcast", 1},

	// An interface has few addresses: a list of them is looked through faster than a map.
	{"pkg/tcpip/stack/addressable_endpoint_state.go", "\t\tif addrState, ok := a.endpoints[localAddr]; ok {\n", "\t\tif addrState := a.find(localAddr); addrState != nil {\n", 1},
	{"pkg/tcpip/stack/addressable_endpoint_state.go", "\t\t\tfor _, addrState := range a.endpoints {\n", "\t\t\tfor _, addrState := range a.list {\n", 1},
	{"pkg/tcpip/stack/addressable_endpoint_state.go", "\t\ta.endpoints[addr.Address] = addrState\n", "\t\ta.endpoints[addr.Address] = addrState\n\t\ta.list = append(a.list, addrState)\n", 1},
	{"pkg/tcpip/stack/addressable_endpoint_state.go", "\tdelete(a.endpoints, addrState.addr.Address)\n",
		"\tdelete(a.endpoints, addrState.addr.Address)\n\ta.list = slices.DeleteFunc(a.list, func(s *addressState) bool { return s == addrState })\n", 1},
	{"pkg/tcpip/stack/addressable_endpoint_state.go", "\tendpoints map[tcpip.Address]*addressState `", "\tlist      []*addressState // the same as endpoints\n\tendpoints map[tcpip.Address]*addressState `", 1},
	{"pkg/tcpip/stack/addressable_endpoint_state.go", "\t\"fmt\"\n", "\t\"fmt\"\n\t\"slices\"\n", 1},
	{"pkg/tcpip/stack/addressable_endpoint_state.go", "// AcquireAssignedAddressOrMatching returns", "func (a *AddressableEndpointState) find(addr tcpip.Address) *addressState {\n\tif len(a.list) > 8 {\n\t\treturn a.endpoints[addr]\n\t}\n" +
		"\tfor _, s := range a.list {\n\t\tif s.addr.Address == addr {\n\t\t\treturn s\n\t\t}\n\t}\n\treturn nil\n}\n\n// AcquireAssignedAddressOrMatching returns", 1},

	// Whether the source is an address of this machine, or a broadcast address, is asked once.
	{"pkg/tcpip/network/ipv4/ipv4.go", "\th = header.IPv4(pkt.NetworkHeader().Slice())\n\te.handleValidatedPacket(h, pkt, e.nic.Name() /* inNICName */)\n",
		"\th = header.IPv4(pkt.NetworkHeader().Slice())\n\te.handlePacketFrom(h, pkt, e.nic.Name(), e.protocol.stack.HandleLocal() && !e.nic.IsLoopback())\n", 1},
	{"pkg/tcpip/network/ipv4/ipv4.go", "func (e *endpoint) handleValidatedPacket(h header.IPv4, pkt *stack.PacketBuffer, inNICName string) {\n",
		"func (e *endpoint) handleValidatedPacket(h header.IPv4, pkt *stack.PacketBuffer, inNICName string) {\n\te.handlePacketFrom(h, pkt, inNICName, false)\n}\n\n" +
			"func (e *endpoint) handlePacketFrom(h header.IPv4, pkt *stack.PacketBuffer, inNICName string, known bool) {\n", 1},
	{"pkg/tcpip/network/ipv4/ipv4.go", "\tif addressEndpoint := e.AcquireAssignedAddress(srcAddr, false /* createTemp */, stack.NeverPrimaryEndpoint, true /* readOnly */); addressEndpoint != nil {\n",
		"\tif known {\n\t} else if addressEndpoint := e.AcquireAssignedAddress(srcAddr, false /* createTemp */, stack.NeverPrimaryEndpoint, true /* readOnly */); addressEndpoint != nil {\n", 1},

	// With one processor there is no choice.
	{"pkg/tcpip/transport/tcp/dispatcher.go", "\treturn &d.processors[d.hasher.hash(id)%uint32(len(d.processors))]\n",
		"\tif len(d.processors) == 1 {\n\t\treturn &d.processors[0]\n\t}\n\treturn &d.processors[d.hasher.hash(id)%uint32(len(d.processors))]\n", 1},

	// Calls cost the most under emulation: no closures and deferred calls where a line does.
	{"pkg/buffer/chunk.go", "\tc.chunkRefs.DecRef(c.destroy)\n", "\tif n := c.refCount.Add(-1); n == 0 {\n\t\tc.destroy()\n\t} else if n < 0 {\n\t\tpanic(\"chunk has no reference\")\n\t}\n", 1},
	{"pkg/buffer/chunk.go", "bits.MostSignificantOne64(uint64(size) >> baseChunkSizeLog2)", "bits.Len64(uint64(size)>>baseChunkSizeLog2) - 1", 1},
	{"pkg/buffer/chunk.go", "\t\"gvisor.dev/gvisor/pkg/bits\"\n", "\t\"math/bits\"\n", 1},
	{"pkg/tcpip/stack/packet_buffer.go", "\tpk.packetBufferRefs.DecRef(func() {\n\t\tif pk.onRelease != nil {\n\t\t\tpk.onRelease()\n\t\t}\n\n\t\tpk.buf.Release()\n\t\tpkPool.Put(pk)\n\t})\n",
		"\tif n := pk.refCount.Add(-1); n == 0 {\n\t\tpk.free()\n\t} else if n < 0 {\n\t\tpanic(\"packet has no reference\")\n\t}\n}\n\n" +
			"func (pk *PacketBuffer) free() {\n\tif pk.onRelease != nil {\n\t\tpk.onRelease()\n\t}\n\tpk.buf.Release()\n\tpkPool.Put(pk)\n", 1},
	{"pkg/tcpip/transport/tcp/segment_queue.go", "\tq.mu.Lock()\n\tdefer q.mu.Unlock()\n\treturn q.emptyLocked()\n", "\tq.mu.Lock()\n\tempty := q.emptyLocked()\n\tq.mu.Unlock()\n\treturn empty\n", 1},
	{"pkg/tcpip/transport/tcp/segment_queue.go", "\tq.mu.Lock()\n\tdefer q.mu.Unlock()\n\n\ts := q.list.Front()\n\tif s != nil {\n\t\tq.list.Remove(s)\n\t}\n\n\treturn s\n",
		"\tq.mu.Lock()\n\ts := q.list.Front()\n\tif s != nil {\n\t\tq.list.Remove(s)\n\t}\n\tq.mu.Unlock()\n\treturn s\n", 1},
	{"pkg/tcpip/transport/tcp/dispatcher.go", "\tq.mu.Lock()\n\tdefer q.mu.Unlock()\n\te.pendingProcessingMu.Lock()\n\tdefer e.pendingProcessingMu.Unlock()\n\n\tif e.pendingProcessing {\n\t\treturn\n\t}\n\tq.list.PushBack(e)\n\te.pendingProcessing = true\n",
		"\tq.mu.Lock()\n\te.pendingProcessingMu.Lock()\n\tif !e.pendingProcessing {\n\t\tq.list.PushBack(e)\n\t\te.pendingProcessing = true\n\t}\n\te.pendingProcessingMu.Unlock()\n\tq.mu.Unlock()\n", 1},
	{"pkg/tcpip/stack/route.go", "\tr.mu.RLock()\n\tdefer r.mu.RUnlock()\n\treturn r.neighborEntry\n", "\tr.mu.RLock()\n\tentry := r.neighborEntry\n\tr.mu.RUnlock()\n\treturn entry\n", 1},
	{"pkg/tcpip/network/ipv4/ipv4.go", "\te.mu.RLock()\n\tdefer e.mu.RUnlock()\n\n\tloopback := e.nic.IsLoopback()\n\treturn e.addressableEndpointState.Acquire",
		"\te.mu.RLock()\n\tloopback := e.nic.IsLoopback()\n\te.mu.RUnlock()\n\treturn e.addressableEndpointState.Acquire", 1},

	{"pkg/tcpip/stack/neighbor_entry.go", "\te.mu.RLock()\n\tdefer e.mu.RUnlock()\n\tswitch e.mu.neigh.State {\n\tcase Reachable, Static, Delay, Probe:\n\t\treturn e.mu.neigh.LinkAddr, true\n",
		"\te.mu.RLock()\n\tstate, address := e.mu.neigh.State, e.mu.neigh.LinkAddr\n\te.mu.RUnlock()\n\tswitch state {\n\tcase Reachable, Static, Delay, Probe:\n\t\treturn address, true\n", 1},
	{"pkg/tcpip/transport/tcp/protocol.go", "\tp.mu.RLock()\n\tdefer p.mu.RUnlock()\n\treturn p.sendBufferSize\n", "\tp.mu.RLock()\n\tsize := p.sendBufferSize\n\tp.mu.RUnlock()\n\treturn size\n", 1},
	{"pkg/tcpip/transport/tcp/segment_queue.go", "\tq.mu.Lock()\n\tdefer q.mu.Unlock()\n\n\t// Allow zero sized segments", "\tq.mu.Lock()\n\n\t// Allow zero sized segments", 1},
	{"pkg/tcpip/transport/tcp/segment_queue.go", "\treturn allow\n", "\tq.mu.Unlock()\n\treturn allow\n", 1},
	{"pkg/tcpip/transport/tcp/connect.go", "\tdefer e.probeSegmentLocked()\n", "", 1}, // nothing sets a probe

	// Connections whose packets are known to be welcome: deps/flow.go.txt.
	{"pkg/tcpip/stack/packet_buffer.go", "\ttuple *tuple\n", "\ttuple *tuple\n\n\tflowEpoch uint32\n", 1},
	{"pkg/tcpip/stack/transport_demuxer.go", "type transportEndpoints struct {\n", "type transportEndpoints struct {\n\tconnections *[flowSlots]atomic.Pointer[connection] // of TCP\n\n", 1},
	{"pkg/tcpip/stack/transport_demuxer.go", "type endpointsByNIC struct {\n", "type endpointsByNIC struct {\n\tflow atomic.Pointer[flow]\n\n", 1},
	{"pkg/tcpip/stack/transport_demuxer.go", "\t\"fmt\"\n", "\t\"fmt\"\n\t\"sync/atomic\"\n", 1},
	{"pkg/tcpip/stack/transport_demuxer.go", "\tqueuedProtocols map[protocolIDs]queuedTransportProtocol\n}", "\tqueuedProtocols map[protocolIDs]queuedTransportProtocol\n\n\ttcp4, tcp6 *transportEndpoints\n}", 1},
	{"pkg/tcpip/stack/transport_demuxer.go", "\t}\n\n\treturn d\n}", "\t}\n\td.tcp4 = d.protocol[protocolIDs{header.IPv4ProtocolNumber, header.TCPProtocolNumber}]\n" +
		"\td.tcp6 = d.protocol[protocolIDs{header.IPv6ProtocolNumber, header.TCPProtocolNumber}]\n\tfor _, eps := range []*transportEndpoints{d.tcp4, d.tcp6} {\n\t\tif eps != nil {\n\t\t\teps.connections = new([flowSlots]atomic.Pointer[connection])\n\t\t}\n\t}\n\n\treturn d\n}", 1},
	{"pkg/tcpip/stack/transport_demuxer.go", "\t\tqueuedProtocol.QueuePacket(transEP, id, pkt)\n", "\t\tepsByNIC.remember(pkt, mpep, transEP, queuedProtocol)\n\t\tqueuedProtocol.QueuePacket(transEP, id, pkt)\n", 1},
	{"pkg/tcpip/stack/transport_demuxer.go", "\tepsByNIC.mu.Lock()\n\tdefer epsByNIC.mu.Unlock()\n", "\tepsByNIC.mu.Lock()\n\tdefer epsByNIC.mu.Unlock()\n\tepsByNIC.drop()\n", 2},
	{"pkg/tcpip/stack/addressable_endpoint_state.go", "\t\taddrState.kind = Temporary\n", "\t\taddrState.kind = Temporary\n\t\tforgetFlows()\n", 1},
	{"pkg/tcpip/stack/addressable_endpoint_state.go", "\t\taddrState.kind = kind\n", "\t\taddrState.kind = kind\n\t\tforgetFlows()\n", 1},
	{"pkg/tcpip/stack/addressable_endpoint_state.go", "\ta.kind = kind\n", "\ta.kind = kind\n\tforgetFlows()\n", 1},
	{"pkg/tcpip/stack/addressable_endpoint_state.go", "\ta.kind = PermanentExpired\n", "\ta.kind = PermanentExpired\n\tforgetFlows()\n", 1},
	{"pkg/tcpip/network/ipv4/ipv4.go", "\t\tstats.DisabledPacketsReceived.Increment()\n\t\treturn\n\t}\n\n\thView, ok := e.protocol.parseAndValidate(pkt)\n", "\t\tstats.DisabledPacketsReceived.Increment()\n\t\treturn\n\t}\n\n\tif stack.DeliverFlow(e.dispatcher, pkt) {\n" +
		"\t\tstats.ValidPacketsReceived.Increment()\n\t\tstats.PacketsDelivered.Increment()\n\t\treturn\n\t}\n\n\thView, ok := e.protocol.parseAndValidate(pkt)\n", 1},
	{"pkg/tcpip/network/ipv6/ipv6.go", "\t\tstats.DisabledPacketsReceived.Increment()\n\t\treturn\n\t}\n\n\thView, ok := e.protocol.parseAndValidate(pkt)\n", "\t\tstats.DisabledPacketsReceived.Increment()\n\t\treturn\n\t}\n\n\tif stack.DeliverFlow(e.dispatcher, pkt) {\n" +
		"\t\tstats.ValidPacketsReceived.Increment()\n\t\tstats.PacketsDelivered.Increment()\n\t\treturn\n\t}\n\n\thView, ok := e.protocol.parseAndValidate(pkt)\n", 1},

	// A segment is the packet that came, which nobody else looks at any more, and has its addresses in its identifier.
	{"pkg/tcpip/transport/tcp/segment.go", "\ts.dataMemSize = pkt.MemSize()\n\ts.pkt = pkt.Clone()\n", "\ts.dataMemSize = pkt.MemSize()\n\ts.pkt = pkt.IncRef()\n", 1},
	{"pkg/tcpip/transport/tcp/segment.go", "\tvar srcAddr tcpip.Address\n\tvar dstAddr tcpip.Address\n\tswitch netProto := pkt.NetworkProtocolNumber; netProto {\n" +
		"\tcase header.IPv4ProtocolNumber:\n\t\thdr := header.IPv4(pkt.NetworkHeader().Slice())\n\t\tsrcAddr = hdr.SourceAddress()\n\t\tdstAddr = hdr.DestinationAddress()\n" +
		"\tcase header.IPv6ProtocolNumber:\n\t\thdr := header.IPv6(pkt.NetworkHeader().Slice())\n\t\tsrcAddr = hdr.SourceAddress()\n\t\tdstAddr = hdr.DestinationAddress()\n" +
		"\tdefault:\n\t\tpanic(fmt.Sprintf(\"unknown network protocol number %d\", netProto))\n\t}\n", "\tsrcAddr, dstAddr := id.RemoteAddress, id.LocalAddress\n", 1},

	// The network protocols of an interface are two.
	{"pkg/tcpip/stack/nic.go", "\tnetworkEndpoints          map[tcpip.NetworkProtocolNumber]NetworkEndpoint\n", "\tip4, ip6                  NetworkEndpoint // as in networkEndpoints\n\tnetworkEndpoints          map[tcpip.NetworkProtocolNumber]NetworkEndpoint\n", 1},
	{"pkg/tcpip/stack/nic.go", "\t\tnic.networkEndpoints[netNum] = netEP\n", "\t\tnic.networkEndpoints[netNum] = netEP\n\t\tswitch netNum {\n\t\tcase header.IPv4ProtocolNumber:\n\t\t\tnic.ip4 = netEP\n\t\tcase header.IPv6ProtocolNumber:\n\t\t\tnic.ip6 = netEP\n\t\t}\n", 1},
	{"pkg/tcpip/stack/nic.go", "\treturn n.networkEndpoints[proto]\n", "\tswitch proto {\n\tcase header.IPv4ProtocolNumber:\n\t\treturn n.ip4\n\tcase header.IPv6ProtocolNumber:\n\t\treturn n.ip6\n\t}\n\treturn n.networkEndpoints[proto]\n", 1},
	{"pkg/tcpip/transport/tcp/endpoint.go", "\tif nic, err := e.stack.GetNICByID(route.OutgoingNIC()); err == nil && nic.GetExperimentIPOptionEnabled() {\n", "\tif e.ops.GetExperimentOptionValue() == 0 {\n\t\treturn 0\n\t}\n\tif nic, err := e.stack.GetNICByID(route.OutgoingNIC()); err == nil && nic.GetExperimentIPOptionEnabled() {\n", 1},

	// A cube.
	{"pkg/tcpip/transport/tcp/cubic.go", "c.C*math.Pow(t, 3.0)", "c.C*t*t*t", 1},

	// The clock is asked where its answer matters, and once for one event. A neighbour that is known to be there is so for half a
	// minute: what confirms that need not set a timer for each segment.
	{"pkg/tcpip/transport/tcp/snd.go", "\tif !s.FastRecovery.Active && s.state != tcpip.RTORecovery && s.ep.stack.Clock()", "\tif s.SndCwnd > InitialCwnd && !s.FastRecovery.Active && s.state != tcpip.RTORecovery && s.ep.stack.Clock()", 1},
	{"pkg/tcpip/transport/tcp/snd.go", "\ts.sendSegmentFromPacketBuffer(pkt, header.TCPFlagAck, s.SndUna-1)\n", "\ts.sendSegmentFromPacketBuffer(pkt, header.TCPFlagAck, s.SndUna-1, s.ep.stack.Clock().NowMonotonic())\n", 1},
	{"pkg/tcpip/transport/tcp/snd.go", "\terr := s.sendSegmentFromPacketBuffer(seg.pkt, seg.flags, seg.sequenceNumber)\n", "\terr := s.sendSegmentFromPacketBuffer(seg.pkt, seg.flags, seg.sequenceNumber, seg.xmitTime)\n", 1},
	{"pkg/tcpip/transport/tcp/snd.go", "sendSegmentFromPacketBuffer(pkt *stack.PacketBuffer, flags header.TCPFlags, seq seqnum.Value) tcpip.Error {\n\ts.LastSendTime = s.ep.stack.Clock().NowMonotonic()\n",
		"sendSegmentFromPacketBuffer(pkt *stack.PacketBuffer, flags header.TCPFlags, seq seqnum.Value, now tcpip.MonotonicTime) tcpip.Error {\n\ts.LastSendTime = now\n", 1},
	{"pkg/tcpip/transport/tcp/timer.go", "func (t *timer) enable(d time.Duration) {\n\tt.target = t.clock.NowMonotonic().Add(d)\n", "func (t *timer) enable(d time.Duration) {\n\tt.enableAt(t.clock.NowMonotonic(), d)\n}\n\n" +
		"func (t *timer) enableAt(now tcpip.MonotonicTime, d time.Duration) {\n\tt.target = now.Add(d)\n", 1},
	{"pkg/tcpip/transport/tcp/rack.go", "\ts.probeTimer.enable(pto)\n}", "\ts.probeTimer.enableAt(now, pto)\n}", 1},
	{"pkg/tcpip/stack/neighbor_entry.go", "\t\"time\"\n\n", "\t\"time\"\n\n\t\"gvisor.dev/gvisor/pkg/atomicbitops\"\n", 1},
	{"pkg/tcpip/stack/neighbor_entry.go", "\tmu neighborEntryMu\n}", "\tconfirmed atomicbitops.Int64 // when the timer was set, by the NUDState's clock\n\n\tmu neighborEntryMu\n}", 1},
	{"pkg/tcpip/stack/neighbor_entry.go", "\t\t\te.mu.timer.timer.Reset(e.nudState.ReachableTime())\n", "\t\t\tnow := int64(e.nudState.clock.NowMonotonic().Sub(tcpip.MonotonicTime{}))\n\t\t\tif now-e.confirmed.Load() < int64(time.Second) {\n\t\t\t\treturn false\n\t\t\t}\n" +
		"\t\t\te.confirmed.Store(now)\n\t\t\te.mu.timer.timer.Reset(e.nudState.ReachableTime())\n", 1},

	// The counters are 1.4 KB of pointers, which were copied twice for each segment.
	{"pkg/tcpip/stack/stack.go", "func (s *Stack) Stats() tcpip.Stats {\n\treturn s.stats\n", "func (s *Stack) Stats() *tcpip.Stats {\n\treturn &s.stats\n", 1},
	{"pkg/tcpip/stack/route.go", "func (r *Route) Stats() tcpip.Stats {\n", "func (r *Route) Stats() *tcpip.Stats {\n", 1},
	{"pkg/tcpip/network/ipv4/ipv4.go", "\tstats := e.stats.ip\n", "\tstats := &e.stats.ip\n", 5},
	{"pkg/tcpip/network/ipv6/ipv6.go", "\tstats := e.stats.ip\n", "\tstats := &e.stats.ip\n", 11},
	{"pkg/tcpip/network/ipv6/ipv6.go", "stats ip.MultiCounterIPStats) bool {", "stats *ip.MultiCounterIPStats) bool {", 1},

	// A segment knows whether it is in the list of those to send, which has it in a map otherwise.
	{"pkg/tcpip/transport/tcp/snd.go", "\tset       map[*segment]struct{}\n", "", 1},
	{"pkg/tcpip/transport/tcp/snd.go", "\t\t\tset: make(map[*segment]struct{}),\n", "", 1},
	{"pkg/tcpip/transport/tcp/snd.go", "if _, ok := wl.set[seg]; !ok {", "if !seg.listed {", 1},
	{"pkg/tcpip/transport/tcp/snd.go", "if _, ok := wl.set[seg]; ok {", "if seg.listed {", 2},
	{"pkg/tcpip/transport/tcp/snd.go", "\tdelete(wl.set, seg)\n", "\tseg.listed = false\n", 1},
	{"pkg/tcpip/transport/tcp/snd.go", "\twl.set[seg] = struct{}{}\n", "\tseg.listed = true\n", 2},
	{"pkg/tcpip/transport/tcp/snd.go", "if _, ok := s.writeList.set[seg]; !ok {", "if !seg.listed {", 1},
	{"pkg/tcpip/transport/tcp/segment.go", "\t// lost indicates if the segment is marked as lost by RACK.\n", "\tlisted bool // in protectedWriteList\n\n\t// lost indicates if the segment is marked as lost by RACK.\n", 1},

	// The clock is asked once in a turn: deps/turn.go.txt.
	{"pkg/tcpip/transport/tcp/endpoint.go", "\tdelack delayedAck\n", "\tdelack delayedAck\n\n\tturn, confirmed tcpip.MonotonicTime\n\tfresh           bool // turn is now, and no segment has gone out\n", 1},
	{"pkg/tcpip/transport/tcp/connect.go", "func (e *Endpoint) handleSegmentsLocked() tcpip.Error {\n", "func (e *Endpoint) handleSegmentsLocked() tcpip.Error {\n\terr := e.handleSegmentsInTurns()\n\te.endTurn()\n\treturn err\n}\n\n// +checklocks:e.mu\nfunc (e *Endpoint) handleSegmentsInTurns() tcpip.Error {\n", 1},
	{"pkg/tcpip/transport/tcp/connect.go", "\t\tcont, err := e.handleSegmentLocked(s)\n", "\t\te.startTurn()\n\t\tcont, err := e.handleSegmentLocked(s)\n", 1},
	{"pkg/tcpip/transport/tcp/connect.go", "\t\te.route.ConfirmReachable()\n\t}\n\n", "\t\te.confirmReachable()\n\t}\n\n", 1},
	{"pkg/tcpip/transport/tcp/connect.go", "e.keepalive.timer.enable(e.keepalive.interval)", "e.keepalive.timer.enableAt(e.now(), e.keepalive.interval)", 1},
	{"pkg/tcpip/transport/tcp/connect.go", "e.keepalive.timer.enable(e.keepalive.idle)", "e.keepalive.timer.enableAt(e.now(), e.keepalive.idle)", 1},
	{"pkg/tcpip/transport/tcp/endpoint.go", "\treturn e.tsVal(e.stack.Clock().NowMonotonic())\n", "\treturn e.tsVal(e.now())\n", 1},
	{"pkg/tcpip/transport/tcp/snd.go", "\tif s.SndCwnd > InitialCwnd && !s.FastRecovery.Active && s.state != tcpip.RTORecovery && s.ep.stack.Clock().NowMonotonic()", "\tturn := s.writeNext != nil && s.ep.turn == (tcpip.MonotonicTime{})\n\tif turn {\n\t\ts.ep.startTurn()\n\t}\n\tif s.writeNext != nil && s.SndCwnd > InitialCwnd && !s.FastRecovery.Active && s.state != tcpip.RTORecovery && s.ep.now()", 1},
	{"pkg/tcpip/transport/tcp/snd.go", "\ts.postXmit(dataSent, true /* shouldScheduleProbe */)\n}\n", "\ts.postXmit(dataSent, true /* shouldScheduleProbe */)\n\tif turn {\n\t\ts.ep.endTurn()\n\t}\n}\n", 1},
	// When a segment went out must be right: from times that are too early follow losses that are none (RFC 8985).
	{"pkg/tcpip/transport/tcp/snd.go", "\tseg.xmitTime = s.ep.stack.Clock().NowMonotonic()\n", "\tif s.ep.turn == (tcpip.MonotonicTime{}) {\n\t\tdefer s.ep.endTurn()\n\t}\n\ts.ep.startTurn()\n\tseg.xmitTime = s.ep.turn\n", 1},
	{"pkg/tcpip/transport/tcp/snd.go", "\ts.LastSendTime = s.ep.stack.Clock().NowMonotonic()\n", "\ts.LastSendTime = s.ep.now()\n", 1},
	{"pkg/tcpip/transport/tcp/rack.go", "\tnow := s.ep.stack.Clock().NowMonotonic()\n", "\tnow := s.ep.now()\n", 1},
	{"pkg/tcpip/transport/tcp/cubic.go", "\telapsed := c.s.ep.stack.Clock().NowMonotonic().Sub(c.T)\n", "\telapsed := c.s.ep.now().Sub(c.T)\n", 1},
	{"pkg/tcpip/transport/tcp/segment.go", "\ts.id = id\n\ts.rcvdTime = clock.NowMonotonic()\n\ts.pkt = stack.New", "\ts.id = id\n\ts.pkt = stack.New", 1},

	// When all is acknowledged, no timer waits for more.
	{"pkg/tcpip/transport/tcp/snd.go", "\t\tif s.shouldSchedulePTO() {\n\t\t\t// Schedule PTO upon", "\t\tif ack == s.SndNxt {\n\t\t\t// They are stopped below.\n\t\t} else if s.shouldSchedulePTO() {\n\t\t\t// Schedule PTO upon", 1},

	// A stream's data is read, and its window moderated, at once, and without a result of 300 bytes: deps/turn.go.txt.
	{"pkg/tcpip/transport/tcp/endpoint.go", "opts tcpip.ReadOptions) (tcpip.ReadResult, tcpip.Error) {\n\te.LockUser()\n\tdefer e.UnlockUser()\n", "opts tcpip.ReadOptions) (tcpip.ReadResult, tcpip.Error) {\n\tn, err := e.readStream(dst, opts.Peek, false)\n\treturn tcpip.ReadResult{Count: n, Total: n}, err\n}\n\nfunc (e *Endpoint) readStream(dst io.Writer, peek, moderate bool) (int, tcpip.Error) {\n\te.LockUser()\n\tdefer e.UnlockUser()\n", 1},
	{"pkg/tcpip/transport/tcp/endpoint.go", "\t\treturn tcpip.ReadResult{}, err\n\t}\n\n\tvar err error\n", "\t\treturn 0, err\n\t}\n\n\tvar err error\n", 1},
	{"pkg/tcpip/transport/tcp/endpoint.go", "s.ReadTo(dst, opts.Peek)", "s.ReadTo(dst, peek)", 1},
	{"pkg/tcpip/transport/tcp/endpoint.go", "\t\tif opts.Peek {\n\t\t\ts = s.Next()\n", "\t\tif peek {\n\t\t\ts = s.Next()\n", 1},
	{"pkg/tcpip/transport/tcp/endpoint.go", "\t\treturn tcpip.ReadResult{}, &tcpip.ErrBadBuffer{}\n\t}\n\treturn tcpip.ReadResult{\n\t\tCount: done,\n\t\tTotal: done,\n\t}, nil\n", "\t\treturn 0, &tcpip.ErrBadBuffer{}\n\t}\n\tif moderate {\n\t\te.moderateLocked(done)\n\t}\n\treturn done, nil\n", 1},
	{"pkg/tcpip/transport/tcp/endpoint.go", "func (e *Endpoint) ModerateRecvBuf(copied int) {\n\te.LockUser()\n\tdefer e.UnlockUser()\n\n", "func (e *Endpoint) ModerateRecvBuf(copied int) {\n\te.LockUser()\n\tdefer e.UnlockUser()\n\te.moderateLocked(copied)\n}\n\nfunc (e *Endpoint) moderateLocked(copied int) {\n", 1},

	// A connection has room for the options of its next segment.
	{"pkg/tcpip/transport/tcp/endpoint.go", "\tturn, confirmed tcpip.MonotonicTime\n", "\tturn, confirmed tcpip.MonotonicTime\n\n\toptions [maxOptionSize]byte\n", 1},
	{"pkg/tcpip/transport/tcp/connect.go", "\toptions := getOptions()\n\toffset := 0\n\n\t// N.B. the ordering here matches the ordering used by Linux internally\n\t// and described in the raw makeOptions", "\toptions := e.options[:]\n\toffset := 0\n\n\t// N.B. the ordering here matches the ordering used by Linux internally\n\t// and described in the raw makeOptions", 1},
	{"pkg/tcpip/transport/tcp/connect.go", "\tdefer putOptions(options)\n", "", 1},
	{"pkg/tcpip/transport/tcp/endpoint.go", "\tsize = len(options)\n\tputOptions(options)\n", "\tsize = len(options)\n", 1},

	// The size of a header is known without looking for its bytes, and addresses are numbers.
	{"pkg/tcpip/stack/packet_buffer.go", "// Push pushes size bytes in the front of its residing", "// Size is that of the header.\nfunc (h PacketHeader) Size() int { return h.pk.headers[h.typ].length }\n\n// Push pushes size bytes in the front of its residing", 1},
	{"pkg/tcpip/network/ipv4/ipv4.go", "uint32(len(pkt.NetworkHeader().Slice()))", "uint32(pkt.NetworkHeader().Size())", 1},
	{"pkg/tcpip/network/ipv4/ipv4.go", "\tpayload := len(pkt.TransportHeader().Slice()) + pkt.Data().Size()\n", "\tpayload := pkt.TransportHeader().Size() + pkt.Data().Size()\n", 1},
	{"pkg/tcpip/network/ipv6/ipv6.go", "uint32(len(pkt.NetworkHeader().Slice()))", "uint32(pkt.NetworkHeader().Size())", 1},
	{"pkg/tcpip/network/ipv6/ipv6.go", "\tpayload := len(pkt.TransportHeader().Slice()) + pkt.Data().Size()\n", "\tpayload := pkt.TransportHeader().Size() + pkt.Data().Size()\n", 1},
	{"pkg/tcpip/header/ipv4.go", "\tcopy(b[srcAddr:srcAddr+IPv4AddressSize], i.SrcAddr.AsSlice())\n", "\tif i.SrcAddr.Len() == IPv4AddressSize {\n\t\t*(*[IPv4AddressSize]byte)(b[srcAddr:]) = i.SrcAddr.As4()\n\t}\n", 1},
	{"pkg/tcpip/header/ipv4.go", "\tcopy(b[dstAddr:dstAddr+IPv4AddressSize], i.DstAddr.AsSlice())\n", "\tif i.DstAddr.Len() == IPv4AddressSize {\n\t\t*(*[IPv4AddressSize]byte)(b[dstAddr:]) = i.DstAddr.As4()\n\t}\n", 1},

	// Segments of a connection go the short way out: deps/shortcut.go.txt, deps/head.go.txt.
	{"pkg/tcpip/network/ipv4/ipv4.go", "func (e *endpoint) WritePacket(r *stack.Route", sentCounter + "func (e *endpoint) WritePacket(r *stack.Route", 1},
	{"pkg/tcpip/network/ipv6/ipv6.go", "func (e *endpoint) WritePacket(r *stack.Route", sentCounter + "func (e *endpoint) WritePacket(r *stack.Route", 1},
	{"pkg/tcpip/transport/tcp/endpoint.go", "\tturn, confirmed tcpip.MonotonicTime\n", "\tturn, confirmed tcpip.MonotonicTime\n\n\thead head\n", 1},
	{"pkg/tcpip/transport/tcp/connect.go", "func (e *Endpoint) sendRaw(", "func (e *Endpoint) sendLong(", 1},
	{"pkg/tcpip/transport/tcp/snd.go", "\ts.ep.sentData(s.LastSendTime)\n", "\ts.ep.sentData(s.LastSendTime)\n\tif s.ep.sendHead(pkt, flags, seq, rcvNxt, rcvWnd) {\n\t\treturn nil\n\t}\n", 1},
	{"pkg/tcpip/transport/tcp/snd.go", "\treturn s.ep.sendEmptyRaw(flags, seq, rcvNxt, rcvWnd)\n", "\tif flags == header.TCPFlagAck && s.ep.sendHead(nil, flags, seq, rcvNxt, rcvWnd) {\n\t\treturn nil\n\t}\n\treturn s.ep.sendEmptyRaw(flags, seq, rcvNxt, rcvWnd)\n", 1},

	// The time of a segment is that of its turn, and a turn that begins with sending has asked the clock for its first segment.
	{"pkg/tcpip/transport/tcp/connect.go", "\t\te.startTurn()\n\t\tcont, err := e.handleSegmentLocked(s)\n", "\t\te.turnAt(s.rcvdTime)\n\t\tcont, err := e.handleSegmentLocked(s)\n", 1},
	{"pkg/tcpip/transport/tcp/snd.go", "\ts.ep.startTurn()\n\tseg.xmitTime = s.ep.turn\n", "\tseg.xmitTime = s.ep.sendTime()\n", 1},

	// The samples of the round-trip time are weighed by integers (RFC 7323, appendix G): floating point is not the processor's own work under emulation.
	{"pkg/tcpip/transport/tcp/snd.go", "\t\t\texpectedSamples := math.Ceil(float64(s.Outstanding) / 2)\n", "\t\t\texpectedSamples := time.Duration(s.Outstanding+1) / 2\n", 1},
	{"pkg/tcpip/transport/tcp/snd.go", "\t\t\tconst alpha = 0.125\n\t\t\tconst beta = 0.25\n\n\t\t\talphaPrime := alpha / expectedSamples\n\t\t\tbetaPrime := beta / expectedSamples\n" +
		"\t\t\trttVar := (1-betaPrime)*s.rtt.TCPRTTState.RTTVar.Seconds() + betaPrime*diff.Seconds()\n\t\t\tsrtt := (1-alphaPrime)*s.rtt.TCPRTTState.SRTT.Seconds() + alphaPrime*rtt.Seconds()\n" +
		"\t\t\ts.rtt.TCPRTTState.RTTVar = time.Duration(rttVar * float64(time.Second))\n\t\t\ts.rtt.TCPRTTState.SRTT = time.Duration(srtt * float64(time.Second))\n",
		"\t\t\tconst alpha, beta = 8, 4 // their reciprocals\n\n\t\t\ts.rtt.TCPRTTState.RTTVar += (diff - s.rtt.TCPRTTState.RTTVar) / (beta * expectedSamples)\n" +
			"\t\t\ts.rtt.TCPRTTState.SRTT += (rtt - s.rtt.TCPRTTState.SRTT) / (alpha * expectedSamples)\n", 1},

	// Mostly a segment is one packet, and there is nothing to send when one comes.
	{"pkg/tcpip/transport/tcp/snd.go", "\tif size == 0 {\n\t\treturn 1\n\t}\n\n\treturn (size-1)/maxPayloadSize + 1\n", "\tif size <= maxPayloadSize {\n\t\treturn 1\n\t}\n\n\treturn (size-1)/maxPayloadSize + 1\n", 1},
	{"pkg/tcpip/transport/tcp/snd.go", "func (s *sender) sendData() {\n", "func (s *sender) sendData() {\n\tif s.writeNext == nil {\n\t\ts.postXmit(false, true)\n\t\treturn\n\t}\n", 1},
	{"pkg/tcpip/transport/tcp/connect.go", "func (e *Endpoint) resetKeepaliveTimer(receivedData bool) {\n\te.keepalive.Lock()\n\tdefer e.keepalive.Unlock()\n",
		"func (e *Endpoint) resetKeepaliveTimer(receivedData bool) {\n\te.keepalive.Lock()\n\te.resetKeepaliveLocked(receivedData)\n\te.keepalive.Unlock()\n}\n\nfunc (e *Endpoint) resetKeepaliveLocked(receivedData bool) {\n", 1},

	// Mostly a timestamp is the only option, and the checksum is known to be good.
	{"pkg/tcpip/header/tcp.go", "\topts := TCPOptions{}\n\tlimit := len(b)\n\tfor i := 0; i < limit; {\n\t\tswitch b[i] {\n\t\tcase TCPOptionEOL:\n\t\t\ti = limit\n\t\tcase TCPOptionNOP:\n\t\t\ti++\n\t\tcase TCPOptionTS:\n",
		"\tif len(b) == 12 && binary.BigEndian.Uint32(b) == TCPOptionNOP<<24|TCPOptionNOP<<16|TCPOptionTS<<8|TCPOptionTSLength {\n\t\treturn TCPOptions{TS: true, TSVal: binary.BigEndian.Uint32(b[4:]), TSEcr: binary.BigEndian.Uint32(b[8:])}\n\t}\n" +
			"\topts := TCPOptions{}\n\tlimit := len(b)\n\tfor i := 0; i < limit; {\n\t\tswitch b[i] {\n\t\tcase TCPOptionEOL:\n\t\t\ti = limit\n\t\tcase TCPOptionNOP:\n\t\t\ti++\n\t\tcase TCPOptionTS:\n", 1},

	// Data that lies in one piece needs no copy of the piece's description, and what is written goes into the buffer at once.
	{"pkg/buffer/buffer.go", "// PullUp makes the specified range", "// Only is what is behind offset in a buffer of one view; nil if it has more, or none.\nfunc (b *Buffer) Only(offset int) []byte {\n" +
		"\tv := b.data.Front()\n\tif v == nil || v != b.data.Back() || v.read+offset >= v.write {\n\t\treturn nil\n\t}\n\treturn v.chunk.data[v.read+offset : v.write]\n}\n\n" +
		"// Fill appends count bytes that it reads, or what there is.\nfunc (b *Buffer) Fill(r io.Reader, count int) error {\n\tfor count > 0 {\n\t\tv := NewView(min(count, MaxChunkSize))\n\t\tn, err := r.Read(v.chunk.data[:min(count, MaxChunkSize)])\n" +
		"\t\tv.write = n\n\t\tb.Append(v)\n\t\tif count -= n; err == io.EOF || err == nil && n == 0 {\n\t\t\treturn nil\n\t\t}\n\t\tif err != nil {\n\t\t\treturn err\n\t\t}\n\t}\n\treturn nil\n}\n\n// PullUp makes the specified range", 1},
	{"pkg/tcpip/stack/packet_buffer.go", "\toffset := d.pk.dataOffset()\n\td.pk.buf.SubApply(offset, int(d.pk.buf.Size())-offset, func(v *buffer.View) {\n\t\tif err != nil {\n", "\toffset := d.pk.dataOffset()\n\tif b := d.pk.buf.Only(offset); b != nil {\n\t\tdone, err = dst.Write(b)\n\t\tif !peek {\n\t\t\td.pk.buf.TrimFront(int64(done))\n\t\t}\n\t\treturn done, err\n\t}\n" +
		"\td.pk.buf.SubApply(offset, int(d.pk.buf.Size())-offset, func(v *buffer.View) {\n\t\tif err != nil {\n", 1},
	{"pkg/tcpip/transport/tcp/endpoint.go", "\tif _, err := payload.WriteFromReaderAndLimitedReader(p, int64(avail), limRdr); err != nil {\n", "\tif err := payload.Fill(p, avail); err != nil {\n", 1},
	{"pkg/tcpip/transport/tcp/endpoint.go", "\tlimRdr := e.limRdr\n\tif !opts.Atomic {\n\t\tdefer func() {\n\t\t\te.limRdr = limRdr\n\t\t}()\n\t\te.limRdr = nil\n\n", "\tif !opts.Atomic {\n", 1},

	// Short functions can be inlined.
	{"pkg/sync/rwmutex_unsafe.go", "\tif r := atomic.AddInt32(&rw.readerCount, -1); r < 0 {\n\t\tif r+1 == 0",
		"\tr := atomic.AddInt32(&rw.readerCount, -1)\n\tif RaceEnabled {\n\t\tRaceEnable()\n\t}\n\tif r < 0 {\n\t\trw.lastReader(r)\n\t}\n}\n\n" +
			"func (rw *CrossGoroutineRWMutex) lastReader(r int32) {\n\tif RaceEnabled {\n\t\tRaceDisable()\n\t}\n\t{\n\t\tif r+1 == 0", 1},
	{"pkg/refs/refs_map.go", "func Register(obj CheckedObject) {\n\tif LeakCheckEnabled() {", "func Register(obj CheckedObject) {\n\tif leakChecks && LeakCheckEnabled() {", 1},
	{"pkg/refs/refs_map.go", "func Unregister(obj CheckedObject) {\n\tif LeakCheckEnabled() {", "const leakChecks = false\n\nfunc Unregister(obj CheckedObject) {\n\tif leakChecks && LeakCheckEnabled() {", 1},
}
