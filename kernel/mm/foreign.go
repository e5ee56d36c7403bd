package mm

import (
	"sync/atomic"

	"golang.org/x/sys/unix"

	"gosv/kernel/cpu"
	"gosv/kernel/frame"
)

// This file is how a debugger looks into another process: past the protection
// of the pages (Linux's FOLL_FORCE).

// Peek fills b from memory at addr, whatever its protection is, and returns how
// many bytes it got: EFAULT if there are less.
func (as *AddressSpace) Peek(b []byte, addr uint64) (int, error) {
	return as.foreign(addr, len(b), func(at uint64, lo, hi int) error {
		if as.CopyIn(b[lo:hi], at) == nil {
			return nil
		}
		return as.force(at, b[lo:hi], false)
	})
}

// Poke writes b to memory at addr. A private page that is read-only, as that of
// a program's code, becomes the process's own; it stays read-only for the
// program. Shared memory is changed only if it can be written.
func (as *AddressSpace) Poke(addr uint64, b []byte) (int, error) {
	return as.foreign(addr, len(b), func(at uint64, lo, hi int) error {
		if as.CopyOut(at, b[lo:hi]) == nil {
			return nil
		}
		return as.force(at, b[lo:hi], true)
	})
}

// foreign calls f for the parts of [addr, addr+n), of which none crosses a page.
func (as *AddressSpace) foreign(addr uint64, n int, f func(at uint64, lo, hi int) error) (done int, err error) {
	for done < n {
		at := addr + uint64(done)
		if !inUser(at, 1) {
			return done, unix.EFAULT
		}
		k := min(n-done, int(pageSize-at&pageMask))
		if err := f(at, done, done+k); err != nil {
			return done, err
		}
		done += k
	}
	return done, nil
}

// force copies within one page, through the kernel's own view of the frame.
func (as *AddressSpace) force(addr uint64, b []byte, write bool) error {
	va := addr &^ pageMask
	for tries := 0; tries < maxTries; tries++ {
		as.mu.Lock()
		f, missing, err := as.forcePage(va, write)
		if f != 0 {
			p := f.Bytes()[addr&pageMask:]
			if write {
				copy(p, b)
			} else {
				copy(b, p)
			}
		}
		var index uint64
		var file Mappable
		if missing != nil { // read it from its device, without the lock, and look again
			a := as.areas.at(va)
			index, file = a.index(va), a.file
			if file != nil {
				file.Retain()
			}
		}
		as.unlock()
		if missing == nil {
			if err == unix.ENOMEM && makeRoom() {
				continue
			}
			return err
		}
		page, err := missing.Page(index, true)
		if file != nil {
			file.Release()
		}
		if err != nil {
			return unix.EFAULT
		}
		if page != 0 {
			page.Unref()
		}
	}
	return unix.EFAULT
}

// forcePage returns the frame of a page, for writing one that is the process's
// own. as.mu is held for writing, so that no fault runs in parallel.
func (as *AddressSpace) forcePage(va uint64, write bool) (frame.Frame, *Cache, error) {
	a := as.areas.at(va)
	if a == nil || !write && a.max&ProtRead == 0 || write && (a.flags&shared != 0 || a.max&ProtWrite == 0) {
		return 0, nil, unix.EFAULT
	}
	as.table(va) // of pages
	switch out, missing := as.faultIn(a, va, AccessRead); {
	case missing != nil:
		return 0, missing, nil
	case out == noMemory:
		return 0, nil, unix.ENOMEM
	case out != resolved:
		return 0, nil, unix.EFAULT
	}
	p := as.slot(va)
	e := atomic.LoadUint64(p)
	f := pteFrame(e)
	if !write || e&pteCache == 0 && f != zeroFrame && f.Refs() == 1 {
		return f, nil, nil
	}
	own := allocRaw()
	if own == 0 {
		return 0, nil, unix.ENOMEM
	}
	own.CopyFrom(f)
	atomic.StoreUint64(p, uint64(own)|a.bits(false)|cpu.PTEAccessed|cpu.PTEDirty)
	cpu.FlushTLB(as.root, va, pageSize)
	switch {
	case f == zeroFrame:
		as.rssAnon.Add(1)
		return own, nil, nil
	case e&pteCache != 0:
		as.rssAnon.Add(1)
		as.rssFile.Add(-1)
	}
	f.Unref()
	return own, nil, nil
}
