// What a process knows of itself and its machine: auxiliary vector, identity,
// limits, names, scheduling, randomness.
#include "check.h"
#include <elf.h>
#include <linux/membarrier.h>
#include <sys/auxv.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>

extern char **environ;

static void vector(void)
{
	EQ("AT_PAGESZ", getauxval(AT_PAGESZ), 4096);
	EQ("AT_CLKTCK", getauxval(AT_CLKTCK), 100);
	EQ("AT_UID", getauxval(AT_UID), getuid());
	EQ("AT_EUID", getauxval(AT_EUID), geteuid());
	EQ("AT_SECURE", getauxval(AT_SECURE), 0);
	OK("AT_PHDR", getauxval(AT_PHDR) != 0);
	EQ("AT_PHENT", getauxval(AT_PHENT), sizeof(Elf64_Phdr));
	OK("AT_PHNUM", getauxval(AT_PHNUM) > 2);
	OK("AT_ENTRY", getauxval(AT_ENTRY) != 0);
	OK("AT_HWCAP", getauxval(AT_HWCAP) != 0);
	STR("AT_PLATFORM", (char *)getauxval(AT_PLATFORM), "x86_64");
	OK("AT_EXECFN", strstr((char *)getauxval(AT_EXECFN), "process") != NULL);
	unsigned char *r = (unsigned char *)getauxval(AT_RANDOM);
	int bits = 0;
	for (int i = 0; i < 16; i++)
		bits |= r[i];
	OK("AT_RANDOM", bits != 0);
	unsigned char *vdso = (unsigned char *)getauxval(AT_SYSINFO_EHDR);
	OK("vDSO", vdso && !memcmp(vdso, ELFMAG, SELFMAG));
	const Elf64_Phdr *p = (void *)getauxval(AT_PHDR);
	int loads = 0;
	for (unsigned long i = 0; i < getauxval(AT_PHNUM); i++)
		loads += p[i].p_type == PT_LOAD;
	OK("program headers", loads >= 1);
	OK("environment", environ != NULL);
	long here = 0;
	__asm__("mov %%rsp,%0" : "=r"(here));
	OK("stack in the lower half", (unsigned long)here < 0x800000000000);
}

static void identity(void)
{
	OK("getpid", getpid() > 0);
	OK("getppid", getppid() >= 0);
	EQ("gettid", gettid(), getpid());
	OK("getpgid", getpgid(0) == getpgrp());
	OK("getsid", getsid(0) >= 0);
	FAILS("getpgid nobody", getpgid(99999999), ESRCH);
	uid_t r, e, s;
	EQ("getresuid", getresuid(&r, &e, &s), 0);
	OK("same ids", r == getuid() && e == geteuid());
	gid_t g[64];
	OK("getgroups", getgroups(64, g) >= 0);
	EQ("setuid own", setuid(getuid()), 0);
	EQ("setregid own", setregid(-1, -1), 0);
	char name[32];
	EQ("PR_SET_NAME", prctl(PR_SET_NAME, "a-name-longer-than-fifteen"), 0);
	EQ("PR_GET_NAME", prctl(PR_GET_NAME, name), 0);
	STR("name cut to 15", name, "a-name-longer-t");
	EQ("PR_GET_DUMPABLE", prctl(PR_GET_DUMPABLE), 1);
	EQ("PR_SET_PDEATHSIG", prctl(PR_SET_PDEATHSIG, 0), 0);
	EQ("PR_SET_NO_NEW_PRIVS", prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
	EQ("PR_GET_NO_NEW_PRIVS", prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0), 1);
	FAILS("prctl unknown", prctl(99999), EINVAL);
}

static void machine(void)
{
	struct utsname u;
	EQ("uname", uname(&u), 0);
	STR("sysname", u.sysname, "Linux");
	STR("machine", u.machine, "x86_64");
	int major = 0, minor = 0;
	OK("release", sscanf(u.release, "%d.%d", &major, &minor) == 2 && major >= 5);
	FAILS("uname bad address", syscall(SYS_uname, 8), EFAULT);
	struct sysinfo s;
	EQ("sysinfo", sysinfo(&s), 0);
	OK("memory", s.totalram > 0 && s.freeram <= s.totalram && s.mem_unit >= 1);
	OK("procs", s.procs >= 1);
	OK("sysconf processors", sysconf(_SC_NPROCESSORS_ONLN) >= 1);
	EQ("sysconf page size", sysconf(_SC_PAGESIZE), 4096);
	OK("sysconf physical pages", sysconf(_SC_PHYS_PAGES) > 256);
	char host[256] = "";
	EQ("gethostname", gethostname(host, sizeof host), 0);
	OK("a host name", host[0] != 0);
	char a[64] = "", b[64] = "";
	EQ("getrandom", getrandom(a, 64, 0), 64);
	EQ("getrandom nonblock", getrandom(b, 64, GRND_NONBLOCK), 64);
	OK("differs", memcmp(a, b, 64) != 0);
	FAILS("getrandom flags", getrandom(a, 1, 0x1000), EINVAL);
	static char large[1 << 20];
	EQ("getrandom 1 MiB", getrandom(large, sizeof large, 0), sizeof large);
}

