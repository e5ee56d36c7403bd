package syscalls

import (
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"gosv/abi/linux"
	"gosv/kernel/cpu"
	"gosv/kernel/fs/pidfd"
	"gosv/kernel/net/socket"
	"gosv/kernel/task"
	"gosv/kernel/vfs"
	"gosv/kernel/wait"
)

// socketRows are the calls that make, name and connect sockets (socket(2)).
var socketRows = []Row{
	{AMD64: 41, ARM64: 198, Name: "socket", Fn: sysSocket, Format: "domain:flags.af, type:socktype, protocol:sockproto, =fd",
		Level: Partial, Note: "AF_UNIX, AF_INET, AF_INET6, AF_NETLINK (route) and AF_PACKET; EAFNOSUPPORT for the rest"},
	{AMD64: 53, ARM64: 199, Name: "socketpair", Fn: sysSocketpair, Format: "domain:flags.af, type:socktype, protocol:sockproto, sv:fds.out"},
	{AMD64: 49, ARM64: 200, Name: "bind", Fn: sysBind, Format: "sockfd:fd, addr:sockaddr, addrlen:int"},
	{AMD64: 50, ARM64: 201, Name: "listen", Fn: sysListen, Format: "sockfd:fd, backlog:int"},
	{AMD64: 43, ARM64: 202, Name: "accept", Blocks: true, Fn: sysAccept, Format: "sockfd:fd, addr:sockaddr.out, addrlen:socklen.out, =fd"},
	{AMD64: 288, ARM64: 242, Name: "accept4", Blocks: true, Fn: sysAccept4, Format: "sockfd:fd, addr:sockaddr.out, addrlen:socklen.out, flags:flags.sock, =fd"},
	{AMD64: 42, ARM64: 203, Name: "connect", Blocks: true, Fn: sysConnect, Format: "sockfd:fd, addr:sockaddr, addrlen:int"},
	{AMD64: 51, ARM64: 204, Name: "getsockname", Fn: sysGetsockname, Format: "sockfd:fd, addr:sockaddr.out, addrlen:socklen.out"},
	{AMD64: 52, ARM64: 205, Name: "getpeername", Fn: sysGetpeername, Format: "sockfd:fd, addr:sockaddr.out, addrlen:socklen.out"},
	{AMD64: 48, ARM64: 210, Name: "shutdown", Fn: sysShutdown, Format: "sockfd:fd, how:flags.shut"},
	{AMD64: 54, ARM64: 208, Name: "setsockopt", Fn: sysSetsockopt, Format: "sockfd:fd, level:sol, optname:sockopt, optval:optval, optlen:int",
		Level: Partial, Note: "the options of socket(7), tcp(7), udp(7), ip(7), ipv6(7), raw(7), packet(7), unix(7), netlink(7) that docs/sockets.md lists"},
	{AMD64: 55, ARM64: 209, Name: "getsockopt", Fn: sysGetsockopt, Format: "sockfd:fd, level:sol, optname:sockopt, optval:optval.out, optlen:socklen.out",
		Level: Partial, Note: "as setsockopt"},
}

// sockTypeMask is the part of a type argument that is no flag.
const sockTypeMask = 0xf

// socketCaller is who makes a socket call.
func socketCaller(t *task.Thread) socket.Caller {
	return socket.Caller{Caller: t.Caller(), PID: t.Proc.PID, FS: t.FS, Files: t.Files, Inflight: t.Proc.Limit(unix.RLIMIT_NOFILE)}
}

// withSocket runs op on the socket of a descriptor: EBADF, ENOTSOCK.
func withSocket(t *task.Thread, fd uint64, op func(f *vfs.File, s socket.Socket) (uint64, error)) (uint64, error) {
	f, err := getFile(t, fd)
	if err != nil {
		return 0, err
	}
	defer f.Release()
	if f.PathOnly() {
		return 0, unix.EBADF
	}
	s, err := socket.Of(f)
	if err != nil {
		return 0, err
	}
	return op(f, s)
}

// socketFlags splits the type argument.
func socketFlags(v uint64) (typ int, flags uint32, err error) {
	flags = uint32(v) &^ sockTypeMask
	if flags&^(unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK) != 0 {
		return 0, 0, unix.EINVAL
	}
	return int(uint32(v) & sockTypeMask), flags, nil
}

// SOCK_NONBLOCK and SOCK_CLOEXEC are O_NONBLOCK and O_CLOEXEC.

