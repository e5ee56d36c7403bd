package elfdeps

import (
	"bytes"
	"errors"
	"io"
	"os"
	"strings"
)

// maxShebang is how much of a script Linux looks at (BINPRM_BUF_SIZE).
const maxShebang = 256

// ErrShebang is a "#!" line that names nothing or does not end.
var ErrShebang = errors.New("its #! line names no interpreter")

// ParseShebang reads the first line of a script as execve(2) does: the
// interpreter's path, and everything after it as one argument. ok is false if
// b is not a script.
func ParseShebang(b []byte) (interp, arg string, ok bool, err error) {
	if !bytes.HasPrefix(b, []byte("#!")) {
		return "", "", false, nil
	}
	line := b[2:]
	if i := bytes.IndexByte(line, '\n'); i >= 0 {
		line = line[:i]
	} else if len(b) >= maxShebang {
		// Linux takes a cut-off argument, but not a cut-off path.
		if !bytes.ContainsAny(bytes.TrimLeft(line, " \t"), " \t\x00") {
			return "", "", true, ErrShebang
		}
	}
	s := strings.Trim(cString(line), " \t")
	if s == "" {
		return "", "", true, ErrShebang
	}
	if i := strings.IndexAny(s, " \t"); i >= 0 {
		return s[:i], strings.TrimLeft(s[i:], " \t"), true, nil
	}
	return s, "", true, nil
}

func (r *Resolver) script(path string) (Script, bool, error) {
	f, err := os.Open(r.host(path))
	if err != nil {
		return Script{}, false, err
	}
	defer f.Close()
	b := make([]byte, maxShebang)
	n, err := io.ReadFull(f, b)
	if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
		return Script{}, false, err
	}
	interp, arg, ok, err := ParseShebang(b[:n])
	if ok {
		r.note(path)
	}
	return Script{path, interp, arg}, ok, err
}
