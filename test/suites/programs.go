package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"

	"gosv/test/suites/plan"
)

// suite is a test program.
type suite struct {
	name string
	kind kind
	pkg  string // Go's package, or Python's module
	skip string // matches tests that are not run
}

type kind string

// The kinds of suites, each a table of the document.
const (
	goKind     kind = "go"     // without cgo
	cgoKind    kind = "cgo"    // with
	pythonKind kind = "python" // modules of Python's package test
)

var errNoTests = errors.New("no tests")

// missingError is something that the machine lacks for a suite.
type missingError struct{ what string }

func (e *missingError) Error() string { return e.what }

// patterns are the packages of Go whose tests are run.
var patterns = []string{"os", "os/exec/...", "os/signal", "os/user", "net/...", "syscall", "time", "runtime", "sync/...", "io/...", "path/filepath",
	"crypto/...", "encoding/...", "archive/...", "compress/...", "database/sql", "internal/poll", "internal/syscall/unix", "mime/...", "log/...", "context"}

// withCgo are those that are built with cgo a second time, because that is other code.
var withCgo = []string{"net", "os/signal", "os/user", "runtime", "runtime/cgo"}

// modules are Python's.
var modules = []string{"test_os", "test_threading", "test_socket", "test_signal", "test_subprocess", "test_mmap", "test_select", "test_time", "test_json",
	"test_posix", "test_fcntl", "test_epoll", "test_poll", "test_selectors", "test_pty", "test_io", "test_tempfile", "test_shutil", "test_pathlib",
	"test_asyncio", "test_multiprocessing_fork", "test_multiprocessing_spawn", "test_multiprocessing_forkserver", "test_concurrent_futures",
	"test_socketserver", "test_ssl", "test_resource", "test_thread", "test_queue", "test_eintr", "test_faulthandler", "test_wait4", "test_mailbox"}

// long are the suites that take longer than others, in seconds in an emulated
// guest: thousands of tests, or a new interpreter for most of them.
var long = map[string]int{"test_asyncio": 7200, "test_multiprocessing_spawn": 5400, "test_multiprocessing_forkserver": 5400, "test_concurrent_futures": 3600}

func suites() (all []suite) {
	out, err := exec.Command("go", append([]string{"list", "-f", "{{if or .TestGoFiles .XTestGoFiles}}{{.ImportPath}}{{end}}"}, patterns...)...).Output()
	if err != nil {
		panic(err) // a Go tool chain built this program
	}
	for _, pkg := range strings.Fields(string(out)) {
		all = append(all, suite{name: pkg, kind: goKind, pkg: pkg})
	}
	for _, pkg := range withCgo {
		all = append(all, suite{name: pkg + " (cgo)", kind: cgoKind, pkg: pkg})
	}
	for _, m := range modules {
		all = append(all, suite{name: "python " + m, kind: pythonKind, pkg: m})
	}
	return all
}

// tools are the programs that tests run, and files that they read.
var tools = []string{"sh", "bash", "cat", "echo", "ls", "sleep", "date", "pwd", "true", "false", "env", "tty", "stty", "ps", "id", "hostname", "uname",
	"tr", "grep", "kill", "touch", "mkdir", "rm", "cp", "mv", "ln", "chmod", "head", "wc", "expr", "test", "printenv", "getent", "which", "tar", "nohup", "whoami", "strace", "zip", "unzip"}

var data = []string{"/usr/share/zoneinfo", "/etc/services", "/etc/protocols", "/etc/mime.types", "/usr/share/mime/globals2", "/etc/passwd", "/etc/group",
	"/etc/nsswitch.conf", "/etc/ssl/certs", "/usr/share/ca-certificates"}

func addTools(files map[string]string) {
	for _, t := range tools {
		if p, err := exec.LookPath(t); err == nil {
			files[p] = p
		}
	}
	for _, d := range data {
		if _, err := os.Stat(d); err == nil {
			files[d] = d
		}
	}
}

// goroot is where the Go distribution is, with its tests.
var goroot = sync.OnceValue(func() string { return goEnv("GOROOT") })

