// Makes kernel objects of one kind without end, in a child, and looks whether the machine gets over it: the child is refused or
// killed, the parent goes on, and the kernel has back what it gave.
//
//	exhaust [-s SECONDS] [-t TOTAL] [-r SEED] [-u] [KIND...]
//
// -s is how long a child may go on at most, -u makes children give up root, -t goes on with kinds in a random order, two at a time, for
// so many seconds.
#include "../c/check.h"
#include <arpa/inet.h>
#include <dirent.h>
#include <ftw.h>
#include <linux/aio_abi.h>
#include <linux/filter.h>
#include <linux/io_uring.h>
#include <linux/netlink.h>
#include <linux/seccomp.h>
#include <mqueue.h>
#include <net/ethernet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/ipc.h>
#include <sys/mount.h>
#include <sys/msg.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <sys/xattr.h>

#define DIR_ "/tmp/exhaust"

static char big[1 << 20];
static char dir[64]; // the child's own
static char base[64]; // the parent's

// A kind makes objects until it is refused, and returns with errno set.
struct kind { const char *name; void (*make)(void); };

// Each macro repeats until the expression is false.
#define UNTIL_REFUSED(expression) for (long n = 0; n < 4000000 && (expression); n++) {}

static void *nothing(void *unused) { for (;;) pause(); return unused; }

static const char *path(long n)
{
	static char p[256];
	snprintf(p, sizeof p, "%s/a-name-that-takes-some-room-as-names-do-%ld", dir, n);
	return p;
}

static int fill(int fd, size_t piece)
{
	fcntl(fd, F_SETFL, O_NONBLOCK);
	while (write(fd, big, piece) > 0) {}
	return errno == EAGAIN || errno == ENOBUFS;
}

