package main

import (
	"bufio"
	"bytes"
	"debug/elf"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"gosv/abi/boot"
	"gosv/host/elfdeps/elftest"
)

// TestMain lets this test's binary stand in for the tool, in processes of
// their own, and for QEMU.
func TestMain(m *testing.M) {
	switch {
	case os.Getenv("GOSV_TEST_QEMU") != "" && slices.Contains(os.Args, "-nodefaults"):
		fakeQEMU(os.Getenv("GOSV_TEST_QEMU"))
		os.Exit(1) // QEMU's status after isa-debug-exit is odd
	case os.Getenv("GOSV_TEST_TOOL") != "":
		grace, afterPowerOff = 500*time.Millisecond, 200*time.Millisecond
		os.Exit(run(os.Args[1:]))
	}
	os.Exit(m.Run())
}

// fakeQEMU does what a machine would do, as far as the tool can see.
func fakeQEMU(mode string) {
	arg := func(flag string) string {
		if i := slices.Index(os.Args, flag); i >= 0 && i+1 < len(os.Args) {
			return os.Args[i+1]
		}
		return ""
	}
	open := func(n int) *os.File {
		f, err := os.OpenFile(fmt.Sprintf("/proc/self/fd/%d", n), os.O_WRONLY|os.O_TRUNC, 0)
		if err != nil {
			panic(err)
		}
		return f
	}
	stdout, stderr, log := open(3), open(4), open(5)
	report := func(status int, fields ...string) { fmt.Fprintf(log, "%s\r\n", boot.FormatReport(status, fields...)) }
	fmt.Fprint(log, "kernel: hello\r\nstrace: getpid() = 1\r\nbootchart: memory 1500\r\n")
	config, _ := boot.Parse(arg("-append"))
	if config.Announce && mode != "noexec" && mode != "refuses" {
		fmt.Fprint(log, boot.StartedLine+"\r\n")
	}
	switch mode {
	case "cat": // standard input to standard output
		fmt.Fprintf(log, "%s\r\n", boot.InputWanted)
		io.Copy(stdout, os.Stdin)
		report(0)
	case "config": // the command line and the image
		fmt.Fprintf(stdout, "%s\n%s%s\n", arg("-append"), arg("-initrd"), arg("-drive"))
		report(0)
	case "tty": // the command line, then a few keys back
		fmt.Fprintf(stdout, "%s\n", arg("-append"))
		key := make([]byte, 1)
		for key[0] != '.' {
			if _, err := os.Stdin.Read(key); err != nil {
				break
			}
			stdout.Write(key)
		}
		report(4)
	case "big":
		stdout.Write(bytes.Repeat([]byte("0123456789abcdef"), 1<<20))
		report(7)
	case "stderr":
		fmt.Fprint(stdout, "out")
		fmt.Fprint(stderr, "err")
		report(3)
	case "errors":
		fmt.Fprint(stderr, "one\ntwo\n")
		stderr.Close() // and the tool has it before the report
		time.Sleep(100 * time.Millisecond)
		report(134, "signal", "SIGABRT")
	case "segv":
		report(139, "signal", "SIGSEGV", "addr", "0x0", "ip", "0x401136")
	case "noexec":
		if config.Announce {
			time.Sleep(500 * time.Millisecond) // a guest takes its time to find out
		}
		report(127, "error", "/bin/x: no such file or directory")
	case "interrupted":
		report(130, "signal", "SIGINT", "ip", "0x401136")
	case "nomem":
		report(125, "error", "/bin/x: cannot allocate memory")
	case "oom":
		report(137, "signal", "SIGKILL", "oom", "1")
	case "kerneloom":
		fmt.Fprint(log, "gosv: kernel bug: out of memory: no frame\r\n")
		report(125, "panic", "out of memory: no frame")
	case "kerneldeath":
		fmt.Fprint(log, "gosv: kernel bug: out of memory: no frame\r\n")
		report(125, "panic", "out of memory: no frame", "started", "1")
	case "panic":
		fmt.Fprint(log, "panic: something\r\ngoroutine 1 [running]:\r\n")
		report(125, "panic", "something")
	case "silent":
	case "refuses":
		fmt.Fprintln(os.Stderr, "qemu-system-x86_64: cannot set up guest memory")
	case "hangs":
		fmt.Fprintln(stdout, os.Getpid())
		time.Sleep(time.Minute)
	case "server": // prints requests, and ends as a program does that catches SIGTERM
		fmt.Fprintf(stdout, "%d\n%s\n", os.Getpid(), arg("-append"))
		fmt.Fprint(stderr, "ready\n")
		port := bufio.NewScanner(os.NewFile(6, "control"))
		for port.Scan() {
			fmt.Fprintln(stdout, port.Text())
			switch r, _ := boot.ParseRequest(port.Text()); {
			case r.Verb == boot.RequestPowerOff:
				report(137, "signal", "SIGKILL")
				return
			case r.Signal == int(syscall.SIGTERM):
				time.Sleep(together / 2) // it finishes what it does
				report(7)
				return
			case r.Signal == int(syscall.SIGINT):
				report(130, "signal", "SIGINT")
				return
			}
		}
	case "deaf": // takes no request but poweroff
		fmt.Fprintln(stdout, os.Getpid())
		port := bufio.NewScanner(os.NewFile(6, "control"))
		for port.Scan() {
			if port.Text() == boot.RequestPowerOff {
				fmt.Fprintln(stdout, "last words")
				report(137, "signal", "SIGKILL")
				return
			}
		}
	case "lingers":
		report(5)
		time.Sleep(time.Minute)
	}
}

