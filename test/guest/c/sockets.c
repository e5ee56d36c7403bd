// tcp(7), udp(7), ip(7), ipv6(7) over the loopback interface.
#include "check.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <linux/sockios.h>

static int signals;
static void on_signal(int s) { (void)s; signals++; }
static void on_alarm(int s) { (void)s; }

union addr {
	struct sockaddr sa;
	struct sockaddr_in in;
	struct sockaddr_in6 in6;
	struct sockaddr_storage ss;
};

// loop makes the loopback address of a family.
static socklen_t loop(union addr *a, int family, int port)
{
	memset(a, 0, sizeof *a);
	if (family == AF_INET) {
		a->in.sin_family = AF_INET;
		a->in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
		a->in.sin_port = htons(port);
		return sizeof a->in;
	}
	a->in6.sin6_family = AF_INET6;
	a->in6.sin6_addr = in6addr_loopback;
	a->in6.sin6_port = htons(port);
	return sizeof a->in6;
}

static int port_of(int fd)
{
	union addr a;
	socklen_t n = sizeof a;
	if (getsockname(fd, &a.sa, &n))
		return -1;
	return ntohs(a.in.sin_port);
}

static int bound(int family, int type)
{
	union addr a;
	int fd = MUST(socket(family, type, 0));
	socklen_t n = loop(&a, family, 0);
	MUST(bind(fd, &a.sa, n));
	return fd;
}

static int join(int fd, int family, int port)
{
	union addr a;
	socklen_t n = loop(&a, family, port);
	return connect(fd, &a.sa, n);
}

static short ready(int fd)
{
	struct pollfd p = {fd, POLLIN | POLLOUT | POLLRDHUP | POLLPRI, 0};
	poll(&p, 1, 0);
	return p.revents;
}

// shut is a thread that ends a connection's data.
static void *shut(void *fd)
{
	usleep(rand() % 100);
	shutdown(*(int *)fd, SHUT_WR);
	return NULL;
}

static short await(int fd, short events)
{
	struct pollfd p = {fd, events, 0};
	poll(&p, 1, 5000);
	return p.revents;
}

static int option(int fd, int level, int name)
{
	int v = -77;
	socklen_t n = sizeof v;
	return getsockopt(fd, level, name, &v, &n) == 0 ? v : -1000 - errno;
}

static int set(int fd, int level, int name, int v)
{
	return setsockopt(fd, level, name, &v, sizeof v);
}

static void *write_later(void *arg)
{
	sleep_ms(30);
	write(*(int *)arg, "late", 4);
	return NULL;
}

static void *drain(void *arg)
{
	static char b[65536];
	long total = 0;
	for (ssize_t n; (n = read(*(int *)arg, b, sizeof b)) > 0;)
		total += n;
	return (void *)total;
}

// pair connects two TCP sockets.
static void pair(int family, int s[2])
{
	int l = bound(family, SOCK_STREAM);
	MUST(listen(l, 1));
	s[0] = MUST(socket(family, SOCK_STREAM, 0));
	MUST(join(s[0], family, port_of(l)));
	s[1] = MUST(accept(l, NULL, NULL));
	close(l);
}

