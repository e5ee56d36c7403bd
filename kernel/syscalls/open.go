package syscalls

import (
	"encoding/binary"

	"golang.org/x/sys/unix"

	"gosv/abi/linux"
	"gosv/kernel/net/socket"
	"gosv/kernel/task"
	"gosv/kernel/vfs"
)

// openRows are the calls that open and close files, and move in the tree.
var openRows = []Row{
	{AMD64: 2, ARM64: NoNumber, Name: "open", Blocks: true, Fn: sysOpen, Format: "pathname:path, flags:flags.open, mode:oct, =fd"},
	{AMD64: 257, ARM64: 56, Name: "openat", Blocks: true, Fn: sysOpenat, Format: "dirfd:fd, pathname:path, flags:flags.open, mode:oct, =fd"},
	{AMD64: 437, ARM64: 437, Name: "openat2", Blocks: true, Fn: sysOpenat2, Format: "dirfd:fd, pathname:path, how:ptr, size:size, =fd"},
	{AMD64: 85, ARM64: NoNumber, Name: "creat", Blocks: true, Fn: sysCreat, Format: "pathname:path, mode:oct, =fd"},
	{AMD64: 3, ARM64: 57, Name: "close", Blocks: true, Fn: sysClose, Format: "fd:fd"},
	{AMD64: 436, ARM64: 436, Name: "close_range", Fn: sysCloseRange, Format: "first:uint, last:uint, flags:hex"},
	{AMD64: 79, ARM64: 17, Name: "getcwd", Fn: sysGetcwd, Format: "buf:out, size:size"},
	{AMD64: 80, ARM64: 49, Name: "chdir", Fn: sysChdir, Format: "path:path"},
	{AMD64: 81, ARM64: 50, Name: "fchdir", Fn: sysFchdir, Format: "fd:fd"},
	{AMD64: 161, ARM64: 51, Name: "chroot", Fn: sysChroot, Format: "path:path"},
	{AMD64: 95, ARM64: 166, Name: "umask", Fn: sysUmask, Format: "mask:oct, =oct"},
}

// A place is the (dirfd, path) pair that the *at calls take.
type place struct {
	dir  *vfs.File
	path string
}

// placeArg reads the pair; dirfd is not looked at when the path is absolute.
func placeArg(t *task.Thread, dirfd, path uint64) (place, error) {
	var p place
	var err error
	if p.path, err = pathArg(t, path); err != nil {
		return p, err
	}
	if int32(dirfd) == unix.AT_FDCWD || p.path != "" && p.path[0] == '/' {
		return p, nil
	}
	p.dir, err = t.Files.Get(fdArg(dirfd))
	return p, err
}

func (p *place) release() {
	if p.dir != nil {
		p.dir.Release()
	}
}

// pathArg reads a path; ENAMETOOLONG beyond PATH_MAX.
func pathArg(t *task.Thread, addr uint64) (string, error) {
	return t.MM.CopyInString(addr, linux.PATH_MAX)
}

// validOpen are the flags that open(2) knows; it ignores others, openat2(2) refuses them.
const validOpen = unix.O_ACCMODE | unix.O_CREAT | unix.O_EXCL | unix.O_NOCTTY | unix.O_TRUNC |
	unix.O_APPEND | unix.O_NONBLOCK | unix.O_SYNC | unix.O_DSYNC | unix.O_ASYNC | unix.O_DIRECT | linux.O_LARGEFILE |
	unix.O_DIRECTORY | unix.O_NOFOLLOW | unix.O_NOATIME | unix.O_CLOEXEC | unix.O_PATH | unix.O_TMPFILE

func openAt(t *task.Thread, dirfd, path uint64, how vfs.OpenHow) (uint64, error) {
	p, err := placeArg(t, dirfd, path)
	if err == nil && how.Resolve&unix.RESOLVE_IN_ROOT != 0 && p.dir == nil && int32(dirfd) != unix.AT_FDCWD {
		p.dir, err = t.Files.Get(fdArg(dirfd)) // absolute paths start there too
	}
	if err != nil {
		return 0, err
	}
	fd, err := openPlace(t, &p, how)
	p.release()
	return fd, err
}

func openPlace(t *task.Thread, p *place, how vfs.OpenHow) (uint64, error) {
	cloexec := how.Flags&unix.O_CLOEXEC != 0
	if how.Flags&unix.O_PATH == 0 {
		how.Flags |= linux.O_LARGEFILE
	}
	f, err := t.FS.OpenHow(t.Caller(), p.dir, p.path, how)
	if err != nil {
		return 0, err
	}
	return install(t, f, cloexec)
}

func sysOpen(t *task.Thread, a *Args) (uint64, error) {
	return openAt(t, cwdFD, a[0], vfs.OpenHow{Flags: uint32(a[1]) & validOpen, Mode: uint32(a[2])})
}

// cwdFD is AT_FDCWD as an argument.
const cwdFD = 1<<64 + unix.AT_FDCWD

func sysOpenat(t *task.Thread, a *Args) (uint64, error) {
	return openAt(t, a[0], a[1], vfs.OpenHow{Flags: uint32(a[2]) & validOpen, Mode: uint32(a[3])})
}

