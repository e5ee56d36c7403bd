// open(2), read(2), write(2), lseek(2), dup(2), fcntl(2): descriptors and what they refer to.
#include "check.h"

static void open_flags(void)
{
	char b[64];
	FAILS("open missing", open("missing", O_RDONLY), ENOENT);
	FAILS("open empty path", open("", O_RDONLY), ENOENT);
	FAILS("open null path", open(NULL, O_RDONLY), EFAULT);
	int fd = MUST(open("f", O_RDWR | O_CREAT | O_EXCL, 0640));
	struct stat st;
	MUST(fstat(fd, &st));
	EQ("create mode", st.st_mode, S_IFREG | 0640);
	EQ("create size", st.st_size, 0);
	FAILS("O_EXCL on existing", open("f", O_RDWR | O_CREAT | O_EXCL, 0640), EEXIST);
	EQ("write", write(fd, "hello world", 11), 11);
	EQ("lseek set", lseek(fd, 6, SEEK_SET), 6);
	EQ("read rest", read(fd, b, sizeof b), 5);
	OK("read bytes", !memcmp(b, "world", 5));
	EQ("read at end", read(fd, b, sizeof b), 0);
	EQ("lseek cur", lseek(fd, -5, SEEK_CUR), 6);
	EQ("lseek end", lseek(fd, 3, SEEK_END), 14);
	FAILS("lseek negative", lseek(fd, -1, SEEK_SET), EINVAL);
	FAILS("lseek whence", lseek(fd, 0, 99), EINVAL);
	EQ("write past end", write(fd, "x", 1), 1);
	EQ("pread hole", pread(fd, b, sizeof b, 10), 5);
	OK("hole is zero", b[0] == 'd' && !b[1] && !b[2] && !b[3] && b[4] == 'x');
	FAILS("pread negative offset", pread(fd, b, 1, -1), EINVAL);
	EQ("pwrite", pwrite(fd, "J", 1, 0), 1);
	EQ("pwrite leaves offset", lseek(fd, 0, SEEK_CUR), 15);
	close(fd);

	fd = MUST(open("f", O_RDONLY));
	FAILS("write to O_RDONLY", write(fd, "x", 1), EBADF);
	FAILS("ftruncate O_RDONLY", ftruncate(fd, 0), EINVAL);
	EQ("read zero bytes", read(fd, b, 0), 0);
	FAILS("read bad buffer", read(fd, (void *)8, 4), EFAULT);
	close(fd);
	FAILS("read closed", read(fd, b, 1), EBADF);
	FAILS("close closed", close(fd), EBADF);
	FAILS("close -1", close(-1), EBADF);
	fd = MUST(open("f", O_WRONLY));
	FAILS("read from O_WRONLY", read(fd, b, 1), EBADF);
	FAILS("write bad buffer", write(fd, (void *)8, 4), EFAULT);
	close(fd);

	fd = MUST(open("f", O_WRONLY | O_TRUNC));
	MUST(fstat(fd, &st));
	EQ("O_TRUNC", st.st_size, 0);
	close(fd);

	FAILS("O_DIRECTORY on file", open("f", O_RDONLY | O_DIRECTORY), ENOTDIR);
	FAILS("path through file", open("f/x", O_RDONLY), ENOTDIR);
	FAILS("trailing slash on file", open("f/", O_RDONLY), ENOTDIR);
	MUST(mkdir("d", 0755));
	FAILS("write open of directory", open("d", O_WRONLY), EISDIR);
	FAILS("O_CREAT on directory", open("d", O_RDWR | O_CREAT, 0644), EISDIR);
	FAILS("O_CREAT trailing slash", open("new/", O_RDWR | O_CREAT, 0644), EISDIR);
	fd = MUST(open("d", O_RDONLY | O_DIRECTORY));
	FAILS("read directory", read(fd, b, 1), EISDIR);
	int f2 = openat(fd, "in", O_WRONLY | O_CREAT, 0600);
	OK("openat", f2 >= 0);
	close(f2);
	EQ("openat made it", access("d/in", F_OK), 0);
	close(fd);
	FAILS("openat bad dirfd", openat(fd, "in", O_RDONLY), EBADF);
	f2 = MUST(open("d/in", O_RDONLY));
	FAILS("openat on file", openat(f2, "in", O_RDONLY), ENOTDIR);
	close(f2);

	MUST(symlink("f", "link"));
	FAILS("O_NOFOLLOW on link", open("link", O_RDONLY | O_NOFOLLOW), ELOOP);
	fd = open("link", O_PATH | O_NOFOLLOW);
	OK("O_PATH on link", fd >= 0);
	EQ("O_PATH is the link", fstat(fd, &st) == 0 && S_ISLNK(st.st_mode), 1);
	FAILS("read O_PATH", read(fd, b, 1), EBADF);
	close(fd);
	FAILS("O_EXCL on link", open("link", O_CREAT | O_EXCL | O_WRONLY, 0600), EEXIST);
	MUST(symlink("made", "dangling"));
	fd = open("dangling", O_CREAT | O_WRONLY, 0600);
	OK("O_CREAT through dangling link", fd >= 0 && access("made", F_OK) == 0);
	close(fd);
}

