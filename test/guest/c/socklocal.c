// The addresses of this machine: what 127.x.y.z, multicast, mapped and unspecified addresses mean to bind and connect, and what
// getsockname and getpeername tell then; which sockets may share a port.
#include "sockcase.h"

static const char *const ips4[] = {"127.0.0.1", "127.0.1.1", "127.9.9.9", "127.255.255.254", "0.0.0.0", "224.0.0.251", "239.1.2.3",
	"255.255.255.255", "127.255.255.255", "127.0.0.0", "198.51.100.1"};
static const char *const ips6[] = {"::1", "::", "ff02::1", "ff05::2", "::ffff:127.0.0.1", "::ffff:127.0.1.1", "::ffff:0.0.0.0",
	"::ffff:224.0.0.251", "::ffff:198.51.100.1", "2001:db8::1", "fe80::1"};

static int listener(enum kind k, struct address a)
{
	int fd = make(k);
	if (bind(fd, &a.any, a.size) || (kinds[k].type == SOCK_STREAM && listen(fd, 8))) {
		close(fd);
		return -1;
	}
	return fd;
}

static void binds(enum kind k)
{
	int six = kinds[k].domain == AF_INET6;
	for (size_t i = 0; i < (six ? sizeof ips6 / sizeof *ips6 : sizeof ips4 / sizeof *ips4); i++) {
		const char *ip = six ? ips6[i] : ips4[i];
		char what[100];
		int fd = make(k);
		struct address a = six ? in6(ip, 0) : in4(ip, 0);
		sprintf(what, "%s bind %s", kinds[k].name, ip);
		CASE(bind(fd, &a.any, a.size), "%s", what);
		if (strcmp(ip, "::ffff:0.0.0.0"))
			show_name(fd, what);
		show_peer(fd, what);
		a = name_of(fd);
		if (kinds[k].type == SOCK_STREAM)
			CASE(listen(fd, 1), "%s listen", what);
		CASE(bind(fd, &a.any, a.size), "%s again", what);
		int other = make(k);
		CASE(bind(other, &a.any, a.size), "%s by another", what);
		close(other);
		close(fd);
	}
}

// take receives a datagram that may be on its way.
static int take(int fd, char *c, struct address *from)
{
	struct pollfd p = {fd, POLLIN, 0};
	poll(&p, 1, 5000);
	return recvfrom(fd, c, 1, 0, &from->any, &from->size);
}

// connects connects from a bound address, or none, to the addresses of this machine where somebody listens on all.
static void connects(enum kind k, const char *from)
{
	int six = kinds[k].domain == AF_INET6, l = listener(k, six ? in6("::", 0) : in4("0.0.0.0", 0)), port = port_of(l);
	for (size_t i = 0; i < (six ? sizeof ips6 / sizeof *ips6 : sizeof ips4 / sizeof *ips4); i++) {
		const char *ip = six ? ips6[i] : ips4[i];
		if (strcmp(ip, "198.51.100.1") == 0 || strcmp(ip, "2001:db8::1") == 0 || strcmp(ip, "fe80::1") == 0 ||
		    strcmp(ip, "::ffff:198.51.100.1") == 0 || strncmp(ip, "ff0", 3) == 0 || strcmp(ip, "::ffff:224.0.0.251") == 0)
			continue; // by another interface, where there is one
		if (strcmp(ip, "224.0.0.251") == 0 || strcmp(ip, "239.1.2.3") == 0 || strcmp(ip, "255.255.255.255") == 0)
			continue;
		char what[100];
		int fd = socket(kinds[k].domain, kinds[k].type, 0);
		struct address a = six ? in6(ip, port) : in4(ip, port), b = six ? in6(from, 0) : in4(from, 0);
		if (*from)
			bind(fd, &b.any, b.size);
		sprintf(what, "%s connect %s to %s", kinds[k].name, from, ip);
		if (strcmp(ip, "127.255.255.255") == 0)
			fcntl(fd, F_SETFL, O_NONBLOCK);
		int got = CASE(connect(fd, &a.any, a.size), "%s", what);
		if (got == 0)
			show_name(fd, what);
		show_peer(fd, what);
		if (kinds[k].type == SOCK_STREAM) {
			struct pollfd p = {l, POLLIN, 0};
			int c = got == 0 && poll(&p, 1, 20000) == 1 ? accept(l, NULL, NULL) : -1;
			if (c >= 0) {
				show_name(c, what);
				show_peer(c, what);
				close(c);
			}
		} else {
			char c[1];
			struct address f = {.size = sizeof f.bytes};
			if (send(fd, "x", 1, 0) == 1 && take(l, c, &f) == 1)
				printf("ok %s from: %s\n", what, text(&f));
		}
		close(fd);
		if (kinds[k].type == SOCK_DGRAM) {
			fd = make(k);
			if (*from)
				bind(fd, &b.any, b.size);
			int sent = CASE(sendto(fd, "x", 1, 0, &a.any, a.size), "%s sendto", what);
			char c[1];
			struct address f = {.size = sizeof f.bytes};
			if (sent == 1 && take(l, c, &f) == 1)
				printf("ok %s sendto from: %s\n", what, text(&f));
			show_name(fd, what);
			close(fd);
		}
	}
	close(l);
}

