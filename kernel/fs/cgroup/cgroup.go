// Package cgroup is /sys/fs/cgroup: the root of a cgroup2 hierarchy without controllers, in which all processes are
// (Documentation/admin-guide/cgroup-v2.rst). Runtimes look here for their limits, and find what a machine without limits has.
package cgroup

import (
	"strconv"

	"golang.org/x/sys/unix"
	"gosv/kernel/vfs"
)

// magic is CGROUP2_SUPER_MAGIC (include/uapi/linux/magic.h).
const magic = 0x63677270

// Config is what the file system needs of the rest of the kernel.
type Config struct {
	Processes func() []int                // IDs in ascending order
	Threads   func() []int                // the same of threads
	CPUTime   func() (user, system int64) // of all programs, in ns
}

// root is the only group. Groups cannot be made in it: there is nothing that they
// could limit.
type root struct{ *vfs.StaticDir }

// Create refuses a new group or file.
func (*root) Create(_ string, a *vfs.CreateArgs) (vfs.Inode, error) { return nil, unix.EPERM }

// New returns the file system.
func New(c Config) vfs.Filesystem {
	d := &root{vfs.NewStaticDir(0o755)}
	d.SetIno(1)
	d.Lazily(func(d *vfs.StaticDir) { fill(d, c) })
	return &vfs.SynthFS{Name: "cgroup2", Magic: magic, Top: d}
}

// fill adds the files that Linux's root group has without controllers.
func fill(d *vfs.StaticDir, c Config) {
	text := func(name, s string) { d.Add(name, vfs.NewReadOnlyFile(func() []byte { return []byte(s) })) }
	text("cgroup.controllers", "\n")
	text("cgroup.max.depth", "max\n")
	text("cgroup.max.descendants", "max\n")
	text("cgroup.stat", "nr_descendants 0\nnr_dying_descendants 0\n")

	// No controller is there to be enabled, and every process is here already.
	d.Add("cgroup.subtree_control", vfs.NewWritableFile(0o644, func(vfs.Caller) ([]byte, error) { return []byte("\n"), nil },
		func(_ vfs.Caller, b []byte) error {
			for _, v := range b {
				if v != ' ' && v != '\n' {
					return unix.EINVAL
				}
			}
			return nil
		}))
	members := func(name string, ids func() []int) {
		d.Add(name, vfs.NewWritableFile(0o644, func(vfs.Caller) ([]byte, error) {
			var b []byte
			for _, id := range ids() {
				b = append(strconv.AppendInt(b, int64(id), 10), '\n')
			}
			return b, nil
		}, func(_ vfs.Caller, b []byte) error { return join(b, ids()) }))
	}
	members("cgroup.procs", c.Processes)
	members("cgroup.threads", c.Threads)
	d.Add("cpu.stat", vfs.NewReadOnlyFile(func() []byte {
		user, system := c.CPUTime()
		var b []byte
		for _, l := range []struct {
			name string
			ns   int64
		}{{"usage_usec ", user + system}, {"user_usec ", user}, {"system_usec ", system}, {"nice_usec ", 0}} {
			b = append(b, l.name...)
			b = append(strconv.AppendInt(b, l.ns/1000, 10), '\n')
		}
		return b
	}))
}

// join moves a process into the group where it is: EINVAL if the text is no
// number, ESRCH if there is no such process. 0 is the writer.
func join(b []byte, ids []int) error {
	for len(b) > 0 && (b[len(b)-1] == '\n' || b[len(b)-1] == ' ') {
		b = b[:len(b)-1]
	}
	id, err := strconv.ParseUint(string(b), 10, 31)
	if err != nil {
		return unix.EINVAL
	}
	if id == 0 {
		return nil
	}
	for _, v := range ids {
		if v == int(id) {
			return nil
		}
	}
	return unix.ESRCH
}
