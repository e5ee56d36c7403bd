// System calls and flags that Linux got from 6.2 to 6.12, except those of memory management. Where the host's kernel is
// older, its ENOSYS or EINVAL counts as right on the host: see old().
#include "check.h"
#include <linux/futex.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/utsname.h>
#include <sys/wait.h>

#ifndef RWF_NOAPPEND
#define RWF_NOAPPEND 0x20
#endif
#define RWF_ATOMIC_ 0x40
#define F_CREATED_QUERY_ 1028
#define F_DUPFD_QUERY_ 1027
#define PIDFD_THREAD_ O_EXCL
#define STATX_MNT_ID_UNIQUE_ 0x4000

static int kernel; // 1000 * major + minor

// old says that the kernel has not got what came with a version.
static int old(int version) { return kernel < version; }

static uint32_t word;
static int waits;

static void *waiter(void *clock)
{
	struct timespec *deadline = clock;
	__atomic_add_fetch(&waits, 1, __ATOMIC_SEQ_CST);
	long r = syscall(455, &word, (unsigned long)0, ~0U & 0xffffffffUL, 2 | 0x80, deadline, CLOCK_MONOTONIC);
	return (void *)(long)(r < 0 ? errno : 0);
}

static void futexes(void)
{
	struct timespec past = {0, 1}, bad = {0, -1};
	unsigned long any = 0xffffffffUL;
	FAILS("futex_wait: flags", syscall(455, &word, 0UL, any, 0x40, NULL, 0), EINVAL);
	FAILS("futex_wait: size", syscall(455, &word, 0UL, any, 1 | 0x80, NULL, 0), EINVAL);
	FAILS("futex_wait: a value of 64 bits", syscall(455, &word, 1UL << 32, any, 0x82, NULL, 0), EINVAL);
	FAILS("futex_wait: a mask of 64 bits", syscall(455, &word, 0UL, ~0UL, 0x82, NULL, 0), EINVAL);
	FAILS("futex_wait: no mask", syscall(455, &word, 0UL, 0UL, 0x82, NULL, 0), EINVAL);
	FAILS("futex_wait: clock", syscall(455, &word, 0UL, any, 0x82, &past, 7), EINVAL);
	FAILS("futex_wait: time", syscall(455, &word, 0UL, any, 0x82, &bad, CLOCK_REALTIME), EINVAL);
	FAILS("futex_wait: another value", syscall(455, &word, 1UL, any, 0x82, NULL, 0), EAGAIN);
	FAILS("futex_wait: the time is over", syscall(455, &word, 0UL, any, 0x82, &past, CLOCK_REALTIME), ETIMEDOUT);
	FAILS("futex_wait: misaligned", syscall(455, (char *)&word + 1, 0UL, any, 0x82, NULL, 0), EINVAL);
	FAILS("futex_wake: flags", syscall(454, &word, any, 1, 0x40), EINVAL);
	FAILS("futex_wake: no mask", syscall(454, &word, 0UL, 1, 0x82), EINVAL);
	EQ("futex_wake: nobody", syscall(454, &word, any, 1, 0x82), 0);
	pthread_t t[2];
	struct timespec late;
	clock_gettime(CLOCK_MONOTONIC, &late);
	late.tv_sec += 60;
	for (int i = 0; i < 2; i++)
		pthread_create(&t[i], NULL, waiter, &late);
	while (__atomic_load_n(&waits, __ATOMIC_SEQ_CST) < 2)
		sleep_ms(1);
	sleep_ms(50);
	EQ("futex_wake: none is wanted", syscall(454, &word, any, 0, 0x82), 0);
	int n = 0;
	for (int i = 0; i < 500 && n == 0; i++, sleep_ms(10))
		n = syscall(454, &word, any, 1, 0x82);
	EQ("futex_wake: one", n, 1);
	// The other is moved to another word and woken there.
	static uint32_t second;
	struct { uint64_t val, uaddr; uint32_t flags, reserved; } w[2] = {{1, (uintptr_t)&word, 0x82, 0}, {0, (uintptr_t)&second, 0x82, 0}};
	FAILS("futex_requeue: value", syscall(456, w, 0, 0, 1), EAGAIN);
	w[0].val = 0;
	FAILS("futex_requeue: flags", syscall(456, w, 1, 0, 1), EINVAL);
	FAILS("futex_requeue: no waiters", syscall(456, NULL, 0, 0, 1), EINVAL);
	FAILS("futex_requeue: less than none", syscall(456, w, 0, -1, 1), EINVAL);
	w[1].flags = 2;
	FAILS("futex_requeue: different flags", syscall(456, w, 0, 0, 1), EINVAL);
	w[1].flags = 0x82;
	n = 0;
	for (int i = 0; i < 500 && n == 0; i++, sleep_ms(10))
		n = syscall(456, w, 0, 0, 1);
	EQ("futex_requeue", n, 1);
	EQ("it left the first word", syscall(454, &word, any, 1, 0x82), 0);
	EQ("and is at the second", syscall(454, &second, any, 1, 0x82), 1);
	for (int i = 0; i < 2; i++) {
		void *r;
		pthread_join(t[i], &r);
		EQ(i ? "the second waiter" : "the first waiter", (long)r, 0);
	}
}

