package syscalls

import (
	"golang.org/x/sys/unix"

	"gosv/kernel/frame"
	"gosv/kernel/fs/pipe"
	"gosv/kernel/mm"
	"gosv/kernel/net/socket"
	"gosv/kernel/task"
	"gosv/kernel/vfs"
)

// copyRows are the calls that copy between files.
var copyRows = []Row{
	{AMD64: 40, ARM64: 71, Name: "sendfile", Blocks: true, Fn: sysSendfile, Format: "out_fd:fd, in_fd:fd, offset:ptr, count:size"},
	{AMD64: 326, ARM64: 285, Name: "copy_file_range", Fn: sysCopyFileRange, Format: "fd_in:fd, off_in:ptr, fd_out:fd, off_out:ptr, len:size, flags:hex"},
}

func sysSendfile(t *task.Thread, a *Args) (uint64, error) {
	if a[2] != 0 {
		if _, err := t.MM.Load64(a[2]); err != nil {
			return 0, err
		}
	}
	return withFile(t, a[1], func(in *vfs.File) (uint64, error) {
		if !in.Readable() {
			return 0, unix.EBADF
		}
		off, err := offsetArg(t, in, a[2])
		if err != nil {
			return 0, err
		}
		return withFile(t, a[0], func(out *vfs.File) (uint64, error) { return sendfile(t, out, in, off, a) })
	})
}

// sendfile is sendfile(2) from the offset off, once the file to read from and its
// offset are known to be good.
func sendfile(t *task.Thread, out, in *vfs.File, off int64, a *Args) (uint64, error) {
	if !out.Writable() {
		return 0, unix.EBADF
	}
	to, _, toPipe := pipe.Of(out)
	switch {
	case toPipe: // what fits, as splice(2)
		if from, _, _ := pipe.Of(in); from != nil || !splices(in) {
			return 0, noSplice(t, to, !out.Nonblocking())
		}
		n, err := to.SpliceFrom(&t.Sleeper, in, off, clampCount(a[3]), !out.Nonblocking())
		countCopy(t, n)
		writeSignals(t, err, false)
		return uint64(n), offsetDone(t, a[2], off, n, err)
	case !in.Seekable() || out.Flags()&unix.O_APPEND != 0 || !splices(in) || !splices(out):
		return 0, unix.EINVAL
	}
	n, err := copyFile(t, in, off, out, current, int64(clampCount(a[3])))
	countCopy(t, n)
	writeSignals(t, err, false)
	return uint64(n), offsetDone(t, a[2], off, n, err)
}

// countCopy counts what was read and written (/proc/PID/io).
func countCopy(t *task.Thread, n int64) {
	t.IO.Read(n)
	t.IO.Wrote(n)
}

func sysCopyFileRange(t *task.Thread, a *Args) (uint64, error) {
	return withFiles(t, a[0], a[2], func(in, out *vfs.File) (uint64, error) {
		x, from, err := rangeOffset(t, in, a[1])
		if err != nil {
			return 0, err
		}
		y, to, err := rangeOffset(t, out, a[3])
		if err != nil {
			return 0, err
		}
		if uint32(a[5]) != 0 {
			return 0, unix.EINVAL
		}
		inKind, outKind := in.Inode().Mode()&unix.S_IFMT, out.Inode().Mode()&unix.S_IFMT
		switch {
		case inKind == unix.S_IFDIR || outKind == unix.S_IFDIR:
			return 0, unix.EISDIR
		case inKind != unix.S_IFREG || outKind != unix.S_IFREG:
			return 0, unix.EINVAL
		case !in.Readable() || !out.Writable() || out.Flags()&unix.O_APPEND != 0:
			return 0, unix.EBADF
		case uint64(x)+a[4] < uint64(x) || uint64(y)+a[4] < uint64(y):
			return 0, unix.EOVERFLOW
		case x < 0 || y < 0:
			return 0, unix.EINVAL
		}
		// No further than the input goes now: it may be the output, too, and grow.
		var st vfs.Stat
		if err := in.Inode().Stat(&st); err != nil {
			return 0, err
		}
		count := min(int64(clampCount(a[4])), max(st.Size-x, 0))
		if in.Inode() == out.Inode() && x < y+count && y < x+count {
			return 0, unix.EINVAL
		}
		n, err := copyFile(t, in, from, out, to, count)
		writeSignals(t, err, true)
		if err := offsetDone(t, a[1], from, n, err); err != nil {
			return 0, err
		}
		return uint64(n), offsetDone(t, a[3], to, n, nil)
	})
}

