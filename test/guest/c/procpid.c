// Files of /proc/PID that debuggers and accounting tools read.
#include "check.h"
#include <dirent.h>
#include <grp.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/wait.h>

static long field(const char *text, const char *name)
{
	const char *p = strstr(text, name);
	return p ? strtol(p + strlen(name), NULL, 10) : -1;
}

static void io(void)
{
	char b[1000];
	work_dir();
	memset(b, 'x', sizeof b);
	int fd = MUST(open("file", O_RDWR | O_CREAT, 0600));
	const char *was = get("/proc/self/io");
	long rchar = field(was, "rchar: "), wchar = field(was, "wchar: "), syscr = field(was, "syscr: "), syscw = field(was, "syscw: ");
	OK("io", rchar >= 0 && wchar >= 0 && syscr >= 0 && syscw >= 0);
	OK("io has the others", field(was, "read_bytes: ") >= 0 && field(was, "write_bytes: ") >= 0 && field(was, "cancelled_write_bytes: ") >= 0);
	fflush(stdout);
	const char *before = get("/proc/self/io");
	write(fd, b, 1000);
	pwrite(fd, b, 500, 0);
	write(-1, b, 10);
	struct iovec v[2] = {{b, 10}, {b, 20}};
	writev(fd, v, 2);
	pread(fd, b, 1000, 0);
	read(fd, b, 10);
	const char *after = get("/proc/self/io");
	long self = strlen(before);
	EQ("wchar", field(after, "wchar: ") - field(before, "wchar: "), 1530);
	EQ("syscw", field(after, "syscw: ") - field(before, "syscw: "), 3);
	EQ("rchar", field(after, "rchar: ") - field(before, "rchar: "), 1000 + self);
	EQ("syscr", field(after, "syscr: ") - field(before, "syscr: "), 3);
	fflush(stdout);
	before = get("/proc/self/io");
	off_t at = 0;
	int out = MUST(open("copy", O_WRONLY | O_CREAT, 0600));
	sendfile(out, fd, &at, 700);
	after = get("/proc/self/io");
	EQ("sendfile writes", field(after, "wchar: ") - field(before, "wchar: "), 700);
	close(out);
	close(fd);
	struct stat st;
	OK("io is private", stat("/proc/self/io", &st) == 0 && (st.st_mode & 07777) == 0400);
	char path[64];
	snprintf(path, sizeof path, "/proc/self/task/%d/io", getpid());
	OK("io of a thread", field(get(path), "rchar: ") > 0);
}

