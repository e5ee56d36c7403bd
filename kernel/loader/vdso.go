package loader

import (
	"encoding/binary"
	"sync"
	"sync/atomic"
	"unsafe"

	"gosv/kernel/cpu"
	"gosv/kernel/frame"
	"gosv/kernel/mm"
)

// The vDSO is a shared object that the kernel maps into every program: a page of
// data, vvar, and above it a page of code that reads the clock without a system
// call (vdso(7)). Go code builds the ELF file around the functions of
// vdso_amd64.s.

// vvar is the data page. A writer makes seq odd while it changes the rest.
type vvar struct {
	seq    uint32
	mode   uint32 // 0: the clock cannot be read in ring 3
	base   uint64 // CLOCK_MONOTONIC is (TSC-base)*mul>>shift
	mul    uint64
	shift  uint64
	wall   int64  // CLOCK_REALTIME is that much more
	getcpu uint32 // 1: RDTSCP has the number of the CPU
}

var vdso struct {
	once  sync.Once
	cache *mm.Cache
	data  *vvar
	err   error
	mu    sync.Mutex // one writer of data
}

// vdsoObject is what programs map.
type vdsoObject struct{ name string }

func (o *vdsoObject) Cache() *mm.Cache { return vdso.cache }
func (o *vdsoObject) MapName() string  { return o.name }
func (o *vdsoObject) Retain()          {}
func (o *vdsoObject) Release()         {}

var vvarObject, vdsoCodeObject = &vdsoObject{"[vvar]"}, &vdsoObject{"[vdso]"}

func initVDSO() {
	c := mm.NewCache(nil)
	if vdso.err = c.SetSize(2 * cpu.PageSize); vdso.err != nil {
		return
	}
	var pages [2]frame.Frame
	for i := range pages {
		if pages[i], vdso.err = c.Page(uint64(i), true); vdso.err != nil {
			return
		}
	}
	copy(pages[1].Bytes(), buildVDSO())
	vdso.data = (*vvar)(unsafe.Pointer(unsafe.SliceData(pages[0].Bytes())))
	vdso.cache = c
	UpdateVDSOClock()
}

// UpdateVDSOClock takes over the clock's parameters, after the wall clock was set.
func UpdateVDSOClock() {
	d := vdso.data
	if d == nil {
		return
	}
	vdso.mu.Lock()
	defer vdso.mu.Unlock()
	mul, shift, base, wall := cpu.TSCParams()
	atomic.AddUint32(&d.seq, 1)
	d.base, d.mul, d.shift, d.wall = base, mul, uint64(shift), wall
	d.mode = 0
	if mul != 0 && shift < 64 {
		d.mode = 1
	}
	d.getcpu = 0
	if cpu.HasTSCAux() {
		d.getcpu = 1
	}
	atomic.AddUint32(&d.seq, 1)
}

// mapVDSO maps the pages into as and returns the address of the ELF header.
func mapVDSO(as *mm.AddressSpace) (uint64, error) {
	vdso.once.Do(initVDSO)
	if vdso.err != nil {
		return 0, vdso.err
	}
	base, err := reserve(as, 0, 2*cpu.PageSize)
	if err != nil {
		return 0, err
	}
	for i, o := range []*vdsoObject{vvarObject, vdsoCodeObject} {
		prot := mm.ProtRead
		if i == 1 {
			prot |= mm.ProtExec
		}
		if _, err := as.Mmap(mm.MapArgs{Addr: base + uint64(i)*cpu.PageSize, Len: cpu.PageSize, Prot: prot,
			Flags: mapPrivate | mapFixed, File: o, Offset: uint64(i) * cpu.PageSize}); err != nil {
			return 0, err
		}
	}
	return base + cpu.PageSize, nil
}