static void streams(int family)
{
	char b[64];
	union addr a;
	socklen_t n;
	int l = bound(family, SOCK_STREAM);
	OK("ephemeral port", port_of(l) >= 1024);
	FAILS("bind again", ({ n = loop(&a, family, 0); bind(l, &a.sa, n); }), EINVAL);
	FAILS("accept not listening", accept(l, NULL, NULL), EINVAL);
	EQ("listen", listen(l, 8), 0);
	EQ("acceptconn", option(l, SOL_SOCKET, SO_ACCEPTCONN), 1);
	EQ("idle listener", ready(l), 0);
	int other = MUST(socket(family, SOCK_STREAM, 0));
	FAILS("in use", ({ n = loop(&a, family, port_of(l)); bind(other, &a.sa, n); }), EADDRINUSE);
	EQ("unconnected", ready(other), POLLOUT | POLLHUP);
	FAILS("read unconnected", read(other, b, 1), ENOTCONN);
	signal(SIGPIPE, SIG_IGN);
	FAILS("write unconnected", write(other, "x", 1), EPIPE);
	FAILS("peer unconnected", getpeername(other, &a.sa, (n = sizeof a, &n)), ENOTCONN);
	FAILS("shutdown unconnected", shutdown(other, SHUT_RDWR), ENOTCONN);
	close(other);
	fcntl(l, F_SETFL, O_NONBLOCK);
	FAILS("nobody there", accept(l, NULL, NULL), EAGAIN);
	int c = MUST(socket(family, SOCK_STREAM, 0));
	EQ("connect", join(c, family, port_of(l)), 0);
	FAILS("connect twice", join(c, family, port_of(l)), EISCONN);
	EQ("readable listener", await(l, POLLIN), POLLIN);
	n = sizeof a;
	int d = accept4(l, &a.sa, &n, SOCK_NONBLOCK | SOCK_CLOEXEC);
	OK("accept4", d >= 0);
	EQ("accepted flags", fcntl(d, F_GETFL), O_RDWR | O_NONBLOCK);
	EQ("peer address size", n, family == AF_INET ? sizeof a.in : sizeof a.in6);
	EQ("peer port", ntohs(a.in.sin_port), port_of(c));
	EQ("same port", port_of(d), port_of(l));
	FAILS("empty", read(d, b, 1), EAGAIN);
	fcntl(d, F_SETFL, 0);
	EQ("write", write(c, "hello", 5), 5);
	EQ("arrives", await(d, POLLIN), POLLIN);
	int q = 0;
	EQ("inq", (ioctl(d, SIOCINQ, &q), q), 5);
	EQ("peek", recv(d, b, 3, MSG_PEEK), 3);
	EQ("read", read(d, b, sizeof b), 5);
	OK("bytes", memcmp(b, "hello", 5) == 0);
	FAILS("dontwait", recv(d, b, 1, MSG_DONTWAIT), EAGAIN);
	pthread_t t;
	pthread_create(&t, NULL, write_later, &c);
	EQ("blocking read", read(d, b, sizeof b), 4);
	pthread_join(t, NULL);
	write(c, "ab", 2);
	pthread_create(&t, NULL, write_later, &c);
	EQ("waitall", recv(d, b, 6, MSG_WAITALL), 6);
	pthread_join(t, NULL);
	write(c, "abcdef", 6);
	await(d, POLLIN);
	EQ("trunc", recv(d, NULL, 4, MSG_TRUNC), 4);
	EQ("after trunc", read(d, b, sizeof b), 2);
	struct iovec iov[2] = {{"gath", 4}, {"ered", 4}};
	EQ("writev", writev(c, iov, 2), 8);
	struct msghdr m = {.msg_iov = (struct iovec[]){{b, 3}, {b + 3, 9}}, .msg_iovlen = 2, .msg_name = &a, .msg_namelen = sizeof a};
	EQ("recvmsg", recvmsg(d, &m, MSG_PEEK) >= 1, 1);
	m.msg_namelen = sizeof a;
	EQ("recvmsg all", recvmsg(d, &m, 0), 8);
	OK("gathered", memcmp(b, "gathered", 8) == 0);
	struct timeval tv = {0, 40000};
	EQ("rcvtimeo", setsockopt(d, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv), 0);
	int64_t before = now_ns(CLOCK_MONOTONIC);
	FAILS("timeout", read(d, b, 1), EAGAIN);
	OK("timeout waits", now_ns(CLOCK_MONOTONIC) - before >= 39000000);
	struct sigaction sa = {.sa_handler = on_alarm};
	sigaction(SIGALRM, &sa, NULL);
	tv.tv_sec = 5;
	setsockopt(d, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv);
	sa.sa_flags = SA_RESTART;
	sigaction(SIGALRM, &sa, NULL);
	ualarm(30000, 30000); // again, if the first comes before the read
	FAILS("interrupted with timeout", read(d, b, 1), EINTR);
	ualarm(0, 0);
	memset(&tv, 0, sizeof tv);
	setsockopt(d, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv);
	sa.sa_flags = 0;
	sigaction(SIGALRM, &sa, NULL);
	ualarm(30000, 30000); // again, if the first comes before the read
	FAILS("interrupted", read(d, b, 1), EINTR);
	ualarm(0, 0);

	EQ("half close", shutdown(c, SHUT_WR), 0);
	EQ("half closed", await(d, POLLIN | POLLRDHUP), POLLIN | POLLRDHUP);
	EQ("eof", read(d, b, 1), 0);
	FAILS("write after shutdown", send(c, "x", 1, MSG_NOSIGNAL), EPIPE);
	EQ("other way", write(d, "back", 4), 4);
	EQ("other way read", recv(c, b, 4, MSG_WAITALL), 4);
	signal(SIGPIPE, on_signal);
	signals = 0;
	FAILS("sigpipe", write(c, "x", 1), EPIPE);
	EQ("sigpipe came", signals, 1);
	signal(SIGPIPE, SIG_IGN);
	close(d);
	EQ("closed", await(c, POLLIN | POLLRDHUP), POLLIN | POLLRDHUP | POLLHUP);
	close(c);
	c = MUST(socket(family, SOCK_STREAM, 0));
	int port = port_of(l);
	close(l);
	FAILS("refused", join(c, family, port), ECONNREFUSED);
	close(c);

	// Whoever waits for edges is told of the hang-up: with the end of the data, or after it.
	int s[2], untold = 0, e = MUST(epoll_create1(0));
	for (int i = 0; i < 1000 && untold == 0; i++) {
		pair(family, s);
		struct epoll_event want = {.events = EPOLLIN | EPOLLRDHUP | EPOLLET}, told = {0};
		MUST(epoll_ctl(e, EPOLL_CTL_ADD, s[0], &want));
		pthread_create(&t, NULL, shut, &s[1]);
		int64_t start = now_ns(CLOCK_MONOTONIC);
		while (!(told.events & EPOLLRDHUP) && now_ns(CLOCK_MONOTONIC) - start < 5000000000LL)
			epoll_wait(e, &told, 1, 0);
		untold += !(told.events & EPOLLRDHUP);
		pthread_join(t, NULL);
		close(s[0]);
		close(s[1]);
	}
	close(e);
	EQ("told of the hang-up", untold, 0);

	// Much data, both kinds of writers.
	pair(family, s);
	static char big[1 << 20];
	for (size_t i = 0; i < sizeof big; i++)
		big[i] = i * 13 >> 4;
	pthread_create(&t, NULL, drain, &s[1]);
	long sent = 0;
	for (int i = 0; i < 8; i++)
		sent += write(s[0], big, sizeof big);
	EQ("blocking writes", sent, 8 << 20);
	shutdown(s[0], SHUT_WR);
	void *got;
	pthread_join(t, &got);
	EQ("all arrived", (long)got, sent);
	close(s[0]);
	close(s[1]);
	pair(family, s);
	fcntl(s[0], F_SETFL, O_NONBLOCK);
	sent = 0;
	for (ssize_t k; (k = write(s[0], big, sizeof big)) > 0 || (k < 0 && errno == EAGAIN && (sleep_ms(20), k = write(s[0], big, sizeof big)) > 0);)
		sent += k;
	OK("full", sent > 4096 && sent < 64 << 20);
	EQ("full is not writable", ready(s[0]) & POLLOUT, 0);
	pthread_create(&t, NULL, drain, &s[1]);
	EQ("room again", await(s[0], POLLOUT), POLLOUT);
	close(s[0]);
	pthread_join(t, &got);
	EQ("after close all arrived", (long)got, sent);
	close(s[1]);

	// A reset.
	pair(family, s);
	struct linger li = {1, 0};
	setsockopt(s[0], SOL_SOCKET, SO_LINGER, &li, sizeof li);
	close(s[0]);
	EQ("reset events", await(s[1], POLLIN | POLLRDHUP), POLLIN | POLLRDHUP | POLLERR | POLLHUP);
	FAILS("reset", read(s[1], b, 1), ECONNRESET);
	EQ("reset once", read(s[1], b, 1), 0);
	FAILS("reset write", write(s[1], "x", 1), EPIPE);
	close(s[1]);
}

