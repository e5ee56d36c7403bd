package syscalls

import (
	"encoding/binary"

	"golang.org/x/sys/unix"

	"gosv/abi/linux"
	"gosv/kernel/task"
	"gosv/kernel/vfs"
)

// lockRows are the calls that lock files; record locks are commands of fcntl.
var lockRows = []Row{
	{AMD64: 73, ARM64: 32, Name: "flock", Blocks: true, Fn: sysFlock, Format: "fd:fd, operation:int"},
}

func sysFlock(t *task.Thread, a *Args) (uint64, error) {
	op := int(uint32(a[1]))
	if op&linux.LOCK_MAND != 0 {
		return 0, nil // removed from Linux, which ignores it
	}
	switch op &^ unix.LOCK_NB {
	case unix.LOCK_SH, unix.LOCK_EX, unix.LOCK_UN:
	default:
		return 0, unix.EINVAL
	}
	return withFile(t, a[0], func(f *vfs.File) (uint64, error) {
		return 0, f.Flock(&t.Sleeper, op, t.Proc.PID)
	})
}

// recordLock is F_GETLK, F_SETLK, F_SETLKW and the F_OFD_ commands, on struct flock:
// type and whence of 16 bits, start and length of 64 at 8 and 16, pid at 24.
func recordLock(t *task.Thread, f *vfs.File, cmd int32, addr uint64) error {
	var b [32]byte
	if err := t.MM.CopyIn(b[:], addr); err != nil {
		return err
	}
	le := binary.LittleEndian
	kind, whence := int16(le.Uint16(b[:])), int16(le.Uint16(b[2:]))
	l := vfs.RecordLock{Owner: t.Files, PID: t.Proc.PID, Exclusive: kind == unix.F_WRLCK}
	switch cmd {
	case unix.F_OFD_GETLK, unix.F_OFD_SETLK, unix.F_OFD_SETLKW:
		if le.Uint32(b[24:]) != 0 {
			return unix.EINVAL
		}
		l.Owner, l.PID = f, -1
	}
	var err error
	ofdGet := cmd == unix.F_OFD_GETLK && kind == unix.F_UNLCK
	if cmd == unix.F_GETLK && kind != unix.F_RDLCK && kind != unix.F_WRLCK {
		return unix.EINVAL
	}
	if l.Start, l.End, err = lockRange(f, whence, int64(le.Uint64(b[8:])), int64(le.Uint64(b[16:]))); err != nil {
		return err
	}
	if kind != unix.F_RDLCK && kind != unix.F_WRLCK && kind != unix.F_UNLCK {
		return unix.EINVAL
	}
	switch cmd {
	case unix.F_GETLK, unix.F_OFD_GETLK:
		var other vfs.RecordLock
		var found bool
		if ofdGet {
			other, found = f.OwnLock(l.Owner, l.Start, l.End)
		} else {
			other, found = f.GetLock(l)
		}
		if !found {
			le.PutUint16(b[:], unix.F_UNLCK)
			return t.MM.CopyOut(addr, b[:])
		}
		le.PutUint16(b[:], unix.F_RDLCK)
		if other.Exclusive {
			le.PutUint16(b[:], unix.F_WRLCK)
		}
		le.PutUint16(b[2:], unix.SEEK_SET)
		le.PutUint64(b[8:], uint64(other.Start))
		length := other.End - other.Start + 1
		if other.End == 1<<63-1 {
			length = 0
		}
		le.PutUint64(b[16:], uint64(length))
		le.PutUint32(b[24:], uint32(other.PID))
		return t.MM.CopyOut(addr, b[:])
	}
	if kind == unix.F_UNLCK {
		f.Unlock(l.Owner, l.Start, l.End)
		return nil
	}
	return f.SetLock(&t.Sleeper, l, cmd == unix.F_SETLKW || cmd == unix.F_OFD_SETLKW)
}

// lockRange turns what struct flock says into the first and the last byte.
func lockRange(f *vfs.File, whence int16, start, length int64) (first, last int64, err error) {
	const most = 1<<63 - 1
	var base int64
	switch whence {
	case unix.SEEK_SET:
	case unix.SEEK_CUR:
		base = f.Offset()
	case unix.SEEK_END:
		var st vfs.Stat
		if err := f.Stat(&st); err != nil {
			return 0, 0, err
		}
		base = st.Size
	default:
		return 0, 0, unix.EINVAL
	}
	if start > most-base {
		return 0, 0, unix.EOVERFLOW
	}
	if start += base; start < 0 {
		return 0, 0, unix.EINVAL
	}
	last = most
	switch {
	case length > 0:
		if start > most-(length-1) {
			return 0, 0, unix.EOVERFLOW
		}
		last = start + length - 1
	case length < 0:
		if start+length < 0 {
			return 0, 0, unix.EINVAL
		}
		last = start - 1
		start += length
	}
	return start, last, nil
}
