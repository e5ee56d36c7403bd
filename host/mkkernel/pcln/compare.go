package pcln

import (
	"bytes"
	"fmt"
	"slices"
)

// compare decodes both tables and checks that they say the same of every function and every pc, but for what Shrink leaves out.
func compare(old, new *tables) error {
	if len(old.functions) != len(new.functions) || old.end != new.end {
		return fmt.Errorf("%d functions became %d", len(old.functions), len(new.functions))
	}
	if !bytes.Equal(old.findfunc, new.findfunc) {
		return fmt.Errorf("the index of functions differs")
	}
	for i := range old.functions {
		a, b := &old.functions[i], &new.functions[i]
		if err := compareFunction(old, new, a, b); err != nil {
			name, _ := old.string(a.name)
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

func compareFunction(old, new *tables, a, b *function) error {
	if a.entry != b.entry || a.args != b.args || a.deferReturn != b.deferReturn || a.id != b.id || a.flag != b.flag {
		return fmt.Errorf("its record differs")
	}
	if err := compareNames(old, new, a.name, b.name); err != nil {
		return err
	}
	if err := compareTables(old, new, a.pcsp, b.pcsp); err != nil {
		return fmt.Errorf("stack depths: %w", err)
	}
	at := func(list []uint32, j int, missing uint32) uint32 {
		if j < len(list) {
			return list[j]
		}
		return missing
	}
	for j := range max(len(a.pcdata), len(b.pcdata)) {
		if j == pcdataInlTree {
			if err := compareInlined(old, new, a, b); err != nil {
				return err
			}
		} else if j == pcdataArgLive {
			if at(b.pcdata, j, 0) != 0 {
				return fmt.Errorf("argument liveness is still there")
			}
		} else if err := compareTables(old, new, at(a.pcdata, j, 0), at(b.pcdata, j, 0)); err != nil {
			return fmt.Errorf("pcdata %d: %w", j, err)
		}
	}
	for j := range max(len(a.funcdata), len(b.funcdata)) {
		if j == funcdataInlTree { // compared with its pcdata
			continue
		}
		if err := compareData(old, new, a, b, j); err != nil {
			return fmt.Errorf("funcdata %d: %w", j, err)
		}
	}
	return nil
}

func compareNames(old, new *tables, a, b uint32) error {
	x, err := old.string(a)
	if err != nil {
		return err
	}
	y, err := new.string(b)
	if err != nil {
		return err
	}
	if b == 0 || shortName(x) != y {
		return fmt.Errorf("the name %q became %q", x, y)
	}
	return nil
}

func compareTables(old, new *tables, a, b uint32) error {
	if a == 0 || b == 0 {
		if a != b {
			return fmt.Errorf("table at %#x is at %#x now", a, b)
		}
		return nil
	}
	x, _, err := old.walk(a)
	if err != nil {
		return err
	}
	y, _, err := new.walk(b)
	if err != nil {
		return err
	}
	if !slices.Equal(x, y) {
		return fmt.Errorf("table at %#x has other values at %#x", a, b)
	}
	return nil
}

func compareData(old, new *tables, a, b *function, j int) error {
	x, err := old.data(a, j)
	if err != nil {
		return err
	}
	y, err := new.data(b, j)
	if err != nil {
		return err
	}
	if !keptData(j) {
		x = nil
	}
	if (x == nil) != (y == nil) {
		return fmt.Errorf("is there only before or only after")
	}
	if x == nil {
		return nil
	}
	n, err := dataSize(x, j)
	if err != nil {
		return err
	}
	if j == funcdataStackObjects && b.funcdata[j]%8 != 0 || j != funcdataStackObjects && j != funcdataOpenDefer && b.funcdata[j]%4 != 0 {
		return fmt.Errorf("is not aligned")
	}
	if n > len(x) || n > len(y) || !bytes.Equal(x[:n], y[:n]) {
		return fmt.Errorf("differs")
	}
	return nil
}

const (
	funcdataArgMaps   = 0
	funcdataLocalMaps = 1
	funcdataOpenDefer = 4
	funcdataWrapInfo  = 7
)

// dataSize is how many bytes of the funcdata of kind j mean something.
func dataSize(b []byte, j int) (int, error) {
	if len(b) < 8 {
		b = append(slices.Clone(b), make([]byte, 8)...)
	}
	switch j {
	case funcdataArgMaps, funcdataLocalMaps: // runtime.stackmap
		return 8 + int(le.Uint32(b))*((int(le.Uint32(b[4:]))+7)/8), nil
	case funcdataStackObjects: // a number of runtime.stackObjectRecord
		return 8 + int(le.Uint64(b))*16, nil
	case funcdataOpenDefer: // two numbers of variable length (cmd/compile/internal/ssagen.emitOpenDeferInfo)
		n := 0
		for range 2 {
			for ; b[n]&0x80 != 0; n++ {
			}
			n++
		}
		return n, nil
	case funcdataWrapInfo: // offset of the wrapped function
		return 4, nil
	}
	return 0, fmt.Errorf("is of a kind that is not known")
}

// compareInlined checks that at every pc the runtime finds the same answer to whether it is in one of its own functions.
func compareInlined(old, new *tables, a, b *function) error {
	spans := func(t *tables, f *function) ([]span, error) {
		if len(f.pcdata) <= pcdataInlTree || f.pcdata[pcdataInlTree] == 0 {
			return []span{{-1, ^uint32(0)}}, nil
		}
		s, _, err := t.walk(f.pcdata[pcdataInlTree])
		return s, err
	}
	outer, err := old.string(a.name)
	if err != nil {
		return err
	}
	x, err := spans(old, a)
	if err != nil {
		return err
	}
	y, err := spans(new, b)
	if err != nil {
		return err
	}
	for len(x) > 0 && len(y) > 0 {
		var c, d inlinedCall
		name := outer
		if x[0].value >= 0 {
			if c, err = old.call(a, x[0].value); err == nil {
				name, err = old.string(c.name)
			}
			if err != nil {
				return err
			}
		}
		switch {
		case y[0].value >= 0:
			if d, err = new.call(b, y[0].value); err != nil {
				return err
			}
			if err := compareNames(old, new, c.name, d.name); err != nil || x[0].value < 0 || c.id != d.id || c.parent != d.parent {
				return fmt.Errorf("another inlined call before +%d: %w", y[0].end, err)
			}
		case isRuntimeCode(name) && !isRuntimeCode(outer):
			return fmt.Errorf("no inlined call of %s before +%d", name, x[0].end)
		}
		end := min(x[0].end, y[0].end)
		if x[0].end == end {
			x = x[1:]
		}
		if y[0].end == end {
			y = y[1:]
		}
	}
	if len(y) > 0 && y[0].end != ^uint32(0) {
		return fmt.Errorf("inlined calls end elsewhere")
	}
	return nil
}
