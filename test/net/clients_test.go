package nettest

import (
	"crypto/sha256"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"gosv/test/target"
)

// serveSite serves the site and what is sent to /sum, at an address, over TLS if wanted.
func serveSite(t testing.TB, at string, secure bool) {
	t.Helper()
	dir, _ := webSite(t)
	mux := http.NewServeMux()
	mux.Handle("/", http.FileServer(http.Dir(dir+"/www")))
	mux.HandleFunc("/sum", func(w http.ResponseWriter, r *http.Request) {
		h := sha256.New()
		n, err := io.Copy(h, r.Body)
		fmt.Fprintf(w, "%d %x %v\n", n, h.Sum(nil), err)
	})
	l, err := net.Listen("tcp", at)
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: mux}
	t.Cleanup(func() { s.Close() })
	go func() {
		if secure {
			s.ServeTLS(l, dir+"/cert.pem", dir+"/key.pem") //nolint:errcheck // ends with Close
		} else {
			s.Serve(l) //nolint:errcheck // ends with Close
		}
	}()
}

const dnsPort = 25353

// dnsmasq starts one in the foreground, and waits until it says that it has started.
func dnsmasq(t testing.TB, args ...string) *running {
	t.Helper()
	installed(t, "/usr/sbin/dnsmasq")
	dir := t.TempDir()
	r := &running{}
	s := server{argv: append([]string{"/usr/sbin/dnsmasq", "--keep-in-foreground", "--log-facility=-", "--conf-file=/dev/null", "--no-hosts", "--no-resolv",
		"--user=root", "--group=root", "--no-ping", "--pid-file=", "--dhcp-leasefile=" + filepath.Join(dir, "leases")}, args...)}
	s.up = func(string) error {
		if !strings.Contains(r.out.String(), "started") {
			return errStatus
		}
		return nil
	}
	cmd := exec.Command(s.argv[0], s.argv[1:]...)
	startInto(t, r, s, cmd, "127.0.0.1")
	return r
}

