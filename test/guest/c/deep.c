// Trees as deep as a program likes: directories, mounts over mounts, symbolic links in symbolic links. The kernel must neither
// run out of stack nor take quadratic time.
#include "check.h"
#include <sys/mount.h>
#include <sys/wait.h>

#define DEPTH 9000

// descend makes a chain of directories called d, and stands in the last one.
static int descend(int n)
{
	for (int i = 0; i < n; i++)
		if (mkdir("d", 0755) || chdir("d"))
			return i;
	return n;
}

// ascend removes what descend made, from below.
static int ascend(int n)
{
	for (int i = 0; i < n; i++)
		if (chdir("..") || rmdir("d"))
			return i;
	return n;
}

static int count_lines(const char *path, const char *word)
{
	char line[65536];
	int n = 0;
	FILE *f = fopen(path, "r");
	while (f && fgets(line, sizeof line, f))
		n += strstr(line, word) != NULL;
	if (f)
		fclose(f);
	return n;
}

static void names(void)
{
	static char buf[70000], path[5000];
	int top = MUST(open(".", O_RDONLY));
	EQ("descend", descend(DEPTH), DEPTH);
	FAILS("getcwd", syscall(SYS_getcwd, buf, sizeof buf), ENAMETOOLONG);
	FAILS("getcwd, small buffer", syscall(SYS_getcwd, buf, 10), ENAMETOOLONG);
	FAILS("readlink of cwd", readlink("/proc/self/cwd", buf, sizeof buf), ENAMETOOLONG);
	int fd = MUST(open("file", O_RDWR | O_CREAT, 0600));
	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	FAILS("readlink of a descriptor", readlink(path, buf, sizeof buf), ENAMETOOLONG);
	MUST(ftruncate(fd, 4096));
	void *m = mmap(0, 4096, PROT_READ, MAP_SHARED, fd, 0);
	OK("mmap", m != MAP_FAILED);
	EQ("maps has the whole name", count_lines("/proc/self/maps", "/d/d/d/d/file"), 1);
	munmap(m, 4096);
	struct stat st;
	EQ("stat through the link", stat(path, &st), 0);
	close(fd);
	MUST(unlink("file"));

	for (int i = 0; i < 2047; i++)
		strcpy(path + 3 * i, "../"), path[3 * i + 3] = 0;
	path[4095] = 0; // "../" 1,365 times
	EQ("1,365 levels up by one name", stat(path, &st), 0);
	FAILS("a name of 4,096 bytes", (path[4095] = '/', path[4096] = 0, stat(path, &st)), ENAMETOOLONG);

	MUST(mkdirat(top, "other", 0755));
	FAILS("rmdir of the top", unlinkat(top, "d", AT_REMOVEDIR), ENOTEMPTY);
	FAILS("rename into itself, far below", renameat(top, "d", AT_FDCWD, "x"), EINVAL);
	FAILS("rename over what holds it", renameat(AT_FDCWD, ".", top, "d"), EBUSY);
	MUST(mkdir("x", 0755));
	FAILS("rename over an ancestor", renameat(AT_FDCWD, "x", top, "d"), ENOTEMPTY);
	FAILS("exchange with an ancestor", syscall(SYS_renameat2, AT_FDCWD, "x", top, "d", 2), EINVAL);
	EQ("rename from far below", renameat(AT_FDCWD, "x", top, "x"), 0);
	EQ("rename to far below", renameat(top, "x", AT_FDCWD, "x"), 0);
	MUST(rmdir("x"));
	EQ("rename of the top", renameat(top, "d", top, "e"), 0);
	EQ("rename of the top, into another directory", renameat(top, "e", top, "other/d"), 0);
	EQ("rename back", renameat(top, "other/d", top, "d"), 0);
	EQ("the bottom is the same", mkdir("x", 0755), 0);
	MUST(rmdir("x"));
	EQ("ascend", ascend(DEPTH), DEPTH);
	MUST(unlinkat(top, "other", AT_REMOVEDIR));
	close(top);
}

