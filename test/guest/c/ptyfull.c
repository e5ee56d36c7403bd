// A pseudo-terminal whose master is not read, lines that are too long, and what TIOCPKT tells the master.
#include "check.h"
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <termios.h>

static int m, s;

static void open_pair(void)
{
	m = MUST(posix_openpt(O_RDWR | O_NOCTTY));
	unlockpt(m);
	s = MUST(open(ptsname(m), O_RDWR | O_NOCTTY));
}

static void close_pair(void) { close(s), close(m); }

// readable waits until the slave has n bytes to read.
static int readable(int n)
{
	int have = 0;
	for (int i = 0; i < 10000; i++) {
		ioctl(s, FIONREAD, &have);
		if (have >= n)
			break;
		usleep(1000);
	}
	return have;
}

static void long_line(int size)
{
	char name[80], *b = malloc(size + 10), got[8192];
	open_pair();
	fflush(stdout);
	pid_t p = fork();
	if (p == 0) {
		alarm(30);
		memset(b, 'z', size);
		memcpy(b + size, "\nnext\n", 6);
		_exit(write(m, b, size + 6) != size + 6);
	}
	int st;
	waitpid(p, &st, 0);
	snprintf(name, sizeof name, "a line of %d bytes is written with no reader of the master", size);
	EQ(name, st, 0);
	readable(size + 1 < 4096 ? size + 1 : 4096);
	int n = read(s, got, sizeof got);
	snprintf(name, sizeof name, "the line of %d bytes", size);
	EQ(name, n, size + 1 < 4096 ? size + 1 : 4096);
	snprintf(name, sizeof name, "the end of the line of %d bytes", size);
	EQ(name, n > 0 ? got[n - 1] : 0, '\n');
	n = read(s, got, sizeof got);
	snprintf(name, sizeof name, "the line after that of %d bytes", size);
	OK(name, n == 5 && memcmp(got, "next\n", 5) == 0);
	free(b);
	close_pair();
}

// echo_lost types so much that its echo cannot all be kept.
static void echo_lost(void)
{
	open_pair();
	fflush(stdout);
	pid_t p = fork();
	if (p == 0) {
		alarm(60);
		char b[1000];
		memset(b, 'e', 1000);
		for (int i = 0; i < 300; i++)
			if (write(m, b, 1000) != 1000)
				_exit(1);
		_exit(write(m, "\n", 1) != 1);
	}
	int st;
	waitpid(p, &st, 0);
	EQ("300,000 bytes are typed with no reader of the master", st, 0);
	char got[8192];
	int n = read(s, got, sizeof got);
	EQ("the line", n, 4096);
	// The terminal still works.
	fcntl(m, F_SETFL, O_NONBLOCK);
	char *b = malloc(1 << 20);
	long total = 0;
	struct pollfd pf = {m, POLLIN, 0};
	char last = 0;
	while (poll(&pf, 1, 300) == 1 && (n = read(m, b, 1 << 20)) > 0)
		total += n, last = b[n - 1];
	OK("some echo was kept", total > 4096 && total < 500000);
	EQ("write", write(s, "out\n", 4), 4);
	usleep(20000);
	n = 0;
	while (poll(&pf, 1, 300) == 1 && (st = read(m, b + n, 100)) > 0)
		n += st;
	OK("output", n >= 5 && memcmp(b + n - 5, "out\r\n", 5) == 0);
	free(b);
	close_pair();
}

static void stopped(void)
{
	open_pair();
	EQ("stop", tcflow(s, TCOOFF), 0);
	fflush(stdout);
	pid_t p = fork();
	if (p == 0) {
		alarm(30);
		char b[1000];
		memset(b, 'e', 999);
		b[999] = 'f';
		for (int i = 0; i < 50; i++)
			if (write(m, b, 1000) != 1000)
				_exit(1);
		_exit(write(m, "end\n", 4) != 4);
	}
	int st;
	waitpid(p, &st, 0);
	EQ("typed while output is stopped", st, 0);
	char got[100];
	EQ("read", read(s, got, sizeof got), sizeof got);
	close_pair();
}

