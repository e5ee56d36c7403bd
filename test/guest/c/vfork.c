// What ends the wait of vfork(2): the child's end or execve(2), and the end of the parent.
#include "check.h"
#include <sys/ptrace.h>
#include <sys/wait.h>

static volatile int *child; // the vfork child, which pauses

static void hang(void)
{
	if (vfork() == 0) {
		*child = getpid();
		for (;;)
			pause();
	}
}

static void *hanger(void *unused)
{
	hang();
	return NULL;
}

static void nothing(int sig) {}

// await waits until the parent is in vfork: its child runs.
static void await(void)
{
	for (int i = 0; i < 20000 && *child == 0; i++)
		usleep(500);
	usleep(20000);
}

// reaped reports whether p ends within ms.
static int reaped(pid_t p, int ms, int *status)
{
	for (int i = 0; i < ms; i++) {
		if (waitpid(p, status, WNOHANG) == p)
			return 1;
		usleep(1000);
	}
	return 0;
}

// finish wants the end of p with status, then ends the child.
static void finish(const char *name, pid_t p, int status)
{
	int got = 0;
	if (reaped(p, 20000, &got))
		EQ(name, got, status);
	else
		report(0, name, "still there");
	if (*child != 0)
		kill(*child, SIGKILL);
	if (got == 0)
		waitpid(p, &got, 0);
	*child = 0;
}

static pid_t start(void (*f)(void))
{
	fflush(stdout);
	pid_t p = MUST(fork());
	if (p == 0) {
		f();
		_exit(3);
	}
	return p;
}

static void exec_beside(void)
{
	pthread_t t;
	pthread_create(&t, NULL, hanger, NULL);
	await();
	char *argv[] = {"/proc/self/exe", "again", NULL};
	execv(argv[0], argv);
}

static void exit_beside(void)
{
	pthread_t t;
	pthread_create(&t, NULL, hanger, NULL);
	await();
	_exit(4);
}

static void with_thread(void)
{
	pthread_t t;
	pthread_create(&t, NULL, hanger, NULL);
	for (;;)
		pause();
}

static void handler(void)
{
	signal(SIGUSR1, nothing);
	hang();
}

static void blocked(void)
{
	sigset_t s;
	sigemptyset(&s);
	sigaddset(&s, SIGTERM);
	sigprocmask(SIG_BLOCK, &s, NULL);
	hang();
}

static void fatal(void)
{
	static const int sigs[] = {SIGKILL, SIGTERM, SIGHUP, SIGINT, SIGALRM, SIGUSR2};
	char name[40];
	for (unsigned i = 0; i < sizeof sigs / sizeof *sigs; i++) {
		pid_t p = start(hang);
		await();
		kill(p, sigs[i]);
		snprintf(name, sizeof name, "signal %d", sigs[i]);
		finish(name, p, sigs[i]);
	}
	pid_t p = start(hang);
	await();
	kill(p, SIGRTMIN + 2);
	finish("real-time signal", p, SIGRTMIN + 2);
	p = start(with_thread);
	await();
	kill(p, SIGTERM);
	finish("SIGTERM with two threads", p, SIGTERM);
	p = start(exec_beside);
	await();
	finish("exec by another thread", p, 42 << 8);
	p = start(exit_beside);
	await();
	finish("exit by another thread", p, 4 << 8);
}

// waits checks what does not end the wait: the child's end does then.
static void waits(void)
{
	int status;
	pid_t p = start(handler);
	await();
	kill(p, SIGUSR1);
	OK("a handler waits", !reaped(p, 100, &status));
	kill(p, SIGTERM); // which comes after the other one
	OK("a fatal signal behind one with a handler waits", !reaped(p, 100, &status));
	kill(p, SIGKILL);
	finish("SIGKILL does not", p, SIGKILL);

	p = start(blocked);
	await();
	kill(p, SIGTERM);
	OK("a blocked signal waits", !reaped(p, 100, &status));
	kill(*child, SIGKILL);
	finish("the child's end", p, 3 << 8);

	p = start(hang);
	await();
	kill(p, SIGQUIT);
	OK("a signal with a core waits", !reaped(p, 100, &status));
	kill(*child, SIGKILL);
	waitpid(p, &status, 0);
	EQ("SIGQUIT after the child's end", status & 0x7f, SIGQUIT);
	*child = 0;

	p = start(hang);
	await();
	kill(p, SIGSTOP);
	usleep(50000);
	EQ("a stop waits", waitpid(p, &status, WNOHANG | WUNTRACED), 0);
	kill(*child, SIGKILL);
	EQ("the stop after the child's end", waitpid(p, &status, WUNTRACED), p);
	OK("stopped", WIFSTOPPED(status));
	kill(p, SIGTERM);
	OK("a fatal signal to a stopped process waits", !reaped(p, 100, &status));
	kill(p, SIGCONT);
	finish("SIGTERM after SIGCONT", p, SIGTERM);

	// The tracer of a parent in vfork: no end before the child's, but SIGKILL.
	p = start(hang);
	await();
	EQ("attach", ptrace(PTRACE_ATTACH, p, 0, 0), 0);
	usleep(20000);
	EQ("no stop in vfork", waitpid(p, &status, WNOHANG | __WALL), 0);
	kill(p, SIGTERM);
	OK("a fatal signal to a traced process waits", !reaped(p, 100, &status));
	kill(p, SIGKILL);
	finish("SIGKILL to a traced process", p, SIGKILL);
}

static void orphan(void)
{
	// The child keeps the memory when the parent is killed.
	pid_t p = start(hang);
	await();
	pid_t c = *child;
	kill(p, SIGKILL);
	int status;
	waitpid(p, &status, 0);
	usleep(20000);
	EQ("the child lives", kill(c, 0), 0);
	kill(c, SIGKILL);
	*child = 0;
}

int main(int argc, char **argv)
{
	if (argc > 1)
		return 42;
	setvbuf(stdout, NULL, _IOLBF, 0);
	child = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	fatal();
	waits();
	orphan();
	return failures;
}
