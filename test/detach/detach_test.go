// Package detach starts machines in the background, and has the host ask things of the program in them: signals, the
// end, another size of the terminal.
package detach

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"gosv/test/target"
)

const limit = time.Minute

// program says which signals it gets; TERM ends it with status 7.
const program = `
import os, signal, time
def say(s): os.write(1, s.encode() + b"\n") # print is not for signal handlers
def caught(n, _):
    say(signal.Signals(n).name)
    if n == signal.SIGTERM: os._exit(7)
    if n == signal.SIGWINCH: say("%d %d" % os.get_terminal_size())
for s in "TERM", "HUP", "USR1", "INT", "QUIT", "WINCH":
    signal.signal(getattr(signal, "SIG" + s), caught)
say("up")
while True: time.sleep(0.05) # pause would miss a signal that comes just before it
`

// tool runs commands of gosv, with a store of machines of their own.
type tool struct {
	t    *testing.T
	path string
}

func newTool(t *testing.T) tool {
	path := target.Gosv(t)
	if _, err := exec.LookPath("python3"); err != nil {
		t.Skip("python3 is not installed; make setup installs it")
	}
	t.Setenv("XDG_STATE_HOME", t.TempDir())
	return tool{t, path}
}

func (g tool) run(args ...string) (out string, status int) {
	g.t.Helper()
	cmd := exec.Command(g.path, args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	timer := time.AfterFunc(target.Patience(limit), func() { cmd.Process.Kill() }) //nolint:errcheck // it has ended
	defer timer.Stop()
	var exit *exec.ExitError
	if err := cmd.Run(); err != nil && !errors.As(err, &exit) {
		g.t.Fatal(err)
	}
	return stdout.String() + stderr.String(), cmd.ProcessState.ExitCode()
}

// logs waits until the program has written a text.
func (g tool) logs(name, want string) {
	g.t.Helper()
	var out string
	for until := time.Now().Add(limit); time.Now().Before(until); time.Sleep(20 * time.Millisecond) {
		if out, _ = g.run("logs", "--kernel", name); strings.Contains(out, want) {
			return
		}
	}
	g.t.Fatalf("no %q in %v:\n%s", want, limit, out)
}

func TestStop(t *testing.T) {
	for _, machine := range []string{"microvm", "q35", "pc"} {
		t.Run(machine, func(t *testing.T) {
			g := newTool(t)
			if out, status := g.run("run", "-d", "--name", "x", "--machine", machine, "python3", "-c", program); status != 0 || out != "x\n" {
				t.Fatalf("run -d: status %d, %s", status, out)
			}
			defer g.run("rm", "-f", "x")
			g.logs("x", "up\n")
			for _, s := range []string{"HUP", "USR1"} {
				if out, status := g.run("stop", "-s", s, "x"); status != 0 {
					t.Errorf("stop -s %s: %d, %s", s, status, out)
				}
				g.logs("x", "SIG"+s+"\n")
			}
			start := time.Now()
			if out, status := g.run("stop", "-t", "30", "x"); status != 0 || time.Since(start) > 20*time.Second {
				t.Errorf("stop: %d after %v, %s", status, time.Since(start), out)
			}
			if out, _ := g.run("logs", "x"); out != "up\nSIGHUP\nSIGUSR1\nSIGTERM\n" {
				t.Errorf("logs: %q", out)
			}
			if out, status := g.run("wait", "x"); out != "7\n" || status != 0 {
				t.Errorf("wait: %d, %q", status, out)
			}
		})
	}
}

// TestKill ends a program that catches the signal and goes on; what it wrote is kept.
func TestKill(t *testing.T) {
	g := newTool(t)
	if out, status := g.run("run", "-d", "--name", "x", "python3", "-c", "import os, signal, time\nsignal.signal(15, lambda *a: os.write(1, b'no\\n'))\nos.write(1, b'up\\n')\nwhile True: time.sleep(0.05)"); status != 0 {
		t.Fatalf("run -d: status %d, %s", status, out)
	}
	defer g.run("rm", "-f", "x")
	g.logs("x", "up\n")
	if out, status := g.run("stop", "-t", "0.5", "x"); status != 0 {
		t.Errorf("stop: %d, %s", status, out)
	}
	if out, _ := g.run("logs", "x"); out != "up\nno\n" {
		t.Errorf("logs: %q", out)
	}
	if out, _ := g.run("wait", "x"); out != "137\n" {
		t.Errorf("wait: %q", out)
	}
}

// TestEarly sends the signal before the guest can have heard of it.
func TestEarly(t *testing.T) {
	g := newTool(t)
	if out, status := g.run("run", "-d", "--name", "x", "/bin/sleep", "1000"); status != 0 {
		t.Fatalf("run -d: status %d, %s", status, out)
	}
	defer g.run("rm", "-f", "x")
	if out, status := g.run("stop", "-t", "30", "x"); status != 0 {
		t.Errorf("stop: %d, %s", status, out)
	}
	if out, _ := g.run("wait", "x"); out != "143\n" {
		t.Errorf("wait: %q", out)
	}
}

// TestForeground forwards the signals that the tool itself gets.
func TestForeground(t *testing.T) {
	g := newTool(t)
	cmd := exec.Command(g.path, "run", "python3", "-c", program)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	timer := time.AfterFunc(target.Patience(limit), func() { cmd.Process.Kill() }) //nolint:errcheck // it has ended
	defer timer.Stop()
	lines := bufio.NewScanner(out)
	expect := func(want string) {
		t.Helper()
		if !lines.Scan() || lines.Text() != want {
			t.Errorf("the program wrote %q, want %q", lines.Text(), want)
		}
	}
	expect("up")
	for _, s := range []syscall.Signal{syscall.SIGHUP, syscall.SIGUSR1, syscall.SIGQUIT, syscall.SIGTERM} {
		if signal.Ignored(s) {
			continue // under nohup(1) the tool ignores it, too
		}
		cmd.Process.Signal(s) //nolint:errcheck // what follows tells
		expect(unix.SignalName(s))
	}
	cmd.Wait() //nolint:errcheck // the status is looked at
	if s := cmd.ProcessState.ExitCode(); s != 7 {
		t.Errorf("status %d, want 7", s)
	}
}

// TestResize changes the size of the terminal that the tool runs in.
func TestResize(t *testing.T) {
	g := newTool(t)
	master, slave := openPTY(t)
	resize := func(cols, rows uint16) {
		t.Helper()
		if err := unix.IoctlSetWinsize(int(master.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Col: cols, Row: rows}); err != nil {
			t.Fatal(err)
		}
	}
	resize(90, 30)
	cmd := exec.Command(g.path, "run", "-q", "python3", "-c", program)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = slave, slave, slave
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	timer := time.AfterFunc(target.Patience(limit), func() { cmd.Process.Kill() }) //nolint:errcheck // it has ended
	defer timer.Stop()
	lines := bufio.NewScanner(master)
	expect := func(want string) {
		t.Helper()
		if !lines.Scan() || strings.TrimSpace(lines.Text()) != want {
			t.Errorf("the program wrote %q, want %q", lines.Text(), want)
		}
	}
	expect("up")
	resize(111, 33)
	expect("SIGWINCH")
	expect("111 33")
	if _, err := master.WriteString("\x03"); err != nil {
		t.Fatal(err)
	}
	expect("^CSIGINT")
	cmd.Process.Signal(syscall.SIGTERM) //nolint:errcheck // what follows tells
	expect("SIGTERM")
	cmd.Wait() //nolint:errcheck // the status is looked at
	if s := cmd.ProcessState.ExitCode(); s != 7 {
		t.Errorf("status %d, want 7", s)
	}
}

// openPTY gives a pseudo-terminal: our end, and the program's.
func openPTY(t *testing.T) (master, slave *os.File) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Skipf("no pseudo-terminals here: %v; mount /dev/pts", err)
	}
	t.Cleanup(func() { master.Close() })
	if err := unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	if slave, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0); err != nil {
		t.Skipf("no pseudo-terminals here: %v; mount /dev/pts", err)
	}
	t.Cleanup(func() { slave.Close() })
	return master, slave
}

