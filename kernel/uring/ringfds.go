package uring

import (
	"encoding/binary"

	"golang.org/x/sys/unix"

	"gosv/kernel/task"
	"gosv/kernel/vfs"
)

// ringFDs are the rings that a thread has registered (IORING_REGISTER_RING_FDS).
type ringFDs [16]*vfs.File

func (s *ringFDs) close() {
	for i, f := range s {
		if f != nil {
			f.Release()
			s[i] = nil
		}
	}
}

// RegisteredRing returns a ring that the thread has registered, with a reference.
func RegisteredRing(t *task.Thread, i uint32) (*vfs.File, error) {
	s, ok := t.Rings.(*ringFDs)
	if !ok || i >= uint32(len(s)) {
		return nil, unix.EINVAL
	}
	if s[i] == nil {
		return nil, unix.EBADF
	}
	s[i].Retain()
	return s[i], nil
}

// registerRingFDs puts rings into the thread's table, or takes them out; it
// returns how many.
func registerRingFDs(t *task.Thread, on bool, addr uint64, n uint32) (uint64, error) {
	s, _ := t.Rings.(*ringFDs)
	if n == 0 || n > uint32(len(s)) {
		return 0, unix.EINVAL
	}
	if s == nil {
		if !on {
			return 0, nil
		}
		s = new(ringFDs)
		t.Rings = s
	}
	for i := range n {
		at := addr + uint64(i)*16
		b, err := arg(t, at, 16)
		if err == nil {
			off := binary.LittleEndian.Uint32(b)
			switch {
			case binary.LittleEndian.Uint32(b[4:]) != 0:
				err = unix.EINVAL
			case on:
				err = s.add(t, at, off, binary.LittleEndian.Uint64(b[8:]))
			case binary.LittleEndian.Uint64(b[8:]) != 0 || off >= uint32(len(s)):
				err = unix.EINVAL
			case s[off] != nil:
				s[off].Release()
				s[off] = nil
			}
		}
		if err != nil {
			if i > 0 {
				return uint64(i), nil
			}
			return 0, err
		}
	}
	return uint64(n), nil
}

func (s *ringFDs) add(t *task.Thread, at uint64, off uint32, fd uint64) error {
	if off == 1<<32-1 {
		for off = 0; off < uint32(len(s)) && s[off] != nil; off++ {
		}
		if off == uint32(len(s)) {
			return unix.EBUSY
		}
	} else if off >= uint32(len(s)) {
		return unix.EINVAL
	} else if s[off] != nil {
		return unix.EBUSY
	}
	f, err := t.Files.Get(int(int32(fd)))
	if err != nil {
		return err
	}
	if Of(f) == nil {
		f.Release()
		return unix.EOPNOTSUPP
	}
	if err := t.MM.Store32(at, off); err != nil {
		f.Release()
		return err
	}
	s[off] = f
	return nil
}
