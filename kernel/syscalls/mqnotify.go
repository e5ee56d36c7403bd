package syscalls

import (
	"golang.org/x/sys/unix"
	"gosv/abi/linux"
	"gosv/kernel/ipc/mqueue"
	"gosv/kernel/net/socket"
	"gosv/kernel/task"
)

// sysMqNotify is mq_notify(2). With SIGEV_THREAD, which the C library makes, the
// signal's number is a netlink socket and the value points to a cookie of 32
// bytes: the socket gets the cookie with a last byte that says what has happened
// (ipc/mqueue.c of Linux).
func sysMqNotify(t *task.Thread, a *Args) (uint64, error) {
	if a[1] == 0 {
		q, f, err := queueFile(t, a[0])
		if err != nil {
			return 0, err
		}
		defer f.Release()
		return 0, q.SetNotify(t.Proc, nil)
	}
	var b [64]byte
	if err := t.MM.CopyIn(b[:], a[1]); err != nil {
		return 0, err
	}
	p, value, sig := t.Proc, le.Uint64(b[0:]), int(int32(le.Uint32(b[8:])))
	n := &mqueue.Notify{Owner: p, Table: t.Files, PID: p.PID, Kind: int(int32(le.Uint32(b[12:])))}
	undo := func() {}
	switch n.Kind {
	case linux.SIGEV_NONE:
	case linux.SIGEV_SIGNAL:
		if sig < 0 || sig > linux.NSIG {
			return 0, unix.EINVAL
		}
		if n.Signal = sig; sig != 0 { // 0 is no signal, and no error
			n.Send = mqSignal(p, sig, value)
		}
	case linux.SIGEV_THREAD:
		var err error
		if undo, err = mqSocket(t, n, sig, value); err != nil {
			return 0, err
		}
	default:
		return 0, unix.EINVAL
	}
	q, f, err := queueFile(t, a[0])
	if err != nil {
		undo()
		return 0, err
	}
	defer f.Release()
	if err := q.SetNotify(p, n); err != nil {
		undo()
		return 0, err
	}
	return 0, nil
}

// mqSignal returns what sends p the signal, unless p runs another program then.
func mqSignal(p *task.Process, sig int, value uint64) func(int, uint32) {
	program := p.Layout()
	return func(sender int, uid uint32) {
		if p.Layout() != program { // which each program has one of
			return
		}
		info := linux.NewSigInfo(sig, linux.SI_MESGQ)
		info.SetSender(sender, uid)
		le.PutUint64(info[24:], value)
		p.Signal(info) //nolint:errcheck // a full queue of signals loses it, as on Linux
	}
}

// What the last byte of a cookie says (NOTIFY_* in Linux's ipc/mqueue.c).
const (
	mqCookie  = 32
	mqWokenUp = 1
	mqRemoved = 2
)

// mqSocket makes n tell a netlink socket, with the cookie at addr. There is room
// for it in the socket from then on; undo gives that back. EFAULT, EBADF, ENOTSOCK,
// EINVAL, ERESTARTSYS.
func mqSocket(t *task.Thread, n *mqueue.Notify, fd int, addr uint64) (undo func(), err error) {
	cookie := make([]byte, mqCookie)
	if err := t.MM.CopyIn(cookie, addr); err != nil {
		return nil, err
	}
	f, err := t.Files.Get(fd)
	if err != nil {
		return nil, err
	}
	defer f.Release()
	s, err := socket.Of(f)
	if err != nil {
		return nil, err
	}
	to, ok := s.(socket.Poster)
	if !ok {
		return nil, unix.EINVAL
	}
	if err := to.Reserve(&t.Sleeper, mqCookie); err != nil {
		return nil, err
	}
	post := func(code byte) {
		cookie[mqCookie-1] = code
		to.Post(cookie, mqCookie)
	}
	n.Send = func(int, uint32) { post(mqWokenUp) }
	n.Removed = func() { post(mqRemoved) }
	return func() { to.Post(nil, mqCookie) }, nil
}
