// /sys as lscpu, hwloc, numactl and container-aware runtimes read it.
#include "check.h"
#include <dirent.h>
#include <sys/vfs.h>

static const char *cpu_file(const char *name)
{
	char path[160];
	snprintf(path, sizeof path, "/sys/devices/system/cpu/%s", name);
	return get(path);
}

// count counts the CPUs of a list as "0-3,8".
static int count(const char *list)
{
	int n = 0, a, b, used;
	while (*list >= '0' && *list <= '9') {
		sscanf(list, "%d%n", &a, &used);
		list += used;
		b = a;
		if (*list == '-') {
			sscanf(list + 1, "%d%n", &b, &used);
			list += 1 + used;
		}
		n += b - a + 1;
		if (*list == ',')
			list++;
	}
	return n;
}

static void cpus(void)
{
	int n = sysconf(_SC_NPROCESSORS_CONF);
	EQ("online", count(cpu_file("online")), sysconf(_SC_NPROCESSORS_ONLN));
	EQ("present", count(cpu_file("present")), n);
	OK("possible", count(cpu_file("possible")) >= n);
	OK("kernel_max", atoi(cpu_file("kernel_max")) >= n - 1);
	OK("package", atoi(cpu_file("cpu0/topology/physical_package_id")) >= 0 && strchr(cpu_file("cpu0/topology/physical_package_id"), '\n'));
	OK("core", strchr(cpu_file("cpu0/topology/core_id"), '\n') != NULL);
	OK("thread_siblings_list", count(cpu_file("cpu0/topology/thread_siblings_list")) >= 1);
	OK("core_siblings_list", count(cpu_file("cpu0/topology/core_siblings_list")) >= 1);
	OK("core_cpus_list", count(cpu_file("cpu0/topology/core_cpus_list")) >= 1);
	OK("package_cpus_list", count(cpu_file("cpu0/topology/package_cpus_list")) >= 1);
	int levels = 0, bad = 0, i = 0;
	for (;; i++) {
		char path[100];
		snprintf(path, sizeof path, "cpu0/cache/index%d/level", i);
		const char *level = cpu_file(path);
		if (atoi(level) < 1)
			break;
		levels |= 1 << atoi(level);
		snprintf(path, sizeof path, "cpu0/cache/index%d/type", i);
		const char *type = cpu_file(path);
		bad += strcmp(type, "Data\n") && strcmp(type, "Instruction\n") && strcmp(type, "Unified\n");
		snprintf(path, sizeof path, "cpu0/cache/index%d/size", i);
		int kib = 0, line, ways, sets;
		char unit = 0;
		bad += sscanf(cpu_file(path), "%d%c", &kib, &unit) != 2 || unit != 'K';
		snprintf(path, sizeof path, "cpu0/cache/index%d/coherency_line_size", i);
		line = atoi(cpu_file(path));
		snprintf(path, sizeof path, "cpu0/cache/index%d/ways_of_associativity", i);
		ways = atoi(cpu_file(path));
		snprintf(path, sizeof path, "cpu0/cache/index%d/number_of_sets", i);
		sets = atoi(cpu_file(path));
		bad += line * ways * sets != kib * 1024;
		snprintf(path, sizeof path, "cpu0/cache/index%d/shared_cpu_list", i);
		bad += count(cpu_file(path)) < 1;
	}
	OK("caches of two levels", (levels & 6) == 6);
	EQ("caches are whole", bad, 0);
}

static void nodes(void)
{
	STR("node online", get("/sys/devices/system/node/online"), "0\n");
	EQ("CPUs of the node", count(get("/sys/devices/system/node/node0/cpulist")), sysconf(_SC_NPROCESSORS_ONLN));
	STR("distance", get("/sys/devices/system/node/node0/distance"), "10\n");
	long kib = 0;
	OK("memory of the node", sscanf(get("/sys/devices/system/node/node0/meminfo"), "Node 0 MemTotal: %ld kB", &kib) == 1 && kib > 0);
}

static void devices(void)
{
	char b[PATH_MAX];
	STR("null by number", get("/sys/dev/char/1:3/dev"), "1:3\n");
	STR("null by class", get("/sys/class/mem/null/dev"), "1:3\n");
	STR("uevent", get("/sys/class/mem/null/uevent") , get("/sys/dev/char/1:3/uevent"));
	OK("major in uevent", strstr(get("/sys/class/mem/null/uevent"), "MAJOR=1\nMINOR=3\nDEVNAME=null\n") != NULL);
	ssize_t n = readlink("/sys/class/mem/null", b, sizeof b - 1);
	b[n < 0 ? 0 : n] = 0;
	STR("the link", b, "../../devices/virtual/mem/null");
	static const char *dirs[] = {"/sys/block", "/sys/class/block", "/sys/dev/block", "/sys/class/net", "/sys/class/tty", "/sys/bus", "/sys/module", "/sys/fs"};
	for (unsigned i = 0; i < sizeof dirs / sizeof *dirs; i++) {
		DIR *d = opendir(dirs[i]);
		OK(dirs[i], d != NULL);
		if (d)
			closedir(d);
	}
	// Every disk has what lsblk reads.
	int bad = 0;
	DIR *d = opendir("/sys/block");
	struct dirent *e;
	while (d && (e = readdir(d))) {
		static const char *files[] = {"dev", "size", "ro", "removable", "stat", "queue/rotational", "queue/logical_block_size"};
		if (e->d_name[0] == '.')
			continue;
		for (unsigned i = 0; i < sizeof files / sizeof *files; i++) {
			snprintf(b, sizeof b, "/sys/block/%s/%s", e->d_name, files[i]);
			bad += get(b)[0] == '(';
		}
	}
	EQ("disks are whole", bad, 0);
	const char *thp = get("/sys/kernel/mm/transparent_hugepage/enabled");
	OK("transparent huge pages", strstr(thp, "[always]") || strstr(thp, "[madvise]") || strstr(thp, "[never]"));
	EQ("size of a huge page", atoi(get("/sys/kernel/mm/transparent_hugepage/hpage_pmd_size")), 2 << 20);
}

static void filesystems(void)
{
	struct statfs s;
	OK("sysfs", statfs("/sys", &s) == 0 && s.f_type == 0x62656572);
	const char *t = get("/proc/filesystems");
	OK("filesystems", strstr(t, "nodev\tproc\n") && strstr(t, "nodev\tsysfs\n") && strstr(t, "nodev\tcgroup2\n") && strstr(t, "nodev\ttmpfs\n"));
}

int main(void)
{
	cpus();
	nodes();
	devices();
	filesystems();
	done();
}
