// ptrace(2): stops, registers, memory, events, group stops, and wait(2) of tracees.
#include "check.h"
#include <elf.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/ptrace.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/reg.h>
#include <sys/user.h>
#include <sys/wait.h>

// The raw call: what it returns is what the kernel says.
static long trace(long request, pid_t pid, unsigned long addr, unsigned long data)
{
	return syscall(SYS_ptrace, request, pid, addr, data);
}

enum { // sys/ptrace.h and linux/ptrace.h do not go together
	TRACEME, PEEKTEXT, PEEKDATA, PEEKUSER, POKETEXT, POKEDATA, POKEUSER, CONT, KILL, SINGLESTEP,
	ATTACH = 16, DETACH, SYSCALL = 24, GETFP = 14, SETFP = 15
};

static volatile long word = 0x1122334455667788;
static const long constant = 0x5566;
static int status;
static pid_t child;

// next waits for the next news of a tracee; 0 if nothing came.
static int next(pid_t pid)
{
	status = 0;
	return waitpid(pid, &status, __WALL);
}

static int event(void) { return status >> 16; }

#define STOPPED(name, pid, sig) ({ \
	pid_t st_pid = (pid); \
	EQ(name ": wait", next(st_pid), st_pid); \
	EQ(name ": status", status, (sig) << 8 | 0x7f); })

#define EVENT(name, pid, ev) ({ \
	pid_t ev_pid = (pid); \
	EQ(name ": wait", next(ev_pid), ev_pid); \
	EQ(name ": status", status, (ev) << 16 | SIGTRAP << 8 | 0x7f); })

#define EXITED(name, pid, code) ({ \
	pid_t ex_pid = (pid); \
	EQ(name ": wait", next(ex_pid), ex_pid); \
	EQ(name ": status", status, (code) << 8); })

static struct user_regs_struct regs(void)
{
	struct user_regs_struct r;
	memset(&r, 0x5a, sizeof r);
	if (trace(PTRACE_GETREGS, child, 0, (long)&r) != 0)
		report(0, "registers", "errno %d", errno);
	return r;
}

static long message(void)
{
	unsigned long v = -1;
	trace(PTRACE_GETEVENTMSG, child, 0, (long)&v);
	return v;
}

// tracee makes a child that runs f once its tracer lets it.
static pid_t tracee(void (*f)(void))
{
	fflush(stdout);
	child = MUST(fork());
	if (child == 0) {
		if (trace(TRACEME, 0, 0, 0) != 0)
			_exit(99);
		raise(SIGSTOP);
		f();
		_exit(7);
	}
	return child;
}

static void nothing(void) {}

static void say_calls(void)
{
	syscall(SYS_getppid);
	syscall(SYS_close, 12345);
}

static void first(void)
{
	FAILS("nobody", trace(CONT, 99999999, 0, 0), ESRCH);
	FAILS("not a tracee", trace(CONT, getpid(), 0, 0), ESRCH);
	FAILS("attach to oneself", trace(ATTACH, getpid(), 0, 0), EPERM);
	tracee(nothing);
	STOPPED("first stop", child, SIGSTOP);
	siginfo_t si;
	EQ("GETSIGINFO", trace(PTRACE_GETSIGINFO, child, 0, (long)&si), 0);
	EQ("si_signo", si.si_signo, SIGSTOP);
	EQ("si_code", si.si_code, SI_TKILL);
	EQ("si_pid", si.si_pid, child);
	FAILS("already traced", trace(ATTACH, child, 0, 0), EPERM);
	FAILS("bad signal", trace(CONT, child, 0, 99), EIO);
	FAILS("bad options", trace(PTRACE_SETOPTIONS, child, 0, 1 << 15), EINVAL);
	FAILS("unknown request", trace(0x4299, child, 0, 0), EIO);
	char path[64];
	snprintf(path, sizeof path, "/proc/%d/status", child);
	const char *text = get(path);
	OK("State t", strstr(text, "State:\tt (tracing stop)") != NULL);
	char line[64];
	snprintf(line, sizeof line, "TracerPid:\t%d\n", getpid());
	OK("TracerPid", strstr(text, line) != NULL);
	siginfo_t w = {0};
	EQ("no news", waitid(P_PID, child, &w, WNOHANG | WEXITED | WSTOPPED), 0);
	EQ("no pid", w.si_pid, 0);
	EQ("continue", trace(CONT, child, 0, 0), 0);
	FAILS("running or gone", trace(PEEKDATA, child, (long)&word, (long)&si) == -1 ? -1 : -2, ESRCH);
	EXITED("end", child, 7);
	FAILS("reaped", trace(CONT, child, 0, 0), ESRCH);
}

static void memory(void)
{
	tracee(nothing);
	STOPPED("memory", child, SIGSTOP);
	long v = 0;
	EQ("PEEKDATA", trace(PEEKDATA, child, (long)&word, (long)&v), 0);
	EQ("its value", v, 0x1122334455667788);
	EQ("PEEKTEXT", trace(PEEKTEXT, child, (long)&nothing, (long)&v), 0);
	EQ("same text", v, *(long *)&nothing);
	EQ("unaligned", trace(PEEKDATA, child, (long)&word + 1, (long)&v), 0);
	EQ("its value", v & 0xff, 0x77);
	FAILS("no memory there", trace(PEEKDATA, child, 8, (long)&v), EIO);
	FAILS("no memory here", trace(PEEKDATA, child, (long)&word, 8), EFAULT);
	EQ("POKEDATA", trace(POKEDATA, child, (long)&word, 42), 0);
	EQ("PEEKDATA", trace(PEEKDATA, child, (long)&word, (long)&v), 0);
	EQ("new value", v, 42);
	EQ("own value", word, 0x1122334455667788);
	EQ("POKEDATA of a constant", trace(POKEDATA, child, (long)&constant, 43), 0);
	EQ("PEEKDATA", trace(PEEKDATA, child, (long)&constant, (long)&v), 0);
	EQ("changed there", v, 43);
	EQ("not here", constant, 0x5566);
	FAILS("POKEDATA nowhere", trace(POKEDATA, child, 8, 1), EIO);

	// The other ways into a process.
	char path[64];
	snprintf(path, sizeof path, "/proc/%d/mem", child);
	int fd = MUST(open(path, O_RDWR));
	EQ("pread", pread(fd, &v, 8, (long)&constant), 8);
	EQ("its value", v, 43);
	v = 44;
	EQ("pwrite to text", pwrite(fd, &v, 8, (long)&constant), 8);
	EQ("PEEKDATA", trace(PEEKDATA, child, (long)&constant, (long)&v), 0);
	EQ("written", v, 44);
	close(fd);
	long a = 0, b = 0;
	struct iovec here[2] = {{&a, 8}, {&b, 8}}, there[2] = {{(void *)&word, 8}, {(void *)&constant, 8}};
	EQ("process_vm_readv", process_vm_readv(child, here, 2, there, 2, 0), 16);
	EQ("first", a, 42);
	EQ("second", b, 44);
	a = 45;
	EQ("process_vm_writev", process_vm_writev(child, here, 1, there, 1, 0), 8);
	EQ("PEEKDATA", trace(PEEKDATA, child, (long)&word, (long)&v), 0);
	EQ("written", v, 45);
	FAILS("not to constants", process_vm_writev(child, here, 1, there + 1, 1, 0), EFAULT);
	there[1].iov_base = (void *)8;
	EQ("part", process_vm_readv(child, here, 2, there, 2, 0), 8);
	FAILS("flags", process_vm_readv(child, here, 1, there, 1, 1), EINVAL);
	FAILS("too many", process_vm_readv(child, here, 5000, there, 1, 0), EINVAL);
	FAILS("nobody", process_vm_readv(99999999, here, 1, there, 1, 0), ESRCH);
	EQ("kill", kill(child, SIGKILL), 0);
	EQ("wait", next(child), child);
	EQ("killed", status, SIGKILL);
}

