package main

import (
	"bytes"
	"fmt"
)

// initramfs makes a cpio archive (newc format, Documentation/driver-api/early-userspace/buffer-format.rst) with a
// program as /init and the devices that it opens.
func initramfs(init []byte) []byte {
	var b bytes.Buffer
	const directory, character, file = 0o040755, 0o020666, 0o100755
	inode := 0
	entry := func(name string, mode, major, minor int, data []byte) {
		inode++
		fmt.Fprintf(&b, "070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x",
			inode, mode, 0, 0, 1, 0, len(data), 0, 0, major, minor, len(name)+1, 0)
		b.WriteString(name)
		b.WriteByte(0)
		pad(&b)
		b.Write(data)
		pad(&b)
	}
	entry("dev", directory, 0, 0, nil)
	entry("dev/console", character, 5, 1, nil)
	entry("dev/null", character, 1, 3, nil)
	entry("dev/zero", character, 1, 5, nil)
	entry("init", file, 0, 0, init)
	inode = -1
	entry("TRAILER!!!", 0, 0, 0, nil)
	return b.Bytes()
}

// pad fills to a multiple of four.
func pad(b *bytes.Buffer) {
	for b.Len()%4 != 0 {
		b.WriteByte(0)
	}
}
