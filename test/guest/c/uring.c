// io_uring(7), by system calls: what the rings, their operations and flags do.
#include "check.h"
#include <arpa/inet.h>
#include <linux/io_uring.h>
#include <linux/stat.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

struct ring {
	int fd;
	struct io_uring_params p;
	unsigned char *rings;
	struct io_uring_sqe *sqes;
	unsigned *array, tail; // the next entry to fill
	size_t rings_size, sqes_size;
};

#define WORD(r, off) ((unsigned *)((r)->rings + (off)))

static int setup(unsigned entries, struct io_uring_params *p) { return syscall(__NR_io_uring_setup, entries, p); }
static int enter(int fd, unsigned n, unsigned min, unsigned flags)
{
	return syscall(__NR_io_uring_enter, fd, n, min, flags, NULL, 0);
}
static int reg(int fd, unsigned op, void *arg, unsigned n) { return syscall(__NR_io_uring_register, fd, op, arg, n); }

static int map_ring(struct ring *r)
{
	r->rings_size = r->p.sq_off.array + r->p.sq_entries * 4;
	size_t n = r->p.cq_off.cqes + r->p.cq_entries * sizeof(struct io_uring_cqe);
	if (n > r->rings_size)
		r->rings_size = n;
	r->sqes_size = r->p.sq_entries * sizeof(struct io_uring_sqe);
	r->rings = mmap(NULL, r->rings_size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, r->fd, IORING_OFF_SQ_RING);
	r->sqes = mmap(NULL, r->sqes_size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, r->fd, IORING_OFF_SQES);
	if (r->rings == MAP_FAILED || r->sqes == (void *)MAP_FAILED)
		return -1;
	r->array = WORD(r, r->p.sq_off.array);
	r->tail = 0;
	return 0;
}

static void open_ring(struct ring *r, unsigned entries, unsigned flags)
{
	memset(r, 0, sizeof *r);
	r->p.flags = flags;
	r->fd = MUST(setup(entries, &r->p));
	MUST(map_ring(r));
}

static void close_ring(struct ring *r)
{
	munmap(r->rings, r->rings_size);
	munmap(r->sqes, r->sqes_size);
	close(r->fd);
}

// sqe fills the next entry with its most common fields.
static struct io_uring_sqe *sqe(struct ring *r, int op, int fd, const void *addr, unsigned len, uint64_t off, uint64_t data)
{
	unsigned i = r->tail & (r->p.sq_entries - 1);
	struct io_uring_sqe *s = &r->sqes[i];
	memset(s, 0, sizeof *s);
	s->opcode = op;
	s->fd = fd;
	s->addr = (uintptr_t)addr;
	s->len = len;
	s->off = off;
	s->user_data = data;
	r->array[i] = i;
	r->tail++;
	__atomic_store_n(WORD(r, r->p.sq_off.tail), r->tail, __ATOMIC_RELEASE);
	return s;
}

static unsigned ready(struct ring *r)
{
	return __atomic_load_n(WORD(r, r->p.cq_off.tail), __ATOMIC_ACQUIRE) - *WORD(r, r->p.cq_off.head);
}

// take removes a completion; its res is -9999 if there is none.
static struct io_uring_cqe take(struct ring *r)
{
	struct io_uring_cqe none = {.res = -9999}, c;
	if (ready(r) == 0)
		return none;
	unsigned head = *WORD(r, r->p.cq_off.head);
	c = *(struct io_uring_cqe *)(r->rings + r->p.cq_off.cqes + (head & (r->p.cq_entries - 1)) * sizeof c);
	__atomic_store_n(WORD(r, r->p.cq_off.head), head + 1, __ATOMIC_RELEASE);
	return c;
}

static unsigned unsubmitted(struct ring *r) { return r->tail - *WORD(r, r->p.sq_off.head); }

// submit submits everything and waits for n completions.
static int submit(struct ring *r, unsigned n)
{
	return enter(r->fd, unsubmitted(r), n, n ? IORING_ENTER_GETEVENTS : 0);
}

// one submits what there is and takes one completion.
static int one(struct ring *r)
{
	if (submit(r, 1) < 0)
		return -8888;
	return take(r).res;
}

// by returns the result with a user data among the next n completions, -7777 if
// there is none; takes all n.
static int results[64];
static void gather(struct ring *r, unsigned n)
{
	for (int i = 0; i < 64; i++)
		results[i] = -7777;
	if (ready(r) < n)
		enter(r->fd, 0, n, IORING_ENTER_GETEVENTS);
	while (n-- > 0) {
		struct io_uring_cqe c = take(r);
		if (c.res != -9999 && c.user_data < 64)
			results[c.user_data] = c.res;
	}
}

static void setup_checks(void)
{
	struct io_uring_params p;
	struct ring r;
	memset(&p, 0, sizeof p);
	FAILS("no entries", setup(0, &p), EINVAL);
	FAILS("too many entries", setup(40000, &p), EINVAL);
	FAILS("bad params", setup(4, (void *)16), EFAULT);
	p.flags = 1u << 31;
	FAILS("unknown flag", setup(4, &p), EINVAL);
	p.flags = IORING_SETUP_SQ_AFF;
	FAILS("affinity without thread", setup(4, &p), EINVAL);
	p.flags = IORING_SETUP_TASKRUN_FLAG;
	FAILS("taskrun flag alone", setup(4, &p), EINVAL);
	p.flags = IORING_SETUP_DEFER_TASKRUN;
	FAILS("deferred for many", setup(4, &p), EINVAL);
	memset(&p, 0, sizeof p);
	p.resv[1] = 1;
	FAILS("reserved words", setup(4, &p), EINVAL);
	p.resv[1] = 0;
	p.flags = IORING_SETUP_CQSIZE;
	FAILS("no completion entries", setup(4, &p), EINVAL);
	p.cq_entries = 2;
	FAILS("too few completion entries", setup(4, &p), EINVAL);
	p.flags = IORING_SETUP_ATTACH_WQ;
	p.wq_fd = 900;
	FAILS("attach to nothing", setup(4, &p), ENXIO);

	open_ring(&r, 5, 0);
	EQ("entries are a power of two", r.p.sq_entries, 8);
	EQ("completions", r.p.cq_entries, 16);
	EQ("close on exec", fcntl(r.fd, F_GETFD), FD_CLOEXEC);
	unsigned want = IORING_FEAT_SINGLE_MMAP | IORING_FEAT_NODROP | IORING_FEAT_SUBMIT_STABLE | IORING_FEAT_RW_CUR_POS |
		IORING_FEAT_CUR_PERSONALITY | IORING_FEAT_FAST_POLL | IORING_FEAT_POLL_32BITS | IORING_FEAT_SQPOLL_NONFIXED |
		IORING_FEAT_EXT_ARG | IORING_FEAT_NATIVE_WORKERS | IORING_FEAT_RSRC_TAGS | IORING_FEAT_CQE_SKIP | IORING_FEAT_LINKED_FILE;
	EQ("features of 6.1", r.p.features & want, want);
	EQ("mask", *WORD(&r, r.p.sq_off.ring_mask), 7);
	EQ("completion mask", *WORD(&r, r.p.cq_off.ring_mask), 15);
	EQ("ring entries", *WORD(&r, r.p.sq_off.ring_entries), 8);
	unsigned char *cq = mmap(NULL, r.rings_size, PROT_READ, MAP_SHARED, r.fd, IORING_OFF_CQ_RING);
	OK("completions map alone", cq != MAP_FAILED);
	int sv[2];
	MUST(socketpair(AF_UNIX, SOCK_DGRAM, 0, sv));
	char control[CMSG_SPACE(sizeof(int))] = {0};
	struct iovec iov = {"x", 1};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
	*CMSG_FIRSTHDR(&m) = (struct cmsghdr){CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS};
	*(int *)CMSG_DATA(CMSG_FIRSTHDR(&m)) = r.fd;
	FAILS("pass a ring", sendmsg(sv[0], &m, 0), EINVAL);
	close(sv[0]);
	close(sv[1]);
	EQ("as the same memory", *(unsigned *)(cq + r.p.cq_off.ring_mask), 15);
	OK("map nothing", mmap(NULL, 4096, PROT_READ, MAP_SHARED, r.fd, 0x40000000) == MAP_FAILED);
	char link[64], name[64];
	snprintf(name, sizeof name, "/proc/self/fd/%d", r.fd);
	link[MUST(readlink(name, link, sizeof link - 1))] = 0;
	STR("name", link, "anon_inode:[io_uring]");
	FAILS("read the ring", read(r.fd, link, 8), EINVAL);
	FAILS("unknown enter flag", enter(r.fd, 0, 0, 1u << 20), EINVAL);
	FAILS("not a ring", enter(0, 0, 0, 0), EOPNOTSUPP);
	FAILS("not open", enter(900, 0, 0, 0), EBADF);
	FAILS("unknown register", reg(r.fd, 9999, NULL, 0), EINVAL);
	EQ("nothing to submit", enter(r.fd, 8, 0, 0), 0);
	munmap(cq, r.rings_size);
	close_ring(&r);

	memset(&p, 0, sizeof p);
	p.flags = IORING_SETUP_CLAMP | IORING_SETUP_CQSIZE;
	p.cq_entries = 1 << 20;
	int fd = MUST(setup(1 << 20, &p));
	EQ("clamped", p.sq_entries, 32768);
	EQ("clamped completions", p.cq_entries, 65536);
	close(fd);
}

