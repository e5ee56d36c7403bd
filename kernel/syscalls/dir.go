package syscalls

import (
	"encoding/binary"
	"sync"

	"golang.org/x/sys/unix"

	"gosv/kernel/task"
	"gosv/kernel/vfs"
)

// dirRows are the calls that read directories and change names.
var dirRows = []Row{
	{AMD64: 78, ARM64: NoNumber, Name: "getdents", Fn: sysGetdents, Format: "fd:fd, dirp:ptr, count:size"},
	{AMD64: 217, ARM64: 61, Name: "getdents64", Fn: sysGetdents64, Format: "fd:fd, dirp:ptr, count:size"},
	{AMD64: 83, ARM64: NoNumber, Name: "mkdir", Fn: sysMkdir, Format: "pathname:path, mode:oct"},
	{AMD64: 258, ARM64: 34, Name: "mkdirat", Fn: sysMkdirat, Format: "dirfd:fd, pathname:path, mode:oct"},
	{AMD64: 84, ARM64: NoNumber, Name: "rmdir", Fn: sysRmdir, Format: "pathname:path"},
	{AMD64: 87, ARM64: NoNumber, Name: "unlink", Fn: sysUnlink, Format: "pathname:path"},
	{AMD64: 263, ARM64: 35, Name: "unlinkat", Fn: sysUnlinkat, Format: "dirfd:fd, pathname:path, flags:flags.at"},
	{AMD64: 82, ARM64: NoNumber, Name: "rename", Fn: sysRename, Format: "oldpath:path, newpath:path"},
	{AMD64: 264, ARM64: 38, Name: "renameat", Fn: sysRenameat, Format: "olddirfd:fd, oldpath:path, newdirfd:fd, newpath:path"},
	{AMD64: 316, ARM64: 276, Name: "renameat2", Fn: sysRenameat2, Format: "olddirfd:fd, oldpath:path, newdirfd:fd, newpath:path, flags:hex"},
	{AMD64: 86, ARM64: NoNumber, Name: "link", Fn: sysLink, Format: "oldpath:path, newpath:path"},
	{AMD64: 265, ARM64: 37, Name: "linkat", Fn: sysLinkat, Format: "olddirfd:fd, oldpath:path, newdirfd:fd, newpath:path, flags:flags.at"},
	{AMD64: 88, ARM64: NoNumber, Name: "symlink", Fn: sysSymlink, Format: "target:path, linkpath:path"},
	{AMD64: 266, ARM64: 36, Name: "symlinkat", Fn: sysSymlinkat, Format: "target:path, newdirfd:fd, linkpath:path"},
	{AMD64: 89, ARM64: NoNumber, Name: "readlink", Fn: sysReadlink, Format: "pathname:path, buf:out, bufsiz:size"},
	{AMD64: 267, ARM64: 78, Name: "readlinkat", Fn: sysReadlinkat, Format: "dirfd:fd, pathname:path, buf:out, bufsiz:size"},
	{AMD64: 133, ARM64: NoNumber, Name: "mknod", Fn: sysMknod, Format: "pathname:path, mode:oct, dev:hex"},
	{AMD64: 259, ARM64: 33, Name: "mknodat", Fn: sysMknodat, Format: "dirfd:fd, pathname:path, mode:oct, dev:hex"},
}

// direntBufs are where directory entries are put together: at most so much is
// returned by one call, which programs repeat until the end anyway.
var direntBufs = sync.Pool{New: func() any { return new([8192]byte) }}

