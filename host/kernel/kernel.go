// Package kernel holds the kernel's ELF files inside the tool, and reads what the tool must know of such a file.
package kernel

import (
	"debug/elf"
	"embed"
	"errors"
	"fmt"
	"os"
)

// The directory is embedded, not the file, so that the tool compiles before
// the kernel was built.
//
//go:embed embedded
var files embed.FS

// ErrMissing says that the tool was built without a kernel.
var ErrMissing = errors.New("this gosv was built without its kernel; build it with \"make build\", or give one with --kernel FILE")

// Profile is a kind of kernel (host/mkkernel -profile).
type Profile string

// The profiles.
const (
	Full    Profile = "full"
	Minimal Profile = "minimal" // without IP networks
)

// Profiles are all of them.
var Profiles = []Profile{Full, Minimal}

// FileName is what the build calls the kernel of a profile.
func (p Profile) FileName() string {
	if p == Full {
		return "gosv-kernel.elf"
	}
	return "gosv-kernel-" + string(p) + ".elf"
}

// ELF gives the embedded kernel of a profile.
func ELF(p Profile) ([]byte, error) {
	b, err := files.ReadFile("embedded/" + p.FileName())
	if err != nil {
		return nil, ErrMissing
	}
	return b, nil
}

// Memory gives what a kernel file takes of a machine's memory: how many bytes, and
// the first physical address behind them, which is more if there is free memory
// between its segments.
func Memory(name string) (size, end uint64, err error) {
	f, err := os.Open(name)
	if err != nil {
		return 0, 0, err
	}
	defer f.Close()
	e, err := elf.NewFile(f)
	if err != nil {
		return 0, 0, fmt.Errorf("%s: not a kernel: %w", name, err)
	}
	if e.Machine != elf.EM_X86_64 && e.Machine != elf.EM_386 || e.Type != elf.ET_EXEC {
		return 0, 0, fmt.Errorf("%s: not a kernel for x86-64", name)
	}
	for _, p := range e.Progs {
		if p.Type == elf.PT_LOAD {
			size += p.Memsz
			end = max(end, p.Paddr+p.Memsz)
		}
	}
	return size, end, nil
}
