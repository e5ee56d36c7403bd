package main

import (
	"bytes"
	"io"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// terminal is this process's terminal while the guest has one: in raw mode, so
// that the guest's line discipline sees every byte.
type terminal struct {
	mu    sync.Mutex // saved, raw
	saved unix.Termios
	raw   bool
}

// openTerminal gives the terminal if both standard input and output are one.
func openTerminal() *terminal {
	t := new(terminal)
	for _, fd := range []int{1, 0} {
		s, err := unix.IoctlGetTermios(fd, unix.TCGETS)
		if err != nil {
			return nil
		}
		t.saved = *s
	}
	return t
}

// size gives the window's columns and rows.
func (t *terminal) size() (cols, rows int) {
	w, err := unix.IoctlGetWinsize(1, unix.TIOCGWINSZ)
	if err != nil || w.Col == 0 || w.Row == 0 {
		return 80, 24
	}
	return int(w.Col), int(w.Row)
}

// setRaw is cfmakeraw(3).
func (t *terminal) setRaw() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	r := t.saved
	r.Iflag &^= unix.IGNBRK | unix.BRKINT | unix.PARMRK | unix.ISTRIP | unix.INLCR | unix.IGNCR | unix.ICRNL | unix.IXON
	r.Oflag &^= unix.OPOST
	r.Lflag &^= unix.ECHO | unix.ECHONL | unix.ICANON | unix.ISIG | unix.IEXTEN
	r.Cflag = r.Cflag&^(unix.CSIZE|unix.PARENB) | unix.CS8
	r.Cc[unix.VMIN], r.Cc[unix.VTIME] = 1, 0
	t.raw = true
	return unix.IoctlSetTermios(0, unix.TCSETSW, &r)
}

// restore gives the terminal back as it was.
func (t *terminal) restore() {
	if t == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.raw {
		unix.IoctlSetTermios(0, unix.TCSETSW, &t.saved) //nolint:errcheck // the terminal is gone
		t.raw = false
	}
}

// messages gives a writer to standard error for lines of our own: a raw
// terminal needs a carriage return at their ends.
func (t *terminal) messages() io.Writer {
	if t == nil {
		return os.Stderr
	}
	return crlf{t}
}

type crlf struct{ t *terminal }

// Write implements io.Writer.
func (c crlf) Write(p []byte) (int, error) {
	c.t.mu.Lock()
	raw := c.t.raw
	c.t.mu.Unlock()
	out := p
	if raw {
		out = bytes.ReplaceAll(p, []byte("\n"), []byte("\r\n"))
	}
	if _, err := os.Stderr.Write(out); err != nil {
		return 0, err
	}
	return len(p), nil
}

// escape ends a machine that does not listen: this key, escapeTimes times in a
// row within escapeWithin.
const (
	escapeKey    = 0x1d // Ctrl-]
	escapeTimes  = 3
	escapeWithin = time.Second
)

// escapeReader passes a terminal's input on, and calls escaped for the escape.
type escapeReader struct {
	r       io.Reader
	escaped func()
	now     func() time.Time
	count   int
	first   time.Time
}

// Read implements io.Reader.
func (e *escapeReader) Read(p []byte) (int, error) {
	n, err := e.r.Read(p)
	for _, c := range p[:n] {
		if c != escapeKey {
			e.count = 0
			continue
		}
		if now := e.now(); e.count == 0 || now.Sub(e.first) > escapeWithin {
			e.count, e.first = 0, now
		}
		if e.count++; e.count == escapeTimes {
			e.escaped()
		}
	}
	return n, err
}
