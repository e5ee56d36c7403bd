// Package acpi reads what the kernel needs of the firmware's tables: processors, I/O APICs, interrupt overrides, and how
// to switch the machine off (ACPI 6.5; the MP table of MultiProcessor Specification 1.4 where there is no ACPI).
//
// Parse runs before the Go runtime: nosplit, no allocation. The tables are the hypervisor's and are not trusted: lengths
// are checked, and whatever does not fit is left out.
package acpi

import "gosv/kernel/cpu"

// An IOAPIC is one I/O interrupt controller: its pins are GSI, GSI+1...
type IOAPIC struct {
	Phys uint64
	GSI  uint32
}

// An Override says that the ISA interrupt IRQ is wired to GSI, with the MPS INTI flags of the MADT.
type Override struct {
	IRQ   uint8
	GSI   uint32
	Flags uint16
}

// Tables is what Parse found.
type Tables struct {
	CPUs      [cpu.MaxCPUs]uint32 // APIC IDs
	NCPU      int
	IOAPICs   [4]IOAPIC
	NIOAPIC   int
	Overrides [16]Override
	NOverride int

	ECAM uint64 // PCI Express configuration space (MCFG), 0: none

	PM1a     uint16 // port of the PM1a control register, 0: none
	SleepReg uint64 // sleep control register of hardware-reduced ACPI, 0: none
	S5       uint8  // SLP_TYP of soft off
}

const (
	sigRSDP = 0x2052545020445352 // "RSD PTR "
	sigAPIC = 0x43495041
	sigFACP = 0x50434146
	sigMCFG = 0x4746434d
	sigMP   = 0x5f504d5f // "_MP_"

	maxTable  = 1 << 20
	maxTables = 256 // that the root names
)

// A Memory reads n bytes of physical memory at pa, 1, 2, 4 or 8, as a little-endian number; 0 where there is nothing. It is
// called before the Go runtime is up.
type Memory func(pa uint64, n int) uint64

// maxPhys bounds the addresses of registers that tables may name: a page table has no room for more.
const maxPhys = 1 << 46

// Parse fills t. rsdp is the root pointer if the boot loader gave one; else the firmware's area is searched. It has a bound
// whatever the tables say: each is looked at once, and its length is at most maxTable.
//
//go:nosplit
func Parse(t *Tables, phys Memory, rsdp uint64) {
	if rsdp == 0 {
		rsdp = findRSDP(phys)
	}
	if rsdp != 0 && rsdp < 4<<30 {
		parseRoot(t, phys, rsdp)
	}
	if t.NCPU == 0 {
		parseMP(t, phys)
	}
	if t.NCPU == 0 {
		t.NCPU = 1 // the one that asks
	}
	if t.NIOAPIC == 0 {
		t.IOAPICs[0], t.NIOAPIC = IOAPIC{0xfec00000, 0}, 1
	}
}

//go:nosplit
func findRSDP(phys Memory) uint64 {
	for pa := uint64(0xe0000); pa < 0x100000; pa += 16 {
		if phys(pa, 8) == sigRSDP {
			return pa
		}
	}
	return 0
}

//go:nosplit
func parseRoot(t *Tables, phys Memory, rsdp uint64) {
	if phys(rsdp, 8) != sigRSDP {
		return
	}
	root, width := phys(rsdp+16, 4), 4
	if phys(rsdp+15, 1) >= 2 && phys(rsdp+24, 8) != 0 {
		root, width = phys(rsdp+24, 8), 8
	}
	n := min(length(phys, root), 36+maxTables*uint64(width))
	madt, fadt := false, false
	for o := uint64(36); o+uint64(width) <= n; o += uint64(width) {
		pa := phys(root+o, width)
		switch size := length(phys, pa); {
		case size == 0:
		case phys(pa, 4) == sigAPIC && !madt:
			madt = true
			parseMADT(t, phys, pa, size)
		case phys(pa, 4) == sigFACP && !fadt:
			fadt = true
			parseFADT(t, phys, pa, size)
		case phys(pa, 4) == sigMCFG && size >= 60:
			if ecam := phys(pa+44, 8); ecam < maxPhys && ecam&(1<<20-1) == 0 {
				t.ECAM = ecam
			}
		}
	}
}

