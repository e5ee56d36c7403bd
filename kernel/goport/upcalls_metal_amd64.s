//go:build metal

#include "go_asm.h"
#include "textflag.h"

// The machine layer's assembly in package cpu calls these Go functions by name. The references here make the compiler
// emit their entry points for assembly.
DATA upcalls<>+0(SB)/8, $·bootMain(SB)
DATA upcalls<>+8(SB)/8, $·apMain(SB)
DATA upcalls<>+16(SB)/8, $·syscallMain(SB)
DATA upcalls<>+24(SB)/8, $·trapKernel(SB)
DATA upcalls<>+32(SB)/8, $·preempted(SB)
DATA upcalls<>+40(SB)/8, $·trapUser(SB)
DATA upcalls<>+48(SB)/8, $·trapParanoid(SB)
GLOBL upcalls<>(SB), RODATA|NOPTR, $56

// func runtimeSched() uintptr: the address of the runtime's scheduler state
TEXT ·runtimeSched(SB),NOSPLIT,$0-8
	LEAQ	runtime·sched(SB), AX
	MOVQ	AX, ret+0(FP)
	RET

// func layout() *runtimeLayout
TEXT ·layout(SB),NOSPLIT,$0-8
	LEAQ	runtime·gosvLayout(SB), AX
	MOVQ	AX, ret+0(FP)
	RET

// func Self() G
TEXT ·Self(SB),NOSPLIT,$0-8
	MOVQ	(TLS), AX
	MOVQ	AX, ret+0(FP)
	RET

// func currentP(l *runtimeLayout) uintptr
TEXT ·currentP(SB),NOSPLIT,$0-16
	MOVQ	l+0(FP), BX
	MOVQ	(TLS), AX		// g
	MOVQ	runtimeLayout_m(BX), CX
	MOVQ	(AX)(CX*1), AX
	MOVQ	runtimeLayout_p(BX), CX
	MOVQ	(AX)(CX*1), AX
	MOVQ	AX, ret+8(FP)
	RET
