// Makes system calls at random, with arguments from the edges of what they take, in many short-lived children with several threads
// each. No child may get stuck: SIGKILL ends it. The parent looks now and then whether the machine still works.
//
//	calls [-r SEED] [-t SECONDS] [-p CHILDREN AT A TIME] [-n CALLS OF A THREAD] [-c ONLY THIS CALL]
//
// Each child prints nothing; its seed is SEED plus its number. "calls -r SEED -1" runs the child of one seed alone.
#include "../c/check.h"
#include <dirent.h>
#include <ftw.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/wait.h>

#define LAST 470 // beyond the last call of Linux 6.12
#define DIRECTORY "/tmp/calls"

static unsigned long long state_seed;
static long calls = 400;
static int only = -1, children = 4, threads = 3;
static char *arena; // 64 pages, the last of which cannot be touched
#define ARENA (64 * 4096)

struct random { unsigned long long s; };

// next is a step of splitmix64 (Steele, Lea, Flood, 2014).
static unsigned long long next(struct random *r)
{
	unsigned long long z = (r->s += 0x9e3779b97f4a7c15ull);
	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	return z ^ z >> 31;
}

static unsigned below(struct random *r, unsigned n) { return next(r) % n; }

// forbidden calls end or change the machine by right, or reach processes that are not the child's.
static int forbidden(int nr, const unsigned long long *a)
{
	switch (nr) {
	case SYS_reboot: case SYS_kexec_load: case SYS_kexec_file_load: case SYS_settimeofday: case SYS_clock_settime: case SYS_adjtimex:
	case SYS_clock_adjtime: case SYS_mount: case SYS_umount2: case SYS_pivot_root: case SYS_move_mount: case SYS_mount_setattr:
	case SYS_open_tree: case SYS_fsmount: case SYS_swapon: case SYS_swapoff: case SYS_vhangup: case SYS_sethostname: case SYS_setdomainname:
	case SYS_init_module: case SYS_finit_module: case SYS_delete_module: case SYS_acct:
		return 1;
	case SYS_kill: case SYS_rt_sigqueueinfo: case SYS_tkill: case SYS_setpgid: case SYS_prlimit64: case SYS_sched_setaffinity:
	case SYS_sched_setscheduler: case SYS_sched_setparam: case SYS_sched_setattr: case SYS_process_vm_writev: case SYS_process_vm_readv:
	case SYS_pidfd_open: case SYS_migrate_pages: case SYS_move_pages:
		return (int)a[0] != 0 && (int)a[0] != getpid() && nr != SYS_kill; // kill(0) is for the child's group
	case SYS_tgkill: case SYS_rt_tgsigqueueinfo:
		return (int)a[0] != getpid();
	case SYS_ptrace:
		return (int)a[1] != 0;
	case SYS_setpriority: case SYS_ioprio_set:
		return a[1] != 0;
	}
	return 0;
}

static const unsigned long long edges[] = {0, 1, 2, 3, 4, 7, 8, 16, 63, 64, 127, 128, 255, 256, 511, 512, 1000, 1023, 1024, 4095, 4096, 4097,
	65535, 65536, 1 << 20, 0x7fffffff, 0x80000000, 0xfffffffe, 0xffffffff, 1ull << 32, 1ull << 40, 0x7fffffffffff, 0x7fffffffffffffff,
	1ull << 63, -4096ull, -2ull, -1ull, 0xffff800000000000, 0xffffffff80000000, 0xffffffffff600000};

static const char *const paths[] = {"", ".", "..", "f", "g", "d", "d/f", "d/..", "link", "fifo", "socket", "/", "/dev/null", "/dev/zero",
	"/dev/full", "/dev/random", "/dev/tty", "/dev/ptmx", "/proc/self/maps", "/proc/self/mem", "/proc/self/exe", "/proc/self/fd/3",
	"/proc/self/stat", "/proc/self/status", "/proc/meminfo", "/proc/sys/kernel/pid_max", "/sys/devices/system/cpu/online", "no/such",
	"a-name-of-more-than-some-characters"};

// string puts a path into the arena.
static unsigned long long string(struct random *r)
{
	const char *p = paths[below(r, sizeof paths / sizeof *paths)];
	char *at = arena + below(r, ARENA - 8192);
	strcpy(at, p);
	return (unsigned long long)at;
}

