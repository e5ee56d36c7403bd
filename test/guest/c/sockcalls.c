// The errors of the socket calls, and in which order they are looked for: every call with wrong descriptors, pointers, lengths,
// families and states, for every kind of socket.
#include "sockcase.h"
#include <sys/wait.h>

static void make_sockets(const char *who)
{
	static const int domains[] = {-1, 0, AF_UNIX, AF_INET, AF_INET6, AF_NETLINK, AF_PACKET, 46, 63, 64, 1000};
	static const int protocols[] = {-1, 0, 1, 6, 17, 41, 58, 132, 136, 255, 256, 262, 263, 1 << 20};
	for (size_t d = 0; d < sizeof domains / sizeof *domains; d++)
		for (int t = -1; t <= 12; t++) {
			int few = domains[d] != AF_INET && domains[d] != AF_INET6;
			for (size_t p = 0; p < sizeof protocols / sizeof *protocols; p++) {
				if (few && protocols[p] != 0 && protocols[p] != 1 && protocols[p] != -1)
					continue;
				if (domains[d] == AF_NETLINK && protocols[p] == 1)
					continue;
				// Protocols that only a module may have.
				if (!few && t == SOCK_STREAM && (protocols[p] == 132 || protocols[p] == 262))
					continue;
				if (!few && t == SOCK_SEQPACKET)
					continue;
				if (!few && t == SOCK_DGRAM && protocols[p] == 136)
					continue;
				// Raw sockets of other protocols, and SOCK_PACKET, are not there (docs/sockets.md).
				int family_icmp = domains[d] == AF_INET ? 1 : 58;
				if (!few && t == SOCK_RAW && protocols[p] > 0 && protocols[p] < 263 && protocols[p] != family_icmp && protocols[p] != 6 &&
				    protocols[p] != 17 && protocols[p] != 255)
					continue;
				if ((domains[d] == AF_INET || domains[d] == AF_PACKET) && t == SOCK_PACKET && strcmp(who, "root") == 0)
					continue;
				if (!few && t == SOCK_DGRAM && (protocols[p] == 1 || protocols[p] == 58))
					continue; // ping_group_range
				errno = 0;
				int fd = socket(domains[d], t, protocols[p]);
				result(fd < 0 ? -1 : 0, errno, "%s socket(%d, %d, %d)", who, domains[d], t, protocols[p]);
				if (fd >= 0)
					close(fd);
				int sv[2] = {-1, -1};
				if (t == SOCK_STREAM || t == SOCK_DGRAM || t == SOCK_RAW || t == 11) {
					errno = 0;
					fd = socketpair(domains[d], t, protocols[p], sv);
					result(fd, errno, "%s socketpair(%d, %d, %d)", who, domains[d], t, protocols[p]);
					if (!fd)
						close(sv[0]), close(sv[1]);
				}
			}
		}
	CASE(socket(AF_INET, SOCK_STREAM | 0x100, 0), "%s socket with an unknown flag", who);
	CASE(socket(1000, SOCK_STREAM | 0x100, 0), "%s socket with an unknown flag and family", who);
	CASE(socketpair(AF_UNIX, SOCK_STREAM | 0x100, 0, BAD), "%s socketpair with an unknown flag", who);
	CASE(socketpair(AF_UNIX, SOCK_STREAM, 0, BAD), "%s socketpair with a bad pointer", who);
	CASE(socketpair(AF_INET, SOCK_STREAM, 0, BAD), "%s socketpair of inet with a bad pointer", who);
	CASE(socketpair(1000, SOCK_STREAM, 0, BAD), "%s socketpair of no family with a bad pointer", who);
}

