//go:build metal

package cpu

import "unsafe"

var userFixups [15]uintptr // in usercopy_metal_amd64.s

// UserFixup returns where a page fault at ip continues when ip is an access to user memory, else 0.
//
//go:nosplit
func UserFixup(ip uint64) uint64 {
	for i := 0; i < len(userFixups); i += 3 {
		if ip >= uint64(userFixups[i]) && ip < uint64(userFixups[i+1]) {
			return uint64(userFixups[i+2])
		}
	}
	return 0
}

// CopyFromUser copies n bytes at src, which the caller has checked to be below UserTop, of the address space root. It
// returns how many bytes are left when a page is missing or not readable.
func CopyFromUser(root uint64, dst unsafe.Pointer, src uint64, n uintptr) (left uintptr) {
	return userCopy(root, uintptr(dst), uintptr(src), n)
}

// CopyToUser is the other direction.
func CopyToUser(root uint64, dst uint64, src unsafe.Pointer, n uintptr) (left uintptr) {
	return userCopy(root, uintptr(dst), uintptr(src), n)
}

// ZeroUser clears n bytes at dst. What is left may be counted up to 7 bytes too high.
func ZeroUser(root uint64, dst uint64, n uintptr) (left uintptr) {
	return userZero(root, uintptr(dst), n)
}

// LoadUser32 reads a word of user memory; ok is false when its page is missing.
func LoadUser32(root, addr uint64) (v uint32, ok bool) {
	v, left := userAccess32(root, addr, 0, 0, 0)
	return v, left == 0
}

// CASUser32 makes the word at addr new if it is old, in one step, and returns what it was.
func CASUser32(root, addr uint64, old, new uint32) (prev uint32, ok bool) {
	prev, left := userAccess32(root, addr, 1, old, new)
	return prev, left == 0
}

// The noescape is true: the callees keep nothing.
//
//go:noescape
func userCopy(root uint64, dst, src uintptr, n uintptr) (left uintptr)

//go:noescape
func userZero(root uint64, dst uintptr, n uintptr) (left uintptr)

func userAccess32(root, addr uint64, cas uint64, old, new uint32) (v uint32, left uint32)
