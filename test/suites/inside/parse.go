package main

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"gosv/test/suites/plan"
)

// parser reads the output of a test program as -test.v=test2json writes it:
// lines that begin with a control character say what happens to which test,
// the others are output of the test that was named last.
type parser struct {
	tests   map[string]*progress
	order   []string
	current string
	last    []string // the end of the whole output
	at      time.Time
}

type progress struct {
	output  []string
	ended   bool
	waiting bool // for its turn to run in parallel
}

// keep is how many lines of output are kept of a test, at its start and again at its end.
const keep = 60

func newParser() *parser { return &parser{tests: map[string]*progress{}, at: time.Now()} }

const control = "\x16"

func (p *parser) line(l string) (events []plan.Event) {
	// A test may have written half a line before.
	text, rest, marked := strings.Cut(l, control)
	if !marked {
		p.output(l)
		return nil
	}
	if text != "" {
		p.output(text)
	}
	rest = strings.TrimLeft(rest, " ")
	if word, name, ok := cutAction(rest); ok {
		top, _, sub := strings.Cut(name, "/")
		if word == "NAME" { // whose output follows
			p.current = top
			return nil
		}
		p.at = time.Now()
		t := p.tests[top]
		if t == nil {
			t = &progress{}
			p.tests[top] = t
			p.order = append(p.order, top)
			events = append(events, plan.Event{Test: top, Result: plan.Start})
		}
		p.current = top
		if !sub {
			t.waiting = word == "PAUSE"
		}
		return events
	}
	for _, result := range []string{plan.Pass, plan.Fail, plan.Skip} {
		name, ok := strings.CutPrefix(rest, "--- "+strings.ToUpper(result)+": ")
		if !ok {
			continue
		}
		p.at = time.Now()
		name, took, _ := strings.Cut(name, " (")
		if top, _, sub := strings.Cut(name, "/"); sub {
			if result != plan.Pass {
				p.current = top
				p.output(rest)
			}
			return events
		}
		t := p.tests[name]
		if t == nil {
			t = &progress{}
			p.tests[name] = t
			p.order = append(p.order, name)
		}
		if t.ended {
			return events
		}
		t.ended = true
		p.current = name
		e := plan.Event{Test: name, Result: result}
		e.Seconds, _ = strconv.ParseFloat(strings.TrimSuffix(took, "s)"), 64)
		if result != plan.Pass {
			e.Output = strings.Join(t.output, "\n")
		}
		t.output = nil
		return append(events, e)
	}
	p.output(rest)
	return nil
}

// cutAction parts "=== RUN   TestX".
func cutAction(l string) (word, name string, ok bool) {
	l, ok = strings.CutPrefix(l, "=== ")
	if !ok {
		return "", "", false
	}
	word, name, ok = strings.Cut(l, " ")
	return word, strings.TrimSpace(name), ok
}

func (p *parser) output(l string) {
	p.last = add(p.last, l)
	if t := p.tests[p.current]; t != nil && !t.ended {
		t.output = add(t.output, l)
	}
}

func add(lines []string, l string) []string {
	if len(l) > 2000 {
		l = l[:2000] + "..."
	}
	if len(lines) >= 2*keep {
		lines = slices.Delete(lines, keep, keep+1)
	}
	return append(lines, l)
}

// running are the tests that have begun and not ended, and do not wait for their turn.
func (p *parser) running() (names []string) {
	for _, n := range p.order {
		if t := p.tests[n]; !t.ended && !t.waiting {
			names = append(names, n)
		}
	}
	return names
}

// idle is how long nothing has begun or ended.
func (p *parser) idle(now time.Time) time.Duration { return now.Sub(p.at) }

func (p *parser) tail() string { return strings.Join(p.last, "\n") }
