package net

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"math/rand"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/adapters/gonet"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv6"
	"gvisor.dev/gvisor/pkg/tcpip/stack"

	virtiobus "gosv/kernel/dev/virtio"
	driver "gosv/kernel/dev/virtio/net"
	"gosv/kernel/dev/virtio/virtiotest"
)

// Feature bits of VIRTIO 1.2, section 5.1.3.
const (
	offerPlain = 1 << 5
	offerAll   = 1<<0 | 1<<1 | 1<<5 | 1<<7 | 1<<8 | 1<<11 | 1<<12 | 1<<15 | virtiobus.FeatureEventIdx | virtiobus.FeatureIndirectDesc
)

// host is a stack with a NIC on a wire.
type host struct {
	stack *stack.Stack
	link  *link
	fake  *virtiotest.Device
	rxMu  sync.Mutex         // guards what follows, and the receive ring
	spare []virtiotest.Chain // taken off the ring, but too few for a frame
	queue [][]byte           // what waits for buffers
}

// newWire makes two hosts, 10.0.0.1 and fd00::1, 10.0.0.2 and fd00::2. change may
// alter or drop frames.
func newWire(t *testing.T, offer uint64, change func(frame []byte) []byte) [2]*host {
	t.Helper()
	var hosts [2]*host
	for i := range hosts {
		h := &host{stack: newStack(), fake: &virtiotest.Device{ID: virtiobus.IDNet, Offer: offer, QueueMax: []uint16{256, 256}}}
		h.fake.Config = []byte{0x52, 0x54, 0, 0, 0, byte(1 + i), 1, 0, 1, 0, 0xdc, 5}
		peer := 1 - i
		var txMu sync.Mutex
		h.fake.OnNotify = func(q int) {
			if q != 1 {
				h.deliver(nil)
				return
			}
			txMu.Lock()
			defer txMu.Unlock()
			for ring := h.fake.Ring(1); ring != nil; {
				c, ok := ring.Pop()
				if !ok {
					ring.Interrupt()
					return
				}
				frame := c.Bytes()
				ring.Push(c.Head, 0)
				if change != nil {
					frame = change(frame)
				}
				if frame != nil {
					hosts[peer].deliver(frame)
				}
			}
		}
		hosts[i] = h
	}
	for i, h := range hosts {
		dev, err := driver.Open(h.fake, driver.Options{Buffers: 64, Pairs: 1})
		if err != nil {
			t.Fatal(err)
		}
		h.link = newLink(dev)
		h.link.nic = &nic{link: h.link}
		must(h.stack.CreateNICWithOptions(2, h.link, stack.NICOptions{Name: "eth0", QDisc: h.link, Disabled: true}))
		ep, _ := h.stack.GetNetworkEndpoint(2, ipv6.ProtocolNumber)
		ep.(stack.DuplicateAddressDetector).SetDADConfigurations(stack.DADConfigurations{})
		if err := dev.Start(h.link); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { h.fake.SetStatus(0) })
		must(h.stack.EnableNIC(2))
		v4 := tcpip.AddressWithPrefix{Address: address(t, 4, i), PrefixLen: 24}
		v6 := tcpip.AddressWithPrefix{Address: address(t, 6, i), PrefixLen: 64}
		must(h.stack.AddProtocolAddress(2, tcpip.ProtocolAddress{Protocol: ipv4.ProtocolNumber, AddressWithPrefix: v4}, stack.AddressProperties{}))
		must(h.stack.AddProtocolAddress(2, tcpip.ProtocolAddress{Protocol: ipv6.ProtocolNumber, AddressWithPrefix: v6}, stack.AddressProperties{}))
		h.stack.AddRoute(tcpip.Route{Destination: v4.Subnet(), NIC: 2})
		h.stack.AddRoute(tcpip.Route{Destination: v6.Subnet(), NIC: 2})
	}
	return hosts
}

func address(t *testing.T, family, host int) tcpip.Address {
	s := map[int]string{4: "10.0.0.", 6: "fd00::"}[family] + string(rune('1'+host))
	a, ok := ParseAddress(s)
	if !ok {
		t.Fatal(s)
	}
	return a
}

// deliver receives a frame with its virtio header, after those that wait for
// buffers.
func (h *host) deliver(b []byte) {
	h.rxMu.Lock()
	defer h.rxMu.Unlock()
	ring := h.fake.Ring(0)
	if ring == nil {
		return
	}
	if b != nil && len(h.queue) < 1000 {
		h.queue = append(h.queue, bytes.Clone(b))
	}
	for len(h.queue) > 0 && h.receive(ring, h.queue[0]) {
		h.queue = h.queue[1:]
	}
	ring.Interrupt()
}

// receive fills as many buffers as a frame takes; false if there are too few.
func (h *host) receive(ring *virtiotest.Ring, b []byte) bool {
	room, n := 0, 0
	for ; room < len(b); n++ {
		if n == len(h.spare) {
			c, ok := ring.Pop()
			if !ok {
				return false
			}
			h.spare = append(h.spare, c)
		}
		room += len(h.spare[n].In[0])
	}
	binary.LittleEndian.PutUint16(b[10:], uint16(n))
	for _, c := range h.spare[:n] {
		k := c.Fill(b)
		b = b[k:]
		ring.Stage(c.Head, k)
	}
	ring.Publish()
	h.spare = slices.Clone(h.spare[n:])
	return true
}

