package vfs

import (
	"golang.org/x/sys/unix"
)

// BindSocket makes an S_IFSOCK inode at path (bind(2)) whose socket is s, and
// returns it pinned: EADDRINUSE if the name exists.
func (x *FSContext) BindSocket(c Caller, path string, mode uint32, s any) (Path, error) {
	treeMu.RLock()
	defer treeMu.RUnlock()
	var w walker
	if err := x.begin(&w, c, nil, path); err != nil {
		return Path{}, err
	}
	last, slash, err := w.parent(path)
	if err != nil {
		return Path{}, err
	}
	if last == "" || last == "." || last == ".." {
		return Path{}, unix.EADDRINUSE
	}
	d := w.cur.Dentry
	d.mu.Lock()
	defer d.mu.Unlock()
	if _, err := d.childLocked(c, last); err == nil {
		return Path{}, unix.EADDRINUSE
	} else if err != unix.ENOENT {
		return Path{}, err
	}
	if slash {
		return Path{}, unix.ENOENT
	}
	if err := mayCreate(c, w.cur); err != nil {
		return Path{}, err
	}
	a := CreateArgs{Mode: unix.S_IFSOCK | mode&0o7777}
	x.newArgs(c, d.inode, &a)
	n, err := d.inode.Create(last, &a)
	if err != nil {
		return Path{}, err
	}
	n.Extra().SetSocket(s)
	p := Path{w.cur.Mount, d.instantiate(last, n)}
	p.pin()
	n.Retain()
	return p, nil
}

// UnbindSocket ends the life of a socket at the path that BindSocket returned; the
// name stays.
func (p Path) UnbindSocket() {
	n := p.Dentry.inode
	n.Extra().SetSocket(nil)
	n.Release()
	p.unpin()
}

// FindSocket returns the socket at path, to which the caller must have write
// access (connect(2)): ECONNREFUSED if there is none.
func (x *FSContext) FindSocket(c Caller, path string) (any, error) {
	treeMu.RLock()
	defer treeMu.RUnlock()
	p, err := x.resolve(c, nil, path, 0)
	if err != nil {
		return nil, err
	}
	n := p.Dentry.inode
	if err := c.Creds.access(n, MayWrite); err != nil {
		return nil, err
	}
	if p.Dentry.kind != unix.S_IFSOCK {
		return nil, unix.ECONNREFUSED
	}
	s := n.Extra().Socket()
	if s == nil {
		return nil, unix.ECONNREFUSED
	}
	return s, nil
}

// Refs is how many references there are to the file, for those who look for
// files that only they themselves hold.
func (f *File) Refs() int { return int(f.refs.Load()) }
