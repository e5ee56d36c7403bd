package procfs

import (
	"strconv"

	"golang.org/x/sys/unix"
	"gosv/kernel/vfs"
)

// mountEscapes are the characters that fields of mounts cannot have.
const mountEscapes = " \t\n#"

// appendMounts writes /proc/PID/mounts (fstab(5)): what lies below root.
func appendMounts(b []byte, root vfs.Path) []byte {
	for _, m := range vfs.Mounts() {
		at, ok := m.Root().Absolute(root)
		if !ok {
			continue
		}
		b = append(escape(b, source(m), mountEscapes), ' ')
		b = append(escape(b, at, mountEscapes), ' ')
		b = append(append(b, m.Filesystem().Type()...), ' ')
		b = append(append(b, m.Options()...), " 0 0\n"...)
	}
	return b
}

// appendMountinfo writes /proc/PID/mountinfo (proc_pid_mountinfo(5)).
func appendMountinfo(b []byte, root vfs.Path) []byte {
	for _, m := range vfs.Mounts() {
		at, ok := m.Root().Absolute(root)
		if !ok {
			continue
		}
		parent := m.ID
		if p := m.Parent(); p != nil {
			parent = p.ID
		}
		b = strconv.AppendInt(b, int64(m.ID), 10)
		b = strconv.AppendInt(append(b, ' '), int64(parent), 10)
		b = strconv.AppendUint(append(b, ' '), uint64(unix.Major(m.Dev())), 10)
		b = strconv.AppendUint(append(b, ':'), uint64(unix.Minor(m.Dev())), 10)
		b = append(b, " / "...)
		b = append(escape(b, at, mountEscapes), ' ')
		b = append(append(b, m.Options()...), " - "...)
		b = append(append(b, m.Filesystem().Type()...), ' ')
		b = append(escape(b, source(m), mountEscapes), ' ')
		if m.Flags()&unix.MS_RDONLY != 0 {
			b = append(b, "ro\n"...)
		} else {
			b = append(b, "rw\n"...)
		}
	}
	return b
}

func source(m *vfs.Mount) string {
	if s := m.Source(); s != "" {
		return s
	}
	return "none"
}

// appendMountStats writes /proc/PID/mountstats: no file system has more to say.
func appendMountStats(b []byte, root vfs.Path) []byte {
	for _, m := range vfs.Mounts() {
		at, ok := m.Root().Absolute(root)
		if !ok {
			continue
		}
		b = escape(append(b, "device "...), source(m), mountEscapes)
		b = escape(append(b, " mounted on "...), at, mountEscapes)
		b = append(append(append(b, " with fstype "...), m.Filesystem().Type()...), '\n')
	}
	return b
}
