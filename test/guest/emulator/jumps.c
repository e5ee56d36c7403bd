// Calls through a jump that another thread changes, as a compiler at run time does. A processor stores an operand of four bytes
// that lies in one cache line at once, and sees the change at the latest after CPUID. What an emulator makes of it is counted:
// calls that arrive at the old target although the change was announced, and those that arrive at neither target.
//
//	gcc -O2 -static -pthread -o jumps jumps.c
//	./jumps 5000; gosv run -c 2 ./jumps 5000
#include <cpuid.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { slot = 5 }; // the operand, behind the opcode, is not aligned

// Two displacements, and what a store of their bytes, one by one, makes of them meanwhile.
static const int32_t targets[6] = {0x010110, 0x020220, 0x010120, 0x020210, 0x010220, 0x020110};

static unsigned char *code;
static atomic_uint change; // odd while the jump is changed
static atomic_uint seen, stop;
static unsigned calls, stale, torn;

static void *caller(void *arg)
{
	int (*f)(void) = (int (*)(void))(code + slot);
	while (!atomic_load(&stop)) {
		unsigned before = atomic_load(&change), a, b, c, d;
		__cpuid(0, a, b, c, d);
		int arrived = f();
		if (before == atomic_load(&change) && before % 2 == 0) {
			calls++;
			stale += arrived != (int)(before / 2 % 2);
			atomic_store(&seen, before);
		}
		for (int i = 0; i < 20; i++)
			torn += f() > 1;
	}
	return arg;
}

int main(int argc, char **argv)
{
	unsigned n = argc > 1 ? atoi(argv[1]) : 5000;
	code = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (code == MAP_FAILED)
		return 1;
	for (int i = 0; i < 6; i++) // mov $i, %eax; ret
		memcpy(code + slot + 5 + targets[i], (unsigned char[]){0xb8, i, 0, 0, 0, 0xc3}, 6);
	code[slot] = 0xe9; // jmp
	memcpy(code + slot + 1, &targets[0], 4);
	pthread_t t;
	pthread_create(&t, NULL, caller, NULL);
	for (unsigned i = 1; i <= n; i++) {
		atomic_store(&change, 2 * i - 1);
		*(volatile unsigned char *)(code + slot) = 0xe9;
		*(volatile int32_t *)(code + slot + 1) = targets[i % 2];
		atomic_store(&change, 2 * i);
		while (atomic_load(&seen) != 2 * i)
			sched_yield();
	}
	atomic_store(&stop, 1);
	pthread_join(t, NULL);
	printf("%u changes, %u calls: %u stale, %u torn\n", n, calls, stale, torn);
	return stale + torn != 0;
}
