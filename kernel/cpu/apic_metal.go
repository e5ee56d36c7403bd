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
	vecFirst   = 0x30 // of AllocVector
)

var (
	lapic       uintptr // where its page is mapped
	x2apic      uint8
	tscDeadline uint8

	apBoot uint64 // index of the CPU that is being started
	apRoot uint64 // its page table

	apStacks uintptr // its stacks, cpuStacks bytes

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
	apicWrite(apicLVT0, 1<<16) // the legacy PIC's line
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
	if v < VecSpurious {
		nextVector++
	} else {
		v = 0
	}
	vectorLock.Unlock(f)
	return v
}

// StartAPs boots the processors with the given APIC IDs by INIT and SIPI (Intel SDM volume 3, section 8.4.4), one after
// the other. The trampoline is in low memory, and runs on the boot stub's page table, which maps low memory one to one.
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
	for i := 0; i < n && nCPU < MaxCPUs; i++ {
		if ids[i] == cpus[0].APICID {
			continue
		}
		id := ids[i]
		if apStacks == 0 {
			apStacks = stackMemory()
		}
		if apStacks == 0 {
			return
		}
		apBoot = uint64(nCPU)
		sendICR(id, 0x4500) // INIT
		if hyper == hyperNone {
			SpinWait(10e6)
		}
		sendICR(id, 0x4600|apPhys>>12) // SIPI
		t := Nanotime()
		for again := false; atomic.LoadUint32(&cpus[nCPU&(MaxCPUs-1)].Online) == 0; {
			if d := Nanotime() - t; d > 1e9 {
				break
			} else if d > 20e6 && !again {
				sendICR(id, 0x4600|apPhys>>12)
				again = true
			}
			Pause()
		}
		if atomic.LoadUint32(&cpus[nCPU&(MaxCPUs-1)].Online) == 0 {
			apStacks = 0 // it may come up later, on these
			continue     // a processor that does not come up is left out
		}
		apStacks = 0
		nCPU++
	}
}

// stackMemory returns memory of at least cpuStacks bytes, 0 if there is none.
//
//go:linkname stackMemory gosv/kernel/goport.stackMemory
func stackMemory() uintptr

// BootingAP is the index of the processor that is being started.
//
//go:nosplit
func BootingAP() uint32 { return uint32(apBoot) }

// SpinWait waits for ns nanoseconds.
//
//go:nosplit
func SpinWait(ns int64) {
	for t := Nanotime(); Nanotime()-t < ns; {
		Pause()
	}
}
