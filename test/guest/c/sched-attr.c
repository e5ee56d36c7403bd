// The calls of sched(7): what they check, what they keep, who may.
#include "check.h"
#include <sys/resource.h>
#include <sys/wait.h>
#include <linux/futex.h>

struct attr {
	uint32_t size, policy;
	uint64_t flags;
	int32_t nice;
	uint32_t priority;
	uint64_t runtime, deadline, period;
	uint32_t util_min, util_max;
};

#define DEADLINE 6
#define RESET 0x40000000

static int set_attr(pid_t pid, struct attr *a, unsigned flags) { return syscall(SYS_sched_setattr, pid, a, flags); }
static int get_attr(pid_t pid, struct attr *a, unsigned size, unsigned flags)
{
	return syscall(SYS_sched_getattr, pid, a, size, flags);
}

static int class(int policy, int priority)
{
	struct sched_param p = {priority};
	return syscall(SYS_sched_setscheduler, 0, policy, &p);
}

static int param(int priority)
{
	struct sched_param p = {priority};
	return syscall(SYS_sched_setparam, 0, &p);
}

static int got_param(void)
{
	struct sched_param p = {-1};
	MUST(syscall(SYS_sched_getparam, 0, &p));
	return p.sched_priority;
}

static int policy(void) { return syscall(SYS_sched_getscheduler, 0); }

static int nice_value(void) { return getpriority(PRIO_PROCESS, 0); }

// in_child runs f in a child and reports that it ended with 0.
static void in_child(void (*f)(void))
{
	fflush(stdout);
	pid_t p = fork();
	if (p == 0) {
		f();
		fflush(stdout);
		_exit(failures);
	}
	int status;
	waitpid(p, &status, 0);
	if (status)
		failures++;
}

static void test_setscheduler(void)
{
	EQ("the default policy", policy(), SCHED_OTHER);
	FAILS("SCHED_OTHER with a priority", class(SCHED_OTHER, 1), EINVAL);
	FAILS("SCHED_BATCH with a priority", class(SCHED_BATCH, 1), EINVAL);
	FAILS("SCHED_IDLE with a priority", class(SCHED_IDLE, 1), EINVAL);
	FAILS("SCHED_FIFO without", class(SCHED_FIFO, 0), EINVAL);
	FAILS("SCHED_RR above the maximum", class(SCHED_RR, 100), EINVAL);
	FAILS("a negative priority", class(SCHED_RR, -1), EINVAL);
	FAILS("no such policy", class(4, 0), EINVAL);
	FAILS("nor this", class(17, 0), EINVAL);
	FAILS("a negative policy", class(-1, 0), EINVAL);
	FAILS("SCHED_DEADLINE without parameters", class(DEADLINE, 0), EINVAL);
	FAILS("no parameters", syscall(SYS_sched_setscheduler, 0, SCHED_OTHER, 0), EINVAL);
	FAILS("bad parameters", syscall(SYS_sched_setscheduler, 0, SCHED_OTHER, 8), EFAULT);
	FAILS("bad parameters before the thread", syscall(SYS_sched_setscheduler, 4000000, SCHED_OTHER, 8), EFAULT);
	FAILS("a negative thread", syscall(SYS_sched_setscheduler, -1, SCHED_OTHER, &failures), EINVAL);
	struct sched_param p = {0};
	FAILS("no such thread", syscall(SYS_sched_setscheduler, 4000000, SCHED_OTHER, &p), ESRCH);
	FAILS("setparam of SCHED_OTHER", param(1), EINVAL);
	EQ("setparam with 0", param(0), 0);
	EQ("FIFO", class(SCHED_FIFO, 7), 0);
	EQ("its policy", policy(), SCHED_FIFO);
	EQ("its priority", got_param(), 7);
	EQ("setparam", param(9), 0);
	EQ("its policy is kept", policy(), SCHED_FIFO);
	EQ("its new priority", got_param(), 9);
	FAILS("setparam with 0 of FIFO", param(0), EINVAL);
	EQ("with the flag", class(SCHED_RR | RESET, 5), 0);
	EQ("the flag shows", policy(), SCHED_RR | RESET);
	EQ("setparam keeps it", param(6), 0);
	EQ("it does", policy(), SCHED_RR | RESET);
	struct timespec t = {9, 9};
	EQ("sched_rr_get_interval", sched_rr_get_interval(0, &t), 0);
	OK("100 ms", t.tv_sec == 0 && t.tv_nsec == 100000000);
	EQ("FIFO again", class(SCHED_FIFO, 5), 0);
	EQ("without the flag", policy(), SCHED_FIFO);
	EQ("its interval", sched_rr_get_interval(0, &t), 0);
	OK("is 0", t.tv_sec == 0 && t.tv_nsec == 0);
	EQ("nice of a FIFO thread", setpriority(PRIO_PROCESS, 0, 5), 0);
	EQ("is kept", nice_value(), 5);
	EQ("its priority is", got_param(), 5);
	EQ("back", class(SCHED_OTHER, 0), 0);
	EQ("nice is the same", nice_value(), 5);
	EQ("IDLE", class(SCHED_IDLE, 0), 0);
	EQ("with its nice value", nice_value(), 5);
	EQ("BATCH", class(SCHED_BATCH, 0), 0);
	EQ("BATCH it is", policy(), SCHED_BATCH);
	EQ("SCHED_OTHER", class(SCHED_OTHER, 0), 0);
	EQ("nice 0", setpriority(PRIO_PROCESS, 0, 0), 0);
}

