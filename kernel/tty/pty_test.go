package tty

import (
	"testing"

	"golang.org/x/sys/unix"
	"gosv/kernel/mm"
	"gosv/kernel/vfs"
	"gosv/kernel/wait"
)

type signals chan [2]int

func (s signals) SignalGroup(group, sig int) { s <- [2]int{group, sig} }
func (s signals) SignalProcess(pid, sig int) { s <- [2]int{-pid, sig} }

func TestPair(t *testing.T) {
	sigs := make(signals, 8)
	gone := false
	p := NewPair(3, sigs, func() { gone = true })
	m := vfs.NewFile(p.Master(), "ptmx", unix.O_RDWR)
	if _, err := p.OpenSlave(vfs.Kernel(), 0); err != unix.EIO {
		t.Fatalf("locked: %v", err)
	}
	p.wire.locked = false
	impl, err := p.OpenSlave(vfs.Kernel(), 0)
	if err != nil {
		t.Fatal(err)
	}
	s := vfs.NewFile(impl, "slave", unix.O_RDWR)
	var sleeper wait.Sleeper
	read := func(f *vfs.File, n int) string {
		t.Helper()
		b := make([]byte, n)
		buf := mm.KernelBuf(b)
		got, err := f.Read(&sleeper, &buf)
		if err != nil {
			t.Fatalf("read: %v", err)
		}
		return string(b[:got])
	}
	write := func(f *vfs.File, text string) {
		t.Helper()
		buf := mm.KernelBuf([]byte(text))
		if n, err := f.Write(&sleeper, &buf); err != nil || int(n) != len(text) {
			t.Fatalf("write: %d, %v", n, err)
		}
	}
	write(m, "hi\n")
	if got := read(s, 10); got != "hi\n" {
		t.Errorf("the slave read %q", got)
	}
	if got := read(m, 10); got != "hi\r\n" {
		t.Errorf("the echo is %q", got)
	}
	// More than fits at once: a writer waits for the master.
	go func() {
		big := mm.KernelBuf(make([]byte, 3*wireMax))
		var other wait.Sleeper
		s.Write(&other, &big) //nolint:errcheck // its bytes are counted below
	}()
	for n := 0; n < 3*wireMax; {
		n += len(read(m, 1000))
	}
	p.Terminal.SetSession(7, 8)
	defer p.Terminal.SetSession(0, 0)
	write(m, "\x03")
	if got := <-sigs; got != [2]int{8, int(unix.SIGINT)} {
		t.Errorf("^C sent %v", got)
	}
	m.Release()
	if got := <-sigs; got != [2]int{-7, int(unix.SIGHUP)} {
		t.Errorf("the hang-up sent %v", got)
	}
	if !gone || Controlling(7) != nil {
		t.Error("the terminal stays after the master")
	}
	if got := read(s, 10); got != "" {
		t.Errorf("after the end: %q", got)
	}
	if s.Readiness()&wait.Hup == 0 {
		t.Error("no hang-up to poll")
	}
	s.Release()
}
