// eventfd(2), timerfd(2), memfd_create(2) and seals.
#include "check.h"
#include <linux/memfd.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>

static void *add_later(void *arg)
{
	sleep_ms(30);
	eventfd_write(*(int *)arg, 5);
	return NULL;
}

static void event_files(void)
{
	eventfd_t v;
	int fd = MUST(eventfd(3, EFD_NONBLOCK | EFD_CLOEXEC));
	EQ("eventfd read", eventfd_read(fd, &v), 0);
	EQ("eventfd value", v, 3);
	FAILS("eventfd empty", eventfd_read(fd, &v), EAGAIN);
	EQ("eventfd write", eventfd_write(fd, 7), 0);
	EQ("eventfd adds", ({ eventfd_write(fd, 8); eventfd_read(fd, &v); v; }), 15);
	char b[16];
	FAILS("eventfd short read", read(fd, b, 4), EINVAL);
	FAILS("eventfd short write", write(fd, b, 4), EINVAL);
	uint64_t max = UINT64_MAX;
	FAILS("eventfd write of the maximum", write(fd, &max, 8), EINVAL);
	EQ("eventfd nearly full", eventfd_write(fd, UINT64_MAX - 1), 0);
	FAILS("eventfd full", eventfd_write(fd, 1), EAGAIN);
	struct pollfd p = {fd, POLLIN | POLLOUT, 0};
	EQ("eventfd full readiness", ({ poll(&p, 1, 0); p.revents; }), POLLIN);
	eventfd_read(fd, &v);
	EQ("eventfd empty readiness", ({ poll(&p, 1, 0); p.revents; }), POLLOUT);
	FAILS("eventfd flags", eventfd(0, 1 << 30), EINVAL);
	int s = MUST(eventfd(2, EFD_SEMAPHORE | EFD_NONBLOCK));
	EQ("semaphore takes one", ({ eventfd_read(s, &v); v; }), 1);
	EQ("semaphore takes another", ({ eventfd_read(s, &v); v; }), 1);
	FAILS("semaphore empty", eventfd_read(s, &v), EAGAIN);
	int w = MUST(eventfd(0, 0));
	pthread_t t;
	pthread_create(&t, NULL, add_later, &w);
	EQ("eventfd waits", ({ eventfd_read(w, &v); v; }), 5);
	pthread_join(t, NULL);
}

static void timer_files(void)
{
	uint64_t n = 0;
	int fd = MUST(timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK));
	FAILS("timerfd clock", timerfd_create(99, 0), EINVAL);
	FAILS("timerfd flags", timerfd_create(CLOCK_MONOTONIC, 1), EINVAL);
	FAILS("timerfd unarmed", read(fd, &n, 8), EAGAIN);
	struct itimerspec it = {{0, 0}, {0, 20000000}}, old;
	EQ("timerfd arm", timerfd_settime(fd, 0, &it, NULL), 0);
	FAILS("timerfd not yet", read(fd, &n, 8), EAGAIN);
	EQ("timerfd gettime", timerfd_gettime(fd, &old), 0);
	OK("timerfd remaining", old.it_value.tv_nsec > 0 && old.it_value.tv_nsec <= 20000000 && old.it_value.tv_sec == 0);
	struct pollfd p = {fd, POLLIN, 0};
	EQ("timerfd poll", poll(&p, 1, 10000), 1);
	EQ("timerfd read", read(fd, &n, 8), 8);
	EQ("timerfd expired once", n, 1);
	FAILS("timerfd read again", read(fd, &n, 8), EAGAIN);
	FAILS("timerfd short read", read(fd, &n, 4), EINVAL);
	it = (struct itimerspec){{0, 5000000}, {0, 5000000}};
	timerfd_settime(fd, 0, &it, NULL);
	sleep_ms(60);
	EQ("timerfd interval read", read(fd, &n, 8), 8);
	OK("timerfd interval counts", n >= 10);
	it = (struct itimerspec){{0, 0}, {0, 0}};
	EQ("timerfd disarm", timerfd_settime(fd, 0, &it, &old), 0);
	EQ("timerfd old interval", old.it_interval.tv_nsec, 5000000);
	FAILS("timerfd disarmed", read(fd, &n, 8), EAGAIN);
	clock_gettime(CLOCK_MONOTONIC, &it.it_value);
	it.it_value.tv_nsec += 20000000;
	if (it.it_value.tv_nsec >= 1000000000) {
		it.it_value.tv_sec++;
		it.it_value.tv_nsec -= 1000000000;
	}
	struct timespec end = it.it_value;
	EQ("timerfd absolute", timerfd_settime(fd, TFD_TIMER_ABSTIME, &it, NULL), 0);
	poll(&p, 1, 10000);
	OK("timerfd absolute is not early", now_ns(CLOCK_MONOTONIC) >= end.tv_sec * 1000000000LL + end.tv_nsec);
	it.it_value.tv_nsec = 1000000000;
	FAILS("timerfd bad time", timerfd_settime(fd, 0, &it, NULL), EINVAL);
	FAILS("timerfd wrong descriptor", timerfd_settime(1, 0, &old, NULL), EINVAL);
	int r = MUST(timerfd_create(CLOCK_REALTIME, 0));
	it = (struct itimerspec){{0, 0}, {1, 0}};
	timerfd_settime(r, TFD_TIMER_ABSTIME, &it, NULL);
	EQ("timerfd in the past fires at once", read(r, &n, 8), 8);
}

