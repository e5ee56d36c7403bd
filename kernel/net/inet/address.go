package inet

import (
	"encoding/binary"

	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
)

// Sizes of struct sockaddr_in and sockaddr_in6; the latter was once shorter.
const (
	sizeIn     = 16
	sizeIn6    = 28
	sizeIn6Old = 24
)

// parse reads the address that a socket is to be bound or connected to, or a
// message is for.
func (s *Socket) parse(b []byte, bind bool) (tcpip.FullAddress, error) {
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
		if af != unix.AF_INET && (af != unix.AF_UNSPEC || bind && a.Addr.Len() != 0) {
			return tcpip.FullAddress{}, unix.EAFNOSUPPORT
		}
		if !bind && a.Addr.Len() == 0 {
			a.Addr = header.IPv4Loopback
		}
		return a, nil
	}
	if af == unix.AF_INET && !bind && !s.isTCP() && len(b) >= sizeIn {
		if s.endpoint().SocketOptions().GetV6Only() {
			return tcpip.FullAddress{}, unix.ENETUNREACH
		}
		a := parse4(b)
		if a.Addr.Len() == 0 { // this machine, by IPv4: getaddrinfo(3) looks at the source address
			a.Addr = header.IPv4Loopback
		}
		return a, nil
	}
	if len(b) < sizeIn6Old {
		return tcpip.FullAddress{}, unix.EINVAL
	}
	if af != unix.AF_INET6 {
		return tcpip.FullAddress{}, unix.EAFNOSUPPORT
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
			if bind && a.NIC == 0 && header.IsV6LinkLocalUnicastAddress(ip) {
				return a, unix.EINVAL
			}
		}
	} else if !bind {
		a.Addr = header.IPv6Loopback
	}
	return a, nil
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
