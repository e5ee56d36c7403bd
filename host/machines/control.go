package machines

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"gosv/abi/boot"
)

// Request is what a process asks of a supervisor, a line each: "signal TERM" or
// "kill". The supervisor closes the connection when the machine has ended.
type Request struct {
	Signal int  // for the program
	Kill   bool // the machine
}

const kill = "kill"

func (r Request) format() string {
	if r.Kill {
		return kill
	}
	return boot.Request{Verb: boot.RequestSignal, Signal: r.Signal}.Format()
}

func parseRequest(line string) (Request, bool) {
	if line == kill {
		return Request{Kill: true}, true
	}
	r, ok := boot.ParseRequest(line)
	return Request{Signal: r.Signal}, ok && r.Verb == boot.RequestSignal
}

// socket gives a path of the control socket that is short enough for an address
// (unix(7) has 108 bytes), until the file is closed.
func (m *Machine) socket() (path string, dir *os.File, err error) {
	fd, err := unix.Open(m.Dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return "", nil, &os.PathError{Op: "open", Path: m.Dir, Err: err}
	}
	return fmt.Sprintf("/proc/self/fd/%d/control", fd), os.NewFile(uintptr(fd), m.Dir), nil
}

// Listen takes requests until the process ends.
func (m *Machine) Listen() (<-chan Request, error) {
	path, dir, err := m.socket()
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	os.Remove(filepath.Join(m.Dir, "control"))
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, err
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false) // the path is of a descriptor that is closed by then
	requests := make(chan Request)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				// The connection stays open until this process ends, which tells the other side.
				s := bufio.NewScanner(io.LimitReader(c, 64<<10))
				for s.Scan() {
					if r, ok := parseRequest(strings.TrimSpace(s.Text())); ok {
						requests <- r
					}
				}
			}()
		}
	}()
	return requests, nil
}

// Conn is a connection to a supervisor.
type Conn struct {
	m *Machine
	c net.Conn
}

// ErrEnded says that the machine has ended.
var ErrEnded = errors.New("the machine is not running")

// Dial connects to the supervisor.
func (m *Machine) Dial() (*Conn, error) {
	for until := time.Now().Add(2 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		s, err := m.State()
		if err != nil {
			return nil, err
		}
		if !s.Alive() {
			return nil, fmt.Errorf("%s: %w", m.Name, ErrEnded)
		}
		path, dir, err := m.socket()
		if err != nil {
			return nil, err
		}
		c, err := net.Dial("unix", path)
		dir.Close()
		if err == nil {
			return &Conn{m, c}, nil
		}
		if time.Now().After(until) { // a starting one has no socket for some milliseconds
			return nil, fmt.Errorf("%s: its supervisor does not listen: %w", m.Name, err)
		}
	}
}

// Send asks the supervisor for something.
func (c *Conn) Send(r Request) error {
	c.c.SetWriteDeadline(time.Now().Add(time.Second)) //nolint:errcheck // a socket has deadlines
	_, err := io.WriteString(c.c, r.format()+"\n")
	return err
}

// Wait waits for the end of the machine; a timeout of 0 is none.
func (c *Conn) Wait(timeout time.Duration) (ended bool) {
	var at time.Time
	if timeout > 0 {
		at = time.Now().Add(timeout)
	}
	c.c.SetReadDeadline(at) //nolint:errcheck // a socket has deadlines
	_, err := c.c.Read(make([]byte, 1))
	return !errors.Is(err, os.ErrDeadlineExceeded)
}

// Close ends the connection.
func (c *Conn) Close() error { return c.c.Close() }

// patience is how long a supervisor may take to end a machine.
const patience = 5 * time.Second

// Stop sends the program a signal and, if it has not ended in time, kills the
// machine. A machine that has ended already is no error.
func (m *Machine) Stop(signal int, timeout time.Duration) error {
	c, err := m.Dial()
	if errors.Is(err, ErrEnded) {
		return nil
	}
	if err == nil {
		defer c.Close()
		if timeout > 0 && c.Send(Request{Signal: signal}) == nil && c.Wait(timeout) {
			return nil
		}
		if c.Send(Request{Kill: true}) == nil && c.Wait(patience) {
			return nil
		}
	}
	// The supervisor hangs. Its end is the hypervisor's, too.
	s, err := m.State()
	if err != nil || !s.Alive() {
		return err
	}
	return s.Supervisor.Kill()
}
