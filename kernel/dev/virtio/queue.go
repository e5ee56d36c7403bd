package virtio

import (
	"math/bits"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"

	"gosv/kernel/cpu"
)

// Descriptor flags, and the flags of the two rings (sections 2.7.5 to 2.7.8).
const (
	descNext     = 1
	descWrite    = 2
	descIndirect = 4

	availNoInterrupt = 1
	usedNoNotify     = 1
)

// desc is struct virtq_desc.
type desc struct {
	addr  uint64
	len   uint32
	flags uint16
	next  uint16
}

// usedElem is struct virtq_used_elem.
type usedElem struct{ id, len uint32 }

// A Segment is a piece of physically contiguous memory that a device reads or
// writes.
type Segment struct {
	Addr uint64
	Len  uint32
}

// Counters say how often a device broke the rules; what it said was dropped.
type Counters struct {
	BadIndex  uint64 // the used index moved by more than the queue's size
	BadID     uint64 // a used element that names no buffer of the device
	BadLength uint64 // a used length beyond what the device may write
}

// QueueConfig is how a driver wants a queue.
type QueueConfig struct {
	Size     int    // entries, a power of two; less when the device allows less
	Segments int    // the longest chain that is made with Add
	Handler  func() // called on an interrupt of the queue; it may come spuriously
}

// A Queue is a split virtqueue (section 2.7) with event indexes and indirect
// descriptors where the device has them.
//
// The tables that the device can write are never believed: lengths and links of
// chains are kept here, in memory that it cannot reach.
type Queue struct {
	dev     *Device
	index   int
	rings   Rings
	handler func()

	size     uint16
	eventIdx bool
	tables   *tables // nil without indirect descriptors

	desc      []desc
	avail     *uint32 // flags and index, in one word so that it can be atomic
	ring      []uint16
	usedEvent *uint32 // the upper half is padding
	used      *uint32 // flags and index
	elems     []usedElem
	availEvt  *uint32 // the lower half

	chains    []chain // of which the descriptor is the first
	next      []uint16
	free      uint16 // first of the list through next
	unused    int
	pending   int    // chains that the device has
	availIdx  uint16 // next entry of ring
	kicked    uint16 // availIdx that the device was told
	usedIdx   uint16 // next entry of elems to look at
	masked    bool
	availFlag uint16

	Counters Counters
}

// chain is what the driver knows of a buffer that the device has.
type chain struct {
	busy     bool
	direct   uint16 // descriptors of the queue it takes
	table    int32  // indirect table, -1 if none
	token    uint32
	writable uint32
}

// NewQueue makes queue i of the device. ENODEV: the device has no such queue.
func (d *Device) NewQueue(i int, c QueueConfig) (*Queue, error) {
	limit := int(d.QueueSize(i))
	if limit < 2 { // with one entry, used_event would share a word with it
		return nil, unix.ENODEV
	}
	size := min(c.Size, limit, 1<<15)
	size = 1 << (bits.Len(uint(max(size, 1))) - 1) // a device's limit need not be a power of two
	q := &Queue{dev: d, index: i, handler: c.Handler, size: uint16(size), unused: size}
	q.eventIdx = d.Has(FeatureEventIdx)

	// The two event fields are 16 bits at the ends of the rings; each gets
	// room for the 32-bit access that atomic operations need.
	availOff := 16 * size
	usedOff := availOff + 4 + 2*size + 4
	m, pa, err := d.mem.alloc(usedOff + 4 + 8*size + 4)
	if err != nil {
		return nil, err
	}
	at := func(off int) unsafe.Pointer { return unsafe.Pointer(&m[off]) }
	q.desc = unsafe.Slice((*desc)(at(0)), size)
	q.avail = (*uint32)(at(availOff))
	q.ring = unsafe.Slice((*uint16)(at(availOff+4)), size)
	q.usedEvent = (*uint32)(at(availOff + 4 + 2*size))
	q.used = (*uint32)(at(usedOff))
	q.elems = unsafe.Slice((*usedElem)(at(usedOff+4)), size)
	q.availEvt = (*uint32)(at(usedOff + 4 + 8*size))
	q.rings = Rings{Size: uint16(size), Desc: pa, Driver: pa + uint64(availOff), Device: pa + uint64(usedOff)}
	q.chains = make([]chain, size)
	q.next = make([]uint16, size)
	for n := range q.next {
		q.next[n] = uint16(n + 1)
	}
	if d.Has(FeatureIndirectDesc) && c.Segments > 2 {
		q.tables = &tables{mem: &d.mem, entries: c.Segments}
	}
	d.queues = append(d.queues, q)
	return q, nil
}

// Size is the number of descriptors.
func (q *Queue) Size() int { return int(q.size) }

// Pending is the number of chains that the device has.
func (q *Queue) Pending() int { return q.pending }

// Fits reports whether a chain of n segments can be added now. A false answer
// ends when the device has used enough.
func (q *Queue) Fits(n int) bool {
	return q.unused >= n || q.unused > 0 && q.tables != nil && n <= q.tables.entries
}

