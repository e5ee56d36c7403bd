package eventpoll

import (
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	"gosv/kernel/cpu"
	"gosv/kernel/frame"
	"gosv/kernel/fs/eventfd"
	"gosv/kernel/mm"
	"gosv/kernel/vfs"
	"gosv/kernel/wait"
)

var initFrames = sync.OnceFunc(func() {
	frame.Init([]frame.Region{{Base: cpu.ArenaBase, Size: 64 << 20}})
})

// memory is an address space with a page for events.
type memory struct {
	as   *mm.AddressSpace
	addr uint64
}

func newMemory(t testing.TB) *memory {
	initFrames()
	as, err := mm.New()
	if err != nil {
		t.Fatal(err)
	}
	addr, err := as.Mmap(mm.MapArgs{Len: 4 << 10, Prot: mm.ProtRead | mm.ProtWrite, Flags: unix.MAP_PRIVATE | unix.MAP_ANONYMOUS})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(as.Release)
	return &memory{as, addr}
}

type event struct {
	events uint32
	data   uint64
}

// wait calls epoll_wait.
func (m *memory) wait(t testing.TB, ep *Instance, s *wait.Sleeper, limit int, block bool, deadline int64) []event {
	n, err := ep.Wait(s, m.as, m.addr, limit, block, deadline)
	if err != nil {
		t.Fatal(err)
	}
	var evs []event
	for i := range n {
		var b [EventSize]byte
		if err := m.as.CopyIn(b[:], m.addr+uint64(i*EventSize)); err != nil {
			t.Fatal(err)
		}
		e, d := DecodeEvent(&b)
		evs = append(evs, event{e, d})
	}
	return evs
}

func newEventfd(count uint64) *vfs.File {
	return vfs.NewFile(eventfd.New(count, false), eventfd.Name, unix.O_RDWR|unix.O_NONBLOCK)
}

func newInstance() *vfs.File { return vfs.NewFile(New(0), Name, unix.O_RDWR) }

func instance(f *vfs.File) *Instance { return f.Impl().(*Instance) }

func add(t testing.TB, f *vfs.File, v uint64) {
	b := mm.KernelBuf([]byte{byte(v), byte(v >> 8), 0, 0, 0, 0, 0, 0})
	if _, err := f.Write(nil, &b); err != nil {
		t.Fatal(err)
	}
}

func TestBlocking(t *testing.T) {
	m := newMemory(t)
	ep, f := newInstance(), newEventfd(0)
	defer ep.Release()
	defer f.Release()
	if err := instance(ep).Control(unix.EPOLL_CTL_ADD, 3, f, uint32(wait.In), 7); err != nil {
		t.Fatal(err)
	}
	var s wait.Sleeper
	start := cpu.Nanotime()
	if evs := m.wait(t, instance(ep), &s, 4, true, start+20e6); len(evs) != 0 || cpu.Nanotime() < start+20e6 {
		t.Errorf("got %v after %v", evs, time.Duration(cpu.Nanotime()-start))
	}
	go func() {
		time.Sleep(5 * time.Millisecond)
		add(t, f, 1)
	}()
	if evs := m.wait(t, instance(ep), &s, 4, true, 0); len(evs) != 1 || evs[0] != (event{uint32(wait.In), 7}) {
		t.Errorf("got %v", evs)
	}
}

// TestWakeOne has several threads wait for one instance: edge-triggered, each
// event wakes one of them.
func TestWakeOne(t *testing.T) {
	const threads, events = 4, 200
	ep := newInstance()
	defer ep.Release()
	files := make([]*vfs.File, events)
	for i := range files {
		files[i] = newEventfd(0)
		if err := instance(ep).Control(unix.EPOLL_CTL_ADD, i, files[i], uint32(wait.In)|flagEdge, uint64(i)); err != nil {
			t.Fatal(err)
		}
	}
	var mu sync.Mutex
	seen := make(map[uint64]int)
	var wg sync.WaitGroup
	for range threads {
		m := newMemory(t)
		wg.Add(1)
		go func() {
			defer wg.Done()
			var s wait.Sleeper
			for {
				for _, e := range m.wait(t, instance(ep), &s, 1, true, cpu.Nanotime()+300e6) {
					mu.Lock()
					seen[e.data]++
					mu.Unlock()
				}
				mu.Lock()
				n := len(seen)
				mu.Unlock()
				if n == events {
					return
				}
			}
		}()
	}
	for _, f := range files {
		add(t, f, 1)
	}
	wg.Wait()
	for i := range files {
		if seen[uint64(i)] != 1 {
			t.Errorf("event %d was seen %d times", i, seen[uint64(i)])
		}
		files[i].Release()
	}
}

