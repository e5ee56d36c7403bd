package vfs

import "golang.org/x/sys/unix"

// Mount is mount(2): a new file system of a registered type, or a change of flags
// with MS_REMOUNT. Bind mounts are not there.
func (x *FSContext) Mount(c Caller, source, target, fstype string, flags uint32, data string) error {
	p, err := x.Lookup(c, target)
	if err != nil {
		return err
	}
	defer p.Unpin()
	if !c.Creds.Has(unix.CAP_SYS_ADMIN) {
		return unix.EPERM
	}
	switch {
	case flags&unix.MS_REMOUNT != 0:
		if p.Mount == nil || p.Dentry != p.Mount.root {
			return unix.EINVAL
		}
		return p.Mount.SetFlags(flags)
	case flags&(unix.MS_SHARED|unix.MS_PRIVATE|unix.MS_SLAVE|unix.MS_UNBINDABLE) != 0:
		if p.Mount == nil || p.Dentry != p.Mount.root {
			return unix.EINVAL
		}
		return nil // there is one mount namespace: nothing propagates
	case flags&(unix.MS_BIND|unix.MS_MOVE) != 0:
		return unix.EINVAL
	}
	if !p.Dentry.isDir() {
		return unix.ENOTDIR
	}
	fs, err := newFilesystem(fstype, source, flags, data)
	if err != nil {
		return err
	}
	if source == "" {
		source = "none"
	}
	m, err := MountAt(p, fs, source, flags)
	if err == nil {
		m.options = data
	}
	return err
}

// Unmount is umount2(2).
func (x *FSContext) Unmount(c Caller, target string, flags int) error {
	if flags&^(unix.MNT_FORCE|unix.MNT_DETACH|unix.MNT_EXPIRE|unix.UMOUNT_NOFOLLOW) != 0 {
		return unix.EINVAL
	}
	if flags&unix.MNT_EXPIRE != 0 {
		return unix.EINVAL // no expiry
	}
	if !c.Creds.Has(unix.CAP_SYS_ADMIN) {
		return unix.EPERM
	}
	at := 0
	if flags&unix.UMOUNT_NOFOLLOW != 0 {
		at = unix.AT_SYMLINK_NOFOLLOW
	}
	treeMu.RLock()
	p, err := x.resolve(c, nil, target, at)
	treeMu.RUnlock()
	if err != nil {
		return err
	}
	if p.Mount == nil || p.Dentry != p.Mount.root {
		return unix.EINVAL
	}
	return p.Mount.Unmount(flags&unix.MNT_DETACH != 0)
}
