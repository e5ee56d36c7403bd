// The smallest server of all: it greets, says where it runs, and leaves.
#include <stdio.h>
#include <sys/utsname.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	struct utsname u;
	uname(&u);
	printf("hello from C: %s %s, process %d, %d argument(s)\n", u.sysname, u.release, getpid(), argc - 1);
	return 0;
}