// moves makes a deep tree by moving it into a new directory each time, and takes it apart the same way.
static void moves(void)
{
	int n = 0, m = 0;
	MUST(mkdir("d", 0755));
	for (n = 0; n < DEPTH; n++)
		if (mkdir("n", 0755) || rename("d", "n/d") || rename("n", "d"))
			break;
	EQ("move a tree down", n, DEPTH);
	for (m = 0; m < DEPTH; m++)
		if (rename("d/d", "n") || rmdir("d") || rename("n", "d"))
			break;
	EQ("move a tree up", m, DEPTH);
	MUST(rmdir("d"));
}

// removed stands in a directory whose ancestors all go away.
static void removed(void)
{
	char buf[100];
	int fd[3];
	MUST(mkdir("t", 0755));
	MUST(chdir("t"));
	descend(DEPTH / 2);
	fd[0] = MUST(open(".", O_RDONLY));
	descend(DEPTH / 2);
	fd[1] = MUST(open(".", O_RDONLY));
	EQ("ascend with open directories", ascend(DEPTH), DEPTH);
	EQ("to a directory that is gone", fchdir(fd[1]), 0);
	FAILS("getcwd there", syscall(SYS_getcwd, buf, sizeof buf), ENOENT);
	FAILS("mkdir there", mkdir("d", 0755), ENOENT);
	int up = 0;
	while (up < DEPTH / 2 && chdir("..") == 0)
		up++;
	EQ("up to where all is gone", up, DEPTH / 2);
	MUST(chdir("/"));
	close(fd[0]);
	close(fd[1]);
}

static void mounts(void)
{
	struct stat st;
	MUST(mkdir("m", 0755));
	int fd = MUST(open(".", O_RDONLY));
	MUST(mount("t", "m", "tmpfs", 0, 0));
	MUST(chdir("m"));
	EQ("descend in a mount", descend(DEPTH), DEPTH);
	FAILS("umount of a directory in a mount", umount2("/proc/self/cwd", 0), EINVAL);
	int bottom = MUST(open(".", O_RDONLY));
	MUST(fchdir(fd));
	FAILS("umount, open directory far below", umount("m"), EBUSY);
	close(bottom);
	EQ("umount", umount("m"), 0);

	MUST(mount("t", "m", "tmpfs", 0, 0));
	MUST(chdir("m"));
	descend(DEPTH);
	bottom = MUST(open(".", O_RDONLY));
	MUST(fchdir(fd));
	EQ("lazy umount", umount2("m", MNT_DETACH), 0);
	FAILS("it is gone", stat("m/d", &st), ENOENT);
	MUST(fchdir(bottom));
	close(bottom);
	EQ("its bottom is not", mkdir("x", 0755), 0);
	OK("no mount on it", mount("t", "x", "tmpfs", 0, 0) == -1); // EINVAL, ENOENT since Linux 6.17
	int up = 0;
	while (up < DEPTH && chdir("..") == 0)
		up++;
	EQ("its top is not", stat("d/d/d", &st), 0);
	MUST(fchdir(fd));
}

// tower mounts over a mount over a mount.
static void tower(int floors)
{
	struct stat st, top;
	int n, before = count_lines("/proc/self/mountinfo", "");
	for (n = 0; n < floors; n++)
		if (mount("t", "m", "tmpfs", 0, 0))
			break;
	EQ("mounts over mounts", n, floors);
	EQ("all are listed", count_lines("/proc/self/mountinfo", "") - before, floors);
	put("m/file", "top");
	STR("the last one is seen", get("m/file"), "top");
	MUST(stat("m/..", &st));
	MUST(stat(".", &top));
	OK("its parent is the first one's", st.st_ino == top.st_ino && st.st_dev == top.st_dev);
	int held = MUST(open("m", O_RDONLY));
	FAILS("umount of what is open", umount("m"), EBUSY);
	close(held);
	for (n = 0; umount("m") == 0; n++)
		;
	EQ("umount of all", n, floors);
	EQ("none is left", count_lines("/proc/self/mountinfo", "") - before, 0);

	// Each mount in the one before.
	char path[4000] = "m";
	for (n = 0; n < 100; n++) {
		MUST(mount("t", path, "tmpfs", 0, 0));
		strcat(path, "/m");
		MUST(mkdir(path, 0755));
	}
	FAILS("umount of the first", umount("m"), EBUSY);
	EQ("lazy umount of the first", umount2("m", MNT_DETACH), 0);
	EQ("none is left of these", count_lines("/proc/self/mountinfo", "") - before, 0);
	FAILS("their names are gone", stat("m/m", &st), ENOENT);
}

