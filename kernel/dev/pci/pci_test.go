package pci

import (
	"fmt"
	"testing"
	"time"
	"unsafe"

	"gosv/kernel/dev/iomem"
)

// space is a fake of configuration spaces: words by address and offset.
type space struct {
	words map[Address]*[64]uint32
	masks map[Address][6]uint32 // writable bits of the BARs
	reads int
}

func (s *space) Read(a Address, off uint32) uint32 {
	s.reads++
	if w := s.words[a]; w != nil && off < 256 {
		return w[off/4]
	}
	return 0xffffffff
}

func (s *space) Write(a Address, off uint32, v uint32) {
	w := s.words[a]
	if w == nil {
		return
	}
	if i := int(off-regBAR) / 4; off >= regBAR && i < 6 {
		m := s.masks[a][i]
		v = v&m | w[off/4]&^m
	}
	if off == regCommand {
		v = v&0xffff | w[1]&0xffff0000 // status bits are cleared by ones
	}
	w[off/4] = v
}

func (s *space) add(a Address, id, class, header uint32) *[64]uint32 {
	if s.words == nil {
		s.words, s.masks = map[Address]*[64]uint32{}, map[Address][6]uint32{}
	}
	w := &[64]uint32{}
	w[0], w[2], w[3] = id, class<<8, header<<16
	s.words[a] = w
	return w
}

func TestScan(t *testing.T) {
	s := new(space)
	s.add(0, 0x29c08086, 0x060000, 0)
	s.add(1<<3, 0x10411af4, 0x020000, 0)
	s.add(1<<3|3, 0x10431af4, 0x020000, 0) // not multi-function: not seen
	bridge := s.add(2<<3, 0x00011b36, 0x060400, headerBridge|headerMulti)
	bridge[regBus/4] = 0x00050500
	s.add(2<<3|1, 0x00021b36, 0, headerBridge) // to bus 0 again
	s.add(5<<8, 0x10421af4, 0x010000, 0)
	s.add(6<<8, 0x10421af4, 0x010000, 0) // cannot be reached
	s.add(31<<3, 0x29188086, 0x060100, headerMulti)
	s.add(31<<3|7, 0x29308086, 0x0c0500, 0)
	var got []string
	for _, d := range Scan(s) {
		got = append(got, fmt.Sprintf("%x=%04x:%04x/%06x", uint16(d.Address), d.Vendor, d.ID, d.Class))
	}
	want := "[0=8086:29c0/060000 8=1af4:1041/020000 f8=8086:2918/060100 ff=8086:2930/0c0500 500=1af4:1042/010000]"
	if fmt.Sprint(got) != want {
		t.Errorf("got  %v\nwant %v", got, want)
	}
}

func TestBAR(t *testing.T) {
	s := new(space)
	w := s.add(8, 0x10411af4, 0, 0)
	w[regCommand/4] = commandIO | commandMemory
	w[4], w[5], w[6], w[7], w[8] = 0xfebc1000, 0xc001, 0, 0x8000000c, 0x12
	s.masks[8] = [6]uint32{0xfffff000, 0xffffffe0, 0, 0xffffc000, 0xffffffff, 0}
	d := Scan(s)[:1]
	for i, want := range []uint64{0xfebc1000, 0, 0, 0x12_80000000, 0, 0} {
		if pa := d[0].BAR(i); pa != want {
			t.Errorf("BAR %d: %#x, want %#x", i, pa, want)
		}
	}
	d[0].MapMemory = func(pa, n uint64) iomem.Window { return make(memory, n) }
	if d[0].Map(0, 0x800, 0x800) == nil || d[0].Map(0, 0, 0) != nil || d[0].Map(0, 0, maxMap+1) != nil || d[0].Map(1, 0, 4) != nil ||
		d[0].Map(6, 0, 4) != nil || d[0].Map(-1, 0, 4) != nil || d[0].Map(0, 0xffffffff, 0xffffffff) != nil {
		t.Error("bounds of Map")
	}
}

// memory is a Window over plain bytes.
type memory []byte

func (m memory) Load8(off uint32) uint8       { return m[off] }
func (m memory) Load16(off uint32) uint16     { return uint16(m[off]) | uint16(m[off+1])<<8 }
func (m memory) Load32(off uint32) uint32     { return uint32(m.Load16(off)) | uint32(m.Load16(off+2))<<16 }
func (m memory) Store8(off uint32, v uint8)   { m[off] = v }
func (m memory) Store16(off uint32, v uint16) { m[off], m[off+1] = byte(v), byte(v>>8) }
func (m memory) Store32(off uint32, v uint32) {
	m.Store16(off, uint16(v))
	m.Store16(off+2, uint16(v>>16))
}

type signal chan struct{}

func (s signal) Wait() { <-s }