static void registers(void)
{
	tracee(say_calls);
	STOPPED("registers", child, SIGSTOP);
	struct user_regs_struct r = regs();
	EQ("cs", r.cs, 0x33);
	EQ("ss", r.ss, 0x2b);
	EQ("orig_rax", r.orig_rax, SYS_tgkill);
	EQ("rax", r.rax, 0);
	EQ("rsi", r.rsi, child);
	EQ("rdx", r.rdx, SIGSTOP);
	OK("fs_base", r.fs_base != 0);
	OK("rip", r.rip == r.rcx);
	unsigned long v = 0;
	EQ("PEEKUSER rip", trace(PEEKUSER, child, offsetof(struct user, regs.rip), (long)&v), 0);
	EQ("same", v, r.rip);
	EQ("PEEKUSER fs_base", trace(PEEKUSER, child, offsetof(struct user, regs.fs_base), (long)&v), 0);
	EQ("same", v, r.fs_base);
	FAILS("PEEKUSER between", trace(PEEKUSER, child, 3, (long)&v), EIO);
	FAILS("PEEKUSER beyond", trace(PEEKUSER, child, sizeof(struct user) + 16, (long)&v), EIO);
	EQ("PEEKUSER rest", trace(PEEKUSER, child, offsetof(struct user, u_tsize), (long)&v), 0);
	EQ("POKEUSER r15", trace(POKEUSER, child, offsetof(struct user, regs.r15), 0x1234), 0);
	EQ("r15", regs().r15, 0x1234);
	FAILS("POKEUSER cs", trace(POKEUSER, child, offsetof(struct user, regs.cs), 0x10), EIO);
	FAILS("POKEUSER fs_base", trace(POKEUSER, child, offsetof(struct user, regs.fs_base), -1L), EIO);
	EQ("flags", trace(POKEUSER, child, offsetof(struct user, regs.eflags), r.eflags ^ 1 ^ 0x3000), 0);
	EQ("only the program's", regs().eflags, r.eflags ^ 1);
	EQ("SETREGS", trace(PTRACE_SETREGS, child, 0, (long)&r), 0);
	EQ("flags back", regs().eflags, r.eflags);
	EQ("r15 back", regs().r15, r.r15);

	struct user_regs_struct s;
	struct iovec iov = {&s, sizeof s + 64};
	EQ("GETREGSET", trace(PTRACE_GETREGSET, child, NT_PRSTATUS, (long)&iov), 0);
	EQ("its size", iov.iov_len, sizeof s);
	OK("same registers", memcmp(&s, &r, sizeof s) == 0);
	iov.iov_len = 16;
	EQ("a part", trace(PTRACE_GETREGSET, child, NT_PRSTATUS, (long)&iov), 0);
	EQ("its size", iov.iov_len, 16);
	iov.iov_len = 15;
	FAILS("bad size", trace(PTRACE_GETREGSET, child, NT_PRSTATUS, (long)&iov), EINVAL);
	iov.iov_len = sizeof s;
	FAILS("bad set", trace(PTRACE_GETREGSET, child, 0x999, (long)&iov), EINVAL);
	s.r14 = 77;
	EQ("SETREGSET", trace(PTRACE_SETREGSET, child, NT_PRSTATUS, (long)&iov), 0);
	EQ("r14", regs().r14, 77);
	trace(PTRACE_SETREGS, child, 0, (long)&r);

	struct user_fpregs_struct f, g;
	EQ("GETFPREGS", trace(GETFP, child, 0, (long)&f), 0);
	EQ("mxcsr", f.mxcsr, 0x1f80);
	EQ("cwd", f.cwd, 0x37f);
	f.xmm_space[0] = 0x12345678;
	EQ("SETFPREGS", trace(SETFP, child, 0, (long)&f), 0);
	memset(&g, 0, sizeof g);
	iov = (struct iovec){&g, sizeof g};
	EQ("GETREGSET PRFPREG", trace(PTRACE_GETREGSET, child, NT_PRFPREG, (long)&iov), 0);
	EQ("its size", iov.iov_len, 512);
	EQ("xmm0", g.xmm_space[0], 0x12345678);
	f.mxcsr = ~0u;
	FAILS("bad mxcsr", trace(SETFP, child, 0, (long)&f), EINVAL);
	static uint64_t x[1024];
	iov = (struct iovec){x, sizeof x};
	if (trace(PTRACE_GETREGSET, child, NT_X86_XSTATE, (long)&iov) == 0) {
		OK("XSTATE size", iov.iov_len >= 576 && iov.iov_len < sizeof x);
		EQ("xmm0 there", (uint32_t)x[160 / 8], 0x12345678);
		OK("XCR0", (x[464 / 8] & 3) == 3);
		size_t size = iov.iov_len;
		x[160 / 8] = 99;
		EQ("SETREGSET XSTATE", trace(PTRACE_SETREGSET, child, NT_X86_XSTATE, (long)&iov), 0);
		EQ("GETFPREGS", trace(GETFP, child, 0, (long)&g), 0);
		EQ("xmm0", g.xmm_space[0], 99);
		iov.iov_len = size - 8;
		FAILS("not whole", trace(PTRACE_SETREGSET, child, NT_X86_XSTATE, (long)&iov), EFAULT);
		iov.iov_len = size;
		x[520 / 8] = 1;
		FAILS("bad header", trace(PTRACE_SETREGSET, child, NT_X86_XSTATE, (long)&iov), EINVAL);
	} else
		for (int i = 0; i < 8; i++)
			skip("XSTATE", "no XSAVE");
	EQ("arch_prctl", trace(30, child, (long)&v, 0x1003), 0); // ARCH_GET_FS
	EQ("fs_base", v, r.fs_base);
	EQ("KILL", trace(KILL, child, 0, 0), 0);
	EQ("wait", next(child), child);
	EQ("killed", status, SIGKILL);
}

