//go:build !metal

#include "textflag.h"

// Plain 16-byte stores: REP STOS is slow under emulation, and no faster for one
// page on hardware.

// func zeroPage(p uintptr)
TEXT ·zeroPage(SB), NOSPLIT, $0-8
	MOVQ	p+0(FP), DI
	MOVQ	$(4096/128), CX
	PXOR	X0, X0
zero:
	MOVUPS	X0, (DI)
	MOVUPS	X0, 16(DI)
	MOVUPS	X0, 32(DI)
	MOVUPS	X0, 48(DI)
	MOVUPS	X0, 64(DI)
	MOVUPS	X0, 80(DI)
	MOVUPS	X0, 96(DI)
	MOVUPS	X0, 112(DI)
	ADDQ	$128, DI
	DECQ	CX
	JNZ	zero
	RET

// func copyPage(dst, src uintptr)
TEXT ·copyPage(SB), NOSPLIT, $0-16
	MOVQ	dst+0(FP), DI
	MOVQ	src+8(FP), SI
	MOVQ	$(4096/64), CX
copy:
	MOVUPS	(SI), X0
	MOVUPS	16(SI), X1
	MOVUPS	32(SI), X2
	MOVUPS	48(SI), X3
	MOVUPS	X0, (DI)
	MOVUPS	X1, 16(DI)
	MOVUPS	X2, 32(DI)
	MOVUPS	X3, 48(DI)
	ADDQ	$64, SI
	ADDQ	$64, DI
	DECQ	CX
	JNZ	copy
	RET
