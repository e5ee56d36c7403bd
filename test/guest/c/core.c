// Core files (core(5)): when there is one, and what is in it.
#include "check.h"
#include <elf.h>
#include <sys/procfs.h>
#include <sys/resource.h>
#include <sys/wait.h>

// What the host does with core files is its own affair: unless it is the default,
// nothing is checked.
static int usual;

#define CORE(name, condition) ({ if (usual) OK(name, condition); else skip(name, "core_pattern is not core"); })

static int status;
static char marker[4096 * 3] __attribute__((aligned(4096))) = "marker";
static volatile long *bad = (long *)16;
static pthread_barrier_t barrier;

__attribute__((noinline)) static void crash(void *arg)
{
	*bad = (long)arg;
}

static void *sleeper(void *arg)
{
	pthread_barrier_wait(&barrier);
	pause();
	return arg;
}

// secret writes a word that is nowhere else in memory.
static void secret(volatile char *p)
{
	for (int i = 0; i < 7; i++)
		p[i] = "tfdsfu\1"[i] - 1;
}

static void threads(void *arg)
{
	pthread_t t;
	pthread_barrier_init(&barrier, NULL, 3);
	pthread_create(&t, NULL, sleeper, NULL);
	pthread_create(&t, NULL, sleeper, NULL);
	pthread_barrier_wait(&barrier);
	char *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	secret(p);
	madvise(p, 4096, MADV_DONTDUMP);
	crash(arg);
}

static void aborts(void *arg) { (void)arg, abort(); }
static void terms(void *arg) { raise((long)arg); }

// dies runs f in a child with a limit for its core file.
static pid_t dies(void (*f)(void *), void *arg, rlim_t limit)
{
	fflush(stdout);
	pid_t p = MUST(fork());
	if (p == 0) {
		struct rlimit r = {limit, limit};
		setrlimit(RLIMIT_CORE, &r);
		f(arg);
		_exit(0);
	}
	waitpid(p, &status, 0);
	return p;
}

static unsigned char *file;
static size_t size;

static int load(const char *path)
{
	struct stat st;
	int fd = open(path, O_RDONLY);
	if (fd < 0 || fstat(fd, &st) != 0)
		return 0;
	size = st.st_size;
	file = mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0);
	close(fd);
	return file != MAP_FAILED && size > sizeof(Elf64_Ehdr);
}

// note returns the n-th note of a type.
static void *note(unsigned type, int n, size_t *length)
{
	Elf64_Ehdr *e = (void *)file;
	Elf64_Phdr *p = (void *)(file + e->e_phoff);
	for (int i = 0; i < e->e_phnum; i++) {
		if (p[i].p_type != PT_NOTE)
			continue;
		for (size_t at = p[i].p_offset; at + sizeof(Elf64_Nhdr) <= p[i].p_offset + p[i].p_filesz;) {
			Elf64_Nhdr *h = (void *)(file + at);
			size_t desc = at + sizeof *h + (h->n_namesz + 3) / 4 * 4;
			if (h->n_type == type && n-- == 0) {
				*length = h->n_descsz;
				return file + desc;
			}
			at = desc + (h->n_descsz + 3) / 4 * 4;
		}
	}
	*length = 0;
	return NULL;
}

// segment returns the program header of an address.
static Elf64_Phdr *segment(unsigned long addr)
{
	Elf64_Ehdr *e = (void *)file;
	Elf64_Phdr *p = (void *)(file + e->e_phoff);
	for (int i = 0; i < e->e_phnum; i++)
		if (p[i].p_type == PT_LOAD && addr >= p[i].p_vaddr && addr < p[i].p_vaddr + p[i].p_memsz)
			return p + i;
	return NULL;
}

static int holds_secret(void)
{
	char word[7];
	secret(word);
	return memmem(file, size, word, 7) != NULL;
}

