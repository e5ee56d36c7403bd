// Options of sockets, for every kind of socket: how long their values may be, what range they have. Those that are not there are
// in docs/sockets.md.
#include "sockcase.h"
#include <netinet/tcp.h>
#include <netinet/udp.h>

#ifndef SO_PEERPIDFD
#define SO_PASSPIDFD 76
#define SO_PEERPIDFD 77
#endif

struct range { const char *name; int level, option; };

#define O(l, o) {#o, l, o}
static const struct range list[] = {
	O(SOL_SOCKET, SO_DEBUG), O(SOL_SOCKET, SO_REUSEADDR), O(SOL_SOCKET, SO_TYPE), O(SOL_SOCKET, SO_ERROR), O(SOL_SOCKET, SO_DONTROUTE),
	O(SOL_SOCKET, SO_BROADCAST), O(SOL_SOCKET, SO_KEEPALIVE), O(SOL_SOCKET, SO_OOBINLINE), O(SOL_SOCKET, SO_NO_CHECK),
	O(SOL_SOCKET, SO_PRIORITY), O(SOL_SOCKET, SO_LINGER), O(SOL_SOCKET, SO_BSDCOMPAT), O(SOL_SOCKET, SO_REUSEPORT), O(SOL_SOCKET, SO_PASSCRED),
	O(SOL_SOCKET, SO_PEERCRED), O(SOL_SOCKET, SO_RCVLOWAT), O(SOL_SOCKET, SO_SNDLOWAT), O(SOL_SOCKET, SO_RCVTIMEO),
	O(SOL_SOCKET, SO_SNDTIMEO), O(SOL_SOCKET, 22), O(SOL_SOCKET, 23), O(SOL_SOCKET, 24),
	O(SOL_SOCKET, SO_DETACH_FILTER), O(SOL_SOCKET, SO_PEERNAME), O(SOL_SOCKET, SO_TIMESTAMP), O(SOL_SOCKET, SO_ACCEPTCONN),
	O(SOL_SOCKET, SO_SNDBUFFORCE), O(SOL_SOCKET, SO_RCVBUFFORCE), O(SOL_SOCKET, SO_TIMESTAMPNS), O(SOL_SOCKET, SO_MARK),
	 O(SOL_SOCKET, SO_PROTOCOL), O(SOL_SOCKET, SO_DOMAIN), O(SOL_SOCKET, SO_RXQ_OVFL), O(SOL_SOCKET, SO_WIFI_STATUS),
	 O(SOL_SOCKET, SO_NOFCS), O(SOL_SOCKET, SO_LOCK_FILTER), O(SOL_SOCKET, SO_SELECT_ERR_QUEUE), O(SOL_SOCKET, SO_BUSY_POLL),
	 O(SOL_SOCKET, SO_CNX_ADVICE),
	O(SOL_SOCKET, SO_MEMINFO), O(SOL_SOCKET, SO_INCOMING_NAPI_ID), O(SOL_SOCKET, SO_COOKIE), O(SOL_SOCKET, SO_PEERGROUPS), O(SOL_SOCKET, SO_ZEROCOPY),

	O(SOL_SOCKET, SO_NETNS_COOKIE), O(SOL_SOCKET, SO_RESERVE_MEM),
	O(SOL_SOCKET, SO_PASSPIDFD), O(SOL_SOCKET, SO_PEERPIDFD), O(SOL_SOCKET, 1000), O(SOL_SOCKET, 0),
	O(SOL_TCP, TCP_NODELAY), O(SOL_TCP, TCP_MAXSEG), O(SOL_TCP, TCP_CORK), O(SOL_TCP, TCP_KEEPIDLE), O(SOL_TCP, TCP_KEEPINTVL),
	O(SOL_TCP, TCP_KEEPCNT), O(SOL_TCP, TCP_SYNCNT), O(SOL_TCP, TCP_LINGER2), O(SOL_TCP, TCP_DEFER_ACCEPT), O(SOL_TCP, TCP_WINDOW_CLAMP),
	O(SOL_TCP, TCP_INFO), O(SOL_TCP, TCP_QUICKACK), O(SOL_TCP, TCP_CONGESTION), O(SOL_TCP, TCP_THIN_LINEAR_TIMEOUTS),
	O(SOL_TCP, TCP_THIN_DUPACK), O(SOL_TCP, TCP_USER_TIMEOUT), O(SOL_TCP, TCP_FASTOPEN),
	O(SOL_TCP, TCP_NOTSENT_LOWAT),
	 O(SOL_TCP, TCP_INQ), O(SOL_TCP, 1000), O(SOL_TCP, 0),
	O(SOL_UDP, UDP_CORK), O(SOL_UDP, 101), O(SOL_UDP, 102), O(SOL_UDP, 1000),
	O(SOL_IP, IP_TOS), O(SOL_IP, IP_TTL), O(SOL_IP, IP_HDRINCL), O(SOL_IP, IP_RECVOPTS),
	O(SOL_IP, IP_RETOPTS), O(SOL_IP, IP_PKTINFO), O(SOL_IP, IP_MTU_DISCOVER), O(SOL_IP, IP_RECVERR), O(SOL_IP, IP_RECVTTL),
	O(SOL_IP, IP_RECVTOS), O(SOL_IP, IP_MTU), O(SOL_IP, IP_RECVORIGDSTADDR), O(SOL_IP, IP_MINTTL),
	 O(SOL_IP, IP_BIND_ADDRESS_NO_PORT),
	O(SOL_IP, IP_MULTICAST_IF), O(SOL_IP, IP_MULTICAST_TTL), O(SOL_IP, IP_MULTICAST_LOOP), O(SOL_IP, IP_ADD_MEMBERSHIP),
	O(SOL_IP, IP_MULTICAST_ALL), O(SOL_IP, 1000), O(SOL_IP, 0),
	O(SOL_IPV6, IPV6_UNICAST_HOPS), O(SOL_IPV6, IPV6_MULTICAST_HOPS), O(SOL_IPV6, IPV6_MULTICAST_LOOP),
	O(SOL_IPV6, IPV6_JOIN_GROUP), O(SOL_IPV6, IPV6_LEAVE_GROUP), O(SOL_IPV6, IPV6_MTU_DISCOVER), O(SOL_IPV6, IPV6_MTU), O(SOL_IPV6, IPV6_RECVERR),
	O(SOL_IPV6, IPV6_V6ONLY), O(SOL_IPV6, IPV6_RECVPKTINFO), O(SOL_IPV6, IPV6_RECVHOPLIMIT),
	 O(SOL_IPV6, IPV6_DONTFRAG), O(SOL_IPV6, IPV6_RECVTCLASS), O(SOL_IPV6, IPV6_TCLASS),
	O(SOL_IPV6, IPV6_AUTOFLOWLABEL), O(SOL_IPV6, IPV6_MINHOPCOUNT), O(SOL_IPV6, IPV6_ORIGDSTADDR),
	 O(SOL_IPV6, 29),
	O(SOL_IPV6, 33),
	O(SOL_NETLINK, NETLINK_ADD_MEMBERSHIP), O(SOL_NETLINK, NETLINK_DROP_MEMBERSHIP), O(SOL_NETLINK, NETLINK_PKTINFO),
	O(SOL_NETLINK, NETLINK_BROADCAST_ERROR), O(SOL_NETLINK, NETLINK_NO_ENOBUFS),
	 O(SOL_NETLINK, NETLINK_CAP_ACK), O(SOL_NETLINK, NETLINK_EXT_ACK),
	O(SOL_NETLINK, NETLINK_GET_STRICT_CHK), O(SOL_NETLINK, 1000),
	O(SOL_PACKET, PACKET_ADD_MEMBERSHIP), O(SOL_PACKET, PACKET_DROP_MEMBERSHIP), O(SOL_PACKET, PACKET_STATISTICS), O(SOL_PACKET, PACKET_AUXDATA),
	 O(SOL_PACKET, 1000),
	O(SOL_RAW, 1), O(SOL_ICMPV6, 1),
};

