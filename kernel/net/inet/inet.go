// Package inet is AF_INET, AF_INET6 and AF_PACKET sockets (ip(7), ipv6(7), tcp(7), udp(7), raw(7), packet(7)) over the stack of
// package net.
//
// A socket is an endpoint of gVisor's stack. Data goes from the program's memory straight into the stack's buffers and back:
// one copy each way. The endpoint's waiter queue feeds the socket's wait.Queue, so that poll(2) and epoll(7), level- and
// edge-triggered, see what the stack tells.
//
// Lock order:
//
//	Socket.mu, cork.mu
//	listeners.mu
//	the endpoint's own locks
//	waiter.Queue, wait.Queue
package inet

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv6"
	"gvisor.dev/gvisor/pkg/tcpip/transport/icmp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/udp"
	"gvisor.dev/gvisor/pkg/waiter"

	"gosv/kernel/mm"
	"gosv/kernel/net"
	"gosv/kernel/net/socket"
	"gosv/kernel/vfs"
	"gosv/kernel/wait"
)

func init() {
	socket.Register(unix.AF_INET, family{unix.AF_INET, ipv4.ProtocolNumber})
	socket.Register(unix.AF_INET6, family{unix.AF_INET6, ipv6.ProtocolNumber})
	socket.Register(unix.AF_PACKET, packetFamily{})
	socket.SetDatagramDefaults = net.SetDatagramDefaults
}

type family struct {
	af  int
	net tcpip.NetworkProtocolNumber
}

func (fam family) Pair(c *socket.Caller, typ, protocol int) (socket.Socket, socket.Socket, error) {
	p, err := fam.protocol(c, typ, protocol)
	if err == nil {
		err = fam.known(typ, p)
	}
	if err == nil {
		err = unix.EOPNOTSUPP
	}
	return nil, nil, err
}

// protocol finds the transport of socket(2)'s arguments.
func (fam family) protocol(c *socket.Caller, typ, protocol int) (tcpip.TransportProtocolNumber, error) {
	if protocol < 0 || protocol >= 256+7 {
		return 0, unix.EINVAL
	}
	switch typ {
	case unix.SOCK_STREAM:
		if protocol == 0 || protocol == unix.IPPROTO_TCP {
			return tcp.ProtocolNumber, nil
		}
	case unix.SOCK_DGRAM:
		switch {
		case protocol == 0 || protocol == unix.IPPROTO_UDP:
			return udp.ProtocolNumber, nil
		case protocol == unix.IPPROTO_ICMP && fam.af == unix.AF_INET:
			return icmp.ProtocolNumber4, mayPing(c)
		case protocol == unix.IPPROTO_ICMPV6 && fam.af == unix.AF_INET6:
			return icmp.ProtocolNumber6, mayPing(c)
		}
	case unix.SOCK_RAW:
		if protocol == 0 {
			break
		}
		if !c.Creds.Has(unix.CAP_NET_RAW) {
			return 0, unix.EPERM
		}
		if protocol < 256 {
			return tcpip.TransportProtocolNumber(protocol), nil
		}
	default:
		return 0, unix.ESOCKTNOSUPPORT
	}
	return 0, unix.EPROTONOSUPPORT
}

func (fam family) New(c *socket.Caller, typ, protocol int) (socket.Socket, error) {
	p, err := fam.protocol(c, typ, protocol)
	if err == nil {
		err = fam.known(typ, p)
	}
	if err != nil {
		return nil, err
	}
	s := &Socket{net: fam.net, transport: p}
	s.Init(fam.af, typ, int(p))
	ep, wq, err := s.newEndpoint()
	if err != nil {
		return nil, err
	}
	s.use(ep, wq)
	if typ == unix.SOCK_RAW || typ == unix.SOCK_DGRAM && p != udp.ProtocolNumber {
		s.SetFlag(socket.FlagReuseAddr, true)
		ep.SocketOptions().SetReuseAddress(true)
	}
	s.setDefaults()
	all.add(s)
	return s, nil
}

