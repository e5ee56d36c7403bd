// pidfd_open(2) and its kin, CLONE_PIDFD, waitid(P_PIDFD), signalfd(2).
#include "check.h"
#include <linux/sched.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/wait.h>

#ifndef P_PIDFD
#define P_PIDFD 3
#endif

static int pidfd_open(pid_t p, unsigned f) { return syscall(SYS_pidfd_open, p, f); }
static int pidfd_kill(int fd, int sig) { return syscall(SYS_pidfd_send_signal, fd, sig, NULL, 0); }

static int ready(int fd, int ms)
{
	struct pollfd p = {fd, POLLIN, 0};
	return poll(&p, 1, ms) == 1 ? p.revents : 0;
}

static pid_t sleeper(void)
{
	fflush(stdout);
	pid_t p = fork();
	if (p == 0)
		for (;;)
			pause();
	return p;
}

static void pidfds(void)
{
	FAILS("pid 0", pidfd_open(0, 0), EINVAL);
	FAILS("flags", pidfd_open(getpid(), 1), EINVAL);
	FAILS("no process", pidfd_open(4000000, 0), ESRCH);
	pid_t p = sleeper();
	int fd = MUST(pidfd_open(p, 0));
	EQ("close on exec", fcntl(fd, F_GETFD), FD_CLOEXEC);
	EQ("alive", ready(fd, 0), 0);
	EQ("signal 0", pidfd_kill(fd, 0), 0);
	FAILS("bad signal", pidfd_kill(fd, 70), EINVAL);
	int dir = MUST(open("/proc/self", O_RDONLY | O_DIRECTORY));
	EQ("a directory of /proc", pidfd_kill(dir, 0), 0);
	close(dir);
	FAILS("not a pidfd", pidfd_kill(1, 0), EBADF);
	siginfo_t si = {0};
	EQ("waitid nohang", waitid(P_PIDFD, fd, &si, WEXITED | WNOHANG), 0);
	EQ("waitid nohang: none", si.si_pid, 0);
	int ep = MUST(epoll_create1(0));
	struct epoll_event ev = {EPOLLIN, {.u64 = 7}};
	EQ("epoll add", epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev), 0);
	EQ("kill", pidfd_kill(fd, SIGTERM), 0);
	EQ("epoll", epoll_wait(ep, &ev, 1, 3000), 1);
	EQ("readable", ready(fd, 3000) & POLLIN, POLLIN);
	EQ("waitid", waitid(P_PIDFD, fd, &si, WEXITED), 0);
	EQ("waitid pid", si.si_pid, p);
	EQ("waitid status", si.si_status, SIGTERM);
	EQ("waitid code", si.si_code, CLD_KILLED);
	FAILS("waited for", pidfd_kill(fd, SIGTERM), ESRCH);
	FAILS("wait again", waitid(P_PIDFD, fd, &si, WEXITED), ECHILD);
	FAILS("waitid of another file", waitid(P_PIDFD, 1, &si, WEXITED), EBADF);
	close(fd), close(ep);

	p = sleeper();
	fd = MUST(pidfd_open(p, O_NONBLOCK));
	FAILS("nonblocking waitid", waitid(P_PIDFD, fd, &si, WEXITED), EAGAIN);
	kill(p, SIGKILL);
	waitpid(p, NULL, 0);
	close(fd);
}

static void clones(void)
{
	int fd = -1;
	fflush(stdout);
	struct clone_args a = {.flags = CLONE_PIDFD, .pidfd = (uintptr_t)&fd, .exit_signal = SIGCHLD};
	pid_t p = syscall(SYS_clone3, &a, sizeof a);
	if (p == 0)
		_exit(5);
	OK("clone3 with CLONE_PIDFD", p > 0 && fd >= 0);
	siginfo_t si = {0};
	EQ("its end", waitid(P_PIDFD, fd, &si, WEXITED), 0);
	EQ("its status", si.si_status, 5);
	close(fd);
	p = syscall(SYS_clone, CLONE_PIDFD | SIGCHLD, NULL, &fd, NULL, 0);
	if (p == 0)
		_exit(6);
	OK("clone with CLONE_PIDFD", p > 0 && fd >= 0);
	EQ("its end", waitid(P_PIDFD, fd, &si, WEXITED), 0);
	EQ("its status", si.si_status, 6);
	close(fd);
	FAILS("with CLONE_PARENT_SETTID", syscall(SYS_clone, CLONE_PIDFD | CLONE_PARENT_SETTID | SIGCHLD, NULL, &fd, NULL, 0), EINVAL);
}

