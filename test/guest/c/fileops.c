// Calls on files option by option, on a tmpfs that the program mounts: fallocate(2), lseek(2), preadv2(2), copy_file_range(2),
// FICLONE, O_TMPFILE and linkat(2), renameat2(2), write hints; results are "value" or "-1 errno".
#include "check.h"
#include <linux/fs.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/wait.h>

static const char *result(long r)
{
	static char text[8][32];
	static int next;
	char *out = text[next++ & 7];
	sprintf(out, r < 0 ? "%ld %d" : "%ld", r, errno);
	return out;
}

#define R(name, call, want) STR(name, (errno = 0, result((long)(call))), want)

static void allocate(void)
{
	int fd = MUST(open("f", O_RDWR | O_CREAT, 0600)), ro = MUST(open("f", O_RDONLY)), p[2];
	pipe(p);
	int dir = open(".", O_RDONLY), null = open("/dev/null", O_WRONLY);
	R("fallocate", fallocate(fd, 0, 0, 8192), "0");
	R("KEEP_SIZE", fallocate(fd, FALLOC_FL_KEEP_SIZE, 8192, 4096), "0");
	struct stat st;
	fstat(fd, &st);
	EQ("size", st.st_size, 8192);
	R("PUNCH_HOLE alone", fallocate(fd, FALLOC_FL_PUNCH_HOLE, 0, 4096), "-1 95");
	R("PUNCH_HOLE", fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096), "0");
	R("COLLAPSE_RANGE", fallocate(fd, FALLOC_FL_COLLAPSE_RANGE, 0, 4096), "-1 95");
	R("COLLAPSE_RANGE with KEEP_SIZE", fallocate(fd, FALLOC_FL_COLLAPSE_RANGE | FALLOC_FL_KEEP_SIZE, 0, 4096), "-1 95");
	R("ZERO_RANGE", fallocate(fd, FALLOC_FL_ZERO_RANGE, 0, 4096), "-1 95");
	R("ZERO_RANGE with PUNCH_HOLE", fallocate(fd, FALLOC_FL_ZERO_RANGE | FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096), "-1 95");
	R("INSERT_RANGE", fallocate(fd, FALLOC_FL_INSERT_RANGE, 0, 4096), "-1 95");
	R("UNSHARE_RANGE", fallocate(fd, FALLOC_FL_UNSHARE_RANGE, 0, 4096), "-1 95");
	R("an unknown mode", fallocate(fd, 0x1000, 0, 4096), "-1 95");
	R("no length", fallocate(fd, 0, 0, 0), "-1 22");
	R("a negative length", fallocate(fd, 0, 0, -1), "-1 22");
	R("a negative offset", fallocate(fd, 0, -1, 1), "-1 22");
	R("too far", fallocate(fd, 0, LLONG_MAX - 10, 100), "-1 27");
	R("read-only", fallocate(ro, 0, 0, 100), "-1 9");
	R("read-only and a bad mode", fallocate(ro, 0x1000, 0, 100), "-1 95");
	R("read-only and a bad length", fallocate(ro, 0, 0, 0), "-1 22");
	R("a pipe", fallocate(p[1], 0, 0, 100), "-1 29");
	R("a directory", fallocate(dir, 0, 0, 100), "-1 9");
	R("/dev/null", fallocate(null, 0, 0, 100), "-1 19");
	R("bad descriptor", fallocate(-1, 0x1000, -1, 0), "-1 9");
	R("beyond the file system", fallocate(fd, 0, 0, 1 << 30), "-1 28");
	close(fd), close(ro), close(p[0]), close(p[1]), close(dir), close(null);
	unlink("f");
}

