//go:build metal

package cpu

import (
	"sync/atomic"
	_ "unsafe" // for linkname
)

// The local APIC (Intel SDM volume 3, chapter 10): offsets in its page, or shifted right by four, MSRs above msrX2APIC.
const (
	apicID     = 0x20
	apicEOI    = 0xb0
	apicSVR    = 0xf0
	apicESR    = 0x280
	apicICRLo  = 0x300
	apicICRHi  = 0x310
	apicLVTT   = 0x320
	apicLVT0   = 0x350
	apicLVT1   = 0x360
	apicLVTE   = 0x370
	apicInit   = 0x380
	apicCur    = 0x390
	apicDivide = 0x3e0

	lapicPhys = 0xfee00000

	numVectors = 128
	vecPIC     = 0x70 // where spurious interrupts of the legacy PICs go
	vecFirst   = 0x30 // of AllocVector
)

var (
	lapic       uintptr // where its page is mapped
	x2apic      uint8
	tscDeadline uint8

	// Application processors number themselves as they arrive, and take the stacks of that number.
	apNext   uint32           // how many have come
	apCount  uint32           // how many are expected
	apGo     uint32           // they may start to schedule
	apRoot   uint64           // their page table
	apStacks [MaxCPUs]uintptr // cpuStacks bytes each
	apIDs    [MaxCPUs]uint32

	vectorLock SpinLock
	nextVector uint32 = vecFirst
)

//go:nosplit
func apicRead(reg uint32) uint32 {
	if x2apic != 0 {
		return uint32(ReadMSR(msrX2APIC + reg>>4))
	}
	return Load32(lapic + uintptr(reg))
}

//go:nosplit
func apicWrite(reg, v uint32) {
	if x2apic != 0 {
		WriteMSR(msrX2APIC+reg>>4, uint64(v))
		return
	}
	Store32(lapic+uintptr(reg), v)
}

// EOI tells the local APIC that an interrupt has been taken.
//
//go:nosplit
func EOI() { apicWrite(apicEOI, 0) }

// maskPIC moves the legacy interrupt controllers (Intel 8259A) away from the exceptions and masks all of their lines.
// It comes before the local APIC is touched: QEMU only takes an interrupt back that is on its way while the firmware's
// setting of LINT0 stands.
//
//go:nosplit
func maskPIC() {
	Outb(0x21, 0xff)
	Outb(0xa1, 0xff)
	for i := uint16(0); i < 2; i++ {
		port := uint16(0x20) + i*0x80
		Outb(port, 0x11)                  // ICW1: four words follow
		Outb(port+1, uint8(vecPIC+i*8))   // ICW2: the first vector
		Outb(port+1, uint8(4-uint8(i)*2)) // ICW3: the cascade is line 2
		Outb(port+1, 1)                   // ICW4: 8086 mode
		Outb(port+1, 0xff)
	}
}

// SetupAPIC enables the local APIC of the CPU that runs it. The boot CPU maps its registers first.
//
//go:nosplit
func SetupAPIC() {
	c := This()
	_, _, ecx, _ := CPUID(1, 0)
	base := ReadMSR(msrAPICBase)
	if c.Index == 0 {
		lapic = MapMMIO(lapicPhys, PageSize)
		if ecx&(1<<21) != 0 {
			x2apic = 1
		}
		if ecx&(1<<24) != 0 {
			tscDeadline = 1
		}
	}
	if x2apic != 0 {
		WriteMSR(msrAPICBase, base|1<<11|1<<10)
		c.APICID = uint32(ReadMSR(msrX2APIC + apicID>>4))
	} else {
		WriteMSR(msrAPICBase, base|1<<11)
		c.APICID = Load32(lapic+apicID) >> 24
	}
	apicWrite(apicSVR, 0x100|VecSpurious)
	apicWrite(apicLVT0, 1<<16|7<<8) // the legacy PIC's line, masked
	apicWrite(apicLVTE, 1<<16)
	apicWrite(apicDivide, 0xb) // divide by 1
	if tscDeadline != 0 {
		apicWrite(apicLVTT, 2<<17|VecTimer)
	} else {
		apicWrite(apicLVTT, VecTimer)
	}
}

