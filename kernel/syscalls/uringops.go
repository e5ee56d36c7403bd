package syscalls

import (
	"golang.org/x/sys/unix"

	"gosv/abi/linux"
	"gosv/kernel/fs/pipe"
	"gosv/kernel/mm"
	"gosv/kernel/task"
	"gosv/kernel/tty"
	"gosv/kernel/uring"
	"gosv/kernel/vfs"
	"gosv/kernel/wait"
)

// The operations of io_uring on files: each makes the system call of its name,
// with the file of the request as requestFD. Those of sockets are in uringnet.go.

const (
	pollRead  = wait.Readable | wait.RdHup
	pollWrite = wait.Writable
)

func init() { uring.AddOps = func() { fileOps(); socketOps() } }

func fileOps() {
	rw := func(name string, poll wait.Events, take func(*uring.Request) error, write bool) *uring.Op {
		return &uring.Op{Name: name, File: true, Poll: poll, Select: !write, Worker: true, IOPrio: true, IOPoll: true, Prep: prepRW, Take: take,
			Run: func(t *task.Thread, q *uring.Request) (int64, error) { return ringRW(t, q, write) }}
	}
	uring.Ops[linux.IORING_OP_READ] = rw("READ", pollRead, nil, false)
	uring.Ops[linux.IORING_OP_WRITE] = rw("WRITE", pollWrite, nil, true)
	uring.Ops[linux.IORING_OP_READV] = rw("READV", pollRead, takeVector, false)
	uring.Ops[linux.IORING_OP_WRITEV] = rw("WRITEV", pollWrite, takeVector, true)
	uring.Ops[linux.IORING_OP_READ_FIXED] = rw("READ_FIXED", pollRead, (*uring.Request).CheckFixed, false)
	uring.Ops[linux.IORING_OP_READ_FIXED].Select = false
	uring.Ops[linux.IORING_OP_WRITE_FIXED] = rw("WRITE_FIXED", pollWrite, (*uring.Request).CheckFixed, true)

	// Calls on a file.
	onFile(linux.IORING_OP_FSYNC, "FSYNC", sysFsync, func(q *uring.Request) (*Args, bool) {
		return &Args{}, q.OpFlags&^linux.IORING_FSYNC_DATASYNC == 0 && q.Addr == 0 && q.BufIndex == 0 && q.FileIndex == 0
	})
	onFile(linux.IORING_OP_SYNC_FILE_RANGE, "SYNC_FILE_RANGE", sysSyncFileRange, func(q *uring.Request) (*Args, bool) {
		return &Args{1: q.Off, 2: uint64(q.Len), 3: uint64(q.OpFlags)}, q.Addr == 0 && q.BufIndex == 0 && q.FileIndex == 0
	})
	onFile(linux.IORING_OP_FALLOCATE, "FALLOCATE", sysFallocate, func(q *uring.Request) (*Args, bool) {
		return &Args{1: uint64(q.Len), 2: q.Off, 3: q.Addr}, q.BufIndex == 0 && q.OpFlags == 0 && q.FileIndex == 0
	})
	onFile(linux.IORING_OP_FADVISE, "FADVISE", sysFadvise, func(q *uring.Request) (*Args, bool) {
		return &Args{1: q.Off, 2: uint64(q.Len), 3: uint64(q.OpFlags)}, q.BufIndex == 0 && q.FileIndex == 0
	})

	// Calls that find their files themselves.
	call(linux.IORING_OP_MADVISE, "MADVISE", sysMadvise, func(q *uring.Request) (*Args, bool) {
		return &Args{q.Addr, uint64(q.Len), uint64(q.OpFlags)}, q.BufIndex == 0 && q.Off == 0 && q.FileIndex == 0
	})
	call(linux.IORING_OP_STATX, "STATX", sysStatx, func(q *uring.Request) (*Args, bool) {
		return &Args{fd(q), q.Addr, uint64(q.OpFlags), uint64(q.Len), q.Off}, q.BufIndex == 0 && q.FileIndex == 0
	})
	call(linux.IORING_OP_RENAMEAT, "RENAMEAT", sysRenameat2, func(q *uring.Request) (*Args, bool) {
		return &Args{fd(q), q.Addr, uint64(q.Len), q.Off, uint64(q.OpFlags)}, q.BufIndex == 0 && q.FileIndex == 0
	})
	call(linux.IORING_OP_UNLINKAT, "UNLINKAT", sysUnlinkat, func(q *uring.Request) (*Args, bool) {
		return &Args{fd(q), q.Addr, uint64(q.OpFlags)}, q.Off == 0 && q.Len == 0 && q.BufIndex == 0 && q.FileIndex == 0
	})
	call(linux.IORING_OP_MKDIRAT, "MKDIRAT", sysMkdirat, func(q *uring.Request) (*Args, bool) {
		return &Args{fd(q), q.Addr, uint64(q.Len)}, q.Off == 0 && q.OpFlags == 0 && q.BufIndex == 0 && q.FileIndex == 0
	})
	call(linux.IORING_OP_SYMLINKAT, "SYMLINKAT", sysSymlinkat, func(q *uring.Request) (*Args, bool) {
		return &Args{q.Addr, fd(q), q.Off}, q.Len == 0 && q.OpFlags == 0 && q.BufIndex == 0 && q.FileIndex == 0
	})
	call(linux.IORING_OP_LINKAT, "LINKAT", sysLinkat, func(q *uring.Request) (*Args, bool) {
		return &Args{fd(q), q.Addr, uint64(q.Len), q.Off, uint64(q.OpFlags)}, q.BufIndex == 0 && q.FileIndex == 0
	})
	call(linux.IORING_OP_EPOLL_CTL, "EPOLL_CTL", sysEpollCtl, func(q *uring.Request) (*Args, bool) {
		return &Args{fd(q), uint64(q.Len), q.Off, q.Addr}, q.BufIndex == 0 && q.FileIndex == 0
	})

	uring.Ops[linux.IORING_OP_OPENAT] = &uring.Op{Name: "OPENAT", Prep: prepOpen, Run: ringOpen}
	uring.Ops[linux.IORING_OP_OPENAT2] = &uring.Op{Name: "OPENAT2", Prep: prepOpen, Run: ringOpen}
	uring.Ops[linux.IORING_OP_CLOSE] = &uring.Op{Name: "CLOSE", Prep: prepClose, Run: ringClose}
	uring.Ops[linux.IORING_OP_SPLICE] = &uring.Op{Name: "SPLICE", File: true, Quiet: true, Worker: true, Prep: prepSplice, Run: ringSplice}
	uring.Ops[linux.IORING_OP_TEE] = &uring.Op{Name: "TEE", File: true, Quiet: true, Worker: true, Prep: prepSplice, Run: ringSplice}
}