static void files(void)
{
	int fd = MUST(open("a", O_RDWR | O_CREAT | O_APPEND, 0600));
	EQ("F_CREATED_QUERY: made", old(6012) ? 1 : fcntl(fd, F_CREATED_QUERY_), 1);
	int again = MUST(open("a", O_RDWR | O_CREAT, 0600));
	EQ("F_CREATED_QUERY: was there", old(6012) ? 0 : fcntl(again, F_CREATED_QUERY_), 0);
	int tmp = MUST(open(".", O_RDWR | O_TMPFILE, 0600));
	int path = MUST(open("a", O_PATH));
	EQ("F_CREATED_QUERY: O_PATH", old(6012) ? 0 : fcntl(path, F_CREATED_QUERY_), 0);
	EQ("F_DUPFD_QUERY: another", old(6010) ? 0 : fcntl(fd, F_DUPFD_QUERY_, again), 0);
	EQ("F_DUPFD_QUERY: the same", old(6010) ? 1 : fcntl(fd, F_DUPFD_QUERY_, dup(fd)), 1);
	struct iovec v = {"xy", 2};
	EQ("write at the end", pwritev2(fd, &v, 1, 0, 0), 2);
	EQ("write at the end 2", pwritev2(fd, &v, 1, 0, 0), 2);
	v = (struct iovec){"Z", 1};
	if (old(6009)) {
		EQ("RWF_NOAPPEND", pwrite(again, "Z", 1, 1), 1);
	} else {
		EQ("RWF_NOAPPEND", pwritev2(fd, &v, 1, 1, RWF_NOAPPEND), 1);
	}
	STR("is at its offset", get("a"), "xZxy");
	FAILS("with RWF_APPEND", pwritev2(fd, &v, 1, 1, RWF_NOAPPEND | RWF_APPEND), old(6009) ? EOPNOTSUPP : EINVAL);
	FAILS("RWF_ATOMIC", pwritev2(fd, &v, 1, 1, RWF_ATOMIC_), EOPNOTSUPP);
	FAILS("RWF_ATOMIC of a read", preadv2(fd, &v, 1, 1, RWF_ATOMIC_), EOPNOTSUPP);
	FAILS("an unknown flag", preadv2(fd, &v, 1, 1, 1 << 30), EOPNOTSUPP);
	// fchmodat2.
	symlink("a", "l");
	if (old(6006)) {
		chmod("a", 0640);
		chmod("a", 0600);
	}
	EQ("fchmodat2", old(6006) ? 0 : syscall(452, AT_FDCWD, "l", 0640, 0), 0);
	FAILS("fchmodat2 of a link", old(6006) ? (errno = EOPNOTSUPP, -1) : syscall(452, AT_FDCWD, "l", 0600, AT_SYMLINK_NOFOLLOW), EOPNOTSUPP);
	EQ("fchmodat2 of an O_PATH descriptor", old(6006) ? 0 : syscall(452, path, "", 0600, AT_EMPTY_PATH), 0);
	FAILS("fchmodat2 flags", old(6006) ? (errno = EINVAL, -1) : syscall(452, AT_FDCWD, "a", 0600, 1), EINVAL);
	struct stat st;
	stat("a", &st);
	EQ("the mode", st.st_mode & 07777, 0600);
	close(tmp);
}

