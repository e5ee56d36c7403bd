// Clocks, sleeps, and timers that signal.
#include "check.h"
#include <sys/time.h>
#include <sys/times.h>
#include <sys/timex.h>

static volatile int count, last_code, last_value;
static void handler(int s, siginfo_t *info, void *context)
{
	(void)s;
	(void)context;
	count++;
	last_code = info->si_code;
	last_value = info->si_value.sival_int;
}

static void clocks(void)
{
	clockid_t list[] = {CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_PROCESS_CPUTIME_ID, CLOCK_THREAD_CPUTIME_ID,
		CLOCK_MONOTONIC_RAW, CLOCK_REALTIME_COARSE, CLOCK_MONOTONIC_COARSE, CLOCK_BOOTTIME, CLOCK_TAI};
	int good = 0, back = 0, resolved = 0;
	struct timespec t;
	for (int i = 0; i < 9; i++) {
		good += clock_gettime(list[i], &t) == 0 && t.tv_nsec >= 0 && t.tv_nsec < 1000000000;
		resolved += clock_getres(list[i], &t) == 0 && t.tv_sec == 0 && t.tv_nsec > 0;
	}
	EQ("nine clocks", good, 9);
	EQ("nine resolutions", resolved, 9);
	int64_t before = now_ns(CLOCK_MONOTONIC);
	for (int i = 0; i < 200000; i++) {
		int64_t n = now_ns(CLOCK_MONOTONIC);
		back += n < before;
		before = n;
	}
	EQ("monotonic never goes back", back, 0);
	FAILS("unknown clock", clock_gettime(99, &t), EINVAL);
	FAILS("bad address", syscall(SYS_clock_gettime, CLOCK_REALTIME, 8), EFAULT);
	struct timeval tv;
	gettimeofday(&tv, NULL);
	clock_gettime(CLOCK_REALTIME, &t);
	OK("gettimeofday agrees with clock_gettime", llabs((long long)tv.tv_sec - t.tv_sec) <= 1);
	OK("time agrees", llabs((long long)time(NULL) - t.tv_sec) <= 1);
	OK("the year is after 2023", t.tv_sec > 1700000000);
	struct timespec k;
	syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &k);
	OK("vDSO and system call agree", llabs(now_ns(CLOCK_MONOTONIC) - (k.tv_sec * 1000000000LL + k.tv_nsec)) < 1000000000);
	OK("boot time is not less than monotonic", now_ns(CLOCK_BOOTTIME) - now_ns(CLOCK_MONOTONIC) > -1000000);
	int64_t c0 = now_ns(CLOCK_PROCESS_CPUTIME_ID);
	for (volatile long i = 0; i < 20000000; i++)
		;
	OK("CPU time grows with work", now_ns(CLOCK_PROCESS_CPUTIME_ID) > c0);
	c0 = now_ns(CLOCK_THREAD_CPUTIME_ID);
	sleep_ms(100);
	OK("CPU time does not grow with sleep", now_ns(CLOCK_THREAD_CPUTIME_ID) - c0 < 90000000);
	clockid_t mine;
	EQ("clock of a thread", pthread_getcpuclockid(pthread_self(), &mine), 0);
	EQ("which can be read", clock_gettime(mine, &t), 0);
	struct tms tm;
	OK("times", times(&tm) != (clock_t)-1);
	struct timex tx = {0};
	OK("adjtimex reads", adjtimex(&tx) >= 0);
}

static void sleeps(void)
{
	struct timespec t;
	long list[] = {1000, 100000, 1000000, 20000000};
	int early = 0;
	for (int i = 0; i < 4; i++) {
		int64_t t0 = now_ns(CLOCK_MONOTONIC);
		t = (struct timespec){0, list[i]};
		nanosleep(&t, NULL);
		early += now_ns(CLOCK_MONOTONIC) - t0 < list[i];
	}
	EQ("nanosleep is never early", early, 0);
	t = (struct timespec){0, 1000000000};
	FAILS("nanosleep bad time", nanosleep(&t, NULL), EINVAL);
	t = (struct timespec){-1, 0};
	FAILS("nanosleep negative", nanosleep(&t, NULL), EINVAL);
	clock_gettime(CLOCK_MONOTONIC, &t);
	t.tv_nsec += 30000000;
	if (t.tv_nsec >= 1000000000) {
		t.tv_sec++;
		t.tv_nsec -= 1000000000;
	}
	EQ("clock_nanosleep absolute", clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL), 0);
	OK("not early", now_ns(CLOCK_MONOTONIC) >= t.tv_sec * 1000000000LL + t.tv_nsec);
	t = (struct timespec){1, 0};
	EQ("absolute in the past", clock_nanosleep(CLOCK_REALTIME, TIMER_ABSTIME, &t, NULL), 0);
	EQ("unknown clock", clock_nanosleep(99, 0, &t, NULL), EINVAL);
	EQ("thread clock", clock_nanosleep(CLOCK_THREAD_CPUTIME_ID, 0, &t, NULL), EINVAL);
	EQ("usleep", usleep(1000), 0);
	EQ("sleep 0", sleep(0), 0);
}

