// unix(7): streams, datagrams and sequenced packets, names, descriptors and credentials in messages.
#include "check.h"
#include <poll.h>
#include <stddef.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <linux/sockios.h>

static int signals;
static void on_signal(int s) { (void)s; signals++; }

static socklen_t name(struct sockaddr_un *a, const char *path)
{
	memset(a, 0, sizeof *a);
	a->sun_family = AF_UNIX;
	if (path[0] == '@') {
		memcpy(a->sun_path + 1, path + 1, strlen(path) - 1);
		return offsetof(struct sockaddr_un, sun_path) + strlen(path);
	}
	strcpy(a->sun_path, path);
	return sizeof *a;
}

static int named(int type, const char *path)
{
	struct sockaddr_un a;
	socklen_t n = name(&a, path);
	int fd = MUST(socket(AF_UNIX, type, 0));
	MUST(bind(fd, (void *)&a, n));
	return fd;
}

static int join(int fd, const char *path)
{
	struct sockaddr_un a;
	socklen_t n = name(&a, path);
	return connect(fd, (void *)&a, n);
}

static short ready(int fd)
{
	struct pollfd p = {fd, POLLIN | POLLOUT | POLLRDHUP | POLLPRI, 0};
	poll(&p, 1, 0);
	return p.revents;
}

static void *write_later(void *arg)
{
	sleep_ms(30);
	write(*(int *)arg, "late", 4);
	return NULL;
}

static void *drain(void *arg)
{
	static char b[4096];
	long total = 0;
	for (ssize_t n; (n = read(*(int *)arg, b, sizeof b)) > 0;)
		total += n;
	return (void *)total;
}

static void streams(void)
{
	int s[2];
	char b[64];
	OK("pair", socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, s) == 0);
	EQ("cloexec", fcntl(s[0], F_GETFD), FD_CLOEXEC);
	EQ("flags", fcntl(s[0], F_GETFL), O_RDWR);
	struct stat st;
	OK("fstat", fstat(s[0], &st) == 0 && S_ISSOCK(st.st_mode) && (st.st_mode & 07777) == 0777);
	FAILS("lseek", lseek(s[0], 0, SEEK_SET), ESPIPE);
	FAILS("pread", pread(s[0], b, 1, 0), ESPIPE);
	EQ("fresh", ready(s[0]), POLLOUT);
	EQ("write", write(s[0], "hello", 5), 5);
	EQ("write more", write(s[0], " world", 6), 6);
	EQ("readable", ready(s[1]), POLLIN | POLLOUT);
	int n = 0;
	EQ("inq", ioctl(s[1], SIOCINQ, &n), 0);
	EQ("inq bytes", n, 11);
	OK("outq", ioctl(s[0], SIOCOUTQ, &n) == 0 && n >= 11);
	EQ("peek", recv(s[1], b, 5, MSG_PEEK), 5);
	EQ("read joins", read(s[1], b, sizeof b), 11);
	OK("bytes", memcmp(b, "hello world", 11) == 0);
	EQ("outq empty", (ioctl(s[0], SIOCOUTQ, &n), n), 0);
	FAILS("dontwait", recv(s[1], b, 1, MSG_DONTWAIT), EAGAIN);
	EQ("write nothing", write(s[0], "", 0), 0);
	FAILS("still empty", recv(s[1], b, 1, MSG_DONTWAIT), EAGAIN);
	EQ("read nothing", read(s[1], b, 0), 0);
	pthread_t t;
	pthread_create(&t, NULL, write_later, &s[0]);
	EQ("blocking read", read(s[1], b, sizeof b), 4);
	pthread_join(t, NULL);
	write(s[0], "ab", 2);
	pthread_create(&t, NULL, write_later, &s[0]);
	EQ("waitall", recv(s[1], b, 6, MSG_WAITALL), 6);
	OK("waitall bytes", memcmp(b, "ablate", 6) == 0);
	pthread_join(t, NULL);
	struct timeval tv = {0, 40000};
	EQ("rcvtimeo", setsockopt(s[1], SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv), 0);
	int64_t before = now_ns(CLOCK_MONOTONIC);
	FAILS("timeout", read(s[1], b, 1), EAGAIN);
	OK("timeout waits", now_ns(CLOCK_MONOTONIC) - before >= 39000000);
	tv.tv_usec = 0;
	setsockopt(s[1], SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv);
	write(s[0], "xyz", 3);
	EQ("trunc copies", recv(s[1], b, 2, MSG_TRUNC), 2);
	EQ("rest", read(s[1], b, sizeof b), 1);

	// A buffer that is full.
	fcntl(s[0], F_SETFL, O_NONBLOCK);
	static char big[65536];
	long total = 0;
	for (ssize_t k; (k = write(s[0], big, sizeof big)) > 0;)
		total += k;
	int why = errno;
	EQ("full", why, EAGAIN);
	OK("bounded", total > 65536 && total < 4 << 20);
	EQ("full is not writable", ready(s[0]), 0);
	pthread_create(&t, NULL, drain, &s[1]);
	fcntl(s[0], F_SETFL, 0);
	long more = 0;
	for (int i = 0; i < 20; i++)
		more += write(s[0], big, sizeof big);
	EQ("blocking writes", more, 20 * 65536);
	EQ("shutdown", shutdown(s[0], SHUT_WR), 0);
	void *got;
	pthread_join(t, &got);
	EQ("all arrived", (long)got, total + more);
	EQ("half closed", ready(s[1]), POLLIN | POLLOUT | POLLRDHUP);
	FAILS("write after shutdown", send(s[0], "x", 1, MSG_NOSIGNAL), EPIPE);
	EQ("other way", write(s[1], "back", 4), 4);
	EQ("other way read", read(s[0], b, sizeof b), 4);
	FAILS("shutdown what", shutdown(s[0], 3), EINVAL);
	close(s[1]);
	EQ("hung up", ready(s[0]), POLLIN | POLLOUT | POLLRDHUP | POLLHUP);
	EQ("end", read(s[0], b, 1), 0);
	signal(SIGPIPE, on_signal);
	FAILS("sigpipe", write(s[0], "x", 1), EPIPE);
	EQ("sigpipe came", signals, 1);
	close(s[0]);

	// Unread data makes a close a reset.
	MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
	write(s[0], "unread", 6);
	close(s[1]);
	OK("reset is an error", ready(s[0]) & POLLERR);
	FAILS("reset", read(s[0], b, 1), ECONNRESET);
	EQ("reset once", read(s[0], b, 1), 0);
	close(s[0]);
}

