package serial

import (
	"bytes"
	"sync"
	"testing"
	"time"

	"gosv/kernel/wait"
)

// uart plays the hardware: 16 bytes of FIFO, and a host that sends when there is room.
type uart struct {
	mu      sync.Mutex
	fifo    []byte
	pending []byte // what the host has not sent yet
	ier     uint8
	scratch uint8
	sent    bytes.Buffer
	irq     chan struct{}
}

func (u *uart) fill() {
	for len(u.fifo) < 16 && len(u.pending) > 0 {
		u.fifo = append(u.fifo, u.pending[0])
		u.pending = u.pending[1:]
	}
	if len(u.fifo) > 0 && u.ier&ierReceive != 0 {
		select {
		case u.irq <- struct{}{}:
		default:
		}
	}
}

func (u *uart) in(reg uint16) uint8 {
	u.mu.Lock()
	defer u.mu.Unlock()
	switch reg {
	case regLSR:
		if len(u.fifo) > 0 {
			return lsrReady | 0x60
		}
		return 0x60
	case regData:
		b := u.fifo[0]
		u.fifo = u.fifo[1:]
		u.fill()
		return b
	case regSCR:
		return u.scratch
	}
	return 0
}

func (u *uart) out(reg uint16, v uint8) {
	u.mu.Lock()
	defer u.mu.Unlock()
	switch reg {
	case regIER:
		u.ier = v
		u.fill()
	case regSCR:
		u.scratch = v
	}
}

func (u *uart) write(p []byte) { u.sent.Write(p) }
func (u *uart) Wait()          { <-u.irq }

func (u *uart) send(p []byte) {
	u.mu.Lock()
	u.pending = append(u.pending, p...)
	u.fill()
	u.mu.Unlock()
}

// TestReceive sends more than the ring holds to a slow reader: nothing is lost.
func TestReceive(t *testing.T) {
	u := &uart{irq: make(chan struct{}, 1)}
	p := &Port{regs: u}
	if err := p.probe(); err != nil {
		t.Fatal(err)
	}
	ready := make(chan struct{}, 1)
	p.Queue().Add(&wait.Waiter{Mask: wait.Readable, Notify: func(wait.Events) {
		select {
		case ready <- struct{}{}:
		default:
		}
	}})
	p.start(u)
	want := make([]byte, 3*ringSize+100)
	for i := range want {
		want[i] = byte(i * 31 >> 3)
	}
	go u.send(want)
	time.Sleep(10 * time.Millisecond) // the ring fills up
	var got []byte
	for len(got) < len(want) {
		b := make([]byte, 1000)
		n, eof := p.Read(b)
		if eof {
			t.Fatal("end of input")
		}
		if n == 0 {
			select {
			case <-ready:
			case <-time.After(5 * time.Second):
				t.Fatalf("no more after %d of %d bytes", len(got), len(want))
			}
		}
		got = append(got, b[:n]...)
	}
	if !bytes.Equal(got, want) {
		t.Error("bytes differ")
	}
	if p.Write([]byte("x\n")) != 2 || u.sent.String() != "x\n" {
		t.Errorf("sent %q", u.sent.String())
	}
}

func TestNoUART(t *testing.T) {
	if _, err := Open(COM1, COM1IRQ); err != ErrNoUART {
		t.Errorf("got %v on a host without ports", err)
	}
}
