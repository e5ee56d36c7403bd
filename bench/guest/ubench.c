// Measures the costs of a system to a program, one line per figure:
//
//	UB name value unit
//
// between a line UB-START and a line UB-END. The argument "memory" measures the
// memory figures only, "processes" those of processes and files, and "start NAME
// PROGRAM ARGS..." how long a program takes from fork to its end. It runs as a
// program, and as the first process of a machine, where it does not end.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static int64_t now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static void out(const char *name, double value, const char *unit)
{
	printf("UB %s %.1f %s\n", name, value, unit);
	fflush(stdout);
}

static void failed(const char *name)
{
	printf("UB %s FAIL %d\n", name, errno);
	fflush(stdout);
}

// MEASURE runs an expression n times, after a thousand to warm up.
#define MEASURE(name, n, expression) do { \
	for (int w = 0; w < 1000; w++) { expression; } \
	int64_t t0 = now(); \
	for (long i = 0; i < (n); i++) { expression; } \
	out(name, (now() - t0) / (double)(n), "ns"); \
} while (0)

static void calls(void)
{
	static char page[4096];
	char b[8];
	struct timespec ts;
	int zero = open("/dev/zero", O_RDONLY), null = open("/dev/null", O_WRONLY);
	MEASURE("getppid", 500000, syscall(SYS_getppid));
	MEASURE("clock_gettime", 1000000, clock_gettime(CLOCK_MONOTONIC, &ts));
	MEASURE("clock_gettime_syscall", 200000, syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &ts));
	if (zero < 0 || null < 0) {
		failed("devices");
		return;
	}
	ssize_t r;
	MEASURE("read_zero_1", 300000, r = read(zero, b, 1));
	MEASURE("read_zero_4096", 100000, r = read(zero, page, sizeof page));
	MEASURE("write_null_1", 300000, r = write(null, b, 1));
	(void)r;
}

static void fault(const char *name, size_t mib, int advice)
{
	size_t size = mib << 20;
	char *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p == MAP_FAILED) {
		failed(name);
		return;
	}
	madvise(p, size, advice);
	int64_t t0 = now();
	for (size_t i = 0; i < size; i += 4096)
		p[i] = 1;
	out(name, (now() - t0) / (double)(size / 4096), "ns/page");
	munmap(p, size);
}

static void memory(void)
{
	fault("pagefault_warmup", 64, MADV_NOHUGEPAGE);
	fault("pagefault", 64, MADV_NOHUGEPAGE);
	fault("pagefault_warmup", 64, MADV_HUGEPAGE); // in memory that the host has not given to the machine yet
	fault("pagefault_huge", 64, MADV_HUGEPAGE);
	for (int warm = 1; warm >= 0; warm--) {
		int n = warm ? 1000 : 20000;
		int64_t t0 = now();
		for (int i = 0; i < n; i++) {
			char *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
			p[0] = 1;
			munmap(p, 4096);
		}
		if (!warm)
			out("mmap_touch_munmap", (now() - t0) / (double)n, "ns");
	}
}

// Two threads that take turns, by a futex word.
static uint32_t turn;
static int rounds;

