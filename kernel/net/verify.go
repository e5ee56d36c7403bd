package net

import (
	"encoding/binary"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/checksum"
	"gvisor.dev/gvisor/pkg/tcpip/header"
)

// verify checks the checksums of a frame that the device has not looked at: the
// IPv4 header's, and those of TCP and UDP unless the packet is a fragment. The
// stack takes them as valid afterwards; malformed packets are left to it.
func verify(proto tcpip.NetworkProtocolNumber, pieces [][]byte) bool {
	b := pieces[0][header.EthernetMinimumSize:]
	var transport, headerLen, length int
	var pseudo uint16
	switch proto {
	case header.IPv4ProtocolNumber:
		if len(b) < header.IPv4MinimumSize {
			return true
		}
		headerLen = int(b[0]&15) * 4
		length = int(binary.BigEndian.Uint16(b[2:])) - headerLen
		if headerLen < header.IPv4MinimumSize || len(b) < headerLen || length < 0 {
			return true
		}
		if checksum.Checksum(b[:headerLen], 0) != 0xffff {
			return false
		}
		if binary.BigEndian.Uint16(b[6:])&0x3fff != 0 {
			return true // a fragment
		}
		transport = int(b[9])
		pseudo = checksum.Checksum(b[12:20], 0)
	case header.IPv6ProtocolNumber:
		if len(b) < header.IPv6MinimumSize {
			return true
		}
		headerLen = header.IPv6MinimumSize
		length = int(binary.BigEndian.Uint16(b[4:]))
		transport = int(b[6])
		pseudo = checksum.Checksum(b[8:40], 0)
		// Past extension headers; fragments end the walk.
		for transport == 0 || transport == 43 || transport == 60 {
			if len(b) < headerLen+8 {
				return true
			}
			n := int(b[headerLen+1])*8 + 8
			transport = int(b[headerLen])
			headerLen += n
			if length -= n; length < 0 {
				return true
			}
		}
	default:
		return true
	}
	switch transport {
	case int(header.TCPProtocolNumber):
		if length < header.TCPMinimumSize {
			return true
		}
	case int(header.UDPProtocolNumber):
		if length < header.UDPMinimumSize {
			return true
		}
		if len(b) < headerLen+header.UDPMinimumSize {
			return true
		}
		if proto == header.IPv4ProtocolNumber && binary.BigEndian.Uint16(b[headerLen+6:]) == 0 {
			return true // the sender made none
		}
	default:
		return true
	}
	sum := checksum.Combine(pseudo, uint16(transport))
	sum = checksum.Combine(sum, uint16(length))
	var c checksum.Checksumer
	skip := header.EthernetMinimumSize + headerLen
	for _, p := range pieces {
		if skip >= len(p) {
			skip -= len(p)
			continue
		}
		p = p[skip:]
		skip = 0
		p = p[:min(len(p), length)]
		length -= len(p)
		c.Add(p)
	}
	if length > 0 {
		return true // cut short: the stack says so
	}
	return checksum.Combine(sum, c.Checksum()) == 0xffff
}
