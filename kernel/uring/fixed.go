package uring

import (
	"golang.org/x/sys/unix"

	"gosv/kernel/mm"
	"gosv/kernel/task"
)

// bufferAt takes the buffer of a struct iovec; nil for an empty one.
func bufferAt(t *task.Thread, iov uint64, i uint32) (*buffer, error) {
	base, err := t.MM.Load64(iov + uint64(i)*16)
	if err != nil {
		return nil, err
	}
	n, err := t.MM.Load64(iov + uint64(i)*16 + 8)
	switch {
	case err != nil:
		return nil, err
	case base == 0 && n == 0:
		return nil, nil
	case base == 0 || n == 0 || n > maxFixedSize:
		return nil, unix.EFAULT
	case base+n < base:
		return nil, unix.EOVERFLOW
	}
	if !mm.UserRange(base, n) {
		return nil, unix.EFAULT
	}
	return &buffer{as: t.MM, addr: base, n: n}, touch(t.MM, base, n)
}

func (r *Ring) registerBuffers(t *task.Thread, iov, tags uint64, n uint32, sparse bool) error {
	if r.hasBuffers {
		return unix.EBUSY
	}
	if n == 0 || n > maxFixed {
		return unix.EINVAL
	}
	bufs := make([]*buffer, n)
	for i := range bufs {
		tag, err := tagAt(t, tags, uint32(i))
		if err != nil {
			return err
		}
		if !sparse {
			if bufs[i], err = bufferAt(t, iov, uint32(i)); err != nil {
				return err
			}
		}
		if bufs[i] == nil {
			if tag != 0 {
				return unix.EINVAL
			}
			continue
		}
		bufs[i].tag = tag
	}
	r.buffers, r.hasBuffers = bufs, true
	return nil
}

func (r *Ring) unregisterBuffers() {
	for _, b := range r.buffers {
		if b != nil {
			r.resourceGone(b.tag)
		}
	}
	r.buffers, r.hasBuffers = nil, false
}

// updateBuffers is IORING_REGISTER_BUFFERS_UPDATE.
func (r *Ring) updateBuffers(t *task.Thread, off uint32, iov, tags uint64, n uint32) (uint64, error) {
	if !r.hasBuffers {
		return 0, unix.ENXIO
	}
	if uint64(off)+uint64(n) > uint64(len(r.buffers)) {
		return 0, unix.EINVAL
	}
	for i := range n {
		tag, err := tagAt(t, tags, i)
		var b *buffer
		if err == nil {
			b, err = bufferAt(t, iov, i)
		}
		if err == nil && b == nil && tag != 0 {
			err = unix.EINVAL
		}
		if err != nil {
			if i > 0 {
				return uint64(i), nil
			}
			return 0, err
		}
		if b != nil {
			b.tag = tag
		}
		if old := r.buffers[off+i]; old != nil {
			r.resourceGone(old.tag)
		}
		r.buffers[off+i] = b
	}
	return uint64(n), nil
}