// Memory.
static void anonymous(void) { char *p; UNTIL_REFUSED((p = malloc(1 << 20)) && memset(p, 1, 1 << 20)); }
static void shared(void) { char *p; UNTIL_REFUSED((p = mmap(0, 1 << 20, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0)) != MAP_FAILED && memset(p, 1, 1 << 20)); }
static void locked(void) { char *p; UNTIL_REFUSED((p = mmap(0, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)) != MAP_FAILED && mlock(p, 1 << 20) == 0); }
static void areas(void) { UNTIL_REFUSED(mmap(0, 4096, n & 1 ? PROT_READ : PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED); }
static void tables(void) { char *p; UNTIL_REFUSED((p = mmap((void *)(0x100000000000 + n * (2l << 20)), 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0)) != MAP_FAILED && (*p = 1)); }
static void memfd(void) { int fd = memfd_create("x", 0); UNTIL_REFUSED(write(fd, big, sizeof big) > 0); }
static void memfdMapped(void) { int fd = memfd_create("x", 0); ftruncate(fd, 1l << 34); char *p = mmap(0, 1l << 34, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0); UNTIL_REFUSED(p[n << 12] = 1); }
static void memfds(void) { int fd; UNTIL_REFUSED((fd = memfd_create("x", 0)) >= 0 && write(fd, big, 4096) > 0); }
static void arguments(void)
{
	static char *argv[4000] = {"/proc/self/exe", "-none"};
	for (int i = 2; i < 3998; i++)
		argv[i] = memset(calloc(1, 131000), 'x', 130999);
	execv(argv[0], argv);
}

// Files.
static void tmpfsFile(void) { int fd = open(path(0), O_CREAT | O_RDWR, 0600); UNTIL_REFUSED(write(fd, big, sizeof big) > 0); }
static void tmpfsMapped(void) { int fd = open(path(0), O_CREAT | O_RDWR, 0600); ftruncate(fd, 1l << 34); char *p = mmap(0, 1l << 34, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0); UNTIL_REFUSED(p[n << 12] = 1); }
static void tmpfsHole(void) { int fd = open(path(0), O_CREAT | O_RDWR, 0600); ftruncate(fd, 1l << 34); volatile char *p = mmap(0, 1l << 34, PROT_READ, MAP_SHARED, fd, 0); UNTIL_REFUSED(p[n << 12] == 0); }
static void shmFile(void) { int fd = open("/dev/shm/exhaust", O_CREAT | O_RDWR, 0600); unlink("/dev/shm/exhaust"); UNTIL_REFUSED(write(fd, big, sizeof big) > 0); }
static void files(void) { int fd; UNTIL_REFUSED((fd = open(path(n), O_CREAT | O_WRONLY, 0600)) >= 0 && close(fd) == 0); }
static void openFiles(void) { int fd = 0; close(open(path(0), O_CREAT | O_WRONLY, 0600)); UNTIL_REFUSED((fd = open(path(0), O_RDONLY)) >= 0); }
static void unlinked(void) { UNTIL_REFUSED(open(path(0), O_CREAT | O_RDWR, 0600) >= 0 && unlink(path(0)) == 0); }
static void directories(void) { UNTIL_REFUSED(mkdir(path(n), 0700) == 0); }
static void deep(void) { chdir(dir); UNTIL_REFUSED(n < 20000 && mkdir("d", 0700) == 0 && chdir("d") == 0); }
static void links(void) { memset(big, 'x', 4000); big[4000] = 0; UNTIL_REFUSED(symlink(big, path(n)) == 0); }
static void attributes(void)
{
	char name[32];
	close(open(path(0), O_CREAT | O_WRONLY, 0600));
	for (long n = 0; n < 100000; n++) {
		snprintf(name, sizeof name, "user.%ld", n);
		if (setxattr(path(0), name, big, 60000, 0)) {
			if (errno != ENOSPC || n == 0)
				return;
			n = -1;
			static long f;
			unlink("/nonexistent");
			close(open(path(++f), O_CREAT | O_WRONLY, 0600));
			if (setxattr(path(f), "user.x", big, 60000, 0))
				return;
		}
	}
}
static void negative(void) { struct stat st; UNTIL_REFUSED(n < 200000 && (stat(path(n), &st), 1)); }
static void negativeByAccess(void) { UNTIL_REFUSED(n < 200000 && (access(path(n), F_OK), unlink(path(n)), 1)); }
static void recordLocks(void) { int fd = open(path(0), O_CREAT | O_RDWR, 0600); UNTIL_REFUSED(fcntl(fd, F_SETLK, &(struct flock){F_WRLCK, SEEK_SET, n * 2, 1}) == 0); }
static void flocks(void) { int fd; close(open(path(0), O_CREAT | O_RDWR, 0600)); UNTIL_REFUSED((fd = open(path(0), O_RDONLY)) >= 0 && flock(fd, LOCK_SH) == 0); }
static void procFiles(void) { UNTIL_REFUSED(open("/proc/self/maps", O_RDONLY) >= 0); }
static void mounts(void) { UNTIL_REFUSED(mount("x", dir, "tmpfs", 0, "") == 0); }

// Descriptors.
static void eventfds(void) { UNTIL_REFUSED(eventfd(0, 0) >= 0); }
static void timerfds(void) { int fd; UNTIL_REFUSED((fd = timerfd_create(CLOCK_MONOTONIC, 0)) >= 0 && timerfd_settime(fd, 0, &(struct itimerspec){{1, 0}, {1, 0}}, 0) == 0); }
static void signalfds(void) { sigset_t s; sigfillset(&s); UNTIL_REFUSED(signalfd(-1, &s, 0) >= 0); }
static void pidfds(void) { UNTIL_REFUSED(syscall(SYS_pidfd_open, getpid(), 0) >= 0); }
static void duplicates(void) { UNTIL_REFUSED(dup(0) >= 0); }
static void tablesOfFiles(void)
{
	UNTIL_REFUSED(n < 30000 && dup(0) >= 0);
	pid_t pid;
	UNTIL_REFUSED((pid = fork()) >= 0 && (pid || (nothing(0), 0)));
}
static void pipes(void) { int p[2]; UNTIL_REFUSED(pipe(p) == 0 && (fcntl(p[1], F_SETPIPE_SZ, 1 << 20), fill(p[1], 65536))); }
static void emptyPipes(void) { int p[2]; UNTIL_REFUSED(pipe(p) == 0); }
static void fifos(void) { int fd; UNTIL_REFUSED(mkfifo(path(n), 0600) == 0 && (fd = open(path(n), O_RDWR)) >= 0 && fill(fd, 65536)); }
static void epolls(void) { UNTIL_REFUSED(epoll_create1(0) >= 0); }
static void epollItems(void)
{
	int fds[500], ep;
	for (int i = 0; i < 500; i++)
		fds[i] = eventfd(0, 0);
	for (long n = 0; n < 100000 && (ep = epoll_create1(0)) >= 0; n++)
		for (int i = 0; i < 500; i++)
			if (epoll_ctl(ep, EPOLL_CTL_ADD, fds[i], &(struct epoll_event){.events = EPOLLIN}))
				return;
}
static void inotifies(void) { UNTIL_REFUSED(inotify_init() >= 0); }
static void watches(void) { int fd = inotify_init(); UNTIL_REFUSED(mkdir(path(n), 0700) == 0 && inotify_add_watch(fd, path(n), IN_ALL_EVENTS) >= 0); }
static void watchEvents(void) { int fd = inotify_init(); inotify_add_watch(fd, dir, IN_ALL_EVENTS); UNTIL_REFUSED(n < 40000 && close(open(path(n % 3), O_CREAT | O_RDWR, 0600)) == 0); }
static void terminals(void) { int fd; UNTIL_REFUSED((fd = open("/dev/ptmx", O_RDWR | O_NOCTTY)) >= 0 && fill(fd, 4096)); }
static void rings(void) { struct io_uring_params p; UNTIL_REFUSED((memset(&p, 0, sizeof p), syscall(SYS_io_uring_setup, 4096, &p)) >= 0); }
static void aioContexts(void) { aio_context_t c; UNTIL_REFUSED((c = 0, syscall(SYS_io_setup, 64, &c)) == 0); }

// Sockets.
static void streams(void) { int p[2], size = 1 << 24; UNTIL_REFUSED(socketpair(AF_UNIX, SOCK_STREAM, 0, p) == 0 && setsockopt(p[0], SOL_SOCKET, SO_SNDBUF, &size, 4) == 0 && fill(p[0], 65536)); }
static void datagrams(void) { int p[2], size = 1 << 24; UNTIL_REFUSED(socketpair(AF_UNIX, SOCK_DGRAM, 0, p) == 0 && setsockopt(p[0], SOL_SOCKET, SO_SNDBUF, &size, 4) == 0 && fill(p[0], 16)); }
static void records(void) { int p[2]; UNTIL_REFUSED(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, p) == 0 && fill(p[0], 1)); }
static int send_fds(int to, int *fds, int n)
{
	char control[CMSG_SPACE(8)];
	struct iovec v = {"x", 1};
	struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = control, .msg_controllen = CMSG_SPACE(4 * n)};
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);
	*c = (struct cmsghdr){CMSG_LEN(4 * n), SOL_SOCKET, SCM_RIGHTS};
	memcpy(CMSG_DATA(c), fds, 4 * n);
	return sendmsg(to, &m, MSG_DONTWAIT) > 0;
}
static void rights(void) { int p[2], q[2]; socketpair(AF_UNIX, SOCK_STREAM, 0, p); UNTIL_REFUSED(socketpair(AF_UNIX, SOCK_STREAM, 0, q) == 0 && send_fds(p[0], q, 2) && close(q[0]) == 0 && close(q[1]) == 0); }
static void rightsChain(void)
{
	int p[2], q[2];
	socketpair(AF_UNIX, SOCK_STREAM, 0, p);
	UNTIL_REFUSED(socketpair(AF_UNIX, SOCK_STREAM, 0, q) == 0 && send_fds(q[0], p, 2) && close(p[0]) == 0 && close(p[1]) == 0 && (p[0] = q[0], p[1] = q[1], 1));
}
static void rightsCircles(void) { int p[2]; UNTIL_REFUSED(n < 100000 && socketpair(AF_UNIX, SOCK_STREAM, 0, p) == 0 && send_fds(p[0], p, 2) && close(p[0]) == 0 && close(p[1]) == 0); }
static struct sockaddr_in loopback = {.sin_family = AF_INET, .sin_addr.s_addr = 0x0100007f};
static int listener(void)
{
	socklen_t len = sizeof loopback;
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	loopback.sin_port = 0;
	bind(fd, (void *)&loopback, len);
	getsockname(fd, (void *)&loopback, &len);
	listen(fd, 4096);
	return fd;
}
static int connected(void)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	if (fd >= 0 && connect(fd, (void *)&loopback, sizeof loopback)) {
		int e = errno;
		close(fd);
		errno = e;
		return -1;
	}
	return fd;
}
static void tcp(void) { int l = listener(), fd; UNTIL_REFUSED((fd = connected()) >= 0 && accept(l, 0, 0) >= 0 && fill(fd, 65536)); }
static void tcpUnaccepted(void)
{
	int fd;
	for (long n = 0; n < 1000; n++) {
		listener();
		for (int i = 0; i < 100; i++)
			if ((fd = connected()) < 0 || !fill(fd, 65536))
				return;
	}
}
static int udpTo(int size)
{
	socklen_t len = sizeof loopback;
	static int out = -1;
	int fd = socket(AF_INET, SOCK_DGRAM, 0), room = 1 << 24;
	if (out < 0)
		out = socket(AF_INET, SOCK_DGRAM, 0);
	loopback.sin_port = 0;
	if (fd < 0 || bind(fd, (void *)&loopback, len) || getsockname(fd, (void *)&loopback, &len))
		return 0;
	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &room, 4);
	for (int i = 0; i < 400; i++)
		sendto(out, big, size, MSG_DONTWAIT, (void *)&loopback, len);
	return 1;
}
static void udp(void) { UNTIL_REFUSED(udpTo(1400)); }
static void udpLarge(void) { UNTIL_REFUSED(udpTo(60000)); }
static void udpEmpty(void) { UNTIL_REFUSED(udpTo(0)); }
static void rawSockets(void) { int fd; UNTIL_REFUSED((fd = socket(AF_INET, SOCK_RAW, IPPROTO_ICMP)) >= 0 && sendto(fd, "\x08\0\xf7\xff\0\0\0\0", 8, MSG_DONTWAIT, (void *)&loopback, sizeof loopback)); }
static void packetSockets(void) { UNTIL_REFUSED(socket(AF_PACKET, SOCK_RAW, htons(ETH_P_ALL)) >= 0 && udpTo(100)); }
static void netlinks(void)
{
	int fd;
	struct { struct nlmsghdr h; struct { unsigned char family; } g; } get = {{sizeof get, 18 /* RTM_GETLINK */, NLM_F_REQUEST | NLM_F_DUMP, 1, 0}, {0}};
	UNTIL_REFUSED((fd = socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE)) >= 0 && send(fd, &get, sizeof get, 0) > 0);
}

