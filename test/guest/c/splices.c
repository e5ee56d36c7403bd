// splice(2), tee(2), vmsplice(2), sendfile(2), copy_file_range(2): the order of their checks, and what they wait for.
#include "check.h"
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/sendfile.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>

static void nothing(int sig) {}

// NOW is a check of a call that must not wait: SIGALRM ends it otherwise.
#define NOW(name, expression, error) ({ \
	alarm(3); \
	FAILS(name, expression, error); \
	alarm(0); })

// WAITS is a check of a call that waits until SIGALRM ends it.
#define WAITS(name, expression) ({ \
	ualarm(200000, 100000); \
	FAILS(name, expression, EINTR); \
	ualarm(0, 0); })

static int p[2], q[2], full[2]; // empty pipes, and a full one

static void splice_order(void)
{
	char buf[64];
	off_t off = 0, low = -5, *bad = (off_t *)8;
	int f = MUST(open("file", O_RDWR | O_CREAT | O_TRUNC, 0600));
	int ro = MUST(open("file", O_RDONLY)), wo = MUST(open("file", O_WRONLY));
	int ap = MUST(open("file", O_RDWR | O_APPEND)), dir = MUST(open(".", O_RDONLY));
	int path = MUST(open("file", O_PATH));
	MUST(write(f, "0123456789", 10));
	EQ("nothing, with a bad flag", splice(p[0], NULL, f, NULL, 0, 64), 0);
	EQ("nothing, of bad descriptors", splice(-1, NULL, -1, NULL, 0, 0), 0);
	FAILS("bad flag", splice(-1, NULL, f, NULL, 1, 64), EINVAL);
	FAILS("bad input", splice(-1, NULL, f, NULL, 1, 0), EBADF);
	FAILS("bad output", splice(p[0], NULL, -1, NULL, 1, 0), EBADF);
	FAILS("O_PATH", splice(p[0], NULL, path, NULL, 1, 0), EBADF);
	NOW("an offset of a pipe before the modes", splice(p[0], &off, ro, NULL, 1, 0), ESPIPE);
	NOW("an offset of the target pipe", splice(f, NULL, p[1], &off, 1, 0), ESPIPE);
	NOW("a bad address before the modes", splice(p[0], NULL, ro, bad, 1, 0), EFAULT);
	NOW("output for reading only", splice(p[0], NULL, ro, NULL, 1, 0), EBADF);
	NOW("input for writing only", splice(wo, NULL, p[1], NULL, 1, 0), EBADF);
	NOW("the wrong ends", splice(p[1], NULL, q[0], NULL, 1, 0), EBADF);
	NOW("a pipe to itself", splice(p[0], NULL, p[1], NULL, 1, 0), EINVAL);
	NOW("two files", splice(f, NULL, wo, NULL, 1, 0), EINVAL);
	NOW("a negative offset", splice(p[0], NULL, wo, &low, 1, 0), EINVAL);
	NOW("O_APPEND", splice(p[0], NULL, ap, NULL, 1, 0), EINVAL);
	NOW("a negative offset to read at", splice(f, &low, p[1], NULL, 1, 0), EINVAL);
	NOW("a directory", splice(dir, NULL, p[1], NULL, 1, 0), EINVAL);
	int s[2];
	MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
	NOW("an offset of a socket", splice(p[0], NULL, s[0], &off, 1, 0), EINVAL);
	NOW("an offset of a socket to read", splice(s[0], &off, p[1], NULL, 1, 0), EINVAL);
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	int ev = MUST(eventfd(1, 0)), ep = MUST(epoll_create1(0)), ti = MUST(timerfd_create(CLOCK_MONOTONIC, 0));
	int in = MUST(inotify_init()), sg = MUST(signalfd(-1, &set, 0));
	NOW("to an eventfd", splice(p[0], NULL, ev, NULL, 1, 0), EINVAL);
	NOW("from an eventfd", splice(ev, NULL, p[1], NULL, 8, 0), EINVAL);
	NOW("to an epoll", splice(p[0], NULL, ep, NULL, 1, 0), EINVAL);
	NOW("from a timerfd", splice(ti, NULL, p[1], NULL, 8, 0), EINVAL);
	NOW("from an inotify", splice(in, NULL, p[1], NULL, 8, 0), EINVAL);
	NOW("from a signalfd", splice(sg, NULL, p[1], NULL, 128, 0), EINVAL);
	NOW("an empty pipe, not blocking", splice(p[0], NULL, f, NULL, 1, SPLICE_F_NONBLOCK), EAGAIN);
	NOW("a full pipe, not blocking", splice(f, NULL, full[1], NULL, 1, SPLICE_F_NONBLOCK), EAGAIN);
	NOW("a directory to a full pipe, not blocking", splice(dir, NULL, full[1], NULL, 1, SPLICE_F_NONBLOCK), EAGAIN);
	int null = MUST(open("/dev/null", O_RDWR)), zero = MUST(open("/dev/zero", O_RDWR));
	EQ("from /dev/zero", splice(zero, NULL, p[1], NULL, 100, 0), 100);
	EQ("to /dev/null", splice(p[0], NULL, null, NULL, 1000, 0), 100);
	EQ("nothing was lost", splice(f, &(off_t){2}, p[1], NULL, 3, 0), 3);
	EQ("the bytes", read(p[0], buf, 64), 3);
	OK("as they were", memcmp(buf, "234", 3) == 0);
	close(f), close(ro), close(wo), close(ap), close(dir), close(path), close(s[0]), close(s[1]);
	close(ev), close(ep), close(ti), close(in), close(sg), close(null), close(zero);
}

