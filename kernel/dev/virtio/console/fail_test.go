package console

import (
	"testing"
	"time"

	"gosv/kernel/wait"
)

// A device that asks for a reset while a program waits for room, and another for input: both go on as if the host had closed
// the ports.
func TestNeedsReset(t *testing.T) {
	eachKind(t, func(t *testing.T, h *host) {
		h.blocked = true
		c := mustOpen(t, h)
		out, never := c.Port("gosv.stdio"), c.Port("never bound")
		full := make([]byte, 3*txSize)
		for deadline := time.Now().Add(10 * time.Second); !out.Bound() && time.Now().Before(deadline); {
			time.Sleep(time.Millisecond)
		}
		if n := out.Write(full); n >= len(full) {
			t.Fatalf("a host that takes nothing has taken %d bytes", n)
		}
		woken := make(chan wait.Events, 10)
		w := wait.Waiter{Mask: wait.Writable | wait.Hup | wait.Err, Notify: func(ev wait.Events) { woken <- ev }}
		out.Queue().Add(&w)
		h.fake.Break(true)
		select {
		case <-woken:
		case <-time.After(10 * time.Second):
			t.Fatal("nobody was woken")
		}
		out.Queue().Remove(&w)
		for _, p := range []*Port{out, never, c.Port("new")} {
			for deadline := time.Now().Add(10 * time.Second); p.Readiness()&wait.Hup == 0; {
				if time.Now().After(deadline) {
					t.Fatalf("port %q is not closed", p.Name())
				}
				time.Sleep(time.Millisecond)
			}
			if n := p.Write(full); n != len(full) {
				t.Errorf("port %q: %d bytes were taken", p.Name(), n)
			}
			if n, eof := p.Read(make([]byte, 10)); n != 0 || !eof {
				t.Errorf("port %q: read %d, %v", p.Name(), n, eof)
			}
			p.Flush()
		}
		if h.fake.Status() != 0 {
			t.Error("the device was not reset")
		}
	})
}
