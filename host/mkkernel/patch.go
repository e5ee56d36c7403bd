package main

import (
	"embed"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// patchFiles are changes of the network stack, in the order of their names. Each says in its first lines why it is there;
// docs/performance.md has what those from 20 on save.
//
//go:embed patches
var patchFiles embed.FS

// A hunk is a change of some lines of a file of the stack. It belongs where its old lines are, which must be one place; where in the
// file that is does not matter, so that a patch holds for a release in which something else has moved.
type hunk struct{ patch, name, old, new string }

// readPatches returns the changes of each file, in order.
func readPatches() (map[string][]hunk, error) {
	files, err := patchFiles.ReadDir("patches")
	if err != nil {
		return nil, err
	}
	all := map[string][]hunk{}
	for _, f := range files {
		b, err := patchFiles.ReadFile("patches/" + f.Name())
		if err != nil {
			return nil, err
		}
		hunks, err := parsePatch(string(b))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", f.Name(), err)
		}
		for _, h := range hunks {
			h.patch = f.Name()
			all[h.name] = append(all[h.name], h)
		}
	}
	return all, nil
}

// hunkHead is the first line of a hunk. Of the numbers only those that count lines are used.
var hunkHead = regexp.MustCompile(`^@@ -\d+(?:,(\d+))? \+\d+(?:,(\d+))? @@`)

// parsePatch reads a unified diff, as diff -u and git diff write it, behind a description.
func parsePatch(text string) ([]hunk, error) {
	var hunks []hunk
	name := ""
	old, new := 0, 0 // lines that the hunk still has
	for n, line := range strings.SplitAfter(text, "\n") {
		bad := func(what string) error { return fmt.Errorf("line %d: %s: %q", n+1, what, line) }
		if old > 0 || new > 0 {
			if line == "\n" { // an editor has taken the space for superfluous
				line = " \n"
			}
			if line == "" || line[len(line)-1] != '\n' {
				return nil, bad("it ends within a hunk")
			}
			h := &hunks[len(hunks)-1]
			switch line[0] {
			case ' ':
				h.old, h.new, old, new = h.old+line[1:], h.new+line[1:], old-1, new-1
			case '-':
				h.old, old = h.old+line[1:], old-1
			case '+':
				h.new, new = h.new+line[1:], new-1
			default:
				return nil, bad("not a line of a hunk")
			}
			if old < 0 || new < 0 {
				return nil, bad("the hunk has more lines than it says")
			}
			continue
		}
		m := hunkHead.FindStringSubmatch(line)
		switch {
		case m != nil && name == "":
			return nil, bad("a change of no file")
		case m != nil:
			for i, count := range []*int{&old, &new} {
				*count = 1
				if m[i+1] != "" {
					var err error
					if *count, err = strconv.Atoi(m[i+1]); err != nil {
						return nil, bad(err.Error())
					}
				}
			}
			hunks = append(hunks, hunk{name: name})
		case strings.HasPrefix(line, "+++ b/"):
			name = strings.TrimSpace(line[len("+++ b/"):])
		case name != "" && strings.TrimSpace(line) != "" && !strings.HasPrefix(line, "--- a/"):
			return nil, bad("not a part of a patch")
		}
	}
	if old > 0 || new > 0 {
		return nil, errors.New("it ends within a hunk")
	}
	for _, h := range hunks {
		if h.old == "" || h.old == h.new {
			return nil, fmt.Errorf("%s: a hunk without old lines, or without a change", h.name)
		}
	}
	if len(hunks) == 0 {
		return nil, errors.New("it changes nothing")
	}
	return hunks, nil
}

// apply makes the change.
func (h hunk) apply(text string) (string, error) {
	if n := strings.Count(text, h.old); n != 1 {
		return "", fmt.Errorf("%s has these lines %d times, want 1: this release needs a look at %s\n%s", h.name, n, h.patch, h.old)
	}
	return strings.Replace(text, h.old, h.new, 1), nil
}
