package main

import (
	"encoding/json"
	"fmt"
	"iter"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"gosv/test/suites/plan"
)

// outcome is what became of a test function.
type outcome struct {
	Result  string
	Seconds float64
	Output  string `json:",omitempty"`
	Again   bool   `json:",omitempty"` // of a second run
}

// results are those of a suite on one target.
type results struct {
	Listed  []string
	Tests   map[string]outcome
	Seconds float64
	Trouble string `json:",omitempty"`

	began   time.Time
	running string
	ended   bool
}

// merge takes over the results of a further run.
func (r *results) merge(more *results) {
	if r.Tests == nil {
		*r = *more
		return
	}
	maps.Copy(r.Tests, more.Tests)
	r.Listed, r.Trouble = more.Listed, more.Trouble
	r.Seconds += more.Seconds
}

// interrupted is the trouble of a suite whose run goes on.
const interrupted = "interrupted"

// with is the comparison with what is known so far of a run in the guest.
func (c *comparison) with(so *results) *comparison {
	n := *c
	n.Guest.Tests = maps.Clone(c.Guest.Tests)
	n.Guest.merge(&results{Listed: so.Listed, Tests: maps.Clone(so.Tests), Seconds: so.Seconds, Trouble: so.Trouble})
	if !so.ended {
		n.Guest.Trouble = interrupted
	}
	return &n
}

// comparison is a suite on both targets.
type comparison struct {
	Suite       string
	Host, Guest results
}

func mapsKeys[V any](m map[string]V) iter.Seq[string] { return maps.Keys(m) }

func find(all []*comparison, name string) *comparison {
	return all[slices.IndexFunc(all, func(c *comparison) bool { return c.Suite == name })]
}

func (c *comparison) save(dir string) error {
	b, err := json.MarshalIndent(c, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(resultFile(dir, c.Suite), b, 0o644)
}

func load(dir, name string) (*comparison, error) {
	b, err := os.ReadFile(resultFile(dir, name))
	if err != nil {
		return nil, err
	}
	c := new(comparison)
	return c, json.Unmarshal(b, c)
}

func resultFile(dir, name string) string {
	return filepath.Join(dir, strings.NewReplacer("/", "_", " ", "_", "(", "", ")", "").Replace(name)+".json")
}

// hostOnly are the tests that pass on the host and do not in the guest.
func (c *comparison) hostOnly() (names []string) {
	for _, t := range sorted(&c.Host) {
		if c.Host.Tests[t].Result == plan.Pass && c.Guest.Tests[t].Result != plan.Pass {
			names = append(names, t)
		}
	}
	return names
}

// unexplained are those of them for which there is no reason.
func (c *comparison) unexplained() []string {
	return slices.DeleteFunc(c.hostOnly(), func(t string) bool { return reasonFor(c.Suite, t) != "" })
}

// count is how many tests have one result on the host and another in the guest; "" is any.
func (c *comparison) count(host, guest string) (n int) {
	for _, t := range sorted(&c.Host, &c.Guest) {
		h, g := c.Host.Tests[t].Result, c.Guest.Tests[t].Result
		if (host == "" || h == host) && (guest == "" || g == guest) {
			n++
		}
	}
	return n
}

func (c *comparison) summary() string {
	text := fmt.Sprintf("%s: %d pass on the host, %d of them in the guest, %d fail on the host, %d skipped there, %.0f and %.0f s", c.Suite,
		c.count(plan.Pass, ""), c.count(plan.Pass, plan.Pass), c.count(plan.Fail, ""), c.count(plan.Skip, ""), c.Host.Seconds, c.Guest.Seconds)
	if c.Host.Trouble != "" {
		text += "\n    host: " + c.Host.Trouble
	}
	if c.Guest.Trouble != "" {
		text += "\n    guest: " + c.Guest.Trouble
	}
	return text
}

// sorted are the names of all tests that have a result.
func sorted(all ...*results) (names []string) {
	for _, r := range all {
		if r != nil {
			names = slices.AppendSeq(names, maps.Keys(r.Tests))
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// others are the tests that are not among some.
func others(r *results, some []string) []string {
	return slices.DeleteFunc(slices.Clone(r.Listed), func(t string) bool { return slices.Contains(some, t) })
}
