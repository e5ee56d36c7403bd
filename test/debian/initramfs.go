package debian

import (
	"bytes"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"gosv/host/rootfs"
)

// cpio is an archive in newc format, Documentation/driver-api/early-userspace/buffer-format.rst.
type cpio struct {
	b     bytes.Buffer
	inode int
}

func (c *cpio) entry(name string, mode, major, minor int, data []byte) {
	c.inode++
	fmt.Fprintf(&c.b, "070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x",
		c.inode, mode, 0, 0, 1, 0, len(data), 0, 0, major, minor, len(name)+1, 0)
	c.b.WriteString(name)
	c.b.WriteByte(0)
	c.pad()
	c.b.Write(data)
	c.pad()
}

// pad fills to a multiple of four.
func (c *cpio) pad() {
	for c.b.Len()%4 != 0 {
		c.b.WriteByte(0)
	}
}

// end closes the archive and gives it.
func (c *cpio) end() []byte {
	c.inode = -1
	c.entry("TRAILER!!!", 0, 0, 0, nil)
	return c.b.Bytes()
}

const directory, character, executable = 0o040755, 0o020666, 0o100755

// Initramfs makes an archive with a program as /init and the devices that it opens.
func Initramfs(init []byte) []byte {
	var c cpio
	c.entry("dev", directory, 0, 0, nil)
	c.entry("dev/console", character, 5, 1, nil)
	c.entry("dev/null", character, 1, 3, nil)
	c.entry("dev/zero", character, 1, 5, nil)
	c.entry("init", executable, 0, 0, init)
	return c.end()
}

// Archive makes an archive of a tree, with the console.
func Archive(t *rootfs.Tree) ([]byte, error) {
	var c cpio
	for _, e := range t.Entries() {
		if e.Path == "/" {
			continue
		}
		data := e.Data
		switch {
		case e.IsSymlink():
			data = []byte(e.Target)
		case e.IsRegular() && e.Source != "":
			var err error
			if data, err = os.ReadFile(e.Source); err != nil {
				return nil, err
			}
		}
		c.entry(e.Path[1:], int(e.Mode), int(unix.Major(e.Rdev)), int(unix.Minor(e.Rdev)), data)
	}
	c.entry("dev/console", character, 5, 1, nil)
	return c.end(), nil
}
