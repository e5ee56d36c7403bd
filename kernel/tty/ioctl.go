package tty

import (
	"encoding/binary"

	"golang.org/x/sys/unix"
	"gosv/kernel/mm"
)

// The sizes of struct termios, termios2 and termio
// (include/uapi/asm-generic/termbits.h).
const (
	termiosSize  = 36
	termios2Size = 44
	termioSize   = 17
)

// Ioctl is ioctl_tty(2), except for what needs to know who calls.
func (f *file) Ioctl(as *mm.AddressSpace, cmd uint32, arg uint64) (uint64, error) {
	return f.t.Ioctl(nil, as, cmd, arg)
}

// Ioctl is ioctl_tty(2). caller is nil when the kernel calls.
func (t *Terminal) Ioctl(caller Caller, as *mm.AddressSpace, cmd uint32, arg uint64) (uint64, error) {
	if caller != nil && changes(cmd) {
		if err := t.CheckChange(caller); err != nil {
			return 0, err
		}
	}
	t.mu.Lock()
	if t.dead {
		t.mu.Unlock()
		return 0, unix.EIO
	}
	before := t.status()
	v, err := t.ioctl(caller, as, cmd, arg)
	t.unlock(before)
	t.kick.Wake()
	return v, err
}

func (t *Terminal) ioctl(caller Caller, as *mm.AddressSpace, cmd uint32, arg uint64) (uint64, error) {
	var b [termios2Size]byte
	switch cmd {
	case unix.TCGETS:
		encodeTermios(b[:], &t.d.tio)
		return 0, as.CopyOut(arg, b[:termiosSize])
	case unix.TCGETS2:
		encodeTermios(b[:], &t.d.tio)
		return 0, as.CopyOut(arg, b[:])
	case unix.TCSETS, unix.TCSETSW, unix.TCSETSF:
		if err := as.CopyIn(b[:termiosSize], arg); err != nil {
			return 0, err
		}
		t.set(decodeTermios(b[:termiosSize], &t.d.tio), cmd == unix.TCSETSF)
	case unix.TCSETS2, unix.TCSETSW2, unix.TCSETSF2:
		if err := as.CopyIn(b[:], arg); err != nil {
			return 0, err
		}
		t.set(decodeTermios(b[:], &t.d.tio), cmd == unix.TCSETSF2)
	case unix.TCGETA:
		tio := &t.d.tio
		for i, v := range []uint32{tio.Iflag, tio.Oflag, tio.Cflag, tio.Lflag} {
			binary.LittleEndian.PutUint16(b[2*i:], uint16(v))
		}
		b[8] = tio.Line
		copy(b[9:17], tio.Cc[:8])
		return 0, as.CopyOut(arg, b[:termioSize+1])
	case unix.TIOCGWINSZ:
		for i, v := range []uint16{t.size.Row, t.size.Col, t.size.Xpixel, t.size.Ypixel} {
			binary.LittleEndian.PutUint16(b[2*i:], v)
		}
		return 0, as.CopyOut(arg, b[:8])
	case unix.TIOCSWINSZ:
		if err := as.CopyIn(b[:8], arg); err != nil {
			return 0, err
		}
		u16 := binary.LittleEndian.Uint16
		t.resize(unix.Winsize{Row: u16(b[0:]), Col: u16(b[2:]), Xpixel: u16(b[4:]), Ypixel: u16(b[6:])})
	case unix.TIOCINQ:
		return 0, as.Store32(arg, uint32(t.d.available()))
	case unix.TIOCOUTQ:
		return 0, as.Store32(arg, uint32(len(t.d.out)))
	case unix.TCFLSH:
		return 0, t.flushQueues(arg)
	case unix.TCXONC:
		return 0, t.flow(arg)
	case unix.TCSBRK, unix.TCSBRKP, unix.TIOCSBRK, unix.TIOCCBRK:
		// Output is on its way to the host already, and there is no line to break.
	case unix.TIOCEXCL:
		t.excl = true
	case unix.TIOCNXCL:
		t.excl = false
	case unix.TIOCGEXCL:
		return 0, as.Store32(arg, bit(t.excl))
	case unix.TIOCGETD:
		return 0, as.Store32(arg, 0) // N_TTY
	case unix.TIOCSETD:
		if v, err := as.Load32(arg); err != nil || v != 0 {
			if err == nil {
				err = unix.EINVAL
			}
			return 0, err
		}
	case unix.TIOCGDEV:
		return 0, as.Store32(arg, uint32(t.dev))
	default:
		return t.jobs(caller, as, cmd, arg)
	}
	return 0, nil
}

