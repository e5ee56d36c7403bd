package erofs

import (
	"bytes"

	"golang.org/x/sys/unix"
	"gosv/kernel/vfs"
)

// A dirBlock is one block of a directory: 12-byte records (inode number, offset
// of the name, type) followed by the names, both in the order of the names. The
// names of one block are less than those of the next.
type dirBlock struct {
	b     []byte
	count int
}

const direntSize = 12

func parseBlock(b []byte) (dirBlock, error) {
	if len(b) < direntSize {
		return dirBlock{}, unix.EUCLEAN
	}
	first := int(le.Uint16(b[8:]))
	if first < direntSize || first%direntSize != 0 || first > len(b) {
		return dirBlock{}, unix.EUCLEAN
	}
	return dirBlock{b, first / direntSize}, nil
}

func (d dirBlock) name(i int) ([]byte, error) {
	start := int(le.Uint16(d.b[i*direntSize+8:]))
	end := len(d.b)
	if i+1 < d.count {
		end = int(le.Uint16(d.b[(i+1)*direntSize+8:]))
	}
	if start < d.count*direntSize || start >= end || end > len(d.b) {
		return nil, unix.EUCLEAN
	}
	name := d.b[start:end]
	if i+1 == d.count {
		if z := bytes.IndexByte(name, 0); z >= 0 {
			name = name[:z]
		}
	}
	if len(name) == 0 || len(name) > 255 || bytes.IndexByte(name, 0) >= 0 || bytes.IndexByte(name, '/') >= 0 {
		return nil, unix.EUCLEAN
	}
	return name, nil
}

func (d dirBlock) nid(i int) uint64 { return le.Uint64(d.b[i*direntSize:]) }

// dirType turns the type of a record into a DT_* value: they are those of ext2.
func (d dirBlock) dirType(i int) uint8 {
	types := [...]uint8{unix.DT_UNKNOWN, unix.DT_REG, unix.DT_DIR, unix.DT_CHR, unix.DT_BLK, unix.DT_FIFO, unix.DT_SOCK, unix.DT_LNK}
	if t := int(d.b[i*direntSize+10]); t < len(types) {
		return types[t]
	}
	return unix.DT_UNKNOWN
}

func (n *Inode) dirBlocks() int64 { return (n.size + blockSize - 1) >> blockBits }

func (n *Inode) Lookup(_ vfs.Caller, name string) (vfs.Inode, error) {
	if n.mode&unix.S_IFMT != unix.S_IFDIR {
		return nil, unix.ENOTDIR
	}
	// The last block whose first name is not greater than name.
	lo, hi := int64(0), n.dirBlocks()
	for lo < hi {
		mid := lo + (hi-lo)/2
		nid, order, err := n.searchBlock(mid, name)
		switch {
		case err != nil:
			return nil, err
		case order == 0:
			return n.fs.inode(nid)
		case order < 0:
			hi = mid
		default:
			lo = mid + 1
		}
	}
	return nil, unix.ENOENT
}

// searchBlock looks for name in block i. order is 0 if it is there, less if it can
// only be in a block before, greater if in one behind.
func (n *Inode) searchBlock(i int64, name string) (nid uint64, order int, err error) {
	f, b, err := n.block(i)
	if err != nil {
		return 0, 0, err
	}
	defer f.Unref()
	d, err := parseBlock(b)
	if err != nil {
		return 0, 0, err
	}
	lo, hi := 0, d.count
	for lo < hi {
		mid := (lo + hi) / 2
		s, err := d.name(mid)
		if err != nil {
			return 0, 0, err
		}
		switch {
		case string(s) == name:
			return d.nid(mid), 0, nil
		case string(s) < name:
			lo = mid + 1
		default:
			hi = mid
		}
	}
	switch lo {
	case 0:
		return 0, -1, nil
	case d.count:
		return 0, 1, nil
	}
	return 0, 0, unix.ENOENT
}

// dirFile is an open directory.
type dirFile struct {
	vfs.DirFileDefaults
	n *Inode
}

// ReadDir has positions made of block and record; 0 to 2 are for "." and "..".
func (d *dirFile) ReadDir(f *vfs.File, pos int64, emit func(vfs.Dirent) bool) error {
	pos, ok := vfs.EmitDots(f, d.n.nid, pos, emit)
	if !ok {
		return nil
	}
	pos -= 2
	if pos < 0 {
		return unix.EINVAL
	}
	record := int(pos & (blockSize - 1))
	for i := pos >> blockBits; i < d.n.dirBlocks(); i++ {
		more, err := d.n.emitBlock(i, record, emit)
		if err != nil || !more {
			return err
		}
		record = 0
	}
	return nil
}

func (n *Inode) emitBlock(i int64, record int, emit func(vfs.Dirent) bool) (more bool, err error) {
	f, b, err := n.block(i)
	if err != nil {
		return false, err
	}
	defer f.Unref()
	d, err := parseBlock(b)
	if err != nil {
		return false, err
	}
	for ; record < d.count; record++ {
		name, err := d.name(record)
		if err != nil {
			return false, err
		}
		if s := string(name); s != "." && s != ".." {
			if !emit(vfs.Dirent{Ino: d.nid(record), Off: 2 + i<<blockBits + int64(record) + 1, Type: d.dirType(record), Name: s}) {
				return false, nil
			}
		}
	}
	return true, nil
}
