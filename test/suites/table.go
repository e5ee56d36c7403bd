package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"gosv/test/suites/plan"
)

// A section of the document stands between these lines. One of which nothing is known here stays as it is.
func marks(section string) (begin, end []byte) {
	return []byte("<!-- " + section + ": begin -->\n"), []byte("<!-- " + section + ": end -->")
}

// writeTables puts the tables of what was kept in dir into a document.
func writeTables(file, dir string, all []suite) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	for name, write := range map[string]func(b *strings.Builder, old string) bool{
		"programs": func(b *strings.Builder, _ string) bool {
			return writePrograms(b, plan.Programs(filepath.Join(dir, "programs")))
		},
		"go":     func(b *strings.Builder, _ string) bool { return writeGo(b, dir, all) },
		"python": func(b *strings.Builder, old string) bool { return writePython(b, dir, all, old) },
	} {
		begin, end := marks(name)
		before, rest, ok := bytes.Cut(text, begin)
		old, after, ok2 := bytes.Cut(rest, end)
		if !ok || !ok2 {
			return fmt.Errorf("%s has no line %q, or none %q after it", file, begin, end)
		}
		var b strings.Builder
		if write(&b, string(old)) {
			text = slices.Concat(before, begin, []byte("\n"+b.String()+"\n"), end, after)
		}
	}
	return os.WriteFile(file, text, 0o644)
}

// known are the comparisons that were kept of some kinds of suites, and the names of the other suites.
func known(dir string, all []suite, kinds ...kind) (rows []*comparison, missing []string) {
	for _, k := range kinds {
		for _, s := range all {
			if s.kind != k {
				continue
			}
			if c, err := load(dir, s.name); err == nil && c.Guest.Tests != nil {
				rows = append(rows, c)
			} else {
				missing = append(missing, strings.TrimPrefix(s.name, "python "))
			}
		}
	}
	return rows, missing
}

func writeGo(b *strings.Builder, dir string, all []suite) bool {
	rows, missing := known(dir, all, goKind, cgoKind)
	if len(rows) == 0 {
		return false
	}
	fmt.Fprintf(b, "The tests of %s, `go test -c`, run with `-test.short`, the last of them on %s. ", goEnv("GOVERSION"), lastRun(dir, rows))
	b.WriteString(`A function is a Test, an Example or a Fuzz target with its seeds. "Host" are the functions that pass on the host, "guest" those of
them that pass in the guest. Functions that neither target runs are not counted: they skip themselves with ` + "`-test.short`" + `, for want of another
system, or because they build programs with the go command, which is not in the image.

`)
	var lines, quiet []line
	for _, c := range rows {
		l := c.line()
		if l.host == l.guest && l.both == 0 && c.Guest.Trouble == "" && len(rows) > 30 && strings.Contains(c.Suite, "/") {
			quiet = append(quiet, l)
			continue
		}
		lines = append(lines, l)
	}
	if len(quiet) > 0 { // all alike
		more := line{name: fmt.Sprint(len(quiet), " more")}
		var names []string
		for _, l := range quiet {
			more.host, more.guest = more.host+l.host, more.guest+l.guest
			names = append(names, l.name)
		}
		more.why = strings.Join(names, ", ")
		lines = append(lines, more)
	}
	writeTable(b, lines, "package")
	writeMissing(b, missing)
	return true
}

// writePython keeps the lines of modules that were not run again.
func writePython(b *strings.Builder, dir string, all []suite, old string) bool {
	rows, missing := known(dir, all, pythonKind)
	if len(rows) == 0 {
		return false
	}
	fmt.Fprintf(b, "The package test of %s (Debian's libpython3.11-testsuite), method by method, the last of them on %s.\n\n", pythonVersion(), lastRun(dir, rows))
	before := parseLines(old)
	var lines []line
	for _, s := range all {
		if s.kind != pythonKind {
			continue
		}
		if i := slices.IndexFunc(rows, func(c *comparison) bool { return c.Suite == s.name }); i >= 0 {
			lines = append(lines, rows[i].line())
		} else if l, ok := before[s.pkg]; ok {
			lines = append(lines, l)
			missing = slices.DeleteFunc(missing, func(m string) bool { return m == s.pkg })
		}
	}
	writeTable(b, lines, "module")
	writeMissing(b, missing)
	return true
}

func writeMissing(b *strings.Builder, missing []string) {
	if len(missing) > 0 {
		fmt.Fprintf(b, "\nNot run to the end yet: %s.\n", strings.Join(missing, ", "))
	}
}

// lastRun is the day of the newest of some comparisons.
func lastRun(dir string, rows []*comparison) string {
	var last time.Time
	for _, c := range rows {
		if st, err := os.Stat(resultFile(dir, c.Suite)); err == nil && st.ModTime().After(last) {
			last = st.ModTime()
		}
	}
	return last.UTC().Format(time.DateOnly)
}

// writePrograms writes the table of what package apps has kept.
func writePrograms(b *strings.Builder, rows []plan.Program) bool {
	if len(rows) == 0 {
		return false
	}
	b.WriteString("| test | package | what it does | load | result | on |\n|---|---|---|---|---|---|\n")
	for _, p := range rows {
		result := "as on the host"
		if !p.Passed {
			result = "**fails**"
		}
		fmt.Fprintf(b, "| %s | %s | %s | %s | %s | %s |\n", strings.TrimPrefix(p.Test, "Test"), p.Program, p.What, p.Load, result, p.Date)
	}
	return true
}

func pythonVersion() string {
	out, err := exec.Command(python, "--version").Output()
	if err != nil {
		return "Python"
	}
	return strings.TrimSpace(string(out))
}

// line is a line of a table: how many functions pass on the host, in the guest too, and fail on both.
type line struct {
	name              string
	host, guest, both int
	why               string
}

func (c *comparison) line() line {
	return line{strings.TrimPrefix(c.Suite, "python "), c.count(plan.Pass, ""), c.count(plan.Pass, plan.Pass), c.count(plan.Fail, plan.Fail), c.why()}
}

func (l line) String() string {
	return fmt.Sprintf("| %s | %d | %d | %s | %s |\n", l.name, l.host, l.guest, dash(l.both), l.why)
}

// parseLines reads the lines of a table that were written before, by name.
func parseLines(table string) map[string]line {
	all := map[string]line{}
	for text := range strings.Lines(table) {
		cells := strings.SplitN(strings.TrimSpace(text), "|", 6)
		if len(cells) != 6 {
			continue
		}
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		l := line{name: cells[1], why: strings.TrimSpace(strings.TrimSuffix(cells[5], "|"))}
		var err, err2 error
		l.host, err = strconv.Atoi(cells[2])
		l.guest, err2 = strconv.Atoi(cells[3])
		if err != nil || err2 != nil {
			continue // a head, or the sum
		}
		l.both, _ = strconv.Atoi(cells[4])
		all[l.name] = l
	}
	return all
}

func writeTable(b *strings.Builder, lines []line, what string) {
	fmt.Fprintf(b, "| %s | host | guest | fail on both | why not in the guest |\n|---|---:|---:|---:|---|\n", what)
	var sum line
	for _, l := range lines {
		sum.host, sum.guest, sum.both = sum.host+l.host, sum.guest+l.guest, sum.both+l.both
		b.WriteString(l.String())
	}
	tenths := 1000 * sum.guest / max(sum.host, 1) // rounded down: 100 % is all
	fmt.Fprintf(b, "| **all** | **%d** | **%d** | **%d** | %d.%d %% |\n", sum.host, sum.guest, sum.both, tenths/10, tenths%10)
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
