// Attributes of files: modes, owners, times, permissions, statx(2), statfs(2).
#include "check.h"
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <sys/time.h>
#include <sys/xattr.h>

static mode_t mode(const char *path)
{
	struct stat st;
	return stat(path, &st) == 0 ? st.st_mode & 07777 : 0xffff;
}

static void modes(void)
{
	put("f", "12345");
	EQ("chmod", chmod("f", 0600), 0);
	EQ("chmod result", mode("f"), 0600);
	int fd = MUST(open("f", O_RDONLY));
	EQ("fchmod", fchmod(fd, 04755), 0);
	EQ("fchmod result", mode("f"), 04755);
	EQ("fchmodat", fchmodat(AT_FDCWD, "f", 0644, 0), 0);
	FAILS("chmod missing", chmod("missing", 0600), ENOENT);
	EQ("umask", umask(077), 022);
	close(MUST(open("u", O_CREAT | O_WRONLY, 0666)));
	EQ("umask applies", mode("u"), 0600);
	EQ("umask restore", umask(022), 077);
	struct stat st, st2;
	MUST(fstat(fd, &st));
	MUST(stat("f", &st2));
	OK("stat is fstat", st.st_ino == st2.st_ino && st.st_dev == st2.st_dev && st.st_size == 5);
	EQ("st_nlink", st.st_nlink, 1);
	EQ("st_uid", st.st_uid, geteuid());
	FAILS("stat empty", stat("", &st), ENOENT);
	EQ("fstatat AT_EMPTY_PATH", fstatat(fd, "", &st, AT_EMPTY_PATH), 0);
	EQ("AT_EMPTY_PATH inode", st.st_ino, st2.st_ino);
	FAILS("fstatat bad flag", fstatat(fd, "f", &st, 0x40000000), EINVAL);
	close(fd);
}

static void statx_call(void)
{
	struct statx x;
	EQ("statx", statx(AT_FDCWD, "f", 0, STATX_BASIC_STATS, &x), 0);
	OK("statx mask", (x.stx_mask & STATX_BASIC_STATS) == STATX_BASIC_STATS);
	EQ("statx size", x.stx_size, 5);
	EQ("statx mode", x.stx_mode, S_IFREG | 0644);
	FAILS("statx flags", statx(AT_FDCWD, "f", 0x40000000, STATX_BASIC_STATS, &x), EINVAL);
	EQ("statx root", statx(AT_FDCWD, "/", 0, STATX_TYPE, &x), 0);
	OK("statx root is a directory", S_ISDIR(x.stx_mode));
}

static void times(void)
{
	struct timespec ts[2] = {{1000000000, 123456789}, {1100000000, 987654321}};
	EQ("utimensat", utimensat(AT_FDCWD, "f", ts, 0), 0);
	struct stat st;
	MUST(stat("f", &st));
	OK("atime", st.st_atim.tv_sec == 1000000000 && st.st_atim.tv_nsec == 123456789);
	OK("mtime", st.st_mtim.tv_sec == 1100000000 && st.st_mtim.tv_nsec == 987654321);
	OK("ctime is now", st.st_ctim.tv_sec > 1200000000);
	ts[0].tv_nsec = UTIME_OMIT;
	ts[1].tv_nsec = UTIME_NOW;
	EQ("utimensat now and omit", utimensat(AT_FDCWD, "f", ts, 0), 0);
	MUST(stat("f", &st));
	EQ("atime omitted", st.st_atim.tv_sec, 1000000000);
	OK("mtime now", st.st_mtim.tv_sec > 1200000000);
	ts[0].tv_nsec = 1000000000;
	FAILS("utimensat nanoseconds", utimensat(AT_FDCWD, "f", ts, 0), EINVAL);
	MUST(symlink("f", "l"));
	struct timespec lt[2] = {{5, 0}, {6, 0}};
	EQ("utimensat on the link", utimensat(AT_FDCWD, "l", lt, AT_SYMLINK_NOFOLLOW), 0);
	OK("link mtime", lstat("l", &st) == 0 && st.st_mtim.tv_sec == 6);
	struct timeval tv[2] = {{7, 8}, {9, 10}};
	EQ("utimes", utimes("f", tv), 0);
	OK("utimes result", stat("f", &st) == 0 && st.st_mtim.tv_sec == 9 && st.st_mtim.tv_nsec == 10000);
	int fd = MUST(open("f", O_WRONLY));
	MUST(write(fd, "w", 1));
	OK("write sets mtime", fstat(fd, &st) == 0 && st.st_mtim.tv_sec > 1200000000);
	struct timespec ft[2] = {{50, 0}, {60, 0}};
	EQ("futimens", futimens(fd, ft), 0);
	OK("futimens result", fstat(fd, &st) == 0 && st.st_atim.tv_sec == 50);
	close(fd);
	struct stat d1, d2;
	MUST(mkdir("td", 0755));
	struct timespec old[2] = {{1, 0}, {1, 0}};
	MUST(utimensat(AT_FDCWD, "td", old, 0));
	stat("td", &d1);
	put("td/x", "");
	stat("td", &d2);
	OK("create sets the directory's mtime", d1.st_mtim.tv_sec == 1 && d2.st_mtim.tv_sec > 1200000000);
}

