package vmm

import (
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
)

// Kinds of Network.
const (
	NetworkUser   = "user"   // behind an address translation in the hypervisor's process
	NetworkTap    = "tap"    // a tap interface of the host
	NetworkBridge = "bridge" // a bridge of the host
	NetworkNone   = "none"
)

// Network is a network interface of a machine.
type Network struct {
	Kind   string // NetworkUser, NetworkTap or NetworkBridge
	Device string // the tap interface or bridge of the host
	MAC    string // "" for one that fits the kind

	// Of NetworkUser:
	Guest   netip.Prefix // the guest's IPv4 address in its network; the zero value is UserGuest
	Publish []Publish
}

// Addresses of NetworkUser, as QEMU's has them.
var (
	UserGuest    = netip.MustParsePrefix("10.0.2.15/24")
	UserGuest6   = netip.MustParsePrefix("fec0::15/64")
	UserGateway6 = netip.MustParseAddr("fec0::2")
)

// Gateway is where the host is on a user network.
func (n Network) Gateway() netip.Addr { return n.service(2) }

// DNS is the name server of a user network.
func (n Network) DNS() netip.Addr { return n.service(3) }

// service gives the i-th address of the guest's network, without the guest's own.
func (n Network) service(i int) netip.Addr {
	g := n.GuestAddr()
	a := g.Masked().Addr()
	for ; i > 0; i-- {
		a = a.Next()
		if a == g.Addr() {
			a = a.Next()
		}
	}
	return a
}

// GuestAddr is the guest's IPv4 address on a user network.
func (n Network) GuestAddr() netip.Prefix {
	if n.Guest.IsValid() {
		return n.Guest
	}
	return UserGuest
}

// Publish is a port of the guest that is a port of the host.
type Publish struct {
	Addr      netip.Addr // of the host; the zero value is all of its addresses
	HostPort  uint16     // 0: any that is free
	GuestPort uint16
	UDP       bool
}

// AllHosts reports whether the port is one of all addresses of the host.
func (p Publish) AllHosts() bool { return !p.Addr.IsValid() || p.Addr.IsUnspecified() }

// Proto is "tcp" or "udp".
func (p Publish) Proto() string {
	if p.UDP {
		return "udp"
	}
	return "tcp"
}

// String writes p as ParsePublish reads it.
func (p Publish) String() string {
	s := strconv.Itoa(int(p.HostPort)) + ":" + strconv.Itoa(int(p.GuestPort))
	if p.Addr.Is6() {
		s = "[" + p.Addr.String() + "]:" + s
	} else if p.Addr.IsValid() {
		s = p.Addr.String() + ":" + s
	}
	if p.UDP {
		s += "/udp"
	}
	return s
}

// ParsePublish reads [IP:][HOST]:GUEST or GUEST, with /tcp or /udp after it.
func ParsePublish(s string) (p Publish, err error) {
	bad := func(why string) (Publish, error) {
		return Publish{}, fmt.Errorf("publish %q: %s; write [IP:]HOST:GUEST, as 8080:80 or 127.0.0.1:5353:53/udp", s, why)
	}
	rest, proto, given := strings.Cut(s, "/")
	switch {
	case proto == "udp":
		p.UDP = true
	case given && proto != "tcp":
		return bad("the protocol is tcp or udp")
	}
	host, guest := "", rest
	if i := strings.LastIndexByte(rest, ':'); i >= 0 {
		host, guest = rest[:i], rest[i+1:]
	}
	if i := strings.LastIndexByte(host, ':'); i >= 0 {
		addr := strings.TrimSuffix(strings.TrimPrefix(host[:i], "["), "]")
		if p.Addr, err = netip.ParseAddr(addr); err != nil || p.Addr.Zone() != "" {
			return bad(strconv.Quote(addr) + " is not an IP address")
		}
		host = host[i+1:]
	}
	if p.GuestPort, err = parsePort(guest); err != nil || p.GuestPort == 0 {
		return bad(strconv.Quote(guest) + " is not a port from 1 to 65535")
	}
	if host != "" {
		if p.HostPort, err = parsePort(host); err != nil {
			return bad(strconv.Quote(host) + " is not a port")
		}
	}
	return p, nil
}

func parsePort(s string) (uint16, error) {
	if strings.HasPrefix(s, "+") {
		return 0, strconv.ErrSyntax
	}
	n, err := strconv.ParseUint(s, 10, 16)
	return uint16(n), err
}

// deviceName is what Linux takes as an interface's name and QEMU as a value.
var deviceName = regexp.MustCompile(`^[A-Za-z0-9_.@:-]{1,15}$`)

// ParseNetwork reads user, none, tap=NAME or bridge=NAME.
func ParseNetwork(s string) (Network, error) {
	kind, device, given := strings.Cut(s, "=")
	switch {
	case (kind == NetworkUser || kind == NetworkNone) && !given:
	case (kind == NetworkTap || kind == NetworkBridge) && deviceName.MatchString(device):
	case kind == NetworkTap || kind == NetworkBridge:
		return Network{}, fmt.Errorf("network %q: it needs the name of an interface, as %s=%s0", s, kind, kind[:3])
	default:
		return Network{}, fmt.Errorf("network %q: it is user, tap=NAME, bridge=NAME or none", s)
	}
	return Network{Kind: kind, Device: device}, nil
}

// ParseMAC reads the address of one interface, as 52:54:00:12:34:56.
func ParseMAC(s string) (string, error) {
	s = strings.ToLower(s)
	if !macAddress.MatchString(s) {
		return "", fmt.Errorf("%q is not an Ethernet address, as 52:54:00:12:34:56", s)
	}
	if first, _ := strconv.ParseUint(s[:2], 16, 8); first&1 != 0 {
		return "", errors.New(s + " is a multicast address; make its first byte even")
	}
	return s, nil
}

var macAddress = regexp.MustCompile(`^([0-9a-f]{2}:){5}[0-9a-f]{2}$`)
