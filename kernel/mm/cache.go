package mm

import (
	"errors"
	"slices"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"gosv/kernel/frame"
)

// A Cache is the page cache of one inode: Linux's address_space. Read, Write and
// mappings of the file all use its frames. One without a Backing is the file: tmpfs, memfd,
// and shared anonymous memory.
type Cache struct {
	backing  Backing // nil: pages start as zeros and are never evicted
	ranges   RangeBacking
	resident ResidentBacking
	quota    *Quota // nil: none; only without a Backing

	size atomic.Int64

	mu     sync.Mutex // guards what follows
	first  *leaf      // pages 0 to 63
	more   map[uint64]*leaf
	pages  int64
	dirty  int64
	fills  int       // pages being read
	filled sync.Cond // one of them is done
	spaces map[*AddressSpace]int

	writers int  // areas that may write to the file
	denied  bool // there may be none: DenyWriters

	next, window uint64 // readahead: where a sequential reader comes next

	inList bool // guarded by caches.mu
}

// A leaf holds the entries of 64 pages: the frame, and the bits below.
type leaf [leafPages]uint64

const leafPages = 64

const (
	entryReady   = 1 << iota // the frame has its contents
	entryDirty               // to be written back
	entryUsed                // since reclaim came by
	entryFilling             // the frame is being read: its reader owns the entry

	entryFrame = ^uint64(pageMask)
)

// NewCache returns an empty cache of size 0.
func NewCache(b Backing) *Cache {
	c := &Cache{backing: b}
	c.ranges, _ = b.(RangeBacking)
	c.resident, _ = b.(ResidentBacking)
	c.filled.L = &c.mu
	return c
}

// NewMemory returns an empty cache without a Backing, whose pages count for a quota.
func NewMemory(q *Quota) *Cache {
	c := NewCache(nil)
	c.quota = q
	return c
}

// Size is the size of the file in bytes.
func (c *Cache) Size() int64 { return c.size.Load() }

// Pages is the number of frames that the cache holds.
func (c *Cache) Pages() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.pages
}

// holds reports whether the page is in the file, at least in part.
func (c *Cache) holds(index uint64) bool {
	return index < (uint64(c.size.Load())+pageMask)/pageSize
}

// entry returns the entry of a page, nil if there is no leaf for it. mu is held.
func (c *Cache) entry(index uint64) *uint64 {
	l := c.first
	if index >= leafPages {
		l = c.more[index/leafPages]
	}
	if l == nil {
		return nil
	}
	return &l[index%leafPages]
}

// makeEntry is entry, but makes the leaf.
func (c *Cache) makeEntry(index uint64) *uint64 {
	if p := c.entry(index); p != nil {
		return p
	}
	l := new(leaf)
	if index < leafPages {
		c.first = l
	} else {
		if c.more == nil {
			c.more = make(map[uint64]*leaf)
		}
		c.more[index/leafPages] = l
	}
	return &l[index%leafPages]
}

// pageState is how lookup ended.
type pageState uint8

const (
	pageReady pageState = iota
	pageMissing
	pageNoMemory
	pageNoSpace // the quota is used up
)

// lookup returns a page with a reference for the caller if that takes no device.
func (c *Cache) lookup(index uint64) (frame.Frame, pageState) {
	if c.resident != nil {
		if f, ok := c.resident.ResidentFrame(index); ok {
			f.Ref()
			return f, pageReady
		}
	}
	c.mu.Lock()
	if p := c.entry(index); p != nil && *p&entryReady != 0 {
		*p |= entryUsed
		f := frame.Frame(*p & entryFrame)
		f.Ref()
		c.mu.Unlock()
		return f, pageReady
	}
	c.mu.Unlock()
	if c.backing != nil {
		return 0, pageMissing
	}
	if c.quota != nil && !c.quota.Take(1) {
		if c.quota.lethal {
			return 0, pageNoMemory
		}
		return 0, pageNoSpace
	}
	f := allocZeroed()
	if f == 0 {
		c.giveQuota()
		return 0, pageNoMemory
	}
	return c.adopt(index, f), pageReady
}

func (c *Cache) giveQuota() {
	if c.quota != nil {
		c.quota.Give(1)
	}
}

