package nettest

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"gosv/test/target"
)

const redisPort = 26379

// redis is a redis-server that keeps its data in /tmp.
func redis(m target.Machine, args ...string) server {
	return server{
		argv: append([]string{"/usr/bin/redis-server", "--port", strconv.Itoa(redisPort), "--bind", "*", "-::*", "--protected-mode", "no", "--save", "",
			"--dir", "/tmp", "--dbfilename", "gosv-test.rdb", "--enable-debug-command", "yes"}, args...),
		ports: []int{redisPort}, machine: m, up: answers(redisPort, "PING\r\n"),
	}
}

func TestRedis(t *testing.T) {
	installed(t, "/usr/bin/redis-server", "/usr/bin/redis-cli", "/usr/bin/redis-benchmark")
	t.Cleanup(func() { os.Remove("/tmp/gosv-test.rdb") })
	both(t, redis(target.Machine{}), func(t *testing.T, r *running) {
		cli := func(args ...string) string {
			t.Helper()
			return strings.TrimSpace(run(t, append([]string{"redis-cli", "-h", r.host, "-p", strconv.Itoa(redisPort)}, args...)...))
		}
		want := func(want string, args ...string) {
			t.Helper()
			if got := cli(args...); got != want {
				t.Errorf("%s: got %q, want %q", strings.Join(args, " "), last(got, 300), want)
			}
		}
		want("OK", "set", "key", "value")
		want("value", "get", "key")
		want("2", "rpush", "list", "a", "b")
		want("a\nb", "lrange", "list", "0", "-1")
		want("55", "eval", "local n = 0 for i = 1, 10 do n = n + i end return n", "0")
		// Many commands without waiting for answers, and a value that does not fit a socket buffer.
		var b strings.Builder
		for i := range 5000 {
			fmt.Fprintf(&b, "SET n%d %d\r\n", i, i*i)
		}
		if out := runWith(t, b.String(), "redis-cli", "-h", r.host, "-p", strconv.Itoa(redisPort), "--pipe"); !strings.Contains(out, "errors: 0, replies: 5000") {
			t.Errorf("--pipe: %s", out)
		}
		want("24980004", "get", "n4998")
		big := strings.Repeat("0123456789abcdef", 1<<18)
		if out := runWith(t, big, "redis-cli", "-h", r.host, "-p", strconv.Itoa(redisPort), "-x", "set", "big"); strings.TrimSpace(out) != "OK" {
			t.Errorf("set of 4 MiB: %s", out)
		}
		if got := cli("get", "big"); got != big {
			t.Errorf("4 MiB came back as %d bytes", len(got))
		}
		want("OK", "save")
		want("OK", "debug", "reload")
		want("value", "get", "key")
		want("5003", "dbsize")
		want("OK", "config", "set", "save", "")
		t.Run("bgsave", func(t *testing.T) {
			if out := cli("bgsave"); strings.Contains(out, "fork") || strings.HasPrefix(out, "ERR") {
				t.Skipf("%s; needs processes in the guest", out)
			}
			for until := time.Now().Add(limit); ; time.Sleep(100 * time.Millisecond) {
				info := cli("info", "persistence")
				if strings.Contains(info, "rdb_bgsave_in_progress:0") {
					if !strings.Contains(info, "rdb_last_bgsave_status:ok") {
						t.Errorf("bgsave: %s", info)
					}
					break
				}
				if time.Now().After(until) {
					t.Fatal("bgsave does not end")
				}
			}
		})
		if s := r.stop(); s != 0 {
			t.Errorf("status %d after SIGTERM", s)
		}
	})
}

var perSecond = regexp.MustCompile(`(\w+): ([\d.]+) requests per second`)

