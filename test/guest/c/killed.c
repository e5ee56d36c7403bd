// Every call that can wait, but those of sockets (killednet.c): what ends the thread ends the wait.
#include "killing.h"
#include <dirent.h>
#include <linux/aio_abi.h>
#include <linux/futex.h>
#include <linux/io_uring.h>
#include <linux/netlink.h>
#include <linux/openat2.h>
#include <linux/sched.h>
#include <mqueue.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/msg.h>
#include <sys/select.h>
#include <sys/sem.h>
#include <sys/sendfile.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <termios.h>

static char buf[1 << 17];
static struct iovec iov = {buf, sizeof buf};
static int p[2], full[2]; // an empty pipe, and a full one
static struct timespec forever = {1000000, 0};

static void pipes(void)
{
	pipe(p);
	pipe2(full, O_NONBLOCK);
	while (write(full[1], buf, 4096) > 0)
		;
	fcntl(full[1], F_SETFL, 0);
}

// A descriptor that never has anything to read.
static void reads(int fd) { go(); syscall(SYS_read, fd, buf, 200); }

static void read_pipe(void) { pipes(); reads(p[0]); }
static void read_eventfd(void) { reads(eventfd(0, 0)); }
static void read_timerfd(void) { reads(timerfd_create(CLOCK_MONOTONIC, 0)); }
static void read_inotify(void) { reads(inotify_init()); }
static void read_fifo(void) { reads(open("fifo", O_RDWR)); }
static void read_socket(void) { int s[2]; socketpair(AF_UNIX, SOCK_STREAM, 0, s); reads(s[0]); }
static void read_signalfd(void)
{
	sigset_t s;
	sigemptyset(&s);
	sigaddset(&s, SIGUSR1);
	reads(signalfd(-1, &s, 0));
}

static int m; // of open_slave
static int open_slave(void)
{
	m = posix_openpt(O_RDWR | O_NOCTTY);
	unlockpt(m);
	return open(ptsname(m), O_RDWR | O_NOCTTY);
}

static void read_tty(void) { reads(open_slave()); }
static void read_master(void) { open_slave(); reads(m); }
static void read_raw_tty(void)
{
	struct termios t;
	int s = open_slave();
	tcgetattr(s, &t);
	cfmakeraw(&t);
	t.c_cc[VMIN] = 5;
	tcsetattr(s, TCSANOW, &t);
	write(m, "abc", 3);
	reads(s);
}

static void readv_pipe(void) { pipes(); go(); readv(p[0], &iov, 1); }
static void preadv2_pipe(void) { pipes(); go(); preadv2(p[0], &iov, 1, -1, 0); }

static void write_pipe(void) { pipes(); go(); write(full[1], buf, 100); }
static void write_part(void) { pipes(); go(); write(p[1], buf, 100000); }
static void write_eventfd(void) { int e = eventfd(-2u, 0); uint64_t v = -2ull; go(); write(e, &v, 8); }
static void write_tty(void)
{
	int s = open_slave();
	tcflow(s, TCOOFF);
	go();
	for (;;)
		write(s, buf, sizeof buf);
}
static void writev_pipe(void) { pipes(); go(); writev(full[1], &iov, 1); }
static void pwritev2_pipe(void) { pipes(); go(); pwritev2(full[1], &iov, 1, -1, 0); }

static void open_fifo(void) { go(); syscall(SYS_open, "fifo", O_RDONLY); }
static void openat_fifo(void) { go(); syscall(SYS_openat, AT_FDCWD, "fifo", O_WRONLY); }
static void openat2_fifo(void)
{
	struct open_how how = {.flags = O_RDONLY};
	go();
	syscall(SYS_openat2, AT_FDCWD, "fifo", &how, sizeof how);
}
static void creat_fifo(void) { go(); syscall(SYS_creat, "fifo", 0600); }

