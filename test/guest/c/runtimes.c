// What the runtimes of languages do that other programs do not.
#include "check.h"
#include <setjmp.h>

// jump restores the stack pointer, the flags and the instruction pointer with
// one IRETQ, as .NET does after an exception.
static long jump(unsigned long *flags)
{
	long got = 0;
	unsigned long before = *flags;
	__asm__ volatile(
		"lea -128(%%rsp), %%rsp\n" // the red zone
		"mov %%rsp, %%rbx\n"
		"mov %%ss, %%eax; push %%rax\n"
		"push %%rbx\n"
		"push %2\n"
		"mov %%cs, %%eax; push %%rax\n"
		"lea 1f(%%rip), %%rax; push %%rax\n"
		"mov $1, %0\n"
		"iretq\n"
		"ud2\n"
		"1: pushfq; pop %1; cld\n"
		"cmp %%rsp, %%rbx; je 2f; mov $2, %0\n"
		"2: lea 128(%%rsp), %%rsp\n"
		: "=&r"(got), "=&r"(*flags) : "r"(before) : "rax", "rbx", "memory", "cc");
	return got;
}

static sigjmp_buf back;
static volatile int got_signal;

static void on_segv(int s) { got_signal = s; siglongjmp(back, 1); }

static void iret(void)
{
	unsigned long flags = 0x202 | 1 | 0x80 | 0x400; // CF, SF, DF
	EQ("iretq goes on", jump(&flags), 1);
	EQ("iretq sets the flags", flags & 0xcc5, 0x481);
	int n = 0;
	for (int i = 0; i < 10000; i++) {
		flags = 0x202;
		n += jump(&flags) == 1;
	}
	EQ("iretq again and again", n, 10000);

	// To a code segment of the kernel's: a general protection fault.
	signal(SIGSEGV, on_segv);
	if (!sigsetjmp(back, 1))
		__asm__ volatile("mov %%ss, %%eax; push %%rax; push %%rsp; push $0x202; push $0x10; lea 1f(%%rip), %%rax; push %%rax; iretq\n1:"
			::: "rax", "memory");
	EQ("iretq to ring 0", got_signal, SIGSEGV);
}

int main(void)
{
	iret();
	done();
}
