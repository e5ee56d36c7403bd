// Rules of signals that programs seldom meet: alternate stacks that cannot take a frame, flags of sigaction(2) that do
// not exist, who may queue which siginfo, and what a fault at an address of the kernel tells.
#include "check.h"
#include <setjmp.h>
#include <sys/wait.h>
#include <ucontext.h>

#define SS_AUTODISARM_ (1U << 31)

static void exits7(int s) { (void)s; _exit(7); }
static void nothing(int s) { (void)s; }

static int in_child(void (*f)(void))
{
	fflush(stdout);
	pid_t child = fork();
	if (child == 0) {
		f();
		_exit(1);
	}
	int status;
	waitpid(child, &status, 0);
	return status;
}

static void handler(int sig, void (*f)(int), int flags)
{
	struct sigaction sa = {.sa_handler = f, .sa_flags = flags};
	sigaction(sig, &sa, NULL);
}

static void *bad_stack(void) { return mmap(NULL, 65536, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0); }

static void read_only_stack(void)
{
	stack_t s = {.ss_sp = bad_stack(), .ss_size = 65536};
	sigaltstack(&s, NULL);
	handler(SIGSEGV, exits7, 0);
	handler(SIGUSR1, nothing, SA_ONSTACK);
	kill(getpid(), SIGUSR1);
}

static void read_only_stack_for_both(void)
{
	stack_t s = {.ss_sp = bad_stack(), .ss_size = 65536};
	sigaltstack(&s, NULL);
	handler(SIGSEGV, exits7, SA_ONSTACK);
	handler(SIGUSR1, nothing, SA_ONSTACK);
	kill(getpid(), SIGUSR1);
}

static void segv_blocked(void)
{
	stack_t s = {.ss_sp = bad_stack(), .ss_size = 65536};
	sigaltstack(&s, NULL);
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGSEGV);
	sigprocmask(SIG_BLOCK, &set, NULL);
	handler(SIGSEGV, exits7, 0);
	handler(SIGUSR1, nothing, SA_ONSTACK);
	kill(getpid(), SIGUSR1);
}

static void no_restorer(void)
{
	struct { void (*handler)(int); unsigned long flags; void *restorer; unsigned long mask; } k = {nothing};
	handler(SIGSEGV, exits7, 0);
	syscall(SYS_rt_sigaction, SIGUSR1, &k, NULL, 8);
	kill(getpid(), SIGUSR1);
}

static char *small;
static void deep(int s)
{
	(void)s;
	kill(getpid(), SIGUSR1); // on the alternate stack again and again
}

static void overflow(void)
{
	small = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	stack_t s = {.ss_sp = small + 32768, .ss_size = 16384};
	sigaltstack(&s, NULL);
	handler(SIGSEGV, exits7, SA_ONSTACK); // nor has this one room
	handler(SIGUSR1, deep, SA_ONSTACK | SA_NODEFER);
	kill(getpid(), SIGUSR1);
}

static int below_untouched;
static void checks_below(int s)
{
	(void)s;
	below_untouched = 1;
	for (int i = 0; i < 32768; i++)
		if (small[i])
			below_untouched = 0;
	_exit(below_untouched ? 7 : 8);
}

static void overflow_then_normal_stack(void)
{
	small = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	stack_t s = {.ss_sp = small + 32768, .ss_size = 8192};
	sigaltstack(&s, NULL);
	handler(SIGUSR1, nothing, SA_ONSTACK);
	handler(SIGUSR2, checks_below, SA_ONSTACK);
	// The stack pointer stands on the alternate stack with no room below.
	__asm__ volatile("mov %0, %%rsp; mov %1, %%edi; mov %2, %%esi; mov %3, %%eax; syscall; ud2"
		:: "r"(small + 32768 + 512), "r"((int)getpid()), "r"(SIGUSR1), "i"(SYS_kill) : "rdi", "rsi", "rax", "rcx", "r11", "memory");
}

