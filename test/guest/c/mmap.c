// Anonymous memory: mmap, munmap, mprotect, mremap, madvise, brk, the stack.
#include "check.h"
#include <setjmp.h>
#include <sys/resource.h>

#define PAGE 4096L
#define RW (PROT_READ | PROT_WRITE)
#define ANON (MAP_PRIVATE | MAP_ANONYMOUS)

static sigjmp_buf env;
static volatile int fault_signal, fault_code;
static void *volatile fault_address;

static void on_fault(int s, siginfo_t *info, void *context)
{
	(void)context;
	fault_signal = s;
	fault_code = info->si_code;
	fault_address = info->si_addr;
	siglongjmp(env, 1);
}

// touch says which signal reading (or writing) an address causes, 0 for none.
static int touch(volatile char *p, int write)
{
	fault_signal = 0;
	if (sigsetjmp(env, 1) == 0) {
		if (write)
			*p = 1;
		else
			(void)*p;
	}
	return fault_signal;
}

static char *map(size_t pages)
{
	return mmap(NULL, pages * PAGE, RW, ANON, -1, 0);
}

static void maps(void)
{
	char *p = map(4);
	OK("mmap", p != MAP_FAILED);
	OK("page aligned", ((uintptr_t)p & (PAGE - 1)) == 0);
	int sum = 0;
	for (int i = 0; i < 4 * PAGE; i++)
		sum += p[i];
	EQ("zero filled", sum, 0);
	p[0] = 1;
	p[4 * PAGE - 1] = 2;
	EQ("munmap middle", munmap(p + PAGE, 2 * PAGE), 0);
	EQ("hole faults", touch(p + PAGE, 0), SIGSEGV);
	EQ("fault code", fault_code, SEGV_MAPERR);
	OK("fault address", fault_address == p + PAGE);
	OK("the ends stay", p[0] == 1 && p[4 * PAGE - 1] == 2);
	EQ("munmap of a hole", munmap(p, 4 * PAGE), 0);
	FAILS("munmap unaligned", munmap(p + 1, PAGE), EINVAL);
	FAILS("munmap nothing", munmap(p, 0), EINVAL);
	OK("mmap zero length", mmap(NULL, 0, RW, ANON, -1, 0) == MAP_FAILED && errno == EINVAL);
	OK("mmap without a kind", mmap(NULL, PAGE, RW, MAP_ANONYMOUS, -1, 0) == MAP_FAILED && errno == EINVAL);
	OK("mmap bad descriptor", mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, 900, 0) == MAP_FAILED && errno == EBADF);
	OK("mmap too large", mmap(NULL, 1UL << 47, RW, ANON | MAP_NORESERVE, -1, 0) == MAP_FAILED && errno == ENOMEM);

	p = map(8);
	char *q = mmap(p + 2 * PAGE, PAGE, RW, ANON, -1, 0);
	OK("a taken hint is not used", q != MAP_FAILED && (q < p || q >= p + 8 * PAGE));
	p[2 * PAGE] = 7;
	q = mmap(p + 2 * PAGE, 2 * PAGE, RW, ANON | MAP_FIXED, -1, 0);
	OK("MAP_FIXED", q == p + 2 * PAGE);
	EQ("MAP_FIXED replaces", p[2 * PAGE], 0);
	OK("MAP_FIXED_NOREPLACE", mmap(p, PAGE, RW, ANON | MAP_FIXED_NOREPLACE, -1, 0) == MAP_FAILED && errno == EEXIST);
	munmap(p + 3 * PAGE, PAGE);
	q = mmap(p + 3 * PAGE, PAGE, RW, ANON | MAP_FIXED_NOREPLACE, -1, 0);
	OK("MAP_FIXED_NOREPLACE in a hole", q == p + 3 * PAGE);
	q = mmap(p + 64 * 1024 * PAGE, PAGE, RW, ANON, -1, 0);
	OK("MAP_FIXED unaligned", mmap(p + 5, PAGE, RW, ANON | MAP_FIXED, -1, 0) == MAP_FAILED && errno == EINVAL);
	q = mmap(NULL, PAGE, RW, ANON | MAP_32BIT, -1, 0);
	OK("MAP_32BIT", q != MAP_FAILED && (uintptr_t)q < 1UL << 31);
	q = mmap(NULL, 64 * PAGE, RW, ANON | MAP_POPULATE, -1, 0);
	unsigned char in[64] = {0};
	EQ("mincore", mincore(q, 64 * PAGE, in), 0);
	int resident = 0;
	for (int i = 0; i < 64; i++)
		resident += in[i] & 1;
	EQ("MAP_POPULATE is resident", resident, 64);
	q = map(64);
	q[5 * PAGE] = 1;
	mincore(q, 64 * PAGE, in);
	OK("mincore by page", (in[5] & 1) == 1);
	FAILS("mincore unmapped", mincore((void *)(64 * PAGE), PAGE, in), ENOMEM);
	FAILS("mincore unaligned", mincore(q + 1, PAGE, in), EINVAL);
	size_t huge = 64UL << 30;
	q = mmap(NULL, huge, RW, ANON | MAP_NORESERVE, -1, 0);
	OK("64 GiB reserved", q != MAP_FAILED);
	q[0] = q[huge / 2] = q[huge - 1] = 3;
	OK("and sparsely used", q[0] + q[huge / 2] + q[huge - 1] == 9);
	EQ("and unmapped", munmap(q, huge), 0);
	OK("shared anonymous", (q = mmap(NULL, PAGE, RW, MAP_SHARED | MAP_ANONYMOUS, -1, 0)) != MAP_FAILED);
	q[0] = 5;
	EQ("shared anonymous holds", q[0], 5);
}

