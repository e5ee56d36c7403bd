// /proc/sysvipc, xxx_INFO and xxx_STAT_ANY, and the limits of System V objects in
// /proc/sys/kernel.
#include "check.h"
#include <grp.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/wait.h>

#define SYS "/proc/sys/kernel/"

union semun {
	int val;
	struct semid_ds *buf;
	unsigned short *array;
	struct seminfo *info;
};

static int set(const char *name, const char *text)
{
	char path[128];
	snprintf(path, sizeof path, SYS "%s", name);
	int fd = MUST(open(path, O_WRONLY));
	int n = write(fd, text, strlen(text));
	int e = errno;
	close(fd);
	errno = e;
	return n < 0 ? n : 0;
}

// row finds the line of an ID.
static const char *row(const char *text, int id)
{
	for (const char *l = strchr(text, '\n'); l && l[1]; l = strchr(l + 1, '\n')) {
		int key, got;
		if (sscanf(l + 1, "%d %d", &key, &got) == 2 && got == id)
			return l + 1;
	}
	return "";
}

static void line(char *out, const char *path, int id)
{
	const char *r = row(get(path), id);
	size_t n = strcspn(r, "\n");
	memcpy(out, r, n);
	out[n] = 0;
}

static int in_child(int (*f)(int), int id)
{
	int st;
	fflush(stdout);
	pid_t p = fork();
	if (p == 0) {
		setgroups(0, NULL);
		setresgid(99, 99, 99);
		setresuid(99, 99, 99);
		_exit(f(id));
	}
	waitpid(p, &st, 0);
	return st;
}

// slot returns the index of an ID: what the commands return is tried for each.
static int slot(int id) { return id % 32768; }

static int any_shm(int id)
{
	struct shmid_ds d;
	return (shmctl(slot(id), SHM_STAT, &d) == -1 && errno == EACCES ? 0 : 1) | (shmctl(slot(id), SHM_STAT_ANY, &d) == id && d.shm_segsz == 5000 ? 0 : 2);
}

static int any_sem(int id)
{
	struct semid_ds d;
	union semun u = {.buf = &d};
	return (semctl(slot(id), 0, SEM_STAT, u) == -1 && errno == EACCES ? 0 : 1) | (semctl(slot(id), 0, SEM_STAT_ANY, u) == id && d.sem_nsems == 3 ? 0 : 2);
}

static int any_msg(int id)
{
	struct msqid_ds d;
	return (msgctl(slot(id), MSG_STAT, &d) == -1 && errno == EACCES ? 0 : 1) | (msgctl(slot(id), MSG_STAT_ANY, &d) == id && d.msg_qnum == 1 ? 0 : 2);
}

