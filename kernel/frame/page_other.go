//go:build !amd64 && !metal

package frame

import "unsafe"

// zeroPage clears the 4096 bytes at p.
//
//go:nosplit
func zeroPage(p uintptr) { *(*[Size]byte)(unsafe.Add(unsafe.Pointer(nil), p)) = [Size]byte{} }

// copyPage copies 4096 bytes.
//
//go:nosplit
func copyPage(dst, src uintptr) {
	*(*[Size]byte)(unsafe.Add(unsafe.Pointer(nil), dst)) = *(*[Size]byte)(unsafe.Add(unsafe.Pointer(nil), src))
}