// setDefaults gives a new socket what the settings of the machine say, where that
// is not what the stack does anyway.
func (s *Socket) setDefaults() {
	ep := s.endpoint()
	if s.Family == unix.AF_INET6 && net.BindV6Only.Load() != 0 {
		ep.SocketOptions().SetV6Only(true)
	}
	if !s.isTCP() {
		return
	}
	if n := net.KeepIdle.Load(); n != 7200 {
		o := tcpip.KeepaliveIdleOption(time.Duration(n) * time.Second)
		ep.SetSockOpt(&o) //nolint:errcheck // it takes any time
	}
	if n := net.KeepInterval.Load(); n != 75 {
		o := tcpip.KeepaliveIntervalOption(time.Duration(n) * time.Second)
		ep.SetSockOpt(&o) //nolint:errcheck // the same
	}
	if n := net.KeepProbes.Load(); n != 9 {
		ep.SetSockOptInt(tcpip.KeepaliveCountOption, int(n)) //nolint:errcheck // the same
	}
}

// mayPing is net.ipv4.ping_group_range (ping_init_sock in net/ipv4/ping.c).
func mayPing(c *socket.Caller) error {
	if net.MayPing(c.Creds.EGID) || slices.ContainsFunc(c.Creds.Groups, net.MayPing) {
		return nil
	}
	return unix.EACCES
}

// known tells whether the stack has the protocol of a raw socket.
func (fam family) known(typ int, p tcpip.TransportProtocolNumber) error {
	switch {
	case typ != unix.SOCK_RAW, p == tcp.ProtocolNumber, p == udp.ProtocolNumber, p == unix.IPPROTO_RAW,
		p == icmp.ProtocolNumber4 && fam.af == unix.AF_INET, p == icmp.ProtocolNumber6 && fam.af == unix.AF_INET6:
		return nil
	}
	return unix.EPROTONOSUPPORT
}

// newEndpoint makes the endpoint of a socket.
func (s *Socket) newEndpoint() (tcpip.Endpoint, *waiter.Queue, error) {
	wq := new(waiter.Queue)
	var ep tcpip.Endpoint
	var err tcpip.Error
	if s.Type == unix.SOCK_RAW {
		ep, err = net.Default().NewRawEndpoint(s.transport, s.net, wq, s.transport != unix.IPPROTO_RAW)
	} else {
		ep, err = net.Default().NewEndpoint(s.transport, s.net, wq)
	}
	if err != nil {
		return nil, nil, errno(err)
	}
	return ep, wq, nil
}

// A Socket is a socket of AF_INET or AF_INET6.
type Socket struct {
	socket.Base
	net       tcpip.NetworkProtocolNumber
	transport tcpip.TransportProtocolNumber

	cur atomic.Pointer[endpoint]

	shut     atomic.Uint32 // shutRead | shutWrite, by shutdown(2)
	errTaken atomic.Bool   // the error that ended a connection was told
	failTold atomic.Bool   // connect(2) has told that it failed: as new
	released atomic.Bool   // and may linger
	small    smallOptions
	zero     zeroCopy
	cork     cork
	tosMu    sync.RWMutex // held while the endpoint has a message's type of service

	// mu guards what follows.
	mu     sync.Mutex
	to     tcpip.FullAddress // of a connection that is being made
	bound  tcpip.FullAddress // of TCP: what bind(2) was given
	filter [32]byte          // ICMP_FILTER, ICMPV6_FILTER
	groups []group           // joined

	listenAt tcpip.FullAddress // listeners.mu guards it
}

const (
	shutRead  = 1
	shutWrite = 2
)

// events are all that the stack tells.
const events = waiter.AllEvents

// An endpoint is what the stack has of a socket, with the queue of its events.
type endpoint struct {
	tcpip.Endpoint
	wq    *waiter.Queue
	entry waiter.Entry
}

// use makes ep the socket's endpoint, and its events the socket's.
func (s *Socket) use(ep tcpip.Endpoint, wq *waiter.Queue) {
	e := &endpoint{Endpoint: ep, wq: wq}
	e.entry.Init(s, events)
	wq.EventRegister(&e.entry)
	s.cur.Store(e)
}

func (s *Socket) endpoint() tcpip.Endpoint { return s.cur.Load().Endpoint }

// socketCost is about what a socket takes with its endpoint, without data.
const socketCost = 6 << 10

// Held implements vfs.Holder: what waits in the socket.
func (s *Socket) Held() int64 {
	if m, ok := s.endpoint().(interface{ MemoryUsed() int }); ok {
		return socketCost + int64(max(m.MemoryUsed(), 0))
	}
	return socketCost
}

// NotifyEvent implements waiter.EventListener.
func (s *Socket) NotifyEvent(mask waiter.EventMask) { s.Notify(wait.Events(mask)) }

func (s *Socket) isTCP() bool { return s.Type == unix.SOCK_STREAM }

