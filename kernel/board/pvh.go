package board

import "gosv/kernel/dev/acpi"

// The PVH boot ABI: struct hvm_start_info (xen/include/public/arch-x86/hvm/start_info.h).
const (
	pvhMagic   = 0x336ec578
	pvhVersion = 4
	pvhModules = 12 // number
	pvhModlist = 16
	pvhCmdline = 24
	pvhRSDP    = 32
	pvhMemmap  = 40 // from version 1 on
	pvhEntries = 48
	pvhSize    = 56

	moduleSize = 32 // of struct hvm_modlist_entry
	entrySize  = 24 // of struct hvm_memmap_table_entry

	memRAM    = 1
	lowTop    = 64 << 10 // memory below is the BIOS data area, and the AP trampoline's
	stubStart = 1 << 20  // where the boot stub and its page tables are
	stubSize  = 32 << 10
	pageSize  = 4096

	// What is more than this is not looked at.
	maxLine    = 64 << 10
	maxModules = 16
	maxEntries = 128
	maxRanges  = 64
	maxPhys    = 1 << 46 // no RAM is above: the direct map ends there
)

// storage is what Information points to: the Go heap is not there yet.
type storage struct {
	ranges   [maxRanges]Range
	reserved [8 + maxModules]Range
	nr       int
	modules  [maxModules]Module
}

// parsePVH fills i from the start info at physical address info, which phys reads. image are the parts of the kernel's own image.
// It reports whether there is a start info. Nothing that the start info says makes it run long: each list has a bound, and
// what does not fit in an address space is left out. It runs before the Go runtime.
//
//go:nosplit
func parsePVH(i *Information, s *storage, phys acpi.Memory, info uint64, image [2]Range) bool {
	if phys(info, 4) != pvhMagic {
		return false
	}
	s.reserve(0, lowTop)
	s.reserve(stubStart, stubSize)
	s.reserve(image[0].Base, image[0].Size)
	s.reserve(image[1].Base, image[1].Size)
	s.reserve(info, pvhSize)
	if c := phys(info+pvhCmdline, 8); c != 0 && c < maxPhys {
		n := uint64(0)
		for n < maxLine && phys(c+n, 1) != 0 {
			n++
		}
		i.line = Range{c, n}
		s.reserve(c, n+1)
	}
	list := phys(info+pvhModlist, 8)
	n := min(phys(info+pvhModules, 4), maxModules)
	count := 0
	for k := uint64(0); k < n && list < maxPhys; k++ {
		m := Module{phys(list+k*moduleSize, 8), phys(list+k*moduleSize+8, 8)}
		if m.Phys >= maxPhys || m.Size > maxPhys-m.Phys {
			continue
		}
		s.modules[count] = m
		count++
		s.reserve(m.Phys, m.Size)
	}
	i.Modules = s.modules[:count]
	i.RSDP = phys(info+pvhRSDP, 8)
	if phys(info+pvhVersion, 4) >= 1 {
		i.parseMap(s, phys, phys(info+pvhMemmap, 8), min(phys(info+pvhEntries, 4), maxEntries))
	}
	return true
}

// reserve notes memory that is not free.
//
//go:nosplit
func (s *storage) reserve(base, size uint64) {
	if s.nr == len(s.reserved) || size == 0 || base >= maxPhys {
		return
	}
	end := base + min(size, maxPhys-base)
	base &^= pageSize - 1
	s.reserved[s.nr] = Range{base, (end+pageSize-1)&^(pageSize-1) - base}
	s.nr++
}

// entry is an entry of the memory map: where it begins and ends, and whether it is RAM.
//
//go:nosplit
func entry(phys acpi.Memory, at uint64) (lo, hi uint64, ram bool) {
	lo, size := phys(at, 8), phys(at+8, 8)
	if lo >= maxPhys {
		return 0, 0, false
	}
	return lo, lo + min(size, maxPhys-lo), phys(at+16, 4) == memRAM
}

// parseMap reads a memory map of n entries.
//
//go:nosplit
func (i *Information) parseMap(s *storage, phys acpi.Memory, list, n uint64) {
	if list >= maxPhys {
		return
	}
	count := 0
	for k := uint64(0); k < n; k++ {
		lo, hi, ram := entry(phys, list+k*entrySize)
		if !ram || lo == hi {
			continue
		}
		i.Total += hi - lo
		i.Top = max(i.Top, hi)
		count = s.free(count, lo, hi, phys, list, n)
	}
	i.Total = min(i.Total, i.Top) // entries may lie over each other
	i.Memory = s.ranges[:count]
}

// free appends what is free of [lo, hi) to the first count ranges: not what is reserved, what the map calls something else
// than RAM, and what is in the ranges already.
//
//go:nosplit
func (s *storage) free(count int, lo, hi uint64, phys acpi.Memory, list, n uint64) int {
	lo = (lo + pageSize - 1) &^ (pageSize - 1)
	hi &^= pageSize - 1
	for lo < hi && count < maxRanges {
		// The first obstacle that ends after lo bounds the next piece.
		end, over := hi, uint64(0)
		for k := range s.nr {
			r := &s.reserved[k]
			end, over = bound(lo, end, over, r.Base, r.Base+r.Size)
		}
		for k := range count {
			r := &s.ranges[k]
			end, over = bound(lo, end, over, r.Base, r.Base+r.Size)
		}
		for k := uint64(0); k < n; k++ {
			if a, b, ram := entry(phys, list+k*entrySize); !ram && a < b {
				end, over = bound(lo, end, over, a&^(pageSize-1), (b+pageSize-1)&^(pageSize-1))
			}
		}
		if over != 0 {
			lo = over
			continue
		}
		s.ranges[count] = Range{lo, end - lo}
		count++
		lo = end
	}
	return count
}

// bound narrows the free piece [lo, end) by an obstacle [a, b): end comes nearer if the obstacle is above lo, and over is the
// end of the highest obstacle at lo.
//
//go:nosplit
func bound(lo, end, over, a, b uint64) (uint64, uint64) {
	switch {
	case a <= lo && b > lo:
		over = max(over, b)
	case a > lo && a < end:
		end = a
	}
	return end, over
}
