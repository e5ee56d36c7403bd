// How killed.c and killednet.c end waits: a child waits in each call, in its first thread or in another one, and must end
// at SIGKILL, at a signal without a handler, when another thread calls execve(2) or exit_group(2), and when it is stopped
// first. No time is measured: a limit catches a wait that nothing ends.
#ifndef KILLING_H
#define KILLING_H
#include "check.h"
#include <sys/ptrace.h>
#include <sys/wait.h>

struct wait_case {
	const char *name; // begins with the system call's name
	void (*wait)(void);
};

static struct shared {
	volatile int ready, returned, error;
} *shared;

static void (*the_wait)(void);

// go says that the wait comes next: the parent kills a moment later.
#define go() (shared->ready = 1)

static void *wait_thread(void *unused)
{
	the_wait();
	shared->error = errno;
	shared->returned = 1;
	for (;;)
		pause();
}

static int killing_reaped(pid_t p, int *status)
{
	for (int i = 0; i < 30000; i++) {
		if (waitpid(p, status, WNOHANG) == p)
			return 1;
		usleep(i < 200 ? 100 : 1000);
	}
	return 0;
}

enum how { BY_KILL, BY_TERM, BY_EXEC, BY_EXIT, STOPPED_KILL, TRACED_KILL, ways };
static const char *how_names[] = {"SIGKILL", "SIGTERM", "execve", "exit_group", "SIGSTOP and SIGKILL", "SIGKILL under ptrace"};

static void settle(void)
{
	for (int i = 0; i < 30000 && !shared->ready; i++)
		usleep(200);
	usleep(4000);
}

// kill_one reports whether the wait ended, as it must.
static int kill_one(const struct wait_case *c, enum how how)
{
	memset((void *)shared, 0, sizeof *shared);
	the_wait = c->wait;
	fflush(stdout);
	pid_t p = MUST(fork());
	if (p == 0) {
		pthread_t t;
		setpgid(0, 0);
		if (how == BY_EXEC || how == BY_EXIT) {
			pthread_create(&t, NULL, wait_thread, NULL);
			settle();
			if (how == BY_EXIT)
				_exit(shared->returned ? 99 : 42);
			execl("/proc/self/exe", "killed", shared->returned ? "99" : "42", NULL);
		} else if (how == BY_TERM) { // the signal goes to the first thread, the wait is another's
			pthread_create(&t, NULL, wait_thread, NULL);
			for (;;)
				pause();
		}
		wait_thread(NULL);
	}
	setpgid(p, p);
	settle();
	int status = 0, good, traced = 0;
	if (how == STOPPED_KILL) {
		kill(p, SIGSTOP);
		usleep(3000);
	} else if (how == TRACED_KILL) {
		traced = syscall(SYS_ptrace, PTRACE_SEIZE, p, 0, 0) == 0;
		syscall(SYS_ptrace, PTRACE_INTERRUPT, p, 0, 0);
		usleep(3000);
	}
	if (how == BY_TERM)
		kill(p, SIGTERM);
	else if (how == BY_KILL || how == STOPPED_KILL || how == TRACED_KILL)
		kill(p, SIGKILL);
	good = killing_reaped(p, &status);
	if (good && traced && WIFSTOPPED(status)) // the stop came before the end
		good = killing_reaped(p, &status);
	int returned = shared->returned, error = shared->error, ended = good;
	switch (how) {
	case BY_TERM: good = good && WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM; break;
	case BY_EXEC:
	case BY_EXIT: good = good && status == 42 << 8; break;
	default: good = good && WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
	}
	if (returned && how != STOPPED_KILL && how != TRACED_KILL)
		good = 0;
	if (!good)
		printf("not ok %s, %s: %s, status %#x, %s, errno %d\n", c->name, how_names[how], ended ? "ended" : "still there",
		       status, returned ? "did not wait" : "waited", error);
	kill(-p, SIGKILL); // its children
	if (!ended)
		killing_reaped(p, &status);
	while (waitpid(-p, &status, __WALL) > 0)
		;
	return good;
}

static int kill_all(const struct wait_case *cases, int n)
{
	for (int i = 0; i < n; i++) {
		int good = 1;
		for (int how = 0; how < ways; how++)
			good &= kill_one(&cases[i], how);
		report(good, cases[i].name, "not each end");
	}
	return failures;
}

static void killing_init(int argc, char **argv)
{
	if (argc > 1)
		_exit(atoi(argv[1]));
	setvbuf(stdout, NULL, _IOLBF, 0);
	shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
}
#endif
