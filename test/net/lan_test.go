package nettest

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"gosv/test/target"
)

// Addresses in a namespace: ours, and the guest's.
const (
	hostIP   = "10.9.0.1"
	guestIP  = "10.9.0.2"
	hostIP6  = "fd00:9::1"
	guestIP6 = "fd00:9::2"
)

// newTap makes a tap interface for a guest, without addresses.
func newTap(t testing.TB, name string) string {
	t.Helper()
	needNamespace(t)
	f, err := os.OpenFile("/dev/net/tun", os.O_RDWR, 0)
	if err != nil {
		lacks(t, "needs tap interfaces: "+err.Error())
	}
	f.Close()
	run(t, "ip", "tuntap", "add", "dev", name, "mode", "tap")
	t.Cleanup(func() { run(t, "ip", "link", "del", name) })
	run(t, "ip", "link", "set", name, "addrgenmode", "none")
	run(t, "ip", "link", "set", name, "up")
	return name
}

// newLAN makes a tap interface for a guest, with our addresses on it.
func newLAN(t testing.TB) (tap string) {
	t.Helper()
	tap = newTap(t, "tap0")
	address(t, tap)
	return tap
}

// address gives our addresses to an interface.
func address(t testing.TB, name string) {
	t.Helper()
	run(t, "ip", "addr", "add", hostIP+"/24", "dev", name)
	run(t, "ip", "-6", "addr", "add", hostIP6+"/64", "dev", name, "nodad")
	run(t, "ip", "-6", "addr", "add", "fe80::1/64", "dev", name, "nodad") // what routers advertise from
}

// onTap starts a server in a guest that configures its interface by itself.
func onTap(t testing.TB, s server, tap string, up func(string) error) *running {
	t.Helper()
	s.up = up
	return start(t, s, guestCommand(t, s, []string{"--network", "tap=" + tap, "--ip", "dhcp"}), "")
}

// get gives the body of a URL.
func get(t testing.TB, c *http.Client, url string) string {
	t.Helper()
	resp, err := c.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != 200 {
		t.Fatalf("%s: status %d, %q, %v", url, resp.StatusCode, b, err)
	}
	return string(b)
}

var acknowledged = regexp.MustCompile(`DHCPACK\(tap0\) (10\.9\.0\.\d+)`)

// TestDHCP has dnsmasq configure a guest, and the guest renew its lease.
func TestDHCP(t *testing.T) {
	tap := newLAN(t)
	server := goServer(t, webPort)
	// Renewal after four seconds: a lease itself lasts two minutes at least.
	d := dnsmasq(t, "--port=53", "--interface="+tap, "--bind-interfaces", "--except-interface=lo", "--address=/www.gosv.test/192.0.2.7", "--domain=gosv.test", "--log-dhcp",
		"--dhcp-authoritative", "--dhcp-range=10.9.0.50,10.9.0.60,255.255.255.0,2m", "--dhcp-option-force=58,4", "--dhcp-option-force=59,60",
		"--dhcp-option=3,"+hostIP, "--dhcp-option=6,"+hostIP)
	lease := func() (addr string, times int) {
		found := acknowledged.FindAllStringSubmatch(d.out.String(), -1)
		if len(found) == 0 {
			return "", 0
		}
		return found[len(found)-1][1], len(found)
	}
	r := onTap(t, server, tap, func(string) error {
		addr, n := lease()
		if n == 0 {
			return errors.New("no lease")
		}
		return servesHTTP(webPort)(addr)
	})
	r.host, _ = lease()
	c := client(t)
	if got := get(t, c, r.url(webPort, "/addresses")); !strings.Contains(got, r.host+"/24") {
		t.Errorf("addresses %s, want %s/24", got, r.host)
	}
	if got := get(t, c, r.url(webPort, "/file?name=/etc/resolv.conf")); !strings.Contains(got, "nameserver "+hostIP+"\n") || !strings.Contains(got, "gosv.test") {
		t.Errorf("resolv.conf: %q", got)
	}
	if got := get(t, c, r.url(webPort, "/lookup?name=www.gosv.test")); got != "[192.0.2.7] <nil>\n" {
		t.Errorf("look-up: %q", got)
	}
	_, before := lease()
	time.Sleep(load(14*time.Second, 150*time.Second))
	addr, after := lease()
	t.Logf("%d leases at the start, then %d", before, after)
	if addr != r.host || after < before+2 {
		t.Errorf("lease of %s, %d times, then of %s, %d times", r.host, before, addr, after)
	}
	if got := get(t, c, r.url(webPort, "/port")); got != "28080" {
		t.Errorf("after renewal: %q", got)
	}
	if t.Failed() {
		t.Log(last(d.out.String(), 3000))
	}
}