static void pagemap(void)
{
	uint64_t e[4] = {0};
	char *p = mmap(NULL, 4 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	p[0] = 1;
	p[2 * 4096] = 1;
	int fd = MUST(open("/proc/self/pagemap", O_RDONLY));
	EQ("pagemap", pread(fd, e, sizeof e, (uintptr_t)p / 4096 * 8), sizeof e);
	OK("pages that were touched", e[0] >> 63 == 1 && e[2] >> 63 == 1);
	OK("pages that were not", e[1] >> 63 == 0 && e[3] >> 63 == 0);
	OK("are exclusive", e[0] >> 56 & 1);
	OK("anonymous", !(e[0] >> 61 & 1));
	OK("root sees frames", (e[0] & ((1ULL << 55) - 1)) != 0 && (e[0] & ((1ULL << 55) - 1)) != (e[2] & ((1ULL << 55) - 1)));
	FAILS("a piece of an entry", pread(fd, e, 7, 0), EINVAL);
	FAILS("between entries", pread(fd, e, 8, 4), EINVAL);
	EQ("behind the end", pread(fd, e, 8, 1ULL << 40), 0);
	close(fd);
	char *s = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	s[0] = 1;
	fd = open("/proc/self/pagemap", O_RDONLY);
	pread(fd, e, 8, (uintptr_t)s / 4096 * 8);
	OK("shared memory", e[0] >> 63 == 1 && (e[0] >> 61 & 1));
	close(fd);
	fd = open("/proc/self/pagemap", O_WRONLY);
	FAILS("pagemap cannot be written", write(fd, e, 8), EINVAL);
	close(fd);
	munmap(p, 4 * 4096);
}

static void map_files(void)
{
	char b[PATH_MAX], path[128], want[PATH_MAX];
	int fd = MUST(open("file", O_RDWR | O_CREAT, 0600));
	MUST(ftruncate(fd, 8192));
	char *p = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	snprintf(path, sizeof path, "/proc/self/map_files/%lx-%lx", (long)p, (long)p + 8192);
	ssize_t n = readlink(path, b, sizeof b - 1);
	b[n < 0 ? 0 : n] = 0;
	STR("map_files names the file", b, realpath("file", want));
	struct stat st, f;
	OK("and leads to it", stat(path, &st) == 0 && fstat(fd, &f) == 0 && st.st_ino == f.st_ino && st.st_dev == f.st_dev);
	DIR *d = opendir("/proc/self/map_files");
	int found = 0, bad = 0;
	struct dirent *e;
	while (d && (e = readdir(d))) {
		unsigned long from, to;
		if (e->d_name[0] == '.')
			continue;
		found += strcmp(strrchr(path, '/') + 1, e->d_name) == 0;
		bad += sscanf(e->d_name, "%lx-%lx", &from, &to) != 2 || from >= to || e->d_type != DT_LNK;
	}
	closedir(d);
	OK("it is listed", found == 1 && bad == 0);
	munmap(p, 8192);
	FAILS("gone with the mapping", readlink(path, b, sizeof b), ENOENT);
	close(fd);
}

static void numa_maps(void)
{
	char *p = mmap(NULL, 3 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char want[64];
	mprotect(p, 4096, PROT_NONE); // an area of its own
	p[4096] = p[8192] = 1;
	snprintf(want, sizeof want, "%lx default anon=2 dirty=2 ", (long)p + 4096);
	static char text[1 << 16];
	int fd = open("/proc/self/numa_maps", O_RDONLY);
	if (fd < 0) {
		skip("numa_maps", "no CONFIG_NUMA");
	} else {
		size_t n = 0;
		ssize_t r;
		while ((r = read(fd, text + n, sizeof text - 1 - n)) > 0)
			n += r;
		close(fd);
		char *l = strstr(text, want);
		OK("numa_maps", l && strstr(l, " N0=2 ") && strstr(text, " file=") && strstr(text, " stack"));
	}
	munmap(p, 3 * 4096);
}

static void namespaces(void)
{
	static const char *names[] = {"cgroup", "ipc", "mnt", "net", "pid", "pid_for_children", "time", "time_for_children", "user", "uts"};
	for (unsigned i = 0; i < sizeof names / sizeof *names; i++) {
		char path[64], b[64], name[64];
		unsigned long ino = 0;
		struct stat st = {0};
		snprintf(path, sizeof path, "/proc/self/ns/%s", names[i]);
		ssize_t n = readlink(path, b, sizeof b - 1);
		b[n < 0 ? 0 : n] = 0;
		snprintf(name, sizeof name, "namespace %s", names[i]);
		char *p = strchr(b, '[');
		OK(name, p && sscanf(p, "[%lu]", &ino) == 1 && stat(path, &st) == 0 && st.st_ino == ino && !strncmp(b, names[i], 2));
	}
	int fd = open("/proc/self/ns/uts", O_RDONLY);
	char b[8];
	OK("a namespace opens", fd >= 0);
	FAILS("and cannot be read", read(fd, b, 8), EINVAL);
	EQ("NS_GET_NSTYPE", ioctl(fd, 0xb703), 0x04000000);
	FAILS("NS_GET_PARENT of what has no parents", ioctl(fd, 0xb702), EINVAL);
	close(fd);
	fd = open("/proc/self/ns/user", O_RDONLY);
	unsigned uid = 7;
	OK("NS_GET_OWNER_UID", ioctl(fd, 0xb704, &uid) == 0 && uid == 0);
	FAILS("the first has no parent", ioctl(fd, 0xb702), EPERM);
	close(fd);
}

static void timers(void)
{
	struct sigevent ev = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1, .sigev_value.sival_ptr = (void *)0x1234};
	timer_t id;
	MUST(timer_create(CLOCK_MONOTONIC, &ev, &id));
	char want[256];
	snprintf(want, sizeof want, "ID: 0\nsignal: 10/0000000000001234\nnotify: signal/pid.%d\nClockID: 1\n", getpid());
	STR("timers", get("/proc/self/timers"), want);
	timer_delete(id);
	STR("no timers", get("/proc/self/timers"), "");
	STR("timerslack_ns", get("/proc/self/timerslack_ns"), "50000\n");
	prctl(PR_SET_TIMERSLACK, 70000);
	STR("is prctl's", get("/proc/self/timerslack_ns"), "70000\n");
	put("/proc/self/timerslack_ns", "60000\n");
	EQ("can be written", prctl(PR_GET_TIMERSLACK), 60000);
	put("/proc/self/timerslack_ns", "0");
	EQ("0 is the default", prctl(PR_GET_TIMERSLACK), 50000);
}

static void others(void)
{
	char path[64], want[64];
	pid_t child = fork();
	if (child == 0) {
		pause();
		_exit(0);
	}
	snprintf(path, sizeof path, "/proc/self/task/%d/children", getpid());
	snprintf(want, sizeof want, "%d ", child);
	STR("children", get(path), want);
	snprintf(path, sizeof path, "/proc/%d/task/%d/children", child, child);
	STR("none", get(path), "");
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	OK("sched", strstr(get("/proc/self/sched"), "procpid (") && strstr(get("/proc/self/sched"), "nr_voluntary_switches"));
	STR("projid_map", get("/proc/self/projid_map"), get("/proc/self/uid_map"));
	OK("mountstats", strstr(get("/proc/self/mountstats"), " mounted on /proc with fstype proc\n"));
	put("/proc/self/oom_score_adj", "500");
	STR("oom_adj", get("/proc/self/oom_adj"), "8\n");
	put("/proc/self/oom_adj", "15");
	STR("the most", get("/proc/self/oom_score_adj"), "1000\n");
	put("/proc/self/oom_score_adj", "0");
	STR("personality", get("/proc/self/personality"), "00000000\n");
	FAILS("there is no file in fdinfo for a closed descriptor", open("/proc/self/fdinfo/999", O_RDONLY), ENOENT);
}

// The most memory that was in use is told when it is in use no more.
static void peaks(void)
{
	const size_t size = 16 << 20;
	const char *before = get("/proc/self/status");
	long size0 = field(before, "VmSize:"), rss0 = field(before, "VmRSS:");
	char *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	memset(p, 1, size);
	munmap(p, size);
	const char *after = get("/proc/self/status");
	OK("the memory is gone", field(after, "VmRSS:") < rss0 + 8192 && field(after, "VmSize:") < size0 + 8192);
	OK("VmHWM", field(after, "VmHWM:") >= 16384);
	OK("VmPeak", field(after, "VmPeak:") >= size0 + 16384);
	struct rusage r;
	getrusage(RUSAGE_SELF, &r);
	OK("ru_maxrss", r.ru_maxrss >= 16384);
	pid_t child = fork();
	if (child == 0) {
		struct rusage c;
		getrusage(RUSAGE_SELF, &c);
		_exit(c.ru_maxrss >= 16384 || field(get("/proc/self/status"), "VmHWM:") >= 16384);
	}
	int st;
	waitpid(child, &st, 0);
	EQ("a child starts anew", st, 0);
}

static long spent(void)
{
	long user = 0, nice = 0, system = 0;
	sscanf(get("/proc/stat"), "cpu %ld %ld %ld", &user, &nice, &system);
	return user + nice + system;
}

// What children used that nobody waits for stays in /proc/stat.
static void times_stay(void)
{
	long before = spent();
	signal(SIGCHLD, SIG_IGN);
	pid_t child = fork();
	if (child == 0) {
		while (clock() < CLOCKS_PER_SEC * 3 / 10)
			;
		_exit(0);
	}
	while (waitpid(child, NULL, 0) != -1)
		;
	signal(SIGCHLD, SIG_DFL);
	OK("times of a child that is gone", spent() - before >= 25);
}

// What another user may not read.
static void strangers(void)
{
	static const char *names[] = {"io", "pagemap", "map_files", "personality", "environ", "syscall", "mem"};
	char path[64];
	pid_t child = fork();
	if (child == 0) {
		int bad = 0;
		setgroups(0, NULL);
		setresgid(99, 99, 99);
		setresuid(99, 99, 99);
		for (unsigned i = 0; i < sizeof names / sizeof *names; i++) {
			snprintf(path, sizeof path, "/proc/%d/%s", getppid(), names[i]);
			bad |= (open(path, O_RDONLY) != -1 || errno != EACCES) << i;
		}
		snprintf(path, sizeof path, "/proc/%d/ns/pid", getppid());
		bad |= (readlink(path, path, 10) != -1 || errno != EACCES) << 7;
		_exit(bad);
	}
	int st;
	waitpid(child, &st, 0);
	EQ("another user", st >> 8, 0);
}

int main(void)
{
	io();
	pagemap();
	map_files();
	numa_maps();
	namespaces();
	timers();
	others();
	peaks();
	times_stay();
	strangers();
	done();
}
