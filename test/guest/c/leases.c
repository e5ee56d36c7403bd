// Leases of files: F_SETLEASE and F_GETLEASE of fcntl(2).
#include "check.h"
#include <sys/wait.h>

static volatile sig_atomic_t got, got_fd, got_code;

static void on_break(int s, siginfo_t *i, void *c)
{
	(void)c;
	got_fd = i->si_fd, got_code = i->si_code;
	got = s;
}

static int wait_break(void)
{
	for (int i = 0; i < 500 && !got; i++)
		sleep_ms(10);
	int s = got;
	got = 0;
	return s;
}

// try_open opens in a child, which tells errno or 0.
static int try_open(int flags)
{
	pid_t p = fork();
	if (p == 0) {
		int fd = open("f", flags, 0600);
		_exit(fd < 0 ? errno : 0);
	}
	int status;
	waitpid(p, &status, 0);
	return WEXITSTATUS(status);
}

// start_open starts a child that opens, and waits for the break.
static pid_t start_open(int flags)
{
	pid_t p = fork();
	if (p == 0) {
		close_range(3, ~0U, 0); // the lease is the parent's alone
		int fd = open("f", flags);
		char c = '?';
		int n = flags & O_TRUNC || fd < 0 ? 0 : read(fd, &c, 1);
		_exit(fd < 0 ? 100 : c == 'h' ? 1 : n == 0 ? 2 : 3);
	}
	return p;
}

