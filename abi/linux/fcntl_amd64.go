package linux

// O_LARGEFILE is what 64-bit programs have on all files (arch/x86, and
// include/uapi/asm-generic/fcntl.h); package unix gives it as 0.
const O_LARGEFILE = 0o100000
