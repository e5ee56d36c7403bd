package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
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
	if err != nil || perr != nil || !slices.Contains(got.Options, "tty=101x37") || !slices.Contains(got.Env, "TERM=vt52") {
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
