package syscalls

import (
	"golang.org/x/sys/unix"

	"gosv/abi/linux"
	"gosv/kernel/mm"
	"gosv/kernel/net/socket"
	"gosv/kernel/task"
	"gosv/kernel/uring"
)

// The operations of io_uring on sockets.

func socketOps() {
	uring.Ops[linux.IORING_OP_SEND] = &uring.Op{Name: "SEND", File: true, IOPrio: true, Poll: pollWrite, Prep: prepSend, Run: ringSend}
	uring.Ops[linux.IORING_OP_RECV] = &uring.Op{Name: "RECV", File: true, IOPrio: true, Poll: pollRead, Select: true, Prep: prepRecv, Run: ringRecv}
	uring.Ops[linux.IORING_OP_SENDMSG] = &uring.Op{Name: "SENDMSG", File: true, IOPrio: true, Poll: pollWrite, Prep: prepMsg, Take: takeMsg, Run: ringSendmsg}
	uring.Ops[linux.IORING_OP_RECVMSG] = &uring.Op{Name: "RECVMSG", File: true, IOPrio: true, Poll: pollRead, Select: true, Prep: prepMsg, Take: takeMsg, Run: ringRecvmsg}
	uring.Ops[linux.IORING_OP_ACCEPT] = &uring.Op{Name: "ACCEPT", File: true, IOPrio: true, Poll: pollRead, Exclusive: true, Prep: prepAccept, Run: ringAccept}
	uring.Ops[linux.IORING_OP_CONNECT] = &uring.Op{Name: "CONNECT", File: true, Poll: pollWrite, Prep: prepConnect, Take: takeConnect, Run: ringConnect}
	onFile(linux.IORING_OP_SHUTDOWN, "SHUTDOWN", sysShutdown, func(q *uring.Request) (*Args, bool) {
		return &Args{1: uint64(q.Len)}, q.Off == 0 && q.Addr == 0 && q.OpFlags == 0 && q.BufIndex == 0 && q.FileIndex == 0
	})
	uring.Ops[linux.IORING_OP_SOCKET] = &uring.Op{Name: "SOCKET", Prep: func(q *uring.Request) error {
		if q.Addr != 0 || q.OpFlags != 0 || q.BufIndex != 0 || q.FileIndex != 0 && uint32(q.Off)&unix.SOCK_CLOEXEC != 0 {
			return unix.EINVAL
		}
		return nil
	}, Run: func(t *task.Thread, q *uring.Request) (int64, error) {
		q.NoWait = true
		fixInstall(t, q)
		v, err := sysSocket(t, &Args{fd(q), q.Off, uint64(q.Len)})
		return int64(v), err
	}}
}

// dontWait are the flags of a call of the request: it does not block unless a
// worker makes it. MSG_DONTWAIT in the submission makes EAGAIN a result.
func dontWait(q *uring.Request) int {
	q.NoWait = q.OpFlags&unix.MSG_DONTWAIT != 0
	flags := int(q.OpFlags)
	if !q.Wait {
		flags |= unix.MSG_DONTWAIT
		if !q.NoWait {
			flags |= socket.FlagEnds
		}
	}
	return flags
}

func prepSend(q *uring.Request) error {
	if q.IOPrio&^linux.IORING_RECVSEND_POLL_FIRST != 0 || q.OpFlags&linux.MSG_CMSG_COMPAT != 0 {
		return unix.EINVAL
	}
	p := &progress{}
	if q.Off != 0 {
		b, err := addressArg(q.Thread(), p.buf[:], q.Off, uint64(q.FileIndex&0xffff))
		if err != nil {
			return err
		}
		p.name = b
	}
	q.State = p
	return nil
}

// progress is what MSG_WAITALL has transferred so far.
type progress struct {
	done int
	name []byte // sendto(2)
	buf  [socket.AddressSize]byte
}

func ringSend(t *task.Thread, q *uring.Request) (int64, error) {
	s, err := socket.Of(q.File)
	if err != nil {
		return 0, err
	}
	p := q.State.(*progress)
	want := int(min(q.Len, linux.MAX_RW_COUNT))
	o := newOperand(t, q.Addr+uint64(p.done), uint64(want-p.done))
	defer o.free()
	if err := o.CheckUser(); err != nil {
		return 0, err
	}
	m := o.message(dontWait(q) | unix.MSG_NOSIGNAL)
	defer m.Reset()
	m.Name = p.name
	if err := prepareSend(t, q.File, s, m); err != nil {
		return 0, err
	}
	n, err := sendSocket(t, q.File, s, m)
	return transferred(q, p, want, n, err)
}

