// Reads a mapped file beyond its end: SIGBUS, status 135.
#define _GNU_SOURCE
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>
int main(void)
{
	int fd = memfd_create("short", 0);
	volatile char *p = mmap(NULL, 8192, PROT_READ, MAP_SHARED, fd, 0);
	puts("before");
	fflush(stdout);
	printf("after %d\n", p[4096]);
	return 0;
}