static void getfd(void)
{
	int e = MUST(eventfd(0, 0)), go[2];
	MUST(pipe(go));
	fflush(stdout);
	pid_t p = fork();
	if (p == 0) {
		dup2(e, 50);
		close(e);
		eventfd_write(50, 9);
		write(go[1], "x", 1);
		for (;;)
			pause();
	}
	char c;
	read(go[0], &c, 1);
	int fd = MUST(pidfd_open(p, 0));
	long got = syscall(SYS_pidfd_getfd, fd, 50, 0);
	if (got < 0 && errno == EPERM)
		skip("pidfd_getfd", "not allowed here");
	else {
		eventfd_t v = 0;
		eventfd_read(got, &v);
		EQ("pidfd_getfd", v, 9);
		FAILS("pidfd_getfd of none", syscall(SYS_pidfd_getfd, fd, 51, 0), EBADF);
	}
	kill(p, SIGKILL);
	waitpid(p, NULL, 0);
	close(fd);
}

static void signalfds(void)
{
	sigset_t s;
	sigemptyset(&s);
	sigaddset(&s, SIGUSR1);
	sigaddset(&s, SIGCHLD);
	sigaddset(&s, SIGRTMIN);
	sigprocmask(SIG_BLOCK, &s, NULL);
	int fd = MUST(signalfd(-1, &s, SFD_NONBLOCK | SFD_CLOEXEC));
	struct signalfd_siginfo i[4];
	FAILS("nothing", read(fd, i, sizeof i), EAGAIN);
	FAILS("too short", read(fd, i, 100), EINVAL);
	EQ("not readable", ready(fd, 0), 0);
	kill(getpid(), SIGUSR1);
	EQ("readable", ready(fd, 1000), POLLIN);
	EQ("read", read(fd, i, sizeof i), 128);
	EQ("signo", i[0].ssi_signo, SIGUSR1);
	EQ("pid", i[0].ssi_pid, getpid());
	EQ("code", i[0].ssi_code, SI_USER);
	union sigval v = {.sival_int = 77};
	sigqueue(getpid(), SIGRTMIN, v);
	v.sival_int = 78;
	sigqueue(getpid(), SIGRTMIN, v);
	EQ("two", read(fd, i, sizeof i), 256);
	EQ("first value", i[0].ssi_int, 77);
	EQ("second value", i[1].ssi_int, 78);
	fflush(stdout);
	pid_t p = fork();
	if (p == 0)
		_exit(3);
	EQ("SIGCHLD", ready(fd, 3000), POLLIN);
	EQ("its siginfo", read(fd, i, sizeof i), 128);
	EQ("its pid", i[0].ssi_pid, p);
	EQ("its status", i[0].ssi_status, 3);
	EQ("its code", i[0].ssi_code, CLD_EXITED);
	waitpid(p, NULL, 0);
	sigset_t other;
	sigemptyset(&other);
	sigaddset(&other, SIGUSR2);
	EQ("other mask", signalfd(fd, &other, 0), fd);
	kill(getpid(), SIGUSR1);
	EQ("not in the mask", ready(fd, 0), 0);
	EQ("first mask again", signalfd(fd, &s, 0), fd);
	EQ("readable now", ready(fd, 0), POLLIN);
	fcntl(fd, F_SETFL, 0);
	EQ("read blocking", read(fd, i, sizeof i), 128);
	struct itimerspec in = {{0, 0}, {0, 30000000}};
	struct sigevent ev = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1};
	timer_t t;
	timer_create(CLOCK_MONOTONIC, &ev, &t);
	timer_settime(t, 0, &in, NULL);
	EQ("read waits for a timer", read(fd, i, sizeof i), 128);
	EQ("its code", i[0].ssi_code, SI_TIMER);
	FAILS("not a signalfd", signalfd(1, &s, 0), EINVAL);
	FAILS("flags", signalfd(-1, &s, 1), EINVAL);
	close(fd);
}

int main(void)
{
	pidfds();
	clones();
	getfd();
	signalfds();
	done();
}
