package seccomp

// Arch is AUDIT_ARCH_X86_64.
const Arch = 0xc000003e