static void calls(void)
{
	tracee(say_calls);
	STOPPED("calls", child, SIGSTOP);
	EQ("options", trace(PTRACE_SETOPTIONS, child, 0, PTRACE_O_TRACESYSGOOD), 0);
	struct ptrace_syscall_info i;
	EQ("info in a stop of a signal", trace(PTRACE_GET_SYSCALL_INFO, child, sizeof i, (long)&i), 24);
	EQ("op", i.op, PTRACE_SYSCALL_INFO_NONE);
	EQ("arch", i.arch, AUDIT_ARCH_X86_64);
	trace(SYSCALL, child, 0, 0);
	STOPPED("entry", child, SIGTRAP | 0x80);
	struct user_regs_struct r = regs();
	EQ("orig_rax", r.orig_rax, SYS_getppid);
	EQ("rax", r.rax, -ENOSYS);
	EQ("message", message(), PTRACE_EVENTMSG_SYSCALL_ENTRY);
	EQ("info", trace(PTRACE_GET_SYSCALL_INFO, child, sizeof i, (long)&i), 80);
	EQ("op", i.op, PTRACE_SYSCALL_INFO_ENTRY);
	EQ("nr", i.entry.nr, SYS_getppid);
	EQ("ip", i.instruction_pointer, r.rip);
	EQ("sp", i.stack_pointer, r.rsp);
	siginfo_t si;
	EQ("GETSIGINFO", trace(PTRACE_GETSIGINFO, child, 0, (long)&si), 0);
	EQ("si_signo", si.si_signo, SIGTRAP);
	EQ("si_code", si.si_code, SIGTRAP | 0x80);
	trace(SYSCALL, child, 0, 0);
	STOPPED("exit", child, SIGTRAP | 0x80);
	EQ("result", regs().rax, getpid());
	EQ("message", message(), PTRACE_EVENTMSG_SYSCALL_EXIT);
	EQ("info", trace(PTRACE_GET_SYSCALL_INFO, child, sizeof i, (long)&i), 33);
	EQ("op", i.op, PTRACE_SYSCALL_INFO_EXIT);
	EQ("rval", i.exit.rval, getpid());
	EQ("is_error", i.exit.is_error, 0);
	trace(SYSCALL, child, 0, 0);
	STOPPED("second entry", child, SIGTRAP | 0x80);
	memset(&i, 0, sizeof i);
	EQ("info", trace(PTRACE_GET_SYSCALL_INFO, child, sizeof i, (long)&i), 80);
	EQ("nr", i.entry.nr, SYS_close);
	EQ("argument", i.entry.args[0], 12345);
	memset(&i, 0, sizeof i);
	EQ("info with little room", trace(PTRACE_GET_SYSCALL_INFO, child, 4, (long)&i), 80);
	EQ("not more", i.instruction_pointer, 0);
	trace(SYSCALL, child, 0, 0);
	STOPPED("second exit", child, SIGTRAP | 0x80);
	EQ("info", trace(PTRACE_GET_SYSCALL_INFO, child, sizeof i, (long)&i), 33);
	EQ("rval", i.exit.rval, -EBADF);
	EQ("is_error", i.exit.is_error, 1);
	trace(SYSCALL, child, 0, 0);
	STOPPED("exit_group", child, SIGTRAP | 0x80);
	EQ("its number", regs().orig_rax, SYS_exit_group);
	trace(SYSCALL, child, 0, 0);
	EXITED("calls end", child, 7);
}

static void change_calls(void)
{
	if (syscall(SYS_getppid) != 4711) // its result is changed
		_exit(1);
	if (syscall(SYS_getppid) != getpid()) // another call is made of it
		_exit(2);
	if (syscall(SYS_kill, getpid(), SIGKILL) != 15) // it is not made
		_exit(3);
	if (syscall(SYS_getppid) != -1 || errno != ENOSYS) // SYSEMU
		_exit(4);
	_exit(8);
}

static void changes(void)
{
	tracee(change_calls);
	STOPPED("changes", child, SIGSTOP);
	trace(SYSCALL, child, 0, 0);
	STOPPED("entry", child, SIGTRAP);
	trace(SYSCALL, child, 0, 0);
	STOPPED("exit", child, SIGTRAP);
	EQ("other result", trace(POKEUSER, child, 8 * RAX, 4711), 0);
	trace(SYSCALL, child, 0, 0);
	STOPPED("entry", child, SIGTRAP);
	EQ("getppid", regs().orig_rax, SYS_getppid);
	EQ("other call", trace(POKEUSER, child, 8 * ORIG_RAX, SYS_getpid), 0);
	trace(SYSCALL, child, 0, 0);
	STOPPED("exit", child, SIGTRAP);
	EQ("its result", regs().rax, child);
	trace(SYSCALL, child, 0, 0);
	next(child); // getpid
	trace(SYSCALL, child, 0, 0);
	next(child);
	trace(SYSCALL, child, 0, 0);
	next(child); // getpid before kill
	trace(SYSCALL, child, 0, 0);
	next(child);
	trace(SYSCALL, child, 0, 0);
	STOPPED("entry", child, SIGTRAP);
	EQ("kill", regs().orig_rax, SYS_kill);
	EQ("no call", trace(POKEUSER, child, 8 * ORIG_RAX, -1L), 0);
	trace(SYSCALL, child, 0, 0);
	STOPPED("exit", child, SIGTRAP);
	EQ("nothing", regs().rax, -ENOSYS);
	EQ("own result", trace(POKEUSER, child, 8 * RAX, 15), 0);
	EQ("PTRACE_SYSEMU", trace(31, child, 0, 0), 0);
	STOPPED("emulated", child, SIGTRAP);
	EQ("getppid", regs().orig_rax, SYS_getppid);
	EQ("on", trace(CONT, child, 0, 0), 0);
	EXITED("changes end", child, 8);
}

static volatile int caught;
static void on_usr(int sig) { caught = sig; }

static void raise_two(void)
{
	signal(SIGUSR1, on_usr);
	signal(SIGUSR2, on_usr);
	raise(SIGUSR1); // suppressed
	if (caught)
		_exit(1);
	raise(SIGUSR1); // becomes SIGUSR2
	if (caught != SIGUSR2)
		_exit(2);
	caught = 0;
	raise(SIGWINCH); // ignored, but the tracer sees it
	signal(SIGUSR1, SIG_IGN);
	raise(SIGUSR1); // the same
	sigset_t s;
	sigemptyset(&s);
	sigaddset(&s, SIGUSR1);
	sigaddset(&s, SIGRTMIN);
	sigprocmask(SIG_BLOCK, &s, NULL);
	union sigval v = {.sival_int = 5};
	raise(SIGUSR1);
	sigqueue(getpid(), SIGRTMIN, v);
	v.sival_int = 6;
	sigqueue(getpid(), SIGRTMIN, v);
	raise(SIGUSR2); // to show what is pending
	raise(SIGTERM);
}

