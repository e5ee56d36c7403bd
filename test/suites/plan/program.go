package plan

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Program is what a test of package apps saw of a program: a row of the table of programs.
type Program struct {
	Test    string // its name
	Program string // package and version
	What    string // what it did
	Load    string // short or full
	Passed  bool   // on the host as in the guest
	Date    string
}

// Keep writes the row into the folder, in place of an older one of the same test.
func (p *Program) Keep(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	b, err := json.MarshalIndent(p, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, strings.ReplaceAll(p.Test, "/", "_")+".json"), b, 0o644)
}

// Programs are the rows in the folder, by test.
func Programs(dir string) (all []Program) {
	files, _ := filepath.Glob(filepath.Join(dir, "*.json"))
	for _, f := range files {
		var p Program
		if b, err := os.ReadFile(f); err == nil && json.Unmarshal(b, &p) == nil {
			all = append(all, p)
		}
	}
	slices.SortFunc(all, func(a, b Program) int { return strings.Compare(a.Test, b.Test) })
	return all
}