static void fork_rr(void) { EQ("a child of RR", policy(), SCHED_RR), EQ("its priority", got_param(), 5); }
static void fork_reset(void)
{
	EQ("a child after the reset", policy(), SCHED_OTHER);
	EQ("has no priority", got_param(), 0);
	EQ("and nice 0", nice_value(), 0);
}
static void fork_nice(void) { EQ("a child of nice -5", nice_value(), 0), EQ("no flag is left", policy(), SCHED_OTHER); }
static void fork_nice_up(void) { EQ("a child of nice 5", nice_value(), 5), EQ("without the flag", policy(), SCHED_BATCH); }

static void test_fork(void)
{
	class(SCHED_RR, 5);
	in_child(fork_rr);
	setpriority(PRIO_PROCESS, 0, 3);
	class(SCHED_RR | RESET, 5);
	in_child(fork_reset);
	EQ("the parent keeps its own", policy(), SCHED_RR | RESET);
	class(SCHED_OTHER | RESET, 0);
	setpriority(PRIO_PROCESS, 0, -5);
	in_child(fork_nice);
	EQ("the parent is the same", nice_value(), -5);
	class(SCHED_BATCH | RESET, 0);
	setpriority(PRIO_PROCESS, 0, 5);
	in_child(fork_nice_up);
	class(SCHED_OTHER, 0);
	setpriority(PRIO_PROCESS, 0, 0);
}