// IPC.
static void sysvShm(void) { int id; char *p; UNTIL_REFUSED((id = shmget(IPC_PRIVATE, 1 << 20, 0600)) >= 0 && (p = shmat(id, 0, 0)) != (void *)-1 && memset(p, 1, 1 << 20)); }
static void messages(void)
{
	struct { long type; char text[8000]; } m = {1, ""};
	int id;
	for (long n = 0; n < 40000 && (id = msgget(IPC_PRIVATE, 0600)) >= 0; n++)
		while (msgsnd(id, &m, n & 1 ? 8000 : 1, IPC_NOWAIT) == 0) {}
}
static void semaphores(void) { UNTIL_REFUSED(semget(IPC_PRIVATE, 32000, 0600) >= 0); }
static void mqueues(void)
{
	char name[32];
	mqd_t q;
	for (long n = 0; n < 100000; n++) {
		snprintf(name, sizeof name, "/exhaust-%ld", n);
		if ((q = mq_open(name, O_CREAT | O_RDWR | O_NONBLOCK, 0600, NULL)) < 0)
			return;
		while (mq_send(q, big, 8000, 0) == 0) {}
	}
}

// Processes.
static void threads(void) { pthread_attr_t a; pthread_t t; pthread_attr_init(&a); pthread_attr_setstacksize(&a, 16384); UNTIL_REFUSED((errno = pthread_create(&t, &a, nothing, 0)) == 0); }
static void processes(void) { pid_t pid; UNTIL_REFUSED((pid = fork()) >= 0 && (pid || (nothing(0), 0))); }
static void zombies(void) { pid_t pid; UNTIL_REFUSED((pid = fork()) >= 0 && (pid || (_exit(0), 0))); }
static void timers(void) { timer_t t; struct sigevent s = {.sigev_notify = SIGEV_NONE}; UNTIL_REFUSED(timer_create(CLOCK_MONOTONIC, &s, &t) == 0); }
static void queuedSignals(void) { sigset_t s; sigfillset(&s); sigprocmask(SIG_BLOCK, &s, 0); UNTIL_REFUSED(sigqueue(getpid(), SIGRTMIN, (union sigval){0}) == 0); }
static void filters(void)
{
	static struct sock_filter f[4096];
	for (int i = 0; i < 4095; i++)
		f[i] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_IMM, 0);
	f[4095] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	struct sock_fprog p = {4096, f};
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	UNTIL_REFUSED(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &p) == 0);
}
static void polls(void)
{
	struct pollfd *p = calloc(1 << 20, sizeof *p);
	for (int i = 0; i < 1 << 20; i++)
		p[i].fd = -1;
	pid_t pid;
	UNTIL_REFUSED((pid = fork()) >= 0 && (pid || (poll(p, 1 << 20, -1), _exit(0), 0)));
}

