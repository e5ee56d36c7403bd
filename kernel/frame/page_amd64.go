//go:build !metal

package frame

// zeroPage clears the 4096 bytes at p.
//
//go:noescape
func zeroPage(p uintptr)

// copyPage copies 4096 bytes.
//
//go:noescape
func copyPage(dst, src uintptr)
