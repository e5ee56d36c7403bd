package elfdeps

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"gosv/host/elfdeps/elftest"
)

const ldso = "/lib64/ld-linux-x86-64.so.2"

// host makes a machine's files below a directory.
type host struct {
	t   *testing.T
	dir string
}

func newHost(t *testing.T) host {
	h := host{t, t.TempDir()}
	h.lib(ldso, elftest.File{Soname: "ld-linux-x86-64.so.2"})
	return h
}

func (h host) lib(path string, f elftest.File) { f.Write(h.t, filepath.Join(h.dir, path)) }
func (h host) text(path, s string)             { elftest.WriteFile(h.t, filepath.Join(h.dir, path), s) }
func (h host) resolver() *Resolver             { return &Resolver{Root: h.dir} }

func libPaths(c *Closure) (list []string) {
	if c == nil {
		return nil
	}
	for _, l := range c.Libs {
		list = append(list, l.Path)
	}
	return list
}

// makeCache writes an ld.so.cache of the new format.
func makeCache(entries ...[2]string) []byte {
	le := binary.LittleEndian
	b := make([]byte, newHeaderSize+newEntrySize*len(entries))
	copy(b, newMagic)
	le.PutUint32(b[20:], uint32(len(entries)))
	b[28] = 2
	for i, e := range entries {
		p := newHeaderSize + i*newEntrySize
		le.PutUint32(b[p:], flagELFLibc6|flagX8664)
		for j, s := range e {
			le.PutUint32(b[p+4+4*j:], uint32(len(b)))
			b = append(append(b, s...), 0)
		}
	}
	return b
}

func TestSearchOrder(t *testing.T) {
	prog := func(f elftest.File) elftest.File {
		f.Interp, f.Needed = ldso, []string{"liba.so.1"}
		return f
	}
	for _, c := range []struct {
		name string
		prog elftest.File
		libs []string // directories that have liba.so.1
		path []string // LD_LIBRARY_PATH
		want string
	}{
		{"default directory", elftest.File{}, []string{"/usr/lib"}, nil, "/usr/lib"},
		{"multiarch before /usr/lib", elftest.File{}, []string{"/usr/lib", "/lib/x86_64-linux-gnu"}, nil, "/lib/x86_64-linux-gnu"},
		{"RPATH before the environment", elftest.File{RPath: "/r"}, []string{"/r", "/env", "/usr/lib"}, []string{"/env"}, "/r"},
		{"the environment before RUNPATH", elftest.File{RunPath: "/r"}, []string{"/r", "/env", "/usr/lib"}, []string{"/env"}, "/env"},
		{"RUNPATH before the default", elftest.File{RunPath: "/r"}, []string{"/r", "/usr/lib"}, nil, "/r"},
		{"RUNPATH makes RPATH void", elftest.File{RPath: "/r", RunPath: "/s"}, []string{"/r", "/usr/lib"}, nil, "/usr/lib"},
		{"second directory of a RUNPATH", elftest.File{RunPath: "/x:/r"}, []string{"/r", "/usr/lib"}, nil, "/r"},
		{"$ORIGIN", elftest.File{RunPath: "$ORIGIN/../lib"}, []string{"/opt/app/lib", "/usr/lib"}, nil, "/opt/app/lib"},
		{"${ORIGIN}", elftest.File{RPath: "${ORIGIN}/../lib"}, []string{"/opt/app/lib", "/usr/lib"}, nil, "/opt/app/lib"},
		{"$LIB", elftest.File{RunPath: "/q/$LIB"}, []string{"/q/lib/x86_64-linux-gnu"}, nil, "/q/lib/x86_64-linux-gnu"},
		{"$PLATFORM", elftest.File{RunPath: "/q/$PLATFORM"}, []string{"/q/x86_64"}, nil, "/q/x86_64"},
		{"nodeflib", elftest.File{NoDefLib: true}, []string{"/usr/lib"}, nil, ""},
	} {
		h := newHost(t)
		h.lib("/opt/app/bin/p", prog(c.prog))
		for _, d := range c.libs {
			h.lib(d+"/liba.so.1", elftest.File{Soname: "liba.so.1"})
		}
		r := h.resolver()
		r.LibraryPath = c.path
		got, err := r.Resolve("/opt/app/bin/p")
		if c.want == "" {
			var missing *MissingLibError
			if !errors.As(err, &missing) || missing.Name != "liba.so.1" || missing.NeededBy != "/opt/app/bin/p" {
				t.Errorf("%s: got %v, %v", c.name, libPaths(got), err)
			}
			continue
		}
		if err != nil || !slices.Equal(libPaths(got), []string{c.want + "/liba.so.1"}) || got.Interp != ldso {
			t.Errorf("%s: got %v, %v; want it in %s", c.name, libPaths(got), err, c.want)
		}
	}
}

