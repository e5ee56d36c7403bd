// The state of processes and threads in /proc: R for what runs or could, S and D for what waits, T and t for what is
// stopped, Z for what has ended. proc_pid_stat(5), proc_pid_status(5), proc_pid_syscall(5).
#include "check.h"
#include <dirent.h>
#include <sys/ptrace.h>
#include <sys/wait.h>

static char letter(int pid, int tid)
{
	char path[80];
	if (tid)
		snprintf(path, sizeof path, "/proc/%d/task/%d/stat", pid, tid);
	else
		snprintf(path, sizeof path, "/proc/%d/stat", pid);
	const char *s = strrchr(get(path), ')');
	return s ? s[2] : '?';
}

static const char *field(int pid, const char *name)
{
	static char out[80];
	char path[80];
	snprintf(path, sizeof path, "/proc/%d/status", pid);
	const char *s = strstr(get(path), name);
	strcpy(out, "?");
	if (s)
		sscanf(s + strlen(name), " %79[^\n]", out);
	return out;
}

// becomes waits until a thread is in a state, for 10 s at most.
static char becomes(int pid, int tid, char want)
{
	char c = '?';
	for (int i = 0; i < 10000 && (c = letter(pid, tid)) != want; i++)
		sleep_ms(1);
	return c;
}

static pid_t spinner(void)
{
	fflush(stdout);
	pid_t child = fork();
	if (child == 0)
		for (volatile long i = 0;; i++)
			;
	return child;
}

static void end(pid_t child)
{
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
}

static void spinning(void)
{
	int other = 0, first = 0;
	for (int k = 0; k < 20; k++) {
		pid_t c = spinner();
		first += letter(c, 0) != 'R';
		for (int i = 0; i < 20; i++)
			other += letter(c, 0) != 'R';
		end(c);
	}
	EQ("a child that was just made is R", first, 0);
	EQ("a child that spins is R", other, 0);
	pid_t a = spinner(), b = spinner(), c = spinner(), d = spinner();
	other = 0;
	for (int i = 0; i < 100; i++)
		other += (letter(a, 0) != 'R') + (letter(b, 0) != 'R') + (letter(c, 0) != 'R') + (letter(d, 0) != 'R');
	EQ("so are four", other, 0);
	STR("in status", field(a, "State:"), "R (running)");
	char path[80];
	snprintf(path, sizeof path, "/proc/%d/syscall", b);
	STR("in no system call", get(path), "running\n");
	snprintf(path, sizeof path, "/proc/%d/wchan", b);
	STR("waits nowhere", get(path), "0");
	kill(a, SIGSTOP);
	waitpid(a, NULL, WUNTRACED);
	EQ("stopped", letter(a, 0), 'T');
	STR("stopped in status", field(a, "State:"), "T (stopped)");
	kill(a, SIGCONT);
	EQ("continued", letter(a, 0), 'R');
	end(a), end(b), end(c), end(d);
	EQ("oneself", letter(getpid(), 0), 'R');
}

static void waiting(void)
{
	int p[2];
	pipe(p);
	fflush(stdout);
	pid_t child = fork();
	if (child == 0) {
		char c;
		close(p[1]);
		read(p[0], &c, 1);
		for (;;)
			;
	}
	EQ("a child that reads is S", becomes(child, 0, 'S'), 'S');
	STR("sleeping in status", field(child, "State:"), "S (sleeping)");
	char path[80], call[80];
	snprintf(path, sizeof path, "/proc/%d/syscall", child);
	snprintf(call, sizeof call, "0 0x%x 0x", p[0]);
	OK("is in a system call", !strncmp(get(path), call, strlen(call)));
	write(p[1], "x", 1);
	EQ("and woken is R at once", letter(child, 0), 'R');
	end(child);

	child = fork();
	if (child == 0) {
		pid_t c = vfork();
		if (c == 0) {
			sleep_ms(1000);
			_exit(0);
		}
		_exit(0);
	}
	EQ("the parent of vfork is D", becomes(child, 0, 'D'), 'D');
	waitpid(child, NULL, 0);

	child = fork();
	if (child == 0)
		_exit(0);
	siginfo_t si;
	waitid(P_PID, child, &si, WEXITED | WNOWAIT);
	EQ("a zombie", letter(child, 0), 'Z');
	STR("a zombie in status", field(child, "State:"), "Z (zombie)");
	STR("counts as a thread", field(child, "Threads:"), "1");
	EQ("and is one", letter(child, child), 'Z');
	waitpid(child, NULL, 0);

	child = fork();
	if (child == 0) {
		ptrace(PTRACE_TRACEME, 0, 0, 0);
		raise(SIGUSR1);
		_exit(0);
	}
	waitpid(child, NULL, 0);
	EQ("stopped for its tracer", letter(child, 0), 't');
	STR("in status as well", field(child, "State:"), "t (tracing stop)");
	end(child);
}

static int tid_pipe[2];
static void *spins(void *arg)
{
	int tid = syscall(SYS_gettid);
	write(tid_pipe[1], &tid, sizeof tid);
	if (arg)
		pause();
	for (;;)
		;
}

static int entries(const char *path)
{
	DIR *d = opendir(path);
	int n = 0;
	for (struct dirent *e; (e = readdir(d));)
		n += e->d_name[0] != '.';
	closedir(d);
	return n;
}

static void threads(void)
{
	pipe(tid_pipe);
	fflush(stdout);
	pid_t child = fork();
	if (child == 0) {
		pthread_t t;
		pthread_create(&t, NULL, spins, NULL);
		pthread_create(&t, NULL, spins, (void *)1);
		syscall(SYS_exit, 0); // only the first thread
	}
	int a, b;
	read(tid_pipe[0], &a, sizeof a);
	read(tid_pipe[0], &b, sizeof b);
	EQ("a first thread that has ended is Z", becomes(child, 0, 'Z'), 'Z');
	STR("Z in status", field(child, "State:"), "Z (zombie)");
	EQ("Z as a thread", letter(child, child), 'Z');
	STR("counts", field(child, "Threads:"), "3");
	char path[80];
	snprintf(path, sizeof path, "/proc/%d/task", child);
	EQ("is listed", entries(path), 3);
	char x = becomes(child, a, 'R'), y = letter(child, b);
	OK("others run or wait", (x == 'R' && becomes(child, b, 'S') == 'S') || (becomes(child, b, 'R') == 'R' && becomes(child, a, 'S') == 'S'));
	EQ("nothing to wait for yet", waitpid(child, NULL, WNOHANG), 0);
	kill(child, SIGSTOP);
	waitpid(child, NULL, WUNTRACED);
	EQ("others are stopped", becomes(child, a, 'T'), 'T');
	EQ("the first is Z still", letter(child, 0), 'Z');
	end(child);
	snprintf(path, sizeof path, "/proc/%d", child);
	FAILS("gone", access(path, F_OK), ENOENT);
}

int main(void)
{
	spinning();
	waiting();
	threads();
	done();
}
