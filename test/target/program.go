// Package target builds the guest programs and runs a program on either of its two targets, this machine and a guest,
// so that tests can compare what it did.
package target

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

// Linking is how a guest program is compiled and linked.
type Linking string

// The ways of linking.
const (
	Static      Linking = "static"
	StaticPIE   Linking = "static-pie"
	Dynamic     Linking = "dynamic"
	NoPIE       Linking = "dynamic-nopie"
	MuslStatic  Linking = "musl-static"
	MuslDynamic Linking = "musl-dynamic"
	Cxx         Linking = "c++"
	CxxStatic   Linking = "c++-static"
	Go          Linking = "go"
	GoPIE       Linking = "go-pie"
	RustStatic  Linking = "rust-static"
)

// flags are the compiler and its arguments. Warnings are on, but for those that
// a test of wrong arguments cannot do without.
var flags = map[Linking][]string{
	Static:      {"gcc", "-static", "-no-pie"},
	StaticPIE:   {"gcc", "-static-pie"},
	Dynamic:     {"gcc", "-pie"},
	NoPIE:       {"gcc", "-no-pie"},
	MuslStatic:  {"musl-gcc", "-static"},
	MuslDynamic: {"musl-gcc"},
	Cxx:         {"g++", "-std=c++17"},
	CxxStatic:   {"g++", "-std=c++17", "-static"},
	RustStatic:  {"rustc", "--edition", "2021", "-O", "-C", "target-feature=+crt-static"},
}

var warnings = []string{"-Wall", "-Wextra", "-Wno-unused-result", "-Wno-stringop-overflow", "-Wno-stringop-overread",
	"-Wno-nonnull", "-Wno-array-bounds", "-Wno-infinite-recursion"}

// Program is one guest program.
type Program struct {
	Source  string // under test/guest: "c/open.c", or a folder of Go
	Linking Linking
	Args    []string
	Stdin   string
	Status  int // the exit status that it must have
}

// Name is the program's name in test output.
func (p Program) Name() string {
	name := strings.TrimSuffix(p.Source, filepath.Ext(p.Source)) + "/" + string(p.Linking)
	if len(p.Args) > 0 {
		name += "/" + strings.Join(p.Args, ",")
	}
	return name
}

// Root is the top folder of the repository.
var Root = sync.OnceValue(func() string {
	_, file, _, _ := runtime.Caller(0)
	if dir, err := filepath.Abs(filepath.Join(filepath.Dir(file), "../..")); err == nil && filepath.IsAbs(file) {
		return dir
	}
	dir, err := os.Getwd() // built with -trimpath: tests start in their own folder
	if err != nil {
		panic(err)
	}
	for dir != "/" {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		dir = filepath.Dir(dir)
	}
	panic("the repository's go.mod was not found")
})

// Build compiles p if it is not there or older than its sources, and gives its
// path. The test is skipped when there is no compiler for it.
func Build(t testing.TB, p Program) string {
	t.Helper()
	path, skip, err := build(p)
	if skip != "" {
		t.Skip(skip)
	}
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func build(p Program) (path, skip string, err error) {
	source := filepath.Join(Root(), "test/guest", p.Source)
	base := strings.TrimSuffix(filepath.Base(p.Source), filepath.Ext(p.Source))
	path = filepath.Join(Root(), "build/test", string(p.Linking), filepath.Base(filepath.Dir(p.Source)), base)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return "", "", err
	}
	var argv []string
	temp, err := os.CreateTemp(filepath.Dir(path), "."+base+"-*")
	if err != nil {
		return "", "", err
	}
	temp.Close()
	defer os.Remove(temp.Name())
	if p.Linking == Go || p.Linking == GoPIE {
		argv = []string{"go", "build", "-o", temp.Name()}
		if p.Linking == GoPIE {
			argv = append(argv, "-buildmode=pie")
		}
		argv = append(argv, "./"+filepath.ToSlash(filepath.Join("test/guest", p.Source)))
	} else {
		argv = append(argv, flags[p.Linking]...)
		if _, err := exec.LookPath(argv[0]); err != nil {
			return "", "no " + argv[0] + " here: sh test/setup.sh installs it", nil
		}
		if fresh(path, filepath.Dir(source)) {
			return path, "", nil
		}
		if p.Linking == RustStatic {
			argv = append(argv, "-o", temp.Name(), source)
		} else {
			argv = append(append(argv, warnings...), "-O2", "-pthread", "-o", temp.Name(), source, "-lm")
		}
	}
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Dir = Root()
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=-buildvcs=false")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", "", &buildError{argv, out, err}
	}
	if err := os.Chmod(temp.Name(), 0o755); err != nil {
		return "", "", err
	}
	return path, "", os.Rename(temp.Name(), path)
}

type buildError struct {
	argv []string
	out  []byte
	err  error
}

func (e *buildError) Error() string {
	return strings.Join(e.argv, " ") + ": " + e.err.Error() + "\n" + string(e.out)
}

// fresh tells whether a program is newer than every file beside its source.
func fresh(path, dir string) bool {
	st, err := os.Stat(path)
	if err != nil {
		return false
	}
	newest := time.Time{}
	files, _ := os.ReadDir(dir)
	for _, f := range files {
		if i, err := f.Info(); err == nil && i.ModTime().After(newest) {
			newest = i.ModTime()
		}
	}
	return st.ModTime().After(newest)
}
