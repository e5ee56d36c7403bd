package tty

import (
	"golang.org/x/sys/unix"
	"gosv/kernel/wait"
)

// This file is what the master of a pseudo-terminal is told of in packet mode
// (ioctl_tty(2), TIOCPKT; drivers/tty/pty.c of Linux).

func (d *discipline) tell(bits byte) {
	if d.news != nil {
		d.news(bits)
	}
}

// stop stops output: VSTOP, tcflow(3).
func (d *discipline) stop() {
	if !d.stopped {
		d.stopped = true
		d.tell(unix.TIOCPKT_STOP)
	}
}

// start starts output again, unless tcflow(3) has stopped it.
func (d *discipline) start() {
	if d.stopped && !d.held {
		d.stopped = false
		d.tell(unix.TIOCPKT_START)
	}
}

// tellFlow tells of a change of the settings: whether VSTOP and VSTART are the
// usual characters and do something, and any change where EXTPROC is or was set.
func (d *discipline) tellFlow(old *unix.Termios) {
	usual := func(t *unix.Termios) bool {
		return t.Iflag&unix.IXON != 0 && t.Cc[unix.VSTOP] == 0o23 && t.Cc[unix.VSTART] == 0o21
	}
	bits := byte(0)
	if now := usual(&d.tio); now != usual(old) {
		if bits = unix.TIOCPKT_NOSTOP; now {
			bits = unix.TIOCPKT_DOSTOP
		}
	}
	if (old.Lflag|d.tio.Lflag)&unix.EXTPROC != 0 {
		bits |= unix.TIOCPKT_IOCTL
	}
	if bits != 0 {
		d.tell(bits)
	}
}

// opposites are the news that take each other back.
var opposites = [...][2]byte{{unix.TIOCPKT_STOP, unix.TIOCPKT_START}, {unix.TIOCPKT_NOSTOP, unix.TIOCPKT_DOSTOP}}

// event adds to what packet mode tells of.
func (w *wire) event(bits byte) {
	w.mu.Lock()
	on := w.packet
	if on {
		for _, o := range opposites {
			if both := o[0] | o[1]; bits&both != 0 {
				w.status &^= both
			}
		}
		w.status |= bits
	}
	if bits&unix.TIOCPKT_FLUSHWRITE != 0 {
		w.out.truncate(masterMax)
	}
	w.mu.Unlock()
	if on {
		w.master.Notify(wait.Readable | wait.Pri)
	}
}

// setPacket is TIOCPKT: what happened before is not told.
func (w *wire) setPacket(on bool) {
	w.mu.Lock()
	if on && !w.packet {
		w.status = 0
	}
	w.packet = on
	w.mu.Unlock()
}
