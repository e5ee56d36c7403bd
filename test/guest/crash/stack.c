// Runs out of stack: SIGSEGV, status 139.
#include <stdio.h>
static int deeper(volatile int n) { volatile char frame[1000]; frame[0] = n; return n < 0 ? 0 : deeper(n + 1) + frame[0]; }
int main(void) { puts("before"); fflush(stdout); printf("after %d\n", deeper(1)); return 0; }
