package mm

import (
	"sync/atomic"

	"gosv/kernel/cpu"
)

// A PageInfo is one page of an address space as /proc/PID/pagemap tells it.
type PageInfo struct {
	Frame     uint64 // physical address
	Present   bool
	Cache     bool // of the page cache or of shared memory
	Exclusive bool // no other address space has it
}

// Pages calls yield for each page of [addr, addr+n), n and addr in whole pages,
// until it returns false. yield must not touch user memory.
func (as *AddressSpace) Pages(addr, n uint64, yield func(va uint64, p PageInfo) bool) {
	as.mu.RLock()
	defer as.mu.RUnlock()
	for va, end := addr, min(addr+n, cpu.UserTop); va < end; va += pageSize {
		var p PageInfo
		if t, _ := as.leaf(va); t != nil {
			if e := atomic.LoadUint64(&t[va>>12&511]); e&cpu.PTEPresent != 0 {
				f := pteFrame(e)
				p = PageInfo{Frame: uint64(f), Present: true, Cache: e&pteCache != 0}
				p.Exclusive = !p.Cache && f != zeroFrame && f.Refs() == 1
			}
		} else if e := as.hugeAt(va); e != nil {
			p = PageInfo{Frame: uint64(pteFrame(atomic.LoadUint64(e))) + va&(hugeSize-1), Present: true, Exclusive: true}
		}
		if !yield(va, p) {
			return
		}
	}
}