static void nop_checks(void)
{
	struct ring r;
	open_ring(&r, 8, 0);
	sqe(&r, IORING_OP_NOP, -1, 0, 0, 0, 42);
	EQ("submit a nop", submit(&r, 1), 1);
	struct io_uring_cqe c = take(&r);
	EQ("its result", c.res, 0);
	EQ("its user data", c.user_data, 42);
	sqe(&r, 250, -1, 0, 0, 0, 1);
	EQ("unknown operation", one(&r), -EINVAL);
	sqe(&r, IORING_OP_NOP, -1, 0, 0, 0, 1)->flags = 0x80;
	EQ("unknown flag of an entry", one(&r), -EINVAL);
	// The rest is submitted only after a wrong one is told.
	sqe(&r, IORING_OP_NOP, -1, 0, 0, 0, 1);
	sqe(&r, 250, -1, 0, 0, 0, 2);
	sqe(&r, IORING_OP_NOP, -1, 0, 0, 0, 3);
	EQ("a wrong entry ends the submission", enter(r.fd, 3, 0, 0), 2);
	EQ("the rest", enter(r.fd, 1, 0, 0), 1);
	gather(&r, 3);
	OK("all three have completed", results[1] == 0 && results[2] == -EINVAL && results[3] == 0);
	// An index that is none.
	sqe(&r, IORING_OP_NOP, -1, 0, 0, 0, 1);
	r.array[(r.tail - 1) & 7] = 77;
	EQ("a bad index is no submission", enter(r.fd, 1, 0, 0), 0);
	EQ("it is counted as dropped", *WORD(&r, r.p.sq_off.dropped), 1);
	EQ("and passed over", unsubmitted(&r), 0);
	// Lies in the shared words.
	*WORD(&r, r.p.sq_off.tail) = r.tail + 1000000;
	int n = enter(r.fd, 0, 0, IORING_ENTER_GETEVENTS);
	EQ("a tail beyond reason", n, 0);
	*WORD(&r, r.p.sq_off.tail) = r.tail;
	close_ring(&r);

	open_ring(&r, 8, IORING_SETUP_SUBMIT_ALL);
	sqe(&r, 250, -1, 0, 0, 0, 1);
	sqe(&r, IORING_OP_NOP, -1, 0, 0, 0, 2);
	EQ("submit all", enter(r.fd, 2, 0, 0), 2);
	close_ring(&r);
}

static void file_checks(void)
{
	struct ring r;
	char b[64] = "";
	open_ring(&r, 16, 0);
	int fd = MUST(open("file", O_RDWR | O_CREAT, 0644));
	sqe(&r, IORING_OP_WRITE, fd, "hello world", 11, 0, 0);
	EQ("write", one(&r), 11);
	sqe(&r, IORING_OP_READ, fd, b, 5, 6, 0);
	EQ("read", one(&r), 5);
	STR("what was read", b, "world");
	lseek(fd, 2, SEEK_SET);
	sqe(&r, IORING_OP_READ, fd, b, 3, -1, 0);
	EQ("read where the file is", one(&r), 3);
	EQ("which moves it", lseek(fd, 0, SEEK_CUR), 5);
	struct iovec v[2] = {{"ab", 2}, {"cd", 2}};
	sqe(&r, IORING_OP_WRITEV, fd, v, 2, 1, 0);
	EQ("writev", one(&r), 4);
	STR("what was written", get("file"), "habcd world");
	struct iovec rv[2] = {{b, 2}, {b + 10, 3}};
	memset(b, 0, sizeof b);
	sqe(&r, IORING_OP_READV, fd, rv, 2, 0, 0);
	EQ("readv", one(&r), 5);
	STR("first piece", b, "ha");
	STR("second piece", b + 10, "bcd");
	sqe(&r, IORING_OP_READ, fd, b, 5, 1000, 0);
	EQ("read at the end", one(&r), 0);
	sqe(&r, IORING_OP_READ, 900, b, 5, 0, 0);
	EQ("read a closed file", one(&r), -EBADF);
	sqe(&r, IORING_OP_READ, fd, (void *)16, 5, 0, 0);
	EQ("read to a bad address", one(&r), -EFAULT);
	sqe(&r, IORING_OP_READ, fd, b, 5, 0, 0)->rw_flags = 1 << 30;
	EQ("unknown flag of a read", one(&r), -EOPNOTSUPP);
	sqe(&r, IORING_OP_FSYNC, fd, 0, 0, 0, 0);
	EQ("fsync", one(&r), 0);
	sqe(&r, IORING_OP_FSYNC, fd, 0, 0, 0, 0)->fsync_flags = IORING_FSYNC_DATASYNC;
	EQ("fdatasync", one(&r), 0);
	sqe(&r, IORING_OP_FSYNC, fd, 0, 0, 0, 0)->fsync_flags = 8;
	EQ("unknown flag of an fsync", one(&r), -EINVAL);
	sqe(&r, IORING_OP_SYNC_FILE_RANGE, fd, 0, 10, 0, 0);
	EQ("sync_file_range", one(&r), 0);
	sqe(&r, IORING_OP_FALLOCATE, fd, (void *)100, 0, 0, 0);
	EQ("fallocate", one(&r), 0);
	struct stat st;
	fstat(fd, &st);
	EQ("its size", st.st_size, 100);
	sqe(&r, IORING_OP_FADVISE, fd, 0, 0, 0, 0)->fadvise_advice = POSIX_FADV_WILLNEED;
	EQ("fadvise", one(&r), 0);
	sqe(&r, IORING_OP_FADVISE, fd, 0, 0, 0, 0)->fadvise_advice = 99;
	EQ("bad advice", one(&r), -EINVAL);
	void *m = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	sqe(&r, IORING_OP_MADVISE, -1, m, 8192, 0, 0)->fadvise_advice = MADV_DONTNEED;
	EQ("madvise", one(&r), 0);

	sqe(&r, IORING_OP_OPENAT, AT_FDCWD, "made", 0600, 0, 0)->open_flags = O_CREAT | O_RDWR | O_EXCL;
	int made = one(&r);
	OK("openat", made > 0);
	sqe(&r, IORING_OP_OPENAT, AT_FDCWD, "made", 0600, 0, 0)->open_flags = O_CREAT | O_RDWR | O_EXCL;
	EQ("openat of what is there", one(&r), -EEXIST);
	sqe(&r, IORING_OP_CLOSE, made, 0, 0, 0, 0);
	EQ("close", one(&r), 0);
	sqe(&r, IORING_OP_CLOSE, made, 0, 0, 0, 0);
	EQ("close again", one(&r), -EBADF);
	sqe(&r, IORING_OP_CLOSE, r.fd, 0, 0, 0, 0);
	EQ("close the ring", one(&r), -EBADF);
	struct { uint64_t flags, mode, resolve; } how = {O_RDONLY, 0, 0};
	sqe(&r, IORING_OP_OPENAT2, AT_FDCWD, "made", sizeof how, (uintptr_t)&how, 0);
	made = one(&r);
	OK("openat2", made > 0);
	close(made);
	struct statx sx;
	sqe(&r, IORING_OP_STATX, AT_FDCWD, "file", STATX_SIZE, (uintptr_t)&sx, 0);
	EQ("statx", one(&r), 0);
	EQ("its size", sx.stx_size, 100);
	sqe(&r, IORING_OP_MKDIRAT, AT_FDCWD, "dir", 0700, 0, 0);
	EQ("mkdirat", one(&r), 0);
	sqe(&r, IORING_OP_RENAMEAT, AT_FDCWD, "made", AT_FDCWD, (uintptr_t)"dir/moved", 0);
	EQ("renameat", one(&r), 0);
	sqe(&r, IORING_OP_SYMLINKAT, AT_FDCWD, "moved", 0, (uintptr_t)"dir/sym", 0);
	EQ("symlinkat", one(&r), 0);
	sqe(&r, IORING_OP_LINKAT, AT_FDCWD, "dir/moved", AT_FDCWD, (uintptr_t)"dir/hard", 0);
	EQ("linkat", one(&r), 0);
	OK("the link is there", access("dir/hard", F_OK) == 0);
	sqe(&r, IORING_OP_UNLINKAT, AT_FDCWD, "dir/sym", 0, 0, 0);
	EQ("unlinkat", one(&r), 0);
	sqe(&r, IORING_OP_UNLINKAT, AT_FDCWD, "dir", 0, 0, 0)->unlink_flags = AT_REMOVEDIR;
	EQ("unlinkat of a full directory", one(&r), -ENOTEMPTY);
	sqe(&r, IORING_OP_READ, fd, b, 2, 0, 0)->flags = IOSQE_ASYNC;
	EQ("read by a worker", one(&r), 2);
	close(fd);
	close_ring(&r);
}

