// Sockets at their ends and edges: shutdown(2) of both directions, resets, connections that fail, listeners that stop and
// start again, calls that wait for all they asked for, queues of errors. What a server meets on a bad day.
#include "check.h"
#include <arpa/inet.h>
#include <linux/errqueue.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>

static char buf[1 << 17];

static int set(int fd, int level, int name, int v) { return setsockopt(fd, level, name, &v, sizeof v); }

static int option(int fd, int level, int name)
{
	int v = -77;
	socklen_t n = sizeof v;
	return getsockopt(fd, level, name, &v, &n) ? -1 : v;
}

static struct sockaddr_in local(int port)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	return a;
}

static int port_of(int fd)
{
	struct sockaddr_in a;
	socklen_t n = sizeof a;
	return getsockname(fd, (void *)&a, &n) ? -1 : ntohs(a.sin_port);
}

static int bound(int type)
{
	struct sockaddr_in a = local(0);
	int fd = MUST(socket(AF_INET, type, 0));
	MUST(bind(fd, (void *)&a, sizeof a));
	return fd;
}

static int join(int fd, int port)
{
	struct sockaddr_in a = local(port);
	return connect(fd, (void *)&a, sizeof a);
}

static void pair(int s[2])
{
	int l = bound(SOCK_STREAM);
	MUST(listen(l, 1));
	s[0] = MUST(socket(AF_INET, SOCK_STREAM, 0));
	MUST(join(s[0], port_of(l)));
	s[1] = MUST(accept(l, NULL, NULL));
	close(l);
}

static short ready(int fd)
{
	struct pollfd p = {fd, POLLIN | POLLOUT | POLLPRI | POLLRDHUP, 0};
	poll(&p, 1, 0);
	return p.revents;
}

// await waits for one of events.
static short await(int fd, short events)
{
	struct pollfd p = {fd, events, 0};
	poll(&p, 1, 30000);
	return p.revents;
}

static int gone(int fd) // a port that nobody listens on
{
	int port = port_of(fd);
	close(fd);
	return port;
}

enum { ENDED = POLLIN | POLLOUT | POLLRDHUP | POLLHUP, FRESH = POLLOUT | POLLHUP };

static void ends(void)
{
	int s[2];
	socklen_t n;
	struct sockaddr_in a;
	// Both directions are shut down with something unread: that is no reset.
	pair(s);
	write(s[1], "abc", 3);
	await(s[0], POLLIN);
	write(s[0], "answer", 6);
	EQ("shutdown both", shutdown(s[0], SHUT_RDWR), 0);
	EQ("hung up", ready(s[0]), ENDED);
	await(s[1], POLLRDHUP);
	EQ("peer has the end", ready(s[1]), POLLIN | POLLOUT | POLLRDHUP);
	EQ("peer has the answer", recv(s[1], buf, 10, 0), 6);
	EQ("and the end", recv(s[1], buf, 10, 0), 0);
	EQ("unread is read", recv(s[0], buf, 10, 0), 3);
	EQ("no more", recv(s[0], buf, 10, 0), 0);
	EQ("the peer has no idea", send(s[1], "yy", 2, 0), 2);
	OK("what comes now is refused", await(s[1], POLLERR) & POLLERR);
	FAILS("reset here", recv(s[0], buf, 10, 0), ECONNRESET);
	EQ("told once", recv(s[0], buf, 10, 0), 0);
	EQ("a broken pipe there", option(s[1], SOL_SOCKET, SO_ERROR), EPIPE);
	EQ("told there", option(s[1], SOL_SOCKET, SO_ERROR), 0);
	EQ("over", ready(s[1]), ENDED);
	FAILS("shutdown after", shutdown(s[1], SHUT_RDWR), ENOTCONN);
	close(s[0]);
	close(s[1]);

	// The peer has closed, and refuses what is written.
	pair(s);
	close(s[0]);
	await(s[1], POLLRDHUP);
	EQ("write to the closed", write(s[1], "x", 1), 1);
	OK("is an error", await(s[1], POLLERR) & POLLERR);
	EQ("is not read", read(s[1], buf, 1), 0);
	FAILS("but written", send(s[1], "x", 1, MSG_NOSIGNAL), EPIPE);
	EQ("written once", option(s[1], SOL_SOCKET, SO_ERROR), 0);
	close(s[1]);

	// Both sides end in turn.
	pair(s);
	EQ("one side", shutdown(s[0], SHUT_WR), 0);
	EQ("sees the end", recv(s[1], buf, 1, 0), 0);
	EQ("other side", shutdown(s[1], SHUT_WR), 0);
	EQ("sees it too", recv(s[0], buf, 1, 0), 0);
	await(s[0], POLLHUP);
	EQ("no error", ready(s[0]), ENDED);
	EQ("none pending", option(s[0], SOL_SOCKET, SO_ERROR), 0);
	FAILS("no peer", getpeername(s[0], (void *)&a, (n = sizeof a, &n)), ENOTCONN);
	close(s[0]);
	close(s[1]);
}

