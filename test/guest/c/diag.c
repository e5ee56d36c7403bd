// sock_diag(7): what ss(8) asks about sockets. And what multicast groups of rtnetlink(7) tell.
#include "check.h"
#include <arpa/inet.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <linux/unix_diag.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

enum { ESTABLISHED = 1, CLOSE = 7, LISTENING = 10 }; // include/net/tcp_states.h

static char answer[1 << 18];

// collect receives an answer until its end. It gives its size, or a negative error.
static int collect(int s)
{
	int total = 0;
	for (;;) {
		ssize_t n = recv(s, answer + total, sizeof answer - total, 0);
		if (n <= 0)
			return -1000;
		for (struct nlmsghdr *h = (void *)(answer + total); NLMSG_OK(h, n); h = NLMSG_NEXT(h, n)) {
			if (h->nlmsg_type == NLMSG_ERROR)
				return ((struct nlmsgerr *)NLMSG_DATA(h))->error;
			if (h->nlmsg_type == NLMSG_DONE)
				return total;
			total = (char *)h - answer + NLMSG_ALIGN(h->nlmsg_len);
			if (!(h->nlmsg_flags & NLM_F_MULTI))
				return total;
		}
	}
}

static int ask(int s, int flags, const void *body, size_t size)
{
	char b[256] = {0};
	struct nlmsghdr *h = (void *)b;
	h->nlmsg_len = NLMSG_LENGTH(size);
	h->nlmsg_type = SOCK_DIAG_BY_FAMILY;
	h->nlmsg_flags = NLM_F_REQUEST | flags;
	h->nlmsg_seq = 7;
	memcpy(NLMSG_DATA(h), body, size);
	struct sockaddr_nl to = {.nl_family = AF_NETLINK};
	if (sendto(s, b, h->nlmsg_len, 0, (void *)&to, sizeof to) < 0)
		return -errno;
	return collect(s);
}

// each message of the answer that is now there
#define EACH(h, total) for (struct nlmsghdr *h = (void *)answer; (char *)h < answer + (total); h = (void *)((char *)h + NLMSG_ALIGN(h->nlmsg_len)))

static void *attribute(struct nlmsghdr *h, size_t header, int type)
{
	int n = h->nlmsg_len - NLMSG_LENGTH(NLMSG_ALIGN(header));
	for (struct rtattr *a = (void *)((char *)NLMSG_DATA(h) + NLMSG_ALIGN(header)); RTA_OK(a, n); a = RTA_NEXT(a, n))
		if (a->rta_type == type)
			return RTA_DATA(a);
	return NULL;
}

static unsigned inode(int fd)
{
	struct stat st;
	MUST(fstat(fd, &st));
	return st.st_ino;
}

// find asks for all sockets of a kind, and gives the message about one.
static struct nlmsghdr *find(int s, int family, int protocol, unsigned states, int ext, unsigned ino)
{
	struct inet_diag_req_v2 q = {.sdiag_family = family, .sdiag_protocol = protocol, .idiag_ext = ext, .idiag_states = states};
	int total = ask(s, NLM_F_DUMP, &q, sizeof q);
	EACH(h, total)
		if (h->nlmsg_type == SOCK_DIAG_BY_FAMILY && ((struct inet_diag_msg *)NLMSG_DATA(h))->idiag_inode == ino)
			return h;
	return NULL;
}

static int bound(int type, int port)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = MUST(socket(AF_INET, type, 0));
	MUST(bind(fd, (void *)&a, sizeof a));
	return fd;
}

static struct sockaddr_in name(int fd)
{
	struct sockaddr_in a;
	socklen_t n = sizeof a;
	MUST(getsockname(fd, (void *)&a, &n));
	return a;
}

