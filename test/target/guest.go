package target

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"gosv/abi/boot"
	"gosv/host/accel"
	"gosv/host/image"
	"gosv/host/rootfs"
	"gosv/host/vmm"
	"gosv/host/vmm/qemu"
)

// Machine is a guest's machine.
type Machine struct {
	Type   string // microvm if empty
	Memory int64  // MiB, 256 if 0
	CPUs   int    // 1 if 0
}

func (m Machine) String() string {
	m = m.defaults()
	return fmt.Sprintf("%s-%dcpu-%dM", m.Type, m.CPUs, m.Memory)
}

func (m Machine) defaults() Machine {
	if m.Type == "" {
		m.Type = "microvm"
	}
	if m.Memory == 0 {
		m.Memory = 256
	}
	if m.CPUs == 0 {
		m.CPUs = 1
	}
	return m
}

// need ends a test that lacks a file which make build leaves. Under CI, or
// wherever GOSV_TEST=must says so, that is a failure.
func need(t testing.TB, path string) string {
	t.Helper()
	if _, err := os.Stat(path); err != nil {
		if os.Getenv("GOSV_TEST") == "must" || os.Getenv("CI") != "" {
			t.Fatalf("%s is missing: make build", path)
		}
		t.Skipf("%s is not there: make build makes it", path)
	}
	if _, err := exec.LookPath("qemu-system-x86_64"); err != nil {
		t.Skip("no qemu-system-x86_64 here: sh test/setup.sh installs it")
	}
	return path
}

// bin is where the tool and the kernel are that are tested: the environment's
// GOSV_TEST_BIN, or what make build leaves.
func bin() string {
	if dir := os.Getenv("GOSV_TEST_BIN"); dir != "" {
		return dir
	}
	return filepath.Join(Root(), "bin")
}

// Gosv is the path of the tool.
func Gosv(t testing.TB) string { return need(t, filepath.Join(bin(), "gosv")) }

// Kernel is the path of the kernel.
func Kernel(t testing.TB) string { return need(t, filepath.Join(bin(), "gosv-kernel.elf")) }

// Run runs a program with `gosv run`, as a person would. The machine gets the
// same environment as on the host, and flags before the program's name.
func Run(t testing.TB, m Machine, timeout time.Duration, stdin string, flags []string, argv ...string) Result {
	t.Helper()
	m = m.defaults()
	args := []string{"run", "--machine", m.Type, "-m", strconv.FormatInt(m.Memory, 10) + "M", "-c", strconv.Itoa(m.CPUs)}
	for _, e := range Env("/tmp") {
		args = append(args, "-e", e)
	}
	if os.Getenv("GOSV_TEST_BIN") != "" {
		args = append(args, "--kernel", Kernel(t))
	}
	args = append(append(args, flags...), argv...)
	cmd := exec.Command(Gosv(t), args...)
	cmd.Dir = "/"
	cmd.Stdin = strings.NewReader(stdin)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	r := finish(cmd, timeout)
	if r.Trouble != "" {
		r.Trouble += " (" + m.String() + ")"
	}
	return r
}

// Command is one program of a batch.
type Command struct {
	Argv []string
}

// BatchPath is the file that lists the programs of a batch, one command line of
// the kernel per line. Before program n the kernel writes boot.BatchPrefix and n
// as a line on standard output, and after it logs that with status=S.
const BatchPath = "/.gosv/batch"

// Batch runs programs one after another in one guest, and in another guest those
// that remain when a program takes the machine down. stall is how long a single
// program may take.
func Batch(t testing.TB, m Machine, stall time.Duration, commands []Command) []Result {
	t.Helper()
	results := make([]Result, len(commands))
	if os.Getenv("GOSV_TEST_BATCH") == "0" { // to debug: each in a boot of its own
		for i, c := range commands {
			results[i] = Run(t, m, stall, "", nil, c.Argv...)
		}
		return results
	}
	img := filepath.Join(t.TempDir(), "image")
	for next := 0; next < len(commands); {
		text := batchText(commands[next:])
		if _, err := image.WriteFile(img, collect(t, commands, text)); err != nil {
			t.Fatal(err)
		}
		done := runBatch(t, m, stall, img, results[next:])
		next += done
		if next < len(commands) {
			next++ // this one ended the machine, and its result says so
		}
	}
	return results
}

