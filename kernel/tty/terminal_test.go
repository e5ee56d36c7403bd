package tty

import (
	"bytes"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	"gosv/kernel/cpu"
	"gosv/kernel/frame"
	"gosv/kernel/mm"
	"gosv/kernel/vfs"
	"gosv/kernel/wait"
)

// port is a Port in memory. Its output has room for a few bytes at a time.
type port struct {
	queue wait.Queue

	mu   sync.Mutex
	in   []byte
	eof  bool
	out  []byte
	room int // how much Write may take; below 0: everything
}

func (p *port) Read(b []byte) (int, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := copy(b, p.in)
	p.in = p.in[n:]
	return n, n == 0 && p.eof
}

func (p *port) Buffered() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.in)
}

func (p *port) Write(b []byte) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := len(b)
	if p.room >= 0 {
		n = min(n, p.room)
		p.room -= n
	}
	p.out = append(p.out, b[:n]...)
	return n
}

func (p *port) Readiness() (ev wait.Events) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.in) > 0 || p.eof {
		ev |= wait.Readable
	}
	if p.room != 0 {
		ev |= wait.Writable
	}
	return ev
}

func (p *port) Queue() *wait.Queue { return &p.queue }

func (p *port) Flush() {
	p.change(func() { p.room = -1 })
}

// change changes the port, and tells.
func (p *port) change(f func()) {
	p.mu.Lock()
	f()
	p.mu.Unlock()
	p.queue.Notify(wait.Readable | wait.Writable)
}

func (p *port) host(text string) { p.change(func() { p.in = append(p.in, text...) }) }
func (p *port) close()           { p.change(func() { p.eof = true }) }

func (p *port) output() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return string(p.out)
}

func read(t *testing.T, f *vfs.File, n int) string {
	t.Helper()
	b := make([]byte, n)
	buf := mm.KernelBuf(b)
	var s wait.Sleeper
	got, err := f.Read(&s, &buf)
	if err != nil {
		t.Fatal(err)
	}
	return string(b[:got])
}

func write(t *testing.T, f *vfs.File, text string) {
	t.Helper()
	buf := mm.KernelBuf([]byte(text))
	var s wait.Sleeper
	if n, err := f.Write(&s, &buf); err != nil || int(n) != len(text) {
		t.Fatal(n, err)
	}
}

// eventually waits for what another goroutine is to do.
func eventually(t *testing.T, what string, f func() bool) {
	t.Helper()
	for end := time.Now().Add(5 * time.Second); !f(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("never: ", what)
		}
	}
}

func newTerminal(t *testing.T) (*port, *Terminal, *vfs.File, chan int) {
	p := &port{room: -1}
	sigs := make(chan int, 16)
	term := NewTerminal(p, p, 80, 24, func(group, sig int) { sigs <- sig })
	impl, err := term.Open()
	if err != nil {
		t.Fatal(err)
	}
	return p, term, vfs.NewFile(impl, "/dev/console", unix.O_RDWR), sigs
}

func TestTerminal(t *testing.T) {
	p, term, f, sigs := newTerminal(t)
	go p.host("hello\nrest")
	if got := read(t, f, 100); got != "hello\n" {
		t.Errorf("read %q", got)
	}
	write(t, f, "out\n")
	eventually(t, "echo and output", func() bool { return p.output() == "hello\r\nrestout\r\n" || p.output() == "hello\r\nout\r\nrest" })
	p.host("\x03")
	if sig := <-sigs; sig != int(unix.SIGINT) {
		t.Errorf("signal %d", sig)
	}
	p.host("x\x04")
	if got := read(t, f, 100); got != "x" {
		t.Errorf("read %q", got)
	}
	if f.Readiness()&wait.In != 0 {
		t.Error("ready with nothing to read")
	}
	p.host("end")
	p.close()
	if got := read(t, f, 100); got != "end" {
		t.Errorf("read %q", got)
	}
	if got := read(t, f, 100); got != "" {
		t.Errorf("read %q after the end", got)
	}
	term.Resize(100, 30)
	if sig := <-sigs; sig != int(unix.SIGWINCH) {
		t.Errorf("signal %d", sig)
	}
}

