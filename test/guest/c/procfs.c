// /proc, /dev and /sys as programs read them.
#include "check.h"
#include <dirent.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <termios.h>

static char *slurp(const char *path, size_t *size)
{
	static char text[1 << 20];
	int fd = open(path, O_RDONLY);
	size_t n = 0;
	ssize_t r;
	if (fd < 0)
		return NULL;
	while ((r = read(fd, text + n, sizeof text - 1 - n)) > 0)
		n += r;
	close(fd);
	text[n] = 0;
	if (size)
		*size = n;
	return r < 0 ? NULL : text;
}

static void self(void)
{
	char b[PATH_MAX] = "";
	OK("exe", readlink("/proc/self/exe", b, sizeof b - 1) > 0 && strstr(b, "procfs"));
	OK("exe opens", close(open("/proc/self/exe", O_RDONLY)) == 0);
	char *t = slurp("/proc/self/maps", NULL);
	OK("maps", t != NULL);
	int lines = 0, bad = 0, stack = 0, text = 0;
	uintptr_t here = (uintptr_t)self, local = (uintptr_t)b, last = 0;
	for (char *l = t; l && *l; l = strchr(l, '\n') + 1, lines++) {
		unsigned long from, to, offset, inode;
		unsigned major, minor;
		char perms[8];
		if (sscanf(l, "%lx-%lx %4s %lx %x:%x %lu", &from, &to, perms, &offset, &major, &minor, &inode) != 7 || from >= to || from < last)
			bad++;
		last = to;
		if (from <= here && here < to)
			text = perms[0] == 'r' && perms[1] == '-' && perms[2] == 'x' && inode != 0;
		if (from <= local && local < to)
			stack = perms[1] == 'w' && strstr(l, "[stack]") != NULL;
	}
	OK("maps has lines", lines > 4);
	EQ("maps lines parse, in order", bad, 0);
	OK("maps has the program's text", text);
	OK("maps has the stack", stack);
	t = slurp("/proc/self/status", NULL);
	int pid = 0, tgid = 0, threads = 0;
	long rss = 0, size = 0;
	OK("status", t && strstr(t, "Name:\tprocfs"));
	char *p;
	if (t && (p = strstr(t, "\nPid:"))) sscanf(p, "\nPid: %d", &pid);
	if (t && (p = strstr(t, "\nTgid:"))) sscanf(p, "\nTgid: %d", &tgid);
	if (t && (p = strstr(t, "\nThreads:"))) sscanf(p, "\nThreads: %d", &threads);
	if (t && (p = strstr(t, "\nVmRSS:"))) sscanf(p, "\nVmRSS: %ld", &rss);
	if (t && (p = strstr(t, "\nVmSize:"))) sscanf(p, "\nVmSize: %ld", &size);
	OK("status ids", pid == getpid() && tgid == pid && threads == 1);
	OK("status memory", rss > 0 && size >= rss);
	t = slurp("/proc/self/stat", NULL);
	int spid = 0, ppid = 0;
	char comm[32] = "", state = 0;
	OK("stat", t && sscanf(t, "%d (%31[^)]) %c %d", &spid, comm, &state, &ppid) == 4);
	OK("stat values", spid == getpid() && !strcmp(comm, "procfs") && state == 'R' && ppid == getppid());
	int fields = 1;
	for (char *c = t; c && *c; c++)
		fields += *c == ' ';
	EQ("stat fields", fields, 52);
	t = slurp("/proc/self/statm", NULL);
	long total = 0, resident = 0;
	OK("statm", t && sscanf(t, "%ld %ld", &total, &resident) == 2 && total >= resident && resident > 0);
	size_t n = 0;
	t = slurp("/proc/self/cmdline", &n);
	OK("cmdline", t && n > 0 && t[n - 1] == 0 && strstr(t, "procfs"));
	t = slurp("/proc/self/comm", NULL);
	STR("comm", t ? t : "", "procfs\n");
	t = slurp("/proc/self/environ", &n);
	OK("environ", t != NULL);
	t = slurp("/proc/self/auxv", &n);
	OK("auxv", t && n % 16 == 0 && n > 160);
	OK("mounts", (t = slurp("/proc/self/mounts", NULL)) && strstr(t, " / "));
	OK("mountinfo", (t = slurp("/proc/self/mountinfo", NULL)) && strstr(t, " / "));
	OK("limits", (t = slurp("/proc/self/limits", NULL)) && strstr(t, "Max open files"));
	int fd = open("/dev/null", O_RDONLY);
	char path[64];
	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	memset(b, 0, sizeof b);
	readlink(path, b, sizeof b - 1);
	STR("fd link", b, "/dev/null");
	OK("fd opens", close(open(path, O_RDONLY)) == 0);
	DIR *d = opendir("/proc/self/fd");
	int found = 0;
	struct dirent *e;
	while (d && (e = readdir(d)))
		found += atoi(e->d_name) == fd;
	EQ("fd directory", found, 1);
	closedir(d);
	d = opendir("/proc/self/task");
	int tasks = 0;
	while (d && (e = readdir(d)))
		tasks += e->d_name[0] != '.';
	EQ("task directory", tasks, 1);
	closedir(d);
	int p2[2];
	MUST(pipe(p2));
	snprintf(path, sizeof path, "/proc/self/fd/%d", p2[0]);
	memset(b, 0, sizeof b);
	readlink(path, b, sizeof b - 1);
	OK("fd of a pipe", !strncmp(b, "pipe:[", 6));
	snprintf(path, sizeof path, "/proc/%d/status", getpid());
	OK("by process id", access(path, R_OK) == 0);
	FAILS("no such process", access("/proc/99999999", F_OK), ENOENT);
	FAILS("proc is not writable", open("/proc/new", O_CREAT | O_WRONLY, 0600), ENOENT);
	OK("/proc/self is a link", readlink("/proc/self", b, sizeof b) > 0 && atoi(b) == getpid());
	OK("cwd", readlink("/proc/self/cwd", b, sizeof b) > 0 && b[0] == '/');
	OK("root", readlink("/proc/self/root", b, sizeof b) == 1);
	fd = open("/proc/self/mem", O_RDONLY);
	long secret = 0x1234567, copy = 0;
	OK("mem", fd >= 0 && pread(fd, &copy, sizeof copy, (off_t)(uintptr_t)&secret) == sizeof copy && copy == secret);
	close(fd);
}

