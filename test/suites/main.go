// Command suites runs the tests that Go and Python bring for themselves, on this machine and in the guest, compares them test
// function by test function, and writes what it saw into a document.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"gosv/test/suites/plan"
)

// options are the flags.
type options struct {
	match   string
	test    string
	output  string
	dir     string
	gosv    string
	memory  string
	cpus    int
	batch   int
	stall   int
	total   int
	retry   bool
	more    bool
	list    bool
	verbose bool
}

func main() {
	var o options
	flag.StringVar(&o.match, "run", ".", "run the suites whose names match `REGEXP`")
	flag.StringVar(&o.test, "test", "", "run the tests whose names match `REGEXP`, print them, and keep nothing")
	flag.StringVar(&o.output, "o", "", "write the tables into this `FILE`, between its markers")
	flag.StringVar(&o.dir, "dir", "build/suites", "`DIR` for programs and results")
	flag.StringVar(&o.gosv, "gosv", "bin/gosv", "the `TOOL` to run guests with")
	flag.StringVar(&o.memory, "m", "4G", "`SIZE` of the guest's memory")
	flag.IntVar(&o.cpus, "c", 2, "`NUMBER` of the guest's CPUs")
	flag.IntVar(&o.batch, "batch", 8, "run `NUMBER` suites in one guest")
	flag.IntVar(&o.stall, "stall", 60, "`SECONDS` that one test may wait; it may work for five times as long")
	flag.IntVar(&o.total, "total", 540, "`SECONDS` that one suite may take in the guest; long ones take more")
	flag.BoolVar(&o.retry, "retry", true, "run what failed in the guest alone a second time")
	flag.BoolVar(&o.more, "more", false, "keep what the last run knows, and run the rest and what failed in the guest only")
	flag.BoolVar(&o.list, "list", false, "list the suites")
	flag.BoolVar(&o.verbose, "v", false, "print each test that differs, with its output")
	flag.Parse()
	if err := o.run(); err != nil {
		fmt.Fprintln(os.Stderr, "suites:", err)
		os.Exit(1)
	}
}

func (o *options) run() error {
	match, err := regexp.Compile("^(?:" + o.match + ")$")
	if o.match == "." {
		match, err = regexp.Compile("")
	}
	if err != nil {
		return err
	}
	var chosen []suite
	all := suites()
	for _, s := range all {
		if match.MatchString(s.name) {
			chosen = append(chosen, s)
		}
	}
	if o.list {
		for _, s := range chosen {
			fmt.Println(s.name)
		}
		return nil
	}
	if o.dir, err = filepath.Abs(o.dir); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Join(o.dir, "bin"), 0o755); err != nil {
		return err
	}
	if o.match != "-" { // which runs nothing and writes the tables
		if err := o.runAll(chosen); err != nil {
			return err
		}
	}
	if o.output != "" {
		return writeTables(o.output, o.dir, all)
	}
	return nil
}

func (o *options) runAll(chosen []suite) error {
	build := exec.Command("go", "build", "-o", filepath.Join(o.dir, "inside"), "gosv/test/suites/inside")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("%v: %w\n%s", build.Args, err, out)
	}
	for len(chosen) > 0 {
		n := min(o.batch, len(chosen))
		if err := o.runBatch(chosen[:n]); err != nil {
			return err
		}
		chosen = chosen[n:]
	}
	return nil
}