// tool is a place to run the tool in.
type tool struct {
	t   *testing.T
	dir string
	env []string
}

func newTool(t *testing.T, mode string) *tool {
	t.Helper()
	dir := t.TempDir()
	elftest.File{Type: elf.ET_EXEC, PAddr: 1 << 20, Memory: 2 << 20}.Write(t, filepath.Join(dir, "kernel.elf"))
	elftest.File{Type: elf.ET_EXEC}.Write(t, filepath.Join(dir, "hello"))
	return &tool{t, dir, append(os.Environ(), "GOSV_TEST_TOOL=1", "GOSV_TEST_QEMU="+mode, "GOSV_QEMU="+os.Args[0],
		"GOSV_KERNEL="+filepath.Join(dir, "kernel.elf"), "XDG_CACHE_HOME="+filepath.Join(dir, "cache"), "XDG_STATE_HOME="+filepath.Join(dir, "state"), "LD_LIBRARY_PATH=")}
}

func (c *tool) command(args ...string) *exec.Cmd {
	cmd := exec.Command(os.Args[0], args...)
	cmd.Dir, cmd.Env = c.dir, c.env
	return cmd
}

func (c *tool) run(stdin string, args ...string) (stdout, stderr string, status int) {
	c.t.Helper()
	cmd := c.command(args...)
	var out, err bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &out, &err
	if e := cmd.Run(); e != nil && cmd.ProcessState == nil {
		c.t.Fatal(e)
	}
	return out.String(), err.String(), cmd.ProcessState.ExitCode()
}

func (c *tool) write(name, text string, mode os.FileMode) {
	c.t.Helper()
	elftest.WriteFile(c.t, filepath.Join(c.dir, name), text)
	if err := os.Chmod(filepath.Join(c.dir, name), mode); err != nil {
		c.t.Fatal(err)
	}
}

func TestStreams(t *testing.T) {
	in := strings.Repeat("line\x00\r\n\x1b\xff", 100_000)
	out, stderr, status := newTool(t, "cat").run(in, "run", "./hello")
	if out != in || stderr != "" || status != 0 {
		t.Errorf("%d bytes became %d, status %d, %q", len(in), len(out), status, stderr)
	}
	out, stderr, status = newTool(t, "big").run("", "run", "./hello")
	if len(out) != 16<<20 || stderr != "" || status != 7 {
		t.Errorf("16 MiB of output became %d bytes, status %d, %q", len(out), status, stderr)
	}
	out, stderr, status = newTool(t, "stderr").run("", "run", "./hello")
	if out != "out" || stderr != "err" || status != 3 {
		t.Errorf("got %q %q %d", out, stderr, status)
	}
}

