// POSIX message queues.
#include "check.h"
#include <mqueue.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/wait.h>

static volatile sig_atomic_t told, value;

static void handler(int sig, siginfo_t *i, void *c)
{
	told = i->si_code;
	value = i->si_value.sival_int;
}

// limited opens queues of the usual size as a user who has none yet, with room for two by RLIMIT_MSGQUEUE.
static void limited(void)
{
	fflush(stdout);
	pid_t c = fork();
	if (c == 0) {
		failures = 0;
		setrlimit(RLIMIT_MSGQUEUE, &(struct rlimit){170000, 170000});
		setuid(54321);
		struct mq_attr a = {.mq_maxmsg = 10, .mq_msgsize = 8192};
		mq_unlink("/limit-1"), mq_unlink("/limit-2"), mq_unlink("/limit-3");
		mqd_t q = mq_open("/limit-1", O_CREAT | O_RDWR, 0600, &a);
		OK("a first queue", q >= 0);
		OK("a second queue", mq_open("/limit-2", O_CREAT | O_RDWR, 0600, &a) >= 0);
		FAILS("no room for a third", mq_open("/limit-3", O_CREAT | O_RDWR, 0600, &a), EMFILE);
		EQ("unlinked", mq_unlink("/limit-1"), 0);
		FAILS("it is open still", mq_open("/limit-3", O_CREAT | O_RDWR, 0600, &a), EMFILE);
		mq_close(q);
		OK("room again", mq_open("/limit-3", O_CREAT | O_RDWR, 0600, &a) >= 0);
		mq_unlink("/limit-2"), mq_unlink("/limit-3");
		fflush(stdout);
		_exit(failures);
	}
	int st;
	waitpid(c, &st, 0);
	EQ("limited", st, 0);
}

int main(void)
{
	char name[64], b[256];
	snprintf(name, sizeof name, "/gosv-test-%d", getpid());
	FAILS("no queue", mq_open(name, O_RDWR), ENOENT);
	struct mq_attr a = {.mq_maxmsg = 4, .mq_msgsize = 100};
	mqd_t q = MUST(mq_open(name, O_RDWR | O_CREAT | O_EXCL, 0600, &a));
	FAILS("exists", mq_open(name, O_RDWR | O_CREAT | O_EXCL, 0600, &a), EEXIST);
	EQ("getattr", mq_getattr(q, &a), 0);
	EQ("maxmsg", a.mq_maxmsg, 4);
	EQ("msgsize", a.mq_msgsize, 100);
	EQ("send", mq_send(q, "low", 3, 1), 0);
	EQ("send urgent", mq_send(q, "high", 4, 9), 0);
	EQ("send low again", mq_send(q, "low2", 4, 1), 0);
	unsigned prio;
	FAILS("short buffer", mq_receive(q, b, 50, &prio), EMSGSIZE);
	FAILS("long message", mq_send(q, b, 101, 1), EMSGSIZE);
	FAILS("priority", mq_send(q, b, 1, 32768), EINVAL);
	EQ("urgent first", mq_receive(q, b, sizeof b, &prio), 4);
	EQ("its priority", prio, 9);
	OK("then in order", mq_receive(q, b, sizeof b, &prio) == 3 && !memcmp(b, "low", 3));
	EQ("the rest", mq_receive(q, b, sizeof b, NULL), 4);
	struct timespec t;
	clock_gettime(CLOCK_REALTIME, &t);
	FAILS("timeout", mq_timedreceive(q, b, sizeof b, NULL, &t), ETIMEDOUT);
	struct mq_attr nb = {.mq_flags = O_NONBLOCK};
	EQ("setattr", mq_setattr(q, &nb, NULL), 0);
	FAILS("empty", mq_receive(q, b, sizeof b, NULL), EAGAIN);
	struct pollfd p = {q, POLLIN | POLLOUT, 0};
	EQ("poll empty", ({ poll(&p, 1, 0); p.revents; }), POLLOUT);
	for (int i = 0; i < 4; i++)
		mq_send(q, "x", 1, 0);
	FAILS("full", mq_send(q, "x", 1, 0), EAGAIN);
	EQ("poll full", ({ poll(&p, 1, 0); p.revents; }), POLLIN);
	while (mq_receive(q, b, sizeof b, NULL) > 0)
		;
	struct sigaction sa = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO};
	sigaction(SIGUSR1, &sa, NULL);
	struct sigevent ev = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1, .sigev_value.sival_int = 5};
	EQ("notify", mq_notify(q, &ev), 0);
	FAILS("notify again", mq_notify(q, &ev), EBUSY);
	EQ("send", mq_send(q, "x", 1, 0), 0);
	EQ("told", told, SI_MESGQ);
	EQ("value", value, 5);
	EQ("once only", ({ told = 0; mq_receive(q, b, sizeof b, NULL); mq_send(q, "x", 1, 0); told; }), 0);
	mq_receive(q, b, sizeof b, NULL);
	nb.mq_flags = 0;
	mq_setattr(q, &nb, NULL);
	fflush(stdout);
	pid_t c = fork();
	if (c == 0)
		_exit(mq_receive(q, b, sizeof b, NULL));
	sleep_ms(30);
	mq_send(q, "seven..", 7, 0);
	int st;
	waitpid(c, &st, 0);
	EQ("received by a waiter", WEXITSTATUS(st), 7);
	EQ("unlink", mq_unlink(name), 0);
	FAILS("unlink again", mq_unlink(name), ENOENT);
	EQ("still works", mq_send(q, "x", 1, 0), 0);
	mq_close(q);
	limited();
	done();
}