// TestRedisBenchmark puts redis under load, on a tap, where connections are not held up by QEMU.
func TestRedisBenchmark(t *testing.T) {
	installed(t, "/usr/bin/redis-server", "/usr/bin/redis-benchmark")
	for _, m := range []target.Machine{{CPUs: 1}, {CPUs: 2}} {
		t.Run(fmt.Sprint(m.CPUs, "cpu"), func(t *testing.T) {
			r := inLAN(t, redis(m), newLAN(t))
			for _, p := range []struct{ pipeline, n int }{{1, load(1500, 50000)}, {16, load(10000, 200000)}} {
				out, err := try(load(2*limit, 15*limit), "", "redis-benchmark", "-h", r.host, "-p", strconv.Itoa(redisPort), "-q", "-c", "50", "-P", strconv.Itoa(p.pipeline),
					"-n", strconv.Itoa(p.n), "-t", "ping,set,get,incr,lpush,lrange_100")
				if err != nil {
					t.Fatalf("redis-benchmark: %v\n%s", err, last(out, 2000))
				}
				out = strings.ReplaceAll(out, "\r", "\n")
				if found := perSecond.FindAllString(out, -1); len(found) < 6 || strings.Contains(strings.ToLower(out), "error") {
					t.Errorf("redis-benchmark:\n%s", last(out, 2000))
				} else {
					t.Logf("pipeline %d: %s", p.pipeline, strings.Join(found, ", "))
				}
			}
			r.alive()
		})
	}
}

const memcachedPort = 21211

// TestMemcached sets and gets from many connections, with threads in the server, over TCP and UDP.
func TestMemcached(t *testing.T) {
	installed(t, "/usr/bin/memcached")
	p := strconv.Itoa(memcachedPort)
	s := server{argv: []string{"/usr/bin/memcached", "-u", "root", "-l", "0.0.0.0", "-p", p, "-U", p, "-t", "4", "-I", "2m", "-c", "2048"},
		ports: []int{memcachedPort}, udp: []int{memcachedPort}, machine: target.Machine{CPUs: 2}, up: answers(memcachedPort, "version\r\n")}
	both(t, s, func(t *testing.T, r *running) {
		err := parallel(16, load(320, 16000), func(i int) error {
			c, err := net.DialTimeout("tcp", r.at(memcachedPort), limit)
			if err != nil {
				return err
			}
			defer c.Close()
			c.SetDeadline(time.Now().Add(target.Patience(limit)))
			in := bufio.NewReader(c)
			value := bytes.Repeat([]byte{byte('a' + i%26)}, 1+(i*7919)%20000)
			if i == 7 {
				value = bytes.Repeat([]byte("x"), 1<<20)
			}
			fmt.Fprintf(c, "set k%d 0 0 %d\r\n%s\r\n", i, len(value), value)
			if line, err := in.ReadString('\n'); line != "STORED\r\n" {
				return fmt.Errorf("set: %q %w", line, err)
			}
			fmt.Fprintf(c, "get k%d\r\n", i)
			want := fmt.Sprintf("VALUE k%d 0 %d\r\n", i, len(value))
			if line, err := in.ReadString('\n'); line != want {
				return fmt.Errorf("get k%d: %q %w", i, line, err)
			}
			got := make([]byte, len(value)+len("\r\nEND\r\n"))
			if _, err := io.ReadFull(in, got); err != nil || string(got) != string(value)+"\r\nEND\r\n" {
				return fmt.Errorf("get k%d: %q %w", i, last(string(got), 100), err)
			}
			// All values together do not fit into memcached's 64 MB: it would evict some before they are asked for.
			fmt.Fprintf(c, "delete k%d\r\n", i)
			if line, err := in.ReadString('\n'); line != "DELETED\r\n" {
				return fmt.Errorf("delete k%d: %q %w", i, line, err)
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
		// The UDP frame: request, sequence, total, reserved; two bytes each.
		c, err := net.Dial("udp", r.at(memcachedPort))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		got := make([]byte, 2048)
		for i := range 5 { // a datagram may be lost
			c.SetDeadline(time.Now().Add(2 * time.Second))
			c.Write([]byte("\x00\x07\x00\x00\x00\x01\x00\x00version\r\n"))
			n, err := c.Read(got)
			if err == nil {
				if !bytes.HasPrefix(got[:n], []byte("\x00\x07\x00\x00\x00\x01\x00\x00VERSION ")) {
					t.Errorf("UDP: %q", got[:n])
				}
				break
			}
			if i == 4 {
				t.Errorf("UDP: %v", err)
			}
		}
	})
}