static void interval_timers(void)
{
	struct sigaction sa = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO};
	sigaction(SIGALRM, &sa, NULL);
	sigaction(SIGVTALRM, &sa, NULL);
	sigaction(SIGPROF, &sa, NULL);
	struct itimerval it = {{0, 10000}, {0, 10000}}, old;
	EQ("setitimer", setitimer(ITIMER_REAL, &it, NULL), 0);
	while (count < 3)
		pause();
	EQ("interval timer fires", count >= 3, 1);
	EQ("getitimer", getitimer(ITIMER_REAL, &old), 0);
	OK("interval", old.it_interval.tv_usec == 10000);
	it = (struct itimerval){{0, 0}, {0, 0}};
	EQ("setitimer off", setitimer(ITIMER_REAL, &it, &old), 0);
	count = 0;
	sleep_ms(40);
	EQ("no more", count, 0);
	FAILS("setitimer kind", setitimer(99, &it, NULL), EINVAL);
	it = (struct itimerval){{0, 0}, {0, 1000000}};
	FAILS("setitimer time", setitimer(ITIMER_REAL, &it, NULL), EINVAL);
	EQ("alarm", alarm(100), 0);
	OK("alarm says what was left", alarm(0) == 100);
	it = (struct itimerval){{0, 0}, {0, 20000}};
	EQ("setitimer virtual", setitimer(ITIMER_VIRTUAL, &it, NULL), 0);
	for (int64_t end = now_ns(CLOCK_MONOTONIC) + 20000000000; count == 0 && now_ns(CLOCK_MONOTONIC) < end;)
		;
	EQ("virtual timer fires", count, 1);
	EQ("setitimer profiling", setitimer(ITIMER_PROF, &it, NULL), 0);
	for (int64_t end = now_ns(CLOCK_MONOTONIC) + 20000000000; count == 1 && now_ns(CLOCK_MONOTONIC) < end;)
		;
	EQ("profiling timer fires", count, 2);
}

static volatile int notified;
static void notify(union sigval v) { notified = v.sival_int; }

static void posix_timers(void)
{
	struct sigaction sa = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO};
	sigaction(SIGUSR1, &sa, NULL);
	timer_t id;
	struct sigevent e = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1, .sigev_value.sival_int = 55};
	EQ("timer_create", timer_create(CLOCK_MONOTONIC, &e, &id), 0);
	struct itimerspec it = {{0, 10000000}, {0, 10000000}}, now;
	count = 0;
	EQ("timer_settime", timer_settime(id, 0, &it, NULL), 0);
	while (count < 3)
		pause();
	EQ("timer fires", count >= 3, 1);
	EQ("timer code", last_code, SI_TIMER);
	EQ("timer value", last_value, 55);
	EQ("timer_gettime", timer_gettime(id, &now), 0);
	EQ("timer interval", now.it_interval.tv_nsec, 10000000);
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigprocmask(SIG_BLOCK, &set, NULL);
	sleep_ms(60);
	count = 0;
	siginfo_t info;
	EQ("one signal while blocked", sigwaitinfo(&set, &info), SIGUSR1);
	OK("and an overrun count", info.si_overrun >= 2 || timer_getoverrun(id) >= 2);
	EQ("timer_delete", timer_delete(id), 0);
	sigprocmask(SIG_UNBLOCK, &set, NULL);
	FAILS("timer deleted", syscall(SYS_timer_gettime, 1234, &now), EINVAL);
	FAILS("timer clock", timer_create(99, &e, &id), EINVAL);
	e = (struct sigevent){.sigev_notify = SIGEV_THREAD, .sigev_notify_function = notify, .sigev_value.sival_int = 66};
	EQ("timer with a thread", timer_create(CLOCK_REALTIME, &e, &id), 0);
	it = (struct itimerspec){{0, 0}, {0, 10000000}};
	timer_settime(id, 0, &it, NULL);
	for (int i = 0; i < 1000 && !notified; i++)
		sleep_ms(10);
	EQ("thread notified", notified, 66);
	timer_delete(id);
}

int main(void)
{
	clocks();
	sleeps();
	interval_timers();
	posix_timers();
	done();
}
