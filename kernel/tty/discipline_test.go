package tty

import (
	"bytes"
	"testing"

	"golang.org/x/sys/unix"
)

// screen is a discipline whose echo and signals are kept.
type screen struct {
	discipline
	signals []int
}

func newScreen(change func(*unix.Termios)) *screen {
	s := &screen{}
	s.discipline.signal = func(sig int, _ bool) { s.signals = append(s.signals, sig) }
	t := std()
	if change != nil {
		change(&t)
	}
	s.set(t, true)
	return s
}

func (s *screen) typed(in string) *screen {
	s.receive([]byte(in))
	return s
}

// read reads once, at most limit bytes; ok is false where a read would block.
func (s *screen) read(limit int) (string, bool) {
	if s.available() == 0 {
		return "", false
	}
	deliver, take := s.discipline.line(limit)
	b := make([]byte, deliver)
	s.peek(b)
	s.take(take)
	return string(b), true
}

func (s *screen) all() (lines []string) {
	for {
		l, ok := s.read(bufSize)
		if !ok {
			return lines
		}
		lines = append(lines, l)
	}
}

func TestDiscipline(t *testing.T) {
	raw := func(t *unix.Termios) { t.Lflag &^= unix.ICANON | unix.ECHO | unix.ISIG; t.Iflag = 0; t.Oflag = 0 }
	for _, c := range []struct {
		name   string
		change func(*unix.Termios)
		in     string
		lines  []string
		echo   string
	}{
		{"line", nil, "abc\n", []string{"abc\n"}, "abc\r\n"},
		{"unfinished", nil, "abc", nil, "abc"},
		{"two lines", nil, "a\nb\n", []string{"a\n", "b\n"}, "a\r\nb\r\n"},
		{"carriage return", nil, "a\r", []string{"a\n"}, "a\r\n"},
		{"erase", nil, "ab\x7fc\n", []string{"ac\n"}, "ab\b \bc\r\n"},
		{"erase nothing", nil, "\x7f\n", []string{"\n"}, "\r\n"},
		{"erase UTF-8", nil, "é\x7f\n", []string{"\n"}, "é\b \b\r\n"},
		{"erase control", nil, "\x01\x7f\n", []string{"\n"}, "^A\b \b\b \b\r\n"},
		{"word", nil, "foo bar \x17x\n", []string{"foo x\n"}, "foo bar " + rub(4) + "x\r\n"},
		{"kill", nil, "abc\x15x\n", []string{"x\n"}, "abc" + rub(3) + "x\r\n"},
		{"tab", nil, "a\t\x7fb\n", []string{"ab\n"}, "a\t\b\b\b\b\b\b\bb\r\n"},
		{"end of file", nil, "ab\x04\x04c\n", []string{"ab", "", "c\n"}, "abc\r\n"},
		{"literal", nil, "\x16\x03\n", []string{"\x03\n"}, "^\b^C\r\n"},
		{"reprint", nil, "ab\x12\n", []string{"ab\n"}, "ab^R\r\nab\r\n"},
		{"signal flushes", nil, "ab\x03c\n", []string{"c\n"}, "^Cc\r\n"},
		{"no echo", func(t *unix.Termios) { t.Lflag &^= unix.ECHO }, "pw\n", []string{"pw\n"}, ""},
		{"ECHONL", func(t *unix.Termios) { t.Lflag = t.Lflag&^unix.ECHO | unix.ECHONL }, "pw\n", []string{"pw\n"}, "\r\n"},
		{"raw", raw, "a\x03\r\n\x04", []string{"a\x03\r\n\x04"}, ""},
		{"upper case", func(t *unix.Termios) { t.Iflag |= unix.IUCLC; t.Oflag |= unix.OLCUC }, "AbC\n", []string{"abc\n"}, "ABC\r\n"},
	} {
		s := newScreen(c.change).typed(c.in)
		lines := s.all()
		if len(lines) != len(c.lines) {
			t.Errorf("%s: read %q, want %q", c.name, lines, c.lines)
			continue
		}
		for i := range lines {
			if lines[i] != c.lines[i] {
				t.Errorf("%s: read %q, want %q", c.name, lines, c.lines)
			}
		}
		if string(s.out) != c.echo {
			t.Errorf("%s: echo %q, want %q", c.name, s.out, c.echo)
		}
	}
}

