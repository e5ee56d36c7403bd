// States of sockets at their edges: low-water marks, halves that are shut, full queues of listeners, calls in states where they are
// wrong, what waits to be read and to be sent, what MSG_ flags do.
#include "sockcase.h"
#include <linux/errqueue.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <sys/epoll.h>
#include <sys/select.h>

#ifndef SO_PEERPIDFD
#define SO_PASSPIDFD 76
#define SO_PEERPIDFD 77
#endif

static char buf[1 << 17];

static int ready(int fd, short events, int ms)
{
	struct pollfd p = {fd, events, 0};
	return poll(&p, 1, ms) < 0 ? -1 : p.revents;
}

static int selected(int fd)
{
	fd_set r;
	FD_ZERO(&r);
	FD_SET(fd, &r);
	struct timeval t = {0, 0};
	return select(fd + 1, &r, NULL, NULL, &t);
}

static int epolled(int fd)
{
	struct epoll_event ev = {.events = EPOLLIN};
	int e = epoll_create1(0);
	epoll_ctl(e, EPOLL_CTL_ADD, fd, &ev);
	int n = epoll_wait(e, &ev, 1, 0);
	close(e);
	return n;
}

// pair makes two connected sockets of a kind.
static void pair(enum kind k, int s[2])
{
	if (kinds[k].domain == AF_UNIX) {
		MUST(socketpair(AF_UNIX, kinds[k].type, 0, s));
		return;
	}
	int six = kinds[k].domain == AF_INET6;
	struct address a = six ? in6("::1", 0) : in4("127.0.0.1", 0), b;
	int l = MUST(socket(kinds[k].domain, kinds[k].type, 0));
	MUST(bind(l, &a.any, a.size));
	a = name_of(l);
	s[0] = MUST(socket(kinds[k].domain, kinds[k].type, 0));
	if (kinds[k].type == SOCK_STREAM) {
		MUST(listen(l, 1));
		MUST(connect(s[0], &a.any, a.size));
		s[1] = MUST(accept(l, NULL, NULL));
		close(l);
		return;
	}
	MUST(connect(s[0], &a.any, a.size));
	b = name_of(s[0]);
	MUST(connect(l, &b.any, b.size));
	s[1] = l;
}

static void *send_late(void *arg)
{
	sleep_ms(100);
	send(*(int *)arg, buf, 120, 0);
	return NULL;
}

// arrived waits until n bytes wait to be read, or more.
static void arrived(int fd, int n)
{
	int v = 0;
	for (int i = 0; i < 5000 && ioctl(fd, FIONREAD, &v) == 0 && v < n; i++)
		sleep_ms(1);
}

static void lowat(enum kind k)
{
	const char *name = kinds[k].name;
	int s[2];
	pair(k, s);
	CASE(set(s[1], SOL_SOCKET, SO_RCVLOWAT, 100), "%s RCVLOWAT", name);
	send(s[0], buf, 50, 0);
	arrived(s[1], 50);
	CASE(ready(s[1], POLLIN, 0), "%s RCVLOWAT poll of 50", name);
	CASE(selected(s[1]), "%s RCVLOWAT select of 50", name);
	CASE(epolled(s[1]), "%s RCVLOWAT epoll of 50", name);
	CASE(recv(s[1], buf, 10, MSG_PEEK | MSG_DONTWAIT), "%s RCVLOWAT peek of 10", name);
	CASE(recv(s[1], buf, 200, MSG_PEEK | MSG_DONTWAIT), "%s RCVLOWAT peek without waiting", name);
	pthread_t t;
	pthread_create(&t, NULL, send_late, &s[0]);
	CASE(recv(s[1], buf, 200, 0), "%s RCVLOWAT blocking recv", name);
	pthread_join(t, NULL);
	send(s[0], buf, 100, 0);
	CASE(ready(s[1], POLLIN, 5000), "%s RCVLOWAT poll of enough", name);
	CASE(recv(s[1], buf, 100, MSG_DONTWAIT), "%s RCVLOWAT recv of 100", name);
	send(s[0], buf, 30, 0);
	arrived(s[1], 30);
	CASE(set(s[1], SOL_SOCKET, SO_RCVLOWAT, 20), "%s RCVLOWAT lower", name);
	CASE(ready(s[1], POLLIN, kinds[k].type == SOCK_STREAM ? 0 : 5000), "%s RCVLOWAT poll after it is lower", name);
	recv(s[1], buf, 200, MSG_DONTWAIT);
	send(s[0], buf, 1, 0);
	shutdown(s[0], SHUT_WR);
	if (kinds[k].type == SOCK_STREAM)
		CASE(ready(s[1], POLLIN, 5000) & POLLIN, "%s RCVLOWAT poll at the end", name);
	CASE(recv(s[1], buf, 200, MSG_DONTWAIT), "%s RCVLOWAT recv at the end", name);
	CASE(set(s[1], SOL_SOCKET, SO_SNDLOWAT, 100), "%s SNDLOWAT", name);
	CASE(option(s[1], SOL_SOCKET, SO_SNDLOWAT), "%s SNDLOWAT is", name);
	close(s[0]), close(s[1]);
}

