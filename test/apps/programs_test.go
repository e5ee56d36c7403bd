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
		if !t.Skipped() {
			keepAs(t, t.Name(), program, what, !t.Failed())
		}
	})
}

// keepAs does so at once, under a name.
func keepAs(t *testing.T, name, program, what string, passed bool) {
	t.Helper()
	p := plan.Program{Test: name, Program: packageOf(program), What: what, Load: load("short", "full"), Passed: passed,
		Date: time.Now().UTC().Format(time.DateOnly)}
	if err := p.Keep(filepath.Join(target.Root(), "build/suites/programs")); err != nil {
		t.Error(err)
	}
}

// summary is a command as a reader needs it.
func (a *app) summary() string {
	var words []string
	for i, w := range a.argv {
		w, _, more := strings.Cut(strings.TrimSpace(w), "\n")
		if strings.HasPrefix(w, "/") {
			w = filepath.Base(w)
		}
		if r := []rune(w); len(r) > 40 || more {
			w = string(r[:min(len(r), 40)]) + "…"
		}
		if i > 0 && strings.ContainsAny(w, " {[($;") {
			w = "'" + w + "'"
		}
		words = append(words, w)
	}
	return "`" + strings.ReplaceAll(strings.Join(words, " "), "|", "\\|") + "`"
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
