package image

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gosv/host/rootfs"
)

// fixture makes a host directory with every kind of file, and the tree of it.
func fixture(t testing.TB) *rootfs.Tree {
	t.Helper()
	dir := t.TempDir()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(os.MkdirAll(filepath.Join(dir, "many"), 0o755))
	must(os.Mkdir(filepath.Join(dir, "empty"), 0o750))
	for _, n := range []int{0, 1, 31, 2047, 2048, 2049, 4095, 4096, 4097, 12288, 1<<20 + 5} {
		must(os.WriteFile(filepath.Join(dir, fmt.Sprintf("size%d", n)), bytes.Repeat([]byte{byte(n), 'x'}, n/2+1)[:n], 0o640))
	}
	for i := range 700 {
		must(os.WriteFile(filepath.Join(dir, "many", fmt.Sprintf("a-file-with-a-long-name-%d", i)), nil, 0o644))
	}
	must(os.Link(filepath.Join(dir, "size4097"), filepath.Join(dir, "zz-hard-link")))
	must(os.Symlink("size1", filepath.Join(dir, "link")))
	must(os.Symlink(strings.Repeat("l/", 2000), filepath.Join(dir, "long-link")))
	tree := rootfs.NewTree()
	if err := tree.AddHost(dir, "/d", rootfs.CopyOptions{}); err != nil {
		t.Fatal(err)
	}
	tree.AddData("/etc/motd", 0o600, []byte("hello\n"))
	tree.AddDir("/tmp", 0o1777)
	tree.AddSymlink("/bin", "usr/bin")
	return tree
}

func write(t testing.TB, tree *rootfs.Tree) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "x.img")
	if _, err := WriteFile(name, tree); err != nil {
		t.Fatal(err)
	}
	return name
}

func TestWriteRead(t *testing.T) {
	tree := fixture(t)
	m, err := Open(write(t, tree))
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	for _, e := range tree.Entries() {
		name := Name(e.Path)
		if e.IsSymlink() {
			if got, err := m.Readlink(name); err != nil || got != e.Target {
				t.Errorf("%s: link to %q, %v; want %q", e.Path, got, err, e.Target)
			}
			continue
		}
		fi, err := fs.Stat(m, name)
		if err != nil {
			t.Errorf("%s: %v", e.Path, err)
			continue
		}
		if got := fi.Mode().Perm(); got != fs.FileMode(e.Mode&0o777) || fi.IsDir() != e.IsDir() {
			t.Errorf("%s: mode %v, want %o", e.Path, fi.Mode(), e.Mode)
		}
		if fi.ModTime().Unix() != e.MtimeSec || fi.ModTime().Nanosecond() != int(e.MtimeNs) {
			t.Errorf("%s: time %v", e.Path, fi.ModTime())
		}
		if e.IsRegular() {
			want, err := readAll(e)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := fs.ReadFile(m, name); err != nil || !bytes.Equal(got, want) {
				t.Errorf("%s: other content, %v", e.Path, err)
			}
		}
	}
	a, _ := fs.Stat(m, "d/size4097")
	b, _ := fs.Stat(m, "d/zz-hard-link")
	if InfoOf(a).Nlink != 2 || InfoOf(b).Nlink != 2 {
		t.Errorf("a hard link counts %d and %d links, want 2", InfoOf(a).Nlink, InfoOf(b).Nlink)
	}
	if names, err := fs.ReadDir(m, "d/many"); err != nil || len(names) != 700 {
		t.Errorf("a large directory lists %d entries, %v; want 700", len(names), err)
	}
}

func smallTree() *rootfs.Tree {
	tree := rootfs.NewTree()
	tree.AddData("/etc/hosts", 0o644, []byte("127.0.0.1 localhost\n"))
	tree.AddData("/usr/bin/x", 0o755, bytes.Repeat([]byte("x"), 10000))
	return tree
}

func TestReproducible(t *testing.T) {
	tree := fixture(t)
	a, err := os.ReadFile(write(t, tree))
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(write(t, tree))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(a, b) {
		t.Error("two images of one tree differ")
	}
}

