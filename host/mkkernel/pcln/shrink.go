package pcln

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Shrink returns the bytes that replace the sections .gopclntab, .typelink and .itablink, from the first one's address on, and
// the module data that goes with them. Nothing else of the program refers to these sections by address.
//
// Of the tables, what says how frames look stays as it is: stack depths, pointer maps, unsafe points, deferred calls, and the
// trees of inlined calls with their functions' names. Of names, type arguments become [...], as the runtime prints them, and
// each of the prefixes goes. Files, lines and arguments go.
func Shrink(l *Linked, prefixes []string) (sections, module []byte, err error) {
	old, err := parse(l)
	if err != nil {
		return nil, nil, err
	}
	s := shrinker{old: old, prefixes: prefixes, names: map[string]uint32{}, newName: map[uint32]uint32{}, newTable: map[uint32]uint32{}, newData: map[uint32]uint32{}}
	for _, step := range []func() error{s.putNames, s.putTables, s.putData, s.putFunctions} {
		if err := step(); err != nil {
			return nil, nil, err
		}
	}
	sections, module = s.assemble(l)
	new, err := parse(&Linked{Tables: sections, Addr: l.Addr, Module: module, Typelink: l.Typelink, Itablink: l.Itablink,
		TypelinkAddr: word(module, mTypelinks), ItablinkAddr: word(module, mItablinks)})
	if err != nil {
		return nil, nil, fmt.Errorf("shrunk: %w", err)
	}
	if err := compare(old, new, prefixes); err != nil {
		return nil, nil, fmt.Errorf("shrunk: %w", err)
	}
	return sections, module, nil
}

type shrinker struct {
	old      *tables
	prefixes []string
	new      struct{ names, pctab, gofunc, functions []byte }
	names    map[string]uint32 // in the new table

	newName, newTable, newData map[uint32]uint32 // by old offset
}

// shortName is what becomes of a function's name.
func shortName(name string, prefixes []string) string {
	i, j := strings.IndexByte(name, '['), strings.LastIndexByte(name, ']')
	if i >= 0 && j > i { // runtime.funcNameForPrint
		name = name[:i] + "[...]" + name[j+1:]
	}
	for _, p := range prefixes {
		name = strings.TrimPrefix(name, p)
	}
	return name
}

// name enters the name at old offset off.
func (s *shrinker) name(off uint32) error {
	if _, ok := s.newName[off]; ok {
		return nil
	}
	name, err := s.old.string(off)
	if err != nil {
		return err
	}
	name = shortName(name, s.prefixes)
	at, ok := s.names[name]
	if !ok {
		at = uint32(len(s.new.names))
		s.names[name] = at
		s.new.names = append(append(s.new.names, name...), 0)
	}
	s.newName[off] = at
	return nil
}

// putNames makes the table of names. The runtime takes offset 0 for no name.
func (s *shrinker) putNames() error {
	s.new.names = []byte{0}
	for i := range s.old.functions {
		f := &s.old.functions[i]
		if err := s.name(f.name); err != nil {
			return err
		}
		if err := s.eachInlined(f, func(call []byte) error { return s.name(le.Uint32(call[4:])) }); err != nil {
			return err
		}
	}
	return nil
}

// eachInlined calls do for each runtime.inlinedCall of f.
func (s *shrinker) eachInlined(f *function, do func(call []byte) error) error {
	n, err := s.old.inlined(f)
	if err != nil || n == 0 {
		return err
	}
	tree, err := s.old.data(f, funcdataInlTree)
	if err != nil || len(tree) < n*inlSize {
		return fmt.Errorf(".gopclntab: the function at %#x has no tree of %d inlined calls", f.entry, n)
	}
	for i := range n {
		if err := do(tree[i*inlSize:][:inlSize]); err != nil {
			return err
		}
	}
	return nil
}

// keptTable and keptData tell which tables and data of a function stay.
func keptTable(j int) bool { return j != pcdataArgLive }
func keptData(j int) bool  { return j != funcdataArgInfo && j != funcdataArgLive }

// putTables makes the pc-value tables. Each is a string of bytes with an end, so one that is another's tail needs no place
// of its own. Before them is a table of one byte, which is what functions without a table of stack depths have.
func (s *shrinker) putTables() error {
	type table struct {
		off  uint32
		data []byte
	}
	var list []table
	add := func(off uint32) error {
		if _, ok := s.newTable[off]; ok {
			return nil
		}
		_, n, err := s.old.walk(off)
		if err != nil {
			return err
		}
		s.newTable[off] = 0
		list = append(list, table{off, s.old.pctab[off:][:n]})
		return nil
	}
	s.newTable[0] = 0
	for i := range s.old.functions {
		f := &s.old.functions[i]
		if err := add(f.pcsp); err != nil {
			return err
		}
		for j, off := range f.pcdata {
			if keptTable(j) {
				if err := add(off); err != nil {
					return err
				}
			}
		}
	}
	slices.SortFunc(list, func(a, b table) int { // by the bytes from the end: a tail comes before what it is the tail of
		for i := 1; i <= len(a.data) && i <= len(b.data); i++ {
			if c := cmp.Compare(a.data[len(a.data)-i], b.data[len(b.data)-i]); c != 0 {
				return c
			}
		}
		return cmp.Or(cmp.Compare(len(a.data), len(b.data)), cmp.Compare(a.off, b.off))
	})
	s.new.pctab = []byte{0, 1, 0}
	for i := len(list) - 1; i >= 0; i-- {
		at := uint32(len(s.new.pctab))
		if i+1 < len(list) {
			last := list[i+1]
			if tail := len(last.data) - len(list[i].data); tail >= 0 && string(last.data[tail:]) == string(list[i].data) {
				s.newTable[list[i].off] = s.newTable[last.off] + uint32(tail)
				continue
			}
		}
		s.new.pctab = append(s.new.pctab, list[i].data...)
		s.newTable[list[i].off] = at
	}
	return nil
}