static void hand_over(uint32_t mine)
{
	for (int i = 0; i < rounds; i++) {
		while (__atomic_load_n(&turn, __ATOMIC_ACQUIRE) != mine)
			syscall(SYS_futex, &turn, FUTEX_WAIT_PRIVATE, !mine, NULL, NULL, 0);
		__atomic_store_n(&turn, !mine, __ATOMIC_RELEASE);
		syscall(SYS_futex, &turn, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
	}
}

static void *futex_peer(void *arg) { hand_over(1); return arg; }

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t cond[2] = {PTHREAD_COND_INITIALIZER, PTHREAD_COND_INITIALIZER};
static int owner;

static void alternate(int mine)
{
	for (int i = 0; i < rounds; i++) {
		pthread_mutex_lock(&mutex);
		while (owner != mine)
			pthread_cond_wait(&cond[mine], &mutex);
		owner = !mine;
		pthread_cond_signal(&cond[!mine]);
		pthread_mutex_unlock(&mutex);
	}
}

static void *cond_peer(void *arg) { alternate(1); return arg; }

static int to[2], from[2];

static void *pipe_peer(void *arg)
{
	char c;
	for (int i = 0; i < rounds; i++)
		if (read(to[0], &c, 1) != 1 || write(from[1], &c, 1) != 1)
			break;
	return arg;
}

static volatile int stop;
static void *yield_peer(void *arg)
{
	while (!stop)
		sched_yield();
	return arg;
}

static void *nothing(void *arg) { return arg; }

static void threads(void)
{
	pthread_t t;
	rounds = 10000;
	if (pthread_create(&t, NULL, futex_peer, NULL)) {
		failed("threads");
		return;
	}
	int64_t t0 = now();
	hand_over(0);
	pthread_join(t, NULL);
	out("futex_pingpong", (now() - t0) / (double)rounds, "ns/round");

	pthread_create(&t, NULL, cond_peer, NULL);
	t0 = now();
	alternate(0);
	pthread_join(t, NULL);
	out("mutex_cond", (now() - t0) / (double)rounds, "ns/round");

	if (pipe(to) || pipe(from)) {
		failed("pipe");
		return;
	}
	pthread_create(&t, NULL, pipe_peer, NULL);
	char c = 1;
	t0 = now();
	for (int i = 0; i < rounds; i++)
		if (write(to[1], &c, 1) != 1 || read(from[0], &c, 1) != 1) {
			failed("pipe");
			return;
		}
	out("pipe_roundtrip", (now() - t0) / (double)rounds, "ns/round");
	pthread_join(t, NULL);

	MEASURE("sched_yield_alone", 200000, sched_yield());
	pthread_create(&t, NULL, yield_peer, NULL);
	MEASURE("sched_yield", 50000, sched_yield());
	stop = 1;
	pthread_join(t, NULL);

	for (int i = 0; i < 50; i++) {
		pthread_create(&t, NULL, nothing, NULL);
		pthread_join(t, NULL);
	}
	int n = 1500;
	t0 = now();
	for (int i = 0; i < n; i++)
		if (pthread_create(&t, NULL, nothing, NULL) || pthread_join(t, NULL)) {
			failed("thread_create_join");
			return;
		}
	out("thread_create_join", (now() - t0) / (double)n, "ns");
}

// run starts a program, or a child that ends at once, and waits for it.
static int run(char **argv)
{
	int status;
	pid_t p = fork();
	if (p == 0) {
		if (argv) {
			execv(argv[0], argv);
			_exit(127);
		}
		_exit(0);
	}
	if (p < 0 || waitpid(p, &status, 0) != p || status != 0)
		return -1;
	return 0;
}

static void children(const char *name, int n, char **argv)
{
	for (int i = 0; i < n / 10; i++)
		if (run(argv)) {
			failed(name);
			return;
		}
	int64_t t0 = now();
	for (int i = 0; i < n; i++)
		if (run(argv)) {
			failed(name);
			return;
		}
	out(name, (now() - t0) / (double)n, "ns");
}

// Two processes that take turns, by pipes and by sched_yield.
static void turns(void)
{
	char c = 1;
	rounds = 10000;
	if (pipe(to) || pipe(from)) {
		failed("pipe_processes");
		return;
	}
	pid_t p = fork();
	if (p == 0) {
		pipe_peer(NULL);
		_exit(0);
	}
	int64_t t0 = now();
	for (int i = 0; i < rounds; i++)
		if (write(to[1], &c, 1) != 1 || read(from[0], &c, 1) != 1) {
			failed("pipe_processes");
			return;
		}
	out("pipe_processes", (now() - t0) / (double)rounds, "ns/round");
	waitpid(p, NULL, 0);

	if ((p = fork()) == 0)
		for (;;)
			sched_yield();
	MEASURE("switch_processes", 20000, sched_yield());
	kill(p, SIGKILL);
	waitpid(p, NULL, 0);
}

// files reads a file in the page cache, 32 MiB, by read(2) and by a mapping.
static void files(void)
{
	static char buf[64 << 10];
	enum { mib = 32 };
	const size_t size = (size_t)mib << 20;
	int fd = memfd_create("ubench", 0);
	for (size_t n = 0; n < size; n += sizeof buf)
		if (fd < 0 || write(fd, buf, sizeof buf) != sizeof buf) {
			failed("read_cached");
			return;
		}
	for (int warm = 1; warm >= 0; warm--) {
		int64_t t0 = now();
		for (size_t n = 0; n < size; n += sizeof buf)
			if (pread(fd, buf, sizeof buf, n) != sizeof buf) {
				failed("read_cached");
				return;
			}
		if (!warm)
			out("read_cached", (now() - t0) / (double)mib, "ns/MiB");
	}
	for (int warm = 1; warm >= 0; warm--) {
		int64_t t0 = now();
		char *p = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);
		if (p == MAP_FAILED) {
			failed("map_cached");
			return;
		}
		uint64_t sum = 0;
		for (size_t i = 0; i < size; i += 4096)
			sum += *(volatile char *)(p + i);
		munmap(p, size);
		if (!warm)
			out("map_cached", (now() - t0) / (double)mib + (double)(sum & 0), "ns/MiB");
	}
	close(fd);
}

static void processes(char *self)
{
	children("fork_wait", 400, NULL);
	children("fork_exec_wait", 200, (char *[]){self, "nothing", NULL});
	turns();
}

// start measures the program in argv, whose output is dropped.
static void start(char *name, char **argv)
{
	if (access("/proc/self", F_OK)) { // the first process of Linux
		mount("proc", "/proc", "proc", 0, NULL);
		mount("dev", "/dev", "devtmpfs", 0, NULL);
	}
	int null = open("/dev/null", O_WRONLY), old = dup(1);
	double took[4];
	for (int i = 0; i < 4; i++) {
		dup2(null, 1);
		int64_t t0 = now();
		int bad = run(argv);
		took[i] = now() - t0;
		dup2(old, 1);
		if (bad) {
			failed(name);
			return;
		}
	}
	char first[64];
	snprintf(first, sizeof first, "%s_first", name);
	out(first, took[0], "ns");
	out(name, (took[1] + took[2] + took[3]) / 3, "ns");
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";
	if (!strcmp(what, "nothing"))
		return 0;
	puts("UB-START");
	fflush(stdout);
	if (!strcmp(what, "start") && argc > 3) {
		start(argv[2], argv + 3);
	} else if (!strcmp(what, "processes")) {
		processes(argv[0]);
		files();
	} else {
		if (strcmp(what, "memory")) {
			calls();
			threads();
		}
		memory();
	}
	puts("UB-END");
	fflush(stdout);
	while (getpid() == 1)
		pause();
	return 0;
}
