//go:build !metal

package cpu

// HasFSGSBase reports whether ring 3 may use RDFSBASE and its siblings.
func HasFSGSBase() bool { return false }

// HasTSCAux reports whether RDTSCP gives the index of the CPU.
func HasTSCAux() bool { return false }

// SetWalltime has no effect: the host's clock is not ours to set.
func SetWalltime(ns int64) {}