static volatile sig_atomic_t got_tid, got_code;

static void on_usr1(int s, siginfo_t *i, void *c)
{
	got_code = i->si_code;
	got_tid = syscall(SYS_gettid);
}

static int thread_tid, thread_go;

static void *thread(void *a)
{
	__atomic_store_n(&thread_tid, syscall(SYS_gettid), __ATOMIC_SEQ_CST);
	while (!__atomic_load_n(&thread_go, __ATOMIC_SEQ_CST))
		sleep_ms(1);
	return NULL;
}

static int ready(int fd)
{
	struct pollfd p = {fd, POLLIN, 0};
	return poll(&p, 1, 0) == 1 ? p.revents & POLLIN : 0;
}

static void pidfds(void)
{
	struct sigaction sa = {.sa_sigaction = on_usr1, .sa_flags = SA_SIGINFO | SA_RESTART};
	sigaction(SIGUSR1, &sa, NULL);
	pthread_t t;
	pthread_create(&t, NULL, thread, NULL);
	while (!__atomic_load_n(&thread_tid, __ATOMIC_SEQ_CST))
		sleep_ms(1);
	int fd = syscall(SYS_pidfd_open, thread_tid, PIDFD_THREAD_);
	OK("PIDFD_THREAD", fd >= 0);
	EQ("F_GETFL shows it", fcntl(fd, F_GETFL) & O_EXCL, O_EXCL);
	OK("a thread is no process", syscall(SYS_pidfd_open, thread_tid, 0) == -1 && (errno == EINVAL || errno == ENOENT));
	FAILS("no such thread", syscall(SYS_pidfd_open, 4000000, PIDFD_THREAD_), ESRCH);
	EQ("it runs", ready(fd), 0);
	EQ("signal the thread", syscall(SYS_pidfd_send_signal, fd, SIGUSR1, NULL, 0), 0);
	for (int i = 0; i < 500 && !got_tid; i++)
		sleep_ms(10);
	EQ("it gets it", got_tid, thread_tid);
	EQ("as from tgkill", got_code, SI_TKILL);
	got_tid = 0;
	int self = MUST(syscall(SYS_pidfd_open, getpid(), 0));
	EQ("the flag for a thread", syscall(SYS_pidfd_send_signal, self, SIGUSR1, NULL, 1), 0);
	EQ("is the first thread", got_tid, getpid());
	EQ("code", got_code, SI_TKILL);
	EQ("the flag for a process", syscall(SYS_pidfd_send_signal, fd, 0, NULL, 2), 0);
	FAILS("two flags", syscall(SYS_pidfd_send_signal, self, 0, NULL, 3), EINVAL);
	FAILS("an unknown flag for pidfd_send_signal", syscall(SYS_pidfd_send_signal, self, 0, NULL, 64), EINVAL);
	pid_t child = fork();
	if (child == 0) {
		setpgid(0, 0);
		for (;;)
			pause();
	}
	setpgid(child, child);
	int group = MUST(syscall(SYS_pidfd_open, child, 0));
	EQ("a process group", syscall(SYS_pidfd_send_signal, group, SIGKILL, NULL, 4), 0);
	int status;
	waitpid(child, &status, 0);
	EQ("is killed", WTERMSIG(status), SIGKILL);
	FAILS("a group that is none", syscall(SYS_pidfd_send_signal, group, 0, NULL, 4), ESRCH);
	__atomic_store_n(&thread_go, 1, __ATOMIC_SEQ_CST);
	struct pollfd p = {fd, POLLIN, 0};
	EQ("the end of the thread is seen", poll(&p, 1, 10000), 1);
	OK("it is readable", p.revents & POLLIN);
	pthread_join(t, NULL);
	FAILS("and gone", syscall(SYS_pidfd_send_signal, fd, 0, NULL, 0), ESRCH);
	EQ("the process goes on", ready(self), 0);
	// A thread of a child is no child.
	int pipes[2];
	pipe(pipes);
	thread_go = thread_tid = 0;
	child = fork();
	if (child == 0) {
		pthread_create(&t, NULL, thread, NULL);
		while (!__atomic_load_n(&thread_tid, __ATOMIC_SEQ_CST))
			sleep_ms(1);
		write(pipes[1], &thread_tid, sizeof thread_tid);
		for (;;)
			pause();
	}
	read(pipes[0], &thread_tid, sizeof thread_tid);
	int other = MUST(syscall(SYS_pidfd_open, thread_tid, PIDFD_THREAD_));
	siginfo_t info;
	FAILS("a thread of a child is no child", waitid(3, other, &info, WEXITED | WNOHANG), ECHILD);
	int first = MUST(syscall(SYS_pidfd_open, child, PIDFD_THREAD_));
	kill(child, SIGKILL);
	EQ("its first thread is", waitid(3, first, &info, WEXITED), 0);
	struct stat a, b, c;
	int again = MUST(syscall(SYS_pidfd_open, getpid(), 0));
	fstat(self, &a), fstat(again, &b), fstat(group, &c);
	OK("one inode for one process", a.st_ino == b.st_ino && a.st_dev == b.st_dev && a.st_ino != c.st_ino);
}

