// Signals for what happens to files: O_ASYNC, F_SETOWN, F_SETSIG and F_NOTIFY of fcntl(2).
#include "check.h"
#include <sys/ioctl.h>
#include <sys/inotify.h>
#include <sys/socket.h>
#include <sys/wait.h>

static sigset_t set;

// signals takes what comes until nothing has come for a while, as text.
static const char *signals(void)
{
	static char text[1024];
	int at = 0;
	siginfo_t i;
	struct timespec first = {10, 0}, more = {0, 300000000}, *wait = &first;
	text[0] = 0;
	while (at < 900 && sigtimedwait(&set, &i, wait) > 0) {
		wait = &more;
		at += sprintf(text + at, at ? " " : "");
		if (i.si_signo == SIGIO && i.si_code == SI_KERNEL)
			at += sprintf(text + at, "SIGIO");
		else
			at += sprintf(text + at, "%s+%d:%d:%lx:%d", i.si_signo == SIGUSR1 ? "USR1" : "RT", i.si_signo == SIGUSR1 ? 0 : i.si_signo - SIGRTMIN, i.si_code,
				      (long)i.si_band, i.si_fd);
	}
	return text;
}

// none is signals where there should be none.
static int none(void)
{
	struct timespec little = {0, 100000000};
	return sigtimedwait(&set, NULL, &little) < 0 && errno == EAGAIN;
}

static void async(int fd, int on)
{
	int flags = fcntl(fd, F_GETFL);
	fcntl(fd, F_SETFL, on ? flags | O_ASYNC : flags & ~O_ASYNC);
}

static void owners(void)
{
	int p[2];
	MUST(pipe(p));
	struct f_owner_ex ex;
	EQ("no owner", fcntl(p[0], F_GETOWN), 0);
	EQ("F_GETOWN_EX of none", fcntl(p[0], F_GETOWN_EX, &ex), 0);
	EQ("its PID", ex.pid, 0);
	FAILS("no such process", fcntl(p[0], F_SETOWN, 4000000), ESRCH);
	FAILS("no such group", fcntl(p[0], F_SETOWN, -4000000), ESRCH);
	FAILS("INT_MIN", fcntl(p[0], F_SETOWN, INT_MIN), EINVAL);
	ex.type = 7, ex.pid = getpid();
	FAILS("unknown type", fcntl(p[0], F_SETOWN_EX, &ex), EINVAL);
	ex.type = F_OWNER_TID, ex.pid = 4000000;
	FAILS("no such thread", fcntl(p[0], F_SETOWN_EX, &ex), ESRCH);
	FAILS("no such signal", fcntl(p[0], F_SETSIG, 65), EINVAL);
	EQ("a group", fcntl(p[0], F_SETOWN, -getpgrp()), 0);
	EQ("F_GETOWN_EX", fcntl(p[0], F_GETOWN_EX, &ex), 0);
	OK("it is the group", ex.type == F_OWNER_PGRP && ex.pid == getpgrp());
	EQ("nobody", fcntl(p[0], F_SETOWN, 0), 0);
	close(p[0]), close(p[1]);
}