// open_locked opens a file of the case's own: what an earlier case has locked may not be free yet.
static int open_locked(pid_t owner)
{
	char name[40];
	snprintf(name, sizeof name, "lock%d", owner);
	return open(name, O_RDWR | O_CREAT, 0600);
}

static void flock_(void)
{
	flock(open_locked(getpid()), LOCK_EX);
	int f = open_locked(getpid());
	go();
	flock(f, LOCK_SH);
}

// another holds the lock in a child.
static void lock_in_child(void)
{
	int ready[2];
	pid_t owner = getpid();
	pipe(ready);
	if (fork() == 0) {
		struct flock l = {.l_type = F_WRLCK};
		fcntl(open_locked(owner), F_SETLK, &l);
		write(ready[1], "", 1);
		for (;;)
			pause();
	}
	read(ready[0], buf, 1);
}

static void fcntl_setlkw(void)
{
	struct flock l = {.l_type = F_WRLCK};
	lock_in_child();
	int f = open_locked(getpid());
	go();
	fcntl(f, F_SETLKW, &l);
}

static void fcntl_ofd(void)
{
	struct flock l = {.l_type = F_WRLCK};
	fcntl(open_locked(getpid()), F_OFD_SETLK, &l);
	int f = open_locked(getpid());
	go();
	fcntl(f, F_OFD_SETLKW, &l);
}

static uint32_t word, other;
static void futex_wait_(void) { go(); syscall(SYS_futex, &word, FUTEX_WAIT, 0, NULL); }
static void futex_wait_time(void) { go(); syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, 0, &forever); }
static void futex_bitset(void) { go(); syscall(SYS_futex, &word, FUTEX_WAIT_BITSET, 0, NULL, NULL, 1); }

static void *holder(void *unused)
{
	syscall(SYS_futex, &word, FUTEX_LOCK_PI_PRIVATE, 0, NULL);
	other = 1;
	for (;;)
		pause();
}

static void hold(void)
{
	pthread_t t;
	pthread_create(&t, NULL, holder, NULL);
	while (*(volatile uint32_t *)&other == 0)
		usleep(100);
	go();
}

static void futex_lock_pi(void) { hold(); syscall(SYS_futex, &word, FUTEX_LOCK_PI_PRIVATE, 0, NULL); }
static void futex_lock_pi2(void) { hold(); syscall(SYS_futex, &word, 13 | FUTEX_PRIVATE_FLAG, 0, &forever); }
static void futex_waitv_(void)
{
	struct { uint64_t val, uaddr; uint32_t flags, pad; } v[2] = {{0, (uint64_t)&word, 2, 0}, {0, (uint64_t)&other, 2, 0}};
	go();
	syscall(SYS_futex_waitv, v, 2, 0, NULL, 0);
}

static void nanosleep_(void) { go(); syscall(SYS_nanosleep, &forever, NULL); }
static void clock_nanosleep_(void) { go(); syscall(SYS_clock_nanosleep, CLOCK_BOOTTIME, 0, &forever, NULL); }
static void clock_nanosleep_cpu(void) { go(); syscall(SYS_clock_nanosleep, CLOCK_PROCESS_CPUTIME_ID, 0, &forever, NULL); }
static void pause_(void) { go(); syscall(SYS_pause); }
static void sigsuspend_(void)
{
	uint64_t none = 0;
	go();
	syscall(SYS_rt_sigsuspend, &none, 8);
}
static void sigtimedwait_(void)
{
	uint64_t usr1 = 1 << (SIGUSR1 - 1);
	go();
	syscall(SYS_rt_sigtimedwait, &usr1, NULL, NULL, 8);
}
// A stop and its end make a sleep go on in restart_syscall(2).
static void restart_(void)
{
	pid_t me = getpid();
	if (fork() == 0) {
		usleep(2000);
		kill(me, SIGSTOP);
		usleep(2000);
		kill(me, SIGCONT);
		usleep(2000);
		go();
		for (;;)
			pause();
	}
	syscall(SYS_nanosleep, &forever, NULL);
}

