package net

import (
	"testing"
	"time"

	"gosv/kernel/dev/virtio/virtiotest"
)

// counter is a Stack that checks what every Stack may rely on.
type counter struct{ t *testing.T }

func (c counter) Receive(q int, h Header, pieces [][]byte) {
	if len(pieces) == 0 || len(pieces[0]) < 14 {
		c.t.Error("the first piece has no Ethernet header")
	}
	n := 0
	for _, p := range pieces {
		n += len(p)
	}
	if n > maxFrame {
		c.t.Errorf("a frame of %d bytes", n)
	}
}
func (counter) Flush(int) {}
func (counter) Room(int)  {}
func (counter) Link(bool) {}

// FuzzDevice lets a device do what it likes with the rings: used elements that
// name nothing, lengths that do not fit, indices that jump, headers that lie.
// The driver must drop it, keep its memory, and go on.
func FuzzDevice(f *testing.F) {
	f.Add([]byte{0, 1, 100, 1, 5, 1, 0, 200, 2, 9, 9, 9, 3, 1, 2, 3, 4, 0, 0, 0})
	f.Add([]byte{0, 3, 255, 15, 0, 1, 255, 15, 4, 0, 0, 0, 1, 1, 1, 1})
	f.Fuzz(func(t *testing.T, script []byte) {
		fake := &virtiotest.Device{Offer: allFeatures, Hostile: true, QueueMax: []uint16{16, 16}}
		fake.Config = config("\x52\x54\x00\x12\x34\x56", statusLinkUp, 1, 1500)
		d, err := Open(fake, Options{Buffers: 8, Pairs: 1})
		if err != nil {
			t.Fatal(err)
		}
		// The queues are served here, so that a run is repeatable.
		served := make(chan bool, 1)
		if err := d.Start(counter{t}); err != nil {
			t.Fatal(err)
		}
		for len(script) >= 4 {
			op, a, b, c := script[0], script[1], script[2], script[3]
			script = script[4:]
			rx, tx := fake.Ring(0), fake.Ring(1)
			switch op % 6 {
			case 0: // a frame with a lying header
				if chain, ok := rx.Pop(); ok && len(chain.In) == 1 && len(chain.In[0]) >= HeaderSize {
					put16(chain.In[0][10:], uint16(a))
					rx.Push(chain.Head, uint32(b)|uint32(c)<<8)
				}
			case 1:
				rx.PushRaw(uint32(a), uint32(b)|uint32(c)<<24)
			case 2:
				rx.SetUsed(uint16(a) | uint16(b)<<8)
			case 3:
				n := int(a) | int(b)<<8
				if f, ok := d.Begin(0, n, &Header{}); ok {
					f.Write(make([]byte, n/(int(c)+1)))
					f.End()
					d.Kick(0)
				}
			case 4:
				tx.PushRaw(uint32(a), uint32(b))
			case 5:
				tx.SetUsed(uint16(a) | uint16(b)<<8)
			}
			go func() {
				d.rx[0].serve()
				d.tx[0].serve()
				served <- true
			}()
			select {
			case <-served:
			case <-time.After(20 * time.Second):
				t.Fatal("the driver hangs")
			}
		}
		d.Close()
	})
}

// FuzzOpen is a device with any configuration: Open refuses it, or frames go in and out as it said.
func FuzzOpen(f *testing.F) {
	f.Add(config("\x52\x54\x00\x12\x34\x56", statusLinkUp, 2, 1500), uint64(allFeatures|featureMQ|featureCtrlVQ), uint16(16))
	f.Add([]byte{}, uint64(0), uint16(2))
	f.Fuzz(func(t *testing.T, cfg []byte, features uint64, size uint16) {
		fake := &virtiotest.Device{Offer: features, QueueMax: []uint16{size, size, size, size, size}, Config: cfg}
		d, err := Open(fake, Options{Buffers: 4, Pairs: 1})
		if err != nil {
			return
		}
		if err := d.Start(counter{t}); err != nil {
			t.Fatal(err)
		}
		if mac := d.MAC(); mac[0]&1 != 0 || d.MTU() < minMTU || d.MTU() > maxMTU || d.Queues() < 1 || d.Queues() > d.MaxQueues() {
			t.Fatalf("MAC %x, MTU %d, %d of %d queues", mac, d.MTU(), d.Queues(), d.MaxQueues())
		}
		for _, n := range []int{14, d.MTU() + 14, maxFrame, maxFrame + 1} {
			if f, ok := d.Begin(0, n, &Header{}); ok {
				f.Write(make([]byte, n))
				f.End()
			}
		}
		d.Kick(0)
		for ring := fake.Ring(1); ; {
			if _, ok := ring.Pop(); !ok { // panics when a chain makes no sense
				break
			}
		}
		d.dev.Close()
		for _, q := range d.rx {
			q.free()
		}
		for _, q := range d.tx {
			q.free()
		}
	})
}
