package frame

import (
	"sync/atomic"
	"unsafe"
)

// The buddy lists hold free blocks of 2^order frames, aligned to their size, in
// one list per order. Their heads are frame numbers, 0 ends a list.
var buddy struct {
	lock spin
	free uint64 // frames in the lists and never handed out yet; written under lock
	head [MaxOrder + 1]uint32
}

//go:nosplit
func initBuddy() {
	for o := range buddy.head {
		buddy.head[o] = 0
	}
}

//go:nosplit
func head(order uint) *uint32 {
	return (*uint32)(unsafe.Add(unsafe.Pointer(&buddy.head), uintptr(order)*4))
}

// buddyAlloc takes a block of 2^order frames with one reference. buddy.lock is
// held.
//
//go:nosplit
func buddyAlloc(order uint) uint64 {
	o := order
	for *head(o) == 0 {
		if o < MaxOrder {
			o++
			continue
		}
		if !grow() {
			return 0
		}
		o = order
	}
	pfn := uint64(*head(o))
	m := find(pfn)
	unlink(m, o)
	for o > order { // give the upper halves back
		o--
		link(pfn+1<<o, o)
	}
	atomic.StoreUint64(&buddy.free, buddy.free-1<<order)
	m.refs = 1
	return pfn
}

// buddyFree puts a block back and joins it with its neighbours. buddy.lock is held.
//
//go:nosplit
func buddyFree(pfn uint64, order uint) {
	atomic.StoreUint64(&buddy.free, buddy.free+1<<order)
	find(pfn).refs = 0
	insert(pfn, order)
}

//go:nosplit
func insert(pfn uint64, order uint) {
	s := spanOf(pfn)
	for order < MaxOrder {
		other := pfn ^ 1<<order
		if other < s.lo || other >= s.fresh {
			break
		}
		m := s.at(other)
		if m.state != free || uint(m.order) != order {
			break
		}
		unlink(m, order)
		pfn &^= 1 << order
		order++
	}
	link(pfn, order)
}

//go:nosplit
func spanOf(pfn uint64) *span {
	for i := uintptr(0); ; i++ {
		s := (*span)(unsafe.Add(unsafe.Pointer(&spans), i*unsafe.Sizeof(span{})))
		if pfn >= s.lo && pfn < s.hi {
			return s
		}
	}
}

//go:nosplit
func link(pfn uint64, order uint) {
	m, h := find(pfn), head(order)
	m.state, m.order = free, uint8(order)
	m.prev, m.next = 0, *h
	if *h != 0 {
		find(uint64(*h)).prev = uint32(pfn)
	}
	*h = uint32(pfn)
}

//go:nosplit
func unlink(m *meta, order uint) {
	m.state = used
	if m.prev != 0 {
		find(uint64(m.prev)).next = m.next
	} else {
		*head(order) = m.next
	}
	if m.next != 0 {
		find(uint64(m.next)).prev = m.prev
	}
}

// grow puts the next piece of memory that was never used into the lists: up to
// the next multiple of the largest block, so that no block crosses its end.
//
//go:nosplit
func grow() bool {
	for i := uintptr(0); i < uintptr(nSpans); i++ {
		s := (*span)(unsafe.Add(unsafe.Pointer(&spans), i*unsafe.Sizeof(span{})))
		if s.fresh == s.hi {
			continue
		}
		lo := s.fresh
		hi := min(lo|(1<<MaxOrder-1)+1, s.hi)
		for pfn := lo; pfn < hi; pfn++ {
			*s.at(pfn) = meta{}
		}
		s.fresh = hi
		for lo < hi {
			o := uint(MaxOrder)
			for lo&(1<<o-1) != 0 || lo+1<<o > hi {
				o--
			}
			link(lo, o)
			lo += 1 << o
		}
		return true
	}
	return false
}
