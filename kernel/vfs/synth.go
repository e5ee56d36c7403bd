package vfs

import (
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
	"gosv/abi/linux"
	"gosv/kernel/mm"
)

// This file has what file systems without storage (procfs, sysfs, devfs) are made
// of: directories that are fixed or computed, files whose content is made when
// they are opened, links, device nodes.

// Synth is what those inodes have in common. Its zero value but for Perm is
// ready; Ino is given on first use.
type Synth struct {
	InodeDefaults
	Perm     uint32 // permission bits
	UID, GID uint32
	ino      atomic.Uint64
	at       atomic.Int64
}

var lastSynthIno atomic.Uint64

// Ino returns the inode number.
func (s *Synth) Ino() uint64 {
	if n := s.ino.Load(); n != 0 {
		return n
	}
	s.ino.CompareAndSwap(0, 1+lastSynthIno.Add(1))
	return s.ino.Load()
}

// SetIno chooses the inode number, before the inode is used.
func (s *Synth) SetIno(n uint64) { s.ino.Store(n) }

// Owner returns the user and the group.
func (s *Synth) Owner() (uint32, uint32) { return s.UID, s.GID }

// fill sets what all synthetic inodes tell in Stat.
func (s *Synth) fill(st *Stat, mode uint32) {
	st.Ino, st.Mode, st.Nlink = s.Ino(), mode, 1
	st.UID, st.GID = s.UID, s.GID
	t := s.at.Load()
	if t == 0 {
		s.at.CompareAndSwap(0, nowNano())
		t = s.at.Load()
	}
	st.Atime = Nano(t)
	st.Mtime, st.Ctime, st.Btime = st.Atime, st.Atime, st.Atime
	st.Blksize = 1024
}

// A Directory is what a DynamicDir asks: names that come and go.
type Directory interface {
	// Lookup finds a name; ENOENT.
	Lookup(c Caller, name string) (Inode, error)
	// Names emits the entries in an order that does not change while the set of
	// names does not; key is their place in it, ascending and more than 1.
	// Emitting starts behind the key after.
	Names(c Caller, after int64, emit func(key int64, name string, ino uint64, dtype uint8) bool) error
}

// DynamicDir is a directory whose names a Directory computes.
type DynamicDir struct {
	Synth
	Dir Directory
}

// NewDynamicDir makes a directory with permission bits perm.
func NewDynamicDir(perm uint32, dir Directory) *DynamicDir {
	return &DynamicDir{Synth: Synth{Perm: perm}, Dir: dir}
}

func (d *DynamicDir) Mode() uint32 { return unix.S_IFDIR | d.Perm }

func (d *DynamicDir) Stat(st *Stat) error {
	d.fill(st, d.Mode())
	st.Nlink = 2
	return nil
}

func (d *DynamicDir) Lookup(c Caller, name string) (Inode, error) { return d.Dir.Lookup(c, name) }

func (d *DynamicDir) Open(c Caller, f *File, flags uint32) (FileImpl, error) {
	return &synthDirFile{dir: d.Dir, c: Caller{Creds: c.Creds, Task: c.Task}, ino: d.Ino()}, nil
}

// StaticDir is a directory with a list of entries that only the kernel changes.
// Lookups may come before and during Add.
type StaticDir struct {
	DynamicDir

	mu      sync.RWMutex
	entries []staticEntry // sorted by name

	fillMu sync.Mutex       // before mu
	fill   func(*StaticDir) // guarded by fillMu; see Lazily
}

type staticEntry struct {
	name string
	key  int64
	n    Inode
}

// NewStaticDir makes an empty directory with permission bits perm.
func NewStaticDir(perm uint32) *StaticDir {
	d := &StaticDir{}
	d.Perm = perm
	d.Dir = (*staticNames)(d)
	return d
}

// Lazily has fill add further entries when somebody first asks for a name that is
// not there, or for the list of them. Most programs look at a few files of /proc
// and none of /sys. It returns d.
func (d *StaticDir) Lazily(fill func(*StaticDir)) *StaticDir {
	d.fillMu.Lock()
	d.fill = fill
	d.fillMu.Unlock()
	return d
}

