// Divides by zero: SIGFPE, status 136.
#include <stdio.h>
int main(int argc, char **argv) { (void)argv; puts("before"); fflush(stdout); volatile int zero = argc - argc; printf("after %d\n", (argc + 5) / zero); return 0; }
