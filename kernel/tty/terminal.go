package tty

import (
	"sync"

	"golang.org/x/sys/unix"
	"gosv/kernel/cpu"
	"gosv/kernel/mm"
	"gosv/kernel/vfs"
	"gosv/kernel/wait"
)

// outMax is how much processed output waits for the port; beyond it writers
// block. The console does not read input then, because its echo has no place; a
// pseudo-terminal, whose writer would wait, loses echo.
const outMax = 4096

// A Terminal is the controlling terminal: a port with the line discipline. All
// its open files share it.
type Terminal struct {
	in, out      Port
	queue        wait.Queue
	dev          uint64
	pair         *Pair // nil for the console
	signal       func(group, sig int)
	signalLeader func(pid, sig int) // nil: the line is never hung up

	mu      sync.Mutex
	d       discipline
	size    unix.Winsize
	hungup  bool // the host closed the input
	mute    bool // there is no input; then hungup is set too, and nobody is told
	held    bool // input stays in the port until the terminal has a session
	dead    bool // the line is gone, and the pump ends
	excl    bool
	session int   // 0: no session has it as its controlling terminal
	group   int   // the foreground process group
	due     []int // signals to send once mu is free
	// dueGroup is the group they are for, if it is not the foreground any more.
	dueGroup int

	// The time limit of a read with VTIME; readAt is its end, 0 if none runs.
	timer  wait.Timer
	readAt int64

	kick wait.Sleeper // of the pump
}

// NewTerminal makes a terminal and starts to read its input. signal is told
// which signal goes to which process group; group 0 is the first process's.
func NewTerminal(in, out Port, cols, rows int, signal func(group, sig int)) *Terminal {
	return startTerminal(in, out, Options{Cols: cols, Rows: rows}, signal, nil)
}

// startTerminal is NewTerminal with a change to make before anything is read.
func startTerminal(in, out Port, o Options, signal func(group, sig int), change func(*Terminal)) *Terminal {
	t := &Terminal{in: in, out: out, dev: ConsoleDev, signal: signal}
	t.size = unix.Winsize{Row: uint16(o.Rows), Col: uint16(o.Cols)}
	t.d.signal = func(sig int, flush bool) { t.due = append(t.due, sig) }
	t.d.set(std(), true)
	if change != nil {
		change(t)
	}
	ready := make(chan struct{})
	go t.pump(ready)
	<-ready
	return t
}

// pump moves bytes between ports and discipline.
func (t *Terminal) pump(ready chan struct{}) {
	wake := func(wait.Events) { t.kick.Wake() }
	win := wait.Waiter{Notify: wake, Mask: ^wait.Events(0)}
	t.in.Queue().Add(&win)
	wout := wait.Waiter{Notify: wake, Mask: ^wait.Events(0)}
	if t.out.Queue() != t.in.Queue() {
		t.out.Queue().Add(&wout)
	}
	close(ready)
	defer t.in.Queue().Remove(&win)
	defer t.out.Queue().Remove(&wout)
	var buf [256]byte
	rest := buf[:0]
	for {
		t.mu.Lock()
		if t.dead {
			t.mu.Unlock()
			return
		}
		before := t.status()
		t.drain()
		progress := false
		if len(t.d.out) < outMax || t.pair != nil {
			if len(rest) == 0 && !t.hungup && !t.held {
				n, eof := t.in.Read(buf[:])
				rest = buf[:n]
				t.hungup = eof && n == 0
				progress = n > 0
			}
			if n := t.d.receive(rest); n > 0 {
				rest = rest[n:]
				progress = true
			}
			t.drain()
			if t.pair != nil {
				t.d.trimEcho()
			}
		}
		t.unlock(before)
		if !progress {
			t.kick.SleepUninterruptible(0)
		}
	}
}

// drain gives processed output to the port. t.mu is held.
func (t *Terminal) drain() {
	if t.d.stopped || len(t.d.out) == 0 {
		return
	}
	n := t.out.Write(t.d.out)
	t.d.sent(n)
}

// status is what waiters care about.
type status struct {
	ev    wait.Events
	avail int
}

func (t *Terminal) status() status { return status{t.readiness(), t.d.available()} }

// unlock frees t.mu, and tells of what changed since before.
func (t *Terminal) unlock(before status) {
	now := t.status()
	due, group, signal := t.due, t.group, t.signal
	if t.dueGroup != 0 {
		group = t.dueGroup
	}
	t.due, t.dueGroup = nil, 0
	t.mu.Unlock()
	if now.ev&^before.ev != 0 || now.ev&wait.In != 0 && now.avail > before.avail {
		t.queue.Notify(now.ev)
	}
	for _, sig := range due {
		signal(group, sig)
	}
}

// enough is how many bytes make a read complete: n_tty's minimum.
func (t *Terminal) enough() int {
	if t.d.lines() || t.d.tio.Cc[unix.VTIME] != 0 || t.d.tio.Cc[unix.VMIN] == 0 {
		return 1
	}
	return int(t.d.tio.Cc[unix.VMIN])
}

func (t *Terminal) readiness() wait.Events {
	var ev wait.Events
	if t.dead {
		return wait.Readable | wait.Writable | wait.Err | wait.Hup
	}
	if t.d.available() >= t.enough() {
		ev |= wait.Readable
	}
	if t.hungup {
		ev |= wait.Readable
		if !t.mute {
			ev |= wait.Hup
		}
	}
	if !t.d.stopped && len(t.d.out) < outMax/2 {
		ev |= wait.Writable
	}
	return ev
}

