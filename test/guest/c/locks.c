// File locks: flock(2), and fcntl(2) record locks of both kinds: those owned by
// an open file description, in one process, and those of processes.
#include "check.h"
#include <sys/file.h>
#include <sys/wait.h>

static int ofd(int fd, int cmd, short type, off_t start, off_t len)
{
	struct flock l = {.l_type = type, .l_whence = SEEK_SET, .l_start = start, .l_len = len};
	return fcntl(fd, cmd, &l);
}

static int released;

static void *release_later(void *arg)
{
	sleep_ms(50);
	__atomic_store_n(&released, 1, __ATOMIC_SEQ_CST);
	flock(*(int *)arg, LOCK_UN);
	return NULL;
}

static void on_alarm(int s) { (void)s; }

static int record(int fd, int cmd, short type, off_t start, off_t len) { return ofd(fd, cmd, type, start, len); }

// contend takes two overlapping locks and drops them, n times, and gives the number of errors.
static int contend(int fd, int n, int seed)
{
	int errors = 0;
	for (int i = 0; i < n; i++) {
		int start = (i * 7 + seed) % 50;
		errors += record(fd, F_SETLKW, F_WRLCK, start, 60) != 0;
		errors += record(fd, F_SETLK, F_UNLCK, start, 60) != 0;
	}
	return errors;
}

// processes lock against each other.
static void processes(void)
{
	int fd = MUST(open("records", O_RDWR | O_CREAT, 0644)), to[2], from[2], status, errors = 0;
	MUST(pipe(to)), MUST(pipe(from));
	char c = 0;

	pid_t child = MUST(fork());
	if (child == 0) {
		record(fd, F_SETLK, F_WRLCK, 10, 10);
		write(from[1], "x", 1);
		read(to[0], &c, 1);
		_exit(record(fd, F_SETLKW, F_WRLCK, 0, 1) == 0 ? 0 : errno); // ours: we wait for theirs
	}
	read(from[0], &c, 1);
	struct flock l = {.l_type = F_WRLCK, .l_start = 0, .l_len = 100};
	EQ("another process's lock is shown", fcntl(fd, F_GETLK, &l), 0);
	OK("with its owner and bytes", l.l_pid == child && l.l_start == 10 && l.l_len == 10 && l.l_type == F_WRLCK);
	FAILS("and conflicts", record(fd, F_SETLK, F_RDLCK, 5, 10), EAGAIN);
	EQ("a lock beside it", record(fd, F_SETLK, F_WRLCK, 0, 5), 0);
	write(to[1], "x", 1);
	sleep_ms(100);
	// The child waits for our bytes: to wait for its would be for ever.
	FAILS("deadlock", record(fd, F_SETLKW, F_WRLCK, 12, 1), EDEADLK);
	EQ("unlock", record(fd, F_SETLK, F_UNLCK, 0, 0), 0);
	waitpid(child, &status, 0);
	EQ("the child gets what it waited for", status, 0);
	EQ("its locks end with it", record(fd, F_SETLK, F_WRLCK, 0, 0), 0);
	EQ("unlock all", record(fd, F_SETLK, F_UNLCK, 0, 0), 0);

	// Who holds one lock at a time never waits in a circle.
	for (int i = 0; i < 3; i++)
		if (MUST(fork()) == 0)
			_exit(contend(fd, 3000, i * 11) ? 1 : 0);
	for (int i = 0; i < 3; i++)
		errors += wait(&status) < 0 || status != 0;
	EQ("no deadlock where there is none", errors, 0);
	close(fd);
}

int main(void)
{
	work_dir();
	processes();
	int a = MUST(open("f", O_RDWR | O_CREAT, 0644)), b = MUST(open("f", O_RDWR));
	EQ("flock shared", flock(a, LOCK_SH), 0);
	EQ("flock shared twice", flock(b, LOCK_SH | LOCK_NB), 0);
	FAILS("flock upgrade conflicts", flock(a, LOCK_EX | LOCK_NB), EAGAIN);
	EQ("flock unlock", flock(b, LOCK_UN), 0);
	EQ("flock exclusive", flock(a, LOCK_EX | LOCK_NB), 0);
	FAILS("flock conflict", flock(b, LOCK_SH | LOCK_NB), EAGAIN);
	FAILS("flock bad operation", flock(a, 0), EINVAL);
	FAILS("flock bad descriptor", flock(-1, LOCK_SH), EBADF);
	pthread_t t;
	pthread_create(&t, NULL, release_later, &a);
	EQ("flock waits", flock(b, LOCK_EX), 0);
	EQ("flock waited for the release", __atomic_load_n(&released, __ATOMIC_SEQ_CST), 1);
	pthread_join(t, NULL);
	struct sigaction sa = {.sa_handler = on_alarm};
	sigaction(SIGALRM, &sa, NULL);
	ualarm(30000, 30000);
	FAILS("flock interrupted", flock(a, LOCK_EX), EINTR);
	ualarm(0, 0);
	int d = MUST(dup(b));
	close(b);
	FAILS("flock lives in the description", flock(a, LOCK_EX | LOCK_NB), EAGAIN);
	close(d);
	EQ("flock goes with the last close", flock(a, LOCK_EX | LOCK_NB), 0);
	flock(a, LOCK_UN);

	b = MUST(open("f", O_RDWR));
	EQ("OFD write lock", ofd(a, F_OFD_SETLK, F_WRLCK, 0, 10), 0);
	FAILS("OFD conflict", ofd(b, F_OFD_SETLK, F_RDLCK, 5, 1), EAGAIN);
	EQ("OFD beside", ofd(b, F_OFD_SETLK, F_WRLCK, 10, 5), 0);
	struct flock q = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 0, .l_len = 0};
	EQ("OFD get", fcntl(b, F_OFD_GETLK, &q), 0);
	OK("OFD get says who", q.l_type == F_WRLCK && q.l_start == 0 && q.l_len == 10 && q.l_pid == -1);
	EQ("OFD unlock middle", ofd(a, F_OFD_SETLK, F_UNLCK, 3, 4), 0);
	EQ("OFD lock of the middle", ofd(b, F_OFD_SETLK, F_WRLCK, 3, 4), 0);
	FAILS("OFD left part still locked", ofd(b, F_OFD_SETLK, F_RDLCK, 2, 1), EAGAIN);
	FAILS("OFD right part still locked", ofd(b, F_OFD_SETLK, F_RDLCK, 7, 1), EAGAIN);
	close(b);
	EQ("OFD locks go with the description", ofd(a, F_OFD_SETLK, F_WRLCK, 0, 0), 0);
	ofd(a, F_OFD_SETLK, F_UNLCK, 0, 0);

	b = MUST(open("f", O_RDONLY));
	EQ("record lock", ofd(a, F_SETLK, F_WRLCK, 0, 0), 0);
	EQ("record lock, own process", ofd(b, F_SETLK, F_RDLCK, 0, 0), 0);
	q = (struct flock){.l_type = F_WRLCK, .l_whence = SEEK_SET};
	EQ("record get", fcntl(a, F_GETLK, &q), 0);
	EQ("record get, none in the way", q.l_type, F_UNLCK);
	FAILS("write lock on O_RDONLY", ofd(b, F_SETLK, F_WRLCK, 0, 0), EBADF);
	FAILS("record bad type", ofd(a, F_SETLK, 77, 0, 0), EINVAL);
	FAILS("record negative start", ofd(a, F_SETLK, F_RDLCK, -5, 1), EINVAL);
	EQ("lockf", lockf(a, F_TLOCK, 0), 0);
	done();
}
