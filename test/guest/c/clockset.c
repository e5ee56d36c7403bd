// Steps of CLOCK_REALTIME: sleeps and timers to an absolute time follow them, those
// for a relative time do not. The clock of a host belongs to others too: there, the
// steps are left out and the lines are printed as if they had been made. SET_CLOCK=1
// makes them on a Linux machine whose clock may be set.
#include "check.h"
#include <linux/futex.h>
#include <linux/io_uring.h>
#include <mqueue.h>
#include <poll.h>
#include <semaphore.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <sys/timex.h>
#include <sys/utsname.h>
#include <sys/wait.h>

static int may_set; // the clock may be set here

#define STEP(name, condition) OK(name, !may_set || (condition))

static struct timespec at_ns(int64_t ns) { return (struct timespec){ns / 1000000000, ns % 1000000000}; }

static int64_t real_now(void) { return now_ns(CLOCK_REALTIME); }

#define SECOND 1000000000LL

static void step(int64_t delta)
{
	struct timespec t = at_ns(real_now() + delta);
	MUST(clock_settime(CLOCK_REALTIME, &t));
}

// A waiter is a thread that waits until the absolute time deadline.
struct waiter {
	const char *name;
	int (*wait)(const struct timespec *deadline); // 1: it ended because of the time
	int64_t deadline;
	volatile int done, good, reached;
};

static int w_nanosleep(const struct timespec *t) { return clock_nanosleep(CLOCK_REALTIME, TIMER_ABSTIME, t, NULL) == 0; }

static int w_tai(const struct timespec *t) { return clock_nanosleep(CLOCK_TAI, TIMER_ABSTIME, t, NULL) == 0; }

static int w_sem(const struct timespec *t)
{
	sem_t s;
	sem_init(&s, 0, 0);
	return sem_timedwait(&s, t) == -1 && errno == ETIMEDOUT;
}

static int w_cond(const struct timespec *t)
{
	pthread_mutex_t m = PTHREAD_MUTEX_INITIALIZER;
	pthread_cond_t c = PTHREAD_COND_INITIALIZER;
	pthread_mutex_lock(&m);
	int r;
	while ((r = pthread_cond_timedwait(&c, &m, t)) == 0)
		;
	return r == ETIMEDOUT;
}

static pthread_mutex_t held = PTHREAD_MUTEX_INITIALIZER, held_pi;
static int w_mutex(const struct timespec *t) { return pthread_mutex_timedlock(&held, t) == ETIMEDOUT; }
static int w_pi(const struct timespec *t) { return pthread_mutex_timedlock(&held_pi, t) == ETIMEDOUT; }

static int w_waitv(const struct timespec *t)
{
	uint32_t word = 0;
	struct { uint64_t val, addr; uint32_t flags, pad; } v = {0, (uintptr_t)&word, 2 | FUTEX_PRIVATE_FLAG, 0};
	return syscall(449, &v, 1, 0, t, CLOCK_REALTIME) == -1 && errno == ETIMEDOUT;
}

static mqd_t empty, full;
static int w_receive(const struct timespec *t)
{
	char b[16];
	return mq_timedreceive(empty, b, sizeof b, NULL, t) == -1 && errno == ETIMEDOUT;
}
static int w_send(const struct timespec *t) { return mq_timedsend(full, "x", 1, 0, t) == -1 && errno == ETIMEDOUT; }

static int timer_fd(const struct timespec *t, int flags)
{
	int fd = MUST(timerfd_create(CLOCK_REALTIME, 0));
	struct itimerspec it = {{0, 0}, *t};
	MUST(timerfd_settime(fd, TFD_TIMER_ABSTIME | flags, &it, NULL));
	return fd;
}
static int w_timerfd(const struct timespec *t)
{
	uint64_t n = 0;
	int fd = timer_fd(t, 0);
	int good = read(fd, &n, 8) == 8 && n == 1;
	close(fd);
	return good;
}
static int w_poll(const struct timespec *t)
{
	struct pollfd p = {timer_fd(t, 0), POLLIN, 0};
	int good = poll(&p, 1, -1) == 1 && p.revents == POLLIN;
	close(p.fd);
	return good;
}