// wrong_ones connects a socket that is bound to an address which is only good for receiving.
static void wrong_sources(void)
{
	static const char *const from[] = {"224.0.0.251", "255.255.255.255", "127.255.255.255"};
	for (int k = TCP4; k <= UDP4; k += UDP4 - TCP4)
		for (int i = 0; i < 3; i++) {
			char what[80];
			int fd = make(k);
			struct address b = in4(from[i], 0), a = in4("127.0.0.1", 9);
			sprintf(what, "%s from %s", kinds[k].name, from[i]);
			CASE(bind(fd, &b.any, b.size), "%s bind", what);
			if (k == UDP4) {
				CASE(sendto(fd, "x", 1, 0, &a.any, a.size), "%s sendto", what);
				CASE(connect(fd, &a.any, a.size), "%s connect", what);
			}
			close(fd);
		}
}

// show_address is show_name without the port, which is a leftover in some states of Linux.
static void show_address(int fd, const char *what)
{
	struct address a = name_of(fd);
	a.in.sin_port = 1;
	printf("ok %s address: %s\n", what, text(&a));
}

// dissolve connects with AF_UNSPEC.
static void dissolve(enum kind k)
{
	int six = kinds[k].domain == AF_INET6;
	const char *name = kinds[k].name;
	struct address none = {.size = sizeof none.in6}, a = six ? in6("::1", 0) : in4("127.0.0.1", 0);
	none.any.sa_family = AF_UNSPEC;
	for (int with_port = 0; with_port < 3; with_port++) {
		char what[80];
		sprintf(what, "%s %s", name, with_port == 0 ? "unbound" : with_port == 1 ? "bound to an address" : "bound to a port");
		int l = listener(k, a), fd = socket(kinds[k].domain, kinds[k].type, 0);
		struct address to = name_of(l), b = a;
		if (with_port == 2)
			memset(&b.in6.sin6_addr, 0, 16), b.in.sin_addr.s_addr = 0;
		if (with_port)
			CASE(bind(fd, &b.any, b.size), "%s bind", what);
		CASE(connect(fd, &none.any, none.size), "%s connect to none at first", what);
		show_address(fd, what);
		CASE(connect(fd, &to.any, to.size), "%s connect", what);
		CASE(connect(fd, &to.any, to.size), "%s connect again", what);
		show_name(fd, what);
		struct pollfd p = {l, POLLIN, 0};
		int c = kinds[k].type == SOCK_STREAM && poll(&p, 1, 20000) == 1 ? accept(l, NULL, NULL) : -1;
		CASE(connect(fd, &none.any, 2), "%s connect to none", what);
		show_address(fd, what);
		show_peer(fd, what);
		show_poll(fd, what);
		CASE(send(fd, "x", 1, MSG_NOSIGNAL), "%s send", what);
		if (c >= 0) {
			char b;
			CASE(recv(c, &b, 1, 0), "%s recv of the other side", what);
			close(c);
		}
		CASE(connect(fd, &to.any, to.size), "%s connect once more", what);
		show_peer(fd, what);
		close(fd);
		close(l);
	}
}

// free_port returns a port that no socket of either family has: what other programs do must not be seen here.
static int free_port(int type)
{
	int s = socket(AF_INET6, type, 0);
	struct address a = in6("::", 0);
	MUST(bind(s, &a.any, a.size));
	int port = ntohs(name_of(s).in.sin_port);
	close(s);
	return port;
}

// bind_free binds a socket to a free port of an address that it fills in.
static void bind_free(int s, int type, struct address *a)
{
	do
		a->in.sin_port = htons(free_port(type)); // at the same place for both families
	while (bind(s, &a->any, a->size) && errno == EADDRINUSE);
}

