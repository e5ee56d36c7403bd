package board

import (
	"encoding/binary"
	"slices"
	"testing"
	"time"
)

// machine is physical memory from base on.
type machine struct {
	b     []byte
	reads int
}

const base = 2 << 20

func (m *machine) read(pa uint64, n int) (v uint64) {
	m.reads++
	for i := range uint64(n) {
		if at := pa - base + i; at < uint64(len(m.b)) {
			v |= uint64(m.b[at]) << (8 * i)
		}
	}
	return v
}

func (m *machine) put(pa, v uint64) { binary.LittleEndian.PutUint64(m.b[pa-base:], v) }

// start makes the start info of a loader.
func start(line string, modules []Module, memory [][3]uint64) *machine {
	m := &machine{b: make([]byte, 64<<10)}
	m.put(base, pvhMagic|1<<32)
	m.put(base+8, uint64(len(modules))<<32)
	m.put(base+pvhModlist, base+0x40)
	m.put(base+pvhCmdline, base+0x300)
	m.put(base+pvhRSDP, 0xe1230)
	m.put(base+pvhMemmap, base+0x400)
	m.put(base+pvhEntries, uint64(len(memory)))
	copy(m.b[0x300:], line)
	for i, x := range modules {
		m.put(base+0x40+uint64(i)*moduleSize, x.Phys)
		m.put(base+0x40+uint64(i)*moduleSize+8, x.Size)
	}
	for i, x := range memory {
		for k := range x {
			m.put(base+0x400+uint64(i)*entrySize+uint64(k)*8, x[k])
		}
	}
	return m
}

var image = [2]Range{{0x111000, 0x300000}, {0x500000, 0x123456}}

func parse(t *testing.T, m *machine) *Information {
	t.Helper()
	i := new(Information)
	if !parsePVH(i, new(storage), m.read, base, image) {
		t.Fatal("not a start info")
	}
	return i
}

func TestParsePVH(t *testing.T) {
	m := start("a=1 b", []Module{{0x1000000, 0x5001}}, [][3]uint64{
		{0, 0x9fc00, 1}, {0x9fc00, 0x400, 2}, {0x100000, 0x7f00000, 1}, {0xfeffc000, 0x4000, 2}, {1 << 32, 1 << 30, 1}})
	i := parse(t, m)
	if i.line != (Range{base + 0x300, 5}) || i.RSDP != 0xe1230 || !slices.Equal(i.Modules, []Module{{0x1000000, 0x5001}}) {
		t.Errorf("%+v", i)
	}
	if i.Total != 0x9fc00+0x7f00000+1<<30 || i.Top != 1<<32+1<<30 {
		t.Errorf("total %#x, top %#x", i.Total, i.Top)
	}
	want := []Range{{0x10000, 0x8f000}, {0x108000, 0x9000}, {0x411000, 0x500000 - 0x411000}, {0x624000, 0x1000000 - 0x624000}, {0x1006000, 0x8000000 - 0x1006000},
		{1 << 32, 1 << 30}}
	// The start info and the command line lie in the kernel's image here.
	if !slices.Equal(i.Memory, want) {
		t.Errorf("memory %#x\nwant   %#x", i.Memory, want)
	}
}

// Memory maps that contradict themselves: no page is given out twice, nor one that another entry calls reserved.
func TestOverlap(t *testing.T) {
	i := parse(t, start("", nil, [][3]uint64{
		{1 << 32, 1 << 24, 1}, {1<<32 + 1<<23, 1 << 24, 1}, {1<<32 + 1<<20 + 5, 10, 2}, {1 << 33, ^uint64(0), 1}, {1 << 60, 1 << 30, 1}}))
	want := []Range{{1 << 32, 1 << 20}, {1<<32 + 1<<20 + 0x1000, 1<<24 - 1<<20 - 0x1000}, {1<<32 + 1<<24, 1 << 23}, {1 << 33, 1<<46 - 1<<33}}
	if !slices.Equal(i.Memory, want) {
		t.Errorf("memory %#x\nwant   %#x", i.Memory, want)
	}
	if i.Top > maxPhys || i.Total > i.Top {
		t.Errorf("total %#x, top %#x", i.Total, i.Top)
	}
}

func TestManyModules(t *testing.T) {
	var list []Module
	for k := range uint64(20) {
		list = append(list, Module{1<<32 + k<<20, 1 << 16})
	}
	list[3] = Module{1 << 50, 1}
	list[4] = Module{1 << 32, ^uint64(0)}
	i := parse(t, start("", list, [][3]uint64{{1 << 32, 1 << 30, 1}}))
	if len(i.Modules) != maxModules-2 {
		t.Errorf("%d modules", len(i.Modules))
	}
	check(t, i)
}

// check says what holds whatever a loader says.
func check(t *testing.T, i *Information) {
	t.Helper()
	taken := []Range{{0, lowTop}, {stubStart, stubSize}, image[0], image[1], {base, pvhSize}}
	if i.line.Size != 0 {
		taken = append(taken, i.line)
	}
	for _, m := range i.Modules {
		if m.Phys+m.Size < m.Phys {
			t.Fatalf("module %#x", m)
		}
		taken = append(taken, Range{m.Phys, m.Size})
	}
	for k, r := range i.Memory {
		if r.Size == 0 || (r.Base|r.Size)%pageSize != 0 || r.Base+r.Size > i.Top {
			t.Fatalf("range %#x, top %#x", r, i.Top)
		}
		for _, o := range append(taken, i.Memory[:k]...) {
			if o.Size != 0 && o.Base < r.Base+r.Size && r.Base < o.Base+o.Size {
				t.Fatalf("%#x is free, and %#x is not", r, o)
			}
		}
	}
}

func FuzzParsePVH(f *testing.F) {
	f.Add(start("quiet", []Module{{0x1000000, 0x5001}}, [][3]uint64{{0, 0x9fc00, 1}, {0x100000, 0x7f00000, 1}}).b[:0x480])
	f.Add(start("", nil, [][3]uint64{{1 << 32, 1 << 24, 1}, {1<<32 + 1<<23, 1 << 24, 1}, {1<<32 + 1<<20 + 5, 10, 2}}).b[:0x480])
	f.Fuzz(func(t *testing.T, b []byte) {
		m := &machine{b: b}
		i := new(Information)
		began := time.Now()
		if parsePVH(i, new(storage), m.read, base, image) {
			check(t, i)
		}
		if d := time.Since(began); d > 5*time.Second {
			t.Fatalf("%d reads, %v", m.reads, d)
		}
	})
}