static void sig(void)
{
	tracee(raise_two);
	STOPPED("signals", child, SIGSTOP);
	trace(CONT, child, 0, 0);
	STOPPED("suppressed", child, SIGUSR1);
	trace(CONT, child, 0, 0);
	STOPPED("changed", child, SIGUSR1);
	trace(CONT, child, 0, SIGUSR2);
	STOPPED("ignored by default", child, SIGWINCH);
	trace(CONT, child, 0, SIGWINCH);
	STOPPED("ignored", child, SIGUSR1);
	trace(CONT, child, 0, SIGUSR1);
	STOPPED("with others pending", child, SIGUSR2);
	uint64_t mask = 0;
	FAILS("GETSIGMASK size", trace(PTRACE_GETSIGMASK, child, 4, (long)&mask), EINVAL);
	EQ("GETSIGMASK", trace(PTRACE_GETSIGMASK, child, 8, (long)&mask), 0);
	EQ("mask", mask, 1UL << (SIGUSR1 - 1) | 1UL << (SIGRTMIN - 1));
	siginfo_t si[4];
	struct ptrace_peeksiginfo_args a = {0, PTRACE_PEEKSIGINFO_SHARED, 4};
	EQ("PEEKSIGINFO", trace(PTRACE_PEEKSIGINFO, child, (long)&a, (long)si), 2);
	EQ("first", si[0].si_int, 5);
	EQ("second", si[1].si_int, 6);
	a = (struct ptrace_peeksiginfo_args){1, PTRACE_PEEKSIGINFO_SHARED, 4};
	EQ("from one on", trace(PTRACE_PEEKSIGINFO, child, (long)&a, (long)si), 1);
	a = (struct ptrace_peeksiginfo_args){0, 0, 4};
	EQ("the thread's", trace(PTRACE_PEEKSIGINFO, child, (long)&a, (long)si), 1);
	EQ("its number", si[0].si_signo, SIGUSR1);
	a.flags = 2;
	FAILS("bad flags", trace(PTRACE_PEEKSIGINFO, child, (long)&a, (long)si), EINVAL);
	mask = 1UL << (SIGTERM - 1) | 1UL << (SIGKILL - 1) | 1UL << (SIGUSR1 - 1) | 1UL << (SIGRTMIN - 1);
	EQ("SETSIGMASK", trace(PTRACE_SETSIGMASK, child, 8, (long)&mask), 0);
	EQ("GETSIGMASK", trace(PTRACE_GETSIGMASK, child, 8, (long)&mask), 0);
	EQ("without SIGKILL", mask, 1UL << (SIGTERM - 1) | 1UL << (SIGUSR1 - 1) | 1UL << (SIGRTMIN - 1));
	trace(CONT, child, 0, 0);
	EXITED("SIGTERM was blocked", child, 7);

	tracee(raise_two);
	STOPPED("again", child, SIGSTOP);
	EQ("SETSIGINFO", ({ trace(PTRACE_GETSIGINFO, child, 0, (long)si); si[0].si_errno = 3; trace(PTRACE_SETSIGINFO, child, 0, (long)si); }), 0);
	EQ("GETSIGINFO", trace(PTRACE_GETSIGINFO, child, 0, (long)(si + 1)), 0);
	EQ("changed", si[1].si_errno, 3);
	trace(CONT, child, 0, SIGTERM);
	EQ("wait", next(child), child);
	EQ("killed by another signal", status, SIGTERM);
}

extern char step_start[], step_break[], step_call[], step_end[];

static __attribute__((noinline, noclone)) void steps(void)
{
	__asm__ volatile(
		"step_start: nop\n nop\n"
		"movl $0x1234, %%eax\n"
		"step_break: nop\n"
		"movl $39, %%eax\n" // getpid
		"step_call: syscall\n"
		"step_end: nop\n"
		::: "rax", "rcx", "r11", "memory");
}

static void stepping(void)
{
	tracee(steps);
	STOPPED("stepping", child, SIGSTOP);
	long v = 0;
	trace(PEEKTEXT, child, (long)step_start, (long)&v);
	EQ("breakpoint", trace(POKETEXT, child, (long)step_start, (v & ~0xff) | 0xcc), 0);
	EQ("not in this process", *(unsigned char *)step_start, 0x90);
	trace(CONT, child, 0, 0);
	STOPPED("hit", child, SIGTRAP);
	siginfo_t si;
	trace(PTRACE_GETSIGINFO, child, 0, (long)&si);
	EQ("si_code", si.si_code, SI_KERNEL);
	struct user_regs_struct r = regs();
	EQ("rip behind it", r.rip, (long)step_start + 1);
	EQ("orig_rax", r.orig_rax, -1);
	trace(POKETEXT, child, (long)step_start, v);
	r.rip--;
	trace(PTRACE_SETREGS, child, 0, (long)&r);
	for (int i = 1; i <= 2; i++) {
		EQ("step", trace(SINGLESTEP, child, 0, 0), 0);
		STOPPED("step", child, SIGTRAP);
		EQ("rip", regs().rip, (long)step_start + i);
	}
	trace(PTRACE_GETSIGINFO, child, 0, (long)&si);
	EQ("si_code", si.si_code, TRAP_TRACE);
	OK("si_addr", si.si_addr == step_start + 2);
	EQ("TF is hidden", regs().eflags & 0x100, 0);
	trace(SINGLESTEP, child, 0, 0);
	STOPPED("step", child, SIGTRAP);
	EQ("rip", regs().rip, (long)step_break);
	EQ("rax", regs().rax, 0x1234);
	trace(SINGLESTEP, child, 0, 0);
	next(child);
	trace(SINGLESTEP, child, 0, 0);
	next(child);
	EQ("before the call", regs().rip, (long)step_call);
	trace(SINGLESTEP, child, 0, 0);
	STOPPED("over a call", child, SIGTRAP);
	EQ("rip", regs().rip, (long)step_end);
	EQ("rax", regs().rax, child);
	trace(PTRACE_GETSIGINFO, child, 0, (long)&si);
	EQ("si_code", si.si_code, TRAP_BRKPT);
	// The first instruction of a handler is a stop too.
	EQ("into a handler", trace(SINGLESTEP, child, 0, SIGUSR1), 0);
	EQ("wait", next(child), child);
	EQ("no handler: killed", status, SIGUSR1);
}