// no_socket makes every call on what is no socket.
static void no_socket(int fd, const char *what)
{
	char b[8] = "";
	struct iovec iv = {b, 1};
	struct msghdr m = {.msg_iov = &iv, .msg_iovlen = 1};
	struct mmsghdr mm = {.msg_hdr = m};
	socklen_t n = 4;
	struct timespec bad = {0, -1};
	CASE(bind(fd, BAD, -1), "%s bind", what);
	CASE(connect(fd, BAD, -1), "%s connect", what);
	CASE(listen(fd, 1), "%s listen", what);
	CASE(accept(fd, BAD, BAD), "%s accept", what);
	CASE(accept4(fd, BAD, BAD, 1), "%s accept4 with a bad flag", what);
	CASE(getsockname(fd, BAD, BAD), "%s getsockname", what);
	CASE(getpeername(fd, BAD, BAD), "%s getpeername", what);
	CASE(shutdown(fd, 99), "%s shutdown", what);
	CASE(send(fd, b, 1, 0), "%s send", what);
	CASE(send(fd, BAD, 1, 0), "%s send of a bad pointer", what);
	CASE(sendto(fd, b, 1, 0, BAD, -1), "%s sendto", what);
	CASE(sendmsg(fd, &m, 0), "%s sendmsg", what);
	CASE(sendmsg(fd, BAD, 0), "%s sendmsg of a bad pointer", what);
	CASE(sendmmsg(fd, &mm, 1, 0), "%s sendmmsg", what);
	CASE(sendmmsg(fd, BAD, 1, 0), "%s sendmmsg of a bad pointer", what);
	CASE(sendmmsg(fd, BAD, 0, 0), "%s sendmmsg of none", what);
	CASE(recv(fd, b, 1, 0), "%s recv", what);
	CASE(recv(fd, BAD, 1, 0), "%s recv to a bad pointer", what);
	CASE(recvfrom(fd, b, 1, 0, BAD, BAD), "%s recvfrom", what);
	CASE(recvmsg(fd, &m, 0), "%s recvmsg", what);
	CASE(recvmsg(fd, BAD, 0), "%s recvmsg to a bad pointer", what);
	CASE(recvmmsg(fd, BAD, 1, 0, NULL), "%s recvmmsg to a bad pointer", what);
	CASE(recvmmsg(fd, &mm, 1, 0, &bad), "%s recvmmsg with a bad time", what);
	CASE(recvmmsg(fd, &mm, 1, 0, BAD), "%s recvmmsg with a bad pointer to a time", what);
	CASE(getsockopt(fd, SOL_SOCKET, SO_TYPE, b, &n), "%s getsockopt", what);
	CASE(getsockopt(fd, SOL_SOCKET, SO_TYPE, BAD, BAD), "%s getsockopt to bad pointers", what);
	CASE(setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, BAD, -1), "%s setsockopt", what);
}

static struct address own(enum kind k, const char *unix_name)
{
	switch (kinds[k].domain) {
	case AF_INET:
		return in4("127.0.0.1", 0);
	case AF_INET6:
		return in6("::1", 0);
	case AF_UNIX:
		return path(unix_name);
	case AF_NETLINK:;
		struct address n = {.size = sizeof n.nl};
		n.nl.nl_family = AF_NETLINK;
		return n;
	}
	struct address a = {.size = sizeof a.ll};
	a.ll.sll_family = AF_PACKET;
	a.ll.sll_ifindex = 1;
	return a;
}

