package elfdeps

import (
	"debug/elf"
	"path/filepath"
	"slices"
	"strings"
)

// DefaultDirs is where glibc of this tool's architecture looks last.
func DefaultDirs() []string { return defaultDirs(elf.EM_X86_64) }

// defaultDirs is where glibc looks last: Debian's multiarch directories, then
// those that other distributions compile in.
func defaultDirs(m elf.Machine) []string {
	triplet := "x86_64-linux-gnu"
	if m == elf.EM_AARCH64 {
		triplet = "aarch64-linux-gnu"
	}
	return []string{"/lib/" + triplet, "/usr/lib/" + triplet, "/lib64", "/usr/lib64", "/lib", "/usr/lib"}
}

func isDefault(path string, m elf.Machine) bool {
	return slices.Contains(defaultDirs(m), filepath.Dir(path))
}

func cacheFlags(m elf.Machine) uint32 {
	if m == elf.EM_AARCH64 {
		return flagELFLibc6 | flagAArch64
	}
	return flagELFLibc6 | flagX8664
}

// muslDirs is musl's search path: the file /etc/ld-musl-ARCH.path, or the
// compiled-in one.
func (r *Resolver) muslDirs() []string {
	arch := "x86_64"
	if r.Machine == elf.EM_AARCH64 {
		arch = "aarch64"
	}
	b, err := r.readFile("/etc/ld-musl-"+arch+".path", 1<<16)
	if err != nil {
		return []string{"/lib", "/usr/local/lib", "/usr/lib"}
	}
	return strings.FieldsFunc(string(b), func(c rune) bool { return c == ':' || c == '\n' })
}

// muslOwn tells the libraries that are inside musl's interpreter.
func muslOwn(name string) bool {
	for _, p := range []string{"libc.", "libpthread.", "librt.", "libm.", "libdl.", "libutil.", "libxnet."} {
		if strings.HasPrefix(name, p) {
			return true
		}
	}
	return false
}

func splitPath(s string) []string {
	if s == "" {
		return nil
	}
	return strings.FieldsFunc(s, func(c rune) bool { return c == ':' || c == ';' })
}

// expand replaces the dynamic string tokens of ld.so(8): $ORIGIN, $LIB and
// $PLATFORM, also in braces.
func expand(s, origin string, m elf.Machine) string {
	if !strings.Contains(s, "$") {
		return s
	}
	lib, platform := "lib/x86_64-linux-gnu", "x86_64"
	if m == elf.EM_AARCH64 {
		lib, platform = "lib/aarch64-linux-gnu", "aarch64"
	}
	dir := "/"
	if origin != "" {
		dir = filepath.Dir(origin)
	}
	return strings.NewReplacer("${ORIGIN}", dir, "$ORIGIN", dir, "${LIB}", lib, "$LIB", lib,
		"${PLATFORM}", platform, "$PLATFORM", platform).Replace(s)
}
