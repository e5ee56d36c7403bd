//go:build metal

#include "go_asm.h"
#include "textflag.h"
#include "asm_metal_amd64.h"

// ---- entry from the boot stub: long mode, high half, DI = boot information ----

TEXT ·boot64(SB),NOSPLIT|NOFRAME,$0
	CLI
	RDTSC
	SHLQ	$32, DX
	ORQ	DX, AX
	MOVQ	AX, ·BootTSC(SB)
	LEAQ	·stack0+const_machStack(SB), SP
	ANDQ	$~15, SP
	MOVQ	CR4, AX
	ORQ	$0x600, AX		// OSXMMEXCPT|OSFXSR
	MOVQ	AX, CR4
	MOVQ	CR0, AX
	ANDQ	$~0xc, AX		// EM, TS off
	ORQ	$0x22, AX		// NE, MP
	MOVQ	AX, CR0
	MOVQ	DI, BX
	CALL	probeFSGS<>(SB)
	LEAQ	·bootTLS+8(SB), AX	// ABI wrappers load g from -8(FS)
	SETFS
	LEAQ	·bootG(SB), AX
	MOVQ	AX, ·bootTLS(SB)
	SUBQ	$32, SP
	MOVQ	BX, 0(SP)
	MOVQ	$gosv∕kernel∕goport·bootMain(SB), AX
	CALL	AX
	MOVQ	8(SP), SP
	LEAQ	·vclock(SB), AX		// the runtime's clock_gettime fast path
	MOVQ	AX, runtime·vdsoClockgettimeSym(SB)
	XORL	BP, BP
	MOVQ	$runtime·rt0_go(SB), AX
	MOVQ	0(SP), DI		// argc
	LEAQ	8(SP), SI		// argv
	JMP	AX

// apStart is where an application processor arrives from its trampoline.
TEXT ·apStart(SB),NOSPLIT|NOFRAME,$0
	MOVQ	·apRoot(SB), AX
	MOVQ	AX, CR3
	MOVQ	CR4, AX
	ORQ	$0x600, AX
	MOVQ	AX, CR4
	MOVQ	CR0, AX
	ANDQ	$~0xc, AX
	ORQ	$0x22, AX
	MOVQ	AX, CR0
	MOVL	$1, AX
	LOCK
	XADDL	AX, ·apNext(SB)
	CMPL	AX, ·apCount(SB)
	JAE	late
	LEAQ	·apStacks(SB), BX
	MOVQ	(BX)(AX*8), SP
	ADDQ	$const_machStack, SP
	INCL	AX
	MOVL	AX, R15			// the CPU's index
	CALL	probeFSGS<>(SB)
	LEAQ	·bootTLS+8(SB), AX
	SETFS
	SUBQ	$16, SP
	MOVQ	R15, 0(SP)
	MOVQ	$gosv∕kernel∕goport·apMain(SB), AX
	CALL	AX
	JMP	·resume(SB)
late:
	JMP	·spin(SB)

// probeFSGS enables RDFSBASE and its siblings where CPUID has them.
TEXT probeFSGS<>(SB),NOSPLIT|NOFRAME,$0
	MOVQ	BX, R8
	MOVL	$7, AX
	XORL	CX, CX
	CPUID
	TESTL	$1, BX
	MOVQ	R8, BX
	JZ	none
	MOVQ	CR4, AX
	ORQ	$0x10000, AX
	MOVQ	AX, CR4
	MOVB	$1, ·fsgsbase(SB)
none:
	RET

// slowFS sets the FS base to AX through its MSR; it changes AX only.
TEXT slowFS<>(SB),NOSPLIT|NOFRAME,$0
	PUSHQ	CX
	PUSHQ	DX
	MOVQ	AX, DX
	SHRQ	$32, DX
	MOVL	$0xc0000100, CX
	WRMSR
	POPQ	DX
	POPQ	CX
	RET

// ---- kcall: the SYSCALL of the kernel's own runtime ----
// Same register convention as SYSCALL: AX number, DI SI DX R10 R8 R9
// arguments, AX result; only CX and R11 (and here X0-X15) are lost. The
// registers go to the thread, then the work is done on the machine stack, so
// that a goroutine stack only ever holds the return address.

