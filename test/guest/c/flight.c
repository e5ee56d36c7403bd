// Descriptors in messages: long chains of sockets in sockets, circles that nothing reaches, the limits of SCM_RIGHTS.
#include "check.h"
#include <grp.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

static int give(int via, const int *fds, int n)
{
	char c = 'x';
	struct iovec iv = {&c, 1};
	static char control[CMSG_SPACE(300 * sizeof(int))];
	struct msghdr m = {.msg_iov = &iv, .msg_iovlen = 1, .msg_control = control, .msg_controllen = CMSG_SPACE(n * sizeof(int))};
	struct cmsghdr *h = CMSG_FIRSTHDR(&m);
	*h = (struct cmsghdr){CMSG_LEN(n * sizeof(int)), SOL_SOCKET, SCM_RIGHTS};
	memcpy(CMSG_DATA(h), fds, n * sizeof(int));
	return sendmsg(via, &m, MSG_DONTWAIT);
}

static int take(int via, int *fds, int max, int flags)
{
	char c;
	struct iovec iv = {&c, 1};
	static char control[CMSG_SPACE(300 * sizeof(int))];
	struct msghdr m = {.msg_iov = &iv, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
	if (recvmsg(via, &m, flags) < 0)
		return -1;
	struct cmsghdr *h = CMSG_FIRSTHDR(&m);
	if (!h || h->cmsg_type != SCM_RIGHTS)
		return 0;
	int n = (h->cmsg_len - CMSG_LEN(0)) / sizeof(int);
	for (int i = 0; i < n && i < max; i++)
		memcpy(&fds[i], CMSG_DATA(h) + i * sizeof(int), sizeof(int));
	return n;
}

// canary sends the write end of a pipe with a message: its reader sees the end when the message is dropped.
static int canary(int via)
{
	int p[2];
	MUST(pipe(p));
	MUST(give(via, &p[1], 1));
	close(p[1]);
	return p[0];
}

static void poke(void) // a close that may start a collection
{
	int p[2];
	MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, p));
	close(p[0]);
	close(p[1]);
}

static int ended(int fd)
{
	struct pollfd p = {fd, POLLIN, 0};
	for (int i = 0; i < 600 && poll(&p, 1, 100) == 0; i++)
		poke(); // one may have come while a collection ran
	close(fd);
	return p.revents == POLLHUP;
}

static int alive(int fd)
{
	struct pollfd p = {fd, POLLIN, 0};
	return poll(&p, 1, 0) == 0;
}

static void chain(void)
{
	enum { links = 20000 };
	int last, dead, p[2], n;
	MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, p));
	dead = canary(p[0]);
	close(p[0]);
	last = p[1];
	for (n = 0; n < links; n++) {
		if (socketpair(AF_UNIX, n % 2 ? SOCK_DGRAM : SOCK_STREAM, 0, p) || give(p[0], &last, 1) != 1)
			break;
		close(last);
		close(p[0]);
		last = p[1];
	}
	EQ("chain is built", n, links);
	OK("chain holds its end", alive(dead));
	close(last);
	OK("chain is closed", ended(dead));

	// A chain of listeners, each in the queue of a connection that the next has not accepted.
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	socklen_t size = sizeof a;
	last = MUST(socket(AF_UNIX, SOCK_STREAM, 0));
	MUST(bind(last, (void *)&a, sizeof a.sun_family));
	MUST(listen(last, 1));
	getsockname(last, (void *)&a, &size);
	int c = MUST(socket(AF_UNIX, SOCK_STREAM, 0));
	MUST(connect(c, (void *)&a, size));
	dead = canary(c);
	close(c);
	for (n = 0; n < 2000; n++) {
		int l = socket(AF_UNIX, SOCK_STREAM, 0), c = socket(AF_UNIX, SOCK_STREAM, 0);
		a = (struct sockaddr_un){.sun_family = AF_UNIX};
		size = sizeof a;
		if (bind(l, (void *)&a, sizeof a.sun_family) || listen(l, 1) || getsockname(l, (void *)&a, &size) ||
		    connect(c, (void *)&a, size) || give(c, &last, 1) != 1)
			break;
		close(last);
		close(c);
		last = l;
	}
	EQ("chain of listeners is built", n, 2000);
	OK("chain of listeners holds its end", alive(dead));
	close(last);
	OK("chain of listeners is closed", ended(dead));
}

