package procfs

import "strconv"

// The files are text with fixed widths; these are the pieces. They are not
// inlined: no file is hot, and their code would be there many times.

// line appends "name:\tvalue\n".
//
//go:noinline
func line(b []byte, name string, v uint64) []byte {
	b = append(append(b, name...), ":\t"...)
	return append(strconv.AppendUint(b, v, 10), '\n')
}

// right appends v in n columns, to the right.
//
//go:noinline
func right(b []byte, v uint64, n int) []byte {
	var d [20]byte
	s := strconv.AppendUint(d[:0], v, 10)
	for ; n > len(s); n-- {
		b = append(b, ' ')
	}
	return append(b, s...)
}

// kb appends a line of status: a size in kB, in 8 columns.
func kb(b []byte, name string, bytes uint64) []byte {
	b = append(append(b, name...), ":\t"...)
	return append(right(b, bytes>>10, 8), " kB\n"...)
}

// size appends a line of meminfo and smaps: name and colon in 16 columns.
//
//go:noinline
func size(b []byte, name string, bytes uint64) []byte {
	b = left(b, name+":", 16)
	return append(right(b, bytes>>10, 8), " kB\n"...)
}

// left appends s in n columns, to the left.
//
//go:noinline
func left(b []byte, s string, n int) []byte {
	b = append(b, s...)
	for i := len(s); i < n; i++ {
		b = append(b, ' ')
	}
	return b
}

// hex appends v with at least n digits.
//
//go:noinline
func hex(b []byte, v uint64, n int) []byte {
	var d [16]byte
	s := strconv.AppendUint(d[:0], v, 16)
	for ; n > len(s); n-- {
		b = append(b, '0')
	}
	return append(b, s...)
}

// fields appends numbers, each with a space in front.
//
//go:noinline
func fields(b []byte, vs ...uint64) []byte {
	for _, v := range vs {
		b = strconv.AppendUint(append(b, ' '), v, 10)
	}
	return b
}

// signed is fields for numbers that may be negative.
//
//go:noinline
func signed(b []byte, vs ...int) []byte {
	for _, v := range vs {
		b = strconv.AppendInt(append(b, ' '), int64(v), 10)
	}
	return b
}

// hundredths appends ns as seconds with two digits.
//
//go:noinline
func hundredths(b []byte, ns int64) []byte {
	b = strconv.AppendInt(b, ns/1e9, 10)
	cs := ns / 1e7 % 100
	return append(b, '.', byte('0'+cs/10), byte('0'+cs%10))
}

// ticks turns ns into USER_HZ, 100 a second.
func ticks(ns int64) uint64 { return uint64(max(ns, 0) / 1e7) }

// escape appends a name with the characters that would break a line written as
// octal (mounts) or backslash escapes.
//
//go:noinline
func escape(b []byte, s, which string) []byte {
	for i := range len(s) {
		c := s[i]
		bad := c == '\\'
		for j := range len(which) {
			bad = bad || c == which[j]
		}
		if bad {
			b = append(b, '\\', '0'+c>>6, '0'+c>>3&7, '0'+c&7)
		} else {
			b = append(b, c)
		}
	}
	return b
}