static const struct kind kinds[] = {
	{"anonymous", anonymous}, {"shared", shared}, {"locked", locked}, {"areas", areas}, {"tables", tables}, {"memfd", memfd},
	{"memfd-mapped", memfdMapped}, {"memfds", memfds}, {"arguments", arguments}, {"tmpfs-file", tmpfsFile}, {"tmpfs-mapped", tmpfsMapped},
	{"tmpfs-hole", tmpfsHole}, {"shm-file", shmFile}, {"files", files}, {"open-files", openFiles}, {"unlinked", unlinked},
	{"directories", directories}, {"deep", deep}, {"links", links}, {"attributes", attributes}, {"negative", negative}, {"negative-by-access", negativeByAccess},
	{"record-locks", recordLocks}, {"flocks", flocks}, {"proc-files", procFiles}, {"mounts", mounts}, {"eventfds", eventfds},
	{"timerfds", timerfds}, {"signalfds", signalfds}, {"pidfds", pidfds}, {"duplicates", duplicates}, {"file-tables", tablesOfFiles},
	{"pipes", pipes}, {"empty-pipes", emptyPipes}, {"fifos", fifos}, {"epolls", epolls}, {"epoll-items", epollItems},
	{"inotifies", inotifies}, {"watches", watches}, {"watch-events", watchEvents}, {"terminals", terminals}, {"rings", rings},
	{"aio-contexts", aioContexts}, {"streams", streams}, {"datagrams", datagrams}, {"records", records}, {"rights", rights},
	{"rights-chain", rightsChain}, {"rights-circles", rightsCircles}, {"tcp", tcp}, {"tcp-unaccepted", tcpUnaccepted}, {"udp", udp},
	{"udp-large", udpLarge}, {"udp-empty", udpEmpty}, {"raw-sockets", rawSockets}, {"packet-sockets", packetSockets},
	{"netlinks", netlinks}, {"sysv-shm", sysvShm}, {"messages", messages}, {"semaphores", semaphores}, {"mqueues", mqueues},
	{"threads", threads}, {"processes", processes}, {"zombies", zombies}, {"timers", timers}, {"queued-signals", queuedSignals},
	{"filters", filters}, {"polls", polls},
};
#define KINDS ((int)(sizeof kinds / sizeof *kinds))

