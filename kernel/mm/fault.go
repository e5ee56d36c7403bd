package mm

import (
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"

	"gosv/kernel/cpu"
	"gosv/kernel/frame"
)

// si_code values of the signals that memory sends (siginfo(2)).
const (
	segvMapErr = 1
	segvAccErr = 2
	busAdrErr  = 2
)

// Fault handles a page fault of the program at addr; nil means that the access
// can be tried again.
func (as *AddressSpace) Fault(addr uint64, acc Access) *FaultError {
	switch as.resolve(addr, acc) {
	case resolved:
		return nil
	case noMapping:
		return &FaultError{Signal: int(syscall.SIGSEGV), Code: segvMapErr}
	case noAccess:
		return &FaultError{Signal: int(syscall.SIGSEGV), Code: segvAccErr}
	case beyondEnd:
		return &FaultError{Signal: int(syscall.SIGBUS), Code: busAdrErr}
	default:
		return &FaultError{Signal: int(syscall.SIGKILL), OOM: true}
	}
}

// resolve makes the access possible if the areas allow it.
func (as *AddressSpace) resolve(addr uint64, acc Access) outcome {
	if addr >= cpu.UserTop {
		return noMapping
	}
	for tries := 0; ; {
		as.mu.RLock()
		a := as.areas.find(addr)
		if a == nil || addr < a.start {
			as.mu.RUnlock()
			if a == nil || a.flags&growsDown == 0 {
				return noMapping
			}
			if out := as.growStack(addr); out != resolved {
				return out
			}
			continue
		}
		if !a.allows(acc) {
			as.mu.RUnlock()
			return noAccess
		}
		out, missing := as.faultIn(a, addr&^pageMask, acc)
		if missing == nil {
			var stamp storeNoter
			if acc == AccessWrite && a.flags&shared != 0 && out == resolved {
				if stamp, _ = a.file.(storeNoter); stamp != nil {
					stamp.Retain()
				}
			}
			as.mu.RUnlock()
			if stamp != nil { // the page has become writable
				stamp.Written()
				stamp.Release()
			}
			if out == noMemory {
				if as.tryAgain(&tries) {
					continue
				}
			}
			return out
		}
		// The page has to come from a device: not under our lock.
		index, file := a.index(addr), a.file
		if file != nil {
			file.Retain()
		}
		alone := a.flags&randomAccess != 0
		as.mu.RUnlock()
		var f frame.Frame
		var err error
		if alone {
			f, err = missing.Page(index, true)
		} else {
			f, err = missing.PageAround(index)
		}
		if file != nil {
			file.Release()
		}
		switch {
		case err == unix.ENOMEM:
			if !as.tryAgain(&tries) {
				return noMemory
			}
			continue
		case err != nil:
			return beyondEnd
		}
		out = as.faultWith(addr, acc, missing, index, f)
		if out == noMemory {
			if !as.tryAgain(&tries) {
				return noMemory
			}
		} else if out != retry && (out != resolved || acc != AccessWrite) {
			return out
		} // a page that was written to is seen once more, for the file's times
	}
}

// storeNoter is a Mappable that wants to know of stores by mappings.
type storeNoter interface {
	Mappable
	Written()
}

// retry is an outcome inside resolve only.
const retry outcome = 100

// maxTries is how often a fault looks for memory: others may take what it has found.
const maxTries = 8

// tryAgain looks for memory after a fault has found none. If there is none, what
// OutOfMemory tells is set.
func (as *AddressSpace) tryAgain(tries *int) bool {
	if *tries++; *tries < maxTries && Relieve(as) {
		return true
	}
	as.oom.Store(true)
	return false
}

var killer func(asking *AddressSpace) bool

// SetKiller sets what ends a program when there is no memory for a page of asking. It
// reports whether there may be some now; false makes the fault fail.
func SetKiller(f func(asking *AddressSpace) bool) { killer = f }

// faultWith maps the page f, just read from the cache, if the area is still the same. It
// takes over the reference.
func (as *AddressSpace) faultWith(addr uint64, acc Access, c *Cache, index uint64, f frame.Frame) outcome {
	as.mu.RLock()
	defer as.mu.RUnlock()
	a := as.areas.at(addr)
	if f == 0 || a == nil || a.cache != c || a.index(addr) != index || !a.allows(acc) || !c.holds(index) {
		if f != 0 {
			f.Unref()
		}
		return retry
	}
	t := as.makeLeaf(addr)
	if t == nil {
		f.Unref()
		return noMemory
	}
	p := &t[addr>>12&511]
	if atomic.LoadUint64(p) != 0 {
		f.Unref()
		return retry
	}
	return as.mapAround(a, t, addr, f, index, acc)
}

// OutOfMemory reports whether a fault has failed for want of memory since the
// last call: the process is to be killed.
func (as *AddressSpace) OutOfMemory() bool { return as.oom.Swap(false) }

