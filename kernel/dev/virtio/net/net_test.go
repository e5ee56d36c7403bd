package net

import (
	"bytes"
	"encoding/binary"
	"math/rand"
	"sync"
	"testing"
	"time"

	"gosv/kernel/dev/virtio"
	"gosv/kernel/dev/virtio/virtiotest"
	"gosv/kernel/frame"
)

const allFeatures = featureCsum | featureGuestCsum | featureMTU | featureMAC | featureGuestTSO4 | featureGuestTSO6 |
	featureHostTSO4 | featureHostTSO6 | featureMrgRxbuf | featureStatus | virtio.FeatureEventIdx | virtio.FeatureIndirectDesc

// recorder is a Stack that keeps what it gets.
type recorder struct {
	mu      sync.Mutex
	frames  [][]byte
	headers []Header
	queues  []int
	flushes int
	rooms   chan int
	links   chan bool
	got     chan bool
}

func newRecorder() *recorder {
	return &recorder{rooms: make(chan int, 100), links: make(chan bool, 100), got: make(chan bool, 10000)}
}

func (r *recorder) Receive(q int, h Header, pieces [][]byte) {
	r.mu.Lock()
	r.frames = append(r.frames, bytes.Join(pieces, nil))
	r.headers = append(r.headers, h)
	r.queues = append(r.queues, q)
	r.mu.Unlock()
	r.got <- true
}

func (r *recorder) Flush(int) {
	r.mu.Lock()
	r.flushes++
	r.mu.Unlock()
}
func (r *recorder) Room(q int)   { r.rooms <- q }
func (r *recorder) Link(up bool) { r.links <- up }

func config(mac string, status, pairs, mtu uint16) []byte {
	b := append([]byte(mac), 0, 0, 0, 0, 0, 0)
	binary.LittleEndian.PutUint16(b[6:], status)
	binary.LittleEndian.PutUint16(b[8:], pairs)
	binary.LittleEndian.PutUint16(b[10:], mtu)
	return b
}

// open starts a device with the given features.
func open(t testing.TB, fake *virtiotest.Device, r *recorder) *Device {
	t.Helper()
	fake.ID = virtio.IDNet
	if fake.Config == nil {
		fake.Config = config("\x52\x54\x00\x12\x34\x56", statusLinkUp, 1, 1400)
	}
	if fake.QueueMax == nil {
		fake.QueueMax = []uint16{256, 256}
	}
	d, err := Open(fake, Options{Buffers: 40, Pairs: 4})
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Start(r); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { fake.SetStatus(0) })
	return d
}

// deliver makes the device receive a frame, over as many buffers as it takes.
func deliver(t testing.TB, r *virtiotest.Ring, h Header, frame []byte) {
	t.Helper()
	b := make([]byte, HeaderSize, HeaderSize+len(frame))
	putHeader(b, &h)
	b = append(b, frame...)
	var chains []virtiotest.Chain
	for room := 0; room < len(b); {
		c, ok := r.Pop()
		if !ok {
			t.Error("no receive buffer")
			return
		}
		chains = append(chains, c)
		room += len(c.In[0])
	}
	put16(b[10:], uint16(len(chains)))
	for _, c := range chains {
		n := c.Fill(b)
		b = b[n:]
		r.Stage(c.Head, n)
	}
	r.Publish()
	r.Interrupt()
}

func (r *recorder) wait(t testing.TB, n int) {
	t.Helper()
	for range n {
		select {
		case <-r.got:
		case <-time.After(10 * time.Second):
			t.Fatal("nothing was received")
		}
	}
}

func pattern(n int) []byte {
	b := make([]byte, n)
	rand.New(rand.NewSource(int64(n))).Read(b)
	return b
}