static void append(void)
{
	char b[16];
	int a = MUST(open("log", O_WRONLY | O_CREAT | O_APPEND, 0644));
	int c = MUST(open("log", O_RDWR | O_APPEND));
	write(a, "one", 3);
	write(c, "two", 3);
	lseek(a, 0, SEEK_SET);
	write(a, "three", 5);
	EQ("O_APPEND offset after write", lseek(a, 0, SEEK_CUR), 11);
	STR("O_APPEND appends", get("log"), "onetwothree");
	EQ("clear O_APPEND", fcntl(c, F_SETFL, 0), 0);
	lseek(c, 0, SEEK_SET);
	write(c, "ONE", 3);
	STR("F_SETFL without O_APPEND", get("log"), "ONEtwothree");
	EQ("F_GETFL", fcntl(a, F_GETFL) & (O_ACCMODE | O_APPEND), O_WRONLY | O_APPEND);
	EQ("pread at end", pread(c, b, 16, 11), 0);
	close(a);
	close(c);
}

static void tmpfile_flag(void)
{
	int fd = open(".", O_TMPFILE | O_RDWR, 0600);
	OK("O_TMPFILE", fd >= 0);
	struct stat st;
	OK("O_TMPFILE no links", fstat(fd, &st) == 0 && st.st_nlink == 0);
	EQ("O_TMPFILE write", write(fd, "tmp", 3), 3);
	char path[64];
	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	EQ("link O_TMPFILE", linkat(AT_FDCWD, path, AT_FDCWD, "named", AT_SYMLINK_FOLLOW), 0);
	STR("linked content", get("named"), "tmp");
	close(fd);
	FAILS("O_TMPFILE read-only", open(".", O_TMPFILE | O_RDONLY, 0600), EINVAL);
}

static void vectors(void)
{
	char a[4] = "", b[8] = "";
	int fd = MUST(open("v", O_RDWR | O_CREAT, 0644));
	struct iovec w[3] = {{"ab", 2}, {"", 0}, {"cdef", 4}};
	EQ("writev", writev(fd, w, 3), 6);
	struct iovec r[2] = {{a, 3}, {b, 7}};
	EQ("preadv", preadv(fd, r, 2, 1), 5);
	OK("preadv scatter", !memcmp(a, "bcd", 3) && !memcmp(b, "ef", 2));
	EQ("pwritev", pwritev(fd, w, 1, 4), 2);
	EQ("preadv2 current offset", preadv2(fd, r, 2, -1, 0), 0);
	lseek(fd, 0, SEEK_SET);
	EQ("readv", readv(fd, r, 2), 6);
	OK("readv content", !memcmp(a, "abc", 3) && !memcmp(b, "dab", 3));
	FAILS("readv bad count", readv(fd, r, -1), EINVAL);
	FAILS("readv too many", readv(fd, r, 1025), EINVAL);
	struct iovec bad[1] = {{a, (size_t)-1}};
	FAILS("writev negative length", writev(fd, bad, 1), EINVAL);
	FAILS("writev bad array", writev(fd, (void *)16, 1), EFAULT);
	close(fd);
}