func TestEnds(t *testing.T) {
	for _, c := range []struct {
		mode   string
		args   []string
		status int
		want   string // standard error has
		not    string // and has not
	}{
		{"segv", nil, 139, "gosv: hello was ended by SIGSEGV at address 0x0, instruction at 0x401136\n", "kernel: hello"},
		{"segv", []string{"-q"}, 139, "", "SIGSEGV"},
		{"interrupted", nil, 130, "", "SIGINT"},
		{"nomem", nil, 125, "gosv: /bin/x: cannot allocate memory: 128M is too little, try -m 256M\n", ""},
		{"oom", nil, 137, "it needed more than the 128M of memory that the machine has; try -m 256M", ""},
		{"kerneloom", []string{"-m", "8M"}, 125, "gosv: 8M of memory is too little for the kernel and ./hello; try -m 16M\n", "bug of gosv"},
		{"kerneldeath", []string{"-m", "8M"}, 125, "gosv: the kernel crashed: out of memory: no frame; this is a bug of gosv", "too little"},
		{"noexec", nil, 127, "gosv: /bin/x: no such file or directory\n", ""},
		{"panic", nil, 125, "panic: something\ngoroutine 1 [running]:\ngosv: the kernel crashed: something; this is a bug", "kernel: hello"},
		{"silent", nil, 125, "without a report; its last line was: kernel: hello; try again with -v", ""},
		{"silent", []string{"-m", "8M"}, 125, "8M of memory may be too little, try -m 64M", ""},
		{"refuses", nil, 125, "gosv: QEMU: qemu-system-x86_64: cannot set up guest memory\n", ""},
		{"hangs", []string{"--timeout", "0.3"}, 124, "did not end within 300ms", ""},
		{"lingers", nil, 5, "", "gosv"},
		{"cat", []string{"--verbose"}, 0, "kernel: hello\n", "getpid"},
		{"cat", []string{"-v"}, 0, "gosv: using ", "getpid"},
		{"cat", []string{"--strace"}, 0, "getpid() = 1\n", "strace:"},
		{"cat", []string{"--bootchart"}, 0, "memory                            1.500", ""},
	} {
		_, stderr, status := newTool(t, c.mode).run("", slices.Concat([]string{"run"}, c.args, []string{"./hello"})...)
		if status != c.status || !strings.Contains(stderr, c.want) || c.not != "" && strings.Contains(stderr, c.not) {
			t.Errorf("%s %q: status %d, %q; want %d, %q and not %q", c.mode, c.args, status, stderr, c.status, c.want, c.not)
		}
	}
}

func TestFullDisk(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer full.Close()
	cmd := newTool(t, "stderr").command("run", "./hello")
	var stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = full, &stderr
	cmd.Run() //nolint:errcheck // the status is looked at
	if cmd.ProcessState.ExitCode() != 125 || !strings.Contains(stderr.String(), "output of ./hello was lost: write /dev/stdout: no space left on device") {
		t.Errorf("status %d, %q", cmd.ProcessState.ExitCode(), stderr.String())
	}
}

func TestStraceFile(t *testing.T) {
	c := newTool(t, "cat")
	if _, stderr, status := c.run("", "run", "--strace=trace", "./hello"); status != 0 || stderr != "" {
		t.Errorf("status %d, %q", status, stderr)
	}
	if b, err := os.ReadFile(filepath.Join(c.dir, "trace")); err != nil || string(b) != "getpid() = 1\n" {
		t.Errorf("the trace is %q, %v", b, err)
	}
}

