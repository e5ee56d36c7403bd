package syscalls

import (
	"golang.org/x/sys/unix"

	"gosv/abi/linux"
	"gosv/kernel/fs/pipe"
	"gosv/kernel/task"
	"gosv/kernel/vfs"
)

// fdRows are the calls that work on descriptors.
var fdRows = []Row{
	{AMD64: 32, ARM64: 23, Name: "dup", Fn: sysDup, Format: "oldfd:fd, =fd"},
	{AMD64: 33, ARM64: NoNumber, Name: "dup2", Fn: sysDup2, Format: "oldfd:fd, newfd:fd, =fd"},
	{AMD64: 292, ARM64: 24, Name: "dup3", Fn: sysDup3, Format: "oldfd:fd, newfd:fd, flags:flags.open, =fd"},
	{AMD64: 72, ARM64: 25, Name: "fcntl", Blocks: true, Fn: sysFcntl, Format: "fd:fd, cmd:int, arg:hex",
		Level: Partial, Note: "write hints are kept and have no effect; signals of O_ASYNC and F_NOTIFY come soon after the event, not before the call that caused it returns"},
}

func sysDup(t *task.Thread, a *Args) (uint64, error) {
	fd, err := t.Files.Dup(fdArg(a[0]), 0, false)
	return uint64(fd), err
}

func sysDup2(t *task.Thread, a *Args) (uint64, error) {
	from, to := fdArg(a[0]), fdArg(a[1])
	if from == to {
		return withFile(t, a[0], func(*vfs.File) (uint64, error) { return uint64(to), nil })
	}
	return uint64(to), t.Files.DupTo(from, to, false)
}

func sysDup3(t *task.Thread, a *Args) (uint64, error) {
	from, to, flags := fdArg(a[0]), fdArg(a[1]), uint32(a[2])
	if flags&^unix.O_CLOEXEC != 0 || from == to {
		return 0, unix.EINVAL
	}
	return uint64(to), t.Files.DupTo(from, to, flags&unix.O_CLOEXEC != 0)
}

func sysFcntl(t *task.Thread, a *Args) (uint64, error) {
	cmd := int32(a[1])
	switch cmd {
	case unix.F_DUPFD, unix.F_DUPFD_CLOEXEC:
		fd, err := t.Files.Dup(fdArg(a[0]), int(int32(a[2])), cmd == unix.F_DUPFD_CLOEXEC)
		return uint64(fd), err
	case unix.F_GETFD:
		on, err := t.Files.Cloexec(fdArg(a[0]))
		if on {
			return unix.FD_CLOEXEC, err
		}
		return 0, err
	case unix.F_SETFD:
		return 0, t.Files.SetCloexec(fdArg(a[0]), a[2]&unix.FD_CLOEXEC != 0)
	}
	f, err := t.Files.Get(fdArg(a[0]))
	if err != nil {
		return 0, err
	}
	r, err := fcntlFile(t, f, fdArg(a[0]), cmd, a[2])
	f.Release()
	return r, err
}

// settable are the flags that F_SETFL can change, besides O_ASYNC.
const settable = unix.O_APPEND | unix.O_NONBLOCK | unix.O_DIRECT | unix.O_NOATIME