// allows reports whether the protection permits an access. Like x86 without
// protection keys, it lets whatever is accessible be read.
func (a *area) allows(acc Access) bool {
	switch acc {
	case AccessWrite:
		return a.prot&ProtWrite != 0
	case AccessExec:
		return a.prot&ProtExec != 0
	default:
		return a.prot != 0
	}
}

// faultIn puts a page into the table. If the page has to be read from a device,
// it returns the cache. as.mu is held for reading: other faults run in
// parallel, and each changes an entry only by compare and swap.
func (as *AddressSpace) faultIn(a *area, va uint64, acc Access) (out outcome, missing *Cache) {
	if a.cache == nil && as.faultHuge(a, va, acc) {
		return resolved, nil
	}
	t := as.makeLeaf(va)
	if t == nil {
		if as.hugeAt(va) != nil {
			return resolved, nil // another thread was faster
		}
		return noMemory, nil
	}
	p := &t[va>>12&511]
	e := atomic.LoadUint64(p)
	if e != 0 {
		if acc == AccessWrite && e&cpu.PTEWrite == 0 {
			return as.writeFault(a, va, p, e), nil
		}
		return resolved, nil // another thread was faster
	}
	if a.cache == nil {
		return as.faultAnon(a, t, va, acc), nil
	}
	index := a.index(va)
	if !a.cache.holds(index) {
		return beyondEnd, nil
	}
	f, st := a.cache.lookup(index)
	if st == pageMissing {
		return resolved, a.cache
	}
	switch st {
	case pageNoMemory:
		return noMemory, nil
	case pageNoSpace:
		return beyondEnd, nil // tmpfs(5): SIGBUS
	}
	return as.mapAround(a, t, va, f, index, acc), nil
}

// mapAround is mapCache, and maps what else the cache has around va unless the program
// gets a copy of the page: what it writes to is seldom read before.
func (as *AddressSpace) mapAround(a *area, t *table, va uint64, f frame.Frame, index uint64, acc Access) outcome {
	out := as.mapCache(a, &t[va>>12&511], f, index, acc)
	if out == resolved && (acc != AccessWrite || a.flags&shared != 0) {
		as.faultAround(a, t, va, acc)
	}
	return out
}

// faultAnon gives an anonymous page its first frame: the zero frame while it is
// only read.
func (as *AddressSpace) faultAnon(a *area, t *table, va uint64, acc Access) outcome {
	p := &t[va>>12&511]
	if acc != AccessWrite {
		atomic.CompareAndSwapUint64(p, 0, uint64(zeroFrame)|a.bits(false)|cpu.PTEAccessed)
		return resolved
	}
	bits := a.bits(true) | cpu.PTEAccessed | cpu.PTEDirty
	if n := as.ahead(a, t, va); n > 1 {
		var frames [maxAhead]frame.Frame
		got, done := frame.AllocSome(frames[:n]), 0
		for done < got && atomic.CompareAndSwapUint64(&t[(va>>12+uint64(done))&511], 0, uint64(frames[done])|bits) {
			done++
		}
		if done < got { // met a page of another thread
			frame.UnrefAll(frames[done:got])
		}
		if done > 0 {
			as.rssAnon.Add(int64(done))
			return resolved
		}
	}
	f := allocZeroed()
	if f == 0 {
		return noMemory
	}
	if atomic.CompareAndSwapUint64(p, 0, uint64(f)|bits) {
		as.rssAnon.Add(1)
	} else {
		f.Unref()
	}
	return resolved
}

// maxAhead is how many anonymous pages one fault maps at most.
const maxAhead = 16

// ahead decides how many pages a write fault maps: more, the longer the run of
// pages right below it that the program has already touched, so that memory which
// is filled from start to end takes few faults and memory which is used here and
// there takes no page too many.
func (as *AddressSpace) ahead(a *area, t *table, va uint64) uint64 {
	if a.flags&noHuge != 0 {
		return 1
	}
	i := va >> 12 & 511
	run := uint64(0)
	for run < maxAhead && run < i && va-run*pageSize > a.start && atomic.LoadUint64(&t[i-1-run])&cpu.PTEWrite != 0 {
		run++
	}
	if run < 2 || !frame.Plenty() {
		return 1
	}
	return min(run, 512-i, (a.end-va)/pageSize)
}

