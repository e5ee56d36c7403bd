// Bad arguments: system calls with addresses, descriptors and sizes that are
// wrong. The checks are that nothing but an error comes back, and that the
// program's own memory is as it was.
#include "check.h"
#include <poll.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>
#include <sys/statfs.h>
#include <sys/times.h>

static char *edge; // the last byte before a page without access

static const uintptr_t bad[] = {1, 8, 4095, 0x7ffffffff000, 0x7fffffffffff, 0x800000000000, 0x8000000000000000,
	0xffff800000000000, 0xffffffff80000000, 0xffffffffffffffff, 0xfffffffffffff000};
#define BAD (sizeof bad / sizeof *bad)

// every bad address must give EFAULT (or another error, where Linux checks the rest first).
#define SWEEP(name, call) ({ \
	int wrong = 0; \
	for (size_t k = 0; k < BAD; k++) { \
		void *a = (void *)bad[k]; \
		(void)a; \
		errno = 0; \
		if ((call) != -1 || errno != EFAULT) \
			wrong++; \
	} \
	EQ(name, wrong, 0); })

static void addresses(void)
{
	int p[2];
	MUST(pipe(p));
	int z = MUST(open("/dev/zero", O_RDONLY));
	int f = MUST(open("f", O_RDWR | O_CREAT, 0600));
	MUST(write(f, "0123456789", 10));
	struct iovec v = {0};
	SWEEP("read", syscall(SYS_read, z, a, 8));
	SWEEP("pread of a file", syscall(SYS_pread64, f, a, 8, 0));
	SWEEP("write to a file", syscall(SYS_pwrite64, f, a, 8, 0));
	SWEEP("write to a pipe", syscall(SYS_write, p[1], a, 8));
	SWEEP("readv array", syscall(SYS_readv, z, a, 1));
	SWEEP("readv base", ({ v = (struct iovec){a, 16}; syscall(SYS_readv, z, &v, 1); }));
	SWEEP("open", syscall(SYS_open, a, O_RDONLY));
	SWEEP("stat path", syscall(SYS_stat, a, a));
	SWEEP("stat buffer", syscall(SYS_stat, "/", a));
	SWEEP("fstat", syscall(SYS_fstat, z, a));
	SWEEP("statx", syscall(SYS_statx, AT_FDCWD, "/", 0, 0xfff, a));
	SWEEP("statfs", syscall(SYS_statfs, "/", a));
	SWEEP("readlink", syscall(SYS_readlink, "/proc/self/exe", a, 64));
	SWEEP("getcwd", syscall(SYS_getcwd, a, 4096));
	SWEEP("pipe2", syscall(SYS_pipe2, a, 0));
	SWEEP("poll", ({ struct pollfd *q = a; syscall(SYS_poll, q, 1, 0); }));
	SWEEP("select", syscall(SYS_select, 1, a, NULL, NULL, NULL));
	SWEEP("uname", syscall(SYS_uname, a));
	SWEEP("sysinfo", syscall(SYS_sysinfo, a));
	SWEEP("times", syscall(SYS_times, a));
	SWEEP("getrusage", syscall(SYS_getrusage, 0, a));
	SWEEP("getrlimit", syscall(SYS_getrlimit, RLIMIT_STACK, a));
	SWEEP("clock_gettime", syscall(SYS_clock_gettime, CLOCK_MONOTONIC, a));
	SWEEP("nanosleep", syscall(SYS_nanosleep, a, NULL));
	SWEEP("gettimeofday", syscall(SYS_gettimeofday, a, NULL));
	SWEEP("getrandom", syscall(SYS_getrandom, a, 16, 0));
	SWEEP("rt_sigaction", syscall(SYS_rt_sigaction, SIGUSR1, a, NULL, 8));
	SWEEP("rt_sigprocmask", syscall(SYS_rt_sigprocmask, SIG_BLOCK, a, NULL, 8));
	SWEEP("sigaltstack", syscall(SYS_sigaltstack, a, NULL));
	SWEEP("sched_getaffinity", syscall(SYS_sched_getaffinity, 0, 128, a));
	SWEEP("epoll_ctl", ({ static int ep; if (!ep) ep = epoll_create1(0); syscall(SYS_epoll_ctl, ep, EPOLL_CTL_ADD, p[0], a); }));
	SWEEP("getdents64", ({ static int d; if (!d) d = open("/", O_RDONLY); lseek(d, 0, SEEK_SET); syscall(SYS_getdents64, d, a, 4096); }));
	SWEEP("mincore", ({ static char *page; if (!page) page = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0); syscall(SYS_mincore, page, 4096, a); }));
	SWEEP("getgroups or fstat", syscall(SYS_getresuid, a, a, a));
	SWEEP("prctl name", syscall(SYS_prctl, 15, a));
}

static void edges(void)
{
	int f = MUST(open("g", O_RDWR | O_CREAT, 0600));
	char text[16] = "0123456789abcdef";
	MUST(write(f, text, 16));
	memset(edge - 15, 'e', 16);
	EQ("read into the last bytes", pread(f, edge - 7, 8, 0), 8);
	EQ("read over the edge", pread(f, edge - 3, 8, 0) == 4 || errno == EFAULT, 1);
	int zero = open("/dev/zero", O_RDONLY);
	for (int n = 1; n < 100; n += 11) {
		memset(edge - n + 1, 'x', n);
		int got = read(zero, edge - n + 1, n + 100);
		OK("zeroes up to the edge", got == n && memchr(edge - n + 1, 'x', n) == NULL);
	}
	close(zero);
	memset(edge - 15, 'e', 16);
	EQ("write from the last bytes", pwrite(f, edge - 7, 8, 0), 8);
	edge[0] = 0;
	edge[-1] = '/';
	EQ("a path that ends at the edge", access(edge - 1, F_OK), 0);
	edge[0] = 'x';
	FAILS("a path that runs over the edge", access(edge - 3, F_OK), EFAULT);
	struct iovec v[2] = {{text, 4}, {(void *)8, 4}};
	OK("second vector is bad", ({ long r = writev(f, v, 2); r == 4 || (r == -1 && errno == EFAULT); }));
	FAILS("huge count to bad memory", syscall(SYS_write, f, (void *)8, 1UL << 40), EFAULT);
}

