package mm

import "unsafe"

// Hash spreads keys over a table of buckets. Go's heap does not move.
func (k Key) Hash() uint64 {
	h := uint64(uintptr(unsafe.Pointer(k.as))) ^ uint64(uintptr(unsafe.Pointer(k.cache)))
	h = (h ^ k.off>>2) * 0x9e3779b97f4a7c15
	return h >> 32
}
