package tty

import (
	"math/rand"
	"os"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// pty is a terminal of the host: what this package is to behave like.
type pty struct {
	master *os.File
	m, s   int
}

func openPty(t *testing.T) *pty {
	m, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skip("this needs a /dev/ptmx: ", err)
	}
	t.Cleanup(func() { m.Close() })
	p := &pty{master: m, m: int(m.Fd())}
	if err := unix.SetNonblock(p.m, true); err != nil {
		t.Fatal(err)
	}
	unix.IoctlSetPointerInt(p.m, unix.TIOCSPTLCK, 0)
	n, err := unix.IoctlGetInt(p.m, unix.TIOCGPTN)
	if err != nil {
		t.Skip(err)
	}
	p.s, err = unix.Open("/dev/pts/"+strconv.Itoa(n), unix.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK, 0)
	if err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() { unix.Close(p.s) })
	return p
}

func (p *pty) set(t *testing.T, tio *unix.Termios) {
	var b [termios2Size]byte
	encodeTermios(b[:], tio)
	if _, _, e := syscall.Syscall(syscall.SYS_IOCTL, uintptr(p.s), unix.TCSETSF, uintptr(unsafe.Pointer(&b[0]))); e != 0 {
		t.Fatal(e)
	}
}

// try types in and returns the echo and what reads of limit bytes gave. The host
// echoes in its own time: patience is how long to wait for more.
func (p *pty) try(t *testing.T, tio *unix.Termios, in []byte, limit int, patience time.Duration) (echo string, lines []string) {
	home := std()
	home.Iflag, home.Lflag, home.Oflag = 0, 0, unix.OPOST
	p.set(t, &home)
	unix.Write(p.s, []byte("\r"))
	p.set(t, tio)
	var buf [8192]byte
	drain := func() (b []byte) {
		for {
			n, _ := unix.Read(p.m, buf[:])
			if n <= 0 {
				return b
			}
			b = append(b, buf[:n]...)
		}
	}
	time.Sleep(patience)
	drain()
	unix.Write(p.m, in)
	time.Sleep(patience)
	echo = string(drain())
	for {
		n, err := unix.Read(p.s, buf[:limit])
		if err != nil || n == 0 && tio.Lflag&unix.ICANON == 0 || len(lines) > 100 {
			return echo, lines
		}
		lines = append(lines, string(buf[:n]))
	}
}

// TestAgainstLinux types the same into the discipline and into a terminal of the
// host, under random settings.
func TestAgainstLinux(t *testing.T) {
	p := openPty(t)
	r := rand.New(rand.NewSource(1))
	flip := func(flags *uint32, one int, of ...uint32) {
		for _, f := range of {
			if r.Intn(one) == 0 {
				*flags ^= f
			}
		}
	}
	chars := []byte("aB_ \t\n\r\x7f\x7f\x7f\x17\x15\x04\x16\x12\x01\xc3\xa9\xff\x08\x00\x1bz")
	for range 250 {
		tio := std()
		flip(&tio.Lflag, 4, unix.ICANON, unix.ECHO, unix.ECHOE, unix.ECHOK, unix.ECHOCTL, unix.ECHOKE, unix.IEXTEN, unix.ECHONL)
		flip(&tio.Iflag, 5, unix.ICRNL, unix.INLCR, unix.IGNCR, unix.ISTRIP, unix.IUTF8, unix.IUCLC, unix.PARMRK)
		flip(&tio.Oflag, 5, unix.OPOST, unix.ONLCR, unix.OCRNL, unix.ONOCR, unix.ONLRET, unix.OLCUC, unix.XTABS)
		tio.Lflag &^= unix.ISIG
		in := make([]byte, 1+r.Intn(25))
		for i := range in {
			in[i] = chars[r.Intn(len(chars))]
		}
		limit := 1 + r.Intn(12)

		s := newScreen(nil)
		s.set(tio, true)
		s.receive(in)
		var lines []string
		for {
			l, ok := s.read(limit)
			if !ok {
				break
			}
			lines = append(lines, l)
		}
		for patience := time.Millisecond; ; patience *= 4 {
			echo, want := p.try(t, &tio, in, limit, patience)
			if echo == string(s.out) && slices.Equal(lines, want) {
				break
			}
			if patience > 100*time.Millisecond {
				t.Fatalf("typed %q, iflag %#x oflag %#x lflag %#x, reads of %d:\necho %q\nwant %q\nread %q\nwant %q",
					in, tio.Iflag, tio.Oflag, tio.Lflag, limit, s.out, echo, lines, want)
			}
		}
	}
}