// transferred is the result of a send or receive, which with MSG_WAITALL goes on
// until all is done.
func transferred(q *uring.Request, p *progress, want, n int, err error) (int64, error) {
	all := q.OpFlags&unix.MSG_WAITALL != 0
	if n > 0 {
		p.done += n
		err = nil
		if all && p.done < want && !q.Wait {
			if s, e := socket.Of(q.File); e == nil && s.Common().Stream() {
				return 0, unix.EAGAIN
			}
		}
	}
	if err != nil && (p.done == 0 || err == unix.EAGAIN && !q.NoWait) {
		return 0, err
	}
	q.Short = all && p.done < want
	return int64(p.done), nil
}

func prepRecv(q *uring.Request) error {
	if q.IOPrio&^(linux.IORING_RECVSEND_POLL_FIRST|linux.IORING_RECV_MULTISHOT) != 0 || q.Off != 0 || q.FileIndex != 0 ||
		q.OpFlags&linux.MSG_CMSG_COMPAT != 0 {
		return unix.EINVAL
	}
	if q.IOPrio&linux.IORING_RECV_MULTISHOT != 0 &&
		(q.Flags&linux.IOSQE_BUFFER_SELECT == 0 || q.OpFlags&unix.MSG_WAITALL != 0 || q.Len != 0) {
		return unix.EINVAL
	}
	q.State = &progress{}
	return nil
}

func ringRecv(t *task.Thread, q *uring.Request) (int64, error) {
	s, err := socket.Of(q.File)
	if err != nil {
		return 0, err
	}
	for {
		n, err := recvOnce(t, q, s)
		if err != nil || n <= 0 || q.IOPrio&linux.IORING_RECV_MULTISHOT == 0 || q.Wait || !q.More(int32(n)) {
			return n, err
		}
		q.State = &progress{}
		if err := q.Choose(); err != nil {
			q.NoWait = true
			return 0, err
		}
	}
}

func recvOnce(t *task.Thread, q *uring.Request, s socket.Socket) (int64, error) {
	p := q.State.(*progress)
	addr, size := q.Memory()
	want := int(min(size, linux.MAX_RW_COUNT))
	o := newOperand(t, addr+uint64(p.done), uint64(want-p.done))
	defer o.free()
	if err := o.CheckUser(); err != nil {
		return 0, err
	}
	m := o.message(dontWait(q))
	defer m.Reset()
	n, err := recvSocket(t, q.File, s, m)
	if n == 0 && err == nil { // the end
		q.Short = q.OpFlags&unix.MSG_WAITALL != 0 && p.done < want
		return int64(p.done), nil
	}
	if q.Flags&linux.IOSQE_BUFFER_SELECT != 0 { // a buffer is given back while the request waits
		return int64(n), err
	}
	return transferred(q, p, want, n, err)
}

// messageRequest is a struct msghdr with its vector, taken at submission.
type messageRequest struct {
	progress
	h   [msghdrSize]byte
	iov []mm.IOVec
}

func prepMsg(q *uring.Request) error {
	if q.IOPrio&^linux.IORING_RECVSEND_POLL_FIRST != 0 || q.Off != 0 || q.FileIndex != 0 || q.OpFlags&linux.MSG_CMSG_COMPAT != 0 {
		return unix.EINVAL
	}
	return nil
}

func takeMsg(q *uring.Request) error {
	t := q.Thread()
	p := new(messageRequest)
	o, err := header(t, q.Addr, &p.h)
	if err != nil {
		return err
	}
	o.free()
	p.iov = make([]mm.IOVec, le.Uint64(p.h[msgIovlen:]))
	if err := readIOVec(t, le.Uint64(p.h[msgIov:]), p.iov); err != nil {
		return err
	}
	if q.Flags&linux.IOSQE_BUFFER_SELECT != 0 {
		if len(p.iov) > 1 {
			return unix.EINVAL
		}
		q.Len = 0 // the most that Memory returns
		if len(p.iov) == 1 {
			q.Len = uint32(p.iov[0].Len)
		}
	}
	q.State, q.Size = p, len(p.iov)*16
	return nil
}