func batchText(commands []Command) []byte {
	var b bytes.Buffer
	for _, c := range commands {
		b.WriteString(boot.Config{Args: c.Argv, Env: Env("/tmp")}.Format())
		b.WriteByte('\n')
	}
	return b.Bytes()
}

// collect makes the tree of an image that has all programs.
func collect(t testing.TB, commands []Command, text []byte) *rootfs.Tree {
	t.Helper()
	q := rootfs.Request{Program: commands[0].Argv[0], Cwd: "/", SearchPath: "/usr/bin:/bin"}
	for _, c := range commands[1:] {
		q.Also = append(q.Also, c.Argv[0])
	}
	r, err := rootfs.Collect(q)
	if err != nil {
		t.Fatal(err)
	}
	if text != nil {
		r.Tree.AddData(BatchPath, 0o644, text)
	}
	return r.Tree
}

// watcher follows a running batch: its log, and when it last got on.
type watcher struct {
	sync.Mutex
	log    bytes.Buffer
	status []int
	last   time.Time
}

func (w *watcher) line(l string) {
	w.Lock()
	defer w.Unlock()
	if w.log.Len() < 1<<20 {
		w.log.WriteString(l)
		w.log.WriteByte('\n')
	}
	rest, ok := strings.CutPrefix(l, boot.BatchPrefix)
	if !ok {
		return
	}
	var n, s int
	if _, err := fmt.Sscanf(rest, "%d status=%d", &n, &s); err == nil && n == len(w.status) {
		w.status = append(w.status, s)
		w.last = time.Now()
	}
}

// runBatch boots one guest and fills in results; done is how many programs
// came to an end.
func runBatch(t testing.TB, m Machine, stall time.Duration, img string, results []Result) (done int) {
	t.Helper()
	m = m.defaults()
	w := &watcher{last: time.Now()}
	var out bytes.Buffer
	p, err := qemu.QEMU{}.Start(vmm.Machine{Type: m.Type, Accel: acceleration(t), Memory: m.Memory << 20, CPUs: m.CPUs,
		Kernel: Kernel(t), Image: img, CommandLine: boot.Config{Batch: BatchPath}.Format()},
		vmm.Streams{Stdout: &out, Log: w.line})
	if err != nil {
		t.Fatal(err)
	}
	over := make(chan vmm.Exit, 1)
	go func() { over <- p.Wait() }()
	trouble := "the machine ended"
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for running := true; running; {
		select {
		case e := <-over:
			if e.Said != "" {
				trouble += "; QEMU said: " + e.Said
			}
			running = false
		case <-tick.C:
			w.Lock()
			idle := time.Since(w.last)
			w.Unlock()
			if idle > stall && idle > Patience(stall) {
				trouble = fmt.Sprintf("still running after %v", idle.Round(time.Second))
				p.Kill()
				<-over
				running = false
			}
		}
	}
	w.Lock()
	defer w.Unlock()
	outs := split(out.Bytes(), len(results))
	for i := range results {
		if i > len(w.status) {
			break
		}
		results[i].Stdout = outs[i] // the error stream has no markers, and is not compared
		if i < len(w.status) {
			results[i].Status = w.status[i]
			continue
		}
		results[i].Status = -1
		results[i].Trouble = trouble + " (" + m.String() + ")"
		results[i].Log = w.log.Bytes()
	}
	return len(w.status)
}

// split parts a stream at the markers of n programs.
func split(b []byte, n int) [][]byte {
	parts := make([][]byte, n)
	start := bytes.Index(b, []byte(boot.BatchPrefix+"0\n"))
	for i := 0; i < n && start >= 0; i++ {
		start += len(boot.BatchPrefix+strconv.Itoa(i)) + 1
		end := bytes.Index(b[start:], []byte(boot.BatchPrefix+strconv.Itoa(i+1)+"\n"))
		if end < 0 {
			parts[i] = b[start:]
			break
		}
		parts[i] = b[start : start+end]
		start += end
	}
	return parts
}

// acceleration is that of the environment GOSV_TEST_ACCEL, or what the tool
// would choose.
func acceleration(t testing.TB) accel.Kind {
	c, err := accel.Host{}.Choose(accel.Kind(os.Getenv("GOSV_TEST_ACCEL")))
	if err != nil {
		t.Fatal(err)
	}
	return c.Kind
}