func TestMistakes(t *testing.T) {
	c := newTool(t, "cat")
	c.write("text", "hello\n", 0o755)
	c.write("data", "hello\n", 0o644)
	c.write("crlf", "#!/bin/sh\r\n", 0o755)
	c.write("relative", "#!no/such\n", 0o755)
	if err := syscall.Mkfifo(filepath.Join(c.dir, "fifo"), 0o777); err != nil {
		t.Fatal(err)
	}
	c.write("script", "#!/no/such/interpreter\n", 0o755)
	c.write("envscript", "#!/usr/bin/env no-such-interpreter\n", 0o755)
	c.write("bad.yaml", "program: ./hello\nmemroy: 1\n", 0o644)
	c.write("worse.yaml", "program: \"./hello\n", 0o644)
	elftest.File{Machine: elf.EM_AARCH64}.Write(t, filepath.Join(c.dir, "arm"))
	elftest.File{Needed: []string{"libno-such.so.9"}}.Write(t, filepath.Join(c.dir, "needs"))
	for _, m := range []struct {
		args   string
		status int
		want   string
	}{
		{"run ./none", 127, "./none: no such file"},
		{"run no-such-program-here", 127, "no-such-program-here: not found in $PATH"},
		{"run hello", 127, "hello: not found in $PATH; for the one in this directory write ./hello"},
		{"run ./data", 126, "./data: not executable; chmod +x ./data"},
		{"run .", 127, "not found"},
		{"run ./", 126, "is a directory"},
		{"run ./fifo", 126, "./fifo: not a regular file"},
		{"build -o fifo ./hello", 125, "cannot write fifo: not a regular file; choose another place with -o"},
		{"run ./crlf", 127, `crlf: its interpreter does not exist: "/bin/sh\r": the #! line ends in a carriage return; remove it: sed -i 's/\r$//' `},
		{"run ./relative", 127, "relative: its interpreter does not exist: " + c.dir + "/no/such"},
		{"run -v x:y ./hello", 125, `--volume "x:y": write it HOST:GUEST or HOST:GUEST:ro, GUEST being an absolute path`},
		{"run ./text", 126, "text: not an ELF file, and no script with a #! line"},
		{"run ./arm", 126, "arm: wrong architecture: made for arm64, this gosv runs x86-64 programs"},
		{"run ./needs", 127, "library libno-such.so.9, needed by " + c.dir + "/needs, is not on this machine; install it"},
		{"run ./script", 127, "script: its interpreter does not exist: /no/such/interpreter"},
		{"run ./envscript", 127, "envscript: its interpreter does not exist: no-such-interpreter: not found in $PATH"},
		{"run", 125, "no PROGRAM is given; see gosv run --help"},
		{"run --no-such-flag ./hello", 125, "unknown flag: --no-such-flag; see gosv run --help"},
		{"run -m 1M ./hello", 125, "1M of memory is too little: the kernel alone needs 5M; try -m 10M"},
		{"run -m lots ./hello", 125, `"lots" is not a size of memory; write for example 64M or 2G`},
		{"run -c 99 ./hello", 125, `"99" is not a number of CPUs from 1 to 8`},
		{"run --machine isapc ./hello", 125, "--machine isapc: it is one of microvm, q35, pc"},
		{"run --accel hvf ./hello", 125, "--accel hvf: it is one of auto, kvm and tcg"},
		{"run --kernel none ./hello", 125, "--kernel none: no such file"},
		{"run --profile tiny ./hello", 125, "--profile tiny: it is full or minimal"},
		{"run --profile minimal ./hello", 125, "--profile minimal: this kernel has no network; add --network none"},
		{"run --timeout soon ./hello", 125, "--timeout soon: it is not a time"},
		{"run -e =x ./hello", 125, `--env "=x" is not NAME=value`},
		{"run --env-file none ./hello", 125, "--env-file none: no such file"},
		{"run --volume x ./hello", 125, `--volume "x": write it HOST:GUEST or HOST:GUEST:ro`},
		{"run -v none:/x ./hello", 125, "volume none: no such file or directory on the host"},
		{"run -w here ./hello", 125, "--workdir here: it must be an absolute path"},
		{"run --strace=none/x ./hello", 125, "--strace: cannot write none/x: no such file or directory"},
		{"run --boot-opts \" ./hello", 125, "--boot-opts: a quote is not closed"},
		{"run -p x ./hello", 125, `--publish "x": "x" is not a port from 1 to 65535; write [IP:]HOST:GUEST`},
		{"run -p [::1]:0:80 ./hello", 125, "the user network publishes on IPv4 addresses only"},
		{"run -p 192.0.2.1:0:80 ./hello", 125, "publish 192.0.2.1:0:80: 192.0.2.1 is not an address of this machine"},
		{"run -p 80:80 --network none ./hello", 125, "--publish 80:80: only --network user publishes ports"},
		{"run --network host ./hello", 125, `--network "host": it is user, tap=NAME, bridge=NAME or none`},
		{"run --network tap=none0 ./hello", 125, "there is no interface none0; make it: ip tuntap add none0 mode tap"},
		{"run --network none --network user ./hello", 125, "--network none: it goes with no other network"},
		{"run --network none --dns 1.1.1.1 ./hello", 125, "need a network"},
		{"run --mac x ./hello", 125, `--mac: "x" is not an Ethernet address`},
		{"run --mac 2:2 --mac 3:3 ./hello", 125, "--mac 3:3: there are only 1 interfaces"},
		{"run --ip 1.2.3.4 ./hello", 125, "--ip 1.2.3.4: it is [ethN,]ADDRESS/PREFIX"},
		{"run --ip eth1,1.2.3.4/24 ./hello", 125, "there is no eth1"},
		{"run --ip dhcp --ip none ./hello", 125, "it goes with no other --ip"},
		{"run --ip 10.0.0.1/24,x ./hello", 125, `"x" is not the address of a gateway`},
		{"run --gateway x ./hello", 125, "--gateway x: it is not an IP address"},
		{"run --dns x ./hello", 125, "--dns x: it is not an IP address"},
		{"run --name x ./hello", 125, "--name: only a machine in the background has a name; add -d"},
		{"run --rm ./hello", 125, "add -d"},
		{"run -d --dry-run ./hello", 125, "exclude each other"},
		{"run -d --name /x ./hello", 125, `--name: "/x" cannot be a machine's name`},
		{"ps x", 125, "write it gosv ps"},
		{"stop", 125, "no machine is named; gosv ps -a lists them"},
		{"stop x x", 125, "a machine is named twice"},
		{"stop x", 125, "there is no machine of this name: x; gosv ps -a lists them"},
		{"stop -s NONE x", 125, "--signal NONE: there is no such signal"},
		{"logs x", 125, "there is no machine of this name: x"},
		{"wait x", 125, "there is no machine of this name: x"},
		{"rm x", 125, "there is no machine of this name: x"},
		{"build -p x -o x.img ./hello", 125, `publish "x"`},
		{"build ./hello", 125, "no -o IMAGE is given; see gosv build --help"},
		{"build -o x.img", 125, "no PROGRAM is given"},
		{"build -o none/x.img ./hello", 125, "cannot write none/x.img: no such file or directory; make its directory first: mkdir -p none"},
		{"build -o x.img -f bad.yaml", 125, "bad.yaml:2: memroy: unknown key; the keys are args,"},
		{"build -o x.img -f worse.yaml", 125, "worse.yaml:2: found unexpected end of stream"},
		{"build -o x.img -f none.yaml", 125, "none.yaml: no such file"},
		{"image ls ./hello", 125, "./hello: not an image; gosv build makes one"},
		{"image cat none /x", 125, "none: no such file"},
		{"image cat none", 125, "write it gosv image cat IMAGE PATH..."},
		{"image inspect -o xml none", 125, "--output xml: it is text or json"},
		{"frobnicate", 125, `unknown command "frobnicate" for "gosv"`},
	} {
		_, stderr, status := c.run("", strings.Fields(m.args)...)
		if status != m.status || !strings.HasPrefix(stderr, "gosv: ") || !strings.Contains(stderr, m.want) || strings.Count(stderr, "\n") != 1 {
			t.Errorf("gosv %s: status %d, %q; want %d, one line with %q", m.args, status, stderr, m.status, m.want)
		}
	}
	left, _ := filepath.Glob(filepath.Join(c.dir, "*.img"))
	hidden, _ := filepath.Glob(filepath.Join(c.dir, ".*"))
	inCache, _ := filepath.Glob(filepath.Join(c.dir, "cache/gosv/.*"))
	if all := slices.Concat(left, hidden, inCache); len(all) > 0 {
		t.Errorf("left behind: %q", all)
	}
}