// Values of getsockopt that are a matter of the machine.
static int varies(const struct range *r)
{
	if (r->level == SOL_SOCKET)
		switch (r->option) {
		case SO_RCVLOWAT: case SO_COOKIE: case SO_NETNS_COOKIE: case SO_MEMINFO: case SO_INCOMING_CPU: case SO_BPF_EXTENSIONS:
			return 1;
		}
	if (r->level == SOL_TCP)
		return r->option == TCP_INFO || r->option == TCP_WINDOW_CLAMP || r->option == TCP_CONGESTION || r->option == TCP_CC_INFO;
	return 0;
}

// mine reports whether a level is one of a kind of socket.
static int mine(enum kind k, int level)
{
	int domain = kinds[k].domain;
	switch (level) {
	case SOL_TCP:
		return k <= TCP6;
	case SOL_UDP:
		return k == UDP4 || k == UDP6;
	case SOL_IP:
		return domain == AF_INET;
	case SOL_IPV6:
		return domain == AF_INET6;
	case SOL_RAW:
		return k == RAW4;
	case SOL_ICMPV6:
		return k == RAW6;
	case SOL_NETLINK:
		return domain == AF_NETLINK;
	case SOL_PACKET:
		return domain == AF_PACKET;
	}
	return level == SOL_SOCKET;
}

