package erofs

import (
	"golang.org/x/sys/unix"
	"gosv/kernel/frame"
	"gosv/kernel/mm"
	"gosv/kernel/vfs"
	"gosv/kernel/wait"
)

// An Inode is one object of the image.
type Inode struct {
	vfs.InodeDefaults
	fs     *FS
	nid    uint64
	mode   uint32
	uid    uint32
	gid    uint32
	nlink  uint32
	size   int64
	mtime  vfs.Time
	layout uint8
	value  uint32 // i_u: first block, device number, or chunk format
	tail   int64  // where what follows the inode begins: inline data, chunk table

	cache *mm.Cache // guarded by fs.nodesMu
}

// inode reads inode nid.
func (fs *FS) inode(nid uint64) (*Inode, error) {
	fs.nodesMu.Lock()
	n := fs.nodes[nid]
	fs.nodesMu.Unlock()
	if n != nil {
		return n, nil
	}
	if nid > 1<<58 {
		return nil, unix.EUCLEAN
	}
	at := fs.metaBase + int64(nid)*32
	var b [64]byte
	if err := fs.read(b[:32], at); err != nil {
		return nil, err
	}
	format := le.Uint16(b[:])
	n = &Inode{fs: fs, nid: nid, layout: uint8(format >> 1 & 7), mode: uint32(le.Uint16(b[4:])), value: le.Uint32(b[16:])}
	size := int64(32)
	if format&1 == 0 {
		n.nlink = uint32(le.Uint16(b[6:]))
		n.size = int64(le.Uint32(b[8:]))
		n.uid, n.gid = uint32(le.Uint16(b[24:])), uint32(le.Uint16(b[26:]))
		n.mtime = fs.built
	} else {
		if err := fs.read(b[32:], at+32); err != nil {
			return nil, err
		}
		size = 64
		n.size = int64(le.Uint64(b[8:]))
		n.uid, n.gid = le.Uint32(b[24:]), le.Uint32(b[28:])
		n.mtime = vfs.Time{Sec: int64(le.Uint64(b[32:])), Nsec: le.Uint32(b[40:]) % 1e9}
		n.nlink = le.Uint32(b[44:])
	}
	if x := int64(le.Uint16(b[2:])); x != 0 {
		size += 12 + (x-1)*4
	}
	n.tail = at + size
	return n, n.check()
}

// check refuses what cannot be right.
func (n *Inode) check() error {
	if n.size < 0 || n.size > 1<<60 {
		return unix.EUCLEAN
	}
	switch n.mode & unix.S_IFMT {
	case unix.S_IFREG, unix.S_IFDIR, unix.S_IFLNK:
	case unix.S_IFCHR, unix.S_IFBLK, unix.S_IFIFO, unix.S_IFSOCK:
		return nil
	default:
		return unix.EUCLEAN
	}
	blocks := (n.size + blockSize - 1) >> blockBits
	switch n.layout {
	case flatInline:
		if n.size == 0 {
			return nil
		}
		// The last block lies behind the inode and does not cross a block.
		last := n.size - (blocks-1)<<blockBits
		if n.tail&(blockSize-1)+last > blockSize {
			return unix.EUCLEAN
		}
		blocks--
	case flatPlain:
	case chunkBased:
		if n.value&^0x3f != 0 || n.value&0x1f > 40 {
			return unix.EUCLEAN
		}
		return nil
	case compressedFull, compressedCompact:
		return unix.EOPNOTSUPP
	default:
		return unix.EUCLEAN
	}
	if blocks > 0 && uint64(n.value)+uint64(blocks) > n.fs.blocks {
		return unix.EUCLEAN
	}
	return nil
}

// hole is the position of a block that is not stored.
const hole = -1

