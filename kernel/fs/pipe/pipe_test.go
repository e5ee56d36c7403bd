package pipe

import (
	"bytes"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	"gosv/abi/linux"
	"gosv/kernel/mm"
	"gosv/kernel/vfs"
	"gosv/kernel/wait"
)

func put(t *testing.T, f *vfs.File, s *wait.Sleeper, b []byte) (int64, error) {
	t.Helper()
	buf := mm.KernelBuf(b)
	return f.Write(s, &buf)
}

func take(t *testing.T, f *vfs.File, s *wait.Sleeper, n int) ([]byte, error) {
	t.Helper()
	b := make([]byte, n)
	buf := mm.KernelBuf(b)
	k, err := f.Read(s, &buf)
	return b[:k], err
}

// Bytes come out as they went in, whatever the sizes, with both ends blocking.
func TestStream(t *testing.T) {
	r, w, _ := New(&vfs.RootCreds, 0)
	sent := make([]byte, 1<<20)
	rnd := rand.New(rand.NewPCG(1, 2))
	for i := range sent {
		sent[i] = byte(rnd.Uint32())
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		var s wait.Sleeper
		rnd := rand.New(rand.NewPCG(3, 4))
		for b := sent; len(b) > 0; {
			n := min(1+rnd.IntN(100000), len(b))
			if k, err := put(t, w, &s, b[:n]); err != nil || k != int64(n) {
				t.Errorf("write: %d %v", k, err)
				break
			}
			b = b[n:]
		}
		w.Release()
	})
	var s wait.Sleeper
	var got []byte
	for {
		b, err := take(t, r, &s, 1+rnd.IntN(50000))
		if err != nil {
			t.Fatal(err)
		}
		if len(b) == 0 {
			break
		}
		got = append(got, b...)
	}
	wg.Wait()
	r.Release()
	if !bytes.Equal(got, sent) {
		t.Errorf("%d bytes differ from %d", len(got), len(sent))
	}
}

func TestLimits(t *testing.T) {
	r, w, _ := New(&vfs.RootCreds, unix.O_NONBLOCK)
	if _, err := take(t, r, nil, 1); err != unix.EAGAIN {
		t.Errorf("empty: %v", err)
	}
	if n, err := put(t, w, nil, make([]byte, 100000)); n != 65536 || err != nil {
		t.Errorf("fill: %d %v", n, err)
	}
	if ev := w.Readiness(); ev&wait.Out != 0 {
		t.Errorf("full pipe is writable: %x", ev)
	}
	p, _, _ := Of(r)
	if _, err := p.SetCapacity(&vfs.RootCreds, 4096); err != unix.EBUSY {
		t.Errorf("shrink: %v", err)
	}
	if n, err := p.SetCapacity(&vfs.RootCreds, 100000); n != 131072 || err != nil {
		t.Errorf("grow: %d %v", n, err)
	}
	if _, err := p.SetCapacity(&vfs.Creds{UID: 1}, 2<<20); err != unix.EPERM {
		t.Errorf("too much: %v", err)
	}
	if n, err := put(t, w, nil, make([]byte, 4096*15+100)); n != 4096*15+100 || err != nil {
		t.Errorf("fill again: %d %v", n, err)
	}
	// One page is left in slots: a write up to PIPE_BUF goes wholly or not at all.
	if n, err := put(t, w, nil, make([]byte, 4000)); n != 0 || err != unix.EAGAIN {
		t.Errorf("atomic: %d %v", n, err)
	}
	r.Release()
	if _, err := put(t, w, nil, []byte("x")); err != unix.EPIPE {
		t.Errorf("no reader: %v", err)
	}
	if ev := w.Readiness(); ev&wait.Err == 0 {
		t.Errorf("no reader: %x", ev)
	}
	w.Release()
}

func TestPackets(t *testing.T) {
	r, w, _ := New(&vfs.RootCreds, unix.O_DIRECT)
	put(t, w, nil, []byte("first"))
	put(t, w, nil, []byte("second"))
	if b, _ := take(t, r, nil, 3); string(b) != "fir" {
		t.Errorf("%q", b)
	}
	if b, _ := take(t, r, nil, 100); string(b) != "second" {
		t.Errorf("%q", b)
	}
	r.Release()
	w.Release()
}

func TestTeeAndTransfer(t *testing.T) {
	r1, w1, _ := New(&vfs.RootCreds, 0)
	r2, w2, _ := New(&vfs.RootCreds, 0)
	put(t, w1, nil, []byte("abcdef"))
	from, _, _ := Of(r1)
	to, _, _ := Of(w2)
	if n, err := from.Transfer(nil, to, 4, true, false); n != 4 || err != nil {
		t.Fatalf("tee: %d %v", n, err)
	}
	put(t, w2, nil, []byte("XY")) // may not show in the first pipe
	put(t, w1, nil, []byte("gh"))
	if n, err := from.Transfer(nil, to, 3, false, false); n != 3 || err != nil {
		t.Fatalf("splice: %d %v", n, err)
	}
	if b, _ := take(t, r2, nil, 100); string(b) != "abcdXYabc" {
		t.Errorf("%q", b)
	}
	if b, _ := take(t, r1, nil, 100); string(b) != "defgh" {
		t.Errorf("%q", b)
	}
	for _, f := range []*vfs.File{r1, w1, r2, w2} {
		f.Release()
	}
}

func TestInterrupted(t *testing.T) {
	r, w, _ := New(&vfs.RootCreds, 0)
	pending := make(chan bool, 1)
	var s wait.Sleeper
	go func() {
		time.Sleep(10 * time.Millisecond)
		pending <- true
		s.Interrupt()
	}()
	s.Pending = func() bool { return len(pending) > 0 }
	if _, err := take(t, r, &s, 1); err != linux.ERESTARTSYS {
		t.Errorf("%v", err)
	}
	r.Release()
	w.Release()
}

// A FIFO's ends wait for each other.
func TestFIFO(t *testing.T) {
	p := NewPipe()
	if _, err := p.OpenEnd(unix.O_WRONLY | unix.O_NONBLOCK); err != unix.ENXIO {
		t.Errorf("writer alone: %v", err)
	}
	opened := make(chan error)
	go func() {
		var s wait.Sleeper
		e, err := p.OpenEnd(unix.O_RDONLY)
		if err == nil {
			err = p.WaitPeer(&s, e, unix.O_RDONLY)
		}
		opened <- err
	}()
	select {
	case err := <-opened:
		t.Fatalf("reader did not wait: %v", err)
	case <-time.After(20 * time.Millisecond):
	}
	e, err := p.OpenEnd(unix.O_WRONLY)
	if err != nil {
		t.Fatal(err)
	}
	var s wait.Sleeper
	if err := p.WaitPeer(&s, e, unix.O_WRONLY); err != nil {
		t.Error(err)
	}
	if err := <-opened; err != nil {
		t.Error(err)
	}
}
