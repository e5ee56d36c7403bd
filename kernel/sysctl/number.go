package sysctl

import (
	"math"
	"strconv"

	"golang.org/x/sys/unix"
)

// Int is one signed number of 32 bits or, with N, a vector of them.
type Int struct {
	Var      *Int32
	N        int // elements, if there are several: Get and Set are needed then
	Get      func(i int) int32
	Set      func(i int, v int32) error
	Min, Max int32 // not checked if both are 0
}

// Uint is a number of 32 bits without a sign.
type Uint struct {
	Var      *Uint32
	Get      func() uint32
	Set      func(v uint32) error
	Min, Max uint32 // not checked if both are 0
}

// Ulong is one number of 64 bits without a sign or, with N, a vector of them.
type Ulong struct {
	Var      *Uint64
	N        int // elements, if there are several: Get and Set are needed then
	Get      func(i int) uint64
	Set      func(i int, v uint64) error
	Min, Max uint64 // not checked if both are 0
}

// Bool is a switch: a write of any number but 0 is 1.
type Bool struct {
	Var *Flag
	Get func() bool
	Set func(v bool) error
}

func (x *Int) append(b []byte) []byte {
	if x.Var != nil {
		return strconv.AppendInt(b, int64(x.Var.Load()), 10)
	}
	for i := range max(x.N, 1) {
		if i > 0 {
			b = append(b, '\t')
		}
		b = strconv.AppendInt(b, int64(x.Get(i)), 10)
	}
	return b
}

func (x *Int) writable() bool { return x.Var != nil || x.Set != nil }

func (x *Int) write(b []byte, pos int64) (int, error) {
	return vector(b, pos, x.N, func(i int, v uint64, negative bool) error {
		n := int64(v)
		if negative {
			n = -n
		}
		if v > math.MaxInt32+1 || n > math.MaxInt32 || n < math.MinInt32 {
			return unix.EINVAL
		}
		if (x.Min != 0 || x.Max != 0) && (n < int64(x.Min) || n > int64(x.Max)) {
			return unix.EINVAL
		}
		if x.Set != nil {
			return x.Set(i, int32(n))
		}
		x.Var.Store(int32(n))
		return nil
	})
}

func (x *Ulong) append(b []byte) []byte {
	if x.Var != nil {
		return strconv.AppendUint(b, x.Var.Load(), 10)
	}
	for i := range max(x.N, 1) {
		if i > 0 {
			b = append(b, '\t')
		}
		b = strconv.AppendUint(b, x.Get(i), 10)
	}
	return b
}

func (x *Ulong) writable() bool { return x.Var != nil || x.Set != nil }

func (x *Ulong) write(b []byte, pos int64) (int, error) {
	return vector(b, pos, x.N, func(i int, v uint64, negative bool) error {
		if negative || (x.Min != 0 || x.Max != 0) && (v < x.Min || v > x.Max) {
			return unix.EINVAL
		}
		if x.Set != nil {
			return x.Set(i, v)
		}
		x.Var.Store(v)
		return nil
	})
}

func (x *Uint) append(b []byte) []byte {
	if x.Var != nil {
		return strconv.AppendUint(b, uint64(x.Var.Load()), 10)
	}
	return strconv.AppendUint(b, uint64(x.Get()), 10)
}

func (x *Uint) writable() bool { return x.Var != nil || x.Set != nil }

// write takes one number; what stands behind it is taken and ignored, as
// do_proc_douintvec_w does.
func (x *Uint) write(b []byte, pos int64) (int, error) {
	if pos != 0 || len(b) == 0 {
		return len(b), nil
	}
	s := scanner(b[:min(len(b), maxNumbers)])
	if s.space(); len(s) == 0 {
		return 0, unix.EINVAL
	}
	v, negative, ok := s.number()
	if !ok || negative || v > math.MaxUint32 || (x.Min != 0 || x.Max != 0) && (v < uint64(x.Min) || v > uint64(x.Max)) {
		return 0, unix.EINVAL
	}
	if x.Set != nil {
		if err := x.Set(uint32(v)); err != nil {
			return 0, err
		}
		return len(b), nil
	}
	x.Var.Store(uint32(v))
	return len(b), nil
}