// fd is the descriptor of the request as an argument.
func fd(q *uring.Request) uint64 { return uint64(uint32(q.FD)) }

// onFile makes an operation of a call whose first argument is the file.
func onFile(op int, name string, fn Handler, args func(*uring.Request) (a *Args, ok bool)) {
	uring.Ops[op] = &uring.Op{Name: name, File: true, Worker: true, Quiet: true, Prep: checkArgs(args),
		Run: func(t *task.Thread, q *uring.Request) (int64, error) {
			a, _ := args(q)
			a[0] = requestFD
			v, err := fn(t, a)
			return int64(v), err
		}}
}

// call makes an operation of a call without a file, which does not block.
func call(op int, name string, fn Handler, args func(*uring.Request) (a *Args, ok bool)) {
	check := checkArgs(args)
	uring.Ops[op] = &uring.Op{Name: name, Prep: func(q *uring.Request) error {
		if err := check(q); err != nil {
			return err
		}
		if q.Flags&linux.IOSQE_FIXED_FILE != 0 {
			return unix.EBADF
		}
		return nil
	}, Run: func(t *task.Thread, q *uring.Request) (int64, error) {
		q.NoWait = true
		a, _ := args(q)
		v, err := fn(t, a)
		return int64(v), err
	}}
}

func checkArgs(args func(*uring.Request) (*Args, bool)) func(*uring.Request) error {
	return func(q *uring.Request) error {
		if _, ok := args(q); !ok {
			return unix.EINVAL
		}
		return nil
	}
}

