package elfdeps

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// File is what the dynamic linker reads of an ELF file: its program headers
// and its dynamic section. Section headers are not looked at, as ld.so does not
// look at them either, and a stripped program may have none.
type File struct {
	Class   elf.Class
	Machine elf.Machine
	Type    elf.Type
	Interp  string   // PT_INTERP, "" if there is none
	Soname  string   // DT_SONAME
	Needed  []string // DT_NEEDED, in order
	RPath   []string // DT_RPATH, split at colons
	RunPath []string // DT_RUNPATH, split at colons
	NoDefLib,
	Dynamic bool // DF_1_NODEFLIB; has a PT_DYNAMIC
}

// Errors of ParseELF. They are wrapped with what was found.
var (
	ErrNotELF  = errors.New("not an ELF file")
	ErrBadELF  = errors.New("damaged ELF file")
	ErrMachine = errors.New("wrong architecture")
)

// Bounds on what a file may make the parser do.
const (
	maxPhdrs   = 1024
	maxDynamic = 1 << 16
	maxStrtab  = 64 << 20
	maxString  = 4096
)

type phdr struct {
	typ                         elf.ProgType
	off, vaddr, filesz, memsize uint64
}

// ParseELF reads the ELF header, the program headers and the dynamic section of r (System V ABI, chapters 4 and 5).
func ParseELF(r io.ReaderAt) (*File, error) {
	var ident [64]byte
	n, err := r.ReadAt(ident[:], 0)
	if n < 16 || !bytes.Equal(ident[:4], []byte(elf.ELFMAG)) {
		if err != nil && err != io.EOF {
			return nil, err
		}
		return nil, ErrNotELF
	}
	f := &File{Class: elf.Class(ident[elf.EI_CLASS])}
	if elf.Data(ident[elf.EI_DATA]) != elf.ELFDATA2LSB {
		return nil, fmt.Errorf("%w: a big-endian file", ErrMachine)
	}
	le := binary.LittleEndian
	f.Type, f.Machine = elf.Type(le.Uint16(ident[16:])), elf.Machine(le.Uint16(ident[18:]))
	if f.Class != elf.ELFCLASS64 {
		if f.Class == elf.ELFCLASS32 {
			return f, fmt.Errorf("%w: a 32-bit file (%s)", ErrMachine, machineName(f.Machine))
		}
		return nil, fmt.Errorf("%w: class %d", ErrBadELF, f.Class)
	}
	if n < 64 {
		return nil, fmt.Errorf("%w: the header is cut short", ErrBadELF)
	}
	phoff, phentsize, phnum := le.Uint64(ident[32:]), le.Uint16(ident[54:]), le.Uint16(ident[56:])
	if phnum == 0 {
		return f, nil // an object file
	}
	if phentsize != 56 || phnum > maxPhdrs || phoff > 1<<62 {
		return nil, fmt.Errorf("%w: program headers", ErrBadELF)
	}
	table := make([]byte, int(phnum)*56)
	if _, err := r.ReadAt(table, int64(phoff)); err != nil {
		return nil, fmt.Errorf("%w: program headers beyond the end", ErrBadELF)
	}
	phs := make([]phdr, phnum)
	for i := range phs {
		b := table[i*56:]
		phs[i] = phdr{elf.ProgType(le.Uint32(b)), le.Uint64(b[8:]), le.Uint64(b[16:]), le.Uint64(b[32:]), le.Uint64(b[40:])}
	}
	for _, p := range phs {
		switch p.typ {
		case elf.PT_INTERP:
			if p.filesz == 0 || p.filesz > maxString || p.off > 1<<62 {
				return nil, fmt.Errorf("%w: PT_INTERP", ErrBadELF)
			}
			b := make([]byte, p.filesz)
			if _, err := r.ReadAt(b, int64(p.off)); err != nil {
				return nil, fmt.Errorf("%w: PT_INTERP beyond the end", ErrBadELF)
			}
			f.Interp = cString(b)
		case elf.PT_DYNAMIC:
			f.Dynamic = true
			if err := f.parseDynamic(r, p, phs); err != nil {
				return nil, err
			}
		}
	}
	return f, nil
}

func (f *File) parseDynamic(r io.ReaderAt, dyn phdr, phs []phdr) error {
	if dyn.filesz > maxDynamic*16 || dyn.off > 1<<62 {
		return fmt.Errorf("%w: PT_DYNAMIC", ErrBadELF)
	}
	table := make([]byte, dyn.filesz&^15)
	if _, err := r.ReadAt(table, int64(dyn.off)); err != nil {
		return fmt.Errorf("%w: PT_DYNAMIC beyond the end", ErrBadELF)
	}
	le := binary.LittleEndian
	type str struct {
		tag elf.DynTag
		off uint64
	}
	var strs []str
	var strtab, strsz uint64
entries:
	for ; len(table) >= 16; table = table[16:] {
		tag, val := elf.DynTag(le.Uint64(table)), le.Uint64(table[8:])
		switch tag {
		case elf.DT_NULL:
			break entries
		case elf.DT_STRTAB:
			strtab = val
		case elf.DT_STRSZ:
			strsz = val
		case elf.DT_NEEDED, elf.DT_SONAME, elf.DT_RPATH, elf.DT_RUNPATH:
			strs = append(strs, str{tag, val})
		case elf.DT_FLAGS_1:
			f.NoDefLib = val&uint64(elf.DF_1_NODEFLIB) != 0
		}
	}
	if len(strs) == 0 {
		return nil
	}
	if strsz > maxStrtab {
		return fmt.Errorf("%w: DT_STRSZ", ErrBadELF)
	}
	off, ok := fileOffset(phs, strtab)
	if !ok {
		return fmt.Errorf("%w: DT_STRTAB", ErrBadELF)
	}
	for _, s := range strs {
		if s.off >= strsz {
			return fmt.Errorf("%w: a name beyond the string table", ErrBadELF)
		}
		b := make([]byte, min(strsz-s.off, maxString))
		n, err := r.ReadAt(b, int64(off+s.off))
		if n == 0 && err != nil {
			return fmt.Errorf("%w: the string table is beyond the end", ErrBadELF)
		}
		v := cString(b[:n])
		switch s.tag {
		case elf.DT_NEEDED:
			f.Needed = append(f.Needed, v)
		case elf.DT_SONAME:
			f.Soname = v
		case elf.DT_RPATH:
			f.RPath = splitPath(v)
		case elf.DT_RUNPATH:
			f.RunPath = splitPath(v)
		}
	}
	return nil
}

func fileOffset(phs []phdr, vaddr uint64) (uint64, bool) {
	for _, p := range phs {
		if p.typ == elf.PT_LOAD && vaddr >= p.vaddr && vaddr-p.vaddr < p.filesz && p.off < 1<<62 {
			return p.off + vaddr - p.vaddr, true
		}
	}
	return 0, false
}

func cString(b []byte) string {
	if i := bytes.IndexByte(b, 0); i >= 0 {
		b = b[:i]
	}
	return string(b)
}

// machineName is how people call an architecture.
func machineName(m elf.Machine) string {
	switch m {
	case elf.EM_X86_64:
		return "x86-64"
	case elf.EM_AARCH64:
		return "arm64"
	case elf.EM_386:
		return "i386"
	case elf.EM_ARM:
		return "arm"
	case elf.EM_RISCV:
		return "riscv"
	}
	return m.String()
}
