package pci

import (
	"testing"

	"gosv/kernel/dev/iomem"
	"gosv/kernel/dev/pci"
	"gosv/kernel/dev/virtio"
	"gosv/kernel/dev/virtio/virtiotest"
	"gosv/kernel/frame"
)

// function plays a PCI function with a virtio device behind it. Its registers
// are in BAR 4: common configuration at 0, ISR at 0x1000, device configuration at
// 0x2000, notifications at 0x3000, four bytes per queue.
type function struct {
	t     *testing.T
	fake  *virtiotest.Device
	space [64]uint32
	regs  map[uint32]uint32
	queue map[uint16]map[uint32]uint32
	isr   uint8
}

const address = pci.Address(3 << 3)

func newFunction(t *testing.T, fake *virtiotest.Device, id, subsystem uint32) *function {
	f := &function{t: t, fake: fake, regs: map[uint32]uint32{}, queue: map[uint16]map[uint32]uint32{}}
	f.space[0] = id<<16 | vendor
	f.space[1] = 1 << 20
	f.space[8] = 0xfe000000 | 4
	f.space[9] = 0x80
	f.space[11] = subsystem<<16 | vendor
	f.space[13] = 0x40
	f.space[15] = 0x010b
	at := 0x40
	add := func(typ, off, n, extra uint32) {
		w := f.space[at/4:]
		w[0] = typ<<24 | 20<<16 | uint32(at+20)<<8 | 0x09
		w[1], w[2], w[3], w[4] = 4, off, n, extra
		at += 20
	}
	add(2, 0x3000, 0x1000, 4)
	add(1, 0, 0x38, 0)
	add(3, 0x1000, 1, 0)
	add(1, 0x9000, 0x38, 0) // a second choice
	add(4, 0x2000, uint32(len(fake.Config)), 0)
	f.space[(at-20)/4] &^= 0xff00
	return f
}

func (f *function) Read(a pci.Address, off uint32) uint32 {
	if a != address || off >= 256 {
		return 0xffffffff
	}
	return f.space[off/4]
}

func (f *function) Write(a pci.Address, off uint32, v uint32) {
	switch {
	case off == 0x20:
		v = v&0xffff0000 | 4
	case off >= 0x10 && off < 0x24:
		v = 0
	}
	f.space[off/4] = v
}

func (f *function) Load32(off uint32) uint32 {
	switch {
	case off == deviceFeature:
		return uint32(f.fake.Features() >> (32 * f.regs[deviceFeatureSelect]))
	case off >= 0x2000 && off < 0x3000:
		var b [4]byte
		f.fake.ReadConfig(off-0x2000, b[:])
		return uint32(b[0]) | uint32(b[1])<<8 | uint32(b[2])<<16 | uint32(b[3])<<24
	}
	f.t.Errorf("32-bit read at %#x", off)
	return 0
}

func (f *function) Load16(off uint32) uint16 {
	q := uint16(f.regs[queueSelect])
	switch off {
	case numQueues:
		return uint16(len(f.fake.QueueMax))
	case queueSize:
		return f.fake.QueueSize(int(q))
	case queueNotifyOff:
		return q + 3
	}
	f.t.Errorf("16-bit read at %#x", off)
	return 0
}

func (f *function) Load8(off uint32) uint8 {
	switch off {
	case deviceStatus:
		return f.fake.Status()
	case configGeneration:
		return 0
	case 0x1000:
		v := f.isr
		f.isr = 0
		return v
	}
	f.t.Errorf("8-bit read at %#x", off)
	return 0
}

func (f *function) Store32(off uint32, v uint32) {
	q := uint16(f.regs[queueSelect])
	switch {
	case off == driverFeature:
		shift := 32 * f.regs[driverFeatureSelect]
		f.fake.SetFeatures(f.fake.Accepted&^(0xffffffff<<shift) | uint64(v)<<shift)
	case off == deviceFeatureSelect || off == driverFeatureSelect:
		f.regs[off] = v
	case off >= queueDesc && off < commonSize:
		if f.queue[q] == nil {
			f.queue[q] = map[uint32]uint32{}
		}
		f.queue[q][off] = v
	default:
		f.t.Errorf("32-bit write at %#x", off)
	}
}

