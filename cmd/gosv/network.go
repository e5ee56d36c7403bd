package main

import (
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"regexp"
	"strconv"
	"strings"

	"github.com/spf13/pflag"
	"golang.org/x/sys/unix"

	"gosv/abi/boot"
	"gosv/host/vmm"
)

// networkOptions are the flags of the machine's networks.
type networkOptions struct {
	publish  []string
	networks []string
	macs     []string
	ips      []string
	gateways []string
	dns      []string
}

// defaultNetwork is the network of a machine of which nothing was said.
const defaultNetwork = vmm.NetworkUser

func (o *networkOptions) register(f *pflag.FlagSet) {
	f.StringArrayVarP(&o.publish, "publish", "p", nil, "make a port of the guest one of this machine: `[IP:]HOST:GUEST[/udp]`;\nHOST 0, or GUEST alone, takes any free one and says which")
	f.StringArrayVar(&o.networks, "network", nil, "connect the guest: `KIND` is user (the default), tap=NAME, bridge=NAME\nor none; again for a further interface")
	f.StringArrayVar(&o.macs, "mac", nil, "Ethernet `ADDRESS` of the guest's interface, in the order of --network")
	f.StringArrayVar(&o.ips, "ip", nil, "`[ethN,]ADDRESS/PREFIX` of the guest, IPv4 or IPv6, or dhcp, or none\n(default: what the user network has; else dhcp)")
	f.StringArrayVar(&o.gateways, "gateway", nil, "`ADDRESS` of the guest's default route")
	f.StringArrayVar(&o.dns, "dns", nil, "`ADDRESS` of a name server for the guest")
}

// Option words of an image's configuration, which are for the tool.
const (
	wordNetwork = "network"
	wordPublish = "publish"
)

// resolve gives the interfaces of the machine, and the words that configure
// them in the guest. Flags replace what the image says.
func (o *networkOptions) resolve(inImage boot.Config, name string) ([]vmm.Network, []string, error) {
	publish, names := o.publish, o.networks
	if len(publish) == 0 {
		publish = options(inImage, wordPublish)
	}
	if len(names) == 0 {
		names = options(inImage, wordNetwork)
	}
	if len(names) == 0 {
		names = []string{defaultNetwork}
	}
	var list []vmm.Network
	user := -1
	for _, s := range names {
		n, err := vmm.ParseNetwork(s)
		if err != nil {
			return nil, nil, fmt.Errorf("--%w", err)
		}
		if n.Kind == vmm.NetworkNone {
			if len(names) > 1 {
				return nil, nil, errors.New("--network none: it goes with no other network")
			}
			continue
		}
		if n.Kind == vmm.NetworkUser && user < 0 {
			user = len(list)
		}
		list = append(list, n)
	}
	for _, s := range publish {
		p, err := vmm.ParsePublish(s)
		if err != nil {
			return nil, nil, fmt.Errorf("--%w", err)
		}
		if user < 0 {
			return nil, nil, fmt.Errorf("--publish %s: only --network user publishes ports; on another network the guest has an address of its own", s)
		}
		if p.Addr.Is6() { // for now QEMU's has no forwarding of IPv6
			return nil, nil, fmt.Errorf("--publish %s: the user network publishes on IPv4 addresses only; leave the address out, or use a tap or a bridge", s)
		}
		list[user].Publish = append(list[user].Publish, p)
	}
	if len(list) == 0 {
		if len(o.ips)+len(o.macs)+len(o.gateways)+len(o.dns) > 0 {
			return nil, nil, errors.New("--ip, --mac, --gateway and --dns need a network; leave out --network none")
		}
		return nil, nil, nil
	}
	if len(o.macs) > len(list) {
		return nil, nil, fmt.Errorf("--mac %s: there are only %d interfaces", o.macs[len(list)], len(list))
	}
	for i := range list {
		var err error
		if i < len(o.macs) {
			if list[i].MAC, err = vmm.ParseMAC(o.macs[i]); err != nil {
				return nil, nil, fmt.Errorf("--mac: %w", err)
			}
		} else if list[i].Kind != vmm.NetworkUser {
			list[i].MAC = stableMAC(list[i], name)
		}
	}
	words, err := o.addresses(list)
	return list, words, err
}

// address is a value of --ip.
type address struct {
	eth     int
	prefix  netip.Prefix
	gateway string // as it is written, with the comma
}

var ethName = regexp.MustCompile(`^eth([0-9])$`)

func parseIP(s string) (a address, err error) {
	rest := s
	if eth, r, ok := strings.Cut(s, ","); ok {
		if m := ethName.FindStringSubmatch(eth); m != nil {
			a.eth, _ = strconv.Atoi(m[1])
			rest = r
		}
	}
	rest, gateway, ok := strings.Cut(rest, ",")
	if a.prefix, err = netip.ParsePrefix(rest); err != nil {
		return a, fmt.Errorf("--ip %s: it is [ethN,]ADDRESS/PREFIX, as 192.168.1.5/24 or eth1,fd00::5/64, or dhcp, or none", s)
	}
	if ok {
		if _, err := netip.ParseAddr(gateway); err != nil {
			return a, fmt.Errorf("--ip %s: %q is not the address of a gateway", s, gateway)
		}
		a.gateway = "," + gateway
	}
	return a, nil
}