// adopt makes f, which the quota was asked for, page index unless there is one, and returns the page with a
// reference for the caller.
func (c *Cache) adopt(index uint64, f frame.Frame) frame.Frame {
	c.mu.Lock()
	p := c.makeEntry(index)
	if *p != 0 {
		f.Unref()
		c.giveQuota()
		f = frame.Frame(*p & entryFrame)
	} else {
		*p = uint64(f) | entryReady | entryUsed
		c.count(1)
	}
	f.Ref()
	c.mu.Unlock()
	return f
}

// sharedFrames counts the frames of caches without a Backing.
var sharedFrames atomic.Int64

// SharedFrames is how many frames are the only place of their contents: those of
// tmpfs and of shared anonymous memory. Linux's Shmem.
func SharedFrames() uint64 { return uint64(max(sharedFrames.Load(), 0)) }

// count notes that n pages came. mu is held.
func (c *Cache) count(n int) {
	c.pages += int64(n)
	frame.AddCached(n)
	if c.backing == nil {
		sharedFrames.Add(int64(n))
	}
}

// lookupRange fills frames with the pages from index on that are in memory, 0 for
// the others, each with a reference, and returns how many of frames lie in the file.
func (c *Cache) lookupRange(index uint64, frames []frame.Frame) int {
	end := (uint64(c.size.Load()) + pageMask) / pageSize
	if index >= end {
		return 0
	}
	n := int(min(uint64(len(frames)), end-index))
	if c.resident != nil {
		for i := range frames[:n] {
			if f, ok := c.resident.ResidentFrame(index + uint64(i)); ok {
				f.Ref()
				frames[i] = f
			}
		}
		return n
	}
	c.mu.Lock()
	for i := range frames[:n] {
		if p := c.entry(index + uint64(i)); p != nil && *p&entryReady != 0 {
			frames[i] = frame.Frame(*p & entryFrame)
			frames[i].Ref()
		}
	}
	c.mu.Unlock()
	return n
}

