package rootfs

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// CopyOptions say how a host directory is copied.
type CopyOptions struct {
	ReadOnly       bool                           // permissions without the write bits
	SkipUnreadable bool                           // leave out what cannot be read
	Skip           func(name string) bool         // leave out; name is the host path
	Visit          func(name string, e *Entry)    // what was copied
	Limit          int64                          // most bytes and, divided by 4096, most files; 0: no limit
	Skipped        func(name string, cause error) // what was left out
}

// ErrLimit says that a directory is larger than CopyOptions.Limit.
var ErrLimit = errors.New("larger than the limit")

// AddHost copies a host file or directory with its content to a path of the
// guest. A symbolic link at the end of host is followed; those inside a
// directory stay links.
func (t *Tree) AddHost(host, guest string, o CopyOptions) error {
	real, err := filepath.EvalSymlinks(host)
	if err != nil {
		return err
	}
	guest = t.Resolve(guest)
	var total, files int64
	type found struct {
		name string
		e    *Entry
		st   *syscall.Stat_t
	}
	var list []found
	err = filepath.WalkDir(real, func(name string, _ fs.DirEntry, werr error) error {
		if werr != nil {
			if o.SkipUnreadable && name != real {
				if o.Skipped != nil {
					o.Skipped(name, werr)
				}
				return nil
			}
			return werr
		}
		if o.Skip != nil && name != real && o.Skip(name) {
			if st, err := os.Lstat(name); err == nil && st.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		st, err := lstat(name)
		if err != nil {
			if errors.Is(err, fs.ErrNotExist) && name != real {
				return nil // gone since the directory was read
			}
			return err
		}
		p := path.Join(guest, strings.TrimPrefix(name, real))
		e := fromStat(p, st)
		switch {
		case e.IsSymlink():
			if e.Target, err = os.Readlink(name); err != nil {
				return err
			}
		case e.IsRegular():
			e.Source = name
			if err := unix.Access(name, unix.R_OK); err != nil {
				if !o.SkipUnreadable {
					return &fs.PathError{Op: "open", Path: name, Err: err}
				}
				if o.Skipped != nil {
					o.Skipped(name, err)
				}
				return nil
			}
			total += e.Size
		}
		if o.ReadOnly && !e.IsSymlink() {
			e.Mode &^= 0o222
		}
		files++
		if o.Limit > 0 && (total > o.Limit || files > o.Limit/4096) {
			return ErrLimit
		}
		list = append(list, found{name, e, st})
		return nil
	})
	if err != nil {
		return err
	}
	for _, f := range list {
		t.stamp(f.name, f.st)
		t.put(f.e)
		if o.Visit != nil {
			o.Visit(f.name, f.e)
		}
	}
	return nil
}

// Volume is one -v HOST:GUEST[:ro].
type Volume struct {
	Host, Guest string
	ReadOnly    bool
}

// ParseVolume reads HOST:GUEST[:ro]. HOST may be relative to the working
// directory; GUEST is absolute.
func ParseVolume(s string) (Volume, error) {
	f := strings.Split(s, ":")
	if len(f) < 2 || len(f) > 3 || f[0] == "" || !path.IsAbs(f[1]) {
		return Volume{}, fmt.Errorf("volume %q: write it HOST:GUEST or HOST:GUEST:ro, GUEST being an absolute path", s)
	}
	v := Volume{Host: f[0], Guest: path.Clean(f[1])}
	if len(f) == 3 {
		switch f[2] {
		case "ro":
			v.ReadOnly = true
		case "rw":
		default:
			return Volume{}, fmt.Errorf("volume %q: the third part is %q, it can only be ro or rw", s, f[2])
		}
	}
	return v, nil
}
