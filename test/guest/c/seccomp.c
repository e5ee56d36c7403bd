// seccomp(2): strict mode and filters.
#include "check.h"
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#define NR (offsetof(struct seccomp_data, nr))
#define ARG(n) (offsetof(struct seccomp_data, args) + 8 * (n))

static int install(struct sock_filter *f, int n, int flags)
{
	struct sock_fprog p = {n, f};
	return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &p);
}

// deny makes one system call give a result.
static int deny(int nr, unsigned result, int flags)
{
	struct sock_filter f[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, NR),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, nr, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, result),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	return install(f, 4, flags);
}

static int in_child(int (*f)(void))
{
	fflush(stdout);
	pid_t p = fork();
	if (p == 0) {
		prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
		_exit(f());
	}
	int st;
	waitpid(p, &st, 0);
	return WIFEXITED(st) ? WEXITSTATUS(st) : 1000 + WTERMSIG(st);
}

static int errno_action(void)
{
	if (deny(SYS_getppid, SECCOMP_RET_ERRNO | 77, 0))
		return 1;
	if (syscall(SYS_getppid) != -1 || errno != 77)
		return 2;
	if (prctl(PR_GET_SECCOMP) != 2)
		return 3;
	if (deny(SYS_getppid, SECCOMP_RET_ERRNO | 78, 0)) // the newer filter's data counts
		return 4;
	if (syscall(SYS_getppid) != -1 || errno != 78)
		return 5;
	pid_t p = fork(); // a child has the filters
	if (p == 0)
		_exit(syscall(SYS_getppid) == -1 && errno == 78 ? 9 : 6);
	int st;
	waitpid(p, &st, 0);
	return WEXITSTATUS(st);
}

static int kill_process(void)
{
	deny(SYS_getppid, SECCOMP_RET_KILL_PROCESS, 0);
	syscall(SYS_getppid);
	return 1;
}

static int kill_thread(void)
{
	deny(SYS_getppid, SECCOMP_RET_KILL_THREAD, 0);
	syscall(SYS_getppid);
	return 1;
}

static int strict(void)
{
	prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT);
	syscall(SYS_exit, 14);
	return 1;
}

static int strict_kill(void)
{
	prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT);
	syscall(SYS_getpid);
	return 1;
}

static int arguments(void)
{
	struct sock_filter f[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, NR),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_dup2, 0, 3),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, ARG(1)),
		BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, 100, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	if (install(f, 6, 0))
		return 1;
	if (dup2(1, 50) != 50)
		return 2;
	return dup2(1, 101) == -1 && errno == EPERM ? 15 : 3;
}

static volatile int trapped, trap_errno;

static void handler(int sig, siginfo_t *i, void *c)
{
	ucontext_t *u = c;
	trapped = i->si_syscall;
	trap_errno = i->si_errno;
	if (i->si_code != 1 || i->si_arch != AUDIT_ARCH_X86_64)
		trapped = -1;
	u->uc_mcontext.gregs[REG_RAX] = 4321;
}

static int trap(void)
{
	struct sigaction sa = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO};
	sigaction(SIGSYS, &sa, NULL);
	deny(SYS_getppid, SECCOMP_RET_TRAP | 5, 0);
	long r = syscall(SYS_getppid);
	return trapped == SYS_getppid && trap_errno == 5 && r == 4321 ? 16 : 1;
}

static void *other(void *arg)
{
	while (*(volatile int *)arg == 0)
		sched_yield();
	return (void *)(long)(syscall(SYS_getppid) == -1 ? errno : 0);
}

static int tsync(void)
{
	pthread_t t;
	int go = 0;
	void *r;
	pthread_create(&t, NULL, other, &go);
	if (deny(SYS_getppid, SECCOMP_RET_ERRNO | 33, SECCOMP_FILTER_FLAG_TSYNC))
		return 1;
	*(volatile int *)&go = 1;
	pthread_join(t, &r);
	return (long)r == 33 ? 17 : 2;
}

static int bad(void)
{
	struct sock_filter f[] = {BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 64), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
	if (install(f, 2, 0) != -1 || errno != EINVAL)
		return 1;
	if (install(f + 1, 0, 0) != -1 || errno != EINVAL)
		return 2;
	if (syscall(SYS_seccomp, 77, 0, NULL) != -1 || errno != EINVAL)
		return 3;
	unsigned action = SECCOMP_RET_ERRNO;
	if (syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action))
		return 4;
	action = 0x12340000;
	if (syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action) != -1 || errno != EOPNOTSUPP)
		return 5;
	return 18;
}

int main(void)
{
	EQ("mode", prctl(PR_GET_SECCOMP), 0);
	EQ("errno", in_child(errno_action), 9);
	EQ("kill process", in_child(kill_process), 1000 + SIGSYS);
	EQ("kill the only thread", in_child(kill_thread), 1000 + SIGSYS);
	EQ("strict: exit", in_child(strict), 14);
	EQ("strict: others", in_child(strict_kill), 1000 + SIGKILL);
	EQ("arguments", in_child(arguments), 15);
	EQ("trap", in_child(trap), 16);
	EQ("tsync", in_child(tsync), 17);
	EQ("bad filters", in_child(bad), 18);
	done();
}
