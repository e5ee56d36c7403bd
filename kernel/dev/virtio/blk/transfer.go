package blk

import (
	"io"

	"golang.org/x/sys/unix"

	"gosv/kernel/frame"
	"gosv/kernel/wait"
)

// ReadAsync reads blocks from block on into the frames, and calls done when all
// are filled or one failed. What lies behind the end of the disk reads as zero;
// EIO is for a range that begins there. done must not block; frames stay the
// device's until it is called.
func (d *Disk) ReadAsync(block uint64, frames []frame.Frame, done func(error)) {
	sector, end, err := d.extent(block, len(frames))
	if err != nil || sector == end {
		done(err)
		return
	}
	// The tail of the last block of a disk that does not end with a block, and
	// the blocks behind it.
	for i := range frames {
		if have := int64(end) - int64(sector) - int64(i)*perBlock; have < perBlock {
			clear(frames[i].Bytes()[max(have, 0)*SectorSize:])
		}
	}
	d.start(&transfer{op: typeIn, sector: sector, end: end, frames: frames, done: done})
}

// extent gives the sectors of n blocks that the disk has.
func (d *Disk) extent(block uint64, n int) (sector, end uint64, err error) {
	sectors := uint64(d.Size() / SectorSize)
	if n == 0 {
		return 0, 0, nil
	}
	if block >= (sectors+perBlock-1)/perBlock {
		return 0, 0, unix.EIO
	}
	sector = block * perBlock
	return sector, min(sector+uint64(n)*perBlock, sectors), nil
}

// FillRange reads blocks from block on into the frames, and returns when all
// are filled. The requests are in flight together.
func (d *Disk) FillRange(block uint64, frames []frame.Frame) error {
	return d.await(func(done func(error)) { d.ReadAsync(block, frames, done) })
}

// ReadFrames is FillRange for a page-aligned offset in bytes; with Size and
// Resident it makes the disk an erofs.Device.
func (d *Disk) ReadFrames(frames []frame.Frame, off int64) error {
	if off < 0 || off%BlockSize != 0 {
		return unix.EINVAL
	}
	return d.FillRange(uint64(off)/BlockSize, frames)
}

// Resident says that no block is in memory.
func (d *Disk) Resident(off int64) (frame.Frame, bool) { return 0, false }

// WriteRange writes the frames to the blocks from block on. EROFS: the disk is
// read-only; ENOSPC: the range is not on it.
func (d *Disk) WriteRange(block uint64, frames []frame.Frame) error {
	if d.readOnly {
		return unix.EROFS
	}
	sector, end, err := d.extent(block, len(frames))
	if err != nil || end-sector != uint64(len(frames))*perBlock {
		return unix.ENOSPC
	}
	if sector == end {
		return nil
	}
	return d.await(func(done func(error)) {
		d.start(&transfer{op: typeOut, sector: sector, end: end, frames: frames, done: done})
	})
}

// Flush returns when what was written is on stable storage. A device without
// the feature has no cache.
func (d *Disk) Flush() error {
	if !d.dev.Has(featureFlush) {
		return nil
	}
	return d.await(func(done func(error)) { d.start(&transfer{op: typeFlush, done: done}) })
}

// Discard says that the contents of n blocks from block on do not matter any
// more. EOPNOTSUPP: the device does not care.
func (d *Disk) Discard(block, n uint64) error {
	if d.readOnly {
		return unix.EROFS
	}
	if d.discard == 0 {
		return unix.EOPNOTSUPP
	}
	blocks := uint64(d.Size()) / BlockSize
	if block > blocks || n > blocks-block {
		return unix.EINVAL
	}
	if n == 0 {
		return nil
	}
	return d.await(func(done func(error)) {
		d.start(&transfer{op: typeDiscard, sector: block * perBlock, end: (block + n) * perBlock, done: done})
	})
}

// Serial is the name that the host gave the disk, up to 20 bytes (section 5.2.6).
func (d *Disk) Serial() (string, error) {
	f := frame.Alloc()
	if f == 0 {
		return "", unix.ENOMEM
	}
	defer f.Unref()
	if err := d.await(func(done func(error)) {
		d.start(&transfer{op: typeGetID, mem: f, memLen: 20, done: done})
	}); err != nil {
		return "", err
	}
	b := f.Bytes()[:20]
	for i, c := range b {
		if c == 0 {
			b = b[:i]
			break
		}
	}
	return string(b), nil
}

// ReadAt implements io.ReaderAt, through memory of its own: for superblocks and
// tables.
func (d *Disk) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, unix.EINVAL
	}
	f := frame.Alloc()
	if f == 0 {
		return 0, unix.ENOMEM
	}
	defer f.Unref()
	n := 0
	for n < len(p) {
		left := d.Size() - off
		if left <= 0 {
			return n, io.EOF
		}
		if err := d.FillRange(uint64(off/BlockSize), []frame.Frame{f}); err != nil {
			return n, err
		}
		b := f.Bytes()[off%BlockSize:]
		k := copy(p[n:], b[:min(int64(len(b)), left)])
		n += k
		off += int64(k)
	}
	return n, nil
}

// await runs an asynchronous operation and blocks until it has ended.
func (d *Disk) await(start func(done func(error))) error {
	var w struct {
		s    wait.Sleeper
		done bool // written before the wake-up
		err  error
	}
	start(func(err error) {
		w.err = err
		w.s.Wake()
	})
	w.s.SleepUninterruptible(0)
	return w.err
}