// Resident reports whether the page is in memory, for mincore(2).
func (c *Cache) Resident(index uint64) bool {
	if c.resident != nil {
		if _, ok := c.resident.ResidentFrame(index); ok {
			return true
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	p := c.entry(index)
	return p != nil && *p&entryReady != 0
}

// Page returns the frame of a page, with a reference that the caller drops with
// Unref. A page that is not in memory is read from the Backing, with those after it for
// a sequential reader; without a Backing it is made if create is set, and is 0
// otherwise: a hole. ENOMEM means that there is no frame, ENOSPC that the quota is used up.
func (c *Cache) Page(index uint64, create bool) (frame.Frame, error) {
	return c.page(index, create, false)
}

// PageAround is Page for a fault of a mapping, which creates: programs jump about in what they map, and
// a device takes little longer for many pages than for one.
func (c *Cache) PageAround(index uint64) (frame.Frame, error) {
	return c.page(index, true, c.ranges != nil && frame.Plenty())
}

// errAgain is for a page that has to be looked for again, and read alone if it is still absent.
var errAgain = errors.New("the page was not filled by this reader")

func (c *Cache) page(index uint64, create, around bool) (frame.Frame, error) {
	f, err := c.tryPage(index, create, around, false)
	for err == errAgain {
		f, err = c.tryPage(index, create, false, true)
	}
	return f, err
}

func (c *Cache) tryPage(index uint64, create, around, alone bool) (frame.Frame, error) {
	if c.resident != nil {
		if f, ok := c.resident.ResidentFrame(index); ok {
			f.Ref()
			return f, nil
		}
	}
	c.mu.Lock()
	for {
		p := c.entry(index)
		if p == nil || *p == 0 {
			break
		}
		if *p&entryReady != 0 {
			*p |= entryUsed
			f := frame.Frame(*p & entryFrame)
			f.Ref()
			c.mu.Unlock()
			return f, nil
		}
		c.filled.Wait()
	}
	if c.backing == nil {
		c.mu.Unlock()
		if !create {
			return 0, nil
		}
		if c.quota != nil && !c.quota.Take(1) {
			return 0, unix.ENOSPC
		}
		f := allocZeroed()
		if f == 0 && makeRoom() {
			f = allocZeroed()
		}
		if f == 0 {
			c.giveQuota()
			return 0, unix.ENOMEM
		}
		return c.adopt(index, f), nil
	}
	if alone {
		return c.fill(index, index, index+1)
	}
	if around {
		lo := index &^ (maxWindow - 1)
		return c.fill(index, lo, lo+maxWindow)
	}
	if index == c.next { // also at 0: most readers that begin there go on
		c.window = min(max(c.window*2, 4), maxWindow)
	} else {
		c.window = 1
	}
	return c.fill(index, index, index+c.window)
}

// maxWindow is how many pages are read at once at most (Linux: read_ahead_kb, 128).
const maxWindow = 32

// absent narrows [lo, hi) to the pages around index that are not in memory, as that one is not.
// mu is held.
func (c *Cache) absent(index, lo, hi uint64) (first, end uint64) {
	first, end = index, index+1
	for first > lo && c.free(first-1) {
		first--
	}
	for end < hi && c.free(end) {
		end++
	}
	return first, end
}

// free reports whether a page is neither in memory nor being read. mu is held.
func (c *Cache) free(index uint64) bool {
	p := c.entry(index)
	return p == nil || *p == 0
}

// fill reads page index, which is absent, and those around it in [lo, hi), no more than maxWindow.
// mu is held, and released. errAgain: another reader was faster, or a range of pages was bad, which says nothing of this page.
func (c *Cache) fill(index, lo, hi uint64) (frame.Frame, error) {
	first, end := c.absent(index, lo, min(hi, (uint64(c.size.Load())+pageMask)/pageSize))
	c.mu.Unlock()

	var frames [maxWindow]frame.Frame
	n := uint64(0)
	for n < end-first {
		f := frame.AllocRaw()
		if f == 0 && n == 0 {
			if f = allocRaw(); f == 0 && makeRoom() {
				f = allocRaw()
			}
		}
		if f == 0 {
			break
		}
		frames[n] = f
		n++
	}
	if n == 0 {
		return 0, unix.ENOMEM
	}
	if index >= first+n {
		first = index + 1 - n
	}

	c.mu.Lock()
	if !c.free(index) { // another reader was faster
		c.mu.Unlock()
		for _, f := range frames[:n] {
			f.Unref()
		}
		return 0, errAgain
	}
	first, end = c.absent(index, first, first+n)
	k := end - first
	for i := range k {
		*c.makeEntry(first + i) = uint64(frames[i]) | entryFilling
	}
	c.fills += int(k)
	c.next = end
	c.mu.Unlock()
	for _, f := range frames[k:n] {
		f.Unref()
	}

	var err error
	if c.ranges != nil && k > 1 {
		err = c.ranges.FillRange(first, frames[:k])
	} else {
		err = c.backing.FillPage(first, frames[0])
		for i := uint64(1); i < k && err == nil; i++ {
			if c.backing.FillPage(first+i, frames[i]) != nil {
				// Not asked for yet: whoever wants it gets the error.
				c.mu.Lock()
				c.finish(first+i, frames[i:k], false)
				c.mu.Unlock()
				k = i
			}
		}
	}
	f := frames[index-first]
	c.mu.Lock()
	if err == nil {
		f.Ref()
	}
	c.finish(first, frames[:k], err == nil)
	c.mu.Unlock()
	c.enlist()
	if err != nil && k > 1 && c.ranges != nil { // find out whether the page itself is bad
		return 0, errAgain
	}
	if err != nil {
		return 0, err
	}
	return f, nil
}

// finish ends the reading of pages. mu is held.
func (c *Cache) finish(index uint64, frames []frame.Frame, ok bool) {
	for i, f := range frames {
		p := c.entry(index + uint64(i))
		if ok {
			*p = uint64(f) | entryReady | entryUsed
			c.count(1)
		} else {
			*p = 0
			f.Unref()
		}
	}
	c.fills -= len(frames)
	c.filled.Broadcast()
}

// markDirty notes that page index, whose frame is f, is being written through a
// mapping. It reports false if the page is not f any more.
func (c *Cache) markDirty(index uint64, f frame.Frame) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	p := c.entry(index)
	if p == nil || *p&entryFrame != uint64(f) {
		return c.resident != nil
	}
	if *p&entryDirty == 0 {
		*p |= entryDirty
		c.dirty++
	}
	return true
}

// leaves calls f for each leaf with a page in [lo, hi), in order. mu is held.
func (c *Cache) leaves(lo, hi uint64, f func(base uint64, l *leaf)) {
	if c.first != nil && lo < leafPages {
		f(0, c.first)
	}
	if len(c.more) == 0 {
		return
	}
	keys := make([]uint64, 0, len(c.more))
	for k := range c.more {
		if (k+1)*leafPages > lo && k*leafPages < hi {
			keys = append(keys, k)
		}
	}
	slices.Sort(keys)
	for _, k := range keys {
		f(k*leafPages, c.more[k])
	}
}

// remove frees the pages of [lo, hi). Their mappings are gone already.
func (c *Cache) remove(lo, hi uint64) {
	c.mu.Lock()
	for c.fills > 0 {
		c.filled.Wait()
	}
	c.leaves(lo, hi, func(base uint64, l *leaf) {
		empty := true
		for i := range l {
			index := base + uint64(i)
			if index < lo || index >= hi {
				empty = empty && l[i] == 0
				continue
			}
			if e := l[i]; e != 0 {
				l[i] = 0
				c.forget(e)
			}
		}
		if !empty {
			return
		}
		if base == 0 {
			c.first = nil
		} else {
			delete(c.more, base/leafPages)
		}
	})
	c.mu.Unlock()
}

// forget gives back the frame of an entry that was taken out. mu is held.
func (c *Cache) forget(e uint64) {
	if e&entryDirty != 0 {
		c.dirty--
	}
	c.count(-1)
	c.giveQuota()
	frame.Frame(e & entryFrame).Unref()
}

// addSpace counts the areas of as that map the cache: n is 1 for a, which is new, and -1
// for one that goes. It returns false for a new one that may not be. as.mu is held.
func (c *Cache) addSpace(as *AddressSpace, a *area, n int) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if a.mayWrite() {
		if c.denied && n > 0 {
			return false
		}
		c.writers += n
	}
	if c.spaces == nil {
		c.spaces = make(map[*AddressSpace]int)
	}
	if c.spaces[as] += n; c.spaces[as] == 0 {
		delete(c.spaces, as)
	}
	return true
}