static void connecting(void)
{
	int port = gone(bound(SOCK_STREAM)), c = MUST(socket(AF_INET, SOCK_STREAM, 0));
	FAILS("refused", join(c, port), ECONNREFUSED);
	EQ("as new", ready(c), FRESH);
	FAILS("nothing to read", read(c, buf, 1), ENOTCONN);
	FAILS("nor of no length", recv(c, buf, 0, 0), ENOTCONN);
	FAILS("again", join(c, port), ECONNREFUSED);
	close(c);
	c = MUST(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0));
	FAILS("begun", join(c, port), EINPROGRESS);
	await(c, POLLOUT);
	FAILS("told by read", read(c, buf, 1), ECONNREFUSED);
	EQ("then the end", read(c, buf, 1), 0);
	FAILS("told already", join(c, port), ECONNABORTED);
	close(c);
	struct sockaddr_in all = local(9);
	all.sin_addr.s_addr = INADDR_BROADCAST;
	c = MUST(socket(AF_INET, SOCK_STREAM, 0));
	FAILS("to all", connect(c, (void *)&all, sizeof all), ENETUNREACH);
	close(c);
	c = MUST(socket(AF_INET, SOCK_DGRAM, 0));
	FAILS("datagrams to all", connect(c, (void *)&all, sizeof all), EACCES);
	close(c);
}

static void listening(void)
{
	int l = bound(SOCK_STREAM), c, d;
	MUST(listen(l, 4));
	EQ("shutdown of a listener", shutdown(l, SHUT_RD), 0);
	EQ("it listens no more", ready(l), FRESH);
	FAILS("accepts no more", accept(l, NULL, NULL), EINVAL);
	EQ("listen again", listen(l, 4), 0);
	EQ("it does", ready(l), 0);
	c = MUST(socket(AF_INET, SOCK_STREAM, 0));
	EQ("connect again", join(c, port_of(l)), 0);
	OK("accept again", (d = accept(l, NULL, NULL)) >= 0);
	close(c);
	close(d);

	// Without a descriptor the connection stays where it is.
	struct rlimit old, few;
	getrlimit(RLIMIT_NOFILE, &old);
	c = MUST(socket(AF_INET, SOCK_STREAM, 0));
	MUST(join(c, port_of(l)));
	await(l, POLLIN);
	few = old;
	few.rlim_cur = c + 1;
	setrlimit(RLIMIT_NOFILE, &few);
	FAILS("no descriptor", accept(l, NULL, NULL), EMFILE);
	EQ("still there", ready(l), POLLIN);
	setrlimit(RLIMIT_NOFILE, &old);
	FAILS("bad address", accept(l, (void *)8, &(socklen_t){16}), EFAULT);
	close(c);
	c = MUST(socket(AF_INET, SOCK_STREAM, 0));
	MUST(join(c, port_of(l)));
	await(l, POLLIN);
	setrlimit(RLIMIT_NOFILE, &few);
	FAILS("no descriptor again", accept(l, NULL, NULL), EMFILE);
	setrlimit(RLIMIT_NOFILE, &old);
	OK("accepted then", (d = accept(l, NULL, NULL)) == c + 1);
	EQ("and alive", write(c, "x", 1) + read(d, buf, 1), 2);
	close(c);
	close(d);
	close(l);
}

static void *later(void *arg)
{
	sleep_ms(30);
	write(*(int *)arg, "6789", 4);
	return NULL;
}

static int send_fds(int s, int fd, int n, const char *text)
{
	union { struct cmsghdr h; char b[CMSG_SPACE(4 * sizeof(int))]; } c;
	struct iovec iov = {(void *)text, strlen(text)};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &c, .msg_controllen = CMSG_SPACE(n * sizeof(int))};
	c.h = (struct cmsghdr){CMSG_LEN(n * sizeof(int)), SOL_SOCKET, SCM_RIGHTS};
	for (int i = 0; i < n; i++)
		memcpy(CMSG_DATA(&c.h) + i * sizeof(int), &fd, sizeof(int));
	return sendmsg(s, &m, 0);
}