func prepRW(q *uring.Request) error {
	const none, idle = 0, 3 // classes of ioprio_set(2)
	if class := q.IOPrio >> 13; class > idle || class == none && q.IOPrio != 0 {
		return unix.EINVAL
	}
	_, err := rwFlags(uint64(q.OpFlags))
	return err
}

// takeVector takes the iovec array, which the program may change once the request
// is submitted.
func takeVector(q *uring.Request) error {
	t := q.Thread()
	if q.Len > linux.IOV_MAX {
		return unix.EINVAL
	}
	iov := make([]mm.IOVec, q.Len)
	if err := readIOVec(t, q.Addr, iov); err != nil {
		return err
	}
	if q.Flags&linux.IOSQE_BUFFER_SELECT != 0 {
		if len(iov) != 1 {
			return unix.EINVAL
		}
		q.Len = uint32(iov[0].Len)
		return nil
	}
	q.State, q.Size = iov, len(iov)*16
	return nil
}

// ringRW is the operations that read and write.
func ringRW(t *task.Thread, q *uring.Request, write bool) (int64, error) {
	f := q.File
	if q.IOPoll() {
		return 0, unix.EOPNOTSUPP
	}
	flags, err := rwFlags(uint64(q.OpFlags))
	if err != nil {
		return 0, err
	}
	// O_NONBLOCK means nothing where a request can wait without blocking anybody;
	// Linux's terminals cannot.
	q.NoWait = flags.NoWait || f.Nonblocking() && tty.Of(f) != nil
	flags.NoWait = flags.NoWait || !q.Wait
	off := int64(q.Off)
	if !f.Seekable() {
		off = current
	} else if off < current {
		return 0, unix.EINVAL
	}
	o := takeOperand(t)
	if iov, ok := q.State.([]mm.IOVec); ok {
		o.Buf = mm.UserIovec(t.MM, iov)
	} else {
		addr, n := q.Memory()
		o.Buf = mm.UserBuf(t.MM, addr, int(min(n, linux.MAX_RW_COUNT)))
	}
	want := o.Len()
	var n uint64
	switch {
	case write:
		n, err = doWrite(t, requestFD, o, off, flags)
	case !q.Wait && !inMemory(f, off, want):
		o.free()
		return 0, unix.EAGAIN
	default:
		n, err = doRead(t, requestFD, o, off, flags)
	}
	q.Short = int(n) != want
	return int64(n), err
}

// inMemory reports whether a read needs no device.
func inMemory(f *vfs.File, off int64, n int) bool {
	if !f.Seekable() {
		return true
	}
	c := f.Cache()
	return c == nil || c.Ready(start(f, off), int64(n))
}

// openRequest is what a request to open a file needs, taken at submission.
type openRequest struct {
	path string
	how  vfs.OpenHow
}

func prepOpen(q *uring.Request) error {
	t := q.Thread()
	if q.BufIndex != 0 {
		return unix.EINVAL
	}
	if q.Flags&linux.IOSQE_FIXED_FILE != 0 {
		return unix.EBADF
	}
	var o openRequest
	var err error
	if q.Opcode == linux.IORING_OP_OPENAT2 {
		if o.how, err = openHowArg(t, q.Off, uint64(q.Len)); err != nil {
			return err
		}
	} else {
		o.how = vfs.OpenHow{Flags: q.OpFlags & validOpen, Mode: q.Len}
	}
	if o.path, err = pathArg(t, q.Addr); err != nil {
		return err
	}
	if q.FileIndex != 0 && o.how.Flags&unix.O_CLOEXEC != 0 {
		return unix.EINVAL
	}
	q.State = &o
	return nil
}