static const int calls[] = {SYS_read, SYS_write, SYS_lseek, SYS_pread64, SYS_pwrite64, SYS_readv, SYS_writev, SYS_fstat,
	SYS_poll, SYS_mincore, SYS_msync, SYS_madvise, SYS_dup, SYS_dup3, SYS_fcntl, SYS_ioctl, SYS_getdents64, SYS_ftruncate,
	SYS_fallocate, SYS_sendfile, SYS_splice, SYS_tee, SYS_copy_file_range, SYS_epoll_ctl, SYS_eventfd2, SYS_timerfd_create,
	SYS_timerfd_settime, SYS_memfd_create, SYS_sched_getaffinity, SYS_clock_gettime, SYS_clock_getres, SYS_getrlimit,
	SYS_getrusage, SYS_sigaltstack, SYS_rt_sigprocmask, SYS_rt_sigpending, SYS_getcwd, SYS_readlink, SYS_stat, SYS_statx,
	SYS_access, SYS_openat, SYS_futex, SYS_get_robust_list, SYS_getitimer, SYS_times, SYS_uname, SYS_sysinfo, SYS_getrandom,
	SYS_prlimit64, SYS_getcpu, SYS_tgkill, SYS_flock, SYS_fsync, SYS_fadvise64, SYS_fstatfs, SYS_getpgid, SYS_getsid, 1000, 2000};

static uint64_t state = 88172645463325252;
static uint64_t random64(void)
{
	state ^= state << 13;
	state ^= state >> 7;
	return state ^= state << 17;
}

static uint64_t argument(char *scratch)
{
	switch (random64() % 8) {
	case 0: return random64();
	case 1: return bad[random64() % BAD];
	case 2: return 200 + random64() % 20; // descriptors that do nothing to standard output
	case 3: return (uintptr_t)scratch;
	case 4: return (uintptr_t)edge - random64() % 64;
	case 5: return random64() % 4096;
	case 6: return (uint64_t)-(int64_t)(random64() % 200);
	default: return 0xffffffff & random64();
	}
}

// Pseudo-random calls, with the same seed each time. Blocking ones are ended by a timer.
static void on_alarm(int s) { (void)s; }

static void noise(void)
{
	char *scratch = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *guard = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	memset(guard, 0x77, 65536);
	struct rlimit r = {1 << 20, 1 << 20}; // keep random file sizes harmless
	setrlimit(RLIMIT_FSIZE, &r);
	signal(SIGXFSZ, SIG_IGN);
	signal(SIGPIPE, SIG_IGN);
	struct sigaction sa = {.sa_handler = on_alarm};
	sigaction(SIGALRM, &sa, NULL);
	int p[2];
	MUST(pipe(p));
	int list[] = {open("/dev/null", O_RDWR), open("/dev/zero", O_RDONLY), open("h", O_RDWR | O_CREAT, 0600), p[0], p[1],
		epoll_create1(0), open("/", O_RDONLY), open("/proc/self/maps", O_RDONLY)};
	for (int i = 0; i < 8; i++)
		dup2(list[i], 200 + i);
	long done_calls = 0;
	for (int i = 0; i < 20000; i++) {
		int nr = calls[random64() % (sizeof calls / sizeof *calls)];
		uint64_t a[6];
		for (int j = 0; j < 6; j++)
			a[j] = argument(scratch);
		if (a[0] < 16) // never its own standard streams
			a[0] = 200;
		if (nr == SYS_tgkill)
			a[2] = 0;
		if (nr == SYS_fcntl && a[1] == F_SETFL)
			continue;
		if (nr == SYS_dup3 && a[1] < 200)
			a[1] = 210;
		if (nr == SYS_prlimit64 || nr == SYS_madvise || nr == SYS_msync)
			a[0] = nr == SYS_prlimit64 ? 99999999 : (uintptr_t)scratch; // not its own limits or memory
		if (nr == SYS_madvise)
			a[1] = 4096;
		if (nr == SYS_poll || nr == SYS_futex)
			a[nr == SYS_poll ? 2 : 3] = nr == SYS_poll ? 0 : (uintptr_t)edge + 4096;
		if (nr == SYS_rt_sigprocmask || nr == SYS_sigaltstack)
			a[nr == SYS_sigaltstack ? 0 : 1] = 0;
		struct itimerval_ { long w, x, y, z; } it = {0, 50000, 0, 50000};
		syscall(SYS_setitimer, 0, &it, NULL);
		syscall(nr, a[0], a[1], a[2], a[3], a[4], a[5]);
		done_calls++;
	}
	struct itimerval_ { long w, x, y, z; } off = {0, 0, 0, 0};
	syscall(SYS_setitimer, 0, &off, NULL);
	OK("pseudo-random calls", done_calls > 19000);
	int changed = 0;
	for (int i = 0; i < 65536; i++)
		changed += guard[i] != 0x77;
	EQ("memory that no call was given is unchanged", changed, 0);
}

int main(void)
{
	work_dir();
	char *two = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	mprotect(two + 4096, 4096, PROT_NONE);
	edge = two + 4095;
	addresses();
	edges();
	noise();
	done();
}
