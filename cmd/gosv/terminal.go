package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// terminal is this process's terminal while the guest has one. Where both
// standard input and output are it, the guest has the keyboard too, and the
// terminal is in raw mode so that the guest's line discipline sees every byte.
// Otherwise input, line editing and Ctrl-C stay with the host's.
type terminal struct {
	tty   [3]bool    // which of the guest's standard streams are a terminal
	mu    sync.Mutex // saved, raw
	saved unix.Termios
	raw   bool
}

// openTerminal gives the terminal if one of the standard streams is one.
func openTerminal() *terminal {
	t := new(terminal)
	for _, fd := range []int{2, 1, 0} {
		s, err := unix.IoctlGetTermios(fd, unix.TCGETS)
		if t.tty[fd] = err == nil; err == nil {
			t.saved = *s
		}
	}
	// The keyboard is for who writes to the screen, as what comes after a pipe may, and for the foreground.
	t.tty[0] = t.tty[0] && t.tty[1] && foreground()
	if t.tty == [3]bool{} {
		return nil
	}
	return t
}

// foreground tells whether this process may use the terminal that is its
// standard input: job control stops others when they do.
func foreground() bool {
	group, err := unix.IoctlGetInt(0, unix.TIOCGPGRP)
	return err != nil || group == unix.Getpgrp() // an error: it controls another session, or none
}

// keyboard tells whether the guest has what is typed.
func (t *terminal) keyboard() bool { return t != nil && t.tty[0] }

// word is the kernel's option (tty.Options).
func (t *terminal) word() string {
	cols, rows := t.size()
	var fds []byte
	for fd, is := range t.tty {
		if is {
			fds = append(fds, '0'+byte(fd))
		}
	}
	return fmt.Sprintf("tty=%dx%d:%s", cols, rows, fds)
}

// size gives the window's columns and rows.
func (t *terminal) size() (cols, rows int) {
	for _, fd := range []int{1, 2, 0} {
		if w, err := unix.IoctlGetWinsize(fd, unix.TIOCGWINSZ); err == nil && w.Col != 0 && w.Row != 0 {
			return int(w.Col), int(w.Row)
		}
	}
	return 80, 24
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
	if t == nil || !t.tty[2] {
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

// waitReader reads nothing before wanted is closed.
type waitReader struct {
	r      io.Reader
	wanted <-chan struct{}
}

// Read implements io.Reader.
func (w waitReader) Read(p []byte) (int, error) {
	<-w.wanted
	return w.r.Read(p)
}
