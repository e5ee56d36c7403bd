package syscalls

import (
	"golang.org/x/sys/unix"

	"gosv/kernel/fs/pipe"
	"gosv/kernel/ipc/mqueue"
	"gosv/kernel/task"
	"gosv/kernel/vfs"
)

// pipeRows are the calls that make pipes and move data through them.
var pipeRows = []Row{
	{AMD64: 22, ARM64: NoNumber, Name: "pipe", Fn: sysPipe, Format: "pipefd:ptr"},
	{AMD64: 293, ARM64: 59, Name: "pipe2", Fn: sysPipe2, Format: "pipefd:ptr, flags:flags.open"},
	{AMD64: 275, ARM64: 76, Name: "splice", Blocks: true, Fn: sysSplice, Format: "fd_in:fd, off_in:ptr, fd_out:fd, off_out:ptr, len:size, flags:hex"},
	{AMD64: 276, ARM64: 77, Name: "tee", Blocks: true, Fn: sysTee, Format: "fd_in:fd, fd_out:fd, len:size, flags:hex"},
	{AMD64: 278, ARM64: 75, Name: "vmsplice", Blocks: true, Fn: sysVmsplice, Format: "fd:fd, iov:iovec, nr_segs:size, flags:hex",
		Level: Partial, Note: "copies the pages"},
}

func sysPipe(t *task.Thread, a *Args) (uint64, error) { return makePipe(t, a[0], 0) }

func sysPipe2(t *task.Thread, a *Args) (uint64, error) { return makePipe(t, a[0], uint32(a[1])) }

func makePipe(t *task.Thread, addr uint64, flags uint32) (uint64, error) {
	const notificationPipe = unix.O_EXCL // O_NOTIFICATION_PIPE: not built in
	if flags&notificationPipe != 0 {
		return 0, unix.ENOPKG
	}
	if flags&^(unix.O_CLOEXEC|unix.O_NONBLOCK|unix.O_DIRECT) != 0 {
		return 0, unix.EINVAL
	}
	r, w, err := pipe.New(t.Creds(), flags)
	if err != nil {
		return 0, err
	}
	x, y, err := t.Files.InstallTwo(r, w, flags&unix.O_CLOEXEC != 0)
	if err != nil {
		r.Release()
		w.Release()
		return 0, err
	}
	if err := t.MM.Store64(addr, uint64(uint32(x))|uint64(uint32(y))<<32); err != nil {
		t.Files.Close(x)
		t.Files.Close(y)
		return 0, err
	}
	return 0, nil
}

const spliceFlags = unix.SPLICE_F_MOVE | unix.SPLICE_F_NONBLOCK | unix.SPLICE_F_MORE | unix.SPLICE_F_GIFT

// withFiles runs op on two descriptors.
func withFiles(t *task.Thread, in, out uint64, op func(in, out *vfs.File) (uint64, error)) (uint64, error) {
	return withFile(t, in, func(f *vfs.File) (uint64, error) {
		return withFile(t, out, func(g *vfs.File) (uint64, error) { return op(f, g) })
	})
}

// clampCount is the most that one transfer moves.
func clampCount(n uint64) int { return int(min(n, 0x7ffff000)) }

func sysSplice(t *task.Thread, a *Args) (uint64, error) {
	flags := uint32(a[5])
	if a[4] == 0 {
		return 0, nil
	}
	if flags&^spliceFlags != 0 {
		return 0, unix.EINVAL
	}
	return withFiles(t, a[0], a[2], func(in, out *vfs.File) (uint64, error) {
		from, fromReads, _ := pipe.Of(in)
		to, _, toWrites := pipe.Of(out)
		if from != nil && a[1] != 0 || to != nil && a[3] != 0 {
			return 0, unix.ESPIPE
		}
		for _, addr := range [...]uint64{a[3], a[1]} {
			if addr != 0 {
				if _, err := t.MM.Load64(addr); err != nil {
					return 0, err
				}
			}
		}
		if !in.Readable() || !out.Writable() || from != nil && !fromReads || to != nil && !toWrites {
			return 0, unix.EBADF
		}
		block := flags&unix.SPLICE_F_NONBLOCK == 0
		n, err := splice(t, in, out, from, to, a, block)
		if err == unix.EPIPE {
			t.SendSignal(int(unix.SIGPIPE))
		}
		return uint64(n), err
	})
}

