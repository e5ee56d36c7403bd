// What processes, threads and children used: wait4, waitid, getrusage, times, SIGCHLD
// and /proc/PID/stat; and the timer slack that is passed on.
#include "check.h"
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/times.h>
#include <sys/wait.h>

#define BURN 200000000LL // ns of CPU time

static void burn(int64_t ns)
{
	for (int64_t end = now_ns(CLOCK_THREAD_CPUTIME_ID) + ns; now_ns(CLOCK_THREAD_CPUTIME_ID) < end;)
		for (volatile int i = 0; i < 10000; i++)
			;
}

static int64_t used(const struct rusage *u)
{
	return (u->ru_utime.tv_sec + u->ru_stime.tv_sec) * 1000000000LL + (u->ru_utime.tv_usec + u->ru_stime.tv_usec) * 1000LL;
}

static int64_t children(void)
{
	struct rusage u;
	getrusage(RUSAGE_CHILDREN, &u);
	return used(&u);
}

// stat returns a field of /proc/self/stat, counted as in proc(5).
static long long stat_field(int n)
{
	const char *p = strrchr(get("/proc/self/stat"), ')') + 2;
	for (int i = 3; i < n; i++)
		p = strchr(p, ' ') + 1;
	return atoll(p);
}

static void touch(size_t size)
{
	char *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	memset(p, 1, size);
	munmap(p, size);
}

// SIGCHLD's times are what the tick saw: on a busy Linux machine less than was used.
static volatile long child_ticks = -1;
static void on_child(int s, siginfo_t *info, void *context)
{
	(void)s;
	(void)context;
	child_ticks = info->si_utime + info->si_stime;
}

// family makes a child whose child burns; the child itself does what own says.
static pid_t family(int64_t own, int wait_for_it)
{
	fflush(stdout);
	pid_t pid = fork();
	if (pid == 0) {
		pid_t grandchild = fork();
		if (grandchild == 0) {
			touch(48 << 20);
			burn(BURN);
			_exit(0);
		}
		if (wait_for_it)
			waitpid(grandchild, NULL, 0);
		else
			sleep_ms(1);
		if (own)
			burn(own);
		_exit(0);
	}
	return pid;
}

static void grandchildren(void)
{
	struct rusage u;
	struct tms t;
	int status;
	memset(&u, 0, sizeof u);
	EQ("no children yet", children(), 0);
	pid_t pid = family(BURN / 2, 1);
	EQ("wait4", wait4(pid, &status, 0, &u), pid);
	OK("a child's and its child's time", used(&u) >= BURN + BURN / 2 - 100000);
	OK("RUSAGE_CHILDREN has both", children() >= BURN + BURN / 2 - 100000);
	OK("the most memory of the two", u.ru_maxrss >= 48 << 10);
	OK("faults and switches", u.ru_minflt > 0 && u.ru_nvcsw > 0);
	getrusage(RUSAGE_CHILDREN, &u);
	OK("which the parent keeps", u.ru_maxrss >= 48 << 10 && u.ru_minflt > 0 && u.ru_nvcsw > 0);
	times(&t);
	OK("times", t.tms_cutime + t.tms_cstime >= 28);
	OK("/proc/self/stat", stat_field(16) + stat_field(17) >= 28);
	OK("its faults", stat_field(11) > 0);
	int64_t before = children();
	siginfo_t info;
	memset(&u, 0, sizeof u);
	pid = family(0, 1);
	EQ("waitid leaves it", syscall(SYS_waitid, P_PID, pid, &info, WEXITED | WNOWAIT, &u), 0);
	OK("and tells of both", used(&u) >= BURN - 100000);
	OK("but counts nothing yet", children() == before);
	memset(&u, 0, sizeof u);
	EQ("waitid takes it", syscall(SYS_waitid, P_PID, pid, &info, WEXITED, &u), 0);
	OK("tells the same", used(&u) >= BURN - 100000);
	OK("and counts it", children() - before >= BURN - 100000);
}

