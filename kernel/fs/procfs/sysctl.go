package procfs

import (
	"slices"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
	"gosv/kernel/mm"
	"gosv/kernel/sysctl"
	"gosv/kernel/vfs"
)

// This file shows the registry of package sysctl as the tree /proc/sys.

// settings is the tree: the rows in the order of their paths.
type settings struct {
	once sync.Once
	rows []setting

	mu     sync.Mutex
	inodes map[string]vfs.Inode // by path; made when first looked up
}

type setting struct {
	path string
	row  *sysctl.Row
}

// sorted returns the rows in the order of their paths.
func (s *settings) sorted() []setting {
	s.once.Do(func() {
		sysctl.Each(func(r *sysctl.Row) { s.rows = append(s.rows, setting{r.Path(), r}) })
		slices.SortStableFunc(s.rows, func(a, b setting) int { return strings.Compare(a.path, b.path) })
		s.inodes = make(map[string]vfs.Inode)
	})
	return s.rows
}

// settingsDir is the Directory of the settings whose paths start with prefix.
type settingsDir struct {
	s      *settings
	prefix string
}

// settingsInode is a directory of the tree.
type settingsInode struct{ *vfs.DynamicDir }

// newSettingsDir makes a directory of the tree; prefix is empty or ends with "/".
func newSettingsDir(s *settings, prefix string) vfs.Inode {
	return &settingsInode{vfs.NewDynamicDir(0o555, settingsDir{s, prefix})}
}

// Create refuses as Linux does, where even asking for a name fails.
func (*settingsInode) Create(string, *vfs.CreateArgs) (vfs.Inode, error) { return nil, unix.ENOENT }

// Remove refuses: nobody may write in the directory.
func (*settingsInode) Remove(string, vfs.Inode) error { return unix.EACCES }

// Rename refuses in the same way.
func (*settingsInode) Rename(string, vfs.Inode, vfs.Inode, string, vfs.Inode, bool) error {
	return unix.EACCES
}

// below returns the rows whose paths start with prefix.
func (s *settings) below(prefix string) []setting {
	rows := s.sorted()
	i, _ := slices.BinarySearchFunc(rows, prefix, func(x setting, p string) int { return strings.Compare(x.path, p) })
	n := i
	for n < len(rows) && strings.HasPrefix(rows[n].path, prefix) {
		n++
	}
	return rows[i:n]
}

func (d settingsDir) Lookup(_ vfs.Caller, name string) (vfs.Inode, error) {
	path := d.prefix + name
	s := d.s
	rows := s.sorted()
	s.mu.Lock()
	defer s.mu.Unlock()
	if n := s.inodes[path]; n != nil {
		return n, nil
	}
	var n vfs.Inode
	i, found := slices.BinarySearchFunc(rows, path, func(x setting, p string) int { return strings.Compare(x.path, p) })
	switch {
	case found:
		n = newSettingFile(rows[i].row)
	case len(s.below(path+"/")) > 0:
		n = newSettingsDir(s, path+"/")
	default:
		return nil, unix.ENOENT
	}
	s.inodes[path] = n
	return n, nil
}

func (d settingsDir) Names(c vfs.Caller, after int64, emit func(int64, string, uint64, uint8) bool) error {
	last := ""
	for i, x := range d.s.below(d.prefix) {
		name, _, isDir := strings.Cut(x.path[len(d.prefix):], "/")
		if name == last {
			continue
		}
		last = name
		key := int64(i) + 3
		if key <= after {
			continue
		}
		n, err := d.Lookup(c, name)
		if err != nil {
			return err
		}
		kind := uint8(unix.DT_REG)
		if isDir {
			kind = unix.DT_DIR
		}
		var st vfs.Stat
		if n.Stat(&st); !emit(key, name, st.Ino, kind) {
			break
		}
	}
	return nil
}

// settingFile is the inode of one row.
type settingFile struct {
	vfs.ContentFile
	row *sysctl.Row
}

func newSettingFile(r *sysctl.Row) *settingFile {
	n := &settingFile{row: r}
	n.Perm = r.Permissions()
	return n
}

// allowed is Linux's check: the bits of the mode for the effective user 0, for
// its group, and for others. No capability goes past it.
func (n *settingFile) allowed(c *vfs.Creds, want uint32) bool {
	mode := n.Perm
	switch {
	case c.EUID == 0:
		mode >>= 6
	case c.EGID == 0 || slices.Contains(c.Groups, 0):
		mode >>= 3
	}
	return want&^mode == 0
}

// SetAttr changes nothing, but refuses another mode or owner.
func (n *settingFile) SetAttr(a *vfs.SetAttr) error {
	if a.Mask&(vfs.SetMode|vfs.SetUID|vfs.SetGID) != 0 {
		return unix.EPERM
	}
	return nil
}

func (n *settingFile) Open(c vfs.Caller, f *vfs.File, flags uint32) (vfs.FileImpl, error) {
	want := uint32(0)
	if flags&unix.O_ACCMODE != unix.O_WRONLY {
		want |= vfs.MayRead
	}
	if flags&unix.O_ACCMODE != unix.O_RDONLY {
		want |= vfs.MayWrite
	}
	if !n.allowed(c.Creds, want) {
		return nil, unix.EACCES
	}
	return &openSetting{n: n, creds: c.Creds}, nil
}

// openSetting is an open settingFile. Its user is the one who opened it, also
// where the descriptor is inherited or sent.
type openSetting struct {
	vfs.FileDefaults
	n     *settingFile
	creds *vfs.Creds
}

func (o *openSetting) Seekable() bool       { return true }
func (o *openSetting) Sync(*vfs.File) error { return unix.EINVAL }
func (o *openSetting) Seek(f *vfs.File, off int64, whence int) (int64, error) {
	return vfs.SeekIn(f.Offset(), 0, off, whence)
}

func (o *openSetting) Read(_ *vfs.File, dst *mm.Buf, off int64) (int64, error) {
	b := o.n.row.Read(off)
	n, err := dst.CopyTo(b[:min(len(b), dst.Len())])
	if n > 0 {
		err = nil
	}
	return int64(n), err
}

// maxSettingWrite is how much of a write is looked at; the rest is taken with it.
const maxSettingWrite = 4096

func (o *openSetting) Write(_ *vfs.File, src *mm.Buf, off int64) (int64, error) {
	r := o.n.row
	if r.Cap != 0 && !o.creds.Has(uint(r.Cap)) {
		return 0, unix.EPERM
	}
	if src.Len() >= 4<<20 {
		return 0, unix.ENOMEM // Linux has no buffer of that size
	}
	if !r.Writable() {
		return 0, unix.EINVAL
	}
	whole := src.Len()
	b := make([]byte, min(whole, maxSettingWrite))
	n, err := src.CopyFrom(b)
	if err != nil {
		return 0, err
	}
	taken, err := r.Write(b[:n], off)
	if err != nil {
		return 0, err
	}
	if taken == n {
		taken = whole
	}
	return int64(taken), nil
}
