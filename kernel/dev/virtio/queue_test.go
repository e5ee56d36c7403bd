package virtio_test

import (
	"math/rand/v2"
	"testing"

	"gosv/kernel/dev/virtio"
	"gosv/kernel/dev/virtio/virtiotest"
	"gosv/kernel/frame"
)

func open(t testing.TB, features uint64, size uint16, c virtio.QueueConfig) (*virtiotest.Device, *virtio.Queue, *virtiotest.Ring) {
	t.Helper()
	fake := &virtiotest.Device{Offer: features, QueueMax: []uint16{size}}
	dev, err := virtio.Open(fake, 0)
	if err != nil {
		t.Fatal(err)
	}
	q, err := dev.NewQueue(0, c)
	if err != nil {
		t.Fatal(err)
	}
	if err := dev.Start(nil); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(dev.Close)
	return fake, q, fake.Ring(0)
}

var featureSets = map[string]uint64{
	"plain":    0,
	"event":    virtio.FeatureEventIdx,
	"indirect": virtio.FeatureIndirectDesc,
	"both":     virtio.FeatureEventIdx | virtio.FeatureIndirectDesc,
}

// segments cuts b, in the frame at pa, in random pieces.
func segments(pa uint64, n int) []virtio.Segment {
	var s []virtio.Segment
	for n > 0 {
		k := min(n, 1+rand.IntN(20))
		s = append(s, virtio.Segment{Addr: pa, Len: uint32(k)})
		pa += uint64(k)
		n -= k
	}
	return s
}

// TestQueue sends random chains through queues of all kinds, more often than
// the indexes have bits, and has them used out of order.
func TestQueue(t *testing.T) {
	for name, f := range featureSets {
		t.Run(name, func(t *testing.T) {
			_, q, ring := open(t, f, 64, virtio.QueueConfig{Size: 64, Segments: 12})
			out, in := frame.Alloc(), frame.Alloc()
			for i := range out.Bytes() {
				out.Bytes()[i] = byte(i * 7)
			}
			type sent struct{ out, in, off int }
			want := map[uint32]sent{}
			var held []virtiotest.Chain
			token := uint32(0)
			for round := range 40000 {
				s := sent{rand.IntN(60), rand.IntN(60), rand.IntN(4000)}
				if s.out+s.in > 0 {
					a, b := segments(uint64(out)+uint64(s.off), s.out), segments(uint64(in)+uint64(s.off), s.in)
					fits := q.Fits(len(a) + len(b))
					if ok := q.Add(token, a, b); ok != fits {
						t.Fatalf("round %d: Fits %v, Add %v", round, fits, ok)
					} else if ok {
						want[token] = s
						token++
					}
				}
				q.Kick()
				for {
					c, ok := ring.Pop()
					if !ok {
						break
					}
					held = append(held, c)
				}
				for len(held) > 0 && rand.IntN(4) != 0 {
					i := rand.IntN(len(held))
					n := 0
					for _, b := range held[i].In {
						n += len(b)
					}
					b := held[i].Bytes()
					for k := 1; k < len(b); k++ {
						if b[k] != b[k-1]+7 {
							t.Fatal("the device read something else than the driver gave")
						}
					}
					ring.Push(held[i].Head, uint32(n))
					held = append(held[:i], held[i+1:]...)
				}
				for {
					tok, n, ok := q.Next()
					if !ok {
						break
					}
					s, known := want[tok]
					if !known || int(n) != s.in {
						t.Fatalf("token %d: %d bytes, want %+v (%v)", tok, n, s, known)
					}
					delete(want, tok)
				}
				if q.Pending() != len(want) {
					t.Fatalf("%d pending, want %d", q.Pending(), len(want))
				}
			}
			if q.Counters != (virtio.Counters{}) {
				t.Errorf("a good device was counted as bad: %+v", q.Counters)
			}
		})
	}
}

func TestFull(t *testing.T) {
	_, q, ring := open(t, 0, 8, virtio.QueueConfig{Size: 8})
	f := frame.Alloc()
	seg := []virtio.Segment{{uint64(f), 1}, {uint64(f), 1}, {uint64(f), 1}}
	if !q.Add(0, seg, nil) || !q.Add(1, nil, seg) {
		t.Fatal("no room in an empty queue")
	}
	if q.Fits(3) || q.Add(2, seg, nil) || !q.Fits(2) || !q.Add(2, seg[:2], nil) || q.Fits(1) {
		t.Fatal("8 descriptors are 3+3+2")
	}
	q.Kick()
	c, _ := ring.Pop()
	ring.Push(c.Head, 0)
	if tok, _, ok := q.Next(); !ok || tok != 0 || !q.Fits(3) {
		t.Fatal("a used chain gives its descriptors back")
	}
}

