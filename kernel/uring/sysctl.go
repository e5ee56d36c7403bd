package uring

import (
	"strconv"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"gosv/kernel/fs/procfs"
	"gosv/kernel/task"
)

// disabled is /proc/sys/kernel/io_uring_disabled: with 1 only privileged processes
// may make rings, with 2 nobody.
var disabled atomic.Int32

func init() {
	procfs.AddSysctl("kernel/io_uring_disabled", func() string { return strconv.Itoa(int(disabled.Load())) }, func(s string) error {
		n, err := strconv.Atoi(s)
		if err != nil || n < 0 || n > 2 {
			return unix.EINVAL
		}
		disabled.Store(int32(n))
		return nil
	})
}

// Allowed reports whether the thread may make a ring.
func Allowed(t *task.Thread) bool {
	switch disabled.Load() {
	case 0:
		return true
	case 1:
		return t.Creds().Has(unix.CAP_SYS_ADMIN)
	}
	return false
}
