// Package tmpfs is the file system in memory: inodes on the Go heap, contents in page caches without a backing store.
//
// A directory or file may have a lower inode, of a read-only file system under this one: package overlay is made so.
// Such an inode starts with the attributes and the page cache of the lower one and changes its own copy.
//
// Lock order:
//
//	Inode.writeMu
//	Inode.mu (one at a time, but for Rename: the two directories, as the VFS has ordered them, then children)
//	FS.shadowMu
package tmpfs

import (
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
	"gosv/kernel/frame"
	"gosv/kernel/mm"
	"gosv/kernel/vfs"
)

// Options are the mount options of tmpfs(5).
type Options struct {
	Size     uint64 // most bytes of file content; 0 is half of the memory
	Inodes   uint64 // most inodes; 0 is one per two pages of memory
	Mode     uint32 // of the root, 01777 if HasMode is not set
	HasMode  bool
	UID, GID uint32
}

// An FS is one mounted tmpfs.
type FS struct {
	root   *Inode
	name   string
	magic  uint64
	pages  *mm.Quota
	inodes atomic.Int64
	most   int64 // inodes
	next   atomic.Uint64

	lower vfs.Filesystem

	// shadowMu guards the inodes that stand for lower ones, by the lower inode
	// number: those that were changed, and weakly the others. Without a lower
	// file system shadows has the inodes that there are handles of.
	shadowMu sync.Mutex
	changed  map[uint64]*Inode
	shadows  shadowMap
}

// New makes an empty file system.
func New(o Options) *FS {
	fs := newFS(o)
	if !o.HasMode {
		o.Mode = 0o1777
	}
	fs.root = fs.newInode(unix.S_IFDIR|o.Mode&0o7777, o.UID, o.GID)
	fs.root.nlink = 2
	return fs
}

func newFS(o Options) *FS {
	total, _, _, _ := frame.Stats()
	fs := &FS{name: "tmpfs", magic: unix.TMPFS_MAGIC}
	if o.Size == 0 {
		o.Size = total / 2 * 4096
	}
	if o.Inodes == 0 {
		o.Inodes = max(total/2, 512)
	}
	fs.pages = mm.NewQuota(int64((o.Size+4095)/4096), mm.Lasting)
	fs.most = int64(o.Inodes)
	return fs
}

// NewOver makes a file system that shows lower and keeps all changes; a file
// system of type name.
func NewOver(lower vfs.Filesystem, name string, o Options) (*FS, error) {
	fs := newFS(o)
	fs.name, fs.magic, fs.lower = name, unix.OVERLAYFS_SUPER_MAGIC, lower
	fs.next.Store(1 << 32) // above the numbers of the lower file system
	fs.changed = make(map[uint64]*Inode)
	root, err := fs.shadow(lower.Root())
	if err != nil {
		return nil, err
	}
	fs.root = root
	return fs, nil
}

// ParseOptions reads the data of mount(2): "size=64m,mode=755,nr_inodes=1k,uid=1,gid=2".
func ParseOptions(data string) (Options, error) {
	var o Options
	for opt := range strings.SplitSeq(data, ",") {
		key, value, _ := strings.Cut(opt, "=")
		switch key {
		case "":
		case "size", "nr_blocks", "nr_inodes":
			n, err := parseSize(value)
			if err != nil {
				return o, err
			}
			switch key {
			case "size":
				o.Size = n
			case "nr_blocks":
				o.Size = n * 4096
			default:
				o.Inodes = n
			}
		case "mode":
			n, err := strconv.ParseUint(value, 8, 32)
			if err != nil || n > 0o7777 {
				return o, unix.EINVAL
			}
			o.Mode, o.HasMode = uint32(n), true
		case "uid", "gid":
			n, err := strconv.ParseUint(value, 10, 32)
			if err != nil {
				return o, unix.EINVAL
			}
			if key == "uid" {
				o.UID = uint32(n)
			} else {
				o.GID = uint32(n)
			}
		case "huge", "mpol", "inode32", "inode64", "noswap":
			// Accepted: they tune Linux's implementation.
		default:
			return o, unix.EINVAL
		}
	}
	return o, nil
}

func parseSize(s string) (uint64, error) {
	if percent, ok := strings.CutSuffix(s, "%"); ok {
		n, err := strconv.ParseUint(percent, 10, 8)
		if err != nil {
			return 0, unix.EINVAL
		}
		total, _, _, _ := frame.Stats()
		return total * 4096 / 100 * n, nil
	}
	shift := 0
	if s != "" {
		switch s[len(s)-1] | 0x20 {
		case 'k':
			shift = 10
		case 'm':
			shift = 20
		case 'g':
			shift = 30
		}
		if shift != 0 {
			s = s[:len(s)-1]
		}
	}
	n, err := strconv.ParseUint(s, 10, 63-30)
	if err != nil {
		return 0, unix.EINVAL
	}
	return n << shift, nil
}

func init() {
	vfs.RegisterFilesystem("tmpfs", true, func(_ string, _ uint32, data string) (vfs.Filesystem, error) {
		o, err := ParseOptions(data)
		if err != nil {
			return nil, err
		}
		return New(o), nil
	})
}

// Exports reports that files can be opened by handle: not in an overlay, as on Linux without the option nfs_export.
func (fs *FS) Exports() bool { return fs.lower == nil }

// Export implements vfs.Exporter.
func (fs *FS) Export(n vfs.Inode) {
	i := asInode(n)
	if i == nil || fs.lower != nil {
		return
	}
	fs.shadowMu.Lock()
	fs.shadows.put(i.ino, i)
	fs.shadowMu.Unlock()
}

// Exported implements vfs.Exporter.
func (fs *FS) Exported(ino uint64) vfs.Inode {
	fs.shadowMu.Lock()
	n := fs.shadows.get(ino)
	fs.shadowMu.Unlock()
	if n == nil {
		return nil
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.freed {
		return nil
	}
	return n
}

func (fs *FS) Root() vfs.Inode { return fs.root }
func (fs *FS) Sync() error     { return nil }
func (fs *FS) Type() string    { return fs.name }
func (fs *FS) Volatile() bool  { return false }

// Unmounted implements vfs.Unmounter: no name, descriptor or mapping leads to the files any more.
func (fs *FS) Unmounted() {
	for list := []*Inode{fs.root}; len(list) > 0; {
		n := list[len(list)-1]
		list = list[:len(list)-1]
		n.mu.Lock()
		if n.names != nil {
			for _, e := range n.names.order {
				if e != nil && e.n != nil {
					list = append(list, e.n)
				}
			}
		}
		gone := n.freed // by another name
		n.freed = true
		n.mu.Unlock()
		if !gone {
			n.free()
		}
	}
}

// Statfs counts the pages in use against the limit; with a lower file system its
// blocks are in use too.
func (fs *FS) Statfs(st *vfs.Statfs) error {
	*st = vfs.Statfs{Type: fs.magic, Bsize: 4096, Namelen: 255}
	if fs.lower != nil {
		var l vfs.Statfs
		if err := fs.lower.Statfs(&l); err != nil {
			return err
		}
		st.Blocks = l.Blocks * l.Bsize / 4096
		st.Files = l.Files
	}
	limit := fs.pages.Limit()
	st.Blocks += uint64(limit)
	st.Bfree = uint64(max(0, limit-fs.pages.Used()))
	st.Files += uint64(fs.most)
	st.Ffree = uint64(max(0, fs.most-fs.inodes.Load()))
	return nil
}