static void nonblocking(int family)
{
	int l = bound(family, SOCK_STREAM);
	listen(l, 1);
	int port = port_of(l);
	int c = MUST(socket(family, SOCK_STREAM | SOCK_NONBLOCK, 0));
	int r = join(c, family, port), e = errno;
	OK("in progress", r == 0 || (r == -1 && e == EINPROGRESS));
	EQ("done", await(c, POLLOUT), POLLOUT);
	EQ("no error", option(c, SOL_SOCKET, SO_ERROR), 0);
	int d = accept(l, NULL, NULL);
	close(d);
	close(c);
	close(l);
	c = MUST(socket(family, SOCK_STREAM | SOCK_NONBLOCK, 0));
	FAILS("will be refused", join(c, family, port), EINPROGRESS);
	OK("refused events", await(c, POLLOUT) & (POLLERR | POLLHUP));
	EQ("so_error", option(c, SOL_SOCKET, SO_ERROR), ECONNREFUSED);
	EQ("so_error once", option(c, SOL_SOCKET, SO_ERROR), 0);
	// The same socket can try again.
	l = bound(family, SOCK_STREAM);
	listen(l, 1);
	FAILS("told once more", join(c, family, port_of(l)), ECONNABORTED);
	r = join(c, family, port_of(l)), e = errno;
	OK("try again", r == 0 || e == EINPROGRESS);
	EQ("try again done", await(c, POLLOUT), POLLOUT);
	close(c);
	close(l);

	// epoll
	int ep = epoll_create1(0), s[2];
	pair(family, s);
	fcntl(s[1], F_SETFL, O_NONBLOCK);
	struct epoll_event ev = {.events = EPOLLIN | EPOLLRDHUP | EPOLLET};
	epoll_ctl(ep, EPOLL_CTL_ADD, s[1], &ev);
	EQ("no edge", epoll_wait(ep, &ev, 1, 0), 0);
	write(s[0], "x", 1);
	EQ("edge", epoll_wait(ep, &ev, 1, 5000), 1);
	EQ("edge once", epoll_wait(ep, &ev, 1, 20), 0);
	write(s[0], "y", 1);
	EQ("next edge", epoll_wait(ep, &ev, 1, 5000), 1);
	ev.events = EPOLLIN;
	epoll_ctl(ep, EPOLL_CTL_MOD, s[1], &ev);
	EQ("level", epoll_wait(ep, &ev, 1, 0), 1);
	EQ("level stays", epoll_wait(ep, &ev, 1, 0), 1);
	char b[8];
	read(s[1], b, 8);
	EQ("level ends", epoll_wait(ep, &ev, 1, 0), 0);
	ev.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;
	epoll_ctl(ep, EPOLL_CTL_MOD, s[1], &ev);
	EQ("writable edge", epoll_wait(ep, &ev, 1, 0) == 1 && ev.events == EPOLLOUT, 1);
	close(s[0]);
	EQ("hang-up edge", epoll_wait(ep, &ev, 1, 5000) == 1 && (ev.events & EPOLLRDHUP), 1);
	close(s[1]);
	close(ep);
}

