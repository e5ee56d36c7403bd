package tty

import (
	"golang.org/x/sys/unix"
)

// bufSize is how much input the discipline keeps (N_TTY_BUF_SIZE).
const bufSize = 4096

// What a byte of input is.
const (
	ordinary  = iota
	lineEnd   // ends a line, and belongs to it
	endOfFile // ends a line, and is not delivered
)

// discipline is Linux's N_TTY: what happens to bytes between the keyboard, the
// program and the screen (termios(3)). It does no I/O itself: echo and processed
// output are appended to out, signals are told to the signal function.
type discipline struct {
	tio unix.Termios

	// The input: head, canon and tail only grow, and index buf modulo its size.
	// In canonical mode what is before canon are complete lines.
	buf               [bufSize]byte
	kind              [bufSize]uint8
	head, canon, tail uint

	special [256]bool // bytes that need more than to be kept and echoed
	lnext   bool      // the next byte is literal (VLNEXT)
	stopped bool      // output is stopped (VSTOP)
	held    bool      // by tcflow(3): VSTART does not start it

	column      int // of the cursor
	canonColumn int // where the current input line starts

	out    []byte // output not yet given to the port
	echoed int    // where in out the echo begins that came after all output of the program
	signal func(sig int, flush bool)
	news   func(bits byte) // told of what TIOCPKT tells of, under the lock of the terminal; nil: nobody wants to know
}

// std is what a terminal starts with (tty_std_termios), and IUTF8, which the
// terminals of today want.
func std() unix.Termios {
	t := unix.Termios{
		Iflag:  unix.ICRNL | unix.IXON | unix.IUTF8,
		Oflag:  unix.OPOST | unix.ONLCR,
		Cflag:  unix.B38400 | unix.CS8 | unix.CREAD | unix.HUPCL,
		Lflag:  unix.ISIG | unix.ICANON | unix.ECHO | unix.ECHOE | unix.ECHOK | unix.ECHOCTL | unix.ECHOKE | unix.IEXTEN,
		Ispeed: 38400,
		Ospeed: 38400,
	}
	copy(t.Cc[:], "\x03\x1c\x7f\x15\x04\x00\x01\x00\x11\x13\x1a\x00\x12\x0f\x17\x16\x00")
	return t
}

func (d *discipline) iflag(f uint32) bool { return d.tio.Iflag&f != 0 }
func (d *discipline) oflag(f uint32) bool { return d.tio.Oflag&f != 0 }
func (d *discipline) lflag(f uint32) bool { return d.tio.Lflag&f != 0 }

// set changes the settings.
func (d *discipline) set(t unix.Termios, first bool) {
	changed := (d.tio.Lflag ^ t.Lflag) & (unix.ICANON | unix.EXTPROC)
	old := d.tio
	d.tio = t
	if !first {
		d.tellFlow(&old)
	}
	if first || changed != 0 {
		clear(d.kind[:])
		d.canon = d.tail
		if d.lflag(unix.ICANON) && d.head != d.tail {
			d.kind[(d.head-1)%bufSize] = lineEnd
			d.canon = d.head
		}
		d.lnext = false
	}
	if !d.iflag(unix.IXON) {
		d.start()
	}
	d.special = [256]bool{}
	mark := func(on bool, chars ...uint8) {
		for _, c := range chars {
			d.special[c] = d.special[c] || on
		}
	}
	cc := &t.Cc
	mark(d.iflag(unix.IGNCR|unix.ICRNL), '\r')
	mark(d.iflag(unix.INLCR), '\n')
	mark(d.iflag(unix.IXON), cc[unix.VSTART], cc[unix.VSTOP])
	mark(d.lflag(unix.ISIG), cc[unix.VINTR], cc[unix.VQUIT], cc[unix.VSUSP])
	if d.lflag(unix.ICANON) {
		mark(true, cc[unix.VERASE], cc[unix.VKILL], cc[unix.VEOF], '\n', cc[unix.VEOL])
		mark(d.lflag(unix.IEXTEN), cc[unix.VWERASE], cc[unix.VLNEXT], cc[unix.VEOL2])
		mark(d.lflag(unix.IEXTEN) && d.lflag(unix.ECHO), cc[unix.VREPRINT])
	}
	d.special[0] = false // _POSIX_VDISABLE
}