// addresses makes bind, connect and sendto with addresses that are wrong.
static void addresses(enum kind k)
{
	static const int sizes[] = {-1, 0, 1, 2, 3, 8, 11, 12, 15, 16, 17, 19, 20, 23, 24, 27, 28, 29, 109, 110, 111, 128, 129};
	static const int families[] = {AF_UNSPEC, AF_UNIX, AF_INET, AF_INET6, AF_NETLINK, AF_PACKET, 1000};
	const char *name = kinds[k].name;
	for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
		if (kinds[k].domain == AF_UNIX && (sizes[i] > 2 && sizes[i] < 109 || sizes[i] == 2))
			continue; // names that are bound
		struct address a = own(k, "@nobody");
		if (kinds[k].domain == AF_UNIX)
			memset(a.un.sun_path + 1, 'x', sizeof a.un.sun_path - 1);
		int fd = make(k);
		CASE(bind(fd, &a.any, sizes[i]), "%s bind size %d", name, sizes[i]);
		close(fd);
		if (sizes[i] >= 0) {
			a.in.sin_port = htons(9);
			fd = make(k);
			CASE(connect(fd, &a.any, sizes[i]), "%s connect size %d", name, sizes[i]);
			close(fd);
		}
		if (k == PACKET || k == COOKED || k == ROUTE)
			continue;
		fd = make(k);
		CASE(sendto(fd, "x", 1, MSG_DONTWAIT, &a.any, sizes[i]), "%s sendto size %d", name, sizes[i]);
		close(fd);
	}
	for (size_t i = 0; i < sizeof families / sizeof *families; i++) {
		struct address a = {.size = kinds[k].domain == AF_UNIX ? 12 : 28};
		a.any.sa_family = families[i];
		int fd = make(k);
		if (families[i] != AF_UNIX || kinds[k].domain != AF_UNIX)
			CASE(bind(fd, &a.any, a.size), "%s bind family %d", name, families[i]);
		show_poll(fd, name);
		if (k != PACKET && k != COOKED) {
			a.in.sin_port = htons(9);
			CASE(connect(fd, &a.any, a.size), "%s connect family %d", name, families[i]);
		}
		close(fd);
		if (k == PACKET || k == COOKED || k == ROUTE || k == HDRINCL)
			continue;
		fd = make(k);
		CASE(sendto(fd, "x", 1, MSG_DONTWAIT, &a.any, a.size), "%s sendto family %d", name, families[i]);
		close(fd);
		a.in.sin_family = kinds[k].domain;
	}
	int fd = make(k);
	CASE(bind(fd, BAD, 16), "%s bind of a bad pointer", name);
	CASE(bind(fd, BAD, 0), "%s bind of a bad pointer and no length", name);
	CASE(bind(fd, BAD, 200), "%s bind of a bad pointer and too much", name);
	CASE(connect(fd, BAD, 16), "%s connect of a bad pointer", name);
	CASE(sendto(fd, "x", 1, 0, BAD, 16), "%s sendto of a bad pointer", name);
	CASE(sendto(fd, BAD, 1, 0, BAD, 16), "%s sendto of two bad pointers", name);
	CASE(sendto(fd, "x", 1, 0, BAD, -1), "%s sendto of a bad length", name);
	close(fd);
}

// names makes the calls that tell addresses with wrong arguments.
static void names(enum kind k)
{
	const char *name = kinds[k].name;
	int fd = make(k);
	char b[128];
	socklen_t n;
	CASE(getsockname(fd, BAD, BAD), "%s getsockname to bad pointers", name);
	n = -1;
	CASE(getsockname(fd, BAD, &n), "%s getsockname of size -1", name);
	n = 0;
	CASE(getsockname(fd, BAD, &n), "%s getsockname of size 0", name);
	CASE(n, "%s getsockname size", name);
	n = 1;
	CASE(getsockname(fd, BAD, &n), "%s getsockname to a bad pointer", name);
	n = 128;
	CASE(getsockname(fd, (void *)b, &n), "%s getsockname of size 128", name);
	CASE(n, "%s getsockname full size", name);
	CASE(((struct sockaddr *)b)->sa_family, "%s getsockname family", name);
	CASE(getpeername(fd, BAD, BAD), "%s getpeername to bad pointers", name);
	n = -1;
	CASE(getpeername(fd, (void *)b, &n), "%s getpeername of size -1", name);
	n = 128;
	CASE(getpeername(fd, (void *)b, &n), "%s getpeername", name);
	close(fd);
}

