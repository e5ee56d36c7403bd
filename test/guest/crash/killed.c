// Is killed by a signal whose default is to end: SIGTERM, status 143.
#include <signal.h>
#include <stdio.h>
#include <unistd.h>
int main(void) { puts("before"); fflush(stdout); kill(getpid(), SIGTERM); puts("after"); return 0; }