func TestTransitive(t *testing.T) {
	h := newHost(t)
	h.lib("/bin/p", elftest.File{Interp: ldso, Needed: []string{"liba.so", "libc.so.6"}, RPath: "/r"})
	h.lib("/r/liba.so", elftest.File{Needed: []string{"libb.so", "libc.so.6", "ld-linux-x86-64.so.2"}})
	h.lib("/r/libb.so", elftest.File{Needed: []string{"liba.so", "libc.so.6"}}) // a circle; found by the program's RPATH
	h.lib("/lib/libc.so.6", elftest.File{Soname: "libc.so.6", Needed: []string{"ld-linux-x86-64.so.2"}})
	got, err := h.resolver().Resolve("/bin/p")
	want := []string{"/r/liba.so", "/lib/libc.so.6", "/r/libb.so"}
	if err != nil || !slices.Equal(libPaths(got), want) {
		t.Errorf("got %v, %v; want %v", libPaths(got), err, want)
	}
}

func TestRunPathIsNotInherited(t *testing.T) {
	h := newHost(t)
	h.lib("/bin/p", elftest.File{Interp: ldso, Needed: []string{"liba.so"}, RunPath: "/r"})
	h.lib("/r/liba.so", elftest.File{Needed: []string{"libb.so"}})
	h.lib("/r/libb.so", elftest.File{})
	var missing *MissingLibError
	if _, err := h.resolver().Resolve("/bin/p"); !errors.As(err, &missing) || missing.Name != "libb.so" || missing.NeededBy != "/r/liba.so" {
		t.Errorf("got %v", err)
	}
}

func TestCacheAndConf(t *testing.T) {
	h := newHost(t)
	h.lib("/bin/p", elftest.File{Interp: ldso, Needed: []string{"liba.so"}})
	h.lib("/conf/liba.so", elftest.File{})
	h.text("/etc/ld.so.conf", "# comment\ninclude /etc/ld.so.conf.d/*.conf\n")
	h.text("/etc/ld.so.conf.d/x.conf", "/conf # here\n")
	if got, err := h.resolver().Resolve("/bin/p"); err != nil || !slices.Equal(libPaths(got), []string{"/conf/liba.so"}) {
		t.Errorf("by ld.so.conf: got %v, %v", libPaths(got), err)
	}
	h.lib("/cached/liba.so", elftest.File{})
	h.text("/etc/ld.so.cache", string(makeCache([2]string{"liba.so", "/cached/liba.so"})))
	if got, err := h.resolver().Resolve("/bin/p"); err != nil || !slices.Equal(libPaths(got), []string{"/cached/liba.so"}) {
		t.Errorf("by ld.so.cache: got %v, %v", libPaths(got), err)
	}
	h.text("/etc/ld.so.cache", string(makeCache([2]string{"liba.so", "/gone/liba.so"})))
	h.lib("/usr/lib/liba.so", elftest.File{})
	if got, err := h.resolver().Resolve("/bin/p"); err != nil || !slices.Equal(libPaths(got), []string{"/usr/lib/liba.so"}) {
		t.Errorf("with a stale cache: got %v, %v", libPaths(got), err)
	}
}

