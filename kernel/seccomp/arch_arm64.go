package seccomp

// Arch is AUDIT_ARCH_AARCH64.
const Arch = 0xc00000b7
