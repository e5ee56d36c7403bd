package linux

// include/uapi/linux/fs.h and include/linux/fs.h, what golang.org/x/sys/unix lacks.
const (
	MAX_RW_COUNT = 0x7ffff000 // most that one read or write transfers
	NAME_MAX     = 255
	PATH_MAX     = 4096
	IOV_MAX      = 1024
	PIPE_BUF     = 4096
	UIO_FASTIOV  = 8

	RWF_APPEND   = 0x10
	RWF_NOAPPEND = 0x20

	XATTR_NAME_MAX = 255
	XATTR_SIZE_MAX = 65536
	XATTR_LIST_MAX = 65536
)