// TestClients runs programs that fetch, on this machine and in a guest, and compares what they print.
func TestClients(t *testing.T) {
	installed(t, "/usr/bin/curl", "/usr/bin/wget", "/usr/bin/dig", "/usr/bin/python3")
	needNamespace(t)
	dir, flags := webSite(t)
	serveSite(t, "127.0.0.1:"+strconv.Itoa(webPort), false)
	serveSite(t, "127.0.0.1:"+strconv.Itoa(tlsPort), true)
	dnsmasq(t, "--port="+strconv.Itoa(dnsPort), "--listen-address=127.0.0.1", "--bind-interfaces", "--address=/gosv.test/192.0.2.7", "--address=/gosv.test/2001:db8::7",
		"--txt-record=text.test,"+strings.Repeat("x", 200), "--mx-host=mail.test,mx.mail.test,5")
	upload := filepath.Join(dir, "www/small/99.txt")
	for _, c := range []struct {
		name string
		argv []string // HOST stands for our address
	}{
		{"curl", []string{"/usr/bin/curl", "-sS", "http://HOST:28080/small/5.txt"}},
		{"curl-big", []string{"/usr/bin/curl", "-sS", "-o", "/dev/null", "-w", "%{http_code} %{size_download} %{num_connects}", "http://HOST:28080/big"}},
		{"curl-upload", []string{"/usr/bin/curl", "-sS", "-T", upload, "http://HOST:28080/sum"}},
		{"curl-tls", []string{"/usr/bin/curl", "-sS", "--cacert", dir + "/cert.pem", "--connect-to", "gosv:443:HOST:28443", "-w", "%{http_code} %{http_version} %{ssl_verify_result}", "https://gosv/small/7.txt"}},
		{"curl-refused", []string{"/usr/bin/curl", "-s", "-w", "%{exitcode} %{http_code}", "http://HOST:1/"}},
		{"curl-parallel", []string{"/usr/bin/curl", "-sS", "-Z", "--parallel-max", "10", "-w", "%{http_code} %{size_download}\n", "-o", "/dev/null", "http://HOST:28080/small/[50-50].txt", "-o", "/dev/null", "http://HOST:28080/small/50.txt"}},
		{"wget", []string{"/usr/bin/wget", "-q", "-O", "-", "http://HOST:28080/small/42.txt"}},
		{"wget-tls", []string{"/usr/bin/wget", "-q", "--no-check-certificate", "-O", "-", "https://HOST:28443/small/42.txt"}},
		{"wget-404", []string{"/usr/bin/wget", "-q", "-O", "-", "http://HOST:28080/none"}},
		{"dig", []string{"/usr/bin/dig", "+short", "-p", strconv.Itoa(dnsPort), "@HOST", "www.gosv.test", "A", "www.gosv.test", "AAAA", "mail.test", "MX"}},
		{"dig-tcp", []string{"/usr/bin/dig", "+short", "+tcp", "-p", strconv.Itoa(dnsPort), "@HOST", "text.test", "TXT"}},
		{"python", []string{"/usr/bin/python3", "-c", `
import urllib.request, hashlib, socket, concurrent.futures
with concurrent.futures.ThreadPoolExecutor(8) as pool:
    for n in pool.map(lambda i: len(urllib.request.urlopen("http://HOST:28080/small/%d.txt" % i).read()), range(40)): print(n)
print(hashlib.sha256(urllib.request.urlopen("http://HOST:28080/big").read(5 << 20)).hexdigest())
s = socket.create_connection(("HOST", 28080)); s.settimeout(0.2)
try: s.recv(1)
except TimeoutError as e: print(repr(e))
try: socket.create_connection(("HOST", 1), 20)
except OSError as e: print(repr(e))
`}},
	} {
		t.Run(c.name, func(t *testing.T) {
			argv := func(host string) (out []string) {
				for _, a := range c.argv {
					out = append(out, strings.ReplaceAll(a, "HOST", host))
				}
				return out
			}
			host := target.Host(t, limit, "", argv("127.0.0.1")...)
			guest := target.Run(t, target.Machine{Memory: 256}, limit, "", append([]string{"--kernel", target.Kernel(t)}, flagsFor(c.argv, dir, flags)...), argv("10.0.2.2")...)
			target.Same(t, host, guest)
		})
	}
}

// flagsFor leaves the site out of images whose program does not read it.
func flagsFor(argv []string, dir string, flags []string) []string {
	for _, a := range argv {
		if a == dir+"/cert.pem" {
			return []string{"-v", a + ":" + a}
		}
		if strings.HasPrefix(a, dir) {
			return []string{"-v", a + ":" + a}
		}
	}
	return nil
}

// TestNames has a guest look up names at the server that it is given.
func TestNames(t *testing.T) {
	installed(t, "/usr/bin/curl")
	tap := newLAN(t)
	serveSite(t, hostIP+":80", false)
	dnsmasq(t, "--port=53", "--listen-address="+hostIP, "--bind-interfaces", "--address=/www.gosv.test/"+hostIP, "--address=/nowhere.test/")
	network := []string{"--kernel", target.Kernel(t), "--network", "tap=" + tap, "--ip", guestIP + "/24," + hostIP, "--dns", hostIP}
	r := target.Run(t, target.Machine{}, limit, "", network, "/usr/bin/curl", "-sS", "http://www.gosv.test/small/3.txt")
	want, _ := os.ReadFile(filepath.Join(target.Root(), "build/test/site/www/small/3.txt"))
	if string(r.Stdout) != string(want) || r.Status != 0 || r.Trouble != "" {
		t.Errorf("curl: status %d, %q %s %s", r.Status, r.Stdout, r.Stderr, r.Trouble)
	}
	r = target.Run(t, target.Machine{}, limit, "", network, "/usr/bin/curl", "-sS", "http://nowhere.test/")
	if r.Status != 6 { // curl's: could not resolve host
		t.Errorf("a name that does not exist: status %d, %s %s", r.Status, r.Stderr, r.Trouble)
	}
}