// jobs are the ioctls of job control.
func (t *Terminal) jobs(caller Caller, as *mm.AddressSpace, cmd uint32, arg uint64) (uint64, error) {
	switch cmd {
	case unix.TIOCGPGRP, unix.TIOCSPGRP, unix.TIOCGSID, unix.TIOCSCTTY, unix.TIOCNOTTY:
	default:
		return 0, unix.ENOTTY
	}
	if caller == nil {
		return 0, unix.ENOTTY
	}
	group, session, leader := caller.Session()
	mine := t.session == session && session != 0
	switch cmd {
	case unix.TIOCSCTTY:
		switch {
		case mine && leader:
			return 0, nil
		case !leader, t.session != 0 && arg != 1, Controlling(session) != nil && !mine:
			return 0, unix.EPERM
		}
		t.own(session, group)
	case unix.TIOCNOTTY:
		if !mine {
			return 0, unix.ENOTTY
		}
		if leader {
			t.due = append(t.due, int(unix.SIGHUP), int(unix.SIGCONT))
			t.dueGroup = t.group
			t.own(0, 0)
		}
	case unix.TIOCGPGRP:
		if !mine {
			return 0, unix.ENOTTY
		}
		return 0, as.Store32(arg, uint32(t.group))
	case unix.TIOCGSID:
		if !mine {
			return 0, unix.ENOTTY
		}
		return 0, as.Store32(arg, uint32(t.session))
	case unix.TIOCSPGRP:
		if !mine {
			return 0, unix.ENOTTY
		}
		v, err := as.Load32(arg)
		if err != nil {
			return 0, err
		}
		if int32(v) < 0 {
			return 0, unix.EINVAL
		}
		switch caller.GroupSession(int(v)) {
		case 0:
			return 0, unix.ESRCH
		case session:
		default:
			return 0, unix.EPERM
		}
		t.group = int(v)
	}
	return 0, nil
}

// set changes the settings; drop also forgets input not read yet (TCSAFLUSH).
func (t *Terminal) set(tio unix.Termios, drop bool) {
	t.drain()
	if drop {
		t.d.flushInput()
	}
	t.stopTimer()
	t.d.set(tio, false)
}

// flushQueues is tcflush(3).
func (t *Terminal) flushQueues(which uint64) error {
	switch which {
	case unix.TCIFLUSH:
		t.d.flushInput()
	case unix.TCOFLUSH:
		t.d.flushOutput()
	case unix.TCIOFLUSH:
		t.d.flushInput()
		t.d.flushOutput()
	default:
		return unix.EINVAL
	}
	return nil
}

// flow is tcflow(3).
func (t *Terminal) flow(action uint64) error {
	switch action {
	case unix.TCOOFF:
		t.d.held = true
		t.d.stop()
	case unix.TCOON:
		if t.d.held {
			t.d.held = false
			t.d.start()
			t.drain()
		}
	case unix.TCIOFF, unix.TCION:
		if t.pair == nil {
			break // the host is not told to stop: the port waits by itself
		}
		c := t.d.tio.Cc[unix.VSTOP]
		if action == unix.TCION {
			c = t.d.tio.Cc[unix.VSTART]
		}
		if c != 0 {
			t.out.Write([]byte{c})
		}
	default:
		return unix.EINVAL
	}
	return nil
}

func bit(b bool) uint32 {
	if b {
		return 1
	}
	return 0
}

func encodeTermios(b []byte, t *unix.Termios) {
	for i, v := range [...]uint32{t.Iflag, t.Oflag, t.Cflag, t.Lflag} {
		binary.LittleEndian.PutUint32(b[4*i:], v)
	}
	b[16] = t.Line
	copy(b[17:36], t.Cc[:])
	binary.LittleEndian.PutUint32(b[36:], t.Ispeed)
	binary.LittleEndian.PutUint32(b[40:], t.Ospeed)
}

// decodeTermios reads a struct termios or termios2; the speeds, which mean
// nothing here, are kept when the struct has none.
func decodeTermios(b []byte, old *unix.Termios) unix.Termios {
	u32 := binary.LittleEndian.Uint32
	t := unix.Termios{Iflag: u32(b), Oflag: u32(b[4:]), Cflag: u32(b[8:]), Lflag: u32(b[12:]), Ispeed: old.Ispeed, Ospeed: old.Ospeed}
	// One line discipline, and 8 bits: what Linux does with a console too.
	t.Cflag = t.Cflag&^unix.CSIZE | unix.CS8 | unix.CREAD
	copy(t.Cc[:], b[17:36])
	if len(b) == termios2Size {
		t.Ispeed, t.Ospeed = u32(b[36:]), u32(b[40:])
	}
	return t
}