// TestEntrypoint runs another program of the same image.
func TestEntrypoint(t *testing.T) {
	c := newTool(t, "config")
	elftest.File{}.Write(t, filepath.Join(c.dir, "other"))
	out, stderr, status := c.run("", "run", "--entrypoint", "./other", "./hello", "x")
	line, rest, _ := strings.Cut(out, "\n")
	got, err := boot.Parse(line)
	if want := []string{filepath.Join(c.dir, "other"), "x"}; status != 0 || err != nil || !slices.Equal(got.Args, want) {
		t.Fatalf("status %d, %q, %v: %q", status, stderr, err, got.Args)
	}
	if list, _, _ := c.run("", "image", "ls", strings.TrimSpace(rest), c.dir); !strings.Contains(list, "/hello\n") || !strings.Contains(list, "/other\n") {
		t.Errorf("the image has %q", list)
	}
}

// TestCacheOfImages makes one image for many arguments, and another when a file is there that was not.
func TestCacheOfImages(t *testing.T) {
	c := newTool(t, "config")
	images := func(args ...string) int {
		t.Helper()
		if _, stderr, status := c.run("", append([]string{"run", "./hello"}, args...)...); status != 0 {
			t.Fatalf("status %d, %q", status, stderr)
		}
		list, _ := filepath.Glob(filepath.Join(c.dir, "cache/gosv/*.erofs"))
		return len(list)
	}
	if n := images("a"); n != 1 {
		t.Errorf("%d images after the first run", n)
	}
	if n := images("b", "c"); n != 1 {
		t.Errorf("%d images after a run with other arguments", n)
	}
	c.write("a", "now it is a file", 0o644)
	if n := images("a"); n != 2 {
		t.Errorf("%d images after a run with an argument that names a file", n)
	}
	elftest.File{Type: elf.ET_EXEC, Soname: "changed"}.Write(t, filepath.Join(c.dir, "hello"))
	if n := images("x"); n != 3 {
		t.Errorf("%d images after the program changed", n)
	}
}

