//go:build metal

package main

// AF_UNIX sockets, which every kernel has.
import (
	"gosv/kernel/fs/procfs"
	"gosv/kernel/net/unix"
)

func init() { procfs.RegisterNet("unix", unix.AppendList) }
