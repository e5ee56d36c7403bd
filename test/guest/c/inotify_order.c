// inotify(7): the order of events, what waits for the last close, and which calls make which events.
#include "check.h"
#include <poll.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/sendfile.h>

static int in;

// events reads what there is, as text.
static const char *events(void)
{
	static char text[4][4096];
	static int next;
	char *out = text[next++ & 3], b[8192] __attribute__((aligned(8)));
	int at = 0;
	out[0] = 0;
	ssize_t n = read(in, b, sizeof b);
	for (char *p = b; n > 0 && p < b + n;) {
		struct inotify_event *e = (void *)p;
		static const struct { unsigned bit; const char *name; } names[] = {
			{IN_ACCESS, "access"}, {IN_MODIFY, "modify"}, {IN_ATTRIB, "attrib"}, {IN_CLOSE_WRITE, "close_write"},
			{IN_CLOSE_NOWRITE, "close"}, {IN_OPEN, "open"}, {IN_MOVED_FROM, "from"}, {IN_MOVED_TO, "to"},
			{IN_CREATE, "create"}, {IN_DELETE, "delete"}, {IN_DELETE_SELF, "delete_self"}, {IN_MOVE_SELF, "move_self"},
			{IN_IGNORED, "ignored"}, {IN_UNMOUNT, "unmount"}, {IN_Q_OVERFLOW, "overflow"}, {IN_ISDIR, "/"}};
		at += sprintf(out + at, "%s%d:", at ? " " : "", e->wd);
		for (unsigned i = 0; i < sizeof names / sizeof *names; i++)
			if (e->mask & names[i].bit)
				at += sprintf(out + at, "%s", names[i].name);
		if (e->len)
			at += sprintf(out + at, "=%s", e->name);
		p += sizeof *e + e->len;
	}
	return out;
}

static void start(void)
{
	if (in)
		close(in);
	in = MUST(inotify_init1(IN_NONBLOCK | IN_CLOEXEC));
}

static int watch(const char *path, unsigned mask) { return inotify_add_watch(in, path, mask); }

// fdinfo has the lines of the watches, without the inode, the device and the handle.
static const char *fdinfo(void)
{
	static char out[1024];
	char path[64];
	snprintf(path, sizeof path, "/proc/self/fdinfo/%d", in);
	out[0] = 0;
	for (char *p = strstr(get(path), "inotify "); p; p = strstr(p + 1, "inotify ")) {
		unsigned wd, sdev, mask, ignored;
		unsigned long ino;
		if (sscanf(p, "inotify wd:%x ino:%lx sdev:%x mask:%x ignored_mask:%x", &wd, &ino, &sdev, &mask, &ignored) == 5)
			sprintf(out + strlen(out), "%u %d %d %x %x|", wd, ino != 0, sdev != 0, mask, ignored);
	}
	return out;
}

