package syscalls

import (
	"unsafe"

	"golang.org/x/sys/unix"

	"gosv/abi/linux"
	"gosv/kernel/fs/signalfd"
	"gosv/kernel/mm"
	"gosv/kernel/net/socket"
	"gosv/kernel/task"
	"gosv/kernel/tty"
	"gosv/kernel/vfs"
)

// ioRows are the calls that transfer data between a file and memory.
var ioRows = []Row{
	{AMD64: 0, ARM64: 63, Name: "read", Blocks: true, Fn: sysRead, Format: "fd:fd, buf:out, count:size"},
	{AMD64: 1, ARM64: 64, Name: "write", Blocks: true, Fn: sysWrite, Format: "fd:fd, buf:buf, count:size"},
	{AMD64: 17, ARM64: 67, Name: "pread64", Fn: sysPread, Format: "fd:fd, buf:out, count:size, offset:int"},
	{AMD64: 18, ARM64: 68, Name: "pwrite64", Fn: sysPwrite, Format: "fd:fd, buf:buf, count:size, offset:int"},
	{AMD64: 19, ARM64: 65, Name: "readv", Blocks: true, Fn: sysReadv, Format: "fd:fd, iov:iovec, iovcnt:int"},
	{AMD64: 20, ARM64: 66, Name: "writev", Blocks: true, Fn: sysWritev, Format: "fd:fd, iov:iovec, iovcnt:int"},
	{AMD64: 295, ARM64: 69, Name: "preadv", Fn: sysPreadv, Format: "fd:fd, iov:iovec, iovcnt:int, offset:int"},
	{AMD64: 296, ARM64: 70, Name: "pwritev", Fn: sysPwritev, Format: "fd:fd, iov:iovec, iovcnt:int, offset:int"},
	{AMD64: 327, ARM64: 286, Name: "preadv2", Blocks: true, Fn: sysPreadv2, Format: "fd:fd, iov:iovec, iovcnt:int, offset:int, pos_h:hex, flags:hex",
		Level: Partial, Note: "RWF_NOWAIT waits for pages of a file that have to be read from the disk"},
	{AMD64: 328, ARM64: 287, Name: "pwritev2", Blocks: true, Fn: sysPwritev2, Format: "fd:fd, iov:iovec, iovcnt:int, offset:int, pos_h:hex, flags:hex",
		Level: Partial, Note: "RWF_ATOMIC is EOPNOTSUPP, as where Linux's file system cannot; RWF_DSYNC and RWF_SYNC have nothing to write out"},
	{AMD64: 8, ARM64: 62, Name: "lseek", Fn: sysLseek, Format: "fd:fd, offset:int, whence:int"},
	{AMD64: 74, ARM64: 82, Name: "fsync", Fn: sysFsync, Format: "fd:fd"},
	{AMD64: 75, ARM64: 83, Name: "fdatasync", Fn: sysFsync, Format: "fd:fd"},
	{AMD64: 162, ARM64: 81, Name: "sync", Fn: sysSync},
	{AMD64: 306, ARM64: 267, Name: "syncfs", Fn: sysSyncfs, Format: "fd:fd"},
	{AMD64: 277, ARM64: 84, Name: "sync_file_range", Fn: sysSyncFileRange, Format: "fd:fd, offset:int, nbytes:int, flags:hex",
		Level: Partial, Note: "syncs the whole file"},
	{AMD64: 285, ARM64: 47, Name: "fallocate", Fn: sysFallocate, Format: "fd:fd, mode:hex, offset:int, len:int",
		Level: Partial, Note: "FALLOC_FL_KEEP_SIZE and FALLOC_FL_PUNCH_HOLE; other modes are EOPNOTSUPP, as on Linux's tmpfs"},
	{AMD64: 221, ARM64: 223, Name: "fadvise64", Fn: sysFadvise, Format: "fd:fd, offset:int, len:int, advice:int",
		Level: Partial, Note: "the advice is checked and not used"},
	{AMD64: 187, ARM64: 213, Name: "readahead", Fn: sysReadahead, Format: "fd:fd, offset:int, count:size",
		Level: Partial, Note: "checked; the page cache reads ahead by itself"},
}

// An operand is the memory operand of one call, with room for short vectors. A
// file's methods are called through an interface, so it is on the heap; a thread
// keeps its last one.
type operand struct {
	mm.Buf
	t     *task.Thread
	msg   *socket.Message // for sockets; nil before the first
	pages pageSource      // of sendfile(2), to sockets
	fast  [linux.UIO_FASTIOV]mm.IOVec
}

// takeOperand returns an operand without a Buf.
func takeOperand(t *task.Thread) *operand {
	o, _ := t.Operand.(*operand)
	if o == nil {
		return &operand{t: t}
	}
	t.Operand = nil
	return o
}

