package nettest

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"gosv/test/target"
)

const (
	webPort  = 28080
	tlsPort  = 28443
	bigBytes = 100 << 20

	mediumBytes = 20 << 20
)

// large is the file of the site that servers give beside small ones: in CI the big one is fetched once.
func large() string { return load("/medium", "/big") }

// nodeModules is where Debian keeps the modules of node.
const nodeModules = "/usr/share/nodejs"

// site makes a folder with what the web servers serve: index.html, a big file,
// a hundred small ones, a certificate. It is the same for all tests.
var site = sync.OnceValues(func() (dir string, err error) {
	dir = filepath.Join(target.Root(), "build/test/site")
	files := map[string][]byte{"www/index.html": []byte("<h1>gosv</h1>\n")}
	for i := range 100 {
		files[fmt.Sprintf("www/small/%d.txt", i)] = bytes.Repeat([]byte(fmt.Sprintln(i)), 1+i*13)
	}
	b := make([]byte, bigBytes)
	x := uint64(88172645463325252)
	for i := 0; i+8 <= len(b); i += 8 {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
		for j := range 8 {
			b[i+j] = byte(x >> (8 * j))
		}
	}
	files["www/big"], files["www/medium"] = b, b[:mediumBytes]
	if files["cert.pem"], files["key.pem"], err = certificate(); err != nil {
		return dir, err
	}
	// An image is kept by the times of its files: they stay when they need not change.
	for name, content := range files {
		path := filepath.Join(dir, name)
		if st, err := os.Stat(path); err == nil && (st.Size() == int64(len(content)) || strings.HasSuffix(name, ".pem")) {
			continue
		}
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return dir, err
		}
		if err := os.WriteFile(path, content, 0o644); err != nil {
			return dir, err
		}
	}
	// haproxy wants both in one file.
	cert, _ := os.ReadFile(filepath.Join(dir, "cert.pem"))
	key, _ := os.ReadFile(filepath.Join(dir, "key.pem"))
	return dir, os.WriteFile(filepath.Join(dir, "both.pem"), append(cert, key...), 0o644)
})

// certificate makes one that is its own authority.
func certificate() (cert, key []byte, err error) {
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "gosv"}, DNSNames: []string{"gosv"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(10, 0, 0), IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, c, c, k.Public(), k)
	if err != nil {
		return nil, nil, err
	}
	pkcs, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		return nil, nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs}), nil
}

// webSite gives the folder of the site, and the flags that copy it to the same path of a guest.
func webSite(t testing.TB) (dir string, flags []string) {
	t.Helper()
	dir, err := site()
	if err != nil {
		t.Fatal(err)
	}
	return dir, []string{"-v", dir + ":" + dir + ":ro"}
}

// config writes a server's configuration to where it is on both targets.
func config(t testing.TB, name, text string) (path string, flags []string) {
	t.Helper()
	dir := filepath.Join(target.Root(), "build/test/net")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	path = filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path, []string{"-v", path + ":" + path + ":ro"}
}

// fetch gets a URL and compares its length and SHA-256 with a file's.
func fetch(c *http.Client, url, file string) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	want := sha256.New()
	n, err := io.Copy(want, f)
	if err != nil {
		return err
	}
	resp, err := c.Get(url)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	got := sha256.New()
	m, err := io.Copy(got, resp.Body)
	if err != nil {
		return fmt.Errorf("%s: after %d bytes of %d: %w", url, m, n, err)
	}
	if resp.StatusCode != 200 || m != n || !bytes.Equal(got.Sum(nil), want.Sum(nil)) {
		return fmt.Errorf("%s: status %d, %d bytes of %d, or they differ", url, resp.StatusCode, m, n)
	}
	return nil
}

// small fetches the hundred small files in parallel, over and over.
func small(t *testing.T, base, dir string, workers, n int) {
	t.Helper()
	c := client(t)
	if err := parallel(workers, n, func(i int) error {
		name := fmt.Sprintf("small/%d.txt", i%100)
		return fetch(c, base+"/"+name, filepath.Join(dir, "www", name))
	}); err != nil {
		t.Error(err)
	}
}

