// POSIX threads: creation, cancellation, thread-local data, every kind of lock.
#include "check.h"
#include <semaphore.h>

static __thread int local = 7;
static __thread char large[10000];
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
static long counter;
static int turn;

static void *returns(void *arg) { return (char *)arg + 1; }

static void *locals(void *arg)
{
	int fresh = local == 7 && large[9999] == 0;
	local = (int)(long)arg;
	large[9999] = (char)local;
	for (int i = 0; i < 20; i++)
		sched_yield();
	return (void *)(long)(fresh && local == (int)(long)arg && large[9999] == (char)(long)arg);
}

static void *adds(void *arg)
{
	for (int i = 0; i < (int)(long)arg; i++) {
		pthread_mutex_lock(&mutex);
		counter++;
		pthread_mutex_unlock(&mutex);
	}
	return NULL;
}

static void *ping(void *arg)
{
	long me = (long)arg;
	for (int i = 0; i < 500; i++) {
		pthread_mutex_lock(&mutex);
		while (turn != me)
			pthread_cond_wait(&cond, &mutex);
		turn = !me;
		pthread_cond_broadcast(&cond);
		pthread_mutex_unlock(&mutex);
	}
	return NULL;
}

static void basics(void)
{
	pthread_t t[64];
	void *r;
	EQ("create", pthread_create(&t[0], NULL, returns, (void *)41), 0);
	EQ("join", pthread_join(t[0], &r), 0);
	EQ("result", (long)r, 42);
	long sum = 0;
	for (long i = 0; i < 64; i++)
		MUST(-pthread_create(&t[i], NULL, locals, (void *)(i + 100)));
	for (int i = 0; i < 64; i++) {
		pthread_join(t[i], &r);
		sum += (long)r;
	}
	EQ("64 threads with their own data", sum, 64);
	EQ("the first thread's data", local, 7);
	for (long i = 0; i < 8; i++)
		pthread_create(&t[i], NULL, adds, (void *)5000L);
	for (int i = 0; i < 8; i++)
		pthread_join(t[i], NULL);
	EQ("mutex", counter, 40000);
	pthread_create(&t[0], NULL, ping, (void *)0L);
	pthread_create(&t[1], NULL, ping, (void *)1L);
	pthread_join(t[0], NULL);
	pthread_join(t[1], NULL);
	EQ("condition variable", turn, 0);
#ifdef __GLIBC__
	EQ("join itself", pthread_join(pthread_self(), NULL), EDEADLK);
#endif
	int ok = 0;
	for (int i = 0; i < 500; i++)
		ok += pthread_create(&t[0], NULL, returns, NULL) == 0 && pthread_join(t[0], NULL) == 0;
	EQ("500 threads one after another", ok, 500);
	pid_t main_tid = gettid();
	EQ("the first thread's id is the process id", main_tid, getpid());
	FAILS("tgkill dead thread", syscall(SYS_tgkill, getpid(), 99999999, 0), ESRCH);
}

static sem_t sem, go;
static int cleaned;
static void clean(void *arg) { cleaned += (int)(long)arg; }

static void *waits_forever(void *arg)
{
	(void)arg;
	pthread_cleanup_push(clean, (void *)1L);
	sem_post(&go);
	sleep(1000);
	pthread_cleanup_pop(0);
	return NULL;
}

static void *spins(void *arg)
{
	(void)arg;
	pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, NULL);
	sem_post(&go);
	for (volatile long i = 0;; i++)
		;
	return NULL;
}

static void *detached(void *arg)
{
	(void)arg;
	sem_post(&sem);
	return NULL;
}

static pthread_key_t key;
static int destroyed;
static void destroy(void *p) { destroyed += p == (void *)5; }

static void *uses_key(void *arg)
{
	(void)arg;
	pthread_setspecific(key, (void *)5);
	return NULL;
}

static void cancellation(void)
{
	pthread_t t;
	void *r;
	sem_init(&sem, 0, 0);
	sem_init(&go, 0, 0);
	pthread_create(&t, NULL, waits_forever, NULL);
	sem_wait(&go);
	EQ("cancel a sleeper", pthread_cancel(t), 0);
	pthread_join(t, &r);
	OK("cancelled", r == PTHREAD_CANCELED);
	EQ("clean-up ran", cleaned, 1);
	pthread_create(&t, NULL, spins, NULL);
	sem_wait(&go);
	EQ("cancel a spinner", pthread_cancel(t), 0);
	pthread_join(t, &r);
	OK("spinner cancelled", r == PTHREAD_CANCELED);
	pthread_attr_t a;
	pthread_attr_init(&a);
	pthread_attr_setdetachstate(&a, PTHREAD_CREATE_DETACHED);
	for (int i = 0; i < 20; i++)
		MUST(-pthread_create(&t, &a, detached, NULL));
	for (int i = 0; i < 20; i++)
		sem_wait(&sem);
	OK("20 detached threads ran", 1);
	EQ("stack size", pthread_attr_setstacksize(&a, 1 << 20), 0);
	pthread_key_create(&key, destroy);
	pthread_create(&t, NULL, uses_key, NULL);
	pthread_join(t, NULL);
	EQ("key destructor", destroyed, 1);
}

static pthread_rwlock_t rw = PTHREAD_RWLOCK_INITIALIZER;
static pthread_barrier_t barrier;
static int serial;
static volatile int a_value, b_value;