static void duplicates(void)
{
	int fd = MUST(open("f", O_RDWR | O_CREAT, 0644));
	MUST(write(fd, "0123456789", 10));
	int d = MUST(dup(fd));
	OK("dup is lowest", d > fd);
	lseek(fd, 3, SEEK_SET);
	EQ("dup shares offset", lseek(d, 0, SEEK_CUR), 3);
	EQ("dup2 same", dup2(fd, fd), fd);
	FAILS("dup3 same", dup3(fd, fd, 0), EINVAL);
	FAILS("dup2 from closed", dup2(900, 5), EBADF);
	FAILS("dup2 to negative", dup2(fd, -1), EBADF);
	EQ("dup3 cloexec", dup3(fd, 100, O_CLOEXEC), 100);
	EQ("FD_CLOEXEC set", fcntl(100, F_GETFD), FD_CLOEXEC);
	EQ("FD_CLOEXEC off", fcntl(100, F_SETFD, 0), 0);
	EQ("FD_CLOEXEC cleared", fcntl(100, F_GETFD), 0);
	EQ("F_DUPFD", fcntl(fd, F_DUPFD, 100), 101);
	EQ("F_DUPFD_CLOEXEC", fcntl(fd, F_DUPFD_CLOEXEC, 100), 102);
	EQ("dup cloexec flag", fcntl(102, F_GETFD), FD_CLOEXEC);
	FAILS("F_DUPFD too high", fcntl(fd, F_DUPFD, 1 << 30), EINVAL);
	FAILS("fcntl unknown", fcntl(fd, 9999, 0), EINVAL);
	FAILS("fcntl closed", fcntl(900, F_GETFD), EBADF);
	close(d);
	EQ("lowest descriptor is reused", dup(fd), d);
	OK("close_range", syscall(SYS_close_range, 100, 200, 0) == 0);
	FAILS("closed by close_range", fcntl(101, F_GETFD), EBADF);
	FAILS("close_range reversed", syscall(SYS_close_range, 5, 4, 0), EINVAL);
	int e = MUST(open("f", O_RDONLY));
	lseek(e, 7, SEEK_SET);
	EQ("separate open, separate offset", lseek(fd, 0, SEEK_CUR), 3);
}

static void devices(void)
{
	char b[4096];
	memset(b, 1, sizeof b);
	int z = MUST(open("/dev/zero", O_RDWR));
	EQ("read zero", read(z, b, sizeof b), sizeof b);
	int sum = 0;
	for (size_t i = 0; i < sizeof b; i++)
		sum += b[i];
	EQ("zeroes", sum, 0);
	EQ("write zero", write(z, b, 10), 10);
	int n = MUST(open("/dev/null", O_RDWR));
	EQ("read null", read(n, b, sizeof b), 0);
	EQ("write null", write(n, b, sizeof b), sizeof b);
	EQ("lseek null", lseek(n, 10, SEEK_SET), 0);
	int f = MUST(open("/dev/full", O_RDWR));
	FAILS("write full", write(f, b, 1), ENOSPC);
	EQ("read full", read(f, b, 8), 8);
	int u = MUST(open("/dev/urandom", O_RDONLY));
	char c[32] = "", d[32] = "";
	EQ("read urandom", read(u, c, 32), 32);
	EQ("read urandom again", read(u, d, 32), 32);
	OK("random differs", memcmp(c, d, 32) != 0);
	struct stat st;
	EQ("stat null", stat("/dev/null", &st), 0);
	OK("null is a character device", S_ISCHR(st.st_mode));
	EQ("null number", st.st_rdev, 0x103);
}

int main(void)
{
	umask(022);
	work_dir();
	open_flags();
	append();
	tmpfile_flag();
	vectors();
	duplicates();
	devices();
	done();
}