// addresses makes the option words ip=, gateway= and dns=. A user network's
// configuration is known, so the guest need not ask for it.
func (o *networkOptions) addresses(list []vmm.Network) (words []string, err error) {
	gateway := map[bool]bool{} // given, by Is4
	for _, s := range o.gateways {
		a, err := netip.ParseAddr(s)
		if err != nil {
			return nil, fmt.Errorf("--gateway %s: it is not an IP address", s)
		}
		gateway[a.Is4()] = true
	}
	given := map[int][]address{}
	dynamic := "" // dhcp or none, for all
	for _, s := range o.ips {
		if s == "dhcp" || s == "none" {
			dynamic = s
			continue
		}
		a, err := parseIP(s)
		if err != nil {
			return nil, err
		}
		if a.eth >= len(list) {
			return nil, fmt.Errorf("--ip %s: there is no eth%d; each --network makes one interface", s, a.eth)
		}
		given[a.eth] = append(given[a.eth], a)
	}
	if dynamic != "" && len(o.ips) > 1 {
		return nil, fmt.Errorf("--ip %s: it goes with no other --ip", dynamic)
	}
	var dns []string
	word := func(eth int, p netip.Prefix, gw string) {
		if gateway[p.Addr().Is4()] {
			gw = ""
		}
		words = append(words, fmt.Sprintf("ip=eth%d,%s%s", eth, p, gw))
	}
	for i := range list {
		n := &list[i]
		user := n.Kind == vmm.NetworkUser
		has := map[bool]bool{}
		for _, a := range given[i] {
			four := a.prefix.Addr().Is4()
			if user && four && !has[four] {
				if n.Guest = a.prefix; a.gateway == "" {
					a.gateway = "," + n.Gateway().String()
				}
			}
			has[four] = true
			word(i, a.prefix, a.gateway)
		}
		if !user || dynamic != "" {
			continue
		}
		if !has[true] {
			word(i, n.GuestAddr(), ","+n.Gateway().String())
		}
		if !has[false] {
			word(i, vmm.UserGuest6, ","+vmm.UserGateway6.String())
		}
		if len(dns) == 0 {
			dns = append(dns, n.DNS().String())
		}
	}
	if dynamic != "" {
		words = append(words, "ip="+dynamic)
	}
	if len(o.dns) > 0 {
		dns = nil
	}
	for _, s := range o.dns {
		if _, err := netip.ParseAddr(s); err != nil {
			return nil, fmt.Errorf("--dns %s: it is not an IP address", s)
		}
		dns = append(dns, s)
	}
	for _, s := range o.gateways {
		words = append(words, "gateway="+s)
	}
	for _, s := range dns {
		words = append(words, "dns="+s)
	}
	return words, nil
}

// stableMAC is an address that no other machine of the network has, and that
// the same machine has again: QEMU's own default is the same for all. A machine
// without a name on a bridge has another one each time.
func stableMAC(n vmm.Network, name string) string {
	id, err := os.ReadFile("/etc/machine-id")
	if err != nil {
		host, _ := os.Hostname()
		id = []byte(host)
	}
	if n.Kind == vmm.NetworkBridge && name == "" {
		name = rand.Text()
	}
	if n.Kind == vmm.NetworkTap { // which only one machine uses at a time
		name = ""
	}
	h := sha256.Sum256([]byte(strings.Join([]string{string(id), n.Kind, n.Device, name}, "\x00")))
	return fmt.Sprintf("52:54:00:%02x:%02x:%02x", h[0], h[1], h[2])
}

// choosePorts gives each published port without a number a free one, and says
// early which ones cannot be had. chosen are those that the user did not know.
func choosePorts(list []vmm.Network) (chosen []vmm.Publish, err error) {
	var taken []vmm.Publish
	for _, n := range list {
		for i := range n.Publish {
			p := &n.Publish[i]
			free, err := tryPort(*p)
			for _, o := range taken {
				if p.HostPort == o.HostPort && p.UDP == o.UDP && (p.Addr == o.Addr || p.AllHosts() || o.AllHosts()) {
					return nil, fmt.Errorf("publish %s: port %d/%s of this machine is that of %s already", p, p.HostPort, p.Proto(), o)
				}
			}
			if err != nil {
				return nil, err
			}
			if p.HostPort == 0 {
				p.HostPort = free
				chosen = append(chosen, *p)
			}
			taken = append(taken, *p)
		}
	}
	return chosen, nil
}

// tryPort opens a port and closes it again.
func tryPort(p vmm.Publish) (uint16, error) {
	host := "0.0.0.0"
	if p.Addr.IsValid() {
		host = p.Addr.String()
	}
	at := net.JoinHostPort(host, strconv.Itoa(int(p.HostPort)))
	var addr net.Addr
	var err error
	if p.UDP {
		var c net.PacketConn
		if c, err = net.ListenPacket("udp", at); err == nil {
			addr = c.LocalAddr()
			c.Close()
		}
	} else {
		var l net.Listener
		if l, err = net.Listen("tcp", at); err == nil {
			addr = l.Addr()
			l.Close()
		}
	}
	switch {
	case errors.Is(err, unix.EADDRINUSE):
		return 0, fmt.Errorf("publish %s: port %d/%s of this machine is in use; choose another one, or 0 for any", p, p.HostPort, p.Proto())
	case errors.Is(err, unix.EACCES), errors.Is(err, unix.EPERM):
		return 0, fmt.Errorf("publish %s: port %d needs more rights; choose one from 1024", p, p.HostPort)
	case errors.Is(err, unix.EADDRNOTAVAIL):
		return 0, fmt.Errorf("publish %s: %s is not an address of this machine", p, host)
	case err != nil:
		return 0, fmt.Errorf("publish %s: %w", p, err)
	}
	a, err := netip.ParseAddrPort(addr.String())
	return a.Port(), err
}

// options gives all values of an option word.
func options(c boot.Config, name string) (values []string) {
	for _, o := range c.Options {
		if n, v, ok := strings.Cut(o, "="); ok && n == name {
			values = append(values, v)
		}
	}
	return values
}
