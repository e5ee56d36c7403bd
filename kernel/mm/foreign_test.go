package mm

import (
	"bytes"
	"testing"

	"golang.org/x/sys/unix"
)

// TestForeign pokes into read-only pages: the owner's, and nobody else's.
func TestForeign(t *testing.T) {
	as := newSpace(t)
	f := &testFile{cache: NewCache(&memDevice{})}
	f.cache.InitSize(3 * pageSize)
	defer f.cache.Drop()
	text := mustMap(t, as, MapArgs{Len: 2 * pageSize, Prot: ProtRead | ProtExec, Flags: unix.MAP_PRIVATE, File: f})
	zero := mustMap(t, as, MapArgs{Len: pageSize, Prot: ProtRead, Flags: anon})
	none := mustMap(t, as, MapArgs{Len: pageSize, Flags: anon})
	readOnly := mustMap(t, as, MapArgs{Len: pageSize, Prot: ProtRead, Flags: unix.MAP_SHARED, File: f})
	var before [8]byte
	if err := as.CopyIn(before[:], text); err != nil {
		t.Fatal(err)
	}
	for _, addr := range []uint64{text + pageSize - 4, zero + 8, none + 16} { // the first crosses a border
		want := []byte("breakpnt")
		if n, err := as.Poke(addr, want); n != 8 || err != nil {
			t.Errorf("poke %x: %d, %v", addr, n, err)
		}
		got := make([]byte, 8)
		if n, err := as.Peek(got, addr); n != 8 || err != nil || !bytes.Equal(got, want) {
			t.Errorf("peek %x: %d, %v, %q", addr, n, err, got)
		}
		if as.CopyOut(addr, want) == nil {
			t.Errorf("%x can be written now", addr)
		}
	}
	child, err := as.Fork()
	if err != nil {
		t.Fatal(err)
	}
	defer child.Release()
	if _, err := child.Poke(zero+8, []byte("other")); err != nil {
		t.Error(err)
	}
	got := make([]byte, 5)
	if as.Peek(got, zero+8); string(got) != "break" {
		t.Errorf("a poke into the child changes the parent: %q", got)
	}
	if _, err := as.Poke(readOnly, []byte{1}); err != unix.EFAULT {
		t.Errorf("poke to a shared read-only page: %v", err)
	}
	if n, err := as.Poke(none+pageSize-2, []byte("abcd")); err == nil && n != 4 || err != nil && n != 2 {
		t.Errorf("poke across the end: %d, %v", n, err)
	}
	if _, err := as.Peek(got, 16); err != unix.EFAULT {
		t.Errorf("peek of nothing: %v", err)
	}
	if _, err := as.Peek(got, ^uint64(0)-2); err != unix.EFAULT {
		t.Errorf("peek of the kernel: %v", err)
	}
	page, _ := f.cache.Page(0, true)
	if !bytes.Equal(page.Bytes()[:8], before[:]) || bytes.Contains(page.Bytes(), []byte("brea")) {
		t.Error("the file has changed")
	}
	page.Unref()
}
