package linux

// Flags of messages that x/sys/unix lacks (include/linux/socket.h).
const (
	MSG_CMSG_COMPAT = 0x80000000
)

// Options and control messages of SOL_SOCKET that x/sys/unix lacks (include/uapi/asm-generic/socket.h, include/linux/socket.h).
const (
	SO_PASSPIDFD = 76
	SO_PEERPIDFD = 77
	SCM_PIDFD    = 4

	SO_NETNS_COOKIE = 71
	SO_RESERVE_MEM  = 73
)
