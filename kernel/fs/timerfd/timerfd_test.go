package timerfd

import (
	"encoding/binary"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	"gosv/kernel/cpu"
	"gosv/kernel/mm"
	"gosv/kernel/vfs"
	"gosv/kernel/wait"
)

func read(f *vfs.File, s *wait.Sleeper) (uint64, error) {
	var b [8]byte
	buf := mm.KernelBuf(b[:])
	_, err := f.Read(s, &buf)
	return binary.LittleEndian.Uint64(b[:]), err
}

func open(clock int) (*Timer, *vfs.File) {
	t := New(clock)
	return t, vfs.NewFile(t, Name, unix.O_RDWR)
}

func TestOnce(t *testing.T) {
	tm, f := open(unix.CLOCK_MONOTONIC)
	defer f.Release()
	if _, err := read(f, nil); err != unix.EAGAIN {
		t.Error(err)
	}
	start := cpu.Nanotime()
	tm.Set(0, Setting{Value: 20e6})
	if s := tm.Get(); s.Value <= 0 || s.Value > 20e6 {
		t.Errorf("left %d", s.Value)
	}
	var s wait.Sleeper
	if n, err := read(f, &s); n != 1 || err != nil || cpu.Nanotime() < start+20e6 {
		t.Errorf("%d, %v after %d", n, err, cpu.Nanotime()-start)
	}
	if s := tm.Get(); s != (Setting{}) {
		t.Errorf("still set: %v", s)
	}
}

func TestPeriodic(t *testing.T) {
	tm, f := open(unix.CLOCK_MONOTONIC)
	defer f.Release()
	tm.Set(0, Setting{Value: 1e6, Interval: 2e6})
	time.Sleep(20 * time.Millisecond)
	if n, err := read(f, nil); n < 9 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	var s wait.Sleeper
	for range 3 { // it goes on
		if n, err := read(f, &s); n < 1 || err != nil {
			t.Errorf("%d, %v", n, err)
		}
	}
	time.Sleep(5 * time.Millisecond)
	if tm.Get(); tm.Readiness() != wait.In {
		t.Error("looking at the timer lost an expiration")
	}
	old, _ := tm.Set(0, Setting{})
	if old.Interval != 2e6 || old.Value <= 0 || old.Value > 2e6 {
		t.Errorf("old setting %v", old)
	}
	if _, err := read(f, nil); err != unix.EAGAIN {
		t.Errorf("disarmed: %v", err)
	}
}

func TestAbsolute(t *testing.T) {
	tm, f := open(unix.CLOCK_REALTIME)
	defer f.Release()
	// Two and a half seconds ago, each second: three times by now.
	tm.Set(unix.TFD_TIMER_ABSTIME, Setting{Value: cpu.Walltime() - 25e8, Interval: 1e9})
	if n, err := read(f, nil); n != 3 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	tm.Set(unix.TFD_TIMER_ABSTIME, Setting{Value: cpu.Walltime() + 10e6})
	var s wait.Sleeper
	if n, err := read(f, &s); n != 1 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	tm.Set(unix.TFD_TIMER_ABSTIME, Setting{Value: 1<<63 - 1, Interval: 1<<63 - 1})
	if tm.Readiness() != 0 {
		t.Error("the end of time has come")
	}
	if got := string(tm.FDInfo(nil)); !strings.HasPrefix(got, "clockid: 0\nticks: 0\nsettime flags: 01\nit_value: (") {
		t.Errorf("fdinfo %q", got)
	}
}
