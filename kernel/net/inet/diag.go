package inet

import (
	"bytes"
	"encoding/binary"

	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"

	"gosv/kernel/net/socket"
	"gosv/kernel/wait"
)

func init() {
	for _, af := range [...]int{unix.AF_INET, unix.AF_INET6} {
		socket.RegisterDiag(af, func(body []byte, all bool) ([][]byte, error) { return diag(af, body, all) })
	}
}

// The layout of struct inet_diag_req_v2, inet_diag_sockid and inet_diag_msg, and the attributes that are known
// (include/uapi/linux/inet_diag.h).
const (
	diagRequestSize = 56
	diagIDSize      = 48
	diagIDPorts     = 4 + 32 // ports and addresses; what follows is an interface and a cookie
	diagInfo        = 2
	diagCong        = 4
	diagTOS         = 5
	diagShutdown    = 8
	diagSkV6Only    = 11

	stateEstablished = 1
	stateClose       = 7
)

// diag answers sock_diag(7) for AF_INET and AF_INET6. Filters of a request are not
// applied: ss(8) applies them once more itself.
func diag(af int, body []byte, wantAll bool) ([][]byte, error) {
	if len(body) < diagRequestSize {
		return nil, unix.EINVAL
	}
	protocol, ext, states := int(body[1]), body[2], binary.LittleEndian.Uint32(body[4:])
	id := body[8:diagRequestSize]
	var typ int
	switch protocol {
	case unix.IPPROTO_TCP:
		typ = unix.SOCK_STREAM
	case unix.IPPROTO_UDP:
		typ = unix.SOCK_DGRAM
	case unix.IPPROTO_RAW:
		typ = unix.SOCK_RAW
	default:
		return nil, unix.ENOENT
	}
	var list [][]byte
	for _, s := range all.list(func(s *Socket) bool {
		return s.Type == typ && s.Family == af && (typ == unix.SOCK_RAW || int(s.transport) == protocol)
	}) {
		st, ok := s.diagState()
		if !ok || wantAll && states>>st&1 == 0 {
			continue
		}
		b := s.diagMessage(st, ext)
		if wantAll {
			list = append(list, b)
		} else if bytes.Equal(b[4:4+diagIDPorts], id[:diagIDPorts]) {
			return [][]byte{b}, nil
		}
	}
	if !wantAll {
		return nil, unix.ENOENT
	}
	return list, nil
}

// diagState is the socket's state as Linux numbers it, if a packet can find the socket.
func (s *Socket) diagState() (uint8, bool) {
	if s.isTCP() {
		switch st := s.tcpState(); st {
		case tcp.StateInitial, tcp.StateBound, tcp.StateError, tcp.StateClose:
			return 0, false
		default:
			return linuxState(st), true
		}
	}
	if a, err := s.endpoint().GetLocalAddress(); s.Type == unix.SOCK_DGRAM && (err != nil || a.Port == 0) {
		return 0, false
	}
	if _, err := s.endpoint().GetRemoteAddress(); err == nil {
		return stateEstablished, true
	}
	return stateClose, true
}

// diagMessage is struct inet_diag_msg and the attributes asked for: bit n of ext is for attribute n+1.
func (s *Socket) diagMessage(st, ext uint8) []byte {
	ep := s.endpoint()
	local, _ := ep.GetLocalAddress()
	remote, err := ep.GetRemoteAddress()
	if err != nil {
		remote = tcpip.FullAddress{}
	}
	if s.Type == unix.SOCK_RAW {
		local.Port, remote.Port = uint16(s.Protocol), 0
	}
	b := []byte{byte(s.Family), st, 0, 0}
	b = binary.BigEndian.AppendUint16(b, local.Port)
	b = binary.BigEndian.AppendUint16(b, remote.Port)
	for _, a := range [...]tcpip.Address{local.Addr, remote.Addr} {
		var ip [16]byte
		if s.Family == unix.AF_INET {
			copy(ip[:4], a.AsSlice())
		} else if a.Len() != 0 {
			ip = as16(a)
		}
		b = append(b, ip[:]...)
	}
	le := binary.LittleEndian
	b = le.AppendUint32(b, uint32(ep.SocketOptions().GetBindToDevice()))
	b = le.AppendUint64(b, s.Ino()) // the cookie
	number := func(o tcpip.SockOptInt) uint32 {
		n, err := ep.GetSockOptInt(o)
		if err != nil {
			return 0
		}
		return uint32(n)
	}
	received, sent := number(tcpip.ReceiveQueueSizeOption), number(tcpip.SendQueueSizeOption)
	if s.isTCP() && s.tcpState() == tcp.StateListen {
		// How many wait for accept(2) is not known, only whether somebody does.
		received, sent = uint32(truth(s.Readiness()&wait.In != 0)), uint32(s.small.backlog.Load())
	}
	for _, v := range [...]uint32{0, received, sent, s.UID(), uint32(s.Ino())} {
		b = le.AppendUint32(b, v)
	}
	b = socket.AppendAttr(b, diagShutdown, []byte{byte(s.shut.Load())})
	wanted := func(attr int) bool { return ext>>(attr-1)&1 != 0 }
	if wanted(diagTOS) {
		b = socket.AppendAttr(b, diagTOS, []byte{byte(number(tcpip.IPv4TOSOption))})
	}
	if s.Family == unix.AF_INET6 && (st == stateClose || s.isTCP() && s.tcpState() == tcp.StateListen) {
		b = socket.AppendAttr(b, diagSkV6Only, []byte{byte(truth(ep.SocketOptions().GetV6Only()))})
	}
	if s.isTCP() && wanted(diagInfo) {
		b = socket.AppendAttr(b, diagInfo, s.tcpInfo())
	}
	if s.isTCP() && wanted(diagCong) {
		if v, err := s.getTCP(unix.TCP_CONGESTION, congestionMax); err == nil {
			b = socket.AppendAttr(b, diagCong, append(bytes.TrimRight(v, "\x00"), 0))
		}
	}
	return b
}
