//go:build metal

#include "go_asm.h"
#include "textflag.h"

// Access to user memory. A copy says in its thread which page table it needs,
// so that resume can load it again when the machine layer preempted the copy;
// then it loads the table if this CPU has another one, and lets the accesses
// through SMAP. A fault at an instruction between a start and an end label
// continues at the fix-up, and the copy returns how much is left. That is not
// an exception path: mm populates the page and calls again.

// ENTERUSER: root in R8; R11 is the thread afterwards. Changes R9. It and LEAVEUSER are no functions because each return
// costs a look-up under an emulator; the labels are a function's own.
#define ENTERUSER \
	MOVQ	CPU_Cur(GS), R11; \
	MOVQ	R8, Thread_Root(R11); \
	CMPQ	R8, CPU_root(GS); /* if it changes from here on, resume does the rest */ \
	JEQ	loaded; \
	CALL	loadRoot<>(SB); \
loaded: \
	CMPB	·smap(SB), $0; \
	JEQ	open; \
	STAC; \
open:

#define LEAVEUSER \
	CMPB	·smap(SB), $0; \
	JEQ	shut; \
	CLAC; \
shut: \
	MOVQ	$0, Thread_Root(R11)

// loadRoot loads the page table in R8. Changes R9.
TEXT loadRoot<>(SB),NOSPLIT|NOFRAME,$0
	CLI
	MOVQ	R8, R9
	XCHGQ	R9, CPU_root(GS)	// before CR3: FlushTLB looks here
	MOVQ	R8, CR3
	STI
	RET

// copyWords copies CX bytes from SI to DI, in 64-byte blocks and words; CX
// bytes are left, fewer than 8, or more after a fault.
TEXT copyWords<>(SB),NOSPLIT|NOFRAME,$0
	CMPB	·fastRep(SB), $0
	JEQ	blocks
	CMPQ	CX, $512
	JAE	out			// REP MOVSB
blocks:
	CMPQ	CX, $64
	JB	words
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
	SUBQ	$64, CX
	JMP	blocks
words:
	CMPQ	CX, $8
	JB	out
	MOVQ	(SI), AX
	MOVQ	AX, (DI)
	ADDQ	$8, SI
	ADDQ	$8, DI
	SUBQ	$8, CX
	JMP	words
out:
	RET
TEXT copyWordsEnd<>(SB),NOSPLIT|NOFRAME,$0
	RET

// copyTail copies the last bytes, or finds out at which byte the fault is.
TEXT copyTail<>(SB),NOSPLIT|NOFRAME,$0
	REP; MOVSB
	RET
TEXT copyTailEnd<>(SB),NOSPLIT|NOFRAME,$0
	RET

// zeroWords and zeroTail do the same with zeroes: AX is 0.
TEXT zeroWords<>(SB),NOSPLIT|NOFRAME,$0
words:
	CMPQ	CX, $8
	JB	out
	MOVQ	AX, (DI)
	ADDQ	$8, DI
	SUBQ	$8, CX
	JMP	words
out:
	RET
TEXT zeroWordsEnd<>(SB),NOSPLIT|NOFRAME,$0
	RET

TEXT zeroTail<>(SB),NOSPLIT|NOFRAME,$0
	REP; STOSB
	RET
TEXT zeroTailEnd<>(SB),NOSPLIT|NOFRAME,$0
	RET

// func userCopy(root uint64, dst, src uintptr, n uintptr) (left uintptr)
TEXT ·userCopy(SB),NOSPLIT,$0-40
	MOVQ	root+0(FP), R8
	MOVQ	dst+8(FP), DI
	MOVQ	src+16(FP), SI
	MOVQ	n+24(FP), CX
	ENTERUSER
	CALL	copyWords<>(SB)
	CALL	copyTail<>(SB)
	LEAVEUSER
	MOVQ	CX, left+32(FP)
	RET

// func userZero(root uint64, dst uintptr, n uintptr) (left uintptr)
TEXT ·userZero(SB),NOSPLIT,$0-32
	MOVQ	root+0(FP), R8
	MOVQ	dst+8(FP), DI
	MOVQ	n+16(FP), CX
	XORL	AX, AX
	ENTERUSER
	CALL	zeroWords<>(SB)
	CALL	zeroTail<>(SB)
	LEAVEUSER
	MOVQ	CX, left+24(FP)
	RET

// The accesses of LoadUser32 and CASUser32: CX becomes 0 once they are done.
TEXT userAccess<>(SB),NOSPLIT|NOFRAME,$0
	TESTQ	DX, DX
	JNZ	cas
	MOVL	(SI), AX
	XORL	CX, CX
	RET
cas:
	LOCK
	CMPXCHGL BX, (SI)
	XORL	CX, CX
	RET
TEXT userAccessEnd<>(SB),NOSPLIT|NOFRAME,$0
	RET

// func userAccess32(root, addr uint64, cas uint64, old, new uint32) (v uint32, left uint32)
TEXT ·userAccess32(SB),NOSPLIT,$0-40
	MOVQ	root+0(FP), R8
	MOVQ	addr+8(FP), SI
	MOVQ	cas+16(FP), DX
	MOVL	old+24(FP), AX
	MOVL	new+28(FP), BX
	MOVQ	$4, CX
	ENTERUSER
	CALL	userAccess<>(SB)
	LEAVEUSER
	MOVL	AX, v+32(FP)
	MOVL	CX, left+36(FP)
	RET

TEXT fixReturn<>(SB),NOSPLIT|NOFRAME,$0
	RET

// userFixups are start, end and continuation of each range.
DATA ·userFixups+0(SB)/8, $copyWords<>(SB)
DATA ·userFixups+8(SB)/8, $copyWordsEnd<>(SB)
DATA ·userFixups+16(SB)/8, $fixReturn<>(SB)
DATA ·userFixups+24(SB)/8, $copyTail<>(SB)
DATA ·userFixups+32(SB)/8, $copyTailEnd<>(SB)
DATA ·userFixups+40(SB)/8, $fixReturn<>(SB)
DATA ·userFixups+48(SB)/8, $zeroWords<>(SB)
DATA ·userFixups+56(SB)/8, $zeroWordsEnd<>(SB)
DATA ·userFixups+64(SB)/8, $fixReturn<>(SB)
DATA ·userFixups+72(SB)/8, $zeroTail<>(SB)
DATA ·userFixups+80(SB)/8, $zeroTailEnd<>(SB)
DATA ·userFixups+88(SB)/8, $fixReturn<>(SB)
DATA ·userFixups+96(SB)/8, $userAccess<>(SB)
DATA ·userFixups+104(SB)/8, $userAccessEnd<>(SB)
DATA ·userFixups+112(SB)/8, $fixReturn<>(SB)
GLOBL ·userFixups(SB), RODATA|NOPTR, $120
