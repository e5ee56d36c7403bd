// /proc/sys: how values are read and written (proc(5), kernel/sysctl.c). What a
// setting does is tested beside what it steers.
#include "check.h"
#include <dirent.h>
#include <grp.h>
#include <sys/prctl.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <linux/capability.h>

#define SYS "/proc/sys/"

static int set(const char *name, const char *text)
{
	char path[128];
	snprintf(path, sizeof path, SYS "%s", name);
	int fd = open(path, O_WRONLY | O_TRUNC);
	if (fd < 0)
		return -1;
	int n = write(fd, text, strlen(text));
	int e = errno;
	close(fd);
	errno = e;
	return n;
}

static const char *value(const char *name)
{
	char path[128];
	snprintf(path, sizeof path, SYS "%s", name);
	return get(path);
}

// A number with a range: kernel.pid_max is from 301 to 4194304.
static void numbers(void)
{
	char was[64];
	snprintf(was, sizeof was, "%s", value("kernel/pid_max"));
	OK("pid_max reads as a number", atoi(was) > 300 && strchr(was, '\n'));
	EQ("a number", set("kernel/pid_max", "400000\n"), 7);
	STR("is there", value("kernel/pid_max"), "400000\n");
	EQ("spaces in front and behind", set("kernel/pid_max", " \t\v400001 \n\t "), 13);
	STR("do not matter", value("kernel/pid_max"), "400001\n");
	EQ("hexadecimal", set("kernel/pid_max", "0x61a80"), 7);
	STR("hexadecimal value", value("kernel/pid_max"), "400000\n");
	EQ("octal", set("kernel/pid_max", "01415201"), 8);
	STR("octal value", value("kernel/pid_max"), "400001\n");
	EQ("a second number is not taken", set("kernel/pid_max", "400002 7\n"), 7);
	STR("the first is", value("kernel/pid_max"), "400002\n");
	FAILS("too small", set("kernel/pid_max", "10"), EINVAL);
	FAILS("too large", set("kernel/pid_max", "4194305"), EINVAL);
	FAILS("more than 32 bits", set("kernel/pid_max", "4295367296"), EINVAL);
	FAILS("more than 64 bits", set("kernel/pid_max", "18446744073709951616"), EINVAL);
	FAILS("very long", set("kernel/pid_max", "0000000000000000000000400000"), EINVAL);
	FAILS("no number", set("kernel/pid_max", "many\n"), EINVAL);
	FAILS("a letter behind", set("kernel/pid_max", "400000k"), EINVAL);
	FAILS("a plus sign", set("kernel/pid_max", "+400000"), EINVAL);
	FAILS("negative", set("kernel/pid_max", "-400000"), EINVAL);
	FAILS("only spaces", set("kernel/pid_max", " \n"), EINVAL);
	FAILS("half of a base", set("kernel/pid_max", "0x"), EINVAL);
	EQ("nothing", set("kernel/pid_max", ""), 0);
	STR("errors change nothing", value("kernel/pid_max"), "400002\n");

	int fd = MUST(open(SYS "kernel/pid_max", O_RDWR));
	char b[64] = "";
	EQ("a short read", read(fd, b, 3), 3);
	EQ("no second one", read(fd, b + 3, 10), 0);
	EQ("read behind the start", pread(fd, b, 10, 1), 0);
	EQ("read again at the start", pread(fd, b, sizeof b, 0), 7);
	EQ("write behind the start is taken", pwrite(fd, "400009", 6, 1), 6);
	STR("and changes nothing", value("kernel/pid_max"), "400002\n");
	EQ("write at the start", pwrite(fd, "400003", 6, 0), 6);
	STR("changes it", value("kernel/pid_max"), "400003\n");
	FAILS("bad address", write(fd, (void *)1, 6), EFAULT);
	close(fd);
	set("kernel/pid_max", was);
	STR("put back", value("kernel/pid_max"), was);
}

static void booleans(void)
{
	char was[64];
	snprintf(was, sizeof was, "%s", value("kernel/core_uses_pid"));
	EQ("a switch without a range", set("kernel/core_uses_pid", "-7"), 2);
	STR("keeps the number", value("kernel/core_uses_pid"), "-7\n");
	FAILS("of 32 bits", set("kernel/core_uses_pid", "2147483648"), EINVAL);
	EQ("the least", set("kernel/core_uses_pid", "-2147483648"), 11);
	STR("is kept", value("kernel/core_uses_pid"), "-2147483648\n");
	set("kernel/core_uses_pid", was);
}