static void test_attr(void)
{
	struct attr a = {.size = 48, .policy = SCHED_FIFO, .priority = 10}, g;
	struct { struct attr a; char more[64]; } big = {.a = {.policy = SCHED_OTHER}};
	EQ("sched_setattr", set_attr(0, &a, 0), 0);
	memset(&g, 0xff, sizeof g);
	EQ("sched_getattr", get_attr(0, &g, 48, 0), 0);
	EQ("size", g.size, 48);
	EQ("policy", g.policy, SCHED_FIFO);
	EQ("priority", g.priority, 10);
	EQ("flags", g.flags, 0);
	EQ("nothing behind 48", g.util_min, -1u);
	EQ("sched_getattr with more", get_attr(0, &g, 56, 0), 0);
	EQ("size 56", g.size, 56);
	FAILS("too small", get_attr(0, &g, 47, 0), EINVAL);
	FAILS("too large", get_attr(0, &g, 4097, 0), EINVAL);
	FAILS("flags of getattr", get_attr(0, &g, 48, 1), EINVAL);
	FAILS("no buffer", get_attr(0, 0, 48, 0), EINVAL);
	FAILS("a bad buffer", get_attr(0, (void *)8, 48, 0), EFAULT);
	FAILS("no thread", get_attr(4000000, &g, 48, 0), ESRCH);
	FAILS("a negative thread", get_attr(-1, &g, 48, 0), EINVAL);

	FAILS("flags of setattr", set_attr(0, &a, 1), EINVAL);
	FAILS("no attributes", set_attr(0, 0, 0), EINVAL);
	FAILS("bad attributes", set_attr(0, (void *)8, 0), EFAULT);
	FAILS("set no thread", set_attr(4000000, &a, 0), ESRCH);
	a.size = 47;
	FAILS("size 47", set_attr(0, &a, 0), E2BIG);
	EQ("the kernel's size", a.size, 56);
	a.size = 5000;
	FAILS("size 5000", set_attr(0, &a, 0), E2BIG);
	EQ("again", a.size, 56);
	a.size = 0;
	EQ("size 0 is 48", set_attr(0, &a, 0), 0);
	big.a.size = sizeof big;
	EQ("a larger one with zeros", set_attr(0, &big.a, 0), 0);
	big.more[63] = 1;
	FAILS("and with more", set_attr(0, &big.a, 0), E2BIG);
	EQ("says its size", big.a.size, 56);

	a = (struct attr){.size = 48, .policy = SCHED_FIFO, .priority = 10, .flags = 0x80};
	FAILS("an unknown flag", set_attr(0, &a, 0), EINVAL);
	a.flags = 0x20;
	FAILS("a clamp in the first version", set_attr(0, &a, 0), EINVAL);
	a.size = 56;
	FAILS("a clamp", set_attr(0, &a, 0), EOPNOTSUPP);
	a.flags = 0, a.policy = -1;
	FAILS("a negative policy", set_attr(0, &a, 0), EINVAL);
	a.policy = SCHED_OTHER;
	FAILS("SCHED_OTHER with a priority", set_attr(0, &a, 0), EINVAL);

	a = (struct attr){.size = 48, .policy = SCHED_OTHER, .nice = -50};
	EQ("nice is bounded", set_attr(0, &a, 0), 0);
	EQ("to -20", nice_value(), -20);
	get_attr(0, &g, 48, 0);
	EQ("getattr says so", g.nice, -20);
	a = (struct attr){.size = 48, .policy = SCHED_RR, .priority = 3, .nice = 7, .flags = 1};
	EQ("RR with the reset flag", set_attr(0, &a, 0), 0);
	get_attr(0, &g, 48, 0);
	EQ("the flag shows", g.flags, 1);
	EQ("no nice value shows", g.nice, 0);
	EQ("getscheduler", policy(), SCHED_RR | RESET);
	EQ("nice is as before", nice_value(), -20);

	a = (struct attr){.size = 48, .policy = SCHED_FIFO, .priority = 20, .flags = 8};
	EQ("KEEP_POLICY", set_attr(0, &a, 0), 0);
	EQ("keeps policy and reset", policy(), SCHED_RR | RESET);
	EQ("and sets the priority", got_param(), 20);
	a = (struct attr){.size = 48, .policy = SCHED_OTHER, .priority = 1, .flags = 0x18};
	EQ("KEEP_POLICY and KEEP_PARAMS", set_attr(0, &a, 0), 0);
	EQ("change nothing", policy(), SCHED_RR | RESET);
	EQ("not the priority", got_param(), 20);
	a = (struct attr){.size = 48, .policy = SCHED_FIFO, .priority = 1, .flags = 0x10};
	EQ("KEEP_PARAMS alone", set_attr(0, &a, 0), 0);
	EQ("keeps the policy, too", policy(), SCHED_RR);
	EQ("and the priority", got_param(), 20);
	class(SCHED_OTHER, 0);
	setpriority(PRIO_PROCESS, 0, 0);
}