static void *echo(void *arg)
{
	int l = *(int *)arg;
	for (int i = 0; i < 100; i++) {
		int c = accept(l, NULL, NULL);
		char b[64];
		for (ssize_t n; (n = read(c, b, sizeof b)) > 0;)
			write(c, b, n);
		close(c);
	}
	return NULL;
}

static void *hold(void *arg)
{
	int c = accept(*(int *)arg, NULL, NULL);
	char b[1];
	write(c, "h", 1);
	while (read(c, b, 1) > 0)
		;
	close(c);
	return NULL;
}

// Threads that wait in accept are all of use at once, also when connections come while some of them return.
static void acceptors(int family)
{
	int l = bound(family, SOCK_STREAM), c[6], good = 0;
	listen(l, 16);
	pthread_t t[6];
	for (int round = 0; round < 10; round++) {
		for (int i = 0; i < 6; i++)
			pthread_create(&t[i], NULL, hold, &l);
		sleep_ms(20);
		for (int i = 0; i < 6; i++) {
			c[i] = socket(family, SOCK_STREAM | SOCK_NONBLOCK, 0);
			join(c[i], family, port_of(l));
		}
		for (int i = 0; i < 6; i++)
			good += await(c[i], POLLIN) == POLLIN;
		for (int i = 0; i < 6; i++)
			close(c[i]);
		for (int i = 0; i < 6; i++)
			pthread_join(t[i], NULL);
	}
	EQ("acceptors", good, 60);
	close(l);
}

static void many(int family)
{
	int l = bound(family, SOCK_STREAM), good = 0;
	listen(l, 16);
	pthread_t t[2];
	for (int i = 0; i < 2; i++)
		pthread_create(&t[i], NULL, echo, &l);
	for (int i = 0; i < 200; i++) {
		char b[16];
		int c = socket(family, SOCK_STREAM, 0);
		if (join(c, family, port_of(l)) == 0 && write(c, "ping", 4) == 4 && read(c, b, 16) == 4)
			good++;
		close(c);
	}
	EQ("connections", good, 200);
	for (int i = 0; i < 2; i++)
		pthread_join(t[i], NULL);
	close(l);
}

static void datagrams(int family)
{
	char b[64];
	union addr a;
	socklen_t n;
	int r = bound(family, SOCK_DGRAM), s = MUST(socket(family, SOCK_DGRAM, 0));
	EQ("udp fresh", ready(s), POLLOUT);
	FAILS("udp listen", listen(s, 1), EOPNOTSUPP);
	FAILS("udp accept", accept(s, NULL, NULL), EOPNOTSUPP);
	FAILS("udp nowhere", send(s, "x", 1, 0), EDESTADDRREQ);
	n = loop(&a, family, port_of(r));
	EQ("sendto", sendto(s, "first", 5, 0, &a.sa, n), 5);
	n = sizeof a;
	EQ("recvfrom", recvfrom(r, b, sizeof b, 0, &a.sa, &n), 5);
	EQ("source", ntohs(a.in.sin_port), port_of(s));
	EQ("reply", sendto(r, "reply", 5, 0, &a.sa, n), 5);
	EQ("got reply", recv(s, b, sizeof b, 0), 5);
	EQ("udp connect", join(s, family, port_of(r)), 0);
	EQ("udp send", send(s, "0123456789", 10, 0), 10);
	EQ("udp empty", send(s, "", 0, 0), 0);
	EQ("udp inq", ({ int q; await(r, POLLIN); ioctl(r, SIOCINQ, &q); q; }), 10);
	EQ("udp peek", recv(r, b, 4, MSG_PEEK), 4);
	struct iovec iov = {b, 4};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};
	EQ("udp cut", recvmsg(r, &m, MSG_TRUNC), 10);
	EQ("udp cut flag", m.msg_flags, MSG_TRUNC);
	EQ("udp empty came", recv(r, b, sizeof b, 0), 0);
	FAILS("udp dontwait", recv(r, b, 1, MSG_DONTWAIT), EAGAIN);
	static char huge[70000];
	FAILS("udp too long", send(s, huge, sizeof huge, 0), EMSGSIZE);
	EQ("udp long", send(s, huge, 20000, 0), 20000);
	EQ("udp long came", recv(r, huge, sizeof huge, 0), 20000);
	struct mmsghdr mm[3];
	struct iovec iovs[3];
	static char text[3][8] = {"one", "two", "three"};
	memset(mm, 0, sizeof mm);
	for (int i = 0; i < 3; i++) {
		iovs[i] = (struct iovec){text[i], strlen(text[i])};
		mm[i].msg_hdr.msg_iov = &iovs[i];
		mm[i].msg_hdr.msg_iovlen = 1;
	}
	EQ("sendmmsg", sendmmsg(s, mm, 3, 0), 3);
	for (int i = 0; i < 3; i++)
		iovs[i].iov_len = 8;
	EQ("recvmmsg", recvmmsg(r, mm, 3, 0, NULL), 3);
	EQ("recvmmsg length", mm[2].msg_len, 5);
	struct timespec ts = {0, 30000000};
	write(s, "z", 1);
	EQ("recvmmsg waitforone", recvmmsg(r, mm, 3, MSG_WAITFORONE, &ts), 1);
	// Nobody listens.
	close(r);
	write(s, "x", 1);
	OK("unreachable event", await(s, POLLIN) & POLLERR);
	FAILS("unreachable", recv(s, b, 1, MSG_DONTWAIT), ECONNREFUSED);
	FAILS("unreachable once", recv(s, b, 1, MSG_DONTWAIT), EAGAIN);
	struct sockaddr un = {.sa_family = AF_UNSPEC};
	EQ("disconnect", connect(s, &un, sizeof un), 0);
	FAILS("disconnected", getpeername(s, &a.sa, (n = sizeof a, &n)), ENOTCONN);
	close(s);
}

