// Prints a line, and then does nothing: to measure boots, memory and idling.
#include <stdio.h>
#include <unistd.h>

int main(void)
{
	puts("first line");
	fflush(stdout);
	for (;;)
		pause();
}