static void deadline_fork(void)
{
	struct attr a = {.size = 48, .policy = DEADLINE, .runtime = 1000000, .deadline = 5000000, .period = 100000000};
	EQ("a deadline", set_attr(0, &a, 0), 0);
	EQ("its policy", policy(), DEADLINE);
	EQ("its priority", got_param(), 0);
	struct attr g;
	get_attr(0, &g, 48, 0);
	OK("its parameters", g.runtime == 1000000 && g.deadline == 5000000 && g.period == 100000000);
	FAILS("it cannot fork", fork(), EAGAIN);
	a.flags = 1;
	EQ("but with the reset", set_attr(0, &a, 0), 0);
	pid_t p = fork();
	if (p == 0)
		_exit(policy() != SCHED_OTHER);
	int status;
	waitpid(p, &status, 0);
	EQ("its child is an ordinary one", status, 0);
	int64_t end = now_ns(CLOCK_MONOTONIC) + 300000000, turns = 0;
	while (now_ns(CLOCK_MONOTONIC) < end)
		turns++;
	sched_yield();
	OK("it runs", turns > 0);
	struct sched_param none = {0};
	FAILS("setparam of it", syscall(SYS_sched_setparam, 0, &none), EINVAL);
	EQ("and back", class(SCHED_OTHER, 0), 0);
}

static void deadline_many(void)
{
	struct attr a = {.size = 48, .policy = DEADLINE, .runtime = 9900000, .deadline = 10000000, .period = 10000000};
	int n = sysconf(_SC_NPROCESSORS_ONLN), busy = 0;
	int pipes[2];
	MUST(pipe(pipes));
	for (int i = 0; i < n + 1; i++)
		if (fork() == 0) {
			char c = set_attr(0, &a, 0) == 0 ? '0' : errno == EBUSY ? 'b' : '?';
			write(pipes[1], &c, 1);
			pause();
		} else {
			char c;
			read(pipes[0], &c, 1);
			busy += c == 'b';
			if (c == '?')
				report(0, "deadline", "an unknown error");
		}
	OK("more than there is", busy > 0);
	signal(SIGTERM, SIG_IGN);
	kill(0, SIGTERM);
	while (wait(0) > 0)
		;
}

static void deadline_cpus(void)
{
	struct attr a = {.size = 48, .policy = DEADLINE, .runtime = 1000000, .deadline = 10000000, .period = 10000000};
	cpu_set_t one;
	CPU_ZERO(&one);
	CPU_SET(0, &one);
	MUST(sched_setaffinity(0, sizeof one, &one));
	if (sysconf(_SC_NPROCESSORS_CONF) > 1)
		FAILS("not on one CPU", set_attr(0, &a, 0), EPERM);
	else
		printf("ok not on one CPU\n");
}

static void test_deadline(void)
{
	struct attr a = {.size = 48, .policy = DEADLINE, .runtime = 1000000, .deadline = 5000000, .period = 10000000}, b;
	b = a, b.priority = 1;
	FAILS("with a priority", set_attr(0, &b, 0), EINVAL);
	b = a, b.runtime = 1023;
	FAILS("runtime too short", set_attr(0, &b, 0), EINVAL);
	b = a, b.runtime = 6000000;
	FAILS("runtime above the deadline", set_attr(0, &b, 0), EINVAL);
	b = a, b.deadline = 11000000;
	FAILS("deadline above the period", set_attr(0, &b, 0), EINVAL);
	b = a, b.deadline = 0;
	FAILS("no deadline", set_attr(0, &b, 0), EINVAL);
	b = a, b.runtime = 2000, b.deadline = 90000, b.period = 0;
	FAILS("period too short", set_attr(0, &b, 0), EINVAL);
	b = a, b.period = 5000000000;
	FAILS("period too long", set_attr(0, &b, 0), EINVAL);
	b = a, b.period = 1ull << 63;
	FAILS("a huge period", set_attr(0, &b, 0), EINVAL);
	b = a, b.deadline = 1ull << 63;
	FAILS("a huge deadline", set_attr(0, &b, 0), EINVAL);
	EQ("the range of priorities", sched_get_priority_max(DEADLINE), 0);
	in_child(deadline_fork);
	in_child(deadline_cpus);
	fflush(stdout);
	pid_t p = fork();
	if (p == 0) {
		setpgid(0, 0);
		deadline_many();
		fflush(stdout);
		_exit(failures);
	}
	int status;
	waitpid(p, &status, 0);
	EQ("all of them ended", status, 0);
}

static void limit(int which, int n)
{
	struct rlimit r = {n, n};
	MUST(setrlimit(which, &r));
}

