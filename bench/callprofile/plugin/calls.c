// A plugin of QEMU's emulator that counts the calls of a kernel, and writes them when the machine ends: lines of caller's
// address, callee's, and how often. The declarations are those of qemu-plugin.h, version 1, which Debian does not install.
//
//	gcc -O2 -shared -fPIC -o calls.so calls.c;   qemu-system-x86_64 ... -plugin calls.so,out=FILE
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef uint64_t qemu_plugin_id_t;
struct qemu_plugin_tb;
struct qemu_plugin_insn;
typedef struct {
	const char *target_name;
	struct { int min, cur; } version;
	bool system_emulation;
	struct { int smp_vcpus, max_vcpus; } system;
} qemu_info_t;
enum qemu_plugin_cb_flags { QEMU_PLUGIN_CB_NO_REGS };
#define EXPORT __attribute__((visibility("default")))
EXPORT int qemu_plugin_version = 1;
void qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t, void (*)(qemu_plugin_id_t, struct qemu_plugin_tb *));
void qemu_plugin_register_vcpu_tb_exec_cb(struct qemu_plugin_tb *, void (*)(unsigned, void *), enum qemu_plugin_cb_flags, void *);
void qemu_plugin_register_atexit_cb(qemu_plugin_id_t, void (*)(qemu_plugin_id_t, void *), void *);
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *);
uint64_t qemu_plugin_tb_vaddr(const struct qemu_plugin_tb *);
struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *, size_t);
const void *qemu_plugin_insn_data(const struct qemu_plugin_insn *);
size_t qemu_plugin_insn_size(const struct qemu_plugin_insn *);
uint64_t qemu_plugin_insn_vaddr(const struct qemu_plugin_insn *);

enum { TARGETS = 6, BLOCKS = 1 << 19, CPUS = 64 };

// A call ends its block. One that names its callee has one target; others are followed to the next block.
struct block {
	uint64_t start, n, call;
	bool direct, indirect;
	struct { uint64_t to, count; } target[TARGETS];
};

static struct block blocks[BLOCKS];
static struct block *calling[CPUS]; // the indirect call that a CPU has just made
static const char *out = "calls";

static void count(struct block *b, uint64_t to)
{
	for (int i = 0; i < TARGETS; i++) {
		if (b->target[i].count == 0)
			b->target[i].to = to;
		if (b->target[i].to == to) {
			b->target[i].count++;
			return;
		}
	}
}

static void run(unsigned cpu, void *data)
{
	struct block *b = data;
	struct block **last = &calling[cpu % CPUS];
	if (*last)
		count(*last, b->start);
	*last = b->indirect ? b : NULL;
	if (b->direct)
		b->target[0].count++;
}

static void translated(qemu_plugin_id_t id, struct qemu_plugin_tb *tb)
{
	uint64_t start = qemu_plugin_tb_vaddr(tb), n = qemu_plugin_tb_n_insns(tb);
	if (start >> 47 == 0)
		return; // the program's
	unsigned h = (start * 0x9e3779b97f4a7c15ull >> 40 ^ n * 7919) % BLOCKS;
	while (blocks[h].start && (blocks[h].start != start || blocks[h].n != n))
		h = (h + 1) % BLOCKS;
	struct block *b = &blocks[h];
	if (!b->start) { // QEMU holds a lock around the translation of each CPU; two CPUs may lose a block, no more
		const struct qemu_plugin_insn *insn = qemu_plugin_tb_get_insn(tb, n - 1);
		const uint8_t *p = qemu_plugin_insn_data(insn);
		size_t size = qemu_plugin_insn_size(insn);
		b->start = start;
		b->n = n;
		b->call = qemu_plugin_insn_vaddr(insn);
		if (size == 5 && p[0] == 0xe8) {
			int32_t rel;
			memcpy(&rel, p + 1, 4);
			b->direct = true;
			b->target[0].to = b->call + 5 + rel;
		} else {
			size_t i = size > 1 && p[0] >> 4 == 4; // REX
			b->indirect = i + 1 < size && p[i] == 0xff && (p[i + 1] >> 3 & 7) == 2;
		}
	}
	qemu_plugin_register_vcpu_tb_exec_cb(tb, run, QEMU_PLUGIN_CB_NO_REGS, b);
}

static void finish(qemu_plugin_id_t id, void *data)
{
	FILE *f = fopen(out, "w");
	if (!f)
		return;
	for (unsigned i = 0; i < BLOCKS; i++)
		for (int k = 0; k < TARGETS; k++)
			if (blocks[i].target[k].count)
				fprintf(f, "%lx %lx %lu\n", blocks[i].call, blocks[i].target[k].to, blocks[i].target[k].count);
	fclose(f);
}

EXPORT int qemu_plugin_install(qemu_plugin_id_t id, const qemu_info_t *info, int argc, char **argv)
{
	for (int i = 0; i < argc; i++)
		if (!strncmp(argv[i], "out=", 4))
			out = strdup(argv[i] + 4);
	qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
	qemu_plugin_register_atexit_cb(id, finish, NULL);
	return 0;
}
