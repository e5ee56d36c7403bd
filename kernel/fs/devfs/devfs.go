// Package devfs is /dev: the memory devices, the terminal, and the links to a process's own descriptors.
package devfs

import (
	"golang.org/x/sys/unix"
	"gosv/kernel/vfs"
)

// Terminal is what opens /dev/console and, with tty, /dev/tty; *tty.Console is
// one.
type Terminal interface {
	OpenDevice(c vfs.Caller, tty bool) (vfs.FileImpl, error)
}

// New returns the file system, and registers the devices, so that nodes that
// mknod(2) makes elsewhere lead to them too. The directories pts, shm and
// mqueue are there to be mounted on.
func New(term Terminal) vfs.Filesystem {
	root := vfs.NewStaticDir(0o755)
	root.SetIno(1)
	node := func(name string, perm, major, minor uint32, open func(vfs.Caller) (vfs.FileImpl, error)) {
		vfs.RegisterDevice(unix.S_IFCHR, major, minor, func(c vfs.Caller, _ *vfs.File, _ uint64, _ uint32) (vfs.FileImpl, error) {
			return open(c)
		})
		root.Add(name, vfs.NewDeviceNode(unix.S_IFCHR, perm, major, minor, nil))
	}
	memory := func(name string, minor uint32, impl vfs.FileImpl) {
		node(name, 0o666, 1, minor, func(vfs.Caller) (vfs.FileImpl, error) { return impl, nil })
	}
	memory("null", 3, null{})
	memory("zero", 5, zero{})
	memory("full", 7, full{})
	memory("random", 8, randomDevice{})
	memory("urandom", 9, randomDevice{})
	node("tty", 0o666, 5, 0, func(c vfs.Caller) (vfs.FileImpl, error) { return term.OpenDevice(c, true) })
	node("console", 0o600, 5, 1, func(c vfs.Caller) (vfs.FileImpl, error) { return term.OpenDevice(c, false) })
	for name, target := range map[string]string{
		"fd": "/proc/self/fd", "stdin": "/proc/self/fd/0", "stdout": "/proc/self/fd/1", "stderr": "/proc/self/fd/2",
	} {
		root.Add(name, vfs.NewLink(target))
	}
	root.Add("ptmx", vfs.NewDeviceNode(unix.S_IFCHR, 0o666, 5, 2, nil)) // opened by package devpts
	root.Subdir("pts")
	root.Subdir("shm").Perm = 0o1777
	root.Subdir("mqueue").Perm = 0o1777
	return &vfs.SynthFS{Name: "devtmpfs", Magic: unix.TMPFS_MAGIC, Top: root}
}
