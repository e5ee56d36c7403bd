package syscalls

import (
	"encoding/binary"
	"unsafe"

	"golang.org/x/sys/unix"

	"gosv/abi/linux"
	"gosv/kernel/task"
	"gosv/kernel/vfs"
)

// attrRows are the calls that read and change attributes.
var attrRows = []Row{
	{AMD64: 4, ARM64: NoNumber, Name: "stat", Fn: sysStat, Format: "pathname:path, statbuf:stat"},
	{AMD64: 5, ARM64: 80, Name: "fstat", Fn: sysFstat, Format: "fd:fd, statbuf:stat"},
	{AMD64: 6, ARM64: NoNumber, Name: "lstat", Fn: sysLstat, Format: "pathname:path, statbuf:stat"},
	{AMD64: 262, ARM64: 79, Name: "newfstatat", Fn: sysNewfstatat, Format: "dirfd:fd, pathname:path, statbuf:stat, flags:flags.at"},
	{AMD64: 332, ARM64: 291, Name: "statx", Fn: sysStatx, Format: "dirfd:fd, pathname:path, flags:flags.at, mask:hex, statxbuf:ptr",
		Level: Partial, Note: "no STATX_DIOALIGN, STATX_SUBVOL and STATX_WRITE_ATOMIC: their bits stay clear, as on Linux's tmpfs and overlay"},
	{AMD64: 137, ARM64: 43, Name: "statfs", Fn: sysStatfs, Format: "path:path, buf:ptr"},
	{AMD64: 138, ARM64: 44, Name: "fstatfs", Fn: sysFstatfs, Format: "fd:fd, buf:ptr"},
	{AMD64: 21, ARM64: NoNumber, Name: "access", Fn: sysAccess, Format: "pathname:path, mode:int"},
	{AMD64: 269, ARM64: 48, Name: "faccessat", Fn: sysFaccessat, Format: "dirfd:fd, pathname:path, mode:int"},
	{AMD64: 439, ARM64: 439, Name: "faccessat2", Fn: sysFaccessat2, Format: "dirfd:fd, pathname:path, mode:int, flags:flags.at"},
	{AMD64: 90, ARM64: NoNumber, Name: "chmod", Fn: sysChmod, Format: "pathname:path, mode:oct"},
	{AMD64: 91, ARM64: 52, Name: "fchmod", Fn: sysFchmod, Format: "fd:fd, mode:oct"},
	{AMD64: 268, ARM64: 53, Name: "fchmodat", Fn: sysFchmodat, Format: "dirfd:fd, pathname:path, mode:oct"},
	{AMD64: 452, ARM64: 452, Name: "fchmodat2", Fn: sysFchmodat2, Format: "dirfd:fd, pathname:path, mode:oct, flags:flags.at"},
	{AMD64: 92, ARM64: NoNumber, Name: "chown", Fn: sysChown, Format: "pathname:path, owner:int, group:int"},
	{AMD64: 93, ARM64: 55, Name: "fchown", Fn: sysFchown, Format: "fd:fd, owner:int, group:int"},
	{AMD64: 94, ARM64: NoNumber, Name: "lchown", Fn: sysLchown, Format: "pathname:path, owner:int, group:int"},
	{AMD64: 260, ARM64: 54, Name: "fchownat", Fn: sysFchownat, Format: "dirfd:fd, pathname:path, owner:int, group:int, flags:flags.at"},
	{AMD64: 132, ARM64: NoNumber, Name: "utime", Fn: sysUtime, Format: "filename:path, times:ptr"},
	{AMD64: 235, ARM64: NoNumber, Name: "utimes", Fn: sysUtimes, Format: "filename:path, times:ptr"},
	{AMD64: 261, ARM64: NoNumber, Name: "futimesat", Fn: sysFutimesat, Format: "dirfd:fd, pathname:path, times:ptr"},
	{AMD64: 280, ARM64: 88, Name: "utimensat", Fn: sysUtimensat, Format: "dirfd:fd, pathname:path, times:ptr, flags:flags.at"},
	{AMD64: 76, ARM64: 45, Name: "truncate", Fn: sysTruncate, Format: "path:path, length:int"},
	{AMD64: 77, ARM64: 46, Name: "ftruncate", Fn: sysFtruncate, Format: "fd:fd, length:int"},
}

