package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gosv/host/rootfs"
)

func TestParse(t *testing.T) {
	got := parse([]byte("noise\r\nUB-START\r\nUB getppid 345.0 ns\r\nUB pipe FAIL 5\r\nUB a b\r\nUB x 1.5 us/round\r\n"))
	if len(got) != 2 || got["getppid"] != 345 || got["x"] != 1.5 {
		t.Errorf("got %v", got)
	}
}

type fake struct{}

func (fake) name() string                      { return "fake" }
func (fake) kernel() string                    { return "" }
func (fake) command(machine) ([]string, error) { return nil, nil }

func (fake) serve(service, int, wire) ([]string, error) { return nil, nil }
func (fake) hold(string, *rootfs.Tree) error            { return nil }

func TestRow(t *testing.T) {
	all := []*results{{system: fake{}, values: map[string][]float64{"x": {3, 1, 2}}}, {system: fake{}, values: map[string][]float64{"x": {4, 4}}}}
	row, missed := figure{name: "x", title: "T", unit: "ns", share: 0.4, close: "work"}.row(all)
	if row != "| T | ns | 2 | 4 | 0.50 | 0.4 x Linux | missed |\n" || !strings.Contains(missed, "25 % over. What would close it: work.") {
		t.Errorf("%q %q", row, missed)
	}
	row, missed = figure{name: "x", title: "T", unit: "ns", most: 2}.row(all)
	if !strings.HasSuffix(row, "| 2 ns | met |\n") || missed != "" {
		t.Errorf("%q %q", row, missed)
	}
	row, missed = figure{name: "x", title: "T", unit: "1/s", times: 1.5, close: "work"}.row(all)
	if row != "| T | 1/s | 2 | 4 | 0.50 | at least 1.5 x | missed |\n" || !strings.Contains(missed, "67 % under. What would close it: work.") {
		t.Errorf("%q %q", row, missed)
	}
	// Of rounds 1, 2 and 3 the host was slow in the second, for both systems.
	rounds := []*results{{system: fake{}, values: map[string][]float64{"x": {6, 2, 9}}}, {system: fake{}, values: map[string][]float64{"x": {4, 1, 5}}}}
	row, missed = figure{name: "x", title: "T", unit: "1/s", times: 1.7, rounds: true}.row(rounds)
	if row != "| T | 1/s | 6 | 4 | 1.80 (1.50–2.00) | at least 1.7 x | met |\n" || missed != "" {
		t.Errorf("%q %q", row, missed)
	}
	row, _ = figure{name: "y", title: "T", unit: "ns", most: 2}.row(all)
	if row != "| T | ns | – | – | – | 2 ns |  |\n" {
		t.Errorf("%q", row)
	}
}

func TestSections(t *testing.T) {
	all := []*results{newResults(fake{}), newResults(fake{})}
	net := table{"N", "Text. ", "net1", []figure{{name: "x", title: "T", unit: "1/s"}}}
	if _, ok := net.section(all, map[string]string{"net2/redis": "today", "boots": "today"}); ok {
		t.Error("a section of which nothing was measured")
	}
	all[0].begin("net1/redis")
	all[0].add("x", 3)
	all[0].note("broke")
	text, ok := net.section(all, map[string]string{"net1/redis": "B", "net1/nginx": "A"})
	want := "\n## N\n\nText. Measured on B.\n\n| what | unit | gosv | Linux | ratio | budget | |\n|---|---|--:|--:|--:|---|---|\n" +
		"| T | 1/s | 3 | – | – |  |  |\n\nRuns that failed:\n\n- fake: broke\n"
	if !ok || text != want {
		t.Errorf("%q", text)
	}
	if got := section("# H\n\nhead\n"+text+"\n## M\n\nmethod\n", "N"); got != text {
		t.Errorf("%q", got)
	}
	if got := section("# H\n", "N"); got != "" {
		t.Errorf("%q", got)
	}
}

func TestKept(t *testing.T) {
	kernel, file := filepath.Join(t.TempDir(), "kernel"), filepath.Join(t.TempDir(), "results.json")
	open := func() (*kept, []*results) {
		all := []*results{newResults(fake{}), newResults(fake{})}
		k, err := loadKept(file, kernel, all)
		if err != nil {
			t.Fatal(err)
		}
		return k, all
	}
	if err := os.WriteFile(kernel, []byte("one"), 0o644); err != nil {
		t.Fatal(err)
	}
	measure := func(step, name string, v float64, note string) {
		k, all := open()
		fresh := []*results{newResults(fake{}), newResults(fake{})}
		fresh[0].begin(step)
		fresh[0].add(name, v)
		if note != "" {
			fresh[0].note("%s", note)
		}
		k.take(all, fresh)
		if err := k.save(all); err != nil {
			t.Fatal(err)
		}
	}
	measure("a", "x", 1, "failed")
	measure("b", "y", 2, "")
	measure("a", "x", 3, "")
	k, all := open()
	if x, _ := all[0].median("x"); x != 3 || len(all[0].notes["a"]) != 0 || k.When["a"] == "" || k.When["b"] == "" {
		t.Errorf("%+v %v", k, all[0])
	}
	if y, ok := all[0].median("y"); !ok || y != 2 {
		t.Errorf("y is %v", y)
	}
	if err := os.WriteFile(kernel, []byte("two"), 0o644); err != nil {
		t.Fatal(err)
	}
	if k, all = open(); len(all[0].values) != 0 || len(k.When) != 0 {
		t.Error("figures of another kernel")
	}
}
