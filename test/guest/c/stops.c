// When a stop of a process is there: who hears of it, and what a tracer can do at once.
#include "check.h"
#include <stddef.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>

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

static void halt(void) { raise(SIGSTOP); }

static void *pauses(void *unused)
{
	for (;;)
		pause();
}

static void threads(void)
{
	pthread_t t;
	for (int i = 0; i < 3; i++)
		pthread_create(&t, NULL, pauses, NULL);
	raise(SIGSTOP);
}

static void end(pid_t p)
{
	int status;
	kill(p, SIGKILL);
	while (waitpid(p, &status, __WALL) == p && !WIFEXITED(status) && !WIFSIGNALED(status))
		;
}

// state is the third field of /proc/PID/stat.
static char state(pid_t p)
{
	char path[40], text[300] = "";
	snprintf(path, sizeof path, "/proc/%d/stat", p);
	int fd = open(path, O_RDONLY);
	read(fd, text, sizeof text - 1);
	close(fd);
	char *s = strrchr(text, ')');
	return s ? s[2] : '?';
}

// attached attaches to a stopped process many times: it is traced at once.
static void attached(const char *name, void (*f)(void), int seize)
{
	int bad = 0, states = 0, status;
	char text[80];
	for (int i = 0; i < 60; i++) {
		pid_t p = start(f);
		waitpid(p, &status, WUNTRACED);
		states += state(p) != 'T';
		if (seize)
			bad += syscall(SYS_ptrace, PTRACE_SEIZE, p, 0, 0) != 0;
		else
			bad += ptrace(PTRACE_ATTACH, p, 0, 0) != 0;
		errno = 0;
		ptrace(PTRACE_PEEKUSER, p, offsetof(struct user, u_debugreg[0]), 0);
		bad += errno != 0;
		end(p);
	}
	snprintf(text, sizeof text, "%s: the tracee can be used at once", name);
	EQ(text, bad, 0);
	snprintf(text, sizeof text, "%s: T when it is told", name);
	EQ(text, states, 0);
}

static volatile int *child, *thread; // of in_vfork

static void *tells(void *unused)
{
	*thread = syscall(SYS_gettid);
	return pauses(NULL);
}

static void in_vfork(void)
{
	pthread_t t;
	pthread_create(&t, NULL, tells, NULL);
	if (vfork() == 0) {
		*child = getpid();
		for (;;)
			pause();
	}
}

static volatile int told, code, value;

static void heard(int sig, siginfo_t *si, void *unused)
{
	told++;
	code = si->si_code;
	value = si->si_status;
}

static void await(volatile int *what)
{
	for (int i = 0; i < 20000 && *what == 0; i++)
		usleep(500);
	usleep(20000);
}

// held has a thread that cannot stop: nobody hears of the stop before it does.
static void held(void)
{
	int status;
	struct sigaction sa = {.sa_sigaction = heard, .sa_flags = SA_SIGINFO | SA_RESTART};
	sigaction(SIGCHLD, &sa, NULL);
	pid_t p = start(in_vfork);
	await(child);
	await(thread);
	syscall(SYS_tgkill, p, *thread, SIGSTOP);
	usleep(50000);
	EQ("a stop that is held up", waitpid(p, &status, WUNTRACED | WNOHANG), 0);
	EQ("not told", told, 0);
	kill(p, SIGCONT);
	await(&told);
	EQ("told at SIGCONT", told, 1);
	EQ("as a stop", code, CLD_STOPPED);
	EQ("by no signal", value, 0);
	EQ("nothing to wait for", waitpid(p, &status, WUNTRACED | WNOHANG), 0);
	EQ("but the continuation", waitpid(p, &status, WCONTINUED), p);
	OK("continued", WIFCONTINUED(status));
	told = 0;
	syscall(SYS_tgkill, p, *thread, SIGSTOP);
	usleep(20000);
	kill(*child, SIGKILL);
	EQ("the stop, after the child's end", waitpid(p, &status, WUNTRACED), p);
	OK("a stop", WIFSTOPPED(status));
	EQ("told once", told, 1);
	kill(p, SIGKILL);
	usleep(50000);
	EQ("a stop that nobody waited for is gone after SIGKILL", waitpid(p, &status, WUNTRACED), p);
	EQ("the end", status, SIGKILL);
	p = start(halt);
	usleep(50000);
	kill(p, SIGKILL);
	usleep(50000);
	EQ("stopped and killed", waitpid(p, &status, WUNTRACED), p);
	EQ("killed", status, SIGKILL);
	signal(SIGCHLD, SIG_DFL);
}

int main(void)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	child = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	thread = child + 1;
	attached("attach", halt, 0);
	attached("attach with threads", threads, 0);
	attached("seize", halt, 1);
	held();
	return failures;
}
