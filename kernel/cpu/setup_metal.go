//go:build metal

package cpu

import "unsafe"

// Model-specific registers (Intel SDM volume 4).
const (
	msrAPICBase   = 0x1b
	msrEFER       = 0xc0000080
	msrSTAR       = 0xc0000081
	msrLSTAR      = 0xc0000082
	msrSFMASK     = 0xc0000084
	msrGSBase     = 0xc0000101
	msrKernelGS   = 0xc0000102
	msrTSCDead    = 0x6e0
	msrTSCAux     = 0xc0000103
	msrX2APIC     = 0x800
	msrKVMWall    = 0x4b564d00
	msrKVMSystem  = 0x4b564d01
	cr4PGE        = 1 << 7
	cr4UMIP       = 1 << 11
	cr4SMEP       = 1 << 20
	cr4SMAP       = 1 << 21
	featureHyper  = 1 << 31 // CPUID 1 ECX
	feature1GPage = 1 << 26 // CPUID 0x80000001 EDX
)

// Features that the assembly looks at, and what else CPUID said.
var (
	fsgsbase uint8 // RDFSBASE and its siblings
	smap     uint8
	fastRep  uint8 // REP MOVSB and REP STOSQ are fast: not under an emulator
	invTSC   uint8
	hyper    uint8 // hyperNone...
	hyperMax uint32
)

const (
	hyperNone = iota
	hyperOther
	hyperTCG
	hyperKVM
)

// initXSave is where the aligned image of a fresh FPU begins.
//
//go:nosplit
func initXSave() uintptr { return (uintptr(unsafe.Pointer(&initFPU)) + 63) &^ 63 }

// Setup brings the CPU that runs it into the state that the rest of the kernel expects: GS, GDT, TSS, IDT, the system
// call entry, protection bits, FPU. It runs on the boot CPU before the Go runtime, and on each application processor.
//
//go:nosplit
func Setup(i uint32) {
	c := &cpus[i]
	c.self = uintptr(unsafe.Pointer(c))
	c.Index = i
	base := uintptr(unsafe.Pointer(&stack0))
	if i != 0 {
		base = apStacks[(i-1)&(MaxCPUs-1)]
	}
	c.Stack = (base + machStack) &^ 15
	setupTables(c, base)
	if i == 0 {
		maskPIC()
		detect()
		setupIDT()
	}
	loadTables(uintptr(unsafe.Pointer(&c.gdt)), uintptr(unsafe.Pointer(&idt)))
	WriteMSR(msrGSBase, uint64(c.self))
	WriteMSR(msrKernelGS, 0)
	WriteMSR(msrSTAR, selKCode<<32|uint64((UserSS-8)|3)<<48)
	WriteMSR(msrLSTAR, uint64(syscallAddr()))
	WriteMSR(msrSFMASK, 0x257fd5) // all but the fixed bit, RF and VM: IF DF TF AC NT IOPL...
	setupProtection()
	setupFPU(i == 0)
	if hasTSCAux() {
		WriteMSR(msrTSCAux, uint64(i)) // RDTSCP: what getcpu(2) of the vDSO reads
	}
	c.root = readCR3() & PTEAddrMask
}

//go:nosplit
func setupTables(c *CPU, base uintptr) {
	tss := uintptr(unsafe.Pointer(&c.tss))
	Store64(tss+4, uint64(c.Stack)) // RSP0; every gate has an IST stack
	for n := uintptr(1); n <= numIST; n++ {
		// The CPU's own address lies at the top, for paranoid.
		top := (base+machStack+istStack*n)&^15 - 16
		Store64(top, uint64(c.self))
		Store64(tss+36+(n-1)*8, uint64(top))
	}
	c.tss[102], c.tss[103] = 104, 0 // no I/O bitmap
	t := uint64(tss)
	c.gdt = [10]uint64{
		selKCode / 8: 0x00af9b000000ffff,
		selKData / 8: 0x00cf93000000ffff,
		0x20 / 8:     0x00cffb000000ffff, // 32-bit code of ring 3, never used
		UserSS / 8:   0x00cff3000000ffff,
		UserCS / 8:   0x00affb000000ffff,
		selTSS / 8:   103 | (t&0xffffff)<<16 | 0x89<<40 | (t>>24&0xff)<<56,
		selTSS/8 + 1: t >> 32,
	}
}

