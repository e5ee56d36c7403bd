package task

import (
	"encoding/binary"

	"gosv/abi/linux"
	"gosv/kernel/cpu"
	"gosv/kernel/mm"
)

const pageSize = cpu.PageSize

// coreHeader returns what comes before the memory: the ELF header, a program
// header for the notes and one for each area, the notes, and padding.
func (t *Thread) coreHeader(info *linux.SigInfo, w *coreWriter) []byte {
	const headerSize, progSize = 64, 56
	le := binary.LittleEndian
	w.segments = t.coreSegments()
	notes := t.coreNotes(info, w.segments)
	count := len(w.segments) + 1
	start := headerSize + progSize*count
	offset := (start + len(notes) + pageSize - 1) &^ (pageSize - 1)

	b := make([]byte, headerSize, offset)
	copy(b, linux.ELFMAG)
	b[4], b[5], b[6] = linux.ELFCLASS64, linux.ELFDATA2LSB, linux.EV_CURRENT
	le.PutUint16(b[16:], linux.ET_CORE)
	le.PutUint16(b[18:], linux.EM_X86_64)
	le.PutUint32(b[20:], linux.EV_CURRENT)
	le.PutUint64(b[32:], headerSize) // e_phoff
	le.PutUint16(b[52:], headerSize)
	le.PutUint16(b[54:], progSize)
	le.PutUint16(b[56:], uint16(count))
	program := func(kind uint32, flags uint32, off, addr, fileSize, memSize, align uint64) {
		b = le.AppendUint32(b, kind)
		b = le.AppendUint32(b, flags)
		for _, v := range [...]uint64{off, addr, 0, fileSize, memSize, align} {
			b = le.AppendUint64(b, v)
		}
	}
	program(linux.PT_NOTE, 0, uint64(start), 0, uint64(len(notes)), 0, 4)
	at := uint64(offset)
	for _, s := range w.segments {
		flags := uint32(0)
		if s.Prot&mm.ProtRead != 0 {
			flags |= linux.PF_R
		}
		if s.Prot&mm.ProtWrite != 0 {
			flags |= linux.PF_W
		}
		if s.Prot&mm.ProtExec != 0 {
			flags |= linux.PF_X
		}
		program(linux.PT_LOAD, flags, at, s.Start, s.size, s.End-s.Start, pageSize)
		at += s.size
	}
	b = append(b, notes...)
	return append(b, make([]byte, offset-len(b))...)
}

// coreSegments returns the areas, and how much of each the filter lets into the file.
func (t *Thread) coreSegments() (list []coreSegment) {
	t.MM.Areas(func(a mm.AreaInfo) bool {
		list = append(list, coreSegment{AreaInfo: a})
		return true
	})
	filter := t.Proc.CoreFilter()
	for i := range list {
		if s := &list[i]; t.inCore(s, filter) {
			s.size = s.End - s.Start
		} else if filter&linux.DumpELFHeaders != 0 && s.File != nil && !s.Shared && s.Offset == 0 && s.Prot&mm.ProtRead != 0 && !s.DontDump {
			var magic [4]byte
			if t.MM.CopyIn(magic[:], s.Start) == nil && string(magic[:]) == linux.ELFMAG {
				s.size = pageSize
			}
		}
	}
	return list
}

// inCore decides about a whole area as Linux does: private memory is dumped if
// the process has pages of its own in it.
func (t *Thread) inCore(s *coreSegment, filter uint32) bool {
	switch {
	case s.Name == "[vdso]":
		return true
	case s.DontDump, s.Name == "[vvar]":
		return false
	case s.Shared && s.File == nil:
		return filter&linux.DumpAnonShared != 0
	case s.Shared:
		return filter&linux.DumpFileShared != 0
	}
	if filter&linux.DumpAnonPrivate != 0 {
		if _, own, _ := t.MM.Residency(s.Start, s.End-s.Start); own > 0 {
			return true
		}
	}
	return s.File != nil && filter&linux.DumpFilePrivate != 0
}

