// Record locks of fcntl(2) beyond the basics: which conflicting lock F_GETLK shows, splitting and merging as
// /proc/locks shows it, many locks, F_OFD_GETLK with F_UNLCK, fdinfo, and the checks of flock(2).
#include "check.h"
#include <sys/file.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>

static int fd;

static int lock(int cmd, short type, off_t start, off_t len)
{
	struct flock l = {.l_type = type, .l_whence = SEEK_SET, .l_start = start, .l_len = len};
	return fcntl(fd, cmd, &l);
}

static int by_start(const void *a, const void *b)
{
	const char *x = *(char **)a, *y = *(char **)b;
	return atoi(strstr(x, "D:I") + 4) - atoi(strstr(y, "D:I") + 4);
}

// table is what /proc/locks has about fd's inode, by start of the lock, with P for pid and Q for others, D:I for device and
// inode, and without the first number. Who waits for a lock stays behind it.
static const char *table(pid_t pid)
{
	static char out[4096], entries[16][512];
	char *list[16];
	int n = 0;
	struct stat st;
	char place[64], line[256];
	fstat(fd, &st);
	snprintf(place, sizeof place, " %02x:%02x:%lu ", major(st.st_dev), minor(st.st_dev), (long)st.st_ino);
	out[0] = 0;
	FILE *f = fopen("/proc/locks", "r");
	while (f && fgets(line, sizeof line, f)) {
		char *at = strstr(line, place), *text = strchr(line, ':');
		if (!at || !text)
			continue;
		char *number = at;
		while (number[-1] != ' ')
			number--;
		int mine = atoi(number) == pid;
		*number = 0;
		char *out = text[2] == '-' && n ? entries[n - 1] : (list[n] = entries[n], *entries[n] = 0, entries[n++]);
		sprintf(out + strlen(out), "%s%s D:I %s", text + 2, mine ? "P" : "Q", at + strlen(place));
	}
	if (f)
		fclose(f);
	qsort(list, n, sizeof *list, by_start);
	for (int i = 0; i < n; i++)
		strcat(out, list[i]);
	return out;
}

// info is what the locks in a descriptor's fdinfo say.
static const char *info(int d)
{
	static char out[1024];
	char path[64];
	snprintf(path, sizeof path, "/proc/self/fdinfo/%d", d);
	out[0] = 0;
	for (char *p = strstr(get(path), "lock:"); p; p = strstr(p + 1, "lock:")) {
		char kind[16], how[16], type[16], from[24], to[24], place[64];
		int id, pid;
		if (sscanf(p, "lock:\t%d: %15s %15s %15s %d %63s %23s %23s", &id, kind, how, type, &pid, place, from, to) == 8)
			sprintf(out + strlen(out), "%d %s %s %s %s %s %s|", id, kind, how, type, pid == getpid() ? "P" : pid == -1 ? "-1" : "?", from, to);
	}
	return out;
}

static const char *child_getlk(short type, off_t start, off_t len)
{
	static char text[64];
	int p[2];
	pipe(p);
	if (fork() == 0) {
		struct flock g = {.l_type = type, .l_whence = SEEK_SET, .l_start = start, .l_len = len};
		fcntl(fd, F_GETLK, &g);
		dprintf(p[1], "%d %ld+%ld", g.l_type, (long)g.l_start, (long)g.l_len);
		_exit(0);
	}
	wait(NULL);
	ssize_t n = read(p[0], text, sizeof text - 1);
	text[n < 0 ? 0 : n] = 0;
	close(p[0]), close(p[1]);
	return text;
}

