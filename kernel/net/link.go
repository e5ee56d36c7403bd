package net

import (
	"encoding/binary"
	"sync"
	"sync/atomic"

	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/stack/gro"

	virtio "gosv/kernel/dev/virtio/net"
	"gosv/kernel/frame"
	"gosv/kernel/mm"
)

// txQueueLen is how many packets wait for room in a device's queue, as Linux's
// txqueuelen; more are dropped.
const txQueueLen = 1000

// link is a stack.LinkEndpoint over a network device, and the device's Stack.
type link struct {
	nic     *nic
	dev     *virtio.Device
	mac     tcpip.LinkAddress
	station [header.EthernetAddressSize]byte // mac as well
	mtu     atomic.Uint32
	gso     stack.SupportedGSO
	tx      []backlog
	rx      []inbound
	up      atomic.Bool
	disp    atomic.Pointer[dispatcher]

	unsent atomic.Uint32 // queues with packets that the device was not told of

	stats struct {
		rxPackets, rxBytes, txPackets, txBytes     atomic.Uint64
		badChecksums, otherHost, multicast, noRoom atomic.Uint64
		noMemory                                   atomic.Uint64
	}
}

type dispatcher struct{ stack.NetworkDispatcher }

// backlog are the packets that wait for room in a transmit queue.
type backlog struct {
	mu      sync.Mutex // guards what follows, and the order of the queue
	packets []*stack.PacketBuffer
	first   int // in packets
}

// inbound is the state of a receive queue, used by its goroutine.
type inbound struct{ gro gro.GRO }

func newLink(dev *virtio.Device) *link {
	mac, queues := dev.MAC(), dev.MaxQueues()
	l := &link{dev: dev, mac: tcpip.LinkAddress(mac[:]), station: mac, tx: make([]backlog, queues), rx: make([]inbound, queues)}
	l.mtu.Store(uint32(dev.MTU()))
	l.gso = stack.GVisorGSOSupported
	if dev.Segments() {
		l.gso = stack.HostGSOSupported
	}
	for i := range l.rx {
		l.rx[i].gro.Init(!dev.Joins())
	}
	flushed(l)
	return l
}

// MTU is the largest IP packet.
func (l *link) MTU() uint32 { return l.mtu.Load() }

// SetMTU sets it, to at most what the device has.
func (l *link) SetMTU(mtu uint32) { l.mtu.Store(min(mtu, uint32(l.dev.MTU()))) }

// MaxHeaderLength is that of Ethernet.
func (*link) MaxHeaderLength() uint16 { return header.EthernetMinimumSize }

// LinkAddress is the MAC.
func (l *link) LinkAddress() tcpip.LinkAddress { return l.mac }

// SetLinkAddress does nothing: the MAC is the device's.
func (*link) SetLinkAddress(tcpip.LinkAddress) {}

// Capabilities says that packets come verified: by the device, or by verify.
// Checksums of packets that are sent are left to the device only with
// segmentation: others may be fragments, and are small.
func (*link) Capabilities() stack.LinkEndpointCapabilities {
	return stack.CapabilityResolutionRequired | stack.CapabilityRXChecksumOffload
}

// GSOMaxSize is the largest IP packet that is handed over to be cut.
func (*link) GSOMaxSize() uint32 { return 65535 - header.EthernetMinimumSize }

// SupportedGSO says who cuts.
func (l *link) SupportedGSO() stack.SupportedGSO { return l.gso }

// Attach sets the stack's side.
func (l *link) Attach(d stack.NetworkDispatcher) {
	if d == nil {
		l.disp.Store(nil)
		return
	}
	l.disp.Store(&dispatcher{d})
}

// IsAttached reports whether there is a stack.
func (l *link) IsAttached() bool { return l.disp.Load() != nil }

// Wait has nothing to wait for.
func (*link) Wait() {}

// ARPHardwareType is Ethernet.
func (*link) ARPHardwareType() header.ARPHardwareType { return header.ARPHardwareEther }

// AddHeader adds the Ethernet header.
func (*link) AddHeader(pkt *stack.PacketBuffer) {
	b := header.Ethernet(pkt.LinkHeader().Push(header.EthernetMinimumSize))
	src, dst := pkt.EgressRoute.LocalLinkAddress, pkt.EgressRoute.RemoteLinkAddress
	const size = header.EthernetAddressSize
	if len(src) == size && len(dst) == size { // copies of a known size need no call
		copy(b[:size], dst[:size])
		copy(b[size:2*size], src[:size])
		binary.BigEndian.PutUint16(b[2*size:], uint16(pkt.NetworkProtocolNumber))
		return
	}
	b.Encode(&header.EthernetFields{SrcAddr: src, DstAddr: dst, Type: pkt.NetworkProtocolNumber})
}

