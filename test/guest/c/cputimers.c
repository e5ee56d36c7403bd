// Clocks of CPU time, their timers and sleeps, RLIMIT_CPU, and which clock is for what.
#include "check.h"
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <sys/wait.h>

// Kernel's encoding of clocks of a process or thread: 0 user and system as the tick
// counts, 1 user, 2 exact.
static clockid_t process_clock(pid_t pid, int which) { return (~pid) << 3 | which; }
static clockid_t thread_clock(pid_t tid, int which) { return (~tid) << 3 | 4 | which; }

static int64_t read_ns(clockid_t c)
{
	struct timespec t = {0, 0};
	if (syscall(SYS_clock_gettime, c, &t) == -1)
		return -1;
	return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static void burn_thread(int64_t ns)
{
	for (int64_t end = now_ns(CLOCK_THREAD_CPUTIME_ID) + ns; now_ns(CLOCK_THREAD_CPUTIME_ID) < end;)
		for (volatile int i = 0; i < 10000; i++)
			;
}

static int raw_sleep(clockid_t c, int flags, int64_t ns, struct timespec *left)
{
	struct timespec t = {ns / 1000000000, ns % 1000000000};
	return syscall(SYS_clock_nanosleep, c, flags, &t, left);
}

static void clocks(void)
{
	pid_t me = getpid();
	clockid_t c;
	for (int which = 0; which < 3; which++) {
		char name[60];
		snprintf(name, sizeof name, "process clock %d", which);
		OK(name, read_ns(process_clock(me, which)) >= 0 && read_ns(process_clock(0, which)) >= 0);
		snprintf(name, sizeof name, "thread clock %d", which);
		OK(name, read_ns(thread_clock(gettid(), which)) >= 0 && read_ns(thread_clock(0, which)) >= 0);
	}
	EQ("process clock 3", read_ns(process_clock(me, 3)), -1);
	EQ("thread clock 3", read_ns(thread_clock(0, 3)), -1);
	EQ("no such process", read_ns(process_clock(1 << 22, 2)), -1);
	EQ("no such thread", read_ns(thread_clock(1 << 22, 2)), -1);
	EQ("clock_getcpuclockid of itself", clock_getcpuclockid(0, &c), 0);
	OK("is its time", llabs(read_ns(c) - read_ns(CLOCK_PROCESS_CPUTIME_ID)) < 1000000000);
	EQ("clock_getcpuclockid of nobody", clock_getcpuclockid(1 << 22, &c), ESRCH);
	fflush(stdout);
	int ready[2], go[2];
	char b;
	MUST(pipe(ready) | pipe(go));
	pid_t pid = fork();
	if (pid == 0) {
		burn_thread(50000000);
		write(ready[1], "x", 1);
		read(go[0], &b, 1);
		_exit(0);
	}
	read(ready[0], &b, 1);
	EQ("clock_getcpuclockid of a child", clock_getcpuclockid(pid, &c), 0);
	OK("reads the child's time", read_ns(c) >= 50000000);
	struct timespec t;
	EQ("its resolution", clock_getres(c, &t) == 0 && t.tv_sec == 0 && t.tv_nsec == 1, 1);
	EQ("a thread of another process", read_ns(thread_clock(pid, 2)), -1);
	write(go[1], "x", 1);
	siginfo_t info;
	waitid(P_PID, pid, &info, WEXITED | WNOWAIT);
	OK("a zombie's time", read_ns(c) >= 50000000);
	waitpid(pid, NULL, 0);
	EQ("a process that is gone", read_ns(c), -1);
	clockid_t coarse[] = {CLOCK_REALTIME_COARSE, CLOCK_MONOTONIC_COARSE};
	for (int i = 0; i < 2; i++) {
		EQ("resolution of a coarse clock", clock_getres(coarse[i], &t), 0);
		OK("is a tick", t.tv_sec == 0 && t.tv_nsec >= 1000000 && t.tv_nsec <= 10000000);
		struct timespec raw;
		syscall(SYS_clock_getres, coarse[i], &raw);
		EQ("by system call too", raw.tv_nsec, t.tv_nsec);
	}
	EQ("resolution without a place for it", clock_getres(CLOCK_MONOTONIC, NULL), 0);
	FAILS("resolution of an unknown clock", clock_getres(77, &t), EINVAL);
}

// Which calls take which clock.
static void kinds(void)
{
	struct timespec t;
	struct itimerspec it = {{0, 0}, {1000, 0}};
	struct sigevent e = {.sigev_notify = SIGEV_NONE};
	timer_t id;
	clockid_t good[] = {CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_BOOTTIME, CLOCK_TAI, CLOCK_PROCESS_CPUTIME_ID};
	for (int i = 0; i < 5; i++) {
		EQ("a timer's clock", timer_create(good[i], &e, &id), 0);
		EQ("is set", timer_settime(id, 0, &it, NULL), 0);
		EQ("is read", timer_gettime(id, &it) == 0 && it.it_value.tv_sec >= 990, 1);
		timer_delete(id);
	}
	EQ("a thread's clock", timer_create(CLOCK_THREAD_CPUTIME_ID, &e, &id), 0);
	timer_delete(id);
	clockid_t no[] = {CLOCK_MONOTONIC_RAW, CLOCK_REALTIME_COARSE, CLOCK_MONOTONIC_COARSE};
	for (int i = 0; i < 3; i++) {
		FAILS("no timer on it", timer_create(no[i], &e, &id), EOPNOTSUPP);
		FAILS("no sleep on it", raw_sleep(no[i], 0, 1, NULL), EOPNOTSUPP);
		FAILS("no timerfd on it", timerfd_create(no[i], 0), EINVAL);
	}
	FAILS("the caller's clock: no sleep", raw_sleep(CLOCK_THREAD_CPUTIME_ID, 0, 1, NULL), EOPNOTSUPP);
	FAILS("by its number", raw_sleep(thread_clock(gettid(), 2), 0, 1, NULL), EINVAL);
	FAILS("by 0", raw_sleep(thread_clock(0, 2), 0, 1, NULL), EINVAL);
	FAILS("an unknown clock", raw_sleep(77, 0, 1, NULL), EINVAL);
	FAILS("a bad time", raw_sleep(CLOCK_TAI, 0, -1, NULL), EINVAL);
	FAILS("a bad address", syscall(SYS_clock_nanosleep, CLOCK_TAI, 0, 8, NULL), EFAULT);
	EQ("a relative sleep on TAI", raw_sleep(CLOCK_TAI, 0, 1000000, NULL), 0);
	EQ("a relative sleep on boot time", raw_sleep(CLOCK_BOOTTIME, 0, 1000000, NULL), 0);
	FAILS("a timer for nobody's time", timer_create(process_clock(1 << 22, 2), &e, &id), EINVAL);
	// The clocks that wake a suspended machine need an RTC.
	clockid_t alarm_clocks[] = {CLOCK_REALTIME_ALARM, CLOCK_BOOTTIME_ALARM};
	for (int i = 0; i < 2; i++) {
		int rtc = clock_gettime(alarm_clocks[i], &t) == 0;
		OK("an alarm clock", rtc || errno == EINVAL || errno == 0);
		OK("its resolution", rtc == (clock_getres(alarm_clocks[i], &t) == 0));
		OK("its timers", rtc || timer_create(alarm_clocks[i], &e, &id) == -1 && errno == EOPNOTSUPP);
		OK("its sleeps", rtc || raw_sleep(alarm_clocks[i], 0, 1, NULL) == -1 && errno == EOPNOTSUPP);
		FAILS("it cannot be set", clock_settime(alarm_clocks[i], &t), EINVAL);
		int fd = timerfd_create(alarm_clocks[i], 0);
		OK("a timerfd", fd >= 0);
		close(fd);
	}
}

static volatile int count;
static void handler(int s, siginfo_t *info, void *context)
{
	(void)s;
	(void)info;
	(void)context;
	count++;
}

static volatile int stop;
static void *burner(void *arg)
{
	if (arg)
		*(volatile int *)arg = gettid();
	while (!stop)
		burn_thread(1000000);
	return NULL;
}

static void timers(void)
{
	struct sigaction sa = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO};
	sigaction(SIGUSR1, &sa, NULL);
	clockid_t list[] = {CLOCK_PROCESS_CPUTIME_ID, CLOCK_THREAD_CPUTIME_ID, process_clock(getpid(), 1)};
	const char *names[] = {"process", "thread", "user time"};
	char name[60];
	for (int i = 0; i < 3; i++) {
		struct sigevent e = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1};
		timer_t id;
		snprintf(name, sizeof name, "timer on CPU time: %s", names[i]);
		EQ(name, timer_create(list[i], &e, &id), 0);
		struct itimerspec it = {{0, 10000000}, {0, 20000000}}, left;
		count = 0;
		int64_t t0 = read_ns(list[i]);
		timer_settime(id, 0, &it, NULL);
		timer_gettime(id, &left);
		OK("gettime", left.it_value.tv_nsec > 0 && left.it_value.tv_nsec <= 20000000 && left.it_interval.tv_nsec == 10000000);
		for (int64_t end = now_ns(CLOCK_MONOTONIC) + 20000000000; count < 3 && now_ns(CLOCK_MONOTONIC) < end;)
			for (volatile int k = 0; k < 10000; k++)
				;
		OK("fires with its period", count >= 3);
		OK("not before its time", read_ns(list[i]) - t0 >= 40000000);
		timer_delete(id);
	}
	// One blocked has overruns.
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigprocmask(SIG_BLOCK, &set, NULL);
	struct sigevent e = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1};
	timer_t id;
	timer_create(CLOCK_PROCESS_CPUTIME_ID, &e, &id);
	struct itimerspec it = {{0, 1000000}, {0, 1000000}};
	timer_settime(id, 0, &it, NULL);
	burn_thread(100000000);
	siginfo_t info;
	EQ("a signal that waits", sigwaitinfo(&set, &info), SIGUSR1);
	OK("has the overruns", info.si_overrun >= 50 && info.si_overrun == timer_getoverrun(id));
	timer_delete(id);
	sigprocmask(SIG_UNBLOCK, &set, NULL);
	// A timer on the time of a child that ends.
	fflush(stdout);
	pid_t pid = fork();
	if (pid == 0)
		for (;;)
			pause();
	EQ("timer on a child's time", timer_create(process_clock(pid, 2), &e, &id), 0);
	it = (struct itimerspec){{0, 0}, {1000, 0}};
	EQ("set", timer_settime(id, 0, &it, NULL), 0);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	FAILS("not any more when it is gone", timer_settime(id, 0, &it, NULL), ESRCH);
	EQ("deleted", timer_delete(id), 0);
}

