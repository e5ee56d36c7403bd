package nettest

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"gosv/test/target"
)

// headersPort is the guest's TCP port.
const headersPort = 28190

// segment is a segment of TCP as it was seen on the wire.
type segment struct {
	tos, ttl uint8
	df       bool
	id       uint16
	seq, ack uint32
	flags    uint8
	time     uint32 // TSval
	size     int
	wrong    string // what is wrong with it by itself
}

// parseSegment takes a packet with a virtio header apart. It reports whether it is a segment from the guest's port.
func parseSegment(b []byte) (s segment, ok bool) {
	const vnet, ethernet = 10, 14
	if len(b) < vnet+ethernet+20 {
		return s, false
	}
	flags, start, offset := b[0], int(binary.NativeEndian.Uint16(b[6:])), int(binary.NativeEndian.Uint16(b[8:]))
	frame := b[vnet:]
	ip := frame[ethernet:]
	size := 0
	var pseudo uint32
	sum := func(b []byte) (n uint32) {
		for ; len(b) > 1; b = b[2:] {
			n += uint32(binary.BigEndian.Uint16(b))
		}
		if len(b) == 1 {
			n += uint32(b[0]) << 8
		}
		return n
	}
	fold := func(n uint32) uint16 {
		for n > 0xffff {
			n = n>>16 + n&0xffff
		}
		return uint16(n)
	}
	switch kind := binary.BigEndian.Uint16(frame[12:]); {
	case kind == unix.ETH_P_IP && ip[0] == 0x45 && ip[9] == unix.IPPROTO_TCP:
		size = 20
		s.tos, s.ttl, s.df, s.id = ip[1], ip[8], ip[6]&0x40 != 0, binary.BigEndian.Uint16(ip[4:])
		if n := int(binary.BigEndian.Uint16(ip[2:])); n != len(ip) {
			s.wrong = fmt.Sprintf("the IP header says %d bytes, there are %d", n, len(ip))
		} else if fold(sum(ip[:20])) != 0xffff {
			s.wrong = "the IP header's checksum is wrong"
		}
		pseudo = sum(ip[12:20])
	case kind == unix.ETH_P_IPV6 && len(ip) > 40 && ip[6] == unix.IPPROTO_TCP:
		size = 40
		s.tos, s.ttl, s.df = ip[0]<<4|ip[1]>>4, ip[7], true
		if n := int(binary.BigEndian.Uint16(ip[4:])); n != len(ip)-40 {
			s.wrong = fmt.Sprintf("the IP header says %d bytes, there are %d", n, len(ip)-40)
		}
		pseudo = sum(ip[8:40])
	default:
		return s, false
	}
	tcp := ip[size:]
	if len(tcp) < 20 || binary.BigEndian.Uint16(tcp) != headersPort {
		return s, false
	}
	pseudo += unix.IPPROTO_TCP + uint32(len(tcp))
	s.seq, s.ack, s.flags = binary.BigEndian.Uint32(tcp[4:]), binary.BigEndian.Uint32(tcp[8:]), tcp[13]
	length := int(tcp[12]>>4) * 4
	s.size = len(tcp) - length
	partial := flags&unix.VIRTIO_NET_HDR_F_NEEDS_CSUM != 0
	switch {
	case partial && (start != ethernet+size || offset != 16):
		s.wrong = fmt.Sprintf("the checksum is to be put at %d of what begins at %d", offset, start)
	case partial && binary.BigEndian.Uint16(tcp[16:]) != fold(pseudo):
		s.wrong = "the sum of the pseudo header is wrong"
	case !partial && fold(pseudo+uint32(fold(sum(tcp)))) != 0xffff:
		s.wrong = "the checksum is wrong"
	}
	if length >= 32 && bytes.Equal(tcp[20:24], []byte{1, 1, 8, 10}) {
		s.time = binary.BigEndian.Uint32(tcp[24:])
	} else if s.flags&0x02 == 0 {
		s.wrong = fmt.Sprintf("options % x, no timestamp", tcp[20:length])
	}
	return s, true
}

