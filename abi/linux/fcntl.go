package linux

// include/uapi/linux/fcntl.h, what golang.org/x/sys/unix lacks.
const (
	F_DUPFD_QUERY   = 1027
	F_CREATED_QUERY = 1028
)

// PR_GET_AUXV is an option of prctl(2).
const PR_GET_AUXV = 0x41555856

// STATX_MNT_ID_UNIQUE asks statx(2) for a mount's number that is never used again.
const STATX_MNT_ID_UNIQUE = 0x4000

// File handles (include/linux/exportfs.h); the AT_HANDLE_* flags are of name_to_handle_at(2).
const (
	MAX_HANDLE_SZ  = 128
	FILEID_INVALID = 0xff

	AT_HANDLE_MNT_ID_UNIQUE = 0x001
	AT_HANDLE_FID           = 0x200
)

// RWH_WRITE_LIFE_EXTREME is the largest write hint (F_SET_RW_HINT).
const RWH_WRITE_LIFE_EXTREME = 5

// LOCK_MAND marks operations of flock(2) that Linux has taken out.
const LOCK_MAND = 32

// AT_STATX_SYNC_TYPE masks the AT_STATX_* values.
const AT_STATX_SYNC_TYPE = 0x6000

// Events of F_NOTIFY.
const (
	DN_ACCESS    = 1 << 0
	DN_MODIFY    = 1 << 1
	DN_CREATE    = 1 << 2
	DN_DELETE    = 1 << 3
	DN_RENAME    = 1 << 4
	DN_ATTRIB    = 1 << 5
	DN_MULTISHOT = 1 << 31
)

// Types of struct f_owner_ex.
const (
	F_OWNER_TID  = 0
	F_OWNER_PID  = 1
	F_OWNER_PGRP = 2
)
