package procfs

import (
	"strconv"
	"sync"

	"golang.org/x/sys/unix"
	"gosv/kernel/vfs"
)

// nsMagic is NSFS_MAGIC (include/uapi/linux/magic.h).
const nsMagic = 0x6e736673

// namespaces are the initial ones, with the numbers that Linux gives them
// (include/linux/proc_ns.h): all processes are in them, and there are no others.
var namespaces = [...]struct {
	name, kind string
	ino        uint64
}{
	{"cgroup", "cgroup", 0xeffffffb}, {"ipc", "ipc", 0xefffffff}, {"mnt", "mnt", 0xeffffff8}, {"net", "net", 0xeffffff9},
	{"pid", "pid", 0xeffffffc}, {"pid_for_children", "pid", 0xeffffffc}, {"time", "time", 0xeffffffa},
	{"time_for_children", "time", 0xeffffffa}, {"user", "user", 0xeffffffd}, {"uts", "uts", 0xeffffffe},
}

// nsInode is a namespace: a file that only says which one it is.
type nsInode struct {
	vfs.InodeDefaults
	ino uint64
}

func (n *nsInode) Mode() uint32 { return unix.S_IFREG | 0o444 }

func (n *nsInode) Stat(st *vfs.Stat) error {
	st.Ino, st.Mode = n.ino, n.Mode()
	return nil
}

func (n *nsInode) Open(vfs.Caller, *vfs.File, uint32) (vfs.FileImpl, error) { return &nsFile{}, nil }

type nsFile struct{ vfs.FileDefaults }

// nsFiles are the open files that the links lead to, by kind.
var nsFiles = sync.OnceValue(func() map[string]*vfs.File {
	files := make(map[string]*vfs.File)
	for _, n := range namespaces {
		if files[n.kind] == nil {
			files[n.kind] = vfs.NewInodeFile(&nsFile{}, &nsInode{ino: n.ino}, n.kind+":["+strconv.FormatUint(n.ino, 10)+"]", unix.O_RDONLY)
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