// coreNotes are the notes: of the process, and of each thread, the one that died
// first.
func (t *Thread) coreNotes(info *linux.SigInfo, segments []coreSegment) []byte {
	b := appendNote(nil, "CORE", linux.NT_PRSTATUS, t.prStatus(info))
	b = appendNote(b, "CORE", linux.NT_PRPSINFO, t.prPsInfo())
	b = appendNote(b, "CORE", linux.NT_SIGINFO, info[:])
	if l := t.Proc.Layout(); l != nil {
		b = appendNote(b, "CORE", linux.NT_AUXV, l.Auxv)
	}
	b = appendNote(b, "CORE", linux.NT_FILE, fileNote(segments))
	b = t.appendFPNotes(b)
	for _, o := range t.Proc.Threads() {
		if o != t && o.inDump {
			b = appendNote(b, "CORE", linux.NT_PRSTATUS, o.prStatus(info))
			b = o.appendFPNotes(b)
		}
	}
	return b
}

func (t *Thread) appendFPNotes(b []byte) []byte {
	fp := t.FPState()
	b = appendNote(b, "CORE", linux.NT_PRFPREG, fp[:FXSize])
	if len(fp) > FXSize {
		b = appendNote(b, "LINUX", linux.NT_X86_XSTATE, fp)
	}
	return b
}

// appendNote adds a note (elf(5)).
func appendNote(b []byte, name string, kind uint32, desc []byte) []byte {
	le := binary.LittleEndian
	b = le.AppendUint32(b, uint32(len(name)+1))
	b = le.AppendUint32(b, uint32(len(desc)))
	b = le.AppendUint32(b, kind)
	b = append(b, name...)
	b = append(b, make([]byte, 4-len(name)%4)...)
	b = append(b, desc...)
	return append(b, make([]byte, -len(desc)&3)...)
}

// prStatus is struct elf_prstatus: the general registers.
func (t *Thread) prStatus(info *linux.SigInfo) []byte {
	p := t.Proc
	b := make([]byte, linux.PrStatusSize)
	le := binary.LittleEndian
	le.PutUint32(b[0:], uint32(info.Signo()))
	le.PutUint32(b[4:], uint32(info.Code()))
	le.PutUint16(b[12:], uint16(info.Signo()))
	p.mu.Lock()
	le.PutUint64(b[16:], uint64(t.sig.pending.set))
	p.mu.Unlock()
	le.PutUint64(b[24:], uint64(t.sig.mask))
	for i, id := range [...]int{t.TID, p.PPID(), p.PGID(), p.SID()} {
		le.PutUint32(b[32+4*i:], uint32(id))
	}
	user, sys := t.CPUTime()
	childUser, childSys := p.ChildCPUTime()
	for i, ns := range [...]int64{user, sys, childUser, childSys} {
		le.PutUint64(b[48+16*i:], uint64(ns/1e9))
		le.PutUint64(b[56+16*i:], uint64(ns%1e9/1e3))
	}
	for i := range NumUserRegs {
		le.PutUint64(b[linux.PrStatusRegs+8*i:], t.UserReg(i))
	}
	le.PutUint32(b[linux.PrStatusRegs+8*NumUserRegs:], 1) // pr_fpvalid
	return b
}

// prPsInfo is struct elf_prpsinfo: what ps(1) would show.
func (t *Thread) prPsInfo() []byte {
	p, c := t.Proc, t.Creds()
	b := make([]byte, linux.PrPsInfoSize)
	le := binary.LittleEndian
	b[1], b[3] = 'R', byte(t.Nice())
	le.PutUint32(b[16:], c.UID)
	le.PutUint32(b[20:], c.GID)
	for i, id := range [...]int{p.PID, p.PPID(), p.PGID(), p.SID()} {
		le.PutUint32(b[24+4*i:], uint32(id))
	}
	copy(b[40:55], t.Comm())
	if l := p.Layout(); l != nil {
		args := b[56 : 56+min(79, l.ArgEnd-l.ArgStart)]
		if t.MM.CopyIn(args, l.ArgStart) == nil {
			for i := range args {
				if args[i] == 0 {
					args[i] = ' '
				}
			}
		}
	}
	return b
}

// fileNote lists the mapped files.
func fileNote(segments []coreSegment) []byte {
	le := binary.LittleEndian
	count := 0
	var ranges, names []byte
	for _, s := range segments {
		if s.File == nil {
			continue
		}
		count++
		for _, v := range [...]uint64{s.Start, s.End, s.Offset / pageSize} {
			ranges = le.AppendUint64(ranges, v)
		}
		names = append(append(names, s.File.MapName()...), 0)
	}
	b := le.AppendUint64(nil, uint64(count))
	b = le.AppendUint64(b, pageSize)
	return append(append(b, ranges...), names...)
}