static void seeks(void)
{
	int fd = MUST(open("f", O_RDWR | O_CREAT, 0600)), p[2];
	pwrite(fd, "x", 1, 8192);
	ftruncate(fd, 20000);
	R("SEEK_DATA", lseek(fd, 0, SEEK_DATA), "8192");
	R("SEEK_DATA in it", lseek(fd, 8193, SEEK_DATA), "8193");
	R("SEEK_DATA behind it", lseek(fd, 12288, SEEK_DATA), "-1 6");
	R("SEEK_DATA at the end", lseek(fd, 20000, SEEK_DATA), "-1 6");
	R("SEEK_DATA below 0", lseek(fd, -1, SEEK_DATA), "-1 6");
	R("SEEK_HOLE", lseek(fd, 0, SEEK_HOLE), "0");
	R("SEEK_HOLE in data", lseek(fd, 8200, SEEK_HOLE), "12288");
	R("SEEK_HOLE in the last", lseek(fd, 19999, SEEK_HOLE), "19999");
	R("SEEK_HOLE at the end", lseek(fd, 20000, SEEK_HOLE), "-1 6");
	R("bad whence", lseek(fd, 0, 7), "-1 22");
	R("below 0", lseek(fd, -1, SEEK_SET), "-1 22");
	R("far", lseek(fd, LLONG_MAX, SEEK_SET), "9223372036854775807");
	R("farther", (lseek(fd, 100, SEEK_SET), lseek(fd, LLONG_MAX, SEEK_CUR)), "-1 22");
	R("from the end", lseek(fd, -20001, SEEK_END), "-1 22");
	pipe(p);
	R("of a pipe", lseek(p[0], 0, SEEK_CUR), "-1 29");
	R("of a pipe, bad whence", lseek(p[0], 0, 9), "-1 22");
	close(fd), close(p[0]), close(p[1]);
	unlink("f");
}

static void vectors(void)
{
	int fd = MUST(open("f", O_RDWR | O_CREAT, 0600)), p[2];
	char b[16];
	struct iovec v = {"hello", 5}, r = {b, 16};
	pipe(p);
	R("pwritev2", pwritev2(fd, &v, 1, 3, 0), "5");
	R("RWF_DSYNC", pwritev2(fd, &v, 1, 0, RWF_DSYNC), "5");
	R("RWF_SYNC", pwritev2(fd, &v, 1, 0, RWF_SYNC), "5");
	R("RWF_APPEND", pwritev2(fd, &v, 1, 0, RWF_APPEND), "5");
	fsync(fd);
	struct stat st;
	fstat(fd, &st);
	EQ("at the end", st.st_size, 13);
	R("RWF_APPEND at the position", pwritev2(fd, &v, 1, -1, RWF_APPEND), "5");
	EQ("which moves", lseek(fd, 0, SEEK_CUR), 18);
	R("offset -2", pwritev2(fd, &v, 1, -2, 0), "-1 22");
	R("RWF_HIPRI", preadv2(fd, &r, 1, 0, RWF_HIPRI), "16");
	R("RWF_NOWAIT of a pipe", preadv2(p[0], &r, 1, -1, RWF_NOWAIT), "-1 11");
	R("an offset in a pipe", preadv2(p[0], &r, 1, 0, RWF_NOWAIT), "-1 29");
	R("no vectors", preadv2(fd, NULL, 0, 0, 0), "0");
	R("too many vectors", preadv2(fd, &r, 1025, 0, 0), "-1 22");
	R("unknown flags and a bad offset", preadv2(fd, &r, 1, -2, 0x10000), "-1 22");
	R("a bad descriptor and unknown flags", preadv2(-1, &r, 1, 0, 0x10000), "-1 9");
	R("an empty transfer and unknown flags", preadv2(fd, NULL, 0, 0, 0x10000), "0");
	close(fd), close(p[0]), close(p[1]);
	unlink("f");
}

static long cfr(int a, loff_t *x, int b, loff_t *y, size_t n, unsigned f) { return syscall(SYS_copy_file_range, a, x, b, y, n, f); }

