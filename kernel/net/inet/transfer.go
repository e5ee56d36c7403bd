package inet

import (
	"encoding/binary"
	"io"
	_ "unsafe" // for linkname

	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"

	"gosv/kernel/mm"
	"gosv/kernel/net"
	"gosv/kernel/net/socket"
	"gosv/kernel/wait"
)

// A transfer is what the stack sees of the program's memory: the source of what
// it sends, and where it puts what it received.
type transfer struct {
	buf  *mm.Buf
	tos  int           // of this message, -1 for the socket's
	src  socket.Source // instead of buf
	err  error
	drop bool // MSG_TRUNC on a stream: pass over the data
	to   tcpip.FullAddress
}

// transferOf is the transfer of a message.
func transferOf(m *socket.Message) *transfer {
	t, ok := m.Scratch.(*transfer)
	if !ok {
		t = new(transfer)
		m.Scratch = t
	}
	t.buf, t.err, t.drop = m.Buf, nil, false
	return t
}

func (t *transfer) free() { t.buf, t.src = nil, nil }

// Len implements tcpip.Payloader.
func (t *transfer) Len() int {
	if t.src != nil {
		return t.src.Len()
	}
	return t.buf.Len()
}

// Read implements tcpip.Payloader.
func (t *transfer) Read(p []byte) (int, error) {
	if t.Len() == 0 {
		return 0, io.EOF
	}
	var n int
	var err error
	if t.src != nil {
		n, err = t.src.CopyFrom(p)
	} else {
		n, err = t.buf.CopyFrom(p)
	}
	if err != nil {
		t.err = err
	}
	return n, err
}

// Write implements io.Writer.
func (t *transfer) Write(p []byte) (int, error) {
	n := len(p)
	if t.drop {
		n = min(n, t.buf.Len())
		t.buf.Skip(n)
	} else {
		var err error
		if n, err = t.buf.CopyTo(p); err != nil {
			t.err = err
			return n, err
		}
	}
	if n < len(p) {
		return n, io.ErrShortWrite
	}
	return n, nil
}

// Send implements socket.Socket.
func (s *Socket) Send(c *socket.Caller, m *socket.Message) (int, error) {
	if m.Flags&(unix.MSG_OOB|unix.MSG_FASTOPEN) != 0 {
		if err := s.specialSend(m); err != nil {
			return 0, err
		}
	}
	if s.HasError() {
		if err := s.TakeError(); err != nil {
			return 0, err
		}
	}
	// A connection is locked while the program's memory is read, as in Linux (tcp_sendmsg).
	opts := tcpip.WriteOptions{Atomic: true, More: m.Flags&unix.MSG_MORE != 0, EndOfRecord: m.Flags&unix.MSG_EOR != 0}
	t := transferOf(m)
	defer t.free()
	if s.isTCP() {
		if err := s.maySend(); err != nil {
			return 0, err
		}
		if m.Buf.Len() == 0 {
			return 0, nil
		}
	} else {
		if s.shut.Load()&shutWrite != 0 {
			return 0, unix.EPIPE
		}
		if m.Name != nil && !s.noName(m.Name) {
			var err error
			if t.to, err = s.parse(m.Name, toSend); err != nil {
				return 0, err
			}
			opts.To = &t.to
		} else if m.Control != nil || s.Type == unix.SOCK_RAW {
			if _, err := s.endpoint().GetRemoteAddress(); err != nil {
				return 0, unix.EDESTADDRREQ
			}
		}
		if s.Type == unix.SOCK_RAW {
			if s.Family == unix.AF_INET6 && opts.To != nil && t.to.Port != 0 && int(t.to.Port) != s.Protocol {
				return 0, unix.EINVAL // rawv6_sendmsg takes the port as the protocol
			}
			if (s.transport == unix.IPPROTO_ICMP || s.transport == unix.IPPROTO_ICMPV6) && m.Buf.Len() < 2 {
				return 0, unix.EFAULT // raw_probe_proto_opt reads type and code
			}
		}
	}
	t.tos = -1
	if m.Control != nil {
		if err := s.sendControl(c, m, &opts, t); err != nil {
			return 0, err
		}
	}
	if (opts.More || s.cork.some.Load()) && s.isUDP() {
		return s.sendCorked(m, t, opts)
	}
	before := *m.Buf
	net.Hold()
	n, err := s.write(t, opts)
	net.Unhold()
	// What the stack has read and what it has taken may differ.
	*m.Buf = before
	m.Buf.Skip(int(n))
	if err == nil {
		s.sentZeroCopy(m)
		return int(n), nil
	}
	if t.err != nil {
		return 0, t.err
	}
	if s.isTCP() {
		s.ended()
	}
	return 0, errno(err)
}

