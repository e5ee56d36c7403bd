package loader

import "gosv/kernel/cpu"

const platformName = "x86_64"

// hwcaps are AT_HWCAP, the feature flags of CPUID leaf 1, and AT_HWCAP2, where
// bit 1 says that ring 3 may use FSGSBASE.
func hwcaps() (hwcap, hwcap2 uint64) {
	_, _, _, d := cpu.CPUID(1, 0)
	if cpu.HasFSGSBase() {
		hwcap2 = 2
	}
	return uint64(d), hwcap2
}