static void control(void)
{
	char b[64], c[256];
	int s = bound(AF_INET, SOCK_DGRAM), on = 1;
	set(s, IPPROTO_IP, IP_PKTINFO, 1);
	set(s, IPPROTO_IP, IP_RECVTTL, 1);
	set(s, IPPROTO_IP, IP_RECVTOS, 1);
	EQ("ttl", set(s, IPPROTO_IP, IP_TTL, 33), 0);
	EQ("tos", set(s, IPPROTO_IP, IP_TOS, 0x10), 0);
	EQ("timestamp", setsockopt(s, SOL_SOCKET, SO_TIMESTAMP, &on, sizeof on), 0);
	join(s, AF_INET, port_of(s));
	write(s, "x", 1);
	struct iovec iov = {b, sizeof b};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = c, .msg_controllen = sizeof c};
	EQ("to itself", recvmsg(s, &m, 0), 1);
	int seen = 0;
	for (struct cmsghdr *h = CMSG_FIRSTHDR(&m); h; h = CMSG_NXTHDR(&m, h)) {
		if (h->cmsg_level == SOL_SOCKET && h->cmsg_type == SO_TIMESTAMP && h->cmsg_len == CMSG_LEN(sizeof(struct timeval)))
			seen |= 1;
		if (h->cmsg_level == IPPROTO_IP && h->cmsg_type == IP_PKTINFO) {
			struct in_pktinfo *p = (void *)CMSG_DATA(h);
			if (p->ipi_ifindex == 1 && p->ipi_addr.s_addr == htonl(INADDR_LOOPBACK))
				seen |= 2;
		}
		if (h->cmsg_level == IPPROTO_IP && h->cmsg_type == IP_TTL && *(int *)CMSG_DATA(h) == 33)
			seen |= 4;
		if (h->cmsg_level == IPPROTO_IP && h->cmsg_type == IP_TOS && *CMSG_DATA(h) == 0x10)
			seen |= 8;
	}
	EQ("control messages", seen, 15);
	close(s);
}

static void control6(void)
{
	char b[64], c[256];
	struct iovec iov = {b, sizeof b};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = c, .msg_controllen = sizeof c};
	int seen, s = bound(AF_INET6, SOCK_DGRAM);
	set(s, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1);
	set(s, IPPROTO_IPV6, IPV6_RECVHOPLIMIT, 1);
	set(s, IPPROTO_IPV6, IPV6_UNICAST_HOPS, 9);
	join(s, AF_INET6, port_of(s));
	write(s, "x", 1);
	m.msg_controllen = sizeof c;
	recvmsg(s, &m, 0);
	seen = 0;
	for (struct cmsghdr *h = CMSG_FIRSTHDR(&m); h; h = CMSG_NXTHDR(&m, h)) {
		if (h->cmsg_type == IPV6_PKTINFO && ((struct in6_pktinfo *)CMSG_DATA(h))->ipi6_ifindex == 1)
			seen |= 1;
		if (h->cmsg_type == IPV6_HOPLIMIT && *(int *)CMSG_DATA(h) == 9)
			seen |= 2;
	}
	EQ("ipv6 control messages", seen, 3);
	close(s);
}

