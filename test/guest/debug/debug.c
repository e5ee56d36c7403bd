// What the debuggers' tests debug: calls, a thread, a child, a crash.
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

volatile int counter;
double half = 0.5;

int square(int n)
{
	counter++;
	return n * n;
}

void *work(void *arg)
{
	square(7);
	return arg;
}

int main(int argc, char **argv)
{
	int sum = 0;
	for (int i = 1; i <= 3; i++)
		sum += square(i);
	pthread_t t;
	pthread_create(&t, NULL, work, NULL);
	pthread_join(t, NULL);
	printf("sum %d\n", sum);
	fflush(stdout);
	pid_t p = fork();
	if (p == 0) {
		square(9);
		_exit(3);
	}
	int status;
	waitpid(p, &status, 0);
	printf("child %d\n", status >> 8);
	fflush(stdout);
	if (argc > 1)
		*(volatile int *)8 = square(argc);
	return 0;
}
