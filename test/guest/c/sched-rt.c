// Real-time scheduling (sched(7)): which of several threads that can run does.
// All threads are bound to one CPU, so the order is determined, however many
// the machine has and whatever else it does.
#include "check.h"
#include <mqueue.h>
#include <semaphore.h>
#include <linux/futex.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <sys/resource.h>
#include <sys/wait.h>

static char order[256];
static volatile int length;

static void note(char c)
{
	order[__atomic_fetch_add(&length, 1, __ATOMIC_SEQ_CST) & 255] = c;
}

static const char *noted(void)
{
	static char copy[4][257];
	static int next;
	char *s = copy[next++ & 3];
	memcpy(s, order, 256);
	s[length < 256 ? length : 256] = 0;
	memset(order, 0, sizeof order);
	length = 0;
	return s;
}

static void bind_cpu(void)
{
	cpu_set_t all, one;
	sched_getaffinity(0, sizeof all, &all);
	CPU_ZERO(&one);
	for (int i = 0; i < CPU_SETSIZE; i++)
		if (CPU_ISSET(i, &all)) {
			CPU_SET(i, &one);
			break;
		}
	MUST(sched_setaffinity(0, sizeof one, &one));
}

static void class(int policy, int priority)
{
	struct sched_param p = {priority};
	MUST(sched_setscheduler(0, policy, &p));
}

static pthread_t start(int policy, int priority, void *(*f)(void *), void *arg)
{
	pthread_attr_t a;
	struct sched_param p = {priority};
	pthread_t t;
	pthread_attr_init(&a);
	pthread_attr_setinheritsched(&a, PTHREAD_EXPLICIT_SCHED);
	pthread_attr_setschedpolicy(&a, policy);
	pthread_attr_setschedparam(&a, &p);
	int e = pthread_create(&t, &a, f, arg);
	if (e) {
		report(0, "pthread_create", "error %d", e);
		exit(1);
	}
	return t;
}

static void spin_ms(int ms)
{
	int64_t end = now_ns(CLOCK_THREAD_CPUTIME_ID) + ms * 1000000LL;
	while (now_ns(CLOCK_THREAD_CPUTIME_ID) < end)
		;
}

static void *noter(void *arg)
{
	note(*(char *)arg);
	return 0;
}

// Threads of lower priority wait until main blocks, and then run in the order of
// their priorities, among equals the one first that was made last, because it is made
// with its maker's and lowered; one of a higher priority runs before pthread_create returns.
static void test_create(void)
{
	class(SCHED_FIFO, 50);
	pthread_t a = start(SCHED_FIFO, 10, noter, "a");
	pthread_t b = start(SCHED_FIFO, 20, noter, "b");
	pthread_t c = start(SCHED_RR, 30, noter, "c");
	pthread_t e = start(SCHED_OTHER, 0, noter, "e");
	pthread_t f = start(SCHED_FIFO, 20, noter, "f");
	spin_ms(20);
	note('.');
	pthread_t d = start(SCHED_FIFO, 60, noter, "d");
	note('.');
	pthread_join(d, 0);
	note('.');
	pthread_join(a, 0), pthread_join(b, 0), pthread_join(c, 0), pthread_join(e, 0), pthread_join(f, 0);
	STR("lower ones wait, a higher one runs at once", noted(), ".d..cfbae");
}

static sem_t sem;

static void *poster(void *arg __attribute__((unused)))
{
	note('1');
	sem_post(&sem);
	note('2');
	return 0;
}

static void *waiter(void *arg)
{
	sem_wait(&sem);
	note(*(char *)arg);
	return 0;
}

static void test_wake(void)
{
	sem_init(&sem, 0, 0);
	class(SCHED_FIFO, 50);
	pthread_t low = start(SCHED_FIFO, 20, waiter, "w");
	pthread_t self = start(SCHED_FIFO, 10, poster, 0);
	pthread_join(self, 0);
	pthread_join(low, 0);
	STR("a post pre-empts the poster", noted(), "1w2");

	// Waiters wake in the order of their priorities, equal ones as they came.
	pthread_t t[5];
	t[0] = start(SCHED_FIFO, 55, waiter, "a");
	t[1] = start(SCHED_FIFO, 57, waiter, "b");
	t[2] = start(SCHED_FIFO, 55, waiter, "c");
	t[3] = start(SCHED_FIFO, 59, waiter, "d");
	t[4] = start(SCHED_FIFO, 57, waiter, "e");
	for (int i = 0; i < 5; i++) {
		sem_post(&sem);
		note('.');
	}
	for (int i = 0; i < 5; i++)
		pthread_join(t[i], 0);
	STR("the waiter of the highest priority first", noted(), "d.b.e.a.c.");

	// An equal one does not pre-empt.
	t[0] = start(SCHED_FIFO, 55, waiter, "w");
	class(SCHED_FIFO, 55);
	sem_post(&sem);
	spin_ms(5);
	note('1');
	pthread_join(t[0], 0);
	STR("an equal one waits", noted(), "1w");
}

