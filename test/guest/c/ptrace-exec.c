// ptrace(2): an exec in a traced process with several threads ends the others, and what the tracer hears of that.
#include "check.h"
#include <linux/ptrace.h>
#include <sys/wait.h>

enum { TRACEME = 0, CONT = 7 }; // sys/ptrace.h and linux/ptrace.h do not go together

static int status;
static pid_t leader;
static int gone[2], go[2]; // gone closes with the exec, after the other threads have ended; go lets the exec begin

static long trace(long request, pid_t pid, unsigned long data) { return syscall(SYS_ptrace, request, pid, 0, data); }

static int next(pid_t pid)
{
	status = 0;
	return waitpid(pid, &status, __WALL);
}

static pid_t message(pid_t pid)
{
	unsigned long v = -1;
	trace(PTRACE_GETEVENTMSG, pid, (long)&v);
	return v;
}

#define STOPPED(name, pid, sig, ev) ({ \
	pid_t st_pid = (pid); \
	EQ(name ": wait", next(st_pid), st_pid); \
	EQ(name ": status", status, (ev) << 16 | (sig) << 8 | 0x7f); })

#define ENDED(name, pid, code) ({ \
	pid_t en_pid = (pid); \
	EQ(name ": wait", next(en_pid), en_pid); \
	EQ(name ": status", status, (code) << 8); })

static void run(void)
{
	char c, *argv[] = {"ptrace-exec", "exec", NULL};
	if (read(go[0], &c, 1) == 1)
		execv("/proc/self/exe", argv);
	_exit(98);
}

static void *run_thread(void *arg)
{
	run();
	return arg;
}

static void *sleeps(void *arg)
{
	for (;;)
		pause();
	return arg;
}

static void *ends(void *arg) { return arg; }

static void start(void *(*f)(void *))
{
	pthread_t t;
	pthread_create(&t, NULL, f, NULL);
}

// begin makes a traced process that runs f, up to its first stop, and continues it.
static void begin(void (*f)(void))
{
	MUST(pipe2(gone, O_CLOEXEC));
	MUST(pipe2(go, O_CLOEXEC));
	fflush(stdout);
	leader = MUST(fork());
	if (leader == 0) {
		close(gone[0]);
		if (trace(TRACEME, 0, 0) != 0)
			_exit(99);
		raise(SIGSTOP);
		f();
		sleeps(NULL);
	}
	close(gone[1]);
	STOPPED("first stop", leader, SIGSTOP, 0);
	trace(PTRACE_SETOPTIONS, leader, PTRACE_O_TRACEEXEC | PTRACE_O_TRACECLONE | PTRACE_O_EXITKILL);
	trace(CONT, leader, 0);
}

// created is the thread of which the leader, which then is in its stop, tells; it is in its first stop.
static pid_t created(void)
{
	STOPPED("clone", leader, SIGTRAP, PTRACE_EVENT_CLONE);
	pid_t t = message(leader);
	STOPPED("thread", t, SIGSTOP, 0);
	return t;
}

static void allow(void) { EQ("go", write(go[1], "g", 1), 1); }

// ran waits for the exec's event, and for the end of the program.
static void ran(pid_t former)
{
	STOPPED("exec", leader, SIGTRAP, PTRACE_EVENT_EXEC);
	EQ("former ID", message(leader), former);
	if (former != leader)
		FAILS("no such thread", trace(CONT, former, 0), ESRCH);
	trace(CONT, leader, 0);
	ENDED("end", leader, 44);
	FAILS("nobody else", next(-1), ECHILD);
	close(gone[0]);
	close(go[0]);
	close(go[1]);
}

static void one(void) { start(run_thread); }

// The leader is in a stop of which the tracer has been told.
static void leader_stopped(void)
{
	begin(one);
	pid_t t = created();
	allow();
	trace(CONT, t, 0);
	ran(t);
}

// It is in a stop of which the tracer has not been told, and is not told any more.
static void leader_unread(void)
{
	begin(one);
	siginfo_t si = {0};
	EQ("look", waitid(P_PID, leader, &si, WSTOPPED | WNOWAIT), 0);
	EQ("clone", si.si_status, SIGTRAP | PTRACE_EVENT_CLONE << 8);
	pid_t t = message(leader);
	STOPPED("thread", t, SIGSTOP, 0);
	allow();
	trace(CONT, t, 0);
	char c;
	EQ("it has run", read(gone[0], &c, 1), 0);
	ran(t);
}

static void two(void)
{
	start(sleeps);
	start(run_thread);
}

// Another thread ends: that is told before the exec, which waits until the tracer knows.
static void another(void)
{
	begin(two);
	pid_t other = created();
	trace(CONT, other, 0);
	trace(CONT, leader, 0);
	pid_t t = created();
	trace(CONT, leader, 0);
	allow();
	trace(CONT, t, 0);
	EQ("first news", next(-1), other);
	EQ("its end", status, 0);
	ran(t);
}

static void other_and_self(void)
{
	start(sleeps);
	run();
}

static void by_leader(void)
{
	begin(other_and_self);
	pid_t other = created();
	allow();
	trace(CONT, leader, 0); // the other is in its stop still
	EQ("first news", next(-1), other);
	EQ("its end", status, 0);
	ran(leader);
}

static void ended_and_self(void)
{
	start(ends);
	run();
}

// A thread that has ended before, and for which nobody has waited.
static void ended_before(void)
{
	begin(ended_and_self);
	pid_t other = created();
	trace(CONT, other, 0);
	siginfo_t si = {0};
	EQ("look", waitid(P_PID, other, &si, WEXITED | WNOWAIT | __WALL), 0);
	allow();
	trace(CONT, leader, 0);
	EQ("no exec yet", waitpid(leader, &status, WNOHANG | __WALL), 0);
	sleep_ms(20);
	EQ("nor later", waitpid(leader, &status, WNOHANG | __WALL), 0);
	ENDED("other", other, 0);
	ran(leader);
}

// SIGKILL ends the wait of an exec.
static void killed(void)
{
	begin(ended_and_self);
	pid_t other = created();
	trace(CONT, other, 0);
	siginfo_t si = {0};
	EQ("look", waitid(P_PID, other, &si, WEXITED | WNOWAIT | __WALL), 0);
	allow();
	trace(CONT, leader, 0);
	sleep_ms(20);
	EQ("kill", kill(leader, SIGKILL), 0);
	EQ("other: wait", next(other), other);
	EQ("the status of its process", status, SIGKILL);
	EQ("wait", next(leader), leader);
	EQ("killed", status, SIGKILL);
	FAILS("nobody else", next(-1), ECHILD);
	close(gone[0]);
	close(go[0]);
	close(go[1]);
}

int main(int argc, char **argv)
{
	if (argc > 1 && !strcmp(argv[1], "exec"))
		return 44;
	leader_stopped();
	leader_unread();
	another();
	by_leader();
	ended_before();
	killed();
	done();
}