static void *accept_later(void *arg)
{
	sleep_ms(30);
	return (void *)(long)accept(*(int *)arg, NULL, NULL);
}

static void connections(void)
{
	struct sockaddr_un a;
	socklen_t n = sizeof a;
	char b[64];
	int l = named(SOCK_STREAM, "listener");
	struct stat st;
	OK("inode", stat("listener", &st) == 0 && S_ISSOCK(st.st_mode));
	FAILS("open socket", open("listener", O_RDWR), ENXIO);
	int c = MUST(socket(AF_UNIX, SOCK_STREAM, 0));
	EQ("unconnected", ready(c), POLLOUT | POLLHUP);
	FAILS("read unconnected", read(c, b, 1), EINVAL);
	FAILS("send unconnected", send(c, b, 1, MSG_NOSIGNAL), ENOTCONN);
	FAILS("peer of nothing", getpeername(c, (void *)&a, &n), ENOTCONN);
	FAILS("not listening", join(c, "listener"), ECONNREFUSED);
	FAILS("no such name", join(c, "nobody"), ENOENT);
	put("regular", "");
	FAILS("not a socket", join(c, "regular"), ECONNREFUSED);
	FAILS("bind again", ({ socklen_t k = name(&a, "listener"); bind(c, (void *)&a, k); }), EADDRINUSE);
	FAILS("listen unbound", listen(c, 1), EINVAL);
	FAILS("accept not listening", accept(c, NULL, NULL), EINVAL);
	EQ("listen", listen(l, 5), 0);
	fcntl(l, F_SETFL, O_NONBLOCK);
	FAILS("nobody there", accept(l, NULL, NULL), EAGAIN);
	EQ("listener idle", ready(l), 0);
	EQ("connect", join(c, "listener"), 0);
	EQ("listener readable", ready(l), POLLIN);
	FAILS("connect twice", join(c, "listener"), EISCONN);
	EQ("write before accept", write(c, "early", 5), 5);
	n = sizeof a;
	memset(&a, 0xff, sizeof a);
	int d = accept4(l, (void *)&a, &n, SOCK_CLOEXEC | SOCK_NONBLOCK);
	OK("accept4", d >= 0);
	EQ("peer is unnamed", n, 2);
	EQ("accepted flags", fcntl(d, F_GETFL), O_RDWR | O_NONBLOCK);
	EQ("read early", read(d, b, sizeof b), 5);
	n = sizeof a;
	EQ("accepted name", getsockname(d, (void *)&a, &n), 0);
	EQ("accepted name size", n, 2 + sizeof "listener");
	STR("accepted name is", a.sun_path, "listener");
	n = sizeof a;
	EQ("peer name", getpeername(c, (void *)&a, &n), 0);
	STR("peer name is", a.sun_path, "listener");
	n = 5;
	memset(&a, 0, sizeof a);
	EQ("short room", getpeername(c, (void *)&a, &n), 0);
	OK("short room cut", n == 11 && strcmp(a.sun_path, "lis") == 0);
	struct ucred u;
	n = sizeof u;
	EQ("peercred", getsockopt(c, SOL_SOCKET, SO_PEERCRED, &u, &n), 0);
	OK("peercred is us", u.pid == getpid() && u.uid == geteuid() && u.gid == getegid() && n == sizeof u);
	int v;
	n = sizeof v;
	OK("acceptconn", getsockopt(l, SOL_SOCKET, SO_ACCEPTCONN, &v, &n) == 0 && v == 1);
	OK("type", getsockopt(l, SOL_SOCKET, SO_TYPE, &v, &n) == 0 && v == SOCK_STREAM);
	OK("domain", getsockopt(l, SOL_SOCKET, SO_DOMAIN, &v, &n) == 0 && v == AF_UNIX);
	FAILS("sendto connected", sendto(c, "x", 1, 0, (void *)&a, sizeof a), EISCONN);
	close(c);
	EQ("eof", read(d, b, 1), 0);
	close(d);

	// The queue of connections.
	EQ("backlog", listen(l, 1), 0);
	int q[4];
	for (int i = 0; i < 4; i++)
		q[i] = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
	EQ("queue 1", join(q[0], "listener"), 0);
	EQ("queue 2", join(q[1], "listener"), 0);
	FAILS("queue full", join(q[2], "listener"), EAGAIN);
	fcntl(q[3], F_SETFL, 0);
	pthread_t t;
	fcntl(l, F_SETFL, 0);
	pthread_create(&t, NULL, accept_later, &l);
	EQ("waits for room", join(q[3], "listener"), 0);
	void *fd;
	pthread_join(t, &fd);
	close((long)fd);
	unlink("listener");
	int dg = named(SOCK_DGRAM, "datagram");
	FAILS("wrong type of path", join(q[2], "datagram"), EPROTOTYPE);
	close(dg);
	FAILS("unlinked", join(q[2], "listener"), ENOENT);
	close(l);
	FAILS("closed listener resets", (write(q[1], "x", 1) < 0 && errno == EPIPE) ? -1 : (errno = 0), EPIPE);
	for (int i = 0; i < 4; i++)
		close(q[i]);

	l = named(SOCK_STREAM, "left");
	listen(l, 1);
	close(l);
	c = MUST(socket(AF_UNIX, SOCK_STREAM, 0));
	FAILS("name without socket", join(c, "left"), ECONNREFUSED);
	close(c);

	// Abstract names.
	l = named(SOCK_SEQPACKET, "@abstract name");
	FAILS("abstract in use", ({ int x = socket(AF_UNIX, SOCK_SEQPACKET, 0); socklen_t k = name(&a, "@abstract name");
		int r = bind(x, (void *)&a, k); int e = errno; close(x); errno = e; r; }), EADDRINUSE);
	c = MUST(socket(AF_UNIX, SOCK_STREAM, 0));
	FAILS("wrong type", join(c, "@abstract name"), ECONNREFUSED);
	FAILS("abstract refused", join(c, "@other"), ECONNREFUSED);
	close(c);
	listen(l, 3);
	c = MUST(socket(AF_UNIX, SOCK_SEQPACKET, 0));
	EQ("seqpacket connect", join(c, "@abstract name"), 0);
	d = accept(l, NULL, NULL);
	n = sizeof a;
	getpeername(c, (void *)&a, &n);
	OK("abstract peer", n == 2 + 14 && memcmp(a.sun_path, "\0abstract name", 14) == 0);
	EQ("record", send(c, "one", 3, 0), 3);
	EQ("record 2", send(c, "second", 6, 0), 6);
	EQ("record apart", recv(d, b, sizeof b, 0), 3);
	struct iovec iov = {b, 2};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};
	EQ("record cut", recvmsg(d, &m, 0), 2);
	EQ("record cut flag", m.msg_flags, MSG_TRUNC);
	close(c);
	EQ("record end", recv(d, b, sizeof b, 0), 0);
	close(d);
	close(l);
	struct sockaddr_un only = {.sun_family = AF_UNIX};
	c = MUST(socket(AF_UNIX, SOCK_STREAM, 0));
	EQ("autobind", bind(c, (void *)&only, 2), 0);
	n = sizeof a;
	getsockname(c, (void *)&a, &n);
	OK("autobind name", n == 8 && a.sun_path[0] == 0);
	FAILS("bad family", ({ a.sun_family = AF_INET; connect(c, (void *)&a, n); }), EINVAL);
	FAILS("bad length", connect(c, (void *)&only, 1), EINVAL);
	close(c);
}