int main(void)
{
	work_dir();
	chmod(".", 0755);
	const unsigned self = IN_ATTRIB | IN_DELETE_SELF | IN_MOVE_SELF;
	mkdir("d", 0755), mkdir("other", 0755);

	start(), put("d/f", "hello"), watch("d", IN_ALL_EVENTS), watch("d/f", self);
	unlink("d/f");
	STR("unlink", events(), "2:attrib 2:delete_self 2:ignored 1:delete=f");

	start(), mkdir("d/s", 0755), watch("d", IN_ALL_EVENTS), watch("d/s", IN_ALL_EVENTS);
	rmdir("d/s");
	STR("rmdir", events(), "2:delete_self 2:ignored 1:delete/=s");

	start(), put("d/f", "hello"), watch("d", IN_ALL_EVENTS), watch("d/f", IN_ALL_EVENTS);
	int fd = open("d/f", O_RDWR);
	unlink("d/f");
	STR("unlink of an open file", events(), "1:open=f 2:open 2:attrib 1:delete=f");
	write(fd, "x", 1);
	STR("a write to it", events(), "1:modify=f 2:modify");
	close(fd);
	STR("and the last close", events(), "1:close_write=f 2:close_write 2:delete_self 2:ignored");

	start(), mkdir("d/s", 0755), watch("d", IN_ALL_EVENTS & ~(IN_OPEN | IN_CLOSE)), watch("d/s", IN_ALL_EVENTS);
	fd = open("d/s", O_RDONLY | O_DIRECTORY);
	rmdir("d/s");
	STR("rmdir of an open directory", events(), "2:open/ 1:delete/=s");
	close(fd);
	STR("and its last close", events(), "2:close/ 2:delete_self 2:ignored");

	start(), put("d/f", "hello"), link("d/f", "d/g"), watch("d", IN_ALL_EVENTS), watch("d/f", self);
	unlink("d/f");
	STR("one name of two", events(), "2:attrib 1:delete=f");
	unlink("d/g");
	STR("the other name", events(), "2:attrib 2:delete_self 2:ignored 1:delete=g");

	start(), put("d/f", "hello"), watch("d/f", self);
	link("d/f", "d/g");
	STR("link changes the count", events(), "1:attrib");
	unlink("d/f"), unlink("d/g");

	start(), put("d/f", "1"), put("d/g", "2"), watch("d", IN_ALL_EVENTS), watch("d/f", self), watch("d/g", self);
	rename("d/f", "d/g");
	STR("rename over a file", events(), "1:from=f 1:to=g 3:attrib 2:move_self 3:delete_self 3:ignored");
	unlink("d/g");

	start(), put("d/f", "1"), put("d/g", "2"), watch("d/g", self);
	fd = open("d/g", O_RDONLY);
	rename("d/f", "d/g");
	STR("rename over an open file", events(), "1:attrib");
	close(fd);
	STR("and its close", events(), "1:delete_self 1:ignored");
	unlink("d/g");

	start(), mkdir("d/s", 0755), mkdir("d/t", 0755), watch("d", IN_ALL_EVENTS), watch("d/s", self), watch("d/t", self);
	rename("d/s", "d/t");
	STR("rename over a directory", events(), "1:from/=s 1:to/=t 3:attrib/ 2:move_self 3:delete_self 3:ignored");
	rename("d/t", "other/t");
	STR("rename to another directory", events(), "1:from/=t 2:move_self");
	rmdir("other/t");

	start(), put("d/f", "1"), mkdir("d/s", 0755), watch("d", IN_ALL_EVENTS), watch("d/f", self), watch("d/s", self);
	syscall(SYS_renameat2, AT_FDCWD, "d/f", AT_FDCWD, "d/s", 2);
	STR("exchange", events(), "1:from=f 1:to=s 2:move_self 1:from/=s 1:to/=f 3:move_self");
	unlink("d/s"), rmdir("d/f");

	// The calls that read and write.
	start(), put("d/f", "hello"), watch("d", IN_ALL_EVENTS), watch("d/f", IN_ALL_EVENTS);
	fd = open("d/f", O_RDWR);
	events();
	fallocate(fd, 0, 0, 100);
	STR("fallocate", events(), "1:modify=f 2:modify");
	fallocate(fd, 3, 0, 10);
	STR("punch", events(), "1:modify=f 2:modify");
	ftruncate(fd, 5);
	STR("ftruncate", events(), "1:modify=f 2:modify");
	fchmod(fd, 0600);
	STR("fchmod", events(), "1:attrib=f 2:attrib");
	struct timespec times[2] = {{1, 0}, {2, 0}};
	futimens(fd, times);
	STR("futimens", events(), "1:attrib=f 2:attrib");
	utimensat(AT_FDCWD, "d/f", (struct timespec[2]){{0, UTIME_OMIT}, {3, 0}}, 0);
	STR("the modification time alone", events(), "1:modify=f 2:modify");
	utimensat(AT_FDCWD, "d/f", (struct timespec[2]){{3, 0}, {0, UTIME_OMIT}}, 0);
	STR("the access time alone", events(), "1:access=f 2:access");
	fsync(fd);
	STR("fsync", events(), "");
	pread(fd, (char[8]){0}, 8, 100);
	STR("read at the end", events(), "");
	write(fd, "", 0);
	STR("write of nothing", events(), "");
	setxattr("d/f", "user.x", "y", 1, 0);
	STR("setxattr", events(), "1:attrib=f 2:attrib");
	removexattr("d/f", "user.x");
	STR("removexattr", events(), "1:attrib=f 2:attrib");
	mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);
	STR("mmap", events(), "");
	int out = open("other/o", O_RDWR | O_CREAT, 0644);
	watch("other/o", IN_ALL_EVENTS);
	off_t zero = 0;
	sendfile(out, fd, &zero, 5);
	STR("sendfile", events(), "1:access=f 2:access 3:modify");
	off_t from = 0, to = 0;
	syscall(SYS_copy_file_range, fd, &from, out, &to, 5, 0);
	STR("copy_file_range", events(), "1:access=f 2:access 3:modify");
	int p[2];
	pipe(p);
	from = 0;
	splice(fd, &from, p[1], NULL, 5, 0);
	STR("splice out of it", events(), "1:access=f 2:access");
	splice(p[0], NULL, out, NULL, 5, 0);
	STR("splice into it", events(), "3:modify");
	close(out), close(fd);
	events();
	truncate("d/f", 2);
	STR("truncate", events(), "1:modify=f 2:modify");
	close(open("d/f", O_WRONLY | O_TRUNC));
	STR("O_TRUNC", events(), "1:open=f 2:open 1:modify=f 2:modify 1:close_write=f 2:close_write");
	close(open("d/f", O_PATH));
	STR("O_PATH", events(), "");
	unlink("d/f"), unlink("other/o");

	start(), put("d/f", "hello"), watch("d", IN_ALL_EVENTS);
	fd = open("d", O_RDONLY | O_DIRECTORY);
	char b[4096];
	syscall(SYS_getdents64, fd, b, sizeof b);
	STR("getdents", events(), "1:open/ 1:access/");
	syscall(SYS_getdents64, fd, b, sizeof b);
	STR("getdents at the end", events(), "1:access/");
	close(fd);
	events();
	fd = open("d/new", O_WRONLY | O_CREAT | O_EXCL, 0644);
	STR("create", events(), "1:create=new 1:open=new");
	close(fd), unlink("d/new");
	events();
	mknod("d/p", S_IFIFO | 0600, 0), symlink("x", "d/l");
	STR("mknod and symlink", events(), "1:create=p 1:create=l");
	fd = open("d", O_TMPFILE | O_RDWR, 0600);
	OK("O_TMPFILE", !strncmp(events(), "1:open=#", 8));
	char path[64];
	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	linkat(AT_FDCWD, path, AT_FDCWD, "d/named", AT_SYMLINK_FOLLOW);
	close(fd);
	OK("and a name for it", !strncmp(events(), "1:create=named 1:close_write=#", 30));
	unlink("d/named"), unlink("d/p"), unlink("d/l");

	// IN_EXCL_UNLINK.
	start(), watch("d", IN_ALL_EVENTS | IN_EXCL_UNLINK);
	fd = open("d/f", O_RDWR);
	unlink("d/f");
	events();
	write(fd, "x", 1), fchmod(fd, 0600);
	close(fd);
	STR("IN_EXCL_UNLINK", events(), "1:attrib=f");

	// Coalescing looks at the last event only, and not at the cookie.
	start(), put("d/f", ""), watch("d", IN_ATTRIB | IN_MODIFY | IN_MOVED_FROM);
	chmod("d/f", 0600), chmod("d/f", 0644), chmod("d/f", 0600);
	truncate("d/f", 5);
	chmod("d/f", 0644), chmod("d/f", 0600);
	STR("coalescing", events(), "1:attrib=f 1:modify=f 1:attrib=f");
	rename("d/f", "other/f"), rename("other/f", "d/f"), rename("d/f", "other/f");
	STR("coalesced moves", events(), "1:from=f");

	// IN_MASK_ADD, IN_ONESHOT, changed masks.
	start(), watch("d", IN_OPEN), watch("d", IN_CREATE | IN_MASK_ADD);
	close(open("d/n", O_CREAT | O_WRONLY, 0600));
	STR("IN_MASK_ADD", events(), "1:create=n 1:open=n");
	FAILS("IN_MASK_CREATE", inotify_add_watch(in, "d", IN_OPEN | IN_MASK_CREATE), EEXIST);
	FAILS("IN_MASK_CREATE with IN_MASK_ADD", inotify_add_watch(in, "d", IN_OPEN | IN_MASK_CREATE | IN_MASK_ADD), EINVAL);
	EQ("only flags", inotify_add_watch(in, "other", IN_ONLYDIR), 2);
	watch("other", IN_DELETE | IN_ONESHOT | IN_EXCL_UNLINK);
	STR("fdinfo", fdinfo(), "2 1 1 84000200 0|1 1 1 120 0|");
	unlink("other/f");
	STR("IN_ONESHOT", events(), "2:delete=f 2:ignored");
	STR("fdinfo after it", fdinfo(), "1 1 1 120 0|");

	// IN_UNMOUNT.
	start(), mkdir("m", 0755);
	if (mount("none", "m", "tmpfs", 0, "") == 0) {
		put("m/f", "");
		mkdir("m/s", 0755);
		watch("m/f", IN_MODIFY);
		EQ("unmount in spite of a watch", umount("m"), 0);
		STR("IN_UNMOUNT of a file", events(), "1:unmount 1:ignored");
		mount("none", "m", "tmpfs", 0, "");
		watch("m", IN_OPEN);
		umount("m");
		STR("IN_UNMOUNT of a directory", events(), "2:unmount/ 2:ignored");
		EQ("the watch is gone", ({ FAILS("no watch", inotify_rm_watch(in, 2), EINVAL); 0; }), 0);
	}

	// Overflow.
	start(), put("d/a", ""), put("d/b", ""), watch("d", IN_ATTRIB);
	int most = atoi(get("/proc/sys/fs/inotify/max_queued_events")), n = 0;
	for (int i = 0; i < most + 10; i++)
		chmod(i & 1 ? "d/a" : "d/b", 0600);
	EQ("as many as there may be, and one", ({ ioctl(in, FIONREAD, &n); n; }), most * 32 + 16);
	int count = 0, last = 0;
	for (ssize_t k; (k = read(in, b, sizeof b)) > 0;)
		for (char *q = b; q < b + k; count++) {
			struct inotify_event *e = (void *)q;
			last = e->mask == IN_Q_OVERFLOW && e->wd == -1;
			q += sizeof *e + e->len;
		}
	EQ("events", count, most + 1);
	EQ("the last one is IN_Q_OVERFLOW", last, 1);
	chmod("d/a", 0644);
	STR("it goes on after that", events(), "1:attrib=a");
	done();
}
