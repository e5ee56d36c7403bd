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

// memory are the devices of major number 1 (Documentation/admin-guide/devices.txt).
var memory = []struct {
	name  string
	minor uint32
	impl  vfs.FileImpl
}{{"null", 3, &null{}}, {"zero", 5, &zero{}}, {"full", 7, &full{}}, {"random", 8, randomDevice{}}, {"urandom", 9, randomDevice{}}}

// links lead to the descriptors of whoever follows them.
var links = []struct{ name, target string }{
	{"fd", "/proc/self/fd"}, {"stdin", "/proc/self/fd/0"}, {"stdout", "/proc/self/fd/1"}, {"stderr", "/proc/self/fd/2"},
}

// New returns the file system, and registers the devices, so that nodes that
// mknod(2) makes elsewhere lead to them too. The directories pts, shm and
// mqueue are there to be mounted on.
func New(term Terminal) vfs.Filesystem {
	vfs.RegisterDevice(unix.S_IFCHR, 1, vfs.AnyMinor, openMemory)
	vfs.RegisterDevice(unix.S_IFCHR, 5, vfs.AnyMinor, func(c vfs.Caller, _ *vfs.File, rdev uint64, _ uint32) (vfs.FileImpl, error) {
		if minor := unix.Minor(rdev); minor <= 1 {
			return term.OpenDevice(c, minor == 0)
		}
		return nil, unix.ENXIO
	})
	root := vfs.NewStaticDir(0o755)
	root.SetIno(1)
	root.Subdir("pts")
	root.Subdir("shm").Perm = 0o1777
	root.Lazily(fill)
	return &vfs.SynthFS{Name: "devtmpfs", Magic: unix.TMPFS_MAGIC, Top: root}
}

func openMemory(_ vfs.Caller, _ *vfs.File, rdev uint64, _ uint32) (vfs.FileImpl, error) {
	minor := unix.Minor(rdev)
	for i := range memory {
		if memory[i].minor == minor {
			return memory[i].impl, nil
		}
	}
	return nil, unix.ENXIO
}

// fill adds all but pts and shm, on which the kernel mounts at each boot.
func fill(root *vfs.StaticDir) {
	for i := range memory {
		root.Add(memory[i].name, vfs.NewDeviceNode(unix.S_IFCHR, 0o666, 1, memory[i].minor, nil))
	}
	root.Add("tty", vfs.NewDeviceNode(unix.S_IFCHR, 0o666, 5, 0, nil))
	root.Add("console", vfs.NewDeviceNode(unix.S_IFCHR, 0o600, 5, 1, nil))
	root.Add("ptmx", vfs.NewDeviceNode(unix.S_IFCHR, 0o666, 5, 2, nil)) // opened by package devpts
	for _, l := range links {
		root.Add(l.name, vfs.NewLink(l.target))
	}
	root.Subdir("mqueue").Perm = 0o1777
}
