// A second thread crashes: the process ends, status 139.
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>
static void *crash(void *p) { *(volatile int *)p = 1; return p; }
int main(void) { pthread_t t; puts("before"); fflush(stdout); pthread_create(&t, NULL, crash, (void *)8); pthread_join(t, NULL); for (;;) pause(); }