// complete adds what Lazily promised.
func (d *StaticDir) complete() {
	d.fillMu.Lock()
	if fill := d.fill; fill != nil {
		fill(d)
		d.fill = nil
	}
	d.fillMu.Unlock()
}

// Add puts an inode under a name, replacing what was there, and returns d.
func (d *StaticDir) Add(name string, n Inode) *StaticDir {
	d.mu.Lock()
	defer d.mu.Unlock()
	i, found := d.find(name)
	if found {
		d.entries[i].n = n
		return d
	}
	var last int64 = 2
	for _, e := range d.entries {
		last = max(last, e.key)
	}
	d.entries = slices.Insert(d.entries, i, staticEntry{name, last + 1, n})
	return d
}

// Subdir returns the directory at a path of names below d, made where it is missing.
func (d *StaticDir) Subdir(path string) *StaticDir {
	for name := range strings.SplitSeq(path, "/") {
		sub, _ := d.lookup(name).(*StaticDir)
		if sub == nil {
			sub = NewStaticDir(d.Perm)
			d.Add(name, sub)
		}
		d = sub
	}
	return d
}

// Delete takes a name away.
func (d *StaticDir) Delete(name string) {
	d.complete()
	d.mu.Lock()
	defer d.mu.Unlock()
	if i, found := d.find(name); found {
		d.entries = slices.Delete(d.entries, i, i+1)
	}
}

// lookup returns the inode of a name, nil if it is not there.
func (d *StaticDir) lookup(name string) (n Inode) {
	d.mu.RLock()
	if i, found := d.find(name); found {
		n = d.entries[i].n
	}
	d.mu.RUnlock()
	return n
}

func (d *StaticDir) find(name string) (int, bool) {
	return slices.BinarySearchFunc(d.entries, name, func(e staticEntry, s string) int { return strings.Compare(e.name, s) })
}

func (d *StaticDir) Stat(st *Stat) error {
	d.complete()
	d.DynamicDir.Stat(st)
	d.mu.RLock()
	for _, e := range d.entries {
		if e.n.Mode()&unix.S_IFMT == unix.S_IFDIR {
			st.Nlink++
		}
	}
	d.mu.RUnlock()
	return nil
}

// staticNames is the Directory of a StaticDir.
type staticNames StaticDir

func (s *staticNames) Lookup(_ Caller, name string) (Inode, error) {
	d := (*StaticDir)(s)
	n := d.lookup(name)
	if n == nil {
		d.complete()
		if n = d.lookup(name); n == nil {
			return nil, unix.ENOENT
		}
	}
	return n, nil
}

func (s *staticNames) Names(_ Caller, after int64, emit func(int64, string, uint64, uint8) bool) error {
	d := (*StaticDir)(s)
	d.complete()
	d.mu.RLock()
	list := slices.Clone(d.entries)
	d.mu.RUnlock()
	slices.SortFunc(list, func(a, b staticEntry) int { return int(a.key - b.key) })
	for _, e := range list {
		if e.key > after {
			var st Stat
			if e.n.Stat(&st); !emit(e.key, e.name, st.Ino, DirentType(e.n.Mode())) {
				return nil
			}
		}
	}
	return nil
}

// DirentType returns the DT_* value of a mode.
func DirentType(mode uint32) uint8 { return uint8(mode >> 12 & 15) }

// synthDirFile is an open DynamicDir.
type synthDirFile struct {
	DirFileDefaults
	dir Directory
	c   Caller
	ino uint64
}

func (d *synthDirFile) ReadDir(f *File, pos int64, emit func(Dirent) bool) error {
	pos, ok := EmitDots(f, d.ino, pos, emit)
	if !ok {
		return nil
	}
	return d.dir.Names(d.c, pos, func(key int64, name string, ino uint64, t uint8) bool {
		return emit(Dirent{Ino: ino, Off: key, Type: t, Name: name})
	})
}

// EmitDots emits "." and "..", which have the positions 1 and 2; ok is false if
// emit wanted no more.
func EmitDots(f *File, ino uint64, pos int64, emit func(Dirent) bool) (int64, bool) {
	if pos == 0 {
		if !emit(Dirent{Ino: ino, Off: 1, Type: unix.DT_DIR, Name: "."}) {
			return pos, false
		}
		pos = 1
	}
	if pos == 1 {
		if !emit(Dirent{Ino: f.parentIno(ino), Off: 2, Type: unix.DT_DIR, Name: ".."}) {
			return pos, false
		}
		pos = 2
	}
	return pos, true
}

