//go:build !metal

package cpu

// HasFSGSBase reports whether ring 3 may use RDFSBASE and its siblings.
func HasFSGSBase() bool { return false }

// HasTSCAux reports whether RDTSCP gives the index of the CPU.
func HasTSCAux() bool { return false }

// WallOffset is how much CLOCK_REALTIME is more than CLOCK_MONOTONIC, in ns.
func WallOffset() int64 { return Walltime() - Nanotime() }

// SetWalltime has no effect: the host's clock is not ours to set.
func SetWalltime(ns int64) {}