static int w_timer(const struct timespec *t)
{
	timer_t id;
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN + 3);
	struct sigevent e = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGRTMIN + 3};
	e._sigev_un._tid = gettid();
	MUST(timer_create(CLOCK_REALTIME, &e, &id));
	struct itimerspec it = {{0, 0}, *t};
	MUST(timer_settime(id, TIMER_ABSTIME, &it, NULL));
	siginfo_t info;
	int good = sigwaitinfo(&set, &info) == SIGRTMIN + 3;
	timer_delete(id);
	return good;
}

static int w_uring(const struct timespec *t)
{
	struct io_uring_params p = {0};
	int fd = syscall(SYS_io_uring_setup, 4, &p);
	if (fd < 0)
		return clock_nanosleep(CLOCK_REALTIME, TIMER_ABSTIME, t, NULL) == 0; // a Linux that has it switched off
	char *sq = mmap(NULL, p.sq_off.array + p.sq_entries * 4, PROT_READ | PROT_WRITE, MAP_SHARED, fd, IORING_OFF_SQ_RING);
	char *cq = mmap(NULL, p.cq_off.cqes + p.cq_entries * sizeof(struct io_uring_cqe), PROT_READ | PROT_WRITE, MAP_SHARED, fd, IORING_OFF_CQ_RING);
	struct io_uring_sqe *e = mmap(NULL, p.sq_entries * sizeof *e, PROT_READ | PROT_WRITE, MAP_SHARED, fd, IORING_OFF_SQES);
	struct { int64_t sec, nsec; } kt = {t->tv_sec, t->tv_nsec};
	memset(e, 0, sizeof *e);
	e->opcode = IORING_OP_TIMEOUT;
	e->addr = (uintptr_t)&kt;
	e->len = 1;
	e->timeout_flags = IORING_TIMEOUT_ABS | IORING_TIMEOUT_REALTIME;
	*(uint32_t *)(sq + p.sq_off.array) = 0;
	__atomic_store_n((uint32_t *)(sq + p.sq_off.tail), 1, __ATOMIC_RELEASE);
	int r = syscall(SYS_io_uring_enter, fd, 1, 1, IORING_ENTER_GETEVENTS, NULL, 0);
	struct io_uring_cqe *c = (void *)(cq + p.cq_off.cqes);
	return r == 1 && c->res == -ETIME;
}

static struct waiter waiters[] = {
	{"clock_nanosleep", w_nanosleep, 0, 0, 0, 0}, {"clock_nanosleep of CLOCK_TAI", w_tai, 0, 0, 0, 0}, {"sem_timedwait", w_sem, 0, 0, 0, 0},
	{"pthread_cond_timedwait", w_cond, 0, 0, 0, 0}, {"pthread_mutex_timedlock", w_mutex, 0, 0, 0, 0},
	{"pthread_mutex_timedlock with inheritance", w_pi, 0, 0, 0, 0}, {"futex_waitv", w_waitv, 0, 0, 0, 0},
	{"mq_timedreceive", w_receive, 0, 0, 0, 0}, {"mq_timedsend", w_send, 0, 0, 0, 0}, {"timerfd read", w_timerfd, 0, 0, 0, 0},
	{"timerfd poll", w_poll, 0, 0, 0, 0}, {"POSIX timer", w_timer, 0, 0, 0, 0}, {"io_uring timeout", w_uring, 0, 0, 0, 0},
};
#define N (int)(sizeof waiters / sizeof waiters[0])

static void *run(void *arg)
{
	struct waiter *w = arg;
	struct timespec t = at_ns(w->deadline);
	w->good = w->wait(&t);
	w->reached = real_now() >= w->deadline;
	w->done = 1;
	return NULL;
}

static void start(int64_t ahead)
{
	pthread_attr_t a;
	pthread_attr_init(&a);
	pthread_attr_setdetachstate(&a, PTHREAD_CREATE_DETACHED);
	for (int i = 0; i < N; i++) {
		struct waiter *w = &waiters[i];
		w->done = w->good = w->reached = 0;
		w->deadline = real_now() + ahead;
		pthread_t t;
		if (pthread_create(&t, &a, run, w) != 0)
			report(0, "thread", "%s", w->name);
	}
}

