package net

import (
	"encoding/binary"
	"math"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"

	"gosv/kernel/cpu"
	"gosv/kernel/random"
)

// Message types and options of DHCPv6 (RFC 8415, sections 7.3 and 21; RFC 3646).
const (
	type6Solicit     = 1
	type6Advertise   = 2
	type6Request     = 3
	type6Renew       = 5
	type6Rebind      = 6
	type6Reply       = 7
	type6Information = 11

	opt6ClientID    = 1
	opt6ServerID    = 2
	opt6IANA        = 3
	opt6IAAddr      = 5
	opt6Request     = 6
	opt6Elapsed     = 8
	opt6Status      = 13
	opt6RapidCommit = 14
	opt6DNS         = 23
	opt6Search      = 24
)

// Times of retransmission (section 7.6, with a shorter first one).
const (
	first6Retry   = time.Second
	last6Retry    = 120 * time.Second
	refresh6      = 24 * time.Hour // of information without an address
	dhcp6DUIDType = 3              // DUID-LL (section 11.4)
)

var (
	allServers    = tcpip.AddrFrom16([16]byte{0: 0xff, 1: 2, 13: 1, 15: 2}) // ff02::1:2
	allServersMAC = header.EthernetAddressFromMulticastIPv6Address(allServers)
)

// dhcp6 is a DHCPv6 client for one NIC: information alone, or one address too.
// A router's advertisement says which.
type dhcp6 struct {
	n       *nic
	managed bool
	box     mailbox[datagram]
	xid     uint32
	started int64
	lease   *lease6
}

// lease6 is what a server gave.
type lease6 struct {
	reply6
	obtained int64
}

// reply6 is a server's message.
type reply6 struct {
	kind             uint8
	server           []byte // its DUID
	addr             tcpip.Address
	preferred, valid time.Duration // of addr
	t1, t2           time.Duration
	dns              []tcpip.Address
	search           []string
	rapid            bool
}

// forever is the lifetime that never ends.
const forever = time.Duration(math.MaxInt64)

// run gets the information, and an address if there is one to have, and keeps
// them, for ever.
func (c *dhcp6) run() {
	for {
		c.started = cpu.Nanotime()
		if !c.managed {
			c.take(c.exchange(type6Information, nil, 0, type6Reply, type6Reply))
			c.idle(cpu.Nanotime() + int64(refresh6))
			continue
		}
		l := c.acquire()
		c.take(l)
		c.keep(l)
	}
}

// acquire asks until a server gives an address.
func (c *dhcp6) acquire() *lease6 {
	for {
		l := c.exchange(type6Solicit, nil, 0, type6Advertise, type6Reply)
		if l.kind == type6Reply && l.rapid {
			return l
		}
		if l.kind == type6Advertise {
			if l := c.exchange(type6Request, l, 10, type6Reply, type6Reply); l != nil {
				return l
			}
		}
	}
}

// keep renews the address until it is lost.
func (c *dhcp6) keep(l *lease6) {
	for {
		if l.valid == forever {
			c.idle(math.MaxInt64)
		}
		t1, t2 := l.t1, l.t2
		if t2 <= 0 || t2 > l.valid {
			t2 = l.preferred / 5 * 4 // section 14.2
		}
		if t1 <= 0 || t1 > t2 {
			t1 = l.preferred / 2
		}
		c.idle(l.obtained + int64(min(t1, t2)))
		c.started = cpu.Nanotime()
		next := c.exchangeUntil(type6Renew, l, l.obtained+int64(t2))
		if next == nil {
			next = c.exchangeUntil(type6Rebind, l, l.obtained+int64(l.valid))
		}
		if next == nil || next.addr != l.addr {
			c.n.removeAddress(tcpip.AddressWithPrefix{Address: l.addr, PrefixLen: 128})
			c.lease = nil
			learned(c.n.id, sourceDHCP6, Resolver{}, "")
		}
		if next == nil {
			return
		}
		c.take(next)
		l = next
	}
}

// take configures the NIC.
func (c *dhcp6) take(l *lease6) {
	if l.addr.Len() > 0 && c.lease == nil {
		// No prefix: what is on the link, routers say (RFC 5942).
		if err := c.n.addAddress(tcpip.AddressWithPrefix{Address: l.addr, PrefixLen: 128}); err != nil {
			logf(c.n.name + ": " + l.addr.String() + ": " + err.Error())
		} else {
			logf(c.n.name + ": " + l.addr.String() + " by DHCPv6")
		}
		c.lease = l
	}
	learned(c.n.id, sourceDHCP6, Resolver{Servers: l.dns, Search: l.search}, "")
}

func (c *dhcp6) idle(until int64) {
	for cpu.Nanotime() < until {
		c.box.get(until)
	}
}

// exchange sends until it gets an answer of one of two types; a number of tries
// of 0 is no limit.
func (c *dhcp6) exchange(kind uint8, l *lease6, tries int, a, b uint8) *lease6 {
	c.xid = uint32(random.Uint64()) & 0xffffff
	retry := first6Retry
	for n := 0; tries == 0 || n < tries; n++ {
		c.send(kind, l)
		if r := c.await(cpu.Nanotime()+int64(retry), kind, a, b); r != nil {
			return r
		}
		retry = min(2*retry, last6Retry)
	}
	return nil
}

