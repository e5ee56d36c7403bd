package procfs

import (
	"bytes"
	"strconv"

	"golang.org/x/sys/unix"
	"gosv/abi/linux"
	"gosv/kernel/vfs"
)

// addCore adds the settings of core files (core(5)).
func (fs *FS) addCore(add func(string, vfs.Inode)) {
	cfg := &fs.cfg
	if cfg.CorePattern == nil {
		return
	}
	setting := func(path string, get func() string, set func(string) error) {
		content := func(vfs.Caller) ([]byte, error) { return append([]byte(get()), '\n'), nil }
		add(path, vfs.NewWritableFile(0o644, content, func(c vfs.Caller, b []byte) error {
			if !c.Creds.Has(unix.CAP_SYS_ADMIN) {
				return unix.EPERM
			}
			b, _, _ = bytes.Cut(b, []byte{0})
			b, _, _ = bytes.Cut(b, []byte{'\n'})
			return set(string(b))
		}))
	}
	setting("kernel/core_pattern", cfg.CorePattern, cfg.SetCorePattern)
	setting("kernel/core_uses_pid", func() string {
		if cfg.CoreUsesPID() {
			return "1"
		}
		return "0"
	}, func(s string) error {
		n, err := strconv.ParseInt(s, 10, 32)
		if err != nil {
			return unix.EINVAL
		}
		cfg.SetCoreUsesPID(n != 0)
		return nil
	})
}

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