func (s *Socket) isUDP() bool {
	return s.Type == unix.SOCK_DGRAM && s.transport == udp.ProtocolNumber
}

// tcpState is the state of a TCP socket.
func (s *Socket) tcpState() tcp.EndpointState { return tcp.EndpointState(s.endpoint().State()) }

// Readiness implements vfs.FileImpl (tcp_poll, datagram_poll of Linux).
func (s *Socket) Readiness() wait.Events {
	ev := wait.Events(s.endpoint().Readiness(waiter.ReadableEvents | waiter.WritableEvents))
	if s.HasError() || s.zero.some.Load() {
		ev |= wait.Err
	}
	shut := s.shut.Load()
	if !s.isTCP() {
		if ev&wait.Writable != 0 {
			ev |= wait.WrBand
		}
		if s.endpoint().SocketOptions().PeekErr() != nil {
			ev |= wait.Err
		}
		if shut&shutRead != 0 {
			ev |= wait.Readable | wait.RdHup
		}
		if shut == shutRead|shutWrite {
			ev |= wait.Hup
		}
		return ev
	}
	ev &^= wait.Hup | wait.RdHup
	switch st := s.tcpState(); st {
	case tcp.StateInitial, tcp.StateBound:
		ev = ev&wait.Err | wait.Writable | wait.Hup
		if shut&shutRead != 0 {
			ev |= wait.Readable | wait.RdHup
		}
	case tcp.StateListen:
		if shut&shutRead != 0 { // it listens no more
			return ev&wait.Err | wait.Writable | wait.Hup
		}
		ev &= wait.Readable | wait.Err
	case tcp.StateConnecting, tcp.StateSynSent, tcp.StateSynRecv:
		ev &= wait.Err
	case tcp.StateError, tcp.StateClose, tcp.StateTimeWait:
		if s.failTold.Load() {
			return ev&wait.Err | wait.Writable | wait.Hup
		}
		ev |= wait.Readable | wait.Writable | wait.RdHup | wait.Hup
		// A connection that is closed without our last byte was reset.
		if (st == tcp.StateError || st == tcp.StateClose && shut&shutWrite == 0) && !s.errTaken.Load() {
			ev |= wait.Err
		}
	default:
		if st == tcp.StateCloseWait || st == tcp.StateLastAck || st == tcp.StateClosing {
			shut |= shutRead
		}
		if shut&shutRead != 0 {
			ev |= wait.Readable | wait.RdHup
		} else if s.RcvLowat() > 1 && s.below() {
			ev &^= wait.Readable
		}
		if shut == shutRead|shutWrite {
			ev |= wait.Hup
		}
	}
	return ev
}

// below reports whether less waits to be read than SO_RCVLOWAT says; not when the
// buffer could not hold that (tcp_stream_is_readable in net/ipv4/tcp.c).
func (s *Socket) below() bool {
	n, err := s.endpoint().GetSockOptInt(tcpip.ReceiveQueueSizeOption)
	room := int(s.endpoint().SocketOptions().GetReceiveBufferSize()) / 2
	return err == nil && n < min(s.RcvLowat(), room)
}

// Bind implements socket.Socket.
func (s *Socket) Bind(c *socket.Caller, b []byte) error {
	a, err := s.parse(b, toBind)
	if err != nil {
		return err
	}
	if err := s.mayBind(a); err != nil {
		return err
	}
	if a.Port != 0 && int32(a.Port) < net.FirstUnprivileged.Load() && s.Type != unix.SOCK_RAW && !c.Creds.Has(unix.CAP_NET_BIND_SERVICE) {
		return unix.EACCES
	}
	if s.Type == unix.SOCK_RAW {
		a.Port = 0
	}
	if s.isTCP() {
		if s.tcpState() != tcp.StateInitial {
			return unix.EINVAL
		}
		if s.conflicts(a) {
			return unix.EADDRINUSE
		}
	}
	err = errno(s.endpoint().Bind(a))
	if err == unix.EADDRNOTAVAIL { // the address was looked at before: there is no port
		err = unix.EADDRINUSE
	}
	if err != nil || !s.isTCP() {
		return err
	}
	s.mu.Lock()
	s.bound = a
	s.mu.Unlock()
	return nil
}

