// Parents and children: how they are made, what wait(2) tells, who hears of an
// end, what exec and changes of identity leave, and the limits and permissions
// that are counted by user.
#include "check.h"
#include <grp.h>
#include <linux/sched.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>

// CHILD: a process that runs the statements; its status is that of _exit.
#define CHILD(...) ({ \
	fflush(stdout); \
	pid_t child_pid = MUST(fork()); \
	if (child_pid == 0) { \
		__VA_ARGS__; \
		fflush(stdout); \
		_exit(failures); \
	} \
	child_pid; })

// reap waits for a process and gives its status of wait(2).
static int reap(pid_t pid)
{
	int status = -1;
	while (waitpid(pid, &status, __WALL) == -1 && errno == EINTR)
		;
	return status;
}

// run is a child that makes checks of its own.
#define RUN(...) ({ int run_status = reap(CHILD(failures = 0; __VA_ARGS__)); failures += WEXITSTATUS(run_status); run_status; })

static long clone_raw(unsigned long flags) { return syscall(SYS_clone, flags, 0, 0, 0, 0); }

static void *wait_no_thread(void *pid)
{
	int status;
	FAILS("__WNOTHREAD, child of another thread", wait4(*(pid_t *)pid, &status, __WNOTHREAD, NULL), ECHILD);
	EQ("child of another thread", wait4(*(pid_t *)pid, &status, 0, NULL), *(pid_t *)pid);
	return NULL;
}

static void waiting(void)
{
	int status;
	pid_t pid = clone_raw(0);
	if (pid == 0)
		_exit(4);
	FAILS("no signal at its end: not for wait", waitpid(pid, &status, 0), ECHILD);
	EQ("__WCLONE", waitpid(pid, &status, __WCLONE), pid);
	EQ("its status", status, 4 << 8);
	siginfo_t info;
	pid = clone_raw(0);
	if (pid == 0)
		_exit(5);
	EQ("waitid __WCLONE", waitid(P_PID, pid, &info, WEXITED | __WCLONE), 0);
	EQ("its status", info.si_status, 5);
	pid = clone_raw(200);
	if (pid == 0)
		_exit(0);
	EQ("an exit signal that is none", waitpid(pid, &status, __WALL), pid);

	int ready[2];
	MUST(pipe2(ready, O_CLOEXEC));
	signal(SIGUSR2, SIG_IGN);
	pid = clone_raw(SIGUSR2);
	if (pid == 0) {
		execl("/proc/self/exe", "family", "five", NULL);
		_exit(1);
	}
	close(ready[1]);
	char c;
	EQ("exec closes the pipe", read(ready[0], &c, 1), 0);
	EQ("after exec SIGCHLD is the exit signal", waitpid(pid, &status, 0), pid);
	EQ("its status", status, 5 << 8);
	close(ready[0]);
	signal(SIGUSR2, SIG_DFL);

	pthread_t thread;
	pid = CHILD(_exit(0));
	pthread_create(&thread, NULL, wait_no_thread, &pid);
	pthread_join(thread, NULL);
}

static int report_fd;

// await blocks a signal, says that it is ready and tells of the signal.
static void await(int sig)
{
	sigset_t set;
	siginfo_t info;
	sigemptyset(&set);
	sigaddset(&set, sig);
	sigprocmask(SIG_BLOCK, &set, NULL);
	prctl(PR_SET_PDEATHSIG, sig);
	write(report_fd, "r", 1);
	sigwaitinfo(&set, &info);
	write(report_fd, &info, sizeof info);
	_exit(0);
}

static pid_t grandchild;

static void *have_child(void *ready)
{
	char c;
	grandchild = CHILD(await(SIGUSR1));
	read(*(int *)ready, &c, 1);
	return NULL;
}

static void death(void)
{
	int p[2];
	siginfo_t info;
	char c;
	MUST(pipe(p));
	report_fd = p[1];
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	pid_t pid = CHILD(CHILD(await(SIGUSR1)); read(p[0], &c, 1));
	reap(pid);
	EQ("the end of a parent", read(p[0], &info, sizeof info), sizeof info);
	OK("a signal of the parent", info.si_signo == SIGUSR1 && info.si_code == SI_USER && info.si_pid == pid);
	reap(-1);
	prctl(PR_SET_CHILD_SUBREAPER, 0);

	pthread_t thread;
	pthread_create(&thread, NULL, have_child, &p[0]);
	pthread_join(thread, NULL);
	EQ("the end of the thread that made it", read(p[0], &info, sizeof info), sizeof info);
	OK("a signal of this process", info.si_signo == SIGUSR1 && info.si_pid == getpid());
	reap(grandchild);
	close(p[0]);
	close(p[1]);
}

static long clone3_of(struct clone_args *a)
{
	fflush(stdout);
	long pid = syscall(SYS_clone3, a, sizeof *a);
	if (pid == 0)
		_exit(0);
	if (pid > 0)
		reap(pid);
	return pid;
}

#define CLONE3(...) clone3_of(&(struct clone_args){.exit_signal = SIGCHLD, __VA_ARGS__})

