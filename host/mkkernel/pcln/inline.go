package pcln

import (
	"encoding/binary"
	"fmt"
	"strings"
)

// An inlinedCall is a runtime.inlinedCall.
type inlinedCall struct {
	id           byte
	name, parent uint32
}

// inlined is what stays of the inlined calls of a function: a pc-value table of indexes into a list of calls.
type inlined struct {
	table []byte
	calls []inlinedCall
}

// runtimeCode are the prefixes of names of functions in which the runtime does not preempt goroutines by signal
// (runtime.isAsyncSafePoint): it looks at the innermost inlined call at a pc. To a traceback an inlined call is one more line.
var runtimeCode = []string{"runtime.", "internal/runtime/", "reflect."}

func isRuntimeCode(name string) bool {
	for _, p := range runtimeCode {
		if strings.HasPrefix(name, p) {
			return true
		}
	}
	return false
}

// call returns the i-th entry of the tree of inlined calls of f.
func (t *tables) call(f *function, i int32) (c inlinedCall, err error) {
	tree, err := t.data(f, funcdataInlTree)
	if err != nil || i < 0 || len(tree) < (int(i)+1)*inlSize {
		return c, fmt.Errorf(".gopclntab: the function at %#x has no inlined call %d", f.entry, i)
	}
	b := tree[int(i)*inlSize:]
	return inlinedCall{b[0], le.Uint32(b[4:]), le.Uint32(b[8:])}, nil
}

// collapse leaves the inlined calls of f away, but for those of the runtime's functions in others.
func (t *tables) collapse(f *function) (in inlined, err error) {
	if len(f.pcdata) <= pcdataInlTree || f.pcdata[pcdataInlTree] == 0 {
		return in, nil
	}
	spans, _, err := t.walk(f.pcdata[pcdataInlTree])
	if err != nil {
		return in, err
	}
	outer, err := t.string(f.name)
	if err != nil || isRuntimeCode(outer) {
		return in, err
	}
	index := map[int32]int32{}
	var kept []span
	for _, s := range spans {
		if s.value >= 0 {
			i, ok := index[s.value]
			if !ok {
				c, err := t.call(f, s.value)
				if err != nil {
					return in, err
				}
				name, err := t.string(c.name)
				if err != nil {
					return in, err
				}
				if i = -1; isRuntimeCode(name) {
					i = int32(len(in.calls))
					in.calls = append(in.calls, c)
				}
				index[s.value] = i
			}
			s.value = i
		}
		if n := len(kept); n > 0 && kept[n-1].value == s.value {
			kept[n-1].end = s.end
		} else {
			kept = append(kept, s)
		}
	}
	if len(in.calls) > 0 {
		in.table = encode(kept)
	}
	return in, nil
}

// encode makes a pc-value table, as walk reads it.
func encode(spans []span) (b []byte) {
	value, pc := int32(-1), uint32(0)
	for _, s := range spans {
		d := s.value - value
		b = binary.AppendUvarint(b, uint64(uint32(d<<1)^uint32(d>>31)))
		b = binary.AppendUvarint(b, uint64(s.end-pc))
		value, pc = s.value, s.end
	}
	return append(b, 0)
}
