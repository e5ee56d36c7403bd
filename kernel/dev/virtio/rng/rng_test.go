package rng

import (
	"testing"
	"time"

	"gosv/kernel/dev/virtio"
	"gosv/kernel/dev/virtio/virtiotest"
)

func TestSeed(t *testing.T) {
	fake := &virtiotest.Device{ID: virtio.IDEntropy, QueueMax: []uint16{8}}
	fake.OnNotify = func(int) {
		r := fake.Ring(0)
		c, ok := r.Pop()
		if !ok {
			t.Error("notified for nothing")
			return
		}
		r.Push(c.Head, c.Fill([]byte("entropy")))
		r.Interrupt()
	}
	got := make(chan string, 1)
	s, err := open(fake, func(b []byte) { got <- string(b) })
	if err != nil {
		t.Fatal(err)
	}
	select {
	case b := <-got:
		if b != "entropy" {
			t.Errorf("%q", b)
		}
	case <-time.After(5 * time.Second):
		t.Fatal("no entropy")
	}
	for s.timer.When() == 0 {
		time.Sleep(time.Millisecond)
	}
	s.timer.Stop()
}

// A device that asks for a reset is not asked again.
func TestNeedsReset(t *testing.T) {
	asked := make(chan bool, 10)
	fake := &virtiotest.Device{ID: virtio.IDEntropy, QueueMax: []uint16{8}, OnNotify: func(int) { asked <- true }}
	s, err := open(fake, func([]byte) { t.Error("entropy of a device that gave none") })
	if err != nil {
		t.Fatal(err)
	}
	<-asked
	fake.Break(true)
	for deadline := time.Now().Add(10 * time.Second); fake.Status() != 0; {
		if time.Now().After(deadline) {
			t.Fatal("the device was not reset")
		}
		time.Sleep(time.Millisecond)
	}
	s.ask()
	select {
	case <-asked:
		t.Error("asked again")
	default:
	}
}