// fresh makes calls on a socket that nothing was done with.
static void fresh(enum kind k)
{
	const char *name = kinds[k].name;
	char b[64] = "";
	int fd;
#define ON(what, expression) ({ \
	fd = make(k); \
	CASE(expression, "%s %s", name, what); \
	errno = 0; \
	CASE(option(fd, SOL_SOCKET, SO_ERROR), "%s error after %s", name, what); \
	close(fd); })
	int packets = k == PACKET || k == COOKED; // may receive what others send
	ON("listen", listen(fd, 1));
	ON("listen -1", listen(fd, -1));
	ON("accept", accept(fd, NULL, NULL));
	ON("accept to bad pointers", accept(fd, BAD, BAD));
	ON("accept4 with a bad flag", accept4(fd, NULL, NULL, 1));
	for (int how = -1; how < 4; how++) {
		sprintf(b, "shutdown %d", how);
		ON(b, shutdown(fd, how));
	}
	b[0] = 0;
	static const struct { const char *name; int flag; } flags[] = {
		{"0", 0}, {"DONTWAIT", MSG_DONTWAIT}, {"PEEK", MSG_PEEK}, {"TRUNC", MSG_TRUNC}, {"WAITALL", MSG_WAITALL},
		{"OOB", MSG_OOB}, {"ERRQUEUE", MSG_ERRQUEUE}, {"NOSIGNAL", MSG_NOSIGNAL}, {"MORE", MSG_MORE}, {"CONFIRM", MSG_CONFIRM},
		{"DONTROUTE", MSG_DONTROUTE}, {"EOR", MSG_EOR}, {"CTRUNC", MSG_CTRUNC}, {"PROXY", 0x10}, {"SYN", MSG_SYN}, {"RST", MSG_RST},
		{"FIN", MSG_FIN}, {"CMSG_COMPAT", 1u << 31}, {"CMSG_CLOEXEC", MSG_CMSG_CLOEXEC}, {"0x8000000", 0x8000000},
	};
	for (size_t i = 0; i < sizeof flags / sizeof *flags; i++) {
		int f = flags[i].flag;
		sprintf(b, "send %s", flags[i].name);
		if (k != ROUTE || f != MSG_OOB)
			ON(b, send(fd, "x", 1, f));
		sprintf(b, "send nothing %s", flags[i].name);
		ON(b, send(fd, "x", 0, f));
		if (packets)
			continue;
		sprintf(b, "recv %s", flags[i].name);
		ON(b, recv(fd, b + 40, 1, f));
		sprintf(b, "recv nothing %s", flags[i].name);
		ON(b, recv(fd, b + 40, 0, f));
	}
	if (!packets)
		ON("recv to a bad pointer", recv(fd, BAD, 1, 0));
	if (k != DGRAM) // Linux 6.14 made a difference
		ON("send of a bad pointer", send(fd, BAD, 1, 0));
	ON("send of a kernel address", send(fd, (void *)-4096L, 1, 0));
	ON("write", write(fd, "x", 1));
	ON("write nothing", write(fd, "x", 0));
	ON("read nothing", read(fd, b, 0));
	if (!packets)
		ON("read", read(fd, b, 1));
	ON("lseek", lseek(fd, 0, SEEK_CUR));
	ON("pread", pread(fd, b, 1, 0));
	ON("pwrite", pwrite(fd, "x", 1, 0));
	ON("ftruncate", ftruncate(fd, 0));
	ON("fsync", fsync(fd));
	int v;
	ON("FIONREAD", ioctl(fd, FIONREAD, &v));
	ON("SIOCOUTQ", ioctl(fd, TIOCOUTQ, &v));
	ON("SIOCATMARK", ioctl(fd, 0x8905, &v));
	ON("SIOCATMARK to a bad pointer", ioctl(fd, 0x8905, BAD));
	ON("TCGETS", ioctl(fd, 0x5401, b));
	ON("an unknown ioctl", ioctl(fd, 0x1234, b));
	fd = make(k);
	show_poll(fd, name);
	shutdown(fd, SHUT_RDWR);
	show_poll(fd, name);
	close(fd);
}