static void file_systems(void)
{
	struct statfs s;
	EQ("statfs", statfs(".", &s), 0);
	OK("statfs block size", s.f_bsize >= 512);
	OK("statfs name length", s.f_namelen == 255);
	EQ("statfs proc", statfs("/proc", &s), 0);
	EQ("proc magic", s.f_type, 0x9fa0);
	FAILS("statfs missing", statfs("missing", &s), ENOENT);
	struct statvfs v;
	EQ("statvfs", statvfs(".", &v), 0);
	FAILS("getxattr none", getxattr("f", "user.none", NULL, 0), ENODATA);
	FAILS("getxattr bad space", getxattr("f", "nospace", NULL, 0), EOPNOTSUPP);
}

static void owners(void)
{
	if (geteuid() != 0) {
		static const char *names[] = {"chown", "chown result", "access as root", "access x as root", "setuid bit goes",
			"chown -1", "seteuid", "other cannot read", "other cannot write", "other cannot list", "other cannot create",
			"access uses real uid", "faccessat AT_EACCESS", "other cannot chmod", "other cannot chown", "other cannot utimes",
			"directory without x", "owner gets it", "sticky protects", "group gives it", "back to root"};
		for (size_t i = 0; i < sizeof names / sizeof *names; i++)
			skip(names[i], "run it as root");
		return;
	}
	struct stat st;
	put("o", "secret");
	EQ("chown", chown("o", 1000, 1001), 0);
	OK("chown result", stat("o", &st) == 0 && st.st_uid == 1000 && st.st_gid == 1001);
	chmod("o", 0);
	EQ("access as root", access("o", R_OK | W_OK), 0);
	FAILS("access x as root", access("o", X_OK), EACCES);
	chmod("o", 04777);
	chown("o", 1000, 1001);
	EQ("setuid bit goes", mode("o"), 0777);
	EQ("chown -1", chown("o", -1, -1), 0);
	chmod("o", 0600);
	put("mine", "m");
	MUST(mkdir("closed", 0700));
	put("closed/f", "c");
	MUST(mkdir("sticky", 0777));
	chmod("sticky", 01777);
	put("sticky/root", "r");
	put("grp", "g");
	chown("grp", 0, 2000);
	chmod("grp", 0640);
	chmod(".", 0755);
	gid_t groups[1] = {2000};
	MUST(syscall(SYS_setgroups, 1, groups));
	MUST(syscall(SYS_setresgid, -1, 3000, -1));
	EQ("seteuid", syscall(SYS_setresuid, -1, 3000, -1), 0);
	FAILS("other cannot read", open("o", O_RDONLY), EACCES);
	FAILS("other cannot write", open("mine", O_WRONLY), EACCES);
	FAILS("other cannot list", open("closed", O_RDONLY), EACCES);
	FAILS("other cannot create", open("new", O_CREAT | O_WRONLY, 0600), EACCES);
	EQ("access uses real uid", access("o", R_OK), 0);
	FAILS("faccessat AT_EACCESS", faccessat(AT_FDCWD, "o", R_OK, AT_EACCESS), EACCES);
	FAILS("other cannot chmod", chmod("mine", 0777), EPERM);
	FAILS("other cannot chown", chown("mine", 3000, -1), EPERM);
	struct timespec ts[2] = {{1, 0}, {1, 0}};
	FAILS("other cannot utimes", utimensat(AT_FDCWD, "mine", ts, 0), EPERM);
	FAILS("directory without x", open("closed/f", O_RDONLY), EACCES);
	MUST(syscall(SYS_setresuid, -1, 0, -1));
	MUST(syscall(SYS_setresuid, -1, 1000, -1));
	int fd = open("o", O_RDWR);
	OK("owner gets it", fd >= 0);
	close(fd);
	FAILS("sticky protects", unlink("sticky/root"), EPERM);
	fd = open("grp", O_RDONLY);
	OK("group gives it", fd >= 0);
	EQ("back to root", syscall(SYS_setresuid, -1, 0, -1), 0);
}

int main(void)
{
	umask(022);
	work_dir();
	modes();
	statx_call();
	times();
	file_systems();
	owners();
	done();
}
