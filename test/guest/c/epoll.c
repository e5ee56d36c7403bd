// epoll(7): level and edge triggered, one-shot, nested, exclusive.
#include "check.h"
#include <sys/epoll.h>
#include <sys/eventfd.h>

static int ep;
static struct epoll_event ev[16];

static int wait_now(int fd) { return epoll_wait(fd, ev, 16, 0); }

static int control(int op, int fd, uint32_t events)
{
	struct epoll_event e = {.events = events, .data.fd = fd};
	return epoll_ctl(ep, op, fd, &e);
}

static void *write_later(void *arg)
{
	sleep_ms(30);
	write(*(int *)arg, "x", 1);
	return NULL;
}

static int woken;

static void *wait_one(void *arg)
{
	struct epoll_event e;
	if (epoll_wait(*(int *)arg, &e, 1, 200) == 1)
		__atomic_add_fetch(&woken, 1, __ATOMIC_SEQ_CST);
	return NULL;
}

static void on_signal(int s) { (void)s; }

int main(void)
{
	int p[2];
	char b[64];
	work_dir();
	ep = MUST(epoll_create1(EPOLL_CLOEXEC));
	EQ("close on exec", fcntl(ep, F_GETFD), FD_CLOEXEC);
	FAILS("epoll_create1 flags", epoll_create1(12345), EINVAL);
	FAILS("epoll_create size", epoll_create(0), EINVAL);
	MUST(pipe2(p, O_NONBLOCK));
	EQ("add", control(EPOLL_CTL_ADD, p[0], EPOLLIN), 0);
	FAILS("add twice", control(EPOLL_CTL_ADD, p[0], EPOLLIN), EEXIST);
	FAILS("modify unknown", control(EPOLL_CTL_MOD, p[1], EPOLLOUT), ENOENT);
	FAILS("delete unknown", control(EPOLL_CTL_DEL, p[1], 0), ENOENT);
	FAILS("add itself", control(EPOLL_CTL_ADD, ep, EPOLLIN), EINVAL);
	FAILS("add closed", control(EPOLL_CTL_ADD, 900, EPOLLIN), EBADF);
	FAILS("bad operation", control(77, p[0], EPOLLIN), EINVAL);
	put("f", "x");
	int file = MUST(open("f", O_RDONLY));
	FAILS("add a file", control(EPOLL_CTL_ADD, file, EPOLLIN), EPERM);
	FAILS("not an epoll", epoll_wait(p[0], ev, 1, 0), EINVAL);
	FAILS("no events", epoll_wait(ep, ev, 0, 0), EINVAL);
	EQ("nothing ready", wait_now(ep), 0);
	write(p[1], "xy", 2);
	EQ("level ready", wait_now(ep), 1);
	OK("event", ev[0].events == EPOLLIN && ev[0].data.fd == p[0]);
	EQ("level ready again", wait_now(ep), 1);
	read(p[0], b, 1);
	EQ("level ready while data is left", wait_now(ep), 1);
	read(p[0], b, 1);
	EQ("level not ready", wait_now(ep), 0);

	EQ("edge", control(EPOLL_CTL_MOD, p[0], EPOLLIN | EPOLLET), 0);
	write(p[1], "x", 1);
	EQ("edge ready", wait_now(ep), 1);
	EQ("edge only once", wait_now(ep), 0);
	write(p[1], "x", 1);
	EQ("edge again with new data", wait_now(ep), 1);
	EQ("modify rearms", control(EPOLL_CTL_MOD, p[0], EPOLLIN | EPOLLET), 0);
	EQ("edge after modify", wait_now(ep), 1);
	EQ("one-shot", control(EPOLL_CTL_MOD, p[0], EPOLLIN | EPOLLONESHOT), 0);
	EQ("one-shot ready", wait_now(ep), 1);
	EQ("one-shot disabled", wait_now(ep), 0);
	write(p[1], "x", 1);
	EQ("one-shot stays disabled", wait_now(ep), 0);
	EQ("one-shot rearm", control(EPOLL_CTL_MOD, p[0], EPOLLIN | EPOLLONESHOT), 0);
	EQ("one-shot ready again", wait_now(ep), 1);
	EQ("delete", control(EPOLL_CTL_DEL, p[0], 0), 0);
	EQ("deleted", wait_now(ep), 0);

	while (read(p[0], b, sizeof b) > 0)
		;
	control(EPOLL_CTL_ADD, p[0], EPOLLIN);
	pthread_t t;
	pthread_create(&t, NULL, write_later, &p[1]);
	EQ("wait wakes", epoll_wait(ep, ev, 16, 10000), 1);
	pthread_join(t, NULL);
	read(p[0], b, 1);
	int64_t t0 = now_ns(CLOCK_MONOTONIC);
	EQ("timeout", epoll_wait(ep, ev, 16, 30), 0);
	OK("waited", now_ns(CLOCK_MONOTONIC) - t0 >= 30000000);

	control(EPOLL_CTL_ADD, p[1], EPOLLOUT);
	EQ("write end ready", wait_now(ep), 1);
	write(p[1], "x", 1);
	EQ("both ready", wait_now(ep), 2);
	EQ("limited to one", epoll_wait(ep, ev, 1, 0), 1);
	int first = ev[0].data.fd;
	epoll_wait(ep, ev, 1, 0);
	OK("the other one next", ev[0].data.fd != first);

	int outer = MUST(epoll_create1(0));
	struct epoll_event e = {.events = EPOLLIN, .data.u64 = 0x1122334455667788};
	EQ("nested add", epoll_ctl(outer, EPOLL_CTL_ADD, ep, &e), 0);
	EQ("nested ready", wait_now(outer), 1);
	OK("data is 64 bits", ev[0].data.u64 == 0x1122334455667788);
	FAILS("loop of epolls", control(EPOLL_CTL_ADD, outer, EPOLLIN), ELOOP);
	control(EPOLL_CTL_DEL, p[1], 0);
	read(p[0], b, 1);
	EQ("nested not ready", wait_now(outer), 0);
	write(p[1], "x", 1);
	EQ("nested ready again", wait_now(outer), 1);

	int d = dup(p[0]);
	close(p[0]);
	EQ("watched while a duplicate is open", wait_now(ep), 1);
	close(d);
	EQ("gone with the last duplicate", wait_now(ep), 0);
	close(p[1]);

	MUST(pipe2(p, O_NONBLOCK));
	control(EPOLL_CTL_ADD, p[0], EPOLLIN | EPOLLRDHUP);
	close(p[1]);
	EQ("hang-up is always reported", wait_now(ep) == 1 && ev[0].events == EPOLLHUP, 1);
	close(p[0]);

	int many[50];
	for (int i = 0; i < 50; i++) {
		many[i] = MUST(eventfd(i % 2, EFD_NONBLOCK));
		control(EPOLL_CTL_ADD, many[i], EPOLLIN);
	}
	int ready = 0;
	struct epoll_event all[100];
	ready = epoll_wait(ep, all, 100, 0);
	EQ("25 of 50 ready", ready, 25);
	for (int i = 0; i < 50; i++)
		close(many[i]);
	EQ("none after close", wait_now(ep), 0);

	int event = MUST(eventfd(0, EFD_NONBLOCK));
	int eps[2];
	pthread_t th[2];
	for (int i = 0; i < 2; i++) {
		eps[i] = MUST(epoll_create1(0));
		struct epoll_event x = {.events = EPOLLIN | EPOLLEXCLUSIVE};
		epoll_ctl(eps[i], EPOLL_CTL_ADD, event, &x);
		pthread_create(&th[i], NULL, wait_one, &eps[i]);
	}
	sleep_ms(30);
	uint64_t one = 1;
	write(event, &one, 8);
	for (int i = 0; i < 2; i++)
		pthread_join(th[i], NULL);
	OK("exclusive wakes at least one", woken >= 1);
	struct epoll_event x = {.events = EPOLLIN};
	FAILS("modify exclusive", epoll_ctl(eps[0], EPOLL_CTL_MOD, event, &x), EINVAL);

	struct sigaction sa = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
	sigaction(SIGALRM, &sa, NULL);
	ualarm(20000, 20000);
	FAILS("never restarted", epoll_wait(ep, ev, 16, 10000), EINTR);
	ualarm(0, 0);
	sigset_t none, block;
	sigemptyset(&none);
	sigemptyset(&block);
	sigaddset(&block, SIGALRM);
	sigprocmask(SIG_BLOCK, &block, NULL);
	raise(SIGALRM);
	FAILS("epoll_pwait lets the signal in", epoll_pwait(ep, ev, 16, 5000, &none), EINTR);
	struct timespec ts = {0, 2000000};
	long r = syscall(SYS_epoll_pwait2, ep, ev, 16, &ts, NULL, 0);
	EQ("epoll_pwait2", r, 0);
	done();
}
