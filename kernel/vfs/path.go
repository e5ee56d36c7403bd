package vfs

import "golang.org/x/sys/unix"

// A Path is a place in the tree: a dentry, and the mount through which it was
// reached.
type Path struct {
	Mount  *Mount
	Dentry *Dentry
}

func (p Path) pin() {
	if p.Dentry != nil {
		p.Dentry.pins.Add(1)
	}
}

func (p Path) unpin() {
	if p.Dentry != nil {
		p.Dentry.pins.Add(-1)
		if p.Dentry.dead.Load() {
			p.Dentry.lost()
		}
	}
}

// Inode returns what is at the path.
func (p Path) Inode() Inode { return p.Dentry.inode }

// SameFilesystem reports whether both are in one file system.
func (p Path) SameFilesystem(o Path) bool { return p.Dentry.sb == o.Dentry.sb }

// Stat fills st.
func (p Path) Stat(st *Stat) error {
	if err := statInode(p.Dentry.inode, st); err != nil {
		return err
	}
	st.Dev = p.Dentry.sb.Dev
	if p.Mount != nil {
		st.MountID = uint64(p.Mount.ID)
		st.MountRoot = p.Dentry == p.Mount.root
	}
	return nil
}

// String returns the absolute path as seen from root (the zero Path: the root of
// the tree), with Linux's marks: " (deleted)" behind what has no name any more.
func (p Path) String(root Path) string {
	s, _ := p.Absolute(root)
	if p.Dentry.dead.Load() {
		s += " (deleted)"
	}
	return s
}

// Absolute returns the path from root, and whether it lies below root at all.
func (p Path) Absolute(root Path) (string, bool) {
	if p.Dentry.sb == anonSB {
		return p.Dentry.Name(), true
	}
	var parts [64]string
	names := parts[:0]
	n := 0
	reached := root.Dentry == nil
	for {
		if p == root {
			reached = true
			break
		}
		l := p.Dentry.link.Load()
		if p.Mount != nil && p.Dentry == p.Mount.root {
			if p.Mount.parent == nil {
				break
			}
			p = Path{p.Mount.parent, p.Mount.point}
			continue
		}
		if l.parent == nil {
			break
		}
		names = append(names, l.name)
		n += len(l.name) + 1
		p.Dentry = l.parent
	}
	if n == 0 {
		return "/", reached
	}
	b := make([]byte, 0, n)
	for i := len(names) - 1; i >= 0; i-- {
		b = append(b, '/')
		b = append(b, names[i]...)
	}
	return string(b), reached
}

// cross goes to the root of what is mounted at p.
func (p Path) cross() Path {
	for p.Dentry.mounted.Load() != 0 {
		m := mountedOn(p)
		if m == nil {
			break
		}
		p = Path{m, m.root}
	}
	return p
}

// writable returns EROFS if the mount is read-only.
func (p Path) writable() error {
	if p.Mount != nil && p.Mount.readonly() {
		return unix.EROFS
	}
	return nil
}