// rangeOffset reads an offset of copy_file_range(2), which may be missing: then
// off is current. pos is where the transfer begins.
func rangeOffset(t *task.Thread, f *vfs.File, addr uint64) (pos, off int64, err error) {
	if addr == 0 {
		return f.Offset(), current, nil
	}
	v, err := t.MM.Load64(addr)
	return int64(v), int64(v), err
}

// start is where a transfer begins.
func start(f *vfs.File, off int64) int64 {
	if off == current {
		return f.Offset()
	}
	return off
}

// copyFile copies up to n bytes. Pages of the page cache are written from where
// they are; what else can be read goes through one frame.
func copyFile(t *task.Thread, in *vfs.File, from int64, out *vfs.File, to, n int64) (int64, error) {
	done, err := copyQuiet(t, in, from, out, to, n)
	in.NotifyAccess(done)
	out.NotifyModify(done)
	return done, err
}

// copyQuiet is copyFile without the events of inotify(7).
func copyQuiet(t *task.Thread, in *vfs.File, from int64, out *vfs.File, to, n int64) (int64, error) {
	io := vfs.IO{Quiet: true}
	if out.Seekable() {
		if l := t.Proc.Limit(unix.RLIMIT_FSIZE); l < 1<<63 {
			io.Limited, io.Limit = true, int64(l)
		}
	}
	cache := in.Cache()
	if cache != nil && n > 0 {
		in.Accessed()
	}
	if s, err := socket.Of(out); err == nil && cache != nil && s.Common().Stream() {
		if to, ok := s.(socket.SourceSender); ok {
			pos := start(in, from)
			n, err := sendPages(t, out, s, to, cache, pos, n)
			if from == current && n > 0 {
				in.Seek(pos+n, unix.SEEK_SET)
			}
			return n, err
		}
	}
	var bounce frame.Frame
	if cache == nil {
		if bounce = frame.AllocUser(); bounce == 0 {
			return 0, unix.ENOMEM
		}
		defer bounce.Unref()
	}
	pos := start(in, from)
	var done int64
	var err error
	for done < n {
		var b []byte
		var page frame.Frame
		if cache != nil {
			b, page, err = cachedPiece(cache, pos, n-done)
		} else {
			b = bounce.Bytes()[:min(n-done, 4096)]
			buf := mm.KernelBuf(b)
			var k int64
			k, err = in.ReadOpts(&t.Sleeper, &buf, pos, vfs.IO{Quiet: true})
			b = b[:max(k, 0)]
		}
		if err != nil || len(b) == 0 {
			break
		}
		buf := mm.KernelBuf(b)
		var k int64
		k, err = out.WriteOpts(&t.Sleeper, &buf, to, io)
		if page != 0 {
			page.Unref()
		}
		if k > 0 {
			done, pos = done+k, pos+k
			if to != current {
				to += k
			}
		}
		if err != nil || k < int64(len(b)) {
			break
		}
	}
	if from == current && done > 0 {
		in.Seek(pos, unix.SEEK_SET)
	}
	if done > 0 {
		err = nil
	}
	return done, err
}

// zeros stands for the pages of holes.
var zeros [4096]byte

// cachedPiece returns the bytes at pos as far as they lie in one page, and the
// page to release after use; nothing at the end of the file.
func cachedPiece(c *mm.Cache, pos, n int64) ([]byte, frame.Frame, error) {
	n = min(n, c.Size()-pos, 4096-pos&4095)
	if n <= 0 {
		return nil, 0, nil
	}
	page, err := c.Page(uint64(pos)/4096, false)
	if err != nil {
		return nil, 0, err
	}
	if page == 0 {
		return zeros[:n], 0, nil
	}
	return page.Bytes()[pos&4095:][:n], page, nil
}
