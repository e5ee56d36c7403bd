package frame

import (
	"sync/atomic"
	"unsafe"

	"gosv/kernel/cpu"
)

type spin = cpu.SpinLock

// A cache keeps single frames of one CPU, the most recently freed on top: they
// are likely to be in the CPU's own data cache, and need no lock that others want.
type cache struct {
	lock cacheLock
	n    uint32
	pfns [cacheSize]uint32
	_    [64]byte // no false sharing between CPUs
}

const cacheSize = 64

var (
	caches [cpu.MaxCPUs]cache
	batch  uint32 = 16 // frames that move between a cache and the buddy lists at once
)

// setBatch keeps the caches small where memory is.
//
//go:nosplit
func setBatch(total uint64) {
	batch = 16
	if total < 4096 {
		batch = 4
	}
	for i := range caches {
		caches[i].n = 0
	}
}

//go:nosplit
func (c *cache) slot(i uint32) *uint32 {
	return (*uint32)(unsafe.Add(unsafe.Pointer(&c.pfns), uintptr(i)*4))
}

// allocCached returns a frame with one reference, not zeroed.
//
//go:nosplit
func allocCached() Frame {
	c, flags := lockCache()
	if c.n == 0 {
		refill(c)
		if c.n == 0 {
			c.unlock(flags)
			return 0
		}
	}
	c.n--
	pfn := *c.slot(c.n)
	c.unlock(flags)
	atomic.StoreInt32(&find(uint64(pfn)).refs, 1)
	return Frame(pfn) * Size
}

//go:nosplit
func freeCached(pfn uint64) {
	c, flags := lockCache()
	c.put(pfn)
	c.unlock(flags)
}

// put takes a free frame. The cache is locked.
//
//go:nosplit
func (c *cache) put(pfn uint64) {
	if c.n == 4*batch {
		drain(c)
	}
	*c.slot(c.n) = uint32(pfn)
	c.n++
}

// maxBatch bounds the time for which AllocSome and UnrefAll keep interrupts off.
const maxBatch = 64

// AllocSome fills frames as AllocUser does, at less cost per frame, and returns how many it got.
//
//go:nosplit
func AllocSome(frames []Frame) int {
	if atomic.LoadUint64(&buddy.free) <= reserve+uint64(len(frames)) {
		return 0
	}
	n := 0
	c, flags := lockCache()
	for n < len(frames) && n < maxBatch {
		if c.n == 0 {
			if refill(c); c.n == 0 {
				break
			}
		}
		c.n--
		pfn := uint64(*c.slot(c.n))
		atomic.StoreInt32(&find(pfn).refs, 1)
		frames[n] = Frame(pfn * Size)
		n++
	}
	c.unlock(flags)
	for i := 0; i < n; i++ {
		zeroPage(frames[i].Virt())
	}
	return n
}

// UnrefAll drops a reference to each of the frames.
//
//go:nosplit
func UnrefAll(frames []Frame) {
	for len(frames) > 0 {
		some := frames[:min(len(frames), maxBatch)]
		frames = frames[len(some):]
		c, flags := lockCache()
		for _, f := range some {
			m := find(uint64(f) / Size)
			if m == nil || m.state == pinned {
				continue
			}
			if n := atomic.AddInt32(&m.refs, -1); n == 0 {
				c.put(uint64(f) / Size)
			} else if n < 0 {
				cpu.Fatal("frame: freed twice")
			}
		}
		c.unlock(flags)
	}
}

// refill moves a batch of frames into the cache: in one block if it can, for the
// price of one search.
//
//go:nosplit
func refill(c *cache) {
	flags := buddy.lock.Lock()
	order := uint(4)
	if batch < 16 {
		order = 2
	}
	for c.n < batch {
		pfn := buddyAlloc(order)
		if pfn == 0 {
			if order == 0 {
				break
			}
			order--
			continue
		}
		for i := uint64(1)<<order - 1; i < 1<<order; i-- { // lowest address on top
			*c.slot(c.n) = uint32(pfn + i)
			c.n++
		}
	}
	buddy.lock.Unlock(flags)
}

// drain gives the frames back that were freed longest ago.
//
//go:nosplit
func drain(c *cache) {
	flags := buddy.lock.Lock()
	for i := uint32(0); i < 2*batch; i++ {
		buddyFree(uint64(*c.slot(i)), 0)
		*c.slot(i) = *c.slot(i + 2*batch)
	}
	c.n = 2 * batch
	buddy.lock.Unlock(flags)
}

// cacheCount is how many frames lie in the caches, roughly.
func cacheCount() (n uint64) {
	for i := range caches {
		n += uint64(caches[i].count())
	}
	return n
}