static volatile int stop;

static void *spinner(void *arg __attribute__((unused)))
{
	while (!stop)
		;
	note('s');
	return 0;
}

// What ends a sleep while a thread of a lower priority computes.
static void test_events(void)
{
	class(SCHED_FIFO, 50);
	int pipes[2], ev = eventfd(0, 0), tf = timerfd_create(CLOCK_MONOTONIC, 0);
	struct itimerspec it = {.it_value = {0, 30000000}};
	char c;
	uint64_t v;
	MUST(pipe(pipes));

	stop = 0;
	pthread_t s = start(SCHED_FIFO, 10, spinner, 0);
	sleep_ms(30);
	stop = 1;
	note('t');
	pthread_join(s, 0);
	STR("a sleep ends while a lower one computes", noted(), "ts");

	stop = 0;
	s = start(SCHED_FIFO, 10, spinner, 0);
	timerfd_settime(tf, 0, &it, 0);
	read(tf, &v, 8);
	stop = 1;
	note('t');
	pthread_join(s, 0);
	STR("a timerfd expires while a lower one computes", noted(), "ts");

	pid_t child = fork();
	if (child == 0) {
		class(SCHED_FIFO, 5);
		write(pipes[1], "x", 1);
		_exit(0);
	}
	read(pipes[0], &c, 1);
	note('r');
	waitpid(child, 0, 0);
	note('w');
	STR("a child of lower priority writes to a pipe", noted(), "rw");
	close(ev);
}

static void *writer(void *arg)
{
	note('1');
	write(*(int *)arg, "12345678", 8);
	note('2');
	return 0;
}

static void test_io(void)
{
	class(SCHED_FIFO, 50);
	int pipes[2], ev = eventfd(0, 0);
	char b[8];
	MUST(pipe(pipes));
	pthread_t w = start(SCHED_FIFO, 10, writer, &pipes[1]);
	read(pipes[0], b, 8);
	note('r');
	pthread_join(w, 0);
	STR("a write to a pipe pre-empts the writer", noted(), "1r2");
	w = start(SCHED_OTHER, 0, writer, &ev);
	read(ev, b, 8);
	note('r');
	pthread_join(w, 0);
	STR("a write to an eventfd pre-empts an ordinary writer", noted(), "1r2");
	close(pipes[0]), close(pipes[1]), close(ev);
}

static void *raised(void *arg)
{
	note(*(char *)arg);
	spin_ms(1);
	note(*(char *)arg);
	return 0;
}

static mqd_t queue;

static void *receiver(void *arg)
{
	char text[16];
	mq_receive(queue, text, sizeof text, 0);
	note(*(char *)arg);
	return 0;
}

static void *sender(void *arg)
{
	mq_send(queue, arg, 1, 0);
	note(*(char *)arg);
	return 0;
}

// Who waits for a message queue: by priority, equals in order of arrival.
static void test_queue(void)
{
	struct mq_attr a = {.mq_maxmsg = 1, .mq_msgsize = 16};
	pthread_t t[4];
	char text[16];
	mq_unlink("/sched-rt");
	queue = MUST(mq_open("/sched-rt", O_RDWR | O_CREAT, 0600, &a));
	class(SCHED_FIFO, 50);
	t[0] = start(SCHED_FIFO, 55, receiver, "a");
	t[1] = start(SCHED_FIFO, 57, receiver, "b");
	t[2] = start(SCHED_FIFO, 55, receiver, "c");
	t[3] = start(SCHED_FIFO, 59, receiver, "d");
	for (int i = 0; i < 4; i++) {
		mq_send(queue, "x", 1, 0);
		note('.');
	}
	for (int i = 0; i < 4; i++)
		pthread_join(t[i], 0);
	STR("a message goes to the highest priority", noted(), "d.b.a.c.");
	mq_send(queue, "x", 1, 0);
	t[0] = start(SCHED_FIFO, 55, sender, "a");
	t[1] = start(SCHED_FIFO, 57, sender, "b");
	t[2] = start(SCHED_FIFO, 55, sender, "c");
	t[3] = start(SCHED_FIFO, 59, sender, "d");
	for (int i = 0; i < 4; i++) {
		mq_receive(queue, text, sizeof text, 0);
		note('.');
	}
	for (int i = 0; i < 4; i++)
		pthread_join(t[i], 0);
	STR("room goes to the highest priority", noted(), "d.b.a.c.");
	mq_unlink("/sched-rt");
}