func ringOpen(t *task.Thread, q *uring.Request) (int64, error) {
	o := q.State.(*openRequest)
	p := place{path: o.path}
	if q.FD != unix.AT_FDCWD && (o.path == "" || o.path[0] != '/' || o.how.Resolve&unix.RESOLVE_IN_ROOT != 0) {
		var err error
		if p.dir, err = t.Files.Get(int(q.FD)); err != nil {
			return 0, err
		}
	}
	q.NoWait = true // EAGAIN is no reason to try again; what waits for a peer is interrupted
	fixInstall(t, q)
	v, err := openPlace(t, &p, o.how)
	p.release()
	return int64(v), err
}

// fixInstall has what the request opens put where the request says.
func fixInstall(t *task.Thread, q *uring.Request) {
	if q.FileIndex != 0 {
		t.Acting.Install = func(f *vfs.File, _ bool) (int, error) { return q.InstallFixed(f) }
	}
}

func prepClose(q *uring.Request) error {
	if q.Off != 0 || q.Addr != 0 || q.Len != 0 || q.OpFlags != 0 || q.BufIndex != 0 || q.FileIndex != 0 && q.FD != 0 {
		return unix.EINVAL
	}
	if q.Flags&linux.IOSQE_FIXED_FILE != 0 {
		return unix.EBADF
	}
	return nil
}

func ringClose(t *task.Thread, q *uring.Request) (int64, error) {
	if q.FileIndex != 0 {
		return 0, q.CloseFixed()
	}
	f, err := t.Files.Get(int(q.FD))
	if err != nil {
		return 0, err
	}
	isRing := uring.Of(f) != nil
	f.Release()
	if isRing {
		return 0, unix.EBADF
	}
	return 0, t.Files.Close(int(q.FD))
}

func prepSplice(q *uring.Request) error {
	if q.OpFlags&^(spliceFlags|linux.IORING_SPLICE_F_FD_IN_FIXED) != 0 {
		return unix.EINVAL
	}
	if q.Opcode == linux.IORING_OP_TEE && (q.Addr != 0 || q.Off != 0) {
		return unix.EINVAL
	}
	return nil
}

// ringSplice is SPLICE and TEE: File is where the data goes.
func ringSplice(t *task.Thread, q *uring.Request) (int64, error) {
	in, err := q.SpliceIn(t)
	if err != nil {
		return 0, err
	}
	defer in.Release()
	out := q.File
	if q.Len == 0 {
		return 0, nil
	}
	if !in.Readable() || !out.Writable() {
		return 0, unix.EBADF
	}
	q.NoWait = q.OpFlags&unix.SPLICE_F_NONBLOCK != 0 || in.Nonblocking() || out.Nonblocking()
	block := q.Wait && !q.NoWait
	from, _, _ := pipe.Of(in)
	to, _, _ := pipe.Of(out)
	count := clampCount(uint64(q.Len))
	offIn, offOut := int64(q.Addr), int64(q.Off)
	var n int64
	tee := q.Opcode == linux.IORING_OP_TEE
	switch {
	case from != nil && to != nil:
		if !tee && (offIn != current || offOut != current) {
			return 0, unix.ESPIPE
		}
		n, err = from.Transfer(&t.Sleeper, to, count, tee, block)
	case tee, from == nil && to == nil:
		return 0, unix.EINVAL
	case from != nil:
		switch {
		case offIn != current, offOut != current && !out.Seekable():
			return 0, unix.ESPIPE
		case out.Flags()&unix.O_APPEND != 0:
			return 0, unix.EINVAL
		}
		n, err = from.SpliceTo(&t.Sleeper, out, offOut, count, block)
	default:
		if offOut != current || offIn != current && !in.Seekable() {
			return 0, unix.ESPIPE
		}
		n, err = to.SpliceFrom(&t.Sleeper, in, offIn, count, block)
	}
	if err == unix.EPIPE {
		t.SendSignal(int(unix.SIGPIPE))
	}
	q.Short = int(n) != int(q.Len)
	return n, err
}
