package eventfd

import (
	"encoding/binary"
	"math"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
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

func write(f *vfs.File, s *wait.Sleeper, v uint64) error {
	var b [8]byte
	binary.LittleEndian.PutUint64(b[:], v)
	buf := mm.KernelBuf(b[:])
	_, err := f.Write(s, &buf)
	return err
}

func TestCounter(t *testing.T) {
	c := New(3, false)
	f := vfs.NewFile(c, Name, unix.O_RDWR)
	if v, err := read(f, nil); v != 3 || err != nil {
		t.Error(v, err)
	}
	if _, err := read(f, nil); err != unix.EAGAIN {
		t.Error(err)
	}
	if err := write(f, nil, math.MaxUint64); err != unix.EINVAL {
		t.Error(err)
	}
	if err := write(f, nil, math.MaxUint64-1); err != nil {
		t.Error(err)
	}
	if err := write(f, nil, 1); err != unix.EAGAIN || c.Readiness() != wait.In {
		t.Error(err, c.Readiness())
	}
	// A blocked writer writes what it was given, once.
	done := make(chan error)
	go func() {
		var s wait.Sleeper
		done <- write(f, &s, 5)
	}()
	if v, err := read(f, nil); v != math.MaxUint64-1 || err != nil {
		t.Error(v, err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	if v, err := read(f, nil); v != 5 || err != nil {
		t.Error(v, err)
	}
	short := mm.KernelBuf(make([]byte, 7))
	if _, err := f.Read(nil, &short); err != unix.EINVAL {
		t.Error(err)
	}
}

func TestSemaphore(t *testing.T) {
	f := vfs.NewFile(New(0, true), Name, unix.O_RDWR)
	var wg sync.WaitGroup
	for range 4 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			var s wait.Sleeper
			for range 100 {
				if v, err := read(f, &s); v != 1 || err != nil {
					t.Error(v, err)
				}
			}
		}()
	}
	for range 40 {
		if err := write(f, nil, 10); err != nil {
			t.Error(err)
		}
	}
	wg.Wait()
}