// TestNeighbours has a guest find others on its network, by both protocols, after it has received data: packets that ask
// for them have no traces of that.
func TestNeighbours(t *testing.T) {
	installed(t, "/usr/bin/curl")
	tap := newLAN(t)
	serveSite(t, ":80", false)
	argv := []string{"/usr/bin/curl", "-sS", "--connect-timeout", "20"}
	want := ""
	for i := range 8 {
		four, six := fmt.Sprintf("10.9.0.%d", 100+i), fmt.Sprintf("fd00:9::%d", 100+i)
		run(t, "ip", "addr", "add", four+"/24", "dev", tap)
		run(t, "ip", "-6", "addr", "add", six+"/64", "dev", tap, "nodad")
		argv = append(argv, fmt.Sprintf("http://%s/small/%d.txt", four, 90+i), fmt.Sprintf("http://[%s]/small/%d.txt", six, i))
		want += strings.Repeat(fmt.Sprintln(90+i), 1+(90+i)*13) + strings.Repeat(fmt.Sprintln(i), 1+i*13)
	}
	r := target.Run(t, target.Machine{}, limit, "", []string{"--kernel", target.Kernel(t), "--network", "tap=" + tap, "--ip", guestIP + "/24", "--ip", guestIP6 + "/64"}, argv...)
	if string(r.Stdout) != want || r.Status != 0 || r.Trouble != "" {
		t.Errorf("status %d, %d bytes of %d: %s %s", r.Status, len(r.Stdout), len(want), r.Stderr, r.Trouble)
	}
}

const iperfPort = 25201

// TestIperf measures both directions, and UDP, on a tap.
func TestIperf(t *testing.T) {
	installed(t, "/usr/bin/iperf3")
	tap := newLAN(t)
	r := &running{}
	s := server{argv: []string{"/usr/bin/iperf3", "-s", "-p", strconv.Itoa(iperfPort), "--forceflush"}, machine: target.Machine{CPUs: 2, Memory: 256}}
	s.up = func(string) error {
		if !strings.Contains(r.out.String(), "Server listening") {
			return errStatus
		}
		return nil
	}
	startInto(t, r, s, guestCommand(t, s, []string{"--network", "tap=" + tap, "--ip", guestIP + "/24", "--ip", guestIP6 + "/64"}), guestIP)
	seconds, tests := strconv.Itoa(load(2, 30)), 0
	for _, c := range []struct {
		name string
		args []string
	}{
		{"to-guest", nil}, {"from-guest", []string{"-R"}}, {"both-ways", []string{"--bidir"}}, {"4-streams", []string{"-P", "4"}},
		{"udp", []string{"-u", "-b", "50M"}}, {"udp-from-guest", []string{"-u", "-R", "-b", "50M"}},
		{"ipv6-to-guest", []string{"-6"}}, {"ipv6-from-guest", []string{"-6", "-R"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			// It listens anew for each test, and resets who came in between.
			tests++
			for until := time.Now().Add(limit); strings.Count(r.out.String(), "Server listening") < tests && time.Now().Before(until); {
				time.Sleep(20 * time.Millisecond)
			}
			r.host = guestIP
			if len(c.args) > 0 && c.args[0] == "-6" {
				r.host = guestIP6
			}
			out := run(t, append([]string{"iperf3", "-c", r.host, "-p", strconv.Itoa(iperfPort), "-t", seconds, "-f", "m"}, c.args...)...)
			if !strings.Contains(out, "iperf Done") {
				t.Errorf("iperf3:\n%s", out)
			}
			for _, line := range strings.Split(out, "\n") {
				if !strings.Contains(line, "receiver") {
					continue
				}
				t.Log(line)
				if strings.Contains(line, " 0.00 Bytes ") {
					t.Errorf("nothing came:\n%s", out)
				}
			}
		})
	}
	r.alive()
}

// connect opens a connection that is reset when it is closed.
func connect(at string) (*net.TCPConn, error) {
	c, err := net.DialTimeout("tcp", at, limit)
	if err != nil {
		return nil, err
	}
	tcp := c.(*net.TCPConn)
	tcp.SetLinger(0) //nolint:errcheck // a reset, then, is a plain close
	return tcp, tcp.SetDeadline(time.Now().Add(target.Patience(limit)))
}
