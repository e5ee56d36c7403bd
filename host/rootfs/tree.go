// Package rootfs decides what goes into the root file system of an image: a program with all that it opens by name,
// and what the user asked for.
package rootfs

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"sort"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// Entry is one file of a tree.
type Entry struct {
	Path     string // in the guest: absolute, clean
	Mode     uint32 // type and permissions, as st_mode
	UID, GID uint32
	MtimeSec int64
	MtimeNs  uint32
	Size     int64  // of a regular file
	Rdev     uint64 // of a device, as st_rdev
	Target   string // of a symbolic link
	Source   string // host file with the content of a regular file, unless Data is it
	Data     []byte
	Dev, Ino uint64 // of a host file with more links: what tells that two entries are one inode; else 0

	implied bool // a parent directory that nobody asked for
}

// IsDir tells a directory.
func (e *Entry) IsDir() bool { return e.Mode&unix.S_IFMT == unix.S_IFDIR }

// IsRegular tells a regular file.
func (e *Entry) IsRegular() bool { return e.Mode&unix.S_IFMT == unix.S_IFREG }

// IsSymlink tells a symbolic link.
func (e *Entry) IsSymlink() bool { return e.Mode&unix.S_IFMT == unix.S_IFLNK }

// Tree is a set of files by path. Every entry's parent directories are in it.
type Tree struct {
	entries map[string]*Entry
	// Stamps are the host files and directories that the tree came from, with
	// what stat said of them: a tree made again while all of them are
	// unchanged would be the same.
	stamps map[string]Stamp
}

// Stamp is what tells that a host file has not changed.
type Stamp struct {
	Size, MtimeNs int64
	Ino           uint64
	Mode          uint32
}

// NewTree gives a tree with a root directory and nothing else.
func NewTree() *Tree {
	t := &Tree{entries: map[string]*Entry{}, stamps: map[string]Stamp{}}
	t.entries["/"] = &Entry{Path: "/", Mode: unix.S_IFDIR | 0o755, implied: true}
	return t
}

// Lookup gives the entry at a path, nil if there is none. It does not follow links.
func (t *Tree) Lookup(p string) *Entry { return t.entries[path.Clean("/"+p)] }

// Entries gives all entries sorted by path, the root first.
func (t *Tree) Entries() []*Entry {
	list := make([]*Entry, 0, len(t.entries))
	for _, e := range t.entries {
		list = append(list, e)
	}
	sort.Slice(list, func(i, j int) bool { return list[i].Path < list[j].Path })
	return list
}

// Size is the sum of the sizes of the regular files.
func (t *Tree) Size() (n int64) {
	for _, e := range t.entries {
		if e.IsRegular() {
			n += e.Size
		}
	}
	return n
}

// AddDir makes a directory, and its parents.
func (t *Tree) AddDir(p string, perm uint32) {
	p = t.Resolve(p)
	if e := t.entries[p]; e != nil && e.IsDir() {
		if e.implied {
			e.Mode, e.implied = unix.S_IFDIR|perm, false
		}
		return
	}
	t.put(&Entry{Path: p, Mode: unix.S_IFDIR | perm})
}

// AddData makes a regular file with the given content.
func (t *Tree) AddData(p string, perm uint32, data []byte) {
	t.put(&Entry{Path: t.resolveParent(p), Mode: unix.S_IFREG | perm, Size: int64(len(data)), Data: data})
}

// AddSymlink makes a symbolic link.
func (t *Tree) AddSymlink(p, target string) {
	t.put(&Entry{Path: t.resolveParent(p), Mode: unix.S_IFLNK | 0o777, Target: target})
}

// put stores an entry, and makes what is missing of its parents.
func (t *Tree) put(e *Entry) {
	for d := path.Dir(e.Path); t.entries[d] == nil; d = path.Dir(d) {
		t.entries[d] = &Entry{Path: d, Mode: unix.S_IFDIR | 0o755, implied: true}
	}
	if old := t.entries[e.Path]; old != nil && old.IsDir() && !e.IsDir() {
		for p := range t.entries {
			if strings.HasPrefix(p, e.Path+"/") {
				delete(t.entries, p)
			}
		}
	}
	t.entries[e.Path] = e
}

// resolveParent is p with the symbolic links of the tree followed in all of it
// but the last component, as open(2) with O_CREAT|O_NOFOLLOW would.
func (t *Tree) resolveParent(p string) string {
	p = path.Clean("/" + p)
	if p == "/" {
		return p
	}
	return path.Join(t.Resolve(path.Dir(p)), path.Base(p))
}

