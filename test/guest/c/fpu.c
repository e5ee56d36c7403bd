// Floating point and vector state: kept over system calls, signals, faults and
// preemption, and not leaked between threads.
#include "check.h"
#include <cpuid.h>
#include <fenv.h>
#include <immintrin.h>
#include <math.h>

static volatile int stop, ticks;

static void clobber(int s)
{
	(void)s;
	ticks++;
	__asm__ volatile("pxor %%xmm0,%%xmm0; pxor %%xmm5,%%xmm5; pxor %%xmm15,%%xmm15; fninit" ::: "xmm0", "xmm5", "xmm15");
	if (__builtin_cpu_supports("avx"))
		__asm__ volatile("vzeroall" ::: "memory");
}

// fill_sse puts a pattern into all registers, makes n system calls, and compares.
static long sse_round(uint64_t seed, int calls)
{
	__attribute__((aligned(16))) uint64_t in[32], out[32];
	for (int i = 0; i < 32; i++)
		in[i] = seed * 0x9e3779b97f4a7c15 + i * 0x0101010101010101;
	long n = calls;
	__asm__ volatile(
		"movdqa 0(%1),%%xmm0; movdqa 16(%1),%%xmm1; movdqa 32(%1),%%xmm2; movdqa 48(%1),%%xmm3\n"
		"movdqa 64(%1),%%xmm4; movdqa 80(%1),%%xmm5; movdqa 96(%1),%%xmm6; movdqa 112(%1),%%xmm7\n"
		"movdqa 128(%1),%%xmm8; movdqa 144(%1),%%xmm9; movdqa 160(%1),%%xmm10; movdqa 176(%1),%%xmm11\n"
		"movdqa 192(%1),%%xmm12; movdqa 208(%1),%%xmm13; movdqa 224(%1),%%xmm14; movdqa 240(%1),%%xmm15\n"
		"1: mov $24,%%eax; syscall; dec %0; jnz 1b\n" // sched_yield
		"movdqa %%xmm0,0(%2); movdqa %%xmm1,16(%2); movdqa %%xmm2,32(%2); movdqa %%xmm3,48(%2)\n"
		"movdqa %%xmm4,64(%2); movdqa %%xmm5,80(%2); movdqa %%xmm6,96(%2); movdqa %%xmm7,112(%2)\n"
		"movdqa %%xmm8,128(%2); movdqa %%xmm9,144(%2); movdqa %%xmm10,160(%2); movdqa %%xmm11,176(%2)\n"
		"movdqa %%xmm12,192(%2); movdqa %%xmm13,208(%2); movdqa %%xmm14,224(%2); movdqa %%xmm15,240(%2)\n"
		: "+r"(n) : "r"(in), "r"(out)
		: "rax", "rcx", "r11", "memory", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7",
		  "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15");
	return memcmp(in, out, sizeof in) != 0;
}

__attribute__((target("avx"))) static long avx_round(uint64_t seed, int calls)
{
	__attribute__((aligned(32))) uint64_t in[16], out[16];
	for (int i = 0; i < 16; i++)
		in[i] = seed * 0x9e3779b97f4a7c15 + i * 0x0101010101010101;
	long n = calls;
	__asm__ volatile(
		"vmovdqa 0(%1),%%ymm0; vmovdqa 32(%1),%%ymm7; vmovdqa 64(%1),%%ymm8; vmovdqa 96(%1),%%ymm15\n"
		"1: mov $24,%%eax; syscall; dec %0; jnz 1b\n"
		"vmovdqa %%ymm0,0(%2); vmovdqa %%ymm7,32(%2); vmovdqa %%ymm8,64(%2); vmovdqa %%ymm15,96(%2); vzeroupper\n"
		: "+r"(n) : "r"(in), "r"(out)
		: "rax", "rcx", "r11", "memory", "xmm0", "xmm7", "xmm8", "xmm15");
	return memcmp(in, out, sizeof in) != 0;
}

__attribute__((target("avx"))) static long avx_spin(uint64_t seed)
{
	__attribute__((aligned(32))) uint64_t in[4], out[4];
	for (int i = 0; i < 4; i++)
		in[i] = seed + i * 0x1111111111111111;
	long n = 300000;
	__asm__ volatile(
		"vmovdqa (%1),%%ymm6\n"
		"1: pause; dec %0; jnz 1b\n"
		"vmovdqa %%ymm6,(%2); vzeroupper\n"
		: "+r"(n) : "r"(in), "r"(out) : "memory", "xmm6");
	return memcmp(in, out, sizeof in) != 0;
}

static void *works(void *arg)
{
	uint64_t me = (uintptr_t)arg;
	long bad = 0;
	int avx = __builtin_cpu_supports("avx");
	for (int i = 0; i < 150; i++) {
		bad += sse_round(me * 1000 + i, 5);
		if (avx) {
			bad += avx_round(me * 1000 + i, 5);
			if (i % 10 == 0)
				bad += avx_spin(me * 1000 + i);
		}
	}
	// x87: a sum that needs the registers and the control word to stay.
	long double x = me;
	for (int i = 0; i < 20000; i++) {
		x = x * 1.0000001L + 0.5L;
		if (i % 500 == 0)
			sched_yield();
	}
	long double y = me;
	for (int i = 0; i < 20000; i++)
		y = y * 1.0000001L + 0.5L;
	bad += x != y;
	return (void *)bad;
}

