package iomem

import (
	"unsafe"

	"gosv/kernel/cpu"
)

// Map returns the registers at physical address pa, n bytes.
func Map(pa, n uint64) Window { return mapped(cpu.MapMMIO(pa, n)) }

// mapped is the address of an uncached mapping. The accesses are plain moves
// in functions that are not inlined: the compiler neither drops, merges nor
// reorders them, and there is no read in a store, as sync/atomic's would have.
type mapped uintptr

func (m mapped) at(off uint32) unsafe.Pointer {
	p := uintptr(m) + uintptr(off)
	return *(*unsafe.Pointer)(unsafe.Pointer(&p)) // not Go memory: the collector ignores it
}

//go:noinline
func (m mapped) Load8(off uint32) uint8 { return *(*uint8)(m.at(off)) }

//go:noinline
func (m mapped) Load16(off uint32) uint16 { return *(*uint16)(m.at(off)) }

//go:noinline
func (m mapped) Load32(off uint32) uint32 { return *(*uint32)(m.at(off)) }

//go:noinline
func (m mapped) Store8(off uint32, v uint8) { *(*uint8)(m.at(off)) = v }

//go:noinline
func (m mapped) Store16(off uint32, v uint16) { *(*uint16)(m.at(off)) = v }

//go:noinline
func (m mapped) Store32(off uint32, v uint32) { *(*uint32)(m.at(off)) = v }