static void protections(void)
{
	char *p = map(3);
	memset(p, 'a', 3 * PAGE);
	EQ("mprotect read", mprotect(p + PAGE, PAGE, PROT_READ), 0);
	EQ("read allowed", touch(p + PAGE, 0), 0);
	EQ("write refused", touch(p + PAGE, 1), SIGSEGV);
	EQ("refused with SEGV_ACCERR", fault_code, SEGV_ACCERR);
	EQ("neighbours writable", touch(p, 1) + touch(p + 2 * PAGE, 1), 0);
	EQ("mprotect none", mprotect(p, 3 * PAGE, PROT_NONE), 0);
	EQ("read refused", touch(p, 0), SIGSEGV);
	EQ("refused with SEGV_ACCERR again", fault_code, SEGV_ACCERR);
	EQ("mprotect back", mprotect(p, 3 * PAGE, RW), 0);
	EQ("content kept", p[PAGE + 5], 'a');
	FAILS("mprotect hole", mprotect((void *)(64 * PAGE), PAGE, RW), ENOMEM);
	FAILS("mprotect unaligned", mprotect(p + 1, PAGE, RW), EINVAL);
	FAILS("mprotect bad bits", mprotect(p, PAGE, 0x100), EINVAL);
	EQ("system call sees PROT_NONE", ({ mprotect(p, PAGE, PROT_NONE); errno = 0; write(1, p, 1) == -1 && errno == EFAULT; }), 1);
	unsigned char code[] = {0xb8, 42, 0, 0, 0, 0xc3}; // mov $42, %eax; ret
	mprotect(p, PAGE, RW);
	memcpy(p, code, sizeof code);
	fault_signal = 0;
	if (sigsetjmp(env, 1) == 0)
		((int (*)(void))p)();
	EQ("no execution without PROT_EXEC", fault_signal, SIGSEGV);
	EQ("mprotect exec", mprotect(p, PAGE, PROT_READ | PROT_EXEC), 0);
	EQ("code runs", ((int (*)(void))p)(), 42);
	EQ("code is not writable", touch(p, 1), SIGSEGV);
	EQ("null pointer", touch(NULL, 0), SIGSEGV);
	EQ("kernel half", touch((char *)0xffff800000000000, 0), SIGSEGV);
	EQ("non-canonical", touch((char *)0x8000000000000000, 0), SIGSEGV);
}

