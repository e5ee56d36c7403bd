package inet

import (
	"encoding/binary"
	"sync/atomic"

	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/waiter"

	"gosv/kernel/mm"
	"gosv/kernel/net"
	"gosv/kernel/net/socket"
	"gosv/kernel/vfs"
	"gosv/kernel/wait"
)

type packetFamily struct{}

func (packetFamily) New(c *socket.Caller, typ, protocol int) (socket.Socket, error) {
	if err := checkPacket(c, typ); err != nil {
		return nil, err
	}
	s := new(packetSocket)
	s.Init(unix.AF_PACKET, typ, protocol)
	ep, err := net.Default().NewPacketEndpoint(typ == unix.SOCK_DGRAM, tcpip.NetworkProtocolNumber(swap(uint16(protocol))), &s.wq)
	if err != nil {
		return nil, errno(err)
	}
	s.ep = ep
	s.entry.Init(s, events)
	s.wq.EventRegister(&s.entry)
	return s, nil
}

func (packetFamily) Pair(c *socket.Caller, typ, protocol int) (socket.Socket, socket.Socket, error) {
	err := checkPacket(c, typ)
	if err == nil {
		err = unix.EOPNOTSUPP
	}
	return nil, nil, err
}

func checkPacket(c *socket.Caller, typ int) error {
	if !c.Creds.Has(unix.CAP_NET_RAW) {
		return unix.EPERM
	}
	if typ != unix.SOCK_RAW && typ != unix.SOCK_DGRAM {
		return unix.ESOCKTNOSUPPORT
	}
	return nil
}

// swap turns network byte order into this machine's.
func swap(v uint16) uint16 { return v>>8 | v<<8 }

// A packetSocket is a socket of AF_PACKET: frames of interfaces.
type packetSocket struct {
	socket.Base
	ep      tcpip.Endpoint
	wq      waiter.Queue
	entry   waiter.Entry
	bound   atomic.Uint32 // interface
	proto   atomic.Uint32 // network byte order
	auxData atomic.Bool
}

func (s *packetSocket) NotifyEvent(mask waiter.EventMask) { s.Notify(wait.Events(mask)) }

// Sizes of struct sockaddr_ll and packet_mreq.
const (
	sizeLL   = 20
	sizeMreq = 16
)

// parseLL does not look at the family: that of a packet's receiver need not be
// there.
func parseLL(b []byte) (tcpip.FullAddress, error) {
	if len(b) < sizeLL {
		return tcpip.FullAddress{}, unix.EINVAL
	}
	a := tcpip.FullAddress{
		Port: binary.BigEndian.Uint16(b[2:]),
		NIC:  tcpip.NICID(int32(binary.LittleEndian.Uint32(b[4:]))),
	}
	if n := int(b[11]); n > 0 && 12+n <= len(b) {
		a.LinkAddr = tcpip.LinkAddress(b[12 : 12+n])
	}
	return a, nil
}

func appendLL(b []byte, index int, proto uint16, kind uint8, mac string) []byte {
	hw := uint16(0)
	if i, err := net.InterfaceByIndex(index); err == nil {
		hw = i.Type
		if mac == "" {
			mac = string(i.MAC[:])
		}
	}
	b = append(b, unix.AF_PACKET, 0, byte(proto>>8), byte(proto))
	b = binary.LittleEndian.AppendUint32(b, uint32(index))
	b = binary.LittleEndian.AppendUint16(b, hw)
	b = append(b, kind, byte(len(mac)))
	var addr [8]byte
	copy(addr[:], mac)
	return append(b, addr[:]...)
}

func (s *packetSocket) Bind(c *socket.Caller, b []byte) error {
	if len(b) >= 2 && binary.LittleEndian.Uint16(b) != unix.AF_PACKET {
		return unix.EINVAL
	}
	a, err := parseLL(b)
	if err != nil {
		return err
	}
	if a.NIC != 0 {
		if _, err := net.InterfaceByIndex(int(a.NIC)); err != nil {
			return err
		}
	}
	if err := s.ep.Bind(a); err != nil {
		return errno(err)
	}
	s.bound.Store(uint32(a.NIC))
	if a.Port != 0 {
		s.proto.Store(uint32(a.Port))
	}
	return nil
}

func (s *packetSocket) Name(b []byte) ([]byte, error) {
	n := len(b)
	b = appendLL(b, int(s.bound.Load()), uint16(s.proto.Load()), 0, "")
	return b[:n+12+int(b[n+11])], nil // without what the hardware's address leaves free
}

func (s *packetSocket) Send(c *socket.Caller, m *socket.Message) (int, error) {
	t := transferOf(m)
	defer t.free()
	opts := tcpip.WriteOptions{Atomic: true}
	if m.Name != nil {
		var err error
		if t.to, err = parseLL(m.Name); err != nil {
			return 0, err
		}
		if _, err := net.InterfaceByIndex(int(t.to.NIC)); err != nil {
			return 0, unix.ENXIO
		}
		opts.To = &t.to
	} else if s.bound.Load() == 0 {
		return 0, unix.ENXIO
	}
	n, err := s.ep.Write(t, opts)
	if t.err != nil {
		return 0, t.err
	}
	return int(n), errno(err)
}