static void datagrams(void)
{
	char b[64];
	struct sockaddr_un a, from;
	socklen_t n;
	int r = named(SOCK_DGRAM, "rx"), s = MUST(socket(AF_UNIX, SOCK_DGRAM, 0));
	FAILS("dgram unconnected", send(s, "x", 1, 0), ENOTCONN);
	FAILS("dgram listen", listen(s, 1), EOPNOTSUPP);
	FAILS("dgram accept", accept(s, NULL, NULL), EOPNOTSUPP);
	n = name(&a, "rx");
	EQ("sendto", sendto(s, "first", 5, 0, (void *)&a, n), 5);
	EQ("sendto empty", sendto(s, "", 0, 0, (void *)&a, n), 0);
	n = sizeof from;
	EQ("recvfrom", recvfrom(r, b, sizeof b, 0, (void *)&from, &n), 5);
	EQ("unnamed sender", n, 0);
	EQ("empty datagram", recv(r, b, sizeof b, 0), 0);
	int t = named(SOCK_DGRAM, "tx");
	EQ("dgram connect", join(t, "rx"), 0);
	EQ("dgram send", send(t, "0123456789", 10, 0), 10);
	EQ("dgram again", write(t, "ab", 2), 2);
	EQ("dgram peek", recv(r, b, 4, MSG_PEEK | MSG_TRUNC), 10);
	n = sizeof from;
	EQ("dgram cut", recvfrom(r, b, 4, 0, (void *)&from, &n), 4);
	OK("sender", n == 2 + 3 && strcmp(from.sun_path, "tx") == 0);
	int inq = 0;
	EQ("dgram inq", (ioctl(r, SIOCINQ, &inq), inq), 2);
	EQ("dgram next", read(r, b, sizeof b), 2);
	FAILS("dgram empty", recv(r, b, 1, MSG_DONTWAIT), EAGAIN);
	EQ("connect back", join(r, "tx"), 0);
	FAILS("not its peer", ({ n = name(&a, "rx"); sendto(s, "x", 1, 0, (void *)&a, n); }), EPERM);
	struct sockaddr un = {.sa_family = AF_UNSPEC};
	EQ("unconnect", connect(r, &un, sizeof un), 0);
	fcntl(t, F_SETFL, O_NONBLOCK);
	int sent = 0;
	while (send(t, "x", 1, 0) == 1)
		sent++;
	int why = errno;
	EQ("dgram full", why, EAGAIN);
	OK("dgram bounded", sent > 0 && sent < 5000);
	EQ("full not writable", ready(t) & POLLOUT, 0);
	recv(r, b, 1, 0);
	for (int i = 1; i < sent; i++)
		recv(r, b, 1, 0);
	EQ("writable again", ready(t), POLLOUT);
	static char huge[300000];
	FAILS("too long", send(t, huge, sizeof huge, 0), EMSGSIZE);
	close(r);
	FAILS("dgram gone", send(t, "x", 1, 0), ECONNREFUSED);
	FAILS("dgram disconnected", send(t, "x", 1, 0), ENOTCONN);
	close(s);
	close(t);
	int p[2];
	MUST(socketpair(AF_UNIX, SOCK_DGRAM, 0, p));
	struct mmsghdr mm[3];
	struct iovec iov[3];
	static char text[3][8] = {"one", "two", "three"};
	memset(mm, 0, sizeof mm);
	for (int i = 0; i < 3; i++) {
		iov[i] = (struct iovec){text[i], strlen(text[i])};
		mm[i].msg_hdr.msg_iov = &iov[i];
		mm[i].msg_hdr.msg_iovlen = 1;
	}
	EQ("sendmmsg", sendmmsg(p[0], mm, 3, 0), 3);
	EQ("sendmmsg length", mm[2].msg_len, 5);
	memset(text, 0, sizeof text);
	for (int i = 0; i < 3; i++)
		iov[i].iov_len = 8;
	EQ("recvmmsg", recvmmsg(p[1], mm, 3, 0, NULL), 3);
	OK("recvmmsg texts", mm[0].msg_len == 3 && mm[2].msg_len == 5 && strcmp(text[2], "three") == 0);
	write(p[0], "z", 1);
	EQ("waitforone", recvmmsg(p[1], mm, 3, MSG_WAITFORONE, NULL), 1);
	FAILS("recvmmsg empty", recvmmsg(p[1], mm, 3, MSG_DONTWAIT, NULL), EAGAIN);
	shutdown(p[1], SHUT_RD);
	FAILS("dgram epipe", write(p[0], "x", 1), EPIPE);
	close(p[0]);
	close(p[1]);
}

