package console

import (
	"bytes"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"gosv/kernel/dev/virtio"
	"gosv/kernel/dev/virtio/virtiotest"
	"gosv/kernel/tty"
	"gosv/kernel/wait"
)

var _ tty.Port = (*Port)(nil)

// host plays the device and the host behind it.
type host struct {
	t     *testing.T
	fake  *virtiotest.Device
	names map[uint32]string

	mu      sync.Mutex
	closed  map[uint32]bool // the host's side
	blocked bool            // do not take output
	got     map[uint32][]byte
	ready   map[uint32]bool // guest opened
	late    bool            // answer on another goroutine
	input   map[uint32][]byte
}

func newHost(t *testing.T, features uint64, names map[uint32]string) *host {
	h := &host{t: t, names: names, closed: map[uint32]bool{}, got: map[uint32][]byte{}, ready: map[uint32]bool{}, input: map[uint32][]byte{}}
	h.fake = &virtiotest.Device{ID: virtio.IDConsole, Offer: features | featureMultiport,
		Config: []byte{0, 0, 0, 0, 31, 0, 0, 0, 0, 0, 0, 0}, OnNotify: h.notify}
	for range 64 {
		h.fake.QueueMax = append(h.fake.QueueMax, 128)
	}
	return h
}

func (h *host) notify(q int) {
	if h.late {
		go h.work(q)
		return
	}
	h.work(q)
}

func (h *host) work(q int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case q == 3:
		h.control()
	case q == 1 || q > 3 && q&1 == 1:
		h.output(port(q))
	case q == 0 || q > 3:
		h.feed(port(q))
	}
}

func port(q int) uint32 {
	if q < 2 {
		return 0
	}
	return uint32(q/2 - 1)
}

func (h *host) control() {
	r := h.fake.Ring(3)
	for {
		c, ok := r.Pop()
		if !ok {
			return
		}
		m := c.Bytes()
		r.Push(c.Head, 0)
		r.Interrupt()
		if len(m) != 8 {
			h.t.Errorf("control message of %d bytes", len(m))
			continue
		}
		id, event, value := uint32(m[0]), m[4], m[6]
		switch event {
		case eventDeviceReady:
			for id := range uint32(32) {
				if _, ok := h.names[id]; ok {
					h.say(id, eventPortAdd, 1, "")
				}
			}
		case eventPortReady:
			if value == 1 {
				h.say(id, eventConsolePort, 1, "")
				h.say(id, eventPortName, 1, h.names[id]+"\x00")
				if !h.closed[id] {
					h.say(id, eventPortOpen, 1, "")
				}
			}
		case eventPortOpen:
			h.ready[id] = value == 1
			h.feed(id)
		}
	}
}

// say sends a control message to the driver.
func (h *host) say(id uint32, event, value byte, name string) {
	r := h.fake.Ring(2)
	c, ok := r.Pop()
	if !ok {
		h.t.Error("no buffer for a control message: QEMU would drop it")
		return
	}
	n := c.Fill(append([]byte{byte(id), byte(id >> 8), 0, 0, event, 0, value, 0}, name...))
	r.Push(c.Head, n)
	r.Interrupt()
}

func (h *host) output(id uint32) {
	r := h.fake.Ring(int(id)*2 + 3)
	if id == 0 {
		r = h.fake.Ring(1)
	}
	for !h.blocked {
		c, ok := r.Pop()
		if !ok {
			return
		}
		if !h.closed[id] {
			h.got[id] = append(h.got[id], c.Bytes()...)
		}
		r.Push(c.Head, 0)
		r.Interrupt()
	}
}

// send gives the guest input.
func (h *host) send(id uint32, b []byte) {
	h.mu.Lock()
	h.input[id] = append(h.input[id], b...)
	h.feed(id)
	h.mu.Unlock()
}

func (h *host) feed(id uint32) {
	r := h.fake.Ring(int(id)*2 + 2)
	if id == 0 {
		r = h.fake.Ring(0)
	}
	for h.ready[id] && len(h.input[id]) > 0 {
		c, ok := r.Pop()
		if !ok {
			return
		}
		n := c.Fill(h.input[id])
		h.input[id] = h.input[id][n:]
		r.Push(c.Head, n)
		r.Interrupt()
	}
}

func (h *host) setClosed(id uint32, closed bool) {
	h.mu.Lock()
	h.closed[id] = closed
	h.say(id, eventPortOpen, map[bool]byte{false: 1, true: 0}[closed], "")
	h.mu.Unlock()
}

func (h *host) unblock(ids ...uint32) {
	h.mu.Lock()
	h.blocked = false
	for _, id := range ids {
		h.output(id)
	}
	h.mu.Unlock()
}