static void copies(void)
{
	int a = MUST(open("f", O_RDWR | O_CREAT, 0600)), b = MUST(open("g", O_RDWR | O_CREAT, 0600)), p[2];
	int ro = MUST(open("g", O_RDONLY)), wo = MUST(open("f", O_WRONLY)), ap = MUST(open("g", O_RDWR | O_APPEND));
	int dir = open(".", O_RDONLY), other = MUST(open("../other", O_RDWR | O_CREAT, 0600)), proc = open("/proc/self/status", O_RDONLY);
	loff_t x = 0, y = 0, far = 100;
	write(a, "0123456789", 10);
	pipe(p);
	R("copy_file_range", cfr(a, &x, b, &y, 5, 0), "5");
	EQ("offsets", x == 5 && y == 5, 1);
	R("beyond the end", cfr(a, &far, b, &y, 5, 0), "0");
	R("flags", cfr(a, &x, b, &y, 5, 1), "-1 22");
	R("into a reader", cfr(a, &x, ro, &y, 5, 0), "-1 9");
	R("out of a writer", cfr(wo, &x, b, &y, 5, 0), "-1 9");
	R("to the end", cfr(a, &x, ap, &y, 5, 0), "-1 9");
	R("a directory as the source", cfr(dir, &x, b, &y, 5, 0), "-1 21");
	R("a pipe as the source", cfr(p[0], NULL, b, &y, 5, 0), "-1 22");
	R("a pipe as the target", cfr(a, &x, p[1], NULL, 5, 0), "-1 22");
	x = 0, y = 2;
	R("overlapping", cfr(a, &x, a, &y, 5, 0), "-1 22");
	x = 0, y = 5;
	R("beside", cfr(a, &x, a, &y, 5, 0), "5");
	x = 0, y = 0;
	R("nothing", cfr(a, &x, b, &y, 0, 0), "0");
	x = -1;
	R("a bad offset", cfr(a, &x, b, &y, 5, 0), "-1 75");
	R("FICLONE", ioctl(b, FICLONE, a), "-1 95");
	R("FICLONE over file systems", ioctl(other, FICLONE, a), "-1 18");
	R("FICLONE of a bad descriptor", ioctl(b, FICLONE, 1000), "-1 9");
	R("FICLONE into a reader", ioctl(ro, FICLONE, a), "-1 9");
	R("FICLONE into a directory", ioctl(dir, FICLONE, a), "-1 21");
	struct file_clone_range c = {a, 0, 0, 0};
	R("FICLONERANGE", ioctl(b, FICLONERANGE, &c), "-1 95");
	R("FICLONERANGE, bad address", ioctl(b, FICLONERANGE, 1), "-1 14");
	uint64_t hint = 9;
	R("F_GET_RW_HINT", fcntl(a, F_GET_RW_HINT, &hint), "0");
	EQ("not set", hint, RWH_WRITE_LIFE_NOT_SET);
	hint = RWH_WRITE_LIFE_SHORT;
	R("F_SET_RW_HINT", fcntl(a, F_SET_RW_HINT, &hint), "0");
	hint = 9;
	R("F_GET_RW_HINT of another description", fcntl(wo, F_GET_RW_HINT, &hint), "0");
	EQ("is the file's", hint, RWH_WRITE_LIFE_SHORT);
	hint = 77;
	R("a bad hint", fcntl(a, F_SET_RW_HINT, &hint), "-1 22");
	R("a hint from nowhere", fcntl(a, F_SET_RW_HINT, 1), "-1 14");
	R("a hint of a pipe", fcntl(p[0], F_GET_RW_HINT, &hint), "0");
	R("FIONREAD", (lseek(a, 3, SEEK_SET), ioctl(a, FIONREAD, &hint)), "0");
	EQ("what is left", (int)hint, 7);
	R("FIOQSIZE", ioctl(a, FIOQSIZE, &hint), "0");
	R("FIGETBSZ", ioctl(a, FIGETBSZ, &hint), "0");
	EQ("block size", (int)hint, 4096);
	R("FS_IOC_FIEMAP", ioctl(a, _IOWR('f', 11, char[32]), b), "-1 95");
	R("an unknown ioctl", ioctl(a, 0x12345678, 0), "-1 25");
	for (int i = 3; i < 20; i++)
		close(i);
	unlink("f"), unlink("g"), unlink("../other");
}

static long rename2(const char *a, const char *b, unsigned f) { return syscall(SYS_renameat2, AT_FDCWD, a, AT_FDCWD, b, f); }