func TestNotifyAndInterruptSuppression(t *testing.T) {
	for name, f := range featureSets {
		t.Run(name, func(t *testing.T) {
			_, q, ring := open(t, f, 16, virtio.QueueConfig{Size: 16})
			m := frame.Alloc()
			seg := []virtio.Segment{{uint64(m), 1}}
			add := func() bool { q.Add(0, seg, nil); return q.Kick() }
			if !add() {
				t.Error("the first buffer must notify")
			}
			if f&virtio.FeatureEventIdx != 0 && add() {
				t.Error("the device has not looked yet: no second notification")
			}
			q.MaskInterrupts()
			for {
				c, ok := ring.Pop()
				if !ok {
					break
				}
				ring.Push(c.Head, 0)
			}
			if ring.Interrupt() {
				t.Error("an interrupt that was masked")
			}
			if !q.UnmaskInterrupts() {
				t.Error("Unmask must say that something is there")
			}
			for {
				if _, _, ok := q.Next(); !ok {
					break
				}
			}
			if q.UnmaskInterrupts() {
				t.Error("Unmask says that something is there")
			}
			if !add() {
				t.Error("the device found the ring empty: it must be notified")
			}
			c, _ := ring.Pop()
			ring.Push(c.Head, 0)
			if !ring.Interrupt() {
				t.Error("no interrupt")
			}
		})
	}
}

func TestOpen(t *testing.T) {
	fake := &virtiotest.Device{RefuseFeatures: true}
	if _, err := virtio.Open(fake, 0); err == nil || fake.Status() != virtio.StatusFailed {
		t.Errorf("refused features: %v, status %#x", err, fake.Status())
	}
	fake = &virtiotest.Device{Offer: 1 | 2}
	d, err := virtio.Open(fake, 2|4)
	if err != nil || !d.Has(2) || d.Has(1) || d.Has(4) || fake.Accepted != 2|virtio.FeatureVersion1 {
		t.Errorf("%v %#x", err, fake.Accepted)
	}
	if _, err := d.NewQueue(0, virtio.QueueConfig{Size: 8}); err == nil {
		t.Error("a queue that the device does not have")
	}
	d.Close()
}

// FuzzUsedRing is a device that writes what it likes to all memory that it
// shares with the driver. Whatever it does, the queue stays within its memory,
// gives out each token at most once, and does not lose a descriptor that came back.
func FuzzUsedRing(f *testing.F) {
	f.Add(uint8(3), []byte{0, 1, 2, 1, 1, 0, 0, 0, 2, 200, 0, 0, 3, 9, 0, 4})
	f.Add(uint8(0), []byte{0, 3, 1, 255, 255, 255, 255, 1, 0, 0, 0, 0, 2, 1, 0, 2, 255, 255})
	f.Fuzz(func(t *testing.T, features uint8, script []byte) {
		_, q, ring := open(t, uint64(features&3)<<28, 8, virtio.QueueConfig{Size: 8, Segments: 4})
		m := frame.Alloc()
		defer m.Unref()
		seg := []virtio.Segment{{uint64(m), 100}, {uint64(m) + 100, 50}, {uint64(m) + 150, 7}}
		out := map[uint32]uint32{}
		token := uint32(0)
		next := func() int {
			if len(script) == 0 {
				return 0
			}
			b := script[0]
			script = script[1:]
			return int(b)
		}
		for len(script) > 0 {
			switch next() % 6 {
			case 0:
				a, b := next()%4, next()%4
				if q.Add(token, seg[:a], seg[:b]) {
					w := uint32(0)
					for _, s := range seg[:b] {
						w += s.Len
					}
					out[token] = w
					token++
				}
				q.Kick()
			case 1:
				ring.PushRaw(uint32(next())|uint32(next())<<24, uint32(next())|uint32(next())<<24)
			case 2:
				ring.SetUsed(uint16(next() | next()<<8))
			case 3:
				area := [][]byte{ring.Desc, ring.Driver, ring.Dev}[next()%3]
				area[(next()|next()<<8)%len(area)] = byte(next())
			case 4:
				q.MaskInterrupts()
				q.UnmaskInterrupts()
			case 5:
				tok, n, ok := q.Next()
				if !ok {
					continue
				}
				if w, known := out[tok]; !known || n > w {
					t.Fatalf("token %d with %d bytes, of %d (%v)", tok, n, w, known)
				}
				delete(out, tok)
			}
			if q.Pending() != len(out) {
				t.Fatalf("%d pending, %d given", q.Pending(), len(out))
			}
		}
		// All that is missing can come back, and then the queue is whole.
		for range 3 {
			for id := range uint32(8) {
				ring.PushRaw(id, 0)
			}
			for {
				tok, _, ok := q.Next()
				if !ok {
					break
				}
				delete(out, tok)
			}
		}
		if len(out) != 0 || q.Pending() != 0 {
			t.Fatalf("%d chains are lost", len(out))
		}
		for range 8 {
			if !q.Add(0, seg[:1], nil) {
				t.Fatal("descriptors are lost")
			}
		}
	})
}
