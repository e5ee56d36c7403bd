// Jumps into data: SIGSEGV, status 139.
#include <stdio.h>
static char data[] = {0xc3};
int main(void) { puts("before"); fflush(stdout); ((void (*)(void))data)(); puts("after"); return 0; }
