package vfs

import (
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// A Filesystem is a mountable tree of inodes.
type Filesystem interface {
	Root() Inode
	Statfs(st *Statfs) error
	Sync() error
	// Type is the name that /proc/mounts shows, "tmpfs".
	Type() string
	// Volatile file systems (procfs) change by themselves: every lookup asks
	// them, and nothing negative is cached. Their Lookup should return the same
	// inode for the same object when it can.
	Volatile() bool
}

// An Unmounter is a Filesystem that gives something back when it was unmounted for the last time and nothing refers to it. One that was
// in use then (MNT_DETACH) is not told later.
type Unmounter interface{ Unmounted() }

// A Superblock is a file system in use, with its dentry cache.
type Superblock struct {
	FS       Filesystem
	Dev      uint64 // st_dev
	root     *Dentry
	volatile bool
	cached   atomic.Int64 // dentries in all children maps
	kept     atomic.Int64 // dentries, beyond half the limit, that the last prune could not drop
	overdue  atomic.Int64 // operations above the limit since then
	pruning  atomic.Bool  // pruneSoon has begun
	mounts   int          // guarded by mountMu
	handles  handles
}

// A Mount is a file system at a place in the tree.
type Mount struct {
	ID      int
	sb      *Superblock
	root    *Dentry
	parent  *Mount  // nil for the root of the tree
	point   *Dentry // in parent
	source  string
	options string // of the file system, "size=64m"
	flags   atomic.Uint32
	writers atomic.Int32          // files open for writing
	over    atomic.Pointer[Mount] // on the root of this one: towers of them are passed floor by floor
	below   int                   // mounts on this one; guarded by mountMu

	detached bool // not in the tree any more; guarded by mountMu
}

type mountPoint struct {
	mount *Mount
	point *Dentry
}

// mountMu guards changes of the mount table; readers take the published list.
var (
	mountMu   sync.Mutex
	mountList atomic.Pointer[[]*Mount] // each mount behind the one that it is on
	byPointMu sync.RWMutex             // guards byPoint
	byPoint   = make(map[mountPoint]*Mount)
	rootMount atomic.Pointer[Mount]
	nextMount = 1
	nextDev   = uint64(1)
)

// anonDev is st_dev of anonymous inodes, and anonSB what their dentries belong to.
const anonDev = 0xff

var (
	anonSB    = &Superblock{Dev: anonDev}
	anonMount = &Mount{sb: anonSB}
)

// newSuperblock reads the root of fs.
func newSuperblock(fs Filesystem) *Superblock {
	sb := &Superblock{FS: fs, volatile: fs.Volatile()}
	sb.Dev = unix.Mkdev(0, uint32(16+nextDev))
	nextDev++
	sb.root = newDentry(sb, nil, "/", fs.Root())
	sb.root.pins.Store(1)
	return sb
}

// SetDev gives a file system the number of its block device as st_dev; for the
// boot code, before programs run.
func (m *Mount) SetDev(dev uint64) { m.sb.Dev = dev }

// MountRoot makes fs the root of the tree. flags are MS_* of mount(2).
func MountRoot(fs Filesystem, source string, flags uint32) (*Mount, error) {
	mountMu.Lock()
	defer mountMu.Unlock()
	if rootMount.Load() != nil {
		return nil, unix.EBUSY
	}
	m := addMount(newSuperblock(fs), nil, nil, source, flags)
	rootMount.Store(m)
	return m, nil
}

// addMount enters a mount into the table; mountMu is held.
func addMount(sb *Superblock, parent *Mount, point *Dentry, source string, flags uint32) *Mount {
	m := &Mount{ID: nextMount, sb: sb, root: sb.root, parent: parent, point: point, source: source}
	m.flags.Store(flags & MountFlags)
	nextMount++
	sb.mounts++
	sb.root.pins.Add(1)
	list := append(Mounts(), m) // readers of the list do not see what is behind its end
	mountList.Store(&list)
	if parent != nil {
		setMountOn(parent, point, m)
		point.pins.Add(1)
		point.mounted.Add(1)
		parent.below++
	}
	return m
}

// MountFlags are the flags of mount(2) that stay with a mount.
const MountFlags = unix.MS_RDONLY | unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC |
	unix.MS_NOATIME | unix.MS_NODIRATIME | unix.MS_RELATIME | unix.MS_STRICTATIME | unix.MS_NOSYMFOLLOW

// MountAt mounts fs on the directory p.
func MountAt(p Path, fs Filesystem, source string, flags uint32) (*Mount, error) {
	mountMu.Lock()
	defer mountMu.Unlock()
	if p.Dentry == nil || p.Mount == nil || p.Dentry.dead.Load() {
		return nil, unix.ENOENT
	}
	if p.Mount.detached {
		return nil, unix.EINVAL
	}
	root := newSuperblock(fs)
	if root.root.isDir() != p.Dentry.isDir() {
		return nil, unix.ENOTDIR
	}
	if mountedOn(p) != nil {
		return nil, unix.EBUSY
	}
	return addMount(root, p.Mount, p.Dentry, source, flags), nil
}

// Unmount takes a mount out of the tree; EBUSY while it is used, unless lazy. A
// lazy one takes the mounts on it with it (MNT_DETACH of umount2(2)).
func (m *Mount) Unmount(lazy bool) error {
	mountMu.Lock()
	defer mountMu.Unlock()
	if m.parent == nil {
		return unix.EINVAL
	}
	busy := m.below != 0 || m.busy()
	if !lazy && busy {
		return unix.EBUSY
	}
	if m.detached {
		return unix.EINVAL
	}
	var list, gone []*Mount
	for _, o := range Mounts() { // each comes behind the one that it is on
		if o == m || o.parent != nil && o.parent.detached {
			o.detached = true
			gone = append(gone, o)
		} else {
			list = append(list, o)
		}
	}
	mountList.Store(&list)
	var err error
	for _, o := range gone {
		setMountOn(o.parent, o.point, nil)
		o.point.mounted.Add(-1)
		o.point.pins.Add(-1)
		o.parent.below--
		o.sb.mounts--
		o.root.pins.Add(-1)
		if o.sb.mounts == 0 && !busy {
			treeMu.Lock()
			o.sb.unmounted()
			treeMu.Unlock()
			if u, ok := o.sb.FS.(Unmounter); ok {
				u.Unmounted()
			}
		}
		if e := o.sb.FS.Sync(); err == nil {
			err = e
		}
	}
	return err
}

// busy reports whether anything in the mount is pinned. The root has one pin of
// the superblock and one of the mount.
func (m *Mount) busy() bool {
	treeMu.Lock()
	defer treeMu.Unlock()
	if m.root.pins.Load()-m.root.watched.Load() > int32(1+m.sb.mounts) {
		return true
	}
	for _, d := range m.sb.directories() {
		for _, ch := range d.children {
			if !ch.unused() {
				return true
			}
		}
	}
	return false
}

// Mounts returns all mounts in the order in which they were made; read-only.
func Mounts() []*Mount {
	if l := mountList.Load(); l != nil {
		return *l
	}
	return nil
}

// mountedOn returns the mount at p, nil if there is none.
func mountedOn(p Path) *Mount {
	if p.Mount != nil && p.Dentry == p.Mount.root {
		return p.Mount.over.Load()
	}
	byPointMu.RLock()
	m := byPoint[mountPoint{p.Mount, p.Dentry}]
	byPointMu.RUnlock()
	return m
}

// setMountOn enters what is mounted at a place, nil for no more; mountMu is held.
func setMountOn(parent *Mount, point *Dentry, m *Mount) {
	if point == parent.root {
		parent.over.Store(m)
		return
	}
	byPointMu.Lock()
	if m != nil {
		byPoint[mountPoint{parent, point}] = m
	} else {
		delete(byPoint, mountPoint{parent, point})
	}
	byPointMu.Unlock()
}

// Filesystem returns the mounted file system.
func (m *Mount) Filesystem() Filesystem { return m.sb.FS }

// Root returns the path of the mount's root.
func (m *Mount) Root() Path { return Path{m, m.root} }

// Parent returns the mount that this one is on, nil for the root.
func (m *Mount) Parent() *Mount { return m.parent }

// Point returns the path of the mount point as seen from root.
func (m *Mount) Point(root Path) string {
	if m.parent == nil {
		return "/"
	}
	return Path{m, m.root}.String(root)
}

// Source returns the first field of /proc/mounts.
func (m *Mount) Source() string { return m.source }

// Dev returns st_dev of the files in the mount.
func (m *Mount) Dev() uint64 { return m.sb.Dev }

// Flags returns the MS_* flags of the mount.
func (m *Mount) Flags() uint32 { return m.flags.Load() }

// SetFlags replaces the flags (MS_REMOUNT); EBUSY for a read-only remount while
// files are open for writing.
func (m *Mount) SetFlags(flags uint32) error {
	if flags&unix.MS_RDONLY != 0 && m.writers.Load() != 0 {
		return unix.EBUSY
	}
	m.flags.Store(flags & MountFlags)
	return nil
}

// Options returns the fourth field of /proc/mounts, "rw,nosuid,size=64m".
func (m *Mount) Options() string {
	var b strings.Builder
	f := m.Flags()
	b.WriteString("rw")
	if f&unix.MS_RDONLY != 0 {
		b.Reset()
		b.WriteString("ro")
	}
	for _, o := range [...]struct {
		flag uint32
		name string
	}{{unix.MS_NOSUID, ",nosuid"}, {unix.MS_NODEV, ",nodev"}, {unix.MS_NOEXEC, ",noexec"}, {unix.MS_NOATIME, ",noatime"}, {unix.MS_NODIRATIME, ",nodiratime"}} {
		if f&o.flag != 0 {
			b.WriteString(o.name)
		}
	}
	if f&(unix.MS_NOATIME|unix.MS_STRICTATIME) == 0 {
		b.WriteString(",relatime")
	}
	if m.options != "" {
		b.WriteByte(',')
		b.WriteString(m.options)
	}
	return b.String()
}

func (m *Mount) readonly() bool { return m.flags.Load()&unix.MS_RDONLY != 0 }

// filesystems are the types that mount(2) can make.
var filesystems struct {
	mu    sync.Mutex
	types []fsType
}

type fsType struct {
	name  string
	nodev bool
	open  func(source string, flags uint32, data string) (Filesystem, error)
}

// RegisterFilesystem makes a type known to mount(2) and /proc/filesystems.
// nodev types need no block device as their source.
func RegisterFilesystem(name string, nodev bool, open func(source string, flags uint32, data string) (Filesystem, error)) {
	filesystems.mu.Lock()
	filesystems.types = append(filesystems.types, fsType{name, nodev, open})
	filesystems.mu.Unlock()
}

// FilesystemTypes calls yield for every registered type.
func FilesystemTypes(yield func(name string, nodev bool) bool) {
	filesystems.mu.Lock()
	types := slices.Clone(filesystems.types)
	filesystems.mu.Unlock()
	for _, t := range types {
		if !yield(t.name, t.nodev) {
			return
		}
	}
}

// newFilesystem makes a file system of a registered type; ENODEV.
func newFilesystem(name, source string, flags uint32, data string) (Filesystem, error) {
	filesystems.mu.Lock()
	i := slices.IndexFunc(filesystems.types, func(t fsType) bool { return t.name == name })
	var t fsType
	if i >= 0 {
		t = filesystems.types[i]
	}
	filesystems.mu.Unlock()
	if i < 0 {
		return nil, unix.ENODEV
	}
	return t.open(source, flags, data)
}