static void with_handler(void)
{
	signal(SIGUSR1, on_usr);
	raise(SIGUSR1);
	_exit(caught);
}

static void handler(void)
{
	tracee(with_handler);
	STOPPED("handler", child, SIGSTOP);
	trace(CONT, child, 0, 0);
	STOPPED("before it", child, SIGUSR1);
	trace(SINGLESTEP, child, 0, SIGUSR1);
	STOPPED("in it", child, SIGTRAP);
	EQ("rip", regs().rip, (long)on_usr);
	EQ("rdi", regs().rdi, SIGUSR1);
	trace(SINGLESTEP, child, 0, 0);
	STOPPED("and on", child, SIGTRAP);
	OK("rip", regs().rip != (unsigned long)on_usr);
	trace(CONT, child, 0, 0);
	EXITED("handler end", child, SIGUSR1);
}

// A watched variable: hardware breakpoints (debug registers).
static void touch(void)
{
	word = 1;
	steps();
	word = 2;
}

#define DR(n) (offsetof(struct user, u_debugreg) + 8 * (n))

static void hardware(void)
{
	tracee(touch);
	STOPPED("hardware", child, SIGSTOP);
	FAILS("DR4", trace(POKEUSER, child, DR(4), 1), EIO);
	EQ("DR0", trace(POKEUSER, child, DR(0), (long)&word), 0);
	EQ("DR7", trace(POKEUSER, child, DR(7), 1 | 0xdUL << 16), 0); // writes of 8 bytes
	unsigned long v = 0;
	EQ("DR0", trace(PEEKUSER, child, DR(0), (long)&v), 0);
	EQ("its value", v, (long)&word);
	EQ("DR1", trace(POKEUSER, child, DR(1), (long)step_break), 0);
	EQ("DR7", trace(POKEUSER, child, DR(7), 5 | 0xdUL << 16), 0); // and the instruction
	trace(CONT, child, 0, 0);
	STOPPED("first write", child, SIGTRAP);
	siginfo_t si;
	trace(PTRACE_GETSIGINFO, child, 0, (long)&si);
	EQ("si_code", si.si_code, TRAP_HWBKPT);
	trace(PEEKUSER, child, DR(6), (long)&v);
	EQ("DR6", v & 0xf, 1);
	trace(PEEKDATA, child, (long)&word, (long)&v);
	EQ("is done", v, 1);
	trace(CONT, child, 0, 0);
	STOPPED("instruction", child, SIGTRAP);
	trace(PEEKUSER, child, DR(6), (long)&v);
	EQ("DR6", v & 0xf, 2);
	EQ("not done", regs().rip, (long)step_break);
	trace(CONT, child, 0, 0);
	STOPPED("second write", child, SIGTRAP);
	trace(PEEKDATA, child, (long)&word, (long)&v);
	EQ("is done", v, 2);
	EQ("DR7", trace(POKEUSER, child, DR(7), 0), 0);
	trace(CONT, child, 0, 0);
	EXITED("hardware end", child, 7);
}

// The kernel's own accesses are no hits.
static void kernel_writes(void)
{
	struct timespec zero = {0, 0};
	for (int i = 0; i < 100; i++)
		syscall(SYS_clock_gettime, CLOCK_REALTIME, &word);
	syscall(SYS_nanosleep, &zero, NULL);
	word = 3;
}

static volatile uint16_t selector;

// MOV SS puts a hit off until after the next instruction, which is the kernel's first.
static void delayed(void)
{
	__asm__ volatile("movw %%ss, %0" : "=m"(selector));
	for (int i = 0; i < 20; i++) {
		long r = SYS_getpid;
		__asm__ volatile("movw %1, %%ss\n syscall" : "+a"(r) : "m"(selector) : "rcx", "r11", "memory");
		if (r != getpid())
			_exit(1);
		__asm__ volatile("movw %0, %%ss\n int3" : : "m"(selector) : "memory");
	}
}

static void hardware_kernel(void)
{
	tracee(kernel_writes);
	STOPPED("kernel writes", child, SIGSTOP);
	trace(POKEUSER, child, DR(0), (long)&word);
	EQ("DR7", trace(POKEUSER, child, DR(7), 1 | 0xdUL << 16), 0);
	trace(CONT, child, 0, 0);
	STOPPED("the program's", child, SIGTRAP);
	long v = 0;
	trace(PEEKDATA, child, (long)&word, (long)&v);
	EQ("its value", v, 3);
	trace(CONT, child, 0, 0);
	EXITED("kernel writes end", child, 7);

	tracee(delayed);
	STOPPED("delayed", child, SIGSTOP);
	trace(POKEUSER, child, DR(0), (long)&selector);
	EQ("DR7", trace(POKEUSER, child, DR(7), 1 | 0x7UL << 16), 0); // 2 bytes, read or written
	int other = 0;
	do {
		trace(CONT, child, 0, 0);
		next(child);
		other += WIFSTOPPED(status) && WSTOPSIG(status) != SIGTRAP;
	} while (WIFSTOPPED(status));
	EQ("only traps", other, 0);
	EQ("survived", status, 7 << 8);
}

static int pipes[2];

static void reads(void)
{
	char c;
	if (read(pipes[0], &c, 1) != 1)
		_exit(1);
	if (read(pipes[0], &c, 1) != 1)
		_exit(2);
	_exit(c);
}

static pid_t plain(void (*f)(void))
{
	fflush(stdout);
	child = MUST(fork());
	if (child == 0) {
		f();
		_exit(7);
	}
	return child;
}

// asleep waits until a process sleeps in read(2).
static void asleep(pid_t pid)
{
	char state[64], call[64];
	snprintf(state, sizeof state, "/proc/%d/status", pid);
	snprintf(call, sizeof call, "/proc/%d/syscall", pid);
	for (int i = 0; i < 1000; i++) {
		if (strstr(get(state), "State:\tS") && !strncmp(get(call), "0 ", 2))
			return;
		sleep_ms(10);
	}
	report(0, "asleep", "%s%s", get(state), get(call));
}

