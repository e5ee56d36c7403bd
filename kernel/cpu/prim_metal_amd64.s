//go:build metal

#include "go_asm.h"
#include "textflag.h"
#include "asm_metal_amd64.h"

// ---- single instructions ----

TEXT ·cpuSelf(SB),NOSPLIT,$0-8
	MOVQ	CPU_self(GS), AX
	MOVQ	AX, ret+0(FP)
	RET

TEXT ·Inb(SB),NOSPLIT,$0-9
	MOVW	port+0(FP), DX
	INB
	MOVB	AX, ret+8(FP)
	RET

TEXT ·Inw(SB),NOSPLIT,$0-10
	MOVW	port+0(FP), DX
	INW
	MOVW	AX, ret+8(FP)
	RET

TEXT ·Inl(SB),NOSPLIT,$0-12
	MOVW	port+0(FP), DX
	INL
	MOVL	AX, ret+8(FP)
	RET

TEXT ·Outb(SB),NOSPLIT,$0-3
	MOVW	port+0(FP), DX
	MOVB	v+2(FP), AX
	OUTB
	RET

TEXT ·Outw(SB),NOSPLIT,$0-4
	MOVW	port+0(FP), DX
	MOVW	v+2(FP), AX
	OUTW
	RET

TEXT ·Outl(SB),NOSPLIT,$0-8
	MOVW	port+0(FP), DX
	MOVL	v+4(FP), AX
	OUTL
	RET

TEXT ·RDTSC(SB),NOSPLIT,$0-8
	RDTSC
	SHLQ	$32, DX
	ORQ	DX, AX
	MOVQ	AX, ret+0(FP)
	RET

TEXT ·Pause(SB),NOSPLIT,$0-0
	PAUSE
	RET

TEXT ·ReadCR2(SB),NOSPLIT,$0-8
	MOVQ	CR2, AX
	MOVQ	AX, ret+0(FP)
	RET

TEXT ·readCR3(SB),NOSPLIT,$0-8
	MOVQ	CR3, AX
	MOVQ	AX, ret+0(FP)
	RET

TEXT ·writeCR3(SB),NOSPLIT,$0-8
	MOVQ	v+0(FP), AX
	MOVQ	AX, CR3
	RET

TEXT ·readCR4(SB),NOSPLIT,$0-8
	MOVQ	CR4, AX
	MOVQ	AX, ret+0(FP)
	RET

TEXT ·writeCR4(SB),NOSPLIT,$0-8
	MOVQ	v+0(FP), AX
	MOVQ	AX, CR4
	RET

TEXT ·readDR6(SB),NOSPLIT,$0-8
	MOVQ	DR6, AX
	MOVQ	AX, ret+0(FP)
	RET

TEXT ·writeDR6(SB),NOSPLIT,$0-8
	MOVQ	v+0(FP), AX
	MOVQ	AX, DR6
	RET

TEXT ·writeDR7(SB),NOSPLIT,$0-8
	MOVQ	v+0(FP), AX
	MOVQ	AX, DR7
	RET

// func writeDR(r *DebugRegs)
TEXT ·writeDR(SB),NOSPLIT,$0-8
	MOVQ	r+0(FP), BX
	MOVQ	DebugRegs_Addr+0(BX), AX
	MOVQ	AX, DR0
	MOVQ	DebugRegs_Addr+8(BX), AX
	BYTE	$0x0f; BYTE $0x23; BYTE $0xc8	// MOVQ AX, DR1, which the assembler does not have
	MOVQ	DebugRegs_Addr+16(BX), AX
	MOVQ	AX, DR2
	MOVQ	DebugRegs_Addr+24(BX), AX
	MOVQ	AX, DR3
	MOVQ	DebugRegs_Control(BX), AX
	MOVQ	AX, DR7
	RET

TEXT ·invlpg(SB),NOSPLIT,$0-8
	MOVQ	va+0(FP), AX
	INVLPG	(AX)
	RET

TEXT ·WriteMSR(SB),NOSPLIT,$0-16
	MOVL	msr+0(FP), CX
	MOVQ	v+8(FP), AX
	MOVQ	AX, DX
	SHRQ	$32, DX
	WRMSR
	RET