// noName reports whether an address is none: udp(7) of IPv6 takes AF_UNSPEC so.
func (s *Socket) noName(b []byte) bool {
	if s.Family == unix.AF_INET && s.Type == unix.SOCK_RAW {
		return len(b) == 0
	}
	return s.Family == unix.AF_INET6 && s.transport == unix.IPPROTO_UDP && s.Type == unix.SOCK_DGRAM &&
		len(b) >= 2 && b[0] == unix.AF_UNSPEC && b[1] == 0
}

// specialSend refuses flags that the socket does not take; the state of a
// connection is looked at first.
func (s *Socket) specialSend(m *socket.Message) error {
	if s.isTCP() {
		if m.Flags&unix.MSG_FASTOPEN == 0 {
			if err := s.maySend(); err != nil {
				return err
			}
		}
		return unix.EOPNOTSUPP
	}
	if m.Flags&unix.MSG_OOB == 0 {
		return nil // MSG_FASTOPEN has no meaning
	}
	if s.Family == unix.AF_INET || s.Type == unix.SOCK_RAW {
		return unix.EOPNOTSUPP
	}
	return nil
}

// ended notes, after an error, that the one which ended the connection was told.
func (s *Socket) ended() {
	switch s.tcpState() {
	case tcp.StateError, tcp.StateClose:
		s.errTaken.Store(true)
	}
}

// SendFrom implements socket.SourceSender.
func (s *Socket) SendFrom(m *socket.Message, src socket.Source) (int, error) {
	if !s.isTCP() {
		return 0, unix.EOPNOTSUPP
	}
	if err := s.TakeError(); err != nil {
		return 0, err
	}
	if err := s.maySend(); err != nil {
		return 0, err
	}
	t := transferOf(m)
	defer t.free()
	t.src = src
	n, err := s.endpoint().Write(t, tcpip.WriteOptions{})
	if err == nil {
		return int(n), nil
	}
	if t.err != nil {
		return 0, t.err
	}
	s.ended()
	return 0, errno(err)
}

// maySend makes the checks of a TCP socket that the stack makes otherwise.
func (s *Socket) maySend() error {
	switch s.tcpState() {
	case tcp.StateInitial, tcp.StateBound, tcp.StateListen:
		return unix.EPIPE
	}
	if s.shut.Load()&shutWrite != 0 {
		return unix.EPIPE
	}
	return nil
}

// Recv implements socket.Socket.
func (s *Socket) Recv(c *socket.Caller, m *socket.Message) (int, error) {
	if m.Flags&unix.MSG_ERRQUEUE != 0 {
		return s.recvError(m)
	}
	if m.Flags&unix.MSG_OOB != 0 {
		switch {
		case s.isTCP():
			if s.tcpState() == tcp.StateListen {
				return 0, unix.ENOTCONN
			}
			return 0, unix.EINVAL // no urgent data
		case s.transport != unix.IPPROTO_UDP || s.Type == unix.SOCK_RAW:
			return 0, unix.EOPNOTSUPP
		}
	}
	if s.HasError() {
		if err := s.TakeError(); err != nil {
			return 0, err
		}
	}
	t := transferOf(m)
	defer t.free()
	if s.isTCP() {
		return s.recvStream(m, t)
	}
	room := m.Buf.Len()
	r, err := s.endpoint().Read(t, tcpip.ReadOptions{Peek: m.Peeking(), NeedRemoteAddr: m.WantName})
	if err != nil {
		if _, ok := err.(*tcpip.ErrBadBuffer); !ok || t.err != nil {
			if _, closed := err.(*tcpip.ErrClosedForReceive); closed {
				return 0, nil
			}
			if _, empty := err.(*tcpip.ErrWouldBlock); empty && c.Wait && s.shut.Load()&shutRead != 0 {
				return 0, nil
			}
			return 0, errno(err)
		}
	}
	if t.err != nil {
		return 0, t.err
	}
	n := r.Count
	if r.Total > room {
		m.Out |= unix.MSG_TRUNC
		if m.Flags&unix.MSG_TRUNC != 0 {
			n = r.Total
		}
	}
	if m.WantName {
		if s.Type == unix.SOCK_RAW || s.transport != unix.IPPROTO_UDP {
			r.RemoteAddr.Port = 0
		}
		m.Name = s.append(m.NameBuf(), r.RemoteAddr)
	}
	s.recvControl(m, &r.ControlMessages)
	return n, nil
}

