package erofs

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
	"gosv/kernel/frame"
	"gosv/kernel/mm"
	"gosv/kernel/vfs"
)

// image is a device that is read like a disk.
type image []byte

func (d image) Size() int64 { return int64(len(d)) &^ 4095 }

func (d image) ReadFrames(frames []frame.Frame, off int64) error {
	for i, f := range frames {
		at := off + int64(i)*blockSize
		if at < 0 || at+blockSize > int64(len(d)) {
			return unix.EIO
		}
		copy(f.Bytes(), d[at:])
	}
	return nil
}

func (d image) Resident(int64) (frame.Frame, bool) { return 0, false }

// makeImages packs a small tree in all layouts.
func makeImages(t testing.TB) []image {
	tool, err := exec.LookPath("mkfs.erofs")
	if err != nil {
		t.Skip("needs mkfs.erofs (erofs-utils)")
	}
	dir := t.TempDir()
	os.MkdirAll(filepath.Join(dir, "d/e"), 0o755)
	os.WriteFile(filepath.Join(dir, "small"), []byte("hello"), 0o644)
	os.WriteFile(filepath.Join(dir, "d/big"), bytes.Repeat([]byte("0123456789"), 3000), 0o600)
	os.WriteFile(filepath.Join(dir, "d/page"), make([]byte, 8192), 0o600)
	os.Symlink("d/big", filepath.Join(dir, "link"))
	for i := range 300 { // a directory of several blocks
		os.WriteFile(filepath.Join(dir, "d/e", strings.Repeat("x", 40)+string(rune('a'+i%26))+strings.Repeat("y", i/26)), nil, 0o644)
	}
	var images []image
	for _, args := range [][]string{nil, {"-Enoinline_data"}, {"-Eforce-inode-extended"}, {"--chunksize=4096"}} {
		file := filepath.Join(t.TempDir(), "image")
		if out, err := exec.Command(tool, append(args, file, dir)...).CombinedOutput(); err != nil {
			t.Fatalf("mkfs.erofs: %v\n%s", err, out)
		}
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		images = append(images, b)
	}
	return images
}

// crawl does everything with every inode, and returns how many there are.
func crawl(fs *FS) (inodes int, problems []error) {
	seen := map[uint64]bool{}
	var visit func(n *Inode, depth int)
	note := func(err error) {
		if err != nil {
			problems = append(problems, err)
		}
	}
	visit = func(n *Inode, depth int) {
		if seen[n.nid] || depth > 20 || inodes > 2000 {
			return
		}
		seen[n.nid] = true
		inodes++
		var st vfs.Stat
		n.Stat(&st)
		n.GetXattr("user.x")
		switch n.mode & unix.S_IFMT {
		case unix.S_IFLNK:
			_, err := n.Readlink(vfs.Kernel())
			note(err)
		case unix.S_IFREG:
			c, err := n.PageCache()
			if err != nil {
				note(err)
				return
			}
			b := make([]byte, 3*blockSize)
			for _, off := range []int64{0, 4095, n.size / 2, n.size - 1} {
				if off >= 0 {
					dst := mm.KernelBuf(b)
					_, err := c.Read(&dst, off)
					note(err)
				}
			}
		case unix.S_IFDIR:
			var names []string
			d := &dirFile{n: n}
			note(d.ReadDir(nil, 2, func(e vfs.Dirent) bool {
				names = append(names, e.Name)
				return len(names) < 1000
			}))
			for _, name := range names {
				ch, err := n.Lookup(vfs.Kernel(), name)
				if err != nil {
					note(err)
					continue
				}
				visit(ch.(*Inode), depth+1)
			}
			if _, err := n.Lookup(vfs.Kernel(), "nothing called so"); err == nil {
				note(errors.New("found what is not there"))
			}
		}
	}
	visit(fs.root, 0)
	fs.meta.Drop()
	for _, n := range fs.nodes {
		n.cache.Drop()
	}
	return inodes, problems
}

func TestLayouts(t *testing.T) {
	for i, d := range makeImages(t) {
		fs, err := Open(d)
		if err != nil {
			t.Fatalf("image %d: %v", i, err)
		}
		n, problems := crawl(fs)
		if n != 307 || len(problems) != 0 {
			t.Errorf("image %d: %d inodes, %v", i, n, problems)
		}
	}
}

func TestRefused(t *testing.T) {
	good := makeImages(t)[0]
	for name, change := range map[string]func(image){
		"no superblock":  func(d image) { d[superOffset] ^= 1 },
		"4096":           func(d image) { d[superOffset+12] = 9 },
		"not supported":  func(d image) { d[superOffset+80] |= 2 },
		"checksum":       func(d image) { d[superOffset+16] ^= 1 },
		"further device": func(d image) { d[superOffset+86] = 1; d[superOffset+8] &^= 1 },
		"cut off":        func(d image) { d[superOffset+38] = 255; d[superOffset+8] &^= 1 },
	} {
		bad := bytes.Clone(good)
		change(bad)
		_, err := Open(image(bad))
		if err == nil || !strings.Contains(err.Error(), name) || !errors.Is(err, unix.EINVAL) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// FuzzImage changes bytes of good images; whatever they say, nothing may panic,
// and what is read stays in the image.
func FuzzImage(f *testing.F) {
	images := makeImages(f)
	f.Add(uint8(0), []byte{0, 4, 0, 1})
	f.Add(uint8(1), []byte{80, 4, 0, 255, 36, 4, 0, 3})
	f.Add(uint8(3), []byte("\x10\x08\x00\xff\x18\x11\x00\x80"))
	f.Fuzz(func(t *testing.T, which uint8, changes []byte) {
		d := bytes.Clone(images[int(which)%len(images)])
		d[superOffset+8] &^= compatChecksum
		for ; len(changes) >= 4; changes = changes[4:] {
			at := int(changes[0]) | int(changes[1])<<8 | int(changes[2])<<16
			d[at%len(d)] = changes[3]
		}
		if fs, err := Open(image(d)); err == nil {
			crawl(fs)
		}
	})
}