// copyOutStruct writes a struct of the ABI to user memory.
func copyOutStruct[T any](t *task.Thread, addr uint64, v *T) error {
	return t.MM.CopyOut(addr, unsafe.Slice((*byte)(unsafe.Pointer(v)), unsafe.Sizeof(*v)))
}

func statOut(t *task.Thread, addr uint64, st *vfs.Stat) error {
	var s unix.Stat_t
	fillStat(&s, st)
	s.Dev, s.Ino, s.Mode, s.Uid, s.Gid, s.Rdev = st.Dev, st.Ino, st.Mode, st.UID, st.GID, st.Rdev
	s.Size, s.Blocks = st.Size, int64(st.Blocks)
	s.Atim, s.Mtim, s.Ctim = timespec(st.Atime), timespec(st.Mtime), timespec(st.Ctime)
	return copyOutStruct(t, addr, &s)
}

func timespec(x vfs.Time) unix.Timespec { return unix.Timespec{Sec: x.Sec, Nsec: int64(x.Nsec)} }

func statAt(t *task.Thread, dirfd, path, buf uint64, flags int) (uint64, error) {
	p, err := placeArg(t, dirfd, path)
	if err != nil {
		return 0, err
	}
	var st vfs.Stat
	err = t.FS.Stat(t.Caller(), p.dir, p.path, flags, &st)
	p.release()
	if err == nil {
		err = statOut(t, buf, &st)
	}
	return 0, err
}

func sysStat(t *task.Thread, a *Args) (uint64, error) { return statAt(t, cwdFD, a[0], a[1], 0) }

func sysLstat(t *task.Thread, a *Args) (uint64, error) {
	return statAt(t, cwdFD, a[0], a[1], unix.AT_SYMLINK_NOFOLLOW)
}

func sysFstat(t *task.Thread, a *Args) (uint64, error) {
	f, err := t.Files.Get(fdArg(a[0]))
	if err != nil {
		return 0, err
	}
	var st vfs.Stat
	err = f.Stat(&st)
	f.Release()
	if err == nil {
		err = statOut(t, a[1], &st)
	}
	return 0, err
}

func sysNewfstatat(t *task.Thread, a *Args) (uint64, error) {
	flags := uint32(a[3])
	if flags&^(unix.AT_SYMLINK_NOFOLLOW|unix.AT_NO_AUTOMOUNT|unix.AT_EMPTY_PATH) != 0 {
		return 0, unix.EINVAL
	}
	path, err := nullIsEmpty(t, a[1], flags)
	if err != nil {
		return 0, err
	}
	if path && int32(a[0]) >= 0 {
		return sysFstat(t, &Args{a[0], a[2]})
	}
	return statAt(t, a[0], a[1], a[2], int(flags))
}

// nullIsEmpty reports whether a path argument under AT_EMPTY_PATH is the empty
// string or, since Linux 6.11, no pointer at all: glibc's fstat comes so.
func nullIsEmpty(t *task.Thread, path uint64, flags uint32) (bool, error) {
	if flags&unix.AT_EMPTY_PATH == 0 {
		return false, nil
	}
	if path == 0 {
		return true, nil
	}
	var b [1]byte
	err := t.MM.CopyIn(b[:], path)
	return b[0] == 0, err
}