static void *write_later(void *arg)
{
	sleep_ms(30);
	write(*(int *)arg, "late", 4);
	return NULL;
}

static void pipe_checks(void)
{
	struct ring r;
	int p[2];
	char b[64] = "";
	pthread_t t;
	open_ring(&r, 16, 0);
	MUST(pipe(p));
	sqe(&r, IORING_OP_READ, p[0], b, 10, 0, 5);
	EQ("submit what waits", submit(&r, 0), 1);
	EQ("not complete", ready(&r), 0);
	pthread_create(&t, NULL, write_later, &p[1]);
	EQ("wait for it", enter(r.fd, 0, 1, IORING_ENTER_GETEVENTS), 0);
	EQ("its result", take(&r).res, 4);
	STR("its data", b, "late");
	pthread_join(t, NULL);
	// It completes although nobody enters.
	sqe(&r, IORING_OP_READ, p[0], b, 10, 0, 5);
	submit(&r, 0);
	write(p[1], "abc", 3);
	for (int i = 0; i < 2000 && !ready(&r); i++)
		sleep_ms(1);
	EQ("complete without a call", take(&r).res, 3);
	// The ring can be polled.
	struct pollfd pf = {r.fd, POLLIN | POLLOUT, 0};
	EQ("poll an empty ring", poll(&pf, 1, 0), 1);
	EQ("it can take submissions", pf.revents, POLLOUT);
	int ep = epoll_create1(0);
	struct epoll_event e = {.events = EPOLLIN, .data.u32 = 3}, got;
	MUST(epoll_ctl(ep, EPOLL_CTL_ADD, r.fd, &e));
	EQ("epoll of it", epoll_wait(ep, &got, 1, 0), 0);
	sqe(&r, IORING_OP_READ, p[0], b, 10, 0, 5);
	submit(&r, 0);
	pthread_create(&t, NULL, write_later, &p[1]);
	int woke; // completions may interrupt the wait
	while ((woke = epoll_wait(ep, &got, 1, 10000)) == -1 && errno == EINTR)
		;
	EQ("epoll wakes", woke, 1);
	EQ("the completion", take(&r).res, 4);
	pthread_join(t, NULL);
	close(ep);
	fcntl(p[0], F_SETFL, O_NONBLOCK);
	sqe(&r, IORING_OP_READ, p[0], b, 10, 0, 5);
	submit(&r, 0);
	write(p[1], "xy", 2);
	EQ("read of a nonblocking pipe waits too", one(&r), 2);
	fcntl(p[0], F_SETFL, 0);
	sqe(&r, IORING_OP_READ, p[0], b, 10, 0, 5)->rw_flags = RWF_NOWAIT;
	EQ("read with RWF_NOWAIT", one(&r), -EAGAIN);
	// Splice and tee.
	int q[2];
	MUST(pipe(q));
	write(p[1], "spliced", 7);
	struct io_uring_sqe *s = sqe(&r, IORING_OP_TEE, q[1], 0, 4, 0, 0);
	s->splice_fd_in = p[0];
	EQ("tee", one(&r), 4);
	s = sqe(&r, IORING_OP_SPLICE, q[1], (void *)-1, 64, -1, 0);
	s->splice_fd_in = p[0];
	EQ("splice", one(&r), 7);
	memset(b, 0, sizeof b);
	read(q[0], b, sizeof b);
	STR("what came", b, "splispliced");
	put("spl", "0123456789");
	int fd = open("spl", O_RDONLY);
	s = sqe(&r, IORING_OP_SPLICE, q[1], (void *)4, 3, -1, 0);
	s->splice_fd_in = fd;
	EQ("splice from a file", one(&r), 3);
	memset(b, 0, sizeof b);
	read(q[0], b, sizeof b);
	STR("from its offset", b, "456");
	s = sqe(&r, IORING_OP_SPLICE, q[1], (void *)-1, 64, -1, 0);
	s->splice_fd_in = p[0];
	submit(&r, 0);
	pthread_create(&t, NULL, write_later, &p[1]);
	EQ("splice that waits", one(&r), 4);
	pthread_join(t, NULL);
	// The other end goes.
	sqe(&r, IORING_OP_READ, p[0], b, 10, 0, 5);
	submit(&r, 0);
	close(p[1]);
	EQ("end of file", one(&r), 0);
	signal(SIGPIPE, SIG_IGN);
	close(q[0]);
	sqe(&r, IORING_OP_WRITE, q[1], "x", 1, 0, 5);
	EQ("nobody reads", one(&r), -EPIPE);
	close(fd);
	close(q[1]);
	close(p[0]);
	// A FIFO waits for its other end in open.
	MUST(mkfifo("fifo", 0600));
	sqe(&r, IORING_OP_OPENAT, AT_FDCWD, "fifo", 0, 0, 1)->open_flags = O_RDONLY;
	sqe(&r, IORING_OP_OPENAT, AT_FDCWD, "fifo", 0, 0, 2)->open_flags = O_WRONLY;
	submit(&r, 2);
	gather(&r, 2);
	OK("both ends of a FIFO", results[1] > 0 && results[2] > 0);
	close(results[1]);
	close(results[2]);
	close_ring(&r);
}

static void poll_checks(void)
{
	struct ring r;
	int p[2];
	char b[8];
	open_ring(&r, 16, 0);
	MUST(pipe(p));
	sqe(&r, IORING_OP_POLL_ADD, p[1], 0, 0, 0, 1)->poll32_events = POLLOUT;
	EQ("poll what is ready", one(&r), POLLOUT);
	sqe(&r, IORING_OP_POLL_ADD, p[0], 0, 0, 0, 1)->poll32_events = POLLIN;
	EQ("poll what is not", submit(&r, 0), 1);
	EQ("nothing yet", ready(&r), 0);
	write(p[1], "x", 1);
	EQ("poll fires", one(&r), POLLIN);
	EQ("once", ready(&r), 0);
	read(p[0], b, 1);
	sqe(&r, IORING_OP_POLL_ADD, p[0], 0, IORING_POLL_ADD_MULTI, 0, 2)->poll32_events = POLLIN;
	submit(&r, 0);
	write(p[1], "x", 1);
	enter(r.fd, 0, 1, IORING_ENTER_GETEVENTS);
	struct io_uring_cqe c = take(&r);
	EQ("multishot", c.res, POLLIN);
	EQ("more to come", c.flags & IORING_CQE_F_MORE, IORING_CQE_F_MORE);
	read(p[0], b, 1);
	write(p[1], "x", 1);
	enter(r.fd, 0, 1, IORING_ENTER_GETEVENTS);
	EQ("again", take(&r).res, POLLIN);
	read(p[0], b, 1);
	sqe(&r, IORING_OP_POLL_REMOVE, -1, (void *)2, 0, 0, 3);
	submit(&r, 2);
	gather(&r, 2);
	EQ("remove", results[3], 0);
	EQ("the poll is cancelled", results[2], -ECANCELED);
	sqe(&r, IORING_OP_POLL_REMOVE, -1, (void *)2, 0, 0, 3);
	EQ("remove what is not there", one(&r), -ENOENT);
	sqe(&r, IORING_OP_POLL_ADD, p[0], 0, 0, 0, 4)->poll32_events = POLLIN;
	submit(&r, 0);
	sqe(&r, IORING_OP_POLL_REMOVE, -1, (void *)4, IORING_POLL_UPDATE_USER_DATA, 5, 6);
	submit(&r, 1);
	EQ("update", take(&r).res, 0);
	write(p[1], "x", 1);
	enter(r.fd, 0, 1, IORING_ENTER_GETEVENTS);
	c = take(&r);
	EQ("the new user data", c.user_data, 5);
	close(p[1]);
	sqe(&r, IORING_OP_POLL_ADD, p[0], 0, 0, 0, 4)->poll32_events = POLLIN;
	EQ("hang up", one(&r), POLLIN | POLLHUP);
	close(p[0]);
	int ep = epoll_create1(0), ev = eventfd(1, 0);
	struct epoll_event e = {.events = EPOLLIN}, got;
	sqe(&r, IORING_OP_EPOLL_CTL, ep, &e, EPOLL_CTL_ADD, ev, 0);
	EQ("epoll_ctl", one(&r), 0);
	EQ("is done", epoll_wait(ep, &got, 1, 0), 1);
	sqe(&r, IORING_OP_EPOLL_CTL, ep, &e, EPOLL_CTL_ADD, ev, 0);
	EQ("epoll_ctl twice", one(&r), -EEXIST);
	close(ep);
	close(ev);
	close_ring(&r);
}

