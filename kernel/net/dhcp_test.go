package net

import (
	"encoding/binary"
	"slices"
	"strings"
	"testing"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
)

const testMAC = tcpip.LinkAddress("\x52\x54\x00\x12\x34\x56")

// reply builds a server's message.
func reply(kind uint8, xid uint32, addr string, options ...[]byte) []byte {
	m := newMessage4(kind, xid, 0, testMAC)
	m.b[0] = 2
	a, _ := ParseAddress(addr)
	copy(m.b[offYIAddr:], a.AsSlice())
	for _, o := range options {
		m.option(o[0], o[1:])
	}
	return m.bytes()
}

func opt(code byte, v string) []byte { return append([]byte{code}, v...) }

func TestParseReply(t *testing.T) {
	b := reply(typeACK, 77, "10.1.2.3",
		opt(optServerID, "\x0a\x01\x02\x01"), opt(optMask, "\xff\xff\xfe\x00"), opt(optRouter, "\x0a\x01\x02\x01\x0a\x01\x02\x02"),
		opt(optDNS, "\x08\x08\x08\x08\x00\x00\x00\x00\x01\x01\x01\x01"), opt(optLeaseTime, "\x00\x00\x0e\x10"), opt(optT1, "\x00\x00\x00\x3c"),
		opt(optMTU, "\x05\x78"), opt(optHostname, "box-1"), opt(optDomain, "example.org"))
	r, ok := parseReply(b, 77, testMAC)
	if !ok {
		t.Fatal("refused")
	}
	if r.kind != typeACK || r.addr.String() != "10.1.2.3" || r.prefix != 23 || r.lease != time.Hour || r.t1 != time.Minute ||
		r.mtu != 1400 || r.hostname != "box-1" || !slices.Equal(r.search, []string{"example.org"}) || len(r.dns) != 2 ||
		len(r.routes) != 1 || r.routes[0].gateway.String() != "10.1.2.1" || r.rapid {
		t.Errorf("%+v", r)
	}
	for name, change := range map[string]func([]byte){
		"another's transaction": func(b []byte) { b[offXID]++ },
		"another's MAC":         func(b []byte) { b[offCHAddr]++ },
		"a request":             func(b []byte) { b[0] = 1 },
		"no cookie":             func(b []byte) { b[offCookie]++ },
		"a long option":         func(b []byte) { b[offOptions+1] = 255 },
	} {
		c := slices.Clone(b)
		change(c)
		if _, ok := parseReply(c, 77, testMAC); ok {
			t.Errorf("%s was taken", name)
		}
	}
	for n := range len(b) {
		parseReply(b[:n], 77, testMAC)
	}
}

func TestParseReplyDetails(t *testing.T) {
	server := opt(optServerID, "\x0a\x00\x00\x01")
	parse := func(options ...[]byte) reply4 {
		r, ok := parseReply(reply(typeOffer, 1, "192.168.7.9", append(options, server)...), 1, testMAC)
		if !ok {
			t.Fatal("refused")
		}
		return r
	}
	if r := parse(); r.prefix != 24 || r.lease != 0 {
		t.Errorf("no options: %+v", r)
	}
	if r := parse(opt(optMask, "\xff\x00\xff\x00")); r.prefix != 24 {
		t.Errorf("a mask with a hole: prefix %d", r.prefix)
	}
	if r := parse(opt(optLeaseTime, "\xff\xff\xff\xff")); r.lease != 0 {
		t.Errorf("for ever: %v", r.lease)
	}
	// Classless routes come instead of the router.
	r := parse(opt(optRouter, "\x0a\x00\x00\x02"), opt(optRoutes, "\x18\x0a\x01\x02\x0a\x00\x00\x03\x00\x0a\x00\x00\x04\x20\xa9\xfe\xa9\xfe\x00\x00\x00\x00"))
	if len(r.routes) != 3 || r.routes[0].dst.String() != "10.1.2.0/24" || r.routes[1].dst != defaultFor(r.routes[1].gateway) ||
		!r.routes[2].gateway.Unspecified() || r.routes[2].dst.Prefix() != 32 {
		t.Errorf("routes %+v", r.routes)
	}
	if r := parse(opt(optRoutes, "\x21\x0a\x01\x02\x0a\x00\x00\x03\x00")); len(r.routes) != 0 {
		t.Errorf("a prefix of 33: %+v", r.routes)
	}
	// Names that would break a file.
	for _, bad := range []string{"a b", "x\nnameserver 6.6.6.6", "-x", "", strings.Repeat("a", 254)} {
		if r := parse(opt(optHostname, bad), opt(optDomain, bad)); r.hostname != "" || len(r.search) != 0 {
			t.Errorf("%q was taken", bad)
		}
	}
	// "eng.apple.com." and "marketing.apple.com." (RFC 3397, section 3).
	r = parse(opt(optSearch, "\x03eng\x05apple\x03com\x00\x09marketing\xc0\x04"))
	if !slices.Equal(r.search, []string{"eng.apple.com", "marketing.apple.com"}) {
		t.Errorf("search %q", r.search)
	}
	if r := parse(opt(optSearch, "\x01a\xc0\x00")); len(r.search) != 0 {
		t.Errorf("a name that contains itself: %q", r.search)
	}
	// Options in the file name's place.
	b := reply(typeOffer, 1, "192.168.7.9", server, opt(optOverload, "\x01"))
	copy(b[offFile:], "\x0c\x03abc\xff")
	if r, ok := parseReply(b, 1, testMAC); !ok || r.hostname != "abc" {
		t.Errorf("overload: %q, %v", r.hostname, ok)
	}
}

