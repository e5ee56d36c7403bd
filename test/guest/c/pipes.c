// pipe(2): blocking, atomic writes, ends that go, splice(2) and tee(2).
#include "check.h"
#include <poll.h>
#include <sys/ioctl.h>

static int signals;
static void on_signal(int s) { (void)s; signals++; }

static void *write_later(void *arg)
{
	sleep_ms(30);
	write(*(int *)arg, "late", 4);
	return NULL;
}

static void *close_later(void *arg)
{
	sleep_ms(30);
	close(*(int *)arg);
	return NULL;
}

struct writer { int fd; char fill; };

static void *write_records(void *arg)
{
	struct writer *w = arg;
	char record[512];
	memset(record, w->fill, sizeof record);
	for (int i = 0; i < 500; i++)
		if (write(w->fd, record, sizeof record) != sizeof record)
			return "short";
	return NULL;
}

static void *pump(void *arg)
{
	static char b[300000];
	for (size_t i = 0; i < sizeof b; i++)
		b[i] = i * 31 >> 3;
	return (void *)(write(*(int *)arg, b, sizeof b) == sizeof b ? 1L : 0L);
}

static void basics(void)
{
	int p[2];
	char b[8192];
	EQ("pipe", pipe(p), 0);
	EQ("write", write(p[1], "abcdef", 6), 6);
	int n = 0;
	EQ("FIONREAD", ioctl(p[0], FIONREAD, &n), 0);
	EQ("FIONREAD count", n, 6);
	EQ("read part", read(p[0], b, 4), 4);
	EQ("read rest", read(p[0], b, 10), 2);
	EQ("O_NONBLOCK", fcntl(p[0], F_SETFL, O_NONBLOCK), 0);
	FAILS("empty O_NONBLOCK", read(p[0], b, 1), EAGAIN);
	fcntl(p[0], F_SETFL, 0);
	pthread_t t;
	pthread_create(&t, NULL, write_later, &p[1]);
	EQ("read waits", read(p[0], b, 10), 4);
	pthread_join(t, NULL);
	FAILS("read the write end", read(p[1], b, 1), EBADF);
	FAILS("write the read end", write(p[0], b, 1), EBADF);
	FAILS("lseek", lseek(p[0], 0, SEEK_CUR), ESPIPE);
	FAILS("pread", pread(p[0], b, 1, 0), ESPIPE);
	pthread_create(&t, NULL, close_later, &p[1]);
	EQ("read sees the last writer go", read(p[0], b, 10), 0);
	pthread_join(t, NULL);
	EQ("read at end again", read(p[0], b, 10), 0);
	close(p[0]);

	struct sigaction sa = {.sa_handler = on_signal};
	sigaction(SIGPIPE, &sa, NULL);
	MUST(pipe2(p, O_CLOEXEC));
	EQ("O_CLOEXEC", fcntl(p[0], F_GETFD), FD_CLOEXEC);
	close(p[0]);
	FAILS("write without reader", write(p[1], "x", 1), EPIPE);
	EQ("SIGPIPE came", signals, 1);
	signal(SIGPIPE, SIG_IGN);
	FAILS("write without reader, SIGPIPE ignored", write(p[1], "x", 1), EPIPE);
	close(p[1]);
	FAILS("pipe2 flags", pipe2(p, 1 << 30), EINVAL);
	FAILS("pipe bad address", syscall(SYS_pipe, 8), EFAULT);
}

static void capacity(void)
{
	int p[2];
	static char b[1 << 16];
	MUST(pipe2(p, O_NONBLOCK));
	EQ("F_GETPIPE_SZ", fcntl(p[0], F_GETPIPE_SZ), 65536);
	long total = 0, n;
	while ((n = write(p[1], b, 1000)) > 0)
		total += n;
	OK("full at about the capacity", total > 60000 && total <= 65536);
	FAILS("full O_NONBLOCK", write(p[1], b, 1000), EAGAIN);
	EQ("read makes room", read(p[0], b, 8192), 8192);
	EQ("atomic write fits", write(p[1], b, 4096), 4096);
	while (read(p[0], b, sizeof b) > 0)
		;
	n = write(p[1], b, sizeof b);
	EQ("partial write beyond PIPE_BUF", n, 65536);
	FAILS("full again", write(p[1], b, sizeof b), EAGAIN);
	EQ("F_SETPIPE_SZ", fcntl(p[1], F_SETPIPE_SZ, 131072), 131072);
	EQ("more room", write(p[1], b, 65536), 65536);
	FAILS("F_SETPIPE_SZ below the content", fcntl(p[1], F_SETPIPE_SZ, 4096), EBUSY);
	close(p[0]);
	close(p[1]);

	MUST(pipe(p));
	struct writer w[4];
	pthread_t t[4];
	for (int i = 0; i < 4; i++) {
		w[i] = (struct writer){p[1], 'a' + i};
		pthread_create(&t[i], NULL, write_records, &w[i]);
	}
	int torn = 0;
	for (int i = 0; i < 2000; i++) {
		char r[512];
		size_t got = 0;
		while (got < sizeof r) {
			n = read(p[0], r + got, sizeof r - got);
			if (n <= 0)
				break;
			got += n;
		}
		for (int j = 1; j < 512; j++)
			torn += r[j] != r[0];
	}
	for (int i = 0; i < 4; i++)
		pthread_join(t[i], NULL);
	EQ("writes up to PIPE_BUF are atomic", torn, 0);

	pthread_create(&t[0], NULL, pump, &p[1]);
	long at = 0, wrong = 0;
	while (at < 300000) {
		n = read(p[0], b, 3333);
		if (n <= 0)
			break;
		for (long i = 0; i < n; i++, at++)
			wrong += b[i] != (char)(at * 31 >> 3);
	}
	void *full;
	pthread_join(t[0], &full);
	EQ("a write larger than the pipe completes", (long)full, 1);
	EQ("its bytes in order", wrong, 0);
	close(p[0]);
	close(p[1]);
}

