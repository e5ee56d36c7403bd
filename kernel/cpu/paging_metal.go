//go:build metal

package cpu

import _ "unsafe" // for linkname

// The kernel's half of the address space. Its top-level entries are made at boot and never change afterwards, so that
// every root can hold a copy of them.

var (
	kernelRoot uint64

	early struct{ next, end uint64 } // frames for page tables before package frame runs

	mmioLock SpinLock
	mmioNext uint64 = mmioBase
)

const apPhys = 0x8000 // of the AP trampoline

// earlyFrame takes a zeroed frame from the memory that SetupPaging was given.
//
//go:nosplit
func earlyFrame() uint64 {
	pa := early.next
	if pa+PageSize > early.end {
		Fatal("too little memory for the kernel's page tables")
	}
	early.next += PageSize
	ZeroPage(PhysToVirt(pa))
	return pa
}

// entry returns the address of the entry for va at the level that maps 1<<shift bytes, and makes the tables above it.
//
//go:nosplit
func entry(root, va uint64, shift uint) uintptr {
	t := root
	for s := uint(39); ; s -= 9 {
		e := PhysToVirt(t) + uintptr(va>>s&511)*8
		if s == shift {
			return e
		}
		v := Load64(e)
		if v&PTEPresent == 0 {
			v = earlyFrame() | PTEPresent | PTEWrite
			Store64(e, v)
		}
		t = v & PTEAddrMask
	}
}

// SetupPaging replaces the boot stub's page table. Image text is read-only and executable, its constants read-only, its
// data not executable; the direct map covers [0, top) without execution, and text and constants read-only there too. Low
// memory is not mapped one to one any more. [next, end) is memory for tables; it returns the first address that is left.
//
//go:nosplit
func SetupPaging(top, next, end uint64) uint64 {
	early.next, early.end = next, end
	root := earlyFrame()
	_, _, rodata, _, _ := imageEnds()
	ro := uint64(rodata) - KernelBase
	lo, gap, rw, hi := Image()
	for pa := lo; pa < hi; pa += PageSize {
		if pa == gap {
			pa = rw
		}
		e := pa | PTEPresent | PTEGlobal
		switch {
		case pa >= rw:
			e |= PTEWrite | PTENoExec
		case pa >= ro&^(PageSize-1) && ro&(PageSize-1) == 0:
			e |= PTENoExec
		}
		Store64(entry(root, KernelBase+pa, 12), e)
	}
	const direct = PTEPresent | PTEWrite | PTEGlobal | PTENoExec
	giant := false
	if m, _, _, _ := CPUID(0x80000000, 0); m >= 0x80000001 {
		_, _, _, d := CPUID(0x80000001, 0)
		giant = d&feature1GPage != 0
	}
	for pa := uint64(0); pa < top; {
		switch {
		case giant && pa != 0 && pa&(1<<30-1) == 0 && pa+1<<30 <= top:
			Store64(entry(root, DirectMap+pa, 30), pa|direct|PTEHuge)
			pa += 1 << 30
		case pa+2<<20 > lo && pa < gap: // text and constants are in here
			for o := pa; o < pa+2<<20; o += PageSize {
				e := o | direct
				if o >= lo && o < gap {
					e &^= PTEWrite
				}
				Store64(entry(root, DirectMap+o, 12), e)
			}
			pa += 2 << 20
		default:
			Store64(entry(root, DirectMap+pa, 21), pa|direct|PTEHuge)
			pa += 2 << 20
		}
	}
	entry(root, HeapBase, 30)
	entry(root, mmioBase, 12)
	kernelRoot = root
	This().root = root
	writeCR3(root)
	early.end = early.next // from here on the memory is package frame's
	return early.next
}

// KernelRoot is the page table that has no user half.
//
//go:nosplit
func KernelRoot() uint64 { return kernelRoot }

// InitRoot makes the zeroed frame at root a top-level page table: the kernel's half is filled in.
//
//go:nosplit
func InitRoot(root uint64) {
	for o := uintptr(256 * 8); o < PageSize; o += 8 {
		Store64(PhysToVirt(root)+o, Load64(PhysToVirt(kernelRoot)+o))
	}
}

// MapMMIO maps n bytes of device registers at pa, uncached, for good. It returns 0 when the window, or the memory for
// its page tables, is used up.
//
//go:nosplit
func MapMMIO(pa, n uint64) uintptr {
	first, last := pa&^(PageSize-1), (pa+n+PageSize-1)&^(PageSize-1)
	f := mmioLock.Lock()
	va := mmioNext
	mmioNext += last - first
	if mmioNext > mmioBase+1<<39 {
		mmioLock.Unlock(f)
		return 0
	}
	for p := first; p < last; p += PageSize {
		e := mmioEntry(va + p - first)
		if e == 0 {
			mmioLock.Unlock(f)
			return 0
		}
		Store64(e, p|PTEPresent|PTEWrite|PTEPCD|PTEPWT|PTENoExec|PTEGlobal)
	}
	mmioLock.Unlock(f)
	return uintptr(va + pa - first)
}

// tableFrame takes a zeroed frame from package frame, which is above this one: goport hands it down.
//
//go:linkname tableFrame gosv/kernel/goport.tableFrame
func tableFrame() uint64

// mmioEntry is entry for the MMIO window, whose tables come from goport's frames after the boot.
//
//go:nosplit
func mmioEntry(va uint64) uintptr {
	t := kernelRoot
	for s := uint(39); ; s -= 9 {
		e := PhysToVirt(t) + uintptr(va>>s&511)*8
		if s == 12 {
			return e
		}
		v := Load64(e)
		if v&PTEPresent == 0 {
			pa := uint64(0)
			if early.next+PageSize <= early.end {
				pa = earlyFrame()
			} else {
				pa = tableFrame()
			}
			if pa == 0 {
				return 0
			}
			v = pa | PTEPresent | PTEWrite
			Store64(e, v)
		}
		t = v & PTEAddrMask
	}
}

// HeapEntry returns the address of the page table entry for va in the Go heap's range. The table is made with alloc if
// there is none, unless alloc is false; 0 if there is no table or no memory. One lock of the caller guards it.
//
//go:nosplit
func HeapEntry(va uintptr, alloc bool) uintptr {
	t := kernelRoot
	for s := uint(39); ; s -= 9 {
		e := PhysToVirt(t) + (va>>s&511)*8
		if s == 12 {
			return e
		}
		v := Load64(e)
		if v&PTEPresent == 0 {
			if !alloc {
				return 0
			}
			pa := tableFrame()
			if pa == 0 {
				return 0
			}
			v = pa | PTEPresent | PTEWrite
			Store64(e, v)
		}
		t = v & PTEAddrMask
	}
}
