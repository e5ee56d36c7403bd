package nettest

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"gosv/test/target"
)

// server is a program that serves. Ports are the same on both targets.
type server struct {
	argv    []string
	env     []string
	flags   []string // of gosv run
	machine target.Machine
	ports   []int // TCP
	udp     []int
	boot    time.Duration // until it serves, at the most: limit if 0
	// up tells whether it serves at an address of its machine.
	up func(host string) error
}

// running is a server that was started.
type running struct {
	t    testing.TB
	host string // the address of its machine
	cmd  *exec.Cmd
	over chan struct{} // closed when it has ended
	out  output
}

// output is what a server prints.
type output struct {
	lock sync.Mutex
	b    bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.lock.Lock()
	defer o.lock.Unlock()
	if o.b.Len() < 1<<20 {
		o.b.Write(p)
	}
	return len(p), nil
}

func (o *output) String() string {
	o.lock.Lock()
	defer o.lock.Unlock()
	return o.b.String()
}

// both runs a test against a server on this machine, and then against the same
// one in a guest behind published ports.
func both(t *testing.T, s server, f func(t *testing.T, r *running)) {
	t.Run("host", func(t *testing.T) { f(t, onHost(t, s)) })
	t.Run("guest", func(t *testing.T) { f(t, inGuest(t, s)) })
}

// onHost starts a server on this machine.
func onHost(t testing.TB, s server) *running {
	t.Helper()
	cmd := exec.Command(s.argv[0], s.argv[1:]...)
	cmd.Dir = "/"
	cmd.Env = append(target.Env("/tmp"), s.env...)
	return start(t, s, cmd, "127.0.0.1")
}

// inGuest starts a server in a guest on a user network.
func inGuest(t testing.TB, s server) *running {
	t.Helper()
	var flags []string
	for _, p := range s.ports {
		flags = append(flags, "-p", fmt.Sprintf("127.0.0.1:%d:%d", p, p))
	}
	for _, p := range s.udp {
		flags = append(flags, "-p", fmt.Sprintf("127.0.0.1:%d:%d/udp", p, p))
	}
	return start(t, s, guestCommand(t, s, flags), "127.0.0.1")
}

// inLAN starts a server in a guest on a tap of this namespace, with addresses that are given.
func inLAN(t testing.TB, s server, tap string) *running {
	t.Helper()
	return start(t, s, guestCommand(t, s, []string{"--network", "tap=" + tap, "--ip", guestIP + "/24", "--ip", guestIP6 + "/64"}), guestIP)
}

// guestCommand is the command that runs a server in a guest.
func guestCommand(t testing.TB, s server, flags []string) *exec.Cmd {
	t.Helper()
	m := s.machine
	if m.Type == "" {
		m.Type = "microvm"
	}
	if m.Memory == 0 {
		m.Memory = 256
	}
	args := []string{"run", "--machine", m.Type, "-m", strconv.FormatInt(m.Memory, 10) + "M", "-c", strconv.Itoa(max(m.CPUs, 1))}
	for _, e := range append(target.Env("/tmp"), s.env...) {
		args = append(args, "-e", e)
	}
	args = append(args, "--kernel", target.Kernel(t))
	args = append(append(args, flags...), s.flags...)
	return exec.Command(target.Gosv(t), append(args, s.argv...)...)
}

// start starts a server, and waits until it serves.
func start(t testing.TB, s server, cmd *exec.Cmd, host string) *running {
	t.Helper()
	r := new(running)
	startInto(t, r, s, cmd, host)
	return r
}

