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
	board.ParsePVH(info)
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

// bootStack lays out argc, argv, envp and auxv. There is no GODEBUG: see host/mkkernel for what switches AVX off.
//
//go:nosplit
func bootStack() uintptr {
	i := 0
	push := func(v uintptr) { bootArgs[i] = uint64(v); i++ }
	push(1)
	push(cstr("kernel\x00"))
	push(0)
	push(cstr("GOTRACEBACK=all\x00"))
	push(cstr(gcPercent(board.Info.Total)))
	// Else the runtime would look for cgroups.
	env.maxProcs = [...]byte{'G', 'O', 'M', 'A', 'X', 'P', 'R', 'O', 'C', 'S', '=', '0' + byte(cpu.NumCPU()/10), '0' + byte(cpu.NumCPU()%10), 0}
	push(uintptr(unsafe.Pointer(&env.maxProcs)))
	push(memoryLimit(board.Info.Total / 2))
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

// env has the variables that are computed.
var env struct {
	maxProcs [14]byte
	memLimit [40]byte
}

// gcPercent makes the kernel's heap fit the machine. A collection starts when the heap has grown by GOGC percent of what
// lives (from 4 MiB times GOGC/100 on), so a small machine collects earlier; past GOMEMLIMIT, half of the memory, it
// collects as often as it takes, up to half of the CPU. Set here and not by runtime/debug they cost no stop of the world.
//
//go:nosplit
func gcPercent(total uint64) string {
	switch {
	case total <= 16<<20:
		return "GOGC=25\x00"
	case total <= 64<<20:
		return "GOGC=50\x00"
	}
	return "GOGC=100\x00"
}

// memoryLimit makes the variable GOMEMLIMIT.
//
//go:nosplit
func memoryLimit(bytes uint64) uintptr {
	i := len(env.memLimit) - 1 // which is 0
	for ; i == len(env.memLimit)-1 || bytes != 0; bytes /= 10 {
		i--
		env.memLimit[i] = '0' + byte(bytes%10)
	}
	for name := "GOMEMLIMIT="; len(name) > 0; name = name[:len(name)-1] {
		i--
		env.memLimit[i] = name[len(name)-1]
	}
	return uintptr(unsafe.Pointer(&env.memLimit[i]))
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