static void timeout_checks(void)
{
	struct ring r;
	struct __kernel_timespec ts = {0, 20000000}, bad = {-1, 0}, far = {100, 0};
	open_ring(&r, 16, 0);
	int64_t t0 = now_ns(CLOCK_MONOTONIC);
	sqe(&r, IORING_OP_TIMEOUT, -1, &ts, 1, 0, 1);
	EQ("timeout", one(&r), -ETIME);
	OK("took its time", now_ns(CLOCK_MONOTONIC) - t0 >= 20000000);
	sqe(&r, IORING_OP_TIMEOUT, -1, &bad, 1, 0, 1);
	EQ("a negative time", one(&r), -EINVAL);
	sqe(&r, IORING_OP_TIMEOUT, -1, &ts, 2, 0, 1);
	EQ("two times", one(&r), -EINVAL);
	// Satisfied by completions.
	sqe(&r, IORING_OP_TIMEOUT, -1, &far, 1, 2, 1);
	sqe(&r, IORING_OP_NOP, -1, 0, 0, 0, 2);
	sqe(&r, IORING_OP_NOP, -1, 0, 0, 0, 3);
	submit(&r, 3);
	gather(&r, 3);
	EQ("as many completions", results[1], 0);
	// Removed.
	sqe(&r, IORING_OP_TIMEOUT, -1, &far, 1, 0, 1);
	submit(&r, 0);
	sqe(&r, IORING_OP_TIMEOUT_REMOVE, -1, (void *)1, 0, 0, 2);
	submit(&r, 2);
	gather(&r, 2);
	EQ("remove a timeout", results[2], 0);
	EQ("it is cancelled", results[1], -ECANCELED);
	sqe(&r, IORING_OP_TIMEOUT_REMOVE, -1, (void *)1, 0, 0, 2);
	EQ("remove none", one(&r), -ENOENT);
	// Updated.
	sqe(&r, IORING_OP_TIMEOUT, -1, &far, 1, 0, 1);
	submit(&r, 0);
	sqe(&r, IORING_OP_TIMEOUT_REMOVE, -1, (void *)1, 0, (uintptr_t)&ts, 2)->timeout_flags = IORING_TIMEOUT_UPDATE;
	submit(&r, 2);
	gather(&r, 2);
	EQ("update a timeout", results[2], 0);
	EQ("it fires", results[1], -ETIME);
	// Absolute.
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	struct __kernel_timespec abs = {now.tv_sec, now.tv_nsec};
	sqe(&r, IORING_OP_TIMEOUT, -1, &abs, 1, 0, 1)->timeout_flags = IORING_TIMEOUT_ABS;
	EQ("a time that has passed", one(&r), -ETIME);
	clock_gettime(CLOCK_REALTIME, &now);
	abs = (struct __kernel_timespec){now.tv_sec, now.tv_nsec};
	sqe(&r, IORING_OP_TIMEOUT, -1, &abs, 1, 0, 1)->timeout_flags = IORING_TIMEOUT_ABS | IORING_TIMEOUT_REALTIME;
	EQ("of the wall clock", one(&r), -ETIME);
	// On a link.
	int p[2];
	char b[8];
	MUST(pipe(p));
	sqe(&r, IORING_OP_READ, p[0], b, 1, 0, 1)->flags = IOSQE_IO_LINK;
	sqe(&r, IORING_OP_LINK_TIMEOUT, -1, &ts, 1, 0, 2);
	submit(&r, 2);
	gather(&r, 2);
	EQ("a read that takes too long", results[1], -ECANCELED);
	EQ("its timeout", results[2], -ETIME);
	write(p[1], "x", 1);
	sqe(&r, IORING_OP_READ, p[0], b, 1, 0, 1)->flags = IOSQE_IO_LINK;
	sqe(&r, IORING_OP_LINK_TIMEOUT, -1, &far, 1, 0, 2);
	submit(&r, 2);
	gather(&r, 2);
	EQ("a read in time", results[1], 1);
	EQ("its timeout", results[2], -ECANCELED);
	sqe(&r, IORING_OP_LINK_TIMEOUT, -1, &far, 1, 0, 2);
	EQ("a link timeout alone", one(&r), -EINVAL);
	// Of the wait itself.
	struct io_uring_getevents_arg arg = {.ts = (uintptr_t)&ts};
	FAILS("wait with a time", syscall(__NR_io_uring_enter, r.fd, 0, 1, IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG, &arg, sizeof arg), ETIME);
	FAILS("an argument of another size", syscall(__NR_io_uring_enter, r.fd, 0, 1, IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG, &arg, 8), EINVAL);
	close(p[0]);
	close(p[1]);
	close_ring(&r);
}