static void *rounding(void *arg)
{
	int mode = arg ? FE_UPWARD : FE_DOWNWARD;
	long bad = 0;
	fesetround(mode);
	for (int i = 0; i < 300; i++) {
		sched_yield();
		bad += fegetround() != mode;
		volatile double one = 1, three = 3, third = one / three;
		bad += (third * 3 > 1) != 0 && mode == FE_DOWNWARD;
	}
	return (void *)bad;
}

static volatile int fpe_code;
static void on_fpe(int s, siginfo_t *info, void *context)
{
	(void)s;
	fpe_code = info->si_code;
	ucontext_t *u = context;
	u->uc_mcontext.fpregs->mxcsr |= 0x1f80; // mask again
	u->uc_mcontext.fpregs->mxcsr &= ~0x3fu;
}

static void edits(int s, siginfo_t *info, void *context)
{
	(void)s;
	(void)info;
	ucontext_t *u = context;
	memset(&u->uc_mcontext.fpregs->_xmm[3], 0x5a, 16);
}

// emulated says whether the CPU is one of QEMU's TCG.
static int emulated(void)
{
	unsigned a, b, c, d;
	__cpuid(1, a, b, c, d);
	if (!(c >> 31))
		return 0;
	__cpuid(0x40000000, a, b, c, d);
	return !memcmp(&b, "TCGT", 4);
}

int main(void)
{
	__builtin_cpu_init();
	struct sigaction sa = {.sa_handler = clobber};
	sigaction(SIGALRM, &sa, NULL);
	sigaction(SIGUSR1, &sa, NULL);
	EQ("SSE over system calls", sse_round(1, 100), 0);
	if (__builtin_cpu_supports("avx"))
		EQ("AVX over system calls", avx_round(2, 100), 0);
	else
		skip("AVX over system calls", "needs a CPU with AVX");
	struct itimerval_ { long a, b, c, d; } it = {0, 2000, 0, 2000};
	syscall(SYS_setitimer, 0, &it, NULL);
	long bad = 0;
	int avx = __builtin_cpu_supports("avx");
	for (int i = 0; i < 5000 && (ticks < 20 || i < 50); i++) {
		bad += sse_round(i, 20);
		if (avx)
			bad += avx_spin(i);
	}
	it = (struct itimerval_){0, 0, 0, 0};
	syscall(SYS_setitimer, 0, &it, NULL);
	EQ("vectors over signals", bad, 0);
	OK("signals came", ticks >= 20);

	pthread_t t[6];
	bad = 0;
	for (long i = 0; i < 6; i++)
		pthread_create(&t[i], NULL, works, (void *)(i + 1));
	for (int i = 0; i < 6; i++) {
		void *r;
		pthread_join(t[i], &r);
		bad += (long)r;
	}
	EQ("vectors of six threads", bad, 0);
	bad = 0;
	for (long i = 0; i < 4; i++)
		pthread_create(&t[i], NULL, rounding, (void *)(i & 1));
	for (int i = 0; i < 4; i++) {
		void *r;
		pthread_join(t[i], &r);
		bad += (long)r;
	}
	EQ("rounding modes of four threads", bad, 0);
	EQ("rounding mode of the first", fegetround(), FE_TONEAREST);
	OK("sqrt", fabs(sqrt(2.0) - 1.41421356237309504880) < 1e-15);
	uint32_t mxcsr = _mm_getcsr();
	EQ("initial MXCSR", mxcsr & ~0x3f, 0x1f80);
	uint16_t cw;
	__asm__("fnstcw %0" : "=m"(cw));
	EQ("initial x87 control word", cw, 0x37f);

	sa = (struct sigaction){.sa_sigaction = on_fpe, .sa_flags = SA_SIGINFO};
	sigaction(SIGFPE, &sa, NULL);
	_mm_setcsr(0x1f80 & ~0x200); // divide by zero traps
	volatile double zero = 0, result = 1 / zero;
	if (emulated())
		skip("SIGFPE of SSE", "needs a CPU that QEMU does not emulate: it raises no SIMD exceptions");
	else
		OK("SIGFPE of SSE", fpe_code == FPE_FLTDIV && isinf(result));
	_mm_setcsr(0x1f80);
	sa = (struct sigaction){.sa_sigaction = edits, .sa_flags = SA_SIGINFO};
	sigaction(SIGUSR2, &sa, NULL);
	unsigned char x3[16];
	long pid = getpid(), tid = gettid(), rax = SYS_tgkill;
	__asm__ volatile("pxor %%xmm3,%%xmm3; syscall; movdqu %%xmm3,(%1)"
		: "+a"(rax) : "r"(x3), "D"(pid), "S"(tid), "d"((long)SIGUSR2) : "rcx", "r11", "memory", "xmm3");
	OK("a handler edits a vector register", x3[0] == 0x5a && x3[15] == 0x5a);
	done();
}
