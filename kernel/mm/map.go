package mm

import (
	"math"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"gosv/kernel/cpu"
	"gosv/kernel/frame"
)

func pageUp(n uint64) uint64 { return (n + pageMask) &^ pageMask }

// knownFlags are what MAP_SHARED_VALIDATE accepts, Linux's LEGACY_MAP_MASK; MAP_SHARED and MAP_PRIVATE ignore what they do
// not know.
const knownFlags = unix.MAP_TYPE | unix.MAP_FIXED | unix.MAP_ANONYMOUS | unix.MAP_DENYWRITE | unix.MAP_EXECUTABLE |
	unix.MAP_GROWSDOWN | unix.MAP_LOCKED | unix.MAP_NORESERVE | unix.MAP_POPULATE | unix.MAP_NONBLOCK | unix.MAP_STACK |
	unix.MAP_HUGETLB | unix.MAP_32BIT | mapAbove4G | unix.MAP_HUGE_2MB | unix.MAP_HUGE_1GB

// Flags that x/sys/unix lacks.
const (
	mapAbove4G   = 0x80 // only with shadow stacks a difference: nothing is placed below 4 GiB without need
	mapDroppable = 0x08 // instead of MAP_PRIVATE: the kernel may forget the pages. This one never does.
)

// Mmap makes an area and returns its address (mmap(2)). The caller has checked
// that the file was opened for what the protection and the sharing need.
func (as *AddressSpace) Mmap(m MapArgs) (uint64, error) {
	if err := m.check(); err != nil {
		return 0, err
	}
	n := pageUp(m.Len)
	a, err := m.area()
	if err != nil {
		return 0, err
	}

	as.mu.Lock()
	a.flags |= as.lockNew
	if a.flags&droppable != 0 {
		a.flags &^= lockFlags
	}
	populate := m.Flags&(unix.MAP_POPULATE|unix.MAP_NONBLOCK) == unix.MAP_POPULATE || a.flags&locked != 0
	addr, err := as.place(&m, n)
	if err == nil {
		err = as.mayMap(addr, n, &m, a)
	}
	if err == nil && a.cache != nil && !a.cache.addSpace(as, a, 1) {
		err = unix.EPERM
	}
	if err != nil {
		as.unlock()
		if a.file != nil {
			a.file.Release()
		}
		return 0, err
	}
	as.unmapLocked(addr, addr+n)
	a.start, a.end = addr, addr+n
	as.areas.insert(a)
	as.vsize += n
	as.coalesce(addr, addr+n)
	as.unlock()

	if populate {
		as.populate(addr, addr+n) // Linux reports no error here either
	}
	return addr, nil
}

// check validates what does not depend on the address space.
func (m *MapArgs) check() error {
	if m.Len == 0 || m.Offset&pageMask != 0 {
		return unix.EINVAL
	}
	n := pageUp(m.Len)
	if n == 0 || n > cpu.UserTop {
		return unix.ENOMEM
	}
	if m.File != nil && m.Offset+n < m.Offset || m.Offset+n > math.MaxInt64 {
		return unix.EOVERFLOW
	}
	switch m.Flags & unix.MAP_TYPE {
	case unix.MAP_SHARED, unix.MAP_PRIVATE:
	case unix.MAP_SHARED_VALIDATE:
		if m.File == nil {
			return unix.EINVAL
		}
		if m.Flags&^knownFlags != 0 {
			return unix.EOPNOTSUPP
		}
	case mapDroppable:
		if m.File != nil || m.Flags&(unix.MAP_LOCKED|unix.MAP_HUGETLB|unix.MAP_GROWSDOWN) != 0 {
			return unix.EINVAL
		}
	default:
		return unix.EINVAL
	}
	if m.Flags&unix.MAP_HUGETLB != 0 {
		if m.File != nil {
			return unix.EINVAL
		}
		return unix.ENOMEM // no huge pages are reserved
	}
	if m.Flags&unix.MAP_GROWSDOWN != 0 && m.Flags&unix.MAP_TYPE != unix.MAP_PRIVATE {
		return unix.EINVAL
	}
	if m.Flags&(unix.MAP_FIXED|unix.MAP_FIXED_NOREPLACE) != 0 && m.Addr&pageMask != 0 {
		return unix.EINVAL
	}
	return nil
}

