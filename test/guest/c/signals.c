// Signals: handlers, masks, information, stacks, restarts, order.
#include "check.h"
#include <setjmp.h>
#include <sys/ucontext.h>

static volatile int count, last_code, last_value, last_pid, depth, max_depth;
static volatile int order[32], order_n;
static void *volatile frame_address;

static void handler(int s) { (void)s; count++; }

static void info_handler(int s, siginfo_t *info, void *context)
{
	(void)s;
	(void)context;
	count++;
	last_code = info->si_code;
	last_value = info->si_value.sival_int;
	last_pid = info->si_pid;
	if (order_n < 32)
		order[order_n++] = s * 100 + info->si_value.sival_int;
}

static void nests(int s)
{
	if (++depth > max_depth)
		max_depth = depth;
	if (s == SIGUSR1)
		raise(SIGUSR2);
	depth--;
}

static void where(int s)
{
	(void)s;
	char here;
	__asm__("" : "=r"(frame_address) : "0"(&here));
}

static void install(int s, void (*f)(int), int flags)
{
	struct sigaction sa = {.sa_handler = f, .sa_flags = flags};
	MUST(sigaction(s, &sa, NULL));
}

static void install_info(int s, int flags)
{
	struct sigaction sa = {.sa_sigaction = info_handler, .sa_flags = SA_SIGINFO | flags};
	MUST(sigaction(s, &sa, NULL));
}

static void basics(void)
{
	struct sigaction old;
	install(SIGUSR1, handler, 0);
	EQ("raise", raise(SIGUSR1), 0);
	EQ("handler ran", count, 1);
	EQ("sigaction reads", sigaction(SIGUSR1, NULL, &old), 0);
	OK("old handler", old.sa_handler == handler);
	EQ("kill self", kill(getpid(), SIGUSR1), 0);
	EQ("ran before kill returned", count, 2);
	EQ("tgkill", tgkill(getpid(), gettid(), SIGUSR1), 0);
	EQ("ran again", count, 3);
	EQ("kill 0", kill(getpid(), 0), 0);
	FAILS("kill bad signal", kill(getpid(), 65), EINVAL);
	FAILS("kill nobody", kill(99999999, SIGUSR1), ESRCH);
	FAILS("handler for SIGKILL", ({ struct sigaction sa = {.sa_handler = handler}; sigaction(SIGKILL, &sa, NULL); }), EINVAL);
	FAILS("sigaction size", syscall(SYS_rt_sigaction, SIGUSR1, NULL, NULL, 4), EINVAL);
	install(SIGUSR1, handler, SA_RESETHAND);
	raise(SIGUSR1);
	sigaction(SIGUSR1, NULL, &old);
	OK("SA_RESETHAND", old.sa_handler == SIG_DFL);
	signal(SIGUSR1, SIG_IGN);
	EQ("ignored", raise(SIGUSR1), 0);
	EQ("default of SIGCHLD is to ignore", raise(SIGCHLD), 0);
	EQ("default of SIGURG too", raise(SIGURG), 0);
	EQ("and SIGWINCH", raise(SIGWINCH), 0);

	install_info(SIGUSR1, 0);
	kill(getpid(), SIGUSR1);
	EQ("si_code of kill", last_code, SI_USER);
	EQ("si_pid of kill", last_pid, getpid());
	raise(SIGUSR1);
	EQ("si_code of tgkill", last_code, SI_TKILL);
	union sigval v = {.sival_int = 99};
	EQ("sigqueue", sigqueue(getpid(), SIGUSR1, v), 0);
	EQ("si_code of sigqueue", last_code, SI_QUEUE);
	EQ("si_value", last_value, 99);
}