// came receives a message; kind counts the control messages of each type, 100 for one of credentials, and each descriptor.
static int came(int s, int flags, int room, int *kind, int *out)
{
	char c[256];
	struct iovec iov = {buf, room};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = c, .msg_controllen = sizeof c};
	int n = recvmsg(s, &m, flags);
	*kind = 0;
	*out = m.msg_flags;
	for (struct cmsghdr *h = n < 0 ? NULL : CMSG_FIRSTHDR(&m); h; h = CMSG_NXTHDR(&m, h)) {
		if (h->cmsg_type == SCM_CREDENTIALS)
			*kind += 100;
		if (h->cmsg_type == SCM_RIGHTS)
			for (unsigned i = 0; i < (h->cmsg_len - CMSG_LEN(0)) / sizeof(int); i++, ++*kind)
				close(((int *)CMSG_DATA(h))[i]);
	}
	return n;
}

static void waiting(void)
{
	int s[2], kind, out;
	pthread_t t;
	pair(s);
	write(s[1], "12345", 5);
	await(s[0], POLLIN);
	EQ("look at all there is", recv(s[0], buf, 9, MSG_PEEK | MSG_WAITALL | MSG_DONTWAIT), 5);
	pthread_create(&t, NULL, later, &s[1]);
	EQ("look at all", recv(s[0], buf, 9, MSG_PEEK | MSG_WAITALL), 9);
	pthread_join(t, NULL);
	OK("from the start", memcmp(buf, "123456789", 9) == 0);
	EQ("read all", recv(s[0], buf, 100, 0), 9);
	FAILS("nothing of no length", recv(s[0], buf, 0, MSG_DONTWAIT), EAGAIN);
	EQ("but read(2)", read(s[0], buf, 0), 0);
	write(s[1], "123", 3);
	shutdown(s[1], SHUT_WR);
	EQ("look until the end", recv(s[0], buf, 9, MSG_PEEK | MSG_WAITALL), 3);
	close(s[0]);
	close(s[1]);

	MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
	FAILS("nothing of no length in unix", recv(s[0], buf, 0, MSG_DONTWAIT), EAGAIN);
	send_fds(s[0], 0, 1, "ab");
	send_fds(s[0], 0, 2, "cd");
	write(s[0], "ef", 2);
	EQ("descriptors end a call", came(s[1], MSG_WAITALL, 6, &kind, &out), 2);
	EQ("theirs", kind, 1);
	EQ("the next ones", came(s[1], MSG_WAITALL, 4, &kind, &out), 2);
	EQ("theirs again", kind, 2);
	EQ("none", came(s[1], MSG_WAITALL, 2, &kind, &out), 2);
	EQ("no descriptor", kind, 0);
	set(s[1], SOL_SOCKET, SO_PASSCRED, 1);
	write(s[0], "12345", 5);
	pthread_create(&t, NULL, later, &s[0]);
	EQ("all, with credentials", came(s[1], MSG_WAITALL, 9, &kind, &out), 9);
	pthread_join(t, NULL);
	EQ("once", kind, 100);
	close(s[0]);
	close(s[1]);

	int u = bound(SOCK_DGRAM);
	set(u, SOL_IP, IP_PKTINFO, 1);
	join(u, port_of(u));
	write(u, "x", 1);
	struct iovec iov = {buf, 10};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};
	EQ("no room for control", recvmsg(u, &m, 0), 1);
	EQ("is told", m.msg_flags, MSG_CTRUNC);
	close(u);
}

// Errors that ICMP brings, in the queue of IP_RECVERR.
static void errors(void)
{
	int port = gone(bound(SOCK_DGRAM)), c = MUST(socket(AF_INET, SOCK_DGRAM, 0)), kind, out;
	MUST(join(c, port));
	set(c, SOL_IP, IP_RECVERR, 1);
	write(c, "yz", 2);
	OK("an error", await(c, POLLERR) & POLLERR);
	EQ("in the queue", came(c, MSG_ERRQUEUE, 10, &kind, &out), 2);
	EQ("of the queue", out, MSG_ERRQUEUE);
	EQ("gone from the socket", ready(c), POLLOUT);
	FAILS("not told again", recv(c, buf, 1, MSG_DONTWAIT), EAGAIN);
	FAILS("queue empty", recv(c, buf, 1, MSG_ERRQUEUE), EAGAIN);
	enum { MANY = 5000 };
	for (int i = 0; i < MANY; i++)
		write(c, "z", 1);
	sleep_ms(50);
	int n = 0;
	while (recv(c, buf, 1, MSG_ERRQUEUE) == 1)
		n++;
	OK("a queue that nobody reads is bounded", n > 0 && n < MANY / 2);
	EQ("clear again", (option(c, SOL_SOCKET, SO_ERROR), ready(c)), POLLOUT);
	close(c);
}

