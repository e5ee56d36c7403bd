// Package erofs reads EROFS images without compression: the root file system.
//
// Format: Documentation/filesystems/erofs.rst and fs/erofs/erofs_fs.h of Linux. Every number that an image contains is
// checked before it is used: a damaged image gives EUCLEAN, never a panic. Extended attributes are not read.
package erofs

import (
	"encoding/binary"
	"strconv"
	"sync"

	"golang.org/x/sys/unix"
	"gosv/kernel/frame"
	"gosv/kernel/mm"
	"gosv/kernel/vfs"
)

// A Device is where an image lies.
type Device interface {
	// Size is the number of bytes; reads are within it, rounded up to pages.
	Size() int64
	// ReadFrames fills frames with the pages from the page-aligned offset off on.
	ReadFrames(frames []frame.Frame, off int64) error
	// Resident returns the frame that holds the page at off when the image is in
	// memory: it is then read and mapped where it is.
	Resident(off int64) (frame.Frame, bool)
}

// A FormatError says why an image cannot be used.
type FormatError string

func (e FormatError) Error() string { return "erofs: " + string(e) }

// Is makes a FormatError EINVAL for mount(2).
func (e FormatError) Is(target error) bool { return target == unix.EINVAL }

const (
	superOffset = 1024
	superMagic  = 0xe0f5e1e2
	blockBits   = 12
	blockSize   = 1 << blockBits

	compatChecksum = 0x1

	incompatPadding  = 0x1 // how LZ4 pads: nothing to us
	incompatChunked  = 0x4
	incompatPrefixes = 0x40 // long extended attribute names
	incompatKnown    = incompatPadding | incompatChunked | incompatPrefixes
)

// Layouts of an inode's data (i_format).
const (
	flatPlain         = 0
	compressedFull    = 1
	flatInline        = 2
	compressedCompact = 3
	chunkBased        = 4
)

// An FS is an image in use.
type FS struct {
	dev      Device
	meta     *mm.Cache // of the whole image
	blocks   uint64
	metaBase int64 // where inode 0 would be
	inos     uint64
	built    vfs.Time
	root     *Inode

	// nodesMu guards the inodes whose contents were used.
	nodesMu sync.Mutex
	nodes   map[uint64]*Inode
}

var le = binary.LittleEndian

// Open checks the superblock and the root directory of an image.
func Open(dev Device) (*FS, error) {
	if dev.Size() < blockSize {
		return nil, FormatError("image too small")
	}
	fs := &FS{dev: dev, nodes: make(map[uint64]*Inode)}
	fs.meta = mm.NewCache(imageBacking{dev})
	fs.meta.InitSize(dev.Size())
	page, err := fs.meta.Page(0, false)
	if err != nil {
		return nil, err
	}
	defer page.Unref()
	block := page.Bytes()
	sb := block[superOffset:]
	if le.Uint32(sb) != superMagic {
		return nil, FormatError("no superblock")
	}
	if sb[12] != blockBits {
		return nil, FormatError("block size is not 4096")
	}
	if bad := le.Uint32(sb[80:]) &^ incompatKnown; bad != 0 {
		return nil, FormatError("image uses features that are not supported: 0x" + strconv.FormatUint(uint64(bad), 16) +
			" (compressed images are not)")
	}
	if le.Uint32(sb[8:])&compatChecksum != 0 && !checksumMatches(sb) {
		return nil, FormatError("superblock checksum is wrong")
	}
	if sb[90] != 0 {
		return nil, FormatError("directory block size is not 4096")
	}
	if le.Uint16(sb[86:]) != 0 {
		return nil, FormatError("image needs further devices")
	}
	fs.blocks = uint64(le.Uint32(sb[36:]))
	if fs.blocks == 0 || int64(fs.blocks)<<blockBits > dev.Size() {
		return nil, FormatError("image is cut off")
	}
	fs.metaBase = int64(le.Uint32(sb[40:])) << blockBits
	fs.inos = le.Uint64(sb[16:])
	fs.built = vfs.Time{Sec: int64(le.Uint64(sb[24:])), Nsec: le.Uint32(sb[32:]) % 1e9}
	fs.root, err = fs.inode(uint64(le.Uint16(sb[14:])))
	if err != nil {
		return nil, FormatError("root directory is damaged")
	}
	if fs.root.mode&unix.S_IFMT != unix.S_IFDIR {
		return nil, FormatError("root is not a directory")
	}
	return fs, nil
}

// checksumMatches computes crc32c over the rest of the block, its own field taken
// as zero. It goes by bits and not by hash/crc32, whose tables cost a boot ten
// times what they save on three kilobytes.
func checksumMatches(sb []byte) bool {
	sum := ^uint32(0)
	for i, b := range sb {
		if i >= 4 && i < 8 {
			b = 0
		}
		sum ^= uint32(b)
		for range 8 {
			sum = sum>>1 ^ -(sum&1)&castagnoli
		}
	}
	return sum == le.Uint32(sb[4:])
}

// castagnoli is the polynomial of CRC-32C, reversed.
const castagnoli = 0x82f63b78

// imageBacking is the whole image as a page cache.
type imageBacking struct{ dev Device }

func (b imageBacking) FillPage(index uint64, f frame.Frame) error {
	return b.dev.ReadFrames([]frame.Frame{f}, int64(index)<<blockBits)
}

func (b imageBacking) FillRange(index uint64, frames []frame.Frame) error {
	return b.dev.ReadFrames(frames, int64(index)<<blockBits)
}

func (b imageBacking) WritePage(uint64, frame.Frame) error { return unix.EROFS }

func (b imageBacking) ResidentFrame(index uint64) (frame.Frame, bool) {
	return b.dev.Resident(int64(index) << blockBits)
}

// page returns the page of the image that holds byte off.
func (fs *FS) page(off int64) (frame.Frame, error) {
	if off < 0 || uint64(off)>>blockBits >= fs.blocks {
		return 0, unix.EUCLEAN
	}
	return fs.meta.Page(uint64(off)>>blockBits, false)
}

// read copies from the image.
func (fs *FS) read(b []byte, off int64) error {
	for len(b) > 0 {
		f, err := fs.page(off)
		if err != nil {
			return err
		}
		n := copy(b, f.Bytes()[off&(blockSize-1):])
		f.Unref()
		b, off = b[n:], off+int64(n)
	}
	return nil
}

func (fs *FS) Root() vfs.Inode { return fs.root }
func (fs *FS) Sync() error     { return nil }
func (fs *FS) Type() string    { return "erofs" }
func (fs *FS) Volatile() bool  { return false }

func (fs *FS) Statfs(st *vfs.Statfs) error {
	*st = vfs.Statfs{Type: unix.EROFS_SUPER_MAGIC_V1, Bsize: blockSize, Blocks: fs.blocks, Files: fs.inos, Namelen: 255}
	return nil
}
