package vfs

import (
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"
	"gosv/abi/linux"
	"gosv/kernel/mm"
	"gosv/kernel/wait"
)

// IO modifies a transfer (preadv2(2), setrlimit(2)).
type IO struct {
	Append  bool  // RWF_APPEND
	NoWait  bool  // RWF_NOWAIT: EAGAIN instead of blocking
	NoEnd   bool  // RWF_NOAPPEND: O_APPEND does not count
	Quiet   bool  // the caller tells the watches
	Limited bool  // Limit holds
	Limit   int64 // RLIMIT_FSIZE: EFBIG beyond, and the caller sends SIGXFSZ
}

// current as an offset is the position of the file.
const current = -1

// Read is read(2): from the current position, blocking unless O_NONBLOCK. An
// interrupted read returns linux.ERESTARTSYS.
func (f *File) Read(s *wait.Sleeper, dst *mm.Buf) (int64, error) {
	return f.ReadOpts(s, dst, current, IO{})
}

// ReadAt is pread(2).
func (f *File) ReadAt(s *wait.Sleeper, dst *mm.Buf, off int64) (int64, error) {
	if off < 0 {
		return 0, unix.EINVAL
	}
	return f.ReadOpts(s, dst, off, IO{})
}

// ReadOpts is preadv2(2): off -1 is the current position.
func (f *File) ReadOpts(s *wait.Sleeper, dst *mm.Buf, off int64, o IO) (int64, error) {
	n, err := f.read(s, dst, off, o)
	if n > 0 && watching.Load() != 0 && !o.Quiet {
		f.happened(unix.IN_ACCESS)
	}
	return n, err
}

func (f *File) read(s *wait.Sleeper, dst *mm.Buf, off int64, o IO) (int64, error) {
	if !f.readable {
		return 0, unix.EBADF
	}
	if f.seekable {
		if off != current {
			return f.impl.Read(f, dst, off)
		}
		f.posMu.Lock()
		n, err := f.impl.Read(f, dst, f.pos)
		if n > 0 {
			atomic.StoreInt64(&f.pos, f.pos+n)
		}
		f.posMu.Unlock()
		return n, err
	}
	if off != current {
		return 0, unix.ESPIPE
	}
	n, err := f.impl.Read(f, dst, 0)
	if !again(err) {
		return n, err
	}
	if n > 0 {
		return n, nil
	}
	if o.NoWait || s == nil || f.Nonblocking() {
		return 0, unix.EAGAIN
	}
	q := f.impl.Queue()
	if q == nil {
		return 0, unix.EAGAIN
	}
	w := s.Waiter(wait.Readable | wait.RdHup)
	s.Clear()
	q.Add(w)
	for {
		n, err = f.impl.Read(f, dst, 0)
		if !again(err) {
			break
		}
		if n > 0 {
			err = nil
			break
		}
		if s.Sleep(0) == wait.Interrupted {
			err = linux.ERESTARTSYS
			break
		}
	}
	q.Remove(w)
	s.Done(w)
	return n, err
}

// again reports that a call would block. Comparing an error with a constant is a
// call of the runtime; this is not.
func again(err error) bool {
	e, ok := err.(syscall.Errno)
	return ok && e == unix.EAGAIN
}

// Write is write(2): to the current position or with O_APPEND to the end,
// blocking until all is written unless O_NONBLOCK. What was written before an
// error or a signal counts.
func (f *File) Write(s *wait.Sleeper, src *mm.Buf) (int64, error) {
	return f.WriteOpts(s, src, current, IO{})
}

// WriteAt is pwrite(2), which with O_APPEND appends all the same.
func (f *File) WriteAt(s *wait.Sleeper, src *mm.Buf, off int64) (int64, error) {
	if off < 0 {
		return 0, unix.EINVAL
	}
	return f.WriteOpts(s, src, off, IO{})
}

// WriteOpts is pwritev2(2): off -1 is the current position.
func (f *File) WriteOpts(s *wait.Sleeper, src *mm.Buf, off int64, o IO) (int64, error) {
	n, err := f.write(s, src, off, o)
	if n > 0 && watching.Load() != 0 && !o.Quiet {
		f.happened(unix.IN_MODIFY)
	}
	return n, err
}