static void memory_files(void)
{
	int fd = MUST(memfd_create("name", MFD_CLOEXEC | MFD_ALLOW_SEALING));
	char b[64] = "";
	EQ("memfd write", write(fd, "hello", 5), 5);
	EQ("memfd pread", pread(fd, b, 64, 0), 5);
	char link[64], target[64] = "";
	snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
	readlink(link, target, 63);
	STR("memfd name", target, "/memfd:name (deleted)");
	struct stat st;
	fstat(fd, &st);
	OK("memfd is a file", S_ISREG(st.st_mode) && st.st_size == 5);
	EQ("memfd truncate", ftruncate(fd, 8192), 0);
	char *m = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	OK("memfd mmap", m != MAP_FAILED && !memcmp(m, "hello", 5));
	m[4096] = 'Z';
	EQ("mapping is the file", pread(fd, b, 1, 4096) == 1 && b[0] == 'Z', 1);
	EQ("no seals", fcntl(fd, F_GET_SEALS), 0);
	FAILS("write seal with a mapping", fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), EBUSY);
	munmap(m, 8192);
	EQ("shrink seal", fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW), 0);
	FAILS("sealed against shrinking", ftruncate(fd, 100), EPERM);
	FAILS("sealed against growing", ftruncate(fd, 10000), EPERM);
	FAILS("sealed write beyond", pwrite(fd, "x", 1, 8192), EPERM);
	EQ("still writable", pwrite(fd, "x", 1, 0), 1);
	EQ("write seal", fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SEAL), 0);
	FAILS("sealed against writing", pwrite(fd, "x", 1, 0), EPERM);
	OK("sealed against writable mapping", mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) == MAP_FAILED && errno == EPERM);
	m = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);
	OK("readable mapping", m != MAP_FAILED && m[1] == 'e');
	FAILS("sealed against seals", fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK), EPERM);
	EQ("seals", fcntl(fd, F_GET_SEALS), F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE);
	int plain = MUST(memfd_create("plain", 0));
	FAILS("seals not allowed", fcntl(plain, F_ADD_SEALS, F_SEAL_SHRINK), EPERM);
	FAILS("memfd flags", memfd_create("x", 1 << 20), EINVAL);
	char name[300];
	memset(name, 'n', 299);
	name[299] = 0;
	FAILS("memfd long name", memfd_create(name, 0), EINVAL);
}

int main(void)
{
	work_dir();
	event_files();
	timer_files();
	memory_files();
	done();
}
