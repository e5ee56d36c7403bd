//go:build metal

package cpu

// Random64 returns a number from the processor's own generator, if it has one.
//
//go:nosplit
func Random64() (uint64, bool) {
	_, _, c, _ := CPUID(1, 0)
	if m, _, _, _ := CPUID(0, 0); m >= 7 {
		if _, b, _, _ := CPUID(7, 0); b&(1<<18) != 0 {
			for range 16 {
				if v, ok := rdseed(); ok {
					return v, true
				}
			}
		}
	}
	if c&(1<<30) != 0 {
		for range 16 {
			if v, ok := rdrand(); ok {
				return v, true
			}
		}
	}
	return 0, false
}
