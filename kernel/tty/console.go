package tty

import (
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
	"gosv/kernel/vfs"
	"gosv/kernel/wait"
)

// Device numbers (Documentation/admin-guide/devices.txt).
var (
	TTYDev     = unix.Mkdev(5, 0) // /dev/tty
	ConsoleDev = unix.Mkdev(5, 1) // /dev/console
)

// Options say which of the host's streams are a terminal: the boot option
// "tty=COLSxROWS[:FDS]", for example tty=80x24, or tty=80x24:02 where the
// standard output is a pipe.
type Options struct {
	Cols, Rows int
	TTY        [3]bool // standard input, output, error
	Null       [3]bool // those that are /dev/null on the host: the option null=FDS
}

// ParseStreams reads a list of streams, as "02", the value of the option null.
// Anything wrong with it counts as none.
func ParseStreams(fds string) (streams [3]bool, ok bool) {
	for _, fd := range []byte(fds) {
		if fd < '0' || fd > '2' {
			return [3]bool{}, false
		}
		streams[fd-'0'] = true
	}
	return streams, true
}

// ParseOptions reads the value of the option; anything wrong with it counts as
// no terminal at all.
func ParseOptions(s string) (o Options, ok bool) {
	size, fds, some := strings.Cut(s, ":")
	if !some {
		fds = "012"
	}
	cols, rows, _ := strings.Cut(size, "x")
	c, err1 := strconv.ParseUint(cols, 10, 16)
	r, err2 := strconv.ParseUint(rows, 10, 16)
	if err1 != nil || err2 != nil {
		return Options{}, false
	}
	o.Cols, o.Rows = int(c), int(r)
	if o.TTY, ok = ParseStreams(fds); !ok {
		return Options{}, false
	}
	return o, true
}

// A Console is the three standard streams of the machine.
type Console struct {
	Terminal *Terminal // nil when no stream is a terminal
	ports    [3]Port
	tty      [3]bool
	null     [3]bool
	streams  [3]*streamInode
	input    *source
}

// NewConsole makes the streams of three ports, which may be the same one. signal
// is NewTerminal's.
func NewConsole(in, out, err Port, o Options, signal func(group, sig int)) *Console {
	c := &Console{ports: [3]Port{in, out, err}, tty: o.TTY, null: o.Null}
	if o.TTY != [3]bool{} {
		// The terminal writes to whichever stream is one; echo has no place
		// where only the input is.
		screen := Port(nowhere{in})
		if o.TTY[1] {
			screen = out
		} else if o.TTY[2] {
			screen = err
		}
		if o.TTY[0] {
			// Until there is a session that keys could go to, they wait in the port.
			c.Terminal = startTerminal(in, screen, o, signal, func(t *Terminal) { t.held = true })
		} else {
			// The input is another stream's: this terminal has no keyboard, and reads of it are at their end. The
			// host's own terminal is not in raw mode then, and turns a newline into what it needs.
			c.Terminal = startTerminal(new(absent), screen, o, signal, func(t *Terminal) {
				t.mute, t.hungup = true, true
				t.d.tio.Oflag &^= unix.OPOST
				t.d.set(t.d.tio, true)
			})
		}
	}
	c.input = &source{port: in}
	c.streams[0] = newStream(1, c.input)
	c.streams[1] = newStream(2, &sink{port: out})
	c.streams[2] = c.streams[1]
	if err != out {
		c.streams[2] = newStream(3, &sink{port: err})
	}
	return c
}

// OnInput has f called before a program looks for standard input for the first
// time, unless that is the terminal: a host that waits for it takes no input
// away from whoever else could read it there.
func (c *Console) OnInput(f func()) { c.input.onLook = f }

// Files returns the files for descriptors 0, 1 and 2. open opens a path as the
// first process would: terminals are /dev/console, so that ttyname(3) finds them,
// and what is /dev/null on the host is the guest's.
func (c *Console) Files(open func(path string, flags uint32) (*vfs.File, error)) ([3]*vfs.File, error) {
	var files [3]*vfs.File
	for fd := range files {
		path, flags := "", uint32(unix.O_WRONLY)
		switch {
		case c.tty[fd]:
			path, flags = "/dev/console", unix.O_RDWR|unix.O_NOCTTY
		case c.null[fd]:
			if path = "/dev/null"; fd == 0 {
				flags = unix.O_RDONLY
			}
		case fd == 0:
			files[fd] = c.streams[fd].open(unix.O_RDONLY)
		default:
			files[fd] = c.streams[fd].open(unix.O_WRONLY)
		}
		if path == "" {
			continue
		}
		f, err := open(path, flags)
		if err != nil {
			return files, err
		}
		files[fd] = f
	}
	return files, nil
}

// OpenDevice is the open of /dev/console and, with tty, of /dev/tty. The latter is
// the caller's controlling terminal, and does not exist without one (ENXIO). The
// console is the terminal, or else where standard error goes.
func (c *Console) OpenDevice(caller vfs.Caller, tty bool) (vfs.FileImpl, error) {
	if tty {
		if t, ok := caller.Task.(Caller); ok {
			_, session, _ := t.Session()
			if term := Controlling(session); term != nil {
				return term.reopen()
			}
		}
		return nil, unix.ENXIO
	}
	if c.Terminal != nil {
		return c.Terminal.Open()
	}
	return c.streams[2].impl, nil
}

// reopen is the open of a terminal through /dev/tty.
func (t *Terminal) reopen() (vfs.FileImpl, error) {
	if t.pair != nil {
		return t.pair.OpenSlave(vfs.Caller{}, unix.O_NOCTTY)
	}
	return t.Open()
}

// Flush blocks until the host has all that the program wrote.
func (c *Console) Flush() {
	if c.Terminal != nil {
		c.Terminal.Flush()
	}
	c.ports[1].Flush()
	c.ports[2].Flush()
}

// absent is the keyboard of a terminal that has none: its input has ended.
type absent struct{ queue wait.Queue }

func (*absent) Read([]byte) (int, bool) { return 0, true }
func (*absent) Buffered() int           { return 0 }
func (*absent) Write(p []byte) int      { return len(p) }
func (*absent) Readiness() wait.Events  { return wait.Readable | wait.Hup }
func (a *absent) Queue() *wait.Queue    { return &a.queue }
func (*absent) Flush()                  {}

// nowhere is a port whose output is dropped.
type nowhere struct{ Port }

func (nowhere) Write(p []byte) int { return len(p) }
func (nowhere) Flush()             {}
