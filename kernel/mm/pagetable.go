package mm

import (
	"sync/atomic"
	"unsafe"

	"gosv/kernel/cpu"
	"gosv/kernel/frame"
)

const (
	pageSize = cpu.PageSize
	pageMask = pageSize - 1

	tableSpan = 2 << 20 // what one table of pages covers

	pteHidden = cpu.PTESoft1 // a page of a PROT_NONE area: the entry is not present, but has a frame
	pteCache  = cpu.PTESoft2 // the frame belongs to a Cache
)

type table [512]uint64

func tableAt(pa uint64) *table {
	return (*table)(unsafe.Add(unsafe.Pointer(nil), cpu.PhysToVirt(pa&cpu.PTEAddrMask)))
}

func pteFrame(e uint64) frame.Frame { return frame.Frame(e & cpu.PTEAddrMask) }

// zeroFrame is mapped read-only wherever anonymous memory was only read.
var zeroFrame = func() frame.Frame {
	f := frame.Alloc()
	f.Pin()
	return f
}()

// slot returns the entry of a page, nil if its table is missing.
func (as *AddressSpace) slot(va uint64) *uint64 {
	t, _ := as.leaf(va)
	if t == nil {
		return nil
	}
	return &t[va>>12&511]
}

// leaf returns the last-level table for va. If it is missing, or there is a huge page in its place, leaf returns the
// first address that another table would cover.
func (as *AddressSpace) leaf(va uint64) (*table, uint64) {
	t := tableAt(as.root)
	for shift := uint(39); shift > 12; shift -= 9 {
		e := atomic.LoadUint64(&t[va>>shift&511])
		if e == 0 || e&cpu.PTEHuge != 0 {
			return nil, (va>>shift + 1) << shift
		}
		t = tableAt(e)
	}
	return t, 0
}

// tableEntry is the entry of a table.
func tableEntry(f frame.Frame) uint64 {
	return uint64(f) | cpu.PTEPresent | cpu.PTEWrite | cpu.PTEUser | cpu.PTEAccessed
}

// makeLeaf returns the last-level table for va, and makes it if it is missing; nil means
// out of memory, or that there is a huge page. as.mu is held, for reading at least.
func (as *AddressSpace) makeLeaf(va uint64) *table {
	p := as.makeEntry(va, 12)
	if p == nil {
		return nil
	}
	return (*table)(unsafe.Pointer(uintptr(unsafe.Pointer(p)) &^ pageMask))
}

// makeEntry returns the entry for va in the table of the level that shift means, and makes the table.
func (as *AddressSpace) makeEntry(va uint64, last uint) *uint64 {
	t := tableAt(as.root)
	for shift := uint(39); shift > last; shift -= 9 {
		p := &t[va>>shift&511]
		e := atomic.LoadUint64(p)
		if e == 0 {
			f := allocZeroed()
			if f == 0 {
				return nil
			}
			e = tableEntry(f)
			if atomic.CompareAndSwapUint64(p, 0, e) {
				as.tables.Add(1)
			} else {
				f.Unref()
				e = atomic.LoadUint64(p)
			}
		}
		if e&cpu.PTEHuge != 0 {
			return nil
		}
		t = tableAt(e)
	}
	return &t[va>>last&511]
}

// bits returns the entry bits for a page of the area, writable or not.
func (a *area) bits(writable bool) uint64 {
	var e uint64
	if a.prot == 0 {
		e = pteHidden
	} else {
		e = cpu.PTEPresent | cpu.PTEUser
	}
	if a.prot&ProtExec == 0 {
		e |= cpu.PTENoExec
	}
	if writable && a.prot&ProtWrite != 0 {
		e |= cpu.PTEWrite
	}
	return e
}

// A gather collects frames whose pages are gone from the table, so that one flush
// serves many of them: a frame may be reused only when no CPU can reach it.
type gather struct {
	as     *AddressSpace
	lo, hi uint64 // to flush
	n      int
	anon   int64 // pages taken out, for the accounting
	file   int64
	frames [256]frame.Frame
}

// touch notes that the translation of the page at va changed.
func (g *gather) touch(va uint64) {
	g.lo, g.hi = min(g.lo, va), max(g.hi, va+pageSize)
}

// add takes what the entry e of va held.
func (g *gather) add(va, e uint64) {
	g.touch(va)
	f := pteFrame(e)
	if f == zeroFrame {
		return
	}
	if e&pteCache != 0 {
		g.file++
	} else {
		g.anon++
	}
	g.addFrame(f)
}