func TestOtherArchitectureIsPassedOver(t *testing.T) {
	h := newHost(t)
	h.lib("/bin/p", elftest.File{Interp: ldso, Needed: []string{"liba.so"}, RunPath: "/arm:/thirtytwo"})
	h.lib("/arm/liba.so", elftest.File{Machine: elf.EM_AARCH64})
	h.lib("/thirtytwo/liba.so", elftest.File{Class: elf.ELFCLASS32, Machine: elf.EM_386})
	h.text("/lib/x86_64-linux-gnu/liba.so", "GROUP ( a linker script )")
	h.lib("/usr/lib/liba.so", elftest.File{})
	if got, err := h.resolver().Resolve("/bin/p"); err != nil || !slices.Equal(libPaths(got), []string{"/usr/lib/liba.so"}) {
		t.Errorf("got %v, %v", libPaths(got), err)
	}
}

func TestMusl(t *testing.T) {
	const interp = "/lib/ld-musl-x86_64.so.1"
	h := newHost(t)
	h.lib(interp, elftest.File{})
	h.lib("/bin/p", elftest.File{Interp: interp, Needed: []string{"liba.so", "libc.musl-x86_64.so.1", "libpthread.so"}, RunPath: "/r"})
	h.lib("/r/liba.so", elftest.File{Needed: []string{"libb.so"}})
	h.lib("/r/libb.so", elftest.File{}) // musl hands RUNPATH down
	got, err := h.resolver().Resolve("/bin/p")
	if err != nil || !got.Musl || !slices.Equal(libPaths(got), []string{"/r/liba.so", "/r/libb.so"}) {
		t.Errorf("got %v, %v", libPaths(got), err)
	}
	h.lib("/m/libc2.so", elftest.File{})
	h.text("/etc/ld-musl-x86_64.path", "/m\n/n")
	h.lib("/bin/q", elftest.File{Interp: interp, Needed: []string{"libc2.so"}})
	if got, err := h.resolver().Resolve("/bin/q"); err != nil || !slices.Equal(libPaths(got), []string{"/m/libc2.so"}) {
		t.Errorf("by ld-musl-x86_64.path: got %v, %v", libPaths(got), err)
	}
}

func TestScripts(t *testing.T) {
	h := newHost(t)
	h.lib("/bin/sh", elftest.File{})
	h.text("/s1", "#! /s2 one  two \nrest")
	h.text("/s2", "#!/bin/sh")
	got, err := h.resolver().Resolve("/s1")
	if err != nil || got.ELF != "/bin/sh" || !slices.Equal(got.Scripts, []Script{{"/s1", "/s2", "one  two"}, {"/s2", "/bin/sh", ""}}) {
		t.Errorf("got %+v, %v", got, err)
	}
	h.text("/loop", "#!/loop\n")
	h.text("/none", "#!/bin/none\n")
	h.text("/empty", "#!  \n")
	h.text("/cut", "#!/"+strings.Repeat("x", 300))
	for path, want := range map[string]string{"/loop": "too many levels", "/none": "its interpreter does not exist: /bin/none",
		"/empty": "names no interpreter", "/cut": "names no interpreter"} {
		if _, err := h.resolver().Resolve(path); err == nil || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), path+": ") {
			t.Errorf("%s: got %v, want %q", path, err, want)
		}
	}
}

func TestBadFiles(t *testing.T) {
	h := newHost(t)
	h.text("/text", "hello\n")
	h.text("/short", "\x7fELF")
	h.lib("/arm", elftest.File{Machine: elf.EM_AARCH64})
	h.lib("/i386", elftest.File{Class: elf.ELFCLASS32, Machine: elf.EM_386})
	h.lib("/object", elftest.File{Type: elf.ET_REL})
	h.lib("/nointerp", elftest.File{Interp: "/lib/none.so"})
	h.lib("/static", elftest.File{Type: elf.ET_EXEC})
	for path, want := range map[string]string{"/text": "not an ELF file", "/short": "not an ELF file", "/arm": "wrong architecture: made for arm64",
		"/i386": "wrong architecture: a 32-bit file (i386)", "/object": "not a program", "/nointerp": "/lib/none.so (needed by /nointerp): no such file",
		"/none": "no such file"} {
		if _, err := h.resolver().Resolve(path); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", path, err, want)
		}
	}
	if c, err := h.resolver().Resolve("/static"); err != nil || c.Interp != "" || len(c.Libs) > 0 {
		t.Errorf("a static program: %+v, %v", c, err)
	}
}