static void await(volatile int *flag)
{
	for (int i = 0; i < 3000 && !*flag; i++)
		sleep_ms(10);
}

static void absolute(void)
{
	char name[100];
	if (may_set) {
		start(1000 * SECOND);
		sleep_ms(300);
		step(2000 * SECOND);
	}
	for (int i = 0; i < N; i++) {
		struct waiter *w = &waiters[i];
		if (may_set)
			await(&w->done);
		snprintf(name, sizeof name, "a step forward ends %s", w->name);
		STEP(name, w->done && w->good && w->reached);
	}
	if (may_set) {
		start(3 * SECOND);
		step(-1000 * SECOND);
		sleep_ms(3500);
	}
	int early = 0;
	for (int i = 0; i < N; i++)
		early += waiters[i].done;
	STEP("after a step back all wait on", early == 0);
	if (may_set)
		step(2000 * SECOND);
	for (int i = 0; i < N; i++) {
		struct waiter *w = &waiters[i];
		if (may_set)
			await(&w->done);
		snprintf(name, sizeof name, "not before its time: %s", w->name);
		STEP(name, w->done && w->good && w->reached);
	}
	if (may_set)
		step(-3000 * SECOND);
}

// What waits for a relative time runs on the monotonic clock.
static volatile int alarms, slept;
static void on_alarm(int s) { alarms += s == SIGALRM; }

static void *relative_sleep(void *arg)
{
	struct timespec t = {2, 0};
	(void)arg;
	slept = clock_nanosleep(CLOCK_REALTIME, 0, &t, NULL) == 0 ? 1 : -1;
	return NULL;
}

static void relative(void)
{
	if (!may_set) {
		printf("ok relative times: nothing ends early\nok relative times: a step back delays nothing\n");
		return;
	}
	signal(SIGALRM, on_alarm);
	for (int back = 0; back < 2; back++) {
		pthread_t thread;
		alarms = slept = 0;
		int64_t t0 = now_ns(CLOCK_MONOTONIC);
		pthread_create(&thread, NULL, relative_sleep, NULL);
		timer_t id;
		struct sigevent e = {.sigev_notify = SIGEV_NONE};
		MUST(timer_create(CLOCK_REALTIME, &e, &id));
		struct itimerspec it = {{0, 0}, {2, 0}}, left, fd_left;
		MUST(timer_settime(id, 0, &it, NULL));
		int fd = MUST(timerfd_create(CLOCK_REALTIME, 0));
		MUST(timerfd_settime(fd, 0, &it, NULL));
		alarm(2);
		sleep_ms(200);
		step(back ? -1000 * SECOND : 1000 * SECOND);
		timer_gettime(id, &left);
		timerfd_gettime(fd, &fd_left);
		struct pollfd p = {fd, POLLIN, 0};
		int soon = alarms || slept || poll(&p, 1, 0) != 0;
		if (now_ns(CLOCK_MONOTONIC) - t0 > 1900000000)
			soon = 0; // a slow machine: the times have passed
		else
			soon |= left.it_value.tv_sec > 1 || fd_left.it_value.tv_sec > 1 || (left.it_value.tv_sec | left.it_value.tv_nsec) == 0;
		poll(&p, 1, 30000);
		await(&alarms);
		await(&slept);
		int good = !soon && p.revents == POLLIN && alarms == 1 && slept == 1 && now_ns(CLOCK_MONOTONIC) - t0 >= 2 * SECOND;
		OK(back ? "relative times: a step back delays nothing" : "relative times: nothing ends early", good);
		pthread_join(thread, NULL);
		close(fd);
		timer_delete(id);
	}
}

// TFD_TIMER_CANCEL_ON_SET
static volatile int canceled;
static void *read_timer(void *arg)
{
	uint64_t n;
	canceled = read(*(int *)arg, &n, 8) == -1 && errno == ECANCELED ? 1 : -1;
	return NULL;
}

static int adj_step(int64_t seconds)
{
	struct timex x = {.modes = ADJ_SETOFFSET, .time = {seconds, 0}};
	return adjtimex(&x) >= 0;
}

static int day_step(long seconds)
{
	struct timeval t;
	gettimeofday(&t, NULL);
	t.tv_sec += seconds;
	return settimeofday(&t, NULL) == 0;
}

