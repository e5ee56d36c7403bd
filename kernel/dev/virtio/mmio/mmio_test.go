package mmio

import (
	"reflect"
	"testing"

	"gosv/kernel/dev/virtio"
	"gosv/kernel/dev/virtio/virtiotest"
	"gosv/kernel/frame"
)

// registers is the register block of a device, as section 4.2.2 has it.
type registers struct {
	t       *testing.T
	fake    *virtiotest.Device
	regs    map[uint32]uint32
	ready   map[uint32]bool
	isr     chan uint32
	pending uint32
	acked   chan uint32
}

func newRegisters(t *testing.T, fake *virtiotest.Device) *registers {
	return &registers{t: t, fake: fake, regs: map[uint32]uint32{}, ready: map[uint32]bool{},
		isr: make(chan uint32, 10), acked: make(chan uint32, 10)}
}

func (r *registers) Load32(off uint32) uint32 {
	switch off {
	case MagicValue:
		return 0x74726976
	case Version:
		return 2
	case DeviceID:
		return r.fake.ID
	case DeviceFeatures:
		return uint32(r.fake.Features() >> (32 * r.regs[DeviceFeaturesSel]))
	case QueueNumMax:
		return uint32(r.fake.QueueSize(int(r.regs[QueueSel])))
	case QueueReady:
		if r.ready[r.regs[QueueSel]] {
			return 1
		}
		return 0
	case InterruptStatus:
		return r.pending
	case Status:
		return uint32(r.fake.Status())
	case ConfigGeneration:
		return 0
	}
	if off >= Config {
		var b [4]byte
		r.fake.ReadConfig(off-Config, b[:])
		return uint32(b[0]) | uint32(b[1])<<8 | uint32(b[2])<<16 | uint32(b[3])<<24
	}
	r.t.Errorf("read of register %#x", off)
	return 0
}

func (r *registers) Store32(off uint32, v uint32) {
	switch off {
	case DeviceFeaturesSel, DriverFeaturesSel, QueueSel, QueueNum, QueueDescLow, QueueDescHigh,
		QueueDriverLow, QueueDriverHigh, QueueDeviceLow, QueueDeviceHigh:
		r.regs[off] = v
	case DriverFeatures:
		shift := 32 * r.regs[DriverFeaturesSel]
		r.fake.SetFeatures(r.fake.Accepted&^(0xffffffff<<shift) | uint64(v)<<shift)
	case QueueReady:
		r.ready[r.regs[QueueSel]] = true
		wide := func(low uint32) uint64 { return uint64(r.regs[low]) | uint64(r.regs[low+4])<<32 }
		r.fake.SetQueue(int(r.regs[QueueSel]), virtio.Rings{Size: uint16(r.regs[QueueNum]),
			Desc: wide(QueueDescLow), Driver: wide(QueueDriverLow), Device: wide(QueueDeviceLow)}, 0)
	case QueueNotify:
		r.fake.Notify(int(v))
	case InterruptACK:
		r.acked <- v
	case Status:
		r.fake.SetStatus(uint8(v))
	default:
		r.t.Errorf("write of register %#x", off)
	}
}

func (r *registers) Load8(off uint32) uint8 {
	var b [1]byte
	r.fake.ReadConfig(off-Config, b[:])
	return b[0]
}

func (r *registers) Load16(off uint32) uint16 {
	return uint16(r.Load8(off)) | uint16(r.Load8(off+1))<<8
}
func (r *registers) Store8(off uint32, v uint8) {
	if off < Config {
		r.t.Errorf("8-bit write of register %#x", off)
	}
	r.fake.WriteConfig(off-Config, []byte{v})
}
func (r *registers) Store16(off uint32, v uint16) {
	r.Store8(off, uint8(v))
	r.Store8(off+1, uint8(v>>8))
}

func TestTransport(t *testing.T) {
	const feature = 1<<3 | 1<<35
	fake := &virtiotest.Device{ID: virtio.IDBlock, Offer: feature | 1<<4, QueueMax: []uint16{0, 64}, Config: []byte{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}}
	regs := newRegisters(t, fake)
	m := New(regs, Config+10)
	if m == nil || m.DeviceID() != virtio.IDBlock {
		t.Fatal("not found")
	}
	m.wait = func() { regs.pending = <-regs.isr }
	d, err := virtio.Open(m, feature)
	if err != nil || fake.Accepted != feature|virtio.FeatureVersion1 {
		t.Fatalf("%v: accepted %#x", err, fake.Accepted)
	}
	if _, err := d.NewQueue(0, virtio.QueueConfig{Size: 8}); err == nil {
		t.Error("queue 0 does not exist")
	}
	used := make(chan uint32)
	var q *virtio.Queue
	q, err = d.NewQueue(1, virtio.QueueConfig{Size: 8, Handler: func() {
		if tok, _, ok := q.Next(); ok {
			used <- tok
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	changed := make(chan bool)
	if err := d.Start(func() { changed <- true }); err != nil || fake.Status() != 15 {
		t.Fatalf("%v, status %d", err, fake.Status())
	}
	f := frame.Alloc()
	q.Add(7, []virtio.Segment{{Addr: uint64(f), Len: 5}}, nil)
	if !q.Kick() {
		t.Error("no notification")
	}
	r := fake.Ring(1)
	c, ok := r.Pop()
	if !ok || len(c.Bytes()) != 5 || r.Notified.Load() != 1 || r.Size != 8 {
		t.Fatal("the device does not see it")
	}
	r.Push(c.Head, 0)
	regs.isr <- 1
	if tok := <-used; tok != 7 || <-regs.acked != 1 {
		t.Errorf("token %d", tok)
	}
	regs.isr <- 2
	<-changed
	if d.Config8(9) != 10 || d.Config16(2) != 0x0403 || d.Config32(4) != 0x08070605 || d.Config64(0) != 0x0807060504030201 {
		t.Error("configuration")
	}
	if d.Config32(8) != 0 || d.Config8(1<<31) != 0 || d.Config8(0xfffffff0) != 0 {
		t.Error("configuration behind its end")
	}
	d.WriteConfig(1, []byte{0xaa})
	if fake.Config[1] != 0xaa {
		t.Error("configuration was not written")
	}
}

func TestParse(t *testing.T) {
	got := Parse([]string{"virtio_mmio.device=512@0xfeb00e00:12", "root=x", "virtio_mmio.device=4K@0xd0000000:5:0",
		"virtio_mmio.device=", "virtio_mmio.device=@:", "virtio_mmio.device=4K@0xd0000000", "virtio_mmio.device=4K@x:1",
		"virtio_mmio.device=9999999G@0:1", "virtio_mmio.device=K@0x1000:1", "virtio_mmio.device=4K@0x1001:1", "virtio_mmio.device=4K@0x1000:-1"})
	want := []Slot{{0xfeb00e00, 512, 12}, {0xd0000000, 4096, 5}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func FuzzParse(f *testing.F) {
	f.Add("virtio_mmio.device=512@0xfeb00e00:12")
	f.Fuzz(func(t *testing.T, w string) {
		for _, s := range Parse([]string{w}) {
			if s.Size <= Config || s.GSI < 0 || s.Base+s.Size < s.Base {
				t.Errorf("%q: %+v", w, s)
			}
		}
	})
}
