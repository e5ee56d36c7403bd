package linux

// O_LARGEFILE is what 64-bit programs have on all files
// (arch/arm64/include/uapi/asm/fcntl.h); package unix gives it as 0.
const O_LARGEFILE = 0o400000