// Prepare waits until the network has been configured, if addr is beyond this
// machine. It does so for non-blocking sockets too: the wait is at the start of
// the machine only, and bounded, and a program that would be told ENETUNREACH
// instead would give up.
func (s *Socket) Prepare(c *socket.Caller, b []byte, block bool) error {
	if net.FamilyConfigured(unix.AF_INET) && net.FamilyConfigured(unix.AF_INET6) {
		return nil
	}
	a, err := s.parse(b, toSend)
	if err != nil {
		return nil // the call itself says what is wrong
	}
	af := unix.AF_INET
	if a.Addr.Len() == 16 {
		if !header.IsV4MappedAddress(a.Addr) {
			af = unix.AF_INET6
		} else {
			a.Addr = tcpip.AddrFrom4Slice(a.Addr.AsSlice()[12:])
		}
	}
	if a.Addr.Len() == 0 || a.Addr.Unspecified() || header.IsV4LoopbackAddress(a.Addr) || a.Addr == header.IPv6Loopback {
		return nil
	}
	return net.WaitFamily(c.Sleeper, af)
}

// Connect implements socket.Socket.
func (s *Socket) Connect(c *socket.Caller, b []byte) error {
	if len(b) < 2 {
		return unix.EINVAL
	}
	if b[0] == unix.AF_UNSPEC && b[1] == 0 {
		return s.disconnect()
	}
	a, err := s.parse(b, toConnect)
	if err != nil {
		return err
	}
	if broadcast(a.Addr) {
		if s.isTCP() {
			return unix.ENETUNREACH
		}
		if !s.endpoint().SocketOptions().GetBroadcast() {
			return unix.EACCES
		}
	}
	if s.Family == unix.AF_INET6 {
		if err := s.sameVersion(a); err != nil {
			return err
		}
	}
	if !s.isTCP() {
		if s.transport == udp.ProtocolNumber && a.Port == 0 {
			a.Port = 65535 // to ask for the route, as programs do; nothing can be sent
		}
		return errno(s.endpoint().Connect(a))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch s.tcpState() {
	case tcp.StateListen:
		return unix.EISCONN
	case tcp.StateError:
		if !s.failTold.Load() {
			return s.connectError()
		}
		// Linux lets a program try again with the same socket.
		if err := s.renew(); err != nil {
			return err
		}
	}
	s.to = a
	err = errno(s.endpoint().Connect(a))
	// One that has begun may have failed by now: that is told later.
	if err != unix.EINPROGRESS && s.tcpState() == tcp.StateError {
		s.errTaken.Store(true)
		s.failTold.Store(true)
	}
	return err
}

// sameVersion refuses to connect a socket that is bound to an address of the one
// IP version to one of the other.
func (s *Socket) sameVersion(to tcpip.FullAddress) error {
	l, err := s.endpoint().GetLocalAddress()
	if err != nil || l.Addr.Len() == 0 || l.Addr.Unspecified() {
		return nil
	}
	from4, _ := s.shape(l.Addr)
	to4, _ := s.shape(to.Addr)
	if from4 && !to4 || !from4 && to.Addr.Len() == header.IPv4AddressSize {
		return unix.EAFNOSUPPORT
	}
	return nil
}

// broadcast reports whether a is IPv4's address of all, or that of lo, which may
// be mapped.
func broadcast(a tcpip.Address) bool {
	if header.IsV4MappedAddress(a) {
		a = tcpip.AddrFrom4Slice(a.AsSlice()[12:])
	}
	return a == header.IPv4Broadcast || a == loopbackBroadcast
}

var loopbackBroadcast = tcpip.AddrFrom4([4]byte{127, 255, 255, 255})

// connectError takes the error that ended a connection; mu is held.
func (s *Socket) connectError() error {
	s.failTold.Store(true)
	if told, err := s.errTaken.Load(), s.lastError(); err != nil && !told {
		return err
	}
	return unix.ECONNABORTED
}

// Connected implements socket.Socket.
func (s *Socket) Connected() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch s.tcpState() {
	case tcp.StateConnecting, tcp.StateSynSent, tcp.StateSynRecv:
		return unix.EALREADY
	case tcp.StateError:
		return s.connectError()
	}
	// The endpoint is to know that the program has been told.
	if err := errno(s.endpoint().Connect(s.to)); err != nil && err != unix.EISCONN {
		return err
	}
	return nil
}

