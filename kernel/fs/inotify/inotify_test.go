package inotify

import (
	"encoding/binary"
	"fmt"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
	"gosv/kernel/fs/tmpfs"
	"gosv/kernel/mm"
	"gosv/kernel/vfs"
)

// newTree makes a tmpfs the root, once.
var newTree = func() func(t *testing.T) *vfs.FSContext {
	var fs *vfs.FSContext
	return func(t *testing.T) *vfs.FSContext {
		if fs == nil {
			if _, err := vfs.MountRoot(tmpfs.New(tmpfs.Options{Size: 1 << 20, Inodes: 1000}), "none", 0); err != nil {
				t.Fatal(err)
			}
			fs = vfs.NewFSContext()
		}
		return fs
	}
}()

// read takes all events, as text.
func read(t *testing.T, i *Instance) string {
	t.Helper()
	b := make([]byte, 65536)
	buf := mm.KernelBuf(b)
	n, err := i.Read(nil, &buf, 0)
	if err == unix.EAGAIN {
		return ""
	}
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for b = b[:n]; len(b) > 0; {
		le := binary.LittleEndian
		size := headerSize + le.Uint32(b[12:])
		name := strings.TrimRight(string(b[headerSize:size]), "\x00")
		out = append(out, fmt.Sprintf("%d:%x:%s", int32(le.Uint32(b)), le.Uint32(b[4:]), name))
		b = b[size:]
	}
	return strings.Join(out, " ")
}

func TestEvents(t *testing.T) {
	fs, c := newTree(t), vfs.Kernel()
	i, err := New(0)
	if err != nil {
		t.Fatal(err)
	}
	defer i.Release()
	if err := fs.Mkdir(c, nil, "/d", 0o755); err != nil {
		t.Fatal(err)
	}
	if wd, err := i.Add(fs, c, "/d", unix.IN_ALL_EVENTS); wd != 1 || err != nil {
		t.Fatal(wd, err)
	}
	expect := func(what, want string) {
		t.Helper()
		if got := read(t, i); got != want {
			t.Errorf("%s: %q, want %q", what, got, want)
		}
	}
	f, err := fs.Open(c, nil, "/d/f", unix.O_RDWR|unix.O_CREAT, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	expect("create", "1:100:f 1:20:f")
	if wd, err := i.Add(fs, c, "/d/f", unix.IN_DELETE_SELF|unix.IN_ATTRIB); wd != 2 || err != nil {
		t.Fatal(wd, err)
	}
	if err := fs.Unlink(c, nil, "/d/f", 0); err != nil {
		t.Fatal(err)
	}
	expect("unlink of an open file", "2:4: 1:200:f")
	f.Release()
	expect("last close", "1:8:f 2:400: 2:8000:")
	if err := i.Remove(2); err != unix.EINVAL {
		t.Error(err)
	}
	if err := i.Remove(1); err != nil {
		t.Error(err)
	}
	expect("remove", "1:8000:")
	if err := fs.Unlink(c, nil, "/d", unix.AT_REMOVEDIR); err != nil {
		t.Error(err)
	}
}

func TestQueue(t *testing.T) {
	i, err := New(0)
	if err != nil {
		t.Fatal(err)
	}
	defer i.Release()
	put := func(e event) {
		i.mu.Lock()
		i.add(e)
		i.mu.Unlock()
	}
	for cookie := range uint32(3) {
		put(event{1, unix.IN_MOVED_FROM, cookie, "a"}) // the cookie does not make them different
	}
	for range 2 {
		put(event{wd: 1, mask: unix.IN_IGNORED}) // these are never joined
	}
	if got, want := read(t, i), "1:40:a 1:8000: 1:8000:"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	old := maxEvents.Load()
	maxEvents.Store(3)
	defer maxEvents.Store(old)
	for n := range int32(10) {
		put(event{wd: n, mask: unix.IN_OPEN})
	}
	if got, want := read(t, i), "0:20: 1:20: 2:20: -1:4000:"; got != want {
		t.Errorf("overflow: %q, want %q", got, want)
	}
	put(event{wd: 1, mask: unix.IN_OPEN, name: "0123456789abcdef"})
	var small [headerSize + 16]byte
	buf := mm.KernelBuf(small[:])
	if _, err := i.Read(nil, &buf, 0); err != unix.EINVAL {
		t.Errorf("no room: %v", err)
	}
	if got, want := read(t, i), "1:20:0123456789abcdef"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