static void each(enum kind k, const struct range *r)
{
	static const int values[] = {0, 1, 2, -1, -2, 6, 7, 255, 256, 1000, 40000, 1 << 30}, rooms[] = {-1, 0, 1, 2, 3, 4, 8, 12, 16, 128};
	unsigned char b[512];
	int fd = make(k), n, e;
	printf("ok %s %d/%s get:", kinds[k].name, r->level, r->name);
	for (size_t i = r->level == SOL_IPV6; i < sizeof rooms / sizeof *rooms; i++) {
		socklen_t size = rooms[i];
		errno = 0;
		memset(b, 0xee, sizeof b);
		n = getsockopt(fd, r->level, r->option, b, &size);
		e = errno;
		if (n) {
			printf(" %s", strerrorname_np(e));
			continue;
		}
		if (r->option == SO_PEERPIDFD && r->level == SOL_SOCKET) {
			printf(" done");
			continue;
		}
		printf(" %d", varies(r) && size > 4 ? 4 : size);
		for (socklen_t j = 0; j < size && j < 16 && !varies(r); j++)
			printf("%c%02x", j ? '.' : '=', b[j]);
	}
	socklen_t size = 4;
	n = getsockopt(fd, r->level, r->option, BAD, &size);
	e = errno;
	printf(" bad: %s", n ? strerrorname_np(e) : "0");
	n = getsockopt(fd, r->level, r->option, b, BAD);
	e = errno;
	printf(" bad size: %s\n", n ? strerrorname_np(e) : "0");
	printf("ok %s %d/%s set:", kinds[k].name, r->level, r->name);
	memset(b, 0, sizeof b);
	b[0] = 1;
	if (setsockopt(fd, r->level, r->option, b, 4) == 0) {
		n = setsockopt(fd, r->level, r->option, BAD, 4);
		e = errno;
		printf(" bad: %s", n ? strerrorname_np(e) : "0");
	}
	for (size_t i = 0; i < sizeof rooms / sizeof *rooms; i++) {
		n = setsockopt(fd, r->level, r->option, b, rooms[i]);
		e = errno;
		printf(" %d: %s", rooms[i], n ? strerrorname_np(e) : "0");
	}
	printf("\n");
	close(fd);
	fd = make(k);
	printf("ok %s %d/%s values:", kinds[k].name, r->level, r->name);
	for (size_t v = 0; v < sizeof values / sizeof *values; v++) {
		n = set(fd, r->level, r->option, values[v]);
		e = errno;
		printf(" %d: %s", values[v], n ? strerrorname_np(e) : "0");
		if (n == 0 && !varies(r))
			printf(" then %d", option(fd, r->level, r->option));
	}
	printf("\n");
	close(fd);
}

int main(void)
{
	own_network();
	setvbuf(stdout, NULL, _IOFBF, 1 << 16);
	for (enum kind k = 0; k < KINDS; k++)
		for (size_t i = 0; i < sizeof list / sizeof *list && k != COOKED; i++)
			if (mine(k, list[i].level))
				each(k, &list[i]);
	done();
}