struct req { uint32_t size, spare; uint64_t id, param, ns; };
struct mount_stat {
	uint32_t size, opts;
	uint64_t mask;
	uint32_t dev_major, dev_minor;
	uint64_t magic;
	uint32_t sb_flags, type;
	uint64_t id, parent;
	uint32_t id_old, parent_old;
	uint64_t attr, propagation, peer_group, master, from;
	uint32_t root, point;
	uint64_t ns_id, spare[49];
	char str[1024];
};

static uint64_t unique(const char *path)
{
	struct statx x;
	return statx(AT_FDCWD, path, 0, STATX_MNT_ID_UNIQUE_, &x) == 0 && x.stx_mask & STATX_MNT_ID_UNIQUE_ ? x.stx_mnt_id : 0;
}

static void mounts(void)
{
	struct statx x;
	uint64_t root = unique("/"), list[64];
	OK("STATX_MNT_ID_UNIQUE", root > 1ULL << 31);
	statx(AT_FDCWD, "/", 0, STATX_MNT_ID, &x);
	OK("the old number", x.stx_mask & STATX_MNT_ID && x.stx_mnt_id < 1ULL << 31);
	mkdir("m", 0755);
	MUST(mount("none", "m", "tmpfs", MS_NOSUID | MS_NODEV, "size=1m"));
	mkdir("m/n", 0755);
	MUST(mount("none", "m/n", "tmpfs", MS_RDONLY | MS_NOATIME, ""));
	uint64_t m = unique("m"), n = unique("m/n");
	OK("each has its own", m != n && m != root);
	struct req r = {24, 0, m, 0};
	EQ("listmount", syscall(458, &r, list, 64, 0), 1);
	OK("what is below", list[0] == n);
	r.param = n;
	EQ("after the last", syscall(458, &r, list, 64, 0), 0);
	r = (struct req){24, 0, ~0ULL, 0};
	long all = syscall(458, &r, list, 64, 0);
	OK("from the root", all >= 3 && all < 64);
	EQ("no room", syscall(458, &r, list, 0, 0), 0);
	EQ("room for one", syscall(458, &r, list, 1, 0), 1);
	EQ("backwards", syscall(458, &r, list, 2, 1), 2);
	OK("the latest first", list[0] == n && list[1] == m);
	FAILS("listmount flags", syscall(458, &r, list, 64, 2), EINVAL);
	FAILS("too many", syscall(458, &r, list, 1000001, 0), EOVERFLOW);
	r.id = 5;
	FAILS("no unique number", syscall(458, &r, list, 64, 0), EINVAL);
	r.id = 1ULL << 40;
	FAILS("no such mount", syscall(458, &r, list, 64, 0), ENOENT);
	r = (struct req){16, 0, m, 0};
	FAILS("a small request", syscall(458, &r, list, 64, 0), EINVAL);
	r.size = 8192;
	FAILS("a large request", syscall(458, &r, list, 64, 0), E2BIG);
	r = (struct req){24, 1, m, 0};
	FAILS("spare", syscall(458, &r, list, 64, 0), EINVAL);

	static struct mount_stat s;
	r = (struct req){24, 0, m, 1 | 2 | 8 | 16 | 32};
	EQ("statmount", syscall(457, &r, &s, sizeof s, 0), 0);
	EQ("what it tells", s.mask & r.param, r.param);
	STR("type", s.str + s.type, "tmpfs");
	STR("root", s.str + s.root, "/");
	char cwd[PATH_MAX];
	strcat(getcwd(cwd, sizeof cwd), "/m");
	STR("mount point", s.str + s.point, cwd);
	EQ("magic", s.magic, 0x01021994);
	EQ("its number", s.id, m);
	EQ("its parent", s.parent, unique("."));
	statx(AT_FDCWD, "m", 0, STATX_MNT_ID, &x);
	EQ("its old number", s.id_old, x.stx_mnt_id);
	OK("the device", s.dev_major == x.stx_dev_major && s.dev_minor == x.stx_dev_minor);
	EQ("attributes", s.attr, 2 | 4);
	EQ("size", s.size > 512 && s.size <= sizeof s, 1);
	r = (struct req){24, 0, n, 2};
	memset(&s, 0, sizeof s);
	EQ("no strings", syscall(457, &r, &s, 512, 0), 0);
	EQ("read-only, no access times", s.attr, 1 | 0x10);
	EQ("only the fixed part", s.size, 512);
	EQ("its parent is the other", s.parent, m);
	r.param = 16;
	FAILS("no room for strings", syscall(457, &r, &s, 512, 0), EOVERFLOW);
	FAILS("too little room", syscall(457, &r, &s, 515, 0), EOVERFLOW);
	EQ("a short struct", ({ r.param = 2; syscall(457, &r, &s, 64, 0); }), 0);
	FAILS("statmount flags", syscall(457, &r, &s, sizeof s, 1), EINVAL);
	r.id = 1ULL << 40;
	FAILS("statmount: no such mount", syscall(457, &r, &s, sizeof s, 0), ENOENT);
	umount("m/n"), umount("m");
}

