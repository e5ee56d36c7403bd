// Package image makes, reads and caches images: EROFS file systems (Documentation/filesystems/erofs.rst) that hold a
// program with its files and, in boot.ConfigPath, how to run it.
//
// The layout is the simplest that Linux, erofs-utils and our kernel read without copying: 4 KiB blocks, no
// compression, extended inodes, then the content of files at block boundaries, so that a page of a mapped file is a
// page of the image. Small files, directories and links stand behind their inode. Equal trees give equal images.
package image

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path"
	"sort"

	"golang.org/x/sys/unix"

	"gosv/host/rootfs"
)

// Numbers of the on-disk format (fs/erofs/erofs_fs.h).
const (
	blockSize   = 4096
	superOffset = 1024
	superSize   = 128
	superMagic  = 0xE0F5E1E2
	inodeSize   = 64
	direntSize  = 12
	slotSize    = 32 // an inode number is the inode's offset in these

	featureChecksum = 1 // EROFS_FEATURE_COMPAT_SB_CHKSUM
	layoutPlain     = 0 // EROFS_INODE_FLAT_PLAIN
	layoutInline    = 2 // EROFS_INODE_FLAT_INLINE

	// Content up to this size stands behind its inode.
	maxInline = 2048
)

// inode is what becomes one inode: an entry, or several that are hard links.
type inode struct {
	e      *rootfs.Entry
	nlink  uint32
	nid    uint64 // offset / slotSize
	inline []byte // behind the inode
	data   []byte // in blocks of its own: directories, long links, data of entries
	size   int64
	block  uint32 // first block of data, or of the source file's content
	kids   []kid
	parent *inode
}

type kid struct {
	name string
	*inode
}

// Write makes an image of a tree. Times are the entries'; the build time is
// the newest of them.
func Write(f *os.File, tree *rootfs.Tree) error {
	root, nodes, err := link(tree)
	if err != nil {
		return err
	}
	metaEnd, err := place(nodes)
	if err != nil {
		return err
	}
	if root.nid > 0xffff {
		return fmt.Errorf("image: the root inode is number %d", root.nid)
	}
	next := (metaEnd + blockSize - 1) / blockSize
	for _, n := range nodes {
		if n.inline != nil || n.size == 0 {
			continue
		}
		if next > 1<<32-1 {
			return fmt.Errorf("the image would be larger than 16 TiB")
		}
		n.block = uint32(next)
		next += (n.size + blockSize - 1) / blockSize
	}
	meta := make([]byte, (metaEnd+blockSize-1)/blockSize*blockSize)
	var newest int64
	for _, n := range nodes {
		if n.e.IsDir() {
			fillDir(n)
		}
		newest = max(newest, n.e.MtimeSec)
		n.encode(meta[n.nid*slotSize:])
	}
	super(meta, root, len(nodes), newest, next)

	if err := f.Truncate(next * blockSize); err != nil {
		return err
	}
	if _, err := f.WriteAt(meta, 0); err != nil {
		return err
	}
	for _, n := range nodes {
		if n.inline != nil || n.size == 0 {
			continue
		}
		if err := n.writeData(f); err != nil {
			return err
		}
	}
	return nil
}

// link makes the inodes of a tree in the order of their paths, directories
// with their children.
func link(tree *rootfs.Tree) (root *inode, nodes []*inode, err error) {
	type id struct{ dev, ino uint64 }
	hard := map[id]*inode{}
	byPath := map[string]*inode{}
	for _, e := range tree.Entries() {
		n := &inode{e: e, nlink: 1}
		if e.Ino != 0 && e.IsRegular() {
			if first := hard[id{e.Dev, e.Ino}]; first != nil && first.e.Source == e.Source || first != nil && first.e.Mode == e.Mode {
				n = first
				n.nlink++
			} else if first == nil {
				hard[id{e.Dev, e.Ino}] = n
			}
		}
		if n.e == e {
			nodes = append(nodes, n)
		}
		byPath[e.Path] = n
		if e.Path == "/" {
			root, n.parent = n, n
			n.nlink = 2
			continue
		}
		p := byPath[path.Dir(e.Path)]
		if p == nil || !p.e.IsDir() {
			return nil, nil, fmt.Errorf("image: %s has no parent directory", e.Path)
		}
		name := path.Base(e.Path)
		if len(name) > 255 {
			return nil, nil, fmt.Errorf("%s: the name is longer than 255 bytes", e.Path)
		}
		p.kids = append(p.kids, kid{name, n})
		if e.IsDir() {
			n.nlink, n.parent = 2, p
			p.nlink++
		}
	}
	return root, nodes, nil
}

// place decides what stands where in the metadata area, and gives its end.
func place(nodes []*inode) (end int64, err error) {
	off := int64(superOffset + superSize)
	for _, n := range nodes {
		var content []byte
		switch {
		case n.e.IsDir():
			n.size = layoutDir(n)
			if n.size <= blockSize-inodeSize {
				content = make([]byte, n.size)
			} else {
				n.data = make([]byte, n.size)
			}
		case n.e.IsSymlink():
			n.size = int64(len(n.e.Target))
			content = []byte(n.e.Target)
		case n.e.IsRegular():
			n.size = n.e.Size
			if n.size > 0 && n.size <= maxInline {
				if content, err = readAll(n.e); err != nil {
					return 0, err
				}
			} else if n.e.Source == "" {
				n.data = n.e.Data
			}
		}
		if len(content) > blockSize-inodeSize {
			n.data, content = content, nil
		}
		if len(content) > 0 {
			n.inline = content
		}
		need := int64(inodeSize + len(content))
		if room := blockSize - off%blockSize; need > room {
			off += room // neither an inode nor what stands behind it crosses a block
		}
		n.nid = uint64(off / slotSize)
		off = (off + need + slotSize - 1) &^ (slotSize - 1)
	}
	return off, nil
}