var wrkTrouble = regexp.MustCompile(`(?m)^\s*(Socket errors:.*|Non-2xx.*)$`)

// wrk loads a URL, for seconds; no request may fail.
func wrk(t *testing.T, url string, connections, seconds int) {
	t.Helper()
	out := run(t, "wrk", "-t", "2", "-c", strconv.Itoa(connections), "-d", strconv.Itoa(seconds), "--timeout", "10", "--latency", url)
	t.Logf("%d connections, %d s: %s", connections, seconds, url)
	if bad := wrkTrouble.FindString(out); bad != "" || !strings.Contains(out, "Requests/sec:") {
		t.Errorf("wrk: %s\n%s", bad, out)
		return
	}
	for _, line := range strings.Split(out, "\n") {
		if strings.Contains(line, "Requests/sec") || strings.Contains(line, "99%") {
			t.Log(strings.TrimSpace(line))
		}
	}
}

func nginx(t testing.TB) server {
	dir, flags := webSite(t)
	// Without multi_accept nginx takes one new connection for each round of all others: the last of 200 waits for 20,000 requests.
	path, more := config(t, "nginx.conf", fmt.Sprintf(`
daemon off; master_process off; pid /tmp/gosv-nginx.pid; error_log stderr warn;
events { worker_connections 1000; multi_accept on; }
http {
	access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000;
	client_body_temp_path /tmp/gosv-nginx-body; proxy_temp_path /tmp/gosv-nginx-proxy; fastcgi_temp_path /tmp/gosv-nginx-fastcgi;
	uwsgi_temp_path /tmp/gosv-nginx-uwsgi; scgi_temp_path /tmp/gosv-nginx-scgi;
	server { listen %d; listen [::]:%d; root %s/www; }
	server { listen %d ssl http2; listen [::]:%d ssl http2; ssl_certificate %s/cert.pem; ssl_certificate_key %s/key.pem; root %s/www; }
}`, webPort, webPort, dir, tlsPort, tlsPort, dir, dir, dir))
	return server{argv: []string{"/usr/sbin/nginx", "-c", path}, flags: append(flags, more...), machine: target.Machine{Memory: 512},
		ports: []int{webPort, tlsPort}, up: servesHTTP(webPort)}
}

func TestNginx(t *testing.T) {
	installed(t, "/usr/sbin/nginx", "/usr/bin/curl")
	dir, _ := webSite(t)
	both(t, nginx(t), func(t *testing.T, r *running) {
		c := client(t)
		began := time.Now()
		if err := fetch(c, r.url(webPort, "/big"), dir+"/www/big"); err != nil {
			t.Error(err)
		}
		t.Logf("100 MB in %v", time.Since(began).Round(time.Millisecond))
		began = time.Now()
		if err := fetch(c, "https://"+r.at(tlsPort)+large(), dir+"/www"+large()); err != nil {
			t.Error(err)
		}
		t.Logf("%s over TLS in %v", large(), time.Since(began).Round(time.Millisecond))
		small(t, r.url(webPort, ""), dir, 4, 200)
		small(t, "https://"+r.at(tlsPort), dir, 8, 200)
		// A real client that knows the certificate, and a range.
		got := run(t, "curl", "-sS", "--cacert", dir+"/cert.pem", "--connect-to", "gosv:443:"+r.at(tlsPort), "-r", "0-3,8-11", "-w", "%{http_code} %{http_version}", "https://gosv/index.html")
		if !strings.HasSuffix(got, "206 2") || !strings.Contains(got, "<h1>") {
			t.Errorf("curl: %q", got)
		}
		r.alive()
	})
}

// TestNginxLoad puts nginx under load on a tap.
func TestNginxLoad(t *testing.T) {
	installed(t, "/usr/sbin/nginx", "/usr/bin/wrk")
	r := inLAN(t, nginx(t), newLAN(t))
	wrk(t, r.url(webPort, "/index.html"), 200, load(4, 60))
	wrk(t, "https://"+r.at(tlsPort)+"/index.html", load(20, 200), load(3, 30))
	r.host = guestIP6
	wrk(t, r.url(webPort, "/index.html"), 200, load(3, 60))
	r.alive()
}