static volatile unsigned flags_in_handler, size_in_handler;
static void asks(int s)
{
	(void)s;
	stack_t st;
	sigaltstack(NULL, &st);
	flags_in_handler = st.ss_flags;
	size_in_handler = st.ss_size;
}

static void stacks(void)
{
	EQ("frame on a read-only stack: the handler of SIGSEGV", in_child(read_only_stack), 0x700);
	EQ("and there is none that can run", in_child(read_only_stack_for_both) & 0x7f, SIGSEGV);
	EQ("and SIGSEGV is blocked", in_child(segv_blocked) & 0x7f, SIGSEGV);
	EQ("a handler without a restorer", in_child(no_restorer), 0x700);
	EQ("an alternate stack that overflows", in_child(overflow) & 0x7f, SIGSEGV);
	EQ("no room on the alternate stack", in_child(overflow_then_normal_stack) & 0x7f, SIGSEGV);

	static char mem[65536];
	stack_t st = {.ss_sp = mem, .ss_size = sizeof mem, .ss_flags = SS_AUTODISARM_}, old;
	EQ("SS_AUTODISARM", sigaltstack(&st, NULL), 0);
	sigaltstack(NULL, &old);
	EQ("is told", (unsigned)old.ss_flags, SS_AUTODISARM_);
	handler(SIGUSR1, asks, SA_ONSTACK);
	raise(SIGUSR1);
	EQ("no stack in the handler", flags_in_handler, SS_DISABLE);
	EQ("of no size", size_in_handler, 0);
	sigaltstack(NULL, &old);
	OK("and back after the handler", (unsigned)old.ss_flags == SS_AUTODISARM_ && old.ss_size == sizeof mem);
	st.ss_flags = SS_DISABLE | SS_AUTODISARM_;
	EQ("SS_DISABLE with SS_AUTODISARM", sigaltstack(&st, NULL), 0);
	sigaltstack(NULL, &old);
	EQ("is told as well", (unsigned)old.ss_flags, SS_DISABLE | SS_AUTODISARM_);
	st.ss_flags = SS_ONSTACK;
	EQ("SS_ONSTACK as a mode", sigaltstack(&st, NULL), 0);
	raise(SIGUSR1);
	EQ("SS_ONSTACK in the handler", flags_in_handler, SS_ONSTACK);
	st.ss_flags = 4;
	FAILS("an unknown mode", sigaltstack(&st, NULL), EINVAL);
	st.ss_flags = 0;
	st.ss_size = 2047;
	FAILS("too small", sigaltstack(&st, NULL), ENOMEM);
	FAILS("a bad address", syscall(SYS_sigaltstack, 8, NULL), EFAULT);
}

static void flags(void)
{
	struct { unsigned long handler, flags, restorer, mask; } k = {(unsigned long)nothing, ~0UL, (unsigned long)nothing, ~0UL}, got;
	EQ("all flags", syscall(SYS_rt_sigaction, SIGUSR2, &k, NULL, 8), 0);
	EQ("read back", syscall(SYS_rt_sigaction, SIGUSR2, NULL, &got, 8), 0);
	// 0x800 is SA_EXPOSE_TAGBITS, 0x04000000 SA_RESTORER
	EQ("only known flags stay", got.flags, 0xdc000807UL);
	EQ("SIGKILL and SIGSTOP stay out of the mask", got.mask, ~(1UL << (SIGKILL - 1) | 1UL << (SIGSTOP - 1)));
	signal(SIGUSR2, SIG_DFL);
}

static volatile int got_code, got_sig, got_tid;
static volatile long got_value;
static void takes(int s, siginfo_t *i, void *c)
{
	(void)c;
	got_sig = s;
	got_code = i->si_code;
	got_value = (long)i->si_value.sival_ptr;
	got_tid = syscall(SYS_gettid);
}

