// futex(2) itself: wait, wake, bitsets, requeue, time-outs, shared memory.
#include "check.h"
#include <linux/futex.h>

static long futex(void *addr, int op, uint32_t val, void *timeout, void *addr2, uint32_t val3)
{
	return syscall(SYS_futex, addr, op, val, timeout, addr2, val3);
}

static uint32_t word, other, started, woken;

struct waiter { uint32_t *addr; int op; uint32_t bits; };

static void *waits(void *arg)
{
	struct waiter *w = arg;
	__atomic_add_fetch(&started, 1, __ATOMIC_SEQ_CST);
	long r = futex(w->addr, w->op, 0, NULL, NULL, w->bits);
	if (r == 0)
		__atomic_add_fetch(&woken, 1, __ATOMIC_SEQ_CST);
	return (void *)r;
}

static void start(pthread_t *t, struct waiter *w, int n)
{
	started = woken = 0;
	for (int i = 0; i < n; i++)
		pthread_create(&t[i], NULL, waits, w);
	while (__atomic_load_n(&started, __ATOMIC_SEQ_CST) != (uint32_t)n)
		sleep_ms(1);
	sleep_ms(50);
}

// wake wakes until all of n have come, and says how many a single call woke at most.
static int wake_all(uint32_t *addr, int op, int n)
{
	int total = 0;
	for (int tries = 0; total < n && tries < 2000; tries++) {
		total += futex(addr, op, INT_MAX, NULL, NULL, 0);
		sleep_ms(1);
	}
	return total;
}

static void on_signal(int s) { (void)s; }

