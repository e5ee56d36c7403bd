package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// loadLimit is how long a load may take.
const loadLimit = 60 * time.Second

// answers tells whether a service answers its text; without one, whether it takes connections.
func (s service) answers() error {
	c, err := net.DialTimeout("tcp", net.JoinHostPort(netGuest, strconv.Itoa(s.port)), time.Second)
	if err != nil {
		return err
	}
	defer c.Close()
	if s.hello == "" {
		return nil
	}
	return ask(c, s.hello)
}

// ask sends a text and waits for an answer.
func ask(c net.Conn, text string) error {
	c.SetDeadline(time.Now().Add(5 * time.Second)) //nolint:errcheck // the read fails then
	if _, err := c.Write([]byte(text)); err != nil {
		return err
	}
	_, err := c.Read(make([]byte, 512))
	return err
}

// command runs a load generator.
func command(argv ...string) (string, error) {
	cmd := exec.Command(argv[0], argv[1:]...)
	timer := time.AfterFunc(loadLimit, func() { cmd.Process.Kill() }) //nolint:errcheck // it has ended
	out, err := cmd.CombinedOutput()
	if !timer.Stop() {
		err = fmt.Errorf("still running after %v", loadLimit)
	}
	if err != nil {
		return "", fmt.Errorf("%s: %w: %s", argv[0], err, lastLine(out))
	}
	return strings.ReplaceAll(string(out), "\r", "\n"), nil
}

var redisRate = regexp.MustCompile(`(SET|GET): ([\d.]+) requests per second`)

func measureRedis(r *results, s service, suffix string) {
	for _, p := range []struct {
		pipeline int
		n        string
	}{{1, "40000"}, {16, "200000"}} {
		out, err := command("redis-benchmark", "-h", netGuest, "-t", "set,get", "-c", "50", "-n", p.n, "-P", strconv.Itoa(p.pipeline), "-q")
		if err != nil {
			r.note("pipeline %d%s: %v", p.pipeline, suffix, err)
		}
		for _, m := range redisRate.FindAllStringSubmatch(out, -1) {
			if v, err := strconv.ParseFloat(m[2], 64); err == nil {
				r.add(fmt.Sprintf("redis_%s_p%d%s", strings.ToLower(m[1]), p.pipeline, suffix), v)
			}
		}
	}
	if v, err := connectRate(s, 16, 4*time.Second); err != nil {
		r.note("connections%s: %v", suffix, err)
	} else {
		r.add("connect"+suffix, v)
	}
}

// connectRate opens connections, asks once and closes, from several threads.
func connectRate(s service, workers int, d time.Duration) (float64, error) {
	var done sync.WaitGroup
	var n, failed atomic.Int64
	began := time.Now()
	for range workers {
		done.Go(func() {
			for time.Since(began) < d {
				if err := s.answers(); err != nil {
					failed.Add(1)
				} else {
					n.Add(1)
				}
			}
		})
	}
	done.Wait()
	if f := failed.Load(); f > 0 {
		return 0, fmt.Errorf("%d of %d failed", f, n.Load()+f)
	}
	return float64(n.Load()) / time.Since(began).Seconds(), nil
}

var wrkRate = regexp.MustCompile(`Requests/sec:\s+([\d.]+)`)

func measureNginx(r *results, _ service, suffix string) {
	out, err := command("wrk", "-t", "1", "-c", "50", "-d", "6", "--timeout", "10", "http://"+netGuest+":8080/index.html")
	m := wrkRate.FindStringSubmatch(out)
	if err == nil && (m == nil || strings.Contains(out, "Non-2xx") || strings.Contains(out, "Socket errors")) {
		err = errors.New("wrk: " + strings.Join(strings.Fields(out), " "))
	}
	if err != nil {
		r.note("nginx%s: %v", suffix, err)
		return
	}
	v, _ := strconv.ParseFloat(m[1], 64)
	r.add("nginx"+suffix, v)
}

func measureIperf(r *results, _ service, suffix string) {
	for name, args := range map[string][]string{"iperf_in": nil, "iperf_out": {"-R"}} {
		time.Sleep(time.Second) // it listens anew for each test, and resets who came in between
		out, err := command(append([]string{"iperf3", "-c", netGuest, "-t", "4", "-J"}, args...)...)
		var result struct {
			End struct {
				Received struct {
					Rate float64 `json:"bits_per_second"`
				} `json:"sum_received"`
			} `json:"end"`
			Error string `json:"error"`
		}
		if err == nil {
			err = json.Unmarshal([]byte(out), &result)
		}
		if err == nil && result.Error != "" {
			err = errors.New(result.Error)
		}
		if err != nil {
			r.note("%s%s: %v", name, suffix, err)
			continue
		}
		r.add(name+suffix, result.End.Received.Rate/1e6)
	}
}
