// poll(2), ppoll, select(2), pselect.
#include "check.h"
#include <poll.h>
#include <sys/select.h>

static void on_signal(int s) { (void)s; }

static void *write_later(void *arg)
{
	sleep_ms(30);
	write(*(int *)arg, "x", 1);
	return NULL;
}

int main(void)
{
	int p[2], q[2];
	char b[65536];
	work_dir();
	MUST(pipe(p));
	MUST(pipe2(q, O_NONBLOCK));
	struct pollfd f[4] = {{p[0], POLLIN, 0}, {p[1], POLLOUT, 0}, {-1, POLLIN, 9}, {900, POLLIN, 0}};
	EQ("poll ready", poll(f, 4, 0), 2);
	EQ("empty pipe is not readable", f[0].revents, 0);
	EQ("pipe is writable", f[1].revents, POLLOUT);
	EQ("negative descriptor is skipped", f[2].revents, 0);
	EQ("closed descriptor", f[3].revents, POLLNVAL);
	write(p[1], "x", 1);
	EQ("poll readable", poll(f, 1, -1), 1);
	EQ("POLLIN", f[0].revents, POLLIN);
	f[0].events = POLLIN | POLLRDNORM;
	poll(f, 1, 0);
	EQ("POLLRDNORM", f[0].revents, POLLIN | POLLRDNORM);
	read(p[0], b, 1);
	int64_t t0 = now_ns(CLOCK_MONOTONIC);
	EQ("poll timeout", poll(f, 1, 30), 0);
	OK("poll waited", now_ns(CLOCK_MONOTONIC) - t0 >= 30000000);
	EQ("poll without descriptors", poll(NULL, 0, 5), 0);
	pthread_t t;
	pthread_create(&t, NULL, write_later, &p[1]);
	EQ("poll wakes", poll(f, 1, 10000), 1);
	pthread_join(t, NULL);
	read(p[0], b, 1);
	while (write(q[1], b, sizeof b) > 0)
		;
	struct pollfd w = {q[1], POLLOUT, 0};
	EQ("full pipe is not writable", poll(&w, 1, 0), 0);
	close(q[0]);
	EQ("no reader", poll(&w, 1, 0), 1);
	OK("POLLERR", w.revents & POLLERR);
	int r[2];
	MUST(pipe(r));
	write(r[1], "x", 1);
	close(r[1]);
	struct pollfd h = {r[0], POLLIN, 0};
	EQ("hang-up with data", ({ poll(&h, 1, 0); h.revents; }), POLLIN | POLLHUP);
	read(r[0], b, 1);
	EQ("hang-up", ({ poll(&h, 1, 0); h.revents; }), POLLHUP);
	put("f", "x");
	int file = MUST(open("f", O_RDWR));
	struct pollfd pf = {file, POLLIN | POLLOUT | POLLPRI, 0};
	EQ("a file is always ready", ({ poll(&pf, 1, 0); pf.revents; }), POLLIN | POLLOUT);
	FAILS("poll bad address", poll((void *)8, 1, 0), EFAULT);
	FAILS("poll too many", poll(f, 1 << 30, 0), EINVAL);

	struct sigaction sa = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
	sigaction(SIGALRM, &sa, NULL);
	ualarm(20000, 20000);
	FAILS("poll is never restarted", poll(f, 1, 10000), EINTR);
	ualarm(0, 0);
	sigset_t block, none;
	sigemptyset(&none);
	sigemptyset(&block);
	sigaddset(&block, SIGUSR1);
	sigaction(SIGUSR1, &sa, NULL);
	sigprocmask(SIG_BLOCK, &block, NULL);
	raise(SIGUSR1);
	struct timespec ts = {5, 0};
	FAILS("ppoll lets the signal in", ppoll(f, 1, &ts, &none), EINTR);
	sigset_t cur;
	sigprocmask(SIG_SETMASK, NULL, &cur);
	EQ("ppoll restores the mask", sigismember(&cur, SIGUSR1), 1);
	ts = (struct timespec){0, 1000000000};
	FAILS("ppoll bad timeout", ppoll(f, 1, &ts, NULL), EINVAL);

	fd_set in, out;
	FD_ZERO(&in);
	FD_ZERO(&out);
	FD_SET(p[0], &in);
	FD_SET(p[1], &out);
	struct timeval tv = {0, 0};
	EQ("select", select(p[1] + 1, &in, &out, NULL, &tv), 1);
	OK("select sets", !FD_ISSET(p[0], &in) && FD_ISSET(p[1], &out));
	FD_SET(p[0], &in);
	tv = (struct timeval){0, 30000};
	t0 = now_ns(CLOCK_MONOTONIC);
	EQ("select timeout", select(p[0] + 1, &in, NULL, NULL, &tv), 0);
	OK("select waited", now_ns(CLOCK_MONOTONIC) - t0 >= 30000000);
	OK("select leaves no time", tv.tv_sec == 0 && tv.tv_usec == 0);
	OK("select clears the set", !FD_ISSET(p[0], &in));
	FD_ZERO(&in);
	FD_SET(q[1] + 20, &in);
	FAILS("select closed descriptor", select(q[1] + 21, &in, NULL, NULL, &tv), EBADF);
	FAILS("select negative", select(-1, NULL, NULL, NULL, &tv), EINVAL);
	FD_ZERO(&in);
	FD_SET(p[0], &in);
	pthread_create(&t, NULL, write_later, &p[1]);
	EQ("select wakes", select(p[0] + 1, &in, NULL, NULL, NULL), 1);
	pthread_join(t, NULL);
	raise(SIGUSR1);
	read(p[0], b, 1);
	FD_SET(p[0], &in);
	ts = (struct timespec){5, 0};
	FAILS("pselect lets the signal in", pselect(p[0] + 1, &in, NULL, NULL, &ts, &none), EINTR);
	OK("pselect leaves the timeout", ts.tv_sec == 5 && ts.tv_nsec == 0);
	done();
}