func (x *Bool) append(b []byte) []byte {
	on := false
	if x.Var != nil {
		on = x.Var.Load()
	} else {
		on = x.Get()
	}
	if on {
		return append(b, '1')
	}
	return append(b, '0')
}

func (x *Bool) writable() bool { return x.Var != nil || x.Set != nil }

func (x *Bool) write(b []byte, pos int64) (int, error) {
	return vector(b, pos, 1, func(_ int, v uint64, negative bool) error {
		if v > math.MaxInt32+1 || v > math.MaxInt32 && !negative {
			return unix.EINVAL
		}
		if x.Set != nil {
			return x.Set(v != 0)
		}
		x.Var.Store(v != 0)
		return nil
	})
}

// maxNumbers is how much of a write is looked at: a page without its last byte.
const maxNumbers = 4095

// vector reads up to n numbers (one if n is 0) and stores each. A bad number ends
// it with an error, but those before it are stored. A write that is not at the
// start of the file is taken and changes nothing (sysctl_writes_strict).
func vector(b []byte, pos int64, n int, store func(i int, v uint64, negative bool) error) (int, error) {
	if pos != 0 || len(b) == 0 {
		return len(b), nil
	}
	s := scanner(b[:min(len(b), maxNumbers)])
	i := 0
	for ; i < max(n, 1) && len(s) > 0; i++ {
		if s.space(); len(s) == 0 {
			break
		}
		v, negative, ok := s.number()
		if !ok {
			return 0, unix.EINVAL
		}
		if err := store(i, v, negative); err != nil {
			return 0, err
		}
	}
	if i == 0 {
		return 0, unix.EINVAL
	}
	s.space()
	return len(b) - len(s), nil
}

// scanner is the rest of a text of numbers.
type scanner []byte

// space skips what isspace(3) says.
func (s *scanner) space() {
	for len(*s) > 0 && ((*s)[0] == ' ' || (*s)[0] >= '\t' && (*s)[0] <= '\r') {
		*s = (*s)[1:]
	}
}

// maxDigits is the length of the longest number with its sign and base.
const maxDigits = 21

// number reads a number as proc_get_long does: decimal, octal with a leading 0,
// or hexadecimal with 0x; behind it is the end, a space, a tab or a newline.
func (s *scanner) number() (v uint64, negative, ok bool) {
	b := *s
	if len(b) > maxDigits {
		b = b[:maxDigits]
	}
	i := 0
	if len(b) > 1 && b[0] == '-' {
		negative, i = true, 1
	}
	if i >= len(b) || b[i] < '0' || b[i] > '9' {
		return 0, false, false
	}
	base := uint64(10)
	if b[i] == '0' && i+1 < len(b) {
		if base = 8; b[i+1]|0x20 == 'x' && i+2 < len(b) && digit(b[i+2]) < 16 {
			base, i = 16, i+2
		}
	}
	for ; i < len(b) && digit(b[i]) < base; i++ {
		d := digit(b[i])
		if v > (math.MaxUint64-d)/base {
			return 0, false, false
		}
		v = v*base + d
	}
	if i == maxDigits { // there may be more of it
		return 0, false, false
	}
	if i < len(*s) {
		if c := (*s)[i]; c != ' ' && c != '\t' && c != '\n' {
			return 0, false, false
		}
	}
	*s = (*s)[i:]
	return v, negative, true
}

// digit returns the value of a digit, 255 if it is none.
func digit(c byte) uint64 {
	switch {
	case c >= '0' && c <= '9':
		return uint64(c - '0')
	case c|0x20 >= 'a' && c|0x20 <= 'f':
		return uint64(c|0x20-'a') + 10
	}
	return 255
}
