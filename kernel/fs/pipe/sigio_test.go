package pipe

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	"gosv/abi/linux"
	"gosv/kernel/vfs"
)

// Writers, O_ASYNC going on and off, and the end of the file at once.
func TestAsync(t *testing.T) {
	var in, other atomic.Int32
	defer func(f func(*vfs.FileOwner, int, int32)) { vfs.SendIO = f }(vfs.SendIO)
	vfs.SendIO = func(o *vfs.FileOwner, fd int, code int32) {
		if o.PID == 7 && fd == 5 && code == linux.POLL_IN {
			in.Add(1)
		} else {
			other.Add(1)
		}
	}
	for range 100 {
		r, w, _ := New(&vfs.RootCreds, unix.O_NONBLOCK)
		r.SetOwner(&vfs.FileOwner{Type: linux.F_OWNER_PID, PID: 7, Signal: linux.SIGRTMIN})
		r.SetAsync(true, 5)
		var wg sync.WaitGroup
		wg.Go(func() {
			for range 10 {
				put(t, w, nil, []byte("x"))
			}
		})
		wg.Go(func() {
			for i := range 10 {
				r.SetAsync(i&1 == 1, 5)
			}
		})
		wg.Wait()
		go w.Release()
		r.Release()
	}
	before := in.Load()
	r, w, _ := New(&vfs.RootCreds, 0)
	r.SetOwner(&vfs.FileOwner{Type: linux.F_OWNER_PID, PID: 7, Signal: linux.SIGRTMIN})
	r.SetAsync(true, 5)
	put(t, w, nil, []byte("x"))
	for end := time.Now().Add(10 * time.Second); in.Load() == before && time.Now().Before(end); time.Sleep(time.Millisecond) {
	}
	if in.Load() == before || other.Load() != 0 {
		t.Errorf("%d signals after %d, %d others", in.Load(), before, other.Load())
	}
	r.Release()
	w.Release()
}
