// The settings of the network in /proc/sys/net: their ranges, and that sockets obey them.
#include "sockcase.h"
#include <netinet/tcp.h>
#include <sys/mount.h>
#include <sys/wait.h>

// What the settings were: other programs run in the same guest.
static struct { const char *name; char text[256]; } before[64];
static int changed;

static int put_setting(const char *name, const char *value);

static void restore(void)
{
	for (int i = changed - 1; i >= 0; i--) // each is known: none is added
		put_setting(before[i].name, before[i].text);
}

static int put_setting(const char *name, const char *value)
{
	char old[128];
	int known = 0;
	for (int i = 0; i < changed; i++)
		known |= strcmp(before[i].name, name) == 0;
	if (!known && changed < 64) {
		snprintf(old, sizeof old, "/proc/sys/net/%s", name);
		before[changed].name = name;
		snprintf(before[changed++].text, sizeof before[0].text, "%s", get(old));
	}
	char path[128];
	snprintf(path, sizeof path, "/proc/sys/net/%s", name);
	int fd = open(path, O_WRONLY | O_TRUNC);
	if (fd < 0)
		return -1;
	int n = write(fd, value, strlen(value)), e = errno;
	close(fd);
	errno = e;
	return n < 0 ? -1 : 0;
}

static void show(const char *name)
{
	char path[128];
	snprintf(path, sizeof path, "/proc/sys/net/%s", name);
	printf("ok %s is %s", name, get(path));
}

static void try(const char *name, const char *const *values, int keep)
{
	char path[128], was[256];
	snprintf(path, sizeof path, "/proc/sys/net/%s", name);
	snprintf(was, sizeof was, "%s", get(path));
	for (; *values; values++) {
		CASE(put_setting(name, *values), "%s set to %s", name, *values);
		show(name);
	}
	if (!keep)
		put_setting(name, was);
}

#define TRY(name, ...) try(name, (const char *const[]){__VA_ARGS__, NULL}, 0)