int main(void)
{
	work_dir();
	fd = MUST(open("f", O_RDWR | O_CREAT, 0600));
	lock(F_SETLK, F_WRLCK, 10, 5);
	lock(F_SETLK, F_RDLCK, 1, 5);
	STR("the lowest lock in the way", child_getlk(F_WRLCK, 0, 0), "0 1+5");
	STR("the lowest one that a read lock meets", child_getlk(F_RDLCK, 0, 0), "1 10+5");
	STR("none in the way", child_getlk(F_WRLCK, 6, 4), "2 6+4");
	STR("the table", table(getpid()), "POSIX  ADVISORY  READ P D:I 1 5\nPOSIX  ADVISORY  WRITE P D:I 10 14\n");
	lock(F_SETLK, F_RDLCK, 6, 6);
	STR("neighbours of one kind grow together", table(getpid()),
	    "POSIX  ADVISORY  READ P D:I 1 11\nPOSIX  ADVISORY  WRITE P D:I 12 14\n");
	lock(F_SETLK, F_UNLCK, 3, 2);
	lock(F_SETLK, F_WRLCK, 7, 1);
	STR("splits", table(getpid()),
	    "POSIX  ADVISORY  READ P D:I 1 2\nPOSIX  ADVISORY  READ P D:I 5 6\nPOSIX  ADVISORY  WRITE P D:I 7 7\n"
	    "POSIX  ADVISORY  READ P D:I 8 11\nPOSIX  ADVISORY  WRITE P D:I 12 14\n");
	lock(F_SETLK, F_WRLCK, 2, 0);
	STR("to the end", table(getpid()), "POSIX  ADVISORY  READ P D:I 1 1\nPOSIX  ADVISORY  WRITE P D:I 2 EOF\n");
	STR("fdinfo", info(fd), "1 POSIX ADVISORY READ P 1 1|2 POSIX ADVISORY WRITE P 2 EOF|");
	int second = MUST(open("f", O_RDWR));
	STR("fdinfo of another description", info(second), "");
	lock(F_SETLK, F_UNLCK, 0, 0);
	STR("nothing", table(getpid()), "");

	// Two owners: those of the first one first.
	int to[2], from[2];
	char c = 0;
	pipe(to), pipe(from);
	lock(F_SETLK, F_WRLCK, 100, 10);
	pid_t other = fork();
	if (other == 0) {
		lock(F_SETLK, F_WRLCK, 50, 10);
		write(from[1], "x", 1);
		read(to[0], &c, 1);
		int r = lock(F_SETLKW, F_WRLCK, 105, 1);
		_exit(r ? errno : 0);
	}
	read(from[0], &c, 1);
	STR("two owners", child_getlk(F_WRLCK, 0, 0), "1 100+10");
	STR("two owners in the table", table(getpid()), "POSIX  ADVISORY  WRITE Q D:I 50 59\nPOSIX  ADVISORY  WRITE P D:I 100 109\n");
	write(to[1], "x", 1);
	const char *want = "POSIX  ADVISORY  WRITE Q D:I 50 59\nPOSIX  ADVISORY  WRITE P D:I 100 109\n-> POSIX  ADVISORY  WRITE Q D:I 105 105\n";
	for (int i = 0; i < 500 && strcmp(table(getpid()), want); i++)
		sleep_ms(10);
	STR("who waits is shown behind the lock", table(getpid()), want);
	// A wait is ended by SIGKILL, and leaves nothing.
	kill(other, SIGKILL);
	int status;
	waitpid(other, &status, 0);
	EQ("a wait for a lock can be killed", WTERMSIG(status), SIGKILL);
	STR("and is gone from the table", table(getpid()), "POSIX  ADVISORY  WRITE P D:I 100 109\n");
	lock(F_SETLK, F_UNLCK, 0, 0);

	// Locks of open file descriptions, and of flock.
	EQ("OFD", lock(F_OFD_SETLK, F_RDLCK, 5, 5), 0);
	struct flock q = {.l_type = F_UNLCK, .l_whence = SEEK_SET, .l_start = 7};
	EQ("F_OFD_GETLK of F_UNLCK", fcntl(fd, F_OFD_GETLK, &q), 0);
	OK("shows one's own lock", q.l_type == F_RDLCK && q.l_start == 5 && q.l_len == 5 && q.l_pid == -1);
	q = (struct flock){.l_type = F_UNLCK, .l_whence = SEEK_SET, .l_start = 7};
	EQ("not that of another description", fcntl(second, F_OFD_GETLK, &q), 0);
	EQ("but F_UNLCK", q.l_type, F_UNLCK);
	q = (struct flock){.l_type = F_UNLCK, .l_whence = SEEK_SET, .l_start = 7};
	FAILS("F_GETLK of F_UNLCK", fcntl(fd, F_GETLK, &q), EINVAL);
	q = (struct flock){.l_type = F_RDLCK, .l_pid = 1};
	FAILS("OFD with a pid", fcntl(fd, F_OFD_SETLK, &q), EINVAL);
	EQ("flock beside it", flock(second, LOCK_EX), 0);
	STR("the table of both", table(getpid()), "FLOCK  ADVISORY  WRITE P D:I 0 EOF\nOFDLCK ADVISORY  READ Q D:I 5 9\n");
	STR("fdinfo of OFD", info(fd), "1 OFDLCK ADVISORY READ -1 5 9|");
	STR("fdinfo of flock", info(second), "1 FLOCK ADVISORY WRITE P 0 EOF|");
	FAILS("flock: the operation first", flock(-1, 0), EINVAL);
	EQ("LOCK_MAND is ignored", flock(-1, LOCK_MAND | LOCK_READ), 0);
	int path = MUST(open("f", O_PATH));
	FAILS("flock of O_PATH", flock(path, LOCK_SH), EBADF);
	close(second);
	lock(F_OFD_SETLK, F_UNLCK, 0, 0);

	q = (struct flock){.l_type = 9, .l_whence = 9};
	FAILS("whence and type", fcntl(fd, F_SETLK, &q), EINVAL);
	q = (struct flock){.l_type = F_RDLCK, .l_whence = SEEK_SET, .l_start = LLONG_MAX, .l_len = 2};
	FAILS("beyond the largest offset", fcntl(fd, F_SETLK, &q), EOVERFLOW);
	q = (struct flock){.l_type = F_RDLCK, .l_whence = SEEK_SET, .l_start = 3, .l_len = -5};
	FAILS("before the start", fcntl(fd, F_SETLK, &q), EINVAL);
	q = (struct flock){.l_type = F_RDLCK, .l_whence = SEEK_CUR, .l_start = LLONG_MAX};
	lseek(fd, 5, SEEK_SET);
	FAILS("SEEK_CUR overflows", fcntl(fd, F_SETLK, &q), EOVERFLOW);
	q = (struct flock){.l_type = F_RDLCK, .l_whence = SEEK_SET, .l_start = LLONG_MIN, .l_len = LLONG_MIN};
	FAILS("far below", fcntl(fd, F_SETLK, &q), EINVAL);

	// Many locks, made upwards, downwards and in between; a quadratic kernel takes minutes.
	int bad = 0, n = 3000;
	for (int i = 0; i < n; i++)
		bad += lock(F_SETLK, F_WRLCK, 4 * i, 1) != 0;
	for (int i = n; i-- > 0;)
		bad += lock(F_SETLK, F_RDLCK, 4 * i + 2, 1) != 0;
	EQ("many locks", bad, 0);
	STR("one of them", child_getlk(F_WRLCK, 4 * 999 + 1, 2), "0 3998+1");
	bad = 0;
	for (int i = 0; i < n; i++)
		bad += lock(F_SETLK, F_WRLCK, 4 * i + 1, 3) != 0;
	EQ("filled", bad, 0);
	STR("are one", table(getpid()), "POSIX  ADVISORY  WRITE P D:I 0 11999\n");
	for (int i = 0; i < n; i++)
		bad += lock(F_SETLK, F_UNLCK, 4 * ((i * 7919) % n), 1) != 0;
	EQ("cut into many", bad, 0);
	STR("the first", child_getlk(F_RDLCK, 0, 0), "1 1+3");
	EQ("all unlocked at once", lock(F_SETLK, F_UNLCK, 0, 0), 0);
	STR("nothing is left", child_getlk(F_WRLCK, 0, 0), "2 0+0");
	done();
}
