// Pseudo-terminals: names, modes, hang-up, sessions, job control.
#include "check.h"
#include <poll.h>
#include <pty.h>
#include <sys/ioctl.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <termios.h>

static int readall(int fd, char *b, int n, const char *until) {
	int at = 0;
	while (at < n - 1) {
		struct pollfd p = {fd, POLLIN, 0};
		if (poll(&p, 1, 2000) <= 0) break;
		int r = read(fd, b + at, n - 1 - at);
		if (r <= 0) break;
		at += r;
		b[at] = 0;
		if (strstr(b, until)) break;
	}
	b[at] = 0;
	return at;
}

static void basics(void) {
	int m = posix_openpt(O_RDWR | O_NOCTTY);
	OK("open ptmx", m >= 0);
	char *name = ptsname(m);
	OK("ptsname", name && !strncmp(name, "/dev/pts/", 9));
	OK("locked", open(name, O_RDWR | O_NOCTTY) < 0 && errno == EIO);
	OK("unlockpt", grantpt(m) == 0 && unlockpt(m) == 0);
	int s = open(name, O_RDWR | O_NOCTTY);
	OK("open slave", s >= 0);
	OK("isatty", isatty(m) && isatty(s));
	char tn[64];
	OK("ttyname", ttyname_r(s, tn, sizeof tn) == 0 && !strcmp(tn, name));
	struct stat st;
	OK("stat", fstat(s, &st) == 0 && S_ISCHR(st.st_mode) && major(st.st_rdev) == 136);
	OK("owner", st.st_uid == getuid());
	char b[4096];
	OK("onlcr", write(s, "a\nb\n", 4) == 4 && readall(m, b, sizeof b, "b\r\n") == 6 && !strcmp(b, "a\r\nb\r\n"));
	OK("input", write(m, "hello\n", 6) == 6 && read(s, b, sizeof b) == 6 && !memcmp(b, "hello\n", 6));
	OK("echo", readall(m, b, sizeof b, "\n") == 7 && !strcmp(b, "hello\r\n"));
	struct winsize w = {30, 100, 0, 0}, v;
	OK("winsize", ioctl(m, TIOCSWINSZ, &w) == 0 && ioctl(s, TIOCGWINSZ, &v) == 0 && v.ws_row == 30 && v.ws_col == 100);
	struct termios t;
	tcgetattr(s, &t);
	cfmakeraw(&t);
	OK("raw", tcsetattr(s, TCSANOW, &t) == 0);
	OK("raw input", write(m, "x", 1) == 1 && read(s, b, 10) == 1 && b[0] == 'x');
	int n = 0;
	OK("poll", write(m, "abc", 3) == 3 && poll(&(struct pollfd){s, POLLIN, 0}, 1, 1000) == 1);
	usleep(20000);
	OK("fionread", ioctl(s, FIONREAD, &n) == 0 && n == 3);
	OK("flush", tcflush(s, TCIFLUSH) == 0 && ioctl(s, FIONREAD, &n) == 0 && n == 0);
	fcntl(m, F_SETFL, O_NONBLOCK);
	OK("eagain", read(m, b, 10) < 0 && errno == EAGAIN);
	close(s);
	OK("last slave closed", read(m, b, 10) < 0 && errno == EIO);
	OK("hup", poll(&(struct pollfd){m, POLLIN, 0}, 1, 0) == 1);
	s = open(name, O_RDWR | O_NOCTTY);
	OK("opened again", s >= 0 && read(m, b, 10) < 0 && errno == EAGAIN);
	close(m);
	OK("master closed: eof", read(s, b, 10) == 0);
	OK("master closed: eio", write(s, b, 1) < 0 && errno == EIO);
	struct pollfd p = {s, POLLIN | POLLOUT, 0};
	OK("master closed: hup", poll(&p, 1, 0) == 1 && (p.revents & POLLHUP));
	close(s);
	OK("name gone", stat(name, &st) < 0 && errno == ENOENT);
}