static volatile int tid, stop, pidfd_error;
static void *thread(void *arg)
{
	(void)arg;
	siginfo_t si;
	memset(&si, 0, sizeof si);
	si.si_signo = SIGUSR1;
	si.si_code = SI_USER;
	int fd = syscall(SYS_pidfd_open, getpid(), 0);
	errno = 0;
	syscall(SYS_pidfd_send_signal, fd, SIGUSR1, &si, 0);
	pidfd_error = errno;
	close(fd);
	tid = syscall(SYS_gettid);
	while (!stop)
		sleep_ms(2);
	return NULL;
}

static void awaits(void)
{
	for (int i = 0; i < 2000 && !got_sig; i++)
		sleep_ms(1);
}

static long queues(int to, int code)
{
	siginfo_t si;
	memset(&si, 0, sizeof si);
	si.si_code = code;
	si.si_pid = getpid();
	si.si_value.sival_ptr = (void *)77L;
	got_sig = 0;
	return syscall(SYS_rt_sigqueueinfo, to, SIGUSR1, &si);
}

static long tqueues(int tgid, int to, int code)
{
	siginfo_t si;
	memset(&si, 0, sizeof si);
	si.si_code = code;
	got_sig = 0;
	return syscall(SYS_rt_tgsigqueueinfo, tgid, to, SIGUSR1, &si);
}

static void queueing(void)
{
	struct sigaction sa = {.sa_sigaction = takes, .sa_flags = SA_SIGINFO};
	sigaction(SIGUSR1, &sa, NULL);
	pthread_t t;
	pthread_create(&t, NULL, thread, NULL);
	while (!tid)
		sleep_ms(1);
	int me = getpid();
	EQ("pidfd_send_signal: a thread of one's own is not oneself", pidfd_error, EPERM);
	EQ("rt_sigqueueinfo to a thread that is no leader", queues(tid, SI_QUEUE), 0);
	awaits();
	OK("goes to its process", got_sig == SIGUSR1 && got_code == SI_QUEUE && got_value == 77);
	EQ("kill of such a thread", kill(tid, 0), 0);
	FAILS("nobody", queues(1 << 22, SI_QUEUE), ESRCH);
	FAILS("not even 0", queues(0, SI_QUEUE), ESRCH);
	FAILS("nor a group", queues(-me, SI_QUEUE), ESRCH);
	EQ("oneself may send anything", queues(me, SI_USER), 0);
	awaits();
	EQ("SI_USER", got_code, SI_USER);
	EQ("SI_TKILL to oneself", queues(me, SI_TKILL), 0);
	FAILS("a thread of one's own is not oneself", queues(tid, SI_USER), EPERM);
	FAILS("nor for SI_TKILL", queues(tid, SI_TKILL), EPERM);
	FAILS("the code is looked at before the target", queues(1 << 22, SI_KERNEL), EPERM);
	EQ("rt_tgsigqueueinfo to another thread", tqueues(me, tid, SI_QUEUE), 0);
	awaits();
	OK("goes to that thread", got_sig == SIGUSR1 && got_tid == tid);
	FAILS("rt_tgsigqueueinfo: SI_USER to another thread", tqueues(me, tid, SI_USER), EPERM);
	FAILS("rt_tgsigqueueinfo: SI_TKILL to another thread", tqueues(me, tid, SI_TKILL), EPERM);
	EQ("rt_tgsigqueueinfo: SI_USER to oneself", tqueues(me, me, SI_USER), 0);
	FAILS("rt_tgsigqueueinfo: wrong group", tqueues(1 << 22, tid, SI_QUEUE), ESRCH);
	FAILS("rt_tgsigqueueinfo: no group", tqueues(0, tid, SI_QUEUE), EINVAL);
	FAILS("rt_tgsigqueueinfo: no thread", tqueues(me, -1, SI_QUEUE), EINVAL);
	FAILS("a bad address", syscall(SYS_rt_sigqueueinfo, me, SIGUSR1, 8L), EFAULT);
	siginfo_t si;
	memset(&si, 0, sizeof si);
	si.si_code = -99;
	((char *)&si)[120] = 1;
	FAILS("bytes that an unknown code may not have", syscall(SYS_rt_sigqueueinfo, me, SIGUSR1, &si), E2BIG);
	si.si_code = SI_QUEUE;
	EQ("a known code may", syscall(SYS_rt_sigqueueinfo, me, SIGUSR1, &si), 0);
	si.si_code = -99;
	((char *)&si)[120] = 0;
	EQ("an unknown code without", syscall(SYS_rt_sigqueueinfo, me, SIGUSR1, &si), 0);
	EQ("arrives", got_code, -99);
	FAILS("a bad signal", syscall(SYS_rt_sigqueueinfo, me, 65, &si), EINVAL);
	EQ("signal 0", syscall(SYS_rt_sigqueueinfo, me, 0, &si), 0);
	stop = 1;
	pthread_join(t, NULL);
}

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

