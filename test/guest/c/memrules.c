// Rules of memory that programs seldom meet: mremap over borders, seals of memfds, locked memory, low addresses, hints,
// flags that do not go together. mremap(2), memfd_create(2), mlock(2), mmap(2).
#include "check.h"
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>

#ifndef MFD_EXEC
#define MFD_NOEXEC_SEAL 8
#define MFD_EXEC 16
#endif
#ifndef F_SEAL_EXEC
#define F_SEAL_EXEC 0x20
#endif

#define PAGE 4096L
#define RW (PROT_READ | PROT_WRITE)
#define ANON (MAP_PRIVATE | MAP_ANONYMOUS)

static char *map(size_t pages)
{
	char *p = mmap(NULL, pages * PAGE, RW, ANON, -1, 0);
	memset(p, 'm', pages * PAGE);
	return p;
}

// mapped counts the pages of [p, p+n) that are mapped.
static int mapped(char *p, int n)
{
	int count = 0;
	unsigned char in;
	for (int i = 0; i < n; i++)
		count += mincore(p + i * PAGE, PAGE, &in) == 0;
	return count;
}

#define REMAPS(name, p, old, new, flags, ...) OK(name, mremap(p, (old) * PAGE, (new) * PAGE, flags, ##__VA_ARGS__) != MAP_FAILED)
#define REFUSES(name, error, ...) FAILS(name, (long)mremap(__VA_ARGS__), error)