static unsigned long long pointer(struct random *r)
{
	switch (below(r, 10)) {
	case 0: return 0;
	case 1: return edges[below(r, sizeof edges / sizeof *edges)];
	case 2: return (unsigned long long)arena + ARENA - 4096 - below(r, 64); // runs over into what cannot be touched
	case 3: case 4: return string(r);
	}
	// Words that are edges themselves: lengths, addresses, descriptors, times.
	unsigned long long *at = (unsigned long long *)(arena + below(r, ARENA / 8 - 1024) * 8);
	for (unsigned i = below(r, 16); i > 0; i--)
		switch (below(r, 4)) {
		case 0: at[i] = edges[below(r, sizeof edges / sizeof *edges)]; break;
		case 1: at[i] = (unsigned long long)arena + below(r, ARENA); break;
		case 2: at[i] = below(r, 40); break;
		default: at[i] = next(r) & 0xffffff;
		}
	return (unsigned long long)at;
}

static unsigned long long argument(struct random *r)
{
	switch (below(r, 8)) {
	case 0: return edges[below(r, sizeof edges / sizeof *edges)];
	case 1: return 1ull << below(r, 64);
	case 2: case 3: return below(r, 40); // a descriptor, a signal, a command
	case 4: return below(r, 0x10000);
	case 5: return next(r);
	}
	return pointer(r);
}

// sensible calls come more often: those that make objects for the others.
static const short often[] = {SYS_open, SYS_openat, SYS_socket, SYS_socketpair, SYS_pipe2, SYS_mmap, SYS_mprotect, SYS_munmap, SYS_mremap,
	SYS_clone, SYS_futex, SYS_epoll_ctl, SYS_ioctl, SYS_fcntl, SYS_read, SYS_write, SYS_sendmsg, SYS_recvmsg, SYS_splice, SYS_io_uring_setup,
	SYS_io_uring_enter, SYS_io_uring_register, SYS_setsockopt, SYS_getsockopt, SYS_prctl, SYS_timer_create, SYS_timer_settime, SYS_rt_sigaction,
	SYS_shmget, SYS_shmat, SYS_semop, SYS_msgsnd, SYS_mq_open, SYS_bind, SYS_connect, SYS_listen, SYS_accept4};

static void *thread(void *seed)
{
	struct random r = {(unsigned long long)seed};
	for (long n = 0; n < calls; n++) {
		unsigned long long a[6];
		int nr = only >= 0 ? only : below(&r, 3) ? (int)below(&r, LAST) : often[below(&r, sizeof often / sizeof *often)];
		for (int i = 0; i < 6; i++)
			a[i] = argument(&r);
		if (nr == SYS_clone || nr == SYS_vfork || nr == SYS_clone3)
			a[0] &= ~0x4000ull; // no vfork on a stack that two use; clone's children go their way
		if (nr == SYS_vfork || forbidden(nr, a))
			continue;
		if (nr == SYS_clone && a[1] != 0)
			a[1] = 0;
		if (nr == SYS_clone)
			a[0] &= ~(0x100ull | 0x10000); // CLONE_VM, CLONE_THREAD: a second thread on this stack
		syscall(nr, a[0], a[1], a[2], a[3], a[4], a[5]);
	}
	return 0;
}