static void cancel(void)
{
	uint64_t n = 0;
	struct timespec far = at_ns(real_now() + 100000 * SECOND);
	int fd = timer_fd(&far, TFD_TIMER_CANCEL_ON_SET), plain = timer_fd(&far, 0);
	int clone = dup(fd);
	fcntl(plain, F_SETFL, O_NONBLOCK);
	pthread_t thread;
	if (may_set) {
		pthread_create(&thread, NULL, read_timer, &fd);
		sleep_ms(200);
		step(5 * SECOND);
		await(&canceled);
		if (canceled)
			pthread_join(thread, NULL);
	}
	STEP("a blocked read is canceled", canceled == 1);
	fcntl(fd, F_SETFL, O_NONBLOCK);
	FAILS("once", read(clone, &n, 8), EAGAIN);
	FAILS("a timer without the flag is not", read(plain, &n, 8), EAGAIN);
	struct pollfd p = {fd, POLLIN, 0};
	EQ("poll before a step", poll(&p, 1, 0), 0);
	int ep = epoll_create1(0);
	struct epoll_event ev = {.events = EPOLLIN | EPOLLET};
	epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev);
	EQ("epoll before a step", epoll_wait(ep, &ev, 1, 0), 0);
	STEP("ADJ_SETOFFSET", adj_step(-5));
	STEP("poll says so", poll(&p, 1, 10000) == 1 && p.revents == POLLIN);
	STEP("epoll says so", epoll_wait(ep, &ev, 1, 10000) == 1);
	STEP("a read is canceled", read(fd, &n, 8) == -1 && errno == ECANCELED);
	EQ("poll after it", poll(&p, 1, 0), 0);
	STEP("settimeofday", day_step(7));
	struct itimerspec it = {{0, 0}, {0, 0}}, old;
	it.it_value = at_ns(real_now() + 100000 * SECOND);
	STEP("timerfd_settime is canceled", timerfd_settime(fd, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, &it, NULL) == -1 && errno == ECANCELED);
	EQ("but has set the timer", timerfd_gettime(fd, &old) == 0 && old.it_value.tv_sec > 90000, 1);
	FAILS("and it is not canceled now", read(fd, &n, 8), EAGAIN);
	STEP("back again", day_step(-7));
	STEP("a new setting without the flag", timerfd_settime(fd, TFD_TIMER_ABSTIME, &it, NULL) == 0);
	FAILS("forgets the step", read(fd, &n, 8), EAGAIN);
	STEP("a relative time", timerfd_settime(fd, TFD_TIMER_CANCEL_ON_SET, &it, NULL) == 0);
	STEP("another step", day_step(3) && day_step(-3));
	FAILS("cannot be canceled", read(fd, &n, 8), EAGAIN);
	int mono = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
	it.it_value = at_ns(now_ns(CLOCK_MONOTONIC) + 100000 * SECOND);
	EQ("the flag with another clock", timerfd_settime(mono, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, &it, NULL), 0);
	STEP("a step for it", day_step(3) && day_step(-3));
	FAILS("does nothing", read(mono, &n, 8), EAGAIN);
}

// A timer with a period of an absolute time follows too.
static void periodic(void)
{
	timer_t id;
	struct sigevent e = {.sigev_notify = SIGEV_NONE};
	MUST(timer_create(CLOCK_REALTIME, &e, &id));
	struct itimerspec it = {{100, 0}, at_ns(real_now() + 1000 * SECOND)}, left;
	MUST(timer_settime(id, TIMER_ABSTIME, &it, NULL));
	STEP("a step of a periodic timer's clock", day_step(500));
	STEP("makes it nearer", timer_gettime(id, &left) == 0 && left.it_value.tv_sec > 400 && left.it_value.tv_sec <= 500);
	STEP("back", day_step(-700));
	STEP("makes it farther", timer_gettime(id, &left) == 0 && left.it_value.tv_sec > 1100 && left.it_value.tv_sec <= 1200);
	STEP("to the start", day_step(200));
	STEP("far beyond", day_step(2050));
	STEP("the next period", timer_gettime(id, &left) == 0 && left.it_value.tv_sec > 0 && left.it_value.tv_sec <= 100);
	STEP("to the start again", day_step(-2050));
}

