// mq_notify(3): signals, threads, the netlink socket behind them, and what ends a registration.
#include "check.h"
#include <linux/netlink.h>
#include <mqueue.h>
#include <poll.h>
#include <semaphore.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/wait.h>

static mqd_t q, second;
static char name[64], b[256];
static sem_t called;
static volatile int got, in_thread;

static void on_message(union sigval v)
{
	got = v.sival_int;
	in_thread = syscall(SYS_gettid) != getpid();
	sem_post(&called);
}

static int raw(mqd_t d, struct sigevent *e) { return syscall(SYS_mq_notify, d, e); }

static void message(void)
{
	mq_send(q, "x", 1, 0);
	mq_receive(q, b, sizeof b, NULL);
}

static void signals(void)
{
	struct sigevent e = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = 0};
	EQ("signal 0", mq_notify(q, &e), 0);
	FAILS("a second one", mq_notify(q, &e), EBUSY);
	message();
	EQ("it was used up", mq_notify(q, &e), 0);
	EQ("taken back", mq_notify(q, NULL), 0);
	EQ("taken back again", mq_notify(q, NULL), 0);
	e.sigev_signo = 65;
	FAILS("signal 65", mq_notify(q, &e), EINVAL);
	e.sigev_signo = -1;
	FAILS("signal -1", mq_notify(q, &e), EINVAL);
	e.sigev_notify = 9;
	FAILS("a bad kind before a bad queue", raw(-1, &e), EINVAL);
	e.sigev_notify = SIGEV_NONE;
	FAILS("a bad queue", raw(-1, &e), EBADF);
	FAILS("no queue", raw(0, &e), EBADF);
	FAILS("a bad address", raw(-1, (void *)8), EFAULT);
	EQ("descriptors are closed on exec", fcntl(q, F_GETFD), FD_CLOEXEC);
}

// busy reports whether a registration is there.
static int busy(void)
{
	struct sigevent e = {.sigev_notify = SIGEV_NONE};
	if (mq_notify(q, &e) != 0)
		return 1;
	mq_notify(q, NULL);
	return 0;
}

static void closing(void)
{
	struct sigevent e = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1};
	second = MUST(mq_open(name, O_RDWR));
	EQ("register", mq_notify(q, &e), 0);
	OK("busy", busy());
	mq_close(second);
	OK("a close of another descriptor drops it", !busy());
	EQ("register again", mq_notify(q, &e), 0);
	int d = dup(q);
	dup2(1, d);
	OK("dup2 over a copy drops it", !busy());
	close(d);
	EQ("register once more", mq_notify(q, &e), 0);
	fflush(stdout);
	pid_t p = fork();
	if (p == 0) {
		mq_close(q);
		_exit(0);
	}
	waitpid(p, NULL, 0);
	OK("a close by a child does not", busy());
	mq_notify(q, NULL);
	p = fork();
	if (p == 0) {
		mq_notify(q, &e);
		_exit(0);
	}
	waitpid(p, NULL, 0);
	OK("the end of its process drops it", !busy());
	p = fork();
	if (p == 0) {
		mq_notify(q, &e);
		execl("/proc/self/exe", "mqnotify", "pause", NULL);
	}
	for (int i = 0; i < 2000 && busy(); i++)
		usleep(1000);
	OK("execve drops it", !busy());
	kill(p, SIGKILL);
	waitpid(p, NULL, 0);
}

static void threads(void)
{
	struct sigevent e = {.sigev_notify = SIGEV_THREAD, .sigev_notify_function = on_message};
	e.sigev_value.sival_int = 42;
	EQ("thread", mq_notify(q, &e), 0);
	FAILS("thread, a second one", mq_notify(q, &e), EBUSY);
	EQ("send", mq_send(q, "x", 1, 0), 0);
	struct timespec t;
	clock_gettime(CLOCK_REALTIME, &t);
	t.tv_sec += 20;
	EQ("called", sem_timedwait(&called, &t), 0);
	EQ("with the value", got, 42);
	OK("in a thread", in_thread);
	mq_receive(q, b, sizeof b, NULL);
	EQ("thread again", mq_notify(q, &e), 0);
	EQ("removed", mq_notify(q, NULL), 0);
	message();
	EQ("not called", sem_trywait(&called), -1);
}

