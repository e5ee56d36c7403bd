// What ip(7), ipv6(7), tcp(7) promise beyond sockets.c: the order of connections, urgent data, lingering, control messages
// that are sent, addresses of both families on one socket.
#include "check.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <linux/sockios.h>

union addr {
	struct sockaddr sa;
	struct sockaddr_in in;
	struct sockaddr_in6 in6;
};

static socklen_t ip4(union addr *a, const char *ip, int port)
{
	memset(a, 0, sizeof *a);
	a->in.sin_family = AF_INET;
	a->in.sin_port = htons(port);
	inet_pton(AF_INET, ip, &a->in.sin_addr);
	return sizeof a->in;
}

static socklen_t ip6(union addr *a, const char *ip, int port)
{
	memset(a, 0, sizeof *a);
	a->in6.sin6_family = AF_INET6;
	a->in6.sin6_port = htons(port);
	inet_pton(AF_INET6, ip, &a->in6.sin6_addr);
	return sizeof a->in6;
}

static int port_of(int fd)
{
	union addr a;
	socklen_t n = sizeof a;
	return getsockname(fd, &a.sa, &n) ? -1 : ntohs(a.in.sin_port);
}

// text is an address of a socket, its own or its peer's, without the port.
static const char *text(int fd, int peer)
{
	static char b[INET6_ADDRSTRLEN];
	union addr a;
	socklen_t n = sizeof a;
	if (peer ? getpeername(fd, &a.sa, &n) : getsockname(fd, &a.sa, &n))
		return "(none)";
	if (a.sa.sa_family == AF_INET)
		return inet_ntop(AF_INET, &a.in.sin_addr, b, sizeof b);
	return inet_ntop(AF_INET6, &a.in6.sin6_addr, b, sizeof b);
}

static int bound(int type, const char *ip)
{
	union addr a;
	int v6 = strchr(ip, ':') != NULL;
	int fd = MUST(socket(v6 ? AF_INET6 : AF_INET, type, 0));
	socklen_t n = v6 ? ip6(&a, ip, 0) : ip4(&a, ip, 0);
	MUST(bind(fd, &a.sa, n));
	return fd;
}

static short await(int fd, short events)
{
	struct pollfd p = {fd, events, 0};
	poll(&p, 1, 30000);
	return p.revents;
}

static int set(int fd, int level, int name, int v) { return setsockopt(fd, level, name, &v, sizeof v); }

// pair connects two TCP sockets.
static void pair(int s[2])
{
	union addr a;
	int l = bound(SOCK_STREAM, "127.0.0.1");
	MUST(listen(l, 1));
	s[0] = MUST(socket(AF_INET, SOCK_STREAM, 0));
	socklen_t n = ip4(&a, "127.0.0.1", port_of(l));
	MUST(connect(s[0], &a.sa, n));
	s[1] = MUST(accept(l, NULL, NULL));
	close(l);
}

// Connections are accepted in the order in which they were made.
static void order(void)
{
	enum { N = 8 };
	int l = bound(SOCK_STREAM, "127.0.0.1"), good = 0;
	MUST(listen(l, N));
	for (int round = 0; round < 50; round++) {
		int c[N], in_order = 1;
		union addr a;
		socklen_t n = ip4(&a, "127.0.0.1", port_of(l));
		for (int i = 0; i < N; i++) {
			c[i] = MUST(socket(AF_INET, SOCK_STREAM, 0));
			MUST(connect(c[i], &a.sa, n));
		}
		for (int i = 0; i < N; i++) {
			union addr peer;
			socklen_t n = sizeof peer;
			int s = MUST(accept(l, &peer.sa, &n));
			in_order &= ntohs(peer.in.sin_port) == port_of(c[i]);
			close(s);
			close(c[i]);
		}
		good += in_order;
	}
	EQ("accepted in order", good, 50);
	close(l);
}