static void pipes(void)
{
	int p[2];
	char c[8];
	MUST(pipe(p));
	async(p[0], 1);
	OK("O_ASYNC is kept", fcntl(p[0], F_GETFL) & O_ASYNC);
	MUST(write(p[1], "a", 1));
	OK("no owner, no signal", none());
	MUST(fcntl(p[0], F_SETOWN, getpid()));
	MUST(write(p[1], "b", 1));
	STR("a pipe", signals(), "SIGIO");
	MUST(fcntl(p[0], F_SETSIG, SIGRTMIN + 1));
	EQ("F_GETSIG", fcntl(p[0], F_GETSIG), SIGRTMIN + 1);
	MUST(write(p[1], "c", 1));
	MUST(write(p[1], "d", 1));
	STR("a real-time signal for each", signals(), "RT+1:1:41:3 RT+1:1:41:3");
	MUST(read(p[0], c, sizeof c));
	OK("reading is nothing", none());
	MUST(fcntl(p[0], F_SETSIG, SIGUSR1));
	MUST(write(p[1], "e", 1));
	STR("another signal", signals(), "USR1+0:1:41:3");
	async(p[0], 0);
	MUST(write(p[1], "f", 1));
	OK("off again", none());
	int on = 1;
	EQ("FIOASYNC", ioctl(p[0], FIOASYNC, &on), 0);
	MUST(write(p[1], "g", 1));
	STR("on by FIOASYNC", signals(), "USR1+0:1:41:3");
	close(p[1]);
	STR("the last writer is gone", signals(), "USR1+0:1:41:3");
	close(p[0]);

	int fd = MUST(open("file", O_CREAT | O_RDWR, 0600));
	FAILS("FIOASYNC of a file", ioctl(fd, FIOASYNC, &on), ENOTTY);
	async(fd, 1);
	OK("a file has no O_ASYNC", !(fcntl(fd, F_GETFL) & O_ASYNC));
	close(fd);
}

static void *thread(void *ready)
{
	struct f_owner_ex ex = {F_OWNER_TID, syscall(SYS_gettid)};
	int *p = ready;
	MUST(fcntl(p[0], F_SETOWN_EX, &ex));
	MUST(write(p[1], "x", 1));
	siginfo_t i;
	struct timespec long_time = {10, 0};
	return (void *)(long)(sigtimedwait(&set, &i, &long_time) == SIGIO);
}

static void sockets(void)
{
	int s[2];
	char c[8];
	MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
	MUST(fcntl(s[0], F_SETOWN, getpid()));
	async(s[0], 1);
	MUST(write(s[1], "a", 1));
	STR("a socket", signals(), "SIGIO");
	MUST(read(s[0], c, 8));
	close(s[1]);
	STR("its end", signals(), "SIGIO");
	close(s[0]);

	MUST(socketpair(AF_UNIX, SOCK_DGRAM, 0, s));
	async(s[0], 1);
	pthread_t t;
	void *got = NULL;
	MUST(pthread_create(&t, NULL, thread, s));
	pthread_join(t, &got);
	OK("a thread's own signal", got);
	close(s[0]), close(s[1]);

	int go[2];
	MUST(pipe(go));
	MUST(socketpair(AF_UNIX, SOCK_DGRAM, 0, s));
	pid_t child = fork();
	if (!child) {
		setpgid(0, 0);
		MUST(fcntl(s[0], F_SETOWN, -getpgrp()));
		async(s[0], 1);
		MUST(write(go[1], "x", 1));
		_exit(strcmp(signals(), "SIGIO") != 0);
	}
	MUST(read(go[0], c, 1));
	MUST(write(s[1], "y", 1));
	int status = -1;
	waitpid(child, &status, 0);
	EQ("a process group", status, 0);
	OK("nobody else", none());
	close(s[0]), close(s[1]), close(go[0]), close(go[1]);

	int in = MUST(inotify_init()), on = 1;
	MUST(inotify_add_watch(in, ".", IN_CREATE));
	MUST(fcntl(in, F_SETOWN, getpid()));
	EQ("FIOASYNC of inotify", ioctl(in, FIOASYNC, &on), 0);
	close(MUST(open("seen", O_CREAT | O_RDWR, 0600)));
	STR("inotify", signals(), "SIGIO");
	close(in);
}

static char text[512];
static const char *wanted;

// step notes the signals that came for what was done: it waits longer for those that are wanted.
static void step(const char *name)
{
	char word[32], words[128];
	sprintf(word, " %s ", name), sprintf(words, " %s ", wanted);
	struct timespec soon = {0, 40000000}, late = {10, 0};
	int n = sigtimedwait(&set, NULL, strstr(words, word) ? &late : &soon) > 0;
	while (n && sigtimedwait(&set, NULL, &soon) > 0)
		n++;
	if (n)
		sprintf(strchr(text, 0), text[0] ? " %s" : "%s", name);
	if (n > 1)
		sprintf(strchr(text, 0), "*%d", n);
}

