package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"gosv/abi/boot"
)

// start runs a machine in the background, until the end of the test at most.
func (c *tool) start(name string, args ...string) (pid int) {
	c.t.Helper()
	out, stderr, status := c.run("", append([]string{"run", "-d", "--name", name}, args...)...)
	if out != name+"\n" || stderr != "" || status != 0 {
		c.t.Fatalf("run -d: status %d, %q, %q", status, out, stderr)
	}
	c.t.Cleanup(func() { c.run("", "rm", "-f", name) })
	m := c.ps(name)
	if m.State != "running" || m.PID == 0 {
		c.t.Fatalf("%s is %+v", name, m)
	}
	return m.PID
}

// ps gives the line of a machine, or an empty one.
func (c *tool) ps(name string) (m machineLine) {
	c.t.Helper()
	out, stderr, status := c.run("", "ps", "-a", "-o", "json")
	var list []machineLine
	if err := json.Unmarshal([]byte(out), &list); err != nil || status != 0 {
		c.t.Fatalf("ps: status %d, %q, %v", status, stderr, err)
	}
	for _, m := range list {
		if m.Name == name {
			return m
		}
	}
	return m
}

// logs waits until the machine has written a text.
func (c *tool) logs(name, want string) {
	c.t.Helper()
	for i := 0; ; i++ {
		out, stderr, _ := c.run("", "logs", name)
		if strings.Contains(out+stderr, want) {
			return
		}
		if i == 200 {
			c.t.Fatalf("no %q in %q, %q", want, out, stderr)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func TestDetached(t *testing.T) {
	c := newTool(t, "server")
	pid := c.start("web", "-p", "127.0.0.1:0:80", "-q", "./hello", "x y")
	c.logs("web", "ready")
	if m := c.ps("web"); m.Program != "./hello" || len(m.Ports) != 1 || !strings.HasPrefix(m.Ports[0], "127.0.0.1:") || m.Ports[0] == "127.0.0.1:0:80" {
		t.Errorf("ps: %+v", m)
	}
	if out, _, _ := c.run("", "ps"); !strings.Contains(out, "web    ./hello 'x y'   running ") {
		t.Errorf("ps: %s", out)
	}
	if _, stderr, status := c.run("", "run", "-d", "--name", "web", "./hello"); status != 125 || !strings.Contains(stderr, "there is a machine of this name: web; end and remove it with gosv rm -f web") {
		t.Errorf("a second one: %d, %q", status, stderr)
	}
	if _, stderr, status := c.run("", "rm", "web"); status != 125 || !strings.Contains(stderr, "web is running; end it with gosv stop web, or add -f") {
		t.Errorf("rm: %d, %q", status, stderr)
	}
	if out, stderr, status := c.run("", "stop", "-s", "HUP", "we"); out != "web\n" || status != 0 {
		t.Errorf("stop -s HUP: %d, %q, %q", status, out, stderr)
	}
	c.logs("web", "signal HUP")
	follow := c.command("logs", "-f", "web")
	var followed strings.Builder
	follow.Stdout = &followed
	if err := follow.Start(); err != nil {
		t.Fatal(err)
	}
	waiting := c.command("wait", "web")
	var waited strings.Builder
	waiting.Stdout = &waited
	if err := waiting.Start(); err != nil {
		t.Fatal(err)
	}
	if out, stderr, status := c.run("", "stop", "web"); out != "web\n" || status != 0 {
		t.Errorf("stop: %d, %q, %q", status, out, stderr)
	}
	gone(t, pid)
	follow.Wait()  //nolint:errcheck // what it wrote is looked at
	waiting.Wait() //nolint:errcheck // what it wrote is looked at
	out, stderr, _ := c.run("", "logs", "web")
	if !strings.HasSuffix(out, "signal HUP\nsignal TERM\n") || stderr != "ready\n" || followed.String() != out {
		t.Errorf("logs: %q, %q; followed %q", out, stderr, followed.String())
	}
	if waited.String() != "7\n" {
		t.Errorf("wait: %q", waited.String())
	}
	if m := c.ps("web"); m.State != "exited" || m.Status == nil || *m.Status != 7 || m.Ended == nil || m.PID != 0 {
		t.Errorf("ps: %+v", m)
	}
	if out, _, _ := c.run("", "ps"); out != "NAME   PROGRAM   STATE   PORTS\n" {
		t.Errorf("ps without -a: %q", out)
	}
	// What came at the same time on two streams may be in either order.
	out, stderr, _ = c.run("", "logs", "-n", "2", "--kernel", "-t", "web")
	if n := strings.Count(out+stderr, "\n"); n != 2 || !regexp.MustCompile(`(?m)^20[0-9-]+T[0-9:.]+\S+ `+boot.FormatReport(7)+`$`).MatchString(stderr) {
		t.Errorf("logs -n 2 --kernel -t: %q, %q", out, stderr)
	}
	if out, _, status := c.run("", "wait", "web"); out != "7\n" || status != 0 {
		t.Errorf("wait afterwards: %d, %q", status, out)
	}
	if out, _, status := c.run("", "rm", "web"); out != "web\n" || status != 0 || c.ps("web").Name != "" {
		t.Errorf("rm: %d, %q", status, out)
	}
}

// TestDetachedFailure has the error where it was started, and nothing left.
func TestDetachedFailure(t *testing.T) {
	for mode, want := range map[string]string{"refuses": "gosv: QEMU: qemu-system-x86_64: cannot set up guest memory\n", "noexec": "gosv: /bin/x: no such file or directory\n"} {
		c := newTool(t, mode)
		out, stderr, status := c.run("", "run", "-d", "./hello")
		if out != "" || stderr != want || status != map[string]int{"refuses": 125, "noexec": 127}[mode] {
			t.Errorf("%s: status %d, %q, %q", mode, status, out, stderr)
		}
		if left, _ := os.ReadDir(filepath.Join(c.dir, "state/gosv/machines")); len(left) > 0 {
			t.Errorf("%s: left is %v", mode, left)
		}
	}
}

func TestDetachedQuick(t *testing.T) {
	c := newTool(t, "stderr")
	out, stderr, status := c.run("", "run", "-d", "./hello")
	name := strings.TrimSpace(out)
	if status != 0 || stderr != "" || !strings.HasPrefix(name, "hello-") {
		t.Fatalf("status %d, %q, %q", status, out, stderr)
	}
	if out, stderr, status := c.run("", "wait", name); out != "3\n" || status != 0 {
		t.Errorf("wait: status %d, %q, %q", status, out, stderr)
	}
	if out, stderr, _ = c.run("", "logs", "hello"); out != "out" || stderr != "err" {
		t.Errorf("logs: %q, %q", out, stderr)
	}
	if m := c.ps(name); m.Status == nil || *m.Status != 3 {
		t.Errorf("ps: %+v", m)
	}
	if out, _, status = c.run("", "run", "-d", "--rm", "--name", "other", "./hello"); out != "other\n" || status != 0 {
		t.Errorf("run --rm: %d, %q", status, out)
	}
	for i := 0; c.ps("other").Name != ""; i++ {
		if i == 200 {
			t.Fatalf("run --rm: left is %+v", c.ps("other"))
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// TestStopKills ends what does not end by itself: by the kernel, by the
// hypervisor's end, by the supervisor's.
func TestStopKills(t *testing.T) {
	for _, mode := range []string{"deaf", "hangs"} {
		c := newTool(t, mode)
		pid := c.start("x", "./hello")
		c.logs("x", fmt.Sprint(pid))
		start := time.Now()
		if _, stderr, status := c.run("", "stop", "-t", "0.2", "x"); status != 0 || stderr != "" || time.Since(start) < 200*time.Millisecond {
			t.Errorf("%s: stop: %d, %q after %v", mode, status, stderr, time.Since(start))
		}
		gone(t, pid)
		if m := c.ps("x"); m.Status == nil || *m.Status != 137 {
			t.Errorf("%s: ps: %+v", mode, m)
		}
		if mode == "deaf" {
			c.logs("x", "last words")
		}
	}
	c := newTool(t, "hangs")
	pid := c.start("x", "./hello")
	var state struct{ Supervisor struct{ PID int } }
	b, err := os.ReadFile(filepath.Join(c.dir, "state/gosv/machines/x/state.json"))
	if err == nil {
		err = json.Unmarshal(b, &state)
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(state.Supervisor.PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	gone(t, pid) // a supervisor that was killed leaves no hypervisor
	gone(t, state.Supervisor.PID)
	if m := c.ps("x"); m.State != "lost" || m.Status != nil || m.PID != 0 {
		t.Errorf("ps: %+v", m)
	}
	if _, stderr, status := c.run("", "wait", "x"); status != 125 || !strings.Contains(stderr, "its supervisor was killed") {
		t.Errorf("wait: %d, %q", status, stderr)
	}
	if _, stderr, status := c.run("", "stop", "x"); status != 0 {
		t.Errorf("stop: %d, %q", status, stderr)
	}
	if _, stderr, status := c.run("", "rm", "x"); status != 0 || c.ps("x").Name != "" {
		t.Errorf("rm: %d, %q", status, stderr)
	}
}