static void files(void)
{
	char got[512], want[512];
	int shm = MUST(shmget(0x1234, 5000, IPC_CREAT | 0600));
	int sem = MUST(semget(0x1235, 3, IPC_CREAT | 0640));
	int msg = MUST(msgget(0x1236, IPC_CREAT | 0604));
	struct { long type; char text[8]; } m = {1, "hello"};
	MUST(msgsnd(msg, &m, 5, 0));
	char *at = shmat(shm, NULL, 0);
	at[0] = 1;

	STR("header of shm", strtok((char *)get("/proc/sysvipc/shm"), "\n"),
	    "       key      shmid perms                  size  cpid  lpid nattch   uid   gid  cuid  cgid      atime      dtime      ctime                   rss                  swap");
	STR("header of sem", strtok((char *)get("/proc/sysvipc/sem"), "\n"),
	    "       key      semid perms      nsems   uid   gid  cuid  cgid      otime      ctime");
	STR("header of msg", strtok((char *)get("/proc/sysvipc/msg"), "\n"),
	    "       key      msqid perms      cbytes       qnum lspid lrpid   uid   gid  cuid  cgid      stime      rtime      ctime");
	struct shmid_ds sd;
	shmctl(shm, IPC_STAT, &sd);
	line(got, "/proc/sysvipc/shm", shm);
	snprintf(want, sizeof want, "%10d %10d  %4o %21lu %5u %5u  %5lu %5u %5u %5u %5u %10lu %10lu %10lu %21lu %21lu", 0x1234, shm, 0600, 5000UL, getpid(), getpid(),
		 1UL, 0, 0, 0, 0, sd.shm_atime, sd.shm_dtime, sd.shm_ctime, 4096UL, 0UL);
	STR("line of shm", got, want);
	struct semid_ds ed;
	semctl(sem, 0, IPC_STAT, (union semun){.buf = &ed});
	line(got, "/proc/sysvipc/sem", sem);
	snprintf(want, sizeof want, "%10d %10d  %4o %10u %5u %5u %5u %5u %10lu %10lu", 0x1235, sem, 0640, 3, 0, 0, 0, 0, ed.sem_otime, ed.sem_ctime);
	STR("line of sem", got, want);
	struct msqid_ds md;
	msgctl(msg, IPC_STAT, &md);
	line(got, "/proc/sysvipc/msg", msg);
	snprintf(want, sizeof want, "%10d %10d  %4o  %10lu %10lu %5u %5u %5u %5u %5u %5u %10lu %10lu %10lu", 0x1236, msg, 0604, 5UL, 1UL, getpid(), 0,
		 0, 0, 0, 0, md.msg_stime, md.msg_rtime, md.msg_ctime);
	STR("line of msg", got, want);

	EQ("SHM_STAT_ANY", in_child(any_shm, shm), 0);
	EQ("SEM_STAT_ANY", in_child(any_sem, sem), 0);
	shmctl(shm, IPC_STAT, &sd);
	EQ("MSG_STAT_ANY with read permission", in_child(any_msg, msg) >> 8, 1);
	md.msg_perm.mode = 0600;
	EQ("IPC_SET", msgctl(msg, IPC_SET, &md), 0);
	EQ("MSG_STAT_ANY", in_child(any_msg, msg), 0);
	EQ("SHM_STAT takes an ID for its slot", shmctl(shm, SHM_STAT, &sd), shm);
	FAILS("an empty slot", shmctl(slot(shm) + 100, SHM_STAT, &sd), EINVAL);

	struct seminfo si;
	struct msginfo mi;
	struct shm_info hi;
	int most = semctl(0, 0, SEM_INFO, (union semun){.info = &si});
	OK("SEM_INFO", most >= slot(sem) && si.semusz >= 1 && si.semaem >= 3);
	most = msgctl(0, MSG_INFO, (struct msqid_ds *)&mi);
	OK("MSG_INFO", most >= slot(msg) && mi.msgpool >= 1 && mi.msgmap >= 1 && mi.msgtql >= 5);
	most = shmctl(0, SHM_INFO, (struct shmid_ds *)&hi);
	OK("SHM_INFO", most >= slot(shm) && hi.used_ids >= 1 && hi.shm_tot >= 2 && hi.shm_rss >= 1 && hi.shm_swp == 0);

	shmctl(shm, IPC_RMID, NULL);
	line(got, "/proc/sysvipc/shm", shm);
	int key, id, mode;
	EQ("a removed segment that is attached", sscanf(got, "%d %d %o", &key, &id, &mode), 3);
	OK("has no key and SHM_DEST", key == 0 && mode == 01600);
	shmdt(at);
	semctl(sem, 0, IPC_RMID);
	msgctl(msg, IPC_RMID, NULL);
	STR("shm gone", row(get("/proc/sysvipc/shm"), shm), "");
	STR("sem gone", row(get("/proc/sysvipc/sem"), sem), "");
	STR("msg gone", row(get("/proc/sysvipc/msg"), msg), "");
}

