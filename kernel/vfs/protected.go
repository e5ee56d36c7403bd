package vfs

import (
	"golang.org/x/sys/unix"
	"gosv/kernel/sysctl"
)

// Checks against files that another user puts into a shared directory such as
// /tmp (proc_sys_fs(5)). They are off unless an administrator wants them.
var protectedSymlinks, protectedHardlinks, protectedFIFOs, protectedRegular sysctl.Int32

// sharedSticky are the bits of a directory where everybody can make files, and
// only the owner of a file can take it away.
const sharedSticky = unix.S_ISVTX | unix.S_IWOTH

// mayFollow is protected_symlinks: a link in a shared directory is followed by its
// owner, or if it is of the directory's owner. EACCES.
func mayFollow(c Caller, dir, link Inode) error {
	if protectedSymlinks.Load() == 0 || dir.Mode()&sharedSticky != sharedSticky {
		return nil
	}
	uid, _ := link.Owner()
	if dirUID, _ := dir.Owner(); uid == c.Creds.FSUID || uid == dirUID {
		return nil
	}
	return unix.EACCES
}

// mayLink is protected_hardlinks: who does not own a file may link it only if it
// is a regular file that the caller may read and write, and has no bits that
// change the user or group of a program. EPERM.
func mayLink(c Caller, n Inode) error {
	if protectedHardlinks.Load() == 0 || c.Creds.ownerOr(n, unix.CAP_FOWNER) {
		return nil
	}
	mode := n.Mode()
	if mode&unix.S_IFMT != unix.S_IFREG || mode&unix.S_ISUID != 0 || mode&(unix.S_ISGID|0o010) == unix.S_ISGID|0o010 ||
		c.Creds.access(n, MayRead|MayWrite) != nil {
		return unix.EPERM
	}
	return nil
}

// mayOpenInSticky is protected_fifos and protected_regular: an open with O_CREAT
// does not take a file of another user in a sticky directory that others can
// write in; with 2 also where only a group can. EACCES.
func mayOpenInSticky(c Caller, d *Dentry) error {
	regular, fifos := protectedRegular.Load(), protectedFIFOs.Load()
	if regular == 0 && fifos == 0 {
		return nil
	}
	up := d.parent()
	if up == nil || up.inode.Mode()&unix.S_ISVTX == 0 {
		return nil
	}
	level := int32(1)
	switch d.kind {
	case unix.S_IFREG:
		level = regular
	case unix.S_IFIFO:
		level = fifos
	}
	uid, _ := d.inode.Owner()
	dirUID, _ := up.inode.Owner()
	if level == 0 || uid == dirUID || uid == c.Creds.FSUID {
		return nil
	}
	if mode := up.inode.Mode(); mode&unix.S_IWOTH != 0 || mode&unix.S_IWGRP != 0 && level >= 2 && (d.kind == unix.S_IFREG || d.kind == unix.S_IFIFO) {
		return unix.EACCES
	}
	return nil
}