// told returns the next status byte of packet mode; data is skipped.
static int told(void)
{
	unsigned char b[200];
	struct pollfd p = {m, POLLPRI, 0};
	if (poll(&p, 1, 0) != 1)
		return 0;
	if (p.revents != POLLPRI)
		return -2;
	p.events = POLLIN | POLLRDNORM;
	if (poll(&p, 1, 0) != 1 || p.revents != (POLLIN | POLLRDNORM))
		return -3;
	int n = read(m, b, sizeof b);
	return n == 1 ? b[0] : -1;
}

static void change(void (*f)(struct termios *))
{
	struct termios t;
	tcgetattr(s, &t);
	f(&t);
	tcsetattr(s, TCSANOW, &t);
}

static void no_ixon(struct termios *t) { t->c_iflag &= ~IXON; }
static void ixon(struct termios *t) { t->c_iflag |= IXON; }
static void vstop(struct termios *t) { t->c_cc[VSTOP] = 'S'; }
static void vstop_usual(struct termios *t) { t->c_cc[VSTOP] = 023; }
static void vmin(struct termios *t) { t->c_cc[VMIN] = 2; }
static void extproc(struct termios *t) { t->c_lflag |= EXTPROC; }
static void no_extproc(struct termios *t) { t->c_lflag &= ~EXTPROC; }
static void no_echo(struct termios *t) { t->c_lflag &= ~ECHO; }
static void noflsh(struct termios *t) { t->c_lflag |= NOFLSH; }
static void nothing(struct termios *t) {}