// readDir fills the user's buffer with entries that encode appends to b, nil where
// they do not fit.
func readDir(t *task.Thread, a *Args, encode func(b []byte, e *vfs.Dirent) []byte) (uint64, error) {
	f, err := t.Files.Get(fdArg(a[0]))
	if err != nil {
		return 0, err
	}
	defer f.Release()
	if f.PathOnly() {
		return 0, unix.EBADF
	}
	buf := direntBufs.Get().(*[8192]byte)
	defer direntBufs.Put(buf)
	b := buf[:0:min(uint64(len(buf)), uint64(uint32(a[2])))]
	small := false
	if p := f.FollowPath(); p.Dentry.Removed() && p.Inode().Mode()&unix.S_IFMT == unix.S_IFDIR {
		return 0, unix.ENOENT
	}
	err = f.ReadDir(func(e vfs.Dirent) bool {
		next := encode(b, &e)
		if next == nil {
			small = len(b) == 0
			return false
		}
		b = next
		return true
	})
	if len(b) == 0 {
		if err == nil && small {
			err = unix.EINVAL
		}
		return 0, err
	}
	return uint64(len(b)), t.MM.CopyOut(a[1], b)
}

// sysGetdents64 returns struct linux_dirent64: inode, offset, record length, type, name.
func sysGetdents64(t *task.Thread, a *Args) (uint64, error) {
	return readDir(t, a, func(b []byte, e *vfs.Dirent) []byte {
		n := (19 + len(e.Name) + 1 + 7) &^ 7
		if len(b)+n > cap(b) {
			return nil
		}
		r := b[len(b) : len(b)+n]
		clear(r)
		binary.LittleEndian.PutUint64(r, e.Ino)
		binary.LittleEndian.PutUint64(r[8:], uint64(e.Off))
		binary.LittleEndian.PutUint16(r[16:], uint16(n))
		r[18] = e.Type
		copy(r[19:], e.Name)
		return b[:len(b)+n]
	})
}

// sysGetdents returns struct linux_dirent, which has the type in its last byte.
func sysGetdents(t *task.Thread, a *Args) (uint64, error) {
	return readDir(t, a, func(b []byte, e *vfs.Dirent) []byte {
		n := (18 + len(e.Name) + 2 + 7) &^ 7
		if len(b)+n > cap(b) {
			return nil
		}
		r := b[len(b) : len(b)+n]
		clear(r)
		binary.LittleEndian.PutUint64(r, e.Ino)
		binary.LittleEndian.PutUint64(r[8:], uint64(e.Off))
		binary.LittleEndian.PutUint16(r[16:], uint16(n))
		copy(r[18:], e.Name)
		r[n-1] = e.Type
		return b[:len(b)+n]
	})
}

// atPlace runs op on a (dirfd, path) pair.
func atPlace(t *task.Thread, dirfd, path uint64, op func(p *place) error) (uint64, error) {
	p, err := placeArg(t, dirfd, path)
	if err != nil {
		return 0, err
	}
	err = op(&p)
	p.release()
	return 0, err
}

func sysMkdir(t *task.Thread, a *Args) (uint64, error) { return mkdirAt(t, cwdFD, a[0], a[1]) }

func sysMkdirat(t *task.Thread, a *Args) (uint64, error) { return mkdirAt(t, a[0], a[1], a[2]) }

func mkdirAt(t *task.Thread, dirfd, path, mode uint64) (uint64, error) {
	return atPlace(t, dirfd, path, func(p *place) error {
		return t.FS.Mkdir(t.Caller(), p.dir, p.path, uint32(mode))
	})
}

func sysRmdir(t *task.Thread, a *Args) (uint64, error) {
	return unlinkAt(t, cwdFD, a[0], unix.AT_REMOVEDIR)
}

func sysUnlink(t *task.Thread, a *Args) (uint64, error) { return unlinkAt(t, cwdFD, a[0], 0) }

func sysUnlinkat(t *task.Thread, a *Args) (uint64, error) {
	if uint32(a[2])&^unix.AT_REMOVEDIR != 0 {
		return 0, unix.EINVAL
	}
	return unlinkAt(t, a[0], a[1], int(a[2]))
}

func unlinkAt(t *task.Thread, dirfd, path uint64, flags int) (uint64, error) {
	return atPlace(t, dirfd, path, func(p *place) error {
		return t.FS.Unlink(t.Caller(), p.dir, p.path, flags)
	})
}

