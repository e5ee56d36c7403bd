package mm

// areaFlags are properties of an area beside its protection.
type areaFlags uint16

const (
	shared areaFlags = 1 << iota
	growsDown
	noReserve
	locked
	dontFork
	wipeOnFork
	dontDump
	noHuge
	wantHuge
	randomAccess
	sequentialAccess
	lockOnFault // with locked: pages are locked when they are touched (mlock2(2))
	sealed      // mseal(2)
	droppable   // MAP_DROPPABLE

	lockFlags = locked | lockOnFault
)

// An area is a range of addresses with one purpose: Linux's vm_area_struct. It
// is a node of a treap ordered by address, which knows of each subtree the
// largest gap, so that a free range of any size is found in one descent.
type area struct {
	start, end uint64
	prot, max  Prot // max: what mprotect may set
	flags      areaFlags
	file       Mappable // holds a reference; nil for anonymous memory
	cache      *Cache   // where pages come from; nil for private anonymous memory
	offset     uint64   // in the cache, of start
	name       string

	left, right *area
	prio        uint32
	first, last uint64 // of the subtree, guard gaps included
	gap         uint64 // largest between areas of the subtree
}

// guardGap is kept free below an area that grows down.
const guardGap = 256 * pageSize

// low is where the area begins for the search of free ranges.
func (a *area) low() uint64 {
	if a.flags&growsDown != 0 {
		return a.start - min(guardGap, a.start)
	}
	return a.start
}

// index is the page of the cache at addr.
func (a *area) index(addr uint64) uint64 { return (a.offset + addr - a.start) / pageSize }

func (a *area) size() uint64 { return a.end - a.start }

// mayWrite reports whether the file can be changed through the area, now or after an
// mprotect(2).
func (a *area) mayWrite() bool { return a.flags&shared != 0 && a.max&ProtWrite != 0 }

func sub(a, b uint64) uint64 {
	if a < b {
		return 0
	}
	return a - b
}

func (a *area) update() {
	a.first, a.last, a.gap = a.low(), a.end, 0
	if l := a.left; l != nil {
		a.gap = max(l.gap, sub(a.first, l.last))
		a.first = min(a.first, l.first)
	}
	if r := a.right; r != nil {
		a.gap = max(a.gap, r.gap, sub(r.first, a.end))
		a.last = r.last
	}
}

// areaTree holds areas that do not overlap.
type areaTree struct {
	root *area
	n    int
	seed uint32
}

// split parts a tree into areas below addr and the others. No area may cross addr.
func split(t *area, addr uint64) (l, r *area) {
	if t == nil {
		return nil, nil
	}
	if t.start < addr {
		t.right, r = split(t.right, addr)
		t.update()
		return t, r
	}
	l, t.left = split(t.left, addr)
	t.update()
	return l, t
}

// join is the inverse of split.
func join(l, r *area) *area {
	switch {
	case l == nil:
		return r
	case r == nil:
		return l
	case l.prio > r.prio:
		l.right = join(l.right, r)
		l.update()
		return l
	default:
		r.left = join(l, r.left)
		r.update()
		return r
	}
}

// find returns the area that holds addr, or the next above it, or nil.
func (t *areaTree) find(addr uint64) *area {
	var best *area
	for a := t.root; a != nil; {
		if addr < a.end {
			best = a
			if addr >= a.start {
				break
			}
			a = a.left
		} else {
			a = a.right
		}
	}
	return best
}

// below returns the last area that begins below addr, or nil.
func (t *areaTree) below(addr uint64) *area {
	var best *area
	for a := t.root; a != nil; {
		if a.start < addr {
			best = a
			a = a.right
		} else {
			a = a.left
		}
	}
	return best
}

// at returns the area that holds addr, or nil.
func (t *areaTree) at(addr uint64) *area {
	if a := t.find(addr); a != nil && a.start <= addr {
		return a
	}
	return nil
}

func (t *areaTree) insert(a *area) {
	t.seed = t.seed*1664525 + 1013904223
	a.prio, a.left, a.right = t.seed^t.seed>>15, nil, nil
	a.update()
	l, r := split(t.root, a.start)
	t.root = join(join(l, a), r)
	t.n++
}