func newOperand(t *task.Thread, addr, n uint64) *operand {
	o := takeOperand(t)
	o.Buf = mm.UserBuf(t.MM, addr, int(min(n, linux.MAX_RW_COUNT)))
	return o
}

func (o *operand) free() { o.t.Operand = o }

// message returns the operand as a message for a socket; Reset ends its use.
func (o *operand) message(flags int) *socket.Message {
	if o.msg == nil {
		o.msg = new(socket.Message)
	}
	o.msg.Buf, o.msg.Flags = &o.Buf, flags
	return o.msg
}

// newVector reads an iovec array (readv(2)): EINVAL for a bad count or length.
func newVector(t *task.Thread, addr, count uint64) (*operand, error) {
	if count > linux.IOV_MAX {
		return nil, unix.EINVAL
	}
	o := takeOperand(t)
	iov := o.fast[:]
	if int(count) > len(iov) {
		iov = make([]mm.IOVec, count)
	}
	iov = iov[:count]
	if err := readIOVec(t, addr, iov); err != nil {
		o.free()
		return nil, err
	}
	o.Buf = mm.UserIovec(t.MM, iov)
	if err := o.CheckUser(); err != nil {
		o.free()
		return nil, err
	}
	return o, nil
}

// readIOVec copies the array in, and cuts it where the sum exceeds what one call
// transfers.
func readIOVec(t *task.Thread, addr uint64, iov []mm.IOVec) error {
	if len(iov) == 0 {
		return nil
	}
	size := len(iov) * int(unsafe.Sizeof(iov[0]))
	if err := t.MM.CopyIn(unsafe.Slice((*byte)(unsafe.Pointer(&iov[0])), size), addr); err != nil {
		return err
	}
	left := uint64(linux.MAX_RW_COUNT)
	for i := range iov {
		if int64(iov[i].Len) < 0 {
			return unix.EINVAL
		}
		iov[i].Len = min(iov[i].Len, left)
		left -= iov[i].Len
	}
	return nil
}

// fdArg is a descriptor argument.
func fdArg(v uint64) int { return int(int32(v)) }

// requestFD, as a descriptor argument of a thread that acts for a request, is the
// request's file.
const requestFD = 1 << 40

// getFile returns the file of a descriptor argument, with a reference.
func getFile(t *task.Thread, fd uint64) (*vfs.File, error) {
	if a := t.Acting; a != nil && fd == requestFD {
		a.File.Retain()
		return a.File, nil
	}
	return t.Files.Get(fdArg(fd))
}

// current as an offset is the file's own position.
const current = -1

// doRead reads into o, and ends it.
func doRead(t *task.Thread, fd uint64, o *operand, off int64, flags vfs.IO) (uint64, error) {
	f, err := getFile(t, fd)
	if err != nil {
		o.free()
		return 0, err
	}
	if err = o.CheckUser(); err == nil {
		var n int64
		if f.Seekable() { // none of the others
			n, err = f.ReadOpts(&t.Sleeper, &o.Buf, off, flags)
		} else if s, e := socket.Of(f); e == nil && off == current {
			n, err = readSocket(t, f, s, o, flags)
		} else if s := signalfd.Of(f); s != nil {
			n, err = readSignals(t, f, s, &o.Buf)
		} else if err = checkTerminal(t, f, false); err == nil {
			n, err = f.ReadOpts(&t.Sleeper, &o.Buf, off, flags)
		}
		t.IO.Read(n)
		f.Release()
		o.free()
		return uint64(n), err
	}
	if !f.Readable() {
		err = unix.EBADF
	}
	f.Release()
	o.free()
	return 0, err
}

// checkTerminal keeps background processes from their terminal.
func checkTerminal(t *task.Thread, f *vfs.File, write bool) error {
	term := tty.Of(f)
	switch {
	case term == nil:
		return nil
	case write:
		return term.CheckWrite(t)
	}
	return term.CheckRead(t)
}

// doWrite writes o, and ends it. A pipe that nobody reads brings SIGPIPE, a file
// beyond RLIMIT_FSIZE SIGXFSZ.
func doWrite(t *task.Thread, fd uint64, o *operand, off int64, flags vfs.IO) (uint64, error) {
	f, err := getFile(t, fd)
	if err != nil {
		o.free()
		return 0, err
	}
	if f.Seekable() {
		if l := t.Proc.Limit(unix.RLIMIT_FSIZE); l < 1<<63 {
			flags.Limited, flags.Limit = true, int64(l)
		}
	}
	var n int64
	if err = o.CheckUser(); err == nil && f.Seekable() { // no socket and no terminal
		n, err = f.WriteOpts(&t.Sleeper, &o.Buf, off, flags)
	} else if err == nil {
		if s, e := socket.Of(f); e == nil && off == current {
			n, err = writeSocket(t, f, s, o, flags)
			t.IO.Wrote(n)
			f.Release()
			o.free()
			return uint64(n), err // its signal is sent already
		}
		if err = checkTerminal(t, f, true); err == nil {
			n, err = f.WriteOpts(&t.Sleeper, &o.Buf, off, flags)
		}
	} else if !f.Writable() {
		err = unix.EBADF
	}
	t.IO.Wrote(n)
	f.Release()
	o.free()
	if err != nil {
		writeSignals(t, err, flags.Limited)
	}
	return uint64(n), err
}

