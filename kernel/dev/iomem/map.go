package iomem

import (
	"unsafe"

	"gosv/kernel/cpu"
)

// Map returns the registers at physical address pa, n bytes. Without memory for
// the page tables they read as an empty bus does: nothing is found there.
func Map(pa, n uint64) Window {
	va := cpu.MapMMIO(pa, n)
	if va == 0 {
		return absent{}
	}
	return mapped(va)
}

type absent struct{}

func (absent) Load8(uint32) uint8     { return 0xff }
func (absent) Load16(uint32) uint16   { return 0xffff }
func (absent) Load32(uint32) uint32   { return 0xffffffff }
func (absent) Store8(uint32, uint8)   {}
func (absent) Store16(uint32, uint16) {}
func (absent) Store32(uint32, uint32) {}

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