// What the kernel says that it has.
struct counters { long files, tasks, sockets, available; };

static long number(const char *file, const char *before)
{
	static char text[16384];
	int fd = open(file, O_RDONLY);
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
	if (fd >= 0)
		close(fd);
	if (n < 0)
		return -1;
	text[n] = 0;
	char *at = strstr(text, before);
	return at ? strtol(at + strlen(before), 0, 10) : -1;
}

static struct counters count(void)
{
	int fd = open("/proc/sys/vm/drop_caches", O_WRONLY);
	write(fd, "3", 1);
	close(fd);
	return (struct counters){number("/proc/sys/fs/file-nr", ""), number("/proc/loadavg", "/"), number("/proc/net/sockstat", "sockets: used "),
		number("/proc/meminfo", "MemAvailable:")};
}

static int removeOne(const char *name, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st, (void)ftw;
	return type == FTW_DP ? (rmdir(name), 0) : (unlink(name), 0);
}

// clean takes away what stays when processes end.
static void clean(const char *where)
{
	char name[64];
	while (umount2(where, MNT_DETACH) == 0) {}
	// The deep directory first, from above: a walk by names would be too long a name.
	if (chdir(where) == 0) {
		int depth = 0;
		while (chdir("d") == 0)
			depth++;
		for (; depth > 0 && chdir("..") == 0; depth--)
			rmdir("d");
	}
	chdir("/");
	nftw(where, removeOne, 32, FTW_DEPTH | FTW_PHYS);
	for (int i = 0; i < 300; i++) {
		snprintf(name, sizeof name, "/exhaust-%d", i);
		mq_unlink(name);
	}
	struct shm_info si;
	struct shmid_ds sd;
	for (int i = shmctl(0, SHM_INFO, (void *)&si); i >= 0; i--)
		shmctl(shmctl(i, SHM_STAT, &sd), IPC_RMID, 0);
	struct msginfo mi;
	struct msqid_ds md;
	for (int i = msgctl(0, MSG_INFO, (void *)&mi); i >= 0; i--)
		msgctl(msgctl(i, MSG_STAT, &md), IPC_RMID, 0);
	struct seminfo ni;
	struct semid_ds nd;
	for (int i = semctl(0, 0, SEM_INFO, &ni); i >= 0; i--)
		semctl(semctl(i, 0, SEM_STAT, &nd), 0, IPC_RMID);
}

