package main

import (
	"os"
	"reflect"
	"strings"
	"testing"
)

func tree(t *testing.T) *graph {
	t.Helper()
	g, err := load(".", os.Environ(), "./testdata/tree")
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func groups(g *graph) []string {
	var list []string
	for _, c := range g.cycles() {
		list = append(list, strings.ReplaceAll(strings.Join(c, " "), "test/lint/recursion/testdata/tree.", ""))
	}
	return list
}

func TestKinds(t *testing.T) {
	want := []string{
		"(*Node).Prune",
		"(*Node).Walk",
		"(byDepth).Less Depth",
		"Even Odd",
		"Sorted Sorted$1",
		"Visit$1",
	}
	if got := groups(tree(t)); !sameSet(got, want) {
		t.Errorf("found %q\nwant %q", got, want)
	}
}

func sameSet(a, b []string) bool {
	set := func(l []string) map[string]bool {
		m := map[string]bool{}
		for _, s := range l {
			m[s] = true
		}
		return m
	}
	return reflect.DeepEqual(set(a), set(b))
}

func TestRows(t *testing.T) {
	const p = "test/lint/recursion/testdata/tree."
	g := tree(t)
	stale := g.cut([]row{
		{"(*" + p + "Node).Prune", "(*" + p + "Node).Prune", ""},
		{"(*" + p + "Node).Walk", "(" + p + "Walker).Walk", ""},
		{p + "Even", p + "Odd", ""},
		{p + "Visit", p + "Visit$1", "a call into a cycle, not inside one"},
		{p + "Gone", p + "Gone", ""},
	})
	if len(stale) != 2 || stale[0].from != p+"Visit" || stale[1].from != p+"Gone" {
		t.Errorf("stale: %q", stale)
	}
	if got := groups(g); !sameSet(got, []string{"(byDepth).Less Depth", "Sorted Sorted$1", "Visit$1"}) {
		t.Errorf("left: %q", got)
	}
}