int main(void)
{
	own_network();
	mount("proc", "/proc", "proc", 0, NULL);
	// Defaults that are the same in all machines.
	show("core/somaxconn");
	show("ipv4/ip_local_port_range");
	show("ipv4/ip_unprivileged_port_start");
	show("ipv4/ip_default_ttl");
	show("ipv4/tcp_keepalive_time");
	show("ipv4/tcp_keepalive_intvl");
	show("ipv4/tcp_keepalive_probes");
	show("ipv4/tcp_fin_timeout");
	show("ipv4/tcp_syn_retries");
	show("ipv4/tcp_retries2");
	show("ipv4/tcp_sack");
	show("ipv4/tcp_timestamps");
	show("ipv4/tcp_window_scaling");
	show("ipv4/tcp_syncookies");
	show("ipv4/tcp_moderate_rcvbuf");
	show("ipv6/bindv6only");
	show("ipv6/conf/all/disable_ipv6");
	show("unix/max_dgram_qlen");

	TRY("core/somaxconn", "100", "0", "-1", "2147483647", "2147483648", "x");
	TRY("ipv4/ip_local_port_range", "40000 41000", "61000\t62000", "50000 40000", "0 100", "30000", "1000 60000", "30000 70000", "x y");
	TRY("ipv4/ip_unprivileged_port_start", "80", "0", "65536", "-1", "40000");
	TRY("ipv4/ip_default_ttl", "1", "255", "0", "256", "64");
	TRY("ipv4/tcp_syn_retries", "1", "127", "0", "128");
	TRY("ipv4/tcp_sack", "0", "1");
	CASE(put_setting("ipv4/tcp_congestion_control", "nobody"), "unknown congestion control");
	TRY("ipv4/tcp_fin_timeout", "30", "60");
	TRY("ipv4/tcp_rmem", "4096 100000 500000", "4096 100000", "0 1 1");
	TRY("ipv4/tcp_wmem", "4096 100000 500000", "-1");
	TRY("ipv4/tcp_syncookies", "2", "1");
	TRY("ipv4/tcp_tw_reuse", "0", "1", "2", "3");
	TRY("ipv4/ping_group_range", "0 2147483647", "5 4", "10 20");
	TRY("unix/max_dgram_qlen", "3");
	TRY("ipv4/ip_forward", "1", "0");
	CASE(put_setting("ipv4/tcp_available_congestion_control", "x"), "available congestion controls cannot be written");

	// What they do.
	put_setting("ipv4/ip_local_port_range", "45000 45003");
	int fds[5];
	for (int i = 0; i < 5; i++) {
		struct address a = in4("127.0.0.1", 0);
		fds[i] = make(UDP4);
		CASE(bind(fds[i], &a.any, a.size), "port %d of four", i);
		int port = port_of(fds[i]);
		CASE(i == 4 || port >= 45000 && port <= 45003, "port %d is in the range", i);
	}
	for (int i = 0; i < 5; i++)
		close(fds[i]);
	put_setting("ipv4/ip_local_port_range", "32768 60999");

	put_setting("ipv4/tcp_keepalive_time", "100");
	put_setting("ipv4/tcp_keepalive_intvl", "10");
	put_setting("ipv4/tcp_keepalive_probes", "4");
	int s = make(TCP4);
	CASE(option(s, SOL_TCP, TCP_KEEPIDLE), "keepalive time");
	CASE(option(s, SOL_TCP, TCP_KEEPINTVL), "keepalive interval");
	CASE(option(s, SOL_TCP, TCP_KEEPCNT), "keepalive probes");
	close(s);
	put_setting("ipv4/ip_default_ttl", "33");
	s = make(UDP4);
	CASE(option(s, SOL_IP, IP_TTL), "default TTL");
	close(s);
	put_setting("ipv4/tcp_syn_retries", "3");
	s = make(TCP4);
	CASE(option(s, SOL_TCP, TCP_SYNCNT), "SYN retries");
	close(s);
	put_setting("ipv6/bindv6only", "1");
	s = make(UDP6);
	CASE(option(s, SOL_IPV6, IPV6_V6ONLY), "bindv6only");
	close(s);
	put_setting("ipv4/tcp_rmem", "4096 50000 500000");
	s = make(TCP4);
	CASE(option(s, SOL_SOCKET, SO_RCVBUF), "tcp_rmem");
	close(s);
	put_setting("unix/max_dgram_qlen", "3");
	struct address a = path("@queue");
	int r = make(DGRAM), w = make(DGRAM), n = 0;
	bind(r, &a.any, a.size);
	while (sendto(w, "x", 1, 0, &a.any, a.size) == 1)
		n++;
	CASE(n, "datagrams in a queue");
	close(r), close(w);

	put_setting("core/somaxconn", "0");
	a = in4("127.0.0.1", 0);
	int l = make(TCP4);
	bind(l, &a.any, a.size);
	listen(l, 100);
	a = name_of(l);
	int c = make(TCP4);
	connect(c, &a.any, a.size);
	struct pollfd p = {c, POLLOUT, 0};
	poll(&p, 1, 5000);
	sleep_ms(100);
	int d = make(TCP4);
	connect(d, &a.any, a.size);
	p = (struct pollfd){d, POLLOUT, 0};
	CASE(poll(&p, 1, 100), "a second connection where somaxconn is 0");
	close(l), close(c), close(d);

	put_setting("ipv4/ip_unprivileged_port_start", "80");
	put_setting("ipv4/ping_group_range", "54321 54321");
	fflush(stdout);
	int pid = fork();
	if (pid == 0) {
		MUST(setresgid(54321, 54321, 54321));
		MUST(setresuid(54321, 54321, 54321));
		a = in4("127.0.0.1", 80);
		CASE(bind(make(TCP4), &a.any, a.size), "user bind to port 80");
		a = in4("127.0.0.1", 79);
		CASE(bind(make(TCP4), &a.any, a.size), "user bind to port 79");
		CASE(socket(AF_INET, SOCK_DGRAM, IPPROTO_ICMP) >= 0, "user ping");
		CASE(put_setting("ipv4/ip_default_ttl", "64"), "user writes a setting");
		done();
	}
	waitpid(pid, NULL, 0);
	put_setting("ipv4/ping_group_range", "7 8");
	CASE(socket(AF_INET, SOCK_DGRAM, IPPROTO_ICMP), "ping of another group");
	restore();
	done();
}