// Add gives the device a chain: memory that it reads, then memory that it
// writes. Next returns the token with the chain. It reports whether there was
// room. The device learns of it by Kick.
func (q *Queue) Add(token uint32, out, in []Segment) bool {
	n := len(out) + len(in)
	if n == 0 || q.unused == 0 {
		return false
	}
	head := q.free
	c := &q.chains[head]
	table := int32(-1)
	var list []desc
	if n > 1 && q.tables != nil && n <= q.tables.entries {
		table = q.tables.get()
	}
	switch {
	case table >= 0:
		var pa uint64
		list, pa = q.tables.at(table)
		q.desc[head] = desc{addr: pa, len: uint32(n) * 16, flags: descIndirect}
		q.free = q.next[head]
		c.direct = 1
	case n <= q.unused:
		c.direct = uint16(n)
	default:
		return false
	}
	writable := uint64(0)
	prev := -1
	put := func(i int, s Segment, flags uint16) {
		if list != nil {
			if i+1 < n {
				flags |= descNext
			}
			list[i] = desc{addr: s.Addr, len: s.Len, flags: flags, next: uint16(i + 1)}
			return
		}
		at := q.free
		q.free = q.next[at]
		q.desc[at] = desc{addr: s.Addr, len: s.Len, flags: flags}
		if prev >= 0 {
			q.desc[prev].flags |= descNext
			q.desc[prev].next = at
		}
		prev = int(at)
	}
	for i, s := range out {
		put(i, s, 0)
	}
	for i, s := range in {
		put(len(out)+i, s, descWrite)
		writable += uint64(s.Len)
	}
	q.unused -= int(c.direct)
	c.busy, c.table, c.token = true, table, token
	c.writable = uint32(min(writable, 1<<32-1))
	q.offer(head)
	return true
}

// AddOne is Add of a single piece, which the device reads or writes.
func (q *Queue) AddOne(token uint32, s Segment, write bool) bool {
	if q.unused == 0 {
		return false
	}
	head := q.free
	q.free = q.next[head]
	q.unused--
	c := &q.chains[head]
	*c = chain{busy: true, direct: 1, table: -1, token: token}
	d := desc{addr: s.Addr, len: s.Len}
	if write {
		d.flags, c.writable = descWrite, s.Len
	}
	q.desc[head] = d
	q.offer(head)
	return true
}

// offer puts a chain into the ring, of which the device learns by Kick.
func (q *Queue) offer(head uint16) {
	q.ring[q.availIdx&(q.size-1)] = head
	q.availIdx++
	q.pending++
}

// Kick shows the device what was added, and notifies it unless it asked not to
// be (section 2.7.10). It reports whether it notified.
func (q *Queue) Kick() bool {
	if q.kicked == q.availIdx {
		return false
	}
	old := q.kicked
	q.kicked = q.availIdx
	atomic.StoreUint32(q.avail, uint32(q.availFlag)|uint32(q.availIdx)<<16)
	fence()
	if q.eventIdx {
		event := uint16(atomic.LoadUint32(q.availEvt))
		if q.availIdx-event-1 >= q.availIdx-old {
			return false
		}
	} else if atomic.LoadUint32(q.used)&usedNoNotify != 0 {
		return false
	}
	q.dev.Notify(q.index)
	return true
}

// Next takes a chain that the device has used: its token, and how many bytes
// the device wrote, which is at most the length of the chain's writable part.
func (q *Queue) Next() (token, n uint32, ok bool) {
	for range q.size {
		idx := uint16(atomic.LoadUint32(q.used) >> 16)
		ready := idx - q.usedIdx
		if ready == 0 {
			break
		}
		if ready > q.size {
			q.Counters.BadIndex++
			q.usedIdx = idx
			break
		}
		e := &q.elems[q.usedIdx&(q.size-1)]
		id, n := atomic.LoadUint32(&e.id), atomic.LoadUint32(&e.len)
		q.usedIdx++
		if id >= uint32(q.size) || !q.chains[id].busy {
			q.Counters.BadID++
			continue
		}
		c := &q.chains[id]
		if n > c.writable {
			q.Counters.BadLength++
			n = 0
		}
		q.release(uint16(id))
		return c.token, n, true
	}
	return 0, 0, false
}

// release puts the descriptors of a chain back on the free list.
func (q *Queue) release(head uint16) {
	c := &q.chains[head]
	c.busy = false
	q.pending--
	if c.table >= 0 {
		q.tables.put(c.table)
	}
	// The links in next still are those that Add followed.
	last := head
	for range c.direct - 1 {
		last = q.next[last]
	}
	q.next[last] = q.free
	q.free = head
	q.unused += int(c.direct)
}

// MaskInterrupts asks the device not to interrupt for this queue. It may still.
func (q *Queue) MaskInterrupts() {
	q.masked = true
	if q.eventIdx {
		// As far ahead as can be: an interrupt each 65,535 buffers is harmless.
		atomic.StoreUint32(q.usedEvent, uint32(q.usedIdx-1))
		return
	}
	q.setFlag(availNoInterrupt)
}

// UnmaskInterrupts asks for an interrupt when the device uses one more chain.
// It reports whether one was used already: the caller then looks again, since
// for that one there may be no interrupt (section 2.7.7.1).
func (q *Queue) UnmaskInterrupts() bool {
	q.masked = false
	if q.eventIdx {
		atomic.StoreUint32(q.usedEvent, uint32(q.usedIdx))
	} else if q.availFlag != 0 {
		q.setFlag(0)
	}
	fence()
	return uint16(atomic.LoadUint32(q.used)>>16) != q.usedIdx
}

// fence makes loads behind it come after stores before it, as sections 2.7.7.1 and
// 2.7.13.4.1 want: either the device sees the store, or the loads see what the
// device has done. The atomic stores do so on a processor. QEMU's emulation of a
// machine with one CPU makes plain stores of them, and leaves out fences, though
// its devices run on another thread; the time stamp counter is read under a lock
// there, which is a fence.
func fence() { cpu.Nanotime() }

func (q *Queue) setFlag(f uint16) {
	q.availFlag = f
	atomic.StoreUint32(q.avail, uint32(f)|uint32(q.kicked)<<16)
}
