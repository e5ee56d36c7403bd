// Cases of socket calls, in a table's manner: each prints its name and what the call gave, a value or the name of an errno.
// The runner compares the lines of the host with those of the guest.
#ifndef SOCKCASE_H
#define SOCKCASE_H

#include "check.h"
#include <arpa/inet.h>
#include <linux/if_packet.h>
#include <linux/netlink.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>

// CASE prints what a call gave.
#define CASE(expression, ...) ({ \
	errno = 0; \
	long long c_got = (long long)(expression); \
	result(c_got, errno, __VA_ARGS__); \
	c_got; })

__attribute__((format(printf, 3, 4), unused))
static void result(long long got, int error, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	printf("ok ");
	vprintf(format, args);
	if (got == -1)
		printf(": %s\n", strerrorname_np(error));
	else
		printf(": %lld\n", got);
	va_end(args);
}

// A network of its own, with lo up, where the host allows it: no other program's sockets and rules matter then.
__attribute__((unused))
static void own_network(void)
{
	signal(SIGPIPE, SIG_IGN);
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (unshare(CLONE_NEWNET))
		return;
	struct ifreq r = {.ifr_name = "lo"};
	int s = socket(AF_INET, SOCK_DGRAM, 0);
	ioctl(s, SIOCGIFFLAGS, &r);
	r.ifr_flags |= IFF_UP;
	ioctl(s, SIOCSIFFLAGS, &r);
	close(s);
}

// The kinds of sockets.
enum kind { TCP4, TCP6, UDP4, UDP6, STREAM, DGRAM, SEQ, ROUTE, PACKET, COOKED, RAW4, RAW6, HDRINCL, KINDS };

static const struct { const char *name; int domain, type, protocol; } kinds[] __attribute__((unused)) = {
	[TCP4] = {"tcp4", AF_INET, SOCK_STREAM, 0},
	[TCP6] = {"tcp6", AF_INET6, SOCK_STREAM, 0},
	[UDP4] = {"udp4", AF_INET, SOCK_DGRAM, 0},
	[UDP6] = {"udp6", AF_INET6, SOCK_DGRAM, 0},
	[STREAM] = {"stream", AF_UNIX, SOCK_STREAM, 0},
	[DGRAM] = {"dgram", AF_UNIX, SOCK_DGRAM, 0},
	[SEQ] = {"seqpacket", AF_UNIX, SOCK_SEQPACKET, 0},
	[ROUTE] = {"netlink", AF_NETLINK, SOCK_RAW, NETLINK_ROUTE},
	[PACKET] = {"packet", AF_PACKET, SOCK_RAW, 0},
	[COOKED] = {"cooked", AF_PACKET, SOCK_DGRAM, 0},
	[RAW4] = {"raw4", AF_INET, SOCK_RAW, IPPROTO_ICMP},
	[RAW6] = {"raw6", AF_INET6, SOCK_RAW, IPPROTO_ICMPV6},
	[HDRINCL] = {"hdrincl", AF_INET, SOCK_RAW, IPPROTO_RAW},
};

__attribute__((unused))
static int make(enum kind k)
{
	return MUST(socket(kinds[k].domain, kinds[k].type | SOCK_NONBLOCK, kinds[k].protocol));
}

// An address with its length.
struct address {
	socklen_t size;
	union {
		struct sockaddr any;
		struct sockaddr_in in;
		struct sockaddr_in6 in6;
		struct sockaddr_un un;
		struct sockaddr_nl nl;
		struct sockaddr_ll ll;
		char bytes[256];
	};
};

__attribute__((unused))
static struct address in4(const char *ip, int port)
{
	struct address a = {.size = sizeof a.in};
	a.in.sin_family = AF_INET;
	a.in.sin_port = htons(port);
	inet_pton(AF_INET, ip, &a.in.sin_addr);
	return a;
}

__attribute__((unused))
static struct address in6(const char *ip, int port)
{
	struct address a = {.size = sizeof a.in6};
	a.in6.sin6_family = AF_INET6;
	a.in6.sin6_port = htons(port);
	inet_pton(AF_INET6, ip, &a.in6.sin6_addr);
	return a;
}

// path is an address of AF_UNIX; a name that begins with @ is abstract.
__attribute__((unused))
static struct address path(const char *name)
{
	struct address a = {.size = offsetof(struct sockaddr_un, sun_path) + strlen(name)};
	a.un.sun_family = AF_UNIX;
	strcpy(a.un.sun_path, name);
	if (name[0] == '@')
		a.un.sun_path[0] = 0;
	else if (name[0])
		a.size++;
	return a;
}

__attribute__((unused))
static struct address name_of(int fd)
{
	struct address a = {.size = sizeof a.bytes};
	if (getsockname(fd, &a.any, &a.size))
		a.size = 0;
	return a;
}

__attribute__((unused))
static int port_of(int fd) { return ntohs(name_of(fd).in.sin_port); }

// text shows an address.
__attribute__((unused))
static const char *text(struct address *a)
{
	static char out[4][200];
	static int next;
	char *s = out[next++ & 3], ip[64];
	if (a->size == 0)
		return "none";
	switch (a->any.sa_family) {
	case AF_INET:
		inet_ntop(AF_INET, &a->in.sin_addr, ip, sizeof ip);
		sprintf(s, "inet %s port%s size %d", ip, a->in.sin_port ? "" : " 0", a->size);
		break;
	case AF_INET6:
		inet_ntop(AF_INET6, &a->in6.sin6_addr, ip, sizeof ip);
		sprintf(s, "inet6 %s port%s scope %d size %d", ip, a->in6.sin6_port ? "" : " 0", a->in6.sin6_scope_id, a->size);
		break;
	default:
		sprintf(s, "family %d size %d", a->any.sa_family, a->size);
	}
	return s;
}

__attribute__((unused))
static void show_name(int fd, const char *what)
{
	struct address a = {.size = sizeof a.bytes};
	int n = getsockname(fd, &a.any, &a.size);
	printf("ok %s name: %s\n", what, n ? strerrorname_np(errno) : text(&a));
}

__attribute__((unused))
static void show_peer(int fd, const char *what)
{
	struct address a = {.size = sizeof a.bytes};
	int n = getpeername(fd, &a.any, &a.size);
	printf("ok %s peer: %s\n", what, n ? strerrorname_np(errno) : text(&a));
}

__attribute__((unused))
static void show_poll(int fd, const char *what)
{
	struct pollfd p = {fd, POLLIN | POLLOUT | POLLPRI | POLLRDHUP | POLLRDBAND | POLLWRBAND | POLLRDNORM | POLLWRNORM, 0};
	poll(&p, 1, 0);
	printf("ok %s poll: %#x\n", what, p.revents);
}

__attribute__((unused))
static int set(int fd, int level, int name, int v) { return setsockopt(fd, level, name, &v, sizeof v); }

__attribute__((unused))
static int option(int fd, int level, int name)
{
	int v = 0;
	socklen_t n = sizeof v;
	return getsockopt(fd, level, name, &v, &n) ? -1 : v;
}

#define BAD ((void *)8) // an address where nothing is mapped

#endif
