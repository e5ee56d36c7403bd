// Package iomem is a window of device registers in memory, which on the host a test can play.
package iomem

// A Window is a block of registers. Offsets are in bytes; an access is of
// exactly its width, in program order with the others, and never behind the end.
type Window interface {
	Load8(off uint32) uint8
	Load16(off uint32) uint16
	Load32(off uint32) uint32
	Store8(off uint32, v uint8)
	Store16(off uint32, v uint16)
	Store32(off uint32, v uint32)
}

// Read copies from the registers at off, in one access when b has 1, 2 or 4
// bytes and off is aligned to that, else by words and bytes.
func Read(w Window, off uint32, b []byte) {
	for len(b) > 0 {
		switch {
		case len(b) >= 4 && off&3 == 0:
			v := w.Load32(off)
			b[0], b[1], b[2], b[3] = byte(v), byte(v>>8), byte(v>>16), byte(v>>24)
			b, off = b[4:], off+4
		case len(b) >= 2 && off&1 == 0:
			v := w.Load16(off)
			b[0], b[1] = byte(v), byte(v>>8)
			b, off = b[2:], off+2
		default:
			b[0] = w.Load8(off)
			b, off = b[1:], off+1
		}
	}
}

// Write is the opposite of Read.
func Write(w Window, off uint32, b []byte) {
	for len(b) > 0 {
		switch {
		case len(b) >= 4 && off&3 == 0:
			w.Store32(off, uint32(b[0])|uint32(b[1])<<8|uint32(b[2])<<16|uint32(b[3])<<24)
			b, off = b[4:], off+4
		case len(b) >= 2 && off&1 == 0:
			w.Store16(off, uint16(b[0])|uint16(b[1])<<8)
			b, off = b[2:], off+2
		default:
			w.Store8(off, b[0])
			b, off = b[1:], off+1
		}
	}
}

// Sub is the part of a window that starts at an offset.
func Sub(w Window, off uint32) Window {
	if m, ok := w.(mapped); ok {
		return m + mapped(off)
	}
	return sub{w, off}
}

type sub struct {
	w   Window
	off uint32
}

func (s sub) Load8(off uint32) uint8       { return s.w.Load8(s.off + off) }
func (s sub) Load16(off uint32) uint16     { return s.w.Load16(s.off + off) }
func (s sub) Load32(off uint32) uint32     { return s.w.Load32(s.off + off) }
func (s sub) Store8(off uint32, v uint8)   { s.w.Store8(s.off+off, v) }
func (s sub) Store16(off uint32, v uint16) { s.w.Store16(s.off+off, v) }
func (s sub) Store32(off uint32, v uint32) { s.w.Store32(s.off+off, v) }
