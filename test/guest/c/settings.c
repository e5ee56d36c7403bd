// What settings of /proc/sys do: limits are obeyed, protections protect.
#include "check.h"
#include <grp.h>
#include <mqueue.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/personality.h>
#include <sys/resource.h>
#include <sys/wait.h>

#define SYS "/proc/sys/"

static char was[16][128], *wasName[16];
static int changed;

static int set(const char *name, const char *text)
{
	char path[128];
	snprintf(path, sizeof path, SYS "%s", name);
	int fd = open(path, O_WRONLY);
	if (fd < 0)
		return -1;
	int n = write(fd, text, strlen(text));
	int e = errno;
	close(fd);
	errno = e;
	return n < 0 ? n : 0;
}

static const char *value(const char *name)
{
	char path[128];
	snprintf(path, sizeof path, SYS "%s", name);
	return get(path);
}

// change sets a value that restore puts back.
static void change(char *name, const char *text)
{
	wasName[changed] = name;
	snprintf(was[changed++], 128, "%s", value(name));
	EQ(name, set(name, text), 0);
}

static void restore(void)
{
	while (changed > 0) {
		changed--;
		if (set(wasName[changed], was[changed]) != 0)
			report(0, "restore", "%s", wasName[changed]);
	}
}

static void become(int id)
{
	setgroups(0, NULL);
	if (setresgid(id, id, id) || setresuid(id, id, id))
		_exit(99);
}

// as runs f as another user, and returns its result.
static int as(int id, int (*f)(void))
{
	int st;
	fflush(stdout);
	pid_t p = fork();
	if (p == 0) {
		become(id);
		_exit(f());
	}
	waitpid(p, &st, 0);
	return WIFEXITED(st) ? WEXITSTATUS(st) : 200 + WTERMSIG(st);
}

static int result(int r) { return r == -1 ? errno : 0; }

static int follow(void) { return result(open("shared/link", O_RDONLY)); }
static int follow_stat(void) { struct stat s; return result(stat("shared/link", &s)); }
static int follow_creat(void) { return result(open("shared/link", O_RDONLY | O_CREAT, 0600)); }
static int not_follow(void) { struct stat s; return result(lstat("shared/link", &s)); }
static int through(void) { return result(open("shared/dir/file", O_RDONLY)); }
static int hard(void) { return result(linkat(AT_FDCWD, "theirs", AT_FDCWD, "shared/hard", 0)); }
static int hard_mine(void) { return result(linkat(AT_FDCWD, "shared/mine", AT_FDCWD, "shared/mine2", 0)); }
static int hard_open(void) { return result(linkat(AT_FDCWD, "open", AT_FDCWD, "shared/hard2", 0)); }
static int create(void) { return result(open("shared/theirs", O_WRONLY | O_CREAT, 0666)); }
static int no_create(void) { return result(open("shared/theirs", O_WRONLY)); }
static int create_fifo(void) { return result(open("shared/fifo", O_RDWR | O_CREAT, 0666)); }
static int create_group(void) { return result(open("group/theirs", O_WRONLY | O_CREAT, 0666)); }

static void protections(void)
{
	umask(0);
	work_dir();
	chmod(".", 0777);
	mkdir("shared", 01777);
	mkdir("group", 01775);
	mkdir("plain", 0777);
	put("theirs", "x");
	put("open", "x");
	chmod("open", 0666);
	put("plain/file", "x");
	symlink("../theirs", "shared/link");
	symlink("../plain", "shared/dir");
	lchown("shared/link", 1001, 1001);
	lchown("shared/dir", 1001, 1001);
	put("shared/mine", "x");
	chown("shared/mine", 1002, 1002);
	put("shared/theirs", "x");
	chmod("shared/theirs", 0666);
	chown("shared/theirs", 1001, 1001);
	put("group/theirs", "x");
	chmod("group/theirs", 0666);
	chown("group/theirs", 1001, 1001);
	mkfifo("shared/fifo", 0666);
	chown("shared/fifo", 1001, 1001);

	change("fs/protected_symlinks", "0");
	change("fs/protected_hardlinks", "0");
	change("fs/protected_regular", "0");
	change("fs/protected_fifos", "0");
	EQ("a link of another user", as(1002, follow), 0);
	EQ("a hard link to another user's file", as(1002, hard), 0);
	unlink("shared/hard");
	EQ("O_CREAT of another user's file", as(1002, create), 0);
	EQ("O_CREAT of another user's FIFO", as(1002, create_fifo), 0);

	EQ("protected_symlinks", set("fs/protected_symlinks", "1"), 0);
	EQ("the link is not followed", as(1002, follow), EACCES);
	EQ("by stat either", as(1002, follow_stat), EACCES);
	EQ("nor with O_CREAT", as(1002, follow_creat), EACCES);
	EQ("lstat", as(1002, not_follow), 0);
	EQ("a link on the way", as(1002, through), 0);
	EQ("root does not follow it", follow(), EACCES);
	EQ("its owner", as(1001, follow), 0);
	lchown("shared/link", 0, 0);
	EQ("a link of the directory's owner", as(1002, follow), 0);
	FAILS("protected_symlinks has a range", set("fs/protected_symlinks", "2"), EINVAL);

	EQ("protected_hardlinks", set("fs/protected_hardlinks", "1"), 0);
	EQ("a file that one may not write", as(1002, hard), EPERM);
	EQ("one's own", as(1002, hard_mine), 0);
	EQ("a file that one may write", as(1002, hard_open), 0);
	unlink("shared/hard2");
	chmod("open", 04666);
	EQ("a set-user-ID file", as(1002, hard_open), EPERM);
	EQ("root may", hard_open(), 0);

	EQ("protected_regular", set("fs/protected_regular", "1"), 0);
	EQ("O_CREAT is refused", as(1002, create), EACCES);
	EQ("to root as well", create(), EACCES);
	EQ("without it", as(1002, no_create), 0);
	EQ("the owner", as(1001, create), 0);
	EQ("where a group can write", as(1002, create_group), 0);
	EQ("protected_regular 2", set("fs/protected_regular", "2"), 0);
	EQ("refused too", as(1002, create_group), EACCES);
	EQ("a FIFO", as(1002, create_fifo), 0);
	EQ("protected_fifos", set("fs/protected_fifos", "1"), 0);
	EQ("O_CREAT of a FIFO is refused", as(1002, create_fifo), EACCES);
	restore();
}

