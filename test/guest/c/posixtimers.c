// POSIX timers: overruns, what happens while their signal waits or is ignored, and
// interval timers beside them.
#include "check.h"
#include <sys/time.h>
#include <sys/wait.h>

#define SIG (SIGRTMIN + 1)

static sigset_t just(int sig)
{
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, sig);
	return set;
}

static void block(int sig)
{
	sigset_t set = just(sig);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
}

static void unblock(int sig)
{
	sigset_t set = just(sig);
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

static timer_t new_timer(clockid_t clock, int notify, int sig, int value)
{
	timer_t id;
	struct sigevent e = {.sigev_notify = notify, .sigev_signo = sig, .sigev_value.sival_int = value};
	e._sigev_un._tid = gettid();
	MUST(timer_create(clock, &e, &id));
	return id;
}

static int set_timer(timer_t id, int64_t value, int64_t period)
{
	struct itimerspec it = {{period / 1000000000, period % 1000000000}, {value / 1000000000, value % 1000000000}};
	return timer_settime(id, 0, &it, NULL);
}

// take waits for a signal; it returns its number, and 0 if none comes for ms.
static int take(int sig, siginfo_t *info, long ms)
{
	sigset_t set = just(sig);
	struct timespec t = {ms / 1000, ms % 1000 * 1000000};
	memset(info, 0, sizeof *info);
	int got = sigtimedwait(&set, info, &t);
	return got < 0 ? 0 : got;
}

static int pending(int sig)
{
	sigset_t set;
	sigpending(&set);
	return sigismember(&set, sig);
}

static volatile int count, overrun_seen, overrun_told, code_seen;
static timer_t current;
static void handler(int s, siginfo_t *info, void *context)
{
	(void)s;
	(void)context;
	if (count++ == 0) {
		code_seen = info->si_code;
		overrun_seen = info->si_overrun;
		overrun_told = timer_getoverrun(current);
		set_timer(current, 0, 0);
	}
}

static void handle(int sig)
{
	struct sigaction a = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO};
	sigaction(sig, &a, NULL);
}

// An expiration for each period of the time that the signal was blocked.
static void overruns(void)
{
	const struct { const char *name; int sig; long period; } list[] = {
		{"1 ns", SIGUSR1, 1}, {"1 us", SIGUSR1, 1000}, {"1 ms", SIGUSR1, 1000000},
		{"2 ns, real time", SIG, 2}, {"SIGCONT, 1 ns", SIGCONT, 1},
	};
	char name[100];
	for (int i = 0; i < 5; i++) {
		int least = INT_MAX, same = 1, once = 1, code = 1;
		for (int k = 0; k < 5; k++) {
			handle(list[i].sig);
			block(list[i].sig);
			current = new_timer(k & 1 ? CLOCK_MONOTONIC : CLOCK_REALTIME, SIGEV_SIGNAL, list[i].sig, 0);
			count = 0;
			int64_t t0 = now_ns(CLOCK_MONOTONIC);
			set_timer(current, 1000000, list[i].period);
			sleep_ms(20);
			unblock(list[i].sig);
			int64_t passed = now_ns(CLOCK_MONOTONIC) - t0;
			once &= count == 1;
			same &= overrun_seen == overrun_told;
			code &= code_seen == SI_TIMER;
			// At least those of the 19 ms, and not more than of all the time.
			if (overrun_seen < least)
				least = overrun_seen;
			if (overrun_seen > passed / list[i].period)
				same = 0;
			timer_delete(current);
		}
		snprintf(name, sizeof name, "%s: one signal", list[i].name);
		OK(name, once && code);
		snprintf(name, sizeof name, "%s: si_overrun is timer_getoverrun", list[i].name);
		OK(name, same);
		snprintf(name, sizeof name, "%s: no expiration is lost", list[i].name);
		OK(name, least >= 19000000 / list[i].period - 1);
	}
}

