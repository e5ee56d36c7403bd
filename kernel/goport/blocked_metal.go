//go:build metal

package goport

import "gosv/kernel/cpu"

// Self returns the calling goroutine.
func Self() G

// Blocked reports whether a goroutine is blocked: it neither runs nor could.
//
//go:nosplit
func Blocked(g G) bool {
	l := layout()
	return uint64(cpu.Load32(uintptr(g)+uintptr(l.status))) == l.waiting
}
