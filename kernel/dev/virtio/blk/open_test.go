package blk

import (
	"testing"

	"gosv/kernel/dev/virtio"
	"gosv/kernel/dev/virtio/virtiotest"
	"gosv/kernel/frame"
)

// FuzzOpen is a device with any configuration: Open refuses it, or the requests that are made for it fit what it said.
func FuzzOpen(f *testing.F) {
	cfg := make([]byte, 60)
	put32(cfg, 8000)
	put32(cfg[configSizeMax:], 4096)
	put32(cfg[configSegMax:], 2)
	put32(cfg[configBlockSize:], 512)
	f.Add(cfg, uint64(all|virtio.FeatureIndirectDesc), uint16(16))
	f.Add([]byte{}, uint64(0), uint16(2))
	f.Fuzz(func(t *testing.T, config []byte, features uint64, size uint16) {
		fake := &virtiotest.Device{ID: virtio.IDBlock, Offer: features, QueueMax: []uint16{size}, Config: config}
		d, err := Open(fake)
		if err != nil {
			return
		}
		if d.Size() < 0 || d.LogicalBlockSize() <= 0 || d.LogicalBlockSize() > BlockSize {
			t.Fatalf("size %d, blocks of %d", d.Size(), d.LogicalBlockSize())
		}
		m := []frame.Frame{frame.Alloc(), frame.Alloc(), frame.Alloc()}
		last := uint64(max(d.Size()/BlockSize-2, 0))
		for _, block := range []uint64{0, last, last + 1, 1 << 60} {
			d.ReadAsync(block, append([]frame.Frame(nil), m...), func(error) {})
		}
		for ring := fake.Ring(0); ; {
			c, ok := ring.Pop() // panics when a chain makes no sense
			if !ok {
				break
			}
			if n := len(c.In) + len(c.Out); n > d.segMax+2 {
				t.Fatalf("a chain of %d, seg_max is %d", n, d.segMax)
			}
		}
		d.failed(true)
		d.dev.Close()
		for _, x := range append(m, d.mem) {
			x.Unref()
		}
	})
}
