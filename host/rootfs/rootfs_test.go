package rootfs

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"gosv/host/elfdeps/elftest"
)

func paths(t *Tree) (list []string) {
	for _, e := range t.Entries() {
		list = append(list, e.Path)
	}
	return list
}

func TestTree(t *testing.T) {
	tree := NewTree()
	tree.AddSymlink("/bin", "usr/bin")
	tree.AddSymlink("/abs", "/usr")
	tree.AddSymlink("/loop", "loop")
	tree.AddData("/bin/x", 0o755, []byte("x"))
	tree.AddDir("/abs/share", 0o700)
	tree.AddData("/a/../b//c", 0o644, nil)
	want := []string{"/", "/abs", "/b", "/b/c", "/bin", "/loop", "/usr", "/usr/bin", "/usr/bin/x", "/usr/share"}
	if got := paths(tree); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if e := tree.Lookup("/usr/share"); e.Mode != unix.S_IFDIR|0o700 {
		t.Errorf("mode %o", e.Mode)
	}
	for p, want := range map[string]string{"/bin/x": "/usr/bin/x", "/none/y": "/none/y", "/abs/../bin/x": "/usr/bin/x", "/loop/x": "/loop/x", "/": "/"} {
		if got := tree.Resolve(p); got != want {
			t.Errorf("%s leads to %s, want %s", p, got, want)
		}
	}
	tree.AddData("/usr", 0o644, nil)
	if got := paths(tree); slices.Contains(got, "/usr/bin/x") {
		t.Errorf("a file took the place of a directory, whose files stayed: %q", got)
	}
}

