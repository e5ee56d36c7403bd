// The vector state of kernel code (const_xmmSize bytes at DI).
#define SAVEXMM \
	MOVUPS	X0, 0(DI); \
	MOVUPS	X1, 16(DI); \
	MOVUPS	X2, 32(DI); \
	MOVUPS	X3, 48(DI); \
	MOVUPS	X4, 64(DI); \
	MOVUPS	X5, 80(DI); \
	MOVUPS	X6, 96(DI); \
	MOVUPS	X7, 112(DI); \
	MOVUPS	X8, 128(DI); \
	MOVUPS	X9, 144(DI); \
	MOVUPS	X10, 160(DI); \
	MOVUPS	X11, 176(DI); \
	MOVUPS	X12, 192(DI); \
	MOVUPS	X13, 208(DI); \
	MOVUPS	X14, 224(DI); \
	MOVUPS	X15, 240(DI); \
	STMXCSR	256(DI)
#define LOADXMM \
	MOVUPS	0(DI), X0; \
	MOVUPS	16(DI), X1; \
	MOVUPS	32(DI), X2; \
	MOVUPS	48(DI), X3; \
	MOVUPS	64(DI), X4; \
	MOVUPS	80(DI), X5; \
	MOVUPS	96(DI), X6; \
	MOVUPS	112(DI), X7; \
	MOVUPS	128(DI), X8; \
	MOVUPS	144(DI), X9; \
	MOVUPS	160(DI), X10; \
	MOVUPS	176(DI), X11; \
	MOVUPS	192(DI), X12; \
	MOVUPS	208(DI), X13; \
	MOVUPS	224(DI), X14; \
	MOVUPS	240(DI), X15; \
	LDMXCSR	256(DI)

// SETFS makes AX the FS base: WRFSBASE, or the MSR on CPUs without it.
#define SETFS \
	CMPB	·fsgsbase(SB), $0; \
	JEQ	3(PC); \
	WRFSBASEQ AX; \
	JMP	2(PC); \
	CALL	slowFS<>(SB)

// DROPAC ends the access to user pages that a trap may have interrupted.
#define DROPAC \
	CMPB	·smap(SB), $0; \
	JEQ	2(PC); \
	CLAC

// The fields of Context.machine.
#define Context_ksp (Context_machine+machine_ksp)
#define Context_kbp (Context_machine+machine_kbp)
#define Context_xmm (Context_machine+machine_xmm)
#define Context_kick (Context_machine+machine_kick)