// Changes of a priority act at once.
static void test_setparam(void)
{
	struct sched_param p = {.sched_priority = 60};
	class(SCHED_FIFO, 50);
	pthread_t t = start(SCHED_FIFO, 10, raised, "a");
	note('1');
	pthread_setschedparam(t, SCHED_FIFO, &p);
	note('2');
	pthread_join(t, 0);
	STR("raising another makes it run", noted(), "1aa2");

	t = start(SCHED_FIFO, 20, raised, "a");
	note('1');
	class(SCHED_FIFO, 10);
	note('2');
	pthread_join(t, 0);
	STR("lowering oneself gives the CPU away", noted(), "1aa2");

	class(SCHED_FIFO, 50);
	t = start(SCHED_FIFO, 20, raised, "a");
	note('1');
	class(SCHED_OTHER, 0);
	note('2');
	class(SCHED_FIFO, 50);
	pthread_join(t, 0);
	STR("leaving the class gives the CPU away", noted(), "1aa2");

	// Lowered to the priority of others, a thread stays in front of them; raised
	// to it, it goes behind them.
	class(SCHED_FIFO, 50);
	pthread_t a = start(SCHED_FIFO, 20, noter, "a");
	pthread_t b = start(SCHED_FIFO, 30, noter, "b");
	pthread_t c = start(SCHED_FIFO, 10, noter, "c");
	pthread_t d = start(SCHED_FIFO, 20, noter, "d");
	p.sched_priority = 20;
	pthread_setschedparam(b, SCHED_FIFO, &p);
	pthread_setschedparam(c, SCHED_FIFO, &p);
	pthread_join(a, 0), pthread_join(b, 0), pthread_join(c, 0), pthread_join(d, 0);
	STR("where a changed thread queues", noted(), "bdac");
}

static void *yielder(void *arg)
{
	for (int i = 0; i < 3; i++) {
		note(*(char *)arg);
		sched_yield();
	}
	return 0;
}

static void test_yield(void)
{
	class(SCHED_FIFO, 50);
	pthread_t a = start(SCHED_FIFO, 20, yielder, "a");
	pthread_t b = start(SCHED_FIFO, 20, yielder, "b");
	pthread_t c = start(SCHED_FIFO, 20, yielder, "c");
	pthread_t d = start(SCHED_FIFO, 10, yielder, "d");
	pthread_join(a, 0), pthread_join(b, 0), pthread_join(c, 0), pthread_join(d, 0);
	STR("sched_yield goes behind the equals", noted(), "cbacbacbaddd");
}

static void *slicer(void *arg)
{
	note(*(char *)arg);
	spin_ms(250);
	note(*(char *)arg);
	return 0;
}

// meeter computes until another one has begun.
static void *meeter(void *arg)
{
	note(*(char *)arg);
	for (int64_t end = now_ns(CLOCK_MONOTONIC) + 20000000000LL; length < 2 && now_ns(CLOCK_MONOTONIC) < end;)
		;
	note(*(char *)arg);
	return 0;
}

static void test_slices(void)
{
	class(SCHED_FIFO, 50);
	pthread_t a = start(SCHED_FIFO, 20, slicer, "a");
	pthread_t b = start(SCHED_FIFO, 20, slicer, "b");
	pthread_join(a, 0), pthread_join(b, 0);
	STR("FIFO has no time slice", noted(), "bbaa");
	a = start(SCHED_RR, 20, meeter, "a");
	b = start(SCHED_RR, 20, meeter, "b");
	pthread_join(a, 0), pthread_join(b, 0);
	const char *s = noted();
	OK("RR has", strlen(s) == 4 && strncmp(s, "ba", 2) == 0);
}

// The classic: low holds the mutex, high waits for it, middle computes.
static pthread_mutex_t mutex;
static sem_t go;

static void *low(void *arg __attribute__((unused)))
{
	pthread_mutex_lock(&mutex);
	note('l');
	sem_post(&go);
	spin_ms(20);
	note('L');
	pthread_mutex_unlock(&mutex);
	note('e');
	return 0;
}

static void *middle(void *arg __attribute__((unused)))
{
	note('m');
	return 0;
}

static void *high(void *arg __attribute__((unused)))
{
	pthread_mutex_lock(&mutex);
	note('h');
	pthread_mutex_unlock(&mutex);
	return 0;
}

