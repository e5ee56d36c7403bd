// netlink(7), rtnetlink(7), netdevice(7): what programs find out about the network's interfaces, as far as it is the same on
// every machine: the loopback interface.
#include "check.h"
#include <arpa/inet.h>
#include <ifaddrs.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

static char answer[65536];

// ask sends a request for a dump, and collects the answer until its end.
static int ask(int s, int type, int family, int flags, unsigned seq)
{
	struct {
		struct nlmsghdr h;
		union { struct ifinfomsg link; struct rtgenmsg g; char room[64]; } u;
	} q;
	memset(&q, 0, sizeof q);
	q.h.nlmsg_len = NLMSG_LENGTH(sizeof q.u.link);
	q.h.nlmsg_type = type;
	q.h.nlmsg_flags = NLM_F_REQUEST | flags;
	q.h.nlmsg_seq = seq;
	q.u.g.rtgen_family = family;
	struct sockaddr_nl to = {.nl_family = AF_NETLINK};
	if (sendto(s, &q, q.h.nlmsg_len, 0, (void *)&to, sizeof to) < 0)
		return -1;
	int total = 0;
	for (;;) {
		ssize_t n = recv(s, answer + total, sizeof answer - total, 0);
		if (n <= 0)
			return -1;
		int last = 0;
		for (struct nlmsghdr *h = (void *)(answer + total); NLMSG_OK(h, n); h = NLMSG_NEXT(h, n)) {
			if (h->nlmsg_type == NLMSG_DONE || h->nlmsg_type == NLMSG_ERROR || !(h->nlmsg_flags & NLM_F_MULTI))
				last = 1;
			total = (char *)h - answer + NLMSG_ALIGN(h->nlmsg_len);
		}
		if (last)
			return total;
	}
}

static void *attribute(void *first, int n, int type)
{
	for (struct rtattr *a = first; RTA_OK(a, n); a = RTA_NEXT(a, n))
		if (a->rta_type == type)
			return RTA_DATA(a);
	return NULL;
}

