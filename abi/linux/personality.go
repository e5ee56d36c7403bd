package linux

// Bits of personality(2) (include/uapi/linux/personality.h).
const (
	ADDR_NO_RANDOMIZE  = 0x0040000
	MMAP_PAGE_ZERO     = 0x0100000
	ADDR_COMPAT_LAYOUT = 0x0200000
	READ_IMPLIES_EXEC  = 0x0400000

	// PER_CLEAR_ON_SETID goes when a program with another user is started.
	PER_CLEAR_ON_SETID = READ_IMPLIES_EXEC | ADDR_NO_RANDOMIZE | ADDR_COMPAT_LAYOUT | MMAP_PAGE_ZERO
)
