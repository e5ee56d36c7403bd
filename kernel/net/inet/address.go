package inet

import (
	"encoding/binary"

	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"

	"gosv/kernel/net"
)

// Sizes of struct sockaddr_in and sockaddr_in6; the latter was once shorter.
const (
	sizeIn     = 16
	sizeIn6    = 28
	sizeIn6Old = 24
)

// use is what an address is read for.
type use int

const (
	toBind use = iota
	toConnect
	toSend
)

// parse reads the address that a socket is to be bound or connected to, or a
// message is for.
func (s *Socket) parse(b []byte, u use) (tcpip.FullAddress, error) {
	bind := u == toBind
	af := -1
	if len(b) >= 2 {
		af = int(binary.LittleEndian.Uint16(b))
	}
	if s.Family == unix.AF_INET {
		if len(b) < sizeIn {
			return tcpip.FullAddress{}, unix.EINVAL
		}
		a := parse4(b)
		// Long ago programs left the family out, and Linux still takes that.
		anyFamily := bind && s.Type == unix.SOCK_RAW // raw_bind does not look
		if af != unix.AF_INET && !anyFamily && (af != unix.AF_UNSPEC || bind && a.Addr.Len() != 0) {
			return tcpip.FullAddress{}, unix.EAFNOSUPPORT
		}
		if !bind && a.Addr.Len() == 0 {
			a.Addr = s.here()
		}
		return a, nil
	}
	isUDP := s.isUDP()
	if af == unix.AF_INET && !s.isTCP() && len(b) >= sizeIn && (u == toConnect || u == toSend && isUDP) {
		if s.endpoint().SocketOptions().GetV6Only() {
			if u == toConnect {
				return tcpip.FullAddress{}, unix.EAFNOSUPPORT
			}
			return tcpip.FullAddress{}, unix.ENETUNREACH
		}
		a := parse4(b)
		if a.Addr.Len() == 0 { // this machine, by IPv4: getaddrinfo(3) looks at the source address
			a.Addr = header.IPv4Loopback
		}
		return a, nil
	}
	wrongFamily := unix.EAFNOSUPPORT
	switch {
	case u == toSend && isUDP && len(b) >= 2:
		wrongFamily = unix.EINVAL // before the length
		if af != unix.AF_INET6 {
			return tcpip.FullAddress{}, wrongFamily
		}
	case u == toSend && s.Type == unix.SOCK_RAW && af == unix.AF_UNSPEC:
		af = unix.AF_INET6
	case bind && s.Type == unix.SOCK_RAW:
		wrongFamily = unix.EINVAL
	}
	if len(b) < sizeIn6Old {
		return tcpip.FullAddress{}, unix.EINVAL
	}
	if af != unix.AF_INET6 {
		return tcpip.FullAddress{}, wrongFamily
	}
	a := tcpip.FullAddress{Port: binary.BigEndian.Uint16(b[2:])}
	if ip := tcpip.AddrFrom16Slice(b[8:24]); !ip.Unspecified() {
		a.Addr = ip
		if header.IsV4MappedAddress(ip) && s.endpoint().SocketOptions().GetV6Only() {
			if bind {
				return a, unix.EINVAL
			}
			return a, unix.ENETUNREACH
		}
		if len(b) >= sizeIn6 && (header.IsV6LinkLocalUnicastAddress(ip) || header.IsV6LinkLocalMulticastAddress(ip)) {
			a.NIC = tcpip.NICID(binary.LittleEndian.Uint32(b[24:]))
			if bind && a.NIC == 0 && s.endpoint().SocketOptions().GetBindToDevice() == 0 {
				return a, unix.EINVAL
			}
		}
		if !bind && ip == mappedAny {
			a.Addr = mappedLoopback
		}
	} else if !bind {
		a.Addr = header.IPv6Loopback
	}
	return a, nil
}

// mayBind looks whether an address is one that a socket can have: of this
// machine, or of many.
func (s *Socket) mayBind(a tcpip.FullAddress) error {
	switch ip := a.Addr; {
	case ip.Len() == 0 || broadcast(ip) || header.IsV4MulticastAddress(ip):
		return nil
	case header.IsV6MulticastAddress(ip):
		if s.isTCP() {
			return unix.EINVAL
		}
		return nil
	case ip.Len() == 16 && header.IsV4MappedAddress(ip):
		a.Addr = tcpip.AddrFrom4Slice(ip.AsSlice()[12:])
		if a.Addr.Unspecified() {
			return nil
		}
		return s.mayBind(a)
	case net.Default().CheckLocalAddress(a.NIC, protocolOf(ip), ip) == 0:
		return unix.EADDRNOTAVAIL
	}
	return nil
}

// ::ffff:0.0.0.0 and ::ffff:127.0.0.1.
var (
	mappedAny      = tcpip.AddrFrom16([16]byte{10: 0xff, 11: 0xff})
	mappedLoopback = tcpip.AddrFrom16([16]byte{10: 0xff, 11: 0xff, 12: 127, 15: 1})
)

// here is where 0.0.0.0 leads: to the address that the socket is bound to, or to
// this machine.
func (s *Socket) here() tcpip.Address {
	if l, err := s.endpoint().GetLocalAddress(); err == nil && l.Addr.Len() == header.IPv4AddressSize && !l.Addr.Unspecified() {
		return l.Addr
	}
	return header.IPv4Loopback
}

func parse4(b []byte) tcpip.FullAddress {
	a := tcpip.FullAddress{Port: binary.BigEndian.Uint16(b[2:])}
	if ip := tcpip.AddrFrom4Slice(b[4:8]); !ip.Unspecified() {
		a.Addr = ip
	}
	return a
}

// append writes an address as the socket's family has it.
func (s *Socket) append(b []byte, a tcpip.FullAddress) []byte {
	if s.Family == unix.AF_INET {
		return append4(b, a)
	}
	return append6(b, a)
}

func append4(b []byte, a tcpip.FullAddress) []byte {
	b = append(b, unix.AF_INET, 0, byte(a.Port>>8), byte(a.Port))
	var ip [4]byte
	if a.Addr.Len() != 0 {
		a.Addr = a.Addr.To4()
	}
	copy(ip[:], a.Addr.AsSlice())
	return append(append(b, ip[:]...), make([]byte, 8)...)
}

func append6(b []byte, a tcpip.FullAddress) []byte {
	b = append(b, unix.AF_INET6, 0, byte(a.Port>>8), byte(a.Port), 0, 0, 0, 0)
	ip := as16(a.Addr)
	b = append(b, ip[:]...)
	scope := uint32(0)
	if header.IsV6LinkLocalUnicastAddress(a.Addr) || header.IsV6LinkLocalMulticastAddress(a.Addr) {
		scope = uint32(a.NIC)
	}
	return binary.LittleEndian.AppendUint32(b, scope)
}

// as16 is an address in 16 bytes, an IPv4 one mapped (RFC 4291, 2.5.5.2).
func as16(a tcpip.Address) (ip [16]byte) {
	switch a.Len() {
	case 4:
		ip[10], ip[11] = 0xff, 0xff
		copy(ip[12:], a.AsSlice())
	case 16:
		copy(ip[:], a.AsSlice())
	}
	return ip
}