// area makes the area, without its place.
func (m *MapArgs) area() (*area, error) {
	a := &area{prot: m.Prot, max: m.MaxProt, name: m.Name}
	if a.max == 0 {
		a.max = ProtRead | ProtWrite | ProtExec
	}
	switch m.Flags & unix.MAP_TYPE {
	case unix.MAP_PRIVATE:
	case mapDroppable:
		a.flags |= droppable | noReserve | wipeOnFork | dontDump
	default:
		a.flags |= shared
	}
	if m.Grow || m.Flags&unix.MAP_GROWSDOWN != 0 {
		a.flags |= growsDown
	}
	if m.Flags&unix.MAP_NORESERVE != 0 {
		a.flags |= noReserve
	}
	if m.Flags&unix.MAP_LOCKED != 0 {
		a.flags |= locked
	}
	switch {
	case m.File != nil:
		a.file, a.cache, a.offset = m.File, m.File.Cache(), m.Offset
		switch {
		case a.cache == nil:
			return nil, unix.ENODEV
		case a.cache == Zeros && a.flags&shared != 0:
			s := newSharedMemory(pageUp(m.Len))
			a.file, a.cache, a.offset = s, s.cache, 0
			return a, nil
		case a.cache == Zeros:
			a.cache, a.name, a.file = nil, m.File.MapName(), nil
			return a, nil
		}
		a.file.Retain()
	case a.flags&shared != 0:
		s := newSharedMemory(pageUp(m.Len))
		a.file, a.cache = s, s.cache
	}
	return a, nil
}

// place chooses the address. as.mu is held for writing.
func (as *AddressSpace) place(m *MapArgs, n uint64) (uint64, error) {
	if m.Flags&(unix.MAP_FIXED|unix.MAP_FIXED_NOREPLACE) != 0 {
		switch {
		case m.Addr > cpu.UserTop-n:
			return 0, unix.ENOMEM
		case m.Addr < minAddr.Load() && !m.Low:
			return 0, unix.EPERM
		case m.Flags&unix.MAP_FIXED_NOREPLACE != 0:
			if a := as.areas.find(m.Addr); a != nil && a.start < m.Addr+n {
				return 0, unix.EEXIST
			}
		}
		return m.Addr, nil
	}
	if hint := m.Addr &^ pageMask; hint != 0 {
		if addr := max(hint, minAddr.Load()); addr <= cpu.UserTop-n && as.areas.free(addr, addr+n) {
			if m.Flags&unix.MAP_32BIT == 0 || addr+n <= 1<<31 {
				return addr, nil
			}
		}
	}
	if m.Flags&unix.MAP_32BIT != 0 {
		if addr, ok := as.areas.root.highest(1<<30, 1<<31, n); ok {
			return addr, nil
		}
		return 0, unix.ENOMEM
	}
	if addr, ok := as.areas.root.highest(max(minAddr.Load(), pageSize), as.mmapBase, n); ok {
		return addr, nil
	}
	if addr, ok := as.areas.root.highest(as.mmapBase, cpu.UserTop&^pageMask, n); ok {
		return addr, nil
	}
	return 0, unix.ENOMEM
}

// mayMap checks limits for a new area in place of what is there now.
func (as *AddressSpace) mayMap(addr, n uint64, m *MapArgs, a *area) error {
	replaced := uint64(0)
	as.areas.root.eachIn(addr, addr+n, func(b *area) bool {
		replaced += min(b.end, addr+n) - max(b.start, addr)
		return true
	})
	if as.sealedIn(addr, addr+n) {
		return unix.EPERM
	}
	if as.areas.n+2 > int(maxAreas.Load()) {
		return unix.ENOMEM
	}
	if as.vsize-replaced+n > as.limits.as {
		return unix.ENOMEM
	}
	if m.Flags&unix.MAP_LOCKED != 0 && as.limits.memlock == 0 {
		return unix.EPERM
	}
	if a.flags&locked != 0 && !as.mayLock(n) {
		return unix.EAGAIN
	}
	if a.accountable() && !commit(n, a.flags) || a.isData() && as.dataSize()+n > as.limits.data {
		return unix.ENOMEM
	}
	return nil
}

// accountable reports whether the area's pages count as promised memory.
func (a *area) accountable() bool {
	return a.prot&ProtWrite != 0 && a.flags&shared == 0 || a.flags&shared != 0 && isSharedMemory(a.file)
}

func (a *area) isData() bool {
	return a.prot&ProtWrite != 0 && a.flags&(shared|growsDown) == 0
}

// dataSize is what RLIMIT_DATA limits; it is only computed if there is a limit.
func (as *AddressSpace) dataSize() (n uint64) {
	if as.limits.data == ^uint64(0) {
		return 0
	}
	as.areas.root.each(func(a *area) bool {
		if a.isData() {
			n += a.size()
		}
		return true
	})
	return n
}

// commit refuses what can never be had: Linux's overcommit mode 0 without swap.
// Mode 1 refuses nothing.
func commit(n uint64, flags areaFlags) bool {
	if flags&noReserve != 0 || overcommit.Load() == 1 {
		return true
	}
	return n <= frame.Total()*pageSize
}

// mayGrow reports whether an area may become n bytes larger.
func (as *AddressSpace) mayGrow(n uint64, flags areaFlags) bool {
	return as.vsize+n <= as.limits.as && commit(n, flags)
}