func writeSignals(t *task.Thread, err error, limited bool) {
	switch {
	case err == unix.EPIPE:
		t.SendSignal(int(unix.SIGPIPE))
	case err == unix.EFBIG && limited:
		t.SendSignal(int(unix.SIGXFSZ))
	}
}

func sysRead(t *task.Thread, a *Args) (uint64, error) {
	return doRead(t, a[0], newOperand(t, a[1], a[2]), current, vfs.IO{})
}

func sysWrite(t *task.Thread, a *Args) (uint64, error) {
	return doWrite(t, a[0], newOperand(t, a[1], a[2]), current, vfs.IO{})
}

func sysPread(t *task.Thread, a *Args) (uint64, error) {
	if int64(a[3]) < 0 {
		return 0, unix.EINVAL
	}
	return doRead(t, a[0], newOperand(t, a[1], a[2]), int64(a[3]), vfs.IO{})
}

func sysPwrite(t *task.Thread, a *Args) (uint64, error) {
	if int64(a[3]) < 0 {
		return 0, unix.EINVAL
	}
	return doWrite(t, a[0], newOperand(t, a[1], a[2]), int64(a[3]), vfs.IO{})
}

func sysReadv(t *task.Thread, a *Args) (uint64, error) {
	return readVector(t, a, current, vfs.IO{})
}

func sysWritev(t *task.Thread, a *Args) (uint64, error) {
	return writeVector(t, a, current, vfs.IO{})
}

func sysPreadv(t *task.Thread, a *Args) (uint64, error) {
	if int64(a[3]) < 0 {
		return 0, unix.EINVAL
	}
	return readVector(t, a, int64(a[3]), vfs.IO{})
}

func sysPwritev(t *task.Thread, a *Args) (uint64, error) {
	if int64(a[3]) < 0 {
		return 0, unix.EINVAL
	}
	return writeVector(t, a, int64(a[3]), vfs.IO{})
}

func readVector(t *task.Thread, a *Args, off int64, flags vfs.IO) (uint64, error) {
	o, err := newVector(t, a[1], a[2])
	if err != nil {
		return 0, firstBadFD(t, a[0], err)
	}
	return doRead(t, a[0], o, off, flags)
}

func writeVector(t *task.Thread, a *Args, off int64, flags vfs.IO) (uint64, error) {
	o, err := newVector(t, a[1], a[2])
	if err != nil {
		return 0, firstBadFD(t, a[0], err)
	}
	return doWrite(t, a[0], o, off, flags)
}

// firstBadFD returns EBADF if the descriptor is bad, which Linux finds first.
func firstBadFD(t *task.Thread, fd uint64, err error) error {
	f, bad := getFile(t, fd)
	if bad != nil {
		return bad
	}
	defer f.Release()
	if f.PathOnly() {
		return unix.EBADF
	}
	return err
}

// rwFlags decodes the flags of preadv2(2). RWF_HIPRI, RWF_DSYNC and RWF_SYNC ask for
// nothing that memory does not do.
func rwFlags(v uint64) (vfs.IO, error) {
	// RWF_ATOMIC is for what can write so: block devices, and files of file systems on them.
	const known = unix.RWF_HIPRI | unix.RWF_DSYNC | unix.RWF_SYNC | unix.RWF_NOWAIT | linux.RWF_APPEND | linux.RWF_NOAPPEND
	if uint32(v)&^known != 0 {
		return vfs.IO{}, unix.EOPNOTSUPP
	}
	if v&(linux.RWF_APPEND|linux.RWF_NOAPPEND) == linux.RWF_APPEND|linux.RWF_NOAPPEND {
		return vfs.IO{}, unix.EINVAL
	}
	return vfs.IO{Append: v&linux.RWF_APPEND != 0, NoEnd: v&linux.RWF_NOAPPEND != 0, NoWait: v&unix.RWF_NOWAIT != 0}, nil
}

func sysPreadv2(t *task.Thread, a *Args) (uint64, error) {
	if int64(a[3]) < current {
		return 0, unix.EINVAL
	}
	flags, err := rwFlags(a[5])
	if err != nil {
		return badFlags(t, a, err, (*vfs.File).Readable)
	}
	return readVector(t, a, int64(a[3]), flags)
}

