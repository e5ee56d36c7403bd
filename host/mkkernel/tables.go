package main

import (
	"debug/elf"
	"encoding/binary"
	"fmt"

	"gosv/host/mkkernel/pcln"
)

// A patch replaces bytes of a segment.
type patch struct {
	addr uint64
	data []byte
	last bool // the segment ends with it
}

// shrinkTables makes the tables of functions smaller, which are the last part of their segment but for two lists of links
// that follow them.
func shrinkTables(f *elf.File) ([]patch, error) {
	section := map[string]*elf.Section{}
	data := map[string][]byte{}
	for _, name := range []string{".gopclntab", ".typelink", ".itablink", ".go.module"} {
		s := f.Section(name)
		if s == nil {
			return nil, fmt.Errorf("no section %s: this Go release needs a look at mkkernel, or -full-pclntab", name)
		}
		b, err := s.Data()
		if err != nil {
			return nil, err
		}
		section[name], data[name] = s, b
	}
	tables, module := section[".gopclntab"], section[".go.module"]
	end := section[".itablink"].Addr + section[".itablink"].Size
	for _, p := range f.Progs {
		if p.Type == elf.PT_LOAD && p.Vaddr <= tables.Addr && tables.Addr < p.Vaddr+p.Filesz && (p.Vaddr+p.Filesz != end || p.Filesz != p.Memsz) {
			return nil, fmt.Errorf(".itablink is not the end of its segment: this Go release needs a look at mkkernel, or -full-pclntab")
		}
	}
	for _, s := range f.Sections {
		if s.Flags&elf.SHF_ALLOC == 0 || s.Type == elf.SHT_NOBITS || s == module {
			continue
		}
		if s.Addr > tables.Addr && s.Addr < end && s != section[".typelink"] && s != section[".itablink"] {
			return nil, fmt.Errorf("section %s is between the tables: this Go release needs a look at mkkernel, or -full-pclntab", s.Name)
		}
		if s.Flags&elf.SHF_EXECINSTR != 0 || s.Addr >= tables.Addr && s.Addr < end {
			continue
		}
		// Only the module data may point into what moves.
		b, err := s.Data()
		if err != nil {
			return nil, err
		}
		for at := -s.Addr & 7; at+8 <= uint64(len(b)); at += 8 {
			if v := binary.LittleEndian.Uint64(b[at:]); v >= tables.Addr && v < end {
				return nil, fmt.Errorf("%s points to %#x in the tables: this Go release needs a look at mkkernel, or -full-pclntab", s.Name, v)
			}
		}
	}
	sections, m, err := pcln.Shrink(&pcln.Linked{Tables: data[".gopclntab"], Addr: tables.Addr, Module: data[".go.module"],
		Typelink: data[".typelink"], TypelinkAddr: section[".typelink"].Addr,
		Itablink: data[".itablink"], ItablinkAddr: section[".itablink"].Addr})
	if err != nil {
		return nil, err
	}
	if tables.Addr+uint64(len(sections)) > end {
		return nil, fmt.Errorf("the tables of functions grew; build with -full-pclntab")
	}
	return []patch{{tables.Addr, sections, true}, {module.Addr, m, false}}, nil
}