// locate returns where block i of the data is in the image. The inline tail of a
// file is not aligned.
func (n *Inode) locate(i int64) (int64, error) {
	if i < 0 || i<<blockBits >= n.size {
		return 0, unix.EUCLEAN
	}
	switch n.layout {
	case flatInline:
		if (i+1)<<blockBits >= n.size {
			return n.tail, nil
		}
		fallthrough
	case flatPlain:
		return (int64(n.value) + i) << blockBits, nil
	}
	bits := n.value & 0x1f
	chunk := i >> bits
	var addr uint64
	var b [8]byte
	if n.value&0x20 != 0 {
		at := (n.tail+7)&^7 + chunk*8
		if err := n.fs.read(b[:8], at); err != nil {
			return 0, err
		}
		if le.Uint16(b[2:]) != 0 {
			return 0, unix.EUCLEAN // on another device
		}
		addr = uint64(le.Uint32(b[4:]))
	} else {
		at := (n.tail+3)&^3 + chunk*4
		if err := n.fs.read(b[:4], at); err != nil {
			return 0, err
		}
		addr = uint64(le.Uint32(b[:]))
	}
	if addr == 1<<32-1 {
		return hole, nil
	}
	addr += uint64(i - chunk<<bits)
	if addr >= n.fs.blocks {
		return 0, unix.EUCLEAN
	}
	return int64(addr) << blockBits, nil
}

// block returns block i of the data: the page that it is in, and its bytes there.
func (n *Inode) block(i int64) (frame.Frame, []byte, error) {
	at, err := n.locate(i)
	if err == nil && at == hole {
		err = unix.EUCLEAN
	}
	if err != nil {
		return 0, nil, err
	}
	f, err := n.fs.page(at)
	if err != nil {
		return 0, nil, err
	}
	size := min(blockSize, n.size-i<<blockBits)
	in := at & (blockSize - 1)
	if in+size > blockSize {
		f.Unref()
		return 0, nil, unix.EUCLEAN
	}
	return f, f.Bytes()[in : in+size], nil
}

func (n *Inode) Mode() uint32               { return n.mode }
func (n *Inode) Owner() (uint32, uint32)    { return n.uid, n.gid }
func (n *Inode) SetAttr(*vfs.SetAttr) error { return unix.EROFS }

func (n *Inode) Stat(st *vfs.Stat) error {
	st.Ino, st.Mode, st.Nlink, st.UID, st.GID = n.nid, n.mode, n.nlink, n.uid, n.gid
	st.Atime, st.Mtime, st.Ctime = n.mtime, n.mtime, n.mtime
	st.Blksize = blockSize
	switch n.mode & unix.S_IFMT {
	case unix.S_IFREG, unix.S_IFDIR, unix.S_IFLNK:
		st.Size = n.size
		st.Blocks = uint64(n.size+511) / 512
		if n.layout == flatPlain {
			st.Blocks = uint64((n.size+blockSize-1)>>blockBits) * 8
		}
	case unix.S_IFCHR, unix.S_IFBLK:
		v := n.value
		st.Rdev = unix.Mkdev(v&0xfff00>>8, v&0xff|v>>12&0xfff00)
	}
	return nil
}

// maxTarget is PATH_MAX.
const maxTarget = 4096

func (n *Inode) Readlink(vfs.Caller) (string, error) {
	if n.mode&unix.S_IFMT != unix.S_IFLNK {
		return "", unix.EINVAL
	}
	if n.size == 0 || n.size >= maxTarget {
		return "", unix.EUCLEAN
	}
	f, b, err := n.block(0)
	if err != nil {
		return "", err
	}
	s := string(b)
	f.Unref()
	for i := range len(s) {
		if s[i] == 0 {
			return "", unix.EUCLEAN
		}
	}
	return s, nil
}

// PageCache returns the page cache of a regular file.
func (n *Inode) PageCache() (*mm.Cache, error) {
	if n.mode&unix.S_IFMT != unix.S_IFREG {
		return nil, unix.EINVAL
	}
	fs := n.fs
	fs.nodesMu.Lock()
	defer fs.nodesMu.Unlock()
	if first := fs.nodes[n.nid]; first != nil {
		return first.cache, nil
	}
	n.cache = mm.NewCache((*fileBacking)(n))
	n.cache.InitSize(n.size)
	fs.nodes[n.nid] = n
	return n.cache, nil
}