func TestLighttpd(t *testing.T) {
	installed(t, "/usr/sbin/lighttpd")
	dir, flags := webSite(t)
	path, more := config(t, "lighttpd.conf", fmt.Sprintf(`
server.document-root = "%s/www"
server.port = %d
server.errorlog = "/dev/stderr"
index-file.names = ("index.html")
mimetype.assign = (".html" => "text/html", ".txt" => "text/plain")
`, dir, webPort))
	s := server{argv: []string{"/usr/sbin/lighttpd", "-D", "-f", path}, flags: append(append(flags, "-v", "/usr/lib/lighttpd:/usr/lib/lighttpd"), more...),
		machine: target.Machine{Memory: 512}, ports: []int{webPort}, up: servesHTTP(webPort)}
	both(t, s, func(t *testing.T, r *running) {
		if err := fetch(client(t), r.url(webPort, large()), dir+"/www"+large()); err != nil {
			t.Error(err)
		}
		small(t, r.url(webPort, ""), dir, 4, load(200, 5000))
		r.alive()
	})
}

// TestHaproxy has haproxy in front of two servers: on this machine all three, and in three guests.
func TestHaproxy(t *testing.T) {
	installed(t, "/usr/sbin/haproxy")
	backends := []int{28091, 28092}
	for _, place := range []struct {
		name, us string
		start    func(testing.TB, server) *running
	}{{"host", "127.0.0.1", onHost}, {"guest", "10.0.2.2", inGuest}} {
		t.Run(place.name, func(t *testing.T) {
			for _, p := range backends {
				s := goServer(t, p)
				s.machine.Memory = 128
				place.start(t, s)
			}
			path, flags := config(t, "haproxy.cfg", fmt.Sprintf(`
global
	nbthread 1
	maxconn 1000
	ssl-server-verify none
defaults
	mode http
	timeout connect 10s
	timeout client 30s
	timeout server 30s
frontend f
	bind *:%d
	default_backend b
backend b
	balance roundrobin
	server s1 %s:%d check
	server s2 %s:%d check
`, webPort, place.us, backends[0], place.us, backends[1]))
			r := place.start(t, server{argv: []string{"/usr/sbin/haproxy", "-db", "-f", path}, flags: flags, ports: []int{webPort}, up: servesHTTP(webPort)})
			c := client(t)
			var lock sync.Mutex
			seen := map[string]int{}
			n := load(100, 5000)
			if err := parallel(4, n, func(i int) error {
				resp, err := c.Get(r.url(webPort, "/port"))
				if err != nil {
					return err
				}
				defer resp.Body.Close()
				b, err := io.ReadAll(resp.Body)
				if err != nil || resp.StatusCode != 200 {
					return fmt.Errorf("status %d: %q %w", resp.StatusCode, b, err)
				}
				lock.Lock()
				seen[string(b)]++
				lock.Unlock()
				return nil
			}); err != nil {
				t.Error(err)
			}
			if len(seen) != 2 || seen["28091"] < n/4 || seen["28092"] < n/4 {
				t.Errorf("answers from %v", seen)
			}
			r.alive()
		})
	}
}

// script is the path of a program that an interpreter runs.
func script(name string) string { return filepath.Join(target.Root(), "test/guest", name) }

func TestPython(t *testing.T) {
	installed(t, "/usr/bin/python3")
	dir, flags := webSite(t)
	port := strconv.Itoa(webPort)
	t.Run("http.server", func(t *testing.T) {
		s := server{argv: []string{"/usr/bin/python3", "-m", "http.server", "--directory", dir + "/www", port}, flags: flags,
			machine: target.Machine{Memory: 512}, ports: []int{webPort}, up: servesHTTP(webPort)}
		both(t, s, func(t *testing.T, r *running) {
			if err := fetch(client(t), r.url(webPort, large()), dir+"/www"+large()); err != nil {
				t.Error(err)
			}
			small(t, r.url(webPort, ""), dir, 2, 40)
		})
	})
	for _, name := range []string{"threaded", "flask"} {
		t.Run(name, func(t *testing.T) {
			if name == "flask" {
				installed(t, "/usr/lib/python3/dist-packages/flask")
			}
			path := script("py/" + name + ".py")
			s := server{argv: []string{"/usr/bin/python3", path, port}, flags: []string{"-v", path + ":" + path}, ports: []int{webPort},
				machine: target.Machine{Memory: 256, CPUs: 2}, up: servesHTTP(webPort)}
			both(t, s, func(t *testing.T, r *running) { posts(t, r.url(webPort, "/"), 8, load(80, 4000)) })
		})
	}
}