static void packets(void)
{
	int on = 1, n = 0;
	char b[300];
	open_pair();
	change(no_echo);
	EQ("before packet mode", ({ tcflush(s, TCIOFLUSH); told(); }), 0);
	EQ("packet mode", ioctl(m, TIOCPKT, &on), 0);
	EQ("nothing is told of before", told(), 0);
	EQ("TCIFLUSH", ({ tcflush(s, TCIFLUSH); told(); }), TIOCPKT_FLUSHREAD);
	EQ("told once", told(), 0);
	EQ("TCOFLUSH", ({ tcflush(s, TCOFLUSH); told(); }), TIOCPKT_FLUSHWRITE);
	EQ("TCIOFLUSH", ({ tcflush(s, TCIOFLUSH); told(); }), TIOCPKT_FLUSHREAD | TIOCPKT_FLUSHWRITE);
	EQ("TCSAFLUSH", ({ struct termios t; tcgetattr(s, &t); tcsetattr(s, TCSAFLUSH, &t); told(); }), TIOCPKT_FLUSHREAD);
	EQ("TCOOFF", ({ tcflow(s, TCOOFF); told(); }), TIOCPKT_STOP);
	EQ("TCOOFF again", ({ tcflow(s, TCOOFF); told(); }), 0);
	EQ("TCOON", ({ tcflow(s, TCOON); told(); }), TIOCPKT_START);
	EQ("TCOON again", ({ tcflow(s, TCOON); told(); }), 0);
	EQ("off and on", ({ tcflow(s, TCOOFF); tcflow(s, TCOON); told(); }), TIOCPKT_START);
	EQ("IXON off", ({ change(no_ixon); told(); }), TIOCPKT_NOSTOP);
	EQ("IXON off again", ({ change(no_ixon); told(); }), 0);
	EQ("IXON on", ({ change(ixon); told(); }), TIOCPKT_DOSTOP);
	EQ("off and on again", ({ change(no_ixon); change(ixon); told(); }), TIOCPKT_DOSTOP);
	EQ("another VSTOP", ({ change(vstop); told(); }), TIOCPKT_NOSTOP);
	EQ("the usual VSTOP", ({ change(vstop_usual); told(); }), TIOCPKT_DOSTOP);
	EQ("another change", ({ change(vmin); told(); }), 0);
	EQ("EXTPROC", ({ change(extproc); told(); }), TIOCPKT_IOCTL);
	EQ("a change under EXTPROC", ({ change(vmin); told(); }), TIOCPKT_IOCTL);
	EQ("no change under EXTPROC", ({ change(nothing); told(); }), TIOCPKT_IOCTL);
	// Under EXTPROC lines and special characters are the master's.
	write(m, "ab\177c\003", 5);
	EQ("bytes under EXTPROC", readable(5), 5);
	OK("as they came", read(s, b, sizeof b) == 5 && memcmp(b, "ab\177c\003", 5) == 0);
	EQ("EXTPROC off", ({ change(no_extproc); told(); }), TIOCPKT_IOCTL);
	EQ("EXTPROC is off", ({ change(vmin); told(); }), 0);

	write(m, "\023", 1); // ^S
	for (int i = 0; i < 10000 && n == 0; i++, usleep(1000))
		n = told();
	EQ("^S", n, TIOCPKT_STOP);
	write(m, "\021", 1); // ^Q
	for (n = 0; n == 0; usleep(1000))
		n = told();
	EQ("^Q", n, TIOCPKT_START);
	// tcflow(3) holds the output: ^Q does not start it.
	tcflow(s, TCOOFF);
	told();
	write(m, "\021x\n", 3);
	readable(2);
	EQ("^Q after TCOOFF", told(), 0);
	EQ("TCOON after that", ({ tcflow(s, TCOON); told(); }), TIOCPKT_START);
	tcflush(s, TCIFLUSH);
	told();
	write(m, "abc\003", 4); // ^C
	for (n = 0; n == 0; usleep(1000))
		n = told();
	EQ("^C flushes", n, TIOCPKT_FLUSHREAD | TIOCPKT_FLUSHWRITE);
	change(noflsh);
	write(m, "\003x\n", 3);
	readable(2);
	EQ("^C with NOFLSH", told(), 0);

	// A status byte comes before data, and alone.
	write(s, "data", 4);
	usleep(20000);
	tcflow(s, TCOOFF);
	tcflow(s, TCOON);
	struct pollfd p = {m, POLLIN | POLLPRI | POLLRDNORM, 0};
	EQ("both", poll(&p, 1, 1000), 1);
	EQ("poll for both", p.revents, POLLIN | POLLPRI | POLLRDNORM);
	EQ("the status first", read(m, b, sizeof b), 1);
	EQ("a start", b[0], TIOCPKT_START);
	EQ("then the data", read(m, b, sizeof b), 5);
	OK("with a zero before", b[0] == TIOCPKT_DATA && memcmp(b + 1, "data", 4) == 0);
	tcflow(s, TCOOFF);
	fd_set except;
	FD_ZERO(&except);
	FD_SET(m, &except);
	EQ("select for exceptional", select(m + 1, NULL, NULL, &except, &(struct timeval){5, 0}), 1);
	EQ("the stop", told(), TIOCPKT_STOP);
	tcflow(s, TCOON);
	on = 0;
	EQ("packet mode off", ioctl(m, TIOCPKT, &on), 0);
	p.events = POLLPRI;
	EQ("nothing is told", poll(&p, 1, 0), 0);
	on = 1;
	ioctl(m, TIOCPKT, &on);
	EQ("what was told before is forgotten", told(), 0);
	close_pair();

	open_pair();
	EQ("TCIOFF sends VSTOP", ({ tcflow(s, TCIOFF); read(m, b, 10); }), 1);
	EQ("VSTOP", b[0], 023);
	EQ("TCION sends VSTART", ({ tcflow(s, TCION); read(m, b, 10); }), 1);
	EQ("VSTART", b[0], 021);
	close_pair();
}

int main(void)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	signal(SIGINT, SIG_IGN);
	static const int sizes[] = {1, 4000, 4094, 4095, 4096, 4097, 5000, 20000, 60000};
	for (unsigned i = 0; i < sizeof sizes / sizeof *sizes; i++)
		long_line(sizes[i]);
	echo_lost();
	stopped();
	packets();
	return failures;
}