TEXT ·kcallEntry(SB),NOSPLIT|NOFRAME,$0
	CLI
	MOVQ	CPU_Cur(GS), R11
	MOVQ	AX, Regs_AX(R11)
	MOVQ	BX, Regs_BX(R11)
	MOVQ	DX, Regs_DX(R11)
	MOVQ	SI, Regs_SI(R11)
	MOVQ	DI, Regs_DI(R11)
	MOVQ	BP, Regs_BP(R11)
	MOVQ	R8, Regs_R8(R11)
	MOVQ	R9, Regs_R9(R11)
	MOVQ	R10, Regs_R10(R11)
	MOVQ	R12, Regs_R12(R11)
	MOVQ	R13, Regs_R13(R11)
	MOVQ	R14, Regs_R14(R11)
	MOVQ	R15, Regs_R15(R11)
	MOVQ	0(SP), CX
	MOVQ	CX, Regs_IP(R11)
	LEAQ	8(SP), CX
	MOVQ	CX, Regs_SP(R11)
	MOVQ	$const_FrameCall, Thread_Kind(R11)
	MOVQ	CPU_Stack(GS), SP
	MOVQ	$gosv∕kernel∕goport·syscallMain(SB), AX	// indirect: ends the linker's nosplit chain
	CALL	AX
	JMP	·resume(SB)

// vclock stands in for the vDSO's clock_gettime (C ABI: DI clock, SI timespec);
// the runtime calls it on g0 with no transition at all.
TEXT ·vclock(SB),NOSPLIT|NOFRAME,$0
	MOVQ	·clock(SB), R8		// the current set of parameters
	RDTSC
	SHLQ	$32, DX
	ORQ	DX, AX
	SUBQ	clockParams_base(R8), AX
	MULQ	clockParams_mul(R8)
	SHRQ	$32, DX, AX		// DX:AX >> 32
	ADDQ	clockParams_ns(R8), AX
	TESTL	DI, DI
	JNZ	mono
	ADDQ	·wallBase(SB), AX
mono:
	XORL	DX, DX
	MOVQ	$1000000000, CX
	DIVQ	CX
	MOVQ	AX, 0(SI)
	MOVQ	DX, 8(SI)
	XORL	AX, AX
	RET

// resume continues the current thread of this CPU. Interrupts are off.
TEXT ·resume(SB),NOSPLIT|NOFRAME,$0
	MOVQ	CPU_Cur(GS), R11
	MOVQ	Thread_Root(R11), AX
	TESTQ	AX, AX
	JNZ	root			// it was interrupted in a copy to or from user memory
rooted:
	MOVQ	Thread_FS(R11), AX
	SETFS
	CMPQ	Thread_Kind(R11), $const_FrameCall
	JNE	full
	DROPAC
	MOVQ	Regs_AX(R11), AX
	MOVQ	Regs_BX(R11), BX
	MOVQ	Regs_DX(R11), DX
	MOVQ	Regs_SI(R11), SI
	MOVQ	Regs_DI(R11), DI
	MOVQ	Regs_BP(R11), BP
	MOVQ	Regs_R8(R11), R8
	MOVQ	Regs_R9(R11), R9
	MOVQ	Regs_R10(R11), R10
	MOVQ	Regs_R12(R11), R12
	MOVQ	Regs_R13(R11), R13
	MOVQ	Regs_R14(R11), R14
	MOVQ	Regs_R15(R11), R15
	MOVQ	Regs_SP(R11), SP
	MOVQ	Regs_IP(R11), CX
	XORPS	X15, X15		// ABIInternal's zero register
	STI
	JMP	CX
full:
	LEAQ	Thread_XMM(R11), DI
	LOADXMM
	MOVQ	R11, SP
	JMP	popregs<>(SB)