static void maximum(void)
{
	siginfo_t info;
	block(SIG);
	timer_t id = new_timer(CLOCK_REALTIME, SIGEV_SIGNAL, SIG, 7);
	struct itimerspec it = {{0, 1}, {1, 0}}; // many years ago
	EQ("a timer since 1970", timer_settime(id, TIMER_ABSTIME, &it, NULL), 0);
	EQ("fires", take(SIG, &info, 10000), SIG);
	EQ("DELAYTIMER_MAX", sysconf(_SC_DELAYTIMER_MAX), INT_MAX);
	EQ("is the most that si_overrun tells", info.si_overrun, INT_MAX);
	EQ("value", info.si_value.sival_int, 7);
	EQ("delete", timer_delete(id), 0);
	id = new_timer(CLOCK_MONOTONIC, SIGEV_SIGNAL, SIG, 0);
	set_timer(id, 1000000, 0);
	EQ("a timer without period", take(SIG, &info, 10000), SIG);
	EQ("has no overrun", info.si_overrun, 0);
	EQ("nor tells one", timer_getoverrun(id), 0);
	timer_delete(id);
}

static void none(void)
{
	struct itimerspec it;
	timer_t id = new_timer(CLOCK_MONOTONIC, SIGEV_NONE, 0, 0);
	EQ("not set: gettime", timer_gettime(id, &it), 0);
	OK("is zero", !it.it_value.tv_sec && !it.it_value.tv_nsec && !it.it_interval.tv_nsec);
	set_timer(id, 1000000, 0);
	sleep_ms(3);
	timer_gettime(id, &it);
	OK("SIGEV_NONE: zero when it has expired", !it.it_value.tv_sec && !it.it_value.tv_nsec);
	set_timer(id, 1000000, 3000000000);
	sleep_ms(3);
	timer_gettime(id, &it);
	OK("with a period: what is left of that", it.it_value.tv_sec >= 0 && it.it_value.tv_sec < 3 && it.it_interval.tv_sec == 3);
	EQ("and no overrun", timer_getoverrun(id), 0);
	set_timer(id, 100000000000, 50000000);
	timer_gettime(id, &it);
	OK("before it expires", it.it_value.tv_sec >= 90 && it.it_interval.tv_nsec == 50000000);
	timer_delete(id);
	block(SIG);
	id = new_timer(CLOCK_MONOTONIC, SIGEV_SIGNAL, SIG, 0);
	set_timer(id, 1000000, 5000000000);
	sleep_ms(5);
	timer_gettime(id, &it);
	OK("while its signal waits: the next period", (it.it_value.tv_sec || it.it_value.tv_nsec) && it.it_value.tv_sec < 5);
	set_timer(id, 0, 50000000);
	timer_gettime(id, &it);
	OK("disarmed: no period either", !it.it_value.tv_sec && !it.it_value.tv_nsec && !it.it_interval.tv_nsec);
	timer_delete(id);
}

// Two timers with one standard signal are two signals.
static void shared_signal(void)
{
	siginfo_t info;
	block(SIGUSR2);
	timer_t a = new_timer(CLOCK_MONOTONIC, SIGEV_SIGNAL, SIGUSR2, 1), b = new_timer(CLOCK_MONOTONIC, SIGEV_SIGNAL, SIGUSR2, 2);
	set_timer(a, 1000000, 0);
	sleep_ms(10);
	set_timer(b, 1000000, 0);
	sleep_ms(10);
	EQ("first timer", take(SIGUSR2, &info, 10000) ? info.si_value.sival_int : 0, 1);
	EQ("second timer", take(SIGUSR2, &info, 10000) ? info.si_value.sival_int : 0, 2);
	EQ("no third", take(SIGUSR2, &info, 0), 0);
	kill(getpid(), SIGUSR2);
	set_timer(a, 1000000, 0);
	sleep_ms(10);
	EQ("kill's signal", take(SIGUSR2, &info, 10000) ? info.si_code : 1, SI_USER);
	EQ("and the timer's", take(SIGUSR2, &info, 10000) ? info.si_code : 1, SI_TIMER);
	timer_delete(a);
	timer_delete(b);
}

