// Memory in blocks of 2 MiB, which the kernel may map as huge pages: what happens to parts of them. See madvise(2), MADV_HUGEPAGE.
#include "check.h"
#include <sys/wait.h>
#include <sys/prctl.h>

enum { PAGE = 4096, HUGE = 2 << 20, BLOCKS = 4, PAGES = BLOCKS * HUGE / PAGE };

// area makes BLOCKS aligned blocks.
static char *area(void)
{
	char *p = mmap(NULL, (BLOCKS + 1) * HUGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *q = (char *)(((uintptr_t)p + HUGE - 1) & -(uintptr_t)HUGE);
	if (q > p)
		munmap(p, q - p);
	munmap(q + BLOCKS * HUGE, p + HUGE - q);
	return q;
}

static uint32_t seed = 1;
static uint32_t next(void) { return (seed = seed * 1664525 + 1013904223) >> 8; }

// Every page has a number in its middle; want is what it should be.
static uint32_t want[PAGES];
static char *base;
static uint32_t *word(int i) { return (uint32_t *)(base + (size_t)i * PAGE + PAGE / 2); }

static int wrong(void)
{
	int n = 0;
	for (int i = 0; i < PAGES; i++)
		n += *word(i) != want[i];
	return n;
}

static void parts(void)
{
	base = area();
	EQ("advice", madvise(base, BLOCKS * HUGE, MADV_HUGEPAGE), 0);
	for (int i = 0; i < PAGES; i++)
		*word(i) = want[i] = i + 1;
	EQ("filled", wrong(), 0);
	EQ("drop a page", madvise(base + 5 * PAGE, PAGE, MADV_DONTNEED), 0);
	want[5] = 0;
	EQ("a page is gone", wrong(), 0);
	EQ("drop a block", madvise(base + HUGE, HUGE, MADV_DONTNEED), 0);
	for (int i = 512; i < 1024; i++)
		want[i] = 0;
	EQ("a block is gone", wrong(), 0);
	*word(700) = want[700] = 7;
	EQ("it comes back", wrong(), 0);
	EQ("read only", mprotect(base + 2 * HUGE + 9 * PAGE, 3 * PAGE, PROT_READ), 0);
	int p[2];
	MUST(pipe(p));
	MUST(write(p[1], "abcdef", 6));
	FAILS("write where it is read-only", read(p[0], base + 2 * HUGE + 10 * PAGE, 2), EFAULT);
	EQ("write beside it", read(p[0], base + 2 * HUGE + 12 * PAGE, 2), 2);
	EQ("still the same", wrong(), 0);
	EQ("writable again", mprotect(base + 2 * HUGE + 9 * PAGE, 3 * PAGE, PROT_READ | PROT_WRITE), 0);
	*word(2 * 512 + 10) = want[2 * 512 + 10] = 8;
	unsigned char in[512];
	EQ("mincore", mincore(base + 3 * HUGE, HUGE, in), 0);
	OK("it is in memory", in[0] & in[511] & 1);
	pid_t child = fork();
	if (child == 0) {
		int bad = wrong();
		for (int i = 0; i < PAGES; i += 3)
			*word(i) = 0;
		_exit(bad);
	}
	for (int i = 1; i < PAGES; i += 5)
		*word(i) = want[i] = ~i;
	int status = -1;
	waitpid(child, &status, 0);
	EQ("the child has the pages", status, 0);
	EQ("and its own copies", wrong(), 0);
	char *moved = mremap(base + HUGE, 2 * HUGE, 2 * HUGE, MREMAP_MAYMOVE | MREMAP_FIXED, area());
	OK("moved", moved != MAP_FAILED);
	int bad = 0;
	for (int i = 512; i < 1536; i++)
		bad += *(uint32_t *)(moved + (size_t)(i - 512) * PAGE + PAGE / 2) != want[i];
	EQ("moved pages", bad, 0);
	FAILS("the old place", write(p[1], base + HUGE, 1), EFAULT);
	EQ("unmap a part", munmap(base + 3 * HUGE + 100 * PAGE, 20 * PAGE), 0);
	FAILS("it is gone", write(p[1], base + 3 * HUGE + 110 * PAGE, 1), EFAULT);
	EQ("before it", *word(3 * 512 + 99), want[3 * 512 + 99]);
	EQ("behind it", *word(3 * 512 + 120), want[3 * 512 + 120]);
	munmap(moved, BLOCKS * HUGE);
	munmap(base, BLOCKS * HUGE);
	close(p[0]);
	close(p[1]);
}

// Random changes of random parts, and what must come of them.
static void random_parts(int advice, const char *name)
{
	base = area();
	if (advice)
		madvise(base, BLOCKS * HUGE, advice);
	memset(want, 0, sizeof want);
	int bad = 0;
	for (int step = 0; step < 3000 && bad == 0; step++) {
		int i = next() % PAGES, n = 1 + next() % (next() % 8 ? 16 : 600);
		if (i + n > PAGES)
			n = PAGES - i;
		char *p = base + (size_t)i * PAGE;
		switch (next() % 8) {
		case 0:
			madvise(p, (size_t)n * PAGE, MADV_DONTNEED);
			memset(want + i, 0, n * sizeof want[0]);
			break;
		case 1:
			mmap(p, (size_t)n * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
			madvise(p, (size_t)n * PAGE, advice);
			memset(want + i, 0, n * sizeof want[0]);
			break;
		case 2:
			mprotect(p, (size_t)n * PAGE, PROT_READ);
			for (int k = i; k < i + n; k++)
				bad += *word(k) != want[k];
			mprotect(p, (size_t)n * PAGE, PROT_READ | PROT_WRITE);
			break;
		case 3:
			if (step % 16 == 0) {
				pid_t child = fork();
				if (child == 0) {
					*word(i) = 5;
					_exit(0);
				}
				*word(i) = want[i] = step;
				waitpid(child, NULL, 0);
			}
			break;
		default:
			for (int k = i; k < i + n; k++)
				*word(k) = want[k] = step + k;
		}
		if (step % 64 == 0)
			bad += wrong();
	}
	EQ(name, bad + wrong(), 0);
	munmap(base, BLOCKS * HUGE);
}

// Threads write while another takes parts away.
static volatile int stop;

static void *writer(void *arg)
{
	long bad = 0;
	for (uint32_t i = (uintptr_t)arg; !stop; i += 7) {
		volatile uint32_t *w = (uint32_t *)(base + (i % PAGES) * (size_t)PAGE + 64 * (uintptr_t)arg);
		*w = i | 1;
		uint32_t v = *w;
		bad += v != (i | 1) && v != 0;
	}
	return (void *)bad;
}

static void threads(void)
{
	base = area();
	madvise(base, BLOCKS * HUGE, MADV_HUGEPAGE);
	pthread_t t[3];
	for (uintptr_t i = 0; i < 3; i++)
		pthread_create(&t[i], NULL, writer, (void *)(i + 1));
	for (int step = 0; step < 400; step++) {
		char *p = base + (next() % (PAGES - 64)) * (size_t)PAGE;
		madvise(step % 4 ? p : base + step % BLOCKS * HUGE, step % 4 ? 64 * PAGE : HUGE, MADV_DONTNEED);
	}
	stop = 1;
	long bad = 0;
	for (int i = 0; i < 3; i++) {
		void *v;
		pthread_join(t[i], &v);
		bad += (long)v;
	}
	EQ("threads", bad, 0);
	munmap(base, BLOCKS * HUGE);
}

// Memory that is filled from start to end.
static void sequential(void)
{
	size_t n = 24 << 20;
	char *p = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	memset(p, 3, n);
	p = mremap(p, n, 2 * n, MREMAP_MAYMOVE);
	OK("grown", p != MAP_FAILED);
	memset(p + n, 4, n);
	size_t bad = 0;
	for (size_t i = 0; i < 2 * n; i += 1024)
		bad += p[i] != (i < n ? 3 : 4);
	EQ("sequential", bad, 0);
	munmap(p, 2 * n);
}

int main(void)
{
	parts();
	random_parts(MADV_HUGEPAGE, "random parts of huge pages");
	random_parts(MADV_NOHUGEPAGE, "random parts of pages");
	threads();
	sequential();
	EQ("disable", prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0), 0);
	EQ("disabled", prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0), 1);
	parts();
	EQ("enable", prctl(PR_SET_THP_DISABLE, 0, 0, 0, 0), 0);
	EQ("enabled", prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0), 0);
	FAILS("huge pages that nobody reserved", (long)mmap(NULL, HUGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0), ENOMEM);
	done();
}
