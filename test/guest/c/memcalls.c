// Memory calls that Linux got up to 6.12: mseal, cachestat, process_madvise, process_mrelease, map_shadow_stack,
// MAP_DROPPABLE; and remap_file_pages and advice that few use. A host that is older than a call passes: its checks are
// skipped there with the same output as that of a host that has it.
#include "check.h"
#include <setjmp.h>
#include <sys/wait.h>

#define PAGE 4096L
#define RW (PROT_READ | PROT_WRITE)
#define ANON (MAP_PRIVATE | MAP_ANONYMOUS)
#define MSEAL 462
#define CACHESTAT 451
#define MAP_SHADOW_STACK 453
#define MAP_DROPPABLE_ 8

// missing says that the host has not this call; what is checked with IF_THERE counts as passed then.
static int missing;
#define LACKS(nr, ...) (missing = syscall(nr, ##__VA_ARGS__) == -1 && errno == ENOSYS)
#define T_EQ(name, e, w) (missing ? report(1, name, " ") : EQ(name, e, w))
#define T_FAILS(name, e, w) (missing ? report(1, name, " ") : FAILS(name, e, w))
#define T_OK(name, c) (missing ? report(1, name, " ") : OK(name, c))

static char *map(size_t pages, int prot)
{
	char *p = mmap(NULL, pages * PAGE, RW, ANON, -1, 0);
	memset(p, 'm', pages * PAGE);
	mprotect(p, pages * PAGE, prot);
	return p;
}

static long seal(void *p, unsigned long n, unsigned long flags) { return syscall(MSEAL, p, n, flags); }