static void names(void)
{
	char path[64];
	int fd = open(".", O_TMPFILE | O_RDWR, 0600);
	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	R("a name for O_TMPFILE", linkat(AT_FDCWD, path, AT_FDCWD, "t", AT_SYMLINK_FOLLOW), "0");
	R("a second one", linkat(AT_FDCWD, path, AT_FDCWD, "u", AT_SYMLINK_FOLLOW), "0");
	unlink("t"), unlink("u"), close(fd);
	fd = open(".", O_TMPFILE | O_RDWR, 0600);
	R("AT_EMPTY_PATH", linkat(fd, "", AT_FDCWD, "t", AT_EMPTY_PATH), "0");
	unlink("t");
	R("again after unlink", linkat(fd, "", AT_FDCWD, "t", AT_EMPTY_PATH), "-1 2");
	close(fd);
	fd = open(".", O_TMPFILE | O_RDWR | O_EXCL, 0600);
	R("O_EXCL", linkat(fd, "", AT_FDCWD, "t", AT_EMPTY_PATH), "-1 2");
	close(fd);
	R("O_TMPFILE to read", open(".", O_TMPFILE | O_RDONLY, 0600), "-1 22");
	R("O_TMPFILE of a file", (put("f", ""), open("f", O_TMPFILE | O_RDWR, 0600)), "-1 20");
	R("O_TMPFILE nowhere", open("nothing", O_TMPFILE | O_RDWR, 0600), "-1 2");
	R("linkat flags", linkat(AT_FDCWD, "f", AT_FDCWD, "t", 1), "-1 22");
	R("a link to a directory", linkat(AT_FDCWD, ".", AT_FDCWD, "t", 0), "-1 1");
	R("over a name", (put("g", "g"), linkat(AT_FDCWD, "f", AT_FDCWD, "g", 0)), "-1 17");
	R("over file systems", linkat(AT_FDCWD, "f", AT_FDCWD, "../f", 0), "-1 18");
	R("RENAME_NOREPLACE", rename2("f", "g", RENAME_NOREPLACE), "-1 17");
	R("RENAME_NOREPLACE, free", rename2("f", "h", RENAME_NOREPLACE), "0");
	R("RENAME_EXCHANGE", rename2("h", "g", RENAME_EXCHANGE), "0");
	STR("exchanged", get("h"), "g");
	R("RENAME_EXCHANGE with nothing", rename2("h", "nothing", RENAME_EXCHANGE), "-1 2");
	R("both", rename2("h", "g", RENAME_EXCHANGE | RENAME_NOREPLACE), "-1 22");
	R("an unknown flag", rename2("h", "g", 8), "-1 22");
	R("over file systems 2", rename2("h", "../h", 0), "-1 18");
	R("RENAME_WHITEOUT with RENAME_EXCHANGE", rename2("h", "g", RENAME_WHITEOUT | RENAME_EXCHANGE), "-1 22");
	R("RENAME_WHITEOUT", rename2("h", "i", RENAME_WHITEOUT), "0");
	struct stat st;
	EQ("what is left", stat("h", &st), 0);
	OK("is a whiteout", S_ISCHR(st.st_mode) && st.st_rdev == 0);
	R("RENAME_WHITEOUT over a file", rename2("i", "g", RENAME_WHITEOUT), "0");
	EQ("two whiteouts", stat("i", &st) == 0 && S_ISCHR(st.st_mode), 1);
	STR("the content", get("g"), "g");
	mkdir("d", 0755);
	R("of a directory", rename2("d", "e", RENAME_WHITEOUT), "0");
	EQ("a third", stat("d", &st) == 0 && S_ISCHR(st.st_mode), 1);
	unlink("h"), unlink("i"), unlink("g"), rmdir("e"), unlink("d"), unlink("t");
	struct statx x;
	R("statx", statx(AT_FDCWD, ".", 0, STATX_ALL, &x), "0");
	EQ("what it knows", x.stx_mask & STATX_BASIC_STATS, STATX_BASIC_STATS);
	R("a reserved mask", statx(AT_FDCWD, ".", 0, 0x80000000, &x), "-1 22");
	R("both kinds of sync", statx(AT_FDCWD, ".", AT_STATX_FORCE_SYNC | AT_STATX_DONT_SYNC, 0, &x), "-1 22");
	R("unknown flags of statx", statx(AT_FDCWD, ".", 1, 0, &x), "-1 22");
	R("an empty path", statx(AT_FDCWD, "", 0, 0, &x), "-1 2");
	R("the working directory", statx(AT_FDCWD, "", AT_EMPTY_PATH, 0, &x), "0");
	R("close_range backwards", close_range(10, 5, 0), "-1 22");
	R("close_range flags", close_range(500, 600, 1), "-1 22");
}

int main(void)
{
	work_dir();
	mkdir("m", 0755);
	MUST(mount("none", "m", "tmpfs", 0, "size=16m"));
	MUST(chdir("m"));
	allocate();
	seeks();
	vectors();
	copies();
	names();
	chdir("..");
	umount("m");
	done();
}
