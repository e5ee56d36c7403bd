package mm

import (
	"slices"
	"sync"

	"gosv/kernel/frame"
)

// caches lists the caches with pages that can be read again: what reclaim lives on.
var caches struct {
	mu   sync.Mutex
	list []*Cache
	hand int
}

func init() { frame.SetReclaim(reclaim) }

// enlist makes the cache known to reclaim.
func (c *Cache) enlist() {
	caches.mu.Lock()
	if !c.inList {
		c.inList = true
		caches.list = append(caches.list, c)
	}
	caches.mu.Unlock()
}

func (c *Cache) unlist() {
	caches.mu.Lock()
	if c.inList {
		c.inList = false
		i := slices.Index(caches.list, c)
		caches.list = slices.Delete(caches.list, i, i+1)
	}
	caches.mu.Unlock()
}

// reclaim frees at least want frames of the page cache if it can, and returns how
// many. It goes round the caches as a clock: a page that was used since the
// last round is spared; then it takes those too, and at last the mapped ones.
//
// Its callers may hold locks of address spaces and caches, so it passes over what is
// locked.
func reclaim(want int) int {
	if !caches.mu.TryLock() {
		return 0
	}
	defer caches.mu.Unlock()
	freed := 0
	for round := 0; round < 3; round++ {
		for range len(caches.list) {
			caches.hand = (caches.hand + 1) % len(caches.list)
			c := caches.list[caches.hand]
			if round == 2 {
				c.tryUnmap()
			}
			freed += c.evict(want - freed)
			if freed >= want {
				return freed
			}
		}
	}
	return freed
}

// evict frees up to want clean pages that nobody uses.
func (c *Cache) evict(want int) (freed int) {
	if !c.mu.TryLock() {
		return 0
	}
	defer c.mu.Unlock()
	freed = c.evictLeaf(c.first, want)
	for k, l := range c.more { // in no order: a hand that moves at random
		if freed >= want {
			break
		}
		freed += c.evictLeaf(l, want-freed)
		if *l == (leaf{}) {
			delete(c.more, k)
		}
	}
	return freed
}

func (c *Cache) evictLeaf(l *leaf, want int) (freed int) {
	if l == nil {
		return 0
	}
	for i, e := range l {
		if e&entryReady == 0 || e&entryDirty != 0 {
			continue
		}
		if e&entryUsed != 0 {
			l[i] = e &^ entryUsed
			continue
		}
		if frame.Frame(e&entryFrame).Refs() == 1 {
			l[i] = 0
			c.forget(e)
			if freed++; freed == want {
				break
			}
		}
	}
	return freed
}

// tryUnmap takes the cache's pages out of all page tables that are not locked;
// they come back by page faults.
func (c *Cache) tryUnmap() {
	if !c.mu.TryLock() {
		return
	}
	var spaces []*AddressSpace
	for as := range c.spaces {
		spaces = append(spaces, as)
	}
	c.mu.Unlock()
	for _, as := range spaces {
		if !as.mu.TryLock() {
			continue
		}
		g := as.begin()
		c.eachMapping(as, 0, forever, func(a *area, start, end uint64) {
			if a.flags&locked == 0 {
				as.zap(g, start, end, true)
			}
		})
		g.flush()
		as.unlock()
	}
}
