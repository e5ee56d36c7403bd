package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"gosv/test/suites/plan"
)

// The tables stand between these lines of the document.
const (
	beginMark = "<!-- suites: begin (written by make suites) -->"
	endMark   = "<!-- suites: end -->"
)

// writeTables puts the tables of what was kept in dir into a document.
func writeTables(file, dir string, all []suite) error {
	old, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	before, rest, ok := bytes.Cut(old, []byte(beginMark))
	_, after, ok2 := bytes.Cut(rest, []byte(endMark))
	if !ok || !ok2 {
		return fmt.Errorf("%s has no line %q, or none %q after it", file, beginMark, endMark)
	}
	text := tables(dir, all)
	return os.WriteFile(file, slices.Concat(before, []byte(beginMark+"\n\n"+text+"\n"+endMark), after), 0o644)
}

func tables(dir string, all []suite) string {
	var rows [3][]*comparison
	var missing []string
	for _, s := range all {
		c, err := load(dir, s.name)
		if err != nil || c.Guest.Tests == nil {
			missing = append(missing, strings.TrimPrefix(s.name, "python "))
			continue
		}
		at := 0
		switch s.kind {
		case cgoKind:
			at = 1
		case pythonKind:
			at = 2
		}
		rows[at] = append(rows[at], c)
	}
	var b strings.Builder
	writePrograms(&b, plan.Programs(filepath.Join(dir, "programs")))
	fmt.Fprintf(&b, "### Go's standard library\n\nThe tests of %s, `go test -c`, run with `-test.short`. ", goEnv("GOVERSION"))
	b.WriteString(`A function is a Test, an Example or a Fuzz target with its seeds. "Host" are the functions that pass on the host, "guest" those of
them that pass in the guest. Functions that neither target runs are not counted: they skip themselves with ` + "`-test.short`" + `, for want of another
system, or because they build programs with the go command, which is not in the image.

`)
	writeTable(&b, append(rows[0], rows[1]...), "package")
	if len(rows[2]) > 0 {
		fmt.Fprintf(&b, "\n### Python's own tests\n\nThe package test of %s (Debian's libpython3.11-testsuite), method by method.\n\n", pythonVersion())
		writeTable(&b, rows[2], "module")
	}
	if len(missing) > 0 {
		fmt.Fprintf(&b, "\nNot run to the end yet: %s.\n", strings.Join(missing, ", "))
	}
	return b.String()
}

// writePrograms writes the table of what package apps has kept.
func writePrograms(b *strings.Builder, rows []plan.Program) {
	if len(rows) == 0 {
		return
	}
	b.WriteString("### Programs\n\nWhat `go test ./test/apps` ran last: each program on the host and in the guest, their output and exit status compared. Full\n" +
		"loads are those of `make apps`.\n\n| test | package | what it does | load | result | on |\n|---|---|---|---|---|---|\n")
	for _, p := range rows {
		result := "as on the host"
		if !p.Passed {
			result = "**fails**"
		}
		fmt.Fprintf(b, "| %s | %s | %s | %s | %s | %s |\n", strings.TrimPrefix(p.Test, "Test"), p.Program, p.What, p.Load, result, p.Date)
	}
	b.WriteString("\n")
}

func pythonVersion() string {
	out, err := exec.Command(python, "--version").Output()
	if err != nil {
		return "Python"
	}
	return strings.TrimSpace(string(out))
}

func writeTable(b *strings.Builder, rows []*comparison, what string) {
	if len(rows) == 0 {
		return
	}
	fmt.Fprintf(b, "| %s | host | guest | fail on both | why not in the guest |\n|---|---:|---:|---:|---|\n", what)
	var host, guest, both int
	var quiet []*comparison // all alike
	for _, c := range rows {
		h, g, f := c.count(plan.Pass, ""), c.count(plan.Pass, plan.Pass), c.count(plan.Fail, plan.Fail)
		host, guest, both = host+h, guest+g, both+f
		if h == g && f == 0 && c.Guest.Trouble == "" && len(rows) > 30 && strings.Contains(c.Suite, "/") {
			quiet = append(quiet, c)
			continue
		}
		fmt.Fprintf(b, "| %s | %d | %d | %s | %s |\n", strings.TrimPrefix(c.Suite, "python "), h, g, dash(f), c.why())
	}
	if len(quiet) > 0 {
		n := 0
		var names []string
		for _, c := range quiet {
			n += c.count(plan.Pass, "")
			names = append(names, c.Suite)
		}
		fmt.Fprintf(b, "| %d more | %d | %d | | %s |\n", len(quiet), n, n, strings.Join(names, ", "))
	}
	tenths := 1000 * guest / max(host, 1) // rounded down: 100 % is all
	fmt.Fprintf(b, "| **all** | **%d** | **%d** | **%d** | %d.%d %% |\n", host, guest, both, tenths/10, tenths%10)
}

func dash(n int) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprint(n)
}

// why lists the functions that pass on the host only, those with one reason together.
func (c *comparison) why() string {
	var texts []string
	names := map[string][]string{}
	for _, t := range c.hostOnly() {
		text := reasonFor(c.Suite, t)
		if text == "" {
			text = "?"
		}
		if names[text] == nil {
			texts = append(texts, text)
		}
		names[text] = append(names[text], t)
	}
	var parts []string
	for _, text := range texts {
		list := names[text]
		head := strings.Join(list, ", ")
		if len(list) > 6 {
			head = fmt.Sprintf("%s and %d more", strings.Join(list[:5], ", "), len(list)-5)
		}
		parts = append(parts, head+": "+text)
	}
	if c.Guest.Trouble != "" {
		first, _, _ := strings.Cut(c.Guest.Trouble, "\n")
		parts = append(parts, first)
	}
	return strings.ReplaceAll(strings.Join(parts, "; "), "|", "\\|")
}