func TestReceive(t *testing.T) {
	fake, r := &virtiotest.Device{Offer: allFeatures}, newRecorder()
	d := open(t, fake, r)
	if d.MAC() != [6]byte{0x52, 0x54, 0, 0x12, 0x34, 0x56} || d.MTU() != 1400 || !d.LinkUp() || !d.Segments() {
		t.Errorf("MAC %x, MTU %d, link %v", d.MAC(), d.MTU(), d.LinkUp())
	}
	sizes := []int{14, 60, 1514, 4084, 4085, 8180, 65549, 100}
	for n := range 30 {
		size := sizes[n%len(sizes)]
		deliver(t, fake.Ring(0), Header{Flags: DataValid, GSOSize: uint16(n)}, pattern(size))
		r.wait(t, 1)
		r.mu.Lock()
		got, h := r.frames[n], r.headers[n]
		r.mu.Unlock()
		if !bytes.Equal(got, pattern(size)) {
			t.Fatalf("frame %d of %d bytes: got %d bytes, other ones", n, size, len(got))
		}
		if h.Flags != DataValid || h.GSOSize != uint16(n) {
			t.Fatalf("header %+v", h)
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.flushes == 0 || d.Malformed() != 0 || d.Counters.RxDropped.Load() != 0 {
		t.Errorf("%d flushes, %d malformed, %d dropped", r.flushes, d.Malformed(), d.Counters.RxDropped.Load())
	}
}

// A device without mergeable buffers: num_buffers means nothing.
func TestReceiveSimple(t *testing.T) {
	fake, r := &virtiotest.Device{Offer: featureMAC}, newRecorder()
	open(t, fake, r)
	c, _ := fake.Ring(0).Pop()
	b := append(make([]byte, HeaderSize), pattern(100)...)
	put16(b[10:], 7)
	fake.Ring(0).Push(c.Head, c.Fill(b))
	fake.Ring(0).Interrupt()
	r.wait(t, 1)
	if !bytes.Equal(r.frames[0], pattern(100)) {
		t.Error("another frame")
	}
}

func TestReceiveMalformed(t *testing.T) {
	fake, r := &virtiotest.Device{Offer: allFeatures}, newRecorder()
	d := open(t, fake, r)
	ring := fake.Ring(0)
	for _, c := range []struct {
		buffers uint16
		n       uint32
	}{{1, 0}, {1, HeaderSize}, {1, HeaderSize + 13}, {0, 100}, {2, 100}, {0xffff, 100}} {
		before := d.Counters.RxDropped.Load()
		chain, ok := ring.Pop()
		if !ok {
			t.Fatal("a buffer was lost")
		}
		put16(chain.In[0][10:], c.buffers)
		ring.Push(chain.Head, c.n)
		ring.Interrupt()
		for end := time.Now().Add(5 * time.Second); d.Counters.RxDropped.Load() == before; time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("%+v was not dropped", c)
			}
		}
	}
	deliver(t, ring, Header{}, pattern(60))
	r.wait(t, 1)
}

func TestTransmit(t *testing.T) {
	for name, offer := range map[string]uint64{"all": allFeatures, "simple": featureMAC} {
		t.Run(name, func(t *testing.T) {
			fake, r := &virtiotest.Device{Offer: offer}, newRecorder()
			var sent [][]byte
			fake.OnNotify = func(q int) {
				if q != 1 {
					return
				}
				for ring := fake.Ring(1); ; {
					c, ok := ring.Pop()
					if !ok {
						return
					}
					sent = append(sent, bytes.Clone(c.Bytes()))
					ring.Push(c.Head, 0)
				}
			}
			d := open(t, fake, r)
			for n := range 1000 {
				size := []int{14, 60, 1514, 4084, 4085, 65549}[n%6]
				b := pattern(size)
				h := Header{Flags: NeedsCsum, GSOType: GSOTCPv4, HdrLen: 54, GSOSize: 1448, CsumStart: 34, CsumOffset: uint16(n)}
				f, ok := d.Begin(n, size, &h)
				if !ok {
					t.Fatalf("packet %d: no room", n)
				}
				cut := size / 3
				f.Write(b[:cut])
				f.Write(nil)
				f.Write(b[cut:])
				f.Write([]byte("too much"))
				f.End()
				d.Kick(n)
				if len(sent) != n+1 {
					t.Fatalf("packet %d was not sent", n)
				}
				got, _ := getHeader(sent[n])
				if got != h || !bytes.Equal(sent[n][HeaderSize:], b) {
					t.Fatalf("packet %d: header %+v, %d bytes", n, got, len(sent[n])-HeaderSize)
				}
			}
		})
	}
}

// A device that does not send: the queue fills, and says when it has room.
func TestTransmitFull(t *testing.T) {
	fake, r := &virtiotest.Device{Offer: allFeatures}, newRecorder()
	d := open(t, fake, r)
	send := func() bool {
		f, ok := d.Begin(0, 20000, &Header{})
		if ok {
			f.Write(pattern(20000))
			f.End()
			d.Kick(0)
		}
		return ok
	}
	n := 0
	for send() {
		n++
	}
	if n != 8 { // 40 buffers, 5 for each
		t.Errorf("%d packets fitted", n)
	}
	ring := fake.Ring(1)
	for range 3 {
		c, ok := ring.Pop()
		if !ok {
			t.Fatal("nothing to send")
		}
		ring.Push(c.Head, 0)
	}
	ring.Interrupt()
	select {
	case <-r.rooms:
	case <-time.After(5 * time.Second):
		t.Fatal("nobody said that there is room")
	}
	for range 3 {
		if !send() {
			t.Fatal("no room")
		}
	}
	if send() {
		t.Error("more room than there is")
	}
	if f, ok := d.Begin(0, maxFrame+1, &Header{}); ok {
		f.End()
		t.Error("a frame that is too long was taken while the queue is full")
	}
}