// An IPv6 socket that talks to an IPv4 address has one itself.
static void mapped(void)
{
	union addr a;
	int r = bound(SOCK_DGRAM, "127.0.0.1");
	int s = MUST(socket(AF_INET6, SOCK_DGRAM, 0));
	STR("fresh", text(s, 0), "::");
	socklen_t n = ip6(&a, "::ffff:127.0.0.1", port_of(r));
	EQ("connect mapped", connect(s, &a.sa, n), 0);
	STR("local is mapped", text(s, 0), "::ffff:127.0.0.1");
	STR("peer is mapped", text(s, 1), "::ffff:127.0.0.1");
	EQ("send to mapped", send(s, "x", 1, 0), 1);
	n = sizeof a;
	EQ("mapped came", recvfrom(r, &(char){0}, 1, 0, &a.sa, &n), 1);
	EQ("from IPv4", a.sa.sa_family, AF_INET);
	EQ("unconnect", connect(s, &(struct sockaddr){.sa_family = AF_UNSPEC}, sizeof(struct sockaddr)), 0);
	STR("unconnected", text(s, 0), "::");
	n = ip6(&a, "::1", 9);
	EQ("connect IPv6", connect(s, &a.sa, n), 0);
	STR("local is IPv6", text(s, 0), "::1");
	MUST(connect(s, &(struct sockaddr){.sa_family = AF_UNSPEC}, sizeof(struct sockaddr)));
	n = ip4(&a, "127.0.0.1", 9); // as getaddrinfo(3) does to learn the source address
	EQ("connect AF_INET", connect(s, &a.sa, n), 0);
	STR("local of AF_INET", text(s, 0), "::ffff:127.0.0.1");
	STR("peer of AF_INET", text(s, 1), "::ffff:127.0.0.1");
	n = ip6(&a, "::1", 9);
	FAILS("the other family at once", connect(s, &a.sa, n), EAFNOSUPPORT);
	n = ip6(&a, "::ffff:127.0.0.1", 9);
	EQ("and mapped at once", connect(s, &a.sa, n), 0);
	STR("local mapped at once", text(s, 0), "::ffff:127.0.0.1");
	n = ip4(&a, "0.0.0.0", 9);
	EQ("connect any", connect(s, &a.sa, n), 0);
	STR("local of any", text(s, 0), "::ffff:127.0.0.1");
	n = ip6(&a, "::ffff:0.0.0.0", 9);
	EQ("connect any mapped", connect(s, &a.sa, n), 0);
	STR("local of any mapped", text(s, 0), "::ffff:127.0.0.1");
	STR("peer of any mapped", text(s, 1), "::ffff:127.0.0.1");
	close(s);

	int l = bound(SOCK_STREAM, "127.0.0.1");
	MUST(listen(l, 1));
	s = MUST(socket(AF_INET6, SOCK_STREAM, 0));
	n = ip6(&a, "::ffff:127.0.0.1", port_of(l));
	EQ("tcp connect mapped", connect(s, &a.sa, n), 0);
	STR("tcp local is mapped", text(s, 0), "::ffff:127.0.0.1");
	STR("tcp peer is mapped", text(s, 1), "::ffff:127.0.0.1");
	close(s);
	close(l);

	l = bound(SOCK_STREAM, "::");
	MUST(listen(l, 1));
	s = MUST(socket(AF_INET, SOCK_STREAM, 0));
	n = ip4(&a, "127.0.0.1", port_of(l));
	EQ("connect to both", connect(s, &a.sa, n), 0);
	int c = MUST(accept(l, NULL, NULL));
	STR("accepted local", text(c, 0), "::ffff:127.0.0.1");
	STR("accepted peer", text(c, 1), "::ffff:127.0.0.1");
	close(c);
	close(s);
	close(l);
	close(r);
}

// message sends a datagram with a control message, or without one.
static ssize_t message(int fd, union addr *to, socklen_t tolen, int level, int type, const void *data, size_t size)
{
	char control[CMSG_SPACE(64)] = {0};
	struct iovec iov = {"m", 1};
	struct msghdr m = {.msg_name = to, .msg_namelen = to ? tolen : 0, .msg_iov = &iov, .msg_iovlen = 1};
	if (data) {
		m.msg_control = control;
		m.msg_controllen = CMSG_SPACE(size);
		struct cmsghdr *c = CMSG_FIRSTHDR(&m);
		c->cmsg_level = level;
		c->cmsg_type = type;
		c->cmsg_len = CMSG_LEN(size);
		memcpy(CMSG_DATA(c), data, size);
	}
	return sendmsg(fd, &m, 0);
}

