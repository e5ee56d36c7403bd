package syscalls

import (
	"golang.org/x/sys/unix"

	"gosv/abi/linux"
	"gosv/kernel/cpu"
	"gosv/kernel/fs/pidfd"
	"gosv/kernel/mm"
	"gosv/kernel/net/socket"
	"gosv/kernel/task"
	"gosv/kernel/vfs"
	"gosv/kernel/wait"
)

// sockioRows are the calls that send and receive.
var sockioRows = []Row{
	{AMD64: 44, ARM64: 206, Name: "sendto", Blocks: true, Fn: sysSendto, Format: "sockfd:fd, buf:buf, len:size, flags:flags.msg, addr:sockaddr, addrlen:int"},
	{AMD64: 45, ARM64: 207, Name: "recvfrom", Blocks: true, Fn: sysRecvfrom, Format: "sockfd:fd, buf:out, len:size, flags:flags.msg, addr:sockaddr.out, addrlen:socklen.out"},
	{AMD64: 46, ARM64: 211, Name: "sendmsg", Blocks: true, Fn: sysSendmsg, Format: "sockfd:fd, msg:msghdr, flags:flags.msg"},
	{AMD64: 47, ARM64: 212, Name: "recvmsg", Blocks: true, Fn: sysRecvmsg, Format: "sockfd:fd, msg:msghdr.out, flags:flags.msg"},
	{AMD64: 307, ARM64: 269, Name: "sendmmsg", Blocks: true, Fn: sysSendmmsg, Format: "sockfd:fd, msgvec:ptr, vlen:uint, flags:flags.msg"},
	{AMD64: 299, ARM64: 243, Name: "recvmmsg", Blocks: true, Fn: sysRecvmmsg, Format: "sockfd:fd, msgvec:ptr, vlen:uint, flags:flags.msg, timeout:timespec"},
}

// sendSocket sends m, which blocks as the descriptor and the flags say. A stream
// whose other end is gone brings SIGPIPE.
func sendSocket(t *task.Thread, f *vfs.File, s socket.Socket, m *socket.Message) (int, error) {
	m.By = socketCaller(t)
	base := s.Common()
	total := m.Buf.Len()
	stream := base.Stream()
	n, err := s.Send(&m.By, m)
	if more := err == unix.EAGAIN || err == nil && stream && n < total; more && m.Flags&unix.MSG_DONTWAIT == 0 && !f.Nonblocking() {
		err = waitSocket(t, s, wait.Writable, base.SndTimeout.Load(), false, func() error {
			for {
				k, err := s.Send(&m.By, m)
				n += k
				if err != nil || !stream || n >= total || k == 0 {
					return err
				}
			}
		})
	}
	if n > 0 {
		return n, nil
	}
	if err == unix.EPIPE && stream && m.Flags&unix.MSG_NOSIGNAL == 0 {
		t.SendSignal(int(unix.SIGPIPE))
	}
	return n, err
}

// recvSocket receives into m.
func recvSocket(t *task.Thread, f *vfs.File, s socket.Socket, m *socket.Message) (int, error) {
	m.By = socketCaller(t)
	base := s.Common()
	whole := *m.Buf
	block := m.Flags&(unix.MSG_DONTWAIT|unix.MSG_ERRQUEUE) == 0 && !f.Nonblocking()
	m.By.Wait = block || m.Flags&socket.FlagEnds != 0
	n, err := s.Recv(&m.By, m)
	if !block {
		return n, err
	}
	if base.Stream() && m.Peeking() && m.Flags&unix.MSG_WAITALL != 0 && base.PeekOff() < 0 {
		return peekAll(t, s, m, whole, n, err)
	}
	want := 1
	if base.Stream() && !m.Peeking() {
		if want = base.RcvLowat(); m.Flags&unix.MSG_WAITALL != 0 {
			want = 1<<31 - 1
		}
		if want > 1 {
			want = min(want, n+m.Buf.Len())
		}
	}
	// A stream ends a call where descriptors are in it.
	if err == unix.EAGAIN || err == nil && n > 0 && n < want && m.Files == nil {
		err = waitSocket(t, s, wait.Readable|wait.RdHup, base.RcvTimeout.Load(), false, func() error {
			for {
				m.Started = n > 0
				k, err := s.Recv(&m.By, m)
				n += k
				if err != nil || k == 0 || n >= want || m.Files != nil {
					return err
				}
			}
		})
		if n > 0 {
			err = nil
		}
	}
	return n, err
}