func (h *host) output1() []byte {
	h.mu.Lock()
	defer h.mu.Unlock()
	return bytes.Clone(h.got[1])
}

var names = map[uint32]string{1: "gosv.stdio", 2: "gosv.stderr", 3: "gosv.stdin"}

func eachKind(t *testing.T, f func(t *testing.T, h *host)) {
	for name, features := range map[string]uint64{"event": virtio.FeatureEventIdx, "plain": 0} {
		for _, late := range []bool{false, true} {
			t.Run(name+map[bool]string{true: "-late", false: "-at-once"}[late], func(t *testing.T) {
				h := newHost(t, features, names)
				h.late = late
				f(t, h)
			})
		}
	}
}

func mustOpen(t testing.TB, h *host) *Console {
	t.Helper()
	c, err := Open(h.fake)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// wakeOn waits until the port has some of the events.
func wakeOn(t *testing.T, p *Port, ev wait.Events) {
	t.Helper()
	c := make(chan bool, 100)
	w := wait.Waiter{Mask: ev, Notify: func(wait.Events) {
		select {
		case c <- true:
		default:
		}
	}}
	p.Queue().Add(&w)
	defer p.Queue().Remove(&w)
	for p.Readiness()&ev == 0 {
		select {
		case <-c:
		case <-time.After(5 * time.Second):
			t.Fatalf("no %#x in 5 s, only %#x", ev, p.Readiness())
		}
	}
}

func TestOutputBeforeHandshake(t *testing.T) {
	eachKind(t, func(t *testing.T, h *host) {
		c := mustOpen(t, h)
		p := c.Port("gosv.stdio")
		if n := p.Write([]byte("hello\n")); n != 6 {
			t.Fatal(n)
		}
		p.Flush()
		if g := h.output1(); string(g) != "hello\n" {
			t.Errorf("the host got %q", g)
		}
		if c.Malformed() != 0 || !p.Bound() {
			t.Error("handshake")
		}
	})
}

// TestMuchOutput writes more than the buffer holds, in odd pieces, with a host
// that stops and goes.
func TestMuchOutput(t *testing.T) {
	eachKind(t, func(t *testing.T, h *host) {
		c := mustOpen(t, h)
		p := c.Port("gosv.stdio")
		h.mu.Lock()
		h.blocked = true
		h.mu.Unlock()
		var want []byte
		for len(want) < 1<<20 {
			b := make([]byte, 1+rand.IntN(20000))
			for i := range b {
				b[i] = byte(rand.Int())
			}
			want = append(want, b...)
			for len(b) > 0 {
				n := p.Write(b)
				b = b[n:]
				if len(b) > 0 {
					h.mu.Lock()
					stopped := h.blocked
					h.mu.Unlock()
					if stopped {
						go h.unblock(1)
					}
					wakeOn(t, p, wait.Out)
				}
			}
			if rand.IntN(10) == 0 {
				h.mu.Lock()
				h.blocked = true
				h.mu.Unlock()
			}
		}
		go h.unblock(1)
		p.Flush()
		if g := h.output1(); !bytes.Equal(g, want) {
			t.Errorf("the host got %d bytes, want %d", len(g), len(want))
		}
	})
}

func TestInput(t *testing.T) {
	eachKind(t, func(t *testing.T, h *host) {
		c := mustOpen(t, h)
		p := c.Port("gosv.stdin")
		if n, eof := p.Read(make([]byte, 10)); n != 0 || eof {
			t.Fatal(n, eof)
		}
		want := make([]byte, 300000)
		for i := range want {
			want[i] = byte(rand.Int())
		}
		go func() {
			for b := want; len(b) > 0; {
				k := min(len(b), 1+rand.IntN(9000))
				h.send(3, b[:k])
				b = b[k:]
			}
		}()
		var got []byte
		for len(got) < len(want) {
			wakeOn(t, p, wait.In)
			b := make([]byte, 1+rand.IntN(9000))
			had := p.Buffered()
			n, eof := p.Read(b)
			if eof || n < min(had, len(b)) {
				t.Fatalf("read %d of %d, eof %v", n, had, eof)
			}
			got = append(got, b[:n]...)
		}
		if !bytes.Equal(got, want) {
			t.Error("input differs")
		}
		h.send(3, []byte("last"))
		h.setClosed(3, true)
		wakeOn(t, p, wait.Hup)
		if n, eof := p.Read(make([]byte, 100)); n != 4 || eof {
			t.Errorf("before the end: %d %v", n, eof)
		}
		if n, eof := p.Read(make([]byte, 100)); n != 0 || !eof {
			t.Errorf("at the end: %d %v", n, eof)
		}
		if n := p.Write(make([]byte, 1<<20)); n != 1<<20 {
			t.Errorf("a host that is gone took %d", n)
		}
		h.setClosed(3, false)
		for p.Readiness()&wait.Hup != 0 {
			time.Sleep(time.Millisecond)
		}
		if n, eof := p.Read(make([]byte, 1)); n != 0 || eof {
			t.Error("still at the end")
		}
	})
}

// TestHostNotThere: QEMU throws output away while the host's side is not open.
func TestHostNotThere(t *testing.T) {
	h := newHost(t, 0, names)
	h.closed[1] = true
	c := mustOpen(t, h)
	p := c.Port("gosv.stdio")
	if n := p.Write(make([]byte, 1<<20)); n != txSize {
		t.Errorf("took %d, the buffer is %d", n, txSize)
	}
	start := time.Now()
	p.Flush()
	if d := time.Since(start); d < 500*time.Millisecond || d > 5*time.Second {
		t.Errorf("Flush waited %v", d)
	}
	h.setClosed(1, false)
	p.Flush()
	if len(h.output1()) != txSize {
		t.Errorf("the host got %d bytes", len(h.output1()))
	}
}

func TestFewNotifications(t *testing.T) {
	h := newHost(t, virtio.FeatureEventIdx, names)
	c := mustOpen(t, h)
	p := c.Port("gosv.stdio")
	p.Flush()
	r := h.fake.Ring(5)
	before := r.Notified.Load()
	p.Write(make([]byte, 40000))
	if n := r.Notified.Load() - before; n != 1 {
		t.Errorf("%d notifications for one write", n)
	}
}

func TestSinglePort(t *testing.T) {
	h := newHost(t, 0, nil)
	h.fake.Offer = 0
	c := mustOpen(t, h)
	if c.Multiport() {
		t.Fatal("multiport without the feature")
	}
	p := c.Port("")
	h.ready[0] = true
	p.Write([]byte("out"))
	p.Flush()
	h.mu.Lock()
	if string(h.got[0]) != "out" {
		t.Errorf("%q", h.got[0])
	}
	h.mu.Unlock()
	h.send(0, []byte("in"))
	wakeOn(t, p, wait.In)
	b := make([]byte, 10)
	if n, _ := p.Read(b); string(b[:n]) != "in" {
		t.Errorf("%q", b[:n])
	}
}

// FuzzControl is a device that sends arbitrary control messages and uses
// buffers at random.
func FuzzControl(f *testing.F) {
	f.Add([]byte{8, 1, 0, 0, 0, 1, 0, 1, 0, 18, 1, 0, 0, 0, 7, 0, 1, 0, 'g', 'o', 's', 'v', '.', 's', 't', 'd', 'i', 'o', 8, 1, 0, 0, 0, 6, 0, 1, 0, 8, 1, 0, 0, 0, 6, 0, 0, 0})
	f.Fuzz(func(t *testing.T, script []byte) {
		fake := &virtiotest.Device{ID: virtio.IDConsole, Offer: featureMultiport, Config: make([]byte, 12), OnNotify: func(int) {}, Hostile: true}
		fake.Config[4] = 4
		for range 10 {
			fake.QueueMax = append(fake.QueueMax, 16)
		}
		c, err := Open(fake)
		if err != nil {
			t.Fatal(err)
		}
		p := c.Port("gosv.stdio")
		in := fake.Ring(2)
		for len(script) > 0 {
			n := int(script[0])
			script = script[1:]
			if n >= 200 {
				// A used element that the device makes up, in any queue.
				r := fake.Ring(n % 10)
				if len(script) >= 2 {
					r.PushRaw(uint32(script[0]%20), uint32(script[1])<<6)
				}
				p.serve()
			} else {
				ch, ok := in.Pop()
				if !ok {
					break
				}
				n = min(n, len(script), receiveSize)
				ch.Fill(script[:n])
				script = script[n:]
				in.Push(ch.Head, uint32(n))
				c.control()
			}
			p.Write(make([]byte, 3000))
			p.Read(make([]byte, 100))
			p.Readiness()
			if len(c.waiting) > backlog || p.head-p.tail > txSize || p.tail > p.sent || p.sent > p.head {
				t.Fatalf("backlog %d, head %d sent %d tail %d", len(c.waiting), p.head, p.sent, p.tail)
			}
		}
		c.dev.Close()
		for _, m := range append(append(p.rxMem[:], p.txMem[:]...), c.inMem, c.outMem) {
			if m != 0 {
				m.Unref()
			}
		}
	})
}