static void dual(void)
{
	union addr a;
	socklen_t n;
	char text[64];
	int l = MUST(socket(AF_INET6, SOCK_STREAM, 0));
	memset(&a, 0, sizeof a);
	a.in6.sin6_family = AF_INET6;
	EQ("v6only default", option(l, IPPROTO_IPV6, IPV6_V6ONLY), 0);
	MUST(bind(l, &a.sa, sizeof a.in6));
	FAILS("v6only late", set(l, IPPROTO_IPV6, IPV6_V6ONLY, 1), EINVAL);
	MUST(listen(l, 4));
	int c = socket(AF_INET, SOCK_STREAM, 0);
	EQ("v4 to v6", join(c, AF_INET, port_of(l)), 0);
	n = sizeof a;
	int d = accept(l, &a.sa, &n);
	STR("mapped", inet_ntop(AF_INET6, &a.in6.sin6_addr, text, sizeof text), "::ffff:127.0.0.1");
	close(c);
	close(d);
	c = socket(AF_INET6, SOCK_STREAM, 0);
	memset(&a, 0, sizeof a);
	a.in6.sin6_family = AF_INET6;
	a.in6.sin6_port = htons(port_of(l));
	inet_pton(AF_INET6, "::ffff:127.0.0.1", &a.in6.sin6_addr);
	EQ("connect mapped", connect(c, &a.sa, sizeof a.in6), 0);
	n = sizeof a;
	getsockname(c, &a.sa, &n);
	STR("mapped own", inet_ntop(AF_INET6, &a.in6.sin6_addr, text, sizeof text), "::ffff:127.0.0.1");
	close(c);
	c = socket(AF_INET, SOCK_STREAM, 0);
	memset(&a, 0, sizeof a);
	a.in.sin_family = AF_INET;
	a.in.sin_port = htons(port_of(l));
	EQ("connect any", connect(c, &a.sa, sizeof a.in), 0);
	close(c);
	close(l);
	for (int i = 0; i < 5; i++) { // the port may be that of an earlier connection
		l = MUST(socket(AF_INET6, SOCK_STREAM, 0));
		MUST(set(l, IPPROTO_IPV6, IPV6_V6ONLY, 1));
		memset(&a, 0, sizeof a);
		a.in6.sin6_family = AF_INET6;
		bind(l, &a.sa, sizeof a.in6);
		listen(l, 1);
		int port = port_of(l);
		c = MUST(socket(AF_INET, SOCK_STREAM, 0));
		a.in = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(port)};
		if ((n = bind(c, &a.sa, sizeof a.in)) == 0)
			break;
		close(c);
		close(l);
	}
	EQ("both families", n, 0);
	close(c);
	close(l);
	c = MUST(socket(AF_INET6, SOCK_STREAM, 0));
	FAILS("short v6", ({ n = loop(&a, AF_INET6, 1); connect(c, &a.sa, 20); }), EINVAL);
	close(c);
}

static void addresses(void)
{
	union addr a;
	socklen_t n;
	char text[64];
	memset(&a, 0, sizeof a);
	a.in.sin_family = AF_INET;
	int port, c, l = MUST(socket(AF_INET, SOCK_STREAM, 0));
	EQ("listen binds", listen(l, 1), 0);
	OK("listen bound", port_of(l) > 0);
	close(l);
	c = MUST(socket(AF_INET, SOCK_STREAM, 0));
	inet_pton(AF_INET, "192.0.2.77", &a.in.sin_addr);
	FAILS("not our address", bind(c, &a.sa, sizeof a.in), EADDRNOTAVAIL);
	FAILS("short address", bind(c, &a.sa, 7), EINVAL);
	a.in.sin_family = AF_UNIX;
	FAILS("wrong family", connect(c, &a.sa, sizeof a.in), EAFNOSUPPORT);
	FAILS("bad pointer", bind(c, (void *)8, 16), EFAULT);
	close(c);

	// Port sharing.
	int x = socket(AF_INET, SOCK_STREAM, 0), y = socket(AF_INET, SOCK_STREAM, 0);
	set(x, SOL_SOCKET, SO_REUSEPORT, 1);
	set(y, SOL_SOCKET, SO_REUSEPORT, 1);
	n = loop(&a, AF_INET, 0);
	bind(x, &a.sa, n);
	listen(x, 4);
	n = loop(&a, AF_INET, port_of(x));
	EQ("reuseport", bind(y, &a.sa, n), 0);
	EQ("reuseport listen", listen(y, 4), 0);
	close(x);
	close(y);
	// A port in TIME_WAIT with SO_REUSEADDR.
	int s[2];
	x = MUST(socket(AF_INET, SOCK_STREAM, 0));
	set(x, SOL_SOCKET, SO_REUSEADDR, 1);
	n = loop(&a, AF_INET, 0);
	MUST(bind(x, &a.sa, n));
	listen(x, 1);
	port = port_of(x);
	s[0] = socket(AF_INET, SOCK_STREAM, 0);
	join(s[0], AF_INET, port);
	s[1] = accept(x, NULL, NULL);
	close(s[1]);
	read(s[0], text, 1);
	close(s[0]);
	close(x);
	x = socket(AF_INET, SOCK_STREAM, 0);
	set(x, SOL_SOCKET, SO_REUSEADDR, 1);
	n = loop(&a, AF_INET, port);
	EQ("reuseaddr", bind(x, &a.sa, n), 0);
	EQ("reuseaddr listen", listen(x, 1), 0);
	close(x);
}

