package linux

// include/uapi/linux/openat2.h, what golang.org/x/sys/unix lacks.
const (
	RESOLVE_CACHED = 0x20

	// OpenHowSize0 is sizeof(struct open_how) in its first version.
	OpenHowSize0 = 24
)