// steps do one thing after the other to files in d, and say at which there was a signal.
static void steps(const char *name, int fd, unsigned events, const char *want)
{
	wanted = want;
	text[0] = 0;
	fcntl(fd, F_NOTIFY, 0);
	MUST(fcntl(fd, F_NOTIFY, events | DN_MULTISHOT));
	int f = -1;
	char c;
	f = MUST(open("d/a", O_CREAT | O_RDWR, 0600)), step("create");
	MUST(write(f, "x", 1)), step("write");
	lseek(f, 0, 0), MUST(read(f, &c, 1)), step("read");
	close(f), step("close");
	truncate("d/a", 0), step("truncate");
	chmod("d/a", 0640), step("chmod");
	rename("d/a", "d/b"), step("rename");
	rename("d/b", "e/b"), step("out");
	rename("e/b", "d/c"), step("in");
	(void)!link("d/c", "d/l"), step("link");
	unlink("d/l"), step("unlink");
	mkdir("d/s", 0755), step("mkdir");
	chmod("d", 0755), step("self");
	rmdir("d/s"), step("rmdir");
	fcntl(fd, F_NOTIFY, 0);
	unlink("d/c");
	STR(name, text, want);
}

static void directories(void)
{
	mkdir("d", 0755), mkdir("e", 0755);
	int file = MUST(open("file", O_RDWR));
	FAILS("not a directory", fcntl(file, F_NOTIFY, DN_CREATE), ENOTDIR);
	EQ("no events of a file", fcntl(file, F_NOTIFY, DN_MULTISHOT), 0);
	close(file);
	int fd = MUST(open("d", O_RDONLY | O_DIRECTORY)), path = MUST(open("d", O_PATH));
	FAILS("O_PATH", fcntl(path, F_NOTIFY, DN_CREATE), EBADF);
	close(path);
	MUST(fcntl(fd, F_SETSIG, SIGRTMIN + 2));
	EQ("F_NOTIFY", fcntl(fd, F_NOTIFY, DN_CREATE), 0);
	EQ("the caller owns it", fcntl(fd, F_GETOWN) == getpid(), 1);
	mkdir("d/x", 0755);
	STR("once", signals(), "RT+2:3:441:3");
	rmdir("d/x"), mkdir("d/x", 0755);
	OK("not twice", none());
	steps("DN_ACCESS", fd, DN_ACCESS, "read");
	steps("DN_MODIFY", fd, DN_MODIFY, "write truncate");
	steps("DN_CREATE", fd, DN_CREATE, "create rename in link mkdir");
	steps("DN_DELETE", fd, DN_DELETE, "rename out unlink rmdir");
	steps("DN_RENAME", fd, DN_RENAME, "rename");
	steps("DN_ATTRIB", fd, DN_ATTRIB, "chmod self");
	fcntl(fd, F_NOTIFY, 0);
	rmdir("d/x");
	OK("none", none());
	int other = MUST(dup(fd));
	MUST(fcntl(fd, F_NOTIFY, DN_CREATE | DN_MULTISHOT));
	MUST(fcntl(other, F_NOTIFY, DN_DELETE));
	mkdir("d/x", 0755);
	STR("two descriptors, one file", signals(), "RT+2:3:441:4");
	pid_t child = fork();
	if (!child)
		_exit(close(fd));
	waitpid(child, NULL, 0);
	rmdir("d/x");
	STR("another process closes it", signals(), "RT+2:3:441:4");
	close(other);
	mkdir("d/x", 0755);
	OK("this one closes one", none());
	close(fd);
}

int main(void)
{
	work_dir();
	sigemptyset(&set);
	sigaddset(&set, SIGIO), sigaddset(&set, SIGUSR1);
	for (int i = 0; i < 4; i++)
		sigaddset(&set, SIGRTMIN + i);
	MUST(sigprocmask(SIG_BLOCK, &set, NULL));
	owners();
	pipes();
	sockets();
	directories();
	return failures;
}