// peekAll is recv(2) with MSG_PEEK and MSG_WAITALL, after a first look that gave n
// and err: it looks again from the start whenever there is more.
func peekAll(t *task.Thread, s socket.Socket, m *socket.Message, whole mm.Buf, n int, err error) (int, error) {
	total := whole.Len()
	if err != unix.EAGAIN && (err != nil || n == 0 || n >= total || m.Files != nil) {
		return n, err
	}
	err = waitSocket(t, s, wait.Readable|wait.RdHup, s.Common().RcvTimeout.Load(), false, func() error {
		end := s.Readiness()&(wait.RdHup|wait.Hup|wait.Err) != 0
		*m.Buf, m.Received = whole, nil
		k, err := s.Recv(&m.By, m)
		if err != nil {
			return err
		}
		if n = k; end || k == 0 || k >= total || m.Files != nil {
			return nil
		}
		return unix.EAGAIN
	})
	if n > 0 {
		err = nil
	}
	return n, err
}

// readSocket and writeSocket are read(2) and write(2) of a socket.
func readSocket(t *task.Thread, f *vfs.File, s socket.Socket, o *operand, flags vfs.IO) (int64, error) {
	if o.Len() == 0 {
		return 0, nil
	}
	m := o.message(nowaitFlag(flags))
	n, err := recvSocket(t, f, s, m)
	m.Reset()
	return int64(n), err
}

func writeSocket(t *task.Thread, f *vfs.File, s socket.Socket, o *operand, flags vfs.IO) (int64, error) {
	m := o.message(nowaitFlag(flags))
	n, err := sendSocket(t, f, s, m)
	m.Reset()
	return int64(n), err
}

func nowaitFlag(flags vfs.IO) int {
	if flags.NoWait {
		return unix.MSG_DONTWAIT
	}
	return 0
}

// pageSource is a piece of a file in the page cache, as a socket takes it.
type pageSource struct {
	cache  *mm.Cache
	pos, n int64
}

func (p *pageSource) Len() int { return int(p.n) }

func (p *pageSource) CopyFrom(dst []byte) (int, error) {
	done := 0
	for done < len(dst) && p.n > 0 {
		b, page, err := cachedPiece(p.cache, p.pos, min(p.n, int64(len(dst)-done)))
		if err != nil {
			return done, err
		}
		if len(b) == 0 { // the file was cut meanwhile
			p.n = 0
			break
		}
		k := copy(dst[done:], b)
		if page != 0 {
			page.Unref()
		}
		done += k
		p.pos += int64(k)
		p.n -= int64(k)
	}
	return done, nil
}

// sendPages sends n bytes of a cached file from pos on to a stream: sendfile(2).
func sendPages(t *task.Thread, f *vfs.File, s socket.Socket, to socket.SourceSender, cache *mm.Cache, pos, n int64) (int64, error) {
	n = min(n, cache.Size()-pos)
	if n <= 0 {
		return 0, nil
	}
	o := takeOperand(t)
	m := o.message(0)
	defer func() {
		m.Reset()
		o.pages = pageSource{}
		o.free()
	}()
	var done int64
	send := func() error {
		for done < n {
			o.pages = pageSource{cache, pos + done, n - done}
			k, err := to.SendFrom(m, &o.pages)
			done += int64(k)
			if err != nil || k == 0 {
				return err
			}
		}
		return nil
	}
	err := send()
	if err == unix.EAGAIN && !f.Nonblocking() {
		err = waitSocket(t, s, wait.Writable, s.Common().SndTimeout.Load(), false, send)
	}
	if done > 0 {
		err = nil
	}
	return done, err
}

