package linux

// What package unix lacks of ptrace(2) (include/uapi/linux/ptrace.h, include/uapi/linux/elf.h).
const (
	NT_PRSTATUS   = 1
	NT_PRFPREG    = 2
	NT_PRPSINFO   = 3
	NT_AUXV       = 6
	NT_SIGINFO    = 0x53494749
	NT_FILE       = 0x46494c45
	NT_X86_XSTATE = 0x202

	// PtraceOptions are the options that there are: all but PTRACE_O_SUSPEND_SECCOMP.
	PtraceOptions = 0x1000ff

	// TraceSysGood is set in the signal number of a system call's stop (PTRACE_O_TRACESYSGOOD).
	TraceSysGood = 0x80
)

// Sizes of struct ptrace_syscall_info by what it tells.
const (
	SyscallInfoNone    = 24
	SyscallInfoEntry   = 80
	SyscallInfoExit    = 33
	SyscallInfoSeccomp = 84
)