TEXT ·ReadMSR(SB),NOSPLIT,$0-16
	MOVL	msr+0(FP), CX
	RDMSR
	SHLQ	$32, DX
	ORQ	DX, AX
	MOVQ	AX, ret+8(FP)
	RET

TEXT ·CPUID(SB),NOSPLIT,$0-24
	MOVL	leaf+0(FP), AX
	MOVL	sub+4(FP), CX
	CPUID
	MOVL	AX, a+8(FP)
	MOVL	BX, b+12(FP)
	MOVL	CX, c+16(FP)
	MOVL	DX, d+20(FP)
	RET

// RDRAND and RDSEED have no mnemonic here.
TEXT ·rdrand(SB),NOSPLIT,$0-9
	BYTE	$0x48; BYTE $0x0f; BYTE $0xc7; BYTE $0xf0	// RDRAND RAX
	SETCS	ok+8(FP)
	MOVQ	AX, v+0(FP)
	RET

TEXT ·rdseed(SB),NOSPLIT,$0-9
	BYTE	$0x48; BYTE $0x0f; BYTE $0xc7; BYTE $0xf8	// RDSEED RAX
	SETCS	ok+8(FP)
	MOVQ	AX, v+0(FP)
	RET

TEXT ·InterruptSave(SB),NOSPLIT,$0-8
	PUSHFQ
	POPQ	AX
	CLI
	ANDQ	$const_FlagIF, AX
	MOVQ	AX, ret+0(FP)
	RET

TEXT ·InterruptRestore(SB),NOSPLIT,$0-8
	MOVQ	flags+0(FP), AX
	TESTQ	AX, AX
	JZ	off
	STI
off:
	RET

// HaltOnce waits for an interrupt; STI's shadow closes the race.
TEXT ·HaltOnce(SB),NOSPLIT,$0-0
	STI
	HLT
	CLI
	RET

// spin stops this CPU for good.
TEXT ·spin(SB),NOSPLIT,$0-0
	CLI
	HLT
	JMP	-1(PC)

// tripleFault resets the machine: no IDT, then an exception.
TEXT ·tripleFault(SB),NOSPLIT,$16-0
	CLI
	MOVW	$0, 0(SP)
	MOVQ	$0, 2(SP)
	MOVQ	SP, AX
	LIDT	(AX)
	INT	$3
	HLT
	JMP	-1(PC)

// ---- memory ----

// ZeroPage clears the 4 KiB at p. Unrolled stores, not REP STOSQ: an emulator
// runs the latter word by word, and hardware is as fast either way.
TEXT ·ZeroPage(SB),NOSPLIT,$0-8
	MOVQ	p+0(FP), DI
	CMPB	·fastRep(SB), $0
	JNE	rep
	XORL	AX, AX
	MOVQ	$32, CX
loop:
	MOVQ	AX, 0(DI)
	MOVQ	AX, 8(DI)
	MOVQ	AX, 16(DI)
	MOVQ	AX, 24(DI)
	MOVQ	AX, 32(DI)
	MOVQ	AX, 40(DI)
	MOVQ	AX, 48(DI)
	MOVQ	AX, 56(DI)
	MOVQ	AX, 64(DI)
	MOVQ	AX, 72(DI)
	MOVQ	AX, 80(DI)
	MOVQ	AX, 88(DI)
	MOVQ	AX, 96(DI)
	MOVQ	AX, 104(DI)
	MOVQ	AX, 112(DI)
	MOVQ	AX, 120(DI)
	ADDQ	$128, DI
	DECQ	CX
	JNZ	loop
	RET
rep:
	MOVQ	$512, CX
	XORL	AX, AX
	REP; STOSQ
	RET

// CopyPage copies 4 KiB.
TEXT ·CopyPage(SB),NOSPLIT,$0-16
	MOVQ	dst+0(FP), DI
	MOVQ	src+8(FP), SI
	CMPB	·fastRep(SB), $0
	JNE	rep
	MOVQ	$64, CX
