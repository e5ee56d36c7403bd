package syscalls

// Where the fields of struct semid64_ds are (arch/x86/include/uapi/asm/sembuf.h).
const (
	semCTime  = 64
	semCount  = 80
	semDSSize = 104
)
