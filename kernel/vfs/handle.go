package vfs

import (
	"encoding/binary"
	"sync"
	"weak"

	"golang.org/x/sys/unix"
)

// File handles: name_to_handle_at(2), open_by_handle_at(2).

// An Exporter is a file system whose files can be opened by handle: inode numbers are not used again, and the file system
// keeps its inodes as long as they have names.
type Exporter interface {
	// Exports reports whether this one can.
	Exports() bool
	// Export lets Exported find an inode by its number, as long as something else keeps it.
	Export(n Inode)
	// Exported returns the inode; nil if it has no names and is not open.
	Exported(ino uint64) Inode
}

// A FileHandle is what struct file_handle holds.
type FileHandle struct {
	Type  int32
	Bytes []byte
}

// Types of handles (include/linux/exportfs.h): generation and number as tmpfs has them, and the one for comparisons alone.
const (
	fileidIno32Gen = 1
	fileidIno64Gen = 0x81
)

// handles are the dentries that handles were made of, by inode number.
type handles struct {
	mu    sync.Mutex
	known map[uint64]weak.Pointer[Dentry]
	sweep int // the size at which dead ones are swept out
}

// exporter returns the file system if it has handles, else nil.
func (sb *Superblock) exporter() Exporter {
	if x, ok := sb.FS.(Exporter); ok && x.Exports() {
		return x
	}
	return nil
}

// Handle makes the handle of what is at p; with compare it need not be one that can be opened. EOPNOTSUPP.
func (p Path) Handle(compare bool) (h FileHandle, err error) {
	sb := p.Dentry.sb
	x := sb.exporter()
	if x == nil && !compare {
		return h, unix.EOPNOTSUPP
	}
	var st Stat
	if err := p.Stat(&st); err != nil {
		return h, err
	}
	le := binary.LittleEndian
	if x == nil {
		return FileHandle{fileidIno64Gen, le.AppendUint32(le.AppendUint64(nil, st.Ino), 0)}, nil
	}
	x.Export(p.Dentry.inode)
	sb.remember(st.Ino, p.Dentry)
	return FileHandle{fileidIno32Gen, le.AppendUint64(make([]byte, 4, 12), st.Ino)}, nil
}

// remember lets find find the dentry.
func (sb *Superblock) remember(ino uint64, d *Dentry) {
	h := &sb.handles
	h.mu.Lock()
	defer h.mu.Unlock()
	if old := h.known[ino].Value(); old != nil && (old == d || !old.dead.Load()) {
		return
	}
	if h.known == nil {
		h.known = make(map[uint64]weak.Pointer[Dentry])
		h.sweep = 256
	}
	if len(h.known) >= h.sweep {
		for k, v := range h.known {
			if v.Value() == nil {
				delete(h.known, k)
			}
		}
		h.sweep = max(256, 2*len(h.known))
	}
	// The dentry stays in the cache as long as it has a name: a directory found without one would have no "..". Like the pin
	// of a watch, this one keeps nothing from being unmounted.
	d.watched.Add(1)
	d.pins.Add(1)
	h.known[ino] = weak.Make(d)
}

// find returns the dentry of a handle; ESTALE. treeMu is held.
func (sb *Superblock) find(h FileHandle) (*Dentry, error) {
	x := sb.exporter()
	if x == nil || len(h.Bytes) < 12 || binary.LittleEndian.Uint32(h.Bytes) != 0 {
		return nil, unix.ESTALE
	}
	ino := binary.LittleEndian.Uint64(h.Bytes[4:])
	n := x.Exported(ino)
	if n == nil {
		return nil, unix.ESTALE
	}
	t := &sb.handles
	t.mu.Lock()
	d := t.known[ino].Value()
	t.mu.Unlock()
	if d == nil || d.inode != n || d.dead.Load() && !d.isDir() {
		d = newDentry(sb, nil, "/", n) // it has another name, or is open: like Linux's disconnected dentries
	}
	return d, nil
}

// OpenHandle is open_by_handle_at(2): at is any file of the file system, nil for the working directory.
func (x *FSContext) OpenHandle(c Caller, at *File, h FileHandle, flags uint32) (*File, error) {
	if flags&unix.O_PATH != 0 {
		flags &= unix.O_PATH | unix.O_DIRECTORY | unix.O_NOFOLLOW | unix.O_CLOEXEC
	}
	place := x.Cwd()
	if at != nil {
		place = at.FollowPath()
	}
	var f *File
	err := afterLeases(c.Sleeper, func() error {
		treeMu.RLock()
		defer treeMu.RUnlock()
		d, err := place.Dentry.sb.find(h)
		if err != nil {
			return err
		}
		switch {
		case flags&unix.O_DIRECTORY != 0 && !d.isDir():
			return unix.ENOTDIR
		case d.kind == unix.S_IFLNK && flags&unix.O_PATH == 0:
			return unix.ELOOP
		}
		f, err = Path{place.Mount, d}.open(c, flags&^(unix.O_CREAT|unix.O_EXCL), false)
		return err
	})
	if err == nil && f.path.Dentry.kind == unix.S_IFIFO && !f.pathOnly {
		if err = f.openFIFO(c); err != nil {
			f.Release()
		}
	}
	if err != nil {
		return nil, err
	}
	return f, nil
}

// Handle makes the handle of what path leads to, and says in which mount that is. flags are AT_SYMLINK_NOFOLLOW and
// AT_EMPTY_PATH; compare is Path.Handle's.
func (x *FSContext) Handle(c Caller, dir *File, path string, flags int, compare bool) (h FileHandle, mount uint64, err error) {
	treeMu.RLock()
	defer treeMu.RUnlock()
	p, err := x.resolve(c, dir, path, flags)
	if err != nil {
		return h, 0, err
	}
	h, err = p.Handle(compare)
	if p.Mount != nil {
		mount = uint64(p.Mount.ID)
	}
	return h, mount, err
}

// Handle is Path.Handle of what is watched, for fdinfo.
func (w *Watch) Handle() (FileHandle, error) { return w.path.Handle(false) }
