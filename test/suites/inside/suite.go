package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"

	"gosv/test/suites/plan"
)

// suite is one test program, and what is known of its tests.
type suite struct {
	plan.Suite
	result map[string]string
	end    time.Time
}

// restarts is how often a program is started again before the rest is given up.
const restarts = 40

func (s *suite) run() error {
	s.end = time.Now().Add(time.Duration(s.Total) * time.Second)
	tests, err := s.list()
	if err != nil {
		return err
	}
	emit(plan.Event{Suite: s.Name, Result: plan.Listed, Output: strings.Join(tests, "\n")})
	tests = slices.DeleteFunc(tests, func(t string) bool { return slices.Contains(s.Skip, t) })
	for range restarts {
		tests = slices.DeleteFunc(tests, func(t string) bool { return s.result[t] != "" })
		if len(tests) == 0 {
			return nil
		}
		if time.Now().After(s.end) {
			return fmt.Errorf("no time left for %d tests", len(tests))
		}
		known := len(s.result)
		if err := s.some(tests[:s.fit(tests)]); len(s.result) == known {
			if err == nil {
				err = fmt.Errorf("nothing is known of %d tests", len(tests))
			}
			return err
		}
	}
	return fmt.Errorf("given up after %d starts", restarts)
}

// longest is how long an argument with the names of tests may be: Linux takes 128 KiB.
const longest = 100_000

// fit is how many tests have names that fit into one argument.
func (s *suite) fit(tests []string) (n int) {
	for size := 0; n < len(tests); n++ {
		if size += len(tests[n]) + len(s.Between); size > longest {
			break
		}
	}
	return n
}

// list asks the program for its tests.
func (s *suite) list() (tests []string, err error) {
	cmd := s.command(s.List)
	b, err := cmd.Output()
	if err != nil {
		var e *exec.ExitError
		if errors.As(err, &e) {
			return nil, fmt.Errorf("no list of tests: %w\n%s", err, e.Stderr)
		}
		return nil, fmt.Errorf("no list of tests: %w", err)
	}
	for line := range strings.Lines(string(b)) {
		line = strings.TrimSpace(line)
		if line != "" && !strings.HasPrefix(line, "Benchmark") && !strings.ContainsAny(line, " \t") {
			tests = append(tests, line)
		}
	}
	return tests, nil
}

func (s *suite) command(more ...string) *exec.Cmd {
	os.MkdirAll(s.Dir, 0o755)
	cmd := exec.Command(s.Argv[0], slices.Concat(s.Argv[1:], more)...)
	cmd.Dir = s.Dir
	cmd.Env = append(slices.Clone(s.Env), "PWD="+s.Dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	cmd.WaitDelay = 2 * time.Second
	return cmd
}

// some runs tests in one process. When the process ends in the middle, the test
// that was running has failed; when there were several at once, each gets a
// process of its own.
func (s *suite) some(tests []string) error {
	left, tail, err := s.process(tests)
	if len(left) == 1 {
		s.failed(left[0], tail)
		return nil
	}
	for _, t := range left {
		if len(tests) == 1 || s.result[t] != "" {
			continue
		}
		if time.Now().After(s.end) {
			return errors.New("no time left")
		}
		if left, tail, _ := s.process([]string{t}); len(left) > 0 {
			s.failed(t, tail)
		}
	}
	if err != nil && len(left) == 0 {
		return fmt.Errorf("%w\n%s", err, tail)
	}
	return nil
}

func (s *suite) failed(test, why string) {
	s.result[test] = plan.Fail
	emit(plan.Event{Suite: s.Name, Test: test, Result: plan.Fail, Output: why})
}

// process runs tests until the process ends; left are those that were begun and
// came to no end, and tail is the end of its output.
func (s *suite) process(tests []string) (left []string, tail string, err error) {
	cmd := s.command(fmt.Sprintf(s.Run, strings.Join(tests, s.Between)))
	r, w, err := os.Pipe()
	if err != nil {
		return nil, "", err
	}
	cmd.Stdout, cmd.Stderr = w, w
	if err := cmd.Start(); err != nil {
		r.Close()
		w.Close()
		return nil, "", err
	}
	w.Close()
	lines := make(chan string, 100)
	go read(r, lines)
	over := make(chan error, 1)
	go func() { over <- cmd.Wait() }()

	p := newParser()
	took := func(line string) {
		for _, e := range p.line(line) {
			e.Suite = s.Name
			if e.Result != plan.Start {
				s.result[e.Test] = e.Result
			}
			emit(e)
		}
	}
	stall := time.NewTicker(time.Second)
	defer stall.Stop()
	why := ""
	busy := watch{session: cmd.Process.Pid}
	var quit time.Time
	var drained <-chan time.Time
	for open := true; open; {
		select {
		case line, ok := <-lines:
			if open = ok; ok {
				took(line)
			}
		case err = <-over:
			over = nil
			// Children that are left may hold the pipe.
			drained = time.After(time.Second)
		case <-drained:
			open = false
		case now := <-stall.C:
			switch {
			case over == nil:
			case !quit.IsZero() && now.Sub(quit) > 10*time.Second:
				syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
			case quit.IsZero() && (s.hangs(p.idle(now), now, &busy) || now.After(s.end)):
				why = fmt.Sprintf("no end after %.0f s\n", p.idle(now).Seconds())
				quit = now
				cmd.Process.Signal(syscall.SIGQUIT) // Go programs and Python's faulthandler say where they are
			}
		}
	}
	if over != nil {
		select {
		case err = <-over:
		case <-time.After(15 * time.Second):
		}
	}
	syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
	r.Close()
	go func() {
		for range lines { // what comes late
		}
	}()
	if err != nil {
		why += err.Error() + "\n"
	}
	return p.running(), why + p.tail(), err
}

// hangs tells whether a test that has said nothing for a while is given up: at
// once when it waits, and after a longer time when it works.
func (s *suite) hangs(idle time.Duration, now time.Time, busy *watch) bool {
	stall := time.Duration(s.Stall) * time.Second
	return idle > stall && (idle > 5*stall || busy.waits(now))
}

// read sends the lines of r; very long ones in pieces.
func read(r io.Reader, lines chan<- string) {
	defer close(lines)
	b := bufio.NewReaderSize(r, 64<<10)
	for {
		line, err := b.ReadSlice('\n')
		if len(line) > 0 {
			lines <- strings.TrimSuffix(string(line), "\n")
		}
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return
		}
	}
}
