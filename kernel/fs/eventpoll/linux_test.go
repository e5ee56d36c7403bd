package eventpoll

import (
	"cmp"
	"slices"
	"syscall"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
	"gosv/kernel/mm"
	"gosv/kernel/vfs"
)

// FuzzAgainstLinux does the same with instances and event counters here and with
// those of the host, and compares every result. A step is two bytes.
func FuzzAgainstLinux(f *testing.F) {
	f.Add([]byte{0, 0x11, 1, 0, 2, 0, 0, 0x25, 1, 1, 2, 0, 2, 0})
	f.Add([]byte{0, 0xf1, 0, 0xe9, 2, 1, 3, 1, 2, 0, 4, 1, 2, 1, 5, 0, 2, 0})
	f.Fuzz(func(t *testing.T, steps []byte) {
		if len(steps) > 400 {
			return
		}
		w := newWorld(t)
		defer w.close()
		for i := 0; i+1 < len(steps); i += 2 {
			w.step(i, steps[i], steps[i+1])
		}
	})
}

const (
	counters  = 4
	instances = 3
	objects   = counters + instances
)

// world is the objects, twice.
type world struct {
	t    testing.TB
	m    *memory
	mine [objects]*vfs.File
	host [objects]int

	// nested says that instances watch instances. Linux tells the pollers of a
	// file in another order then, so all events are taken, and sorted.
	nested bool
}

func newWorld(t testing.TB) *world {
	w := &world{t: t, m: newMemory(t)}
	for i := range objects {
		w.open(i)
	}
	return w
}

func (w *world) open(i int) {
	var err error
	if i < counters {
		w.mine[i] = newEventfd(0)
		w.host[i], err = unix.Eventfd(0, unix.EFD_NONBLOCK)
	} else {
		w.mine[i] = newInstance()
		w.host[i], err = unix.EpollCreate1(0)
	}
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) close() {
	for i := range objects {
		w.mine[i].Release()
		unix.Close(w.host[i])
	}
}

func (w *world) step(at int, op, arg byte) {
	t := w.t
	obj := int(arg) % counters
	ep := counters + int(arg>>6)%instances
	switch op % 6 {
	case 0, 5: // epoll_ctl
		target := int(arg) % objects
		events := [...]uint32{unix.EPOLLIN, unix.EPOLLOUT, unix.EPOLLIN | unix.EPOLLOUT, unix.EPOLLIN | flagEdge,
			unix.EPOLLIN | unix.EPOLLOUT | flagOneshot, unix.EPOLLIN | flagExclusive, 0, unix.EPOLLIN | unix.EPOLLOUT | flagEdge | flagOneshot}[arg>>3&7]
		ctl := unix.EPOLL_CTL_ADD
		if op%6 == 5 {
			ctl = [...]int{unix.EPOLL_CTL_MOD, unix.EPOLL_CTL_DEL, 77, unix.EPOLL_CTL_MOD}[op>>3&3]
		}
		w.nested = w.nested || target >= counters
		data := uint64(at)<<32 | uint64(target)
		err := instance(w.mine[ep]).Control(ctl, w.host[target], w.mine[target], events, data)
		ev := unix.EpollEvent{Events: events, Fd: int32(data), Pad: int32(data >> 32)}
		_, _, e := syscall.Syscall6(syscall.SYS_EPOLL_CTL, uintptr(w.host[ep]), uintptr(ctl), uintptr(w.host[target]), uintptr(unsafe.Pointer(&ev)), 0, 0)
		if got, _ := err.(syscall.Errno); got != e {
			t.Fatalf("step %d: epoll_ctl(%d, %d, %d, %#x): %v, the host says %v", at, ep, ctl, target, events, got, e)
		}
	case 1: // write
		v := []byte{1 + arg>>2&3, 0, 0, 0, 0, 0, 0, 0}
		b := mm.KernelBuf(v)
		w.mine[obj].Write(nil, &b)
		unix.Write(w.host[obj], v)
	case 3: // read
		b := mm.KernelBuf(make([]byte, 8))
		_, err := w.mine[obj].Read(nil, &b)
		_, herr := unix.Read(w.host[obj], make([]byte, 8))
		if err != herr {
			t.Fatalf("step %d: read(%d): %v, the host says %v", at, obj, err, herr)
		}
	case 2: // epoll_wait
		limit := 1 + int(arg&7)
		if w.nested {
			limit = 16
		}
		got := w.m.wait(t, instance(w.mine[ep]), nil, limit, false, 0)
		evs := make([]unix.EpollEvent, limit)
		n, err := unix.EpollWait(w.host[ep], evs, 0)
		if err != nil {
			t.Fatal(err)
		}
		var want []event
		for _, e := range evs[:n] {
			want = append(want, event{e.Events, uint64(uint32(e.Fd)) | uint64(uint32(e.Pad))<<32})
		}
		if w.nested {
			order := func(a, b event) int { return cmp.Compare(a.data, b.data) }
			slices.SortFunc(got, order)
			slices.SortFunc(want, order)
		}
		if !slices.Equal(got, want) {
			t.Fatalf("step %d: epoll_wait(%d, %d):\ngot  %x\nwant %x", at, ep, limit, got, want)
		}
	case 4: // close and open again
		i := int(arg) % objects
		w.mine[i].Release()
		unix.Close(w.host[i])
		w.open(i)
	}
}