static int user, seconds = 20;

// start makes a child that makes objects of a kind.
static pid_t start(const struct kind *k, int which)
{
	snprintf(dir, sizeof dir, "%s/%d", base, which);
	mkdir(dir, 0777);
	chmod(dir, 0777);
	pid_t pid = fork();
	if (pid)
		return pid;
	setpgid(0, 0);
	setrlimit(RLIMIT_NOFILE, &(struct rlimit){1 << 20, 1 << 20});
	signal(SIGPIPE, SIG_IGN);
	if (user && (setgid(1000) || setuid(1000)))
		_exit(99);
	errno = 0;
	k->make();
	int e = errno;
	_exit(e ? e & 127 : 0);
}

// settle waits until the counters are back, for the kernel gives some things back later.
static int settle(const struct counters *was, struct counters *is)
{
	for (int i = 0; i < 20; i++) {
		*is = count();
		if (is->files <= was->files && is->tasks <= was->tasks && is->sockets <= was->sockets && is->available * 10 >= was->available * 8)
			return 1;
		usleep(500000);
	}
	return 0;
}

// finish waits for the child, and ends one that goes on for too long.
static int finish(pid_t pid)
{
	int status;
	for (int i = 0; i < seconds * 20; i++) {
		if (waitpid(pid, &status, WNOHANG) == pid)
			goto done;
		usleep(50000);
	}
	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	status = -1;
done:
	kill(-pid, SIGKILL); // what it has started, which is this process's to wait for if it is the first one
	while (waitpid(-pid, NULL, 0) > 0) {}
	return status;
}

