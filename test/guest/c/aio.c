// Linux's asynchronous I/O (io_setup(2), io_submit(2)), by system calls, and its
// ring as libaio and others read it.
#include "check.h"
#include <linux/aio_abi.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/wait.h>

// What the kernel maps at a context's address.
struct aio_ring {
	unsigned id, nr, head, tail, magic, compat, incompat, header_length;
	struct io_event events[];
};

static int io_setup(unsigned n, aio_context_t *ctx) { return syscall(__NR_io_setup, n, ctx); }
static int io_destroy(aio_context_t ctx) { return syscall(__NR_io_destroy, ctx); }
static int io_submit(aio_context_t ctx, long n, struct iocb **list) { return syscall(__NR_io_submit, ctx, n, list); }
static int io_getevents(aio_context_t ctx, long min, long n, struct io_event *e, struct timespec *t)
{
	return syscall(__NR_io_getevents, ctx, min, n, e, t);
}
static int io_cancel(aio_context_t ctx, struct iocb *cb, struct io_event *e) { return syscall(__NR_io_cancel, ctx, cb, e); }

static aio_context_t ctx;
static struct io_event ev[16];

static struct iocb *fill(struct iocb *cb, int op, int fd, const void *buf, size_t n, long off, long data)
{
	memset(cb, 0, sizeof *cb);
	cb->aio_lio_opcode = op;
	cb->aio_fildes = fd;
	cb->aio_buf = (uintptr_t)buf;
	cb->aio_nbytes = n;
	cb->aio_offset = off;
	cb->aio_data = data;
	return cb;
}

// one submits a request and returns its result; -1 if it was not submitted.
static long one(struct iocb *cb)
{
	if (io_submit(ctx, 1, &cb) != 1)
		return -1;
	return io_getevents(ctx, 1, 1, ev, NULL) == 1 ? (long)ev[0].res : -9999;
}

static void *write_later(void *arg)
{
	sleep_ms(30);
	write(*(int *)arg, "late", 4);
	return NULL;
}

static void on_signal(int s) { (void)s; }