// headers makes calls with wrong struct msghdr.
static void headers(enum kind k)
{
	const char *name = kinds[k].name;
	int fd = -1;
	struct iovec iv = {"x", 1}, bad = {BAD, 1}, huge[2] = {{"x", -1}, {"x", 1}}, two[2] = {{"x", 1}, {BAD, 1}};
	char control[64] = "";
	struct msghdr m;
#define SENDMSG(what, ...) ({ \
	fd = make(k); \
	m = (struct msghdr){__VA_ARGS__}; \
	if (k != DGRAM || m.msg_iov != &bad && m.msg_iov != two) \
		CASE(sendmsg(fd, &m, MSG_DONTWAIT), "%s sendmsg %s", name, what); \
	if (k != PACKET && k != COOKED) \
		CASE(recvmsg(fd, &m, MSG_DONTWAIT), "%s recvmsg %s", name, what); \
	close(fd); })
	SENDMSG("of nothing", .msg_iov = NULL);
	SENDMSG("of one", .msg_iov = &iv, .msg_iovlen = 1);
	SENDMSG("of a bad vector", .msg_iov = BAD, .msg_iovlen = 1);
	SENDMSG("of a bad vector of none", .msg_iov = BAD, .msg_iovlen = 0);
	SENDMSG("of a bad piece", .msg_iov = &bad, .msg_iovlen = 1);
	SENDMSG("of a bad second piece", .msg_iov = two, .msg_iovlen = 2);
	SENDMSG("of 1025 pieces", .msg_iov = BAD, .msg_iovlen = 1025);
	SENDMSG("of a negative length", .msg_iov = huge, .msg_iovlen = 2);
	SENDMSG("of a negative name", .msg_name = BAD, .msg_namelen = -1, .msg_iov = &iv, .msg_iovlen = 1);
	SENDMSG("of no name with a length", .msg_name = NULL, .msg_namelen = 16, .msg_iov = &iv, .msg_iovlen = 1);
	SENDMSG("of a bad name", .msg_name = BAD, .msg_namelen = 16, .msg_iov = &iv, .msg_iovlen = 1);
	SENDMSG("of a bad name of none", .msg_name = BAD, .msg_namelen = 0, .msg_iov = &iv, .msg_iovlen = 1);
	SENDMSG("of a long name", .msg_name = control, .msg_namelen = 500, .msg_iov = &iv, .msg_iovlen = 1);
	SENDMSG("of bad control data", .msg_control = BAD, .msg_controllen = 32, .msg_iov = &iv, .msg_iovlen = 1);
	SENDMSG("of little control data", .msg_control = control, .msg_controllen = 8, .msg_iov = &iv, .msg_iovlen = 1);
	SENDMSG("of empty control data", .msg_control = control, .msg_controllen = 32, .msg_iov = &iv, .msg_iovlen = 1);
	SENDMSG("of much control data", .msg_control = control, .msg_controllen = 1ul << 31, .msg_iov = &iv, .msg_iovlen = 1);
	SENDMSG("of too much control data", .msg_control = control, .msg_controllen = 1 << 20, .msg_iov = &iv, .msg_iovlen = 1);
	static const struct { const char *name; int level, type, size; } controls[] = {
		{"RIGHTS of none", SOL_SOCKET, SCM_RIGHTS, 0}, {"RIGHTS of a half", SOL_SOCKET, SCM_RIGHTS, 2},
		{"RIGHTS of -1", SOL_SOCKET, SCM_RIGHTS, 4}, {"CREDENTIALS too short", SOL_SOCKET, SCM_CREDENTIALS, 8},
		{"CREDENTIALS of -1", SOL_SOCKET, SCM_CREDENTIALS, 12}, {"SCM_TIMESTAMP", SOL_SOCKET, SO_TIMESTAMP, 4},
		{"SCM_PIDFD", SOL_SOCKET, 4, 4}, {"SCM_TXTIME", SOL_SOCKET, 61, 8}, {"SCM_TXTIME too short", SOL_SOCKET, 61, 4},
		{"SO_MARK", SOL_SOCKET, 36, 4}, {"SO_MARK too short", SOL_SOCKET, 36, 2}, {"SO_TIMESTAMPING", SOL_SOCKET, 37, 4},
		{"unknown of SOL_SOCKET", SOL_SOCKET, 1000, 4},
		{"IP_TTL", SOL_IP, IP_TTL, 4}, {"IP_TOS", SOL_IP, IP_TOS, 4}, {"IP_PKTINFO", SOL_IP, IP_PKTINFO, 12},
		{"IP_PKTINFO too short", SOL_IP, IP_PKTINFO, 8}, {"unknown of SOL_IP", SOL_IP, 1000, 4},
		{"IPV6_HOPLIMIT", SOL_IPV6, IPV6_HOPLIMIT, 4}, {"IPV6_HOPLIMIT too short", SOL_IPV6, IPV6_HOPLIMIT, 2},
		{"IPV6_TCLASS", SOL_IPV6, IPV6_TCLASS, 4}, {"IPV6_PKTINFO too short", SOL_IPV6, IPV6_PKTINFO, 8},
		{"unknown of SOL_IPV6", SOL_IPV6, 1000, 4}, {"unknown level", 1000, 1, 4},
	};
	for (size_t i = 0; i < sizeof controls / sizeof *controls; i++) {
		struct cmsghdr *h = (void *)control;
		memset(control, -1, sizeof control);
		*h = (struct cmsghdr){CMSG_LEN(controls[i].size), controls[i].level, controls[i].type};
		fd = make(k);
		m = (struct msghdr){.msg_iov = &iv, .msg_iovlen = 1, .msg_control = control, .msg_controllen = CMSG_SPACE(controls[i].size)};
		CASE(sendmsg(fd, &m, MSG_DONTWAIT), "%s sendmsg with %s", name, controls[i].name);
		struct address a = own(k, "@nobody");
		a.in.sin_port = htons(9);
		if (k == UDP4 || k == UDP6 || k == DGRAM) {
			m.msg_name = &a.any, m.msg_namelen = a.size;
			CASE(sendmsg(fd, &m, MSG_DONTWAIT), "%s sendmsg with %s and a name", name, controls[i].name);
		}
		close(fd);
	}
	for (int n = 0; n < 24; n += n < 18 ? 1 : 5) {
		struct cmsghdr *h = (void *)control;
		memset(control, 0, sizeof control);
		*h = (struct cmsghdr){n, 1000, 1};
		fd = make(k);
		struct address a = own(k, "@nobody");
		a.in.sin_port = htons(9);
		m = (struct msghdr){.msg_iov = &iv, .msg_iovlen = 1, .msg_control = control, .msg_controllen = 17};
		if (k == UDP4 || k == UDP6 || k == DGRAM)
			m.msg_name = &a.any, m.msg_namelen = a.size;
		CASE(sendmsg(fd, &m, MSG_DONTWAIT), "%s sendmsg with a control header of %d", name, n);
		close(fd);
	}
}

