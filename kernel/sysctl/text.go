package sysctl

// String is a line of text.
type String struct {
	Max int // the longest text in bytes; what is longer is cut
	Get func() string
	Set func(s string) error // nil: cannot be written
}

// Fixed is a text that does not change.
type Fixed string

func (x *String) append(b []byte) []byte { return append(b, x.Get()...) }
func (x *String) writable() bool         { return x.Set != nil }

// write puts the text at the file position; a zero byte or a newline ends it. A
// write behind the end of the text is taken and changes nothing.
func (x *String) write(b []byte, pos int64) (int, error) {
	old := x.Get()
	if pos > int64(min(len(old), x.Max)) {
		return len(b), nil
	}
	text := []byte(old[:pos])
	for _, c := range b {
		if c == 0 || c == '\n' || len(text) >= x.Max {
			break
		}
		text = append(text, c)
	}
	if err := x.Set(string(text)); err != nil {
		return 0, err
	}
	return len(b), nil
}

func (x Fixed) append(b []byte) []byte           { return append(b, x...) }
func (x Fixed) writable() bool                   { return false }
func (x Fixed) write([]byte, int64) (int, error) { return 0, nil }
