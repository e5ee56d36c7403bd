package procfs

import (
	"strconv"
	"sync"

	"golang.org/x/sys/unix"
	"gosv/kernel/mm"
	"gosv/kernel/vfs"
)

// namespaces are the initial ones, with the numbers that Linux gives them
// (include/linux/proc_ns.h): all processes are in them, and there are no others.
var namespaces = [...]struct {
	name, kind string
	ino        uint64
	flag       uint64 // CLONE_NEW*
}{
	{"cgroup", "cgroup", 0xeffffffb, unix.CLONE_NEWCGROUP}, {"ipc", "ipc", 0xefffffff, unix.CLONE_NEWIPC},
	{"mnt", "mnt", 0xeffffff8, unix.CLONE_NEWNS}, {"net", "net", 0xeffffff9, unix.CLONE_NEWNET},
	{"pid", "pid", 0xeffffffc, unix.CLONE_NEWPID}, {"pid_for_children", "pid", 0xeffffffc, unix.CLONE_NEWPID},
	{"time", "time", 0xeffffffa, unix.CLONE_NEWTIME}, {"time_for_children", "time", 0xeffffffa, unix.CLONE_NEWTIME},
	{"user", "user", 0xeffffffd, unix.CLONE_NEWUSER}, {"uts", "uts", 0xeffffffe, unix.CLONE_NEWUTS},
}

// nsInode is a namespace: a file that only says which one it is.
type nsInode struct {
	vfs.InodeDefaults
	ino, flag uint64
}

func (n *nsInode) Mode() uint32 { return unix.S_IFREG | 0o444 }

func (n *nsInode) Stat(st *vfs.Stat) error {
	st.Ino, st.Mode = n.ino, n.Mode()
	return nil
}

func (n *nsInode) Open(vfs.Caller, *vfs.File, uint32) (vfs.FileImpl, error) {
	return &nsFile{flag: n.flag}, nil
}

type nsFile struct {
	vfs.FileDefaults
	flag uint64
}

// Ioctl is ioctl_nsfs(2). The namespaces that others belong to are not given out:
// EPERM, as for those that a caller cannot see.
func (f *nsFile) Ioctl(as *mm.AddressSpace, cmd uint32, arg uint64) (uint64, error) {
	switch cmd {
	case unix.NS_GET_NSTYPE:
		return f.flag, nil
	case unix.NS_GET_USERNS:
		return 0, unix.EPERM
	case unix.NS_GET_PARENT:
		if f.flag == unix.CLONE_NEWPID || f.flag == unix.CLONE_NEWUSER {
			return 0, unix.EPERM // the first has none
		}
		return 0, unix.EINVAL
	case unix.NS_GET_OWNER_UID:
		if f.flag != unix.CLONE_NEWUSER {
			return 0, unix.EINVAL
		}
		return 0, as.Store32(arg, 0)
	}
	return 0, unix.ENOTTY
}

// nsFiles are the open files that the links lead to, by kind.
var nsFiles = sync.OnceValue(func() map[string]*vfs.File {
	files := make(map[string]*vfs.File)
	for _, n := range namespaces {
		if files[n.kind] == nil {
			files[n.kind] = vfs.NewInodeFile(&nsFile{flag: n.flag}, &nsInode{ino: n.ino, flag: n.flag}, n.kind+":["+strconv.FormatUint(n.ino, 10)+"]", unix.O_RDONLY)
		}
	}
	return files
})

// addNamespaces adds the directory ns (namespaces(7)).
func (w *tree) addNamespaces() {
	p := w.p
	d := vfs.NewStaticDir(0o511)
	d.UID, d.GID = w.uid, w.gid
	d.Lazily(func(d *vfs.StaticDir) {
		for _, n := range namespaces {
			link := vfs.NewMagicLink(func(c vfs.Caller) (string, error) {
				if err := mayInspect(c, p); err != nil {
					return "", err
				}
				return n.kind + ":[" + strconv.FormatUint(n.ino, 10) + "]", nil
			}, func(c vfs.Caller) (vfs.Path, error) {
				if err := mayInspect(c, p); err != nil {
					return vfs.Path{}, err
				}
				return nsFiles()[n.kind].FollowPath(), nil
			})
			link.UID, link.GID = w.uid, w.gid
			d.Add(n.name, link)
		}
	})
	w.d.Add("ns", d)
}