static void limits(void)
{
	struct rlimit r;
	EQ("RLIMIT_NOFILE", getrlimit(RLIMIT_NOFILE, &r), 0);
	OK("soft within hard", r.rlim_cur <= r.rlim_max && r.rlim_cur >= 64);
	struct rlimit small = {20, r.rlim_max};
	EQ("lower RLIMIT_NOFILE", setrlimit(RLIMIT_NOFILE, &small), 0);
	int fd, n = 0;
	while ((fd = open("/dev/null", O_RDONLY)) >= 0 && n < 100)
		n++;
	int error = errno;
	EQ("EMFILE", error, EMFILE);
	FAILS("dup2 beyond the limit", dup2(0, 20), EBADF);
	close(19);
	close(18);
	EQ("raise RLIMIT_NOFILE", setrlimit(RLIMIT_NOFILE, &r), 0);
	OK("open again", open("/dev/null", O_RDONLY) >= 0);
	small = (struct rlimit){10, 5};
	FAILS("soft above hard", setrlimit(RLIMIT_NOFILE, &small), EINVAL);
	FAILS("getrlimit unknown", getrlimit(99, &r), EINVAL);
	EQ("prlimit", prlimit(0, RLIMIT_STACK, NULL, &r), 0);
	getrlimit(RLIMIT_AS, &r);
	struct rlimit as = {1UL << 30, r.rlim_max};
	EQ("RLIMIT_AS", setrlimit(RLIMIT_AS, &as), 0);
	OK("mmap beyond RLIMIT_AS", mmap(NULL, 2UL << 30, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED && errno == ENOMEM);
	setrlimit(RLIMIT_AS, &r);
	signal(SIGXFSZ, SIG_IGN);
	getrlimit(RLIMIT_FSIZE, &r);
	struct rlimit fs = {100, r.rlim_max};
	setrlimit(RLIMIT_FSIZE, &fs);
	fd = MUST(memfd_create("x", 0));
	char b[200] = "";
	EQ("write up to RLIMIT_FSIZE", write(fd, b, 200), 100);
	FAILS("write beyond RLIMIT_FSIZE", write(fd, b, 1), EFBIG);
	setrlimit(RLIMIT_FSIZE, &r);
	struct rusage ru;
	EQ("getrusage", getrusage(RUSAGE_SELF, &ru), 0);
	OK("maximum resident size", ru.ru_maxrss > 0);
	EQ("getrusage thread", getrusage(RUSAGE_THREAD, &ru), 0);
	FAILS("getrusage unknown", getrusage(99, &ru), EINVAL);
	errno = 0;
	EQ("getpriority", getpriority(PRIO_PROCESS, 0) == -1 && errno, 0);
}

static void scheduling(void)
{
	cpu_set_t set;
	EQ("sched_getaffinity", sched_getaffinity(0, sizeof set, &set), 0);
	int n = CPU_COUNT(&set);
	EQ("as many as are online", n, sysconf(_SC_NPROCESSORS_ONLN));
	int first = 0;
	while (!CPU_ISSET(first, &set))
		first++;
	cpu_set_t one;
	CPU_ZERO(&one);
	CPU_SET(first, &one);
	EQ("sched_setaffinity", sched_setaffinity(0, sizeof one, &one), 0);
	EQ("sched_getcpu", sched_getcpu(), first);
	EQ("now one", ({ cpu_set_t s; sched_getaffinity(0, sizeof s, &s); CPU_COUNT(&s); }), 1);
	CPU_ZERO(&one);
	FAILS("no processor", sched_setaffinity(0, sizeof one, &one), EINVAL);
	FAILS("affinity of nobody", sched_getaffinity(99999999, sizeof set, &set), ESRCH);
	FAILS("affinity small buffer", sched_getaffinity(0, 4, &set), EINVAL);
	sched_setaffinity(0, sizeof set, &set);
	EQ("sched_yield", sched_yield(), 0);
	EQ("policy", sched_getscheduler(0), SCHED_OTHER);
	struct sched_param p;
	EQ("sched_getparam", sched_getparam(0, &p), 0);
	EQ("priority range", sched_get_priority_max(SCHED_FIFO) - sched_get_priority_min(SCHED_FIFO), 98);
	EQ("getcpu", ({ unsigned c, node; syscall(SYS_getcpu, &c, &node, NULL); }), 0);
	OK("membarrier query", syscall(SYS_membarrier, MEMBARRIER_CMD_QUERY, 0, 0) >= 0);
	EQ("membarrier register", syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0), 0);
	EQ("membarrier", syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0), 0);
	FAILS("unknown system call", syscall(1999), ENOSYS);
	FAILS("negative system call", syscall(-1), ENOSYS);
	EQ("arch_prctl get FS", ({ unsigned long fs = 0; syscall(SYS_arch_prctl, 0x1003, &fs); fs != 0; }), 1);
	FAILS("arch_prctl kernel address", syscall(SYS_arch_prctl, 0x1002, 0xffff800000000000), EPERM);
	FAILS("arch_prctl unknown", syscall(SYS_arch_prctl, 0x9999, 0), EINVAL);
}

int main(int argc, char **argv)
{
	EQ("argc", argc, 1);
	OK("argv ends", argv[argc] == NULL);
	vector();
	identity();
	machine();
	limits();
	scheduling();
	done();
}