loop:
	MOVQ	0(SI), AX
	MOVQ	AX, 0(DI)
	MOVQ	8(SI), AX
	MOVQ	AX, 8(DI)
	MOVQ	16(SI), AX
	MOVQ	AX, 16(DI)
	MOVQ	24(SI), AX
	MOVQ	AX, 24(DI)
	MOVQ	32(SI), AX
	MOVQ	AX, 32(DI)
	MOVQ	40(SI), AX
	MOVQ	AX, 40(DI)
	MOVQ	48(SI), AX
	MOVQ	AX, 48(DI)
	MOVQ	56(SI), AX
	MOVQ	AX, 56(DI)
	ADDQ	$64, SI
	ADDQ	$64, DI
	DECQ	CX
	JNZ	loop
	RET
rep:
	MOVQ	$512, CX
	REP; MOVSQ
	RET

TEXT ·CopyBytes(SB),NOSPLIT,$0-24
	MOVQ	dst+0(FP), DI
	MOVQ	src+8(FP), SI
	MOVQ	n+16(FP), CX
	MOVQ	CX, DX
	SHRQ	$3, CX
	REP; MOVSQ
	MOVQ	DX, CX
	ANDQ	$7, CX
	REP; MOVSB
	RET

// ---- tables ----

// func loadTables(gdt, idt uintptr): GDT, IDT, TSS, and the segment registers.
TEXT ·loadTables(SB),NOSPLIT,$32-16
	MOVQ	gdt+0(FP), AX
	MOVW	$79, 6(SP)
	MOVQ	AX, 8(SP)
	LEAQ	6(SP), BX
	LGDT	(BX)
	MOVQ	idt+8(FP), AX
	MOVW	$(256*16-1), 22(SP)
	MOVQ	AX, 24(SP)
	LEAQ	22(SP), BX
	LIDT	(BX)
	MOVW	$const_selTSS, AX
	LTR	AX
	MOVW	$const_selKData, AX
	MOVW	AX, DS
	MOVW	AX, ES
	MOVW	AX, SS
	CALL	loadCS<>(SB)
	XORL	AX, AX
	MOVW	AX, GS
	MOVW	AX, FS			// zeroes the base: ABI wrappers need it
	LEAQ	·bootTLS+8(SB), AX
	SETFS
	RET

// loadCS returns to its caller with the kernel's code segment.
TEXT loadCS<>(SB),NOSPLIT|NOFRAME,$0
	MOVQ	0(SP), AX
	SUBQ	$8, SP
	MOVQ	AX, 0(SP)
	MOVQ	$const_KernelCS, 8(SP)
	RETFQ

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

// ---- FPU ----

// setXCR0 turns on XSAVE for the given components.
TEXT ·setXCR0(SB),NOSPLIT,$0-8
	MOVQ	CR4, AX
	ORQ	$0x40000, AX		// OSXSAVE
	MOVQ	AX, CR4
	MOVQ	v+0(FP), AX
	MOVQ	AX, DX
	SHRQ	$32, DX
	XORL	CX, CX
	XSETBV
	RET

// All but the SSE component; FXSAVE takes that too, and enter loads it again.
TEXT ·saveFPU(SB),NOSPLIT,$0-8
	MOVQ	p+0(FP), DI
	CMPL	·useXSave(SB), $0
	JEQ	fx
	MOVL	$~2, AX
	MOVL	$-1, DX
	XSAVE64	(DI)
	RET
fx:
	FXSAVE64 (DI)
	RET

TEXT ·loadFPU(SB),NOSPLIT,$0-8
	MOVQ	p+0(FP), DI
	CMPL	·useXSave(SB), $0
	JEQ	fx
	MOVL	$~2, AX
	MOVL	$-1, DX
	XRSTOR64 (DI)
	RET
fx:
	FXRSTOR64 (DI)
	RET