// halves shuts the directions of a connected pair.
static void halves(enum kind k)
{
	static const char *const hows[] = {"RD", "WR", "RDWR"};
	for (int how = SHUT_RD; how <= SHUT_RDWR; how++)
		for (int queued = 0; queued < 2; queued++) {
			int s[2];
			char what[80];
			pair(k, s);
			sprintf(what, "%s shut %s%s", kinds[k].name, hows[how], queued ? " with data" : "");
			if (queued) {
				send(s[1], buf, 10, 0);
				ready(s[0], POLLIN, 5000);
			}
			CASE(shutdown(s[0], how), "%s", what);
			if (kinds[k].type == SOCK_STREAM && how != SHUT_RD)
				ready(s[1], POLLRDHUP, 5000);
			show_poll(s[0], what);
			show_poll(s[1], what);
			CASE(recv(s[0], buf, 5, MSG_DONTWAIT), "%s recv", what);
			CASE(recv(s[0], buf, 50, MSG_DONTWAIT), "%s recv the rest", what);
			CASE(recv(s[0], buf, 50, MSG_DONTWAIT), "%s recv after it", what);
			CASE(send(s[0], buf, 5, MSG_NOSIGNAL), "%s send", what);
			CASE(send(s[0], buf, 0, MSG_NOSIGNAL), "%s send nothing", what);
			if (how != SHUT_RD || kinds[k].type == SOCK_DGRAM || kinds[k].domain == AF_UNIX) {
				CASE(send(s[1], buf, 5, MSG_NOSIGNAL), "%s send to it", what);
				if (k != TCP4 && k != TCP6)
					CASE(recv(s[0], buf, 50, MSG_DONTWAIT), "%s recv what was sent to it", what);
			}
			if (how == SHUT_RD && (k == TCP4 || k == TCP6))
				ready(s[1], POLLIN, 5000);
			CASE(recv(s[1], buf, 50, MSG_DONTWAIT), "%s recv of the other", what);
			if (how != SHUT_RDWR || k != TCP4 && k != TCP6) { // Linux resets such a connection when data comes
				CASE(shutdown(s[0], how), "%s again", what);
				CASE(option(s[0], SOL_SOCKET, SO_ERROR), "%s error", what);
			}
			close(s[0]);
			if (k != TCP4 && k != TCP6) {
				show_poll(s[1], what);
				CASE(recv(s[1], buf, 50, MSG_DONTWAIT), "%s recv when it is closed", what);
				CASE(send(s[1], buf, 5, MSG_NOSIGNAL), "%s send when it is closed", what);
				CASE(shutdown(s[1], SHUT_RDWR), "%s shutdown when it is closed", what);
				show_peer(s[1], what);
			}
			close(s[1]);
		}
}

// unconnected shuts a datagram socket without a peer.
static void unconnected(enum kind k)
{
	const char *name = kinds[k].name;
	struct address a = kinds[k].domain == AF_INET ? in4("127.0.0.1", 0) : in6("::1", 0);
	int fd = make(k), from = make(k);
	bind(fd, &a.any, a.size);
	a = name_of(fd);
	CASE(shutdown(fd, SHUT_RD), "%s unconnected shut RD", name);
	show_poll(fd, name);
	CASE(recv(fd, buf, 5, 0), "%s unconnected recv", name);
	CASE(sendto(from, "x", 1, 0, &a.any, a.size), "%s sendto to a shut one", name);
	CASE(recv(fd, buf, 5, 0), "%s unconnected recv what was sent", name);
	CASE(shutdown(fd, SHUT_WR), "%s unconnected shut WR", name);
	a = name_of(from);
	a.in.sin_addr.s_addr = kinds[k].domain == AF_INET ? htonl(INADDR_LOOPBACK) : a.in.sin_addr.s_addr;
	if (kinds[k].domain == AF_INET)
		CASE(sendto(fd, "x", 1, 0, &a.any, a.size), "%s sendto of a shut one", name);
	show_poll(fd, name);
	close(fd), close(from);
}