func TestClosedFileGoes(t *testing.T) {
	m := newMemory(t)
	ep, f := newInstance(), newEventfd(1)
	defer ep.Release()
	instance(ep).Control(unix.EPOLL_CTL_ADD, 3, f, uint32(wait.In), 7)
	f.Retain() // dup
	f.Release()
	if evs := m.wait(t, instance(ep), nil, 4, false, 0); len(evs) != 1 {
		t.Errorf("with a duplicate open: %v", evs)
	}
	f.Release()
	if evs := m.wait(t, instance(ep), nil, 4, false, 0); len(evs) != 0 {
		t.Errorf("after the last close: %v", evs)
	}
	if len(instance(ep).items) != 0 {
		t.Error("the item is still there")
	}
}

// TestFault has the program give memory that cannot be written: no event is lost.
func TestFault(t *testing.T) {
	m := newMemory(t)
	ep, f := newInstance(), newEventfd(1)
	defer ep.Release()
	defer f.Release()
	instance(ep).Control(unix.EPOLL_CTL_ADD, 3, f, uint32(wait.In)|flagEdge|flagOneshot, 7)
	if _, err := instance(ep).Wait(nil, m.as, 4096, 1, false, 0); err != unix.EFAULT {
		t.Errorf("got %v, want EFAULT", err)
	}
	if evs := m.wait(t, instance(ep), nil, 4, false, 0); len(evs) != 1 {
		t.Errorf("got %v", evs)
	}
}

func TestNesting(t *testing.T) {
	eps := make([]*vfs.File, 7)
	for i := range eps {
		eps[i] = newInstance()
		defer eps[i].Release()
	}
	watch := func(outer, inner int) error {
		return instance(eps[outer]).Control(unix.EPOLL_CTL_ADD, 100+inner, eps[inner], uint32(wait.In), uint64(inner))
	}
	for i := range 4 {
		if err := watch(i, i+1); err != nil {
			t.Fatalf("%d watches %d: %v", i, i+1, err)
		}
	}
	for _, c := range []struct{ outer, inner int }{{4, 5}, {6, 0}, {4, 0}, {2, 1}} {
		if err := watch(c.outer, c.inner); err != unix.ELOOP {
			t.Errorf("%d watches %d: %v, want ELOOP", c.outer, c.inner, err)
		}
	}
	if err := watch(2, 2); err != unix.EINVAL {
		t.Errorf("an instance watches itself: %v", err)
	}
	// An event at the innermost reaches the outermost.
	m := newMemory(t)
	f := newEventfd(0)
	defer f.Release()
	instance(eps[4]).Control(unix.EPOLL_CTL_ADD, 3, f, uint32(wait.In), 9)
	go func() {
		time.Sleep(5 * time.Millisecond)
		add(t, f, 1)
	}()
	var s wait.Sleeper
	if evs := m.wait(t, instance(eps[0]), &s, 4, true, 0); len(evs) != 1 || evs[0].data != 1 {
		t.Errorf("got %v", evs)
	}
	// What goes away makes room again.
	eps[5].Retain()
	instance(eps[3]).Control(unix.EPOLL_CTL_DEL, 104, eps[4], 0, 0)
	if err := watch(3, 5); err != nil {
		t.Error(err)
	}
	eps[5].Release()
}

// TestConcurrent adds, changes, closes and waits at once, for the race detector
// and for deadlocks.
func TestConcurrent(t *testing.T) {
	outer, ep := newInstance(), newInstance()
	instance(outer).Control(unix.EPOLL_CTL_ADD, 1, ep, uint32(wait.In)|flagEdge, 1)
	stop := make(chan struct{})
	var wg sync.WaitGroup
	run := func(f func(i int)) {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
					f(i)
				}
			}
		}()
	}
	long := newEventfd(0)
	instance(ep).Control(unix.EPOLL_CTL_ADD, 5, long, uint32(wait.In), 5)
	for k := range 2 {
		run(func(i int) {
			f := newEventfd(1)
			instance(ep).Control(unix.EPOLL_CTL_ADD, 10+k, f, uint32(wait.In|wait.Out), 1)
			instance(ep).Control(unix.EPOLL_CTL_MOD, 10+k, f, uint32(wait.In)|flagOneshot, 1)
			if i%2 == 0 {
				instance(ep).Control(unix.EPOLL_CTL_DEL, 10+k, f, 0, 0)
			}
			f.Release()
		})
	}
	run(func(i int) {
		add(t, long, 1)
		b := mm.KernelBuf(make([]byte, 8))
		long.Read(nil, &b)
	})
	for _, f := range []*vfs.File{outer, ep} {
		m := newMemory(t)
		run(func(int) {
			var s wait.Sleeper
			m.wait(t, instance(f), &s, 3, true, cpu.Nanotime()+1e6)
		})
	}
	time.Sleep(200 * time.Millisecond)
	close(stop)
	wg.Wait()
	ep.Release()
	outer.Release()
	long.Release()
}
