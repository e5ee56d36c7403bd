//go:build metal

package board

import (
	"unsafe"

	"gosv/kernel/cpu"
	"gosv/kernel/dev/acpi"
)

// The PVH boot ABI: struct hvm_start_info (xen/include/public/arch-x86/hvm/start_info.h).
const (
	pvhMagic   = 0x336ec578
	pvhModules = 12 // number
	pvhModlist = 16
	pvhCmdline = 24
	pvhRSDP    = 32
	pvhMemmap  = 40
	pvhEntries = 48
	pvhSize    = 56

	memRAM    = 1
	lowTop    = 64 << 10 // memory below is the BIOS data area, and the AP trampoline's
	stubStart = 1 << 20  // where the boot stub and its page tables are
	stubSize  = 32 << 10
	maxLine   = 64 << 10
)

var (
	ranges   [64]Range
	reserved [20]Range
	modules  [16]Module
)

// ParsePVH fills Info from the start info at physical address info. It runs on the boot stub's page table, before the Go
// runtime.
//
//go:nosplit
func ParsePVH(info uint64) {
	if cpu.Load32(cpu.PhysToVirt(info)) != pvhMagic {
		cpu.Fatal("not a PVH boot")
	}
	p := cpu.PhysToVirt(info)
	nr := 0
	reserve := func(base, size uint64) {
		if nr < len(reserved) && size != 0 {
			reserved[nr] = Range{base &^ (cpu.PageSize - 1), (base&(cpu.PageSize-1) + size + cpu.PageSize - 1) &^ (cpu.PageSize - 1)}
			nr++
		}
	}
	reserve(0, lowTop)
	reserve(stubStart, stubSize)
	text, gap, data, end := cpu.Image()
	reserve(text, gap-text)
	reserve(data, end-data)
	reserve(info, pvhSize)
	if c := cpu.Load64(p + pvhCmdline); c != 0 {
		n := uint64(0)
		for n < maxLine && cpu.Load8(cpu.PhysToVirt(c+n)) != 0 {
			n++
		}
		Info.Cmdline = unsafe.String((*byte)(unsafe.Pointer(cpu.PhysToVirt(c))), int(n))
		reserve(c, n+1)
	}
	list := cpu.Load64(p + pvhModlist)
	n := int(cpu.Load32(p + pvhModules))
	for i := 0; i < n && i < len(modules); i++ {
		e := cpu.PhysToVirt(list + uint64(i)*32)
		modules[i] = Module{cpu.Load64(e), cpu.Load64(e + 8)}
		reserve(modules[i].Phys, modules[i].Size)
		Info.Modules = modules[:i+1]
	}
	Info.RSDP = cpu.Load64(p + pvhRSDP)
	memmap := cpu.Load64(p + pvhMemmap)
	n = int(cpu.Load32(p + pvhEntries))
	count := 0
	for i := 0; i < n; i++ {
		e := cpu.PhysToVirt(memmap + uint64(i)*24)
		base, size, typ := cpu.Load64(e), cpu.Load64(e+8), cpu.Load32(e+16)
		if typ != memRAM || base+size < base {
			continue
		}
		Info.Total += size
		Info.Top = max(Info.Top, base+size)
		count = addRange(count, base, base+size, nr)
	}
	Info.Memory = ranges[:count]
	acpi.Parse(&Info.ACPI, Info.RSDP)
}

// addRange appends [lo, hi) to ranges without what is reserved.
//
//go:nosplit
func addRange(count int, lo, hi uint64, nr int) int {
	lo = (lo + cpu.PageSize - 1) &^ (cpu.PageSize - 1)
	hi &^= cpu.PageSize - 1
	for lo < hi && count < len(ranges) {
		// The first reservation that ends after lo bounds the next piece.
		end := hi
		moved := false
		for i := 0; i < nr; i++ {
			r := &reserved[i]
			if r.Base <= lo && r.Base+r.Size > lo {
				lo = r.Base + r.Size
				moved = true
			} else if r.Base > lo && r.Base < end {
				end = r.Base
			}
		}
		if moved {
			continue
		}
		ranges[count] = Range{lo, end - lo}
		count++
		lo = end
	}
	return count
}
