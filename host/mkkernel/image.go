package main

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"fmt"
)

const (
	stubPhys = 0x100000
	stubSize = 0x8000 // a page of code and seven page tables
)

type segment struct {
	elf.Prog64
	data []byte
}

// makeImage returns an ELF file with the loadable segments of the linked kernel at their physical addresses, the boot
// stub at 1 MiB, and the note that makes it a PVH kernel. Sections are dropped, and the tables of functions made smaller.
func makeImage(linked string, fullTables bool) (image []byte, entry uint64, err error) {
	f, err := elf.Open(linked)
	if err != nil {
		return nil, 0, err
	}
	defer f.Close()
	stub := bytes.Clone(stubCode[:])
	at := bytes.Index(stub, []byte{0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11})
	if at < 0 {
		return nil, 0, fmt.Errorf("the boot stub has no place for the entry address")
	}
	binary.LittleEndian.PutUint64(stub[at:], f.Entry)
	note := binary.LittleEndian.AppendUint32(nil, 4)  // namesz
	note = binary.LittleEndian.AppendUint32(note, 4)  // descsz
	note = binary.LittleEndian.AppendUint32(note, 18) // XEN_ELFNOTE_PHYS32_ENTRY
	note = append(note, "Xen\x00"...)
	note = binary.LittleEndian.AppendUint32(note, stubPhys)

	segs := []segment{
		{elf.Prog64{Type: uint32(elf.PT_NOTE), Flags: uint32(elf.PF_R), Align: 4, Memsz: uint64(len(note))}, note},
		{elf.Prog64{Type: uint32(elf.PT_LOAD), Flags: uint32(elf.PF_R | elf.PF_W | elf.PF_X), Align: 4096,
			Vaddr: stubPhys, Paddr: stubPhys, Memsz: stubSize}, stub},
	}
	var patches []patch
	if !fullTables {
		if patches, err = shrinkTables(f); err != nil {
			return nil, 0, err
		}
	}
	for _, p := range f.Progs {
		if p.Type != elf.PT_LOAD {
			continue
		}
		b := make([]byte, p.Filesz)
		if _, err := p.ReadAt(b, 0); err != nil {
			return nil, 0, err
		}
		for _, patch := range patches {
			if at := patch.addr - p.Vaddr; patch.addr >= p.Vaddr && at < p.Filesz {
				copy(b[at:], patch.data)
				if patch.last {
					b = b[:at+uint64(len(patch.data))]
					p.Memsz = uint64(len(b))
				}
			}
		}
		if p.Vaddr-kernelBase < stubPhys+stubSize {
			return nil, 0, fmt.Errorf("segment at %#x overlaps the boot stub", p.Vaddr)
		}
		segs = append(segs, segment{elf.Prog64{Type: uint32(elf.PT_LOAD), Flags: uint32(p.Flags), Align: 4096,
			Vaddr: p.Vaddr, Paddr: p.Vaddr - kernelBase, Memsz: p.Memsz}, b})
	}
	b, err := layOut(segs)
	return b, f.Entry, err
}

// layOut gives each segment a place in the file that is congruent to its address, and writes all.
func layOut(segs []segment) ([]byte, error) {
	off := uint64(64 + 56*len(segs))
	for i := range segs {
		s := &segs[i]
		s.Filesz = uint64(len(s.data))
		off = (off + 15) &^ 15
		if s.Type == uint32(elf.PT_LOAD) {
			off += (s.Vaddr - off) & 4095
		}
		s.Off = off
		off += s.Filesz
	}
	h := elf.Header64{Type: uint16(elf.ET_EXEC), Machine: uint16(elf.EM_X86_64), Version: 1, Entry: stubPhys,
		Phoff: 64, Ehsize: 64, Phentsize: 56, Phnum: uint16(len(segs)), Shentsize: 64}
	copy(h.Ident[:], "\x7fELF\x02\x01\x01")
	var buf bytes.Buffer
	if err := binary.Write(&buf, binary.LittleEndian, h); err != nil {
		return nil, err
	}
	for _, s := range segs {
		if err := binary.Write(&buf, binary.LittleEndian, s.Prog64); err != nil {
			return nil, err
		}
	}
	for _, s := range segs {
		buf.Write(make([]byte, int(s.Off)-buf.Len()))
		buf.Write(s.data)
	}
	return buf.Bytes(), nil
}
