// Package exhaust has programs make objects of the kernel without end, one kind after the other and two at once, and looks whether the
// machine gets over each: the program is refused or killed, its parent goes on, and the kernel has back what it gave.
//
// The program is test/guest/exhaust/exhaust.c. It does not run on this machine: Linux's answer is to kill whatever it likes best.
package exhaust

import (
	"fmt"
	"math/rand/v2"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"gosv/test/target"
)

// kinds is how many kinds of objects the program knows, at least: a run that stops early is no success.
const kinds = 65

var verdict = regexp.MustCompile(`(?m)^(ok|not ok) .*$`)

// run runs the program in a guest and returns its lines.
func run(t *testing.T, m target.Machine, limit time.Duration, args ...string) []string {
	t.Helper()
	bin := target.Build(t, target.Program{Source: "exhaust/exhaust.c", Linking: target.Static})
	r := target.Run(t, m, limit, "", nil, append([]string{bin}, args...)...)
	lines := verdict.FindAllString(string(r.Stdout), -1)
	for _, l := range lines {
		if strings.HasPrefix(l, "not ok") {
			t.Error(l)
		}
	}
	if r.Trouble != "" || r.Status != 0 {
		t.Errorf("status %d, %s, after %d kinds\n%s%s%s", r.Status, r.Trouble, len(lines), r.Stdout, r.Stderr, r.Log)
	}
	return lines
}

// TestKinds makes each kind of object by itself.
func TestKinds(t *testing.T) {
	for _, c := range []struct {
		memory int64
		cpus   int
		args   []string
		full   bool
	}{
		{64, 2, nil, false},
		{64, 1, []string{"-u"}, false},
		{64, 1, nil, true},
		{128, 2, nil, true},
		{128, 1, []string{"-u"}, true},
		{512, 2, nil, true},
		{512, 2, []string{"-u"}, true},
	} {
		user := "root"
		if len(c.args) > 0 {
			user = "user"
		}
		m := target.Machine{Memory: c.memory, CPUs: c.cpus}
		t.Run(fmt.Sprintf("%v/%s", m, user), func(t *testing.T) {
			seconds := "5"
			if c.full {
				if os.Getenv("GOSV_TEST_FULL") == "" {
					t.Skip("GOSV_TEST_FULL=1 runs it")
				}
				seconds = "20"
			}
			lines := run(t, m, 20*time.Minute, append([]string{"-s", seconds}, c.args...)...)
			if len(lines) < kinds {
				t.Errorf("%d kinds, want %d", len(lines), kinds)
			}
		})
	}
}

// TestLong makes two kinds at a time, in a random order, for as long as GOSV_TEST_EXHAUST says, on one CPU and on two.
func TestLong(t *testing.T) {
	d, err := time.ParseDuration(os.Getenv("GOSV_TEST_EXHAUST"))
	if err != nil {
		t.Skip("GOSV_TEST_EXHAUST=1h runs it for an hour")
	}
	for cpus := 1; cpus <= 2; cpus++ {
		m := target.Machine{Memory: 64, CPUs: cpus}
		t.Run(m.String(), func(t *testing.T) {
			seed := strconv.FormatUint(uint64(rand.Uint32()), 10)
			t.Log("seed", seed)
			lines := run(t, m, d+10*time.Minute, "-s", "5", "-t", strconv.Itoa(int(d.Seconds())), "-r", seed)
			t.Log(len(lines), "pairs")
			if len(lines) == 0 {
				t.Error("nothing ran")
			}
		})
	}
}
