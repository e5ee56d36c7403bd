// Package frame is physical memory: it hands out 4 KiB frames, counts their users, and joins what comes back into blocks
// of up to 4 MiB.
//
// All of it may run below the Go scheduler, in page faults of the Go heap for instance: it allocates nothing, takes no Go
// lock, and never splits a stack. What it knows about a frame are 16 bytes in an array at the start of each region of
// memory, outside the Go heap; the array is filled in as far as frames have ever been handed out, so that booting with
// 16 GiB costs no more than with 16 MiB.
//
// Lock order:
//
//	the lock of one CPU's cache (cache_metal.go, cache_host.go)
//	  buddy.lock
package frame

import (
	"sync/atomic"
	"unsafe"

	"gosv/kernel/cpu"
)

// Size is the size of a frame in bytes.
const Size = cpu.PageSize

// MaxOrder is the largest block that AllocOrder gives: 2^MaxOrder frames, 4 MiB.
const MaxOrder = 10

// A Frame is 4 KiB of physical memory, named by its physical address; 0 is none.
type Frame uint64

// A Region is a range of physical memory in bytes.
type Region struct{ Base, Size uint64 }

// meta is what the allocator knows about a frame. Links are frame numbers.
type meta struct {
	next, prev uint32
	refs       int32
	order      uint8
	state      uint8
	_          uint16
}

const metaSize = unsafe.Sizeof(meta{})

// States of a frame.
const (
	used   = iota // handed out, in a CPU's cache, or inside a block
	free          // first of a block of 2^order frames in the buddy lists
	pinned        // handed out for ever: Ref and Unref do nothing
)

// A span is a region in use, in frame numbers: [lo, fresh) has metadata, [fresh,
// hi) was never handed out.
type span struct {
	lo, hi, fresh uint64
	meta          uintptr // of frame lo
}

const maxSpans = 32

var (
	spans  [maxSpans]span
	nSpans int

	total   uint64
	reserve uint64       // frames that only the kernel gets
	cached  atomic.Int64 // frames of the page cache, see AddCached

	reclaim func(want int) int
)

// Init takes the regions over. It runs before the Go runtime does. The kernel
// reserve is a sixteenth of memory, between 512 KiB and 8 MiB.
//
//go:nosplit
func Init(regions []Region) {
	nSpans, total = 0, 0
	initBuddy()
	for i := range regions {
		r := &regions[i]
		lo := (r.Base + Size - 1) / Size
		hi := (r.Base + r.Size) / Size
		if lo == 0 {
			lo = 1 // frame 0 means none
		}
		if hi <= lo || nSpans == maxSpans {
			continue
		}
		n := (hi - lo) * uint64(metaSize) / Size
		n++ // rounded up, and room for the frames that hold it
		if hi-lo <= n {
			continue
		}
		s := (*span)(unsafe.Add(unsafe.Pointer(&spans), uintptr(nSpans)*unsafe.Sizeof(span{})))
		s.meta = cpu.PhysToVirt(lo * Size)
		s.lo, s.hi, s.fresh = lo+n, hi, lo+n
		total += s.hi - s.lo
		nSpans++
	}
	buddy.free = total
	reserve = min(max(total/16, 128), 2048)
	setBatch(total)
}

// find returns the metadata of a frame, nil if the frame is not ours: device
// memory, an image that the boot loader left in memory.
//
//go:nosplit
func find(pfn uint64) *meta {
	for i := uintptr(0); i < uintptr(nSpans); i++ {
		s := (*span)(unsafe.Add(unsafe.Pointer(&spans), i*unsafe.Sizeof(span{})))
		if pfn >= s.lo && pfn < s.hi {
			return s.at(pfn)
		}
	}
	return nil
}

//go:nosplit
func (s *span) at(pfn uint64) *meta {
	return (*meta)(unsafe.Add(unsafe.Pointer(nil), s.meta+uintptr(pfn-s.lo)*metaSize))
}

// Alloc returns a zeroed frame with one reference for the kernel itself, 0 if
// there is none at all.
//
//go:nosplit
func Alloc() Frame { return zeroed(allocCached()) }

// AllocUser returns a zeroed frame with one reference for the application or
// for the page cache. It returns 0 when only the kernel's reserve is left.
//
//go:nosplit
func AllocUser() Frame { return zeroed(AllocRaw()) }

// AllocRaw is AllocUser without the zeroing; the frame has the contents that
// its last user left.
//
//go:nosplit
func AllocRaw() Frame {
	if atomic.LoadUint64(&buddy.free) <= reserve {
		return 0
	}
	return allocCached()
}

// Short reports whether programs get no frame any more: what is free is the kernel's reserve.
func Short() bool { return atomic.LoadUint64(&buddy.free) <= reserve }

// Scarce reports whether the kernel's own objects have taken a quarter of its reserve, which the Go heap must have to go on: it
// collects garbage with what is left. Whoever is about to make such objects for a program makes room first.
func Scarce() bool { return atomic.LoadUint64(&buddy.free) < reserve-reserve/4 }

// Critical reports whether half of the reserve is gone, so that even what would free memory later is too much.
func Critical() bool { return atomic.LoadUint64(&buddy.free) < reserve/2 }

// Missing is how many frames must become free until programs get some again.
func Missing() int { return int(max(int64(reserve)-int64(atomic.LoadUint64(&buddy.free)), 0)) + 1 }

// Room reports whether n bytes more of the kernel's objects leave the larger part of the reserve alone.
func Room(n uint64) bool { return atomic.LoadUint64(&buddy.free) >= reserve-reserve/4+n/Size }

