package elfdeps

import (
	"bufio"
	"bytes"
	"path/filepath"
	"strings"
)

// confDirs reads the directories of /etc/ld.so.conf and the files that it
// includes (ldconfig(8)): what a machine without a cache would search.
func (r *Resolver) confDirs(name string, depth int) []string {
	if depth > 8 {
		return nil
	}
	b, err := r.readFile(name, 1<<20)
	if err != nil {
		return nil
	}
	var dirs []string
	sc := bufio.NewScanner(bytes.NewReader(b))
	for sc.Scan() {
		line, _, _ := strings.Cut(sc.Text(), "#")
		f := strings.Fields(line)
		if len(f) == 0 || f[0] == "hwcap" {
			continue
		}
		if f[0] != "include" {
			dirs = append(dirs, strings.TrimSuffix(f[0], "="))
			continue
		}
		for _, pattern := range f[1:] {
			if !filepath.IsAbs(pattern) {
				pattern = filepath.Join(filepath.Dir(name), pattern)
			}
			matches, _ := filepath.Glob(r.host(pattern))
			for _, m := range matches {
				dirs = append(dirs, r.confDirs(strings.TrimPrefix(m, r.Root), depth+1)...)
			}
		}
	}
	return dirs
}
