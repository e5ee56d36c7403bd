package pipe

import (
	"golang.org/x/sys/unix"
	"gosv/kernel/sysctl"
	"gosv/kernel/vfs"
)

// The limits of pipe(7), in bytes and in pages of each user; 0 is none.
var (
	maxSize  sysctl.Uint32 = 1 << 20
	userSoft sysctl.Uint64 = 16384
	userHard sysctl.Uint64
)

var sysctls = [...]sysctl.Row{
	{Name: "fs.pipe-max-size", Value: &sysctl.Uint{Var: &maxSize, Set: setMaxSize}},
	{Name: "fs.pipe-user-pages-soft", Value: &sysctl.Ulong{Var: &userSoft}},
	{Name: "fs.pipe-user-pages-hard", Value: &sysctl.Ulong{Var: &userHard}},
}

func init() { sysctl.Register(sysctls[:]) }

// setMaxSize rounds up to a power of two of pages.
func setMaxSize(n uint32) error {
	if n > 1<<31 {
		return unix.EINVAL
	}
	size := uint32(pageSize)
	for size < n {
		size *= 2
	}
	maxSize.Store(size)
	return nil
}

func above(pages int64, limit *sysctl.Uint64) bool {
	n := limit.Load()
	return n != 0 && uint64(pages) > n
}

// exempt reports whether the limits of users do not hold for c.
func exempt(c *vfs.Creds) bool {
	return c.Has(unix.CAP_SYS_RESOURCE) || c.Has(unix.CAP_SYS_ADMIN)
}

// newAccounted makes a pipe whose pages count for the user: a small one beyond the soft limit, ENFILE beyond the hard one
// (alloc_pipe_info in fs/pipe.c).
func newAccounted(c *vfs.Creds) (*Pipe, error) {
	pages := defaultPages
	if most := int(maxSize.Load()) / pageSize; pages > most && !c.Has(unix.CAP_SYS_RESOURCE) {
		pages = most
	}
	u := vfs.UserOf(c.UID)
	total := u.PipePages.Add(int64(pages))
	if above(total, &userSoft) && !exempt(c) {
		total = u.PipePages.Add(int64(leastPages - pages))
		pages = leastPages
	}
	if above(total, &userHard) && !exempt(c) {
		u.PipePages.Add(-int64(pages))
		u.Release()
		return nil, unix.ENFILE
	}
	return &Pipe{slots: make([]slot, pages), user: u}, nil
}
