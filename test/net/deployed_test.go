package nettest

import (
	"bufio"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"gosv/test/target"
)

// deployed is a server that people deploy, as its package brings it.
type deployed struct {
	name  string
	needs []string // files of this machine
	files map[string]string
	argv  []string // {} is the folder with the files
	flags []string // of gosv run, likewise
	port  int
	tcp   string // what is said to find out whether it is up
	udp   bool
	cpus  int
	mem   int64
	end   int // status after SIGTERM
	check func(t *testing.T, r *running, dir string)
}

// TestDeployed runs servers that no other test runs, each with what gosv run copies for it and with what its package
// configures, where that serves. Most of them start processes. With full loads only: the packages are large.
func TestDeployed(t *testing.T) {
	if !full {
		t.Skip("these servers are not run here: their packages are large; make apps runs them (GOSV_TEST_FULL=1)")
	}
	needNamespace(t) // ports below 1024
	const httpGet = "GET / HTTP/1.0\r\nHost: gosv\r\n\r\n"
	for _, d := range []deployed{
		{
			name: "apache", needs: []string{"/usr/sbin/apachectl"}, argv: []string{"apachectl", "-DFOREGROUND"}, port: 80, tcp: httpGet,
			files: map[string]string{"page.html": "<p>gosv</p>\n"}, flags: []string{"-v", "{}/page.html:/var/www/html/page.html"}, end: 143,
			check: func(t *testing.T, r *running, _ string) { requests(t, r.url(80, "/page.html"), "<p>gosv</p>\n", 500) },
		}, {
			name: "bind", needs: []string{"/usr/sbin/named"}, argv: []string{"named", "-g", "-c", "{}/named.conf"}, port: 53, udp: true, cpus: 2,
			files: map[string]string{
				"named.conf": "options { listen-on { any; }; recursion no; };\nzone \"example.test\" { type master; file \"{}/zone\"; };\n",
				"zone":       "$TTL 60\n@ IN SOA a. b. 1 60 60 60 60\n@ IN NS ns\nns IN A 192.0.2.1\nwww IN A 192.0.2.2\nwww IN AAAA 2001:db8::2\n",
			},
			flags: []string{"-v", "{}:{}"},
			check: func(t *testing.T, r *running, _ string) {
				for _, q := range [][2]string{{"A", "192.0.2.2"}, {"AAAA", "2001:db8::2"}} {
					for _, tcp := range []string{"+notcp", "+tcp"} {
						if out := run(t, "dig", "+short", "+tries=5", "+time=5", tcp, "@"+r.host, "www.example.test", q[0]); strings.TrimSpace(out) != q[1] {
							t.Errorf("%s %s: %q", q[0], tcp, out)
						}
					}
				}
			},
		}, {
			name: "etcd", needs: []string{"/usr/bin/etcd"}, port: 2379, tcp: "GET /health HTTP/1.0\r\n\r\n", cpus: 2,
			argv: []string{"etcd", "--data-dir", "/tmp/etcd", "--listen-client-urls", "http://0.0.0.0:2379", "--advertise-client-urls", "http://127.0.0.1:2379"},
			check: func(t *testing.T, r *running, _ string) {
				b64 := func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }
				err := parallel(4, 200, func(i int) error {
					key := b64(fmt.Sprint("key", i))
					if _, err := posted(r.url(2379, "/v3/kv/put"), fmt.Sprintf(`{"key":%q,"value":%q}`, key, b64(fmt.Sprint(i*i)))); err != nil {
						return err
					}
					out, err := posted(r.url(2379, "/v3/kv/range"), fmt.Sprintf(`{"key":%q}`, key))
					if err == nil && !strings.Contains(out, strconv.Quote(b64(fmt.Sprint(i*i)))) {
						err = fmt.Errorf("key %d: %s", i, out)
					}
					return err
				})
				if err != nil {
					t.Error(err)
				}
			},
		}, {
			name: "gunicorn", needs: []string{"/usr/bin/gunicorn"}, port: 8000, tcp: httpGet, cpus: 2,
			files: map[string]string{"app.py": "def app(env, start):\n    n = len(env['wsgi.input'].read())\n    start('200 OK', [('Content-Type', 'text/plain')])\n    return [b'%d bytes' % n]\n"},
			argv:  []string{"gunicorn", "-w", "2", "--threads", "4", "-b", "0.0.0.0:8000", "app:app"}, flags: []string{"-v", "{}:{}", "-w", "{}"},
			check: func(t *testing.T, r *running, _ string) {
				err := parallel(8, 400, func(i int) error {
					out, err := posted(r.url(8000, "/"), strings.Repeat("x", i*37))
					if err == nil && out != fmt.Sprintf("%d bytes", i*37) {
						err = fmt.Errorf("%d bytes posted: %q", i*37, out)
					}
					return err
				})
				if err != nil {
					t.Error(err)
				}
			},
		}, {
			name: "mariadb", needs: []string{"/usr/sbin/mariadbd", "/usr/bin/mariadb"}, port: 3306, tcp: "\x00", cpus: 2, mem: 1024,
			files: map[string]string{
				"run.sh": "#!/bin/sh\nmariadb-install-db --user=root --datadir=/tmp/db --skip-test-db >/tmp/log 2>&1 || { cat /tmp/log; exit 1; }\n" +
					"exec /usr/sbin/mariadbd --user=root --datadir=/tmp/db --bind-address=0.0.0.0 --skip-name-resolve --init-file={}/init.sql\n",
				"init.sql": "grant all on *.* to gosv identified by 'gosv';\ncreate database t;\n",
			},
			argv: []string{"{}/run.sh"}, flags: []string{"-v", "{}/init.sql:{}/init.sql"},
			check: func(t *testing.T, r *running, _ string) {
				sql := func(s string) (string, error) {
					out, err := exec.Command("mariadb", "-h", r.host, "-P", "3306", "-ugosv", "-pgosv", "-N", "t", "-e", s).CombinedOutput()
					if err != nil {
						err = fmt.Errorf("%s: %w: %s", s, err, out)
					}
					return strings.TrimSpace(string(out)), err
				}
				if _, err := sql("create table a(i int primary key, v varchar(200)) engine=innodb; insert into a select seq, repeat('x', 100) from seq_1_to_20000"); err != nil {
					t.Fatal(err)
				}
				err := parallel(8, 80, func(i int) error {
					_, err := sql(fmt.Sprintf("start transaction; update a set v = concat(v, '%d') where i %% 80 = %d; select sleep(0.01); commit", i, i))
					return err
				})
				if err != nil {
					t.Error(err)
				}
				if _, err := sql("start transaction; delete from a; rollback"); err != nil {
					t.Error(err)
				}
				if out, err := sql("select count(*), sum(i), sum(length(v)) from a"); err != nil || out != "20000\t200010000\t2037500" {
					t.Errorf("got %q, %v", out, err)
				}
			},
		}, {
			name: "mosquitto", needs: []string{"/usr/sbin/mosquitto", "/usr/bin/mosquitto_pub"}, port: 1883, tcp: "\x10\x0d\x00\x04MQTT\x04\x02\x00\x3c\x00\x01a",
			files: map[string]string{"conf": "listener 1883\nallow_anonymous true\n"}, argv: []string{"mosquitto", "-c", "{}/conf"},
			check: func(t *testing.T, r *running, _ string) {
				sub := exec.Command("mosquitto_sub", "-h", r.host, "-t", "gosv/#", "-q", "1", "-C", "3", "-W", "30")
				var got strings.Builder
				sub.Stdout = &got
				if err := sub.Start(); err != nil {
					t.Fatal(err)
				}
				for i := range 3 { // retained: it does not matter which of the two is first
					run(t, "mosquitto_pub", "-h", r.host, "-t", fmt.Sprint("gosv/", i), "-q", "1", "-r", "-m", fmt.Sprint("message ", i))
				}
				if err := sub.Wait(); err != nil || strings.Count(got.String(), "message") != 3 {
					t.Errorf("%q, %v", got.String(), err)
				}
			},
		}, {
			name: "nats", needs: []string{"/usr/sbin/nats-server"}, argv: []string{"nats-server"}, port: 4222, tcp: "PING\r\n", cpus: 2, end: 1,
			check: func(t *testing.T, r *running, _ string) {
				c, err := net.DialTimeout("tcp", r.at(4222), limit)
				if err != nil {
					t.Fatal(err)
				}
				defer c.Close()
				c.SetDeadline(time.Now().Add(target.Patience(limit)))
				io.WriteString(c, "CONNECT {\"verbose\":false}\r\nSUB a.* 1\r\n"+strings.Repeat("PUB a.b 5\r\nhello\r\n", 1000))
				in := bufio.NewScanner(c)
				n := 0
				for n < 1000 && in.Scan() {
					if in.Text() == "hello" {
						n++
					}
				}
				if n != 1000 {
					t.Errorf("%d messages, %v", n, in.Err())
				}
			},
		}, {
			name: "php-fpm behind nginx", needs: []string{"/usr/sbin/php-fpm8.2", "/usr/sbin/nginx"}, port: 8080, tcp: httpGet,
			files: map[string]string{
				"run.sh":     "#!/bin/sh\n/usr/sbin/php-fpm8.2 -D -R -y {}/fpm.conf && exec /usr/sbin/nginx -c {}/nginx.conf\n",
				"fpm.conf":   "[global]\nerror_log = /dev/stderr\n[www]\nlisten = /run/php/gosv.sock\nuser = www-data\ngroup = www-data\nlisten.owner = www-data\npm = static\npm.max_children = 3\n",
				"nginx.conf": "daemon off; user www-data; error_log /dev/stderr; events { }\nhttp { access_log off; server { listen 8080; location / { include /etc/nginx/fastcgi_params; fastcgi_param SCRIPT_FILENAME {}/x.php; fastcgi_pass unix:/run/php/gosv.sock; } } }\n",
				"x.php":      "<?php echo posix_geteuid() > 0 ? 'user ' : 'root ', array_sum(range(1, (int)($_GET['n'] ?? 0)));\n",
			},
			argv: []string{"{}/run.sh"}, flags: []string{"-v", "{}:{}"},
			check: func(t *testing.T, r *running, _ string) {
				requests(t, r.url(8080, "/?n=1000"), "user 500500", 200)
			},
		}, {
			name: "prometheus", needs: []string{"/usr/bin/prometheus"}, port: 9090, tcp: "GET /-/ready HTTP/1.0\r\n\r\n", cpus: 2,
			argv: []string{"prometheus", "--config.file={}/conf.yml", "--storage.tsdb.path=/tmp/tsdb", "--web.listen-address=0.0.0.0:9090"},
			// It scrapes itself.
			files: map[string]string{"conf.yml": "global: {scrape_interval: 1s}\nscrape_configs: [{job_name: self, static_configs: [{targets: ['127.0.0.1:9090']}]}]\n"},
			check: func(t *testing.T, r *running, _ string) {
				var out string
				for until := time.Now().Add(limit); time.Now().Before(until); time.Sleep(time.Second) {
					if out, _ = fetched(r.url(9090, "/api/v1/query?query="+url.QueryEscape("count_over_time(up[1m]) > 3"))); strings.Contains(out, `"job":"self"`) {
						return
					}
				}
				t.Errorf("nothing was scraped: %s", out)
			},
		}, {
			name: "sshd", needs: []string{"/usr/sbin/sshd", "/usr/bin/ssh"}, port: 22, tcp: "SSH-2.0-gosv\r\n",
			files: map[string]string{
				// The shell's branch that is not taken says what the image is to have.
				"run.sh": "#!/bin/sh\n[ $# = 0 ] || { bash; cat; sha256sum; seq; ps; stty; id; }\nmkdir -p /run/sshd\nexec /usr/sbin/sshd -D -e -f {}/config\n",
				"config": "HostKey {}/host\nAuthorizedKeysFile {}/key.pub\nStrictModes no\nUsePAM no\nPermitRootLogin yes\n",
			},
			argv: []string{"{}/run.sh"}, flags: []string{"-v", "{}:{}"},
			check: func(t *testing.T, r *running, dir string) {
				ssh := func(stdin string, args ...string) string {
					return runWith(t, stdin, append([]string{"ssh", "-q", "-i", dir + "/key", "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null"}, args...)...)
				}
				want := run(t, "sh", "-c", "seq 200000 | sha256sum")
				if out := ssh("", "root@"+r.host, "seq 200000 | sha256sum"); out != want {
					t.Errorf("got %q, want %q", out, want)
				}
				big := strings.Repeat("0123456789abcde\n", 1<<18)
				if out := ssh(big, "root@"+r.host, "cat"); out != big {
					t.Errorf("4 MiB came back as %d bytes", len(out))
				}
				if out := ssh("", "-tt", "root@"+r.host, "stty size; ps -o tty= -p $$; id -u"); !strings.Contains(out, "pts/0") || !strings.Contains(out, "\n0\r\n") {
					t.Errorf("on a terminal: %q", out)
				}
			},
		}, {
			name: "squid", needs: []string{"/usr/sbin/squid"}, port: 3128, tcp: httpGet, mem: 512,
			files: map[string]string{"conf": "http_port 3128\nhttp_access allow all\npinger_enable off\nshutdown_lifetime 1 second\nlogfile_rotate 0\naccess_log none\n"},
			argv:  []string{"squid", "-N", "-f", "{}/conf"},
			check: func(t *testing.T, r *running, _ string) {
				origin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
					fmt.Fprintf(w, "%s for %s", q.URL.Path, q.Header.Get("Via"))
				}))
				defer origin.Close()
				_, port, _ := net.SplitHostPort(origin.Listener.Addr().String())
				proxy, _ := url.Parse("http://" + r.at(3128))
				c := &http.Client{Transport: &http.Transport{Proxy: http.ProxyURL(proxy)}, Timeout: limit}
				for i := range 100 {
					a, err := c.Get(fmt.Sprintf("http://10.0.2.2:%s/%d", port, i)) // this machine, for a guest on the user network
					if err != nil {
						t.Fatal(err)
					}
					b, _ := io.ReadAll(a.Body)
					a.Body.Close()
					if want := fmt.Sprintf("/%d for 1.1 ", i); !strings.HasPrefix(string(b), want) || !strings.Contains(string(b), "squid") {
						t.Fatalf("got %q, want %q and squid's name", b, want)
					}
				}
			},
		}, {
			name: "varnish", needs: []string{"/usr/sbin/varnishd", "/usr/bin/gcc"}, port: 6081, tcp: httpGet, mem: 1024,
			files: map[string]string{"run.sh": "#!/bin/sh\npython3 -m http.server -d {}/www 8081 &\nexec /usr/sbin/varnishd -F -a :6081 -b 127.0.0.1:8081\n", "www/page": "varnished\n"},
			argv:  []string{"{}/run.sh"}, flags: []string{"-v", "{}/www:{}/www"},
			check: func(t *testing.T, r *running, _ string) {
				requests(t, r.url(6081, "/page"), "varnished\n", 300)
				a, err := http.Get(r.url(6081, "/page"))
				if err != nil {
					t.Fatal(err)
				}
				a.Body.Close()
				if ids := strings.Fields(a.Header.Get("X-Varnish")); len(ids) != 2 {
					t.Errorf("not from the cache: X-Varnish: %q", ids)
				}
			},
		},
	} {
		t.Run(d.name, func(t *testing.T) { d.run(t) })
	}
}

