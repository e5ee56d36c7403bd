package target

import (
	"bytes"
	"slices"
	"testing"
)

func TestSplit(t *testing.T) {
	b := []byte("boot\n@@ gosv batch 0\none\n@@ gosv batch 1\n@@ gosv batch 2\nno newline@@ gosv batch 3\nlast")
	got := split(b, 4)
	want := []string{"one\n", "", "no newline", "last"}
	for i := range want {
		if string(got[i]) != want[i] {
			t.Errorf("part %d: got %q, want %q", i, got[i], want[i])
		}
	}
	if got := split([]byte("nothing"), 2); !slices.EqualFunc(got, [][]byte{nil, nil}, bytes.Equal) {
		t.Errorf("no markers: %q", got)
	}
}

func TestWatcher(t *testing.T) {
	w := new(watcher)
	for _, l := range []string{"@@ gosv batch 0 status=0", "noise", "@@ gosv batch 1 status=139 signal=SIGSEGV", "@@ gosv batch 7 status=1"} {
		w.line(l)
	}
	if !slices.Equal(w.status, []int{0, 139}) {
		t.Errorf("statuses %v", w.status)
	}
}