// populate makes pages of [lo, hi) present, writable ones for writing, but not those that are to be locked when they are
// touched. It ends at the first that cannot be had.
func (as *AddressSpace) populate(lo, hi uint64) outcome {
	for va := lo; va < hi; {
		as.mu.RLock()
		a := as.areas.find(va)
		if a == nil || a.start > va {
			as.mu.RUnlock()
			return noMapping
		}
		var acc Access
		if a.prot&ProtWrite != 0 && a.flags&shared == 0 {
			acc = AccessWrite
		}
		none, later, end := a.prot == 0, a.flags&lockOnFault != 0, min(a.end, hi)
		as.mu.RUnlock()
		switch {
		case none:
			return noAccess
		case later:
			va = end
			continue
		}
		if out := as.resolve(va, acc); out != resolved {
			as.oom.Store(false)
			return out
		}
		va += pageSize
	}
	return resolved
}

// Munmap removes the pages of [addr, addr+n) (munmap(2)).
func (as *AddressSpace) Munmap(addr, n uint64) error {
	if addr&pageMask != 0 || n == 0 || addr > cpu.UserTop || n > cpu.UserTop-addr {
		return unix.EINVAL
	}
	n = pageUp(n)
	if n > cpu.UserTop-addr {
		return unix.EINVAL
	}
	as.mu.Lock()
	if as.areas.n+1 > int(maxAreas.Load()) && as.splits(addr, addr+n) {
		as.unlock()
		return unix.ENOMEM
	}
	if as.sealedIn(addr, addr+n) {
		as.unlock()
		return unix.EPERM
	}
	as.unmapLocked(addr, addr+n)
	as.unlock()
	return nil
}

// splits reports whether the range is a hole in one area.
func (as *AddressSpace) splits(lo, hi uint64) bool {
	a := as.areas.at(lo)
	return a != nil && a.start < lo && hi < a.end
}

// unmapLocked removes areas and pages of [lo, hi). as.mu is held for writing.
func (as *AddressSpace) unmapLocked(lo, hi uint64) {
	if a := as.areas.find(lo); a == nil || a.start >= hi {
		return
	}
	as.cut(lo)
	as.cut(hi)
	g := as.begin()
	gone := as.areas.extract(lo, hi)
	gone.each(func(a *area) bool {
		as.zap(g, a.start, a.end, false)
		as.vsize -= a.size()
		a.drop(as)
		return true
	})
	as.trimTables(g, lo, hi)
	g.flush()
}

// trimTables frees the page tables that [lo, hi), now empty, does not share with an area.
func (as *AddressSpace) trimTables(g *gather, lo, hi uint64) {
	floor, ceiling := uint64(0), uint64(1<<47)
	if b := as.areas.below(lo); b != nil {
		floor = b.end
	}
	if b := as.areas.find(hi); b != nil {
		ceiling = b.start
	}
	as.freeTables(g, lo, hi, floor, ceiling)
}

// Brk moves the program break to addr if it can, and returns where it is (brk(2)).
func (as *AddressSpace) Brk(addr uint64) uint64 {
	as.mu.Lock()
	lo, hi := as.setBrk(addr)
	at := as.brk
	as.unlock()
	if lo < hi {
		as.populate(lo, hi)
	}
	return at
}

// setBrk moves the program break if it can, and returns new pages that are to be
// locked. as.mu is held for writing.
func (as *AddressSpace) setBrk(addr uint64) (lo, hi uint64) {
	if addr < as.brkStart || addr >= cpu.UserTop {
		return 0, 0
	}
	old, end := pageUp(as.brk), pageUp(addr)
	switch {
	case end < old:
		if as.sealedIn(end, old) {
			return 0, 0
		}
		as.unmapLocked(end, old)
	case end > old:
		m := MapArgs{Len: end - old, Prot: ProtRead | ProtWrite, Flags: unix.MAP_PRIVATE | unix.MAP_ANONYMOUS, Name: "[heap]"}
		a, _ := m.area()
		a.flags |= as.lockNew
		if !as.areas.free(old, end) || as.mayMap(old, end-old, &m, a) != nil || end-as.brkStart > as.limits.data {
			return 0, 0
		}
		a.start, a.end = old, end
		as.areas.insert(a)
		as.vsize += end - old
		as.coalesce(old, end)
		if a.flags&locked != 0 {
			lo, hi = old, end
		}
	}
	as.brk = addr
	return lo, hi
}

// Zeros is the Cache that /dev/zero offers: mapping it gives anonymous memory.
var Zeros = NewCache(nil)

// sharedMemory is the object behind a shared anonymous mapping.
type sharedMemory struct {
	cache *Cache
	refs  atomic.Int32
}

func newSharedMemory(n uint64) *sharedMemory {
	s := &sharedMemory{cache: NewCache(nil)}
	s.cache.InitSize(int64(n))
	s.refs.Store(1)
	return s
}

func isSharedMemory(f Mappable) bool {
	_, ok := f.(*sharedMemory)
	return ok
}

func (s *sharedMemory) Cache() *Cache   { return s.cache }
func (s *sharedMemory) MapName() string { return "/dev/zero (deleted)" }
func (s *sharedMemory) Retain()         { s.refs.Add(1) }
func (s *sharedMemory) Release() {
	if s.refs.Add(-1) == 0 {
		s.cache.Drop()
	}
}