static void remaps(void)
{
	char *p = map(4);
	for (int i = 0; i < 4; i++)
		p[i * PAGE] = 'a' + i;
	char *q = mremap(p, 4 * PAGE, 2 * PAGE, 0);
	OK("mremap shrink", q == p && p[PAGE] == 'b');
	EQ("cut off", touch(p + 2 * PAGE, 0), SIGSEGV);
	q = mremap(p, 2 * PAGE, 100 * PAGE, MREMAP_MAYMOVE);
	OK("mremap grow", q != MAP_FAILED && q[0] == 'a' && q[PAGE] == 'b' && q[99 * PAGE] == 0);
	q[99 * PAGE] = 'z';
	char *block = map(1);
	munmap(block, PAGE);
	char *area = map(300);
	char *target = area + 100 * PAGE;
	p = mremap(q, 100 * PAGE, 100 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, target);
	OK("mremap fixed", p == target && p[0] == 'a' && p[99 * PAGE] == 'z');
	EQ("moved from", touch(q, 0), SIGSEGV);
	OK("mremap blocked in place", mremap(p, 100 * PAGE, 101 * PAGE, 0) == MAP_FAILED && errno == ENOMEM);
	OK("mremap nothing mapped", mremap((void *)(64 * PAGE), PAGE, 2 * PAGE, MREMAP_MAYMOVE) == MAP_FAILED && errno == EFAULT);
	OK("mremap zero", mremap(p, PAGE, 0, 0) == MAP_FAILED && errno == EINVAL);
	OK("mremap flags", mremap(p, PAGE, PAGE, 64) == MAP_FAILED && errno == EINVAL);
	OK("mremap overlap", mremap(p, 4 * PAGE, 4 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, p + PAGE) == MAP_FAILED && errno == EINVAL);
}

static void advices(void)
{
	char *p = map(4);
	memset(p, 'x', 4 * PAGE);
	EQ("MADV_DONTNEED", madvise(p + PAGE, PAGE, MADV_DONTNEED), 0);
	OK("reads zero afterwards", p[PAGE] == 0 && p[2 * PAGE - 1] == 0);
	OK("neighbours kept", p[0] == 'x' && p[2 * PAGE] == 'x');
	EQ("MADV_FREE", madvise(p, PAGE, MADV_FREE), 0);
	OK("old or zero", p[0] == 'x' || p[0] == 0);
	EQ("MADV_WILLNEED", madvise(p, 4 * PAGE, MADV_WILLNEED), 0);
	EQ("MADV_SEQUENTIAL", madvise(p, 4 * PAGE, MADV_SEQUENTIAL), 0);
	EQ("MADV_NORMAL", madvise(p, 4 * PAGE, MADV_NORMAL), 0);
	FAILS("madvise unknown", madvise(p, PAGE, 9999), EINVAL);
	FAILS("madvise unaligned", madvise(p + 1, PAGE, MADV_DONTNEED), EINVAL);
	FAILS("madvise hole", madvise((void *)(64 * PAGE), PAGE, MADV_WILLNEED), ENOMEM);
	EQ("mlock", mlock(p, PAGE), 0);
	FAILS("mlock around the end", mlock((void *)-PAGE, 2 * PAGE), EINVAL);
	FAILS("mlock where nothing is", mlock((void *)0x10000, PAGE), ENOMEM);
	EQ("munlock", munlock(p, PAGE), 0);
	EQ("msync", msync(p, PAGE, MS_SYNC), 0);
	FAILS("msync hole", msync((void *)(64 * PAGE), PAGE, MS_SYNC), ENOMEM);
	FAILS("msync flags", msync(p, PAGE, MS_SYNC | MS_ASYNC), EINVAL);
}