func goEnv(name string) string {
	out, err := exec.Command("go", "env", name).Output()
	if err != nil {
		panic(err) // a Go tool chain built this program
	}
	return strings.TrimSpace(string(out))
}

// environment is that of the tests on both targets. GO_GCFLAGS makes tests that
// would build programs skip themselves.
func environment() []string {
	return []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "USER=root", "LANG=C.UTF-8", "TMPDIR=/tmp", "SHELL=/bin/bash",
		"GOROOT=" + goroot(), "GO_GCFLAGS=-none"}
}

// prepare builds a suite's program and adds the files that it needs in a guest.
func (s *suite) prepare(o *options, files map[string]string) (plan.Suite, error) {
	addTools(files)
	build := s.prepareGo
	if s.kind == pythonKind {
		build = s.preparePython
	}
	p, err := build(o, files)
	if err == nil && s.skip != "" {
		err = leaveOut(&p, regexp.MustCompile(s.skip))
	}
	return p, err
}

// leaveOut takes the tests that match off a plan.
func leaveOut(p *plan.Suite, match *regexp.Regexp) error {
	tests, err := listTests(p)
	for _, t := range tests {
		if match.MatchString(t) {
			p.Skip = append(p.Skip, t)
		}
	}
	return err
}

func (s *suite) prepareGo(o *options, files map[string]string) (plan.Suite, error) {
	root := goroot()
	name := strings.NewReplacer("/", "_", " ", "_", "(", "", ")", "").Replace(s.name) + ".test"
	binary := filepath.Join(o.dir, "bin", name)
	cmd := exec.Command("go", "test", "-c", "-vet=off", "-o", binary, s.pkg)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if s.kind == cgoKind {
		cmd.Env = append(os.Environ(), "CGO_ENABLED=1")
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		return plan.Suite{}, fmt.Errorf("%w\n%s", err, out)
	}
	if _, err := os.Stat(binary); err != nil {
		return plan.Suite{}, errNoTests
	}
	files[binary] = binary
	// Tests read sources, and data of other packages. The commands' sources are as large as all others.
	entries, err := os.ReadDir(filepath.Join(root, "src"))
	if err != nil {
		return plan.Suite{}, err
	}
	need := []string{"lib/time", "VERSION", "go.env", "src/go.mod"}
	for _, e := range entries {
		if e.IsDir() && e.Name() != "cmd" {
			need = append(need, path.Join("src", e.Name()))
		}
	}
	for _, f := range need {
		files[path.Join(root, f)] = path.Join(root, f)
	}
	return plan.Suite{Name: s.name, Argv: []string{binary, "-test.v=test2json", "-test.short"}, Dir: path.Join(root, "src", s.pkg),
		Env: environment(), List: "-test.list=.*", Run: "-test.run=^(%s)$", Between: "|"}, nil
}

// python is the interpreter, Debian's, whose package test is a package of its own.
const python = "/usr/bin/python3"

func (s *suite) preparePython(o *options, files map[string]string) (plan.Suite, error) {
	out, err := exec.Command(python, "-c", "import os, test.support, test.test_os; print(os.path.dirname(os.__file__))").Output()
	if err != nil {
		return plan.Suite{}, &missingError{"no package test for " + python + ": sh test/setup.sh installs it"}
	}
	lib := strings.TrimSpace(string(out))
	files[lib] = lib
	files[python] = python
	driver, err := filepath.Abs("test/suites/python/run.py")
	if err != nil {
		return plan.Suite{}, err
	}
	files[driver] = driver
	return plan.Suite{Name: s.name, Argv: []string{python, "-u", driver, s.pkg}, Dir: "/tmp/suites-python", Env: environment(),
		List: "--list", Run: "--run=%s", Between: ","}, nil
}

// listTests asks a program on this machine.
func listTests(p *plan.Suite) ([]string, error) {
	os.MkdirAll(p.Dir, 0o755)
	cmd := exec.Command(p.Argv[0], slices.Concat(p.Argv[1:], []string{p.List})...)
	cmd.Dir, cmd.Env = p.Dir, p.Env
	out, err := cmd.Output()
	return strings.Fields(string(out)), err
}
