package pci

import (
	"testing"

	"gosv/kernel/dev/iomem"
	"gosv/kernel/dev/pci"
	"gosv/kernel/dev/virtio"
	"gosv/kernel/dev/virtio/virtiotest"
)

// space is the configuration space of one function, of any content.
type space [256]byte

func (s *space) Read(a pci.Address, off uint32) uint32 {
	if a != address || off > 252 {
		return 0xffffffff
	}
	return uint32(s[off]) | uint32(s[off+1])<<8 | uint32(s[off+2])<<16 | uint32(s[off+3])<<24
}

func (s *space) Write(pci.Address, uint32, uint32) {}

// registers are n bytes of device memory, which read as bytes of a text over and over.
type registers struct {
	t    *testing.T
	n    uint64
	text []byte
}

func (r registers) load(off uint32, n uint64) (v uint32) {
	if uint64(off)+n > r.n {
		r.t.Fatalf("access to %d bytes at %#x of %#x", n, off, r.n)
	}
	for i := range n {
		if len(r.text) > 0 {
			v |= uint32(r.text[(uint64(off)+i)%uint64(len(r.text))]) << (8 * i)
		}
	}
	return v
}

func (r registers) Load8(off uint32) uint8     { return uint8(r.load(off, 1)) }
func (r registers) Load16(off uint32) uint16   { return uint16(r.load(off, 2)) }
func (r registers) Load32(off uint32) uint32   { return r.load(off, 4) }
func (r registers) Store8(off uint32, _ uint8) { r.load(off, 1) }
func (r registers) Store16(off uint32, _ uint16) {
	r.load(off, 2)
}
func (r registers) Store32(off uint32, _ uint32) { r.load(off, 4) }

// FuzzNew: whatever the capabilities and the registers of a function say, the driver stays in the memory that it mapped.
func FuzzNew(f *testing.F) {
	valid := newFunction(nil, &virtiotest.Device{Config: make([]byte, 60)}, 0x1042, 2)
	var seed space
	for i, w := range valid.space {
		seed[4*i], seed[4*i+1], seed[4*i+2], seed[4*i+3] = byte(w), byte(w>>8), byte(w>>16), byte(w>>24)
	}
	f.Add(seed[:], []byte{0, 1, 2, 3})
	f.Add(seed[:], []byte{0})
	f.Fuzz(func(t *testing.T, config, text []byte) {
		s := new(space)
		copy(s[:], config)
		for _, fn := range pci.Scan(s) {
			fn.MapMemory = func(pa, n uint64) iomem.Window { return registers{t, n, text} }
			d := New(fn)
			if d == nil {
				continue
			}
			for off := uint32(0); off < 70; off += 3 {
				d.ReadConfig(off, make([]byte, 1+off%8))
				d.WriteConfig(off, make([]byte, 1+off%8))
			}
			d.ReadConfig(1<<32-2, make([]byte, 4))
			for q := range 3 {
				if n := d.QueueSize(q); n > 1<<15 {
					t.Fatalf("a queue of %d", n)
				}
				_ = d.SetQueue(q, virtio.Rings{Size: 8}, 0)
				d.Notify(q)
			}
			d.ConfigGeneration()
			d.Features()
			d.DisableDMA()
		}
	})
}