// backlog counts the connections that a listener takes without accept.
static void backlog(enum kind k, int n)
{
	const char *name = kinds[k].name;
	struct address a = kinds[k].domain == AF_INET ? in4("127.0.0.1", 0) : kinds[k].domain == AF_INET6 ? in6("::1", 0) : path("@backlog");
	int l = make(k), c[16], got = 0;
	MUST(bind(l, &a.any, a.size));
	MUST(listen(l, n));
	if (kinds[k].domain != AF_UNIX)
		a = name_of(l);
	for (int i = 0; i < 12; i++) {
		c[i] = make(k);
		int r = connect(c[i], &a.any, a.size), e = errno;
		if (kinds[k].domain == AF_UNIX && r)
			result(r, e, "%s backlog %d connection %d", name, n, i);
		if (r == 0 || e == EINPROGRESS && ready(c[i], POLLOUT, i <= n ? 5000 : 100) & POLLOUT)
			got++;
		else
			break;
		sleep_ms(100); // the listener has the last acknowledgement
	}
	CASE(got, "%s backlog %d holds", name, n);
	CASE(ready(l, POLLIN, 5000), "%s backlog %d poll", name, n);
	int taken = accept(l, NULL, NULL);
	CASE(taken >= 0, "%s backlog %d accept", name, n);
	int more = make(k);
	if (kinds[k].domain == AF_UNIX)
		CASE(connect(more, &a.any, a.size), "%s backlog %d connect after accept", name, n);
	close(l);
	for (int i = 0; i < got; i++)
		if (kinds[k].domain == AF_UNIX)
			show_poll(c[i], "connection of a listener that went");
	for (int i = 0; i <= got && i < 12; i++)
		close(c[i]);
	close(taken), close(more);
}

// wrong makes calls in states where they are not allowed.
static void wrong(enum kind k)
{
	const char *name = kinds[k].name;
	int un = kinds[k].domain == AF_UNIX;
	struct address a = kinds[k].domain == AF_INET ? in4("127.0.0.1", 0) : kinds[k].domain == AF_INET6 ? in6("::1", 0) : path("@wrong");
	int l = make(k), v;
	if (un)
		CASE(listen(l, 1), "%s listen unbound", name);
	MUST(bind(l, &a.any, a.size));
	CASE(accept(l, NULL, NULL), "%s accept of a bound one", name);
	CASE(listen(l, 1), "%s listen", name);
	CASE(listen(l, 5), "%s listen again", name);
	CASE(listen(l, -1), "%s listen -1", name);
	CASE(accept(l, NULL, NULL), "%s accept of none", name);
	a = name_of(l);
	CASE(bind(l, &a.any, a.size), "%s bind a listener", name);
	CASE(connect(l, &a.any, a.size), "%s connect a listener to itself", name);
	struct address none = {.size = 16};
	CASE(send(l, "x", 1, MSG_NOSIGNAL), "%s send to a listener", name);
	CASE(recv(l, buf, 1, 0), "%s recv of a listener", name);
	CASE(recv(l, buf, 0, 0), "%s recv nothing of a listener", name);
	CASE(recv(l, buf, 1, MSG_OOB), "%s recv OOB of a listener", name);
	CASE(ioctl(l, FIONREAD, &v), "%s FIONREAD of a listener", name);
	CASE(ioctl(l, TIOCOUTQ, &v), "%s SIOCOUTQ of a listener", name);
	show_peer(l, name);
	show_poll(l, name);
	CASE(option(l, SOL_SOCKET, SO_ACCEPTCONN), "%s ACCEPTCONN", name);
	int c = make(k);
	connect(c, &a.any, a.size);
	ready(l, POLLIN, 5000);
	show_poll(l, name);
	CASE(listen(c, 1), "%s listen of a connected one", name);
	CASE(accept(c, NULL, NULL), "%s accept of a connected one", name);
	CASE(bind(c, &a.any, a.size), "%s bind a connected one", name);
	CASE(connect(c, &a.any, a.size), "%s connect a connected one", name);
	CASE(connect(c, &a.any, 1), "%s connect a connected one with a short address", name);
	CASE(sendto(c, "x", 1, MSG_NOSIGNAL, &a.any, a.size), "%s sendto on a connected one", name);
	CASE(option(c, SOL_SOCKET, SO_ACCEPTCONN), "%s ACCEPTCONN of a connected one", name);
	int s = accept(l, NULL, NULL);
	CASE(listen(s, 1), "%s listen of an accepted one", name);
	show_name(s, name);
	show_peer(s, name);
	if (!un)
		CASE(shutdown(l, SHUT_WR), "%s shut WR of a listener", name);
	CASE(shutdown(l, SHUT_RD), "%s shut RD of a listener", name);
	show_poll(l, name);
	CASE(accept(l, NULL, NULL), "%s accept of a shut one", name);
	int d = make(k);
	CASE(connect(d, &a.any, a.size) == 0 ? 0 : (ready(d, POLLOUT, 5000), option(d, SOL_SOCKET, SO_ERROR)), "%s connect to a shut one", name);
	close(d);
	CASE(listen(l, 1), "%s listen of a shut one", name);
	show_poll(l, name);
	close(l), close(c), close(s);
}