static void user_none(void)
{
	limit(RLIMIT_RTPRIO, 0), limit(RLIMIT_NICE, 0);
	MUST(setresuid(1000, 1000, 1000));
	struct attr a = {.size = 48, .policy = SCHED_OTHER, .nice = -1};
	FAILS("FIFO as a user", class(SCHED_FIFO, 1), EPERM);
	FAILS("a bad one first", class(SCHED_FIFO, 0), EINVAL);
	FAILS("setattr to a lower nice", set_attr(0, &a, 0), EPERM);
	FAILS("setpriority to a lower nice", setpriority(PRIO_PROCESS, 0, -1), EACCES);
	EQ("a higher one", setpriority(PRIO_PROCESS, 0, 3), 0);
	FAILS("and not back", setpriority(PRIO_PROCESS, 0, 2), EACCES);
	a.policy = DEADLINE, a.nice = 0, a.runtime = 1000000, a.deadline = a.period = 10000000;
	FAILS("DEADLINE as a user", set_attr(0, &a, 0), EPERM);
	FAILS("another's thread", setpriority(PRIO_PROCESS, getppid(), 5), EPERM);
	struct sched_param p = {0};
	FAILS("another's policy", syscall(SYS_sched_setscheduler, getppid(), SCHED_BATCH, &p), EPERM);
	OK("another's may be asked", syscall(SYS_sched_getscheduler, getppid()) >= 0);
	EQ("BATCH as a user", class(SCHED_BATCH | RESET, 0), 0);
	FAILS("the flag stays", class(SCHED_BATCH, 0), EPERM);
	EQ("IDLE as a user", class(SCHED_IDLE | RESET, 0), 0);
	FAILS("and not back", class(SCHED_OTHER | RESET, 0), EPERM);
	FAILS("a clamp is a question of permission first", (a = (struct attr){.size = 56, .policy = SCHED_FIFO, .priority = 1, .flags = 0x20}, set_attr(0, &a, 0)), EPERM);
}

static void user_some(void)
{
	struct rlimit rt = {10, 10}, nice = {25, 25};
	if (setrlimit(RLIMIT_RTPRIO, &rt) || setrlimit(RLIMIT_NICE, &nice)) {
		static const char *names[] = {
			"FIFO within the limit", "beyond it", "and with setparam", "a lower one than before", "and not back",
			"RR with that", "lower without a limit", "not another policy", "out of the class", "and not back",
			"nice within the limit", "beyond it", "IDLE", "and back, as its nice value is allowed",
		};
		for (unsigned i = 0; i < sizeof names / sizeof *names; i++)
			skip(names[i], "no right to raise a limit");
		return;
	}
	MUST(setresuid(1000, 1000, 1000));
	EQ("FIFO within the limit", class(SCHED_FIFO, 10), 0);
	FAILS("beyond it", class(SCHED_FIFO, 11), EPERM);
	FAILS("and with setparam", param(11), EPERM);
	limit(RLIMIT_RTPRIO, 5);
	EQ("a lower one than before", param(8), 0);
	FAILS("and not back", param(9), EPERM);
	EQ("RR with that", class(SCHED_RR, 8), 0);
	limit(RLIMIT_RTPRIO, 0);
	EQ("lower without a limit", param(7), 0);
	FAILS("not another policy", class(SCHED_FIFO, 7), EPERM);
	EQ("out of the class", class(SCHED_OTHER, 0), 0);
	FAILS("and not back", class(SCHED_RR, 1), EPERM);
	EQ("nice within the limit", setpriority(PRIO_PROCESS, 0, -5), 0);
	FAILS("beyond it", setpriority(PRIO_PROCESS, 0, -6), EACCES);
	EQ("IDLE", class(SCHED_IDLE, 0), 0);
	EQ("and back, as its nice value is allowed", class(SCHED_OTHER, 0), 0);
}

static const char *field(int n)
{
	static char out[4][64];
	static int next;
	char line[1024], *s = out[next++ & 3];
	int fd = open("/proc/self/stat", O_RDONLY);
	ssize_t r = read(fd, line, sizeof line - 1);
	close(fd);
	line[r < 0 ? 0 : r] = 0;
	char *p = strrchr(line, ')');
	for (int i = 2; i < n && p; i++)
		p = strchr(p + 1, ' ');
	sscanf(p ? p : "?", "%63s", s);
	return s;
}

