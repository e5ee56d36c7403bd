package net

import (
	"encoding/binary"

	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/checksum"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv6"
)

// The DHCP clients send and receive below the stack: they must when the NIC has
// no address yet.

// Ports of DHCP (RFC 2131, RFC 8415).
const (
	dhcp4Server = 67
	dhcp4Client = 68
	dhcp6Client = 546
	dhcp6Server = 547
)

// datagram is a UDP datagram for a DHCP client.
type datagram struct {
	mac     tcpip.LinkAddress // who sent it on this link
	payload []byte
}

// sendDatagram sends a UDP datagram to a station of the link.
func (n *nic) sendDatagram(mac tcpip.LinkAddress, src, dst tcpip.Address, srcPort, dstPort uint16, payload []byte) {
	size := header.UDPMinimumSize + len(payload)
	headerSize, proto := header.IPv4MinimumSize, ipv4.ProtocolNumber
	if dst.Len() == header.IPv6AddressSize {
		headerSize, proto = header.IPv6MinimumSize, ipv6.ProtocolNumber
	}
	b := make([]byte, headerSize+size)
	u := header.UDP(b[headerSize:])
	u.Encode(&header.UDPFields{SrcPort: srcPort, DstPort: dstPort, Length: uint16(size)})
	copy(u.Payload(), payload)
	pseudo := header.PseudoHeaderChecksum(header.UDPProtocolNumber, src, dst, uint16(size))
	u.SetChecksum(^u.CalculateChecksum(checksum.Checksum(payload, pseudo)))
	if headerSize == header.IPv4MinimumSize {
		ip := header.IPv4(b)
		ip.Encode(&header.IPv4Fields{TotalLength: uint16(len(b)), TTL: 64, Protocol: uint8(header.UDPProtocolNumber), SrcAddr: src, DstAddr: dst})
		ip.SetChecksum(^ip.CalculateChecksum())
	} else {
		header.IPv6(b).Encode(&header.IPv6Fields{PayloadLength: uint16(size), TransportProtocol: header.UDPProtocolNumber,
			HopLimit: 64, SrcAddr: src, DstAddr: dst})
	}
	base().WritePacketToRemote(n.id, mac, proto, buffer.MakeWithData(b)) //nolint:errcheck // like a lost datagram
}

// clientPort looks whether a frame is a UDP datagram for a DHCP client, and
// where its payload begins.
func clientPort(proto tcpip.NetworkProtocolNumber, frame []byte) (port uint16, payload int) {
	b := frame[header.EthernetMinimumSize:]
	size := 0
	switch proto {
	case header.IPv4ProtocolNumber:
		if len(b) < header.IPv4MinimumSize || b[9] != uint8(header.UDPProtocolNumber) || binary.BigEndian.Uint16(b[6:])&0x3fff != 0 {
			return 0, 0
		}
		size = int(b[0]&15) * 4
	case header.IPv6ProtocolNumber:
		if len(b) < header.IPv6MinimumSize || b[6] != uint8(header.UDPProtocolNumber) {
			return 0, 0
		}
		size = header.IPv6MinimumSize
	default:
		return 0, 0
	}
	if len(b) < size+header.UDPMinimumSize {
		return 0, 0
	}
	return binary.BigEndian.Uint16(b[size+2:]), header.EthernetMinimumSize + size + header.UDPMinimumSize
}