// waiting is SIOCINQ, SIOCOUTQ and what MSG_ flags do to data.
static void waiting(enum kind k)
{
	const char *name = kinds[k].name;
	int s[2], v = -1, stream = kinds[k].type == SOCK_STREAM;
	pair(k, s);
	memcpy(buf, "abcdefghij", 10);
	CASE(ioctl(s[1], FIONREAD, &v), "%s FIONREAD of nothing", name);
	CASE(v, "%s FIONREAD nothing", name);
	send(s[0], buf, 6, 0);
	send(s[0], buf + 6, 4, 0);
	while (ioctl(s[1], FIONREAD, &v) == 0 && v != (stream || k == SEQ ? 10 : 6))
		sleep_ms(1);
	CASE(v, "%s FIONREAD", name);
	if (kinds[k].domain != AF_UNIX && stream) {
		while (ioctl(s[0], TIOCOUTQ, &v) == 0 && v != 0)
			sleep_ms(1);
		CASE(v, "%s SIOCOUTQ", name);
	}
	CASE(recv(s[1], buf + 20, 3, MSG_PEEK), "%s PEEK", name);
	CASE(recv(s[1], buf + 20, 3, MSG_PEEK | MSG_TRUNC), "%s PEEK TRUNC", name);
	CASE(recv(s[1], buf + 20, 0, MSG_PEEK | MSG_TRUNC), "%s PEEK TRUNC of no room", name);
	CASE(recv(s[1], buf + 20, 0, MSG_DONTWAIT | MSG_PEEK), "%s PEEK of no room", name);
	struct iovec iv = {buf + 20, 3};
	struct msghdr m = {.msg_iov = &iv, .msg_iovlen = 1, .msg_flags = -1};
	CASE(recvmsg(s[1], &m, MSG_PEEK), "%s recvmsg PEEK", name);
	CASE(m.msg_flags, "%s recvmsg flags", name);
	if (kinds[k].domain == AF_UNIX) {
		CASE(set(s[1], SOL_SOCKET, SO_PEEK_OFF, 2), "%s PEEK_OFF", name);
		CASE(recv(s[1], buf + 20, 3, MSG_PEEK), "%s PEEK at 2", name);
		CASE(buf[20], "%s PEEK at 2 gives", name);
		CASE(option(s[1], SOL_SOCKET, SO_PEEK_OFF), "%s PEEK_OFF then", name);
		CASE(recv(s[1], buf + 20, 3, MSG_PEEK), "%s PEEK at 5", name);
		CASE(option(s[1], SOL_SOCKET, SO_PEEK_OFF), "%s PEEK_OFF at last", name);
		CASE(recv(s[1], buf + 20, 3, 0), "%s recv of 3", name);
		CASE(option(s[1], SOL_SOCKET, SO_PEEK_OFF), "%s PEEK_OFF after recv", name);
		set(s[1], SOL_SOCKET, SO_PEEK_OFF, -1);
	}
	CASE(recv(s[1], buf + 20, 3, MSG_TRUNC | MSG_DONTWAIT), "%s TRUNC", name);
	CASE(recv(s[1], buf + 20, 100, MSG_WAITALL | MSG_DONTWAIT), "%s WAITALL DONTWAIT", name);
	CASE(recv(s[1], buf + 20, 100, MSG_DONTWAIT), "%s recv the rest", name);
	CASE(recv(s[1], buf + 20, 0, MSG_DONTWAIT), "%s recv of no room", name);
	CASE(recv(s[1], BAD, 10, MSG_DONTWAIT), "%s recv of nothing to a bad pointer", name);
	send(s[0], buf, 6, 0);
	ready(s[1], POLLIN, 5000);
	CASE(recv(s[1], BAD, 10, MSG_DONTWAIT), "%s recv to a bad pointer", name);
	CASE(recv(s[1], buf, 10, MSG_DONTWAIT), "%s recv after a bad pointer", name);
	struct iovec two[2] = {{buf, 3}, {BAD, 3}};
	m = (struct msghdr){.msg_iov = two, .msg_iovlen = 2};
	CASE(sendmsg(s[0], &m, 0), "%s sendmsg of a piece that is bad", name);
	CASE(recv(s[1], buf, 10, MSG_DONTWAIT), "%s recv of a piece that is bad", name);
	CASE(send(s[0], buf, 0, 0), "%s send nothing", name);
	if (!stream)
		ready(s[1], POLLIN, 5000);
	CASE(recv(s[1], buf, 10, MSG_DONTWAIT), "%s recv nothing", name);
	CASE(write(s[0], buf, 0), "%s write nothing", name);
	CASE(recv(s[1], buf, 10, MSG_DONTWAIT), "%s recv nothing that was written", name);
	if (!stream) {
		set(s[0], SOL_SOCKET, SO_SNDBUF, 1);
		CASE(send(s[0], buf, 70000, MSG_DONTWAIT), "%s send too much", name);
		CASE(send(s[0], BAD, 70000, MSG_DONTWAIT), "%s send too much of a bad pointer", name);
	}
	close(s[0]), close(s[1]);
}

