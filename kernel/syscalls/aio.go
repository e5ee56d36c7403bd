package syscalls

import (
	"golang.org/x/sys/unix"

	"gosv/abi/linux"
	"gosv/kernel/aio"
	"gosv/kernel/fs/eventfd"
	"gosv/kernel/task"
	"gosv/kernel/vfs"
	"gosv/kernel/wait"
)

// aioRows are Linux's asynchronous I/O (libaio).
var aioRows = []Row{
	{AMD64: 206, ARM64: 0, Name: "io_setup", Fn: sysIOSetup, Format: "nr_events:uint, ctxp:ptr"},
	{AMD64: 207, ARM64: 1, Name: "io_destroy", Fn: sysIODestroy, Format: "ctx:ptr"},
	{AMD64: 208, ARM64: 4, Name: "io_getevents", Blocks: true, Fn: sysIOGetevents, Format: "ctx:ptr, min_nr:int, nr:int, events:ptr, timeout:timespec"},
	{AMD64: 209, ARM64: 2, Name: "io_submit", Fn: sysIOSubmit, Format: "ctx:ptr, nr:int, iocbpp:ptr",
		Level: Partial, Note: "everything but IOCB_CMD_POLL is done at once, as Linux does with files in its page cache"},
	{AMD64: 210, ARM64: 3, Name: "io_cancel", Fn: sysIOCancel, Format: "ctx:ptr, iocb:ptr, result:ptr"},
	{AMD64: 333, ARM64: 292, Name: "io_pgetevents", Blocks: true, Fn: sysIOPgetevents, Format: "ctx:ptr, min_nr:int, nr:int, events:ptr, timeout:timespec, sig:ptr"},
}

func sysIOSetup(t *task.Thread, a *Args) (uint64, error) {
	v, err := t.MM.Load64(a[1])
	if err != nil {
		return 0, err
	}
	if v != 0 {
		return 0, unix.EINVAL
	}
	c, err := aio.Setup(t, uint32(a[0]))
	if err != nil {
		return 0, err
	}
	if err := t.MM.Store64(a[1], c.ID()); err != nil {
		aio.Destroy(t, c.ID()) //nolint:errcheck // it was just made
		return 0, err
	}
	return 0, nil
}

func sysIODestroy(t *task.Thread, a *Args) (uint64, error) { return 0, aio.Destroy(t, a[0]) }

func sysIOSubmit(t *task.Thread, a *Args) (uint64, error) {
	if int64(a[1]) < 0 {
		return 0, unix.EINVAL
	}
	c, err := aio.Find(t, a[0])
	if err != nil {
		return 0, err
	}
	for done := uint64(0); done < a[1]; done++ {
		addr, err := t.MM.Load64(a[2] + done*8)
		if err == nil {
			err = submitOne(t, c, addr)
		}
		if err != nil {
			if done > 0 {
				err = nil
			}
			return done, err
		}
	}
	return a[1], nil
}

// iocb is struct iocb, decoded.
type iocb struct {
	addr, data       uint64
	rwFlags          uint32
	op               uint16
	fd               int32
	buf, n           uint64
	off              int64
	reserved         uint64
	flags, resfd, pr uint32
}

func iocbArg(t *task.Thread, addr uint64) (*iocb, error) {
	var b [linux.IocbSize]byte
	if err := t.MM.CopyIn(b[:], addr); err != nil {
		return nil, err
	}
	return &iocb{addr: addr, data: le.Uint64(b[:]), rwFlags: le.Uint32(b[12:]), op: le.Uint16(b[16:]), pr: uint32(le.Uint16(b[18:])),
		fd: int32(le.Uint32(b[20:])), buf: le.Uint64(b[24:]), n: le.Uint64(b[32:]), off: int64(le.Uint64(b[40:])),
		reserved: le.Uint64(b[48:]), flags: le.Uint32(b[56:]), resfd: le.Uint32(b[60:])}, nil
}

// submitOne begins one request: an error means that there will be no event.
func submitOne(t *task.Thread, c *aio.Context, addr uint64) error {
	r, err := iocbArg(t, addr)
	if err != nil {
		return err
	}
	if r.reserved != 0 || int64(r.n) < 0 {
		return unix.EINVAL
	}
	if err := c.Begin(); err != nil {
		return err
	}
	f, err := t.Files.Get(int(r.fd))
	if err != nil {
		c.Abort()
		return err
	}
	var resfd *vfs.File
	if err = t.MM.Store32(addr+8, 0); err == nil && r.flags&linux.IOCB_FLAG_RESFD != 0 { // aio_key
		resfd, err = eventfdArg(t, int(int32(r.resfd)))
	}
	if err == nil && f.PathOnly() {
		err = unix.EBADF
	}
	var res int64
	if err == nil {
		if r.op == linux.IOCB_CMD_POLL {
			if r.buf > 0xffff || r.off != 0 || r.n != 0 || r.rwFlags != 0 || f.Queue() == nil {
				err = unix.EINVAL
			} else {
				c.Poll(f, resfd, wait.Events(r.buf), r.data, addr)
				return nil
			}
		} else {
			res, err = r.run(t, f)
		}
	}
	f.Release()
	if err != nil {
		if resfd != nil {
			resfd.Release()
		}
		c.Abort()
		return err
	}
	c.Complete(r.data, addr, res, resfd)
	return nil
}

