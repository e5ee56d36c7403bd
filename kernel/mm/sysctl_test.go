package mm

import (
	"testing"

	"golang.org/x/sys/unix"
	"gosv/kernel/frame"
	"gosv/kernel/sysctl"
)

// set writes a setting.
func set(t *testing.T, name, text string) error {
	t.Helper()
	r := sysctl.Find(name)
	if r == nil {
		t.Fatalf("there is no %s", name)
	}
	_, err := r.Write([]byte(text), 0)
	return err
}

// drop_caches frees the pages of files that nobody maps, those that were used a
// moment ago too. The names are dropped by 2, and no pages.
func TestDropCaches(t *testing.T) {
	c := NewCache(&memDevice{})
	c.InitSize(100 * pageSize)
	b := KernelBuf(make([]byte, 100*pageSize))
	if _, err := c.Read(&b, 0); err != nil || c.Pages() != 100 {
		t.Fatal(c.Pages(), err)
	}
	if err := set(t, "vm.drop_caches", "2"); err != nil || c.Pages() != 100 {
		t.Errorf("2: %d pages, %v", c.Pages(), err)
	}
	if err := set(t, "vm.drop_caches", "1"); err != nil || c.Pages() != 0 {
		t.Errorf("1: %d pages, %v", c.Pages(), err)
	}
	if err := set(t, "vm.drop_caches", "0"); err != unix.EINVAL {
		t.Errorf("0: %v", err)
	}
	c.Drop()
}

// More than all of memory is refused in mode 0, unless it is asked for without a
// reservation, and never in mode 1.
func TestOvercommit(t *testing.T) {
	as := newSpace(t)
	defer as.Release()
	try := func(flags uint32) error {
		n := (frame.Total() + 1) * pageSize
		at, err := as.Mmap(MapArgs{Len: n, Prot: ProtRead | ProtWrite, Flags: unix.MAP_PRIVATE | unix.MAP_ANONYMOUS | flags})
		if err == nil {
			err = as.Munmap(at, n)
		}
		return err
	}
	defer set(t, "vm.overcommit_memory", "0") //nolint:errcheck // 0 is in range
	for _, x := range []struct {
		mode  string
		flags uint32
		want  error
	}{{"0", 0, unix.ENOMEM}, {"0", unix.MAP_NORESERVE, nil}, {"1", 0, nil}} {
		if err := set(t, "vm.overcommit_memory", x.mode); err != nil {
			t.Error(err)
		}
		if err := try(x.flags); err != x.want {
			t.Errorf("mode %s, flags %#x: %v, want %v", x.mode, x.flags, err, x.want)
		}
	}
	if err := set(t, "vm.overcommit_memory", "2"); err != unix.EINVAL {
		t.Errorf("mode 2: %v", err)
	}
}