static void masks(void)
{
	sigset_t set, old, pending;
	count = 0;
	install_info(SIGUSR1, 0);
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	EQ("block", sigprocmask(SIG_BLOCK, &set, &old), 0);
	raise(SIGUSR1);
	raise(SIGUSR1);
	EQ("blocked", count, 0);
	sigpending(&pending);
	EQ("pending", sigismember(&pending, SIGUSR1), 1);
	EQ("unblock", sigprocmask(SIG_UNBLOCK, &set, NULL), 0);
	EQ("a standard signal comes once", count, 1);
	sigpending(&pending);
	EQ("no longer pending", sigismember(&pending, SIGUSR1), 0);
	FAILS("sigprocmask how", sigprocmask(77, &set, NULL), EINVAL);
	FAILS("sigprocmask size", syscall(SYS_rt_sigprocmask, SIG_BLOCK, &set, NULL, 16), EINVAL);
	sigset_t all;
	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, NULL);
	sigset_t cur;
	sigprocmask(SIG_BLOCK, NULL, &cur);
	EQ("SIGKILL cannot be blocked", sigismember(&cur, SIGKILL), 0);
	sigprocmask(SIG_SETMASK, &old, NULL);

	// Real-time signals queue, and lower numbers come first.
	int rt = SIGRTMIN + 1;
	sigemptyset(&set);
	for (int i = 0; i < 3; i++) {
		sigaddset(&set, rt + i);
		install_info(rt + i, 0);
		struct sigaction sa;
		sigaction(rt + i, NULL, &sa);
		sigaddset(&sa.sa_mask, rt);
		sigaddset(&sa.sa_mask, rt + 1);
		sigaddset(&sa.sa_mask, rt + 2);
		sigaction(rt + i, &sa, NULL);
	}
	sigprocmask(SIG_BLOCK, &set, NULL);
	order_n = 0;
	for (int i = 0; i < 3; i++) {
		sigqueue(getpid(), rt + 2, (union sigval){.sival_int = i});
		sigqueue(getpid(), rt, (union sigval){.sival_int = i});
		sigqueue(getpid(), rt + 1, (union sigval){.sival_int = i});
	}
	sigprocmask(SIG_UNBLOCK, &set, NULL);
	EQ("real-time signals all come", order_n, 9);
	int sorted = 1;
	for (int i = 0; i < 9; i++)
		sorted &= order[i] == (rt + i / 3) * 100 + i % 3;
	// All nine were pending: handlers are set up for the lowest first, each blocking the others.
	OK("lowest number first, then in order", sorted);

	struct sigaction sa = {.sa_handler = nests};
	sigaction(SIGUSR1, &sa, NULL);
	sigaction(SIGUSR2, &sa, NULL);
	raise(SIGUSR1);
	EQ("handlers nest", max_depth, 2);
	max_depth = 0;
	sigaddset(&sa.sa_mask, SIGUSR2);
	sigaction(SIGUSR1, &sa, NULL);
	raise(SIGUSR1);
	EQ("sa_mask defers", max_depth, 1);
}

static void *signal_main(void *arg)
{
	sleep_ms(30);
	pthread_kill(*(pthread_t *)arg, SIGUSR1);
	return NULL;
}

static void waiting(void)
{
	sigset_t set, none, old;
	siginfo_t info;
	sigemptyset(&none);
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigprocmask(SIG_BLOCK, &set, &old);
	sigqueue(getpid(), SIGUSR1, (union sigval){.sival_int = 5});
	EQ("sigwaitinfo", sigwaitinfo(&set, &info), SIGUSR1);
	EQ("its value", info.si_value.sival_int, 5);
	struct timespec ts = {0, 20000000};
	FAILS("sigtimedwait times out", sigtimedwait(&set, &info, &ts), EAGAIN);
	int s;
	raise(SIGUSR1);
	EQ("sigwait", sigwait(&set, &s) == 0 && s == SIGUSR1, 1);
	pthread_t t, self = pthread_self();
	pthread_create(&t, NULL, signal_main, &self);
	EQ("sigwaitinfo waits", sigwaitinfo(&set, &info), SIGUSR1);
	pthread_join(t, NULL);
	count = 0;
	install(SIGUSR1, handler, 0);
	raise(SIGUSR1);
	FAILS("sigsuspend", sigsuspend(&none), EINTR);
	EQ("sigsuspend ran the handler", count, 1);
	sigset_t cur;
	sigprocmask(SIG_BLOCK, NULL, &cur);
	EQ("sigsuspend restores the mask", sigismember(&cur, SIGUSR1), 1);
	sigprocmask(SIG_SETMASK, &old, NULL);
	pthread_create(&t, NULL, signal_main, &self);
	FAILS("pause", pause(), EINTR);
	pthread_join(t, NULL);
	EQ("pause ran the handler", count, 2);
}

static void restarts(void)
{
	struct timespec ts = {5, 0}, left = {0, 0};
	pthread_t t, self = pthread_self();
	count = 0;
	install(SIGUSR1, handler, SA_RESTART);
	pthread_create(&t, NULL, signal_main, &self);
	FAILS("nanosleep is interrupted", nanosleep(&ts, &left), EINTR);
	OK("and says what is left", left.tv_sec == 4 && left.tv_nsec > 0);
	pthread_join(t, NULL);
	signal(SIGUSR1, SIG_IGN);
	pthread_create(&t, NULL, signal_main, &self);
	ts = (struct timespec){0, 100000000};
	int64_t t0 = now_ns(CLOCK_MONOTONIC);
	EQ("an ignored signal interrupts nothing", nanosleep(&ts, NULL), 0);
	OK("slept in full", now_ns(CLOCK_MONOTONIC) - t0 >= 100000000);
	pthread_join(t, NULL);
}