root:
	CMPQ	AX, CPU_root(GS)
	JEQ	rooted
	XCHGQ	AX, CPU_root(GS)	// before CR3: FlushTLB looks here
	MOVQ	Thread_Root(R11), AX
	MOVQ	AX, CR3
	JMP	rooted

// func kcall(nr, a, b, c uint64) uint64
TEXT ·kcall(SB),NOSPLIT,$0-40
	MOVQ	nr+0(FP), AX
	MOVQ	a+8(FP), DI
	MOVQ	b+16(FP), SI
	MOVQ	c+24(FP), DX
	CALL	·kcallEntry(SB)
	MOVQ	AX, ret+32(FP)
	RET

// ---- traps ----

// LEAVERING3 saves the vector state, FS and GS of Context R12 and installs the M's. It is no function because a return
// costs a look-up under an emulator; the labels are those of the entry that it is in. Without the instructions for FS
// and GS a program cannot change its bases itself.
#define LEAVERING3 \
	LEAQ	Context_xmm(R12), DI; \
	SAVEXMM; \
	MOVL	$0x1f80, CPU_scratch(GS); \
	LDMXCSR	CPU_scratch(GS); \
	MOVQ	CPU_Cur(GS), R11; \
	MOVQ	Thread_FS(R11), AX; \
	CMPB	·fsgsbase(SB), $0; \
	JNE	fast; \
	CALL	slowFS<>(SB); \
	JMP	left; \
fast: \
	RDFSBASEQ CX; \
	MOVQ	CX, Context_FSBase(R12); \
	SWAPGS; \
	RDGSBASEQ CX; \
	SWAPGS; \
	MOVQ	CX, Context_GSBase(R12); \
	WRFSBASEQ AX; \
left:

TEXT ·trapCommon(SB),NOSPLIT|NOFRAME,$0
	PUSHQ	AX
	PUSHQ	BX
	PUSHQ	CX
	PUSHQ	DX
	PUSHQ	SI
	PUSHQ	DI
	PUSHQ	BP
	PUSHQ	R8
	PUSHQ	R9
	PUSHQ	R10
	PUSHQ	R11
	PUSHQ	R12
	PUSHQ	R13
	PUSHQ	R14
	PUSHQ	R15
	CLD
	// A trap through an IST stack leaves the null selector here, SYSCALL the
	// kernel's. With the same one always, QEMU translates kernel code once.
	MOVW	$const_selKData, AX
	MOVW	AX, SS
	MOVQ	SP, R12
	TESTB	$3, Regs_CS(R12)
	JNZ	user

	// From ring 0. The handlers are Go code and use X registers, so the
	// vector state of the interrupted code is saved.
	DROPAC
	MOVQ	R12, BP			// BP is callee-saved in both Go ABIs
	SUBQ	$(const_xmmSize+64), SP
	ANDQ	$~15, SP
	LEAQ	64(SP), DI
	SAVEXMM
	MOVQ	R12, 0(SP)
	MOVQ	DI, 8(SP)
	MOVQ	$gosv∕kernel∕goport·trapKernel(SB), AX
	CALL	AX
	MOVQ	16(SP), R13
	LEAQ	64(SP), DI
	LOADXMM
	MOVQ	BP, SP
	TESTQ	R13, R13
	JNZ	preempt
	JMP	popregs<>(SB)

preempt:
	MOVQ	CPU_Cur(GS), DI
	MOVQ	SP, SI
	MOVQ	$(Regs__size/8), CX
	REP; MOVSQ
	MOVQ	CPU_Cur(GS), R11
	MOVQ	$const_FrameTrap, Thread_Kind(R11)
	LEAQ	Thread_XMM(R11), DI
	SAVEXMM
	MOVQ	CPU_Stack(GS), SP
	MOVQ	$gosv∕kernel∕goport·preempted(SB), AX
	CALL	AX
	JMP	·resume(SB)

