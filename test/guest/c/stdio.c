// Standard streams: bulk output in pieces of every size, nothing lost at exit,
// end of input, the two output streams, a status that is not zero.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	char line[4096];
	long in = 0;
	int n;
	while ((n = read(0, line, sizeof line)) > 0)
		in += n;
	printf("read %ld bytes of input\n", in);
	fflush(stdout);
	fprintf(stderr, "to the error stream\n");
	unsigned x = 1;
	for (int i = 0; i < 2000; i++) {
		int len = i * 7 % 1000 + 1;
		for (int j = 0; j < len; j++) {
			x = x * 1664525 + 1013904223;
			line[j] = 'a' + (x >> 24) % 26;
		}
		line[len] = '\n';
		if (write(1, line, len + 1) != len + 1)
			return 99;
	}
	printf("a tab\t, a carriage return\r, a zero%c, a bell\a, UTF-8 \xc3\xa9, no newline at the end", 0);
	fflush(stdout);
	for (int i = 1; i < argc; i++)
		fprintf(stderr, "argument %d: %s\n", i, argv[i]);
	return 42;
}