// The limits are near what a host has: others run beside this test.

static int watches(void)
{
	int fd = inotify_init(), n = 0;
	char name[32];
	if (fd < 0)
		return -1;
	for (; n < 1000; n++) {
		snprintf(name, sizeof name, "w%d", n);
		mkdir(name, 0777);
		if (inotify_add_watch(fd, name, IN_CREATE) < 0)
			return errno == ENOSPC && n == 900 ? 0 : 1;
	}
	return 2;
}

static int instances(void)
{
	int n = 0;
	for (; n < 200; n++)
		if (inotify_init() < 0)
			return errno == EMFILE && n == 100 ? 0 : 1;
	return 2;
}

static int epolls(void)
{
	struct rlimit r = {8192, 8192};
	setrlimit(RLIMIT_NOFILE, &r);
	int fd = epoll_create1(0), p[2], n = 0;
	pipe(p);
	for (; n < 4100; n++) {
		struct epoll_event e = {EPOLLIN};
		if (epoll_ctl(fd, EPOLL_CTL_ADD, dup(p[0]), &e))
			return errno == ENOSPC && n == 4000 ? 0 : 1;
	}
	return 2;
}

static int events(void)
{
	static char b[1 << 16];
	int fd = inotify_init1(IN_NONBLOCK), n = 0, overflow = 0;
	inotify_add_watch(fd, ".", IN_CREATE);
	for (int i = 0; i < 120; i++) {
		char name[32];
		snprintf(name, sizeof name, "e%d", i);
		close(open(name, O_CREAT | O_WRONLY, 0600));
	}
	ssize_t got = read(fd, b, sizeof b);
	for (ssize_t i = 0; i < got; n++) {
		struct inotify_event *e = (void *)(b + i);
		overflow += e->mask == IN_Q_OVERFLOW && e->wd == -1;
		i += sizeof *e + e->len;
	}
	return n == 101 && overflow == 1 ? 0 : 1;
}

static int pipe_size(void)
{
	int p[2];
	pipe(p);
	if (fcntl(p[0], F_SETPIPE_SZ, 128 << 10) != 128 << 10)
		return 100;
	return result(fcntl(p[0], F_SETPIPE_SZ, (128 << 10) + 1));
}

static int queue(void)
{
	struct mq_attr a = {.mq_maxmsg = 4, .mq_msgsize = 256}, got;
	mq_unlink("/settings");
	mqd_t q = mq_open("/settings", O_CREAT | O_RDWR, 0600, NULL);
	if (q < 0)
		return errno;
	mq_getattr(q, &got);
	mq_close(q);
	mq_unlink("/settings");
	if (got.mq_maxmsg != 3 || got.mq_msgsize != 200)
		return 100;
	return result(mq_open("/settings", O_CREAT | O_RDWR, 0600, &a));
}

