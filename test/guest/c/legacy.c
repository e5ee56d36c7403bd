// What old programs of x86-64 lean on: the vsyscall page, which may be called and not read (Linux's vsyscall=xonly), and
// the instructions that UMIP forbids and Linux does in their place (arch/x86/kernel/umip.c).
#include "check.h"
#include <asm/prctl.h>
#include <cpuid.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <setjmp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <ucontext.h>

#define PAGE_ 0xffffffffff600000UL

static sigjmp_buf env;
static siginfo_t info;
static long err, trapno, cr2;
static void on_fault(int s, siginfo_t *i, void *c)
{
	(void)s;
	ucontext_t *u = c;
	info = *i;
	err = u->uc_mcontext.gregs[REG_ERR];
	trapno = u->uc_mcontext.gregs[REG_TRAPNO];
	cr2 = u->uc_mcontext.gregs[REG_CR2];
	siglongjmp(env, 1);
}

// code says with which si_code f ends, 0 without a signal.
#define CODE(statement) ({ \
	info.si_code = info.si_signo = 0; \
	if (sigsetjmp(env, 1) == 0) { \
		statement; \
	} \
	info.si_code; })

static unsigned long target;
static void redirects(int s, siginfo_t *i, void *c)
{
	(void)s;
	(void)i;
	((ucontext_t *)c)->uc_mcontext.gregs[REG_RIP] = target;
}

// returns makes sigreturn go to an address, as a function would be called there.
static long returns(unsigned long address)
{
	long rax;
	target = address;
	__asm__ volatile("xor %%edi, %%edi; lea -128(%%rsp), %%rsp; lea 1f(%%rip), %%rax; push %%rax; ud2; 1: lea 128(%%rsp), %%rsp"
		: "=&a"(rax) :: "rdi", "rsi", "rcx", "r11", "memory");
	return rax;
}

static void jumps(void)
{
	struct sigaction sa = {.sa_sigaction = redirects, .sa_flags = SA_SIGINFO};
	sigaction(SIGILL, &sa, NULL);
	long t = returns(PAGE_ + 1024);
	OK("sigreturn to the page", t > 1000000000 && time(NULL) - t < 100);
	EQ("sigreturn into the kernel", CODE(returns(0xffffffff81000000)), SEGV_MAPERR);
	OK("is a fetch that failed", trapno == 14 && err == 0x15 && cr2 == (long)0xffffffff81000000);
	EQ("sigreturn to no address", CODE(returns(0x800000000000)), SI_KERNEL);
	OK("is a general protection fault", trapno == 13 && err == 0);
	EQ("sigreturn to the guard page", CODE(returns(0x7ffffffff000)), SEGV_MAPERR);
	OK("is a fetch as well", trapno == 14 && err == 0x15 && cr2 == 0x7ffffffff000);
}

static void calls(void)
{
	long (*gettimeofday_)(struct timeval *, struct timezone *) = (void *)PAGE_;
	long (*time_)(time_t *) = (void *)(PAGE_ + 1024);
	long (*getcpu_)(unsigned *, unsigned *, void *) = (void *)(PAGE_ + 2048);
	struct timeval tv = {0}, now;
	struct timezone tz = {77, 77};
	EQ("gettimeofday", gettimeofday_(&tv, &tz), 0);
	gettimeofday(&now, NULL);
	OK("tells the time", now.tv_sec - tv.tv_sec >= 0 && now.tv_sec - tv.tv_sec < 100 && tv.tv_usec < 1000000);
	OK("and the time zone", tz.tz_minuteswest == 0 && tz.tz_dsttime == 0);
	EQ("gettimeofday of nothing", gettimeofday_(NULL, NULL), 0);
	time_t t = 0;
	long r = time_(&t);
	OK("time", r == t && t >= tv.tv_sec && t - tv.tv_sec < 100);
	OK("time without a pointer", time_(NULL) >= t);
	unsigned cpu = 9999, node = 9999;
	EQ("getcpu", getcpu_(&cpu, &node, (void *)1), 0);
	OK("tells CPU and node", cpu < 4096 && node < 4096);
	// The registers stay, but for what a call may change.
	long rbx = 1, rdx = 42;
	__asm__ volatile("xor %%edi, %%edi; xor %%esi, %%esi; call *%2" : "+b"(rbx), "+d"(rdx) : "r"(PAGE_ + 2048) : "rax", "rcx", "rdi", "rsi", "r11", "memory");
	OK("registers", rbx == 1 && rdx == 42);

	EQ("a bad pointer", CODE(gettimeofday_((void *)8, NULL)), SI_KERNEL);
	EQ("a pointer into the kernel", CODE(time_((void *)0xffff880000000000)), SEGV_MAPERR);
	OK("is a write that failed", trapno == 14 && err == 6 && cr2 == (long)0xffff880000000000 && info.si_addr == (void *)cr2);
	EQ("a second pointer into the kernel", CODE(getcpu_(&cpu, (void *)-8, NULL)), SEGV_MAPERR);
	EQ("between the calls", CODE(((long (*)(void))(PAGE_ + 8))()), SI_KERNEL);
	EQ("after the calls", CODE(((long (*)(void))(PAGE_ + 3072))()), SI_KERNEL);
	EQ("reading the page", CODE((void)*(volatile char *)PAGE_), SEGV_MAPERR);
	OK("is no access", trapno == 14 && err == 5 && cr2 == (long)PAGE_);
	EQ("writing the page", CODE(*(volatile char *)PAGE_ = 1), SEGV_MAPERR);
	OK("is no access either", trapno == 14 && err == 7);
	FAILS("nor for a system call", write(1, (void *)PAGE_, 1), EFAULT);

	FILE *f = fopen("/proc/self/smaps", "r");
	char line[300], last[300] = "";
	while (fgets(line, sizeof line, f))
		strcpy(last, line);
	fclose(f);
	STR("the last line of smaps", last, "VmFlags: ex \n");
	f = fopen("/proc/self/maps", "r");
	while (fgets(line, sizeof line, f))
		strcpy(last, line);
	fclose(f);
	STR("the last line of maps", last, "ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0                  [vsyscall]\n");
}

