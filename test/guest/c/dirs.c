// Names: mkdir, rmdir, getdents, rename, link, unlink, symlinks, paths.
#include "check.h"
#include <dirent.h>

static int count(const char *path)
{
	DIR *d = opendir(path);
	if (!d)
		return -1;
	int n = 0;
	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

static nlink_t links(const char *path)
{
	struct stat st;
	return lstat(path, &st) == 0 ? st.st_nlink : 0;
}

static void directories(void)
{
	EQ("mkdir", mkdir("d", 0750), 0);
	struct stat st;
	OK("mkdir mode", stat("d", &st) == 0 && st.st_mode == (S_IFDIR | 0750));
	FAILS("mkdir existing", mkdir("d", 0755), EEXIST);
	FAILS("mkdir without parent", mkdir("no/d", 0755), ENOENT);
	FAILS("rmdir missing", rmdir("no"), ENOENT);
	EQ("mkdir trailing slash", mkdir("d/sub/", 0755), 0);
	FAILS("rmdir not empty", rmdir("d"), ENOTEMPTY);
	FAILS("rmdir dot", rmdir("d/."), EINVAL);
	FAILS("unlink directory", unlink("d"), EISDIR);
	put("f", "x");
	FAILS("rmdir file", rmdir("f"), ENOTDIR);
	EQ("rmdir", rmdir("d/sub"), 0);
	for (int i = 0; i < 1000; i++) {
		char p[32];
		snprintf(p, sizeof p, "d/entry-%04d", i);
		close(MUST(open(p, O_CREAT | O_WRONLY, 0600)));
	}
	EQ("readdir sees all", count("d"), 1002);
	DIR *d = opendir("d");
	int seen[1000] = {0}, dots = 0, types = 0;
	struct dirent *e;
	for (int i = 0; (e = readdir(d)); i++) {
		int k;
		if (sscanf(e->d_name, "entry-%d", &k) == 1) {
			seen[k]++;
			types += e->d_type == DT_REG;
			unlinkat(dirfd(d), e->d_name, 0); // removal while reading
		} else
			dots++;
	}
	int once = 0;
	for (int i = 0; i < 1000; i++)
		once += seen[i] == 1;
	EQ("each entry once", once, 1000);
	EQ("entry types", types, 1000);
	EQ("dot entries", dots, 2);
	rewinddir(d);
	int left = 0;
	while (readdir(d))
		left++;
	EQ("empty after removal", left, 2);
	closedir(d);
	int fd = MUST(open("d", O_RDONLY));
	char b[8];
	FAILS("getdents small buffer", syscall(SYS_getdents64, fd, b, sizeof b), EINVAL);
	MUST(rmdir("d"));
	FAILS("create in removed directory", openat(fd, "x", O_CREAT | O_WRONLY, 0600), ENOENT);
	char big[512];
	close(fd);
	FAILS("getdents on file", ({ fd = open("f", O_RDONLY); syscall(SYS_getdents64, fd, big, sizeof big); }), ENOTDIR);
	close(fd);
}

static void renames(void)
{
	put("a", "A");
	put("b", "B");
	EQ("rename over", rename("a", "b"), 0);
	STR("rename replaced", get("b"), "A");
	FAILS("renamed is gone", access("a", F_OK), ENOENT);
	FAILS("rename missing", rename("missing", "x"), ENOENT);
	MUST(mkdir("d1", 0755));
	MUST(mkdir("d2", 0755));
	put("d2/f", "F");
	FAILS("rename file over directory", rename("b", "d1"), EISDIR);
	FAILS("rename directory over file", rename("d1", "b"), ENOTDIR);
	FAILS("rename over full directory", rename("d1", "d2"), ENOTEMPTY);
	EQ("rename over empty directory", rename("d2", "d1"), 0);
	STR("moved with content", get("d1/f"), "F");
	FAILS("rename into itself", rename("d1", "d1/x"), EINVAL);
	EQ("rename to itself", rename("b", "b"), 0);
	put("c", "C");
	FAILS("RENAME_NOREPLACE", renameat2(AT_FDCWD, "b", AT_FDCWD, "c", RENAME_NOREPLACE), EEXIST);
	EQ("RENAME_EXCHANGE", renameat2(AT_FDCWD, "b", AT_FDCWD, "c", RENAME_EXCHANGE), 0);
	STR("exchanged b", get("b"), "C");
	STR("exchanged c", get("c"), "A");
	FAILS("rename bad flags", renameat2(AT_FDCWD, "b", AT_FDCWD, "c", 1 << 20), EINVAL);
	EQ("rename across directories", rename("b", "d1/b2"), 0);
	EQ("parent entry follows", ({ MUST(mkdir("up", 0755)); MUST(rename("d1", "up/d1")); struct stat x, y; stat("up", &x); stat("up/d1/..", &y); x.st_ino == y.st_ino; }), 1);
}

static void hard_links(void)
{
	put("h", "H");
	EQ("link", link("h", "h2"), 0);
	EQ("link count", links("h"), 2);
	FAILS("link existing", link("h", "h2"), EEXIST);
	MUST(mkdir("hd", 0755));
	FAILS("link directory", link("hd", "hd2"), EPERM);
	int fd = MUST(open("h", O_RDWR));
	EQ("unlink", unlink("h"), 0);
	EQ("unlink other", unlink("h2"), 0);
	FAILS("unlink again", unlink("h"), ENOENT);
	char b[4];
	EQ("read unlinked", read(fd, b, 4), 1);
	EQ("write unlinked", write(fd, "more", 4), 4);
	struct stat st;
	OK("unlinked has no links", fstat(fd, &st) == 0 && st.st_nlink == 0 && st.st_size == 5);
	close(fd);
	put("s", "S");
	MUST(symlink("s", "sl"));
	EQ("link of a symlink", link("sl", "sl2"), 0);
	OK("it is a symlink", lstat("sl2", &st) == 0 && S_ISLNK(st.st_mode));
	EQ("linkat following", linkat(AT_FDCWD, "sl", AT_FDCWD, "s3", AT_SYMLINK_FOLLOW), 0);
	OK("it is the file", lstat("s3", &st) == 0 && S_ISREG(st.st_mode));
}

static void symlinks(void)
{
	char b[PATH_MAX];
	EQ("symlink", symlink("target/of/link", "l"), 0);
	EQ("readlink", readlink("l", b, sizeof b), 14);
	EQ("readlink cut", readlink("l", b, 6), 6);
	FAILS("readlink of file", readlink("s", b, sizeof b), EINVAL);
	FAILS("readlink no room", readlink("l", b, 0), EINVAL);
	FAILS("symlink existing", symlink("x", "l"), EEXIST);
	FAILS("symlink empty", symlink("", "e"), ENOENT);
	MUST(symlink("loop2", "loop1"));
	MUST(symlink("loop1", "loop2"));
	FAILS("symlink loop", open("loop1", O_RDONLY), ELOOP);
	FAILS("stat loop", access("loop1", F_OK), ELOOP);
	put("c0", "end");
	for (int i = 1; i <= 41; i++) {
		char from[16], to[16];
		snprintf(from, sizeof from, "c%d", i);
		snprintf(to, sizeof to, "c%d", i - 1);
		MUST(symlink(to, from));
	}
	EQ("40 links", access("c40", F_OK), 0);
	FAILS("41 links", access("c41", F_OK), ELOOP);
	MUST(mkdir("sd", 0755));
	put("sd/f", "in sd");
	MUST(symlink("sd", "sdl"));
	STR("through a link", get("sdl/f"), "in sd");
	struct stat st;
	OK("lstat slash follows", lstat("sdl/", &st) == 0 && S_ISDIR(st.st_mode));
	FAILS("rmdir of a link", rmdir("sdl"), ENOTDIR);
	EQ("unlink of a link", unlink("sdl"), 0);
	EQ("the directory stays", access("sd/f", F_OK), 0);
}

static void paths(void)
{
	char b[PATH_MAX], name[300], deep[8192];
	memset(name, 'n', sizeof name);
	name[255] = 0;
	int fd = open(name, O_CREAT | O_WRONLY, 0600);
	OK("name of 255", fd >= 0);
	close(fd);
	name[255] = 'n';
	name[256] = 0;
	FAILS("name of 256", open(name, O_CREAT | O_WRONLY, 0600), ENAMETOOLONG);
	deep[0] = 0;
	for (int i = 0; i < 2100; i++)
		strcat(deep, "./");
	strcat(deep, "s");
	FAILS("path too long", access(deep, F_OK), ENAMETOOLONG);
	EQ("path of 4095", access(deep + strlen(deep) - 4095, F_OK), 0);
	MUST(mkdir("p", 0755));
	MUST(mkdir("p/q", 0755));
	char before[PATH_MAX];
	OK("getcwd", getcwd(before, sizeof before) != NULL);
	EQ("chdir", chdir("p/q"), 0);
	strcat(strcpy(b, before), "/p/q");
	char now[PATH_MAX];
	STR("getcwd after chdir", getcwd(now, sizeof now), b);
	EQ("getcwd short", ({ errno = 0; getcwd(now, 3) == NULL && errno == ERANGE; }), 1);
	EQ("chdir up", chdir("../.."), 0);
	FAILS("chdir file", chdir("s"), ENOTDIR);
	FAILS("chdir missing", chdir("missing"), ENOENT);
	fd = MUST(open("p", O_RDONLY | O_DIRECTORY));
	EQ("fchdir", fchdir(fd), 0);
	EQ("relative after fchdir", access("q", F_OK), 0);
	chdir(before);
	EQ("faccessat", faccessat(fd, "q", F_OK, 0), 0);
	EQ("mkdirat", mkdirat(fd, "r", 0700), 0);
	EQ("unlinkat directory", unlinkat(fd, "r", AT_REMOVEDIR), 0);
	EQ("symlinkat", symlinkat("q", fd, "ql"), 0);
	EQ("readlinkat", readlinkat(fd, "ql", b, sizeof b), 1);
	EQ("renameat", renameat(fd, "ql", AT_FDCWD, "ql2"), 0);
	EQ("absolute ignores dirfd", faccessat(-1, "/", F_OK, 0), 0);
	close(fd);
	EQ("root parent is root", ({ struct stat x, y; stat("/", &x); stat("/../..", &y); x.st_ino == y.st_ino; }), 1);
	EQ("mkfifo", mkfifo("fifo", 0600), 0);
	struct stat st;
	OK("fifo type", stat("fifo", &st) == 0 && S_ISFIFO(st.st_mode));
	fd = open("fifo", O_RDWR);
	EQ("fifo write", write(fd, "abc", 3), 3);
	EQ("fifo read", read(fd, b, 10), 3);
	close(fd);
	FAILS("fifo O_WRONLY|O_NONBLOCK", open("fifo", O_WRONLY | O_NONBLOCK), ENXIO);
	fd = open("fifo", O_RDONLY | O_NONBLOCK);
	OK("fifo O_RDONLY|O_NONBLOCK", fd >= 0);
	EQ("fifo without writer", read(fd, b, 1), 0);
	MUST(mkdir("gone", 0755));
	MUST(chdir("gone"));
	MUST(rmdir("../gone"));
	EQ("getcwd of removed", ({ errno = 0; getcwd(now, sizeof now) == NULL && errno == ENOENT; }), 1);
	MUST(chdir(before));
}

int main(void)
{
	umask(022);
	work_dir();
	directories();
	renames();
	hard_links();
	symlinks();
	paths();
	done();
}
