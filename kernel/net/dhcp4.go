package net

import (
	"encoding/binary"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"

	"gosv/kernel/cpu"
	"gosv/kernel/random"
)

// Times of retransmission (RFC 2131, section 4.1, which has them longer: a
// virtual machine's server is near).
const (
	firstRetry = time.Second
	lastRetry  = 64 * time.Second
	minRenew   = 60 * time.Second // section 4.4.5
)

// dhcp4 is a DHCP client (RFC 2131) for one NIC, with rapid commit (RFC 4039).
type dhcp4 struct {
	n        *nic
	hostname string
	box      mailbox[datagram]
	xid      uint32
	started  int64
	done     func() // called once, when there is a lease or no hope of one soon
}

// lease4 is what the server gave.
type lease4 struct {
	config4
	mac      tcpip.LinkAddress // of the server, or of the relay
	obtained int64
}

// run gets a lease and keeps it, for ever.
func (c *dhcp4) run() {
	for {
		c.started = cpu.Nanotime()
		l := c.acquire()
		c.apply(l)
		c.finish()
		c.keep(l)
	}
}

func (c *dhcp4) finish() {
	if c.done != nil {
		c.done()
		c.done = nil
	}
}

// acquire asks until a server gives a lease (states INIT to BOUND).
func (c *dhcp4) acquire() *lease4 {
	retry := firstRetry
	for {
		c.xid = uint32(random.Uint64())
		c.broadcast(c.message(typeDiscover))
		offer, kind := c.await(retry, typeOffer, typeACK)
		if kind == typeACK && offer.rapid {
			return offer
		}
		if kind == typeOffer {
			if l := c.request(offer); l != nil {
				return l
			}
			retry = firstRetry
			continue
		}
		if cpu.Nanotime()-c.started > maxWait {
			c.finish()
		}
		retry = min(2*retry, lastRetry)
	}
}

// request takes an offer up. nil: the server does not give it after all.
func (c *dhcp4) request(offer *lease4) *lease4 {
	for range 3 {
		m := c.message(typeRequest)
		m.address(optRequestedIP, offer.addr)
		m.address(optServerID, offer.server)
		c.broadcast(m)
		if l, kind := c.await(firstRetry, typeACK, typeNAK); kind == typeACK {
			return l
		} else if kind == typeNAK {
			return nil
		}
	}
	return nil
}

// keep renews the lease until it is lost (states BOUND, RENEWING, REBINDING).
func (c *dhcp4) keep(l *lease4) {
	for {
		if l.lease == 0 {
			c.box.get(0) // for ever: nothing but strays come
			continue
		}
		renew, rebind, end := l.times()
		c.idle(renew)
		next := c.extend(l, rebind, end)
		if next == nil {
			c.withdraw(l)
			return
		}
		c.apply(next)
		l = next
	}
}

// extend asks for more time, of the server and later of anybody. nil: the lease
// has ended.
func (c *dhcp4) extend(l *lease4, rebind, end int64) *lease4 {
	for {
		now := cpu.Nanotime()
		if now >= end {
			return nil
		}
		c.xid = uint32(random.Uint64())
		c.started = now
		m := c.message(typeRequest)
		m.setClient(l.addr)
		until := rebind
		if now < rebind {
			c.n.sendDatagram(l.mac, l.addr, l.server, dhcp4Client, dhcp4Server, m.bytes())
		} else {
			until = end
			c.n.sendDatagram(header.EthernetBroadcastAddress, l.addr, header.IPv4Broadcast, dhcp4Client, dhcp4Server, m.bytes())
		}
		// Half of what is left, but not too often (section 4.4.5).
		pause := max(time.Duration(until-now)/2, min(minRenew, time.Duration(until-now)))
		switch next, kind := c.await(max(pause, firstRetry), typeACK, typeNAK); kind {
		case typeACK:
			return next
		case typeNAK:
			return nil
		}
	}
}