static int filtered(int action)
{
	fflush(stdout);
	pid_t child = fork();
	if (child == 0) {
		struct sock_filter code[] = {
			BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
			BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_time, 0, 1),
			BPF_STMT(BPF_RET | BPF_K, action),
			BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
		};
		struct sock_fprog prog = {4, code};
		prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
		if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog))
			_exit(99);
		long r = ((long (*)(time_t *))(PAGE_ + 1024))(NULL);
		_exit(r < 0 && r > -100 ? -r : 0);
	}
	int status;
	waitpid(child, &status, 0);
	return status;
}

struct table {
	uint16_t limit;
	uint64_t base;
} __attribute__((packed));

static int umip(void)
{
	unsigned a, b, c, d;
	return __get_cpuid_count(7, 0, &a, &b, &c, &d) && c >> 2 & 1;
}

static _Thread_local struct table in_tls;

static void instructions(void)
{
	struct table t[4];
	memset(t, 0x55, sizeof t);
	__asm__ volatile("sgdt %0" : "=m"(t[1]));
	OK("sgdt", t[1].limit == 0 && t[1].base == 0xfffffffffffe0000 && t[0].limit == 0x5555 && t[2].limit == 0x5555);
	__asm__ volatile("sidt %0" : "=m"(t[2]));
	OK("sidt", t[2].limit == 0 && t[2].base == 0xffffffffffff0000 && t[3].limit == 0x5555);
	unsigned long v = 0x1122334455667788, w = v;
	__asm__ volatile("smsw %q0" : "+r"(v));
	EQ("smsw, 64 bits", v, 0x80050033);
	v = w;
	__asm__ volatile("smsw %k0" : "+r"(v));
	EQ("smsw, 32 bits", v, 0x1122334480050033);
	v = w;
	__asm__ volatile("smsw %w0" : "+r"(v));
	EQ("smsw, 16 bits", v, 0x1122334455660033);
	v = w;
	__asm__ volatile("smsw %0" : "+m"(v));
	EQ("smsw to memory", v, 0x1122334455660033);
	v = w;
	__asm__ volatile("str %w0" : "+r"(v));
	EQ("str", v, 0x1122334455660040);
	v = w;
	__asm__ volatile("sldt %k0" : "+r"(v));
	EQ("sldt", v, 0x1122334400000000);
	v = w;
	register unsigned long r9 __asm__("r9") = w, r13 __asm__("r13") = (unsigned long)&v, r12 __asm__("r12") = 1;
	__asm__ volatile("smsw %k0" : "+r"(r9));
	EQ("smsw of r9", r9, 0x1122334480050033);
	__asm__ volatile("str (%1)" : "+m"(v) : "r"(r13));
	EQ("str to (r13)", v, 0x1122334455660040);
	__asm__ volatile("smsw -8(%1,%2,8)" : "+m"(v) : "r"(r13), "r"(r12));
	EQ("smsw to -8(r13,r12,8)", v, 0x1122334455660033);
	static struct table still;
	__asm__ volatile("sgdt %0" : "=m"(still)); // relative to RIP, or absolute
	EQ("sgdt of a static variable", still.base, 0xfffffffffffe0000);
	__asm__ volatile("sidt %0" : "=m"(in_tls)); // with FS
	EQ("sidt of a thread's variable", in_tls.base, 0xffffffffffff0000);
	unsigned long stack = w;
	__asm__ volatile("push %0; smsw (%%rsp); pop %0" : "+r"(stack));
	EQ("smsw to the stack", stack, 0x1122334455660033);
	char *edge = mmap(NULL, 8192, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	munmap(edge + 4096, 4096);
	memcpy(edge + 4096 - 4, "\x0f\x01\xe0\xc3", 4); // smsw %eax; ret
	long e;
	__asm__ volatile("xor %%eax, %%eax; call *%1" : "=&a"(e) : "r"(edge + 4096 - 4) : "memory");
	EQ("at the end of an area", e, 0x80050033);
	EQ("to where nothing is", CODE(__asm__ volatile("sgdt (%0)" :: "r"(4096L) : "memory")), SEGV_MAPERR);
	OK("is a write that failed as well", trapno == 14 && err == 6 && cr2 == 4096 && info.si_addr == (void *)4096);
	EQ("lgdt is not done", CODE(__asm__ volatile("lgdt %0" :: "m"(t[0]))), SI_KERNEL);
	EQ("nor is hlt", CODE(__asm__ volatile("hlt")), SI_KERNEL);
	OK("which is a general protection fault", trapno == 13 && err == 0);
}

int main(void)
{
	struct sigaction sa = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_NODEFER};
	sigaction(SIGSEGV, &sa, NULL);
	calls();
	jumps();
	EQ("a filter answers", filtered(SECCOMP_RET_ERRNO | 13), 13 << 8);
	EQ("a filter kills", filtered(SECCOMP_RET_KILL_PROCESS) & 0x7f, SIGSYS);
	EQ("a filter allows", filtered(SECCOMP_RET_ALLOW), 0);
	if (umip())
		instructions();
	else
		skip("the instructions of UMIP", "needs a CPU with UMIP");
	done();
}