func TestTerminalBlocksWriters(t *testing.T) {
	p, term, f, _ := newTerminal(t)
	p.change(func() { p.room = 10 })
	text := strings.Repeat("0123456789abcde\n", 2000)
	done := make(chan bool)
	go func() {
		write(t, f, text)
		term.Flush()
		done <- true
	}()
	for i := 0; ; i++ {
		select {
		case <-done:
			if got := strings.ReplaceAll(p.output(), "\r", ""); got != text {
				t.Errorf("%d bytes came out of %d", len(got), len(text))
			}
			return
		default:
			p.change(func() { p.room = 100 * (i % 3) })
		}
	}
}

func TestTerminalTimes(t *testing.T) {
	p, term, f, _ := newTerminal(t)
	set := func(vmin, vtime uint8) {
		term.mu.Lock()
		tio := term.d.tio
		tio.Lflag &^= unix.ICANON | unix.ECHO
		tio.Cc[unix.VMIN], tio.Cc[unix.VTIME] = vmin, vtime
		term.set(tio, false)
		term.mu.Unlock()
	}
	set(0, 0)
	if got := read(t, f, 10); got != "" {
		t.Errorf("read %q", got)
	}
	set(0, 1)
	start := cpu.Nanotime()
	if got := read(t, f, 10); got != "" || cpu.Nanotime() < start+1e8 {
		t.Errorf("read %q after %d ns", got, cpu.Nanotime()-start)
	}
	set(3, 0)
	go func() {
		p.host("a")
		time.Sleep(10 * time.Millisecond)
		p.host("bc")
	}()
	if got := read(t, f, 10); got != "abc" {
		t.Errorf("read %q", got)
	}
	set(3, 1)
	go p.host("a")
	if got := read(t, f, 10); got != "a" {
		t.Errorf("read %q", got)
	}
}

func TestStreams(t *testing.T) {
	in, out, serr := &port{room: -1}, &port{room: 7}, &port{room: -1}
	c := NewConsole(in, out, serr, Options{}, nil)
	if c.Terminal != nil {
		t.Error("there is a terminal")
	}
	files, err := c.Files(nil)
	if err != nil {
		t.Fatal(err)
	}
	for fd, f := range files {
		var st vfs.Stat
		if f.Stat(&st); st.Mode&unix.S_IFMT != unix.S_IFIFO {
			t.Errorf("descriptor %d: mode %o", fd, st.Mode)
		}
		if _, err := f.Ioctl(nil, unix.TCGETS, 0); err != unix.ENOTTY {
			t.Errorf("descriptor %d: TCGETS: %v", fd, err)
		}
	}
	text := strings.Repeat("a\x03\r\x00\n", 3000)
	go func() {
		in.host(text)
		in.close()
	}()
	var got bytes.Buffer
	for {
		b := read(t, files[0], 777)
		if b == "" {
			break
		}
		got.WriteString(b)
	}
	if got.String() != text {
		t.Errorf("%d bytes came in of %d", got.Len(), len(text))
	}
	if ev := files[0].Readiness(); ev != wait.Hup {
		t.Errorf("readiness %#x at the end", ev)
	}
	done := make(chan bool)
	go func() {
		write(t, files[1], text)
		done <- true
	}()
	for i := 0; ; i++ {
		select {
		case <-done:
			if out.output() != text {
				t.Errorf("%d bytes came out of %d", len(out.output()), len(text))
			}
			return
		default:
			out.change(func() { out.room = 1000 * (i % 3) })
		}
	}
}