func TestMSIX(t *testing.T) {
	s := new(space)
	w := s.add(8, 0x10411af4, 0, 0)
	w[regCommand/4] = statusCapabilities
	w[regCapability/4] = 0x40
	w[0x40/4] = 2<<16 | CapMSIX // three vectors, last capability
	w[0x44/4] = 0x100           // table at 0x100 of BAR 0
	w[4] = 0xfeb00000
	s.masks[8] = [6]uint32{0xfffff000}
	regs := make(memory, 4096)
	for i := range uint32(3) {
		regs.Store32(0x100+i*entrySize+entryControl, entryMasked)
	}
	d := Scan(s)[0]
	d.MapMemory = func(pa, n uint64) iomem.Window { return regs[pa-0xfeb00000:][:n] }
	d.LoadCapabilities()
	defer func(f func() (waiter, uint64, uint32, error)) { newMSI = f }(newMSI)
	var irqs []signal
	newMSI = func() (waiter, uint64, uint32, error) {
		irqs = append(irqs, make(signal))
		return irqs[len(irqs)-1], 0x1_fee00000, uint32(0x30 + len(irqs)), nil
	}
	if n := d.EnableMSIX(5); n != 3 {
		t.Fatalf("%d vectors", n)
	}
	if regs.Load32(0x110) != 0xfee00000 || regs.Load32(0x114) != 1 || regs.Load32(0x118) != 0x32 || regs.Load32(0x11c) != 0 {
		t.Error("table")
	}
	if w[0x40/4]>>16 != 1<<15|2 || w[1]&commandINTxDisable == 0 {
		t.Errorf("control %#x, command %#x", w[0x40/4]>>16, w[1])
	}
	c := make(chan int)
	for i := range 3 {
		d.ServeMSIX(i, func() { c <- i })
	}
	for _, i := range []int{2, 0, 0, 1} {
		irqs[i] <- struct{}{}
		if got := <-c; got != i {
			t.Errorf("vector %d came as %d", i, got)
		}
	}
}

// TestSharedLine: two devices on one line are both asked.
func TestSharedLine(t *testing.T) {
	defer func(f func(int) (waiter, error)) { newLine = f }(newLine)
	irq, opened := make(signal), 0
	newLine = func(gsi int) (waiter, error) {
		if gsi != 11 {
			t.Errorf("GSI %d", gsi)
		}
		opened++
		return irq, nil
	}
	s := new(space)
	for i := range Address(3) {
		s.add(i<<3, 0x10411af4, 0, 0)[regInterrupt/4] = 0x010b
	}
	s.words[2<<3][regInterrupt/4] = 0x00ff
	c := make(chan int)
	d := Scan(s)
	for i := range 2 {
		if err := d[i].ServeLine(func() { c <- i }); err != nil {
			t.Error(err)
		}
	}
	if d[2].HasLine() || d[2].ServeLine(nil) == nil {
		t.Error("a device without line")
	}
	irq <- struct{}{}
	select {
	case a := <-c:
		if a+<-c != 1 || opened != 1 {
			t.Error("not both handlers, or the line twice")
		}
	case <-time.After(5 * time.Second):
		t.Fatal("no interrupt")
	}
}

// FuzzScan gives the parser arbitrary configuration spaces, bridges and lists.
func FuzzScan(f *testing.F) {
	f.Add([]byte{0xf4, 0x1a, 0x41, 0x10, 0, 0, 0x10, 0, 0, 0, 0, 0, 0, 0, 0x81, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1}, uint64(0xffffffff00ff))
	f.Fuzz(func(t *testing.T, b []byte, masks uint64) {
		s := new(space)
		for n := 0; len(b) > 0 && n < 64; n++ {
			a := Address(b[0]) | Address(n)<<8&0x300
			if w := s.words[a]; w == nil {
				s.add(a, 0, 0, 0)
				s.masks[a] = [6]uint32{uint32(masks), uint32(masks >> 8), uint32(masks >> 16), uint32(masks >> 24), uint32(masks >> 32), 0xffffffff}
			}
			k := copy(bytesOf(s.words[a]), b)
			b = b[min(k, 32):]
		}
		for _, d := range Scan(s) {
			d.MapMemory = func(pa, n uint64) iomem.Window {
				if n > 1<<40 {
					t.Fatalf("maps %#x bytes", n)
				}
				return make(memory, min(n, 1<<16))
			}
			d.LoadCapabilities()
			if len(d.Capabilities) > 48 {
				t.Fatal("a list longer than the space")
			}
			for i := range 6 {
				if pa := d.BAR(i); pa&0xf != 0 || pa >= 1<<52 {
					t.Fatalf("BAR %#x", pa)
				}
			}
			d.EnableMSIX(2)
		}
		if s.reads > 1<<20 {
			t.Fatalf("%d reads", s.reads)
		}
	})
}

func bytesOf(w *[64]uint32) []byte {
	return (*[256]byte)(unsafe.Pointer(w))[:]
}
