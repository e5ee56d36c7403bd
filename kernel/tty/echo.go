package tty

import "golang.org/x/sys/unix"

// echo shows a byte of input: control characters as ^X with ECHOCTL.
func (d *discipline) echo(c byte) {
	if d.lflag(unix.ECHOCTL) && control(c) && c != '\t' {
		d.out = append(d.out, '^', c^0o100)
		d.column += 2
		return
	}
	if c == 0xff { // moves the cursor on without OPOST too: it is the escape code of n_tty's echo buffer
		d.out = append(d.out, c)
		d.column++
		return
	}
	d.put(c)
}

// put is a byte of echo; it is processed as output is.
func (d *discipline) put(c byte) {
	if d.oflag(unix.OPOST) {
		d.output(c)
	} else {
		d.out = append(d.out, c)
	}
}

// output processes one byte of output under OPOST.
func (d *discipline) output(c byte) {
	switch c {
	case '\n':
		if d.oflag(unix.ONLRET) {
			d.column = 0
		}
		if d.oflag(unix.ONLCR) {
			d.column, d.canonColumn = 0, 0
			d.out = append(d.out, '\r')
			break
		}
		d.canonColumn = d.column
	case '\r':
		if d.oflag(unix.ONOCR) && d.column == 0 {
			return
		}
		if d.oflag(unix.OCRNL) {
			c = '\n'
			if d.oflag(unix.ONLRET) {
				d.column, d.canonColumn = 0, 0
			}
			break
		}
		d.column, d.canonColumn = 0, 0
	case '\t':
		n := 8 - d.column&7
		d.column += n
		if d.tio.Oflag&unix.TABDLY == unix.XTABS {
			d.out = append(d.out, "        "[:n]...)
			return
		}
	case '\b':
		if d.column > 0 {
			d.column--
		}
	default:
		if control(c) {
			break
		}
		if d.oflag(unix.OLCUC) {
			c = upper(c)
		}
		if !d.continuation(c) {
			d.column++
		}
	}
	d.out = append(d.out, c)
}

// write processes output of the program.
func (d *discipline) write(p []byte) {
	if !d.oflag(unix.OPOST) {
		d.out = append(d.out, p...)
	} else {
		for _, c := range p {
			d.output(c)
		}
	}
	d.echoed = len(d.out)
}

// startColumn remembers where the cursor is when the first byte of a line comes.
func (d *discipline) startColumn() {
	if d.canon == d.head {
		d.canonColumn = d.column
	}
}

// echoErased shows that c, which was the last character, is gone.
func (d *discipline) echoErased(c byte, char bool) {
	switch {
	case char && !d.lflag(unix.ECHOE):
		d.echo(d.tio.Cc[unix.VERASE])
	case c == '\t':
		d.eraseTab()
	default:
		if control(c) && d.lflag(unix.ECHOCTL) {
			d.rubout()
		}
		if !control(c) || d.lflag(unix.ECHOCTL) {
			d.rubout()
		}
	}
}

func (d *discipline) rubout() {
	d.put('\b')
	d.put(' ')
	d.put('\b')
}

// eraseTab goes back as many columns as the erased tab took, which depends on
// what stands before it.
func (d *discipline) eraseTab() {
	n, afterTab := 0, false
	for i := d.head; i != d.canon; {
		i--
		c := d.buf[i%bufSize]
		if c == '\t' {
			afterTab = true
			break
		}
		if control(c) {
			if d.lflag(unix.ECHOCTL) {
				n += 2
			}
		} else if !d.continuation(c) {
			n++
		}
	}
	if !afterTab {
		n += d.canonColumn
	}
	for range 8 - n&7 {
		d.out = append(d.out, '\b')
		if d.column > 0 {
			d.column--
		}
	}
}

// continuation reports a byte that is not the first of a UTF-8 character.
func (d *discipline) continuation(c byte) bool { return d.iflag(unix.IUTF8) && c&0xc0 == 0x80 }

func control(c byte) bool { return c < 0x20 || c == 0x7f }

// The kernel's own character classes are those of Latin-1 (lib/ctype.c), also
// where the terminal is UTF-8.

func alnum(c byte) bool {
	return c >= '0' && c <= '9' || lower(c) >= 'a' && lower(c) <= 'z' || c >= 0xc0 && c != 0xd7 && c != 0xf7
}

func lower(c byte) byte {
	if c >= 'A' && c <= 'Z' || c >= 0xc0 && c <= 0xde && c != 0xd7 {
		return c + 0x20
	}
	return c
}

func upper(c byte) byte {
	if c >= 'a' && c <= 'z' || c >= 0xe0 && c <= 0xfe && c != 0xf7 {
		return c - 0x20
	}
	return c
}
