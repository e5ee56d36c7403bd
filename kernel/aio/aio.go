// Package aio is Linux's asynchronous I/O (io_setup(2), libaio): contexts with a ring of events that the program maps.
//
// As on Linux, what is asked for is done while it is submitted, but for polls, which wait in the queue of their file.
// The program moves the head of the ring when it takes events without a call; nothing that it writes there is trusted.
//
// Lock order:
//
//	registry.mu
//	wait queue of a file
//	  Context.readyMu
//	Context.mu          requests in flight and the ring
package aio

import (
	"sync"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"

	"gosv/kernel/frame"
	"gosv/kernel/fs/eventfd"
	"gosv/kernel/mm"
	"gosv/kernel/sysctl"
	"gosv/kernel/task"
	"gosv/kernel/vfs"
	"gosv/kernel/wait"
)

const (
	pageSize   = 4096
	headerSize = 32 // struct aio_ring
	eventSize  = 32 // struct io_event

	magic          = 0xa10a10a1
	compatFeatures = 1
)

// maxEvents is fs.aio-max-nr: how many events all contexts may have.
var maxEvents sysctl.Uint64 = 65536

// Offsets in struct aio_ring.
const (
	ringID     = 0
	ringNr     = 4
	ringHead   = 8
	ringTail   = 12
	ringMagic  = 16
	ringCompat = 20
	ringHeader = 28
)

// An Event is struct io_event.
type Event struct {
	Data, Obj uint64
	Res, Res2 int64
}

// A Context is what io_setup(2) makes.
type Context struct {
	owner   *task.Process
	as      *mm.AddressSpace // not retained: the owner has it
	addr    uint64           // of the mapping, which is its ID too
	max     uint32           // events that the program asked for
	nr      uint32           // events that the ring holds
	memory  *memory
	waiters wait.Queue // threads in io_getevents

	mu       sync.Mutex // guards what follows
	tail     uint32
	inflight uint32
	polls    map[uint64]*poll // by the address of the iocb
	dead     bool

	readyMu sync.Mutex // guards what follows
	ready   []*poll
	running bool
}

// memory is the ring's pages, which the mapping and the context share.
type memory struct {
	cache  *mm.Cache
	frames []frame.Frame
	refs   atomic.Int32
}

// Cache implements mm.Mappable.
func (m *memory) Cache() *mm.Cache { return m.cache }

// MapName implements mm.Mappable.
func (m *memory) MapName() string { return "/[aio] (deleted)" }

// Retain implements mm.Mappable.
func (m *memory) Retain() { m.refs.Add(1) }

// Release implements mm.Mappable.
func (m *memory) Release() {
	if m.refs.Add(-1) == 0 {
		for _, f := range m.frames {
			f.Unref()
		}
	}
}

// ResidentFrame implements mm.ResidentBacking.
func (m *memory) ResidentFrame(index uint64) (frame.Frame, bool) {
	if index >= uint64(len(m.frames)) {
		return 0, false
	}
	return m.frames[index], true
}

// FillPage implements mm.Backing.
func (m *memory) FillPage(uint64, frame.Frame) error { return unix.EFAULT }

// WritePage implements mm.Backing.
func (m *memory) WritePage(uint64, frame.Frame) error { return nil }

func (m *memory) at(off uint32) unsafe.Pointer {
	return unsafe.Pointer(&m.frames[off/pageSize].Bytes()[off%pageSize])
}

func (m *memory) load(off uint32) uint32     { return atomic.LoadUint32((*uint32)(m.at(off))) }
func (m *memory) store(off uint32, v uint32) { atomic.StoreUint32((*uint32)(m.at(off)), v) }

// event is entry i. Entries do not cross pages: the header is as long as one.
func (m *memory) event(i uint32) *Event { return (*Event)(m.at(headerSize + i*eventSize)) }

// registry is all contexts, by their address space.
var registry struct {
	mu     sync.Mutex
	spaces map[*mm.AddressSpace]map[uint64]*Context
	events uint32        // sum of max
	owners atomic.Int32  // contexts
	lastID atomic.Uint32 // for ringID
}

