package linux

// Flags of messages that x/sys/unix lacks (include/linux/socket.h).
const (
	MSG_CMSG_COMPAT = 0x80000000
)