static void *reads(void *arg)
{
	long bad = 0;
	for (int i = 0; i < 500; i++) {
		pthread_rwlock_rdlock(&rw);
		bad += a_value != b_value;
		pthread_rwlock_unlock(&rw);
	}
	(void)arg;
	return (void *)bad;
}

static void *writes(void *arg)
{
	(void)arg;
	for (int i = 0; i < 500; i++) {
		pthread_rwlock_wrlock(&rw);
		a_value++;
		b_value++;
		pthread_rwlock_unlock(&rw);
	}
	return NULL;
}

static void *meets(void *arg)
{
	(void)arg;
	for (int i = 0; i < 50; i++)
		if (pthread_barrier_wait(&barrier) == PTHREAD_BARRIER_SERIAL_THREAD)
			__atomic_add_fetch(&serial, 1, __ATOMIC_SEQ_CST);
	return NULL;
}

static pthread_once_t once = PTHREAD_ONCE_INIT;
static int onces;
static void first(void) { onces++; }
static void *calls_once(void *arg)
{
	pthread_once(&once, first);
	return arg;
}

static void locks(void)
{
	pthread_t t[6];
	long bad = 0;
	for (int i = 0; i < 6; i++)
		pthread_create(&t[i], NULL, i < 3 ? reads : writes, NULL);
	for (int i = 0; i < 6; i++) {
		void *r;
		pthread_join(t[i], &r);
		bad += (long)r;
	}
	EQ("read-write lock", bad, 0);
	EQ("read-write lock, all writes", a_value, 1500);
	pthread_barrier_init(&barrier, NULL, 4);
	for (int i = 0; i < 4; i++)
		pthread_create(&t[i], NULL, meets, NULL);
	for (int i = 0; i < 4; i++)
		pthread_join(t[i], NULL);
	EQ("barrier", serial, 50);
	for (int i = 0; i < 4; i++)
		pthread_create(&t[i], NULL, calls_once, NULL);
	for (int i = 0; i < 4; i++)
		pthread_join(t[i], NULL);
	EQ("once", onces, 1);
	struct timespec end;
	clock_gettime(CLOCK_REALTIME, &end);
	end.tv_nsec += 20000000;
	if (end.tv_nsec >= 1000000000) {
		end.tv_sec++;
		end.tv_nsec -= 1000000000;
	}
	pthread_mutex_lock(&mutex);
	EQ("timed wait", pthread_cond_timedwait(&cond, &mutex, &end), ETIMEDOUT);
	EQ("trylock busy", pthread_mutex_trylock(&mutex), EBUSY);
	EQ("timedlock", pthread_mutex_timedlock(&mutex, &end), ETIMEDOUT);
	pthread_mutex_unlock(&mutex);
	EQ("semaphore timeout", sem_timedwait(&sem, &end) == -1 && errno == ETIMEDOUT, 1);
}

static pthread_mutex_t robust, pi;
static void *dies_with_it(void *arg)
{
	(void)arg;
	pthread_mutex_lock(&robust);
	return NULL;
}

static void *adds_pi(void *arg)
{
	(void)arg;
	for (int i = 0; i < 1000; i++) {
		pthread_mutex_lock(&pi);
		counter++;
		pthread_mutex_unlock(&pi);
	}
	return NULL;
}

static void special_locks(void)
{
	pthread_mutexattr_t a;
	pthread_t t[4];
	pthread_mutexattr_init(&a);
	pthread_mutexattr_setrobust(&a, PTHREAD_MUTEX_ROBUST);
	pthread_mutex_init(&robust, &a);
	pthread_create(&t[0], NULL, dies_with_it, NULL);
	pthread_join(t[0], NULL);
	EQ("robust mutex of a dead owner", pthread_mutex_lock(&robust), EOWNERDEAD);
	EQ("made consistent", pthread_mutex_consistent(&robust), 0);
	EQ("unlocked", pthread_mutex_unlock(&robust), 0);
	EQ("locked again", pthread_mutex_lock(&robust), 0);
	pthread_mutexattr_init(&a);
	pthread_mutexattr_setprotocol(&a, PTHREAD_PRIO_INHERIT);
	EQ("priority inheritance", pthread_mutex_init(&pi, &a), 0);
	counter = 0;
	for (int i = 0; i < 4; i++)
		pthread_create(&t[i], NULL, adds_pi, NULL);
	for (int i = 0; i < 4; i++)
		pthread_join(t[i], NULL);
	EQ("priority inheritance mutex", counter, 4000);
	pthread_mutexattr_init(&a);
	pthread_mutexattr_settype(&a, PTHREAD_MUTEX_RECURSIVE);
	pthread_mutex_t rec;
	pthread_mutex_init(&rec, &a);
	EQ("recursive mutex", pthread_mutex_lock(&rec) + pthread_mutex_lock(&rec) + pthread_mutex_unlock(&rec) + pthread_mutex_unlock(&rec), 0);
	pthread_mutexattr_settype(&a, PTHREAD_MUTEX_ERRORCHECK);
	pthread_mutex_t check;
	pthread_mutex_init(&check, &a);
	pthread_mutex_lock(&check);
	EQ("error-checking mutex", pthread_mutex_lock(&check), EDEADLK);
}

int main(void)
{
	basics();
	cancellation();
	locks();
	special_locks();
	done();
}
