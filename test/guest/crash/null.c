// Writes through a null pointer: SIGSEGV, status 139.
#include <stdio.h>
int main(void) { puts("before"); fflush(stdout); volatile int *p = (int *)0; __asm__ volatile("" : "+r"(p)); *p = 1; puts("after"); return 0; }
