package linux

// Sizes and offsets of the structs in the notes of a core file on x86-64
// (include/linux/elfcore.h).
const (
	PrStatusSize = 336 // struct elf_prstatus
	PrStatusRegs = 112
	PrPsInfoSize = 136 // struct elf_prpsinfo
)

// Bits of /proc/PID/coredump_filter (core(5)).
const (
	DumpAnonPrivate = 1 << iota
	DumpAnonShared
	DumpFilePrivate
	DumpFileShared
	DumpELFHeaders

	DumpDefault = 0x33
	DumpKnown   = 0x1ff
)

// What core files have of ELF (include/uapi/linux/elf.h).
const (
	ELFMAG      = "\x7fELF"
	ELFCLASS64  = 2
	ELFDATA2LSB = 1
	EV_CURRENT  = 1
	ET_CORE     = 4
	EM_X86_64   = 62
	PT_LOAD     = 1
	PT_NOTE     = 4
	PF_X        = 1
	PF_W        = 2
	PF_R        = 4
)