// func fpUntouched() bool: x87 and AVX are as a reset leaves them, but for the
// contents of x87 registers that are marked empty. It may destroy X0.
TEXT ·fpUntouched(SB),NOSPLIT,$64-1
	MOVB	$0, ret+0(FP)
	CMPL	·fpProbe(SB), $const_probeNone
	JEQ	done
	CMPL	·fpProbe(SB), $const_probeXInUse
	JEQ	inuse
	FSTCW	0(SP)
	CMPW	0(SP), $0x37f
	JNE	done			// else FSTENV would mask exceptions
	FSTENV	0(SP)
	CMPW	4(SP), $0		// status
	JNE	done
	CMPW	8(SP), $0xffff		// tags
	JNE	done
	TESTQ	$4, ·xcr0(SB)
	JZ	yes
	VEXTRACTF128 $1, Y0, 32(SP)
	VORPS	Y1, Y0, Y0
	VORPS	Y2, Y0, Y0
	VORPS	Y3, Y0, Y0
	VORPS	Y4, Y0, Y0
	VORPS	Y5, Y0, Y0
	VORPS	Y6, Y0, Y0
	VORPS	Y7, Y0, Y0
	VORPS	Y8, Y0, Y0
	VORPS	Y9, Y0, Y0
	VORPS	Y10, Y0, Y0
	VORPS	Y11, Y0, Y0
	VORPS	Y12, Y0, Y0
	VORPS	Y13, Y0, Y0
	VORPS	Y14, Y0, Y0
	VORPS	Y15, Y0, Y0
	VEXTRACTF128 $1, Y0, 48(SP)
	MOVQ	48(SP), AX
	ORQ	56(SP), AX
	JZ	yes			// and so Y0 is what it was
	VINSERTF128 $1, 32(SP), Y0, Y0
	RET
inuse:
	MOVL	$1, CX
	XGETBV
	ANDQ	·xcr0(SB), AX
	TESTQ	$~2, AX			// all but SSE
	JNZ	done
yes:
	MOVB	$1, ret+0(FP)
done:
	RET

TEXT ·fxsave(SB),NOSPLIT,$0-8
	MOVQ	p+0(FP), DI
	FXSAVE64 (DI)
	RET

// ---- addresses ----

TEXT ·stubAddr(SB),NOSPLIT,$0-8
	LEAQ	·stubs(SB), AX
	MOVQ	AX, ret+0(FP)
	RET

TEXT ·syscallAddr(SB),NOSPLIT,$0-8
	LEAQ	·syscallEntry(SB), AX
	MOVQ	AX, ret+0(FP)
	RET

TEXT ·apStartAddr(SB),NOSPLIT,$0-8
	LEAQ	·apStart(SB), AX
	MOVQ	AX, ret+0(FP)
	RET

// func imageEnds() (text, etext, rodata, erodata, end uintptr)
TEXT ·imageEnds(SB),NOSPLIT,$0-40
	LEAQ	runtime·text(SB), AX
	MOVQ	AX, text+0(FP)
	LEAQ	runtime·etext(SB), AX
	MOVQ	AX, etext+8(FP)
	LEAQ	runtime·rodata(SB), AX
	MOVQ	AX, rodata+16(FP)
	LEAQ	runtime·noptrdata(SB), AX
	MOVQ	AX, data+24(FP)
	LEAQ	runtime·end(SB), AX
	MOVQ	AX, end+32(FP)
	RET

// func crash(msg string, f *Regs); indirect to end the nosplit chain
TEXT ·crash(SB),NOSPLIT|NOFRAME,$0-24
	MOVQ	$·crashGo(SB), AX
	JMP	AX

// func symbolize(pc uint64): symbolGo with the boot's goroutine, on this stack
TEXT ·symbolize(SB),NOSPLIT,$8-8
	LEAQ	·bootG(SB), AX
	MOVQ	AX, ·bootTLS(SB)
	LEAQ	·bootTLS+8(SB), AX
	SETFS
	MOVQ	pc+0(FP), AX
	MOVQ	AX, 0(SP)
	MOVQ	$·symbolGo(SB), AX
	CALL	AX
	RET

TEXT ·framePointer(SB),NOSPLIT|NOFRAME,$0-8
	MOVQ	BP, 8(SP)
	RET
