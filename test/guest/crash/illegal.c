// An illegal instruction: SIGILL, status 132.
#include <stdio.h>
int main(void) { puts("before"); fflush(stdout); __asm__ volatile("ud2"); puts("after"); return 0; }
