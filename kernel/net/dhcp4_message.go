package net

import (
	"encoding/binary"
	"math/bits"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
)

// Message types (RFC 2132, section 9.6).
const (
	typeDiscover = 1
	typeOffer    = 2
	typeRequest  = 3
	typeACK      = 5
	typeNAK      = 6
)

// Options (RFC 2132, 3397, 3442, 4039).
const (
	optPad         = 0
	optMask        = 1
	optRouter      = 3
	optDNS         = 6
	optHostname    = 12
	optDomain      = 15
	optMTU         = 26
	optRequestedIP = 50
	optLeaseTime   = 51
	optOverload    = 52
	optType        = 53
	optServerID    = 54
	optParameters  = 55
	optMaxSize     = 57
	optT1          = 58
	optT2          = 59
	optClientID    = 61
	optRapidCommit = 80
	optSearch      = 119
	optRoutes      = 121
	optEnd         = 255
)

var wantedOptions = []byte{optMask, optRoutes, optRouter, optDNS, optHostname, optDomain, optMTU, optLeaseTime, optServerID, optT1, optT2, optSearch}

// Places in a message (RFC 2131, section 2).
const (
	offXID     = 4
	offSecs    = 8
	offCIAddr  = 12
	offYIAddr  = 16
	offCHAddr  = 28
	offSName   = 44
	offFile    = 108
	offCookie  = 236
	offOptions = 240
	cookie     = 0x63825363
	minMessage = 300 // what BOOTP relays expect
)

// message4 is a message under construction.
type message4 struct{ b []byte }

func newMessage4(kind uint8, xid uint32, secs uint16, mac tcpip.LinkAddress) *message4 {
	b := make([]byte, offOptions, minMessage)
	b[0], b[1], b[2] = 1, 1, 6 // BOOTREQUEST, Ethernet
	binary.BigEndian.PutUint32(b[offXID:], xid)
	binary.BigEndian.PutUint16(b[offSecs:], secs)
	copy(b[offCHAddr:], mac)
	binary.BigEndian.PutUint32(b[offCookie:], cookie)
	m := &message4{b}
	m.option(optType, []byte{kind})
	return m
}

func (m *message4) option(code uint8, v []byte) {
	v = v[:min(len(v), 255)]
	m.b = append(append(m.b, code, uint8(len(v))), v...)
}

func (m *message4) address(code uint8, a tcpip.Address) { m.option(code, a.AsSlice()) }

func (m *message4) setClient(a tcpip.Address) { copy(m.b[offCIAddr:], a.AsSlice()) }

func (m *message4) bytes() []byte {
	b := append(m.b, optEnd)
	for len(b) < minMessage {
		b = append(b, optPad)
	}
	return b
}

// config4 is what a server offers or gives.
type config4 struct {
	addr, server  tcpip.Address
	prefix        int
	mtu           int
	lease, t1, t2 time.Duration // lease 0: for ever
	dns           []tcpip.Address
	search        []string
	hostname      string
	routes        []route4
	rapid         bool
}

// route4 is a route; an unspecified gateway is none (RFC 3442).
type route4 struct {
	dst     tcpip.Subnet
	gateway tcpip.Address
}

type reply4 struct {
	config4
	kind uint8
}

// parseReply reads a server's message to us. What it says is checked for form.
func parseReply(b []byte, xid uint32, mac tcpip.LinkAddress) (r reply4, ok bool) {
	if len(b) < offOptions || b[0] != 2 || binary.BigEndian.Uint32(b[offXID:]) != xid ||
		binary.BigEndian.Uint32(b[offCookie:]) != cookie || string(b[offCHAddr:offCHAddr+6]) != string(mac) {
		return r, false
	}
	options := map[uint8][]byte{}
	if !readOptions(options, b[offOptions:]) {
		return r, false
	}
	// The option overload: names may hold more options (RFC 2132, section 9.3).
	if v := options[optOverload]; len(v) == 1 {
		if v[0]&1 != 0 && !readOptions(options, b[offFile:offCookie]) || v[0]&2 != 0 && !readOptions(options, b[offSName:offFile]) {
			return r, false
		}
	}
	if v := options[optType]; len(v) == 1 {
		r.kind = v[0]
	}
	r.addr = tcpip.AddrFrom4Slice(b[offYIAddr : offYIAddr+4])
	if v := options[optServerID]; len(v) == 4 {
		r.server = tcpip.AddrFrom4Slice(v)
	} else if r.kind != typeNAK {
		return r, false
	}
	r.prefix = classPrefix(b[offYIAddr])
	if v := options[optMask]; len(v) == 4 {
		if mask := binary.BigEndian.Uint32(v); bits.LeadingZeros32(^mask)+bits.TrailingZeros32(mask) >= 32 && mask != 0 {
			r.prefix = bits.OnesCount32(mask)
		}
	}
	r.dns = addresses4(options[optDNS])
	r.search = append(r.search, searchList(options[optSearch])...)
	if d := string(options[optDomain]); len(r.search) == 0 && validName(d) {
		r.search = append(r.search, d)
	}
	if h := string(options[optHostname]); validName(h) {
		r.hostname = h
	}
	if v := options[optMTU]; len(v) == 2 {
		r.mtu = int(binary.BigEndian.Uint16(v))
	}
	seconds := func(code uint8) time.Duration {
		if v := options[code]; len(v) == 4 {
			if s := binary.BigEndian.Uint32(v); s != 1<<32-1 {
				return time.Duration(s) * time.Second
			}
		}
		return 0
	}
	r.lease, r.t1, r.t2 = seconds(optLeaseTime), seconds(optT1), seconds(optT2)
	_, r.rapid = options[optRapidCommit]
	if r.routes = classless(options[optRoutes]); len(r.routes) == 0 {
		for _, g := range addresses4(options[optRouter]) {
			r.routes = append(r.routes, route4{defaultFor(g), g})
			break
		}
	}
	return r, true
}

// readOptions adds the options in b; one that comes in parts is joined
// (RFC 3396).
func readOptions(options map[uint8][]byte, b []byte) bool {
	for len(b) > 0 && b[0] != optEnd {
		if b[0] == optPad {
			b = b[1:]
			continue
		}
		if len(b) < 2 || len(b) < 2+int(b[1]) {
			return false
		}
		n := int(b[1])
		v := options[b[0]]
		options[b[0]] = append(v[:len(v):len(v)], b[2:2+n]...)
		if options[b[0]] == nil {
			options[b[0]] = []byte{}
		}
		b = b[2+n:]
	}
	return true
}

// classPrefix is the prefix of networks before CIDR, for servers that give no
// mask.
func classPrefix(first byte) int {
	switch {
	case first < 128:
		return 8
	case first < 192:
		return 16
	}
	return 24
}

func addresses4(b []byte) (list []tcpip.Address) {
	for ; len(b) >= 4; b = b[4:] {
		if b[0] != 0 && b[0] < 224 {
			list = append(list, tcpip.AddrFrom4Slice(b[:4]))
		}
	}
	return list
}

// classless reads option 121 (RFC 3442).
func classless(b []byte) (list []route4) {
	for len(b) > 0 {
		n := int(b[0])
		k := (n + 7) / 8
		if n > 32 || len(b) < 1+k+4 {
			return nil
		}
		var dst [4]byte
		copy(dst[:], b[1:1+k])
		a := tcpip.AddressWithPrefix{Address: tcpip.AddrFrom4(dst), PrefixLen: n}
		list = append(list, route4{a.Subnet(), tcpip.AddrFrom4Slice(b[1+k : 5+k])})
		b = b[5+k:]
	}
	return list
}