func TestLeaseTimes(t *testing.T) {
	for _, c := range []struct{ lease, t1, t2, want1, want2 time.Duration }{
		{time.Hour, 0, 0, 30 * time.Minute, 52*time.Minute + 30*time.Second},
		{time.Hour, time.Minute, 2 * time.Minute, time.Minute, 2 * time.Minute},
		{time.Hour, 2 * time.Hour, 3 * time.Hour, 30 * time.Minute, 52*time.Minute + 30*time.Second},
		{time.Hour, 10 * time.Minute, 5 * time.Minute, 5 * time.Minute, 5 * time.Minute},
	} {
		l := &lease4{config4: config4{lease: c.lease, t1: c.t1, t2: c.t2}, obtained: 1000}
		renew, rebind, end := l.times()
		if renew != 1000+int64(c.want1) || rebind != 1000+int64(c.want2) || end != 1000+int64(c.lease) {
			t.Errorf("%+v: %v, %v, %v", c, time.Duration(renew), time.Duration(rebind), time.Duration(end))
		}
	}
}

func TestParseReply6(t *testing.T) {
	duid := []byte("\x00\x03\x00\x01" + string(testMAC))
	var b []byte
	option := func(b []byte, code uint16, v string) []byte {
		b = binary.BigEndian.AppendUint16(b, code)
		b = binary.BigEndian.AppendUint16(b, uint16(len(v)))
		return append(b, v...)
	}
	ia := option([]byte("\x00\x00\x00\x02\x00\x00\x00\x0a\x00\x00\x00\x14"), opt6IAAddr,
		"\xfd\x77\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\x3c\x00\x00\x00\x1e\x00\x00\x00\x3c")
	b = append(b, type6Reply, 0, 1, 2)
	b = option(b, opt6ClientID, string(duid))
	b = option(b, opt6ServerID, "server")
	b = option(b, opt6IANA, string(ia))
	b = option(b, opt6DNS, "\xfd\x77\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01")
	b = option(b, opt6Search, "\x04test\x07example\x00")
	b = option(b, opt6RapidCommit, "")
	r, ok := parseReply6(b, 0x102, duid)
	if !ok || r.addr.String() != "fd77::13c" || r.t1 != 10*time.Second || r.t2 != 20*time.Second || r.preferred != 30*time.Second ||
		r.valid != time.Minute || len(r.dns) != 1 || !slices.Equal(r.search, []string{"test.example"}) || !r.rapid {
		t.Errorf("%v %+v", ok, r)
	}
	if _, ok := parseReply6(b, 0x103, duid); ok {
		t.Error("another transaction was taken")
	}
	if _, ok := parseReply6(b, 0x102, []byte("other")); ok {
		t.Error("another client's message was taken")
	}
	if _, ok := parseReply6(option(b, opt6Status, "\x00\x02no addresses"), 0x102, duid); ok {
		t.Error("a refusal was taken")
	}
	for n := range len(b) {
		parseReply6(b[:n], 0x102, duid)
	}
}

func FuzzDHCP(f *testing.F) {
	f.Add(reply(typeACK, 0, "10.0.0.1", opt(optServerID, "abcd"), opt(optSearch, "\x01a\xc0\x00"), opt(optRoutes, "\x18abcdefg")))
	f.Add([]byte("\x07\x00\x00\x00\x00\x01\x00\x00\x00\x02\x00\x01x\x00\x03\x00\x0caaaabbbbcccc"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if r, ok := parseReply(b, 0, testMAC); ok {
			if r.prefix < 1 || r.prefix > 32 || r.addr.Len() != 4 || r.hostname != "" && !validName(r.hostname) {
				t.Errorf("%+v", r)
			}
			for _, s := range r.search {
				if !validName(s) {
					t.Errorf("%q", s)
				}
			}
		}
		if r, ok := parseReply6(b, 0, nil); ok && r.addr.Len() != 0 && (r.addr.Len() != 16 || r.valid <= 0 || r.preferred > r.valid) {
			t.Errorf("%+v", r)
		}
	})
}