// Children that nobody waits for are counted nowhere.
static void unwaited(void)
{
	struct rusage u;
	int status;
	int64_t before = children();
	pid_t pid = family(0, 0);
	memset(&u, 0, sizeof u);
	wait4(pid, &status, 0, &u);
	OK("an orphan's time is not its parent's", used(&u) < BURN / 2);
	struct sigaction a = {.sa_handler = SIG_DFL, .sa_flags = SA_NOCLDWAIT}, old;
	sigaction(SIGCHLD, &a, &old);
	pid = family(BURN, 1);
	EQ("SA_NOCLDWAIT", wait4(pid, &status, 0, &u), -1);
	OK("its time is lost", children() - before < BURN / 2);
	signal(SIGCHLD, SIG_IGN);
	pid = family(BURN, 1);
	EQ("SIG_IGN", wait4(pid, &status, 0, &u), -1);
	OK("its time is lost too", children() - before < BURN / 2);
	sigaction(SIGCHLD, &old, NULL);
}

static void signals(void)
{
	struct sigaction a = {.sa_sigaction = on_child, .sa_flags = SA_SIGINFO | SA_RESTART}, old;
	int status;
	sigaction(SIGCHLD, &a, &old);
	pid_t pid = family(BURN, 1);
	waitpid(pid, &status, 0);
	OK("SIGCHLD tells the child's own time", child_ticks >= 3);
	pid = family(0, 1);
	waitpid(pid, &status, 0);
	OK("not that of its children", child_ticks < 15);
	child_ticks = -1;
	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		burn(BURN);
		raise(SIGSTOP);
		_exit(0);
	}
	struct rusage u;
	memset(&u, 0, sizeof u);
	EQ("a stop", wait4(pid, &status, WUNTRACED, &u), pid);
	OK("tells the time until then", used(&u) >= BURN - 100000);
	OK("SIGCHLD too", child_ticks >= 3);
	int64_t before = children();
	kill(pid, SIGCONT);
	EQ("goes on", wait4(pid, &status, WCONTINUED, &u), pid);
	OK("is not counted", children() == before);
	waitpid(pid, &status, 0);
	sigaction(SIGCHLD, &old, NULL);
}

static void *idle(void *arg)
{
	struct rusage u;
	getrusage(RUSAGE_THREAD, &u);
	*(int *)arg = used(&u) < BURN / 2 && u.ru_maxrss > 0;
	burn(BURN);
	getrusage(RUSAGE_THREAD, &u);
	*(int *)arg += used(&u) >= BURN - 100000;
	return NULL;
}

static void threads(void)
{
	pthread_t t;
	struct rusage a, b;
	int good = 0;
	burn(BURN);
	getrusage(RUSAGE_SELF, &a);
	pthread_create(&t, NULL, idle, &good);
	pthread_join(t, NULL);
	EQ("a thread's own", good, 2);
	getrusage(RUSAGE_SELF, &b);
	OK("an ended thread counts", used(&b) - used(&a) >= BURN - 100000);
	FAILS("who", getrusage(7, &a), EINVAL);
	FAILS("who, negative", getrusage(-3, &a), EINVAL);
	FAILS("address", syscall(SYS_getrusage, RUSAGE_SELF, 8), EFAULT);
	touch(40 << 20);
	getrusage(RUSAGE_SELF, &a);
	OK("memory that was given back is in ru_maxrss", a.ru_maxrss >= 40 << 10);
	const char *hwm = strstr(get("/proc/self/status"), "VmHWM:");
	OK("and in VmHWM", hwm && atoll(hwm + 6) >= 40 << 10);
}

// A program keeps what the one before it used.
static void exec(void)
{
	struct rusage u;
	int status;
	fflush(stdout);
	pid_t pid = fork();
	if (pid == 0) {
		burn(BURN);
		touch(60 << 20);
		execl("/proc/self/exe", "usage", "end", NULL);
		_exit(1);
	}
	wait4(pid, &status, 0, &u);
	EQ("another program", status, 0);
	OK("execve keeps times and memory", used(&u) >= BURN - 100000 && u.ru_maxrss >= 60 << 10);
}

