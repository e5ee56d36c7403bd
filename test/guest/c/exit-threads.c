// exit(2) of threads one by one: the status of the process is that of the thread that ends last.
#include "check.h"
#include <sys/wait.h>

static void *late(void *arg)
{
	sleep_ms(20);
	syscall(SYS_exit, 5);
	return arg;
}

static void *early(void *arg)
{
	syscall(SYS_exit, 6);
	return arg;
}

// leader_last: the first thread outlives the other one, which has ended when pthread_join returns.
static void leader_last(void)
{
	pthread_t t;
	pthread_create(&t, NULL, early, NULL);
	pthread_join(t, NULL);
	syscall(SYS_exit, 3);
}

static void leader_first(void)
{
	pthread_t t;
	pthread_create(&t, NULL, late, NULL);
	syscall(SYS_exit, 3);
}

static void *group(void *arg)
{
	sleep_ms(20);
	_exit(7);
}

static void leader_first_group(void)
{
	pthread_t t;
	pthread_create(&t, NULL, group, NULL);
	syscall(SYS_exit, 3);
}

static int status_of(void (*f)(void))
{
	int status = -1;
	fflush(stdout);
	pid_t p = MUST(fork());
	if (p == 0) {
		f();
		_exit(99);
	}
	EQ("wait", waitpid(p, &status, 0), p);
	return status;
}

static void by_waitid(void)
{
	siginfo_t si = {0};
	fflush(stdout);
	pid_t p = MUST(fork());
	if (p == 0)
		leader_first();
	EQ("waitid", waitid(P_PID, p, &si, WEXITED), 0);
	EQ("si_code", si.si_code, CLD_EXITED);
	EQ("si_status", si.si_status, 5);
}

int main(void)
{
	EQ("the leader is last", status_of(leader_last), 3 << 8);
	EQ("the leader is first", status_of(leader_first), 5 << 8);
	EQ("exit_group after the leader", status_of(leader_first_group), 7 << 8);
	by_waitid();
	done();
}