// mapCache puts a page of the cache into an empty entry. It takes over the
// caller's reference to f.
func (as *AddressSpace) mapCache(a *area, p *uint64, f frame.Frame, index uint64, acc Access) outcome {
	if acc == AccessWrite && a.flags&shared == 0 { // a copy at once
		own := allocRaw()
		if own == 0 {
			f.Unref()
			return noMemory
		}
		own.CopyFrom(f)
		f.Unref()
		if atomic.CompareAndSwapUint64(p, 0, uint64(own)|a.bits(true)|cpu.PTEAccessed|cpu.PTEDirty) {
			as.rssAnon.Add(1)
		} else {
			own.Unref()
		}
		return resolved
	}
	e := uint64(f) | a.bits(false) | cpu.PTEAccessed | pteCache
	if a.flags&shared != 0 && a.prot&ProtWrite != 0 {
		switch {
		case a.cache.backing == nil:
			e |= cpu.PTEWrite
		case acc == AccessWrite: // dirty before it can be written
			if !a.cache.markDirty(index, f) {
				f.Unref()
				return resolved // gone meanwhile: fault again
			}
			e |= cpu.PTEWrite | cpu.PTEDirty
		}
	}
	if atomic.CompareAndSwapUint64(p, 0, e) {
		as.rssFile.Add(1)
	} else {
		f.Unref()
	}
	return resolved
}

// aroundPages is how many pages around a fault are mapped if they are in the
// cache (Linux: fault_around_bytes).
const aroundPages = 16

// faultAround maps what the cache has of the aligned window around va, read-only. Only memory without a device is
// mapped writable; a store to a file does not do that with other pages, because each store is to change the file's times.
func (as *AddressSpace) faultAround(a *area, t *table, va uint64, acc Access) {
	if a.flags&randomAccess != 0 {
		return
	}
	lo := max(va&^(aroundPages*pageSize-1), a.start)
	hi := min(va&^(aroundPages*pageSize-1)+aroundPages*pageSize, a.end)
	var frames [aroundPages]frame.Frame
	n := a.cache.lookupRange(a.index(lo), frames[:(hi-lo)/pageSize])
	write := a.flags&shared != 0 && a.cache.backing == nil && (acc != AccessWrite || isSharedMemory(a.file))
	bits := a.bits(write) | cpu.PTEAccessed | pteCache
	done := int64(0)
	for i, f := range frames[:n] {
		if f == 0 {
			continue
		}
		p := &t[(lo>>12+uint64(i))&511]
		if atomic.LoadUint64(p) == 0 && atomic.CompareAndSwapUint64(p, 0, uint64(f)|bits) {
			done++
		} else {
			f.Unref()
		}
	}
	if done > 0 {
		as.rssFile.Add(done)
	}
}

// writeFault makes the page of a present entry writable, in a writable area.
func (as *AddressSpace) writeFault(a *area, va uint64, p *uint64, e uint64) outcome {
	f := pteFrame(e)
	if a.flags&shared != 0 {
		if a.cache.backing != nil && !a.cache.markDirty(a.index(va), f) {
			return resolved // being unmapped
		}
		atomic.CompareAndSwapUint64(p, e, e|cpu.PTEWrite|cpu.PTEDirty|cpu.PTEAccessed)
		return resolved
	}
	if e&pteCache == 0 && f != zeroFrame && f.Refs() == 1 { // the others have their copy
		atomic.CompareAndSwapUint64(p, e, e|cpu.PTEWrite|cpu.PTEDirty|cpu.PTEAccessed)
		return resolved
	}
	var own frame.Frame
	if f == zeroFrame {
		own = allocZeroed()
	} else {
		own = allocRaw()
	}
	if own == 0 {
		return noMemory
	}
	if f != zeroFrame {
		own.CopyFrom(f)
	}
	if !atomic.CompareAndSwapUint64(p, e, uint64(own)|a.bits(true)|cpu.PTEAccessed|cpu.PTEDirty) {
		own.Unref()
		return resolved
	}
	// Other threads must not go on reading the old frame.
	cpu.FlushTLB(as.root, va, pageSize)
	switch {
	case f == zeroFrame:
		as.rssAnon.Add(1)
	case e&pteCache != 0:
		as.rssAnon.Add(1)
		as.rssFile.Add(-1)
	}
	if f != zeroFrame {
		f.Unref()
	}
	return resolved
}

// growStack extends the area above addr down to it, if it may.
func (as *AddressSpace) growStack(addr uint64) outcome {
	as.mu.Lock()
	defer as.mu.Unlock()
	a := as.areas.find(addr)
	if a == nil || a.start <= addr {
		return resolved // somebody else did
	}
	start := addr &^ pageMask
	grow := a.start - start
	if a.flags&growsDown == 0 || start < minAddr.Load() || a.end-start > as.limits.stack || !as.mayGrow(grow, a.flags) {
		return noMapping
	}
	if b := as.areas.below(a.start); b != nil && b.flags&growsDown == 0 && b.prot != 0 && sub(start, b.end) < guardGap ||
		b != nil && start < b.end {
		return noMapping
	}
	as.areas.resize(a, start, a.end)
	as.vsize += grow
	return resolved
}
