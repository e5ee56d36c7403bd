//go:build metal

package goport

import _ "unsafe" // for go:linkname

// What package runtime/debug would call; the package itself brings in fmt and os, whose initialisation each boot would
// pay for.

// SetMaxStack bounds the stack of a goroutine, in bytes: runaway recursion of the kernel ends in a report, not in lack of
// memory.
func SetMaxStack(n int) { setMaxStack(n) }

// FreeMemory collects garbage and gives the memory of the Go heap that is free back.
func FreeMemory() { freeOSMemory() }

//go:linkname setMaxStack runtime/debug.setMaxStack
func setMaxStack(int) int

//go:linkname freeOSMemory runtime/debug.freeOSMemory
func freeOSMemory()
