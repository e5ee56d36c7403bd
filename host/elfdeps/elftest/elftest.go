// Package elftest makes small ELF files for tests: with the headers that a dynamic linker reads, and no code.
package elftest

import (
	"debug/elf"
	"encoding/binary"
	"os"
	"path/filepath"
	"testing"
)

// File is what the ELF file says.
type File struct {
	Type           elf.Type    // ET_NONE: ET_DYN
	Machine        elf.Machine // EM_NONE: EM_X86_64
	Class          elf.Class   // ELFCLASSNONE: ELFCLASS64
	Interp, Soname string
	Needed         []string
	RPath, RunPath string
	NoDefLib       bool
	PAddr, Memory  uint64 // of the one PT_LOAD; Memory 0: the file's size
}

const headers = 64 + 3*56

// Bytes gives the file.
func (f File) Bytes() []byte {
	le := binary.LittleEndian
	if f.Type == elf.ET_NONE {
		f.Type = elf.ET_DYN
	}
	if f.Machine == elf.EM_NONE {
		f.Machine = elf.EM_X86_64
	}
	if f.Class == elf.ELFCLASSNONE {
		f.Class = elf.ELFCLASS64
	}
	strtab := []byte{0}
	str := func(s string) uint64 {
		off := len(strtab)
		strtab = append(append(strtab, s...), 0)
		return uint64(off)
	}
	var dyn []byte
	entry := func(tag elf.DynTag, v uint64) {
		dyn = le.AppendUint64(le.AppendUint64(dyn, uint64(tag)), v)
	}
	for _, n := range f.Needed {
		entry(elf.DT_NEEDED, str(n))
	}
	for _, t := range []struct {
		tag elf.DynTag
		s   string
	}{{elf.DT_SONAME, f.Soname}, {elf.DT_RPATH, f.RPath}, {elf.DT_RUNPATH, f.RunPath}} {
		if t.s != "" {
			entry(t.tag, str(t.s))
		}
	}
	if f.NoDefLib {
		entry(elf.DT_FLAGS_1, uint64(elf.DF_1_NODEFLIB))
	}
	dynSize := uint64(len(dyn) + 3*16)
	entry(elf.DT_STRTAB, headers+dynSize)
	entry(elf.DT_STRSZ, uint64(len(strtab)))
	entry(elf.DT_NULL, 0)
	interp := append([]byte(f.Interp), 0)
	interpOff := headers + dynSize + uint64(len(strtab))
	total := interpOff + uint64(len(interp))
	if f.Memory == 0 {
		f.Memory = total
	}

	b := make([]byte, headers, total)
	copy(b, elf.ELFMAG)
	b[elf.EI_CLASS], b[elf.EI_DATA], b[elf.EI_VERSION] = byte(f.Class), byte(elf.ELFDATA2LSB), 1
	le.PutUint16(b[16:], uint16(f.Type))
	le.PutUint16(b[18:], uint16(f.Machine))
	le.PutUint32(b[20:], 1)
	le.PutUint64(b[32:], 64)
	le.PutUint16(b[52:], 64)
	le.PutUint16(b[54:], 56)
	le.PutUint16(b[58:], 64) // e_shentsize
	n := 0
	ph := func(typ elf.ProgType, off, paddr, filesz, memsz uint64) {
		p := b[64+56*n:]
		n++
		le.PutUint32(p, uint32(typ))
		le.PutUint64(p[8:], off)
		le.PutUint64(p[16:], off)
		le.PutUint64(p[24:], paddr)
		le.PutUint64(p[32:], filesz)
		le.PutUint64(p[40:], memsz)
	}
	ph(elf.PT_LOAD, 0, f.PAddr, total, f.Memory)
	ph(elf.PT_DYNAMIC, headers, headers, dynSize, dynSize)
	if f.Interp != "" {
		ph(elf.PT_INTERP, interpOff, interpOff, uint64(len(interp)), uint64(len(interp)))
	}
	le.PutUint16(b[56:], uint16(n))
	b = append(b, dyn...)
	b = append(b, strtab...)
	return append(b, interp...)
}

// Write puts the file at a path, making its directory.
func (f File) Write(t testing.TB, name string) {
	t.Helper()
	WriteFile(t, name, string(f.Bytes()))
}

// WriteFile puts an executable file with any content at a path, making its directory.
func WriteFile(t testing.TB, name, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(content), 0o755); err != nil {
		t.Fatal(err)
	}
}
