package loader

import (
	"encoding/binary"

	"golang.org/x/sys/unix"
	"gosv/kernel/cpu"
	"gosv/kernel/mm"
)

// Program header types and flags (elf(5)).
const (
	ptLoad     = 1
	ptDynamic  = 2
	ptInterp   = 3
	ptPhdr     = 6
	ptGNUStack = 0x6474e551

	pfX = 1
	pfW = 2
	pfR = 4

	etExec = 2
	etDyn  = 3

	ehdrSize = 64
	phdrSize = 56
	maxPhdrs = 65536 / phdrSize // as Linux
)

// A header is what the kernel needs of an ELF file's header.
type header struct {
	typ   uint16
	entry uint64
	phoff uint64
	phnum int
	progs []program
}

// A program is one program header.
type program struct {
	typ, flags           uint32
	off, vaddr           uint64
	filesz, memsz, align uint64
}

// parseHeader reads the ELF header; ENOEXEC for anything that is not a 64-bit
// program of this machine.
func parseHeader(b []byte) (h header, err error) {
	le := binary.LittleEndian
	if len(b) < ehdrSize || string(b[:4]) != "\x7fELF" || b[4] != 2 || b[5] != 1 {
		return h, unix.ENOEXEC
	}
	h.typ = le.Uint16(b[16:])
	h.entry = le.Uint64(b[24:])
	h.phoff = le.Uint64(b[32:])
	h.phnum = int(le.Uint16(b[56:]))
	if h.typ != etExec && h.typ != etDyn || le.Uint16(b[18:]) != vdsoMachine ||
		le.Uint16(b[54:]) != phdrSize || h.phnum == 0 || h.phnum > maxPhdrs || h.phoff > 1<<62 {
		return h, unix.ENOEXEC
	}
	return h, nil
}

// parsePrograms reads the program headers and checks them: segments ascend and
// do not overlap, lie in the user half, are congruent with their place in the
// file, and no larger there than in memory.
func (h *header) parsePrograms(b []byte) error {
	le := binary.LittleEndian
	h.progs = make([]program, h.phnum)
	end, loads := uint64(0), 0
	for i := range h.progs {
		p := b[i*phdrSize:]
		s := program{
			typ: le.Uint32(p[0:]), flags: le.Uint32(p[4:]), off: le.Uint64(p[8:]), vaddr: le.Uint64(p[16:]),
			filesz: le.Uint64(p[32:]), memsz: le.Uint64(p[40:]), align: le.Uint64(p[48:]),
		}
		h.progs[i] = s
		if s.typ != ptLoad || s.memsz == 0 {
			continue
		}
		loads++
		const top = cpu.UserTop
		if s.filesz > s.memsz || s.memsz > top || s.vaddr > top-s.memsz || s.off > 1<<62 || s.filesz > 1<<62 ||
			s.filesz != 0 && s.vaddr%cpu.PageSize != s.off%cpu.PageSize || s.vaddr < end {
			return unix.ENOEXEC
		}
		end = s.vaddr + s.memsz
	}
	if loads == 0 {
		return unix.ENOEXEC
	}
	return nil
}

// span is the range of addresses that the segments take, in whole pages, and the
// alignment that they want.
func (h *header) span() (lo, hi, align uint64) {
	lo, align = ^uint64(0), cpu.PageSize
	for _, s := range h.progs {
		if s.typ == ptLoad && s.memsz != 0 {
			lo = min(lo, s.vaddr&^(cpu.PageSize-1))
			hi = max(hi, pageUp(s.vaddr+s.memsz))
			if s.align&(s.align-1) == 0 && s.align > align && s.align <= 1<<30 {
				align = s.align
			}
		}
	}
	return lo, hi, align
}

// phdrAddr is where the program headers lie in memory, before the bias; 0 if they
// are in no segment.
func (h *header) phdrAddr() uint64 {
	for _, s := range h.progs {
		if s.typ == ptPhdr {
			return s.vaddr
		}
	}
	for _, s := range h.progs {
		if s.typ == ptLoad && h.phoff >= s.off && h.phoff-s.off+uint64(h.phnum)*phdrSize <= s.filesz {
			return s.vaddr + h.phoff - s.off
		}
	}
	return 0
}

// executableStack reports whether PT_GNU_STACK wants one. Without that header
// there is none, as on Linux for x86-64.
func (h *header) executableStack() bool {
	for _, s := range h.progs {
		if s.typ == ptGNUStack {
			return s.flags&pfX != 0
		}
	}
	return false
}

func (s *program) prot() (p mm.Prot) {
	if s.flags&pfR != 0 {
		p |= mm.ProtRead
	}
	if s.flags&pfW != 0 {
		p |= mm.ProtWrite
	}
	if s.flags&pfX != 0 {
		p |= mm.ProtExec
	}
	return p
}

// mapSegments maps the file's segments at bias. noReplace refuses to map over
// something.
func (h *header) mapSegments(as *mm.AddressSpace, file mm.Mappable, bias uint64, noReplace bool) error {
	fixed := uint32(mapFixed)
	if noReplace {
		fixed = mapFixedNoReplace
	}
	for i := range h.progs {
		s := &h.progs[i]
		if s.typ != ptLoad || s.memsz == 0 {
			continue
		}
		start := s.vaddr + bias
		page := start &^ (cpu.PageSize - 1)
		fileEnd := start + s.filesz
		memEnd := pageUp(start + s.memsz)
		if s.filesz != 0 {
			flags := fixed
			if i > 0 {
				flags = mapFixed // a page shared with the segment before is this one's, as on Linux
			}
			if _, err := as.Mmap(mm.MapArgs{Addr: page, Len: pageUp(fileEnd) - page, Prot: s.prot(), Flags: mapPrivate | flags,
				File: file, Offset: s.off - (start - page)}); err != nil {
				return err
			}
			page = pageUp(fileEnd)
		}
		if memEnd > page {
			if _, err := as.Mmap(mm.MapArgs{Addr: page, Len: memEnd - page, Prot: s.prot(), Flags: mapPrivate | mapAnonymous | mapFixed}); err != nil {
				return err
			}
		}
		// The rest of the last file page belongs to the bss.
		if s.memsz > s.filesz && fileEnd%cpu.PageSize != 0 && s.flags&pfW != 0 && s.filesz != 0 {
			if err := as.ZeroOut(fileEnd, pageUp(fileEnd)-fileEnd); err != nil {
				return unix.ENOEXEC // the file ends before
			}
		}
	}
	return nil
}

func pageUp(a uint64) uint64 { return (a + cpu.PageSize - 1) &^ (cpu.PageSize - 1) }

const (
	mapPrivate        = unix.MAP_PRIVATE
	mapFixed          = unix.MAP_FIXED
	mapAnonymous      = unix.MAP_ANONYMOUS
	mapFixedNoReplace = unix.MAP_FIXED_NOREPLACE
)

// reserve finds room for n bytes, at addr if it is free, and leaves it unmapped.
// Nobody else uses the address space yet.
func reserve(as *mm.AddressSpace, addr, n uint64) (uint64, error) {
	at, err := as.Mmap(mm.MapArgs{Addr: addr, Len: n, Flags: mapPrivate | mapAnonymous | unix.MAP_NORESERVE})
	if err != nil {
		return 0, err
	}
	return at, as.Munmap(at, n)
}