// splice moves what splice(2) is asked for. Both files are looked at before
// anything is waited for.
func splice(t *task.Thread, in, out *vfs.File, from, to *pipe.Pipe, a *Args, block bool) (int64, error) {
	count := clampCount(a[4])
	switch {
	case from != nil && to != nil:
		block = block && !in.Nonblocking() && !out.Nonblocking()
		return from.Transfer(&t.Sleeper, to, count, false, block)
	case from != nil:
		off, err := spliceOffset(t, out, a[3])
		if err != nil {
			return 0, err
		}
		if out.Flags()&unix.O_APPEND != 0 || off < current || !splices(out) {
			return 0, unix.EINVAL
		}
		n, err := from.SpliceTo(&t.Sleeper, out, off, count, block && !in.Nonblocking())
		return n, offsetDone(t, a[3], off, n, err)
	case to != nil:
		off, err := spliceOffset(t, in, a[1])
		if err != nil {
			return 0, err
		}
		if off < current {
			return 0, unix.EINVAL
		}
		block = block && !out.Nonblocking()
		if !splices(in) {
			return 0, noSplice(t, to, block)
		}
		n, err := to.SpliceFrom(&t.Sleeper, in, off, count, block)
		return n, offsetDone(t, a[1], off, n, err)
	}
	return 0, unix.EINVAL
}

// splices reports whether a file's bytes can be moved from or to a pipe: those of
// files, devices and sockets, not of directories, message queues and files such
// as those of eventfd(2), which take records.
func splices(f *vfs.File) bool {
	kind := f.Inode().Mode() & unix.S_IFMT
	return kind != 0 && kind != unix.S_IFDIR && mqueue.Of(f) == nil
}

// noSplice is the failure of a file that cannot be read into a pipe: Linux finds
// out when there is room in the pipe.
func noSplice(t *task.Thread, to *pipe.Pipe, block bool) error {
	if err := to.WaitRoom(&t.Sleeper, block); err != nil {
		return err
	}
	return unix.EINVAL
}

// spliceOffset is offsetArg for splice(2): EINVAL for a file without offsets.
func spliceOffset(t *task.Thread, f *vfs.File, addr uint64) (int64, error) {
	off, err := offsetArg(t, f, addr)
	if err == unix.ESPIPE {
		err = unix.EINVAL
	}
	return off, err
}

// offsetArg reads an offset that may be missing: then it is current.
func offsetArg(t *task.Thread, f *vfs.File, addr uint64) (int64, error) {
	if addr == 0 {
		return current, nil
	}
	if !f.Seekable() {
		return 0, unix.ESPIPE
	}
	v, err := t.MM.Load64(addr)
	if err == nil && int64(v) < 0 {
		err = unix.EINVAL
	}
	return int64(v), err
}

// offsetDone writes the offset back.
func offsetDone(t *task.Thread, addr uint64, off, n int64, err error) error {
	if addr != 0 && n > 0 {
		if e := t.MM.Store64(addr, uint64(off+n)); e != nil {
			return e
		}
	}
	return err
}

func sysTee(t *task.Thread, a *Args) (uint64, error) {
	flags := uint32(a[3])
	if flags&^spliceFlags != 0 {
		return 0, unix.EINVAL
	}
	if a[2] == 0 {
		return 0, nil
	}
	return withFiles(t, a[0], a[1], func(in, out *vfs.File) (uint64, error) {
		if !in.Readable() || !out.Writable() {
			return 0, unix.EBADF
		}
		from, _, _ := pipe.Of(in)
		to, _, _ := pipe.Of(out)
		if from == nil || to == nil {
			return 0, unix.EINVAL
		}
		block := flags&unix.SPLICE_F_NONBLOCK == 0 && !in.Nonblocking() && !out.Nonblocking()
		n, err := from.Transfer(&t.Sleeper, to, clampCount(a[2]), true, block)
		if err == unix.EPIPE {
			t.SendSignal(int(unix.SIGPIPE))
		}
		return uint64(n), err
	})
}

func sysVmsplice(t *task.Thread, a *Args) (uint64, error) {
	flags := uint32(a[3])
	if flags&^spliceFlags != 0 {
		return 0, unix.EINVAL
	}
	f, err := t.Files.Get(fdArg(a[0]))
	if err != nil {
		return 0, err
	}
	defer f.Release()
	if !f.Readable() && !f.Writable() {
		return 0, unix.EBADF
	}
	o, err := newVector(t, a[1], a[2])
	if err != nil {
		return 0, err
	}
	defer o.free()
	p, _, writes := pipe.Of(f)
	switch {
	case o.Len() == 0:
		return 0, nil
	case p == nil:
		return 0, unix.EBADF
	}
	// O_NONBLOCK of the file does not matter, as on Linux.
	block := flags&unix.SPLICE_F_NONBLOCK == 0
	if !writes {
		n, err := p.ReadTo(&t.Sleeper, &o.Buf, block)
		return uint64(n), err
	}
	n, err := p.Vmsplice(&t.Sleeper, &o.Buf, block)
	if err == unix.EPIPE {
		t.SendSignal(int(unix.SIGPIPE))
	}
	return uint64(n), err
}
