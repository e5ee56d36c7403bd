package uring

import (
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"

	"gosv/abi/linux"
	"gosv/kernel/frame"
	"gosv/kernel/mm"
)

// Where things are in the first part of a ring's memory. Every word that the
// program writes has a cache line without words that the kernel writes.
const (
	offSQHead     = 0
	offSQTail     = 64
	offCQHead     = 128
	offCQTail     = 192
	offSQMask     = 256
	offCQMask     = 260
	offSQEntries  = 264
	offCQEntries  = 268
	offSQDropped  = 272
	offSQFlags    = 276
	offCQOverflow = 280
	offCQFlags    = 320
	offCQEs       = 384
)

const (
	pageSize = 4096
	sqeSize  = 64
	cqeSize  = 16
)

// memory is what the kernel and the program share: the rings with the array of
// indices, and the submission entries. The program may write any of it at any
// time, so the kernel reads each value once, and keeps its own copies of the
// positions that are its own.
type memory struct {
	cache *mm.Cache
	rings []frame.Frame
	sqes  []frame.Frame
	array uint32 // offset of the array of indices
}

func (m *memory) init(sqEntries, cqEntries uint32) error {
	m.array = offCQEs + cqEntries*cqeSize
	if !alloc(&m.rings, m.array+sqEntries*4) || !alloc(&m.sqes, sqEntries*sqeSize) {
		m.free()
		return unix.ENOMEM
	}
	m.cache = mm.NewCache(m)
	m.cache.InitSize(linux.IORING_OFF_SQES + int64(len(m.sqes))*pageSize)
	*m.word(offSQMask), *m.word(offCQMask) = sqEntries-1, cqEntries-1
	*m.word(offSQEntries), *m.word(offCQEntries) = sqEntries, cqEntries
	return nil
}

func alloc(frames *[]frame.Frame, n uint32) bool {
	for range (n + pageSize - 1) / pageSize {
		f := frame.AllocUser()
		if f == 0 {
			return false
		}
		*frames = append(*frames, f)
	}
	return true
}

// free gives the memory back. Who is late may still look into it, and finds
// anything there.
func (m *memory) free() {
	for _, frames := range [][]frame.Frame{m.rings, m.sqes} {
		for _, f := range frames {
			f.Unref()
		}
	}
}

// part returns the frames at an offset of the file, nil if there are none.
func (m *memory) part(off uint64) ([]frame.Frame, uint64) {
	switch {
	case off >= linux.IORING_OFF_SQES:
		return m.sqes, off - linux.IORING_OFF_SQES
	case off >= linux.IORING_OFF_CQ_RING:
		return m.rings, off - linux.IORING_OFF_CQ_RING
	}
	return m.rings, off
}

// ResidentFrame implements mm.ResidentBacking: mappings use the frames themselves.
func (m *memory) ResidentFrame(index uint64) (frame.Frame, bool) {
	frames, off := m.part(index * pageSize)
	if off/pageSize >= uint64(len(frames)) {
		return 0, false
	}
	return frames[off/pageSize], true
}

// FillPage implements mm.Backing, for addresses between the parts.
func (m *memory) FillPage(uint64, frame.Frame) error { return unix.EFAULT }

// WritePage implements mm.Backing.
func (m *memory) WritePage(uint64, frame.Frame) error { return nil }

func at(frames []frame.Frame, off uint32) unsafe.Pointer {
	return unsafe.Pointer(&frames[off/pageSize].Bytes()[off%pageSize])
}

// word is a word of the first part.
func (m *memory) word(off uint32) *uint32 { return (*uint32)(at(m.rings, off)) }

func (m *memory) load(off uint32) uint32     { return atomic.LoadUint32(m.word(off)) }
func (m *memory) store(off uint32, v uint32) { atomic.StoreUint32(m.word(off), v) }

// sqe copies submission entry i, which the program may be changing.
func (m *memory) sqe(i uint32, to *linux.IOURingSQE) {
	*to = *(*linux.IOURingSQE)(at(m.sqes, i*sqeSize))
}

// index is entry i of the array of indices.
func (m *memory) index(i uint32) uint32 { return m.load(m.array + i*4) }

func (m *memory) setCQE(i uint32, c *linux.IOURingCQE) {
	*(*linux.IOURingCQE)(at(m.rings, offCQEs+i*cqeSize)) = *c
}
