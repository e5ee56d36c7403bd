package main

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"
	"time"

	"gosv/abi/boot"
)

// kernelLog takes the kernel's log line by line and tells its parts from each
// other: the report, strace, the boot chart, a crash, and everything else.
type kernelLog struct {
	verbose  bool
	messages io.Writer // where the log goes when it is shown
	strace   io.Writer // nil: not asked for
	chart    *chart
	onReport func()            // called once
	onStart  func()            // nil, or called when the program has started
	onInput  func()            // called once, when the program wants standard input
	raw      func(line string) // nil, or told every line

	mu     sync.Mutex // the rest
	last   []string   // the last lines
	crash  bool       // from here on every line is shown
	report *boot.Report
	input  bool // onInput was called
}

// keepLines is how much of the log is kept for when the machine ends without a report.
const keepLines = 12

// crashMarks begin the first line of a crash report.
var crashMarks = []string{"gosv: kernel bug:", "panic:", "fatal error:", "runtime: "}

func (l *kernelLog) line(s string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.raw != nil {
		l.raw(s)
	}
	if l.report == nil {
		if r, ok := boot.ParseReport(s); ok {
			l.report = &r
			if l.onReport != nil {
				l.onReport()
			}
			return
		}
	}
	if s == boot.StartedLine && l.onStart != nil {
		l.onStart()
		return
	}
	if s == boot.InputWanted {
		if !l.input && l.onInput != nil {
			l.onInput()
		}
		l.input = true
		return
	}
	if rest, ok := strings.CutPrefix(s, "strace: "); ok {
		if l.strace != nil {
			io.WriteString(l.strace, rest+"\n") //nolint:errcheck // a full disk must not end the guest
		}
		return
	}
	if rest, ok := strings.CutPrefix(s, "bootchart: "); ok && l.chart != nil {
		l.chart.guest(rest)
		return
	}
	for _, m := range crashMarks {
		l.crash = l.crash || strings.HasPrefix(s, m)
	}
	if l.crash || l.verbose {
		fmt.Fprintln(l.messages, s)
	}
	if l.last = append(l.last, s); len(l.last) > keepLines {
		l.last = l.last[1:]
	}
}

// end gives the report, nil if there was none, and what was last in the log.
func (l *kernelLog) end() (*boot.Report, []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.report, l.last
}

// chart is how long the steps of a start took: first the tool's, then the
// kernel's, which are counted from its first instruction.
type chart struct {
	start time.Time
	mu    sync.Mutex // steps, firstOutput
	steps []chartStep
	first bool // output was seen
}

type chartStep struct {
	who, name string
	at        time.Duration
}

func newChart() *chart { return &chart{start: time.Now()} }

func (c *chart) step(name string) { c.add("gosv", name, time.Since(c.start)) }

func (c *chart) add(who, name string, at time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.steps = append(c.steps, chartStep{who, name, at})
}

// guest takes a line "NAME MICROSECONDS" of the kernel.
func (c *chart) guest(line string) {
	i := strings.LastIndexByte(line, ' ')
	if i < 0 {
		return
	}
	us, err := strconv.ParseInt(strings.TrimSpace(line[i+1:]), 10, 64)
	if err != nil {
		return
	}
	c.add("kernel", strings.TrimSpace(line[:i]), time.Duration(us)*time.Microsecond)
}

// output notes the first output of the program.
func (c *chart) output() {
	c.mu.Lock()
	seen := c.first
	c.first = true
	c.mu.Unlock()
	if !seen {
		c.step("first output")
	}
}

func (c *chart) print(w io.Writer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	fmt.Fprintf(w, "%-8s %-28s %10s %10s\n", "", "step", "at ms", "took ms")
	for _, who := range []string{"gosv", "kernel"} {
		var before time.Duration
		for _, s := range c.steps {
			if s.who != who {
				continue
			}
			fmt.Fprintf(w, "%-8s %-28s %10.3f %10.3f\n", s.who, s.name, ms(s.at), ms(s.at-before))
			before = s.at
		}
	}
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