static void stale(void)
{
	siginfo_t info;
	block(SIG);
	timer_t id = new_timer(CLOCK_MONOTONIC, SIGEV_SIGNAL, SIG, 3);
	set_timer(id, 1000000, 0);
	sleep_ms(10);
	EQ("the signal waits", pending(SIG), 1);
	timer_delete(id);
	EQ("a deleted timer's signal is not taken", take(SIG, &info, 20), 0);
	EQ("nor pending after that", pending(SIG), 0);
	for (int i = 0; i < 300; i++) {
		id = new_timer(CLOCK_MONOTONIC, SIGEV_SIGNAL, SIG, 3);
		set_timer(id, 1, 0);
		timer_delete(id);
	}
	EQ("nor that of many", take(SIG, &info, 20), 0);
	id = new_timer(CLOCK_MONOTONIC, SIGEV_SIGNAL, SIG, 4);
	set_timer(id, 1000000, 1000000);
	sleep_ms(10);
	set_timer(id, 0, 0);
	EQ("a disarmed timer's signal is not taken", take(SIG, &info, 20), 0);
	set_timer(id, 1000000, 1000000);
	sleep_ms(10);
	set_timer(id, 20000000, 0);
	EQ("set again: the signal of the new setting", take(SIG, &info, 10000), SIG);
	EQ("has no overrun of the old one", info.si_overrun, 0);
	EQ("and comes once", take(SIG, &info, 30), 0);
	timer_delete(id);
}

// A timer whose signal is ignored stands until it is not.
static void ignored(void)
{
	siginfo_t info;
	signal(SIGUSR1, SIG_IGN);
	unblock(SIGUSR1);
	current = new_timer(CLOCK_MONOTONIC, SIGEV_SIGNAL, SIGUSR1, 0);
	set_timer(current, 1000000, 1000);
	sleep_ms(20);
	EQ("ignored: nothing waits", pending(SIGUSR1), 0);
	count = 0;
	handle(SIGUSR1);
	for (int i = 0; i < 1000 && !count; i++)
		sleep_ms(10);
	EQ("a handler gets the signal", count, 1);
	OK("with the overruns", overrun_seen >= 18000 && overrun_seen == overrun_told);
	block(SIGUSR1);
	set_timer(current, 1000000, 1000);
	sleep_ms(20);
	EQ("blocked: it waits", pending(SIGUSR1), 1);
	signal(SIGUSR1, SIG_IGN);
	EQ("and ignored: it does not", pending(SIGUSR1), 0);
	handle(SIGUSR1);
	EQ("not ignored any more", take(SIGUSR1, &info, 10000), SIGUSR1);
	OK("the overruns are all there", info.si_overrun >= 18000);
	set_timer(current, 1000000, 0);
	sleep_ms(10);
	signal(SIGUSR1, SIG_IGN);
	handle(SIGUSR1);
	EQ("once and ignored: it is gone", take(SIGUSR1, &info, 10), 0);
	timer_delete(current);
	unblock(SIGUSR1);
	signal(SIGUSR1, SIG_IGN);
	timer_t many[50];
	for (int i = 0; i < 50; i++) {
		many[i] = new_timer(CLOCK_MONOTONIC, SIGEV_SIGNAL, SIGUSR1, 0);
		set_timer(many[i], 1, 1);
	}
	sleep_ms(20);
	OK("fifty of 1 ns do not stop the machine", 1);
	for (int i = 0; i < 50; i++)
		timer_delete(many[i]);
}

static volatile int other_tid, stop;
static void *other_thread(void *arg)
{
	(void)arg;
	__atomic_store_n(&other_tid, gettid(), __ATOMIC_RELEASE);
	while (!stop)
		sleep_ms(2);
	siginfo_t info;
	return (void *)(long)(take(SIG, &info, 10000) == SIG && info.si_code == SI_TIMER && info.si_overrun >= 3);
}

