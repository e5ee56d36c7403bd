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
// Of the tables, what says how frames look stays as it is: stack depths, pointer maps, unsafe points, deferred calls. Of names,
// type arguments become [...], as the runtime prints them, and the folders of a package go. Files, lines and arguments go. Of inlined
// calls only those stay by which the runtime knows that it must not preempt there (see inline.go).
func Shrink(l *Linked) (sections, module []byte, err error) {
	old, err := parse(l)
	if err != nil {
		return nil, nil, err
	}
	s := shrinker{old: old, names: map[string]uint32{}, newName: map[uint32]uint32{}, newTable: map[string]uint32{}, newData: map[string]uint32{}}
	for _, step := range []func() error{s.collapse, s.putNames, s.putTables, s.putData, s.putFunctions} {
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
	if err := compare(old, new); err != nil {
		return nil, nil, fmt.Errorf("shrunk: %w", err)
	}
	return sections, module, nil
}

type shrinker struct {
	old   *tables
	new   struct{ names, pctab, gofunc, functions []byte }
	names map[string]uint32 // in the new table

	inlined []inlined // by function
	starts  []uint32  // of the old pieces of funcdata, and the end

	newName           map[uint32]uint32 // by old offset
	newTable, newData map[string]uint32 // by content
}

// collapse finds the inlined calls that stay.
func (s *shrinker) collapse() error {
	for i := range s.old.functions {
		in, err := s.old.collapse(&s.old.functions[i])
		if err != nil {
			return err
		}
		s.inlined = append(s.inlined, in)
	}
	return nil
}

// shortName is what becomes of a function's name: a fifth of all names would be folders, and the last one says enough. The
// runtime knows its own functions by their names, folders included.
func shortName(name string) string {
	i, j := strings.IndexByte(name, '['), strings.LastIndexByte(name, ']')
	if i >= 0 && j > i { // runtime.funcNameForPrint
		name = name[:i] + "[...]" + name[j+1:]
	}
	pkg := name
	if i := strings.IndexAny(name, "([:"); i >= 0 {
		pkg = name[:i]
	}
	short := name[strings.LastIndexByte(pkg, '/')+1:]
	if isRuntimeCode(name) || isRuntimeCode(short) {
		return name
	}
	return short
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
	name = shortName(name)
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
		for _, c := range s.inlined[i].calls {
			if err := s.name(c.name); err != nil {
				return err
			}
		}
	}
	return nil
}

// keptTable and keptData tell which tables and data of a function stay.
func keptTable(j int) bool { return j != pcdataArgLive }
func keptData(j int) bool  { return j != funcdataArgInfo && j != funcdataArgLive }

// table returns the bytes of the pc-value table j of the i-th function, none if it has none; j = -1 for the stack depths.
func (s *shrinker) table(i, j int) ([]byte, error) {
	f := &s.old.functions[i]
	off := f.pcsp
	switch {
	case j == pcdataInlTree:
		return s.inlined[i].table, nil
	case j >= 0 && (j >= len(f.pcdata) || !keptTable(j)):
		return nil, nil
	case j >= 0:
		off = f.pcdata[j]
	}
	if off == 0 {
		return nil, nil
	}
	_, n, err := s.old.walk(off)
	if err != nil {
		return nil, err
	}
	return s.old.pctab[off:][:n], nil
}

