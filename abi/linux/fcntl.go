package linux

// include/uapi/linux/fcntl.h, what golang.org/x/sys/unix lacks.
const (
	F_DUPFD_QUERY = 1027
)

// AT_STATX_SYNC_TYPE masks the AT_STATX_* values.
const AT_STATX_SYNC_TYPE = 0x6000

// Types of struct f_owner_ex.
const (
	F_OWNER_TID  = 0
	F_OWNER_PID  = 1
	F_OWNER_PGRP = 2
)
