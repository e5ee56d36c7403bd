package loader

import (
	"encoding/binary"
	"testing"

	"golang.org/x/sys/unix"
	"gosv/kernel/cpu"
	"gosv/kernel/mm"
)

// memFile is a file of the page cache.
type memFile struct{ c *mm.Cache }

func (f memFile) Cache() *mm.Cache { return f.c }
func (f memFile) MapName() string  { return "/test" }
func (f memFile) Retain()          {}
func (f memFile) Release()         {}

func newMemFile(t testing.TB, b []byte) memFile {
	c := mm.NewCache(nil)
	if err := c.SetSize(int64(len(b))); err != nil {
		t.Fatal(err)
	}
	buf := mm.KernelBuf(b)
	if _, err := c.Write(&buf, 0); err != nil {
		t.Fatal(err)
	}
	return memFile{c}
}

// makeELF is a program of the segments in progs.
func makeELF(typ uint16, entry uint64, size int, progs ...program) []byte {
	le := binary.LittleEndian
	b := make([]byte, max(size, ehdrSize+len(progs)*phdrSize))
	copy(b, "\x7fELF\x02\x01\x01")
	le.PutUint16(b[16:], typ)
	le.PutUint16(b[18:], vdsoMachine)
	le.PutUint64(b[24:], entry)
	le.PutUint64(b[32:], ehdrSize)
	le.PutUint16(b[54:], phdrSize)
	le.PutUint16(b[56:], uint16(len(progs)))
	for i, s := range progs {
		p := b[ehdrSize+i*phdrSize:]
		le.PutUint32(p[0:], s.typ)
		le.PutUint32(p[4:], s.flags)
		le.PutUint64(p[8:], s.off)
		le.PutUint64(p[16:], s.vaddr)
		le.PutUint64(p[32:], s.filesz)
		le.PutUint64(p[40:], s.memsz)
		le.PutUint64(p[48:], s.align)
	}
	return b
}

func parse(b []byte) (header, error) {
	h, err := parseHeader(b)
	if err != nil {
		return h, err
	}
	if uint64(len(b)) < h.phoff || uint64(len(b))-h.phoff < uint64(h.phnum*phdrSize) {
		return h, unix.ENOEXEC
	}
	return h, h.parsePrograms(b[h.phoff:])
}

func TestSegments(t *testing.T) {
	file := makeELF(etExec, 0x401000, 0x2100,
		program{typ: ptLoad, flags: pfR | pfX, off: 0, vaddr: 0x400000, filesz: 0x1800, memsz: 0x1800, align: 0x1000},
		program{typ: ptLoad, flags: pfR | pfW, off: 0x2010, vaddr: 0x403010, filesz: 0xf0, memsz: 0x3000, align: 0x1000},
		program{typ: ptGNUStack, flags: pfR | pfW})
	for i := range file[0x2010:] {
		file[0x2010+i] = 0xaa
	}
	h, err := parse(file)
	if err != nil {
		t.Fatal(err)
	}
	if lo, hi, align := h.span(); lo != 0x400000 || hi != 0x407000 || align != 0x1000 {
		t.Errorf("span %#x %#x %#x", lo, hi, align)
	}
	if at := h.phdrAddr(); at != 0x400040 {
		t.Errorf("program headers at %#x", at)
	}
	if h.executableStack() {
		t.Error("executable stack")
	}
	as, err := mm.New()
	if err != nil {
		t.Fatal(err)
	}
	defer as.Release()
	as.SetLayout(0x7f0000000000, 0, 0x7ffff0000000)
	if err := h.mapSegments(as, newMemFile(t, file), 0, true); err != nil {
		t.Fatal(err)
	}
	var b [0x200]byte
	if err := as.CopyIn(b[:], 0x403000); err != nil {
		t.Fatal(err)
	}
	if b[0x10] != 0xaa || b[0xff] != 0xaa || b[0x100] != 0 || b[0x1ff] != 0 {
		t.Errorf("data % x ... % x", b[0x10:0x14], b[0xfe:0x102])
	}
	if err := as.ZeroOut(0x405000, 0x1000); err != nil {
		t.Errorf("bss: %v", err)
	}
	if err := as.ZeroOut(0x400000, 8); err == nil {
		t.Error("text is writable")
	}
}

func TestBadHeaders(t *testing.T) {
	load := program{typ: ptLoad, flags: pfR, vaddr: 0x400000, filesz: 0x100, memsz: 0x100}
	edit := func(f func(p *program)) []byte {
		p := load
		f(&p)
		return makeELF(etExec, 0x400000, 0x1000, p)
	}
	good := makeELF(etExec, 0x400000, 0x1000, load)
	if _, err := parse(good); err != nil {
		t.Fatal(err)
	}
	cut := func(at int, v byte) []byte {
		b := append([]byte(nil), good...)
		b[at] = v
		return b
	}
	for name, b := range map[string][]byte{
		"empty":        nil,
		"short":        good[:40],
		"magic":        cut(0, 'x'),
		"32 bits":      cut(4, 1),
		"big endian":   cut(5, 2),
		"relocatable":  cut(16, 1),
		"other CPU":    cut(18, 40),
		"no headers":   makeELF(etExec, 0, 0x100),
		"header size":  cut(54, 32),
		"overlap":      makeELF(etExec, 0, 0x1000, load, load),
		"descending":   makeELF(etExec, 0, 0x1000, program{typ: ptLoad, vaddr: 0x500000, memsz: 1}, load),
		"file > mem":   edit(func(p *program) { p.filesz = 0x200 }),
		"misaligned":   edit(func(p *program) { p.off = 0x10 }),
		"kernel half":  edit(func(p *program) { p.vaddr = 1 << 63 }),
		"wraps around": edit(func(p *program) { p.memsz = ^uint64(0) - 0x1000 }),
		"huge offset":  edit(func(p *program) { p.off = 1 << 63 }),
		"no segment":   edit(func(p *program) { p.typ = 4 }),
	} {
		if _, err := parse(b); err != unix.ENOEXEC {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Whatever a file contains, parsing and mapping it ends in an errno or in areas
// of the user half.
func FuzzELF(f *testing.F) {
	f.Add(makeELF(etExec, 0x400000, 0x2000, program{typ: ptLoad, flags: pfR | pfW, vaddr: 0x400000, filesz: 0x1000, memsz: 0x3000}))
	f.Add(makeELF(etDyn, 0x100, 0x1000, program{typ: ptLoad, flags: pfR | pfX, filesz: 0x800, memsz: 0x800, align: 0x200000}))
	f.Add([]byte("\x7fELF"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > 1<<16 {
			return
		}
		h, err := parse(b)
		if err != nil {
			return
		}
		as, err := mm.New()
		if err != nil {
			t.Fatal(err)
		}
		defer as.Release()
		as.SetLayout(0x7f0000000000, 0, 0x7ffff0000000)
		lo, hi, align := h.span()
		if lo >= hi || hi > cpu.UserTop+cpu.PageSize || align&(align-1) != 0 {
			t.Fatalf("span %#x %#x %#x", lo, hi, align)
		}
		h.phdrAddr()
		h.mapSegments(as, newMemFile(t, b), 0, true) //nolint:errcheck // any errno will do
		as.Areas(func(a mm.AreaInfo) bool {
			if a.Start >= a.End || a.End > cpu.UserTop {
				t.Fatalf("area %#x-%#x", a.Start, a.End)
			}
			return true
		})
	})
}
