package apps

import (
	"fmt"
	"os"
	"regexp"
	"testing"
	"time"

	"gosv/test/target"
)

// stressors are those of stress-ng that must pass.
var stressors = []string{"cpu", "vm", "mmap", "fork", "pipe", "futex", "signal", "timer", "epoll", "sock"}

var stressFailure = regexp.MustCompile(`(?m)^stress-ng: (fail|error): .*$`)

// TestStress runs stress-ng, two workers of each stressor, which check what they
// get. With full loads each has a guest and half a minute; else all share one.
func TestStress(t *testing.T) {
	target.Gosv(t)
	const program = "/usr/bin/stress-ng"
	if _, err := os.Stat(program); err != nil {
		missing(t, program)
	}
	run := func(t *testing.T, seconds int, names ...string) {
		argv := []string{program, "--temp-path", "/tmp", "--verify", "--metrics-brief", "--timeout", fmt.Sprint(seconds)}
		if len(names) == 1 {
			argv = append(argv, "--"+names[0], "2")
		} else {
			list := ""
			for _, n := range names {
				list += "," + n
			}
			argv = append(argv, "--sequential", "2", "--with", list[1:])
		}
		r := target.Run(t, target.Machine{CPUs: 2, Memory: 512}, time.Duration(len(names)*(seconds*2+30))*time.Second, "", nil, argv...)
		out := append(r.Stdout, r.Stderr...)
		if r.Trouble != "" || r.Status != 0 || stressFailure.Match(out) {
			t.Errorf("status %d %s\n%s", r.Status, r.Trouble, out)
		}
		for _, line := range regexp.MustCompile(`(?m)^stress-ng: metrc: .*\d$`).FindAll(out, -1) {
			t.Logf("%s", line)
		}
	}
	if !full {
		run(t, 1, stressors...)
		return
	}
	for _, name := range stressors {
		t.Run(name, func(t *testing.T) { run(t, 30, name) })
	}
}
