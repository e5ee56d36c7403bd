// What WCOREDUMP says with a small RLIMIT_CORE, and an eventfd at its maximum that AIO tells of a completion.
#include "check.h"
#include <linux/aio_abi.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>

static int threads;

static void *sleeper(void *a) { pause(); return a; }

// dump ends a child by a signal with a limit, and tells WCOREDUMP and whether there is a core file that is not too long.
static const char *dump(rlim_t limit, int dumpable)
{
	static char text[64];
	unlink("core");
	pid_t p = fork();
	if (p == 0) {
		struct rlimit r = {limit, RLIM_INFINITY};
		setrlimit(RLIMIT_CORE, &r);
		prctl(PR_SET_DUMPABLE, dumpable);
		for (int i = 0; i < threads; i++) {
			pthread_t t;
			pthread_create(&t, NULL, sleeper, NULL);
		}
		kill(getpid(), SIGQUIT);
		_exit(1);
	}
	int status;
	waitpid(p, &status, 0);
	struct stat st;
	int there = stat("core", &st) == 0;
	sprintf(text, "%d %s%s", WTERMSIG(status), WCOREDUMP(status) ? "dumped" : "not dumped",
		!there ? "" : (rlim_t)st.st_size > limit ? ", too long" : st.st_size == 0 ? ", empty" : ", a file");
	return text;
}

int main(void)
{
	work_dir();
	char pattern[256];
	snprintf(pattern, sizeof pattern, "%s", get("/proc/sys/kernel/core_pattern"));
	put("/proc/sys/kernel/core_pattern", "core");
	put("/proc/sys/kernel/core_uses_pid", "0");
	STR("no limit", dump(RLIM_INFINITY, 1), "3 dumped, a file");
	STR("0", dump(0, 1), "3 not dumped");
	STR("1", dump(1, 1), "3 not dumped");
	STR("4095", dump(4095, 1), "3 not dumped");
	STR("4096", dump(4096, 1), "3 dumped, a file");
	threads = 40; // more registers than fit
	STR("4096 with threads", dump(4096, 1), "3 dumped, a file");
	threads = 0;
	STR("not dumpable", dump(RLIM_INFINITY, 0), "3 not dumped");
	put("core", "");
	chmod("core", 0400);
	mkdir("core.d", 0755);
	put("/proc/sys/kernel/core_pattern", "core.d");
	STR("a directory in its place", dump(RLIM_INFINITY, 1), "3 not dumped");
	put("/proc/sys/kernel/core_pattern", "nothing/core");
	STR("nowhere to put it", dump(RLIM_INFINITY, 1), "3 not dumped");
	put("/proc/sys/kernel/core_pattern", pattern);

	aio_context_t ctx = 0;
	MUST(syscall(SYS_io_setup, 4, &ctx));
	int fd = MUST(open("f", O_RDWR | O_CREAT, 0600)), ev = MUST(eventfd(0, 0));
	uint64_t v = UINT64_MAX - 1;
	EQ("the largest count", write(ev, &v, 8), 8);
	struct iocb cb = {.aio_lio_opcode = IOCB_CMD_PWRITE, .aio_fildes = fd, .aio_buf = (uintptr_t)"hello", .aio_nbytes = 5,
		.aio_flags = IOCB_FLAG_RESFD, .aio_resfd = ev}, *list[1] = {&cb};
	struct io_event done_event;
	alarm(20);
	for (int i = 0; i < 2; i++) {
		EQ("submit", syscall(SYS_io_submit, ctx, 1, list), 1);
		EQ("complete", syscall(SYS_io_getevents, ctx, 1, 1, &done_event, NULL), 1);
		EQ("result", done_event.res, 5);
	}
	struct pollfd p = {ev, POLLIN | POLLOUT, 0};
	EQ("poll", poll(&p, 1, 0), 1);
	EQ("it is over its maximum", p.revents, POLLIN | POLLERR);
	EQ("read", read(ev, &v, 8), 8);
	OK("all ones", v == UINT64_MAX);
	fcntl(ev, F_SETFL, O_NONBLOCK);
	FAILS("nothing is left", read(ev, &v, 8), EAGAIN);
	EQ("poll then", ({ p.revents = 0; poll(&p, 1, 0); p.revents; }), POLLOUT);
	done();
}
