package nettest

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"gosv/test/target"
)

// held is what a guest holds, as the Go server tells.
type held struct{ fds, goroutines, free int }

func holds(t *testing.T, c *http.Client, r *running) (h held) {
	t.Helper()
	resp, err := c.Get(r.url(webPort, "/stats"))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if _, err := fmt.Fscanf(resp.Body, "fds %d goroutines %d free %d", &h.fds, &h.goroutines, &h.free); err != nil {
		t.Fatal(err)
	}
	return h
}

// settles waits until a guest holds no more than it did before. KiB of memory that
// the kernel keeps for later connections are allowed.
func settles(t *testing.T, c *http.Client, r *running, before held, kib int) {
	t.Helper()
	var now held
	for until := time.Now().Add(20 * time.Second); time.Now().Before(until); time.Sleep(200 * time.Millisecond) {
		now = holds(t, c, r)
		if now.fds <= before.fds+2 && now.goroutines <= before.goroutines+4 && now.free >= before.free-kib {
			t.Logf("before %+v, after %+v", before, now)
			return
		}
	}
	t.Errorf("before %+v, after %+v", before, now)
}

// families are the guest's addresses: half of the connections go to each.
var families = [2]string{guestIP, guestIP6}

// TestResets breaks connections off in the middle, in each way there is.
func TestResets(t *testing.T) {
	r := inLAN(t, goServer(t, webPort), newLAN(t))
	c := client(t)
	before := holds(t, c, r)
	request := []byte("POST /sum HTTP/1.1\r\nHost: gosv\r\nContent-Length: 1000000\r\n\r\n")
	if err := parallel(16, load(300, 10000), func(i int) error {
		port := []int{webPort, webPort + tlsAfter, webPort + echoAfter}[i%3]
		c, err := connect(net.JoinHostPort(families[i/5%2], strconv.Itoa(port)))
		if err != nil {
			return err
		}
		defer c.Close() // a reset, as connect has it
		switch i % 5 {
		case 0: // at once, as ssh-keyscan does
		case 1:
			_, err = c.Write(request[:20])
		case 2:
			_, err = c.Write(append(request[:len(request):len(request)], make([]byte, 50000)...))
		case 3: // with an answer on the way that nobody reads
			_, err = c.Write([]byte("GET /bytes?n=10000000 HTTP/1.1\r\nHost: gosv\r\n\r\n"))
			if err == nil && i%2 == 0 {
				_, err = c.Read(make([]byte, 1))
			}
		case 4: // an end that is announced, and then a reset
			c.Write(request[:30]) //nolint:errcheck // the server may be quicker
			err = c.CloseWrite()
		}
		if err != nil && port == webPort+tlsAfter { // it may have refused what is not TLS
			err = nil
		}
		return err
	}); err != nil {
		t.Error(err)
	}
	settles(t, c, r, before, 16<<10)
	posts(t, r.url(webPort, "/sum"), 4, 20)
}

// echoes sends a message over a connection and wants it back.
func echoes(c net.Conn, message []byte) error {
	c.SetDeadline(time.Now().Add(target.Patience(limit))) //nolint:errcheck // the read fails then
	if _, err := c.Write(message); err != nil {
		return err
	}
	got := make([]byte, len(message))
	if _, err := io.ReadFull(c, got); err != nil {
		return err
	}
	if !bytes.Equal(got, message) {
		return fmt.Errorf("sent %q, got %q", message, got)
	}
	return nil
}

// TestOpenClose opens and closes many connections.
func TestOpenClose(t *testing.T) {
	r := inLAN(t, goServer(t, webPort), newLAN(t))
	c := client(t)
	before := holds(t, c, r)
	n, began := load(2000, 10000), time.Now()
	if err := parallel(32, n, func(i int) error {
		c, err := net.DialTimeout("tcp", net.JoinHostPort(families[i%2], strconv.Itoa(webPort+echoAfter)), limit)
		if err != nil {
			return err
		}
		defer c.Close()
		return echoes(c, fmt.Appendf(nil, "message %d", i))
	}); err != nil {
		t.Error(err)
	}
	t.Logf("%.0f connections per second", float64(n)/time.Since(began).Seconds())
	// Our end closed first: the guest keeps no state of these connections.
	settles(t, c, r, before, 16<<10)
}

