// Package overlay is the root file system: a read-only lower file system with a tmpfs over it that keeps all changes.
//
// Because the upper layer is memory of this kernel, it needs no format of its own: package tmpfs has inodes that start
// as the lower inode's attributes and page cache and turn into inodes of their own where they are changed. A file is
// copied when it is opened for writing; renaming a lower directory moves the inode that stands for it; whiteouts are
// entries without an inode; inode numbers never change, and names of the same lower file stay one file.
package overlay

import (
	"gosv/kernel/fs/tmpfs"
	"gosv/kernel/vfs"
)

// New returns a file system that shows lower and may be written. size bounds
// what the changed files take, in bytes; 0 is half of the memory.
func New(lower vfs.Filesystem, size uint64) (vfs.Filesystem, error) {
	return tmpfs.NewOver(lower, "overlay", tmpfs.Options{Size: size})
}
