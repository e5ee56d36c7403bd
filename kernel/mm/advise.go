package mm

import (
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// Advice that x/sys/unix lacks (include/uapi/asm-generic/mman-common.h).
const (
	madvDontNeedLocked = 24
	madvCollapse       = 25
)

// Madvise says how [addr, addr+n) will be used, or drops its contents
// (madvise(2)). Unknown advice is EINVAL; a hole in the range is ENOMEM, after
// the rest was done.
func (as *AddressSpace) Madvise(addr, n uint64, advice int) error {
	switch advice {
	case unix.MADV_NORMAL, unix.MADV_RANDOM, unix.MADV_SEQUENTIAL, unix.MADV_WILLNEED, unix.MADV_DONTNEED, unix.MADV_FREE,
		unix.MADV_REMOVE, unix.MADV_DONTFORK, unix.MADV_DOFORK, unix.MADV_HUGEPAGE, unix.MADV_NOHUGEPAGE, unix.MADV_DONTDUMP,
		unix.MADV_DODUMP, unix.MADV_WIPEONFORK, unix.MADV_KEEPONFORK, unix.MADV_COLD, unix.MADV_PAGEOUT,
		unix.MADV_POPULATE_READ, unix.MADV_POPULATE_WRITE, madvDontNeedLocked, madvCollapse:
	default: // MERGEABLE too: a kernel without KSM does not know it
		return unix.EINVAL
	}
	if addr&pageMask != 0 {
		return unix.EINVAL
	}
	size := pageUp(n)
	if n != 0 && size == 0 || addr+size < addr {
		return unix.EINVAL
	}
	if size == 0 {
		return nil
	}
	lo, hi := addr, addr+size
	switch advice {
	case unix.MADV_POPULATE_READ:
		return as.prefault(lo, hi, AccessRead)
	case unix.MADV_POPULATE_WRITE:
		return as.prefault(lo, hi, AccessWrite)
	case unix.MADV_WILLNEED:
		return as.willNeed(lo, hi)
	case unix.MADV_REMOVE:
		return as.remove(lo, hi)
	}

	as.mu.Lock()
	defer as.unlock()
	g := as.begin()
	err := as.eachPart(lo, hi, func(a *area, lo, hi uint64) error {
		if a.sealedFor(advice) {
			return unix.EPERM
		}
		switch advice {
		case unix.MADV_DONTNEED:
			if a.flags&locked != 0 {
				return unix.EINVAL
			}
			as.zap(g, lo, hi, false)
		case madvDontNeedLocked:
			as.zap(g, lo, hi, false)
		case unix.MADV_FREE: // at once: nobody can tell from memory being short
			if a.cache != nil {
				return unix.EINVAL
			}
			as.zap(g, lo, hi, false)
		case unix.MADV_NORMAL:
			as.setFlags(lo, hi, 0, randomAccess|sequentialAccess)
		case unix.MADV_RANDOM:
			as.setFlags(lo, hi, randomAccess, sequentialAccess)
		case unix.MADV_SEQUENTIAL:
			as.setFlags(lo, hi, sequentialAccess, randomAccess)
		case unix.MADV_DONTFORK:
			as.setFlags(lo, hi, dontFork, 0)
		case unix.MADV_DOFORK:
			as.setFlags(lo, hi, 0, dontFork)
		case unix.MADV_WIPEONFORK:
			if a.cache != nil {
				return unix.EINVAL
			}
			as.setFlags(lo, hi, wipeOnFork, 0)
		case unix.MADV_KEEPONFORK:
			if a.flags&droppable != 0 {
				return unix.EINVAL
			}
			as.setFlags(lo, hi, 0, wipeOnFork)
		case unix.MADV_DONTDUMP:
			as.setFlags(lo, hi, dontDump, 0)
		case unix.MADV_DODUMP:
			if a.flags&droppable != 0 {
				return unix.EINVAL
			}
			as.setFlags(lo, hi, 0, dontDump)
		case unix.MADV_HUGEPAGE:
			as.setFlags(lo, hi, wantHuge, noHuge)
		case unix.MADV_NOHUGEPAGE:
			as.setFlags(lo, hi, noHuge, wantHuge)
		case unix.MADV_COLD, unix.MADV_PAGEOUT:
			if a.flags&locked != 0 {
				return unix.EINVAL
			}
		case madvCollapse: // there are no huge pages to collapse into
			return unix.EINVAL
		}
		return nil
	})
	g.flush()
	as.coalesce(lo, hi)
	return err
}

// eachPart calls f for the part of each area in [lo, hi) until it fails. A hole
// is ENOMEM, once f was called for everything else. f may cut areas.
func (as *AddressSpace) eachPart(lo, hi uint64, f func(a *area, lo, hi uint64) error) error {
	var hole error
	for va := lo; va < hi; {
		a := as.areas.find(va)
		if a == nil || a.start >= hi {
			return unix.ENOMEM
		}
		if a.start > va {
			hole = unix.ENOMEM
			va = a.start
		}
		end := min(a.end, hi)
		if err := f(a, va, end); err != nil {
			return err
		}
		va = end
	}
	return hole
}

func (as *AddressSpace) setFlags(lo, hi uint64, set, clear areaFlags) {
	if a := as.areas.at(lo); a.flags&^clear|set == a.flags || as.areas.n+2 > int(maxAreas.Load()) {
		return
	}
	as.cut(lo)
	as.cut(hi)
	a := as.areas.at(lo)
	a.flags = a.flags&^clear | set
}

// prefault makes the pages of [lo, hi) present (MADV_POPULATE_*).
func (as *AddressSpace) prefault(lo, hi uint64, acc Access) error {
	for va := lo; va < hi; va += pageSize {
		switch as.resolve(va, acc) {
		case noMapping:
			return unix.ENOMEM
		case noAccess:
			return unix.EINVAL
		case beyondEnd:
			return unix.EFAULT
		case noMemory:
			as.oom.Store(false)
			return unix.ENOMEM
		}
	}
	return nil
}

// A part is a piece of a file that an area maps.
type part struct {
	file   Mappable
	cache  *Cache
	offset uint64
	n      uint64
}

// fileParts returns the files mapped in [lo, hi), with a reference each, and
// ENOMEM if there is a hole.
func (as *AddressSpace) fileParts(lo, hi uint64, ok func(a *area) error) (parts []part, err error) {
	as.mu.RLock()
	defer as.mu.RUnlock()
	err = as.eachPart(lo, hi, func(a *area, lo, hi uint64) error {
		if err := ok(a); err != nil {
			return err
		}
		if a.cache != nil {
			a.file.Retain()
			parts = append(parts, part{a.file, a.cache, a.offset + lo - a.start, hi - lo})
		}
		return nil
	})
	return parts, err
}

func release(parts []part) {
	for _, p := range parts {
		p.file.Release()
	}
}

// willNeed reads mapped files ahead.
func (as *AddressSpace) willNeed(lo, hi uint64) error {
	parts, err := as.fileParts(lo, hi, func(*area) error { return nil })
	for _, p := range parts {
		if p.cache.backing == nil {
			continue
		}
		const most = 512 // pages; Linux bounds it by the device's readahead
		for i := range min(p.n/pageSize, most) {
			if index := p.offset/pageSize + i; p.cache.holds(index) {
				if f, err := p.cache.Page(index, true); err == nil {
					f.Unref()
				}
			}
		}
	}
	release(parts)
	return err
}

// remove makes the mapped part of a shared file a hole (MADV_REMOVE).
func (as *AddressSpace) remove(lo, hi uint64) error {
	parts, err := as.fileParts(lo, hi, func(a *area) error {
		switch {
		case a.sealedFor(unix.MADV_REMOVE):
			return unix.EPERM
		case a.flags&locked != 0, a.cache == nil:
			return unix.EINVAL
		case a.flags&shared == 0 || a.max&ProtWrite == 0:
			return unix.EACCES
		case a.cache.resident != nil:
			return unix.EOPNOTSUPP
		}
		return nil
	})
	for _, p := range parts {
		if e := p.cache.PunchHole(int64(p.offset), int64(p.n)); e != nil && err == nil {
			err = e
		}
	}
	release(parts)
	return err
}

// Mincore sets out[i] to 1 if page i of [addr, addr+n) is in memory (mincore(2)).
// Of a file for which reveals is false, all pages seem to be, so that nobody learns
// what others have read. A hole is ENOMEM.
func (as *AddressSpace) Mincore(addr, n uint64, out []byte, reveals func(Mappable) bool) error {
	if addr&pageMask != 0 {
		return unix.EINVAL
	}
	n = pageUp(n)
	if !inUser(addr, n) {
		return unix.ENOMEM
	}
	as.mu.RLock()
	defer as.mu.RUnlock()
	return as.eachPart(addr, addr+n, func(a *area, lo, hi uint64) error {
		all := a.file != nil && !reveals(a.file)
		for va := lo; va < hi; va += pageSize {
			var in byte
			if p := as.slot(va); all || p != nil && atomic.LoadUint64(p) != 0 || p == nil && as.hugeAt(va) != nil {
				in = 1
			} else if a.cache != nil && a.cache.holds(a.index(va)) && a.cache.Resident(a.index(va)) {
				in = 1
			}
			out[(va-addr)/pageSize] = in
		}
		return nil
	})
}

// Msync writes what was changed in shared mappings back to their files (msync(2)).
func (as *AddressSpace) Msync(addr, n uint64, flags int) error {
	const all = unix.MS_ASYNC | unix.MS_INVALIDATE | unix.MS_SYNC
	if flags&^all != 0 || addr&pageMask != 0 || flags&unix.MS_ASYNC != 0 && flags&unix.MS_SYNC != 0 {
		return unix.EINVAL
	}
	size := pageUp(n)
	if addr+size < addr {
		return unix.ENOMEM
	}
	if size == 0 { // also a length that is rounded up to 0
		return nil
	}
	parts, err := as.fileParts(addr, addr+size, func(a *area) error {
		if flags&unix.MS_INVALIDATE != 0 && a.flags&locked != 0 {
			return unix.EBUSY
		}
		return nil
	})
	if flags&unix.MS_SYNC != 0 {
		for _, p := range parts {
			if e := p.cache.SyncRange(int64(p.offset), int64(p.n)); e != nil && err == nil {
				err = e
			}
		}
	}
	release(parts)
	return err
}