// Setup is io_setup(2): a context for n requests at a time. EINVAL, EAGAIN, ENOMEM.
func Setup(t *task.Thread, n uint32) (*Context, error) {
	if n == 0 || n > 0x10000000/eventSize {
		return nil, unix.EINVAL
	}
	registry.mu.Lock()
	if uint64(registry.events+n) > maxEvents.Load() || registry.events+n < n {
		registry.mu.Unlock()
		return nil, unix.EAGAIN
	}
	registry.events += n
	registry.mu.Unlock()
	c := &Context{owner: t.Proc, as: t.MM, max: n, polls: make(map[uint64]*poll)}
	if err := c.mapRing(t.MM, max(n, 8)*2+2); err != nil {
		registry.mu.Lock()
		registry.events -= n
		registry.mu.Unlock()
		return nil, err
	}
	registry.mu.Lock()
	defer registry.mu.Unlock()
	if registry.spaces == nil {
		registry.spaces = make(map[*mm.AddressSpace]map[uint64]*Context)
	}
	m := registry.spaces[t.MM]
	if m == nil {
		m = make(map[uint64]*Context)
		registry.spaces[t.MM] = m
	}
	m[c.addr] = c
	registry.owners.Add(1)
	return c, nil
}

// mapRing makes the ring, with room for at least n events, and maps it.
func (c *Context) mapRing(as *mm.AddressSpace, n uint32) error {
	m := new(memory)
	m.refs.Store(1)
	size := (headerSize + n*eventSize + pageSize - 1) &^ (pageSize - 1)
	for range size / pageSize {
		f := frame.AllocUser()
		if f == 0 {
			m.Release()
			return unix.ENOMEM
		}
		m.frames = append(m.frames, f)
	}
	m.cache = mm.NewCache(m)
	m.cache.InitSize(int64(size))
	c.memory, c.nr = m, (size-headerSize)/eventSize
	m.store(ringID, registry.lastID.Add(1))
	m.store(ringNr, c.nr)
	m.store(ringMagic, magic)
	m.store(ringCompat, compatFeatures)
	m.store(ringHeader, headerSize)
	addr, err := as.Mmap(mm.MapArgs{Len: uint64(size), Prot: mm.ProtRead | mm.ProtWrite, Flags: unix.MAP_SHARED, File: m})
	if err != nil {
		m.Release()
	}
	c.addr = addr
	return err
}

// ID is what the program knows the context by.
func (c *Context) ID() uint64 { return c.addr }

// Find returns a context of the thread's program; EINVAL.
func Find(t *task.Thread, id uint64) (*Context, error) {
	registry.mu.Lock()
	defer registry.mu.Unlock()
	c := registry.spaces[t.MM][id]
	if c == nil {
		return nil, unix.EINVAL
	}
	return c, nil
}

// Destroy is io_destroy(2): polls end, and the ring is unmapped. EINVAL.
func Destroy(t *task.Thread, id uint64) error {
	registry.mu.Lock()
	c := registry.spaces[t.MM][id]
	if c == nil {
		registry.mu.Unlock()
		return unix.EINVAL
	}
	c.forget()
	registry.mu.Unlock()
	c.end()
	t.MM.Munmap(c.addr, uint64(len(c.memory.frames))*pageSize) //nolint:errcheck // the program may have done so
	return nil
}

// forget takes the context out of the registry, whose mu is held.
func (c *Context) forget() {
	m := registry.spaces[c.as]
	delete(m, c.addr)
	if len(m) == 0 {
		delete(registry.spaces, c.as)
	}
	registry.events -= c.max
	registry.owners.Add(-1)
}

// end ends the polls, and those who wait for events.
func (c *Context) end() {
	c.mu.Lock()
	c.dead = true
	polls := c.polls
	c.polls = nil
	c.mu.Unlock()
	for _, p := range polls {
		p.drop()
	}
	c.waiters.Notify(wait.In)
	c.memory.Release()
}