int main(void)
{
	pthread_t t[8];
	FAILS("wait, value differs", futex(&word, FUTEX_WAIT, 1, NULL, NULL, 0), EAGAIN);
	EQ("wake nobody", futex(&word, FUTEX_WAKE, 1, NULL, NULL, 0), 0);
	FAILS("unaligned", futex((char *)&word + 1, FUTEX_WAIT, 0, NULL, NULL, 0), EINVAL);
	FAILS("bad address", futex((void *)64, FUTEX_WAIT, 0, NULL, NULL, 0), EFAULT);
	FAILS("bad operation", futex(&word, 99, 0, NULL, NULL, 0), ENOSYS);
	struct timespec ts = {0, 30000000};
	int64_t t0 = now_ns(CLOCK_MONOTONIC);
	FAILS("wait times out", futex(&word, FUTEX_WAIT | FUTEX_PRIVATE_FLAG, 0, &ts, NULL, 0), ETIMEDOUT);
	OK("waited", now_ns(CLOCK_MONOTONIC) - t0 >= 30000000);
	ts.tv_nsec = 1000000000;
	FAILS("bad timeout", futex(&word, FUTEX_WAIT, 0, &ts, NULL, 0), EINVAL);
	clock_gettime(CLOCK_MONOTONIC, &ts);
	FAILS("bitset, absolute time past", futex(&word, FUTEX_WAIT_BITSET, 0, &ts, NULL, 1), ETIMEDOUT);
	clock_gettime(CLOCK_REALTIME, &ts);
	FAILS("bitset, realtime past", futex(&word, FUTEX_WAIT_BITSET | FUTEX_CLOCK_REALTIME, 0, &ts, NULL, 1), ETIMEDOUT);
	FAILS("bitset of zero", futex(&word, FUTEX_WAIT_BITSET, 0, NULL, NULL, 0), EINVAL);

	struct waiter w = {&word, FUTEX_WAIT | FUTEX_PRIVATE_FLAG, 0};
	start(t, &w, 4);
	EQ("shared key wakes no private waiter of another page", futex(&other, FUTEX_WAKE, 9, NULL, NULL, 0), 0);
	EQ("wake one", futex(&word, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, 1, NULL, NULL, 0), 1);
	EQ("wake two", futex(&word, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, 2, NULL, NULL, 0), 2);
	EQ("wake the rest", wake_all(&word, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, 1), 1);
	for (int i = 0; i < 4; i++)
		pthread_join(t[i], NULL);
	EQ("all woken", woken, 4);

	w = (struct waiter){&word, FUTEX_WAIT_BITSET | FUTEX_PRIVATE_FLAG, 2};
	start(t, &w, 1);
	EQ("bitset without a common bit", futex(&word, FUTEX_WAKE_BITSET | FUTEX_PRIVATE_FLAG, 9, NULL, NULL, 5), 0);
	EQ("bitset with a common bit", futex(&word, FUTEX_WAKE_BITSET | FUTEX_PRIVATE_FLAG, 9, NULL, NULL, 3), 1);
	pthread_join(t[0], NULL);

	w = (struct waiter){&word, FUTEX_WAIT | FUTEX_PRIVATE_FLAG, 0};
	start(t, &w, 5);
	EQ("requeue, value differs", futex(&word, FUTEX_CMP_REQUEUE | FUTEX_PRIVATE_FLAG, 1, (void *)9L, &other, 77) == -1 && errno == EAGAIN, 1);
	EQ("requeue: one woken, two moved", futex(&word, FUTEX_CMP_REQUEUE | FUTEX_PRIVATE_FLAG, 1, (void *)2L, &other, 0), 3);
	EQ("left behind", futex(&word, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, 9, NULL, NULL, 0), 2);
	EQ("moved", futex(&other, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, 9, NULL, NULL, 0), 2);
	for (int i = 0; i < 5; i++)
		pthread_join(t[i], NULL);
	EQ("all five woken", woken, 5);

	start(t, &w, 2);
	// FUTEX_OP_SET other=5, compare old value of other with 0
	EQ("wake op", futex(&word, FUTEX_WAKE_OP | FUTEX_PRIVATE_FLAG, 1, (void *)1L, &other, FUTEX_OP(FUTEX_OP_SET, 5, FUTEX_OP_CMP_EQ, 1)), 1);
	EQ("wake op stored", other, 5);
	EQ("wake op other half", wake_all(&word, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, 1), 1);
	for (int i = 0; i < 2; i++)
		pthread_join(t[i], NULL);

	uint32_t *shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int fd = MUST(memfd_create("futex", 0));
	MUST(ftruncate(fd, 4096));
	uint32_t *m1 = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	uint32_t *m2 = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	w = (struct waiter){shared, FUTEX_WAIT, 0};
	start(t, &w, 1);
	EQ("wake in shared memory", wake_all(shared, FUTEX_WAKE, 1), 1);
	pthread_join(t[0], NULL);
	w.addr = m1;
	start(t, &w, 1);
	EQ("wake through another mapping", wake_all(m2, FUTEX_WAKE, 1), 1);
	pthread_join(t[0], NULL);

	struct sigaction sa = {.sa_handler = on_signal};
	sigaction(SIGALRM, &sa, NULL);
	ualarm(20000, 20000);
	word = 0;
	FAILS("wait interrupted", futex(&word, FUTEX_WAIT, 0, NULL, NULL, 0), EINTR);
	ualarm(0, 0);

	other = 0;
	EQ("lock PI", futex(&other, FUTEX_LOCK_PI, 0, NULL, NULL, 0), 0);
	EQ("PI word holds the thread id", other & FUTEX_TID_MASK, gettid());
	FAILS("lock PI twice", futex(&other, FUTEX_LOCK_PI, 0, NULL, NULL, 0), EDEADLK);
	EQ("unlock PI", futex(&other, FUTEX_UNLOCK_PI, 0, NULL, NULL, 0), 0);
	EQ("PI word free", other, 0);
	FAILS("unlock PI of another", futex(&other, FUTEX_UNLOCK_PI, 0, NULL, NULL, 0), EPERM);
	struct robust_list_head *head;
	size_t len = 0;
	EQ("get_robust_list", syscall(SYS_get_robust_list, 0, &head, &len), 0);
	EQ("robust list size", len, sizeof *head);
	FAILS("set_robust_list size", syscall(SYS_set_robust_list, head, 3), EINVAL);
	done();
}