func TestAddHostPath(t *testing.T) {
	dir := t.TempDir()
	elftest.WriteFile(t, filepath.Join(dir, "real/lib/x.so.1.2"), "x")
	for link, target := range map[string]string{"lib": "real/lib", "real/lib/x.so.1": "x.so.1.2", "abs": filepath.Join(dir, "real"), "loop": "loop"} {
		if err := os.Symlink(target, filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	tree := NewTree()
	end, err := tree.AddHostPath(filepath.Join(dir, "lib/x.so.1"))
	if err != nil || end != filepath.Join(dir, "real/lib/x.so.1.2") {
		t.Errorf("the end is %s, %v", end, err)
	}
	for _, p := range []string{"lib", "real", "real/lib", "real/lib/x.so.1", "real/lib/x.so.1.2"} {
		if tree.Lookup(filepath.Join(dir, p)) == nil {
			t.Errorf("%s did not come", p)
		}
	}
	if end, err := tree.AddHostPath(filepath.Join(dir, "abs/lib")); err != nil || end != filepath.Join(dir, "real/lib") {
		t.Errorf("an absolute link leads to %s, %v", end, err)
	}
	for p, want := range map[string]error{"loop": unix.ELOOP, "none": unix.ENOENT, "real/lib/x.so.1/y": unix.ENOTDIR} {
		if _, err := tree.AddHostPath(filepath.Join(dir, p)); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", p, err, want)
		}
	}
}

func TestAddHostLimit(t *testing.T) {
	dir := t.TempDir()
	elftest.WriteFile(t, filepath.Join(dir, "f"), strings.Repeat("x", 9000))
	tree := NewTree()
	if err := tree.AddHost(dir, "/d", CopyOptions{Limit: 8192}); !errors.Is(err, ErrLimit) || len(tree.Entries()) != 1 {
		t.Errorf("%v, and %q", err, paths(tree))
	}
	if err := tree.AddHost(dir, "/d", CopyOptions{Limit: 1 << 20, ReadOnly: true}); err != nil || tree.Lookup("/d/f").Mode&0o777 != 0o555 {
		t.Errorf("%v, and %+v", err, tree.Lookup("/d/f"))
	}
}

func TestParseVolume(t *testing.T) {
	for s, want := range map[string]Volume{"a:/b": {"a", "/b", false}, "/a:/b/:ro": {"/a", "/b", true}, "a:/b:rw": {"a", "/b", false}} {
		if got, err := ParseVolume(s); err != nil || got != want {
			t.Errorf("%s: %+v, %v", s, got, err)
		}
	}
	for _, s := range []string{"", "a", "a:", "a:b", ":/b", "a:/b:no", "a:/b:ro:x"} {
		if v, err := ParseVolume(s); err == nil {
			t.Errorf("%s was taken as %+v", s, v)
		}
	}
}

func collect(t *testing.T, q Request) *Result {
	t.Helper()
	if q.SearchPath == "" {
		q.SearchPath = os.Getenv("PATH")
	}
	res, err := Collect(q)
	if err != nil {
		t.Fatal(err)
	}
	return res
}

func TestArgFiles(t *testing.T) {
	dir := t.TempDir()
	elftest.File{}.Write(t, filepath.Join(dir, "prog"))
	elftest.WriteFile(t, filepath.Join(dir, "sub/data"), "d")
	elftest.WriteFile(t, filepath.Join(dir, "in"), "i")
	elftest.WriteFile(t, filepath.Join(dir, "large"), "")
	if err := os.Truncate(filepath.Join(dir, "large"), ArgFilesLimit); err != nil {
		t.Fatal(err)
	}
	args := []string{"sub", "if=in", "large", "/proc/self", "none", "-x", "", "/"}
	res := collect(t, Request{Program: "./prog", Args: args, Cwd: dir, Workdir: dir, ArgFiles: true})
	for p, want := range map[string]bool{"prog": true, "sub/data": true, "in": true, "large": false, "none": false} {
		if got := res.Tree.Lookup(filepath.Join(dir, p)) != nil; got != want {
			t.Errorf("%s is there: %v, want %v", p, got, want)
		}
	}
	if res.Tree.Lookup("/proc/self") != nil {
		t.Error("/proc came along")
	}
	if want := append([]string{filepath.Join(dir, "prog")}, args...); !slices.Equal(res.Args, want) || res.Argv0 != "./prog" {
		t.Errorf("arguments %q as %q", res.Args, res.Argv0)
	}
	res = collect(t, Request{Program: "./prog", Args: args, Cwd: dir})
	if res.Tree.Lookup(filepath.Join(dir, "in")) != nil {
		t.Error("files of arguments came although they were not asked for")
	}
}

func TestFindProgramPassesShims(t *testing.T) {
	dir := t.TempDir()
	for _, p := range []string{"shims/a", "shims/b", "bin/a"} {
		elftest.WriteFile(t, filepath.Join(dir, p), "")
	}
	path := dir + "/shims:" + dir + "/bin"
	for name, want := range map[string]string{"a": "bin/a", "b": "shims/b"} {
		if got, err := FindProgram(name, "/", path); err != nil || got != filepath.Join(dir, want) {
			t.Errorf("%s: got %s, %v; want %s", name, got, err, want)
		}
	}
}

func TestBaseFiles(t *testing.T) {
	dir := t.TempDir()
	elftest.File{}.Write(t, filepath.Join(dir, "prog"))
	elftest.WriteFile(t, filepath.Join(dir, "hosts"), "mine\n")
	q := Request{Program: "./prog", Cwd: dir, Workdir: "/work/here", Volumes: []Volume{{"hosts", "/etc/hosts", true}}}
	tree := collect(t, q).Tree
	for p, mode := range map[string]uint32{"/tmp": unix.S_IFDIR | 0o1777, "/proc": unix.S_IFDIR | 0o555, "/work/here": unix.S_IFDIR | 0o755, "/etc/passwd": unix.S_IFREG | 0o644} {
		if e := tree.Lookup(p); e == nil || e.Mode != mode {
			t.Errorf("%s: %+v, want mode %o", p, e, mode)
		}
	}
	if e := tree.Lookup("/etc/hosts"); e.Source != filepath.Join(dir, "hosts") || e.Mode&0o222 != 0 {
		t.Errorf("/etc/hosts is not the user's: %+v", e)
	}
	if collect(t, q).Tree.Hash() != tree.Hash() {
		t.Error("two trees of one request differ")
	}
}

// TestVolumeLibs has a shared object in a volume that needs one library of the
// volume and one of this machine.
func TestVolumeLibs(t *testing.T) {
	dir := t.TempDir()
	elftest.File{}.Write(t, filepath.Join(dir, "prog"))
	elftest.File{Soname: "libown.so"}.Write(t, filepath.Join(dir, "app/libown.so"))
	elftest.File{Soname: "libother.so"}.Write(t, filepath.Join(dir, "lib/libother.so"))
	elftest.File{Needed: []string{"libown.so", "libother.so"}, RunPath: "$ORIGIN:" + dir + "/lib"}.Write(t, filepath.Join(dir, "app/plugin.so"))
	tree := collect(t, Request{Program: "./prog", Cwd: dir, Volumes: []Volume{{"app", "/app", false}}}).Tree
	for p, want := range map[string]bool{"/app/plugin.so": true, "/app/libown.so": true, dir + "/lib/libother.so": true, dir + "/app/libown.so": false} {
		if got := tree.Lookup(p) != nil; got != want {
			t.Errorf("%s in the tree: %t, want %t", p, got, want)
		}
	}
}

func TestEnvScript(t *testing.T) {
	dir := t.TempDir()
	elftest.File{}.Write(t, filepath.Join(dir, "interp"))
	elftest.WriteFile(t, filepath.Join(dir, "s"), "#!/usr/bin/env -S interp -x\n")
	res := collect(t, Request{Program: "./s", Args: []string{"a"}, Cwd: dir, SearchPath: dir})
	if want := []string{filepath.Join(dir, "interp"), "-x", filepath.Join(dir, "s"), "a"}; !slices.Equal(res.Args, want) || res.Argv0 != "interp" {
		t.Errorf("got %q as %q, want %q", res.Args, res.Argv0, want)
	}
	if res.Tree.Lookup(filepath.Join(dir, "s")) == nil {
		t.Error("the script is not in the tree")
	}
}

// TestRecipes looks for what the programs of this machine open by name.
func TestRecipes(t *testing.T) {
	for program, want := range map[string][]string{
		"/usr/bin/python3": {"/usr/lib/python3*/json/__init__.py", "/usr/lib/python3*/lib-dynload/_ssl*.so", "/usr/lib/x86_64-linux-gnu/libssl.so.*",
			"/usr/lib/x86_64-linux-gnu/ossl-modules"},
		"/usr/bin/perl":    {"/usr/share/perl/*/strict.pm", "/usr/lib/x86_64-linux-gnu/perl/*/auto/POSIX/POSIX.so"},
		"/usr/bin/gawk":    {"/usr/share/awk"},
		"/usr/bin/openssl": {"/etc/ssl/openssl.cnf", "/usr/lib/x86_64-linux-gnu/ossl-modules/legacy.so"},
		"/bin/ls":          {"/etc/passwd", "/usr/lib/locale/C.utf8", "/bin"},
	} {
		if _, err := os.Stat(program); err != nil {
			t.Logf("%s is not here; apt-get install it to test its recipe", program)
			continue
		}
		all := paths(collect(t, Request{Program: program, Cwd: "/"}).Tree)
		for _, pattern := range want {
			if m, _ := filepath.Glob(pattern); len(m) == 0 {
				continue // this machine has it elsewhere
			}
			if !slices.ContainsFunc(all, func(p string) bool { ok, _ := filepath.Match(pattern, p); return ok }) {
				t.Errorf("%s: no %s", program, pattern)
			}
		}
	}
}

// TestScriptName looks for what a script will see as its own name.
func TestScriptName(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"s": "#!/bin/sh\n", "e": "#!/usr/bin/env sh\n", "sub/s": "#!/bin/sh\n"} {
		elftest.WriteFile(t, filepath.Join(dir, name), text)
	}
	sh, err := FindProgram("sh", "/", "/usr/bin:/bin")
	if err != nil {
		t.Skipf("no sh here: %v", err)
	}
	for _, c := range []struct {
		program, workdir string
		want             []string
	}{
		{"./s", dir, []string{"./s", "x"}},
		{"sub/s", dir, []string{"sub/s", "x"}},
		{"./e", dir, []string{sh, "./e", "x"}},
		{"./s", "/", []string{dir + "/s", "x"}},
		{"./e", "/", []string{sh, dir + "/e", "x"}},
		{dir + "/s", dir, []string{dir + "/s", "x"}},
		{"s", dir, []string{dir + "/s", "x"}},
		{sh, dir, []string{sh, "x"}},
	} {
		r, err := Collect(Request{Program: c.program, Args: []string{"x"}, Cwd: dir, Workdir: c.workdir, SearchPath: dir + ":/usr/bin:/bin"})
		if err != nil {
			t.Errorf("%s in %s: %v", c.program, c.workdir, err)
		} else if !slices.Equal(r.Args, c.want) {
			t.Errorf("%s in %s: %q, want %q", c.program, c.workdir, r.Args, c.want)
		}
	}
}
