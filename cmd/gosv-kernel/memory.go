//go:build metal

package main

import (
	"runtime"

	"gosv/kernel/goport"
	"gosv/kernel/mm"
)

// limitMemory bounds what the kernel uses for itself: package goport has set the
// heap's limits. Page cache, program memory and packets are frames, not heap:
// they are bounded by package mm, which calls the collector when frames run
// short.
func limitMemory() {
	goport.SetMaxStack(1 << 20)
	mm.SetCollect(func() {
		runtime.GC()
		goport.FreeMemory()
	}, goport.HeapBytes)
}