//go:nosplit
func setupIDT() {
	s := uint64(stubAddr())
	for v := uint64(0); v < numVectors; v++ {
		ist, dpl := uint64(istFault), uint64(0)
		switch {
		case v >= VecTimer:
			ist = istIRQ
		case v == VecNMI:
			ist = istNMI
		case v == VecDoubleFault:
			ist = istDouble
		case v == VecMCE:
			ist = istMCE
		case v == VecDebug:
			ist = istDebug
		case v == VecBreakpoint || v == VecOverflow:
			dpl = 3
		}
		a := s + v*16
		idt[v] = [2]uint64{a&0xffff | selKCode<<16 | ist<<32 | (0x8e|dpl<<5)<<40 | (a>>16&0xffff)<<48, a >> 32}
	}
}

// detect asks CPUID for what the kernel makes use of.
//
//go:nosplit
func detect() {
	_, _, ecx, _ := CPUID(1, 0)
	if ecx&featureHyper != 0 {
		hyper = hyperOther
		m, b, c, d := CPUID(0x40000000, 0)
		hyperMax = m
		switch {
		case b == 0x54474354 && c == 0x43544743 && d == 0x47435447: // TCGTCGTCGTCG
			hyper = hyperTCG
		case b == 0x4b4d564b && c == 0x564b4d56 && d == 0x4d: // KVMKVMKVM
			hyper = hyperKVM
		}
	}
	if hyper != hyperTCG {
		fastRep = 1
	}
	if m, _, _, _ := CPUID(0x80000000, 0); m >= 0x80000007 {
		_, _, _, d := CPUID(0x80000007, 0)
		invTSC = uint8(d >> 8 & 1)
	}
}

// setupProtection turns on SMEP, SMAP, UMIP and global pages where the CPU has them. WP and NX are on already.
//
//go:nosplit
func setupProtection() {
	cr4 := readCR4() | cr4PGE
	if m, _, _, _ := CPUID(0, 0); m >= 7 {
		_, b, c, _ := CPUID(7, 0)
		if b&(1<<7) != 0 {
			cr4 |= cr4SMEP
		}
		if b&(1<<20) != 0 {
			cr4 |= cr4SMAP
			smap = 1
		}
		if c&(1<<2) != 0 {
			cr4 |= cr4UMIP
		}
	}
	writeCR4(cr4)
}

// setupFPU enables x87, SSE, AVX and AVX-512, whatever of them there is.
//
//go:nosplit
func setupFPU(first bool) {
	_, _, ecx, _ := CPUID(1, 0)
	if ecx&(1<<26) == 0 {
		xcr0, xsaveSize = 3, 512
	} else {
		a, _, _, _ := CPUID(13, 0)
		if first {
			xcr0 = uint64(a) & 0xe7
			if xcr0&4 == 0 {
				xcr0 &= 3
			}
			if xcr0&0xe0 != 0xe0 {
				xcr0 &= 7
			}
			useXSave = 1
		}
		setXCR0(xcr0)
		if first {
			_, b, _, _ := CPUID(13, 0)
			xsaveSize = b
			if b > maxXSave {
				Fatal("XSAVE area is larger than known")
			}
			if a, _, _, _ := CPUID(13, 1); a&4 != 0 && hyper != hyperTCG { // there it knows nothing of AVX
				fpProbe = probeXInUse
			} else if xcr0&^7 == 0 {
				fpProbe = probeRegisters
			}
		}
	}
	if first {
		fxsave(initXSave())
		if mxcsrMask = Load32(initXSave() + fpMXCSR + 4); mxcsrMask == 0 {
			mxcsrMask = 0xffbf
		}
		ZeroPage(initXSave())
		saveFPU(initXSave())
	}
}

// BootFS is the FS base of the first thread until the runtime sets its own.
//
//go:nosplit
func BootFS() uint64 { return uint64(uintptr(unsafe.Pointer(&bootTLS)) + 8) }

// Image is where the kernel's image is in physical memory: text and constants in [lo, gap), data in [data, hi). What is
// between them is free: the tables of functions, the last of the constants, are smaller than the linker made them
// (host/mkkernel/pcln).
//
//go:nosplit
func Image() (lo, gap, data, hi uint64) {
	text, _, _, rw, end := imageEnds()
	const up = PageSize - 1
	const epclntab, itablinks = 41 * 8, 48 * 8 // in runtime.moduledata: end of the tables, and the slice behind them
	m := findfunc(text).module
	gap = max(Load64(m+epclntab), Load64(m+itablinks)+Load64(m+itablinks+8)*8)
	return uint64(text) - KernelBase, (gap - KernelBase + up) &^ up, (uint64(rw) - KernelBase) &^ up, (uint64(end) - KernelBase + up) &^ up
}
