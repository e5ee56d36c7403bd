package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gosv/test/suites/plan"
	"gosv/test/target"
)

// sample are suites that take seconds and together reach files, processes, signals and threads. All of them are make suites.
var sample = []string{"io/fs", "os", "os/exec", "os/signal", "path/filepath", "sync", "syscall", "net/http/cgi"}

// TestSample runs a part of Go's own tests: what passes on this machine passes in the guest, but for what has a reason.
func TestSample(t *testing.T) {
	o := options{gosv: target.Gosv(t), dir: filepath.Join(target.Root(), "build/suites-sample"), memory: "512M", cpus: 2, batch: len(sample),
		stall: 60, total: 300, retry: true}
	if os.Getenv("GOSV_TEST_BIN") != "" {
		t.Setenv("GOSV_KERNEL", target.Kernel(t))
	}
	if err := os.MkdirAll(filepath.Join(o.dir, "bin"), 0o755); err != nil {
		t.Fatal(err)
	}
	// Renames of every kind of file by every kind of path: a minute in the guest.
	skipped := map[string]string{"os": "^TestRootMulti"}
	var chosen []suite
	for _, name := range sample {
		chosen = append(chosen, suite{name: name, kind: goKind, pkg: name, skip: skipped[name]})
	}
	if err := o.runAll(chosen); err != nil {
		t.Fatal(err)
	}
	for _, s := range chosen {
		c, err := load(o.dir, s.name)
		if err != nil {
			t.Fatal(err)
		}
		if c.Host.Trouble != "" || c.Guest.Trouble != "" || c.count(plan.Pass, plan.Pass) == 0 {
			t.Errorf("%s: host: %q, guest: %q", s.name, c.Host.Trouble, c.Guest.Trouble)
		}
		for _, name := range c.unexplained() {
			t.Errorf("%s: %s: %s in the guest\n%s", s.name, name, c.Guest.Tests[name].Result, c.Guest.Tests[name].Output)
		}
	}
}

func TestReasons(t *testing.T) {
	if reasonFor("syscall", "TestCloneTimeNamespace") != noNamespaces || reasonFor("os", "TestCloneTimeNamespace") != "" {
		t.Error("a pattern does not match, or matches too much")
	}
}

// TestKept is what -more goes on with after a run that was interrupted.
func TestKept(t *testing.T) {
	c := &comparison{Suite: "s", Guest: results{Tests: map[string]outcome{"TestOld": {Result: plan.Pass}}}}
	so := &results{Listed: []string{"TestOld", "TestNew"}, Tests: map[string]outcome{"TestNew": {Result: plan.Pass}}}
	n := c.with(so)
	if n.Guest.Trouble != interrupted || len(n.Guest.Tests) != 2 {
		t.Errorf("%+v", n.Guest)
	}
	if len(c.Guest.Tests) != 1 || c.Guest.Trouble != "" || len(so.Tests) != 1 {
		t.Errorf("changed: %+v, %+v", c.Guest, so)
	}
	so.ended = true
	if n := c.with(so); n.Guest.Trouble != "" {
		t.Errorf("ended: %q", n.Guest.Trouble)
	}
	fresh := (&comparison{Suite: "s"}).with(so)
	fresh.Guest.Tests["TestMore"] = outcome{}
	if len(so.Tests) != 1 {
		t.Error("the tests of a run are shared with what is kept")
	}
}

// TestTables writes a document twice: what was not run again keeps its lines.
func TestTables(t *testing.T) {
	dir := t.TempDir()
	doc := filepath.Join(dir, "doc.md")
	before := "# Title\n<!-- programs: begin -->\nkept\n<!-- programs: end -->\n<!-- go: begin -->\nkept too\n<!-- go: end -->\n<!-- python: begin -->\n" +
		"| module | host | guest | fail on both | why not in the guest |\n|---|---:|---:|---:|---|\n| test_os | 12 | 10 | 1 | a \\| b: because |\n" +
		"| test_gone | 1 | 1 |  |  |\n| test_json | 4 | 4 |  |  |\n| **all** | **17** | **15** | **1** | 88.2 % |\n<!-- python: end -->\nend\n"
	if err := os.WriteFile(doc, []byte(before), 0o600); err != nil {
		t.Fatal(err)
	}
	all := []suite{{"io", goKind, "io", ""}, {"python test_os", pythonKind, "test_os", ""}, {"python test_json", pythonKind, "test_json", ""}, {"python test_mmap", pythonKind, "test_mmap", ""}}
	c := &comparison{Suite: "python test_json", Host: results{Tests: map[string]outcome{"a": {Result: plan.Pass}, "b": {Result: plan.Pass}}},
		Guest: results{Tests: map[string]outcome{"a": {Result: plan.Pass}, "b": {Result: plan.Fail}}}}
	if err := c.save(dir); err != nil {
		t.Fatal(err)
	}
	if err := writeTables(doc, dir, all); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(doc)
	if err != nil {
		t.Fatal(err)
	}
	got := string(b)
	for _, want := range []string{"\nkept\n", "\nkept too\n", "| test_os | 12 | 10 | 1 | a \\| b: because |\n| test_json | 2 | 1 |  | b: ? |\n| **all** | **14** | **11** | **1** | 78.5 % |\n",
		"Not run to the end yet: test_mmap.\n", "<!-- python: end -->\nend\n"} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
	if strings.Contains(got, "test_gone") {
		t.Error("a module that is no longer run has its line still")
	}
	if err := os.WriteFile(doc, []byte("# Title\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if writeTables(doc, dir, all) == nil {
		t.Error("a document without places for the tables is written")
	}
}