static void options(void)
{
	int s = MUST(socket(AF_INET, SOCK_STREAM, 0));
	EQ("type", option(s, SOL_SOCKET, SO_TYPE), SOCK_STREAM);
	EQ("domain", option(s, SOL_SOCKET, SO_DOMAIN), AF_INET);
	EQ("protocol", option(s, SOL_SOCKET, SO_PROTOCOL), IPPROTO_TCP);
	static const int flags[] = {SO_REUSEADDR, SO_REUSEPORT, SO_KEEPALIVE, SO_BROADCAST, SO_OOBINLINE, SO_DONTROUTE, SO_TIMESTAMP};
	for (unsigned i = 0; i < sizeof flags / sizeof *flags; i++) {
		char name[32];
		snprintf(name, sizeof name, "flag %u", i);
		OK(name, option(s, SOL_SOCKET, flags[i]) == 0 && set(s, SOL_SOCKET, flags[i], 5) == 0 && option(s, SOL_SOCKET, flags[i]) == 1);
	}
	EQ("rcvbuf", set(s, SOL_SOCKET, SO_RCVBUF, 40000), 0);
	EQ("rcvbuf doubled", option(s, SOL_SOCKET, SO_RCVBUF), 80000);
	EQ("sndbuf", set(s, SOL_SOCKET, SO_SNDBUF, 30000), 0);
	EQ("sndbuf doubled", option(s, SOL_SOCKET, SO_SNDBUF), 60000);
	struct linger li = {1, 7};
	socklen_t n = sizeof li;
	EQ("linger", setsockopt(s, SOL_SOCKET, SO_LINGER, &li, sizeof li), 0);
	li.l_linger = 0;
	OK("linger is", getsockopt(s, SOL_SOCKET, SO_LINGER, &li, &n) == 0 && li.l_onoff == 1 && li.l_linger == 7);
	FAILS("linger short", setsockopt(s, SOL_SOCKET, SO_LINGER, &li, 4), EINVAL);
	EQ("nodelay default", option(s, IPPROTO_TCP, TCP_NODELAY), 0);
	EQ("nodelay", set(s, IPPROTO_TCP, TCP_NODELAY, 1), 0);
	EQ("nodelay is", option(s, IPPROTO_TCP, TCP_NODELAY), 1);
	EQ("cork", (set(s, IPPROTO_TCP, TCP_CORK, 1), option(s, IPPROTO_TCP, TCP_CORK)), 1);
	EQ("keepidle default", option(s, IPPROTO_TCP, TCP_KEEPIDLE), 7200);
	EQ("keepidle", (set(s, IPPROTO_TCP, TCP_KEEPIDLE, 60), option(s, IPPROTO_TCP, TCP_KEEPIDLE)), 60);
	FAILS("keepidle range", set(s, IPPROTO_TCP, TCP_KEEPIDLE, 0), EINVAL);
	EQ("keepintvl", (set(s, IPPROTO_TCP, TCP_KEEPINTVL, 7), option(s, IPPROTO_TCP, TCP_KEEPINTVL)), 7);
	EQ("keepcnt", (set(s, IPPROTO_TCP, TCP_KEEPCNT, 3), option(s, IPPROTO_TCP, TCP_KEEPCNT)), 3);
	FAILS("keepcnt range", set(s, IPPROTO_TCP, TCP_KEEPCNT, 128), EINVAL);
	EQ("user timeout", (set(s, IPPROTO_TCP, TCP_USER_TIMEOUT, 5000), option(s, IPPROTO_TCP, TCP_USER_TIMEOUT)), 5000);
	EQ("syncnt", (set(s, IPPROTO_TCP, TCP_SYNCNT, 4), option(s, IPPROTO_TCP, TCP_SYNCNT)), 4);
	EQ("notsent", (set(s, IPPROTO_TCP, TCP_NOTSENT_LOWAT, 16384), option(s, IPPROTO_TCP, TCP_NOTSENT_LOWAT)), 16384);
	EQ("quickack", set(s, IPPROTO_TCP, TCP_QUICKACK, 1), 0);
	EQ("linger2", set(s, IPPROTO_TCP, TCP_LINGER2, 10), 0);
	EQ("defer", set(s, IPPROTO_TCP, TCP_DEFER_ACCEPT, 5), 0);
	char cc[16];
	n = sizeof cc;
	OK("congestion", getsockopt(s, IPPROTO_TCP, TCP_CONGESTION, cc, &n) == 0 && n == 16 && cc[0]);
	EQ("reno", setsockopt(s, IPPROTO_TCP, TCP_CONGESTION, "reno", 4), 0);
	FAILS("no such congestion", setsockopt(s, IPPROTO_TCP, TCP_CONGESTION, "nonsense", 8), ENOENT);
	struct tcp_info ti;
	n = sizeof ti;
	OK("info closed", getsockopt(s, IPPROTO_TCP, TCP_INFO, &ti, &n) == 0 && ti.tcpi_state == TCP_CLOSE);
	FAILS("tcp option", set(s, IPPROTO_TCP, 12345, 1), ENOPROTOOPT);
	FAILS("short", setsockopt(s, IPPROTO_TCP, TCP_NODELAY, cc, 2), EINVAL);
	EQ("ip ttl", (set(s, IPPROTO_IP, IP_TTL, 12), option(s, IPPROTO_IP, IP_TTL)), 12);
	FAILS("ttl range", set(s, IPPROTO_IP, IP_TTL, 0), EINVAL);
	EQ("ip tos", (set(s, IPPROTO_IP, IP_TOS, 0x28), option(s, IPPROTO_IP, IP_TOS)), 0x28);
	EQ("pmtu", (set(s, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DO), option(s, IPPROTO_IP, IP_MTU_DISCOVER)), IP_PMTUDISC_DO);
	EQ("recverr", (set(s, IPPROTO_IP, IP_RECVERR, 1), option(s, IPPROTO_IP, IP_RECVERR)), 1);
	close(s);
	int p[2];
	pair(AF_INET, p);
	n = sizeof ti;
	memset(&ti, 0, sizeof ti);
	OK("info", getsockopt(p[0], IPPROTO_TCP, TCP_INFO, &ti, &n) == 0 && ti.tcpi_state == TCP_ESTABLISHED && ti.tcpi_snd_mss > 500);
	OK("maxseg", option(p[0], IPPROTO_TCP, TCP_MAXSEG) > 500);
	close(p[0]);
	close(p[1]);
	s = MUST(socket(AF_INET, SOCK_DGRAM, 0));
	FAILS("tcp option of udp", set(s, IPPROTO_TCP, TCP_NODELAY, 1), ENOPROTOOPT);
	EQ("multicast ttl", (set(s, IPPROTO_IP, IP_MULTICAST_TTL, 3), option(s, IPPROTO_IP, IP_MULTICAST_TTL)), 3);
	EQ("multicast loop", (set(s, IPPROTO_IP, IP_MULTICAST_LOOP, 0), option(s, IPPROTO_IP, IP_MULTICAST_LOOP)), 0);
	char one[4] = {9};
	EQ("byte option", setsockopt(s, IPPROTO_IP, IP_MULTICAST_TTL, one, 1), 0);
	n = 1;
	OK("byte option is", getsockopt(s, IPPROTO_IP, IP_MULTICAST_TTL, one, &n) == 0 && n == 1 && one[0] == 9);
	close(s);
	FAILS("no udp stream", socket(AF_INET, SOCK_STREAM, IPPROTO_UDP), EPROTONOSUPPORT);
	FAILS("no such type", socket(AF_INET, SOCK_SEQPACKET, 0), ESOCKTNOSUPPORT);
	FAILS("pair", socketpair(AF_INET, SOCK_STREAM, 0, p), EOPNOTSUPP);
}

