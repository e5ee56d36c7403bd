package apps

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gosv/test/suites/plan"
	"gosv/test/target"
)

// keep writes down what became of the test, for the table of programs in docs/compatibility.md. The program is a path, or a
// text if it is of no package of Debian.
func keep(t *testing.T, program, what string) {
	t.Helper()
	t.Cleanup(func() {
		if t.Skipped() {
			return
		}
		p := plan.Program{Test: t.Name(), Program: packageOf(program), What: what, Load: load("short", "full"), Passed: !t.Failed(),
			Date: time.Now().UTC().Format(time.DateOnly)}
		if err := p.Keep(filepath.Join(target.Root(), "build/suites/programs")); err != nil {
			t.Error(err)
		}
	})
}

// packageOf is Debian's package of a file, with its version.
func packageOf(program string) string {
	path, err := filepath.EvalSymlinks(program)
	if err != nil {
		return program
	}
	for _, p := range []string{path, strings.TrimPrefix(path, "/usr")} { // packages know either
		out, err := exec.Command("dpkg-query", "-S", p).Output()
		name, _, ok := strings.Cut(string(out), ":")
		if err != nil || !ok {
			continue
		}
		if out, err = exec.Command("dpkg-query", "-W", "-f", "${Package} ${Version}\n", name).Output(); err == nil {
			name, _, _ := strings.Cut(string(out), "\n")
			return name
		}
	}
	return program
}
