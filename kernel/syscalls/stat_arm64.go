package syscalls

import (
	"golang.org/x/sys/unix"

	"gosv/kernel/vfs"
)

// fillStat sets the fields whose type differs between architectures.
func fillStat(s *unix.Stat_t, st *vfs.Stat) {
	s.Nlink, s.Blksize = st.Nlink, int32(st.Blksize)
}
