// The floating-point state that a signal handler starts with and that sigreturn restores: sigaction(2), sigreturn(2),
// the Intel SDM on XRSTOR, and Linux's arch/x86/kernel/fpu/signal.c.
#include "check.h"
#include <cpuid.h>
#include <sys/auxv.h>
#include <sys/wait.h>
#include <ucontext.h>

struct control {
	unsigned mxcsr;
	unsigned short cw, sw, tag;
};

static struct control control(void)
{
	struct control c;
	unsigned char env[28];
	__asm__ volatile("stmxcsr %0; fnstcw %1" : "=m"(c.mxcsr), "=m"(c.cw));
	__asm__ volatile("fnstenv %0; fldenv %0" : "=m"(env));
	memcpy(&c.sw, env + 4, 2);
	memcpy(&c.tag, env + 8, 2);
	return c;
}

static volatile struct control seen;
static volatile unsigned char xmm7[16];

static void look(int s)
{
	(void)s;
	unsigned char v[16];
	__asm__ volatile("movdqu %%xmm7, %0" : "=m"(v));
	memcpy((void *)xmm7, v, 16);
	struct control c = control();
	memcpy((void *)&seen, &c, sizeof c);
	__asm__ volatile("fldpi; fldpi"); // and leaves something behind
}

// send raises a signal without a call into libc, so that the x87 stack stays as it is.
#define SEND(sig) ({ \
	long rax_ = SYS_tgkill; \
	__asm__ volatile("syscall" : "+a"(rax_) : "D"((long)getpid_), "S"((long)gettid_), "d"((long)(sig)) : "rcx", "r11", "memory"); \
	rax_; })

static long getpid_, gettid_;

static void me(void)
{
	getpid_ = getpid();
	gettid_ = syscall(SYS_gettid);
}

static void defaults(const char *what)
{
	char name[80];
	snprintf(name, sizeof name, "%s: MXCSR", what);
	EQ(name, seen.mxcsr, 0x1f80);
	snprintf(name, sizeof name, "%s: x87 control word", what);
	EQ(name, seen.cw, 0x37f);
	snprintf(name, sizeof name, "%s: x87 stack", what);
	OK(name, seen.tag == 0xffff && (seen.sw >> 11 & 7) == 0);
}

static void handlers(void)
{
	signal(SIGUSR1, look);
	unsigned m = 0x7f80, after;
	unsigned short c = 0xc7f, cafter;
	unsigned char pattern[16] = "fifteen letters";
	double one = 0;
	__asm__ volatile("ldmxcsr %0; fldcw %1; fld1; fld1; fld1; movdqu %2, %%xmm7" ::"m"(m), "m"(c), "m"(pattern) : "xmm7");
	SEND(SIGUSR1);
	unsigned char kept[16];
	__asm__ volatile("movdqu %%xmm7, %0" : "=m"(kept));
	__asm__ volatile("stmxcsr %0; fnstcw %1; fstpl %2; fstp %%st(0); fstp %%st(0)" : "=m"(after), "=m"(cafter), "=m"(one));
	struct control then = control();
	__asm__ volatile("fninit; ldmxcsr %0" ::"m"((unsigned){0x1f80}));
	defaults("a handler");
	OK("a handler: vector registers are zero", xmm7[0] == 0 && xmm7[15] == 0);
	EQ("after a handler: MXCSR", after, 0x7f80);
	EQ("after a handler: x87 control word", cafter, 0xc7f);
	OK("after a handler: x87 stack", one == 1 && then.tag == 0xffff);
	OK("after a handler: vector registers", !memcmp(kept, pattern, 16));
}

// A frame that is changed by its handler before it returns.
static int damage;
static volatile int failed_in_frame;

enum { NONE, NULL_FP, BAD_FP, KERNEL_FP, NO_MAGIC1, NO_MAGIC2, BAD_SIZE, BAD_MXCSR, BAD_XSTATE, BAD_XCOMP, LATE_HEADER, NO_SSE };

static void damages(int s, siginfo_t *info, void *context)
{
	(void)s;
	(void)info;
	ucontext_t *u = context;
	unsigned char *fp = (void *)u->uc_mcontext.fpregs;
	uint32_t *sw = (void *)(fp + 464);
	uint64_t *header = (void *)(fp + 512);
	memset(fp + 160 + 16 * 7, 'x', 16); // xmm7
	*(uint32_t *)(fp + 24) = 0x7f80;
	switch (damage) {
	case NULL_FP:
		u->uc_mcontext.fpregs = NULL;
		break;
	case BAD_FP:
		u->uc_mcontext.fpregs = (void *)4096;
		break;
	case KERNEL_FP:
		u->uc_mcontext.fpregs = (void *)0xffff880000000000;
		break;
	case NO_MAGIC1:
		sw[0] = 0;
		header[0] = ~0UL; // is not looked at then
		break;
	case NO_MAGIC2:
		*(uint32_t *)(fp + sw[4]) = 0;
		break;
	case BAD_SIZE:
		sw[4] = 1 << 20;
		break;
	case BAD_MXCSR:
		*(uint32_t *)(fp + 24) = 0xffff0000;
		break;
	case BAD_XSTATE:
		header[0] |= 1UL << 62;
		break;
	case BAD_XCOMP:
		header[1] = 1;
		break;
	case LATE_HEADER:
		header[3] = 1; // XRSTOR looks at bytes 8 to 23 of the header
		break;
	case NO_SSE:
		header[0] &= ~2UL; // the registers are initial, MXCSR comes from the image
		break;
	}
}

static volatile struct control fault;
static volatile unsigned char fault_xmm7[16];
static volatile int fault_code;