int main(void)
{
	struct iocb cb, cb2, *list[4] = {&cb, &cb2, &cb, &cb2};
	char b[64] = "", c[64] = "";
	struct timespec soon = {0, 10000000}, now = {0, 0};
	pthread_t t;
	setvbuf(stdout, NULL, _IOLBF, 0);
	work_dir();
	FAILS("no events", io_setup(0, &ctx), EINVAL);
	FAILS("bad address", io_setup(4, (void *)16), EFAULT);
	ctx = 1;
	FAILS("a context that is not 0", io_setup(4, &ctx), EINVAL);
	ctx = 0;
	FAILS("too many events", io_setup(100 << 20, &ctx), EINVAL);
	EQ("io_setup", io_setup(4, &ctx), 0);
	OK("a context", ctx != 0);
	struct aio_ring *ring = (void *)ctx;
	EQ("magic", ring->magic, 0xa10a10a1);
	EQ("header", ring->header_length, sizeof *ring);
	EQ("no incompatible features", ring->incompat, 0);
	OK("room", ring->nr >= 4);
	OK("empty", ring->head == ring->tail);

	int fd = MUST(open("file", O_RDWR | O_CREAT, 0644));
	EQ("write", one(fill(&cb, IOCB_CMD_PWRITE, fd, "hello world", 11, 0, 7)), 11);
	EQ("its data", ev[0].data, 7);
	EQ("its iocb", ev[0].obj, (uintptr_t)&cb);
	EQ("no second result", ev[0].res2, 0);
	EQ("read", one(fill(&cb, IOCB_CMD_PREAD, fd, b, 5, 6, 0)), 5);
	STR("what was read", b, "world");
	struct iovec v[2] = {{"ab", 2}, {"cd", 2}}, rv[2] = {{b, 2}, {c, 3}};
	EQ("write pieces", one(fill(&cb, IOCB_CMD_PWRITEV, fd, v, 2, 1, 0)), 4);
	memset(b, 0, sizeof b);
	EQ("read pieces", one(fill(&cb, IOCB_CMD_PREADV, fd, rv, 2, 0, 0)), 5);
	STR("first piece", b, "ha");
	STR("second piece", c, "bcd");
	EQ("read at the end", one(fill(&cb, IOCB_CMD_PREAD, fd, b, 5, 1000, 0)), 0);
	EQ("fsync", one(fill(&cb, IOCB_CMD_FSYNC, fd, 0, 0, 0, 0)), 0);
	EQ("fdatasync", one(fill(&cb, IOCB_CMD_FDSYNC, fd, 0, 0, 0, 0)), 0);
	EQ("the key is written", cb.aio_key, 0);
	FAILS("unknown operation", one(fill(&cb, 77, fd, b, 5, 0, 0)), EINVAL);
	FAILS("no-op", one(fill(&cb, IOCB_CMD_NOOP, fd, b, 5, 0, 0)), EINVAL);
	FAILS("closed file", one(fill(&cb, IOCB_CMD_PREAD, 900, b, 5, 0, 0)), EBADF);
	FAILS("read-only", one(fill(&cb, IOCB_CMD_PWRITE, open("file", O_RDONLY), b, 5, 0, 0)), EBADF);
	EQ("bad buffer", one(fill(&cb, IOCB_CMD_PREAD, fd, (void *)16, 5, 0, 0)), -EFAULT);
	FAILS("bad vector", one(fill(&cb, IOCB_CMD_PREADV, fd, (void *)16, 2, 0, 0)), EFAULT);
	fill(&cb, IOCB_CMD_PREAD, fd, b, 5, 0, 0)->aio_reserved2 = 1;
	FAILS("reserved field", one(&cb), EINVAL);
	fill(&cb, IOCB_CMD_PREAD, fd, b, 5, 0, 0)->aio_rw_flags = 1 << 30;
	FAILS("unknown flag", one(&cb), EOPNOTSUPP);
	fill(&cb, IOCB_CMD_FSYNC, fd, b, 0, 0, 0);
	FAILS("fsync with a buffer", one(&cb), EINVAL);

	// Several at once.
	fill(&cb, IOCB_CMD_PREAD, fd, b, 5, 0, 1);
	fill(&cb2, IOCB_CMD_PREAD, fd, c, 5, 5, 2);
	EQ("submit two", io_submit(ctx, 2, list), 2);
	EQ("two in the ring", (ring->tail + ring->nr - ring->head) % ring->nr, 2);
	EQ("the program reads one itself", ring->events[ring->head].res, 5);
	ring->head = (ring->head + 1) % ring->nr;
	EQ("the other by a call", io_getevents(ctx, 1, 4, ev, &now), 1);
	EQ("which is the second", ev[0].data, 2);
	cb2.aio_fildes = 900;
	EQ("an error after the first", io_submit(ctx, 2, list), 1);
	EQ("one came", io_getevents(ctx, 0, 4, ev, &now), 1);
	FAILS("negative count", io_submit(ctx, -1, list), EINVAL);
	EQ("none", io_submit(ctx, 0, list), 0);
	FAILS("bad list", io_submit(ctx, 1, (void *)16), EFAULT);
	FAILS("no context", io_submit(0, 1, list), EINVAL);
	FAILS("events of no context", io_getevents(12345, 0, 1, ev, &now), EINVAL);
	FAILS("more than room", io_getevents(ctx, 2, 1, ev, &now), EINVAL);
	EQ("a time passes", io_getevents(ctx, 1, 1, ev, &soon), 0);
	// More than there is room for.
	int n = 0;
	fill(&cb, IOCB_CMD_PREAD, fd, b, 5, 0, 1);
	for (int i = 0; i < 10000; i++)
		if (io_submit(ctx, 1, list) == 1)
			n++;
		else
			break;
	OK("at least what was asked for", n >= 4 && n < 10000);
	FAILS("no more", io_submit(ctx, 1, list), EAGAIN);
	int got = 0, k;
	while ((k = io_getevents(ctx, 0, 16, ev, &now)) > 0)
		got += k;
	EQ("all come", got, n);
	// Lies in the ring.
	ring->head = 0xffffffff;
	EQ("a head beyond reason", io_getevents(ctx, 0, 16, ev, &now) >= 0, 1);
	while (io_getevents(ctx, 0, 16, ev, &now) > 0)
		;
	ring->head = ring->tail;

	// An eventfd that is told.
	int e = eventfd(0, EFD_NONBLOCK);
	uint64_t count = 0;
	fill(&cb, IOCB_CMD_PREAD, fd, b, 5, 0, 1)->aio_flags = IOCB_FLAG_RESFD;
	cb.aio_resfd = e;
	EQ("with an eventfd", one(&cb), 5);
	EQ("it is told", read(e, &count, 8), 8);
	EQ("once", count, 1);
	cb.aio_resfd = fd;
	FAILS("with something else", one(&cb), EINVAL);
	cb.aio_resfd = 900;
	FAILS("with nothing", one(&cb), EBADF);

	// Polls.
	int p[2];
	MUST(pipe(p));
	EQ("poll what is ready", one(fill(&cb, IOCB_CMD_POLL, p[1], (void *)POLLOUT, 0, 0, 3)), POLLOUT);
	fill(&cb, IOCB_CMD_POLL, p[0], (void *)POLLIN, 0, 0, 4);
	EQ("poll what is not", io_submit(ctx, 1, list), 1);
	EQ("nothing yet", io_getevents(ctx, 0, 1, ev, &now), 0);
	pthread_create(&t, NULL, write_later, &p[1]);
	EQ("it fires", io_getevents(ctx, 1, 1, ev, NULL), 1);
	EQ("its events", ev[0].res & POLLIN, POLLIN);
	pthread_join(t, NULL);
	read(p[0], b, 4);
	FAILS("poll with an offset", one(fill(&cb, IOCB_CMD_POLL, p[0], (void *)POLLIN, 0, 1, 4)), EINVAL);
	FAILS("unknown events", one(fill(&cb, IOCB_CMD_POLL, p[0], (void *)0x10000, 0, 0, 4)), EINVAL);
	// A poll of the eventfd that it tells.
	fill(&cb, IOCB_CMD_POLL, e, (void *)POLLIN, 0, 0, 5)->aio_flags = IOCB_FLAG_RESFD;
	cb.aio_resfd = e;
	EQ("poll of its own eventfd", io_submit(ctx, 1, list), 1);
	count = 1;
	write(e, &count, 8);
	EQ("fires too", io_getevents(ctx, 1, 1, ev, NULL), 1);
	// Cancelled.
	fill(&cb, IOCB_CMD_POLL, p[0], (void *)POLLIN, 0, 0, 6);
	io_submit(ctx, 1, list);
	FAILS("cancel what was not submitted", io_cancel(ctx, &cb2, ev), EINVAL);
	FAILS("cancel", io_cancel(ctx, &cb, ev), EINPROGRESS);
	EQ("it comes", io_getevents(ctx, 1, 1, ev, NULL), 1);
	EQ("without events", ev[0].res, 0);
	FAILS("cancel again", io_cancel(ctx, &cb, ev), EINVAL);
	// A pipe.
	write(p[1], "abc", 3);
	EQ("read a pipe", one(fill(&cb, IOCB_CMD_PREAD, p[0], b, 10, 0, 0)), 3);

	// Signals.
	struct sigaction sa = {.sa_handler = on_signal};
	sigaction(SIGALRM, &sa, NULL);
	struct itimerspec its = {.it_value.tv_nsec = 30000000};
	timer_t timer;
	MUST(timer_create(CLOCK_MONOTONIC, NULL, &timer));
	timer_settime(timer, 0, &its, NULL);
	FAILS("a signal", io_getevents(ctx, 1, 1, ev, NULL), EINTR);
	sigset_t none;
	sigemptyset(&none);
	struct { void *set; size_t n; } mask = {&none, 8};
	EQ("io_pgetevents", syscall(__NR_io_pgetevents, ctx, 0L, 1L, ev, &now, &mask), 0);

	// Other processes.
	fill(&cb, IOCB_CMD_POLL, p[0], (void *)POLLIN, 0, 0, 6);
	io_submit(ctx, 1, list);
	int status;
	pid_t pid = MUST(fork());
	if (pid == 0) {
		aio_context_t other = 0;
		if (io_submit(ctx, 1, list) != -1 || errno != EINVAL)
			_exit(1);
		if (io_setup(4, &other) != 0)
			_exit(2);
		_exit(io_submit(other, 1, list) == 1 ? 0 : 3); // and end with a poll in flight
	}
	waitpid(pid, &status, 0);
	EQ("a child has contexts of its own", status, 0);
	EQ("destroy with a poll in flight", io_destroy(ctx), 0);
	FAILS("destroy again", io_destroy(ctx), EINVAL);
	FAILS("submit to it", io_submit(ctx, 1, list), EINVAL);
	close(p[0]);
	signal(SIGPIPE, SIG_IGN);
	FAILS("it let go of the pipe", write(p[1], "x", 1), EPIPE);
	done();
}
