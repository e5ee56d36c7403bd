// File locks: flock(2), and fcntl(2) record locks of both kinds. With one
// process only, those owned by an open file description conflict.
#include "check.h"
#include <sys/file.h>

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

int main(void)
{
	work_dir();
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