// msgFlags are the flags of a call with a struct msghdr as the family sees them.
// MSG_CMSG_COMPAT is for 32-bit programs.
func msgFlags(v uint64) (int, error) {
	if uint32(v)&linux.MSG_CMSG_COMPAT != 0 {
		return 0, unix.EINVAL
	}
	return int(uint32(v)), nil
}

func sysSendto(t *task.Thread, a *Args) (uint64, error) {
	flags := int(uint32(a[3]) &^ linux.MSG_CMSG_COMPAT)
	o := newOperand(t, a[1], a[2])
	defer o.free()
	if err := o.CheckUser(); err != nil {
		return 0, firstBadFD(t, a[0], err)
	}
	return withSocket(t, a[0], func(f *vfs.File, s socket.Socket) (uint64, error) {
		m := o.message(flags)
		defer m.Reset()
		var err error
		if a[4] != 0 {
			if m.Name, err = addressArg(t, m.NameBuf()[:socket.AddressSize], a[4], a[5]); err != nil {
				return 0, err
			}
		}
		if err := prepareSend(t, f, s, m); err != nil {
			return 0, err
		}
		n, err := sendSocket(t, f, s, m)
		return uint64(n), err
	})
}

// prepareSend waits until the network is there, if that is what m needs.
func prepareSend(t *task.Thread, f *vfs.File, s socket.Socket, m *socket.Message) error {
	if len(m.Name) == 0 {
		return nil
	}
	if p, ok := s.(preparer); ok {
		m.By = socketCaller(t)
		return p.Prepare(&m.By, m.Name, m.Flags&unix.MSG_DONTWAIT == 0 && !f.Nonblocking())
	}
	return nil
}

func sysRecvfrom(t *task.Thread, a *Args) (uint64, error) {
	flags := int(uint32(a[3]) &^ linux.MSG_CMSG_COMPAT)
	o := newOperand(t, a[1], a[2])
	defer o.free()
	if err := o.CheckUser(); err != nil {
		return 0, firstBadFD(t, a[0], err)
	}
	return withSocket(t, a[0], func(f *vfs.File, s socket.Socket) (uint64, error) {
		m := o.message(flags)
		defer m.Reset()
		m.WantName = a[4] != 0
		n, err := recvSocket(t, f, s, m)
		if err != nil {
			return 0, err
		}
		if m.WantName {
			err = putAddress(t, m.Name, a[4], a[5])
		}
		return uint64(n), err
	})
}

// The layout of struct msghdr, and of struct mmsghdr, which adds msg_len.
const (
	msghdrSize  = 56
	mmsghdrSize = 64

	msgName       = 0
	msgNamelen    = 8
	msgIov        = 16
	msgIovlen     = 24
	msgControl    = 32
	msgControllen = 40
	msgFlagsField = 48
	mmsgLen       = 56
)

// header reads a struct msghdr and the vector it points to.
func header(t *task.Thread, addr uint64, h *[msghdrSize]byte) (*operand, error) {
	if err := t.MM.CopyIn(h[:], addr); err != nil {
		return nil, err
	}
	if le.Uint64(h[msgName:]) == 0 {
		le.PutUint32(h[msgNamelen:], 0)
	}
	n := int32(le.Uint32(h[msgNamelen:]))
	if n < 0 {
		return nil, unix.EINVAL
	}
	le.PutUint32(h[msgNamelen:], uint32(min(n, socket.AddressSize)))
	if le.Uint64(h[msgIovlen:]) > linux.IOV_MAX {
		return nil, unix.EMSGSIZE
	}
	return newVector(t, le.Uint64(h[msgIov:]), le.Uint64(h[msgIovlen:]))
}

func sendMessage(t *task.Thread, f *vfs.File, s socket.Socket, addr uint64, flags int) (int, error) {
	var h [msghdrSize]byte
	o, err := header(t, addr, &h)
	if err != nil {
		return 0, err
	}
	defer o.free()
	return sendHeader(t, f, s, &h, o, flags)
}