// room returns how many bytes of input can be taken now; 0 when they must wait
// for a reader. A line that is too long is taken nevertheless, and its end lost:
// otherwise nobody could ever end it.
func (d *discipline) room() int {
	n := bufSize - int(d.head-d.tail)
	if d.iflag(unix.PARMRK) { // a byte may take three
		n = (n + 2) / 3
	}
	if n > 1 {
		return n - 1
	}
	if d.lflag(unix.ICANON) && d.canon == d.tail {
		return 1
	}
	return 0
}

// receive takes what came from the keyboard, as much as there is room for, and
// returns how much that was.
func (d *discipline) receive(p []byte) int {
	for i, c := range p {
		if d.room() == 0 {
			return i
		}
		if d.head-d.tail >= bufSize {
			d.head--
		}
		d.input(c)
	}
	return len(p)
}

// echoMax is how much echo waits for the port: beyond it the oldest is lost
// (ECHO_DISCARD_WATERMARK of n_tty).
const echoMax = bufSize - 256 - 32

// trimEcho drops echo for which there is no place.
func (d *discipline) trimEcho() {
	if over := len(d.out) - d.echoed - echoMax; over > 0 {
		d.out = append(d.out[:d.echoed], d.out[d.echoed+over:]...)
	}
}

// sent notes that the port has taken n bytes of the output.
func (d *discipline) sent(n int) {
	d.out = d.out[:copy(d.out, d.out[n:])]
	d.echoed = max(d.echoed-n, 0)
}

// flushOutput forgets the output not given to the port.
func (d *discipline) flushOutput() {
	d.out, d.echoed = d.out[:0], 0
	d.tell(unix.TIOCPKT_FLUSHWRITE)
}

func (d *discipline) input(c byte) {
	if d.iflag(unix.ISTRIP) {
		c &= 0x7f
	}
	if d.iflag(unix.IUCLC) && d.lflag(unix.IEXTEN) {
		c = lower(c)
	}
	switch {
	case d.lflag(unix.EXTPROC): // the other side has done it all
		d.store(c, ordinary)
	case d.lnext:
		d.lnext = false
		d.plain(c)
	case d.special[c]:
		d.inputSpecial(c)
	default:
		d.plain(c)
	}
}

// plain keeps and echoes a byte.
func (d *discipline) plain(c byte) {
	d.resume()
	if d.lflag(unix.ECHO) {
		d.startColumn()
		d.echo(c)
	}
	d.keep(c)
}

func (d *discipline) inputSpecial(c byte) {
	cc := &d.tio.Cc
	if d.iflag(unix.IXON) {
		switch c {
		case cc[unix.VSTART]:
			d.start()
			return
		case cc[unix.VSTOP]:
			d.stop()
			return
		}
	}
	if d.lflag(unix.ISIG) {
		switch c {
		case cc[unix.VINTR]:
			d.interrupt(c, int(unix.SIGINT))
			return
		case cc[unix.VQUIT]:
			d.interrupt(c, int(unix.SIGQUIT))
			return
		case cc[unix.VSUSP]:
			d.interrupt(c, int(unix.SIGTSTP))
			return
		}
	}
	d.resume()
	if c == '\r' {
		if d.iflag(unix.IGNCR) {
			return
		}
		if d.iflag(unix.ICRNL) {
			c = '\n'
		}
	} else if c == '\n' && d.iflag(unix.INLCR) {
		c = '\r'
	}
	if d.lflag(unix.ICANON) && d.edit(c) {
		return
	}
	if d.lflag(unix.ECHO) {
		if c == '\n' {
			d.put('\n')
		} else {
			d.startColumn()
			d.echo(c)
		}
	}
	d.keep(c)
}

// edit does what a byte means in canonical mode, and reports whether it means
// something.
func (d *discipline) edit(c byte) bool {
	cc := &d.tio.Cc
	ext := d.lflag(unix.IEXTEN)
	switch {
	case c == cc[unix.VERASE] || c == cc[unix.VKILL] || c == cc[unix.VWERASE] && ext:
		d.erase(c)
	case c == cc[unix.VLNEXT] && ext:
		d.lnext = true
		if d.lflag(unix.ECHO) && d.lflag(unix.ECHOCTL) {
			d.put('^')
			d.put('\b')
		}
	case c == cc[unix.VREPRINT] && d.lflag(unix.ECHO) && ext:
		d.echo(c)
		d.put('\n')
		for i := d.canon; i != d.head; i++ {
			d.echo(d.buf[i%bufSize])
		}
	case c == '\n':
		if d.lflag(unix.ECHO | unix.ECHONL) {
			d.put('\n')
		}
		d.endLine('\n', lineEnd)
	case c == cc[unix.VEOF]:
		d.endLine(0, endOfFile)
	case c == cc[unix.VEOL] || c == cc[unix.VEOL2] && ext:
		if d.lflag(unix.ECHO) {
			d.startColumn()
			d.echo(c)
		}
		d.double(c)
		d.endLine(c, lineEnd)
	default:
		return false
	}
	return true
}

