package rootfs

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"gosv/host/elfdeps/elftest"
)

func TestParseScript(t *testing.T) {
	for text, want := range map[string]string{
		"ls -l | sort | uniq -c\n":                            "ls sort uniq",
		"if grep -q x f; then sed s/a/b/ f; else awk 1; fi":   "grep sed awk",
		"x=$(date +%s); for i in $(seq 3); do sleep $i; done": "date seq sleep",
		"a() { cat f; }; a; test -f x && [ -n y ] && echo z":  "cat",
		"exec nginx -g 'daemon off;'":                         "exec nginx",
		"find . -name x | xargs -n1 rm -f":                    "find . x xargs rm",
		"trap 'rm -f /tmp/x' EXIT; eval 'kill -0 1 && od -x'": "trap rm eval od",
		"bash -ec 'mkdir d; touch d/f' & wait":                "bash mkdir touch",
		"\"$bindir\"/mysqld --help; $basedir/bin/resolveip x": "mysqld resolveip",
		"$cmd a; ${x}y; cat <<EOF\n$(hostname) ls\nEOF\n":     "cat hostname",
		". /lib/init; source ./vars; sh setup.sh a":           ". source sh | /lib/init ./vars setup.sh",
		"set -e\nexec \"$@\"":                                 "set exec $@",
		"FOO=1 BAR=$(id -u) /usr/bin/env python3 -m http":     "/usr/bin/env python3 http id",
		"cat a\n) nonsense (\nls":                             "cat",
		"timeout 5 sudo -u www bash -c \"exec php -S :80\"":   "timeout 5 sudo www bash exec php :80",
		"{ ! diff a b; } 2>/dev/null || cmp a b > \"$(tty)\"": "diff cmp tty",
	} {
		s := parseScript(strings.NewReader(text))
		got := s.programs
		if s.args {
			got = append(got, "$@")
		}
		if len(s.sources) > 0 {
			got = append(append(got, "|"), s.sources...)
		}
		w := strings.Fields(want)
		slices.Sort(w)
		slices.Sort(got)
		if !slices.Equal(slices.Compact(got), slices.Compact(w)) {
			t.Errorf("%s\ngot  %q\nwant %q", text, got, w)
		}
	}
}

// A script brings what it starts, and what that starts, and its own arguments.
func TestScriptPrograms(t *testing.T) {
	dir := t.TempDir()
	for _, p := range []string{"sh", "one", "two", "three", "four", "five", "unused"} {
		elftest.File{}.Write(t, filepath.Join(dir, p))
	}
	elftest.WriteFile(t, filepath.Join(dir, "entry"), "#!"+filepath.Join(dir, "sh")+"\n. ./lib\nstep\nexec \"$@\"\n")
	elftest.WriteFile(t, filepath.Join(dir, "step"), "#!"+filepath.Join(dir, "sh")+"\ntwo $(three)\nentry again\n")
	elftest.WriteFile(t, filepath.Join(dir, "lib"), "one\n")
	has := func(q Request, want string) {
		t.Helper()
		q.Cwd, q.SearchPath = dir, dir
		tree := collect(t, q).Tree
		for _, p := range []string{"one", "two", "three", "four", "five", "unused", "lib"} {
			if in := tree.Lookup(filepath.Join(dir, p)) != nil; in != slices.Contains(strings.Fields(want), p) {
				t.Errorf("%s %q: %s in the image: %v", q.Program, q.Args, p, in)
			}
		}
	}
	has(Request{Program: "entry", Args: []string{"four", "five"}}, "one two three four lib")
	has(Request{Program: "sh", Args: []string{"-c", "five; step"}}, "one two three five lib")
	has(Request{Program: "sh", Args: []string{"-e", "step", "x"}}, "one two three lib")
	has(Request{Program: "sh", Args: []string{"-c", "exec \"$1\"", "four", "five"}}, "five")
	has(Request{Program: "one"}, "one")
}

func FuzzParseScript(f *testing.F) {
	f.Add("for i in $(ls); do (cat <<E\n$i\nE\n) | sh -c 'a; \"$@\"'; done")
	f.Add("case x in a) b;; esac; f() { c; }; [[ -n $(d) ]]")
	f.Fuzz(func(t *testing.T, text string) { parseScript(strings.NewReader(text)) })
}
