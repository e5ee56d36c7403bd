package unix

import (
	"math/rand/v2"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"gosv/kernel/net/socket"
	"gosv/kernel/vfs"
)

// file makes the open file of a socket.
func file(s *Socket) *vfs.File { return socket.NewFile(caller(), s, 0) }

// gone waits until there are n sockets, and nothing in flight.
func gone(t *testing.T, n int) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); Count() != n && time.Now().Before(end); {
		collect()
		time.Sleep(time.Millisecond)
	}
	if left := Count() - n; left != 0 {
		t.Errorf("%d sockets are left", left)
	}
	inflight.mu.Lock()
	defer inflight.mu.Unlock()
	if inflight.total != 0 || len(inflight.sockets) != 0 || len(inflight.users) != 0 {
		t.Errorf("in flight: %d, %d sockets, of %d users", inflight.total, len(inflight.sockets), len(inflight.users))
	}
}

// Sockets that only each other's messages hold are closed.
func TestGarbage(t *testing.T) {
	before := Count()
	a, b := pair(t, unix.SOCK_STREAM)
	c, d := pair(t, unix.SOCK_STREAM)
	fa, fb, fc, fd := file(a), file(b), file(c), file(d)
	// b's queue holds d, d's queue holds b.
	fd.Retain()
	fb.Retain()
	send(a, []byte("x"), fd)
	send(c, []byte("x"), fb)
	fa.Release()
	fc.Release()
	fb.Release()
	fd.Release()
	gone(t, before)
	// What can be reached stays.
	a, b = pair(t, unix.SOCK_STREAM)
	fa, fb = file(a), file(b)
	fa.Retain()
	send(a, []byte("x"), fa)
	fa.Release()
	if garbage := findGarbage(); garbage != nil {
		t.Errorf("garbage: %v", garbage)
	}
	if _, files, err := recv(b, make([]byte, 1)); err != nil || len(files) != 1 || files[0] != fa {
		t.Errorf("files %v, %v", files, err)
	} else {
		files[0].Release()
	}
	fb.Release()
	gone(t, before)
}

// A chain of sockets in flight is closed without recursion, and no collection is
// needed for it.
func TestChain(t *testing.T) {
	before := Count()
	const links = 10000
	var last *vfs.File
	for range links {
		a, b := pair(t, unix.SOCK_DGRAM)
		fa, fb := file(a), file(b)
		if last != nil {
			m, err := send(a, []byte("x"), last)
			if m != 1 || err != nil {
				t.Fatal(m, err)
			}
		}
		fa.Release()
		last = fb
	}
	if inflight.circles.Load() {
		t.Error("a chain counts as a circle")
	}
	last.Release()
	gone(t, before)
}

// A connection that waits in a listener's queue holds what was sent to it.
func TestGarbageListener(t *testing.T) {
	before := Count()
	for _, accepted := range []bool{false, true} {
		l := newSocket(unix.SOCK_STREAM)
		fl := file(l)
		name := append([]byte{unix.AF_UNIX, 0, 0}, "listener"...)
		if err := l.Bind(caller(), name); err != nil {
			t.Fatal(err)
		}
		if err := l.Listen(caller(), 1); err != nil {
			t.Fatal(err)
		}
		c := newSocket(unix.SOCK_STREAM)
		fc := file(c)
		if err := c.Connect(caller(), name); err != nil {
			t.Fatal(err)
		}
		fl.Retain()
		send(c, []byte("x"), fl) // the listener waits in its own queue
		if accepted {
			x, err := l.Accept(caller())
			if err != nil {
				t.Fatal(err)
			}
			fx := file(x.(*Socket))
			fl.Release()
			fc.Release()
			if garbage := findGarbage(); garbage != nil {
				t.Error("a listener that an open connection holds is garbage")
			}
			fx.Release()
		} else {
			fl.Release()
			fc.Release()
		}
		gone(t, before)
	}
}

// Sockets are sent to others at random, and received: when the descriptors are
// closed nothing is left, and what is open has kept its data.
func TestGarbageRandom(t *testing.T) {
	before := Count()
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 1))
		var open []*vfs.File
		for range 2 + r.IntN(10) {
			a, b := pair(t, unix.SOCK_DGRAM)
			open = append(open, file(a), file(b))
		}
		for range 100 {
			if len(open) == 0 {
				break
			}
			i := r.IntN(len(open))
			f := open[i]
			switch r.IntN(4) {
			case 0:
				open[i] = open[len(open)-1]
				open = open[:len(open)-1]
				f.Release()
			case 1:
				if _, files, err := recv(socketOf(f), make([]byte, 8)); err == nil {
					open = append(open, files...)
				}
			default:
				g := open[r.IntN(len(open))]
				g.Retain()
				send(socketOf(f), []byte("x"), g) // drops g when it fails
			}
		}
		// Each socket that is open and all that it leads to must have survived.
		for _, f := range open {
			if socketOf(f).gone.Load() {
				t.Fatalf("seed %d: an open socket was closed", seed)
			}
		}
		for len(open) > 0 {
			f := open[len(open)-1]
			open = open[:len(open)-1]
			f.Release()
		}
		gone(t, before)
	}
}