// more is MSG_MORE and UDP_CORK.
static void more(enum kind k)
{
	const char *name = kinds[k].name;
	int s[2];
	pair(k, s);
	CASE(send(s[0], "ab", 2, MSG_MORE), "%s MORE", name);
	CASE(ready(s[1], POLLIN, 50), "%s MORE poll", name);
	CASE(send(s[0], "cd", 2, MSG_MORE), "%s MORE again", name);
	CASE(send(s[0], "ef", 2, 0), "%s MORE no more", name);
	CASE(recv(s[1], buf, 10, 0), "%s MORE recv", name);
	CASE(memcmp(buf, "abcdef", 6), "%s MORE data", name);
	CASE(set(s[0], SOL_UDP, 1, 1), "%s CORK", name);
	CASE(send(s[0], "ab", 2, 0), "%s CORK send", name);
	CASE(send(s[0], "c", 1, 0), "%s CORK send more", name);
	CASE(ready(s[1], POLLIN, 50), "%s CORK poll", name);
	CASE(option(s[0], SOL_UDP, 1), "%s CORK is", name);
	CASE(set(s[0], SOL_UDP, 1, 0), "%s CORK off", name);
	CASE(recv(s[1], buf, 10, 0), "%s CORK recv", name);
	close(s[0]), close(s[1]);
}

