//go:build metal

package cpu

import "unsafe"

// A mark is a moment of the boot before there is a log: the boot chart's first lines.
var marks [16]struct {
	name, n uintptr // of a constant string; no pointer, for there must be no write barrier
	tsc     uint64
}

// Mark notes that the step called name has ended. name must be a constant.
//
//go:nosplit
func Mark(name string) {
	for i := range marks {
		if m := &marks[i]; m.tsc == 0 {
			m.name, m.n, m.tsc = uintptr(unsafe.Pointer(unsafe.StringData(name))), uintptr(len(name)), RDTSC()
			return
		}
	}
}

// Marks calls yield with the steps noted so far, and when they ended on Nanotime's clock.
func Marks(yield func(name string, at int64) bool) {
	for i := range marks {
		m := &marks[i]
		if m.tsc == 0 || !yield(unsafe.String((*byte)(at(m.name)), int(m.n)), TSCToNanos(m.tsc)) {
			return
		}
	}
}
