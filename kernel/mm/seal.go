package mm

import (
	"golang.org/x/sys/unix"
)

// Mseal seals [addr, addr+n): nothing changes its mappings any more, or drops what
// they hold (mseal(2), Documentation/userspace-api/mseal.rst). A hole is ENOMEM, and
// nothing is sealed.
func (as *AddressSpace) Mseal(addr, n uint64) error {
	size := pageUp(n)
	if addr&pageMask != 0 || n != 0 && size == 0 || addr+size < addr {
		return unix.EINVAL
	}
	if size == 0 {
		return nil
	}
	lo, hi := addr, addr+size
	as.mu.Lock()
	defer as.unlock()
	for va := lo; va < hi; {
		a := as.areas.at(va)
		if a == nil {
			return unix.ENOMEM
		}
		va = a.end
	}
	if as.areas.n+2 > int(maxAreas.Load()) {
		return unix.ENOMEM
	}
	for va := lo; va < hi; {
		end := min(as.areas.at(va).end, hi)
		as.setFlags(va, end, sealed, 0)
		va = end
	}
	as.coalesce(lo, hi)
	return nil
}

// sealedIn reports whether a page of [lo, hi) is sealed. as.mu is held.
func (as *AddressSpace) sealedIn(lo, hi uint64) bool {
	return !as.areas.root.eachIn(lo, hi, func(a *area) bool { return a.flags&sealed == 0 })
}

// sealedFor reports whether a seal forbids an advice: one that drops the contents of
// private memory that the program may not write.
func (a *area) sealedFor(advice int) bool {
	if a.flags&sealed == 0 || a.file != nil || a.flags&shared != 0 || a.prot&ProtWrite != 0 {
		return false
	}
	switch advice {
	case unix.MADV_FREE, unix.MADV_DONTNEED, madvDontNeedLocked, unix.MADV_REMOVE, unix.MADV_DONTFORK, unix.MADV_WIPEONFORK:
		return true
	}
	return false
}