// parentIno is the inode number of "..".
func (f *File) parentIno(self uint64) uint64 {
	d := f.path.Dentry
	if d == nil || d.parent() == nil {
		return self
	}
	var st Stat
	if d.parent().inode.Stat(&st) != nil {
		return self
	}
	return st.Ino
}

// DirFileDefaults is embedded by the FileImpl of directories.
type DirFileDefaults struct{ FileDefaults }

func (DirFileDefaults) Read(*File, *mm.Buf, int64) (int64, error) { return 0, unix.EISDIR }
func (DirFileDefaults) Seekable() bool                            { return true }
func (DirFileDefaults) Sync(*File) error                          { return nil }

// Seek takes any position: they are cookies.
func (DirFileDefaults) Seek(f *File, off int64, whence int) (int64, error) {
	return SeekIn(f.Offset(), 0, off, whence)
}

// ContentFile is a regular file whose content a function makes at each open, like
// those of /proc. Write, if set, gets what is written, in one piece per write(2)
// and at most a page.
type ContentFile struct {
	Synth
	Content func(c Caller) ([]byte, error)
	Write   func(c Caller, b []byte) error
}

// NewReadOnlyFile makes a file of mode 0444.
func NewReadOnlyFile(content func() []byte) *ContentFile {
	return NewContentFile(0o444, func(Caller) ([]byte, error) { return content(), nil })
}

// NewContentFile makes a file whose content depends on who opens it.
func NewContentFile(perm uint32, content func(Caller) ([]byte, error)) *ContentFile {
	return &ContentFile{Synth: Synth{Perm: perm}, Content: content}
}

// NewWritableFile makes a file that can be read and written, such as a sysctl.
func NewWritableFile(perm uint32, content func(Caller) ([]byte, error), write func(Caller, []byte) error) *ContentFile {
	return &ContentFile{Synth: Synth{Perm: perm}, Content: content, Write: write}
}

func (n *ContentFile) Mode() uint32 { return unix.S_IFREG | n.Perm }

func (n *ContentFile) Stat(st *Stat) error {
	n.fill(st, n.Mode())
	return nil
}

// SetAttr accepts a truncation, which open(2) with O_TRUNC does before a write.
func (n *ContentFile) SetAttr(a *SetAttr) error {
	if a.Mask&^(SetSize|SetMtime|SetCtime) == 0 && n.Write != nil {
		return nil
	}
	return unix.EPERM
}

func (n *ContentFile) Open(c Caller, f *File, flags uint32) (FileImpl, error) {
	o := &contentFile{n: n, c: Caller{Creds: c.Creds, Task: c.Task}}
	if flags&unix.O_ACCMODE != unix.O_RDONLY && n.Write == nil {
		return nil, unix.EACCES
	}
	return o, nil
}

// contentFile is an open ContentFile. The content is made by the first read, and
// anew by a read at offset 0, as Linux's seq_file does.
type contentFile struct {
	FileDefaults
	n *ContentFile
	c Caller

	mu   sync.Mutex
	b    []byte
	made bool
}

// Held implements Holder: the content that was made.
func (o *contentFile) Held() int64 {
	if !o.mu.TryLock() {
		return 0
	}
	defer o.mu.Unlock()
	return int64(cap(o.b))
}

func (o *contentFile) Seekable() bool   { return true }
func (o *contentFile) Sync(*File) error { return unix.EINVAL }

func (o *contentFile) Seek(f *File, off int64, whence int) (int64, error) {
	if whence == unix.SEEK_END {
		return 0, unix.EINVAL
	}
	return SeekIn(f.Offset(), 0, off, whence)
}