func (f *File) write(s *wait.Sleeper, src *mm.Buf, off int64, o IO) (int64, error) {
	if !f.writable {
		return 0, unix.EBADF
	}
	if !f.seekable {
		if off != current {
			return 0, unix.ESPIPE
		}
		return f.writeStream(s, src, o)
	}
	at := off == current
	if at {
		f.posMu.Lock()
		off = f.pos
	}
	n, end, err := f.writeSeekable(src, off, o)
	if at {
		if n > 0 {
			atomic.StoreInt64(&f.pos, end)
		}
		f.posMu.Unlock()
	}
	if n > 0 {
		err = nil
		if f.flags.Load()&unix.O_DSYNC != 0 {
			err = f.impl.Sync(f)
		}
	}
	return n, err
}

// writeSeekable writes until src is empty or something fails; end is the offset
// behind the last byte.
func (f *File) writeSeekable(src *mm.Buf, off int64, o IO) (n, end int64, err error) {
	if o.Append || o.Limited || f.appends(o) {
		if a, ok := f.impl.(Appender); ok {
			return f.writeAppender(a, src, off, o)
		}
	}
	n, err = f.impl.Write(f, src, off)
	return n, off + n, err
}

// appends reports whether O_APPEND holds for a transfer.
func (f *File) appends(o IO) bool { return f.flags.Load()&unix.O_APPEND != 0 && !o.NoEnd }

// writeAppender is writeSeekable for a file with an end, where that or RLIMIT_FSIZE matters.
func (f *File) writeAppender(a Appender, src *mm.Buf, off int64, o IO) (n, end int64, err error) {
	if o.Append || f.appends(o) {
		if o.Limited && src.Len() != 0 {
			var st Stat
			if err := f.inode.Stat(&st); err != nil {
				return 0, 0, err
			}
			if !limit(src, st.Size, o.Limit) {
				return 0, 0, unix.EFBIG
			}
		}
		return a.Append(f, src)
	}
	if o.Limited && src.Len() != 0 && !limit(src, off, o.Limit) {
		return 0, 0, unix.EFBIG
	}
	n, err = f.impl.Write(f, src, off)
	return n, off + n, err
}

// limit shortens src to what may be written at off; false if that is nothing.
func limit(src *mm.Buf, off, max int64) bool {
	if off >= max {
		return false
	}
	if int64(src.Len()) > max-off {
		src.Limit(int(max - off))
	}
	return true
}

func (f *File) writeStream(s *wait.Sleeper, src *mm.Buf, o IO) (int64, error) {
	total, err := f.impl.Write(f, src, 0)
	if !again(err) && (err != nil || src.Len() == 0 || total == 0) {
		return partial(total, err)
	}
	if o.NoWait || s == nil || f.Nonblocking() {
		return partial(total, unix.EAGAIN)
	}
	q := f.impl.Queue()
	if q == nil {
		return partial(total, unix.EAGAIN)
	}
	w := s.Waiter(wait.Writable)
	s.Clear()
	q.Add(w)
	for {
		var n int64
		n, err = f.impl.Write(f, src, 0)
		total += n
		if err == nil && (src.Len() == 0 || n == 0) || err != nil && err != unix.EAGAIN {
			break
		}
		if err == nil {
			continue
		}
		if s.Sleep(0) == wait.Interrupted {
			err = linux.ERESTARTSYS
			break
		}
	}
	q.Remove(w)
	s.Done(w)
	return partial(total, err)
}

// partial is how a transfer ends that did something before it failed.
func partial(n int64, err error) (int64, error) {
	if n > 0 {
		return n, nil
	}
	return 0, err
}

// WaitFor blocks until f is ready for one of the events, Err or Hup.
func (f *File) WaitFor(s *wait.Sleeper, ev wait.Events) error {
	q := f.Queue()
	if q == nil {
		return nil
	}
	return WaitUntil(s, q, ev, func() bool { return f.Readiness()&(ev|wait.Err|wait.Hup) != 0 })
}