func TestNoQEMU(t *testing.T) {
	c := newTool(t, "cat")
	c.env = append(c.env, "GOSV_QEMU=", "PATH="+c.dir)
	_, stderr, status := c.run("", "run", "./hello")
	if status != 125 || !strings.HasPrefix(stderr, "gosv: QEMU (qemu-system-x86_64) is not installed; install it with") {
		t.Errorf("status %d, %q", status, stderr)
	}
}

func TestConfiguration(t *testing.T) {
	c := newTool(t, "config")
	c.write("vars", "A=file\nB=file\n", 0o644)
	c.env = append(c.env, "C=host", "LANG=C.UTF-8", "LC_ALL=", "TZ=")
	out, stderr, status := c.run("", "run", "-e", "A=flag", "--env-file", "vars", "-e", "C", "-e", "NOT_SET", "--hostname", "h", "-w", "/w",
		"--strace=trace", "--bootchart", "--boot-opts", "quiet x=1", "./hello", "-e", "a b", "--", "")
	line, rest, _ := strings.Cut(out, "\n")
	got, err := boot.Parse(line)
	if status != 0 || err != nil {
		t.Fatalf("status %d, %q, %v", status, stderr, err)
	}
	if !got.Strace || !got.BootChart || got.Verbose {
		t.Errorf("flags that are not passed on: %+v", got)
	}
	if want := []string{filepath.Join(c.dir, "hello"), "-e", "a b", "--", ""}; !slices.Equal(got.Args, want) || got.Argv0 != "./hello" {
		t.Errorf("arguments %q as %q, want %q", got.Args, got.Argv0, want)
	}
	for _, e := range []string{"A=flag", "B=file", "C=host", "LANG=C.UTF-8", "PATH=" + defaultPath} {
		if !slices.Contains(got.Env, e) {
			t.Errorf("the environment has no %s: %q", e, got.Env)
		}
	}
	if got.Workdir != "/w" || got.Hostname != "h" || !slices.Equal(got.Options[:min(2, len(got.Options))], []string{"quiet", "x=1"}) || got.Wall == 0 {
		t.Errorf("got %+v", got)
	}
	if !strings.HasSuffix(strings.TrimSpace(rest), ".erofs") {
		t.Errorf("the image is %q", rest)
	}
}

// TestProgramPath lets a program find itself that is in none of the usual directories.
func TestProgramPath(t *testing.T) {
	c := newTool(t, "config")
	elftest.File{}.Write(t, filepath.Join(c.dir, "opt/prog"))
	c.env = append(c.env, "PATH="+c.dir+"/opt:"+os.Getenv("PATH"))
	for _, r := range []struct{ args, want string }{{"prog", c.dir + "/opt:" + defaultPath}, {"./opt/prog", defaultPath}, {"-e PATH=/x prog", "/x"}} {
		out, stderr, status := c.run("", append([]string{"run"}, strings.Fields(r.args)...)...)
		line, _, _ := strings.Cut(out, "\n")
		if got, err := boot.Parse(line); err != nil || !slices.Contains(got.Env, "PATH="+r.want) {
			t.Errorf("%s: %d, %q, %q; want PATH=%s", r.args, status, stderr, got.Env, r.want)
		}
	}
}