func (s *Socket) recvStream(m *socket.Message, t *transfer) (int, error) {
	if s.failTold.Load() {
		return 0, unix.ENOTCONN
	}
	if m.Buf.Len() == 0 {
		return 0, s.recvNothing()
	}
	t.drop = m.Flags&unix.MSG_TRUNC != 0
	count, err := readStream(s.endpoint(), t, m.Peeking())
	switch err.(type) {
	case nil:
		if m.ControlMax > 0 && s.small.inq.Load() != 0 {
			n, _ := s.endpoint().GetSockOptInt(tcpip.ReceiveQueueSizeOption)
			m.Received = m.Received[:0] // of an earlier attempt
			m.AddControl32(unix.SOL_TCP, unix.TCP_INQ, uint32(n))
		}
		return count, nil
	case *tcpip.ErrClosedForReceive:
		return 0, nil
	case *tcpip.ErrNotConnected:
		if s.shut.Load()&shutRead != 0 {
			return 0, nil
		}
	}
	if t.err != nil {
		return 0, t.err
	}
	if s.tcpState() == tcp.StateError {
		s.errTaken.Store(true)
	}
	return 0, errno(err)
}

// readStream reads from a connection of TCP; what was read makes room, and its window may grow.
func readStream(ep tcpip.Endpoint, w io.Writer, peek bool) (int, tcpip.Error) {
	if e, ok := ep.(*tcp.Endpoint); ok && tcpReadStream != nil {
		return tcpReadStream(e, w, peek)
	}
	r, err := ep.Read(w, tcpip.ReadOptions{Peek: peek})
	if err == nil && !peek {
		ep.ModerateRecvBuf(r.Count)
	}
	return r.Count, err
}

// tcpReadStream is the TCP implementation's way to do that at once, which is in the kernel alone; see
// host/mkkernel/deps/turn.go.txt.
//
//go:linkname tcpReadStream gvisor.dev/gvisor/pkg/tcpip/transport/tcp.ReadStream
var tcpReadStream func(*tcp.Endpoint, io.Writer, bool) (int, tcpip.Error)

// recvNothing is recv(2) of no bytes, which waits for data as if it were for some.
func (s *Socket) recvNothing() error {
	switch s.tcpState() {
	case tcp.StateInitial, tcp.StateBound, tcp.StateListen:
		return unix.ENOTCONN
	}
	if s.Readiness()&(wait.Readable|wait.RdHup|wait.Err) == 0 {
		return unix.EAGAIN
	}
	return nil
}

