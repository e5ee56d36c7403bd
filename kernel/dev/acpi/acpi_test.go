package acpi

import (
	"encoding/binary"
	"testing"
	"unsafe"

	"gosv/kernel/cpu"
)

// memory puts bytes into the host's arena, at physical address pa.
func memory(pa uint64, b []byte) {
	copy(unsafe.Slice((*byte)(ptr(cpu.PhysToVirt(pa))), len(b)), b)
}

// Inlined, this is more than the compiler can take.
//
//go:noinline
func ptr(p uintptr) unsafe.Pointer { return *(*unsafe.Pointer)(unsafe.Pointer(&p)) }

const base = 2 << 20 // in the arena

func table(sig string, body ...byte) []byte {
	b := make([]byte, 36, 36+len(body))
	copy(b, sig)
	b = append(b, body...)
	binary.LittleEndian.PutUint32(b[4:], uint32(len(b)))
	return b
}

// tables writes RSDP, XSDT and the given tables and returns the RSDP's address.
func tables(ts ...[]byte) uint64 {
	rsdp := make([]byte, 36)
	copy(rsdp, "RSD PTR ")
	rsdp[15] = 2
	binary.LittleEndian.PutUint64(rsdp[24:], base+0x100)
	memory(base, rsdp)
	var list []byte
	at := uint64(base + 0x1000)
	for _, t := range ts {
		memory(at, t)
		list = binary.LittleEndian.AppendUint64(list, at)
		at += 0x1000
	}
	memory(base+0x100, table("XSDT", list...))
	return base
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
	Parse(&got, tables(table("APIC", body...)))
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
	memory(base+0x8000, table("DSDT", 0x08, '_', 'S', '5', '_', 0x12, 0x07, 0x04, 0x0a, 0x05, 0, 0, 0))
	var got Tables
	Parse(&got, tables(table("FACP", fadt...)))
	if got.SleepReg != 0xfea00200 || got.S5 != 5 || got.PM1a != 0 || got.NCPU != 1 {
		t.Errorf("got %+v", got)
	}
}

// FuzzParse: whatever the tables contain, Parse ends.
func FuzzParse(f *testing.F) {
	f.Add(table("APIC", 0, 0, 0xe0, 0xfe, 1, 0, 0, 0, 1, 12, 0, 0, 0, 0, 0xc0, 0xfe, 0, 0, 0, 0))
	f.Add(table("FACP", make([]byte, 232)...))
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > 4096 {
			return
		}
		if len(b) >= 8 { // tables in the arena, not beside it
			binary.LittleEndian.PutUint32(b[4:], uint32(len(b)))
		}
		if len(b) >= 44 {
			binary.LittleEndian.PutUint32(b[40:], base+0x8000)
		}
		var got Tables
		Parse(&got, tables(b))
		if got.NCPU < 1 || got.NCPU > cpu.MaxCPUs || got.NIOAPIC < 1 {
			t.Fatalf("%+v", got)
		}
	})
}