static void inet(void)
{
	int s = MUST(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG));
	int l = bound(SOCK_STREAM, 0);
	MUST(listen(l, 5));
	struct sockaddr_in a = name(l);
	int c = MUST(socket(AF_INET, SOCK_STREAM, 0));
	MUST(connect(c, (void *)&a, sizeof a));
	int d = MUST(accept(l, NULL, NULL));
	MUST(write(c, "unread", 6));
	poll(&(struct pollfd){d, POLLIN, 0}, 1, 5000);

	struct nlmsghdr *h = find(s, AF_INET, IPPROTO_TCP, 1 << LISTENING, 0, inode(l));
	OK("listener", h != NULL);
	struct inet_diag_msg *m = h ? NLMSG_DATA(h) : NULL;
	OK("its answer is one of several", h && h->nlmsg_flags & NLM_F_MULTI && h->nlmsg_seq == 7);
	EQ("its family", m ? m->idiag_family : -1, AF_INET);
	EQ("its state", m ? m->idiag_state : -1, LISTENING);
	EQ("its port", m ? m->id.idiag_sport : 0, a.sin_port);
	EQ("its peer's port", m ? m->id.idiag_dport : 1, 0);
	EQ("its address", m ? m->id.idiag_src[0] : 0, htonl(INADDR_LOOPBACK));
	EQ("its owner", m ? m->idiag_uid : 9999, getuid());
	EQ("its backlog", m ? (int)m->idiag_wqueue : -1, 5);
	EQ("nobody waits", m ? (int)m->idiag_rqueue : -1, 0);
	OK("not among the established", find(s, AF_INET, IPPROTO_TCP, 1 << ESTABLISHED, 0, inode(l)) == NULL);
	OK("not in IPv6", find(s, AF_INET6, IPPROTO_TCP, -1, 0, inode(l)) == NULL);
	OK("not in UDP", find(s, AF_INET, IPPROTO_UDP, -1, 0, inode(l)) == NULL);

	h = find(s, AF_INET, IPPROTO_TCP, 1 << ESTABLISHED, 1 << (INET_DIAG_INFO - 1) | 1 << (INET_DIAG_CONG - 1), inode(d));
	OK("accepted", h != NULL);
	m = h ? NLMSG_DATA(h) : NULL;
	EQ("accepted at", m ? m->id.idiag_sport : 0, a.sin_port);
	EQ("accepted from", m ? m->id.idiag_dport : 0, name(c).sin_port);
	EQ("unread", m ? (int)m->idiag_rqueue : -1, 6);
	struct tcp_info *info = h ? attribute(h, sizeof *m, INET_DIAG_INFO) : NULL;
	EQ("information", info ? info->tcpi_state : -1, ESTABLISHED);
	OK("congestion control", h && attribute(h, sizeof *m, INET_DIAG_CONG));
	EQ("not shut", h && attribute(h, sizeof *m, INET_DIAG_SHUTDOWN) ? *(char *)attribute(h, sizeof *m, INET_DIAG_SHUTDOWN) : -1, 0);
	struct inet_diag_sockid id = {0};
	if (m)
		id = m->id;
	OK("connected", find(s, AF_INET, IPPROTO_TCP, 1 << ESTABLISHED, 0, inode(c)) != NULL);

	// One alone.
	struct inet_diag_req_v2 q = {.sdiag_family = AF_INET, .sdiag_protocol = IPPROTO_TCP, .idiag_states = -1, .id = id};
	int total = ask(s, 0, &q, sizeof q);
	OK("one", total > 0);
	EQ("that one", ((struct inet_diag_msg *)NLMSG_DATA((struct nlmsghdr *)answer))->idiag_inode, inode(d));
	q.id.idiag_sport = htons(1);
	EQ("none", ask(s, 0, &q, sizeof q), -ENOENT);
	q.sdiag_family = 63;
	EQ("no such family", ask(s, NLM_F_DUMP, &q, sizeof q), -EINVAL);
	q.sdiag_family = AF_INET;
	EQ("too short", ask(s, NLM_F_DUMP, &q, 1), -EINVAL);

	// IPv6, and datagrams.
	int l6 = MUST(socket(AF_INET6, SOCK_STREAM, 0));
	MUST(listen(l6, 3));
	h = find(s, AF_INET6, IPPROTO_TCP, 1 << LISTENING, 0, inode(l6));
	OK("IPv6 listener", h != NULL);
	m = h ? NLMSG_DATA(h) : NULL;
	EQ("for any address", m ? m->id.idiag_src[0] | m->id.idiag_src[3] : 1, 0);
	int u = bound(SOCK_DGRAM, 0);
	h = find(s, AF_INET, IPPROTO_UDP, 1 << CLOSE, 0, inode(u));
	OK("datagrams", h != NULL);
	m = h ? NLMSG_DATA(h) : NULL;
	EQ("datagrams at", m ? m->id.idiag_sport : 0, name(u).sin_port);
	a = name(u);
	MUST(connect(u, (void *)&a, sizeof a));
	OK("connected datagrams", find(s, AF_INET, IPPROTO_UDP, 1 << ESTABLISHED, 0, inode(u)) != NULL);
	OK("only those", find(s, AF_INET, IPPROTO_UDP, 1 << CLOSE, 0, inode(u)) == NULL);
	close(c);
	close(d);
	close(l);
	close(l6);
	close(u);
	close(s);
}

