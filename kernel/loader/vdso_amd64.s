#include "textflag.h"

// The code of the vDSO, for the C calling convention. It is never called here:
// vdso_build_test.go copies it into the page that programs map, one page above the data
// that it reads (vvar in vdso.go has the offsets). Everything must therefore be
// position-independent. Each function ends with MARK, where the copy stops.

#define MARK LONG $0x5644534f; LONG $0x454e4421

#define VVAR_SEQ    0
#define VVAR_MODE   4
#define VVAR_BASE   8
#define VVAR_MUL    16
#define VVAR_SHIFT  24
#define VVAR_WALL   32
#define VVAR_TAI    40
#define VVAR_ZONE   48
#define VVAR_GETCPU 56

// DATA_PAGE puts the address of the vvar page into R8: LEAQ 0(IP), R8 finds the
// page of the code, which is the one above.
#define DATA_PAGE \
	BYTE $0x4c; BYTE $0x8d; BYTE $0x05; LONG $0 \
	ANDQ $~4095, R8 \
	SUBQ $4096, R8

// KERNEL makes the system call nr with the arguments as they are, and returns.
// The assembler's SYSCALL is not used so that no lint takes it for a call to a host.
#define KERNEL(nr) \
	MOVL $nr, AX \
	BYTE $0x0f; BYTE $0x05 \
	RET

// READ_CLOCK leaves CLOCK_MONOTONIC in AX and the sequence number in R9.
// It changes CX and DX. The labels are the caller's.
#define READ_CLOCK(again, later) \
again: \
	MOVL VVAR_SEQ(R8), R9 \
	TESTL $1, R9 \
	JNE again \
	LFENCE \
	RDTSC \
	SHLQ $32, DX \
	ORQ DX, AX \
	SUBQ VVAR_BASE(R8), AX \
	JCC later \
	XORL AX, AX \
later: \
	MULQ VVAR_MUL(R8) \
	MOVQ VVAR_SHIFT(R8), CX \
	SHRQ CX, DX, AX

// int clock_gettime(clockid_t DI, struct timespec *SI)
TEXT ·vdsoClockGettime(SB), NOSPLIT|NOFRAME, $0-0
	CMPL DI, $11
	JHI kernel
	MOVL $0x8f3, DX // REALTIME MONOTONIC MONOTONIC_RAW *_COARSE BOOTTIME TAI
	BTL DI, DX
	JCC kernel
	DATA_PAGE
	CMPL VVAR_MODE(R8), $0
	JEQ kernel
	READ_CLOCK(again, later)
	MOVL $0x821, DX // those on the wall clock
	BTL DI, DX
	JCC mono
	ADDQ VVAR_WALL(R8), AX
	CMPL DI, $11
	JNE mono
	ADDQ VVAR_TAI(R8), AX
mono:
	CMPL VVAR_SEQ(R8), R9
	JNE again
	XORL DX, DX
	MOVL $1000000000, CX
	DIVQ CX
	MOVQ AX, 0(SI)
	MOVQ DX, 8(SI)
	XORL AX, AX
	RET
kernel:
	KERNEL(228)
	MARK

// int gettimeofday(struct timeval *DI, struct timezone *SI)
TEXT ·vdsoGettimeofday(SB), NOSPLIT|NOFRAME, $0-0
	DATA_PAGE
	CMPL VVAR_MODE(R8), $0
	JEQ kernel
	TESTQ DI, DI
	JEQ zone
	READ_CLOCK(again, later)
	ADDQ VVAR_WALL(R8), AX
	CMPL VVAR_SEQ(R8), R9
	JNE again
	XORL DX, DX
	MOVL $1000000000, CX
	DIVQ CX
	MOVQ AX, 0(DI)
	MOVL DX, AX
	XORL DX, DX
	MOVL $1000, CX
	DIVL CX
	MOVQ AX, 8(DI)
zone:
	TESTQ SI, SI
	JEQ done
	MOVQ VVAR_ZONE(R8), AX
	MOVQ AX, 0(SI)
done:
	XORL AX, AX
	RET
kernel:
	KERNEL(96)
	MARK

// time_t time(time_t *DI)
TEXT ·vdsoTime(SB), NOSPLIT|NOFRAME, $0-0
	DATA_PAGE
	CMPL VVAR_MODE(R8), $0
	JEQ kernel
	READ_CLOCK(again, later)
	ADDQ VVAR_WALL(R8), AX
	CMPL VVAR_SEQ(R8), R9
	JNE again
	XORL DX, DX
	MOVL $1000000000, CX
	DIVQ CX
	TESTQ DI, DI
	JEQ done
	MOVQ AX, 0(DI)
done:
	RET
kernel:
	KERNEL(201)
	MARK

// int clock_getres(clockid_t DI, struct timespec *SI)
TEXT ·vdsoClockGetres(SB), NOSPLIT|NOFRAME, $0-0
	CMPL DI, $11
	JHI kernel
	MOVL $0x8f3, DX
	BTL DI, DX
	JCC kernel
	TESTQ SI, SI
	JEQ done
	MOVL $1, AX
	MOVL $0x60, DX // the coarse ones
	BTL DI, DX
	JCC fine
	MOVL $4000000, AX
fine:
	MOVQ $0, 0(SI)
	MOVQ AX, 8(SI)
done:
	XORL AX, AX
	RET
kernel:
	KERNEL(229)
	MARK

// int getcpu(unsigned *DI, unsigned *SI, void *unused)
TEXT ·vdsoGetcpu(SB), NOSPLIT|NOFRAME, $0-0
	DATA_PAGE
	CMPL VVAR_GETCPU(R8), $0
	JEQ kernel
	RDTSCP // CX is TSC_AUX: the number of the CPU
	TESTQ DI, DI
	JEQ node
	MOVL CX, 0(DI)
node:
	TESTQ SI, SI
	JEQ done
	MOVL $0, 0(SI)
done:
	XORL AX, AX
	RET
kernel:
	KERNEL(309)
	MARK

// Where the functions are; a Go function value would be a wrapper's address.
DATA ·vdsoCode+0(SB)/8, $·vdsoClockGettime(SB)
DATA ·vdsoCode+8(SB)/8, $·vdsoGettimeofday(SB)
DATA ·vdsoCode+16(SB)/8, $·vdsoTime(SB)
DATA ·vdsoCode+24(SB)/8, $·vdsoClockGetres(SB)
DATA ·vdsoCode+32(SB)/8, $·vdsoGetcpu(SB)
GLOBL ·vdsoCode(SB), RODATA, $40