enum { READS, WRITES, CALLS };

static void faults(const char *what, unsigned long address, int kind, int code, long want_err, long want_trap)
{
	char name[100];
	info.si_signo = 0;
	if (sigsetjmp(env, 1) == 0) {
		if (kind == READS)
			(void)*(volatile char *)address;
		else if (kind == WRITES)
			*(volatile char *)address = 1;
		else
			((void (*)(void))address)();
	}
	snprintf(name, sizeof name, "%s: si_code", what);
	EQ(name, info.si_code, code);
	snprintf(name, sizeof name, "%s: si_addr", what);
	EQ(name, info.si_addr, want_trap == 14 ? address : 0);
	snprintf(name, sizeof name, "%s: err", what);
	EQ(name, err, want_err);
	snprintf(name, sizeof name, "%s: trapno", what);
	EQ(name, trapno, want_trap);
	if (want_trap == 14) {
		snprintf(name, sizeof name, "%s: cr2", what);
		EQ(name, cr2, address);
	}
}

static void addresses(void)
{
	struct sigaction sa = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_NODEFER};
	sigaction(SIGSEGV, &sa, NULL);
	char *none = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *data = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	*data = (char)0xc3;
	faults("read of nothing", 4096, READS, SEGV_MAPERR, 4, 14);
	faults("write of nothing", 4096, WRITES, SEGV_MAPERR, 6, 14);
	faults("call of nothing", 4096, CALLS, SEGV_MAPERR, 0x14, 14);
	faults("PROT_NONE", (unsigned long)none, READS, SEGV_ACCERR, 4, 14);
	faults("call of data", (unsigned long)data, CALLS, SEGV_ACCERR, 0x15, 14);
	static const unsigned long kernel[] = {0xffffffff81000000, 0xffff888000000000, 0xfffffffffffff000, 0xffff800000000000, 0x7ffffffff000};
	static const char *const names[] = {"kernel text", "the direct map", "the last page", "the first address", "the guard page"};
	for (int i = 0; i < 5; i++) {
		char name[60];
		snprintf(name, sizeof name, "read of %s", names[i]);
		faults(name, kernel[i], READS, SEGV_MAPERR, 5, 14);
		snprintf(name, sizeof name, "write of %s", names[i]);
		faults(name, kernel[i], WRITES, SEGV_MAPERR, 7, 14);
		snprintf(name, sizeof name, "call of %s", names[i]);
		faults(name, kernel[i], CALLS, SEGV_MAPERR, 0x15, 14);
	}
	faults("read of no address", 0x800000000000, READS, SI_KERNEL, 0, 13);
	faults("write of no address", 0xdead000000000000, WRITES, SI_KERNEL, 0, 13);
	faults("call of no address", 0x800000000000, CALLS, SI_KERNEL, 0, 13);
}

int main(void)
{
	setvbuf(stdout, NULL, _IONBF, 0);
	stacks();
	flags();
	queueing();
	addresses();
	done();
}