// came receives a datagram; it gives an int of a control message, and the sender's address.
static int came(int fd, int level, int type, union addr *from)
{
	char control[256], b[16];
	struct iovec iov = {b, sizeof b};
	struct msghdr m = {.msg_name = from, .msg_namelen = from ? sizeof *from : 0, .msg_iov = &iov, .msg_iovlen = 1,
			   .msg_control = control, .msg_controllen = sizeof control};
	if (!(await(fd, POLLIN) & POLLIN) || recvmsg(fd, &m, 0) < 0)
		return -1;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c))
		if (c->cmsg_level == level && c->cmsg_type == type) {
			int v = 0;
			memcpy(&v, CMSG_DATA(c), c->cmsg_len - CMSG_LEN(0) < sizeof v ? c->cmsg_len - CMSG_LEN(0) : sizeof v);
			return v;
		}
	return -2;
}

// The type of service, once for a message and once for all.
static void service(void)
{
	union addr a, b;
	int r = bound(SOCK_DGRAM, "127.0.0.1"), s = MUST(socket(AF_INET, SOCK_DGRAM, 0));
	socklen_t n = ip4(&a, "127.0.0.1", port_of(r));
	set(r, SOL_IP, IP_RECVTOS, 1);
	set(s, SOL_IP, IP_TOS, 0x20);
	EQ("tos of the socket", (message(s, &a, n, 0, 0, NULL, 0), came(r, SOL_IP, IP_TOS, NULL)), 0x20);
	EQ("tos of a message", (message(s, &a, n, SOL_IP, IP_TOS, &(int){0x48}, 4), came(r, SOL_IP, IP_TOS, NULL)), 0x48);
	EQ("tos of a byte", (message(s, &a, n, SOL_IP, IP_TOS, &(char){0x28}, 1), came(r, SOL_IP, IP_TOS, NULL)), 0x28);
	EQ("tos of the socket again", (message(s, &a, n, 0, 0, NULL, 0), came(r, SOL_IP, IP_TOS, NULL)), 0x20);
	FAILS("tos too large", message(s, &a, n, SOL_IP, IP_TOS, &(int){256}, 4), EINVAL);
	FAILS("tos of two bytes", message(s, &a, n, SOL_IP, IP_TOS, &(short){1}, 2), EINVAL);
	set(r, SOL_IP, IP_RECVTTL, 1);
	set(r, SOL_IP, IP_RECVTOS, 0);
	EQ("ttl of a message", (message(s, &a, n, SOL_IP, IP_TTL, &(int){9}, 4), came(r, SOL_IP, IP_TTL, NULL)), 9);
	EQ("ttl of the socket", (message(s, &a, n, 0, 0, NULL, 0), came(r, SOL_IP, IP_TTL, NULL)), 64);
	FAILS("ttl 0", message(s, &a, n, SOL_IP, IP_TTL, &(int){0}, 4), EINVAL);
	close(r);
	close(s);

	r = bound(SOCK_DGRAM, "::1"), s = MUST(socket(AF_INET6, SOCK_DGRAM, 0));
	n = ip6(&b, "::1", port_of(r));
	set(r, SOL_IPV6, IPV6_RECVTCLASS, 1);
	set(s, SOL_IPV6, IPV6_TCLASS, 0x20);
	EQ("class of the socket", (message(s, &b, n, 0, 0, NULL, 0), came(r, SOL_IPV6, IPV6_TCLASS, NULL)), 0x20);
	EQ("class of a message", (message(s, &b, n, SOL_IPV6, IPV6_TCLASS, &(int){0x48}, 4), came(r, SOL_IPV6, IPV6_TCLASS, NULL)), 0x48);
	EQ("class of the socket again", (message(s, &b, n, 0, 0, NULL, 0), came(r, SOL_IPV6, IPV6_TCLASS, NULL)), 0x20);
	FAILS("class too large", message(s, &b, n, SOL_IPV6, IPV6_TCLASS, &(int){256}, 4), EINVAL);
	close(r);
	close(s);
}

