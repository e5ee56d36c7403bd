// Package cpu is the hardware: per-CPU state, traps, ring 3 and back, the page-table format, clocks, interprocessor
// interrupts, spin locks and ports.
//
// The files with build tag metal drive the machine; their twins without it are fakes, so that everything above compiles
// and is tested on an ordinary Linux host. Code in this package and in goport that runs below the Go scheduler keeps to
// the rules in docs/machine-layer.md: it allocates nothing, has no write barrier, takes no Go lock, and never splits a stack.
//
// Lock order: a SpinLock may be taken with any Go lock held, never the other way round.
package cpu

// Regs are the general registers of a thread in ring 3, or of kernel code that trapped. The order is the one in which
// the trap entry pushes them, followed by the frame of the hardware.
type Regs struct {
	R15, R14, R13, R12, R11, R10, R9, R8 uint64
	BP, DI, SI, DX, CX, BX, AX           uint64
	Vec, Err                             uint64
	IP, CS, Flags, SP, SS                uint64
}

// Context is the state of one thread of the application while it is not in ring 3. A Context is used by one goroutine at
// a time.
type Context struct {
	Regs           Regs // must stay first: the system call entry uses a *Context as a *Regs
	FSBase, GSBase uint64
	Fault          uint64 // CR2, when Regs.Vec is VecPageFault
	Debug          DebugRegs
	machine        // FPU state and what Enter needs
}

// DebugRegs are the debug registers of a thread (Intel SDM volume 3, section 18.2). They are in the CPU while the thread
// is in ring 3 and Control is not zero; whoever changes them calls Release first. Addresses must be those of ring 3.
type DebugRegs struct {
	Addr    [4]uint64 // DR0 to DR3
	Status  uint64    // what of DR6 caused the last VecDebug: DebugStep, and bits 0 to 3
	Control uint64    // DR7
}

// DebugStep is the bit of DebugRegs.Status for a single step.
const DebugStep = 1 << 14

// Values of Regs.Vec after Enter: exceptions (Intel SDM volume 3, section 6.15), VecSyscall, VecKick, or an interrupt in
// 0x20 to 0xff that has been acknowledged.
const (
	VecDivide      = 0
	VecDebug       = 1
	VecNMI         = 2
	VecBreakpoint  = 3
	VecOverflow    = 4
	VecBounds      = 5
	VecInvalidOp   = 6
	VecDevNA       = 7
	VecDoubleFault = 8
	VecInvalidTSS  = 10
	VecNoSegment   = 11
	VecStackFault  = 12
	VecGP          = 13
	VecPageFault   = 14
	VecFPU         = 16
	VecAlign       = 17
	VecMCE         = 18
	VecSIMD        = 19

	VecTimer    = 0x20
	VecIPI      = 0x21
	VecSpurious = 0x7f

	VecSyscall = 0x100
	VecKick    = 0x101 // Enter returned without entering
)

// Bits of Regs.Err when Vec is VecPageFault.
const (
	FaultPresent = 1 << iota // a protection violation, not a missing page
	FaultWrite
	FaultUser
	FaultReserved
	FaultFetch
)

// Bits of Regs.Flags.
const (
	FlagTF   = 1 << 8
	FlagIF   = 1 << 9
	FlagDF   = 1 << 10
	FlagAC   = 1 << 18
	flagInit = FlagIF | 2

	// FlagsUser are the flags that a program may set for itself: CF PF AF ZF SF TF DF OF AC ID, and RF.
	FlagsUser = 0x250dd5
)

// Segment selectors of ring 3, as Linux has them.
const (
	UserCS = 0x33
	UserSS = 0x2b
)

// The page-table format (Intel SDM volume 3, section 4.5).
const (
	PageSize  = 4096
	PageShift = 12

	PTEPresent  = 1 << 0
	PTEWrite    = 1 << 1
	PTEUser     = 1 << 2
	PTEPWT      = 1 << 3
	PTEPCD      = 1 << 4
	PTEAccessed = 1 << 5
	PTEDirty    = 1 << 6
	PTEHuge     = 1 << 7 // in a directory entry: a 2 MiB or 1 GiB page
	PTEGlobal   = 1 << 8
	PTESoft1    = 1 << 9 // these three are the kernel's own
	PTESoft2    = 1 << 10
	PTESoft3    = 1 << 11
	PTENoExec   = 1 << 63
	PTEAddrMask = 0x000f_ffff_ffff_f000
)

// UserTop is the first address that does not belong to ring 3: one page below the canonical limit, as on Linux, so that
// no instruction ends at it.
const UserTop = 0x7ffffffff000

// MaxCPUs is how many CPUs the kernel uses at most.
const MaxCPUs = 8