static void child(void)
{
	if (fork() == 0)
		for (;;)
			pause();
	go();
}
static void wait4_(void) { child(); syscall(SYS_wait4, -1, NULL, 0, NULL); }
static void waitid_(void) { child(); syscall(SYS_waitid, P_ALL, 0, NULL, WEXITED | WSTOPPED, NULL); }

static void select_(void)
{
	fd_set s;
	pipes();
	FD_ZERO(&s);
	FD_SET(p[0], &s);
	go();
	syscall(SYS_select, p[0] + 1, &s, NULL, NULL, NULL);
}
static void pselect_(void) { uint64_t m[2] = {0, 8}; void *a[2] = {m, (void *)8}; go(); syscall(SYS_pselect6, 0, NULL, NULL, NULL, NULL, a); }
static struct pollfd pf;
static void poll_(void) { pipes(); pf = (struct pollfd){p[0], POLLIN}; go(); syscall(SYS_poll, &pf, 1, -1); }
static void ppoll_(void) { pipes(); pf = (struct pollfd){full[1], POLLOUT}; go(); syscall(SYS_ppoll, &pf, 1, NULL, NULL, 8); }
static struct epoll_event ev;
static int epoll_pipe(void)
{
	int e = epoll_create1(0);
	pipes();
	ev.events = EPOLLIN;
	epoll_ctl(e, EPOLL_CTL_ADD, p[0], &ev);
	go();
	return e;
}
static void epoll_wait_(void) { int e = epoll_pipe(); syscall(SYS_epoll_wait, e, &ev, 1, -1); }
static void epoll_pwait_(void) { int e = epoll_pipe(); syscall(SYS_epoll_pwait, e, &ev, 1, -1, NULL, 8); }
static void epoll_pwait2_(void) { int e = epoll_pipe(); syscall(SYS_epoll_pwait2, e, &ev, 1, &forever, NULL, 8); }

// The objects of SysV IPC are the parent's, and taken away at the end.
static int queue, set;
static void msgrcv_(void) { go(); msgrcv(queue, buf, 100, 77, 0); }
static void msgsnd_(void)
{
	struct { long type; char text[1000]; } message = {.type = 5};
	while (msgsnd(queue, &message, sizeof message.text, IPC_NOWAIT) == 0)
		;
	go();
	msgsnd(queue, &message, sizeof message.text, 0);
}
static struct sembuf op = {0, -1, 0};
static void semop_(void) { go(); syscall(SYS_semop, set, &op, 1); }
static void semtimedop_(void) { go(); syscall(SYS_semtimedop, set, &op, 1, &forever); }

