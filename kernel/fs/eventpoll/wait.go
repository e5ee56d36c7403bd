package eventpoll

import (
	"encoding/binary"
	"strconv"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"
	"gosv/kernel/mm"
	"gosv/kernel/vfs"
	"gosv/kernel/wait"
)

// The layout of struct epoll_event, which is packed on x86-64 only.
const (
	EventSize  = int(unsafe.Sizeof(unix.EpollEvent{}))
	dataOffset = int(unsafe.Offsetof(unix.EpollEvent{}.Fd))
)

// Name is what /proc/PID/fd shows of an instance.
const Name = "anon_inode:[eventpoll]"

// batchSize is how many events go to the program in one copy.
const batchSize = 32

// batch is where events are put together.
type batch struct {
	n      int
	items  [batchSize]*item
	events [batchSize]uint32 // what the items watched before
	buf    [batchSize * EventSize]byte
}

// sleeper is a thread's place among an instance's waiters. They are kept because
// a blocking epoll_wait is to allocate nothing.
type sleeper struct {
	wait.Waiter
	s *wait.Sleeper
}

var sleepers = sync.Pool{New: func() any {
	w := new(sleeper)
	w.Notify = func(wait.Events) { w.s.Wake() }
	w.Mask = wait.In
	w.Exclusive = true
	return w
}}

// DecodeEvent reads a struct epoll_event.
func DecodeEvent(b *[EventSize]byte) (events uint32, data uint64) {
	return binary.LittleEndian.Uint32(b[:]), binary.LittleEndian.Uint64(b[dataOffset:])
}

// Wait is epoll_wait(2): it stores up to limit events at addr and returns how
// many. It blocks until there is one, until deadline (a time on cpu.Nanotime's
// clock, 0 is none), or, if block is false, not at all. EINTR when a signal came,
// EFAULT when the first event could not be stored.
func (ep *Instance) Wait(s *wait.Sleeper, as *mm.AddressSpace, addr uint64, limit int, block bool, deadline int64) (int, error) {
	n, err := ep.deliver(as, addr, limit)
	if n != 0 || err != nil || !block {
		return n, err
	}
	w := sleepers.Get().(*sleeper)
	w.s = s
	n, err = ep.sleep(w, as, addr, limit, deadline)
	w.s = nil
	sleepers.Put(w)
	return n, err
}

func (ep *Instance) sleep(w *sleeper, as *mm.AddressSpace, addr uint64, limit int, deadline int64) (int, error) {
	for {
		w.s.Clear()
		ep.waiters.Add(&w.Waiter)
		r := wait.Woken
		if ep.readyCount() == 0 {
			r = w.s.Sleep(deadline)
		}
		ep.waiters.Remove(&w.Waiter)
		// Also when nobody woke this thread: a wake-up meant for it alone may
		// have come just now.
		if n, err := ep.deliver(as, addr, limit); n != 0 || err != nil {
			return n, err
		}
		switch r {
		case wait.TimedOut:
			return 0, nil
		case wait.Interrupted:
			return 0, unix.EINTR
		}
	}
}

// deliver hands out the events that there are.
func (ep *Instance) deliver(as *mm.AddressSpace, addr uint64, limit int) (int, error) {
	n := 0
	ep.mu.Lock()
	// Items that are level-triggered go to the end of the list: they must not
	// be looked at twice.
	for left := ep.readyCount(); n < limit && left > 0; {
		k := ep.fill(min(limit-n, batchSize), &left)
		if k == 0 {
			break
		}
		if err := as.CopyOut(addr+uint64(n*EventSize), ep.batch.buf[:k*EventSize]); err != nil {
			ep.undo()
			if n == 0 {
				ep.mu.Unlock()
				return 0, err
			}
			break
		}
		n += k
	}
	ep.mu.Unlock()
	if ep.readyCount() > 0 {
		ep.waiters.Notify(wait.In)
	}
	return n, nil
}

// fill makes a batch of up to limit events from up to *left items.
func (ep *Instance) fill(limit int, left *int) int {
	b := &ep.batch
	b.n = 0
	for ; b.n < limit && *left > 0; *left-- {
		it := ep.pop()
		if it == nil {
			*left = 0
			break
		}
		watched := it.events.Load()
		ev := uint32(it.key.file.Readiness()) & watched &^ flags
		if ev == 0 {
			continue
		}
		out := b.buf[b.n*EventSize:][:EventSize]
		binary.LittleEndian.PutUint32(out, ev)
		binary.LittleEndian.PutUint64(out[dataOffset:], it.data)
		b.items[b.n], b.events[b.n] = it, watched
		b.n++
		switch {
		case watched&flagOneshot != 0:
			it.events.Store(watched & flags)
		case watched&flagEdge == 0:
			ep.requeue(it)
		}
	}
	return b.n
}

// undo takes back a batch that the program's memory did not take.
func (ep *Instance) undo() {
	b := &ep.batch
	for i, it := range b.items[:b.n] {
		it.events.Store(b.events[i])
		ep.requeue(it)
	}
}

func appendItem(b []byte, fd int, it *item) []byte {
	b = append(b, "tfd: "...)
	b = pad(b, strconv.Itoa(fd), 8)
	b = append(b, " events: "...)
	b = pad(b, strconv.FormatUint(uint64(it.events.Load()), 16), 8)
	b = append(b, " data: "...)
	b = pad(b, strconv.FormatUint(it.data, 16), 16)
	var st vfs.Stat
	it.key.file.Stat(&st)
	b = append(b, "  pos:"...)
	b = strconv.AppendInt(b, it.key.file.Offset(), 10)
	b = append(b, " ino:"...)
	b = strconv.AppendUint(b, st.Ino, 16)
	b = append(b, " sdev:"...)
	b = strconv.AppendUint(b, st.Dev, 16)
	return append(b, '\n')
}

func pad(b []byte, s string, n int) []byte {
	for ; n > len(s); n-- {
		b = append(b, ' ')
	}
	return append(b, s...)
}
