package syscalls

import (
	"os"
	"regexp"
	"testing"
)

// Each call that can wait for ever has a case in the guest programs that kills the
// wait, and nothing else has one.
func TestBlockingCallsAreKilled(t *testing.T) {
	cases := map[string]bool{}
	for _, file := range []string{"killed.c", "killednet.c"} {
		text, err := os.ReadFile("../../test/guest/c/" + file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`(?m)^\t\{"([a-z0-9_]+)[^"]*", `).FindAllStringSubmatch(string(text), -1) {
			cases[m[1]] = true
		}
	}
	for r := range Rows {
		switch {
		case r.Blocks && !cases[r.Name]:
			t.Errorf("%s can wait, and no case of test/guest/c/killed.c kills the wait", r.Name)
		case !r.Blocks && cases[r.Name]:
			t.Errorf("%s has a case in test/guest/c/killed.c, but its row does not say Blocks", r.Name)
		}
		delete(cases, r.Name)
	}
	for name := range cases {
		t.Errorf("a case of test/guest/c/killed.c is for %s, which is no system call", name)
	}
}
