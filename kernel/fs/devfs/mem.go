package devfs

import (
	"encoding/binary"

	"golang.org/x/sys/unix"
	"gosv/kernel/mm"
	"gosv/kernel/random"
	"gosv/kernel/vfs"
	"gosv/kernel/wait"
)

// device is what the memory devices (mem(4), null(4), random(4)) have in common:
// they are always ready, and seeking does nothing.
type device struct{ vfs.FileDefaults }

func (device) Seek(*vfs.File, int64, int) (int64, error) { return 0, nil }
func (device) Seekable() bool                            { return true }
func (device) Readiness() wait.Events                    { return wait.Readable | wait.Writable }

// discard takes everything that is written.
func discard(src *mm.Buf) (int64, error) {
	n := src.Len()
	src.Skip(n)
	return int64(n), nil
}

// null is /dev/null.
type null struct{ device }

func (*null) Read(*vfs.File, *mm.Buf, int64) (int64, error)          { return 0, nil }
func (*null) Write(_ *vfs.File, src *mm.Buf, _ int64) (int64, error) { return discard(src) }

// zero is /dev/zero.
type zero struct{ device }

func (*zero) Read(_ *vfs.File, dst *mm.Buf, _ int64) (int64, error) {
	n, err := dst.Zero(dst.Len())
	if n > 0 {
		err = nil
	}
	return int64(n), err
}

func (*zero) Write(_ *vfs.File, src *mm.Buf, _ int64) (int64, error) { return discard(src) }

// Mmap gives anonymous memory: two mappings of /dev/zero share nothing.
func (*zero) Mmap(*vfs.File) (*mm.Cache, error) { return mm.Zeros, nil }

// full is /dev/full.
type full struct{ zero }

func (*full) Mmap(*vfs.File) (*mm.Cache, error) { return nil, unix.ENODEV }

func (*full) Write(*vfs.File, *mm.Buf, int64) (int64, error) { return 0, unix.ENOSPC }

// randomDevice is /dev/random and /dev/urandom, which are the same since Linux
// 5.18: the generator is seeded before a program can run.
type randomDevice struct{ device }

// chunk is how much is generated at once.
const chunk = 256

func (randomDevice) Read(_ *vfs.File, dst *mm.Buf, _ int64) (int64, error) {
	var b [chunk]byte
	total := int64(0)
	for dst.Len() > 0 {
		p := b[:min(dst.Len(), chunk)]
		random.Read(p)
		n, err := dst.CopyTo(p)
		total += int64(n)
		if err != nil {
			if total > 0 {
				break
			}
			return 0, err
		}
	}
	return total, nil
}

// Write mixes what is written into the generator; it adds to what is random and
// cannot take away.
func (randomDevice) Write(_ *vfs.File, src *mm.Buf, _ int64) (int64, error) {
	var b [chunk]byte
	total := int64(0)
	for src.Len() > 0 {
		n, err := src.CopyFrom(b[:min(src.Len(), chunk)])
		random.AddEntropy(b[:n])
		total += int64(n)
		if err != nil {
			if total > 0 {
				break
			}
			return 0, err
		}
	}
	return total, nil
}

// Requests of random(4) (include/uapi/linux/random.h).
const (
	rndGetEntCnt   = 0x80045200
	rndAddToEntCnt = 0x40045201
	rndAddEntropy  = 0x40085203
	rndReseedCRNG  = 0x5207
)

// Ioctl knows RNDGETENTCNT, RNDADDTOENTCNT, RNDADDENTROPY and RNDRESEEDCRNG.
func (randomDevice) Ioctl(as *mm.AddressSpace, cmd uint32, arg uint64) (uint64, error) {
	switch cmd {
	case rndGetEntCnt:
		return 0, as.Store32(arg, 256)
	case rndAddToEntCnt, rndReseedCRNG:
		return 0, nil
	case rndAddEntropy:
		var head [8]byte // struct rand_pool_info: bits, bytes, data
		if err := as.CopyIn(head[:], arg); err != nil {
			return 0, err
		}
		n := int32(binary.LittleEndian.Uint32(head[4:]))
		if n < 0 || int32(binary.LittleEndian.Uint32(head[:])) < 0 {
			return 0, unix.EINVAL
		}
		var b [chunk]byte
		for at := arg + 8; n > 0; {
			p := b[:min(int(n), chunk)]
			if err := as.CopyIn(p, at); err != nil {
				return 0, err
			}
			random.AddEntropy(p)
			at += uint64(len(p))
			n -= int32(len(p))
		}
		return 0, nil
	}
	return 0, unix.EINVAL
}
