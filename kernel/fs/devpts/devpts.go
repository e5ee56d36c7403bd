// Package devpts is /dev/pts: one device node for each pseudo-terminal that is open (pts(4)).
package devpts

import (
	"slices"
	"strconv"
	"sync"

	"golang.org/x/sys/unix"
	"gosv/kernel/tty"
	"gosv/kernel/vfs"
)

// most is how many pseudo-terminals there can be (/proc/sys/kernel/pty/max).
const most = 4096

// ttyGroup is the group of terminals on Debian and its kin.
const ttyGroup = 5

// table is all pseudo-terminals.
type table struct {
	signals tty.Signaler

	mu    sync.Mutex
	nodes map[int]*node
}

// New returns the file system, and registers the devices: /dev/ptmx makes a
// pseudo-terminal, whatever the node's path.
func New(s tty.Signaler) vfs.Filesystem {
	t := &table{signals: s, nodes: make(map[int]*node)}
	vfs.RegisterDevice(unix.S_IFCHR, 5, 2, t.openMaster)
	vfs.RegisterDevice(unix.S_IFCHR, tty.SlaveMajor, vfs.AnyMinor, t.openSlave)
	root := vfs.NewDynamicDir(0o755, t)
	root.SetIno(1)
	return &vfs.SynthFS{Name: "devpts", Magic: unix.DEVPTS_SUPER_MAGIC, Top: root, IsVolatile: true}
}

// openMaster is the open of /dev/ptmx.
func (t *table) openMaster(c vfs.Caller, _ *vfs.File, _ uint64, _ uint32) (vfs.FileImpl, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	i := 0
	for t.nodes[i] != nil {
		i++
	}
	if i >= most {
		return nil, unix.ENOSPC
	}
	n := &node{mode: 0o620, uid: c.Creds.FSUID, gid: ttyGroup, made: vfs.Now()}
	n.pair = tty.NewPair(i, t.signals, func() {
		t.mu.Lock()
		delete(t.nodes, i)
		t.mu.Unlock()
	})
	t.nodes[i] = n
	return n.pair.Master(), nil
}

// openSlave is the open of a node elsewhere with the number of a terminal.
func (t *table) openSlave(c vfs.Caller, _ *vfs.File, rdev uint64, flags uint32) (vfs.FileImpl, error) {
	t.mu.Lock()
	n := t.nodes[int(unix.Minor(rdev))]
	t.mu.Unlock()
	if n == nil {
		return nil, unix.EIO
	}
	return n.pair.OpenSlave(c, flags)
}

// Lookup implements vfs.Directory.
func (t *table) Lookup(_ vfs.Caller, name string) (vfs.Inode, error) {
	if name == "ptmx" {
		return ptmx, nil
	}
	i, err := strconv.Atoi(name)
	if err != nil || strconv.Itoa(i) != name {
		return nil, unix.ENOENT
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if n := t.nodes[i]; n != nil {
		return n, nil
	}
	return nil, unix.ENOENT
}

// ptmx is the node of the file system itself, which nobody may open unless its
// mode is changed; /dev/ptmx is the one that programs use.
var ptmx = vfs.NewDeviceNode(unix.S_IFCHR, 0, 5, 2, nil)

// Names implements vfs.Directory.
func (t *table) Names(_ vfs.Caller, after int64, emit func(int64, string, uint64, uint8) bool) error {
	t.mu.Lock()
	var list []int
	for i := range t.nodes {
		list = append(list, i)
	}
	t.mu.Unlock()
	slices.Sort(list)
	const first = 3 // . and .. come before
	for _, i := range list {
		if key := int64(first + i); key > after && !emit(key, strconv.Itoa(i), ino(i), unix.DT_CHR) {
			return nil
		}
	}
	if key := int64(first + most); key > after {
		emit(key, "ptmx", ptmx.Ino(), unix.DT_CHR)
	}
	return nil
}

func ino(i int) uint64 { return uint64(i) + 3 }

// node is /dev/pts/N, which belongs to who opened the master.
type node struct {
	vfs.InodeDefaults
	pair *tty.Pair
	made vfs.Time

	mu       sync.Mutex
	mode     uint32
	uid, gid uint32
}

func (n *node) Mode() uint32 {
	n.mu.Lock()
	defer n.mu.Unlock()
	return unix.S_IFCHR | n.mode
}

func (n *node) Owner() (uid, gid uint32) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.uid, n.gid
}

func (n *node) Stat(st *vfs.Stat) error {
	st.Ino, st.Rdev, st.Blksize = ino(n.pair.Index), n.pair.Terminal.Dev(), 1024
	st.Mode = n.Mode()
	st.UID, st.GID = n.Owner()
	st.Atime, st.Mtime, st.Ctime = n.made, n.made, n.made
	return nil
}

func (n *node) SetAttr(a *vfs.SetAttr) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if a.Mask&vfs.SetMode != 0 {
		n.mode = a.Mode
	}
	if a.Mask&vfs.SetUID != 0 {
		n.uid = a.UID
	}
	if a.Mask&vfs.SetGID != 0 {
		n.gid = a.GID
	}
	return nil
}

func (n *node) Open(c vfs.Caller, _ *vfs.File, flags uint32) (vfs.FileImpl, error) {
	return n.pair.OpenSlave(c, flags)
}