func (d deployed) run(t *testing.T) {
	installed(t, d.needs...)
	dir := filepath.Join(target.Root(), "build/test/deployed", strings.Fields(d.name)[0])
	in := func(s string) string { return strings.ReplaceAll(s, "{}", dir) }
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	for name, text := range d.files {
		perm := os.FileMode(0o644)
		if strings.HasSuffix(name, ".sh") {
			perm = 0o755
		}
		name = filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(in(text)), perm); err != nil {
			t.Fatal(err)
		}
	}
	if d.name == "sshd" {
		for _, key := range []string{"host", "key"} {
			run(t, "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", filepath.Join(dir, key))
		}
	}
	s := server{boot: 3 * limit, machine: target.Machine{CPUs: d.cpus, Memory: max(d.mem, 512)}, up: answers(d.port, d.tcp), ports: []int{d.port}}
	for _, a := range d.argv {
		s.argv = append(s.argv, in(a))
	}
	for _, f := range d.flags {
		s.flags = append(s.flags, in(f))
	}
	if d.udp {
		s.udp = s.ports
		s.up = func(host string) error {
			return exec.Command("dig", "+tries=1", "+time=1", "@"+host, "example.test").Run()
		}
	}
	r := inGuest(t, s)
	d.check(t, r, dir)
	r.alive()
	if status := r.stop(); status != d.end {
		t.Errorf("status %d after SIGTERM, want %d", status, d.end)
	}
}

// requests gets a page n times, eight at once.
func requests(t *testing.T, url, want string, n int) {
	t.Helper()
	err := parallel(8, n, func(int) error {
		out, err := fetched(url)
		if err == nil && out != want {
			err = fmt.Errorf("got %q, want %q", last(out, 200), want)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

var plain = http.Client{Timeout: limit}

func fetched(url string) (string, error) {
	return body(plain.Get(url))
}

func posted(url, text string) (string, error) {
	return body(plain.Post(url, "application/json", strings.NewReader(text)))
}

func body(a *http.Response, err error) (string, error) {
	if err != nil {
		return "", err
	}
	defer a.Body.Close()
	b, err := io.ReadAll(a.Body)
	if err == nil && a.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", a.Status, last(string(b), 200))
	}
	return string(b), err
}
