//go:build metal

package goport

import (
	"gosv/kernel/cpu"
	"gosv/kernel/frame"
)

// The Go heap's range of virtual memory. mmap only picks addresses; a page fault brings in a zeroed frame; munmap and
// MADV_DONTNEED give frames back.

const (
	vmBase = cpu.HeapBase
	vmBig  = vmBase + 64<<30  // reservations of at least 64 MiB
	vmEnd  = vmBase + 512<<30 // one top-level entry
)

var (
	heapLock  uint32
	vmNext    uintptr = vmBase
	vmNextBig uintptr = vmBig
	heapPages uint64  // frames in the range
)

// tableFrame is what package cpu takes page tables from.
//
//go:nosplit
func tableFrame() uint64 { return uint64(frame.Alloc()) }

// stackMemory is what package cpu takes the stacks of a processor from.
//
//go:nosplit
func stackMemory() uintptr {
	f := frame.AllocOrder(3)
	if f == 0 {
		return 0
	}
	return f.Virt()
}

// pageIn maps a zeroed frame at a heap address. It reports whether va is in a mapped part of the heap's range; a racing
// CPU may have mapped the page already.
//
//go:nosplit
func pageIn(va uintptr) bool {
	if !(va >= vmBase && va < vmNext || va >= vmBig && va < vmNextBig) {
		return false
	}
	lock(&heapLock)
	e := cpu.HeapEntry(va, true)
	if e == 0 {
		cpu.Fatal("out of memory: no frame for a page table of the Go heap")
	}
	if cpu.Load64(e)&cpu.PTEPresent == 0 {
		f := frame.Alloc()
		if f == 0 {
			cpu.Fatal("out of memory: no frame for the Go heap")
		}
		cpu.Store64(e, uint64(f)|cpu.PTEPresent|cpu.PTEWrite|cpu.PTENoExec|cpu.PTEGlobal|cpu.PTEAccessed|cpu.PTEDirty)
		heapPages++
	}
	unlock(&heapLock)
	return true
}

// reserve implements mmap for the runtime.
//
//go:nosplit
func reserve(hint, n uintptr, prot, flags uint64) uintptr {
	const mapFixed = 0x10
	n = (n + cpu.PageSize - 1) &^ (cpu.PageSize - 1)
	if flags&mapFixed != 0 {
		if prot == 0 { // the runtime takes memory back from itself
			release(hint, n)
		}
		return hint // always inside an earlier reservation
	}
	next, end := &vmNext, uintptr(vmBig)
	if n >= 64<<20 || hint >= vmBig && hint < vmEnd {
		next, end = &vmNextBig, vmEnd
	}
	lock(&heapLock)
	va := *next
	if hint >= va && hint < end {
		va = hint
	}
	if hint < vmBase && hint != 0 || va+n > end {
		unlock(&heapLock)
		return uintptr(enomem) // low-half hints are for user space: the runtime asks again without
	}
	*next = va + n
	unlock(&heapLock)
	return va
}

// release unmaps [va, va+n) and gives its frames back.
//
//go:nosplit
func release(va, n uintptr) {
	start, end := va, (va+n)&^(cpu.PageSize-1)
	if start < vmBase || end > vmEnd {
		return
	}
	lock(&heapLock)
	var batch uint64 // frames that wait for the flush, linked through their first word
	first, last := end, start
	for va < end {
		e := cpu.HeapEntry(va, false)
		if e == 0 { // no page table: skip to the next 2 MiB
			va = (va + 2<<20) &^ (2<<20 - 1)
			continue
		}
		if v := cpu.Load64(e); v&cpu.PTEPresent != 0 {
			cpu.Store64(e, 0)
			pa := v & cpu.PTEAddrMask
			cpu.Store64(cpu.PhysToVirt(pa), batch)
			batch = pa
			first, last = min(first, va), va+cpu.PageSize
			heapPages--
		}
		va += cpu.PageSize
	}
	unlock(&heapLock)
	if batch == 0 {
		return
	}
	cpu.FlushKernel(uint64(first), uint64(last-first))
	for batch != 0 {
		next := cpu.Load64(cpu.PhysToVirt(batch))
		frame.Frame(batch).Unref()
		batch = next
	}
}

// HeapBytes is how much memory Go's heap, its stacks and tables occupy.
func HeapBytes() uint64 { return heapPages * cpu.PageSize }