static void shrinks(void)
{
	char *p = map(8);
	mprotect(p + 4 * PAGE, 4 * PAGE, PROT_READ);
	REMAPS("shrink over protections", p, 8, 2, 0);
	EQ("leaves", mapped(p, 8), 2);
	p = map(8);
	munmap(p + 6 * PAGE, 2 * PAGE);
	REMAPS("shrink over a hole at the end", p, 8, 2, 0);
	EQ("leaves again", mapped(p, 8), 2);
	p = map(8);
	munmap(p + 3 * PAGE, PAGE);
	REMAPS("shrink over a hole in the middle", p, 8, 2, MREMAP_MAYMOVE);
	EQ("leaves once more", mapped(p, 8), 2);
	p = map(8);
	madvise(p + 4 * PAGE, PAGE, MADV_DONTFORK);
	REMAPS("shrink over MADV_DONTFORK", p, 8, 1, 0);
	EQ("leaves one", mapped(p, 8), 1);
	p = map(8);
	mlock(p + 4 * PAGE, PAGE);
	REMAPS("shrink over locked pages", p, 8, 1, 0);
	EQ("leaves one again", mapped(p, 8), 1);
	p = map(8);
	mprotect(p + 4 * PAGE, 4 * PAGE, PROT_READ);
	REMAPS("the same size over protections", p, 8, 8, 0);
	REFUSES("growth over protections", EFAULT, p, 8 * PAGE, 9 * PAGE, MREMAP_MAYMOVE);
	REFUSES("growth over a border", EFAULT, p, 8 * PAGE, 9 * PAGE, 0);
	REFUSES("of nothing", EFAULT, (void *)(1UL << 40), PAGE, PAGE, 0);
	REFUSES("to nothing", EINVAL, p, PAGE, 0, 0);
	REFUSES("unaligned", EINVAL, p + 1, PAGE, PAGE, 0);
	REFUSES("unknown flag", EINVAL, p, PAGE, PAGE, 8);
	REFUSES("MREMAP_FIXED alone", EINVAL, p, PAGE, PAGE, MREMAP_FIXED, p + 64 * PAGE);
	REFUSES("MREMAP_DONTUNMAP alone", EINVAL, p, PAGE, PAGE, MREMAP_DONTUNMAP);
	REFUSES("MREMAP_DONTUNMAP of another size", EINVAL, p, PAGE, 2 * PAGE, MREMAP_DONTUNMAP | MREMAP_MAYMOVE);
	REFUSES("a private mapping twice", EINVAL, p, 0, PAGE, MREMAP_MAYMOVE);

	p = map(8);
	char *q = map(16);
	REFUSES("onto itself", EINVAL, p, 4 * PAGE, 4 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, p + 2 * PAGE);
	REFUSES("to an odd place", EINVAL, p, 4 * PAGE, 4 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, q + 1);
	REFUSES("beyond all addresses", EINVAL, p, 4 * PAGE, 4 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, (void *)0x7ffffffff000);
	mprotect(p + 6 * PAGE, 2 * PAGE, PROT_READ);
	p[0] = 'p';
	OK("a fixed shrink over a border", mremap(p, 8 * PAGE, 2 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, q + 4 * PAGE) == q + 4 * PAGE);
	OK("moves", q[4 * PAGE] == 'p' && q[6 * PAGE] == 'm');
	EQ("and unmaps the rest", mapped(p, 8), 0);
	q[0] = 'q';
	char *r = mremap(q, 2 * PAGE, 2 * PAGE, MREMAP_MAYMOVE | MREMAP_DONTUNMAP, NULL);
	OK("MREMAP_DONTUNMAP", r != MAP_FAILED && r != q && r[0] == 'q' && q[0] == 0 && mapped(q, 2) == 2);
	char *s = mmap(NULL, 2 * PAGE, RW, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	s[0] = 's';
	r = mremap(s, 0, 2 * PAGE, MREMAP_MAYMOVE);
	OK("a shared mapping twice", r != MAP_FAILED && r != s && r[0] == 's' && (r[1] = 't', s[1] == 't'));
	REFUSES("a shared mapping twice without moving", ENOMEM, s, 0, 2 * PAGE, 0);
}

static int memfd(unsigned flags)
{
	int fd = memfd_create("x", flags);
	ftruncate(fd, 2 * PAGE);
	return fd;
}

#define SEAL(fd, s) fcntl(fd, F_ADD_SEALS, s)

static void seals(void)
{
	int fd = memfd(MFD_ALLOW_SEALING);
	char *p = mmap(NULL, PAGE, RW, MAP_SHARED, fd, 0);
	*p = 1;
	FAILS("a shared writable mapping", SEAL(fd, F_SEAL_WRITE), EBUSY);
	mprotect(p, PAGE, PROT_READ);
	FAILS("even if it may not be written now", SEAL(fd, F_SEAL_WRITE), EBUSY);
	EQ("other seals do not care", SEAL(fd, F_SEAL_SHRINK), 0);
	EQ("nor do future writes", SEAL(fd, F_SEAL_FUTURE_WRITE), 0);
	OK("which no new mapping may do", mmap(NULL, PAGE, RW, MAP_SHARED, fd, 0) == MAP_FAILED && errno == EPERM);
	FAILS("nor write", write(fd, "x", 1), EPERM);
	EQ("the old mapping can", mprotect(p, PAGE, RW), 0);
	char *q = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0);
	OK("a mapping that can never write", q != MAP_FAILED && mprotect(q, PAGE, RW) == -1 && errno == EACCES);
	if (fork() == 0) {
		munmap(p, PAGE);
		_exit(SEAL(fd, F_SEAL_WRITE) == -1 && errno == EBUSY ? 0 : 1); // the parent's
	}
	int status;
	wait(&status);
	EQ("a mapping of another process", status, 0);
	munmap(p, PAGE);
	EQ("unmapped", SEAL(fd, F_SEAL_WRITE), 0);
	EQ("twice", SEAL(fd, F_SEAL_WRITE), 0);
	close(fd);

	fd = memfd(MFD_ALLOW_SEALING);
	p = mmap(NULL, 2 * PAGE, RW, MAP_PRIVATE, fd, 0);
	*p = 2;
	q = mmap(NULL, 2 * PAGE, PROT_READ, MAP_PRIVATE, fd, 0);
	EQ("private mappings", SEAL(fd, F_SEAL_WRITE), 0);
	OK("a new private one", mmap(NULL, PAGE, RW, MAP_PRIVATE, fd, 0) != MAP_FAILED);
	OK("a new shared one", mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0) != MAP_FAILED);
	FAILS("punching a hole", fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, PAGE), EPERM);
	close(fd);

	fd = memfd(MFD_ALLOW_SEALING);
	char path[40];
	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	int ro = open(path, O_RDONLY);
	p = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, ro, 0);
	FAILS("seals by a read-only descriptor", SEAL(ro, F_SEAL_WRITE), EPERM);
	EQ("a shared mapping of a read-only descriptor", SEAL(fd, F_SEAL_WRITE), 0);
	close(fd);
	close(ro);

	fd = memfd(MFD_ALLOW_SEALING);
	p = mmap(NULL, 2 * PAGE, RW, MAP_SHARED, fd, 0);
	munmap(p + PAGE, PAGE);
	FAILS("half of a mapping", SEAL(fd, F_SEAL_WRITE), EBUSY);
	mmap(p, PAGE, PROT_READ, ANON | MAP_FIXED, -1, 0);
	EQ("a mapping that was replaced", SEAL(fd, F_SEAL_WRITE), 0);
	close(fd);

	struct stat st;
	fd = memfd(MFD_NOEXEC_SEAL);
	fstat(fd, &st);
	EQ("MFD_NOEXEC_SEAL", st.st_mode & 0777, 0666);
	EQ("its seals", fcntl(fd, F_GET_SEALS), F_SEAL_EXEC);
	FAILS("cannot become executable", fchmod(fd, 0777), EPERM);
	EQ("but other modes", fchmod(fd, 0600), 0);
	EQ("may get more seals", SEAL(fd, F_SEAL_GROW), 0);
	close(fd);
	fd = memfd(MFD_EXEC | MFD_ALLOW_SEALING);
	fstat(fd, &st);
	EQ("MFD_EXEC", st.st_mode & 0777, 0777);
	EQ("F_SEAL_EXEC", SEAL(fd, F_SEAL_EXEC), 0);
	EQ("of an executable file seals all", fcntl(fd, F_GET_SEALS), F_SEAL_EXEC | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_FUTURE_WRITE);
	FAILS("and keeps it executable", fchmod(fd, 0666), EPERM);
	close(fd);
	fd = memfd(0);
	EQ("without sealing", fcntl(fd, F_GET_SEALS), F_SEAL_SEAL);
	FAILS("MFD_EXEC with MFD_NOEXEC_SEAL", memfd_create("x", MFD_EXEC | MFD_NOEXEC_SEAL), EINVAL);
	FAILS("an unknown seal", SEAL(fd, 0x40), EINVAL);
	FAILS("a seal for a pipe", SEAL(0x7fffffff, F_SEAL_WRITE), EBADF);
	close(fd);
}

