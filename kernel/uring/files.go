package uring

import (
	"golang.org/x/sys/unix"

	"gosv/abi/linux"
	"gosv/kernel/task"
	"gosv/kernel/vfs"
)

// fileAt takes the file that entry i of an array of descriptors names; nil for -1.
func fileAt(t *task.Thread, fds uint64, i uint32) (*vfs.File, int32, error) {
	v, err := t.MM.Load32(fds + uint64(i)*4)
	if err != nil {
		return nil, 0, err
	}
	fd := int32(v)
	if fd == -1 || fd == linux.IORING_REGISTER_FILES_SKIP {
		return nil, fd, nil
	}
	f, err := t.Files.Get(int(fd))
	if err != nil {
		return nil, fd, err
	}
	if Of(f) != nil || f.PathOnly() { // a ring in a ring would never end
		f.Release()
		return nil, fd, unix.EBADF
	}
	return f, fd, nil
}

func (r *Ring) registerFiles(t *task.Thread, fds, tags uint64, n uint32, sparse bool) error {
	switch {
	case r.hasFiles:
		return unix.EBUSY
	case n == 0:
		return unix.EINVAL
	case n > maxFiles, uint64(n) > t.Proc.Limit(unix.RLIMIT_NOFILE):
		return unix.EMFILE
	}
	files := make([]slot, n)
	for i := range files {
		var err error
		var fd int32
		if files[i].tag, err = tagAt(t, tags, uint32(i)); err == nil && !sparse {
			files[i].f, fd, err = fileAt(t, fds, uint32(i))
			if err == nil && (fd == linux.IORING_REGISTER_FILES_SKIP || files[i].f == nil && files[i].tag != 0) {
				err = unix.EBADF
				if fd == -1 {
					err = unix.EINVAL
				}
			}
		}
		if err != nil {
			for _, s := range files[:i+1] {
				r.drop(s.f)
			}
			return err
		}
	}
	r.files, r.hasFiles = files, true
	r.allocFrom, r.allocEnd, r.allocNext = 0, len(files), 0
	return nil
}

func (r *Ring) unregisterFiles() {
	for i := range r.files {
		r.setFile(i, slot{})
	}
	r.files, r.hasFiles = nil, false
}

// setFile replaces what is in a slot.
func (r *Ring) setFile(i int, s slot) {
	old := r.files[i]
	r.files[i] = s
	if old.f != nil {
		r.drop(old.f)
		r.resourceGone(old.tag)
	}
}

// updateFiles is IORING_REGISTER_FILES_UPDATE; it returns how many were done.
func (r *Ring) updateFiles(t *task.Thread, off uint32, fds, tags uint64, n uint32) (uint64, error) {
	switch {
	case !r.hasFiles:
		return 0, unix.ENXIO
	case n == 0, uint64(off)+uint64(n) > uint64(len(r.files)):
		if uint64(off)+uint64(n) > 1<<32-1 {
			return 0, unix.EOVERFLOW
		}
		return 0, unix.EINVAL
	}
	for i := range n {
		tag, err := tagAt(t, tags, i)
		var f *vfs.File
		var fd int32
		if err == nil {
			f, fd, err = fileAt(t, fds, i)
		}
		if err == nil && f == nil && tag != 0 {
			err = unix.EINVAL
		}
		if err != nil {
			if f != nil {
				r.drop(f)
			}
			if i > 0 {
				return uint64(i), nil
			}
			return 0, err
		}
		if fd != linux.IORING_REGISTER_FILES_SKIP {
			r.setFile(int(off+i), slot{f, tag})
		}
	}
	return uint64(n), nil
}

// allocFiles puts files into free slots, and tells the program which.
func (r *Ring) allocFiles(q *Request) (uint64, error) {
	if !r.hasFiles {
		return 0, unix.ENXIO
	}
	t := q.user.t
	for i := range q.Len {
		f, fd, err := fileAt(t, q.Addr, i)
		if err == nil && fd < 0 {
			err = unix.EBADF
		}
		n := 0
		if err == nil {
			if n, err = r.allocSlot(f); err != nil {
				r.drop(f)
			} else if err = t.MM.Store32(q.Addr+uint64(i)*4, uint32(n)); err != nil {
				r.setFile(n, slot{})
			}
		}
		if err != nil {
			if i > 0 {
				return uint64(i), nil
			}
			return 0, err
		}
	}
	return uint64(q.Len), nil
}

// allocSlot puts a file, whose reference it takes over, into a free slot.
func (r *Ring) allocSlot(f *vfs.File) (int, error) {
	for range r.allocEnd - r.allocFrom {
		i := r.allocNext
		if r.allocNext++; r.allocNext >= r.allocEnd {
			r.allocNext = r.allocFrom
		}
		if i >= r.allocFrom && i < r.allocEnd && r.files[i].f == nil {
			r.files[i].f = f
			return i, nil
		}
	}
	return 0, unix.ENFILE
}

// InstallFixed puts a file that a request has opened into the slot that the
// request names, or any. It takes over the reference if it succeeds. mu is held.
func (q *Request) InstallFixed(f *vfs.File) (int, error) {
	r := q.ring
	if Of(f) != nil {
		return 0, unix.EBADF
	}
	if !r.hasFiles {
		return 0, unix.ENXIO
	}
	if q.FileIndex == linux.IORING_FILE_INDEX_ALLOC {
		return r.allocSlot(f)
	}
	i := int(q.FileIndex) - 1
	if i >= len(r.files) {
		return 0, unix.EINVAL
	}
	r.setFile(i, slot{f: f})
	return 0, nil
}

// CloseFixed empties the slot that the request names.
func (q *Request) CloseFixed() error {
	r := q.ring
	i := int(q.FileIndex) - 1
	switch {
	case !r.hasFiles:
		return unix.ENXIO
	case i >= len(r.files):
		return unix.EINVAL
	case r.files[i].f == nil:
		return unix.EBADF
	}
	r.setFile(i, slot{})
	return nil
}
