package tty

import (
	"strconv"
	"sync"

	"golang.org/x/sys/unix"
	"gosv/kernel/cpu"
	"gosv/kernel/mm"
	"gosv/kernel/vfs"
	"gosv/kernel/wait"
)

// source is standard input that is no terminal on the host: it looks like the
// read end of a pipe, whoever opens it, and nothing happens to the bytes.
type source struct {
	vfs.FileDefaults
	port Port

	onLook func() // Console.OnInput's; nil when it was called, or is not wanted

	mu   sync.Mutex
	buf  [4096]byte // what came and is not read: rest of it
	rest []byte
	eof  bool
}

// firstInput is how long the first look at standard input waits for the host,
// which begins to send only then: what was there from the start is not missed
// by a program that looks without waiting.
const firstInput = 200e6 // ns

// look is called with s.mu held before anything is looked for.
func (s *source) look() {
	if s.onLook == nil {
		return
	}
	var sleep wait.Sleeper
	w := wait.Waiter{Notify: func(wait.Events) { sleep.Wake() }, Mask: ^wait.Events(0)}
	s.port.Queue().Add(&w)
	defer s.port.Queue().Remove(&w)
	s.onLook()
	s.onLook = nil
	for end := cpu.Nanotime() + firstInput; s.port.Readiness()&(wait.Readable|wait.Hup) == 0; {
		if sleep.SleepUninterruptible(end) == wait.TimedOut {
			return
		}
	}
}

// Read gives what there is.
func (s *source) Read(_ *vfs.File, dst *mm.Buf, _ int64) (int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.look()
	total := 0
	for dst.Len() > 0 {
		s.fill()
		if len(s.rest) == 0 {
			break
		}
		n, err := dst.CopyTo(s.rest[:min(len(s.rest), dst.Len())])
		s.rest = s.rest[n:]
		total += n
		if err != nil {
			if total > 0 {
				break
			}
			return 0, err
		}
	}
	if total == 0 && dst.Len() > 0 && !s.eof {
		return 0, unix.EAGAIN
	}
	return int64(total), nil
}

// fill asks the port when nothing is left.
func (s *source) fill() {
	if len(s.rest) > 0 || s.eof {
		return
	}
	n, eof := s.port.Read(s.buf[:])
	s.rest = s.buf[:n]
	s.eof = eof && n == 0
}

// Readiness is that of a pipe: Hup alone once all was read.
func (s *source) Readiness() wait.Events {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.look()
	if s.fill(); s.eof {
		return wait.Hup
	}
	if len(s.rest) > 0 {
		return wait.Readable
	}
	return 0
}

func (s *source) Queue() *wait.Queue { return s.port.Queue() }

// Async implements vfs.Asyncer.
func (s *source) Async() {}

// Ioctl knows FIONREAD.
func (s *source) Ioctl(as *mm.AddressSpace, cmd uint32, arg uint64) (uint64, error) {
	if cmd != unix.TIOCINQ {
		return 0, unix.ENOTTY
	}
	s.mu.Lock()
	s.look()
	n := len(s.rest) + s.port.Buffered()
	s.mu.Unlock()
	return 0, as.Store32(arg, uint32(n))
}

// sink is standard output or error that is no terminal: the write end of a pipe.
type sink struct {
	vfs.FileDefaults
	port Port

	mu  sync.Mutex // one writer at a time: what is copied must fit
	buf [4096]byte
}

// Write takes as much as the port does.
func (s *sink) Write(_ *vfs.File, src *mm.Buf, _ int64) (int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	total := 0
	for src.Len() > 0 {
		before := *src
		n, err := src.CopyFrom(s.buf[:min(len(s.buf), src.Len())])
		taken := s.port.Write(s.buf[:n])
		total += taken
		if taken < n {
			*src = before
			src.Skip(taken)
			err = unix.EAGAIN
		}
		if err != nil {
			if total > 0 {
				break
			}
			return 0, err
		}
	}
	return int64(total), nil
}

func (s *sink) Readiness() wait.Events {
	if s.port.Readiness()&wait.Out != 0 {
		return wait.Writable
	}
	return 0
}

func (s *sink) Queue() *wait.Queue { return s.port.Queue() }

// Async implements vfs.Asyncer.
func (s *sink) Async() {}

// Ioctl knows FIONREAD, which pipes answer on both ends.
func (s *sink) Ioctl(as *mm.AddressSpace, cmd uint32, arg uint64) (uint64, error) {
	if cmd != unix.TIOCINQ {
		return 0, unix.ENOTTY
	}
	return 0, as.Store32(arg, 0)
}

// streamInode is the inode of a source or sink: a FIFO that leads to the host.
type streamInode struct {
	vfs.InodeDefaults
	ino  uint64
	impl vfs.FileImpl
}

func (n *streamInode) Mode() uint32 { return unix.S_IFIFO | 0o600 }

func (n *streamInode) Stat(st *vfs.Stat) error {
	st.Ino = n.ino
	st.Mode = n.Mode()
	st.Nlink = 1
	return nil
}

// newStream makes the inode. Opening it again, through /dev/stdin or
// /proc/self/fd/0, leads to the same stream.
func newStream(ino uint64, impl vfs.FileImpl) *streamInode {
	n := &streamInode{ino: ino, impl: impl}
	n.Extra().SetFIFO((*streamFIFO)(n))
	return n
}

// streamFIFO is the vfs.FIFO of a stream, whose other end is always there.
type streamFIFO streamInode

func (f *streamFIFO) OpenEnd(uint32) (vfs.FileImpl, error) { return f.impl, nil }

func (f *streamFIFO) WaitPeer(*wait.Sleeper, vfs.FileImpl, uint32) error { return nil }

// open makes an open file on the stream.
func (n *streamInode) open(flags uint32) *vfs.File {
	return vfs.NewInodeFile(n.impl, n, "pipe:["+strconv.FormatUint(n.ino, 10)+"]", flags)
}