static void inversion(const char *name, int protocol, const char *wanted)
{
	pthread_mutexattr_t a;
	pthread_mutexattr_init(&a);
	pthread_mutexattr_setprotocol(&a, protocol);
	pthread_mutexattr_setprioceiling(&a, 40);
	pthread_mutex_init(&mutex, &a);
	sem_init(&go, 0, 0);
	class(SCHED_FIFO, 50);
	pthread_t l = start(SCHED_FIFO, 10, low, 0);
	sem_wait(&go);
	pthread_t h = start(SCHED_FIFO, 30, high, 0);
	class(SCHED_FIFO, 25); // high runs up to the mutex
	note('1');
	pthread_t m = start(SCHED_FIFO, 20, middle, 0);
	pthread_join(h, 0), pthread_join(m, 0), pthread_join(l, 0);
	STR(name, noted(), wanted);
}

static void *pi_waiter(void *arg)
{
	pthread_mutex_lock(&mutex);
	note(*(char *)arg);
	pthread_mutex_unlock(&mutex);
	return 0;
}

static void test_inheritance(void)
{
	inversion("without inheritance the middle one is first", PTHREAD_PRIO_NONE, "l1mLhe");
	inversion("with inheritance it waits", PTHREAD_PRIO_INHERIT, "lLh1me");
	inversion("with a ceiling it waits", PTHREAD_PRIO_PROTECT, "lLh1me");

	pthread_mutexattr_t a;
	pthread_mutexattr_init(&a);
	pthread_mutexattr_setprotocol(&a, PTHREAD_PRIO_INHERIT);
	pthread_mutex_init(&mutex, &a);
	class(SCHED_FIFO, 50);
	pthread_mutex_lock(&mutex);
	pthread_t t[4];
	t[0] = start(SCHED_FIFO, 60, pi_waiter, "a");
	t[1] = start(SCHED_FIFO, 70, pi_waiter, "b");
	t[2] = start(SCHED_FIFO, 60, pi_waiter, "c");
	t[3] = start(SCHED_FIFO, 65, pi_waiter, "d");
	note('1');
	pthread_mutex_unlock(&mutex);
	note('2');
	for (int i = 0; i < 4; i++)
		pthread_join(t[i], 0);
	STR("a PI mutex goes to the highest priority", noted(), "1bdac2");
}

static void *chain_low(void *arg)
{
	pthread_mutex_t *m = arg;
	pthread_mutex_lock(&m[0]);
	sem_post(&go);
	sem_wait(&sem);
	spin_ms(10);
	note('l');
	pthread_mutex_unlock(&m[0]);
	return 0;
}

static void *chain_middle(void *arg)
{
	pthread_mutex_t *m = arg;
	pthread_mutex_lock(&m[1]);
	pthread_mutex_lock(&m[0]);
	note('m');
	pthread_mutex_unlock(&m[0]);
	pthread_mutex_unlock(&m[1]);
	return 0;
}

static void *chain_high(void *arg)
{
	pthread_mutex_t *m = arg;
	pthread_mutex_lock(&m[1]);
	note('h');
	pthread_mutex_unlock(&m[1]);
	return 0;
}

// A boost goes along the chain of owners, and what ends the wait ends the boost.
static void test_chain(void)
{
	pthread_mutex_t m[2];
	pthread_mutexattr_t a;
	pthread_mutexattr_init(&a);
	pthread_mutexattr_setprotocol(&a, PTHREAD_PRIO_INHERIT);
	pthread_mutex_init(&m[0], &a), pthread_mutex_init(&m[1], &a);
	sem_init(&go, 0, 0), sem_init(&sem, 0, 0);
	class(SCHED_FIFO, 50);
	pthread_t l = start(SCHED_FIFO, 10, chain_low, m);
	sem_wait(&go);
	pthread_t mi = start(SCHED_FIFO, 20, chain_middle, m);
	class(SCHED_FIFO, 15); // until it waits
	class(SCHED_FIFO, 50);
	pthread_t h = start(SCHED_FIFO, 60, chain_high, m);
	pthread_t x = start(SCHED_FIFO, 30, noter, "x");
	sem_post(&sem); // low runs with 60 at once
	note('1');
	pthread_join(l, 0), pthread_join(mi, 0), pthread_join(h, 0), pthread_join(x, 0);
	STR("a boost goes along a chain", noted(), "lmh1x");
}

static void *timed(void *arg __attribute__((unused)))
{
	struct timespec t;
	clock_gettime(CLOCK_REALTIME, &t);
	t.tv_nsec += 20000000;
	if (t.tv_nsec >= 1000000000)
		t.tv_sec++, t.tv_nsec -= 1000000000;
	int e = pthread_mutex_timedlock(&mutex, &t);
	note(e == ETIMEDOUT ? 't' : '?');
	return 0;
}