func sysCreat(t *task.Thread, a *Args) (uint64, error) {
	return openAt(t, cwdFD, a[0], vfs.OpenHow{Flags: unix.O_CREAT | unix.O_WRONLY | unix.O_TRUNC, Mode: uint32(a[1])})
}

func sysOpenat2(t *task.Thread, a *Args) (uint64, error) {
	how, err := openHowArg(t, a[2], a[3])
	if err != nil {
		return 0, err
	}
	return openAt(t, a[0], a[1], how)
}

// openHowArg reads a struct open_how.
func openHowArg(t *task.Thread, addr, size uint64) (how vfs.OpenHow, err error) {
	if size < linux.OpenHowSize0 {
		return how, unix.EINVAL
	}
	if size > 4096 {
		return how, unix.E2BIG
	}
	var b [linux.OpenHowSize0]byte
	if err := t.MM.CopyIn(b[:], addr); err != nil {
		return how, err
	}
	for off := uint64(len(b)); off < size; off++ {
		var tail [1]byte
		if err := t.MM.CopyIn(tail[:], addr+off); err != nil {
			return how, err
		}
		if tail[0] != 0 {
			return how, unix.E2BIG
		}
	}
	flags, mode, resolve := binary.LittleEndian.Uint64(b[:]), binary.LittleEndian.Uint64(b[8:]), binary.LittleEndian.Uint64(b[16:])
	const known = unix.RESOLVE_NO_XDEV | unix.RESOLVE_NO_MAGICLINKS | unix.RESOLVE_NO_SYMLINKS |
		unix.RESOLVE_BENEATH | unix.RESOLVE_IN_ROOT | linux.RESOLVE_CACHED
	makes := flags&unix.O_CREAT != 0 || flags&unix.O_TMPFILE == unix.O_TMPFILE
	switch {
	case flags&^validOpen != 0 || resolve&^known != 0 || mode&^0o7777 != 0:
		return how, unix.EINVAL
	case resolve&(unix.RESOLVE_BENEATH|unix.RESOLVE_IN_ROOT) == unix.RESOLVE_BENEATH|unix.RESOLVE_IN_ROOT:
		return how, unix.EINVAL
	case mode != 0 && !makes:
		return how, unix.EINVAL
	case flags&unix.O_PATH != 0 && flags&^(unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC) != 0:
		return how, unix.EINVAL
	case resolve&linux.RESOLVE_CACHED != 0 && (makes || flags&unix.O_TRUNC != 0):
		return how, unix.EAGAIN
	}
	return vfs.OpenHow{Flags: uint32(flags), Mode: uint32(mode), Resolve: resolve}, nil
}

func sysClose(t *task.Thread, a *Args) (uint64, error) {
	if socket.Lingering.Load() {
		return 0, closeLingering(t, fdArg(a[0]))
	}
	return 0, t.Files.Close(fdArg(a[0]))
}

func sysCloseRange(t *task.Thread, a *Args) (uint64, error) {
	first, last, flags := uint32(a[0]), uint32(a[1]), uint32(a[2])
	if flags&^(unix.CLOSE_RANGE_UNSHARE|unix.CLOSE_RANGE_CLOEXEC) != 0 || first > last {
		return 0, unix.EINVAL
	}
	if flags&unix.CLOSE_RANGE_UNSHARE != 0 && t.Files.Shared() {
		if err := t.Unshare(unix.CLONE_FILES); err != nil {
			return 0, err
		}
	}
	if flags&unix.CLOSE_RANGE_CLOEXEC != 0 {
		t.Files.CloexecRange(uint(first), uint(last))
	} else {
		t.Files.CloseRange(uint(first), uint(last))
	}
	return 0, nil
}

func sysGetcwd(t *task.Thread, a *Args) (uint64, error) {
	s, err := t.FS.Getcwd()
	if err != nil {
		return 0, err
	}
	if len(s)+1 > linux.PATH_MAX {
		return 0, unix.ENAMETOOLONG
	}
	if uint64(len(s)+1) > a[1] {
		return 0, unix.ERANGE
	}
	return uint64(len(s) + 1), t.MM.CopyOut(a[0], append([]byte(s), 0))
}

func sysChdir(t *task.Thread, a *Args) (uint64, error) {
	path, err := pathArg(t, a[0])
	if err != nil {
		return 0, err
	}
	return 0, t.FS.Chdir(t.Caller(), path)
}

func sysFchdir(t *task.Thread, a *Args) (uint64, error) {
	return withFile(t, a[0], func(f *vfs.File) (uint64, error) { return 0, t.FS.Fchdir(t.Caller(), f) })
}

func sysChroot(t *task.Thread, a *Args) (uint64, error) {
	path, err := pathArg(t, a[0])
	if err != nil {
		return 0, err
	}
	return 0, t.FS.Chroot(t.Caller(), path)
}

func sysUmask(t *task.Thread, a *Args) (uint64, error) {
	return uint64(t.FS.SetUmask(uint32(a[0]))), nil
}
