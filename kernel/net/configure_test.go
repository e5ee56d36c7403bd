package net

import (
	"net/netip"
	"strings"
	"testing"
)

func TestParseAddress(t *testing.T) {
	for _, s := range []string{
		"1.2.3.4", "0.0.0.0", "255.255.255.255", "256.1.1.1", "1.2.3", "1.2.3.4.5", "01.2.3.4", "1.2.3.-4", "+1.2.3.4", "", "x",
		"::", "::1", "1::", "fe80::1", "1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7::", "::2:3:4:5:6:7:8", "1:2:3:4:5:6:7", "1::2::3", ":::", ":", "1:",
		":1", "1:2:3:4:5:6:7:8:9", "12345::", "::ffff:1.2.3.4", "1:2:3:4:5:6:1.2.3.4", "1:2:3:4:5:6:7:1.2.3.4", "::1.2.3.4:5", "::g", "::+1", "1.2.3.4::",
	} {
		want, err := netip.ParseAddr(s)
		got, ok := ParseAddress(s)
		if ok != (err == nil) {
			t.Errorf("%q: %v, want %v", s, ok, err == nil)
		} else if ok && string(got.AsSlice()) != string(want.AsSlice()) {
			t.Errorf("%q: %v", s, got)
		}
	}
}

func FuzzParseAddress(f *testing.F) {
	f.Add("fe80::1")
	f.Add("1:2::3.4.5.6")
	f.Fuzz(func(t *testing.T, s string) {
		if strings.Contains(s, "%") {
			return // a zone: not ours
		}
		want, err := netip.ParseAddr(s)
		got, ok := ParseAddress(s)
		if ok != (err == nil) || ok && string(got.AsSlice()) != string(want.AsSlice()) {
			t.Errorf("%q: %v, %v, want %v, %v", s, got, ok, want, err)
		}
	})
}

func TestParseConfig(t *testing.T) {
	c, err := ParseConfig([]string{"quiet", "ip=eth0,10.0.0.5/24,10.0.0.1", "ip=eth0,fd00::5/64", "dns=1.1.1.1", "dns=2606:4700::1111", "gateway=10.0.0.1", "ip=dhcp"})
	if err != nil {
		t.Fatal(err)
	}
	if s := c.static["eth0"]; len(s) != 2 || s[0].gateway.String() != "10.0.0.1" || s[1].addr.PrefixLen != 64 || s[1].gateway.Len() != 0 ||
		len(c.gateways) != 1 || len(c.resolver.Servers) != 2 || !c.dhcp || c.none {
		t.Errorf("%+v", c)
	}
	for _, bad := range []string{"ip=eth0", "ip=eth0,10.0.0.5", "ip=eth0,10.0.0.5/33", "ip=eth0,10.0.0.5/24,fd00::1", "ip=,10.0.0.5/24", "ip=eth0,x/24", "dns=x", "gateway="} {
		if _, err := ParseConfig([]string{bad}); err == nil || !strings.Contains(err.Error(), bad) {
			t.Errorf("%s: %v", bad, err)
		}
	}
}

func TestResolver(t *testing.T) {
	at := func(s string) Resolver {
		r := Resolver{Search: []string{"x." + s}}
		a, _ := ParseAddress(s)
		r.Servers = append(r.Servers, a)
		return r
	}
	list := []learnedResolver{{2, sourceDHCP4, at("1.1.1.1")}, {3, sourceDHCP4, at("1.1.1.1")}, {2, sourceRA, at("2.2.2.2")}}
	if got := joined(list).Format(); got != "nameserver 1.1.1.1\nnameserver 2.2.2.2\nsearch x.1.1.1.1 x.2.2.2.2\n" {
		t.Errorf("%q", got)
	}
	list = append([]learnedResolver{{0, sourceStatic, at("9.9.9.9")}}, list...)
	if got := joined(list).Format(); got != "nameserver 9.9.9.9\nsearch x.9.9.9.9\n" {
		t.Errorf("by hand: %q", got)
	}
}