static void seals(void)
{
	LACKS(MSEAL, 0, 0, 0);
	char *p = map(8, RW);
	T_FAILS("mseal with flags", seal(p, PAGE, 1), EINVAL);
	T_FAILS("unaligned", seal(p + 1, PAGE, 0), EINVAL);
	T_FAILS("a length that wraps to 0", seal(p, -1UL, 0), EINVAL);
	T_FAILS("a range that wraps", seal(p, -PAGE, 0), EINVAL);
	T_EQ("of nothing", seal(p, 0, 0), 0);
	char *hole = map(4, RW);
	munmap(hole + 2 * PAGE, PAGE);
	T_FAILS("with a hole", seal(hole, 4 * PAGE, 0), ENOMEM);
	T_EQ("seals nothing", munmap(hole, 4 * PAGE), 0);

	T_EQ("mseal", seal(p + 2 * PAGE, 4 * PAGE, 0), 0);
	T_EQ("twice", seal(p + 2 * PAGE, 4 * PAGE, 0), 0);
	T_FAILS("munmap", munmap(p + 2 * PAGE, PAGE), EPERM);
	T_FAILS("munmap of more", munmap(p, 8 * PAGE), EPERM);
	T_EQ("munmap of neighbours", munmap(p, PAGE) | munmap(p + 7 * PAGE, PAGE), 0);
	T_FAILS("munmap with a hole", munmap(p, 4 * PAGE), EPERM);
	T_FAILS("mprotect", mprotect(p + 2 * PAGE, PAGE, PROT_READ), EPERM);
	T_FAILS("mprotect of the same", mprotect(p + 2 * PAGE, PAGE, RW), EPERM);
	T_FAILS("mprotect of more", mprotect(p + PAGE, 2 * PAGE, PROT_READ), EPERM);
	T_FAILS("pkey_mprotect", syscall(SYS_pkey_mprotect, p + 2 * PAGE, PAGE, PROT_READ, -1), EPERM);
	char *q = map(8, RW);
	T_FAILS("mremap", (long)mremap(p + 2 * PAGE, PAGE, 2 * PAGE, MREMAP_MAYMOVE), EPERM);
	T_FAILS("mremap of the same size", (long)mremap(p + 2 * PAGE, PAGE, PAGE, 0), EPERM);
	T_FAILS("mremap that shrinks", (long)mremap(p + 2 * PAGE, 2 * PAGE, PAGE, 0), EPERM);
	T_FAILS("mremap onto it", (long)mremap(q, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, p + 2 * PAGE), EPERM);
	T_FAILS("MAP_FIXED", (long)mmap(p + 2 * PAGE, PAGE, RW, ANON | MAP_FIXED, -1, 0), EPERM);
	T_FAILS("MAP_FIXED of more", (long)mmap(p + PAGE, 6 * PAGE, RW, ANON | MAP_FIXED, -1, 0), EPERM);
	T_FAILS("MAP_FIXED_NOREPLACE", (long)mmap(p + 2 * PAGE, PAGE, RW, ANON | MAP_FIXED_NOREPLACE, -1, 0), EEXIST);
	T_OK("its contents stay", p[2 * PAGE] == 'm' && p[6 * PAGE - 1] == 'm');
	T_EQ("can be written", (p[2 * PAGE] = 'w'), 'w');
	T_EQ("mlock", mlock(p + 2 * PAGE, PAGE) | munlock(p + 2 * PAGE, PAGE), 0);
	T_EQ("MADV_DONTNEED of what can be written", madvise(p + 2 * PAGE, PAGE, MADV_DONTNEED), 0);
	char *ro = map(4, PROT_READ);
	seal(ro, 4 * PAGE, 0);
	T_FAILS("MADV_DONTNEED of what cannot", madvise(ro, PAGE, MADV_DONTNEED), EPERM);
	T_FAILS("MADV_FREE", madvise(ro, PAGE, MADV_FREE), EPERM);
	T_FAILS("MADV_DONTNEED_LOCKED", madvise(ro, PAGE, 24), EPERM);
	T_FAILS("MADV_DONTFORK", madvise(ro, PAGE, MADV_DONTFORK), EPERM);
	T_FAILS("MADV_WIPEONFORK", madvise(ro, PAGE, MADV_WIPEONFORK), EPERM);
	T_EQ("MADV_RANDOM", madvise(ro, PAGE, MADV_RANDOM), 0);
	T_EQ("MADV_WILLNEED", madvise(ro, PAGE, MADV_WILLNEED), 0);
	T_EQ("still there", ro[0], 'm');
	fflush(stdout);
	pid_t child = fork();
	if (child == 0)
		_exit(munmap(ro, PAGE) == -1 && errno == EPERM ? 0 : 1);
	int status;
	waitpid(child, &status, 0);
	T_EQ("a child inherits seals", status, 0);
	child = fork();
	if (child == 0) {
		char *b = sbrk(2 * PAGE);
		b = sbrk(0);
		seal((void *)(((uintptr_t)b - PAGE) & -PAGE), PAGE, 0);
		_exit((brk(b - 2 * PAGE), sbrk(0)) == b ? 0 : 1);
	}
	waitpid(child, &status, 0);
	T_EQ("brk does not shrink over a seal", status, 0);
	char *sh = mmap(NULL, PAGE, PROT_READ, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	seal(sh, PAGE, 0);
	T_EQ("MADV_DONTNEED of shared memory", madvise(sh, PAGE, MADV_DONTNEED), 0);
	T_FAILS("munmap of shared memory", munmap(sh, PAGE), EPERM);
}

static void cache(void)
{
	struct { uint64_t off, len; } r = {0, 0};
	struct { uint64_t cache, dirty, writeback, evicted, recently; } c;
	LACKS(CACHESTAT, -1, &r, &c, 0);
	int fd = memfd_create("x", 0);
	ftruncate(fd, 10 * PAGE);
	pwrite(fd, "x", 1, 0);
	pwrite(fd, "yy", 2, 5 * PAGE - 1);
#define STAT(o, l, f) (r.off = o, r.len = l, memset(&c, 0x55, sizeof c), syscall(CACHESTAT, fd, &r, &c, f))
	T_EQ("cachestat", STAT(0, 0, 0), 0);
	T_EQ("pages in the cache", c.cache, 3);
	T_OK("other numbers", c.dirty <= 3 && c.writeback == 0 && c.evicted == 0 && c.recently == 0);
	T_EQ("the first page", (STAT(0, 1, 0), c.cache), 1);
	T_EQ("a hole", (STAT(PAGE, 3 * PAGE, 0), c.cache), 0);
	T_EQ("parts of pages", (STAT(5 * PAGE - 1, 2, 0), c.cache), 2);
	T_EQ("from the middle", (STAT(5 * PAGE, 0, 0), c.cache), 1);
	T_EQ("beyond the end", (STAT(50 * PAGE, 0, 0), c.cache), 0);
	T_FAILS("flags", STAT(0, 0, 1), EINVAL);
	T_FAILS("a bad range", syscall(CACHESTAT, fd, 8L, &c, 0), EFAULT);
	T_FAILS("a bad result", syscall(CACHESTAT, fd, &r, 8L, 0), EFAULT);
	T_FAILS("a bad descriptor", syscall(CACHESTAT, 999, &r, &c, 0), EBADF);
	close(fd);
	int p[2];
	pipe(p);
	fd = p[0];
	T_EQ("of a pipe", STAT(0, 0, 0), 0);
	T_EQ("which has no cache", c.cache, 0);
	work_dir();
	fd = open("file", O_RDWR | O_CREAT, 0600);
	for (int i = 0; i < 4; i++)
		pwrite(fd, "x", 1, i * PAGE);
	STAT(0, 0, 0);
	T_EQ("of a file", c.cache, 4);
}

#define PIDFD_OPEN 434
static void others(void)
{
	int pipes[2];
	pipe(pipes);
	char *p = map(4, RW);
	pid_t child = fork();
	if (child == 0) {
		char c;
		close(pipes[1]);
		read(pipes[0], &c, 1);
		_exit(0);
	}
	close(pipes[0]);
	int fd = syscall(PIDFD_OPEN, child, 0);
	struct iovec v[2] = {{p, 2 * PAGE}, {p + 2 * PAGE, PAGE}};
#define ADVISE(fd, v, n, advice, flags) syscall(SYS_process_madvise, fd, v, n, advice, flags)
	EQ("process_madvise MADV_COLD", ADVISE(fd, v, 2, MADV_COLD, 0), 3 * PAGE);
	EQ("MADV_PAGEOUT", ADVISE(fd, v, 2, MADV_PAGEOUT, 0), 3 * PAGE);
	EQ("MADV_WILLNEED", ADVISE(fd, v, 1, MADV_WILLNEED, 0), 2 * PAGE);
	FAILS("MADV_DONTNEED", ADVISE(fd, v, 1, MADV_DONTNEED, 0), EINVAL);
	FAILS("MADV_POPULATE_READ", ADVISE(fd, v, 1, 22, 0), EINVAL);
	FAILS("flags", ADVISE(fd, v, 1, MADV_COLD, 1), EINVAL);
	FAILS("a bad descriptor", ADVISE(-1, v, 1, MADV_COLD, 0), EBADF);
	FAILS("no pidfd", ADVISE(0, v, 1, MADV_COLD, 0), EBADF);
	FAILS("a bad vector", ADVISE(fd, 8L, 1, MADV_COLD, 0), EFAULT);
	FAILS("too many", ADVISE(fd, v, 1025, MADV_COLD, 0), EINVAL);
	EQ("none", ADVISE(fd, v, 0, MADV_COLD, 0), 0);
	v[1].iov_base = (void *)(1UL << 40);
	EQ("up to a hole", ADVISE(fd, v, 2, MADV_COLD, 0), 2 * PAGE);
	FAILS("a hole", ADVISE(fd, v + 1, 1, MADV_COLD, 0), ENOMEM);
	v[0].iov_base = p + 1;
	FAILS("unaligned", ADVISE(fd, v, 1, MADV_COLD, 0), EINVAL);
	v[0].iov_base = p;
	fflush(stdout);
	if (fork() == 0) {
		setresuid(65534, 65534, 65534);
		int own = syscall(PIDFD_OPEN, getpid(), 0);
		_exit((ADVISE(fd, v, 1, MADV_COLD, 0) == -1 && errno == EACCES ? 0 : 1) | (ADVISE(own, v, 1, MADV_COLD, 0) == 2 * PAGE ? 0 : 2));
	}
	int status;
	wait(&status);
	EQ("without rights", status, 0);

#define MRELEASE 448
	FAILS("process_mrelease of what lives", syscall(MRELEASE, fd, 0), EINVAL);
	FAILS("with flags", syscall(MRELEASE, fd, 1), EINVAL);
	FAILS("of a bad descriptor", syscall(MRELEASE, -1, 0), EBADF);
	close(pipes[1]);
	waitpid(child, &status, 0);
	FAILS("of what is gone", syscall(MRELEASE, fd, 0), ESRCH);
	FAILS("process_madvise of what is gone", ADVISE(fd, v, 1, MADV_COLD, 0), ESRCH);
}

static void pages(void)
{
	int fd = memfd_create("x", 0);
	ftruncate(fd, 4 * PAGE);
	for (int i = 0; i < 4; i++)
		pwrite(fd, (char[]){'0' + i}, 1, i * PAGE);
	char *p = mmap(NULL, 4 * PAGE, RW, MAP_SHARED, fd, 0);
#define REMAP(p, n, prot, index, flags) syscall(SYS_remap_file_pages, p, n, prot, index, flags)
	EQ("remap_file_pages", REMAP(p, PAGE, 0, 3, 0), 0);
	OK("shows another page", p[0] == '3' && p[PAGE] == '1');
	p[1] = 'w';
	char c;
	pread(fd, &c, 1, 3 * PAGE + 1);
	EQ("which is the file's", c, 'w');
	EQ("of two areas", REMAP(p, 2 * PAGE, 0, 2, MAP_NONBLOCK), 0);
	OK("shows two pages", p[0] == '2' && p[PAGE] == '3' && p[2 * PAGE] == '2');
	FAILS("a protection", REMAP(p, PAGE, PROT_READ, 0, 0), EINVAL);
	FAILS("no length", REMAP(p, 10, 0, 0, 0), EINVAL);
	FAILS("where nothing is", REMAP(1L << 40, PAGE, 0, 0, 0), EINVAL);
	FAILS("beyond the mapping", REMAP(p, 400 * PAGE, 0, 0, 0), EINVAL);
	FAILS("an index that wraps", REMAP(p, 2 * PAGE, 0, -1L, 0), EINVAL);
	char *q = mmap(NULL, PAGE, RW, MAP_PRIVATE, fd, 0);
	FAILS("a private mapping", REMAP(q, PAGE, 0, 1, 0), EINVAL);
	close(fd);

	long r = syscall(MAP_SHADOW_STACK, 0, PAGE, 0);
	int error = errno; // a CPU with shadow stacks gives one
	OK("map_shadow_stack", r != -1 || error == EOPNOTSUPP || error == ENOSYS);

	p = mmap(NULL, 2 * PAGE, RW, MAP_DROPPABLE_ | MAP_ANONYMOUS, -1, 0);
	missing = p == MAP_FAILED && errno == EINVAL;
	T_OK("MAP_DROPPABLE", p != MAP_FAILED && (p[0] = 'd') == 'd');
	T_OK("MAP_DROPPABLE with MAP_LOCKED", mmap(NULL, PAGE, RW, MAP_DROPPABLE_ | MAP_ANONYMOUS | MAP_LOCKED, -1, 0) == MAP_FAILED && errno == EINVAL);
	T_FAILS("is always wiped by fork", madvise(p, PAGE, MADV_KEEPONFORK), EINVAL);
	T_FAILS("is never dumped", madvise(p, PAGE, MADV_DODUMP), EINVAL);

	p = map(2, RW);
	FAILS("MADV_POPULATE_READ of a hole", madvise((void *)(1L << 40), PAGE, 22), ENOMEM);
	mprotect(p, PAGE, PROT_READ);
	FAILS("MADV_POPULATE_WRITE of what cannot be written", madvise(p, PAGE, 23), EINVAL);
	EQ("MADV_POPULATE_READ of it", madvise(p, PAGE, 22), 0);
	mprotect(p, PAGE, PROT_NONE);
	FAILS("MADV_POPULATE_READ of PROT_NONE", madvise(p, PAGE, 22), EINVAL);
	fd = memfd_create("x", 0);
	ftruncate(fd, PAGE);
	q = mmap(NULL, 2 * PAGE, RW, MAP_SHARED, fd, 0);
	FAILS("MADV_POPULATE_READ beyond the end", madvise(q, 2 * PAGE, 22), EFAULT);
	FAILS("MADV_FREE of a file", madvise(q, PAGE, MADV_FREE), EINVAL);
	FAILS("MADV_WIPEONFORK of a file", madvise(q, PAGE, MADV_WIPEONFORK), EINVAL);
	FAILS("unknown advice", madvise(p, PAGE, 99), EINVAL);
	FAILS("unknown advice for nothing", madvise(p, 0, 99), EINVAL);
	mlock(p + PAGE, PAGE);
	FAILS("MADV_COLD of locked pages", madvise(p + PAGE, PAGE, MADV_COLD), EINVAL);
	FAILS("MADV_PAGEOUT of locked pages", madvise(p + PAGE, PAGE, MADV_PAGEOUT), EINVAL);
	FAILS("pkey_free", syscall(SYS_pkey_free, 1), EINVAL);
	FAILS("pkey_alloc with flags", syscall(SYS_pkey_alloc, 1, 0), EINVAL);
	FAILS("pkey_alloc with unknown rights", syscall(SYS_pkey_alloc, 0, 4), EINVAL);
	FAILS("pkey_mprotect with a key that was not allocated", syscall(SYS_pkey_mprotect, p, PAGE, PROT_READ, 5), EINVAL);
	EQ("pkey_mprotect without a key", syscall(SYS_pkey_mprotect, p, PAGE, PROT_READ, -1), 0);
}

int main(void)
{
	setvbuf(stdout, NULL, _IONBF, 0);
	seals();
	cache();
	others();
	pages();
	done();
}