static void breaks(void)
{
	char *b = sbrk(0);
	OK("sbrk grows", sbrk(10 * PAGE) == b);
	b[0] = b[10 * PAGE - 1] = 1;
	EQ("brk memory", b[0] + b[10 * PAGE - 1], 2);
	EQ("brk back", brk(b), 0);
	char *aligned = (char *)(((uintptr_t)b + PAGE - 1) & ~(PAGE - 1));
	EQ("released", touch(aligned + PAGE, 0), SIGSEGV);
	EQ("brk again", brk(b + 10 * PAGE), 0);
	EQ("brk is zero again", aligned[PAGE], 0);
	brk(b);
	void *p[64];
	int sum = 0;
	for (int i = 0; i < 64; i++) {
		p[i] = malloc(100000 + i * 1000);
		memset(p[i], i, 1000);
	}
	for (int i = 0; i < 64; i++) {
		sum += *(char *)p[i];
		free(p[i]);
	}
	EQ("malloc", sum, 64 * 63 / 2);
}

static int recurse(int depth)
{
	volatile char frame[16384];
	frame[0] = depth;
	frame[sizeof frame - 1] = 1;
	return depth == 0 ? frame[sizeof frame - 1] : recurse(depth - 1) + frame[sizeof frame - 1];
}

__attribute__((optimize("O0"))) static int endless(volatile int n)
{
	volatile char frame[4096];
	frame[0] = n;
	return endless(n + 1) + frame[0];
}

static void stacks(void)
{
	struct rlimit r;
	getrlimit(RLIMIT_STACK, &r);
	OK("stack limit", r.rlim_cur >= 1 << 20);
	EQ("stack grows to 6 MiB", recurse(384), 385);
	char *p = mmap(NULL, 64 * PAGE, RW, ANON | MAP_STACK | MAP_NORESERVE, -1, 0);
	stack_t alt = {.ss_sp = p, .ss_size = 64 * PAGE};
	sigaltstack(&alt, NULL);
	r.rlim_cur = 8 << 20;
	setrlimit(RLIMIT_STACK, &r);
	fault_signal = 0;
	if (sigsetjmp(env, 1) == 0)
		endless(0);
	EQ("stack overflow is SIGSEGV on the alternate stack", fault_signal, SIGSEGV);
	p = mmap(NULL, 256 * PAGE, RW, ANON | MAP_GROWSDOWN, -1, 0);
	OK("MAP_GROWSDOWN", p != MAP_FAILED);
}

// Two mappings of one page at a time by many threads: stale translations show here.
static char *volatile churn_page;

static void *churn(void *arg)
{
	long bad = 0;
	for (int i = 0; i < 300; i++) {
		volatile char *m = map(16);
		for (int j = 0; j < 16; j++) {
			bad += m[j * PAGE] != 0;
			m[j * PAGE] = (char)(long)arg;
		}
		for (int j = 0; j < 16; j++)
			bad += m[j * PAGE] != (char)(long)arg;
		madvise((void *)m, 8 * PAGE, MADV_DONTNEED);
		bad += m[0] != 0 || m[15 * PAGE] != (char)(long)arg;
		munmap((void *)m, 16 * PAGE);
	}
	return (void *)bad;
}

static void threads(void)
{
	pthread_t t[4];
	long total = 0;
	for (long i = 0; i < 4; i++)
		pthread_create(&t[i], NULL, churn, (void *)(i + 1));
	for (int i = 0; i < 4; i++) {
		void *bad;
		pthread_join(t[i], &bad);
		total += (long)bad;
	}
	EQ("map and unmap in four threads", total, 0);
}

int main(void)
{
	struct sigaction sa = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_ONSTACK};
	sigaction(SIGSEGV, &sa, NULL);
	sigaction(SIGBUS, &sa, NULL);
	maps();
	protections();
	remaps();
	advices();
	breaks();
	threads();
	stacks();
	done();
}