static void circles(void)
{
	int a[2], b[2], dead, fd;
	MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, a));
	dead = canary(a[0]);
	MUST(give(a[0], &a[1], 1)); // a[1] in its own queue
	close(a[0]);
	close(a[1]);
	OK("a socket in its own queue", ended(dead));

	MUST(socketpair(AF_UNIX, SOCK_DGRAM, 0, a));
	MUST(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, b));
	dead = canary(b[0]);
	MUST(give(a[0], &b[1], 1));
	MUST(give(b[0], &a[1], 1));
	close(a[0]), close(a[1]), close(b[0]);
	OK("a circle that is open at one place", (poke(), alive(dead)));
	close(b[1]);
	OK("a circle of two", ended(dead));

	// Both ends of a pair in each other's queues.
	MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, a));
	dead = canary(a[0]);
	MUST(give(a[0], &a[0], 1));
	MUST(give(a[1], &a[1], 1));
	MUST(give(a[0], &a[1], 1));
	close(a[0]), close(a[1]);
	OK("both ends of a pair", ended(dead));

	// A circle of a thousand, with chains that hang on it.
	enum { size = 1000 };
	static int l[size], r[size];
	for (int i = 0; i < size; i++) {
		MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, a));
		l[i] = a[0], r[i] = a[1];
	}
	dead = canary(l[size / 2]);
	for (int i = 0; i < size; i++)
		MUST(give(l[i], &r[(i + 1) % size], 1));
	for (int i = 0; i < size; i += 10) {
		MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, a));
		MUST(give(l[i], &a[0], 1));
		close(a[0]), close(a[1]);
	}
	for (int i = 0; i < size; i++) {
		close(l[i]);
		if (i)
			close(r[i]);
	}
	OK("a circle of a thousand lives", (poke(), alive(dead)));
	close(r[0]);
	OK("a circle of a thousand", ended(dead));

	// What is received from a circle keeps its data.
	MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, a));
	MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, b));
	MUST(give(a[0], &b[1], 1));
	MUST(give(b[0], &a[1], 1));
	EQ("send into a circle", send(b[0], "data", 4, 0), 4);
	close(b[1]);
	EQ("peek a socket", take(a[1], &fd, 1, MSG_PEEK), 1);
	close(a[0]), close(a[1]), close(b[0]);
	poke();
	sleep_ms(20);
	int back;
	EQ("receive what a circle held", take(fd, &back, 1, 0), 1);
	char text[8] = "";
	EQ("data of a circle", recv(fd, text, sizeof text, 0), 4);
	STR("text of a circle", text, "data");
	EQ("receive itself of a circle", take(back, &a[0], 1, 0), 1);
	close(fd), close(back), close(a[0]);

	// A listener whose connection, not yet accepted, has the listener in its queue.
	struct sockaddr_un n = {.sun_family = AF_UNIX};
	socklen_t len = sizeof n;
	int s = MUST(socket(AF_UNIX, SOCK_STREAM, 0)), c = MUST(socket(AF_UNIX, SOCK_STREAM, 0));
	MUST(bind(s, (void *)&n, sizeof n.sun_family));
	MUST(listen(s, 2));
	getsockname(s, (void *)&n, &len);
	MUST(connect(c, (void *)&n, len));
	dead = canary(c);
	MUST(give(c, &s, 1));
	close(c);
	OK("a listener in its own queue lives", (poke(), alive(dead)));
	close(s);
	OK("a listener in its own queue", ended(dead));
}

static void bounds(void)
{
	int p[2], fds[254];
	MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, p));
	for (int i = 0; i < 254; i++)
		fds[i] = 1;
	EQ("253 descriptors", give(p[0], fds, 253), 1);
	FAILS("254 descriptors", give(p[0], fds, 254), EINVAL);
	FAILS("a bad descriptor", give(p[0], (int[]){1, -1}, 2), EBADF);
	EQ("receive 253", take(p[1], fds, 253, 0), 253);
	for (int i = 0; i < 253; i++)
		close(fds[i]);
	close(p[0]), close(p[1]);

	// Files in flight of a user are limited by RLIMIT_NOFILE.
	fflush(stdout);
	int pid = fork();
	if (pid == 0) {
		struct rlimit l = {16, 16};
		failures = 0;
		MUST(setgroups(0, NULL));
		MUST(setresgid(54321, 54321, 54321));
		MUST(setresuid(54321, 54321, 54321));
		MUST(setrlimit(RLIMIT_NOFILE, &l));
		int a[2], n = 0;
		MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, a));
		while (give(a[0], &a[0], 1) == 1)
			n++;
		int e = errno;
		EQ("too many in flight", e, ETOOMANYREFS);
		EQ("in flight", n, 17);
		int fd;
		EQ("one is received", take(a[1], &fd, 1, 0), 1);
		close(fd);
		EQ("one more in flight", give(a[0], &a[0], 1), 1);
		FAILS("and no more", give(a[0], &a[0], 1), ETOOMANYREFS);
		EQ("data without a descriptor", send(a[0], "y", 1, 0), 1);
		done();
	}
	int status;
	waitpid(pid, &status, 0);
	EQ("status of the other user", status, 0);
	struct rlimit old, l;
	getrlimit(RLIMIT_NOFILE, &old);
	l = old, l.rlim_cur = 16;
	setrlimit(RLIMIT_NOFILE, &l);
	int n = 0;
	MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, p));
	while (n < 100 && give(p[0], &p[0], 1) == 1)
		n++;
	EQ("root is not limited", n, 100);
	close(p[0]), close(p[1]);
	setrlimit(RLIMIT_NOFILE, &old);
}

int main(void)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	struct rlimit l = {1 << 16, 1 << 16};
	setrlimit(RLIMIT_NOFILE, &l);
	chain();
	circles();
	bounds();
	done();
}