func sysStatx(t *task.Thread, a *Args) (uint64, error) {
	flags, mask := uint32(a[2]), uint32(a[3])
	const known = unix.AT_SYMLINK_NOFOLLOW | unix.AT_NO_AUTOMOUNT | unix.AT_EMPTY_PATH | linux.AT_STATX_SYNC_TYPE
	if mask&unix.STATX__RESERVED != 0 || flags&^known != 0 || flags&linux.AT_STATX_SYNC_TYPE == linux.AT_STATX_SYNC_TYPE {
		return 0, unix.EINVAL
	}
	empty, err := nullIsEmpty(t, a[1], flags)
	if err != nil {
		return 0, err
	}
	var st vfs.Stat
	if empty && int32(a[0]) >= 0 {
		_, err = withFile(t, a[0], func(f *vfs.File) (uint64, error) { return 0, f.Stat(&st) })
	} else {
		_, err = atPlace(t, a[0], a[1], func(p *place) error {
			return t.FS.Stat(t.Caller(), p.dir, p.path, int(flags), &st)
		})
	}
	if err != nil {
		return 0, err
	}
	x := unix.Statx_t{
		Mask: unix.STATX_BASIC_STATS | unix.STATX_MNT_ID, Blksize: st.Blksize, Attributes: st.Attributes, Nlink: st.Nlink,
		Uid: st.UID, Gid: st.GID, Mode: uint16(st.Mode), Ino: st.Ino, Size: uint64(st.Size), Blocks: st.Blocks,
		Attributes_mask: st.AttrMask | unix.STATX_ATTR_MOUNT_ROOT,
		Atime:           statxTime(st.Atime), Btime: statxTime(st.Btime), Ctime: statxTime(st.Ctime), Mtime: statxTime(st.Mtime),
		Rdev_major: unix.Major(st.Rdev), Rdev_minor: unix.Minor(st.Rdev),
		Dev_major: unix.Major(st.Dev), Dev_minor: unix.Minor(st.Dev), Mnt_id: st.MountID,
	}
	if mask&linux.STATX_MNT_ID_UNIQUE != 0 {
		x.Mask = x.Mask&^unix.STATX_MNT_ID | linux.STATX_MNT_ID_UNIQUE
		x.Mnt_id = vfs.UniqueMountID(st.MountID)
	}
	if st.Btime != (vfs.Time{}) {
		x.Mask |= unix.STATX_BTIME
	}
	if st.MountRoot {
		x.Attributes |= unix.STATX_ATTR_MOUNT_ROOT
	}
	return 0, copyOutStruct(t, a[4], &x)
}

func statxTime(x vfs.Time) unix.StatxTimestamp { return unix.StatxTimestamp{Sec: x.Sec, Nsec: x.Nsec} }

func statfsOut(t *task.Thread, addr uint64, st *vfs.Statfs, mount uint32) error {
	s := unix.Statfs_t{
		Type: int64(st.Type), Bsize: int64(st.Bsize), Frsize: int64(st.Bsize), Blocks: st.Blocks, Bfree: st.Bfree, Bavail: st.Bfree,
		Files: st.Files, Ffree: st.Ffree, Namelen: int64(st.Namelen),
		Fsid: unix.Fsid{Val: [2]int32{int32(st.Fsid), int32(st.Fsid >> 32)}},
	}
	const valid = 0x20 // ST_VALID
	s.Flags = valid
	// The ST_* bits of statvfs(3) are the MS_* bits, but for these.
	s.Flags |= int64(mount & (unix.MS_RDONLY | unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC))
	if mount&unix.MS_NOATIME != 0 {
		s.Flags |= unix.ST_NOATIME
	} else if mount&unix.MS_STRICTATIME == 0 {
		s.Flags |= unix.ST_RELATIME
	}
	return copyOutStruct(t, addr, &s)
}

func sysStatfs(t *task.Thread, a *Args) (uint64, error) {
	path, err := pathArg(t, a[0])
	if err != nil {
		return 0, err
	}
	var st vfs.Statfs
	flags, err := t.FS.Statfs(t.Caller(), path, &st)
	if err != nil {
		return 0, err
	}
	return 0, statfsOut(t, a[1], &st, flags)
}

func sysFstatfs(t *task.Thread, a *Args) (uint64, error) {
	return withFile(t, a[0], func(f *vfs.File) (uint64, error) {
		var st vfs.Statfs
		flags, err := f.Statfs(&st)
		if err != nil {
			return 0, err
		}
		return 0, statfsOut(t, a[1], &st, flags)
	})
}

func sysAccess(t *task.Thread, a *Args) (uint64, error) { return accessAt(t, cwdFD, a[0], a[1], 0) }

func sysFaccessat(t *task.Thread, a *Args) (uint64, error) {
	return accessAt(t, a[0], a[1], a[2], 0)
}

