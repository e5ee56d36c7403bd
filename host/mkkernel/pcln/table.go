// Package pcln makes the function tables of a linked Go program smaller (section .gopclntab; Go Runtime Symbol Table,
// runtime/symtab.go and cmd/link/internal/ld/pcln.go). The garbage collector, the stack unwinder and panics need what the
// tables say of stack frames; file names, line numbers and the layout of arguments, a third of the tables, serve only
// people, who find them in the file with symbols.
package pcln

import (
	"bytes"
	"encoding/binary"
	"fmt"
)

// Indexes of tables and data of a function (internal/abi/symtab.go).
const (
	pcdataInlTree = 2
	pcdataArgLive = 3

	funcdataStackObjects = 2
	funcdataInlTree      = 3
	funcdataArgInfo      = 5
	funcdataArgLive      = 6
)

const (
	magic      = 0xfffffff1 // Go 1.20 and later
	headerSize = 72         // runtime.pcHeader
	funcSize   = 44         // runtime._func without its two arrays
	inlSize    = 16         // runtime.inlinedCall
	none       = ^uint32(0) // funcdata: there is none
)

// moduleSize is that of runtime.moduledata, and these are its fields, as numbers of 8-byte words. A slice is three.
const (
	moduleSize    = 74 * 8
	mHeader       = 0
	mNames        = 1
	mCutab        = 4
	mFiletab      = 7
	mPctab        = 10
	mFunctions    = 13
	mFtab         = 16
	mFindfunc     = 19
	mMinPC        = 20
	mMaxPC        = 21
	mText         = 22
	mRodata       = 39
	mGofunc       = 40
	mEpclntab     = 41
	mTextSections = 42 // one: no table of text sections
	mTypelinks    = 45
	mItablinks    = 48
	mNext         = 73
)

var le = binary.LittleEndian

// Linked is what of a linked program the tables are in.
type Linked struct {
	Tables   []byte // section .gopclntab
	Addr     uint64 // its address
	Module   []byte // section .go.module, runtime.firstmoduledata
	Typelink []byte // section .typelink
	Itablink []byte // section .itablink

	TypelinkAddr, ItablinkAddr uint64
}

// function is a runtime._func.
type function struct {
	entry, name, args, deferReturn uint32
	pcsp                           uint32
	startLine                      uint32
	id, flag                       byte
	pcdata, funcdata               []uint32
}

// tables are the parsed tables.
type tables struct {
	names, pctab, gofunc, findfunc []byte
	functions                      []function
	end                            uint32 // of the last function
}

func word(b []byte, i int) uint64       { return le.Uint64(b[i*8:]) }
func setWord(b []byte, i int, v uint64) { le.PutUint64(b[i*8:], v) }

