package net

import (
	"testing"
	"time"

	"gosv/kernel/dev/virtio/virtiotest"
)

func send(d *Device, n int) (ok bool) {
	f, ok := d.Begin(0, n, &Header{})
	if ok {
		f.Write(make([]byte, n))
		f.End()
	}
	return ok
}

// fill sends until there is no room: the device takes nothing back.
func fill(t *testing.T, d *Device) int {
	t.Helper()
	for n := range 10000 {
		if !send(d, 5000) {
			d.Kick(0)
			return n
		}
	}
	t.Fatal("there is room without end")
	return 0
}

func TestNeedsReset(t *testing.T) {
	fake, r := &virtiotest.Device{Offer: allFeatures}, newRecorder()
	d := open(t, fake, r)
	if fill(t, d) == 0 {
		t.Fatal("no room at all")
	}
	fake.Break(true)
	select {
	case up := <-r.links:
		if up {
			t.Error("the link is up")
		}
	case <-time.After(10 * time.Second):
		t.Fatal("the link stays")
	}
	select {
	case <-r.rooms: // what waits is to be sent, and lost
	case <-time.After(10 * time.Second):
		t.Fatal("what waits is not let go")
	}
	dropped := d.Counters.TxDropped.Load()
	for range 1000 {
		if !send(d, 5000) {
			t.Fatal("a packet waits for a device that is gone")
		}
		d.Kick(0)
	}
	if n := d.Counters.TxDropped.Load() - dropped; n != 1000 {
		t.Errorf("%d packets count as lost", n)
	}
	if d.LinkUp() || fake.Status() != 0 {
		t.Error("the link is up, or the device was not reset")
	}
}

// A device whose used index runs away is not followed for ever.
func TestRunaway(t *testing.T) {
	fake, r := &virtiotest.Device{Offer: allFeatures, Hostile: true}, newRecorder()
	r.rooms = make(chan int, 100000)
	d := open(t, fake, r)
	rings := []*virtiotest.Ring{fake.Ring(0), fake.Ring(1)}
	stop, stopped := make(chan bool), make(chan bool)
	go func() {
		defer close(stopped)
		for n := uint16(0); ; n += 301 {
			select {
			case <-stop:
				return
			default:
				for _, ring := range rings {
					ring.SetUsed(n)
				}
			}
		}
	}()
	sent, received := make(chan bool), make(chan bool)
	go func() {
		for range 1000 {
			send(d, 5000)
			d.tx[0].serve()
		}
		close(sent)
	}()
	go func() {
		d.rx[0].serve() // a flood: it may take as long as that
		close(received)
	}()
	for _, c := range []chan bool{sent, received} {
		select {
		case <-c:
		case <-time.After(30 * time.Second):
			t.Error("the driver follows the device")
		}
		if c == sent {
			close(stop)
			<-stopped
		}
	}
}