static void on_segv(int s, siginfo_t *info, void *context)
{
	(void)s;
	ucontext_t *u = context;
	unsigned char *fp = (void *)u->uc_mcontext.fpregs;
	memcpy((void *)fault_xmm7, fp + 160 + 16 * 7, 16);
	fault.mxcsr = *(uint32_t *)(fp + 24);
	fault_code = info->si_code;
	failed_in_frame = u->uc_mcontext.gregs[REG_RAX] == 0;
}

static int same(volatile unsigned char *p, int c)
{
	for (int i = 0; i < 16; i++)
		if (p[i] != c)
			return 0;
	return 1;
}

// returns makes a handler damage its frame and says what came of it.
static void returns(const char *what, int kind, int segv, int letter, unsigned mxcsr)
{
	damage = kind;
	fault_code = 0;
	unsigned char v[16] = "abcdefghijklmnop", got[16];
	unsigned m;
	__asm__ volatile("movdqu %0, %%xmm7" ::"m"(v) : "xmm7");
	SEND(SIGUSR2);
	__asm__ volatile("movdqu %%xmm7, %0; stmxcsr %1" : "=m"(got), "=m"(m));
	__asm__ volatile("ldmxcsr %0" ::"m"((unsigned){0x1f80}));
	char name[100];
	snprintf(name, sizeof name, "%s: SIGSEGV", what);
	EQ(name, fault_code, segv ? SI_KERNEL : 0);
	if (segv)
		memcpy(got, (void *)fault_xmm7, 16), m = fault.mxcsr;
	snprintf(name, sizeof name, "%s: registers", what);
	OK(name, same(got, letter));
	snprintf(name, sizeof name, "%s: MXCSR", what);
	EQ(name, m, mxcsr);
}

static void frames(void)
{
	struct sigaction sa = {.sa_sigaction = damages, .sa_flags = SA_SIGINFO};
	sigaction(SIGUSR2, &sa, NULL);
	sa.sa_sigaction = on_segv;
	sigaction(SIGSEGV, &sa, NULL);
	unsigned a, b, c, d;
	__cpuid(1, a, b, c, d);
	returns("an edited frame", NONE, 0, 'x', 0x7f80);
	returns("a frame without FP state", NULL_FP, 0, 0, 0x1f80);
	returns("FP state where nothing is", BAD_FP, 1, 0, 0x1f80);
	returns("FP state in the kernel", KERNEL_FP, 1, 0, 0x1f80);
	returns("bad MXCSR", BAD_MXCSR, 1, 0, 0x1f80);
	if (!(c >> 27 & 1)) {
		skip("XSAVE frames", "needs a CPU with XSAVE");
		return;
	}
	returns("no first magic number", NO_MAGIC1, 0, 'x', 0x7f80);
	returns("no second magic number", NO_MAGIC2, 0, 'x', 0x7f80);
	returns("a size that cannot be", BAD_SIZE, 0, 'x', 0x7f80);
	returns("components that the CPU has not", BAD_XSTATE, 1, 0, 0x1f80);
	returns("a compacted image", BAD_XCOMP, 1, 0, 0x1f80);
	returns("reserved bytes that nobody checks", LATE_HEADER, 0, 'x', 0x7f80);
	returns("an image without SSE", NO_SSE, 0, 0, 0x7f80);
}

static volatile int sizes_good;

static void sizes(int s, siginfo_t *info, void *context)
{
	(void)s;
	(void)info;
	ucontext_t *u = context;
	unsigned char *fp = (void *)u->uc_mcontext.fpregs;
	uint32_t *sw = (void *)(fp + 464);
	unsigned a, b, c, d;
	__cpuid_count(0xd, 0, a, b, c, d);
	unsigned char *low = (unsigned char *)context - 8, *high = fp + sw[1];
	sizes_good = 1;
	if (u->uc_flags & 1)
		sizes_good = sw[0] == 0x46505853 && sw[1] == sw[4] + 4 && sw[4] >= 576 && sw[4] <= c &&
			     *(uint32_t *)(fp + sw[4]) == 0x46505845;
	sizes_good &= ((uintptr_t)fp & 63) == 0 && ((uintptr_t)low & 15) == 8;
	sizes_good &= (unsigned long)(high - low) <= getauxval(AT_MINSIGSTKSZ);
}

static void *on_thread(void *arg)
{
	(void)arg;
	return (void *)(long)(control().mxcsr << 16 | control().cw);
}

int main(int argc, char **argv)
{
	if (argc > 1) {
		struct control c = control();
		_exit(c.mxcsr == 0x1f80 && c.cw == 0x37f && c.tag == 0xffff ? 0 : 1);
	}
	me();
	handlers();
	frames();
	struct sigaction sa = {.sa_sigaction = sizes, .sa_flags = SA_SIGINFO};
	sigaction(SIGUSR1, &sa, NULL);
	raise(SIGUSR1);
	OK("sizes and alignment of a frame", sizes_good);

	// fork and clone inherit, execve resets.
	unsigned m = 0x7f80;
	unsigned short cw = 0xc7f;
	__asm__ volatile("ldmxcsr %0; fldcw %1" ::"m"(m), "m"(cw));
	int status;
	pid_t child = fork();
	if (child == 0) {
		struct control c = control();
		_exit(c.mxcsr == 0x7f80 && c.cw == 0xc7f ? 0 : 1);
	}
	waitpid(child, &status, 0);
	EQ("fork inherits control words", status, 0);
	child = fork();
	if (child == 0) {
		execl("/proc/self/exe", argv[0], "control", NULL);
		_exit(2);
	}
	waitpid(child, &status, 0);
	EQ("execve resets control words", status, 0);
	pthread_t t;
	void *r;
	pthread_create(&t, NULL, on_thread, NULL);
	pthread_join(t, &r);
	EQ("clone inherits control words", (long)r, 0x7f800c7f);
	done();
}
