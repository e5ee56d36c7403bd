package vfs

import "golang.org/x/sys/unix"

// AccessNoter is an Inode that keeps an access time. With relative, it changes only
// when it is no later than the last change, or a day old (relatime, mount(8)).
type AccessNoter interface{ NoteAccess(relative bool) }

// ModifyNoter is an Inode whose times of change follow stores to shared mappings.
type ModifyNoter interface{ NoteModify() }

// Accessed notes that the file was read, mapped or run: its access time changes as the
// mount wants it (Linux's file_accessed).
func (f *File) Accessed() {
	if f.flags.Load()&unix.O_NOATIME == 0 {
		noteAccess(f.inode, f.path.Mount)
	}
}

// noteAccess is Accessed for an inode that was reached by m.
func noteAccess(n Inode, m *Mount) {
	if m == nil {
		return
	}
	a, ok := n.(AccessNoter)
	if !ok {
		return
	}
	flags := m.Flags()
	if flags&(unix.MS_NOATIME|unix.MS_RDONLY) != 0 || flags&unix.MS_NODIRATIME != 0 && n.Mode()&unix.S_IFMT == unix.S_IFDIR {
		return
	}
	a.NoteAccess(flags&unix.MS_STRICTATIME == 0)
}

// Written notes a store to a shared mapping of the file, at the fault that makes a page
// writable (Linux's file_update_time in page_mkwrite).
func (f *File) Written() {
	if n, ok := f.inode.(ModifyNoter); ok {
		n.NoteModify()
	}
}