// exchangeUntil is exchange up to a time.
func (c *dhcp6) exchangeUntil(kind uint8, l *lease6, until int64) *lease6 {
	c.xid = uint32(random.Uint64()) & 0xffffff
	retry := 10 * first6Retry
	for cpu.Nanotime() < until {
		c.send(kind, l)
		if r := c.await(min(cpu.Nanotime()+int64(retry), until), kind, type6Reply, type6Reply); r != nil {
			return r
		}
		retry = min(2*retry, 5*last6Retry)
	}
	return nil
}

// await waits for an answer with what was asked for.
func (c *dhcp6) await(deadline int64, kind, a, b uint8) *lease6 {
	for {
		g, ok := c.box.get(deadline)
		if !ok {
			return nil
		}
		r, ok := parseReply6(g.payload, c.xid, c.duid())
		if !ok || r.kind != a && r.kind != b {
			continue
		}
		if kind != type6Information && r.addr.Len() == 0 {
			continue
		}
		return &lease6{r, cpu.Nanotime()}
	}
}

func (c *dhcp6) duid() []byte { return append([]byte{0, dhcp6DUIDType, 0, 1}, c.n.link.mac...) }

// send sends a message from the link-local address.
func (c *dhcp6) send(kind uint8, l *lease6) {
	b := binary.BigEndian.AppendUint32(nil, uint32(kind)<<24|c.xid)
	option := func(code uint16, v []byte) {
		b = binary.BigEndian.AppendUint16(b, code)
		b = binary.BigEndian.AppendUint16(b, uint16(len(v)))
		b = append(b, v...)
	}
	option(opt6ClientID, c.duid())
	elapsed := min((cpu.Nanotime()-c.started)/1e7, 0xffff)
	option(opt6Elapsed, binary.BigEndian.AppendUint16(nil, uint16(elapsed)))
	option(opt6Request, []byte{0, opt6DNS, 0, opt6Search})
	if kind != type6Information {
		ia := make([]byte, 12)
		binary.BigEndian.PutUint32(ia, uint32(c.n.id))
		if l != nil {
			ia = append(ia, 0, opt6IAAddr, 0, 24)
			ia = append(ia, l.addr.AsSlice()...)
			ia = append(ia, make([]byte, 8)...)
		}
		option(opt6IANA, ia)
	}
	if kind == type6Solicit {
		option(opt6RapidCommit, nil)
	}
	if kind == type6Request || kind == type6Renew {
		option(opt6ServerID, l.server)
	}
	c.n.sendDatagram(allServersMAC, header.LinkLocalAddr(c.n.link.mac), allServers, dhcp6Client, dhcp6Server, b)
}

// parseReply6 reads a server's message to us.
func parseReply6(b []byte, xid uint32, duid []byte) (r reply6, ok bool) {
	if len(b) < 4 || binary.BigEndian.Uint32(b)&0xffffff != xid {
		return r, false
	}
	r.kind = b[0]
	mine, good := false, true
	options6(b[4:], func(code uint16, v []byte) {
		switch code {
		case opt6ClientID:
			mine = string(v) == string(duid)
		case opt6ServerID:
			if len(v) <= 130 {
				r.server = append([]byte(nil), v...)
			}
		case opt6RapidCommit:
			r.rapid = true
		case opt6Status:
			good = good && len(v) >= 2 && v[0] == 0 && v[1] == 0
		case opt6DNS:
			for ; len(v) >= 16 && len(r.dns) < maxServers; v = v[16:] {
				if a := tcpip.AddrFrom16Slice(v[:16]); !a.Unspecified() && v[0] != 0xff {
					r.dns = append(r.dns, a)
				}
			}
		case opt6Search:
			r.search = searchList(v)
		case opt6IANA:
			if len(v) >= 12 {
				r.t1, r.t2 = seconds6(v[4:]), seconds6(v[8:])
				options6(v[12:], func(code uint16, v []byte) {
					if code == opt6IAAddr && len(v) >= 24 && r.addr.Len() == 0 {
						a := tcpip.AddrFrom16Slice(v[:16])
						preferred, valid := seconds6(v[16:]), seconds6(v[20:])
						if v[0] != 0xff && !a.Unspecified() && a != header.IPv6Loopback && valid > 0 && preferred <= valid {
							r.addr, r.preferred, r.valid = a, preferred, valid
						}
					}
				})
			}
		}
	})
	return r, mine && good && len(r.server) > 0
}

// options6 calls f for each whole option.
func options6(b []byte, f func(code uint16, v []byte)) {
	for len(b) >= 4 {
		code, n := binary.BigEndian.Uint16(b), int(binary.BigEndian.Uint16(b[2:]))
		if len(b) < 4+n {
			return
		}
		f(code, b[4:4+n])
		b = b[4+n:]
	}
}

func seconds6(b []byte) time.Duration {
	if s := binary.BigEndian.Uint32(b); s != 1<<32-1 {
		return time.Duration(s) * time.Second
	}
	return forever
}
