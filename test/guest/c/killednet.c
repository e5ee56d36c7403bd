// The calls of sockets that can wait: what ends the thread ends the wait (killed.c has the others).
#include "killing.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

static char buf[1 << 16];
static struct iovec iov = {buf, sizeof buf};
static struct mmsghdr many[2] = {{{.msg_iov = &iov, .msg_iovlen = 1}}, {{.msg_iov = &iov, .msg_iovlen = 1}}};
static int s[2];

// listener is a TCP socket that waits for connections.
static int listener(struct sockaddr_in *a)
{
	socklen_t n = sizeof *a;
	int l = socket(AF_INET, SOCK_STREAM, 0);
	*a = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	bind(l, (void *)a, n);
	listen(l, 1);
	getsockname(l, (void *)a, &n);
	return l;
}

static struct sockaddr_in at;
static void accept_(void) { int l = listener(&at); go(); syscall(SYS_accept, l, NULL, NULL); }
static void accept4_(void) { int l = listener(&at); go(); accept4(l, NULL, NULL, 0); }
static void accept_unix(void)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	int l = socket(AF_UNIX, SOCK_STREAM, 0);
	bind(l, (void *)&a, 2);
	listen(l, 1);
	go();
	syscall(SYS_accept, l, NULL, NULL);
}
static void connect_unix(void)
{
	struct sockaddr_un a;
	socklen_t n = sizeof a;
	int l = socket(AF_UNIX, SOCK_STREAM, 0);
	a.sun_family = AF_UNIX;
	bind(l, (void *)&a, 2);
	getsockname(l, (void *)&a, &n);
	listen(l, 0);
	go();
	for (int i = 0; i < 20; i++)
		connect(socket(AF_UNIX, SOCK_STREAM, 0), (void *)&a, n);
}

static void pair(int type) { socketpair(AF_UNIX, type, 0, s); }
static void recvfrom_(void) { pair(SOCK_STREAM); go(); recvfrom(s[0], buf, 10, 0, NULL, NULL); }
static void recvfrom_all(void) { pair(SOCK_STREAM); write(s[1], "abc", 3); go(); recvfrom(s[0], buf, 10, MSG_WAITALL, NULL, NULL); }
static void recvfrom_udp(void)
{
	int u = socket(AF_INET, SOCK_DGRAM, 0);
	at.sin_family = AF_INET;
	bind(u, (void *)&at, sizeof at);
	go();
	recvfrom(u, buf, 10, 0, NULL, NULL);
}
static void recvmsg_(void) { pair(SOCK_DGRAM); go(); recvmsg(s[0], &many[0].msg_hdr, 0); }
static void recvmmsg_(void) { pair(SOCK_DGRAM); go(); recvmmsg(s[0], many, 2, 0, NULL); }
static void fill(void)
{
	while (send(s[0], buf, 1000, MSG_DONTWAIT) > 0)
		;
	go();
}
static void sendto_(void) { pair(SOCK_STREAM); fill(); sendto(s[0], buf, sizeof buf, 0, NULL, 0); }
static void sendmsg_(void) { pair(SOCK_DGRAM); iov.iov_len = 1000; fill(); sendmsg(s[0], &many[0].msg_hdr, 0); }
static void sendmmsg_(void) { pair(SOCK_DGRAM); iov.iov_len = 1000; fill(); sendmmsg(s[0], many, 2, 0); }

// tcp makes s a connection whose buffers are full.
static void tcp(void)
{
	int l = listener(&at);
	s[0] = socket(AF_INET, SOCK_STREAM, 0);
	connect(s[0], (void *)&at, sizeof at);
	s[1] = accept(l, NULL, NULL);
	fill();
}
static void sendto_tcp(void) { tcp(); for (;;) sendto(s[0], buf, sizeof buf, 0, NULL, 0); }
static void close_linger(void)
{
	struct linger on = {1, 30000};
	tcp();
	setsockopt(s[0], SOL_SOCKET, SO_LINGER, &on, sizeof on);
	close(s[0]);
}

static const struct wait_case cases[] = {
	{"accept: TCP", accept_},
	{"accept: unix", accept_unix},
	{"accept4", accept4_},
	{"connect: full queue", connect_unix},
	{"recvfrom", recvfrom_},
	{"recvfrom: MSG_WAITALL", recvfrom_all},
	{"recvfrom: UDP", recvfrom_udp},
	{"recvmsg", recvmsg_},
	{"recvmmsg", recvmmsg_},
	{"sendto: full", sendto_},
	{"sendto: TCP", sendto_tcp},
	{"sendmsg: full", sendmsg_},
	{"sendmmsg: full", sendmmsg_},
	{"close: SO_LINGER", close_linger},
};

int main(int argc, char **argv)
{
	killing_init(argc, argv);
	return kill_all(cases, sizeof cases / sizeof *cases);
}
