package mm

import (
	"sync/atomic"

	"golang.org/x/sys/unix"

	"gosv/kernel/cpu"
)

// Mprotect changes what pages of [addr, addr+n) may be used for (mprotect(2)).
func (as *AddressSpace) Mprotect(addr, n uint64, prot Prot) error {
	return as.mprotect(addr, n, prot, false)
}

// MprotectGrowsDown is Mprotect with PROT_GROWSDOWN: the change extends to the start of
// an area that grows down.
func (as *AddressSpace) MprotectGrowsDown(addr, n uint64, prot Prot) error {
	return as.mprotect(addr, n, prot, true)
}

func (as *AddressSpace) mprotect(addr, n uint64, prot Prot, down bool) error {
	if addr&pageMask != 0 {
		return unix.EINVAL
	}
	if n == 0 {
		return nil
	}
	n = pageUp(n)
	if n == 0 || addr+n < addr || addr+n > cpu.UserTop {
		return unix.ENOMEM
	}
	as.mu.Lock()
	defer as.unlock()
	lo, hi := addr, addr+n
	a := as.areas.find(lo)
	if down {
		if a == nil || a.start >= hi {
			return unix.ENOMEM
		}
		if a.flags&growsDown == 0 {
			return unix.EINVAL
		}
		lo = a.start
	}
	if as.areas.n+2 > int(maxAreas.Load()) {
		return unix.ENOMEM
	}
	g := as.begin()
	err := error(unix.ENOMEM)
	for va := lo; ; { // Linux changes what it can until it comes to a hole
		a := as.areas.at(va)
		if a == nil {
			break
		}
		if prot&^a.max != 0 {
			err = unix.EACCES
			break
		}
		if a.flags&sealed != 0 {
			err = unix.EPERM
			break
		}
		end := min(a.end, hi)
		if prot != a.prot {
			if prot&ProtWrite != 0 && !a.accountable() && a.flags&shared == 0 && !commit(end-va, a.flags) {
				break
			}
			as.cut(va)
			as.cut(end)
			a = as.areas.at(va)
			a.prot = prot
			as.protect(g, a, va, end)
		}
		if va = end; va == hi {
			err = nil
			break
		}
	}
	g.flush()
	as.coalesce(lo, hi)
	return err
}

// writeProtect makes the next write to the page at va fault.
func (as *AddressSpace) writeProtect(g *gather, va uint64) {
	p := as.slot(va)
	if p == nil {
		return
	}
	for {
		e := atomic.LoadUint64(p)
		if e&cpu.PTEWrite == 0 {
			return
		}
		if atomic.CompareAndSwapUint64(p, e, e&^(cpu.PTEWrite|cpu.PTEDirty)) {
			g.touch(va)
			return
		}
	}
}