// TestRelativeLibraryPath finds a library in a directory that is named from here.
func TestRelativeLibraryPath(t *testing.T) {
	c := newTool(t, "config")
	elftest.File{Type: elf.ET_DYN, Soname: "libown.so"}.Write(t, filepath.Join(c.dir, "lib/libown.so"))
	elftest.File{Needed: []string{"libown.so"}}.Write(t, filepath.Join(c.dir, "needs"))
	c.write("relative", "#!./hello\n", 0o755)
	c.env = append(c.env, "LD_LIBRARY_PATH=lib:/none")
	out, stderr, status := c.run("", "run", "./needs")
	line, img, _ := strings.Cut(out, "\n")
	got, err := boot.Parse(line)
	if err != nil || !slices.Contains(got.Env, "LD_LIBRARY_PATH="+c.dir+"/lib:/none") {
		t.Errorf("%d, %q: the environment is %q", status, stderr, got.Env)
	}
	if list, _, _ := c.run("", "image", "ls", strings.TrimSpace(img), c.dir+"/lib"); list != c.dir+"/lib/libown.so\n" {
		t.Errorf("the image has %q", list)
	}
	out, stderr, status = c.run("", "run", "./relative") // whose interpreter is, too
	_, img, _ = strings.Cut(out, "\n")
	if list, _, _ := c.run("", "image", "ls", strings.TrimSpace(img), c.dir); status != 0 || !strings.Contains(list, "/hello\n") {
		t.Errorf("%d, %q: the image has %q", status, stderr, list)
	}
}

// TestLongCommandLine puts what QEMU would cut off into the image.
func TestLongCommandLine(t *testing.T) {
	c := newTool(t, "config")
	long := strings.Repeat("x", 5000)
	out, stderr, status := c.run("", "run", "-e", "A=1", "./hello", long)
	line, rest, _ := strings.Cut(out, "\n")
	got, err := boot.Parse(line)
	if status != 0 || err != nil || len(got.Args) > 0 || len(got.Env) > 0 {
		t.Fatalf("status %d, %q, %v: %+v", status, stderr, err, got)
	}
	m, err := openImage(strings.TrimSpace(rest))
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	in, err := m.Config()
	if err != nil || len(in.Args) != 2 || in.Args[1] != long || in.Argv0 != "./hello" || !slices.Contains(in.Env, "A=1") {
		t.Errorf("the image's configuration: %v", err)
	}
}

func TestBuildRunImage(t *testing.T) {
	c := newTool(t, "config")
	c.write("conf/app.toml", "x = 1\n", 0o600)
	c.write("gosv.yaml", "program: ./hello\nargs: [one]\nenv: {A: '1'}\nworkdir: /srv\nmemory: 32M\ncpus: 2\nfiles: ['conf/app.toml:/etc/app.toml']\n", 0o644)
	for _, name := range []string{"a.img", "b.img"} {
		if _, stderr, status := c.run("", "build", "-o", name, "-f", "gosv.yaml"); status != 0 || stderr != "" {
			t.Fatalf("build: %d, %q", status, stderr)
		}
	}
	a, err1 := os.ReadFile(filepath.Join(c.dir, "a.img"))
	b, err2 := os.ReadFile(filepath.Join(c.dir, "b.img"))
	if err1 != nil || err2 != nil || !bytes.Equal(a, b) {
		t.Errorf("two builds of the same input differ: %v, %v", err1, err2)
	}
	if out, _, _ := c.run("", "image", "cat", "a.img", "/etc/app.toml"); out != "x = 1\n" {
		t.Errorf("image cat: %q", out)
	}
	if out, _, _ := c.run("", "image", "inspect", "-o", "json", "a.img"); !strings.Contains(out, `"memory": "32M"`) || !strings.Contains(out, `"cpus": "2"`) {
		t.Errorf("image inspect: %s", out)
	}
	if out, _, _ := c.run("", "image", "ls", "-l", "a.img", "/srv/.."); !strings.Contains(out, "/srv\n") {
		t.Errorf("image ls: %s", out)
	}
	if _, stderr, status := c.run("", "image", "cat", "a.img", "/none"); status != 125 || !strings.Contains(stderr, "no file /none in the image") {
		t.Errorf("image cat of nothing: %d, %q", status, stderr)
	}
	for _, r := range []struct {
		args []string
		want []string
	}{
		{nil, nil},
		{[]string{"two", "three"}, []string{filepath.Join(c.dir, "hello"), "two", "three"}},
	} {
		out, stderr, status := c.run("", slices.Concat([]string{"run", "./a.img"}, r.args)...)
		line, _, _ := strings.Cut(out, "\n")
		if got, err := boot.Parse(line); status != 0 || err != nil || !slices.Equal(got.Args, r.want) {
			t.Errorf("run a.img %q: %d, %q, %q", r.args, status, stderr, got.Args)
		}
	}
	testImageNetwork(t, c)
	out, _, _ := c.run("", "run", "--dry-run", "-m", "16M", "./a.img")
	if !strings.Contains(out, " -m 16M ") || !strings.Contains(out, " -smp 2 ") {
		t.Errorf("memory and CPUs of image and flag: %s", out)
	}
}

