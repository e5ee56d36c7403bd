package main

import (
	"bytes"
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	got := parse([]byte("noise\r\nUB-START\r\nUB getppid 345.0 ns\r\nUB pipe FAIL 5\r\nUB a b\r\nUB x 1.5 us/round\r\n"))
	if len(got) != 2 || got["getppid"] != 345 || got["x"] != 1.5 {
		t.Errorf("got %v", got)
	}
}

func TestInitramfs(t *testing.T) {
	b := initramfs([]byte("program"))
	if len(b)%4 != 0 || !bytes.HasPrefix(b, []byte("070701")) || !bytes.Contains(b, []byte("dev/console\x00")) || !bytes.Contains(b, []byte("TRAILER!!!")) {
		t.Errorf("not an archive: %q", b)
	}
	if n := bytes.Count(b, []byte("070701")); n != 6 {
		t.Errorf("%d entries", n)
	}
}

type fake struct{}

func (fake) name() string                      { return "fake" }
func (fake) kernel() string                    { return "" }
func (fake) command(machine) ([]string, error) { return nil, nil }

func (fake) serve(service, int) ([]string, error) { return nil, nil }

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
	row, _ = figure{name: "y", title: "T", unit: "ns", most: 2}.row(all)
	if row != "| T | ns | – | – | – | 2 ns |  |\n" {
		t.Errorf("%q", row)
	}
}