static const char *fate(int status)
{
	static char text[64];
	if (status == -1)
		return "was stopped";
	if (WIFSIGNALED(status))
		snprintf(text, sizeof text, "was ended by signal %d", WTERMSIG(status));
	else
		snprintf(text, sizeof text, "was told %s", WEXITSTATUS(status) ? strerrorname_np(WEXITSTATUS(status)) : "nothing");
	return text;
}

// healthy tells whether a new child can do something.
static int healthy(void)
{
	int status, p[2];
	pid_t pid = fork();
	if (pid == 0) {
		char *m = malloc(2 << 20);
		_exit(m && memset(m, 1, 2 << 20) && pipe(p) == 0 && write(p[1], "x", 1) == 1 && socket(AF_INET, SOCK_STREAM, 0) >= 0 ? 7 : 1);
	}
	return pid > 0 && waitpid(pid, &status, 0) == pid && status == 7 << 8;
}

static int allowed(int status)
{
	if (status == -1)
		return 1;
	if (WIFSIGNALED(status))
		return WTERMSIG(status) == SIGKILL || WTERMSIG(status) == SIGBUS || WTERMSIG(status) == SIGSEGV;
	switch (WEXITSTATUS(status)) {
	case 0: case ENOENT: case EAGAIN: case ENOMEM: case ENOSPC: case EMFILE: case ENFILE: case ENOBUFS: case EPERM: case E2BIG: case ENOLCK:
	case EADDRNOTAVAIL: case ETOOMANYREFS & 127: case EDQUOT & 127: case EACCES: case EIO: case EADDRINUSE & 127: case ETIMEDOUT & 127: case EINVAL:
		return 1;
	}
	return 0;
}

static void one(const struct kind *k, const struct kind *other)
{
	struct counters was = count(), is;
	char name[128], told[128] = "";
	pid_t a = start(k, 0), b = other ? start(other, 1) : 0;
	int s = finish(a), t = b ? finish(b) : 0;
	if (other)
		snprintf(told, sizeof told, ", %s ", other->name);
	if (other)
		strncat(told, fate(t), sizeof told - strlen(told) - 1);
	for (int i = 0; i < (other ? 2 : 1); i++) {
		snprintf(dir, sizeof dir, "%s/%d", base, i);
		clean(dir);
	}
	int back = settle(&was, &is), well = healthy();
	snprintf(name, sizeof name, "%s %s%s", k->name, fate(s), told);
	report(a > 0 && allowed(s) && allowed(t) && back && well, name, "status %#x %#x, new child %d, files %ld was %ld, tasks %ld was %ld, sockets %ld was %ld, memory %ld kB was %ld",
		s, t, well, is.files, was.files, is.tasks, was.tasks, is.sockets, was.sockets, is.available, was.available);
	fflush(stdout);
}

int main(int argc, char **argv)
{
	int total = 0, c;
	unsigned seed = 1;
	while ((c = getopt(argc, argv, "s:t:r:u")) != -1)
		switch (c) {
		case 's': seconds = atoi(optarg); break;
		case 't': total = atoi(optarg); break;
		case 'r': seed = strtoul(optarg, 0, 0); break;
		case 'u': user = 1; break;
		default: return 99;
		}
	setvbuf(stdout, NULL, _IOLBF, 0);
	snprintf(base, sizeof base, DIR_);
	mkdir(base, 0777);
	chmod(base, 0777);
	healthy(); // what is made once
	if (total) {
		printf("seed %u\n", seed);
		srand(seed);
		for (time_t end = time(0) + total; time(0) < end;)
			one(&kinds[rand() % KINDS], &kinds[rand() % KINDS]);
		return failures != 0;
	}
	for (int i = 0; i < KINDS; i++) {
		int wanted = optind == argc;
		for (int j = optind; j < argc; j++)
			wanted |= !strcmp(argv[j], kinds[i].name);
		if (wanted)
			one(&kinds[i], 0);
	}
	return failures != 0;
}
