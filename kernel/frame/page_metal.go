//go:build metal

package frame

import "gosv/kernel/cpu"

//go:nosplit
func zeroPage(p uintptr) { cpu.ZeroPage(p) }

//go:nosplit
func copyPage(dst, src uintptr) { cpu.CopyPage(dst, src) }
