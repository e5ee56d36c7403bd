package vfs

import (
	"strings"

	"golang.org/x/sys/unix"
	"gosv/abi/linux"
)

// maxLinks is how many symbolic links a walk follows (path_resolution(7)).
const maxLinks = 40

// A walker is a path walk on its way. It holds no references: treeMu is held.
type walker struct {
	c       Caller
	root    Path
	start   Path // of RESOLVE_BENEATH
	cur     Path
	links   int
	inner   int // steps under way that are not to the last component
	resolve uint64
}

// parent walks to the directory that holds the last component of path, checks
// that it is one and may be searched, and returns that component ("" when path is
// all slashes) and whether slashes follow it.
func (w *walker) parent(path string) (last string, slash bool, err error) {
	if path == "" {
		return "", false, unix.ENOENT
	}
	if path[0] == '/' {
		if w.resolve&unix.RESOLVE_BENEATH != 0 {
			return "", false, unix.EXDEV
		}
		if w.resolve&unix.RESOLVE_NO_XDEV != 0 && w.cur.Mount != w.root.Mount {
			return "", false, unix.EXDEV
		}
		w.cur = w.root
		path = trimSlashes(path)
	}
	for {
		if path != "" {
			if err := w.search(); err != nil {
				return "", false, err
			}
		}
		i := strings.IndexByte(path, '/')
		if i < 0 {
			return path, false, nil
		}
		rest := trimSlashes(path[i:])
		if rest == "" {
			return path[:i], true, nil
		}
		w.inner++
		if err := w.step(path[:i], true); err != nil {
			return "", false, err
		}
		w.inner--
		path = rest
	}
}

func trimSlashes(s string) string {
	for s != "" && s[0] == '/' {
		s = s[1:]
	}
	return s
}

// walk goes all the way; follow says whether a symbolic link at the end is
// followed.
func (w *walker) walk(path string, follow bool) error {
	last, slash, err := w.parent(path)
	if err != nil {
		return err
	}
	return w.last(last, slash, follow)
}

// last takes the step that parent left.
func (w *walker) last(name string, slash, follow bool) error {
	if name != "" {
		if err := w.step(name, follow || slash); err != nil {
			return err
		}
	}
	if slash && !w.cur.Dentry.isDir() {
		return unix.ENOTDIR
	}
	return nil
}

// search checks that names may be looked up in the current directory.
func (w *walker) search() error {
	d := w.cur.Dentry
	if !d.isDir() {
		return unix.ENOTDIR
	}
	if w.c.Creds.Effective&(1<<unix.CAP_DAC_OVERRIDE) != 0 {
		return nil
	}
	return w.c.Creds.access(d.inode, MayExec)
}

// step goes to the entry called name of the current directory, which was checked
// by search.
func (w *walker) step(name string, follow bool) error {
	switch {
	case name == ".":
		return nil
	case name == "..":
		return w.up()
	}
	ch, err := w.cur.Dentry.child(w.c, name, w.resolve&linux.RESOLVE_CACHED != 0)
	if err != nil {
		return err
	}
	next := Path{w.cur.Mount, ch}
	if ch.mounted.Load() != 0 {
		if next = next.cross(); next.Mount != w.cur.Mount && w.resolve&unix.RESOLVE_NO_XDEV != 0 {
			return unix.EXDEV
		}
	}
	if ch.kind == unix.S_IFLNK && follow {
		return w.follow(next)
	}
	w.cur = next
	return nil
}

// up takes "..".
func (w *walker) up() error {
	for {
		if w.resolve&unix.RESOLVE_BENEATH != 0 && w.cur == w.start {
			return unix.EXDEV
		}
		if w.cur == w.root {
			return nil
		}
		if m := w.cur.Mount; m != nil && w.cur.Dentry == m.root {
			if m.parent == nil {
				return nil
			}
			if w.resolve&unix.RESOLVE_NO_XDEV != 0 {
				return unix.EXDEV
			}
			w.cur = Path{m.parent, m.point}
			continue
		}
		if up := w.cur.Dentry.parent(); up != nil {
			w.cur = Path{w.cur.Mount, up}.cross()
		}
		return nil
	}
}

// follow goes where the symbolic link leads; the current place is its directory.
func (w *walker) follow(link Path) error {
	if w.inner == 0 {
		if err := mayFollow(w.c, w.cur.Dentry.inode, link.Dentry.inode); err != nil {
			return err
		}
	}
	target, done, err := w.readlink(link)
	if err != nil || done {
		return err
	}
	return w.walk(target, true)
}

// readlink reads a link that is to be followed: either it leads on to a text, or
// done says that the walk stands at its goal.
func (w *walker) readlink(link Path) (target string, done bool, err error) {
	if w.links++; w.links > maxLinks || w.resolve&unix.RESOLVE_NO_SYMLINKS != 0 ||
		link.Mount != nil && link.Mount.Flags()&unix.MS_NOSYMFOLLOW != 0 {
		return "", false, unix.ELOOP
	}
	n := link.Dentry.inode
	p, ok, err := n.Follow(w.c)
	if err != nil {
		return "", false, err
	}
	if ok {
		switch {
		case w.resolve&unix.RESOLVE_NO_MAGICLINKS != 0:
			return "", false, unix.ELOOP
		case w.resolve&(unix.RESOLVE_BENEATH|unix.RESOLVE_IN_ROOT) != 0,
			w.resolve&unix.RESOLVE_NO_XDEV != 0 && p.Mount != link.Mount:
			return "", false, unix.EXDEV
		}
		w.cur = p
		return "", true, nil
	}
	target, err = n.Readlink(w.c)
	if err == nil && target == "" {
		err = unix.ENOENT
	}
	if err == nil {
		noteAccess(n, link.Mount)
	}
	return target, false, err
}
