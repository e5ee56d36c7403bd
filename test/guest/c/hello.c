// The smallest program that people start with. Built in every way of linking.
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static __thread int thread_local_value = 5;
__attribute__((constructor)) static void before(void) { thread_local_value++; }
static void after(void) { printf("at exit\n"); }

int main(int argc, char **argv)
{
	atexit(after);
	printf("Hello from %d argument(s), %s\n", argc, strrchr(argv[0], '/') ? "with a path" : "without a path");
	printf("%.6f %d %s\n", sqrt(2), thread_local_value, setlocale(LC_ALL, "C"));
	char *p = malloc(1 << 20);
	memset(p, 1, 1 << 20);
	struct tm tm;
	time_t t = 86400 * 365;
	gmtime_r(&t, &tm);
	printf("%d %d\n", p[12345], tm.tm_year);
	free(p);
	fprintf(stderr, "and to the error stream\n");
	return 7;
}