func (g *gather) addFrame(f frame.Frame) {
	if g.n == len(g.frames) {
		g.flush()
	}
	g.frames[g.n] = f
	g.n++
}

// flush makes the changes known to all CPUs, and frees what was gathered.
func (g *gather) flush() {
	if g.lo < g.hi {
		cpu.FlushTLB(g.as.root, g.lo, g.hi-g.lo)
	}
	frame.UnrefAll(g.frames[:g.n])
	if g.anon != 0 {
		g.as.rssAnon.Add(-g.anon)
	}
	if g.file != 0 {
		g.as.rssFile.Add(-g.file)
	}
	g.anon, g.file = 0, 0
	g.lo, g.hi, g.n = ^uint64(0), 0, 0
}

// begin returns the address space's gather; as.mu is held for writing.
func (as *AddressSpace) begin() *gather {
	as.notePeak() // what follows may take pages away
	g := &as.gather
	g.as, g.lo, g.hi = as, ^uint64(0), 0
	return g
}

// zap empties the pages of [lo, hi); only those of caches, if cacheOnly. as.mu is
// held for writing.
func (as *AddressSpace) zap(g *gather, lo, hi uint64, cacheOnly bool) {
	for va := lo; va < hi; {
		t, next := as.leaf(va)
		if t == nil {
			if p := as.hugeAt(va); p != nil && !cacheOnly {
				if va&(hugeSize-1) != 0 || next > hi {
					as.split(p, va)
					continue
				}
				as.zapHuge(g, p, va)
			}
			va = next
			continue
		}
		for end := min(hi, va&^(tableSpan-1)+tableSpan); va < end; va += pageSize {
			p := &t[va>>12&511]
			if e := *p; e == 0 || cacheOnly && e&pteCache == 0 {
				continue
			}
			// The CPU may set the dirty bit meanwhile.
			g.add(va, atomic.SwapUint64(p, 0))
		}
	}
}

// freeTables removes the tables that serve only addresses in [floor, ceiling)
// and meet [lo, hi). All entries there are empty.
func (as *AddressSpace) freeTables(g *gather, lo, hi, floor, ceiling uint64) {
	if hi-lo < tableSpan && lo&^(tableSpan-1) < floor && (hi-1)|(tableSpan-1) >= ceiling {
		return
	}
	as.freeLevel(g, tableAt(as.root), 39, lo, hi, floor, ceiling)
}

func (as *AddressSpace) freeLevel(g *gather, t *table, shift uint, lo, hi, floor, ceiling uint64) {
	span := uint64(1) << shift
	for va := lo &^ (span - 1); va < hi; va += span {
		p := &t[va>>shift&511]
		e := *p
		if e == 0 {
			continue
		}
		if shift > 21 {
			as.freeLevel(g, tableAt(e), shift-9, max(lo, va), min(hi, va+span), floor, ceiling)
		}
		if va >= floor && va+span <= ceiling {
			atomic.StoreUint64(p, 0)
			// The range was flushed with its pages, but CPUs cache tables too.
			g.lo, g.hi = min(g.lo, max(va, lo)), max(g.hi, min(va+span, hi))
			as.tables.Add(-1)
			g.addFrame(pteFrame(e))
		}
	}
}

// protect gives the pages of [lo, hi), all in area a, the area's protection.
func (as *AddressSpace) protect(g *gather, a *area, lo, hi uint64) {
	for va := lo; va < hi; {
		t, next := as.table(va)
		if t == nil {
			va = next
			continue
		}
		for end := min(hi, va&^(tableSpan-1)+tableSpan); va < end; va += pageSize {
			p := &t[va>>12&511]
			for {
				e := atomic.LoadUint64(p)
				if e == 0 {
					break
				}
				n := e&(cpu.PTEAddrMask|cpu.PTEAccessed|cpu.PTEDirty|pteCache) | a.bits(as.writable(a, e))
				if n == e {
					break
				}
				if atomic.CompareAndSwapUint64(p, e, n) {
					g.touch(va)
					break
				}
			}
		}
	}
}

// writable reports whether the page of entry e may be written without a fault,
// if the area's protection lets it.
func (as *AddressSpace) writable(a *area, e uint64) bool {
	f := pteFrame(e)
	if a.flags&shared != 0 {
		return a.cache.backing == nil || e&cpu.PTEWrite != 0
	}
	return e&pteCache == 0 && f != zeroFrame && f.Refs() == 1
}