static int resident(char *p, int n)
{
	unsigned char in[64];
	int count = 0;
	if (mincore(p, n * PAGE, in) != 0)
		return -1;
	for (int i = 0; i < n; i++)
		count += in[i] & 1;
	return count;
}

static long locked_kb(void)
{
	char line[200];
	long kb = -1;
	FILE *f = fopen("/proc/self/status", "r");
	while (fgets(line, sizeof line, f))
		sscanf(line, "VmLck: %ld", &kb);
	fclose(f);
	return kb;
}

static char *fresh(int pages) { return mmap(NULL, pages * PAGE, RW, ANON, -1, 0); }

static void locks(void)
{
	char *p = fresh(8);
	EQ("mlock", mlock(p, 8 * PAGE), 0);
	EQ("makes pages resident", resident(p, 8), 8);
	EQ("counts", locked_kb(), 32);
	FAILS("MADV_DONTNEED of locked pages", madvise(p, PAGE, MADV_DONTNEED), EINVAL);
	FAILS("msync with MS_INVALIDATE", msync(p, PAGE, MS_INVALIDATE), EBUSY);
	p = mremap(p, 8 * PAGE, 12 * PAGE, MREMAP_MAYMOVE);
	EQ("a locked mapping that grows", resident(p, 12), 12);
	EQ("counts as well", locked_kb(), 48);
	munlock(p, 12 * PAGE);
	char *none = mmap(NULL, 2 * PAGE, PROT_NONE, ANON, -1, 0);
	FAILS("mlock of PROT_NONE", mlock(none, 2 * PAGE), ENOMEM);
	EQ("is locked all the same", locked_kb(), 8);
	munlock(none, 2 * PAGE);
	p = fresh(4);
	munmap(p + 2 * PAGE, PAGE);
	FAILS("mlock of a hole", mlock(p, 4 * PAGE), ENOMEM);
	EQ("locks up to there", locked_kb(), 8);
	munlockall();
	FAILS("munlock of a hole", munlock(p, 4 * PAGE), ENOMEM);
	FAILS("mlock that wraps", mlock(p, -PAGE), EINVAL);
	EQ("mlock of nothing", mlock(p, 0), 0);
	p = fresh(4);
	EQ("MLOCK_ONFAULT", syscall(SYS_mlock2, p, 4 * PAGE, 1), 0);
	EQ("makes nothing resident", resident(p, 4), 0);
	p = mremap(p, 4 * PAGE, 6 * PAGE, MREMAP_MAYMOVE);
	EQ("nor when it grows", resident(p, 6), 0);
	FAILS("mlock2 with other flags", syscall(SYS_mlock2, p, PAGE, 2), EINVAL);
	munlockall();

	EQ("MCL_FUTURE", mlockall(MCL_FUTURE), 0);
	EQ("locks nothing that is there", locked_kb(), 0);
	p = fresh(4);
	EQ("fills what mmap adds", resident(p, 4), 4);
	none = mmap(NULL, PAGE, PROT_NONE, ANON, -1, 0);
	OK("but not without access", none != MAP_FAILED);
	char *b = sbrk(0);
	b = (char *)(((uintptr_t)b + PAGE - 1) & -PAGE);
	brk(b);
	brk(b + 4 * PAGE);
	EQ("fills what brk adds", resident(b, 4), 4);
	brk(b);
	FAILS("MCL_ONFAULT alone", mlockall(MCL_ONFAULT), EINVAL);
	FAILS("mlockall of nothing", mlockall(0), EINVAL);
	EQ("MCL_FUTURE with MCL_ONFAULT", mlockall(MCL_FUTURE | MCL_ONFAULT), 0);
	p = fresh(4);
	EQ("fills nothing", resident(p, 4), 0);
	p = mmap(NULL, 4 * PAGE, RW, ANON | MAP_POPULATE, -1, 0);
	munlockall();
	p = mmap(NULL, 4 * PAGE, RW, ANON | MAP_LOCKED | MAP_NONBLOCK, -1, 0);
	EQ("MAP_LOCKED", resident(p, 4), 4);
	char *moved = mremap(p, 4 * PAGE, 4 * PAGE, MREMAP_MAYMOVE | MREMAP_DONTUNMAP, NULL);
	EQ("MREMAP_DONTUNMAP leaves no lock behind", msync(p, 4 * PAGE, MS_INVALIDATE), 0);
	FAILS("and takes it along", msync(moved, 4 * PAGE, MS_INVALIDATE), EBUSY);
	munlockall();

	// Limits, without CAP_IPC_LOCK.
	fflush(stdout);
	if (fork() == 0) {
		failures = 0;
		struct rlimit r = {8 * PAGE, 8 * PAGE};
		setrlimit(RLIMIT_MEMLOCK, &r);
		MUST(setresuid(65534, 65534, 65534));
		p = fresh(16);
		EQ("as much as the limit", mlock(p, 8 * PAGE), 0);
		EQ("the same again", mlock(p, 8 * PAGE), 0);
		FAILS("more than the limit", mlock(p, 9 * PAGE), ENOMEM);
		OK("MAP_LOCKED over the limit", mmap(NULL, PAGE, RW, ANON | MAP_LOCKED, -1, 0) == MAP_FAILED && errno == EAGAIN);
		OK("growth over the limit", mremap(p, 8 * PAGE, 20 * PAGE, MREMAP_MAYMOVE) == MAP_FAILED && errno == EAGAIN);
		munlock(p, 16 * PAGE);
		FAILS("mlockall over the limit", mlockall(MCL_CURRENT), ENOMEM);
		EQ("MCL_FUTURE below the limit", mlockall(MCL_FUTURE), 0);
		OK("mmap over the limit", mmap(NULL, 9 * PAGE, RW, ANON, -1, 0) == MAP_FAILED && errno == EAGAIN);
		b = sbrk(0);
		FAILS("brk over the limit", brk(b + 9 * PAGE), ENOMEM);
		munlockall();
		r = (struct rlimit){0, 0};
		setrlimit(RLIMIT_MEMLOCK, &r);
		FAILS("mlock with no limit at all", mlock(p, PAGE), EPERM);
		OK("MAP_LOCKED as well", mmap(NULL, PAGE, RW, ANON | MAP_LOCKED, -1, 0) == MAP_FAILED && errno == EPERM);
		FAILS("mlockall as well", mlockall(MCL_FUTURE), EPERM);
		EQ("munlock is free", munlock(p, PAGE), 0);
		OK("page 0 without the right", mmap(NULL, PAGE, RW, ANON | MAP_FIXED, -1, 0) == MAP_FAILED && errno == EPERM);
		done();
	}
	int status;
	wait(&status);
	failures += WEXITSTATUS(status);
}