// putData makes the funcdata. A piece ends where the next one starts: all of them are some function's.
func (s *shrinker) putData() error {
	align := map[uint32]int{} // by offset
	inlined := map[uint32]*function{}
	var starts []uint32
	for i := range s.old.functions {
		f := &s.old.functions[i]
		for j, off := range f.funcdata {
			if off == none {
				continue
			}
			starts = append(starts, off)
			if !keptData(j) {
				continue
			}
			switch align[off] = max(align[off], 4); j {
			case funcdataStackObjects:
				align[off] = 8
			case funcdataInlTree:
				inlined[off] = f
			}
		}
	}
	slices.Sort(starts)
	starts = append(slices.Compact(starts), uint32(len(s.old.gofunc)))
	seen := map[string]uint32{}
	for _, want := range []int{8, 4} {
		for i, off := range starts[:len(starts)-1] {
			if align[off] != want {
				continue
			}
			piece := slices.Clone(s.old.gofunc[off:starts[i+1]])
			if f := inlined[off]; f != nil {
				piece = piece[:0]
				err := s.eachInlined(f, func(call []byte) error {
					call = slices.Clone(call)
					le.PutUint32(call[4:], s.newName[le.Uint32(call[4:])])
					le.PutUint32(call[12:], 0) // the line that the inlined function starts on
					piece = append(piece, call...)
					return nil
				})
				if err != nil {
					return err
				}
				if len(piece) == 0 { // calls that no pc leads to any more
					piece = make([]byte, inlSize)
				}
			}
			at, ok := seen[string(piece)]
			if !ok {
				for len(s.new.gofunc)%want != 0 {
					s.new.gofunc = append(s.new.gofunc, 0)
				}
				at = uint32(len(s.new.gofunc))
				s.new.gofunc = append(s.new.gofunc, piece...)
				seen[string(piece)] = at
			}
			s.newData[off] = at
		}
	}
	return nil
}

// putFunctions makes the list of functions and their records, without the ends of arrays that say nothing.
func (s *shrinker) putFunctions() error {
	n := len(s.old.functions)
	list := make([]byte, n*8+4)
	for i := range s.old.functions {
		f := &s.old.functions[i]
		var pcdata, funcdata []uint32
		for j, off := range f.pcdata {
			if !keptTable(j) {
				off = 0
			}
			pcdata = append(pcdata, s.newTable[off])
		}
		for len(pcdata) > 0 && pcdata[len(pcdata)-1] == 0 {
			pcdata = pcdata[:len(pcdata)-1]
		}
		for j, off := range f.funcdata {
			if off != none && keptData(j) {
				off = s.newData[off]
			} else {
				off = none
			}
			funcdata = append(funcdata, off)
		}
		for len(funcdata) > 0 && funcdata[len(funcdata)-1] == none {
			funcdata = funcdata[:len(funcdata)-1]
		}
		le.PutUint32(list[i*8:], f.entry)
		le.PutUint32(list[i*8+4:], uint32(len(list)))
		for _, v := range []uint32{f.entry, s.newName[f.name], f.args, f.deferReturn, s.newTable[f.pcsp], 0, 0, uint32(len(pcdata)), 0, 0} {
			list = le.AppendUint32(list, v)
		}
		list = append(list, f.id, f.flag, 0, byte(len(funcdata)))
		for _, v := range append(pcdata, funcdata...) {
			list = le.AppendUint32(list, v)
		}
	}
	le.PutUint32(list[n*8:], s.old.end)
	s.new.functions = list
	return nil
}

// assemble puts the parts behind each other, and their places into the header and the module data.
func (s *shrinker) assemble(l *Linked) (b, module []byte) {
	b = make([]byte, headerSize)
	module = slices.Clone(l.Module)
	put := func(field int, part []byte, align, element int) (at uint64) {
		for len(b)%align != 0 {
			b = append(b, 0)
		}
		at = uint64(len(b))
		b = append(b, part...)
		setWord(module, field, l.Addr+at)
		if element != 0 {
			setWord(module, field+1, uint64(len(part)/element))
			setWord(module, field+2, uint64(len(part)/element))
		}
		return at
	}
	copy(b, l.Tables[:8])
	setWord(b, 1, uint64(len(s.old.functions)))
	setWord(b, 4, put(mNames, s.new.names, 8, 1))
	setWord(b, 5, put(mCutab, nil, 8, 4))
	setWord(b, 6, put(mFiletab, nil, 8, 1))
	setWord(b, 7, put(mPctab, s.new.pctab, 8, 1))
	at := put(mFunctions, s.new.functions, 8, 1)
	setWord(b, 8, at)
	setWord(module, mFtab, l.Addr+at)
	put(mGofunc, s.new.gofunc, 8, 0)
	put(mFindfunc, s.old.findfunc, 4, 0)
	setWord(module, mEpclntab, l.Addr+uint64(len(b)))
	put(mTypelinks, l.Typelink, 32, 4)
	put(mItablinks, l.Itablink, 32, 8)
	return b, module
}