func (f *function) Store16(off uint32, v uint16) {
	q := uint16(f.regs[queueSelect])
	switch {
	case off == queueSelect || off == queueSize:
		f.regs[off] = uint32(v)
	case off == queueEnable:
		r := f.queue[q]
		wide := func(low uint32) uint64 { return uint64(r[low]) | uint64(r[low+4])<<32 }
		f.fake.SetQueue(int(q), virtio.Rings{Size: uint16(f.regs[queueSize]),
			Desc: wide(queueDesc), Driver: wide(queueDriver), Device: wide(queueDevice)}, 0)
	case off >= 0x3000:
		if off != 0x3000+4*(uint32(v)+3) {
			f.t.Errorf("queue %d notifies at %#x", v, off)
		}
		f.fake.Notify(int(v))
	default:
		f.t.Errorf("16-bit write at %#x", off)
	}
}

func (f *function) Store8(off uint32, v uint8) {
	if off != deviceStatus {
		f.t.Errorf("8-bit write at %#x", off)
	}
	f.fake.SetStatus(v)
}

func TestTransport(t *testing.T) {
	for name, ids := range map[string][2]uint32{"modern": {0x1042, 0x1100}, "transitional": {0x1001, virtio.IDBlock}} {
		t.Run(name, func(t *testing.T) {
			const feature = 1<<3 | 1<<35
			fake := &virtiotest.Device{Offer: feature, QueueMax: []uint16{16, 64}, Config: []byte{1, 2, 3, 4, 5, 6, 7, 8}}
			f := newFunction(t, fake, ids[0], ids[1])
			functions := pci.Scan(f)
			if len(functions) != 1 {
				t.Fatalf("%d functions", len(functions))
			}
			functions[0].MapMemory = func(pa, n uint64) iomem.Window {
				if pa < 0x80_fe000000 || pa+n > 0x80_fe004000 {
					t.Errorf("maps %#x %#x", pa, n)
				}
				return iomem.Sub(f, uint32(pa-0x80_fe000000))
			}
			p := Probe(functions)
			if len(p) != 1 || p[0].DeviceID() != virtio.IDBlock || f.space[1]&6 != 6 {
				t.Fatal("not found, or not switched on")
			}
			d, err := virtio.Open(p[0], feature)
			if err != nil || fake.Accepted != feature|virtio.FeatureVersion1 {
				t.Fatalf("%v: accepted %#x", err, fake.Accepted)
			}
			q, err := d.NewQueue(1, virtio.QueueConfig{Size: 8})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := d.NewQueue(2, virtio.QueueConfig{Size: 8}); err == nil {
				t.Error("queue 2 does not exist")
			}
			if err := d.Start(nil); err != nil || fake.Status() != 15 {
				t.Fatalf("%v, status %d", err, fake.Status())
			}
			m := frame.Alloc()
			q.Add(7, []virtio.Segment{{Addr: uint64(m), Len: 5}}, nil)
			if !q.Kick() || fake.Ring(1).Notified.Load() != 1 {
				t.Error("no notification")
			}
			if c, ok := fake.Ring(1).Pop(); !ok || len(c.Bytes()) != 5 {
				t.Error("the device does not see it")
			}
			if d.Config32(4) != 0x08070605 || d.Config32(8) != 0 || d.Config32(0xfffffffc) != 0 {
				t.Error("configuration")
			}
		})
	}
}

// TestMalformed: functions that are not what they say are left out.
func TestMalformed(t *testing.T) {
	for name, spoil := range map[string]func(f *function){
		"no address":       func(f *function) { f.space[8], f.space[9] = 4, 0 },
		"I/O region":       func(f *function) { f.space[8] |= 1 },
		"common too short": func(f *function) { f.space[(0x40+20+12)/4], f.space[(0x40+60+12)/4] = 0x30, 0 },
		"huge":             func(f *function) { f.space[(0x40+12)/4] = 0xfffff000 },
		"bad region":       func(f *function) { f.space[(0x40+4)/4] = 7 },
		"no capabilities":  func(f *function) { f.space[1] = 0 },
		"no virtio ID":     func(f *function) { f.space[0] = 0x2000<<16 | vendor },
	} {
		f := newFunction(t, &virtiotest.Device{Config: make([]byte, 8)}, 0x1042, 0)
		spoil(f)
		functions := pci.Scan(f)
		for _, d := range functions {
			d.MapMemory = func(pa, n uint64) iomem.Window { return f }
		}
		if len(Probe(functions)) != 0 {
			t.Errorf("%s: was taken", name)
		}
	}
}
