package syscalls

import (
	"golang.org/x/sys/unix"

	"gosv/kernel/frame"
	"gosv/kernel/mm"
	"gosv/kernel/net/socket"
	"gosv/kernel/task"
	"gosv/kernel/vfs"
)

// copyRows are the calls that copy between files.
var copyRows = []Row{
	{AMD64: 40, ARM64: 71, Name: "sendfile", Fn: sysSendfile, Format: "out_fd:fd, in_fd:fd, offset:ptr, count:size"},
	{AMD64: 326, ARM64: 285, Name: "copy_file_range", Fn: sysCopyFileRange, Format: "fd_in:fd, off_in:ptr, fd_out:fd, off_out:ptr, len:size, flags:hex"},
}

func sysSendfile(t *task.Thread, a *Args) (uint64, error) {
	return withFiles(t, a[1], a[0], func(in, out *vfs.File) (uint64, error) {
		if !in.Readable() || !out.Writable() {
			return 0, unix.EBADF
		}
		off, err := offsetArg(t, in, a[2])
		if err != nil {
			return 0, err
		}
		if !in.Seekable() || in.Inode().Mode()&unix.S_IFMT == unix.S_IFDIR || out.Flags()&unix.O_APPEND != 0 && out.Seekable() {
			return 0, unix.EINVAL
		}
		n, err := copyFile(t, in, off, out, current, int64(clampCount(a[3])))
		t.IO.Read(int64(n))
		t.IO.Wrote(int64(n))
		writeSignals(t, err, false)
		return uint64(n), offsetDone(t, a[2], off, n, err)
	})
}

func sysCopyFileRange(t *task.Thread, a *Args) (uint64, error) {
	if uint32(a[5]) != 0 {
		return 0, unix.EINVAL
	}
	return withFiles(t, a[0], a[2], func(in, out *vfs.File) (uint64, error) {
		if !in.Readable() || !out.Writable() || out.Flags()&unix.O_APPEND != 0 {
			return 0, unix.EBADF
		}
		for _, f := range [...]*vfs.File{in, out} {
			switch f.Inode().Mode() & unix.S_IFMT {
			case unix.S_IFREG:
			case unix.S_IFDIR:
				return 0, unix.EISDIR
			default:
				return 0, unix.EINVAL
			}
		}
		from, err := rangeArg(t, a[1], a[4])
		if err != nil {
			return 0, err
		}
		to, err := rangeArg(t, a[3], a[4])
		if err != nil {
			return 0, err
		}
		count := int64(clampCount(a[4]))
		if in.Inode() == out.Inode() {
			x, y := start(in, from), start(out, to)
			if x < y+count && y < x+count {
				return 0, unix.EINVAL
			}
		}
		n, err := copyFile(t, in, from, out, to, count)
		writeSignals(t, err, true)
		if err := offsetDone(t, a[1], from, n, err); err != nil {
			return 0, err
		}
		return uint64(n), offsetDone(t, a[3], to, n, nil)
	})
}

// rangeArg reads an offset of copy_file_range(2), which may be missing: EOVERFLOW if n bytes from there wrap, EINVAL below 0.
func rangeArg(t *task.Thread, addr, n uint64) (int64, error) {
	if addr == 0 {
		return current, nil
	}
	v, err := t.MM.Load64(addr)
	switch {
	case err != nil:
		return 0, err
	case v+n < v:
		return 0, unix.EOVERFLOW
	case int64(v) < 0:
		return 0, unix.EINVAL
	}
	return int64(v), nil
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