// The completions of MSG_ZEROCOPY, whether or not there were copies.
static void zero_copy(void)
{
	int s[2];
	pair(s);
	EQ("zerocopy", set(s[0], SOL_SOCKET, SO_ZEROCOPY, 1), 0);
	EQ("zerocopy is", option(s[0], SOL_SOCKET, SO_ZEROCOPY), 1);
	FAILS("zerocopy 2", set(s[0], SOL_SOCKET, SO_ZEROCOPY, 2), EINVAL);
	for (int i = 0; i < 3; i++)
		EQ("send", send(s[0], buf, 10000, MSG_ZEROCOPY), 10000);
	EQ("all came", recv(s[1], buf, 30000, MSG_WAITALL), 30000);
	unsigned next = 0;
	while (next < 3 && await(s[0], 0) & POLLERR) {
		char c[256];
		struct msghdr m = {.msg_control = c, .msg_controllen = sizeof c};
		if (recvmsg(s[0], &m, MSG_ERRQUEUE) < 0 || !CMSG_FIRSTHDR(&m))
			break;
		struct sock_extended_err *e = (void *)CMSG_DATA(CMSG_FIRSTHDR(&m));
		if (e->ee_origin != SO_EE_ORIGIN_ZEROCOPY || e->ee_errno != 0 || e->ee_info != next)
			break;
		next = e->ee_data + 1;
	}
	EQ("all complete", next, 3);
	EQ("no error left", ready(s[0]), POLLOUT);
	int u = MUST(socket(AF_UNIX, SOCK_STREAM, 0));
	FAILS("not of unix", set(u, SOL_SOCKET, SO_ZEROCOPY, 1), EOPNOTSUPP);
	close(u);
	close(s[0]);
	close(s[1]);
}

static void options(void)
{
	int s[2];
	pair(s);
	OK("maxseg of loopback", option(s[0], IPPROTO_TCP, TCP_MAXSEG) > 30000);
	struct tcp_info info;
	socklen_t n = sizeof info;
	OK("info has it", getsockopt(s[0], IPPROTO_TCP, TCP_INFO, &info, &n) == 0 && info.tcpi_snd_mss > 30000);
	FAILS("another protocol's", option(s[0], IPPROTO_UDP, 1), EOPNOTSUPP);
	FAILS("another family's", option(s[0], IPPROTO_IPV6, IPV6_V6ONLY), EOPNOTSUPP);
	FAILS("set another family's", set(s[0], IPPROTO_IPV6, IPV6_V6ONLY, 1), ENOPROTOOPT);
	FAILS("short comes first", setsockopt(s[0], SOL_SOCKET, SO_TYPE, buf, 2), EINVAL);
	FAILS("then the option", set(s[0], SOL_SOCKET, SO_TYPE, 1), ENOPROTOOPT);
	struct { int pid, uid, gid; } cred;
	n = sizeof cred;
	EQ("peercred", getsockopt(s[0], SOL_SOCKET, SO_PEERCRED, &cred, &n), 0);
	OK("nobody's", n == 12 && cred.pid == 0 && cred.uid == -1 && cred.gid == -1);
	struct sockaddr_in a;
	n = sizeof a;
	EQ("peername", getsockopt(s[0], SOL_SOCKET, SO_PEERNAME, &a, &n), 0);
	EQ("its port", ntohs(a.sin_port), port_of(s[1]));
	EQ("sndbuf least", (set(s[0], SOL_SOCKET, SO_SNDBUF, 1), option(s[0], SOL_SOCKET, SO_SNDBUF)), 4608);
	close(s[0]);
	close(s[1]);
	int u = MUST(socket(AF_UNIX, SOCK_DGRAM, 0));
	struct linger l = {1, 5};
	setsockopt(u, SOL_SOCKET, SO_LINGER, &l, sizeof l);
	l.l_linger = 0;
	n = sizeof l;
	OK("linger of unix", getsockopt(u, SOL_SOCKET, SO_LINGER, &l, &n) == 0 && l.l_onoff == 1 && l.l_linger == 5);
	close(u);
}

int main(void)
{
	setvbuf(stdout, NULL, _IOFBF, 1 << 16);
	signal(SIGPIPE, SIG_IGN);
	ends();
	connecting();
	listening();
	waiting();
	errors();
	zero_copy();
	options();
	done();
}
