package cpu

import "unsafe"

// at makes a pointer of an address that Go does not know: a device register, or memory in the direct map.
//
//go:nosplit
func at(p uintptr) unsafe.Pointer { return *(*unsafe.Pointer)(unsafe.Pointer(&p)) }

// Load8 and its siblings access memory that Go does not know: device registers that MapMMIO mapped, or what PhysToVirt
// returns. Each is one access of its width.
//
//go:nosplit
func Load8(p uintptr) uint8 { return *(*uint8)(at(p)) }

//go:nosplit
func Load16(p uintptr) uint16 { return *(*uint16)(at(p)) }

//go:nosplit
func Load32(p uintptr) uint32 { return *(*uint32)(at(p)) }

//go:nosplit
func Load64(p uintptr) uint64 { return *(*uint64)(at(p)) }

//go:nosplit
func Store8(p uintptr, v uint8) { *(*uint8)(at(p)) = v }

//go:nosplit
func Store16(p uintptr, v uint16) { *(*uint16)(at(p)) = v }

//go:nosplit
func Store32(p uintptr, v uint32) { *(*uint32)(at(p)) = v }

//go:nosplit
func Store64(p uintptr, v uint64) { *(*uint64)(at(p)) = v }