static void dumps(void)
{
	int s = MUST(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE));
	struct sockaddr_nl me = {.nl_family = AF_NETLINK};
	socklen_t size = sizeof me;
	EQ("bind", bind(s, (void *)&me, sizeof me), 0);
	EQ("name", getsockname(s, (void *)&me, &size), 0);
	OK("port", me.nl_pid == (unsigned)getpid() && size == 12);
	FAILS("empty", recv(s, answer, 10, MSG_DONTWAIT), EAGAIN);
	int n = ask(s, RTM_GETLINK, AF_UNSPEC, NLM_F_DUMP, 7), found = 0, done_seen = 0;
	OK("links", n > 0);
	for (struct nlmsghdr *h = (void *)answer; NLMSG_OK(h, n); h = NLMSG_NEXT(h, n)) {
		if (h->nlmsg_type == NLMSG_DONE)
			done_seen = h->nlmsg_seq == 7 && h->nlmsg_pid == me.nl_pid;
		if (h->nlmsg_type != RTM_NEWLINK)
			continue;
		struct ifinfomsg *l = NLMSG_DATA(h);
		char *name = attribute(IFLA_RTA(l), IFLA_PAYLOAD(h), IFLA_IFNAME);
		if (l->ifi_index == 1 && name && strcmp(name, "lo") == 0) {
			found = 1;
			OK("lo flags", (l->ifi_flags & (IFF_UP | IFF_LOOPBACK)) == (IFF_UP | IFF_LOOPBACK));
			EQ("lo type", l->ifi_type, 772);
			int *mtu = attribute(IFLA_RTA(l), IFLA_PAYLOAD(h), IFLA_MTU);
			EQ("lo mtu", mtu ? *mtu : -1, 65536);
			OK("lo address", attribute(IFLA_RTA(l), IFLA_PAYLOAD(h), IFLA_ADDRESS) != NULL);
			OK("lo counters", attribute(IFLA_RTA(l), IFLA_PAYLOAD(h), IFLA_STATS64) != NULL);
		}
	}
	EQ("lo", found, 1);
	EQ("done", done_seen, 1);
	n = ask(s, RTM_GETADDR, AF_INET, NLM_F_DUMP, 8), found = 0;
	for (struct nlmsghdr *h = (void *)answer; NLMSG_OK(h, n); h = NLMSG_NEXT(h, n)) {
		if (h->nlmsg_type != RTM_NEWADDR)
			continue;
		struct ifaddrmsg *a = NLMSG_DATA(h);
		unsigned *ip = attribute(IFA_RTA(a), IFA_PAYLOAD(h), IFA_LOCAL);
		char *label = attribute(IFA_RTA(a), IFA_PAYLOAD(h), IFA_LABEL);
		if (a->ifa_index == 1 && a->ifa_family == AF_INET && ip && *ip == htonl(INADDR_LOOPBACK))
			found = a->ifa_prefixlen == 8 && a->ifa_scope == RT_SCOPE_HOST && label && strcmp(label, "lo") == 0;
	}
	EQ("lo has 127.0.0.1", found, 1);
	OK("routes", ask(s, RTM_GETROUTE, AF_INET, NLM_F_DUMP, 9) > 0);
	OK("neighbours", ask(s, RTM_GETNEIGH, AF_INET, NLM_F_DUMP, 10) > 0);
	n = ask(s, 999, AF_UNSPEC, 0, 11);
	struct nlmsghdr *h = (void *)answer;
	struct nlmsgerr *e = NLMSG_DATA(h);
	OK("unknown request", n > 0 && h->nlmsg_type == NLMSG_ERROR && e->error == -EOPNOTSUPP && e->msg.nlmsg_seq == 11);
	struct iovec iov = {answer, 8};
	struct sockaddr_nl from;
	struct msghdr m = {.msg_name = &from, .msg_namelen = sizeof from, .msg_iov = &iov, .msg_iovlen = 1};
	struct { struct nlmsghdr h; struct ifinfomsg l; } q = {{sizeof q, RTM_GETLINK, NLM_F_REQUEST, 12, 0}, {.ifi_index = 1}};
	EQ("one link", send(s, &q, sizeof q, 0), sizeof q);
	OK("length by peek", recvmsg(s, &m, MSG_PEEK | MSG_TRUNC) > 100);
	EQ("from the kernel", from.nl_pid, 0);
	EQ("cut", (m.msg_namelen = sizeof from, recvmsg(s, &m, 0), m.msg_flags & MSG_TRUNC), MSG_TRUNC);
	q.l.ifi_index = 4711;
	send(s, &q, sizeof q, 0);
	recv(s, answer, sizeof answer, 0);
	EQ("no such link", e->error, -ENODEV);
	int t = MUST(socket(AF_NETLINK, SOCK_DGRAM, NETLINK_ROUTE));
	struct sockaddr_nl other = {.nl_family = AF_NETLINK, .nl_pid = me.nl_pid};
	FAILS("port in use", bind(t, (void *)&other, sizeof other), EADDRINUSE);
	close(t);
	FAILS("no stream", socket(AF_NETLINK, SOCK_STREAM, NETLINK_ROUTE), ESOCKTNOSUPPORT);
	close(s);
}

static void requests(void)
{
	int s = MUST(socket(AF_UNIX, SOCK_DGRAM, 0)), u = MUST(socket(AF_INET, SOCK_DGRAM, 0));
	struct ifreq r = {.ifr_name = "lo"};
	EQ("index", (ioctl(s, SIOCGIFINDEX, &r), r.ifr_ifindex), 1);
	EQ("flags", ioctl(u, SIOCGIFFLAGS, &r), 0);
	OK("flags are", (r.ifr_flags & (IFF_UP | IFF_LOOPBACK)) == (IFF_UP | IFF_LOOPBACK));
	EQ("mtu", (ioctl(u, SIOCGIFMTU, &r), r.ifr_mtu), 65536);
	EQ("addr", ioctl(u, SIOCGIFADDR, &r), 0);
	STR("addr is", inet_ntoa(((struct sockaddr_in *)&r.ifr_addr)->sin_addr), "127.0.0.1");
	EQ("netmask", ioctl(u, SIOCGIFNETMASK, &r), 0);
	STR("netmask is", inet_ntoa(((struct sockaddr_in *)&r.ifr_addr)->sin_addr), "255.0.0.0");
	EQ("hwaddr", (ioctl(u, SIOCGIFHWADDR, &r), r.ifr_hwaddr.sa_family), 772);
	r.ifr_ifindex = 1;
	memset(r.ifr_name, 0, sizeof r.ifr_name);
	EQ("name", ioctl(u, SIOCGIFNAME, &r), 0);
	STR("name is", r.ifr_name, "lo");
	strcpy(r.ifr_name, "nowhere0");
	FAILS("no device", ioctl(u, SIOCGIFINDEX, &r), ENODEV);
	struct ifreq list[16];
	struct ifconf c = {.ifc_len = sizeof list, .ifc_req = list};
	EQ("conf", ioctl(u, SIOCGIFCONF, &c), 0);
	int found = 0;
	for (unsigned i = 0; i < c.ifc_len / sizeof *list; i++)
		found += strcmp(list[i].ifr_name, "lo") == 0;
	EQ("conf has lo", found, 1);
	FAILS("unknown", ioctl(u, 0x12345678, &r), ENOTTY);
	close(s);
	close(u);
	EQ("if_nametoindex", if_nametoindex("lo"), 1);
	char name[IF_NAMESIZE];
	STR("if_indextoname", if_indextoname(1, name), "lo");
	FAILS("no index", if_nametoindex("nowhere0") == 0 ? -1 : 0, ENODEV);
}