// TestIPv6Autoconfiguration has dnsmasq advertise a prefix, for addresses that
// the guest makes, and lease others.
func TestIPv6Autoconfiguration(t *testing.T) {
	for _, c := range []struct{ name, mode, like string }{{"slaac", "slaac", `fd00:9::[0-9a-f:]*ff:fe[0-9a-f:]+/64`}, {"dhcpv6", "64", `fd00:9::1[0-9a-f]{2}/128`}} {
		t.Run(c.name, func(t *testing.T) {
			tap := newLAN(t)
			d := dnsmasq(t, "--port=53", "--interface="+tap, "--bind-interfaces", "--except-interface=lo", "--log-dhcp", "--dhcp-authoritative", "--enable-ra",
				"--dhcp-range=10.9.0.50,10.9.0.50,255.255.255.0,2m", "--dhcp-range=fd00:9::100,fd00:9::1ff,"+c.mode+",2m")
			r := onTap(t, goServer(t, webPort), tap, func(string) error { return servesHTTP(webPort)("10.9.0.50") })
			r.host = "10.9.0.50"
			h := client(t)
			like := regexp.MustCompile(c.like)
			var got, addr string
			for until := time.Now().Add(20 * time.Second); time.Now().Before(until) && addr == ""; time.Sleep(200 * time.Millisecond) {
				got = get(t, h, r.url(webPort, "/addresses"))
				addr, _, _ = strings.Cut(like.FindString(got), "/")
			}
			if addr == "" {
				t.Fatalf("addresses %s\n%s", got, last(d.out.String(), 3000))
			}
			r.host = addr
			if got := get(t, h, r.url(webPort, "/port")); got != "28080" {
				t.Errorf("over %s: %q", addr, got)
			}
		})
	}
}

// TestFamilies does the same over IPv4 and IPv6.
func TestFamilies(t *testing.T) {
	installed(t, "/usr/bin/redis-server", "/usr/bin/redis-benchmark")
	tap := newLAN(t)
	r := inLAN(t, goServer(t, webPort), tap)
	for _, host := range []string{guestIP, guestIP6} {
		t.Run(host, func(t *testing.T) { r.host = host; conversation(t, r, load(20<<20, 200<<20)) })
	}
	r.stop()
	r = inLAN(t, redis(target.Machine{}), tap)
	for _, host := range []string{guestIP, guestIP6} {
		out := strings.ReplaceAll(run(t, "redis-benchmark", "-h", host, "-p", "26379", "-q", "-c", "20", "-n", fmt.Sprint(load(3000, 50000)), "-t", "set,get"), "\r", "\n")
		t.Logf("%s: %s", host, strings.Join(perSecond.FindAllString(out, -1), ", "))
	}
	r.alive()
}