static void links(void)
{
	char a[64], b[64], text[4096] = "";
	struct stat st;
	put("l0", "end");
	for (int i = 1; i <= 5000; i++) {
		snprintf(a, sizeof a, "l%d", i - 1);
		snprintf(b, sizeof b, "l%d", i);
		MUST(symlink(a, b));
	}
	EQ("40 links", stat("l40", &st), 0);
	FAILS("41 links", stat("l41", &st), ELOOP);
	FAILS("5,000 links", open("l5000", O_RDONLY), ELOOP);
	FAILS("5,000 links, create", open("l5000", O_RDWR | O_CREAT, 0600), ELOOP);
	MUST(symlink("self/self/self", "self"));
	FAILS("a link into itself", stat("self", &st), ELOOP);

	// Links in the middle of links: the rest of each has to be remembered.
	MUST(mkdir("n0", 0755));
	for (int i = 1; i <= 45; i++) {
		snprintf(a, sizeof a, "n%d/../n0/.", i - 1);
		snprintf(b, sizeof b, "n%d", i);
		MUST(symlink(a, b));
	}
	EQ("40 links with a rest", stat("n40/.", &st), 0);
	FAILS("41 links with a rest", stat("n41/.", &st), ELOOP);

	// The longest text that a link has, and a name of nothing but such links.
	for (int i = 0; i < 4095 / 2; i++)
		strcat(text, "./");
	strcpy(text + 4094, "n");
	text[4093] = '/', text[4095] = 0;
	strcpy(text + 4092, "./.");
	EQ("a long link", symlink(text, "long"), 0);
	EQ("40 long links in one name", stat("long/long/long/long/long/long/long/long/long/long/long/long/long/long/long/long/long/long/long/long/"
	   "long/long/long/long/long/long/long/long/long/long/long/long/long/long/long/long/long/long/long/long/.", &st), 0);
	for (int i = 0; i <= 5000; i++) {
		snprintf(a, sizeof a, "l%d", i);
		unlink(a);
	}
}

// generations is a chain of processes, each the child of the one before.
static void generations(int n)
{
	int p[2];
	MUST(pipe(p));
	pid_t first = MUST(fork());
	if (first == 0) {
		int i;
		for (i = 0; i < n; i++) {
			pid_t pid = fork();
			if (pid < 0)
				break;
			if (pid > 0) {
				int status;
				waitpid(pid, &status, 0);
				_exit(WEXITSTATUS(status));
			}
		}
		write(p[1], &i, sizeof i);
		_exit(7);
	}
	int made = 0, status;
	read(p[0], &made, sizeof made);
	EQ("generations", made, n);
	waitpid(first, &status, 0);
	EQ("their status travels up", WEXITSTATUS(status), 7);
}

int main(void)
{
	work_dir();
	MUST(mkdir("w", 0755));
	MUST(mount("t", "w", "tmpfs", 0, 0)); // quick on the host, too
	MUST(chdir("w"));
	names();
	moves();
	int home = MUST(open(".", O_RDONLY));
	removed();
	MUST(fchdir(home));
	mounts();
	tower(200);
	links();
	generations(100);
	MUST(chdir("/"));
	close(home);
	done();
}