// The address that a datagram comes from, chosen for a message.
static void source(void)
{
	union addr a, from;
	char shown[INET6_ADDRSTRLEN];
	int r = bound(SOCK_DGRAM, "127.0.0.1"), s = bound(SOCK_DGRAM, "0.0.0.0");
	socklen_t n = ip4(&a, "127.0.0.1", port_of(r));
	struct in_pktinfo info = {0};
	inet_pton(AF_INET, "127.0.0.2", &info.ipi_spec_dst);
	EQ("source", message(s, &a, n, SOL_IP, IP_PKTINFO, &info, sizeof info), 1);
	came(r, SOL_IP, IP_PKTINFO, &from);
	STR("from the source", inet_ntop(AF_INET, &from.in.sin_addr, shown, sizeof shown), "127.0.0.2");
	EQ("from the port", ntohs(from.in.sin_port), port_of(s));
	info.ipi_ifindex = 1;
	EQ("source and interface", message(s, &a, n, SOL_IP, IP_PKTINFO, &info, sizeof info), 1);
	came(r, SOL_IP, IP_PKTINFO, &from);
	STR("from the source again", inet_ntop(AF_INET, &from.in.sin_addr, shown, sizeof shown), "127.0.0.2");
	info.ipi_spec_dst.s_addr = 0;
	EQ("interface alone", message(s, &a, n, SOL_IP, IP_PKTINFO, &info, sizeof info), 1);
	came(r, SOL_IP, IP_PKTINFO, &from);
	STR("from the usual source", inet_ntop(AF_INET, &from.in.sin_addr, shown, sizeof shown), "127.0.0.1");
	// A server that answers from where it was asked: what IP_PKTINFO is for.
	set(s, SOL_IP, IP_PKTINFO, 1);
	n = ip4(&a, "127.0.0.3", port_of(s));
	EQ("ask", sendto(r, "m", 1, 0, &a.sa, n), 1);
	{
		char control[256], b[16];
		struct iovec iov = {b, sizeof b};
		struct msghdr m = {.msg_name = &from, .msg_namelen = sizeof from, .msg_iov = &iov, .msg_iovlen = 1,
				   .msg_control = control, .msg_controllen = sizeof control};
		EQ("asked", recvmsg(s, &m, 0), 1);
		struct cmsghdr *c = CMSG_FIRSTHDR(&m);
		struct in_pktinfo *p = (void *)CMSG_DATA(c);
		STR("asked at", inet_ntop(AF_INET, &p->ipi_addr, shown, sizeof shown), "127.0.0.3");
		STR("to be answered from", inet_ntop(AF_INET, &p->ipi_spec_dst, shown, sizeof shown), "127.0.0.3");
		EQ("answer", message(s, &from, sizeof from.in, SOL_IP, IP_PKTINFO, p, sizeof *p), 1);
	}
	came(r, SOL_IP, IP_PKTINFO, &from);
	STR("answered from", inet_ntop(AF_INET, &from.in.sin_addr, shown, sizeof shown), "127.0.0.3");
	info = (struct in_pktinfo){0};
	inet_pton(AF_INET, "192.0.2.77", &info.ipi_spec_dst);
	n = ip4(&a, "127.0.0.1", port_of(r));
	FAILS("source of somebody else", message(s, &a, n, SOL_IP, IP_PKTINFO, &info, sizeof info), ENETUNREACH);
	FAILS("short information", message(s, &a, n, SOL_IP, IP_PKTINFO, &info, 8), EINVAL);
	close(r);
	close(s);

	r = bound(SOCK_DGRAM, "::1"), s = bound(SOCK_DGRAM, "::");
	n = ip6(&a, "::1", port_of(r));
	struct in6_pktinfo info6 = {in6addr_loopback, 0};
	EQ("IPv6 source", message(s, &a, n, SOL_IPV6, IPV6_PKTINFO, &info6, sizeof info6), 1);
	came(r, SOL_IPV6, IPV6_PKTINFO, &from);
	STR("from the IPv6 source", inet_ntop(AF_INET6, &from.in6.sin6_addr, shown, sizeof shown), "::1");
	inet_pton(AF_INET6, "2001:db8::77", &info6.ipi6_addr);
	FAILS("IPv6 source of somebody else", message(s, &a, n, SOL_IPV6, IPV6_PKTINFO, &info6, sizeof info6), EINVAL);
	close(r);
	close(s);
}

static long since(struct timespec *began)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (now.tv_sec - began->tv_sec) * 1000 + (now.tv_nsec - began->tv_nsec) / 1000000;
}

static void *read_late(void *arg)
{
	static char b[1 << 16];
	sleep_ms(300);
	while (read(*(int *)arg, b, sizeof b) > 0)
		;
	return NULL;
}