static void *holder(void *arg __attribute__((unused)))
{
	pthread_mutex_lock(&mutex);
	sem_post(&go);
	for (int64_t end = now_ns(CLOCK_MONOTONIC) + 20000000000LL; !length && now_ns(CLOCK_MONOTONIC) < end;) {
		spin_ms(2);
		sched_yield(); // to the waiter, whose priority this thread has
	}
	note('l');
	pthread_mutex_unlock(&mutex);
	return 0;
}

static void test_timed(void)
{
	pthread_mutexattr_t a;
	pthread_mutexattr_init(&a);
	pthread_mutexattr_setprotocol(&a, PTHREAD_PRIO_INHERIT);
	pthread_mutex_init(&mutex, &a);
	sem_init(&go, 0, 0);
	class(SCHED_FIFO, 50);
	pthread_t l = start(SCHED_FIFO, 10, holder, 0);
	sem_wait(&go);
	pthread_t h = start(SCHED_FIFO, 60, timed, 0);
	pthread_t m = start(SCHED_FIFO, 30, noter, "m");
	pthread_join(h, 0), pthread_join(m, 0), pthread_join(l, 0);
	STR("a wait that times out takes its boost away", noted(), "tml");
}

static volatile long turns[2];

static void *counter(void *arg)
{
	long i = (long)arg;
	if (i == 1)
		setpriority(PRIO_PROCESS, syscall(SYS_gettid), 19);
	while (!stop)
		turns[i]++;
	return 0;
}

static void *idler(void *arg __attribute__((unused)))
{
	class(SCHED_IDLE, 0);
	while (!stop)
		turns[1]++;
	return 0;
}

static void test_nice(void)
{
	class(SCHED_OTHER, 0);
	for (int round = 0; round < 2; round++) {
		pthread_t a, b;
		stop = 0;
		turns[0] = turns[1] = 0;
		pthread_create(&b, 0, round ? idler : counter, (void *)1);
		pthread_create(&a, 0, counter, (void *)0);
		for (int i = 0; i == 0 || (i < 40 && (turns[1] == 0 || turns[0] < turns[1] * 4)); i++)
			sleep_ms(500);
		stop = 1;
		pthread_join(a, 0), pthread_join(b, 0);
		if (turns[0] < turns[1] * 4)
			printf("%ld %ld\n", turns[0], turns[1]);
		OK(round ? "SCHED_IDLE gets little" : "nice 19 gets less", turns[0] > turns[1] * 4);
		OK("but something", turns[1] > 0);
	}
}

// A thread of the highest priority that computes leaves something to others.
static void test_throttle(void)
{
	class(SCHED_FIFO, 50);
	stop = 0;
	turns[0] = 0;
	pthread_t b = start(SCHED_OTHER, 0, counter, (void *)0);
	pthread_t a = start(SCHED_FIFO, 20, spinner, 0);
	for (int i = 0; turns[0] == 0 && i < 100; i++)
		sleep_ms(200);
	long n = turns[0];
	stop = 1;
	pthread_join(a, 0), pthread_join(b, 0);
	noted();
	OK("a FIFO spinner leaves some time to ordinary threads", n > 0);
}

// A thread that waits for its turn can be killed, stopped and continued.
static void test_kill(void)
{
	class(SCHED_FIFO, 50);
	pid_t child = fork();
	if (child == 0) {
		class(SCHED_OTHER, 0);
		for (;;)
			;
	}
	pid_t other = fork();
	if (other == 0) {
		class(SCHED_FIFO, 5);
		for (;;)
			;
	}
	int status;
	sleep_ms(20);
	kill(child, SIGSTOP);
	EQ("stop it", waitpid(child, &status, WUNTRACED), child);
	OK("it is stopped", WIFSTOPPED(status));
	kill(child, SIGCONT);
	EQ("continue it", waitpid(child, &status, WCONTINUED), child);
	kill(child, SIGKILL);
	EQ("kill the one that waits", waitpid(child, &status, 0), child);
	EQ("it was killed", WTERMSIG(status), SIGKILL);
	kill(other, SIGKILL);
	EQ("kill the one that runs", waitpid(other, &status, 0), other);
}

int main(void)
{
	alarm(80);
	bind_cpu();
	test_create();
	test_wake();
	test_events();
	test_io();
	test_queue();
	test_setparam();
	test_yield();
	test_slices();
	test_inheritance();
	test_chain();
	test_timed();
	test_nice();
	test_throttle();
	test_kill();
	done();
}