static void places(void)
{
	char *p = mmap((void *)PAGE, PAGE, RW, ANON | MAP_FIXED, -1, 0);
	OK("a low page", p == (char *)PAGE && (*p = 1));
	p = mmap(NULL, PAGE, RW, ANON | MAP_FIXED, -1, 0);
	OK("page 0", p == NULL);
	volatile char *volatile zero = NULL;
	*zero = 'z';
	EQ("can be used", *zero, 'z');
	int fd = memfd(0);
	EQ("by system calls too", write(fd, (void *)zero, 1), 1);
	munmap(NULL, 2 * PAGE);
	FAILS("until it is unmapped", write(fd, (void *)zero, 1), EFAULT);
	close(fd);
	char *r = map(1);
	OK("mremap to page 0", mremap(r, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, NULL) == NULL && *zero == 'm');
	munmap(NULL, PAGE);
	OK("a hint of a low page is not taken", mmap((void *)PAGE, PAGE, RW, ANON, -1, 0) > (void *)PAGE);
	char *q = map(8);
	munmap(q, 8 * PAGE);
	p = mmap(q + 2 * PAGE + 123, PAGE, RW, ANON, -1, 0);
	OK("a hint is rounded down", p == q + 2 * PAGE);
	munmap(p, PAGE);
	q = map(8);
	munmap(q + 4 * PAGE, PAGE);
	p = mmap(q + 4 * PAGE + 1, PAGE, RW, ANON, -1, 0);
	OK("into a hole of one page", p == q + 4 * PAGE);
	p = mmap(q + 4 * PAGE - 1, PAGE, RW, ANON, -1, 0);
	OK("a hint in a page that is taken", p != MAP_FAILED && (p < q || p >= q + 8 * PAGE));

	int file = memfd(0);
#define MAPS(flags, fd) mmap(NULL, PAGE, PROT_READ, flags, fd, 0)
	OK("MAP_SHARED_VALIDATE without a file", MAPS(MAP_SHARED_VALIDATE | MAP_ANONYMOUS, -1) == MAP_FAILED && errno == EINVAL);
	OK("MAP_SHARED_VALIDATE", MAPS(MAP_SHARED_VALIDATE, file) != MAP_FAILED);
	OK("with an unknown flag", MAPS(MAP_SHARED_VALIDATE | 0x02000000, file) == MAP_FAILED && errno == EOPNOTSUPP);
	OK("with MAP_SYNC", MAPS(MAP_SHARED_VALIDATE | 0x80000, file) == MAP_FAILED && errno == EOPNOTSUPP);
	OK("with MAP_FIXED_NOREPLACE", mmap(q, PAGE, PROT_READ, MAP_SHARED_VALIDATE | MAP_FIXED_NOREPLACE, file, 0) == MAP_FAILED);
	OK("with old flags", MAPS(MAP_SHARED_VALIDATE | MAP_NORESERVE | MAP_POPULATE | MAP_DENYWRITE, file) != MAP_FAILED);
	OK("MAP_SHARED ignores it", MAPS(MAP_SHARED | 0x02000000, file) != MAP_FAILED);
	OK("MAP_PRIVATE ignores it", MAPS(MAP_PRIVATE | 0x02000000, file) != MAP_FAILED);
	OK("no type", MAPS(0, file) == MAP_FAILED && errno == EINVAL);
	OK("an unknown type", MAPS(4, file) == MAP_FAILED && errno == EINVAL);
	OK("an unknown type without a file", MAPS(5 | MAP_ANONYMOUS, -1) == MAP_FAILED && errno == EINVAL);
	close(file);
	p = map(1);
	EQ("msync of a length that wraps", msync(p, -1, MS_SYNC), 0);
	FAILS("msync of too much", msync(p, -PAGE, MS_SYNC), ENOMEM);
	FAILS("msync of a hole", msync((void *)(1UL << 40), PAGE, MS_SYNC), ENOMEM);
	FAILS("msync of both kinds", msync(p, PAGE, MS_SYNC | MS_ASYNC), EINVAL);
	FAILS("msync unaligned", msync(p + 1, PAGE, MS_SYNC), EINVAL);
	FAILS("msync with an unknown flag", msync(p, PAGE, 8), EINVAL);
	unsigned char in[8] = {0};
	FAILS("mincore to a bad address", mincore(p, PAGE, (void *)0xffff880000000000), EFAULT);
	FAILS("mincore to where nothing is", mincore(p, PAGE, (void *)8), EFAULT);
	EQ("mincore of nothing", mincore(p, 0, in), 0);
	FAILS("mincore of the kernel", mincore((void *)0xffff880000000000, PAGE, in), ENOMEM);
	file = memfd(0);
	fchmod(file, 0644);
	q = mmap(NULL, 2 * PAGE, PROT_READ, MAP_SHARED, file, 0);
	EQ("mincore of a file with holes", mincore(q, 2 * PAGE, in) | in[0] | in[1], 0);
	fflush(stdout);
	if (fork() == 0) {
		setresuid(65534, 65534, 65534);
		_exit(mincore(q, 2 * PAGE, in) == 0 && in[0] & in[1] & 1 ? 0 : 1);
	}
	int status;
	wait(&status);
	EQ("a file that one could not write to tells nothing", status, 0);
	close(file);
	EQ("msync with no flag", msync(p, PAGE, 0), 0);
}

int main(void)
{
	setvbuf(stdout, NULL, _IONBF, 0);
	places();
	shrinks();
	seals();
	locks();
	done();
}