// refused is what an ICMP error leaves, with and without a queue of errors.
static void refused(enum kind k)
{
	int six = kinds[k].domain == AF_INET6;
	for (int queue = 0; queue < 2; queue++) {
		char what[60];
		sprintf(what, "%s refused%s", kinds[k].name, queue ? " with RECVERR" : "");
		int gone = make(k), fd = make(k);
		struct address a = six ? in6("::1", 0) : in4("127.0.0.1", 0);
		bind(gone, &a.any, a.size);
		a = name_of(gone);
		close(gone);
		set(fd, six ? SOL_IPV6 : SOL_IP, six ? IPV6_RECVERR : IP_RECVERR, queue);
		connect(fd, &a.any, a.size);
		CASE(send(fd, "abc", 3, 0), "%s send", what);
		ready(fd, POLLERR, 5000);
		show_poll(fd, what);
		CASE(option(fd, SOL_SOCKET, SO_ERROR), "%s error", what);
		CASE(option(fd, SOL_SOCKET, SO_ERROR), "%s error again", what);
		show_poll(fd, what);
		char control[256];
		struct iovec iv = {buf, 10};
		struct address f = {.size = 0};
		struct msghdr m = {.msg_name = &f.any, .msg_namelen = sizeof f.bytes, .msg_iov = &iv, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
		CASE(recvmsg(fd, &m, MSG_ERRQUEUE), "%s ERRQUEUE", what);
		if (queue) {
			struct cmsghdr *h = CMSG_FIRSTHDR(&m);
			struct sock_extended_err *e = (void *)CMSG_DATA(h);
			CASE(m.msg_flags, "%s flags", what);
			f.size = m.msg_namelen;
			printf("ok %s name %s\n", what, text(&f));
			CASE(h->cmsg_len, "%s length", what);
			printf("ok %s level %d type %d errno %d origin %d type %d code %d info %d\n", what, h->cmsg_level, h->cmsg_type, e->ee_errno,
			       e->ee_origin, e->ee_type, e->ee_code, e->ee_info);
			CASE(recvmsg(fd, &m, MSG_ERRQUEUE), "%s ERRQUEUE again", what);
		}
		show_poll(fd, what);
		CASE(send(fd, "abc", 3, 0), "%s send again", what);
		ready(fd, POLLERR, 5000);
		CASE(send(fd, "abc", 3, 0), "%s send with an error", what);
		CASE(recv(fd, buf, 3, MSG_DONTWAIT), "%s recv with an error", what);
		close(fd);
	}
}

// reset is SO_LINGER with no time.
static void reset(enum kind k)
{
	const char *name = kinds[k].name;
	int s[2];
	struct linger l = {1, 0};
	pair(k, s);
	setsockopt(s[0], SOL_SOCKET, SO_LINGER, &l, sizeof l);
	send(s[1], "x", 1, 0);
	close(s[0]);
	ready(s[1], POLLHUP, 5000);
	show_poll(s[1], name);
	CASE(send(s[1], "x", 1, MSG_NOSIGNAL), "%s reset send", name);
	CASE(send(s[1], "x", 1, MSG_NOSIGNAL), "%s reset send again", name);
	CASE(recv(s[1], buf, 1, 0), "%s reset recv", name);
	CASE(option(s[1], SOL_SOCKET, SO_ERROR), "%s reset error", name);
	show_peer(s[1], name);
	CASE(shutdown(s[1], SHUT_RDWR), "%s reset shutdown", name);
	CASE(set(s[1], SOL_TCP, TCP_NODELAY, 1), "%s reset option", name);
	close(s[1]);
	// A close with data that was not read resets too.
	pair(k, s);
	send(s[1], "x", 1, 0);
	ready(s[0], POLLIN, 5000);
	close(s[0]);
	ready(s[1], POLLHUP, 5000);
	CASE(option(s[1], SOL_SOCKET, SO_ERROR), "%s unread error", name);
	CASE(recv(s[1], buf, 1, 0), "%s unread recv", name);
	close(s[1]);
}

// nobody connects to where nobody listens.
static void nobody(enum kind k)
{
	const char *name = kinds[k].name;
	int six = kinds[k].domain == AF_INET6, gone = make(k);
	struct address a = six ? in6("::1", 0) : in4("127.0.0.1", 0);
	bind(gone, &a.any, a.size);
	a = name_of(gone);
	close(gone);
	int fd = make(k);
	int n = connect(fd, &a.any, a.size);
	CASE(n == -1 && (errno == EINPROGRESS || errno == ECONNREFUSED), "%s nobody connect", name);
	if (errno != ECONNREFUSED) {
		ready(fd, POLLOUT, 5000);
		show_poll(fd, name);
		CASE(option(fd, SOL_SOCKET, SO_ERROR), "%s nobody error", name);
	}
	show_poll(fd, name);
	CASE(send(fd, "x", 1, MSG_NOSIGNAL), "%s nobody send", name);
	CASE(recv(fd, buf, 1, 0), "%s nobody recv", name);
	show_peer(fd, name);
	close(fd);
	fd = socket(kinds[k].domain, kinds[k].type, 0);
	CASE(connect(fd, &a.any, a.size), "%s nobody blocking connect", name);
	CASE(option(fd, SOL_SOCKET, SO_ERROR), "%s nobody error of a blocking one", name);
	CASE(connect(fd, &a.any, a.size), "%s nobody blocking connect again", name);
	CASE(listen(fd, 1), "%s nobody listen", name);
	close(fd);
}

// credentials of AF_UNIX.
static void credentials(void)
{
	int s[2];
	struct ucred u;
	socklen_t n = sizeof u;
	MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
	CASE(getsockopt(s[0], SOL_SOCKET, SO_PEERCRED, &u, &n), "PEERCRED");
	CASE(u.pid == getpid() && u.uid == getuid() && u.gid == getgid(), "PEERCRED of a pair");
	n = 8;
	CASE(getsockopt(s[0], SOL_SOCKET, SO_PEERCRED, &u, &n), "PEERCRED of size 8");
	CASE(n, "PEERCRED size");
	gid_t g[64];
	n = sizeof g;
	CASE(getsockopt(s[0], SOL_SOCKET, SO_PEERGROUPS, g, &n), "PEERGROUPS");
	int fd = -1;
	n = sizeof fd;
	CASE(getsockopt(s[0], SOL_SOCKET, SO_PEERPIDFD, &fd, &n), "PEERPIDFD");
	CASE(fd >= 0 && syscall(SYS_pidfd_send_signal, fd, 0, NULL, 0) == 0, "PEERPIDFD is a pidfd");
	CASE(fcntl(fd, F_GETFD), "PEERPIDFD flags");
	close(fd);
	CASE(set(s[1], SOL_SOCKET, SO_PASSPIDFD, 1), "PASSPIDFD");
	CASE(option(s[1], SOL_SOCKET, SO_PASSPIDFD), "PASSPIDFD is");
	send(s[0], "x", 1, 0);
	char control[256];
	struct iovec iv = {buf, 10};
	struct msghdr m = {.msg_iov = &iv, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
	CASE(recvmsg(s[1], &m, 0), "PASSPIDFD recv");
	struct cmsghdr *h = CMSG_FIRSTHDR(&m);
	CASE(h && h->cmsg_level == SOL_SOCKET && h->cmsg_type == 4, "SCM_PIDFD");
	CASE(h ? h->cmsg_len : 0, "SCM_PIDFD length");
	if (h) {
		memcpy(&fd, CMSG_DATA(h), 4);
		CASE(fd >= 0 && syscall(SYS_pidfd_send_signal, fd, 0, NULL, 0) == 0, "SCM_PIDFD is a pidfd");
		close(fd);
	}
	set(s[1], SOL_SOCKET, SO_PASSPIDFD, 0);
	set(s[1], SOL_SOCKET, SO_PASSCRED, 1);
	send(s[0], "x", 1, 0);
	m = (struct msghdr){.msg_iov = &iv, .msg_iovlen = 1, .msg_control = control, .msg_controllen = CMSG_LEN(4)};
	CASE(recvmsg(s[1], &m, 0), "PASSCRED recv with little room");
	CASE(m.msg_flags, "PASSCRED flags");
	CASE(m.msg_controllen, "PASSCRED size");
	close(s[0]), close(s[1]);
}

int main(void)
{
	own_network();
	work_dir();
	static const enum kind all[] = {TCP4, TCP6, UDP4, UDP6, STREAM, DGRAM, SEQ};
	for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
		enum kind k = all[i];
		lowat(k);
		halves(k);
		waiting(k);
		if (kinds[k].type == SOCK_STREAM || k == SEQ) {
			for (int n = 0; n < 4; n++)
				backlog(k, n);
			wrong(k);
		}
	}
	for (enum kind k = TCP4; k <= TCP6; k++) {
		reset(k);
		nobody(k);
	}
	for (enum kind k = UDP4; k <= UDP6; k++) {
		unconnected(k);
		refused(k);
		more(k);
	}
	credentials();
	done();
}
