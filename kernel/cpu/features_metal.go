//go:build metal

package cpu

// HasFSGSBase reports whether ring 3 may use RDFSBASE and its siblings.
func HasFSGSBase() bool { return fsgsbase != 0 }

// HasTSCAux reports whether RDTSCP gives the index of the CPU.
func HasTSCAux() bool { return hasTSCAux() }

//go:nosplit
func hasTSCAux() bool {
	if m, _, _, _ := CPUID(0x80000000, 0); m < 0x80000001 {
		return false
	}
	_, _, _, d := CPUID(0x80000001, 0)
	return d&(1<<27) != 0
}
