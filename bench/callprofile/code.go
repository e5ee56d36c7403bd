package main

import (
	"debug/dwarf"
	"debug/elf"
	"maps"
	"slices"
	"sort"
)

// code is where functions, and those inlined in them, are in a kernel with debugging information.
type code struct {
	functions []*function // by address
	lines     []dwarf.LineEntry
}

// function is a range of instructions of one, or of an inlined call of one.
type function struct {
	low, high uint64
	name      string
	start     int64 // line of its declaration
	callLine  int64 // of the inlined call
	inlined   []*function
}

// frame is a function at a line.
type frame struct {
	name        string
	start, line int64
}

func readCode(name string) (*code, error) {
	f, err := elf.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	d, err := f.DWARF()
	if err != nil {
		return nil, err
	}
	c := &code{}
	declared := map[dwarf.Offset]*dwarf.Entry{}
	var stack []*function // of the entries around the current one
	for r := d.Reader(); ; {
		e, err := r.Next()
		if err != nil {
			return nil, err
		}
		if e == nil {
			break
		}
		switch e.Tag {
		case 0:
			stack = stack[:len(stack)-1]
			continue
		case dwarf.TagCompileUnit:
			if err := c.addLines(d, e); err != nil {
				return nil, err
			}
		case dwarf.TagSubprogram:
			declared[e.Offset] = e
		}
		var here *function
		if len(stack) > 0 {
			here = stack[len(stack)-1]
		}
		if e.Tag == dwarf.TagSubprogram || e.Tag == dwarf.TagInlinedSubroutine {
			ranges, err := d.Ranges(e)
			if err != nil {
				return nil, err
			}
			outer := here
			for _, r := range ranges {
				here = &function{low: r[0], high: r[1]}
				here.callLine, _ = e.Val(dwarf.AttrCallLine).(int64)
				c.name(here, e, declared, d)
				if outer != nil {
					outer.inlined = append(outer.inlined, here)
				} else {
					c.functions = append(c.functions, here)
				}
			}
		}
		if e.Children {
			stack = append(stack, here)
		}
	}
	slices.SortFunc(c.functions, func(a, b *function) int { return compare(a.low, b.low) })
	slices.SortStableFunc(c.lines, func(a, b dwarf.LineEntry) int { return compare(a.Address, b.Address) })
	return c, nil
}

// name gives f what the entry, or the one of which it is an instance, says.
func (c *code) name(f *function, e *dwarf.Entry, declared map[dwarf.Offset]*dwarf.Entry, d *dwarf.Data) {
	if at, ok := e.Val(dwarf.AttrAbstractOrigin).(dwarf.Offset); ok {
		if e = declared[at]; e == nil {
			r := d.Reader()
			r.Seek(at)
			if e, _ = r.Next(); e == nil {
				return
			}
		}
	}
	f.name, _ = e.Val(dwarf.AttrName).(string)
	f.start, _ = e.Val(dwarf.AttrDeclLine).(int64)
}

func (c *code) addLines(d *dwarf.Data, unit *dwarf.Entry) error {
	r, err := d.LineReader(unit)
	if err != nil || r == nil {
		return err
	}
	for {
		var l dwarf.LineEntry
		if r.Next(&l) != nil {
			return nil
		}
		c.lines = append(c.lines, l)
	}
}

func (c *code) function(pc uint64) *function {
	i := sort.Search(len(c.functions), func(i int) bool { return c.functions[i].low > pc }) - 1
	if i < 0 || pc >= c.functions[i].high || c.functions[i].name == "" {
		return nil
	}
	return c.functions[i]
}

// entry reports whether a function begins at pc.
func (c *code) entry(pc uint64) bool {
	f := c.function(pc)
	return f != nil && f.low == pc
}

// at gives the functions that are executed at pc, the innermost one first.
func (c *code) at(pc uint64) []frame {
	f := c.function(pc)
	if f == nil {
		return nil
	}
	chain := []*function{f}
	for i := 0; i < len(f.inlined); i++ {
		if k := f.inlined[i]; pc >= k.low && pc < k.high {
			chain = append(chain, k)
			f, i = k, -1
		}
	}
	line := int64(0)
	if i := sort.Search(len(c.lines), func(i int) bool { return c.lines[i].Address > pc }) - 1; i >= 0 {
		line = int64(c.lines[i].Line)
	}
	var frames []frame
	for _, f := range slices.Backward(chain) {
		frames = append(frames, frame{f.name, f.start, line})
		line = f.callLine
	}
	return frames
}

func compare(a, b uint64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// sorted are the calls in an order that is always the same.
func sorted(calls map[call]float64) []call {
	return slices.SortedFunc(maps.Keys(calls), func(a, b call) int {
		if c := compare(a.from, b.from); c != 0 {
			return c
		}
		return compare(a.to, b.to)
	})
}