// recvControl tells the receiver what it asked for about a datagram.
func (s *Socket) recvControl(m *socket.Message, cm *tcpip.ReceivableControlMessages) {
	if cm.HasTimestamp {
		ns := cm.Timestamp.UnixNano()
		var b [16]byte
		binary.LittleEndian.PutUint64(b[:], uint64(ns/1e9))
		switch {
		case s.Flag(socket.FlagTimestampNS | socket.FlagTimestampNSNew):
			binary.LittleEndian.PutUint64(b[8:], uint64(ns%1e9))
			m.AddControl(unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, b[:])
		case s.Flag(socket.FlagTimestamp | socket.FlagTimestampNew):
			binary.LittleEndian.PutUint64(b[8:], uint64(ns%1e9/1e3))
			m.AddControl(unix.SOL_SOCKET, unix.SO_TIMESTAMP, b[:])
		}
	}
	if cm.HasIPPacketInfo {
		var b [12]byte
		binary.LittleEndian.PutUint32(b[:], uint32(cm.PacketInfo.NIC))
		copy(b[4:], cm.PacketInfo.LocalAddr.AsSlice())
		copy(b[8:], cm.PacketInfo.DestinationAddr.AsSlice())
		m.AddControl(unix.SOL_IP, unix.IP_PKTINFO, b[:])
	}
	if cm.HasTTL {
		m.AddControl32(unix.SOL_IP, unix.IP_TTL, uint32(cm.TTL))
	}
	if cm.HasTOS {
		m.AddControl(unix.SOL_IP, unix.IP_TOS, []byte{cm.TOS})
	}
	if cm.HasIPv6PacketInfo {
		var b [20]byte
		ip := as16(cm.IPv6PacketInfo.Addr)
		copy(b[:], ip[:])
		binary.LittleEndian.PutUint32(b[16:], uint32(cm.IPv6PacketInfo.NIC))
		m.AddControl(unix.SOL_IPV6, unix.IPV6_PKTINFO, b[:])
	}
	if cm.HasHopLimit {
		m.AddControl32(unix.SOL_IPV6, unix.IPV6_HOPLIMIT, uint32(cm.HopLimit))
	}
	if cm.HasTClass {
		m.AddControl32(unix.SOL_IPV6, unix.IPV6_TCLASS, cm.TClass)
	}
	if cm.HasOriginalDstAddress {
		if cm.OriginalDstAddress.Addr.Len() == 4 {
			m.AddControl(unix.SOL_IP, unix.IP_ORIGDSTADDR, append4(nil, cm.OriginalDstAddress))
		} else {
			m.AddControl(unix.SOL_IPV6, unix.IPV6_ORIGDSTADDR, append6(nil, cm.OriginalDstAddress))
		}
	}
}

// recvError is recvmsg(2) with MSG_ERRQUEUE: struct sock_extended_err and the
// address of who complained (ip(7), IP_RECVERR).
func (s *Socket) recvError(m *socket.Message) (int, error) {
	if s.toldZeroCopy(m) {
		return 0, nil
	}
	so := s.endpoint().SocketOptions()
	e := so.DequeueErr()
	if e == nil {
		return 0, unix.EAGAIN
	}
	if !s.isTCP() {
		// The error that the next call would tell is the next one in the queue.
		s.endpoint().LastError()
		if next := so.PeekErr(); next != nil && next.Cause.Origin() != tcpip.SockExtErrorOriginLocal {
			s.SetError(errno(next.Err))
		} else {
			s.SetError(nil)
		}
	}
	n := 0
	if e.Payload != nil {
		p := e.Payload.AsSlice()
		var err error
		if n, err = m.Buf.CopyTo(p[:min(len(p), m.Buf.Len())]); err != nil {
			return 0, err
		}
		if n < len(p) {
			m.Out |= unix.MSG_TRUNC
		}
	}
	m.Out |= unix.MSG_ERRQUEUE
	if m.WantName {
		m.Name = s.append(m.NameBuf(), e.Dst)
	}
	var b [16]byte
	num, _ := errno(e.Err).(unix.Errno)
	binary.LittleEndian.PutUint32(b[:], uint32(num))
	b[4], b[5], b[6] = byte(e.Cause.Origin()), e.Cause.Type(), e.Cause.Code()
	binary.LittleEndian.PutUint32(b[8:], e.Cause.Info())
	if e.NetProto == header.IPv4ProtocolNumber {
		m.AddControl(unix.SOL_IP, unix.IP_RECVERR, append4(b[:], e.Offender))
	} else {
		m.AddControl(unix.SOL_IPV6, unix.IPV6_RECVERR, append6(b[:], e.Offender))
	}
	return n, nil
}