static void attach(void)
{
	MUST(pipe(pipes));
	plain(reads);
	asleep(child);
	EQ("ATTACH", trace(ATTACH, child, 0, 0), 0);
	FAILS("twice", trace(ATTACH, child, 0, 0), EPERM);
	STOPPED("attached", child, SIGSTOP);
	EQ("in read", regs().orig_rax, SYS_read);
	EQ("CONT", trace(CONT, child, 0, 0), 0); // the read starts again
	asleep(child);
	FAILS("not stopped", trace(PTRACE_GETEVENTMSG, child, 0, (long)&status), ESRCH);
	EQ("write", write(pipes[1], "a", 1), 1);
	asleep(child);
	kill(child, SIGSTOP);
	STOPPED("stopped", child, SIGSTOP);
	EQ("DETACH", trace(DETACH, child, 0, 0), 0);
	FAILS("detached", trace(CONT, child, 0, 0), ESRCH);
	EQ("write", write(pipes[1], "b", 1), 1);
	EXITED("attach end", child, 'b');

	// A debugger's calls of functions: the registers are saved, changed, restored.
	plain(reads);
	asleep(child);
	trace(ATTACH, child, 0, 0);
	STOPPED("attached", child, SIGSTOP);
	struct user_regs_struct r = regs(), s = r;
	EQ("rax is the kernel's", r.rax, -512);
	s.orig_rax = -1;
	s.rip = (long)steps;
	s.rsp = (r.rsp - 256) & -16;
	s.rsp -= 8;
	trace(POKEDATA, child, s.rsp, 0);
	EQ("SETREGS", trace(PTRACE_SETREGS, child, 0, (long)&s), 0);
	trace(CONT, child, 0, 0);
	STOPPED("returns to 0", child, SIGSEGV);
	EQ("rip", regs().rip, 0);
	EQ("SETREGS", trace(PTRACE_SETREGS, child, 0, (long)&r), 0);
	trace(CONT, child, 0, 0);
	EQ("write", write(pipes[1], "cd", 2), 2);
	EXITED("call end", child, 'd');
	close(pipes[0]);
	close(pipes[1]);
}

static void seize(void)
{
	MUST(pipe(pipes));
	plain(reads);
	asleep(child);
	FAILS("SEIZE with addr", trace(PTRACE_SEIZE, child, 1, 0), EIO);
	FAILS("SEIZE bad options", trace(PTRACE_SEIZE, child, 0, 1 << 15), EIO);
	EQ("SEIZE", trace(PTRACE_SEIZE, child, 0, PTRACE_O_TRACESYSGOOD), 0);
	siginfo_t si = {0};
	EQ("not stopped", waitid(P_PID, child, &si, WNOHANG | WEXITED | WSTOPPED), 0);
	EQ("no news", si.si_pid, 0);
	FAILS("LISTEN", trace(PTRACE_LISTEN, child, 0, 0), ESRCH);
	EQ("INTERRUPT", trace(PTRACE_INTERRUPT, child, 0, 0), 0);
	EVENT("interrupted", child, PTRACE_EVENT_STOP);
	trace(PTRACE_GETSIGINFO, child, 0, (long)&si);
	EQ("si_signo", si.si_signo, SIGTRAP);
	EQ("si_code", si.si_code, SIGTRAP | PTRACE_EVENT_STOP << 8);
	EQ("CONT", trace(CONT, child, 0, 0), 0);
	asleep(child);

	// A stop of the whole process.
	kill(child, SIGSTOP);
	STOPPED("SIGSTOP", child, SIGSTOP);
	EQ("event", event(), 0);
	trace(CONT, child, 0, SIGSTOP);
	EQ("group stop: wait", next(child), child);
	EQ("group stop: status", status, PTRACE_EVENT_STOP << 16 | SIGSTOP << 8 | 0x7f);
	EQ("LISTEN", trace(PTRACE_LISTEN, child, 0, 0), 0);
	FAILS("not for use", trace(PTRACE_GETEVENTMSG, child, 0, (long)&status), ESRCH);
	kill(child, SIGCONT);
	EVENT("continued", child, PTRACE_EVENT_STOP);
	trace(CONT, child, 0, 0);
	STOPPED("SIGCONT", child, SIGCONT);
	trace(CONT, child, 0, SIGCONT);
	EQ("write", write(pipes[1], "ef", 2), 2);
	EXITED("seize end", child, 'f');

	// Not seized: CONT goes on in spite of the stop.
	plain(reads);
	asleep(child);
	kill(child, SIGSTOP);
	EQ("stopped before", waitpid(child, &status, WUNTRACED), child);
	EQ("ATTACH", trace(ATTACH, child, 0, 0), 0);
	STOPPED("group stop", child, SIGSTOP);
	FAILS("no siginfo", trace(PTRACE_GETSIGINFO, child, 0, (long)&si), EINVAL);
	trace(CONT, child, 0, 0);
	STOPPED("the SIGSTOP of ATTACH", child, SIGSTOP);
	EQ("siginfo", trace(PTRACE_GETSIGINFO, child, 0, (long)&si), 0);
	EQ("DETACH", trace(DETACH, child, 0, 0), 0);
	kill(child, SIGCONT);
	EQ("write", write(pipes[1], "gh", 2), 2);
	EXITED("stopped end", child, 'h');
	close(pipes[0]);
	close(pipes[1]);
}

static void *thread(void *arg)
{
	sleep_ms(1);
	return arg;
}

static void children(void)
{
	pid_t p = fork();
	if (p == 0)
		_exit(3);
	waitpid(p, NULL, 0);
	p = vfork();
	if (p == 0)
		_exit(4);
	waitpid(p, NULL, 0);
	pthread_t t;
	pthread_create(&t, NULL, thread, NULL);
	pthread_join(t, NULL);
	_exit(5);
}

// Events come in an order that the scheduler chooses, so each kind is counted.
static void events(void)
{
	tracee(children);
	STOPPED("events", child, SIGSTOP);
	EQ("options", trace(PTRACE_SETOPTIONS, child, 0, PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACECLONE |
		PTRACE_O_TRACEVFORKDONE | PTRACE_O_TRACEEXIT | PTRACE_O_EXITKILL), 0);
	trace(CONT, child, 0, 0);
	pid_t parent = child, made[4] = {0};
	int fork_event = 0, vfork_event = 0, clone_event = 0, done_event = 0, exits = 0, stops = 0, ends = 0, other = 0, chld = 0;
	int codes = 0, last = -1, order = 0;
	pid_t p;
	while ((p = next(-1)) > 0) {
		child = p;
		if (WIFEXITED(status)) {
			ends++;
			codes += p == made[2] ? 0 : WEXITSTATUS(status);
			last = p == parent;
			continue;
		}
		int deliver = 0;
		switch (event()) {
		case PTRACE_EVENT_FORK:
			fork_event++;
			made[0] = message();
			break;
		case PTRACE_EVENT_VFORK:
			vfork_event++;
			made[1] = message();
			break;
		case PTRACE_EVENT_CLONE:
			clone_event++;
			made[2] = message();
			break;
		case PTRACE_EVENT_VFORK_DONE:
			done_event++;
			order += message() == made[1];
			break;
		case PTRACE_EVENT_EXIT:
			exits++;
			codes += p == made[2] ? 0 : 100 * (message() >> 8); // the thread may end with its process
			break;
		default:
			if (WSTOPSIG(status) == SIGSTOP)
				stops++;
			else if (WSTOPSIG(status) == SIGCHLD)
				deliver = SIGCHLD, chld++;
			else
				other++;
		}
		trace(CONT, p, 0, deliver);
	}
	int gone = errno;
	EQ("all gone", gone, ECHILD);
	EQ("fork", fork_event, 1);
	EQ("vfork", vfork_event, 1);
	EQ("clone", clone_event, 1);
	EQ("vfork done", done_event, 1);
	EQ("for the right one", order, 1);
	EQ("first stops", stops, 3);
	EQ("ends announced", exits, 4);
	EQ("ends", ends, 4);
	EQ("statuses", codes, 1200 + 12);
	EQ("the parent is last", last, 1);
	EQ("SIGCHLD", chld, 2);
	EQ("nothing else", other, 0);
}

