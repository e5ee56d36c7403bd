//go:build metal

package board

import (
	"unsafe"

	"gosv/kernel/cpu"
	"gosv/kernel/dev/acpi"
)

var store storage

// ParsePVH fills Info from the start info at physical address info. It runs on the boot stub's page table, before the Go
// runtime.
//
//go:nosplit
func ParsePVH(info uint64) {
	text, gap, data, end := cpu.Image()
	if !parsePVH(&Info, &store, physical, info, [2]Range{{text, gap - text}, {data, end - data}}) {
		cpu.Fatal("not a PVH boot")
	}
	if Info.line.Size != 0 {
		Info.Cmdline = unsafe.String((*byte)(unsafe.Pointer(cpu.PhysToVirt(Info.line.Base))), int(Info.line.Size))
	}
	acpi.Parse(&Info.ACPI, physical, Info.RSDP)
}

// stubTop is the end of what the boot stub's page table maps (host/mkkernel/boot).
const stubTop = 4 << 30

// physical is an acpi.Memory.
//
//go:nosplit
func physical(pa uint64, n int) uint64 {
	if pa > stubTop-8 {
		return 0
	}
	p := cpu.PhysToVirt(pa)
	switch n {
	case 1:
		return uint64(cpu.Load8(p))
	case 2:
		return uint64(cpu.Load16(p))
	case 4:
		return uint64(cpu.Load32(p))
	}
	return cpu.Load64(p)
}
