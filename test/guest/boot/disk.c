#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
static sigjmp_buf back;
static void bus(int s, siginfo_t *i, void *c) { siglongjmp(back, 1 + (i->si_code == BUS_ADRERR)); }

// Reads a file to its end, and says what happens at the first page that cannot be read.
int main(int argc, char **argv)
{
	static char b[4096];
	int fd = open(argv[1], O_RDONLY);
	struct stat st;
	if (fd < 0 || fstat(fd, &st)) {
		perror(argv[1]);
		return 1;
	}
	off_t at = 0;
	for (; at < st.st_size; at += 4096)
		if (pread(fd, b, 4096, at) != 4096) {
			printf("read %s\n", strerror(errno));
			break;
		}
	if (at >= st.st_size) {
		printf("all was read\n");
		return 0;
	}
	ssize_t n = pread(fd, b, 4096, at);
	printf("again %zd %s\n", n, strerror(errno));
	struct sigaction sa = {.sa_sigaction = bus, .sa_flags = SA_SIGINFO};
	sigaction(SIGBUS, &sa, 0);
	char *m = mmap(0, st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	int how = sigsetjmp(back, 1);
	if (!how) {
		(void)*(volatile char *)&m[at];
		printf("no signal\n");
	} else
		printf("SIGBUS %s\n", how == 2 ? "BUS_ADRERR" : "other code");
	printf("first page %zd\n", pread(fd, b, 4096, 0));
	printf("last page %zd\n", pread(fd, b, 4096, (st.st_size - 1) / 4096 * 4096));
	return 7;
}