static int send_fds(int s, const int *fds, int n, const char *text)
{
	union { struct cmsghdr h; char b[CMSG_SPACE(16 * sizeof(int))]; } c;
	struct iovec iov = {(void *)text, strlen(text)};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &c, .msg_controllen = CMSG_SPACE(n * sizeof(int))};
	memset(&c, 0, sizeof c);
	c.h.cmsg_level = SOL_SOCKET;
	c.h.cmsg_type = SCM_RIGHTS;
	c.h.cmsg_len = CMSG_LEN(n * sizeof(int));
	memcpy(CMSG_DATA(&c.h), fds, n * sizeof(int));
	return sendmsg(s, &m, 0);
}

// recv_fds returns how many descriptors came, or -1.
static int recv_fds(int s, int *fds, int room, int flags, int *out)
{
	char b[64];
	union { struct cmsghdr h; char b[CMSG_SPACE(16 * sizeof(int))]; } c;
	struct iovec iov = {b, sizeof b};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = room ? &c : NULL,
		.msg_controllen = room ? CMSG_LEN(room * sizeof(int)) : 0};
	if (recvmsg(s, &m, flags) < 0)
		return -1;
	*out = m.msg_flags;
	if (m.msg_controllen < sizeof c.h || c.h.cmsg_type != SCM_RIGHTS)
		return 0;
	int n = (c.h.cmsg_len - CMSG_LEN(0)) / sizeof(int);
	memcpy(fds, CMSG_DATA(&c.h), n * sizeof(int));
	return n;
}

