// Files in memory: private and shared mappings, their edges, coherence with read and write.
#include "check.h"
#include <setjmp.h>

#define PAGE 4096L

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

static int read_fault(volatile char *p)
{
	fault_signal = 0;
	if (sigsetjmp(env, 1) == 0)
		(void)*p;
	return fault_signal;
}

int main(void)
{
	struct sigaction sa = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO};
	sigaction(SIGSEGV, &sa, NULL);
	sigaction(SIGBUS, &sa, NULL);
	work_dir();
	char b[64];
	int fd = MUST(open("f", O_RDWR | O_CREAT, 0644));
	MUST(ftruncate(fd, 2 * PAGE + 100));
	MUST(pwrite(fd, "first", 5, 0));
	MUST(pwrite(fd, "second", 6, PAGE));

	char *s = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	char *p = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	OK("shared mapping", s != MAP_FAILED && !memcmp(s, "first", 5));
	OK("private mapping", p != MAP_FAILED && !memcmp(p + PAGE, "second", 6));
	s[0] = 'F';
	EQ("shared write reaches the file", pread(fd, b, 1, 0) == 1 && b[0] == 'F', 1);
	pwrite(fd, "S", 1, PAGE);
	EQ("file write reaches the shared mapping", s[PAGE], 'S');
	EQ("file write reaches a private mapping that is unwritten", p[PAGE], 'S');
	p[PAGE] = 'P';
	EQ("private write stays private", s[PAGE], 'S');
	pwrite(fd, "T", 1, PAGE);
	EQ("private page is a copy", p[PAGE], 'P');
	EQ("tail of the last page is zero", s[2 * PAGE + 100], 0);
	EQ("beyond the last page is SIGBUS", read_fault(s + 3 * PAGE), SIGBUS);
	EQ("SIGBUS code", fault_code, BUS_ADRERR);
	OK("SIGBUS address", fault_address == s + 3 * PAGE);
	EQ("write(2) from beyond", ({ errno = 0; write(fd, s + 3 * PAGE, 1) == -1 && errno == EFAULT; }), 1);
	MUST(ftruncate(fd, 10));
	EQ("truncated away is SIGBUS", read_fault(s + PAGE), SIGBUS);
	EQ("private copy goes too", read_fault(p + PAGE), SIGBUS);
	EQ("page with the end stays", s[0], 'F');
	MUST(ftruncate(fd, 3 * PAGE));
	EQ("grown again reads zero", s[PAGE], 0);
	EQ("bytes cut off are zero", s[10], 0);
	EQ("msync", msync(s, 2 * PAGE, MS_SYNC), 0);
	EQ("MADV_DONTNEED of private", madvise(p, PAGE, MADV_DONTNEED), 0);
	EQ("private page is the file's again", p[0], 'F');
	EQ("munmap", munmap(s, 4 * PAGE), 0);
	close(fd);
	EQ("mapping outlives close", p[0], 'F');
	unlink("f");
	EQ("mapping outlives unlink", p[1], 'i');

	put("ro", "read only");
	fd = MUST(open("ro", O_RDONLY));
	OK("shared writable mapping of O_RDONLY", mmap(NULL, PAGE, PROT_WRITE, MAP_SHARED, fd, 0) == MAP_FAILED && errno == EACCES);
	p = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	OK("private writable mapping of O_RDONLY", p != MAP_FAILED);
	p[0] = 'R';
	STR("file unchanged", get("ro"), "read only");
	s = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0);
	FAILS("mprotect cannot raise it", mprotect(s, PAGE, PROT_READ | PROT_WRITE), EACCES);
	OK("unaligned offset", mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, fd, 100) == MAP_FAILED && errno == EINVAL);
	close(fd);
	fd = MUST(open("ro", O_WRONLY));
	OK("mapping of O_WRONLY", mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, fd, 0) == MAP_FAILED && errno == EACCES);
	close(fd);
	int q[2];
	MUST(pipe(q));
	OK("mapping of a pipe", mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, q[0], 0) == MAP_FAILED && errno == ENODEV);
	fd = MUST(open("/dev/zero", O_RDWR));
	p = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	OK("mapping of /dev/zero", p != MAP_FAILED && p[PAGE] == 0);
	p[PAGE] = 1;
	EQ("and it is writable", p[PAGE], 1);

	fd = MUST(open("big", O_RDWR | O_CREAT, 0644));
	MUST(ftruncate(fd, 256 * PAGE));
	s = mmap(NULL, 256 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	for (int i = 0; i < 256; i++)
		s[i * PAGE + i] = i;
	int wrong = 0;
	for (int i = 0; i < 256; i++)
		wrong += pread(fd, b, 1, i * PAGE + i) != 1 || (unsigned char)b[0] != i;
	EQ("256 pages written through a mapping", wrong, 0);
	p = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 200 * PAGE);
	EQ("mapping at an offset", (unsigned char)p[200], 200);
	MUST(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 200 * PAGE, PAGE));
	EQ("punched hole shows", p[200], 0);
	EQ("read into the mapping of the same file", ({ lseek(fd, PAGE, SEEK_SET); read(fd, s, PAGE); }), PAGE);
	EQ("its content", s[1], 1);
	EQ("mremap of a file mapping", ({ char *r = mremap(s, 2 * PAGE, 4 * PAGE, MREMAP_MAYMOVE); r != MAP_FAILED && r[3 * PAGE + 3] == 3; }), 1);
	done();
}