static void link_checks(void)
{
	struct ring r;
	char b[16];
	open_ring(&r, 16, 0);
	put("short", "abc");
	int fd = open("short", O_RDWR);
	sqe(&r, IORING_OP_NOP, -1, 0, 0, 0, 1)->flags = IOSQE_IO_LINK;
	sqe(&r, IORING_OP_NOP, -1, 0, 0, 0, 2)->flags = IOSQE_IO_LINK;
	sqe(&r, IORING_OP_NOP, -1, 0, 0, 0, 3);
	EQ("a chain", submit(&r, 3), 3);
	EQ("in order: first", take(&r).user_data, 1);
	EQ("in order: second", take(&r).user_data, 2);
	EQ("in order: third", take(&r).user_data, 3);
	sqe(&r, IORING_OP_READ, 900, b, 1, 0, 1)->flags = IOSQE_IO_LINK;
	sqe(&r, IORING_OP_NOP, -1, 0, 0, 0, 2)->flags = IOSQE_IO_LINK;
	sqe(&r, IORING_OP_NOP, -1, 0, 0, 0, 3);
	submit(&r, 3);
	gather(&r, 3);
	EQ("an error breaks it", results[1], -EBADF);
	OK("the rest is cancelled", results[2] == -ECANCELED && results[3] == -ECANCELED);
	sqe(&r, IORING_OP_READ, fd, b, 10, 0, 1)->flags = IOSQE_IO_LINK;
	sqe(&r, IORING_OP_NOP, -1, 0, 0, 0, 2);
	submit(&r, 2);
	gather(&r, 2);
	EQ("a short read", results[1], 3);
	EQ("breaks it too", results[2], -ECANCELED);
	sqe(&r, IORING_OP_READ, 900, b, 1, 0, 1)->flags = IOSQE_IO_HARDLINK;
	sqe(&r, IORING_OP_NOP, -1, 0, 0, 0, 2);
	submit(&r, 2);
	gather(&r, 2);
	EQ("a hard link holds", results[2], 0);
	// What is wrong at submission.
	sqe(&r, IORING_OP_NOP, -1, 0, 0, 0, 1)->flags = IOSQE_IO_LINK;
	sqe(&r, 250, -1, 0, 0, 0, 2);
	submit(&r, 0);
	gather(&r, 2);
	EQ("a chain with a wrong entry is not begun", results[1], -ECANCELED);
	EQ("the wrong entry", results[2], -EINVAL);
	// A request waits for the one before it.
	int p[2];
	MUST(pipe(p));
	sqe(&r, IORING_OP_READ, p[0], b, 4, 0, 1)->flags = IOSQE_IO_LINK;
	sqe(&r, IORING_OP_WRITE, fd, "W", 1, 0, 2);
	submit(&r, 0);
	STR("not written yet", get("short"), "abc");
	write(p[1], "1234", 4);
	gather(&r, 2);
	OK("both are done", results[1] == 4 && results[2] == 1);
	STR("written", get("short"), "Wbc");
	// Linked file: opened by one, read by the next.
	close(dup(fd)); // the lowest free descriptor is known then
	int next = dup(fd);
	close(next);
	sqe(&r, IORING_OP_OPENAT, AT_FDCWD, "short", 0, 0, 1)->open_flags = O_RDONLY;
	r.sqes[(r.tail - 1) & 15].flags = IOSQE_IO_LINK;
	sqe(&r, IORING_OP_READ, next, b, 3, 0, 2);
	submit(&r, 2);
	gather(&r, 2);
	EQ("opened", results[1], next);
	EQ("and read", results[2], 3);
	close(next);
	// Drain.
	sqe(&r, IORING_OP_READ, p[0], b, 4, 0, 1);
	sqe(&r, IORING_OP_NOP, -1, 0, 0, 0, 2)->flags = IOSQE_IO_DRAIN;
	sqe(&r, IORING_OP_NOP, -1, 0, 0, 0, 3);
	submit(&r, 0);
	sleep_ms(10);
	EQ("drained ones wait", ready(&r), 0);
	write(p[1], "1234", 4);
	enter(r.fd, 0, 3, IORING_ENTER_GETEVENTS);
	EQ("first the old one", take(&r).user_data, 1);
	EQ("then the drain", take(&r).user_data, 2);
	EQ("then the rest", take(&r).user_data, 3);
	// No completion of a success.
	sqe(&r, IORING_OP_NOP, -1, 0, 0, 0, 1)->flags = IOSQE_CQE_SKIP_SUCCESS | IOSQE_IO_LINK;
	sqe(&r, IORING_OP_NOP, -1, 0, 0, 0, 2);
	submit(&r, 1);
	EQ("skipped", take(&r).user_data, 2);
	EQ("nothing else", ready(&r), 0);
	sqe(&r, IORING_OP_READ, 900, b, 1, 0, 7)->flags = IOSQE_CQE_SKIP_SUCCESS;
	EQ("an error is told", one(&r), -EBADF);
	close(p[0]);
	close(p[1]);
	close(fd);
	close_ring(&r);
}

static void cancel_checks(void)
{
	struct ring r;
	int p[2];
	char b[8];
	open_ring(&r, 16, 0);
	MUST(pipe(p));
	sqe(&r, IORING_OP_READ, p[0], b, 1, 0, 1);
	submit(&r, 0);
	sqe(&r, IORING_OP_ASYNC_CANCEL, -1, (void *)1, 0, 0, 2);
	submit(&r, 2);
	gather(&r, 2);
	EQ("cancel", results[2], 0);
	EQ("cancelled", results[1], -ECANCELED);
	sqe(&r, IORING_OP_ASYNC_CANCEL, -1, (void *)1, 0, 0, 2);
	EQ("cancel nothing", one(&r), -ENOENT);
	for (int i = 0; i < 3; i++)
		sqe(&r, IORING_OP_READ, p[0], b, 1, 0, 1);
	submit(&r, 0);
	sqe(&r, IORING_OP_ASYNC_CANCEL, -1, (void *)1, 0, 0, 2)->cancel_flags = IORING_ASYNC_CANCEL_ALL;
	submit(&r, 4);
	gather(&r, 4);
	EQ("cancel all of a kind", results[2], 3);
	sqe(&r, IORING_OP_READ, p[0], b, 1, 0, 1);
	sqe(&r, IORING_OP_POLL_ADD, p[0], 0, 0, 0, 3)->poll32_events = POLLIN;
	submit(&r, 0);
	struct io_uring_sqe *s = sqe(&r, IORING_OP_ASYNC_CANCEL, p[0], 0, 0, 0, 2);
	s->cancel_flags = IORING_ASYNC_CANCEL_ALL | IORING_ASYNC_CANCEL_FD;
	submit(&r, 3);
	gather(&r, 3);
	EQ("cancel all of a file", results[2], 2);
	OK("they are", results[1] == -ECANCELED && results[3] == -ECANCELED);
	// In flight at the end.
	sqe(&r, IORING_OP_READ, p[0], b, 1, 0, 1);
	submit(&r, 0);
	close(p[0]);
	close_ring(&r);
	signal(SIGPIPE, SIG_IGN);
	int broken = 0;
	for (int i = 0; i < 2000 && !broken; i++) { // the ring ends on its own time
		broken = write(p[1], "x", 1) == -1 && errno == EPIPE;
		if (!broken)
			sleep_ms(1);
	}
	OK("a closed ring lets go of files", broken);
	close(p[1]);
}