static void transfers(void)
{
	int s[2];
	static char data[300000], got[300000];
	for (size_t i = 0; i < sizeof data; i++)
		data[i] = i * 7 >> 2;
	int fd = MUST(open("data", O_RDWR | O_CREAT, 0600));
	write(fd, data, sizeof data);
	pair(AF_INET, s);
	off_t off = 0;
	long sent = 0;
	fcntl(s[1], F_SETFL, 0);
	set(s[0], IPPROTO_TCP, TCP_CORK, 1);
	sent = sendfile(s[0], fd, &off, 100000);
	set(s[0], IPPROTO_TCP, TCP_CORK, 0);
	EQ("sendfile", sent, 100000);
	EQ("sendfile got", recv(s[1], got, 100000, MSG_WAITALL), 100000);
	OK("sendfile bytes", memcmp(data, got, 100000) == 0);
	int p[2];
	MUST(pipe(p));
	write(p[1], "piped", 5);
	EQ("splice in", splice(p[0], NULL, s[0], NULL, 100, 0), 5);
	EQ("splice out", splice(s[1], NULL, p[1], NULL, 100, 0), 5);
	EQ("spliced", read(p[0], got, sizeof got), 5);
	close(fd);
	close(s[0]);
	close(s[1]);
}

// v6 runs what needs IPv6, which the machine that sets the expectation may lack:
// then the guest's checks are told as one.
static void v6(void)
{
	int s = socket(AF_INET6, SOCK_STREAM, 0), before = failures;
	if (s < 0) {
		skip("ipv6", "no IPv6 on this machine");
		return;
	}
	close(s);
	fflush(stdout);
	int out = dup(1), log = MUST(open("v6.log", O_RDWR | O_CREAT | O_TRUNC, 0600));
	dup2(log, 1);
	streams(AF_INET6);
	nonblocking(AF_INET6);
	many(AF_INET6);
	acceptors(AF_INET6);
	datagrams(AF_INET6);
	control6();
	dual();
	fflush(stdout);
	dup2(out, 1);
	FILE *f = fopen("v6.log", "r");
	static char line[1024];
	while (fgets(line, sizeof line, f))
		if (strncmp(line, "ok ", 3) != 0)
			fputs(line, stdout);
	fclose(f);
	EQ("ipv6", failures - before, 0);
}

int main(void)
{
	setvbuf(stdout, NULL, _IOFBF, 1 << 16);
	work_dir();
	streams(AF_INET);
	nonblocking(AF_INET);
	many(AF_INET);
	acceptors(AF_INET);
	datagrams(AF_INET);
	control();
	addresses();
	v6();
	options();
	transfers();
	done();
}
