// System V shared memory, semaphores and message queues.
#include "check.h"
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/wait.h>

union semun {
	int val;
	struct semid_ds *buf;
	unsigned short *array;
};

static int status(pid_t p)
{
	int st;
	waitpid(p, &st, 0);
	return WIFEXITED(st) ? WEXITSTATUS(st) : -1;
}

static void memory(void)
{
	key_t key = 0x6057 + getpid();
	FAILS("no segment", shmget(key, 100, 0600), ENOENT);
	FAILS("size 0", shmget(key, 0, IPC_CREAT | 0600), EINVAL);
	int id = MUST(shmget(key, 10000, IPC_CREAT | IPC_EXCL | 0600));
	FAILS("exists", shmget(key, 10000, IPC_CREAT | IPC_EXCL | 0600), EEXIST);
	EQ("found", shmget(key, 0, 0), id);
	FAILS("too big", shmget(key, 20000, 0), EINVAL);
	char *a = shmat(id, NULL, 0);
	OK("shmat", a != (void *)-1);
	char *b = shmat(id, NULL, SHM_RDONLY);
	OK("shmat again", b != (void *)-1 && a != b);
	strcpy(a, "shared");
	STR("both see it", b, "shared");
	struct shmid_ds ds;
	EQ("stat", shmctl(id, IPC_STAT, &ds), 0);
	EQ("size", ds.shm_segsz, 10000);
	EQ("attached", ds.shm_nattch, 2);
	EQ("creator", ds.shm_cpid, getpid());
	EQ("mode", ds.shm_perm.mode, 0600);
	EQ("key", ds.shm_perm.__key, key);
	fflush(stdout);
	pid_t p = fork();
	if (p == 0) {
		struct shmid_ds d;
		shmctl(id, IPC_STAT, &d);
		strcpy(a, "child");
		_exit(d.shm_nattch);
	}
	EQ("attached after fork", status(p), 4);
	STR("the child's write", b, "child");
	FAILS("shmdt of anything", shmdt(a + 1), EINVAL);
	EQ("shmdt", shmdt(b), 0);
	FAILS("shmdt again", shmdt(b), EINVAL);
	FAILS("misaligned", (long)shmat(id, a + 1, 0), EINVAL);
	ds.shm_perm.mode = 0640;
	EQ("set", shmctl(id, IPC_SET, &ds), 0);
	EQ("remove", shmctl(id, IPC_RMID, NULL), 0);
	EQ("still there", shmctl(id, IPC_STAT, &ds), 0);
	EQ("attached once", ds.shm_nattch, 1);
	EQ("dest", ds.shm_perm.mode, 01640);
	FAILS("key free", shmget(key, 0, 0), ENOENT);
	STR("memory stays", a, "child");
	EQ("last detach", shmdt(a), 0);
	OK("gone", shmctl(id, IPC_STAT, &ds) == -1 && (errno == EINVAL || errno == EIDRM));
	id = MUST(shmget(IPC_PRIVATE, 4096, 0600));
	void *at = mmap(NULL, 8192, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	FAILS("address in use", (long)shmat(id, at, 0), EINVAL);
	OK("SHM_REMAP", shmat(id, at, SHM_REMAP) == at);
	shmctl(id, IPC_RMID, NULL);
	shmdt(at);
}

static int op(int id, int n, int by, int flags)
{
	struct sembuf s = {n, by, flags};
	return semop(id, &s, 1);
}

static void semaphores(void)
{
	int id = MUST(semget(IPC_PRIVATE, 3, 0600));
	unsigned short v[3] = {1, 2, 3}, w[3];
	union semun u = {.array = v};
	EQ("setall", semctl(id, 0, SETALL, u), 0);
	u.array = w;
	EQ("getall", semctl(id, 0, GETALL, u), 0);
	OK("values", !memcmp(v, w, sizeof v));
	EQ("getval", semctl(id, 1, GETVAL), 2);
	EQ("semop", op(id, 1, -2, 0), 0);
	EQ("pid", semctl(id, 1, GETPID), getpid());
	FAILS("nowait", op(id, 1, -1, IPC_NOWAIT), EAGAIN);
	FAILS("not zero", op(id, 0, 0, IPC_NOWAIT), EAGAIN);
	EQ("zero", op(id, 1, 0, 0), 0);
	FAILS("number", op(id, 3, 1, 0), EFBIG);
	FAILS("range", op(id, 0, 32767, 0), ERANGE);
	struct sembuf both[2] = {{0, -1, 0}, {1, -1, IPC_NOWAIT}};
	FAILS("all or nothing", semop(id, both, 2), EAGAIN);
	EQ("nothing", semctl(id, 0, GETVAL), 1);
	struct timespec t = {0, 20000000};
	struct sembuf s = {1, -1, 0};
	FAILS("timeout", semtimedop(id, &s, 1, &t), EAGAIN);
	fflush(stdout);
	pid_t p = fork();
	if (p == 0)
		_exit(op(id, 1, -1, 0) == 0 ? 11 : 1);
	for (int i = 0; i < 200 && semctl(id, 1, GETNCNT) == 0; i++)
		sleep_ms(10);
	EQ("waiting", semctl(id, 1, GETNCNT), 1);
	EQ("wake", op(id, 1, 1, 0), 0);
	EQ("woken", status(p), 11);
	p = fork();
	if (p == 0) {
		op(id, 2, -3, SEM_UNDO);
		_exit(semctl(id, 2, GETVAL));
	}
	EQ("taken", status(p), 0);
	EQ("undone", semctl(id, 2, GETVAL), 3);
	p = fork();
	if (p == 0) {
		errno = 0;
		op(id, 1, -1, 0);
		_exit(errno == EIDRM ? 12 : 1);
	}
	for (int i = 0; i < 200 && semctl(id, 1, GETNCNT) == 0; i++)
		sleep_ms(10);
	struct semid_ds ds;
	u.buf = &ds;
	EQ("stat", semctl(id, 0, IPC_STAT, u), 0);
	EQ("count", ds.sem_nsems, 3);
	EQ("remove", semctl(id, 0, IPC_RMID), 0);
	EQ("told", status(p), 12);
	OK("gone", semctl(id, 0, GETVAL) == -1 && (errno == EINVAL || errno == EIDRM));
}

struct text {
	long type;
	char s[64];
};

static void messages(void)
{
	int id = MUST(msgget(IPC_PRIVATE, 0600));
	struct text m = {3, "three"}, r;
	EQ("send", msgsnd(id, &m, 6, 0), 0);
	m = (struct text){1, "one"};
	EQ("send another", msgsnd(id, &m, 4, 0), 0);
	m = (struct text){2, "two"};
	EQ("and another", msgsnd(id, &m, 4, 0), 0);
	FAILS("type 0", ({ m.type = 0; msgsnd(id, &m, 4, 0); }), EINVAL);
	struct msqid_ds ds;
	EQ("stat", msgctl(id, IPC_STAT, &ds), 0);
	EQ("messages", ds.msg_qnum, 3);
	EQ("bytes", ds.__msg_cbytes, 14);
	EQ("lowest up to 2", msgrcv(id, &r, 64, -2, 0), 4);
	STR("one", r.s, "one");
	EQ("of type 2", msgrcv(id, &r, 64, 2, 0), 4);
	STR("two", r.s, "two");
	FAILS("none of type 9", msgrcv(id, &r, 64, 9, IPC_NOWAIT), ENOMSG);
	FAILS("too big", msgrcv(id, &r, 2, 0, 0), E2BIG);
	EQ("cut off", msgrcv(id, &r, 2, 0, MSG_NOERROR), 2);
	EQ("its type", r.type, 3);
	fflush(stdout);
	pid_t p = fork();
	if (p == 0)
		_exit(msgrcv(id, &r, 64, 7, 0) == 5 && r.type == 7 ? 13 : 1);
	sleep_ms(30);
	m = (struct text){7, "late"};
	EQ("send to a waiter", msgsnd(id, &m, 5, 0), 0);
	EQ("received", status(p), 13);
	m.type = 1;
	int n = 0;
	while (msgsnd(id, &m, 64, IPC_NOWAIT) == 0)
		n++;
	FAILS("full", msgsnd(id, &m, 64, IPC_NOWAIT), EAGAIN);
	EQ("messages that fit", n, ds.msg_qbytes / 64);
	EQ("remove", msgctl(id, IPC_RMID, NULL), 0);
	OK("gone", msgsnd(id, &m, 1, 0) == -1 && (errno == EINVAL || errno == EIDRM));
}

int main(void)
{
	memory();
	semaphores();
	messages();
	done();
}