func sysFaccessat2(t *task.Thread, a *Args) (uint64, error) {
	flags := uint32(a[3])
	if flags&^(unix.AT_EACCESS|unix.AT_SYMLINK_NOFOLLOW|unix.AT_EMPTY_PATH) != 0 {
		return 0, unix.EINVAL
	}
	return accessAt(t, a[0], a[1], a[2], int(flags))
}

func accessAt(t *task.Thread, dirfd, path, mode uint64, flags int) (uint64, error) {
	if uint32(mode)&^7 != 0 {
		return 0, unix.EINVAL
	}
	return atPlace(t, dirfd, path, func(p *place) error {
		return t.FS.Access(t.Caller(), p.dir, p.path, uint32(mode), flags)
	})
}

func sysChmod(t *task.Thread, a *Args) (uint64, error) { return chmodAt(t, cwdFD, a[0], a[1], 0) }

func sysFchmodat(t *task.Thread, a *Args) (uint64, error) { return chmodAt(t, a[0], a[1], a[2], 0) }

func sysFchmodat2(t *task.Thread, a *Args) (uint64, error) {
	flags := uint32(a[3])
	if flags&^(unix.AT_SYMLINK_NOFOLLOW|unix.AT_EMPTY_PATH) != 0 {
		return 0, unix.EINVAL
	}
	return chmodAt(t, a[0], a[1], a[2], int(flags))
}

func chmodAt(t *task.Thread, dirfd, path, mode uint64, flags int) (uint64, error) {
	return atPlace(t, dirfd, path, func(p *place) error {
		return t.FS.Chmod(t.Caller(), p.dir, p.path, uint32(mode), flags)
	})
}

func sysFchmod(t *task.Thread, a *Args) (uint64, error) {
	return withFile(t, a[0], func(f *vfs.File) (uint64, error) {
		if f.PathOnly() {
			return 0, unix.EBADF
		}
		return 0, f.Chmod(t.Caller(), uint32(a[1]))
	})
}

func sysChown(t *task.Thread, a *Args) (uint64, error) {
	return chownAt(t, cwdFD, a[0], a[1], a[2], 0)
}

func sysLchown(t *task.Thread, a *Args) (uint64, error) {
	return chownAt(t, cwdFD, a[0], a[1], a[2], unix.AT_SYMLINK_NOFOLLOW)
}

func sysFchownat(t *task.Thread, a *Args) (uint64, error) {
	flags := uint32(a[4])
	if flags&^(unix.AT_SYMLINK_NOFOLLOW|unix.AT_EMPTY_PATH) != 0 {
		return 0, unix.EINVAL
	}
	return chownAt(t, a[0], a[1], a[2], a[3], int(flags))
}

func chownAt(t *task.Thread, dirfd, path, uid, gid uint64, flags int) (uint64, error) {
	return atPlace(t, dirfd, path, func(p *place) error {
		return t.FS.Chown(t.Caller(), p.dir, p.path, uint32(uid), uint32(gid), flags)
	})
}

func sysFchown(t *task.Thread, a *Args) (uint64, error) {
	return withFile(t, a[0], func(f *vfs.File) (uint64, error) {
		if f.PathOnly() {
			return 0, unix.EBADF
		}
		return 0, f.Chown(t.Caller(), uint32(a[1]), uint32(a[2]))
	})
}

// bothNow is what a missing times argument means.
var bothNow = [2]vfs.TimeChange{{Now: true}, {Now: true}}

func sysUtime(t *task.Thread, a *Args) (uint64, error) {
	times := bothNow
	if a[1] != 0 {
		var b [16]byte
		if err := t.MM.CopyIn(b[:], a[1]); err != nil {
			return 0, err
		}
		for i := range times {
			times[i] = vfs.TimeChange{Time: vfs.Time{Sec: int64(binary.LittleEndian.Uint64(b[8*i:]))}}
		}
	}
	return utimesAt(t, cwdFD, a[0], times, 0)
}

func sysUtimes(t *task.Thread, a *Args) (uint64, error) {
	return futimesat(t, cwdFD, a[0], a[1])
}

