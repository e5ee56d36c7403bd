package vfs

import (
	"slices"

	"golang.org/x/sys/unix"
)

// Creds are the credentials of a thread (credentials(7), capabilities(7)).
// They are immutable and shared; a change makes a new one.
type Creds struct {
	UID, EUID, SUID, FSUID uint32
	GID, EGID, SGID, FSGID uint32
	Groups                 []uint32

	// Capability sets, bit n for capability n (include/uapi/linux/capability.h).
	Effective, Permitted, Inheritable, Bounding, Ambient uint64

	Securebits uint32
	NoNewPrivs bool
}

// AllCaps is the full capability set.
const AllCaps = 1<<(unix.CAP_LAST_CAP+1) - 1

// RootCreds are those of the first process and of the kernel.
var RootCreds = Creds{Effective: AllCaps, Permitted: AllCaps, Bounding: AllCaps}

// Has reports whether the capability is effective.
func (c *Creds) Has(capability uint) bool { return c.Effective&(1<<capability) != 0 }

// InGroup reports whether gid is the file system group or a supplementary one.
func (c *Creds) InGroup(gid uint32) bool {
	return c.FSGID == gid || slices.Contains(c.Groups, gid)
}

// Access modes of permission checks: the bits of access(2).
const (
	MayExec  = 1
	MayWrite = 2
	MayRead  = 4
)

// permits checks mode bits and owner against the wanted access (path_resolution(7),
// "Permissions").
func (c *Creds) permits(mode, uid, gid, want uint32) bool {
	bits := mode
	switch {
	case c.FSUID == uid:
		bits >>= 6
	case c.InGroup(gid):
		bits >>= 3
	}
	if bits&want == want {
		return true
	}
	if mode&unix.S_IFMT == unix.S_IFDIR {
		if c.Has(unix.CAP_DAC_OVERRIDE) {
			return true
		}
		return want&MayWrite == 0 && c.Has(unix.CAP_DAC_READ_SEARCH)
	}
	if c.Has(unix.CAP_DAC_OVERRIDE) && (want&MayExec == 0 || mode&0o111 != 0) {
		return true
	}
	return want == MayRead && c.Has(unix.CAP_DAC_READ_SEARCH)
}

// access checks the wanted access to an inode; EACCES.
func (c *Creds) access(n Inode, want uint32) error {
	uid, gid := n.Owner()
	if !c.permits(n.Mode(), uid, gid, want) {
		return unix.EACCES
	}
	return nil
}

// ownerOr reports whether the caller owns the inode or has the capability.
func (c *Creds) ownerOr(n Inode, capability uint) bool {
	uid, _ := n.Owner()
	return c.FSUID == uid || c.Has(capability)
}

// Access checks the wanted access, Mayxxx, to an object that is no part of the
// tree: EACCES.
func (c *Creds) Access(n Inode, want uint32) error { return c.access(n, want) }

// RevealsCache reports whether c may learn which pages of the file are in memory: who
// could write to it or owns it (mincore(2)).
func (f *File) RevealsCache(c *Creds) bool {
	return f.inode == nil || c.ownerOr(f.inode, unix.CAP_FOWNER) || c.access(f.inode, 2) == nil
}
