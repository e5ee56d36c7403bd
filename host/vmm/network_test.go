package vmm

import (
	"net/netip"
	"strings"
	"testing"
)

func TestParsePublish(t *testing.T) {
	for s, want := range map[string]Publish{
		"8080:80":               {HostPort: 8080, GuestPort: 80},
		"8080:80/tcp":           {HostPort: 8080, GuestPort: 80},
		"53:53/udp":             {HostPort: 53, GuestPort: 53, UDP: true},
		"80":                    {GuestPort: 80},
		":80":                   {GuestPort: 80},
		"0:80":                  {GuestPort: 80},
		"127.0.0.1:8080:80":     {Addr: netip.MustParseAddr("127.0.0.1"), HostPort: 8080, GuestPort: 80},
		"127.0.0.1::80":         {Addr: netip.MustParseAddr("127.0.0.1"), GuestPort: 80},
		"[::1]:8080:80":         {Addr: netip.MustParseAddr("::1"), HostPort: 8080, GuestPort: 80},
		"[fe80::1:2]:1:65535":   {Addr: netip.MustParseAddr("fe80::1:2"), HostPort: 1, GuestPort: 65535},
		"127.0.0.1:8080:80/udp": {Addr: netip.MustParseAddr("127.0.0.1"), HostPort: 8080, GuestPort: 80, UDP: true},
	} {
		got, err := ParsePublish(s)
		if err != nil || got != want {
			t.Errorf("%q: %+v, %v; want %+v", s, got, err, want)
		}
		if again, err := ParsePublish(got.String()); err != nil || again != got {
			t.Errorf("%q became %q, which is %+v, %v", s, got, again, err)
		}
	}
	for _, s := range []string{"", ":", "a", "80:", "0", "80:0", "65536:1", "1:65536", "-1:1", "+1:1", "1:+1", "80:80/sctp", "80:80/", "x:80:80", "localhost:1:2", "1:2:3:4", "[fe80::1%eth0]:1:2"} {
		if p, err := ParsePublish(s); err == nil || !strings.Contains(err.Error(), "write [IP:]HOST:GUEST") {
			t.Errorf("%q was taken as %+v, %v", s, p, err)
		}
	}
}

func TestParseNetwork(t *testing.T) {
	for s, want := range map[string]Network{
		"user": {Kind: "user"}, "none": {Kind: "none"}, "tap=tap0": {Kind: "tap", Device: "tap0"}, "bridge=br-lan": {Kind: "bridge", Device: "br-lan"},
	} {
		if got, err := ParseNetwork(s); err != nil || got.Kind != want.Kind || got.Device != want.Device {
			t.Errorf("%q: %+v, %v", s, got, err)
		}
	}
	for _, s := range []string{"", "tap", "tap=", "tap=a,b", "bridge=0123456789abcdef", "user=x", "none=", "host", "tap=a/b"} {
		if n, err := ParseNetwork(s); err == nil {
			t.Errorf("%q was taken as %+v", s, n)
		}
	}
}

func TestParseMAC(t *testing.T) {
	if m, err := ParseMAC("52:54:00:AB:cd:01"); err != nil || m != "52:54:00:ab:cd:01" {
		t.Errorf("%q, %v", m, err)
	}
	for _, s := range []string{"", "52:54:00:ab:cd", "52-54-00-ab-cd-01", "53:54:00:ab:cd:01", "52:54:00:ab:cd:01:02", "g2:54:00:ab:cd:01"} {
		if m, err := ParseMAC(s); err == nil {
			t.Errorf("%q was taken as %q", s, m)
		}
	}
}

// TestUserServices keeps the addresses of a user network apart from the guest's.
func TestUserServices(t *testing.T) {
	for guest, want := range map[string]string{"10.0.2.15/24": "10.0.2.2 10.0.2.3", "192.168.7.2/28": "192.168.7.3 192.168.7.4", "10.1.0.3/16": "10.1.0.2 10.1.0.4"} {
		n := Network{Guest: netip.MustParsePrefix(guest)}
		if got := n.Gateway().String() + " " + n.DNS().String(); got != want {
			t.Errorf("%s: %s, want %s", guest, got, want)
		}
	}
	if got := (Network{}).Gateway().String(); got != "10.0.2.2" {
		t.Errorf("the default gateway is %s", got)
	}
}