func TestLink(t *testing.T) {
	fake, r := &virtiotest.Device{Offer: allFeatures}, newRecorder()
	d := open(t, fake, r)
	fake.Config[configStatus] = 0
	fake.Interrupt(0, virtio.CauseConfig)
	select {
	case up := <-r.links:
		if up || d.LinkUp() {
			t.Error("the link is up")
		}
	case <-time.After(5 * time.Second):
		t.Fatal("the change was not noticed")
	}
}

func TestQueuePairs(t *testing.T) {
	fake, r := &virtiotest.Device{Offer: allFeatures | featureMQ | featureCtrlVQ, MaxVectors: 10}, newRecorder()
	fake.Config = config("\x52\x54\x00\x12\x34\x56", statusLinkUp, 3, 1500)
	fake.QueueMax = []uint16{64, 64, 64, 64, 64, 64, 4}
	var command []byte
	fake.OnNotify = func(q int) {
		if q == 6 {
			c, _ := fake.Ring(6).Pop()
			command = c.Bytes()
			fake.Ring(6).Push(c.Head, c.Fill([]byte{ackOK}))
		}
	}
	d := open(t, fake, r)
	if !bytes.Equal(command, []byte{classMQ, pairsSet, 3, 0}) || d.Queues() != 3 {
		t.Fatalf("command %x, %d queue pairs", command, d.Queues())
	}
	for q := range 3 {
		deliver(t, fake.Ring(2*q), Header{}, pattern(64))
		r.wait(t, 1)
		if r.queues[q] != q {
			t.Errorf("queue %d, want %d", r.queues[q], q)
		}
		if a, b := fake.Ring(2*q).Vector, fake.Ring(2*q+1).Vector; a != 1+q || b != 1+q {
			t.Errorf("pair %d has vectors %d and %d", q, a, b)
		}
	}
}

// A device that refuses queue pairs has one.
func TestQueuePairsRefused(t *testing.T) {
	fake, r := &virtiotest.Device{Offer: allFeatures | featureMQ | featureCtrlVQ, MaxVectors: 10}, newRecorder()
	fake.Config = config("\x52\x54\x00\x12\x34\x56", statusLinkUp, 2, 1500)
	fake.QueueMax = []uint16{64, 64, 64, 64, 4}
	fake.OnNotify = func(q int) {
		if q == 4 {
			c, _ := fake.Ring(4).Pop()
			fake.Ring(4).Push(c.Head, c.Fill([]byte{1}))
		}
	}
	if d := open(t, fake, r); d.Queues() != 1 {
		t.Errorf("%d queue pairs", d.Queues())
	}
}

func TestOpenErrors(t *testing.T) {
	fake := &virtiotest.Device{Offer: featureMQ | featureCtrlVQ, Config: config("\x01\x00\x00\x00\x00\x01", 0, 0, 10), QueueMax: []uint16{64, 64}}
	if _, err := Open(fake, Options{Buffers: 4}); err == nil {
		t.Error("a device with no queue pairs was taken")
	}
	fake.Offer, fake.QueueMax = featureMAC|featureMTU, []uint16{64}
	if _, err := Open(fake, Options{Buffers: 4}); err == nil {
		t.Error("a device without a transmit queue was taken")
	}
	fake.QueueMax = []uint16{64, 64}
	d, err := Open(fake, Options{Buffers: 4})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if m := d.MAC(); m[0]&3 != 2 {
		t.Errorf("MAC %x, of a device that has a group's", m)
	}
	if d.MTU() != 1500 {
		t.Errorf("MTU %d, of a device that has 10", d.MTU())
	}
}

// Without memory packets are lost, and the queue goes on once there is some: nothing is on its way that would end and say so.
func TestTransmitWithoutMemory(t *testing.T) {
	fake, r := &virtiotest.Device{Offer: allFeatures}, newRecorder()
	d := open(t, fake, r)
	send := func() {
		t.Helper()
		f, ok := d.Begin(0, 60, &Header{})
		if !ok {
			t.Fatal("a packet would wait for ever")
		}
		f.Write(pattern(60))
		f.End()
		d.Kick(0)
	}
	var all []frame.Frame
	for none := 0; none < 4; { // there are several caches, which are asked in turn
		if f := frame.Alloc(); f != 0 {
			all, none = append(all, f), 0
		} else {
			none++
		}
	}
	send()
	if n := d.Counters.TxDropped.Load(); n != 1 {
		t.Errorf("%d packets were lost", n)
	}
	for _, f := range all {
		f.Unref()
	}
	send()
	if c, ok := fake.Ring(1).Pop(); !ok || len(c.Bytes()) != HeaderSize+60 {
		t.Error("nothing was sent")
	}
}
