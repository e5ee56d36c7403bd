package acpi

import (
	"encoding/binary"
	"testing"

	"gosv/kernel/cpu"
)

// memory is physical memory from base on, and what the first MiB has.
type memory struct {
	high, low []byte
	reads     int
}

const lowBase = 0x80000

func (m *memory) read(pa uint64, n int) (v uint64) {
	m.reads++
	b, at := m.high, pa-base
	if pa < base {
		b, at = m.low, pa-lowBase
	}
	for i := range uint64(n) {
		if at+i < uint64(len(b)) {
			v |= uint64(b[at+i]) << (8 * i)
		}
	}
	return v
}

func (m *memory) put(pa uint64, b []byte) {
	if m.high == nil {
		m.high = make([]byte, 64<<10)
	}
	copy(m.high[pa-base:], b)
}

const base = 2 << 20

func table(sig string, body ...byte) []byte {
	b := make([]byte, 36, 36+len(body))
	copy(b, sig)
	b = append(b, body...)
	binary.LittleEndian.PutUint32(b[4:], uint32(len(b)))
	return b
}

// tables writes RSDP, XSDT and the given tables; the RSDP is at base.
func tables(ts ...[]byte) *memory {
	m := new(memory)
	rsdp := make([]byte, 36)
	copy(rsdp, "RSD PTR ")
	rsdp[15] = 2
	binary.LittleEndian.PutUint64(rsdp[24:], base+0x100)
	m.put(base, rsdp)
	var list []byte
	at := uint64(base + 0x200)
	for _, t := range ts {
		m.put(at, t)
		list = binary.LittleEndian.AppendUint64(list, at)
		at += 0x200
	}
	m.put(base+0x100, table("XSDT", list...))
	return m
}

func TestMADT(t *testing.T) {
	body := []byte{0, 0, 0xe0, 0xfe, 1, 0, 0, 0,
		0, 8, 0, 3, 1, 0, 0, 0, // local APIC 3
		0, 8, 1, 4, 0, 0, 0, 0, // disabled
		0, 8, 2, 7, 1, 0, 0, 0,
		1, 12, 0, 0, 0, 0, 0xc0, 0xfe, 0, 0, 0, 0,
		1, 12, 0, 0, 0, 0x10, 0xc0, 0xfe, 24, 0, 0, 0,
		2, 10, 0, 0, 2, 0, 0, 0, 0, 0,
		0x55, 1, 1, 1} // malformed: the walk ends
	var got Tables
	Parse(&got, tables(table("APIC", body...)).read, base)
	if got.NCPU != 2 || got.CPUs[0] != 3 || got.CPUs[1] != 7 {
		t.Errorf("CPUs %v of %d", got.CPUs, got.NCPU)
	}
	if got.NIOAPIC != 2 || got.IOAPICs[1] != (IOAPIC{0xfec01000, 24}) {
		t.Errorf("I/O APICs %v of %d", got.IOAPICs, got.NIOAPIC)
	}
	if got.NOverride != 1 || got.Overrides[0] != (Override{0, 2, 0}) {
		t.Errorf("overrides %v", got.Overrides[:got.NOverride])
	}
}

// TestSoftOff has the tables of QEMU's microvm: hardware-reduced, and _S5_ as the last name of the DSDT.
func TestSoftOff(t *testing.T) {
	fadt := make([]byte, 268-36)
	binary.LittleEndian.PutUint32(fadt[112-36:], 1<<20)
	binary.LittleEndian.PutUint64(fadt[140-36:], base+0x8000)
	binary.LittleEndian.PutUint64(fadt[248-36:], 0xfea00200)
	m := tables(table("FACP", fadt...))
	m.put(base+0x8000, table("DSDT", 0x08, '_', 'S', '5', '_', 0x12, 0x07, 0x04, 0x0a, 0x05, 0, 0, 0))
	var got Tables
	Parse(&got, m.read, base)
	if got.SleepReg != 0xfea00200 || got.S5 != 5 || got.PM1a != 0 || got.NCPU != 1 {
		t.Errorf("got %+v", got)
	}
}

// FuzzParse: whatever the memory contains, Parse ends soon, and what it says fits.
func FuzzParse(f *testing.F) {
	f.Add(tables(table("APIC", 0, 0, 0xe0, 0xfe, 1, 0, 0, 0, 1, 12, 0, 0, 0, 0, 0xc0, 0xfe, 0, 0, 0, 0)).high[:0x400], []byte{}, uint64(base))
	f.Add(tables(table("FACP", make([]byte, 232)...)).high[:0x400], []byte("_MP_"), uint64(0))
	f.Add([]byte{}, []byte("RSD PTR \x00\x00\x00\x00\x00\x00\x00\x02"), uint64(0))
	f.Fuzz(func(t *testing.T, high, low []byte, rsdp uint64) {
		m := &memory{high: high, low: append(make([]byte, 0x60000), low...)} // low is at 0xe0000
		var got Tables
		Parse(&got, m.read, rsdp)
		if got.NCPU < 1 || got.NCPU > cpu.MaxCPUs || got.NIOAPIC < 1 || got.NIOAPIC > len(got.IOAPICs) || got.NOverride > len(got.Overrides) ||
			got.ECAM >= maxPhys || got.SleepReg >= maxPhys || got.S5 > 7 {
			t.Fatalf("%+v", got)
		}
		if m.reads > 4*maxTable {
			t.Fatalf("%d reads", m.reads)
		}
	})
}
