//go:build metal

package cpu

// HasFSGSBase reports whether ring 3 may use RDFSBASE and its siblings.
func HasFSGSBase() bool { return fsgsbase != 0 }

// HasTSCAux reports whether RDTSCP gives the index of the CPU: nobody sets TSC_AUX yet, so getcpu is a system call.
func HasTSCAux() bool { return false }
