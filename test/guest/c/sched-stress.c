// Threads and processes that change each other's policies, priorities, nice
// values and CPUs at random, and meanwhile sleep, wake each other, take
// mutexes, send signals, stop, fork and die. What counts is that all of them
// get on, and end.
#include "check.h"
#include <sys/resource.h>
#include <sys/wait.h>

enum { THREADS = 12, PROCESSES = 3 };

static volatile int *stop;
static volatile pid_t tids[THREADS];
static pthread_mutex_t inherit, ceiling, plain;
static int ring[THREADS][2];
static volatile long rounds[THREADS];
static uint64_t seed;

static unsigned next(uint64_t *s, unsigned n)
{
	*s = *s * 6364136223846793005ull + 1442695040888963407ull;
	return (*s >> 33) % n;
}

static void change(uint64_t *s, pid_t tid)
{
	static const int policies[] = {SCHED_OTHER, SCHED_OTHER, SCHED_BATCH, SCHED_IDLE, SCHED_FIFO, SCHED_RR};
	int policy = policies[next(s, 6)];
	struct sched_param p = {policy == SCHED_FIFO || policy == SCHED_RR ? 1 + next(s, 50) : 0};
	sched_setscheduler(tid, policy, &p);
	if (next(s, 4) == 0)
		setpriority(PRIO_PROCESS, tid, next(s, 40) - 20);
}

static void affinity(uint64_t *s, pid_t tid)
{
	cpu_set_t set;
	int n = sysconf(_SC_NPROCESSORS_ONLN);
	CPU_ZERO(&set);
	if (next(s, 2))
		CPU_SET(next(s, n), &set);
	else
		for (int i = 0; i < n; i++)
			CPU_SET(i, &set);
	sched_setaffinity(tid, sizeof set, &set);
}

static void handler(int sig) { (void)sig; }

static void *worker(void *arg)
{
	long me = (long)arg;
	uint64_t s = seed + me * 7919;
	char c = 0;
	tids[me] = syscall(SYS_gettid);
	while (!*stop) {
		pid_t other = tids[next(&s, THREADS)];
		rounds[me]++;
		switch (next(&s, 12)) {
		case 0:
			change(&s, other ? other : 0);
			break;
		case 1:
			change(&s, 0);
			break;
		case 2:
			affinity(&s, other ? other : 0);
			break;
		case 3:
			sched_yield();
			break;
		case 4: {
			struct timespec t = {0, next(&s, 2000000)};
			nanosleep(&t, 0);
			break;
		}
		case 5:
			pthread_mutex_lock(&inherit);
			for (volatile int i = next(&s, 20000); i > 0; i--)
				;
			pthread_mutex_lock(&plain);
			pthread_mutex_unlock(&plain);
			pthread_mutex_unlock(&inherit);
			break;
		case 6:
			if (pthread_mutex_lock(&ceiling) == 0)
				pthread_mutex_unlock(&ceiling);
			break;
		case 7: {
			struct timespec t;
			clock_gettime(CLOCK_REALTIME, &t);
			t.tv_nsec += next(&s, 1000000);
			if (t.tv_nsec >= 1000000000)
				t.tv_sec++, t.tv_nsec -= 1000000000;
			if (pthread_mutex_timedlock(&inherit, &t) == 0)
				pthread_mutex_unlock(&inherit);
			break;
		}
		case 8:
			write(ring[(me + 1) % THREADS][1], &c, 1);
			read(ring[me][0], &c, 1);
			break;
		case 9:
			if (other)
				syscall(SYS_tgkill, getpid(), other, SIGUSR1);
			break;
		case 10:
			for (volatile int i = next(&s, 200000); i > 0; i--)
				;
			break;
		case 11:
			if (next(&s, 8) == 0) {
				pid_t p = vfork();
				if (p == 0)
					_exit(0);
				waitpid(p, 0, 0);
			}
			break;
		}
	}
	struct sched_param none = {0};
	sched_setscheduler(0, SCHED_OTHER, &none);
	return 0;
}

static void process(int n)
{
	pthread_mutexattr_t a;
	pthread_t t[THREADS];
	seed = n * 104729 + 1;
	signal(SIGUSR1, handler);
	pthread_mutex_init(&plain, 0);
	pthread_mutexattr_init(&a);
	pthread_mutexattr_setprotocol(&a, PTHREAD_PRIO_INHERIT);
	pthread_mutex_init(&inherit, &a);
	pthread_mutexattr_setprotocol(&a, PTHREAD_PRIO_PROTECT);
	pthread_mutexattr_setprioceiling(&a, 50);
	pthread_mutex_init(&ceiling, &a);
	for (int i = 0; i < THREADS; i++)
		pipe2(ring[i], O_NONBLOCK);
	for (long i = 0; i < THREADS; i++)
		pthread_create(&t[i], 0, worker, (void *)i);
	for (int i = 0; i < THREADS; i++)
		pthread_join(t[i], 0);
	_exit(0);
}

// spinners of every kind, which are killed.
static pid_t spinner(uint64_t *s)
{
	pid_t p = fork();
	if (p == 0) {
		change(s, 0);
		affinity(s, 0);
		for (;;)
			;
	}
	return p;
}

int main(void)
{
	uint64_t s = 42;
	stop = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	alarm(100);
	struct sched_param p = {99};
	MUST(sched_setscheduler(0, SCHED_FIFO | 0x40000000, &p)); // children begin as ordinary ones
	pid_t child[PROCESSES];
	for (int i = 0; i < PROCESSES; i++)
		if ((child[i] = fork()) == 0)
			process(i);
	int64_t end = now_ns(CLOCK_MONOTONIC) + 3000000000LL;
	int killed = 0, made = 0;
	while (now_ns(CLOCK_MONOTONIC) < end) {
		pid_t spin[6];
		for (int i = 0; i < 6; i++)
			made += (spin[i] = spinner(&s)) > 0, next(&s, 9);
		sleep_ms(20);
		pid_t stopped = child[next(&s, PROCESSES)];
		kill(stopped, SIGSTOP);
		sleep_ms(5);
		kill(stopped, SIGCONT);
		for (int i = 0; i < 6; i++) {
			int status;
			kill(spin[i], SIGKILL);
			waitpid(spin[i], &status, 0);
			killed += WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
		}
	}
	OK("spinners were made", made > 0);
	EQ("and all were killed", killed, made);
	*stop = 1;
	for (int i = 0; i < PROCESSES; i++) {
		int status;
		EQ("a process ends", waitpid(child[i], &status, 0), child[i]);
		EQ("by itself", status, 0);
	}
	done();
}