func sysRename(t *task.Thread, a *Args) (uint64, error) {
	return renameAt(t, cwdFD, a[0], cwdFD, a[1], 0)
}

func sysRenameat(t *task.Thread, a *Args) (uint64, error) {
	return renameAt(t, a[0], a[1], a[2], a[3], 0)
}

func sysRenameat2(t *task.Thread, a *Args) (uint64, error) {
	return renameAt(t, a[0], a[1], a[2], a[3], uint32(a[4]))
}

func renameAt(t *task.Thread, oldfd, oldpath, newfd, newpath uint64, flags uint32) (uint64, error) {
	return atPlace(t, oldfd, oldpath, func(from *place) error {
		_, err := atPlace(t, newfd, newpath, func(to *place) error {
			return t.FS.Rename(t.Caller(), from.dir, from.path, to.dir, to.path, flags)
		})
		return err
	})
}

func sysLink(t *task.Thread, a *Args) (uint64, error) { return linkAt(t, cwdFD, a[0], cwdFD, a[1], 0) }

func sysLinkat(t *task.Thread, a *Args) (uint64, error) {
	flags := uint32(a[4])
	if flags&^(unix.AT_SYMLINK_FOLLOW|unix.AT_EMPTY_PATH) != 0 {
		return 0, unix.EINVAL
	}
	if flags&unix.AT_EMPTY_PATH != 0 && !t.Creds().Has(unix.CAP_DAC_READ_SEARCH) {
		return 0, unix.ENOENT
	}
	return linkAt(t, a[0], a[1], a[2], a[3], int(flags))
}

func linkAt(t *task.Thread, oldfd, oldpath, newfd, newpath uint64, flags int) (uint64, error) {
	return atPlace(t, oldfd, oldpath, func(from *place) error {
		_, err := atPlace(t, newfd, newpath, func(to *place) error {
			return t.FS.Link(t.Caller(), from.dir, from.path, to.dir, to.path, flags)
		})
		return err
	})
}

func sysSymlink(t *task.Thread, a *Args) (uint64, error) { return symlinkAt(t, a[0], cwdFD, a[1]) }

func sysSymlinkat(t *task.Thread, a *Args) (uint64, error) { return symlinkAt(t, a[0], a[1], a[2]) }

func symlinkAt(t *task.Thread, target, dirfd, path uint64) (uint64, error) {
	s, err := pathArg(t, target)
	if err != nil {
		return 0, err
	}
	return atPlace(t, dirfd, path, func(p *place) error {
		return t.FS.Symlink(t.Caller(), s, p.dir, p.path)
	})
}

func sysReadlink(t *task.Thread, a *Args) (uint64, error) {
	return readlinkAt(t, cwdFD, a[0], a[1], a[2])
}

func sysReadlinkat(t *task.Thread, a *Args) (uint64, error) {
	return readlinkAt(t, a[0], a[1], a[2], a[3])
}

func readlinkAt(t *task.Thread, dirfd, path, buf, size uint64) (n uint64, err error) {
	if int32(size) <= 0 {
		return 0, unix.EINVAL
	}
	_, err = atPlace(t, dirfd, path, func(p *place) error {
		s, err := t.FS.Readlink(t.Caller(), p.dir, p.path)
		if err != nil {
			return err
		}
		s = s[:min(uint64(len(s)), size)]
		n = uint64(len(s))
		return t.MM.CopyOut(buf, []byte(s))
	})
	return n, err
}

func sysMknod(t *task.Thread, a *Args) (uint64, error) { return mknodAt(t, cwdFD, a[0], a[1], a[2]) }

func sysMknodat(t *task.Thread, a *Args) (uint64, error) {
	return mknodAt(t, a[0], a[1], a[2], a[3])
}

func mknodAt(t *task.Thread, dirfd, path, mode, dev uint64) (uint64, error) {
	return atPlace(t, dirfd, path, func(p *place) error {
		return t.FS.Mknod(t.Caller(), p.dir, p.path, uint32(mode), uint64(uint32(dev)))
	})
}
