//go:build !metal

package cpu

import (
	"sync"
	"sync/atomic"
	"syscall"
	"unsafe"
)

// The host's physical memory is an arena of the test process: physical address
// ArenaBase is its first byte. Pages cost nothing until they are touched.
const (
	ArenaBase = 1 << 20
	ArenaSize = 1 << 30
)

var arena = func() unsafe.Pointer {
	b, err := syscall.Mmap(-1, 0, ArenaSize, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_PRIVATE|syscall.MAP_ANON|syscall.MAP_NORESERVE)
	if err != nil {
		panic("cpu: no memory for the arena: " + err.Error())
	}
	return unsafe.Pointer(unsafe.SliceData(b))
}()

// PhysToVirt returns where the arena holds physical address pa.
func PhysToVirt(pa uint64) uintptr { return uintptr(arena) + uintptr(pa-ArenaBase) }

// MapMMIO has nothing to map on the host.
func MapMMIO(pa, n uint64) uintptr { panic("cpu: no device memory on the host") }

// InitRoot makes a top-level table; on the host it has no kernel half.
func InitRoot(root uint64) {}

// KernelRoot is the page table that runs when no process does.
func KernelRoot() uint64 { return 0 }

// The host imitates the translation caches of two CPUs, one that reads and one
// that writes, so that a test sees the stale translation that a forgotten
// FlushTLB leaves behind.
const tlbEntries = 64

type tlbEntry struct{ root, page, pte uint64 }

var tlb struct {
	mu      sync.RWMutex // held for reading by an access in progress
	fill    sync.Mutex   // guards entries while mu is held for reading
	entries [2][tlbEntries]tlbEntry

	flushes atomic.Uint64
}

// FlushTLB forgets the translations of [va, va+n) of root, all of them when n
// is 0, and waits for accesses in progress.
func FlushTLB(root uint64, va, n uint64) {
	tlb.flushes.Add(1)
	tlb.mu.Lock()
	for c := range tlb.entries {
		for i := range tlb.entries[c] {
			e := &tlb.entries[c][i]
			if e.root == root && (n == 0 || e.page+PageSize > va && e.page < va+n) {
				*e = tlbEntry{}
			}
		}
	}
	tlb.mu.Unlock()
}

// Flushes counts the calls of FlushTLB.
func Flushes() uint64 { return tlb.flushes.Load() }

// DropRoot forgets everything about root.
func DropRoot(root uint64) { FlushTLB(root, 0, 0) }

// translate is the walk of the hardware: it returns the address in the arena of
// user address va, and the rest of its page, or 0 for a page fault. tlb.mu is held.
func translate(root, va uint64, write bool) (uintptr, uintptr) {
	if va >= UserTop {
		return 0, 0
	}
	need, c := uint64(PTEPresent|PTEUser), 0
	if write {
		need |= PTEWrite
		c = 1
	}
	page := va &^ (PageSize - 1)
	e := &tlb.entries[c][(va/PageSize)%tlbEntries]
	tlb.fill.Lock()
	defer tlb.fill.Unlock()
	if e.root != root || e.page != page || e.pte&need != need || write && e.pte&PTEDirty == 0 {
		pte, ok := walk(root, va, need, write)
		if !ok {
			if e.root == root && e.page == page {
				*e = tlbEntry{}
			}
			return 0, 0
		}
		*e = tlbEntry{root, page, pte}
	}
	off := va % PageSize
	return PhysToVirt(e.pte&PTEAddrMask + off), uintptr(PageSize - off)
}

// walk reads the page table, and sets the accessed and dirty bits as the hardware does.
func walk(root, va, need uint64, write bool) (uint64, bool) {
	table := root
	for shift := uint(39); ; shift -= 9 {
		slot := (*uint64)(unsafe.Add(arena, uintptr(table-ArenaBase)+uintptr(va>>shift&511)*8))
		pte := atomic.LoadUint64(slot)
		if pte&need != need {
			return 0, false
		}
		if shift > 12 && pte&PTEHuge == 0 {
			table = pte & PTEAddrMask
			continue
		}
		set := pte | PTEAccessed
		if write {
			set |= PTEDirty
		}
		if set != pte && !atomic.CompareAndSwapUint64(slot, pte, set) {
			shift += 9 // changed meanwhile: look again
			continue
		}
		if shift > 12 {
			set = set&^PTEHuge | va&(1<<shift-1)&^(PageSize-1)
		}
		return set, true
	}
}

// userAccess calls f for each piece of [addr, addr+n) that is contiguous in
// the arena and returns how much is left at the first fault.
func userAccess(root, addr uint64, n uintptr, write bool, f func(p unsafe.Pointer, off, n uintptr)) uintptr {
	tlb.mu.RLock()
	defer tlb.mu.RUnlock()
	for off := uintptr(0); off < n; {
		p, room := translate(root, addr+uint64(off), write)
		if p == 0 {
			return n - off
		}
		room = min(room, n-off)
		f(unsafe.Add(arena, p-uintptr(arena)), off, room)
		off += room
	}
	return 0
}

// CopyFromUser copies n bytes from user address src and returns how many it
// could not read.
func CopyFromUser(root uint64, dst unsafe.Pointer, src uint64, n uintptr) (left uintptr) {
	return userAccess(root, src, n, false, func(p unsafe.Pointer, off, n uintptr) {
		copyBytes(unsafe.Add(dst, off), p, n)
	})
}

// CopyToUser copies n bytes to user address dst and returns how many it could
// not write.
func CopyToUser(root uint64, dst uint64, src unsafe.Pointer, n uintptr) (left uintptr) {
	return userAccess(root, dst, n, true, func(p unsafe.Pointer, off, n uintptr) {
		copyBytes(p, unsafe.Add(src, off), n)
	})
}

// ZeroUser clears n bytes at user address dst and returns how many it could not.
func ZeroUser(root uint64, dst uint64, n uintptr) (left uintptr) {
	return userAccess(root, dst, n, true, func(p unsafe.Pointer, off, n uintptr) {
		clear(unsafe.Slice((*byte)(p), n))
	})
}

func copyBytes(dst, src unsafe.Pointer, n uintptr) {
	copy(unsafe.Slice((*byte)(dst), n), unsafe.Slice((*byte)(src), n))
}

// LoadUser32 reads an aligned word of user memory.
func LoadUser32(root, addr uint64) (v uint32, ok bool) {
	ok = userAccess(root, addr, 4, false, func(p unsafe.Pointer, _, _ uintptr) {
		v = atomic.LoadUint32((*uint32)(p))
	}) == 0
	return v, ok
}

// CASUser32 compares and swaps an aligned word of user memory. It needs write
// permission also when the comparison fails.
func CASUser32(root, addr uint64, old, new uint32) (prev uint32, ok bool) {
	ok = userAccess(root, addr, 4, true, func(p unsafe.Pointer, _, _ uintptr) {
		w := (*uint32)(p)
		for {
			prev = atomic.LoadUint32(w)
			if prev != old || atomic.CompareAndSwapUint32(w, old, new) {
				return
			}
		}
	}) == 0
	return prev, ok
}