user:
	SWAPGS
	MOVQ	CPU_uctx(GS), R12
	LEAQ	Context_Regs(R12), DI
	MOVQ	SP, SI
	MOVQ	$(Regs__size/8), CX
	REP; MOVSQ
	SUBQ	$64, SP
	MOVQ	R12, 0(SP)
	LEAVERING3
	MOVQ	$gosv∕kernel∕goport·trapUser(SB), AX
	CALL	AX
	MOVQ	0(SP), R12
	MOVQ	Context_ksp(R12), SP
	MOVQ	Context_kbp(R12), BP
	STI
	BYTE	$0xc3			// RET; the assembler objects to the pushes

// paranoid is the entry of NMI, double fault and machine check, which may come
// at any instruction: GS and FS may still be the program's. The CPU's own
// address is at the top of the IST stack. None of the three is survived, so
// there is no way back from here.
TEXT ·paranoid(SB),NOSPLIT|NOFRAME,$0
	PUSHQ	AX
	PUSHQ	BX
	PUSHQ	CX
	PUSHQ	DX
	PUSHQ	SI
	PUSHQ	DI
	PUSHQ	BP
	PUSHQ	R8
	PUSHQ	R9
	PUSHQ	R10
	PUSHQ	R11
	PUSHQ	R12
	PUSHQ	R13
	PUSHQ	R14
	PUSHQ	R15
	CLD
	MOVQ	SP, R12
	MOVQ	Regs__size(SP), AX
	MOVQ	AX, DX
	SHRQ	$32, DX
	MOVL	$0xc0000101, CX		// GS base
	WRMSR
	DROPAC
	LEAQ	·bootTLS+8(SB), AX
	SETFS
	SUBQ	$64, SP
	ANDQ	$~15, SP
	MOVQ	R12, 0(SP)
	MOVQ	$gosv∕kernel∕goport·trapParanoid(SB), AX
	CALL	AX
	JMP	·spin(SB)

// debugTrap is the entry of debug exceptions. In ring 0 there are some when the kernel copies to or from memory that a
// debugger watches, and one may come at the first instruction of any other entry, with the program's GS, when the program
// reaches it by MOV SS and SYSCALL or INT: they are nothing to the kernel. Hence also an IST stack of its own.
TEXT ·debugTrap(SB),NOSPLIT|NOFRAME,$0
	TESTB	$3, 24(SP)		// CS
	JNZ	user
	PUSHQ	AX
	MOVL	$const_debugClear, AX
	MOVQ	AX, DR6
	POPQ	AX
	ADDQ	$16, SP
	IRETQ
user:
	JMP	·trapCommon(SB)

// popregs resumes the Regs at SP.
TEXT popregs<>(SB),NOSPLIT|NOFRAME,$0
	POPQ	R15
	POPQ	R14
	POPQ	R13
	POPQ	R12
	POPQ	R11
	POPQ	R10
	POPQ	R9
	POPQ	R8
	POPQ	BP
	POPQ	DI
	POPQ	SI
	POPQ	DX
	POPQ	CX
	POPQ	BX
	POPQ	AX
	ADDQ	$16, SP
	IRETQ

// ---- ring 3 ----

// func enter(x *Context, root uint64)
TEXT ·enter(SB),NOSPLIT|NOFRAME,$0-16
	MOVQ	8(SP), R12
	MOVQ	16(SP), R13
	CLI
	MOVQ	SP, Context_ksp(R12)
	MOVQ	BP, Context_kbp(R12)
	MOVQ	CPU_Cur(GS), R11
	MOVQ	Thread_SigMask(R11), AX
	NOTQ	AX
	ANDQ	Thread_Pending(R11), AX
	JNZ	kicked
	CMPL	·IRQPending(SB), $0
	JNE	kicked
	CMPQ	R13, CPU_root(GS)
	JNE	setroot
rooted:
	MOVQ	R12, CPU_uctx(GS)
	CMPQ	R12, CPU_fpOwner(GS)
	JNE	fpswitch
owner:
	CMPL	Context_kick(R12), $0	// after fpCPU says where we are: see Kick
	JNE	kicked
	LEAQ	Context_xmm(R12), DI
	LOADXMM
	CMPB	·fsgsbase(SB), $0
	JEQ	slow
	MOVQ	Context_FSBase(R12), AX
	WRFSBASEQ AX
	MOVQ	Context_GSBase(R12), AX
	SWAPGS
	WRGSBASEQ AX