func fcntlFile(t *task.Thread, f *vfs.File, fd int, cmd int32, arg uint64) (uint64, error) {
	if cmd == unix.F_GETFL {
		return uint64(f.Flags()), nil
	}
	if cmd == linux.F_CREATED_QUERY {
		if f.Created() {
			return 1, nil
		}
		return 0, nil
	}
	if cmd == linux.F_DUPFD_QUERY {
		g, err := t.Files.Get(fdArg(arg))
		if err != nil {
			return 0, err
		}
		g.Release()
		if f == g {
			return 1, nil
		}
		return 0, nil
	}
	if f.PathOnly() {
		return 0, unix.EBADF
	}
	switch cmd {
	case unix.F_SETFL:
		flags := uint32(arg)
		if flags&unix.O_NOATIME != 0 && f.Flags()&unix.O_NOATIME == 0 {
			uid, _ := f.Inode().Owner()
			if c := t.Creds(); c.FSUID != uid && !c.Has(unix.CAP_FOWNER) {
				return 0, unix.EPERM
			}
		}
		f.SetAsync(flags&unix.O_ASYNC != 0, fd)
		f.SetFlags(flags, settable)
		return 0, nil
	case unix.F_NOTIFY:
		return 0, f.NotifyDir(t.Files, fd, uint32(arg), newOwner(t, linux.F_OWNER_PID, int32(t.Proc.PID)))
	case unix.F_GETLK, unix.F_SETLK, unix.F_SETLKW, unix.F_OFD_GETLK, unix.F_OFD_SETLK, unix.F_OFD_SETLKW:
		return 0, recordLock(t, f, cmd, arg)
	case unix.F_GET_RW_HINT:
		return 0, t.MM.Store64(arg, uint64(f.Inode().Extra().Hint.Load()))
	case unix.F_SET_RW_HINT:
		v, err := t.MM.Load64(arg)
		if err == nil && v > linux.RWH_WRITE_LIFE_EXTREME {
			err = unix.EINVAL
		}
		if err == nil {
			f.Inode().Extra().Hint.Store(uint32(v))
		}
		return 0, err
	case unix.F_GETLEASE:
		return uint64(f.Lease()), nil
	case unix.F_SETLEASE:
		return 0, f.SetLease(t.Creds(), uint32(arg), fd, newOwner(t, linux.F_OWNER_PID, int32(t.Proc.PID)))
	case unix.F_SETOWN, unix.F_GETOWN, unix.F_SETSIG, unix.F_GETSIG, unix.F_SETOWN_EX, unix.F_GETOWN_EX:
		return fileOwner(t, f, cmd, arg)
	case unix.F_SETPIPE_SZ, unix.F_GETPIPE_SZ:
		p, _, _ := pipe.Of(f)
		if p == nil {
			return 0, unix.EBADF
		}
		if cmd == unix.F_GETPIPE_SZ {
			return uint64(p.Capacity()), nil
		}
		n, err := p.SetCapacity(t.Creds(), uint64(uint32(arg)))
		return uint64(n), err
	case unix.F_ADD_SEALS, unix.F_GET_SEALS:
		s, ok := f.Inode().(interface {
			Seals() (uint32, error)
			AddSeals(uint32) error
		})
		if !ok {
			return 0, unix.EINVAL
		}
		if cmd == unix.F_GET_SEALS {
			v, err := s.Seals()
			return uint64(v), err
		}
		if !f.Writable() {
			return 0, unix.EPERM
		}
		return 0, s.AddSeals(uint32(arg))
	}
	return 0, unix.EINVAL
}

// newOwner is an owner that the thread sets for a file.
func newOwner(t *task.Thread, kind, pid int32) vfs.FileOwner {
	c := t.Creds()
	return vfs.FileOwner{Type: kind, PID: pid, UID: c.UID, EUID: c.EUID}
}

// fileOwner is F_SETOWN and its relatives.
func fileOwner(t *task.Thread, f *vfs.File, cmd int32, arg uint64) (uint64, error) {
	o := newOwner(t, linux.F_OWNER_TID, 0)
	if p := f.Owner(); p != nil {
		o = *p
	}
	switch cmd {
	case unix.F_GETOWN:
		if o.Type == linux.F_OWNER_PGRP {
			return uint64(-int64(o.PID)), nil
		}
		return uint64(o.PID), nil
	case unix.F_GETSIG:
		return uint64(o.Signal), nil
	case unix.F_GETOWN_EX:
		return 0, t.MM.Store64(arg, uint64(uint32(o.Type))|uint64(uint32(o.PID))<<32)
	case unix.F_SETOWN:
		o.Type, o.PID = linux.F_OWNER_PID, int32(arg)
		if o.PID == -1<<31 {
			return 0, unix.EINVAL
		}
		if o.PID < 0 {
			o.Type, o.PID = linux.F_OWNER_PGRP, -o.PID
		}
	case unix.F_SETSIG:
		if arg > 64 {
			return 0, unix.EINVAL
		}
		o.Signal = int32(arg)
	case unix.F_SETOWN_EX:
		v, err := t.MM.Load64(arg)
		if err != nil {
			return 0, err
		}
		if uint32(v) > linux.F_OWNER_PGRP {
			return 0, unix.EINVAL
		}
		o.Type, o.PID = int32(v), int32(v>>32)
	}
	if cmd != unix.F_SETSIG {
		if !task.Tasks.Owns(&o) {
			return 0, unix.ESRCH
		}
		c := t.Creds()
		o.UID, o.EUID = c.UID, c.EUID
	}
	f.SetOwner(&o)
	return 0, nil
}