// extract takes the areas of [lo, hi) out, as a tree. No area may cross lo or hi.
func (t *areaTree) extract(lo, hi uint64) *area {
	l, rest := split(t.root, lo)
	mid, r := split(rest, hi)
	t.root = join(l, r)
	mid.each(func(*area) bool { t.n--; return true })
	return mid
}

// resize changes the bounds of an area; the order of areas must stay the same.
func (t *areaTree) resize(a *area, start, end uint64) {
	a.offset += start - a.start
	a.start, a.end = start, end
	refresh(t.root, a)
}

// refresh updates what the nodes above a know of their subtrees.
func refresh(n, a *area) {
	switch {
	case a == n:
	case a.start < n.start:
		refresh(n.left, a)
	default:
		refresh(n.right, a)
	}
	n.update()
}

// each calls f for the areas of a subtree in order until f returns false. f may
// change what does not affect the order.
func (a *area) each(f func(*area) bool) bool {
	return a == nil || a.left.each(f) && f(a) && a.right.each(f)
}

// eachIn is each for the areas that meet [lo, hi).
func (a *area) eachIn(lo, hi uint64, f func(*area) bool) bool {
	if a == nil || a.last <= lo {
		return true
	}
	if a.start >= hi {
		return a.left.eachIn(lo, hi, f)
	}
	return a.left.eachIn(lo, hi, f) && (a.end <= lo || f(a)) && a.right.eachIn(lo, hi, f)
}

// highest returns the highest address in [lo, hi) with n free bytes, given the
// areas of the subtree a.
func (a *area) highest(lo, hi, n uint64) (uint64, bool) {
	if sub(hi, lo) < n {
		return 0, false
	}
	if a == nil {
		return hi - n, true
	}
	if a.gap < n && sub(hi, a.last) < n && sub(a.first, lo) < n {
		return 0, false
	}
	if a.low() < hi {
		if addr, ok := a.right.highest(max(lo, a.end), hi, n); ok {
			return addr, true
		}
		hi = a.low()
	}
	return a.left.highest(lo, hi, n)
}

// free reports whether [lo, hi) meets no area or guard gap.
func (t *areaTree) free(lo, hi uint64) bool {
	a := t.find(lo)
	return a == nil || a.low() >= hi
}

// cut makes addr a border between areas.
func (as *AddressSpace) cut(addr uint64) {
	a := as.areas.at(addr)
	if a == nil || a.start == addr {
		return
	}
	b := new(area)
	*b = *a
	b.retain(as)
	as.areas.resize(a, a.start, addr)
	b.start = addr
	b.offset += addr - a.start
	as.areas.insert(b)
}

// canJoin reports whether b, which begins where a ends, can become part of it.
func (a *area) canJoin(b *area) bool {
	return a.end == b.start && a.prot == b.prot && a.max == b.max && a.flags == b.flags && a.file == b.file &&
		a.cache == b.cache && a.name == b.name &&
		(a.cache == nil || a.offset+a.size() == b.offset)
}

// coalesce joins areas at the borders in [lo, hi].
func (as *AddressSpace) coalesce(lo, hi uint64) {
	a := as.areas.below(lo)
	if a == nil {
		a = as.areas.find(lo)
	}
	for a != nil && a.end <= hi {
		b := as.areas.find(a.end)
		if b == nil || !a.canJoin(b) {
			a = b
			continue
		}
		end := b.end
		as.areas.extract(b.start, b.end)
		b.drop(as)
		as.areas.resize(a, a.start, end)
	}
}

// retain takes the references of a new area that is a copy of another.
func (a *area) retain(as *AddressSpace) {
	if a.file != nil {
		a.file.Retain()
	}
	if a.cache != nil {
		a.cache.addSpace(as, a, 1)
	}
}

// drop gives up the references of an area; as.mu is held for writing, and
// as.unlock releases the file.
func (a *area) drop(as *AddressSpace) {
	if a.file != nil {
		as.dead = append(as.dead, a.file)
	}
	if a.cache != nil {
		a.cache.addSpace(as, a, -1)
	}
}
