package mm

import (
	"sync/atomic"

	"golang.org/x/sys/unix"

	"gosv/kernel/cpu"
)

// Mremap changes the size of the mapping [old, old+oldLen), and moves it if it
// must and may (mremap(2)). low allows a new address below vm.mmap_min_addr.
func (as *AddressSpace) Mremap(old, oldLen, newLen uint64, flags uint32, newAddr uint64, low bool) (uint64, error) {
	const all = unix.MREMAP_MAYMOVE | unix.MREMAP_FIXED | unix.MREMAP_DONTUNMAP
	switch {
	case flags&^all != 0, old&pageMask != 0,
		flags&unix.MREMAP_FIXED != 0 && flags&unix.MREMAP_MAYMOVE == 0,
		flags&unix.MREMAP_DONTUNMAP != 0 && (flags&unix.MREMAP_MAYMOVE == 0 || oldLen != newLen):
		return 0, unix.EINVAL
	}
	oldLen, newLen = pageUp(oldLen), pageUp(newLen)
	if newLen == 0 {
		return 0, unix.EINVAL
	}
	as.mu.Lock()
	at, err := as.mremap(old, oldLen, newLen, flags, newAddr, low)
	fill := false
	if err == nil && newLen > oldLen {
		a := as.areas.at(at)
		fill = a != nil && a.flags&locked != 0
	}
	as.unlock()
	if fill {
		as.populate(at+oldLen, at+newLen)
	}
	return at, err
}

// mremap is Mremap with as.mu held for writing, and lengths of whole pages.
func (as *AddressSpace) mremap(old, oldLen, newLen uint64, flags uint32, newAddr uint64, low bool) (uint64, error) {
	a := as.areas.at(old)
	if a == nil {
		return 0, unix.EFAULT
	}
	if a.flags&sealed != 0 {
		return 0, unix.EPERM
	}
	keep := flags&unix.MREMAP_DONTUNMAP != 0
	if flags&unix.MREMAP_FIXED != 0 || keep {
		return as.mremapTo(old, oldLen, newLen, newAddr, flags, low)
	}
	if newLen <= oldLen { // whatever areas and holes there are
		return old, as.shrink(old, oldLen, newLen)
	}
	a, err := as.mayResize(old, oldLen, newLen)
	if err != nil {
		return 0, err
	}
	if old+oldLen == a.end && old+newLen <= cpu.UserTop && old+newLen >= old && as.areas.free(a.end, old+newLen) {
		grow := newLen - oldLen
		as.areas.resize(a, a.start, a.end+grow)
		as.vsize += grow
		as.coalesce(a.start, a.end)
		return old, nil
	}
	if flags&unix.MREMAP_MAYMOVE == 0 || as.areas.n+3 > int(maxAreas.Load()) {
		return 0, unix.ENOMEM
	}
	to, err := as.place(&MapArgs{}, newLen)
	if err != nil {
		return 0, err
	}
	return as.move(old, oldLen, newLen, to, false)
}

// mremapTo is mremap to an address that the caller has chosen, or with the old range
// kept, which always moves.
func (as *AddressSpace) mremapTo(old, oldLen, newLen, to uint64, flags uint32, low bool) (uint64, error) {
	if to&pageMask != 0 || newLen > cpu.UserTop || to > cpu.UserTop-newLen || old < to+newLen && to < old+oldLen {
		return 0, unix.EINVAL
	}
	if as.areas.n+5 > int(maxAreas.Load()) {
		return 0, unix.ENOMEM
	}
	keep := flags&unix.MREMAP_DONTUNMAP != 0
	a, err := as.mayResize(old, min(oldLen, newLen), newLen)
	if err != nil {
		return 0, err
	}
	if keep && !as.mayGrow(oldLen, a.flags|noReserve) {
		return 0, unix.ENOMEM
	}
	m := MapArgs{Addr: to}
	if flags&unix.MREMAP_FIXED != 0 {
		switch {
		case as.sealedIn(to, to+newLen):
			return 0, unix.EPERM
		case to < minAddr.Load() && !low:
			return 0, unix.EPERM
		}
		m.Flags, m.Low = unix.MAP_FIXED, low
	}
	if newLen < oldLen {
		if err := as.shrink(old, oldLen, newLen); err != nil {
			return 0, err
		}
		oldLen = newLen
	}
	if m.Flags != 0 {
		as.unmapLocked(to, to+newLen)
	}
	if to, err = as.place(&m, newLen); err != nil {
		return 0, err
	}
	return as.move(old, oldLen, newLen, to, keep)
}

// shrink unmaps what is too much of a range.
func (as *AddressSpace) shrink(old, oldLen, newLen uint64) error {
	if newLen == oldLen {
		return nil
	}
	lo, n := old+newLen, oldLen-newLen
	switch {
	case lo > cpu.UserTop || n > cpu.UserTop-lo:
		return unix.EINVAL
	case as.sealedIn(lo, lo+n):
		return unix.EPERM
	case as.areas.n+1 > int(maxAreas.Load()) && as.splits(lo, lo+n):
		return unix.ENOMEM
	}
	as.unmapLocked(lo, lo+n)
	return nil
}