static void rights(void)
{
	int s[2], p[2], fds[16], out;
	char b[16];
	MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
	MUST(pipe(p));
	EQ("send rights", send_fds(s[0], p, 2, "pipe"), 4);
	close(p[0]);
	close(p[1]);
	EQ("rights came", recv_fds(s[1], fds, 2, MSG_CMSG_CLOEXEC, &out), 2);
	EQ("rights flags", out, MSG_CMSG_CLOEXEC);
	EQ("rights cloexec", fcntl(fds[0], F_GETFD), FD_CLOEXEC);
	EQ("rights work", (write(fds[1], "through", 7), read(fds[0], b, sizeof b)), 7);
	int two[2] = {fds[0], fds[1]};
	send_fds(s[0], two, 2, "x");
	EQ("room for one", recv_fds(s[1], fds, 1, 0, &out), 1);
	EQ("one is cut", out, MSG_CTRUNC);
	close(fds[0]);
	send_fds(s[0], two, 2, "x");
	EQ("no room", recv_fds(s[1], fds, 0, 0, &out), 0);
	EQ("no room is cut", out, MSG_CTRUNC);
	send_fds(s[0], two, 1, "first");
	send_fds(s[0], two, 1, "second");
	EQ("rights stop a read", recv_fds(s[1], fds, 4, 0, &out), 1);
	close(fds[0]);
	EQ("rights of the next", recv_fds(s[1], fds, 4, 0, &out), 1);
	close(fds[0]);
	int bad = 999;
	FAILS("bad descriptor", send_fds(s[0], &bad, 1, "x"), EBADF);
	send_fds(s[0], two, 1, "peeked");
	EQ("peek rights", recv_fds(s[1], fds, 4, MSG_PEEK, &out), 1);
	close(fds[0]);
	EQ("peek again", recv_fds(s[1], fds, 4, 0, &out), 1);
	close(fds[0]);
	close(two[0]);
	// A closed queue closes what is in it.
	send_fds(s[0], &two[1], 1, "x");
	close(two[1]);
	close(s[0]);
	close(s[1]);
	MUST(pipe(p));
	MUST(socketpair(AF_UNIX, SOCK_DGRAM, 0, s));
	send_fds(s[0], &p[1], 1, "x");
	close(p[1]);
	close(s[1]);
	EQ("purged", read(p[0], b, 1), 0);
	close(p[0]);
	close(s[0]);
	// A circle: the pipe's writer is in a queue that only the queue itself holds.
	MUST(pipe(p));
	MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
	int both[2] = {s[1], p[1]};
	send_fds(s[0], both, 2, "x");
	close(p[1]);
	close(s[1]);
	close(s[0]);
	MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
	close(s[0]);
	close(s[1]);
	struct pollfd pf = {p[0], POLLIN, 0};
	EQ("circle collected", poll(&pf, 1, 5000), 1);
	close(p[0]);
}

