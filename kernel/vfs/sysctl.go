package vfs

import (
	"math"

	"gosv/kernel/frame"
	"gosv/kernel/sysctl"
)

// sysctls are the settings of files.
var sysctls = [...]sysctl.Row{
	{Name: "fs.file-max", Value: &sysctl.Ulong{Get: func(int) uint64 { return MaxFiles() }, Set: setMaxFiles, Max: math.MaxInt64}},
	{Name: "fs.file-nr", Value: &sysctl.Ulong{N: 3, Get: fileNumbers}},
	{Name: "fs.nr_open", Value: &sysctl.Uint{Var: &MaxOpen, Min: 64, Max: maxFDs}},
	{Name: "fs.protected_symlinks", Value: &sysctl.Int{Var: &protectedSymlinks, Max: 1}},
	{Name: "fs.protected_hardlinks", Value: &sysctl.Int{Var: &protectedHardlinks, Max: 1}},
	{Name: "fs.protected_fifos", Value: &sysctl.Int{Var: &protectedFIFOs, Max: 2}},
	{Name: "fs.protected_regular", Value: &sysctl.Int{Var: &protectedRegular, Max: 2}},
}

func init() { sysctl.Register(sysctls[:]) }

// maxFiles is fs.file-max; 0 is what the memory allows for.
var maxFiles sysctl.Uint64

// MaxFiles is how many open file descriptions there may be in the machine, but for those of processes with CAP_SYS_ADMIN: one takes
// about 1 KiB, and they may take a tenth of the memory (files_maxfiles_init in fs/file_table.c).
func MaxFiles() uint64 {
	if n := maxFiles.Load(); n != 0 {
		return n - 1
	}
	return max(frame.Total()*(frame.Size/1024)/10, 8192)
}

func setMaxFiles(_ int, n uint64) error {
	maxFiles.Store(n + 1)
	return nil
}

// fileNumbers are the numbers of fs.file-nr: open, free, the most.
func fileNumbers(i int) uint64 {
	switch i {
	case 0:
		return uint64(OpenFiles())
	case 1:
		return 0
	}
	return MaxFiles()
}

// privileged reports whether who uses a table may have more files than fs.file-max. Table.mu is held.
var privileged = func(*FDTable) bool { return true }

// SetPrivileged sets what tells whether who uses a table has CAP_SYS_ADMIN. It may not use the table.
func SetPrivileged(f func(*FDTable) bool) { privileged = f }

// tooMany reports whether there are more files than fs.file-max.
func tooMany() bool { return uint64(openFiles.Load()) > MaxFiles() }