func sysSocket(t *task.Thread, a *Args) (uint64, error) {
	typ, flags, err := socketFlags(a[1])
	if err != nil {
		return 0, err
	}
	c := socketCaller(t)
	s, err := socket.New(&c, int(int32(a[0])), typ, int(int32(a[2])))
	if err != nil {
		return 0, err
	}
	return install(t, socket.NewFile(&c, s, flags), flags&unix.SOCK_CLOEXEC != 0)
}

func sysSocketpair(t *task.Thread, a *Args) (uint64, error) {
	typ, flags, err := socketFlags(a[1])
	if err != nil {
		return 0, err
	}
	// The program is told the descriptors before there are sockets.
	fx, err := t.Files.Reserve()
	if err != nil {
		return 0, err
	}
	fy, err := t.Files.Reserve()
	if err != nil {
		t.Files.Unreserve(fx)
		return 0, err
	}
	c := socketCaller(t)
	var x, y socket.Socket
	if err = t.MM.Store64(a[3], uint64(uint32(fx))|uint64(uint32(fy))<<32); err == nil {
		x, y, err = socket.Pair(&c, int(int32(a[0])), typ, int(int32(a[2])))
	}
	if err != nil {
		t.Files.Unreserve(fx)
		t.Files.Unreserve(fy)
		return 0, err
	}
	cloexec := flags&unix.SOCK_CLOEXEC != 0
	t.Files.Fill(fx, socket.NewFile(&c, x, flags), cloexec)
	t.Files.Fill(fy, socket.NewFile(&c, y, flags), cloexec)
	return 0, nil
}

// addressArg reads a struct sockaddr into b, which has room for the longest.
func addressArg(t *task.Thread, b []byte, addr, size uint64) ([]byte, error) {
	n := int32(size)
	if n < 0 || n > socket.AddressSize {
		return nil, unix.EINVAL
	}
	b = b[:n]
	if n == 0 {
		return b, nil
	}
	return b, t.MM.CopyIn(b, addr)
}

// putAddress writes an address as far as there is room, and its full length.
func putAddress(t *task.Thread, name []byte, addr, sizeAddr uint64) error {
	size, err := t.MM.Load32(sizeAddr)
	if err != nil {
		return err
	}
	if int32(size) < 0 {
		return unix.EINVAL
	}
	if n := min(int(size), len(name)); n > 0 {
		if err := t.MM.CopyOut(addr, name[:n]); err != nil {
			return err
		}
	}
	return t.MM.Store32(sizeAddr, uint32(len(name)))
}

func sysBind(t *task.Thread, a *Args) (uint64, error) {
	return withSocket(t, a[0], func(f *vfs.File, s socket.Socket) (uint64, error) {
		var buf [socket.AddressSize]byte
		addr, err := addressArg(t, buf[:], a[1], a[2])
		if err != nil {
			return 0, err
		}
		c := socketCaller(t)
		return 0, s.Bind(&c, addr)
	})
}

func sysListen(t *task.Thread, a *Args) (uint64, error) {
	return withSocket(t, a[0], func(f *vfs.File, s socket.Socket) (uint64, error) {
		c := socketCaller(t)
		return 0, s.Listen(&c, int(min(uint32(a[1]), uint32(socket.MaxBacklog.Load()))))
	})
}

func sysAccept(t *task.Thread, a *Args) (uint64, error) { return accept(t, a, 0) }

func sysAccept4(t *task.Thread, a *Args) (uint64, error) { return accept(t, a, uint32(a[3])) }

func accept(t *task.Thread, a *Args, flags uint32) (uint64, error) {
	if flags&^(unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK) != 0 {
		return 0, firstBadFD(t, a[0], unix.EINVAL)
	}
	return withSocket(t, a[0], func(f *vfs.File, s socket.Socket) (uint64, error) {
		c := socketCaller(t)
		c.Wait = !f.Nonblocking()
		cloexec := flags&unix.SOCK_CLOEXEC != 0
		var n socket.Socket
		fd := -1
		// With EMFILE the connection stays in the queue: it needs a descriptor first.
		take := func() (err error) {
			if t.Acting == nil || t.Acting.Install == nil {
				if fd, err = t.Files.Reserve(); err != nil {
					return err
				}
			}
			if n, err = s.Accept(&c); err != nil && fd >= 0 {
				t.Files.Unreserve(fd)
			}
			return err
		}
		err := take()
		if err == unix.EAGAIN && !f.Nonblocking() {
			err = waitSocket(t, s, wait.Readable, s.Common().RcvTimeout.Load(), true, take)
		}
		if err != nil {
			return 0, err
		}
		g := socket.NewFile(&c, n, flags)
		drop := func() {
			g.Release()
			if fd >= 0 {
				t.Files.Unreserve(fd)
			}
		}
		if a[1] != 0 {
			var buf [socket.AddressSize]byte
			name, err := n.Peer(buf[:0])
			if err != nil {
				drop()
				return 0, unix.ECONNABORTED
			}
			if err := putAddress(t, name, a[1], a[2]); err != nil {
				drop()
				return 0, err
			}
		}
		if fd < 0 {
			return install(t, g, cloexec)
		}
		t.Files.Fill(fd, g, cloexec)
		return uint64(fd), nil
	})
}

