package nettest

import (
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"gosv/test/target"
)

// counters are what /proc/gosv of a guest says.
type counters struct {
	goroutines, openFiles int
	heap, runtime         int // bytes of the kernel's Go heap, and of the runtime in all
	resident              int // frames of programs
	held                  int // all other frames that are not free
}

var (
	countersLine = regexp.MustCompile(`goroutines (\d+) open_files (\d+) frames (\d+) frames_free (\d+) frames_cached (\d+) heap_bytes (\d+) .* runtime_bytes (\d+) .* end\n`)
	residentSize = regexp.MustCompile(`VmRSS: (\d+) kB`)
)

// most is the larger one of each counter.
func (c counters) most(d counters) counters {
	return counters{max(c.goroutines, d.goroutines), max(c.openFiles, d.openFiles), max(c.heap, d.heap), max(c.runtime, d.runtime),
		max(c.resident, d.resident), max(c.held, d.held)}
}

// TestSoak keeps redis under mixed load, in rounds, for as long as GOSV_TEST_SOAK
// says. After rounds of the second half the kernel may hold no more than after those of the first, in which it allocates
// what it keeps for later use.
func TestSoak(t *testing.T) {
	installed(t, "/usr/bin/redis-server", "/usr/bin/redis-benchmark", "/usr/bin/busybox")
	long, err := time.ParseDuration(os.Getenv("GOSV_TEST_SOAK"))
	if err != nil {
		t.Skip("set GOSV_TEST_SOAK=20m, as make soak does")
	}
	p := strconv.Itoa(redisPort)
	s := server{argv: []string{"/usr/bin/busybox", "sh", "-c", "/usr/bin/redis-server --port " + p + " --bind 0.0.0.0 --protected-mode no --save '' --dir /tmp --maxmemory 64mb --maxmemory-policy allkeys-lru &" +
		"while sleep 2; do echo $(cat /proc/gosv) $(grep -h VmRSS /proc/[0-9]*/status) end; done"},
		flags: []string{"-v", "/usr/bin/redis-server:/usr/bin/redis-server"}, machine: target.Machine{Memory: 256}, up: answers(redisPort, "PING\r\n")}
	r := inLAN(t, s, newLAN(t))
	rest := func() counters {
		t.Helper()
		time.Sleep(3 * time.Second)
		before := len(r.out.String())
		for until := time.Now().Add(limit); time.Now().Before(until); time.Sleep(200 * time.Millisecond) {
			if m := countersLine.FindStringSubmatch(r.out.String()[before:]); m != nil {
				var n [7]int
				for i := range n {
					n[i], _ = strconv.Atoi(m[i+1])
				}
				c := counters{goroutines: n[0], openFiles: n[1], heap: n[5], runtime: n[6]}
				for _, m := range residentSize.FindAllStringSubmatch(m[0], -1) {
					kb, _ := strconv.Atoi(m[1])
					c.resident += kb / 4
				}
				c.held = n[2] - n[3] - n[4] - c.resident
				return c
			}
		}
		t.Fatal("the guest says nothing any more")
		return counters{}
	}
	t.Logf("at the start: %+v", rest())
	loads := []string{
		"-t set,get,incr,lpush,rpop,sadd,hset,zadd,spop -P 1 -n 3000",
		"-t set,get,lpush,lrange_100,mset -P 16 -n 20000",
		"-t set,get -d 10000 -P 4 -n 5000",
		"-t ping,set,get -k 0 -n 1500",
	}
	var after []counters
	began, round := time.Now(), 0
	for ; time.Since(began) < long || round < 4; round++ {
		for _, l := range loads {
			argv := append([]string{"redis-benchmark", "-h", r.host, "-p", p, "-c", "50", "-r", "20000", "-q"}, strings.Fields(l)...)
			out, err := try(10*limit, "", argv...)
			if err != nil || strings.Contains(strings.ToLower(out), "error") {
				t.Fatalf("round %d, %s: %v %s", round, l, err, last(out, 1000))
			}
		}
		if err := parallel(8, 200, func(i int) error {
			c, err := connect(r.at(redisPort))
			if err != nil {
				return err
			}
			defer c.Close()
			_, err = fmt.Fprintf(c, "*2\r\n$3\r\nGET\r\n$%d\r\n", i)
			return err
		}); err != nil {
			t.Fatal(err)
		}
		run(t, "redis-cli", "-h", r.host, "-p", p, "flushall")
		now := rest()
		t.Logf("after %v, round %d: %+v", time.Since(began).Round(time.Second), round, now)
		after = append(after, now)
	}
	first, second := after[0], after[len(after)/2]
	for i, c := range after {
		if i < len(after)/2 {
			first = first.most(c)
		} else {
			second = second.most(c)
		}
	}
	t.Logf("at the most: %+v in the first half, %+v in the second", first, second)
	if second.goroutines > first.goroutines+4 || second.openFiles > first.openFiles+2 || second.held > first.held+1000 {
		t.Error("the kernel holds more and more")
	}
	r.alive()
}