static void text(void)
{
	char was[128], b[128];
	struct utsname u;
	snprintf(was, sizeof was, "%s", value("kernel/domainname"));
	EQ("text", set("kernel/domainname", "one.example\n"), 12);
	uname(&u);
	STR("is what uname says", u.domainname, "one.example");
	EQ("ends at a newline", set("kernel/domainname", "two\nthree"), 9);
	STR("text in lines", value("kernel/domainname"), "two\n");
	int fd = MUST(open(SYS "kernel/domainname", O_RDWR));
	EQ("in the middle", pwrite(fd, "ab", 2, 1), 2);
	STR("the rest stays", value("kernel/domainname"), "tab\n");
	EQ("behind the end", pwrite(fd, "ab", 2, 9), 2);
	STR("nothing changes", value("kernel/domainname"), "tab\n");
	memset(b, 0, sizeof b);
	EQ("text can be read in pieces", pread(fd, b, 10, 1), 3);
	STR("a piece", b, "ab\n");
	memset(b, 'x', 100);
	b[100] = 0;
	EQ("long text", pwrite(fd, b, 100, 0), 100);
	EQ("is cut", strlen(value("kernel/domainname")), 65);
	close(fd);
	was[strcspn(was, "\n")] = 0;
	setdomainname(was, strlen(was));
}

static void permissions(void)
{
	struct stat st;
	OK("a value that can be written", stat(SYS "kernel/pid_max", &st) == 0 && st.st_mode == (S_IFREG | 0644) && st.st_size == 0);
	OK("one that cannot", stat(SYS "fs/file-nr", &st) == 0 && st.st_mode == (S_IFREG | 0444));
	OK("a directory", stat(SYS "kernel", &st) == 0 && st.st_mode == (S_IFDIR | 0555));
	FAILS("root cannot write the one either", open(SYS "fs/file-nr", O_WRONLY), EACCES);
	FAILS("no new files", open(SYS "kernel/new", O_WRONLY | O_CREAT, 0644), ENOENT);
	FAILS("no new directories", mkdir(SYS "kernel/new", 0755), ENOENT);
	FAILS("chmod", chmod(SYS "kernel/pid_max", 0666), EPERM);
	FAILS("chown", chown(SYS "kernel/pid_max", 1, 1), EPERM);
	FAILS("a row is no directory", open(SYS "kernel/pid_max/x", O_RDONLY), ENOTDIR);
	FAILS("no such row", open(SYS "kernel/nothing", O_RDONLY), ENOENT);
	FAILS("unlink", unlink(SYS "kernel/pid_max"), EACCES);
	EQ("truncate", truncate(SYS "kernel/pid_max", 0), 0);

	int fd = MUST(open(SYS "kernel/core_uses_pid", O_RDWR));
	pid_t child = fork();
	if (child == 0) {
		char b[64];
		int bad = 0;
		// A root user without capabilities may write; another user with all of them may not.
		setgid(1);
		struct __user_cap_header_struct h = {_LINUX_CAPABILITY_VERSION_3, 0};
		struct __user_cap_data_struct d[2], none[2] = {0};
		syscall(SYS_capget, &h, d);
		d[0].effective = d[1].effective = 0;
		syscall(SYS_capset, &h, d);
		int n = read(fd, b, sizeof b);
		bad |= (n < 2 || pwrite(fd, b, n, 0) != n) << 0;
		int f2 = open(SYS "kernel/core_uses_pid", O_WRONLY);
		bad |= (f2 < 0) << 1;
		close(f2);
		d[0].effective = d[0].permitted, d[1].effective = d[1].permitted;
		syscall(SYS_capset, &h, d);
		prctl(PR_SET_KEEPCAPS, 1);
		setgroups(0, NULL);
		setresuid(1, 1, 1);
		syscall(SYS_capset, &h, d);
		bad |= (open(SYS "kernel/core_uses_pid", O_WRONLY) != -1 || errno != EACCES) << 2;
		bad |= (open(SYS "kernel/core_uses_pid", O_RDONLY) < 0) << 4;
		syscall(SYS_capset, &h, none);
		bad |= (open(SYS "kernel/core_uses_pid", O_WRONLY) != -1 || errno != EACCES) << 5;
		_exit(bad);
	}
	int status;
	waitpid(child, &status, 0);
	EQ("who may write", status >> 8, 0);
	close(fd);
}

static void tree(void)
{
	static const char *dirs[] = {"", "kernel", "vm", "fs", "kernel/random", "fs/inotify", "fs/epoll", "fs/mqueue", "net"};
	for (unsigned i = 0; i < sizeof dirs / sizeof *dirs; i++) {
		char path[300];
		snprintf(path, sizeof path, SYS "%s", dirs[i]);
		DIR *d = opendir(path);
		int n = 0, bad = 0;
		struct dirent *e;
		while (d && (e = readdir(d))) {
			struct stat st;
			snprintf(path, sizeof path, SYS "%s/%s", dirs[i], e->d_name);
			n++;
			if (e->d_name[0] != '.' && (lstat(path, &st) != 0 || st.st_ino != e->d_ino || e->d_type << 12 != (st.st_mode & S_IFMT)))
				bad++;
		}
		if (d)
			closedir(d);
		snprintf(path, sizeof path, "directory /%s", dirs[i]);
		OK(path, n > 2 && bad == 0);
	}
}

int main(void)
{
	numbers();
	booleans();
	text();
	permissions();
	tree();
	done();
}
