// Package nettest runs servers of Debian, unmodified, on this machine and in the guest, and talks to them with real
// clients. All of it happens in a network namespace of its own, where the loopback and the taps are: nothing leaves it.
package nettest

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"gosv/test/target"
)

// limit is the longest that anything waits.
const limit = time.Minute

// full tells whether the loads are those of make apps, and not the short ones of CI.
var full = os.Getenv("GOSV_TEST_FULL") != ""

// load chooses between the size of a load in CI and the full one.
func load[T any](short, long T) T {
	if full {
		return long
	}
	return short
}

// namespace is the variable that tells the test that it is in its namespace.
const namespace = "GOSV_TEST_NETNS"

func TestMain(m *testing.M) {
	if os.Getenv(namespace) == "" && os.Getenv("GOSV_TEST_NO_NETNS") == "" {
		status, err := enter()
		if err == nil {
			os.Exit(status)
		}
		fmt.Fprintln(os.Stderr, "no network namespace here:", err)
	}
	if private() {
		if out, err := exec.Command("ip", "link", "set", "lo", "up").CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "ip link set lo up: %v: %s\nsh test/setup.sh installs ip\n", err, out)
			os.Exit(1)
		}
	}
	os.Exit(m.Run())
}

// private tells whether this process is in a namespace of its own.
func private() bool { return os.Getenv(namespace) != "" }

// enter runs this program again in a new network namespace; who is not root
// gets a user namespace in which they are.
func enter() (status int, err error) {
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Env = append(os.Environ(), namespace+"=1")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	a := &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	if os.Getuid() != 0 {
		a.Cloneflags |= syscall.CLONE_NEWUSER
		a.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}
		a.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}}
	}
	cmd.SysProcAttr = a
	runtime.LockOSThread() // the child dies with this thread
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	err = cmd.Wait()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return max(exit.ExitCode(), 1), nil
	}
	return 0, err
}

// run runs a command of the host and gives what it printed; a failure ends the test.
func run(t testing.TB, argv ...string) string {
	t.Helper()
	return runWith(t, "", argv...)
}

// runWith is run with a standard input.
func runWith(t testing.TB, stdin string, argv ...string) string {
	t.Helper()
	out, err := try(2*limit, stdin, argv...)
	if err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(argv, " "), err, last(out, 2000))
	}
	return out
}

// try runs a command of the host, for no longer than a time.
func try(within time.Duration, stdin string, argv ...string) (string, error) {
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Env = append(target.Env("/tmp"), "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "NODE_PATH="+nodeModules)
	cmd.Stdin = strings.NewReader(stdin)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	cmd.WaitDelay = 5 * time.Second
	timer := time.AfterFunc(target.Patience(within), func() { cmd.Process.Signal(syscall.SIGKILL) })
	out, err := cmd.CombinedOutput()
	if !timer.Stop() {
		err = fmt.Errorf("still running after %v", within)
	}
	return string(out), err
}

// installed skips a test that lacks a program.
func installed(t testing.TB, paths ...string) {
	t.Helper()
	for _, p := range paths {
		if _, err := os.Stat(p); err != nil {
			setup := "sh test/setup.sh" + load("", " full")
			if os.Getenv("GOSV_TEST") == "must" || os.Getenv("CI") != "" {
				t.Fatalf("%s is missing: %s", p, setup)
			}
			t.Skipf("no %s here: %s installs it", p, setup)
		}
	}
}

// needNamespace ends a test that needs interfaces of its own, where there can be none.
func needNamespace(t testing.TB) {
	t.Helper()
	if !private() {
		lacks(t, "needs a network namespace: run as root, or allow user namespaces")
	}
}

// lacks ends a test that this machine cannot run. Where GOSV_TEST=must says that it has to, that is a failure.
func lacks(t testing.TB, why string) {
	t.Helper()
	if os.Getenv("GOSV_TEST") == "must" {
		t.Fatal(why)
	}
	t.Skip(why)
}

func last(s string, n int) string {
	if len(s) > n {
		return "…" + s[len(s)-n:]
	}
	return s
}