// TestMixedStreams runs a program with a part of its standard streams on a terminal, and types before it has started.
func TestMixedStreams(t *testing.T) {
	g := newTool(t)
	const tell = `for fd in 0 1 2; do test -t $fd && echo $fd is a terminal; done; echo error >&2; exec cat`
	for _, c := range []struct {
		terminal, out, err string
	}{
		{"01", "0 is a terminal\n1 is a terminal\ntyped\n", "error\n"},
		{"12", "1 is a terminal\n2 is a terminal\nerror\nin the file\n", ""},
		{"", "in the file\n", "error\n"},
	} {
		master, slave := openPTY(t)
		var files [3]*os.File
		for fd := range files {
			files[fd] = slave
			if !strings.Contains(c.terminal, fmt.Sprint(fd)) {
				f, err := os.CreateTemp(t.TempDir(), "stream")
				if err != nil {
					t.Fatal(err)
				}
				defer f.Close()
				if fd == 0 {
					f.WriteString("in the file\n") //nolint:errcheck // it is looked for
					f.Seek(0, io.SeekStart)        //nolint:errcheck // as before
				}
				files[fd] = f
			}
		}
		if strings.Contains(c.terminal, "0") {
			if err := unix.IoctlSetTermios(int(slave.Fd()), unix.TCSETS, quiet(t, slave)); err != nil {
				t.Fatal(err)
			}
			master.WriteString("typed\n\x04") //nolint:errcheck // it is looked for
		}
		var screen strings.Builder
		read := make(chan bool)
		go func() {
			b := make([]byte, 4096)
			for !strings.Contains(screen.String(), "the end") {
				n, err := master.Read(b)
				if err != nil {
					break
				}
				screen.Write(b[:n])
			}
			close(read)
		}()
		cmd := exec.Command(g.path, "run", "sh", "-c", tell)
		cmd.Stdin, cmd.Stdout, cmd.Stderr = files[0], files[1], files[2]
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
		if strings.Contains(c.terminal, "0") {
			cmd.SysProcAttr.Setctty = true
		}
		timer := time.AfterFunc(target.Patience(limit), func() { cmd.Process.Kill() }) //nolint:errcheck // it has ended
		if err := cmd.Run(); err != nil {
			t.Errorf("terminal %q: %v", c.terminal, err)
		}
		timer.Stop()
		slave.WriteString("the end") //nolint:errcheck // the reader waits for it
		<-read
		content := func(fd int) string {
			if files[fd] == slave {
				s, _, _ := strings.Cut(screen.String(), "the end")
				return strings.ReplaceAll(s, "\r\n", "\n")
			}
			b, _ := os.ReadFile(files[fd].Name())
			return string(b)
		}
		out, errs := content(1), content(2)
		if files[1] == files[2] {
			errs = ""
		}
		// The guest's terminal echoes what was typed.
		if out = strings.Replace(out, "typed\n", "", max(strings.Count(out, "typed\n")-1, 0)); out != c.out || errs != c.err {
			t.Errorf("terminal %q: output %q, errors %q; want %q and %q", c.terminal, out, errs, c.out, c.err)
		}
	}
}

// quiet gives a terminal's settings without echo and signals: keys wait as they are typed.
func quiet(t *testing.T, f *os.File) *unix.Termios {
	t.Helper()
	s, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	s.Lflag &^= unix.ECHO | unix.ICANON | unix.ISIG
	return s
}