static void controls(void)
{
	struct utsname u;
	int a = 0, b = 0;
	uname(&u);
	EQ("uname", sscanf(u.release, "%d.%d", &a, &b), 2);
	OK("6.12 or later", !strstr(u.release, "gosv") || 1000 * a + b >= 6012);
	char release[80];
	snprintf(release, sizeof release, "%s\n", u.release);
	STR("osrelease", get("/proc/sys/kernel/osrelease"), release);
	unsigned long auxv[128], mine[128];
	long n = prctl(0x41555856, auxv, sizeof auxv, 0, 0);
	int fd = open("/proc/self/auxv", O_RDONLY);
	long k = read(fd, mine, sizeof mine);
	OK("PR_GET_AUXV", n > 0 && k > 0 && memcmp(auxv, mine, k < n ? k : n) == 0);
	int ep = MUST(epoll_create1(0));
	char params[8] = "";
	OK("EPIOCSPARAMS is there, or there is no busy polling", ioctl(ep, 0x40088a01, params) == 0 || errno == EOPNOTSUPP || old(6009));
	FAILS("another ioctl of an epoll", old(6009) ? (errno = EINVAL, -1) : ioctl(ep, 0x1234, params), EINVAL);
	FAILS("PR_GET_AUXV with more", prctl(0x41555856, auxv, sizeof auxv, 1, 0), EINVAL);
}

int main(void)
{
	struct utsname u;
	int a = 0, b = 0;
	uname(&u);
	sscanf(u.release, "%d.%d", &a, &b);
	kernel = 1000 * a + b;
	work_dir();
	if (!old(6007))
		futexes();
	files();
	if (!old(6009))
		pidfds();
	if (!old(6011))
		mounts();
	controls();
	done();
}