// mayResize returns the area of a range that is to get another length or place.
func (as *AddressSpace) mayResize(old, oldLen, newLen uint64) (*area, error) {
	a := as.areas.at(old)
	switch {
	case a == nil:
		return nil, unix.EFAULT
	case oldLen == 0 && a.flags&shared == 0:
		return nil, unix.EINVAL // only a shared mapping can be had twice
	case oldLen > a.end-old:
		return nil, unix.EFAULT
	case newLen == oldLen:
		return a, nil
	case a.cache != nil && a.offset+(old-a.start)+newLen < a.offset:
		return nil, unix.EINVAL
	}
	grow := newLen - oldLen
	if a.flags&locked != 0 && !as.mayLock(grow) {
		return nil, unix.EAGAIN
	}
	promise := a.flags
	if !a.accountable() {
		promise |= noReserve
	}
	if !as.mayGrow(grow, promise) || a.isData() && as.dataSize()+grow > as.limits.data {
		return nil, unix.ENOMEM
	}
	return a, nil
}

// move gives the pages of [old, old+oldLen) new addresses, in an area of newLen
// bytes at to, where nothing is.
func (as *AddressSpace) move(old, oldLen, newLen, to uint64, keep bool) (uint64, error) {
	as.cut(old)
	if oldLen > 0 {
		as.cut(old + oldLen)
	}
	a := as.areas.at(old)
	b := new(area)
	*b = *a
	b.flags &^= growsDown
	b.start, b.end = to, to+newLen
	b.offset = a.offset + old - a.start
	b.retain(as)
	as.areas.insert(b)
	as.vsize += newLen

	g := as.begin()
	if !as.movePages(g, old, to, oldLen) {
		// No frame for a table: put back what was moved.
		for !as.movePages(g, to, old, oldLen) {
			break // cannot be: the tables of the old place are still there
		}
		as.areas.extract(b.start, b.end)
		b.drop(as)
		as.vsize -= newLen
		as.trimTables(g, to, to+newLen)
		g.flush()
		as.coalesce(old, old+oldLen)
		return 0, unix.ENOMEM
	}
	if keep {
		a.flags &^= lockFlags // as on Linux: there is nothing that is locked any more
	}
	if oldLen > 0 && !keep {
		as.areas.extract(old, old+oldLen)
		as.vsize -= oldLen
		a.drop(as)
		as.trimTables(g, old, old+oldLen)
	}
	g.flush()
	as.coalesce(to, to+newLen)
	if keep {
		as.coalesce(old, old+oldLen)
	}
	return to, nil
}

// movePages moves the entries of n bytes at from to to. It returns false if it could
// not make a table.
func (as *AddressSpace) movePages(g *gather, from, to, n uint64) bool {
	for va := from; va < from+n; {
		t, next := as.table(va)
		if t == nil {
			va = next
			continue
		}
		for end := min(from+n, va&^(tableSpan-1)+tableSpan); va < end; {
			dst := to + (va - from)
			stop := min(end, va+(tableSpan-dst&(tableSpan-1)))
			var d *table
			for ; va < stop; va += pageSize {
				p := &t[va>>12&511]
				if *p == 0 {
					continue
				}
				if d == nil {
					if d = as.makeLeaf(dst); d == nil {
						return false
					}
				}
				e := atomic.SwapUint64(p, 0)
				g.touch(va)
				atomic.StoreUint64(&d[(to+(va-from))>>12&511], e)
			}
		}
	}
	return true
}

// RemapFilePages maps page index of the file that is mapped at addr there, in n bytes
// (remap_file_pages(2)). flags may have MAP_NONBLOCK.
func (as *AddressSpace) RemapFilePages(addr, n, index uint64, flags uint32) error {
	as.mu.RLock()
	a := as.areas.at(addr)
	if a == nil || a.flags&shared == 0 || index > 1<<51 {
		as.mu.RUnlock()
		return unix.EINVAL
	}
	for last := a; last.end < addr+n; {
		next := as.areas.at(last.end)
		if next == nil || next.file != a.file || next.flags != a.flags {
			as.mu.RUnlock()
			return unix.EINVAL
		}
		last = next
	}
	m := MapArgs{Addr: addr, Len: n, Prot: a.prot, MaxProt: a.max, Offset: index * pageSize, File: a.file, Low: true,
		Flags: flags | unix.MAP_SHARED | unix.MAP_FIXED | unix.MAP_POPULATE}
	if a.flags&locked != 0 {
		m.Flags |= unix.MAP_LOCKED
	}
	m.File.Retain()
	as.mu.RUnlock()
	_, err := as.Mmap(m)
	m.File.Release()
	return err
}
