// Checks for guest programs: each prints one line, and the exit status of a
// program is the number of checks that failed. A name is printed once per check
// and output has nothing in it that differs between two right kernels, so that
// the output on the host is the output expected in the guest.
#ifndef CHECK_H
#define CHECK_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

static int failures;

__attribute__((format(printf, 3, 4), unused))
static int report(int good, const char *name, const char *format, ...)
{
	if (good) {
		printf("ok %s\n", name);
		return 1;
	}
	va_list args;
	va_start(args, format);
	printf("not ok %s: ", name);
	vprintf(format, args);
	printf("\n");
	va_end(args);
	failures++;
	return 0;
}

// OK: the condition holds.
#define OK(name, condition) ({ \
	errno = 0; \
	int ok_good = !!(condition); \
	int ok_errno = errno; \
	report(ok_good, name, "line %d: %s (errno %d)", __LINE__, #condition, ok_errno); })

// EQ: two integers are equal.
#define EQ(name, expression, wanted) ({ \
	errno = 0; \
	long long eq_got = (long long)(expression); \
	int eq_errno = errno; \
	long long eq_want = (long long)(wanted); \
	report(eq_got == eq_want, name, "line %d: %s: got %lld want %lld (errno %d)", \
	       __LINE__, #expression, eq_got, eq_want, eq_errno); })

// FAILS: a call returns -1 and sets errno.
#define FAILS(name, expression, error) ({ \
	errno = 0; \
	long long f_got = (long long)(expression); \
	int f_errno = errno; \
	report(f_got == -1 && f_errno == (error), name, "line %d: %s: got %lld errno %d want -1 errno %d", \
	       __LINE__, #expression, f_got, f_errno, error); })

// STR: two strings are equal.
#define STR(name, expression, wanted) ({ \
	const char *s_got = (expression), *s_want = (wanted); \
	report(strcmp(s_got, s_want) == 0, name, "line %d: %s: got \"%s\" want \"%s\"", \
	       __LINE__, #expression, s_got, s_want); })

// MUST: a step without which the rest makes no sense.
#define MUST(expression) ({ \
	errno = 0; \
	long long m_got = (long long)(expression); \
	if (m_got == -1) { \
		report(0, "must", "line %d: %s: errno %d", __LINE__, #expression, errno); \
		exit(failures); \
	} \
	m_got; })

// skip: a check that this environment cannot make. The runner takes the comment off.
__attribute__((unused))
static void skip(const char *name, const char *why)
{
	printf("ok %s # skip %s\n", name, why);
}

// work_dir makes an empty directory and makes it the working directory.
__attribute__((unused))
static void work_dir(void)
{
	static char path[PATH_MAX];
	snprintf(path, sizeof path, "%s/guest-XXXXXX", getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
	if (!mkdtemp(path) || chdir(path) != 0) {
		report(0, "work_dir", "errno %d", errno);
		exit(1);
	}
}

// put makes a file with a text in it.
__attribute__((unused))
static void put(const char *path, const char *text)
{
	int fd = MUST(open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644));
	if (write(fd, text, strlen(text)) != (ssize_t)strlen(text))
		report(0, "put", "%s: errno %d", path, errno);
	close(fd);
}

// get reads a file as a string.
__attribute__((unused))
static const char *get(const char *path)
{
	static char text[4][8192];
	static int next;
	char *out = text[next++ & 3];
	int fd = open(path, O_RDONLY);
	ssize_t n = fd < 0 ? -1 : read(fd, out, sizeof text[0] - 1);
	if (fd >= 0)
		close(fd);
	out[n < 0 ? 0 : n] = 0;
	return n < 0 ? "(unreadable)" : out;
}

__attribute__((unused))
static int64_t now_ns(clockid_t clock)
{
	struct timespec t;
	clock_gettime(clock, &t);
	return t.tv_sec * 1000000000LL + t.tv_nsec;
}

__attribute__((unused))
static void sleep_ms(long ms)
{
	struct timespec t = {ms / 1000, ms % 1000 * 1000000};
	while (nanosleep(&t, &t) == -1 && errno == EINTR)
		;
}

// done ends the program: its status is the number of failures.
__attribute__((noreturn, unused))
static void done(void)
{
	fflush(stdout);
	_exit(failures > 120 ? 120 : failures);
}

#endif