static void tee_order(void)
{
	int f = MUST(open("file", O_RDWR));
	FAILS("tee: a bad flag before the length", tee(p[0], q[1], 0, 64), EINVAL);
	EQ("tee: nothing", tee(-1, -1, 0, 0), 0);
	FAILS("tee: bad input", tee(-1, q[1], 1, 0), EBADF);
	NOW("tee: wrong ends", tee(p[1], q[0], 1, 0), EBADF);
	NOW("tee: itself", tee(p[0], p[1], 1, 0), EINVAL);
	NOW("tee: a file", tee(p[0], f, 1, 0), EINVAL);
	NOW("tee: empty, not blocking", tee(p[0], q[1], 1, SPLICE_F_NONBLOCK), EAGAIN);
	int r[2];
	MUST(pipe(r));
	close(r[0]);
	NOW("tee: data is waited for before the reader is missed", tee(p[0], r[1], 1, SPLICE_F_NONBLOCK), EAGAIN);
	close(r[1]);
	MUST(pipe(r));
	close(r[1]);
	EQ("tee: the end of the input", tee(r[0], q[1], 1, 0), 0);
	close(r[0]);
	close(f);
}

static void vmsplices(void)
{
	char *b = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), c[64];
	struct iovec v = {b, 1 << 20}, none = {b, 0}, bad = {(void *)4096, 5}, small = {c, 64};
	int f = MUST(open("file", O_RDWR)), r[2];
	memset(b, 'v', 1 << 20);
	FAILS("vmsplice: bad flag", vmsplice(-1, &v, 1, 64), EINVAL);
	FAILS("vmsplice: bad descriptor before the vector", vmsplice(-1, (void *)8, 1, 0), EBADF);
	FAILS("vmsplice: bad vector before the kind of file", vmsplice(f, (void *)8, 1, 0), EFAULT);
	FAILS("vmsplice: too many", vmsplice(f, &v, 5000, 0), EINVAL);
	EQ("vmsplice: nothing, to a file", vmsplice(f, &none, 1, 0), 0);
	FAILS("vmsplice: a file", vmsplice(f, &v, 1, 0), EBADF);
	MUST(pipe(r));
	alarm(5);
	EQ("vmsplice: what fits", vmsplice(r[1], &v, 1, 0), 65536);
	alarm(0);
	NOW("vmsplice: full, not blocking", vmsplice(r[1], &v, 1, SPLICE_F_NONBLOCK), EAGAIN);
	WAITS("vmsplice: full, blocking", vmsplice(r[1], &v, 1, 0));
	fcntl(r[1], F_SETFL, O_NONBLOCK);
	WAITS("vmsplice: full, O_NONBLOCK of the file does not matter", vmsplice(r[1], &v, 1, 0));
	EQ("vmsplice: read", read(r[0], b, 1 << 20), 65536);
	v.iov_base = b + 100;
	EQ("vmsplice: a slot for each piece of a page", vmsplice(r[1], &v, 1, 0), 65536 - 100);
	EQ("vmsplice: read that", read(r[0], b, 1 << 20), 65536 - 100);
	struct iovec two[2] = {{b, 10}, {b + 5000, 10}};
	EQ("vmsplice: two pieces", vmsplice(r[1], two, 2, 0), 20);
	EQ("vmsplice: the reader's end", vmsplice(r[0], &small, 1, 0), 20);
	NOW("vmsplice: nothing to read, not blocking", vmsplice(r[0], &small, 1, SPLICE_F_NONBLOCK), EAGAIN);
	WAITS("vmsplice: nothing to read", vmsplice(r[0], &small, 1, 0));
	NOW("vmsplice: a bad address", vmsplice(r[1], &bad, 1, 0), EFAULT);
	signal(SIGPIPE, SIG_IGN);
	close(r[0]);
	NOW("vmsplice: no reader", vmsplice(r[1], &v, 1, 0), EPIPE);
	close(r[1]);
	close(f);
}