static struct nlmsghdr *find_unix(int s, unsigned states, unsigned show, unsigned ino)
{
	struct unix_diag_req q = {.sdiag_family = AF_UNIX, .udiag_states = states, .udiag_show = show, .udiag_cookie = {-1, -1}};
	int total = ask(s, NLM_F_DUMP, &q, sizeof q);
	EACH(h, total)
		if (h->nlmsg_type == SOCK_DIAG_BY_FAMILY && ((struct unix_diag_msg *)NLMSG_DATA(h))->udiag_ino == ino)
			return h;
	return NULL;
}

static void local(void)
{
	int s = MUST(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG)), p[2];
	struct sockaddr_un a = {AF_UNIX, "name"};
	int l = MUST(socket(AF_UNIX, SOCK_STREAM, 0));
	MUST(bind(l, (void *)&a, sizeof a));
	MUST(listen(l, 4));
	MUST(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, p));
	struct nlmsghdr *h = find_unix(s, 1 << LISTENING, UDIAG_SHOW_NAME | UDIAG_SHOW_RQLEN | UDIAG_SHOW_PEER, inode(l));
	OK("unix listener", h != NULL);
	struct unix_diag_msg *m = h ? NLMSG_DATA(h) : NULL;
	EQ("its kind", m ? m->udiag_type : -1, SOCK_STREAM);
	EQ("it listens", m ? m->udiag_state : -1, LISTENING);
	char *path = h ? attribute(h, sizeof *m, UNIX_DIAG_NAME) : NULL;
	OK("its name", path && memcmp(path, "name", 4) == 0);
	struct unix_diag_rqlen *len = h ? attribute(h, sizeof *m, UNIX_DIAG_RQLEN) : NULL;
	EQ("its room", len ? (int)len->udiag_wqueue : -1, 4);
	OK("it has no peer", h && !attribute(h, sizeof *m, UNIX_DIAG_PEER));
	h = find_unix(s, 1 << ESTABLISHED, UDIAG_SHOW_PEER, inode(p[0]));
	OK("unix pair", h != NULL);
	m = h ? NLMSG_DATA(h) : NULL;
	EQ("of packets", m ? m->udiag_type : -1, SOCK_SEQPACKET);
	unsigned *peer = h ? attribute(h, sizeof *m, UNIX_DIAG_PEER) : NULL;
	EQ("its peer", peer ? *peer : 0, inode(p[1]));
	OK("not asked for", h && !attribute(h, sizeof *m, UNIX_DIAG_NAME));
	close(l);
	close(p[0]);
	close(p[1]);
	close(s);
}

// change adds or takes away an address of lo.
static int change(int s, int type, const char *ip)
{
	struct {
		struct nlmsghdr h;
		struct ifaddrmsg a;
		struct rtattr attr;
		struct in_addr ip;
	} q = {{sizeof q, type, NLM_F_REQUEST | NLM_F_ACK | (type == RTM_NEWADDR ? NLM_F_CREATE | NLM_F_EXCL : 0), 9, 0},
	       {AF_INET, 32, 0, 0, 1}, {8, IFA_LOCAL}, {0}};
	inet_pton(AF_INET, ip, &q.ip);
	if (send(s, &q, sizeof q, 0) < 0)
		return -errno;
	return collect(s);
}