// posts sends bodies to a server that answers with their SHA-256.
func posts(t *testing.T, url string, workers, n int) {
	t.Helper()
	c := client(t)
	if err := parallel(workers, n, func(i int) error {
		body := bytes.Repeat([]byte{byte(i)}, (i*7919)%100000)
		resp, err := c.Post(url, "application/octet-stream", bytes.NewReader(body))
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		got, err := io.ReadAll(resp.Body)
		if err != nil || strings.TrimSpace(string(got)) != fmt.Sprintf("%x", sha256.Sum256(body)) {
			return fmt.Errorf("answer %d is wrong: %q %w", i, last(string(got), 100), err)
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
}

func TestNode(t *testing.T) {
	installed(t, "/usr/bin/node", nodeModules+"/ws")
	path := script("js/server.js")
	s := server{argv: []string{"/usr/bin/node", path, strconv.Itoa(webPort)}, env: []string{"NODE_PATH=" + nodeModules},
		flags: []string{"-v", path + ":" + path, "-v", nodeModules + ":" + nodeModules}, ports: []int{webPort},
		machine: target.Machine{Memory: 512, CPUs: 2}, up: servesHTTP(webPort)}
	both(t, s, func(t *testing.T, r *running) {
		posts(t, r.url(webPort, "/"), 8, load(80, 4000))
		out := run(t, "node", script("js/client.js"), "ws://"+r.at(webPort)+"/", strconv.Itoa(load(10, 100)), "50")
		if !strings.HasSuffix(out, "all came back\n") {
			t.Errorf("WebSockets: %s", out)
		}
	})
}

// goServer is the server of test/guest/go/server: HTTP/1.1 at a port, HTTP/2
// over TLS at the next but one hundred, echoes over TCP and UDP at further ones.
func goServer(t testing.TB, port int) server {
	return server{argv: []string{target.Build(t, target.Program{Source: "go/server", Linking: target.Go}), strconv.Itoa(port)},
		ports: []int{port, port + tlsAfter, port + echoAfter}, udp: []int{port + echoAfter}, machine: target.Machine{CPUs: 2}, up: servesHTTP(port)}
}

// The further ports of the Go server.
const (
	tlsAfter  = 100
	echoAfter = 200
)

func TestGo(t *testing.T) {
	both(t, goServer(t, webPort), func(t *testing.T, r *running) {
		base := "https://" + r.at(webPort+tlsAfter)
		resp, err := client(t).Get(base + "/port")
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.Proto != "HTTP/2.0" {
			t.Errorf("protocol %s", resp.Proto)
		}
		posts(t, base+"/sum", 32, load(200, 10000))
		posts(t, r.url(webPort, "/sum"), 8, load(80, 4000))
	})
}

// TestCompiled has file servers of C++ and Rust, on epoll and on threads.
func TestCompiled(t *testing.T) {
	dir, flags := webSite(t)
	for _, p := range []target.Program{{Source: "cxx/web.cc", Linking: target.Cxx}, {Source: "cxx/web.cc", Linking: target.CxxStatic}, {Source: "rs/web.rs", Linking: target.RustStatic}} {
		t.Run(string(p.Linking), func(t *testing.T) {
			if p.Linking == target.RustStatic {
				installed(t, "/usr/bin/rustc")
			}
			s := server{argv: []string{target.Build(t, p), strconv.Itoa(webPort), dir + "/www"},
				flags: flags, machine: target.Machine{Memory: 512, CPUs: 2}, ports: []int{webPort}, up: servesHTTP(webPort)}
			both(t, s, func(t *testing.T, r *running) {
				if err := fetch(client(t), r.url(webPort, large()), dir+"/www"+large()); err != nil {
					t.Error(err)
				}
				small(t, r.url(webPort, ""), dir, 8, load(200, 5000))
			})
		})
	}
}