func (n *Inode) Open(c vfs.Caller, f *vfs.File, flags uint32) (vfs.FileImpl, error) {
	switch n.mode & unix.S_IFMT {
	case unix.S_IFDIR:
		return &dirFile{n: n}, nil
	case unix.S_IFREG:
	default:
		return nil, unix.ENXIO
	}
	if flags&unix.O_ACCMODE != unix.O_RDONLY || flags&unix.O_TRUNC != 0 {
		return nil, unix.EROFS
	}
	cache, err := n.PageCache()
	if err != nil {
		return nil, err
	}
	return &regFile{cache: cache}, nil
}

// regFile is an open regular file.
type regFile struct {
	vfs.FileDefaults
	cache *mm.Cache
}

func (r *regFile) Seekable() bool                    { return true }
func (r *regFile) Sync(*vfs.File) error              { return nil }
func (r *regFile) Queue() *wait.Queue                { return nil }
func (r *regFile) Mmap(*vfs.File) (*mm.Cache, error) { return r.cache, nil }
func (r *regFile) Read(_ *vfs.File, dst *mm.Buf, off int64) (int64, error) {
	return r.cache.Read(dst, off)
}

func (r *regFile) Seek(f *vfs.File, off int64, whence int) (int64, error) {
	return vfs.SeekIn(f.Offset(), r.cache.Size(), off, whence)
}

// fileBacking is a regular file as the page cache sees it.
type fileBacking Inode

func (b *fileBacking) FillPage(index uint64, f frame.Frame) error {
	n := (*Inode)(b)
	at, err := n.locate(int64(index))
	if err != nil {
		return err
	}
	p := f.Bytes()
	switch {
	case at == hole:
		clear(p)
		return nil
	case at&(blockSize-1) == 0:
		if _, resident := n.fs.dev.Resident(at); !resident {
			if err := n.fs.dev.ReadFrames([]frame.Frame{f}, at); err != nil {
				return err
			}
			if rest := n.size - int64(index)<<blockBits; rest < blockSize {
				clear(p[rest:])
			}
			return nil
		}
	}
	page, b2, err := n.block(int64(index))
	if err != nil {
		return err
	}
	clear(p[copy(p, b2):])
	page.Unref()
	return nil
}

// FillRange reads pages that lie behind each other in the image in one go.
func (b *fileBacking) FillRange(index uint64, frames []frame.Frame) error {
	n := (*Inode)(b)
	for len(frames) > 0 {
		at, err := n.locate(int64(index))
		if err != nil {
			return err
		}
		run := 1
		if at != hole && at&(blockSize-1) == 0 {
			for run < len(frames) {
				next, err := n.locate(int64(index) + int64(run))
				if err != nil || next != at+int64(run)<<blockBits || int64(index)+int64(run)+1 > n.size>>blockBits {
					break
				}
				run++
			}
		}
		if run > 1 {
			err = n.fs.dev.ReadFrames(frames[:run], at)
			if end := int64(index) + int64(run); err == nil && end<<blockBits > n.size {
				clear(frames[run-1].Bytes()[n.size&(blockSize-1):])
			}
		} else {
			err = b.FillPage(index, frames[0])
		}
		if err != nil {
			return err
		}
		frames, index = frames[run:], index+uint64(run)
	}
	return nil
}

func (b *fileBacking) WritePage(uint64, frame.Frame) error { return unix.EROFS }

// ResidentFrame lends the image's own memory, where a whole page of it is a page
// of the file. A last page that is not full is lent too only if the rest of its
// block is zero, which a well-made image has; else it is copied.
func (b *fileBacking) ResidentFrame(index uint64) (frame.Frame, bool) {
	n := (*Inode)(b)
	at, err := n.locate(int64(index))
	if err != nil || at == hole || at&(blockSize-1) != 0 {
		return 0, false
	}
	f, ok := n.fs.dev.Resident(at)
	if !ok {
		return 0, false
	}
	if rest := n.size - int64(index)<<blockBits; rest < blockSize && !isZero(f.Bytes()[rest:]) {
		return 0, false
	}
	return f, true
}

func isZero(b []byte) bool {
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}