// times says when to renew, when to ask anybody, and when the lease ends.
func (l *lease4) times() (renew, rebind, end int64) {
	d := int64(l.lease)
	t1, t2 := int64(l.t1), int64(l.t2)
	if t2 <= 0 || t2 >= d {
		t2 = d / 8 * 7
	}
	if t1 <= 0 || t1 >= t2 {
		t1 = min(d/2, t2)
	}
	return l.obtained + t1, l.obtained + t2, l.obtained + d
}

// idle waits until a time; what comes meanwhile is dropped.
func (c *dhcp4) idle(until int64) {
	for cpu.Nanotime() < until {
		c.box.get(until)
	}
}

// await waits for an answer of one of two types.
func (c *dhcp4) await(d time.Duration, a, b uint8) (*lease4, uint8) {
	deadline := cpu.Nanotime() + int64(d)
	for {
		g, ok := c.box.get(deadline)
		if !ok {
			return nil, 0
		}
		reply, ok := parseReply(g.payload, c.xid, c.n.link.mac)
		if !ok || reply.kind != a && reply.kind != b {
			continue
		}
		if reply.kind != typeNAK && !usable(reply.config4) {
			continue
		}
		return &lease4{reply.config4, g.mac, cpu.Nanotime()}, reply.kind
	}
}

// usable refuses addresses that no host can have.
func usable(c config4) bool {
	a := c.addr.As4()
	return a[0] != 0 && a[0] != 127 && a[0] < 224
}

func (c *dhcp4) broadcast(m *message4) {
	c.n.sendDatagram(header.EthernetBroadcastAddress, header.IPv4Any, header.IPv4Broadcast, dhcp4Client, dhcp4Server, m.bytes())
}

// message starts a message with what all of them have.
func (c *dhcp4) message(kind uint8) *message4 {
	secs := min((cpu.Nanotime()-c.started)/int64(time.Second), 0xffff)
	m := newMessage4(kind, c.xid, uint16(secs), c.n.link.mac)
	m.option(optClientID, append([]byte{1}, c.n.link.mac...))
	var size [2]byte
	binary.BigEndian.PutUint16(size[:], uint16(min(c.n.link.MTU(), 1500)))
	m.option(optMaxSize, size[:])
	m.option(optParameters, wantedOptions)
	if c.hostname != "" {
		m.option(optHostname, []byte(c.hostname))
	}
	if kind == typeDiscover {
		m.option(optRapidCommit, nil)
	}
	return m
}

// apply configures the NIC.
func (c *dhcp4) apply(l *lease4) {
	if old := c.n.lease; old != nil && (old.addr != l.addr || old.prefix != l.prefix) {
		c.withdraw(old)
	}
	if c.n.lease == nil {
		if err := c.n.addAddress(l.address()); err != nil {
			logf(c.n.name + ": " + l.addr.String() + ": " + err.Error())
		}
	} else {
		c.n.removeGateways(l.addr)
	}
	c.n.lease = l
	if l.mtu >= 576 {
		c.n.link.SetMTU(uint32(l.mtu))
	}
	for _, r := range l.routes {
		if r.gateway.Unspecified() {
			base().AddRoute(tcpip.Route{Destination: r.dst, NIC: c.n.id, SourceHint: l.addr})
		} else {
			c.n.addGateway(r.dst, r.gateway, l.addr)
		}
	}
	changed()
	logf(c.n.name + ": " + l.address().String() + " by DHCP")
	learned(c.n.id, sourceDHCP4, Resolver{Servers: l.dns, Search: l.search}, l.hostname)
}

// removeGateways takes away the routes that came with a lease, but not the one
// to the network itself.
func (n *nic) removeGateways(source tcpip.Address) {
	base().RemoveRoutes(func(r tcpip.Route) bool {
		return r.NIC == n.id && r.SourceHint == source && r.Gateway.Len() != 0
	})
}

// withdraw takes the configuration back.
func (c *dhcp4) withdraw(l *lease4) {
	c.n.removeAddress(l.address())
	c.n.lease = nil
	learned(c.n.id, sourceDHCP4, Resolver{}, "")
}

func (l *lease4) address() tcpip.AddressWithPrefix {
	return tcpip.AddressWithPrefix{Address: l.addr, PrefixLen: l.prefix}
}