static mqd_t open_mq(void)
{
	struct mq_attr a = {.mq_maxmsg = 2, .mq_msgsize = 100};
	char name[40];
	snprintf(name, sizeof name, "/gosv-killed-%d", getpid());
	mqd_t q = mq_open(name, O_RDWR | O_CREAT, 0600, &a);
	mq_unlink(name);
	return q;
}
static void mq_send_(void)
{
	mqd_t q = open_mq();
	mq_send(q, "x", 1, 0);
	mq_send(q, "x", 1, 0);
	go();
	mq_send(q, "x", 1, 0);
}
static void mq_receive_(void) { mqd_t q = open_mq(); go(); mq_receive(q, buf, 100, NULL); }
static void mq_notify_(void)
{
	mqd_t q = open_mq();
	int s = socket(AF_NETLINK, SOCK_RAW, 0), small = 1;
	setsockopt(s, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
	struct sigevent e = {.sigev_notify = SIGEV_THREAD, .sigev_signo = s};
	e.sigev_value.sival_ptr = buf;
	go();
	for (int i = 0; i < 100000 && syscall(SYS_mq_notify, q, &e) == 0; i++)
		mq_notify(q, NULL);
}

static void uring_enter(void)
{
	struct io_uring_params u = {0};
	int r = syscall(SYS_io_uring_setup, 4, &u);
	go();
	syscall(SYS_io_uring_enter, r, 0, 1, IORING_ENTER_GETEVENTS, NULL, 0);
}

// uring_read has a request under way that does not end either.
static void uring_read(void)
{
	struct io_uring_params u = {0};
	int r = syscall(SYS_io_uring_setup, 4, &u);
	char *ring = mmap(NULL, u.sq_off.array + 4 * u.sq_entries, PROT_READ | PROT_WRITE, MAP_SHARED, r, IORING_OFF_SQ_RING);
	struct io_uring_sqe *e = mmap(NULL, u.sq_entries * sizeof *e, PROT_READ | PROT_WRITE, MAP_SHARED, r, IORING_OFF_SQES);
	pipes();
	memset(e, 0, sizeof *e);
	e->opcode = IORING_OP_READ;
	e->fd = p[0];
	e->addr = (uint64_t)buf;
	e->len = 10;
	e->flags = IOSQE_ASYNC;
	((uint32_t *)(ring + u.sq_off.array))[0] = 0;
	*(volatile uint32_t *)(ring + u.sq_off.tail) = 1;
	go();
	syscall(SYS_io_uring_enter, r, 1, 1, IORING_ENTER_GETEVENTS, NULL, 0);
}

static void getevents(int call)
{
	aio_context_t c = 0;
	struct io_event e;
	syscall(SYS_io_setup, 4, &c);
	go();
	syscall(call, c, 1, 1, &e, NULL, NULL);
}
static void io_getevents_(void) { getevents(SYS_io_getevents); }
static void io_pgetevents_(void) { getevents(SYS_io_pgetevents); }

static void vfork_(void)
{
	if (vfork() == 0) {
		go();
		for (;;)
			pause();
	}
}

// cloned makes a vfork child on a stack of its own.
static int cloned(void *unused)
{
	go();
	for (;;)
		pause();
}
static void clone_(void) { clone(cloned, buf + sizeof buf, CLONE_VM | CLONE_VFORK | SIGCHLD, NULL); }
static void clone3_(void)
{
	struct clone_args a = {.flags = CLONE_VFORK, .exit_signal = SIGCHLD};
	if (syscall(SYS_clone3, &a, sizeof a) == 0)
		cloned(NULL);
}

static void splice_from(void) { pipes(); int f = open("file", O_RDWR); go(); splice(p[0], NULL, f, NULL, 10, 0); }
static void splice_to(void) { pipes(); int f = open("file", O_RDWR); go(); splice(f, NULL, full[1], NULL, 10, 0); }
static void splice_pipes(void) { int e[2]; pipes(); pipe(e); go(); splice(p[0], NULL, e[1], NULL, 10, 0); }
static void splice_socket(void)
{
	int s[2];
	pipes();
	socketpair(AF_UNIX, SOCK_STREAM, 0, s);
	go();
	for (int i = 0; i < 1000; i++) {
		write(p[1], buf, 60000);
		splice(p[0], NULL, s[0], NULL, 60000, 0);
	}
}
static void tee_from(void) { int e[2]; pipes(); pipe(e); go(); tee(p[0], e[1], 10, 0); }
static void tee_to(void) { pipes(); write(p[1], "x", 1); go(); tee(p[0], full[1], 10, 0); }
static void vmsplice_to(void) { pipes(); go(); vmsplice(full[1], &iov, 1, 0); }
static void vmsplice_from(void) { pipes(); go(); vmsplice(p[0], &iov, 1, 0); }
static void sendfile_(void) { pipes(); int f = open("file", O_RDWR); go(); sendfile(full[1], f, NULL, 10); }

static const struct wait_case cases[] = {
	{"read: pipe", read_pipe},
	{"read: eventfd", read_eventfd},
	{"read: timerfd", read_timerfd},
	{"read: signalfd", read_signalfd},
	{"read: inotify", read_inotify},
	{"read: FIFO", read_fifo},
	{"read: socket", read_socket},
	{"read: terminal", read_tty},
	{"read: terminal, raw", read_raw_tty},
	{"read: master", read_master},
	{"readv: pipe", readv_pipe},
	{"preadv2: pipe", preadv2_pipe},
	{"write: full pipe", write_pipe},
	{"write: more than fits", write_part},
	{"write: eventfd", write_eventfd},
	{"write: stopped terminal", write_tty},
	{"writev: full pipe", writev_pipe},
	{"pwritev2: full pipe", pwritev2_pipe},
	{"open: FIFO", open_fifo},
	{"openat: FIFO", openat_fifo},
	{"openat2: FIFO", openat2_fifo},
	{"creat: FIFO", creat_fifo},
	{"flock", flock_},
	{"fcntl: F_SETLKW", fcntl_setlkw},
	{"fcntl: F_OFD_SETLKW", fcntl_ofd},
	{"futex: WAIT", futex_wait_},
	{"futex: WAIT with a time", futex_wait_time},
	{"futex: WAIT_BITSET", futex_bitset},
	{"futex: LOCK_PI", futex_lock_pi},
	{"futex: LOCK_PI2", futex_lock_pi2},
	{"futex_waitv", futex_waitv_},
	{"nanosleep", nanosleep_},
	{"clock_nanosleep", clock_nanosleep_},
	{"clock_nanosleep: CPU time", clock_nanosleep_cpu},
	{"pause", pause_},
	{"rt_sigsuspend", sigsuspend_},
	{"rt_sigtimedwait", sigtimedwait_},
	{"restart_syscall", restart_},
	{"wait4", wait4_},
	{"waitid", waitid_},
	{"select", select_},
	{"pselect6", pselect_},
	{"poll", poll_},
	{"ppoll", ppoll_},
	{"epoll_wait", epoll_wait_},
	{"epoll_pwait", epoll_pwait_},
	{"epoll_pwait2", epoll_pwait2_},
	{"msgrcv", msgrcv_},
	{"msgsnd", msgsnd_},
	{"semop", semop_},
	{"semtimedop", semtimedop_},
	{"mq_timedsend", mq_send_},
	{"mq_timedreceive", mq_receive_},
	{"mq_notify: full socket", mq_notify_},
	{"io_uring_enter", uring_enter},
	{"io_uring_enter: a read under way", uring_read},
	{"io_getevents", io_getevents_},
	{"io_pgetevents", io_pgetevents_},
	{"vfork", vfork_},
	{"clone: CLONE_VFORK", clone_},
	{"clone3: CLONE_VFORK", clone3_},
	{"splice: from an empty pipe", splice_from},
	{"splice: to a full pipe", splice_to},
	{"splice: between pipes", splice_pipes},
	{"splice: to a full socket", splice_socket},
	{"tee: from an empty pipe", tee_from},
	{"tee: to a full pipe", tee_to},
	{"vmsplice: to a full pipe", vmsplice_to},
	{"vmsplice: from an empty pipe", vmsplice_from},
	{"sendfile: to a full pipe", sendfile_},
};

int main(int argc, char **argv)
{
	killing_init(argc, argv);
	char dir[] = "/tmp/killedXXXXXX";
	if (!mkdtemp(dir) || chdir(dir))
		return 1;
	mkfifo("fifo", 0600);
	int f = open("file", O_RDWR | O_CREAT, 0600);
	write(f, buf, 5000);
	close(f);
	queue = msgget(IPC_PRIVATE, 0600);
	set = semget(IPC_PRIVATE, 1, 0600);
	kill_all(cases, sizeof cases / sizeof *cases);
	msgctl(queue, IPC_RMID, NULL);
	semctl(set, 0, IPC_RMID);
	DIR *d = opendir(".");
	for (struct dirent *e; d && (e = readdir(d));)
		unlink(e->d_name); // what was locked
	rmdir(dir);
	return failures;
}