static void stacks(void)
{
	stack_t old, alt = {.ss_sp = malloc(65536), .ss_size = 65536};
	EQ("sigaltstack", sigaltstack(&alt, NULL), 0);
	install(SIGUSR1, where, SA_ONSTACK);
	raise(SIGUSR1);
	OK("runs on the alternate stack", (char *)frame_address >= (char *)alt.ss_sp && (char *)frame_address < (char *)alt.ss_sp + 65536);
	install(SIGUSR1, where, 0);
	raise(SIGUSR1);
	OK("runs on the normal stack", (char *)frame_address < (char *)alt.ss_sp || (char *)frame_address >= (char *)alt.ss_sp + 65536);
	EQ("sigaltstack reads", sigaltstack(NULL, &old), 0);
	OK("what was set", old.ss_sp == alt.ss_sp && old.ss_size == 65536);
	alt.ss_size = 100;
	FAILS("sigaltstack too small", sigaltstack(&alt, NULL), ENOMEM);
	alt.ss_flags = 12345;
	FAILS("sigaltstack flags", sigaltstack(&alt, NULL), EINVAL);
	alt = (stack_t){.ss_flags = SS_DISABLE};
	EQ("sigaltstack off", sigaltstack(&alt, NULL), 0);
}

static sigjmp_buf env;
static volatile int fault, fault_code, fault_trap;
static volatile uintptr_t fault_at;

static void on_fault(int s, siginfo_t *info, void *context)
{
	ucontext_t *u = context;
	fault = s;
	fault_code = info->si_code;
	fault_at = (uintptr_t)info->si_addr;
	fault_trap = u->uc_mcontext.gregs[REG_TRAPNO];
	siglongjmp(env, 1);
}

static void skip_instruction(int s, siginfo_t *info, void *context)
{
	(void)s;
	(void)info;
	((ucontext_t *)context)->uc_mcontext.gregs[REG_RIP] += 2; // ud2
	((ucontext_t *)context)->uc_mcontext.gregs[REG_RAX] = 77;
}

static void faults(void)
{
	struct sigaction sa = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO};
	int list[] = {SIGSEGV, SIGFPE, SIGILL, SIGTRAP, SIGBUS};
	for (int i = 0; i < 5; i++)
		sigaction(list[i], &sa, NULL);
	if (!sigsetjmp(env, 1))
		*(volatile int *)16 = 1;
	OK("SIGSEGV", fault == SIGSEGV && fault_code == SEGV_MAPERR && fault_at == 16 && fault_trap == 14);
	if (!sigsetjmp(env, 1))
		*(volatile int *)16 = 1;
	EQ("a second time", fault, SIGSEGV);
	if (!sigsetjmp(env, 1)) // in assembly: a compiler may compute 1/x without dividing
		__asm__ volatile("xor %%ecx,%%ecx; mov $1,%%eax; cltd; idivl %%ecx" ::: "eax", "ecx", "edx", "cc");
	OK("SIGFPE", fault == SIGFPE && fault_code == FPE_INTDIV && fault_at != 0);
	if (!sigsetjmp(env, 1))
		__asm__ volatile("ud2");
	OK("SIGILL", fault == SIGILL && fault_code == ILL_ILLOPN);
	if (!sigsetjmp(env, 1))
		__asm__ volatile("int3");
	OK("SIGTRAP", fault == SIGTRAP && fault_code == SI_KERNEL);
	if (!sigsetjmp(env, 1))
		__asm__ volatile("hlt");
	OK("privileged instruction", fault == SIGSEGV && fault_code == SI_KERNEL && fault_trap == 13);
	if (!sigsetjmp(env, 1))
		__asm__ volatile("mov %0, %%rax; mov (%%rax), %%rax" ::"r"(0x8000000000000000UL) : "rax");
	OK("non-canonical address", fault == SIGSEGV && fault_code == SI_KERNEL);
	if (!sigsetjmp(env, 1))
		((void (*)(void))0x8000000000000000UL)();
	EQ("jump to a non-canonical address", fault, SIGSEGV);
	if (!sigsetjmp(env, 1))
		__asm__ volatile("int $0x21");
	EQ("software interrupt", fault, SIGSEGV);
	if (!sigsetjmp(env, 1))
		__asm__ volatile("outb %al, $0x80");
	EQ("port access", fault, SIGSEGV);
	sa.sa_sigaction = skip_instruction;
	sigaction(SIGILL, &sa, NULL);
	long rax = 1;
	__asm__ volatile("ud2" : "+a"(rax));
	EQ("a handler changes registers", rax, 77);
	// Trap flag: a single step.
	sa.sa_sigaction = info_handler;
	sigaction(SIGTRAP, &sa, NULL);
	count = 0;
	__asm__ volatile("pushfq; orl $0x100, (%%rsp); popfq; nop; pushfq; andl $~0x100, (%%rsp); popfq; nop" ::: "cc", "memory");
	OK("single step", count >= 1);
	// Alignment check, direction flag.
	volatile uint64_t flags;
	__asm__ volatile("std");
	raise(SIGUSR2);
	__asm__ volatile("pushfq; pop %0; cld" : "=r"(flags));
	OK("direction flag survives a system call", flags & 0x400);
}

int main(void)
{
	basics();
	masks();
	waiting();
	restarts();
	stacks();
	signal(SIGUSR2, SIG_IGN);
	faults();
	done();
}