// told waits for a message of a type, about an address.
static int told(int s, int type, const char *ip)
{
	struct in_addr want;
	inet_pton(AF_INET, ip, &want);
	for (;;) {
		struct pollfd p = {s, POLLIN, 0};
		if (poll(&p, 1, 5000) != 1)
			return 0;
		ssize_t n = recv(s, answer, sizeof answer, 0);
		for (struct nlmsghdr *h = (void *)answer; NLMSG_OK(h, n); h = NLMSG_NEXT(h, n)) {
			struct in_addr *got = attribute(h, sizeof(struct ifaddrmsg), IFA_LOCAL);
			if (h->nlmsg_type == type && got && got->s_addr == want.s_addr)
				return 1;
		}
	}
}

// open_bound is a socket with a port ID: without one it is told nothing.
static int open_bound(void)
{
	int s = MUST(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE));
	struct sockaddr_nl me = {.nl_family = AF_NETLINK};
	MUST(bind(s, (void *)&me, sizeof me));
	return s;
}

static void groups(void)
{
	int listener = MUST(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE));
	struct sockaddr_nl me = {.nl_family = AF_NETLINK, .nl_groups = RTMGRP_IPV4_IFADDR};
	EQ("join", bind(listener, (void *)&me, sizeof me), 0);
	socklen_t n = sizeof me;
	getsockname(listener, (void *)&me, &n);
	EQ("joined", me.nl_groups, RTMGRP_IPV4_IFADDR);
	int member = open_bound(), group = RTNLGRP_IPV4_IFADDR;
	EQ("join by option", setsockopt(member, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof group), 0);
	int other = open_bound();
	group = RTNLGRP_IPV6_IFADDR;
	EQ("another group", setsockopt(other, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof group), 0);
	group = 9999;
	FAILS("no such group", setsockopt(other, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof group), EINVAL);

	int s = MUST(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE));
	struct sockaddr_nl to = {.nl_family = AF_NETLINK};
	MUST(connect(s, (void *)&to, sizeof to));
	int r = change(s, RTM_NEWADDR, "198.18.0.77");
	if (r == -EPERM) {
		static const char *all[] = {"add", "told of it", "member told", "nobody else", "take away", "who it comes from", "group", "told of that", "member told of that", "leave", "left"};
		for (size_t i = 0; i < sizeof all / sizeof *all; i++)
			skip(all[i], "needs root");
		return;
	}
	EQ("add", r, 0);
	OK("told of it", told(listener, RTM_NEWADDR, "198.18.0.77"));
	OK("member told", told(member, RTM_NEWADDR, "198.18.0.77"));
	FAILS("nobody else", recv(other, answer, sizeof answer, MSG_DONTWAIT), EAGAIN);
	EQ("take away", change(s, RTM_DELADDR, "198.18.0.77"), 0);
	struct sockaddr_nl from;
	n = sizeof from;
	poll(&(struct pollfd){member, POLLIN, 0}, 1, 5000);
	recvfrom(member, answer, sizeof answer, MSG_PEEK | MSG_DONTWAIT, (void *)&from, &n);
	EQ("who it comes from", from.nl_pid, 0);
	EQ("group", from.nl_groups, 1 << (RTNLGRP_IPV4_IFADDR - 1));
	OK("told of that", told(listener, RTM_DELADDR, "198.18.0.77"));
	OK("member told of that", told(member, RTM_DELADDR, "198.18.0.77"));
	group = RTNLGRP_IPV4_IFADDR;
	EQ("leave", setsockopt(member, SOL_NETLINK, NETLINK_DROP_MEMBERSHIP, &group, sizeof group), 0);
	change(s, RTM_NEWADDR, "198.18.0.77");
	change(s, RTM_DELADDR, "198.18.0.77");
	FAILS("left", recv(member, answer, sizeof answer, MSG_DONTWAIT), EAGAIN);
	close(s);
	close(other);
	close(member);
	close(listener);
}