static void splices(void)
{
	int p[2], q[2];
	char b[64];
	MUST(pipe(p));
	MUST(pipe(q));
	put("f", "0123456789");
	int f = MUST(open("f", O_RDWR));
	EQ("splice file to pipe", splice(f, NULL, p[1], NULL, 4, 0), 4);
	loff_t off = 6;
	EQ("splice with offset", splice(f, &off, p[1], NULL, 100, 0), 4);
	EQ("splice updates offset", off, 10);
	EQ("tee", tee(p[0], q[1], 100, 0), 8);
	EQ("tee copy", read(q[0], b, 64), 8);
	OK("tee bytes", !memcmp(b, "01236789", 8));
	EQ("splice pipe to pipe", splice(p[0], NULL, q[1], NULL, 3, 0), 3);
	int o = MUST(open("o", O_WRONLY | O_CREAT | O_TRUNC, 0644));
	EQ("splice pipe to file", splice(p[0], NULL, o, NULL, 100, 0), 5);
	STR("splice content", get("o"), "36789");
	FAILS("splice of two files", splice(f, NULL, o, NULL, 1, 0), EINVAL);
	FAILS("splice empty nonblock", splice(p[0], NULL, o, NULL, 1, SPLICE_F_NONBLOCK), EAGAIN);
	FAILS("splice offset on a pipe", splice(p[0], &off, o, NULL, 1, 0), ESPIPE);
	struct iovec v[2] = {{"ab", 2}, {"cd", 2}};
	EQ("vmsplice", vmsplice(p[1], v, 2, 0), 4);
	EQ("vmsplice read", read(p[0], b, 64), 4);
	close(p[1]);
	EQ("splice at end", splice(p[0], NULL, o, NULL, 1, 0), 0);
}

static void interrupted(void)
{
	int p[2];
	char b[4];
	MUST(pipe(p));
	struct sigaction sa = {.sa_handler = on_signal};
	sigaction(SIGALRM, &sa, NULL);
	signals = 0;
	ualarm(20000, 20000);
	FAILS("read interrupted", read(p[0], b, 1), EINTR);
	ualarm(0, 0);
	OK("the handler ran", signals > 0);
	sa.sa_flags = SA_RESTART;
	sigaction(SIGALRM, &sa, NULL);
	pthread_t t;
	ualarm(10000, 0);
	pthread_create(&t, NULL, write_later, &p[1]);
	EQ("read restarted", read(p[0], b, 4), 4);
	pthread_join(t, NULL);
}

// When is the reading end of a FIFO hung up? Not before it has had a writer.
static void fifos(void)
{
	int w, r;
	struct pollfd p = {.events = POLLIN};
	MUST(mkfifo("fifo", 0600));
	p.fd = r = MUST(open("fifo", O_RDONLY | O_NONBLOCK));
	EQ("fifo without a writer", poll(&p, 1, 0), 0);
	w = MUST(open("fifo", O_WRONLY));
	EQ("fifo with a writer", poll(&p, 1, 0), 0);
	close(w);
	EQ("fifo whose writer is gone", ({ poll(&p, 1, 0); p.revents; }), POLLHUP);
	close(r);
	int both = MUST(open("fifo", O_RDWR));
	p.fd = r = MUST(open("fifo", O_RDONLY | O_NONBLOCK));
	close(both);
	EQ("fifo whose writer was first", ({ poll(&p, 1, 0); p.revents; }), POLLHUP);
	close(r);
}

int main(void)
{
	work_dir();
	basics();
	capacity();
	splices();
	interrupted();
	fifos();
	done();
}