// TestAgainstLdd compares with what this machine's dynamic linker finds.
func TestAgainstLdd(t *testing.T) {
	ldd, err := exec.LookPath("ldd")
	if err != nil {
		t.Skip("no ldd here; install libc-bin")
	}
	for _, p := range []string{"/bin/ls", "/usr/bin/openssl", "/usr/bin/perl", "/usr/bin/git", "/usr/bin/qemu-system-x86_64"} {
		if _, err := os.Stat(p); err != nil {
			continue
		}
		out, err := exec.Command(ldd, p).Output()
		if err != nil {
			t.Fatal(err)
		}
		want := map[string]bool{}
		for _, line := range strings.Split(string(out), "\n") {
			if _, path, ok := strings.Cut(line, " => "); ok {
				want[realPath(t, strings.Fields(path)[0])] = true
			}
		}
		c, err := new(Resolver).Resolve(p)
		if err != nil {
			t.Errorf("%s: %v", p, err)
			continue
		}
		for _, l := range c.Libs {
			real := realPath(t, l.Path)
			if !want[real] {
				t.Errorf("%s: %s is not what ldd finds", p, l.Path)
			}
			delete(want, real)
		}
		for l := range want {
			t.Errorf("%s: ldd also finds %s", p, l)
		}
	}
}

func realPath(t *testing.T, p string) string {
	t.Helper()
	real, err := filepath.EvalSymlinks(p)
	if err != nil {
		t.Fatal(err)
	}
	return real
}

func TestParseCache(t *testing.T) {
	b := makeCache([2]string{"liba.so", "/a/liba.so"}, [2]string{"libb.so", "/b/libb.so"})
	old := binary.LittleEndian.AppendUint32([]byte(oldMagic+"\x00"), 1)
	old = append(old, make([]byte, oldEntrySize)...)
	for len(old)%8 != 0 {
		old = append(old, 0)
	}
	for _, text := range [][]byte{b, append(old, b...)} {
		c, err := ParseCache(text)
		if err != nil || !slices.Equal(c.Lookup("libb.so", flagELFLibc6|flagX8664), []string{"/b/libb.so"}) {
			t.Errorf("got %v, %v", c, err)
			continue
		}
		if got := c.Lookup("libb.so", flagELFLibc6); got != nil {
			t.Errorf("a library of another ABI was found: %v", got)
		}
		if got := c.Names(); !slices.Equal(got, []string{"liba.so", "libb.so"}) {
			t.Errorf("names %v", got)
		}
	}
	for n := range b {
		if c, err := ParseCache(b[:n]); err == nil && len(c.libs) == 2 {
			t.Fatalf("a cache that was cut at %d of %d bytes was taken", n, len(b))
		}
	}
}

func FuzzParseCache(f *testing.F) {
	f.Add(makeCache([2]string{"liba.so", "/a/liba.so"}))
	f.Add([]byte(oldMagic + "\x00\xff\xff\xff\xff"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if c, err := ParseCache(b); err == nil {
			c.Names()
		}
	})
}

func FuzzParseELF(f *testing.F) {
	f.Add(elftest.File{Interp: ldso, Needed: []string{"liba.so"}, RPath: "/r", RunPath: "$ORIGIN", Soname: "x"}.Bytes())
	f.Add([]byte(elf.ELFMAG))
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := ParseELF(bytes.NewReader(b))
		if err == nil && len(e.Interp) > maxString {
			t.Fatal("an interpreter without end")
		}
	})
}

func FuzzParseShebang(f *testing.F) {
	f.Add([]byte("#!/bin/sh -e\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		interp, _, ok, err := ParseShebang(b)
		if ok && err == nil && interp == "" {
			t.Fatal("no interpreter and no error")
		}
	})
}