// many makes sendmmsg and recvmmsg.
static void many(enum kind k)
{
	const char *name = kinds[k].name;
	char b[2];
	struct iovec iv = {b, 1};
	struct mmsghdr m[2] = {{.msg_hdr = {.msg_iov = &iv, .msg_iovlen = 1}}, {.msg_hdr = {.msg_iov = BAD, .msg_iovlen = 1}}};
	int fd = make(k);
	CASE(sendmmsg(fd, BAD, 0, 0), "%s sendmmsg of none", name);
	CASE(sendmmsg(fd, BAD, 1, 0), "%s sendmmsg of a bad pointer", name);
	CASE(sendmmsg(fd, m, 2, MSG_DONTWAIT), "%s sendmmsg", name);
	if (k != PACKET && k != COOKED) {
		CASE(recvmmsg(fd, BAD, 0, 0, NULL), "%s recvmmsg of none", name);
		CASE(recvmmsg(fd, BAD, 1, MSG_DONTWAIT, NULL), "%s recvmmsg to a bad pointer", name);
		CASE(recvmmsg(fd, m, 2, MSG_DONTWAIT, NULL), "%s recvmmsg", name);
		CASE(recvmmsg(fd, m, 2, MSG_DONTWAIT, &(struct timespec){0, 1000000000}), "%s recvmmsg with a bad time", name);
		CASE(recvmmsg(fd, m, 2, 1u << 31, NULL), "%s recvmmsg with CMSG_COMPAT", name);
		CASE(sendmmsg(fd, m, 2, 1u << 31), "%s sendmmsg with CMSG_COMPAT", name);
	}
	close(fd);
}

int main(void)
{
	own_network();
	work_dir();
	make_sockets("root");
	fflush(stdout);
	int pid = fork();
	if (pid == 0) {
		MUST(setresgid(54321, 54321, 54321));
		MUST(setresuid(54321, 54321, 54321));
		make_sockets("user");
		struct address a = in4("127.0.0.1", 1023);
		CASE(bind(MUST(socket(AF_INET, SOCK_STREAM, 0)), &a.any, a.size), "user bind to port 1023");
		a = in4("127.0.0.1", 1024);
		CASE(bind(MUST(socket(AF_INET, SOCK_STREAM, 0)), &a.any, a.size), "user bind to port 1024");
		a = in4("1.2.3.4", 1023);
		CASE(bind(MUST(socket(AF_INET, SOCK_STREAM, 0)), &a.any, a.size), "user bind to port 1023 elsewhere");
		done();
	}
	waitpid(pid, NULL, 0);
	int p[2];
	MUST(pipe(p));
	no_socket(-1, "no descriptor");
	no_socket(p[0], "a pipe");
	no_socket(MUST(open(".", O_RDONLY)), "a directory");
	no_socket(MUST(open(".", O_PATH)), "O_PATH");
	for (enum kind k = 0; k < KINDS; k++) {
		addresses(k);
		names(k);
		fresh(k);
		headers(k);
		many(k);
	}
	done();
}
