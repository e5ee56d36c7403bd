// What machine is this: run with the number of CPUs and MiB that it must have.
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/sysinfo.h>
#include <unistd.h>

static long wrong;

static void *on_cpu(void *arg)
{
	long cpu = (long)arg;
	cpu_set_t set;
	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (pthread_setaffinity_np(pthread_self(), sizeof set, &set) != 0)
		__atomic_add_fetch(&wrong, 1, __ATOMIC_SEQ_CST);
	for (int i = 0; i < 1000; i++)
		if (sched_getcpu() != cpu)
			__atomic_add_fetch(&wrong, 1, __ATOMIC_SEQ_CST);
	return NULL;
}

int main(int argc, char **argv)
{
	long cpus = argc > 1 ? atol(argv[1]) : 1, mib = argc > 2 ? atol(argv[2]) : 1;
	int bad = 0;
	if (sysconf(_SC_NPROCESSORS_ONLN) != cpus || get_nprocs_conf() != cpus) {
		printf("not ok: %ld CPUs\n", sysconf(_SC_NPROCESSORS_ONLN));
		bad++;
	}
	pthread_t t[64];
	for (long i = 0; i < cpus && i < 64; i++)
		if (pthread_create(&t[i], NULL, on_cpu, (void *)i) != 0)
			return 99;
	for (long i = 0; i < cpus && i < 64; i++)
		pthread_join(t[i], NULL);
	if (wrong) {
		printf("not ok: %ld times on the wrong CPU\n", wrong);
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