func (o *contentFile) Read(f *File, dst *mm.Buf, off int64) (int64, error) {
	if o.n.Content == nil {
		return 0, unix.EINVAL
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if off == 0 || !o.made {
		b, err := o.n.Content(o.c)
		if err != nil {
			return 0, err
		}
		o.b, o.made = b, true
	}
	if off >= int64(len(o.b)) {
		return 0, nil
	}
	b := o.b[off:]
	n, err := dst.CopyTo(b[:min(len(b), dst.Len())])
	return partial(int64(n), err)
}

func (o *contentFile) Write(f *File, src *mm.Buf, off int64) (int64, error) {
	if o.n.Write == nil {
		return 0, unix.EINVAL
	}
	b := make([]byte, min(src.Len(), 4096))
	n, err := src.CopyFrom(b)
	if err != nil {
		return 0, err
	}
	if err := o.n.Write(o.c, b[:n]); err != nil {
		return 0, err
	}
	return int64(n), nil
}

// SynthLink is a symbolic link whose target a function says. With Goal set it is
// a magic link, which leads to a Path; Target is then only what readlink(2) shows.
type SynthLink struct {
	Synth
	Target func(c Caller) (string, error)
	Goal   func(c Caller) (Path, error)
}

// NewLink makes a link to a fixed target.
func NewLink(target string) *SynthLink {
	return NewDynamicLink(func(Caller) (string, error) { return target, nil })
}

// NewDynamicLink makes a link whose target depends on who asks.
func NewDynamicLink(target func(Caller) (string, error)) *SynthLink {
	return &SynthLink{Synth: Synth{Perm: 0o777}, Target: target}
}

// NewMagicLink makes a link that leads to goal itself, whatever the text says.
func NewMagicLink(text func(Caller) (string, error), goal func(Caller) (Path, error)) *SynthLink {
	return &SynthLink{Synth: Synth{Perm: 0o777}, Target: text, Goal: goal}
}

func (n *SynthLink) Mode() uint32 { return unix.S_IFLNK | n.Perm }

func (n *SynthLink) Stat(st *Stat) error {
	n.fill(st, n.Mode())
	return nil
}

// Readlink returns the text. ENAMETOOLONG: what a magic link leads to has a path that is longer than PATH_MAX
// (do_proc_readlink in fs/proc/base.c).
func (n *SynthLink) Readlink(c Caller) (string, error) {
	s, err := n.Target(c)
	if len(s) >= linux.PATH_MAX {
		return "", unix.ENAMETOOLONG
	}
	return s, err
}

func (n *SynthLink) Follow(c Caller) (Path, bool, error) {
	if n.Goal == nil {
		return Path{}, false, nil
	}
	p, err := n.Goal(c)
	return p, err == nil, err
}

// DeviceNode is a character or block device in a synthetic directory. Without
// OpenFunc what is registered for its numbers is opened.
type DeviceNode struct {
	Synth
	Kind     uint32 // unix.S_IFCHR or unix.S_IFBLK
	Rdev     uint64
	OpenFunc func(c Caller, f *File, flags uint32) (FileImpl, error)
}

// NewDeviceNode makes a device node.
func NewDeviceNode(kind, perm uint32, major, minor uint32, open func(Caller, *File, uint32) (FileImpl, error)) *DeviceNode {
	return &DeviceNode{Synth: Synth{Perm: perm}, Kind: kind, Rdev: unix.Mkdev(major, minor), OpenFunc: open}
}

func (n *DeviceNode) Mode() uint32 { return n.Kind | n.Perm }

func (n *DeviceNode) Stat(st *Stat) error {
	n.fill(st, n.Mode())
	st.Rdev, st.Blksize = n.Rdev, 4096
	return nil
}

func (n *DeviceNode) Open(c Caller, f *File, flags uint32) (FileImpl, error) {
	if n.OpenFunc == nil {
		return nil, unix.ENXIO
	}
	return n.OpenFunc(c, f, flags)
}

// SynthFS is a Filesystem around a synthetic tree.
type SynthFS struct {
	Name       string
	Magic      uint64
	Top        Inode
	IsVolatile bool
}

func (s *SynthFS) Root() Inode    { return s.Top }
func (s *SynthFS) Sync() error    { return nil }
func (s *SynthFS) Type() string   { return s.Name }
func (s *SynthFS) Volatile() bool { return s.IsVolatile }

func (s *SynthFS) Statfs(st *Statfs) error {
	st.Type, st.Bsize, st.Namelen = s.Magic, 4096, nameMax
	return nil
}