// TestPageAligned checks what mapping without copying rests on.
func TestPageAligned(t *testing.T) {
	content := bytes.Repeat([]byte("0123456789abcdef"), 1024)
	tree := rootfs.NewTree()
	tree.AddData("/f", 0o644, content)
	b, err := os.ReadFile(write(t, tree))
	if err != nil {
		t.Fatal(err)
	}
	if i := bytes.Index(b, content); i < 0 || i%blockSize != 0 {
		t.Errorf("the content of a file stands at %d", i)
	}
	if len(b)%blockSize != 0 {
		t.Errorf("the image has %d bytes, not whole blocks", len(b))
	}
}

func TestFsckErofs(t *testing.T) {
	fsck, err := exec.LookPath("fsck.erofs")
	if err != nil {
		t.Skip("fsck.erofs is not installed; apt-get install erofs-utils")
	}
	tree := fixture(t)
	out := filepath.Join(t.TempDir(), "out")
	msg, err := exec.Command(fsck, "--extract="+out, write(t, tree)).CombinedOutput()
	if err != nil {
		t.Fatalf("fsck.erofs: %v\n%s", err, msg)
	}
	for _, e := range tree.Entries() {
		if !e.IsRegular() {
			continue
		}
		want, _ := readAll(e)
		if got, err := os.ReadFile(filepath.Join(out, e.Path)); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: other content after fsck.erofs --extract, %v", e.Path, err)
		}
	}
}

func TestChangedWhileCopied(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "f")
	if err := os.WriteFile(name, make([]byte, 9000), 0o644); err != nil {
		t.Fatal(err)
	}
	tree := rootfs.NewTree()
	if err := tree.AddHost(dir, "/d", rootfs.CopyOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(name, 8000); err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(t.TempDir(), "x.img")
	if _, err := WriteFile(out, tree); err == nil || !strings.Contains(err.Error(), "changed") {
		t.Errorf("a file that shrank gave %v", err)
	}
	if left, _ := filepath.Glob(filepath.Dir(out) + "/.*img*"); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
}

func TestCache(t *testing.T) {
	c := &Cache{t.TempDir()}
	dir := t.TempDir()
	name := filepath.Join(dir, "f")
	if err := os.WriteFile(name, []byte("1"), 0o644); err != nil {
		t.Fatal(err)
	}
	tree := rootfs.NewTree()
	if err := tree.AddHost(dir, "/d", rootfs.CopyOptions{}); err != nil {
		t.Fatal(err)
	}
	key := Key("a", "b")
	if _, _, ok := c.Find(key); ok {
		t.Error("an empty cache found something")
	}
	stored, err := c.Store(key, "a \"note\"\n", tree)
	if err != nil {
		t.Fatal(err)
	}
	if got, note, ok := c.Find(key); !ok || got != stored || note != "a \"note\"\n" {
		t.Errorf("found %q %q %v", got, note, ok)
	}
	if err := os.WriteFile(name, []byte("22"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, _, ok := c.Find(key); ok {
		t.Error("a stale image was found")
	}
	if Key("a", "b") == Key("ab", "") {
		t.Error("keys of different parts are equal")
	}
	c.prune(0)
	if _, err := os.Stat(stored); err != nil {
		t.Error("an image was pruned while it may be in use")
	}
	old := os.Chtimes(stored, testTime, testTime)
	if c.prune(0); old != nil || exists(stored) {
		t.Error("an old image was not pruned")
	}
}

var testTime = time.Unix(1e9, 0)

func exists(name string) bool {
	_, err := os.Stat(name)
	return err == nil
}

func FuzzOpen(f *testing.F) {
	b, err := os.ReadFile(write(f, smallTree()))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b[:4096]) // its files stand behind it: reading them fails
	f.Add(b[1024:2048])
	f.Fuzz(func(t *testing.T, b []byte) {
		if m, err := read(bytes.NewReader(b)); err == nil {
			m.Config() //nolint:errcheck // it must not panic
		}
	})
}

func FuzzReadList(f *testing.F) {
	f.Add(appendList(nil, map[string]rootfs.Stamp{"/a b\n": {Size: 1, MtimeNs: -5, Ino: 9, Mode: 0o100644}}, listHead{"n\"", "abc", 4096}))
	f.Fuzz(func(t *testing.T, b []byte) {
		stamps, h, err := readList(bytes.NewReader(b))
		if err != nil {
			return
		}
		again, h2, err := readList(bytes.NewReader(appendList(nil, stamps, h)))
		if err != nil || h2 != h || len(again) != len(stamps) {
			t.Fatalf("written again: %v, %v, %v", again, h2, err)
		}
	})
}