// child makes some objects and calls until it ends, or is ended.
static void child(unsigned long long seed)
{
	struct random r = {seed};
	char name[64];
	setpgid(0, 0);
	int null = open("/dev/null", O_RDWR);
	for (int fd = 0; fd < 3; fd++)
		dup2(null, fd);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	snprintf(name, sizeof name, DIRECTORY "/%llu", seed);
	mkdir(name, 0777);
	chmod(name, 0777);
	chdir(name);
	mkdir("d", 0777);
	close(open("f", O_CREAT | O_RDWR, 0666));
	symlink("f", "link");
	mkfifo("fifo", 0666);
	setrlimit(RLIMIT_NOFILE, &(struct rlimit){200, 200});
	setrlimit(RLIMIT_FSIZE, &(struct rlimit){4 << 20, 4 << 20});
	setrlimit(RLIMIT_AS, &(struct rlimit){1 << 30, 1 << 30});
	setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
	arena = mmap(0, ARENA, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	mprotect(arena + ARENA - 4096, 4096, PROT_NONE);
	int p[2];
	pipe(p);
	socketpair(AF_UNIX, SOCK_STREAM, 0, p);
	socketpair(AF_UNIX, SOCK_DGRAM, 0, p);
	socket(AF_INET, SOCK_STREAM, 0);
	socket(AF_INET6, SOCK_DGRAM, 0);
	eventfd(0, 0);
	epoll_create1(0);
	timerfd_create(CLOCK_MONOTONIC, 0);
	inotify_init();
	memfd_create("m", 0);
	open("f", O_RDWR);
	open(".", O_RDONLY);
	if (below(&r, 2) && (setgid(1000) || setuid(1000)))
		_exit(9);
	alarm(2);
	pthread_t t;
	for (int i = 1; i < threads; i++)
		pthread_create(&t, NULL, thread, (void *)next(&r));
	thread((void *)next(&r));
	_exit(0);
}

static int removeOne(const char *name, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st, (void)ftw;
	return type == FTW_DP ? (rmdir(name), 0) : (unlink(name), 0);
}

static pid_t pids[64];

// reap waits for all that has ended: children, what they have left to the first process, and threads that made this one their tracer,
// before which the child itself does not count as ended. It returns how many children go on.
static int reap(void)
{
	pid_t pid;
	int left = 0;
	while ((pid = waitpid(-1, NULL, WNOHANG | __WALL)) > 0)
		for (int i = 0; i < children; i++)
			if (pids[i] == pid) {
				kill(-pid, SIGKILL); // what it has left behind
				pids[i] = 0;
			}
	for (int i = 0; i < children; i++)
		left += pids[i] > 0;
	return left;
}

// gone waits for a child that was told to end.
static int gone(int child)
{
	for (int i = 0; i < 1200; i++) {
		reap();
		if (pids[child] == 0)
			return 1;
		usleep(50000);
	}
	return 0;
}

// works tells whether a new process, a new program and new files are possible.
static int works(void)
{
	int status = -1;
	pid_t pid = fork();
	if (pid == 0) {
		execl("/proc/self/exe", "calls", "-w", NULL);
		_exit(1);
	}
	return pid > 0 && waitpid(pid, &status, 0) == pid && status == 7 << 8;
}

int main(int argc, char **argv)
{
	int c, seconds = 10, single = 0;
	while ((c = getopt(argc, argv, "r:t:p:n:c:1w")) != -1)
		switch (c) {
		case 'r': state_seed = strtoull(optarg, 0, 0); break;
		case 't': seconds = atoi(optarg); break;
		case 'p': children = atoi(optarg); break;
		case 'n': calls = atol(optarg); break;
		case 'c': only = atoi(optarg); break;
		case '1': single = 1; break;
		case 'w': return 7;
		default: return 99;
		}
	setvbuf(stdout, NULL, _IOLBF, 0);
	signal(SIGPIPE, SIG_IGN);
	mkdir(DIRECTORY, 0777);
	chmod(DIRECTORY, 0777);
	if (single)
		child(state_seed);
	printf("seed %llu\n", state_seed);
	time_t end = time(NULL) + seconds, told = time(NULL);
	long n = 0, stuck = 0, broken = 0;
	while (time(NULL) < end && stuck + broken == 0) {
		unsigned long long first = state_seed + n;
		for (int i = 0; i < children; i++, n++)
			if ((pids[i] = fork()) == 0)
				child(state_seed + n);
		struct timespec start, now;
		clock_gettime(CLOCK_MONOTONIC, &start);
		while (reap() > 0) {
			clock_gettime(CLOCK_MONOTONIC, &now);
			if (now.tv_sec - start.tv_sec >= 4)
				break;
			usleep(5000);
		}
		for (int i = 0; i < children; i++)
			if (pids[i] > 0) {
				kill(-pids[i], SIGKILL);
				kill(pids[i], SIGKILL);
				if (!gone(i)) {
					printf("not ok the child of seed %llu does not end\n", first + i);
					stuck++;
				}
			}
		if (!works()) {
			printf("not ok nothing works after seed %llu\n", first);
			broken++;
		}
		if (n % 64 == 0)
			nftw(DIRECTORY, removeOne, 16, FTW_DEPTH | FTW_PHYS), mkdir(DIRECTORY, 0777), chmod(DIRECTORY, 0777);
		if (time(NULL) - told >= 10) {
			printf("at seed %llu\n", first);
			told = time(NULL);
		}
	}
	printf("%s %ld children\n", stuck + broken ? "not ok" : "ok", n);
	return stuck + broken != 0;
}