static void sendfiles(void)
{
	off_t off = 0, low = -1, *bad = (off_t *)8;
	int f = MUST(open("file", O_RDWR)), wo = MUST(open("file", O_WRONLY)), ap = MUST(open("other", O_RDWR | O_APPEND | O_CREAT, 0600));
	int dir = MUST(open(".", O_RDONLY)), ro = MUST(open("other", O_RDONLY)), ev = MUST(eventfd(0, 0)), r[2];
	int big = MUST(open("big", O_RDWR | O_CREAT | O_TRUNC, 0600));
	MUST(ftruncate(big, 1 << 20));
	FAILS("sendfile: a bad address first", sendfile(-1, -1, bad, 1), EFAULT);
	FAILS("sendfile: bad input", sendfile(-1, -1, NULL, 1), EBADF);
	FAILS("sendfile: input for writing only", sendfile(-1, wo, NULL, 1), EBADF);
	FAILS("sendfile: an offset of a pipe before the output", sendfile(-1, p[0], &off, 1), ESPIPE);
	FAILS("sendfile: bad output", sendfile(-1, f, NULL, 1), EBADF);
	FAILS("sendfile: output for reading only", sendfile(ro, f, NULL, 1), EBADF);
	FAILS("sendfile: negative offset", sendfile(ap, f, &low, 1), EINVAL);
	FAILS("sendfile: O_APPEND", sendfile(ap, f, NULL, 1), EINVAL);
	NOW("sendfile: from a pipe", sendfile(f, p[0], NULL, 1), EINVAL);
	NOW("sendfile: from a pipe to a pipe", sendfile(q[1], p[0], NULL, 1), EINVAL);
	NOW("sendfile: from a directory", sendfile(f, dir, NULL, 1), EINVAL);
	NOW("sendfile: to an eventfd", sendfile(ev, f, NULL, 8), EINVAL);
	MUST(pipe(r));
	alarm(5);
	EQ("sendfile: what fits into a pipe", sendfile(r[1], big, &off, 1 << 20), 65536);
	alarm(0);
	EQ("sendfile: the offset", off, 65536);
	WAITS("sendfile: a full pipe", sendfile(r[1], big, &off, 1));
	fcntl(r[1], F_SETFL, O_NONBLOCK);
	NOW("sendfile: a full pipe, not blocking", sendfile(r[1], big, &off, 1), EAGAIN);
	close(r[0]), close(r[1]), close(f), close(wo), close(ap), close(dir), close(ro), close(ev), close(big);
}

static ssize_t range(int in, off_t *i, int out, off_t *o, size_t n, unsigned flags)
{
	return syscall(SYS_copy_file_range, in, i, out, o, n, flags);
}

static void ranges(void)
{
	off_t low = -1, lower = -5, zero = 0, five = 5, twenty = 20, *bad = (off_t *)8;
	int f = MUST(open("file", O_RDWR)), wo = MUST(open("file", O_WRONLY)), ro = MUST(open("file", O_RDONLY));
	int ap = MUST(open("other", O_RDWR | O_APPEND)), dir = MUST(open(".", O_RDONLY));
	FAILS("range: bad descriptors", range(-1, bad, f, NULL, 1, 5), EBADF);
	FAILS("range: a bad address before the flags", range(f, bad, wo, NULL, 1, 5), EFAULT);
	FAILS("range: flags", range(dir, NULL, wo, NULL, 1, 5), EINVAL);
	FAILS("range: a directory before the modes", range(dir, NULL, ro, NULL, 1, 0), EISDIR);
	FAILS("range: a pipe before the modes", range(p[0], NULL, ro, NULL, 1, 0), EINVAL);
	FAILS("range: input for writing only", range(wo, NULL, f, NULL, 1, 0), EBADF);
	FAILS("range: output for reading only", range(f, NULL, ro, NULL, 1, 0), EBADF);
	FAILS("range: O_APPEND", range(f, NULL, ap, NULL, 1, 0), EBADF);
	FAILS("range: negative", range(f, &low, f, &five, 1, 0), EOVERFLOW);
	FAILS("range: more negative", range(f, &lower, f, &five, 1, 0), EINVAL);
	FAILS("range: overlap", range(f, &zero, f, &five, 8, 0), EINVAL);
	zero = 0, five = 5;
	EQ("range: no overlap once cut to the size", range(f, &five, f, &twenty, 100, 0), 5);
	EQ("range: the offset of the input", five, 10);
	EQ("range: the offset of the output", twenty, 25);
	twenty = 30;
	EQ("range: behind the end", range(f, &twenty, f, &zero, 100, 0), 0);
	close(f), close(wo), close(ro), close(ap), close(dir);
}

int main(void)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	struct sigaction sa = {.sa_handler = nothing};
	sigaction(SIGALRM, &sa, NULL);
	char dir[] = "/tmp/splicesXXXXXX";
	if (!mkdtemp(dir) || chdir(dir))
		return 1;
	MUST(pipe(p));
	MUST(pipe(q));
	MUST(pipe2(full, O_NONBLOCK));
	while (write(full[1], dir, 8) > 0)
		;
	fcntl(full[1], F_SETFL, 0);

	splice_order();
	tee_order();
	vmsplices();
	sendfiles();
	ranges();
	unlink("file"), unlink("other"), unlink("big");
	rmdir(dir);
	return failures;
}
