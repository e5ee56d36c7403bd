package mm

import (
	"sync"
	"sync/atomic"

	"gosv/kernel/cpu"
	"gosv/kernel/frame"
)

// Transparent huge pages: an entry of a directory maps 2 MiB of private anonymous memory. They come into being in write
// faults, all of their frames with one reference, writable and dirty, and whatever is to change a part of one splits it
// into the pages of a table first. The table is taken along with the huge page, so that a split cannot fail.

const (
	hugeSize  = tableSpan
	hugePages = hugeSize / pageSize
	hugeOrder = 9
)

// hugeTables are the tables into which an address space's huge pages can be split, a list through their first words.
type hugeTables struct {
	mu    sync.Mutex
	first frame.Frame
	n     int
}

func (h *hugeTables) put(f frame.Frame) {
	h.mu.Lock()
	tableAt(uint64(f))[0] = uint64(h.first)
	h.first = f
	h.n++
	h.mu.Unlock()
}

func (h *hugeTables) take() frame.Frame {
	h.mu.Lock()
	defer h.mu.Unlock()
	f := h.first
	h.first = frame.Frame(tableAt(uint64(f))[0])
	h.n--
	return f
}

// THPDisabled reports whether faults map no huge pages.
func (as *AddressSpace) THPDisabled() bool { return as.noHuge.Load() }

// DisableTHP forbids huge pages to later faults, or allows them again (PR_SET_THP_DISABLE).
func (as *AddressSpace) DisableTHP(off bool) { as.noHuge.Store(off) }

// huge counts the huge pages of all address spaces.
var huge atomic.Int64

// HugePages is how many huge pages of 2 MiB are mapped in all.
func HugePages() uint64 { return uint64(max(huge.Load(), 0)) }

// directory returns the entry of va in the directory of tables, nil if there is none.
func (as *AddressSpace) directory(va uint64) *uint64 {
	t := tableAt(as.root)
	for shift := uint(39); shift > 21; shift -= 9 {
		e := atomic.LoadUint64(&t[va>>shift&511])
		if e == 0 {
			return nil
		}
		t = tableAt(e)
	}
	return &t[va>>21&511]
}

// hugeAt returns the entry of the huge page at va, nil if there is none.
func (as *AddressSpace) hugeAt(va uint64) *uint64 {
	if p := as.directory(va); p != nil && atomic.LoadUint64(p)&cpu.PTEHuge != 0 {
		return p
	}
	return nil
}

// faultHuge serves a fault in anonymous memory with a huge page, if there is one already or should be. as.mu is held for
// reading.
func (as *AddressSpace) faultHuge(a *area, va uint64, acc Access) bool {
	p := as.directory(va)
	if p != nil {
		if e := atomic.LoadUint64(p); e != 0 {
			return e&cpu.PTEHuge != 0 // another thread was faster
		}
	}
	if acc != AccessWrite || !as.wantsHuge(a, va) {
		return false
	}
	if p = as.makeEntry(va, 21); p == nil {
		return false
	}
	t := frame.AllocRaw()
	if t == 0 {
		return false
	}
	f := frame.AllocUserOrder(hugeOrder)
	if f == 0 {
		t.Unref()
		return false
	}
	e := uint64(f) | a.bits(true) | cpu.PTEHuge | cpu.PTEAccessed | cpu.PTEDirty
	as.hugeTables.put(t) // before somebody can split it
	if !atomic.CompareAndSwapUint64(p, 0, e) {
		f.UnrefOrder(hugeOrder)
		as.hugeTables.take().Unref()
		return false
	}
	as.tables.Add(1)
	as.rssAnon.Add(hugePages)
	huge.Add(1)
	return true
}

// wantsHuge decides whether a write fault maps a huge page: where the program has asked for them, and where it fills
// memory from start to end, so that memory which is used here and there takes no page too many.
func (as *AddressSpace) wantsHuge(a *area, va uint64) bool {
	base := va &^ (hugeSize - 1)
	if a.flags&(noHuge|growsDown) != 0 || base < a.start || base+hugeSize > a.end || as.noHuge.Load() || !frame.Plenty() {
		return false
	}
	return a.flags&wantHuge != 0 || va == base && as.filled(a, base)
}

// filled reports whether the pages right below va are there, as many as one fault maps at most.
func (as *AddressSpace) filled(a *area, va uint64) bool {
	if va < a.start+maxAhead*pageSize {
		return false
	}
	t, _ := as.leaf(va - pageSize)
	if t == nil {
		return as.hugeAt(va-pageSize) != nil
	}
	for i := range t[len(t)-maxAhead:] {
		if atomic.LoadUint64(&t[len(t)-maxAhead+i])&cpu.PTEWrite == 0 {
			return false
		}
	}
	return true
}

// split makes the huge page of entry p a table of pages. as.mu is held for writing.
func (as *AddressSpace) split(p *uint64, va uint64) {
	e := *p
	f := as.hugeTables.take()
	t := tableAt(uint64(f))
	for i := range t {
		t[i] = e&^cpu.PTEHuge + uint64(i)*pageSize
	}
	// No CPU may have both sizes in its TLB; one that faults meanwhile waits for as.mu.
	atomic.StoreUint64(p, 0)
	cpu.FlushTLB(as.root, va&^(hugeSize-1), hugeSize)
	atomic.StoreUint64(p, tableEntry(f))
	huge.Add(-1)
}

// table is leaf for who changes a part of the table that may be a huge page yet. as.mu is held for writing.
func (as *AddressSpace) table(va uint64) (*table, uint64) {
	t, next := as.leaf(va)
	if t == nil {
		if p := as.hugeAt(va); p != nil {
			as.split(p, va)
			return as.leaf(va)
		}
	}
	return t, next
}

// zapHuge empties the huge page of entry p, which begins at va. as.mu is held for writing.
func (as *AddressSpace) zapHuge(g *gather, p *uint64, va uint64) {
	f := pteFrame(atomic.SwapUint64(p, 0) &^ (hugeSize - 1 - pageMask))
	g.lo, g.hi = min(g.lo, va), max(g.hi, va+hugeSize)
	g.anon += hugePages
	g.flush()
	f.UnrefOrder(hugeOrder)
	as.hugeTables.take().Unref()
	as.tables.Add(-1)
	huge.Add(-1)
}