func TestParseStreams(t *testing.T) {
	if got, ok := ParseStreams("02"); !ok || got != [3]bool{true, false, true} {
		t.Errorf("%v, %v", got, ok)
	}
	if got, ok := ParseStreams("03"); ok || got != [3]bool{} {
		t.Errorf("%v, %v", got, ok)
	}
}

func TestOptions(t *testing.T) {
	for in, want := range map[string]Options{
		"80x24":    {Cols: 80, Rows: 24, TTY: [3]bool{true, true, true}},
		"80x24:02": {Cols: 80, Rows: 24, TTY: [3]bool{true, false, true}},
		"0x0:":     {},
	} {
		if o, ok := ParseOptions(in); !ok || o != want {
			t.Errorf("%q: %v, %v", in, o, ok)
		}
	}
	for _, bad := range []string{"", "80", "80x", "80x24:3", "-1x4", "99999x1", "80x24x"} {
		if o, ok := ParseOptions(bad); ok {
			t.Errorf("%q: %v", bad, o)
		}
	}
}

// leader is the Caller of a session's leader.
type leader int

func (l leader) Session() (int, int, bool) { return int(l), int(l), true }
func (leader) Refuses(int) bool            { return false }
func (leader) Orphaned() bool              { return false }
func (l leader) GroupSession(g int) int {
	if g == int(l) || g == int(l)+1 {
		return int(l)
	}
	return 0
}

func TestIoctl(t *testing.T) {
	frame.Init([]frame.Region{{Base: cpu.ArenaBase, Size: 16 << 20}})
	as, err := mm.New()
	if err != nil {
		t.Fatal(err)
	}
	defer as.Release()
	at, err := as.Mmap(mm.MapArgs{Len: 4096, Prot: mm.ProtRead | mm.ProtWrite, Flags: unix.MAP_PRIVATE | unix.MAP_ANONYMOUS})
	if err != nil {
		t.Fatal(err)
	}
	_, term, f, sigs := newTerminal(t)
	do := func(cmd uint32, want error) {
		t.Helper()
		if _, err := term.Ioctl(leader(5), as, cmd, at); err != want {
			t.Errorf("%#x: %v, want %v", cmd, err, want)
		}
	}
	do(unix.TCGETS, nil)
	if v, _ := as.Load32(at + 12); v != std().Lflag {
		t.Errorf("c_lflag %#x", v)
	}
	as.Store32(at+12, unix.ICANON)
	do(unix.TCSETSF, nil)
	do(unix.TCGETS2, nil)
	if v, _ := as.Load32(at + 12); v != unix.ICANON {
		t.Errorf("c_lflag %#x", v)
	}
	do(unix.TIOCGWINSZ, nil)
	if v, _ := as.Load32(at); v != 80<<16|24 {
		t.Errorf("window %#x", v)
	}
	as.Store32(at, 90<<16|25)
	do(unix.TIOCSWINSZ, nil)
	if sig := <-sigs; sig != int(unix.SIGWINCH) {
		t.Errorf("signal %d", sig)
	}
	do(unix.TIOCGPGRP, unix.ENOTTY) // nobody's controlling terminal yet
	do(unix.TIOCSCTTY, nil)
	do(unix.TIOCGPGRP, nil)
	if v, _ := as.Load32(at); v != 5 {
		t.Errorf("foreground group %d", v)
	}
	as.Store32(at, 9)
	do(unix.TIOCSPGRP, unix.ESRCH)
	as.Store32(at, 6)
	do(unix.TIOCSPGRP, nil)
	do(0x1234, unix.ENOTTY)
	if _, err := f.Ioctl(as, unix.TCGETS, 8); err != unix.EFAULT {
		t.Errorf("bad address: %v", err)
	}
}

// FuzzTermios sets anything as the settings: what is read back can be set again.
func FuzzTermios(f *testing.F) {
	f.Add(make([]byte, termios2Size))
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) != termiosSize && len(b) != termios2Size {
			return
		}
		s := newScreen(nil)
		tio := decodeTermios(b, &s.tio)
		s.set(tio, false)
		s.typed("abc\n\x00\xff\x7f\x03\x04")
		s.all()
		var again [termios2Size]byte
		encodeTermios(again[:], &s.tio)
		if decodeTermios(again[:], &s.tio) != tio {
			t.Fatal("it changed")
		}
	})
}