// interrupt does what VINTR, VQUIT and VSUSP are for.
func (d *discipline) interrupt(c byte, sig int) {
	flush := !d.lflag(unix.NOFLSH)
	if flush {
		d.flushOutput()
		d.flushInput()
	}
	d.signal(sig, flush)
	if d.iflag(unix.IXON) {
		d.start()
	}
	if d.lflag(unix.ECHO) {
		d.echo(c)
	}
}

func (d *discipline) flushInput() {
	d.tail, d.canon = d.head, d.head
	clear(d.kind[:])
	d.lnext = false
	d.tell(unix.TIOCPKT_FLUSHREAD)
}

// resume is IXANY: any byte starts output again.
func (d *discipline) resume() {
	if d.stopped && d.iflag(unix.IXON) && d.iflag(unix.IXANY) {
		d.start()
	}
}

func (d *discipline) keep(c byte) {
	d.double(c)
	d.store(c, ordinary)
}

// double is PARMRK's doubling of 0377.
func (d *discipline) double(c byte) {
	if c == 0xff && d.iflag(unix.PARMRK) && d.head-d.tail < bufSize-1 {
		d.store(c, ordinary)
	}
}

func (d *discipline) store(c byte, kind uint8) {
	if d.head-d.tail == bufSize {
		d.head-- // only where PARMRK doubled the last byte there was room for
	}
	d.buf[d.head%bufSize], d.kind[d.head%bufSize] = c, kind
	d.head++
}

func (d *discipline) endLine(c byte, kind uint8) {
	d.store(c, kind)
	d.canon = d.head
}

// erase takes back a character, a word, or the line.
func (d *discipline) erase(c byte) {
	if d.head == d.canon {
		return
	}
	cc := &d.tio.Cc
	char, word := c == cc[unix.VERASE], false
	if !char {
		word = c == cc[unix.VWERASE]
	}
	if !char && !word {
		if !d.lflag(unix.ECHO) {
			d.head = d.canon
			return
		}
		if !d.lflag(unix.ECHOK) || !d.lflag(unix.ECHOKE) || !d.lflag(unix.ECHOE) {
			d.head = d.canon
			d.echo(cc[unix.VKILL])
			if d.lflag(unix.ECHOK) {
				d.put('\n')
			}
			return
		}
	}
	letters := false
	for d.head != d.canon {
		// A character may have several bytes.
		h := d.head - 1
		for d.continuation(d.buf[h%bufSize]) && h != d.canon {
			h--
		}
		c := d.buf[h%bufSize]
		if d.continuation(c) {
			break
		}
		if word {
			if alnum(c) || c == '_' {
				letters = true
			} else if letters {
				break
			}
		}
		d.head = h
		if d.lflag(unix.ECHO) {
			d.echoErased(c, char)
		}
		if char {
			break
		}
	}
}

// lines reports whether reads give lines: not with EXTPROC, where the master of
// the pseudo-terminal makes them.
func (d *discipline) lines() bool { return d.lflag(unix.ICANON) && !d.lflag(unix.EXTPROC) }

// available returns how many bytes a reader can have: up to the end of complete
// lines in canonical mode.
func (d *discipline) available() int {
	if d.lines() {
		return int(d.canon - d.tail)
	}
	return int(d.head - d.tail)
}

// line returns how much of the input the next read delivers, at most limit
// bytes, and how much it takes away: an end-of-file byte is taken and not
// delivered.
func (d *discipline) line(limit int) (deliver, take int) {
	if !d.lines() {
		n := min(d.available(), limit)
		return n, n
	}
	for i := d.tail; i != d.canon; i++ {
		n := int(i - d.tail)
		if d.kind[i%bufSize] == endOfFile {
			return n, n + 1
		}
		if n == limit {
			return n, n
		}
		if d.kind[i%bufSize] == lineEnd {
			return n + 1, n + 1
		}
	}
	n := min(int(d.canon-d.tail), limit)
	return n, n
}

// peek copies input from the tail on, without taking it.
func (d *discipline) peek(p []byte) {
	for i := range p {
		p[i] = d.buf[(d.tail+uint(i))%bufSize]
	}
}

// take drops input.
func (d *discipline) take(n int) { d.tail += uint(n) }