// runBatch runs some suites on both targets, keeps the results and prints a line for each.
func (o *options) runBatch(batch []suite) error {
	var runs []*comparison
	var plans []plan.Suite
	files := map[string]string{}
	for _, s := range batch {
		p, err := s.prepare(o, files)
		if errors.Is(err, errNoTests) {
			continue
		}
		if missing := (*missingError)(nil); errors.As(err, &missing) {
			fmt.Printf("%s: not run: %v\n", s.name, err)
			continue
		}
		if err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		p.Stall, p.Total = o.stall, max(o.total, long[s.pkg])
		c := &comparison{Suite: s.name}
		if old, err := load(o.dir, s.name); o.more && err == nil {
			c = old
			failed := c.unexplained()
			if len(failed) == 0 && c.Guest.Trouble == "" && c.Guest.Tests != nil {
				continue
			}
			for _, t := range failed {
				delete(c.Guest.Tests, t)
			}
			p.Skip = append(p.Skip, sorted(&c.Guest)...)
		}
		plans, runs = append(plans, p), append(runs, c)
	}
	if o.test != "" {
		return o.some(plans, files)
	}
	var rest []plan.Suite
	for i, c := range runs {
		if c.Host.Tests == nil {
			rest = append(rest, plans[i])
		}
	}
	start := time.Now()
	for name, r := range o.host(rest) {
		c := find(runs, name)
		c.Host = *r
		if err := c.save(o.dir); err != nil { // what -more keeps if the guest is interrupted
			return err
		}
	}
	took := time.Since(start)
	start = time.Now()
	keep := func(all map[string]*results) { // what -more goes on with
		for name, r := range all {
			if c := find(runs, name).with(r); len(r.Tests) > 0 {
				c.save(o.dir) //nolint:errcheck // the end says so
			}
		}
	}
	for name, r := range o.guest(plans, files, keep) {
		find(runs, name).Guest.merge(r)
	}
	fmt.Printf("%v on the host, %v in the guest\n", took.Round(time.Second), time.Since(start).Round(time.Second))
	if o.retry {
		o.again(runs, plans, files)
	}
	for _, c := range runs {
		if err := c.save(o.dir); err != nil {
			return err
		}
		fmt.Println(c.summary())
		for _, t := range c.unexplained() {
			fmt.Printf("    %s\n", t)
			if o.verbose {
				fmt.Println(indent(c.Guest.Tests[t].Output))
			}
		}
	}
	return nil
}

// again runs what failed in the guest only, for no known reason, a second time, each suite in a guest of its own.
func (o *options) again(runs []*comparison, plans []plan.Suite, files map[string]string) {
	for i, c := range runs {
		failed := c.unexplained()
		if len(failed) == 0 || len(failed) > 40 {
			continue
		}
		p := plans[i]
		p.Skip = others(&c.Guest, failed)
		second := o.guest([]plan.Suite{p}, files, nil)[c.Suite]
		for _, t := range failed {
			if r, ok := second.Tests[t]; ok {
				r.Again = true
				c.Guest.Tests[t] = r
			}
		}
	}
}

// some runs chosen tests and prints what they say.
func (o *options) some(plans []plan.Suite, files map[string]string) error {
	match, err := regexp.Compile(o.test)
	if err != nil {
		return err
	}
	for i := range plans {
		p := &plans[i]
		tests, err := listTests(p)
		if err != nil {
			return err
		}
		for _, t := range tests {
			if !match.MatchString(t) {
				p.Skip = append(p.Skip, t)
			}
		}
	}
	host, guest := o.host(plans), o.guest(plans, files, nil)
	for _, p := range plans {
		h, g := host[p.Name], guest[p.Name]
		fmt.Printf("%s: %s\n", p.Name, strings.Join([]string{h.Trouble, g.Trouble}, " / "))
		for _, t := range sorted(h, g) {
			fmt.Printf("  %s: host %s %.2f s, guest %s %.2f s\n", t, h.Tests[t].Result, h.Tests[t].Seconds, g.Tests[t].Result, g.Tests[t].Seconds)
			if h.Tests[t].Result == plan.Fail {
				fmt.Println("    host:\n" + indent(h.Tests[t].Output))
			}
			if g.Tests[t].Result != plan.Pass {
				fmt.Println("    guest:\n" + indent(g.Tests[t].Output))
			}
		}
	}
	return nil
}

func indent(s string) string {
	return "        " + strings.ReplaceAll(strings.TrimRight(s, "\n"), "\n", "\n        ")
}