func sysFutimesat(t *task.Thread, a *Args) (uint64, error) { return futimesat(t, a[0], a[1], a[2]) }

func futimesat(t *task.Thread, dirfd, path, times uint64) (uint64, error) {
	change := bothNow
	if times != 0 {
		var b [32]byte
		if err := t.MM.CopyIn(b[:], times); err != nil {
			return 0, err
		}
		for i := range change {
			usec := int64(binary.LittleEndian.Uint64(b[16*i+8:]))
			if usec < 0 || usec >= 1e6 {
				return 0, unix.EINVAL
			}
			change[i] = vfs.TimeChange{Time: vfs.Time{Sec: int64(binary.LittleEndian.Uint64(b[16*i:])), Nsec: uint32(usec) * 1000}}
		}
	}
	if path == 0 && int32(dirfd) != unix.AT_FDCWD {
		return futimens(t, dirfd, change)
	}
	return utimesAt(t, dirfd, path, change, 0)
}

func sysUtimensat(t *task.Thread, a *Args) (uint64, error) {
	flags := uint32(a[3])
	change := bothNow
	if a[2] != 0 {
		var b [32]byte
		if err := t.MM.CopyIn(b[:], a[2]); err != nil {
			return 0, err
		}
		for i := range change {
			c, err := timeChange(b[16*i:])
			if err != nil {
				return 0, err
			}
			change[i] = c
		}
		if change[0].Omit && change[1].Omit {
			return 0, nil
		}
	}
	if a[1] == 0 && int32(a[0]) != unix.AT_FDCWD {
		if flags != 0 {
			return 0, unix.EINVAL
		}
		return futimens(t, a[0], change)
	}
	if flags&^(unix.AT_SYMLINK_NOFOLLOW|unix.AT_EMPTY_PATH) != 0 {
		return 0, unix.EINVAL
	}
	return utimesAt(t, a[0], a[1], change, int(flags))
}

// timeChange decodes a timespec with UTIME_NOW and UTIME_OMIT.
func timeChange(b []byte) (vfs.TimeChange, error) {
	sec, nsec := int64(binary.LittleEndian.Uint64(b)), int64(binary.LittleEndian.Uint64(b[8:]))
	switch {
	case nsec == unix.UTIME_NOW:
		return vfs.TimeChange{Now: true}, nil
	case nsec == unix.UTIME_OMIT:
		return vfs.TimeChange{Omit: true}, nil
	case nsec < 0 || nsec >= 1e9:
		return vfs.TimeChange{}, unix.EINVAL
	}
	return vfs.TimeChange{Time: vfs.Time{Sec: sec, Nsec: uint32(nsec)}}, nil
}

func futimens(t *task.Thread, fd uint64, c [2]vfs.TimeChange) (uint64, error) {
	return withFile(t, fd, func(f *vfs.File) (uint64, error) {
		if f.PathOnly() {
			return 0, unix.EBADF
		}
		return 0, f.Utimens(t.Caller(), c[0], c[1])
	})
}

func utimesAt(t *task.Thread, dirfd, path uint64, c [2]vfs.TimeChange, flags int) (uint64, error) {
	return atPlace(t, dirfd, path, func(p *place) error {
		return t.FS.Utimens(t.Caller(), p.dir, p.path, c[0], c[1], flags)
	})
}

func sysTruncate(t *task.Thread, a *Args) (uint64, error) {
	if int64(a[1]) < 0 {
		return 0, unix.EINVAL
	}
	path, err := pathArg(t, a[0])
	if err != nil {
		return 0, err
	}
	limit := fileSizeLimit(t)
	err = t.FS.Truncate(t.Caller(), path, int64(a[1]), limit)
	writeSignals(t, err, int64(a[1]) > limit)
	return 0, err
}

func sysFtruncate(t *task.Thread, a *Args) (uint64, error) {
	if int64(a[1]) < 0 {
		return 0, unix.EINVAL
	}
	return withFile(t, a[0], func(f *vfs.File) (uint64, error) {
		limit := fileSizeLimit(t)
		err := f.Truncate(t.Caller(), int64(a[1]), limit)
		writeSignals(t, err, int64(a[1]) > limit)
		return 0, err
	})
}