// TestSourceDateEpoch makes the same image of files that were made again elsewhere.
func TestSourceDateEpoch(t *testing.T) {
	var images [2][]byte
	for i := range images {
		c := newTool(t, "config")
		c.env = append(c.env, "SOURCE_DATE_EPOCH=1000000000")
		old, late := time.Unix(900000000, 5), time.Unix(1700000000+int64(i), 7)
		c.write("old", "x", 0o644)
		for name, at := range map[string]time.Time{"hello": late, "old": old} {
			if err := os.Chtimes(filepath.Join(c.dir, name), at, at); err != nil {
				t.Fatal(err)
			}
		}
		if _, stderr, status := c.run("", "build", "-o", "x.img", "-v", "./hello:/hello", "-v", "old:/old", "--entrypoint", "/bin/true", "/bin/true"); status != 0 || stderr != "" {
			t.Fatalf("build: %d, %q", status, stderr)
		}
		var err error
		if images[i], err = os.ReadFile(filepath.Join(c.dir, "x.img")); err != nil {
			t.Fatal(err)
		}
		list, _, _ := c.run("", "image", "ls", "-l", "x.img")
		if !strings.Contains(list, "2001-09-09 01:46:40 /hello\n") || !strings.Contains(list, "1998-07-09 16:00:00 /old\n") {
			t.Errorf("the image has %s", list)
		}
		c.env = append(c.env, "SOURCE_DATE_EPOCH=today")
		if _, stderr, status := c.run("", "build", "-o", "x.img", "./hello"); status != 125 || !strings.Contains(stderr, "SOURCE_DATE_EPOCH=today: it is a number of seconds") {
			t.Errorf("build: %d, %q", status, stderr)
		}
	}
	if !bytes.Equal(images[0], images[1]) {
		t.Error("the images differ")
	}
}

// TestDryRun pastes the command into a shell.
func TestDryRun(t *testing.T) {
	c := newTool(t, "cat")
	out, stderr, status := c.run("", "run", "--dry-run", "--accel", "tcg", "./hello", "it's", "$HOME", "a b")
	if status != 0 || stderr != "" {
		t.Fatalf("status %d, %q", status, stderr)
	}
	words, err := exec.Command("sh", "-c", "for w in "+strings.TrimSpace(out)+"; do printf '%s\\n' \"$w\"; done").Output()
	if err != nil {
		t.Fatal(err)
	}
	list := strings.Split(strings.TrimSpace(string(words)), "\n")
	i := slices.Index(list, "-append")
	if i < 0 {
		t.Fatalf("no -append in %q", list)
	}
	got, err := boot.Parse(list[i+1])
	if want := []string{"it's", "$HOME", "a b"}; err != nil || !slices.Equal(got.Args[1:], want) || got.Wall != 0 {
		t.Errorf("got %q, %v", got.Args, err)
	}
}

func TestHelpNamesEveryFlagOfTheManual(t *testing.T) {
	out, _, status := newTool(t, "cat").run("", "run", "--help")
	if status != 0 {
		t.Fatalf("status %d", status)
	}
	for _, f := range []string{"--memory", "--cpus", "--env", "--env-file", "--workdir", "--hostname", "--init", "--volume", "--entrypoint", "--accel", "--machine",
		"--kernel", "--profile", "--strace", "--bootchart", "--boot-opts", "--timeout", "--dry-run", "--publish", "--network", "--mac", "--ip", "--gateway", "--dns", "--detach", "--name", "--rm", "--quiet", "--verbose", "--no-args-files"} {
		if !strings.Contains(out, f) {
			t.Errorf("gosv run --help does not mention %s", f)
		}
	}
}

func TestVersion(t *testing.T) {
	out, _, status := newTool(t, "cat").run("", "version", "-o", "json")
	if status != 0 || !strings.Contains(out, `"version": "development"`) {
		t.Errorf("status %d, %q", status, out)
	}
}