// A preparer is a socket that must wait for something before it can reach an
// address: for the configuration of the network.
type preparer interface {
	Prepare(c *socket.Caller, addr []byte, block bool) error
}

func sysConnect(t *task.Thread, a *Args) (uint64, error) {
	var buf [socket.AddressSize]byte
	addr, err := addressArg(t, buf[:], a[1], a[2])
	if err != nil {
		return 0, firstBadFD(t, a[0], err)
	}
	return withSocket(t, a[0], func(f *vfs.File, s socket.Socket) (uint64, error) {
		c := socketCaller(t)
		block := !f.Nonblocking()
		if p, ok := s.(preparer); ok {
			if err := p.Prepare(&c, addr, block); err != nil {
				return 0, err
			}
		}
		err := s.Connect(&c, addr)
		if !block {
			return 0, err
		}
		timeout := s.Common().SndTimeout.Load()
		switch err {
		case unix.EAGAIN: // the other side's queue is full
			return 0, waitSocket(t, s, wait.Writable, timeout, false, func() error { return s.Connect(&c, addr) })
		case unix.EINPROGRESS, unix.EALREADY:
			first := err
			err = waitSocket(t, s, wait.Writable, timeout, false, func() error {
				if err := s.Connected(); err != unix.EALREADY {
					return err
				}
				return unix.EAGAIN
			})
			if err == unix.EAGAIN { // no time left
				err = first
			}
		}
		return 0, err
	})
}

// waitSocket calls op until it returns anything but EAGAIN, and between the calls
// sleeps until the socket has news: EAGAIN after timeout ns, unless that is 0.
// With exclusive, one of several waiters is woken for an event.
func waitSocket(t *task.Thread, s socket.Socket, ev wait.Events, timeout int64, exclusive bool, op func() error) error {
	deadline := int64(0)
	if timeout != 0 {
		deadline = after(timeout)
	}
	return waitSocketUntil(t, s, ev, deadline, exclusive, op)
}

func waitSocketUntil(t *task.Thread, s socket.Socket, ev wait.Events, deadline int64, exclusive bool, op func() error) error {
	w := socketWaiters.Get().(*socketWaiter)
	w.s, w.Mask, w.Exclusive = &t.Sleeper, ev, exclusive
	q := s.Queue()
	t.Sleeper.Clear()
	q.Add(&w.Waiter)
	defer func() {
		q.Remove(&w.Waiter)
		if exclusive && w.woken.Load() {
			q.Notify(ev) // of what came since op last looked: others wait for it
		}
		w.s = nil
		socketWaiters.Put(w)
	}()
	for {
		w.woken.Store(false)
		if err := op(); err != unix.EAGAIN {
			return err
		}
		switch t.Sleeper.Sleep(deadline) {
		case wait.Interrupted:
			if deadline != 0 {
				return unix.EINTR
			}
			return linux.ERESTARTSYS
		case wait.TimedOut:
			return op()
		}
	}
}

// closeLingering is close(2) of what may be a socket with SO_LINGER. The descriptor is free at once; a signal ends the wait
// and not the close. Sockets that dup2(2) or the end of a process close do not wait.
func closeLingering(t *task.Thread, fd int) error {
	f, err := t.Files.Get(fd)
	if err != nil {
		return err
	}
	var s socket.Lingerer
	if of, err := socket.Of(f); err == nil {
		s, _ = of.(socket.Lingerer)
	}
	time := int64(0)
	if s != nil {
		time = int64(s.Lingers())
	}
	f.Release()
	if err := t.Files.Close(fd); err != nil || time == 0 {
		return err
	}
	// The stack tells nobody that the last acknowledgement has come.
	const often = 1e6
	for end, pause := after(time), int64(often); ; pause = min(2*pause, 32*often) {
		now := cpu.Nanotime()
		err := waitSocketUntil(t, s, wait.Writable|wait.Hup|wait.Err, min(end, now+pause), false, s.Drained)
		if err != unix.EAGAIN || now >= end {
			return nil // the socket is closed, whatever ended the wait
		}
	}
}