based:
	// SYSRET needs CX and R11 to be what SYSCALL left there; the check is also
	// what makes rt_sigreturn and new threads take the other way.
	MOVQ	Regs_IP(R12), CX
	MOVQ	Regs_Flags(R12), R11
	CMPQ	Regs_Vec(R12), $const_VecSyscall
	JNE	iret
	CMPQ	CX, Regs_CX(R12)
	JNE	iret
	CMPQ	R11, Regs_R11(R12)
	JNE	iret
	MOVQ	Regs_R15(R12), R15
	MOVQ	Regs_R14(R12), R14
	MOVQ	Regs_R13(R12), R13
	MOVQ	Regs_R10(R12), R10
	MOVQ	Regs_R9(R12), R9
	MOVQ	Regs_R8(R12), R8
	MOVQ	Regs_BP(R12), BP
	MOVQ	Regs_DI(R12), DI
	MOVQ	Regs_SI(R12), SI
	MOVQ	Regs_DX(R12), DX
	MOVQ	Regs_BX(R12), BX
	MOVQ	Regs_AX(R12), AX
	MOVQ	Regs_SP(R12), SP
	MOVQ	Regs_R12(R12), R12
	BYTE	$0x48
	SYSRET
iret:
	MOVQ	R12, SP
	JMP	popregs<>(SB)
setroot:
	MOVQ	R13, AX
	XCHGQ	AX, CPU_root(GS)	// before CR3: FlushTLB looks here
	MOVQ	R13, CR3
	JMP	rooted
fpswitch:	// on the machine stack, which is free while a thread runs
	MOVQ	CPU_Stack(GS), SP
	SUBQ	$16, SP
	MOVQ	R12, 0(SP)
	MOVQ	R12, 8(SP)
	MOVQ	$·fpSwitch(SB), AX
	CALL	AX
	MOVQ	8(SP), R12
	MOVQ	Context_ksp(R12), SP
	JMP	owner
slow:
	MOVQ	Context_FSBase(R12), AX
	CALL	slowFS<>(SB)
	MOVL	Context_GSBase(R12), AX
	MOVL	(Context_GSBase+4)(R12), DX
	MOVL	$0xc0000102, CX		// the GS base that SWAPGS brings in
	WRMSR
	SWAPGS
	JMP	based
kicked:
	MOVL	$0, Context_kick(R12)
	MOVQ	$const_VecKick, Regs_Vec(R12)
	STI
	RET

TEXT ·syscallEntry(SB),NOSPLIT|NOFRAME,$0
	SWAPGS
	MOVQ	R12, CPU_scratch(GS)
	MOVQ	CPU_uctx(GS), R12
	MOVQ	AX, Regs_AX(R12)
	MOVQ	BX, Regs_BX(R12)
	MOVQ	DX, Regs_DX(R12)
	MOVQ	SI, Regs_SI(R12)
	MOVQ	DI, Regs_DI(R12)
	MOVQ	BP, Regs_BP(R12)
	MOVQ	R8, Regs_R8(R12)
	MOVQ	R9, Regs_R9(R12)
	MOVQ	R10, Regs_R10(R12)
	MOVQ	R13, Regs_R13(R12)
	MOVQ	R14, Regs_R14(R12)
	MOVQ	R15, Regs_R15(R12)
	MOVQ	CPU_scratch(GS), AX
	MOVQ	AX, Regs_R12(R12)
	MOVQ	CX, Regs_IP(R12)
	MOVQ	CX, Regs_CX(R12)
	MOVQ	R11, Regs_Flags(R12)
	MOVQ	R11, Regs_R11(R12)
	MOVQ	SP, Regs_SP(R12)
	MOVQ	$const_VecSyscall, Regs_Vec(R12)
	MOVQ	CPU_Stack(GS), SP
	LEAVERING3
	MOVQ	Context_ksp(R12), SP
	MOVQ	Context_kbp(R12), BP
	STI
	RET
