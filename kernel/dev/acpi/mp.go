package acpi

// parseMP reads the MP configuration table (MultiProcessor Specification 1.4, chapter 4).
//
//go:nosplit
func parseMP(t *Tables, phys Memory) {
	fp := findMP(phys, 0x9fc00, 0xa0000)
	if fp == 0 {
		fp = findMP(phys, 0xf0000, 0x100000)
	}
	if fp == 0 {
		fp = findMP(phys, 0x80000, 0x9fc00)
	}
	if fp == 0 {
		return
	}
	pa := phys(fp+4, 4)
	if pa == 0 || pa >= 4<<30 || phys(pa, 4) != 0x504d4350 { // "PCMP"
		return
	}
	end := pa + phys(pa+4, 2)
	isaBus := ^uint64(0)
	for e, n := pa+44, phys(pa+34, 2); n > 0 && e+8 <= end; n-- {
		switch phys(e, 1) {
		case 0: // processor, the only entry of 20 bytes
			if phys(e+3, 1)&1 != 0 {
				t.addCPU(uint32(phys(e+1, 1)))
			}
			e += 12
		case 1: // bus
			if phys(e+2, 4)&0xffffff == 0x415349 { // "ISA"
				isaBus = phys(e+1, 1)
			}
		case 2: // I/O APIC
			if phys(e+3, 1)&1 != 0 {
				gsi := uint32(0)
				if t.NIOAPIC > 0 {
					gsi = t.IOAPICs[t.NIOAPIC-1].GSI + 24
				}
				t.addIOAPIC(phys(e+4, 4), gsi)
			}
		case 3: // I/O interrupt
			irq, pin := phys(e+5, 1), phys(e+7, 1)
			if phys(e+1, 1) == 0 && phys(e+4, 1) == isaBus && irq != pin {
				t.addOverride(uint8(irq), uint32(pin), uint16(phys(e+2, 2)))
			}
		}
		e += 8
	}
}

// findMP searches [lo, hi) for the floating pointer structure.
//
//go:nosplit
func findMP(phys Memory, lo, hi uint64) uint64 {
	for pa := lo; pa < hi; pa += 16 {
		if phys(pa, 4) != sigMP {
			continue
		}
		sum := uint64(0)
		for i := uint64(0); i < 16; i++ {
			sum += phys(pa+i, 1)
		}
		if sum&0xff == 0 {
			return pa
		}
	}
	return 0
}