static void errors(void)
{
	struct timespec t = at_ns(real_now());
	FAILS("monotonic cannot be set", clock_settime(CLOCK_MONOTONIC, &t), EINVAL);
	FAILS("TAI cannot be set", clock_settime(CLOCK_TAI, &t), EINVAL);
	FAILS("boot time cannot be set", clock_settime(CLOCK_BOOTTIME, &t), EINVAL);
	FAILS("coarse cannot be set", clock_settime(CLOCK_REALTIME_COARSE, &t), EINVAL);
	FAILS("CPU time cannot be set", syscall(SYS_clock_settime, CLOCK_PROCESS_CPUTIME_ID, &t), EINVAL);
	FAILS("nor another process's", syscall(SYS_clock_settime, (~getpid()) << 3 | 2, &t), EPERM);
	FAILS("unknown clock", clock_settime(99, &t), EINVAL);
	FAILS("bad address", syscall(SYS_clock_settime, CLOCK_REALTIME, 8), EFAULT);
	t.tv_nsec = 1000000000;
	FAILS("too many nanoseconds", clock_settime(CLOCK_REALTIME, &t), EINVAL);
	t = (struct timespec){-1, 0};
	FAILS("before the epoch", clock_settime(CLOCK_REALTIME, &t), EINVAL);
	t = (struct timespec){LONG_MAX / 2, 0};
	FAILS("the far future", clock_settime(CLOCK_REALTIME, &t), EINVAL);
	t = (struct timespec){0, 0};
	FAILS("before the boot", clock_settime(CLOCK_REALTIME, &t), EINVAL);
	struct timeval v = {0, 1000001};
	FAILS("settimeofday microseconds", syscall(SYS_settimeofday, &v, NULL), EINVAL);
	v = (struct timeval){-1, 0};
	FAILS("settimeofday seconds", syscall(SYS_settimeofday, &v, NULL), EINVAL);
	struct timezone z = {16 * 60, 0};
	FAILS("settimeofday zone", syscall(SYS_settimeofday, NULL, &z), EINVAL);
	EQ("settimeofday of nothing", syscall(SYS_settimeofday, NULL, NULL), 0);
	FAILS("settimeofday address", syscall(SYS_settimeofday, 8, NULL), EFAULT);
	fflush(stdout);
	pid_t pid = fork();
	if (pid == 0) {
		setuid(1000);
		t = at_ns(real_now());
		v = (struct timeval){t.tv_sec, 0};
		FAILS("another user: clock_settime", clock_settime(CLOCK_REALTIME, &t), EPERM);
		FAILS("another user: settimeofday", settimeofday(&v, NULL), EPERM);
		FAILS("another user: settimeofday of nothing", syscall(SYS_settimeofday, NULL, NULL), EPERM);
		t.tv_nsec = -1;
		FAILS("another user: bad time", clock_settime(CLOCK_REALTIME, &t), EINVAL);
		done();
	}
	int status;
	waitpid(pid, &status, 0);
	EQ("the child's failures", status, 0);
}

int main(void)
{
	struct utsname u;
	uname(&u);
	may_set = strstr(u.release, "gosv") != NULL || getenv("SET_CLOCK") != NULL;
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN + 3);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	pthread_mutexattr_t a;
	pthread_mutexattr_init(&a);
	pthread_mutexattr_setprotocol(&a, PTHREAD_PRIO_INHERIT);
	pthread_mutex_init(&held_pi, &a);
	pthread_mutex_lock(&held);
	pthread_mutex_lock(&held_pi);
	struct mq_attr attr = {.mq_maxmsg = 1, .mq_msgsize = 16};
	char name[32];
	snprintf(name, sizeof name, "/clockset-%d", getpid());
	empty = MUST(mq_open(name, O_RDWR | O_CREAT, 0600, &attr));
	mq_unlink(name);
	full = MUST(mq_open(name, O_RDWR | O_CREAT, 0600, &attr));
	mq_unlink(name);
	MUST(mq_send(full, "x", 1, 0));
	errors();
	absolute();
	relative();
	cancel();
	periodic();
	done();
}