static void run_true(void)
{
	char *argv[] = {"ptrace", "exec", NULL};
	execv("/proc/self/exe", argv);
	_exit(98);
}

static void *exec_thread(void *arg)
{
	run_true();
	return arg;
}

static void exec_from_thread(void)
{
	pthread_t t;
	pthread_create(&t, NULL, exec_thread, NULL);
	pause();
}

static void execs(void)
{
	tracee(run_true);
	STOPPED("exec", child, SIGSTOP);
	trace(CONT, child, 0, 0);
	STOPPED("trap after exec", child, SIGTRAP);
	siginfo_t si;
	trace(PTRACE_GETSIGINFO, child, 0, (long)&si);
	EQ("si_code", si.si_code, SI_USER);
	trace(CONT, child, 0, 0);
	EXITED("exec end", child, 44);

	tracee(run_true);
	STOPPED("exec", child, SIGSTOP);
	trace(PTRACE_SETOPTIONS, child, 0, PTRACE_O_TRACEEXEC | PTRACE_O_TRACESYSGOOD);
	trace(SYSCALL, child, 0, 0);
	STOPPED("entry", child, SIGTRAP | 0x80);
	trace(SYSCALL, child, 0, 0);
	EVENT("event", child, PTRACE_EVENT_EXEC);
	EQ("message", message(), child);
	struct user_regs_struct r = regs();
	EQ("orig_rax", r.orig_rax, SYS_execve);
	EQ("rbx", r.rbx, 0);
	trace(SYSCALL, child, 0, 0);
	STOPPED("exit", child, SIGTRAP | 0x80);
	EQ("result", regs().rax, 0);
	trace(CONT, child, 0, 0);
	EXITED("exec end", child, 44);

	tracee(exec_from_thread);
	STOPPED("exec of a thread", child, SIGSTOP);
	trace(PTRACE_SETOPTIONS, child, 0, PTRACE_O_TRACEEXEC | PTRACE_O_TRACECLONE);
	trace(CONT, child, 0, 0);
	pid_t leader = child, other = 0, held = 0, p;
	int execs = 0, former = 0, ends = 0, code = 0;
	while ((p = next(-1)) > 0) {
		child = p;
		if (!WIFSTOPPED(status)) {
			ends++;
			if (p == leader)
				code = WEXITSTATUS(status);
			continue;
		}
		if (p != leader && !other) { // its exec would kill the leader, whose event would be lost
			held = p;
			continue;
		}
		if (event() == PTRACE_EVENT_CLONE) {
			other = message();
			if (held)
				trace(CONT, held, 0, 0);
		}
		if (event() == PTRACE_EVENT_EXEC) {
			execs = p == leader;
			former = message() == other;
		}
		trace(CONT, p, 0, 0);
	}
	EQ("exec as the leader", execs, 1);
	EQ("former ID", former, 1);
	EQ("one end", ends, 1);
	EQ("its code", code, 44);
}

static void filter(void)
{
	struct sock_filter f[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getppid, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRACE | 123),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog prog = {4, f};
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog) != 0)
		_exit(1);
	int first = syscall(SYS_getppid), e = errno;
	if (first != -1 || e != ENOSYS)
		_exit(2); // nobody asked for it
	raise(SIGUSR1);
	first = syscall(SYS_getppid);
	if (first != getpid())
		_exit(3);
	_exit(syscall(SYS_getppid) == getpid() ? 4 : 9);
}

static void seccomp(void)
{
	tracee(filter);
	STOPPED("seccomp", child, SIGSTOP);
	trace(CONT, child, 0, 0);
	STOPPED("not asked for", child, SIGUSR1);
	trace(PTRACE_SETOPTIONS, child, 0, PTRACE_O_TRACESECCOMP);
	trace(CONT, child, 0, 0);
	EVENT("asked for", child, PTRACE_EVENT_SECCOMP);
	EQ("data", message(), 123);
	EQ("orig_rax", regs().orig_rax, SYS_getppid);
	struct ptrace_syscall_info i = {0};
	EQ("info", trace(PTRACE_GET_SYSCALL_INFO, child, sizeof i, (long)&i), 84);
	EQ("op", i.op, PTRACE_SYSCALL_INFO_SECCOMP);
	EQ("nr", i.seccomp.nr, SYS_getppid);
	EQ("ret_data", i.seccomp.ret_data, 123);
	EQ("other call", trace(POKEUSER, child, 8 * ORIG_RAX, SYS_getpid), 0);
	trace(CONT, child, 0, 0);
	EVENT("again", child, PTRACE_EVENT_SECCOMP);
	trace(CONT, child, 0, 0);
	EXITED("seccomp end", child, 9);
}