static void limits(void)
{
	work_dir();
	chmod(".", 0777);
	change("fs/inotify/max_user_watches", "900");
	EQ("watches", as(1003, watches), 0);
	restore();
	change("fs/inotify/max_user_instances", "100");
	EQ("instances", as(1003, instances), 0);
	restore();
	change("fs/inotify/max_queued_events", "100");
	EQ("events and one overflow", as(1003, events), 0);
	restore();
	change("fs/epoll/max_user_watches", "4000");
	EQ("descriptors of an epoll", as(1003, epolls), 0);
	restore();
	change("fs/pipe-max-size", "100000");
	STR("is rounded up", value("fs/pipe-max-size"), "131072\n");
	EQ("size of a pipe", as(1003, pipe_size), EPERM);
	EQ("a small size", set("fs/pipe-max-size", "0"), 0);
	STR("is a page", value("fs/pipe-max-size"), "4096\n");
	FAILS("too large", set("fs/pipe-max-size", "2147483649"), EINVAL);
	restore();
	change("fs/mqueue/msg_max", "3");
	change("fs/mqueue/msgsize_max", "200");
	EQ("size of a message queue", as(1003, queue), EINVAL);
	FAILS("msgsize_max has a least", set("fs/mqueue/msgsize_max", "127"), EINVAL);
	FAILS("msg_max has a most", set("fs/mqueue/msg_max", "65537"), EINVAL);
	restore();

	struct rlimit r = {1000}, old;
	char text[32];
	getrlimit(RLIMIT_NOFILE, &old);
	rlim_t most = old.rlim_max > 1 << 20 ? 1 << 20 : old.rlim_max;
	snprintf(text, sizeof text, "%lu", most - 100);
	change("fs/nr_open", text);
	r.rlim_max = most - 99;
	FAILS("RLIMIT_NOFILE above nr_open", setrlimit(RLIMIT_NOFILE, &r), EPERM);
	r.rlim_max = most - 100;
	EQ("not above it", setrlimit(RLIMIT_NOFILE, &r), 0);
	FAILS("nr_open has a least", set("fs/nr_open", "63"), EINVAL);
	restore();
	setrlimit(RLIMIT_NOFILE, &old);

	change("vm/max_map_count", "10000");
	char *at = mmap(NULL, 6000 * 8192, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int n = 0;
	while (n < 6000 && mprotect(at + n * 8192, 4096, PROT_NONE) == 0)
		n++;
	int e = errno;
	OK("areas of a process", n > 4900 && n < 5001 && e == ENOMEM);
	munmap(at, 6000 * 8192);
	restore();

	FAILS("drop_caches has a range", set("vm/drop_caches", "0"), EINVAL);
	EQ("drop_caches", set("vm/drop_caches", "4"), 0);
	struct stat st;
	OK("drop_caches cannot be read", stat(SYS "vm/drop_caches", &st) == 0 && (st.st_mode & 07777) == 0200);
	FAILS("by root either", open(SYS "vm/drop_caches", O_RDONLY), EACCES);
	FAILS("overcommit_memory has a range", set("vm/overcommit_memory", "3"), EINVAL);
}

static int low_map(void)
{
	return mmap((void *)65536, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED ? errno : 0;
}

static int below(void)
{
	void *p = mmap((void *)65536, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	return p != MAP_FAILED && p >= (void *)131072 ? 0 : 1;
}

static void low_addresses(void)
{
	change("vm/mmap_min_addr", "131072");
	EQ("MAP_FIXED below it", as(1003, low_map), EPERM);
	EQ("a hint below it", as(1003, below), 0);
	EQ("mmap_min_addr 64 KiB", set("vm/mmap_min_addr", "65536"), 0);
	EQ("MAP_FIXED at it", as(1003, low_map), 0);
	restore();
}

// where runs this program again, which prints where its stack and libraries are.
static void where(char *out, size_t size, unsigned long persona)
{
	int p[2];
	MUST(pipe(p));
	fflush(stdout);
	pid_t child = fork();
	if (child == 0) {
		dup2(p[1], 1);
		personality(persona);
		execl("/proc/self/exe", "settings", "where", NULL);
		_exit(1);
	}
	close(p[1]);
	ssize_t n = read(p[0], out, size - 1);
	out[n < 0 ? 0 : n] = 0;
	close(p[0]);
	waitpid(child, NULL, 0);
}

static void addresses(void)
{
	char a[256], b[256];
	where(a, sizeof a, ADDR_NO_RANDOMIZE);
	where(b, sizeof b, ADDR_NO_RANDOMIZE);
	OK("ADDR_NO_RANDOMIZE", a[0]);
	STR("the same addresses", a, b);
	OK("personality in /proc", strstr(a, "00040000"));
	where(b, sizeof b, 0);
	OK("others without it", strcmp(a, b));
	change("kernel/randomize_va_space", "0");
	where(a, sizeof a, 0);
	where(b, sizeof b, 0);
	STR("randomize_va_space 0", a, b);
	restore();
	personality(ADDR_NO_RANDOMIZE);
	fflush(stdout);
	pid_t p = fork();
	if (p == 0)
		_exit(personality(0xffffffff) == ADDR_NO_RANDOMIZE ? 0 : 1);
	int st;
	waitpid(p, &st, 0);
	EQ("personality is inherited", st, 0);
	personality(0);
}

int main(int argc, char **argv)
{
	if (argc > 1) {
		printf("%p %p %s", (void *)&argc, sbrk(0), get("/proc/self/personality"));
		return 0;
	}
	protections();
	limits();
	low_addresses();
	addresses();
	done();
}
