package main

import (
	"net"
	"regexp"
	"slices"
	"strings"
	"testing"

	"gosv/abi/boot"
	"gosv/host/vmm"
)

// TestNetworkWords compares what the guest is told.
func TestNetworkWords(t *testing.T) {
	const user6 = "ip=eth0,fec0::15/64,fec0::2"
	for _, c := range []struct {
		o     networkOptions
		words string
	}{
		{networkOptions{}, "ip=eth0,10.0.2.15/24,10.0.2.2 " + user6 + " dns=10.0.2.3"},
		{networkOptions{networks: []string{"none"}}, ""},
		{networkOptions{networks: []string{"tap=t"}}, ""}, // the guest asks for an address
		{networkOptions{ips: []string{"dhcp"}}, "ip=dhcp"},
		{networkOptions{ips: []string{"none"}}, "ip=none"},
		{networkOptions{dns: []string{"1.1.1.1", "fec0::3"}}, "ip=eth0,10.0.2.15/24,10.0.2.2 " + user6 + " dns=1.1.1.1 dns=fec0::3"},
		{networkOptions{gateways: []string{"10.0.2.9"}}, "ip=eth0,10.0.2.15/24 " + user6 + " gateway=10.0.2.9 dns=10.0.2.3"},
		{networkOptions{ips: []string{"10.9.0.2/16"}}, "ip=eth0,10.9.0.2/16,10.9.0.3 " + user6 + " dns=10.9.0.4"},
		{networkOptions{ips: []string{"fec0::9/64"}}, "ip=eth0,fec0::9/64 ip=eth0,10.0.2.15/24,10.0.2.2 dns=10.0.2.3"},
		{networkOptions{networks: []string{"tap=t"}, ips: []string{"10.1.1.2/24,10.1.1.1", "eth0,fd00::2/64"}, dns: []string{"10.1.1.1"}},
			"ip=eth0,10.1.1.2/24,10.1.1.1 ip=eth0,fd00::2/64 dns=10.1.1.1"},
		{networkOptions{networks: []string{"user", "tap=t"}, ips: []string{"eth1,10.1.1.2/24"}},
			"ip=eth0,10.0.2.15/24,10.0.2.2 " + user6 + " ip=eth1,10.1.1.2/24 dns=10.0.2.3"},
	} {
		_, words, err := c.o.resolve(boot.Config{}, "")
		if got := strings.Join(words, " "); err != nil || got != c.words {
			t.Errorf("%+v: %q, %v; want %q", c.o, got, err, c.words)
		}
	}
}

func TestMACs(t *testing.T) {
	o := networkOptions{networks: []string{"user", "tap=a", "tap=b", "bridge=c"}, macs: []string{"52:54:00:00:00:0A"}}
	one, _, err1 := o.resolve(boot.Config{}, "name")
	two, _, err2 := o.resolve(boot.Config{}, "name")
	other, _, err3 := o.resolve(boot.Config{}, "")
	if err1 != nil || err2 != nil || err3 != nil || len(one) != 4 || one[0].MAC != "52:54:00:00:00:0a" {
		t.Fatalf("%+v, %v, %v, %v", one, err1, err2, err3)
	}
	seen := map[string]bool{}
	for i := range one {
		if _, err := vmm.ParseMAC(one[i].MAC); err != nil || seen[one[i].MAC] || one[i].MAC != two[i].MAC {
			t.Errorf("interface %d has %s and then %s, %v", i, one[i].MAC, two[i].MAC, err)
		}
		seen[one[i].MAC] = true
	}
	if one[3].MAC == other[3].MAC || one[1].MAC != other[1].MAC {
		t.Errorf("without a name: %+v, with one: %+v", other, one)
	}
}

// TestPublish takes a port that is free, and refuses one that is not.
func TestPublish(t *testing.T) {
	c := newTool(t, "cat")
	_, stderr, status := c.run("", "run", "-p", "127.0.0.1::80", "-p", "53/udp", "./hello")
	if ok, _ := regexp.MatchString("^gosv: port 80/tcp is port [0-9]+ of this machine\ngosv: port 53/udp is port [0-9]+ of this machine\n$", stderr); !ok || status != 0 {
		t.Errorf("status %d, %q", status, stderr)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	addr := l.Addr().String()
	if _, stderr, status = c.run("", "run", "-p", addr+":80", "./hello"); status != 125 || !strings.Contains(stderr, "of this machine is in use; choose another one, or 0 for any") {
		t.Errorf("status %d, %q", status, stderr)
	}
	for _, twice := range []string{"127.0.0.1:8765:81", "8765:81", "0.0.0.0:8765:80"} {
		if _, stderr, status := c.run("", "run", "--dry-run", "-p", "127.0.0.1:8765:80", "-p", twice, "./hello"); status != 125 ||
			!strings.HasSuffix(stderr, ": port 8765/tcp of this machine is that of 127.0.0.1:8765:80 already\n") || strings.Count(stderr, "\n") != 1 {
			t.Errorf("-p %s: status %d, %q", twice, status, stderr)
		}
	}
	if _, stderr, status := c.run("", "run", "--dry-run", "-p", "127.0.0.1:8765:80", "-p", "127.0.0.1:8765:80/udp", "-p", "127.0.0.2:8765:80", "./hello"); status != 0 {
		t.Errorf("status %d, %q", status, stderr)
	}
	out, stderr, status := c.run("", "run", "--dry-run", "-p", "127.0.0.1:0:80", "-p", "0:53/udp", "--mac", "52:54:00:00:00:01", "./hello")
	if ok, _ := regexp.MatchString("-netdev user,id=net0,hostfwd=tcp:127.0.0.1:[1-9][0-9]*-10.0.2.15:80,hostfwd=udp:0.0.0.0:[1-9][0-9]*-10.0.2.15:53 "+
		"-device virtio-net-device,netdev=net0,mac=52:54:00:00:00:01\n$", out); !ok || status != 0 {
		t.Errorf("status %d, %q, %q", status, stderr, out)
	}
	if out, _, _ = c.run("", "run", "--dry-run", "--network", "none", "./hello"); strings.Contains(out, "-net") {
		t.Errorf("a network that was not wanted: %s", out)
	}
}

// testImageNetwork builds an image with a network, and runs it with its own and another.
func testImageNetwork(t *testing.T, c *tool) {
	t.Helper()
	c.write("net.yaml", "program: ./hello\nnetwork: user\nports: ['127.0.0.1:0:80']\n", 0o644)
	if _, stderr, status := c.run("", "build", "-o", "net.img", "-f", "net.yaml"); status != 0 {
		t.Fatalf("build: %d, %q", status, stderr)
	}
	if out, _, _ := c.run("", "image", "inspect", "net.img"); !strings.Contains(out, "network   user\nports     127.0.0.1:0:80\n") {
		t.Errorf("image inspect: %s", out)
	}
	for args, want := range map[string]string{"": "-10.0.2.15:80 ", "-p 0:81": "hostfwd=tcp:0.0.0.0:", "--ip 10.0.2.16/24": "-10.0.2.16:80 "} {
		out, stderr, status := c.run("", slices.Concat([]string{"run", "--dry-run"}, strings.Fields(args), []string{"net.img"})...)
		if status != 0 || strings.Count(out, "hostfwd=") != 1 || !strings.Contains(out, want) {
			t.Errorf("%q: %d, %q, %s", args, status, stderr, out)
		}
	}
}
