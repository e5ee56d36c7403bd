package plan

import (
	"slices"
	"testing"
)

func TestPrograms(t *testing.T) {
	dir := t.TempDir()
	b := Program{Test: "TestB", Program: "b 1", Passed: true}
	a := Program{Test: "TestA/x", Program: "a 2", What: "something", Load: "short", Date: "2026-01-02"}
	old := b
	old.Passed = false
	for _, p := range []Program{old, a, b} {
		if err := p.Keep(dir); err != nil {
			t.Fatal(err)
		}
	}
	if got := Programs(dir); !slices.Equal(got, []Program{a, b}) {
		t.Errorf("%+v", got)
	}
}