// DenyWriters makes shared mappings that could be written impossible from now on. It
// is EBUSY while there are any (F_SEAL_WRITE in fcntl(2)).
func (c *Cache) DenyWriters() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.writers > 0 {
		return unix.EBUSY
	}
	c.denied = true
	return nil
}

// mappers returns the address spaces that map the cache.
func (c *Cache) mappers() []*AddressSpace {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.spaces) == 0 {
		return nil
	}
	spaces := make([]*AddressSpace, 0, len(c.spaces))
	for as := range c.spaces {
		spaces = append(spaces, as)
	}
	return spaces
}

// Mapped reports whether any address space maps the file.
func (c *Cache) Mapped() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.spaces) > 0
}

// eachMapping calls f with the addresses in as of pages [lo, hi) of the cache.
// as.mu is held.
func (c *Cache) eachMapping(as *AddressSpace, lo, hi uint64, f func(a *area, start, end uint64)) {
	as.areas.root.each(func(a *area) bool {
		if a.cache != c {
			return true
		}
		first := a.offset / pageSize
		end := first + a.size()/pageSize
		if lo < end && first < hi {
			f(a, a.start+(max(lo, first)-first)*pageSize, a.start+(min(hi, end)-first)*pageSize)
		}
		return true
	})
}

// unmap takes pages [lo, hi) out of all page tables; with private, also the
// copies that private mappings made of them.
func (c *Cache) unmap(lo, hi uint64, private bool) {
	for _, as := range c.mappers() {
		as.mu.Lock()
		g := as.begin()
		c.eachMapping(as, lo, hi, func(a *area, start, end uint64) {
			as.zap(g, start, end, !private)
		})
		g.flush()
		as.unlock()
	}
}

// protectShared makes the next write to page index through a mapping fault.
func (c *Cache) protectShared(index uint64) {
	for _, as := range c.mappers() {
		as.mu.Lock()
		g := as.begin()
		c.eachMapping(as, index, index+1, func(a *area, start, end uint64) {
			if a.flags&shared != 0 {
				as.writeProtect(g, start)
			}
		})
		g.flush()
		as.unlock()
	}
}
