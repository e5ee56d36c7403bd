package net

import (
	"slices"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/tcpip"
)

// A Resolver is how names are looked up.
type Resolver struct {
	Servers []tcpip.Address
	Search  []string
}

// What a Resolver came from, the most trusted first.
const (
	sourceStatic = iota
	sourceDHCP4
	sourceDHCP6
	sourceRA
)

// A Status is what the configuration has come to.
type Status struct {
	Resolver Resolver
	Hostname string        // what a DHCP server calls this machine; empty if none does
	Address  tcpip.Address // of the machine, of length 0 while there is none
	Ready    bool          // names can be looked up, or it is pointless to wait
}

// resolvers are what was learned, and who is told.
var resolvers struct {
	mu       sync.Mutex // guards what follows
	list     []learnedResolver
	hostname string
	changed  func(Status)
}

type learnedResolver struct {
	nic    tcpip.NICID
	source int
	Resolver
}

// OnChange sets what is called when the status may have changed, on a goroutine
// of this package. It is set before Start.
func OnChange(f func(Status)) {
	resolvers.mu.Lock()
	resolvers.changed = f
	resolvers.mu.Unlock()
}

// learned replaces what one source said.
func learned(id tcpip.NICID, source int, r Resolver, hostname string) {
	resolvers.mu.Lock()
	resolvers.list = slices.DeleteFunc(resolvers.list, func(l learnedResolver) bool { return l.nic == id && l.source == source })
	if len(r.Servers) > 0 || len(r.Search) > 0 {
		resolvers.list = append(resolvers.list, learnedResolver{id, source, r})
	}
	slices.SortStableFunc(resolvers.list, func(a, b learnedResolver) int { return (a.source-b.source)*1000 + int(a.nic-b.nic) })
	if hostname != "" {
		resolvers.hostname = hostname
	}
	resolvers.mu.Unlock()
	later(tell)
}

// tell calls who wants to know. It runs on the worker.
func tell() {
	var s Status
	resolvers.mu.Lock()
	s.Resolver, s.Hostname = joined(resolvers.list), resolvers.hostname
	f := resolvers.changed
	resolvers.mu.Unlock()
	if f == nil {
		return
	}
	for _, i := range interfaces() {
		for _, a := range i.Addrs {
			if i.Index != int(Loopback) && a.Scope == unix.RT_SCOPE_UNIVERSE && s.Address.Len() == 0 {
				s.Address = a.IP
			}
		}
	}
	// A name server is of use with an address of one family at least; those that
	// routers advertise come before DHCP's, and are often worse.
	done4, done6 := configuring.left4.Load() <= 0, configuring.left6.Load() <= 0
	s.Ready = done4 && done6 || len(s.Resolver.Servers) > 0 && (done4 || done6)
	f(s)
}

// joined is what all say together. What was said by hand is all, if it names
// servers.
func joined(list []learnedResolver) (all Resolver) {
	for _, l := range list {
		if l.source != sourceStatic && list[0].source == sourceStatic && len(list[0].Servers) > 0 {
			break
		}
		for _, s := range l.Servers {
			if !slices.Contains(all.Servers, s) {
				all.Servers = append(all.Servers, s)
			}
		}
		for _, s := range l.Search {
			if !slices.Contains(all.Search, s) {
				all.Search = append(all.Search, s)
			}
		}
	}
	return all
}

// known is what a source has said.
func known(id tcpip.NICID, source int) Resolver {
	resolvers.mu.Lock()
	defer resolvers.mu.Unlock()
	for _, l := range resolvers.list {
		if l.nic == id && l.source == source {
			return l.Resolver
		}
	}
	return Resolver{}
}

// Format is the text of resolv.conf(5).
func (r Resolver) Format() string {
	var b strings.Builder
	for _, s := range r.Servers[:min(len(r.Servers), maxServers)] {
		b.WriteString("nameserver " + s.String() + "\n")
	}
	if len(r.Search) > 0 {
		b.WriteString("search " + strings.Join(r.Search[:min(len(r.Search), maxSearch)], " ") + "\n")
	}
	return b.String()
}

// What glibc reads (MAXNS, MAXDNSRCH).
const (
	maxServers = 3
	maxSearch  = 6
)

// validName reports whether a name from the network may go into a file.
func validName(s string) bool {
	if s == "" || len(s) > 253 || s[0] == '-' || s[0] == '.' {
		return false
	}
	for _, c := range []byte(s) {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '.', c == '_':
		default:
			return false
		}
	}
	return true
}

// searchList reads names in DNS's encoding with compression (RFC 3397). A
// malformed list gives the names before the fault.
func searchList(b []byte) (list []string) {
	for at := 0; at < len(b) && len(list) < maxSearch; {
		name, next := dnsName(b, at)
		if next == 0 {
			break
		}
		if validName(name) {
			list = append(list, name)
		}
		at = next
	}
	return list
}

// dnsName reads one name and says where the next begins; 0 is for a bad one.
func dnsName(b []byte, at int) (name string, next int) {
	for jumps := 0; ; {
		if at >= len(b) {
			return "", 0
		}
		n := int(b[at])
		switch {
		case n == 0:
			if next == 0 {
				next = at + 1
			}
			return name, next
		case n&0xc0 == 0xc0:
			if jumps++; at+1 >= len(b) || jumps > 16 {
				return "", 0
			}
			if next == 0 {
				next = at + 2
			}
			at = n&0x3f<<8 | int(b[at+1])
		case n&0xc0 != 0 || at+1+n > len(b) || len(name)+n > 255:
			return "", 0
		default:
			if name != "" {
				name += "."
			}
			name += string(b[at+1 : at+1+n])
			at += 1 + n
		}
	}
}
