package syscalls

import (
	"golang.org/x/sys/unix"

	"gosv/kernel/net/socket"
	"gosv/kernel/task"
	"gosv/kernel/tty"
	"gosv/kernel/vfs"
)

// ioctlRows is ioctl(2).
var ioctlRows = []Row{
	{AMD64: 16, ARM64: 29, Name: "ioctl", Fn: sysIoctl, Format: "fd:fd, request:flags.ioctl, argp:ptr", Level: Partial,
		Note: "those of ioctl_tty(2) on terminals and pseudo-terminals, FIONREAD, FIONBIO, FIOASYNC, FIOCLEX, FIONCLEX, FIOQSIZE, FIGETBSZ, FICLONE and its kin (which refuse, as on Linux's tmpfs), those of random(4), netdevice(7) on a socket; ENOTTY for the rest"},
}

// Requests that every file knows (include/uapi/asm-generic/ioctls.h,
// include/uapi/linux/fs.h).
const (
	fionread = 0x541b
	fionbio  = 0x5421
	fionclex = 0x5450
	fioclex  = 0x5451
	fioasync = 0x5452
	fioqsize = 0x5460
	figetbsz = 2

	ficlone      = 0x40049409
	ficlonerange = 0x4020940d
	fiemap       = 0xc020660b
)

// cloneRange is ioctl_ficlone(2) where no file system can share extents.
func cloneRange(t *task.Thread, out *vfs.File, cmd uint32, arg uint64) error {
	if cmd == ficlonerange {
		v, err := t.MM.Load64(arg) // struct file_clone_range: src_fd first
		if err != nil {
			return err
		}
		arg = v
	}
	in, err := t.Files.Get(fdArg(arg))
	if err != nil {
		return err
	}
	defer in.Release()
	if in.Path().Dentry == nil || out.Path().Dentry == nil || !in.Path().SameFilesystem(out.Path()) {
		return unix.EXDEV
	}
	for _, f := range [...]*vfs.File{in, out} {
		switch f.Inode().Mode() & unix.S_IFMT {
		case unix.S_IFREG:
		case unix.S_IFDIR:
			return unix.EISDIR
		default:
			return unix.EINVAL
		}
	}
	if !in.Readable() || !out.Writable() || out.Flags()&unix.O_APPEND != 0 {
		return unix.EBADF
	}
	return unix.EOPNOTSUPP
}

func sysIoctl(t *task.Thread, a *Args) (uint64, error) {
	f, err := t.Files.Get(fdArg(a[0]))
	if err != nil {
		return 0, err
	}
	defer f.Release()
	if f.PathOnly() {
		return 0, unix.EBADF
	}
	cmd, arg := uint32(a[1]), a[2]
	switch cmd {
	case ficlone, ficlonerange:
		return 0, cloneRange(t, f, cmd, arg)
	case fiemap:
		return 0, unix.EOPNOTSUPP // no file system here can tell
	case fioclex, fionclex:
		return 0, t.Files.SetCloexec(fdArg(a[0]), cmd == fioclex)
	case fionbio, fioasync:
		v, err := t.MM.Load32(arg)
		if err != nil {
			return 0, err
		}
		switch {
		case cmd == fionbio && v != 0:
			f.SetFlags(unix.O_NONBLOCK, unix.O_NONBLOCK)
		case cmd == fionbio:
			f.SetFlags(0, unix.O_NONBLOCK)
		case !f.CanSignal():
			return 0, unix.ENOTTY
		default:
			f.SetAsync(v != 0, fdArg(a[0]))
		}
		return 0, nil
	}
	if term := tty.Of(f); term != nil {
		return term.Ioctl(t, t.MM, cmd, arg)
	}
	if cmd == unix.TIOCGPTPEER {
		return openPeer(t, f, arg)
	}
	v, err := f.Ioctl(t.MM, cmd, arg)
	if err == unix.ENOTTY {
		if _, e := socket.Of(f); e == nil {
			c := socketCaller(t)
			return 0, socket.DeviceIoctl(&c, t.MM, cmd, arg)
		}
		return inodeIoctl(t, f, cmd, arg)
	}
	return v, err
}

// openPeer is TIOCGPTPEER: the other side of a pseudo-terminal, opened with flags.
func openPeer(t *task.Thread, f *vfs.File, flags uint64) (uint64, error) {
	pair := tty.MasterOf(f)
	if pair == nil {
		return 0, unix.ENOTTY
	}
	c := vfs.Caller{Creds: &vfs.RootCreds, Sleeper: &t.Sleeper, Task: t}
	peer, err := t.FS.Open(c, nil, "/dev/pts/"+itoa(pair.Index), uint32(flags)&^unix.O_CREAT, 0)
	if err != nil {
		return 0, err
	}
	return install(t, peer, flags&unix.O_CLOEXEC != 0)
}

// inodeIoctl does the requests that are about the inode.
func inodeIoctl(t *task.Thread, f *vfs.File, cmd uint32, arg uint64) (uint64, error) {
	var st vfs.Stat
	if err := f.Stat(&st); err != nil {
		return 0, err
	}
	kind := st.Mode & unix.S_IFMT
	var b [8]byte
	switch {
	case cmd == figetbsz && kind != 0:
		return 0, t.MM.Store32(arg, st.Blksize)
	case cmd == fioqsize && (kind == unix.S_IFREG || kind == unix.S_IFDIR || kind == unix.S_IFLNK):
		le.PutUint64(b[:], uint64(st.Size))
		return 0, t.MM.CopyOut(arg, b[:])
	case cmd == fionread && kind == unix.S_IFREG:
		return 0, t.MM.Store32(arg, uint32(st.Size-f.Offset()))
	}
	return 0, unix.ENOTTY
}