static void sleeps(void)
{
	pthread_t t;
	volatile int tid = 0;
	struct timespec left = {0, 0};
	stop = 0;
	pthread_create(&t, NULL, burner, (void *)&tid);
	int64_t c0 = read_ns(CLOCK_PROCESS_CPUTIME_ID);
	EQ("sleep on the process's time", raw_sleep(CLOCK_PROCESS_CPUTIME_ID, 0, 30000000, NULL), 0);
	OK("until that has passed", read_ns(CLOCK_PROCESS_CPUTIME_ID) - c0 >= 30000000);
	EQ("absolute, in the past", raw_sleep(CLOCK_PROCESS_CPUTIME_ID, TIMER_ABSTIME, 1, NULL), 0);
	while (!tid)
		sleep_ms(1);
	c0 = read_ns(thread_clock(tid, 2));
	EQ("sleep on another thread's time", raw_sleep(thread_clock(tid, 2), 0, 30000000, NULL), 0);
	OK("until that has passed too", read_ns(thread_clock(tid, 2)) - c0 >= 30000000);
	stop = 1;
	pthread_join(t, NULL);
	signal(SIGALRM, SIG_IGN);
	struct sigaction sa = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO};
	sigaction(SIGALRM, &sa, NULL);
	struct itimerval it = {{0, 0}, {0, 20000}};
	setitimer(ITIMER_REAL, &it, NULL);
	FAILS("a signal ends a sleep on CPU time", raw_sleep(CLOCK_PROCESS_CPUTIME_ID, 0, 100000000000, &left), EINTR);
	OK("what is left", left.tv_sec >= 90 && left.tv_sec < 101);
	setitimer(ITIMER_REAL, &it, NULL);
	FAILS("a signal ends a sleep on TAI", raw_sleep(CLOCK_TAI, 0, 100000000000, &left), EINTR);
	OK("what is left there", left.tv_sec >= 90 && left.tv_sec < 101);
	left.tv_sec = 7;
	setitimer(ITIMER_REAL, &it, NULL);
	FAILS("and an absolute one", raw_sleep(CLOCK_TAI, TIMER_ABSTIME, now_ns(CLOCK_TAI) + 100000000000, &left), EINTR);
	EQ("which leaves nothing", left.tv_sec, 7);
}

