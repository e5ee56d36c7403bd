package vfs

import (
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
	"gosv/abi/linux"
	"gosv/kernel/wait"
)

// Signal-driven I/O: what happens to a file becomes a signal to its owner (O_ASYNC, F_SETOWN, F_SETSIG and F_NOTIFY of
// fcntl(2)).

// SendIO sends the owner of a file the signal for what happened to it, one of
// POLL_IN to POLL_HUP, as descriptor fd. Package task sets it.
var SendIO = func(o *FileOwner, fd int, code int32) {}

type ioSignal struct {
	owner *FileOwner
	fd    int
	code  int32
}

// mostIOSignals bounds those on their way; more are lost.
const mostIOSignals = 4096

// ioSignals are those on their way: things happen under locks under which no
// signal can be sent.
var ioSignals struct {
	mu      sync.Mutex
	list    []ioSignal
	sending bool
}

func (f *File) signalIO(fd int, code int32) {
	o := f.Owner()
	if o == nil || o.PID == 0 {
		return
	}
	s, q := ioSignal{o, fd, code}, &ioSignals
	q.mu.Lock()
	defer q.mu.Unlock()
	n := len(q.list)
	if n == mostIOSignals || n > 0 && q.list[n-1] == s && o.Signal < linux.SIGRTMIN {
		return
	}
	q.list = append(q.list, s)
	if !q.sending {
		q.sending = true
		go sendIO()
	}
}

func sendIO() {
	q := &ioSignals
	for {
		q.mu.Lock()
		list := q.list
		q.list = nil
		q.sending = len(list) > 0
		q.mu.Unlock()
		if len(list) == 0 {
			return
		}
		for _, s := range list {
			SendIO(s.owner, s.fd, s.code)
		}
	}
}

// An Asyncer is a FileImpl that has signal-driven I/O: pipes, sockets, terminals.
type Asyncer interface {
	// Async does nothing.
	Async()
}

// asyncFile waits for what happens to a file from when O_ASYNC was first set.
type asyncFile struct {
	wait.Waiter
	f    *File
	fd   atomic.Int32
	hook CloseHook
}

// CanSignal reports whether O_ASYNC has an effect.
func (f *File) CanSignal() bool {
	_, ok := f.impl.(Asyncer)
	return ok && f.impl.Queue() != nil
}

// SetAsync sets or clears O_ASYNC of a file that can have it, through the
// descriptor fd, which signals will name.
func (f *File) SetAsync(on bool, fd int) {
	if !f.CanSignal() {
		return
	}
	if !on {
		f.SetFlags(0, unix.O_ASYNC)
		return
	}
	a := f.async.Load()
	if a == nil {
		a = &asyncFile{f: f}
		a.Notify, a.Mask = a.notify, wait.Readable|wait.Writable|wait.Pri
		a.hook.Func = func(*File) { f.impl.Queue().Remove(&a.Waiter) }
		if f.async.CompareAndSwap(nil, a) {
			f.OnClose(&a.hook)
			f.impl.Queue().Add(&a.Waiter)
		} else {
			a = f.async.Load()
		}
	}
	if f.Flags()&unix.O_ASYNC == 0 {
		a.fd.Store(int32(fd))
		f.SetFlags(unix.O_ASYNC, unix.O_ASYNC)
	}
}

func (a *asyncFile) notify(ev wait.Events) {
	f, fd := a.f, int(a.fd.Load())
	if f.Flags()&unix.O_ASYNC == 0 {
		return
	}
	if f.readable && ev&wait.Readable != 0 {
		f.signalIO(fd, linux.POLL_IN)
	}
	if f.writable && ev&wait.Writable != 0 {
		f.signalIO(fd, linux.POLL_OUT)
	}
	if ev&wait.Pri != 0 {
		f.signalIO(fd, linux.POLL_PRI)
	}
	if ev&(wait.Hup|wait.Err) != 0 && ev&(wait.Readable|wait.Writable) == 0 {
		f.signalIO(fd, linux.POLL_HUP)
	}
}
