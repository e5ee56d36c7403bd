// File handles: name_to_handle_at(2) and open_by_handle_at(2), on a tmpfs that the program mounts.
#include "check.h"
#include <sys/inotify.h>
#include <sys/mount.h>
#include <sys/wait.h>

#ifndef AT_HANDLE_FID
#define AT_HANDLE_FID AT_REMOVEDIR
#endif

static struct { struct file_handle h; char room[MAX_HANDLE_SZ]; } a, b;

static int handle(const char *path, int flags)
{
	int id = 0;
	memset(&a, 0, sizeof a);
	a.h.handle_bytes = MAX_HANDLE_SZ;
	return name_to_handle_at(AT_FDCWD, path, &a.h, &id, flags);
}

int main(void)
{
	work_dir();
	mkdir("m", 0755);
	MUST(mount("none", "m", "tmpfs", 0, ""));
	put("m/f", "hello");
	mkdir("m/d", 0755);
	put("m/d/g", "in a directory");
	symlink("f", "m/l");
	int id = -1, root = MUST(open("m", O_RDONLY | O_DIRECTORY));
	struct statx x;
	statx(AT_FDCWD, "m", 0, STATX_MNT_ID, &x);

	a.h.handle_bytes = 0;
	FAILS("no room", name_to_handle_at(AT_FDCWD, "m/f", &a.h, &id, 0), EOVERFLOW);
	EQ("the size that it needs", a.h.handle_bytes, 12);
	EQ("the mount all the same", id, x.stx_mnt_id);
	a.h.handle_bytes = 8;
	FAILS("too little room", name_to_handle_at(AT_FDCWD, "m/f", &a.h, &id, 0), EOVERFLOW);
	a.h.handle_bytes = MAX_HANDLE_SZ + 1;
	FAILS("too large", name_to_handle_at(AT_FDCWD, "m/f", &a.h, &id, 0), EINVAL);
	a.h.handle_bytes = MAX_HANDLE_SZ;
	FAILS("flags", name_to_handle_at(AT_FDCWD, "m/f", &a.h, &id, AT_NO_AUTOMOUNT), EINVAL);
	FAILS("no such file", name_to_handle_at(AT_FDCWD, "m/nothing", &a.h, &id, 0), ENOENT);
	FAILS("empty path", name_to_handle_at(root, "", &a.h, &id, 0), ENOENT);
	FAILS("bad address", name_to_handle_at(AT_FDCWD, "m/f", NULL, &id, 0), EFAULT);
	FAILS("bad address of the number", name_to_handle_at(AT_FDCWD, "m/f", &a.h, NULL, 0), EFAULT);
	FAILS("no handles in /proc", handle("/proc/self/status", 0), EOPNOTSUPP);
	EQ("a handle", handle("m/f", 0), 0);
	EQ("size", a.h.handle_bytes, 12);
	EQ("type", a.h.handle_type, 1);
	int f = open_by_handle_at(root, &a.h, O_RDWR);
	OK("open", f >= 0);
	char text[32] = "";
	EQ("the same file", read(f, text, sizeof text), 5);
	STR("content", text, "hello");
	EQ("write", write(f, "!", 1), 1);
	STR("seen by name", get("m/f"), "hello!");
	char fdpath[64], name[PATH_MAX], cwd[PATH_MAX];
	snprintf(fdpath, sizeof fdpath, "/proc/self/fd/%d", f);
	ssize_t n = readlink(fdpath, name, sizeof name - 1);
	name[n < 0 ? 0 : n] = 0;
	strcat(getcwd(cwd, sizeof cwd), "/m/f");
	STR("its name", name, cwd);
	b = a;
	EQ("an O_PATH descriptor", ({ int p = open("m/f", O_PATH), i; a.h.handle_bytes = 128; int r = name_to_handle_at(p, "", &a.h, &i, AT_EMPTY_PATH); close(p); r; }), 0);
	OK("the same handle", memcmp(&a, &b, sizeof a.h + 12) == 0);
	rename("m/f", "m/d/h");
	int g = open_by_handle_at(root, &b.h, O_RDONLY);
	OK("it follows a rename", g >= 0);
	close(g);
	int other = MUST(open("m/d/g", O_RDONLY));
	g = open_by_handle_at(other, &b.h, O_RDONLY);
	OK("any file of the file system will do", g >= 0);
	close(g);
	FAILS("bad descriptor", open_by_handle_at(-1, &b.h, O_RDONLY), EBADF);
	b.h.handle_bytes = 0;
	FAILS("empty handle", open_by_handle_at(root, &b.h, O_RDONLY), EINVAL);
	b.h.handle_bytes = 129;
	FAILS("large handle", open_by_handle_at(root, &b.h, O_RDONLY), EINVAL);
	b.h.handle_bytes = 12;
	FAILS("handle address", open_by_handle_at(root, NULL, O_RDONLY), EFAULT);
	int proc = MUST(open("/proc", O_RDONLY));
	FAILS("another file system", open_by_handle_at(proc, &b.h, O_RDONLY), ESTALE);
	FAILS("not a directory", open_by_handle_at(root, &b.h, O_RDONLY | O_DIRECTORY), ENOTDIR);
	if (fork() == 0) {
		if (setuid(1234))
			_exit(1);
		_exit(open_by_handle_at(root, &b.h, O_RDONLY) < 0 && errno == EPERM ? 0 : 2);
	}
	int status;
	wait(&status);
	EQ("CAP_DAC_READ_SEARCH", status, 0);

	EQ("handle of a directory", handle("m/d", 0), 0);
	int d = open_by_handle_at(root, &a.h, O_RDONLY | O_DIRECTORY);
	OK("open it", d >= 0);
	EQ("walk from there", ({ int k = openat(d, "../d/g", O_RDONLY); close(k); k >= 0; }), 1);
	FAILS("not for writing", open_by_handle_at(root, &a.h, O_RDWR), EISDIR);
	rename("m/d/h", "m/f");
	EQ("handle of a link", handle("m/l", 0), 0);
	FAILS("which cannot be opened", open_by_handle_at(root, &a.h, O_RDONLY), ELOOP);
	int l = open_by_handle_at(root, &a.h, O_PATH);
	OK("but with O_PATH", l >= 0);
	EQ("what it says", readlinkat(l, "", text, sizeof text), 1);
	EQ("through the link", handle("m/l", AT_SYMLINK_FOLLOW), 0);
	OK("is the file", memcmp(&a, &b, sizeof a.h + 12) == 0);

	// A file with two names, one without.
	MUST(link("m/f", "m/f2") == 0 ? 0 : -1);
	unlink("m/f");
	close(f);
	f = open_by_handle_at(root, &b.h, O_RDONLY);
	OK("the other name", f >= 0);
	unlink("m/f2");
	g = open_by_handle_at(root, &b.h, O_RDONLY);
	OK("no name, but open", g >= 0);
	close(f), close(g);
	FAILS("gone", open_by_handle_at(root, &b.h, O_RDONLY), ESTALE);
	// A new file is another one.
	put("m/f", "new");
	handle("m/f", 0);
	OK("a new handle", memcmp(&a, &b, sizeof a.h + 12) != 0);
	FAILS("the old one stays gone", open_by_handle_at(root, &b.h, O_RDONLY), ESTALE);
	EQ("a handle to compare, of what has none to open", handle("/proc/self/status", AT_HANDLE_FID), 0);
	OK("it has bytes", a.h.handle_bytes >= 8);

	// fdinfo of inotify shows handles.
	int in = inotify_init1(0);
	inotify_add_watch(in, "m/f", IN_OPEN);
	snprintf(fdpath, sizeof fdpath, "/proc/self/fdinfo/%d", in);
	OK("fdinfo of inotify", strstr(get(fdpath), "ignored_mask:0 fhandle-bytes:c fhandle-type:1 f_handle:"));
	for (int i = 3; i < 64; i++)
		close(i);
	EQ("unmount", umount("m"), 0);
	done();
}
