//go:build metal

package cpu

import "unsafe"

// Thread is the hardware's part of a machine thread: what Go's runtime calls an M. Package goport embeds it first in its
// own thread, so that a *Thread is one of those too.
type Thread struct {
	Regs    Regs
	Kind    uint64 // FrameCall or FrameTrap
	FS      uint64
	Root    uint64 // the page table that a copy to or from user memory runs on, 0 outside of one
	Pending uint64 // signals sent and not delivered yet
	SigMask uint64
	XMM     [xmmSize]byte
}

const (
	FrameCall = 0 // entered by kcall: only integer registers are live
	FrameTrap = 1 // preempted: everything is live, resume with IRETQ

	// X0-X15 and MXCSR are all the vector state that kernel code has: AVX is
	// switched off in its internal/cpu (goport's boot environment), and Go has no x87 code.
	xmmSize = 16*16 + 16
)

// CPU is the state of one processor; GS points at it in ring 0. References are uintptr so that no write barrier can be
// emitted for them.
type CPU struct {
	self     uintptr
	Cur      uintptr // *Thread that runs here, 0 when idle
	Stack    uintptr // top of the machine stack
	uctx     uintptr // *Context that is, or was last, in ring 3
	fpOwner  uintptr // *Context whose x87, AVX... state is in the registers
	root     uint64  // the page table in CR3
	fpRoot   uint64  // the page table of the last owner, 0 once that is gone
	fpInit   uint32  // without an owner: the registers are in the initial state
	scratch  uintptr
	Index    uint32
	APICID   uint32
	Online   uint32
	flush    uint32 // a request of flushOthers waits
	fpFlush  uint32 // write back of the FPU state requested
	debug    uint32 // the debug registers are in use
	lazy     uint32 // lazyOff, lazyOn, lazyStale
	gdt      [10]uint64
	tss      [128]byte
	istSlots uint64
}

const (
	machStack = 8 << 10
	istStack  = 4 << 10
	numIST    = 6
	cpuStacks = machStack + numIST*istStack

	// The order of the IST stacks of a CPU behind its machine stack.
	istFault  = 1
	istIRQ    = 2
	istNMI    = 3
	istDouble = 4
	istMCE    = 5
	istDebug  = 6

	KernelCS = 0x10
	KernelSS = 0x18
	selKCode = KernelCS
	selKData = KernelSS
	selTSS   = 0x38

	KernelBase = 0xffffffff80000000 // + physical address: the kernel image
	DirectMap  = 0xffff800000000000 // + physical address: all of memory
	HeapBase   = 0xffffc00000000000 // the Go heap and what else the runtime maps
	mmioBase   = 0xffffd00000000000 // device registers
)

var (
	cpus    [MaxCPUs]CPU
	nCPU    uint32          = 1
	stack0  [cpuStacks]byte // the boot CPU's; the others' are frames
	idt     [256][2]uint64
	bootG   [64]uint64 // fake g for ABI wrappers that run before rt0_go
	bootTLS [4]uint64
)

// This returns the CPU that runs the caller; meaningful only while interrupts are off.
//
//go:nosplit
func This() *CPU { return (*CPU)(unsafe.Pointer(cpuSelf())) }

// ByIndex returns the i-th CPU.
//
//go:nosplit
func ByIndex(i uint32) *CPU { return &cpus[i&(MaxCPUs-1)] }

// NumCPU is how many CPUs came up.
//
//go:nosplit
func NumCPU() int { return int(nCPU) }

// ID is the index of the CPU that ran the caller a moment ago.
//
//go:nosplit
func ID() int { return int(This().Index) }

// Thread returns the thread that runs on c.
//
//go:nosplit
func (c *CPU) Thread() *Thread { return (*Thread)(unsafe.Pointer(c.Cur)) }

// PhysToVirt returns where physical memory is in the direct map.
//
//go:nosplit
func PhysToVirt(pa uint64) uintptr { return uintptr(DirectMap + pa) }
