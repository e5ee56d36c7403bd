// Command files checks what package os makes of the file system.
package main

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

var failures int

func check(name string, good bool) {
	if good {
		fmt.Println("ok", name)
	} else {
		fmt.Println("not ok", name)
		failures++
	}
}

func main() {
	dir, err := os.MkdirTemp("", "files")
	check("MkdirTemp", err == nil)
	os.Chdir(dir)
	check("WriteFile", os.WriteFile("a", []byte("hello"), 0o640) == nil)
	b, err := os.ReadFile("a")
	check("ReadFile", err == nil && string(b) == "hello")
	st, _ := os.Stat("a")
	check("Stat", st.Size() == 5 && st.Mode() == 0o640 && time.Since(st.ModTime()) < time.Hour)
	_, err = os.Open("missing")
	check("ErrNotExist", errors.Is(err, fs.ErrNotExist))
	check("ErrExist", errors.Is(os.Mkdir(dir, 0o755), fs.ErrExist))
	check("MkdirAll", os.MkdirAll("x/y/z", 0o755) == nil)
	for i := range 20 {
		os.WriteFile(fmt.Sprintf("x/y/f%02d", i), bytes.Repeat([]byte{byte(i)}, i*1000), 0o600)
	}
	n, size := 0, int64(0)
	filepath.WalkDir("x", func(_ string, d fs.DirEntry, _ error) error {
		if i, err := d.Info(); err == nil && !d.IsDir() {
			n++
			size += i.Size()
		}
		return nil
	})
	check("WalkDir", n == 20 && size == 190000)
	check("Rename", os.Rename("x/y", "moved") == nil)
	check("Symlink", os.Symlink("moved/f03", "link") == nil)
	target, _ := filepath.EvalSymlinks("link")
	check("EvalSymlinks", target == "moved/f03")
	f, _ := os.OpenFile("log", os.O_CREATE|os.O_RDWR|os.O_APPEND, 0o600)
	w := bufio.NewWriter(f)
	for i := range 10000 {
		fmt.Fprintf(w, "line %d\n", i)
	}
	w.Flush()
	f.Seek(0, io.SeekStart)
	h := sha256.New()
	copied, _ := io.Copy(h, f)
	check("large file", copied == 98890 && fmt.Sprintf("%x", h.Sum(nil)[:2]) == "1ce2")
	f.Truncate(10)
	b, _ = os.ReadFile("log")
	check("Truncate", string(b) == "line 0\nlin")
	f2, _ := os.Create("copy")
	f.Seek(0, io.SeekStart)
	copied, err = io.Copy(f2, f) // copy_file_range
	check("copy of a file", copied == 10 && err == nil)
	m, err := syscall.Mmap(int(f.Fd()), 0, 10, syscall.PROT_READ, syscall.MAP_SHARED)
	check("Mmap", err == nil && string(m) == "line 0\nlin")
	exe, err := os.Executable()
	check("Executable", err == nil && filepath.IsAbs(exe))
	check("environment", os.Setenv("A", "b") == nil && os.Getenv("A") == "b")
	entries, _ := os.ReadDir("moved")
	check("ReadDir is sorted", len(entries) == 21 && entries[3].Name() == "f03")
	check("Chtimes", os.Chtimes("a", time.Unix(1, 0), time.Unix(2, 0)) == nil)
	st, _ = os.Stat("a")
	check("ModTime", st.ModTime().Unix() == 2)
	cpu, err := os.ReadFile("/proc/cpuinfo")
	check("/proc", err == nil && strings.Contains(string(cpu), "processor"))
	root, err := os.OpenRoot(dir)
	check("OpenRoot", err == nil)
	_, err = root.Open("../../etc/passwd")
	check("Root does not escape", err != nil)
	os.Chdir("/")
	check("RemoveAll", os.RemoveAll(dir) == nil)
	_, err = os.Stat(dir)
	check("removed", errors.Is(err, fs.ErrNotExist))
	os.Exit(failures)
}