func rub(n int) string { return string(bytes.Repeat([]byte("\b \b"), n)) }

func TestDisciplineSignals(t *testing.T) {
	s := newScreen(nil).typed("\x03\x1c\x1a")
	if want := []int{int(unix.SIGINT), int(unix.SIGQUIT), int(unix.SIGTSTP)}; len(s.signals) != 3 || s.signals[0] != want[0] || s.signals[1] != want[1] || s.signals[2] != want[2] {
		t.Errorf("got %v, want %v", s.signals, want)
	}
}

func TestDisciplineLimits(t *testing.T) {
	s := newScreen(nil)
	s.typed("abcdef\n")
	if l, _ := s.read(3); l != "abc" {
		t.Errorf("got %q", l)
	}
	if l, _ := s.read(4); l != "def\n" {
		t.Errorf("got %q", l)
	}
	// An end of file right behind what the reader has room for is taken with it.
	s.typed("abc\x04x\n")
	if l, _ := s.read(3); l != "abc" {
		t.Errorf("got %q", l)
	}
	if l, _ := s.read(9); l != "x\n" {
		t.Errorf("got %q", l)
	}
	// A line that is too long can be ended, and then nothing more is taken.
	n := s.receive(bytes.Repeat([]byte("y"), 3*bufSize))
	if n != 3*bufSize {
		t.Errorf("took %d bytes", n)
	}
	s.typed("\n")
	if n := s.receive([]byte("z")); n != 0 {
		t.Errorf("took %d bytes into a full buffer", n)
	}
	if l, _ := s.read(2 * bufSize); len(l) != bufSize || l[len(l)-1] != '\n' {
		t.Errorf("got %d bytes", len(l))
	}
}

// FuzzDiscipline lets anything be typed under any settings: it must not panic,
// and deliver no more than was typed.
func FuzzDiscipline(f *testing.F) {
	f.Add([]byte("abc\x7f\x17\x15\t\x7f\n\x04"), uint32(unix.ICRNL|unix.IXON), uint32(unix.OPOST|unix.ONLCR), uint32(0x8a3b), byte(4))
	f.Add(bytes.Repeat([]byte("\xff"), 5000), uint32(unix.PARMRK), uint32(0), uint32(2), byte(0))
	f.Fuzz(func(t *testing.T, in []byte, iflag, oflag, lflag uint32, eol byte) {
		s := newScreen(func(t *unix.Termios) { t.Iflag, t.Oflag, t.Lflag = iflag, oflag, lflag; t.Cc[unix.VEOL] = eol })
		kept, got := 0, 0
		for rounds := 4 * (len(in) + bufSize); len(in) > 0; rounds-- {
			if rounds == 0 {
				t.Fatalf("no progress: head %d canon %d tail %d", s.head, s.canon, s.tail)
			}
			n := s.receive(in[:min(len(in), 100)])
			kept += n
			in = in[n:]
			s.out = s.out[:0]
			if n == 0 || len(in)%7 == 0 {
				l, ok := s.read(50)
				if got += len(l); !ok && n == 0 {
					t.Fatal("full, and nothing to read")
				}
			}
			if len(in)%5 == 0 {
				tio := s.tio
				tio.Lflag ^= unix.ICANON
				s.set(tio, false)
			}
			if int(s.head-s.tail) > bufSize || s.lflag(unix.ICANON) && s.canon-s.tail > s.head-s.tail {
				t.Fatalf("head %d canon %d tail %d", s.head, s.canon, s.tail)
			}
		}
		for _, l := range s.all() {
			got += len(l)
		}
		if got > 2*kept {
			t.Fatalf("%d bytes from %d", got, kept)
		}
	})
}
