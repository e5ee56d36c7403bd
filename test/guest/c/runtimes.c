// What the runtimes of languages do that other programs do not.
#include "check.h"
#include <arpa/inet.h>
#include <net/if.h>
#include <netpacket/packet.h>
#include <setjmp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

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

// packet sends a frame on the loopback, and gets it.
static void packet(void)
{
	int s = socket(AF_PACKET, SOCK_RAW, htons(3 /* ETH_P_ALL */));
	struct ifreq r = {.ifr_name = "lo"};
	if (s < 0 || ioctl(s, SIOCGIFFLAGS, &r) < 0 || !(r.ifr_flags & IFF_UP)) {
		for (int i = 0; i < 4; i++)
			printf("ok packet %d # skip needs privilege and a loopback\n", i);
		return;
	}
	MUST(ioctl(s, SIOCGIFINDEX, &r));
	char frame[60] = "\0\0\0\0\0\0\0\0\0\0\0\0\x88\xb5gosv", got[100];
	// The receiver's family is not looked at, a bound socket's is.
	struct sockaddr_ll a = {.sll_ifindex = r.ifr_ifindex, .sll_halen = 6};
	EQ("packet 0", sendto(s, frame, sizeof frame, 0, (void *)&a, sizeof a), 60);
	int found = 0;
	for (int i = 0; i < 100 && !found; i++)
		found = recv(s, got, sizeof got, 0) == 60 && !memcmp(got, frame, 60);
	EQ("packet 1", found, 1);
	FAILS("packet 2", bind(s, (void *)&a, sizeof a), EINVAL);
	FAILS("packet 3", sendto(s, frame, sizeof frame, 0, (void *)&a, sizeof a - 1), EINVAL);
	close(s);
}

// ioprio is ioprio_set(2): databases and backups set it.
static void ioprio(void)
{
	enum { process = 1, group = 2, user = 3, rt = 1 << 13, be = 2 << 13, idle = 3 << 13 };
#define SET(which, who, p) syscall(SYS_ioprio_set, which, who, p)
#define GET(which, who) syscall(SYS_ioprio_get, which, who)
	EQ("ioprio_set", SET(process, 0, be | 6), 0);
	EQ("ioprio_get", GET(process, 0), be | 6);
	EQ("ioprio_get by ID", GET(process, getpid()), be | 6);
	pid_t child = MUST(fork());
	if (child == 0)
		_exit(GET(process, 0) == (be | 6) && !SET(process, 0, idle) && GET(process, 0) == idle ? 0 : 1);
	int status;
	waitpid(child, &status, 0);
	EQ("ioprio of a child", status, 0);
	FAILS("ioprio_set of a class that is not", SET(process, 0, 4 << 13), EINVAL);
	FAILS("ioprio_set of a level without class", SET(process, 0, 3), EINVAL);
	FAILS("ioprio_set of nothing", SET(4, 0, be), EINVAL);
	FAILS("ioprio_get of nothing", GET(0, 0), EINVAL);
	FAILS("ioprio_get of no process", GET(process, 0x3ffffff), ESRCH);
	EQ("ioprio unchanged", GET(process, 0), be | 6);
}

int main(void)
{
	iret();
	ioprio();
	packet();
	done();
}