static volatile int xcpu;
static void on_xcpu(int s) { xcpu += s == SIGXCPU; }

// child runs f in a child and returns its status.
static int child(void (*f)(void))
{
	int status;
	fflush(stdout);
	pid_t pid = fork();
	if (pid == 0) {
		f();
		_exit(77);
	}
	waitpid(pid, &status, 0);
	return status;
}

static void limit(rlim_t soft, rlim_t hard)
{
	struct rlimit r = {soft, hard};
	setrlimit(RLIMIT_CPU, &r);
}

static void forever(void)
{
	for (;;)
		burn_thread(10000000);
}

static void inherited_limit(void)
{
	limit(1, 1);
	pid_t pid = fork();
	if (pid == 0)
		forever();
	int status;
	waitpid(pid, &status, 0);
	_exit(WTERMSIG(status));
}

static void each_second(void)
{
	struct rlimit r;
	signal(SIGXCPU, on_xcpu);
	limit(1, 2);
	while (xcpu < 1)
		burn_thread(10000000);
	getrlimit(RLIMIT_CPU, &r);
	if (r.rlim_cur != 2 || r.rlim_max != 2)
		_exit(1);
	forever(); // SIGKILL at 2
}

static void removed(void)
{
	limit(1, RLIM_INFINITY);
	limit(RLIM_INFINITY, RLIM_INFINITY);
	burn_thread(1100000000);
	_exit(0);
}

static void zero(void)
{
	limit(0, RLIM_INFINITY);
	forever();
}

static void limits(void)
{
	EQ("RLIMIT_CPU: a child inherits it", WEXITSTATUS(child(inherited_limit)), SIGKILL);
	EQ("SIGXCPU at the soft limit, which moves, SIGKILL at the hard one", WTERMSIG(child(each_second)), SIGKILL);
	EQ("a limit that is taken away", child(removed), 0);
	EQ("a limit of 0, no handler", WTERMSIG(child(zero)), SIGXCPU);
}

int main(void)
{
	clocks();
	kinds();
	timers();
	sleeps();
	limits();
	done();
}