// TestEarlyKeys types before there is a program.
func TestEarlyKeys(t *testing.T) {
	in := &port{room: -1}
	in.host("lost\x03kept\n")
	sigs := make(chan int, 16)
	c := NewConsole(in, in, in, Options{Cols: 80, Rows: 24, TTY: [3]bool{true, true, true}}, func(group, sig int) { sigs <- group<<8 | sig })
	time.Sleep(10 * time.Millisecond)
	select {
	case sig := <-sigs:
		t.Fatalf("signal %#x, and nobody to get it", sig)
	default:
	}
	c.Terminal.SetSession(7, 7)
	if sig := <-sigs; sig != 7<<8|int(unix.SIGINT) {
		t.Errorf("signal and group %#x", sig)
	}
	impl, err := c.Terminal.Open()
	if err != nil {
		t.Fatal(err)
	}
	if got := read(t, vfs.NewFile(impl, "/dev/console", unix.O_RDWR), 100); got != "kept\n" {
		t.Errorf("read %q", got)
	}
}

// TestScreenOnly is a terminal whose keyboard is not the input.
func TestScreenOnly(t *testing.T) {
	in, out, serr := &port{room: -1}, &port{room: -1}, &port{room: -1}
	c := NewConsole(in, out, serr, Options{Cols: 80, Rows: 24, TTY: [3]bool{1: true}}, nil)
	impl, err := c.Terminal.Open()
	if err != nil {
		t.Fatal(err)
	}
	files, err := c.Files(func(string, uint32) (*vfs.File, error) { return vfs.NewFile(impl, "/dev/console", unix.O_RDWR), nil })
	if err != nil {
		t.Fatal(err)
	}
	in.host("a\x03b\n")
	time.Sleep(10 * time.Millisecond)
	if got := read(t, files[0], 100); got != "a\x03b\n" {
		t.Errorf("standard input is %q", got)
	}
	if got := read(t, files[1], 100); got != "" {
		t.Errorf("the terminal's input is %q", got)
	}
	if ev := files[1].Readiness(); ev != wait.Readable|wait.Writable {
		t.Errorf("readiness %#x", ev)
	}
	write(t, files[1], "out\n")
	write(t, files[2], "err\n")
	c.Flush()
	if out.output() != "out\n" || serr.output() != "err\n" {
		t.Errorf("output %q and %q", out.output(), serr.output())
	}
}

// TestInputWanted has a host that sends input when it is told to.
func TestInputWanted(t *testing.T) {
	for _, look := range []string{"read", "poll"} {
		in := &port{room: -1}
		c := NewConsole(in, in, in, Options{}, nil)
		asked := 0
		c.OnInput(func() {
			asked++
			go func() {
				time.Sleep(5 * time.Millisecond)
				in.host("text")
			}()
		})
		files, err := c.Files(nil)
		if err != nil {
			t.Fatal(err)
		}
		write(t, files[1], "x")
		if asked != 0 {
			t.Error("input was asked for by a write")
		}
		if look == "poll" {
			if ev := files[0].Readiness(); ev != wait.Readable {
				t.Errorf("readiness %#x", ev)
			}
		}
		if got := read(t, files[0], 100); got != "text" || asked != 1 {
			t.Errorf("%s: %q, asked %d times", look, got, asked)
		}
	}
	in := &port{room: -1}
	c := NewConsole(in, in, in, Options{}, nil)
	c.OnInput(func() {})
	files, err := c.Files(nil)
	if err != nil {
		t.Fatal(err)
	}
	if ev := files[0].Readiness(); ev != 0 { // and comes back
		t.Errorf("readiness %#x", ev)
	}
}