// column is the value under a name in one of the files of pairs of lines.
static long column(const char *path, const char *group, const char *name)
{
	static char names[8192], values[8192];
	long found = -1;
	FILE *f = fopen(path, "r");
	while (f && fgets(names, sizeof names, f) && fgets(values, sizeof values, f)) {
		char *n, *v, *a = strtok_r(names, " \n", &n), *b = strtok_r(values, " \n", &v);
		if (!a || strncmp(a, group, strlen(group)) || a[strlen(group)] != ':')
			continue;
		while ((a = strtok_r(NULL, " \n", &n)) && (b = strtok_r(NULL, " \n", &v)))
			if (strcmp(a, name) == 0)
				found = atol(b);
		if (a || strtok_r(NULL, " \n", &v))
			found = -2; // as many values as names
	}
	if (f)
		fclose(f);
	return found;
}

static long row(const char *name)
{
	char n[64];
	long v, found = -1;
	FILE *f = fopen("/proc/net/snmp6", "r");
	while (f && fscanf(f, "%63s %ld", n, &v) == 2)
		if (strcmp(n, name) == 0)
			found = v;
	if (f)
		fclose(f);
	return found;
}

// The counters of the network, in the columns that monitors read.
static void counters(void)
{
	static const struct { const char *path, *group, *name; } all[] = {
		{"/proc/net/netstat", "TcpExt", "ListenOverflows"}, {"/proc/net/netstat", "TcpExt", "ListenDrops"},
		{"/proc/net/netstat", "TcpExt", "SyncookiesSent"}, {"/proc/net/netstat", "TcpExt", "TCPTimeouts"},
		{"/proc/net/netstat", "IpExt", "InOctets"}, {"/proc/net/netstat", "IpExt", "OutOctets"},
		{"/proc/net/snmp", "Tcp", "CurrEstab"}, {"/proc/net/snmp", "Tcp", "RetransSegs"}, {"/proc/net/snmp", "Udp", "InErrors"},
		{"/proc/net/snmp", "Ip", "InReceives"}, {"/proc/net/snmp", "Icmp", "InMsgs"},
	};
	for (size_t i = 0; i < sizeof all / sizeof *all; i++)
		OK(all[i].name, column(all[i].path, all[i].group, all[i].name) >= 0);
	long opens = column("/proc/net/snmp", "Tcp", "ActiveOpens"), packets = column("/proc/net/snmp", "Ip", "InReceives"), octets = column("/proc/net/netstat", "IpExt", "InOctets");
	long packets6 = row("Ip6InReceives"), datagrams = column("/proc/net/snmp", "Udp", "InDatagrams") + row("Udp6InDatagrams");
	int l = bound(SOCK_STREAM, 0), c = MUST(socket(AF_INET, SOCK_STREAM, 0));
	struct sockaddr_in a = name(l);
	MUST(listen(l, 1));
	MUST(connect(c, (void *)&a, sizeof a));
	OK("opens are counted", column("/proc/net/snmp", "Tcp", "ActiveOpens") > opens);
	OK("packets are counted", column("/proc/net/snmp", "Ip", "InReceives") >= packets + 3);
	OK("octets are counted", column("/proc/net/netstat", "IpExt", "InOctets") >= octets + 120);
	close(c);
	close(l);
	int u = MUST(socket(AF_INET6, SOCK_DGRAM, 0));
	struct sockaddr_in6 b = {.sin6_family = AF_INET6, .sin6_addr = in6addr_loopback};
	socklen_t n = sizeof b;
	MUST(bind(u, (void *)&b, n));
	MUST(getsockname(u, (void *)&b, &n));
	MUST(sendto(u, "x", 1, 0, (void *)&b, n));
	MUST(recv(u, &(char){0}, 1, 0));
	OK("packets of IPv6 are counted", row("Ip6InReceives") > packets6);
	OK("neighbours", row("Icmp6InNeighborSolicits") >= 0 && row("Icmp6OutNeighborAdvertisements") >= 0);
	OK("datagrams are counted", column("/proc/net/snmp", "Udp", "InDatagrams") + row("Udp6InDatagrams") > datagrams);
	close(u);
}

int main(void)
{
	setvbuf(stdout, NULL, _IOFBF, 1 << 16);
	work_dir();
	inet();
	local();
	groups();
	counters();
	done();
}
