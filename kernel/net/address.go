package net

import (
	"strconv"
	"strings"

	"gvisor.dev/gvisor/pkg/tcpip"
)

// ParseAddress reads an IPv4 or IPv6 address as inet_pton(3) does.
func ParseAddress(s string) (tcpip.Address, bool) {
	if strings.IndexByte(s, ':') < 0 {
		b, ok := parse4(s)
		return tcpip.AddrFrom4(b), ok
	}
	var words [8]uint16
	n, gap := 0, -1
	if rest, ok := strings.CutPrefix(s, "::"); ok {
		gap, s = 0, rest
	}
	for s != "" {
		word, rest, more := strings.Cut(s, ":")
		if strings.IndexByte(word, '.') >= 0 { // the last 32 bits as IPv4
			b, ok := parse4(word)
			if !ok || more || n > 6 {
				return tcpip.Address{}, false
			}
			words[n], words[n+1] = uint16(b[0])<<8|uint16(b[1]), uint16(b[2])<<8|uint16(b[3])
			n += 2
			break
		}
		v, err := strconv.ParseUint(word, 16, 16)
		if err != nil || n == 8 || len(word) > 4 || word[0] == '+' {
			return tcpip.Address{}, false
		}
		words[n] = uint16(v)
		n++
		if more && rest == "" {
			return tcpip.Address{}, false // it ends in one colon
		}
		if strings.HasPrefix(rest, ":") {
			if gap >= 0 {
				return tcpip.Address{}, false
			}
			gap, rest = n, rest[1:]
		}
		s = rest
	}
	if gap < 0 && n != 8 || gap >= 0 && n > 7 {
		return tcpip.Address{}, false
	}
	if gap >= 0 {
		copy(words[8-(n-gap):], words[gap:n])
		clear(words[gap : 8-(n-gap)])
	}
	var b [16]byte
	for i, w := range words {
		b[2*i], b[2*i+1] = byte(w>>8), byte(w)
	}
	return tcpip.AddrFrom16(b), true
}

func parse4(s string) (b [4]byte, ok bool) {
	for i := range b {
		word, rest, more := strings.Cut(s, ".")
		v, err := strconv.ParseUint(word, 10, 8)
		if err != nil || more != (i < 3) || len(word) > 1 && word[0] == '0' || word[0] == '+' {
			return b, false
		}
		b[i], s = byte(v), rest
	}
	return b, true
}

// parsePrefix reads ADDR/PREFIX.
func parsePrefix(s string) (tcpip.AddressWithPrefix, bool) {
	addr, prefix, ok := strings.Cut(s, "/")
	a, good := ParseAddress(addr)
	n, err := strconv.ParseUint(prefix, 10, 8)
	if !ok || !good || err != nil || int(n) > a.BitLen() {
		return tcpip.AddressWithPrefix{}, false
	}
	return tcpip.AddressWithPrefix{Address: a, PrefixLen: int(n)}, true
}