static void cloning(void)
{
	int id = 0;
	pid_t want[2] = {getpid(), 1};
	OK("clone3", CLONE3(.flags = 0) > 0);
	FAILS("CLONE_DETACHED", CLONE3(.flags = CLONE_DETACHED), EINVAL);
	FAILS("one place for two numbers", CLONE3(.flags = CLONE_PIDFD | CLONE_PARENT_SETTID, .pidfd = (long)&id, .parent_tid = (long)&id), EINVAL);
	FAILS("TLS beyond user memory", CLONE3(.flags = CLONE_SETTLS, .tls = 1UL << 60), EPERM);
	FAILS("set_tid without a size", CLONE3(.set_tid = (long)want), EINVAL);
	FAILS("a size without set_tid", CLONE3(.set_tid_size = 1), EINVAL);
	FAILS("too many levels", CLONE3(.set_tid = (long)want, .set_tid_size = 33), EINVAL);
	FAILS("more levels than there are", CLONE3(.set_tid = (long)want, .set_tid_size = 2), EINVAL);
	FAILS("set_tid at a bad address", CLONE3(.set_tid = 8, .set_tid_size = 1), EFAULT);
	FAILS("an ID that is taken", CLONE3(.set_tid = (long)want, .set_tid_size = 1), EEXIST);
	want[0] = 0;
	FAILS("ID 0", CLONE3(.set_tid = (long)want, .set_tid_size = 1), EINVAL);
	for (want[0] = 30000; kill(want[0], 0) == 0; want[0]++)
		;
	EQ("an ID that is free", CLONE3(.set_tid = (long)want, .set_tid_size = 1), want[0]);
	RUN(setuid(1000); FAILS("set_tid without privilege", CLONE3(.set_tid = (long)want, .set_tid_size = 1), EPERM));

	int *shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid_t pid = syscall(SYS_clone, CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID | SIGCHLD, 0, 0, shared, 0);
	if (pid == 0)
		_exit(0);
	reap(pid);
	EQ("CLEARTID in memory of its own does nothing", *shared, pid);
	EQ("unshare what is not shared", unshare(CLONE_VM | CLONE_THREAD | CLONE_SIGHAND), 0);
	FAILS("unshare nonsense", unshare(1), EINVAL);
}

static void identity(void)
{
	if (getuid() != 0) {
		skip("identity", "needs root");
		return;
	}
	RUN(int sig; prctl(PR_SET_PDEATHSIG, SIGUSR1); setuid(1000); prctl(PR_GET_PDEATHSIG, &sig); EQ("PDEATHSIG after setuid", sig, 0);
	    EQ("dumpable after setuid", prctl(PR_GET_DUMPABLE), 0));
	// A user of whom nobody else has processes.
	pid_t other = CHILD(pause());
	RUN(setuid(54321); EQ("kill(-1) that reaches nobody", kill(-1, 0), 0));
	kill(other, SIGKILL);
	reap(other);
	RUN(struct rlimit two = {8192, 8192}; char *m = mmap(NULL, 1 << 16, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	    setrlimit(RLIMIT_MEMLOCK, &two); EQ("root locks more than the limit", mlock(m, 12288), 0); munlock(m, 12288);
	    setuid(54321); FAILS("and no more after setuid", mlock(m, 12288), ENOMEM); EQ("up to the limit", mlock(m, 8192), 0));
	// The limit counts the processes of one user, and not root's.
	RUN(struct rlimit few = {3, 3}; setrlimit(RLIMIT_NPROC, &few); setuid(54321); int made = 0; pid_t p[8];
	    while (made < 8) {
		    pid_t n = fork();
		    if (n == 0) {
			    pause();
			    _exit(0);
		    }
		    if (n < 0)
			    break;
		    p[made++] = n;
	    }
	    int error = errno;
	    EQ("processes beside this one", made, 2); EQ("EAGAIN", error, EAGAIN);
	    while (made > 0) {
		    kill(p[--made], SIGKILL);
		    reap(p[made]);
	    });

	// A copy of this program that has another user.
	work_dir();
	chmod(".", 0755);
	int in = MUST(open("/proc/self/exe", O_RDONLY)), out = MUST(open("suid", O_WRONLY | O_CREAT, 0755));
	static char b[65536];
	for (ssize_t n; (n = read(in, b, sizeof b)) > 0;)
		write(out, b, n);
	close(in);
	close(out);
	chown("suid", 1000, 1000);
	chmod("suid", 04755);
	EQ("a set-user-ID program", reap(CHILD(setuid(54321); prctl(PR_SET_PDEATHSIG, SIGUSR1); execl("suid", "suid", "trust", NULL))), 0);
	EQ("keep-caps ends with exec", reap(CHILD(prctl(PR_SET_KEEPCAPS, 1); execl("/proc/self/exe", "family", "keep", NULL))), 0);
	in = MUST(open("/proc/self/exe", O_RDONLY | O_CLOEXEC));
	EQ("fexecve", reap(CHILD(char *argv[] = {"x", "name", NULL}; char *none[] = {NULL}; fexecve(in, argv, none))), 0);
	unlink("suid");
}

// execed is what this program does when it has executed itself: the status is 0
// if things are as they should be.
static int execed(const char *what)
{
	int sig = -1;
	if (strcmp(what, "five") == 0)
		return 5;
	if (strcmp(what, "trust") == 0)
		return prctl(PR_GET_PDEATHSIG, &sig) != 0 || sig != 0 || prctl(PR_GET_DUMPABLE) == 1 || geteuid() != 1000;
	if (strcmp(what, "keep") == 0)
		return prctl(PR_GET_KEEPCAPS);
	return strcmp(get("/proc/self/comm"), "\n") == 0; // Linux has named it after the descriptor, and now the file
}

int main(int argc, char **argv)
{
	if (argc > 1)
		return execed(argv[1]);
	waiting();
	death();
	cloning();
	identity();
	done();
}
