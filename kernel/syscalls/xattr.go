package syscalls

import (
	"golang.org/x/sys/unix"

	"gosv/abi/linux"
	"gosv/kernel/task"
	"gosv/kernel/vfs"
)

// xattrRows are the calls for extended attributes (xattr(7)).
var xattrRows = []Row{
	{AMD64: 188, ARM64: 5, Name: "setxattr", Fn: sysSetxattr, Format: "path:path, name:str, value:ptr, size:size, flags:hex"},
	{AMD64: 189, ARM64: 6, Name: "lsetxattr", Fn: sysLsetxattr, Format: "path:path, name:str, value:ptr, size:size, flags:hex"},
	{AMD64: 190, ARM64: 7, Name: "fsetxattr", Fn: sysFsetxattr, Format: "fd:fd, name:str, value:ptr, size:size, flags:hex"},
	{AMD64: 191, ARM64: 8, Name: "getxattr", Fn: sysGetxattr, Format: "path:path, name:str, value:ptr, size:size"},
	{AMD64: 192, ARM64: 9, Name: "lgetxattr", Fn: sysLgetxattr, Format: "path:path, name:str, value:ptr, size:size"},
	{AMD64: 193, ARM64: 10, Name: "fgetxattr", Fn: sysFgetxattr, Format: "fd:fd, name:str, value:ptr, size:size"},
	{AMD64: 194, ARM64: 11, Name: "listxattr", Fn: sysListxattr, Format: "path:path, list:ptr, size:size"},
	{AMD64: 195, ARM64: 12, Name: "llistxattr", Fn: sysLlistxattr, Format: "path:path, list:ptr, size:size"},
	{AMD64: 196, ARM64: 13, Name: "flistxattr", Fn: sysFlistxattr, Format: "fd:fd, list:ptr, size:size"},
	{AMD64: 197, ARM64: 14, Name: "removexattr", Fn: sysRemovexattr, Format: "path:path, name:str"},
	{AMD64: 198, ARM64: 15, Name: "lremovexattr", Fn: sysLremovexattr, Format: "path:path, name:str"},
	{AMD64: 199, ARM64: 16, Name: "fremovexattr", Fn: sysFremovexattr, Format: "fd:fd, name:str"},
}

// An xattrTarget says what the first argument of a call is.
type xattrTarget uint8

const (
	xattrPath xattrTarget = iota
	xattrLink
	xattrFD
)

// onXattrs runs op on the inode that the first argument leads to.
func onXattrs(t *task.Thread, target xattrTarget, arg uint64, write bool, op func(vfs.Inode) error) error {
	if target == xattrFD {
		f, err := t.Files.Get(fdArg(arg))
		if err != nil {
			return err
		}
		defer f.Release()
		if f.PathOnly() {
			return unix.EBADF
		}
		return t.FS.Xattrs(t.Caller(), f, "", false, write, op)
	}
	path, err := pathArg(t, arg)
	if err != nil {
		return err
	}
	return t.FS.Xattrs(t.Caller(), nil, path, target == xattrLink, write, op)
}

// xattrName reads a name; ERANGE if it is empty or too long.
func xattrName(t *task.Thread, addr uint64) (string, error) {
	s, err := t.MM.CopyInString(addr, linux.XATTR_NAME_MAX+1)
	if err == unix.ENAMETOOLONG || err == nil && s == "" {
		err = unix.ERANGE
	}
	return s, err
}

func setXattr(t *task.Thread, target xattrTarget, a *Args) (uint64, error) {
	flags := int(int32(a[4]))
	if flags&^(unix.XATTR_CREATE|unix.XATTR_REPLACE) != 0 {
		return 0, unix.EINVAL
	}
	name, err := xattrName(t, a[1])
	if err != nil {
		return 0, err
	}
	if a[3] > linux.XATTR_SIZE_MAX {
		return 0, unix.E2BIG
	}
	value := make([]byte, a[3])
	if err := t.MM.CopyIn(value, a[2]); err != nil {
		return 0, err
	}
	return 0, onXattrs(t, target, a[0], true, func(n vfs.Inode) error {
		return vfs.SetXattr(t.Caller(), n, name, value, flags)
	})
}

// outSized copies b to a buffer of a size; size 0 asks for the length only.
func outSized(t *task.Thread, b []byte, addr, size uint64) (uint64, error) {
	if size == 0 {
		return uint64(len(b)), nil
	}
	if uint64(len(b)) > size {
		return 0, unix.ERANGE
	}
	return uint64(len(b)), t.MM.CopyOut(addr, b)
}

func getXattr(t *task.Thread, target xattrTarget, a *Args) (uint64, error) {
	name, err := xattrName(t, a[1])
	if err != nil {
		return 0, err
	}
	var value []byte
	err = onXattrs(t, target, a[0], false, func(n vfs.Inode) (err error) {
		value, err = vfs.GetXattr(t.Caller(), n, name)
		return err
	})
	if err != nil {
		return 0, err
	}
	return outSized(t, value, a[2], a[3])
}

func listXattr(t *task.Thread, target xattrTarget, a *Args) (uint64, error) {
	var b []byte
	err := onXattrs(t, target, a[0], false, func(n vfs.Inode) error {
		names, err := vfs.ListXattr(t.Caller(), n)
		for _, s := range names {
			b = append(append(b, s...), 0)
		}
		if err == unix.EOPNOTSUPP {
			return nil // an empty list, as on Linux
		}
		return err
	})
	if err != nil {
		return 0, err
	}
	if len(b) > linux.XATTR_LIST_MAX {
		return 0, unix.E2BIG
	}
	return outSized(t, b, a[1], a[2])
}

func removeXattr(t *task.Thread, target xattrTarget, a *Args) (uint64, error) {
	name, err := xattrName(t, a[1])
	if err != nil {
		return 0, err
	}
	return 0, onXattrs(t, target, a[0], true, func(n vfs.Inode) error {
		return vfs.RemoveXattr(t.Caller(), n, name)
	})
}

func sysSetxattr(t *task.Thread, a *Args) (uint64, error)     { return setXattr(t, xattrPath, a) }
func sysLsetxattr(t *task.Thread, a *Args) (uint64, error)    { return setXattr(t, xattrLink, a) }
func sysFsetxattr(t *task.Thread, a *Args) (uint64, error)    { return setXattr(t, xattrFD, a) }
func sysGetxattr(t *task.Thread, a *Args) (uint64, error)     { return getXattr(t, xattrPath, a) }
func sysLgetxattr(t *task.Thread, a *Args) (uint64, error)    { return getXattr(t, xattrLink, a) }
func sysFgetxattr(t *task.Thread, a *Args) (uint64, error)    { return getXattr(t, xattrFD, a) }
func sysListxattr(t *task.Thread, a *Args) (uint64, error)    { return listXattr(t, xattrPath, a) }
func sysLlistxattr(t *task.Thread, a *Args) (uint64, error)   { return listXattr(t, xattrLink, a) }
func sysFlistxattr(t *task.Thread, a *Args) (uint64, error)   { return listXattr(t, xattrFD, a) }
func sysRemovexattr(t *task.Thread, a *Args) (uint64, error)  { return removeXattr(t, xattrPath, a) }
func sysLremovexattr(t *task.Thread, a *Args) (uint64, error) { return removeXattr(t, xattrLink, a) }
func sysFremovexattr(t *task.Thread, a *Args) (uint64, error) { return removeXattr(t, xattrFD, a) }