static void library(void)
{
	struct ifaddrs *list, *a;
	EQ("getifaddrs", getifaddrs(&list), 0);
	int found = 0;
	for (a = list; a; a = a->ifa_next) {
		if (strcmp(a->ifa_name, "lo") != 0 || !a->ifa_addr)
			continue;
		if (a->ifa_addr->sa_family == AF_INET && ((struct sockaddr_in *)a->ifa_addr)->sin_addr.s_addr == htonl(INADDR_LOOPBACK))
			found |= 1;
		if (a->ifa_addr->sa_family == AF_PACKET)
			found |= 2;
	}
	EQ("getifaddrs has lo", found, 3);
	freeifaddrs(list);
	OK("proc dev", strstr(get("/proc/net/dev"), "    lo:") != NULL);
	OK("proc tcp", strstr(get("/proc/net/tcp"), "local_address rem_address   st tx_queue rx_queue") != NULL);
	int s = MUST(socket(AF_INET, SOCK_STREAM, 0));
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t n = sizeof in;
	bind(s, (void *)&in, sizeof in);
	listen(s, 1);
	getsockname(s, (void *)&in, &n);
	char text[64];
	snprintf(text, sizeof text, " 0100007F:%04X 00000000:0000 0A ", ntohs(in.sin_port));
	OK("proc tcp has it", strstr(get("/proc/net/tcp"), text) != NULL);
	struct stat st;
	fstat(s, &st);
	snprintf(text, sizeof text, " %lu ", st.st_ino);
	OK("proc tcp inode", strstr(get("/proc/self/net/tcp"), text) != NULL);
	char link[64], want[64];
	snprintf(link, sizeof link, "/proc/self/fd/%d", s);
	ssize_t k = readlink(link, text, sizeof text - 1);
	text[k < 0 ? 0 : k] = 0;
	snprintf(want, sizeof want, "socket:[%lu]", st.st_ino);
	STR("fd link", text, want);
	OK("proc udp", strstr(get("/proc/net/udp"), "local_address") != NULL);
	OK("proc unix", strncmp(get("/proc/net/unix"), "Num       RefCount Protocol Flags    Type St Inode Path", 55) == 0);
	OK("proc route", strncmp(get("/proc/net/route"), "Iface\tDestination\tGateway \tFlags", 32) == 0);
	OK("proc sockstat", strncmp(get("/proc/net/sockstat"), "sockets: used ", 14) == 0);
	OK("proc snmp", strstr(get("/proc/net/snmp"), "\nTcp: ") != NULL);
	OK("proc igmp6", strstr(get("/proc/net/igmp6"), "1    lo              ff020000000000000000000000000001     1 0000000C 0\n") != NULL);
	int u = MUST(socket(AF_INET, SOCK_DGRAM, 0));
	struct ip_mreqn group = {.imr_multiaddr.s_addr = htonl(0xef010203), .imr_ifindex = 1};
	EQ("join", setsockopt(u, IPPROTO_IP, IP_ADD_MEMBERSHIP, &group, sizeof group), 0);
	OK("proc igmp, joined", strstr(get("/proc/net/igmp"), "\t\t\t\t030201EF     1 0:00000000\t\t0\n") != NULL);
	EQ("leave", setsockopt(u, IPPROTO_IP, IP_DROP_MEMBERSHIP, &group, sizeof group), 0);
	OK("proc igmp, left", strstr(get("/proc/net/igmp"), "030201EF") == NULL && strstr(get("/proc/net/igmp"), "\t\t\t\t010000E0     1 0:") != NULL);
	close(u);
	STR("sys ifindex", get("/sys/class/net/lo/ifindex"), "1\n");
	STR("sys mtu", get("/sys/class/net/lo/mtu"), "65536\n");
	STR("sys address", get("/sys/class/net/lo/address"), "00:00:00:00:00:00\n");
	close(s);
}

int main(void)
{
	setvbuf(stdout, NULL, _IOFBF, 1 << 16);
	dumps();
	requests();
	library();
	done();
}
