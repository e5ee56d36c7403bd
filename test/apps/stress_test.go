package apps

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"gosv/test/target"
)

// stressors are those of stress-ng that must pass.
var stressors = []string{"cpu", "vm", "mmap", "fork", "pipe", "futex", "signal", "timer", "epoll", "sock"}

var (
	stressFailure = regexp.MustCompile(`(?m)^stress-ng: (fail|error): .*$`)
	stressMetric  = regexp.MustCompile(`(?m)^stress-ng: metrc: .*\d$`)
)

// TestStress runs stress-ng, two workers of each stressor, which check what they
// get. With full loads each has a guest and half a minute; else all share one.
func TestStress(t *testing.T) {
	target.Gosv(t)
	const program = "/usr/bin/stress-ng"
	if _, err := os.Stat(program); err != nil {
		missing(t, program)
	}
	keep(t, program, "the stressors "+strings.Join(stressors, " ")+", each checking what it gets (`--verify`)")
	run := func(t *testing.T, limit time.Duration, args ...string) {
		argv := append([]string{program, "--temp-path", "/tmp", "--metrics-brief", "--verify"}, args...)
		r := target.Run(t, target.Machine{CPUs: 2, Memory: 512}, limit, "", nil, argv...)
		out := append(r.Stdout, r.Stderr...)
		if r.Trouble != "" || r.Status != 0 || stressFailure.Match(out) || !bytes.Contains(out, []byte("successful run completed")) {
			t.Errorf("status %d %s\n%s", r.Status, r.Trouble, out)
		}
		for _, line := range stressMetric.FindAll(out, -1) {
			t.Logf("%s", line)
		}
	}
	if !full {
		jobs := "run sequential\ntimeout 1\n"
		for _, name := range stressors {
			jobs += name + " 2\n"
		}
		file := filepath.Join(t.TempDir(), "jobs")
		if err := os.WriteFile(file, []byte(jobs), 0o644); err != nil {
			t.Fatal(err)
		}
		run(t, limit, "--job", file)
		return
	}
	for _, name := range stressors {
		t.Run(name, func(t *testing.T) { run(t, limit, "--"+name, "2", "--timeout", "30") })
	}
}
