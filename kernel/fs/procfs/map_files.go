package procfs

import (
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
	"gosv/kernel/mm"
	"gosv/kernel/vfs"
)

// mapFiles is the Directory of /proc/PID/map_files: a link for each area of a
// file, named for its addresses (proc_pid_map_files(5)).
type mapFiles struct{ w tree }

// file returns the file of the area that a name stands for, with a reference.
func (m *mapFiles) file(name string) (f *vfs.File, writable bool, err error) {
	from, to, ok := strings.Cut(name, "-")
	start, err1 := strconv.ParseUint(from, 16, 64)
	end, err2 := strconv.ParseUint(to, 16, 64)
	as := m.w.p.Space()
	if as == nil {
		return nil, false, unix.ENOENT
	}
	defer as.Release()
	if !ok || err1 != nil || err2 != nil {
		return nil, false, unix.ENOENT
	}
	as.Areas(func(a mm.AreaInfo) bool {
		if a.Start == start && a.End == end {
			if f, _ = a.File.(*vfs.File); f != nil {
				f.Retain()
				writable = a.Shared && a.Prot&mm.ProtWrite != 0
			}
		}
		return a.Start < start
	})
	if f == nil {
		return nil, false, unix.ENOENT
	}
	return f, writable, nil
}

func (m *mapFiles) Lookup(c vfs.Caller, name string) (vfs.Inode, error) {
	if err := mayInspect(c, m.w.p); err != nil {
		return nil, err
	}
	f, writable, err := m.file(name)
	if err != nil {
		return nil, err
	}
	f.Release()
	n := vfs.NewMagicLink(func(c vfs.Caller) (string, error) {
		f, _, err := m.file(name)
		if err != nil {
			return "", err
		}
		defer f.Release()
		return f.MapName(), nil
	}, func(c vfs.Caller) (vfs.Path, error) {
		if !c.Creds.Has(unix.CAP_CHECKPOINT_RESTORE) && !c.Creds.Has(unix.CAP_SYS_ADMIN) {
			return vfs.Path{}, unix.EPERM
		}
		f, _, err := m.file(name)
		if err != nil {
			return vfs.Path{}, err
		}
		defer f.Release()
		return f.FollowPath(), nil
	})
	if n.Perm = 0o500; writable {
		n.Perm = 0o700
	}
	n.UID, n.GID = m.w.uid, m.w.gid
	return n, nil
}

func (m *mapFiles) Names(c vfs.Caller, after int64, emit func(int64, string, uint64, uint8) bool) error {
	if err := mayInspect(c, m.w.p); err != nil {
		return err
	}
	as := m.w.p.Space()
	if as == nil {
		return nil
	}
	list := areas(as)
	as.Release()
	defer releaseAreas(list)
	for i := range list {
		a := &list[i]
		if _, ok := a.File.(*vfs.File); !ok {
			continue
		}
		// Areas are whole pages, so that their addresses are above the keys of "." and "..".
		if key := int64(a.Start); key > after && !emit(key, string(hex(append(hex(nil, a.Start, 1), '-'), a.End, 1)), a.Start|1, unix.DT_LNK) {
			break
		}
	}
	return nil
}