var sysctls = [...]sysctl.Row{
	{Name: "fs.aio-nr", Value: &sysctl.Ulong{Get: func(int) uint64 {
		registry.mu.Lock()
		defer registry.mu.Unlock()
		return uint64(registry.events)
	}}},
	{Name: "fs.aio-max-nr", Value: &sysctl.Ulong{Var: &maxEvents}},
}

func init() {
	sysctl.Register(sysctls[:])
	task.OnLeave(func(t *task.Thread, last, _ bool) {
		if !last || registry.owners.Load() == 0 {
			return
		}
		var list []*Context
		registry.mu.Lock()
		for _, c := range registry.spaces[t.MM] {
			if c.owner == t.Proc {
				list = append(list, c)
			}
		}
		for _, c := range list {
			c.forget()
		}
		registry.mu.Unlock()
		for _, c := range list {
			c.end()
		}
	})
}

// Begin takes a place for a request; EAGAIN if all are in use.
func (c *Context) Begin() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.dead {
		return unix.EINVAL
	}
	if c.inflight+c.unread() >= c.nr-1 {
		return unix.EAGAIN
	}
	c.inflight++
	return nil
}

// Abort gives the place back.
func (c *Context) Abort() {
	c.mu.Lock()
	c.inflight--
	c.mu.Unlock()
}

// head is the program's end of the ring. mu is held, here and below.
func (c *Context) head() uint32 { return c.memory.load(ringHead) % c.nr }

// unread is how many events are in the ring.
func (c *Context) unread() uint32 { return (c.tail + c.nr - c.head()) % c.nr }

// Complete ends a request that has begun: its event is put into the ring, and the
// eventfd, which may be nil, is told.
func (c *Context) Complete(data, obj uint64, res int64, resfd *vfs.File) {
	c.mu.Lock()
	c.inflight--
	if !c.dead {
		*c.memory.event(c.tail) = Event{Data: data, Obj: obj, Res: res}
		c.tail = (c.tail + 1) % c.nr
		c.memory.store(ringTail, c.tail)
	}
	c.mu.Unlock()
	if resfd != nil {
		eventfd.Signal(resfd)
		resfd.Release()
	}
	if !c.waiters.Empty() {
		c.waiters.Notify(wait.In)
	}
}

// Get is io_getevents(2): it copies at least low and at most n events to addr.
// Fewer come when the deadline passes, a signal is there or the context ends:
// EINTR or EINVAL if there is none at all.
func (c *Context) Get(t *task.Thread, low, n uint64, addr uint64, block bool, deadline int64) (uint64, error) {
	done, err := c.take(t, n, addr)
	if err != nil || done >= low || !block {
		return result(done, err)
	}
	w := t.Sleeper.Waiter(wait.In)
	t.Sleeper.Clear()
	c.waiters.Add(w)
	defer func() {
		c.waiters.Remove(w)
		t.Sleeper.Done(w)
	}()
	for {
		var k uint64
		k, err = c.take(t, n-done, addr+done*eventSize)
		done += k
		if err != nil || done >= low {
			return result(done, err)
		}
		switch t.Sleeper.Sleep(deadline) {
		case wait.Interrupted:
			return result(done, unix.EINTR)
		case wait.TimedOut:
			return result(done, nil)
		}
	}
}

func result(done uint64, err error) (uint64, error) {
	if done > 0 {
		err = nil
	}
	return done, err
}

// take copies up to n events out.
func (c *Context) take(t *task.Thread, n uint64, addr uint64) (done uint64, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.dead {
		return 0, unix.EINVAL
	}
	head := c.head()
	for done < n && head != c.tail {
		e := c.memory.event(head)
		if err := t.MM.CopyOut(addr+done*eventSize, unsafe.Slice((*byte)(unsafe.Pointer(e)), eventSize)); err != nil {
			return done, err
		}
		head = (head + 1) % c.nr
		done++
		c.memory.store(ringHead, head)
	}
	return done, nil
}
