package mm

import (
	"golang.org/x/sys/unix"

	"gosv/kernel/cpu"
)

// lockedSize is how many bytes of areas are locked.
func (as *AddressSpace) lockedSize() (n uint64) {
	as.areas.root.each(func(a *area) bool {
		if a.flags&locked != 0 {
			n += a.size()
		}
		return true
	})
	return n
}

// mayLock reports whether RLIMIT_MEMLOCK has room for n more bytes. as.mu is held.
func (as *AddressSpace) mayLock(n uint64) bool {
	limit := as.limits.memlock
	return limit == ^uint64(0) || n <= limit && as.lockedSize() <= limit-n
}

// Mlock locks [addr, addr+n), and makes its pages present unless onFault is set
// (mlock(2), mlock2(2)). Nothing is ever swapped out; locked pages of files stay mapped
// when memory is short. A page that cannot be had is ENOMEM, or EAGAIN if memory is
// what there is none of; the range stays locked then, as on Linux.
func (as *AddressSpace) Mlock(addr, n uint64, onFault bool) error {
	as.mu.Lock()
	limit := as.limits.memlock
	if limit == 0 {
		as.unlock()
		return unix.EPERM
	}
	lo, hi := addr&^pageMask, pageUp(addr+n)
	if limit != ^uint64(0) && hi > lo {
		already := uint64(0)
		as.areas.root.eachIn(lo, hi, func(a *area) bool {
			if a.flags&locked != 0 {
				already += min(a.end, hi) - max(a.start, lo)
			}
			return true
		})
		if !as.mayLock(sub(hi-lo, already)) {
			as.unlock()
			return unix.ENOMEM
		}
	}
	set := areaFlags(locked)
	if onFault {
		set = lockFlags
	}
	err := as.setLock(lo, hi, set)
	as.unlock()
	if err != nil {
		return err
	}
	switch as.populate(lo, hi) {
	case resolved:
		return nil
	case noMemory:
		return unix.EAGAIN
	}
	return unix.ENOMEM
}

// Munlock unlocks [addr, addr+n) (munlock(2)).
func (as *AddressSpace) Munlock(addr, n uint64) error {
	as.mu.Lock()
	defer as.unlock()
	return as.setLock(addr&^pageMask, pageUp(addr+n), 0)
}

// setLock gives the areas of [lo, hi) the flags of lockFlags in set. It stops at a
// hole, which is ENOMEM. as.mu is held for writing.
func (as *AddressSpace) setLock(lo, hi uint64, set areaFlags) error {
	if hi < lo {
		return unix.EINVAL
	}
	for va := lo; va < hi; {
		a := as.areas.at(va)
		if a == nil {
			as.coalesce(lo, va)
			return unix.ENOMEM
		}
		end := min(a.end, hi)
		if a.flags&droppable == 0 {
			as.setFlags(va, end, set, lockFlags&^set)
		}
		va = end
	}
	as.coalesce(lo, hi)
	return nil
}

// MlockAll locks all areas there are and those to come, as MCL_* in flags say
// (mlockall(2)); 0 unlocks them.
func (as *AddressSpace) MlockAll(flags int) error {
	as.mu.Lock()
	if flags != 0 && as.limits.memlock == 0 {
		as.unlock()
		return unix.EPERM
	}
	if flags&unix.MCL_CURRENT != 0 && as.vsize > as.limits.memlock {
		as.unlock()
		return unix.ENOMEM
	}
	set := areaFlags(locked)
	if flags&unix.MCL_ONFAULT != 0 {
		set = lockFlags
	}
	as.lockNew = 0
	if flags&unix.MCL_FUTURE != 0 {
		as.lockNew = set
	}
	if flags == 0 {
		set = 0
	}
	var ranges [][2]uint64
	if flags == 0 || flags&unix.MCL_CURRENT != 0 {
		as.areas.root.each(func(a *area) bool {
			if a.flags&droppable == 0 {
				a.flags = a.flags&^lockFlags | set
			}
			if a.flags&lockFlags == locked {
				ranges = append(ranges, [2]uint64{a.start, a.end})
			}
			return true
		})
		as.coalesce(0, cpu.UserTop)
	}
	as.unlock()
	for _, r := range ranges {
		as.populate(r[0], r[1]) // Linux reports no error here
	}
	return nil
}
