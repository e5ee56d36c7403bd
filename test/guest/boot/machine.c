// What machine is this: run with the number of CPUs and MiB that it must have.
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/sysinfo.h>
#include <time.h>
#include <unistd.h>

static long cpus;
static unsigned long seen; // a bit for each CPU that a thread ran on

// Runs until the threads together have run on every CPU. They never sleep, so
// that a CPU which takes no part is one that no thread reaches.
static void *run(void *arg)
{
	time_t end = time(NULL) + 30;
	while (__builtin_popcountl(__atomic_load_n(&seen, __ATOMIC_SEQ_CST)) < cpus && time(NULL) < end)
		__atomic_or_fetch(&seen, 1UL << sched_getcpu(), __ATOMIC_SEQ_CST);
	return arg;
}

int main(int argc, char **argv)
{
	long mib = argc > 2 ? atol(argv[2]) : 1;
	int bad = 0;
	cpus = argc > 1 ? atol(argv[1]) : 1;
	if (sysconf(_SC_NPROCESSORS_ONLN) != cpus || get_nprocs_conf() != cpus) {
		printf("not ok: %ld CPUs\n", sysconf(_SC_NPROCESSORS_ONLN));
		bad++;
	}
	pthread_t t[64];
	for (long i = 0; i < cpus && i < 64; i++)
		if (pthread_create(&t[i], NULL, run, NULL) != 0)
			return 99;
	for (long i = 0; i < cpus && i < 64; i++)
		pthread_join(t[i], NULL);
	if (seen != (1UL << cpus) - 1) {
		printf("not ok: threads ran on the CPUs %#lx\n", seen);
		bad++;
	}
	struct sysinfo s;
	sysinfo(&s);
	long total = s.totalram / (1 << 20) * s.mem_unit, available = s.freeram / (1 << 20) * s.mem_unit;
	if (total > mib || total < mib / 2 - 2) {
		printf("not ok: %ld MiB in all\n", total);
		bad++;
	}
	// Half of what is free: one page in every 2 MiB, each with its own mark. A small machine: all of it.
	size_t size = (size_t)available / 2 << 20, step = mib > 256 ? 2 << 20 : 4096;
	unsigned long *m = mmap(NULL, size + 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (m == MAP_FAILED)
		return 98;
	madvise(m, size, MADV_NOHUGEPAGE); // or the host's memory would fill
	for (size_t at = 0; at < size; at += step)
		m[at / sizeof *m] = at ^ 0x5555;
	for (size_t at = 0; at < size; at += step)
		bad += m[at / sizeof *m] != (at ^ 0x5555);
	printf("%ld CPUs, %ld MiB: %s\n", cpus, mib, bad ? "not ok" : "ok");
	return bad;
}