// putTables makes the pc-value tables. Each is a string of bytes with an end, so one that is another's tail needs no place
// of its own. Before them is a table of one byte, which is what functions without a table of stack depths have.
func (s *shrinker) putTables() error {
	var list []string
	s.newTable[""] = 0
	for i := range s.old.functions {
		for j := -1; j < len(s.old.functions[i].pcdata); j++ {
			b, err := s.table(i, j)
			if err != nil {
				return err
			}
			if _, ok := s.newTable[string(b)]; !ok {
				s.newTable[string(b)] = 0
				list = append(list, string(b))
			}
		}
	}
	slices.SortFunc(list, func(a, b string) int { // by the bytes from the end: a tail comes before what it is the tail of
		for i := 1; i <= len(a) && i <= len(b); i++ {
			if c := cmp.Compare(a[len(a)-i], b[len(b)-i]); c != 0 {
				return c
			}
		}
		return cmp.Compare(len(a), len(b))
	})
	s.new.pctab = []byte{0, 1, 0}
	for i := len(list) - 1; i >= 0; i-- {
		b := list[i]
		if i+1 < len(list) && strings.HasSuffix(list[i+1], b) {
			s.newTable[b] = s.newTable[list[i+1]] + uint32(len(list[i+1])-len(b))
			continue
		}
		s.newTable[b] = uint32(len(s.new.pctab))
		s.new.pctab = append(s.new.pctab, b...)
	}
	return nil
}

// tree returns the tree of inlined calls of the i-th function.
func (s *shrinker) tree(i int) []byte {
	var b []byte
	for _, c := range s.inlined[i].calls {
		b = append(b, c.id, 0, 0, 0)
		b = le.AppendUint32(b, s.newName[c.name])
		b = le.AppendUint32(b, c.parent)
		b = le.AppendUint32(b, 0) // the line that the inlined function starts on
	}
	return b
}

// pieces returns the funcdata of the i-th function. A piece ends where the next one starts: all of them are some function's.
func (s *shrinker) pieces(i int) [][]byte {
	f := &s.old.functions[i]
	list := make([][]byte, len(f.funcdata))
	for j, off := range f.funcdata {
		switch {
		case j == funcdataInlTree:
			list[j] = s.tree(i)
		case off != none && keptData(j):
			n, _ := slices.BinarySearch(s.starts, off+1)
			list[j] = s.old.gofunc[off:s.starts[n]]
		}
	}
	return list
}

// putData makes the funcdata. What holds 8-byte numbers comes first, the rest has 4-byte numbers or bytes.
func (s *shrinker) putData() error {
	for i := range s.old.functions {
		for _, off := range s.old.functions[i].funcdata {
			if off == none {
				continue
			}
			if uint64(off) >= uint64(len(s.old.gofunc)) {
				return fmt.Errorf(".gopclntab: no funcdata at %#x", off)
			}
			s.starts = append(s.starts, off)
		}
	}
	s.starts = append(s.starts, uint32(len(s.old.gofunc)))
	slices.Sort(s.starts)
	s.starts = slices.Compact(s.starts)
	for _, align := range []int{8, 4} {
		for i := range s.old.functions {
			for j, b := range s.pieces(i) {
				if _, ok := s.newData[string(b)]; ok || len(b) == 0 || (j == funcdataStackObjects) != (align == 8) {
					continue
				}
				for len(s.new.gofunc)%align != 0 {
					s.new.gofunc = append(s.new.gofunc, 0)
				}
				s.newData[string(b)] = uint32(len(s.new.gofunc))
				s.new.gofunc = append(s.new.gofunc, b...)
			}
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
		for j := range f.pcdata {
			b, err := s.table(i, j)
			if err != nil {
				return err
			}
			pcdata = append(pcdata, s.newTable[string(b)])
		}
		for len(pcdata) > 0 && pcdata[len(pcdata)-1] == 0 {
			pcdata = pcdata[:len(pcdata)-1]
		}
		for _, b := range s.pieces(i) {
			off := none
			if len(b) != 0 {
				off = s.newData[string(b)]
			}
			funcdata = append(funcdata, off)
		}
		for len(funcdata) > 0 && funcdata[len(funcdata)-1] == none {
			funcdata = funcdata[:len(funcdata)-1]
		}
		pcsp, err := s.table(i, -1)
		if err != nil {
			return err
		}
		le.PutUint32(list[i*8:], f.entry)
		le.PutUint32(list[i*8+4:], uint32(len(list)))
		for _, v := range []uint32{f.entry, s.newName[f.name], f.args, f.deferReturn, s.newTable[string(pcsp)], 0, 0, uint32(len(pcdata)), 0, 0} {
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