// operand is the memory of the message.
func (p *messageRequest) operand(t *task.Thread, q *uring.Request) *operand {
	o := takeOperand(t)
	if q.Chosen() {
		addr, n := q.Memory()
		o.Buf = mm.UserBuf(t.MM, addr, int(n))
	} else {
		o.Buf = mm.UserIovec(t.MM, p.iov)
	}
	return o
}

func ringSendmsg(t *task.Thread, q *uring.Request) (int64, error) {
	s, err := socket.Of(q.File)
	if err != nil {
		return 0, err
	}
	p := q.State.(*messageRequest)
	o := p.operand(t, q)
	want := o.Len()
	o.Skip(p.done)
	n, err := sendHeader(t, q.File, s, &p.h, o, dontWait(q)|unix.MSG_NOSIGNAL)
	o.free()
	return transferred(q, &p.progress, want, n, err)
}

func ringRecvmsg(t *task.Thread, q *uring.Request) (int64, error) {
	s, err := socket.Of(q.File)
	if err != nil {
		return 0, err
	}
	p := q.State.(*messageRequest)
	o := p.operand(t, q)
	want := o.Len()
	o.Skip(p.done)
	n, err := recvHeader(t, q.File, s, q.Addr, &p.h, o, dontWait(q))
	o.free()
	if n == 0 && err == nil || q.Chosen() {
		q.Short = q.OpFlags&unix.MSG_WAITALL != 0 && p.done+n < want
		return int64(p.done + n), err
	}
	return transferred(q, &p.progress, want, n, err)
}

func prepAccept(q *uring.Request) error {
	if q.Len != 0 || q.BufIndex != 0 || q.IOPrio&^linux.IORING_ACCEPT_MULTISHOT != 0 ||
		q.OpFlags&^(unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK) != 0 {
		return unix.EINVAL
	}
	if q.FileIndex != 0 && q.OpFlags&unix.SOCK_CLOEXEC != 0 {
		return unix.EINVAL
	}
	if q.IOPrio&linux.IORING_ACCEPT_MULTISHOT != 0 && q.FileIndex != 0 && q.FileIndex != linux.IORING_FILE_INDEX_ALLOC {
		return unix.EINVAL
	}
	return nil
}

func ringAccept(t *task.Thread, q *uring.Request) (int64, error) {
	for {
		fixInstall(t, q)
		v, err := accept(t, &Args{requestFD, q.Addr, q.Off}, q.OpFlags)
		if err != nil || q.IOPrio&linux.IORING_ACCEPT_MULTISHOT == 0 || q.Wait || !q.More(int32(v)) {
			return int64(v), err
		}
	}
}

// connectRequest is the address of a connection, taken at submission.
type connectRequest struct {
	addr    []byte
	buf     [socket.AddressSize]byte
	started bool
}

func prepConnect(q *uring.Request) error {
	if q.Len != 0 || q.BufIndex != 0 || q.OpFlags != 0 || q.FileIndex != 0 {
		return unix.EINVAL
	}
	return nil
}

func takeConnect(q *uring.Request) error {
	p := new(connectRequest)
	var err error
	p.addr, err = addressArg(q.Thread(), p.buf[:], q.Addr, q.Off)
	q.State = p
	return err
}

func ringConnect(t *task.Thread, q *uring.Request) (int64, error) {
	s, err := socket.Of(q.File)
	if err != nil {
		return 0, err
	}
	p := q.State.(*connectRequest)
	if p.started {
		if err := s.Connected(); err != unix.EALREADY {
			return 0, err
		}
		return 0, unix.EAGAIN
	}
	c := socketCaller(t)
	if w, ok := s.(preparer); ok {
		if err := w.Prepare(&c, p.addr, q.Wait); err != nil {
			return 0, err
		}
	}
	err = s.Connect(&c, p.addr)
	if err == unix.EINPROGRESS {
		p.started = true
		if q.Wait {
			err = q.File.WaitFor(&t.Sleeper, pollWrite)
			if err == nil {
				err = s.Connected()
			}
			return 0, err
		}
		return 0, unix.EAGAIN
	}
	return 0, err
}