static void peer(void) {
	int m = posix_openpt(O_RDWR | O_NOCTTY);
	unlockpt(m);
	int s = ioctl(m, TIOCGPTPEER, O_RDWR | O_NOCTTY);
	OK("TIOCGPTPEER", s >= 0 && isatty(s));
	int on = 1;
	OK("packet mode", ioctl(m, TIOCPKT, &on) == 0);
	char b[16];
	OK("packet", write(s, "hi", 2) == 2 && read(m, b, sizeof b) == 3 && b[0] == 0 && b[1] == 'h');
	close(s), close(m);
}

static volatile sig_atomic_t got;
static void handler(int sig) { got = sig; }

static int waits(pid_t p, int want) {
	int st;
	if (waitpid(p, &st, WUNTRACED) != p) return 0;
	return WIFSTOPPED(st) ? WSTOPSIG(st) == want : 0;
}

static void session(void) {
	int m, s;
	OK("openpty", openpty(&m, &s, 0, 0, 0) == 0);
	fflush(stdout);
	pid_t child = fork();
	if (child == 0) {
		failures = 0;
		setsid();
		int t;
		FAILS("no /dev/tty", open("/dev/tty", O_RDWR), ENXIO);
		OK("TIOCSCTTY", ioctl(s, TIOCSCTTY, 0) == 0);
		t = open("/dev/tty", O_RDWR);
		OK("/dev/tty", t >= 0 && isatty(t));
		OK("foreground", tcgetpgrp(t) == getpid() && tcgetsid(t) == getpid());
		signal(SIGINT, handler);
		OK("^C", write(m, "\x03", 1) == 1);
		for (int i = 0; i < 100 && !got; i++) usleep(10000);
		OK("SIGINT", got == SIGINT);
		pid_t bg = fork();
		if (bg == 0) {
			setpgid(0, 0);
			char c;
			read(t, &c, 1);
			_exit(7);
		}
		setpgid(bg, bg);
		OK("SIGTTIN", waits(bg, SIGTTIN));
		OK("tcsetpgrp", tcsetpgrp(t, bg) == 0);
		OK("type", write(m, "z\n", 2) == 2);
		kill(-bg, SIGCONT);
		int st;
		OK("read in the foreground", waitpid(bg, &st, 0) == bg && WIFEXITED(st) && WEXITSTATUS(st) == 7);
		struct termios tio;
		tcgetattr(t, &tio);
		signal(SIGTTOU, SIG_IGN);
		OK("change from the background, SIGTTOU ignored", tcsetattr(t, TCSANOW, &tio) == 0);
		OK("back", tcsetpgrp(t, getpid()) == 0);
		signal(SIGTTOU, SIG_DFL);
		bg = fork();
		if (bg == 0) {
			setpgid(0, 0);
			tcsetattr(t, TCSANOW, &tio);
			_exit(0);
		}
		setpgid(bg, bg);
		OK("SIGTTOU", waits(bg, SIGTTOU));
		kill(bg, SIGKILL);
		waitpid(bg, &st, 0);
		bg = fork();
		if (bg == 0) {
			for (;;) pause();
		}
		tcsetpgrp(t, getpgid(bg));
		OK("^Z to the own group", write(m, "\x1a", 1) == 1);
		done();
	}
	int st;
	pid_t r;
	while ((r = waitpid(child, &st, WUNTRACED)) == child && WIFSTOPPED(st)) kill(child, SIGCONT);
	OK("session leader's end", r == child && WIFEXITED(st) && WEXITSTATUS(st) == 0);
	close(m), close(s);
}

static void hangup(void) {
	int m;
	pid_t child = forkpty(&m, 0, 0, 0);
	if (child == 0) {
		signal(SIGHUP, handler);
		write(1, "ready\n", 6);
		while (!got) pause();
		_exit(got == SIGHUP ? 9 : 1);
	}
	char b[64];
	readall(m, b, sizeof b, "ready");
	close(m);
	int st;
	OK("SIGHUP when the master closes", waitpid(child, &st, 0) == child && WIFEXITED(st) && WEXITSTATUS(st) == 9);
}

int main(void) {
	signal(SIGHUP, SIG_DFL);
	basics();
	peer();
	session();
	hangup();
	done();
}
