package syscalls

import (
	"golang.org/x/sys/unix"

	"gosv/kernel/task"
	"gosv/kernel/tty"
	"gosv/kernel/vfs"
)

// ioctlRows is ioctl(2).
var ioctlRows = []Row{
	{AMD64: 16, ARM64: 29, Name: "ioctl", Fn: sysIoctl, Format: "fd:fd, request:flags.ioctl, argp:ptr", Level: Partial,
		Note: "those of ioctl_tty(2) on a terminal, FIONREAD, FIONBIO, FIOASYNC, FIOCLEX, FIONCLEX, FIOQSIZE, FIGETBSZ, those of random(4); ENOTTY for the rest"},
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
)

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
	case fioclex, fionclex:
		return 0, t.Files.SetCloexec(fdArg(a[0]), cmd == fioclex)
	case fionbio, fioasync:
		v, err := t.MM.Load32(arg)
		if err != nil {
			return 0, err
		}
		flag := uint32(unix.O_NONBLOCK)
		if cmd == fioasync {
			flag = unix.O_ASYNC
			if f.Queue() == nil {
				return 0, unix.ENOTTY
			}
		}
		if v != 0 {
			f.SetFlags(flag, flag)
		} else {
			f.SetFlags(0, flag)
		}
		return 0, nil
	}
	if term := tty.Of(f); term != nil {
		return term.Ioctl(terminalCaller{t}, t.MM, cmd, arg)
	}
	v, err := f.Ioctl(t.MM, cmd, arg)
	if err == unix.ENOTTY {
		return inodeIoctl(t, f, cmd, arg)
	}
	return v, err
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

// terminalCaller is what a terminal asks about who calls it.
type terminalCaller struct{ t *task.Thread }

func (c terminalCaller) Session() (group, session int, leader bool) {
	p := c.t.Proc
	session = p.SID()
	return p.PGID(), session, session == p.PID
}

func (c terminalCaller) GroupSession(group int) int {
	for _, p := range task.Tasks.Group(group) {
		return p.SID()
	}
	return 0
}
