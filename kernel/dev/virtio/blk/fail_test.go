package blk

import (
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"gosv/kernel/frame"
)

// held opens a disk that holds its requests, and starts some reads.
func held(t *testing.T) (h *disk, d *Disk, errs chan error, f []frame.Frame) {
	h = newDisk(t, 8<<20, all)
	h.hold = true
	d, err := Open(h.fake)
	if err != nil {
		t.Fatal(err)
	}
	const n = 30 // more than the slots and the queue take at once
	errs = make(chan error, n)
	for i := range n {
		g := frames(t, 50)
		f = append(f, g...)
		d.ReadAsync(uint64(i*51), g, func(err error) { errs <- err })
	}
	return h, d, errs, f
}

// allFail waits until all reads have ended with EIO, and tries others.
func allFail(t *testing.T, d *Disk, errs chan error) {
	t.Helper()
	for i := range cap(errs) {
		select {
		case err := <-errs:
			if err != unix.EIO {
				t.Fatalf("read %d: %v", i, err)
			}
		case <-time.After(20 * time.Second):
			t.Fatalf("only %d of %d reads have ended", i, cap(errs))
		}
	}
	if n, err := d.ReadAt(make([]byte, 10), 0); n != 0 || err != unix.EIO {
		t.Errorf("a read afterwards: %d %v", n, err)
	}
	if err := d.WriteRange(0, []frame.Frame{frames(t, 1)[0]}); err != unix.EIO {
		t.Errorf("a write afterwards: %v", err)
	}
	if err := d.Flush(); err != unix.EIO {
		t.Errorf("a flush afterwards: %v", err)
	}
	if !d.dev.Broken() {
		t.Error("the device is not given up")
	}
	d.serve() // a late interrupt
	select {
	case err := <-errs:
		t.Errorf("a read has ended twice: %v", err)
	default:
	}
}

// fast makes the watch quick.
func fast(t *testing.T) {
	old := watchInterval
	watchInterval = 10e6
	t.Cleanup(func() { watchInterval = old })
}

func TestNeedsReset(t *testing.T) {
	h, d, errs, f := held(t)
	h.fake.Break(true)
	allFail(t, d, errs)
	if h.fake.Status() != 0 {
		t.Error("the device was not reset")
	}
	for _, x := range f {
		if n := x.Refs(); n != 1 {
			t.Fatalf("%d references to a frame that the device cannot touch any more", n)
		}
	}
}

func TestNeedsResetSilently(t *testing.T) {
	fast(t)
	h, d, errs, _ := held(t)
	h.fake.Break(false)
	allFail(t, d, errs)
}

// A device that does not complete its reset may still write: its frames are not given back.
func TestStuckReset(t *testing.T) {
	h, d, errs, f := held(t)
	h.fake.StuckReset = true
	h.fake.Break(true)
	allFail(t, d, errs)
	kept := 0
	for _, x := range f {
		if x.Refs() > 1 {
			kept++
		}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	has := 0
	for _, c := range h.held {
		for _, b := range c.In[:len(c.In)-1] {
			has += len(b) / BlockSize
		}
	}
	if kept < has || kept > len(f) || has == 0 {
		t.Errorf("%d frames are kept; the device has %d of %d", kept, has, len(f))
	}
}

func TestSilence(t *testing.T) {
	fast(t)
	_, d, errs, _ := held(t)
	allFail(t, d, errs)
}

// A device that is slow, but goes on, is not given up; nor is one that does not interrupt.
func TestSlow(t *testing.T) {
	fast(t)
	h, d, errs, _ := held(t)
	for n := 0; n < cap(errs); {
		time.Sleep(3 * time.Duration(watchInterval))
		h.mu.Lock()
		if len(h.held) > 0 {
			c := h.held[0]
			h.held = h.held[1:]
			h.fake.Ring(0).Push(c.Head, h.do(c)) // no interrupt
		}
		h.mu.Unlock()
		select {
		case err := <-errs:
			if n++; err != nil {
				t.Fatal(err)
			}
			h.mu.Lock()
			h.hold = false
			h.answer()
			h.mu.Unlock()
		default:
		}
	}
	if d.dev.Broken() {
		t.Error("the device was given up")
	}
}

// A device that breaks while it is used by many: each transfer ends once.
func TestBreakInUse(t *testing.T) {
	for range 20 {
		h := newDisk(t, 1<<20, all)
		d, err := Open(h.fake)
		if err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		for i := range 8 {
			wg.Add(1)
			go func() {
				defer wg.Done()
				f := frames(t, 20)
				for {
					if err := d.FillRange(uint64(i*20), f); err != nil {
						if err != unix.EIO {
							t.Error(err)
						}
						return
					}
				}
			}()
		}
		time.Sleep(time.Millisecond)
		h.fake.Break(true)
		wg.Wait()
	}
}
