// What a process may ask about others: kcmp(2), process_madvise(2), process_mrelease(2); and userfaultfd(2), which may be
// refused.
#include "check.h"
#include <sys/epoll.h>
#include <sys/wait.h>

#ifndef SYS_process_mrelease
#define SYS_process_mrelease 448
#endif

enum { FILE_, VM, FILES, FS, SIGHAND, IO };

static int kcmp(pid_t a, pid_t b, int type, unsigned long i, unsigned long j)
{
	return syscall(SYS_kcmp, a, b, type, i, j);
}

static pid_t other_thread;
static pthread_barrier_t barrier;

static void *thread(void *arg)
{
	other_thread = gettid();
	pthread_barrier_wait(&barrier);
	pthread_barrier_wait(&barrier);
	return arg;
}

static void compare(void)
{
	pid_t me = getpid();
	int fd = open("/dev/null", O_RDONLY), copy = dup(fd), again = open("/dev/null", O_RDONLY);
	EQ("dup", kcmp(me, me, FILE_, fd, copy), 0);
	int a = kcmp(me, me, FILE_, fd, again), b = kcmp(me, me, FILE_, again, fd);
	OK("another open file", (a == 1 && b == 2) || (a == 2 && b == 1));
	EQ("stable", kcmp(me, me, FILE_, fd, again), a);
	FAILS("no descriptor", kcmp(me, me, FILE_, fd, 99), EBADF);
	FAILS("no process", kcmp(me, 99999999, FILE_, fd, fd), ESRCH);
	FAILS("no type", kcmp(me, me, 99, 0, 0), EINVAL);
	fflush(stdout);
	int stop[2];
	MUST(pipe(stop));
	pid_t p = MUST(fork());
	if (p == 0) {
		char c;
		close(stop[1]);
		_exit(read(stop[0], &c, 1));
	}
	EQ("inherited", kcmp(me, p, FILE_, fd, copy), 0);
	OK("its own memory", kcmp(me, p, VM, 0, 0) > 0);
	OK("its own descriptors", kcmp(me, p, FILES, 0, 0) > 0);
	OK("its own directory", kcmp(me, p, FS, 0, 0) > 0);
	OK("its own handlers", kcmp(me, p, SIGHAND, 0, 0) > 0);
	EQ("I/O context", kcmp(me, p, IO, 0, 0), 0);
	close(stop[1]);
	waitpid(p, NULL, 0);
	pthread_t t;
	pthread_barrier_init(&barrier, NULL, 2);
	pthread_create(&t, NULL, thread, NULL);
	pthread_barrier_wait(&barrier);
	for (int type = VM; type <= IO; type++) {
		char name[32];
		snprintf(name, sizeof name, "threads share %d", type);
		EQ(name, kcmp(me, other_thread, type, 0, 0), 0);
	}
	pthread_barrier_wait(&barrier);
	pthread_join(t, NULL);
}

static void advise(void)
{
	char *m = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	strcpy(m, "kept");
	fflush(stdout);
	pid_t p = MUST(fork());
	if (p == 0) {
		pause();
		_exit(0);
	}
	int fd = syscall(SYS_pidfd_open, p, 0);
	struct iovec v[2] = {{m, 4096}, {m + 4096, 4096}};
	if (getuid() == 0) {
		EQ("process_madvise", syscall(SYS_process_madvise, fd, v, 2, MADV_COLD, 0), 8192);
		FAILS("not for this", syscall(SYS_process_madvise, fd, v, 2, MADV_DONTNEED, 0), EINVAL);
	} else {
		skip("process_madvise", "not root");
		skip("not for this", "not root");
	}
	FAILS("flags", syscall(SYS_process_madvise, fd, v, 2, MADV_COLD, 1), EINVAL);
	FAILS("no pidfd", syscall(SYS_process_madvise, 0, v, 2, MADV_COLD, 0), EBADF);
	STR("kept", m, "kept");
	FAILS("process_mrelease of the living", syscall(SYS_process_mrelease, fd, 0), EINVAL);
	FAILS("flags", syscall(SYS_process_mrelease, fd, 1), EINVAL);
	kill(p, SIGKILL);
	int e = syscall(SYS_process_mrelease, fd, 0) == 0 ? 0 : errno;
	OK("process_mrelease of the dying", e == 0 || e == ESRCH); // it may be gone already
	waitpid(p, NULL, 0);
	FAILS("of the dead", syscall(SYS_process_mrelease, fd, 0), ESRCH);
}

int main(void)
{
	compare();
	advise();
	int fd = syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK), e = errno;
	OK("userfaultfd, or a refusal", fd >= 0 || e == ENOSYS || e == EPERM);
	done();
}