//go:nosplit
func sendICR(id, lo uint32) {
	if x2apic != 0 {
		WriteMSR(msrX2APIC+apicICRLo>>4, uint64(id)<<32|uint64(lo))
		return
	}
	f := InterruptSave()
	for n := 0; Load32(lapic+apicICRLo)&(1<<12) != 0 && n < 1e6; n++ {
		Pause()
	}
	Store32(lapic+apicICRHi, id<<24)
	Store32(lapic+apicICRLo, lo)
	InterruptRestore(f)
}

// SendIPI interrupts c: it polls its requests, and its thread looks at its signals.
//
//go:nosplit
func SendIPI(c *CPU) { sendICR(c.APICID, 0x4000|VecIPI) }

// AllocVector returns an interrupt vector for a device, 0 if there is none left. The interrupt goes to goport.
//
//go:nosplit
func AllocVector() uint32 {
	f := vectorLock.Lock()
	v := nextVector
	if v < vecPIC {
		nextVector++
	} else {
		v = 0
	}
	vectorLock.Unlock(f)
	return v
}

// StartAPs boots the processors with the given APIC IDs by INIT and SIPI (Intel SDM volume 3, section 8.4.4), all at
// once; WaitAPs waits for them. The trampoline is in low memory, and runs on the boot stub's page table, which maps low memory one to one.
//
//go:nosplit
func StartAPs(ids *[MaxCPUs]uint32, n int) {
	dst := PhysToVirt(apPhys)
	for i := range apCode {
		Store8(dst+uintptr(i), apCode[i])
	}
	for i := 0; i+8 <= len(apCode); i++ {
		if Load64(dst+uintptr(i)) == 0x1122334455667788 {
			Store64(dst+uintptr(i), uint64(apStartAddr()))
		}
	}
	apRoot = kernelRoot
	for i := 0; i < n && apCount < MaxCPUs-1; i++ {
		if ids[i] == cpus[0].APICID {
			continue
		}
		stack := stackMemory()
		if stack == 0 {
			break
		}
		apStacks[apCount] = stack
		apIDs[apCount] = ids[i]
		apCount++
	}
	for i := uint32(0); i < apCount; i++ {
		sendICR(apIDs[i&(MaxCPUs-1)], 0x4500) // INIT
	}
	if hyper == hyperNone {
		for t := RDTSC(); RDTSC()-t < 40e6; { // about 10 ms; there is no clock yet
			Pause()
		}
	}
	for i := uint32(0); i < apCount; i++ {
		sendICR(apIDs[i&(MaxCPUs-1)], 0x4600|apPhys>>12) // SIPI
	}
}

// WaitAPs waits for the processors that StartAPs has started, and lets them go on. Those that do not come within a
// second are left out. The clock must run.
//
//go:nosplit
func WaitAPs() {
	start := Nanotime()
	for again := false; ; {
		online := uint32(1)
		for i := 1; i < MaxCPUs; i++ {
			online += atomic.LoadUint32(&cpus[i].Online)
		}
		d := Nanotime() - start
		if online == apCount+1 || d > 1e9 {
			// Nobody gets a number any more; who has one is on his way.
			came := atomic.AddUint32(&apNext, MaxCPUs) - MaxCPUs
			for i := uint32(1); i <= came; i++ {
				for atomic.LoadUint32(&cpus[i&(MaxCPUs-1)].Online) == 0 {
					Pause()
				}
			}
			nCPU = came + 1
			atomic.StoreUint32(&apGo, 1)
			return
		}
		if d > 50e6 && !again && hyper == hyperNone {
			for i := uint32(0); i < apCount; i++ {
				sendICR(apIDs[i&(MaxCPUs-1)], 0x4600|apPhys>>12)
			}
			again = true
		}
		Pause()
	}
}

// APOnline says that this processor is up, and waits until WaitAPs lets it go on.
//
//go:nosplit
func APOnline() {
	atomic.StoreUint32(&This().Online, 1)
	for atomic.LoadUint32(&apGo) == 0 {
		Pause()
	}
}

// stackMemory returns memory of at least cpuStacks bytes, 0 if there is none.
//
//go:linkname stackMemory gosv/kernel/goport.stackMemory
func stackMemory() uintptr

// SpinWait waits for ns nanoseconds.
//
//go:nosplit
func SpinWait(ns int64) {
	for t := Nanotime(); Nanotime()-t < ns; {
		Pause()
	}
}