// startInto is start for an up that looks at what the server prints.
func startInto(t testing.TB, r *running, s server, cmd *exec.Cmd, host string) {
	t.Helper()
	r.t, r.host, r.cmd, r.over = t, host, cmd, make(chan struct{})
	if cmd.Dir == "" {
		cmd.Dir = "/"
	}
	cmd.Stdout, cmd.Stderr = &r.out, &r.out
	cmd.WaitDelay = 5 * time.Second
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	began := time.Now()
	started := make(chan error)
	go func() {
		runtime.LockOSThread() // the command dies with this thread
		err := cmd.Start()
		started <- err
		if err == nil {
			cmd.Wait() //nolint:errcheck // the state is looked at
			close(r.over)
		}
	}()
	if err := <-started; err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		r.stop()
		if t.Failed() {
			t.Logf("%s printed:\n%s", s.argv[0], last(r.out.String(), 3000))
		}
	})
	for {
		err := s.up(host)
		if err == nil {
			t.Logf("up after %v", time.Since(began).Round(10*time.Millisecond))
			return
		}
		select {
		case <-r.over:
			t.Fatalf("%s ended with status %d", s.argv[0], cmd.ProcessState.ExitCode())
		case <-time.After(50 * time.Millisecond):
		}
		if longest := max(s.boot, limit); time.Since(began) > longest {
			t.Fatalf("%s does not serve after %v: %v", s.argv[0], longest, err)
		}
	}
}

// stop asks a server to end, and makes it; it gives the exit status.
func (r *running) stop() int {
	for _, step := range []struct {
		s syscall.Signal
		d time.Duration
	}{{syscall.SIGTERM, 10 * time.Second}, {syscall.SIGINT, 5 * time.Second}, {syscall.SIGKILL, 5 * time.Second}} {
		select {
		case <-r.over:
		default:
			r.cmd.Process.Signal(step.s) //nolint:errcheck // it may have ended
		}
		select {
		case <-r.over:
			return r.cmd.ProcessState.ExitCode()
		case <-time.After(step.d):
		}
	}
	r.t.Errorf("%s cannot be ended", r.cmd.Path)
	return -1
}

// alive fails a test whose server has ended.
func (r *running) alive() {
	r.t.Helper()
	select {
	case <-r.over:
		r.t.Fatalf("the server has ended, status %d", r.cmd.ProcessState.ExitCode())
	default:
	}
}

// at joins the machine's address and a port.
func (r *running) at(port int) string { return net.JoinHostPort(r.host, strconv.Itoa(port)) }

// url of a path at a port.
func (r *running) url(port int, path string) string { return "http://" + r.at(port) + path }

// answers is an up that sends a text and wants any answer. QEMU's user network
// accepts a connection before the guest does: that alone says nothing.
func answers(port int, text string) func(string) error {
	return func(host string) error {
		c, err := net.DialTimeout("tcp", net.JoinHostPort(host, strconv.Itoa(port)), 300*time.Millisecond)
		if err != nil {
			return err
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(500 * time.Millisecond))
		if _, err := c.Write([]byte(text)); err != nil {
			return err
		}
		_, err = c.Read(make([]byte, 1))
		return err
	}
}

// servesHTTP is an up of HTTP servers.
func servesHTTP(port int) func(string) error {
	return answers(port, "GET / HTTP/1.0\r\nHost: gosv\r\n\r\n")
}

// client is a new HTTP client, with connections of its own, that takes any certificate.
func client(t testing.TB) *http.Client {
	tr := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, ForceAttemptHTTP2: true, MaxIdleConnsPerHost: 100, DisableCompression: true}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, Timeout: 2 * limit}
}

var errStatus = errors.New("status")

// parallel calls f n times, from several goroutines, and gives the first error.
func parallel(workers, n int, f func(i int) error) error {
	next, errs := make(chan int), make(chan error, workers)
	for range workers {
		go func() {
			var err error
			for i := range next {
				if err == nil {
					err = f(i)
				}
			}
			errs <- err
		}()
	}
	for i := range n {
		next <- i
	}
	close(next)
	var all []string
	for range workers {
		if err := <-errs; err != nil {
			all = append(all, err.Error())
		}
	}
	if len(all) > 0 {
		return fmt.Errorf("%d of %d workers: %s", len(all), workers, strings.Join(all[:1], "; "))
	}
	return nil
}