static void system_files(void)
{
	char *t = slurp("/proc/cpuinfo", NULL);
	int n = 0;
	for (char *c = t; c && (c = strstr(c, "processor\t:")); c++)
		n++;
	EQ("cpuinfo processors", n, sysconf(_SC_NPROCESSORS_ONLN));
	OK("cpuinfo flags", t && strstr(t, "flags\t\t:") && strstr(t, " sse2 "));
	t = slurp("/proc/meminfo", NULL);
	long total = 0, avail = 0;
	char *p;
	if (t && (p = strstr(t, "MemTotal:"))) sscanf(p, "MemTotal: %ld kB", &total);
	if (t && (p = strstr(t, "MemAvailable:"))) sscanf(p, "MemAvailable: %ld kB", &avail);
	OK("meminfo", total > 0 && avail > 0 && avail <= total);
	double up = 0, idle = 0;
	OK("uptime", (t = slurp("/proc/uptime", NULL)) && sscanf(t, "%lf %lf", &up, &idle) == 2 && up > 0);
	OK("stat", (t = slurp("/proc/stat", NULL)) && !strncmp(t, "cpu ", 4) && strstr(t, "\ncpu0 ") && strstr(t, "\nbtime "));
	OK("loadavg", (t = slurp("/proc/loadavg", NULL)) && strchr(t, '/'));
	OK("version", (t = slurp("/proc/version", NULL)) && !strncmp(t, "Linux version ", 14));
	OK("filesystems", (t = slurp("/proc/filesystems", NULL)) && strstr(t, "nodev\ttmpfs"));
	OK("mounts", (t = slurp("/proc/mounts", NULL)) && strstr(t, " /proc proc "));
	OK("overcommit_memory", (t = slurp("/proc/sys/vm/overcommit_memory", NULL)) && t[0] >= '0' && t[0] <= '2');
	OK("ostype", (t = slurp("/proc/sys/kernel/ostype", NULL)) && !strcmp(t, "Linux\n"));
	OK("osrelease", slurp("/proc/sys/kernel/osrelease", NULL) != NULL);
	OK("hostname", slurp("/proc/sys/kernel/hostname", NULL) != NULL);
	OK("pid_max", (t = slurp("/proc/sys/kernel/pid_max", NULL)) && atoi(t) >= 1024);
	OK("boot_id", (t = slurp("/proc/sys/kernel/random/boot_id", NULL)) && strlen(t) == 37);
	OK("cpu online", (t = slurp("/sys/devices/system/cpu/online", NULL)) && t[0] == '0');
	OK("cpu possible", slurp("/sys/devices/system/cpu/possible", NULL) != NULL);
	OK("cpu0", access("/sys/devices/system/cpu/cpu0", F_OK) == 0);
	char b[128] = "";
	OK("/dev/fd", readlink("/dev/fd", b, 127) > 0 && !strcmp(b, "/proc/self/fd"));
	const char *names[] = {"/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/tty"};
	int devices = 0;
	for (int i = 0; i < 6; i++) {
		struct stat st;
		devices += stat(names[i], &st) == 0 && S_ISCHR(st.st_mode);
	}
	EQ("devices", devices, 6);
	struct stat st;
	OK("/dev/stdout", stat("/dev/stdout", &st) == 0);
}

static void controls(void)
{
	int fd = open("/proc/self/exe", O_RDONLY), n = 0, p[2];
	struct termios t;
	struct winsize w;
	FAILS("TCGETS on a file", tcgetattr(fd, &t), ENOTTY);
	FAILS("TIOCGWINSZ on a file", ioctl(fd, TIOCGWINSZ, &w), ENOTTY);
	FAILS("unknown ioctl", ioctl(fd, 0x12345678, &n), ENOTTY);
	EQ("isatty", isatty(fd), 0);
	MUST(pipe(p));
	FAILS("TCGETS on a pipe", tcgetattr(p[0], &t), ENOTTY);
	n = 1;
	EQ("FIONBIO", ioctl(p[0], FIONBIO, &n), 0);
	EQ("FIONBIO sets O_NONBLOCK", fcntl(p[0], F_GETFL) & O_NONBLOCK, O_NONBLOCK);
	EQ("FIOCLEX", ioctl(p[0], FIOCLEX), 0);
	EQ("FIOCLEX sets FD_CLOEXEC", fcntl(p[0], F_GETFD), FD_CLOEXEC);
	EQ("FIONCLEX", ioctl(p[0], FIONCLEX), 0);
	FAILS("ioctl closed", ioctl(900, FIONREAD, &n), EBADF);
	FAILS("ioctl bad address", ioctl(p[0], FIONREAD, 8), EFAULT);
	lseek(fd, 100, SEEK_SET);
	EQ("FIONREAD of a file", ioctl(fd, FIONREAD, &n), 0);
	struct stat st;
	fstat(fd, &st);
	EQ("is what is left", n, st.st_size - 100);
}

int main(void)
{
	self();
	system_files();
	controls();
	done();
}