func sysPwritev2(t *task.Thread, a *Args) (uint64, error) {
	if int64(a[3]) < current {
		return 0, unix.EINVAL
	}
	flags, err := rwFlags(a[5])
	if err != nil {
		return badFlags(t, a, err, (*vfs.File).Writable)
	}
	return writeVector(t, a, int64(a[3]), flags)
}

// badFlags ends preadv2(2) and pwritev2(2) with flags that are wrong, which Linux finds last, and not if nothing is transferred.
func badFlags(t *task.Thread, a *Args, flags error, may func(*vfs.File) bool) (uint64, error) {
	o, err := newVector(t, a[1], a[2])
	if err != nil {
		return 0, firstBadFD(t, a[0], err)
	}
	n := o.Len()
	o.free()
	return withFile(t, a[0], func(f *vfs.File) (uint64, error) {
		switch {
		case int64(a[3]) != current && !f.Seekable():
			return 0, unix.ESPIPE
		case !may(f):
			return 0, unix.EBADF
		case n == 0:
			return 0, nil
		}
		return 0, flags
	})
}

// withFile runs op on the file of a descriptor.
func withFile(t *task.Thread, fd uint64, op func(*vfs.File) (uint64, error)) (uint64, error) {
	f, err := getFile(t, fd)
	if err != nil {
		return 0, err
	}
	r, err := op(f)
	f.Release()
	return r, err
}

func sysLseek(t *task.Thread, a *Args) (uint64, error) {
	f, err := t.Files.Get(fdArg(a[0]))
	if err != nil {
		return 0, err
	}
	pos, err := f.Seek(int64(a[1]), int(uint32(a[2])))
	f.Release()
	return uint64(pos), err
}

func sysFsync(t *task.Thread, a *Args) (uint64, error) {
	return withFile(t, a[0], func(f *vfs.File) (uint64, error) { return 0, f.Sync() })
}

func sysSync(t *task.Thread, a *Args) (uint64, error) {
	vfs.SyncAll()
	return 0, nil
}

func sysSyncfs(t *task.Thread, a *Args) (uint64, error) {
	return withFile(t, a[0], func(f *vfs.File) (uint64, error) {
		if f.PathOnly() {
			return 0, unix.EBADF
		}
		return 0, f.SyncFS()
	})
}

func sysSyncFileRange(t *task.Thread, a *Args) (uint64, error) {
	return withFile(t, a[0], func(f *vfs.File) (uint64, error) {
		off, n := int64(a[1]), int64(a[2])
		const known = unix.SYNC_FILE_RANGE_WAIT_BEFORE | unix.SYNC_FILE_RANGE_WRITE | unix.SYNC_FILE_RANGE_WAIT_AFTER
		if f.PathOnly() {
			return 0, unix.EBADF
		}
		if off < 0 || n < 0 || off+n < 0 || uint32(a[3])&^known != 0 {
			return 0, unix.EINVAL
		}
		switch f.Inode().Mode() & unix.S_IFMT {
		case unix.S_IFREG, unix.S_IFBLK, unix.S_IFDIR, unix.S_IFLNK:
			return 0, f.Sync()
		}
		return 0, unix.ESPIPE
	})
}

func sysFallocate(t *task.Thread, a *Args) (uint64, error) {
	return withFile(t, a[0], func(f *vfs.File) (uint64, error) {
		limit := fileSizeLimit(t)
		err := f.Allocate(uint32(a[1]), int64(a[2]), int64(a[3]), limit)
		if err == unix.EFBIG && int64(a[2])+int64(a[3]) > limit {
			t.SendSignal(int(unix.SIGXFSZ))
		}
		return 0, err
	})
}

// fileSizeLimit is RLIMIT_FSIZE.
func fileSizeLimit(t *task.Thread) int64 {
	return int64(min(t.Proc.Limit(unix.RLIMIT_FSIZE), 1<<63-1))
}

func sysFadvise(t *task.Thread, a *Args) (uint64, error) {
	return withFile(t, a[0], func(f *vfs.File) (uint64, error) {
		switch {
		case f.PathOnly():
			return 0, unix.EBADF
		case f.Inode().Mode()&unix.S_IFMT == unix.S_IFIFO:
			return 0, unix.ESPIPE
		case int64(a[2]) < 0 || int32(a[3]) < 0 || int32(a[3]) > unix.FADV_NOREUSE:
			return 0, unix.EINVAL
		}
		return 0, nil
	})
}

func sysReadahead(t *task.Thread, a *Args) (uint64, error) {
	return withFile(t, a[0], func(f *vfs.File) (uint64, error) {
		if !f.Readable() {
			return 0, unix.EBADF
		}
		if k := f.Inode().Mode() & unix.S_IFMT; k != unix.S_IFREG && k != unix.S_IFBLK {
			return 0, unix.EINVAL
		}
		return 0, nil
	})
}
