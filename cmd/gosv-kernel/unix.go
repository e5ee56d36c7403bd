//go:build metal

package main

// AF_UNIX sockets, which every kernel has.
import (
	"gosv/kernel/fs/procfs"
	"gosv/kernel/net/unix"
	"gosv/kernel/task"
)

func init() {
	procfs.RegisterNet("unix", unix.AppendList)
	task.OnExit(func(*task.Process) { unix.Collect() })
}
