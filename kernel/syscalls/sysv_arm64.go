package syscalls

// Where the fields of struct semid64_ds are (include/uapi/asm-generic/sembuf.h).
const (
	semCTime  = 56
	semCount  = 64
	semDSSize = 88
)