// eventfdArg returns the eventfd of a descriptor: EBADF, EINVAL.
func eventfdArg(t *task.Thread, fd int) (*vfs.File, error) {
	f, err := t.Files.Get(fd)
	if err != nil {
		return nil, err
	}
	if _, ok := f.Impl().(*eventfd.Counter); !ok {
		f.Release()
		return nil, unix.EINVAL
	}
	return f, nil
}

// run does the request. The error is one of the submission; that of the transfer
// itself is the result.
func (r *iocb) run(t *task.Thread, f *vfs.File) (int64, error) {
	off := r.off
	if !f.Seekable() {
		off = current
	}
	fd := uint64(uint32(r.fd))
	var o *operand
	var err error
	switch r.op {
	case linux.IOCB_CMD_FSYNC, linux.IOCB_CMD_FDSYNC:
		if r.buf != 0 || r.off != 0 || r.n != 0 || r.rwFlags != 0 {
			return 0, unix.EINVAL
		}
		err := f.Sync()
		if err == unix.EINVAL {
			return 0, err // the file has no such operation
		}
		return outcome(0, err), nil
	case linux.IOCB_CMD_PREAD, linux.IOCB_CMD_PWRITE:
	case linux.IOCB_CMD_PREADV, linux.IOCB_CMD_PWRITEV:
	default:
		return 0, unix.EINVAL
	}
	flags, err := rwFlags(uint64(r.rwFlags))
	if err != nil {
		return 0, err
	}
	write := r.op == linux.IOCB_CMD_PWRITE || r.op == linux.IOCB_CMD_PWRITEV
	if write && !f.Writable() || !write && !f.Readable() {
		return 0, unix.EBADF
	}
	if f.Inode().Mode()&unix.S_IFMT == unix.S_IFDIR {
		return 0, unix.EINVAL
	}
	if r.op == linux.IOCB_CMD_PREAD || r.op == linux.IOCB_CMD_PWRITE {
		o = newOperand(t, r.buf, r.n)
		if err = o.CheckUser(); err != nil {
			o.free()
		}
	} else {
		o, err = newVector(t, r.buf, r.n)
	}
	if err != nil {
		return 0, err
	}
	if off < current || f.Seekable() && off < 0 {
		o.free()
		return outcome(0, unix.EINVAL), nil
	}
	var n uint64
	if write {
		n, err = doWrite(t, fd, o, off, flags)
	} else {
		n, err = doRead(t, fd, o, off, flags)
	}
	return outcome(n, err), nil
}

// outcome is the result of a request in its event.
func outcome(n uint64, err error) int64 {
	if err == nil {
		return int64(n)
	}
	e := errno(err)
	switch e {
	case linux.ERESTARTSYS, linux.ERESTARTNOINTR, linux.ERESTARTNOHAND, linux.ERESTART_RESTARTBLOCK:
		e = unix.EINTR
	}
	return -int64(e)
}

func sysIOGetevents(t *task.Thread, a *Args) (uint64, error) {
	block, deadline := true, int64(0)
	if a[4] != 0 {
		ns, err := copyInTimespec(t, a[4])
		if err != nil {
			return 0, err
		}
		block, deadline = ns != 0, after(ns)
	}
	c, err := aio.Find(t, a[0])
	if err != nil {
		return 0, err
	}
	if int64(a[1]) < 0 || int64(a[2]) < int64(a[1]) {
		return 0, unix.EINVAL
	}
	return c.Get(t, a[1], a[2], a[3], block, deadline)
}

func sysIOPgetevents(t *task.Thread, a *Args) (uint64, error) {
	if a[5] != 0 {
		var b [16]byte // struct __aio_sigset
		if err := t.MM.CopyIn(b[:], a[5]); err != nil {
			return 0, err
		}
		if err := temporaryMask(t, le.Uint64(b[:]), le.Uint64(b[8:])); err != nil {
			return 0, err
		}
	}
	n, err := sysIOGetevents(t, a)
	if err == unix.EINTR {
		err = linux.ERESTARTNOHAND
	}
	return n, err
}

func sysIOCancel(t *task.Thread, a *Args) (uint64, error) {
	key, err := t.MM.Load32(a[1] + 8)
	if err != nil {
		return 0, err
	}
	if key != 0 {
		return 0, unix.EINVAL
	}
	c, err := aio.Find(t, a[0])
	if err != nil {
		return 0, err
	}
	return 0, c.Cancel(a[1])
}
