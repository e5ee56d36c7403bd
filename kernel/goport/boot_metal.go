//go:build metal

package goport

import (
	"sync/atomic"
	"unsafe"

	"gosv/kernel/board"
	"gosv/kernel/cpu"
	"gosv/kernel/frame"
)

var (
	bootArgs [64]uint64
	seed     [2]uint64
	mainStk  [72 << 10]byte // g0 stack of m0
	regions  [64]frame.Region
)

// bootMain runs on the boot CPU before the Go runtime, on the machine stack. It returns the stack pointer for rt0_go.
//
//go:nosplit
func bootMain(info uint64) uintptr {
	cpu.Setup(0)
	_, end := cpu.Image()
	board.ParsePVH(info, end)
	cpu.Mark("firmware tables")
	initMemory()
	cpu.Mark("memory")
	cpu.SetupAPIC()
	acpi := &board.Info.ACPI
	cpu.StartAPs(&acpi.CPUs, acpi.NCPU)
	cpu.SetupClock()
	cpu.Mark("clock")

	threadTab[0] = firstThread.addr()
	nThreads = 1
	firstThread.state = threadRunning
	firstThread.FS = cpu.BootFS()
	c := cpu.This()
	c.Cur = firstThread.addr()
	atomic.StoreUint32(&c.Online, 1)
	cpu.Power.PM1a, cpu.Power.S5 = acpi.PM1a, acpi.S5
	if acpi.SleepReg != 0 {
		cpu.Power.SleepReg = cpu.MapMMIO(acpi.SleepReg, 1)
	}
	cpu.WaitAPs()
	cpu.Mark("processors")

	seed[0], seed[1] = random(), random()
	return bootStack()
}

// initMemory makes the kernel's page table, and gives the rest of the memory to package frame.
//
//go:nosplit
func initMemory() {
	mem := board.Info.Memory
	n := 0
	tables := false
	top := (board.Info.Top + 2<<20 - 1) &^ (2<<20 - 1)
	for i := range mem {
		r := mem[i]
		if !tables && r.Size >= 128<<10 && r.Base < 4<<30 {
			end := min(r.Base+r.Size, 4<<30)
			next := cpu.SetupPaging(top, r.Base, end)
			r.Size -= next - r.Base
			r.Base = next
			tables = true
		}
		if r.Size != 0 && n < len(regions) {
			regions[n] = frame.Region{Base: r.Base, Size: r.Size}
			n++
		}
	}
	if !tables {
		cpu.Fatal("too little memory")
	}
	frame.Init(regions[:n])
}

// bootStack lays out argc, argv, envp and auxv.
//
//go:nosplit
func bootStack() uintptr {
	i := 0
	push := func(v uintptr) { bootArgs[i] = uint64(v); i++ }
	push(1)
	push(cstr("kernel\x00"))
	push(0)
	push(cstr("GOTRACEBACK=all\x00"))
	// Kernel code is SSE only (a program's wider registers stay in the CPU); nothing here has cgroups to look at.
	push(cstr("GODEBUG=cpu.avx=off,cpu.avx2=off,cpu.fma=off,cpu.avx512f=off,containermaxprocs=0,updatemaxprocs=0\x00"))
	push(0)
	push(6) // AT_PAGESZ
	push(cpu.PageSize)
	push(25) // AT_RANDOM
	push(uintptr(unsafe.Pointer(&seed)))
	push(0)
	push(0)
	// rt0_go reads argc at SP, argv above it, and uses the space below.
	sp := uintptr(unsafe.Pointer(&mainStk)) + unsafe.Sizeof(mainStk) - unsafe.Sizeof(bootArgs)
	sp &^= 15
	cpu.CopyBytes(sp, uintptr(unsafe.Pointer(&bootArgs)), unsafe.Sizeof(bootArgs))
	return sp
}

//go:nosplit
func cstr(s string) uintptr { return uintptr(unsafe.Pointer(unsafe.StringData(s))) }

// apMain runs on each application processor, on its machine stack.
//
//go:nosplit
func apMain(i uint32) {
	cpu.Setup(i)
	cpu.SetupAPIC()
	cpu.APOnline()
	schedule(cpu.This())
	resuming()
}