// disconnect is connect(2) with AF_UNSPEC.
func (s *Socket) disconnect() error {
	switch {
	case s.isTCP():
	case s.Type != unix.SOCK_RAW:
		return errno(s.endpoint().Disconnect())
	default:
		if _, err := s.endpoint().GetRemoteAddress(); err != nil {
			return nil // it is not connected
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.isTCP() {
		return s.renew()
	}
	var reset bool
	switch s.tcpState() {
	case tcp.StateInitial, tcp.StateBound:
		return nil
	case tcp.StateEstablished, tcp.StateCloseWait, tcp.StateFinWait1, tcp.StateFinWait2, tcp.StateSynRecv,
		tcp.StateConnecting, tcp.StateSynSent:
		reset = true
	}
	if err := s.renew(); err != nil {
		return err
	}
	if reset {
		s.SetError(unix.ECONNRESET) // tcp_disconnect
	}
	return nil
}

// renew gives a TCP or raw socket a fresh endpoint; mu is held. Calls that run on the
// old one end with an error.
func (s *Socket) renew() error {
	ep, wq, err := s.newEndpoint()
	if err != nil {
		return err
	}
	old := s.cur.Load()
	copyOptions(ep.SocketOptions(), old.SocketOptions())
	old.wq.EventUnregister(&old.entry)
	old.Abort()
	s.shut.Store(0)
	s.errTaken.Store(false)
	s.failTold.Store(false)
	s.use(ep, wq)
	if s.isTCP() {
		s.listens(false)
		if s.bound.Port != 0 || s.bound.Addr.Len() != 0 {
			ep.Bind(s.bound) //nolint:errcheck // another socket may have the port now
		}
	}
	s.Notify(wait.Readable | wait.Writable | wait.Hup)
	return nil
}

// copyOptions carries over what setsockopt(2) set.
func copyOptions(to, from *tcpip.SocketOptions) {
	to.SetReuseAddress(from.GetReuseAddress())
	to.SetReusePort(from.GetReusePort())
	to.SetKeepAlive(from.GetKeepAlive())
	to.SetV6Only(from.GetV6Only())
	to.SetDelayOption(from.GetDelayOption())
	to.SetQuickAck(from.GetQuickAck())
	to.SetLinger(from.GetLinger())
	to.SetMark(from.GetMark())
	to.SetBindToDevice(from.GetBindToDevice())
}

// Listen implements socket.Socket.
func (s *Socket) Listen(c *socket.Caller, backlog int) error {
	if !s.isTCP() {
		return unix.EOPNOTSUPP
	}
	s.small.backlog.Store(int32(min(backlog, 1<<31-1)))
	switch s.tcpState() {
	case tcp.StateInitial, tcp.StateBound, tcp.StateListen:
	case tcp.StateError:
		if !s.failTold.Load() {
			return unix.EINVAL
		}
		s.mu.Lock()
		err := s.renew()
		s.mu.Unlock()
		if err != nil {
			return err
		}
	default:
		return unix.EINVAL
	}
	if a, err := s.endpoint().GetLocalAddress(); err == nil && s.conflicts(a) {
		return unix.EADDRINUSE
	}
	err := errno(s.endpoint().Listen(backlog + 1)) // one more than asked for, as Linux does
	if err == nil {
		s.shut.And(^uint32(shutRead)) // of a time when it listened before
		s.listens(true)
	}
	return err
}

// Accept implements socket.Socket.
func (s *Socket) Accept(c *socket.Caller) (socket.Socket, error) {
	if !s.isTCP() {
		return nil, unix.EOPNOTSUPP
	}
	if s.tcpState() != tcp.StateListen || s.shut.Load()&shutRead != 0 {
		return nil, unix.EINVAL
	}
	ep, wq, err := s.endpoint().Accept(nil)
	if err != nil {
		return nil, errno(err)
	}
	n := &Socket{net: s.net, transport: s.transport}
	n.Init(s.Family, s.Type, s.Protocol)
	n.InheritFrom(&s.Base)
	n.small.inherit(&s.small)
	n.use(ep, wq)
	n.setDefaults()
	all.add(n)
	return n, nil
}

// Name implements socket.Socket.
func (s *Socket) Name(b []byte) ([]byte, error) {
	a, err := s.endpoint().GetLocalAddress()
	if err != nil {
		return nil, errno(err)
	}
	if s.Type == unix.SOCK_RAW {
		a.Port = uint16(s.Protocol)
	}
	return s.append(b, a), nil
}

// Peer implements socket.Socket.
func (s *Socket) Peer(b []byte) ([]byte, error) {
	if s.isTCP() && s.tcpState() == tcp.StateTimeWait {
		return nil, unix.ENOTCONN // the connection goes on without the socket
	}
	a, err := s.endpoint().GetRemoteAddress()
	if err != nil {
		return nil, unix.ENOTCONN
	}
	return s.append(b, a), nil
}

// Shutdown implements socket.Socket.
func (s *Socket) Shutdown(how int) error {
	if how < unix.SHUT_RD || how > unix.SHUT_RDWR {
		return unix.EINVAL
	}
	bits := uint32(how + 1)
	var flags tcpip.ShutdownFlags
	if bits&shutRead != 0 {
		flags |= tcpip.ShutdownRead
	}
	if bits&shutWrite != 0 {
		flags |= tcpip.ShutdownWrite
	}
	if s.isTCP() && s.tcpState() == tcp.StateListen && bits&shutRead != 0 {
		// A listening socket ends listening; the port stays bound.
		err := errno(s.endpoint().Shutdown(flags))
		s.shut.Or(bits)
		s.listens(false)
		s.Notify(wait.Readable | wait.Hup)
		return err
	}
	// One after the other: both at once is how the stack closes an endpoint, with
	// a reset if there is unread data.
	var err error
	if flags&tcpip.ShutdownRead != 0 && s.isUDP() {
		// Linux goes on receiving: only a call that blocks finds the end.
		if _, e := s.endpoint().GetRemoteAddress(); e != nil {
			err = unix.ENOTCONN
		}
	} else if flags&tcpip.ShutdownRead != 0 {
		err = errno(s.endpoint().Shutdown(tcpip.ShutdownRead))
	}
	if flags&tcpip.ShutdownWrite != 0 && err == nil {
		err = errno(s.endpoint().Shutdown(tcpip.ShutdownWrite))
	}
	if err == nil || err == unix.ENOTCONN {
		s.shut.Or(bits)
		s.Notify(wait.Readable | wait.Writable | wait.RdHup | wait.Hup)
	}
	return err
}

// Read implements vfs.FileImpl.
func (s *Socket) Read(_ *vfs.File, dst *mm.Buf, _ int64) (int64, error) { return socket.Read(s, dst) }

// Write implements vfs.FileImpl.
func (s *Socket) Write(_ *vfs.File, src *mm.Buf, _ int64) (int64, error) { return socket.Write(s, src) }

// Release closes the socket. TCP goes on sending what was written.
func (s *Socket) Release() {
	all.remove(s)
	if s.isTCP() && s.tcpState() == tcp.StateListen {
		s.listens(false)
	}
	e := s.cur.Load()
	if s.isTCP() && e.SocketOptions().GetLinger().Timeout > 0 {
		e.Close()
		s.released.Store(true) // its events are still waited for, perhaps
		return
	}
	e.wq.EventUnregister(&e.entry)
	e.Close()
}

// Lingers is SO_LINGER's time: how long close(2) waits for what has been sent to
// be acknowledged.
func (s *Socket) Lingers() time.Duration {
	if l := s.endpoint().SocketOptions().GetLinger(); l.Enabled && s.isTCP() {
		return l.Timeout
	}
	return 0
}

// Drained returns EAGAIN while a socket that was released has something that is
// not acknowledged (sk_stream_wait_close in net/core/stream.c).
func (s *Socket) Drained() error {
	if !s.released.Load() {
		return nil
	}
	switch s.tcpState() {
	case tcp.StateEstablished, tcp.StateCloseWait, tcp.StateFinWait1, tcp.StateClosing, tcp.StateLastAck:
		return unix.EAGAIN
	}
	return nil
}

// Ioctl does SIOCINQ, SIOCOUTQ, SIOCATMARK.
func (s *Socket) Ioctl(as *mm.AddressSpace, cmd uint32, arg uint64) (uint64, error) {
	var opt tcpip.SockOptInt
	switch cmd {
	case unix.SIOCINQ:
		opt = tcpip.ReceiveQueueSizeOption
	case unix.SIOCOUTQ:
		opt = tcpip.SendQueueSizeOption
	case siocAtMark:
		if !s.isTCP() {
			return 0, unix.ENOTTY
		}
		return 0, as.Store32(arg, 0)
	default:
		return 0, unix.ENOTTY
	}
	if s.isTCP() && s.tcpState() == tcp.StateListen {
		return 0, unix.EINVAL
	}
	n, err := s.endpoint().GetSockOptInt(opt)
	if err != nil {
		n = 0
	}
	return 0, as.Store32(arg, uint32(n))
}

const siocAtMark = 0x8905