func (n *inode) encode(b []byte) {
	le := binary.LittleEndian
	layout := layoutPlain
	if n.inline != nil {
		layout = layoutInline
	}
	le.PutUint16(b[0:], uint16(layout<<1|1))
	le.PutUint16(b[4:], uint16(n.e.Mode))
	le.PutUint64(b[8:], uint64(n.size))
	switch n.e.Mode & unix.S_IFMT {
	case unix.S_IFCHR, unix.S_IFBLK:
		major, minor := unix.Major(n.e.Rdev), unix.Minor(n.e.Rdev)
		le.PutUint32(b[16:], minor&0xff|major<<8|minor&^0xff<<12)
	default:
		le.PutUint32(b[16:], n.block)
	}
	le.PutUint32(b[20:], uint32(n.nid)) // i_ino: for 32-bit stat only
	le.PutUint32(b[24:], n.e.UID)
	le.PutUint32(b[28:], n.e.GID)
	le.PutUint64(b[32:], uint64(n.e.MtimeSec))
	le.PutUint32(b[40:], n.e.MtimeNs)
	le.PutUint32(b[44:], n.nlink)
	copy(b[inodeSize:], n.inline)
}

func super(meta []byte, root *inode, inodes int, built, blocks int64) {
	le := binary.LittleEndian
	b := meta[superOffset:]
	le.PutUint32(b[0:], superMagic)
	le.PutUint32(b[8:], featureChecksum)
	b[12] = 12 // log2 of the block size
	le.PutUint16(b[14:], uint16(root.nid))
	le.PutUint64(b[16:], uint64(inodes))
	le.PutUint64(b[24:], uint64(built))
	le.PutUint32(b[36:], uint32(blocks))
	id := sha256.Sum256(meta)
	id[6], id[8] = id[6]&0x0f|0x80, id[8]&0x3f|0x80 // a UUID of version 8: made from the content
	copy(b[48:64], id[:])
	copy(b[64:80], "gosv")
	// crc32c from the superblock to the end of its block, not inverted at the end.
	le.PutUint32(b[4:], ^crc32.Checksum(meta[superOffset:blockSize], crc32.MakeTable(crc32.Castagnoli)))
}

// dirNames gives a directory's entries in the order of the format: by byte
// value, "." and ".." among them.
func dirNames(n *inode) []kid {
	list := make([]kid, 0, len(n.kids)+2)
	list = append(list, kid{".", n}, kid{"..", n.parent})
	list = append(list, n.kids...)
	sort.Slice(list, func(i, j int) bool { return list[i].name < list[j].name })
	return list
}

// dirBlocks splits entries into runs that fill one block each.
func dirBlocks(list []kid) (runs [][]kid, last int) {
	for len(list) > 0 {
		used, i := 0, 0
		for ; i < len(list); i++ {
			need := direntSize + len(list[i].name)
			if used+need > blockSize {
				break
			}
			used += need
		}
		runs, list, last = append(runs, list[:i]), list[i:], used
	}
	return runs, last
}

func layoutDir(n *inode) int64 {
	runs, last := dirBlocks(dirNames(n))
	return int64(len(runs)-1)*blockSize + int64(last)
}

func fillDir(n *inode) {
	out := n.inline
	if out == nil {
		out = n.data
	}
	le := binary.LittleEndian
	runs, _ := dirBlocks(dirNames(n))
	for i, run := range runs {
		b := out[i*blockSize:]
		name := len(run) * direntSize
		for j, k := range run {
			d := b[j*direntSize:]
			le.PutUint64(d, k.nid)
			le.PutUint16(d[8:], uint16(name))
			d[10] = fileType(k.e.Mode)
			name += copy(b[name:], k.name)
		}
	}
}

func fileType(mode uint32) byte {
	switch mode & unix.S_IFMT {
	case unix.S_IFREG:
		return 1
	case unix.S_IFDIR:
		return 2
	case unix.S_IFCHR:
		return 3
	case unix.S_IFBLK:
		return 4
	case unix.S_IFIFO:
		return 5
	case unix.S_IFSOCK:
		return 6
	case unix.S_IFLNK:
		return 7
	}
	return 0
}

func readAll(e *rootfs.Entry) ([]byte, error) {
	if e.Source == "" {
		return e.Data, nil
	}
	b, err := os.ReadFile(e.Source)
	if err == nil && int64(len(b)) != e.Size {
		err = changed(e)
	}
	return b, err
}

func changed(e *rootfs.Entry) error {
	return fmt.Errorf("%s changed while it was copied; try again", e.Source)
}

func (n *inode) writeData(f *os.File) error {
	off := int64(n.block) * blockSize
	if n.data != nil {
		_, err := f.WriteAt(n.data, off)
		return err
	}
	src, err := os.Open(n.e.Source)
	if err != nil {
		return err
	}
	defer src.Close()
	if _, err := f.Seek(off, io.SeekStart); err != nil {
		return err
	}
	// os.File copies with copy_file_range(2), so that file systems that can share blocks do.
	got, err := io.Copy(f, io.LimitReader(src, n.size))
	if err != nil {
		return err
	}
	var one [1]byte
	if k, _ := src.Read(one[:]); got != n.size || k > 0 {
		return changed(n.e)
	}
	return nil
}

// IsImage tells whether a file starts like an EROFS file system.
func IsImage(r io.ReaderAt) bool {
	var b [4]byte
	_, err := r.ReadAt(b[:], superOffset)
	return err == nil && bytes.Equal(b[:], binary.LittleEndian.AppendUint32(nil, superMagic))
}