static void credentials(void)
{
	int s[2], on = 1;
	char b[16];
	MUST(socketpair(AF_UNIX, SOCK_DGRAM, 0, s));
	union { struct cmsghdr h; char b[CMSG_SPACE(sizeof(struct ucred))]; } c;
	struct iovec iov = {b, sizeof b};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &c, .msg_controllen = sizeof c};
	struct ucred u;
	EQ("passcred", setsockopt(s[1], SOL_SOCKET, SO_PASSCRED, &on, sizeof on), 0);
	write(s[0], "x", 1);
	EQ("recv cred", recvmsg(s[1], &m, 0), 1);
	memcpy(&u, CMSG_DATA(&c.h), sizeof u);
	OK("cred type", m.msg_controllen == CMSG_SPACE(sizeof u) && c.h.cmsg_type == SCM_CREDENTIALS && c.h.cmsg_len == CMSG_LEN(sizeof u));
	OK("cred is us", u.pid == getpid() && u.uid == geteuid() && u.gid == getegid());
	memset(&c, 0, sizeof c);
	c.h.cmsg_level = SOL_SOCKET;
	c.h.cmsg_type = SCM_CREDENTIALS;
	c.h.cmsg_len = CMSG_LEN(sizeof u);
	memcpy(CMSG_DATA(&c.h), &u, sizeof u);
	m.msg_controllen = sizeof c;
	iov.iov_len = 1;
	EQ("send cred", sendmsg(s[0], &m, 0), 1);
	EQ("read cred", read(s[1], b, 1), 1);
	c.h.cmsg_len = CMSG_LEN(3);
	FAILS("short cred", sendmsg(s[0], &m, 0), EINVAL);
	c.h.cmsg_type = 77;
	c.h.cmsg_len = CMSG_LEN(4);
	FAILS("unknown cmsg", sendmsg(s[0], &m, 0), EINVAL);
	close(s[0]);
	close(s[1]);
}

static void *epoll_writer(void *arg)
{
	int fd = *(int *)arg;
	for (int i = 0; i < 200; i++) {
		write(fd, "x", 1);
		sched_yield();
	}
	shutdown(fd, SHUT_WR);
	return NULL;
}

