package tty

import (
	"strconv"
	"sync"

	"golang.org/x/sys/unix"
	"gosv/kernel/mm"
	"gosv/kernel/vfs"
	"gosv/kernel/wait"
)

// A Signaler sends a terminal's signals.
type Signaler interface {
	SignalGroup(group, sig int)
	SignalProcess(pid, sig int)
}

// SlaveMajor is the major device number of the terminals under /dev/pts.
const SlaveMajor = 136

// A Pair is a pseudo-terminal (pty(7)): a terminal, and the master file that
// stands for its keyboard and screen.
type Pair struct {
	Index    int
	Terminal *Terminal
	wire     wire
	// onClose is called when the master is closed: the name goes.
	onClose func()
	file    vfs.FileImpl
}

// NewPair makes a pseudo-terminal, locked (unlockpt(3)).
func NewPair(index int, s Signaler, onClose func()) *Pair {
	p := &Pair{Index: index, onClose: onClose}
	p.wire.locked = true
	t := &Terminal{in: &p.wire, out: &p.wire, dev: unix.Mkdev(SlaveMajor, uint32(index)), pair: p,
		signal: s.SignalGroup, signalLeader: s.SignalProcess}
	t.d.signal = func(sig int, _ bool) {
		t.due = append(t.due, sig)
	}
	t.d.news = p.wire.event
	tio := std()
	tio.Iflag &^= unix.IUTF8
	tio.Cflag &^= unix.HUPCL
	t.d.set(tio, true)
	p.Terminal = t
	p.file = &master{p: p}
	ready := make(chan struct{})
	go t.pump(ready)
	<-ready
	return p
}

// Master is the behaviour of the master's file.
func (p *Pair) Master() vfs.FileImpl { return p.file }

// pairCost is about what a pseudo-terminal takes: its buffers and the goroutine between them.
const pairCost = 24 << 10

// Held implements vfs.Holder.
func (m *master) Held() int64 { return pairCost }

// OpenSlave is an open of /dev/pts/N: EIO while it is locked, and once the
// master is gone.
func (p *Pair) OpenSlave(c vfs.Caller, flags uint32) (vfs.FileImpl, error) {
	w := &p.wire
	w.mu.Lock()
	bad := w.locked || w.closed
	w.mu.Unlock()
	if bad {
		return nil, unix.EIO
	}
	f, err := p.Terminal.Open()
	if err != nil {
		return nil, err
	}
	w.mu.Lock()
	w.slaves++
	w.opened = true
	w.mu.Unlock()
	p.Terminal.adopt(c, flags)
	return f, nil
}

// closeSlave is the end of an open slave; the master reads EIO after the last.
func (p *Pair) closeSlave() {
	w := &p.wire
	w.mu.Lock()
	w.slaves--
	last := w.slaves == 0
	w.mu.Unlock()
	if last {
		w.master.Notify(wait.Readable | wait.Hup)
	}
}

// A wire is what connects the two files of a Pair: the Port of the terminal.
// The host of this port is the master.
type wire struct {
	queue  wait.Queue // of the terminal's pump
	master wait.Queue // of those who wait at the master

	mu      sync.Mutex
	in, out fifo // to the terminal, and from it
	closed  bool // the master is
	locked  bool
	slaves  int
	opened  bool // a slave was open once
	packet  bool // TIOCPKT
	status  byte // packet mode's news
}

const (
	// wireMax is how much waits on a wire in each direction (as in Linux's
	// tty_buffer.c).
	wireMax = 64 << 10
	// masterMax is how much of the output is the master's already: the terminal
	// cannot take it back.
	masterMax = 4095
)

func (w *wire) Read(p []byte) (n int, eof bool) {
	w.mu.Lock()
	n = copy(p, w.in.bytes())
	w.in.skip(n)
	eof = w.closed
	w.mu.Unlock()
	if n > 0 {
		w.master.Notify(wait.Writable)
	}
	return n, eof
}

func (w *wire) Buffered() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.in.len()
}

func (w *wire) Write(p []byte) int {
	w.mu.Lock()
	n := len(p)
	if !w.closed {
		n = min(n, wireMax-w.out.len())
		w.out.add(p[:n])
	}
	w.mu.Unlock()
	if n > 0 {
		w.master.Notify(wait.Readable)
	}
	return n
}

func (w *wire) Readiness() (ev wait.Events) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.in.len() > 0 || w.closed {
		ev |= wait.In
	}
	if w.out.len() < wireMax {
		ev |= wait.Out
	}
	if w.closed {
		ev |= wait.Hup
	}
	return ev
}

func (w *wire) Queue() *wait.Queue { return &w.queue }
func (w *wire) Flush()             {}

// master is the open /dev/ptmx.
type master struct {
	vfs.FileDefaults
	p *Pair
}

// MasterOf returns the pair whose master a file is, nil if it is none.
func MasterOf(f *vfs.File) *Pair {
	if m, ok := f.Impl().(*master); ok {
		return m.p
	}
	return nil
}

// Read gives what the terminal shows; EIO when nobody has it open any more.
func (m *master) Read(_ *vfs.File, dst *mm.Buf, _ int64) (int64, error) {
	if dst.Len() == 0 {
		return 0, nil
	}
	w, t := &m.p.wire, m.p.Terminal
	t.mu.Lock()
	before := t.status()
	t.drain()
	t.unlock(before)
	w.mu.Lock()
	n, err := w.take(dst)
	w.mu.Unlock()
	if n > 0 {
		t.mu.Lock() // there is room for output again
		before := t.status()
		before.ev &^= wait.Writable
		t.drain()
		t.unlock(before)
		w.queue.Notify(wait.Writable)
	}
	return int64(n), err
}