// fill writes to a socket until its buffer is full.
static void fill(int fd)
{
	static char b[1 << 16];
	while (send(fd, b, sizeof b, MSG_DONTWAIT) > 0)
		;
	sleep_ms(50);
	while (send(fd, b, sizeof b, MSG_DONTWAIT) > 0)
		;
}

// A close that lingers waits until all has been taken, or its time is over.
static void lingering(void)
{
	int s[2];
	struct linger l = {1, 1};
	struct timespec began;
	pair(s);
	EQ("linger", setsockopt(s[0], SOL_SOCKET, SO_LINGER, &l, sizeof l), 0);
	clock_gettime(CLOCK_MONOTONIC, &began);
	close(s[0]);
	OK("nothing to wait for", since(&began) < 900);
	close(s[1]);

	pair(s);
	setsockopt(s[0], SOL_SOCKET, SO_LINGER, &l, sizeof l);
	fill(s[0]);
	clock_gettime(CLOCK_MONOTONIC, &began);
	EQ("close in time", close(s[0]), 0);
	OK("waited its time", since(&began) >= 900);
	close(s[1]);

	pair(s);
	l.l_linger = 60;
	setsockopt(s[0], SOL_SOCKET, SO_LINGER, &l, sizeof l);
	fill(s[0]);
	pthread_t t;
	clock_gettime(CLOCK_MONOTONIC, &began);
	pthread_create(&t, NULL, read_late, &s[1]);
	EQ("close when taken", close(s[0]), 0);
	long ms = since(&began);
	OK("waited until taken", ms >= 200 && ms < 50000);
	pthread_join(t, NULL);
	close(s[1]);

	pair(s);
	l.l_linger = 0;
	setsockopt(s[0], SOL_SOCKET, SO_LINGER, &l, sizeof l);
	close(s[0]);
	await(s[1], POLLIN);
	FAILS("no lingering is a reset", read(s[1], &(char){0}, 1), ECONNRESET);
	close(s[1]);

	// A duplicate keeps the socket: nothing waits.
	pair(s);
	l.l_linger = 60;
	setsockopt(s[0], SOL_SOCKET, SO_LINGER, &l, sizeof l);
	fill(s[0]);
	int d = dup(s[0]);
	clock_gettime(CLOCK_MONOTONIC, &began);
	close(s[0]);
	OK("a duplicate does not wait", since(&began) < 50000);
	l.l_onoff = 0;
	setsockopt(d, SOL_SOCKET, SO_LINGER, &l, sizeof l);
	close(d);
	close(s[1]);
}

static void *echo_all(void *arg)
{
	static char b[1 << 15];
	for (ssize_t n; (n = read(*(int *)arg, b, sizeof b)) > 0;)
		for (ssize_t k, done = 0; done < n; done += k)
			if ((k = write(*(int *)arg, b + done, n - done)) < 0)
				return NULL;
	shutdown(*(int *)arg, SHUT_WR);
	return NULL;
}

enum { ECHOED = 4 << 20 };

static void *write_all(void *arg)
{
	static char b[12345];
	for (long left = ECHOED; left > 0;) {
		ssize_t n = write(*(int *)arg, b, left < (long)sizeof b ? left : (long)sizeof b);
		if (n < 0)
			break;
		left -= n;
	}
	shutdown(*(int *)arg, SHUT_WR);
	return NULL;
}

// Both directions of a connection are full, and get on.
static void both_ways(void)
{
	static char b[1 << 16];
	int s[2];
	pthread_t t[2];
	long total = 0;
	pair(s);
	pthread_create(&t[0], NULL, echo_all, &s[1]);
	pthread_create(&t[1], NULL, write_all, &s[0]);
	while (await(s[0], POLLIN) & POLLIN) {
		ssize_t n = read(s[0], b, sizeof b);
		if (n <= 0)
			break;
		total += n;
	}
	EQ("all came back", total, ECHOED);
	close(s[0]);
	shutdown(s[1], SHUT_RDWR);
	pthread_join(t[0], NULL);
	pthread_join(t[1], NULL);
	close(s[1]);
}

int main(void)
{
	setvbuf(stdout, NULL, _IOFBF, 1 << 16);
	order();
	mapped();
	service();
	source();
	lingering();
	both_ways();
	done();
}