static void events(void)
{
	int s[2], e = MUST(epoll_create1(0));
	MUST(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, s));
	struct epoll_event ev = {.events = EPOLLIN | EPOLLET | EPOLLRDHUP};
	MUST(epoll_ctl(e, EPOLL_CTL_ADD, s[1], &ev));
	pthread_t t;
	pthread_create(&t, NULL, epoll_writer, &s[0]);
	int total = 0, end = 0;
	char b[64];
	while (!end && epoll_wait(e, &ev, 1, 10000) == 1)
		for (ssize_t n;;) {
			n = read(s[1], b, sizeof b);
			if (n <= 0) {
				end = n == 0;
				break;
			}
			total += n;
		}
	pthread_join(t, NULL);
	EQ("edges", total, 200);
	ev.events = EPOLLOUT | EPOLLET;
	epoll_ctl(e, EPOLL_CTL_MOD, s[1], &ev);
	EQ("edge out", epoll_wait(e, &ev, 1, 0), 1);
	EQ("edge out once", epoll_wait(e, &ev, 1, 0), 0);
	close(s[0]);
	close(s[1]);
	close(e);
}

static void transfers(void)
{
	int s[2], p[2];
	static char data[100000], got[100000];
	for (size_t i = 0; i < sizeof data; i++)
		data[i] = i * 7 >> 2;
	int fd = MUST(open("data", O_RDWR | O_CREAT, 0600));
	write(fd, data, sizeof data);
	MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
	off_t off = 0;
	EQ("sendfile", sendfile(s[0], fd, &off, sizeof data), sizeof data);
	EQ("sendfile got", recv(s[1], got, sizeof got, MSG_WAITALL), sizeof got);
	OK("sendfile bytes", memcmp(data, got, sizeof data) == 0);
	MUST(pipe(p));
	write(p[1], "piped", 5);
	EQ("splice in", splice(p[0], NULL, s[0], NULL, 100, 0), 5);
	EQ("splice out", splice(s[1], NULL, p[1], NULL, 100, 0), 5);
	EQ("spliced", read(p[0], got, sizeof got), 5);
	FAILS("splice empty", splice(s[1], NULL, p[1], NULL, 100, SPLICE_F_NONBLOCK), EAGAIN);
	close(fd);
	close(s[0]);
	close(s[1]);
	int r, n = 70000;
	socklen_t len = sizeof r;
	MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
	EQ("sndbuf", setsockopt(s[0], SOL_SOCKET, SO_SNDBUF, &n, sizeof n), 0);
	OK("sndbuf doubled", getsockopt(s[0], SOL_SOCKET, SO_SNDBUF, &r, &len) == 0 && r == 140000);
	n = 1;
	setsockopt(s[0], SOL_SOCKET, SO_SNDBUF, &n, sizeof n);
	OK("sndbuf least", getsockopt(s[0], SOL_SOCKET, SO_SNDBUF, &r, &len) == 0 && r == 4608);
	FAILS("option level", setsockopt(s[0], 6, 1, &n, sizeof n), EOPNOTSUPP);
	FAILS("option", setsockopt(s[0], SOL_SOCKET, 9999, &n, sizeof n), ENOPROTOOPT);
	FAILS("option length", setsockopt(s[0], SOL_SOCKET, SO_PASSCRED, &n, 2), EINVAL);
	close(s[0]);
	close(s[1]);
	FAILS("not a socket", listen(p[0], 1), ENOTSOCK);
	FAILS("not open", listen(999, 1), EBADF);
	FAILS("family", socket(77, SOCK_STREAM, 0), EAFNOSUPPORT);
	FAILS("type", socket(AF_UNIX, 9, 0), ESOCKTNOSUPPORT);
	FAILS("protocol", socket(AF_UNIX, SOCK_STREAM, 9), EPROTONOSUPPORT);
	FAILS("flags", socket(AF_UNIX, SOCK_STREAM | 0x100, 0), EINVAL);
}

int main(void)
{
	setvbuf(stdout, NULL, _IOFBF, 1 << 16);
	work_dir();
	streams();
	connections();
	datagrams();
	rights();
	credentials();
	events();
	transfers();
	done();
}