// buildVDSO makes the ELF file, one page that is its own only segment. Each
// function has two names, __vdso_X and the weak X, in version LINUX_2.6.
func buildVDSO() []byte {
	const (
		soname   = "linux-vdso.so.1"
		version  = "LINUX_2.6"
		ehdrLen  = 64
		phdrLen  = 56
		symLen   = 24
		phnum    = 2
		dynCount = 10
	)
	le := binary.LittleEndian
	page := make([]byte, cpu.PageSize)

	strs := []byte{0}
	str := func(s string) uint32 {
		at := len(strs)
		strs = append(append(strs, s...), 0)
		return uint32(at)
	}
	sonameAt, versionAt := str(soname), str(version)

	type symbol struct {
		name string
		at   uint32
		bind byte
		code int
	}
	syms := []symbol{{}}
	for i, n := range vdsoNames {
		for _, s := range []symbol{{name: "__vdso_" + n, bind: 1}, {name: n, bind: 2}} {
			s.at, s.code = str(s.name), i
			syms = append(syms, s)
		}
	}

	at := ehdrLen + phnum*phdrLen
	place := func(n, align int) int {
		at = (at + align - 1) &^ (align - 1)
		p := at
		at += n
		return p
	}
	const buckets = 5
	hashAt := place(4*(2+buckets+len(syms)), 8)
	symAt := place(symLen*len(syms), 8)
	strAt := place(len(strs), 1)
	versymAt := place(2*len(syms), 2)
	verdefAt := place(2*28, 4)
	dynAt := place(16*dynCount, 16)
	var codeAt, codeLen [len(vdsoNames)]int
	for i := range vdsoNames {
		code := vdsoFunction(i)
		codeAt[i], codeLen[i] = place(len(code), 16), len(code)
		copy(page[codeAt[i]:], code)
	}

	copy(page, "\x7fELF\x02\x01\x01")
	le.PutUint16(page[16:], 3) // ET_DYN
	le.PutUint16(page[18:], vdsoMachine)
	le.PutUint32(page[20:], 1)
	le.PutUint64(page[32:], ehdrLen) // e_phoff
	le.PutUint16(page[52:], ehdrLen)
	le.PutUint16(page[54:], phdrLen)
	le.PutUint16(page[56:], phnum)
	le.PutUint16(page[58:], 64) // e_shentsize
	phdr := func(i int, typ, flags uint32, off, n, align int) {
		p := page[ehdrLen+i*phdrLen:]
		le.PutUint32(p[0:], typ)
		le.PutUint32(p[4:], flags)
		for j, v := range []int{off, off, off, n, n, align} {
			le.PutUint64(p[8+8*j:], uint64(v))
		}
	}
	phdr(0, ptLoad, pfR|pfX, 0, at, cpu.PageSize)
	phdr(1, ptDynamic, pfR, dynAt, 16*dynCount, 8)

	h := page[hashAt:]
	le.PutUint32(h[0:], buckets)
	le.PutUint32(h[4:], uint32(len(syms)))
	for i, s := range syms {
		if i == 0 {
			continue
		}
		p := page[symAt+symLen*i:]
		le.PutUint32(p[0:], s.at)
		p[4] = s.bind<<4 | 2   // STT_FUNC
		le.PutUint16(p[6:], 1) // a section: it is defined
		le.PutUint64(p[8:], uint64(codeAt[s.code]))
		le.PutUint64(p[16:], uint64(codeLen[s.code]))
		le.PutUint16(page[versymAt+2*i:], 2)
		slot := h[8+4*(elfHash(s.name)%buckets):]
		le.PutUint32(h[8+4*(buckets+i):], le.Uint32(slot)) // chain
		le.PutUint32(slot, uint32(i))
	}
	copy(page[strAt:], strs)
	verdef := func(i int, flags, index uint16, name string, nameAt uint32, next uint32) {
		p := page[verdefAt+28*i:]
		le.PutUint16(p[0:], 1)
		le.PutUint16(p[2:], flags)
		le.PutUint16(p[4:], index)
		le.PutUint16(p[6:], 1)
		le.PutUint32(p[8:], elfHash(name))
		le.PutUint32(p[12:], 20) // the one Verdaux follows
		le.PutUint32(p[16:], next)
		le.PutUint32(p[20:], nameAt)
	}
	verdef(0, 1, 1, soname, sonameAt, 28)
	verdef(1, 0, 2, version, versionAt, 0)

	for i, d := range [dynCount][2]uint64{
		{14, uint64(sonameAt)}, {4, uint64(hashAt)}, {5, uint64(strAt)}, {6, uint64(symAt)},
		{10, uint64(len(strs))}, {11, symLen},
		{0x6ffffff0, uint64(versymAt)}, {0x6ffffffc, uint64(verdefAt)}, {0x6ffffffd, 2}, {0, 0},
	} {
		le.PutUint64(page[dynAt+16*i:], d[0])
		le.PutUint64(page[dynAt+16*i+8:], d[1])
	}
	return page
}

// elfHash is the hash function of the System V ABI.
func elfHash(s string) uint32 {
	var h uint32
	for i := range len(s) {
		h = h<<4 + uint32(s[i])
		g := h & 0xf0000000
		h ^= g >> 24
		h &^= g
	}
	return h
}