// ParseHeader finds the Ethernet header.
func (*link) ParseHeader(pkt *stack.PacketBuffer) bool {
	_, ok := pkt.LinkHeader().Consume(header.EthernetMinimumSize)
	return ok
}

// Close does nothing: NICs stay.
func (*link) Close() {}

// SetOnCloseAction likewise.
func (*link) SetOnCloseAction(func()) {}

// WritePacket sends a packet, or lets it wait for room: a link is its own stack.QueueingDiscipline.
func (l *link) WritePacket(pkt *stack.PacketBuffer) tcpip.Error {
	q, err := l.write(pkt)
	if err == nil && !l.hold(1<<q, 1) {
		l.dev.Kick(q)
	}
	return err
}

// WritePackets does so with several.
func (l *link) WritePackets(list stack.PacketBufferList) (int, tcpip.Error) {
	n := 0
	kick := uint32(0)
	var err tcpip.Error
	for _, pkt := range list.AsSlice() {
		q, e := l.write(pkt)
		if e != nil {
			err = e
			continue
		}
		kick |= 1 << q
		n++
	}
	if n > 0 {
		if err = nil; !l.hold(kick, n) {
			l.kick(kick)
		}
	}
	return n, err
}

// write sends a packet on a queue without telling the device. If there is no room, the packet waits for it.
func (l *link) write(pkt *stack.PacketBuffer) (q int, err tcpip.Error) {
	if n := l.dev.Queues(); n > 1 {
		q = int(pkt.Hash) % n
	}
	b := &l.tx[q]
	b.mu.Lock()
	switch {
	case b.first == len(b.packets) && l.send(q, pkt):
	case len(b.packets)-b.first < txQueueLen:
		b.packets = append(b.packets, pkt.IncRef())
	default:
		l.stats.noRoom.Add(1)
		err = &tcpip.ErrNoBufferSpace{}
	}
	b.mu.Unlock()
	return q, err
}

// WriteHeaded sends a frame whose headers and data are apart, as a connection's segments come by the short way; see
// host/mkkernel/deps/shortcut.go.txt. The data is size bytes behind skip. It reports whether there was room and nothing waits.
func (l *link) WriteHeaded(hash uint32, head []byte, gso *stack.GSO, data buffer.ViewList, skip, size int) bool {
	q := 0
	if n := l.dev.Queues(); n > 1 {
		q = int(hash) % n
	}
	b := &l.tx[q]
	b.mu.Lock()
	ok := b.first == len(b.packets)
	if ok {
		h := offload(gso, len(head), size)
		var f *virtio.Frame
		if f, ok = l.dev.Begin(q, len(head)+size, &h); ok {
			f.Write(head)
			write(f, data, skip)
			f.End()
		}
	}
	b.mu.Unlock()
	if !ok {
		return false
	}
	l.stats.txPackets.Add(1)
	l.stats.txBytes.Add(uint64(len(head) + size))
	if !l.hold(1<<q, 1) {
		l.dev.Kick(q)
	}
	return true
}

// offload is what the device is to do for a frame with so many bytes of headers and of data.
func offload(o *stack.GSO, head, size int) (h virtio.Header) {
	if o.Type == stack.GSONone || !o.NeedsCsum {
		return h
	}
	h.Flags = virtio.NeedsCsum
	h.CsumStart = header.EthernetMinimumSize + o.L3HdrLen
	h.CsumOffset = o.CsumOffset
	if size > int(o.MSS) {
		h.GSOType = virtio.GSOTCPv4
		if o.Type == stack.GSOTCPv6 {
			h.GSOType = virtio.GSOTCPv6
		}
		h.GSOSize = o.MSS
		h.HdrLen = uint16(head)
	}
	return h
}

// write adds what is in the views behind skip.
func write(f *virtio.Frame, views buffer.ViewList, skip int) {
	for v := views.Front(); v != nil; v = v.Next() {
		b := v.AsSlice()
		if skip >= len(b) {
			skip -= len(b)
			continue
		}
		f.Write(b[skip:])
		skip = 0
	}
}

// send copies a packet into the device's memory. It reports whether there was
// room.
func (l *link) send(q int, pkt *stack.PacketBuffer) bool {
	h := offload(&pkt.GSOOptions, pkt.HeaderSize(), pkt.Data().Size())
	f, ok := l.dev.Begin(q, pkt.Size(), &h)
	if !ok {
		return false
	}
	views, skip := pkt.AsViewList()
	write(f, views, skip)
	f.End()
	l.stats.txPackets.Add(1)
	l.stats.txBytes.Add(uint64(pkt.Size()))
	return true
}

