//go:build metal

package main

import (
	"runtime"
	"runtime/debug"

	"gosv/kernel/board"
	"gosv/kernel/mm"
)

// limitMemory makes the kernel's heap fit the machine. A collection starts when
// the heap has grown by GOGC percent of what lives (from 4 MiB times GOGC/100
// on), so a small machine collects earlier; past the limit it collects as often
// as it takes, up to half of the CPU. Page cache, program memory and packets are
// frames, not heap: they are bounded by package mm, which calls the collector
// when frames run short.
func limitMemory() {
	const mib = 1 << 20
	percent := 100
	switch total := board.Info.Total; {
	case total <= 16*mib:
		percent = 25
	case total <= 64*mib:
		percent = 50
	}
	debug.SetGCPercent(percent)
	debug.SetMemoryLimit(int64(board.Info.Total / 2))
	debug.SetMaxStack(1 * mib) // runaway recursion of the kernel ends in a report, not in lack of memory
	mm.SetCollect(func() {
		runtime.GC()
		debug.FreeOSMemory()
	})
}