// take moves output to the reader. w.mu is held.
func (w *wire) take(dst *mm.Buf) (int, error) {
	lead := 0
	if w.packet {
		status := w.status
		if status == 0 && w.out.len() > 0 || status != 0 {
			w.status = 0
			if n, err := dst.CopyTo([]byte{status}); err != nil {
				return n, err
			}
			if status != 0 {
				return 1, nil
			}
			lead = 1
		}
	}
	if w.out.len() == 0 {
		if w.opened && w.slaves == 0 {
			return 0, unix.EIO
		}
		return 0, unix.EAGAIN
	}
	n, err := dst.CopyTo(w.out.bytes()[:min(w.out.len(), dst.Len())])
	w.out.skip(n)
	if n+lead > 0 {
		err = nil
	}
	return n + lead, err
}

// Write types on the terminal's keyboard.
func (m *master) Write(_ *vfs.File, src *mm.Buf, _ int64) (int64, error) {
	w := &m.p.wire
	w.mu.Lock()
	room := wireMax - w.in.len()
	if room == 0 && src.Len() > 0 {
		w.mu.Unlock()
		return 0, unix.EAGAIN
	}
	n := min(room, src.Len())
	at := w.in.len()
	n, err := src.CopyFrom(w.in.extend(n))
	w.in.truncate(at + n)
	more := src.Len() > 0 && err == nil
	w.mu.Unlock()
	w.queue.Notify(wait.Readable)
	switch {
	case more:
		err = unix.EAGAIN
	case n > 0:
		err = nil
	}
	return int64(n), err
}

func (m *master) Readiness() (ev wait.Events) {
	t, w := m.p.Terminal, &m.p.wire
	t.mu.Lock()
	pending := len(t.d.out) > 0 && !t.d.stopped
	t.mu.Unlock()
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.out.len() > 0 || pending {
		ev |= wait.Readable
	}
	if w.packet && w.status != 0 {
		ev |= wait.Readable | wait.Pri
	}
	if w.in.len() < wireMax {
		ev |= wait.Writable
	}
	if w.opened && w.slaves == 0 {
		ev |= wait.Hup
	}
	return ev
}

func (m *master) Queue() *wait.Queue { return &m.p.wire.master }

// Async implements vfs.Asyncer.
func (m *master) Async() {}

// Release hangs up the terminal.
func (m *master) Release() {
	m.p.wire.mu.Lock()
	m.p.wire.closed = true
	m.p.wire.mu.Unlock()
	m.p.onClose()
	m.p.Terminal.Hangup()
}

// FDInfo is what /proc/PID/fdinfo adds.
func (m *master) FDInfo(b []byte) []byte {
	return append(strconv.AppendInt(append(b, "tty-index:\t"...), int64(m.p.Index), 10), '\n')
}

// flush is tcflush(3) on the master: its input is the terminal's output.
func (m *master) flush(which uint64) error {
	w := &m.p.wire
	if which != unix.TCIFLUSH && which != unix.TCOFLUSH && which != unix.TCIOFLUSH {
		return unix.EINVAL
	}
	w.mu.Lock()
	if which != unix.TCOFLUSH {
		w.out.truncate(0)
	}
	if which != unix.TCIFLUSH {
		w.in.truncate(0)
	}
	w.mu.Unlock()
	w.queue.Notify(wait.Writable)
	w.master.Notify(wait.Writable)
	return nil
}

// Ioctl is ioctl_tty(2) on the master: its own requests, and the terminal's.
func (m *master) Ioctl(as *mm.AddressSpace, cmd uint32, arg uint64) (uint64, error) {
	w, t := &m.p.wire, m.p.Terminal
	flag := func(set *bool) (uint64, error) {
		v, err := as.Load32(arg)
		if err == nil {
			w.mu.Lock()
			*set = v != 0
			w.mu.Unlock()
		}
		return 0, err
	}
	get := func(v bool) (uint64, error) { return 0, as.Store32(arg, bit(v)) }
	switch cmd {
	case unix.TIOCGPTN:
		return 0, as.Store32(arg, uint32(m.p.Index))
	case unix.TIOCSPTLCK:
		return flag(&w.locked)
	case unix.TIOCGPTLCK:
		return get(w.locked)
	case unix.TIOCPKT:
		v, err := as.Load32(arg)
		if err == nil {
			w.setPacket(v != 0)
		}
		return 0, err
	case unix.TCFLSH:
		return 0, m.flush(arg)
	case unix.TIOCGPKT:
		return get(w.packet)
	case unix.TIOCSIG:
		if arg == 0 || arg > 64 {
			return 0, unix.EINVAL
		}
		t.mu.Lock()
		group := t.group
		t.mu.Unlock()
		t.signal(group, int(arg))
		return 0, nil
	case unix.TIOCINQ:
		w.mu.Lock()
		n := w.out.len()
		w.mu.Unlock()
		return 0, as.Store32(arg, uint32(n))
	case unix.TIOCOUTQ:
		return 0, as.Store32(arg, uint32(w.Buffered()))
	case unix.TIOCGPGRP, unix.TIOCGSID:
		session, group := t.Session()
		if cmd == unix.TIOCGSID {
			group = session
		}
		if session == 0 && cmd == unix.TIOCGSID {
			return 0, unix.ENOTTY
		}
		return 0, as.Store32(arg, uint32(group))
	case unix.TIOCSPGRP:
		v, err := as.Load32(arg)
		if err != nil {
			return 0, err
		}
		t.mu.Lock()
		defer t.mu.Unlock()
		if t.session == 0 {
			return 0, unix.ENOTTY
		}
		t.group = int(v)
		return 0, nil
	case unix.TIOCSCTTY, unix.TIOCNOTTY:
		return 0, unix.ENOTTY
	}
	return t.Ioctl(nil, as, cmd, arg)
}
