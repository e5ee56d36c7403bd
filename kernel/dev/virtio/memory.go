package virtio

import (
	"unsafe"

	"golang.org/x/sys/unix"

	"gosv/kernel/frame"
)

// ringMemory holds the rings of a device, several small ones to a frame.
type ringMemory struct {
	blocks []block
	used   int // bytes of the last block
}

type block struct {
	f     frame.Frame
	order uint
}

const ringAlign = 16 // of a descriptor table, the most that any part wants (section 2.7)

// alloc returns n zeroed bytes, physically contiguous, and their address.
func (m *ringMemory) alloc(n int) ([]byte, uint64, error) {
	n = (n + ringAlign - 1) &^ (ringAlign - 1)
	last := len(m.blocks) - 1
	if last < 0 || m.used+n > frameSize<<m.blocks[last].order {
		order := uint(0)
		for frameSize<<order < n {
			order++
		}
		f := frame.AllocOrder(order)
		if f == 0 {
			return nil, 0, unix.ENOMEM
		}
		m.blocks = append(m.blocks, block{f, order})
		m.used = 0
		last++
	}
	b := m.blocks[last]
	off := m.used
	m.used += n
	all := unsafe.Slice(unsafe.SliceData(b.f.Bytes()), frameSize<<b.order)
	return all[off : off+n : off+n], uint64(b.f) + uint64(off), nil
}

func (m *ringMemory) free() {
	for _, b := range m.blocks {
		frame.FreeOrder(b.f, b.order)
	}
	m.blocks, m.used = nil, 0
}

const frameSize = 4096

// tables are the indirect descriptor tables of a queue (section 2.7.5.3),
// made when they are first needed.
type tables struct {
	mem     *ringMemory
	entries int
	all     []table
	free    []int32
}

type table struct {
	list []desc
	pa   uint64
}

// get returns a table's number, -1 when there is no memory.
func (t *tables) get() int32 {
	if n := len(t.free); n > 0 {
		i := t.free[n-1]
		t.free = t.free[:n-1]
		return i
	}
	b, pa, err := t.mem.alloc(16 * t.entries)
	if err != nil {
		return -1
	}
	t.all = append(t.all, table{unsafe.Slice((*desc)(unsafe.Pointer(&b[0])), t.entries), pa})
	return int32(len(t.all) - 1)
}

func (t *tables) put(i int32) { t.free = append(t.free, i) }

func (t *tables) at(i int32) ([]desc, uint64) { return t.all[i].list, t.all[i].pa }