static void limits(void)
{
	struct seminfo si;
	struct msginfo mi;
	struct shminfo hi;
	char was[4][64];
	int a, b, c, d;
	semctl(0, 0, IPC_INFO, (union semun){.info = &si});
	EQ("sem has four numbers", sscanf(get(SYS "sem"), "%d\t%d\t%d\t%d", &a, &b, &c, &d), 4);
	OK("they are IPC_INFO's", a == si.semmsl && b == si.semmns && c == si.semopm && d == si.semmni);
	OK("the others", si.semmap == 1024000000 && si.semmnu == 1024000000 && si.semume == 500 && si.semusz == 20 && si.semvmx == 32767 && si.semaem == 32767);
	msgctl(0, IPC_INFO, (struct msqid_ds *)&mi);
	OK("msginfo", mi.msgmax == atoi(get(SYS "msgmax")) && mi.msgmnb == atoi(get(SYS "msgmnb")) && mi.msgmni == atoi(get(SYS "msgmni")));
	OK("msginfo, the others", mi.msgpool == 512000 && mi.msgmap == 16384 && mi.msgssz == 16 && mi.msgtql == 16384 && mi.msgseg == 65535);
	shmctl(0, IPC_INFO, (struct shmid_ds *)&hi);
	OK("shminfo", hi.shmmax == strtoul(get(SYS "shmmax"), NULL, 10) && hi.shmall == strtoul(get(SYS "shmall"), NULL, 10) &&
	   hi.shmmni == (unsigned)atoi(get(SYS "shmmni")) && hi.shmmin == 1 && hi.shmseg == hi.shmmni);

	// The limits are near what a host has: others run beside this test.
	char text[64];
	snprintf(was[0], 64, "%s", get(SYS "sem"));
	EQ("sem, all", set("sem", "31000 1024000000 400 32000"), 0);
	STR("reads", get(SYS "sem"), "31000\t1024000000\t400\t32000\n");
	EQ("sem, the first only", set("sem", "31001\n"), 0);
	STR("changes one", get(SYS "sem"), "31001\t1024000000\t400\t32000\n");
	FAILS("more per set", semget(IPC_PRIVATE, 31002, 0600), EINVAL);
	int id = MUST(semget(IPC_PRIVATE, 11, 0600));
	static struct sembuf ops[401];
	for (int i = 0; i < 401; i++)
		ops[i] = (struct sembuf){i % 11, 1, 0};
	FAILS("more operations", semop(id, ops, 401), E2BIG);
	EQ("as many", semop(id, ops, 400), 0);
	semctl(0, 0, SEM_INFO, (union semun){.info = &si});
	snprintf(text, sizeof text, "32000 %d", si.semaem + 100);
	EQ("no more semaphores", set("sem", text), 0);
	FAILS("of all sets", semget(IPC_PRIVATE, 101, 0600), ENOSPC);
	semctl(id, 0, IPC_RMID);
	id = MUST(semget(IPC_PRIVATE, 101, 0600));
	semctl(id, 0, IPC_RMID);
	snprintf(text, sizeof text, "32000 1024000000 500 %d", si.semusz + 20);
	EQ("sets", set("sem", text), 0);
	int ids[40], n = 0, e;
	while (n < 40 && (ids[n] = semget(IPC_PRIVATE, 1, 0600)) >= 0)
		n++;
	e = errno;
	OK("semget", n > 10 && n < 30 && e == ENOSPC);
	while (n > 0)
		semctl(ids[--n], 0, IPC_RMID);
	EQ("sem, put back", set("sem", was[0]), 0);

	snprintf(was[0], 64, "%s", get(SYS "msgmax"));
	snprintf(was[1], 64, "%s", get(SYS "msgmnb"));
	snprintf(was[2], 64, "%s", get(SYS "msgmni"));
	struct msqid_ds q;
	static struct { long type; char text[9000]; } m = {1, ""};
	EQ("msgmnb", set("msgmnb", "12000"), 0);
	id = MUST(msgget(IPC_PRIVATE, 0600));
	msgctl(id, IPC_STAT, &q);
	EQ("is a new queue's size", q.msg_qbytes, 12000);
	EQ("msgmax", set("msgmax", "8000"), 0);
	FAILS("a longer message", msgsnd(id, &m, 8001, 0), EINVAL);
	EQ("as long", msgsnd(id, &m, 8000, 0), 0);
	FAILS("the queue is full", msgsnd(id, &m, 4001, IPC_NOWAIT), EAGAIN);
	msgctl(0, MSG_INFO, (struct msqid_ds *)&mi);
	snprintf(text, sizeof text, "%d", mi.msgpool + 20);
	EQ("msgmni", set("msgmni", text), 0);
	while (n < 40 && (ids[n] = msgget(IPC_PRIVATE, 0600)) >= 0)
		n++;
	e = errno;
	OK("msgget", n > 10 && n < 30 && e == ENOSPC);
	while (n > 0)
		msgctl(ids[--n], IPC_RMID, NULL);
	FAILS("msgmni out of range", set("msgmni", "32769"), EINVAL);
	msgctl(id, IPC_RMID, NULL);
	set("msgmax", was[0]);
	set("msgmnb", was[1]);
	set("msgmni", was[2]);

	snprintf(was[0], 64, "%s", get(SYS "shmmax"));
	snprintf(was[1], 64, "%s", get(SYS "shmall"));
	snprintf(was[2], 64, "%s", get(SYS "shmmni"));
	struct shm_info now;
	EQ("shmmax", set("shmmax", "1073741824"), 0);
	FAILS("a larger segment", shmget(IPC_PRIVATE, 1073741825, 0600), EINVAL);
	shmctl(0, SHM_INFO, (struct shmid_ds *)&now);
	snprintf(text, sizeof text, "%lu", now.shm_tot + 1000);
	EQ("shmall", set("shmall", text), 0);
	FAILS("too many pages", shmget(IPC_PRIVATE, 1001 * 4096, 0600), ENOSPC);
	id = MUST(shmget(IPC_PRIVATE, 900 * 4096, 0600));
	shmctl(id, IPC_RMID, NULL);
	snprintf(text, sizeof text, "%d", now.used_ids + 20);
	EQ("shmmni", set("shmmni", text), 0);
	while (n < 40 && (ids[n] = shmget(IPC_PRIVATE, 1, 0600)) >= 0)
		n++;
	e = errno;
	OK("shmget", n > 10 && n < 30 && e == ENOSPC);
	while (n > 0)
		shmctl(ids[--n], IPC_RMID, NULL);
	set("shmmax", was[0]);
	set("shmall", was[1]);
	set("shmmni", was[2]);
}

int main(void)
{
	files();
	limits();
	done();
}