// WaitUntil blocks until the condition holds, which is asked for again after each
// event of the queue; linux.ERESTARTSYS if a signal comes.
func WaitUntil(s *wait.Sleeper, q *wait.Queue, ev wait.Events, condition func() bool) error {
	if condition() {
		return nil
	}
	if s == nil {
		return unix.EAGAIN
	}
	w := s.Waiter(ev)
	s.Clear()
	q.Add(w)
	var err error
	for !condition() {
		if s.Sleep(0) == wait.Interrupted {
			err = linux.ERESTARTSYS
			break
		}
	}
	q.Remove(w)
	s.Done(w)
	return err
}

// Seek is lseek(2).
func (f *File) Seek(off int64, whence int) (int64, error) {
	if f.pathOnly {
		return 0, unix.EBADF
	}
	if uint(whence) > unix.SEEK_HOLE {
		return 0, unix.EINVAL
	}
	if !f.seekable {
		return 0, unix.ESPIPE
	}
	f.posMu.Lock()
	defer f.posMu.Unlock()
	pos, err := f.impl.Seek(f, off, whence)
	if err == nil {
		atomic.StoreInt64(&f.pos, pos)
	}
	return pos, err
}

// ReadDir emits the entries from the current position on, and moves it behind
// the last one that emit took (returned true for).
func (f *File) ReadDir(emit func(Dirent) bool) error {
	if f.pathOnly {
		return unix.EBADF
	}
	f.posMu.Lock()
	defer f.posMu.Unlock()
	err := f.impl.ReadDir(f, f.pos, func(e Dirent) bool {
		if !emit(e) {
			return false
		}
		atomic.StoreInt64(&f.pos, e.Off)
		return true
	})
	if err != unix.ENOTDIR {
		f.happened(unix.IN_ACCESS)
	}
	return err
}

// Sync is fsync(2).
func (f *File) Sync() error {
	if f.pathOnly {
		return unix.EBADF
	}
	return f.impl.Sync(f)
}

// Ioctl passes an ioctl(2) to the file.
func (f *File) Ioctl(as *mm.AddressSpace, cmd uint32, arg uint64) (uint64, error) {
	if f.pathOnly {
		return 0, unix.EBADF
	}
	return f.impl.Ioctl(as, cmd, arg)
}

// Allocate is fallocate(2). limit is RLIMIT_FSIZE.
func (f *File) Allocate(mode uint32, off, n, limit int64) error {
	if f.pathOnly {
		return unix.EBADF
	}
	if off < 0 || n <= 0 {
		return unix.EINVAL
	}
	const keep = unix.FALLOC_FL_KEEP_SIZE
	switch mode {
	case 0, keep, unix.FALLOC_FL_PUNCH_HOLE | keep, unix.FALLOC_FL_ZERO_RANGE, unix.FALLOC_FL_ZERO_RANGE | keep,
		unix.FALLOC_FL_UNSHARE_RANGE, unix.FALLOC_FL_UNSHARE_RANGE | keep, unix.FALLOC_FL_COLLAPSE_RANGE, unix.FALLOC_FL_INSERT_RANGE:
	default:
		return unix.EOPNOTSUPP
	}
	if !f.writable {
		return unix.EBADF
	}
	switch f.inode.Mode() & unix.S_IFMT {
	case unix.S_IFREG:
	case unix.S_IFIFO:
		return unix.ESPIPE
	case unix.S_IFDIR:
		return unix.EISDIR
	default:
		return unix.ENODEV
	}
	if off > maxOffset-n || mode&unix.FALLOC_FL_KEEP_SIZE == 0 && off+n > limit {
		return unix.EFBIG
	}
	a := SetAttr{}
	if f.creds != nil {
		if clearPrivileges(f.creds, f.inode, &a); a.Mask != 0 {
			f.inode.SetAttr(&a)
		}
	}
	err := f.inode.Allocate(mode, off, n)
	if err == nil {
		f.happened(unix.IN_MODIFY)
	}
	return err
}

// DropPrivileges clears the set-user-ID and set-group-ID bits as a write does;
// file systems call it from Write where Mode has them.
func (f *File) DropPrivileges() {
	if f.creds == nil {
		return
	}
	var a SetAttr
	if clearPrivileges(f.creds, f.inode, &a); a.Mask != 0 {
		f.inode.SetAttr(&a)
	}
}