static void threads(void)
{
	pthread_t t;
	siginfo_t info;
	timer_t id;
	void *good;
	block(SIG);
	pthread_create(&t, NULL, other_thread, NULL);
	while (!__atomic_load_n(&other_tid, __ATOMIC_ACQUIRE))
		sleep_ms(1);
	struct sigevent e = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIG};
	e._sigev_un._tid = other_tid;
	EQ("SIGEV_THREAD_ID", timer_create(CLOCK_MONOTONIC, &e, &id), 0);
	set_timer(id, 1000000, 1000000);
	sleep_ms(10);
	EQ("another thread does not see it", pending(SIG) | take(SIG, &info, 0), 0);
	stop = 1;
	pthread_join(t, &good);
	EQ("the thread takes it", (long)good, 1);
	sleep_ms(10);
	EQ("its end is the signal's", take(SIG, &info, 0), 0);
	EQ("the timer is still there", set_timer(id, 1, 1), 0);
	sleep_ms(5);
	EQ("and can be deleted", timer_delete(id), 0);
	e._sigev_un._tid = 1 << 22;
	FAILS("no such thread", timer_create(CLOCK_MONOTONIC, &e, &id), EINVAL);
	e._sigev_un._tid = 1;
	if (getpid() != 1)
		FAILS("a thread of another process", timer_create(CLOCK_MONOTONIC, &e, &id), EINVAL);
	else
		printf("ok a thread of another process\n");
	e = (struct sigevent){.sigev_notify = SIGEV_SIGNAL, .sigev_signo = 0};
	FAILS("signal 0", timer_create(CLOCK_MONOTONIC, &e, &id), EINVAL);
	e.sigev_signo = 65;
	FAILS("signal 65", timer_create(CLOCK_MONOTONIC, &e, &id), EINVAL);
	e.sigev_signo = SIG;
	e.sigev_notify = 3;
	FAILS("an unknown kind", syscall(SYS_timer_create, CLOCK_MONOTONIC, &e, &id), EINVAL);
}

static void inherited(void)
{
	siginfo_t info;
	block(SIG);
	timer_t id = new_timer(CLOCK_MONOTONIC, SIGEV_SIGNAL, SIG, 0);
	set_timer(id, 1000000, 1000000);
	sleep_ms(10);
	fflush(stdout);
	pid_t pid = fork();
	if (pid == 0) {
		struct itimerspec it;
		int n = pending(SIG) + take(SIG, &info, 20);
		_exit(n == 0 && timer_gettime(id, &it) == -1 && errno == EINVAL ? 0 : 1);
	}
	int status;
	waitpid(pid, &status, 0);
	EQ("a child has no timers", status, 0);
	EQ("the parent has", take(SIG, &info, 10000), SIG);
	timer_delete(id);
	FAILS("deleted", timer_getoverrun(id), EINVAL);
}

static volatile int alarms;
static void on_alarm(int s) { alarms += s == SIGALRM; }

// ITIMER_REAL stands while SIGALRM waits.
static void interval(void)
{
	siginfo_t info;
	struct itimerval it = {{0, 1}, {0, 1}}, now;
	signal(SIGALRM, on_alarm);
	block(SIGALRM);
	setitimer(ITIMER_REAL, &it, NULL);
	sleep_ms(10);
	EQ("the alarm waits", pending(SIGALRM), 1);
	getitimer(ITIMER_REAL, &now);
	OK("meanwhile the timer stands", now.it_value.tv_sec == 0 && now.it_value.tv_usec == 0 && now.it_interval.tv_usec == 1);
	EQ("taken", take(SIGALRM, &info, 10000), SIGALRM);
	EQ("by the kernel", info.si_code, SI_KERNEL);
	EQ("it goes on", take(SIGALRM, &info, 10000), SIGALRM);
	it = (struct itimerval){{0, 0}, {0, 0}};
	setitimer(ITIMER_REAL, &it, NULL);
	take(SIGALRM, &info, 0);
	EQ("until it is stopped", take(SIGALRM, &info, 20), 0);
	it = (struct itimerval){{1000, 0}, {0, 1}};
	setitimer(ITIMER_REAL, &it, NULL);
	EQ("a long period", take(SIGALRM, &info, 10000), SIGALRM);
	getitimer(ITIMER_REAL, &now);
	OK("goes on too", now.it_value.tv_sec >= 900 && now.it_interval.tv_sec == 1000);
	it = (struct itimerval){{0, 0}, {0, 0}};
	setitimer(ITIMER_REAL, &it, &now);
	unblock(SIGALRM);
}

int main(void)
{
	overruns();
	maximum();
	none();
	shared_signal();
	stale();
	ignored();
	threads();
	inherited();
	interval();
	done();
}