static void test_stat(void)
{
	STR("priority", field(18), "20");
	STR("nice", field(19), "0");
	STR("rt_priority", field(40), "0");
	STR("policy", field(41), "0");
	setpriority(PRIO_PROCESS, 0, -7);
	STR("priority of nice -7", field(18), "13");
	STR("nice -7", field(19), "-7");
	class(SCHED_FIFO, 50);
	STR("priority of FIFO 50", field(18), "-51");
	STR("its nice", field(19), "-7");
	STR("its rt_priority", field(40), "50");
	STR("its policy", field(41), "1");
	class(SCHED_IDLE, 0);
	STR("priority of IDLE", field(18), "13");
	STR("policy of IDLE", field(41), "5");
	class(SCHED_OTHER, 0);
	setpriority(PRIO_PROCESS, 0, 0);
}

static uint32_t word[2];
static volatile pid_t other;

static void *lock_both(void *arg __attribute__((unused)))
{
	other = syscall(SYS_gettid);
	syscall(SYS_futex, &word[1], FUTEX_LOCK_PI, 0, 0, 0, 0);
	syscall(SYS_futex, &word[0], FUTEX_LOCK_PI, 0, 0, 0, 0);
	syscall(SYS_futex, &word[0], FUTEX_UNLOCK_PI, 0, 0, 0, 0);
	syscall(SYS_futex, &word[1], FUTEX_UNLOCK_PI, 0, 0, 0, 0);
	return 0;
}

static void test_deadlock(void)
{
	pthread_t t;
	EQ("lock", syscall(SYS_futex, &word[0], FUTEX_LOCK_PI, 0, 0, 0, 0), 0);
	FAILS("one's own", syscall(SYS_futex, &word[0], FUTEX_LOCK_PI, 0, 0, 0, 0), EDEADLK);
	pthread_create(&t, 0, lock_both, 0);
	while (!(__atomic_load_n(&word[0], __ATOMIC_SEQ_CST) & FUTEX_WAITERS))
		sleep_ms(1);
	sleep_ms(20);
	FAILS("a circle of owners", syscall(SYS_futex, &word[1], FUTEX_LOCK_PI, 0, 0, 0, 0), EDEADLK);
	EQ("unlock", syscall(SYS_futex, &word[0], FUTEX_UNLOCK_PI, 0, 0, 0, 0), 0);
	pthread_join(t, 0);
}

static void *die_owning(void *arg __attribute__((unused)))
{
	other = syscall(SYS_gettid);
	syscall(SYS_set_robust_list, 0, 24);
	syscall(SYS_futex, &word[0], FUTEX_LOCK_PI, 0, 0, 0, 0);
	while (!(__atomic_load_n(&word[0], __ATOMIC_SEQ_CST) & FUTEX_WAITERS))
		sleep_ms(1);
	sleep_ms(20);
	return 0;
}

// The owner of a PI futex that is in no robust list ends.
static void test_dead_owner(void)
{
	pthread_t t;
	word[0] = 0;
	pthread_create(&t, 0, die_owning, 0);
	while (!__atomic_load_n(&word[0], __ATOMIC_SEQ_CST))
		sleep_ms(1);
	EQ("a lock whose owner ends", syscall(SYS_futex, &word[0], FUTEX_LOCK_PI, 0, 0, 0, 0), 0);
	EQ("is the waiter's", word[0] & FUTEX_TID_MASK, syscall(SYS_gettid));
	OK("and says that the owner died", word[0] & FUTEX_OWNER_DIED);
	pthread_join(t, 0);
	syscall(SYS_futex, &word[0], FUTEX_UNLOCK_PI, 0, 0, 0, 0);
	EQ("it can be given back", word[0] & FUTEX_TID_MASK, 0);
}

int main(void)
{
	alarm(60);
	test_setscheduler();
	test_fork();
	test_attr();
	test_deadline();
	in_child(user_none);
	in_child(user_some);
	test_stat();
	test_deadlock();
	test_dead_owner();
	done();
}