static void register_checks(void)
{
	struct ring r;
	char b[64] = "";
	open_ring(&r, 16, 0);
	put("fixed", "0123456789");
	int fd = open("fixed", O_RDWR), fds[4] = {fd, -1, fd, -1};
	FAILS("unregister no files", reg(r.fd, IORING_UNREGISTER_FILES, NULL, 0), ENXIO);
	FAILS("no files", reg(r.fd, IORING_REGISTER_FILES, fds, 0), EINVAL);
	EQ("register files", reg(r.fd, IORING_REGISTER_FILES, fds, 4), 0);
	FAILS("register files twice", reg(r.fd, IORING_REGISTER_FILES, fds, 4), EBUSY);
	close(fd);
	sqe(&r, IORING_OP_READ, 0, b, 4, 2, 0)->flags = IOSQE_FIXED_FILE;
	EQ("read a fixed file", one(&r), 4);
	STR("its data", b, "2345");
	sqe(&r, IORING_OP_READ, 1, b, 4, 2, 0)->flags = IOSQE_FIXED_FILE;
	EQ("read an empty slot", one(&r), -EBADF);
	sqe(&r, IORING_OP_READ, 77, b, 4, 2, 0)->flags = IOSQE_FIXED_FILE;
	EQ("read no slot", one(&r), -EBADF);
	fd = open("fixed", O_RDWR);
	struct io_uring_files_update up = {.offset = 1, .fds = (uintptr_t)&fd};
	EQ("update", reg(r.fd, IORING_REGISTER_FILES_UPDATE, &up, 1), 1);
	sqe(&r, IORING_OP_READ, 1, b, 4, 4, 0)->flags = IOSQE_FIXED_FILE;
	EQ("read the new file", one(&r), 4);
	int skip[2] = {IORING_REGISTER_FILES_SKIP, -1};
	sqe(&r, IORING_OP_FILES_UPDATE, -1, skip, 2, 0, 0);
	EQ("update by a request", one(&r), 2);
	sqe(&r, IORING_OP_READ, 0, b, 4, 2, 0)->flags = IOSQE_FIXED_FILE;
	EQ("a slot that was skipped", one(&r), 4);
	sqe(&r, IORING_OP_READ, 1, b, 4, 2, 0)->flags = IOSQE_FIXED_FILE;
	EQ("a slot that was emptied", one(&r), -EBADF);
	up.offset = 4;
	FAILS("update beyond the end", reg(r.fd, IORING_REGISTER_FILES_UPDATE, &up, 1), EINVAL);
	struct io_uring_sqe *s = sqe(&r, IORING_OP_OPENAT, AT_FDCWD, "fixed", 0, 0, 0);
	s->open_flags = O_RDONLY;
	s->file_index = 4;
	EQ("open into a slot", one(&r), 0);
	sqe(&r, IORING_OP_READ, 3, b, 4, 0, 0)->flags = IOSQE_FIXED_FILE;
	EQ("read it", one(&r), 4);
	s = sqe(&r, IORING_OP_OPENAT, AT_FDCWD, "fixed", 0, 0, 0);
	s->open_flags = O_RDONLY;
	s->file_index = IORING_FILE_INDEX_ALLOC;
	EQ("open into any slot", one(&r), 1);
	sqe(&r, IORING_OP_CLOSE, 0, 0, 0, 0, 0)->file_index = 4;
	EQ("close a slot", one(&r), 0);
	sqe(&r, IORING_OP_CLOSE, 0, 0, 0, 0, 0)->file_index = 4;
	EQ("close it again", one(&r), -EBADF);
	fds[0] = r.fd;
	EQ("unregister files", reg(r.fd, IORING_UNREGISTER_FILES, NULL, 0), 0);
	FAILS("register a ring", reg(r.fd, IORING_REGISTER_FILES, fds, 1), EBADF);
	fds[0] = 900;
	FAILS("register a closed file", reg(r.fd, IORING_REGISTER_FILES, fds, 1), EBADF);

	char *page = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct iovec v[2] = {{page, 8192}, {b, sizeof b}}, wrong = {(void *)16, 100};
	FAILS("unregister no buffers", reg(r.fd, IORING_UNREGISTER_BUFFERS, NULL, 0), ENXIO);
	FAILS("register a bad buffer", reg(r.fd, IORING_REGISTER_BUFFERS, &wrong, 1), EFAULT);
	EQ("register buffers", reg(r.fd, IORING_REGISTER_BUFFERS, v, 2), 0);
	FAILS("register buffers twice", reg(r.fd, IORING_REGISTER_BUFFERS, v, 2), EBUSY);
	sqe(&r, IORING_OP_READ_FIXED, fd, page + 100, 5, 5, 0)->buf_index = 0;
	EQ("read into a fixed buffer", one(&r), 5);
	STR("its data", page + 100, "56789");
	sqe(&r, IORING_OP_WRITE_FIXED, fd, page + 100, 5, 0, 0)->buf_index = 0;
	EQ("write from it", one(&r), 5);
	STR("the file", get("fixed"), "5678956789");
	sqe(&r, IORING_OP_READ_FIXED, fd, page + 8190, 5, 5, 0)->buf_index = 0;
	EQ("beyond its end", one(&r), -EFAULT);
	sqe(&r, IORING_OP_READ_FIXED, fd, page, 5, 5, 0)->buf_index = 7;
	EQ("no such buffer", one(&r), -EFAULT);
	EQ("unregister buffers", reg(r.fd, IORING_UNREGISTER_BUFFERS, NULL, 0), 0);

	int ev = eventfd(0, EFD_NONBLOCK);
	uint64_t n;
	FAILS("no eventfd", reg(r.fd, IORING_UNREGISTER_EVENTFD, NULL, 0), ENXIO);
	EQ("register an eventfd", reg(r.fd, IORING_REGISTER_EVENTFD, &ev, 1), 0);
	FAILS("another", reg(r.fd, IORING_REGISTER_EVENTFD, &ev, 1), EBUSY);
	sqe(&r, IORING_OP_NOP, -1, 0, 0, 0, 0);
	one(&r);
	EQ("it is signalled", read(ev, &n, 8), 8);
	EQ("unregister it", reg(r.fd, IORING_UNREGISTER_EVENTFD, NULL, 0), 0);
	EQ("register it for what is not done at once", reg(r.fd, IORING_REGISTER_EVENTFD_ASYNC, &ev, 1), 0);
	sqe(&r, IORING_OP_NOP, -1, 0, 0, 0, 0);
	one(&r);
	FAILS("not signalled", read(ev, &n, 8), EAGAIN);

	struct { struct io_uring_probe p; struct io_uring_probe_op op[64]; } probe;
	memset(&probe, 0, sizeof probe);
	EQ("probe", reg(r.fd, IORING_REGISTER_PROBE, &probe, 64), 0);
	OK("reads are there", probe.op[IORING_OP_READ].flags & IO_URING_OP_SUPPORTED);
	OK("links are there", probe.op[IORING_OP_LINKAT].flags & IO_URING_OP_SUPPORTED);
	int id = reg(r.fd, IORING_REGISTER_PERSONALITY, NULL, 0);
	OK("personality", id > 0);
	sqe(&r, IORING_OP_NOP, -1, 0, 0, 0, 0)->personality = id;
	EQ("use it", one(&r), 0);
	EQ("unregister it", reg(r.fd, IORING_UNREGISTER_PERSONALITY, NULL, id), 0);
	sqe(&r, IORING_OP_NOP, -1, 0, 0, 0, 0)->personality = id;
	EQ("use it no more", one(&r), -EINVAL);
	struct io_uring_rsrc_update rf = {.offset = -1u, .data = r.fd};
	EQ("register the ring", reg(r.fd, IORING_REGISTER_RING_FDS, &rf, 1), 1);
	sqe(&r, IORING_OP_NOP, -1, 0, 0, 0, 0);
	EQ("enter by its index", syscall(__NR_io_uring_enter, rf.offset, 1, 1, IORING_ENTER_GETEVENTS | IORING_ENTER_REGISTERED_RING, NULL, 0), 1);
	take(&r);
	rf.data = 0;
	EQ("unregister it", reg(r.fd, IORING_UNREGISTER_RING_FDS, &rf, 1), 1);
	close(ev);
	close(fd);
	close_ring(&r);

	open_ring(&r, 8, IORING_SETUP_R_DISABLED);
	sqe(&r, IORING_OP_NOP, -1, 0, 0, 0, 0);
	FAILS("a ring that is disabled", enter(r.fd, 1, 0, 0), EBADFD);
	struct io_uring_restriction res[3] = {{.opcode = IORING_RESTRICTION_SQE_OP, .sqe_op = IORING_OP_NOP},
		{.opcode = IORING_RESTRICTION_REGISTER_OP, .register_op = IORING_REGISTER_PROBE},
		{.opcode = IORING_RESTRICTION_SQE_FLAGS_ALLOWED, .sqe_flags = IOSQE_IO_LINK}};
	EQ("restrict", reg(r.fd, IORING_REGISTER_RESTRICTIONS, res, 3), 0);
	FAILS("restrict twice", reg(r.fd, IORING_REGISTER_RESTRICTIONS, res, 3), EBUSY);
	EQ("enable", reg(r.fd, IORING_REGISTER_ENABLE_RINGS, NULL, 0), 0);
	FAILS("enable twice", reg(r.fd, IORING_REGISTER_ENABLE_RINGS, NULL, 0), EACCES);
	EQ("what is allowed", one(&r), 0);
	sqe(&r, IORING_OP_READ, 0, b, 1, 0, 0);
	EQ("what is not", one(&r), -EACCES);
	sqe(&r, IORING_OP_NOP, -1, 0, 0, 0, 0)->flags = IOSQE_ASYNC;
	EQ("a flag that is not", one(&r), -EACCES);
	FAILS("registering what is not", reg(r.fd, IORING_REGISTER_FILES, fds, 1), EACCES);
	close_ring(&r);
}