// TestHeaders looks at each segment that a connection of the guest sends, on the wire, while the program changes options that are in
// the headers.
func TestHeaders(t *testing.T) {
	installed(t, "/usr/bin/python3")
	tap := newLAN(t)
	wire := packetSocket(t, tap)
	var mu sync.Mutex
	var seen []segment
	go carry(func(b []byte) (int, error) {
		n, _, err := unix.Recvfrom(wire, b, 0)
		return n, err
	}, func(b []byte) {
		if s, ok := parseSegment(b); ok {
			mu.Lock()
			seen = append(seen, s)
			mu.Unlock()
		}
	})
	t.Cleanup(func() {
		unix.Shutdown(wire, unix.SHUT_RDWR)
		unix.Close(wire)
	})

	path, port := script("py/headers.py"), fmt.Sprint(headersPort)
	r := inLAN(t, server{argv: []string{"/usr/bin/python3", path, port}, flags: []string{"-v", path + ":" + path}, ports: []int{headersPort}, up: func(host string) error {
		c, err := net.Dial("tcp", net.JoinHostPort(host, port))
		if err == nil {
			c.Close()
		}
		return err
	}}, tap)

	for _, host := range []string{guestIP, guestIP6} {
		c, err := net.DialTimeout("tcp", net.JoinHostPort(host, port), 20*time.Second)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(target.Patience(2 * time.Minute)))
		in := bufio.NewReader(c)
		level, tos, ttl, discover := unix.IPPROTO_IP, unix.IP_TOS, unix.IP_TTL, unix.IP_MTU_DISCOVER
		if host == guestIP6 {
			level, tos, ttl, discover = unix.IPPROTO_IPV6, unix.IPV6_TCLASS, unix.IPV6_UNICAST_HOPS, -1
		}
		want := segment{ttl: 64, df: true}
		sent := 0
		var last segment
		// ask has the guest set an option and send, and looks at what it has sent.
		ask := func(level, option, value, size int) {
			t.Helper()
			mu.Lock()
			seen = nil
			mu.Unlock()
			n, err := fmt.Fprintf(c, "%d %d %d %d\n", level, option, value, size)
			if err != nil {
				t.Fatal(err)
			}
			sent += n
			if b := make([]byte, size); size > 0 {
				for got := 0; got < size; {
					n, err := in.Read(b[got:])
					if err != nil {
						t.Fatal(err)
					}
					got += n
				}
				if strings.Trim(string(b), "x") != "" {
					t.Errorf("%s: other data", host)
				}
			}
			// What was read here may not have been seen there yet.
			var all []segment
			data := 0
			for until := time.Now().Add(10 * time.Second); data < size && time.Now().Before(until); time.Sleep(5 * time.Millisecond) {
				mu.Lock()
				all, data = append([]segment(nil), seen...), 0
				mu.Unlock()
				for _, s := range all {
					data += s.size
				}
			}
			if data < size {
				t.Errorf("%s: %d bytes were seen of %d", host, data, size)
			}
			for _, s := range all {
				switch {
				case s.wrong != "":
					t.Errorf("%s: %+v: %s", host, s, s.wrong)
				case s.size == 0:
				case s.tos != want.tos || s.ttl != want.ttl || s.df != want.df || s.df && s.id != 0:
					t.Errorf("%s: %+v, want tos %d, ttl %d, df %v", host, s, want.tos, want.ttl, want.df)
				case !s.df && host == guestIP && s.id == last.id:
					t.Errorf("%s: %+v has the identification of the one before", host, s)
				case last.size > 0 && s.seq != last.seq+uint32(last.size):
					t.Errorf("%s: %+v does not follow %+v", host, s, last)
				case last.size > 0 && int32(s.time-last.time) < 0:
					t.Errorf("%s: %+v is older than %+v", host, s, last)
				case s.flags&^0x08 != 0x10:
					t.Errorf("%s: flags %#x", host, s.flags)
				default:
					if last.size > 0 && size < 1000 && s.ack != last.ack+uint32(n) {
						t.Errorf("%s: %+v acknowledges %d bytes more than %+v, want %d", host, s, s.ack-last.ack, last, n)
					}
					last = s
				}
			}
		}
		same := func(size int) { t.Helper(); ask(-1, 0, 0, size) }
		for _, size := range []int{1, 2, 100, 1000, 1448, 1449, 300000, 3} {
			same(size)
		}
		want.tos = 0x28
		ask(level, tos, 0x28, 50)
		same(51)
		want.ttl = 33
		ask(level, ttl, 33, 50)
		same(51)
		if discover >= 0 {
			want.df = false
			ask(level, discover, unix.IP_PMTUDISC_DONT, 50)
			same(51)
			same(52)
			want.df = true
			ask(level, discover, unix.IP_PMTUDISC_DO, 50)
			same(51)
		}
		same(50000)
		if _, err := fmt.Fprintln(c, "sniff"); err != nil {
			t.Fatal(err)
		}
		b := make([]byte, 5)
		for got := 0; got < len(b); {
			n, err := in.Read(b[got:])
			if err != nil {
				t.Fatal(err)
			}
			got += n
		}
		if string(b) != "looky" {
			t.Errorf("%s: a packet socket: %q, want %q", host, b, "looky")
		}
	}
	r.alive()
}