// Plenty reports whether memory is far from short, so that some may be spent on speed.
func Plenty() bool { return atomic.LoadUint64(&buddy.free) > reserve+total/8 }

//go:nosplit
func zeroed(f Frame) Frame {
	if f != 0 {
		zeroPage(f.Virt())
	}
	return f
}

// AllocOrder returns 2^order frames in a row, aligned to their size and zeroed,
// for the kernel; 0 if there are none. The block is one object: FreeOrder frees
// it, its frames have no references of their own.
//
//go:nosplit
func AllocOrder(order uint) Frame {
	f := allocBlock(order)
	if f != 0 {
		for i := uintptr(0); i < 1<<order; i++ {
			zeroPage(f.Virt() + i*Size)
		}
	}
	return f
}

// AllocUserOrder returns a zeroed block of 2^order frames, each with one reference
// of its own, to be given back frame by frame with Unref. It returns 0 when
// that would touch the kernel's reserve.
//
//go:nosplit
func AllocUserOrder(order uint) Frame {
	if atomic.LoadUint64(&buddy.free) <= reserve+1<<order {
		return 0
	}
	f := allocBlock(order)
	if f != 0 {
		m := uintptr(unsafe.Pointer(find(uint64(f) / Size)))
		for i := uintptr(0); i < 1<<order; i++ {
			atomic.StoreInt32(&(*meta)(unsafe.Add(unsafe.Pointer(nil), m+i*metaSize)).refs, 1)
			zeroPage(f.Virt() + i*Size)
		}
	}
	return f
}

//go:nosplit
func allocBlock(order uint) Frame {
	if order > MaxOrder {
		return 0
	}
	flags := buddy.lock.Lock()
	pfn := buddyAlloc(order)
	buddy.lock.Unlock(flags)
	return Frame(pfn * Size)
}

// FreeOrder gives back a block of AllocOrder.
//
//go:nosplit
func FreeOrder(f Frame, order uint) {
	flags := buddy.lock.Lock()
	buddyFree(uint64(f)/Size, order)
	buddy.lock.Unlock(flags)
}

// Pin makes f permanent: Ref and Unref have no effect on it from now on.
//
//go:nosplit
func (f Frame) Pin() {
	if m := find(uint64(f) / Size); m != nil {
		m.state = pinned
	}
}

// Ref adds a reference. Frames that the allocator does not own are not counted.
//
//go:nosplit
func (f Frame) Ref() {
	if m := find(uint64(f) / Size); m != nil && m.state != pinned {
		atomic.AddInt32(&m.refs, 1)
	}
}

// Unref drops a reference; the last one frees the frame.
//
//go:nosplit
func (f Frame) Unref() {
	m := find(uint64(f) / Size)
	if m == nil || m.state == pinned {
		return
	}
	if n := atomic.AddInt32(&m.refs, -1); n == 0 {
		freeCached(uint64(f) / Size)
	} else if n < 0 {
		cpu.Fatal("frame: freed twice")
	}
}

// UnrefOrder drops a reference to each frame of a block of AllocUserOrder.
//
//go:nosplit
func (f Frame) UnrefOrder(order uint) {
	m := uintptr(unsafe.Pointer(find(uint64(f) / Size)))
	for i := uintptr(0); i < 1<<order; i++ {
		if atomic.LoadInt32(&(*meta)(unsafe.Add(unsafe.Pointer(nil), m+i*metaSize)).refs) != 1 {
			for i := Frame(0); i < 1<<order; i++ {
				(f + i*Size).Unref()
			}
			return
		}
	}
	for i := uintptr(0); i < 1<<order; i++ {
		atomic.StoreInt32(&(*meta)(unsafe.Add(unsafe.Pointer(nil), m+i*metaSize)).refs, 0)
	}
	FreeOrder(f, order)
}

// Refs returns the number of references; a frame that is not counted has more
// than anyone could hold.
//
//go:nosplit
func (f Frame) Refs() int32 {
	m := find(uint64(f) / Size)
	if m == nil || m.state == pinned {
		return 1 << 30
	}
	return atomic.LoadInt32(&m.refs)
}

// Virt returns where the kernel reaches the frame.
//
//go:nosplit
func (f Frame) Virt() uintptr { return cpu.PhysToVirt(uint64(f)) }

// Bytes returns the contents, which are not on the Go heap: the slice must not
// outlive the caller's reference.
//
//go:nosplit
func (f Frame) Bytes() []byte {
	return (*[Size]byte)(unsafe.Add(unsafe.Pointer(nil), f.Virt()))[:]
}

// Zero clears the frame.
//
//go:nosplit
func (f Frame) Zero() { zeroPage(f.Virt()) }

// CopyFrom makes f a copy of g.
//
//go:nosplit
func (f Frame) CopyFrom(g Frame) { copyPage(f.Virt(), g.Virt()) }

// Stats returns numbers of frames: all, free ones, those of the free ones that are
// the kernel's reserve, and those in the page cache.
func Stats() (total_, free_, reserved_, cached_ uint64) {
	return total, atomic.LoadUint64(&buddy.free) + cacheCount(), reserve, uint64(max(cached.Load(), 0))
}

// Total is the number of frames there are.
func Total() uint64 { return total }

// AddCached counts n frames as page cache, for Stats.
func AddCached(n int) { cached.Add(int64(n)) }

// SetReclaim sets what Reclaim calls. It is set once, before the application starts.
func SetReclaim(f func(want int) int) { reclaim = f }

// Reclaim asks the owner of the page cache to free want frames and returns how
// many it freed. Unlike the rest of the package it needs a goroutine.
func Reclaim(want int) int {
	if reclaim == nil {
		return 0
	}
	return reclaim(want)
}