func (s *packetSocket) Recv(c *socket.Caller, m *socket.Message) (int, error) {
	t := transferOf(m)
	defer t.free()
	room := m.Buf.Len()
	r, err := s.ep.Read(t, tcpip.ReadOptions{Peek: m.Peeking(), NeedRemoteAddr: true, NeedLinkPacketInfo: true})
	if t.err != nil {
		return 0, t.err
	}
	if _, bad := err.(*tcpip.ErrBadBuffer); err != nil && !bad {
		return 0, errno(err)
	}
	n := r.Count
	if r.Total > room {
		m.Out |= unix.MSG_TRUNC
		if m.Flags&unix.MSG_TRUNC != 0 {
			n = r.Total
		}
	}
	if m.WantName {
		kind := uint8(unix.PACKET_HOST)
		switch r.LinkPacketInfo.PktType {
		case tcpip.PacketOtherHost:
			kind = unix.PACKET_OTHERHOST
		case tcpip.PacketOutgoing:
			kind = unix.PACKET_OUTGOING
		case tcpip.PacketBroadcast:
			kind = unix.PACKET_BROADCAST
		case tcpip.PacketMulticast:
			kind = unix.PACKET_MULTICAST
		}
		m.Name = appendLL(m.NameBuf(), int(r.RemoteAddr.NIC), uint16(r.LinkPacketInfo.Protocol), kind, string(r.RemoteAddr.LinkAddr))
	}
	if s.auxData.Load() {
		var b [20]byte // struct tpacket_auxdata
		binary.LittleEndian.PutUint32(b[0:], 1)
		binary.LittleEndian.PutUint32(b[4:], uint32(r.Total))
		binary.LittleEndian.PutUint32(b[8:], uint32(r.Count))
		m.AddControl(unix.SOL_PACKET, unix.PACKET_AUXDATA, b[:])
	}
	return n, nil
}

func (s *packetSocket) SetOption(c *socket.Caller, level, name int, v []byte) error {
	switch level {
	case unix.SOL_SOCKET:
		switch name {
		case unix.SO_ATTACH_FILTER, unix.SO_ATTACH_BPF:
			return unix.ENOPROTOOPT
		case unix.SO_RCVBUF, unix.SO_RCVBUFFORCE:
			if n, err := socket.Int(v); err == nil {
				lo, hi := s.ep.SocketOptions().ReceiveBufferLimits()
				s.ep.SocketOptions().SetReceiveBufferSize(bufferSize(n, lo, hi), true)
			}
		}
		return s.SetSocketOption(c, name, v)
	case unix.SOL_PACKET:
		switch name {
		case unix.PACKET_AUXDATA:
			n, err := socket.Int(v)
			s.auxData.Store(n != 0)
			return err
		case unix.PACKET_ADD_MEMBERSHIP, unix.PACKET_DROP_MEMBERSHIP:
			if len(v) < sizeMreq {
				return unix.EINVAL
			}
			switch binary.LittleEndian.Uint16(v[4:]) {
			case unix.PACKET_MR_MULTICAST, unix.PACKET_MR_UNICAST:
				if name == unix.PACKET_ADD_MEMBERSHIP && binary.LittleEndian.Uint16(v[6:]) != 6 {
					return unix.EINVAL // no hardware address
				}
			}
			if binary.LittleEndian.Uint16(v[4:]) == unix.PACKET_MR_PROMISC {
				return errno(net.Default().SetPromiscuousMode(tcpip.NICID(binary.LittleEndian.Uint32(v)), name == unix.PACKET_ADD_MEMBERSHIP))
			}
			return nil
		}
	}
	return unix.ENOPROTOOPT
}

func (s *packetSocket) GetOption(c *socket.Caller, level, name, room int) ([]byte, error) {
	switch {
	case level == unix.SOL_SOCKET:
		return s.GetSocketOption(c, name, room)
	case level == unix.SOL_PACKET && name == unix.PACKET_AUXDATA:
		return socket.PutInt(truth(s.auxData.Load()), room)
	case level == unix.SOL_PACKET && name == unix.PACKET_STATISTICS:
		return socket.Cut(make([]byte, 8), room)
	}
	return nil, unix.ENOPROTOOPT
}

func (s *packetSocket) Readiness() wait.Events {
	return wait.Events(s.ep.Readiness(waiter.ReadableEvents|waiter.WritableEvents)) | wait.WrBand
}

// Ioctl does SIOCINQ, SIOCOUTQ: what is sent is with the interface at once.
func (s *packetSocket) Ioctl(as *mm.AddressSpace, cmd uint32, arg uint64) (uint64, error) {
	n := 0
	switch cmd {
	case unix.SIOCINQ:
		n, _ = s.ep.GetSockOptInt(tcpip.ReceiveQueueSizeOption) // 0 if it fails
	case unix.SIOCOUTQ:
	default:
		return 0, unix.ENOTTY
	}
	return 0, as.Store32(arg, uint32(n))
}

func (s *packetSocket) Read(_ *vfs.File, dst *mm.Buf, _ int64) (int64, error) {
	return socket.Read(s, dst)
}

func (s *packetSocket) Write(_ *vfs.File, src *mm.Buf, _ int64) (int64, error) {
	return socket.Write(s, src)
}

func (s *packetSocket) Release() {
	s.wq.EventUnregister(&s.entry)
	s.ep.Close()
}