// share binds two sockets to a port with options, on addresses that overlap.
static void share(enum kind k)
{
	static const struct { int first, second; } pairs[] = {{0, 0}, {1, 0}, {0, 1}, {1, 1}, {2, 2}, {2, 0}, {2, 1}, {1, 2}, {3, 3}, {3, 1}, {3, 2}};
	static const char *const second4[] = {"127.0.0.1", "127.0.0.2", "0.0.0.0"}, *const second6[] = {"::1", "::", "::ffff:127.0.0.1"};
	int six = kinds[k].domain == AF_INET6;
	for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++)
		for (int f = 0; f < 2; f++)
			for (int s = 0; s < 3; s++)
				for (int listening = 0; listening <= (kinds[k].type == SOCK_STREAM ? 2 : 0); listening++) {
					int x = make(k), y = make(k);
					struct address a = six ? in6(f ? "::" : "::1", 0) : in4(f ? "0.0.0.0" : "127.0.0.1", 0), b;
					set(x, SOL_SOCKET, SO_REUSEADDR, pairs[i].first & 1);
					set(x, SOL_SOCKET, SO_REUSEPORT, pairs[i].first >> 1);
					set(y, SOL_SOCKET, SO_REUSEADDR, pairs[i].second & 1);
					set(y, SOL_SOCKET, SO_REUSEPORT, pairs[i].second >> 1);
					bind_free(x, kinds[k].type, &a);
					if (listening == 1)
						MUST(listen(x, 1));
					b = six ? in6(second6[s], port_of(x)) : in4(second4[s], port_of(x));
					char what[120];
					sprintf(what, "%s options %d and %d, first on %s%s, second on %s", kinds[k].name, pairs[i].first, pairs[i].second,
						f ? "all" : "one", listening == 1 ? " listening" : "", six ? second6[s] : second4[s]);
					int got = bind(y, &b.any, b.size);
					result(got, errno, "%s, try %d", what, listening);
					if (got == 0 && kinds[k].type == SOCK_STREAM) {
						CASE(listen(y, 1), "%s: second listens, try %d", what, listening);
						if (listening == 2)
							CASE(listen(x, 1), "%s: first listens", what);
					}
					close(x), close(y);
				}
}

// only6 is IPV6_V6ONLY beside IPv4.
static void only6(int type)
{
	const char *name = type == SOCK_STREAM ? "tcp" : "udp";
	for (int only = 0; only < 2; only++)
		for (int first6 = 0; first6 < 2; first6++) {
			int x = socket(AF_INET6, type, 0), y = socket(AF_INET, type, 0);
			struct address a = in6("::", 0), b = in4("0.0.0.0", 0);
			set(x, SOL_IPV6, IPV6_V6ONLY, only);
			if (first6) {
				bind_free(x, type, &a);
				b.in.sin_port = name_of(x).in.sin_port;
				CASE(bind(y, &b.any, b.size), "%s 4 beside 6, only %d", name, only);
			} else {
				bind_free(y, type, &b);
				a.in.sin_port = name_of(y).in.sin_port;
				CASE(bind(x, &a.any, a.size), "%s 6 beside 4, only %d", name, only);
			}
			CASE(set(x, SOL_IPV6, IPV6_V6ONLY, 1), "%s V6ONLY of a bound one, only %d first %d", name, only, first6);
			close(x), close(y);
		}
	int x = socket(AF_INET6, type, 0);
	set(x, SOL_IPV6, IPV6_V6ONLY, 1);
	struct address a = in6("::ffff:127.0.0.1", 9), b = in4("127.0.0.1", 9);
	CASE(bind(x, &a.any, a.size), "%s V6ONLY bind mapped", name);
	CASE(connect(x, &a.any, a.size), "%s V6ONLY connect mapped", name);
	CASE(connect(x, &b.any, b.size), "%s V6ONLY connect 4", name);
	CASE(sendto(x, "x", 1, MSG_NOSIGNAL, &a.any, a.size), "%s V6ONLY sendto mapped", name);
	CASE(sendto(x, "x", 1, MSG_NOSIGNAL, &b.any, b.size), "%s V6ONLY sendto 4", name);
	close(x);
	x = socket(AF_INET6, type, 0);
	a = in6("::1", 0);
	bind(x, &a.any, a.size);
	a = in6("::ffff:127.0.0.1", 9);
	CASE(connect(x, &a.any, a.size), "%s bound to 6 connect mapped", name);
	CASE(connect(x, &b.any, b.size), "%s bound to 6 connect 4", name);
	close(x);
	x = socket(AF_INET6, type, 0);
	a = in6("::ffff:127.0.0.1", 0);
	bind(x, &a.any, a.size);
	a = in6("::1", 9);
	CASE(connect(x, &a.any, a.size), "%s bound to mapped connect 6", name);
	close(x);
}

int main(void)
{
	own_network();
	for (enum kind k = TCP4; k <= UDP6; k++) {
		binds(k);
		connects(k, "");
		connects(k, kinds[k].domain == AF_INET ? "127.0.0.1" : "::1");
		if (kinds[k].domain == AF_INET)
			connects(k, "127.3.4.5");
		dissolve(k);
		share(k);
	}
	wrong_sources();
	only6(SOCK_STREAM);
	only6(SOCK_DGRAM);
	done();
}