// read is read(2): canonical mode gives a line, otherwise VMIN and VTIME say when
// there is enough (termios(3), "Canonical and noncanonical mode").
func (t *Terminal) read(f *vfs.File, dst *mm.Buf) (int64, error) {
	if dst.Len() == 0 {
		return 0, nil
	}
	t.mu.Lock()
	if t.dead {
		t.mu.Unlock()
		return 0, nil
	}
	before := t.status()
	avail := t.d.available()
	if t.d.lines() {
		if avail == 0 {
			if t.hungup {
				t.acceptRest()
				avail = t.d.available()
			} else {
				t.mu.Unlock()
				return 0, unix.EAGAIN
			}
		}
	} else if done, err := t.rawReady(avail, dst.Len(), f.Nonblocking()); !done {
		t.mu.Unlock()
		return 0, err
	}
	if avail == 0 {
		t.mu.Unlock()
		return 0, nil
	}
	var buf [256]byte
	total := 0
	var err error
	for dst.Len() > 0 && err == nil {
		deliver, take := t.d.line(min(dst.Len(), len(buf)))
		if take == 0 {
			break
		}
		ended := take > deliver || t.d.kind[(t.d.tail+uint(take)-1)%bufSize] == lineEnd
		t.d.peek(buf[:deliver])
		var n int
		if n, err = dst.CopyTo(buf[:deliver]); err != nil {
			take = n
		}
		t.d.take(take)
		total += n
		if ended && t.d.lines() {
			break
		}
	}
	t.unlock(before)
	t.kick.Wake() // there is room for input again
	if total > 0 {
		err = nil
	}
	return int64(total), err
}

// acceptRest delivers an unfinished line of an input that has ended.
func (t *Terminal) acceptRest() {
	if t.d.head != t.d.canon {
		t.d.kind[(t.d.head-1)%bufSize] = lineEnd
		t.d.canon = t.d.head
	}
}

// rawReady decides about a read in noncanonical mode: done with what is there, or
// not, with EAGAIN.
func (t *Terminal) rawReady(avail, want int, nonblock bool) (bool, error) {
	least, limit := int(t.d.tio.Cc[unix.VMIN]), int64(t.d.tio.Cc[unix.VTIME])*1e8
	if avail >= max(min(least, want), 1) || t.hungup {
		t.stopTimer()
		return true, nil
	}
	if least == 0 && limit == 0 {
		return true, nil
	}
	if nonblock {
		return avail > 0, unix.EAGAIN
	}
	if limit == 0 || least > 0 && avail == 0 {
		return false, unix.EAGAIN
	}
	now := cpu.Nanotime()
	switch {
	case t.readAt != 0 && now >= t.readAt && now < t.readAt+limit:
		t.readAt = 0
		return true, nil
	case t.readAt == 0 || now >= t.readAt || least > 0:
		// With VMIN the clock runs from the last byte.
		t.readAt = now + limit
		t.timer.Start(t.readAt, func() { t.queue.Notify(wait.Readable) })
	}
	return false, unix.EAGAIN
}

func (t *Terminal) stopTimer() {
	if t.readAt != 0 {
		t.readAt = 0
		t.timer.Stop()
	}
}

// write is write(2).
func (t *Terminal) write(src *mm.Buf) (int64, error) {
	var buf [256]byte
	total := 0
	t.mu.Lock()
	if t.dead {
		t.mu.Unlock()
		return 0, unix.EIO
	}
	before := t.status()
	var err error
	for src.Len() > 0 && err == nil {
		t.drain()
		if t.d.stopped || len(t.d.out) >= outMax/2 {
			err = unix.EAGAIN
			break
		}
		var n int
		n, err = src.CopyFrom(buf[:min(len(buf), src.Len())])
		t.d.write(buf[:n])
		total += n
	}
	t.drain()
	t.unlock(before)
	if total > 0 {
		err = nil
	}
	return int64(total), err
}

// Resize is told by the host that the window has another size.
func (t *Terminal) Resize(cols, rows int) {
	t.mu.Lock()
	t.resize(unix.Winsize{Row: uint16(rows), Col: uint16(cols)})
	t.unlock(t.status())
}

func (t *Terminal) resize(w unix.Winsize) {
	if w != t.size {
		t.size = w
		t.due = append(t.due, int(unix.SIGWINCH))
	}
}

// Flush blocks until the host has all output.
func (t *Terminal) Flush() {
	for {
		t.mu.Lock()
		t.d.stopped = false
		t.drain()
		left := len(t.d.out)
		t.mu.Unlock()
		if left == 0 {
			break
		}
		t.out.Flush()
	}
	t.out.Flush()
}

// file is an open terminal.
type file struct {
	vfs.FileDefaults
	t *Terminal
}

// Open returns the behaviour of a file that is opened on the terminal.
func (t *Terminal) Open() (vfs.FileImpl, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.excl {
		return nil, unix.EBUSY
	}
	return &file{t: t}, nil
}

func (f *file) Read(d *vfs.File, dst *mm.Buf, _ int64) (int64, error) { return f.t.read(d, dst) }
func (f *file) Write(_ *vfs.File, src *mm.Buf, _ int64) (int64, error) {
	return f.t.write(src)
}

func (f *file) Readiness() wait.Events {
	f.t.mu.Lock()
	defer f.t.mu.Unlock()
	return f.t.readiness()
}

func (f *file) Queue() *wait.Queue { return &f.t.queue }

// Async implements vfs.Asyncer.
func (f *file) Async() {}

func (f *file) Release() {
	if f.t.pair != nil {
		f.t.pair.closeSlave()
	}
}

// Of returns the terminal behind an open file, nil if it is none.
func Of(f *vfs.File) *Terminal {
	if t, ok := f.Impl().(*file); ok {
		return t.t
	}
	return nil
}