static void buffer_checks(void)
{
	struct ring r;
	int p[2];
	static char pool[4][16];
	open_ring(&r, 16, 0);
	MUST(pipe(p));
	write(p[1], "abcdef", 6);
	struct io_uring_sqe *s = sqe(&r, IORING_OP_READ, p[0], 0, 3, 0, 1);
	s->flags = IOSQE_BUFFER_SELECT;
	s->buf_group = 7;
	EQ("no buffers", one(&r), -ENOBUFS);
	sqe(&r, IORING_OP_PROVIDE_BUFFERS, 4, pool, 16, 10, 1)->buf_group = 7;
	EQ("provide", one(&r), 0);
	s = sqe(&r, IORING_OP_READ, p[0], 0, 3, 0, 1);
	s->flags = IOSQE_BUFFER_SELECT;
	s->buf_group = 7;
	submit(&r, 1);
	struct io_uring_cqe c = take(&r);
	EQ("read into one", c.res, 3);
	OK("the completion says so", c.flags & IORING_CQE_F_BUFFER);
	int bid = c.flags >> IORING_CQE_BUFFER_SHIFT;
	OK("which", bid >= 10 && bid < 14);
	OK("its data", memcmp(pool[bid - 10], "abc", 3) == 0);
	sqe(&r, IORING_OP_REMOVE_BUFFERS, 10, 0, 0, 0, 1)->buf_group = 7;
	EQ("remove the others", one(&r), 3);
	sqe(&r, IORING_OP_REMOVE_BUFFERS, 10, 0, 0, 0, 1)->buf_group = 99;
	EQ("remove of no group", one(&r), -ENOENT);
	s = sqe(&r, IORING_OP_NOP, -1, 0, 0, 0, 1);
	s->flags = IOSQE_BUFFER_SELECT;
	EQ("where it makes no sense", one(&r), -EOPNOTSUPP);
	// A ring of buffers.
	struct io_uring_buf_ring *br = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct io_uring_buf_reg br_reg = {.ring_addr = (uintptr_t)br, .ring_entries = 4, .bgid = 3};
	EQ("register a ring of buffers", reg(r.fd, IORING_REGISTER_PBUF_RING, &br_reg, 1), 0);
	FAILS("twice", reg(r.fd, IORING_REGISTER_PBUF_RING, &br_reg, 1), EEXIST);
	struct io_uring_buf *bufs = (void *)br;
	bufs[0].addr = (uintptr_t)pool[0], bufs[0].len = 16, bufs[0].bid = 21;
	bufs[1].addr = (uintptr_t)pool[1], bufs[1].len = 16, bufs[1].bid = 22;
	__atomic_store_n(&br->tail, 2, __ATOMIC_RELEASE);
	// Received by one request until there are no more.
	int sv[2];
	MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, sv));
	s = sqe(&r, IORING_OP_RECV, sv[0], 0, 0, 0, 5);
	s->ioprio = IORING_RECV_MULTISHOT;
	s->flags = IOSQE_BUFFER_SELECT;
	s->buf_group = 3;
	submit(&r, 0);
	send(sv[1], "one", 3, 0);
	enter(r.fd, 0, 1, IORING_ENTER_GETEVENTS);
	c = take(&r);
	EQ("multishot receive", c.res, 3);
	EQ("its buffer", c.flags >> IORING_CQE_BUFFER_SHIFT, 21);
	OK("more", c.flags & IORING_CQE_F_MORE);
	send(sv[1], "four", 4, 0);
	enter(r.fd, 0, 1, IORING_ENTER_GETEVENTS);
	c = take(&r);
	EQ("again", c.res, 4);
	EQ("the next buffer", c.flags >> IORING_CQE_BUFFER_SHIFT, 22);
	send(sv[1], "x", 1, 0);
	while (c.flags & IORING_CQE_F_MORE) {
		enter(r.fd, 0, 1, IORING_ENTER_GETEVENTS);
		c = take(&r);
	}
	EQ("none is left", c.res, -ENOBUFS);
	EQ("unregister the ring", reg(r.fd, IORING_UNREGISTER_PBUF_RING, &br_reg, 1), 0);
	FAILS("unregister it again", reg(r.fd, IORING_UNREGISTER_PBUF_RING, &br_reg, 1), ENOENT);
	close(sv[0]);
	close(sv[1]);
	close(p[0]);
	close(p[1]);
	close_ring(&r);
}

static void socket_checks(void)
{
	struct ring r;
	char b[64] = "", c[64] = "";
	open_ring(&r, 16, 0);
	sqe(&r, IORING_OP_SOCKET, AF_INET, 0, 0, SOCK_STREAM, 0);
	int l = one(&r);
	OK("socket", l > 0);
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)}, peer;
	socklen_t n = sizeof a, pn = sizeof peer;
	MUST(bind(l, (void *)&a, n));
	MUST(listen(l, 10));
	MUST(getsockname(l, (void *)&a, &n));
	int s = MUST(socket(AF_INET, SOCK_STREAM, 0));
	sqe(&r, IORING_OP_ACCEPT, l, &peer, 0, (uintptr_t)&pn, 1);
	sqe(&r, IORING_OP_CONNECT, s, &a, 0, sizeof a, 2);
	submit(&r, 2);
	gather(&r, 2);
	EQ("connect", results[2], 0);
	int conn = results[1];
	OK("accept", conn > 0);
	EQ("the peer's address", peer.sin_addr.s_addr, htonl(INADDR_LOOPBACK));
	sqe(&r, IORING_OP_RECV, conn, b, sizeof b, 0, 1);
	sqe(&r, IORING_OP_SEND, s, "hello", 5, 0, 2);
	submit(&r, 2);
	gather(&r, 2);
	EQ("send", results[2], 5);
	EQ("receive", results[1], 5);
	STR("the data", b, "hello");
	struct iovec iov = {"message", 7}, riov = {c, sizeof c};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1}, rm = {.msg_iov = &riov, .msg_iovlen = 1};
	sqe(&r, IORING_OP_RECVMSG, conn, &rm, 1, 0, 1);
	sqe(&r, IORING_OP_SENDMSG, s, &m, 1, 0, 2);
	submit(&r, 2);
	gather(&r, 2);
	EQ("sendmsg", results[2], 7);
	EQ("recvmsg", results[1], 7);
	STR("the message", c, "message");
	sqe(&r, IORING_OP_RECV, conn, b, sizeof b, 0, 1)->msg_flags = MSG_DONTWAIT;
	EQ("MSG_DONTWAIT", one(&r), -EAGAIN);
	// All of it, though it comes in pieces.
	memset(b, 0, sizeof b);
	sqe(&r, IORING_OP_RECV, conn, b, 6, 0, 1)->msg_flags = MSG_WAITALL;
	submit(&r, 0);
	send(s, "abc", 3, 0);
	sleep_ms(10);
	send(s, "def", 3, 0);
	EQ("MSG_WAITALL", one(&r), 6);
	STR("all the data", b, "abcdef");
	sqe(&r, IORING_OP_SHUTDOWN, s, 0, SHUT_WR, 0, 1);
	EQ("shutdown", one(&r), 0);
	sqe(&r, IORING_OP_RECV, conn, b, sizeof b, 0, 1);
	EQ("the end", one(&r), 0);
	sqe(&r, IORING_OP_SEND, s, "x", 1, 0, 1);
	EQ("send after it", one(&r), -EPIPE);
	close(conn);
	close(s);
	// One accept for many connections.
	sqe(&r, IORING_OP_ACCEPT, l, 0, 0, 0, 3)->ioprio = IORING_ACCEPT_MULTISHOT;
	submit(&r, 0);
	int good = 0, more = 0;
	for (int i = 0; i < 3; i++) {
		s = MUST(socket(AF_INET, SOCK_STREAM, 0));
		MUST(connect(s, (void *)&a, sizeof a));
		enter(r.fd, 0, 1, IORING_ENTER_GETEVENTS);
		struct io_uring_cqe cq = take(&r);
		good += cq.res > 0;
		more += !!(cq.flags & IORING_CQE_F_MORE);
		close(cq.res);
		close(s);
	}
	EQ("multishot accept", good, 3);
	EQ("more to come", more, 3);
	sqe(&r, IORING_OP_ASYNC_CANCEL, -1, (void *)3, 0, 0, 4);
	submit(&r, 2);
	gather(&r, 2);
	EQ("ended", results[3], -ECANCELED);
	close(l);
	s = MUST(socket(AF_INET, SOCK_STREAM, 0));
	sqe(&r, IORING_OP_CONNECT, s, &a, 0, sizeof a, 2);
	EQ("connect to nobody", one(&r), -ECONNREFUSED);
	sqe(&r, IORING_OP_SEND, 0, "x", 1, 0, 1);
	EQ("send to no socket", one(&r), -ENOTSOCK);
	close(s);
	close_ring(&r);
}

static void overflow_checks(void)
{
	struct ring r;
	open_ring(&r, 4, 0);
	for (int i = 0; i < 3; i++) {
		for (int k = 0; k < 4; k++)
			sqe(&r, IORING_OP_NOP, -1, 0, 0, 0, i * 4 + k);
		EQ("submit", submit(&r, 0), 4);
	}
	EQ("the ring is full", ready(&r), 8);
	OK("the rest waits", *WORD(&r, r.p.sq_off.flags) & IORING_SQ_CQ_OVERFLOW);
	struct pollfd pf = {r.fd, POLLIN, 0};
	EQ("readable", poll(&pf, 1, 0), 1);
	for (int i = 0; i < 8; i++)
		take(&r);
	EQ("fetch the rest", enter(r.fd, 0, 4, IORING_ENTER_GETEVENTS), 0);
	EQ("it is there", ready(&r), 4);
	EQ("in order", take(&r).user_data, 8);
	EQ("no overflow any more", *WORD(&r, r.p.sq_off.flags) & IORING_SQ_CQ_OVERFLOW, 0);
	close_ring(&r);
}

