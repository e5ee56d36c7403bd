package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"gosv/abi/boot"
)

func TestEscape(t *testing.T) {
	for in, want := range map[string]int{"a\x1d\x1d\x1d": 1, "\x1d\x1da\x1d": 0, "\x1d\x1d": 0, "\x1d.\x1d\x1d\x1d": 1, "\x1dw\x1d\x1d": 0} {
		now := time.Now()
		escapes := 0
		e := &escapeReader{r: strings.NewReader(in), escaped: func() { escapes++ }, now: func() time.Time { return now }}
		if got, err := io.ReadAll(e); err != nil || string(got) != in || escapes != want {
			t.Errorf("%q: passed %q on, %d escapes, want %d", in, got, escapes, want)
		}
	}
	now, escapes := time.Now(), 0
	e := &escapeReader{escaped: func() { escapes++ }, now: func() time.Time { return now }}
	for range 5 {
		e.r = strings.NewReader("\x1d")
		io.ReadAll(e) //nolint:errcheck // a strings.Reader does not fail
		now = now.Add(2 * escapeWithin)
	}
	if escapes != 0 {
		t.Error("slow key presses were taken for the escape")
	}
}

func TestShellQuote(t *testing.T) {
	if got, want := shellQuote([]string{"a", "", "a b", "it's", "$x", "-m=1,b.c:/d"}), `a '' 'a b' 'it'\''s' '$x' -m=1,b.c:/d`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestExpandShortV(t *testing.T) {
	for in, want := range map[string]string{
		"run -v a:/b ls -v":         "run -v a:/b ls -v",
		"run -v ls":                 "run --verbose ls",
		"run -v -m 64M -v x:/y ls":  "run --verbose -m 64M -v x:/y ls",
		"run -m -v ls":              "run -m -v ls",
		"run --strace -v ls":        "run --strace --verbose ls",
		"run -e -v ls -v":           "run -e -v ls -v",
		"run -qv":                   "run -qv",
		"build -o x -v prog -v":     "build -o x --verbose prog -v",
		"run -v":                    "run --verbose",
		"run -- -v":                 "run -- -v",
		"image ls -l x":             "image ls -l x",
		"version":                   "version",
		"run --env=A=b -v ls a:/b":  "run --env=A=b --verbose ls a:/b",
		"run --timeout 5 -v cat -v": "run --timeout 5 --verbose cat -v",
	} {
		if got := strings.Join(expandShortV(newRoot(), strings.Fields(in)), " "); got != want {
			t.Errorf("%s: got %s, want %s", in, got, want)
		}
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

func TestTerminal(t *testing.T) {
	master, slave := openPTY(t)
	if err := unix.IoctlSetWinsize(int(slave.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Col: 101, Row: 37}); err != nil {
		t.Fatal(err)
	}
	before, err := unix.IoctlGetTermios(int(slave.Fd()), unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	c := newTool(t, "tty")
	c.env = append(c.env, "TERM=vt52")
	cmd := c.command("run", "./hello")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = slave, slave, slave
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	in := bufio.NewReader(master)
	line, err := in.ReadString('\n')
	got, perr := boot.Parse(strings.TrimSpace(line))
	if err != nil || perr != nil || !slices.Contains(got.Options, "tty=101x37:012") || !slices.Contains(got.Env, "TERM=vt52") {
		t.Errorf("the command line is %q, %v", line, err)
	}
	// Raw: neither echo nor signal nor a change of any byte, in both directions.
	const keys = "\x03a\r\n\x1a\x04\xff."
	if _, err := master.WriteString(keys); err != nil {
		t.Fatal(err)
	}
	back := make([]byte, len(keys))
	if _, err := io.ReadFull(in, back); err != nil || string(back) != keys {
		t.Errorf("%q came back as %q, %v", keys, back, err)
	}
	if err := cmd.Wait(); err == nil || cmd.ProcessState.ExitCode() != 4 {
		t.Errorf("it ended with %v, want status 4", err)
	}
	after, err := unix.IoctlGetTermios(int(slave.Fd()), unix.TCGETS)
	if err != nil || *after != *before {
		t.Errorf("the terminal is not as it was: %+v, %v; want %+v", after, err, before)
	}
}

// TestPartOfTerminal has some of the standard streams on a terminal.
func TestPartOfTerminal(t *testing.T) {
	for _, streams := range []string{"01", "12", "2", "1", "0"} {
		master, slave := openPTY(t)
		c := newTool(t, "config")
		file, err := os.CreateTemp(c.dir, "stream")
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		on := func(fd string) *os.File {
			if strings.Contains(streams, fd) {
				return slave
			}
			return file
		}
		cmd := c.command("run", "--dry-run", "./hello")
		cmd.Stdin, cmd.Stdout, cmd.Stderr = on("0"), on("1"), on("2")
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
		if err := cmd.Run(); err != nil {
			t.Fatal(err)
		}
		var line string
		if strings.Contains(streams, "1") {
			line, err = bufio.NewReader(master).ReadString('\n')
		} else {
			var b []byte
			b, err = os.ReadFile(file.Name())
			line = string(b)
		}
		want := " tty=80x24:" + streams + " "
		if streams == "0" { // the screen is another program's
			want = " "
		}
		if err != nil || !strings.Contains(strings.ReplaceAll(line, "-append 'tty", "-append ' tty"), want) || want == " " && strings.Contains(line, "tty=") {
			t.Errorf("%s: %q, %v", streams, line, err)
		}
	}
}

// TestErrorsBesideTerminal redirects standard error alone.
func TestErrorsBesideTerminal(t *testing.T) {
	master, slave := openPTY(t)
	go io.Copy(io.Discard, master) //nolint:errcheck // nothing is looked for there
	c := newTool(t, "errors")
	file, err := os.CreateTemp(c.dir, "stderr")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	cmd := c.command("run", "./hello")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = slave, slave, file
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	cmd.Run() //nolint:errcheck // the output is looked at
	if b, err := os.ReadFile(file.Name()); err != nil || string(b) != "one\ntwo\ngosv: hello was ended by SIGABRT\n" {
		t.Errorf("standard error is %q, %v", b, err)
	}
}

// TestBackground is a job that a shell has put into the background of its terminal: it must not be stopped for what it
// does to the terminal, and runs without its keyboard.
func TestBackground(t *testing.T) {
	master, slave := openPTY(t)
	c := newTool(t, "config")
	// A shell with job control, whose job is a process group of its own.
	cmd := exec.Command("bash", "-mc", `"$0" run ./hello & wait $!; echo status $?`, os.Args[0])
	cmd.Dir, cmd.Env = c.dir, c.env
	cmd.Stdin, cmd.Stdout, cmd.Stderr = slave, slave, slave
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := cmd.Start(); err != nil {
		t.Skipf("no bash here: %v; install it", err)
	}
	timer := time.AfterFunc(20*time.Second, func() { cmd.Process.Kill() })
	defer timer.Stop()
	in := bufio.NewReader(master)
	var lines []string
	for {
		line, err := in.ReadString('\n')
		lines = append(lines, line)
		if err != nil || strings.HasPrefix(line, "status ") {
			break
		}
	}
	cmd.Process.Kill() //nolint:errcheck // it has ended, or is stuck
	cmd.Wait()         //nolint:errcheck // its output was looked at
	if len(lines) < 2 || !strings.HasPrefix(lines[0], "tty=80x24:12 ") || lines[len(lines)-1] != "status 0\r\n" {
		t.Errorf("the job printed %q", lines)
	}
}

// TestInputIsLeft runs a program that does not read: its input is there for who comes after it.
func TestInputIsLeft(t *testing.T) {
	for mode, want := range map[string]int64{"config": 0, "cat": 6} {
		c := newTool(t, mode)
		c.write("in", "a\nb\nc\n", 0o600)
		f, err := os.Open(c.dir + "/in")
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		cmd := c.command("run", "./hello")
		cmd.Stdin = f
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		if at, err := f.Seek(0, io.SeekCurrent); err != nil || at != want {
			t.Errorf("%s: %d bytes of the input were taken, want %d; %v", mode, at, want, err)
		}
	}
}