// TestTimeWait has a small guest close connections first, of which it remembers some for a minute.
func TestTimeWait(t *testing.T) {
	s := goServer(t, webPort)
	s.machine.Memory = 64
	r := inLAN(t, s, newLAN(t))
	n, began := load(1500, 20000), time.Now()
	if err := parallel(16, n, func(i int) error {
		c, err := net.DialTimeout("tcp", net.JoinHostPort(families[i%2], strconv.Itoa(webPort)), limit)
		if err != nil {
			return err
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(target.Patience(limit))) //nolint:errcheck // the read fails then
		fmt.Fprint(c, "GET /port HTTP/1.0\r\n\r\n")
		b, err := io.ReadAll(c)
		if err == nil && !bytes.HasSuffix(b, []byte("\r\n\r\n28080")) {
			err = fmt.Errorf("got %q", b)
		}
		return err
	}); err != nil {
		t.Error(err)
	}
	t.Logf("%.0f connections per second", float64(n)/time.Since(began).Seconds())
	var waiting int
	stats := get(t, client(t), r.url(webPort, "/file?name=/proc/net/sockstat"))
	if _, after, ok := strings.Cut(stats, " tw "); ok {
		fmt.Sscan(after, &waiting) //nolint:errcheck // none is wrong
	}
	t.Logf("%d wait", waiting)
	if waiting < 200 || waiting > 1024 {
		t.Errorf("of %d connections %d wait: %s", n, waiting, stats)
	}
}

// TestIdle holds connections that say something only now and then.
func TestIdle(t *testing.T) {
	const n = 1000
	var l syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l); err != nil || l.Cur < n+200 {
		lacks(t, fmt.Sprintf("needs %d descriptors: raise the limit, ulimit -n", n+200))
	}
	r := inLAN(t, goServer(t, webPort), newLAN(t))
	c := client(t)
	before := holds(t, c, r)
	conns := make([]net.Conn, n)
	t.Cleanup(func() {
		for _, c := range conns {
			if c != nil {
				c.Close()
			}
		}
	})
	each := func(f func(i int) error) {
		t.Helper()
		if err := parallel(16, n, f); err != nil {
			t.Fatal(err)
		}
	}
	each(func(i int) (err error) {
		if conns[i], err = net.DialTimeout("tcp", net.JoinHostPort(families[i%2], strconv.Itoa(webPort+echoAfter)), limit); err != nil {
			return err
		}
		return echoes(conns[i], []byte("hello"))
	})
	during := holds(t, c, r)
	t.Logf("with %d connections: %+v", n, during)
	if during.fds < n {
		t.Errorf("%d descriptors", during.fds)
	}
	time.Sleep(load(3*time.Second, time.Minute))
	each(func(i int) error { return echoes(conns[i], fmt.Appendf(nil, "still here %d", i)) })
	each(func(i int) error { return conns[i].Close() })
	settles(t, c, r, before, 48<<10) // the kernel's heap settles at 42 MB when this is repeated
}

// TestQuiet measures servers without traffic: nginx, which sleeps, and redis, which looks after its memory ten times a second. One
// that polls would use a whole CPU of ours.
func TestQuiet(t *testing.T) {
	for name, s := range map[string]server{"nginx": nginx(t), "redis": redis(target.Machine{})} {
		t.Run(name, func(t *testing.T) {
			installed(t, s.argv[0])
			r := inGuest(t, s)
			time.Sleep(2 * time.Second) // what the start left to do
			before, began := childTime(t, r.cmd.Process.Pid), time.Now()
			time.Sleep(load(5*time.Second, 30*time.Second))
			share := 100 * (childTime(t, r.cmd.Process.Pid) - before).Seconds() / time.Since(began).Seconds()
			t.Logf("without traffic: %.2f %% of a CPU", share)
			if share > 10 {
				t.Errorf("an idle server uses %.1f %% of a CPU", share)
			}
		})
	}
}