// conversation moves data in all the ways that the Go server knows, and wants it intact.
func conversation(t *testing.T, r *running, size int) {
	t.Helper()
	c := client(t)
	began := time.Now()
	resp, err := c.Get(r.url(webPort, fmt.Sprintf("/bytes?n=%d", size)))
	if err != nil {
		t.Fatal(err)
	}
	h := sha256.New()
	n, err := io.Copy(h, resp.Body)
	resp.Body.Close()
	if err != nil || n != int64(size) || fmt.Sprintf("%x", h.Sum(nil)) != resp.Trailer.Get("Sum") {
		t.Errorf("download: %d bytes of %d, %v, or they differ", n, size, err)
	}
	t.Logf("%d bytes from the guest in %v", size, time.Since(began).Round(time.Millisecond))
	body := bytes.Repeat([]byte("0123456789abcdef-"), size/17)
	began = time.Now()
	resp, err = c.Post("https://"+r.at(webPort+tlsAfter)+"/sum", "", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(resp.Body)
	resp.Body.Close()
	if err != nil || string(got) != fmt.Sprintf("%x", sha256.Sum256(body)) {
		t.Errorf("upload: %q %v, or it differs", got, err)
	}
	t.Logf("%d bytes to the guest over TLS in %v", len(body), time.Since(began).Round(time.Millisecond))
	posts(t, r.url(webPort, "/sum"), 8, 40)
	// Datagrams, with those that IP takes apart.
	u, err := net.Dial("udp", r.at(webPort+echoAfter))
	if err != nil {
		t.Fatal(err)
	}
	defer u.Close()
	for _, size := range []int{1, 512, 1400, 4000, 20000} {
		message, back := bytes.Repeat([]byte{byte(size)}, size), make([]byte, 65536)
		for i := 1; ; i++ { // datagrams may be lost
			u.SetDeadline(time.Now().Add(time.Second)) //nolint:errcheck // the read fails then
			u.Write(message)                           //nolint:errcheck // the same
			n, err := u.Read(back)
			if err == nil && n == size {
				if !bytes.Equal(back[:n], message) {
					t.Errorf("a datagram of %d bytes came back different", size)
				}
				break
			}
			if i == 20 {
				t.Errorf("a datagram of %d bytes: %d bytes, %v", size, n, err)
				break
			}
		}
	}
}

// TestBadWire has packets lost, doubled and in another order.
func TestBadWire(t *testing.T) {
	for _, k := range []struct {
		name string
		make func(testing.TB) string
	}{
		{"relay", func(t testing.TB) string {
			far := newTap(t, "tap0")
			address(t, newWire(t, far, "tap1", wire{loss: 0.02, duplicate: 0.02, reorder: 0.03, seed: 1}))
			return far
		}},
		{"netem", func(t testing.TB) string {
			if load(true, false) {
				t.Skip("only the relay loses packets here: tc netem needs a second machine, and the package of its kernel; GOSV_TEST_FULL=1 make net runs it")
			}
			return newNetem(t)
		}},
	} {
		t.Run(k.name, func(t *testing.T) {
			tap := k.make(t)
			r := inLAN(t, goServer(t, webPort), tap)
			for _, host := range []string{guestIP, guestIP6} {
				t.Run(host, func(t *testing.T) { r.host = host; conversation(t, r, load(2<<20, 50<<20)) })
			}
			r.alive()
		})
	}
}

// TestAddressGoes takes an interface's address away under a connection: what comes for it is not received until the address is
// back. Raw sockets see the segments of connections that are open already.
func TestAddressGoes(t *testing.T) {
	installed(t, "/usr/bin/python3", "/usr/sbin/ip")
	tap := newLAN(t)
	for _, c := range []struct{ name, guest, host string }{{"IPv4", guestIP + "/24", hostIP}, {"IPv6", guestIP6 + "/64", hostIP6}} {
		t.Run(c.name, func(t *testing.T) {
			l, err := net.Listen("tcp", net.JoinHostPort(c.host, "0"))
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			go answerLines(l)
			flags := []string{"--kernel", target.Kernel(t), "--network", "tap=" + tap, "--ip", c.guest, "-v", script("py/address.py") + ":/address.py",
				"-v", "/usr/sbin/ip:/usr/sbin/ip"}
			got := target.Run(t, target.Machine{Memory: 256}, limit, "", flags, "/usr/bin/python3", "/address.py", "eth0", c.guest, c.host,
				fmt.Sprint(l.Addr().(*net.TCPAddr).Port))
			want := "b'one\\n'\nb'two\\n'\nb'three\\n'\nraw b'with a raw socket\\n' True\nb'without\\n'\n" +
				"nothing comes without an address\nagain b'slowly\\n'\nb'end\\n'\n"
			if string(got.Stdout) != want || got.Status != 0 {
				t.Errorf("status %d, %s%s", got.Status, got.Stdout, got.Stderr)
			}
		})
	}
}

// answerLines gives lines back.
func answerLines(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer c.Close()
			for lines := bufio.NewReader(c); ; {
				line, err := lines.ReadString('\n')
				if err != nil {
					return
				}
				if strings.HasPrefix(line, "slowly") {
					time.Sleep(4 * time.Second) // the client has something to do meanwhile
				}
				io.WriteString(c, line) //nolint:errcheck // the client notices
			}
		}()
	}
}