// sendHeader sends the message of a struct msghdr whose vector is o.
func sendHeader(t *task.Thread, f *vfs.File, s socket.Socket, h *[msghdrSize]byte, o *operand, flags int) (_ int, err error) {
	m := o.message(flags)
	defer m.Reset()
	if n := le.Uint32(h[msgNamelen:]); n > 0 {
		if m.Name, err = addressArg(t, m.NameBuf()[:socket.AddressSize], le.Uint64(h[msgName:]), uint64(n)); err != nil {
			return 0, err
		}
	}
	if n := le.Uint64(h[msgControllen:]); n > 0 && le.Uint64(h[msgControl:]) != 0 {
		if n > uint64(socket.MaxControl.Load()) {
			return 0, unix.ENOBUFS
		}
		b := m.ControlBuf()
		if int(n) > cap(b) {
			b = make([]byte, n)
		}
		m.Control = b[:n]
		if err := t.MM.CopyIn(m.Control, le.Uint64(h[msgControl:])); err != nil {
			return 0, err
		}
	}
	if err := prepareSend(t, f, s, m); err != nil {
		return 0, err
	}
	return sendSocket(t, f, s, m)
}

// recvMessage receives one message with its name and control data.
func recvMessage(t *task.Thread, f *vfs.File, s socket.Socket, addr uint64, flags int) (int, error) {
	var h [msghdrSize]byte
	o, err := header(t, addr, &h)
	if err != nil {
		return 0, err
	}
	defer o.free()
	return recvHeader(t, f, s, addr, &h, o, flags)
}

// recvHeader receives into the struct msghdr at addr, which was read into h, and
// whose vector is o.
func recvHeader(t *task.Thread, f *vfs.File, s socket.Socket, addr uint64, h *[msghdrSize]byte, o *operand, flags int) (int, error) {
	m := o.message(flags)
	defer m.Reset()
	m.WantName = le.Uint64(h[msgName:]) != 0
	if le.Uint64(h[msgControl:]) != 0 {
		m.ControlMax = int(min(le.Uint64(h[msgControllen:]), 128<<10)) // more than a message brings
	}
	n, err := recvSocket(t, f, s, m)
	if err != nil {
		return 0, err
	}
	if m.WantName {
		name := m.Name[:min(len(m.Name), int(le.Uint32(h[msgNamelen:])))]
		if err := t.MM.CopyOut(le.Uint64(h[msgName:]), name); err != nil {
			return 0, err
		}
		if err := t.MM.Store32(addr+msgNamelen, uint32(len(m.Name))); err != nil {
			return 0, err
		}
	}
	receiveFiles(t, m)
	if s.Common().Flag(socket.FlagPassPIDFD) {
		receivePIDFD(t, m)
	}
	if len(m.Received) > 0 {
		if err := t.MM.CopyOut(le.Uint64(h[msgControl:]), m.Received); err != nil {
			return 0, err
		}
	}
	if err := t.MM.Store32(addr+msgFlagsField, uint32(m.Out|flags&unix.MSG_CMSG_CLOEXEC)); err != nil {
		return 0, err
	}
	return n, t.MM.Store64(addr+msgControllen, uint64(len(m.Received)))
}

// receiveFiles gives the files of a message descriptors, as many as the control
// buffer has room for; the rest is closed, and told with MSG_CTRUNC
// (scm_detach_fds in net/core/scm.c).
func receiveFiles(t *task.Thread, m *socket.Message) {
	if len(m.Files) == 0 {
		return
	}
	room := max(m.ControlRoom(), 0) / 4
	fds := make([]byte, 0, 4*len(m.Files))
	for len(m.Files) > 0 && room > 0 {
		fd, err := t.Files.Install(m.Files[0], m.Flags&unix.MSG_CMSG_CLOEXEC != 0)
		if err != nil {
			break
		}
		fds = le.AppendUint32(fds, uint32(fd))
		m.Files = m.Files[1:]
		room--
	}
	if len(fds) > 0 {
		m.AddControl(unix.SOL_SOCKET, unix.SCM_RIGHTS, fds)
	}
	if len(m.Files) > 0 {
		m.Out |= unix.MSG_CTRUNC
	}
}