static int join(pid_t p)
{
	int status = 0;
	waitpid(p, &status, 0);
	return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

static const char *info(int d)
{
	static char out[256];
	char path[64], kind[16], how[16], type[16];
	snprintf(path, sizeof path, "/proc/self/fdinfo/%d", d);
	char *p = strstr(get(path), "lock:");
	out[0] = 0;
	int id, pid;
	if (p && sscanf(p, "lock:\t%d: %15s %15s %15s %d", &id, kind, how, type, &pid) == 5)
		sprintf(out, "%d %s %s %s %s", id, kind, how, type, pid == getpid() ? "P" : "?");
	return out;
}

int main(void)
{
	work_dir();
	char old[32];
	snprintf(old, sizeof old, "%s", get("/proc/sys/fs/lease-break-time"));
	OK("lease-break-time", atoi(old) > 0);
	STR("leases-enable", get("/proc/sys/fs/leases-enable"), "1\n");
	put("f", "hello");
	struct sigaction sa = {.sa_sigaction = on_break, .sa_flags = SA_SIGINFO | SA_RESTART};
	sigaction(SIGIO, &sa, NULL);
	sigaction(SIGRTMIN, &sa, NULL);
	int r = MUST(open("f", O_RDONLY));
	EQ("no lease", fcntl(r, F_GETLEASE), F_UNLCK);
	FAILS("nothing to drop", fcntl(r, F_SETLEASE, F_UNLCK), EAGAIN);
	FAILS("bad type", fcntl(r, F_SETLEASE, 7), EINVAL);
	int d = MUST(open(".", O_RDONLY | O_DIRECTORY));
	FAILS("no leases of directories", fcntl(d, F_SETLEASE, F_RDLCK), EINVAL);
	int p[2];
	pipe(p);
	FAILS("nor of pipes", fcntl(p[0], F_SETLEASE, F_RDLCK), EINVAL);
	EQ("a pipe has none", fcntl(p[0], F_GETLEASE), F_UNLCK);
	int path = MUST(open("f", O_PATH));
	FAILS("O_PATH", fcntl(path, F_SETLEASE, F_RDLCK), EBADF);

	int w = MUST(open("f", O_RDWR));
	FAILS("read lease with a writer", fcntl(r, F_SETLEASE, F_RDLCK), EAGAIN);
	FAILS("read lease of a file open for writing", fcntl(w, F_SETLEASE, F_RDLCK), EAGAIN);
	FAILS("write lease with another open file", fcntl(w, F_SETLEASE, F_WRLCK), EAGAIN);
	close(r);
	EQ("write lease", fcntl(w, F_SETLEASE, F_WRLCK), 0);
	EQ("it is there", fcntl(w, F_GETLEASE), F_WRLCK);
	STR("fdinfo", info(w), "1 LEASE ACTIVE WRITE P");
	EQ("drop", fcntl(w, F_SETLEASE, F_UNLCK), 0);
	close(w);

	// A read lease: readers do not matter, writers break it.
	r = MUST(open("f", O_RDONLY));
	EQ("read lease", fcntl(r, F_SETLEASE, F_RDLCK), 0);
	EQ("a reader", try_open(O_RDONLY), 0);
	int r2 = MUST(open("f", O_RDONLY));
	EQ("a second lease", fcntl(r2, F_SETLEASE, F_RDLCK), 0);
	EQ("drop the second", fcntl(r2, F_SETLEASE, F_UNLCK), 0);
	FAILS("write lease with two", fcntl(r, F_SETLEASE, F_WRLCK), EAGAIN);
	close(r2);
	EQ("no signal yet", got, 0);
	EQ("O_NONBLOCK", try_open(O_WRONLY | O_NONBLOCK), EWOULDBLOCK);
	EQ("has broken it", wait_break(), SIGIO);
	EQ("to nothing", fcntl(r, F_GETLEASE), F_UNLCK);
	STR("fdinfo while breaking", info(r), "1 LEASE BREAKING UNLCK P");
	pid_t child = start_open(O_RDWR);
	sleep_ms(30);
	EQ("a breaker waits", waitpid(child, NULL, WNOHANG), 0);
	EQ("give it up", fcntl(r, F_SETLEASE, F_UNLCK), 0);
	EQ("then it opens", join(child), 1);

	// truncate(2) breaks it too.
	EQ("again", fcntl(r, F_SETLEASE, F_RDLCK), 0);
	child = fork();
	if (child == 0)
		_exit(truncate("f", 5) ? errno : 0);
	EQ("truncate", wait_break(), SIGIO);
	fcntl(r, F_SETLEASE, F_UNLCK);
	EQ("goes on", join(child), 0);
	// What changes the inode and not the contents breaks none.
	EQ("again 2", fcntl(r, F_SETLEASE, F_RDLCK), 0);
	chmod("f", 0644), rename("f", "g"), rename("g", "f");
	EQ("chmod and rename break nothing", fcntl(r, F_GETLEASE), F_RDLCK);
	// Closing ends it.
	child = start_open(O_RDWR);
	EQ("break again", wait_break(), SIGIO);
	close(r);
	EQ("close gives up", join(child), 1);

	// A write lease is broken by a reader, to a read lease.
	w = MUST(open("f", O_RDWR));
	EQ("F_SETSIG", fcntl(w, F_SETSIG, SIGRTMIN), 0);
	EQ("write lease again", fcntl(w, F_SETLEASE, F_WRLCK), 0);
	child = start_open(O_RDONLY);
	EQ("the signal of F_SETSIG", wait_break(), SIGRTMIN);
	EQ("with the descriptor", got_fd, w);
	EQ("and POLL_MSG", got_code, POLL_MSG);
	EQ("the target is a read lease", fcntl(w, F_GETLEASE), F_RDLCK);
	FAILS("which a writer cannot take", fcntl(w, F_SETLEASE, F_RDLCK), EAGAIN);
	EQ("so it goes", fcntl(w, F_SETLEASE, F_UNLCK), 0);
	EQ("the reader goes on", join(child), 1);
	close(w);

	// A descriptor for reading alone can have a write lease, and go down to a read lease.
	r = MUST(open("f", O_RDONLY));
	EQ("write lease of a reader", fcntl(r, F_SETLEASE, F_WRLCK), 0);
	child = start_open(O_RDONLY);
	EQ("signal", wait_break(), SIGIO);
	EQ("downgrade", fcntl(r, F_SETLEASE, F_RDLCK), 0);
	EQ("lets the reader in", join(child), 1);
	EQ("a read lease is left", fcntl(r, F_GETLEASE), F_RDLCK);

	// The breaker that waits can be killed and interrupted.
	child = start_open(O_RDWR);
	EQ("break for the kill", wait_break(), SIGIO);
	kill(child, SIGKILL);
	EQ("SIGKILL ends the wait", join(child), -SIGKILL);
	child = fork();
	if (child == 0) {
		struct sigaction none = {.sa_sigaction = on_break};
		sigaction(SIGALRM, &none, NULL);
		ualarm(30000, 30000);
		_exit(open("f", O_WRONLY | O_TRUNC) < 0 ? errno : 0);
	}
	EQ("a signal too", join(child), EINTR);
	EQ("nothing was truncated", ({ struct stat st; stat("f", &st); st.st_size; }), 5);
	close(r);

	// lease-break-time.
	put("/proc/sys/fs/lease-break-time", "1");
	STR("can be set", get("/proc/sys/fs/lease-break-time"), "1\n");
	r = MUST(open("f", O_RDONLY));
	EQ("write lease 3", fcntl(r, F_SETLEASE, F_WRLCK), 0);
	child = start_open(O_RDONLY);
	EQ("the time is over", join(child), 1);
	EQ("a read lease was left", fcntl(r, F_GETLEASE), F_RDLCK);
	child = start_open(O_RDWR | O_TRUNC);
	EQ("the time is over again", join(child), 2);
	EQ("no lease was left", fcntl(r, F_GETLEASE), F_UNLCK);
	got = 0;
	put("/proc/sys/fs/lease-break-time", old);

	// A lease belongs to the description.
	put("f", "hello");
	int dupl = dup(r);
	EQ("through one descriptor", fcntl(r, F_SETLEASE, F_RDLCK), 0);
	EQ("seen through the other", fcntl(dupl, F_GETLEASE), F_RDLCK);
	close(r);
	EQ("lives on", fcntl(dupl, F_GETLEASE), F_RDLCK);
	close(dupl);
	EQ("ends with the last", try_open(O_RDWR | O_NONBLOCK), 0);

	// Only the owner, or CAP_LEASE.
	chmod("f", 0644), chmod(".", 0755);
	child = fork();
	if (child == 0) {
		setuid(1234);
		int fd = open("f", O_RDONLY);
		_exit(fcntl(fd, F_SETLEASE, F_RDLCK) < 0 ? errno : 0);
	}
	EQ("another user", join(child), EACCES);
	done();
}
