package procfs

import (
	"bytes"
	"strconv"

	"golang.org/x/sys/unix"
	"gosv/abi/linux"
	"gosv/kernel/vfs"
)

// addCoreFilter adds coredump_filter.
func (w *tree) addCoreFilter() {
	p := w.p
	f := w.file("coredump_filter", 0o644, func(b []byte) ([]byte, error) {
		return append(hex(b, uint64(p.CoreFilter()), 8), '\n'), nil
	})
	f.Write = func(c vfs.Caller, b []byte) error {
		v, err := strconv.ParseUint(string(bytes.TrimSpace(b)), 0, 32)
		if err != nil {
			return unix.EINVAL
		}
		p.SetCoreFilter(uint32(v) & linux.DumpKnown)
		return nil
	}
}