// Resolve is p with the symbolic links of the tree followed; what does not
// exist is taken as it is.
func (t *Tree) Resolve(p string) string {
	rest := strings.Split(strings.Trim(path.Clean("/"+p), "/"), "/")
	done := "/"
	for links := 0; len(rest) > 0; {
		c := rest[0]
		rest = rest[1:]
		if c == "" || c == "." {
			continue
		}
		next := path.Join(done, c)
		e := t.entries[next]
		if e == nil || !e.IsSymlink() || links > 40 {
			done = next
			continue
		}
		links++
		if path.IsAbs(e.Target) {
			done = "/"
		}
		rest = append(strings.Split(e.Target, "/"), rest...)
	}
	return done
}

// fromStat fills an entry with what lstat said.
func fromStat(p string, st *syscall.Stat_t) *Entry {
	e := &Entry{Path: p, Mode: st.Mode, UID: st.Uid, GID: st.Gid,
		MtimeSec: st.Mtim.Sec, MtimeNs: uint32(st.Mtim.Nsec)}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		e.Size = st.Size
		if st.Nlink > 1 {
			e.Dev, e.Ino = st.Dev, st.Ino
		}
	case unix.S_IFCHR, unix.S_IFBLK:
		e.Rdev = st.Rdev
	}
	return e
}

func lstat(name string) (*syscall.Stat_t, error) {
	var st syscall.Stat_t
	if err := syscall.Lstat(name, &st); err != nil {
		return nil, &fs.PathError{Op: "lstat", Path: name, Err: err}
	}
	return &st, nil
}

func stampOf(st *syscall.Stat_t) Stamp {
	s := Stamp{Size: st.Size, MtimeNs: st.Mtim.Nano(), Ino: st.Ino, Mode: st.Mode}
	return s
}

func (t *Tree) stamp(name string, st *syscall.Stat_t) { t.stamps[name] = stampOf(st) }

// AddHostPath copies the chain of directories and symbolic links that leads to
// a host file, and the file itself, at the same path: /bin/sh brings /bin ->
// usr/bin, /usr/bin/sh -> dash and /usr/bin/dash. A directory at the end comes
// without its content. It gives the path at which the chain ends.
func (t *Tree) AddHostPath(p string) (string, error) {
	p = filepath.Clean(p)
	if !filepath.IsAbs(p) {
		return "", fmt.Errorf("%s: not an absolute path", p)
	}
	rest := strings.Split(strings.Trim(p, "/"), "/")
	done := "/"
	for links := 0; len(rest) > 0; {
		c := rest[0]
		rest = rest[1:]
		if c == "" || c == "." {
			continue
		}
		next := path.Join(done, c)
		st, err := lstat(next)
		if err != nil {
			return "", err
		}
		switch st.Mode & unix.S_IFMT {
		case unix.S_IFLNK:
			if links++; links > 40 {
				return "", &fs.PathError{Op: "open", Path: p, Err: syscall.ELOOP}
			}
			target, err := os.Readlink(next)
			if err != nil {
				return "", err
			}
			if t.entries[next] == nil {
				e := fromStat(next, st)
				e.Target = target
				t.put(e)
			}
			t.stamp(next, st)
			if path.IsAbs(target) {
				done = "/"
			}
			rest = append(strings.Split(target, "/"), rest...)
		case unix.S_IFDIR:
			if e := t.entries[next]; e == nil || e.implied {
				// A directory on the way: its time changes with files that are not here.
				e := fromStat(next, st)
				e.MtimeSec, e.MtimeNs, e.implied = 0, 0, true
				t.put(e)
			}
			done = next
		default:
			if len(rest) > 0 {
				return "", &fs.PathError{Op: "open", Path: p, Err: syscall.ENOTDIR}
			}
			if t.entries[next] == nil {
				e := fromStat(next, st)
				e.Source = next
				t.put(e)
			}
			t.stamp(next, st)
			done = next
		}
	}
	return done, nil
}

// Stamps are the host files that the tree was made from, as lines that
// CheckStamps reads.
func (t *Tree) Stamps() map[string]Stamp { return t.stamps }

// Unchanged tells whether a host file is as it was.
func (s Stamp) Unchanged(name string) bool {
	var st syscall.Stat_t
	return syscall.Lstat(name, &st) == nil && stampOf(&st) == s
}

// Hash identifies the tree's files: their metadata, and for content the data
// or the host file's identity.
func (t *Tree) Hash() string {
	h := sha256.New()
	for _, e := range t.Entries() {
		fmt.Fprintf(h, "%q %o %d %d %d %d %d %d %q %q %d %d %x\n", e.Path, e.Mode, e.UID, e.GID, e.MtimeSec, e.MtimeNs,
			e.Size, e.Rdev, e.Target, e.Source, e.Dev, e.Ino, sha256.Sum256(e.Data))
	}
	return hex.EncodeToString(h.Sum(nil))
}
