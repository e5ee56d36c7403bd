// /sys/fs/cgroup and /proc/PID/cgroup: the root of a cgroup2 hierarchy. A host with
// cgroup v1 has nothing to compare with: the checks are left out there.
#include "check.h"
#include <sys/vfs.h>

#define GROUP "/sys/fs/cgroup/"

static int here;

#define ROOT(name, condition) (here ? OK(name, condition) : (skip(name, "no cgroup2 root here"), 1))

// put_in writes to a file, and returns the errno.
static int put_in(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY);
	int n = fd < 0 ? -1 : write(fd, text, strlen(text));
	int e = errno;
	close(fd);
	return n < 0 ? e : 0;
}

int main(void)
{
	struct statfs s;
	here = statfs(GROUP, &s) == 0 && s.f_type == 0x63677270 && !strcmp(get("/proc/self/cgroup"), "0::/\n");
	ROOT("the process is in the root", !strcmp(get("/proc/self/cgroup"), "0::/\n"));
	ROOT("mountinfo has the mount", strstr(get("/proc/self/mountinfo"), " /sys/fs/cgroup ") && strstr(get("/proc/self/mountinfo"), " - cgroup2 "));
	char me[32];
	snprintf(me, sizeof me, "\n%d\n", getpid());
	char procs[8200] = "\n";
	strcat(procs, get(GROUP "cgroup.procs"));
	ROOT("cgroup.procs has the process", strstr(procs, me) != NULL);
	ROOT("cgroup.controllers", strchr(get(GROUP "cgroup.controllers"), '\n') != NULL);
	ROOT("cgroup.subtree_control", strchr(get(GROUP "cgroup.subtree_control"), '\n') != NULL);
	ROOT("no type at the root", access(GROUP "cgroup.type", F_OK) == -1 && errno == ENOENT);
	ROOT("no limit of memory", access(GROUP "memory.max", F_OK) == -1 && errno == ENOENT);
	ROOT("no limit of CPUs", access(GROUP "cpu.max", F_OK) == -1 && errno == ENOENT);
	long usage = 0, user = 0, system = 0;
	ROOT("cpu.stat", sscanf(get(GROUP "cpu.stat"), "usage_usec %ld\nuser_usec %ld\nsystem_usec %ld\n", &usage, &user, &system) == 3 && usage > 0);
	ROOT("stay in the group", put_in(GROUP "cgroup.procs", "0\n") == 0);
	ROOT("no such process", put_in(GROUP "cgroup.procs", "4194303\n") == ESRCH);
	ROOT("no number", put_in(GROUP "cgroup.procs", "x\n") == EINVAL);
	ROOT("no such controller", put_in(GROUP "cgroup.subtree_control", "+nothing\n") == EINVAL);
	STR("/proc/cgroups", strtok((char *)get("/proc/cgroups"), "\n"), "#subsys_name\thierarchy\tnum_cgroups\tenabled");
	done();
}
