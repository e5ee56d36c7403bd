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
func (s service) answers(guest string) error {
	c, err := net.DialTimeout("tcp", net.JoinHostPort(guest, strconv.Itoa(s.port)), time.Second)
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

var redisRate = regexp.MustCompile(`(?:SET|GET): ([\d.]+) requests per second`)

// redisLoad is one command in requests per second, from 50 connections.
func redisLoad(cmd string, pipeline, n int) load {
	return load{fmt.Sprintf("redis_%s_p%d", cmd, pipeline), func(_ service, guest string) (float64, error) {
		out, err := command("redis-benchmark", "-h", guest, "-t", cmd, "-c", "50", "-n", strconv.Itoa(n), "-P", strconv.Itoa(pipeline), "-q")
		if err != nil {
			return 0, err
		}
		m := redisRate.FindAllStringSubmatch(out, -1)
		if m == nil {
			return 0, errors.New("redis-benchmark: " + lastLine([]byte(out)))
		}
		return strconv.ParseFloat(m[len(m)-1][1], 64)
	}}
}

// connectRate opens connections, asks once and closes, from several threads.
func connectRate(s service, guest string) (float64, error) {
	const workers, d = 16, 3 * time.Second
	var done sync.WaitGroup
	var n, failed atomic.Int64
	began := time.Now()
	for range workers {
		done.Go(func() {
			for time.Since(began) < d {
				if err := s.answers(guest); err != nil {
					failed.Add(1)
				} else {
					n.Add(1)
				}
			}
		})
	}
	done.Wait()
	if f := failed.Load(); f > 0 {
		return 0, fmt.Errorf("%d of %d connections failed", f, n.Load()+f)
	}
	return float64(n.Load()) / time.Since(began).Seconds(), nil
}

var wrkRate = regexp.MustCompile(`Requests/sec:\s+([\d.]+)`)

func nginxRate(_ service, guest string) (float64, error) {
	out, err := command("wrk", "-t", "1", "-c", "50", "-d", "3", "--timeout", "10", "http://"+guest+":8080/index.html")
	if err != nil {
		return 0, err
	}
	m := wrkRate.FindStringSubmatch(out)
	if m == nil || strings.Contains(out, "Non-2xx") || strings.Contains(out, "Socket errors") {
		return 0, errors.New("wrk: " + strings.Join(strings.Fields(out), " "))
	}
	return strconv.ParseFloat(m[1], 64)
}

// iperfRate is what arrives, in Mbit/s.
func iperfRate(args ...string) func(service, string) (float64, error) {
	return func(_ service, guest string) (float64, error) {
		time.Sleep(500 * time.Millisecond) // it listens anew for each test, and resets who came in between
		out, err := command(append([]string{"iperf3", "-c", guest, "-t", "3", "-J"}, args...)...)
		if err != nil {
			return 0, err
		}
		var result struct {
			End struct {
				Received struct {
					Rate float64 `json:"bits_per_second"`
				} `json:"sum_received"`
			} `json:"end"`
			Error string `json:"error"`
		}
		if err := json.Unmarshal([]byte(out), &result); err != nil {
			return 0, err
		}
		if result.Error != "" {
			return 0, errors.New(result.Error)
		}
		return result.End.Received.Rate / 1e6, nil
	}
}