// cookies uses the socket as the C library does.
static void cookies(void)
{
	int s = MUST(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, 0)), ev = MUST(eventfd(0, 0)), u[2];
	MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, u));
	char cookie[32];
	for (int i = 0; i < 32; i++)
		cookie[i] = i;
	struct sigevent e = {.sigev_notify = SIGEV_THREAD, .sigev_signo = s};
	e.sigev_value.sival_ptr = (void *)8;
	FAILS("a bad cookie before all", ({ e.sigev_signo = -1; raw(-1, &e); }), EFAULT);
	e.sigev_value.sival_ptr = cookie;
	FAILS("a bad socket before the queue", raw(-1, &e), EBADF);
	e.sigev_signo = ev;
	FAILS("no socket", raw(-1, &e), ENOTSOCK);
	e.sigev_signo = u[0];
	FAILS("not a netlink socket", raw(-1, &e), EINVAL);
	e.sigev_signo = s;
	FAILS("a bad queue, with a good socket", raw(-1, &e), EBADF);
	struct pollfd pf = {s, POLLIN, 0};
	EQ("register", raw(q, &e), 0);
	FAILS("busy, with a good socket", raw(q, &e), EBUSY);
	EQ("nothing yet", poll(&pf, 1, 0), 0);
	message();
	EQ("something", poll(&pf, 1, 0), 1);
	EQ("a cookie", recv(s, b, sizeof b, MSG_DONTWAIT), 32);
	OK("its bytes", memcmp(b, cookie, 31) == 0);
	EQ("woken up", b[31], 1);
	EQ("register again", raw(q, &e), 0);
	EQ("remove", mq_notify(q, NULL), 0);
	EQ("a cookie of the removal", recv(s, b, sizeof b, MSG_DONTWAIT), 32);
	EQ("removed", b[31], 2);
	EQ("register for a close", raw(q, &e), 0);
	mq_close(mq_open(name, O_RDWR));
	EQ("a cookie of the close", recv(s, b, sizeof b, MSG_DONTWAIT), 32);
	EQ("closed", b[31], 2);
	FAILS("no more", recv(s, b, sizeof b, MSG_DONTWAIT), EAGAIN);
	EQ("register with a socket that goes", raw(q, &e), 0);
	close(s);
	message();
	OK("it was told to nobody", !busy());
	close(ev), close(u[0]), close(u[1]);
}

// bounded registers until the socket is full: the next one waits.
static void nothing(int sig) {}

static void bounded(void)
{
	int s = MUST(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, 0)), small = 1, n = 0;
	setsockopt(s, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
	char cookie[32] = "";
	struct sigevent e = {.sigev_notify = SIGEV_THREAD, .sigev_signo = s};
	e.sigev_value.sival_ptr = cookie;
	struct sigaction sa = {.sa_handler = nothing};
	sigaction(SIGALRM, &sa, NULL);
	ualarm(300000, 100000);
	while (n < 100000 && raw(q, &e) == 0) {
		mq_notify(q, NULL);
		n++;
	}
	int waited = errno;
	ualarm(0, 0);
	OK("a full socket is waited for", n < 100000 && waited == EINTR);
	EQ("room again", ({ while (recv(s, b, sizeof b, MSG_DONTWAIT) > 0); raw(q, &e); }), 0);
	mq_notify(q, NULL);
	close(s);
}

int main(int argc, char **argv)
{
	if (argc > 1)
		for (;;)
			pause();
	setvbuf(stdout, NULL, _IOLBF, 0);
	sem_init(&called, 0, 0);
	snprintf(name, sizeof name, "/gosv-notify-%d", getpid());
	struct mq_attr a = {.mq_maxmsg = 4, .mq_msgsize = 100};
	q = MUST(mq_open(name, O_RDWR | O_CREAT | O_EXCL, 0600, &a));
	signals();
	closing();
	threads();
	cookies();
	bounded();
	mq_close(q);
	mq_unlink(name);
	return failures;
}