static void content(pid_t pid)
{
	static char empty[8192];
	if (!usual || !load("core")) {
		usual = 0;
		file = (void *)empty;
		size = sizeof empty;
	}
	Elf64_Ehdr *e = (void *)file;
	CORE("ELF", !memcmp(e->e_ident, ELFMAG, SELFMAG));
	CORE("ET_CORE", e->e_type == ET_CORE && e->e_machine == EM_X86_64);
	size_t n;
	struct elf_prstatus *s = note(NT_PRSTATUS, 0, &n);
	CORE("NT_PRSTATUS", s && n == sizeof *s && s->pr_pid == pid && s->pr_cursig == SIGSEGV);
	unsigned long *r = s ? (void *)s->pr_reg : NULL;
	CORE("rip in crash", r && r[16] >= (unsigned long)crash && r[16] < (unsigned long)crash + 64);
	CORE("its own memory", r && segment(r[19]) && segment(r[19])->p_filesz > 0);
	s = note(NT_PRSTATUS, 2, &n);
	CORE("three threads", s && s->pr_pid > 0 && s->pr_pid != pid);
	CORE("not four", !note(NT_PRSTATUS, 3, &n));
	struct elf_prpsinfo *i = note(NT_PRPSINFO, 0, &n);
	CORE("NT_PRPSINFO", i && n == sizeof *i && i->pr_pid == pid && strstr(i->pr_fname, "core"));
	siginfo_t *si = note(0x53494749, 0, &n);
	CORE("NT_SIGINFO", si && n == sizeof *si && si->si_signo == SIGSEGV && si->si_addr == (void *)16);
	Elf64_auxv_t *a = note(NT_AUXV, 0, &n);
	CORE("NT_AUXV", a && n > 10 * sizeof *a && a[n / sizeof *a - 1].a_type == AT_NULL);
	unsigned long *f = note(0x46494c45, 0, &n);
	CORE("NT_FILE", f && f[0] >= 1 && f[1] == 4096 && f[2] < f[3]);
	CORE("NT_FPREGSET", note(NT_FPREGSET, 2, &n) && n == 512);
	Elf64_Phdr *p = segment((unsigned long)marker);
	CORE("data", p && p->p_filesz == p->p_memsz);
	CORE("written data", p && p->p_filesz && !strcmp((char *)file + p->p_offset + ((unsigned long)marker - p->p_vaddr), "this child's"));
	CORE("all of it", p && p->p_filesz && !strcmp((char *)file + p->p_offset + ((unsigned long)marker + 8192 - p->p_vaddr), "last page"));
	p = segment((unsigned long)content);
	CORE("text is in the executable", p && p->p_filesz <= 4096 && p->p_flags == (PF_R | PF_X));
	CORE("MADV_DONTDUMP", !holds_secret());
	CORE("whole", e->e_phnum > 3 && ({ Elf64_Phdr *q = (Elf64_Phdr *)(file + e->e_phoff) + e->e_phnum - 1; q->p_offset + q->p_filesz <= size; }));
}

static void undumpable(void *arg)
{
	syscall(SYS_prctl, 4, 0, 0, 0, 0); // PR_SET_DUMPABLE
	crash(arg);
}

int main(void)
{
	usual = !strcmp(get("/proc/sys/kernel/core_pattern"), "core\n") && !strcmp(get("/proc/sys/kernel/core_uses_pid"), "0\n");
	work_dir();
	strcpy(marker, "this child's");
	strcpy(marker + 8192, "last page");
	dies(crash, NULL, 0);
	EQ("no core", status, SIGSEGV);
	OK("no file", access("core", F_OK) != 0);
	dies(terms, (void *)SIGTERM, RLIM_INFINITY);
	EQ("SIGTERM dumps nothing", status, SIGTERM);
	OK("no file", access("core", F_OK) != 0);
	dies(undumpable, NULL, RLIM_INFINITY);
	CORE("not dumpable", status == SIGSEGV && access("core", F_OK) != 0);

	pid_t p = dies(threads, NULL, RLIM_INFINITY);
	CORE("dumped", status == (SIGSEGV | 0x80));
	CORE("WCOREDUMP", WCOREDUMP(status));
	struct stat st = {0};
	CORE("file", stat("core", &st) == 0 && (st.st_mode & 07777) == 0600);
	content(p);

	unlink("core");
	siginfo_t si = {0};
	fflush(stdout);
	p = fork();
	if (p == 0) {
		struct rlimit r = {RLIM_INFINITY, RLIM_INFINITY};
		setrlimit(RLIMIT_CORE, &r);
		aborts(NULL);
	}
	waitid(P_PID, p, &si, WEXITED);
	CORE("CLD_DUMPED", si.si_code == CLD_DUMPED && si.si_status == SIGABRT);
	CORE("another file", access("core", F_OK) == 0);
	put("core", "somebody's");
	chmod("core", 0644);
	dies(crash, NULL, RLIM_INFINITY);
	CORE("another file is replaced", WCOREDUMP(status) && stat("core", &st) == 0 && (st.st_mode & 07777) == 0600);
	unlink("core");
	symlink("elsewhere", "core");
	dies(crash, NULL, RLIM_INFINITY);
	CORE("a link too", WCOREDUMP(status) && access("elsewhere", F_OK) != 0);
	unlink("core");
	mkdir("core", 0700);
	dies(crash, NULL, RLIM_INFINITY);
	CORE("a directory", status == SIGSEGV);
	rmdir("core");
	dies(crash, NULL, 4096 * 4);
	CORE("a limit", stat("core", &st) == 0 && st.st_size <= 4096 * 4);
	unlink("core");
	dies(crash, NULL, 100);
	CORE("too little", status == SIGSEGV && access("core", F_OK) != 0);
	EQ("coredump_filter", strlen(get("/proc/self/coredump_filter")), 9);
	done();
}