// parse reads the tables and checks that they are laid out as the ones of the Go releases that this package knows.
func parse(l *Linked) (*tables, error) {
	unknown := func(format string, args ...any) error {
		return fmt.Errorf(".gopclntab: %s: this Go release needs a look at mkkernel, or -full-pclntab", fmt.Sprintf(format, args...))
	}
	b, m := l.Tables, l.Module
	switch {
	case len(m) != moduleSize:
		return nil, unknown("runtime.moduledata has %d bytes, want %d", len(m), moduleSize)
	case len(b) < headerSize || le.Uint32(b) != magic || b[4] != 0 || b[5] != 0:
		return nil, unknown("no header with magic number %#x", uint32(magic))
	case b[6] != 1 || b[7] != 8:
		return nil, unknown("instruction size %d, pointer size %d", b[6], b[7])
	case word(m, mHeader) != l.Addr:
		return nil, unknown("runtime.moduledata does not begin with its address")
	case word(m, mTextSections+1) != 1 || word(m, mNext) != 0:
		return nil, unknown("more than one text section or module")
	case word(m, mTypelinks) != l.TypelinkAddr || word(m, mTypelinks+1)*4 != uint64(len(l.Typelink)):
		return nil, unknown("type links are not in .typelink")
	case word(m, mItablinks) != l.ItablinkAddr || word(m, mItablinks+1)*8 != uint64(len(l.Itablink)):
		return nil, unknown("itab links are not in .itablink")
	case word(m, mMinPC) != word(m, mText):
		return nil, unknown("functions do not begin with the text")
	}
	// The parts follow each other, and the module's slices name them as the header does.
	n := int(word(b, 1))
	end := word(m, mEpclntab) - l.Addr
	starts := []uint64{headerSize}
	for _, f := range []int{mNames, mCutab, mFiletab, mPctab, mFunctions, mGofunc, mFindfunc} {
		at := word(m, f) - l.Addr
		if at < starts[len(starts)-1] || at > uint64(len(b)) {
			return nil, unknown("word %d of runtime.moduledata is %#x", f, word(m, f))
		}
		starts = append(starts, at)
	}
	for i, at := range starts[1:6] {
		if word(b, 4+i) != at {
			return nil, unknown("the header says %#x, runtime.moduledata %#x", word(b, 4+i), at)
		}
	}
	if end < starts[7] || end > uint64(len(b)) || word(m, mFtab) != word(m, mFunctions) || word(m, mFtab+1) != uint64(n)+1 {
		return nil, unknown("the table of functions is elsewhere")
	}
	t := &tables{names: b[starts[1]:starts[2]], pctab: b[starts[4]:starts[5]], gofunc: b[starts[6]:starts[7]], findfunc: b[starts[7]:end]}
	list := b[starts[5]:starts[6]]
	if len(list) < n*8+4 {
		return nil, unknown("%d functions do not fit", n)
	}
	t.end = le.Uint32(list[n*8:])
	if uint64(t.end) != word(m, mMaxPC)-word(m, mText) {
		return nil, unknown("functions do not end with the text")
	}
	for i := range n {
		at := int(le.Uint32(list[i*8+4:]))
		if at+funcSize > len(list) {
			return nil, unknown("function %d at %#x", i, at)
		}
		d := list[at:]
		f := function{entry: le.Uint32(d), name: le.Uint32(d[4:]), args: le.Uint32(d[8:]), deferReturn: le.Uint32(d[12:]), pcsp: le.Uint32(d[16:]),
			startLine: le.Uint32(d[36:]), id: d[40], flag: d[41]}
		np, nf := int(le.Uint32(d[28:])), int(d[43])
		if f.entry != le.Uint32(list[i*8:]) || i > 0 && f.entry < t.functions[i-1].entry || np > 16 || nf > 16 || at+funcSize+4*(np+nf) > len(list) {
			return nil, unknown("function %d at %#x", i, at)
		}
		for j := range np {
			f.pcdata = append(f.pcdata, le.Uint32(d[funcSize+4*j:]))
		}
		for j := range nf {
			f.funcdata = append(f.funcdata, le.Uint32(d[funcSize+4*np+4*j:]))
		}
		t.functions = append(t.functions, f)
	}
	return t, nil
}

// string returns the name at off.
func (t *tables) string(off uint32) (string, error) {
	if uint64(off) < uint64(len(t.names)) {
		if n := bytes.IndexByte(t.names[off:], 0); n >= 0 {
			return string(t.names[off:][:n]), nil
		}
	}
	return "", fmt.Errorf(".gopclntab: no function name at %#x", off)
}

// A span is a value of a pc-value table, and where it ends: the distance from the function's entry.
type span struct {
	value int32
	end   uint32
}

// walk decodes the pc-value table at off (runtime.step), and returns its length too.
func (t *tables) walk(off uint32) (spans []span, size int, err error) {
	if uint64(off) >= uint64(len(t.pctab)) {
		return nil, 0, fmt.Errorf(".gopclntab: no table at %#x", off)
	}
	p := t.pctab[off:]
	value, pc := int32(-1), uint32(0)
	for at := 0; ; {
		u, n := binary.Uvarint(p[at:])
		if n <= 0 {
			break
		}
		if u == 0 && at != 0 {
			return spans, at + n, nil
		}
		at += n
		d, n := binary.Uvarint(p[at:])
		if n <= 0 || d == 0 {
			break
		}
		at += n
		value += int32(-(uint32(u) & 1) ^ uint32(u)>>1)
		pc += uint32(d)
		spans = append(spans, span{value, pc})
	}
	return nil, 0, fmt.Errorf(".gopclntab: the table at %#x does not end", off)
}

// data returns the funcdata of kind j of f at its start, nil if there is none.
func (t *tables) data(f *function, j int) ([]byte, error) {
	if j >= len(f.funcdata) || f.funcdata[j] == none {
		return nil, nil
	}
	if off := f.funcdata[j]; uint64(off) < uint64(len(t.gofunc)) {
		return t.gofunc[off:], nil
	}
	return nil, fmt.Errorf(".gopclntab: no funcdata at %#x", f.funcdata[j])
}