static void *slack_of_thread(void *arg)
{
	prctl(PR_SET_TIMERSLACK, 0);
	*(long *)arg = prctl(PR_GET_TIMERSLACK);
	return NULL;
}

static void slack(void)
{
	int status;
	prctl(PR_SET_TIMERSLACK, 0);
	EQ("timer slack", prctl(PR_GET_TIMERSLACK), 50000);
	STR("timerslack_ns", get("/proc/self/timerslack_ns"), "50000\n");
	EQ("set it", prctl(PR_SET_TIMERSLACK, 70000), 0);
	EQ("get it", prctl(PR_GET_TIMERSLACK), 70000);
	STR("read it", get("/proc/self/timerslack_ns"), "70000\n");
	put("/proc/self/timerslack_ns", "80000\n");
	EQ("write it", prctl(PR_GET_TIMERSLACK), 80000);
	int fd = open("/proc/self/timerslack_ns", O_WRONLY);
	FAILS("write nonsense", write(fd, "x", 1), EINVAL);
	FAILS("write too much", write(fd, "99999999999999999999", 20), ERANGE);
	FAILS("write a sign", write(fd, "-1", 2), EINVAL);
	close(fd);
	EQ("access to a thread's", access("/proc/thread-self/timerslack_ns", F_OK), -1);
	fflush(stdout);
	pid_t pid = fork();
	if (pid == 0) {
		EQ("a child has it", prctl(PR_GET_TIMERSLACK), 80000);
		prctl(PR_SET_TIMERSLACK, 1000);
		EQ("and may change it", prctl(PR_GET_TIMERSLACK), 1000);
		prctl(PR_SET_TIMERSLACK, 0);
		EQ("its default is what it began with", prctl(PR_GET_TIMERSLACK), 80000);
		pthread_t t;
		long of_thread = 0;
		prctl(PR_SET_TIMERSLACK, 3000);
		pthread_create(&t, NULL, slack_of_thread, &of_thread);
		pthread_join(t, NULL);
		EQ("a thread's default is its maker's", of_thread, 3000);
		struct sched_param p = {1};
		MUST(sched_setscheduler(0, SCHED_FIFO, &p));
		long rt = prctl(PR_GET_TIMERSLACK);
		prctl(PR_SET_TIMERSLACK, 5000);
		OK("a real-time thread has none", (rt == 0 && prctl(PR_GET_TIMERSLACK) == 0) || getenv("OLD_LINUX"));
		p.sched_priority = 0;
		MUST(sched_setscheduler(0, SCHED_OTHER, &p));
		OK("an ordinary one has the default again", prctl(PR_GET_TIMERSLACK) == 80000 || getenv("OLD_LINUX"));
		setuid(1000);
		char path[64], b[16];
		snprintf(path, sizeof path, "/proc/%d/timerslack_ns", getppid());
		int fd = open(path, O_RDWR);
		FAILS("another user reads", read(fd, b, sizeof b), EPERM);
		FAILS("another user writes", write(fd, "1", 1), EPERM);
		close(fd);
		done();
	}
	waitpid(pid, &status, 0);
	EQ("the child's failures", status, 0);
	pid = fork();
	if (pid == 0)
		for (;;)
			pause();
	char path[64];
	snprintf(path, sizeof path, "/proc/%d/timerslack_ns", pid);
	put(path, "90000");
	STR("root sets another's", get(path), "90000\n");
	put(path, "0");
	STR("to its default", get(path), "80000\n");
	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
}

int main(int argc, char **argv)
{
	if (argc > 1)
		return 0;
	grandchildren();
	unwaited();
	signals();
	threads();
	exec();
	slack();
	done();
}
