package main

import (
	"slices"
	"strings"
	"testing"

	"gosv/test/suites/plan"
)

func TestParser(t *testing.T) {
	const out = `before
^=== RUN   TestA
    a_test.go:1: in A
^=== PAUSE TestA
^=== RUN   TestB
^=== RUN   TestB/sub
^    --- FAIL: TestB/sub (0.00s)
half a line^--- FAIL: TestB (0.25s)
^=== RUN   TestC
    c_test.go:2: not here
^--- SKIP: TestC (0.00s)
^=== RUN   TestD
^=== CONT  TestA
^--- PASS: TestA (1.00s)
^=== NAME  
^=== NAME  TestD
panic: everything`
	p := newParser()
	var got []string
	for l := range strings.SplitSeq(strings.ReplaceAll(out, "^", control), "\n") {
		for _, e := range p.line(l) {
			got = append(got, e.Test+" "+e.Result)
			switch {
			case e.Test == "TestB" && e.Result == plan.Fail && (e.Seconds != 0.25 || !strings.Contains(e.Output, "half a line")):
				t.Errorf("TestB: %+v", e)
			case e.Test == "TestC" && e.Result == plan.Skip && !strings.Contains(e.Output, "not here"):
				t.Errorf("TestC: %+v", e)
			}
		}
	}
	want := []string{"TestA start", "TestB start", "TestB fail", "TestC start", "TestC skip", "TestD start", "TestA pass"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if left := p.running(); !slices.Equal(left, []string{"TestD"}) {
		t.Errorf("left: %q", left)
	}
	if !strings.HasSuffix(p.tail(), "panic: everything") {
		t.Errorf("tail: %q", p.tail())
	}
}