// receivePIDFD tells the receiver the sender's process (scm_pidfd_recv in
// include/net/scm.h).
func receivePIDFD(t *task.Thread, m *socket.Message) {
	if m.ControlMax == 0 || m.ControlRoom() < 4 {
		m.Out |= unix.MSG_CTRUNC
		return
	}
	fd := -1
	if p := task.Tasks.Process(int(m.Cred.PID)); p != nil && m.HasCred {
		f := pidfd.New(p, 0)
		if n, err := t.Files.Install(f, true); err == nil {
			fd = n
		} else {
			f.Release()
		}
	}
	m.AddControl32(unix.SOL_SOCKET, linux.SCM_PIDFD, uint32(fd))
}

func sysSendmsg(t *task.Thread, a *Args) (uint64, error) {
	flags, err := msgFlags(a[2])
	if err != nil {
		return 0, err
	}
	return withSocket(t, a[0], func(f *vfs.File, s socket.Socket) (uint64, error) {
		n, err := sendMessage(t, f, s, a[1], flags)
		return uint64(n), err
	})
}

func sysRecvmsg(t *task.Thread, a *Args) (uint64, error) {
	flags, err := msgFlags(a[2])
	if err != nil {
		return 0, err
	}
	return withSocket(t, a[0], func(f *vfs.File, s socket.Socket) (uint64, error) {
		n, err := recvMessage(t, f, s, a[1], flags)
		return uint64(n), err
	})
}

func sysSendmmsg(t *task.Thread, a *Args) (uint64, error) {
	flags, err := msgFlags(a[3])
	if err != nil {
		return 0, err
	}
	return withSocket(t, a[0], func(f *vfs.File, s socket.Socket) (uint64, error) {
		done := uint64(0)
		for n := min(uint64(uint32(a[2])), linux.IOV_MAX); done < n; done++ {
			at := a[1] + done*mmsghdrSize
			k, err := sendMessage(t, f, s, at, flags)
			if err == nil {
				err = t.MM.Store32(at+mmsgLen, uint32(k))
			}
			if err != nil {
				if done > 0 {
					err = nil
				}
				return done, err
			}
		}
		return done, nil
	})
}

func sysRecvmmsg(t *task.Thread, a *Args) (uint64, error) {
	flags, err := msgFlags(a[3])
	if err != nil {
		return 0, err
	}
	deadline := int64(0)
	if a[4] != 0 {
		ns, err := copyInTimespec(t, a[4])
		if err != nil {
			return 0, err
		}
		deadline = after(ns)
	}
	return withSocket(t, a[0], func(f *vfs.File, s socket.Socket) (uint64, error) {
		if err := s.Common().TakeError(); err != nil {
			return 0, err
		}
		done := uint64(0)
		var err error
		for n := uint64(uint32(a[2])); done < n; {
			at := a[1] + done*mmsghdrSize
			var k int
			k, err = recvMessage(t, f, s, at, flags&^unix.MSG_WAITFORONE)
			if err == nil {
				err = t.MM.Store32(at+mmsgLen, uint32(k))
			}
			if err != nil {
				break
			}
			done++
			if flags&unix.MSG_WAITFORONE != 0 {
				flags |= unix.MSG_DONTWAIT
			}
			// The time is looked at only between messages, as on Linux.
			if deadline != 0 && cpu.Nanotime() >= deadline {
				break
			}
		}
		if deadline != 0 && (done > 0 || err == nil) {
			var b [16]byte
			putTimespec(b[:], max(deadline-cpu.Nanotime(), 0))
			if e := t.MM.CopyOut(a[4], b[:]); e != nil && done == 0 {
				err = e
			}
		}
		if done > 0 {
			if err != nil && err != unix.EAGAIN && err != linux.ERESTARTSYS && err != unix.EINTR {
				s.Common().SetError(err)
			}
			return done, nil
		}
		return 0, err
	})
}
