package mm

import (
	"sync/atomic"

	"golang.org/x/sys/unix"

	"gosv/kernel/cpu"
)

// Mremap changes the size of the mapping [old, old+oldLen), and moves it if it
// must and may (mremap(2)).
func (as *AddressSpace) Mremap(old, oldLen, newLen uint64, flags uint32, newAddr uint64) (uint64, error) {
	const all = unix.MREMAP_MAYMOVE | unix.MREMAP_FIXED | unix.MREMAP_DONTUNMAP
	switch {
	case flags&^all != 0, old&pageMask != 0, newLen == 0,
		flags&unix.MREMAP_FIXED != 0 && flags&unix.MREMAP_MAYMOVE == 0,
		flags&unix.MREMAP_DONTUNMAP != 0 && (flags&unix.MREMAP_MAYMOVE == 0 || oldLen != newLen):
		return 0, unix.EINVAL
	}
	oldLen, newLen = pageUp(oldLen), pageUp(newLen)
	if newLen == 0 || newLen > cpu.UserTop || old+oldLen < old || oldLen > cpu.UserTop {
		return 0, unix.EINVAL
	}
	fixed := flags&unix.MREMAP_FIXED != 0
	if fixed {
		if newAddr&pageMask != 0 || newAddr > cpu.UserTop-newLen || newAddr < minAddr.Load() ||
			old < newAddr+newLen && newAddr < old+oldLen {
			return 0, unix.EINVAL
		}
	}

	as.mu.Lock()
	defer as.unlock()
	a := as.areas.at(old)
	if a == nil {
		return 0, unix.EFAULT
	}
	if oldLen == 0 && (a.flags&shared == 0 || flags&unix.MREMAP_MAYMOVE == 0) {
		return 0, unix.EINVAL // only a shared mapping can be had twice
	}
	if old+oldLen > a.end {
		return 0, unix.EFAULT
	}
	if as.areas.n+3 > int(maxAreas.Load()) {
		return 0, unix.ENOMEM
	}
	if newLen > oldLen {
		if a.cache != nil && a.offset+(old-a.start)+newLen < a.offset {
			return 0, unix.EINVAL
		}
		flagsCommit := a.flags
		if !a.accountable() {
			flagsCommit |= noReserve
		}
		if !as.mayGrow(newLen-oldLen, flagsCommit) || a.isData() && as.dataSize()+newLen-oldLen > as.limits.data {
			return 0, unix.ENOMEM
		}
	}
	if !fixed && flags&unix.MREMAP_DONTUNMAP == 0 && oldLen != 0 {
		if newLen <= oldLen {
			if newLen < oldLen {
				as.unmapLocked(old+newLen, old+oldLen)
			}
			return old, nil
		}
		if old+oldLen == a.end && old+newLen <= cpu.UserTop && old+newLen >= old && as.areas.free(a.end, old+newLen) {
			grow := newLen - oldLen
			as.areas.resize(a, a.start, a.end+grow)
			as.vsize += grow
			as.coalesce(a.start, a.end)
			return old, nil
		}
		if flags&unix.MREMAP_MAYMOVE == 0 {
			return 0, unix.ENOMEM
		}
	}

	if newLen < oldLen {
		as.unmapLocked(old+newLen, old+oldLen)
		oldLen = newLen
	}
	if fixed {
		as.unmapLocked(newAddr, newAddr+newLen)
	} else {
		addr, err := as.place(&MapArgs{Addr: newAddr}, newLen)
		if err != nil {
			return 0, err
		}
		newAddr = addr
	}
	return as.move(old, oldLen, newLen, newAddr, flags&unix.MREMAP_DONTUNMAP != 0)
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
	if oldLen > 0 && !keep {
		as.areas.extract(old, old+oldLen)
		as.vsize -= oldLen
		a.drop(as)
		as.trimTables(g, old, old+oldLen)
	}
	g.flush()
	as.coalesce(to, to+newLen)
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