// A tracer that is not the parent: the parent hears after it.
static void stranger(void)
{
	int up[2], down[2];
	MUST(pipe(up));
	MUST(pipe(down));
	MUST(pipe(pipes));
	pid_t target = plain(reads);
	asleep(target);
	fflush(stdout);
	pid_t tracer = MUST(fork());
	if (tracer == 0) {
		char c;
		child = target;
		int ok = trace(PTRACE_SEIZE, target, 0, PTRACE_O_TRACEEXIT) == 0;
		if (write(up[1], "s", 1) != 1 || read(down[0], &c, 1) != 1)
			_exit(1);
		ok = ok && next(target) == target && event() == PTRACE_EVENT_EXIT && message() == 'y' << 8;
		trace(CONT, target, 0, 0);
		siginfo_t si = {0};
		ok = ok && waitid(P_PID, target, &si, WEXITED | WNOWAIT) == 0 && si.si_pid == target; // it has ended
		if (write(up[1], "e", 1) != 1 || read(down[0], &c, 1) != 1)
			_exit(2);
		ok = ok && next(target) == target && status == 'y' << 8;
		_exit(ok ? 6 : 3);
	}
	char c = 0;
	EQ("seized", read(up[0], &c, 1), 1);
	EQ("write", write(pipes[1], "xy", 2), 2);
	EQ("go", write(down[1], "g", 1), 1);
	EQ("ended", read(up[0], &c, 1), 1);
	EQ("the parent waits", waitpid(target, &status, WNOHANG), 0);
	EQ("go", write(down[1], "g", 1), 1);
	EQ("tracer", waitpid(tracer, &status, 0), tracer);
	EQ("its view", status, 6 << 8);
	EQ("parent", waitpid(target, &status, 0), target);
	EQ("same status", status, 'y' << 8);

	// The end of a tracer.
	target = plain(reads);
	asleep(target);
	fflush(stdout);
	tracer = MUST(fork());
	if (tracer == 0) {
		trace(ATTACH, target, 0, 0);
		waitpid(target, NULL, __WALL);
		_exit(0);
	}
	waitpid(tracer, &status, 0);
	EQ("write", write(pipes[1], "xz", 2), 2);
	EQ("goes on", waitpid(target, &status, 0), target);
	EQ("to its end", status, 'z' << 8);
	target = plain(reads);
	asleep(target);
	fflush(stdout);
	tracer = MUST(fork());
	if (tracer == 0) {
		trace(PTRACE_SEIZE, target, 0, PTRACE_O_EXITKILL);
		_exit(0);
	}
	waitpid(tracer, &status, 0);
	EQ("EXITKILL", waitpid(target, &status, 0), target);
	EQ("killed", status, SIGKILL);
	for (int i = 0; i < 2; i++) {
		close(pipes[i]);
		close(up[i]);
		close(down[i]);
	}
}

static void stops(void)
{
	raise(SIGSTOP);
	_exit(5);
}

static void on_alarm(int sig) { kill(child, SIGKILL); }

enum { TAKEN_OVER = 1000 };
static pthread_barrier_t both;

// continues sends SIGCONT to each child: before it is taken over, at the same time, or after that.
static void *continues(void *arg)
{
	for (int i = 0; i < TAKEN_OVER; i++) {
		pthread_barrier_wait(&both);
		int64_t start = now_ns(CLOCK_MONOTONIC);
		while (now_ns(CLOCK_MONOTONIC) - start < i * 100)
			;
		kill(child, SIGCONT);
		pthread_barrier_wait(&both);
	}
	return arg;
}

// A debugger takes a stopped process over while another continues it, as strace does: whichever stop it is told of, it hears of
// the end of that. If it does not, the alarm ends the process.
static void taking_over(void)
{
	int ended = 0;
	pthread_t t;
	pthread_barrier_init(&both, NULL, 2);
	pthread_create(&t, NULL, continues, NULL);
	signal(SIGALRM, on_alarm);
	for (int i = 0; i < TAKEN_OVER; i++) {
		plain(stops);
		waitpid(child, &status, WUNTRACED);
		if (ended == i)
			alarm(20);
		else
			kill(child, SIGKILL); // one failure is enough
		pthread_barrier_wait(&both);
		trace(PTRACE_SEIZE, child, 0, 0);
		trace(PTRACE_INTERRUPT, child, 0, 0);
		while (next(child) == child && WIFSTOPPED(status)) {
			if (event() == PTRACE_EVENT_STOP)
				trace(WSTOPSIG(status) == SIGSTOP ? PTRACE_LISTEN : CONT, child, 0, 0);
			else
				trace(CONT, child, 0, WSTOPSIG(status));
		}
		alarm(0);
		pthread_barrier_wait(&both);
		ended += WIFEXITED(status) && WEXITSTATUS(status) == 5;
	}
	pthread_join(t, NULL);
	pthread_barrier_destroy(&both);
	signal(SIGALRM, SIG_DFL);
	EQ("taken over and continued", ended, TAKEN_OVER);
}

static void waits(void)
{
	tracee(nothing);
	siginfo_t si = {0};
	EQ("waitid WNOWAIT", waitid(P_PID, child, &si, WSTOPPED | WNOWAIT), 0);
	EQ("si_code", si.si_code, CLD_TRAPPED);
	EQ("si_status", si.si_status, SIGSTOP);
	EQ("si_pid", si.si_pid, child);
	EQ("si_signo", si.si_signo, SIGCHLD);
	memset(&si, 0, sizeof si);
	EQ("even for WEXITED", waitid(P_ALL, 0, &si, WEXITED), 0);
	EQ("si_code", si.si_code, CLD_TRAPPED);
	EQ("group", waitpid(0, &status, WNOHANG), 0);
	trace(PTRACE_SETOPTIONS, child, 0, PTRACE_O_TRACEEXIT);
	sigset_t s;
	sigemptyset(&s);
	sigaddset(&s, SIGCHLD);
	sigprocmask(SIG_BLOCK, &s, NULL);
	struct timespec none = {0, 0};
	while (sigtimedwait(&s, &si, &none) > 0)
		;
	trace(CONT, child, 0, 0);
	EQ("SIGCHLD", sigwaitinfo(&s, &si), SIGCHLD);
	EQ("si_code", si.si_code, CLD_TRAPPED);
	EQ("si_status", si.si_status, SIGTRAP);
	EQ("si_pid", si.si_pid, child);
	sigprocmask(SIG_UNBLOCK, &s, NULL);
	memset(&si, 0, sizeof si);
	EQ("waitid", waitid(P_PID, child, &si, WSTOPPED), 0);
	EQ("with the event", si.si_status, SIGTRAP | PTRACE_EVENT_EXIT << 8);
	EQ("message", message(), 7 << 8);
	trace(CONT, child, 0, 0);
	EXITED("waits end", child, 7);
}

static void permissions(void)
{
	if (getuid() != 0) {
		skip("permissions", "not root");
		return;
	}
	MUST(pipe(pipes));
	pid_t target = plain(reads);
	fflush(stdout);
	pid_t p = MUST(fork());
	if (p == 0) {
		struct iovec v = {&status, 4};
		if (setgid(65534) || setuid(65534))
			_exit(1);
		if (trace(ATTACH, target, 0, 0) != -1 || errno != EPERM)
			_exit(2);
		if (process_vm_readv(target, &v, 1, &v, 1, 0) != -1 || errno != EPERM)
			_exit(3);
		_exit(0);
	}
	waitpid(p, &status, 0);
	EQ("strangers may not", status, 0);
	EQ("write", write(pipes[1], "ij", 2), 2);
	EQ("wait", waitpid(target, &status, 0), target);
	close(pipes[0]);
	close(pipes[1]);
}

int main(int argc, char **argv)
{
	if (argc > 1 && !strcmp(argv[1], "exec"))
		return 44;
	first();
	memory();
	registers();
	calls();
	changes();
	sig();
	stepping();
	handler();
	hardware();
	hardware_kernel();
	attach();
	seize();
	events();
	execs();
	seccomp();
	stranger();
	taking_over();
	waits();
	permissions();
	done();
}
