package vfs

import (
	"golang.org/x/sys/unix"
	"gosv/kernel/mm"
	"gosv/kernel/wait"
)

// A FileImpl is the behaviour of an open file. Its methods never block: what
// cannot go on returns EAGAIN, and File waits on Queue for Readiness to say In
// or Out. Embed FileDefaults and override what is supported.
type FileImpl interface {
	// Read fills dst from offset off, which streams ignore; 0 is the end of file.
	Read(f *File, dst *mm.Buf, off int64) (int64, error)
	// Write takes src, to offset off. A seekable file that grows implements
	// Appender too.
	Write(f *File, src *mm.Buf, off int64) (int64, error)
	// Readiness returns the poll events that hold now.
	Readiness() wait.Events
	// Queue is told when Readiness changes; nil when the file is always ready.
	Queue() *wait.Queue

	// Seekable says whether the file has an offset (pread, lseek).
	Seekable() bool
	// Seek returns the offset that lseek(2) asks for. FileDefaults.Seek refuses;
	// SeekStat does it by the size in Stat.
	Seek(f *File, off int64, whence int) (int64, error)
	// ReadDir emits entries from position pos on (0 is the start) until emit
	// returns false; Dirent.Off is the position after that entry.
	ReadDir(f *File, pos int64, emit func(Dirent) bool) error
	// Ioctl returns ENOTTY for what it does not know.
	Ioctl(as *mm.AddressSpace, cmd uint32, arg uint64) (uint64, error)
	// Mmap returns the page cache to map; ENODEV if there is none.
	Mmap(f *File) (*mm.Cache, error)
	// Sync is fsync(2); EINVAL for what cannot be synced.
	Sync(f *File) error
	// Release ends the file: its last descriptor and mapping are gone.
	Release()
}

// An Appender can find its end and write there in one step (O_APPEND). end is the
// offset after the last byte written.
type Appender interface {
	Append(f *File, src *mm.Buf) (n, end int64, err error)
}

// A Flusher is told of each descriptor of the file that is closed, in which
// table; the file itself may have other descriptors.
type Flusher interface {
	Flush(t *FDTable)
}

// A Dirent is one entry of a directory. Type is a DT_* value.
type Dirent struct {
	Ino  uint64
	Off  int64
	Type uint8
	Name string
}

// FileDefaults is embedded by every FileImpl: a stream that can do nothing and
// is always ready.
type FileDefaults struct{}

func (FileDefaults) Read(*File, *mm.Buf, int64) (int64, error)  { return 0, unix.EINVAL }
func (FileDefaults) Write(*File, *mm.Buf, int64) (int64, error) { return 0, unix.EINVAL }
func (FileDefaults) Readiness() wait.Events                     { return wait.Readable | wait.Writable }
func (FileDefaults) Queue() *wait.Queue                         { return nil }
func (FileDefaults) Seekable() bool                             { return false }
func (FileDefaults) Seek(*File, int64, int) (int64, error)      { return 0, unix.ESPIPE }
func (FileDefaults) ReadDir(*File, int64, func(Dirent) bool) error {
	return unix.ENOTDIR
}
func (FileDefaults) Ioctl(*mm.AddressSpace, uint32, uint64) (uint64, error) { return 0, unix.ENOTTY }
func (FileDefaults) Mmap(*File) (*mm.Cache, error)                          { return nil, unix.ENODEV }
func (FileDefaults) Sync(*File) error                                       { return unix.EINVAL }
func (FileDefaults) Release()                                               {}

// SeekStat is Seek for files whose end is the size in Stat, without holes.
func SeekStat(f *File, off int64, whence int) (int64, error) {
	var size int64
	if whence == unix.SEEK_END || whence == unix.SEEK_DATA || whence == unix.SEEK_HOLE {
		var st Stat
		if err := f.inode.Stat(&st); err != nil {
			return 0, err
		}
		size = st.Size
	}
	return SeekIn(f.Offset(), size, off, whence)
}

// SeekIn computes lseek(2) for a file of a size without holes, from position pos.
func SeekIn(pos, size, off int64, whence int) (int64, error) {
	switch whence {
	case unix.SEEK_SET:
	case unix.SEEK_CUR:
		if off > 0 && pos > maxOffset-off {
			return 0, unix.EINVAL // past the largest offset
		}
		off += pos
	case unix.SEEK_END:
		if off > 0 && size > maxOffset-off {
			return 0, unix.EINVAL // past the largest offset
		}
		off += size
	case unix.SEEK_DATA, unix.SEEK_HOLE:
		if off < 0 || off >= size {
			return 0, unix.ENXIO
		}
		if whence == unix.SEEK_HOLE {
			off = size
		}
	default:
		return 0, unix.EINVAL
	}
	if off < 0 {
		return 0, unix.EINVAL
	}
	return off, nil
}

const maxOffset = 1<<63 - 1