// A socketWaiter is the registration of a thread that waits for a socket; kept for
// the next, so that waiting allocates nothing.
type socketWaiter struct {
	wait.Waiter
	s *wait.Sleeper
	// woken says that there was an event which this waiter has not looked at yet:
	// the next event is for another exclusive one.
	woken atomic.Bool
}

var socketWaiters = sync.Pool{New: func() any {
	w := new(socketWaiter)
	w.Notify = func(wait.Events) {
		w.Pass = w.woken.Swap(true)
		w.s.Wake()
	}
	return w
}}

func sysGetsockname(t *task.Thread, a *Args) (uint64, error) {
	return withSocket(t, a[0], func(f *vfs.File, s socket.Socket) (uint64, error) {
		var buf [socket.AddressSize]byte
		name, err := s.Name(buf[:0])
		if err != nil {
			return 0, err
		}
		return 0, putAddress(t, name, a[1], a[2])
	})
}

func sysGetpeername(t *task.Thread, a *Args) (uint64, error) {
	return withSocket(t, a[0], func(f *vfs.File, s socket.Socket) (uint64, error) {
		var buf [socket.AddressSize]byte
		name, err := s.Peer(buf[:0])
		if err != nil {
			return 0, err
		}
		return 0, putAddress(t, name, a[1], a[2])
	})
}

func sysShutdown(t *task.Thread, a *Args) (uint64, error) {
	return withSocket(t, a[0], func(f *vfs.File, s socket.Socket) (uint64, error) {
		return 0, s.Shutdown(int(int32(a[1])))
	})
}

// peerPIDFD is SO_PEERPIDFD: the process that SO_PEERCRED names.
func peerPIDFD(t *task.Thread, c *socket.Caller, s socket.Socket, a *Args, room uint32) (uint64, error) {
	cred, err := s.GetOption(c, unix.SOL_SOCKET, unix.SO_PEERCRED, unix.SizeofUcred)
	if err != nil {
		return 0, err
	}
	pid := int(int32(le.Uint32(cred)))
	if pid == 0 {
		return 0, unix.ENODATA
	}
	p := task.Tasks.Process(pid)
	if p == nil {
		return 0, unix.EINVAL // it was waited for
	}
	fd, err := install(t, pidfd.New(p, 0), true)
	if err != nil {
		return 0, err
	}
	var b [4]byte
	le.PutUint32(b[:], uint32(fd))
	n := min(room, 4)
	if err = t.MM.CopyOut(a[3], b[:n]); err == nil {
		err = t.MM.Store32(a[4], n)
	}
	if err != nil {
		t.Files.Close(int(fd))
	}
	return 0, err
}

// maxOption bounds what setsockopt(2) copies.
const maxOption = 4096

func sysSetsockopt(t *task.Thread, a *Args) (uint64, error) {
	return withSocket(t, a[0], func(f *vfs.File, s socket.Socket) (uint64, error) {
		n := int32(a[4])
		if n < 0 {
			return 0, unix.EINVAL
		}
		var small [64]byte
		v := small[:]
		if n = min(n, maxOption); int(n) > len(v) {
			v = make([]byte, n)
		}
		v = v[:n]
		if n > 0 {
			if err := t.MM.CopyIn(v, a[3]); err != nil {
				return 0, err
			}
		}
		c := socketCaller(t)
		return 0, s.SetOption(&c, int(int32(a[1])), int(int32(a[2])), v)
	})
}

func sysGetsockopt(t *task.Thread, a *Args) (uint64, error) {
	return withSocket(t, a[0], func(f *vfs.File, s socket.Socket) (uint64, error) {
		n, err := t.MM.Load32(a[4])
		if err != nil {
			return 0, err
		}
		if int32(n) < 0 {
			return 0, unix.EINVAL
		}
		c := socketCaller(t)
		if int32(a[1]) == unix.SOL_SOCKET && int32(a[2]) == linux.SO_PEERPIDFD {
			return peerPIDFD(t, &c, s, a, n)
		}
		v, err := s.GetOption(&c, int(int32(a[1])), int(int32(a[2])), int(min(n, maxOption)))
		if err != nil {
			return 0, err
		}
		if err := t.MM.CopyOut(a[3], v); err != nil {
			return 0, err
		}
		return 0, t.MM.Store32(a[4], uint32(len(v)))
	})
}