// length is the checked length of the table at pa.
//
//go:nosplit
func length(phys Memory, pa uint64) uint64 {
	if pa == 0 || pa >= 4<<30 {
		return 0
	}
	n := phys(pa+4, 4)
	if n < 36 || n > maxTable {
		return 0
	}
	return n
}

//go:nosplit
func (t *Tables) addCPU(id uint32) {
	if t.NCPU < len(t.CPUs) {
		t.CPUs[t.NCPU] = id
		t.NCPU++
	}
}

//go:nosplit
func (t *Tables) addIOAPIC(pa uint64, gsi uint32) {
	if t.NIOAPIC < len(t.IOAPICs) {
		t.IOAPICs[t.NIOAPIC] = IOAPIC{pa, gsi}
		t.NIOAPIC++
	}
}

//go:nosplit
func (t *Tables) addOverride(irq uint8, gsi uint32, flags uint16) {
	if t.NOverride < len(t.Overrides) {
		t.Overrides[t.NOverride] = Override{irq, gsi, flags}
		t.NOverride++
	}
}

// parseMADT reads the Multiple APIC Description Table (ACPI 6.5, section 5.2.12).
//
//go:nosplit
func parseMADT(t *Tables, phys Memory, pa, size uint64) {
	for o := uint64(44); o+2 <= size; {
		e, n := pa+o, phys(pa+o+1, 1)
		if n < 2 || o+n > size {
			return
		}
		switch typ := phys(e, 1); {
		case typ == 0 && n >= 8: // local APIC
			if phys(e+4, 4)&1 != 0 {
				t.addCPU(uint32(phys(e+3, 1)))
			}
		case typ == 1 && n >= 12: // I/O APIC
			t.addIOAPIC(phys(e+4, 4), uint32(phys(e+8, 4)))
		case typ == 2 && n >= 10: // interrupt source override
			t.addOverride(uint8(phys(e+3, 1)), uint32(phys(e+4, 4)), uint16(phys(e+8, 2)))
		case typ == 9 && n >= 16: // local x2APIC
			if id := uint32(phys(e+4, 4)); phys(e+8, 4)&1 != 0 && id >= 255 {
				t.addCPU(id)
			}
		}
		o += n
	}
}

// parseFADT reads how to switch off (ACPI 6.5, section 5.2.9), and the type for it from the DSDT.
//
//go:nosplit
func parseFADT(t *Tables, phys Memory, pa, size uint64) {
	if size < 116 {
		return
	}
	const hwReduced = 1 << 20
	if phys(pa+112, 4)&hwReduced != 0 {
		if size >= 256 && phys(pa+244, 1) == 0 { // SLEEP_CONTROL_REG in memory
			if reg := phys(pa+248, 8); reg < maxPhys {
				t.SleepReg = reg
			}
		}
	} else {
		t.PM1a = uint16(phys(pa+64, 4))
	}
	dsdt := phys(pa+40, 4)
	if dsdt == 0 && size >= 148 {
		dsdt = phys(pa+140, 8)
	}
	n := length(phys, dsdt)
	for o := uint64(36); o+10 <= n; o++ {
		if phys(dsdt+o, 4) != 0x5f35535f { // "_S5_"
			continue
		}
		// NameOp precedes; then PackageOp, its length, the number of elements, the first element.
		p := dsdt + o + 4
		if phys(p, 1) != 0x12 {
			continue
		}
		p += 2 + phys(p+1, 1)>>6 + 1
		switch v := phys(p, 1); v {
		case 0x0a:
			t.S5 = uint8(phys(p+1, 1)) & 7
		case 0, 1:
			t.S5 = uint8(v)
		}
		return
	}
}
