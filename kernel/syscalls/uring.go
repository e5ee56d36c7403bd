package syscalls

import (
	"unsafe"

	"golang.org/x/sys/unix"

	"gosv/abi/linux"
	"gosv/kernel/task"
	"gosv/kernel/uring"
	"gosv/kernel/vfs"
)

// uringRows are io_uring(7). What its requests do is in uringops.go.
var uringRows = []Row{
	{AMD64: 425, ARM64: 425, Name: "io_uring_setup", Fn: sysIOUringSetup, Format: "entries:uint, params:ptr, =fd",
		Level: Partial, Note: "as Linux 6.1; no IORING_SETUP_SQE128 and CQE32 (EINVAL); no file can be polled for IORING_SETUP_IOPOLL (EOPNOTSUPP); the thread of IORING_SETUP_SQPOLL sleeps as soon as there is nothing to do"},
	{AMD64: 426, ARM64: 426, Name: "io_uring_enter", Blocks: true, Fn: sysIOUringEnter, Format: "fd:uint, to_submit:uint, min_complete:uint, flags:hex, arg:ptr, argsz:size",
		Level: Partial, Note: "no operations on extended attributes, no URING_CMD, no zero-copy sends: the probe says so; no multishot RECVMSG (EINVAL)"},
	{AMD64: 427, ARM64: 427, Name: "io_uring_register", Fn: sysIOUringRegister, Format: "fd:uint, opcode:uint, arg:ptr, nr_args:uint",
		Level: Partial, Note: "registered buffers are not pinned; no worker affinity and limits, no synchronous cancellation (EINVAL)"},
}

func sysIOUringSetup(t *task.Thread, a *Args) (uint64, error) {
	if !uring.Allowed(t) {
		return 0, unix.EPERM
	}
	var p linux.IOURingParams
	b := unsafe.Slice((*byte)(unsafe.Pointer(&p)), unsafe.Sizeof(p))
	if err := t.MM.CopyIn(b, a[1]); err != nil {
		return 0, err
	}
	if p.Flags&linux.IORING_SETUP_ATTACH_WQ != 0 {
		// There are no pools of workers to share; the descriptor must be a ring.
		f, err := t.Files.Get(fdArg(uint64(p.WQFD)))
		if err != nil {
			return 0, unix.ENXIO
		}
		ring := uring.Of(f)
		f.Release()
		if ring == nil {
			return 0, unix.EINVAL
		}
	}
	r, err := uring.Setup(t, uint32(a[0]), &p)
	if err != nil {
		return 0, err
	}
	f := uring.NewFile(r)
	if err := t.MM.CopyOut(a[1], b); err != nil {
		f.Release()
		return 0, err
	}
	return install(t, f, true)
}

// ringFile returns the ring of a descriptor: EBADF, EOPNOTSUPP.
func ringFile(t *task.Thread, fd uint64, registered bool) (f *vfs.File, r *uring.Ring, err error) {
	if registered {
		f, err = uring.RegisteredRing(t, uint32(fd))
	} else {
		f, err = t.Files.Get(fdArg(fd))
	}
	if err != nil {
		return nil, nil, err
	}
	if r = uring.Of(f); r == nil {
		f.Release()
		return nil, nil, unix.EOPNOTSUPP
	}
	return f, r, nil
}

func sysIOUringEnter(t *task.Thread, a *Args) (uint64, error) {
	flags := uint32(a[3])
	if flags&^uring.EnterFlags != 0 {
		return 0, unix.EINVAL
	}
	f, r, err := ringFile(t, a[0], flags&linux.IORING_ENTER_REGISTERED_RING != 0)
	if err != nil {
		return 0, err
	}
	n, err := enterRing(t, r, a, flags)
	f.Release()
	return n, err
}

func enterRing(t *task.Thread, r *uring.Ring, a *Args, flags uint32) (uint64, error) {
	n, err := r.Submit(t, uint32(a[1]), flags)
	if err != nil || flags&linux.IORING_ENTER_GETEVENTS == 0 || n < uint32(a[1]) {
		return uint64(n), err
	}
	deadline, err := enterArg(t, a, flags)
	if err == nil {
		err = r.Wait(t, uint32(a[2]), deadline)
	}
	if n > 0 {
		err = nil
	}
	return uint64(n), err
}

// enterArg sets the signal mask of the wait, and returns its deadline.
func enterArg(t *task.Thread, a *Args, flags uint32) (deadline int64, err error) {
	if flags&linux.IORING_ENTER_EXT_ARG == 0 {
		return 0, temporaryMask(t, a[4], a[5])
	}
	if a[5] != 24 {
		return 0, unix.EINVAL
	}
	var b [24]byte // struct io_uring_getevents_arg
	if err := t.MM.CopyIn(b[:], a[4]); err != nil {
		return 0, err
	}
	if le.Uint32(b[12:]) != 0 {
		return 0, unix.EINVAL
	}
	if ts := le.Uint64(b[16:]); ts != 0 {
		ns, err := copyInTimespec(t, ts)
		if err != nil {
			return 0, err
		}
		deadline = after(ns)
	}
	return deadline, temporaryMask(t, le.Uint64(b[:]), uint64(le.Uint32(b[8:])))
}

func sysIOUringRegister(t *task.Thread, a *Args) (uint64, error) {
	if uint32(a[1]) >= linux.IORING_REGISTER_LAST {
		return 0, unix.EINVAL
	}
	f, r, err := ringFile(t, a[0], false)
	if err != nil {
		return 0, err
	}
	n, err := r.Register(t, uint32(a[1]), a[2], uint32(a[3]))
	f.Release()
	return n, err
}