static void *other_issuer(void *arg)
{
	struct ring *r = arg;
	FAILS("another issuer", enter(r->fd, 1, 0, 0), EEXIST);
	return NULL;
}

static void mode_checks(void)
{
	struct ring r, o;
	int p[2];
	char b[8];
	pthread_t t;
	open_ring(&r, 8, IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN);
	MUST(pipe(p));
	sqe(&r, IORING_OP_READ, p[0], b, 4, 0, 1);
	pthread_create(&t, NULL, other_issuer, &r);
	pthread_join(t, NULL);
	EQ("deferred", submit(&r, 0), 1);
	write(p[1], "1234", 4);
	sleep_ms(20);
	EQ("not before the thread enters", ready(&r), 0);
	EQ("then", one(&r), 4);
	close_ring(&r);
	open_ring(&r, 8, IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG);
	sqe(&r, IORING_OP_READ, p[0], b, 4, 0, 1);
	submit(&r, 0);
	write(p[1], "1234", 4);
	EQ("cooperative", one(&r), 4);
	open_ring(&o, 8, 0);
	sqe(&r, IORING_OP_MSG_RING, o.fd, 0, 123, 456, 1);
	EQ("message to a ring", one(&r), 0);
	enter(o.fd, 0, 1, IORING_ENTER_GETEVENTS);
	struct io_uring_cqe c = take(&o);
	EQ("its result", c.res, 123);
	EQ("its data", c.user_data, 456);
	sqe(&r, IORING_OP_MSG_RING, p[0], 0, 123, 456, 1);
	EQ("to no ring", one(&r), -EBADFD);
	close_ring(&o);
	close_ring(&r);
	// A thread of the kernel takes the entries.
	open_ring(&r, 8, IORING_SETUP_SQPOLL);
	sqe(&r, IORING_OP_WRITE, p[1], "xyz", 3, 0, 9);
	for (int i = 0; i < 5000 && !ready(&r); i++) {
		if (__atomic_load_n(WORD(&r, r.p.sq_off.flags), __ATOMIC_SEQ_CST) & IORING_SQ_NEED_WAKEUP)
			enter(r.fd, 1, 0, IORING_ENTER_SQ_WAKEUP);
		sleep_ms(1);
	}
	EQ("polled submission", take(&r).res, 3);
	sqe(&r, IORING_OP_NOP, -1, 0, 0, 0, 9);
	EQ("with a call", enter(r.fd, 1, 1, IORING_ENTER_GETEVENTS | IORING_ENTER_SQ_WAKEUP), 1);
	EQ("done", take(&r).user_data, 9);
	close_ring(&r);
	close(p[0]);
	close(p[1]);
}

static int got_signal;
static void on_signal(int s) { (void)s; got_signal = 1; }

static void process_checks(void)
{
	struct ring r;
	int p[2], status;
	char b[8];
	open_ring(&r, 8, 0);
	MUST(pipe(p));
	// A child with a request of its own on the same ring.
	pid_t pid = MUST(fork());
	if (pid == 0) {
		sqe(&r, IORING_OP_READ, p[0], b, 4, 0, 1);
		_exit(submit(&r, 0) == 1 ? 0 : 1);
	}
	waitpid(pid, &status, 0);
	EQ("a child submits and ends", status, 0);
	write(p[1], "left", 4);
	EQ("its request ends", enter(r.fd, 0, 1, IORING_ENTER_GETEVENTS), 0);
	int res = take(&r).res;
	OK("with an error", res == -ECANCELED || res == -EFAULT);
	EQ("and takes no data", read(p[0], b, 8), 4);
	r.tail++;
	// Exit with requests in flight.
	pid = MUST(fork());
	if (pid == 0) {
		struct ring c;
		struct __kernel_timespec far = {1000, 0};
		open_ring(&c, 8, 0);
		sqe(&c, IORING_OP_READ, p[0], b, 4, 0, 1);
		sqe(&c, IORING_OP_POLL_ADD, p[0], 0, 0, 0, 1)->poll32_events = POLLIN;
		sqe(&c, IORING_OP_TIMEOUT, -1, &far, 1, 0, 1);
		sqe(&c, IORING_OP_POLL_ADD, c.fd, 0, 0, 0, 1)->poll32_events = POLLIN;
		struct io_uring_sqe *s = sqe(&c, IORING_OP_SPLICE, p[1], (void *)-1, 64, -1, 0);
		s->splice_fd_in = p[0];
		_exit(submit(&c, 0) == 5 ? 0 : 1);
	}
	waitpid(pid, &status, 0);
	EQ("exit with requests in flight", status, 0);
	// Exec with requests in flight.
	pid = MUST(fork());
	if (pid == 0) {
		struct ring c;
		open_ring(&c, 8, 0);
		sqe(&c, IORING_OP_READ, p[0], b, 4, 0, 1);
		submit(&c, 0);
		execl("/proc/self/exe", "uring", "exit", NULL);
		_exit(1);
	}
	waitpid(pid, &status, 0);
	EQ("exec with a request in flight", WEXITSTATUS(status), 33);
	write(p[1], "data", 4);
	EQ("which did not take the data", read(p[0], b, 8), 4);
	// A signal ends the wait.
	struct sigaction sa = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
	sigaction(SIGALRM, &sa, NULL);
	struct itimerspec its = {.it_value.tv_nsec = 30000000};
	timer_t timer;
	MUST(timer_create(CLOCK_MONOTONIC, NULL, &timer));
	timer_settime(timer, 0, &its, NULL);
	FAILS("a signal ends the wait", enter(r.fd, 0, 1, IORING_ENTER_GETEVENTS), EINTR);
	EQ("its handler ran", got_signal, 1);
	// A mask for the wait.
	sigset_t all, none;
	sigfillset(&all);
	sigemptyset(&none);
	sigprocmask(SIG_BLOCK, &all, NULL);
	got_signal = 0;
	raise(SIGALRM);
	struct io_uring_getevents_arg arg = {.sigmask = (uintptr_t)&none, .sigmask_sz = 8};
	FAILS("a mask lets it in", syscall(__NR_io_uring_enter, r.fd, 0, 1, IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG, &arg, sizeof arg), EINTR);
	EQ("its handler ran", got_signal, 1);
	sigprocmask(SIG_UNBLOCK, &all, NULL);
	close(p[0]);
	close(p[1]);
	close_ring(&r);
}

// Many requests from several threads on one ring, and a reaper.
enum { rounds = 200, pipes = 8 };
static struct ring big;

static void *feeder(void *arg)
{
	int *p = arg;
	for (int i = 0; i < rounds; i++)
		write(p[1], "z", 1);
	return NULL;
}

static void stress_checks(void)
{
	int p[pipes][2], done_reads = 0, errors = 0;
	static char b[pipes];
	pthread_t t[pipes];
	open_ring(&big, 64, 0);
	for (int i = 0; i < pipes; i++) {
		MUST(pipe(p[i]));
		sqe(&big, IORING_OP_READ, p[i][0], &b[i], 1, 0, i);
	}
	submit(&big, 0);
	for (int i = 0; i < pipes; i++)
		pthread_create(&t[i], NULL, feeder, p[i]);
	while (done_reads < rounds * pipes) {
		if (submit(&big, 1) < 0)
			errors++;
		while (ready(&big)) {
			struct io_uring_cqe c = take(&big);
			errors += c.res != 1;
			done_reads++;
			sqe(&big, IORING_OP_READ, p[c.user_data][0], &b[c.user_data], 1, 0, c.user_data);
			if (unsubmitted(&big) > 32)
				submit(&big, 0);
		}
	}
	EQ("reads of many pipes", done_reads, rounds * pipes);
	EQ("errors", errors, 0);
	for (int i = 0; i < pipes; i++) {
		pthread_join(t[i], NULL);
		close(p[i][0]);
		close(p[i][1]);
	}
	close_ring(&big);
}

int main(int argc, char **argv)
{
	if (argc > 1 && strcmp(argv[1], "exit") == 0)
		_exit(33);
	work_dir();
	setvbuf(stdout, NULL, _IOLBF, 0);
	setup_checks();
	nop_checks();
	file_checks();
	pipe_checks();
	poll_checks();
	timeout_checks();
	link_checks();
	cancel_checks();
	register_checks();
	buffer_checks();
	socket_checks();
	overflow_checks();
	mode_checks();
	process_checks();
	stress_checks();
	done();
}