// transfer sends n bytes from host 0 to host 1 and back.
func transfer(t *testing.T, hosts [2]*host, family, n int) {
	t.Helper()
	proto := map[int]tcpip.NetworkProtocolNumber{4: ipv4.ProtocolNumber, 6: ipv6.ProtocolNumber}[family]
	at := tcpip.FullAddress{NIC: 2, Addr: address(t, family, 1), Port: 7}
	l, err := gonet.ListenTCP(hosts[1].stack, at, proto)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		c, err := l.Accept()
		if err != nil {
			return
		}
		// All of it first: with two full windows the stack, as it is without the changes of mkkernel, can wait for ever.
		b, _ := io.ReadAll(c)
		c.Write(b)
		c.Close()
	}()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	c, err := gonet.DialContextTCP(ctx, hosts[0].stack, at, proto)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(60 * time.Second))
	data := make([]byte, n)
	rand.New(rand.NewSource(1)).Read(data)
	go func() {
		c.Write(data)
		c.CloseWrite()
	}()
	got, err := io.ReadAll(c)
	if err != nil || !bytes.Equal(got, data) {
		t.Fatalf("got %d of %d bytes back, or other ones: %v", len(got), n, err)
	}
}

func TestTCP(t *testing.T) {
	for name, offer := range map[string]uint64{"plain": offerPlain, "offload": offerAll} {
		for _, family := range []int{4, 6} {
			t.Run(name+string(rune('0'+family)), func(t *testing.T) {
				var large atomic.Int64
				hosts := newWire(t, offer, func(b []byte) []byte {
					if int64(len(b)) > large.Load() {
						large.Store(int64(len(b)))
					}
					return b
				})
				transfer(t, hosts, family, 4<<20)
				if offload := large.Load() > 1514+driver.HeaderSize; offload != (offer == offerAll) {
					t.Errorf("the largest frame had %d bytes", large.Load())
				}
				for i, h := range hosts {
					s := h.link.count()
					if s.RxErrors != 0 || s.TxDropped != 0 || s.RxPackets == 0 || s.TxBytes < 4<<20 {
						t.Errorf("host %d: %+v", i, s)
					}
				}
			})
		}
	}
}

// A wire that loses some frames and damages others: the data must come through
// intact. The damage is only where checksums are not left to the device.
func TestTCPOverBadWire(t *testing.T) {
	for _, family := range []int{4, 6} {
		var mu sync.Mutex
		r := rand.New(rand.NewSource(2))
		hosts := newWire(t, offerPlain, func(b []byte) []byte {
			mu.Lock()
			defer mu.Unlock()
			switch r.Intn(100) {
			case 0:
				return nil
			case 1:
				b = bytes.Clone(b)
				b[driver.HeaderSize+header.EthernetMinimumSize+r.Intn(len(b)-driver.HeaderSize-header.EthernetMinimumSize)] ^= 1 << r.Intn(8)
			}
			return b
		})
		transfer(t, hosts, family, 256<<10)
		if hosts[0].link.count().RxErrors+hosts[1].link.count().RxErrors == 0 {
			t.Error("no damage was noticed")
		}
	}
}

// silence is a wire that carries nothing: the test itself is the other end.
func silence([]byte) []byte { return nil }

// Frames for other stations are not ours; those for all are.
func TestReceiveFilter(t *testing.T) {
	l := newWire(t, offerPlain, silence)[0].link
	frame := make([]byte, 60)
	for dst, want := range map[string]Stats{
		"\x52\x54\x00\x00\x00\x01": {RxPackets: 1},
		"\x52\x54\x00\x00\x00\x09": {RxDropped: 1},
		"\xff\xff\xff\xff\xff\xff": {RxPackets: 1},
		"\x33\x33\x00\x00\x00\x01": {RxPackets: 1, Multicast: 1},
	} {
		before := l.count()
		copy(frame, dst)
		l.Receive(0, driver.Header{}, [][]byte{frame})
		l.Flush(0)
		after := l.count()
		got := Stats{RxPackets: after.RxPackets - before.RxPackets, RxDropped: after.RxDropped - before.RxDropped, Multicast: after.Multicast - before.Multicast}
		if got != want {
			t.Errorf("to %x: %+v, want %+v", dst, got, want)
		}
	}
}

// FuzzReceive gives the stack frames as a network may send them.
func FuzzReceive(f *testing.F) {
	f.Add([]byte("\x52\x54\x00\x00\x00\x01\x52\x54\x00\x00\x00\x02\x08\x00\x45\x00\x00\x1c\x00\x00\x40\x00\x40\x11\x00\x00\x0a\x00\x00\x02\x0a\x00\x00\x01\x00\x43\x00\x44\x00\x08\x00\x00"), uint8(0), uint8(20))
	f.Add([]byte("\x52\x54\x00\x00\x00\x01\x52\x54\x00\x00\x00\x02\x86\xdd\x60\x00\x00\x00\x00\x08\x00\x40"), uint8(1), uint8(14))
	var once sync.Once
	var l *link
	f.Fuzz(func(t *testing.T, frame []byte, flags, cut uint8) {
		once.Do(func() { l = newWire(t, offerAll, silence)[0].link })
		if len(frame) < 14 {
			return
		}
		pieces := [][]byte{frame}
		if c := 14 + int(cut); c < len(frame) {
			pieces = [][]byte{frame[:c], frame[c:]}
		}
		l.Receive(0, driver.Header{Flags: flags & 3, GSOType: flags >> 2}, pieces)
		l.Flush(0)
	})
}