// Room sends what waits.
func (l *link) Room(q int) {
	b := &l.tx[q]
	b.mu.Lock()
	sent := false
	for b.first < len(b.packets) && l.send(q, b.packets[b.first]) {
		b.packets[b.first].DecRef()
		b.packets[b.first] = nil
		b.first++
		sent = true
	}
	if b.first == len(b.packets) {
		b.packets, b.first = b.packets[:0], 0
	} else if b.first >= txQueueLen {
		n := copy(b.packets, b.packets[b.first:])
		clear(b.packets[n:])
		b.packets, b.first = b.packets[:n], 0
	}
	b.mu.Unlock()
	if sent {
		l.dev.Kick(q)
	}
}

// Link notes whether there is a carrier.
func (l *link) Link(up bool) {
	if l.up.Swap(up) != up {
		changed()
	}
}

// Receive hands a frame to the stack.
func (l *link) Receive(q int, h virtio.Header, pieces [][]byte) {
	d := l.disp.Load()
	if d == nil {
		return
	}
	eth := header.Ethernet(pieces[0])
	kind := tcpip.PacketHost
	switch dst := eth[:header.EthernetAddressSize]; {
	case dst[0]&1 == 0:
		if [header.EthernetAddressSize]byte(dst) != l.station {
			l.stats.otherHost.Add(1)
			return
		}
	case string(dst) == string(header.EthernetBroadcastAddress):
		kind = tcpip.PacketBroadcast
	default:
		kind = tcpip.PacketMulticast
		l.stats.multicast.Add(1)
	}
	proto := eth.Type()
	if h.Flags&(virtio.NeedsCsum|virtio.DataValid) == 0 && !verify(proto, pieces) {
		l.stats.badChecksums.Add(1)
		return
	}
	if l.intercept(eth, proto, pieces) {
		return
	}
	if frame.Scarce() && l.noMemory(pieces) {
		return
	}
	var payload buffer.Buffer
	for _, p := range pieces {
		if len(p) > 0 {
			payload.Append(buffer.NewViewWithData(p)) //nolint:errcheck // it fails only for a nil view
		}
	}
	l.stats.rxPackets.Add(1)
	l.stats.rxBytes.Add(uint64(payload.Size()))
	pkt := stack.NewPacketBuffer(stack.PacketBufferOptions{Payload: payload})
	pkt.LinkHeader().Consume(header.EthernetMinimumSize)
	pkt.PktType = kind
	pkt.NetworkProtocolNumber = proto
	pkt.RXChecksumValidated = true
	in := &l.rx[q]
	in.gro.Dispatcher = d
	if h.GSOType != virtio.GSONone {
		// Joined by the device already; what came before goes first.
		in.gro.Flush()
		d.DeliverNetworkPacket(proto, pkt)
	} else {
		in.gro.Enqueue(pkt)
	}
	pkt.DecRef()
}

// noMemory drops a packet that brings data while memory is scarce; one without data may let data go that waits for an
// acknowledgement.
func (l *link) noMemory(pieces [][]byte) bool {
	mm.RelieveSoon()
	const withoutData = 128
	if len(pieces) == 1 && len(pieces[0]) <= withoutData && !frame.Critical() {
		return false
	}
	l.stats.noMemory.Add(1)
	return true
}

// Flush ends a batch.
func (l *link) Flush(q int) {
	if l.rx[q].gro.Dispatcher != nil {
		l.rx[q].gro.Flush()
	}
}

// count is what the interface has carried, in Linux's terms.
func (l *link) count() Stats {
	d := &l.dev.Counters
	return Stats{
		RxPackets: l.stats.rxPackets.Load(), RxBytes: l.stats.rxBytes.Load(),
		TxPackets: l.stats.txPackets.Load(), TxBytes: l.stats.txBytes.Load(),
		RxErrors: l.stats.badChecksums.Load() + d.RxDropped.Load(), RxDropped: l.stats.otherHost.Load() + l.stats.noMemory.Load(),
		TxErrors: d.TxDropped.Load(), TxDropped: l.stats.noRoom.Load(),
		Multicast: l.stats.multicast.Load(),
	}
}

// intercept gives the DHCP clients what is theirs.
func (l *link) intercept(eth header.Ethernet, proto tcpip.NetworkProtocolNumber, pieces [][]byte) bool {
	port, at := clientPort(proto, eth)
	if port != dhcp4Client && port != dhcp6Client || len(pieces) > 1 {
		return false
	}
	g := datagram{eth.SourceAddress(), append([]byte(nil), eth[at:]...)}
	switch c4, c6 := l.nic.client4.Load(), l.nic.client6.Load(); {
	case c4 != nil && port == dhcp4Client && proto == header.IPv4ProtocolNumber:
		c4.box.put(g)
	case c6 != nil && port == dhcp6Client && proto == header.IPv6ProtocolNumber:
		c6.box.put(g)
	default:
		return false
	}
	return true
}
